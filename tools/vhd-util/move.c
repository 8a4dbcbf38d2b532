// SPDX-License-Identifier: GPL-2.0
/* vhd-util coalesce, fill, copy, compact: data. */
#include <errno.h>
#include <inttypes.h>

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

int vu_copy(const struct vu_args *args)
{
	struct td_progress progress;
	struct vhd_copy spec = {
		.from = args->opt['n'],
		.to = args->opt['N'],
		.from_raw = args->opt['r'],
		.to_raw = args->opt['R'],
		.progress = { td_progress, &progress },
	};
	int ret;

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
