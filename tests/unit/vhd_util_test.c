// SPDX-License-Identifier: GPL-2.0
/*
 * vhd-util as storage managers see it: output, to the letter, and exit status.
 */
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char test_dir[64];
static char test_util[PATH_MAX + 32];
static char test_out[4096];

static int test_setup(void **state)
{
	(void)state;
	snprintf(test_dir, sizeof(test_dir), "/tmp/vhd-util-XXXXXX");
	return mkdtemp(test_dir) ? 0 : -1;
}

static int test_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", test_dir);
	return system(cmd);
}

/* Run "vhd-util ARGS", or, after a '!', a shell command. */
static int test_run(const char *args)
{
	char cmd[PATH_MAX + 1024];
	FILE *f;
	size_t n;

	snprintf(cmd, sizeof(cmd), "cd %s && { %s %s; } 2>&1", test_dir,
		 *args == '!' ? "" : test_util, args + (*args == '!'));
	f = popen(cmd, "r");
	assert_non_null(f);
	n = fread(test_out, 1, sizeof(test_out) - 1, f);
	test_out[n] = 0;
	return WEXITSTATUS(pclose(f));
}

/* It must exit so and print just that; %s in @out is the folder. */
static void test_is(const char *args, int status, const char *out)
{
	char want[1024];
	int ret = test_run(args);

	snprintf(want, sizeof(want), out, test_dir, test_dir);
	if (ret != status || strcmp(test_out, want))
		fail_msg("%s: exit %d, output:\n%swant exit %d:\n%s", args,
			 ret, test_out, status, want);
}

/* It must exit so and print that among other things. */
static void test_says(const char *args, int status, const char *what)
{
	int ret = test_run(args);

	if (ret != status || !strstr(test_out, what))
		fail_msg("%s: exit %d, output:\n%swant exit %d and \"%s\"",
			 args, ret, test_out, status, what);
}

static void test_query(void **state)
{
	(void)state;
	test_is("create -n a.vhd -s 1023", 0, "");
	test_is("query -n a.vhd -v", 0, "1024\n");
	test_is("query -n a.vhd -s", 0, "5120\n");
	test_is("query -n a.vhd -p", 0, "a.vhd has no parent\n");
	test_is("query -n a.vhd -f", 0, "hidden: 0\n");
	test_is("query -n a.vhd -m", 0, "marker: 0\n");
	test_is("query -n a.vhd -d", 0, "chain depth: 1\n");
	test_is("query -n a.vhd -a", 0, "0\n");
	test_is("query -n a.vhd -S", 0, "1024\n");
	test_is("query -n a.vhd -S -a -d -m -f -p -s -v", 0,
		"1024\n5120\na.vhd has no parent\nhidden: 0\nmarker: 0\n"
		"chain depth: 1\n0\n1024\n");
	test_is("create -n b.vhd -s 64 -S 4096", 0, "");
	test_is("query -n b.vhd -vS", 0, "64\n4096\n");
	test_is("snapshot -n c.vhd -p a.vhd", 0, "");
	test_is("query -n c.vhd -vspd", 0,
		"1024\n6656\n%s/a.vhd\nchain depth: 2\n");
	test_is("query -n c.vhd -pu", 0, "./a.vhd\n");
	test_is("!qemu-io -f vpc -c 'write 3M 1M' a.vhd >/dev/null", 0, "");
	test_is("query -n a.vhd -a", 0, "1\n");
	/* The parent has gone: its name can still be told. */
	test_is("!mv a.vhd x.vhd", 0, "");
	test_says("query -n c.vhd -p", 1, "not found");
	test_is("query -n c.vhd -pu", 0, "./a.vhd\n");
	test_says("query -n c.vhd -d", 1, "not found");
}

static void test_check(void **state)
{
	(void)state;
	test_is("create -n a.vhd -s 8 -r", 0, "");
	test_is("check -n a.vhd", 0, "a.vhd is valid\n");
	test_is("create -n b.vhd -s 8", 0, "");
	test_is("snapshot -n c.vhd -p b.vhd -e", 0, "");
	test_is("check -n c.vhd -p -b", 0, "c.vhd is valid\n");
	test_is("check -n b.vhd -s", 0,
		"b.vhd is valid\nblocks: 0 full: 0 sectors: 0\n");
	/* A batmap of which a loss of power left a part: no fault. */
	test_is("!printf x | dd of=b.vhd bs=1 seek=2072 conv=notrunc status=none",
		0, "");
	test_says("check -n b.vhd", 0, "the batmap is not used");
	test_is("!truncate -s -512 b.vhd", 0, "");
	test_says("check -n b.vhd", 1, "footer: cookie");
	test_says("check -n b.vhd -i", 0, "b.vhd is valid\n");
	test_says("check -n c.vhd -p", 1, "footer: cookie");
	test_is("check -n c.vhd", 0, "c.vhd is valid\n");
	test_is("!rm b.vhd", 0, "");
	test_is("create -n b.vhd -s 8", 0, "");
	test_says("check -n c.vhd -p", 1, "uuid");
	test_is("check -n c.vhd -p -I", 0, "c.vhd is valid\n");
	test_says("check -n none.vhd", 1, "none.vhd: cannot open");
	test_says("check -n b.vhd -B -b", 2, "-B excludes -b");
}

static void test_snapshot(void **state)
{
	(void)state;
	test_is("create -n a.vhd -s 8", 0, "");
	test_is("snapshot -n b.vhd -p a.vhd", 0, "");
	/* b is empty: c's parent is a, unless -e. */
	test_is("snapshot -n c.vhd -p b.vhd", 0, "");
	test_is("query -n c.vhd -pd", 0, "%s/a.vhd\nchain depth: 2\n");
	test_is("snapshot -n d.vhd -p b.vhd -e", 0, "");
	test_is("query -n d.vhd -pd", 0, "%s/b.vhd\nchain depth: 3\n");
	test_is("snapshot -n e.vhd -p d.vhd -e -l 3", 1,
		"vhd-util: snapshot depth exceeded: current depth: 3, limit: 3\n");
	test_is("snapshot -n e.vhd -p d.vhd -e -l 4", 0, "");
	test_is("!head -c 3M /dev/zero > r.raw", 0, "");
	test_is("snapshot -n f.vhd -p r.raw -m", 0, "");
	test_is("query -n f.vhd -vpd", 0, "4\n%s/r.raw\nchain depth: 2\n");
	test_says("snapshot -n g.vhd -p r.raw", 1, "footer: cookie");
	test_is("!test ! -e g.vhd", 0, "");
}

static void test_bad_use(void **state)
{
	(void)state;
	test_says("", 0, "usage: vhd-util COMMAND");
	test_says("--help", 0, "{ create | snapshot | query | check }");
	test_says("create --help", 0, "usage: vhd-util create -n FILE");
	test_says("query -h", 0, "usage: vhd-util query -n FILE");
	test_says("frob", 2, "invalid COMMAND frob");
	test_says("create -s 10", 2, "option -n is missing");
	test_says("create -n a.vhd", 2, "option -s is missing");
	test_says("create -n a.vhd -s 0", 2, "-s is 0, must be 1 to 2088960");
	test_says("create -n a.vhd -s -1", 2, "-s is -1, must be");
	test_says("create -n a.vhd -s 1x", 2, "-s is 1x, must be");
	test_says("create -n a.vhd -s 2088961", 2, "must be 1 to 2088960");
	test_says("create -n a.vhd -s 10 -S 9", 2, "-S is 9, must be -s (10)");
	test_says("create -n a.vhd -s 10 b", 2, "unknown argument b");
	test_says("create -n a.vhd -z", 2, "usage: vhd-util create");
	test_says("snapshot -n a.vhd", 2, "option -p is missing");
	test_says("query -n a.vhd", 2, "is missing");
	test_says("query -n a.vhd -v", 1, "a.vhd: cannot open");
	test_says("create -n no/a.vhd -s 1", 1, "no such folder");
	test_is("create -n a.vhd -s 1", 0, "");
	test_says("create -n a.vhd -s 1", 1, "File exists");
	test_says("query -n a.vhd -v >/dev/full", 1, "cannot write output");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, \
						   test_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_query),
		TEST(test_check),
		TEST(test_snapshot),
		TEST(test_bad_use),
	};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return 1;
	self[len] = 0;
	/* BUILD/unit/vhd_util -> BUILD/vhd-util */
	snprintf(test_util, sizeof(test_util), "%s/../vhd-util",
		 dirname(self));
	return cmocka_run_group_tests_name("vhd_util", tests, NULL, NULL);
}
