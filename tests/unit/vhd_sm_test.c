// SPDX-License-Identifier: GPL-2.0
/*
 * The calls that xapi's storage manager makes, with --debug behind the verb,
 * and what it reads from the answers: by position, by prefix, by errno.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vhd_cli.h"

static void test_make(void **state)
{
	(void)state;
	vcli_is("create --debug -n a.vhd -s 20 -S 2088960", 0, "");
	vcli_is("create --debug -n fixed.vhd -s 2 -r", 0, "");
	vcli_is("snapshot --debug -n b.vhd -p a.vhd -S 2088960 -e", 0, "");
	vcli_is("!head -c 4M /dev/zero >r.raw", 0, "");
	vcli_is("snapshot --debug -n m.vhd -p r.raw -m", 0, "");
	vcli_is("check --debug -n b.vhd", 0, "b.vhd is valid\n");
	vcli_is("check --debug -n b.vhd -i -B", 0, "b.vhd is valid\n");
	vcli_is("check --debug -n m.vhd -i", 0, "m.vhd is valid\n");
}

/* Fields are known by their line. */
static void test_query(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 20 -S 2088960", 0, "");
	vcli_is("fill -n a.vhd -b -f 0 -t 0", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("!$UTIL query -n a.vhd -s >size", 0, "");
	vcli_is("!$UTIL query --debug -vsf -n a.vhd | sed \"s/^$(cat size)$/SIZE/\"",
		0, "20\nSIZE\nhidden: 0\n");
	vcli_is("!$UTIL query --debug -vsafp -n a.vhd | sed \"s/^$(cat size)$/SIZE/\"",
		0, "20\nSIZE\na.vhd has no parent\nhidden: 0\n1\n");
	vcli_is("!$UTIL query --debug -vsafpu -n b.vhd | sed '2s/.*/SIZE/'",
		0, "20\nSIZE\n./a.vhd\nhidden: 0\n0\n");
	/* The copy of the footer counts with -b, though the end is bad. */
	vcli_is("!printf x | dd of=b.vhd bs=1 seek=$(($(stat -c %s b.vhd) - 512)) conv=notrunc status=none",
		0, "");
	vcli_is("!$UTIL query --debug -vsafpub -n b.vhd | sed '2s/.*/SIZE/'",
		0, "20\nSIZE\n./a.vhd\nhidden: 0\n0\n");
	vcli_is("repair -n b.vhd 2>/dev/null", 0, "");
	vcli_is("query --debug -p -n b.vhd", 0, "%s/a.vhd\n");
	vcli_is("query --debug -p -n a.vhd", 0, "a.vhd has no parent\n");
	vcli_is("query --debug -f -n a.vhd", 0, "hidden: 0\n");
	vcli_is("query --debug -v -n a.vhd", 0, "20\n");
	vcli_is("query --debug -S -n a.vhd", 0, "2088960\n");
	vcli_is("!test $($UTIL query --debug -s -n a.vhd) = $(stat -c %s a.vhd)",
		0, "");
	vcli_is("query --debug -a -n a.vhd", 0, "1\n");
	vcli_is("query --debug -d -n b.vhd", 0, "chain depth: 2\n");
	vcli_is("!$UTIL read --debug -p -n b.vhd | grep -c 'Disk type *: Differencing hard disk$'",
		0, "1\n");
	vcli_is("!$UTIL read -p -n b.vhd | grep 'decoded name :' | cut -d : -f 2 | sort -u",
		0, " ./a.vhd\n");
	vcli_is("!$UTIL read -pn b.vhd | sed -n 's/^Block size *: \\([0-9]*\\) .*/\\1/p'",
		0, "2097152\n");
	vcli_is("!$UTIL read --debug -B -n a.vhd | od -An -tx1 -N1", 0,
		" 80\n");
	vcli_is("!$UTIL scan -f -m '*.vhd' | sed 's/ size=[0-9]*/ size=N/'", 0,
		"vhd=a.vhd capacity=20971520 size=N hidden=0 parent=none\n"
		"vhd=b.vhd capacity=20971520 size=N hidden=0 parent=a.vhd\n");
	vcli_is("!$UTIL scan -f -c -a -m b.vhd | cut -d ' ' -f 1,2", 0,
		"vhd=b.vhd capacity=20971520\nvhd=a.vhd capacity=20971520\n");
}

static void test_change(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 4 -S 64", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd -S 64", 0, "");
	vcli_is("set --debug -n a.vhd -f hidden -v 1", 0, "");
	vcli_is("query --debug -f -n a.vhd", 0, "hidden: 1\n");
	vcli_is("!cp a.vhd c.vhd", 0, "");
	vcli_is("modify --debug -p ./c.vhd -n b.vhd", 0, "");
	vcli_is("query --debug -p -n b.vhd", 0, "%s/c.vhd\n");
	vcli_is("!head -c 4M /dev/zero >r.raw", 0, "");
	vcli_is("modify --debug -p r.raw -n b.vhd -m", 0, "");
	vcli_is("modify --debug -p c.vhd -n b.vhd", 0, "");
	vcli_is("resize --debug -s 8 -n b.vhd -j j", 0, "");
	vcli_is("resize --debug -s 12 -n b.vhd -f", 0, "");
	vcli_is("query --debug -v -n b.vhd", 0, "12\n");
	vcli_is("modify --debug -s 65536 -n b.vhd", 0, "");
	vcli_is("!stat -c %s b.vhd", 0, "65536\n");
	vcli_is("modify -s 66048 -n b.vhd", 0, "");
	vcli_is("fill -n b.vhd -b -f 0 -t 0", 0, "");
	vcli_is("modify --debug -z -n b.vhd", 0, "");
	vcli_is("query --debug -a -n b.vhd", 0, "0\n");
	vcli_is("resize --debug -s 12 -n c.vhd -j j", 0, "");
	vcli_is("coalesce --debug -n b.vhd", 0, "Coalesced 0 sectors\n");
	vcli_is("repair -n b.vhd", 0, "");
	vcli_is("key -p -n b.vhd", 0, "none\n");
}

/* It tries again after EIO and EAGAIN, and knows ENOENT and EROFS. */
static void test_status(void **state)
{
	(void)state;
	vcli_says("check --debug -n none.vhd", ENOENT, "none.vhd");
	vcli_says("--debug check -n none.vhd", ENOENT, "none.vhd");
	vcli_says("check -n none.vhd", 1, "none.vhd");
	vcli_says("query --debug -v -n none.vhd", ENOENT, "none.vhd");
	vcli_is("!head -c 1M /dev/urandom >bad.vhd", 0, "");
	vcli_says("check --debug -n bad.vhd", EINVAL, "bad.vhd");
	vcli_says("create --debug -n bad.vhd -s 1", EEXIST, "bad.vhd");
	vcli_says("create --debug -n a.vhd", EINVAL, "-s is missing");
	vcli_is("create -n a.vhd -s 4", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("!rm a.vhd", 0, "");
	vcli_says("query --debug -p -n b.vhd", ENOENT, "a.vhd: not found");
	vcli_says("revert --debug -n b.vhd -j none", ENOENT, "none");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_make),
		TEST(test_query),
		TEST(test_change),
		TEST(test_status),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_sm", tests, NULL, NULL);
}
