// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the control device, and the life of a tap.
 *
 * ALLOC_TAP makes a tap under the lowest free minor, FREE_TAP takes it out of
 * sight: no one can open or find it any more. It goes for good, and its minor
 * is free again, with the last reference: of its ring device, which FREE_TAP
 * demands to be closed, or of its disk, which may be held open after it was
 * deleted. Each tap has a reference to the module.
 */
#include <linux/idr.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "blktap.h"

/* Protects blktap_taps. */
DEFINE_MUTEX(blktap_taps_lock);
/* Taps by minor, those freed but still referenced included. */
DEFINE_IDR(blktap_taps);

/**
 * blktap_get - find a tap
 * @minor: its minor
 *
 * Context: Process context. Takes and releases blktap_taps_lock.
 * Return: The tap with a reference, or NULL.
 */
struct blktap *blktap_get(unsigned int minor)
{
	struct blktap *tap;

	mutex_lock(&blktap_taps_lock);
	tap = idr_find(&blktap_taps, minor);
	/* A tap whose last reference has gone waits here to be taken out. */
	if (tap && !kobject_get_unless_zero(&tap->dev.kobj))
		tap = NULL;
	mutex_unlock(&blktap_taps_lock);
	return tap;
}

/**
 * blktap_put - drop a reference to a tap
 * @tap: the tap
 *
 * Context: Process context, not under blktap_taps_lock or tap->mutex.
 */
void blktap_put(struct blktap *tap)
{
	put_device(&tap->dev);
}

static void blktap_release(struct device *dev)
{
	struct blktap *tap = container_of(dev, struct blktap, dev);

	mutex_lock(&blktap_taps_lock);
	idr_remove(&blktap_taps, tap->minor);
	mutex_unlock(&blktap_taps_lock);
	kfree(tap);
	module_put(THIS_MODULE);
}

/* Set all up that needs no other part of the kernel. */
static struct blktap *blktap_new(void)
{
	struct blktap *tap;

	tap = kzalloc(sizeof(*tap), GFP_KERNEL);
	if (!tap)
		return NULL;
	mutex_init(&tap->mutex);
	spin_lock_init(&tap->lock);
	INIT_LIST_HEAD(&tap->pending);
	INIT_LIST_HEAD(&tap->active);
	INIT_LIST_HEAD(&tap->results);
	init_waitqueue_head(&tap->wait);
	init_waitqueue_head(&tap->gone);
	INIT_DELAYED_WORK(&tap->recovery, blktap_server_recovery);
	INIT_WORK(&tap->removal, blktap_disk_removal);
	tap->recovery_timeout = READ_ONCE(blktap_recovery_timeout);
	tap->pool = blktap_pool_default();
	blktap_ring_init(tap);
	blktap_direct_init(tap);
	return tap;
}

static struct blktap *blktap_alloc(void)
{
	struct blktap *tap;
	int ret;

	/* Possible while the module is being loaded. */
	if (!blktap_pool_default())
		return ERR_PTR(-EAGAIN);
	tap = blktap_new();
	if (!tap)
		return ERR_PTR(-ENOMEM);

	mutex_lock(&blktap_taps_lock);
	ret = idr_alloc(&blktap_taps, NULL, 0, BLKTAP_NR_MINORS, GFP_KERNEL);
	mutex_unlock(&blktap_taps_lock);
	if (ret < 0) {
		kfree(tap);
		return ERR_PTR(-ENOMEM);
	}
	tap->minor = ret;

	/* The caller has the control device open, so the module is there. */
	__module_get(THIS_MODULE);
	device_initialize(&tap->dev);
	tap->dev.class = &blktap_class;
	tap->dev.devt = blktap_server_devt(tap);
	tap->dev.release = blktap_release;
	dev_set_drvdata(&tap->dev, tap);
	ret = dev_set_name(&tap->dev, "blktap%d", tap->minor);
	if (ret)
		goto err_put;

	/* User space may open it as soon as device_add() announces it. */
	mutex_lock(&blktap_taps_lock);
	idr_replace(&blktap_taps, tap, tap->minor);
	mutex_unlock(&blktap_taps_lock);
	ret = device_add(&tap->dev);
	if (ret)
		goto err_put;
	return tap;

err_put:
	blktap_put(tap);
	return ERR_PTR(ret);
}

/*
 * Who may still be there: readers and writers of its attributes, which
 * device_unregister() waits for; openers of the dead disk, who have a reference
 * to it; work on recovery, which is cancelled, and on removal of the disk, which
 * is waited for unless this process is killed. A server is not.
 */
static int blktap_free(unsigned int minor)
{
	struct blktap *tap;
	int ret = 0;

	if (minor >= BLKTAP_NR_MINORS)
		return -EINVAL;
	tap = blktap_get(minor);
	if (!tap)
		return -ENODEV;

	mutex_lock(&tap->mutex);
	if (tap->freed)
		ret = -ENODEV;
	else if (tap->opened || blktap_ring_mapped(tap))
		ret = -EBUSY;
	else
		tap->freed = true;
	mutex_unlock(&tap->mutex);
	if (!ret) {
		cancel_delayed_work_sync(&tap->recovery);
		blktap_disk_remove(tap, true);
		device_unregister(&tap->dev);
	}
	blktap_put(tap);
	return ret;
}

static int blktap_alloc_ioctl(struct blktap_info __user *arg)
{
	struct blktap_info info = {};
	struct blktap *tap;

	tap = blktap_alloc();
	if (IS_ERR(tap))
		return PTR_ERR(tap);
	info.ring_major = MAJOR(tap->dev.devt);
	info.bdev_major = blktap_bdev_major;
	info.ring_minor = tap->minor;
	if (copy_to_user(arg, &info, sizeof(info))) {
		blktap_free(info.ring_minor);
		return -EFAULT;
	}
	return 0;
}

static long blktap_control_ioctl(struct file *file, unsigned int cmd,
				 unsigned long arg)
{
	switch (cmd) {
	case BLKTAP_IOCTL_ALLOC_TAP:
		return blktap_alloc_ioctl((struct blktap_info __user *)arg);
	case BLKTAP_IOCTL_FREE_TAP:
		return blktap_free(min_t(unsigned long, arg, UINT_MAX));
	default:
		return -ENOTTY;
	}
}

static const struct file_operations blktap_control_ops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= blktap_control_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice blktap_control = {
	.minor		= MISC_DYNAMIC_MINOR,
	.name		= "blktap-control",
	.nodename	= "xen/blktap-2/control",
	.mode		= 0600,
	.fops		= &blktap_control_ops,
	.groups		= blktap_control_groups,
};

/**
 * blktap_control_device - the control device
 *
 * Context: Any context, after blktap_control_init().
 * Return: The device.
 */
struct device *blktap_control_device(void)
{
	return blktap_control.this_device;
}

/**
 * blktap_control_init - register the control device
 *
 * Context: Process context.
 * Return: 0 or -errno.
 */
int blktap_control_init(void)
{
	return misc_register(&blktap_control);
}

/**
 * blktap_control_exit - undo blktap_control_init()
 *
 * Context: Process context.
 */
void blktap_control_exit(void)
{
	misc_deregister(&blktap_control);
	idr_destroy(&blktap_taps);
}
