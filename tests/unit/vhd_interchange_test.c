// SPDX-License-Identifier: GPL-2.0
/*
 * Images that vhd-util, libvhd and QEMU hand to each other, and what else
 * other programs write. QEMU's own reader is the judge wherever it can be.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/libvhd.h"
#include "vhd_cli.h"
#include "vhd_patch.h"

#define IC_QUIET	" >/dev/null"

static const char *ic_path(const char *name)
{
	static char path[4][160];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[0]), "%s/%s", vcli_dir, name);
	return path[next];
}

static void ic_sh(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static void ic_sh(const char *fmt, ...)
{
	char cmd[1024] = "!";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd + 1, sizeof(cmd) - 1, fmt, ap);
	va_end(ap);
	if (vcli_run(cmd))
		fail_msg("%s: %s", cmd + 1, vcli_out);
}

static void ic_util(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static void ic_util(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (vcli_run(cmd))
		fail_msg("vhd-util %s: %s", cmd, vcli_out);
}

/* The letter into @nr sectors, with libvhd. */
static void ic_write(const char *name, uint64_t sector, uint32_t nr,
		     char letter)
{
	static uint8_t buf[256 * 512];
	struct vhd_disk *d;

	assert_true(nr * 512 <= sizeof(buf));
	memset(buf, letter, nr * 512);
	assert_int_equal(vhd_disk_open(ic_path(name), 0, NULL, &d), 0);
	assert_int_equal(vhd_disk_write(d, buf, sector, nr), 0);
	assert_int_equal(vhd_disk_close(d), 0);
}

/*
 * @name must hold what @raw holds, by QEMU and by us, and as much. "qemu-img
 * check" knows nothing of VHDs and says so with 63.
 */
static void ic_same(const char *name, const char *raw)
{
	ic_sh("qemu-img check -q -f vpc %s; test $? = 0 -o $? = 63", name);
	ic_sh("qemu-img compare -f vpc -F raw %s %s", name, raw);
	ic_sh("qemu-img info -f vpc --output=json %s | grep -q \"virtual-size.: $(stat -c %%s %s),\"",
	      name, raw);
	ic_util("check -n %s", name);
	ic_sh("rm -f got.raw");
	ic_util("copy -n %s -N got.raw -R", name);
	ic_sh("cmp got.raw %s", raw);
}

static const char *const ic_kinds[] = {
	"subformat=dynamic", "subformat=dynamic,force_size=on",
	"subformat=fixed", "subformat=fixed,force_size=on",
};

#define IC_KINDS	(sizeof(ic_kinds) / sizeof(ic_kinds[0]))

/* Made by QEMU; each of us writes, in turns, and reads what the other wrote. */
static void test_qemu_made(void **state)
{
	unsigned int i, k;

	(void)state;
	for (i = 0; i < IC_KINDS; i++) {
		uint64_t size;

		ic_sh("rm -f q.vhd q.raw; qemu-img create -q -f vpc -o %s q.vhd 33M",
		      ic_kinds[i]);
		ic_sh("qemu-img convert -f vpc -O raw q.vhd q.raw");
		size = vp_size(ic_path("q.raw"));
		/* While it is empty. */
		ic_same("q.vhd", "q.raw");
		for (k = 0; k < 4; k++) {
			uint64_t end = size / 512 - 8;

			ic_write("q.vhd", 4095 + k * 5000, 100, 'a' + k);
			ic_write("q.vhd", end + 2 * k, 1, 'a' + k);
			ic_sh("for f in q.vhd:vpc q.raw:raw; do qemu-io -f ${f#*:} -c 'write -P %u %uM 600k' ${f%%:*} || exit 1; done" IC_QUIET,
			      k + 1, 9 + 7 * k);
			ic_sh("qemu-io -f raw -c 'write -P %u %llu 50k' -c 'write -P %u %llu 512' q.raw" IC_QUIET,
			      'a' + k, (4095 + k * 5000) * 512ULL, 'a' + k,
			      (end + 2 * k) * 512ULL);
			ic_same("q.vhd", "q.raw");
		}
	}
}

/* From raw and back, by both, empty and not. */
static void test_convert(void **state)
{
	unsigned int full, i;

	(void)state;
	for (full = 0; full < 2; full++) {
		ic_sh("rm -f *; truncate -s 34M a.raw");
		if (full)
			ic_sh("qemu-io -f raw -c 'write -P 1 0 3M' -c 'write -P 2 20M 5k' -c 'write -P 3 34815k 1k' a.raw" IC_QUIET);
		ic_util("copy -n a.raw -N a.vhd -r");
		ic_same("a.vhd", "a.raw");
		for (i = 0; i < IC_KINDS; i++) {
			ic_sh("qemu-img convert -f vpc -O vpc -o %s a.vhd b.vhd",
			      ic_kinds[i]);
			ic_sh("qemu-img compare -f vpc -F raw b.vhd a.raw");
			ic_sh("rm -f c.vhd");
			ic_util("copy -n b.vhd -N c.vhd");
			ic_sh("qemu-img compare -f vpc -F vpc c.vhd b.vhd");
			ic_util("check -n c.vhd");
		}
	}
}

/* A new image of ours, before and after anybody wrote to it. */
static void test_ours_empty(void **state)
{
	static const char *const options[] = { "", "-r", "-S 100000" };
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		ic_sh("rm -f *");
		ic_util("create -n a.vhd -s 16 %s", options[i]);
		ic_sh("truncate -s 16M a.raw");
		ic_same("a.vhd", "a.raw");
		ic_write("a.vhd", 7, 9, 'A');
		ic_sh("qemu-io -f raw -c 'write -P 0x41 3584 4608' a.raw" IC_QUIET);
		ic_same("a.vhd", "a.raw");
		ic_sh("for f in a.vhd:vpc a.raw:raw; do qemu-io -f ${f#*:} -c 'write -P 5 0 512' -c 'write -P 6 5M 512' ${f%%:*} || exit 1; done" IC_QUIET);
		ic_same("a.vhd", "a.raw");
		ic_write("a.vhd", 12345, 1, 'B');
		ic_sh("qemu-io -f raw -c 'write -P 0x42 6320640 512' a.raw" IC_QUIET);
		ic_same("a.vhd", "a.raw");
	}
}

/*
 * The trap: QEMU puts the first block of an empty image where batmap and
 * footer are, and takes for zeros what it finds there. So the disk gets a
 * footer in it. The remedy of vhd-util(8) is to allocate a block before.
 */
static void test_qemu_trap(void **state)
{
	(void)state;
	ic_util("create -n a.vhd -s 16");
	ic_sh("truncate -s 16M a.raw");
	ic_sh("for f in a.vhd:vpc a.raw:raw; do qemu-io -f ${f#*:} -c 'write -P 5 1M 512' ${f%%:*} || exit 1; done" IC_QUIET);
	/* If that does not happen any more, the manual can be shorter. */
	vcli_says("!qemu-io -f vpc -c 'read -v 512 8' a.vhd", 0, "conectix");
	/* No more than that: it is a good image, and we read it as QEMU does. */
	ic_util("check -n a.vhd -b");
	ic_util("copy -n a.vhd -N b.raw -R");
	ic_sh("qemu-img compare -f vpc -F raw a.vhd b.raw");
	vcli_is("query -n a.vhd -m", 0, "marker: 0\n");
	ic_write("a.vhd", 20000, 1, 'A');
	ic_util("check -n a.vhd -b");

	ic_sh("rm a.vhd a.raw; truncate -s 16M a.raw");
	ic_util("create -n a.vhd -s 16");
	ic_util("fill -n a.vhd -b -f 0 -t 0");
	ic_same("a.vhd", "a.raw");
	ic_sh("for f in a.vhd:vpc a.raw:raw; do qemu-io -f ${f#*:} -c 'write -P 5 1M 512' -c 'write -P 6 7M 512' ${f%%:*} || exit 1; done" IC_QUIET);
	ic_same("a.vhd", "a.raw");
}

/* Whose geometry counts, and whose size: as QEMU has it. */
static void test_size_rules(void **state)
{
	static const struct {
		const char creator[5];
		bool chs;
	} rule[] = {
		{ "vpc ", true }, { "qemu", true }, { "qem2", false },
		{ "win ", false }, { "d2v ", false }, { "tap", false },
		{ "CTXS", false },
	};
	unsigned int i, k;

	(void)state;
	for (i = 0; i < IC_KINDS; i++) {
		ic_sh("rm -f q.vhd; qemu-img create -q -f vpc -o subformat=%s,force_size=on q.vhd 20M",
		      i % 2 ? "fixed" : "dynamic");
		for (k = 0; k < sizeof(rule) / sizeof(rule[0]); k++) {
			const char *c = rule[k].creator;

			/* 600/4/17; half of them: "large", which says nothing. */
			vp_footer(ic_path("q.vhd"), 56, 4,
				  i < 2 ? 0x02580411 : 0xffff10ff);
			vp_footer(ic_path("q.vhd"), 28, 4,
				  (uint32_t)c[0] << 24 | c[1] << 16 |
				  c[2] << 8 | c[3]);
			ic_sh("rm -f q.raw r.raw; qemu-img convert -f vpc -O raw q.vhd q.raw");
			ic_util("copy -n q.vhd -N r.raw -R");
			assert_int_equal(vp_size(ic_path("r.raw")),
					 rule[k].chs && i < 2 ?
					 600 * 4 * 17 * 512 : 20 << 20);
			ic_sh("cmp q.raw r.raw");
		}
	}
}

/* Footers of 511 bytes at the end, and none: read, written, and whole again. */
static void test_ends(void **state)
{
	static const int cut[] = { 1, 512 };
	unsigned int i;
	uint64_t size;

	(void)state;
	for (i = 0; i < 2; i++) {
		ic_sh("rm -f *; qemu-img create -q -f vpc -o force_size=on q.vhd 20M; truncate -s 20M q.raw");
		ic_sh("for f in q.vhd:vpc q.raw:raw; do qemu-io -f ${f#*:} -c 'write -P 5 1M 3M' ${f%%:*} || exit 1; done" IC_QUIET);
		size = vp_size(ic_path("q.vhd"));
		assert_int_equal(truncate(ic_path("q.vhd"), size - cut[i]), 0);
		ic_util("copy -n q.vhd -N a.raw -R");
		ic_sh("cmp a.raw q.raw");
		/* Into a block that is there, and a new one. */
		ic_write("q.vhd", 2048, 8, 'A');
		ic_write("q.vhd", 40000, 8, 'A');
		assert_int_equal(vp_size(ic_path("q.vhd")) % 512, 0);
		ic_sh("qemu-io -f raw -c 'write -P 0x41 1M 4k' -c 'write -P 0x41 20480000 4k' q.raw" IC_QUIET);
		ic_same("q.vhd", "q.raw");
	}
	/* A fixed one with 511. */
	ic_sh("qemu-img create -q -f vpc -o subformat=fixed,force_size=on f.vhd 4M; truncate -s -1 f.vhd; truncate -s 4M f.raw");
	ic_write("f.vhd", 8191, 1, 'A');
	ic_sh("qemu-io -f raw -c 'write -P 0x41 4193792 512' f.raw" IC_QUIET);
	ic_util("check -n f.vhd");
	ic_util("copy -n f.vhd -N g.raw -R");
	ic_sh("cmp f.raw g.raw");
	ic_util("repair -n f.vhd");
	ic_same("f.vhd", "f.raw");
}

struct ic_locator {
	uint32_t code;
	bool wide;
	bool found;
	const char *name;	/* %s is the folder */
};

/* Only this locator, with its data_space in bytes or in sectors. */
static void ic_locator(const struct ic_locator *l, uint32_t space)
{
	const char *path = ic_path("d/b.vhd");
	uint8_t buf[512] = { 0 }, *p = buf;
	char name[256];
	unsigned int i;

	snprintf(name, sizeof(name), l->name, vcli_dir);
	for (i = 0; name[i]; i++) {
		*p++ = name[i];
		if (l->wide)
			*p++ = 0;
	}
	/* The parent's name in the header leads nowhere. */
	vp_header(path, 64, 4, 0x00780000);
	for (i = 0; i < 3; i++)
		vp_header(path, 576 + 24 * i, 4, 0);
	vp_header(path, 576, 4, l->code);
	vp_header(path, 576 + 4, 4, space);
	vp_header(path, 576 + 8, 4, p - buf);
	/* The first of the three sectors that there are for locators. */
	vp_write(path, 3584, buf, sizeof(buf));
	vp_header(path, 576 + 16, 8, 3584);
}

static void test_locators(void **state)
{
	static const struct ic_locator loc[] = {
		{ 0x57327275, true, true, ".\\..\\a.vhd" },	/* W2ru */
		{ 0x57327275, true, true, "..\\a.vhd" },
		{ 0x57327275, true, true, "%s/a.vhd" },
		{ 0x57326b75, true, true, ".\\..\\a.vhd" },	/* W2ku */
		{ 0x57326b75, true, true, "%s/a.vhd" },
		{ 0x57326b75, true, false, "C:\\vm\\a.vhd" },
		{ 0x4d616358, false, true, "file://./../a.vhd" }, /* MacX */
		{ 0x4d616358, false, true, "file://%s/a.vhd" },
		{ 0x4d616358, false, true, "../a.vhd" },
		{ 0x57693272, false, true, ".\\..\\a.vhd" },	/* Wi2r */
		{ 0x5769326b, false, true, "%s/a.vhd" },	/* Wi2k */
		{ 0x5769326b, false, false, "C:\\vm\\a.vhd" },
		{ 0x4d616320, false, false, "../a.vhd" },	/* Mac */
		{ 0x41424344, true, false, "../a.vhd" },
	};
	unsigned int i, space;

	(void)state;
	assert_int_equal(mkdir(ic_path("d"), 0755), 0);
	ic_util("create -n a.vhd -s 4");
	ic_util("snapshot -n d/b.vhd -p a.vhd -e");
	for (i = 0; i < 2 * sizeof(loc) / sizeof(loc[0]); i++) {
		for (space = 1; space <= 512; space += 511) {
			const struct ic_locator *l = &loc[i / 2];

			ic_locator(l, space);
			/* The last resort: a name in the folder itself. */
			unlink(ic_path("d/x"));
			if (i % 2)
				assert_int_equal(symlink("../a.vhd",
							 ic_path("d/x")), 0);
			if (l->found || i % 2)
				vcli_is("query -n d/b.vhd -p", 0,
					"%s/a.vhd\n");
			else
				vcli_says("query -n d/b.vhd -p", 1,
					  "not found");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
		TEST(test_qemu_made),
		TEST(test_convert),
		TEST(test_ours_empty),
		TEST(test_qemu_trap),
		TEST(test_size_rules),
		TEST(test_ends),
		TEST(test_locators),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_interchange", tests, NULL,
					   NULL);
}
