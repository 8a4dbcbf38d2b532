// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What reaches the file when, seen from below: fdatasync, writes of single
 * sectors of metadata, growth of the file. The order they are used in is
 * explained in eng_write.c.
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

#include "eng_private.h"

void vhd_eng_wait_add(struct vhd_eng_waits *waits, struct vhd_eng_wait *wait)
{
	wait->next = NULL;
	if (!waits->head)
		waits->tail = &waits->head;
	*waits->tail = wait;
	waits->tail = &wait->next;
}

static void vhd_eng_wait_move(struct vhd_eng_waits *to,
			      struct vhd_eng_waits *from)
{
	*to = *from;
	from->head = NULL;
}

static void vhd_eng_wake(struct vhd_eng_waits *waits, int error)
{
	struct vhd_eng_wait *wait = waits->head;

	waits->head = NULL;
	while (wait) {
		struct vhd_eng_wait *next = wait->next;

		wait->fn(wait, error);
		wait = next;
	}
}

static void vhd_eng_sync_start(struct vhd_eng *eng);

static void vhd_eng_sync_done(struct vhd_io *io, int error)
{
	struct vhd_eng *eng = io->priv;

	if (error && !eng->sync_error) {
		/*
		 * What the kernel could not write it may have dropped, and
		 * says so only once. Every FLUSH from now on has to fail.
		 */
		vhd_msg(&vhd_eng_leaf(eng)->ctx, 0,
			"%s: fdatasync failed: %s; no FLUSH succeeds until the disk is closed",
			vhd_eng_leaf(eng)->path, strerror(-error));
		eng->sync_error = error;
	}
	error = eng->sync_error;
	if (!error)
		eng->synced_gen = eng->sync_gen;
	/* Still "syncing": all who ask while being woken share the next. */
	vhd_eng_wake(&eng->sync_now, error);
	eng->syncing = false;
	if (eng->sync_next.head)
		vhd_eng_sync_start(eng);
}

static void vhd_eng_sync_start(struct vhd_eng *eng)
{
	vhd_eng_wait_move(&eng->sync_now, &eng->sync_next);
	eng->syncing = true;
	eng->sync_gen = eng->meta_gen;
	eng->stats.syncs++;
	eng->sync_io = (struct vhd_io) {
		.op = VHD_IO_FDATASYNC,
		.fd = vhd_eng_leaf(eng)->fd,
		.done = vhd_eng_sync_done,
		.priv = eng,
	};
	vhd_io_submit(eng, &eng->sync_io);
}

void vhd_eng_sync(struct vhd_eng *eng, struct vhd_eng_wait *wait)
{
	vhd_eng_wait_add(&eng->sync_next, wait);
	if (!eng->syncing)
		vhd_eng_sync_start(eng);
}

static void vhd_eng_meta_start(struct vhd_eng_meta *meta);

static void vhd_eng_meta_done(struct vhd_io *io, int error)
{
	struct vhd_eng_meta *meta = io->priv;
	struct vhd_eng_waits now;

	if (!error) {
		meta->eng->meta_gen++;
		meta->commit(meta);
	}
	free(meta->buf);
	meta->buf = NULL;
	vhd_eng_wait_move(&now, &meta->now);
	if (meta->next.head)
		vhd_eng_meta_start(meta);
	/* Last: it may free @meta. */
	vhd_eng_wake(&now, error);
}

static void vhd_eng_meta_start(struct vhd_eng_meta *meta)
{
	struct vhd_eng_waits now;

	if (posix_memalign((void **)&meta->buf, VHD_ENG_PAGE,
			   meta->lead + VHD_SECTOR)) {
		meta->buf = NULL;
		vhd_eng_wait_move(&now, &meta->next);
		vhd_eng_wake(&now, -ENOMEM);
		return;
	}
	vhd_eng_wait_move(&meta->now, &meta->next);
	memset(meta->buf, 0, meta->lead);
	meta->fill(meta);
	meta->eng->stats.meta_writes++;
	meta->io = (struct vhd_io) {
		.op = VHD_IO_WRITE,
		.fd = vhd_eng_leaf(meta->eng)->fd,
		.buf = meta->buf,
		.len = meta->lead + VHD_SECTOR,
		.off = meta->off - meta->lead,
		.done = vhd_eng_meta_done,
		.priv = meta,
	};
	vhd_io_submit(meta->eng, &meta->io);
}

void vhd_eng_meta_write(struct vhd_eng_meta *meta, bool in_flight,
			struct vhd_eng_wait *wait)
{
	vhd_eng_wait_add(meta->buf && in_flight ? &meta->now : &meta->next,
			 wait);
	if (!meta->buf)
		vhd_eng_meta_start(meta);
}

#define VHD_ENG_BAT_PER_SECTOR	(VHD_SECTOR / 4)

static void vhd_eng_bat_fill(struct vhd_eng_meta *meta)
{
	struct vhd_eng_bat *bat = vhd_of(meta, struct vhd_eng_bat, meta);
	const struct vhd_image *leaf = vhd_eng_leaf(meta->eng);
	uint32_t first = bat->index * VHD_ENG_BAT_PER_SECTOR;
	uint32_t nr = leaf->header.max_bat - first;

	if (nr > VHD_ENG_BAT_PER_SECTOR)
		nr = VHD_ENG_BAT_PER_SECTOR;
	memset(meta->buf, 0xff, VHD_SECTOR);
	vhd_bat_encode(leaf->bat + first, meta->buf, nr);
}

static bool vhd_eng_bat_in_buf(const struct vhd_eng_bat *bat, uint32_t block)
{
	uint32_t entry;

	if (!bat->meta.buf)
		return false;
	vhd_bat_decode(bat->meta.buf + 4 * (block % VHD_ENG_BAT_PER_SECTOR),
		       &entry, 1);
	return entry == vhd_eng_leaf(bat->meta.eng)->bat[block];
}

static void vhd_eng_bat_commit(struct vhd_eng_meta *meta)
{
	struct vhd_eng_bat *bat = vhd_of(meta, struct vhd_eng_bat, meta);
	struct vhd_eng *eng = meta->eng;
	uint32_t block = bat->index * VHD_ENG_BAT_PER_SECTOR;
	uint32_t end = block + VHD_ENG_BAT_PER_SECTOR;

	for (; block < end && block < vhd_eng_leaf(eng)->nr_blocks; block++)
		if (vhd_eng_bat_in_buf(bat, block))
			vhd_eng_clear_bit(eng->bat_dirty, block);
}

void vhd_eng_bat_write(struct vhd_eng *eng, uint32_t block,
		       struct vhd_eng_wait *wait)
{
	uint32_t index = block / VHD_ENG_BAT_PER_SECTOR;
	struct vhd_eng_bat *bat = eng->bat[index];

	if (!bat) {
		bat = calloc(1, sizeof(*bat));
		if (!bat) {
			wait->fn(wait, -ENOMEM);
			return;
		}
		bat->index = index;
		bat->meta.eng = eng;
		bat->meta.off = vhd_eng_leaf(eng)->header.table_offset +
				(uint64_t)index * VHD_SECTOR;
		bat->meta.fill = vhd_eng_bat_fill;
		bat->meta.commit = vhd_eng_bat_commit;
		eng->bat[index] = bat;
	}
	vhd_eng_meta_write(&bat->meta, vhd_eng_bat_in_buf(bat, block), wait);
}

uint64_t vhd_eng_stride(const struct vhd_image *leaf)
{
	uint64_t bytes = vhd_block_bytes(leaf);
	uint64_t first = vhd_block_after(leaf, 0);

	return vhd_block_after(leaf, first + bytes) - first;
}

static void vhd_eng_grow_done(struct vhd_eng *eng, int error)
{
	eng->growing = false;
	if (!error)
		eng->space_end = eng->new_end;
	vhd_eng_queue_run(eng, &eng->space_queue, error);
}

static void vhd_eng_grow_synced(struct vhd_eng_wait *wait, int error)
{
	vhd_eng_grow_done(vhd_of(wait, struct vhd_eng, grow_wait), error);
}

static void vhd_eng_grow_written(struct vhd_io *io, int error)
{
	struct vhd_eng *eng = io->priv;

	free(io->buf);
	if (error) {
		vhd_eng_grow_done(eng, error);
		return;
	}
	eng->grow_wait.fn = vhd_eng_grow_synced;
	vhd_eng_sync(eng, &eng->grow_wait);
}

/*
 * The old footer stays: it lies between two blocks, where nothing else is,
 * and may be overwritten with the bitmap of the second.
 */
static int vhd_eng_grow(struct vhd_eng *eng, unsigned int blocks)
{
	const struct vhd_image *leaf = vhd_eng_leaf(eng);
	uint64_t end = eng->next_block + vhd_block_bytes(leaf) +
		       (blocks - 1) * vhd_eng_stride(leaf);
	void *buf;

	if (posix_memalign(&buf, 4096, VHD_FOOTER_SIZE))
		return -ENOMEM;
	memcpy(buf, leaf->footer_buf, VHD_FOOTER_SIZE);
	eng->new_end = end;
	eng->growing = true;
	eng->grow_io = (struct vhd_io) {
		.op = VHD_IO_WRITE,
		.fd = leaf->fd,
		.buf = buf,
		.len = VHD_FOOTER_SIZE,
		.off = end,
		.done = vhd_eng_grow_written,
		.priv = eng,
	};
	vhd_io_submit(eng, &eng->grow_io);
	return 0;
}

static void vhd_eng_released(struct vhd_io *io, int error)
{
	struct vhd_eng *eng = vhd_of(io, struct vhd_eng, release_io);
	struct vhd_eng_wait *wait = io->priv;

	(void)error;
	eng->releasing = false;
	vhd_eng_queue_run(eng, &eng->space_queue, 0);
	wait->fn(wait, 0);
}

bool vhd_eng_release(struct vhd_eng *eng, struct vhd_eng_wait *wait)
{
	if (eng->releasing || eng->reserved <= eng->next_block)
		return false;
	eng->releasing = true;
	eng->release_io = (struct vhd_io) {
		.op = VHD_IO_PUNCH,
		.fd = vhd_eng_leaf(eng)->fd,
		.len = eng->reserved - eng->next_free,
		.off = eng->next_free,
		.done = vhd_eng_released,
		.priv = wait,
	};
	eng->reserved = 0;
	eng->streamed = 0;
	vhd_io_submit(eng, &eng->release_io);
	return true;
}

int vhd_eng_space(struct vhd_eng *eng, unsigned int blocks, bool *ready)
{
	const struct vhd_image *leaf = vhd_eng_leaf(eng);
	uint64_t stride = vhd_eng_stride(leaf);
	uint64_t need = eng->next_block + (blocks - 1) * stride +
			vhd_block_bytes(leaf);
	uint64_t step;

	*ready = need <= eng->space_end && !eng->releasing;
	if (*ready || eng->growing || eng->releasing)
		return 0;
	if (need + VHD_FOOTER_SIZE > VHD_FILE_MAX) {
		return vhd_msg(&leaf->ctx, -EFBIG,
			       "%s: the file would have %llu bytes, a VHD has at most %llu",
			       leaf->path,
			       (unsigned long long)need + VHD_FOOTER_SIZE,
			       VHD_FILE_MAX);
	}
	step = (VHD_FILE_MAX - VHD_FOOTER_SIZE - need) / stride;
	if (step > VHD_ENG_STEP)
		step = VHD_ENG_STEP;
	if (step > leaf->nr_blocks)
		step = leaf->nr_blocks;
	return vhd_eng_grow(eng, blocks + step);
}
