/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VHD_ENG_PRIVATE_H
#define VHD_ENG_PRIVATE_H

#include <stddef.h>

#include "engine.h"
#include "vhd_private.h"

#define vhd_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define VHD_ENG_HASH	1024
/* What file systems write in one piece. */
#define VHD_ENG_PAGE	4096
/* Bitmaps kept for all images of a chain; about 1.2 KiB each. */
#define VHD_ENG_BITMAPS	4096
/* Blocks by which the file grows. */
#define VHD_ENG_STEP	128
/* Most bytes the file system finds places for ahead of a stream. */
#define VHD_ENG_AHEAD	(64ULL << 20)
/* Most blocks that one operation deals with at a time. */
#define VHD_ENG_SEGS	512
/* What is copied from parents to the leaf at a time. */
#define VHD_ENG_FILLS	16
#define VHD_ENG_EXTENTS	(VHD_REQ_MAX / VHD_SECTOR)

/* Somebody who waits for something; @fn is called once. */
struct vhd_eng_wait {
	struct vhd_eng_wait *next;
	void (*fn)(struct vhd_eng_wait *wait, int error);
};

struct vhd_eng_waits {
	struct vhd_eng_wait *head;
	struct vhd_eng_wait **tail;
};

/* Requests to be started again from the beginning. */
struct vhd_eng_queue {
	struct vhd_req *head;
	struct vhd_req **tail;
};

/**
 * struct vhd_eng_meta - a sector of metadata that can be written
 * @eng: image
 * @io: the write
 * @buf: what is being written, NULL if nothing is
 * @off: where, in bytes
 * @lead: bytes before it that are nobody's: zeros, and written with it
 * @now: who waits for the write in flight
 * @next: who waits for the one after it
 * @fill: put the contents to write into @buf
 * @commit: @buf is in the file
 */
struct vhd_eng_meta {
	struct vhd_eng *eng;
	struct vhd_io io;
	uint8_t *buf;
	uint64_t off;
	uint32_t lead;
	struct vhd_eng_waits now;
	struct vhd_eng_waits next;
	void (*fill)(struct vhd_eng_meta *meta);
	void (*commit)(struct vhd_eng_meta *meta);
};

/**
 * struct vhd_eng_bitmap - bitmap of a block, cached
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
struct vhd_eng_bitmap {
	struct vhd_eng_meta meta;
	unsigned int layer;
	uint32_t block;
	bool loading;
	unsigned int pins;
	struct vhd_eng_queue queue;
	uint8_t bits[VHD_SECTOR];
	uint8_t want[VHD_SECTOR];
	struct vhd_eng_bitmap *hash;
	struct vhd_eng_bitmap *prev;
	struct vhd_eng_bitmap *next;
};

/**
 * struct vhd_eng_bat - a sector of the leaf's BAT while it is written
 * @meta: for writing it
 * @index: which sector
 */
struct vhd_eng_bat {
	struct vhd_eng_meta meta;
	uint32_t index;
};

/**
 * struct vhd_eng_layer - an image of the chain
 * @image: its metadata
 * @file: index of the file in extents, -1: none yet
 * @full: bit per block: all sectors are in this image
 */
struct vhd_eng_layer {
	struct vhd_image *image;
	int file;
	uint8_t *full;
};

/**
 * struct vhd_eng_fill - sectors on their way from a parent to the leaf
 * @eng: image
 * @req: the write; the host does not know of it
 * @io: the read before it
 * @buf: data, NULL: not in use
 * @queue: changes that wait for it
 */
struct vhd_eng_fill {
	struct vhd_eng *eng;
	struct vhd_req req;
	struct vhd_io io;
	uint8_t *buf;
	struct vhd_eng_queue queue;
};

/**
 * struct vhd_eng - an open image
 * @host: callbacks
 * @priv: for them
 * @layer: images, leaf first
 * @nr_layers: how many
 * @rw: opened for writing
 * @no_punch: the file system cannot punch holes
 * @orphan: a differencing image opened without its parents
 *
 * @bat: sectors of the leaf's BAT being written, by number, mostly NULL
 * @bat_dirty: bit per block: BAT entry not in the file yet
 * @fresh: bit per block: whole block whose bitmap is not in the file yet
 *
 * @direct: the leaf is written past the page cache
 *
 * @next_block: where the next block goes, in bytes
 * @next_free: where the space before it begins that is nobody's
 * @space_end: end of the space for blocks; the footer's place
 * @new_end: the same after the growth that is under way
 * @streamed: bytes of blocks allocated in order up to now
 * @reserved: how far the file system was asked to find places
 * @release_io: hole in the space between the last block and there
 * @releasing: in flight
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
 * @stats: what it has done
 */
struct vhd_eng {
	struct vhd_host host;
	void *priv;
	struct vhd_eng_layer *layer;
	unsigned int nr_layers;
	bool rw;
	bool no_punch;
	bool orphan;

	struct vhd_eng_bat **bat;
	uint8_t *bat_dirty;
	uint8_t *fresh;

	bool direct;

	uint64_t next_block;
	uint64_t next_free;
	uint64_t space_end;
	uint64_t new_end;
	uint64_t streamed;
	uint64_t reserved;
	struct vhd_io release_io;
	bool releasing;
	struct vhd_io grow_io;
	struct vhd_eng_wait grow_wait;
	bool growing;
	struct vhd_eng_queue space_queue;

	struct vhd_io sync_io;
	bool syncing;
	struct vhd_eng_waits sync_now;
	struct vhd_eng_waits sync_next;
	int sync_error;
	uint64_t meta_gen;
	uint64_t sync_gen;
	uint64_t synced_gen;

	struct vhd_eng_bitmap *hash[VHD_ENG_HASH];
	struct vhd_eng_bitmap lru;
	unsigned int nr_bitmaps;
	unsigned int max_bitmaps;
	struct vhd_extent ext[VHD_ENG_EXTENTS];

	struct vhd_eng_op *ops;
	bool cache;
	struct vhd_eng_fill fill[VHD_ENG_FILLS];
	unsigned int nr_fills;
	struct vhd_eng_stats stats;
};

/**
 * struct vhd_eng_seg - the part of a request that lies in one block
 * @block: block
 * @first: first sector within the block
 * @nr: sectors
 * @skip: nothing to do
 * @stream: new, and the first sector of it is written after a neighbour's
 * @ordered: sets bits: they are written after the data is durable
 * @bitmap: pinned, if needed
 * @bat_wait: for the BAT entry
 * @bitmap_wait: for the bitmap
 * @io: write, hole punch, or: find places for what follows
 * @start_io: write back what came before
 * @op: the operation
 */
struct vhd_eng_seg {
	uint32_t block;
	uint32_t first;
	uint32_t nr;
	bool skip;
	bool stream;
	bool ordered;
	struct vhd_eng_bitmap *bitmap;
	struct vhd_eng_wait bat_wait;
	struct vhd_eng_wait bitmap_wait;
	struct vhd_io io;
	struct vhd_io start_io;
	struct vhd_eng_op *op;
};

enum vhd_eng_stage {
	VHD_ENG_DATA,		/* data, BAT, bitmaps of whole new blocks */
	VHD_ENG_ORDER,		/* fdatasync between data and bitmaps */
	VHD_ENG_BITMAP,		/* bitmaps */
	VHD_ENG_SYNC,		/* fdatasync for FUA or FLUSH */
};

/**
 * struct vhd_eng_op - a request that changes something, or a FLUSH
 * @eng: image
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
struct vhd_eng_op {
	struct vhd_eng *eng;
	struct vhd_req *req;
	struct vhd_eng_op *next;
	struct vhd_eng_op **prev;
	enum vhd_eng_stage stage;
	unsigned int pending;
	int error;
	struct vhd_eng_wait wait;
	uint64_t end;
	unsigned int nr_segs;
	struct vhd_eng_seg seg[];
};

/* eng.c */
void vhd_eng_start(struct vhd_eng *eng, struct vhd_req *req);
void vhd_eng_fail(struct vhd_req *req, int error);
void vhd_eng_queue_add(struct vhd_eng_queue *queue, struct vhd_req *req);
/* Start all again, or, with an error, fail them. */
void vhd_eng_queue_run(struct vhd_eng *eng, struct vhd_eng_queue *queue,
		       int error);

/* eng_read.c */
void vhd_eng_read(struct vhd_eng *eng, struct vhd_req *req);
/* Append an extent to eng->ext, merging it with the last one. */
void vhd_eng_extent(struct vhd_eng *eng, unsigned int *nr, uint16_t kind,
		    uint16_t file, uint64_t addr, uint32_t len);
/* Does any parent have something in this block of the leaf? */
bool vhd_eng_below(const struct vhd_eng *eng, uint32_t block);

/* eng_write.c */
void vhd_eng_write(struct vhd_eng *eng, struct vhd_req *req);
void vhd_eng_flush(struct vhd_eng *eng, struct vhd_req *req);
void vhd_eng_trim(struct vhd_eng *eng, struct vhd_req *req);

/* eng_cache.c */
/* Write what eng->ext says of a READ and is a parent's into the leaf. */
void vhd_eng_fill_from(struct vhd_eng *eng, const struct vhd_req *req,
		       unsigned int nr_ext);
/* Must a change wait for that? Then it was queued, and is started again. */
bool vhd_eng_fill_wait(struct vhd_eng *eng, struct vhd_req *req);
/* The data of a fill; NULL: it is a request of the host. */
uint8_t *vhd_eng_fill_data(const struct vhd_eng *eng,
			   const struct vhd_req *req);

/* eng_meta.c */
void vhd_eng_wait_add(struct vhd_eng_waits *waits, struct vhd_eng_wait *wait);
/* fdatasync of all that completed up to now. */
void vhd_eng_sync(struct vhd_eng *eng, struct vhd_eng_wait *wait);
/*
 * Write what is there to write, or wait for a write in flight if @in_flight
 * says that it is enough. @wait may be called back at once if there is no
 * memory.
 */
void vhd_eng_meta_write(struct vhd_eng_meta *meta, bool in_flight,
			struct vhd_eng_wait *wait);
void vhd_eng_bat_write(struct vhd_eng *eng, uint32_t block,
		       struct vhd_eng_wait *wait);
/* Distance of blocks that follow one another. */
uint64_t vhd_eng_stride(const struct vhd_image *leaf);
/*
 * Give back what is reserved ahead of a stream; no block is allocated until
 * that is done. False: there is nothing, @wait is not called.
 */
bool vhd_eng_release(struct vhd_eng *eng, struct vhd_eng_wait *wait);
/* Is there room for @blocks? If not, start to make it. 0 or -errno. */
int vhd_eng_space(struct vhd_eng *eng, unsigned int blocks, bool *ready);

/* eng_bitmap.c */
/*
 * The bitmap of a block that is in an image. Returns 0 with the bitmap, or 0
 * with NULL: @req was queued and is started again when it is loaded.
 */
int vhd_eng_bitmap_get(struct vhd_eng *eng, unsigned int layer, uint32_t block,
		       struct vhd_req *req, struct vhd_eng_bitmap **bitmap);
struct vhd_eng_bitmap *vhd_eng_bitmap_find(struct vhd_eng *eng,
					   unsigned int layer, uint32_t block);
/* The bitmap of a block at eng->next_block, all zeros or all ones. */
struct vhd_eng_bitmap *vhd_eng_bitmap_new(struct vhd_eng *eng, uint32_t block,
					  bool whole);
void vhd_eng_bitmap_free_all(struct vhd_eng *eng);

/* What the host does for the engine. */
static inline void vhd_req_map(struct vhd_req *req,
			       const struct vhd_extent *ext, unsigned int nr,
			       unsigned int flags,
			       void (*mapped)(struct vhd_req *req, int error))
{
	req->mapped = mapped;
	req->eng->host.map(req->eng->priv, req, ext, nr, flags);
}

static inline void vhd_req_end(struct vhd_req *req, int error)
{
	if (req->done)
		req->done(req, error);
	else
		req->eng->host.end(req->eng->priv, req, error);
}

static inline void vhd_io_submit(struct vhd_eng *eng, struct vhd_io *io)
{
	eng->host.io(eng->priv, io);
}

/* Is the block in memory only: BAT entry or bitmap not in the file yet? */
static inline bool vhd_eng_unwritten(const struct vhd_eng *eng, uint32_t block)
{
	return eng->bat_dirty && (vhd_test_bit(eng->bat_dirty, block) ||
				  vhd_test_bit(eng->fresh, block));
}

static inline void vhd_eng_clear_bit(uint8_t *map, uint32_t bit)
{
	map[bit >> 3] &= ~(0x80 >> (bit & 7));
}

#endif /* VHD_ENG_PRIVATE_H */
