// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the ring device, and what happens when its server dies.
 *
 * One open file makes its opener the server of the tap. The server has gone
 * when that file is released, or in ring mode when the mapping is. If there is
 * a disk then, its requests wait for the next server, which opens the same
 * device, enters the same mode and says CREATE_DEVICE. A change uevent of the
 * device with BLKTAP_STATE=waiting tells user space that one is needed. When
 * none has come in tap->recovery_timeout seconds, or at once if that is 0, the
 * requests end with errors, and so do all that follow until a server comes
 * (BLKTAP_STATE=failed).
 *
 * All of this is under tap->mutex, and the delayed work tap->recovery does the
 * waiting and the telling.
 */
#include <linux/cdev.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "blktap.h"

static dev_t blktap_server_region;
static struct cdev blktap_server_cdev;

/* Tell user space about the state of the disk. */
static void blktap_server_announce(struct blktap *tap, const char *state)
{
	char env[32];
	char *envp[2] = { env, NULL };

	snprintf(env, sizeof(env), "BLKTAP_STATE=%s", state);
	kobject_uevent_env(&tap->dev.kobj, KOBJ_CHANGE, envp);
}

static bool blktap_server_missing(struct blktap *tap)
	__must_hold(&tap->mutex)
{
	lockdep_assert_held(&tap->mutex);
	return tap->disk_state == BLKTAP_DISK_LIVE && !tap->attached &&
	       !tap->freed;
}

/**
 * blktap_server_recovery - announce that a server died; later, give it up
 * @work: tap->recovery
 *
 * Context: Process context. Takes and releases tap->mutex.
 */
void blktap_server_recovery(struct work_struct *work)
{
	struct blktap *tap = container_of(to_delayed_work(work), struct blktap,
					  recovery);
	unsigned long deadline;

	mutex_lock(&tap->mutex);
	if (!blktap_server_missing(tap))
		goto out;
	deadline = tap->died_at + tap->recovery_timeout * HZ;
	if (time_after_eq(jiffies, deadline)) {
		dev_warn(&tap->dev, "no server came in %u s: I/O fails\n",
			 tap->recovery_timeout);
		blktap_requests_fail(tap);
		blktap_server_announce(tap, "failed");
		goto out;
	}
	if (!tap->announced) {
		tap->announced = true;
		dev_warn(&tap->dev, "server died: I/O waits %u s for another\n",
			 tap->recovery_timeout);
		blktap_server_announce(tap, "waiting");
	}
	queue_delayed_work(blktap_wq, &tap->recovery, deadline - jiffies);
out:
	mutex_unlock(&tap->mutex);
}

/**
 * blktap_server_timeout - set how long I/O waits for a new server
 * @tap: the tap
 * @seconds: 0..BLKTAP_TIMEOUT_MAX; counts from the death of the last server
 *
 * Context: Process context. Takes and releases tap->mutex.
 */
void blktap_server_timeout(struct blktap *tap, unsigned int seconds)
{
	mutex_lock(&tap->mutex);
	tap->recovery_timeout = seconds;
	if (blktap_server_missing(tap))
		mod_delayed_work(blktap_wq, &tap->recovery, 0);
	mutex_unlock(&tap->mutex);
}

/**
 * blktap_server_detach - the server has gone
 * @tap: the tap
 *
 * Context: Process context, under tap->mutex; not in the middle of an ioctl of
 *	that server.
 */
void blktap_server_detach(struct blktap *tap)
{
	lockdep_assert_held(&tap->mutex);

	if (tap->disk_state != BLKTAP_DISK_LIVE) {
		tap->mode = BLKTAP_MODE_NONE;
		return;
	}
	if (!tap->attached)
		return;
	blktap_requests_detach(tap, !tap->recovery_timeout);
	tap->died_at = jiffies;
	tap->announced = false;
	mod_delayed_work(blktap_wq, &tap->recovery, 0);
	wake_up(&tap->gone);
}

static int blktap_server_open(struct inode *inode, struct file *file)
{
	struct blktap *tap;
	int ret = 0;

	tap = blktap_get(iminor(inode));
	if (!tap)
		return -ENXIO;

	mutex_lock(&tap->mutex);
	if (tap->freed) {
		ret = -ENXIO;
	} else if (tap->opened) {
		ret = -EBUSY;
	} else {
		tap->opened = true;
		tap->task = get_pid(task_tgid(current));
	}
	mutex_unlock(&tap->mutex);
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

	mutex_lock(&tap->mutex);
	blktap_direct_release(tap);
	blktap_server_detach(tap);
	tap->opened = false;
	put_pid(tap->task);
	tap->task = NULL;
	mutex_unlock(&tap->mutex);
	blktap_put(tap);
	return 0;
}

static int blktap_server_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct blktap *tap = file->private_data;
	int ret;

	mutex_lock(&tap->mutex);
	ret = blktap_ring_mmap(tap, vma);
	mutex_unlock(&tap->mutex);
	return ret;
}

static __poll_t blktap_server_poll(struct file *file, poll_table *wait)
{
	struct blktap *tap = file->private_data;

	poll_wait(file, &tap->wait, wait);
	if (READ_ONCE(tap->direct.ready))
		return blktap_requests_waiting(tap) ? EPOLLIN | EPOLLRDNORM : 0;
	return blktap_ring_poll(tap, file, wait);
}

/* Make or take over the disk, and set the name if there is one. */
static int blktap_server_create(struct blktap *tap,
				struct blktap_device_info *info,
				const char *name)
{
	int ret;

	mutex_lock(&tap->mutex);
	ret = blktap_disk_create(tap, info);
	mutex_unlock(&tap->mutex);
	blktap_info(tap, "disk of %llu sectors of %u, flags %#lx: %d\n",
		    info->capacity, info->sector_size, info->flags, ret);
	if (ret || !*name)
		return ret;
	spin_lock_irq(&tap->lock);
	strscpy(tap->name, name, sizeof(tap->name));
	spin_unlock_irq(&tap->lock);
	return 0;
}

static int blktap_server_create_compat(struct blktap *tap,
				       const struct blktap2_params __user *arg)
{
	struct blktap_device_info info = {};
	struct blktap2_params params;

	if (copy_from_user(&params, arg, sizeof(params)))
		return -EFAULT;
	if (params.sector_size > UINT_MAX)
		return -EINVAL;
	params.name[sizeof(params.name) - 1] = 0;
	info.capacity = params.capacity;
	info.sector_size = params.sector_size;
	return blktap_server_create(tap, &info, params.name);
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
	ret = blktap_server_create(tap, &info, "");
	if (ret)
		return ret;
	return put_user(info.flags, &arg->flags);
}

/* In ring mode, only who has mapped the ring may say something. */
static bool blktap_server_may(struct blktap *tap)
{
	return READ_ONCE(tap->direct.ready) || blktap_ring_mine(tap);
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
		if (!blktap_ring_mine(tap))
			return -EACCES;
		return blktap_ring_respond(tap);
	case BLKTAP_IOCTL_CREATE_DEVICE:
		if (!blktap_server_may(tap))
			return -EACCES;
		return blktap_server_create_info(tap, argp);
	case BLKTAP_IOCTL_CREATE_DEVICE_COMPAT:
		if (!blktap_server_may(tap))
			return -EACCES;
		return blktap_server_create_compat(tap, argp);
	case BLKTAP_IOCTL_REMOVE_DEVICE:
		if (!blktap_server_may(tap))
			return -EACCES;
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
