// SPDX-License-Identifier: GPL-2.0
/*
 * powercut - write records whose loss can be proved, and look for losses
 *
 *   powercut write DEVICE NAME FIRST
 *   powercut check DEVICE CONFIRMED
 *
 * Record N is one 4 KiB block at a place computed from N. Each of its sectors
 * carries N and the place, because sectors, not blocks, are what a disk
 * writes whole. The writer writes some records, calls fdatasync(), and only
 * then says "cut: NAME N" on standard output. The checker is given the last N
 * that was seen outside the machine before its power went. Of each place it
 * must find the last record up to N or a later one: an older one, or
 * anything else, is a loss. A place never written may hold zeroes only.
 *
 * After a cut the writer goes on behind the last N seen, so that a record which
 * was written but not seen is written again and none is ever left out.
 *
 * The places in use grow with N, so that an image keeps allocating blocks
 * all the time and does not only overwrite.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <unistd.h>

#define CUT_MAGIC	0x7265776f702d7476ULL
#define CUT_BLOCK	4096
#define CUT_SECTOR	512
#define CUT_SECTORS	(CUT_BLOCK / CUT_SECTOR)
/* At most so many records between two flushes. */
#define CUT_BATCH	8

/**
 * struct cut_sector - what each sector of a record starts with
 * @magic: CUT_MAGIC
 * @n: number of the record, from 1
 * @place: number of the 4 KiB block it belongs to
 * @sector: number of the sector in the block
 * @check: the four above combined
 */
struct cut_sector {
	uint64_t magic;
	uint64_t n;
	uint64_t place;
	uint64_t sector;
	uint64_t check;
};

static uint64_t cut_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static uint64_t cut_place(uint64_t n, uint64_t places)
{
	uint64_t window = places / 64 + n * 16;

	return cut_mix(n) % (window < places ? window : places);
}

static uint64_t cut_check(const struct cut_sector *s)
{
	return cut_mix(s->magic ^ cut_mix(s->n ^ cut_mix(s->place ^
							 cut_mix(s->sector))));
}

static uint64_t cut_places(int fd, const char *name)
{
	uint64_t bytes;

	if (ioctl(fd, BLKGETSIZE64, &bytes)) {
		fprintf(stderr, "powercut: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return bytes / CUT_BLOCK;
}

static int cut_write(const char *device, const char *name, uint64_t n)
{
	int fd = open(device, O_RDWR | O_DIRECT);
	struct cut_sector s = { .magic = CUT_MAGIC };
	uint64_t places;
	char *buf;
	int i, k, batch;

	if (fd < 0 || posix_memalign((void **)&buf, CUT_BLOCK, CUT_BLOCK)) {
		fprintf(stderr, "powercut: %s: %s\n", device, strerror(errno));
		return 1;
	}
	places = cut_places(fd, device);

	for (;;) {
		batch = 1 + cut_mix(~n) % CUT_BATCH;
		for (k = 0; k < batch; k++, n++) {
			s.n = n;
			s.place = cut_place(n, places);
			for (i = 0; i < CUT_SECTORS; i++) {
				memset(buf + i * CUT_SECTOR, (int)n, CUT_SECTOR);
				s.sector = i;
				s.check = cut_check(&s);
				memcpy(buf + i * CUT_SECTOR, &s, sizeof(s));
			}
			if (pwrite(fd, buf, CUT_BLOCK, s.place * CUT_BLOCK) !=
			    CUT_BLOCK) {
				fprintf(stderr, "powercut: %s: write: %s\n",
					device, strerror(errno));
				return 1;
			}
		}
		if (fdatasync(fd)) {
			fprintf(stderr, "powercut: %s: fdatasync: %s\n",
				device, strerror(errno));
			return 1;
		}
		printf("cut: %s %" PRIu64 "\n", name, n - 1);
		fflush(stdout);
	}
}

/* Returns the record's number, 0 for zeroes; exits when it is neither. */
static uint64_t cut_read_sector(const char *p, uint64_t place, int sector)
{
	static const char zeroes[CUT_SECTOR];
	struct cut_sector s;

	if (!memcmp(p, zeroes, CUT_SECTOR))
		return 0;
	memcpy(&s, p, sizeof(s));
	if (s.magic != CUT_MAGIC || s.place != place ||
	    s.sector != (uint64_t)sector || s.check != cut_check(&s) ||
	    (unsigned char)p[CUT_SECTOR - 1] != (unsigned char)s.n) {
		fprintf(stderr,
			"powercut: block %" PRIu64 " sector %d: neither zeroes nor its record\n",
			place, sector);
		exit(1);
	}
	return s.n;
}

static int cut_check_device(const char *device, uint64_t confirmed)
{
	int fd = open(device, O_RDONLY);
	uint64_t places, place, n, max = 0, lost = 0;
	uint64_t *last;
	char *buf;
	int i;

	if (fd < 0) {
		fprintf(stderr, "powercut: %s: %s\n", device, strerror(errno));
		return 1;
	}
	places = cut_places(fd, device);
	last = calloc(places, sizeof(*last));
	buf = malloc(CUT_BLOCK);
	if (!last || !buf)
		return 1;
	for (n = 1; n <= confirmed; n++)
		last[cut_place(n, places)] = n;

	for (place = 0; place < places; place++) {
		/* The window, plus what may have been written unconfirmed. */
		if (place > places / 64 + (confirmed + 4096) * 16)
			break;
		if (pread(fd, buf, CUT_BLOCK, place * CUT_BLOCK) != CUT_BLOCK) {
			fprintf(stderr, "powercut: %s: block %" PRIu64 ": %s\n",
				device, place, strerror(errno));
			return 1;
		}
		for (i = 0; i < CUT_SECTORS; i++) {
			n = cut_read_sector(buf + i * CUT_SECTOR, place, i);
			if (n > max)
				max = n;
			if (n >= last[place])
				continue;
			if (lost++ < 10)
				fprintf(stderr,
					"powercut: block %" PRIu64 " sector %d: has record %" PRIu64 ", but %" PRIu64 " was confirmed\n",
					place, i, n, last[place]);
		}
	}
	if (lost) {
		fprintf(stderr, "powercut: %s: %" PRIu64 " sectors lost\n",
			device, lost);
		return 1;
	}
	printf("%" PRIu64 "\n", max);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "write"))
		return cut_write(argv[2], argv[3], strtoull(argv[4], NULL, 0));
	if (argc == 4 && !strcmp(argv[1], "check"))
		return cut_check_device(argv[2], strtoull(argv[3], NULL, 0));
	fprintf(stderr, "usage: powercut write DEVICE NAME FIRST | check DEVICE CONFIRMED\n");
	return 2;
}
