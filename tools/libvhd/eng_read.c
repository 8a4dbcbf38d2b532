// SPDX-License-Identifier: LGPL-2.1-or-later
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

#include "eng_private.h"

void vhd_eng_extent(struct vhd_eng *eng, unsigned int *nr, uint16_t kind,
		    uint16_t file, uint64_t addr, uint32_t len)
{
	struct vhd_extent *last = eng->ext + *nr - 1;

	if (*nr && last->kind == kind && last->file == file &&
	    (kind == VHD_EXTENT_ZERO || last->addr + last->len == addr)) {
		last->len += len;
		return;
	}
	eng->ext[(*nr)++] = (struct vhd_extent) {
		.addr = addr,
		.len = len,
		.file = file,
		.kind = kind,
	};
}

/* What one image knows of a run of sectors. */
enum vhd_eng_where {
	VHD_ENG_HERE,
	VHD_ENG_NOT_HERE,
	VHD_ENG_QUEUED,		/* its bitmap is being read */
};

/*
 * Is @sector in this image? @nr is cut to the sectors for which the answer is
 * the same. Returns a negative error or enum vhd_eng_where.
 */
static int vhd_eng_lookup(struct vhd_eng *eng, unsigned int index,
			  struct vhd_req *req, uint64_t sector, uint32_t *nr)
{
	struct vhd_eng_layer *layer = &eng->layer[index];
	const struct vhd_image *image = layer->image;
	uint32_t block, in_block, i;
	struct vhd_eng_bitmap *b;
	bool set;
	int ret;

	if (sector >= image->sectors)
		return VHD_ENG_NOT_HERE;
	if (*nr > image->sectors - sector)
		*nr = image->sectors - sector;
	if (vhd_is_flat(image))
		return VHD_ENG_HERE;
	block = sector / image->block_sectors;
	in_block = sector % image->block_sectors;
	if (*nr > image->block_sectors - in_block)
		*nr = image->block_sectors - in_block;
	if (image->bat[block] == VHD_BAT_UNUSED ||
	    (index == 0 && vhd_eng_unwritten(eng, block)))
		return VHD_ENG_NOT_HERE;
	if (vhd_test_bit(layer->full, block))
		return VHD_ENG_HERE;
	ret = vhd_eng_bitmap_get(eng, index, block, req, &b);
	if (ret)
		return ret;
	if (!b)
		return VHD_ENG_QUEUED;
	set = vhd_test_bit(b->bits, in_block);
	for (i = 1; i < *nr; i++)
		if (vhd_test_bit(b->bits, in_block + i) != set)
			break;
	*nr = i;
	return set ? VHD_ENG_HERE : VHD_ENG_NOT_HERE;
}

static uint64_t vhd_eng_address(const struct vhd_image *image, uint64_t sector)
{
	if (vhd_is_flat(image))
		return sector * VHD_SECTOR;
	return (image->bat[sector / image->block_sectors] +
		sector % image->block_sectors) * (uint64_t)VHD_SECTOR +
	       image->bitmap_bytes;
}

/* One run of sectors through the chain; as vhd_eng_lookup(). */
static int vhd_eng_resolve(struct vhd_eng *eng, struct vhd_req *req,
			   uint64_t sector, uint32_t *nr, unsigned int *nr_ext)
{
	unsigned int i;

	for (i = 0; i < eng->nr_layers; i++) {
		struct vhd_eng_layer *layer = &eng->layer[i];
		int ret = vhd_eng_lookup(eng, i, req, sector, nr);

		if (ret < 0 || ret == VHD_ENG_QUEUED)
			return ret;
		if (ret == VHD_ENG_NOT_HERE)
			continue;
		vhd_eng_extent(eng, nr_ext, VHD_EXTENT_FILE, layer->file,
			       vhd_eng_address(layer->image, sector),
			      *nr * VHD_SECTOR);
		return VHD_ENG_HERE;
	}
	vhd_eng_extent(eng, nr_ext, VHD_EXTENT_ZERO, 0, 0, *nr * VHD_SECTOR);
	return VHD_ENG_HERE;
}

void vhd_eng_read(struct vhd_eng *eng, struct vhd_req *req)
{
	uint64_t sector = req->sector;
	uint32_t left = req->nr_sectors;
	unsigned int nr_ext = 0;

	while (left) {
		uint32_t nr = left;
		int ret;

		ret = vhd_eng_resolve(eng, req, sector, &nr, &nr_ext);
		if (ret < 0) {
			vhd_eng_fail(req, ret);
			return;
		}
		if (ret == VHD_ENG_QUEUED)
			return;
		sector += nr;
		left -= nr;
	}
	vhd_req_map(req, eng->ext, nr_ext, VHD_MAP_END, vhd_eng_fail);
}

static bool vhd_eng_layer_has(const struct vhd_image *image, uint64_t sector,
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

bool vhd_eng_below(const struct vhd_eng *eng, uint32_t block)
{
	uint32_t sectors = vhd_eng_leaf(eng)->block_sectors;
	uint64_t sector = (uint64_t)block * sectors;
	unsigned int i;

	if (eng->orphan)
		return true;
	for (i = 1; i < eng->nr_layers; i++)
		if (vhd_eng_layer_has(eng->layer[i].image, sector,
				      sector + sectors))
			return true;
	return false;
}
