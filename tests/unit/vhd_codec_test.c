// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libvhd: the layouts that others have made known, and images that lie.
 *
 * Each lying image is one that was good but for a single field, so that a
 * check that is missing is a test that fails; and the message must name the
 * field.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "libvhd/vhd.h"
#include "vhd_patch.h"

static char test_dir[64];
static char test_text[8192];

static void test_message(void *opaque, const char *text)
{
	size_t len = strlen(test_text);

	(void)opaque;
	snprintf(test_text + len, sizeof(test_text) - len, "%s\n", text);
}

static struct vhd_ctx test_ctx = {
	.message = test_message,
};

static const char *test_path(const char *name)
{
	static char path[8][128];
	static int next;

	next = (next + 1) % 8;
	snprintf(path[next], sizeof(path[0]), "%s/%s", test_dir, name);
	return path[next];
}

static int test_setup(void **state)
{
	(void)state;
	snprintf(test_dir, sizeof(test_dir), "/tmp/vhd-codec-XXXXXX");
	test_text[0] = 0;
	test_ctx.parent_dirs = NULL;
	return mkdtemp(test_dir) ? 0 : -1;
}

static int test_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", test_dir);
	return system(cmd);
}

static void test_create(const char *name, uint64_t mb, const char *parent)
{
	struct vhd_create spec = {
		.path = test_path(name),
		.size = mb << 20,
		.parent = parent ? test_path(parent) : NULL,
		.keep_empty = true,
	};
	struct vhd_ctx ctx = { .message = test_message, .parent_dirs = "/" };

	if (vhd_create(&ctx, &spec))
		fail_msg("cannot create %s: %s", name, test_text);
}

static uint64_t test_size(const char *name)
{
	return vp_size(test_path(name));
}

static void test_read(const char *name, uint64_t off, void *buf, size_t len)
{
	vp_read(test_path(name), off, buf, len);
}

static void test_write(const char *name, uint64_t off, const void *buf,
		       size_t len)
{
	vp_write(test_path(name), off, buf, len);
}

static void test_truncate(const char *name, uint64_t size)
{
	assert_int_equal(truncate(test_path(name), size), 0);
}

/* Open must fail with @error and say @what. */
static void test_refused(const char *name, unsigned int flags, int error,
			 const char *what)
{
	struct vhd_image *image;
	int ret;

	test_text[0] = 0;
	ret = vhd_open(&test_ctx, test_path(name), flags, &image);
	if (!ret)
		vhd_close(image);
	if (ret != error || !strstr(test_text, what))
		fail_msg("%s: got %d, want %d and \"%s\" in: %s", name, ret,
			 error, what, test_text);
}

static struct vhd_image *test_open(const char *name, unsigned int flags)
{
	struct vhd_image *image;

	test_text[0] = 0;
	if (vhd_open(&test_ctx, test_path(name), flags, &image))
		fail_msg("%s: %s", name, test_text);
	return image;
}

static void test_good(const char *name, unsigned int flags)
{
	vhd_close(test_open(name, flags));
}

/*
 * Layouts.
 */

static void test_layouts(void **state)
{
	static const struct {
		uint64_t mb, size, first;
		uint32_t entries;
	} want[] = {
		{ 1, 3584, 7, 1 },
		{ 2, 3584, 7, 1 },
		{ 64, 3584, 7, 32 },
		{ 1024, 5120, 15, 512 },
		{ 10240, 24064, 47, 5120 },
		{ 2088960, 4311040, 0, 1044480 },
	};
	struct vhd_image *image;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		uint64_t first;

		test_create("a.vhd", want[i].mb, NULL);
		assert_int_equal(test_size("a.vhd"), want[i].size);
		image = test_open("a.vhd", VHD_OPEN_STRICT);
		assert_int_equal(image->header.max_bat, want[i].entries);
		assert_int_equal(image->header.table_offset, 1536);
		assert_int_equal(image->size, want[i].mb << 20);
		assert_true(image->batmap_good);
		first = vhd_block_after(image, image->data_end);
		assert_int_equal(first % 4096, 3584);
		if (want[i].first)
			assert_int_equal(first / VHD_SECTOR, want[i].first);
		vhd_close(image);
		unlink(test_path("a.vhd"));
	}
}

static void test_layout_1g(void **state)
{
	static const uint8_t geometry[] = { 0x08, 0x20, 0x10, 0x3f };
	struct vhd_image *image;
	uint8_t buf[512];

	(void)state;
	test_create("a.vhd", 1024, NULL);
	test_read("a.vhd", 0, buf, 512);
	assert_memory_equal(buf + 56, geometry, 4);
	assert_memory_equal(buf + 28, "tap\0\0\x01\0\x03", 8);
	image = test_open("a.vhd", 0);
	assert_int_equal(image->batmap_off, 3584);
	assert_int_equal(image->batmap.offset, 4096);
	assert_int_equal(image->batmap.sectors, 1);
	/* Block 0 at sector 15; the next one's bitmap. */
	assert_int_equal(vhd_block_after(image, 16 * 512 + (2 << 20)),
			 2108928);
	/* Only block 1 full. */
	vhd_set_bit(image->batmap_map, 1);
	assert_int_equal(vhd_batmap_checksum(image->batmap_map, 512),
			 0xffffffbf);
	vhd_close(image);

	test_create("b.vhd", 0, "a.vhd");
	assert_int_equal(test_size("b.vhd"), 6656);
	image = test_open("b.vhd", VHD_OPEN_PARENTS | VHD_OPEN_STRICT);
	assert_int_equal(image->header.loc[0].data_offset, 4608);
	assert_int_equal(image->header.loc[1].data_offset, 5120);
	assert_int_equal(image->header.loc[2].data_offset, 5632);
	assert_int_equal(image->header.loc[2].code, VHD_PLAT_W2RU);
	assert_int_equal(vhd_depth(image), 2);
	vhd_close(image);
}

static void test_geometry(void **state)
{
	static const struct {
		uint64_t sectors;
		uint16_t c;
		uint8_t h, s;
	} want[] = {
		{ 2097152, 2080, 16, 63 },
		{ 4096, 60, 4, 17 },
		{ 65535ULL * 16 * 255, 65535, 16, 255 },
		{ VHD_DISK_MAX / 512, 65535, 16, 255 },
		{ 65535ULL * 16 * 63, 16191, 16, 255 },
		{ 1024 * 17 * 16 - 1, 1023, 16, 17 },
		{ 1024 * 17 * 16, 561, 16, 31 },
	};
	struct vhd_footer f;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		vhd_geometry(want[i].sectors, &f);
		assert_int_equal(f.cylinders, want[i].c);
		assert_int_equal(f.heads, want[i].h);
		assert_int_equal(f.sectors, want[i].s);
	}
}

/* The disk's size: the geometry, or the number, by who made it. */
static void test_size_rule(void **state)
{
	static const struct {
		const char *creator;
		bool chs;
	} want[] = {
		{ "vpc ", true }, { "qemu", true }, { "qem2", false },
		{ "win ", false }, { "d2v ", false }, { "tap", false },
		{ "CTXS", false }, { "wa\0", false },
	};
	struct vhd_footer f = { .current_size = 1 << 30 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		memcpy(f.creator, want[i].creator, 4);
		vhd_geometry(f.current_size / 512, &f);
		assert_int_equal(vhd_disk_size(&f), want[i].chs ?
				 1073479680 : 1073741824);
		/* At its maximum the geometry says only "large". */
		f.cylinders = 65535;
		f.heads = 16;
		f.sectors = 255;
		assert_int_equal(vhd_disk_size(&f), 1073741824);
	}
}

static void test_utf16(void **state)
{
	static const char *const names[] = {
		"", "a", "b\xc3\xa4r.vhd", "\xe2\x82\xac", "\xf0\x9f\x92\xbe!",
	};
	uint8_t buf[64];
	char back[64];
	unsigned int i;
	ssize_t len;

	(void)state;
	for (i = 0; i < 10; i++) {
		len = vhd_utf16_encode(names[i / 2], i % 2, buf, sizeof(buf));
		assert_true(len >= 0);
		assert_int_equal(vhd_utf16_decode(buf, len, i % 2, back,
						  sizeof(back)), 0);
		assert_string_equal(back, names[i / 2]);
	}
	assert_int_equal(vhd_utf16_encode("\xf0\x9f\x92\xbe", false, buf, 3),
			 -ENAMETOOLONG);
	assert_int_equal(vhd_utf16_encode("\xc3", false, buf, 64), -EILSEQ);
	assert_int_equal(vhd_utf16_encode("\xc0\x80", false, buf, 64), -EILSEQ);
	assert_int_equal(vhd_utf16_encode("\xed\xa0\x80", false, buf, 64),
			 -EILSEQ);
	assert_int_equal(vhd_utf16_decode((uint8_t *)"\xd8\x00", 2, true, back,
					  sizeof(back)), -EILSEQ);
	assert_int_equal(vhd_utf16_decode((uint8_t *)"\xd8\x00\0a", 4, true,
					  back, sizeof(back)), -EILSEQ);
	assert_int_equal(vhd_utf16_decode((uint8_t *)"\xdc\x00", 2, true, back,
					  sizeof(back)), -EILSEQ);
	assert_int_equal(vhd_utf16_decode((uint8_t *)"\0a\0b\0c", 6, true, back,
					  3), -ENAMETOOLONG);
}

/*
 * Lies. A patch puts @len bytes (big-endian @value) at @off of a structure
 * and makes its checksum good again.
 */

static void test_patch_footer(const char *name, unsigned int off,
			      unsigned int len, uint64_t value)
{
	vp_footer(test_path(name), off, len, value);
}

static void test_patch_header(const char *name, unsigned int off,
			      unsigned int len, uint64_t value)
{
	vp_header(test_path(name), off, len, value);
}

/* A disk of 8 MiB whose blocks 0 and 1 are there, full of nothing. */
static void test_image(const char *name)
{
	uint8_t footer[512], bat[8], ones[512];
	uint64_t end = (15 + 2 * 4104 - 7) * 512ULL - 4096;

	unlink(test_path(name));
	test_create(name, 8, NULL);
	test_read(name, 0, footer, 512);
	vp_put(bat, 4, 7);
	vp_put(bat + 4, 4, 7 + 4104);
	memset(ones, 0xff, 512);
	test_write(name, 1536, bat, 8);
	test_write(name, 7 * 512, ones, 512);
	test_write(name, (7 + 4104) * 512, ones, 512);
	end = (8 + 4104 + 4096) * 512ULL;
	test_write(name, end, footer, 512);
	assert_int_equal(test_size(name), end + 512);
	test_good(name, VHD_OPEN_STRICT);
}

struct lie {
	unsigned int off;
	unsigned int len;
	uint64_t value;
	const char *says;
	bool strict;		/* only a check complains */
};

static void test_lies(const struct lie *lie, unsigned int nr,
		      void (*patch)(const char *, unsigned int, unsigned int,
				    uint64_t))
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		test_image("a.vhd");
		patch("a.vhd", lie[i].off, lie[i].len, lie[i].value);
		test_refused("a.vhd", VHD_OPEN_STRICT, -EINVAL, lie[i].says);
		if (lie[i].strict)
			test_good("a.vhd", 0);
		else
			test_refused("a.vhd", 0, -EINVAL, lie[i].says);
	}
}

static void test_lying_footer(void **state)
{
	const struct lie lies[] = {
		{ 0, 8, 0x636f6e6563746979, "footer: cookie", false },
		{ 8, 4, 0, "footer: features", true },
		{ 8, 4, 6, "footer: features", true },
		{ 12, 4, 0x20000, "footer: version", false },
		{ 16, 8, 0, "footer: data_offset", false },
		{ 16, 8, 513, "footer: data_offset", false },
		{ 16, 8, VHD_NO_OFFSET, "footer: data_offset", false },
		{ 16, 8, VHD_NO_OFFSET - 511, "footer: data_offset", false },
		{ 16, 8, 1 << 30, "footer: data_offset", false },
		{ 24, 4, time(NULL) - VHD_EPOCH + 200000, "footer: timestamp",
		  true },
		{ 32, 4, 0x10004, "footer: creator_version", true },
		{ 48, 8, 0, "footer: current_size", false },
		{ 48, 8, 513, "footer: current_size", false },
		{ 48, 8, VHD_DISK_LIMIT + 512, "footer: current_size", false },
		{ 48, 8, 1ULL << 63, "footer: current_size", false },
		{ 56, 4, 0xf0f0103f, "footer: geometry", true },
		{ 60, 4, 0, "footer: type", false },
		{ 60, 4, 1, "footer: type", false },
		{ 60, 4, 5, "footer: type", false },
		{ 64, 4, 0, "footer: checksum", false },
		{ 68, 8, 0, "", true },
		{ 84, 1, 2, "footer: saved", true },
		{ 85, 1, 2, "footer: hidden", true },
		{ 86, 1, 1, "footer: reserved", true },
		{ 511, 1, 1, "footer: reserved", true },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (*lies[i].says)
			test_lies(&lies[i], 1, test_patch_footer);
	/* The null uuid takes two patches. */
	test_image("a.vhd");
	test_patch_footer("a.vhd", 68, 8, 0);
	test_good("a.vhd", VHD_OPEN_STRICT);
	test_patch_footer("a.vhd", 76, 8, 0);
	test_refused("a.vhd", VHD_OPEN_STRICT, -EINVAL, "footer: uuid");
}

static void test_lying_header(void **state)
{
	static const struct lie lies[] = {
		{ 0, 8, 0x6378737061727366, "header: cookie", false },
		{ 8, 8, 0, "header: data_offset", true },
		{ 16, 8, 0, "header: table_offset", false },
		{ 16, 8, 1537, "header: table_offset", false },
		{ 16, 8, 1ULL << 63, "header: table_offset", false },
		{ 16, 8, 1 << 30, "header: table_offset", false },
		{ 16, 8, 512, "overlaps the", false },
		{ 16, 8, 1024, "overlaps the", false },
		{ 24, 4, 0, "header: version", false },
		{ 28, 4, 0, "header: max_table_entries", false },
		{ 28, 4, 3, "header: max_table_entries", false },
		{ 28, 4, 0xffffffff, "header: max_table_entries", false },
		{ 28, 4, VHD_BAT_MAX, "header: table_offset", false },
		{ 32, 4, 0, "header: block size", false },
		{ 32, 4, 512, "header: block size", false },
		{ 32, 4, 0x180000, "header: block size", false },
		{ 32, 4, 0x400000, "header: block size", false },
		{ 32, 4, 0x80000000, "header: block size", false },
		{ 36, 4, 0, "header: checksum", false },
		{ 40, 1, 1, "header: parent uuid", true },
		{ 56, 4, 1, "header: parent timestamp", true },
		{ 60, 4, 1, "header: reserved", true },
		{ 65, 1, 'a', "header: parent name", true },
		{ 576 + 7 * 24, 4, VHD_PLAT_W2RU, "header: locator 7", true },
		{ 768, 1, 1, "header: reserved", true },
		{ 1023, 1, 1, "header: reserved", true },
	};

	(void)state;
	test_lies(lies, sizeof(lies) / sizeof(lies[0]), test_patch_header);
}

static void test_patch_bat(const char *name, unsigned int block,
			   unsigned int len, uint64_t value)
{
	uint8_t entry[4];

	vp_put(entry, len, value);
	test_write(name, 1536 + 4 * block, entry, 4);
}

static void test_lying_bat(void **state)
{
	static const struct lie lies[] = {
		{ 2, 4, 0, "overlaps the copy of the footer", false },
		{ 2, 4, 1, "overlaps the header", false },
		{ 2, 4, 3, "overlaps the BAT", false },
		{ 2, 4, 4, "overlaps the batmap header", false },
		{ 2, 4, 5, "overlaps", false },
		{ 2, 4, 7, "overlaps another one", false },
		{ 2, 4, 8, "overlaps another one", false },
		{ 2, 4, 7 + 4104, "overlaps another one", false },
		{ 2, 4, 8 + 4104 + 4096, "must end before", false },
		{ 1, 4, 8 + 4104, "must end before", false },
		{ 2, 4, 0xfffffffe, "must end before", false },
		{ 3, 4, 0x80000000, "must end before", false },
	};

	(void)state;
	test_lies(lies, sizeof(lies) / sizeof(lies[0]), test_patch_bat);
	/* Without looking for overlaps it passes; beyond the end never. */
	test_image("a.vhd");
	test_patch_bat("a.vhd", 2, 4, 8);
	test_good("a.vhd", VHD_OPEN_STRICT | VHD_OPEN_ANY_BAT);
	test_patch_bat("a.vhd", 2, 4, 0xfffffffe);
	test_refused("a.vhd", VHD_OPEN_ANY_BAT, -EINVAL, "must end before");
}

static void test_patch_batmap(const char *name, unsigned int off,
			      unsigned int len, uint64_t value)
{
	uint8_t buf[512];

	test_read(name, 2048, buf, 512);
	vp_put(buf + off, len, value);
	test_write(name, 2048, buf, 512);
}

/* A batmap must lie in the file; if it is not right otherwise, it is not used. */
static void test_lying_batmap(void **state)
{
	static const struct lie lies[] = {
		{ 8, 8, 0, "batmap: offset", false },
		{ 8, 8, 2048, "batmap:", false },
		{ 8, 8, 1ULL << 40, "batmap:", false },
		{ 8, 8, 1ULL << 63, "batmap: offset", false },
		{ 16, 4, 0, "batmap: size", false },
		{ 16, 4, 0xffffffff, "batmap: size", false },
		{ 20, 4, 0x10001, "batmap: version", true },
	};
	struct vhd_image *image;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		test_lies(&lies[i], 1, test_patch_batmap);
		if (!lies[i].strict)
			continue;
		image = test_open("a.vhd", 0);
		assert_false(image->batmap_good);
		vhd_close(image);
	}
	/* A loss of power may leave such a one: no fault. */
	test_image("a.vhd");
	test_patch_batmap("a.vhd", 24, 4, 0);
	image = test_open("a.vhd", VHD_OPEN_STRICT);
	assert_false(image->batmap_good);
	assert_non_null(strstr(test_text, "batmap: checksum is 0x0"));
	assert_non_null(strstr(test_text, "the batmap is not used"));
	vhd_close(image);
	/* Full without being there. */
	test_image("a.vhd");
	test_write("a.vhd", 2560, "\x20", 1);
	test_patch_batmap("a.vhd", 24, 4, 0xffffffdf);
	test_refused("a.vhd", VHD_OPEN_STRICT, -EINVAL,
		     "batmap shows unallocated block 2 full");
	image = test_open("a.vhd", 0);
	assert_false(image->batmap_good);
	vhd_close(image);
	/* Full by the batmap, not by the bitmap. */
	test_image("a.vhd");
	test_write("a.vhd", 2560, "\x40", 1);
	test_patch_batmap("a.vhd", 24, 4, 0xffffffbf);
	assert_int_equal(vhd_check(&test_ctx, test_path("a.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), 0);
	test_write("a.vhd", (7 + 4104) * 512, "\x7f", 1);
	assert_int_equal(vhd_check(&test_ctx, test_path("a.vhd"), 0, 0, NULL),
			 0);
	assert_int_equal(vhd_check(&test_ctx, test_path("a.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), -EINVAL);
	assert_non_null(strstr(test_text, "batmap shows block 1 full"));
	/* Overwritten, as QEMU does: there is no batmap. */
	test_image("a.vhd");
	test_write("a.vhd", 2048, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	test_patch_bat("a.vhd", 0, 4, VHD_BAT_UNUSED);
	test_good("a.vhd", VHD_OPEN_STRICT);
}

/*
 * Ends of files.
 */

static void test_short_files(void **state)
{
	uint64_t end;
	uint8_t buf[512];
	struct vhd_image *image;

	(void)state;
	/* A footer of 511 bytes. */
	test_image("a.vhd");
	end = test_size("a.vhd") - 512;
	test_truncate("a.vhd", end + 511);
	image = test_open("a.vhd", VHD_OPEN_STRICT);
	assert_false(image->footer_lost);
	assert_int_equal(image->footer_off, end);
	vhd_close(image);
	/* None at the end. */
	test_truncate("a.vhd", end);
	test_refused("a.vhd", VHD_OPEN_STRICT, -EINVAL, "footer: cookie");
	test_good("a.vhd", VHD_OPEN_STRICT | VHD_OPEN_NO_FOOTER);
	image = test_open("a.vhd", 0);
	assert_true(image->footer_lost);
	/* It is put back. */
	vhd_close(image);
	image = test_open("a.vhd", VHD_OPEN_RDWR);
	assert_int_equal(vhd_trim(image), 0);
	vhd_close(image);
	test_good("a.vhd", VHD_OPEN_STRICT);
	/* A piece of the last block is missing. */
	test_truncate("a.vhd", end - 512);
	test_refused("a.vhd", 0, -EINVAL, "BAT[1]");
	/* The copy differs, or is gone. */
	test_image("a.vhd");
	test_write("a.vhd", 100, "x", 1);
	test_refused("a.vhd", VHD_OPEN_STRICT, -EINVAL, "footer: the copy");
	test_good("a.vhd", 0);
	/* Small, empty, none, folder, plain. */
	test_truncate("a.vhd", 510);
	test_refused("a.vhd", 0, -EINVAL, "file size is 510");
	test_truncate("a.vhd", 0);
	test_refused("a.vhd", 0, -EINVAL, "file size is 0");
	test_truncate("a.vhd", 1 << 20);
	test_refused("a.vhd", 0, -EINVAL, "footer: cookie");
	test_refused("none.vhd", 0, -ENOENT, "cannot open");
	test_refused(".", 0, -EINVAL, "regular file");
	/* Only a footer, that of a dynamic image. */
	test_create("b.vhd", 8, NULL);
	test_read("b.vhd", 0, buf, 512);
	test_truncate("b.vhd", 512);
	test_refused("b.vhd", 0, -EINVAL, "footer: data_offset");
}

static void test_fixed(void **state)
{
	struct vhd_create spec = { .size = 8 << 20, .fixed = true };
	struct vhd_image *image;

	(void)state;
	spec.path = test_path("a.vhd");
	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
	assert_int_equal(test_size("a.vhd"), 8389120);
	image = test_open("a.vhd", VHD_OPEN_STRICT);
	assert_int_equal(image->sectors, 16384);
	vhd_close(image);
	test_patch_footer("a.vhd", 16, 8, 512);
	test_refused("a.vhd", VHD_OPEN_STRICT, -EINVAL, "footer: data_offset");
	test_patch_footer("a.vhd", 16, 8, VHD_NO_OFFSET);
	test_patch_footer("a.vhd", 48, 8, (8 << 20) + 512);
	test_refused("a.vhd", 0, -EINVAL, "the fixed disk has");
}

static void test_too_large(void **state)
{
	struct vhd_create spec = { .size = VHD_DISK_MAX + 1 };

	(void)state;
	spec.path = test_path("a.vhd");
	assert_int_equal(vhd_create(&test_ctx, &spec), -EFBIG);
	assert_non_null(strstr(test_text, "2040 GiB"));
	spec.size = 1 << 20;
	spec.size_max = VHD_DISK_MAX + 1;
	assert_int_equal(vhd_create(&test_ctx, &spec), -EFBIG);
	/* Nothing is left of it, and nothing is overwritten. */
	assert_int_equal(access(spec.path, F_OK), -1);
	spec.size_max = 0;
	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
	assert_int_equal(vhd_create(&test_ctx, &spec), -EEXIST);
}

/*
 * Parents.
 */

#define TEST_PARENTS	VHD_OPEN_PARENTS

static void test_parent_found(const char *name, int depth)
{
	struct vhd_image *image = test_open(name, TEST_PARENTS);

	assert_int_equal(vhd_depth(image), depth);
	vhd_close(image);
}

/* Each locator alone, then the name alone, must lead to the parent. */
static void test_locators(void **state)
{
	int keep, i;

	(void)state;
	test_create("a.vhd", 8, NULL);
	for (keep = 0; keep < 5; keep++) {
		unlink(test_path("b.vhd"));
		test_create("b.vhd", 8, "a.vhd");
		for (i = 0; i < 3; i++)
			if (i != keep)
				test_patch_header("b.vhd", 576 + 24 * i, 4, 0);
		if (keep < 3)
			test_patch_header("b.vhd", 64, 2, 0);
		if (keep == 4) {
			test_patch_header("b.vhd", 64, 2, 'x');
			test_refused("b.vhd", TEST_PARENTS, -ENOENT,
				     "not found");
			continue;
		}
		test_parent_found("b.vhd", 2);
		/* In sectors, as the specification has it. */
		if (keep < 3)
			test_patch_header("b.vhd", 576 + 24 * keep + 4, 4, 1);
		test_parent_found("b.vhd", 2);
	}
}

static void test_lying_locators(void **state)
{
	static const struct lie lies[] = {
		{ 8, 4, 0, "locator", true },
		{ 8, 4, 4097, "locator", true },
		{ 8, 4, 0xffffffff, "locator", false },
		{ 16, 8, 1ULL << 63, "locator", false },
		{ 16, 8, 1 << 30, "locator", false },
		{ 16, 8, VHD_NO_OFFSET, "locator", false },
	};
	uint8_t footer[512];
	unsigned int i;

	(void)state;
	test_create("a.vhd", 8, NULL);
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		unlink(test_path("b.vhd"));
		test_create("b.vhd", 8, "a.vhd");
		/* The file must be large enough for the longest. */
		test_read("b.vhd", 0, footer, 512);
		test_write("b.vhd", 65536, footer, 512);
		/* The relative one; the others still lead to the parent. */
		test_patch_header("b.vhd", 576 + 48 + lies[i].off, lies[i].len,
				  lies[i].value);
		if (!lies[i].strict) {
			test_refused("b.vhd", 0, -EINVAL, lies[i].says);
			continue;
		}
		if (lies[i].value)
			test_patch_header("b.vhd", 576 + 48 + 16, 8,
					  32768);
		test_parent_found("b.vhd", 2);
		assert_non_null(strstr(test_text, lies[i].says));
		assert_int_equal(vhd_check(&test_ctx, test_path("b.vhd"), 0, 0,
					   NULL), -EINVAL);
	}
	/* One over the BAT. */
	unlink(test_path("b.vhd"));
	test_create("b.vhd", 8, "a.vhd");
	test_patch_header("b.vhd", 576 + 48 + 16, 8, 1536);
	test_refused("b.vhd", 0, -EINVAL, "overlaps");
}

static void test_parent_uuid(void **state)
{
	(void)state;
	test_create("a.vhd", 8, NULL);
	test_create("b.vhd", 8, "a.vhd");
	unlink(test_path("a.vhd"));
	test_create("a.vhd", 8, NULL);
	test_refused("b.vhd", TEST_PARENTS, -EINVAL, "uuid");
	test_good("b.vhd", TEST_PARENTS | VHD_OPEN_ANY_UUID);
	unlink(test_path("a.vhd"));
	test_refused("b.vhd", TEST_PARENTS, -ENOENT, "not found");
}

static void test_parent_loop(void **state)
{
	uint8_t uuid[16];
	char name[16];
	int i;

	(void)state;
	/* a <- b <- a */
	test_create("a.vhd", 8, NULL);
	test_create("x.vhd", 8, "a.vhd");
	test_create("b.vhd", 8, "x.vhd");
	assert_int_equal(rename(test_path("b.vhd"), test_path("a.vhd")), 0);
	test_read("a.vhd", 68, uuid, 16);
	for (i = 0; i < 16; i++)
		test_patch_header("x.vhd", 40 + i, 1, uuid[i]);
	test_refused("a.vhd", TEST_PARENTS, -ELOOP, "loop");
	test_refused("x.vhd", TEST_PARENTS | VHD_OPEN_LOCK | VHD_OPEN_RDWR,
		     -ELOOP, "loop");
	/* Its own parent. */
	for (i = 0; i < 16; i++)
		test_patch_header("a.vhd", 40 + i, 1, uuid[i]);
	unlink(test_path("x.vhd"));
	assert_int_equal(symlink("a.vhd", test_path("x.vhd")), 0);
	test_refused("a.vhd", TEST_PARENTS, -ELOOP, "loop");
	/* As long as it may be, and longer. */
	test_create("0.vhd", 8, NULL);
	for (i = 1; i <= VHD_CHAIN_MAX; i++) {
		struct vhd_create spec = { .depth_max = 2 * VHD_CHAIN_MAX,
					   .keep_empty = true };
		char parent[16];

		snprintf(parent, sizeof(parent), "%d.vhd", i - 1);
		snprintf(name, sizeof(name), "%d.vhd", i);
		spec.path = test_path(name);
		spec.parent = test_path(parent);
		if (vhd_create(&test_ctx, &spec))
			fail_msg("%s", test_text);
	}
	snprintf(name, sizeof(name), "%d.vhd", VHD_CHAIN_MAX - 1);
	test_parent_found(name, VHD_CHAIN_MAX);
	snprintf(name, sizeof(name), "%d.vhd", VHD_CHAIN_MAX);
	test_refused(name, TEST_PARENTS, -ELOOP, "more than 64");
}

/* A stranger's image must not open up files elsewhere. */
static void test_parent_outside(void **state)
{
	struct vhd_create spec = { .keep_empty = true };
	struct vhd_ctx any = { .message = test_message, .parent_dirs = "/" };
	char dirs[256];

	(void)state;
	assert_int_equal(mkdir(test_path("in"), 0755), 0);
	assert_int_equal(mkdir(test_path("in2"), 0755), 0);
	assert_int_equal(mkdir(test_path("in/sub"), 0755), 0);
	test_create("a.vhd", 8, NULL);
	test_create("in2/a.vhd", 8, NULL);
	test_create("in/sub/a.vhd", 8, NULL);
	test_create("in/b.vhd", 8, "a.vhd");
	test_create("in/c.vhd", 8, "in/sub/a.vhd");
	test_create("in/d.vhd", 8, "in2/a.vhd");
	test_refused("in/b.vhd", TEST_PARENTS, -EACCES, "outside");
	test_parent_found("in/c.vhd", 2);
	/* "in2" begins like "in", but is another folder. */
	test_refused("in/d.vhd", TEST_PARENTS, -EACCES, "outside");
	/* A symbolic link does not help. */
	assert_int_equal(rename(test_path("in/sub/a.vhd"),
				test_path("a2.vhd")), 0);
	assert_int_equal(symlink("../../a2.vhd", test_path("in/sub/a.vhd")), 0);
	test_refused("in/c.vhd", TEST_PARENTS, -EACCES, "outside");
	/* Unless it is allowed. */
	snprintf(dirs, sizeof(dirs), "/nowhere:%s", test_dir);
	test_ctx.parent_dirs = dirs;
	test_parent_found("in/b.vhd", 2);
	test_parent_found("in/d.vhd", 2);
	test_ctx.parent_dirs = NULL;
	/* A raw parent is anything at all: the same rule. */
	spec.path = test_path("in/e.vhd");
	assert_int_equal(link(test_path("a2.vhd"), test_path("r.raw")), 0);
	spec.parent = test_path("r.raw");
	spec.parent_raw = true;
	assert_int_equal(vhd_create(&any, &spec), 0);
	test_refused("in/e.vhd", TEST_PARENTS, -EACCES, "outside");
	test_ctx.parent_dirs = "/";
	test_parent_found("in/e.vhd", 2);
	/* What is no file is not opened: this would wait for ever. */
	unlink(test_path("a.vhd"));
	assert_int_equal(mkfifo(test_path("a.vhd"), 0600), 0);
	test_refused("in/b.vhd", TEST_PARENTS, -EINVAL, "a.vhd");
}

static void test_snapshot_rules(void **state)
{
	struct vhd_create spec = { 0 };
	struct vhd_image *image;

	(void)state;
	test_create("a.vhd", 8, NULL);
	test_create("b.vhd", 8, "a.vhd");
	/* b is empty: the child's parent is a. */
	spec.path = test_path("c.vhd");
	spec.parent = test_path("b.vhd");
	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
	image = test_open("c.vhd", TEST_PARENTS);
	assert_int_equal(vhd_depth(image), 2);
	vhd_close(image);
	spec.path = test_path("d.vhd");
	spec.keep_empty = true;
	spec.depth_max = 2;
	test_text[0] = 0;
	assert_int_equal(vhd_create(&test_ctx, &spec), -ENOSPC);
	assert_non_null(strstr(test_text, "snapshot depth exceeded: current depth: 2, limit: 2"));
	assert_int_equal(access(spec.path, F_OK), -1);
	spec.depth_max = 3;
	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
	test_parent_found("d.vhd", 3);
}

/* Who has an image open for writing has it alone. */
static void test_locks(void **state)
{
	const unsigned int rw = VHD_OPEN_RDWR | VHD_OPEN_LOCK | TEST_PARENTS;
	const unsigned int ro = VHD_OPEN_LOCK | TEST_PARENTS;
	struct vhd_image *image, *other;

	(void)state;
	test_create("a.vhd", 8, NULL);
	test_create("b.vhd", 8, "a.vhd");
	test_create("c.vhd", 8, "a.vhd");
	image = test_open("b.vhd", rw);
	test_refused("b.vhd", rw, -EBUSY, "in use");
	test_refused("b.vhd", ro, -EBUSY, "in use");
	/* The parent may be read, not written. */
	test_refused("a.vhd", rw, -EBUSY, "in use");
	test_good("a.vhd", ro);
	other = test_open("c.vhd", rw);
	vhd_close(other);
	vhd_close(image);
	image = test_open("a.vhd", rw);
	test_refused("b.vhd", rw, -EBUSY, "in use");
	vhd_close(image);
	test_good("b.vhd", rw);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, \
						   test_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_layouts),
		TEST(test_layout_1g),
		TEST(test_geometry),
		TEST(test_size_rule),
		TEST(test_utf16),
		TEST(test_lying_footer),
		TEST(test_lying_header),
		TEST(test_lying_bat),
		TEST(test_lying_batmap),
		TEST(test_short_files),
		TEST(test_fixed),
		TEST(test_too_large),
		TEST(test_locators),
		TEST(test_lying_locators),
		TEST(test_parent_uuid),
		TEST(test_parent_loop),
		TEST(test_parent_outside),
		TEST(test_snapshot_rules),
		TEST(test_locks),
	};

	return cmocka_run_group_tests_name("vhd_codec", tests, NULL, NULL);
}
