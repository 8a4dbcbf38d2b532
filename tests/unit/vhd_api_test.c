// SPDX-License-Identifier: GPL-2.0
/*
 * The rest of the public interface of libvhd, through libvhd.so: what makes
 * and changes images, and what tells what is written in them.
 */
#include "vhd_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libvhd/libvhd.h"

#define API_SECTORS	16384U
#define API_BLOCK	4096U	/* sectors */

static char api_text[512];

static void api_message(void *opaque, const char *text)
{
	assert_ptr_equal(opaque, api_text);
	snprintf(api_text, sizeof(api_text), "%s", text);
}

static const struct vhd_messages api_msg = {
	.message = api_message,
	.opaque = api_text,
};

static void api_create(const char *name, uint64_t sectors)
{
	assert_int_equal(vhd_disk_create(vt_path(name), sectors, NULL, 0,
					 &api_msg), 0);
}

static void api_snapshot(const char *name, const char *parent)
{
	assert_int_equal(vhd_disk_snapshot(vt_path(name), vt_path(parent),
					   NULL, &api_msg), 0);
}

/* One sector of the letter. */
static void api_write(const char *name, uint64_t sector, char letter)
{
	struct vhd_disk *d;
	uint8_t buf[512];

	memset(buf, letter, sizeof(buf));
	assert_int_equal(vhd_disk_open(vt_path(name), 0, &api_msg, &d), 0);
	assert_int_equal(vhd_disk_write(d, buf, sector, 1), 0);
	assert_int_equal(vhd_disk_close(d), 0);
}

static char api_read(const char *name, uint64_t sector)
{
	struct vhd_disk *d;
	uint8_t buf[512];

	assert_int_equal(vhd_disk_open(vt_path(name), VHD_DISK_RDONLY,
				       &api_msg, &d), 0);
	assert_int_equal(vhd_disk_read(d, buf, sector, 1), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	assert_memory_equal(buf, buf + 1, sizeof(buf) - 1);
	return buf[0];
}

static void api_good(const char *name)
{
	assert_int_equal(vhd_disk_check(vt_path(name), 0, &api_msg), 0);
}

static struct vhd_info api_info(const char *name)
{
	struct vhd_info info = { .struct_size = sizeof(info) };
	struct vhd_meta *meta;

	assert_int_equal(vhd_meta_open(vt_path(name), 0, &api_msg, &meta), 0);
	assert_int_equal(vhd_meta_info(meta, 0, &info), 0);
	vhd_meta_close(meta);
	return info;
}

static void test_create(void **state)
{
	struct vhd_create_opts opts = {
		.struct_size = sizeof(opts),
		.sectors = API_SECTORS,
		.sectors_max = 8 * API_SECTORS,
	};
	struct vhd_info info;

	(void)state;
	assert_int_equal(vhd_disk_create_opts(vt_path("a.vhd"), &opts,
					      &api_msg), 0);
	info = api_info("a.vhd");
	assert_int_equal(info.sectors, API_SECTORS);
	assert_int_equal(info.sectors_max, 8 * API_SECTORS);
	opts.flags = VHD_DISK_SKIP_EMPTY;
	assert_int_equal(vhd_disk_create_opts(vt_path("b.vhd"), &opts,
					      &api_msg), -EINVAL);
	assert_non_null(strstr(api_text, "flags are 0x20, must be of 0x8"));
	opts.flags = 0;
	opts.sectors = ~0ULL;
	assert_int_equal(vhd_disk_create_opts(vt_path("b.vhd"), &opts,
					      &api_msg), -EFBIG);
	assert_non_null(strstr(api_text, "b.vhd: size is"));
}

static void test_snapshot(void **state)
{
	struct vhd_create_opts opts = {
		.struct_size = sizeof(opts),
		.flags = VHD_DISK_SKIP_EMPTY,
		.depth_max = 3,
	};
	struct vhd_meta *meta;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", 5, 'A');
	api_snapshot("b.vhd", "a.vhd");
	/* An empty parent stays, or goes. */
	api_snapshot("c.vhd", "b.vhd");
	assert_int_equal(vhd_disk_snapshot(vt_path("d.vhd"), vt_path("b.vhd"),
					   &opts, &api_msg), 0);
	assert_int_equal(vhd_meta_open(vt_path("c.vhd"), VHD_META_PARENTS,
				       &api_msg, &meta), 0);
	assert_int_equal(vhd_meta_images(meta), 3);
	vhd_meta_close(meta);
	assert_int_equal(vhd_meta_open(vt_path("d.vhd"), VHD_META_PARENTS,
				       &api_msg, &meta), 0);
	assert_int_equal(vhd_meta_images(meta), 2);
	vhd_meta_close(meta);
	assert_int_equal(api_read("d.vhd", 5), 'A');
	opts.flags = 0;
	assert_int_equal(vhd_disk_snapshot(vt_path("e.vhd"), vt_path("c.vhd"),
					   &opts, &api_msg), -ENOSPC);
	assert_non_null(strstr(api_text, "current depth: 3, limit: 3"));
	assert_int_equal(vhd_disk_snapshot(vt_path("e.vhd"), NULL, NULL,
					   &api_msg), -EINVAL);
}

/* Structs of older and of newer programs. */
static void test_struct_size(void **state)
{
	struct {
		struct vhd_resize_opts opts;
		uint64_t more;
	} later = { .opts = { .struct_size = sizeof(later) } };
	struct {
		struct vhd_info info;
		uint64_t more;
	} info = { .info = { .struct_size = sizeof(info) }, .more = 7 };
	struct vhd_create_opts opts = { .sectors = API_SECTORS };
	struct vhd_meta *meta;
	const char *a = vt_path("a.vhd");

	(void)state;
	assert_int_equal(vhd_disk_create_opts(a, &opts, &api_msg), -EINVAL);
	assert_non_null(strstr(api_text, "struct_size is 0, must be"));
	opts.struct_size = 1 << 20;
	assert_int_equal(vhd_disk_create_opts(a, &opts, &api_msg), -EINVAL);
	/* One that ends before the size of the disk does not set it. */
	opts.struct_size = offsetof(struct vhd_create_opts, sectors);
	assert_int_equal(vhd_disk_create_opts(a, &opts, &api_msg), -EINVAL);
	assert_non_null(strstr(api_text, "size is 0 bytes"));
	opts.struct_size = offsetof(struct vhd_create_opts, sectors_max);
	opts.sectors_max = ~0ULL;
	assert_int_equal(vhd_disk_create_opts(a, &opts, &api_msg), 0);

	assert_int_equal(vhd_disk_resize(a, 2 * API_SECTORS, &later.opts,
					 &api_msg), 0);
	later.more = 1;
	assert_int_equal(vhd_disk_resize(a, API_SECTORS, &later.opts,
					 &api_msg), -E2BIG);
	assert_non_null(strstr(api_text, "the rest must be 0"));
	assert_int_equal(api_info("a.vhd").sectors, 2 * API_SECTORS);

	assert_int_equal(vhd_meta_open(a, 0, &api_msg, &meta), 0);
	assert_int_equal(vhd_meta_info(meta, 0, &info.info), 0);
	assert_int_equal(info.info.struct_size, sizeof(info));
	assert_int_equal(info.more, 0);
	/* Nothing is written behind what the caller has. */
	info.info.struct_size = offsetof(struct vhd_info, sectors);
	info.info.sectors = 99;
	info.info.type = 0;
	assert_int_equal(vhd_meta_info(meta, 0, &info.info), 0);
	assert_int_equal(info.info.type, VHD_INFO_DYNAMIC);
	assert_int_equal(info.info.sectors, 99);
	vhd_meta_close(meta);
}

/* How far it is; steps may not go back. */
struct api_far {
	int calls;
	uint64_t done;
	uint64_t total;
};

static void api_progress(void *opaque, uint64_t done, uint64_t total)
{
	struct api_far *far = opaque;

	far->calls++;
	assert_true(done <= total);
	assert_true(far->total != total || done >= far->done);
	far->done = done;
	far->total = total;
}

static void test_coalesce(void **state)
{
	struct api_far far = { 0 };
	uint64_t merged = 0;
	struct vhd_coalesce_opts opts = {
		.struct_size = sizeof(opts),
		.progress = api_progress,
		.opaque = &far,
		.merged = &merged,
	};

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", 1, 'A');
	api_write("a.vhd", 2, 'A');
	api_snapshot("b.vhd", "a.vhd");
	api_write("b.vhd", 2, 'B');
	api_write("b.vhd", 3, 'B');
	api_snapshot("c.vhd", "b.vhd");
	api_write("c.vhd", 3, 'C');
	api_write("c.vhd", API_SECTORS - 1, 'C');
	/* A new one of two: both stay as they are. */
	opts.output = vt_path("o.vhd");
	opts.ancestor = vt_path("a.vhd");
	assert_int_equal(vhd_disk_coalesce(vt_path("c.vhd"), &opts, &api_msg),
			 -EINVAL);
	assert_non_null(strstr(api_text, "excludes ancestor"));
	opts.ancestor = NULL;
	assert_int_equal(vhd_disk_coalesce(vt_path("c.vhd"), &opts, &api_msg),
			 0);
	/* A block that no parent has counts as a whole. */
	assert_int_equal(merged, 2 + API_BLOCK);
	assert_int_equal(api_read("b.vhd", 3), 'B');
	assert_int_equal(api_read("o.vhd", 3), 'C');
	/* All into the last; nobody else may see it. */
	assert_int_equal(unlink(vt_path("o.vhd")), 0);
	far = (struct api_far) { 0 };
	opts.output = NULL;
	opts.ancestor = vt_path("a.vhd");
	assert_int_equal(vhd_disk_coalesce(vt_path("c.vhd"), &opts, &api_msg),
			 0);
	assert_int_equal(merged, 2 + API_BLOCK);
	assert_true(far.calls >= 2);
	assert_true(far.done == far.total);
	assert_int_equal(api_read("a.vhd", 1), 'A');
	assert_int_equal(api_read("a.vhd", 2), 'B');
	assert_int_equal(api_read("a.vhd", 3), 'C');
	assert_int_equal(api_read("a.vhd", API_SECTORS - 1), 'C');
	api_good("a.vhd");
	/* It has no parent. */
	assert_int_equal(vhd_disk_coalesce(vt_path("a.vhd"), NULL, &api_msg),
			 -EINVAL);
	assert_non_null(strstr(api_text, "it has no parent"));
}

static bool api_stop(void *opaque)
{
	return ++((struct api_far *)opaque)->calls > 0;
}

/* It ends when it is told to, and goes on another time. */
static void test_coalesce_stop(void **state)
{
	struct api_far far = { 0 };
	uint64_t merged;
	struct vhd_coalesce_opts opts = {
		.struct_size = sizeof(opts),
		.flags = VHD_DISK_LIVE,
		.opaque = &far,
		.merged = &merged,
		.stop = api_stop,
	};
	struct vhd_disk *d;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_snapshot("b.vhd", "a.vhd");
	api_write("b.vhd", 1, 'B');
	api_write("b.vhd", API_SECTORS - 1, 'B');
	/* As a guest with a child of it. */
	assert_int_equal(vhd_disk_open(vt_path("b.vhd"), VHD_DISK_RDONLY,
				       &api_msg, &d), 0);
	assert_int_equal(vhd_disk_coalesce(vt_path("b.vhd"), &opts, &api_msg),
			 -EINTR);
	assert_true(merged < 2 * API_BLOCK);
	assert_int_equal(api_read("b.vhd", API_SECTORS - 1), 'B');
	opts.stop = NULL;
	assert_int_equal(vhd_disk_coalesce(vt_path("b.vhd"), &opts, &api_msg),
			 0);
	assert_int_equal(merged, 2 * API_BLOCK);
	assert_int_equal(vhd_disk_close(d), 0);
	assert_int_equal(api_read("a.vhd", API_SECTORS - 1), 'B');
	api_good("a.vhd");
}

/* The parent of an image may not be anywhere, unless the caller says so. */
static void test_coalesce_policy(void **state)
{
	struct vhd_coalesce_opts opts = { .struct_size = sizeof(opts) };

	(void)state;
	api_create("a.vhd", API_SECTORS);
	assert_int_equal(mkdir(vt_path("x"), 0755), 0);
	api_snapshot("x/b.vhd", "a.vhd");
	assert_int_equal(vhd_disk_coalesce(vt_path("x/b.vhd"), &opts,
					   &api_msg), -EACCES);
	opts.flags = VHD_DISK_ANY_PARENT | VHD_DISK_SPARSE;
	assert_int_equal(vhd_disk_coalesce(vt_path("x/b.vhd"), &opts,
					   &api_msg), 0);
}

static void test_resize(void **state)
{
	struct vhd_resize_opts opts = {
		.struct_size = sizeof(opts),
		.flags = VHD_DISK_FAST,
	};
	const char *a = vt_path("a.vhd");

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", API_SECTORS - 1, 'A');
	assert_int_equal(vhd_disk_resize(a, 1ULL << 33, NULL, &api_msg),
			 -EFBIG);
	assert_non_null(strstr(api_text, "2040 GiB"));
	assert_int_equal(vhd_disk_resize(a, 100 * API_SECTORS, &opts,
					 &api_msg), -EINVAL);
	assert_non_null(strstr(api_text, "without a journal"));
	assert_int_equal(vhd_disk_resize(a, 100 * API_SECTORS, NULL, &api_msg),
			 0);
	assert_int_equal(api_info("a.vhd").sectors, 100 * API_SECTORS);
	assert_int_equal(access(vt_path("a.vhd.journal"), F_OK), -1);
	assert_int_equal(api_read("a.vhd", API_SECTORS - 1), 'A');
	api_good("a.vhd");
	opts.flags = 0;
	opts.journal = vt_path("j");
	assert_int_equal(vhd_disk_resize(a, 10 * API_SECTORS, &opts, &api_msg),
			 -EINVAL);
	assert_non_null(strstr(api_text, " 0 bytes of data behind it would be lost"));
	opts.flags = VHD_DISK_SHRINK;
	assert_int_equal(vhd_disk_resize(a, 10 * API_SECTORS, &opts, &api_msg),
			 0);
	assert_int_equal(api_info("a.vhd").sectors, 10 * API_SECTORS);
	assert_int_equal(vhd_disk_revert(a, NULL, &api_msg), -ENOENT);
	assert_non_null(strstr(api_text, "a.vhd.journal"));
	api_good("a.vhd");
}

static void test_repair(void **state)
{
	const char *a = vt_path("a.vhd");
	struct vhd_info info;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", 9, 'A');
	assert_int_equal(truncate(a, api_info("a.vhd").file_size - 512), 0);
	info = api_info("a.vhd");
	assert_true(info.flags & VHD_INFO_FOOTER_LOST);
	assert_int_equal(vhd_disk_check(a, 0, &api_msg), -EINVAL);
	assert_int_equal(vhd_disk_repair(a, 0x1, &api_msg), -EINVAL);
	assert_int_equal(vhd_disk_repair(a, 0, &api_msg), 0);
	assert_false(api_info("a.vhd").flags & VHD_INFO_FOOTER_LOST);
	api_good("a.vhd");
	/* A footer that is another one's: the copy is the right one. */
	api_create("b.vhd", 2 * API_SECTORS);
	vt_sh("tail -c 512 b.vhd >>a.vhd");
	assert_int_equal(vhd_disk_check(a, 0, &api_msg), -EINVAL);
	assert_non_null(strstr(api_text, "copy at 0"));
	assert_int_equal(vhd_disk_repair(a, VHD_DISK_USE_COPY, &api_msg), 0);
	assert_memory_equal(api_info("a.vhd").uuid, info.uuid, 16);
	assert_int_equal(api_read("a.vhd", 9), 'A');
	api_good("a.vhd");
}

static void test_set(void **state)
{
	char path[4096];
	struct vhd_meta *meta;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", 1, 'A');
	api_create("z.vhd", API_SECTORS);
	api_snapshot("b.vhd", "a.vhd");
	assert_int_equal(vhd_disk_set_parent(vt_path("b.vhd"),
					     vt_path("z.vhd"), 0, &api_msg),
			 0);
	assert_int_equal(api_read("b.vhd", 1), 0);
	assert_int_equal(vhd_meta_open(vt_path("b.vhd"), 0, &api_msg, &meta),
			 0);
	assert_int_equal(vhd_meta_parent_path(meta, 0, path, sizeof(path)), 0);
	assert_string_equal(path, vt_path("z.vhd"));
	vhd_meta_close(meta);
	assert_int_equal(vhd_disk_set_parent(vt_path("a.vhd"),
					     vt_path("z.vhd"), 0, &api_msg),
			 -EINVAL);
	assert_int_equal(vhd_disk_set_parent(vt_path("b.vhd"),
					     vt_path("b.vhd"), 0, &api_msg),
			 -ELOOP);
	assert_int_equal(vhd_disk_set_hidden(vt_path("a.vhd"), 1, &api_msg),
			 0);
	assert_int_equal(vhd_disk_set_hidden(vt_path("a.vhd"), 257, &api_msg),
			 -EINVAL);
	assert_int_equal(vhd_disk_set_marker(vt_path("a.vhd"), 200, &api_msg),
			 0);
	assert_int_equal(vhd_disk_set_marker(vt_path("a.vhd"), 456, &api_msg),
			 -EINVAL);
	assert_non_null(strstr(api_text, "marker is 456, must be 0 to 255"));
	assert_true(api_info("a.vhd").flags & VHD_INFO_HIDDEN);
	assert_int_equal(api_info("a.vhd").marker, 200);
	vt_sh("qemu-img create -q -f vpc q.vhd 8M");
	assert_int_equal(vhd_disk_set_marker(vt_path("q.vhd"), 1, &api_msg),
			 -ENOTSUP);
}

static void test_copy(void **state)
{
	struct vhd_copy_opts opts = { .struct_size = sizeof(opts) };
	struct vhd_disk *d;
	uint32_t dropped;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", 1, 'A');
	api_snapshot("b.vhd", "a.vhd");
	api_write("b.vhd", API_BLOCK, 'B');
	assert_int_equal(vhd_disk_copy(vt_path("b.vhd"), vt_path("c.vhd"),
				       NULL, &api_msg), 0);
	api_good("c.vhd");
	assert_int_equal(api_info("c.vhd").type, VHD_INFO_DYNAMIC);
	assert_int_equal(api_read("c.vhd", 1), 'A');
	opts.flags = VHD_DISK_TO_RAW;
	assert_int_equal(vhd_disk_copy(vt_path("b.vhd"), vt_path("c.raw"),
				       &opts, &api_msg), 0);
	vt_sh("qemu-img compare -f vpc -F raw c.vhd c.raw");
	opts.flags = VHD_DISK_FROM_RAW;
	assert_int_equal(vhd_disk_copy(vt_path("c.raw"), vt_path("d.vhd"),
				       &opts, &api_msg), 0);
	vt_sh("qemu-img compare -f vpc -F vpc c.vhd d.vhd");
	assert_int_equal(vhd_disk_copy(vt_path("c.raw"), vt_path("d.vhd"),
				       &opts, &api_msg), -EEXIST);
	/* Zeros where there was something: the block is of no use. */
	assert_int_equal(vhd_disk_open(vt_path("c.vhd"), VHD_DISK_LEAF_ONLY,
				       &api_msg, &d), 0);
	assert_int_equal(vhd_disk_write_zeroes(d, 1, 1), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	assert_int_equal(vhd_disk_compact(vt_path("c.vhd"), &dropped, NULL,
					  &api_msg), 0);
	assert_int_equal(api_info("c.vhd").blocks_allocated, 1);
	assert_int_equal(dropped, 1);
	assert_int_equal(api_read("c.vhd", API_BLOCK), 'B');
	api_good("c.vhd");
}

/* What an image says is what "vhd-util" and od read in it. */
static void test_info(void **state)
{
	struct vhd_info info, parent;
	time_t now = time(NULL);
	struct stat st;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_snapshot("b.vhd", "a.vhd");
	api_write("b.vhd", 3 * API_BLOCK, 'B');
	parent = api_info("a.vhd");
	info = api_info("b.vhd");
	assert_int_equal(parent.type, VHD_INFO_DYNAMIC);
	assert_int_equal(info.type, VHD_INFO_DIFF);
	assert_int_equal(info.flags, VHD_INFO_BATMAP | VHD_INFO_BATMAP_GOOD);
	assert_int_equal(info.original_sectors, API_SECTORS);
	assert_true(info.timestamp >= now - 1 && info.timestamp <= now + 60);
	assert_int_equal(stat(vt_path("a.vhd"), &st), 0);
	assert_int_equal(info.parent_timestamp, st.st_mtime);
	assert_memory_equal(info.parent_uuid, parent.uuid, 16);
	assert_memory_not_equal(info.uuid, parent.uuid, 16);
	assert_int_equal(parent.parent_timestamp, 0);
	assert_string_equal(info.creator, "tap");
	assert_int_equal(info.creator_version, 0x10003);
	assert_int_equal(info.block_sectors, API_BLOCK);
	assert_int_equal(info.blocks, 4);
	assert_int_equal(info.blocks_max, 4);
	assert_int_equal(info.blocks_allocated, 1);
	assert_int_equal(stat(vt_path("b.vhd"), &st), 0);
	assert_int_equal(info.file_size, st.st_size);
	vt_sh("qemu-img create -q -f vpc -o subformat=fixed,force_size=on f.vhd 8M");
	info = api_info("f.vhd");
	assert_int_equal(info.type, VHD_INFO_FIXED);
	assert_string_equal(info.creator, "qem2");
	assert_int_equal(info.sectors, API_SECTORS);
	assert_int_equal(info.sectors_max, API_SECTORS);
	assert_int_equal(info.cylinders, 65535);
	assert_int_equal(info.heads, 16);
	assert_int_equal(info.sectors_per_track, 255);
	assert_int_equal(info.blocks, 0);
}

/* The names of the parent, in every way. */
static void test_parent(void **state)
{
	struct vhd_locator_info loc = { .struct_size = sizeof(loc) };
	struct vhd_meta *meta;
	char name[4096];
	unsigned int i, nr = 0;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	assert_int_equal(mkdir(vt_path("x"), 0755), 0);
	api_snapshot("x/b.vhd", "a.vhd");
	assert_int_equal(vhd_meta_open(vt_path("x/b.vhd"), VHD_META_PARENTS,
				       &api_msg, &meta), -EACCES);
	assert_int_equal(vhd_meta_open(vt_path("x/b.vhd"), 0, &api_msg, &meta),
			 0);
	assert_int_equal(vhd_meta_images(meta), 1);
	assert_int_equal(vhd_meta_parent_name(meta, 0, name, sizeof(name)), 0);
	assert_string_equal(name, "./../a.vhd");
	assert_int_equal(vhd_meta_parent_name(meta, 0, name, 10), -ERANGE);
	assert_int_equal(vhd_meta_parent_name(meta, 1, name, 10), -ENOENT);
	assert_int_equal(vhd_meta_parent_path(meta, 0, name, sizeof(name)),
			 -EACCES);
	for (i = 0; i <= VHD_META_LOCATORS; i++) {
		int ret = vhd_meta_locator(meta, 0, i, &loc, name,
					   sizeof(name));

		if (i >= 3) {
			assert_int_equal(ret, -ENOENT);
			continue;
		}
		assert_int_equal(ret, 0);
		assert_non_null(strstr(name, "../a.vhd"));
		assert_int_equal(loc.data_space, 512);
		assert_int_equal(loc.data_offset % 512, 0);
		assert_true(loc.data_len >= strlen("../a.vhd"));
		nr += loc.code == 0x57327275;
	}
	assert_int_equal(nr, 1);
	vhd_meta_close(meta);
	assert_int_equal(vhd_meta_open(vt_path("x/b.vhd"), VHD_META_PARENTS |
				       VHD_META_ANY_PARENT, &api_msg, &meta),
			 0);
	assert_int_equal(vhd_meta_images(meta), 2);
	assert_int_equal(vhd_meta_parent_path(meta, 0, name, sizeof(name)), 0);
	assert_string_equal(name, vt_path("a.vhd"));
	assert_string_equal(vhd_meta_path(meta, 1), vt_path("a.vhd"));
	assert_null(vhd_meta_path(meta, 2));
	assert_int_equal(vhd_meta_parent_name(meta, 1, name, sizeof(name)),
			 -ENOENT);
	assert_int_equal(vhd_meta_parent_path(meta, 1, name, sizeof(name)),
			 -ENOENT);
	assert_int_equal(vhd_meta_locator(meta, 1, 0, &loc, NULL, 0), -ENOENT);
	vhd_meta_close(meta);
	vhd_meta_close(NULL);
}

/* Where things are is where od finds them; also while the image is in use. */
static void test_map(void **state)
{
	uint8_t map[512], byte;
	uint64_t offset = 0;
	struct vhd_meta *meta;
	struct vhd_disk *d;
	FILE *f;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_write("a.vhd", 2 * API_BLOCK, 'A');
	api_snapshot("b.vhd", "a.vhd");
	api_write("b.vhd", 2 * API_BLOCK + 9, 'B');
	assert_int_equal(vhd_disk_open(vt_path("b.vhd"), 0, &api_msg, &d), 0);
	assert_int_equal(vhd_meta_open(vt_path("b.vhd"), 0, &api_msg, &meta),
			 0);
	assert_int_equal(vhd_meta_block(meta, 0, 0, &offset), -ENODATA);
	assert_int_equal(vhd_meta_block(meta, 0, 4, &offset), -ENOENT);
	assert_int_equal(vhd_meta_block(meta, 1, 0, &offset), -ENOENT);
	assert_int_equal(vhd_meta_block(meta, 0, 2, &offset), 0);
	f = fopen(vt_path("b.vhd"), "r");
	assert_non_null(f);
	assert_int_equal(fseek(f, offset + 9 * 512, SEEK_SET), 0);
	assert_int_equal(fread(&byte, 1, 1, f), 1);
	assert_int_equal(byte, 'B');
	fclose(f);
	assert_int_equal(vhd_meta_bitmap(meta, 0, 2, map, 511), -ERANGE);
	assert_int_equal(vhd_meta_bitmap(meta, 0, 1, map, 512), -ENODATA);
	assert_int_equal(vhd_meta_bitmap(meta, 0, 2, map, 512), 0);
	assert_int_equal(map[0], 0);
	assert_int_equal(map[1], 0x40);
	assert_int_equal(map[2], 0);
	vhd_meta_close(meta);
	assert_int_equal(vhd_disk_close(d), 0);
}

/* Nobody changes what somebody has open. */
static void test_in_use(void **state)
{
	const char *a = vt_path("a.vhd"), *b = vt_path("b.vhd");
	struct vhd_disk *d;

	(void)state;
	api_create("a.vhd", API_SECTORS);
	api_snapshot("b.vhd", "a.vhd");
	assert_int_equal(vhd_disk_open(b, 0, &api_msg, &d), 0);
	assert_int_equal(vhd_disk_repair(b, 0, &api_msg), -EBUSY);
	assert_int_equal(vhd_disk_resize(b, API_SECTORS * 2, NULL, &api_msg),
			 -EBUSY);
	assert_int_equal(vhd_disk_coalesce(b, NULL, &api_msg), -EBUSY);
	assert_int_equal(vhd_disk_compact(b, NULL, NULL, &api_msg), -EBUSY);
	assert_int_equal(vhd_disk_set_hidden(b, 1, &api_msg), -EBUSY);
	assert_int_equal(vhd_disk_set_parent(b, a, 0, &api_msg), -EBUSY);
	assert_int_equal(vhd_disk_set_marker(a, 1, &api_msg), -EBUSY);
	assert_int_equal(vhd_disk_copy(b, vt_path("c.vhd"), NULL, &api_msg),
			 -EBUSY);
	assert_int_equal(vhd_disk_close(d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   vt_teardown)
		TEST(test_create),
		TEST(test_snapshot),
		TEST(test_struct_size),
		TEST(test_coalesce),
		TEST(test_coalesce_policy),
		TEST(test_coalesce_stop),
		TEST(test_resize),
		TEST(test_repair),
		TEST(test_set),
		TEST(test_copy),
		TEST(test_info),
		TEST(test_parent),
		TEST(test_map),
		TEST(test_in_use),
	};

	return cmocka_run_group_tests_name("vhd_api", tests, NULL, NULL);
}
