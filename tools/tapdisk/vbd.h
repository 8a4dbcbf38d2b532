/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk (VBD) of tapdisk2: a ring device, the image that is open on it, and
 * the requests in between.
 *
 * Life: attach (ring open) - open (image open, disk created) - pause, resume
 * (image closed and opened again, disk stays) - close (disk removed, image
 * closed) - detach. vbd.c has the life, req.c the requests, second.c what
 * there is besides the image.
 *
 * A request belongs to one of: the kernel (IDLE, or MAPPED while the kernel
 * transfers its data), the driver (DRIVER), a command to the kernel that
 * waits for the next XFER (ENDED, MAPPED), or one of the lists of the disk
 * (LISTED): held while the disk is paused, retry until the next second.
 */
#ifndef TD_VBD_H
#define TD_VBD_H

#include "loop.h"
#include "td_ctl.h"
#include "td_driver.h"

#define TD_VBD_DEPTH		128
#define TD_VBD_MAX_IO		BLKTAP_DIRECT_IO_MAX
/* Extents that wait for the next XFER; more than one request can have. */
#define TD_VBD_EXTENTS		4096
/* Seconds a request is tried again by default. */
#define TD_VBD_REQ_TIMEOUT	120
/* Seconds a close waits for the last opener by default. */
#define TD_VBD_CLOSE_TIMEOUT	10

enum td_vreq_state {
	TD_VREQ_IDLE,
	TD_VREQ_DRIVER,
	TD_VREQ_MAPPED,
	TD_VREQ_ENDED,
	TD_VREQ_LISTED,
};

/**
 * struct td_vreq - a request and the core's part of it
 * @req: what the driver sees
 * @state: whose it is
 * @map_end: MAPPED: ends by itself if the transfer succeeds
 * @map_done: MAPPED: the driver is through with it if the transfer succeeds
 * @map_dsync: MAPPED: the transfer includes a sync
 * @tag: number at the kernel
 * @error: failed list: result of the transfer
 * @give_up: td_now() at which it is not tried again, 0: not tried again yet
 * @next: next in a list of the disk
 */
struct td_vreq {
	struct td_req req;
	enum td_vreq_state state;
	bool map_end;
	bool map_done;
	bool map_dsync;
	uint32_t tag;
	int error;
	int64_t give_up;
	struct td_vreq *next;
};

/**
 * struct td_vreq_list - requests in order
 * @head: first
 * @tail: where the next goes
 */
struct td_vreq_list {
	struct td_vreq *head;
	struct td_vreq **tail;
};

/**
 * struct td_vbd_stats - counters, from open
 * @reqs_in: requests taken
 * @reqs_out: requests ended or left to the kernel to end
 * @secs: sectors of READ and of WRITE taken
 * @fail: READ and WRITE ended with an error
 * @events: wakeups by the ring
 * @xfers: XFER calls
 * @second_secs: sectors of WRITE that the mirror has
 * @redirects: requests sent to the second image as the first was full
 */
struct td_vbd_stats {
	uint64_t reqs_in;
	uint64_t reqs_out;
	uint64_t secs[2];
	uint64_t fail[2];
	uint64_t events;
	uint64_t xfers;
	uint64_t second_secs;
	uint64_t redirects;
};

/**
 * struct td_image - an open image
 * @drv: its driver, NULL: none is open
 * @priv: the driver's data
 * @info: what it can do
 */
struct td_image {
	const struct td_driver *drv;
	void *priv;
	struct td_disk_info info;
};

/**
 * struct td_vbd_more - what belongs to a disk besides its image
 * @flags: TD_CTL_REUSE_PRT, TD_CTL_SECONDARY, TD_CTL_STANDBY
 * @second: "type:path" of the second image; empty: one that has failed
 * @parent: minor of the tap whose disk stands for the parents
 * @failed: the second image is not used any more
 */
struct td_vbd_more {
	unsigned int flags;
	char second[TD_CTL_PATH_MAX];
	unsigned int parent;
	bool failed;
};

/**
 * struct td_vbd - a disk
 * @minor: its minor
 * @fd: ring device
 * @depth: requests in flight at most
 * @max_io: longest READ or WRITE in bytes
 * @state: TD_CTL_* bits as LIST tells them
 * @created: the disk exists
 * @name: "type:path" of the image, empty before the first open
 * @open_flags: TD_OPEN_*
 * @timeout: seconds for which a request is tried again
 * @more: what belongs to the disk besides the image
 * @below: parents of the image that is being opened
 * @second: the mirror, if there is one
 * @standby_fd: the standby that is not used yet, locked, or -1
 * @redirecting: the second image is about to become the image
 * @waiting: changes that wait until the mirror has those before them
 * @waiting_tail: where the next goes
 * @waiting_work: starts them
 * @drv: driver of the image, NULL while none is open
 * @priv: the driver's data
 * @info: what the disk was created with; its size is that which it has now
 * @image: what the open image can do
 * @reqs: requests by tag
 * @cmds: commands for the next XFER
 * @nr_cmds: how many
 * @exts: extents of the commands
 * @nr_exts: how many
 * @events: room for events
 * @in_driver: requests in state DRIVER, and td_vbd_hold()
 * @transfers: transfers that went on at the last XFER
 * @quiet: XFERs since then without any sign of a transfer
 * @held: requests that wait for the end of a pause
 * @retry: requests that wait for @retry_timer
 * @failed: requests whose transfer could not start
 * @stalled: requests were tried again, not yet known to go on
 * @bad_events: events that were refused, to limit messages
 * @sync_error: a sync failed with this, or 0: what the guest wrote may be lost
 * @files: files known to the kernel
 * @buffered: one of them, at least, was not opened with O_DIRECT
 * @running: the ring is run, no need to queue @work
 * @work: runs the ring
 * @poll: wakeups of the ring
 * @polled: the poll is armed
 * @retry_timer: submits @retry
 * @drain_timer: looks again if nothing is in flight
 * @close_timer: tries again to remove the disk
 * @close_by: td_now() at which to give that up
 * @detaching: the ring device will be closed when @poll has ended
 * @op_done: tells the end of a pause, close or detach that goes on, or NULL
 * @op_arg: for @op_done
 * @op_fn: next step of the operation, when nothing is in flight
 * @paused_by: of the control server: who has to be there for the disk to stay
 *	paused, or NULL
 * @stats: counters
 * @next: next disk
 */
struct td_vbd {
	int minor;
	int fd;
	uint32_t depth;
	uint32_t max_io;
	unsigned int state;
	bool created;
	char name[TD_CTL_PATH_MAX];
	unsigned int open_flags;
	unsigned int timeout;
	struct td_vbd_more more;
	struct td_below below;
	struct td_image second;
	int standby_fd;
	bool redirecting;
	struct td_req *waiting;
	struct td_req **waiting_tail;
	struct td_work waiting_work;
	const struct td_driver *drv;
	void *priv;
	struct td_disk_info info;
	struct td_disk_info image;
	struct td_vreq *reqs;
	struct blktap_direct_cmd *cmds;
	unsigned int nr_cmds;
	struct blktap_direct_extent *exts;
	unsigned int nr_exts;
	struct blktap_direct_event *events;
	unsigned int in_driver;
	unsigned int transfers;
	unsigned int quiet;
	struct td_vreq_list held;
	struct td_vreq_list retry;
	struct td_vreq_list failed;
	bool stalled;
	unsigned int bad_events;
	int sync_error;
	bool files[BLKTAP_DIRECT_FILES_MAX];
	bool buffered;
	bool running;
	struct td_work work;
	struct td_event poll;
	bool polled;
	struct td_timer retry_timer;
	struct td_timer drain_timer;
	struct td_timer close_timer;
	int64_t close_by;
	bool detaching;
	void (*op_done)(void *arg, int error);
	void *op_arg;
	void (*op_fn)(struct td_vbd *vbd);
	const void *paused_by;
	struct td_vbd_stats stats;
	struct td_vbd *next;
};

/* All disks of the process, in the order they were attached. */
extern struct td_vbd *td_vbds;

/**
 * td_vbd_find() - find a disk
 * @minor: its minor
 *
 * Return: disk or NULL.
 */
struct td_vbd *td_vbd_find(int minor);

/**
 * td_vbd_attach() - open a ring device
 * @minor: its minor
 *
 * Return: 0 or -errno: -EEXIST if it is attached already.
 */
int td_vbd_attach(int minor);

/**
 * td_vbd_open() - open an image and create, or take over, the disk
 * @vbd: attached disk
 * @name: "type:path"
 * @flags: TD_OPEN_*
 * @timeout: seconds for which a request is tried again, 0 for the default
 * @more: what to open besides, or NULL
 *
 * Return: 0 or -errno: -EALREADY if an image is open.
 */
int td_vbd_open(struct td_vbd *vbd, const char *name, unsigned int flags,
		unsigned int timeout, const struct td_vbd_more *more);

/**
 * td_vbd_pause() - hold requests and close the image
 * @vbd: disk
 * @done: told when that is done, perhaps at once
 * @arg: for @done
 */
void td_vbd_pause(struct td_vbd *vbd, void (*done)(void *arg, int error),
		  void *arg);

/**
 * td_vbd_cancel() - take a pause back that has not come to its end
 * @vbd: disk
 * @arg: as given to td_vbd_pause(), whose @done gets -ECANCELED; nothing
 *	happens if that has been called
 *
 * Requests may wait for a server that does not answer, and so would the guest.
 */
void td_vbd_cancel(struct td_vbd *vbd, void *arg);

/**
 * td_vbd_resume() - open the image again and submit what was held
 * @vbd: disk
 * @name: new "type:path", or empty for the old one
 * @flags: TD_OPEN_* in addition to those of the open
 * @more: what to open besides, or NULL: with the old image what it had, with
 *	a new one nothing
 *
 * If the image is larger than the disk, the disk grows.
 *
 * Return: 0 or -errno; -EINVAL if the image is smaller than the disk.
 */
int td_vbd_resume(struct td_vbd *vbd, const char *name, unsigned int flags,
		  const struct td_vbd_more *more);

/**
 * td_vbd_close() - remove the disk and close the image
 * @vbd: disk
 * @timeout: seconds to wait for the last opener, 0 for the default
 * @force: end all requests with -EIO from now on
 * @done: told when that is done or given up (-EBUSY)
 * @arg: for @done
 */
void td_vbd_close(struct td_vbd *vbd, unsigned int timeout, bool force,
		  void (*done)(void *arg, int error), void *arg);

/**
 * td_vbd_detach() - close the ring device
 * @vbd: disk, freed unless that fails
 * @done: told when that is done, or -EBUSY if an image is open
 * @arg: for @done
 */
void td_vbd_detach(struct td_vbd *vbd, void (*done)(void *arg, int error),
		   void *arg);

/**
 * td_vbd_unsynced() - what the guest wrote may be lost, as a sync failed
 * @vbd: disk; no FLUSH and no FUA write succeeds until it is closed
 * @error: with what the sync failed, -errno
 *
 * A file beside the control sockets tells it to a tapdisk that takes over.
 */
void td_vbd_unsynced(struct td_vbd *vbd, int error);

/**
 * td_vbd_mark() - write something down for a tapdisk that takes over
 * @vbd: disk
 * @format: name of the file beside the control sockets, for printf()
 * @set: make the file, else remove it
 *
 * Return: 0, or -errno with a message.
 */
int td_vbd_mark(const struct td_vbd *vbd, const char *format, bool set);

/**
 * td_vbd_stats() - counters as text
 * @vbd: disk, or NULL for an array of all
 *
 * Return: text, to be freed by the caller, or NULL.
 */
char *td_vbd_stats(const struct td_vbd *vbd);

/*
 * req.c, for vbd.c.
 */

/**
 * td_vreq_list_init() - make an empty list
 * @list: list
 */
void td_vreq_list_init(struct td_vreq_list *list);

/**
 * td_vbd_run() - exchange commands and events with the kernel
 * @vbd: disk
 */
void td_vbd_run(struct td_vbd *vbd);

/**
 * td_vbd_submit_all() - submit all requests of a list
 * @vbd: disk
 * @list: its list, empty afterwards
 */
void td_vbd_submit_all(struct td_vbd *vbd, struct td_vreq_list *list);

/**
 * td_vbd_retry_timer() - submit what waits to be tried again
 * @timer: retry_timer of a disk
 */
void td_vbd_retry_timer(struct td_timer *timer);

/**
 * td_image_open() - open an image
 * @vbd: its disk
 * @name: "type:path"
 * @flags: TD_OPEN_*
 * @image: filled in
 *
 * Return: 0, or -errno with a message.
 */
int td_image_open(struct td_vbd *vbd, const char *name, unsigned int flags,
		  struct td_image *image);

/*
 * second.c, for vbd.c and req.c.
 */

/* Where the nodes of disks are; where there is something to write down. */
extern const char *td_dev_dir;
extern const char *td_run_dir;

/**
 * td_second_take_over() - see what became of the second image before
 * @name: "type:path" of the image; that of the mirror if it took its place
 * @more: changed: a mirror without a name is one that has failed
 */
void td_second_take_over(const char *name, struct td_vbd_more *more);

/**
 * td_second_prepare() - check what is to be opened besides an image
 * @vbd: disk
 * @name: "type:path" of the image
 * @flags: TD_OPEN_*
 * @more: what else
 * @image: set to the image to open: @name, or the standby in its place
 *
 * Return: 0, or -errno with a message.
 */
int td_second_prepare(struct td_vbd *vbd, const char *name, unsigned int flags,
		      const struct td_vbd_more *more, const char **image);

/**
 * td_second_open() - open what belongs to an image that was opened
 * @vbd: disk
 * @name: "type:path" of the image
 * @flags: TD_OPEN_*
 * @more: what else
 * @info: what the image can do, cut to what both can do
 *
 * Return: 0, or -errno with a message.
 */
int td_second_open(struct td_vbd *vbd, const char *name, unsigned int flags,
		   const struct td_vbd_more *more, struct td_disk_info *info);

/**
 * td_second_close() - opposite of td_second_open()
 * @vbd: disk
 */
void td_second_close(struct td_vbd *vbd);

/**
 * td_second_image() - which image is the leaf
 * @vbd: disk
 *
 * Return: "type:path", the disk's name or that of its standby.
 */
const char *td_second_image(const struct td_vbd *vbd);

/**
 * td_second_submit() - submit a request to the image and to what it has
 * @vbd: disk
 * @req: request, in state DRIVER
 */
void td_second_submit(struct td_vbd *vbd, struct td_req *req);

/**
 * td_second_redirect() - let the second image take the place of a full one
 * @vbd: disk
 * @req: request that failed, to be submitted again after it
 * @error: with what
 *
 * Return: false if that cannot be; the request is as it was.
 */
bool td_second_redirect(struct td_vbd *vbd, const struct td_req *req,
			int error);

/**
 * td_driver_find() - find a driver
 * @name: "type:path"
 * @path: set to the path
 *
 * Return: driver, or NULL with a message that names the known types.
 */
const struct td_driver *td_driver_find(const char *name, const char **path);

/**
 * td_driver_index() - number of a driver, for the counters
 * @drv: driver
 *
 * Return: number, from 0.
 */
int td_driver_index(const struct td_driver *drv);

#endif /* TD_VBD_H */
