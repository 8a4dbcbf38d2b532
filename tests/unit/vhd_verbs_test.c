// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs of vhd-util that look into images and change them: each option,
 * the output to the letter, and QEMU's opinion of the result.
 */
#include "vhd_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char verbs_loop[32];

/* An image of 64 MB with data in blocks 0 and 3, by QEMU. */
static void verbs_image(const char *name)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "create -n %s -s 64", name);
	vcli_is(cmd, 0, "");
	/* QEMU writes the first block of an empty image over the batmap. */
	snprintf(cmd, sizeof(cmd), "fill -n %s -b -f 0 -t 0", name);
	vcli_is(cmd, 0, "");
	snprintf(cmd, sizeof(cmd),
		 "!qemu-io -f vpc -c 'write -P 1 0 2M' -c 'write -P 3 6M 1M' %s >/dev/null",
		 name);
	vcli_is(cmd, 0, "");
}

/* Both must hold the same disk, says vhd-util; qemu-img if it can. */
static void verbs_same(const char *vhd, const char *raw)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd),
		 "copy -n %s -N same.raw -R && cmp %s same.raw && rm same.raw",
		 vhd, raw);
	vcli_is(cmd, 0, "");
}

static void test_read(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("read -n a.vhd -b 0 -c 4", 0,
		"block: 0: offset: 3584\n"
		"block: 1: offset: not allocated\n"
		"block: 2: offset: not allocated\n"
		"block: 3: offset: 2101248\n");
	vcli_is("read -n a.vhd -b 0 -x", 0, "block: 0: offset: 0xe00\n"
		);
	vcli_is("read -n a.vhd -t 4097", 0,
		"logical sector 4097: block number: 1, sector offset: 1, file offset: not allocated\n");
	vcli_is("read -n a.vhd -t 12288 -c 2", 0,
		"logical sector 12288: block number: 3, sector offset: 0, file offset: 2101760\n"
		"logical sector 12289: block number: 3, sector offset: 1, file offset: 2102272\n");
	vcli_is("read -n a.vhd -B | od -An -tx1", 0, " 90 00 00 00\n");
	vcli_is("read -n a.vhd -m 0 | od -An -tx1 -N2", 0, " ff ff\n");
	vcli_is("read -n a.vhd -m 1", 0, "block 1 not allocated\n");
	vcli_is("read -n a.vhd -d 3 | od -An -tx1 -N2", 0, " 03 03\n");
	vcli_is("read -n a.vhd -d 3 | wc -c", 0, "2097152\n");
	vcli_is("read -n a.vhd -i 4095 -c 2", 0,
		"block 0: sec: 4095: 1\nblock 1: sec: 4096: 0\n");
	vcli_is("read -n a.vhd -e 1 -c 131071", 0, "1 4095\n12288 4096\n");
	vcli_is("read -n a.vhd -e 1 -c 100 -x", 0, "0x1 0x64\n");
	vcli_is("read -n a.vhd -a | od -An -tx1 -N1", 0, " 80\n");
	vcli_is("read -n a.vhd -j 0 -c 2", 0,
		"batmap for block 0: 1\nbatmap for block 1: 0\n");
	vcli_is("read -n a.vhd -r 0 | cmp - /dev/zero -n 512 | cut -c1-20", 0,
		"- /dev/zero differ: \n");
	vcli_is("read -n a.vhd -R 6291455 -c 2 -C | od -An -tx1", 0,
		" 00 03\n");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("read -n b.vhd -r 12288 -c 3 | od -An -tx1 -N1", 0, " 03\n");
	vcli_says("read -n b.vhd -r 131072", 1,
		  "sector 131072 and the next 0 must be in 0 to 131071");
	vcli_says("read -n b.vhd -b 32", 1, "must be in 0 to 31");
	vcli_says("read -n b.vhd -b x", 2, "-b is x, must be 0 to");
	vcli_says("read -n b.vhd", 2, "is missing");
	vcli_is("create -n f.vhd -s 2 -r", 0, "");
	vcli_says("read -n f.vhd -b 0", 1, "must be 3 or 4 for -b");
	vcli_is("read -n f.vhd -r 0 -c 4096 | wc -c", 0, "2097152\n");
	vcli_says("read -n a.vhd -d 0 >/dev/full", 1, "cannot write output");
}

static void test_read_headers(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 1024", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd -e", 0, "");
	vcli_is("read -n a.vhd -p | grep -v 'Timestamp\\|timestamp\\|Checksum\\|UUID'",
		0,
		"VHD Footer Summary:\n"
		"-------------------\n"
		"Cookie              : conectix\n"
		"Features            : (0x00000002) <RESV>\n"
		"File format version : Major: 1, Minor: 0\n"
		"Data offset         : 512\n"
		"Creator Application : 'tap'\n"
		"Creator version     : Major: 1, Minor: 3\n"
		"Creator OS          : Unknown!\n"
		"Original disk size  : 1024 MB (1073741824 Bytes)\n"
		"Current disk size   : 1024 MB (1073741824 Bytes)\n"
		"Geometry            : Cyl: 2080, Hds: 16, Sctrs: 63\n"
		"                    : = 1023 MB (1073479680 Bytes)\n"
		"Disk type           : Dynamic hard disk\n"
		"Saved state         : No\n"
		"Hidden              : 0\n"
		"\n"
		"VHD Header Summary:\n"
		"-------------------\n"
		"Cookie              : cxsparse\n"
		"Data offset (unusd) : 18446744073709551615\n"
		"Table offset        : 1536\n"
		"Header version      : 0x00010000\n"
		"Max BAT size        : 512\n"
		"Block size          : 2097152 (2 MB)\n"
		"Parent name         : \n"
		"\n"
		"VHD Batmap Summary:\n"
		"-------------------\n"
		"Batmap offset       : 4096\n"
		"Batmap size (secs)  : 1\n"
		"Batmap version      : 0x00010002\n"
		"\n");
	vcli_is("read -n b.vhd -p | sed -n '/Locators/,/^$/p;/Disk type/p;/Parent name/p'",
		0,
		"Disk type           : Differencing hard disk\n"
		"Parent name         : a.vhd\n"
		"VHD Parent Locators:\n"
		"--------------------\n"
		"locator:            : 0\n"
		"       code         : PLAT_CODE_MACX\n"
		"       data_space   : 512\n"
		"       data_length  : 14\n"
		"       data_offset  : 4608\n"
		"       decoded name : ./a.vhd\n"
		"\n");
	vcli_is("read -n a.vhd -p -x | grep 'Max BAT\\|Disk type\\|Geometry'", 0,
		"Geometry            : Cyl: 0x820, Hds: 0x10, Sctrs: 0x3f\n"
		"Disk type           : Dynamic hard disk\n"
		"Max BAT size        : 0x200\n");
	vcli_is("read -n a.vhd -p | grep -c 'Checksum.*(Good!)$'", 0, "3\n");
}

static void test_scan(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 64", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("snapshot -n c.vhd -p b.vhd -e", 0, "");
	vcli_is("set -n b.vhd -f hidden -v 1", 0, "");
	vcli_is("set -n a.vhd -f marker -v 9", 0, "");
	vcli_is("!echo junk > d.vhd", 0, "");
	vcli_is("scan a.vhd b.vhd c.vhd", 0,
		"vhd=a.vhd capacity=67108864 size=3584 hidden=0 parent=none\n"
		"vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=a.vhd\n"
		"vhd=c.vhd capacity=67108864 size=5120 hidden=0 parent=b.vhd\n");
	vcli_is("scan -f -v -m '[bc].vhd'", 0,
		"vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=a.vhd\n"
		"vhd=c.vhd capacity=67108864 size=5120 hidden=0 parent=b.vhd\n");
	vcli_is("scan -v -M -m $PWD/b.vhd", 0,
		"vhd=%s/b.vhd capacity=67108864 size=5120 hidden=1 marker=0 parent=%s/a.vhd\n");
	vcli_is("scan -M a.vhd", 0,
		"vhd=a.vhd capacity=67108864 size=3584 hidden=0 marker=9 parent=none\n");
	vcli_is("scan -a c.vhd", 0,
		"vhd=c.vhd capacity=67108864 size=5120 hidden=0 parent=b.vhd\n"
		"vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=a.vhd\n"
		"vhd=a.vhd capacity=67108864 size=3584 hidden=0 parent=none\n");
	vcli_is("scan -a -f c.vhd b.vhd | wc -l", 0, "3\n");
	vcli_is("scan -p a.vhd b.vhd c.vhd", 0,
		"vhd=a.vhd capacity=67108864 size=3584 hidden=0 parent=none\n"
		"   vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=a.vhd\n"
		"      vhd=c.vhd capacity=67108864 size=5120 hidden=0 parent=b.vhd\n");
	vcli_is("scan -p b.vhd", 0,
		"vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=a.vhd (not found in scan)\n");
	/* One is bad: it has its line, the others theirs. */
	vcli_is("scan a.vhd d.vhd none.vhd b.vhd", 1,
		"vhd=a.vhd capacity=67108864 size=3584 hidden=0 parent=none\n"
		"vhd=d.vhd scan-error=-22 error-message='%s/d.vhd: file size is 5, must be at least 512'\n"
		"vhd=none.vhd scan-error=-2 error-message='none.vhd: cannot open: No such file or directory'\n"
		"vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=a.vhd\n");
	vcli_says("scan -c d.vhd", 0, "vhd=d.vhd scan-error=-22");
	vcli_says("scan -p -c d.vhd a.vhd", 0, "hidden=0 parent=none\n");
	vcli_is("scan -m 'x*'", 0, "");
	vcli_says("scan -l a/b", 2, "-l is a/b, must be the name");
	vcli_is("!d=$(mktemp -d -p /dev/shm) && cp a.vhd $d/VHD-a && ln -s $PWD/a.vhd $d/LV-a && echo ${d##*/} > vg",
		0, "");
	vcli_is("scan -f -l shm -m $(cat vg)/VHD-'*'; rm -r /dev/shm/$(cat vg)",
		0, "vhd=VHD-a capacity=67108864 size=3584 hidden=0 parent=none\n");
	/* The parent has gone: the name is what is written. */
	vcli_is("!mkdir x && mv a.vhd x", 0, "");
	vcli_is("scan -v b.vhd", 0,
		"vhd=b.vhd capacity=67108864 size=5120 hidden=1 parent=./a.vhd\n");
}

static void test_json(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 64", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("query -n b.vhd --json", 0,
		"{\n  \"name\":\"b.vhd\",\n  \"type\":\"differencing\",\n"
		"  \"virtual_size_mb\":64,\n  \"virtual_size\":67108864,\n"
		"  \"file_size\":5120,\n  \"parent\":\"%s/a.vhd\",\n"
		"  \"hidden\":0,\n  \"marker\":0,\n  \"chain_depth\":2,\n"
		"  \"allocated_blocks\":0,\n  \"max_size_mb\":64,\n"
		"  \"max_size\":67108864\n}\n");
	vcli_is("query -n a.vhd --json -v -p", 0,
		"{\n  \"name\":\"a.vhd\",\n  \"virtual_size_mb\":64,\n"
		"  \"virtual_size\":67108864,\n  \"parent\":null\n}\n");
	vcli_is("scan --json a.vhd none.vhd", 1,
		"[\n  {\n    \"name\":\"a.vhd\",\n    \"capacity\":67108864,\n"
		"    \"size\":3584,\n    \"hidden\":0,\n    \"marker\":0,\n"
		"    \"parent\":null\n  },\n  {\n    \"name\":\"none.vhd\",\n"
		"    \"error\":-2,\n    \"message\":\"none.vhd: cannot open: No such file or directory\"\n  }\n]\n");
	vcli_is("check -n a.vhd --json -s", 0,
		"{\n  \"name\":\"a.vhd\",\n  \"valid\":true,\n  \"blocks\":0,\n"
		"  \"full_blocks\":0,\n  \"sectors\":0\n}\n");
	vcli_is("!truncate -s -512 a.vhd", 0, "");
	vcli_is("check -n a.vhd --json", 1,
		"{\n  \"name\":\"a.vhd\",\n  \"valid\":false,\n"
		"  \"error\":\"%s/a.vhd: no footer at the end, which was cut off or not written (footer: cookie must be \\\"conectix\\\"): vhd-util repair -n %s/a.vhd writes it anew\"\n}\n");
	vcli_is("!rm a.vhd", 0, "");
	vcli_says("query -n b.vhd --json", 1, "\"parent\":null");
}

static void test_set(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 64", 0, "");
	vcli_is("create -n f.vhd -s 2 -r", 0, "");
	vcli_is("set -n a.vhd -f hidden -v 1", 0, "");
	vcli_is("set -n f.vhd -f hidden -v 1", 0, "");
	vcli_is("set -n a.vhd -f marker -v 255", 0, "");
	vcli_is("query -n a.vhd -fm", 0, "hidden: 1\nmarker: 255\n");
	vcli_is("query -n f.vhd -f", 0, "hidden: 1\n");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	vcli_is("check -n f.vhd", 0, "f.vhd is valid\n");
	vcli_is("set -n a.vhd -f hidden -v 0", 0, "");
	vcli_is("query -n a.vhd -f", 0, "hidden: 0\n");
	vcli_says("set -n a.vhd -f hidden -v 2", 2, "-v is 2, must be 0 to 1");
	vcli_says("set -n a.vhd -f marker -v 256", 2, "must be 0 to 255");
	vcli_says("set -n a.vhd -f size -v 1", 2,
		  "-f is size, must be hidden or marker");
	vcli_says("set -n f.vhd -f marker -v 1", 1, "has no batmap");
	vcli_says("set -n a.vhd -f marker", 2, "option -v is missing");
}

static void test_modify(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("!cp a.vhd a2.vhd && mkdir d", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("snapshot -n c.vhd -p b.vhd -e", 0, "");
	vcli_is("modify -n b.vhd -p a2.vhd", 0, "");
	vcli_is("query -n b.vhd -p", 0, "%s/a2.vhd\n");
	vcli_is("check -n b.vhd -p -b", 0, "b.vhd is valid\n");
	vcli_is("!mv a2.vhd d/x.vhd", 0, "");
	vcli_is("modify -n b.vhd -p d/x.vhd", 0, "");
	vcli_is("query -n b.vhd -pu", 0, "./d/x.vhd\n");
	vcli_is("check -n c.vhd -p -b", 0, "c.vhd is valid\n");
	/* A loop is found before it is made. */
	vcli_says("modify -n b.vhd -p c.vhd", 1, "a child of it");
	vcli_says("modify -n b.vhd -p b.vhd", 1, "the image itself");
	vcli_says("modify -n a.vhd -p c.vhd", 1,
		  "type is 3, must be 4 (differencing)");
	vcli_is("!head -c 64M /dev/zero > r.raw", 0, "");
	vcli_is("modify -n b.vhd -p r.raw -m", 0, "");
	vcli_is("query -n b.vhd -pd", 0, "%s/r.raw\nchain depth: 2\n");
	vcli_is("check -n b.vhd -p -b", 0, "b.vhd is valid\n");
	/* The size of the file. */
	vcli_is("modify -n a.vhd -s 8388608", 0, "");
	vcli_is("query -n a.vhd -s", 0, "8388608\n");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 2 full: 2 sectors: 8192\n");
	vcli_says("modify -n a.vhd -s 4096", 1, "where the data ends");
	vcli_says("modify -n a.vhd -s 8388609", 1, "multiple of 512");
	vcli_is("modify -n a.vhd -s 4204032", 0, "");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	/* Data. */
	vcli_is("modify -n a.vhd -z", 0, "");
	vcli_is("query -n a.vhd -as", 0, "3584\n0\n");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 0 full: 0 sectors: 0\n");
	vcli_is("create -n f.vhd -s 2 -r", 0, "");
	vcli_says("modify -n f.vhd -z", 1, "type is 2 (fixed)");
	vcli_says("modify -n a.vhd", 2, "option -p, -s or -z is missing");
	vcli_says("modify -n a.vhd -m -z", 2, "-m goes with -p");
	vcli_is("!ls *.journal 2>/dev/null | wc -l", 0, "0\n");
}

static void test_repair(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("copy -n a.vhd -N a.raw -R", 0, "");
	vcli_is("!truncate -s -512 a.vhd", 0, "");
	vcli_says("check -n a.vhd", 1, "footer: cookie");
	vcli_says("repair -n a.vhd", 0, "using the copy at 0");
	vcli_is("check -n a.vhd -b", 0, "a.vhd is valid\n");
	verbs_same("a.vhd", "a.raw");
	/* The copy differs: the end counts, or, with -b, the copy. */
	vcli_is("!printf '\\001' | dd of=a.vhd bs=1 seek=10 conv=notrunc status=none",
		0, "");
	vcli_says("check -n a.vhd", 1, "copy at 0 must equal");
	vcli_is("repair -n a.vhd", 0, "");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	vcli_is("!head -c 512 a.vhd > head", 0, "");
	vcli_is("set -n a.vhd -f hidden -v 1", 0, "");
	vcli_is("!dd if=head of=a.vhd conv=notrunc status=none", 0, "");
	vcli_is("repair -n a.vhd -b", 0, "");
	vcli_is("query -n a.vhd -f", 0, "hidden: 0\n");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	/* A bad copy is not taken, and nothing is left of the attempt. */
	vcli_is("!dd if=/dev/zero of=a.vhd count=1 conv=notrunc status=none; cp a.vhd x.vhd",
		0, "");
	vcli_says("repair -n a.vhd -b", 1, "footer: cookie");
	vcli_is("!cmp a.vhd x.vhd", 0, "");
	vcli_is("repair -n a.vhd", 0, "");
	vcli_is("check -n a.vhd", 0, "a.vhd is valid\n");
	/* A batmap that cannot be trusted is emptied. */
	vcli_is("!printf '\\377' | dd of=a.vhd bs=1 seek=2561 conv=notrunc status=none",
		0, "");
	vcli_says("query -n a.vhd -v", 0, "batmap: checksum");
	vcli_says("repair -n a.vhd", 0, "the batmap is not used");
	vcli_is("check -n a.vhd -b", 0, "a.vhd is valid\n");
	verbs_same("a.vhd", "a.raw");
}

static void test_resize(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("copy -n a.vhd -N a.raw -R", 0, "");
	/* The tables of 4 GB lie where block 0 was: it moves. */
	vcli_is("resize -n a.vhd -s 4096 -j j", 0, "");
	vcli_is("query -n a.vhd -vS", 0, "4096\n4096\n");
	vcli_is("read -n a.vhd -b 0 -c 4 | cut -d' ' -f 4-", 0,
		"4201984\nnot allocated\nnot allocated\n2101248\n");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 2 full: 2 sectors: 8192\n");
	vcli_is("!truncate -s 4G a.raw", 0, "");
	vcli_says("!qemu-img compare -f raw -F vpc a.raw a.vhd", 0,
		  "Images are identical");
	vcli_is("resize -n a.vhd -s 2088960 -j j", 0, "");
	vcli_is("query -n a.vhd -v", 0, "2088960\n");
	vcli_is("check -n a.vhd -b", 0, "a.vhd is valid\n");
	vcli_says("resize -n a.vhd -s 2088961 -j j", 2,
		  "at most 2040 GiB, because the block table has 32-bit");
	vcli_is("resize -n a.vhd -s 64 -j j --shrink", 0, "");
	vcli_is("!truncate -s 64M a.raw", 0, "");
	verbs_same("a.vhd", "a.raw");
	/* Now there is room to grow fast. */
	vcli_is("resize -n a.vhd -s 1000 -f", 0, "");
	vcli_is("query -n a.vhd -v", 0, "1000\n");
	vcli_is("check -n a.vhd -b", 0, "a.vhd is valid\n");
	vcli_says("resize -n a.vhd -s 64 -f", 1, "without a journal");
	/* What was behind the end is gone. */
	vcli_is("resize -n a.vhd -s 4 -j j --shrink", 0, "");
	vcli_is("resize -n a.vhd -s 64 -f", 0, "");
	vcli_is("read -n a.vhd -R 6291456 | od -An -tx1", 0, " 00\n");
	vcli_is("read -n a.vhd -R 0 | od -An -tx1", 0, " 01\n");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 1 full: 1 sectors: 4096\n");
	vcli_is("create -n b.vhd -s 64", 0, "");
	vcli_says("resize -n b.vhd -s 66 -f", 1, "from 67108864 to 67108864");
	vcli_says("resize -n b.vhd -s 66", 2, "one of -j and -f");
	vcli_says("resize -n b.vhd -s 66 -f -j x", 2, "one of -j and -f");
	vcli_is("!ls j 2>/dev/null | wc -l", 0, "0\n");
}

static void test_resize_others(void **state)
{
	(void)state;
	/* A child keeps its parent's name. */
	verbs_image("a.vhd");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("fill -n b.vhd", 0, "");
	vcli_is("resize -n b.vhd -s 8192 -j j", 0, "");
	vcli_is("query -n b.vhd -vp", 0, "8192\n%s/a.vhd\n");
	vcli_is("check -n b.vhd -p -b", 0, "b.vhd is valid\n");
	vcli_is("read -n b.vhd -R 6291456 | od -An -tx1", 0, " 03\n");
	/* Fixed. */
	vcli_is("create -n f.vhd -s 2 -r", 0, "");
	vcli_is("!qemu-io -f vpc -c 'write -P 5 0 2M' f.vhd >/dev/null", 0, "");
	vcli_is("resize -n f.vhd -s 4 -j j", 0, "");
	vcli_is("query -n f.vhd -vs", 0, "4\n4194816\n");
	vcli_is("check -n f.vhd", 0, "f.vhd is valid\n");
	vcli_says("!qemu-io -f vpc -c 'read -P 5 0 2M' -c 'read -P 0 2M 2M' f.vhd",
		  0, "2 MiB");
	vcli_is("!head -c 2M f.vhd > f.raw; truncate -s 4M f.raw", 0, "");
	verbs_same("f.vhd", "f.raw");
	vcli_says("resize -n f.vhd -s 6 -f", 1, "must be 3 or 4");
	vcli_is("resize -n f.vhd -s 2 -j j --shrink", 0, "");
	vcli_is("query -n f.vhd -vs", 0, "2\n2097664\n");
	vcli_is("check -n f.vhd", 0, "f.vhd is valid\n");
	/* QEMU's, with the size in the geometry, and no batmap. */
	vcli_is("!qemu-img create -q -f vpc q.vhd 100M && qemu-io -f vpc -c 'write -P 7 0 100M' q.vhd >/dev/null",
		0, "");
	vcli_is("resize -n q.vhd -s 8192 -j j", 0, "");
	vcli_is("query -n q.vhd -v", 0, "8192\n");
	vcli_is("check -n q.vhd -b", 0, "q.vhd is valid\n");
	vcli_says("!qemu-io -f vpc -c 'read -P 7 0 100M' -c 'read -P 0 101M 100M' q.vhd",
		  0, "100 MiB");
	vcli_is("!qemu-io -f vpc -c 'read -P 7 0 100M' -c 'read -P 0 101M 100M' q.vhd | grep -c -i fail",
		1, "0\n");
}

static void test_revert(void **state)
{
	(void)state;
	vcli_is("create -n a.vhd -s 64", 0, "");
	vcli_says("revert -n a.vhd -j j", 1, "j: cannot open");
	vcli_is("!head -c 3000 /dev/zero > j", 0, "");
	vcli_says("revert -n a.vhd -j j", 1, "must begin with \"vhdundo1\"");
	vcli_says("resize -n a.vhd -s 128 -j j", 1, "must begin with");
	vcli_is("!truncate -s 100 j", 0, "");
	vcli_says("revert -n a.vhd -j j", 1, "512 to 16777216");
	vcli_is("query -n a.vhd -v", 0, "64\n");
	vcli_is("!printf v_poison | dd of=a.vhd conv=notrunc status=none; truncate -s -512 a.vhd",
		0, "");
	vcli_says("set -n a.vhd -f hidden -v 1", 1,
		  "was interrupted (cookie of the footer is \"v_poison\"): undo it with vhd-util revert -n");
}

static void test_coalesce(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("fill -n b.vhd -b -f 0 -t 4096", 0, "");
	vcli_is("snapshot -n c.vhd -p b.vhd -e", 0, "");
	/* Data of its own for c: what a copy of a, changed, has. */
	vcli_is("copy -n a.vhd -N w.vhd", 0, "");
	vcli_is("!qemu-io -f vpc -c 'write -P 9 3M 1500k' -c 'write -P 8 40M 512' w.vhd >/dev/null",
		0, "");
	vcli_is("copy -n w.vhd -N w.raw -R", 0, "");
	vcli_is("create -n e.vhd -s 64", 0, "");
	vcli_is("modify -n c.vhd -p w.vhd", 0, "");
	vcli_is("fill -n c.vhd", 0, "");
	vcli_is("modify -n c.vhd -p b.vhd", 0, "");
	vcli_is("copy -n c.vhd -N c.raw -R && cmp c.raw w.raw", 0, "");
	/* A new image of c and b; a is its parent. */
	vcli_says("coalesce -n c.vhd -o o.vhd", 0, "Coalesced 131072 sectors\n");
	vcli_is("query -n o.vhd -pd", 0, "%s/a.vhd\nchain depth: 2\n");
	verbs_same("o.vhd", "w.raw");
	vcli_is("!rm o.vhd", 0, "");
	/* Into the parent, of which a is the parent. */
	vcli_says("coalesce -n c.vhd -p", 0,
		  "\r100.00%\nCoalesced 131072 sectors\n");
	vcli_is("check -n b.vhd -p -b", 0, "b.vhd is valid\n");
	verbs_same("b.vhd", "w.raw");
	verbs_same("c.vhd", "w.raw");
	/* Into an ancestor; zeros as holes; again does no harm. */
	vcli_is("coalesce -n c.vhd -a a.vhd -s", 0,
		"Coalesced 131072 sectors\n");
	verbs_same("a.vhd", "w.raw");
	vcli_is("coalesce -n c.vhd -a a.vhd", 0, "Coalesced 131072 sectors\n");
	verbs_same("a.vhd", "w.raw");
	vcli_is("check -n a.vhd -b", 0, "a.vhd is valid\n");
	vcli_is("coalesce -n c.vhd -x e.vhd", 0, "Coalesced 131072 sectors\n");
	verbs_same("e.vhd", "w.raw");
	vcli_says("!qemu-img compare -f vpc -F raw e.vhd w.raw", 0,
		  "Images are identical");
	vcli_says("coalesce -n a.vhd", 1, "error coalescing: -22");
	vcli_says("coalesce -n c.vhd -a w.vhd", 1, "it has no parent");
	vcli_says("coalesce -n c.vhd -a a.vhd -o x", 2, "-o excludes -a");
}

static void test_coalesce_raw(void **state)
{
	(void)state;
	verbs_image("w.vhd");
	vcli_is("copy -n w.vhd -N w.raw -R", 0, "");
	vcli_is("!truncate -s 64M r.raw", 0, "");
	vcli_is("snapshot -n c.vhd -p r.raw -m", 0, "");
	vcli_is("modify -n c.vhd -p w.vhd", 0, "");
	vcli_is("fill -n c.vhd", 0, "");
	vcli_is("modify -n c.vhd -p r.raw -m", 0, "");
	vcli_says("coalesce -n c.vhd -o o.raw", 0, "Coalesced");
	vcli_is("!cmp o.raw w.raw", 0, "");
	vcli_is("coalesce -n c.vhd -s", 0, "Coalesced 131072 sectors\n");
	vcli_is("!cmp r.raw w.raw", 0, "");
	/* Holes: 3 MB have data. */
	vcli_is("!test $(du -k r.raw | cut -f1) -le 4096", 0, "");
	/* The parent gets the size of what is merged into it. */
	vcli_is("!truncate -s 5M r.raw", 0, "");
	vcli_says("coalesce -n c.vhd", 0, "Coalesced");
	vcli_is("!cmp r.raw w.raw", 0, "");
	/* In use: not read, not written. */
	vcli_says("!python3 -c \"import fcntl,struct,os,time;f=os.open('c.vhd',os.O_RDWR);fcntl.fcntl(f,37,struct.pack('hhqqi4x',1,0,0,0,0));open('ok','w');time.sleep(3)\" >/dev/null 2>&1 & while ! test -e ok; do sleep 0.1; done",
		  0, "");
	vcli_says("coalesce -n c.vhd", 1, "another program has it open");
}

static void test_copy(void **state)
{
	(void)state;
	vcli_is("!head -c 3M /dev/urandom > r.raw; truncate -s 30M r.raw; head -c 512 /dev/urandom >> r.raw",
		0, "");
	vcli_is("copy -n r.raw -N a.vhd -r", 0, "");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 3 full: 3 sectors: 8193\n");
	vcli_is("query -n a.vhd -va", 0, "30\n3\n");
	vcli_says("!qemu-img compare -f raw -F vpc r.raw a.vhd", 0,
		  "Images are identical");
	verbs_same("a.vhd", "r.raw");
	vcli_is("!cp r.raw x.raw; truncate -s 32M x.raw", 0, "");
	/* From QEMU's, both kinds. */
	vcli_is("!qemu-img convert -O vpc x.raw q.vhd; qemu-img convert -O vpc -o subformat=fixed,force_size=on x.raw f.vhd",
		0, "");
	vcli_is("copy -n q.vhd -N q2.vhd && qemu-img compare -q -f raw -F vpc x.raw q2.vhd",
		0, "");
	vcli_says("copy -n f.vhd -N f2.vhd -p", 0, "\r100.00%\n");
	verbs_same("f2.vhd", "x.raw");
	vcli_is("query -n f2.vhd -a", 0, "3\n");
	/* A chain becomes one image. */
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("copy -n b.vhd -N b2.vhd", 0, "");
	vcli_is("query -n b2.vhd -p", 0, "b2.vhd has no parent\n");
	verbs_same("b2.vhd", "r.raw");
	vcli_says("copy -n b.vhd -N b2.vhd", 1, "b2.vhd: cannot create: File exists");
	vcli_says("copy -n b.vhd -N no/b2.vhd", 1, "no such folder");
	vcli_is("!ls *.part 2>/dev/null | wc -l", 0, "0\n");
}

static void test_fill(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("copy -n a.vhd -N a.raw -R", 0, "");
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("fill -n b.vhd -b -f 4096 -t 8192 -B", 0, "");
	vcli_is("check -n b.vhd -s", 0,
		"b.vhd is valid\nblocks: 2 full: 0 sectors: 0\n");
	verbs_same("b.vhd", "a.raw");
	vcli_is("fill -n b.vhd -b", 0, "");
	vcli_is("query -n b.vhd -a", 0, "32\n");
	verbs_same("b.vhd", "a.raw");
	vcli_is("fill -n b.vhd", 0, "");
	vcli_is("check -n b.vhd -s", 0,
		"b.vhd is valid\nblocks: 32 full: 32 sectors: 131072\n");
	verbs_same("b.vhd", "a.raw");
	/* Data, not holes. */
	vcli_is("!test $(du -k b.vhd | cut -f1) -ge 65536", 0, "");
	vcli_is("fill -n a.vhd -b", 0, "");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 32 full: 32 sectors: 131072\n");
	vcli_is("!test $(du -k a.vhd | cut -f1) -le 8192", 0, "");
	verbs_same("a.vhd", "a.raw");
	vcli_says("fill -n a.vhd -f 1", 2, "-f, -t and -B go with -b");
	vcli_says("fill -n a.vhd -b -t 131072", 1, "must be in 0 to 131071");
	vcli_says("fill -n a.vhd -b -f 9 -t 8", 1, "sectors 9 to 8 must be");
}

static void test_compact(void **state)
{
	(void)state;
	verbs_image("a.vhd");
	vcli_is("copy -n a.vhd -N a.raw -R", 0, "");
	vcli_is("fill -n a.vhd", 0, "");
	vcli_is("compact -n a.vhd", 0, "dropped blocks: 30\n");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 2 full: 2 sectors: 8192\n");
	verbs_same("a.vhd", "a.raw");
	vcli_says("compact -n a.vhd -p", 0, "\r100.00%\ndropped blocks: 0\n");
	/* The last block moves to where the first one was. */
	vcli_is("!qemu-io -f vpc -c 'write -P 0 0 2M' a.vhd >/dev/null", 0, "");
	vcli_is("compact -n a.vhd", 0, "dropped blocks: 1\n");
	vcli_is("read -n a.vhd -b 3", 0, "block: 3: offset: 3584\n");
	vcli_is("read -n a.vhd -R 6291456 | od -An -tx1", 0, " 03\n");
	vcli_is("check -n a.vhd -s", 0,
		"a.vhd is valid\nblocks: 1 full: 1 sectors: 4096\n");
	/* What a child has as its parent has it. */
	vcli_is("snapshot -n b.vhd -p a.vhd", 0, "");
	vcli_is("fill -n b.vhd", 0, "");
	vcli_is("compact -n b.vhd", 0, "dropped blocks: 32\n");
	vcli_is("query -n b.vhd -as", 0, "5120\n0\n");
	vcli_is("create -n f.vhd -s 2 -r", 0, "");
	vcli_says("compact -n f.vhd", 1, "type is 2 (fixed)");
}

/*
 * On a block device: what would change the size of a file is refused before
 * anything is changed, and says why.
 */
static void verbs_device(const char *dev)
{
	static const char *const refused[] = {
		"resize -n %s -s 128 -j j", "fill -n %s", "compact -n %s",
		"modify -n %s -z", "modify -n %s -s 8192", "repair -n %s -b",
		"coalesce -n c.vhd -x %s",
	};
	char cmd[256];
	unsigned int i;

	snprintf(cmd, sizeof(cmd), "check -n %s -b", dev);
	vcli_says(cmd, 0, "is valid");
	vcli_is("!cp dev before", 0, "");
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(cmd, sizeof(cmd), refused[i], dev);
		vcli_says(cmd, 1, "must be a regular file");
		vcli_is("!sync dev; cmp dev before", 0, "");
	}
	snprintf(cmd, sizeof(cmd), "set -n %s -f hidden -v 1", dev);
	vcli_is(cmd, 0, "");
	snprintf(cmd, sizeof(cmd), "query -n %s -f", dev);
	vcli_is(cmd, 0, "hidden: 1\n");
	snprintf(cmd, sizeof(cmd), "copy -n %s -N d.vhd", dev);
	vcli_is(cmd, 0, "");
	verbs_same("d.vhd", "a.raw");
	/* Over it; not if it is too small, mounted, or what is read. */
	vcli_is("!head -c 3M /dev/urandom >o.raw; truncate -s 20M o.raw", 0,
		"");
	snprintf(cmd, sizeof(cmd), "copy -n o.raw -r -N %s -R --overwrite",
		 dev);
	vcli_is(cmd, 0, "");
	snprintf(cmd, sizeof(cmd),
		 "!sync %s; cmp -n 20971520 dev o.raw", dev);
	vcli_is(cmd, 0, "");
	snprintf(cmd, sizeof(cmd),
		 "copy -n %s -r -N %s -R --overwrite", dev, dev);
	vcli_says(cmd, 1, "it is what is to be copied");
	snprintf(cmd, sizeof(cmd),
		 "!head -c 41M /dev/zero >large; $UTIL copy -n large -r -N %s -R --overwrite",
		 dev);
	vcli_says(cmd, 1, "bytes, must have 42991616 at least");
	/* What mounts it opens it in this way. */
	snprintf(cmd, sizeof(cmd),
		 "!python3 -c 'import os, subprocess, sys\n"
		 "f = os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)\n"
		 "sys.exit(subprocess.call(sys.argv[2:]))' %s $UTIL copy -n large -r -N %s -R --overwrite",
		 dev, dev);
	vcli_says(cmd, 1, "in use: mounted, or a part of another device");
	snprintf(cmd, sizeof(cmd),
		 "!sync %s; cmp -n 20971520 dev o.raw", dev);
	vcli_is(cmd, 0, "");
}

static void test_device(void **state)
{
	char *nl;

	(void)state;
	verbs_image("a.vhd");
	vcli_is("copy -n a.vhd -N a.raw -R", 0, "");
	vcli_is("snapshot -n c.vhd -p a.vhd", 0, "");
	vcli_is("fill -n c.vhd -b -f 0 -t 0", 0, "");
	vcli_is("!qemu-io -f vpc -c 'write -P 9 20M 4k' c.vhd >/dev/null", 0,
		"");
	/* The footer at the end of a device that is larger. */
	vcli_is("!cp a.vhd dev; truncate -s 40M dev; tail -c 512 a.vhd >>dev",
		0, "");
	if (vcli_run("!losetup -f --show dev")) {
		print_message("no loop device: %s", vcli_out);
		skip();
	}
	nl = strchr(vcli_out, '\n');
	assert_non_null(nl);
	*nl = 0;
	snprintf(verbs_loop, sizeof(verbs_loop), "%.30s", vcli_out);
	verbs_device(verbs_loop);
}

static int verbs_device_teardown(void **state)
{
	char cmd[64];

	if (*verbs_loop) {
		snprintf(cmd, sizeof(cmd), "losetup -d %s", verbs_loop);
		if (system(cmd))
			return -1;
	}
	return vcli_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcli_setup, \
						   vcli_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_read),
		TEST(test_read_headers),
		TEST(test_scan),
		TEST(test_json),
		TEST(test_set),
		TEST(test_modify),
		TEST(test_repair),
		TEST(test_resize),
		TEST(test_resize_others),
		TEST(test_revert),
		TEST(test_coalesce),
		TEST(test_coalesce_raw),
		TEST(test_copy),
		TEST(test_fill),
		TEST(test_compact),
		cmocka_unit_test_setup_teardown(test_device, vcli_setup,
						verbs_device_teardown),
	};

	if (vcli_init())
		return 1;
	return cmocka_run_group_tests_name("vhd_verbs", tests, NULL, NULL);
}
