// SPDX-License-Identifier: GPL-2.0
/*
 * Damaged images: the message names the cause and a command, that command
 * helps, what a rescue saves is right, what it cannot save is listed, and it
 * never writes to the source.
 */
#include <stdio.h>
#include <string.h>

#include "vhd_cli.h"

/* 8 MiB of data in a.vhd and r.raw, whose blocks are in order in the file. */
static void rescue_image(void)
{
	vcli_is("!head -c 8M /dev/urandom >r.raw; $UTIL copy -n r.raw -r -N a.vhd; cp a.vhd good.vhd",
		0, "");
}

/*
 * Rescue a.vhd: it must exit so and say that. The bytes of n.raw outside of
 * [@from, @to) are those of r.raw; inside they are zeros if @zero.
 */
static void rescue_is(int status, const char *says, unsigned int from,
		      unsigned int to, int zero)
{
	char cmd[1024];

	vcli_is("!sha1sum a.vhd >sum; rm -f n.raw n.vhd", 0, "");
	vcli_says("copy --rescue -n a.vhd -N n.vhd", status, says);
	vcli_is("!sha1sum --quiet -c sum && $UTIL check -n n.vhd && $UTIL copy -n n.vhd -N n.raw -R",
		0, "n.vhd is valid\n");
	snprintf(cmd, sizeof(cmd),
		 "!python3 -c 'import sys\n"
		 "a, b = open(\"r.raw\", \"rb\").read(), open(\"n.raw\", \"rb\").read()\n"
		 "f, t = %u, %u\n"
		 "print(a[:f] == b[:f], a[t:] == b[t:len(a)], %d == 0 or b[f:t] == bytes(t - f))'",
		 from, to, zero);
	vcli_is(cmd, 0, "True True True\n");
}

/* Write 32-bit words, big-endian, at a place of a.vhd. */
static void rescue_poke(unsigned int at, unsigned int word)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd),
		 "!printf '\\%03o\\%03o\\%03o\\%03o' | dd of=a.vhd bs=1 seek=%u conv=notrunc status=none",
		 word >> 24, word >> 16 & 255, word >> 8 & 255, word & 255,
		 at);
	vcli_is(cmd, 0, "");
}

static void test_whole(void **state)
{
	(void)state;
	rescue_image();
	rescue_is(0, "saved: 8388608 of 8388608 bytes", 0, 0, 1);
	vcli_says("copy --rescue -n a.vhd -N n.vhd", 1, "File exists");
	vcli_says("copy --json -n a.vhd -N m.vhd", 2, "--json goes with --rescue");
	vcli_says("copy --rescue -n none -N m.vhd", 1, "none: cannot open");
	vcli_is("!test ! -e m.vhd && test ! -e m.vhd.part", 0, "");
}

static void test_truncated(void **state)
{
	(void)state;
	rescue_image();
	/* The third block has 1 MiB; its data begins at the next page. */
	vcli_is("!o=$($UTIL read -n a.vhd -b 2 | grep -o '[0-9]*$'); truncate -s $((o + 512 + 1048576)) a.vhd",
		0, "");
	vcli_says("check -n a.vhd", 1, "truncated");
	vcli_says("query -n a.vhd", 1, "copy --rescue -n");
	rescue_is(3, "missing: bytes 5242880 to 6291455 (1048576 bytes): beyond the end of the file\nmissing: bytes 6291456 to 8388607 (2097152 bytes): block is lost\nsaved: 5242880 of 8388608 bytes",
		  5242880, 8388608, 1);
	vcli_is("!rm n.vhd; $UTIL copy --rescue --json -n a.vhd -N n.vhd 2>/dev/null | python3 -c 'import json, sys\n"
		"a = json.load(sys.stdin)\n"
		"print(a[\"complete\"], a[\"size\"], a[\"missing_bytes\"], [(r[\"offset\"], r[\"length\"], r[\"doubtful\"]) for r in a[\"ranges\"]], len(a[\"problems\"]))'",
		0, "False 8388608 3145728 [(5242880, 1048576, False), (6291456, 2097152, False)] 2\n");
	/* Not whole sectors are left. */
	vcli_is("!truncate -s -100 a.vhd", 0, "");
	rescue_is(3, "bytes 5242368 to 6291455", 5242368, 8388608, 1);
	vcli_is("!: >a.vhd", 0, "");
	vcli_says("query -n a.vhd", 1, "file size is 0: it was truncated");
}

/* The BAT is at 1536. */
static void test_table(void **state)
{
	(void)state;
	rescue_image();
	rescue_poke(1536 + 4, 0x7fffffff);
	rescue_is(3, "missing: bytes 2097152 to 4194303 (2097152 bytes): block is lost",
		  2097152, 4194304, 1);
	rescue_poke(1536 + 4, 2);
	vcli_says("query -n a.vhd", 1, "overlaps the header");
	rescue_is(3, "1 blocks lie beyond", 2097152, 4194304, 1);
	vcli_is("!dd if=a.vhd of=a.vhd bs=1 skip=1536 seek=1540 count=4 conv=notrunc status=none",
		0, "");
	vcli_says("query -n a.vhd", 1, "overlaps another one");
	rescue_is(3, "doubtful: bytes 0 to 4194303 (4194304 bytes): block overlaps another one or is misplaced\nsaved: 8388608 of 8388608 bytes, of them doubtful: 4194304",
		  2097152, 4194304, 0);
}

/*
 * A bit of an entry is wrong and no block overlaps another: the gaps between
 * blocks, the batmap and the footer tell. Bits that are clear in what is taken
 * for the bitmap do not make a hole of the block.
 */
static void test_misplaced(void **state)
{
	(void)state;
	rescue_image();
	rescue_poke(1536, 6);
	rescue_is(3, "doubtful: bytes 0 to 2097151 (2097152 bytes): block overlaps another one or is misplaced\nsaved: 8388608 of 8388608 bytes, of them doubtful: 2097152",
		  0, 2097152, 0);
	rescue_poke(1536, 7);
	rescue_poke(1536 + 4, 4110);
	rescue_is(3, "doubtful: bytes 2097152 to 4194303 (2097152 bytes): block overlaps another one or is misplaced\nsaved: 8388608 of 8388608 bytes, of them doubtful: 2097152",
		  2097152, 4194304, 0);
	rescue_poke(1536 + 4, 4111);
	rescue_poke(1536 + 12, 12319 + 32);
	rescue_is(3, "doubtful: bytes 6291456 to", 6291456, 8388608, 0);
}

/* The rest of the header is what its checksum says. */
static void test_cookie(void **state)
{
	(void)state;
	rescue_image();
	rescue_poke(512, 0x63787371);
	rescue_is(0, "saved: 8388608 of 8388608 bytes", 0, 0, 1);
}

/* Early images of tap have the bits of each byte of a bitmap in reverse. */
static void test_old_bits(void **state)
{
	(void)state;
	rescue_image();
	rescue_poke(32, 1);
	vcli_is("!truncate -s -512 a.vhd; printf '\\007' | dd of=a.vhd bs=1 seek=3584 conv=notrunc status=none; dd if=/dev/zero of=r.raw bs=512 seek=3 count=5 conv=notrunc status=none",
		0, "");
	rescue_is(0, "saved: 8388608 of 8388608 bytes", 0, 0, 1);
}

static void test_footers(void **state)
{
	(void)state;
	rescue_image();
	/* Checksums: of both footers, and of the header. */
	rescue_poke(64, 1);
	vcli_is("!dd if=a.vhd of=a.vhd bs=512 count=1 seek=$(($(stat -c %s a.vhd) / 512 - 1)) conv=notrunc status=none",
		0, "");
	rescue_poke(512 + 36, 1);
	rescue_is(0, "the checksum or the cookie of the header is wrong", 0, 0, 1);
	/* No footer at all. */
	vcli_is("!cp good.vhd a.vhd; truncate -s -512 a.vhd; dd if=/dev/zero of=a.vhd bs=512 count=1 conv=notrunc status=none",
		0, "");
	vcli_says("query -n a.vhd", 1, "truncated");
	rescue_is(0, "there is no footer: the size of the disk is taken from the header",
		  0, 0, 1);
	vcli_is("!dd if=/dev/zero of=a.vhd bs=512 count=3 conv=notrunc status=none",
		0, "");
	vcli_says("copy --rescue -n a.vhd -N m.vhd", 1,
		  "neither a footer nor a header");
	/* Padded: the copy at 0 counts; without it there is that before. */
	vcli_is("!cp good.vhd a.vhd; truncate -s +1000000 a.vhd", 0, "");
	rescue_is(0, "saved: 8388608 of 8388608", 0, 0, 1);
	vcli_says("check -n a.vhd", 1, "vhd-util repair -n");
	vcli_is("!cp a.vhd b.vhd; $UTIL repair -n b.vhd 2>/dev/null; cmp b.vhd good.vhd",
		0, "");
	rescue_poke(0, 0);
	vcli_says("check -n a.vhd", 1, "was padded, and the copy");
	/* With its checksum wrong as well, nothing tells what it was. */
	rescue_poke(64, 0);
	rescue_is(0, "the file was padded", 0, 0, 1);
	/* Interrupted, and the journal is lost: nothing is certain. */
	vcli_is("!cp good.vhd a.vhd; printf v_poison | dd of=a.vhd conv=notrunc status=none; truncate -s -512 a.vhd; : >a.vhd.journal",
		0, "");
	vcli_says("query -n a.vhd", 1, "was interrupted");
	vcli_says("query -n a.vhd", 1, "/a.vhd.journal");
	rescue_is(3, "doubtful: bytes 0 to 8388607 (8388608 bytes): a change was interrupted",
		  0, 0, 0);
}

/* A guest's disk may hold an image, which is not the footer looked for. */
static void test_fixed(void **state)
{
	(void)state;
	vcli_is("!head -c 4M /dev/urandom >r.raw; $UTIL create -n a.vhd -s 4 -r; dd if=r.raw of=a.vhd conv=notrunc status=none; cp a.vhd good.vhd; truncate -s 5M a.vhd",
		0, "");
	vcli_says("query -n a.vhd", 1, "the footer is at 4194304");
	vcli_says("query -n a.vhd", 1, "vhd-util repair -n");
	rescue_is(0, "the file was padded", 0, 0, 1);
	vcli_is("!$UTIL repair -n a.vhd; cmp a.vhd good.vhd", 0, "");
	vcli_is("!truncate -s 3M a.vhd", 0, "");
	vcli_says("query -n a.vhd", 1, "copy --rescue -r -n");
	vcli_says("copy --rescue -r -n a.vhd -N n2.raw -R", 0, "saved: 3145728");
	vcli_is("!head -c 3M r.raw | cmp - n2.raw", 0, "");
	/* Of the wrong size for its place. */
	vcli_is("!{ head -c 1M /dev/zero; cat good.vhd; head -c 1M /dev/zero; } >g.raw; cp g.raw h.raw",
		0, "");
	vcli_says("repair -n g.raw", 1, "copy --rescue");
	vcli_is("!cmp g.raw h.raw", 0, "");
}

static void test_chain(void **state)
{
	(void)state;
	rescue_image();
	vcli_is("!mv a.vhd base.vhd; $UTIL snapshot -n a.vhd -p base.vhd; $UTIL fill -n a.vhd -b -f 0 -t 0",
		0, "");
	rescue_is(0, "saved: 8388608 of 8388608", 0, 0, 1);
	/* A parent is rescued as well. */
	vcli_is("!truncate -s -1048576 base.vhd", 0, "");
	rescue_is(3, "missing: bytes 7", 6291456, 8388608, 0);
	vcli_is("!mkdir x; mv base.vhd x", 0, "");
	vcli_says("query -n a.vhd -p", 1, "base.vhd: not found: it was moved");
	vcli_says("query -n a.vhd -p", 1, "modify -n");
	rescue_is(3, "missing: bytes 0 to 8388607 (8388608 bytes): the parent is not there",
		  0, 8388608, 1);
	/* The command that the message names helps. */
	vcli_is("!cp good.vhd x/base.vhd; $($UTIL query -n a.vhd -p 2>&1 | sed \"s,.*; put it back\\, or vhd-util \\(.*\\) PARENT .*,$UTIL \\1 x/base.vhd,\"); $UTIL query -n a.vhd -p",
		0, "%s/x/base.vhd\n");
}

/*
 * A journal as other programs write it: a header, and entries of what was in
 * the image, with checksums. The change that it undoes wrote over the header,
 * the BAT and the first block, and made the file longer.
 */
static void test_foreign_journal(void **state)
{
	static const char make[] =
		"!cat >j.py <<'E'\n"
		"import struct\n"
		"d = open('good.vhd', 'rb').read()\n"
		"end = len(d) - 512\n"
		"def entry(kind, off, size):\n"
		"    h = struct.pack('>QIIQII', 0xaaaa12344321aaaa, kind, size, off, 0, 0xff7f0000)\n"
		"    sum_ = ~(sum(h) + sum(d[off:off + size])) & 0xffffffff\n"
		"    return h[:24] + struct.pack('>I', sum_) + h[28:] + d[off:off + size]\n"
		"meta = entry(1, end, 512) + entry(2, 0, 512) + entry(3, 512, 1024) + entry(5, 1536, 512)\n"
		"data = entry(8, 4096, 2 << 20)\n"
		"head = b'vjournal' + d[68:84] + struct.pack('>QIIQQ', end, 1, 4, 512 + len(meta), 512)\n"
		"open('j', 'wb').write(head.ljust(512, b'\\0') + meta + data)\n"
		"a = bytearray(d)\n"
		"a[0:8] = b'v_poison'\n"
		"a[end:end + 8] = b'v_poison'\n"
		"a[512:2048] = b'x' * 1536\n"
		"a[4096:4096 + (2 << 20)] = b'y' * (2 << 20)\n"
		"open('a.vhd', 'wb').write(a + b'z' * 100000)\n"
		"E\n"
		"python3 j.py";

	(void)state;
	rescue_image();
	vcli_is(make, 0, "");
	vcli_says("query -n a.vhd", 1, "was interrupted");
	vcli_says("query -n a.vhd", 1, "vhd-util revert -n");
	/* A journal that is damaged or another image's changes nothing. */
	vcli_is("!cp j k; cp a.vhd b.vhd; printf x | dd of=k bs=1 seek=1600 conv=notrunc status=none",
		0, "");
	vcli_says("revert -n a.vhd -j k", 1, "nothing was undone");
	vcli_is("!cp j k; truncate -s -100 k", 0, "");
	vcli_says("revert -n a.vhd -j k", 1, "nothing was undone");
	vcli_is("create -n c.vhd -s 4", 0, "");
	vcli_says("revert -n c.vhd -j j", 1, "that of another image");
	vcli_is("!cmp a.vhd b.vhd", 0, "");
	vcli_is("revert -n a.vhd -j j", 0, "");
	vcli_is("!cmp a.vhd good.vhd && test ! -e j", 0, "");
}

static void test_kinds(void **state)
{
	(void)state;
	vcli_is("!head -c 1M /dev/urandom >r; for f in qcow2 vmdk vdi vhdx; do qemu-img create -q -f $f $f 4M; done; xz -k r",
		0, "");
	vcli_says("query -n qcow2", 1, "is no VHD image but a qcow image");
	vcli_says("query -n vmdk", 1, "is no VHD image but a VMDK image");
	vcli_says("query -n vdi", 1, "is no VHD image but a VDI image");
	vcli_says("query -n vhdx", 1, "is no VHD image but a VHDX image");
	vcli_says("query -n r.xz", 1, "but compressed with xz");
	vcli_says("query -n r", 1, "is a raw image, or a VHD image that was truncated");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_whole),
		TEST(test_truncated),
		TEST(test_table),
		TEST(test_misplaced),
		TEST(test_cookie),
		TEST(test_old_bits),
		TEST(test_footers),
		TEST(test_fixed),
		TEST(test_chain),
		TEST(test_foreign_journal),
		TEST(test_kinds),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_rescue", tests, NULL, NULL);
}
