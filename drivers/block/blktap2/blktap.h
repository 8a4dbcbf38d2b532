/* SPDX-License-Identifier: GPL-2.0 */
/*
 * blktap2: structures and functions shared by its files.
 *
 * Locking legend:
 *
 * I: set before the tap (or the request) is published, constant after
 * G: blktap_taps_lock
 * T: tap->mutex
 * R: tap->ring.lock
 * F: tap->direct.files_lock
 * L: tap->lock
 * TL: tap->mutex and tap->lock for writes, either of them for reads
 * P: pool->lock
 * X: belongs to whoever took the request out of the lists of its tap: one
 *    thread while it is BLKTAP_RQ_BUSY, the transfer while BLKTAP_RQ_MAPPED
 * A: atomic, or READ_ONCE() and WRITE_ONCE()
 *
 * Listed in precedence order: do not take an earlier lock while holding a
 * later one.
 *
 *	blktap_taps_lock	mutex
 *	mmap_lock of a server	(mmap() and munmap() of the ring)
 *	tap->mutex		mutex; never held over a copy from or to user
 *				memory, nor while waiting for I/O or a server
 *	disk->open_mutex	only by mutex_trylock() here
 *	tap->ring.lock		mutex
 *	blktap_pools_lock	mutex
 *	tap->lock		spinlock, any context
 *	pool->lock		spinlock, any context
 *	tap->direct.files_lock	spinlock, process context
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
 * enum blktap_mode - data plane of a tap
 * @BLKTAP_MODE_NONE: no server has chosen yet
 * @BLKTAP_MODE_RING: the ABI of 2.0.91
 * @BLKTAP_MODE_DIRECT: descriptors and commands through XFER
 */
enum blktap_mode {
	BLKTAP_MODE_NONE,
	BLKTAP_MODE_RING,
	BLKTAP_MODE_DIRECT,
};

/**
 * enum blktap_disk_state - life of the disk of a tap
 * @BLKTAP_DISK_NONE: there is none
 * @BLKTAP_DISK_LIVE: it takes I/O, or would if there were a server
 * @BLKTAP_DISK_DYING: it is being deleted, or deleted and held open
 */
enum blktap_disk_state {
	BLKTAP_DISK_NONE,
	BLKTAP_DISK_LIVE,
	BLKTAP_DISK_DYING,
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
 * @filled: X: the data of a READ has been written
 * @map_end: X: end the request when the transfer succeeds
 * @status: X: result, for blktap_complete_rq()
 * @charged: X: pages of tap->pool in use
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
 * struct blktap_pool - pages that the ring mode requests of some taps may use
 * @kobj: I: its folder in pools/
 * @link: on the list of pools, see pool.c
 * @lock: lock P
 * @size: P: limit in pages
 * @used: P: pages of requests in flight
 * @wait: pollers of taps whose next request did not fit
 */
struct blktap_pool {
	struct kobject		kobj;
	struct list_head	link;
	spinlock_t		lock; /* P */
	unsigned int		size;
	unsigned int		used;
	wait_queue_head_t	wait;
};

/**
 * struct blktap_ring - ring mode
 * @lock: lock R
 * @pages: R: BLKTAP_MAP_PAGES pages, NULL when there is no mapping
 * @mm: R: who mapped them; compared only, but pinned
 * @vmas: R: mappings in @mm
 * @req_prod: R: requests produced
 * @rsp_cons: R: responses consumed
 * @broken: R: the server's index made no sense; no more I/O
 */
struct blktap_ring {
	struct mutex		lock; /* R */
	struct page		**pages;
	struct mm_struct	*mm;
	unsigned int		vmas;
	u32			req_prod;
	u32			rsp_cons;
	bool			broken;
};

/**
 * struct blktap_direct - direct mode
 * @ready: A: the server has set it up; ends with the server
 * @depth: T: requests in flight
 * @max_io: T: largest READ or WRITE in bytes
 * @files_lock: lock F
 * @files: F: what extents name, or NULL
 */
struct blktap_direct {
	bool			ready;
	unsigned int		depth;
	unsigned int		max_io;
	spinlock_t		files_lock; /* F */
	struct file		*files[BLKTAP_DIRECT_FILES_MAX];
};

/**
 * struct blktap - a tap
 * @dev: I: device blktapN; its references keep the tap
 * @minor: I: minor of the ring device and of the disk
 * @mutex: lock T
 * @freed: T: FREE_TAP has been called
 * @opened: T: the ring device is open
 * @task: T: who opened it
 * @mode: T: data plane; lasts as long as the server or the disk
 * @ring: ring mode
 * @direct: direct mode
 * @pool: T: page pool, not changed while there is a disk
 * @tag_set: I: between creation of the disk and its free_disk()
 * @disk: T: the disk if it is LIVE
 * @disk_state: TL: see enum blktap_disk_state
 * @info: T: what the disk was created with; only its capacity changes, and
 *	only grows, while it is there
 * @dying: L: the disk while it is being deleted
 * @dying_force: L: it may be open
 * @removal: deletes the disk
 * @gone: woken when the disk, the server or the last transfer goes
 * @recovery_timeout: T: seconds that I/O waits for a new server
 * @died_at: T: when the last server died, in jiffies
 * @announced: T: user space was told so
 * @recovery: ends the wait
 * @wait: woken when there is something for the server
 * @lock: lock L
 * @attached: TL: a server serves the disk
 * @io_fail: L: no request is to wait: end each with an error
 * @closed: L: the disk has gone and poll() has not told it yet
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

	struct mutex		mutex; /* T */
	bool			freed;
	bool			opened;
	struct pid		*task;
	enum blktap_mode	mode;
	struct blktap_ring	ring;
	struct blktap_direct	direct;
	struct blktap_pool	*pool;

	struct blk_mq_tag_set	tag_set;
	struct gendisk		*disk;
	enum blktap_disk_state	disk_state;
	struct blktap_device_info info;
	struct gendisk		*dying;
	bool			dying_force;
	struct work_struct	removal;
	wait_queue_head_t	gone;

	unsigned int		recovery_timeout;
	unsigned long		died_at;
	bool			announced;
	struct delayed_work	recovery;

	wait_queue_head_t	wait;
	spinlock_t		lock; /* L */
	bool			attached;
	bool			io_fail;
	bool			closed;
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
extern struct workqueue_struct *blktap_wq;

/* Report what a tap does, if it is to be known: verbosity 2. */
#define blktap_info(tap, ...)						\
	do {								\
		if (READ_ONCE(blktap_verbosity) > 1)			\
			dev_info(&(tap)->dev, __VA_ARGS__);		\
	} while (0)

/* control.c */
extern struct mutex blktap_taps_lock;
extern struct idr blktap_taps;

void blktap_control_exit(void);
int blktap_control_init(void);
struct device *blktap_control_device(void);
struct blktap *blktap_get(unsigned int minor);
void blktap_put(struct blktap *tap);

/* server.c */
int blktap_server_init(void);
void blktap_server_exit(void);
dev_t blktap_server_devt(const struct blktap *tap);
void blktap_server_detach(struct blktap *tap) __must_hold(&tap->mutex);
void blktap_server_recovery(struct work_struct *work);
void blktap_server_timeout(struct blktap *tap, unsigned int seconds);

/* device.c */
int blktap_disk_create(struct blktap *tap, struct blktap_device_info *info)
	__must_hold(&tap->mutex);
int blktap_disk_remove(struct blktap *tap, bool force);
int blktap_disk_resize(struct blktap *tap, u64 capacity);
void blktap_disk_removal(struct work_struct *work);

/* request.c */
extern const struct blk_mq_ops blktap_mq_ops;

void blktap_requests_attach(struct blktap *tap);
void blktap_requests_detach(struct blktap *tap, bool fail);
void blktap_requests_fail(struct blktap *tap);
struct blktap_request *blktap_request_take(struct blktap *tap,
					   struct blktap_pool *pool);
struct blktap_request *blktap_result_take(struct blktap *tap);
struct blktap_request *blktap_request_claim(struct blktap *tap, u64 tag);
void blktap_request_own(struct blktap_request *req);
void blktap_request_undo(struct blktap_request *req);
void blktap_request_map(struct blktap_request *req);
void blktap_request_mapped(struct blktap_request *req, bool in_task);
void blktap_request_end(struct blktap_request *req, blk_status_t status);
bool blktap_requests_waiting(struct blktap *tap);
void blktap_server_wake(struct blktap *tap);
int blktap_request_op(struct request *rq);

/* ring.c */
void blktap_ring_init(struct blktap *tap);
int blktap_ring_mmap(struct blktap *tap, struct vm_area_struct *vma)
	__must_hold(&tap->mutex);
bool blktap_ring_mine(struct blktap *tap);
bool blktap_ring_mapped(struct blktap *tap);
int blktap_ring_respond(struct blktap *tap);
__poll_t blktap_ring_poll(struct blktap *tap, struct file *file,
			  poll_table *wait);
void blktap_ring_close(struct blktap *tap);
int blktap_ring_debug(struct blktap *tap, char *buf, int at);

/* direct.c */
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
int blktap_direct_map(struct blktap_request *req,
		      const struct blktap_direct_cmd *cmd);

/* pool.c */
int blktap_pools_init(void);
void blktap_pools_exit(void);
struct blktap_pool *blktap_pool_find(const char *name);
struct blktap_pool *blktap_pool_default(void);
int blktap_pool_set_default(const char *name);
bool blktap_pool_charge(struct blktap_pool *pool, unsigned int pages);
void blktap_pool_uncharge(struct blktap_pool *pool, unsigned int pages);

/* sysfs.c */
extern struct class blktap_class;
extern const struct attribute_group *blktap_control_groups[];

#endif /* _BLKTAP_H */
