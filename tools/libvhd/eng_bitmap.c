// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cache of block bitmaps, one for all images of a chain. A block that is
 * known to be full needs none: that is remembered in a bit per block, which
 * comes from a batmap that can be trusted or from having seen the bitmap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "eng_private.h"

static unsigned int vhd_eng_bitmap_bucket(unsigned int layer, uint32_t block)
{
	return (block * 31 + layer) % VHD_ENG_HASH;
}

static void vhd_eng_lru_del(struct vhd_eng_bitmap *b)
{
	b->prev->next = b->next;
	b->next->prev = b->prev;
}

static void vhd_eng_lru_add(struct vhd_eng *eng, struct vhd_eng_bitmap *b)
{
	b->prev = &eng->lru;
	b->next = eng->lru.next;
	b->next->prev = b;
	eng->lru.next = b;
}

static void vhd_eng_bitmap_free(struct vhd_eng *eng, struct vhd_eng_bitmap *b)
{
	unsigned int bucket = vhd_eng_bitmap_bucket(b->layer, b->block);
	struct vhd_eng_bitmap **p = &eng->hash[bucket];

	while (*p != b)
		p = &(*p)->hash;
	*p = b->hash;
	vhd_eng_lru_del(b);
	eng->nr_bitmaps--;
	free(b->meta.buf);
	free(b);
}

static void vhd_eng_bitmap_shrink(struct vhd_eng *eng)
{
	struct vhd_eng_bitmap *b = eng->lru.prev;

	while (eng->nr_bitmaps >= eng->max_bitmaps && b != &eng->lru) {
		struct vhd_eng_bitmap *prev = b->prev;

		if (!b->pins && !b->loading && !b->meta.buf)
			vhd_eng_bitmap_free(eng, b);
		b = prev;
	}
}

struct vhd_eng_bitmap *vhd_eng_bitmap_find(struct vhd_eng *eng,
					   unsigned int layer, uint32_t block)
{
	struct vhd_eng_bitmap *b;

	b = eng->hash[vhd_eng_bitmap_bucket(layer, block)];
	while (b && (b->layer != layer || b->block != block))
		b = b->hash;
	if (b) {
		vhd_eng_lru_del(b);
		vhd_eng_lru_add(eng, b);
	}
	return b;
}

/* Are all sectors that the disk has in this block set? */
static bool vhd_eng_bitmap_is_full(const struct vhd_eng_bitmap *b)
{
	const struct vhd_image *image = b->meta.eng->layer[b->layer].image;
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

static void vhd_eng_bitmap_fill(struct vhd_eng_meta *meta)
{
	memcpy(meta->buf + meta->lead,
	       vhd_of(meta, struct vhd_eng_bitmap, meta)->want, VHD_SECTOR);
	vhd_bitmap_order(vhd_eng_leaf(meta->eng), meta->buf + meta->lead);
}

static void vhd_eng_bitmap_commit(struct vhd_eng_meta *meta)
{
	struct vhd_eng_bitmap *b = vhd_of(meta, struct vhd_eng_bitmap, meta);
	struct vhd_eng *eng = meta->eng;

	memcpy(b->bits, meta->buf + meta->lead, VHD_SECTOR);
	vhd_bitmap_order(vhd_eng_leaf(eng), b->bits);
	if (vhd_eng_bitmap_is_full(b))
		vhd_set_bit(eng->layer[0].full, b->block);
	if (vhd_test_bit(eng->fresh, b->block)) {
		vhd_eng_clear_bit(eng->fresh, b->block);
		b->pins--;
	}
}

static struct vhd_eng_bitmap *vhd_eng_bitmap_add(struct vhd_eng *eng,
						 unsigned int layer,
						 uint32_t block)
{
	unsigned int bucket = vhd_eng_bitmap_bucket(layer, block);
	const struct vhd_image *image = eng->layer[layer].image;
	struct vhd_eng_bitmap *b;

	vhd_eng_bitmap_shrink(eng);
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->layer = layer;
	b->block = block;
	b->meta.eng = eng;
	b->meta.off = (uint64_t)image->bat[block] * VHD_SECTOR;
	b->meta.fill = vhd_eng_bitmap_fill;
	b->meta.commit = vhd_eng_bitmap_commit;
	b->hash = eng->hash[bucket];
	eng->hash[bucket] = b;
	vhd_eng_lru_add(eng, b);
	eng->nr_bitmaps++;
	return b;
}

struct vhd_eng_bitmap *vhd_eng_bitmap_new(struct vhd_eng *eng, uint32_t block,
					  bool whole)
{
	struct vhd_eng_bitmap *b = vhd_eng_bitmap_add(eng, 0, block);
	uint32_t lead;

	if (!b)
		return NULL;
	lead = b->meta.off % VHD_ENG_PAGE;
	if (lead == VHD_ENG_PAGE - VHD_SECTOR &&
	    b->meta.off - lead >= eng->next_free)
		b->meta.lead = lead;
	if (whole) {
		memset(b->want, 0xff, VHD_SECTOR);
		/* Stays until it is in the file, see vhd_eng_bitmap_commit(). */
		b->pins++;
	}
	return b;
}

static void vhd_eng_bitmap_loaded(struct vhd_io *io, int error)
{
	struct vhd_eng_bitmap *b = io->priv;
	struct vhd_eng *eng = b->meta.eng;
	struct vhd_eng_layer *layer = &eng->layer[b->layer];
	struct vhd_eng_queue queue = b->queue;

	b->loading = false;
	if (error) {
		vhd_msg(&layer->image->ctx, 0,
			"%s: cannot read the bitmap of block %u: %s",
			layer->image->path, b->block, strerror(-error));
		vhd_eng_bitmap_free(eng, b);
	} else {
		memcpy(b->bits, b->meta.buf, VHD_SECTOR);
		vhd_bitmap_order(layer->image, b->bits);
		memcpy(b->want, b->bits, VHD_SECTOR);
		free(b->meta.buf);
		b->meta.buf = NULL;
		if (vhd_eng_bitmap_is_full(b))
			vhd_set_bit(layer->full, b->block);
	}
	vhd_eng_queue_run(eng, &queue, error);
}

static int vhd_eng_bitmap_load(struct vhd_eng *eng, unsigned int layer,
			       uint32_t block, struct vhd_eng_bitmap **bitmap)
{
	struct vhd_eng_bitmap *b;
	void *buf;

	if (posix_memalign(&buf, 4096, VHD_SECTOR))
		return -ENOMEM;
	b = vhd_eng_bitmap_add(eng, layer, block);
	if (!b) {
		free(buf);
		return -ENOMEM;
	}
	b->loading = true;
	b->meta.buf = buf;
	eng->stats.loads++;
	b->meta.io = (struct vhd_io) {
		.op = VHD_IO_READ,
		.fd = eng->layer[layer].image->fd,
		.buf = buf,
		.len = VHD_SECTOR,
		.off = b->meta.off,
		.done = vhd_eng_bitmap_loaded,
		.priv = b,
	};
	vhd_io_submit(eng, &b->meta.io);
	*bitmap = b;
	return 0;
}

int vhd_eng_bitmap_get(struct vhd_eng *eng, unsigned int layer, uint32_t block,
		       struct vhd_req *req, struct vhd_eng_bitmap **bitmap)
{
	struct vhd_eng_bitmap *b = vhd_eng_bitmap_find(eng, layer, block);
	int ret;

	*bitmap = NULL;
	if (!b) {
		ret = vhd_eng_bitmap_load(eng, layer, block, &b);
		if (ret)
			return ret;
	}
	if (b->loading)
		vhd_eng_queue_add(&b->queue, req);
	else
		*bitmap = b;
	return 0;
}

void vhd_eng_bitmap_free_all(struct vhd_eng *eng)
{
	while (eng->lru.next != &eng->lru)
		vhd_eng_bitmap_free(eng, eng->lru.next);
}
