// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writing large amounts of data into an image that no guest uses.
 *
 * What must hold if the machine stops at any time: the image opens, and each
 * sector is old or new. So, for up to VHD_BATCH blocks at a time:
 *
 *	space		is there from the start: a footer at the end that the
 *			file may get, fdatasync. All before it is a hole.
 *	data		into old blocks, where it may still be hidden by a
 *			clear bit, and new ones, with their bitmaps;
 *	fdatasync
 *	metadata	bitmaps of old blocks, BAT entries of new ones.
 *
 * One fdatasync for a batch: that of the next one covers the metadata, for
 * which it does not matter when it gets to the disk. The batmap comes last.
 * A new image is not seen by anybody: all its metadata is written at the end.
 *
 * New blocks of a dynamic image are full: what is not written is a hole. Those
 * of a differencing one have the bits of what is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_edit.h"

/* Zeros are looked for in such pieces. */
#define VHD_SPARSE		65536U

int vhd_block_start(const struct vhd_image *image, uint64_t off,
		    uint32_t *start)
{
	if (off / VHD_SECTOR >= VHD_BAT_UNUSED ||
	    off + vhd_block_bytes(image) + VHD_FOOTER_SIZE > VHD_FILE_MAX)
		return vhd_msg(&image->ctx, -EFBIG,
			       "%s: a block at %" PRIu64 " would end beyond %llu: the block table has 32-bit sector numbers",
			       image->path, off, VHD_FILE_MAX);
	*start = off / VHD_SECTOR;
	return 0;
}

int vhd_bat_write(const struct vhd_image *image, uint32_t first, uint32_t last)
{
	uint32_t per = VHD_SECTOR / 4;
	uint32_t left, nr;
	uint8_t buf[VHD_SECTOR];
	int ret = 0;

	for (first -= first % per; first <= last && !ret; first += per) {
		left = image->header.max_bat - first;
		nr = left < per ? left : per;
		memset(buf, 0xff, sizeof(buf));
		vhd_bat_encode(image->bat + first, buf, nr);
		ret = vhd_pwrite(image->fd, buf, sizeof(buf),
				 image->header.table_offset + 4ULL * first);
	}
	return ret ? vhd_msg(&image->ctx, ret, "%s: cannot write the BAT: %s",
			     image->path, strerror(-ret)) : 0;
}

uint32_t vhd_target_missing(const struct vhd_image *image, uint64_t sector,
			    uint32_t nr)
{
	uint64_t i, last;
	uint32_t missing = 0;

	if (vhd_is_flat(image) || sector >= image->sectors)
		return 0;
	if (nr > image->sectors - sector)
		nr = image->sectors - sector;
	last = (sector + nr - 1) / image->block_sectors;
	for (i = sector / image->block_sectors; i <= last; i++)
		missing += image->bat[i] == VHD_BAT_UNUSED;
	return missing;
}

struct vhd_target *vhd_target_new(struct vhd_image *image, bool fresh)
{
	struct vhd_target *t = calloc(1, sizeof(*t));

	if (!t) {
		vhd_close(image);
		return NULL;
	}
	vhd_batmap_renew(image);
	t->image = image;
	t->fresh = fresh;
	t->old_end = image->data_end;
	if (!vhd_is_flat(image))
		t->next = vhd_block_after(image, image->data_end);
	return t;
}

/* Room for that many new blocks. What a crash left behind is cut off. */
int vhd_target_reserve(struct vhd_target *t, uint32_t blocks)
{
	struct vhd_image *image = t->image;
	uint64_t end;
	uint32_t last;
	int ret;

	if (vhd_is_flat(image))
		return 0;
	ret = vhd_edit_sizable(image);
	if (ret || !blocks)
		return ret;
	ret = vhd_trim(image);
	if (ret)
		return vhd_msg(&image->ctx, ret, "%s: cannot write: %s",
			       image->path, strerror(-ret));
	t->next = vhd_block_after(image, image->data_end);
	/* The stride, including what aligns the next one. */
	end = vhd_block_after(image, t->next + vhd_block_bytes(image)) -
	      t->next;
	end = t->next + end * blocks;
	ret = vhd_block_start(image, end - vhd_block_bytes(image), &last);
	if (ret)
		return ret;
	ret = vhd_pwrite(image->fd, image->footer_buf, VHD_FOOTER_SIZE,
			 vhd_round_up(end, VHD_SECTOR));
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	return ret ? vhd_msg(&image->ctx, ret, "%s: cannot grow to %" PRIu64 " bytes: %s",
			     image->path, end + VHD_FOOTER_SIZE,
			     strerror(-ret)) : 0;
}

static int vhd_target_flush(struct vhd_target *t)
{
	struct vhd_image *image = t->image;
	unsigned int i;
	int ret = 0;

	if (!t->nr)
		return 0;
	if (!t->fresh && fdatasync(image->fd))
		return vhd_msg(&image->ctx, -errno, "%s: cannot write: %m",
			       image->path);
	for (i = 0; i < t->nr && !ret; i++) {
		uint32_t block = t->batch[i].block;

		if (t->batch[i].new) {
			image->bat[block] = t->batch[i].start;
			if (!t->fresh)
				ret = vhd_bat_write(image, block, block);
		} else {
			ret = vhd_bitmap_write(image,
					       (uint64_t)image->bat[block] *
					       VHD_SECTOR, t->batch[i].map);
		}
		if (!ret && t->batch[i].full && image->batmap_good)
			vhd_set_bit(image->batmap_map, block);
	}
	t->nr = 0;
	return ret;
}

static bool vhd_punch(int fd, uint64_t off, uint64_t len)
{
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
			  len);
}

/*
 * The disk begins at once, while we fetch what comes next, and not when we
 * wait for it at the end. A hint: it orders nothing.
 */
static int vhd_write_begin(int fd, const uint8_t *buf, size_t len,
			   uint64_t off)
{
	int ret = vhd_pwrite(fd, buf, len, off);

	if (!ret && len >= VHD_SPARSE)
		sync_file_range(fd, off, len, SYNC_FILE_RANGE_WRITE);
	return ret;
}

int vhd_write_sparse(int fd, const uint8_t *buf, size_t len, uint64_t off,
		     bool hole, bool punch)
{
	size_t n, run = 0;
	int ret = 0;

	while (!ret && run < len) {
		n = len - run < VHD_SPARSE ? len - run : VHD_SPARSE;
		if (vhd_is_zero(buf + run, n) &&
		    (hole || vhd_is_hole(fd, off + run, n) ||
		     (punch && vhd_punch(fd, off + run, n)))) {
			ret = vhd_write_begin(fd, buf, run, off);
			buf += run + n;
			off += run + n;
			len -= run + n;
			run = 0;
		} else {
			run += n;
		}
	}
	return ret ? ret : vhd_write_begin(fd, buf, run, off);
}

/* @hole: there is nothing but zeros in the file there. */
static int vhd_target_data(struct vhd_target *t, const uint8_t *buf,
			   size_t len, uint64_t off, bool hole)
{
	const struct vhd_image *image = t->image;
	int ret;

	if (t->dense)
		ret = vhd_write_begin(image->fd, buf, len, off);
	else
		ret = vhd_write_sparse(image->fd, buf, len, off,
				       hole || t->fresh,
				       t->punch || !vhd_is_flat(image));
	return ret ? vhd_msg(&image->ctx, ret, "%s: cannot write at %" PRIu64 ": %s",
			     image->path, off, strerror(-ret)) : 0;
}

/* Those of @nr sectors that are in @have; the first of them lies at @off. */
static int vhd_target_runs(struct vhd_target *t, uint32_t first, uint32_t nr,
			   const uint8_t *buf, const uint8_t *have,
			   uint64_t off, bool hole)
{
	uint32_t i, run;
	int ret = 0;

	for (i = first; i < first + nr && !ret; i += run) {
		run = vhd_bits_run(have, i, first + nr, false);
		i += run;
		run = vhd_bits_run(have, i, first + nr, true);
		if (run)
			ret = vhd_target_data(t, buf + (size_t)i * VHD_SECTOR,
					      (size_t)run * VHD_SECTOR, off +
					      (uint64_t)(i - first) *
					      VHD_SECTOR, hole);
	}
	return ret;
}

static int vhd_target_new_block(struct vhd_target *t, uint32_t block,
				uint32_t first, uint32_t nr,
				const uint8_t *buf, const uint8_t *have)
{
	struct vhd_image *image = t->image;
	unsigned int slot = t->nr;
	uint8_t *map = t->maps[slot];
	int ret;

	ret = vhd_block_start(image, t->next, &t->batch[slot].start);
	if (ret)
		return ret;
	memset(map, 0, VHD_SECTOR);
	if (image->footer.type == VHD_TYPE_DYNAMIC ||
	    vhd_bits_full(have + first / 8, nr))
		memset(map, 0xff, (image->block_sectors + 7) / 8);
	else
		memcpy(map, have + first / 8, (nr + 7) / 8);
	ret = vhd_bitmap_write(image, t->next, map);
	if (ret)
		return vhd_msg(&image->ctx, ret, "%s: cannot write at %" PRIu64 ": %s",
			       image->path, t->next, strerror(-ret));
	ret = vhd_target_runs(t, first, nr, buf, have, t->next +
			      image->bitmap_bytes, true);
	if (ret)
		return ret;
	t->batch[slot].block = block;
	t->batch[slot].new = true;
	t->batch[slot].full = vhd_bits_full(map, nr);
	t->nr++;
	if (t->next + vhd_block_bytes(image) > image->data_end)
		image->data_end = t->next + vhd_block_bytes(image);
	t->next = vhd_block_after(image, image->data_end);
	return 0;
}

static int vhd_target_old_block(struct vhd_target *t, uint32_t block,
				uint32_t first, uint32_t nr,
				const uint8_t *buf, const uint8_t *have)
{
	struct vhd_image *image = t->image;
	unsigned int slot = t->nr;
	uint8_t *map = t->maps[slot];
	bool changed = false;
	uint32_t i;
	int ret;

	ret = vhd_target_runs(t, first, nr, buf, have,
			      (uint64_t)image->bat[block] * VHD_SECTOR +
			      image->bitmap_bytes, false);
	if (ret)
		return ret;
	/* Even if the batmap says that it is full: it may say so wrongly. */
	ret = vhd_bitmap_read(image, block, map);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the bitmap of block %u: %s",
			       image->path, block, strerror(-ret));
	for (i = 0; i < nr; i++) {
		if (!vhd_test_bit(have, first + i) || vhd_test_bit(map, i))
			continue;
		vhd_set_bit(map, i);
		changed = true;
	}
	if (!changed)
		return 0;
	t->batch[slot].block = block;
	t->batch[slot].new = false;
	t->batch[slot].full = vhd_bits_full(map, nr);
	t->batch[slot].map = map;
	t->nr++;
	return 0;
}

/* There is no place for what is behind the end: it must be zeros. */
static int vhd_target_fits(struct vhd_target *t, uint64_t sector,
			   uint32_t *nr, const uint8_t *buf)
{
	const struct vhd_image *image = t->image;
	uint64_t room = sector < image->sectors ? image->sectors - sector : 0;
	uint32_t fits = *nr < room ? *nr : room;

	if (!vhd_is_zero(buf + (size_t)fits * VHD_SECTOR,
			 (size_t)(*nr - fits) * VHD_SECTOR))
		return vhd_msg(&image->ctx, -EFBIG,
			       "%s: the disk has %" PRIu64 " bytes, must have more than %" PRIu64 " to hold what is merged into it: resize it first",
			       image->path, image->size,
			       (sector + fits) * VHD_SECTOR);
	*nr = fits;
	return 0;
}

/*
 * Write those of @nr (<= VHD_CHUNK) sectors that are in @have. @sector is a
 * multiple of VHD_CHUNK; each piece of the disk is written once. What is not
 * in @have is zeros in @buf.
 */
int vhd_target_put(struct vhd_target *t, uint64_t sector, uint32_t nr,
		   const uint8_t *buf, const uint8_t *have)
{
	struct vhd_image *image = t->image;
	uint32_t done, len, block;
	int ret;

	ret = vhd_target_fits(t, sector, &nr, buf);
	if (!ret && vhd_is_flat(image))
		return vhd_target_runs(t, 0, nr, buf, have,
				       sector * VHD_SECTOR, false);
	for (done = 0; done < nr && !ret; done += len) {
		block = (sector + done) / image->block_sectors;
		len = nr - done < image->block_sectors ? nr - done :
		      image->block_sectors;
		if (t->alloc_only ? image->bat[block] != VHD_BAT_UNUSED :
		    vhd_bits_none(have + done / 8, len))
			continue;
		if (t->nr == VHD_BATCH)
			ret = vhd_target_flush(t);
		if (ret)
			break;
		if (image->bat[block] != VHD_BAT_UNUSED)
			ret = vhd_target_old_block(t, block, done, len, buf,
						   have);
		else if (t->force || image->footer.type != VHD_TYPE_DYNAMIC ||
			 !vhd_is_zero(buf + (size_t)done * VHD_SECTOR,
				      (size_t)len * VHD_SECTOR))
			ret = vhd_target_new_block(t, block, done, len, buf,
						   have);
	}
	return ret;
}

/* Nobody knows of the new blocks, or they hold nothing that is not elsewhere. */
static int vhd_target_forget(struct vhd_target *t)
{
	struct vhd_image *image = t->image;
	uint32_t first = image->header.max_bat, last = 0;
	uint32_t i;
	int ret;

	for (i = 0; i < image->header.max_bat; i++) {
		if (image->bat[i] == VHD_BAT_UNUSED ||
		    (uint64_t)image->bat[i] * VHD_SECTOR < t->old_end)
			continue;
		image->bat[i] = VHD_BAT_UNUSED;
		if (first > i)
			first = i;
		last = i;
	}
	if (first > last)
		return 0;
	ret = vhd_bat_write(image, first, last);
	return !ret && fdatasync(image->fd) ? -errno : ret;
}

/*
 * It failed: the file becomes as long as it was, so that its space is not
 * lost until somebody opens the image again. Readers of a live image may know
 * of blocks that are in the BAT: those stay.
 */
static void vhd_target_give_back(struct vhd_target *t)
{
	struct vhd_image *image = t->image;
	uint64_t end;
	struct stat st;
	uint32_t i;
	int ret;

	if (t->fresh || vhd_is_flat(image) || image->bdev)
		return;
	if (!t->live && vhd_target_forget(t))
		return;
	image->data_end = image->meta_end;
	for (i = 0; i < image->header.max_bat; i++) {
		end = (uint64_t)image->bat[i] * VHD_SECTOR +
		      vhd_block_bytes(image);
		if (image->bat[i] != VHD_BAT_UNUSED && end > image->data_end)
			image->data_end = end;
	}
	/* The footer in front may need space: what is to go anyway makes some. */
	end = vhd_round_up(image->data_end + VHD_FOOTER_SIZE, 4096);
	if (!fstat(image->fd, &st) && (uint64_t)st.st_size > end + 8192)
		vhd_punch(image->fd, end, st.st_size - 8192 - end);
	ret = vhd_trim(image);
	if (ret)
		vhd_msg(&image->ctx, ret,
			"%s: cannot give back what was added to it: %s; the next change does",
			image->path, strerror(-ret));
}

int vhd_target_end(struct vhd_target *t, int error)
{
	struct vhd_image *image = t->image;
	int ret = error;

	if (!ret)
		ret = vhd_target_flush(t);
	if (vhd_is_flat(image)) {
		if (!ret && fdatasync(image->fd))
			ret = -errno;
	} else if (!ret) {
		if (t->fresh)
			ret = vhd_bat_write(image, 0,
					    image->header.max_bat - 1);
		if (!ret && fdatasync(image->fd))
			ret = -errno;
		if (!ret && image->batmap_good)
			ret = vhd_batmap_write(image);
		if (!ret)
			ret = vhd_trim(image);
	}
	if (ret && !error)
		vhd_msg(&image->ctx, ret, "%s: cannot write: %s", image->path,
			strerror(-ret));
	if (ret)
		vhd_target_give_back(t);
	vhd_close(image);
	free(t);
	return ret;
}
