// SPDX-License-Identifier: GPL-2.0
/*
 * The public interface of libvhd, as a program that has nothing but libvhd.h
 * and libvhd.so sees it. What images hold is compared with memory and with
 * what QEMU reads.
 */
#include "vhd_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/libvhd.h"

#define DISK_SIZE	(8U << 20)
#define DISK_SECTORS	(DISK_SIZE / 512)

static char disk_text[512];

static void disk_message(void *opaque, const char *text)
{
	assert_ptr_equal(opaque, disk_text);
	snprintf(disk_text, sizeof(disk_text), "%s", text);
}

static const struct vhd_messages disk_msg = {
	.message = disk_message,
	.opaque = disk_text,
};

static struct vhd_disk *disk_open(const char *name, unsigned int flags)
{
	struct vhd_disk *d = NULL;

	assert_int_equal(vhd_disk_open(vt_path(name), flags, &disk_msg, &d), 0);
	return d;
}

static void disk_create(const char *name, const char *parent)
{
	assert_int_equal(vhd_disk_create(vt_path(name),
					 parent ? 0 : DISK_SECTORS,
					 parent ? vt_path(parent) : NULL, 0,
					 &disk_msg), 0);
}

static void disk_verify(struct vhd_disk *d, const uint8_t *want)
{
	uint8_t *got = malloc(DISK_SIZE);

	assert_int_equal(vhd_disk_read(d, got, 0, DISK_SECTORS), 0);
	assert_memory_equal(got, want, DISK_SIZE);
	free(got);
}

/* Random writes of all lengths; zeros now and then, flushes too. */
static void disk_load(struct vhd_disk *d, uint8_t *want, int writes)
{
	uint8_t *buf = malloc(DISK_SIZE);
	uint32_t i, k;

	while (writes--) {
		uint32_t max = vfake_random() % 8 ? 64 : DISK_SECTORS / 2;
		uint32_t nr = 1 + vfake_random() % max;
		uint32_t sector = vfake_random() % (DISK_SECTORS - nr + 1);

		if (vfake_random() % 8) {
			for (i = 0; i < nr * 512; i += 8) {
				k = vfake_random();
				memcpy(buf + i, &k, sizeof(k));
				memcpy(buf + i + 4, &k, sizeof(k));
			}
			assert_int_equal(vhd_disk_write(d, buf, sector, nr), 0);
			memcpy(want + sector * 512, buf, nr * 512);
		} else {
			assert_int_equal(vhd_disk_write_zeroes(d, sector, nr),
					 0);
			memset(want + sector * 512, 0, nr * 512);
		}
		if (!(vfake_random() % 8))
			assert_int_equal(vhd_disk_flush(d), 0);
	}
	free(buf);
}

static void test_chain(void **state)
{
	static const char *const names[] = { "a.vhd", "b.vhd", "c.vhd" };
	uint8_t *want = calloc(1, DISK_SIZE);
	struct vhd_disk *d;
	unsigned int i, k;
	FILE *raw;

	(void)state;
	for (i = 0; i < 3; i++) {
		disk_create(names[i], i ? names[i - 1] : NULL);
		for (k = 0; k < 2; k++) {
			d = disk_open(names[i], 0);
			assert_int_equal(vhd_disk_sectors(d), DISK_SECTORS);
			assert_int_equal(vhd_disk_images(d), i + 1);
			assert_string_equal(vhd_disk_image_path(d, i),
					    vt_path("a.vhd"));
			assert_null(vhd_disk_image_path(d, i + 1));
			disk_verify(d, want);
			disk_load(d, want, i ? 60 : 6);
			disk_verify(d, want);
			assert_int_equal(vhd_disk_close(d), 0);
			assert_int_equal(vhd_disk_check(vt_path(names[i]), 0,
							&disk_msg), 0);
		}
		if (i)
			continue;
		raw = fopen(vt_path("a.raw"), "w");
		assert_non_null(raw);
		assert_int_equal(fwrite(want, DISK_SIZE, 1, raw), 1);
		fclose(raw);
		vt_sh("qemu-img compare -f vpc -F raw a.vhd a.raw");
	}
	d = disk_open("c.vhd", VHD_DISK_RDONLY);
	disk_verify(d, want);
	assert_int_equal(vhd_disk_close(d), 0);
	free(want);
}

/* Which image has it? */
static void test_where(void **state)
{
	uint8_t buf[64 * 512];
	struct vhd_disk *d;
	uint32_t run;

	(void)state;
	memset(buf, 'A', sizeof(buf));
	disk_create("a.vhd", NULL);
	d = disk_open("a.vhd", 0);
	assert_int_equal(vhd_disk_where(d, 0, 4096, &run), -ENODATA);
	assert_int_equal(run, 2048);
	assert_int_equal(vhd_disk_write(d, buf, 4096, 64), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	disk_create("b.vhd", "a.vhd");
	d = disk_open("b.vhd", 0);
	assert_int_equal(vhd_disk_write(d, buf, 4100, 4), 0);
	assert_int_equal(vhd_disk_where(d, 4090, 100, &run), -ENODATA);
	assert_int_equal(run, 6);
	assert_int_equal(vhd_disk_where(d, 4096, 100, &run), 1);
	assert_int_equal(run, 4);
	assert_int_equal(vhd_disk_where(d, 4100, 100, &run), 0);
	assert_int_equal(run, 4);
	assert_int_equal(vhd_disk_where(d, 4100, 2, &run), 0);
	assert_int_equal(run, 2);
	assert_int_equal(vhd_disk_where(d, 0, 0, &run), -EINVAL);
	assert_int_equal(vhd_disk_where(d, DISK_SECTORS - 1, 2, &run), -EINVAL);
	assert_int_equal(vhd_disk_close(d), 0);
}

/* One image alone: sectors beside those written stay the parent's. */
static void test_leaf_only(void **state)
{
	uint8_t buf[8 * 512], got[8 * 512];
	struct vhd_disk *d;
	int i;

	(void)state;
	memset(buf, 'A', sizeof(buf));
	disk_create("a.vhd", NULL);
	d = disk_open("a.vhd", 0);
	assert_int_equal(vhd_disk_write(d, buf, 0, 8), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	disk_create("b.vhd", "a.vhd");
	d = disk_open("b.vhd", VHD_DISK_LEAF_ONLY);
	assert_int_equal(vhd_disk_images(d), 1);
	assert_int_equal(vhd_disk_read(d, got, 0, 8), 0);
	assert_true(!got[0] && !memcmp(got, got + 1, sizeof(got) - 1));
	memset(buf, 'B', sizeof(buf));
	assert_int_equal(vhd_disk_write(d, buf, 3, 2), 0);
	/* Zeros hide what the parent has, so they must be written. */
	assert_int_equal(vhd_disk_write_zeroes(d, 6, 1), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	d = disk_open("b.vhd", 0);
	assert_int_equal(vhd_disk_read(d, got, 0, 8), 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(got[i * 512],
				 i == 3 || i == 4 ? 'B' : i == 6 ? 0 : 'A');
	assert_int_equal(vhd_disk_close(d), 0);
}

static uint64_t disk_allocated(const char *name)
{
	struct stat st;

	assert_int_equal(stat(vt_path(name), &st), 0);
	return st.st_blocks * 512ULL;
}

static void test_discard(void **state)
{
	uint8_t *want = malloc(DISK_SIZE);
	struct vhd_disk *d;

	(void)state;
	memset(want, 'A', DISK_SIZE);
	disk_create("a.vhd", NULL);
	d = disk_open("a.vhd", 0);
	/* Zeros where there is nothing take nothing. */
	assert_int_equal(vhd_disk_write_zeroes(d, 0, DISK_SECTORS), 0);
	assert_true(disk_allocated("a.vhd") < 65536);
	assert_int_equal(vhd_disk_write(d, want, 0, DISK_SECTORS), 0);
	assert_true(disk_allocated("a.vhd") >= DISK_SIZE);
	assert_int_equal(vhd_disk_discard(d, 0, DISK_SECTORS - 8), 0);
	assert_true(disk_allocated("a.vhd") < 1 << 20);
	memset(want, 0, DISK_SIZE - 8 * 512);
	disk_verify(d, want);
	assert_int_equal(vhd_disk_close(d), 0);
	free(want);
}

static void test_refusals(void **state)
{
	const char *a = vt_path("a.vhd");
	struct vhd_disk *d, *e = NULL;
	uint8_t buf[512] = { 1 };

	(void)state;
	assert_int_equal(vhd_disk_open(a, 0, &disk_msg, &e), -ENOENT);
	assert_non_null(strstr(disk_text, "a.vhd: cannot open"));
	assert_int_equal(vhd_disk_open(a, 0, NULL, &e), -ENOENT);
	assert_int_equal(vhd_disk_open(a, 0x80, &disk_msg, &e), -EINVAL);
	assert_non_null(strstr(disk_text, "flags are 0x80, must be of 0x7"));
	assert_int_equal(vhd_disk_create(a, 1ULL << 40, NULL, 0, &disk_msg),
			 -EFBIG);
	assert_non_null(strstr(disk_text, "2040 GiB"));
	assert_int_equal(vhd_disk_create(a, 1, NULL, VHD_DISK_RAW_PARENT,
					 &disk_msg), -EINVAL);
	assert_int_equal(access(a, F_OK), -1);
	disk_create("a.vhd", NULL);
	assert_int_equal(vhd_disk_create(a, 1, NULL, 0, &disk_msg), -EEXIST);
	d = disk_open("a.vhd", VHD_DISK_RDONLY);
	assert_int_equal(vhd_disk_write(d, buf, 0, 1), -EROFS);
	assert_int_equal(vhd_disk_discard(d, 0, 1), -EROFS);
	assert_int_equal(vhd_disk_write_zeroes(d, 0, 1), -EROFS);
	assert_int_equal(vhd_disk_flush(d), 0);
	assert_int_equal(vhd_disk_open(a, 0, &disk_msg, &e), -EBUSY);
	assert_int_equal(vhd_disk_close(d), 0);
	d = disk_open("a.vhd", 0);
	assert_int_equal(vhd_disk_open(a, VHD_DISK_RDONLY, &disk_msg, &e),
			 -EBUSY);
	assert_int_equal(vhd_disk_read(d, buf, DISK_SECTORS, 1), -EINVAL);
	assert_non_null(strstr(disk_text, "inside of the disk of 16384"));
	assert_int_equal(vhd_disk_read(d, buf, DISK_SECTORS, 0), 0);
	assert_int_equal(vhd_disk_write(d, buf, ~0ULL, 2), -EINVAL);
	assert_int_equal(vhd_disk_discard(d, 1, ~0ULL), -EINVAL);
	assert_int_equal(vhd_disk_close(d), 0);
	/* A child elsewhere, whose parent is not in its folder. */
	assert_int_equal(mkdir(vt_path("x"), 0755), 0);
	assert_int_equal(vhd_disk_create(vt_path("x/b.vhd"), 0, a, 0,
					 &disk_msg), 0);
	assert_int_equal(vhd_disk_open(vt_path("x/b.vhd"), 0, &disk_msg, &e),
			 -EACCES);
	d = disk_open("x/b.vhd", VHD_DISK_ANY_PARENT);
	assert_int_equal(vhd_disk_close(d), 0);
	assert_null(e);
	/* What is wrong with a file is said. */
	vt_sh("printf x | dd of=a.vhd bs=1 seek=600 conv=notrunc status=none");
	assert_int_equal(vhd_disk_check(a, 0, &disk_msg), -EINVAL);
	assert_non_null(strstr(disk_text, "header: checksum"));
}

/* A fixed image; a raw parent. */
static void test_kinds(void **state)
{
	uint8_t *want = calloc(1, DISK_SIZE);
	struct vhd_disk *d;

	(void)state;
	assert_int_equal(vhd_disk_create(vt_path("f.vhd"), DISK_SECTORS, NULL,
					 VHD_DISK_FIXED, &disk_msg), 0);
	d = disk_open("f.vhd", 0);
	disk_load(d, want, 20);
	disk_verify(d, want);
	assert_int_equal(vhd_disk_close(d), 0);
	assert_int_equal(vhd_disk_check(vt_path("f.vhd"), 0, &disk_msg), 0);
	vt_sh("qemu-img convert -f vpc -O raw f.vhd f.raw");
	assert_int_equal(vhd_disk_create(vt_path("g.vhd"), 0, vt_path("f.raw"),
					 VHD_DISK_RAW_PARENT, &disk_msg), 0);
	d = disk_open("g.vhd", 0);
	disk_verify(d, want);
	disk_load(d, want, 20);
	disk_verify(d, want);
	assert_int_equal(vhd_disk_close(d), 0);
	free(want);
}

/* What "make install" leaves is all that a program needs, in C++ too. */
static void test_install(void **state)
{
	char top[256];
	ssize_t len = readlink("/proc/self/exe", top, sizeof(top) - 1);

	(void)state;
	assert_true(len > 0);
	top[len] = 0;
	*strstr(top, "/build/") = 0;
	vt_sh("env -u MAKEFLAGS -u MAKELEVEL make -s -C %s/tools/libvhd install SAN=1 DESTDIR=$PWD/inst",
	      top);
	vt_sh("{ echo '#include <libvhd.h>'; echo 'int main(void) { return !vhd_disk_check(\"no\", 0, 0); }'; } >p.c");
	vt_sh("export PKG_CONFIG_PATH=inst/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/inst LD_LIBRARY_PATH=inst/usr/lib; for c in 'gcc -std=c11:p.c' 'g++ -std=c++11:%s/tests/unit/vhd_api.cc'; do ${c%%%%:*} -pedantic -Wall -Wextra -Werror -fsanitize=address,undefined ${c#*:} -o p $(pkg-config --cflags --libs libvhd) && ./p || exit 1; done",
	      top);
	/* Every function that the library has was called there. */
	vt_sh("nm -D --defined-only inst/usr/lib/libvhd.so | sed -n 's/.* T \\(.*\\)@@.*/\\1/p' | sort >has; nm -D --undefined-only p | sed -n 's/.* U \\(vhd_[a-z_]*\\)@.*/\\1/p' | sort >uses; test -s has && diff has uses");
	vt_sh("readelf -d inst/usr/lib/libvhd.so | grep -q 'SONAME.*libvhd.so.1]' && test -s inst/usr/share/man/man3/libvhd.3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   vt_teardown)
		TEST(test_chain),
		TEST(test_where),
		TEST(test_leaf_only),
		TEST(test_discard),
		TEST(test_refusals),
		TEST(test_kinds),
		TEST(test_install),
	};

	return cmocka_run_group_tests_name("vhd_disk", tests, NULL, NULL);
}
