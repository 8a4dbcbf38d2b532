// SPDX-License-Identifier: GPL-2.0
/* vhd-util set, modify, repair, resize, revert: metadata. */
#include <string.h>

#include "vhd_util.h"

int vu_set(const struct vu_args *args)
{
	const char *field = args->opt['f'];
	uint64_t value;

	if (!strcmp(field, "hidden")) {
		if (vu_number(args, 'v', 0, 1, 1, &value))
			return VU_USAGE;
		return vu_status(vhd_set_hidden(&vu_ctx, args->opt['n'],
						value));
	}
	if (!strcmp(field, "marker")) {
		if (vu_number(args, 'v', 0, 255, 1, &value))
			return VU_USAGE;
		return vu_status(vhd_set_marker(&vu_ctx, args->opt['n'],
						value));
	}
	return vu_wrong(args, "-f is %s, must be hidden or marker", field);
}

int vu_modify(const struct vu_args *args)
{
	const char *name = args->opt['n'];
	uint64_t size;
	int ret = 0;

	if (!args->opt['p'] && !args->opt['s'] && !args->opt['z'])
		return vu_wrong(args, "option -p, -s or -z is missing");
	if (args->opt['m'] && !args->opt['p'])
		return vu_wrong(args, "-m goes with -p");
	if (vu_size(args, 's', 1, VHD_SECTOR, VHD_FILE_MAX, &size))
		return VU_USAGE;
	if (args->opt['z'])
		ret = vhd_kill_data(&vu_ctx, name);
	if (!ret && args->opt['p'])
		ret = vhd_set_parent(&vu_ctx, name, args->opt['p'],
				     args->opt['m']);
	if (!ret && args->opt['s'])
		ret = vhd_set_file_size(&vu_ctx, name, size);
	return vu_status(ret);
}

int vu_repair(const struct vu_args *args)
{
	return vu_status(vhd_repair(&vu_ctx, args->opt['n'], args->opt['b']));
}

int vu_resize(const struct vu_args *args)
{
	uint64_t size;

	if (!args->opt['j'] == !args->opt['f'])
		return vu_wrong(args, "one of -j and -f must be there");
	if (vu_disk_size(args, 's', &size))
		return VU_USAGE;
	return vu_status(vhd_resize(&vu_ctx, args->opt['n'], size,
				    args->opt['j'], args->flags & VU_SHRINK));
}

int vu_revert(const struct vu_args *args)
{
	return vu_status(vhd_revert(&vu_ctx, args->opt['n'], args->opt['j']));
}
