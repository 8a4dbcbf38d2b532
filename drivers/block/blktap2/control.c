// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the control device, and the life of a tap.
 *
 * ALLOC_TAP makes a tap under the lowest free minor, FREE_TAP takes it out of
 * sight: no one can open or find it any more. It goes for good, and its minor
 * is free again, with the last reference: of its ring device, which FREE_TAP
 * demands to be closed, or of its disk, which may be held open after it was
 * deleted. Each tap has a reference to the module; it is dropped in code of the
 * module, whose end blktap_exit() waits for.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "blktap.h"

/* Taps by minor, including those that were freed but are still referenced. */
DEFINE_XARRAY_ALLOC(blktap_taps);

/**
 * blktap_get - find a tap
 * @minor: its minor
 *
 * Context: Process context. Takes and releases xa_lock of blktap_taps.
 * Return: The tap with a reference, or NULL.
 */
struct blktap *blktap_get(unsigned int minor)
{
	struct blktap *tap;

	xa_lock(&blktap_taps);
	tap = xa_load(&blktap_taps, minor);
	/* A tap whose last reference has gone waits here to be taken out. */
	if (tap && !kobject_get_unless_zero(&tap->dev.kobj))
		tap = NULL;
	xa_unlock(&blktap_taps);
	return tap;
}

/**
 * blktap_put - drop a reference to a tap
 * @tap: the tap
 *
 * Context: Process context, no lock held.
 */
void blktap_put(struct blktap *tap)
{
	put_device(&tap->dev);
}

/**
 * blktap_set_name - give a tap its name
 * @tap: the tap
 * @name: the name, not terminated
 * @len: its length
 *
 * The name is a field of a line in the attribute devices.
 *
 * Context: Process context. Takes and releases tap->lock.
 * Return: 0, -ENAMETOOLONG, or -EINVAL (a NUL or a newline in it).
 */
int blktap_set_name(struct blktap *tap, const char *name, size_t len)
{
	if (len >= BLKTAP_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(name, 0, len) || memchr(name, '\n', len))
		return -EINVAL;
	spin_lock_irq(&tap->lock);
	memcpy(tap->name, name, len);
	tap->name[len] = 0;
	spin_unlock_irq(&tap->lock);
	return 0;
}

static void blktap_release(struct device *dev)
{
	struct blktap *tap = container_of(dev, struct blktap, dev);

	xa_erase(&blktap_taps, tap->minor);
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
	spin_lock_init(&tap->lock);
	mutex_init(&tap->size_lock);
	ratelimit_state_init(&tap->log, 5 * HZ, 10);
	ratelimit_set_flags(&tap->log, RATELIMIT_MSG_ON_RELEASE);
	INIT_LIST_HEAD(&tap->pending);
	INIT_LIST_HEAD(&tap->active);
	INIT_LIST_HEAD(&tap->results);
	INIT_LIST_HEAD(&tap->starved);
	init_waitqueue_head(&tap->wait);
	INIT_WORK(&tap->removal, blktap_disk_removal);
	tap->pool = blktap_pool_default();
	blktap_life_init(tap);
	blktap_ring_init(tap);
	blktap_direct_init(tap);
	return tap;
}

static struct blktap *blktap_alloc(void)
{
	struct blktap *tap;
	u32 minor;
	int ret;

	/* Possible while the module is being loaded. */
	if (!blktap_pool_default())
		return ERR_PTR(-EAGAIN);
	tap = blktap_new();
	if (!tap)
		return ERR_PTR(-ENOMEM);

	ret = xa_alloc(&blktap_taps, &minor, NULL,
		       XA_LIMIT(0, BLKTAP_NR_MINORS - 1), GFP_KERNEL);
	if (ret) {
		kfree(tap);
		return ERR_PTR(-ENOMEM);
	}
	tap->minor = minor;

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
	ret = xa_err(xa_store(&blktap_taps, tap->minor, tap, GFP_KERNEL));
	if (ret)
		goto err_put;
	ret = device_add(&tap->dev);
	if (ret)
		goto err_put;
	return tap;

err_put:
	blktap_put(tap);
	return ERR_PTR(ret);
}

/*
 * Others may still be there: readers and writers of its attributes, which
 * device_unregister() waits for; openers of the dead disk, who have a reference
 * to it; delayed work, which is cancelled, and the removal of the disk, which is
 * waited for unless this process is killed. There is no server.
 */
static int blktap_free(unsigned int minor)
{
	struct blktap *tap;
	LIST_HEAD(dead);
	int ret;

	if (minor >= BLKTAP_NR_MINORS)
		return -EINVAL;
	tap = blktap_get(minor);
	if (!tap)
		return -ENODEV;

	spin_lock_irq(&tap->lock);
	ret = blktap_life(tap, BLKTAP_EV_FREE);
	if (!ret) {
		if (tap->disk)
			blktap_disk_doom(tap, true);
		blktap_requests_doom(tap, &dead);
	}
	spin_unlock_irq(&tap->lock);
	if (!ret) {
		blktap_requests_end(&dead);
		cancel_delayed_work_sync(&tap->recovery);
		cancel_delayed_work_sync(&tap->announce);
		blktap_disk_wait(tap);
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
	xa_destroy(&blktap_taps);
}
