// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the ring device.
 *
 * One open file makes its opener the server of the tap. The server has gone
 * when that file is released, or in ring mode when the mapping is. If there is
 * a disk then, its requests wait for the next server, which opens the same
 * device, enters the same mode and calls CREATE_DEVICE; see life.c. A change
 * uevent of the device with BLKTAP_STATE=waiting tells user space that one is
 * needed, and BLKTAP_STATE=failed that none came in time.
 *
 * Arguments are copied from user memory first; who may call, and in which state
 * the tap is, is checked under the lock under which it is acted on.
 */
#include <linux/cdev.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "blktap.h"

static dev_t blktap_server_region;
static struct cdev blktap_server_cdev;

static int blktap_server_open(struct inode *inode, struct file *file)
{
	struct blktap *tap;
	int ret;

	tap = blktap_get(iminor(inode));
	if (!tap)
		return -ENXIO;

	spin_lock_irq(&tap->lock);
	ret = blktap_life(tap, BLKTAP_EV_OPEN);
	if (!ret)
		tap->task = get_pid(task_tgid(current));
	spin_unlock_irq(&tap->lock);
	if (ret) {
		blktap_put(tap);
		return ret;
	}
	file->private_data = tap;
	return stream_open(inode, file);
}

static int blktap_server_release(struct inode *inode, struct file *file)
{
	struct blktap *tap = file->private_data;

	blktap_direct_release(tap);
	blktap_life_leave(tap, BLKTAP_EV_CLOSE);
	blktap_put(tap);
	return 0;
}

static int blktap_server_mmap(struct file *file, struct vm_area_struct *vma)
{
	return blktap_ring_mmap(file->private_data, vma);
}

static __poll_t blktap_server_poll(struct file *file, poll_table *wait)
{
	struct blktap *tap = file->private_data;
	const struct blktap_mode *mode = READ_ONCE(tap->mode);

	if (mode)
		return mode->poll(tap, file, wait);
	poll_wait(file, &tap->wait, wait);
	return 0;
}

static int blktap_server_create(struct blktap *tap,
				struct blktap_device_info *info)
{
	int ret;

	ret = blktap_disk_create(tap, info);
	blktap_info(tap, "disk of %llu sectors of %u, flags %#lx: %d\n",
		    info->capacity, info->sector_size, info->flags, ret);
	return ret;
}

static int blktap_server_create_compat(struct blktap *tap,
				       const struct blktap2_params __user *arg)
{
	struct blktap_device_info info = {};
	struct blktap2_params params;
	size_t len;
	int ret;

	if (copy_from_user(&params, arg, sizeof(params)))
		return -EFAULT;
	if (params.sector_size > UINT_MAX)
		return -EINVAL;
	len = strnlen(params.name, sizeof(params.name) - 1);
	if (memchr(params.name, '\n', len))
		return -EINVAL;
	info.capacity = params.capacity;
	info.sector_size = params.sector_size;
	ret = blktap_server_create(tap, &info);
	if (ret || !len)
		return ret;
	return blktap_set_name(tap, params.name, len);
}

/* How much of the structure is read depends on the flags in its first part. */
static int blktap_server_create_info(struct blktap *tap,
				     struct blktap_device_info __user *arg)
{
	size_t head = offsetof(struct blktap_device_info, phys_block_size);
	struct blktap_device_info info = {};
	size_t size = head;
	int ret;

	if (copy_from_user(&info, arg, head))
		return -EFAULT;
	if (info.flags & BLKTAP_DEVICE_TRIM)
		size = sizeof(info);
	else if (info.flags & BLKTAP_DEVICE_PSZ)
		size = offsetof(struct blktap_device_info, trim_block_size);
	if (copy_from_user(&info.phys_block_size, &arg->phys_block_size,
			   size - head))
		return -EFAULT;
	/* Fail now if the answer cannot be told. */
	if (put_user(info.flags, &arg->flags))
		return -EFAULT;
	ret = blktap_server_create(tap, &info);
	if (ret)
		return ret;
	return put_user(info.flags, &arg->flags);
}

static long blktap_server_ioctl(struct file *file, unsigned int cmd,
				unsigned long arg)
{
	struct blktap *tap = file->private_data;
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case BLKTAP_IOCTL_DIRECT_XFER:
		return blktap_direct_xfer(tap, argp);
	case BLKTAP_IOCTL_DIRECT_SETUP:
		return blktap_direct_setup(tap, argp);
	case BLKTAP_IOCTL_DIRECT_FILE:
		return blktap_direct_file(tap, argp);
	case BLKTAP_IOCTL_DIRECT_RESIZE:
		return blktap_direct_resize(tap, argp);
	case BLKTAP_IOCTL_RESPOND:
		return blktap_ring_respond(tap);
	case BLKTAP_IOCTL_CREATE_DEVICE:
		return blktap_server_create_info(tap, argp);
	case BLKTAP_IOCTL_CREATE_DEVICE_COMPAT:
		return blktap_server_create_compat(tap, argp);
	case BLKTAP_IOCTL_REMOVE_DEVICE:
		return blktap_disk_remove(tap, false);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations blktap_server_ops = {
	.owner		= THIS_MODULE,
	.open		= blktap_server_open,
	.release	= blktap_server_release,
	.mmap		= blktap_server_mmap,
	.poll		= blktap_server_poll,
	.unlocked_ioctl	= blktap_server_ioctl,
	.llseek		= noop_llseek,
};

/**
 * blktap_server_devt - numbers of the ring device of a tap
 * @tap: the tap
 *
 * Context: Any context.
 * Return: The numbers.
 */
dev_t blktap_server_devt(const struct blktap *tap)
{
	return MKDEV(MAJOR(blktap_server_region), tap->minor);
}

/**
 * blktap_server_init - register the ring devices
 *
 * Context: Process context.
 * Return: 0 or -errno.
 */
int blktap_server_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&blktap_server_region, 0, BLKTAP_NR_MINORS,
				  "blktap2");
	if (ret)
		return ret;
	cdev_init(&blktap_server_cdev, &blktap_server_ops);
	blktap_server_cdev.owner = THIS_MODULE;
	ret = cdev_add(&blktap_server_cdev, blktap_server_region,
		       BLKTAP_NR_MINORS);
	if (ret)
		unregister_chrdev_region(blktap_server_region,
					 BLKTAP_NR_MINORS);
	return ret;
}

/**
 * blktap_server_exit - undo blktap_server_init()
 *
 * Context: Process context.
 */
void blktap_server_exit(void)
{
	cdev_del(&blktap_server_cdev);
	unregister_chrdev_region(blktap_server_region, BLKTAP_NR_MINORS);
}
