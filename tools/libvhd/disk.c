// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The disk of the public interface: a host of the engine that does all I/O
 * itself, at once. Only the news that it is done waits, in a queue, because
 * the engine may not be called back from within its calls. A function works
 * the queue until it is empty, so between calls there is nothing in flight.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "eng_private.h"

/**
 * struct vhd_disk_req - a request; there is one at a time
 * @req: for the engine
 * @buf: data; NULL: only @where is asked for
 * @done: it ended
 * @error: with that
 * @where: index of the image that has the first sector, or -ENODATA
 * @run: bytes from there on that are in it, too
 */
struct vhd_disk_req {
	struct vhd_req req;
	uint8_t *buf;
	bool done;
	int error;
	int where;
	uint32_t run;
};

/* Something that is done; in struct vhd_io.room for an I/O. */
struct vhd_disk_event {
	struct vhd_disk_event *next;
	struct vhd_io *io;
	struct vhd_req *req;
	int error;
};

/**
 * struct vhd_disk - see libvhd.h
 * @eng: engine
 * @file: descriptors of the images, the leaf first
 * @nr_files: how many
 * @head: what is done
 * @tail: end of the list
 * @mapped: the event of the transfer of the request
 */
struct vhd_disk {
	struct vhd_eng *eng;
	int file[VHD_CHAIN_MAX];
	unsigned int nr_files;
	struct vhd_disk_event *head;
	struct vhd_disk_event **tail;
	struct vhd_disk_event mapped;
};

_Static_assert(sizeof(struct vhd_disk_event) <=
	       sizeof(((struct vhd_io *)0)->room),
	       "vhd_io.room must hold a struct vhd_disk_event");

static void vhd_disk_queue(struct vhd_disk *disk, struct vhd_disk_event *event)
{
	event->next = NULL;
	if (!disk->head)
		disk->tail = &disk->head;
	*disk->tail = event;
	disk->tail = &event->next;
}

static int vhd_disk_file_add(void *priv, int fd)
{
	struct vhd_disk *disk = priv;

	if (disk->nr_files == VHD_CHAIN_MAX)
		return -ELOOP;
	disk->file[disk->nr_files] = fd;
	return disk->nr_files++;
}

static void vhd_disk_file_del(void *priv, int index)
{
	struct vhd_disk *disk = priv;

	disk->file[index] = -1;
}

/* A parent that was cut short while it was open reads as an error. */
static int vhd_disk_transfer(struct vhd_disk *disk, struct vhd_disk_req *r,
			     const struct vhd_extent *ext, unsigned int nr,
			     unsigned int flags)
{
	uint8_t *buf = r->buf;
	int leaf = disk->file[0];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nr && !ret; i++) {
		if (ext[i].kind == VHD_EXTENT_ZERO)
			memset(buf, 0, ext[i].len);
		else if (r->req.op == VHD_REQ_READ)
			ret = vhd_pread(disk->file[ext[i].file], buf,
					ext[i].len, ext[i].addr);
		else
			ret = vhd_pwrite(disk->file[ext[i].file], buf,
					 ext[i].len, ext[i].addr);
		buf += ext[i].len;
	}
	if (!ret && flags & VHD_MAP_DSYNC && fdatasync(leaf))
		ret = -errno;
	return ret;
}

static void vhd_disk_note(struct vhd_disk_req *r, const struct vhd_extent *ext,
			  unsigned int nr)
{
	unsigned int i;

	r->where = ext->kind == VHD_EXTENT_ZERO ? -ENODATA : ext->file;
	r->run = 0;
	for (i = 0; i < nr && ext[i].kind == ext->kind &&
	     ext[i].file == ext->file; i++)
		r->run += ext[i].len;
}

static void vhd_disk_map(void *priv, struct vhd_req *req,
			 const struct vhd_extent *ext, unsigned int nr,
			 unsigned int flags)
{
	struct vhd_disk_req *r = vhd_of(req, struct vhd_disk_req, req);
	struct vhd_disk *disk = priv;
	int error = 0;

	if (r->buf)
		error = vhd_disk_transfer(disk, r, ext, nr, flags);
	else
		vhd_disk_note(r, ext, nr);
	if (!error && flags & VHD_MAP_END) {
		r->done = true;
		return;
	}
	disk->mapped = (struct vhd_disk_event) { .req = req, .error = error };
	vhd_disk_queue(disk, &disk->mapped);
}

static void vhd_disk_end(void *priv, struct vhd_req *req, int error)
{
	struct vhd_disk_req *r = vhd_of(req, struct vhd_disk_req, req);

	(void)priv;
	r->done = true;
	r->error = error;
}

static int vhd_disk_do_io(const struct vhd_io *io)
{
	uint8_t *buf = io->buf;
	size_t left = io->len;
	uint64_t off = io->off;

	switch (io->op) {
	case VHD_IO_READ:
		while (left) {
			ssize_t n = pread(io->fd, buf, left, off);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return -errno;
			if (!n)
				break;
			buf += n;
			left -= n;
			off += n;
		}
		memset(buf, 0, left);
		return 0;
	case VHD_IO_WRITE:
		return vhd_pwrite(io->fd, io->buf, io->len, io->off);
	case VHD_IO_FDATASYNC:
		return fdatasync(io->fd) ? -errno : 0;
	case VHD_IO_START:
		return sync_file_range(io->fd, io->off, io->len,
				       SYNC_FILE_RANGE_WRITE) ? -errno : 0;
	case VHD_IO_RESERVE:
		return fallocate(io->fd, FALLOC_FL_KEEP_SIZE, io->off,
				 io->len) ? -errno : 0;
	default:
		return fallocate(io->fd, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, io->off, io->len) ?
		       -errno : 0;
	}
}

static void vhd_disk_io(void *priv, struct vhd_io *io)
{
	struct vhd_disk_event *event = (struct vhd_disk_event *)io->room;

	*event = (struct vhd_disk_event) {
		.io = io,
		.error = vhd_disk_do_io(io),
	};
	vhd_disk_queue(priv, event);
}

/* Who calls may try again, not we. */
static const struct vhd_host vhd_disk_host = {
	.file_add = vhd_disk_file_add,
	.file_del = vhd_disk_file_del,
	.map = vhd_disk_map,
	.end = vhd_disk_end,
	.retry = vhd_disk_end,
	.io = vhd_disk_io,
};

/* One request of a length that the engine takes. */
static int vhd_disk_one(struct vhd_disk *disk, struct vhd_disk_req *r)
{
	vhd_eng_submit(disk->eng, &r->req);
	while (disk->head) {
		struct vhd_disk_event *event = disk->head;

		disk->head = event->next;
		if (event->io)
			event->io->done(event->io, event->error);
		else
			event->req->mapped(event->req, event->error);
	}
	return r->done ? r->error : -EIO;
}

static int vhd_disk_do(struct vhd_disk *disk, enum vhd_req_op op, void *buf,
		       uint64_t sector, uint64_t nr, uint32_t max)
{
	uint64_t sectors = vhd_disk_sectors(disk);
	int ret = 0;

	if (sector > sectors || nr > sectors - sector)
		return vhd_msg(&vhd_eng_leaf(disk->eng)->ctx, -EINVAL,
			       "%s: sectors %llu and %llu more, must be inside of the disk of %llu sectors",
			       vhd_eng_leaf(disk->eng)->path,
			       (unsigned long long)sector,
			       (unsigned long long)nr,
			       (unsigned long long)sectors);
	while (nr && !ret) {
		struct vhd_disk_req r = {
			.req.op = op,
			.req.sector = sector,
			.req.nr_sectors = nr < max ? nr : max,
			.buf = buf,
		};

		ret = vhd_disk_one(disk, &r);
		if (buf)
			buf = (uint8_t *)buf +
			      (size_t)r.req.nr_sectors * VHD_SECTOR;
		sector += r.req.nr_sectors;
		nr -= r.req.nr_sectors;
	}
	return ret;
}

int vhd_disk_read(struct vhd_disk *disk, void *buf, uint64_t sector,
		  uint32_t nr)
{
	return vhd_disk_do(disk, VHD_REQ_READ, buf, sector, nr,
			   VHD_REQ_MAX / VHD_SECTOR);
}

int vhd_disk_write(struct vhd_disk *disk, const void *buf, uint64_t sector,
		   uint32_t nr)
{
	return vhd_disk_do(disk, VHD_REQ_WRITE, (void *)buf, sector, nr,
			   VHD_REQ_MAX / VHD_SECTOR);
}

/* What one call asks of the engine, in sectors. */
#define VHD_DISK_LONG	(1U << 30)

int vhd_disk_write_zeroes(struct vhd_disk *disk, uint64_t sector, uint64_t nr)
{
	return vhd_disk_do(disk, VHD_REQ_WRITE_ZEROES, NULL, sector, nr,
			   VHD_DISK_LONG);
}

int vhd_disk_discard(struct vhd_disk *disk, uint64_t sector, uint64_t nr)
{
	return vhd_disk_do(disk, VHD_REQ_TRIM, NULL, sector, nr,
			   VHD_DISK_LONG);
}

int vhd_disk_flush(struct vhd_disk *disk)
{
	struct vhd_disk_req r = { .req.op = VHD_REQ_FLUSH };

	return vhd_disk_one(disk, &r);
}

int vhd_disk_where(struct vhd_disk *disk, uint64_t sector, uint32_t nr,
		   uint32_t *run)
{
	struct vhd_disk_req r = {
		.req.op = VHD_REQ_READ,
		.req.sector = sector,
		.req.nr_sectors = nr < VHD_REQ_MAX / VHD_SECTOR ? nr :
				  VHD_REQ_MAX / VHD_SECTOR,
	};
	uint64_t sectors = vhd_disk_sectors(disk);
	int ret;

	if (!nr || sector > sectors || nr > sectors - sector)
		return -EINVAL;
	ret = vhd_disk_one(disk, &r);
	if (ret)
		return ret;
	*run = r.run / VHD_SECTOR;
	return r.where;
}

int vhd_disk_open(const char *path, unsigned int flags,
		  const struct vhd_messages *msg, struct vhd_disk **result)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, flags & VHD_DISK_ANY_PARENT);
	struct vhd_disk *disk;
	int ret;

	ret = vhd_api_flags(&ctx, path, flags, VHD_DISK_RDONLY |
			    VHD_DISK_LEAF_ONLY | VHD_DISK_ANY_PARENT);
	if (ret)
		return ret;
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return -ENOMEM;
	ret = vhd_eng_open(&vhd_disk_host, disk, &ctx, path, VHD_ENG_BUFFERED |
			   (flags & VHD_DISK_RDONLY ? VHD_ENG_RDONLY : 0) |
			   (flags & VHD_DISK_LEAF_ONLY ? VHD_ENG_LEAF_ONLY : 0),
			   NULL, &disk->eng);
	if (ret) {
		free(disk);
		return ret;
	}
	*result = disk;
	return 0;
}

int vhd_disk_close(struct vhd_disk *disk)
{
	int ret = vhd_eng_close(disk->eng);

	free(disk);
	return ret;
}

uint64_t vhd_disk_sectors(const struct vhd_disk *disk)
{
	return vhd_eng_leaf(disk->eng)->sectors;
}

unsigned int vhd_disk_images(const struct vhd_disk *disk)
{
	return vhd_depth(vhd_eng_leaf(disk->eng));
}

const char *vhd_disk_image_path(const struct vhd_disk *disk,
				unsigned int index)
{
	const struct vhd_image *image = vhd_eng_leaf(disk->eng);

	while (image && index--)
		image = image->parent;
	return image ? image->path : NULL;
}
