// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One image file: what lies where, and that it can be believed.
 *
 *	0	copy of the footer		(dynamic, differencing)
 *	512	header				(at footer.data_offset)
 *	1536	BAT, padded to a sector		(at header.table_offset)
 *		batmap header and map		(made by tap: behind the BAT)
 *		parent locators			(differencing; anywhere)
 *		blocks: bitmap, data
 *	end	footer, 512 bytes; 511 in very old files; lost in some
 *
 * BAT[block] is the sector of the block's bitmap, or all ones. In the bitmap
 * of a block a set bit says that the sector is in this file; a clear one that
 * it is to be had from the parent, or zero if there is none. The batmap has a
 * bit for each block: set, the bitmap is known to be all ones. A clear batmap
 * bit says nothing, which is why programs that do not know of it do no harm.
 *
 * What others may rely on after vhd_image_load(): each block lies wholly
 * between the file's start and its footer, and no two of the things listed
 * above overlap. An image where that is not so is refused, because a write to
 * it would damage something. So is a BAT that points beyond the end: it could
 * come to life when the file grows.
 *
 * Tap aligns the data of a block to 4096 bytes, so its bitmap is at the end
 * of a 4096-byte page and the sectors between the data of a block and the
 * bitmap of the next are not used. A footer put behind the last block lies in
 * that gap and needs not be erased when a block is appended.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "vhd_private.h"

static unsigned int vhd_parse_flags(unsigned int flags)
{
	return (flags & VHD_OPEN_STRICT ? VHD_STRICT : 0) |
	       (flags & VHD_OPEN_ANY_TIME ? VHD_ANY_TIME : 0);
}

static int vhd_load_size(struct vhd_image *image)
{
	struct stat st;

	if (fstat(image->fd, &st))
		return vhd_msg(&image->ctx, -errno, "%s: cannot stat: %m",
			       image->path);
	image->dev = st.st_dev;
	image->ino = st.st_ino;
	image->file_size = st.st_size;
	image->bdev = S_ISBLK(st.st_mode);
	if (image->bdev) {
		if (ioctl(image->fd, BLKGETSIZE64, &image->file_size))
			return vhd_msg(&image->ctx, -errno,
				       "%s: cannot get its size: %m",
				       image->path);
	} else if (!S_ISREG(st.st_mode)) {
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: must be a regular file or block device",
			       image->path);
	}
	if (image->file_size > VHD_FILE_MAX)
		return vhd_msg(&image->ctx, -EFBIG,
			       "%s: file size is %" PRIu64 ", must be at most %llu",
			       image->path, image->file_size, VHD_FILE_MAX);
	return 0;
}

/* The footer at the end, which may be a byte short. */
static int vhd_load_end_footer(struct vhd_image *image, unsigned int flags)
{
	uint8_t *buf = image->footer_buf;
	uint64_t size = image->file_size;
	unsigned int len = size % VHD_SECTOR == VHD_SECTOR - 1 ?
			   VHD_FOOTER_SIZE - 1 : VHD_FOOTER_SIZE;
	int ret;

	if (size < len)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: file size is %" PRIu64 ", must be at least %u",
			       image->path, size, len);
	memset(buf, 0, VHD_FOOTER_SIZE);
	image->footer_off = size - len;
	ret = vhd_pread(image->fd, buf, len, image->footer_off);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the footer at %" PRIu64 ": %s",
			       image->path, image->footer_off, strerror(-ret));
	return vhd_footer_parse(&image->ctx, image->path, buf,
				vhd_parse_flags(flags), &image->footer);
}

/* With VHD_OPEN_BACKUP what is at the end does not count. */
static int vhd_load_end(struct vhd_image *image, unsigned int flags,
			struct vhd_note *note)
{
	const struct vhd_ctx ctx = image->ctx;
	int ret;

	vhd_note_init(note, &ctx);
	image->ctx = note->ctx;
	ret = vhd_load_end_footer(image, flags);
	image->ctx = ctx;
	if (ret || image->footer.type == VHD_TYPE_FIXED ||
	    !(flags & VHD_OPEN_BACKUP))
		return ret;
	snprintf(note->text, sizeof(note->text), "%s: it was not looked at",
		 image->path);
	return -EINVAL;
}

/* The text of @note without the name of the image that it begins with. */
static const char *vhd_note_reason(const struct vhd_image *image,
				   const struct vhd_note *note)
{
	size_t len = strlen(image->path);

	return strncmp(note->text, image->path, len) ? note->text :
	       note->text + len + 2;
}

/* @note: why the copy at 0 is used, if it is. */
static int vhd_load_footer(struct vhd_image *image, unsigned int flags,
			   struct vhd_note *note)
{
	uint8_t copy[VHD_FOOTER_SIZE];
	struct vhd_footer footer;
	int end, ret;

	if (!image->file_size)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: file size is 0: it was truncated, or never written; restore it from a copy",
			       image->path);
	end = vhd_load_end(image, flags, note);
	if (end && (end != -EINVAL || image->file_size < VHD_FOOTER_SIZE))
		return vhd_msg(&image->ctx, end, "%s", note->text);
	if (!end && image->footer.type == VHD_TYPE_FIXED)
		return 0;
	ret = vhd_pread(image->fd, copy, sizeof(copy), 0);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the footer at 0: %s",
			       image->path, strerror(-ret));
	if (!end) {
		if (flags & VHD_OPEN_STRICT &&
		    memcmp(copy, image->footer_buf, sizeof(copy) - 1))
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: footer: the copy at 0 must equal the one at %" PRIu64 ": vhd-util repair -n %s writes it anew",
				       image->path, image->footer_off,
				       image->path);
		return 0;
	}
	if (memcmp(copy, "conectix", 8))
		return vhd_explain_footer(image, copy,
					  vhd_note_reason(image, note));
	ret = vhd_footer_parse(&image->ctx, image->path, copy,
			       vhd_parse_flags(flags), &footer);
	if (ret)
		return ret;
	if (footer.type == VHD_TYPE_FIXED)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: footer: type of the copy at 0 is 2 (fixed), must be 3 or 4",
			       image->path);
	image->footer = footer;
	memcpy(image->footer_buf, copy, sizeof(copy));
	image->footer_off = image->file_size;
	image->footer_lost = true;
	return 0;
}

/* Does [off, off + len) lie in front of the footer? */
static bool vhd_inside(const struct vhd_image *image, uint64_t off,
		       uint64_t len)
{
	return off <= image->footer_off && len <= image->footer_off - off;
}

static uint64_t vhd_bat_bytes(const struct vhd_image *image)
{
	return vhd_round_up((uint64_t)image->header.max_bat * 4, VHD_SECTOR);
}

static int vhd_load_header(struct vhd_image *image, unsigned int flags)
{
	uint64_t off = image->footer.data_offset;
	uint8_t buf[VHD_HEADER_SIZE];
	int ret;

	if (!vhd_inside(image, off, sizeof(buf)))
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: footer: data_offset is %" PRIu64 ", the header must end before %" PRIu64,
			       image->path, off, image->footer_off);
	ret = vhd_pread(image->fd, buf, sizeof(buf), off);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the header at %" PRIu64 ": %s",
			       image->path, off, strerror(-ret));
	ret = vhd_header_parse(&image->ctx, image->path, buf, &image->footer,
			       vhd_parse_flags(flags), &image->header);
	if (ret)
		return ret;
	image->block_sectors = image->header.block_size / VHD_SECTOR;
	image->bitmap_bytes = vhd_round_up((image->block_sectors + 7) / 8,
					   VHD_SECTOR);
	if (flags & VHD_OPEN_WHOLE) {
		uint64_t room = (uint64_t)image->header.max_bat *
				image->header.block_size;

		image->size = image->footer.current_size < room ?
			      image->footer.current_size : room;
	}
	image->nr_blocks = (image->size + image->header.block_size - 1) /
			   image->header.block_size;
	image->old_bits = !memcmp(image->footer.creator, VHD_CREATOR_TAP, 4) &&
			  image->footer.creator_version == VHD_CREATOR_OLD_BITS;
	if (!vhd_inside(image, image->header.table_offset,
			vhd_bat_bytes(image)))
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: header: table_offset is %" PRIu64 ", the BAT of %u entries must end before %" PRIu64,
			       image->path, image->header.table_offset,
			       image->header.max_bat, image->footer_off);
	return 0;
}

static int vhd_load_bat(struct vhd_image *image)
{
	uint64_t bytes = vhd_bat_bytes(image);
	uint8_t *buf = malloc(bytes);
	int ret = -ENOMEM;

	image->bat = malloc(bytes);
	if (!buf || !image->bat)
		goto out;
	ret = vhd_pread(image->fd, buf, bytes, image->header.table_offset);
	if (ret)
		vhd_msg(&image->ctx, ret, "%s: cannot read the BAT: %s",
			image->path, strerror(-ret));
	else
		vhd_bat_decode(buf, image->bat, image->header.max_bat);
out:
	free(buf);
	return ret;
}

/*
 * A batmap is there if its header says so; QEMU, which does not know it,
 * writes the first block over it. What is said to be there must lie in the
 * file, or it would come to lie in blocks when the file grows. It is used only
 * if it is of the known version and its checksum is right.
 */
static int vhd_load_batmap(struct vhd_image *image, unsigned int flags)
{
	uint64_t bytes = vhd_batmap_bytes(image->footer.current_size);
	uint64_t off = image->header.table_offset + vhd_bat_bytes(image);
	uint8_t buf[VHD_BATMAP_HEADER_SIZE];
	struct vhd_batmap *map = &image->batmap;
	int ret;

	if (memcmp(image->footer.creator, VHD_CREATOR_TAP, 4) ||
	    image->footer.creator_version < 0x00010001 ||
	    !vhd_inside(image, off, sizeof(buf)))
		return 0;
	ret = vhd_pread(image->fd, buf, sizeof(buf), off);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the batmap: %s", image->path,
			       strerror(-ret));
	if (memcmp(buf, "tdbatmap", 8))
		return 0;
	ret = vhd_batmap_parse(&image->ctx, image->path, buf, map);
	if (ret)
		return ret;
	if (map->offset < off + VHD_SECTOR ||
	    !vhd_inside(image, map->offset,
			(uint64_t)map->sectors * VHD_SECTOR) ||
	    (uint64_t)map->sectors * VHD_SECTOR < bytes)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: batmap: %u sectors at %" PRIu64 ", must be %" PRIu64 " bytes or more between %" PRIu64 " and %" PRIu64,
			       image->path, map->sectors, map->offset,
			       bytes, off + VHD_SECTOR, image->footer_off);
	image->batmap_off = off;
	image->batmap_map = calloc(1, vhd_batmap_room(image));
	if (!image->batmap_map)
		return -ENOMEM;
	ret = vhd_pread(image->fd, image->batmap_map, bytes, map->offset);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the batmap: %s", image->path,
			       strerror(-ret));
	if (map->version != VHD_BATMAP_VERSION)
		ret = vhd_msg(&image->ctx, -EINVAL,
			      "%s: batmap: version is 0x%x, must be 0x%x; the batmap is not used",
			      image->path, map->version, VHD_BATMAP_VERSION);
	else if (vhd_batmap_checksum(image->batmap_map, bytes) !=
		 map->checksum)
		/* No fault: so a loss of power at close may leave it. */
		ret = vhd_msg(&image->ctx, 0,
			      "%s: batmap: checksum is 0x%x, must be 0x%x; the batmap is not used",
			      image->path, map->checksum,
			      vhd_batmap_checksum(image->batmap_map, bytes));
	else
		image->batmap_good = true;
	return flags & VHD_OPEN_STRICT ? ret : 0;
}

/* As with the batmap: what is named must be there. */
static int vhd_check_locators(const struct vhd_image *image)
{
	const struct vhd_locator *loc;
	unsigned int i;

	for (i = 0; i < VHD_LOCATORS; i++) {
		loc = &image->header.loc[i];
		if (image->footer.type == VHD_TYPE_DIFF && loc->code &&
		    !vhd_inside(image, loc->data_offset, loc->data_len))
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: header: locator %u: %u bytes at %" PRIu64 ", must end before %" PRIu64,
				       image->path, i, loc->data_len,
				       loc->data_offset, image->footer_off);
	}
	return 0;
}

/* What lies in the file besides blocks. */
struct vhd_region {
	const char *name;
	uint64_t start;
	uint64_t end;
};

#define VHD_REGIONS	(5 + VHD_LOCATORS)

static void vhd_region_add(struct vhd_region *reg, unsigned int *nr,
			   const char *name, uint64_t start, uint64_t len)
{
	unsigned int i = (*nr)++;

	for (; i && reg[i - 1].start > start; i--)
		reg[i] = reg[i - 1];
	reg[i] = (struct vhd_region) { name, start, start + len };
}

/* What is in the file besides blocks, sorted by where it is. */
static unsigned int vhd_regions(const struct vhd_image *image,
				struct vhd_region *reg)
{
	uint64_t header = image->footer.data_offset;
	uint64_t bat = image->header.table_offset;
	const struct vhd_locator *loc;
	unsigned int nr = 0;
	unsigned int i;

	vhd_region_add(reg, &nr, "copy of the footer", 0, VHD_FOOTER_SIZE);
	vhd_region_add(reg, &nr, "header", header, VHD_HEADER_SIZE);
	vhd_region_add(reg, &nr, "BAT", bat, vhd_bat_bytes(image));
	if (image->batmap_map) {
		vhd_region_add(reg, &nr, "batmap header", image->batmap_off,
			       VHD_BATMAP_HEADER_SIZE);
		vhd_region_add(reg, &nr, "batmap", image->batmap.offset,
			       (uint64_t)image->batmap.sectors * VHD_SECTOR);
	}
	for (i = 0; i < VHD_LOCATORS; i++) {
		loc = &image->header.loc[i];
		if (image->footer.type == VHD_TYPE_DIFF && loc->code &&
		    loc->data_len)
			vhd_region_add(reg, &nr, "parent locator",
				       loc->data_offset,
				       vhd_round_up(loc->data_offset +
						    loc->data_len, VHD_SECTOR) -
				       loc->data_offset);
	}
	return nr;
}

/* Name the entry of the BAT that is @sector. */
static uint32_t vhd_bat_find(const struct vhd_image *image, uint32_t sector)
{
	uint32_t i = 0;

	while (image->bat[i] != sector)
		i++;
	return i;
}

/* Blocks against blocks and regions; @starts has @nr sorted sectors. */
static int vhd_check_overlap(const struct vhd_image *image,
			     const struct vhd_region *reg,
			     unsigned int nr_regions,
			     const uint32_t *starts, uint32_t nr)
{
	uint64_t bytes = vhd_block_bytes(image);
	unsigned int r = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		uint64_t start = (uint64_t)starts[i] * VHD_SECTOR;

		if (i && starts[i] - starts[i - 1] < bytes / VHD_SECTOR)
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: BAT[%u] is sector %u: the block overlaps another one at sector %u: the table is damaged; vhd-util copy --rescue -n %s -N NEW saves what is there",
				       image->path,
				       vhd_bat_find(image, starts[i]),
				       starts[i], starts[i - 1], image->path);
		while (r < nr_regions && reg[r].end <= start)
			r++;
		if (r < nr_regions && reg[r].start < start + bytes)
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: BAT[%u] is sector %u: the block overlaps the %s at %" PRIu64 ": the table is damaged; vhd-util copy --rescue -n %s -N NEW saves what is there",
				       image->path,
				       vhd_bat_find(image, starts[i]),
				       starts[i], reg[r].name, reg[r].start,
				       image->path);
	}
	return 0;
}

/* All blocks inside the file? Also finds where they end. */
static int vhd_check_bounds(struct vhd_image *image, uint32_t *starts,
			    uint32_t *nr)
{
	uint64_t bytes = vhd_block_bytes(image);
	uint32_t i;

	for (i = 0; i < image->header.max_bat; i++) {
		uint64_t start = (uint64_t)image->bat[i] * VHD_SECTOR;

		if (image->bat[i] == VHD_BAT_UNUSED)
			continue;
		if (!vhd_inside(image, start, bytes))
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: BAT[%u] is sector %u: the block ends at %" PRIu64 ", must end before %" PRIu64 ": the file was truncated, or its table is damaged; vhd-util copy --rescue -n %s -N NEW saves what is there",
				       image->path, i, image->bat[i],
				       start + bytes, image->footer_off,
				       image->path);
		starts[(*nr)++] = image->bat[i];
		if (start + bytes > image->data_end)
			image->data_end = start + bytes;
	}
	return 0;
}

static int vhd_check_layout(struct vhd_image *image, unsigned int flags)
{
	struct vhd_region reg[VHD_REGIONS];
	unsigned int nr_regions = vhd_regions(image, reg);
	uint32_t *starts;
	uint32_t nr = 0;
	unsigned int i;
	int ret;

	for (i = 0; i < nr_regions; i++) {
		if (reg[i].end > image->meta_end)
			image->meta_end = reg[i].end;
		if (i && reg[i].start < reg[i - 1].end)
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: the %s at %" PRIu64 " overlaps the %s, which ends at %" PRIu64,
				       image->path, reg[i].name, reg[i].start,
				       reg[i - 1].name, reg[i - 1].end);
	}
	image->data_end = image->meta_end;
	starts = malloc((size_t)image->header.max_bat * 4 + 4);
	if (!starts)
		return -ENOMEM;
	ret = vhd_check_bounds(image, starts, &nr);
	if (!ret && !(flags & VHD_OPEN_ANY_BAT)) {
		vhd_sort(starts, nr);
		ret = vhd_check_overlap(image, reg, nr_regions, starts, nr);
	}
	free(starts);
	return ret;
}

/* A batmap must not say of a block that is not there that it is full. */
static int vhd_check_batmap(struct vhd_image *image, unsigned int flags)
{
	uint32_t i;

	for (i = 0; image->batmap_good && i < image->nr_blocks; i++) {
		if (image->bat[i] != VHD_BAT_UNUSED ||
		    !vhd_test_bit(image->batmap_map, i))
			continue;
		image->batmap_good = false;
		vhd_msg(&image->ctx, 0,
			"%s: batmap shows unallocated block %u full; the batmap is not used",
			image->path, i);
		if (flags & VHD_OPEN_STRICT)
			return -EINVAL;
	}
	return 0;
}

/* All is well but for the footer at the end. */
static int vhd_load_lost(const struct vhd_image *image, unsigned int flags,
			 const struct vhd_note *note)
{
	const char *reason = vhd_note_reason(image, note);

	if (!image->footer_lost || flags & VHD_OPEN_BACKUP)
		return 0;
	if (flags & VHD_OPEN_STRICT && !(flags & VHD_OPEN_NO_FOOTER))
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: no footer at the end, which was cut off or not written (%s): vhd-util repair -n %s writes it anew",
			       image->path, reason, image->path);
	return vhd_msg(&image->ctx, 0,
		       "%s: no footer at the end (%s), using the copy at 0: vhd-util repair -n %s writes it anew",
		       image->path, reason, image->path);
}

static int vhd_load_vhd(struct vhd_image *image, unsigned int flags)
{
	struct vhd_note note;
	int ret;

	ret = vhd_load_footer(image, flags, &note);
	if (ret)
		return ret;
	image->size = vhd_disk_size(&image->footer);
	if (image->footer.type == VHD_TYPE_FIXED) {
		if (flags & VHD_OPEN_WHOLE &&
		    image->footer.current_size <= image->footer_off)
			image->size = image->footer.current_size;
		if (image->size > image->footer_off)
			return vhd_msg(&image->ctx, -EINVAL,
				       "%s: footer: the fixed disk has %" PRIu64 " bytes, must be at most %" PRIu64 ": the file was truncated; vhd-util copy --rescue -n %s -N NEW saves what is there",
				       image->path, image->size,
				       image->footer_off, image->path);
		image->data_end = image->footer_off;
		return 0;
	}
	ret = vhd_load_header(image, flags);
	if (flags & VHD_OPEN_HEADERS)
		return ret ? ret : vhd_load_lost(image, flags, &note);
	if (!ret)
		ret = vhd_load_bat(image);
	if (!ret)
		ret = vhd_load_batmap(image, flags);
	if (!ret)
		ret = vhd_check_locators(image);
	if (!ret)
		ret = vhd_check_layout(image, flags);
	if (!ret)
		ret = vhd_check_batmap(image, flags);
	return ret ? ret : vhd_load_lost(image, flags, &note);
}

int vhd_image_load(const struct vhd_ctx *ctx, int fd, const char *path,
		   unsigned int flags, bool raw, struct vhd_image **image)
{
	struct vhd_image *img = calloc(1, sizeof(*img));
	int ret = -ENOMEM;

	if (!img) {
		close(fd);
		return ret;
	}
	img->ctx = *ctx;
	img->fd = fd;
	img->rw = flags & VHD_OPEN_RDWR;
	img->raw = raw;
	img->path = strdup(path);
	if (!img->path)
		goto err_close;
	if (flags & (VHD_OPEN_MERGE | VHD_OPEN_CHILD))
		ret = vhd_lock_merge(ctx, fd, flags & VHD_OPEN_MERGE, path);
	else
		ret = flags & VHD_OPEN_LOCK ?
		      vhd_lock(ctx, fd, img->rw, path) : 0;
	if (ret)
		goto err_close;
	ret = vhd_load_size(img);
	if (ret)
		goto err_close;
	if (raw)
		img->size = img->file_size / VHD_SECTOR * VHD_SECTOR;
	else
		ret = vhd_load_vhd(img, flags);
	if (ret)
		goto err_close;
	img->sectors = img->size / VHD_SECTOR;
	*image = img;
	return 0;

err_close:
	vhd_close(img);
	return ret;
}

void vhd_close(struct vhd_image *image)
{
	while (image) {
		struct vhd_image *parent = image->parent;

		close(image->fd);
		free(image->path);
		free(image->bat);
		free(image->batmap_map);
		free(image);
		image = parent;
	}
}

uint64_t vhd_block_bytes(const struct vhd_image *image)
{
	return image->bitmap_bytes + (uint64_t)image->header.block_size;
}

/* There is a footer at @end, or will be: keep off it. */
uint64_t vhd_block_after(const struct vhd_image *image, uint64_t end)
{
	end = vhd_round_up(end, VHD_SECTOR) + VHD_FOOTER_SIZE;
	return vhd_round_up(end + image->bitmap_bytes, 4096) -
	       image->bitmap_bytes;
}

void vhd_bitmap_order(const struct vhd_image *image, uint8_t *map)
{
	uint32_t i;

	for (i = 0; image->old_bits && i < image->bitmap_bytes; i++) {
		uint8_t b = map[i];

		b = b >> 4 | b << 4;
		b = (b & 0xcc) >> 2 | (b & 0x33) << 2;
		map[i] = (b & 0xaa) >> 1 | (b & 0x55) << 1;
	}
}

int vhd_bitmap_read(const struct vhd_image *image, uint32_t block,
		    uint8_t *map)
{
	int ret = vhd_pread(image->fd, map, image->bitmap_bytes,
			    (uint64_t)image->bat[block] * VHD_SECTOR);

	if (!ret)
		vhd_bitmap_order(image, map);
	return ret;
}

int vhd_bitmap_write(const struct vhd_image *image, uint64_t off,
		     const uint8_t *map)
{
	uint8_t buf[VHD_BLOCK_SIZE / VHD_SECTOR / 8];

	memcpy(buf, map, image->bitmap_bytes);
	vhd_bitmap_order(image, buf);
	return vhd_pwrite(image->fd, buf, image->bitmap_bytes, off);
}

/* The new footer is durable before the old one is cut off. */
int vhd_trim(struct vhd_image *image)
{
	uint64_t end = vhd_round_up(image->data_end, VHD_SECTOR);
	int ret;

	ret = vhd_pwrite(image->fd, image->footer_buf, VHD_FOOTER_SIZE, end);
	if (ret)
		return ret;
	if (fdatasync(image->fd) ||
	    ftruncate(image->fd, end + VHD_FOOTER_SIZE) ||
	    fdatasync(image->fd))
		return -errno;
	image->footer_off = end;
	image->file_size = end + VHD_FOOTER_SIZE;
	image->footer_lost = false;
	return 0;
}

int vhd_batmap_write(struct vhd_image *image)
{
	uint64_t bytes = vhd_batmap_bytes(image->footer.current_size);
	struct vhd_batmap map = image->batmap;
	uint8_t buf[VHD_BATMAP_HEADER_SIZE], fresh[VHD_BATMAP_HEADER_SIZE];
	int ret;

	/* The rest of the header (key hash) stays as it is. */
	ret = vhd_pread(image->fd, buf, sizeof(buf), image->batmap_off);
	if (ret)
		return ret;
	map.checksum = vhd_batmap_checksum(image->batmap_map, bytes);
	vhd_batmap_build(&map, fresh);
	memcpy(buf, fresh, 29);
	ret = vhd_pwrite(image->fd, image->batmap_map, bytes, map.offset);
	if (!ret)
		ret = vhd_pwrite(image->fd, buf, sizeof(buf),
				 image->batmap_off);
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	if (!ret)
		image->batmap = map;
	return ret;
}
