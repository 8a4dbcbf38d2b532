// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "libvhd/vhd.h"
#include "vhd_patch.h"

void vp_put(uint8_t *p, unsigned int len, uint64_t value)
{
	while (len--) {
		p[len] = value;
		value >>= 8;
	}
}

void vp_read(const char *path, uint64_t off, void *buf, size_t len)
{
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, len, off), len);
	close(fd);
}

void vp_write(const char *path, uint64_t off, const void *buf, size_t len)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, buf, len, off), len);
	close(fd);
}

uint64_t vp_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

void vp_footer(const char *path, unsigned int off, unsigned int len,
	       uint64_t value)
{
	uint64_t end = vp_size(path) - 512;
	uint8_t buf[512], copy[8];

	vp_read(path, end, buf, 512);
	vp_put(buf + off, len, value);
	if (off != 64)
		vp_put(buf + 64, 4, vhd_checksum(buf, 512, 64));
	vp_write(path, end, buf, 512);
	vp_read(path, 0, copy, 8);
	if (end && !memcmp(copy, "conectix", 8))
		vp_write(path, 0, buf, 512);
}

void vp_header(const char *path, unsigned int off, unsigned int len,
	       uint64_t value)
{
	uint8_t buf[1024];

	vp_read(path, 512, buf, 1024);
	vp_put(buf + off, len, value);
	if (off != 36)
		vp_put(buf + 36, 4, vhd_checksum(buf, 1024, 36));
	vp_write(path, 512, buf, 1024);
}
