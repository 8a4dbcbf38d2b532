// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Open and close. engine.h says what the engine is; eng_read.c finds where
 * sectors are, eng_write.c has the design: what is written in which order;
 * eng_bitmap.c and eng_meta.c carry the metadata. The BAT of each image is in
 * memory, the bitmaps are cached.
 *
 * Parents are opened read-only and locked against writers.
 *
 * While the image is open for writing its footer is at the end of space
 * reserved for blocks and the batmap in the file is as it was: the bits that
 * are set stay true. At close the footer goes behind the last block and the
 * batmap is brought up to date. After a crash the next open cuts the file in
 * the same way. Both give back the disk space reserved ahead of a stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eng_private.h"
#include "td_dio.h"

void vhd_eng_queue_add(struct vhd_eng_queue *queue, struct vhd_req *req)
{
	req->next = NULL;
	if (!queue->head)
		queue->tail = &queue->head;
	*queue->tail = req;
	queue->tail = &req->next;
}

void vhd_eng_queue_run(struct vhd_eng *eng, struct vhd_eng_queue *queue,
		       int error)
{
	struct vhd_req *req = queue->head;

	queue->head = NULL;
	while (req) {
		struct vhd_req *next = req->next;

		if (error)
			vhd_eng_fail(req, error);
		else
			vhd_eng_start(eng, req);
		req = next;
	}
}

/* What may pass by itself is tried again; the host says for how long. */
void vhd_eng_fail(struct vhd_req *req, int error)
{
	if (!req->done &&
	    (error == -ENOSPC || error == -EDQUOT || error == -ENOMEM))
		req->eng->host.retry(req->eng->priv, req, error);
	else
		vhd_req_end(req, error);
}

/* Also called for a request that has waited, or has come halfway. */
void vhd_eng_start(struct vhd_eng *eng, struct vhd_req *req)
{
	switch (req->op) {
	case VHD_REQ_READ:
		vhd_eng_read(eng, req);
		break;
	case VHD_REQ_FLUSH:
		vhd_eng_flush(eng, req);
		break;
	case VHD_REQ_WRITE:
	case VHD_REQ_WRITE_ZEROES:
		vhd_eng_write(eng, req);
		break;
	default:
		vhd_eng_trim(eng, req);
		break;
	}
}

void vhd_eng_submit(struct vhd_eng *eng, struct vhd_req *req)
{
	req->eng = eng;
	req->pos = 0;
	req->done = NULL;
	if (req->op > VHD_REQ_WRITE_ZEROES) {
		vhd_req_end(req, -EOPNOTSUPP);
		return;
	}
	if (!eng->rw && req->op != VHD_REQ_READ &&
	    req->op != VHD_REQ_FLUSH) {
		vhd_req_end(req, -EROFS);
		return;
	}
	vhd_eng_start(eng, req);
}

/* Does direct I/O take any 512 bytes? For a file of which it is not known. */
static bool vhd_eng_probe_direct(int fd)
{
	bool ok = false;
	void *buf;
	int size;

	/* It may be the disk of another program like ours: do not wait for it. */
	if (!ioctl(fd, BLKSSZGET, &size))
		return size <= (int)VHD_SECTOR;
	if (!posix_memalign(&buf, 4096, 4096)) {
		ok = pread(fd, (char *)buf + VHD_SECTOR, VHD_SECTOR,
			   VHD_SECTOR) >= 0;
		free(buf);
	}
	return ok;
}

/* O_DIRECT, if any 512 bytes can be read and written that way. */
static void vhd_eng_try_direct(const struct vhd_image *image)
{
	int flags = fcntl(image->fd, F_GETFL);
	uint32_t unit = td_dio_unit(image->fd);

	if (flags >= 0 && !fcntl(image->fd, F_SETFL, flags | O_DIRECT) &&
	    (unit ? unit <= VHD_SECTOR : vhd_eng_probe_direct(image->fd)))
		return;
	if (flags >= 0)
		fcntl(image->fd, F_SETFL, flags);
	vhd_msg(&image->ctx, 0,
		"%s: direct I/O does not take sectors of 512 bytes there, using the page cache",
		image->path);
}

static bool vhd_eng_is_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_DIRECT;
}

static void vhd_eng_no_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_DIRECT);
}

/* Cut off what a crash, or another program, left behind the last block. */
static int vhd_eng_open_rw(struct vhd_eng *eng)
{
	struct vhd_image *leaf = eng->layer[0].image;
	struct stat st;
	int ret;

	/* Behind the end of the file there is nothing to punch. */
	eng->no_punch = fallocate(leaf->fd, FALLOC_FL_PUNCH_HOLE |
				  FALLOC_FL_KEEP_SIZE, VHD_FILE_MAX, 4096) &&
			errno == EOPNOTSUPP;
	/* What a program that was killed wrote may be on its way still. */
	if (fdatasync(leaf->fd) || fstat(leaf->fd, &st))
		return -errno;
	if (vhd_is_flat(leaf))
		return 0;
	if (leaf->bdev)
		return vhd_msg(&leaf->ctx, -ENOTSUP,
			       "%s: only a fixed image can be written on a block device; type is %u, must be 2",
			       leaf->path, leaf->footer.type);
	if (leaf->footer_lost || leaf->footer_off != leaf->data_end ||
	    leaf->file_size != leaf->data_end + VHD_FOOTER_SIZE) {
		ret = vhd_trim(leaf);
		if (ret)
			return vhd_msg(&leaf->ctx, ret,
				       "%s: cannot write the footer at %llu: %s",
				       leaf->path,
				       (unsigned long long)leaf->data_end,
				       strerror(-ret));
	}
	eng->next_block = vhd_block_after(leaf, leaf->data_end);
	eng->next_free = leaf->data_end;
	eng->space_end = leaf->data_end;
	eng->bat = calloc((leaf->header.max_bat + 127) / 128,
			  sizeof(*eng->bat));
	eng->bat_dirty = calloc(1, leaf->nr_blocks / 8 + 1);
	eng->fresh = calloc(1, leaf->nr_blocks / 8 + 1);
	return eng->bat && eng->bat_dirty && eng->fresh ? 0 : -ENOMEM;
}

static int vhd_eng_add_layers(struct vhd_eng *eng, struct vhd_image *leaf,
			      unsigned int flags)
{
	struct vhd_image *image;

	for (image = leaf; image; image = image->parent) {
		struct vhd_eng_layer *layer = &eng->layer[eng->nr_layers++];

		layer->image = image;
		layer->file = -1;
		if (!vhd_is_flat(image)) {
			layer->full = calloc(1, image->nr_blocks / 8 + 1);
			if (!layer->full)
				return -ENOMEM;
			if (image->batmap_good)
				memcpy(layer->full, image->batmap_map,
				       (image->nr_blocks + 7) / 8);
		}
		if (!(flags & VHD_ENG_BUFFERED) && image != leaf)
			vhd_eng_try_direct(image);
	}
	return 0;
}

static int vhd_eng_add_files(struct vhd_eng *eng)
{
	unsigned int i;

	for (i = 0; i < eng->nr_layers; i++) {
		int file = eng->host.file_add(eng->priv,
					      eng->layer[i].image->fd);

		if (file < 0)
			return file;
		eng->layer[i].file = file;
	}
	return 0;
}

static void vhd_eng_free(struct vhd_eng *eng)
{
	struct vhd_image *leaf = eng->layer[0].image;
	unsigned int i;

	for (i = 0; i < eng->nr_layers; i++) {
		if (eng->layer[i].file >= 0)
			eng->host.file_del(eng->priv, eng->layer[i].file);
		free(eng->layer[i].full);
	}
	for (i = 0; eng->bat && i < (leaf->header.max_bat + 127) / 128; i++)
		free(eng->bat[i]);
	vhd_eng_bitmap_free_all(eng);
	free(eng->bat);
	free(eng->bat_dirty);
	free(eng->fresh);
	free(eng->layer);
	free(eng);
	vhd_close(leaf);
}

int vhd_eng_open(const struct vhd_host *host, void *priv,
		 const struct vhd_ctx *ctx, const char *path,
		 unsigned int flags, const char *parent,
		 struct vhd_eng **result)
{
	bool rw = !(flags & VHD_ENG_RDONLY);
	struct vhd_image *leaf;
	struct vhd_eng *eng;
	int ret;

	ret = vhd_open(ctx, path, VHD_OPEN_LOCK |
		       (flags & VHD_ENG_LEAF_ONLY || parent ? 0 :
							      VHD_OPEN_PARENTS) |
		       (rw ? VHD_OPEN_RDWR : 0), &leaf);
	if (ret)
		return ret;
	ret = parent ? vhd_parent_stand_in(leaf, parent) : 0;
	if (ret) {
		vhd_close(leaf);
		return ret;
	}
	eng = calloc(1, sizeof(*eng));
	if (eng)
		eng->layer = calloc(vhd_depth(leaf), sizeof(*eng->layer));
	if (!eng || !eng->layer) {
		free(eng);
		vhd_close(leaf);
		return -ENOMEM;
	}
	eng->host = *host;
	eng->priv = priv;
	eng->rw = rw;
	eng->cache = rw && flags & VHD_ENG_CACHE;
	eng->orphan = !leaf->parent && leaf->footer.type == VHD_TYPE_DIFF;
	eng->lru.next = &eng->lru;
	eng->lru.prev = &eng->lru;
	eng->layer[0].image = leaf;
	/* A request must fit, even one of 1 MiB with blocks of 4 KiB. */
	eng->max_bitmaps = VHD_ENG_BITMAPS + VHD_ENG_SEGS * vhd_depth(leaf);
	ret = vhd_eng_add_layers(eng, leaf, flags);
	if (!ret && rw)
		ret = vhd_eng_open_rw(eng);
	if (!ret && !(flags & VHD_ENG_BUFFERED))
		vhd_eng_try_direct(leaf);
	eng->direct = vhd_eng_is_direct(leaf->fd);
	if (!ret)
		ret = vhd_eng_add_files(eng);
	if (ret) {
		vhd_eng_free(eng);
		return ret;
	}
	*result = eng;
	return 0;
}

/* Which blocks are full, as far as the file says so too. */
static bool vhd_eng_update_batmap(struct vhd_eng *eng)
{
	struct vhd_image *leaf = eng->layer[0].image;
	bool changed = !leaf->batmap_good;
	uint32_t i;

	for (i = 0; i < leaf->nr_blocks; i++) {
		bool full = vhd_test_bit(eng->layer[0].full, i) &&
			    !vhd_eng_unwritten(eng, i);

		if (vhd_test_bit(leaf->batmap_map, i) == full)
			continue;
		changed = true;
		if (full)
			vhd_set_bit(leaf->batmap_map, i);
		else
			vhd_eng_clear_bit(leaf->batmap_map, i);
	}
	return changed;
}

/* Without space it stays as a crash leaves it, and that is good as well. */
static int vhd_eng_close_full(struct vhd_eng *eng, int error)
{
	if (error != -ENOSPC && error != -EDQUOT)
		return error;
	vhd_msg(&vhd_eng_leaf(eng)->ctx, error,
		"%s: no space to bring its metadata up to date at close",
		vhd_eng_leaf(eng)->path);
	return 0;
}

static int vhd_eng_close_rw(struct vhd_eng *eng)
{
	struct vhd_image *leaf = eng->layer[0].image;
	uint32_t i;
	int ret;

	vhd_eng_no_direct(leaf->fd);
	if (fdatasync(leaf->fd))
		return -errno;
	if (eng->sync_error)
		return eng->sync_error;
	if (vhd_is_flat(leaf))
		return 0;
	if (leaf->batmap_map && leaf->batmap.version == VHD_BATMAP_VERSION &&
	    vhd_eng_update_batmap(eng)) {
		ret = vhd_batmap_write(leaf);
		if (ret)
			return vhd_eng_close_full(eng, ret);
	}
	if (eng->space_end == leaf->footer_off)
		return 0;
	/*
	 * Blocks whose BAT entry could not be written count as well: it may
	 * have got there.
	 */
	for (i = 0; i < leaf->header.max_bat; i++) {
		uint64_t end = (uint64_t)leaf->bat[i] * VHD_SECTOR +
			       vhd_block_bytes(leaf);

		if (leaf->bat[i] != VHD_BAT_UNUSED && end > leaf->data_end)
			leaf->data_end = end;
	}
	return vhd_eng_close_full(eng, vhd_trim(leaf));
}

int vhd_eng_close(struct vhd_eng *eng)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < eng->nr_layers; i++) {
		eng->host.file_del(eng->priv, eng->layer[i].file);
		eng->layer[i].file = -1;
	}
	if (eng->rw)
		ret = vhd_eng_close_rw(eng);
	if (ret)
		vhd_msg(&vhd_eng_leaf(eng)->ctx, ret,
			"%s: cannot write its metadata at close: %s",
			vhd_eng_leaf(eng)->path, strerror(-ret));
	vhd_eng_free(eng);
	return ret;
}

const struct vhd_image *vhd_eng_leaf(const struct vhd_eng *eng)
{
	return eng->layer[0].image;
}

bool vhd_eng_can_punch(const struct vhd_eng *eng)
{
	return eng->rw && !eng->no_punch;
}

const struct vhd_eng_stats *vhd_eng_stats(const struct vhd_eng *eng)
{
	return &eng->stats;
}
