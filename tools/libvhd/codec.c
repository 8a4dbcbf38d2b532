// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The structures of the format: from bytes, to bytes, and what is allowed in
 * each field. Everything in a file is big-endian and hostile: the parse
 * functions check before anyone else sees a value, and name field, value and
 * what is allowed.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "vhd_private.h"

static uint16_t vhd_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static uint32_t vhd_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t vhd_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static void vhd_put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static void vhd_put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static void vhd_put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

static bool vhd_all_zero(const uint8_t *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

/* One's complement of the sum of all bytes but the four at @field. */
uint32_t vhd_checksum(const uint8_t *buf, size_t len, size_t field)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		if (i < field || i >= field + 4)
			sum += buf[i];
	return ~sum;
}

uint32_t vhd_batmap_checksum(const uint8_t *map, size_t len)
{
	return vhd_checksum(map, len, len);
}

void vhd_bat_decode(const uint8_t *buf, uint32_t *bat, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		bat[i] = vhd_get32(buf + 4 * (size_t)i);
}

void vhd_bat_encode(const uint32_t *bat, uint8_t *buf, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		vhd_put32(buf + 4 * (size_t)i, bat[i]);
}

#define VHD_CHS_MAX	(65535ULL * 16 * 255)

void vhd_geometry(uint64_t sectors, struct vhd_footer *footer)
{
	uint32_t spt, heads, cth;

	if (sectors > VHD_CHS_MAX)
		sectors = VHD_CHS_MAX;
	if (sectors >= 65535ULL * 16 * 63) {
		spt = 255;
		heads = 16;
		cth = sectors / spt;
	} else {
		spt = 17;
		cth = sectors / spt;
		heads = (cth + 1023) / 1024;
		if (heads < 4)
			heads = 4;
		if (cth >= heads * 1024 || heads > 16) {
			spt = 31;
			heads = 16;
			cth = sectors / spt;
		}
		if (cth >= heads * 1024) {
			spt = 63;
			heads = 16;
			cth = sectors / spt;
		}
	}
	footer->cylinders = cth / heads;
	footer->heads = heads;
	footer->sectors = spt;
}

uint64_t vhd_disk_size(const struct vhd_footer *footer)
{
	uint64_t chs = (uint64_t)footer->cylinders * footer->heads *
		       footer->sectors;

	/*
	 * Virtual PC, and QEMU unless told otherwise, mean the geometry. At
	 * its maximum the geometry says only "large".
	 */
	if (chs && chs < VHD_CHS_MAX && (!memcmp(footer->creator, "vpc ", 4) ||
					 !memcmp(footer->creator, "qemu", 4)))
		return chs * VHD_SECTOR;
	return footer->current_size;
}

uint64_t vhd_batmap_bytes(uint64_t size)
{
	uint64_t bytes = vhd_round_up(size >> 24, VHD_SECTOR);

	return bytes ? bytes : VHD_SECTOR;
}

/* Checks that only VHD_STRICT asks for; no reader depends on them. */
static int vhd_footer_strict(const struct vhd_ctx *ctx, const char *name,
			     const uint8_t *buf, unsigned int flags,
			     const struct vhd_footer *f)
{
	uint64_t chs = (uint64_t)f->cylinders * f->heads * f->sectors;
	struct vhd_footer max;
	int64_t now = (int64_t)time(NULL) - VHD_EPOCH;

	if (!(f->features & VHD_FEATURE_RESERVED) || f->features & ~3U)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: features is 0x%x, must be 0x2 or 0x3",
			       name, f->features);
	/* Clocks of hosts differ: allow a day. */
	if (!(flags & VHD_ANY_TIME) && f->timestamp > now + 86400)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: timestamp is %u, in the future: now is %" PRId64,
			       name, f->timestamp, now);
	if (!memcmp(f->creator, VHD_CREATOR_TAP, 4) &&
	    f->creator_version > VHD_CREATOR_VERSION)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: creator_version is 0x%x, must be at most 0x%x for creator tap",
			       name, f->creator_version, VHD_CREATOR_VERSION);
	vhd_geometry(f->current_size / VHD_SECTOR, &max);
	/* QEMU rounds the disk up to the geometry, or says "large". */
	if (chs * VHD_SECTOR > f->current_size && chs < VHD_CHS_MAX)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: geometry is %u/%u/%u = %" PRIu64 " bytes, must be at most the disk's %" PRIu64 " (%u/%u/%u)",
			       name, f->cylinders, f->heads, f->sectors,
			       chs * VHD_SECTOR, f->current_size,
			       max.cylinders, max.heads, max.sectors);
	if (f->saved > 1)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: saved state is %u, must be 0 or 1",
			       name, f->saved);
	if (f->hidden > 1)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: hidden is %u, must be 0 or 1",
			       name, f->hidden);
	if (!vhd_all_zero(buf + 86, 426))
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: reserved bytes 86..511 must be zero",
			       name);
	if (vhd_all_zero(f->uuid, 16))
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: uuid must not be null", name);
	return 0;
}

static void vhd_footer_decode(const uint8_t *buf, struct vhd_footer *f)
{
	f->features = vhd_get32(buf + 8);
	f->version = vhd_get32(buf + 12);
	f->data_offset = vhd_get64(buf + 16);
	f->timestamp = vhd_get32(buf + 24);
	memcpy(f->creator, buf + 28, 4);
	f->creator_version = vhd_get32(buf + 32);
	f->creator_os = vhd_get32(buf + 36);
	f->original_size = vhd_get64(buf + 40);
	f->current_size = vhd_get64(buf + 48);
	f->cylinders = vhd_get16(buf + 56);
	f->heads = buf[58];
	f->sectors = buf[59];
	f->type = vhd_get32(buf + 60);
	f->checksum = vhd_get32(buf + 64);
	memcpy(f->uuid, buf + 68, 16);
	f->saved = buf[84];
	f->hidden = buf[85];
}

int vhd_footer_parse(const struct vhd_ctx *ctx, const char *name,
		     const uint8_t buf[VHD_FOOTER_SIZE], unsigned int flags,
		     struct vhd_footer *f)
{
	uint32_t sum;

	if (!memcmp(buf, "v_poison", 8))
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: cookie is \"v_poison\": a change was interrupted; undo it with vhd-util revert -n %s -j JOURNAL",
			       name, name);
	if (memcmp(buf, "conectix", 8))
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: cookie must be \"conectix\"", name);
	vhd_footer_decode(buf, f);
	sum = vhd_checksum(buf, VHD_FOOTER_SIZE, 64);
	if (f->checksum != sum)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: checksum is 0x%x, must be 0x%x",
			       name, f->checksum, sum);
	if (f->version != VHD_VERSION)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: version is 0x%x, must be 0x%x",
			       name, f->version, VHD_VERSION);
	if (f->type < VHD_TYPE_FIXED || f->type > VHD_TYPE_DIFF)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: type is %u, must be 2 (fixed), 3 (dynamic) or 4 (differencing)",
			       name, f->type);
	if (f->current_size < VHD_SECTOR || f->current_size % VHD_SECTOR ||
	    f->current_size > VHD_DISK_LIMIT)
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: current_size is %" PRIu64 ", must be a multiple of 512 from 512 to %llu (2 TiB)",
			       name, f->current_size, VHD_DISK_LIMIT);
	if (f->type == VHD_TYPE_FIXED) {
		if ((flags & VHD_STRICT) && f->data_offset != VHD_NO_OFFSET)
			return vhd_msg(ctx, -EINVAL,
				       "%s: footer: data_offset is 0x%" PRIx64 ", must be 0x%llx in a fixed image",
				       name, f->data_offset, VHD_NO_OFFSET);
	} else if (f->data_offset < VHD_FOOTER_SIZE ||
		   f->data_offset % VHD_SECTOR ||
		   f->data_offset > VHD_FILE_MAX) {
		return vhd_msg(ctx, -EINVAL,
			       "%s: footer: data_offset is 0x%" PRIx64 ", must be a multiple of 512 from 512 to 0x%llx",
			       name, f->data_offset, VHD_FILE_MAX);
	}
	if (flags & VHD_STRICT)
		return vhd_footer_strict(ctx, name, buf, flags, f);
	return 0;
}

void vhd_footer_build(const struct vhd_footer *f, uint8_t buf[VHD_FOOTER_SIZE])
{
	memset(buf, 0, VHD_FOOTER_SIZE);
	memcpy(buf, "conectix", 8);
	vhd_put32(buf + 8, f->features);
	vhd_put32(buf + 12, f->version);
	vhd_put64(buf + 16, f->data_offset);
	vhd_put32(buf + 24, f->timestamp);
	memcpy(buf + 28, f->creator, 4);
	vhd_put32(buf + 32, f->creator_version);
	vhd_put32(buf + 36, f->creator_os);
	vhd_put64(buf + 40, f->original_size);
	vhd_put64(buf + 48, f->current_size);
	vhd_put16(buf + 56, f->cylinders);
	buf[58] = f->heads;
	buf[59] = f->sectors;
	vhd_put32(buf + 60, f->type);
	memcpy(buf + 68, f->uuid, 16);
	buf[84] = f->saved;
	buf[85] = f->hidden;
	vhd_put32(buf + 64, vhd_checksum(buf, VHD_FOOTER_SIZE, 64));
}

static int vhd_header_strict(const struct vhd_ctx *ctx, const char *name,
			     const uint8_t *buf, const struct vhd_footer *f,
			     const struct vhd_header *h)
{
	int i;

	if (h->data_offset != VHD_NO_OFFSET)
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: data_offset is 0x%" PRIx64 ", must be 0x%llx",
			       name, h->data_offset, VHD_NO_OFFSET);
	if (!vhd_all_zero(buf + 60, 4) || !vhd_all_zero(buf + 768, 256))
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: reserved bytes 60..63 and 768..1023 must be zero",
			       name);
	if (f->type == VHD_TYPE_DIFF)
		return 0;
	if (!vhd_all_zero(h->parent_uuid, 16))
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: parent uuid must be null in a dynamic image",
			       name);
	if (h->parent_timestamp)
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: parent timestamp is %u, must be 0 in a dynamic image",
			       name, h->parent_timestamp);
	if (!vhd_all_zero(h->parent_name, sizeof(h->parent_name)))
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: parent name must be empty in a dynamic image",
			       name);
	for (i = 0; i < VHD_LOCATORS; i++)
		if (!vhd_all_zero(buf + 576 + 24 * i, 24))
			return vhd_msg(ctx, -EINVAL,
				       "%s: header: locator %d must be empty in a dynamic image",
				       name, i);
	return 0;
}

static void vhd_header_decode(const uint8_t *buf, struct vhd_header *h)
{
	int i;

	h->data_offset = vhd_get64(buf + 8);
	h->table_offset = vhd_get64(buf + 16);
	h->version = vhd_get32(buf + 24);
	h->max_bat = vhd_get32(buf + 28);
	h->block_size = vhd_get32(buf + 32);
	h->checksum = vhd_get32(buf + 36);
	memcpy(h->parent_uuid, buf + 40, 16);
	h->parent_timestamp = vhd_get32(buf + 56);
	memcpy(h->parent_name, buf + 64, sizeof(h->parent_name));
	for (i = 0; i < VHD_LOCATORS; i++) {
		const uint8_t *p = buf + 576 + 24 * i;

		h->loc[i].code = vhd_get32(p);
		h->loc[i].data_space = vhd_get32(p + 4);
		h->loc[i].data_len = vhd_get32(p + 8);
		h->loc[i].reserved = vhd_get32(p + 12);
		h->loc[i].data_offset = vhd_get64(p + 16);
	}
}

int vhd_header_parse(const struct vhd_ctx *ctx, const char *name,
		     const uint8_t buf[VHD_HEADER_SIZE],
		     const struct vhd_footer *f, unsigned int flags,
		     struct vhd_header *h)
{
	uint64_t need;
	uint32_t sum;

	if (memcmp(buf, "cxsparse", 8))
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: cookie must be \"cxsparse\"", name);
	vhd_header_decode(buf, h);
	sum = vhd_checksum(buf, VHD_HEADER_SIZE, 36);
	if (h->checksum != sum)
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: checksum is 0x%x, must be 0x%x",
			       name, h->checksum, sum);
	if (h->version != VHD_VERSION)
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: version is 0x%x, must be 0x%x",
			       name, h->version, VHD_VERSION);
	if (h->block_size < VHD_BLOCK_SIZE_MIN ||
	    h->block_size > VHD_BLOCK_SIZE ||
	    h->block_size & (h->block_size - 1))
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: block size is %u, must be a power of two from %u to %u",
			       name, h->block_size, VHD_BLOCK_SIZE_MIN,
			       VHD_BLOCK_SIZE);
	if (h->table_offset < VHD_SECTOR || h->table_offset % VHD_SECTOR ||
	    h->table_offset > VHD_FILE_MAX)
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: table_offset is 0x%" PRIx64 ", must be a multiple of 512 from 512 to 0x%llx",
			       name, h->table_offset, VHD_FILE_MAX);
	need = (vhd_disk_size(f) + h->block_size - 1) / h->block_size;
	if (h->max_bat < need || h->max_bat > VHD_BAT_MAX)
		return vhd_msg(ctx, -EINVAL,
			       "%s: header: max_table_entries is %u, must be from %" PRIu64 " (%" PRIu64 " bytes in blocks of %u) to %u",
			       name, h->max_bat, need, vhd_disk_size(f),
			       h->block_size, VHD_BAT_MAX);
	if (flags & VHD_STRICT)
		return vhd_header_strict(ctx, name, buf, f, h);
	return 0;
}

void vhd_header_build(const struct vhd_header *h, uint8_t buf[VHD_HEADER_SIZE])
{
	int i;

	memset(buf, 0, VHD_HEADER_SIZE);
	memcpy(buf, "cxsparse", 8);
	vhd_put64(buf + 8, h->data_offset);
	vhd_put64(buf + 16, h->table_offset);
	vhd_put32(buf + 24, h->version);
	vhd_put32(buf + 28, h->max_bat);
	vhd_put32(buf + 32, h->block_size);
	memcpy(buf + 40, h->parent_uuid, 16);
	vhd_put32(buf + 56, h->parent_timestamp);
	memcpy(buf + 64, h->parent_name, sizeof(h->parent_name));
	for (i = 0; i < VHD_LOCATORS; i++) {
		uint8_t *p = buf + 576 + 24 * i;

		vhd_put32(p, h->loc[i].code);
		vhd_put32(p + 4, h->loc[i].data_space);
		vhd_put32(p + 8, h->loc[i].data_len);
		vhd_put32(p + 12, h->loc[i].reserved);
		vhd_put64(p + 16, h->loc[i].data_offset);
	}
	vhd_put32(buf + 36, vhd_checksum(buf, VHD_HEADER_SIZE, 36));
}

int vhd_batmap_parse(const struct vhd_ctx *ctx, const char *name,
		     const uint8_t buf[VHD_BATMAP_HEADER_SIZE],
		     struct vhd_batmap *b)
{
	if (memcmp(buf, "tdbatmap", 8))
		return vhd_msg(ctx, -EINVAL,
			       "%s: batmap: cookie must be \"tdbatmap\"", name);
	b->offset = vhd_get64(buf + 8);
	b->sectors = vhd_get32(buf + 16);
	b->version = vhd_get32(buf + 20);
	b->checksum = vhd_get32(buf + 24);
	b->marker = buf[28];
	if (b->offset < VHD_SECTOR || b->offset % VHD_SECTOR ||
	    b->offset > VHD_FILE_MAX)
		return vhd_msg(ctx, -EINVAL,
			       "%s: batmap: offset is 0x%" PRIx64 ", must be a multiple of 512 from 512 to 0x%llx",
			       name, b->offset, VHD_FILE_MAX);
	if (!b->sectors || b->sectors > VHD_BAT_MAX / 8 / VHD_SECTOR)
		return vhd_msg(ctx, -EINVAL,
			       "%s: batmap: size is %u sectors, must be 1 to %u",
			       name, b->sectors, VHD_BAT_MAX / 8 / VHD_SECTOR);
	return 0;
}

void vhd_batmap_build(const struct vhd_batmap *b,
		      uint8_t buf[VHD_BATMAP_HEADER_SIZE])
{
	memset(buf, 0, VHD_BATMAP_HEADER_SIZE);
	memcpy(buf, "tdbatmap", 8);
	vhd_put64(buf + 8, b->offset);
	vhd_put32(buf + 16, b->sectors);
	vhd_put32(buf + 20, b->version);
	vhd_put32(buf + 24, b->checksum);
	buf[28] = b->marker;
}
