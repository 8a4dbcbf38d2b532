// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: a VHD image made by a stranger is opened, read, written
 * and closed by the driver of tapdisk2.
 *
 * Input: 1 byte FUZZ_* flags, 3 bytes size of the file in sectors, then the
 * beginning of the file. Checksums are made good if the flags say so, because
 * nothing interesting lies behind a wrong one, and the footer is put at the
 * end.
 *
 * Besides what the sanitizers see, it is a fault if the driver reads where
 * there is no file, if a request does not end, or if an image that the driver
 * has closed cannot be opened again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/vhd.h"
#include "td_log.h"
#include "../unit/vhd_fake.h"

#define FUZZ_CHECKSUMS	0x01
#define FUZZ_FOOTER	0x02
#define FUZZ_RDONLY	0x04
#define FUZZ_PARENT	0x08
#define FUZZ_ODD_END	0x10

#define FUZZ_SECTORS	64	/* of a request */

static char fuzz_dir[64], fuzz_leaf[80], fuzz_parent[80];
static char fuzz_text[2048];
static uint8_t fuzz_uuid[16];

static void __attribute__((noreturn)) fuzz_die(const char *what)
{
	fprintf(stderr, "fuzz: %s (%s)\n", what, fuzz_text);
	abort();
}

/* Why an image that we have closed is not good. */
static void fuzz_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(fuzz_text, sizeof(fuzz_text), "%s", text);
}

static void fuzz_cleanup(void)
{
	unlink(fuzz_leaf);
	unlink(fuzz_parent);
	rmdir(fuzz_dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct vhd_ctx ctx = { 0 };
	struct vhd_create spec = { .size = 16 << 20 };
	struct vhd_image *image;
	uint8_t data[FUZZ_SECTORS * VHD_SECTOR];

	(void)argc;
	(void)argv;
	td_log_open("fuzz", 0, LOG_EMERG);
	snprintf(fuzz_dir, sizeof(fuzz_dir), "/dev/shm/vhd-fuzz-XXXXXX");
	if (!mkdtemp(fuzz_dir))
		fuzz_die("cannot make a folder in /dev/shm");
	snprintf(fuzz_leaf, sizeof(fuzz_leaf), "%s/leaf.vhd", fuzz_dir);
	snprintf(fuzz_parent, sizeof(fuzz_parent), "%s/a.vhd", fuzz_dir);
	atexit(fuzz_cleanup);
	spec.path = fuzz_parent;
	if (vhd_create(&ctx, &spec) || vfake_open(fuzz_parent, 0))
		fuzz_die("cannot make the parent");
	memset(data, 0x5a, sizeof(data));
	vfake_do(BLKTAP_OP_WRITE, 5000, FUZZ_SECTORS, data, false);
	if (vfake_close() || vhd_open(&ctx, fuzz_parent, 0, &image))
		fuzz_die("cannot open the parent");
	memcpy(fuzz_uuid, image->footer.uuid, 16);
	vhd_close(image);
	return 0;
}

static void fuzz_checksum(uint8_t *buf, size_t len, size_t field)
{
	uint32_t sum = vhd_checksum(buf, len, field);

	buf[field] = sum >> 24;
	buf[field + 1] = sum >> 16;
	buf[field + 2] = sum >> 8;
	buf[field + 3] = sum;
}

/* Make the file; what is beyond the input is zeros. */
static void fuzz_file(uint8_t *buf, size_t len, uint8_t flags, uint64_t size)
{
	int fd = open(fuzz_leaf, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		fuzz_die("cannot make the image");
	if (flags & FUZZ_PARENT && len >= VHD_FOOTER_SIZE + VHD_HEADER_SIZE)
		memcpy(buf + VHD_FOOTER_SIZE + 40, fuzz_uuid, 16);
	if (flags & FUZZ_CHECKSUMS && len >= VHD_FOOTER_SIZE)
		fuzz_checksum(buf, VHD_FOOTER_SIZE, 64);
	if (flags & FUZZ_CHECKSUMS && len >= VHD_FOOTER_SIZE + VHD_HEADER_SIZE)
		fuzz_checksum(buf + VHD_FOOTER_SIZE, VHD_HEADER_SIZE, 36);
	if (pwrite(fd, buf, len, 0) != (ssize_t)len ||
	    ftruncate(fd, size < len ? len : size))
		fuzz_die("cannot write the image");
	if (flags & FUZZ_FOOTER && len >= VHD_FOOTER_SIZE &&
	    pwrite(fd, buf, VHD_FOOTER_SIZE, size < len ? len : size) < 0)
		fuzz_die("cannot write the footer");
	close(fd);
}

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
	if (flags & FUZZ_RDONLY)
		return;
	for (i = 0; i < 16; i++) {
		fuzz_request(BLKTAP_OP_WRITE, i * step, data);
		fuzz_request(BLKTAP_OP_WRITE_ZEROES, i * step + 77, data);
		fuzz_request(BLKTAP_OP_TRIM, i * step + 99, data);
	}
	fuzz_request(BLKTAP_OP_WRITE, 1, data);
	fuzz_request(BLKTAP_OP_READ, 0, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	const struct vhd_ctx ctx = { .message = fuzz_message };
	struct vhd_image *image;
	uint64_t size;
	uint8_t *buf;

	if (len < 4)
		return 0;
	size = ((uint64_t)input[1] << 16 | input[2] << 8 | input[3]) *
	       VHD_SECTOR + !!(input[0] & FUZZ_ODD_END) * 511;
	buf = malloc(len);
	if (!buf)
		return 0;
	memcpy(buf, input + 4, len - 4);
	fuzz_file(buf, len - 4, input[0], size);
	free(buf);
	vfake.seed = 1;
	vfake.max_retries = 2;
	if (vfake_open(fuzz_leaf, input[0] & FUZZ_RDONLY ? TD_OPEN_RDONLY : 0))
		return 0;
	fuzz_use(input[0]);
	if (vfake_close())
		fuzz_die("cannot close");
	if (vhd_open(&ctx, fuzz_leaf, VHD_OPEN_PARENTS, &image))
		fuzz_die("cannot open it again");
	vhd_close(image);
	return 0;
}
