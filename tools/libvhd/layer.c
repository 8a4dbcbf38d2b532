// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading what images of a chain hold, a piece of the disk at a time: whole
 * blocks in one go, and nothing where there is nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vhd_edit.h"

bool vhd_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

bool vhd_is_hole(int fd, uint64_t off, uint64_t len)
{
	off_t data = lseek(fd, off, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= off + len;
}

uint32_t vhd_bits_run(const uint8_t *map, uint32_t first, uint32_t nr,
		      bool set)
{
	const uint8_t all = set ? 0xff : 0;
	uint32_t i = first;

	while (i < nr) {
		if (!(i & 7) && i + 8 <= nr && map[i >> 3] == all)
			i += 8;
		else if (vhd_test_bit(map, i) == set)
			i++;
		else
			break;
	}
	return i - first;
}

bool vhd_bits_full(const uint8_t *map, uint32_t nr)
{
	return vhd_bits_run(map, 0, nr, true) == nr;
}

bool vhd_bits_none(const uint8_t *map, uint32_t nr)
{
	return vhd_bits_run(map, 0, nr, false) == nr;
}

bool vhd_layer_has(const struct vhd_image *image, uint64_t sector, uint32_t nr)
{
	uint64_t i, last;

	if (sector >= image->sectors)
		return false;
	if (nr > image->sectors - sector)
		nr = image->sectors - sector;
	if (vhd_is_flat(image))
		return !vhd_is_hole(image->fd, sector * VHD_SECTOR,
				    (uint64_t)nr * VHD_SECTOR);
	last = (sector + nr - 1) / image->block_sectors;
	for (i = sector / image->block_sectors; i <= last; i++)
		if (image->bat[i] != VHD_BAT_UNUSED)
			return true;
	return false;
}

/* A raw image may end within its last sector; the rest of that is zeros. */
static int vhd_data_read(const struct vhd_image *image, uint8_t *buf,
			 size_t len, uint64_t off)
{
	uint64_t tail = image->file_size % VHD_SECTOR;

	if (image->raw && tail && off + len > image->file_size) {
		memset(buf + len - (VHD_SECTOR - tail), 0, VHD_SECTOR - tail);
		len -= VHD_SECTOR - tail;
	}
	return vhd_pread(image->fd, buf, len, off);
}

/*
 * @nr sectors, of which those in @map (NULL: all) are at @off in the file:
 * those that are not in @have yet. Bit @first of both maps is the first one.
 */
static int vhd_piece_read(const struct vhd_image *image, uint64_t off,
			  const uint8_t *map, uint32_t map_first,
			  uint32_t first, uint32_t nr, uint8_t *buf,
			  uint8_t *have)
{
	uint32_t i = 0;
	uint32_t run;
	int ret;

	while (i < nr) {
		for (run = 0; i + run < nr; run++)
			if (vhd_test_bit(have, first + i + run) ||
			    (map && !vhd_test_bit(map, map_first + i + run)))
				break;
		if (!run) {
			i++;
			continue;
		}
		if (vhd_is_hole(image->fd, off + (uint64_t)i * VHD_SECTOR,
				(uint64_t)run * VHD_SECTOR)) {
			memset(buf + (size_t)(first + i) * VHD_SECTOR, 0,
			       (size_t)run * VHD_SECTOR);
		} else {
			ret = vhd_data_read(image, buf + (size_t)(first + i) *
					    VHD_SECTOR,
					    (size_t)run * VHD_SECTOR,
					    off + (uint64_t)i * VHD_SECTOR);
			if (ret)
				return vhd_msg(&image->ctx, ret,
					       "%s: cannot read %u sectors at %" PRIu64 ": %s",
					       image->path, run, off +
					       (uint64_t)i * VHD_SECTOR,
					       strerror(-ret));
		}
		for (; run; run--, i++)
			vhd_set_bit(have, first + i);
	}
	return 0;
}

static int vhd_layer_read(const struct vhd_image *image, uint64_t sector,
			  uint32_t nr, uint8_t *buf, uint8_t *have)
{
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	uint32_t done, len, block, in;
	int ret = 0;

	if (sector >= image->sectors)
		return 0;
	if (nr > image->sectors - sector)
		nr = image->sectors - sector;
	if (vhd_is_flat(image))
		return vhd_piece_read(image, sector * VHD_SECTOR, NULL, 0, 0,
				      nr, buf, have);
	for (done = 0; done < nr && !ret; done += len) {
		block = (sector + done) / image->block_sectors;
		in = (sector + done) % image->block_sectors;
		len = image->block_sectors - in;
		if (len > nr - done)
			len = nr - done;
		if (image->bat[block] == VHD_BAT_UNUSED)
			continue;
		ret = vhd_bitmap_read(image, block, map);
		if (ret)
			return vhd_msg(&image->ctx, ret,
				       "%s: cannot read the bitmap of block %u: %s",
				       image->path, block, strerror(-ret));
		ret = vhd_piece_read(image, (uint64_t)image->bat[block] *
				     VHD_SECTOR + image->bitmap_bytes +
				     (uint64_t)in * VHD_SECTOR, map, in, done,
				     len, buf, have);
	}
	return ret;
}

int vhd_layers_read(const struct vhd_image *image,
		    const struct vhd_image *stop, uint64_t sector, uint32_t nr,
		    uint8_t *buf, uint8_t *have)
{
	uint32_t i, run;
	int ret = 0;

	for (; image != stop && !ret; image = image->parent) {
		if (vhd_bits_full(have, nr))
			break;
		ret = vhd_layer_read(image, sector, nr, buf, have);
	}
	for (i = 0; i < nr; i += run) {
		i += vhd_bits_run(have, i, nr, true);
		run = vhd_bits_run(have, i, nr, false);
		memset(buf + (size_t)i * VHD_SECTOR, 0,
		       (size_t)run * VHD_SECTOR);
	}
	return ret;
}

int vhd_block_read(const struct vhd_image *image, uint32_t block, void *data)
{
	return vhd_pread(image->fd, data, image->header.block_size,
			 (uint64_t)image->bat[block] * VHD_SECTOR +
			 image->bitmap_bytes);
}

int vhd_locator_name(const struct vhd_image *image, unsigned int nr,
		     char *name)
{
	if (nr >= VHD_LOCATORS)
		return -ERANGE;
	return vhd_locator_read(image, &image->header.loc[nr], name);
}

int vhd_read(const struct vhd_image *chain, uint64_t sector, uint32_t nr,
	     void *buf)
{
	uint8_t have[VHD_CHUNK / 8];
	uint32_t len;
	int ret = 0;

	if (sector > chain->sectors || nr > chain->sectors - sector)
		return vhd_msg(&chain->ctx, -ERANGE,
			       "%s: sectors %" PRIu64 " to %" PRIu64 " must be below %" PRIu64,
			       chain->path, sector, sector + nr - 1,
			       chain->sectors);
	for (; nr && !ret; nr -= len, sector += len) {
		len = nr < VHD_CHUNK ? nr : VHD_CHUNK;
		memset(have, 0, sizeof(have));
		ret = vhd_layers_read(chain, NULL, sector, len, buf, have);
		buf = (uint8_t *)buf + (size_t)len * VHD_SECTOR;
	}
	return ret;
}
