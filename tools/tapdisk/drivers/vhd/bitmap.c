// SPDX-License-Identifier: GPL-2.0
/*
 * Cache of block bitmaps, one for all images of a chain. A block that is
 * known to be full needs none: that is remembered in a bit per block, which
 * comes from a batmap that can be trusted or from having seen the bitmap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "td_log.h"
#include "td_vhd.h"

static unsigned int td_vhd_bitmap_bucket(unsigned int layer, uint32_t block)
{
	return (block * 31 + layer) % TD_VHD_HASH;
}

static void td_vhd_lru_del(struct td_vhd_bitmap *b)
{
	b->prev->next = b->next;
	b->next->prev = b->prev;
}

static void td_vhd_lru_add(struct td_vhd *vhd, struct td_vhd_bitmap *b)
{
	b->prev = &vhd->lru;
	b->next = vhd->lru.next;
	b->next->prev = b;
	vhd->lru.next = b;
}

static void td_vhd_bitmap_free(struct td_vhd *vhd, struct td_vhd_bitmap *b)
{
	unsigned int bucket = td_vhd_bitmap_bucket(b->layer, b->block);
	struct td_vhd_bitmap **p = &vhd->hash[bucket];

	while (*p != b)
		p = &(*p)->hash;
	*p = b->hash;
	td_vhd_lru_del(b);
	vhd->nr_bitmaps--;
	free(b->meta.buf);
	free(b);
}

static void td_vhd_bitmap_shrink(struct td_vhd *vhd)
{
	struct td_vhd_bitmap *b = vhd->lru.prev;

	while (vhd->nr_bitmaps >= vhd->max_bitmaps && b != &vhd->lru) {
		struct td_vhd_bitmap *prev = b->prev;

		if (!b->pins && !b->loading && !b->meta.buf)
			td_vhd_bitmap_free(vhd, b);
		b = prev;
	}
}

struct td_vhd_bitmap *td_vhd_bitmap_find(struct td_vhd *vhd,
					 unsigned int layer, uint32_t block)
{
	struct td_vhd_bitmap *b;

	b = vhd->hash[td_vhd_bitmap_bucket(layer, block)];
	while (b && (b->layer != layer || b->block != block))
		b = b->hash;
	if (b) {
		td_vhd_lru_del(b);
		td_vhd_lru_add(vhd, b);
	}
	return b;
}

/* Are all sectors that the disk has in this block set? */
static bool td_vhd_bitmap_is_full(const struct td_vhd_bitmap *b)
{
	const struct vhd_image *image = b->meta.vhd->layer[b->layer].image;
	uint64_t first = (uint64_t)b->block * image->block_sectors;
	uint32_t nr = image->block_sectors;
	uint32_t i;

	if (image->sectors - first < nr)
		nr = image->sectors - first;
	for (i = 0; i < nr; i++)
		if (!vhd_test_bit(b->bits, i))
			return false;
	return true;
}

static void td_vhd_bitmap_fill(struct td_vhd_meta *meta)
{
	memcpy(meta->buf, td_vhd_of(meta, struct td_vhd_bitmap, meta)->want,
	       VHD_SECTOR);
}

static void td_vhd_bitmap_commit(struct td_vhd_meta *meta)
{
	struct td_vhd_bitmap *b = td_vhd_of(meta, struct td_vhd_bitmap, meta);
	struct td_vhd *vhd = meta->vhd;

	memcpy(b->bits, meta->buf, VHD_SECTOR);
	if (td_vhd_bitmap_is_full(b))
		vhd_set_bit(vhd->layer[0].full, b->block);
	if (vhd_test_bit(vhd->fresh, b->block)) {
		td_vhd_clear_bit(vhd->fresh, b->block);
		b->pins--;
	}
}

static struct td_vhd_bitmap *td_vhd_bitmap_add(struct td_vhd *vhd,
					       unsigned int layer,
					       uint32_t block)
{
	unsigned int bucket = td_vhd_bitmap_bucket(layer, block);
	const struct vhd_image *image = vhd->layer[layer].image;
	struct td_vhd_bitmap *b;

	td_vhd_bitmap_shrink(vhd);
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->layer = layer;
	b->block = block;
	b->meta.vhd = vhd;
	b->meta.off = (uint64_t)image->bat[block] * VHD_SECTOR;
	b->meta.fill = td_vhd_bitmap_fill;
	b->meta.commit = td_vhd_bitmap_commit;
	b->hash = vhd->hash[bucket];
	vhd->hash[bucket] = b;
	td_vhd_lru_add(vhd, b);
	vhd->nr_bitmaps++;
	return b;
}

struct td_vhd_bitmap *td_vhd_bitmap_new(struct td_vhd *vhd, uint32_t block,
					bool whole)
{
	struct td_vhd_bitmap *b = td_vhd_bitmap_add(vhd, 0, block);

	if (b && whole) {
		memset(b->want, 0xff, VHD_SECTOR);
		/* Stays until it is in the file, see td_vhd_bitmap_commit(). */
		b->pins++;
	}
	return b;
}

static void td_vhd_bitmap_loaded(struct td_io *io, int error)
{
	struct td_vhd_bitmap *b = io->priv;
	struct td_vhd *vhd = b->meta.vhd;
	struct td_vhd_layer *layer = &vhd->layer[b->layer];
	struct td_vhd_queue queue = b->queue;

	b->loading = false;
	if (error) {
		td_err("%s: cannot read the bitmap of block %u: %s",
		       layer->image->path, b->block, strerror(-error));
		td_vhd_bitmap_free(vhd, b);
	} else {
		memcpy(b->bits, b->meta.buf, VHD_SECTOR);
		memcpy(b->want, b->bits, VHD_SECTOR);
		free(b->meta.buf);
		b->meta.buf = NULL;
		if (td_vhd_bitmap_is_full(b))
			vhd_set_bit(layer->full, b->block);
	}
	td_vhd_queue_run(vhd, &queue, error);
}

static int td_vhd_bitmap_load(struct td_vhd *vhd, unsigned int layer,
			      uint32_t block, struct td_vhd_bitmap **bitmap)
{
	struct td_vhd_bitmap *b;
	void *buf;

	if (posix_memalign(&buf, 4096, VHD_SECTOR))
		return -ENOMEM;
	b = td_vhd_bitmap_add(vhd, layer, block);
	if (!b) {
		free(buf);
		return -ENOMEM;
	}
	b->loading = true;
	b->meta.buf = buf;
	vhd->stats.loads++;
	b->meta.io = (struct td_io) {
		.op = TD_IO_READ,
		.fd = vhd->layer[layer].image->fd,
		.buf = buf,
		.len = VHD_SECTOR,
		.off = b->meta.off,
		.done = td_vhd_bitmap_loaded,
		.priv = b,
	};
	td_io_submit(&b->meta.io);
	*bitmap = b;
	return 0;
}

int td_vhd_bitmap_get(struct td_vhd *vhd, unsigned int layer, uint32_t block,
		      struct td_req *req, struct td_vhd_bitmap **bitmap)
{
	struct td_vhd_bitmap *b = td_vhd_bitmap_find(vhd, layer, block);
	int ret;

	*bitmap = NULL;
	if (!b) {
		ret = td_vhd_bitmap_load(vhd, layer, block, &b);
		if (ret)
			return ret;
	}
	if (b->loading)
		td_vhd_queue_add(&b->queue, req);
	else
		*bitmap = b;
	return 0;
}

void td_vhd_bitmap_free_all(struct td_vhd *vhd)
{
	while (vhd->lru.next != &vhd->lru)
		td_vhd_bitmap_free(vhd, vhd->lru.next);
}
