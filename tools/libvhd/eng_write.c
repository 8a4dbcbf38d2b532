// SPDX-License-Identifier: LGPL-2.1-or-later
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
 * Ahead of a stream the file system is asked to find places in that space
 * (fallocate), never behind its end: a crash would leave what is there to the
 * file for ever. It reads as a hole does.
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
 *			Between blocks there is a gap, because their data is
 *			aligned to 4096 bytes. The first bitmap of a block is
 *			written with the zeros of the gap before it: a whole
 *			page, or the file system would read it first, and make
 *			all else wait meanwhile. All there may be in a gap is
 *			a footer that growth has made obsolete.
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
 *	Batmap		Says of a block that its bitmap is all ones in the file.
 *			Written only at close, after an fdatasync of all that
 *			it speaks of, and followed by one of its own. Bits are
 *			only added, so between closes it is true, if not all of
 *			the truth. Its checksum does not fit if a power cut
 *			left a part of it: then it is not used, and written
 *			anew by the next close.
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
 * is untouched where it was not. A guest that gives space back gets all: what
 * is reserved ahead of a stream goes with it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "eng_private.h"

static struct vhd_eng_op *vhd_eng_op_alloc(struct vhd_eng *eng,
					   struct vhd_req *req,
					   unsigned int nr_segs)
{
	struct vhd_eng_op *op;
	unsigned int i;

	op = calloc(1, sizeof(*op) + nr_segs * sizeof(op->seg[0]));
	if (!op)
		return NULL;
	op->eng = eng;
	op->req = req;
	op->nr_segs = nr_segs;
	for (i = 0; i < nr_segs; i++)
		op->seg[i].op = op;
	op->next = eng->ops;
	op->prev = &eng->ops;
	if (op->next)
		op->next->prev = &op->next;
	eng->ops = op;
	return op;
}

static void vhd_eng_op_free(struct vhd_eng_op *op)
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

static void vhd_eng_op_next(struct vhd_eng_op *op);

/* A part of the operation is through. */
static void vhd_eng_op_put(struct vhd_eng_op *op, int error)
{
	if (error && !op->error)
		op->error = error;
	if (!--op->pending)
		vhd_eng_op_next(op);
}

static void vhd_eng_op_waited(struct vhd_eng_wait *wait, int error)
{
	vhd_eng_op_put(vhd_of(wait, struct vhd_eng_op, wait), error);
}

static void vhd_eng_seg_bat(struct vhd_eng_wait *wait, int error)
{
	vhd_eng_op_put(vhd_of(wait, struct vhd_eng_seg, bat_wait)->op, error);
}

static void vhd_eng_seg_bitmap(struct vhd_eng_wait *wait, int error)
{
	vhd_eng_op_put(vhd_of(wait, struct vhd_eng_seg, bitmap_wait)->op,
		       error);
}

static void vhd_eng_seg_io_done(struct vhd_io *io, int error)
{
	vhd_eng_op_put(io->priv, error);
}

static void vhd_eng_op_mapped(struct vhd_req *req, int error)
{
	vhd_eng_op_put(req->op_now, error);
}

static void vhd_eng_op_sync(struct vhd_eng_op *op, enum vhd_eng_stage stage)
{
	op->stage = stage;
	op->pending = 1;
	op->wait.fn = vhd_eng_op_waited;
	vhd_eng_sync(op->eng, &op->wait);
}

static void vhd_eng_op_bitmaps(struct vhd_eng_op *op)
{
	unsigned int i;
	uint32_t s;

	op->stage = VHD_ENG_BITMAP;
	op->pending = 1;
	for (i = 0; i < op->nr_segs; i++) {
		struct vhd_eng_seg *seg = &op->seg[i];

		if (!seg->ordered)
			continue;
		for (s = seg->first; s < seg->first + seg->nr; s++)
			vhd_set_bit(seg->bitmap->want, s);
		seg->bitmap_wait.fn = vhd_eng_seg_bitmap;
		op->pending++;
		vhd_eng_meta_write(&seg->bitmap->meta, false,
				   &seg->bitmap_wait);
	}
	vhd_eng_op_put(op, 0);
}

static bool vhd_eng_op_ordered(const struct vhd_eng_op *op)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++)
		if (op->seg[i].ordered)
			return true;
	return false;
}

static void vhd_eng_op_end(struct vhd_eng_op *op)
{
	struct vhd_eng *eng = op->eng;
	struct vhd_req *req = op->req;
	uint64_t end = op->end;
	int error = op->error;

	vhd_eng_op_free(op);
	if (error) {
		if (req->op == VHD_REQ_FLUSH)
			vhd_req_end(req, error);
		else
			vhd_eng_fail(req, error);
	} else if (end < req->sector + req->nr_sectors) {
		/* A long TRIM or WRITE_ZEROES goes on. */
		req->pos = end - req->sector;
		vhd_eng_start(eng, req);
	} else {
		vhd_req_end(req, 0);
	}
}

/* All parts of a stage are through: the next one. */
static void vhd_eng_op_next(struct vhd_eng_op *op)
{
	if (op->error || op->stage == VHD_ENG_SYNC)
		vhd_eng_op_end(op);
	else if (op->stage == VHD_ENG_ORDER)
		vhd_eng_op_bitmaps(op);
	else if (op->stage == VHD_ENG_DATA && vhd_eng_op_ordered(op))
		vhd_eng_op_sync(op, VHD_ENG_ORDER);
	else if (op->req->fua)
		vhd_eng_op_sync(op, VHD_ENG_SYNC);
	else
		vhd_eng_op_end(op);
}

void vhd_eng_flush(struct vhd_eng *eng, struct vhd_req *req)
{
	struct vhd_eng_op *op = vhd_eng_op_alloc(eng, req, 0);

	if (!op) {
		vhd_eng_fail(req, -ENOMEM);
		return;
	}
	op->end = req->sector + req->nr_sectors;
	vhd_eng_op_sync(op, VHD_ENG_SYNC);
}

static uint64_t vhd_eng_seg_offset(const struct vhd_eng_seg *seg)
{
	const struct vhd_image *leaf = vhd_eng_leaf(seg->op->eng);

	return ((uint64_t)leaf->bat[seg->block] + seg->first) * VHD_SECTOR +
	       leaf->bitmap_bytes;
}

/* The block gets a place; nothing is written yet. */
static int vhd_eng_seg_alloc(struct vhd_eng *eng, struct vhd_eng_seg *seg)
{
	struct vhd_image *leaf = eng->layer[0].image;
	bool whole = !vhd_eng_below(eng, seg->block);
	uint64_t pos = eng->next_block;
	uint64_t end = pos + vhd_block_bytes(leaf);

	/* The bitmap takes its place in the file from the BAT. */
	leaf->bat[seg->block] = pos / VHD_SECTOR;
	seg->bitmap = vhd_eng_bitmap_new(eng, seg->block, whole);
	if (!seg->bitmap) {
		leaf->bat[seg->block] = VHD_BAT_UNUSED;
		return -ENOMEM;
	}
	seg->bitmap->pins++;
	eng->next_block = vhd_block_after(leaf, end);
	eng->next_free = end;
	seg->stream = !seg->first && seg->block &&
		      leaf->bat[seg->block - 1] != VHD_BAT_UNUSED &&
		      (uint64_t)leaf->bat[seg->block - 1] * VHD_SECTOR +
		      vhd_eng_stride(leaf) == pos;
	eng->streamed = seg->stream ? eng->streamed + vhd_eng_stride(leaf) : 0;
	vhd_set_bit(eng->bat_dirty, seg->block);
	if (whole) {
		vhd_set_bit(eng->fresh, seg->block);
		vhd_set_bit(eng->layer[0].full, seg->block);
	}
	return 0;
}

static bool vhd_eng_seg_sets_bits(const struct vhd_eng_seg *seg)
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
static int vhd_eng_op_prepare(struct vhd_eng *eng, struct vhd_eng_op *op)
{
	const struct vhd_image *leaf = vhd_eng_leaf(eng);
	bool zeroes = op->req->op == VHD_REQ_WRITE_ZEROES;
	unsigned int need = 0;
	unsigned int i;
	bool ready;
	int ret;

	for (i = 0; i < op->nr_segs; i++) {
		struct vhd_eng_seg *seg = &op->seg[i];
		bool used = leaf->bat[seg->block] != VHD_BAT_UNUSED;

		seg->skip = !used && zeroes && !vhd_eng_below(eng, seg->block);
		need += !used && !seg->skip;
		if (!used || vhd_test_bit(eng->layer[0].full, seg->block))
			continue;
		ret = vhd_eng_bitmap_get(eng, 0, seg->block, op->req,
					 &seg->bitmap);
		if (ret || !seg->bitmap)
			return ret ? ret : 1;
		seg->bitmap->pins++;
	}
	if (need) {
		ret = vhd_eng_space(eng, need, &ready);
		if (ret)
			return ret;
		if (!ready) {
			vhd_eng_queue_add(&eng->space_queue, op->req);
			return 1;
		}
	}
	for (i = 0; i < op->nr_segs; i++) {
		struct vhd_eng_seg *seg = &op->seg[i];

		if (leaf->bat[seg->block] == VHD_BAT_UNUSED && !seg->skip) {
			ret = vhd_eng_seg_alloc(eng, seg);
			if (ret)
				return ret;
		}
		if (!seg->skip && !vhd_test_bit(eng->layer[0].full, seg->block))
			seg->ordered = vhd_eng_seg_sets_bits(seg);
	}
	return 0;
}

/* Metadata that goes with the data; op->pending counts it. */
static void vhd_eng_op_metadata(struct vhd_eng *eng, struct vhd_eng_op *op)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++) {
		struct vhd_eng_seg *seg = &op->seg[i];

		if (seg->skip)
			continue;
		if (vhd_test_bit(eng->bat_dirty, seg->block)) {
			seg->bat_wait.fn = vhd_eng_seg_bat;
			op->pending++;
			vhd_eng_bat_write(eng, seg->block, &seg->bat_wait);
		}
		if (vhd_test_bit(eng->fresh, seg->block)) {
			struct vhd_eng_bitmap *b;

			b = vhd_eng_bitmap_find(eng, 0, seg->block);
			if (!seg->bitmap) {
				seg->bitmap = b;
				b->pins++;
			}
			seg->bitmap_wait.fn = vhd_eng_seg_bitmap;
			op->pending++;
			vhd_eng_meta_write(&b->meta, true, &seg->bitmap_wait);
		}
	}
}

/* Write @data, or with NULL holes. */
static void vhd_eng_op_io(struct vhd_eng *eng, struct vhd_eng_op *op,
			  uint8_t *data)
{
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++) {
		struct vhd_eng_seg *seg = &op->seg[i];

		if (seg->skip)
			continue;
		op->pending++;
		seg->io = (struct vhd_io) {
			.op = data ? VHD_IO_WRITE : VHD_IO_PUNCH,
			.fd = vhd_eng_leaf(eng)->fd,
			.buf = data,
			.len = (size_t)seg->nr * VHD_SECTOR,
			.off = vhd_eng_seg_offset(seg),
			.done = vhd_eng_seg_io_done,
			.priv = op,
		};
		if (data)
			data += seg->io.len;
		vhd_io_submit(eng, &seg->io);
	}
}

static void vhd_eng_seg_hinted(struct vhd_io *io, int error)
{
	(void)error;
	vhd_eng_op_put(io->priv, 0);
}

static void vhd_eng_hint(struct vhd_eng_op *op, struct vhd_io *io,
			 enum vhd_io_op what, uint64_t off, uint64_t end)
{
	op->pending++;
	*io = (struct vhd_io) {
		.op = what,
		.fd = vhd_eng_leaf(op->eng)->fd,
		.len = end - off,
		.off = off,
		.done = vhd_eng_seg_hinted,
		.priv = op,
	};
	vhd_io_submit(op->eng, io);
}

/*
 * Data that comes in order will go on. The file system looks for places for
 * as much again as has come, while that is still to come: else it would do so
 * for each request, one after the other. In the page cache, the disk would do
 * nothing until somebody waits for it: it begins with what came before. Both
 * are inside the space there is for blocks and change nothing of what is
 * read, whatever becomes of them; vhd_trim() gives back what is left over.
 */
static void vhd_eng_seg_hint(struct vhd_eng *eng, struct vhd_eng_seg *seg)
{
	const struct vhd_image *leaf = vhd_eng_leaf(eng);
	uint64_t pos = (uint64_t)leaf->bat[seg->block] * VHD_SECTOR;
	uint64_t back = 2 * vhd_eng_stride(leaf);
	uint64_t ahead = eng->streamed;
	uint64_t off = pos > eng->reserved ? pos : eng->reserved;
	uint64_t end;

	if (ahead > VHD_ENG_AHEAD)
		ahead = VHD_ENG_AHEAD;
	end = pos + ahead < eng->space_end ? pos + ahead : eng->space_end;
	/* Before the last half of it is begun. */
	if (off < pos + ahead / 2 && off < end) {
		eng->reserved = end;
		vhd_eng_hint(seg->op, &seg->io, VHD_IO_RESERVE, off, end);
	}
	if (!eng->direct)
		vhd_eng_hint(seg->op, &seg->start_io, VHD_IO_START,
			     pos < back ? 0 : pos - back, pos);
}

static void vhd_eng_op_data(struct vhd_eng *eng, struct vhd_eng_op *op)
{
	uint16_t file = eng->layer[0].file;
	unsigned int nr_ext = 0;
	unsigned int i;

	for (i = 0; i < op->nr_segs; i++)
		if (op->seg[i].stream)
			vhd_eng_seg_hint(eng, &op->seg[i]);
	for (i = 0; i < op->nr_segs; i++)
		vhd_eng_extent(eng, &nr_ext, VHD_EXTENT_FILE, file,
			       vhd_eng_seg_offset(&op->seg[i]),
			       op->seg[i].nr * VHD_SECTOR);
	op->pending++;
	op->req->op_now = op;
	vhd_req_map(op->req, eng->ext, nr_ext, 0, vhd_eng_op_mapped);
}

/* Cut the request, from where it has got to, into blocks. */
static struct vhd_eng_op *vhd_eng_op_make(struct vhd_eng *eng,
					  struct vhd_req *req)
{
	uint32_t per_block = vhd_eng_leaf(eng)->block_sectors;
	uint64_t sector = req->sector + req->pos;
	uint64_t end = req->sector + req->nr_sectors;
	uint64_t nr = (end - 1) / per_block - sector / per_block + 1;
	struct vhd_eng_op *op;
	unsigned int i;

	op = vhd_eng_op_alloc(eng, req, nr < VHD_ENG_SEGS ? nr : VHD_ENG_SEGS);
	if (!op)
		return NULL;
	for (i = 0; i < op->nr_segs; i++) {
		struct vhd_eng_seg *seg = &op->seg[i];

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
static bool vhd_eng_write_fast(struct vhd_eng *eng, struct vhd_req *req)
{
	const struct vhd_image *leaf = vhd_eng_leaf(eng);
	uint64_t sector = req->sector;
	uint32_t left = req->nr_sectors;
	unsigned int nr_ext = 0;

	if (req->fua && eng->meta_gen != eng->synced_gen)
		return false;
	while (left) {
		uint32_t block = sector / leaf->block_sectors;
		uint32_t first = sector % leaf->block_sectors;
		uint32_t nr = leaf->block_sectors - first;

		if (!vhd_test_bit(eng->layer[0].full, block) ||
		    vhd_eng_unwritten(eng, block))
			return false;
		if (nr > left)
			nr = left;
		vhd_eng_extent(eng, &nr_ext, VHD_EXTENT_FILE,
			       eng->layer[0].file,
			       ((uint64_t)leaf->bat[block] + first) *
			       VHD_SECTOR + leaf->bitmap_bytes,
			       nr * VHD_SECTOR);
		sector += nr;
		left -= nr;
	}
	vhd_req_map(req, eng->ext, nr_ext, VHD_MAP_END |
		    (req->fua ? VHD_MAP_DSYNC : 0), vhd_eng_fail);
	return true;
}

/* A fixed image, for all that is not a READ. */
static void vhd_eng_write_flat(struct vhd_eng *eng, struct vhd_req *req)
{
	struct vhd_extent ext = {
		.addr = req->sector * VHD_SECTOR,
		.len = req->nr_sectors * VHD_SECTOR,
		.file = eng->layer[0].file,
		.kind = VHD_EXTENT_FILE,
	};
	struct vhd_eng_op *op;

	if (req->op == VHD_REQ_WRITE) {
		vhd_req_map(req, &ext, 1, VHD_MAP_END |
			    (req->fua ? VHD_MAP_DSYNC : 0), vhd_eng_fail);
		return;
	}
	op = vhd_eng_op_alloc(eng, req, 1);
	if (!op) {
		vhd_eng_fail(req, -ENOMEM);
		return;
	}
	op->end = req->sector + req->nr_sectors;
	op->pending = 1;
	op->seg[0].io = (struct vhd_io) {
		.op = VHD_IO_PUNCH,
		.fd = vhd_eng_leaf(eng)->fd,
		.len = (size_t)req->nr_sectors * VHD_SECTOR,
		.off = ext.addr,
		.done = vhd_eng_seg_io_done,
		.priv = op,
	};
	vhd_io_submit(eng, &op->seg[0].io);
}

void vhd_eng_write(struct vhd_eng *eng, struct vhd_req *req)
{
	bool zeroes = req->op == VHD_REQ_WRITE_ZEROES;
	struct vhd_eng_op *op;
	uint8_t *data;
	int ret;

	if (vhd_is_flat(vhd_eng_leaf(eng))) {
		vhd_eng_write_flat(eng, req);
		return;
	}
	if (vhd_eng_fill_wait(eng, req))
		return;
	data = vhd_eng_fill_data(eng, req);
	if (!zeroes && !data && vhd_eng_write_fast(eng, req))
		return;
	op = vhd_eng_op_make(eng, req);
	if (!op) {
		vhd_eng_fail(req, -ENOMEM);
		return;
	}
	ret = vhd_eng_op_prepare(eng, op);
	if (ret) {
		vhd_eng_op_free(op);
		if (ret < 0)
			vhd_eng_fail(req, ret);
		return;
	}
	op->pending = 1;
	vhd_eng_op_metadata(eng, op);
	if (zeroes || data)
		vhd_eng_op_io(eng, op, data);
	else
		vhd_eng_op_data(eng, op);
	vhd_eng_op_put(op, 0);
}

void vhd_eng_trim(struct vhd_eng *eng, struct vhd_req *req)
{
	const struct vhd_image *leaf = vhd_eng_leaf(eng);
	struct vhd_eng_op *op;
	unsigned int i;

	if (vhd_is_flat(leaf)) {
		vhd_eng_write_flat(eng, req);
		return;
	}
	if (vhd_eng_fill_wait(eng, req))
		return;
	op = vhd_eng_op_make(eng, req);
	if (!op) {
		vhd_eng_fail(req, -ENOMEM);
		return;
	}
	for (i = 0; i < op->nr_segs; i++)
		op->seg[i].skip = leaf->bat[op->seg[i].block] ==
				  VHD_BAT_UNUSED;
	op->pending = 1;
	op->wait.fn = vhd_eng_op_waited;
	if (vhd_eng_release(eng, &op->wait))
		op->pending++;
	vhd_eng_op_io(eng, op, NULL);
	vhd_eng_op_put(op, 0);
}
