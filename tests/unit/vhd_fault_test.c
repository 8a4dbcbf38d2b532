// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that can fail fails once: of each operation the Nth allocation,
 * then the Nth I/O call with EIO, with ENOSPC, and cut short, for each N until
 * the operation comes through undisturbed. Nothing leaks, no file stays open;
 * the images open, pass the check and hold what they did, or what they were
 * to; and the operation succeeds when it is done again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sanitizer/lsan_interface.h>

#include "vhd_model.h"
#include "libvhd/libvhd.h"
#include "libvhd/vhd_edit.h"
#include "vhd_fault.h"

#define FT_SIZE		(1U << 19)
#define FT_MAX		(4U << 20)

enum ft_kind { FT_ALLOC, FT_EIO, FT_ENOSPC, FT_SHORT, FT_KINDS };

static struct {
	bool on;
	enum ft_kind kind;
	unsigned int left;	/* calls until one fails */
	bool fired;
} ft;

static char ft_text[512];

static void ft_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(ft_text, sizeof(ft_text), "%s", text);
}

static const struct vhd_ctx ft_ctx = { .message = ft_message };
static const struct vhd_messages ft_msg = { .message = ft_message };

static bool ft_now(bool alloc)
{
	bool right = ft.kind == FT_ALLOC ? alloc : !alloc;

	if (!ft.on || ft.fired || !right)
		return false;
	ft.fired = !ft.left--;
	if (ft.fired)
		errno = alloc ? ENOMEM : ft.kind == FT_EIO ? EIO : ENOSPC;
	return ft.fired;
}

/* What can be short is short then; all else does not count. */
static bool ft_io(void)
{
	return ft.kind != FT_SHORT && ft_now(false);
}

void *__wrap_malloc(size_t size)
{
	return ft_now(true) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return ft_now(true) ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return ft_now(true) ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return ft_now(true) ? NULL : __real_aligned_alloc(align, size);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
	if (ft_io())
		return -1;
	if (ft.kind == FT_SHORT && len > 1 && ft_now(false))
		len /= 2;
	return __real_pread64(fd, buf, len, off);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	if (ft_io())
		return -1;
	if (ft.kind == FT_SHORT && len > 1 && ft_now(false))
		len /= 2;
	return __real_pwrite64(fd, buf, len, off);
}

int __wrap_fdatasync(int fd)
{
	return ft_io() ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	return ft_io() ? -1 : __real_fsync(fd);
}

int __wrap_ftruncate64(int fd, off_t size)
{
	return ft_io() ? -1 : __real_ftruncate64(fd, size);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	return ft_io() ? -1 : __real_fallocate64(fd, mode, off, len);
}

int __wrap_posix_fallocate64(int fd, off_t off, off_t len)
{
	return ft_io() ? errno : __real_posix_fallocate64(fd, off, len);
}

int __wrap_open64(const char *path, int flags, int mode)
{
	return ft_io() ? -1 : __real_open64(path, flags, mode);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd,
		     const char *to, unsigned int flags)
{
	return ft_io() ? -1 : __real_renameat2(from_fd, from, to_fd, to,
					       flags);
}

/**
 * struct ft_case - an operation
 * @name: what it is
 * @run: does it
 * @file: what it changes, b.vhd, a.vhd or f.vhd, if any
 * @makes: what it makes, if anything
 * @mixed: after an error each sector may be old or new
 * @min: calls that can fail, at least
 * @quiet: I/O of a disk, of which the error number is all that is told
 * @open: the file stays as a crash leaves it: the next open cuts it
 */
struct ft_case {
	const char *name;
	int (*run)(void);
	const char *file;
	const char *makes;
	bool mixed;
	unsigned int min;
	bool quiet;
	bool open;
};

static uint8_t ft_before[FT_MAX], ft_after[FT_MAX], ft_data[FT_MAX];

static void ft_copy(const char *from, const char *to)
{
	static uint8_t buf[65536];
	int in = open(vt_path(from), O_RDONLY);
	int out = open(vt_path(to), O_RDWR | O_CREAT | O_TRUNC, 0644);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, n), n);
	close(in);
	close(out);
}

static unsigned int ft_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static uint64_t ft_read(const char *name, uint8_t *buf)
{
	struct vhd_image *image;
	uint64_t size;
	int ret;

	ret = vhd_open(&ft_ctx, vt_path(name), VHD_OPEN_PARENTS, &image);
	if (ret)
		fail_msg("%s: %s (%s)", name, strerror(-ret), ft_text);
	size = image->size;
	memset(buf, 0, FT_MAX);
	assert_int_equal(vhd_read(image, 0, image->sectors, buf), 0);
	vhd_close(image);
	return size;
}

static void ft_images(void)
{
	uint8_t buf[40 * VHD_SECTOR];
	struct vhd_disk *disk;

	vt_parent("a0", FT_SIZE);
	ft_copy("a0", "a.vhd");
	vt_image("b0", FT_SIZE, "a.vhd");
	memset(buf, 0x77, sizeof(buf));
	assert_int_equal(vhd_disk_open(vt_path("b0"), 0, NULL, &disk), 0);
	assert_int_equal(vhd_disk_write(disk, buf, 50, 40), 0);
	assert_int_equal(vhd_disk_write(disk, buf, 500, 40), 0);
	assert_int_equal(vhd_disk_close(disk), 0);
	ft_copy("b0", "b.vhd");
	/* In another folder: a second child is in the way of coalesce. */
	assert_int_equal(mkdir(vt_path("k"), 0755), 0);
	ft_copy("b0", "k/b0");
	unlink(vt_path("b0"));
	vt_create("f0", VHD_BLOCK_SIZE, true, NULL);
	ft_copy("f0", "f.vhd");
}

static off_t ft_old_size[2];

static off_t ft_size(const char *name)
{
	struct stat st;

	assert_int_equal(stat(vt_path(name), &st), 0);
	return st.st_size;
}

static void ft_size_is_old(const char *name, unsigned int n)
{
	if (ft_size("a.vhd") > ft_old_size[0] ||
	    ft_size("b.vhd") > ft_old_size[1])
		fail_msg("%s: call %u: %lld and %lld bytes, had %lld and %lld",
			 name, n, (long long)ft_size("a.vhd"),
			 (long long)ft_size("b.vhd"),
			 (long long)ft_old_size[0],
			 (long long)ft_old_size[1]);
}

static void ft_prepare(const struct ft_case *c)
{
	ft_copy("a0", "a.vhd");
	ft_copy("k/b0", "b.vhd");
	ft_old_size[0] = ft_size("a.vhd");
	ft_old_size[1] = ft_size("b.vhd");
	if (c->file && *c->file == 'f')
		ft_copy("f0", "f.vhd");
	unlink(vt_path("j"));
	if (c->makes)
		unlink(vt_path(c->makes));
}

/* What is there after an error. */
static void ft_look(const struct ft_case *c, unsigned int n)
{
	struct vhd_image *image;
	const char *name = c->file ? c->file : "b.vhd";
	uint32_t i;
	int ret;

	if (!access(vt_path("j"), F_OK) &&
	    vhd_revert(&ft_ctx, vt_path(name), vt_path("j")))
		fail_msg("%s: %u: cannot undo: %s", c->name, n, ft_text);
	ret = vhd_edit_open(&ft_ctx, vt_path(name), 0, &image);
	if (ret)
		fail_msg("%s: %u: cannot open: %s", c->name, n, ft_text);
	vhd_close(image);
	ret = vhd_check(&ft_ctx, vt_path(name), VHD_OPEN_NO_FOOTER,
			VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS, NULL);
	if (ret)
		fail_msg("%s: %u: check: %s", c->name, n, ft_text);
	ft_read(name, ft_data);
	for (i = 0; i < FT_MAX; i += c->mixed ? VHD_SECTOR : FT_MAX) {
		uint32_t len = c->mixed ? VHD_SECTOR : FT_MAX;

		if (memcmp(ft_data + i, ft_before + i, len) &&
		    memcmp(ft_data + i, ft_after + i, len))
			fail_msg("%s: kind %d, call %u: neither old nor new data at %u",
				 c->name, ft.kind, n, i);
	}
}

static void ft_again(const struct ft_case *c, unsigned int n)
{
	int ret;

	if (c->makes)
		unlink(vt_path(c->makes));
	ret = c->run();
	if (ret)
		fail_msg("%s: kind %d, call %u: again: %s (%s)", c->name,
			 ft.kind, n, strerror(-ret), ft_text);
	if (!c->file)
		return;
	ft_read(c->file, ft_data);
	assert_memory_equal(ft_data, ft_after, FT_MAX);
}

static unsigned int ft_sweep(const struct ft_case *c, enum ft_kind kind)
{
	unsigned int files = ft_files();
	unsigned int n;
	int ret;

	for (n = 0;; n++) {
		ft_prepare(c);
		ft.kind = kind;
		ft.left = n;
		ft.fired = false;
		ft_text[0] = 0;
		ft.on = true;
		ret = c->run();
		ft.on = false;
		/* Want of memory needs no words; all else has a cause. */
		if (ret && kind != FT_ALLOC && !c->quiet && !*ft_text)
			fail_msg("%s: kind %d, call %u: %s, without a message",
				 c->name, kind, n, strerror(-ret));
		assert_int_equal(ft_files(), files);
		if (!ft.fired && ret)
			fail_msg("%s: %s (%s)", c->name, strerror(-ret),
				 ft_text);
		if (!ft.fired)
			return n;
		if (kind == FT_SHORT && ret)
			fail_msg("%s: short call %u: %s (%s)", c->name, n,
				 strerror(-ret), ft_text);
		/* What it took is given back. */
		if (ret && !c->open)
			ft_size_is_old(c->name, n);
		if (ret && c->makes)
			assert_int_not_equal(access(vt_path(c->makes), F_OK),
					     0);
		ft_look(c, n);
		ft_again(c, n);
	}
}

static void ft_all(const struct ft_case *c)
{
	unsigned int nr[FT_KINDS];
	enum ft_kind k;

	ft_prepare(c);
	ft_read(c->file ? c->file : "b.vhd", ft_before);
	assert_int_equal(c->run(), 0);
	ft_read(c->file ? c->file : "b.vhd", ft_after);
	for (k = 0; k < FT_KINDS; k++)
		nr[k] = ft_sweep(c, k);
	assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
	assert_true(nr[FT_ALLOC] + nr[FT_EIO] >= c->min);
	printf("# %s: %u allocations, %u I/O calls, %u that can be short\n",
	       c->name, nr[FT_ALLOC], nr[FT_EIO], nr[FT_SHORT]);
}

/* Operations. */

static int ft_disk(int how)
{
	static uint8_t buf[64 * VHD_SECTOR];
	struct vhd_disk *disk;
	int ret, end;

	memset(buf, 0x33, sizeof(buf));
	ret = vhd_disk_open(vt_path("b.vhd"), how ? 0 : VHD_DISK_RDONLY,
			    &ft_msg, &disk);
	if (ret)
		return ret;
	if (how == 0)
		ret = vhd_disk_read(disk, buf, 40, 64);
	else if (how == 1)
		ret = vhd_disk_write(disk, buf, 700, 64);
	else if (how == 2)
		ret = vhd_disk_write_zeroes(disk, 45, 64);
	else
		ret = vhd_disk_discard(disk, 500, 32);
	if (!ret && how)
		ret = vhd_disk_flush(disk);
	end = vhd_disk_close(disk);
	return ret ? ret : end;
}

static int ft_disk_read(void)
{
	return ft_disk(0);
}

static int ft_disk_write(void)
{
	return ft_disk(1);
}

static int ft_disk_zero(void)
{
	return ft_disk(2);
}

static int ft_disk_discard(void)
{
	return ft_disk(3);
}

static int ft_check(void)
{
	return vhd_check(&ft_ctx, vt_path("b.vhd"), 0, VHD_CHECK_BITMAPS |
			 VHD_CHECK_PARENTS, NULL);
}

static int ft_create(void)
{
	const struct vhd_create spec = { .path = vt_path("x.vhd"),
					 .size = 8 << 20 };

	return vhd_create(&ft_ctx, &spec);
}

static int ft_create_fixed(void)
{
	const struct vhd_create spec = { .path = vt_path("x.vhd"),
					 .size = 2 << 20, .fixed = true };

	return vhd_create(&ft_ctx, &spec);
}

static int ft_snapshot(void)
{
	const struct vhd_create spec = { .path = vt_path("x.vhd"),
					 .parent = vt_path("b.vhd") };

	return vhd_create(&ft_ctx, &spec);
}

static int ft_copy_disk(void)
{
	const struct vhd_copy spec = { .from = vt_path("b.vhd"),
				       .to = vt_path("x.vhd") };

	return vhd_copy(&ft_ctx, &spec);
}

static int ft_coalesce(void)
{
	const struct vhd_coalesce spec = { .path = vt_path("b.vhd") };

	return vhd_coalesce(&ft_ctx, &spec, NULL);
}

static int ft_coalesce_out(void)
{
	const struct vhd_coalesce spec = { .path = vt_path("b.vhd"),
					   .output = vt_path("x.vhd") };

	return vhd_coalesce(&ft_ctx, &spec, NULL);
}

static int ft_grow(void)
{
	return vhd_resize(&ft_ctx, vt_path("b.vhd"), FT_MAX, vt_path("j"), true);
}

static int ft_shrink(void)
{
	return vhd_resize(&ft_ctx, vt_path("b.vhd"), FT_SIZE / 4,
			  vt_path("j"), true);
}

static int ft_grow_fixed(void)
{
	return vhd_resize(&ft_ctx, vt_path("f.vhd"), FT_MAX, vt_path("j"), true);
}

static int ft_compact(void)
{
	return vhd_compact(&ft_ctx, vt_path("b.vhd"), NULL, NULL);
}

static int ft_fill(void)
{
	const struct vhd_fill spec = { .path = vt_path("b.vhd") };

	return vhd_fill(&ft_ctx, &spec);
}

static int ft_hide(void)
{
	return vhd_set_hidden(&ft_ctx, vt_path("b.vhd"), 1);
}

static int ft_parent(void)
{
	return vhd_set_parent(&ft_ctx, vt_path("b.vhd"), vt_path("a.vhd"),
			      false);
}

static int ft_repair(void)
{
	return vhd_repair(&ft_ctx, vt_path("b.vhd"), false);
}

static int ft_backup(void)
{
	return vhd_repair(&ft_ctx, vt_path("b.vhd"), true);
}

static const struct ft_case ft_cases[] = {
	{ "read", ft_disk_read, NULL, NULL, false, 20, true, true },
	{ "write", ft_disk_write, "b.vhd", NULL, true, 20, true, true },
	{ "write zeroes", ft_disk_zero, "b.vhd", NULL, true, 20, true, true },
	{ "discard", ft_disk_discard, "b.vhd", NULL, true, 20, true, true },
	{ "check", ft_check, NULL, NULL, false, 15, false, false },
	{ "create", ft_create, NULL, "x.vhd", false, 5, false, false },
	{ "create, fixed", ft_create_fixed, NULL, "x.vhd", false, 5, false, false },
	{ "snapshot", ft_snapshot, NULL, "x.vhd", false, 15, false, false },
	{ "copy", ft_copy_disk, NULL, "x.vhd", false, 20, false, false },
	{ "coalesce", ft_coalesce, "a.vhd", NULL, true, 20, false, false },
	{ "coalesce, new file", ft_coalesce_out, NULL, "x.vhd", false, 20, false, false },
	{ "grow", ft_grow, "b.vhd", NULL, false, 20, false, false },
	{ "shrink", ft_shrink, "b.vhd", NULL, false, 20, false, false },
	{ "grow, fixed", ft_grow_fixed, "f.vhd", NULL, false, 10, false, false },
	{ "compact", ft_compact, "b.vhd", NULL, false, 15, false, false },
	{ "fill", ft_fill, "b.vhd", NULL, false, 20, false, false },
	{ "hidden", ft_hide, "b.vhd", NULL, false, 10, false, false },
	{ "set parent", ft_parent, "b.vhd", NULL, false, 15, false, true },
	{ "repair", ft_repair, "b.vhd", NULL, false, 10, false, false },
	{ "repair, backup", ft_backup, "b.vhd", NULL, false, 10, false, true },
};

static void test_faults(void **state)
{
	size_t i;

	(void)state;
	ft_images();
	for (i = 0; i < sizeof(ft_cases) / sizeof(ft_cases[0]); i++)
		ft_all(&ft_cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_faults, vt_setup_mem,
						vt_teardown),
	};

	return cmocka_run_group_tests_name("vhd_fault", tests, NULL, NULL);
}
