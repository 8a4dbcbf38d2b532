// SPDX-License-Identifier: GPL-2.0
/*
 * What a chain of 30 images costs a read: 4 KiB through libvhd, everything in
 * the page cache, from the leaf and from the base. Of the time a read takes,
 * the pread() is the same for all.
 *
 * The dearest case is a base under children that all have the block, but not
 * the sectors: each of their bitmaps is asked.
 *
 *	chain_bench FOLDER READS RUNS
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libvhd/libvhd.h"
#include "td_stdio.h"

#define CB_DEPTH	30
#define CB_BLOCKS	4
#define CB_BLOCK	4096U	/* sectors of a block */
#define CB_PAGE		8U	/* sectors of a read */
#define CB_PAGES	(CB_BLOCK / CB_PAGE)

static uint8_t cb_buf[CB_PAGE * 512];

static void cb_check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "chain_bench: %s: %s\n", what, strerror(-error));
	exit(1);
}

static struct vhd_disk *cb_open(const char *path, unsigned int flags)
{
	struct vhd_disk *disk = NULL;

	cb_check(vhd_disk_open(path, flags, NULL, &disk), path);
	return disk;
}

/* Child @i has page @i of each block; the base, 0, has all. */
static void cb_fill(const char *path, unsigned int i)
{
	struct vhd_disk *disk = cb_open(path, 0);
	uint32_t block, page;
	int ret = 0;

	memset(cb_buf, i + 1, sizeof(cb_buf));
	for (block = 0; block < CB_BLOCKS; block++)
		for (page = i; page < (i ? i + 1 : CB_PAGES) && !ret; page++)
			ret = vhd_disk_write(disk, cb_buf, block * CB_BLOCK +
					     page * CB_PAGE, CB_PAGE);
	cb_check(ret, path);
	cb_check(vhd_disk_close(disk), path);
}

/* Makes FOLDER/NAME0.vhd and so on; returns the leaf. */
static const char *cb_chain(const char *folder, const char *name, bool fill)
{
	static char path[CB_DEPTH][PATH_MAX];
	unsigned int i;
	int ret;

	for (i = 0; i < CB_DEPTH; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%s%u.vhd", folder, name,
			 i);
		ret = vhd_disk_create(path[i], i ? 0 : CB_BLOCKS * CB_BLOCK,
				      i ? path[i - 1] : NULL, 0, NULL);
		cb_check(ret, path[i]);
		if (!i || fill || i == CB_DEPTH - 1)
			cb_fill(path[i], i);
	}
	return path[CB_DEPTH - 1];
}

static int cb_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Pages @first to before @last of random blocks; each must hold @want. */
static void cb_read(const char *what, const char *path, unsigned int depth,
		    uint32_t first, uint32_t last, uint8_t want,
		    unsigned long reads, unsigned int runs)
{
	struct vhd_disk *disk = cb_open(path, VHD_DISK_RDONLY);
	double *ns = calloc(runs, sizeof(*ns));
	struct timespec a, b;
	unsigned int run;
	unsigned long i;
	uint32_t x = 1;
	int ret = ns && vhd_disk_images(disk) == depth ? 0 : -EINVAL;

	for (run = 0; run < runs && !ret; run++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (i = 0; i < reads && !ret; i++) {
			x = x * 1664525 + 1013904223;
			ret = vhd_disk_read(disk, cb_buf,
					    (x >> 8) % CB_BLOCKS * CB_BLOCK +
					    (first + (x >> 12) %
					     (last - first)) * CB_PAGE,
					    CB_PAGE);
			if (!ret && cb_buf[100] != want)
				ret = -EIO;
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		ns[run] = ((b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec -
			   a.tv_nsec) / reads;
	}
	cb_check(ret, path);
	qsort(ns, runs, sizeof(*ns), cb_compare);
	printf("%s: %.0f\n", what, ns[runs / 2]);
	free(ns);
	cb_check(vhd_disk_close(disk), path);
}

int main(int argc, char **argv)
{
	unsigned long reads;
	unsigned int runs;
	char base[PATH_MAX];
	const char *leaf;

	td_stdio_open();
	reads = argc == 4 ? strtoul(argv[2], NULL, 0) : 0;
	runs = argc == 4 ? strtoul(argv[3], NULL, 0) : 0;
	if (!reads || !runs) {
		fprintf(stderr, "usage: chain_bench FOLDER READS RUNS\n");
		return 2;
	}
	leaf = cb_chain(argv[1], "bare", false);
	snprintf(base, sizeof(base), "%s/bare0.vhd", argv[1]);
	cb_read("chain of 1", base, 1, CB_DEPTH, CB_PAGES, 1, reads, runs);
	cb_read("chain of 30, read from its leaf", leaf, CB_DEPTH,
		CB_DEPTH - 1, CB_DEPTH, CB_DEPTH, reads, runs);
	cb_read("chain of 30, base, leaf has the block", leaf, CB_DEPTH,
		CB_DEPTH, CB_PAGES, 1, reads, runs);
	leaf = cb_chain(argv[1], "busy", true);
	cb_read("chain of 30, base, all have the block", leaf, CB_DEPTH,
		CB_DEPTH, CB_PAGES, 1, reads, runs);
	return 0;
}
