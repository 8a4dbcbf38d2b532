// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The public interface to what is written in images. All of it was checked by
 * vhd_open(); here it is only handed out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

/**
 * struct vhd_meta - see libvhd.h
 * @chain: the image, with its parents if they were asked for
 */
struct vhd_meta {
	struct vhd_image *chain;
};

int vhd_meta_open(const char *path, unsigned int flags,
		  const struct vhd_messages *msg, struct vhd_meta **result)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, flags &
					       VHD_META_ANY_PARENT);
	struct vhd_meta *meta;
	int ret;

	ret = vhd_api_flags(&ctx, path, flags, VHD_META_PARENTS |
			    VHD_META_ANY_PARENT);
	if (ret)
		return ret;
	meta = calloc(1, sizeof(*meta));
	if (!meta)
		return -ENOMEM;
	ret = vhd_open(&ctx, path, flags & VHD_META_PARENTS ?
		       VHD_OPEN_PARENTS : 0, &meta->chain);
	if (ret) {
		free(meta);
		return ret;
	}
	*result = meta;
	return 0;
}

void vhd_meta_close(struct vhd_meta *meta)
{
	if (!meta)
		return;
	vhd_close(meta->chain);
	free(meta);
}

unsigned int vhd_meta_images(const struct vhd_meta *meta)
{
	return vhd_depth(meta->chain);
}

static struct vhd_image *vhd_meta_image(const struct vhd_meta *meta,
					unsigned int index)
{
	struct vhd_image *image = meta->chain;

	while (image && index--)
		image = image->parent;
	return image;
}

const char *vhd_meta_path(const struct vhd_meta *meta, unsigned int index)
{
	const struct vhd_image *image = vhd_meta_image(meta, index);

	return image ? image->path : NULL;
}

static void vhd_meta_footer(const struct vhd_image *image,
			    struct vhd_info *info)
{
	const struct vhd_footer *f = &image->footer;

	info->type = f->type;
	info->flags = (f->hidden ? VHD_INFO_HIDDEN : 0) |
		      (f->saved ? VHD_INFO_SAVED : 0) |
		      (f->features & VHD_FEATURE_TEMPORARY ?
		       VHD_INFO_TEMPORARY : 0) |
		      (image->footer_lost ? VHD_INFO_FOOTER_LOST : 0);
	info->original_sectors = f->original_size / VHD_SECTOR;
	info->sectors_max = info->sectors;
	info->timestamp = f->timestamp + VHD_EPOCH;
	memcpy(info->uuid, f->uuid, sizeof(info->uuid));
	memcpy(info->creator, f->creator, sizeof(f->creator));
	info->creator_version = f->creator_version;
	info->creator_os = f->creator_os;
	info->cylinders = f->cylinders;
	info->heads = f->heads;
	info->sectors_per_track = f->sectors;
	info->checksum = f->checksum;
}

static void vhd_meta_header(const struct vhd_image *image,
			    struct vhd_info *info)
{
	const struct vhd_header *h = &image->header;
	uint32_t i;

	info->sectors_max = vhd_room(image) / VHD_SECTOR;
	if (image->footer.type == VHD_TYPE_DIFF) {
		info->parent_timestamp = h->parent_timestamp + VHD_EPOCH;
		memcpy(info->parent_uuid, h->parent_uuid,
		       sizeof(info->parent_uuid));
	}
	if (image->batmap_map) {
		info->flags |= VHD_INFO_BATMAP;
		info->marker = image->batmap.marker;
	}
	if (image->batmap_good)
		info->flags |= VHD_INFO_BATMAP_GOOD;
	info->block_sectors = image->block_sectors;
	info->blocks = image->nr_blocks;
	info->blocks_max = h->max_bat;
	for (i = 0; i < h->max_bat; i++)
		info->blocks_allocated += image->bat[i] != VHD_BAT_UNUSED;
}

int vhd_meta_info(const struct vhd_meta *meta, unsigned int index,
		  struct vhd_info *result)
{
	const struct vhd_image *image = vhd_meta_image(meta, index);
	struct vhd_info info = { 0 };

	if (!image)
		return -ENOENT;
	info.sectors = image->sectors;
	info.file_size = image->file_size;
	if (!image->raw)
		vhd_meta_footer(image, &info);
	if (!vhd_is_flat(image))
		vhd_meta_header(image, &info);
	return vhd_api_give(&image->ctx, image->path, result, &info,
			    sizeof(info));
}

static int vhd_meta_text(const char *text, char *to, size_t size)
{
	size_t len = strlen(text);

	if (len >= size)
		return -ERANGE;
	memcpy(to, text, len + 1);
	return 0;
}

int vhd_meta_parent_name(const struct vhd_meta *meta, unsigned int index,
			 char *name, size_t size)
{
	const struct vhd_image *image = vhd_meta_image(meta, index);
	char text[VHD_NAME_MAX];
	int ret = image ? vhd_parent_name(image, text) : -ENOENT;

	return ret ? ret : vhd_meta_text(text, name, size);
}

int vhd_meta_parent_path(const struct vhd_meta *meta, unsigned int index,
			 char *path, size_t size)
{
	struct vhd_image *image = vhd_meta_image(meta, index);
	struct vhd_image *parent;
	int ret;

	if (!image || vhd_is_flat(image) ||
	    image->footer.type != VHD_TYPE_DIFF)
		return -ENOENT;
	if (image->parent)
		return vhd_meta_text(image->parent->path, path, size);
	ret = vhd_parent_find(image, 0, &parent);
	if (ret)
		return ret;
	ret = vhd_meta_text(parent->path, path, size);
	vhd_close(parent);
	return ret;
}

int vhd_meta_locator(const struct vhd_meta *meta, unsigned int index,
		     unsigned int nr, struct vhd_locator_info *result,
		     char *name, size_t size)
{
	const struct vhd_image *image = vhd_meta_image(meta, index);
	const struct vhd_locator *loc;
	struct vhd_locator_info info;
	char text[VHD_NAME_MAX];
	int ret;

	if (!image || vhd_is_flat(image) || nr >= VHD_LOCATORS ||
	    image->footer.type != VHD_TYPE_DIFF || !image->header.loc[nr].code)
		return -ENOENT;
	loc = &image->header.loc[nr];
	info = (struct vhd_locator_info) {
		.code = loc->code,
		.data_space = loc->data_space,
		.data_len = loc->data_len,
		.data_offset = loc->data_offset,
	};
	ret = vhd_api_give(&image->ctx, image->path, result, &info,
			   sizeof(info));
	if (ret || !name)
		return ret;
	ret = vhd_locator_name(image, nr, text);
	return ret ? ret : vhd_meta_text(text, name, size);
}

int vhd_meta_block(const struct vhd_meta *meta, unsigned int index,
		   uint32_t block, uint64_t *offset)
{
	const struct vhd_image *image = vhd_meta_image(meta, index);

	if (!image || vhd_is_flat(image) || block >= image->header.max_bat)
		return -ENOENT;
	if (image->bat[block] == VHD_BAT_UNUSED)
		return -ENODATA;
	if (offset)
		*offset = (uint64_t)image->bat[block] * VHD_SECTOR +
			  image->bitmap_bytes;
	return 0;
}

int vhd_meta_bitmap(const struct vhd_meta *meta, unsigned int index,
		    uint32_t block, uint8_t *map, size_t size)
{
	const struct vhd_image *image = vhd_meta_image(meta, index);
	uint8_t buf[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	int ret;

	ret = vhd_meta_block(meta, index, block, NULL);
	if (ret)
		return ret;
	if (size < image->block_sectors / 8)
		return -ERANGE;
	ret = vhd_bitmap_read(image, block, buf);
	if (!ret)
		memcpy(map, buf, image->block_sectors / 8);
	return ret;
}
