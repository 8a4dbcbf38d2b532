// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Data from one image into another: coalesce, copy, fill.
 *
 * All of it is one loop over the disk, VHD_CHUNK sectors at a time: what do
 * the sources have, put it into the target. Chunks of which no source has
 * anything cost nothing.
 *
 * To coalesce changes only the parent, in the order that target.c promises,
 * and only what the child hides. So the child is good at any time, and if it
 * was interrupted, it is done again from the start, to the same end.
 *
 * That is why a guest may run on the chain meanwhile, if the child is not its
 * leaf: a tapdisk that has the chain open keeps the BAT and bitmaps of the
 * parent in memory, and knows nothing of what comes into it. All of that is in
 * the child, so it never looks there. One that opens the chain in between finds
 * a part of it; the same holds. Other children of the parent would see it, so
 * there must be none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vhd_edit.h"

/* Largest unit of the size of a copy. */
#define VHD_ALIGN_MAX	(1U << 30)
/* Made under that name, so that what has its own name is whole. */
#define VHD_PART_SUFFIX	".part"

static bool vhd_layers_have(const struct vhd_image *image,
			    const struct vhd_image *stop, uint64_t sector,
			    uint32_t nr)
{
	for (; image != stop; image = image->parent)
		if (vhd_layer_has(image, sector, nr))
			return true;
	return false;
}

static uint64_t vhd_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

/* Wait until @sectors are not too many for the time since @start. */
static int vhd_merge_pace(const struct vhd_coalesce *spec, uint64_t sectors,
			  uint64_t start)
{
	uint64_t due = start, now;

	if (spec->rate)
		due += (double)sectors * VHD_SECTOR * 1000000 / spec->rate;
	for (;;) {
		if (spec->stop && spec->stop(spec->progress.opaque))
			return -EINTR;
		now = vhd_now_us();
		if (now >= due)
			return 0;
		/* In short pieces: nobody wakes us for @stop. */
		usleep(due - now < 50000 ? due - now : 50000);
	}
}

/*
 * What the images from @from to before @stop have goes into @t; @spec: at
 * which pace, or NULL.
 */
static int vhd_merge(struct vhd_target *t, const struct vhd_image *from,
		     const struct vhd_image *stop,
		     const struct vhd_progress *progress,
		     const struct vhd_coalesce *spec)
{
	uint64_t start = vhd_now_us();
	uint8_t have[VHD_CHUNK / 8];
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	uint64_t sector;
	uint32_t nr, i;
	int ret = buf ? 0 : -ENOMEM;

	for (sector = 0; sector < from->sectors && !ret; sector += nr) {
		nr = from->sectors - sector < VHD_CHUNK ?
		     from->sectors - sector : VHD_CHUNK;
		if (!vhd_layers_have(from, stop, sector, nr))
			continue;
		memset(have, 0, sizeof(have));
		ret = vhd_layers_read(from, stop, sector, nr, buf, have);
		if (!ret)
			ret = vhd_target_put(t, sector, nr, buf, have);
		for (i = 0; i < nr; i++)
			t->sectors += vhd_test_bit(have, i);
		vhd_progress_tell(progress, sector, from->sectors);
		if (!ret && spec)
			ret = vhd_merge_pace(spec, t->sectors, start);
	}
	if (!ret)
		vhd_progress_tell(progress, from->sectors, from->sectors);
	free(buf);
	return ret;
}

/* Blocks that @image will get of what @from to before @stop have, at most. */
static uint32_t vhd_merge_blocks(const struct vhd_image *image,
				 const struct vhd_image *from,
				 const struct vhd_image *stop)
{
	uint64_t sector;
	uint32_t nr = 0;

	for (sector = 0; sector < from->sectors; sector += VHD_CHUNK)
		if (!vhd_is_flat(image) &&
		    vhd_layers_have(from, stop, sector, VHD_CHUNK))
			nr += vhd_target_missing(image, sector, VHD_CHUNK);
	return nr;
}

/* A plain file, open for writing if @flags say so. */
static int vhd_open_raw(const struct vhd_ctx *ctx, const char *path,
			unsigned int flags, struct vhd_image **image)
{
	char real[PATH_MAX];
	int fd = -1;
	int ret;

	if (realpath(path, real))
		fd = open(real, (flags & VHD_OPEN_RDWR ? O_RDWR : O_RDONLY) |
			  O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot open: %m", path);
	ret = vhd_image_load(ctx, fd, real, flags, true, image);
	if (ret || !((*image)->file_size % VHD_SECTOR) ||
	    flags & VHD_OPEN_RDWR)
		return ret;
	/* Nothing is left out: its last sector ends in zeros. */
	(*image)->sectors++;
	(*image)->size += VHD_SECTOR;
	vhd_msg(ctx, 0,
		"%s: file size is %" PRIu64 ", not a multiple of 512: the disk gets %" PRIu64 " bytes, zeros at the end",
		path, (*image)->file_size, (*image)->size);
	return 0;
}

static int vhd_open_either(const struct vhd_ctx *ctx, const char *path,
			   bool raw, unsigned int flags,
			   struct vhd_image **image)
{
	return raw ? vhd_open_raw(ctx, path, flags, image) :
		     vhd_open(ctx, path, flags, image);
}

/* New images that are filled before anybody sees them. */

/*
 * Who holds the lock owns the file. One that a killed program left is taken
 * over; one that became a whole image, or was removed, before we had the lock
 * is left alone.
 */
static int vhd_part_own(struct vhd_part *part)
{
	struct stat ours, named;
	int ret;

	for (;;) {
		part->fd = open(part->path, O_RDWR | O_CREAT | O_NOFOLLOW |
				O_NONBLOCK | O_CLOEXEC, 0644);
		if (part->fd < 0)
			return vhd_msg(part->ctx, -errno,
				       "%s: cannot create: %s", part->path,
				       errno == ENOENT ? "no such folder" :
				       strerror(errno));
		ret = vhd_lock(part->ctx, part->fd, true, part->path);
		if (!ret && fstat(part->fd, &ours))
			ret = -errno;
		if (!ret && !S_ISREG(ours.st_mode))
			ret = vhd_msg(part->ctx, -EEXIST,
				      "%s: cannot create: is no regular file",
				      part->path);
		if (!ret && !lstat(part->path, &named) &&
		    named.st_dev == ours.st_dev &&
		    named.st_ino == ours.st_ino)
			break;
		close(part->fd);
		if (ret)
			return ret;
	}
	if (!ftruncate(part->fd, 0))
		return 0;
	ret = vhd_msg(part->ctx, -errno, "%s: cannot empty: %m", part->path);
	close(part->fd);
	return ret;
}

static void vhd_part_drop(struct vhd_part *part)
{
	unlink(part->path);
	close(part->fd);
}

/* @spec NULL: a raw one of @size bytes. */
int vhd_part_begin(struct vhd_part *part, const struct vhd_ctx *ctx,
		   const char *name, struct vhd_create *spec, uint64_t size)
{
	struct vhd_image *image;
	int ret;

	part->ctx = ctx;
	part->name = name;
	if (snprintf(part->path, sizeof(part->path), "%s%s", name,
		     VHD_PART_SUFFIX) >= (int)sizeof(part->path))
		return -ENAMETOOLONG;
	if (!access(name, F_OK))
		return vhd_msg(ctx, -EEXIST, "%s: cannot create: %s", name,
			       strerror(EEXIST));
	ret = vhd_part_own(part);
	if (ret)
		return ret;
	if (spec) {
		spec->path = part->path;
		ret = vhd_create_in(ctx, spec, part->fd);
	} else if (ftruncate(part->fd, size)) {
		ret = vhd_msg(ctx, -errno, "%s: cannot grow to %" PRIu64 " bytes: %m",
			      part->path, size);
	}
	if (!ret)
		ret = vhd_open_either(ctx, part->path, !spec, VHD_OPEN_RDWR,
				      &image);
	part->target = NULL;
	if (!ret)
		part->target = vhd_target_new(image, true);
	if (part->target)
		return 0;
	vhd_part_drop(part);
	return ret ? ret : -ENOMEM;
}

int vhd_part_end(struct vhd_part *part, int error, uint64_t *sectors)
{
	int ret;

	if (sectors)
		*sectors = part->target->sectors;
	ret = vhd_target_end(part->target, error);
	if (!ret) {
		ret = vhd_rename_new(part->path, part->name);
		if (ret)
			vhd_msg(part->ctx, ret, "%s: cannot create: %s",
				part->name, strerror(-ret));
	}
	if (ret) {
		vhd_part_drop(part);
		return ret;
	}
	close(part->fd);
	ret = vhd_sync_folder(part->name);
	if (!ret)
		return 0;
	/* Nothing of the name, as if it had never been made. */
	unlink(part->name);
	return vhd_msg(part->ctx, ret, "%s: cannot write its folder: %s",
		       part->name, strerror(-ret));
}

static bool vhd_same_file(const struct vhd_image *image, const char *path)
{
	struct stat st;

	return !stat(path, &st) && st.st_dev == image->dev &&
	       st.st_ino == image->ino;
}

/* The parent of @child, by the name in it or by the one that was given. */
static int vhd_merge_parent(struct vhd_image *child, const char *name,
			    unsigned int flags, struct vhd_image **parent)
{
	static const uint8_t null[16];

	if (vhd_is_flat(child) || child->footer.type != VHD_TYPE_DIFF)
		return vhd_msg(&child->ctx, -EINVAL,
			       "%s: must be a differencing image: it has no parent",
			       child->path);
	if (!name)
		return vhd_parent_find(child, flags, parent);
	return vhd_open_either(&child->ctx, name,
			       !memcmp(child->header.parent_uuid, null, 16),
			       flags, parent);
}

/* A raw image gets the size of what is merged into it. */
static int vhd_grow_raw(struct vhd_image *image, uint64_t size)
{
	if (ftruncate(image->fd, size) || fdatasync(image->fd))
		return vhd_msg(&image->ctx, -errno,
			       "%s: cannot grow to %" PRIu64 " bytes: %m",
			       image->path, size);
	image->size = size;
	image->sectors = size / VHD_SECTOR;
	image->file_size = size;
	return 0;
}

/*
 * Open the one to merge into again, for writing, and as large as what is
 * merged: the size is a part of what the child is.
 */
static int vhd_coalesce_target(const struct vhd_ctx *ctx,
			       const struct vhd_coalesce *spec, uint64_t size,
			       struct vhd_image *next,
			       struct vhd_image **target)
{
	bool raw = next->raw;
	bool small = (raw ? next->size : vhd_disk_size(&next->footer)) < size;
	char path[PATH_MAX];
	int ret = 0;

	if (small && (spec->live || (raw && next->bdev)))
		ret = vhd_msg(ctx, -EFBIG,
			      "%s: the disk has %" PRIu64 " bytes, must have %" PRIu64 " for what is merged into it: make it larger first",
			      next->path, next->size, size);
	snprintf(path, sizeof(path), "%s", next->path);
	/* The shared lock goes first. */
	vhd_close(next);
	if (!ret && small && !raw)
		ret = vhd_grow(ctx, path, size);
	if (!ret)
		ret = vhd_open_either(ctx, path, raw, VHD_OPEN_RDWR |
				      (spec->live ? VHD_OPEN_MERGE :
						    VHD_OPEN_LOCK), target);
	if (ret || !small || !raw)
		return ret;
	ret = vhd_grow_raw(*target, size);
	if (ret)
		vhd_close(*target);
	return ret;
}

/*
 * Link the images from the child to before the one to merge into, and open
 * that one for writing. Locks are taken on the way.
 */
static int vhd_coalesce_open(const struct vhd_ctx *ctx,
			     const struct vhd_coalesce *spec,
			     struct vhd_image *child,
			     struct vhd_image **target)
{
	struct vhd_image *last = child;
	struct vhd_image *next;
	int depth, ret;

	for (depth = 1; depth < VHD_CHAIN_MAX; depth++) {
		ret = vhd_merge_parent(last, depth == 1 ? spec->parent : NULL,
				       VHD_OPEN_LOCK, &next);
		if (ret)
			return ret;
		/* Others above any of them would see the data, too. */
		ret = vhd_only_child(next, last);
		if (ret) {
			vhd_close(next);
			return ret;
		}
		if (!spec->ancestor || vhd_same_file(next, spec->ancestor))
			return vhd_coalesce_target(ctx, spec, child->size,
						   next, target);
		last->parent = next;
		last = next;
	}
	return vhd_msg(ctx, -ELOOP, "%s: %s is not among its %d ancestors",
		       child->path, spec->ancestor, VHD_CHAIN_MAX);
}

static int vhd_coalesce_into(const struct vhd_ctx *ctx,
			     const struct vhd_coalesce *spec,
			     struct vhd_image *child, uint64_t *sectors)
{
	struct vhd_target *t;
	struct vhd_image *target;
	bool stopped;
	int ret;

	ret = vhd_coalesce_open(ctx, spec, child, &target);
	if (ret)
		return ret;
	if (target->footer_lost)
		ret = vhd_trim(target);
	t = vhd_target_new(target, false);
	if (!t)
		return -ENOMEM;
	t->punch = spec->sparse;
	t->live = spec->live;
	if (!ret)
		ret = vhd_target_reserve(t, vhd_merge_blocks(target, child,
							     NULL));
	if (!ret)
		ret = vhd_merge(t, child, NULL, &spec->progress, spec);
	*sectors = t->sectors;
	/* What was merged so far needs not be lost. */
	stopped = ret == -EINTR;
	ret = vhd_target_end(t, stopped ? 0 : ret);
	return !ret && stopped ? -EINTR : ret;
}

/* A new image like the parent, of what both have. */
static int vhd_coalesce_out(const struct vhd_ctx *ctx,
			    const struct vhd_coalesce *spec,
			    struct vhd_image *child, uint64_t *sectors)
{
	struct vhd_create create = { .size = child->size, .same_size = true,
				     .keep_empty = true };
	struct vhd_image *grand = NULL;
	struct vhd_image *parent;
	struct vhd_part part;
	int ret;

	ret = vhd_merge_parent(child, spec->parent, VHD_OPEN_LOCK, &parent);
	if (ret)
		return ret;
	child->parent = parent;
	if (!parent->raw && parent->footer.type == VHD_TYPE_DIFF) {
		ret = vhd_parent_find(parent, 0, &grand);
		if (ret)
			return ret;
		create.parent = grand->path;
		create.parent_raw = grand->raw;
	}
	create.fixed = !parent->raw && parent->footer.type == VHD_TYPE_FIXED;
	ret = vhd_part_begin(&part, ctx, spec->output,
			     parent->raw ? NULL : &create, child->size);
	vhd_close(grand);
	if (ret)
		return ret;
	ret = vhd_merge(part.target, child, NULL, &spec->progress, spec);
	return vhd_part_end(&part, ret, sectors);
}

int vhd_coalesce(const struct vhd_ctx *ctx, const struct vhd_coalesce *spec,
		 uint64_t *sectors)
{
	struct vhd_image *child;
	uint64_t none;
	int ret;

	ret = vhd_open(ctx, spec->path, VHD_OPEN_LOCK, &child);
	if (ret)
		return ret;
	if (!sectors)
		sectors = &none;
	*sectors = 0;
	if (spec->output)
		ret = vhd_coalesce_out(ctx, spec, child, sectors);
	else
		ret = vhd_coalesce_into(ctx, spec, child, sectors);
	vhd_close(child);
	return ret;
}

static int vhd_copy_new(const struct vhd_ctx *ctx,
			const struct vhd_copy *spec,
			const struct vhd_image *from)
{
	struct vhd_create create = { 0 };
	struct vhd_part part;
	int ret;

	posix_fadvise(from->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	create.size = vhd_round_up(from->size, spec->align ? spec->align :
				   VHD_SECTOR);
	create.same_size = !from->raw;
	create.fixed = spec->to_fixed;
	create.holes = true;
	ret = vhd_part_begin(&part, ctx, spec->to,
			     spec->to_raw ? NULL : &create, create.size);
	if (ret)
		return ret;
	ret = vhd_merge(part.target, from, NULL, &spec->progress, NULL);
	return vhd_part_end(&part, ret, NULL);
}

int vhd_copy(const struct vhd_ctx *ctx, const struct vhd_copy *spec)
{
	struct vhd_image *from = NULL;
	int ret = 0;

	if (!spec->stream)
		ret = vhd_open_either(ctx, spec->from, spec->from_raw,
				      VHD_OPEN_LOCK | VHD_OPEN_PARENTS, &from);
	if (ret)
		return ret;
	if (spec->align % VHD_SECTOR || spec->align > VHD_ALIGN_MAX)
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: the size is to be a multiple of %" PRIu64 " bytes, which must be a multiple of 512 up to %u",
			      spec->to, spec->align, VHD_ALIGN_MAX);
	else if (spec->stream || spec->overwrite)
		ret = vhd_copy_pour(ctx, spec, from);
	else
		ret = vhd_copy_new(ctx, spec, from);
	vhd_close(from);
	return ret;
}

/* All of a block that the disk has is there already. */
static bool vhd_fill_full(const struct vhd_image *image, uint64_t sector,
			  uint32_t nr, bool empty)
{
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	uint32_t done, len, block;

	for (done = 0; done < nr; done += len) {
		block = (sector + done) / image->block_sectors;
		len = nr - done < image->block_sectors ? nr - done :
		      image->block_sectors;
		if (image->bat[block] == VHD_BAT_UNUSED)
			return false;
		if (!empty && (vhd_bitmap_read(image, block, map) ||
			       !vhd_bits_full(map, len)))
			return false;
	}
	return true;
}

static int vhd_fill_chunk(struct vhd_target *t, const struct vhd_fill *spec,
			  uint64_t sector, uint32_t nr, uint8_t *buf)
{
	uint8_t have[VHD_CHUNK / 8];
	int ret = 0;

	if (vhd_fill_full(t->image, sector, nr, spec->empty))
		return 0;
	memset(have, 0, sizeof(have));
	if (spec->empty)
		memset(buf, 0, VHD_BLOCK_SIZE);
	else
		ret = vhd_layers_read(t->image, NULL, sector, nr, buf, have);
	memset(have, spec->empty ? 0 : 0xff, sizeof(have));
	return ret ? ret : vhd_target_put(t, sector, nr, buf, have);
}

int vhd_fill(const struct vhd_ctx *ctx, const struct vhd_fill *spec)
{
	struct vhd_target *t;
	struct vhd_image *image;
	uint64_t sector, last;
	uint8_t *buf;
	uint32_t nr, blocks = 0;
	int ret;

	ret = vhd_edit_open(ctx, spec->path, VHD_OPEN_PARENTS, &image);
	if (ret)
		return ret;
	if (vhd_is_flat(image)) {
		vhd_close(image);
		return 0;
	}
	last = spec->empty ? spec->last : image->sectors - 1;
	if (last >= image->sectors || (spec->empty && spec->first > last)) {
		ret = vhd_msg(ctx, -ERANGE,
			      "%s: sectors %" PRIu64 " to %" PRIu64 " must be in 0 to %" PRIu64,
			      spec->path, spec->first, last,
			      image->sectors - 1);
		vhd_close(image);
		return ret;
	}
	sector = spec->empty ? spec->first / VHD_CHUNK * VHD_CHUNK : 0;
	for (; sector <= last; sector += VHD_CHUNK)
		blocks += vhd_target_missing(image, sector, VHD_CHUNK);
	t = vhd_target_new(image, false);
	buf = malloc(VHD_BLOCK_SIZE);
	if (!t || !buf) {
		free(buf);
		return t ? vhd_target_end(t, -ENOMEM) : -ENOMEM;
	}
	t->force = true;
	t->dense = true;
	t->alloc_only = spec->empty;
	ret = vhd_target_reserve(t, blocks);
	sector = spec->empty ? spec->first / VHD_CHUNK * VHD_CHUNK : 0;
	for (; sector <= last && !ret; sector += nr) {
		nr = image->sectors - sector < VHD_CHUNK ?
		     image->sectors - sector : VHD_CHUNK;
		ret = vhd_fill_chunk(t, spec, sector, nr, buf);
		vhd_progress_tell(&spec->progress, sector + nr, last + 1);
	}
	free(buf);
	return vhd_target_end(t, ret);
}
