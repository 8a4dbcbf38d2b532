// SPDX-License-Identifier: GPL-2.0
/* vhd-util query, check: facts of an image, and whether it is sound. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "td_progress.h"
#include "vhd_util.h"

static uint32_t vu_allocated(const struct vhd_image *image)
{
	uint32_t nr = 0;
	uint32_t i;

	for (i = 0; !vhd_is_flat(image) && i < image->nr_blocks; i++)
		nr += image->bat[i] != VHD_BAT_UNUSED;
	return nr;
}

static uint64_t vu_room(const struct vhd_image *image)
{
	return vhd_is_flat(image) ? image->size :
	       (uint64_t)image->header.max_bat * image->header.block_size;
}

static const char *vu_type(const struct vhd_image *image)
{
	return image->footer.type == VHD_TYPE_FIXED ? "fixed" :
	       image->footer.type == VHD_TYPE_DYNAMIC ? "dynamic" :
	       "differencing";
}

static unsigned int vu_marker(const struct vhd_image *image)
{
	return image->batmap_map ? image->batmap.marker : 0;
}

/*
 * The parent's path: where it was found, or, with @raw, as it is written.
 * Return: 1 if there is one, 0 if not, or -1.
 */
static int vu_parent(struct vhd_image *image, bool raw, char *path)
{
	struct vhd_image *parent;

	if (image->footer.type != VHD_TYPE_DIFF)
		return 0;
	if (raw) {
		if (!vhd_parent_name(image, path))
			return 1;
		vu_error("%s: has no name of its parent: name it with vhd-util modify -n %s -p PARENT",
			 image->path, image->path);
		vu_status(-ENOENT);
		return -1;
	}
	if (vu_status(vhd_parent_find(image, 0, &parent)))
		return -1;
	snprintf(path, VHD_NAME_MAX, "%s", parent->path);
	vhd_close(parent);
	return 1;
}

/* Length of the chain, or -1. */
static int vu_depth(const char *name)
{
	struct vhd_image *chain;
	int depth;

	if (vu_status(vhd_open(&vu_ctx, name, VHD_OPEN_PARENTS, &chain)))
		return -1;
	depth = vhd_depth(chain);
	vhd_close(chain);
	return depth;
}

/* All there is to say, for people. */
static int vu_query_all(const struct vu_args *args, struct vhd_image *image)
{
	char path[VHD_NAME_MAX] = "";
	int parent = vu_parent(image, args->opt['u'], path);
	/* It was said already why the parent is not there. */
	int depth = parent < 0 ? -1 : vu_depth(args->opt['n']);

	printf("image:            %s\n", args->opt['n']);
	printf("type:             %s\n", vu_type(image));
	printf("size of the disk: %" PRIu64 " bytes (%" PRIu64 " MiB)\n",
	       image->size, image->size / VU_MB);
	printf("size of the file: %" PRIu64 " bytes\n", image->file_size);
	printf("parent:           %s\n", parent > 0 ? vu_clean(path) :
	       parent < 0 ? "not found" : "none");
	printf("hidden:           %u\n", image->footer.hidden);
	printf("marker:           %u\n", vu_marker(image));
	if (depth > 0)
		printf("chain depth:      %d\n", depth);
	printf("allocated blocks: %u\n", vu_allocated(image));
	printf("grows quickly to: %" PRIu64 " bytes (%" PRIu64 " MiB)\n",
	       vu_room(image), vu_room(image) / VU_MB);
	return parent < 0 || depth < 0 ? VU_FAILED : 0;
}

static int vu_query_print(const struct vu_args *args, struct vhd_image *image)
{
	const char *name = args->opt['n'];
	char path[VHD_NAME_MAX];
	uint64_t unit = args->flags & VU_BYTES ? 1 : VU_MB;
	bool failed = false;
	int ret;

	if (!strpbrk(args->order, "vspfmdSa"))
		return vu_query_all(args, image);
	if (args->opt['v'])
		printf("%" PRIu64 "\n", image->size / unit);
	if (args->opt['s'])
		printf("%" PRIu64 "\n", image->file_size);
	if (args->opt['p']) {
		ret = vu_parent(image, args->opt['u'], path);
		if (ret > 0)
			puts(path);
		else if (!ret)
			printf("%s has no parent\n", name);
		failed |= ret < 0;
	}
	if (args->opt['f'])
		printf("hidden: %u\n", image->footer.hidden);
	if (args->opt['m'])
		printf("marker: %u\n", vu_marker(image));
	if (args->opt['d']) {
		ret = vu_depth(name);
		if (ret > 0)
			printf("chain depth: %d\n", ret);
		failed |= ret < 0;
	}
	if (args->opt['a'])
		printf("%u\n", vu_allocated(image));
	if (args->opt['S'])
		printf("%" PRIu64 "\n", vu_room(image) / unit);
	return failed ? VU_FAILED : 0;
}

/* What was asked for, or all of it. */
static int vu_query_json(const struct vu_args *args, struct vhd_image *image)
{
	bool all = !args->opt['v'] && !args->opt['s'] && !args->opt['p'] &&
		   !args->opt['f'] && !args->opt['m'] && !args->opt['d'] &&
		   !args->opt['a'] && !args->opt['S'];
	struct json_object *obj = json_object_new_object();
	char path[VHD_NAME_MAX];
	bool failed = false;
	int ret;

	vu_json_name(obj, "name", args->opt['n']);
	if (all)
		json_object_object_add(obj, "type",
				       vu_json_text(vu_type(image)));
	if (all || args->opt['v']) {
		vu_json_int(obj, "virtual_size_mb", image->size / VU_MB);
		vu_json_int(obj, "virtual_size", image->size);
	}
	if (all || args->opt['s'])
		vu_json_int(obj, "file_size", image->file_size);
	if (all || args->opt['p']) {
		ret = vu_parent(image, args->opt['u'], path);
		vu_json_name(obj, "parent", ret > 0 ? path : NULL);
		failed |= ret < 0;
	}
	if (all || args->opt['f'])
		vu_json_int(obj, "hidden", image->footer.hidden);
	if (all || args->opt['m'])
		vu_json_int(obj, "marker", vu_marker(image));
	if (all || args->opt['d']) {
		ret = vu_depth(args->opt['n']);
		json_object_object_add(obj, "chain_depth", ret > 0 ?
				       json_object_new_int(ret) : NULL);
		failed |= ret < 0;
	}
	if (all || args->opt['a'])
		vu_json_int(obj, "allocated_blocks", vu_allocated(image));
	if (all || args->opt['S']) {
		vu_json_int(obj, "max_size_mb", vu_room(image) / VU_MB);
		vu_json_int(obj, "max_size", vu_room(image));
	}
	vu_json_print(obj);
	return failed ? VU_FAILED : 0;
}

int vu_query(const struct vu_args *args)
{
	struct vhd_image *image;
	int ret;

	ret = vhd_open(&vu_ctx, args->opt['n'], args->opt['b'] ?
		       VHD_OPEN_BACKUP : 0, &image);
	if (ret)
		return vu_status(ret);
	ret = args->flags & VU_JSON ? vu_query_json(args, image) :
	      vu_query_print(args, image);
	vhd_close(image);
	return ret;
}

static int vu_check_json(const struct vu_args *args, unsigned int open_flags,
			 unsigned int flags)
{
	struct vu_reason reason;
	struct vhd_check_stats stats = { 0 };
	struct json_object *obj;
	int ret;

	vu_reason_init(&reason);
	ret = vhd_check(&reason.ctx, args->opt['n'], open_flags, flags, &stats);
	obj = json_object_new_object();
	vu_json_name(obj, "name", args->opt['n']);
	json_object_object_add(obj, "valid", json_object_new_boolean(!ret));
	if (ret)
		json_object_object_add(obj, "error",
				       vu_json_text(vu_reason(&reason, ret)));
	if (!ret && args->opt['s']) {
		vu_json_int(obj, "blocks", stats.blocks);
		vu_json_int(obj, "full_blocks", stats.full);
		vu_json_int(obj, "sectors", stats.sectors);
	}
	vu_json_print(obj);
	/* The object says why. */
	return ret ? VU_FAILED : 0;
}

int vu_check(const struct vu_args *args)
{
	struct td_progress progress;
	struct vhd_check_stats stats = { .progress = { td_progress, &progress } };
	unsigned int open_flags = (args->opt['i'] ? VHD_OPEN_NO_FOOTER : 0) |
				  (args->opt['I'] ? VHD_OPEN_ANY_UUID : 0) |
				  (args->opt['t'] ? VHD_OPEN_ANY_TIME : 0) |
				  (args->opt['B'] ? VHD_OPEN_ANY_BAT : 0);
	unsigned int flags = (args->opt['p'] ? VHD_CHECK_PARENTS : 0) |
			     (args->opt['b'] || args->opt['s'] ?
			      VHD_CHECK_BITMAPS : 0);
	int ret;

	if (args->opt['B'] && flags & VHD_CHECK_BITMAPS)
		return vu_wrong(args,
				"-B excludes -b and -s: bitmaps can be believed only if no blocks overlap");
	if (args->flags & VU_JSON)
		return vu_check_json(args, open_flags, flags);
	/* -p is for the parents here. */
	td_progress_init(&progress, false);
	ret = vhd_check(&vu_ctx, args->opt['n'], open_flags, flags, &stats);
	td_progress_end(&progress);
	if (ret)
		return vu_status(ret);
	printf("%s is valid\n", args->opt['n']);
	if (args->opt['s'])
		printf("blocks: %" PRIu64 " full: %" PRIu64 " sectors: %" PRIu64 "\n",
		       stats.blocks, stats.full, stats.sectors);
	return 0;
}
