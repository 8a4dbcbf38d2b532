// SPDX-License-Identifier: GPL-2.0
/* vhd-util read: what is in an image, and where. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "vhd_util.h"

/* What one read goes about. */
struct vu_reader {
	const struct vu_args *args;
	struct vhd_image *image;	/* its parents only for -r and -R */
	bool hex;
	uint64_t count;
};

static const char *vu_num(bool hex, uint64_t value, char buf[32])
{
	snprintf(buf, 32, hex ? "%#" PRIx64 : "%" PRIu64, value);
	return buf;
}

#define VU_NUM(hex, value)	vu_num(hex, value, (char[32]) { 0 })

static void vu_print_time(const char *label, uint32_t seconds)
{
	time_t t = seconds + VHD_EPOCH;
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	printf("%-20s: %s\n", label, text);
}

static void vu_print_uuid(const char *label, const uint8_t *uuid)
{
	char text[UUID_STR_LEN];

	uuid_unparse(uuid, text);
	printf("%-20s: %s\n", label, text);
}

static const char *vu_disk_type(uint32_t type)
{
	static const char * const names[] = {
		"None", "Reserved (deprecated)", "Fixed hard disk",
		"Dynamic hard disk", "Differencing hard disk",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] :
	       "Unknown type!";
}

static void vu_print_footer(const struct vhd_image *image, bool hex)
{
	const struct vhd_footer *f = &image->footer;
	uint32_t sum = vhd_checksum(image->footer_buf, VHD_FOOTER_SIZE, 64);
	uint64_t chs = (uint64_t)f->cylinders * f->heads * f->sectors;
	char creator[5] = "";

	printf("VHD Footer Summary:\n-------------------\n");
	printf("Cookie              : conectix\n");
	printf("Features            : (0x%08x) %s%s\n", f->features,
	       f->features & VHD_FEATURE_TEMPORARY ? "<TEMP>" : "",
	       f->features & VHD_FEATURE_RESERVED ? "<RESV>" : "");
	printf("File format version : Major: %u, Minor: %u\n",
	       f->version >> 16, f->version & 0xffff);
	printf("Data offset         : %s\n", VU_NUM(hex, f->data_offset));
	vu_print_time("Timestamp", f->timestamp);
	memcpy(creator, f->creator, 4);
	printf("Creator Application : '%s'\n", vu_clean(creator));
	printf("Creator version     : Major: %u, Minor: %u\n",
	       f->creator_version >> 16, f->creator_version & 0xffff);
	printf("Creator OS          : %s\n",
	       f->creator_os == 0x5769326b ? "Windows" :
	       f->creator_os == 0x4d616320 ? "Macintosh" : "Unknown!");
	printf("Original disk size  : %s MB (%s Bytes)\n",
	       VU_NUM(hex, f->original_size >> 20), VU_NUM(hex, f->original_size));
	printf("Current disk size   : %s MB (%s Bytes)\n",
	       VU_NUM(hex, f->current_size >> 20), VU_NUM(hex, f->current_size));
	printf("Geometry            : Cyl: %s, Hds: %s, Sctrs: %s\n",
	       VU_NUM(hex, f->cylinders), VU_NUM(hex, f->heads), VU_NUM(hex, f->sectors));
	printf("                    : = %s MB (%s Bytes)\n",
	       VU_NUM(hex, chs >> 11), VU_NUM(hex, chs << 9));
	printf("Disk type           : %s\n", vu_disk_type(f->type));
	printf("Checksum            : 0x%x|0x%x (%s)\n", f->checksum, sum,
	       f->checksum == sum ? "Good!" : "Bad!");
	vu_print_uuid("UUID", f->uuid);
	printf("Saved state         : %s\n", f->saved ? "Yes" : "No");
	printf("Hidden              : %u\n\n", f->hidden);
}

static void vu_print_header(const struct vhd_image *image, bool hex)
{
	const struct vhd_header *h = &image->header;
	char name[VHD_NAME_MAX];

	if (vhd_utf16_decode(h->parent_name, sizeof(h->parent_name), true,
			     name, sizeof(name)))
		strcpy(name, "failed to read name");
	printf("VHD Header Summary:\n-------------------\n");
	printf("Cookie              : cxsparse\n");
	printf("Data offset (unusd) : %s\n", VU_NUM(hex, h->data_offset));
	printf("Table offset        : %s\n", VU_NUM(hex, h->table_offset));
	printf("Header version      : 0x%08x\n", h->version);
	printf("Max BAT size        : %s\n", VU_NUM(hex, h->max_bat));
	printf("Block size          : %s (%s MB)\n", VU_NUM(hex, h->block_size),
	       VU_NUM(hex, h->block_size >> 20));
	printf("Parent name         : %s\n", vu_clean(name));
	vu_print_uuid("Parent UUID", h->parent_uuid);
	vu_print_time("Parent timestamp", h->parent_timestamp);
	/* An image whose header has a bad one cannot be opened. */
	printf("Checksum            : 0x%x|0x%x (Good!)\n\n", h->checksum,
	       h->checksum);
}

static const char *vu_code_name(uint32_t code)
{
	switch (code) {
	case VHD_PLAT_MACX:
		return "PLAT_CODE_MACX";
	case VHD_PLAT_W2KU:
		return "PLAT_CODE_W2KU";
	case VHD_PLAT_W2RU:
		return "PLAT_CODE_W2RU";
	case VHD_PLAT_WI2K:
		return "PLAT_CODE_WI2K";
	case VHD_PLAT_WI2R:
		return "PLAT_CODE_WI2R";
	case VHD_PLAT_MAC:
		return "PLAT_CODE_MAC";
	}
	return "UNKNOWN";
}

static void vu_print_locators(const struct vhd_image *image, bool hex)
{
	char name[VHD_NAME_MAX];
	unsigned int i;

	printf("VHD Parent Locators:\n--------------------\n");
	for (i = 0; i < VHD_LOCATORS; i++) {
		const struct vhd_locator *loc = &image->header.loc[i];

		if (!loc->code)
			continue;
		printf("locator:            : %u\n", i);
		printf("       code         : %s\n", vu_code_name(loc->code));
		printf("       data_space   : %s\n", VU_NUM(hex, loc->data_space));
		printf("       data_length  : %s\n", VU_NUM(hex, loc->data_len));
		printf("       data_offset  : %s\n",
		       VU_NUM(hex, loc->data_offset));
		if (vhd_locator_name(image, i, name))
			printf("failed to read parent name\n\n");
		else
			printf("       decoded name : %s\n\n", vu_clean(name));
	}
}

static void vu_print_batmap(const struct vhd_image *image, bool hex)
{
	uint64_t bytes = vhd_batmap_bytes(image->footer.current_size);
	const struct vhd_batmap *b = &image->batmap;
	uint32_t sum = vhd_batmap_checksum(image->batmap_map, bytes);

	printf("VHD Batmap Summary:\n-------------------\n");
	printf("Batmap offset       : %s\n", VU_NUM(hex, b->offset));
	printf("Batmap size (secs)  : %s\n", VU_NUM(hex, b->sectors));
	printf("Batmap version      : 0x%08x\n", b->version);
	printf("Checksum            : 0x%x|0x%x (%s)\n\n", b->checksum, sum,
	       b->checksum == sum ? "Good!" : "Bad!");
}

static int vu_print_headers(const struct vhd_image *image, bool hex)
{
	vu_print_footer(image, hex);
	if (vhd_is_flat(image))
		return 0;
	vu_print_header(image, hex);
	if (image->footer.type == VHD_TYPE_DIFF)
		vu_print_locators(image, hex);
	if (image->batmap_map)
		vu_print_batmap(image, hex);
	return 0;
}

/* Units @first and the following, as many as -c says, must be below @end. */
static int vu_range(const struct vu_reader *r, char letter, uint64_t end,
		    const char *unit, uint64_t *first)
{
	if (vu_number(r->args, letter, 0, UINT64_MAX, 1, first))
		return VU_USAGE;
	if (*first < end && r->count <= end - *first)
		return 0;
	vu_error("%s: %s %" PRIu64 " and the next %" PRIu64 " must be in 0 to %" PRIu64,
		 r->image->path, unit, *first, r->count - 1, end - 1);
	return VU_FAILED;
}

static int vu_read_blocks(struct vu_reader *r, char letter, uint64_t *first)
{
	return vu_range(r, letter, r->image->header.max_bat, "block", first);
}

static int vu_read_sectors(struct vu_reader *r, char letter, uint64_t *first)
{
	return vu_range(r, letter, r->image->sectors, "sector", first);
}

/* -t */
static int vu_read_translate(struct vu_reader *r)
{
	const struct vhd_image *image = r->image;
	const bool hex = r->hex;
	uint64_t first, i;
	int ret = vu_read_sectors(r, 't', &first);

	for (i = first; !ret && i < first + r->count; i++) {
		uint32_t block = i / image->block_sectors;
		uint32_t in = i % image->block_sectors;
		uint64_t off = (uint64_t)image->bat[block] * VHD_SECTOR +
			       image->bitmap_bytes +
			       (uint64_t)in * VHD_SECTOR;

		printf("logical sector %s: block number: %s, sector offset: %s, file offset: %s\n",
		       VU_NUM(hex, i), VU_NUM(hex, block), VU_NUM(hex, in),
		       image->bat[block] == VHD_BAT_UNUSED ? "not allocated" :
		       VU_NUM(hex, off));
	}
	return ret;
}

/* -b */
static int vu_read_bat(struct vu_reader *r)
{
	const bool hex = r->hex;
	uint64_t first, i;
	int ret = vu_read_blocks(r, 'b', &first);

	for (i = first; !ret && i < first + r->count; i++)
		printf("block: %s: offset: %s\n", VU_NUM(hex, i),
		       r->image->bat[i] == VHD_BAT_UNUSED ? "not allocated" :
		       VU_NUM(hex, (uint64_t)r->image->bat[i] * VHD_SECTOR));
	return ret;
}

static int vu_out(const void *buf, size_t len)
{
	if (fwrite(buf, 1, len, stdout) == len)
		return 0;
	vu_error("cannot write output: %m");
	return VU_FAILED;
}

/* -B: a bit for each block. */
static int vu_read_bat_map(struct vu_reader *r)
{
	uint32_t nr = r->image->header.max_bat;
	size_t len = (nr + 7) / 8;
	uint8_t *map = calloc(1, len);
	uint32_t i;
	int ret;

	if (!map)
		return vu_status(-ENOMEM);
	for (i = 0; i < nr; i++)
		if (r->image->bat[i] != VHD_BAT_UNUSED)
			vhd_set_bit(map, i);
	ret = vu_out(map, len);
	free(map);
	return ret;
}

/* -m and -d: raw, of the blocks that are there. */
static int vu_read_block(struct vu_reader *r, char letter)
{
	const struct vhd_image *image = r->image;
	size_t len = letter == 'm' ? image->bitmap_bytes :
		     image->header.block_size;
	const bool hex = r->hex;
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	uint64_t first, i;
	int ret = vu_read_blocks(r, letter, &first);

	if (!buf)
		return vu_status(-ENOMEM);
	for (i = first; !ret && i < first + r->count; i++) {
		if (image->bat[i] == VHD_BAT_UNUSED)
			printf("block %s not allocated\n", VU_NUM(hex, i));
		else
			ret = vu_status(letter == 'm' ?
					vhd_bitmap_read(image, i, buf) :
					vhd_block_read(image, i, buf));
		if (!ret && image->bat[i] != VHD_BAT_UNUSED)
			ret = vu_out(buf, len);
	}
	free(buf);
	return ret;
}

/* Bitmaps, one after the other, each read once. */
struct vu_bits {
	int64_t block;
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
};

/* Is a sector in the image? 0, 1 or -errno. */
static int vu_bit(const struct vhd_image *image, struct vu_bits *bits,
		  uint64_t sector)
{
	uint32_t block = sector / image->block_sectors;
	int ret;

	if (image->bat[block] == VHD_BAT_UNUSED)
		return 0;
	if (bits->block != block) {
		ret = vhd_bitmap_read(image, block, bits->map);
		if (ret)
			return ret;
		bits->block = block;
	}
	return vhd_test_bit(bits->map, sector % image->block_sectors);
}

/* -i */
static int vu_read_test(struct vu_reader *r)
{
	struct vu_bits bits = { .block = -1 };
	const bool hex = r->hex;
	uint64_t first, i;
	int ret = vu_read_sectors(r, 'i', &first);
	int bit;

	for (i = first; !ret && i < first + r->count; i++) {
		bit = vu_bit(r->image, &bits, i);
		if (bit < 0)
			return vu_status(bit);
		printf("block %s: sec: %s: %d\n",
		       VU_NUM(hex, i / r->image->block_sectors), VU_NUM(hex, i), bit);
	}
	return ret;
}

/* -e: first sector and length of each run. */
static int vu_read_extents(struct vu_reader *r)
{
	struct vu_bits bits = { .block = -1 };
	const bool hex = r->hex;
	uint64_t first, i, run = 0;
	int ret = vu_read_sectors(r, 'e', &first);
	int bit = 0;

	for (i = first; !ret && i < first + r->count; i++) {
		bit = vu_bit(r->image, &bits, i);
		if (bit < 0)
			return vu_status(bit);
		if (bit)
			run++;
		else if (run)
			printf("%s %s\n", VU_NUM(hex, i - run), VU_NUM(hex, run));
		if (!bit)
			run = 0;
	}
	if (run)
		printf("%s %s\n", VU_NUM(hex, i - run), VU_NUM(hex, run));
	return ret;
}

/* -a and -j */
static int vu_read_batmap(struct vu_reader *r, char letter)
{
	const struct vhd_image *image = r->image;
	const bool hex = r->hex;
	uint64_t first, i;
	int ret;

	if (!image->batmap_map) {
		vu_error("%s: has no batmap", image->path);
		return VU_FAILED;
	}
	if (letter == 'a')
		return vu_out(image->batmap_map,
			      vhd_batmap_bytes(image->footer.current_size));
	ret = vu_range(r, 'j', image->nr_blocks, "block", &first);
	for (i = first; !ret && i < first + r->count; i++)
		printf("batmap for block %s: %d\n", VU_NUM(hex, i),
		       vhd_test_bit(image->batmap_map, i));
	return ret;
}

/* -r and -R: what a guest would read, @first and @left in bytes. */
static int vu_read_disk(struct vu_reader *r, uint64_t first, uint64_t left)
{
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	int ret = buf ? 0 : vu_status(-ENOMEM);

	while (left && !ret) {
		uint64_t sector = first / VHD_SECTOR;
		size_t skip = first % VHD_SECTOR;
		size_t len = VHD_BLOCK_SIZE - skip;

		if (len > left)
			len = left;
		ret = vu_status(vhd_read(r->image, sector,
					 (skip + len + VHD_SECTOR - 1) /
					 VHD_SECTOR, buf));
		if (!ret)
			ret = vu_out(buf + skip, len);
		first += len;
		left -= len;
	}
	free(buf);
	return ret;
}

static int vu_read_one(struct vu_reader *r, char letter)
{
	uint64_t first;
	int ret;

	if (vhd_is_flat(r->image) && !strchr("prR", letter)) {
		vu_error("%s: type is 2 (fixed), must be 3 or 4 for -%c: it has no blocks",
			 r->image->path, letter);
		return VU_FAILED;
	}
	switch (letter) {
	case 'p':
		return vu_print_headers(r->image, r->hex);
	case 't':
		return vu_read_translate(r);
	case 'b':
		return vu_read_bat(r);
	case 'B':
		return vu_read_bat_map(r);
	case 'i':
		return vu_read_test(r);
	case 'e':
		return vu_read_extents(r);
	case 'a':
	case 'j':
		return vu_read_batmap(r, letter);
	case 'r':
		ret = vu_read_sectors(r, 'r', &first);
		return ret ? ret : vu_read_disk(r, first * VHD_SECTOR,
						r->count * VHD_SECTOR);
	case 'R':
		ret = vu_range(r, 'R', r->image->size, "byte", &first);
		return ret ? ret : vu_read_disk(r, first, r->count);
	}
	return vu_read_block(r, letter);
}

int vu_read(const struct vu_args *args)
{
	struct vu_reader r = {
		.args = args,
		.hex = args->opt['x'],
		.count = 1,
	};
	bool chain = args->opt['r'] || args->opt['R'];
	const char *what;
	int ret = 0;

	if (vu_number(args, 'c', 1, VHD_DISK_LIMIT, 1, &r.count))
		return VU_USAGE;
	if (!strpbrk(args->order, "ptbBmieajdrR"))
		return vu_wrong(args, "option -p, -t, -b, -B, -m, -i, -e, -a, -j, -d, -r or -R is missing");
	ret = vhd_open(&vu_ctx, args->opt['n'], chain ? VHD_OPEN_PARENTS : 0,
		       &r.image);
	if (ret)
		return vu_status(ret);
	for (what = "ptbBmieajdrR"; *what && !ret; what++)
		if (args->opt[(int)*what])
			ret = vu_read_one(&r, *what);
	vhd_close(r.image);
	return ret;
}
