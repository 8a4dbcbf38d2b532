// SPDX-License-Identifier: GPL-2.0
/*
 * READ: from the leaf down the chain, each run of sectors is looked up until
 * an image has it; what none has is zero. A parent may be smaller than its
 * child, then the rest of it is zero. Blocks of the images of a chain may
 * differ in size.
 *
 * A bitmap that is not in memory is fetched and the request started again
 * from the beginning when it is there.
 */
#include <errno.h>

#include "td_vhd.h"

void td_vhd_extent(struct td_vhd *vhd, unsigned int *nr, uint16_t kind,
		   uint16_t file, uint64_t addr, uint32_t len)
{
	struct blktap_direct_extent *last = vhd->ext + *nr - 1;

	if (*nr && last->kind == kind && last->file == file &&
	    (kind == BLKTAP_EXTENT_ZERO || last->addr + last->len == addr)) {
		last->len += len;
		return;
	}
	vhd->ext[(*nr)++] = (struct blktap_direct_extent) {
		.addr = addr,
		.len = len,
		.file = file,
		.kind = kind,
	};
}

/* What one image knows of a run of sectors. */
enum td_vhd_where {
	TD_VHD_HERE,
	TD_VHD_NOT_HERE,
	TD_VHD_QUEUED,		/* its bitmap is being read */
};

/*
 * Is @sector in this image? @nr is cut to the sectors for which the answer is
 * the same. Returns a negative error or enum td_vhd_where.
 */
static int td_vhd_lookup(struct td_vhd *vhd, unsigned int index,
			 struct td_req *req, uint64_t sector, uint32_t *nr)
{
	struct td_vhd_layer *layer = &vhd->layer[index];
	const struct vhd_image *image = layer->image;
	uint32_t block, in_block, i;
	struct td_vhd_bitmap *b;
	bool set;
	int ret;

	if (sector >= image->sectors)
		return TD_VHD_NOT_HERE;
	if (*nr > image->sectors - sector)
		*nr = image->sectors - sector;
	if (vhd_is_flat(image))
		return TD_VHD_HERE;
	block = sector / image->block_sectors;
	in_block = sector % image->block_sectors;
	if (*nr > image->block_sectors - in_block)
		*nr = image->block_sectors - in_block;
	if (image->bat[block] == VHD_BAT_UNUSED ||
	    (index == 0 && td_vhd_unwritten(vhd, block)))
		return TD_VHD_NOT_HERE;
	if (vhd_test_bit(layer->full, block))
		return TD_VHD_HERE;
	ret = td_vhd_bitmap_get(vhd, index, block, req, &b);
	if (ret)
		return ret;
	if (!b)
		return TD_VHD_QUEUED;
	set = vhd_test_bit(b->bits, in_block);
	for (i = 1; i < *nr; i++)
		if (vhd_test_bit(b->bits, in_block + i) != set)
			break;
	*nr = i;
	return set ? TD_VHD_HERE : TD_VHD_NOT_HERE;
}

static uint64_t td_vhd_address(const struct vhd_image *image, uint64_t sector)
{
	if (vhd_is_flat(image))
		return sector * VHD_SECTOR;
	return (image->bat[sector / image->block_sectors] +
		sector % image->block_sectors) * (uint64_t)VHD_SECTOR +
	       image->bitmap_bytes;
}

/* One run of sectors through the chain; as td_vhd_lookup(). */
static int td_vhd_resolve(struct td_vhd *vhd, struct td_req *req,
			  uint64_t sector, uint32_t *nr, unsigned int *nr_ext)
{
	unsigned int i;

	for (i = 0; i < vhd->nr_layers; i++) {
		struct td_vhd_layer *layer = &vhd->layer[i];
		int ret = td_vhd_lookup(vhd, i, req, sector, nr);

		if (ret < 0 || ret == TD_VHD_QUEUED)
			return ret;
		if (ret == TD_VHD_NOT_HERE)
			continue;
		td_vhd_extent(vhd, nr_ext, BLKTAP_EXTENT_FILE, layer->file,
			      td_vhd_address(layer->image, sector),
			      *nr * VHD_SECTOR);
		return TD_VHD_HERE;
	}
	td_vhd_extent(vhd, nr_ext, BLKTAP_EXTENT_ZERO, 0, 0, *nr * VHD_SECTOR);
	return TD_VHD_HERE;
}

void td_vhd_read(struct td_vhd *vhd, struct td_req *req)
{
	uint64_t sector = req->sector;
	uint32_t left = req->nr_sectors;
	unsigned int nr_ext = 0;

	while (left) {
		uint32_t nr = left;
		int ret;

		ret = td_vhd_resolve(vhd, req, sector, &nr, &nr_ext);
		if (ret < 0) {
			td_vhd_fail(req, ret);
			return;
		}
		if (ret == TD_VHD_QUEUED)
			return;
		sector += nr;
		left -= nr;
	}
	if (vhd->cache)
		td_vhd_fill_from(vhd, req, nr_ext);
	td_req_map(req, vhd->ext, nr_ext, TD_MAP_END, td_vhd_fail);
}

static bool td_vhd_layer_has(const struct vhd_image *image, uint64_t sector,
			     uint64_t end)
{
	uint64_t block;

	if (end > image->sectors)
		end = image->sectors;
	if (sector >= end)
		return false;
	if (vhd_is_flat(image))
		return true;
	for (block = sector / image->block_sectors;
	     block * image->block_sectors < end; block++)
		if (image->bat[block] != VHD_BAT_UNUSED)
			return true;
	return false;
}

bool td_vhd_below(const struct td_vhd *vhd, uint32_t block)
{
	uint32_t sectors = td_vhd_leaf(vhd)->block_sectors;
	uint64_t sector = (uint64_t)block * sectors;
	unsigned int i;

	for (i = 1; i < vhd->nr_layers; i++)
		if (td_vhd_layer_has(vhd->layer[i].image, sector,
				     sector + sectors))
			return true;
	return false;
}
