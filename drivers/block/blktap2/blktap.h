/* SPDX-License-Identifier: GPL-2.0 */
/*
 * blktap2: structures and functions shared by its files.
 *
 * Locking legend:
 *
 * I: set before the tap (or the request) is published, constant after
 * L: tap->lock
 * C: written by the creator of the disk while the tap is BLKTAP_CREATING,
 *    constant while there is a disk
 * Z: tap->size_lock
 * R: tap->ring.lock
 * F: tap->direct.files_lock
 * P: pool->lock
 * X: belongs to whoever took the request out of the lists of its tap: one
 *    thread while it is BLKTAP_RQ_BUSY, the transfer while BLKTAP_RQ_MAPPED
 * A: atomic, or READ_ONCE() and WRITE_ONCE()
 *
 * Listed in precedence order: do not take an earlier lock while holding a
 * later one.
 *
 *	mmap_lock of a server	(mmap() and munmap() of the ring)
 *	disk->open_mutex	only by mutex_trylock() here
 *	tap->size_lock		mutex
 *	tap->ring.lock		mutex
 *	blktap_pools_lock	mutex
 *	xa_lock of blktap_taps	spinlock, process context
 *	tap->lock		spinlock, any context
 *	pool->lock		spinlock, any context
 *	tap->direct.files_lock	spinlock, process context
 *
 * No lock is held, and no request is BUSY, while memory is allocated, user
 * memory is accessed with page faults, or a uevent is sent: each of these can
 * wait for a disk of this driver. blktap_pools_lock is the exception; its
 * holders allocate without I/O.
 */
#ifndef _BLKTAP_H
#define _BLKTAP_H

#include <linux/atomic.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/ratelimit.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <xen/blktap2.h>

#define BLKTAP_NR_MINORS	1024
/* Bounds of a page pool, in pages: one request, two taps, 23 taps. */
#define BLKTAP_POOL_MIN		BLKTAP_SEGMENT_MAX
#define BLKTAP_POOL_DEFAULT	(2 * BLKTAP_RING_ENTRIES * BLKTAP_SEGMENT_MAX)
#define BLKTAP_POOL_MAX		(256 * BLKTAP_SEGMENT_MAX)
/* Upper bound of recovery_timeout: one day, in seconds. */
#define BLKTAP_TIMEOUT_MAX	(24 * 60 * 60)

struct blktap;

/**
 * enum blktap_server - a process's hold on the ring device of a tap
 * @BLKTAP_SERVER_NONE: the ring device is closed
 * @BLKTAP_SERVER_OPEN: it is open
 * @BLKTAP_SERVER_READY: the server has entered a mode
 */
enum blktap_server {
	BLKTAP_SERVER_NONE,
	BLKTAP_SERVER_OPEN,
	BLKTAP_SERVER_READY,
};

/**
 * enum blktap_state - life of a tap, see life.c
 * @BLKTAP_NO_DISK: there is no disk
 * @BLKTAP_CREATING: the server is in CREATE_DEVICE, and makes the disk
 * @BLKTAP_RUNNING: a server serves the disk
 * @BLKTAP_WAITING: the server died; requests wait for another
 * @BLKTAP_FAILED: the server died; requests end with errors
 * @BLKTAP_DYING: the disk is being deleted, or is deleted and held open
 * @BLKTAP_FREED: FREE_TAP was called; the disk may still be held open
 */
enum blktap_state {
	BLKTAP_NO_DISK,
	BLKTAP_CREATING,
	BLKTAP_RUNNING,
	BLKTAP_WAITING,
	BLKTAP_FAILED,
	BLKTAP_DYING,
	BLKTAP_FREED,
};

/**
 * enum blktap_event - what changes the state of a tap
 * @BLKTAP_EV_OPEN: the ring device is opened
 * @BLKTAP_EV_ENTER: the server enters a mode
 * @BLKTAP_EV_LEAVE: the server leaves its mode and keeps the ring device
 * @BLKTAP_EV_CLOSE: the ring device is released
 * @BLKTAP_EV_CREATE: the server wants to make the disk or to take it over
 * @BLKTAP_EV_CREATED: the disk was made
 * @BLKTAP_EV_NOT_CREATED: the disk could not be made
 * @BLKTAP_EV_TIMEOUT: no server came in time
 * @BLKTAP_EV_REMOVE: the disk is to be deleted
 * @BLKTAP_EV_DELETED: nobody holds the deleted disk any more
 * @BLKTAP_EV_FREE: the tap is to be freed
 */
enum blktap_event {
	BLKTAP_EV_OPEN,
	BLKTAP_EV_ENTER,
	BLKTAP_EV_LEAVE,
	BLKTAP_EV_CLOSE,
	BLKTAP_EV_CREATE,
	BLKTAP_EV_CREATED,
	BLKTAP_EV_NOT_CREATED,
	BLKTAP_EV_TIMEOUT,
	BLKTAP_EV_REMOVE,
	BLKTAP_EV_DELETED,
	BLKTAP_EV_FREE,
};

/**
 * struct blktap_mode - a data plane
 * @name: for sysfs
 * @flags: BLKTAP_DEVICE_* that a server of this mode may ask for
 * @pooled: its requests are charged to the page pool of the tap
 * @limits: fill in the queue limits that depend on the mode; returns the number
 *	of requests in flight. Called while the tap is BLKTAP_CREATING.
 * @quiet: does the server owe nothing for an earlier disk? Process context;
 *	NULL if it cannot
 * @poll: poll() of the ring device. Process context.
 * @ask_close: ask the server to close. Process context; NULL if there is no way
 */
struct blktap_mode {
	const char	*name;
	unsigned long	flags;
	bool		pooled;
	unsigned int	(*limits)(struct blktap *tap, struct queue_limits *lim);
	bool		(*quiet)(struct blktap *tap);
	__poll_t	(*poll)(struct blktap *tap, struct file *file,
				poll_table *wait);
	void		(*ask_close)(struct blktap *tap);
};

/**
 * enum blktap_rq_state - where a request is
 * @BLKTAP_RQ_IDLE: not here
 * @BLKTAP_RQ_PENDING: on tap->pending
 * @BLKTAP_RQ_BUSY: in the hands of one thread
 * @BLKTAP_RQ_OWNED: the server owes a command or a response
 * @BLKTAP_RQ_MAPPED: file I/O goes on
 * @BLKTAP_RQ_RESULT: on tap->results
 *
 * In all but the first two it is on tap->active and in tap->slots.
 */
enum blktap_rq_state {
	BLKTAP_RQ_IDLE,
	BLKTAP_RQ_PENDING,
	BLKTAP_RQ_BUSY,
	BLKTAP_RQ_OWNED,
	BLKTAP_RQ_MAPPED,
	BLKTAP_RQ_RESULT,
};

/**
 * struct blktap_part - I/O of one extent in a file
 * @iocb: X: the I/O; ki_filp holds a reference
 * @req: X: request it is part of
 * @left: X: bytes that the next completion should report
 */
struct blktap_part {
	struct kiocb		iocb;
	struct blktap_request	*req;
	size_t			left;
};

/**
 * struct blktap_request - private data of a request
 * @link: L: on tap->pending or tap->active
 * @event: L: on tap->results, or X: on a list of the XFER that hands it out
 * @tap: I: whose request it is
 * @seq: I: place in the order of arrival
 * @state: L: see enum blktap_rq_state
 * @orphan: L: the server that asked for the transfer died
 * @result_event: X: the event being handed out is MAPPED, not REQUEST
 * @filled: X: the data of a READ was written
 * @map_end: X: end the request when the transfer succeeds
 * @status: X: result, for blktap_complete_rq()
 * @charged: X: pages charged to tap->pool
 * @parts: A: parts of the transfer that have not ended, plus one at the start
 * @error: A: first error of the transfer
 * @bvec: X: pages of the data, or NULL when the only bio's serve
 * @many: X: parts, when there are several
 * @one: X: part, when there is one
 */
struct blktap_request {
	struct list_head	link;
	struct list_head	event;
	struct blktap		*tap;
	u64			seq;
	enum blktap_rq_state	state;
	bool			orphan;
	bool			result_event;
	bool			filled;
	bool			map_end;
	blk_status_t		status;
	unsigned int		charged;
	atomic_t		parts;
	int			error;
	struct bio_vec		*bvec;
	struct blktap_part	*many;
	struct blktap_part	one;
};

/**
 * struct blktap_pool - bounds the pages in flight of some taps in ring mode
 * @kobj: I: its folder in pools/
 * @link: on the list of pools, see pool.c
 * @lock: lock P
 * @size: P: limit in pages
 * @used: P: pages of requests in flight
 * @taps: P: taps in ring mode that have a disk
 * @starved: P: taps whose next request did not fit
 */
struct blktap_pool {
	struct kobject		kobj;
	struct list_head	link;
	spinlock_t		lock; /* P */
	unsigned int		size;
	unsigned int		used;
	unsigned int		taps;
	struct list_head	starved;
};

/**
 * struct blktap_ring - ring mode
 * @lock: lock R
 * @pages: R: the pages of the mapping, NULL when there is none
 * @mm: R: the process that mapped them; compared only, but pinned
 * @vmas: R: mappings in @mm
 * @req_prod: R: requests produced
 * @rsp_cons: R: responses consumed
 * @owed: R: ids that the server was given and did not answer
 * @tells: R: how often poll() still has to report the last requests
 * @broken: R: the server's index made no sense; no more I/O
 */
struct blktap_ring {
	struct mutex		lock; /* R */
	struct page		**pages;
	struct mm_struct	*mm;
	unsigned int		vmas;
	u32			req_prod;
	u32			rsp_cons;
	u32			owed;
	unsigned int		tells;
	bool			broken;
};

/**
 * struct blktap_direct - direct mode
 * @depth: L: requests in flight; constant while there is a disk
 * @max_io: L: largest READ or WRITE in bytes; constant while there is a disk
 * @files_lock: lock F
 * @files: F: the files that extents name, or NULL
 */
struct blktap_direct {
	unsigned int		depth;
	unsigned int		max_io;
	spinlock_t		files_lock; /* F */
	struct file		*files[BLKTAP_DIRECT_FILES_MAX];
};

/**
 * struct blktap - a tap
 * @dev: I: device blktapN; its references keep the tap
 * @minor: I: minor of the ring device and of the disk
 * @log: limits the messages that a server can cause
 * @lock: lock L
 * @state: L: see enum blktap_state; changed only by blktap_life()
 * @server: L: see enum blktap_server; changed only by blktap_life()
 * @mode: L: data plane; lasts as long as the server or the disk, then NULL
 * @mm: L: the only process that may speak for the server, or NULL: any that has
 *	the ring device
 * @task: L: who opened the ring device
 * @changed: woken at each change of state and when the last transfer ends
 * @ring: ring mode
 * @direct: direct mode
 * @pool: L: page pool, not changed while there is a disk
 * @starved: P: on the list of @pool when the next request did not fit
 * @charged: P: pages of requests in flight
 * @tag_set: C
 * @info: C: what the disk was created with; but for the capacity (L), which
 *	grows, and BLKTAP_DEVICE_NOUNMAP (L), which each server decides
 * @size_lock: lock Z; serializes set_capacity()
 * @disk: L: the disk, when it was made and until its deletion begins
 * @dying: L: the disk while it is being deleted
 * @dying_force: L: it may be open
 * @removal: deletes @dying
 * @gone: L: the server has to be told that the disk was deleted
 * @recovery_timeout: L: seconds that I/O waits for a new server
 * @died_at: L: when the last server died, in jiffies
 * @recovery: ends the wait
 * @announce: sends uevents
 * @announced_at: L: when it last did, in jiffies
 * @tell_state: L: @state is to be announced
 * @tell_size: L: the size of the disk is to be announced
 * @wait: woken when there is something for the server
 * @seq: L: requests that came so far
 * @transfers: L: requests in BLKTAP_RQ_MAPPED
 * @pending: L: requests to hand out, oldest first
 * @active: L: requests handed out
 * @results: L: requests whose transfer has ended
 * @slots: L: request of each tag handed out
 * @name: L: name given by user space, or empty
 */
struct blktap {
	struct device		dev;
	int			minor;
	struct ratelimit_state	log;

	spinlock_t		lock; /* L */
	enum blktap_state	state;
	enum blktap_server	server;
	const struct blktap_mode *mode;
	struct mm_struct	*mm;
	struct pid		*task;
	wait_queue_head_t	changed;

	struct blktap_ring	ring;
	struct blktap_direct	direct;
	struct blktap_pool	*pool;
	struct list_head	starved;
	unsigned int		charged;

	struct blk_mq_tag_set	tag_set;
	struct blktap_device_info info;
	struct mutex		size_lock; /* Z */
	struct gendisk		*disk;
	struct gendisk		*dying;
	bool			dying_force;
	struct work_struct	removal;
	bool			gone;

	unsigned int		recovery_timeout;
	unsigned long		died_at;
	struct delayed_work	recovery;
	struct delayed_work	announce;
	unsigned long		announced_at;
	bool			tell_state;
	bool			tell_size;

	wait_queue_head_t	wait;
	u64			seq;
	unsigned int		transfers;
	struct list_head	pending;
	struct list_head	active;
	struct list_head	results;
	struct blktap_request	*slots[BLKTAP_DIRECT_DEPTH_MAX];
	char			name[BLKTAP_NAME_MAX];
};

/* main.c */
extern int blktap_verbosity;
extern unsigned int blktap_recovery_timeout;
extern int blktap_bdev_major;
extern struct workqueue_struct *blktap_recovery_wq;
extern struct workqueue_struct *blktap_wq;

/* Report what a tap does, at verbosity 2. */
#define blktap_info(tap, ...)						\
	do {								\
		if (READ_ONCE(blktap_verbosity) > 1)			\
			dev_info(&(tap)->dev, __VA_ARGS__);		\
	} while (0)

/* Report what is wrong with what a server does; it may do it all the time. */
#define blktap_warn(tap, ...)						\
	do {								\
		struct blktap *__tap = (tap);				\
									\
		if (__ratelimit(&__tap->log))				\
			dev_warn(&__tap->dev, __VA_ARGS__);		\
	} while (0)

/* control.c */
extern struct xarray blktap_taps;

void blktap_control_exit(void);
int blktap_control_init(void);
struct device *blktap_control_device(void);
struct blktap *blktap_get(unsigned int minor);
void blktap_put(struct blktap *tap);
int blktap_set_name(struct blktap *tap, const char *name, size_t len);

/* life.c */
void blktap_life_init(struct blktap *tap);
int blktap_life(struct blktap *tap, enum blktap_event event)
	__must_hold(&tap->lock);
int blktap_life_enter(struct blktap *tap, const struct blktap_mode *mode,
		      struct mm_struct *mm)
	__must_hold(&tap->lock);
void blktap_life_leave(struct blktap *tap, enum blktap_event event);
bool blktap_life_mine(struct blktap *tap) __must_hold(&tap->lock);
bool blktap_life_gone(struct blktap *tap);
void blktap_life_timeout(struct blktap *tap, unsigned int seconds);
void blktap_life_grown(struct blktap *tap) __must_hold(&tap->lock);

/* Does a server get the requests of the disk? */
static inline bool blktap_served(const struct blktap *tap)
{
	return tap->server == BLKTAP_SERVER_READY &&
	       (tap->state == BLKTAP_CREATING || tap->state == BLKTAP_RUNNING);
}

/* Does each request end with an error? */
static inline bool blktap_failing(const struct blktap *tap)
{
	return tap->state == BLKTAP_NO_DISK || tap->state >= BLKTAP_FAILED;
}

/* server.c */
int blktap_server_init(void);
void blktap_server_exit(void);
dev_t blktap_server_devt(const struct blktap *tap);

/* device.c */
int blktap_disk_create(struct blktap *tap, struct blktap_device_info *info);
int blktap_disk_remove(struct blktap *tap, bool force);
void blktap_disk_doom(struct blktap *tap, bool force) __must_hold(&tap->lock);
int blktap_disk_wait(struct blktap *tap);
int blktap_disk_resize(struct blktap *tap, u64 capacity);
void blktap_disk_removal(struct work_struct *work);

/* request.c */
extern const struct blk_mq_ops blktap_mq_ops;

void blktap_requests_return(struct blktap *tap) __must_hold(&tap->lock);
void blktap_requests_doom(struct blktap *tap, struct list_head *dead)
	__must_hold(&tap->lock);
void blktap_requests_end(struct list_head *dead);
struct blktap_request *blktap_request_take(struct blktap *tap);
struct blktap_request *blktap_result_take(struct blktap *tap);
struct blktap_request *blktap_request_claim(struct blktap *tap, u64 tag);
void blktap_request_own(struct blktap_request *req);
void blktap_request_undo(struct blktap_request *req);
bool blktap_request_map(struct blktap_request *req);
void blktap_request_mapped(struct blktap_request *req, bool in_task);
void blktap_request_end(struct blktap_request *req, blk_status_t status);
bool blktap_requests_waiting(struct blktap *tap);
void blktap_server_wake(struct blktap *tap);
int blktap_request_op(struct request *rq);
bool blktap_request_keeps(struct request *rq);

/* ring.c */
extern const struct blktap_mode blktap_ring_mode;

void blktap_ring_init(struct blktap *tap);
int blktap_ring_mmap(struct blktap *tap, struct vm_area_struct *vma);
int blktap_ring_respond(struct blktap *tap);
int blktap_ring_debug(struct blktap *tap, char *buf, int at);

/* direct.c */
extern const struct blktap_mode blktap_direct_mode;

void blktap_direct_init(struct blktap *tap);
int blktap_direct_setup(struct blktap *tap,
			struct blktap_direct_setup __user *arg);
int blktap_direct_file(struct blktap *tap,
		       const struct blktap_direct_file __user *arg);
int blktap_direct_xfer(struct blktap *tap,
		       struct blktap_direct_xfer __user *arg);
int blktap_direct_resize(struct blktap *tap, const u64 __user *arg);
struct file *blktap_direct_file_get(struct blktap *tap, unsigned int index);
void blktap_direct_release(struct blktap *tap);

/* direct_io.c */
int blktap_direct_map(struct blktap *tap, const struct blktap_direct_cmd *cmd);

/* pool.c */
int blktap_pools_init(void);
void blktap_pools_exit(void);
struct blktap_pool *blktap_pool_find(const char *name);
struct blktap_pool *blktap_pool_default(void);
int blktap_pool_set_default(const char *name);
void blktap_pool_join(struct blktap *tap);
void blktap_pool_leave(struct blktap *tap);
bool blktap_pool_charge(struct blktap *tap, unsigned int pages);
void blktap_pool_uncharge(struct blktap *tap, unsigned int pages);

/* sysfs.c */
extern struct class blktap_class;
extern const struct attribute_group blktap_control_group;

#endif /* _BLKTAP_H */
