// SPDX-License-Identifier: GPL-2.0
/*
 * WRITE, WRITE_ZEROES, TRIM, FLUSH: what is done to the leaf, and in which
 * order it reaches the disk.
 *
 * What a guest may expect of a disk: after a loss of power, a sector written
 * since the last FLUSH is old or new, never something else; what a FLUSH has
 * confirmed is there. Of us it expects besides: if this program is killed,
 * nothing is lost that was completed, flushed or not, because the guest goes
 * on and only unfinished requests are issued again. So at completion all of a
 * write, metadata included, is in the hands of the kernel.
 *
 *	FLUSH, FUA	fdatasync. FUA alone is a write-through of the data
 *			if no metadata was written since the last fdatasync.
 *
 * Blocks are allocated from space that the file has already, at its end:
 *
 *	growth		new footer at the new end, fdatasync, then use it.
 *
 * So a BAT entry, whenever it gets to the disk, points into the file, and at
 * a hole: a bitmap of zeros, sectors of zeros. When an image is opened, all
 * behind the last block is cut off, so what a crash left of blocks that no
 * BAT entry names never comes back.
 *
 *	Whole block	No parent has anything in the block, so its old
 *			contents are zeros. Its bitmap is made all ones. Data,
 *			bitmap and BAT entry are written at the same time:
 *			whichever of them is missing after a crash, a sector
 *			is new or zeros, and zeros is old. All blocks of a
 *			dynamic image are made so, and those of a child where
 *			the parents are empty.
 *
 *	Full block	All bits are set in the file: data only.
 *
 *	Partial block	A set bit hides the parent's sector, so it must not
 *			be on the disk before the data: data, fdatasync,
 *			bitmap; then the write is complete. The fdatasync is
 *			shared by all writes that wait for one. This is paid
 *			once per sector, the first time it is written in a
 *			child (or in a block that another program left with
 *			bits clear in a dynamic image: what is under clear
 *			bits is unknown). The BAT entry of a new one goes with
 *			the data: with the bitmap still zero it says nothing.
 *			Rejected: completing before the bitmap is written
 *			(lost if we are killed), and writing it unordered (a
 *			power cut shows holes in place of the parent's data).
 *
 * For reads and later writes a bit counts when it is in the file, and so does
 * a block: until its BAT entry and, if it is a whole one, its bitmap are
 * there, reads find what was there before, and further writes to it wait too,
 * or write them again if that failed. So memory never claims what the file
 * does not have.
 *
 * WRITE_ZEROES is a write whose data is a hole; where there is nothing but
 * zeros, nothing is done. TRIM punches a hole where the leaf has the block;
 * bits stay, so a trimmed sector reads as zeros where it was in the leaf and
 * is untouched where it was not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "td_vhd.h"

static struct td_vhd_op *td_vhd_op_alloc(struct td_vhd *vhd,
					 struct td_req *req,
					 unsigned int nr_segs)
{
	struct td_vhd_op *op;
	unsigned int i;

	op = calloc(1, sizeof(*op) + nr_segs * sizeof(op->seg[0]));
	if (!op)
		return NULL;
	op->vhd = vhd;
	op->req = req;
	op->nr_segs = nr_segs;
	for (i = 0; i < nr_segs; i++)
		op->seg[i].op = op;
	op->next = vhd->ops;
	op->prev = &vhd->ops;
	if (op->next)
		op->next->prev = &op->next;
	vhd->ops = op;
	return op;
}

static void td_vhd_op_free(struct td_vhd_op *op)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++)
		if (op->seg[i].bitmap)
			op->seg[i].bitmap->pins--;
	*op->prev = op->next;
	if (op->next)
		op->next->prev = op->prev;
	free(op);
}

static void td_vhd_op_next(struct td_vhd_op *op);

/* A part of the operation is through. */
static void td_vhd_op_put(struct td_vhd_op *op, int error)
{
	if (error && !op->error)
		op->error = error;
	if (!--op->pending)
		td_vhd_op_next(op);
}

static void td_vhd_op_waited(struct td_vhd_wait *wait, int error)
{
	td_vhd_op_put(td_vhd_of(wait, struct td_vhd_op, wait), error);
}

static void td_vhd_seg_bat(struct td_vhd_wait *wait, int error)
{
	td_vhd_op_put(td_vhd_of(wait, struct td_vhd_seg, bat_wait)->op, error);
}

static void td_vhd_seg_bitmap(struct td_vhd_wait *wait, int error)
{
	td_vhd_op_put(td_vhd_of(wait, struct td_vhd_seg, bitmap_wait)->op,
		      error);
}

static void td_vhd_seg_io_done(struct td_io *io, int error)
{
	td_vhd_op_put(io->priv, error);
}

static void td_vhd_op_mapped(struct td_req *req, int error)
{
	td_vhd_op_put(req->priv[0], error);
}

static void td_vhd_op_sync(struct td_vhd_op *op, enum td_vhd_stage stage)
{
	op->stage = stage;
	op->pending = 1;
	op->wait.fn = td_vhd_op_waited;
	td_vhd_sync(op->vhd, &op->wait);
}

static void td_vhd_op_bitmaps(struct td_vhd_op *op)
{
	unsigned int i;
	uint32_t s;

	op->stage = TD_VHD_BITMAP;
	op->pending = 1;
	for (i = 0; i < op->nr_segs; i++) {
		struct td_vhd_seg *seg = &op->seg[i];

		if (!seg->ordered)
			continue;
		for (s = seg->first; s < seg->first + seg->nr; s++)
			vhd_set_bit(seg->bitmap->want, s);
		seg->bitmap_wait.fn = td_vhd_seg_bitmap;
		op->pending++;
		td_vhd_meta_write(&seg->bitmap->meta, false,
				  &seg->bitmap_wait);
	}
	td_vhd_op_put(op, 0);
}

static bool td_vhd_op_ordered(const struct td_vhd_op *op)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++)
		if (op->seg[i].ordered)
			return true;
	return false;
}

static void td_vhd_op_end(struct td_vhd_op *op)
{
	struct td_vhd *vhd = op->vhd;
	struct td_req *req = op->req;
	uint64_t end = op->end;
	int error = op->error;

	td_vhd_op_free(op);
	if (error) {
		if (req->op == BLKTAP_OP_FLUSH)
			td_req_end(req, error);
		else
			td_vhd_fail(req, error);
	} else if (end < req->sector + req->nr_sectors) {
		/* A long TRIM or WRITE_ZEROES goes on. */
		req->priv[1] = (void *)(uintptr_t)(end - req->sector);
		td_vhd_start(vhd, req);
	} else {
		td_req_end(req, 0);
	}
}

/* All parts of a stage are through: the next one. */
static void td_vhd_op_next(struct td_vhd_op *op)
{
	if (op->error || op->stage == TD_VHD_SYNC)
		td_vhd_op_end(op);
	else if (op->stage == TD_VHD_ORDER)
		td_vhd_op_bitmaps(op);
	else if (op->stage == TD_VHD_DATA && td_vhd_op_ordered(op))
		td_vhd_op_sync(op, TD_VHD_ORDER);
	else if (op->req->fua)
		td_vhd_op_sync(op, TD_VHD_SYNC);
	else
		td_vhd_op_end(op);
}

void td_vhd_flush(struct td_vhd *vhd, struct td_req *req)
{
	struct td_vhd_op *op = td_vhd_op_alloc(vhd, req, 0);

	if (!op) {
		td_vhd_fail(req, -ENOMEM);
		return;
	}
	op->end = req->sector + req->nr_sectors;
	td_vhd_op_sync(op, TD_VHD_SYNC);
}

static uint64_t td_vhd_seg_offset(const struct td_vhd_seg *seg)
{
	const struct vhd_image *leaf = td_vhd_leaf(seg->op->vhd);

	return ((uint64_t)leaf->bat[seg->block] + seg->first) * VHD_SECTOR +
	       leaf->bitmap_bytes;
}

/* The block gets a place; nothing is written yet. */
static int td_vhd_seg_alloc(struct td_vhd *vhd, struct td_vhd_seg *seg)
{
	struct vhd_image *leaf = vhd->layer[0].image;
	bool whole = !td_vhd_below(vhd, seg->block);
	uint64_t pos = vhd->next_block;

	/* The bitmap takes its place in the file from the BAT. */
	leaf->bat[seg->block] = pos / VHD_SECTOR;
	seg->bitmap = td_vhd_bitmap_new(vhd, seg->block, whole);
	if (!seg->bitmap) {
		leaf->bat[seg->block] = VHD_BAT_UNUSED;
		return -ENOMEM;
	}
	seg->bitmap->pins++;
	vhd->next_block = vhd_block_after(leaf, pos + vhd_block_bytes(leaf));
	vhd_set_bit(vhd->bat_dirty, seg->block);
	if (whole) {
		vhd_set_bit(vhd->fresh, seg->block);
		vhd_set_bit(vhd->layer[0].full, seg->block);
	}
	return 0;
}

static bool td_vhd_seg_sets_bits(const struct td_vhd_seg *seg)
{
	uint32_t s;

	for (s = seg->first; s < seg->first + seg->nr; s++)
		if (!vhd_test_bit(seg->bitmap->bits, s))
			return true;
	return false;
}

/*
 * Find or make what the operation needs. Returns 0, 1: the request was
 * queued, it is started again; or -errno.
 */
static int td_vhd_op_prepare(struct td_vhd *vhd, struct td_vhd_op *op)
{
	const struct vhd_image *leaf = td_vhd_leaf(vhd);
	bool zeroes = op->req->op == BLKTAP_OP_WRITE_ZEROES;
	unsigned int need = 0;
	unsigned int i;
	bool ready;
	int ret;

	for (i = 0; i < op->nr_segs; i++) {
		struct td_vhd_seg *seg = &op->seg[i];
		bool used = leaf->bat[seg->block] != VHD_BAT_UNUSED;

		seg->skip = !used && zeroes && !td_vhd_below(vhd, seg->block);
		need += !used && !seg->skip;
		if (!used || vhd_test_bit(vhd->layer[0].full, seg->block))
			continue;
		ret = td_vhd_bitmap_get(vhd, 0, seg->block, op->req,
					&seg->bitmap);
		if (ret || !seg->bitmap)
			return ret ? ret : 1;
		seg->bitmap->pins++;
	}
	if (need) {
		ret = td_vhd_space(vhd, need, &ready);
		if (ret)
			return ret;
		if (!ready) {
			td_vhd_queue_add(&vhd->space_queue, op->req);
			return 1;
		}
	}
	for (i = 0; i < op->nr_segs; i++) {
		struct td_vhd_seg *seg = &op->seg[i];

		if (leaf->bat[seg->block] == VHD_BAT_UNUSED && !seg->skip) {
			ret = td_vhd_seg_alloc(vhd, seg);
			if (ret)
				return ret;
		}
		if (!seg->skip && !vhd_test_bit(vhd->layer[0].full, seg->block))
			seg->ordered = td_vhd_seg_sets_bits(seg);
	}
	return 0;
}

/* Metadata that goes with the data; op->pending counts it. */
static void td_vhd_op_metadata(struct td_vhd *vhd, struct td_vhd_op *op)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++) {
		struct td_vhd_seg *seg = &op->seg[i];

		if (seg->skip)
			continue;
		if (vhd_test_bit(vhd->bat_dirty, seg->block)) {
			seg->bat_wait.fn = td_vhd_seg_bat;
			op->pending++;
			td_vhd_bat_write(vhd, seg->block, &seg->bat_wait);
		}
		if (vhd_test_bit(vhd->fresh, seg->block)) {
			struct td_vhd_bitmap *b;

			b = td_vhd_bitmap_find(vhd, 0, seg->block);
			if (!seg->bitmap) {
				seg->bitmap = b;
				b->pins++;
			}
			seg->bitmap_wait.fn = td_vhd_seg_bitmap;
			op->pending++;
			td_vhd_meta_write(&b->meta, true, &seg->bitmap_wait);
		}
	}
}

/* Write @data, or with NULL holes. */
static void td_vhd_op_io(struct td_vhd *vhd, struct td_vhd_op *op,
			 uint8_t *data)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++) {
		struct td_vhd_seg *seg = &op->seg[i];

		if (seg->skip)
			continue;
		op->pending++;
		seg->io = (struct td_io) {
			.op = data ? TD_IO_WRITE : TD_IO_PUNCH,
			.fd = td_vhd_leaf(vhd)->fd,
			.buf = data,
			.len = (size_t)seg->nr * VHD_SECTOR,
			.off = td_vhd_seg_offset(seg),
			.done = td_vhd_seg_io_done,
			.priv = op,
		};
		if (data)
			data += seg->io.len;
		td_io_submit(&seg->io);
	}
}

static void td_vhd_op_data(struct td_vhd *vhd, struct td_vhd_op *op)
{
	uint16_t file = vhd->layer[0].file;
	unsigned int nr_ext = 0;
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++)
		td_vhd_extent(vhd, &nr_ext, BLKTAP_EXTENT_FILE, file,
			      td_vhd_seg_offset(&op->seg[i]),
			      op->seg[i].nr * VHD_SECTOR);
	op->pending++;
	op->req->priv[0] = op;
	td_req_map(op->req, vhd->ext, nr_ext, 0, td_vhd_op_mapped);
}

/* Cut the request, from where it has got to, into blocks. */
static struct td_vhd_op *td_vhd_op_make(struct td_vhd *vhd, struct td_req *req)
{
	uint32_t per_block = td_vhd_leaf(vhd)->block_sectors;
	uint64_t sector = req->sector + (uintptr_t)req->priv[1];
	uint64_t end = req->sector + req->nr_sectors;
	uint64_t nr = (end - 1) / per_block - sector / per_block + 1;
	struct td_vhd_op *op;
	unsigned int i;

	op = td_vhd_op_alloc(vhd, req, nr < TD_VHD_SEGS ? nr : TD_VHD_SEGS);
	if (!op)
		return NULL;
	for (i = 0; i < op->nr_segs; i++) {
		struct td_vhd_seg *seg = &op->seg[i];

		seg->block = sector / per_block;
		seg->first = sector % per_block;
		seg->nr = per_block - seg->first;
		if (seg->nr > end - sector)
			seg->nr = end - sector;
		sector += seg->nr;
	}
	op->end = sector;
	return op;
}

/* Nothing but data to write: the kernel ends the request. */
static bool td_vhd_write_fast(struct td_vhd *vhd, struct td_req *req)
{
	const struct vhd_image *leaf = td_vhd_leaf(vhd);
	uint64_t sector = req->sector;
	uint32_t left = req->nr_sectors;
	unsigned int nr_ext = 0;

	if (req->fua && vhd->meta_gen != vhd->synced_gen)
		return false;
	while (left) {
		uint32_t block = sector / leaf->block_sectors;
		uint32_t first = sector % leaf->block_sectors;
		uint32_t nr = leaf->block_sectors - first;

		if (!vhd_test_bit(vhd->layer[0].full, block) ||
		    td_vhd_unwritten(vhd, block))
			return false;
		if (nr > left)
			nr = left;
		td_vhd_extent(vhd, &nr_ext, BLKTAP_EXTENT_FILE,
			      vhd->layer[0].file,
			      ((uint64_t)leaf->bat[block] + first) *
			      VHD_SECTOR + leaf->bitmap_bytes,
			      nr * VHD_SECTOR);
		sector += nr;
		left -= nr;
	}
	td_req_map(req, vhd->ext, nr_ext, TD_MAP_END |
		   (req->fua ? TD_MAP_DSYNC : 0), td_vhd_fail);
	return true;
}

/* A fixed image, for all that is not a READ. */
static void td_vhd_write_flat(struct td_vhd *vhd, struct td_req *req)
{
	struct blktap_direct_extent ext = {
		.addr = req->sector * VHD_SECTOR,
		.len = req->nr_sectors * VHD_SECTOR,
		.file = vhd->layer[0].file,
		.kind = BLKTAP_EXTENT_FILE,
	};
	struct td_vhd_op *op;

	if (req->op == BLKTAP_OP_WRITE) {
		td_req_map(req, &ext, 1, TD_MAP_END |
			   (req->fua ? TD_MAP_DSYNC : 0), td_vhd_fail);
		return;
	}
	op = td_vhd_op_alloc(vhd, req, 1);
	if (!op) {
		td_vhd_fail(req, -ENOMEM);
		return;
	}
	op->end = req->sector + req->nr_sectors;
	op->pending = 1;
	op->seg[0].io = (struct td_io) {
		.op = TD_IO_PUNCH,
		.fd = td_vhd_leaf(vhd)->fd,
		.len = (size_t)req->nr_sectors * VHD_SECTOR,
		.off = ext.addr,
		.done = td_vhd_seg_io_done,
		.priv = op,
	};
	td_io_submit(&op->seg[0].io);
}

void td_vhd_write(struct td_vhd *vhd, struct td_req *req)
{
	bool zeroes = req->op == BLKTAP_OP_WRITE_ZEROES;
	struct td_vhd_op *op;
	uint8_t *data;
	int ret;

	if (vhd_is_flat(td_vhd_leaf(vhd))) {
		td_vhd_write_flat(vhd, req);
		return;
	}
	if (td_vhd_fill_wait(vhd, req))
		return;
	data = td_vhd_fill_data(vhd, req);
	if (!zeroes && !data && td_vhd_write_fast(vhd, req))
		return;
	op = td_vhd_op_make(vhd, req);
	if (!op) {
		td_vhd_fail(req, -ENOMEM);
		return;
	}
	ret = td_vhd_op_prepare(vhd, op);
	if (ret) {
		td_vhd_op_free(op);
		if (ret < 0)
			td_vhd_fail(req, ret);
		return;
	}
	op->pending = 1;
	td_vhd_op_metadata(vhd, op);
	if (zeroes || data)
		td_vhd_op_io(vhd, op, data);
	else
		td_vhd_op_data(vhd, op);
	td_vhd_op_put(op, 0);
}

void td_vhd_trim(struct td_vhd *vhd, struct td_req *req)
{
	const struct vhd_image *leaf = td_vhd_leaf(vhd);
	struct td_vhd_op *op;
	unsigned int i;

	if (vhd_is_flat(leaf)) {
		td_vhd_write_flat(vhd, req);
		return;
	}
	if (td_vhd_fill_wait(vhd, req))
		return;
	op = td_vhd_op_make(vhd, req);
	if (!op) {
		td_vhd_fail(req, -ENOMEM);
		return;
	}
	for (i = 0; i < op->nr_segs; i++)
		op->seg[i].skip = leaf->bat[op->seg[i].block] ==
				  VHD_BAT_UNUSED;
	op->pending = 1;
	td_vhd_op_io(vhd, op, NULL);
	td_vhd_op_put(op, 0);
}
