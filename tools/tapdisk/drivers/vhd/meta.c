// SPDX-License-Identifier: GPL-2.0
/*
 * What reaches the file when, seen from below: fdatasync, writes of single
 * sectors of metadata, growth of the file. The order they are used in is
 * explained in write.c.
 *
 * All three are shared by all who ask at the same time. Whoever asks while
 * one is in flight gets the next, because the one in flight may not cover
 * what he did; the next serves all that came meanwhile.
 *
 * No I/O of ours is in flight without a request that waits for it. So, when
 * the image is closed, there is none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "td_log.h"
#include "td_vhd.h"

void td_vhd_wait_add(struct td_vhd_waits *waits, struct td_vhd_wait *wait)
{
	wait->next = NULL;
	if (!waits->head)
		waits->tail = &waits->head;
	*waits->tail = wait;
	waits->tail = &wait->next;
}

static void td_vhd_wait_move(struct td_vhd_waits *to, struct td_vhd_waits *from)
{
	*to = *from;
	from->head = NULL;
}

static void td_vhd_wake(struct td_vhd_waits *waits, int error)
{
	struct td_vhd_wait *wait = waits->head;

	waits->head = NULL;
	while (wait) {
		struct td_vhd_wait *next = wait->next;

		wait->fn(wait, error);
		wait = next;
	}
}

static void td_vhd_sync_start(struct td_vhd *vhd);

static void td_vhd_sync_done(struct td_io *io, int error)
{
	struct td_vhd *vhd = io->priv;

	if (error && !vhd->sync_error) {
		/*
		 * What the kernel could not write it may have dropped, and
		 * says so only once. Every FLUSH from now on has to fail.
		 */
		td_err("%s: fdatasync failed: %s; no FLUSH succeeds until the disk is closed",
		       td_vhd_leaf(vhd)->path, strerror(-error));
		vhd->sync_error = error;
	}
	error = vhd->sync_error;
	if (!error)
		vhd->synced_gen = vhd->sync_gen;
	/* Still "syncing": all who ask while being woken share the next. */
	td_vhd_wake(&vhd->sync_now, error);
	vhd->syncing = false;
	if (vhd->sync_next.head)
		td_vhd_sync_start(vhd);
}

static void td_vhd_sync_start(struct td_vhd *vhd)
{
	td_vhd_wait_move(&vhd->sync_now, &vhd->sync_next);
	vhd->syncing = true;
	vhd->sync_gen = vhd->meta_gen;
	vhd->stats.syncs++;
	vhd->sync_io = (struct td_io) {
		.op = TD_IO_FDATASYNC,
		.fd = td_vhd_leaf(vhd)->fd,
		.done = td_vhd_sync_done,
		.priv = vhd,
	};
	td_io_submit(&vhd->sync_io);
}

void td_vhd_sync(struct td_vhd *vhd, struct td_vhd_wait *wait)
{
	td_vhd_wait_add(&vhd->sync_next, wait);
	if (!vhd->syncing)
		td_vhd_sync_start(vhd);
}

static void td_vhd_meta_start(struct td_vhd_meta *meta);

static void td_vhd_meta_done(struct td_io *io, int error)
{
	struct td_vhd_meta *meta = io->priv;
	struct td_vhd_waits now;

	if (!error) {
		meta->vhd->meta_gen++;
		meta->commit(meta);
	}
	free(meta->buf);
	meta->buf = NULL;
	td_vhd_wait_move(&now, &meta->now);
	if (meta->next.head)
		td_vhd_meta_start(meta);
	/* Last: it may free @meta. */
	td_vhd_wake(&now, error);
}

static void td_vhd_meta_start(struct td_vhd_meta *meta)
{
	struct td_vhd_waits now;

	if (posix_memalign((void **)&meta->buf, 4096, VHD_SECTOR)) {
		meta->buf = NULL;
		td_vhd_wait_move(&now, &meta->next);
		td_vhd_wake(&now, -ENOMEM);
		return;
	}
	td_vhd_wait_move(&meta->now, &meta->next);
	meta->fill(meta);
	meta->vhd->stats.meta_writes++;
	meta->io = (struct td_io) {
		.op = TD_IO_WRITE,
		.fd = td_vhd_leaf(meta->vhd)->fd,
		.buf = meta->buf,
		.len = VHD_SECTOR,
		.off = meta->off,
		.done = td_vhd_meta_done,
		.priv = meta,
	};
	td_io_submit(&meta->io);
}

void td_vhd_meta_write(struct td_vhd_meta *meta, bool in_flight,
		       struct td_vhd_wait *wait)
{
	td_vhd_wait_add(meta->buf && in_flight ? &meta->now : &meta->next,
			wait);
	if (!meta->buf)
		td_vhd_meta_start(meta);
}

#define TD_VHD_BAT_PER_SECTOR	(VHD_SECTOR / 4)

static void td_vhd_bat_fill(struct td_vhd_meta *meta)
{
	struct td_vhd_bat *bat = td_vhd_of(meta, struct td_vhd_bat, meta);
	const struct vhd_image *leaf = td_vhd_leaf(meta->vhd);
	uint32_t first = bat->index * TD_VHD_BAT_PER_SECTOR;
	uint32_t nr = leaf->header.max_bat - first;

	if (nr > TD_VHD_BAT_PER_SECTOR)
		nr = TD_VHD_BAT_PER_SECTOR;
	memset(meta->buf, 0xff, VHD_SECTOR);
	vhd_bat_encode(leaf->bat + first, meta->buf, nr);
}

static bool td_vhd_bat_in_buf(const struct td_vhd_bat *bat, uint32_t block)
{
	uint32_t entry;

	if (!bat->meta.buf)
		return false;
	vhd_bat_decode(bat->meta.buf + 4 * (block % TD_VHD_BAT_PER_SECTOR),
		       &entry, 1);
	return entry == td_vhd_leaf(bat->meta.vhd)->bat[block];
}

static void td_vhd_bat_commit(struct td_vhd_meta *meta)
{
	struct td_vhd_bat *bat = td_vhd_of(meta, struct td_vhd_bat, meta);
	struct td_vhd *vhd = meta->vhd;
	uint32_t block = bat->index * TD_VHD_BAT_PER_SECTOR;
	uint32_t end = block + TD_VHD_BAT_PER_SECTOR;

	for (; block < end && block < td_vhd_leaf(vhd)->nr_blocks; block++)
		if (td_vhd_bat_in_buf(bat, block))
			td_vhd_clear_bit(vhd->bat_dirty, block);
}

void td_vhd_bat_write(struct td_vhd *vhd, uint32_t block,
		      struct td_vhd_wait *wait)
{
	uint32_t index = block / TD_VHD_BAT_PER_SECTOR;
	struct td_vhd_bat *bat = vhd->bat[index];

	if (!bat) {
		bat = calloc(1, sizeof(*bat));
		if (!bat) {
			wait->fn(wait, -ENOMEM);
			return;
		}
		bat->index = index;
		bat->meta.vhd = vhd;
		bat->meta.off = td_vhd_leaf(vhd)->header.table_offset +
				(uint64_t)index * VHD_SECTOR;
		bat->meta.fill = td_vhd_bat_fill;
		bat->meta.commit = td_vhd_bat_commit;
		vhd->bat[index] = bat;
	}
	td_vhd_meta_write(&bat->meta, td_vhd_bat_in_buf(bat, block), wait);
}

/* Distance of blocks that follow one another. */
static uint64_t td_vhd_stride(const struct vhd_image *leaf)
{
	uint64_t bytes = vhd_block_bytes(leaf);
	uint64_t first = vhd_block_after(leaf, 0);

	return vhd_block_after(leaf, first + bytes) - first;
}

static void td_vhd_grow_done(struct td_vhd *vhd, int error)
{
	vhd->growing = false;
	if (!error)
		vhd->space_end = vhd->new_end;
	td_vhd_queue_run(vhd, &vhd->space_queue, error);
}

static void td_vhd_grow_synced(struct td_vhd_wait *wait, int error)
{
	td_vhd_grow_done(td_vhd_of(wait, struct td_vhd, grow_wait), error);
}

static void td_vhd_grow_written(struct td_io *io, int error)
{
	struct td_vhd *vhd = io->priv;

	free(io->buf);
	if (error) {
		td_vhd_grow_done(vhd, error);
		return;
	}
	vhd->grow_wait.fn = td_vhd_grow_synced;
	td_vhd_sync(vhd, &vhd->grow_wait);
}

/* The old footer stays: it lies between two blocks, where nothing else is. */
static int td_vhd_grow(struct td_vhd *vhd, unsigned int blocks)
{
	const struct vhd_image *leaf = td_vhd_leaf(vhd);
	uint64_t end = vhd->next_block + vhd_block_bytes(leaf) +
		       (blocks - 1) * td_vhd_stride(leaf);
	void *buf;

	if (posix_memalign(&buf, 4096, VHD_FOOTER_SIZE))
		return -ENOMEM;
	memcpy(buf, leaf->footer_buf, VHD_FOOTER_SIZE);
	vhd->new_end = end;
	vhd->growing = true;
	vhd->grow_io = (struct td_io) {
		.op = TD_IO_WRITE,
		.fd = leaf->fd,
		.buf = buf,
		.len = VHD_FOOTER_SIZE,
		.off = end,
		.done = td_vhd_grow_written,
		.priv = vhd,
	};
	td_io_submit(&vhd->grow_io);
	return 0;
}

int td_vhd_space(struct td_vhd *vhd, unsigned int blocks, bool *ready)
{
	const struct vhd_image *leaf = td_vhd_leaf(vhd);
	uint64_t stride = td_vhd_stride(leaf);
	uint64_t need = vhd->next_block + (blocks - 1) * stride +
			vhd_block_bytes(leaf);
	uint64_t step;

	*ready = need <= vhd->space_end;
	if (*ready || vhd->growing)
		return 0;
	if (need + VHD_FOOTER_SIZE > VHD_FILE_MAX) {
		td_err("%s: the file would have %llu bytes, a VHD has at most %llu",
		       leaf->path, (unsigned long long)need + VHD_FOOTER_SIZE,
		       VHD_FILE_MAX);
		return -EFBIG;
	}
	step = (VHD_FILE_MAX - VHD_FOOTER_SIZE - need) / stride;
	if (step > TD_VHD_STEP)
		step = TD_VHD_STEP;
	if (step > leaf->nr_blocks)
		step = leaf->nr_blocks;
	return td_vhd_grow(vhd, blocks + step);
}
