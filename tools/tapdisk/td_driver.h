/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an image driver of tapdisk2 is and what the core does for it.
 *
 * A driver is a folder in drivers/ with one struct td_driver. It turns
 * requests into commands to the kernel: td_req_map() tells in which extents
 * of which files the data of a request lives, td_req_end() ends a request.
 * It never touches the data. Its own metadata goes through struct td_io,
 * which is asynchronous.
 *
 * Everything runs in the one thread of the event loop: no locks. Callbacks
 * are never called from within the function that starts the operation.
 */
#ifndef TD_DRIVER_H
#define TD_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/blktap2.h>

struct json_object;
struct td_vbd;

/**
 * struct td_disk_info - what a driver says of a disk it opened
 * @sectors: size in 512-byte sectors, not 0
 * @sector_size: logical sector size in bytes: 512 or 4096; before the open,
 *	that of the disk if it exists already, else 0
 * @phys_size: preferred granularity of I/O in bytes
 * @discard: TRIM requests are taken
 * @discard_size: granularity of TRIM in bytes
 * @write_zeroes: WRITE_ZEROES requests are taken
 *
 * FLUSH and FUA are taken by every driver.
 */
struct td_disk_info {
	uint64_t sectors;
	uint32_t sector_size;
	uint32_t phys_size;
	bool discard;
	uint32_t discard_size;
	bool write_zeroes;
};

/**
 * struct td_req - a request of the guest, from submit to its end
 * @op: BLKTAP_OP_*
 * @fua: the data must be on stable storage when the request ends
 * @sector: first sector of 512 bytes, inside the disk (checked)
 * @nr_sectors: length in sectors of 512 bytes, not 0 but for FLUSH (checked)
 * @vbd: the disk
 * @mapped: callback of td_req_map()
 * @done: of the core: told the end in place of the kernel, if not NULL
 * @next: for the driver's own lists
 * @priv: for the driver
 */
struct td_req {
	uint8_t op;
	bool fua;
	uint64_t sector;
	uint32_t nr_sectors;
	struct td_vbd *vbd;
	void (*mapped)(struct td_req *req, int error);
	void (*done)(struct td_req *req, int error);
	struct td_req *next;
	uint64_t priv[8];
};

/* td_req_map(): end the request when the transfer succeeds. */
#define TD_MAP_END	0x1
/* td_req_map(): write through to stable storage. */
#define TD_MAP_DSYNC	0x2

/**
 * td_req_map() - let the kernel transfer the data of a READ or WRITE
 * @req: request; with TD_MAP_END it is not the driver's any more if the
 *	transfer succeeds
 * @ext: extents, copied; they add up to the length of the request
 * @nr: number of extents
 * @flags: TD_MAP_*
 * @mapped: called with 0 or -errno when the transfer ended; with TD_MAP_END
 *	only if it failed. The request is then the driver's again and needs
 *	td_req_map() or td_req_end().
 */
void td_req_map(struct td_req *req, const struct blktap_direct_extent *ext,
		unsigned int nr, unsigned int flags,
		void (*mapped)(struct td_req *req, int error));

/**
 * td_req_end() - end a request
 * @req: request, not the driver's any more
 * @error: 0 or -errno; if it may pass by itself (-EIO, -ENOSPC and the like)
 *	the request is submitted again, from the start, each second until the
 *	request timeout of the disk is over. Not a FLUSH: its failure means
 *	that data may be lost, and all that follow fail as well.
 */
void td_req_end(struct td_req *req, int error);

/**
 * td_vbd_file_add() - make a file known to the kernel
 * @vbd: disk
 * @fd: descriptor, stays the caller's
 *
 * Return: index for struct blktap_direct_extent, or -errno.
 */
int td_vbd_file_add(struct td_vbd *vbd, int fd);

/**
 * td_vbd_file_del() - take a file back from the kernel
 * @vbd: disk
 * @index: as returned by td_vbd_file_add()
 */
void td_vbd_file_del(struct td_vbd *vbd, int index);

/**
 * td_vbd_hold() - something goes on that no request waits for
 * @vbd: disk, not closed or paused until td_vbd_release()
 */
void td_vbd_hold(struct td_vbd *vbd);

/**
 * td_vbd_release() - it has ended
 * @vbd: disk
 */
void td_vbd_release(struct td_vbd *vbd);

/**
 * struct td_below - where an image that is being opened has its parents
 * @dirs: folders in which they may be, separated by colons, besides its own;
 *	empty: those of the environment
 * @dev: disk of another tap that stands for all of them, or empty
 */
struct td_below {
	char dirs[8192];
	char dev[256];
};

/**
 * td_vbd_below() - what is special about the parents of an image
 * @vbd: disk that opens it
 *
 * Return: never NULL; valid until the disk is closed.
 */
const struct td_below *td_vbd_below(const struct td_vbd *vbd);

enum td_io_op {
	TD_IO_READ,
	TD_IO_WRITE,
	TD_IO_FDATASYNC,
	TD_IO_PUNCH,		/* fallocate: PUNCH_HOLE | KEEP_SIZE */
	TD_IO_RESERVE,		/* fallocate: KEEP_SIZE */
	TD_IO_START,		/* sync_file_range: WRITE */
	TD_IO_ZERO,		/* fallocate: ZERO_RANGE */
};

/**
 * struct td_io - asynchronous I/O of a driver on one of its files
 * @op: what to do
 * @fd: file
 * @buf: data (READ, WRITE), aligned to 4096 if the file is O_DIRECT
 * @len: length in bytes
 * @off: offset in bytes
 * @done: called with 0 or -errno; a short READ (end of file) has its rest
 *	zeroed, a short WRITE is carried on by the core
 * @priv: for the caller
 * @pos: of the core: bytes done so far
 */
struct td_io {
	enum td_io_op op;
	int fd;
	void *buf;
	size_t len;
	uint64_t off;
	void (*done)(struct td_io *io, int error);
	void *priv;
	size_t pos;
};

/**
 * td_io_submit() - start an I/O
 * @io: filled in by the caller, alive until @done is called
 */
void td_io_submit(struct td_io *io);

/* td_driver open flags */
#define TD_OPEN_RDONLY		0x1
/* Do not use O_DIRECT. */
#define TD_OPEN_BUFFERED	0x2
/* Write what is read from parents into the image. */
#define TD_OPEN_CACHE		0x4

/**
 * struct td_driver - an image format
 * @name: the word before the colon in "type:path"
 * @open: open the image at @path with all its parents, lock it (flock-like
 *	OFD locks: exclusive for writing, shared for reading; -EBUSY with a
 *	message if it is in use), add its files, fill @info and @priv. May
 *	block. 0 or -errno, with a message through td_err().
 * @close: opposite of @open, no request is in flight. May block. Makes all
 *	metadata durable. 0 or -errno.
 * @submit: start a request; TRIM and WRITE_ZEROES only if @info said so
 * @stats: optional: add members to the object of the image
 *
 * @open and @close run while the disk is paused, @submit never does.
 */
struct td_driver {
	const char *name;
	int (*open)(struct td_vbd *vbd, const char *path, unsigned int flags,
		    struct td_disk_info *info, void **priv);
	int (*close)(void *priv);
	void (*submit)(void *priv, struct td_req *req);
	void (*stats)(void *priv, struct json_object *image);
};

extern const struct td_driver td_driver_aio;
extern const struct td_driver td_driver_null;
extern const struct td_driver td_driver_ram;
extern const struct td_driver td_driver_vhd;

/**
 * td_vhd_standby() - can a VHD take what no longer fits into another image?
 * @path: the VHD
 * @dirs: folders for its parents, as in struct td_below
 * @primary: path of the other image, which must be its parent
 * @raw: which is no VHD
 * @used: set if there is data in it already
 *
 * Return: 0, or -errno with a message.
 */
int td_vhd_standby(const char *path, const char *dirs, const char *primary,
		   bool raw, bool *used);

#endif /* TD_DRIVER_H */
