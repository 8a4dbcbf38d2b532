// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: an image made by a stranger is repaired, with either
 * footer. For the inputs see vhd_input.h.
 *
 * It is a fault if a repair that succeeds leaves an image that does not open,
 * has no footer at its end, holds other data than it did, or can be repaired
 * further; and if one that fails leaves one that does not open and did.
 */
#include <stdint.h>
#include <string.h>

#include "vhd_input.h"

#define FUZZ_SECTORS	64

struct fuzz_view {
	bool opens;
	bool lost;
	uint64_t size;
	uint32_t sum;
};

/* @sum is over places all over the disk. */
static struct fuzz_view fuzz_look(void)
{
	uint8_t data[FUZZ_SECTORS * VHD_SECTOR];
	struct fuzz_view view = { 0 };
	struct vhd_image *image;
	uint64_t sector, step;
	uint32_t nr;

	if (vhd_open(&fuzz_ctx, fuzz_leaf, 0, &image))
		return view;
	view.opens = true;
	view.lost = image->footer_lost;
	view.size = image->size;
	step = image->sectors / 16 + 1;
	for (sector = 0; sector < image->sectors; sector += step) {
		nr = image->sectors - sector < FUZZ_SECTORS ?
		     image->sectors - sector : FUZZ_SECTORS;
		if (vhd_read(image, sector, nr, data))
			fuzz_die("cannot be read");
		view.sum = view.sum * 31 + vhd_checksum(data,
							(size_t)nr *
							VHD_SECTOR, 0);
	}
	vhd_close(image);
	return view;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct fuzz_view before, after;
	bool backup, good;
	int ret;

	if (!fuzz_file(input, len))
		return 0;
	backup = input[0] & FUZZ_OPTION;
	good = fuzz_good(fuzz_leaf);
	before = fuzz_look();
	ret = vhd_repair(&fuzz_ctx, fuzz_leaf, backup);
	after = fuzz_look();
	fuzz_small(fuzz_leaf);
	if (before.opens && !after.opens)
		fuzz_die("opened before the repair");
	if (ret)
		return 0;
	if (!after.opens || after.lost)
		fuzz_die("is not repaired");
	/* The copy at 0 may tell of another disk. */
	if (before.opens && !backup &&
	    (before.size != after.size || before.sum != after.sum))
		fuzz_die("holds other data");
	if (good && !fuzz_good(fuzz_leaf))
		fuzz_die("was good before the repair");
	if (vhd_repair(&fuzz_ctx, fuzz_leaf, false))
		fuzz_die("cannot be repaired again");
	before = fuzz_look();
	if (memcmp(&before, &after, sizeof(after)))
		fuzz_die("repaired again it is another image");
	return 0;
}
