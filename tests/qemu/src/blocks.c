// SPDX-License-Identifier: GPL-2.0
/*
 * blocks - a chain of VHDs with as many allocated blocks as those of users
 *
 *   blocks fill IMAGE LAYER COUNT
 *   blocks write DEVICE LAYER FIRST STEP COUNT
 *   blocks check DEVICE LAYERS FIRST STEP COUNT
 *
 * "fill" allocates blocks 0 to COUNT - 1 of an empty image, in an order in the
 * file that is not that on the disk. A block has one page with data, at a
 * place computed from its number; the rest are holes, so that an image of
 * gigabytes takes a few megabytes. LAYER is how many images are below this
 * one. Layer 0 has all eight sectors of the page, layer 1 each second, layer 2
 * each fourth, layer 3 the last: a page is read from all layers. Each sector
 * holds its layer, its block and its number.
 *
 * "write" writes what a layer has by way of a disk; "check" reads the pages and
 * compares each sector with that of the highest of LAYERS which has it. Both
 * take COUNT blocks: FIRST, FIRST + STEP and so on.
 */

#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLK_MAGIC	0x736b636f6c622d74ULL
#define BLK_SECTOR	512U
#define BLK_PAGE	4096U
#define BLK_SECTORS	(BLK_PAGE / BLK_SECTOR)
#define BLK_BYTES	(2U << 20)
/* From one block of the file to the next: the bitmap has a page of its own. */
#define BLK_STRIDE	(BLK_BYTES + BLK_PAGE)
/* A prime that divides no count in use: the order of blocks in the file. */
#define BLK_PRIME	1009U

/* Of the VHD format: where in the dynamic header these are. */
#define VHD_HEADER_AT	512
#define VHD_BAT_AT	16
#define VHD_BAT_ENTRIES	28

static void blk_fail(const char *name, const char *what)
{
	fprintf(stderr, "blocks: %s: %s: %s\n", name, what, strerror(errno));
	exit(1);
}

static void blk_read(int fd, const char *name, void *buf, size_t len, off_t at)
{
	errno = EIO;
	if (pread(fd, buf, len, at) != (ssize_t)len)
		blk_fail(name, "read");
}

static void blk_write(int fd, const char *name, const void *buf, size_t len,
		      off_t at)
{
	errno = EIO;
	if (pwrite(fd, buf, len, at) != (ssize_t)len)
		blk_fail(name, "write");
}

/* Byte of the block at which its page is. */
static uint32_t blk_place(uint64_t block)
{
	return block * 37 % (BLK_BYTES / BLK_PAGE) * BLK_PAGE;
}

static int blk_has(unsigned int layer, unsigned int sector)
{
	return (sector + 1) % (1U << layer) == 0;
}

static void blk_sector(uint64_t *p, unsigned int layer, uint64_t block,
		       unsigned int sector)
{
	unsigned int i;

	for (i = 0; i < BLK_SECTOR / sizeof(*p); i += 4) {
		p[i] = BLK_MAGIC;
		p[i + 1] = layer;
		p[i + 2] = block;
		p[i + 3] = sector;
	}
}

/* The sectors of a page that a layer has, one by one. */
static void blk_put(int fd, const char *name, unsigned int layer,
		    uint64_t block, off_t page, char *buf)
{
	unsigned int i;

	for (i = 0; i < BLK_SECTORS; i++) {
		if (!blk_has(layer, i))
			continue;
		blk_sector((uint64_t *)buf, layer, block, i);
		blk_write(fd, name, buf, BLK_SECTOR, page + i * BLK_SECTOR);
	}
}

static int blk_fill(const char *name, unsigned int layer, uint32_t count)
{
	static char buf[BLK_PAGE];
	uint8_t footer[BLK_SECTOR], header[1024], map[BLK_SECTOR];
	uint64_t bat_at, start, end, at;
	uint32_t entries, i, k, *bat;
	int fd = open(name, O_RDWR);

	if (fd < 0)
		blk_fail(name, "open");
	blk_read(fd, name, footer, sizeof(footer), 0);
	blk_read(fd, name, header, sizeof(header), VHD_HEADER_AT);
	memcpy(&bat_at, header + VHD_BAT_AT, 8);
	bat_at = be64toh(bat_at);
	memcpy(&entries, header + VHD_BAT_ENTRIES, 4);
	entries = be32toh(entries);
	end = lseek(fd, 0, SEEK_END) - BLK_SECTOR;
	if (memcmp(footer, "conectix", 8) || memcmp(header, "cxsparse", 8) ||
	    count > entries || count % BLK_PRIME == 0) {
		fprintf(stderr, "blocks: %s: no dynamic VHD with room for %u blocks\n",
			name, count);
		return 1;
	}
	bat = malloc(count * 4);
	if (!bat)
		blk_fail(name, "memory");
	/* The data of a block begin with a page, right behind the bitmap. */
	start = (end / BLK_PAGE + 1) * BLK_PAGE + BLK_PAGE - BLK_SECTOR;
	for (i = 0; i < count; i++) {
		at = start + (uint64_t)i * BLK_PRIME % count * BLK_STRIDE;
		bat[i] = htobe32(at / BLK_SECTOR);
		memset(map, 0, sizeof(map));
		for (k = 0; k < BLK_SECTORS; k++)
			if (blk_has(layer, k))
				map[blk_place(i) / BLK_PAGE] |= 0x80 >> k;
		blk_write(fd, name, map, sizeof(map), at);
		blk_put(fd, name, layer, i, at + BLK_SECTOR + blk_place(i), buf);
	}
	at = start + (uint64_t)count * BLK_STRIDE;
	blk_write(fd, name, footer, sizeof(footer), at);
	/* The last, as the end of the image was its footer until now. */
	blk_write(fd, name, bat, count * 4, bat_at);
	if (fsync(fd))
		blk_fail(name, "fsync");
	free(bat);
	close(fd);
	return 0;
}

static char *blk_page(const char *name)
{
	char *buf;

	errno = posix_memalign((void **)&buf, BLK_PAGE, BLK_PAGE);
	if (errno)
		blk_fail(name, "memory");
	return buf;
}

static int blk_write_disk(const char *name, unsigned int layer, uint64_t first,
			  uint64_t step, uint64_t count)
{
	int fd = open(name, O_WRONLY | O_DIRECT);
	char *buf = blk_page(name);
	uint64_t block = first;

	if (fd < 0)
		blk_fail(name, "open");
	for (; count; count--, block += step)
		blk_put(fd, name, layer, block,
			block * BLK_BYTES + blk_place(block), buf);
	if (fsync(fd))
		blk_fail(name, "fsync");
	return 0;
}

static int blk_check(const char *name, unsigned int layers, uint64_t first,
		     uint64_t step, uint64_t count)
{
	int fd = open(name, O_RDONLY | O_DIRECT);
	uint64_t want[BLK_SECTOR / sizeof(uint64_t)], block = first;
	char *buf = blk_page(name);
	unsigned int i, layer;
	uint64_t bad = 0, n;

	if (fd < 0)
		blk_fail(name, "open");
	for (n = 0; n < count; n++, block += step) {
		blk_read(fd, name, buf, BLK_PAGE,
			 block * BLK_BYTES + blk_place(block));
		for (i = 0; i < BLK_SECTORS; i++) {
			for (layer = layers - 1; !blk_has(layer, i); layer--)
				;
			blk_sector(want, layer, block, i);
			if (!memcmp(buf + i * BLK_SECTOR, want, BLK_SECTOR))
				continue;
			if (bad++ < 10)
				fprintf(stderr,
					"blocks: %s: block %" PRIu64 " sector %u: not that of layer %u\n",
					name, block, i, layer);
		}
	}
	if (bad) {
		fprintf(stderr, "blocks: %s: %" PRIu64 " sectors are wrong\n",
			name, bad);
		return 1;
	}
	printf("%" PRIu64 " blocks of %u layers\n", count, layers);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long n[4] = { 0 };
	int i;

	for (i = 3; i < argc && i < 7; i++)
		n[i - 3] = strtoul(argv[i], NULL, 0);
	if (argc == 5 && !strcmp(argv[1], "fill"))
		return blk_fill(argv[2], n[0], n[1]);
	if (argc == 7 && !strcmp(argv[1], "write"))
		return blk_write_disk(argv[2], n[0], n[1], n[2], n[3]);
	if (argc == 7 && !strcmp(argv[1], "check") && n[0])
		return blk_check(argv[2], n[0], n[1], n[2], n[3]);
	fprintf(stderr,
		"usage: blocks fill IMAGE LAYER COUNT | write DEVICE LAYER FIRST STEP COUNT | check DEVICE LAYERS FIRST STEP COUNT\n");
	return 2;
}
