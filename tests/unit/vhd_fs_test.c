// SPDX-License-Identifier: GPL-2.0
/*
 * File systems that cannot do all that ext4 can: no renameat2() with flags, no
 * links, no fsync() of a folder, no fallocate(), no locks. What changes images
 * works there, nothing is overwritten, and a lack of locks is explained.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_model.h"
#include "libvhd/vhd_edit.h"
#include "vhd_fault.h"

static struct {
	int rename;	/* errno of renameat2() with flags, 0: works */
	int link;
	int folder;	/* of fsync() of a folder */
	int space;	/* of fallocate() and posix_fallocate() */
	int lock;
	unsigned int renames;
	unsigned int links;
} fs;

static char fs_text[1024];

static void fs_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(fs_text, sizeof(fs_text), "%s", text);
}

static const struct vhd_ctx fs_ctx = { .message = fs_message };

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned int flags)
{
	fs.renames++;
	if (flags && fs.rename) {
		errno = fs.rename;
		return -1;
	}
	return __real_renameat2(from_fd, from, to_fd, to, flags);
}

int __wrap_link(const char *from, const char *to)
{
	fs.links++;
	if (fs.link) {
		errno = fs.link;
		return -1;
	}
	return __real_link(from, to);
}

int __wrap_fsync(int fd)
{
	struct stat st;

	if (fs.folder && !fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		errno = fs.folder;
		return -1;
	}
	return __real_fsync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	if (fs.space) {
		errno = fs.space;
		return -1;
	}
	return __real_fallocate64(fd, mode, off, len);
}

int __wrap_posix_fallocate64(int fd, off_t off, off_t len)
{
	return fs.space ? fs.space : __real_posix_fallocate64(fd, off, len);
}

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == F_OFD_SETLK && fs.lock) {
		errno = fs.lock;
		return -1;
	}
	return __real_fcntl64(fd, cmd, arg);
}

static void fs_good(const char *name)
{
	if (vhd_check(&fs_ctx, name, 0, VHD_CHECK_BITMAPS |
		      VHD_CHECK_PARENTS, NULL))
		fail_msg("%s: %s", name, fs_text);
}

static void fs_ok(const char *what, int ret)
{
	if (ret)
		fail_msg("%s: %s (%s)", what, strerror(-ret), fs_text);
}

/* What makes names, reserves space, or punches holes. */
static void fs_all(void)
{
	struct vhd_create spec = { .path = "a.vhd", .size = 8 << 20 };
	struct vhd_create fixed = { .path = "f.vhd",
				    .size = 4 << 20, .fixed = true };
	struct vhd_create snap = { .path = "b.vhd",
				   .parent = "a.vhd" };
	struct vhd_fill fill = { .path = "b.vhd" };
	struct vhd_copy copy = { .from = "b.vhd",
				 .to = "c.vhd" };
	struct vhd_coalesce merge = { .path = "b.vhd",
				      .output = "d.vhd" };
	struct stat st;

	fs_ok("create", vhd_create(&fs_ctx, &spec));
	fs_ok("create fixed", vhd_create(&fs_ctx, &fixed));
	assert_int_equal(stat("f.vhd", &st), 0);
	/* The space is there, whatever it took. */
	assert_true(st.st_blocks * 512 >= 4 << 20);
	fs_ok("snapshot", vhd_create(&fs_ctx, &snap));
	fs_ok("fill", vhd_fill(&fs_ctx, &fill));
	fs_ok("copy", vhd_copy(&fs_ctx, &copy));
	/* A name that is taken stays what it is. */
	assert_int_equal(vhd_copy(&fs_ctx, &copy), -EEXIST);
	fs_ok("coalesce", vhd_coalesce(&fs_ctx, &merge, NULL));
	fs_ok("resize", vhd_resize(&fs_ctx, "c.vhd", 64 << 20,
				   "j", false));
	fs_ok("resize fixed", vhd_resize(&fs_ctx, "f.vhd", 6 << 20,
					 "j", false));
	fs_ok("compact", vhd_compact(&fs_ctx, "c.vhd", NULL, NULL));
	merge.output = NULL;
	merge.sparse = true;
	fs_ok("coalesce", vhd_coalesce(&fs_ctx, &merge, NULL));
	fs_good("a.vhd");
	fs_good("b.vhd");
	fs_good("c.vhd");
	fs_good("d.vhd");
	fs_good("f.vhd");
	assert_int_not_equal(access("j", F_OK), 0);
	assert_int_not_equal(access("j.part", F_OK), 0);
	assert_int_not_equal(access("c.vhd.part", F_OK), 0);
}

static void test_plain(void **state)
{
	(void)state;
	fs_all();
	assert_true(fs.renames && !fs.links);
}

static void test_no_flags(void **state)
{
	(void)state;
	fs.rename = EINVAL;
	fs_all();
	assert_true(fs.links);
}

static void test_no_links(void **state)
{
	(void)state;
	fs.rename = ENOSYS;
	fs.link = EPERM;
	fs_all();
	assert_true(fs.links);
}

static void test_folder(void **state)
{
	(void)state;
	fs.folder = EINVAL;
	fs_all();
}

/* An error of the disk is none of these. */
static void test_folder_error(void **state)
{
	struct vhd_create spec = { .path = "a.vhd", .size = 8 << 20 };

	(void)state;
	fs.folder = EIO;
	assert_int_equal(vhd_create(&fs_ctx, &spec), -EIO);
	assert_non_null(strstr(fs_text, "a.vhd: cannot write"));
	assert_int_not_equal(access("a.vhd", F_OK), 0);
}

static void test_no_space_calls(void **state)
{
	(void)state;
	fs.space = EOPNOTSUPP;
	fs_all();
}

/* Neither way replaces a file; one that is made meanwhile is met by it, too. */
static void test_taken(void **state)
{
	static const int links[] = { 0, EPERM };
	char buf[8] = "";
	size_t i;
	int fd;

	(void)state;
	fs.rename = EINVAL;
	for (i = 0; i < 2; i++) {
		fs.link = links[i];
		fd = open("to", O_CREAT | O_RDWR | O_TRUNC, 0644);
		assert_int_equal(write(fd, "theirs", 6), 6);
		close(fd);
		close(open("from", O_CREAT | O_RDWR, 0644));
		assert_int_equal(vhd_rename_new("from", "to"),
				 -EEXIST);
		fd = open("to", O_RDONLY);
		assert_int_equal(read(fd, buf, 6), 6);
		close(fd);
		assert_string_equal(buf, "theirs");
		/* A link that was made, though the answer was lost. */
		unlink("to");
		if (!links[i])
			assert_int_equal(__real_link("from",
						     "to"), 0);
		assert_int_equal(vhd_rename_new("from", "to"),
				 0);
		assert_int_equal(access("to", F_OK), 0);
		assert_int_not_equal(access("from", F_OK), 0);
	}
}

static void test_no_locks(void **state)
{
	struct vhd_create spec = { .path = "a.vhd", .size = 8 << 20 };

	(void)state;
	assert_int_equal(vhd_create(&fs_ctx, &spec), 0);
	fs.lock = ENOLCK;
	assert_int_equal(vhd_set_hidden(&fs_ctx, "a.vhd", 1), -ENOLCK);
	assert_non_null(strstr(fs_text, "a.vhd: cannot lock: the file system has no locks"));
	assert_non_null(strstr(fs_text, "local_lock"));
}

static int fs_setup(void **state)
{
	memset(&fs, 0, sizeof(fs));
	return vt_setup_mem(state) || chdir(vt_path(""));
}

static int fs_teardown(void **state)
{
	memset(&fs, 0, sizeof(fs));
	return chdir("/") || vt_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_no_flags),
		TEST(test_no_links),
		TEST(test_folder),
		TEST(test_folder_error),
		TEST(test_no_space_calls),
		TEST(test_taken),
		TEST(test_no_locks),
	};

	return cmocka_run_group_tests_name("vhd_fs", tests, NULL, NULL);
}
