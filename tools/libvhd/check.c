// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is an image what it should be? Most is asked by vhd_open() with
 * VHD_OPEN_STRICT; here is what needs more reading.
 */
#include <errno.h>
#include <string.h>

#include "vhd_edit.h"

static int vhd_check_bitmap(const struct vhd_image *image, uint32_t block,
			    struct vhd_check_stats *stats)
{
	uint64_t left = image->sectors -
			(uint64_t)block * image->block_sectors;
	uint32_t nr = left < image->block_sectors ? left :
		      image->block_sectors;
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	uint32_t set = 0;
	uint32_t i;
	int ret;

	ret = vhd_bitmap_read(image, block, map);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the bitmap of block %u: %s",
			       image->path, block, strerror(-ret));
	for (i = 0; i < nr; i++)
		set += vhd_test_bit(map, i);
	stats->sectors += set;
	stats->full += set == nr;
	if (set < nr && image->batmap_good &&
	    vhd_test_bit(image->batmap_map, block))
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: batmap shows block %u full, but its bitmap has %u of %u sectors",
			       image->path, block, set, nr);
	return 0;
}

static int vhd_check_blocks(const struct vhd_image *image, unsigned int flags,
			    struct vhd_check_stats *stats)
{
	uint32_t i;
	int ret;

	if (vhd_is_flat(image))
		return 0;
	for (i = 0; i < image->nr_blocks; i++) {
		if (image->bat[i] == VHD_BAT_UNUSED)
			continue;
		stats->blocks++;
		if (!(flags & VHD_CHECK_BITMAPS))
			continue;
		ret = vhd_check_bitmap(image, i, stats);
		if (ret)
			return ret;
		vhd_progress_tell(&stats->progress, i, image->nr_blocks);
	}
	if (flags & VHD_CHECK_BITMAPS)
		vhd_progress_tell(&stats->progress, 1, 1);
	return 0;
}

/* What a differencing image must say of its parent. */
static int vhd_check_names(const struct vhd_image *image)
{
	char name[VHD_NAME_MAX];
	unsigned int i;
	int ret;

	if (vhd_is_flat(image) || image->footer.type != VHD_TYPE_DIFF)
		return 0;
	for (i = 0; i < VHD_LOCATORS; i++) {
		const struct vhd_locator *loc = &image->header.loc[i];

		if (loc->code != VHD_PLAT_MACX && loc->code != VHD_PLAT_W2KU &&
		    loc->code != VHD_PLAT_W2RU)
			continue;
		ret = vhd_locator_read(image, loc, name);
		if (ret || !*name)
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: header: locator %u: %u bytes at %llu must be a name of 1 to %u bytes before %llu",
				       image->path, i, loc->data_len,
				       (unsigned long long)loc->data_offset,
				       VHD_NAME_MAX,
				       (unsigned long long)image->footer_off);
	}
	if (vhd_parent_name(image, name))
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: header: a differencing image must name its parent",
			       image->path);
	return 0;
}

int vhd_check(const struct vhd_ctx *ctx, const char *path,
	      unsigned int open_flags, unsigned int flags,
	      struct vhd_check_stats *stats)
{
	struct vhd_check_stats none = { 0 };
	struct vhd_image *chain, *image;
	int ret;

	if (!stats)
		stats = &none;
	ret = vhd_open(ctx, path, open_flags | VHD_OPEN_STRICT |
		       (flags & VHD_CHECK_PARENTS ? VHD_OPEN_PARENTS : 0),
		       &chain);
	if (ret)
		return ret;
	for (image = chain; image && !ret; image = image->parent) {
		ret = vhd_check_names(image);
		if (!ret)
			ret = vhd_check_blocks(image, flags, image == chain ?
					       stats : &none);
	}
	vhd_close(chain);
	return ret;
}
