// SPDX-License-Identifier: GPL-2.0
/*
 * Images of strangers as whoever is given one sees them: vhd-util must name
 * the file and the field. Single fields of a single image are the business of
 * vhd_codec_test.c; here are those that take more than one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvhd/libvhd.h"
#include "vhd_cli.h"
#include "vhd_patch.h"

static const char *hostile_path(const char *name)
{
	static char path[4][160];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[0]), "%s/%s", vcli_dir, name);
	return path[next];
}

static void hostile_pair(void)
{
	vcli_is("!rm -rf *", 0, "");
	vcli_is("create -n a.vhd -s 8", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd -e", 0, "");
	vcli_is("check -n b.vhd -p", 0, "b.vhd is valid\n");
}

/* What is wrong with a parent is said of the parent. */
static void test_parent_is_bad(void **state)
{
	(void)state;
	hostile_pair();
	vp_header(hostile_path("a.vhd"), 32, 4, 12345);
	vcli_says("check -n b.vhd -p", 1, "a.vhd: header: block size is 12345");
	vcli_says("coalesce -n b.vhd", 1, "a.vhd: header: block size is 12345");
	hostile_pair();
	vp_write(hostile_path("a.vhd"), 1536, "\0\0\0\1", 4);
	vcli_says("check -n b.vhd -p", 1, "a.vhd: BAT[0] is sector 1");
	vcli_says("snapshot -n c.vhd -p b.vhd -e", 1,
		  "a.vhd: BAT[0] is sector 1");
	vcli_is("!test ! -e c.vhd", 0, "");
}

/* A geometry that counts and that the table of blocks is too small for. */
static void test_geometry_lies(void **state)
{
	(void)state;
	hostile_pair();
	vp_footer(hostile_path("a.vhd"), 28, 4, 0x76706320);
	vp_footer(hostile_path("a.vhd"), 56, 4, 0xfffe10ff);
	vcli_says("query -n a.vhd -v", 1, "header: max_table_entries is 4");
	vcli_is("create -n f.vhd -s 8 -r", 0, "");
	vp_footer(hostile_path("f.vhd"), 28, 4, 0x76706320);
	vp_footer(hostile_path("f.vhd"), 56, 4, 0xfffe10ff);
	vcli_says("query -n f.vhd -v", 1, "the fixed disk has");
}

/* No name of the parent can be read; each that cannot is named. */
static void test_names_lie(void **state)
{
	uint8_t sector[512];
	unsigned int i;

	(void)state;
	hostile_pair();
	/* Half a surrogate pair, in the locators and in the header. */
	for (i = 0; i < 512; i += 2) {
		sector[i] = 0;
		sector[i + 1] = 0xd8;
	}
	for (i = 0; i < 3; i++)
		vp_write(hostile_path("b.vhd"), 3072 + 512 * i, sector, 512);
	vcli_says("query -n b.vhd -p", 0, "/a.vhd\n");
	vcli_says("query -n b.vhd -p", 0, "b.vhd: header: locator 1: ");
	vp_header(hostile_path("b.vhd"), 64, 4, 0xd800d800);
	vcli_says("query -n b.vhd -p", 1, "b.vhd: parent");
	/* A lie about the length: beyond the end, and longer than a name. */
	hostile_pair();
	vp_header(hostile_path("b.vhd"), 576 + 24 + 8, 4, 1 << 20);
	vcli_says("query -n b.vhd -p", 1,
		  "header: locator 1: 1048576 bytes at 3584");
	/* Control characters do not get to a terminal. */
	hostile_pair();
	for (i = 0; i < 3; i++)
		vp_header(hostile_path("b.vhd"), 576 + 24 * i, 4, 0);
	vp_header(hostile_path("b.vhd"), 64, 8, 0x001b005b0041000a);
	vcli_run("scan -f b.vhd");
	assert_null(strchr(vcli_out, 0x1b));
}

/* Symbolic links: within the folder, to nowhere, to each other, outside. */
static void test_symlinks(void **state)
{
	struct vhd_disk *d;

	(void)state;
	hostile_pair();
	vcli_is("!mkdir in out; mv b.vhd in/; mv a.vhd in/r.vhd; ln -s r.vhd in/a.vhd",
		0, "");
	assert_int_equal(vhd_disk_open(hostile_path("in/b.vhd"), 0, NULL, &d),
			 0);
	assert_int_equal(vhd_disk_close(d), 0);
	vcli_is("modify -n in/b.vhd -p in/a.vhd", 0, "");
	assert_int_equal(vhd_disk_open(hostile_path("in/b.vhd"), 0, NULL, &d),
			 0);
	assert_int_equal(vhd_disk_close(d), 0);
	/* A link to the child does not move the folder that counts. */
	vcli_is("!ln -s ../in/b.vhd out/b.vhd", 0, "");
	assert_int_equal(vhd_disk_open(hostile_path("out/b.vhd"), 0, NULL, &d),
			 0);
	assert_int_equal(vhd_disk_close(d), 0);
	vcli_is("!mv in/r.vhd out/; ln -s ../out/r.vhd in/r.vhd", 0, "");
	assert_int_equal(vhd_disk_open(hostile_path("in/b.vhd"), 0, NULL, &d),
			 -EACCES);
	assert_int_equal(vhd_disk_open(hostile_path("in/b.vhd"),
				       VHD_DISK_ANY_PARENT, NULL, &d), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	vcli_is("!ln -sf s.vhd in/r.vhd; ln -s r.vhd in/s.vhd", 0, "");
	assert_int_equal(vhd_disk_open(hostile_path("in/b.vhd"), 0, NULL, &d),
			 -ELOOP);
}

static void hostile_swap(const char *name, const char *with)
{
	char tmp[160];

	snprintf(tmp, sizeof(tmp), "%s/in/tmp", vcli_dir);
	unlink(tmp);
	if (!symlink(with, tmp))
		rename(tmp, name);
}

/*
 * The parent is a link that points now into the folder, now out of it, while
 * the image is opened again and again: the file outside is never opened.
 */
static void test_symlink_race(void **state)
{
	struct vhd_meta *meta;
	char link[160];
	int i, opened = 0;
	pid_t pid;

	(void)state;
	snprintf(link, sizeof(link), "%s", hostile_path("in/a.vhd"));
	vcli_is("create -n a.vhd -s 8", 0, "");
	vcli_is("!mkdir in out; mv a.vhd in/r.vhd; cp in/r.vhd out/; ln -s r.vhd in/a.vhd",
		0, "");
	vcli_is("snapshot -n in/b.vhd -p in/r.vhd -e", 0, "");
	vp_header(hostile_path("in/b.vhd"), 64, 2, 'a');
	for (i = 0; i < 3; i++)
		vp_header(hostile_path("in/b.vhd"), 576 + 24 * i, 4, 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		for (;;) {
			hostile_swap(link, "../out/r.vhd");
			hostile_swap(link, "r.vhd");
		}
	for (i = 0; i < 3000; i++) {
		int ret = vhd_meta_open(hostile_path("in/b.vhd"),
					VHD_META_PARENTS, NULL, &meta);

		if (ret) {
			if (ret != -EACCES)
				break;
			continue;
		}
		opened++;
		if (strcmp(vhd_meta_path(meta, 1), hostile_path("in/r.vhd")))
			i = 10000;
		vhd_meta_close(meta);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(i, 3000);
	assert_true(opened > 0);
}

/* A file that no table of blocks can reach to the end of. */
static void test_long_file(void **state)
{
	(void)state;
	hostile_pair();
	if (truncate(hostile_path("a.vhd"), (1LL << 41) + 512)) {
		assert_int_equal(errno, EFBIG);
		skip();
	}
	vcli_says("query -n a.vhd -v", 1,
		  "file size is 2199023256064, must be at most 2199023255552");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
		TEST(test_parent_is_bad),
		TEST(test_geometry_lies),
		TEST(test_names_lie),
		TEST(test_symlinks),
		TEST(test_symlink_race),
		TEST(test_long_file),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_hostile", tests, NULL, NULL);
}
