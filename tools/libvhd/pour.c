// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Copies from the first byte to the last: out of a stream, which has no holes
 * and perhaps no size, or over a raw disk, of which nothing may be left where
 * the source has zeros. Other copies leave out what nobody has: merge.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_edit.h"

/*
 * @from: NULL: a stream
 * @size: bytes; 0: a stream that has as many as come
 * @done: bytes read
 */
struct vhd_pour {
	const struct vhd_ctx *ctx;
	const struct vhd_copy *spec;
	const struct vhd_image *from;
	uint64_t size;
	uint64_t done;
};

/* As much as there is, up to a block. */
static ssize_t vhd_stream_read(const struct vhd_pour *p, uint8_t *buf)
{
	struct pollfd wait = { .fd = p->spec->stream_fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	while (n && len < VHD_BLOCK_SIZE) {
		n = read(wait.fd, buf + len, VHD_BLOCK_SIZE - len);
		if (n > 0)
			len += n;
		else if (n && errno == EAGAIN)
			poll(&wait, 1, -1);
		else if (n && errno != EINTR)
			return vhd_msg(p->ctx, -errno, "%s: cannot read: %m",
				       p->spec->from);
	}
	if (!p->done && !p->spec->from_raw && len >= 8 &&
	    !memcmp(buf, "conectix", 8))
		return vhd_msg(p->ctx, -EINVAL,
			       "%s: is a VHD image, which cannot be read from a stream: name the file, or say that it is a raw disk",
			       p->spec->from);
	return len;
}

/* Returns bytes, 0 at the end; zeros follow up to a whole sector. */
static ssize_t vhd_pour_read(const struct vhd_pour *p, uint8_t *buf)
{
	uint64_t left = p->size - p->done;
	uint32_t len = left < VHD_BLOCK_SIZE ? left : VHD_BLOCK_SIZE;
	ssize_t n;
	int ret;

	if (p->from) {
		ret = len ? vhd_read(p->from, p->done / VHD_SECTOR,
				     len / VHD_SECTOR, buf) : 0;
		return ret ? ret : (ssize_t)len;
	}
	n = vhd_stream_read(p, buf);
	if (n > 0 && n % VHD_SECTOR)
		memset(buf + n, 0, VHD_SECTOR - n % VHD_SECTOR);
	return n;
}

/* A stream that was cut off is no disk. */
static int vhd_pour_ended(const struct vhd_pour *p)
{
	if (p->from)
		return 0;
	if (p->size && p->done < p->size)
		return vhd_msg(p->ctx, -ENODATA,
			       "%s: ended after %" PRIu64 " bytes, must have %" PRIu64 ": what writes to it has failed, or the size is wrong",
			       p->spec->from, p->done, p->size);
	if (!p->done)
		return vhd_msg(p->ctx, -ENODATA, "%s: is empty",
			       p->spec->from);
	if (p->done % VHD_SECTOR)
		vhd_msg(p->ctx, 0,
			"%s: has %" PRIu64 " bytes, not a multiple of 512: zeros follow",
			p->spec->from, p->done);
	return 0;
}

static int vhd_pour(struct vhd_pour *p, struct vhd_target *t)
{
	uint64_t max = p->size ? p->size : t->image->sectors * VHD_SECTOR;
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	uint8_t have[VHD_CHUNK / 8];
	int ret = buf ? 0 : -ENOMEM;
	ssize_t n;

	memset(have, 0xff, sizeof(have));
	while (!ret) {
		n = vhd_pour_read(p, buf);
		if (n <= 0) {
			ret = n ? n : vhd_pour_ended(p);
			break;
		}
		if (p->done + n > max) {
			ret = vhd_msg(p->ctx, -EFBIG,
				      "%s: has more than %" PRIu64 " bytes",
				      p->spec->from, max);
			break;
		}
		ret = vhd_target_put(t, p->done / VHD_SECTOR,
				     (n + VHD_SECTOR - 1) / VHD_SECTOR, buf,
				     have);
		p->done += n;
		if (p->size)
			vhd_progress_tell(&p->spec->progress, p->done,
					  p->size);
	}
	free(buf);
	return ret;
}

/* The image was made for all that might come. */
static int vhd_pour_size(struct vhd_image *image, uint64_t size)
{
	int ret = 0;

	if (image->bdev)
		return 0;
	if (image->raw) {
		if (ftruncate(image->fd, size))
			ret = -errno;
	} else {
		image->footer.original_size = size;
		image->footer.current_size = size;
		vhd_geometry(size / VHD_SECTOR, &image->footer);
		vhd_footer_build(&image->footer, image->footer_buf);
		ret = vhd_pwrite(image->fd, image->footer_buf,
				 VHD_FOOTER_SIZE, 0);
	}
	return ret ? vhd_msg(&image->ctx, ret, "%s: cannot write: %s",
			     image->path, strerror(-ret)) : 0;
}

static bool vhd_pour_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is that among what is read? */
static bool vhd_pour_reads(const struct vhd_pour *p, const struct stat *st)
{
	const struct vhd_image *i;
	struct stat from;

	for (i = p->from; i; i = i->parent)
		if (!fstat(i->fd, &from) && vhd_pour_same(&from, st))
			return true;
	return !p->from && !fstat(p->spec->stream_fd, &from) &&
	       vhd_pour_same(&from, st);
}

/* What is to be overwritten, which nobody else may use. */
static int vhd_over_open(const struct vhd_pour *p, struct vhd_image **image)
{
	const char *path = p->spec->to;
	int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int fd, ret;

	if (stat(path, &st))
		return vhd_msg(p->ctx, -errno, "%s: cannot overwrite: %m",
			       path);
	if (vhd_pour_reads(p, &st))
		return vhd_msg(p->ctx, -EINVAL,
			       "%s: cannot overwrite: it is what is to be copied, or a parent of it",
			       path);
	/* Not one that is mounted, or a part of another device. */
	if (S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	fd = open(path, flags);
	if (fd < 0)
		return vhd_msg(p->ctx, -errno, "%s: cannot overwrite: %s",
			       path, errno == EBUSY ?
			       "in use: mounted, or a part of another device" :
			       strerror(errno));
	ret = vhd_image_load(p->ctx, fd, path, VHD_OPEN_RDWR | VHD_OPEN_LOCK,
			     true, image);
	if (ret || !(*image)->bdev || flags & O_EXCL)
		return ret;
	vhd_close(*image);
	return vhd_msg(p->ctx, -EBUSY, "%s: has become a device", path);
}

/* A file gets @size bytes; a device must have them. 0: not known yet. */
static int vhd_over_size(struct vhd_image *image, uint64_t size)
{
	if (image->bdev && image->size < size)
		return vhd_msg(&image->ctx, -ENOSPC,
			       "%s: has %" PRIu64 " bytes, must have %" PRIu64 " at least",
			       image->path, image->size, size);
	if (image->bdev)
		return 0;
	if (size && ftruncate(image->fd, size))
		return vhd_msg(&image->ctx, -errno,
			       "%s: cannot make it %" PRIu64 " bytes long: %m",
			       image->path, size);
	image->size = size ? size : VHD_DISK_LIMIT;
	image->sectors = image->size / VHD_SECTOR;
	return 0;
}

static int vhd_pour_over(struct vhd_pour *p, uint64_t size, uint64_t unit)
{
	struct vhd_image *image;
	struct vhd_target *t;
	int ret;

	ret = vhd_over_open(p, &image);
	if (ret)
		return ret;
	ret = vhd_over_size(image, size);
	if (ret) {
		vhd_close(image);
		return ret;
	}
	t = vhd_target_new(image, false);
	if (!t)
		return -ENOMEM;
	t->punch = true;
	ret = vhd_pour(p, t);
	if (!ret && !size)
		ret = vhd_pour_size(image, vhd_round_up(p->done, unit));
	ret = vhd_target_end(t, ret);
	return ret ? vhd_msg(p->ctx, ret, "%s: holds only a part of the copy",
			     p->spec->to) : 0;
}

static int vhd_pour_new(struct vhd_pour *p, uint64_t size, uint64_t unit)
{
	struct vhd_create create = {
		.size = size ? size : VHD_DISK_MAX,
		.fixed = p->spec->to_fixed,
		.holes = true,
	};
	struct vhd_image *image;
	struct vhd_part part;
	int ret;

	if (!size && create.fixed)
		return vhd_msg(p->ctx, -EINVAL,
			       "%s: a fixed image needs to know the size of the stream before (vhd-util copy -s)",
			       p->spec->to);
	ret = vhd_part_begin(&part, p->ctx, p->spec->to,
			     p->spec->to_raw ? NULL : &create, size);
	if (ret)
		return ret;
	image = part.target->image;
	if (!size && image->raw) {
		image->size = VHD_DISK_LIMIT;
		image->sectors = VHD_DISK_LIMIT / VHD_SECTOR;
	}
	ret = vhd_pour(p, part.target);
	if (!ret && !size)
		ret = vhd_pour_size(image, vhd_round_up(p->done, unit));
	return vhd_part_end(&part, ret, NULL);
}

int vhd_copy_pour(const struct vhd_ctx *ctx, const struct vhd_copy *spec,
		  const struct vhd_image *from)
{
	uint64_t unit = spec->align ? spec->align : VHD_SECTOR;
	struct vhd_pour p = { .ctx = ctx, .spec = spec, .from = from };
	struct stat st;
	off_t pos;

	p.size = from ? from->size : spec->size;
	if (!p.size && !fstat(spec->stream_fd, &st) && S_ISREG(st.st_mode)) {
		pos = lseek(spec->stream_fd, 0, SEEK_CUR);
		if (pos >= 0 && pos < st.st_size)
			p.size = st.st_size - pos;
	}
	return spec->overwrite ?
	       vhd_pour_over(&p, vhd_round_up(p.size, unit), unit) :
	       vhd_pour_new(&p, vhd_round_up(p.size, unit), unit);
}
