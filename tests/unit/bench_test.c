// SPDX-License-Identifier: GPL-2.0
/* The programs of tests/bench do what they say; their figures do not matter. */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd_cli.h"

static char bench_build[PATH_MAX];
static char bench_native[PATH_MAX + 32];

static int bench_run(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static int bench_run(const char *fmt, ...)
{
	char cmd[4 * PATH_MAX];
	va_list ap;

	cmd[0] = '!';
	va_start(ap, fmt);
	vsnprintf(cmd + 1, sizeof(cmd) - 1, fmt, ap);
	va_end(ap);
	return vcli_run(cmd);
}

static void bench_ok(int status)
{
	if (status)
		fail_msg("exit %d, output:\n%s", status, vcli_out);
}

static void bench_write(const char *cache)
{
	const char *const where[] = {
		"0 4k", "1028k 4k", "2056k 4k", "3084k 4k", "16k 4k",
	};
	unsigned int i;

	bench_ok(bench_run("rm -f a.vhd"));
	bench_ok(vcli_run("create -n a.vhd -s 4"));
	bench_ok(bench_run("%s/vhd_bench -w -t %s -d 3 -c 5 -S $((1028 << 10)) a.vhd",
			   bench_build, cache));
	bench_ok(vcli_run("check -n a.vhd"));
	for (i = 0; i < sizeof(where) / sizeof(where[0]); i++)
		bench_ok(bench_run("qemu-io -f vpc -c 'read -P 0x5a %s' a.vhd",
				   where[i]));
	bench_ok(bench_run("qemu-io -f vpc -c 'read -P 0 4k 12k' a.vhd"));
	bench_ok(bench_run("qemu-io -f vpc -c 'read -P 0 20k 1008k' a.vhd"));
}

/* Requests go where those of qemu-img go: round and round. */
static void test_vhd_bench(void **state)
{
	(void)state;
	bench_write("none");
	bench_write("writeback");
	bench_ok(bench_run("%s/vhd_bench -d 3 -c 4 -S $((1028 << 10)) a.vhd",
			   bench_build));
	assert_int_not_equal(bench_run("%s/vhd_bench -c 4 none.vhd",
				       bench_build), 0);
	assert_int_not_equal(bench_run("%s/vhd_bench -S 5000 a.vhd",
				       bench_build), 0);
}

static void test_native(void **state)
{
	const char *const rows[] = {
		"write 4k random, new blocks, cached", "read 64k sequential, direct",
		"raw to VHD, sparse", "VHD to raw, full", "coalesce a child",
		"chain of 30, base, all have the block",
	};
	char dir[PATH_MAX + 64], args[3 * PATH_MAX];
	unsigned int i;

	(void)state;
	/* On a disk: in memory there is no O_DIRECT everywhere. */
	snprintf(dir, sizeof(dir), "%s/unit/bench-%d", bench_build, getpid());
	snprintf(args, sizeof(args),
		 "--tiny --runs 2 --only io,copy,coalesce,chain --build %s --dir %s",
		 bench_build, dir);
	bench_ok(bench_run("%s %s --quiet >first", bench_native, args));
	/* Again, from what is kept. */
	bench_ok(bench_run("%s %s --markdown >table", bench_native, args));
	bench_ok(bench_run("[ $(ls %s | wc -l) = 1 ]", dir));
	bench_ok(bench_run("rm -r %s; cat first", dir));
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strstr(vcli_out, rows[i]))
			fail_msg("no \"%s\" in:\n%s", rows[i], vcli_out);
	bench_ok(bench_run("[ $(grep -c '^|' table) = 23 ]"));
	bench_ok(bench_run("%s --tiny --runs 1 --memory --quiet --build %s --dir %s --markdown >table",
			   bench_native, bench_build, dir));
	bench_ok(bench_run("rm -r %s; [ $(grep -c '^| [rwV]' table) = 16 ]",
			   dir));
	assert_int_not_equal(bench_run("%s --tiny --memory --only chain",
				       bench_native), 0);
	assert_int_not_equal(bench_run("%s --tiny --build . --dir .",
				       bench_native), 0);
	assert_int_not_equal(bench_run("%s --tiny --only x", bench_native), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vhd_bench),
		cmocka_unit_test(test_native),
	};
	char self[PATH_MAX - 32];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0 || vcli_init())
		return 1;
	self[len] = 0;
	/* BUILD/unit/NAME; BUILD is TOP/build/NAME */
	snprintf(bench_build, sizeof(bench_build), "%s",
		 dirname(dirname(self)));
	snprintf(bench_native, sizeof(bench_native),
		 "%s/../../tests/bench/native", bench_build);
	return cmocka_run_group_tests(tests, vcli_setup, vcli_teardown);
}
