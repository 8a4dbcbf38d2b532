// SPDX-License-Identifier: GPL-2.0
/* vhd-util create, snapshot: new images. */
#include <inttypes.h>

#include "vhd_util.h"

/* -S: the size to reserve metadata for. */
static int vu_size_max(const struct vu_args *args, struct vhd_create *spec)
{
	return vu_disk_size(args, 'S', &spec->size_max);
}

int vu_create(const struct vu_args *args)
{
	struct vhd_create spec = {
		.path = args->opt['n'],
		.fixed = args->opt['r'],
	};

	if (vu_disk_size(args, 's', &spec.size) || vu_size_max(args, &spec))
		return VU_USAGE;
	if (spec.size_max && spec.size_max < spec.size)
		return vu_wrong(args,
				"-S is %s, must be -s (%s) or more",
				args->opt['S'], args->opt['s']);
	return vu_status(vhd_create(&vu_ctx, &spec));
}

int vu_snapshot(const struct vu_args *args)
{
	struct vhd_create spec = {
		.path = args->opt['n'],
		.parent = args->opt['p'],
		.parent_raw = args->opt['m'],
		.keep_empty = args->opt['e'],
	};
	uint64_t depth = 0;

	if (vu_number(args, 'l', 1, VHD_CHAIN_MAX, 1, &depth) ||
	    vu_size_max(args, &spec))
		return VU_USAGE;
	spec.depth_max = depth;
	return vu_status(vhd_create(&vu_ctx, &spec));
}
