// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: an image made by a stranger is merged into a good parent,
 * or a good child into it. For the inputs see vhd_input.h.
 *
 * It is a fault if the child does not read as before afterwards, whatever came
 * of it, if the parent does not read as the child after success, or if a
 * parent that was good is not good any more.
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vhd_input.h"
#include "libvhd/libvhd.h"

#define FUZZ_SECTORS	64
#define FUZZ_SPOTS	24

static uint8_t fuzz_before[FUZZ_SPOTS][FUZZ_SECTORS * VHD_SECTOR];
static uint8_t fuzz_after[FUZZ_SPOTS][FUZZ_SECTORS * VHD_SECTOR];

/* Places all over a disk; @sectors: of the child, behind them are zeros. */
static void fuzz_look(const char *path, uint64_t *sectors,
		      uint8_t data[FUZZ_SPOTS][FUZZ_SECTORS * VHD_SECTOR])
{
	struct vhd_image *chain;
	uint64_t sector;
	uint32_t nr;
	int i;

	if (vhd_open(&fuzz_ctx, path, VHD_OPEN_PARENTS, &chain))
		fuzz_die("cannot open it again");
	if (!*sectors)
		*sectors = chain->sectors;
	memset(data, 0, sizeof(fuzz_before));
	for (i = 0; i < FUZZ_SPOTS; i++) {
		sector = *sectors / FUZZ_SPOTS * i;
		if (sector >= chain->sectors)
			break;
		nr = chain->sectors - sector < FUZZ_SECTORS ?
		     chain->sectors - sector : FUZZ_SECTORS;
		if (nr > *sectors - sector)
			nr = *sectors - sector;
		if (vhd_read(chain, sector, nr, data[i]))
			fuzz_die("cannot be read");
	}
	vhd_close(chain);
}

/* A child of the leaf, with something in it. */
static bool fuzz_child(const char *path)
{
	const struct vhd_create spec = { .path = path, .parent = fuzz_leaf,
					 .keep_empty = true };
	uint8_t data[VHD_SECTOR];
	struct vhd_disk *disk;
	uint64_t sectors;
	int i;

	if (vhd_create(&fuzz_ctx, &spec) ||
	    vhd_disk_open(path, 0, NULL, &disk))
		return false;
	sectors = vhd_disk_sectors(disk);
	for (i = 0; i < FUZZ_SPOTS / 2; i++) {
		memset(data, 0xa0 + i, sizeof(data));
		if (vhd_disk_write(disk, data, sectors / FUZZ_SPOTS * 2 * i,
				   1))
			fuzz_die("cannot write the child");
	}
	return !vhd_disk_close(disk);
}

/* The parent of the leaf, if it has one that is a VHD. */
static bool fuzz_find(char parent[PATH_MAX])
{
	struct vhd_image *chain;
	bool found;

	if (vhd_open(&fuzz_ctx, fuzz_leaf, VHD_OPEN_PARENTS, &chain))
		return false;
	found = chain->parent && !chain->parent->raw;
	if (found)
		snprintf(parent, PATH_MAX, "%s", chain->parent->path);
	vhd_close(chain);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct vhd_coalesce spec = { .path = fuzz_leaf };
	char child[80], parent[PATH_MAX];
	uint64_t sectors = 0;
	bool good;
	int ret;

	if (!fuzz_file(input, len))
		return 0;
	fuzz_parent_restore();
	fuzz_path(child, "child.vhd");
	unlink(child);
	spec.sparse = input[0] & FUZZ_OPTION;
	if (!fuzz_find(parent)) {
		if (!fuzz_child(child))
			return 0;
		spec.path = child;
		snprintf(parent, sizeof(parent), "%s", fuzz_leaf);
	}
	good = fuzz_good(parent);
	fuzz_look(spec.path, &sectors, fuzz_before);
	ret = vhd_coalesce(&fuzz_ctx, &spec, NULL);
	fuzz_look(spec.path, &sectors, fuzz_after);
	if (memcmp(fuzz_before, fuzz_after, sizeof(fuzz_before)))
		fuzz_die("the child holds other data");
	if (good && !fuzz_good(parent))
		fuzz_die("the parent was good");
	fuzz_small(parent);
	if (ret)
		return 0;
	fuzz_look(parent, &sectors, fuzz_after);
	if (memcmp(fuzz_before, fuzz_after, sizeof(fuzz_before)))
		fuzz_die("the parent holds other data than the child");
	return 0;
}
