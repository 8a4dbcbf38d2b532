// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Drop the blocks that an image can do without, because what the parents have
 * there, or zeros, is the same. The last blocks of the file move into the
 * space, and the file ends sooner.
 *
 * If the machine stops at any time, the image opens and holds the same data:
 *
 *	drop	batmap, which must not tell of blocks that are not there,
 *		fdatasync, BAT, fdatasync
 *	move	copies of blocks into space that the BAT on the disk does not
 *		name, fdatasync, BAT, fdatasync. So for up to VHD_BATCH blocks;
 *		the space that they leave is not used again.
 *	cut	footer behind the last block, fdatasync, truncate
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd_edit.h"

struct vhd_compact {
	struct vhd_image *image;
	const struct vhd_progress *progress;
	uint8_t *with;		/* data of a chunk with the image */
	uint8_t *without;	/* and with its parents only */
	uint32_t dropped;
	uint32_t nr;		/* blocks left */
	uint32_t *order;	/* of them, by where they lie */
};

static int vhd_order_cmp(const void *a, const void *b, void *bat)
{
	const uint32_t *map = bat;
	uint32_t x = map[*(const uint32_t *)a];
	uint32_t y = map[*(const uint32_t *)b];

	return x < y ? -1 : x > y;
}

static int vhd_read_data(const struct vhd_image *image, uint64_t sector,
			 uint32_t nr, uint8_t *buf)
{
	uint8_t have[VHD_CHUNK / 8] = { 0 };

	return vhd_layers_read(image, NULL, sector, nr, buf, have);
}

/* 1: the block can go; 0: it is needed; or -errno. */
static int vhd_compact_useless(struct vhd_compact *c, uint32_t block)
{
	struct vhd_image *image = c->image;
	uint64_t sector = (uint64_t)block * image->block_sectors;
	uint64_t left = image->sectors - sector;
	uint32_t nr = left < image->block_sectors ? left :
		      image->block_sectors;
	int ret;

	ret = vhd_read_data(image, sector, nr, c->with);
	if (!ret && image->parent)
		ret = vhd_read_data(image->parent, sector, nr, c->without);
	if (ret)
		return ret;
	if (image->parent)
		return !memcmp(c->with, c->without, (size_t)nr * VHD_SECTOR);
	return vhd_is_zero(c->with, (size_t)nr * VHD_SECTOR);
}

static int vhd_bat_sync(const struct vhd_image *image, uint32_t first,
			uint32_t last)
{
	int ret = vhd_bat_write(image, first, last);

	if (!ret && fdatasync(image->fd))
		ret = vhd_msg(&image->ctx, -errno, "%s: cannot write: %m",
			      image->path);
	return ret;
}

static int vhd_compact_drop(struct vhd_compact *c)
{
	struct vhd_image *image = c->image;
	uint32_t i;
	int ret;

	for (i = 0; i < image->header.max_bat; i++) {
		if (image->bat[i] == VHD_BAT_UNUSED)
			continue;
		ret = i < image->nr_blocks ? vhd_compact_useless(c, i) : 1;
		if (ret < 0)
			return ret;
		vhd_progress_tell(c->progress, i, 2ULL * image->nr_blocks);
		if (!ret) {
			c->order[c->nr++] = i;
			continue;
		}
		image->bat[i] = VHD_BAT_UNUSED;
		c->dropped++;
		if (image->batmap_good && i < image->nr_blocks)
			vhd_clear_bit(image->batmap_map, i);
	}
	ret = image->batmap_good ? vhd_batmap_write(image) : 0;
	return ret || !c->dropped ? ret : vhd_bat_sync(image, 0, image->header.max_bat - 1);
}

/* A place for a block in [from, to); 0: none. Aligned, if it fits so. */
static uint64_t vhd_compact_gap(const struct vhd_image *image, uint64_t from,
				uint64_t to)
{
	uint64_t bytes = vhd_block_bytes(image);
	uint64_t pos;

	from = vhd_round_up(from, VHD_SECTOR);
	pos = vhd_round_up(from + image->bitmap_bytes, 4096) -
	      image->bitmap_bytes;
	if (pos + bytes <= to)
		return pos;
	return from + bytes <= to ? from : 0;
}

static int vhd_compact_copy(struct vhd_compact *c, uint64_t from, uint64_t to)
{
	const struct vhd_image *image = c->image;
	int ret;

	ret = vhd_pread(image->fd, c->with, image->bitmap_bytes, from);
	if (!ret)
		ret = vhd_pwrite(image->fd, c->with, image->bitmap_bytes, to);
	from += image->bitmap_bytes;
	to += image->bitmap_bytes;
	if (!ret)
		ret = vhd_pread(image->fd, c->with, image->header.block_size,
				from);
	if (!ret)
		ret = vhd_write_sparse(image->fd, c->with,
				       image->header.block_size, to, false,
				       true);
	return ret;
}

/*
 * Fill the gaps from the front with the blocks from the end, until they meet.
 * c->order has the blocks as they lie; those that move leave its end.
 */
static int vhd_compact_move(struct vhd_compact *c)
{
	struct vhd_image *image = c->image;
	uint64_t bytes = vhd_block_bytes(image);
	uint32_t starts[VHD_BATCH];
	uint64_t end = image->meta_end;
	uint32_t front = 0, moved, i;
	int ret = 0;

	do {
		for (moved = 0; moved < VHD_BATCH && front < c->nr && !ret;) {
			uint64_t next = (uint64_t)image->bat[c->order[front]] *
					VHD_SECTOR;
			uint64_t gap = vhd_compact_gap(image, end, next);
			uint32_t last = c->order[c->nr - 1];

			if (!gap) {
				if (next + bytes > end)
					end = next + bytes;
				front++;
				continue;
			}
			ret = vhd_compact_copy(c, (uint64_t)image->bat[last] *
					       VHD_SECTOR, gap);
			starts[moved++] = gap / VHD_SECTOR;
			c->nr--;
			end = gap + bytes;
		}
		if (ret || !moved)
			break;
		if (fdatasync(image->fd))
			return -errno;
		for (i = 0; i < moved && !ret; i++) {
			uint32_t block = c->order[c->nr + moved - 1 - i];

			image->bat[block] = starts[i];
			ret = vhd_bat_write(image, block, block);
		}
		if (!ret && fdatasync(image->fd))
			ret = -errno;
		vhd_progress_tell(c->progress, image->nr_blocks + front,
				  2ULL * image->nr_blocks);
	} while (!ret && moved == VHD_BATCH);
	return ret;
}

static int vhd_compact_run(struct vhd_compact *c)
{
	struct vhd_image *image = c->image;
	uint64_t end;
	uint32_t i;
	int ret;

	vhd_batmap_renew(image);
	ret = vhd_compact_drop(c);
	if (ret)
		return ret;
	qsort_r(c->order, c->nr, sizeof(*c->order), vhd_order_cmp, image->bat);
	ret = vhd_compact_move(c);
	image->data_end = image->meta_end;
	for (i = 0; i < image->header.max_bat; i++) {
		end = (uint64_t)image->bat[i] * VHD_SECTOR +
		      vhd_block_bytes(image);
		if (image->bat[i] != VHD_BAT_UNUSED && end > image->data_end)
			image->data_end = end;
	}
	if (!ret)
		ret = vhd_trim(image);
	vhd_progress_tell(c->progress, 1, 1);
	return ret;
}

int vhd_compact(const struct vhd_ctx *ctx, const char *path,
		const struct vhd_progress *progress, uint32_t *dropped)
{
	const struct vhd_progress none = { 0 };
	struct vhd_compact c = { .progress = progress ? progress : &none };
	int ret;

	ret = vhd_edit_open(ctx, path, VHD_OPEN_PARENTS, &c.image);
	if (ret)
		return ret;
	if (vhd_is_flat(c.image)) {
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: footer: type is 2 (fixed), must be 3 or 4 to have blocks that can be dropped",
			      path);
		goto out;
	}
	ret = vhd_edit_sizable(c.image);
	if (ret)
		goto out;
	c.with = malloc(VHD_BLOCK_SIZE);
	c.without = malloc(VHD_BLOCK_SIZE);
	c.order = malloc((size_t)c.image->header.max_bat * 4 + 4);
	if (!c.with || !c.without || !c.order)
		ret = -ENOMEM;
	if (!ret && c.image->footer_lost)
		ret = vhd_trim(c.image);
	if (!ret)
		ret = vhd_compact_run(&c);
	if (ret)
		vhd_msg(ctx, ret, "%s: cannot compact: %s", path,
			strerror(-ret));
	if (dropped)
		*dropped = c.dropped;
out:
	free(c.with);
	free(c.without);
	free(c.order);
	vhd_close(c.image);
	return ret;
}
