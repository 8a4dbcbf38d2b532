// SPDX-License-Identifier: GPL-2.0
/*
 * vhd-util as storage managers see it: output, to the letter, and exit status.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vhd_cli.h"

static void test_query(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 1023", 0, "");
	vcli_is("query -n a.vhd -v", 0, "1023\n");
	vcli_is("query -n a.vhd -s", 0, "5120\n");
	vcli_is("query -n a.vhd -p", 0, "a.vhd has no parent\n");
	vcli_is("query -n a.vhd -f", 0, "hidden: 0\n");
	vcli_is("query -n a.vhd -m", 0, "marker: 0\n");
	vcli_is("query -n a.vhd -d", 0, "chain depth: 1\n");
	vcli_is("query -n a.vhd -a", 0, "0\n");
	vcli_is("query -n a.vhd -S", 0, "1024\n");
	vcli_is("query -n a.vhd -S -a -d -m -f -p -s -v", 0,
		"1023\n5120\na.vhd has no parent\nhidden: 0\nmarker: 0\n"
		"chain depth: 1\n0\n1024\n");
	vcli_is("create -n b.vhd -s 64 -S 4096", 0, "");
	vcli_is("query -n b.vhd -vS", 0, "64\n4096\n");
	vcli_is("snapshot -n c.vhd -p a.vhd", 0, "");
	vcli_is("query -n c.vhd -vspd", 0,
		"1023\n6656\n%s/a.vhd\nchain depth: 2\n");
	vcli_is("query -n c.vhd -pu", 0, "./a.vhd\n");
	vcli_is("!qemu-io -f vpc -c 'write 3M 1M' a.vhd >/dev/null", 0, "");
	vcli_is("query -n a.vhd -a", 0, "1\n");
	/* The parent has gone: its name can still be told. */
	vcli_is("!mv a.vhd x.vhd", 0, "");
	vcli_says("query -n c.vhd -p", 1, "not found");
	vcli_is("query -n c.vhd -pu", 0, "./a.vhd\n");
	vcli_says("query -n c.vhd -d", 1, "not found");
}

static void test_check(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 8 -r", 0, "");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	vcli_is("create -n b.vhd -s 8", 0, "");
	vcli_is("snapshot -n c.vhd -p b.vhd -e", 0, "");
	vcli_is("check -n c.vhd -p -b", 0, "c.vhd is valid\n");
	vcli_is("check -n b.vhd -s", 0,
		"b.vhd is valid\nblocks: 0 full: 0 sectors: 0\n");
	/* A batmap of which a loss of power left a part: no fault. */
	vcli_is("!printf x | dd of=b.vhd bs=1 seek=2072 conv=notrunc status=none",
		0, "");
	vcli_says("check -n b.vhd", 0, "the batmap is not used");
	vcli_is("!truncate -s -512 b.vhd", 0, "");
	vcli_says("check -n b.vhd", 1, "footer: cookie");
	vcli_says("check -n b.vhd -i", 0, "b.vhd is valid\n");
	vcli_says("check -n c.vhd -p", 1, "footer: cookie");
	vcli_is("check -n c.vhd", 0, "c.vhd is valid\n");
	vcli_is("!rm b.vhd", 0, "");
	vcli_is("create -n b.vhd -s 8", 0, "");
	vcli_says("check -n c.vhd -p", 1, "uuid");
	vcli_is("check -n c.vhd -p -I", 0, "c.vhd is valid\n");
	vcli_says("check -n none.vhd", 1, "none.vhd: cannot open");
	vcli_says("check -n b.vhd -B -b", 2, "-B excludes -b");
}

static void test_snapshot(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 8", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	/* b is empty: c's parent is a, unless -e. */
	vcli_is("snapshot -n c.vhd -p b.vhd", 0, "");
	vcli_is("query -n c.vhd -pd", 0, "%s/a.vhd\nchain depth: 2\n");
	vcli_is("snapshot -n d.vhd -p b.vhd -e", 0, "");
	vcli_is("query -n d.vhd -pd", 0, "%s/b.vhd\nchain depth: 3\n");
	vcli_is("snapshot -n e.vhd -p d.vhd -e -l 3", 1,
		"vhd-util: snapshot depth exceeded: current depth: 3, limit: 3\n");
	vcli_is("snapshot -n e.vhd -p d.vhd -e -l 4", 0, "");
	vcli_is("!head -c 3M /dev/zero > r.raw", 0, "");
	vcli_is("snapshot -n f.vhd -p r.raw -m", 0, "");
	vcli_is("query -n f.vhd -vpd", 0, "3\n%s/r.raw\nchain depth: 2\n");
	vcli_says("snapshot -n g.vhd -p r.raw", 1, "footer: cookie");
	vcli_is("!test ! -e g.vhd", 0, "");
}

static void test_bad_use(void **state)
{
	(void)state;
	vcli_says("", 0, "usage: vhd-util [--debug] COMMAND");
	vcli_says("--help", 0, "{ create | snapshot | query | check | read | scan | set | modify | repair | resize | revert | coalesce | fill | copy | compact | key }");
	vcli_says("create --help", 0, "usage: vhd-util create -n FILE");
	vcli_says("query -h", 0, "usage: vhd-util query -n FILE");
	vcli_says("frob", 2, "invalid COMMAND frob");
	vcli_says("create -s 10", 2, "option -n is missing");
	vcli_says("create -n a.vhd", 2, "option -s is missing");
	vcli_says("create -n a.vhd -s 0", 2, "-s is 0, must be 1 to 2088960");
	vcli_says("create -n a.vhd -s -1", 2, "-s is -1, must be");
	vcli_says("create -n a.vhd -s 1x", 2, "-s is 1x, must be");
	vcli_says("create -n a.vhd -s 2088961", 2, "must be 1 to 2088960");
	vcli_says("create -n a.vhd -s 2088961", 2, "at most 2040 GiB, because");
	vcli_says("create -n a.vhd -s 1 -S 2088961", 2,
		  "at most 2040 GiB, because");
	vcli_says("snapshot -n a.vhd -p b.vhd -S 2088961", 2,
		  "at most 2040 GiB, because");
	vcli_says("create -n a.vhd -s 10 -S 9", 2, "-S is 9, must be -s (10)");
	vcli_says("create -n a.vhd -s 10 b", 2, "unknown argument b");
	vcli_says("create -n a.vhd -z", 2, "usage: vhd-util create");
	vcli_says("create --json -n a.vhd -s 1", 2, "usage: vhd-util create");
	vcli_says("--debug create -h", 0, "usage: vhd-util create");
	vcli_says("snapshot -n a.vhd", 2, "option -p is missing");
	vcli_says("query -n a.vhd -v", 1, "a.vhd: cannot open");
	vcli_says("create -n no/a.vhd -s 1", 1, "no such folder");
	vcli_is("create -n a.vhd -s 1", 0, "");
	vcli_says("create -n a.vhd -s 1", 1, "File exists");
	vcli_says("query -n a.vhd -v >/dev/full", 1, "cannot write output");
}

/* sha256sum is the judge of hashes, od of where they are. */
static void test_key(void **state)
{
	static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
	char cmd[512];

	(void)state;
	vcli_is("create -n a.vhd -s 4", 0, "");
	vcli_is("key -p -n a.vhd", 0, "none\n");
	vcli_is("!head -c 64 /dev/urandom >a,aes-xts-plain,512.key; head -c 32 /dev/zero >n; cp a,* b,aes-xts-plain,512.key",
		0, "");
	vcli_is("!test \"$($UTIL key -C -k a,*.key)\" = $(cat n a,*.key | sha256sum | cut -c 1-64)",
		0, "");
	/* All bytes of a nonce count. */
	vcli_is("!N=$(head -c 32 a,*.key | od -An -v -tx1 | tr -d ' \\n'); test \"$($UTIL key -C -k a,*.key -N $N)\" = $({ head -c 32 a,*.key; cat a,*.key; } | sha256sum | cut -c 1-64) && $UTIL key -s -n a.vhd -k a,*.key -N $N && test \"$($UTIL key -p -n a.vhd)\" = \"$N $($UTIL key -C -k a,*.key -N $N)\"",
		0, "");
	vcli_is("!test \"$(od -An -v -tx1 -j 2077 -N 65 a.vhd | tr -d ' \\n')\" = \"01$($UTIL key -p -n a.vhd | tr -d ' ')\"",
		0, "");
	vcli_is("key -c -n a.vhd -k a,aes-xts-plain,512.key", 0, "");
	vcli_says("key -c -n a.vhd -k b,aes-xts-plain,512.key", 1,
		  "the key file of a.vhd must be named");
	vcli_is("!printf x | dd of=a,aes-xts-plain,512.key conv=notrunc status=none",
		0, "");
	vcli_says("key -c -n a.vhd -k a,aes-xts-plain,512.key", 1,
		  "is not the key of a.vhd");
	vcli_is("!truncate -s 63 a,*.key", 0, "");
	vcli_says("key -c -n a.vhd -k a,aes-xts-plain,512.key", 1,
		  "the key has 63 bytes, must have 64");
	vcli_says("key -C -k a,aes-xts-plain,512.key", 1, "32 or 64");
	vcli_says("key -C -k none", 1, "none: cannot read");
	/* It outlives what is done to the image, but cannot come late. */
	vcli_is("!$UTIL key -p -n a.vhd >k; $UTIL fill -n a.vhd; $UTIL resize -n a.vhd -s 64 -j j; $UTIL set -n a.vhd -f marker -v 7; $UTIL key -p -n a.vhd | cmp - k",
		0, "");
	snprintf(cmd, sizeof(cmd), "key -s -n a.vhd -H %s", zeros);
	vcli_says(cmd, 1, "without blocks");
	snprintf(cmd, sizeof(cmd), "key -s -p -n b.vhd -H %.63s1", zeros);
	vcli_is("create -n b.vhd -s 4", 0, "");
	vcli_says(cmd, 0, "0000 0000");
	vcli_is("!qemu-img create -q -f vpc q.vhd 4M", 0, "");
	snprintf(cmd, sizeof(cmd), "key -s -n q.vhd -H %s", zeros);
	vcli_says(cmd, 1, "has no batmap, which the key hash is part of");
	vcli_says("key -c -n q.vhd -k q,aes-xts-plain,256.key", 1,
		  "has no key hash");
	vcli_says("key -s -n b.vhd -H 12", 2, "-H is 12, must be 64");
	vcli_says("key -n b.vhd", 2, "one of -C, -s, -c and -p");
	vcli_says("key -s -n b.vhd", 2, "one of -k and -H");
	vcli_says("key -C -k x -n b.vhd", 2, "-C excludes");
	vcli_says("key -p", 2, "-n is missing");
	vcli_says("key -c -n b.vhd", 2, "-k is missing");
	vcli_says("key -p -n b.vhd -N 1", 2, "-N with -s or -C");
}

/*
 * The examples of the manual, in their order, on disks a thousandth as large.
 * Each verb must have one.
 */
static void test_examples(void **state)
{
	char top[256], cmd[1024];
	ssize_t len = readlink("/proc/self/exe", top, sizeof(top) - 1);

	(void)state;
	assert_true(len > 0);
	top[len] = 0;
	*strstr(top, "/build/") = 0;
	snprintf(cmd, sizeof(cmd),
		 "!mkdir golden; sed -n 's/^# //p' %s/Documentation/man/vhd-util.8 | sed -e \"s,/srv/images,$PWD,; s,/srv/golden,$PWD/golden,; s,0480,0,; s,0960,0,; s,^vhd-util,$UTIL,; s,| vhd-util,| $UTIL,\" >ex", top);
	vcli_is(cmd, 0, "");
	/* There is nothing to revert if nothing was interrupted. */
	vcli_says("!grep -c 'revert -n guest.vhd -j guest.undo' ex", 0, "1\n");
	vcli_is("!sed -i 's/.*revert.*/! &/' ex; sh -e ex >log 2>&1 || { cat log; false; }",
		0, "");
	vcli_is("!set -- $($UTIL --help | sed -n 's/^COMMAND := {\\(.*\\)}/\\1/p' | tr -d '|'); test $# -ge 15 || echo few; for v; do grep -q \"vhd-util $v \" ex || echo \"$v\"; done",
		0, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_query),
		TEST(test_check),
		TEST(test_snapshot),
		TEST(test_bad_use),
		TEST(test_key),
		TEST(test_examples),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_util", tests, NULL, NULL);
}
