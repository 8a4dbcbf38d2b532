// SPDX-License-Identifier: GPL-2.0
/*
 * What nobody may lose: images in use, children, sizes, and what images of
 * other programs hold.
 */
#include "vhd_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvhd/libvhd.h"

#define DATA_BLOCK	4096	/* sectors */

static const char *data_path(const char *name)
{
	static char path[2][128];
	static int i;

	i = !i;
	snprintf(path[i], sizeof(path[i]), "%s/%s", vcli_dir, name);
	return path[i];
}

static void data_put(const char *name, uint64_t sector, char c)
{
	char buf[512];
	struct vhd_disk *disk;

	memset(buf, c, sizeof(buf));
	assert_int_equal(vhd_disk_open(data_path(name), 0, NULL, &disk), 0);
	assert_int_equal(vhd_disk_write(disk, buf, sector, 1), 0);
	assert_int_equal(vhd_disk_close(disk), 0);
}

/* By vhd_disk_open(), as tapdisk reads it, and by vhd-util. */
static void data_is(const char *name, uint64_t sector, char c)
{
	char buf[512], cmd[128], want[16];
	struct vhd_disk *disk;

	assert_int_equal(vhd_disk_open(data_path(name), VHD_DISK_RDONLY, NULL,
				       &disk), 0);
	assert_int_equal(vhd_disk_read(disk, buf, sector, 1), 0);
	assert_int_equal(vhd_disk_close(disk), 0);
	assert_int_equal(buf[0], c);
	assert_int_equal(buf[511], c);
	snprintf(cmd, sizeof(cmd), "read -n %s -r %llu | od -An -tx1 -N1",
		 name, (unsigned long long)sector);
	snprintf(want, sizeof(want), " %02x\n", c);
	vcli_is(cmd, 0, want);
}

/* Nothing is made a child of what somebody writes to. */
static void test_in_use(void **state)
{
	struct vhd_disk *disk;

	(void)state;
	vcli_is("create -n a.vhd -s 8", 0, "");
	vcli_is("create -n b.vhd -s 8", 0, "");
	vcli_is("snapshot -n c.vhd -p b.vhd", 0, "");
	vcli_is("!truncate -s 8M r.raw", 0, "");
	assert_int_equal(vhd_disk_open(data_path("a.vhd"), 0, NULL, &disk), 0);
	vcli_says("snapshot -n n.vhd -p a.vhd", 1, "another program has it open for writing");
	vcli_is("!test ! -e n.vhd", 0, "");
	vcli_says("modify -n c.vhd -p a.vhd", 1, "another program has it open for writing");
	vcli_is("query -n c.vhd -pu", 0, "./b.vhd\n");
	/* Also not of one with a parent that is written. */
	vcli_says("coalesce -n c.vhd -x a.vhd", 1, "in use");
	assert_int_equal(vhd_disk_close(disk), 0);
	/* A raw one, and readers do not mind. */
	vcli_says("!flock_ofd() { python3 -c \"import fcntl,struct,os,time;f=os.open('r.raw',os.O_RDWR);fcntl.fcntl(f,37,struct.pack('hhqqi4x',1,0,0,0,0));open('ok','w');time.sleep(60)\" & echo $! > pid; }; flock_ofd >/dev/null 2>&1; while ! test -e ok; do sleep 0.05; done",
		  0, "");
	vcli_says("snapshot -n n.vhd -p r.raw -m", 1, "another program has it open for writing");
	vcli_says("modify -n c.vhd -p r.raw -m", 1, "another program has it open for writing");
	vcli_is("!kill $(cat pid)", 0, "");
	assert_int_equal(vhd_disk_open(data_path("a.vhd"), VHD_DISK_RDONLY,
				       NULL, &disk), 0);
	vcli_is("snapshot -n n.vhd -p a.vhd", 0, "");
	assert_int_equal(vhd_disk_close(disk), 0);
}

/* What an image holds does not change below its children. */
static void test_children(void **state)
{
	(void)state;
	vcli_is("create -n base.vhd -s 8", 0, "");
	data_put("base.vhd", 2 * DATA_BLOCK, 'b');
	vcli_is("snapshot -n mid.vhd -p base.vhd -e", 0, "");
	vcli_is("snapshot -n one.vhd -p mid.vhd -e", 0, "");
	vcli_is("snapshot -n two.vhd -p mid.vhd -e", 0, "");
	data_put("one.vhd", 0, '1');
	vcli_says("coalesce -n one.vhd", 1, "two.vhd is a child of it as well");
	/* mid is the only child of base, but two is one of mid. */
	vcli_says("coalesce -n one.vhd -a base.vhd", 1,
		  "two.vhd is a child of it as well");
	data_is("two.vhd", 0, 0);
	vcli_says("modify -n base.vhd -z", 1, "mid.vhd is a child of it");
	vcli_says("resize -n base.vhd -s 2 -j j --shrink", 1,
		  "mid.vhd is a child of it");
	data_is("two.vhd", 2 * DATA_BLOCK, 'b');
	/* Growing changes nothing for them. */
	vcli_is("resize -n base.vhd -s 12 -j j", 0, "");
	data_is("two.vhd", 2 * DATA_BLOCK, 'b');
	vcli_is("!rm two.vhd", 0, "");
	vcli_is("coalesce -n one.vhd -a base.vhd", 0,
		"Coalesced 4096 sectors\n");
	data_is("base.vhd", 0, '1');
}

/* The size is a part of the disk. */
static void test_grown_child(void **state)
{
	(void)state;
	vcli_is("create -n base.vhd -s 10", 0, "");
	vcli_is("snapshot -n child.vhd -p base.vhd -e", 0, "");
	vcli_is("resize -n child.vhd -s 9001 -j j", 0, "");
	vcli_is("coalesce -n child.vhd", 0, "Coalesced 0 sectors\n");
	vcli_is("query -n base.vhd -v", 0, "9001\n");
	data_put("child.vhd", 9001 * 2048 - 1, 'x');
	vcli_is("coalesce -n child.vhd", 0, "Coalesced 2048 sectors\n");
	data_is("base.vhd", 9001 * 2048 - 1, 'x');
	vcli_is("check -n base.vhd -b", 0, "base.vhd is valid\n");
	/* Fixed and raw parents. */
	vcli_is("create -n f.vhd -s 2 -r", 0, "");
	vcli_is("snapshot -n fc.vhd -p f.vhd", 0, "");
	vcli_is("resize -n fc.vhd -s 5 -j j", 0, "");
	vcli_is("coalesce -n fc.vhd", 0, "Coalesced 0 sectors\n");
	vcli_is("query -n f.vhd -vs", 0, "5\n5243392\n");
	vcli_is("!truncate -s 1M r.raw", 0, "");
	vcli_is("snapshot -n rc.vhd -p r.raw -m", 0, "");
	vcli_is("resize -n rc.vhd -s 5 -j j", 0, "");
	vcli_is("coalesce -n rc.vhd", 0, "Coalesced 0 sectors\n");
	vcli_is("!stat -c %s r.raw", 0, "5242880\n");
}

/* Nothing is cut off that was not said to be. */
static void test_shrink(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 64", 0, "");
	data_put("a.vhd", 8 * 2048 - 1, 'k');
	data_put("a.vhd", 8 * 2048, 'l');
	data_put("a.vhd", 60 * 2048, 'l');
	vcli_says("resize -n a.vhd -s 8 -j j", 1,
		  "1024 bytes of data behind it would be lost");
	vcli_is("query -n a.vhd -v", 0, "64\n");
	vcli_is("!test ! -e j", 0, "");
	vcli_is("resize -n a.vhd -s 8 -j j --shrink", 0, "");
	vcli_is("query -n a.vhd -v", 0, "8\n");
	data_is("a.vhd", 8 * 2048 - 1, 'k');
	vcli_is("create -n f.vhd -s 4 -r", 0, "");
	data_put("f.vhd", 3 * 2048, 'l');
	vcli_says("resize -n f.vhd -s 3 -j j", 1, "512 bytes of data behind");
	vcli_is("resize -n f.vhd -s 3 -j j --shrink", 0, "");
	vcli_says("create -n x.vhd -s 4 --shrink", 2, "has no option --shrink");
}

/* Sizes are those that were asked for, to the sector. */
/* A child names its parent by the UUID; zeros there mean a raw parent. */
static void test_no_uuid(void **state)
{
	uint8_t footer[512];
	uint32_t sum = 0;
	unsigned int i;
	FILE *f;

	(void)state;
	vcli_is("create -n u.vhd -s 2 -r", 0, "");
	f = fopen(data_path("u.vhd"), "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, -512, SEEK_END), 0);
	assert_int_equal(fread(footer, 1, 512, f), 512);
	memset(footer + 64, 0, 20);
	for (i = 0; i < 512; i++)
		sum += footer[i];
	for (i = 0; i < 4; i++)
		footer[64 + i] = ~sum >> (24 - 8 * i);
	assert_int_equal(fseek(f, -512, SEEK_END), 0);
	assert_int_equal(fwrite(footer, 1, 512, f), 512);
	assert_int_equal(fclose(f), 0);
	vcli_says("snapshot -n v.vhd -p u.vhd", 1, "has no UUID");
	vcli_is("!test ! -e v.vhd", 0, "");
	vcli_is("copy -n u.vhd -N w.vhd", 0, "");
	vcli_is("snapshot -n v.vhd -p w.vhd", 0, "");
}

static void test_sizes(void **state)
{
	struct vhd_disk *disk;

	(void)state;
	/* A block of which the disk has one sector. */
	assert_int_equal(vhd_disk_create(data_path("o.vhd"), DATA_BLOCK + 1,
					 NULL, 0, NULL), 0);
	data_put("o.vhd", DATA_BLOCK, 'o');
	data_is("o.vhd", DATA_BLOCK, 'o');
	vcli_is("check -n o.vhd -s", 0,
		"o.vhd is valid\nblocks: 1 full: 1 sectors: 1\n");
	vcli_is("snapshot -n oc.vhd -p o.vhd", 0, "");
	vcli_is("copy -n oc.vhd -N p.vhd", 0, "");
	vcli_is("copy -n p.vhd -N p.raw -R && stat -c %s p.raw", 0,
		"2097664\n");
	assert_int_equal(vhd_disk_open(data_path("oc.vhd"), 0, NULL, &disk), 0);
	assert_int_equal(vhd_disk_sectors(disk), DATA_BLOCK + 1);
	assert_int_equal(vhd_disk_close(disk), 0);
	/* What was behind the end when it grows is zeros. */
	assert_int_equal(vhd_disk_resize(data_path("o.vhd"), DATA_BLOCK + 9,
					 NULL, NULL), 0);
	data_is("o.vhd", DATA_BLOCK, 'o');
	data_is("o.vhd", DATA_BLOCK + 1, 0);
	data_put("o.vhd", DATA_BLOCK + 8, 'p');
	vcli_is("check -n o.vhd -b", 0, "o.vhd is valid\n");
	/* Of QEMU's, as large as it says. */
	vcli_is("!qemu-img create -q -f vpc -o force_size b.vhd 31M", 0, "");
	vcli_is("snapshot -n bc.vhd -p b.vhd", 0, "");
	vcli_is("scan -f b.vhd bc.vhd | cut -d' ' -f2", 0,
		"capacity=32505856\ncapacity=32505856\n");
	/* The batmap of tap has no bits for the last of these blocks. */
	vcli_is("create -n m.vhd -s 8194", 0, "");
	data_put("m.vhd", 8194 * 2048 - 1, 'm');
	vcli_is("check -n m.vhd -s", 0,
		"m.vhd is valid\nblocks: 1 full: 1 sectors: 4096\n");
	data_is("m.vhd", 8194 * 2048 - 1, 'm');
	vcli_is("resize -n m.vhd -s 8195 -j j", 0, "");
	data_is("m.vhd", 8194 * 2048 - 1, 'm');
	/* The end of a raw image. */
	vcli_is("!printf 'tail' > t; truncate -s 1M t.raw; cat t >> t.raw", 0,
		"");
	vcli_says("copy -n t.raw -r -N t.vhd", 0,
		  "size is 1048580, not a multiple of 512: the disk gets 1049088");
	vcli_is("read -n t.vhd -R 1048576 -c 6 | od -An -c", 0,
		"   t   a   i   l  \\0  \\0\n");
	vcli_says("snapshot -n tc.vhd -p t.raw -m", 1, "truncate -s %512");
}

/* Changes of a footer or header, as python code on f and h. */
static void data_patch(const char *name, const char *what)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd),
		 "!cat > p.py <<'E'\n"
		 "import struct\n"
		 "d = open('%s', 'r+b'); d.seek(0); f = bytearray(d.read(512)); h = bytearray(d.read(1024))\n"
		 "def sum4(b, at): struct.pack_into('>I', b, at, 0); struct.pack_into('>I', b, at, ~sum(b) & 0xffffffff)\n"
		 "%s\n"
		 "sum4(f, 64); sum4(h, 36); d.seek(0); d.write(f + h); d.seek(-512, 2); d.write(f)\n"
		 "E\npython3 p.py", name, what);
	vcli_is(cmd, 0, "");
}

/* Parents whose geometry counts, and is less than the size in the footer. */
static void test_virtual_pc(void **state)
{
	(void)state;
	/* 67609 sectors; 994 cylinders of 68 are 67592. */
	assert_int_equal(vhd_disk_create(data_path("p.vhd"), 67609, NULL, 0,
					 NULL), 0);
	data_put("p.vhd", 67591, 'c');
	data_put("p.vhd", 67608, 'v');
	vcli_is("snapshot -n c.vhd -p p.vhd", 0, "");
	data_patch("p.vhd", "f[28:32] = b'vpc '");
	vcli_is("scan p.vhd c.vhd | cut -d' ' -f2", 0,
		"capacity=34607104\ncapacity=34615808\n");
	data_is("p.vhd", 67591, 'c');
	data_is("c.vhd", 67591, 'c');
	data_is("c.vhd", 67608, 'v');
	/* And is still there when the child goes. */
	data_put("c.vhd", 0, 'w');
	vcli_is("coalesce -n c.vhd", 0, "Coalesced 4096 sectors\n");
	vcli_is("scan p.vhd | cut -d' ' -f2", 0, "capacity=34615808\n");
	data_is("p.vhd", 67608, 'v');
	data_is("p.vhd", 0, 'w');
	/* A fixed one. */
	assert_int_equal(vhd_disk_create(data_path("f.vhd"), 67609, NULL,
					 VHD_DISK_FIXED, NULL), 0);
	data_put("f.vhd", 67608, 'f');
	vcli_is("snapshot -n fc.vhd -p f.vhd", 0, "");
	vcli_is("!cat > q.py <<'E'\n"
		"d = open('f.vhd', 'r+b'); d.seek(-512, 2); f = bytearray(d.read(512))\n"
		"import struct\n"
		"f[28:32] = b'vpc '; struct.pack_into('>I', f, 64, 0); struct.pack_into('>I', f, 64, ~sum(f) & 0xffffffff)\n"
		"d.seek(-512, 2); d.write(f)\n"
		"E\npython3 q.py", 0, "");
	data_is("fc.vhd", 67608, 'f');
}

/* Bitmaps of creator tap, version 0.1, have the lowest bit first. */
static void test_old_bits(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 4", 0, "");
	data_put("a.vhd", 9, 'p');
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	data_patch("b.vhd", "struct.pack_into('>I', f, 32, 1)");
	data_put("b.vhd", 1, 'q');
	/* As that program would have it in the file. */
	vcli_is("read -n b.vhd -b 0 | grep -o '[0-9]*$' > off; dd if=b.vhd bs=512 count=1 skip=$(($(cat off) / 512)) status=none | od -An -tx1 -N1",
		0, " 02\n");
	data_is("b.vhd", 0, 0);
	data_is("b.vhd", 1, 'q');
	data_is("b.vhd", 6, 0);
	data_is("b.vhd", 9, 'p');
	vcli_is("read -n b.vhd -i 0 -c 2", 0,
		"block 0: sec: 0: 0\nblock 0: sec: 1: 1\n");
	vcli_is("check -n b.vhd -s", 0,
		"b.vhd is valid\nblocks: 1 full: 0 sectors: 1\n");
	/* Merging from and into it. */
	vcli_is("snapshot -n c.vhd -p b.vhd -e", 0, "");
	data_put("c.vhd", 4, 'r');
	vcli_is("coalesce -n c.vhd", 0, "Coalesced 1 sectors\n");
	vcli_is("!dd if=b.vhd bs=512 count=1 skip=$(($(cat off) / 512)) status=none | od -An -tx1 -N1",
		0, " 12\n");
	vcli_is("coalesce -n b.vhd", 0, "Coalesced 2 sectors\n");
	data_is("a.vhd", 4, 'r');
	data_is("a.vhd", 1, 'q');
	data_is("a.vhd", 9, 'p');
}

/* XenServer's largest disk: more than we make, but it is used and copied. */
static void test_xenserver(void **state)
{
	const uint64_t last = 2093050ULL * 2048 - 1;

	(void)state;
	vcli_is("create -n a.vhd -s 64 -S 2088960", 0, "");
	/* As that program lays it out, without a batmap. */
	vcli_is("!cat > x.py <<'E'\n"
		"import struct\n"
		"d = open('a.vhd', 'r+b'); f = bytearray(d.read(512)); h = bytearray(d.read(1024)); n = 2093050 // 2\n"
		"def sum4(b, at): struct.pack_into('>I', b, at, 0); struct.pack_into('>I', b, at, ~sum(b) & 0xffffffff)\n"
		"struct.pack_into('>QQ', f, 40, n << 21, n << 21); struct.pack_into('>HBB', f, 56, 65535, 16, 255); sum4(f, 64)\n"
		"struct.pack_into('>I', h, 28, n); sum4(h, 36)\n"
		"d.truncate(0); d.seek(0); d.write(f + h + b'\\xff' * ((n * 4 + 511) // 512 * 512) + f)\n"
		"E\npython3 x.py", 0, "");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	vcli_is("query -n a.vhd -v", 0, "2093050\n");
	data_put("a.vhd", last, 'z');
	data_is("a.vhd", last, 'z');
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("query -n b.vhd -v", 0, "2093050\n");
	data_is("b.vhd", last, 'z');
	data_put("b.vhd", 0, 'y');
	vcli_is("copy -n b.vhd -N c.vhd", 0, "");
	vcli_is("query -n c.vhd -v", 0, "2093050\n");
	data_is("c.vhd", last, 'z');
	vcli_is("coalesce -n b.vhd", 0, "Coalesced 4096 sectors\n");
	data_is("a.vhd", 0, 'y');
	vcli_is("compact -n a.vhd", 0, "dropped blocks: 0\n");
	vcli_is("resize -n c.vhd -s 2088960 -j j --shrink", 0, "");
	vcli_is("check -n c.vhd -b", 0, "c.vhd is valid\n");
}

/* Zeros take no space, wherever they are put. */
static void test_sparse(void **state)
{
	(void)state;
	/* Blocks with one sector of data each, the rest holes. */
	vcli_is("create -n a.vhd -s 64", 0, "");
	vcli_is("fill -n a.vhd -b", 0, "");
	data_put("a.vhd", 0, 'a');
	data_put("a.vhd", 31 * DATA_BLOCK, 'a');
	vcli_is("!test $(du -k a.vhd | cut -f1) -lt 1024", 0, "");
	/* The first block moves for the larger table. */
	vcli_is("resize -n a.vhd -s 65536 -j j", 0, "");
	vcli_is("!test $(du -k a.vhd | cut -f1) -lt 1024", 0, "");
	data_is("a.vhd", 0, 'a');
	vcli_is("compact -n a.vhd", 0, "dropped blocks: 30\n");
	vcli_is("!test $(du -k a.vhd | cut -f1) -lt 1024", 0, "");
	data_is("a.vhd", 0, 'a');
	data_is("a.vhd", 31 * DATA_BLOCK, 'a');
	/* Data below zeros that are merged gives its space back. */
	vcli_is("create -n p.vhd -s 4", 0, "");
	vcli_is("!head -c 4M /dev/zero | tr '\\0' x > x.raw", 0, "");
	vcli_is("copy -n x.raw -r -N p.vhd2", 0, "");
	vcli_is("!mv p.vhd2 p.vhd", 0, "");
	vcli_is("snapshot -n c.vhd -p p.vhd", 0, "");
	vcli_is("fill -n c.vhd -b -f 0 -t 0", 0, "");
	vcli_is("read -n c.vhd -b 0 | grep -o '[0-9]*$' > off", 0, "");
	vcli_is("!head -c 512 /dev/zero | tr '\\0' '\\377' | dd of=c.vhd bs=512 seek=$(($(cat off) / 512)) conv=notrunc status=none",
		0, "");
	vcli_is("coalesce -n c.vhd", 0, "Coalesced 4096 sectors\n");
	data_is("p.vhd", 1, 0);
	data_is("p.vhd", DATA_BLOCK, 'x');
	vcli_is("!test $(du -k p.vhd | cut -f1) -lt 3072", 0, "");
	/* The space of a fixed image stays, without -s. */
	vcli_is("create -n f.vhd -s 4 -r", 0, "");
	vcli_is("!dd if=x.raw of=f.vhd conv=notrunc status=none", 0, "");
	vcli_is("coalesce -n c.vhd -x f.vhd", 0, "Coalesced 4096 sectors\n");
	vcli_is("!test $(du -k f.vhd | cut -f1) -ge 4096", 0, "");
	data_is("f.vhd", 1, 0);
	vcli_is("!dd if=x.raw of=f.vhd conv=notrunc status=none", 0, "");
	vcli_is("coalesce -n c.vhd -x f.vhd -s", 0, "Coalesced 4096 sectors\n");
	vcli_is("!test $(du -k f.vhd | cut -f1) -lt 3072", 0, "");
}

/* What a copy that was killed left is not in the way of the next. */
static void test_leftovers(void **state)
{
	(void)state;
	vcli_is("!head -c 3M /dev/urandom > r.raw", 0, "");
	vcli_is("!head -c 9M /dev/urandom > n.vhd.part", 0, "");
	vcli_is("copy -n r.raw -r -N n.vhd", 0, "");
	vcli_is("copy -n n.vhd -N n.raw -R && cmp n.raw r.raw", 0, "");
	vcli_is("!ls | grep -c part", 1, "0\n");
	vcli_is("!echo x > n2.raw.part; $UTIL copy -n n.vhd -N n2.raw -R && cmp n2.raw r.raw",
		0, "");
	/* One that runs owns it. */
	vcli_says("!python3 -c \"import fcntl,struct,os,time;f=os.open('m.vhd.part',os.O_RDWR|os.O_CREAT);fcntl.fcntl(f,37,struct.pack('hhqqi4x',1,0,0,0,0));os.write(f,b'mine');open('ok','w');time.sleep(60)\" >/dev/null 2>&1 & echo $! > pid; while ! test -e ok; do sleep 0.05; done",
		  0, "");
	vcli_says("copy -n r.raw -r -N m.vhd", 1, "m.vhd.part: in use");
	vcli_is("!cat m.vhd.part; test ! -e m.vhd", 0, "mine");
	vcli_is("!kill $(cat pid); rm m.vhd.part; ln -s r.raw m.vhd.part", 0,
		"");
	vcli_says("copy -n r.raw -r -N m.vhd", 1, "m.vhd.part: cannot create");
	vcli_is("copy -n n.vhd -N n3.raw -R && cmp n3.raw r.raw", 0, "");
}

/* A fixed image, as Azure wants it: a multiple of 1 MiB, zeros as holes. */
static void test_copy_fixed(void **state)
{
	(void)state;
	assert_int_equal(vhd_disk_create(data_path("a.vhd"), 64 * 2048 + 1,
					 NULL, 0, NULL), 0);
	data_put("a.vhd", 64 * 2048, 'z');
	vcli_is("copy -n a.vhd -N f.vhd -t fixed", 0, "");
	vcli_is("query -n f.vhd -s", 0, "67109888\n");
	data_is("f.vhd", 64 * 2048, 'z');
	vcli_is("copy -n a.vhd -N g.vhd -t fixed --align 1M", 0, "");
	vcli_is("query -n g.vhd -vs", 0, "65\n68157952\n");
	vcli_is("read -n g.vhd -p | grep 'Disk type'", 0,
		"Disk type           : Fixed hard disk\n");
	data_is("g.vhd", 64 * 2048, 'z');
	data_is("g.vhd", 64 * 2048 + 1, 0);
	vcli_says("!qemu-img info -f vpc g.vhd", 0, "(68157440 bytes)");
	vcli_is("!test $(du -k g.vhd | cut -f1) -lt 1024", 0, "");
	vcli_is("copy -n a.vhd -N r.raw -t raw --align 4K && stat -c %s r.raw",
		0, "67112960\n");
	vcli_is("copy -n a.vhd -N d.vhd -t dynamic --align 2M", 0, "");
	vcli_is("query -n d.vhd -va", 0, "66\n1\n");
	vcli_says("copy -n a.vhd -N x -t thick", 2, "must be dynamic, fixed or raw");
	vcli_says("copy -n a.vhd -N x -R -t fixed", 2, "excludes -R");
	vcli_says("copy -n a.vhd -N x --align 1000B", 1, "must be a multiple of 512");
	vcli_says("copy -n a.vhd -N x --rescue --align 1M", 2, "--rescue excludes");
	vcli_says("create -n x -s 2 --align 1M", 2, "has no option --align");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_in_use),
		TEST(test_children),
		TEST(test_grown_child),
		TEST(test_shrink),
		TEST(test_no_uuid),
		TEST(test_sizes),
		TEST(test_virtual_pc),
		TEST(test_old_bits),
		TEST(test_xenserver),
		TEST(test_sparse),
		TEST(test_leftovers),
		TEST(test_copy_fixed),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_data", tests, NULL, NULL);
}
