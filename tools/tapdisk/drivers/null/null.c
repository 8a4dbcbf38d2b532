// SPDX-License-Identifier: GPL-2.0
/*
 * null:SIZE: reads give zeros, writes are dropped. For measuring what all the
 * rest costs.
 */
#include <errno.h>

#include "td_driver.h"
#include "td_file.h"
#include "td_log.h"

static int td_null_open(struct td_vbd *vbd, const char *path,
			unsigned int flags, struct td_disk_info *info,
			void **priv)
{
	uint64_t size;

	(void)vbd;
	(void)flags;
	if (td_size_parse(path, 1, &size) || !size || size & 511) {
		td_err("null:%s: must be null:SIZE, a multiple of 512 bytes with an optional suffix K, M, G or T",
		       path);
		return -EINVAL;
	}
	*priv = NULL;
	*info = (struct td_disk_info){
		.sectors = size / 512,
		.sector_size = 512,
		.phys_size = 4096,
		.discard = true,
		.discard_size = 4096,
		.write_zeroes = true,
	};
	return 0;
}

static int td_null_close(void *priv)
{
	(void)priv;
	return 0;
}

static void td_null_submit(void *priv, struct td_req *req)
{
	struct blktap_direct_extent ext = {
		.len = req->nr_sectors * 512,
		.kind = BLKTAP_EXTENT_ZERO,
	};

	(void)priv;
	if (req->op == BLKTAP_OP_READ)
		td_req_map(req, &ext, 1, TD_MAP_END, td_req_end);
	else
		td_req_end(req, 0);
}

const struct td_driver td_driver_null = {
	.name = "null",
	.open = td_null_open,
	.close = td_null_close,
	.submit = td_null_submit,
};
