// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: an image made by a stranger is checked and queried, with
 * all that check can be told to overlook. For the inputs see vhd_input.h.
 *
 * It is a fault if one that passes the check cannot be opened, cannot be
 * read, or does not pass with less strict flags.
 */
#include <stdint.h>

#include "vhd_input.h"

#define FUZZ_SECTORS	64

static void fuzz_query(const struct vhd_image *image)
{
	char name[VHD_NAME_MAX];
	unsigned int i;

	vhd_parent_name(image, name);
	for (i = 0; !vhd_is_flat(image) && i <= VHD_LOCATORS; i++)
		vhd_locator_name(image, i, name);
	vhd_depth(image);
}

static void fuzz_read(void)
{
	uint8_t data[FUZZ_SECTORS * VHD_SECTOR];
	struct vhd_image *chain;
	uint64_t sector, step;
	uint32_t nr;

	if (vhd_open(&fuzz_ctx, fuzz_leaf, VHD_OPEN_PARENTS, &chain))
		fuzz_die("passes the check, but cannot be opened");
	fuzz_query(chain);
	step = chain->sectors / 32 + 1;
	for (sector = 0; sector < chain->sectors; sector += step) {
		nr = chain->sectors - sector < FUZZ_SECTORS ?
		     chain->sectors - sector : FUZZ_SECTORS;
		if (vhd_read(chain, sector, nr, data))
			fuzz_die("passes the check, but cannot be read");
	}
	vhd_close(chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	const unsigned int lax = VHD_OPEN_NO_FOOTER | VHD_OPEN_ANY_UUID |
				 VHD_OPEN_ANY_TIME | VHD_OPEN_ANY_BAT;
	struct vhd_check_stats stats = { 0 };
	struct vhd_image *image;
	bool good, lax_good;

	if (!fuzz_file(input, len))
		return 0;
	good = fuzz_good(fuzz_leaf);
	lax_good = !vhd_check(&fuzz_ctx, fuzz_leaf, lax, VHD_CHECK_BITMAPS,
			      &stats);
	if (good && !lax_good)
		fuzz_die("passes the check, but not a part of it");
	if (stats.full > stats.blocks)
		fuzz_die("more full blocks than blocks");
	if (good)
		fuzz_read();
	if (!vhd_open(&fuzz_ctx, fuzz_leaf, VHD_OPEN_HEADERS, &image)) {
		fuzz_query(image);
		vhd_close(image);
	}
	return 0;
}
