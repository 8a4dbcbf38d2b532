// SPDX-License-Identifier: GPL-2.0
/* tap-ctl resize: what grows, what is refused, and how the tap goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/vhd.h"
#include "tapctl_fake.h"
#include "td_file.h"

#define MIB		(1ULL << 20)
#define SIZE		(64 * MIB)
#define PAUSE_RESUME	"PAUSE 0\nRESUME 0  flags=0 prt=0 timeout=0 secondary=\n"
/* Resize minor 0. */
#define RESIZE(f, ...) \
	tapctl_run(f, "resize", "-p", pid, "-m", "0", __VA_ARGS__, NULL)

static char pid[16];
static char folder[96];
static char file[128];

/* A tapdisk that serves an image of SIZE as minor 0. */
static void resize_up(struct tapctl_fake *f, const char *type,
		      const char *path)
{
	char name[160];

	snprintf(folder, sizeof(folder), "%s/images", f->root);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(file, sizeof(file), "%s/image", folder);
	snprintf(name, sizeof(name), "%s:%s", type, path ? path : file);
	tapctl_tap(f, 0, name, "running", 0);
	tapctl_disk(f, 0, SIZE / 512, false);
	snprintf(pid, sizeof(pid), "%d",
		 tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1));
}

static void resize_vhd(struct tapctl_fake *f, uint64_t room)
{
	static const struct vhd_ctx ctx;
	const struct vhd_create spec = {
		.path = file, .size = SIZE, .size_max = room,
	};

	resize_up(f, "vhd", NULL);
	assert_int_equal(vhd_create(&ctx, &spec), 0);
}

static void resize_raw(struct tapctl_fake *f)
{
	int fd;

	resize_up(f, "aio", NULL);
	fd = open(file, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
}

static uint64_t resize_disk(struct tapctl_fake *f)
{
	return strtoull(tapctl_read(f, "sys/dev/block/252:0/size"), NULL, 10) *
	       512;
}

/* The header says for how many blocks there is room. */
static uint64_t resize_vhd_size(uint32_t *max_bat)
{
	static const struct vhd_ctx ctx;
	struct vhd_image *image;
	uint64_t size;

	assert_int_equal(vhd_open(&ctx, file, 0, &image), 0);
	size = image->size;
	*max_bat = image->header.max_bat;
	vhd_close(image);
	return size;
}

static void resize_done(struct tapctl_fake *f, uint64_t size)
{
	assert_string_equal(f->err, "");
	assert_string_equal(f->out, "");
	assert_string_equal(tapctl_read(f, "log"), PAUSE_RESUME);
	assert_int_equal(resize_disk(f), size);
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	assert_false(tapctl_exists(f, "images/image.journal"));
}

/* Nothing was done, nobody noticed. */
static void resize_refused(struct tapctl_fake *f, const char *cause)
{
	assert_non_null(strstr(f->err, cause));
	assert_string_equal(f->out, "");
	assert_string_equal(tapctl_read(f, "log"), "");
	assert_int_equal(resize_disk(f), SIZE);
}

static void resize_vhd_journal(void **state)
{
	struct tapctl_fake *f = *state;
	uint32_t max_bat;

	resize_vhd(f, 0);
	assert_int_equal(RESIZE(f, "-s", "4096"), 0);
	resize_done(f, 4096 * MIB);
	assert_int_equal(resize_vhd_size(&max_bat), 4096 * MIB);
	assert_int_equal(max_bat, 2048);
}

static void resize_vhd_fast(void **state)
{
	struct tapctl_fake *f = *state;
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat before, after;
	uint32_t max_bat;

	resize_vhd(f, 4096 * MIB);
	assert_int_equal(stat(file, &before), 0);
	assert_int_equal(utimensat(AT_FDCWD, folder, old, 0), 0);
	assert_int_equal(RESIZE(f, "-s", "1000", "-t", "60"), 0);
	resize_done(f, 1000 * MIB);
	assert_int_equal(resize_vhd_size(&max_bat), 1000 * MIB);
	assert_int_equal(max_bat, 2048);
	assert_int_equal(stat(file, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	/* There was no journal beside it. */
	assert_int_equal(stat(folder, &after), 0);
	assert_int_equal(after.st_mtime, 1);
}

static void resize_raw_file(void **state)
{
	struct tapctl_fake *f = *state;
	struct stat st;

	resize_raw(f);
	assert_int_equal(RESIZE(f, "-s", "100"), 0);
	resize_done(f, 100 * MIB);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 100 * MIB);
	/* What is not larger is no harm. */
	assert_int_equal(RESIZE(f, "-s", "100"), 0);
	assert_int_equal(resize_disk(f), 100 * MIB);
	/* It may have grown by other means. */
	assert_int_equal(truncate(file, 200 * MIB), 0);
	assert_int_equal(tapctl_run(f, "resize", "-p", pid, "-m", "0", NULL),
			 0);
	assert_int_equal(resize_disk(f), 200 * MIB);
}

static void resize_too_small(void **state)
{
	struct tapctl_fake *f = *state;

	resize_raw(f);
	assert_int_equal(RESIZE(f, "-s", "63"), EINVAL);
	resize_refused(f, "-s is 63 MiB, minor 0 has 131072 sectors of 512 bytes");
	assert_int_equal(truncate(file, 2 * SIZE), 0);
	assert_int_equal(RESIZE(f, "-s", "127"), EINVAL);
	resize_refused(f, "/image has 134217728 bytes: it does not get smaller");
	assert_int_equal(truncate(file, SIZE + 100), 0);
	assert_int_equal(RESIZE(f, "-t", "1"), EINVAL);
	resize_refused(f, "67108964 bytes, must be a multiple of 512");
	assert_int_equal(truncate(file, SIZE - 512), 0);
	assert_int_equal(RESIZE(f, "-t", "1"), EINVAL);
	resize_refused(f, "67108352 bytes, less than the disk of minor 0, which has 67108864");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(RESIZE(f, "-s", "100"), ENOENT);
	resize_refused(f, "/image: No such file");
}

static void resize_too_large(void **state)
{
	struct tapctl_fake *f = *state;
	uint32_t max_bat;

	resize_vhd(f, 0);
	assert_int_equal(RESIZE(f, "-s", "2088961"), EFBIG);
	resize_refused(f, "-s is 2088961 MiB, a VHD has at most 2088960 MiB (2040 GiB), because its block table has 32-bit sector numbers");
	assert_int_equal(RESIZE(f, "-s", "2147483647"), EFBIG);
	resize_refused(f, "2040 GiB");
	assert_int_equal(RESIZE(f, "-s", "2088960"), 0);
	resize_done(f, VHD_DISK_MAX);
	assert_int_equal(resize_vhd_size(&max_bat), VHD_DISK_MAX);
}

/* Taps that have more than an image, or none that is at hand. */
static void resize_wrong_tap(void **state)
{
	struct tapctl_fake *f = *state;

	resize_raw(f);
	tapctl_write(f, "run/tap0.opened",
		     "flags=0x80 timeout=0 paused=0 parent=0 secondary=vhd:/b\n");
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	resize_refused(f, "minor 0 has a second image (-2)");
	tapctl_write(f, "run/tap0.opened",
		     "flags=0x180 timeout=0 paused=0 parent=0 secondary=vhd:/b\n");
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	resize_refused(f, "minor 0 has a second image (-2)");
	tapctl_write(f, "run/tap0.opened",
		     "flags=0x40 timeout=0 paused=0 parent=7 secondary=\n");
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	resize_refused(f, "from minor 7 (-e)");
	tapctl_write(f, "run/tap0.opened",
		     "flags=0 timeout=0 paused=1 parent=0 secondary=\n");
	assert_int_equal(RESIZE(f, "-s", "100"), EBUSY);
	resize_refused(f, "minor 0 is paused");
	tapctl_write(f, "run/tap0.opened", "nonsense\n");
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	resize_refused(f, "cannot understand");
	tap_record_drop(&f->env, 0);
	tapctl_disk(f, 0, SIZE / 512, true);
	assert_int_equal(RESIZE(f, "-s", "100"), EROFS);
	resize_refused(f, "minor 0 is read-only");
	/* Others may have let it grow. */
	assert_int_equal(RESIZE(f, "-t", "5"), 0);
	assert_int_equal(tapctl_run(f, "resize", "-p", pid, "-m", "1", NULL),
			 ENODEV);
	tapctl_tap(f, 1, "aio:/x", "waiting", 0);
	assert_int_equal(tapctl_run(f, "resize", "-p", pid, "-m", "1", NULL),
			 EINVAL);
	assert_non_null(strstr(f->err, "its state is \"waiting\""));
	assert_int_equal(tapctl_run(f, "resize", "-p", "1", "-m", "0", NULL),
			 EINVAL);
	assert_non_null(strstr(f->err, "not by tapdisk 1"));
}

static void resize_wrong_type(void **state)
{
	struct tapctl_fake *f = *state;

	resize_up(f, "ram", "64M");
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	resize_refused(f, "must be of type vhd or aio");
}

static void resize_no_file(void **state)
{
	struct tapctl_fake *f = *state;
	struct stat st;

	resize_up(f, "aio", "/dev/null");
	tapctl_disk(f, 0, 0, false);
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	assert_non_null(strstr(f->err, "/dev/null is no regular file"));
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_string_equal(tapctl_read(f, "log"), "");
}

static void resize_not_vhd(void **state)
{
	struct tapctl_fake *f = *state;
	int fd;

	resize_up(f, "vhd", NULL);
	fd = open(file, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	assert_int_equal(RESIZE(f, "-s", "100"), EINVAL);
	resize_refused(f, "/image");
}

/* Whatever fails, the tap goes on if it can. */
static void resize_fails(void **state)
{
	struct tapctl_fake *f = *state;
	uint32_t max_bat;
	int fd;

	resize_vhd(f, 0);
	tapctl_write(f, "fail.PAUSE", "5");
	assert_int_equal(RESIZE(f, "-s", "100"), EIO);
	assert_string_equal(tapctl_read(f, "log"), "PAUSE 0\n");
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	assert_int_equal(resize_vhd_size(&max_bat), SIZE);
	tapctl_write(f, "fail.PAUSE", "0");
	tapctl_write(f, "log", "%s", "");

	/* Somebody else has the image. */
	fd = open(file, O_RDWR);
	assert_int_equal(td_file_lock(fd, true, file), 0);
	assert_int_equal(RESIZE(f, "-s", "100"), EBUSY);
	assert_non_null(strstr(f->err, "in use"));
	assert_string_equal(tapctl_read(f, "log"), PAUSE_RESUME);
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	assert_int_equal(resize_disk(f), SIZE);
	close(fd);
	assert_int_equal(resize_vhd_size(&max_bat), SIZE);
	tapctl_write(f, "log", "%s", "");

	/* The kernel cannot do it. */
	tapctl_write(f, "fail.GROW", "25");
	assert_int_equal(RESIZE(f, "-s", "100"), EIO);
	assert_non_null(strstr(f->err, "the disk of minor 0 stays at 67108864 bytes"));
	assert_string_equal(tapctl_read(f, "log"), PAUSE_RESUME);
	assert_int_equal(resize_vhd_size(&max_bat), 100 * MIB);

	/* It does not go on. */
	tapctl_write(f, "fail.RESUME", "2");
	assert_int_equal(RESIZE(f, "-s", "200"), ENOENT);
	assert_non_null(strstr(f->err, "minor 0 is paused"));
	/* Its image is whole, so it may be recovered. */
	assert_non_null(strstr(tapctl_read(f, "run/tap0.opened"), "paused=2"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tapctl_setup, \
						 tapctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resize_vhd_journal),
		TEST(resize_vhd_fast),
		TEST(resize_raw_file),
		TEST(resize_too_small),
		TEST(resize_too_large),
		TEST(resize_wrong_tap),
		TEST(resize_wrong_type),
		TEST(resize_no_file),
		TEST(resize_not_vhd),
		TEST(resize_fails),
	};

	tapctl_fake_main();
	return cmocka_run_group_tests_name("tapctl_resize", tests, NULL, NULL);
}
