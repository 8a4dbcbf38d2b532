/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TD_VHD_H
#define TD_VHD_H

#include <stddef.h>

#include "libvhd/vhd.h"
#include "tapdisk/td_driver.h"

#define td_vhd_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define TD_VHD_HASH	1024
/* Bitmaps kept for all images of a chain; about 1.2 KiB each. */
#define TD_VHD_BITMAPS	4096
/* Blocks by which the file grows. */
#define TD_VHD_STEP	128
/* Most blocks that one operation deals with at a time. */
#define TD_VHD_SEGS	512
/* What is copied from parents to the leaf at a time. */
#define TD_VHD_FILLS	16
#define TD_VHD_EXTENTS	(BLKTAP_DIRECT_IO_MAX / VHD_SECTOR)

/* Somebody who waits for something; @fn is called once. */
struct td_vhd_wait {
	struct td_vhd_wait *next;
	void (*fn)(struct td_vhd_wait *wait, int error);
};

struct td_vhd_waits {
	struct td_vhd_wait *head;
	struct td_vhd_wait **tail;
};

/* Requests to be started again from the beginning. */
struct td_vhd_queue {
	struct td_req *head;
	struct td_req **tail;
};

/**
 * struct td_vhd_meta - a sector of metadata that can be written
 * @vhd: image
 * @io: the write
 * @buf: what is being written, NULL if nothing is
 * @off: where, in bytes
 * @now: who waits for the write in flight
 * @next: who waits for the one after it
 * @fill: put the contents to write into @buf
 * @commit: @buf is in the file
 */
struct td_vhd_meta {
	struct td_vhd *vhd;
	struct td_io io;
	uint8_t *buf;
	uint64_t off;
	struct td_vhd_waits now;
	struct td_vhd_waits next;
	void (*fill)(struct td_vhd_meta *meta);
	void (*commit)(struct td_vhd_meta *meta);
};

/**
 * struct td_vhd_bitmap - bitmap of a block, cached
 * @meta: for writing it (leaf)
 * @layer: image, 0 is the leaf
 * @block: block
 * @loading: being read, the rest is not valid yet
 * @pins: users that keep it in the cache
 * @queue: requests that wait until it is loaded
 * @bits: sectors whose bits are set in the file
 * @want: sectors whose data is durable: @bits and those yet to be written
 * @hash: next in hash chain
 * @prev: more recently used
 * @next: less recently used
 */
struct td_vhd_bitmap {
	struct td_vhd_meta meta;
	unsigned int layer;
	uint32_t block;
	bool loading;
	unsigned int pins;
	struct td_vhd_queue queue;
	uint8_t bits[VHD_SECTOR];
	uint8_t want[VHD_SECTOR];
	struct td_vhd_bitmap *hash;
	struct td_vhd_bitmap *prev;
	struct td_vhd_bitmap *next;
};

/**
 * struct td_vhd_bat - a sector of the leaf's BAT while it is written
 * @meta: for writing it
 * @index: which sector
 */
struct td_vhd_bat {
	struct td_vhd_meta meta;
	uint32_t index;
};

/**
 * struct td_vhd_layer - an image of the chain
 * @image: its metadata
 * @file: index of the file in extents, -1: none yet
 * @full: bit per block: all sectors are in this image
 */
struct td_vhd_layer {
	struct vhd_image *image;
	int file;
	uint8_t *full;
};

/**
 * struct td_vhd_fill - sectors on their way from a parent to the leaf
 * @vhd: image
 * @req: the write; the guest does not know of it
 * @io: the read before it
 * @buf: data, NULL: not in use
 * @queue: changes that wait for it
 */
struct td_vhd_fill {
	struct td_vhd *vhd;
	struct td_req req;
	struct td_io io;
	uint8_t *buf;
	struct td_vhd_queue queue;
};

/**
 * struct td_vhd - an open image
 * @vbd: disk
 * @layer: images, leaf first
 * @nr_layers: how many
 * @rw: opened for writing
 * @no_punch: the file system cannot punch holes
 *
 * @bat: sectors of the leaf's BAT being written, by number, mostly NULL
 * @bat_dirty: bit per block: BAT entry not in the file yet
 * @fresh: bit per block: whole block whose bitmap is not in the file yet
 *
 * @next_block: where the next block goes, in bytes
 * @space_end: end of the space for blocks; the footer's place
 * @new_end: the same after the growth that is under way
 * @grow_io: write of the footer
 * @grow_wait: fdatasync after it
 * @growing: growth is under way
 * @space_queue: requests that wait for it
 *
 * @sync_io: fdatasync
 * @syncing: in flight
 * @sync_now: who waits for it
 * @sync_next: who waits for the next
 * @sync_error: fdatasync failed once: completed writes may be lost
 * @meta_gen: counts metadata writes that completed
 * @sync_gen: @meta_gen when the fdatasync in flight was started
 * @synced_gen: @meta_gen as of the last that succeeded
 *
 * @hash: cached bitmaps
 * @lru: list head of them, @lru.next is the most recently used
 * @nr_bitmaps: how many
 * @max_bitmaps: how many it may be
 * @ext: room to build extents
 *
 * @ops: what is under way
 * @cache: what is read from parents is written into the leaf
 * @fill: that
 * @nr_fills: how many
 * @stats: fdatasyncs, bitmap reads, metadata writes, sectors cached
 */
struct td_vhd {
	struct td_vbd *vbd;
	struct td_vhd_layer *layer;
	unsigned int nr_layers;
	bool rw;
	bool no_punch;

	struct td_vhd_bat **bat;
	uint8_t *bat_dirty;
	uint8_t *fresh;

	uint64_t next_block;
	uint64_t space_end;
	uint64_t new_end;
	struct td_io grow_io;
	struct td_vhd_wait grow_wait;
	bool growing;
	struct td_vhd_queue space_queue;

	struct td_io sync_io;
	bool syncing;
	struct td_vhd_waits sync_now;
	struct td_vhd_waits sync_next;
	int sync_error;
	uint64_t meta_gen;
	uint64_t sync_gen;
	uint64_t synced_gen;

	struct td_vhd_bitmap *hash[TD_VHD_HASH];
	struct td_vhd_bitmap lru;
	unsigned int nr_bitmaps;
	unsigned int max_bitmaps;
	struct blktap_direct_extent ext[TD_VHD_EXTENTS];

	struct td_vhd_op *ops;
	bool cache;
	struct td_vhd_fill fill[TD_VHD_FILLS];
	unsigned int nr_fills;
	struct {
		uint64_t syncs;
		uint64_t loads;
		uint64_t meta_writes;
		uint64_t filled;
	} stats;
};

/**
 * struct td_vhd_seg - the part of a request that lies in one block
 * @block: block
 * @first: first sector within the block
 * @nr: sectors
 * @skip: nothing to do
 * @ordered: sets bits: they are written after the data is durable
 * @bitmap: pinned, if needed
 * @bat_wait: for the BAT entry
 * @bitmap_wait: for the bitmap
 * @io: hole punch
 * @op: the operation
 */
struct td_vhd_seg {
	uint32_t block;
	uint32_t first;
	uint32_t nr;
	bool skip;
	bool ordered;
	struct td_vhd_bitmap *bitmap;
	struct td_vhd_wait bat_wait;
	struct td_vhd_wait bitmap_wait;
	struct td_io io;
	struct td_vhd_op *op;
};

enum td_vhd_stage {
	TD_VHD_DATA,		/* data, BAT, bitmaps of whole new blocks */
	TD_VHD_ORDER,		/* fdatasync between data and bitmaps */
	TD_VHD_BITMAP,		/* bitmaps */
	TD_VHD_SYNC,		/* fdatasync for FUA or FLUSH */
};

/**
 * struct td_vhd_op - a request that changes something, or a FLUSH
 * @vhd: image
 * @req: request
 * @next: next one of the image
 * @prev: where the pointer to this is
 * @stage: what is going on
 * @pending: parts of it not finished yet
 * @error: first error
 * @wait: for fdatasync
 * @end: sector behind those dealt with now
 * @nr_segs: blocks dealt with now
 * @seg: these
 */
struct td_vhd_op {
	struct td_vhd *vhd;
	struct td_req *req;
	struct td_vhd_op *next;
	struct td_vhd_op **prev;
	enum td_vhd_stage stage;
	unsigned int pending;
	int error;
	struct td_vhd_wait wait;
	uint64_t end;
	unsigned int nr_segs;
	struct td_vhd_seg seg[];
};

/* vhd.c */
void td_vhd_start(struct td_vhd *vhd, struct td_req *req);
void td_vhd_fail(struct td_req *req, int error);
void td_vhd_queue_add(struct td_vhd_queue *queue, struct td_req *req);
/* Start all again, or, with an error, fail them. */
void td_vhd_queue_run(struct td_vhd *vhd, struct td_vhd_queue *queue,
		      int error);

/* read.c */
void td_vhd_read(struct td_vhd *vhd, struct td_req *req);
/* Append an extent to vhd->ext, merging it with the last one. */
void td_vhd_extent(struct td_vhd *vhd, unsigned int *nr, uint16_t kind,
		   uint16_t file, uint64_t addr, uint32_t len);
/* Does any parent have something in this block of the leaf? */
bool td_vhd_below(const struct td_vhd *vhd, uint32_t block);

/* write.c */
void td_vhd_write(struct td_vhd *vhd, struct td_req *req);
void td_vhd_flush(struct td_vhd *vhd, struct td_req *req);
void td_vhd_trim(struct td_vhd *vhd, struct td_req *req);

/* cache.c */
/* Write what vhd->ext says of a READ and is a parent's into the leaf. */
void td_vhd_fill_from(struct td_vhd *vhd, const struct td_req *req,
		      unsigned int nr_ext);
/* Must a change wait for that? Then it was queued, and is started again. */
bool td_vhd_fill_wait(struct td_vhd *vhd, struct td_req *req);
/* The data of a fill; NULL: it is a request of the guest. */
uint8_t *td_vhd_fill_data(const struct td_vhd *vhd, const struct td_req *req);

/* meta.c */
void td_vhd_wait_add(struct td_vhd_waits *waits, struct td_vhd_wait *wait);
/* fdatasync of all that completed up to now. */
void td_vhd_sync(struct td_vhd *vhd, struct td_vhd_wait *wait);
/*
 * Write what is there to write, or wait for a write in flight if @in_flight
 * says that it is enough. @wait may be called back at once if there is no
 * memory.
 */
void td_vhd_meta_write(struct td_vhd_meta *meta, bool in_flight,
		       struct td_vhd_wait *wait);
void td_vhd_bat_write(struct td_vhd *vhd, uint32_t block,
		      struct td_vhd_wait *wait);
/* Is there room for @blocks? If not, start to make it. 0 or -errno. */
int td_vhd_space(struct td_vhd *vhd, unsigned int blocks, bool *ready);

/* bitmap.c */
/*
 * The bitmap of a block that is in an image. Returns 0 with the bitmap, or 0
 * with NULL: @req was queued and is started again when it is loaded.
 */
int td_vhd_bitmap_get(struct td_vhd *vhd, unsigned int layer, uint32_t block,
		      struct td_req *req, struct td_vhd_bitmap **bitmap);
struct td_vhd_bitmap *td_vhd_bitmap_find(struct td_vhd *vhd,
					 unsigned int layer, uint32_t block);
/* The bitmap of a block just allocated, all zeros or all ones. */
struct td_vhd_bitmap *td_vhd_bitmap_new(struct td_vhd *vhd, uint32_t block,
					bool whole);
void td_vhd_bitmap_free_all(struct td_vhd *vhd);

static inline const struct vhd_image *td_vhd_leaf(const struct td_vhd *vhd)
{
	return vhd->layer[0].image;
}

/* Is the block in memory only: BAT entry or bitmap not in the file yet? */
static inline bool td_vhd_unwritten(const struct td_vhd *vhd, uint32_t block)
{
	return vhd->bat_dirty && (vhd_test_bit(vhd->bat_dirty, block) ||
				  vhd_test_bit(vhd->fresh, block));
}

static inline void td_vhd_clear_bit(uint8_t *map, uint32_t bit)
{
	map[bit >> 3] &= ~(0x80 >> (bit & 7));
}

#endif /* TD_VHD_H */
