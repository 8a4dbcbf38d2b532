// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Another size for a disk.
 *
 * Fast, the disk grows into the room that its BAT and batmap have: only the
 * footers change. Else the metadata is laid out anew at the beginning of the
 * file, as tap does it: header, BAT, batmap, locators. Blocks that lie in the
 * way are copied behind the last one; all of it under a journal (journal.c).
 * When the disk shrinks, which must be asked for, what was behind the new end
 * is dropped from the BAT.
 *
 * A fixed disk grows under a journal, too, and shrinks without one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd_edit.h"

struct vhd_layout {
	struct vhd_image *image;
	struct vhd_header header;
	struct vhd_footer footer;
	struct vhd_batmap batmap;
	uint64_t batmap_off;
	uint64_t meta_end;
	uint64_t end;		/* of the file, where the footer goes */
	uint32_t nr_blocks;
	uint32_t *bat;		/* header.max_bat entries */
};

/* Metadata is built in memory; nobody needs locators of megabytes. */
#define VHD_META_MAX	(12U << 20)

static int vhd_resize_failed(const struct vhd_image *image, int ret)
{
	return vhd_msg(&image->ctx, ret, "%s: cannot write: %s", image->path,
		       strerror(-ret));
}

static void vhd_footer_resize(struct vhd_footer *f, uint64_t size)
{
	f->current_size = size;
	vhd_geometry(size / VHD_SECTOR, f);
	/* Of these creators the geometry would count, which is less. */
	if (!memcmp(f->creator, "vpc ", 4) || !memcmp(f->creator, "qemu", 4))
		memcpy(f->creator, "qem2", 4);
}

/*
 * The last block may reach behind the old end of the disk. What is there is
 * not to be seen when the disk grows.
 */
static int vhd_hide_tail(struct vhd_image *image)
{
	uint64_t end = image->footer.current_size / VHD_SECTOR;
	uint32_t in = end % image->block_sectors;
	uint64_t block = end / image->block_sectors;
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	int ret = 0;

	if (!in || block >= image->header.max_bat ||
	    image->bat[block] == VHD_BAT_UNUSED)
		return 0;
	if (image->batmap_good && vhd_test_bit(image->batmap_map, block)) {
		vhd_clear_bit(image->batmap_map, block);
		ret = vhd_batmap_write(image);
	}
	if (!ret)
		ret = vhd_bitmap_read(image, block, map);
	for (; in < image->block_sectors; in++)
		vhd_clear_bit(map, in);
	if (!ret)
		ret = vhd_bitmap_write(image, (uint64_t)image->bat[block] *
				       VHD_SECTOR, map);
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	return ret ? vhd_resize_failed(image, ret) : 0;
}

/* How much data the image holds behind @size, in bytes. */
static int vhd_data_behind(const struct vhd_image *image, uint64_t size,
			   uint64_t *bytes)
{
	uint64_t sector = size / VHD_SECTOR;
	uint8_t have[VHD_CHUNK / 8];
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	uint32_t nr, i;
	int ret = buf ? 0 : -ENOMEM;

	*bytes = 0;
	for (; sector < image->sectors && !ret; sector += nr) {
		nr = VHD_CHUNK - sector % VHD_CHUNK;
		if (nr > image->sectors - sector)
			nr = image->sectors - sector;
		if (!vhd_layer_has(image, sector, nr))
			continue;
		memset(have, 0, sizeof(have));
		ret = vhd_layers_read(image, image->parent, sector, nr, buf,
				      have);
		for (i = 0; i < nr && !ret; i++)
			if (vhd_test_bit(have, i) &&
			    !vhd_is_zero(buf + (size_t)i * VHD_SECTOR,
					 VHD_SECTOR))
				*bytes += VHD_SECTOR;
	}
	free(buf);
	return ret;
}

/* May the disk lose what is behind @size? */
static int vhd_may_shrink(const struct vhd_image *image, uint64_t size,
			  bool asked)
{
	uint64_t lost;
	int ret;

	if (size >= image->size)
		return 0;
	if (asked)
		return vhd_no_child(image);
	ret = vhd_data_behind(image, size, &lost);
	if (ret)
		return ret;
	return vhd_msg(&image->ctx, -EINVAL,
		       "%s: size is %" PRIu64 ", less than %" PRIu64 ", which it has: %" PRIu64 " bytes of data behind it would be lost for ever; if they may be, say so (vhd-util resize --shrink)",
		       image->path, size, image->size, lost);
}

uint64_t vhd_room(const struct vhd_image *image)
{
	uint64_t room = (uint64_t)image->header.max_bat *
			image->header.block_size;

	while (image->batmap_map && room > image->size &&
	       vhd_batmap_bytes(room) > (uint64_t)image->batmap.sectors *
	       VHD_SECTOR)
		room -= image->header.block_size;
	return room < VHD_DISK_MAX ? room : VHD_DISK_MAX;
}

static int vhd_resize_fast(struct vhd_image *image, uint64_t size)
{
	uint64_t old = vhd_batmap_bytes(image->footer.current_size);
	uint64_t new = vhd_batmap_bytes(size);
	uint8_t zero[VHD_SECTOR] = { 0 };
	int ret;

	if (image->footer.type == VHD_TYPE_FIXED)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: footer: type is 2 (fixed), must be 3 or 4 for a fast resize",
			       image->path);
	if (size < image->size || size > vhd_room(image))
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: size is %" PRIu64 ", must be from %" PRIu64 " to %" PRIu64 ", for which the metadata has room, without a journal",
			       image->path, size, image->size, vhd_room(image));
	ret = vhd_hide_tail(image);
	/* A larger disk has a larger part of the batmap. */
	for (; !ret && image->batmap_map && old < new; old += VHD_SECTOR)
		ret = vhd_pwrite(image->fd, zero, sizeof(zero),
				 image->batmap.offset + old);
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	if (ret)
		return vhd_resize_failed(image, ret);
	vhd_footer_resize(&image->footer, size);
	return vhd_footer_write(image);
}

/*
 * The new footer goes over the old one, a single sector: that is the change.
 * Only then what is behind the new end is free to take a footer, and the file
 * is cut. If the last was not done, the file is longer than it must be.
 */
static int vhd_shrink_fixed(struct vhd_image *image, uint64_t size,
			    const struct vhd_footer *footer)
{
	uint8_t buf[VHD_FOOTER_SIZE];
	int ret;

	vhd_footer_build(footer, buf);
	ret = vhd_pwrite(image->fd, buf, sizeof(buf), image->footer_off);
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	if (!ret)
		ret = vhd_pwrite(image->fd, buf, sizeof(buf), size);
	if (!ret && (fdatasync(image->fd) ||
		     ftruncate(image->fd, size + VHD_FOOTER_SIZE) ||
		     fdatasync(image->fd)))
		ret = -errno;
	return ret ? vhd_resize_failed(image, ret) : 0;
}

/* Larger: under a journal. */
static int vhd_resize_fixed(struct vhd_image *image, uint64_t size,
			    const char *journal)
{
	struct vhd_footer footer = image->footer;
	uint8_t buf[VHD_FOOTER_SIZE];
	struct vhd_journal j;
	uint64_t end;
	int ret;

	vhd_footer_resize(&footer, size);
	if (size < image->size)
		return vhd_shrink_fixed(image, size, &footer);
	end = vhd_round_up(image->footer_off, VHD_SECTOR);
	if (end < size)
		end = size;
	ret = vhd_journal_begin(&j, &image->ctx, journal, image, 0, end);
	if (ret)
		return ret;
	if (image->footer_off < size) {
		/* The old footer lies in the disk now. */
		memset(buf, 0, sizeof(buf));
		ret = vhd_pwrite(image->fd, buf, image->file_size -
				 image->footer_off, image->footer_off);
		if (!ret)
			ret = vhd_reserve(image->fd, image->footer_off,
					  size - image->footer_off);
	}
	if (ret)
		vhd_resize_failed(image, ret);
	return vhd_journal_end(&j, ret, &footer, end);
}

static uint64_t vhd_locator_space(const struct vhd_locator *loc)
{
	return loc->code ? vhd_round_up(loc->data_len, VHD_SECTOR) : 0;
}

/* Where everything goes. */
static int vhd_layout_plan(struct vhd_layout *l, uint64_t size)
{
	struct vhd_image *image = l->image;
	uint32_t block = image->header.block_size;
	uint64_t room;
	unsigned int i;

	l->header = image->header;
	l->footer = image->footer;
	vhd_footer_resize(&l->footer, size);
	l->footer.data_offset = VHD_FOOTER_SIZE;
	l->nr_blocks = (size + block - 1) / block;
	if (l->header.max_bat < l->nr_blocks)
		l->header.max_bat = l->nr_blocks;
	if (l->header.max_bat > VHD_BAT_MAX)
		return vhd_msg(&image->ctx, -EFBIG,
			       "%s: %u blocks of %u bytes, must be at most %u",
			       image->path, l->header.max_bat, block,
			       VHD_BAT_MAX);
	l->header.table_offset = VHD_FOOTER_SIZE + VHD_HEADER_SIZE;
	l->meta_end = l->header.table_offset +
		      vhd_round_up(4ULL * l->header.max_bat, VHD_SECTOR);
	if (image->batmap_map) {
		room = (uint64_t)l->header.max_bat * block;
		l->batmap = image->batmap;
		l->batmap_off = l->meta_end;
		l->batmap.offset = l->meta_end + VHD_BATMAP_HEADER_SIZE;
		l->batmap.sectors = vhd_batmap_bytes(room) / VHD_SECTOR;
		l->batmap.version = VHD_BATMAP_VERSION;
		l->meta_end = l->batmap.offset +
			      (uint64_t)l->batmap.sectors * VHD_SECTOR;
	}
	for (i = 0; i < VHD_LOCATORS && image->footer.type == VHD_TYPE_DIFF;
	     i++) {
		if (vhd_locator_space(&l->header.loc[i]))
			l->header.loc[i].data_offset = l->meta_end;
		l->meta_end += vhd_locator_space(&l->header.loc[i]);
	}
	if (l->meta_end > VHD_META_MAX)
		return vhd_msg(&image->ctx, -EFBIG,
			       "%s: metadata of %" PRIu64 " bytes, must be at most %u",
			       image->path, l->meta_end, VHD_META_MAX);
	return 0;
}

/* The new BAT; also finds the new end. */
static int vhd_layout_blocks(struct vhd_layout *l)
{
	struct vhd_image *image = l->image;
	uint64_t end = image->data_end > l->meta_end ? image->data_end :
		       l->meta_end;
	uint32_t i;
	int ret;

	l->bat = malloc((size_t)l->header.max_bat * 4 + VHD_SECTOR);
	if (!l->bat)
		return -ENOMEM;
	for (i = 0; i < l->header.max_bat; i++) {
		l->bat[i] = i < image->header.max_bat && i < l->nr_blocks ?
			    image->bat[i] : VHD_BAT_UNUSED;
		if (l->bat[i] == VHD_BAT_UNUSED ||
		    (uint64_t)l->bat[i] * VHD_SECTOR >= l->meta_end)
			continue;
		end = vhd_block_after(image, end);
		ret = vhd_block_start(image, end, &l->bat[i]);
		if (ret)
			return ret;
		end += vhd_block_bytes(image);
	}
	l->end = vhd_round_up(end > image->footer_off ? end :
			      image->footer_off, VHD_SECTOR);
	return 0;
}

/* Copy the blocks that have a new place. */
static int vhd_layout_move(struct vhd_layout *l)
{
	struct vhd_image *image = l->image;
	uint64_t len = vhd_block_bytes(image);
	uint8_t *buf = malloc(len);
	uint32_t i;
	int ret = buf ? 0 : -ENOMEM;

	for (i = 0; i < image->header.max_bat && i < l->nr_blocks && !ret;
	     i++) {
		if (l->bat[i] == image->bat[i])
			continue;
		ret = vhd_pread(image->fd, buf, len,
				(uint64_t)image->bat[i] * VHD_SECTOR);
		if (!ret)
			ret = vhd_write_sparse(image->fd, buf, len,
					       (uint64_t)l->bat[i] *
					       VHD_SECTOR, false, true);
	}
	free(buf);
	return ret;
}

static int vhd_layout_batmap(struct vhd_layout *l, uint8_t *buf)
{
	struct vhd_image *image = l->image;
	uint64_t bytes = vhd_batmap_bytes(l->footer.current_size);
	uint8_t *head = buf + l->batmap_off;
	uint8_t *map = buf + l->batmap.offset;
	uint8_t fresh[VHD_BATMAP_HEADER_SIZE];
	uint32_t i;
	int ret;

	for (i = 0; i < l->nr_blocks && i < image->nr_blocks && i < bytes * 8 &&
	     image->batmap_good; i++)
		if (vhd_test_bit(image->batmap_map, i))
			vhd_set_bit(map, i);
	l->batmap.checksum = vhd_batmap_checksum(map, bytes);
	/* The rest of the header (key hash) stays as it is. */
	ret = vhd_pread(image->fd, head, VHD_BATMAP_HEADER_SIZE,
			image->batmap_off);
	vhd_batmap_build(&l->batmap, fresh);
	memcpy(head, fresh, 29);
	return ret;
}

/* All metadata but the footers. */
static int vhd_layout_write(struct vhd_layout *l)
{
	struct vhd_image *image = l->image;
	uint8_t *buf = calloc(1, l->meta_end);
	uint64_t bat = l->header.table_offset;
	unsigned int i;
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	vhd_header_build(&l->header, buf + VHD_FOOTER_SIZE);
	memset(buf + bat, 0xff, vhd_round_up(4ULL * l->header.max_bat,
					     VHD_SECTOR));
	vhd_bat_encode(l->bat, buf + bat, l->header.max_bat);
	if (image->batmap_map)
		ret = vhd_layout_batmap(l, buf);
	for (i = 0; i < VHD_LOCATORS && !ret &&
	     image->footer.type == VHD_TYPE_DIFF; i++)
		if (vhd_locator_space(&image->header.loc[i]))
			ret = vhd_pread(image->fd,
					buf + l->header.loc[i].data_offset,
					image->header.loc[i].data_len,
					image->header.loc[i].data_offset);
	if (!ret)
		ret = vhd_pwrite(image->fd, buf + VHD_FOOTER_SIZE,
				 l->meta_end - VHD_FOOTER_SIZE,
				 VHD_FOOTER_SIZE);
	free(buf);
	return ret;
}

static int vhd_resize_journal(struct vhd_image *image, uint64_t size,
			      const char *journal)
{
	struct vhd_layout l = { .image = image };
	struct vhd_journal j;
	int ret;

	ret = vhd_layout_plan(&l, size);
	if (!ret)
		ret = vhd_layout_blocks(&l);
	if (!ret)
		ret = vhd_hide_tail(image);
	if (!ret)
		ret = vhd_journal_begin(&j, &image->ctx, journal, image,
					l.meta_end, l.end);
	if (ret)
		goto out;
	ret = vhd_layout_move(&l);
	if (!ret)
		ret = vhd_layout_write(&l);
	if (ret)
		vhd_resize_failed(image, ret);
	ret = vhd_journal_end(&j, ret, &l.footer, l.end);
out:
	free(l.bat);
	return ret;
}

/* Cut off what the change has left behind the last block. */
static int vhd_resize_cut(const struct vhd_ctx *ctx, const char *path)
{
	struct vhd_image *image;
	int ret;

	ret = vhd_open(ctx, path, VHD_OPEN_RDWR | VHD_OPEN_LOCK, &image);
	if (ret)
		return ret;
	if (vhd_round_up(image->data_end, VHD_SECTOR) < image->footer_off)
		ret = vhd_trim(image);
	if (ret)
		vhd_resize_failed(image, ret);
	vhd_close(image);
	return ret;
}

int vhd_resize(const struct vhd_ctx *ctx, const char *path, uint64_t size,
	       const char *journal, bool shrink)
{
	struct vhd_image *image;
	bool fixed;
	int ret = 0;

	if (!size || size % VHD_SECTOR || size > VHD_DISK_MAX)
		return vhd_msg(ctx, size > VHD_DISK_MAX ? -EFBIG : -EINVAL,
			       "%s: size is %" PRIu64 " bytes, must be a multiple of 512 from 512 to %llu (2040 GiB): the block table has 32-bit sector numbers",
			       path, size, VHD_DISK_MAX);
	if (journal && !access(journal, F_OK))
		ret = vhd_revert(ctx, path, journal);
	if (!ret)
		ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	fixed = image->footer.type == VHD_TYPE_FIXED;
	ret = size == image->size || !journal ? 0 : vhd_edit_sizable(image);
	if (!ret && journal)
		ret = vhd_may_shrink(image, size, shrink);
	if (ret || size == image->size)
		;
	else if (!journal)
		ret = vhd_resize_fast(image, size);
	else if (fixed)
		ret = vhd_resize_fixed(image, size, journal);
	else
		ret = vhd_resize_journal(image, size, journal);
	vhd_close(image);
	return ret || fixed || !journal ? ret : vhd_resize_cut(ctx, path);
}

int vhd_grow(const struct vhd_ctx *ctx, const char *path, uint64_t size)
{
	struct vhd_image *image;
	char journal[PATH_MAX];
	bool fast;
	int ret;

	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	if (size < image->size)
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: size is %" PRIu64 ", must be at least %" PRIu64 ", which it has",
			      path, size, image->size);
	else
		ret = vhd_journal_name(path, journal);
	fast = image->footer.type != VHD_TYPE_FIXED && size <= VHD_DISK_MAX &&
	       size <= vhd_room(image);
	vhd_close(image);
	return ret ? ret : vhd_resize(ctx, path, size, fast ? NULL : journal,
				      false);
}
