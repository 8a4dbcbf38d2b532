// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: an image made by a stranger is written through libvhd, as
 * other programs do it. For the inputs see vhd_input.h.
 *
 * It is a fault if reading fails, if writing fails for want of anything but
 * room, if what was written is not read, now or after it was opened again, or
 * if an image that was good is not good afterwards.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "vhd_input.h"
#include "libvhd/libvhd.h"

#define FUZZ_SPOTS	24
#define FUZZ_SECTORS	8
#define FUZZ_OPS	64
#define FUZZ_UNKNOWN	(-1)

/* What we know of some places on the disk: all bytes have that value. */
static struct {
	uint64_t sector;
	int value;
} fuzz_spot[FUZZ_SPOTS];

static void fuzz_spots(struct vhd_disk *disk)
{
	uint64_t places = vhd_disk_sectors(disk) / FUZZ_SECTORS;
	int i;

	for (i = 0; i < FUZZ_SPOTS; i++) {
		/* The last ones are the end of the disk. */
		uint64_t place = i < FUZZ_SPOTS - 4 ?
				 (places / FUZZ_SPOTS) * i + i % 5 :
				 places - (FUZZ_SPOTS - i);

		fuzz_spot[i].sector = place * FUZZ_SECTORS;
		fuzz_spot[i].value = FUZZ_UNKNOWN;
	}
}

static void fuzz_read(struct vhd_disk *disk, int i)
{
	uint8_t data[FUZZ_SECTORS * VHD_SECTOR];
	size_t k;

	if (vhd_disk_read(disk, data, fuzz_spot[i].sector, FUZZ_SECTORS))
		fuzz_die("cannot read");
	for (k = 0; fuzz_spot[i].value >= 0 && k < sizeof(data); k++)
		if (data[k] != fuzz_spot[i].value)
			fuzz_die("what was written is not there");
}

static void fuzz_op(struct vhd_disk *disk, int i, int value)
{
	uint8_t data[FUZZ_SECTORS * VHD_SECTOR];
	uint64_t sector = fuzz_spot[i].sector;
	int ret;

	switch (fuzz_random() % 8) {
	case 0:
		ret = vhd_disk_write_zeroes(disk, sector, FUZZ_SECTORS);
		value = 0;
		break;
	case 1:
		ret = vhd_disk_discard(disk, sector, FUZZ_SECTORS);
		value = FUZZ_UNKNOWN;
		break;
	case 2:
		ret = vhd_disk_flush(disk);
		value = fuzz_spot[i].value;
		break;
	default:
		memset(data, value, sizeof(data));
		ret = vhd_disk_write(disk, data, sector, FUZZ_SECTORS);
	}
	if (ret && ret != -EFBIG && ret != -ENOSPC)
		fuzz_die("cannot write");
	fuzz_spot[i].value = ret ? FUZZ_UNKNOWN : value;
	fuzz_read(disk, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	const struct vhd_messages msg = { .message = fuzz_ctx.message };
	struct vhd_disk *disk;
	bool good;
	int i;

	if (!fuzz_file(input, len))
		return 0;
	good = fuzz_good(fuzz_leaf);
	if (vhd_disk_open(fuzz_leaf, 0, &msg, &disk))
		return 0;
	/* So that no two spots overlap. */
	if (vhd_disk_sectors(disk) >= 16 * FUZZ_SPOTS * FUZZ_SECTORS) {
		fuzz_spots(disk);
		for (i = 0; i < FUZZ_OPS; i++)
			fuzz_op(disk, fuzz_random() % FUZZ_SPOTS, i);
	}
	if (vhd_disk_close(disk))
		fuzz_die("cannot close");
	if (good && !fuzz_good(fuzz_leaf))
		fuzz_die("was good before it was written");
	if (vhd_disk_open(fuzz_leaf, VHD_DISK_RDONLY, &msg, &disk))
		fuzz_die("cannot open it again");
	for (i = 0; i < FUZZ_SPOTS && fuzz_spot[FUZZ_SPOTS - 1].sector <
	     vhd_disk_sectors(disk); i++)
		fuzz_read(disk, i);
	vhd_disk_close(disk);
	fuzz_small(fuzz_leaf);
	return 0;
}
