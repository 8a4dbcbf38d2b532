// SPDX-License-Identifier: GPL-2.0
/* vhd-util coalesce, fill, copy, compact: data. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_progress.h"
#include "vhd_util.h"

int vu_coalesce(const struct vu_args *args)
{
	struct td_progress progress;
	struct vhd_coalesce spec = {
		.path = args->opt['n'],
		.parent = args->opt['x'],
		.ancestor = args->opt['a'],
		.output = args->opt['o'],
		.sparse = args->opt['s'],
		.progress = { td_progress, &progress },
	};
	uint64_t sectors;
	int ret;

	if (args->opt['o'] && args->opt['a'])
		return vu_wrong(args, "-o excludes -a");
	if (vu_number(args, 'r', 1, VU_RATE_MAX, VU_MB, &spec.rate))
		return VU_USAGE;
	td_progress_init(&progress, args->opt['p']);
	ret = vhd_coalesce(&vu_ctx, &spec, &sectors);
	td_progress_end(&progress);
	if (ret)
		printf("error coalescing: %d\n", ret);
	else
		printf("Coalesced %" PRIu64 " sectors\n", sectors);
	return vu_status(ret);
}

int vu_fill(const struct vu_args *args)
{
	struct td_progress progress;
	struct vhd_fill spec = {
		.path = args->opt['n'],
		.empty = args->opt['b'],
		.progress = { td_progress, &progress },
	};
	struct vhd_image *image;
	int ret;

	if (!spec.empty && (args->opt['f'] || args->opt['t'] ||
			    args->opt['B']))
		return vu_wrong(args, "-f, -t and -B go with -b");
	/* -t is the end of the disk unless it is given. */
	ret = vhd_open(&vu_ctx, spec.path, VHD_OPEN_HEADERS, &image);
	if (ret)
		return vu_status(ret);
	spec.last = image->sectors - 1;
	vhd_close(image);
	if (vu_number(args, 'f', 0, VU_SECTORS_MAX, 1, &spec.first) ||
	    vu_number(args, 't', 0, VU_SECTORS_MAX, 1, &spec.last))
		return VU_USAGE;
	td_progress_init(&progress, args->opt['p']);
	ret = vhd_fill(&vu_ctx, &spec);
	td_progress_end(&progress);
	return vu_status(ret);
}

/* What a rescue could not save, or saved in doubt. */
struct vu_rescue {
	struct json_object *problems;	/* NULL: no JSON, but lines */
	struct json_object *ranges;
	uint64_t bytes[2];		/* missing, doubtful */
};

static void vu_rescue_problem(void *opaque, const char *text)
{
	struct vu_rescue *r = opaque;

	if (r->problems)
		json_object_array_add(r->problems, vu_json_text(text));
	else
		vu_error("%s", text);
}

static void vu_rescue_missing(void *opaque, uint64_t sector, uint64_t nr,
			      bool doubtful, const char *why)
{
	struct vu_rescue *r = opaque;
	struct json_object *obj;

	r->bytes[doubtful] += nr * VHD_SECTOR;
	if (!r->ranges) {
		printf("%s: bytes %" PRIu64 " to %" PRIu64 " (%" PRIu64 " bytes): %s\n",
		       doubtful ? "doubtful" : "missing", sector * VHD_SECTOR,
		       (sector + nr) * VHD_SECTOR - 1, nr * VHD_SECTOR, why);
		return;
	}
	obj = json_object_new_object();
	vu_json_int(obj, "offset", sector * VHD_SECTOR);
	vu_json_int(obj, "length", nr * VHD_SECTOR);
	json_object_object_add(obj, "doubtful",
			       json_object_new_boolean(doubtful));
	json_object_object_add(obj, "reason", vu_json_text(why));
	json_object_array_add(r->ranges, obj);
}

static void vu_rescue_json(const struct vu_args *args, struct vu_rescue *r,
			   uint64_t size, bool complete)
{
	struct json_object *obj = json_object_new_object();

	vu_json_name(obj, "name", args->opt['n']);
	vu_json_name(obj, "new", args->opt['N']);
	json_object_object_add(obj, "complete",
			       json_object_new_boolean(complete));
	vu_json_int(obj, "size", size);
	vu_json_int(obj, "missing_bytes", r->bytes[false]);
	vu_json_int(obj, "doubtful_bytes", r->bytes[true]);
	json_object_object_add(obj, "ranges", r->ranges);
	json_object_object_add(obj, "problems", r->problems);
	vu_json_print(obj);
}

static int vu_rescue(const struct vu_args *args)
{
	struct td_progress progress;
	struct vu_rescue r = { 0 };
	struct vhd_rescue spec = {
		.from = args->opt['n'],
		.to = args->opt['N'],
		.from_raw = args->opt['r'],
		.to_raw = args->opt['R'],
		.problem = vu_rescue_problem,
		.missing = vu_rescue_missing,
		.opaque = &r,
		.progress = { td_progress, &progress },
	};
	uint64_t size = 0;
	bool complete;
	int ret;

	if (args->flags & VU_JSON) {
		r.problems = json_object_new_array();
		r.ranges = json_object_new_array();
	}
	td_progress_init(&progress, args->opt['p']);
	ret = vhd_rescue(&vu_ctx, &spec, &size);
	td_progress_end(&progress);
	if (ret) {
		json_object_put(r.problems);
		json_object_put(r.ranges);
		return vu_status(ret);
	}
	complete = !r.bytes[false] && !r.bytes[true];
	if (args->flags & VU_JSON)
		vu_rescue_json(args, &r, size, complete);
	else
		printf("saved: %" PRIu64 " of %" PRIu64 " bytes, of them doubtful: %" PRIu64 "\n",
		       size - r.bytes[false], size, r.bytes[true]);
	if (!complete)
		vu_error("%s: %" PRIu64 " bytes are missing and %" PRIu64 " doubtful in %s",
			 args->opt['n'], r.bytes[false], r.bytes[true],
			 args->opt['N']);
	return complete ? 0 : VU_INCOMPLETE;
}

/* The disk as a stream, which has no holes. */
static int vu_copy_out(const struct vu_args *args)
{
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	struct td_progress progress;
	struct vhd_image *image;
	uint64_t sector;
	uint32_t nr;
	int ret = buf ? 0 : -ENOMEM;

	if (!ret)
		ret = vhd_open(&vu_ctx, args->opt['n'], VHD_OPEN_PARENTS |
			       VHD_OPEN_LOCK, &image);
	if (ret) {
		free(buf);
		return vu_status(ret);
	}
	td_progress_init(&progress, args->opt['p']);
	for (sector = 0; sector < image->sectors && !ret; sector += nr) {
		nr = VHD_BLOCK_SIZE / VHD_SECTOR;
		if (nr > image->sectors - sector)
			nr = image->sectors - sector;
		ret = vhd_read(image, sector, nr, buf);
		if (!ret && fwrite(buf, VHD_SECTOR, nr, stdout) != nr) {
			ret = -errno;
			vu_error("cannot write output: %s", strerror(-ret));
			/* It was said. */
			clearerr(stdout);
		}
		td_progress(&progress, sector + nr, image->sectors);
	}
	td_progress_end(&progress);
	vhd_close(image);
	free(buf);
	return vu_status(ret);
}

/* What goes with a stream, at either end, and with what is overwritten. */
static int vu_copy_excluded(const struct vu_args *args,
			    const struct vhd_copy *spec)
{
	bool rescue = args->flags & VU_RESCUE;
	const char *type = args->opt['t'];

	if (!strcmp(spec->to, "-") &&
	    (!spec->to_raw || spec->from_raw || args->flags || type ||
	     args->opt[VU_ALIGN] || spec->stream))
		return vu_wrong(args, "-N - goes with -R alone: a stream holds a raw disk");
	if (rescue && (type || args->opt[VU_ALIGN]))
		return vu_wrong(args, "--rescue excludes -t and --align");
	if (rescue && (spec->stream || spec->overwrite))
		return vu_wrong(args, "--rescue excludes -n - and --overwrite");
	if (!rescue && args->flags & VU_JSON)
		return vu_wrong(args, "--json goes with --rescue");
	if (args->opt['s'] && !spec->stream)
		return vu_wrong(args, "-s goes with -n -: else the size is that of the image");
	if (spec->stream && isatty(STDIN_FILENO))
		return vu_wrong(args, "-n -: the standard input is a terminal, must be a raw disk");
	if (type && strcmp(type, "dynamic") && strcmp(type, "fixed") &&
	    strcmp(type, "raw"))
		return vu_wrong(args, "-t is %s, must be dynamic, fixed or raw",
				type);
	if (type && spec->to_raw && strcmp(type, "raw"))
		return vu_wrong(args, "-t %s excludes -R", type);
	return 0;
}

int vu_copy(const struct vu_args *args)
{
	struct td_progress progress;
	struct vhd_copy spec = {
		.from = args->opt['n'],
		.to = args->opt['N'],
		.from_raw = args->opt['r'],
		.to_raw = args->opt['R'],
		.stream = !strcmp(args->opt['n'], "-"),
		.stream_fd = STDIN_FILENO,
		.overwrite = args->flags & VU_OVERWRITE,
		.progress = { td_progress, &progress },
	};
	const char *type = args->opt['t'];
	int ret;

	if (vu_copy_excluded(args, &spec))
		return VU_USAGE;
	if (!strcmp(spec.to, "-"))
		return vu_copy_out(args);
	if (args->flags & VU_RESCUE)
		return vu_rescue(args);
	spec.to_fixed = type && !strcmp(type, "fixed");
	spec.to_raw |= type && !strcmp(type, "raw");
	if (spec.overwrite && !spec.to_raw)
		return vu_wrong(args, "--overwrite goes with -R: only a raw disk has its place already");
	if (spec.stream)
		spec.from = "standard input";
	if (vu_size(args, VU_ALIGN, 1, VHD_SECTOR, 1 << 30, &spec.align) ||
	    vu_disk_size(args, 's', &spec.size))
		return VU_USAGE;
	td_progress_init(&progress, args->opt['p']);
	ret = vhd_copy(&vu_ctx, &spec);
	td_progress_end(&progress);
	return vu_status(ret);
}

int vu_compact(const struct vu_args *args)
{
	struct td_progress state;
	struct vhd_progress progress = { td_progress, &state };
	uint32_t dropped = 0;
	int ret;

	td_progress_init(&state, args->opt['p']);
	ret = vhd_compact(&vu_ctx, args->opt['n'], &progress, &dropped);
	td_progress_end(&state);
	if (!ret)
		printf("dropped blocks: %u\n", dropped);
	return vu_status(ret);
}
