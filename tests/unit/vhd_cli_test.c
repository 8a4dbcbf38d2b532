// SPDX-License-Identifier: GPL-2.0
/*
 * vhd-util in the hands of people and scripts: closed descriptors, output that
 * goes nowhere, full disks, sizes, names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "vhd_cli.h"

#define UTF8_NAME	"B\xc3\xa4r \xf0\x9f\x90\xbb.vhd"

/*
 * The first files that a program opens get the numbers of what it was started
 * without. Progress and messages must not go into them.
 */
static void test_closed(void **state)
{
	static const char * const closed[] = {
		"0<&-", ">&-", "2>&-", "0<&- >&-", "0<&- 2>&-", ">&- 2>&-",
		"0<&- >&- 2>&-",
	};
	char cmd[512];
	size_t i;

	(void)state;
	vcli_is("!head -c 3M /dev/urandom >r.raw; truncate -s 4M r.raw; $UTIL copy -r -n r.raw -N a.vhd; $UTIL snapshot -n b.vhd -p a.vhd; $UTIL fill -n b.vhd",
		0, "");
	for (i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		snprintf(cmd, sizeof(cmd),
			 "!rm -f c.* d.raw; cp a.vhd c.vhd; $UTIL coalesce -p -n b.vhd -x c.vhd %s; $UTIL fill -p -n c.vhd %s; $UTIL copy -p -n c.vhd -N d.raw -R %s; $UTIL check -n c.vhd %s >&- && cmp r.raw d.raw && $UTIL check -n c.vhd -b",
			 closed[i], closed[i], closed[i], closed[i]);
		vcli_run(cmd);
		if (!strstr(vcli_out, "c.vhd is valid\n"))
			fail_msg("%s: %s", closed[i], vcli_out);
		/* A message of a failure does no harm either. */
		snprintf(cmd, sizeof(cmd),
			 "!cp a.vhd e.vhd; $UTIL read -n e.vhd -b 99 %s; cmp a.vhd e.vhd",
			 closed[i]);
		vcli_run(cmd);
		assert_null(strstr(vcli_out, "differ"));
	}
	/* Other programs have the same beginning. */
	vcli_is("!for p in tap-ctl tapdisk2 vhd_bench chain_bench; do nm -u \"$(dirname $UTIL)\"/$p >/dev/null 2>&1 || continue; nm \"$(dirname $UTIL)\"/$p | grep -q ' T td_stdio_open$' || echo $p; done",
		0, "");
}

/* What cannot be written is no success. */
static void test_output(void **state)
{
	static const char * const cmds[] = {
		"query -n a.vhd", "query -n a.vhd --json", "check -n a.vhd",
		"read -n a.vhd -p", "read -n a.vhd -r 0 -c 4096",
		"scan a.vhd", "scan --json a.vhd", "--help", "--version",
		"create --help", "key -p -n a.vhd",
	};
	char cmd[256];
	size_t i;

	(void)state;
	vcli_is("create -n a.vhd -s 4", 0, "");
	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		snprintf(cmd, sizeof(cmd), "%s >/dev/full", cmds[i]);
		vcli_says(cmd, 1, "cannot write output: No space left on device");
	}
}

/* The disk as a stream, parents included; a reader that ends early is told. */
static void test_stream(void **state)
{
	(void)state;
	vcli_is("!head -c 3M /dev/urandom >r.raw; truncate -s 5M r.raw; $UTIL copy -r -n r.raw -N a.vhd; $UTIL snapshot -n b.vhd -p a.vhd; $UTIL fill -n b.vhd -b -f 0 -t 0; $UTIL copy -n b.vhd -N - -R | cmp - r.raw; ls",
		0, "a.vhd\nb.vhd\nr.raw\n");
	vcli_is("copy -n b.vhd -N - -R >/dev/full", 1,
		"vhd-util: cannot write output: No space left on device\n");
	vcli_says("copy -n b.vhd -N -", 2, "goes with -R alone");
	vcli_says("copy -n b.vhd -N - -R --rescue", 2, "goes with -R alone");
}

/* The same the other way: with and without a size, into images of all kinds. */
static void test_stream_in(void **state)
{
	static const struct {
		const char *cmd;
		const char *what;
	} bad[] = {
		{ "!head -c 4M r.raw | $UTIL copy -n - -s 5M -N n",
		  "standard input: ended after 4194304 bytes, must have 5242880" },
		{ "!cat r.raw r.raw | $UTIL copy -n - -s 5M -N n",
		  "standard input: has more than 5242880 bytes" },
		{ "!cat r.raw | $UTIL copy -n - -N n -t fixed",
		  "needs to know the size of the stream" },
		{ "!cat a.vhd | $UTIL copy -n - -N n", "is a VHD image" },
		{ "!: | $UTIL copy -n - -N n", "standard input: is empty" },
		{ "copy -n - -N n </", "standard input: cannot read" },
		{ "copy -n - -N a.vhd <r.raw", "cannot create: File exists" },
	};
	size_t i;

	(void)state;
	vcli_is("!head -c 3M /dev/urandom >r.raw; truncate -s 5M r.raw", 0, "");
	vcli_is("!cat r.raw | $UTIL copy -n - -r -N a.vhd", 0, "");
	vcli_is("!cat r.raw | $UTIL copy -n - -s 5M -N b.vhd -p 2>&1 | tr '\\r' '\\n' | tail -n 1",
		0, "100.00%%\n");
	vcli_is("copy -n - -N c.vhd -t fixed <r.raw", 0, "");
	vcli_is("!cat r.raw | $UTIL copy -n - -N d.vhd -s 5M -t fixed", 0, "");
	vcli_is("!for i in a b c d; do $UTIL check -n $i.vhd -b && $UTIL query -n $i.vhd -v --bytes && $UTIL copy -n $i.vhd -N - -R | cmp - r.raw; done",
		0, "a.vhd is valid\n5242880\nb.vhd is valid\n5242880\n"
		"c.vhd is valid\n5242880\nd.vhd is valid\n5242880\n");
	/* Zeros take no space; the table of the first is for any size. */
	vcli_is("query -n a.vhd -a -S", 0, "2\n2088960\n");
	vcli_is("query -n b.vhd -a -S", 0, "2\n6\n");
	vcli_is("!cat r.raw | $UTIL copy -n - -N e.raw -R; cmp e.raw r.raw; test $(stat -c %b e.raw) -lt 8192",
		0, "");
	/* More than there is: zeros; and a size that no disk has. */
	vcli_is("!cat r.raw | $UTIL copy -n - -N f.vhd --align 4M; $UTIL query -n f.vhd -v",
		0, "8\n");
	vcli_is("!head -c 1000 r.raw | $UTIL copy -n - -N g.vhd 2>&1; $UTIL query -n g.vhd -v --bytes; $UTIL copy -n g.vhd -N - -R | head -c 1000 | cmp - r.raw -n 1000",
		0, "vhd-util: standard input: has 1000 bytes, not a multiple of 512: zeros follow\n1024\n");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vcli_says(bad[i].cmd, 1, bad[i].what);
		vcli_is("!ls n*", 2, "ls: cannot access 'n*': No such file or directory\n");
	}
	vcli_is("!cat a.vhd | $UTIL copy -n - -r -N i.raw -R; cmp i.raw a.vhd",
		0, "");
	vcli_says("copy -n a.vhd -N n -s 5M", 2, "-s goes with -n -");
	vcli_says("copy -n - -N - -R <r.raw", 2, "goes with -R alone");
	vcli_says("copy -n - -N n --rescue <r.raw", 2, "excludes -n -");
}

/* Over what is there: its size is the copy's, and nothing old shows. */
static void test_overwrite(void **state)
{
	(void)state;
	vcli_is("!head -c 3M /dev/urandom >r.raw; truncate -s 5M r.raw; $UTIL copy -r -n r.raw -N a.vhd; $UTIL snapshot -n b.vhd -p a.vhd",
		0, "");
	vcli_is("!for s in 1M 5M 9M; do head -c $s /dev/zero | tr '\\0' x >t; ln -f t same; $UTIL copy -n b.vhd -N t -R --overwrite; cmp t r.raw; cmp same r.raw; done; ls",
		0, "a.vhd\nb.vhd\nr.raw\nsame\nt\n");
	vcli_is("!head -c 9M /dev/zero | tr '\\0' x >t; cat r.raw | $UTIL copy -n - -N t -R --overwrite; cmp t r.raw",
		0, "");
	vcli_says("copy -n b.vhd -N t -R", 1, "t: cannot create: File exists");
	vcli_says("copy -n b.vhd -N t --overwrite", 2, "goes with -R");
	vcli_says("copy -n b.vhd -N n -R --overwrite", 1,
		  "n: cannot overwrite: No such file");
	vcli_says("copy -n b.vhd -N /dev/null -R --overwrite", 1,
		  "must be a regular file or block device");
	vcli_is("!cp a.vhd before; for n in a b; do $UTIL copy -n b.vhd -N $n.vhd -R --overwrite; done; $UTIL copy -n - -r -N a.vhd -R --overwrite <a.vhd; cmp a.vhd before",
		0, "vhd-util: a.vhd: cannot overwrite: it is what is to be copied, or a parent of it\n"
		"vhd-util: b.vhd: cannot overwrite: it is what is to be copied, or a parent of it\n"
		"vhd-util: a.vhd: cannot overwrite: it is what is to be copied, or a parent of it\n");
	/* Somebody has it open; a stream that ends early. */
	vcli_says("!python3 -c 'import fcntl, os, struct, subprocess, sys\n"
		  "f = os.open(\"t\", os.O_RDWR)\n"
		  "fcntl.fcntl(f, 37, struct.pack(\"hhqqi4x\", fcntl.F_RDLCK, 0, 0, 0, 0))\n"
		  "sys.exit(subprocess.call(sys.argv[1:]))' $UTIL copy -n b.vhd -N t -R --overwrite",
		  1, "t: in use");
	vcli_is("!cmp t r.raw", 0, "");
	vcli_says("!head -c 1M r.raw | $UTIL copy -n - -s 5M -N t -R --overwrite",
		  1, "t: holds only a part of the copy");
}

/*
 * One line says which file, and why; what was there before is whole, and
 * nothing is left behind.
 */
static void test_full(void **state)
{
	static const char * const cmds[] = {
		"create -n m/n.vhd -s 8", "create -n m/n.vhd -s 8 -r",
		"snapshot -n m/n.vhd -p m/a.vhd", "copy -n m/a.vhd -N m/n.vhd",
		"copy -n m/a.vhd -N m/n.raw -R", "coalesce -n m/b.vhd",
		"coalesce -n m/b.vhd -o m/n.vhd", "fill -n m/a.vhd",
		"resize -n m/a.vhd -s 16 -j m/j", "modify -n m/b.vhd -p m/c.vhd",
	};
	char cmd[256], dir[128];
	size_t i, lines;
	char *p;

	(void)state;
	vcli_is("!mkdir m", 0, "");
	snprintf(dir, sizeof(dir), "%s/m", vcli_dir);
	assert_int_equal(mount("none", dir, "tmpfs", 0, "size=6M"), 0);
	vcli_is("!head -c 1M /dev/urandom >r.raw; truncate -s 8M r.raw; $UTIL copy -n r.raw -r -N m/a.vhd; cp m/a.vhd m/c.vhd; $UTIL snapshot -n m/b.vhd -p m/a.vhd; $UTIL fill -n m/b.vhd -b -f 5000 -t 5000; dd if=/dev/zero of=m/fill bs=4k status=none 2>/dev/null; ls m >before",
		0, "");
	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		int ret = vcli_run(cmds[i]);

		for (lines = 0, p = vcli_out; (p = strchr(p, '\n')); p++)
			lines++;
		/* coalesce has always said it on stdout, too. */
		if (strstr(vcli_out, "error coalescing"))
			lines--;
		if (ret && (ret != 1 || lines != 1 || !strstr(vcli_out, "m/") ||
			    !strstr(vcli_out, "No space left on device")))
			fail_msg("%s: exit %d, %zu lines: %s", cmds[i], ret,
				 lines, vcli_out);
		if (i < 5 && !ret)
			fail_msg("%s: no error", cmds[i]);
		snprintf(cmd, sizeof(cmd),
			 "!ls m | diff before - && $UTIL check -n m/a.vhd >/dev/null && $UTIL check -n m/b.vhd -p >/dev/null");
		if (ret)
			vcli_is(cmd, 0, "");
	}
	assert_int_equal(umount(dir), 0);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		const char *bytes;
	} good[] = {
		{ "6", "6291456" }, { "6M", "6291456" }, { "6MiB", "6291456" },
		{ "6m", "6291456" }, { "4096K", "4194304" },
		{ "4096KiB", "4194304" }, { "1G", "1073741824" },
		{ "2T", NULL }, { "2040G", "2190433320960" },
		{ "4194304B", "4194304" }, { "2088960", "2190433320960" },
	};
	static const char * const bad[] = {
		"6MB", "6KB", "6GB", "6kB", "6Mi", "6 M", "6X", "-6", "0", "0B",
		"1.5G", "6MiBx", "4194305B", "18446744073709551616",
		"18446744073709551615T", "4294967296G", "0x10", "", "G",
	};
	char cmd[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(cmd, sizeof(cmd),
			 "!rm -f a.vhd; $UTIL create -n a.vhd -s %s && $UTIL query -n a.vhd -v --bytes",
			 good[i].text);
		vcli_says(cmd, good[i].bytes ? 0 : 2, good[i].bytes ?
			  good[i].bytes : "must be 1 to 2088960");
	}
	vcli_is("!rm -f a.vhd", 0, "");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(cmd, sizeof(cmd), "create -n a.vhd -s '%s'", bad[i]);
		vcli_says(cmd, 2, "create: -s is ");
	}
	vcli_says("create -n a.vhd -s 20GB", 2,
		  "must be 1 to 2088960 (MiB), or have a suffix B, K, M, G, T, KiB");
	vcli_is("!test ! -e a.vhd", 0, "");
	/* Where bytes are meant, a plain number counts bytes. */
	vcli_is("create -n a.vhd -s 4M -S 1G", 0, "");
	vcli_is("modify -n a.vhd -s 64K", 0, "");
	vcli_is("query -n a.vhd -vsS --bytes", 0,
		"4194304\n65536\n1073741824\n");
	vcli_is("resize -n a.vhd -s 8M -f", 0, "");
	vcli_is("query -n a.vhd", 0,
		"image:            a.vhd\n"
		"type:             dynamic\n"
		"size of the disk: 8388608 bytes (8 MiB)\n"
		"size of the file: 65536 bytes\n"
		"parent:           none\n"
		"hidden:           0\n"
		"marker:           0\n"
		"chain depth:      1\n"
		"allocated blocks: 0\n"
		"grows quickly to: 1073741824 bytes (1024 MiB)\n");
}

/* Each verb explains each of its options; --version is anywhere. */
static void test_help(void **state)
{
	(void)state;
	vcli_is("!cat \"$(echo $UTIL | sed 's,/build/.*,/VERSION,')\" | sed 's/^/vhd-util (xen-pvio) /' >v; for a in '' create 'create --debug' scan key; do $UTIL $a --version | cmp - v; done",
		0, "");
	vcli_is("!for v in $($UTIL --help | sed -n 's/^COMMAND := {\\(.*\\)}/\\1/p' | tr -d '|'); do $UTIL $v --help >h || echo $v; for o in $(head -n 1 h | grep -o -- '-[-a-zA-Z]*' | sort -u); do case $o in -util|-) ;; *) sed 1d h | grep -q -- \"^  $o[ ,]\" || echo \"$v $o\" ;; esac; done; done",
		0, "");
	/* The synopsis of the manual has each of them. */
	vcli_is("!m=$(echo $UTIL | sed 's,/build/.*,/Documentation/man/vhd-util.8,'); for v in $($UTIL --help | sed -n 's/^COMMAND := {\\(.*\\)}/\\1/p' | tr -d '|'); do sed -n \"/^\\.Cm $v\\$/,/^\\.Nm\\$/p\" $m >t; for o in $($UTIL $v --help | sed -n 's/^  -\\(-*[a-zA-Z]*\\) .*/\\1/p'); do grep -q -- \"\\(Fl\\||\\) $o\\( \\|$\\)\" t || echo \"$v $o\"; done; done",
		0, "");
}

/* Names of others: no line breaks in messages, JSON that can be parsed. */
static void test_names(void **state)
{
	char name[4200], cmd[4600];
	size_t i;

	(void)state;
	vcli_is("create -n 'a b.vhd' -s 4", 0, "");
	vcli_is("snapshot -n '" UTF8_NAME "' -p 'a b.vhd'", 0, "");
	vcli_is("query -n '" UTF8_NAME "' -p", 0, "%s/a b.vhd\n");
	vcli_is("snapshot -n c.vhd -p '" UTF8_NAME "' -e", 0, "");
	vcli_is("query -n c.vhd -pd", 0,
		"%s/" UTF8_NAME "\nchain depth: 3\n");
	vcli_is("check -n c.vhd -p", 0, "c.vhd is valid\n");
	vcli_is("!$UTIL scan --json '" UTF8_NAME "' | python3 -c 'import json, sys; print(json.load(sys.stdin)[0][\"name\"])'",
		0, UTF8_NAME "\n");
	/* No UTF-8: the name comes as bytes as well. */
	vcli_is("!cp 'a b.vhd' \"$(printf 'x\\377\\303\\001y.vhd')\"", 0, "");
	vcli_is("!for c in 'query -n' 'check -n' scan; do $UTIL $c \"$(printf 'x\\377\\303\\001y.vhd')\" --json | python3 -c 'import json, sys\n"
		"a = json.loads(sys.stdin.buffer.read().decode(\"utf-8\"))\n"
		"a = a[0] if isinstance(a, list) else a\n"
		"print(a[\"name\"] == \"x\\ufffd\\ufffd\\1y.vhd\", a[\"name_hex\"])'; done",
		0, "True 78ffc301792e766864\nTrue 78ffc301792e766864\nTrue 78ffc301792e766864\n");
	vcli_says("query -v -n \"$(printf 'no\\nvhd-util: ok')\"", 1,
		  "vhd-util: no?vhd-util: ok: cannot open");
	/* A path as long as there can be one: the reason is still told. */
	for (i = 0; i < 4000; i++)
		name[i] = i % 200 == 199 ? '/' : 'n';
	strcpy(name + 4000, "x.vhd");
	snprintf(cmd, sizeof(cmd), "query -v -n %s", name);
	vcli_says(cmd, 1, "x.vhd: cannot open: No such file or directory");
	snprintf(cmd, sizeof(cmd),
		 "!python3 -c 'import os\n"
		 "n = \"n\" * 199\n"
		 "for i in range(20): os.mkdir(n); os.chdir(n)\n"
		 "os.mkdir(\"f\")' && $UTIL create -n $(python3 -c 'print((\"n\" * 199 + \"/\") * 20)')x.vhd -s 4 && cd $(python3 -c 'print((\"n\" * 199 + \"/\") * 10)') && cd $(python3 -c 'print((\"n\" * 199 + \"/\") * 10)') && $UTIL snapshot -n y.vhd -p x.vhd && $UTIL fill -n y.vhd && $UTIL coalesce -n y.vhd && $UTIL copy -n y.vhd -N z.vhd && $UTIL check -n z.vhd -p && $UTIL resize -n z.vhd -s 16 -j z.j && $UTIL query -n z.vhd -v");
	vcli_is(cmd, 0, "Coalesced 8192 sectors\nz.vhd is valid\n16\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_closed),
		TEST(test_output),
		TEST(test_stream),
		TEST(test_stream_in),
		TEST(test_overwrite),
		TEST(test_full),
		TEST(test_sizes),
		TEST(test_help),
		TEST(test_names),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_cli", tests, NULL, NULL);
}
