// SPDX-License-Identifier: GPL-2.0
/*
 * Loss of power while an image is changed, by enumeration: as vhd_cut_test.c,
 * for what changes images that no guest uses. At least 10,000 states of each.
 *
 * Each state must open for writing as it is, or, if the change has a journal,
 * after what every verb of vhd-util does by itself when it finds one: undo
 * it. How many states needed that is printed. Then it must pass the check,
 * before and after it was opened for writing and closed, and each sector must
 * hold what it held before, or, if it was to change, what it was to hold
 * after; when the change has returned, only that. Of images of which the size
 * changes, the size must be the old or the new one.
 *
 * How many syncs that may take is told for each: it is not done by syncing
 * after every write.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_model.h"
#include "libvhd/vhd_edit.h"
#include "vhd_record.h"

#define CE_SIZE		(1U << 19)	/* dynamic images, 16 KiB blocks */
#define CE_ROOM		(1U << 20)	/* what their metadata has room for */
#define CE_FIXED	(2U << 20)	/* others */
#define CE_MAX		(4U << 20)
#define CE_BLOCKS	(CE_SIZE / VT_BLOCK)
#define CE_STATES	10000U	/* at least, of each change */

static char ce_text[512];
static uint64_t ce_seq;
static uint8_t ce_before[CE_MAX], ce_after[CE_MAX], ce_child[CE_MAX];
static uint8_t ce_now[CE_MAX];
static bool ce_done;		/* it has returned */
static size_t ce_len;		/* bytes of the disk, before or after */
static unsigned int ce_undone;	/* states that needed the journal */

/**
 * struct ce_case - a change
 * @name: what it is
 * @make: makes the files
 * @run: the change
 * @file: name of the file that changes
 * @syncs: most of them for one change
 * @each: states at each point, if there are more
 * @spoil: what is done to the file first
 * @child: merged into the file; must read as ever
 * @raw: the file is no VHD
 * @other: what the disk holds changes
 * @size: new size of the disk, if that changes
 */
struct ce_case {
	const char *name;
	void (*make)(void);
	int (*run)(void);
	const char *file;
	unsigned int syncs;
	unsigned int each;
	void (*spoil)(void);
	const char *child;
	bool raw;
	bool other;
	uint64_t size;
};

static const struct ce_case *ce;

static void ce_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(ce_text, sizeof(ce_text), "%s", text);
}

static const struct vhd_ctx ce_ctx = { .message = ce_message };

static void ce_must(int ret, const char *what)
{
	if (ret)
		fail_msg("%s: state %u: %s: %s (%s)", ce->name,
			 rec_stats.states, what, strerror(-ret), ce_text);
}

/* A file and, if that is not NULL, a VHD in front of it. */
static struct vhd_image *ce_open(const char *name, bool raw,
				 const char *child)
{
	struct vhd_image *image, *leaf;
	int fd;

	if (raw) {
		fd = open(vt_path(name), O_RDONLY);
		ce_must(vhd_image_load(&ce_ctx, fd, vt_path(name), 0, true,
				       &image), "open");
	} else {
		ce_must(vhd_open(&ce_ctx, vt_path(name), VHD_OPEN_PARENTS,
				 &image), "open");
	}
	if (!child)
		return image;
	ce_must(vhd_open(&ce_ctx, vt_path(child), 0, &leaf), "open the child");
	leaf->parent = image;
	return leaf;
}

/* A path that stays good while states are checked. */
static const char *ce_path(const char *name)
{
	static char path[8][128];
	static int next;

	next = (next + 1) % 8;
	snprintf(path[next], sizeof(path[0]), "%s", vt_path(name));
	return path[next];
}

/* Zeros behind the end of a disk; returns its size. */
static uint64_t ce_read(const char *name, bool raw, const char *child,
			uint8_t *buf)
{
	struct vhd_image *image = ce_open(name, raw, child);
	uint64_t size = image->size;

	assert_true(size <= CE_MAX);
	ce_must(vhd_read(image, 0, image->sectors, buf), "read");
	if (size < ce_len)
		memset(buf + size, 0, ce_len - size);
	vhd_close(image);
	return size;
}

static void ce_check_image(unsigned int flags)
{
	ce_must(vhd_check(&ce_ctx, vt_path("cut.vhd"), flags,
			  VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS, NULL),
		"check");
}

/* Bring it into order, as far as programs do that by themselves. */
static void ce_recover(void)
{
	struct vhd_image *image;
	bool journal = !access(vt_path("cut.vhd" VHD_JOURNAL_SUFFIX), F_OK);
	int ret;

	ret = vhd_open(&ce_ctx, vt_path("cut.vhd"), 0, &image);
	if (!ret)
		vhd_close(image);
	if (!journal)
		ce_must(ret, "open");
	ce_undone += !!ret;
	ce_must(vhd_edit_open(&ce_ctx, vt_path("cut.vhd"), 0, &image),
		"open for a change");
	vhd_close(image);
	assert_int_not_equal(access(vt_path("cut.vhd" VHD_JOURNAL_SUFFIX),
				    F_OK), 0);
	ce_check_image(VHD_OPEN_NO_FOOTER);
	assert_int_equal(vfake_open(vt_path("cut.vhd"), 0), 0);
	ce_must(vfake_close(), "close");
	ce_check_image(0);
}

/* Each sector old or new? */
static void ce_mixed(void)
{
	uint32_t i;

	for (i = 0; i < ce_len; i += VHD_SECTOR)
		if (memcmp(ce_now + i, ce_before + i, VHD_SECTOR) &&
		    memcmp(ce_now + i, ce_after + i, VHD_SECTOR))
			fail_msg("%s: state %u: sector %u holds neither old nor new data",
				 ce->name, rec_stats.states, i / VHD_SECTOR);
}

static void ce_check(void)
{
	uint64_t size;
	bool old, new;

	if (!ce->raw)
		ce_recover();
	size = ce_read("cut.vhd", ce->raw, NULL, ce_now);
	new = !memcmp(ce_now, ce_after, ce_len);
	old = !memcmp(ce_now, ce_before, ce_len);
	if (ce->size)
		old &= size != ce->size;
	if (ce->size)
		new &= size == ce->size;
	if (ce->child && !ce_done)
		ce_mixed();
	else if (!new && (!old || ce_done))
		fail_msg("%s: state %u: the disk of %llu bytes holds neither old nor new data",
			 ce->name, rec_stats.states,
			 (unsigned long long)size);
	if (!ce->child)
		return;
	ce_read("cut.vhd", ce->raw, ce->child, ce_now);
	assert_memory_equal(ce_now, ce_child, ce_len);
}

static void ce_empty(void)
{
	DIR *dir = opendir(vt_path("."));
	struct dirent *entry;

	while ((entry = readdir(dir)))
		unlink(vt_path(entry->d_name));
	closedir(dir);
}

static void ce_copy_file(const char *from, const char *to)
{
	static uint8_t buf[65536];
	int in = open(vt_path(from), O_RDONLY);
	int out;
	off_t off = 0;
	ssize_t n;

	if (in < 0)
		return;
	out = open(vt_path(to), O_RDWR | O_CREAT | O_TRUNC, 0644);
	assert_true(out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		if (!vhd_is_zero(buf, n))
			assert_int_equal(pwrite(out, buf, n, off), n);
		off += n;
	}
	assert_int_equal(ftruncate(out, off), 0);
	close(in);
	close(out);
}

/* Make the files, and run it once to know what comes of it. */
static void ce_prepare(void)
{
	char journal[64];
	uint64_t old, new;

	ce_len = CE_MAX;
	ce_empty();
	ce->make();
	old = ce_read(ce->file, ce->raw, NULL, ce_before);
	if (ce->child)
		ce_read(ce->file, ce->raw, ce->child, ce_child);
	if (ce->spoil)
		ce->spoil();
	snprintf(journal, sizeof(journal), "%s%s", ce->file,
		 VHD_JOURNAL_SUFFIX);
	ce_copy_file(ce->file, "keep");
	ce_copy_file(journal, "keepj");
	ce_must(ce->run(), "the change");
	new = ce_read(ce->file, ce->raw, NULL, ce_after);
	assert_int_equal(new, ce->size ? ce->size : old);
	if (ce->child)
		assert_memory_equal(ce_after, ce_child, CE_SIZE);
	else if (!ce->other)
		assert_memory_equal(ce_after, ce_before, new < old ? new :
				    old);
	ce_copy_file("keep", ce->file);
	ce_copy_file("keepj", journal);
	ce_len = new > old ? new : old;
}

static void ce_once(void)
{
	char real[128], state[128];
	unsigned int syncs = rec_stats.syncs;

	ce_prepare();
	snprintf(real, sizeof(real), "%s%s", vt_path(ce->file),
		 VHD_JOURNAL_SUFFIX);
	snprintf(state, sizeof(state), "%s",
		 vt_path("cut.vhd" VHD_JOURNAL_SUFFIX));
	ce_done = false;
	rec_start(vt_path(ce->file), vt_path("cut.vhd"), ce_check);
	rec_journal(real, state);
	rec_each(ce->each);
	ce_must(ce->run(), "the change");
	rec_each(0);
	ce_done = true;
	rec_cut(ce->each);
	rec_stop();
	assert_in_range(rec_stats.syncs - syncs, 1, ce->syncs);
}

static void ce_all(const struct ce_case *c)
{
	unsigned int changes = 0;

	ce = c;
	memset(&rec_stats, 0, sizeof(rec_stats));
	ce_undone = 0;
	while (rec_stats.states < CE_STATES) {
		ce_once();
		changes++;
	}
	printf("# %s: %u states at %u points (%u with all), %u undone by the journal; %u changes, %u writes to the file, %u syncs\n",
	       c->name, rec_stats.states, rec_stats.points, rec_stats.all,
	       ce_undone, changes, rec_stats.ops, rec_stats.syncs);
}

/* Files. */

/* A small disk with small blocks, and with a batmap. */
static void ce_create(const char *name, const char *parent)
{
	struct vhd_create spec = {
		.path = vt_path(name),
		.size = VHD_BLOCK_SIZE,
		.size_max = (uint64_t)CE_ROOM / VT_BLOCK * VHD_BLOCK_SIZE,
		.parent = parent ? vt_path(parent) : NULL,
		.parent_raw = parent && !strcmp(parent, "a.raw"),
		.keep_empty = true,
	};
	uint8_t buf[VHD_FOOTER_SIZE + VHD_HEADER_SIZE];
	struct vhd_footer footer;
	struct vhd_header header;
	struct stat st;
	int fd;

	if (parent)
		spec.size = 0;
	if (parent && !strcmp(parent, "a.raw"))
		spec.size = VHD_BLOCK_SIZE;
	ce_must(vhd_create(&ce_ctx, &spec), "create");
	fd = open(vt_path(name), O_RDWR);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	vhd_footer_parse(&ce_ctx, name, buf, 0, &footer);
	vhd_header_parse(&ce_ctx, name, buf + VHD_FOOTER_SIZE, &footer, 0,
			 &header);
	footer.original_size = CE_SIZE;
	footer.current_size = CE_SIZE;
	vhd_geometry(CE_SIZE / VHD_SECTOR, &footer);
	header.block_size = VT_BLOCK;
	vhd_footer_build(&footer, buf);
	vhd_header_build(&header, buf + VHD_FOOTER_SIZE);
	assert_int_equal(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pwrite(fd, buf, VHD_FOOTER_SIZE, st.st_size -
				VHD_FOOTER_SIZE), VHD_FOOTER_SIZE);
	close(fd);
}

/* Every @step-th sector of a block gets a value of its own. */
static void ce_put(const char *name, uint32_t block, uint32_t step)
{
	static uint8_t buf[VHD_BLOCK_SIZE];
	uint8_t have[VHD_CHUNK / 8] = { 0 };
	struct vhd_image *image;
	struct vhd_target *t;
	uint32_t i;

	ce_must(vhd_open(&ce_ctx, vt_path(name), VHD_OPEN_RDWR, &image),
		"open");
	t = vhd_target_new(image, false);
	assert_non_null(t);
	ce_must(vhd_target_reserve(t, 1), "reserve");
	memset(buf, 0, sizeof(buf));
	for (i = block * VT_SPB; i < (block + 1) * VT_SPB; i += step) {
		vhd_set_bit(have, i);
		vt_fill(buf + (size_t)i * VHD_SECTOR, ++ce_seq);
	}
	ce_must(vhd_target_put(t, 0, CE_SIZE / VHD_SECTOR, buf, have), "put");
	ce_must(vhd_target_end(t, 0), "end");
}

/* In an order that is not that of the disk. */
static void ce_blocks(const char *name, uint32_t nr, uint32_t step)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		ce_put(name, vfake_random() % CE_BLOCKS,
		       i % 2 ? 1 : step);
}

static void ce_flat(const char *name, uint64_t size, bool raw)
{
	static uint8_t buf[16 * VHD_SECTOR];
	int i, k, fd;

	if (raw)
		vt_sh("truncate -s %llu %s", (unsigned long long)size, name);
	else
		vt_create(name, size, true, NULL);
	fd = open(vt_path(name), O_RDWR);
	for (i = 0; i < 16; i++) {
		for (k = 0; k < 16; k++)
			vt_fill(buf + k * VHD_SECTOR, ++ce_seq);
		assert_int_equal(pwrite(fd, buf, sizeof(buf), CE_SIZE / 16 *
					i), sizeof(buf));
	}
	close(fd);
}

static void ce_chain(void)
{
	ce_create("a.vhd", NULL);
	ce_blocks("a.vhd", 3, 3);
	ce_create("b.vhd", "a.vhd");
	ce_blocks("b.vhd", 3, 3);
}

/* Changes. */

static int ce_resize(const char *name, uint64_t size, bool journal)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", vt_path(name),
		 VHD_JOURNAL_SUFFIX);
	return vhd_resize(&ce_ctx, ce_path(name), size,
			  journal ? path : NULL, true);
}

static int ce_fast(void)
{
	return ce_resize("b.vhd", CE_ROOM, false);
}

static void test_fast(void **state)
{
	static const struct ce_case c = {
		.name = "grow, fast", .make = ce_chain, .run = ce_fast,
		.file = "b.vhd", .syncs = 6, .each = 64, .size = CE_ROOM,
	};

	(void)state;
	ce_all(&c);
}

static int ce_grow(void)
{
	return ce_resize("b.vhd", CE_MAX, true);
}

static void test_grow(void **state)
{
	static const struct ce_case c = {
		.name = "grow", .make = ce_chain, .run = ce_grow,
		.file = "b.vhd", .syncs = 16, .each = 64, .size = CE_MAX,
	};

	(void)state;
	ce_all(&c);
}

static int ce_shrink(void)
{
	return ce_resize("b.vhd", CE_SIZE / 2, true);
}

static void test_shrink(void **state)
{
	static const struct ce_case c = {
		.name = "shrink", .make = ce_chain, .run = ce_shrink,
		.file = "b.vhd", .syncs = 16, .each = 64,
		.size = CE_SIZE / 2,
	};

	(void)state;
	ce_all(&c);
}

static void ce_make_fixed(void)
{
	ce_flat("f.vhd", CE_FIXED, false);
}

static int ce_fixed(void)
{
	return ce_resize("f.vhd", CE_MAX, true);
}

static void test_grow_fixed(void **state)
{
	static const struct ce_case c = {
		.name = "grow, fixed", .make = ce_make_fixed,
		.run = ce_fixed, .file = "f.vhd", .syncs = 10, .each = 128,
		.size = CE_MAX,
	};

	(void)state;
	ce_all(&c);
}

static void ce_make_large(void)
{
	ce_flat("f.vhd", CE_MAX, false);
}

static int ce_shrink_fixed(void)
{
	return ce_resize("f.vhd", CE_FIXED, true);
}

static void test_shrink_fixed(void **state)
{
	static const struct ce_case c = {
		.name = "shrink, fixed", .make = ce_make_large,
		.run = ce_shrink_fixed, .file = "f.vhd", .syncs = 6,
		.each = 128, .size = CE_FIXED,
	};

	(void)state;
	ce_all(&c);
}

/* As if a resize had ended in the middle of its new metadata. */
static void ce_interrupt(void)
{
	uint8_t buf[4096];
	struct vhd_image *image;
	struct vhd_journal j;
	char path[128];

	snprintf(path, sizeof(path), "%s",
		 vt_path("b.vhd" VHD_JOURNAL_SUFFIX));
	ce_must(vhd_open(&ce_ctx, vt_path("b.vhd"), VHD_OPEN_RDWR, &image),
		"open");
	ce_must(vhd_journal_begin(&j, &ce_ctx, path, image, image->meta_end,
				  CE_MAX), "journal");
	memset(buf, 0x55, sizeof(buf));
	assert_int_equal(pwrite(image->fd, buf, image->meta_end - 1024, 1024),
			 image->meta_end - 1024);
	vhd_close(image);
}

static int ce_revert(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s",
		 ce_path("b.vhd" VHD_JOURNAL_SUFFIX));
	return vhd_revert(&ce_ctx, ce_path("b.vhd"), path);
}

static void test_revert(void **state)
{
	static const struct ce_case c = {
		.name = "revert", .make = ce_chain, .run = ce_revert,
		.file = "b.vhd", .syncs = 8, .each = 512,
		.spoil = ce_interrupt,
	};

	(void)state;
	ce_all(&c);
}

static void ce_make_parents(void)
{
	ce_chain();
	ce_create("another-name.vhd", NULL);
	ce_blocks("another-name.vhd", 3, 3);
}

static int ce_parent(void)
{
	return vhd_set_parent(&ce_ctx, ce_path("b.vhd"),
			      ce_path("another-name.vhd"), false);
}

/* A child reads all of the one parent or all of the other. */
static void test_parent(void **state)
{
	static const struct ce_case c = {
		.name = "set parent", .make = ce_make_parents,
		.run = ce_parent, .file = "b.vhd", .syncs = 8, .each = 128,
		.other = true,
	};

	(void)state;
	ce_all(&c);
}

/* No footer at the end, and a batmap that does not fit. */
static void ce_lose(void)
{
	uint8_t buf[VHD_SECTOR] = { 0 };
	struct vhd_image *image;

	ce_must(vhd_open(&ce_ctx, vt_path("b.vhd"), VHD_OPEN_RDWR, &image),
		"open");
	assert_int_equal(pwrite(image->fd, buf, sizeof(buf),
				image->footer_off), sizeof(buf));
	vhd_set_bit(buf, CE_BLOCKS + 1);
	assert_int_equal(pwrite(image->fd, buf, sizeof(buf),
				image->batmap.offset), sizeof(buf));
	vhd_close(image);
}

static int ce_repair(void)
{
	return vhd_repair(&ce_ctx, ce_path("b.vhd"), false);
}

static void test_repair(void **state)
{
	static const struct ce_case c = {
		.name = "repair", .make = ce_chain, .run = ce_repair,
		.file = "b.vhd", .syncs = 6, .each = 64, .spoil = ce_lose,
	};

	(void)state;
	ce_all(&c);
}

static int ce_backup(void)
{
	return vhd_repair(&ce_ctx, ce_path("b.vhd"), true);
}

static void test_repair_backup(void **state)
{
	static const struct ce_case c = {
		.name = "repair, backup", .make = ce_chain,
		.run = ce_backup, .file = "b.vhd", .syncs = 6, .each = 64,
	};

	(void)state;
	ce_all(&c);
}

static int ce_hide(void)
{
	int ret = vhd_set_hidden(&ce_ctx, ce_path("b.vhd"), 1);

	return ret ? ret : vhd_set_marker(&ce_ctx, ce_path("b.vhd"), 3);
}

static void test_hide(void **state)
{
	static const struct ce_case c = {
		.name = "hidden, marker", .make = ce_chain, .run = ce_hide,
		.file = "b.vhd", .syncs = 5, .each = 64,
	};

	(void)state;
	ce_all(&c);
}

/* Blocks of zeros between others. */
static void ce_make_zeros(void)
{
	const struct vhd_fill fill = { .path = vt_path("a.vhd"),
				       .empty = true, .last = 6 * VT_SPB - 1 };

	ce_create("a.vhd", NULL);
	ce_blocks("a.vhd", 3, 3);
	ce_must(vhd_fill(&ce_ctx, &fill), "fill");
	ce_blocks("a.vhd", 3, 1);
}

static int ce_compact(void)
{
	return vhd_compact(&ce_ctx, ce_path("a.vhd"), NULL, NULL);
}

static void test_compact(void **state)
{
	static const struct ce_case c = {
		.name = "compact", .make = ce_make_zeros, .run = ce_compact,
		.file = "a.vhd", .syncs = 8, .each = 64,
	};

	(void)state;
	ce_all(&c);
}

static int ce_fill(void)
{
	const struct vhd_fill fill = { .path = ce_path("b.vhd") };

	return vhd_fill(&ce_ctx, &fill);
}

static void test_fill(void **state)
{
	static const struct ce_case c = {
		.name = "fill", .make = ce_chain, .run = ce_fill,
		.file = "b.vhd", .syncs = 10, .each = 32,
	};

	(void)state;
	ce_all(&c);
}

static int ce_coalesce(void)
{
	const struct vhd_coalesce spec = {
		.path = ce_path(ce->child),
		.sparse = vfake_random() % 2,
	};

	return vhd_coalesce(&ce_ctx, &spec, NULL);
}

static void test_coalesce(void **state)
{
	static const struct ce_case c = {
		.name = "coalesce into dynamic", .make = ce_chain,
		.run = ce_coalesce, .file = "a.vhd", .syncs = 10,
		.each = 64, .child = "b.vhd",
	};

	(void)state;
	ce_all(&c);
}

static void ce_make_deep(void)
{
	ce_chain();
	ce_create("c.vhd", "b.vhd");
	ce_blocks("c.vhd", 4, 2);
}

static void test_coalesce_child(void **state)
{
	static const struct ce_case c = {
		.name = "coalesce into a child", .make = ce_make_deep,
		.run = ce_coalesce, .file = "b.vhd", .syncs = 10,
		.each = 64, .child = "c.vhd",
	};

	(void)state;
	ce_all(&c);
}

static void ce_make_on_fixed(void)
{
	ce_flat("a.vhd", CE_FIXED, false);
	ce_create("b.vhd", "a.vhd");
	ce_blocks("b.vhd", 4, 2);
}

static void test_coalesce_fixed(void **state)
{
	static const struct ce_case c = {
		.name = "coalesce into fixed", .make = ce_make_on_fixed,
		.run = ce_coalesce, .file = "a.vhd", .syncs = 2, .each = 64,
		.child = "b.vhd",
	};

	(void)state;
	ce_all(&c);
}

static void ce_make_on_raw(void)
{
	ce_flat("a.raw", CE_SIZE, true);
	ce_create("b.vhd", "a.raw");
	ce_blocks("b.vhd", 4, 2);
}

static void test_coalesce_raw(void **state)
{
	static const struct ce_case c = {
		.name = "coalesce into raw", .make = ce_make_on_raw,
		.run = ce_coalesce, .file = "a.raw", .syncs = 2, .each = 64,
		.child = "b.vhd", .raw = true,
	};

	(void)state;
	ce_all(&c);
}

/* What has another name first is durable when it gets its own. */
static void ce_nothing(void)
{
}

static void test_copy(void **state)
{
	struct vhd_coalesce merge = { 0 };
	struct vhd_copy copy = { 0 };
	static const struct ce_case c = {
		.name = "copy", .make = ce_chain,
	};

	(void)state;
	ce = &c;
	memset(&rec_stats, 0, sizeof(rec_stats));
	ce_chain();
	copy.from = ce_path("b.vhd");
	copy.to = ce_path("x.vhd");
	rec_start(ce_path("x.vhd.part"), ce_path("cut.vhd"), ce_nothing);
	ce_must(vhd_copy(&ce_ctx, &copy), "copy");
	rec_stop();
	merge.path = ce_path("b.vhd");
	merge.output = ce_path("y.vhd");
	rec_start(ce_path("y.vhd.part"), ce_path("cut.vhd"), ce_nothing);
	ce_must(vhd_coalesce(&ce_ctx, &merge, NULL), "coalesce");
	rec_stop();
	ce_read("b.vhd", false, NULL, ce_before);
	ce_read("x.vhd", false, NULL, ce_after);
	assert_memory_equal(ce_before, ce_after, CE_SIZE);
	ce_read("y.vhd", false, NULL, ce_after);
	assert_memory_equal(ce_before, ce_after, CE_SIZE);
	assert_in_range(rec_stats.syncs, 2, 16);
}

static void ce_check_new(void)
{
	struct vhd_image *image;

	if (!ce_done && vhd_open(&ce_ctx, vt_path("cut.vhd"), 0, &image))
		return;
	if (!ce_done)
		vhd_close(image);
	ce_recover();
	assert_int_equal(ce_read("cut.vhd", false, NULL, ce_now), CE_FIXED);
	assert_true(vhd_is_zero(ce_now, CE_FIXED));
}

/* There are only so many states; snapshots are in vhd_cut_test.c. */
static void test_create_fixed(void **state)
{
	static const struct ce_case c = {
		.name = "create, fixed", .make = ce_nothing,
	};

	(void)state;
	ce = &c;
	memset(&rec_stats, 0, sizeof(rec_stats));
	ce_done = false;
	rec_start(ce_path("f.vhd"), ce_path("cut.vhd"), ce_check_new);
	rec_each(1024);
	vt_create("f.vhd", CE_FIXED, true, NULL);
	ce_done = true;
	rec_cut(1024);
	rec_stop();
	assert_int_equal(rec_stats.all, rec_stats.points);
	assert_in_range(rec_stats.states, 4, 1000);
}

static int ce_teardown(void **state)
{
	rec_stop();
	return vt_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   ce_teardown)
		TEST(test_fast),
		TEST(test_grow),
		TEST(test_shrink),
		TEST(test_grow_fixed),
		TEST(test_shrink_fixed),
		TEST(test_revert),
		TEST(test_parent),
		TEST(test_repair),
		TEST(test_repair_backup),
		TEST(test_hide),
		TEST(test_compact),
		TEST(test_fill),
		TEST(test_coalesce),
		TEST(test_coalesce_child),
		TEST(test_coalesce_fixed),
		TEST(test_coalesce_raw),
		TEST(test_copy),
		TEST(test_create_fixed),
	};

	return cmocka_run_group_tests_name("vhd_cut_edit", tests, NULL, NULL);
}
