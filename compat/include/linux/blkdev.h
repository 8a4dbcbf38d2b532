/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_BLKDEV_H
#define _COMPAT_LINUX_BLKDEV_H

#include_next <linux/blkdev.h>
#include <linux/version.h>

/*
 * 6.5, 05bdb9965305 ("block: replace fmode_t with a block-specific type"), and
 * d32e2bf83791 ("block: pass a gendisk to ->open").
 */
#ifndef BLK_OPEN_READ
#define blk_mode_t fmode_t
#define blktap_bdev_open(...)						\
	compat_bdev_open(__VA_ARGS__);					\
	static int (blktap_bdev_open)(struct block_device *bdev,	\
				      fmode_t mode)			\
	{								\
		return compat_bdev_open(bdev->bd_disk, mode);		\
	}								\
	static int compat_bdev_open(__VA_ARGS__)
#endif

/* 6.18: getgeo() takes the gendisk. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define blktap_bdev_getgeo(...)						\
	compat_bdev_getgeo(__VA_ARGS__);				\
	static int (blktap_bdev_getgeo)(struct gendisk *disk,		\
					struct hd_geometry *geo)	\
	{								\
		return compat_bdev_getgeo(disk->part0, geo);		\
	}								\
	static int compat_bdev_getgeo(__VA_ARGS__)
#endif

/*
 * 6.9, 27e32cd23fed ("block: pass a queue_limits argument to
 * blk_mq_alloc_disk"), and 6.11, 1122c0c1cc71 ("block: move cache control
 * settings out of queue->flags"). What is set here is what the driver sets; see
 * blk_mq_alloc_disk() in blk-mq.h.
 */
#ifndef BLK_FEAT_WRITE_CACHE
#define BLK_FEAT_WRITE_CACHE	BIT(0)
#define BLK_FEAT_FUA		BIT(1)

struct compat_queue_limits {
	unsigned int features;
	unsigned long seg_boundary_mask;
	unsigned int max_hw_sectors;
	unsigned int max_segment_size;
	unsigned int physical_block_size;
	unsigned int logical_block_size;
	unsigned int alignment_offset;
	unsigned int max_hw_discard_sectors;
	unsigned int max_write_zeroes_sectors;
	unsigned int discard_granularity;
	unsigned int discard_alignment;
	unsigned int dma_alignment;
	unsigned short max_segments;
};

static inline void compat_set_limits(struct request_queue *q,
				     const struct compat_queue_limits *lim)
{
	blk_queue_logical_block_size(q, lim->logical_block_size);
	blk_queue_physical_block_size(q, lim->physical_block_size);
	blk_queue_alignment_offset(q, lim->alignment_offset);
	blk_queue_max_hw_sectors(q, lim->max_hw_sectors);
	blk_queue_max_segments(q, lim->max_segments);
	if (lim->seg_boundary_mask)
		blk_queue_segment_boundary(q, lim->seg_boundary_mask);
	blk_queue_max_segment_size(q, lim->max_segment_size);
	blk_queue_dma_alignment(q, lim->dma_alignment);
	blk_queue_max_discard_sectors(q, lim->max_hw_discard_sectors);
	blk_queue_max_write_zeroes_sectors(q, lim->max_write_zeroes_sectors);
	q->limits.discard_granularity = lim->discard_granularity;
	q->limits.discard_alignment = lim->discard_alignment;
	blk_queue_write_cache(q, lim->features & BLK_FEAT_WRITE_CACHE,
			      lim->features & BLK_FEAT_FUA);
	/* The newer kernels' default. */
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);
}
#endif

#endif /* _COMPAT_LINUX_BLKDEV_H */
