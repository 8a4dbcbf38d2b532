// SPDX-License-Identifier: GPL-2.0
/*
 * Driver for VHD images: fixed, dynamic and differencing with their parents.
 *
 * The format, and what can be relied on once an image is open, is libvhd's.
 * Here is what happens while a guest uses the disk: read.c finds where
 * sectors are, write.c says what is written in which order, bitmap.c and
 * meta.c carry the metadata. The BAT of each image is in memory, the bitmaps
 * are cached.
 *
 * Parents are opened read-only and locked against writers. They must lie
 * below the folder of the leaf or one of those named in TAPDISK_VHD_PARENTS
 * (separated by colons).
 *
 * While the image is open for writing its footer is at the end of space
 * reserved for blocks and the batmap in the file is as it was: the bits that
 * are set stay true. At close the footer goes behind the last block and the
 * batmap is brought up to date. After a crash the next open cuts the file in
 * the same way.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_log.h"
#include "td_vhd.h"

void td_vhd_queue_add(struct td_vhd_queue *queue, struct td_req *req)
{
	req->next = NULL;
	if (!queue->head)
		queue->tail = &queue->head;
	*queue->tail = req;
	queue->tail = &req->next;
}

void td_vhd_queue_run(struct td_vhd *vhd, struct td_vhd_queue *queue, int error)
{
	struct td_req *req = queue->head;

	queue->head = NULL;
	while (req) {
		struct td_req *next = req->next;

		if (error)
			td_vhd_fail(req, error);
		else
			td_vhd_start(vhd, req);
		req = next;
	}
}

/* What may pass by itself is tried again; the core says for how long. */
void td_vhd_fail(struct td_req *req, int error)
{
	if (error == -ENOSPC || error == -EDQUOT || error == -ENOMEM)
		td_req_retry(req, error);
	else
		td_req_end(req, error);
}

/* Also called for a request that has waited, or has come halfway. */
void td_vhd_start(struct td_vhd *vhd, struct td_req *req)
{
	switch (req->op) {
	case BLKTAP_OP_READ:
		td_vhd_read(vhd, req);
		break;
	case BLKTAP_OP_FLUSH:
		td_vhd_flush(vhd, req);
		break;
	case BLKTAP_OP_WRITE:
	case BLKTAP_OP_WRITE_ZEROES:
		td_vhd_write(vhd, req);
		break;
	default:
		td_vhd_trim(vhd, req);
		break;
	}
}

static void td_vhd_submit(void *priv, struct td_req *req)
{
	struct td_vhd *vhd = priv;

	if (req->op > BLKTAP_OP_WRITE_ZEROES) {
		td_req_end(req, -EOPNOTSUPP);
		return;
	}
	if (!vhd->rw && req->op != BLKTAP_OP_READ &&
	    req->op != BLKTAP_OP_FLUSH) {
		td_req_end(req, -EROFS);
		return;
	}
	req->priv[1] = NULL;
	td_vhd_start(vhd, req);
}

/*
 * Can 512 bytes be read past the page cache, at any multiple of 512? A device
 * may be the disk of another tap: it is not waited for.
 */
static void td_vhd_try_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	int size;
	void *buf;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT))
		return;
	if (!ioctl(fd, BLKSSZGET, &size)) {
		if (size > (int)VHD_SECTOR)
			fcntl(fd, F_SETFL, flags);
		return;
	}
	if (!posix_memalign(&buf, 4096, 4096)) {
		if (pread(fd, (char *)buf + VHD_SECTOR, VHD_SECTOR,
			  VHD_SECTOR) >= 0) {
			free(buf);
			return;
		}
		free(buf);
	}
	fcntl(fd, F_SETFL, flags);
}

static void td_vhd_no_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_DIRECT);
}

/* Cut off what a crash, or another program, left behind the last block. */
static int td_vhd_open_rw(struct td_vhd *vhd)
{
	struct vhd_image *leaf = vhd->layer[0].image;
	struct stat st;
	int ret;

	/* Behind the end of the file there is nothing to punch. */
	vhd->no_punch = fallocate(leaf->fd, FALLOC_FL_PUNCH_HOLE |
				  FALLOC_FL_KEEP_SIZE, VHD_FILE_MAX, 4096) &&
			errno == EOPNOTSUPP;
	/* What a program that was killed wrote may be on its way still. */
	if (fdatasync(leaf->fd) || fstat(leaf->fd, &st))
		return -errno;
	if (vhd_is_flat(leaf))
		return 0;
	if (!S_ISREG(st.st_mode)) {
		td_err("%s: only a fixed image can be written on a block device; type is %u, must be 2",
		       leaf->path, leaf->footer.type);
		return -EINVAL;
	}
	if (leaf->footer_lost || leaf->footer_off != leaf->data_end ||
	    leaf->file_size != leaf->data_end + VHD_FOOTER_SIZE) {
		ret = vhd_trim(leaf);
		if (ret) {
			td_err("%s: cannot write the footer at %llu: %s",
			       leaf->path,
			       (unsigned long long)leaf->data_end,
			       strerror(-ret));
			return ret;
		}
	}
	vhd->next_block = vhd_block_after(leaf, leaf->data_end);
	vhd->space_end = leaf->data_end;
	vhd->bat = calloc((leaf->header.max_bat + 127) / 128,
			  sizeof(*vhd->bat));
	vhd->bat_dirty = calloc(1, leaf->nr_blocks / 8 + 1);
	vhd->fresh = calloc(1, leaf->nr_blocks / 8 + 1);
	return vhd->bat && vhd->bat_dirty && vhd->fresh ? 0 : -ENOMEM;
}

static int td_vhd_add_layers(struct td_vhd *vhd, struct vhd_image *leaf,
			     unsigned int flags)
{
	struct vhd_image *image;

	for (image = leaf; image; image = image->parent) {
		struct td_vhd_layer *layer = &vhd->layer[vhd->nr_layers++];

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
		if (!(flags & TD_OPEN_BUFFERED) && image != leaf)
			td_vhd_try_direct(image->fd);
	}
	return 0;
}

static int td_vhd_add_files(struct td_vhd *vhd)
{
	unsigned int i;

	for (i = 0; i < vhd->nr_layers; i++) {
		int file = td_vbd_file_add(vhd->vbd,
					   vhd->layer[i].image->fd);

		if (file < 0)
			return file;
		vhd->layer[i].file = file;
	}
	return 0;
}

static void td_vhd_free(struct td_vhd *vhd)
{
	struct vhd_image *leaf = vhd->layer[0].image;
	unsigned int i;

	for (i = 0; i < vhd->nr_layers; i++) {
		if (vhd->layer[i].file >= 0)
			td_vbd_file_del(vhd->vbd, vhd->layer[i].file);
		free(vhd->layer[i].full);
	}
	for (i = 0; vhd->bat && i < (leaf->header.max_bat + 127) / 128; i++)
		free(vhd->bat[i]);
	td_vhd_bitmap_free_all(vhd);
	free(vhd->bat);
	free(vhd->bat_dirty);
	free(vhd->fresh);
	free(vhd->layer);
	free(vhd);
	vhd_close(leaf);
}

static void td_vhd_message(void *opaque, const char *text)
{
	(void)opaque;
	td_err("%s", text);
}

int td_vhd_standby(const char *path, const char *dirs, const char *primary,
		   bool raw, bool *used)
{
	const struct vhd_ctx ctx = {
		.message = td_vhd_message,
		.parent_dirs = dirs,
	};
	const struct vhd_image *parent;
	struct vhd_image *image;
	struct stat st;
	uint32_t i;
	int ret;

	/* All of them are locked: the sizes and blocks are what they are. */
	ret = vhd_open(&ctx, path, VHD_OPEN_LOCK | VHD_OPEN_PARENTS, &image);
	if (ret)
		return ret;
	parent = image->parent;
	if (stat(primary, &st)) {
		ret = -errno;
		td_err("%s: %s", primary, strerror(-ret));
	} else if (!parent || parent->dev != st.st_dev ||
		   parent->ino != st.st_ino || parent->raw != raw) {
		td_err("%s cannot stand by for %s: must be a VHD whose parent that is; its parent is %s",
		       path, primary, parent ? parent->path : "none");
		ret = -EINVAL;
	} else if (image->sectors != parent->sectors) {
		td_err("%s cannot stand by for %s: it has %llu sectors, must have %llu",
		       path, primary, (unsigned long long)image->sectors,
		       (unsigned long long)parent->sectors);
		ret = -EINVAL;
	}
	*used = false;
	for (i = 0; !ret && i < image->nr_blocks; i++)
		if (image->bat[i] != VHD_BAT_UNUSED)
			*used = true;
	vhd_close(image);
	return ret;
}

static int td_vhd_open(struct td_vbd *vbd, const char *path,
		       unsigned int flags, struct td_disk_info *info,
		       void **priv)
{
	const struct td_below *below = td_vbd_below(vbd);
	const struct vhd_ctx ctx = {
		.message = td_vhd_message,
		.parent_dirs = *below->dirs ? below->dirs :
			       getenv("TAPDISK_VHD_PARENTS"),
	};
	bool rw = !(flags & TD_OPEN_RDONLY);
	struct vhd_image *leaf;
	struct td_vhd *vhd;
	int ret;

	ret = vhd_open(&ctx, path, VHD_OPEN_LOCK |
		       (*below->dev ? 0 : VHD_OPEN_PARENTS) |
		       (rw ? VHD_OPEN_RDWR : 0), &leaf);
	if (ret)
		return ret;
	ret = *below->dev ? vhd_parent_stand_in(leaf, below->dev) : 0;
	if (ret) {
		vhd_close(leaf);
		return ret;
	}
	vhd = calloc(1, sizeof(*vhd));
	if (vhd)
		vhd->layer = calloc(vhd_depth(leaf), sizeof(*vhd->layer));
	if (!vhd || !vhd->layer) {
		free(vhd);
		vhd_close(leaf);
		return -ENOMEM;
	}
	vhd->vbd = vbd;
	vhd->rw = rw;
	vhd->lru.next = &vhd->lru;
	vhd->lru.prev = &vhd->lru;
	vhd->layer[0].image = leaf;
	/* A request must fit, even one of 1 MiB with blocks of 4 KiB. */
	vhd->max_bitmaps = TD_VHD_BITMAPS + TD_VHD_SEGS * vhd_depth(leaf);
	ret = td_vhd_add_layers(vhd, leaf, flags);
	if (!ret && rw)
		ret = td_vhd_open_rw(vhd);
	if (!ret && !(flags & TD_OPEN_BUFFERED))
		td_vhd_try_direct(leaf->fd);
	if (!ret)
		ret = td_vhd_add_files(vhd);
	if (ret) {
		td_vhd_free(vhd);
		return ret;
	}
	vhd->cache = rw && flags & TD_OPEN_CACHE;
	*info = (struct td_disk_info) {
		.sectors = leaf->sectors,
		.sector_size = VHD_SECTOR,
		.phys_size = 4096,
		.discard = rw && !vhd->no_punch,
		.discard_size = 4096,
		.write_zeroes = rw && !vhd->no_punch,
	};
	*priv = vhd;
	return 0;
}

/* Which blocks are full, as far as the file says so too. */
static bool td_vhd_update_batmap(struct td_vhd *vhd)
{
	struct vhd_image *leaf = vhd->layer[0].image;
	bool changed = !leaf->batmap_good;
	uint32_t i;

	for (i = 0; i < leaf->nr_blocks; i++) {
		bool full = vhd_test_bit(vhd->layer[0].full, i) &&
			    !td_vhd_unwritten(vhd, i);

		if (vhd_test_bit(leaf->batmap_map, i) == full)
			continue;
		changed = true;
		if (full)
			vhd_set_bit(leaf->batmap_map, i);
		else
			td_vhd_clear_bit(leaf->batmap_map, i);
	}
	return changed;
}

/* Without space it stays as a crash leaves it, and that is good as well. */
static int td_vhd_close_full(struct td_vhd *vhd, int error)
{
	if (error != -ENOSPC && error != -EDQUOT)
		return error;
	td_warn("%s: no space to bring its metadata up to date at close",
		td_vhd_leaf(vhd)->path);
	return 0;
}

static int td_vhd_close_rw(struct td_vhd *vhd)
{
	struct vhd_image *leaf = vhd->layer[0].image;
	uint32_t i;
	int ret;

	td_vhd_no_direct(leaf->fd);
	if (fdatasync(leaf->fd))
		return -errno;
	if (vhd->sync_error)
		return vhd->sync_error;
	if (vhd_is_flat(leaf))
		return 0;
	if (leaf->batmap_map && leaf->batmap.version == VHD_BATMAP_VERSION &&
	    td_vhd_update_batmap(vhd)) {
		ret = vhd_batmap_write(leaf);
		if (ret)
			return td_vhd_close_full(vhd, ret);
	}
	if (vhd->space_end == leaf->footer_off)
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
	return td_vhd_close_full(vhd, vhd_trim(leaf));
}

static int td_vhd_close(void *priv)
{
	struct td_vhd *vhd = priv;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < vhd->nr_layers; i++) {
		td_vbd_file_del(vhd->vbd, vhd->layer[i].file);
		vhd->layer[i].file = -1;
	}
	if (vhd->rw)
		ret = td_vhd_close_rw(vhd);
	if (ret)
		td_err("%s: cannot write its metadata at close: %s",
		       td_vhd_leaf(vhd)->path, strerror(-ret));
	td_vhd_free(vhd);
	return ret;
}

static void td_vhd_stats(void *priv, struct json_object *image)
{
	struct json_object *status = json_object_new_object();
	const struct td_vhd *vhd = priv;
	struct json_object *driver;

	json_object_object_add(status, "chain",
			       json_object_new_int(vhd->nr_layers));
	json_object_object_add(status, "syncs",
			       json_object_new_uint64(vhd->stats.syncs));
	json_object_object_add(status, "bitmap_reads",
			       json_object_new_uint64(vhd->stats.loads));
	json_object_object_add(status, "meta_writes",
			       json_object_new_uint64(vhd->stats.meta_writes));
	json_object_object_add(status, "cached",
			       json_object_new_uint64(vhd->stats.filled));
	if (json_object_object_get_ex(image, "driver", &driver))
		json_object_object_add(driver, "status", status);
	else
		json_object_put(status);
}

const struct td_driver td_driver_vhd = {
	.name = "vhd",
	.open = td_vhd_open,
	.close = td_vhd_close,
	.submit = td_vhd_submit,
	.stats = td_vhd_stats,
};
