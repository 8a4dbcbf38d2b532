/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * blktap2: block devices served by a user space process.
 *
 * A tap is a minor number with two nodes: the ring device
 * /dev/xen/blktap-2/blktapN, opened by the process that serves the disk (the
 * server), and the disk /dev/xen/blktap-2/tapdevN. Taps are allocated and
 * freed through the control device /dev/xen/blktap-2/control.
 *
 * Two data planes exist. Ring mode is the ABI of blktap 2.0.91 and needs no
 * negotiation: a page of requests and 11 data pages for each of its 32 slots,
 * mapped by the server. Direct mode is entered by BLKTAP_IOCTL_DIRECT_SETUP
 * before the disk is created: the server fetches request descriptors and
 * answers with commands, most often a list of file extents in which the
 * kernel itself then reads or writes the request's data.
 */
#ifndef _UAPI_XEN_BLKTAP2_H
#define _UAPI_XEN_BLKTAP2_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Control device.
 */

/* Allocate the lowest free minor; out: struct blktap_info. */
#define BLKTAP_IOCTL_ALLOC_TAP		200
/* Free a minor, which is passed by value. */
#define BLKTAP_IOCTL_FREE_TAP		201

/**
 * struct blktap_info - numbers of a new tap
 * @ring_major: character major of the ring device
 * @bdev_major: block major of the disk
 * @ring_minor: minor of both
 */
struct blktap_info {
	__u32 ring_major;
	__u32 bdev_major;
	__u32 ring_minor;
};

/*
 * Ring device, both modes.
 */

/* Ring mode: responses up to rsp_prod are there to be consumed. */
#define BLKTAP_IOCTL_RESPOND		1
/* As BLKTAP_IOCTL_CREATE_DEVICE with a struct blktap2_params. */
#define BLKTAP_IOCTL_CREATE_DEVICE_COMPAT 202
/* Remove the disk; -EBUSY while it is open. */
#define BLKTAP_IOCTL_REMOVE_DEVICE	207
/*
 * Create the disk, or take over the one a dead server left, which grows if its
 * image has grown.
 */
#define BLKTAP_IOCTL_CREATE_DEVICE	208

#define BLKTAP_NAME_MAX			256

/**
 * struct blktap2_params - geometry of a disk, first form
 * @name: name of the tap, kept if not empty
 * @capacity: size in 512-byte sectors
 * @sector_size: logical sector size in bytes
 */
struct blktap2_params {
	char name[BLKTAP_NAME_MAX];
	__u64 capacity;
	unsigned long sector_size;
};

/* The disk is read-only. */
#define BLKTAP_DEVICE_RO		0x01UL
/* phys_block_size and phys_block_offset are valid. */
#define BLKTAP_DEVICE_PSZ		0x02UL
/* The server takes BLKTAP_OP_FLUSH. */
#define BLKTAP_DEVICE_FLUSH		0x04UL
/* The server takes BLKTAP_OP_TRIM; trim_block_* are valid. */
#define BLKTAP_DEVICE_TRIM		0x08UL
/* Trimmed sectors read as zeros. */
#define BLKTAP_DEVICE_TRIM_RZ		0x10UL
/* Direct mode: the server takes BLKTAP_REQ_FUA on writes. */
#define BLKTAP_DEVICE_FUA		0x20UL
/* Direct mode: the server takes BLKTAP_OP_WRITE_ZEROES. */
#define BLKTAP_DEVICE_WRITE_ZEROES	0x40UL
/*
 * Direct mode, with WRITE_ZEROES: the server obeys BLKTAP_REQ_NOUNMAP. It is not
 * given such requests otherwise; the zeros are written then. A server that takes
 * over need not have it.
 */
#define BLKTAP_DEVICE_NOUNMAP		0x80UL

/**
 * struct blktap_device_info - geometry of a disk
 * @capacity: size in 512-byte sectors
 * @sector_size: logical sector size in bytes, a power of two
 * @flags: BLKTAP_DEVICE_*; the flags that the kernel knows are written back
 * @phys_block_size: physical sector size in bytes (with PSZ)
 * @phys_block_offset: offset of the first physical sector in bytes (with PSZ)
 * @trim_block_size: discard granularity in bytes (with TRIM)
 * @trim_block_offset: discard alignment in bytes (with TRIM)
 *
 * Only the first 24 bytes are read without PSZ and TRIM, and only the first
 * 32 without TRIM.
 */
struct blktap_device_info {
	__u64 capacity;
	__u32 sector_size;
	unsigned long flags;
	__u32 phys_block_size;
	__u32 phys_block_offset;
	__u32 trim_block_size;
	__u32 trim_block_offset;
};

/*
 * Ring mode. The first page of the mapping is the ring, the data page of
 * segment s of the request with id i is page 1 + i * 11 + s. These pages are of
 * BLKTAP_PAGE_SIZE bytes, whatever the page size of the kernel; the mapping of all
 * is rounded up to that. On a kernel whose pages are larger than 11 of these,
 * mmap() fails with EOPNOTSUPP.
 */

#define BLKTAP_PAGE_SIZE		4096
#define BLKTAP_RING_ENTRIES		32
#define BLKTAP_SEGMENT_MAX		11
#define BLKTAP_MAP_PAGES		(1 + BLKTAP_RING_ENTRIES * BLKTAP_SEGMENT_MAX)

#define BLKTAP_OP_READ			0
#define BLKTAP_OP_WRITE			1
#define BLKTAP_OP_FLUSH			2
#define BLKTAP_OP_TRIM			3
/* Direct mode only. */
#define BLKTAP_OP_WRITE_ZEROES		4

#define BLKTAP_RSP_OKAY			0
#define BLKTAP_RSP_ERROR		(-1)
#define BLKTAP_RSP_EOPNOTSUPP		(-2)

#define BLKTAP_RING_MESSAGE_CLOSE	3

/**
 * struct blktap_ring_segment - part of a request, within one page
 * @__pad: not used
 * @first_sect: first 512-byte sector in the page, 0..7
 * @last_sect: last 512-byte sector in the page, inclusive, @first_sect..7
 * @__pad2: not used
 */
struct blktap_ring_segment {
	__u32 __pad;
	__u8 first_sect;
	__u8 last_sect;
	__u16 __pad2;
};

/**
 * struct blktap_ring_request - a request in the ring, 112 bytes
 * @operation: BLKTAP_OP_*
 * @nr_segments: 1..11 for READ and WRITE, else 0
 * @__pad: not used
 * @id: slot of the request, 0..31
 * @sector_number: first sector of 512 bytes
 * @u: depends on @operation
 * @u.seg: where the data is (READ, WRITE)
 * @u.nr_sectors: length in sectors of 512 bytes (TRIM)
 */
struct blktap_ring_request {
	__u8 operation;
	__u8 nr_segments;
	__u16 __pad;
	__u64 id;
	__u64 sector_number;
	union {
		struct blktap_ring_segment seg[BLKTAP_SEGMENT_MAX];
		__u64 nr_sectors;
	} u;
};

/**
 * struct blktap_ring_response - answer to a request, in the same slots
 * @id: id of the request
 * @operation: operation of the request
 * @status: BLKTAP_RSP_*
 */
struct blktap_ring_response {
	__u64 id;
	__u8 operation;
	__s16 status;
};

/**
 * union blktap_ring_entry - a slot of the ring
 * @req: written by the kernel
 * @rsp: written by the server
 */
union blktap_ring_entry {
	struct blktap_ring_request req;
	struct blktap_ring_response rsp;
};

/**
 * struct blktap_sring - the ring page
 * @req_prod: requests produced by the kernel, free running
 * @req_event: initially 1, not used by the kernel
 * @rsp_prod: responses produced by the server, free running
 * @rsp_event: initially 1, not used by the kernel
 * @msg: BLKTAP_RING_MESSAGE_* or 0; the server clears it
 * @__pad: not used
 * @ring: the slots
 */
struct blktap_sring {
	__u32 req_prod;
	__u32 req_event;
	__u32 rsp_prod;
	__u32 rsp_event;
	__u8 msg;
	__u8 __pad[47];
	union blktap_ring_entry ring[BLKTAP_RING_ENTRIES];
};

/*
 * Direct mode.
 */

#define BLKTAP_DIRECT_VERSION		1
#define BLKTAP_DIRECT_DEPTH_MAX		256
#define BLKTAP_DIRECT_IO_MAX		(1024 * 1024)
#define BLKTAP_DIRECT_FILES_MAX		256

/**
 * struct blktap_direct_setup - parameters of direct mode
 * @version: in: highest version the server speaks; out: version in use
 * @flags: in: 0; out: 0
 * @depth: in: wanted, out: granted number of requests in flight,
 *	1..BLKTAP_DIRECT_DEPTH_MAX
 * @max_io: in: wanted, out: granted size of a READ or WRITE in bytes, from the
 *	page size of the kernel to BLKTAP_DIRECT_IO_MAX
 * @reserved: 0
 *
 * A server that takes over a disk is granted what the disk already has.
 */
struct blktap_direct_setup {
	__u32 version;
	__u32 flags;
	__u32 depth;
	__u32 max_io;
	__u32 reserved[4];
};

/* Enter direct mode. -EBUSY in ring mode (ring mapped or disk created so). */
#define BLKTAP_IOCTL_DIRECT_SETUP	_IOWR(0xba, 1, struct blktap_direct_setup)

/**
 * struct blktap_direct_file - a file for extents to name
 * @index: 0..BLKTAP_DIRECT_FILES_MAX - 1
 * @fd: a regular file or block device, or -1 to forget the file
 *
 * Access is what the descriptor was opened for; with O_DIRECT, I/O bypasses
 * the page cache. I/O already submitted to a forgotten file goes on.
 */
struct blktap_direct_file {
	__u32 index;
	__s32 fd;
};

#define BLKTAP_IOCTL_DIRECT_FILE	_IOW(0xba, 2, struct blktap_direct_file)

/*
 * Events: a new request, or the end of a MAP command, or: the disk was removed by
 * force, and its requests and transfers have ended. No tag that was handed out
 * before means anything any more. A server that does not know a type should ignore
 * the event.
 */
#define BLKTAP_EVENT_REQUEST		1
#define BLKTAP_EVENT_MAPPED		2
#define BLKTAP_EVENT_GONE		3

/* Request flag: the data must be on stable storage when the request ends. */
#define BLKTAP_REQ_FUA			0x1
/* Request flag: WRITE_ZEROES must leave the space in the image allocated. */
#define BLKTAP_REQ_NOUNMAP		0x2

/**
 * struct blktap_direct_event - what XFER hands to the server
 * @tag: which request, 0..depth - 1 (GONE: 0, like all that follows @type)
 * @type: BLKTAP_EVENT_*
 * @op: BLKTAP_OP_*
 * @flags: BLKTAP_REQ_*
 * @sector: first sector of 512 bytes
 * @nr_sectors: length in sectors of 512 bytes; 0 for FLUSH
 * @result: MAPPED: 0 or -errno
 *
 * After REQUEST and after MAPPED the server owns the request and owes it a
 * command.
 */
struct blktap_direct_event {
	__u32 tag;
	__u8 type;
	__u8 op;
	__u16 flags;
	__u64 sector;
	__u32 nr_sectors;
	__s32 result;
};

/* Data is at offset addr of file number file. */
#define BLKTAP_EXTENT_FILE		0
/* READ: the data is all zeros. Not for WRITE. */
#define BLKTAP_EXTENT_ZERO		1
/* Data is in the server's memory at addr; copied before XFER returns. */
#define BLKTAP_EXTENT_USER		2

/**
 * struct blktap_direct_extent - where a part of a request's data lives
 * @addr: offset or address in bytes; a multiple of 512 for FILE
 * @len: length in bytes, a multiple of 512, not 0
 * @file: index of the file (FILE), else 0
 * @kind: BLKTAP_EXTENT_*
 */
struct blktap_direct_extent {
	__u64 addr;
	__u32 len;
	__u16 file;
	__u16 kind;
};

/*
 * End the request with result. A READ cannot end with 0 before a MAP of it has
 * succeeded: its data would be what the memory held before.
 */
#define BLKTAP_CMD_END			1
/* Transfer the data of a READ or WRITE; the extents add up to its length. */
#define BLKTAP_CMD_MAP			2

/* MAP: end the request if the transfer succeeds, without an event. */
#define BLKTAP_MAP_END			0x1
/* MAP: write through to stable storage. */
#define BLKTAP_MAP_DSYNC		0x2

/**
 * struct blktap_direct_cmd - what XFER takes from the server
 * @tag: a request that the server owns
 * @op: BLKTAP_CMD_*
 * @flags: BLKTAP_MAP_* for MAP, else 0
 * @nr_extents: number of extents (MAP), 1..length in sectors; else 0
 * @result: 0 or -errno (END), else 0
 * @reserved: 0
 * @extents: address of an array of struct blktap_direct_extent (MAP), else 0
 */
struct blktap_direct_cmd {
	__u32 tag;
	__u8 op;
	__u8 flags;
	__u16 nr_extents;
	__s32 result;
	__u32 reserved;
	__u64 extents;
};

/**
 * struct blktap_direct_xfer - commands to the kernel, events to the server
 * @cmds: address of an array of struct blktap_direct_cmd
 * @events: address of an array of struct blktap_direct_event
 * @nr_cmds: in: number of commands; out: number carried out
 * @max_events: in: room for events; out: number of events written
 * @transfers: in: 0; out: number of MAP commands, of this call and of earlier
 *	ones, whose transfer has not ended
 * @reserved: 0
 *
 * Commands are carried out in order, then events are handed out. The first
 * bad command stops the call with its error (-EINVAL bad field, -ESRCH the
 * server does not own the request, -EBADF no such file, -EFAULT, -ENOMEM);
 * @nr_cmds then tells which it was and the request stays with the server. XFER
 * does not wait for requests or transfers: poll() tells when there are events.
 */
struct blktap_direct_xfer {
	__u64 cmds;
	__u64 events;
	__u32 nr_cmds;
	__u32 max_events;
	__u32 transfers;
	__u32 reserved;
};

#define BLKTAP_IOCTL_DIRECT_XFER	_IOWR(0xba, 3, struct blktap_direct_xfer)

/*
 * The disk has grown: in: its new size in 512-byte sectors. -EINVAL for one
 * that cannot be or that is smaller than the disk's, -ENODEV when this server
 * serves no disk.
 */
#define BLKTAP_IOCTL_DIRECT_RESIZE	_IOW(0xba, 4, __u64)

#endif /* _UAPI_XEN_BLKTAP2_H */
