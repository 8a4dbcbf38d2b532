// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Read cache: what a READ found in a parent is written into
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

#include "eng_private.h"

static bool vhd_eng_overlaps(const struct vhd_req *req, uint64_t sector,
			     uint32_t nr)
{
	return req->sector < sector + nr &&
	       sector < req->sector + req->nr_sectors;
}

/* The busy fill, other than @req itself, that overlaps some sectors. */
static struct vhd_eng_fill *vhd_eng_fill_find(struct vhd_eng *eng,
					      const struct vhd_req *req,
					      uint64_t sector, uint32_t nr)
{
	unsigned int i;

	for (i = 0; i < VHD_ENG_FILLS; i++) {
		struct vhd_eng_fill *fill = &eng->fill[i];

		if (fill->buf && &fill->req != req &&
		    vhd_eng_overlaps(&fill->req, sector, nr))
			return fill;
	}
	return NULL;
}

bool vhd_eng_fill_wait(struct vhd_eng *eng, struct vhd_req *req)
{
	struct vhd_eng_fill *fill;

	if (!eng->nr_fills)
		return false;
	fill = vhd_eng_fill_find(eng, req, req->sector, req->nr_sectors);
	if (fill)
		vhd_eng_queue_add(&fill->queue, req);
	return fill;
}

uint8_t *vhd_eng_fill_data(const struct vhd_eng *eng, const struct vhd_req *req)
{
	unsigned int i;

	for (i = 0; eng->nr_fills && i < VHD_ENG_FILLS; i++)
		if (&eng->fill[i].req == req)
			return eng->fill[i].buf;
	return NULL;
}

static void vhd_eng_fill_done(struct vhd_req *req, int error)
{
	struct vhd_eng_fill *fill = vhd_of(req, struct vhd_eng_fill, req);
	struct vhd_eng_queue queue = fill->queue;
	struct vhd_eng *eng = fill->eng;

	if (error && eng->cache) {
		vhd_msg(&vhd_eng_leaf(eng)->ctx, error,
			"%s: what is read is not cached any more: %s",
			vhd_eng_leaf(eng)->path, strerror(-error));
		eng->cache = false;
	}
	eng->stats.cached += error ? 0 : req->nr_sectors;
	free(fill->buf);
	fill->buf = NULL;
	fill->queue.head = NULL;
	eng->nr_fills--;
	vhd_eng_queue_run(eng, &queue, 0);
	eng->host.hold(eng->priv, false);
}

static void vhd_eng_fill_read(struct vhd_io *io, int error)
{
	struct vhd_eng_fill *fill = io->priv;

	if (error)
		vhd_eng_fill_done(&fill->req, error);
	else
		vhd_eng_start(fill->eng, &fill->req);
}

static void vhd_eng_fill_start(struct vhd_eng *eng, int fd, uint64_t off,
			       uint64_t sector, uint32_t nr)
{
	struct vhd_eng_fill *fill = eng->fill;
	const struct vhd_eng_op *op;
	void *buf;

	if (eng->nr_fills == VHD_ENG_FILLS ||
	    vhd_eng_fill_find(eng, NULL, sector, nr))
		return;
	for (op = eng->ops; op; op = op->next)
		if (vhd_eng_overlaps(op->req, sector, nr))
			return;
	while (fill->buf)
		fill++;
	if (posix_memalign(&buf, 4096, (size_t)nr * VHD_SECTOR))
		return;
	*fill = (struct vhd_eng_fill) {
		.eng = eng,
		.buf = buf,
		.req = {
			.op = VHD_REQ_WRITE,
			.sector = sector,
			.nr_sectors = nr,
			.eng = eng,
			.done = vhd_eng_fill_done,
		},
		.io = {
			.op = VHD_IO_READ,
			.fd = fd,
			.buf = buf,
			.len = (size_t)nr * VHD_SECTOR,
			.off = off,
			.done = vhd_eng_fill_read,
			.priv = fill,
		},
	};
	eng->nr_fills++;
	eng->host.hold(eng->priv, true);
	vhd_io_submit(eng, &fill->io);
}

void vhd_eng_fill_from(struct vhd_eng *eng, const struct vhd_req *req,
		       unsigned int nr_ext)
{
	uint64_t sector = req->sector;
	unsigned int i, l;

	for (i = 0; i < nr_ext; i++) {
		const struct vhd_extent *ext = &eng->ext[i];
		uint32_t nr = ext->len / VHD_SECTOR;

		for (l = 1; ext->kind == VHD_EXTENT_FILE &&
		     l < eng->nr_layers; l++)
			if (eng->layer[l].file == ext->file)
				vhd_eng_fill_start(eng,
						   eng->layer[l].image->fd,
						   ext->addr, sector, nr);
		sector += nr;
	}
}
