// SPDX-License-Identifier: GPL-2.0
#include "vhd_input.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/libvhd.h"
#include "td_log.h"

/* What of the parent is kept to restore it: it ends in holes. */
#define FUZZ_KEEP	65536

char fuzz_leaf[80], fuzz_parent[80];

static char fuzz_dir[64];
static char fuzz_text[2048];
static uint8_t fuzz_uuid[16];
static uint64_t fuzz_seed;

static struct {
	uint8_t head[FUZZ_KEEP];
	uint8_t footer[VHD_FOOTER_SIZE];
	uint64_t size;
} fuzz_kept;

static void fuzz_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(fuzz_text, sizeof(fuzz_text), "%s", text);
}

const struct vhd_ctx fuzz_ctx = { .message = fuzz_message };

void fuzz_die(const char *what)
{
	fprintf(stderr, "fuzz: %s (%s)\n", what, fuzz_text);
	abort();
}

uint32_t fuzz_random(void)
{
	fuzz_seed = fuzz_seed * 6364136223846793005ULL +
		    1442695040888963407ULL;
	return fuzz_seed >> 33;
}

void fuzz_path(char path[80], const char *name)
{
	snprintf(path, 80, "%s/%s", fuzz_dir, name);
}

static void fuzz_cleanup(void)
{
	char cmd[80];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", fuzz_dir);
	if (system(cmd))
		fprintf(stderr, "fuzz: %s failed\n", cmd);
}

/* A block at its beginning, of which some sectors are not zeros. */
static void fuzz_parent_make(void)
{
	const struct vhd_create spec = { .path = fuzz_parent,
					 .size = 16 << 20 };
	uint8_t data[64 * VHD_SECTOR];
	struct vhd_image *image;
	struct vhd_disk *disk;
	int fd;

	memset(data, 0x5a, sizeof(data));
	if (vhd_create(&fuzz_ctx, &spec) ||
	    vhd_disk_open(fuzz_parent, 0, NULL, &disk) ||
	    vhd_disk_write(disk, data, 7, 64) || vhd_disk_close(disk) ||
	    vhd_open(&fuzz_ctx, fuzz_parent, 0, &image))
		fuzz_die("cannot make the parent");
	memcpy(fuzz_uuid, image->footer.uuid, 16);
	memcpy(fuzz_kept.footer, image->footer_buf, VHD_FOOTER_SIZE);
	fuzz_kept.size = image->file_size;
	vhd_close(image);
	fd = open(fuzz_parent, O_RDONLY);
	if (fd < 0 || pread(fd, fuzz_kept.head, FUZZ_KEEP, 0) != FUZZ_KEEP)
		fuzz_die("cannot read the parent");
	close(fd);
}

void fuzz_parent_restore(void)
{
	int fd = open(fuzz_parent, O_RDWR | O_TRUNC);

	if (fd < 0 || ftruncate(fd, fuzz_kept.size) ||
	    pwrite(fd, fuzz_kept.head, FUZZ_KEEP, 0) != FUZZ_KEEP ||
	    pwrite(fd, fuzz_kept.footer, VHD_FOOTER_SIZE, fuzz_kept.size -
		   VHD_FOOTER_SIZE) != VHD_FOOTER_SIZE)
		fuzz_die("cannot write the parent");
	close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	td_log_open("fuzz", 0, LOG_EMERG);
	snprintf(fuzz_dir, sizeof(fuzz_dir), "/dev/shm/vhd-fuzz-XXXXXX");
	if (!mkdtemp(fuzz_dir))
		fuzz_die("cannot make a folder in /dev/shm");
	atexit(fuzz_cleanup);
	fuzz_path(fuzz_leaf, "leaf.vhd");
	fuzz_path(fuzz_parent, "a.vhd");
	fuzz_parent_make();
	return 0;
}

static void fuzz_put(uint8_t *buf, uint32_t value)
{
	int i;

	for (i = 4; i--; value >>= 8)
		buf[i] = value;
}

static uint64_t fuzz_get(const uint8_t *buf, size_t len)
{
	uint64_t value = 0;

	while (len--)
		value = value << 8 | *buf++;
	return value;
}

/* Where the header says that the batmap is, if it is in what we have. */
static void fuzz_batmap(uint8_t *buf, size_t len)
{
	const uint8_t *header = buf + VHD_FOOTER_SIZE;
	uint64_t bat = fuzz_get(header + 16, 8);
	uint64_t off = bat + (fuzz_get(header + 28, 4) * 4 + 511) / 512 * 512;
	uint64_t bytes = vhd_batmap_bytes(fuzz_get(buf + 48, 8));
	uint64_t map, sum = 0;
	uint64_t i;

	if (bat > len || off > len || len - off < VHD_BATMAP_HEADER_SIZE)
		return;
	map = fuzz_get(buf + off + 8, 8);
	for (i = 0; i < bytes && map < len && i < len - map; i++)
		sum += buf[map + i];
	fuzz_put(buf + off + 24, ~(uint32_t)sum);
}

static void fuzz_checksums(uint8_t *buf, size_t len, uint8_t flags)
{
	uint8_t *header = buf + VHD_FOOTER_SIZE;
	bool whole = len >= VHD_FOOTER_SIZE + VHD_HEADER_SIZE;

	if (flags & FUZZ_PARENT && whole)
		memcpy(header + 40, fuzz_uuid, 16);
	if (flags & FUZZ_BATMAP && whole)
		fuzz_batmap(buf, len);
	if (flags & FUZZ_CHECKSUMS && len >= VHD_FOOTER_SIZE)
		fuzz_put(buf + 64, vhd_checksum(buf, VHD_FOOTER_SIZE, 64));
	if (flags & FUZZ_CHECKSUMS && whole)
		fuzz_put(header + 36, vhd_checksum(header, VHD_HEADER_SIZE,
						   36));
}

bool fuzz_file(const uint8_t *input, size_t len)
{
	uint64_t size;
	uint8_t *buf;
	int fd;

	if (len < 4)
		return false;
	size = fuzz_get(input + 1, 3) * VHD_SECTOR +
	       !!(input[0] & FUZZ_ODD_END) * 511;
	fuzz_seed = input[0] << 8 | input[3];
	fuzz_text[0] = 0;
	len -= 4;
	buf = malloc(len + 1);
	fd = open(fuzz_leaf, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (!buf || fd < 0)
		fuzz_die("cannot make the image");
	memcpy(buf, input + 4, len);
	fuzz_checksums(buf, len, input[0]);
	if (size < len)
		size = len;
	if (pwrite(fd, buf, len, 0) != (ssize_t)len || ftruncate(fd, size))
		fuzz_die("cannot write the image");
	if (input[0] & FUZZ_FOOTER && len >= VHD_FOOTER_SIZE &&
	    pwrite(fd, buf, VHD_FOOTER_SIZE, size) < 0)
		fuzz_die("cannot write the footer");
	close(fd);
	free(buf);
	return true;
}

void fuzz_small(const char *path)
{
	struct stat st;

	if (!stat(path, &st) && st.st_blocks * 512ULL > FUZZ_FILE_MAX)
		fuzz_die("the file takes too much space");
}

bool fuzz_good(const char *path)
{
	return !vhd_check(&fuzz_ctx, path, VHD_OPEN_ANY_TIME,
			  VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS, NULL);
}
