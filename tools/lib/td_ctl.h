/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control protocol of tapdisk2: what goes over the socket
 * /var/run/blktap-control/ctl<pid>.
 *
 * A connection carries one request and its answer. Both are messages of 544
 * bytes, fields in the byte order of the machine. LIST is answered by one
 * message for each disk, with a count that goes down, and one with count 0;
 * STATS by a message and then by as many bytes of text as it tells;
 * FORCE_SHUTDOWN by CLOSE_RSP; EXIT by the end of the connection. A request
 * that is not understood is answered by TD_CTL_ERROR.
 *
 * A client that goes away before it has read the answer to PAUSE has never
 * known of the pause, so there is none: the disk goes on.
 *
 * This is the protocol of the 2.x user space of blktap, byte for byte: its
 * tap-ctl and ours can talk to its tapdisk2 and to ours.
 */
#ifndef TD_CTL_H
#define TD_CTL_H

#include <stddef.h>
#include <stdint.h>

#define TD_CTL_DIR		"/var/run/blktap-control"
#define TD_CTL_PREFIX		"ctl"
/* There if the mirror of a tap has failed; for printf(). */
#define TD_CTL_NOMIRROR		"tap%d.nomirror"
/* There if a sync of the image has failed: no FLUSH is to succeed. */
#define TD_CTL_UNSYNCED		"tap%d.unsynced"

/* Connections that a tapdisk2 serves at a time; more get EBUSY. */
#define TD_CTL_CONNS_MAX	10
/* Time for a message to be sent or received, in seconds. */
#define TD_CTL_TIMEOUT		10

#define TD_CTL_PATH_MAX		256
#define TD_CTL_MINORS_MAX	63

/* STATS: not one disk but all, as a JSON array. */
#define TD_CTL_COOKIE_ALL	65535

enum td_ctl_type {
	TD_CTL_ERROR = 1,
	TD_CTL_RUNTIME_ERROR,
	TD_CTL_PID,
	TD_CTL_PID_RSP,
	TD_CTL_ATTACH,
	TD_CTL_ATTACH_RSP,
	TD_CTL_OPEN,
	TD_CTL_OPEN_RSP,
	TD_CTL_PAUSE,
	TD_CTL_PAUSE_RSP,
	TD_CTL_RESUME,
	TD_CTL_RESUME_RSP,
	TD_CTL_CLOSE,
	TD_CTL_CLOSE_RSP,
	TD_CTL_DETACH,
	TD_CTL_DETACH_RSP,
	TD_CTL_LIST_MINORS,
	TD_CTL_LIST_MINORS_RSP,
	TD_CTL_LIST,
	TD_CTL_LIST_RSP,
	TD_CTL_STATS,
	TD_CTL_STATS_RSP,
	TD_CTL_FORCE_SHUTDOWN,
	TD_CTL_EXIT,
};

/* Flags of OPEN and RESUME. */
#define TD_CTL_SHARED		0x1
#define TD_CTL_RDONLY		0x2
#define TD_CTL_ADD_CACHE	0x4
#define TD_CTL_VHD_INDEX	0x8
#define TD_CTL_LOG_DIRTY	0x10
#define TD_CTL_ADD_LCACHE	0x20
#define TD_CTL_REUSE_PRT	0x40
#define TD_CTL_SECONDARY	0x80
#define TD_CTL_STANDBY		0x100
#define TD_CTL_NO_O_DIRECT	0x200
#define TD_CTL_ENCRYPTED	0x400

/* Flag of PAUSE: the disk goes on when the client closes the connection. */
#define TD_CTL_TIED		0x10000

/* State of a disk, as LIST tells it. */
#define TD_CTL_DEAD		0x1
#define TD_CTL_CLOSED		0x2
#define TD_CTL_QUIESCE_REQUESTED 0x4
#define TD_CTL_QUIESCED		0x8
#define TD_CTL_PAUSE_REQUESTED	0x10
#define TD_CTL_PAUSED		0x20
#define TD_CTL_SHUTDOWN_REQUESTED 0x40
#define TD_CTL_LOCKING		0x80
#define TD_CTL_LOG_DROPPED	0x100
#define TD_CTL_RESUME_FAILED	0x200

/* struct td_ctl_image: info */
#define TD_CTL_IMAGE_RDONLY	0x1

/**
 * struct td_ctl_image - OPEN_RSP: the opened image
 * @sectors: size in sectors of 512 bytes
 * @sector_size: logical sector size in bytes
 * @info: TD_CTL_IMAGE_*
 */
struct td_ctl_image {
	uint64_t sectors;
	uint32_t sector_size;
	uint32_t info;
};

/**
 * struct td_ctl_params - ATTACH, OPEN, RESUME, CLOSE, PAUSE
 * @flags: TD_CTL_SHARED..; PAUSE: TD_CTL_TIED
 * @devnum: minor number; not used, the cookie tells it
 * @domid: not used
 * @path: "type:path", ends with NUL; RESUME: empty for what it was
 * @prt_devnum: minor whose disk stands for the parents (TD_CTL_REUSE_PRT)
 * @req_timeout: OPEN: seconds for which a request is tried again, 0 for the
 *	default; CLOSE, FORCE_SHUTDOWN: seconds to wait for the disk's last
 *	opener to close it, 0 for the default
 * @secondary: second image (TD_CTL_SECONDARY); empty: a mirror that has failed
 */
struct td_ctl_params {
	uint32_t flags;
	uint32_t devnum;
	uint32_t domid;
	char path[TD_CTL_PATH_MAX];
	uint32_t prt_devnum;
	uint16_t req_timeout;
	char secondary[TD_CTL_PATH_MAX];
};

/**
 * struct td_ctl_response - ERROR and every answer without an arm of its own
 * @error: 0 or a positive errno
 * @message: text for people, ends with NUL
 */
struct td_ctl_response {
	int32_t error;
	char message[TD_CTL_PATH_MAX];
};

/**
 * struct td_ctl_minors - LIST_MINORS_RSP
 * @count: valid entries of @list
 * @list: minor numbers
 */
struct td_ctl_minors {
	int32_t count;
	int32_t list[TD_CTL_MINORS_MAX];
};

/**
 * struct td_ctl_list - LIST_RSP
 * @count: messages still to come, this one included; 0 in the last one,
 *	which tells of no disk
 * @minor: minor number
 * @state: TD_CTL_DEAD..
 * @path: "type:path", empty if no image was opened
 */
struct td_ctl_list {
	int32_t count;
	int32_t minor;
	int32_t state;
	char path[TD_CTL_PATH_MAX];
};

/**
 * struct td_ctl_stat - STATS_RSP
 * @type: 0
 * @cookie: that of the request
 * @length: bytes of text that follow the message; 0 if there is no such disk
 */
struct td_ctl_stat {
	uint16_t type;
	uint16_t cookie;
	uint64_t length;
};

/**
 * struct td_ctl_msg - a message
 * @type: enum td_ctl_type
 * @cookie: minor number
 * @u: by type
 */
struct td_ctl_msg {
	uint16_t type;
	uint16_t cookie;
	union {
		int32_t pid;
		struct td_ctl_image image;
		struct td_ctl_params params;
		struct td_ctl_response response;
		struct td_ctl_minors minors;
		struct td_ctl_list list;
		struct td_ctl_stat stat;
		uint8_t bytes[536];
	} u;
};

_Static_assert(sizeof(struct td_ctl_msg) == 544, "message size");
_Static_assert(offsetof(struct td_ctl_msg, cookie) == 2, "cookie");
_Static_assert(offsetof(struct td_ctl_msg, u) == 8, "union");
_Static_assert(sizeof(struct td_ctl_image) == 16, "image size");
_Static_assert(sizeof(struct td_ctl_params) == 532, "params size");
_Static_assert(offsetof(struct td_ctl_params, path) == 12, "path");
_Static_assert(offsetof(struct td_ctl_params, prt_devnum) == 268, "prt_devnum");
_Static_assert(offsetof(struct td_ctl_params, req_timeout) == 272,
	       "req_timeout");
_Static_assert(offsetof(struct td_ctl_params, secondary) == 274, "secondary");
_Static_assert(sizeof(struct td_ctl_response) == 260, "response size");
_Static_assert(sizeof(struct td_ctl_minors) == 256, "minors size");
_Static_assert(sizeof(struct td_ctl_list) == 268, "list size");
_Static_assert(sizeof(struct td_ctl_stat) == 16, "stat size");
_Static_assert(offsetof(struct td_ctl_stat, length) == 8, "stat length");
_Static_assert(TD_CTL_EXIT == 24, "types");

#endif /* TD_CTL_H */
