// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: a VHD image made by a stranger is opened, read, written
 * and closed by the driver of tapdisk2. For the inputs see vhd_input.h.
 *
 * Besides what the sanitizers see, it is a fault if the driver reads where
 * there is no file, if a request does not end, or if an image that the driver
 * has closed cannot be opened again.
 */
#include <errno.h>
#include <stdint.h>

#include "vhd_input.h"
#include "../unit/vhd_fake.h"

#define FUZZ_SECTORS	64	/* of a request */

static int fuzz_request(uint8_t op, uint64_t sector, uint8_t *data)
{
	uint32_t nr = FUZZ_SECTORS;
	int ret;

	if (sector >= vfake.info.sectors)
		sector = vfake.info.sectors - 1;
	if (nr > vfake.info.sectors - sector)
		nr = vfake.info.sectors - sector;
	ret = vfake_do(op, sector, nr, data, sector & 1);
	if (ret == -ENODATA)
		fuzz_die("read outside of a file");
	if (ret == -ETIME)
		fuzz_die("a request did not end");
	return ret;
}

/* Places all over the disk, and all of its beginning and end. */
static void fuzz_use(uint8_t flags)
{
	static uint8_t data[FUZZ_SECTORS * VHD_SECTOR];
	uint64_t step = vfake.info.sectors / 16 + 1;
	uint64_t i;

	for (i = 0; i < 64; i++) {
		fuzz_request(BLKTAP_OP_READ, i * FUZZ_SECTORS, data);
		fuzz_request(BLKTAP_OP_READ, vfake.info.sectors -
			     (i + 1) * FUZZ_SECTORS, data);
		fuzz_request(BLKTAP_OP_READ, i * step / 4, data);
	}
	if (flags & FUZZ_OPTION)
		return;
	for (i = 0; i < 16; i++) {
		fuzz_request(BLKTAP_OP_WRITE, i * step, data);
		fuzz_request(BLKTAP_OP_WRITE_ZEROES, i * step + 77, data);
		fuzz_request(BLKTAP_OP_TRIM, i * step + 99, data);
	}
	fuzz_request(BLKTAP_OP_WRITE, 1, data);
	fuzz_request(BLKTAP_OP_READ, 0, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	struct vhd_image *image;

	if (!fuzz_file(input, len))
		return 0;
	vfake.seed = 1;
	vfake.max_retries = 2;
	if (vfake_open(fuzz_leaf, input[0] & FUZZ_OPTION ? TD_OPEN_RDONLY : 0))
		return 0;
	fuzz_use(input[0]);
	if (vfake_close())
		fuzz_die("cannot close");
	if (vhd_open(&fuzz_ctx, fuzz_leaf, VHD_OPEN_PARENTS, &image))
		fuzz_die("cannot open it again");
	vhd_close(image);
	fuzz_small(fuzz_leaf);
	return 0;
}
