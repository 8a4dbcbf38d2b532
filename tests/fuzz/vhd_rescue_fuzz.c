// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: what can be read of an image made by a stranger is saved.
 * For the inputs see vhd_input.h.
 *
 * It is a fault if what is saved is not good, if runs that are missing are not
 * in order or not on the disk, or if a good image is not saved whole.
 */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "vhd_input.h"

#define FUZZ_SECTORS	64
/* What a larger one holds is not compared. */
#define FUZZ_DISK_MAX	(64ULL << 20)

struct fuzz_runs {
	uint64_t end;		/* of the last one */
	bool missing;		/* not only doubtful */
};

static void fuzz_missing(void *opaque, uint64_t sector, uint64_t nr,
			 bool doubtful, const char *why)
{
	struct fuzz_runs *runs = opaque;

	if (!nr || sector < runs->end || !why)
		fuzz_die("runs are not in order");
	runs->end = sector + nr;
	runs->missing |= !doubtful;
}

/* 0: too large, or it does not open. @sum is over places all over the disk. */
static uint64_t fuzz_look(const char *path, uint32_t *sum)
{
	uint8_t data[FUZZ_SECTORS * VHD_SECTOR];
	struct vhd_image *chain;
	uint64_t sector, sectors;
	uint32_t nr;

	*sum = 0;
	if (vhd_open(&fuzz_ctx, path, VHD_OPEN_PARENTS | VHD_OPEN_ANY_TIME,
		     &chain))
		return 0;
	sectors = chain->size > FUZZ_DISK_MAX ? 0 : chain->sectors;
	for (sector = 0; sector < sectors; sector += sectors / 16 + 1) {
		nr = sectors - sector < FUZZ_SECTORS ? sectors - sector :
		     FUZZ_SECTORS;
		if (vhd_read(chain, sector, nr, data))
			fuzz_die("cannot be read");
		*sum = *sum * 31 + vhd_checksum(data, (size_t)nr * VHD_SECTOR,
						0);
	}
	vhd_close(chain);
	return sectors;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	uint64_t sectors, after, size = 0;
	struct fuzz_runs runs = { 0 };
	struct vhd_rescue spec = { .from = fuzz_leaf, .opaque = &runs,
				   .missing = fuzz_missing };
	uint32_t sum, sum_after;
	char copy[80];

	if (!fuzz_file(input, len))
		return 0;
	fuzz_path(copy, "saved.vhd");
	unlink(copy);
	spec.to = copy;
	sectors = fuzz_good(fuzz_leaf) ? fuzz_look(fuzz_leaf, &sum) : 0;
	if (vhd_rescue(&fuzz_ctx, &spec, &size)) {
		if (sectors)
			fuzz_die("was good and cannot be rescued");
		return 0;
	}
	if (runs.end > size / VHD_SECTOR)
		fuzz_die("missing behind the end of the disk");
	fuzz_small(copy);
	if (!fuzz_good(copy))
		fuzz_die("what was saved is not good");
	if (!sectors)
		return 0;
	after = fuzz_look(copy, &sum_after);
	if (runs.missing || after != sectors || sum_after != sum)
		fuzz_die("a good image was not saved whole");
	return 0;
}
