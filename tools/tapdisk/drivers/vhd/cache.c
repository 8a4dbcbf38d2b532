// SPDX-License-Identifier: GPL-2.0
/*
 * Read cache (tap-ctl open -r): what a READ found in a parent is written into
 * the leaf, where it takes the way of any other write.
 *
 * It must never take the place of what the guest wrote. When a READ has found
 * that the leaf lacks some sectors, nothing is filled in that a change in
 * flight overlaps; and while they are filled in, changes that overlap wait.
 * So what the leaf lacks it lacks until the fill has written it, and parents
 * do not change.
 *
 * The cache is never waited for by reads, and may be left out: when there are
 * many fills already, no memory, or no space. The last ends it for good.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "td_log.h"
#include "td_vhd.h"

static bool td_vhd_overlaps(const struct td_req *req, uint64_t sector,
			    uint32_t nr)
{
	return req->sector < sector + nr &&
	       sector < req->sector + req->nr_sectors;
}

/* The busy fill, other than @req itself, that overlaps some sectors. */
static struct td_vhd_fill *td_vhd_fill_find(struct td_vhd *vhd,
					    const struct td_req *req,
					    uint64_t sector, uint32_t nr)
{
	unsigned int i;

	for (i = 0; i < TD_VHD_FILLS; i++) {
		struct td_vhd_fill *fill = &vhd->fill[i];

		if (fill->buf && &fill->req != req &&
		    td_vhd_overlaps(&fill->req, sector, nr))
			return fill;
	}
	return NULL;
}

bool td_vhd_fill_wait(struct td_vhd *vhd, struct td_req *req)
{
	struct td_vhd_fill *fill;

	if (!vhd->nr_fills)
		return false;
	fill = td_vhd_fill_find(vhd, req, req->sector, req->nr_sectors);
	if (fill)
		td_vhd_queue_add(&fill->queue, req);
	return fill;
}

uint8_t *td_vhd_fill_data(const struct td_vhd *vhd, const struct td_req *req)
{
	unsigned int i;

	for (i = 0; vhd->nr_fills && i < TD_VHD_FILLS; i++)
		if (&vhd->fill[i].req == req)
			return vhd->fill[i].buf;
	return NULL;
}

static void td_vhd_fill_done(struct td_req *req, int error, bool retry)
{
	struct td_vhd_fill *fill = td_vhd_of(req, struct td_vhd_fill, req);
	struct td_vhd_queue queue = fill->queue;
	struct td_vhd *vhd = fill->vhd;

	(void)retry;
	if (error && vhd->cache) {
		td_warn("%s: what is read is not cached any more: %s",
			td_vhd_leaf(vhd)->path, strerror(-error));
		vhd->cache = false;
	}
	vhd->stats.filled += error ? 0 : req->nr_sectors;
	free(fill->buf);
	fill->buf = NULL;
	fill->queue.head = NULL;
	vhd->nr_fills--;
	td_vhd_queue_run(vhd, &queue, 0);
	td_vbd_release(vhd->vbd);
}

static void td_vhd_fill_read(struct td_io *io, int error)
{
	struct td_vhd_fill *fill = io->priv;

	if (error)
		td_vhd_fill_done(&fill->req, error, false);
	else
		td_vhd_start(fill->vhd, &fill->req);
}

static void td_vhd_fill_start(struct td_vhd *vhd, int fd, uint64_t off,
			      uint64_t sector, uint32_t nr)
{
	struct td_vhd_fill *fill = vhd->fill;
	const struct td_vhd_op *op;
	void *buf;

	if (vhd->nr_fills == TD_VHD_FILLS ||
	    td_vhd_fill_find(vhd, NULL, sector, nr))
		return;
	for (op = vhd->ops; op; op = op->next)
		if (td_vhd_overlaps(op->req, sector, nr))
			return;
	while (fill->buf)
		fill++;
	if (posix_memalign(&buf, 4096, (size_t)nr * VHD_SECTOR))
		return;
	*fill = (struct td_vhd_fill) {
		.vhd = vhd,
		.buf = buf,
		.req = {
			.op = BLKTAP_OP_WRITE,
			.sector = sector,
			.nr_sectors = nr,
			.vbd = vhd->vbd,
			.done = td_vhd_fill_done,
		},
		.io = {
			.op = TD_IO_READ,
			.fd = fd,
			.buf = buf,
			.len = (size_t)nr * VHD_SECTOR,
			.off = off,
			.done = td_vhd_fill_read,
			.priv = fill,
		},
	};
	vhd->nr_fills++;
	td_vbd_hold(vhd->vbd);
	td_io_submit(&fill->io);
}

void td_vhd_fill_from(struct td_vhd *vhd, const struct td_req *req,
		      unsigned int nr_ext)
{
	uint64_t sector = req->sector;
	unsigned int i, l;

	for (i = 0; i < nr_ext; i++) {
		const struct blktap_direct_extent *ext = &vhd->ext[i];
		uint32_t nr = ext->len / VHD_SECTOR;

		for (l = 1; ext->kind == BLKTAP_EXTENT_FILE &&
		     l < vhd->nr_layers; l++)
			if (vhd->layer[l].file == ext->file)
				td_vhd_fill_start(vhd,
						  vhd->layer[l].image->fd,
						  ext->addr, sector, nr);
		sector += nr;
	}
}
