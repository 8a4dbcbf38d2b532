/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_BLK_MQ_H
#define _COMPAT_LINUX_BLK_MQ_H

#include <linux/blkdev.h>
#include_next <linux/blk-mq.h>

/* See struct compat_queue_limits. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
static inline struct gendisk *
compat_alloc_disk(struct blk_mq_tag_set *set,
		  const struct compat_queue_limits *lim, void *queuedata)
{
	struct gendisk *disk;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	disk = blk_mq_alloc_disk(set, queuedata);
#else
	disk = blk_mq_alloc_disk(set, NULL, queuedata);
#endif
	if (!IS_ERR(disk))
		compat_set_limits(disk->queue, lim);
	return disk;
}

#define queue_limits compat_queue_limits
#undef blk_mq_alloc_disk
#define blk_mq_alloc_disk compat_alloc_disk
#endif

/* 6.14, 9377b95cda73 ("block: remove BLK_MQ_F_SHOULD_MERGE"): always on. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define BLK_MQ_F_SHOULD_MERGE	0
#endif

#endif /* _COMPAT_LINUX_BLK_MQ_H */
