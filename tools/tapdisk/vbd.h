/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk (VBD) of tapdisk2: a ring device, the image that is open on it, and
 * the requests in between.
 *
 * Life: attach (ring open) - open (image open, disk created) - pause, resume
 * (image closed and opened again, disk stays) - close (disk removed, image
 * closed) - detach. vbd.c has the life, req.c the requests.
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
 * @tag: number at the kernel
 * @error: failed list: result of the transfer
 * @give_up: td_now() at which it is not tried again, 0: not tried again yet
 * @next: next in a list of the disk
 */
struct td_vreq {
	struct td_req req;
	enum td_vreq_state state;
	bool map_end;
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
 */
struct td_vbd_stats {
	uint64_t reqs_in;
	uint64_t reqs_out;
	uint64_t secs[2];
	uint64_t fail[2];
	uint64_t events;
	uint64_t xfers;
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
 * @drv: driver of the image, NULL while none is open
 * @priv: the driver's data
 * @info: what the disk was created with
 * @image: what the open image can do
 * @reqs: requests by tag
 * @cmds: commands for the next XFER
 * @nr_cmds: how many
 * @exts: extents of the commands
 * @nr_exts: how many
 * @events: room for events
 * @in_driver: requests in state DRIVER
 * @transfers: transfers that went on at the last XFER
 * @quiet: XFERs since then without any sign of a transfer
 * @held: requests that wait for the end of a pause
 * @retry: requests that wait for @retry_timer
 * @failed: requests whose transfer could not start
 * @stalled: requests were tried again, not yet known to go on
 * @bad_events: events that were refused, to limit messages
 * @files: files known to the kernel
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
	bool files[BLKTAP_DIRECT_FILES_MAX];
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
 *
 * Return: 0 or -errno: -EALREADY if an image is open.
 */
int td_vbd_open(struct td_vbd *vbd, const char *name, unsigned int flags,
		unsigned int timeout);

/**
 * td_vbd_pause() - hold requests and close the image
 * @vbd: disk
 * @done: told when that is done, perhaps at once
 * @arg: for @done
 */
void td_vbd_pause(struct td_vbd *vbd, void (*done)(void *arg, int error),
		  void *arg);

/**
 * td_vbd_resume() - open the image again and submit what was held
 * @vbd: disk
 * @name: new "type:path", or empty for the old one
 * @flags: TD_OPEN_* in addition to those of the open
 *
 * Return: 0 or -errno.
 */
int td_vbd_resume(struct td_vbd *vbd, const char *name, unsigned int flags);

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
