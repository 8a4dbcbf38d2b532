// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the disk of a tap.
 *
 * A disk is made by CREATE_DEVICE and outlives its server: when that dies the
 * disk waits, and CREATE_DEVICE of the next one takes it over. Its size can
 * change while it is there, by DIRECT_RESIZE or when it is taken over, but only
 * grow: what its users have beyond a new end would be lost to them. It goes
 *
 * - by REMOVE_DEVICE, unless it is open;
 * - by force (FREE_TAP or writing to remove in sysfs), open or not: all I/O is
 *   ended with errors first, so that nothing that deletes the disk has to wait
 *   for a server. Who has it open keeps a dead block device.
 *
 * Transfers have to end by themselves, and a file system below may hang. So
 * tap->removal deletes the disk, and who asked for it waits killably.
 *
 * Until the last of them closes it, free_disk() has not been called, the disk
 * is DYING, and the tap, which has lent it its minor, takes no new one.
 */
#include <linux/hdreg.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "blktap.h"

#define BLKTAP_RING_FLAGS	(BLKTAP_DEVICE_RO | BLKTAP_DEVICE_PSZ | \
				 BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM | \
				 BLKTAP_DEVICE_TRIM_RZ)
#define BLKTAP_DIRECT_FLAGS	(BLKTAP_RING_FLAGS | BLKTAP_DEVICE_FUA | \
				 BLKTAP_DEVICE_WRITE_ZEROES)
/* What the server of a disk has to be able to do. */
#define BLKTAP_SERVER_FLAGS	(BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM | \
				 BLKTAP_DEVICE_FUA | BLKTAP_DEVICE_WRITE_ZEROES)

static int blktap_bdev_open(struct gendisk *disk, blk_mode_t mode)
{
	struct blktap *tap = disk->private_data;

	/* Racing removals are found by del_gendisk(), under open_mutex. */
	if (READ_ONCE(tap->disk_state) != BLKTAP_DISK_LIVE)
		return -ENXIO;
	return 0;
}

static int blktap_bdev_getgeo(struct block_device *bdev,
			      struct hd_geometry *geo)
{
	geo->heads = 255;
	geo->sectors = 63;
	geo->cylinders = min_t(sector_t, USHRT_MAX,
			       div_u64(bdev_nr_sectors(bdev), 255 * 63));
	return 0;
}

static char *blktap_bdev_devnode(struct gendisk *disk, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, "xen/blktap-2/tapdev%d",
			 disk->first_minor);
}

static void blktap_bdev_free(struct gendisk *disk)
{
	struct blktap *tap = disk->private_data;

	blk_mq_free_tag_set(&tap->tag_set);
	spin_lock_irq(&tap->lock);
	tap->disk_state = BLKTAP_DISK_NONE;
	spin_unlock_irq(&tap->lock);
	blktap_put(tap);
}

static const struct block_device_operations blktap_bdev_ops = {
	.owner		= THIS_MODULE,
	.open		= blktap_bdev_open,
	.getgeo		= blktap_bdev_getgeo,
	.devnode	= blktap_bdev_devnode,
	.free_disk	= blktap_bdev_free,
};

/* tda .. tdz, tdaa .. tdzz, tdaaa .. */
static void blktap_disk_name(char *name, size_t size, int minor)
{
	char letters[8];
	int at = sizeof(letters) - 1;

	letters[at] = 0;
	for (; minor >= 0 && at > 0; minor = minor / 26 - 1)
		letters[--at] = 'a' + minor % 26;
	snprintf(name, size, "td%s", &letters[at]);
}

/* Are @block and @offset a block size and its alignment, given @sector? */
static bool blktap_block_valid(u32 block, u32 offset, u32 sector)
{
	return block >= sector && is_power_of_2(block) && offset < block &&
	       offset % sector == 0;
}

/* Can a disk have @capacity sectors of 512, in bytes and in a sector_t? */
static bool blktap_capacity_valid(u64 capacity, u32 sector)
{
	return capacity && capacity <= LLONG_MAX >> SECTOR_SHIFT &&
	       capacity <= ULLONG_MAX >> ilog2(sector);
}

static int blktap_info_check(struct blktap *tap,
			     struct blktap_device_info *info)
{
	u32 sector = info->sector_size;

	info->flags &= tap->mode == BLKTAP_MODE_DIRECT ? BLKTAP_DIRECT_FLAGS :
							 BLKTAP_RING_FLAGS;
	if (!(info->flags & BLKTAP_DEVICE_FLUSH))
		info->flags &= ~BLKTAP_DEVICE_FUA;

	if (sector < SECTOR_SIZE || sector > PAGE_SIZE ||
	    !is_power_of_2(sector))
		return -EINVAL;
	if (!blktap_capacity_valid(info->capacity, sector))
		return -EINVAL;
	if (info->flags & BLKTAP_DEVICE_PSZ &&
	    !blktap_block_valid(info->phys_block_size, info->phys_block_offset,
				sector))
		return -EINVAL;
	if (info->flags & BLKTAP_DEVICE_TRIM &&
	    !blktap_block_valid(info->trim_block_size, info->trim_block_offset,
				sector))
		return -EINVAL;
	return 0;
}

/* Let the disk have @capacity, no less than it has, and tell its users. */
static void blktap_disk_grow(struct blktap *tap, u64 capacity)
	__must_hold(&tap->mutex)
{
	unsigned int noio;

	lockdep_assert_held(&tap->mutex);
	/* Memory is not to be reclaimed by writing to this disk. */
	noio = memalloc_noio_save();
	tap->info.capacity = capacity;
	set_capacity_and_notify(tap->disk, capacity);
	memalloc_noio_restore(noio);
}

/*
 * Can a server that offers @info serve the disk that another one left? The
 * image may have grown since.
 */
static int blktap_disk_take_over(struct blktap *tap,
				 struct blktap_device_info *info)
	__must_hold(&tap->mutex)
{
	unsigned long needs = tap->info.flags & BLKTAP_SERVER_FLAGS;

	lockdep_assert_held(&tap->mutex);
	if (info->capacity < tap->info.capacity ||
	    info->sector_size != tap->info.sector_size ||
	    (info->flags ^ tap->info.flags) & BLKTAP_DEVICE_RO ||
	    needs & ~info->flags) {
		dev_warn(&tap->dev,
			 "cannot take over: %llu sectors of %u, flags %#lx; the disk has %llu, %u, %#lx\n",
			 info->capacity, info->sector_size, info->flags,
			 tap->info.capacity, tap->info.sector_size,
			 tap->info.flags);
		return -EINVAL;
	}
	blktap_requests_attach(tap);
	blktap_disk_grow(tap, info->capacity);
	*info = tap->info;
	return 0;
}

static void blktap_disk_limits(struct blktap *tap, struct queue_limits *lim)
{
	const struct blktap_device_info *info = &tap->info;

	lim->logical_block_size = info->sector_size;
	lim->physical_block_size = info->sector_size;
	lim->dma_alignment = SECTOR_SIZE - 1;
	if (info->flags & BLKTAP_DEVICE_PSZ) {
		lim->physical_block_size = info->phys_block_size;
		lim->alignment_offset = info->phys_block_offset;
	}
	if (info->flags & BLKTAP_DEVICE_FLUSH)
		lim->features |= BLK_FEAT_WRITE_CACHE;
	if (info->flags & BLKTAP_DEVICE_FUA)
		lim->features |= BLK_FEAT_FUA;
	if (info->flags & BLKTAP_DEVICE_TRIM) {
		lim->max_hw_discard_sectors = UINT_MAX >> SECTOR_SHIFT;
		lim->discard_granularity = info->trim_block_size;
		lim->discard_alignment = info->trim_block_offset;
	}
	if (info->flags & BLKTAP_DEVICE_WRITE_ZEROES)
		lim->max_write_zeroes_sectors = UINT_MAX >> SECTOR_SHIFT;

	if (tap->mode == BLKTAP_MODE_RING) {
		lim->max_hw_sectors = BLKTAP_SEGMENT_MAX * PAGE_SECTORS;
		lim->max_segments = BLKTAP_SEGMENT_MAX;
		lim->max_segment_size = PAGE_SIZE;
		lim->seg_boundary_mask = PAGE_SIZE - 1;
	} else {
		/* Nothing counts segments; each is a sector at least. */
		lim->max_hw_sectors = tap->direct.max_io >> SECTOR_SHIFT;
		lim->max_segments = lim->max_hw_sectors;
		lim->max_segment_size = UINT_MAX;
	}
}

static int blktap_disk_add(struct blktap *tap)
	__must_hold(&tap->mutex)
{
	struct queue_limits lim = {};
	struct gendisk *disk;
	int ret;

	memset(&tap->tag_set, 0, sizeof(tap->tag_set));
	tap->tag_set.ops = &blktap_mq_ops;
	tap->tag_set.nr_hw_queues = 1;
	tap->tag_set.queue_depth = tap->mode == BLKTAP_MODE_RING ?
				   BLKTAP_RING_ENTRIES : tap->direct.depth;
	tap->tag_set.numa_node = NUMA_NO_NODE;
	tap->tag_set.flags = BLK_MQ_F_SHOULD_MERGE |
			     BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	tap->tag_set.cmd_size = sizeof(struct blktap_request);
	ret = blk_mq_alloc_tag_set(&tap->tag_set);
	if (ret)
		return ret;

	blktap_disk_limits(tap, &lim);
	disk = blk_mq_alloc_disk(&tap->tag_set, &lim, tap);
	if (IS_ERR(disk)) {
		ret = PTR_ERR(disk);
		goto err_free_tag_set;
	}
	disk->major = blktap_bdev_major;
	disk->first_minor = tap->minor;
	disk->minors = 1;
	disk->flags |= GENHD_FL_NO_PART;
	disk->fops = &blktap_bdev_ops;
	disk->private_data = tap;
	blktap_disk_name(disk->disk_name, sizeof(disk->disk_name), tap->minor);
	set_capacity(disk, tap->info.capacity);
	set_disk_ro(disk, tap->info.flags & BLKTAP_DEVICE_RO);

	tap->disk = disk;
	spin_lock_irq(&tap->lock);
	tap->disk_state = BLKTAP_DISK_LIVE;
	spin_unlock_irq(&tap->lock);
	blktap_requests_attach(tap);
	/* For blktap_bdev_free(). */
	get_device(&tap->dev);

	ret = add_disk(disk);
	if (!ret)
		return 0;

	put_device(&tap->dev);
	spin_lock_irq(&tap->lock);
	tap->disk_state = BLKTAP_DISK_NONE;
	tap->attached = false;
	spin_unlock_irq(&tap->lock);
	tap->disk = NULL;
	put_disk(disk);
err_free_tag_set:
	blk_mq_free_tag_set(&tap->tag_set);
	return ret;
}

/**
 * blktap_disk_create - make the disk, or let a new server have it
 * @tap: the tap, in one of the modes
 * @info: what the server wants; the flags granted are left in it
 *
 * Context: Process context, under tap->mutex.
 * Return: 0, -EEXIST (the disk has a server), -EBUSY (an earlier disk of the
 *	tap is still open), -EINVAL (bad geometry, or not that of the disk the
 *	last server left) or -ENOMEM.
 */
int blktap_disk_create(struct blktap *tap, struct blktap_device_info *info)
{
	int ret;

	lockdep_assert_held(&tap->mutex);
	if (tap->disk_state == BLKTAP_DISK_DYING)
		return -EBUSY;
	if (tap->attached)
		return -EEXIST;
	ret = blktap_info_check(tap, info);
	if (ret)
		return ret;
	if (tap->disk_state == BLKTAP_DISK_LIVE)
		return blktap_disk_take_over(tap, info);
	tap->info = *info;
	return blktap_disk_add(tap);
}

/**
 * blktap_disk_resize - the server has made its disk larger
 * @tap: the tap
 * @capacity: new size in 512-byte sectors, as user space gave it
 *
 * Context: Process context. Takes and releases tap->mutex.
 * Return: 0, -ENODEV (no disk, or this server does not serve it) or -EINVAL
 *	(a size that cannot be, or less than the disk has).
 */
int blktap_disk_resize(struct blktap *tap, u64 capacity)
{
	int ret = 0;

	mutex_lock(&tap->mutex);
	if (tap->disk_state != BLKTAP_DISK_LIVE || !tap->attached)
		ret = -ENODEV;
	else if (!blktap_capacity_valid(capacity, tap->info.sector_size) ||
		 capacity < tap->info.capacity)
		ret = -EINVAL;
	else
		blktap_disk_grow(tap, capacity);
	mutex_unlock(&tap->mutex);
	return ret;
}

/**
 * blktap_disk_removal - delete a disk whose requests have been failed
 * @work: tap->removal; its reference to the tap is dropped
 *
 * Context: Process context.
 */
void blktap_disk_removal(struct work_struct *work)
{
	struct blktap *tap = container_of(work, struct blktap, removal);
	struct gendisk *disk = tap->dying;

	/* Not uninterruptibly: that would be called a hung task. */
	wait_event_idle(tap->gone, !READ_ONCE(tap->transfers));
	if (tap->dying_force)
		blk_mark_disk_dead(disk);
	del_gendisk(disk);
	put_disk(disk);

	spin_lock_irq(&tap->lock);
	tap->dying = NULL;
	tap->closed = true;
	spin_unlock_irq(&tap->lock);
	blktap_server_wake(tap);
	wake_up(&tap->gone);
	blktap_put(tap);
}

/* Wait until the disk that is being deleted, if there is one, has gone. */
static int blktap_disk_wait(struct blktap *tap)
{
	if (wait_event_killable(tap->gone, !READ_ONCE(tap->dying)))
		return -EINTR;
	return 0;
}

/**
 * blktap_disk_remove - delete the disk, if there is one
 * @tap: the tap
 * @force: end its I/O with errors, and do not mind who has it open
 *
 * Context: Process context. Takes and releases tap->mutex. Waits for transfers
 *	that go on, not for a server.
 * Return: 0, -EBUSY if it is open, or -EINTR if the caller is killed, which does
 *	not stop it.
 */
int blktap_disk_remove(struct blktap *tap, bool force)
{
	struct gendisk *disk;

	mutex_lock(&tap->mutex);
	disk = tap->disk;
	if (!disk) {
		mutex_unlock(&tap->mutex);
		return blktap_disk_wait(tap);
	}
	if (!force) {
		/* The last closer holds it while it waits for the server. */
		if (!mutex_trylock(&disk->open_mutex)) {
			mutex_unlock(&tap->mutex);
			return -EBUSY;
		}
		if (disk_openers(disk)) {
			mutex_unlock(&disk->open_mutex);
			mutex_unlock(&tap->mutex);
			return -EBUSY;
		}
	}
	spin_lock_irq(&tap->lock);
	tap->disk_state = BLKTAP_DISK_DYING;
	tap->attached = false;
	tap->dying = disk;
	tap->dying_force = force;
	spin_unlock_irq(&tap->lock);
	tap->disk = NULL;
	if (!force)
		mutex_unlock(&disk->open_mutex);
	mutex_unlock(&tap->mutex);

	blktap_requests_fail(tap);
	blktap_info(tap, "disk goes%s\n", force ? " by force" : "");
	get_device(&tap->dev);
	queue_work(blktap_wq, &tap->removal);
	return blktap_disk_wait(tap);
}
