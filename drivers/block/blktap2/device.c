// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the disk of a tap.
 *
 * A disk is made by CREATE_DEVICE and outlives its server: when that dies the
 * disk waits, and CREATE_DEVICE of the next one takes it over. The transfers of
 * the dead server write to the image that the next one serves, so CREATE_DEVICE
 * first waits for their end. The size of a disk can change while it is there, by
 * DIRECT_RESIZE or when it is taken over, but only grow: what its users have
 * beyond a new end would be lost to them. It is deleted
 *
 * - by REMOVE_DEVICE, unless it is open;
 * - by force (FREE_TAP or writing to remove in sysfs), open or not: all I/O is
 *   ended with errors first, so that nothing that deletes the disk has to wait
 *   for a server. Whoever has it open keeps a dead block device.
 *
 * Transfers have to end by themselves, and a file system below may hang. So
 * tap->removal is queued when the last has ended, and whoever asked for the
 * removal waits killably.
 *
 * While a deleted disk is open, free_disk() has not been called, the disk is
 * DYING, and the tap, which has lent it its minor, takes no new one.
 */
#include <linux/hdreg.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "blktap.h"

/* What the server of a disk has to be able to do. */
#define BLKTAP_SERVER_FLAGS	(BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM | \
				 BLKTAP_DEVICE_FUA | BLKTAP_DEVICE_WRITE_ZEROES)

static int blktap_bdev_open(struct gendisk *disk, blk_mode_t mode)
{
	struct blktap *tap = disk->private_data;

	/* Racing removals are found by del_gendisk(), under open_mutex. */
	switch (READ_ONCE(tap->state)) {
	case BLKTAP_CREATING:
	case BLKTAP_RUNNING:
	case BLKTAP_WAITING:
	case BLKTAP_FAILED:
		return 0;
	default:
		return -ENXIO;
	}
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

/* There is no disk any more that could have requests. */
static void blktap_disk_end(struct blktap *tap, enum blktap_event event)
{
	spin_lock_irq(&tap->lock);
	blktap_pool_leave(tap);
	blktap_life(tap, event);
	spin_unlock_irq(&tap->lock);
}

static void blktap_bdev_free(struct gendisk *disk)
{
	struct blktap *tap = disk->private_data;

	blk_mq_free_tag_set(&tap->tag_set);
	blktap_disk_end(tap, BLKTAP_EV_DELETED);
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

static int blktap_info_check(const struct blktap_mode *mode,
			     struct blktap_device_info *info)
{
	u32 sector = info->sector_size;

	info->flags &= mode->flags;
	if (!(info->flags & BLKTAP_DEVICE_FLUSH))
		info->flags &= ~BLKTAP_DEVICE_FUA;
	if (!(info->flags & BLKTAP_DEVICE_WRITE_ZEROES))
		info->flags &= ~BLKTAP_DEVICE_NOUNMAP;

	if (sector < SECTOR_SIZE || sector > BLKTAP_PAGE_SIZE ||
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

/*
 * Let the disk have the capacity that @tap->info has. Several threads may have
 * changed that; each leaves the disk with what is there.
 */
static void blktap_disk_grow(struct blktap *tap)
{
	struct gendisk *disk;
	u64 capacity;

	mutex_lock(&tap->size_lock);
	spin_lock_irq(&tap->lock);
	capacity = tap->info.capacity;
	disk = tap->disk;
	if (disk)
		get_device(disk_to_dev(disk));
	spin_unlock_irq(&tap->lock);
	if (disk && get_capacity(disk) != capacity) {
		set_capacity(disk, capacity);
		spin_lock_irq(&tap->lock);
		blktap_life_grown(tap);
		spin_unlock_irq(&tap->lock);
	}
	mutex_unlock(&tap->size_lock);
	if (disk)
		put_device(disk_to_dev(disk));
}

/*
 * Can a server that offers @info serve the disk that another one left? The
 * image may have grown since.
 */
static bool blktap_disk_fits(struct blktap *tap,
			     const struct blktap_device_info *info)
	__must_hold(&tap->lock)
{
	unsigned long needs = tap->info.flags & BLKTAP_SERVER_FLAGS;

	lockdep_assert_held(&tap->lock);
	return info->capacity >= tap->info.capacity &&
	       info->sector_size == tap->info.sector_size &&
	       !((info->flags ^ tap->info.flags) & BLKTAP_DEVICE_RO) &&
	       !(needs & ~info->flags);
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
}

/* The tap is CREATING, which keeps all others away. */
static int blktap_disk_add(struct blktap *tap)
{
	const struct blktap_mode *mode = READ_ONCE(tap->mode);
	struct queue_limits lim = {};
	struct gendisk *disk;
	LIST_HEAD(dead);
	int ret;

	if (mode->quiet && !mode->quiet(tap)) {
		ret = -EBUSY;
		goto err_end;
	}
	blktap_disk_limits(tap, &lim);
	memset(&tap->tag_set, 0, sizeof(tap->tag_set));
	tap->tag_set.ops = &blktap_mq_ops;
	tap->tag_set.nr_hw_queues = 1;
	tap->tag_set.queue_depth = mode->limits(tap, &lim);
	tap->tag_set.numa_node = NUMA_NO_NODE;
	tap->tag_set.flags = BLK_MQ_F_SHOULD_MERGE |
			     BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	tap->tag_set.cmd_size = sizeof(struct blktap_request);
	ret = blk_mq_alloc_tag_set(&tap->tag_set);
	if (ret)
		goto err_end;
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

	/* For blktap_bdev_free(). */
	get_device(&tap->dev);
	ret = add_disk(disk);
	if (ret)
		goto err_put_disk;

	spin_lock_irq(&tap->lock);
	tap->disk = disk;
	blktap_life(tap, BLKTAP_EV_CREATED);
	if (blktap_failing(tap))
		blktap_requests_doom(tap, &dead);
	spin_unlock_irq(&tap->lock);
	blktap_requests_end(&dead);
	return 0;

err_put_disk:
	/* A disk that was not added is released without free_disk(). */
	put_disk(disk);
	put_device(&tap->dev);
err_free_tag_set:
	blk_mq_free_tag_set(&tap->tag_set);
err_end:
	blktap_disk_end(tap, BLKTAP_EV_NOT_CREATED);
	return ret;
}

/* What CREATE_DEVICE does without a sleep; @make tells if the rest is to come. */
static int blktap_disk_begin(struct blktap *tap,
			     struct blktap_device_info *info, bool *make)
	__must_hold(&tap->lock)
{
	int ret;

	lockdep_assert_held(&tap->lock);
	if (!blktap_life_mine(tap))
		return -EACCES;
	ret = blktap_info_check(tap->mode, info);
	if (ret)
		return ret;
	if ((tap->state == BLKTAP_WAITING || tap->state == BLKTAP_FAILED) &&
	    !blktap_disk_fits(tap, info)) {
		blktap_warn(tap,
			    "cannot take over: %llu sectors of %u, flags %#lx; the disk has %llu, %u, %#lx\n",
			    info->capacity, info->sector_size, info->flags,
			    tap->info.capacity, tap->info.sector_size,
			    tap->info.flags);
		return -EINVAL;
	}
	ret = blktap_life(tap, BLKTAP_EV_CREATE);
	if (ret)
		return ret;
	tap->gone = false;
	*make = tap->state == BLKTAP_CREATING;
	if (*make) {
		tap->info = *info;
		blktap_pool_join(tap);
	} else {
		tap->info.capacity = info->capacity;
		tap->info.flags &= ~BLKTAP_DEVICE_NOUNMAP;
		tap->info.flags |= info->flags & BLKTAP_DEVICE_NOUNMAP;
		*info = tap->info;
	}
	blktap_server_wake(tap);
	return 0;
}

/* Has what CREATE_DEVICE waits for happened, or become pointless? */
static bool blktap_disk_may_begin(struct blktap *tap)
{
	bool may = true;

	spin_lock_irq(&tap->lock);
	if (blktap_life_mine(tap)) {
		if (tap->state == BLKTAP_NO_DISK)
			may = !tap->dying;
		else if (tap->state == BLKTAP_WAITING ||
			 tap->state == BLKTAP_FAILED)
			may = !tap->transfers;
	}
	spin_unlock_irq(&tap->lock);
	return may;
}

/**
 * blktap_disk_create - make the disk, or let a new server have it
 * @tap: the tap
 * @info: what the server wants; the flags granted are left in it
 *
 * Context: Process context of the server. Waits, killably, for the transfers of
 *	the last server and for the deletion of the last disk.
 * Return: 0, -EACCES (this process is not a server that has entered a mode),
 *	-EEXIST (the disk has a server), -EBUSY (an earlier disk of the tap is
 *	still open, or has requests that the server did not answer, or another
 *	thread is making the disk), -EINVAL (bad geometry, or not that of the disk
 *	the last server left), -EINTR (killed) or -ENOMEM.
 */
int blktap_disk_create(struct blktap *tap, struct blktap_device_info *info)
{
	unsigned int noio;
	bool make = false;
	int ret;

	for (;;) {
		spin_lock_irq(&tap->lock);
		ret = blktap_disk_begin(tap, info, &make);
		spin_unlock_irq(&tap->lock);
		if (ret != -EAGAIN)
			break;
		if (wait_event_killable(tap->changed,
					blktap_disk_may_begin(tap)))
			return -EINTR;
	}
	if (ret)
		return ret;
	if (!make) {
		blktap_disk_grow(tap);
		return 0;
	}
	/* Memory must not be reclaimed by I/O that waits for this server. */
	noio = memalloc_noio_save();
	ret = blktap_disk_add(tap);
	memalloc_noio_restore(noio);
	return ret;
}

/**
 * blktap_disk_resize - the server has made its disk larger
 * @tap: the tap
 * @capacity: new size in 512-byte sectors, as user space gave it
 *
 * Context: Process context. Takes and releases tap->size_lock.
 * Return: 0, -ENODEV (no disk, or this server does not serve it) or -EINVAL
 *	(a size that cannot be, or less than the disk has).
 */
int blktap_disk_resize(struct blktap *tap, u64 capacity)
{
	int ret = 0;

	spin_lock_irq(&tap->lock);
	if (tap->state != BLKTAP_RUNNING)
		ret = -ENODEV;
	else if (!blktap_capacity_valid(capacity, tap->info.sector_size) ||
		 capacity < tap->info.capacity)
		ret = -EINVAL;
	else
		tap->info.capacity = capacity;
	spin_unlock_irq(&tap->lock);
	if (!ret)
		blktap_disk_grow(tap);
	return ret;
}

/**
 * blktap_disk_removal - delete a disk whose requests have all ended
 * @work: tap->removal; its reference to the tap is dropped
 *
 * Context: Process context.
 */
void blktap_disk_removal(struct work_struct *work)
{
	struct blktap *tap = container_of(work, struct blktap, removal);
	struct gendisk *disk;

	spin_lock_irq(&tap->lock);
	disk = tap->dying;
	/* Only now: the server may let go of its image when it is told. */
	if (tap->server == BLKTAP_SERVER_READY) {
		tap->gone = tap->dying_force || tap->mode->ask_close;
		blktap_server_wake(tap);
	}
	spin_unlock_irq(&tap->lock);

	if (tap->dying_force)
		blk_mark_disk_dead(disk);
	del_gendisk(disk);

	put_disk(disk);

	spin_lock_irq(&tap->lock);
	WRITE_ONCE(tap->dying, NULL);
	wake_up_all(&tap->changed);
	spin_unlock_irq(&tap->lock);
	blktap_put(tap);
}

/**
 * blktap_disk_wait - wait until the disk that is being deleted has gone
 * @tap: the tap
 *
 * Context: Process context.
 * Return: 0, also if there is none, or -EINTR if the caller is killed.
 */
int blktap_disk_wait(struct blktap *tap)
{
	if (wait_event_killable(tap->changed, !READ_ONCE(tap->dying)))
		return -EINTR;
	return 0;
}

/**
 * blktap_disk_doom - begin to delete the disk
 * @tap: the tap, which has a disk and is DYING or FREED since this lock was taken
 * @force: it may be open
 *
 * Context: Process context, under tap->lock.
 */
void blktap_disk_doom(struct blktap *tap, bool force)
{
	lockdep_assert_held(&tap->lock);
	WRITE_ONCE(tap->dying, tap->disk);
	tap->dying_force = force;
	tap->disk = NULL;
	get_device(&tap->dev);
	if (!tap->transfers)
		queue_work(blktap_wq, &tap->removal);
}

/*
 * What REMOVE_DEVICE and remove do without a sleep. The server waits for its own
 * REMOVE_DEVICE, so it cannot serve what an opener writes when it closes.
 */
static int blktap_disk_begin_removal(struct blktap *tap, bool force,
				     struct list_head *dead)
	__must_hold(&tap->lock)
{
	struct gendisk *disk = tap->disk;
	int ret;

	lockdep_assert_held(&tap->lock);
	if (!force && !blktap_life_mine(tap))
		return -EACCES;
	if (!force && disk && disk_openers(disk))
		return -EBUSY;
	ret = blktap_life(tap, BLKTAP_EV_REMOVE);
	if (ret)
		return ret;
	blktap_disk_doom(tap, force);
	blktap_requests_doom(tap, dead);
	return 0;
}

static int blktap_disk_try_removal(struct blktap *tap, bool force)
{
	struct gendisk *disk = NULL;
	LIST_HEAD(dead);
	int ret;

	if (!force) {
		spin_lock_irq(&tap->lock);
		disk = tap->disk;
		if (disk)
			get_device(disk_to_dev(disk));
		spin_unlock_irq(&tap->lock);
	}
	/* The last closer holds it while it waits for the server. */
	if (disk && !mutex_trylock(&disk->open_mutex)) {
		put_device(disk_to_dev(disk));
		return -EBUSY;
	}
	spin_lock_irq(&tap->lock);
	if (!force && tap->disk && tap->disk != disk)
		ret = -EBUSY;
	else
		ret = blktap_disk_begin_removal(tap, force, &dead);
	spin_unlock_irq(&tap->lock);
	if (disk) {
		mutex_unlock(&disk->open_mutex);
		put_device(disk_to_dev(disk));
	}
	blktap_requests_end(&dead);
	return ret;
}

static bool blktap_disk_settled(struct blktap *tap)
{
	return READ_ONCE(tap->state) != BLKTAP_CREATING;
}

/**
 * blktap_disk_remove - delete the disk, if there is one
 * @tap: the tap
 * @force: end its I/O with errors, whether or not it is open; otherwise the
 *	caller is the server
 *
 * Context: Process context. Waits for transfers that go on, not for a server.
 * Return: 0, -EACCES if the caller is not the server, -EBUSY if the disk is open,
 *	or -EINTR if the caller is killed, which does not stop the removal.
 */
int blktap_disk_remove(struct blktap *tap, bool force)
{
	int ret;

	while ((ret = blktap_disk_try_removal(tap, force)) == -EAGAIN)
		if (wait_event_killable(tap->changed, blktap_disk_settled(tap)))
			return -EINTR;
	if (!ret)
		blktap_info(tap, "disk goes%s\n", force ? " by force" : "");
	else if (ret != -ENODEV)
		return ret;
	return blktap_disk_wait(tap);
}
