/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine: what happens while a VHD is used as a disk.
 *
 * It is asynchronous and does no data I/O itself. A host submits requests;
 * the engine tells it in which extents of which files the data of a request
 * lives, when a request is through, and which I/O on metadata it wants. There
 * are two hosts: the vhd driver of tapdisk2, where the kernel transfers the
 * data, and disk.c, where pread() and pwrite() do.
 *
 * An engine is used by one thread. Callbacks into the engine (@mapped of a
 * request, @done of an I/O) must not be made from within the function of the
 * host that starts the operation.
 */
#ifndef VHD_ENGINE_H
#define VHD_ENGINE_H

#include "vhd.h"

struct vhd_eng;

/* Longest READ and WRITE, in bytes. */
#define VHD_REQ_MAX		(1024 * 1024)

enum vhd_req_op {
	VHD_REQ_READ,
	VHD_REQ_WRITE,
	VHD_REQ_FLUSH,
	VHD_REQ_TRIM,
	VHD_REQ_WRITE_ZEROES,
};

/**
 * struct vhd_req - a request, from vhd_eng_submit() to its end
 * @op: enum vhd_req_op
 * @fua: the data must be on stable storage when the request ends
 * @nr_sectors: length in sectors, not 0 but for FLUSH
 * @sector: first sector, inside the disk
 * @eng: of the engine: which one
 * @mapped: of the engine: what the host calls when a transfer ended
 * @next: of the engine: for its queues
 * @done: of the engine: told the end in place of the host
 * @op_now: of the engine: what it is doing
 * @pos: of the engine: sectors dealt with
 */
struct vhd_req {
	uint8_t op;
	bool fua;
	uint32_t nr_sectors;
	uint64_t sector;
	struct vhd_eng *eng;
	void (*mapped)(struct vhd_req *req, int error);
	struct vhd_req *next;
	void (*done)(struct vhd_req *req, int error);
	void *op_now;
	uint32_t pos;
};

#define VHD_EXTENT_FILE		0
#define VHD_EXTENT_ZERO		1

/**
 * struct vhd_extent - where a part of a request's data lives
 * @addr: offset in bytes
 * @len: length in bytes, a multiple of 512
 * @file: as returned by @file_add of the host (FILE)
 * @kind: VHD_EXTENT_*
 */
struct vhd_extent {
	uint64_t addr;
	uint32_t len;
	uint16_t file;
	uint16_t kind;
};

/* End the request when the transfer succeeds. */
#define VHD_MAP_END		0x1
/* Write through to stable storage. */
#define VHD_MAP_DSYNC		0x2

enum vhd_io_op {
	VHD_IO_READ,
	VHD_IO_WRITE,
	VHD_IO_FDATASYNC,
	VHD_IO_PUNCH,		/* fallocate: PUNCH_HOLE | KEEP_SIZE */
	VHD_IO_RESERVE,		/* fallocate: KEEP_SIZE */
	VHD_IO_START,		/* sync_file_range: WRITE */
};

/**
 * struct vhd_io - I/O on metadata
 * @op: what to do
 * @fd: file
 * @buf: data (READ, WRITE), aligned to 4096
 * @len: length in bytes
 * @off: offset in bytes
 * @done: called with 0 or -errno; all is transferred then, the rest of a
 *	READ that ends behind the end of the file is zeros
 * @priv: for the engine
 * @room: for the host
 */
struct vhd_io {
	enum vhd_io_op op;
	int fd;
	void *buf;
	size_t len;
	uint64_t off;
	void (*done)(struct vhd_io *io, int error);
	void *priv;
	uint64_t room[8];
};

/**
 * struct vhd_host - what the engine needs of its host
 * @file_add: a file of the chain, the leaf first; index or -errno
 * @file_del: opposite of @file_add
 * @map: transfer the data of a READ or WRITE: @nr extents, which add up to
 *	its length and are good only during the call. Then call @req->mapped
 *	with 0 or -errno; with VHD_MAP_END only if it failed, else the host
 *	ends the request.
 * @end: the request is through; not the engine's any more
 * @retry: what failed may succeed later: submit the request again, from the
 *	start, or end it with this error
 * @io: start an I/O
 * @hold: only with VHD_ENG_CACHE: something that no request waits for goes on
 *	(true), so the engine must not be closed until it has ended (false)
 */
struct vhd_host {
	int (*file_add)(void *priv, int fd);
	void (*file_del)(void *priv, int index);
	void (*map)(void *priv, struct vhd_req *req,
		    const struct vhd_extent *ext, unsigned int nr,
		    unsigned int flags);
	void (*end)(void *priv, struct vhd_req *req, int error);
	void (*retry)(void *priv, struct vhd_req *req, int error);
	void (*io)(void *priv, struct vhd_io *io);
	void (*hold)(void *priv, bool hold);
};

#define VHD_ENG_RDONLY		0x1
/* Do not use O_DIRECT. */
#define VHD_ENG_BUFFERED	0x2
/*
 * No parents: what is not in the leaf reads as zeros. A write to a
 * differencing image sets the bits of its sectors and no other.
 */
#define VHD_ENG_LEAF_ONLY	0x4
/* Write what is read from parents into the leaf. */
#define VHD_ENG_CACHE		0x8

/* What vhd_eng_stats() tells. */
struct vhd_eng_stats {
	uint64_t syncs;		/* fdatasync */
	uint64_t loads;		/* bitmaps read */
	uint64_t meta_writes;	/* sectors of metadata written */
	uint64_t cached;	/* sectors of parents written into the leaf */
};

/**
 * vhd_eng_open() - open an image as a disk
 * @host: copied
 * @priv: for @host
 * @ctx: messages and policy, copied
 * @path: leaf; locked, as its parents are
 * @flags: VHD_ENG_*
 * @parent: plain disk that stands for all parents, or NULL
 * @eng: result
 *
 * May block. Return: 0 or -errno, as vhd_open().
 */
int vhd_eng_open(const struct vhd_host *host, void *priv,
		 const struct vhd_ctx *ctx, const char *path,
		 unsigned int flags, const char *parent, struct vhd_eng **eng);
/* No request is in flight. All is durable if it returns 0. May block. */
int vhd_eng_close(struct vhd_eng *eng);
void vhd_eng_submit(struct vhd_eng *eng, struct vhd_req *req);
const struct vhd_image *vhd_eng_leaf(const struct vhd_eng *eng);
/* Are TRIM and WRITE_ZEROES of use? */
bool vhd_eng_can_punch(const struct vhd_eng *eng);
const struct vhd_eng_stats *vhd_eng_stats(const struct vhd_eng *eng);

#endif /* VHD_ENGINE_H */
