// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: attributes of the class, of taps and of the control device. They are
 * described in Documentation/ABI/testing/sysfs-class-blktap2.
 */
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/xarray.h>

#include "blktap.h"

/* How long a server has to follow the CLOSE message of remove. */
#define BLKTAP_CLOSE_WAIT	(10 * HZ)

static struct blktap *blktap_of(struct device *dev)
{
	return container_of(dev, struct blktap, dev);
}

/* The name of a tap, or its minor if it has none; @name has BLKTAP_NAME_MAX. */
static void blktap_get_name(struct blktap *tap, char *name)
{
	spin_lock_irq(&tap->lock);
	strscpy(name, tap->name, BLKTAP_NAME_MAX);
	spin_unlock_irq(&tap->lock);
	if (!*name)
		snprintf(name, BLKTAP_NAME_MAX, "%d", tap->minor);
}

static ssize_t name_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	char name[BLKTAP_NAME_MAX];

	blktap_get_name(blktap_of(dev), name);
	return sysfs_emit(buf, "%s\n", name);
}

static ssize_t name_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t count)
{
	struct blktap *tap = blktap_of(dev);
	size_t len = count;
	int ret;

	if (len && buf[len - 1] == '\n')
		len--;
	ret = blktap_set_name(tap, buf, len);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(name);

static bool blktap_obeyed(struct blktap *tap)
{
	return READ_ONCE(tap->state) != BLKTAP_RUNNING;
}

/*
 * A server in ring mode is asked to do it and given time; in direct mode there
 * is no message.
 */
static ssize_t remove_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct blktap *tap = blktap_of(dev);
	const struct blktap_mode *mode = READ_ONCE(tap->mode);
	long ret;

	if (mode && mode->ask_close && !blktap_obeyed(tap)) {
		mode->ask_close(tap);
		ret = wait_event_killable_timeout(tap->changed,
						  blktap_obeyed(tap),
						  BLKTAP_CLOSE_WAIT);
		if (ret < 0)
			return -EINTR;
		if (!ret)
			blktap_warn(tap,
				    "server ignores CLOSE: removing the disk\n");
	}
	ret = blktap_disk_remove(tap, true);
	return ret ? ret : count;
}
static DEVICE_ATTR_WO(remove);

static ssize_t task_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	struct blktap *tap = blktap_of(dev);
	pid_t pid = 0;

	spin_lock_irq(&tap->lock);
	if (tap->task)
		pid = pid_vnr(tap->task);
	spin_unlock_irq(&tap->lock);
	return pid ? sysfs_emit(buf, "%d\n", pid) : 0;
}
static DEVICE_ATTR_RO(task);

static ssize_t pool_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	/* A pool stays. */
	return sysfs_emit(buf, "%s\n",
			  kobject_name(&READ_ONCE(blktap_of(dev)->pool)->kobj));
}

static ssize_t pool_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t count)
{
	struct blktap *tap = blktap_of(dev);
	struct blktap_pool *pool;
	ssize_t ret = count;

	pool = blktap_pool_find(buf);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	spin_lock_irq(&tap->lock);
	if (tap->state != BLKTAP_NO_DISK)
		ret = -EBUSY;
	else
		WRITE_ONCE(tap->pool, pool);
	spin_unlock_irq(&tap->lock);
	return ret;
}
static DEVICE_ATTR_RW(pool);

static const char *blktap_state_name(struct blktap *tap)
{
	switch (READ_ONCE(tap->state)) {
	case BLKTAP_RUNNING:
		return "running";
	case BLKTAP_WAITING:
		return "waiting";
	case BLKTAP_FAILED:
		return "failed";
	default:
		return "no-disk";
	}
}

static const char *blktap_mode_name(struct blktap *tap)
{
	const struct blktap_mode *mode = READ_ONCE(tap->mode);

	return mode ? mode->name : "none";
}

static ssize_t state_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%s\n", blktap_state_name(blktap_of(dev)));
}
static DEVICE_ATTR_RO(state);

static ssize_t mode_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%s\n", blktap_mode_name(blktap_of(dev)));
}
static DEVICE_ATTR_RO(mode);

static ssize_t recovery_timeout_show(struct device *dev,
				     struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(blktap_of(dev)->recovery_timeout));
}

static ssize_t recovery_timeout_store(struct device *dev,
				      struct device_attribute *attr,
				      const char *buf, size_t count)
{
	unsigned int seconds;
	int ret;

	ret = kstrtouint(buf, 0, &seconds);
	if (ret)
		return ret;
	if (seconds > BLKTAP_TIMEOUT_MAX)
		return -EINVAL;
	blktap_life_timeout(blktap_of(dev), seconds);
	return count;
}
static DEVICE_ATTR_RW(recovery_timeout);

static ssize_t debug_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	struct blktap *tap = blktap_of(dev);
	unsigned int pending, active, results, transfers;
	struct blktap_device_info info;
	char name[BLKTAP_NAME_MAX];
	bool disk;
	int at = 0;
	u64 seq;

	blktap_get_name(tap, name);
	at += sysfs_emit_at(buf, at, "tap %d:%d: name %s, mode %s, state %s\n",
			    MAJOR(dev->devt), tap->minor, name,
			    blktap_mode_name(tap), blktap_state_name(tap));
	at += sysfs_emit_at(buf, at, "pool: %s\n",
			    kobject_name(&READ_ONCE(tap->pool)->kobj));
	spin_lock_irq(&tap->lock);
	disk = tap->disk;
	info = tap->info;
	seq = tap->seq;
	pending = list_count_nodes(&tap->pending);
	active = list_count_nodes(&tap->active);
	results = list_count_nodes(&tap->results);
	transfers = tap->transfers;
	spin_unlock_irq(&tap->lock);
	if (disk)
		at += sysfs_emit_at(buf, at,
				    "disk: %llu sectors of %u, flags %#lx\n",
				    info.capacity, info.sector_size, info.flags);
	at += sysfs_emit_at(buf, at,
			    "requests: %llu, pending %u, handed out %u (transfers %u, results %u)\n",
			    seq, pending, active, transfers, results);
	at += blktap_ring_debug(tap, buf, at);
	return at;
}
static DEVICE_ATTR_RO(debug);

static struct attribute *blktap_dev_attrs[] = {
	&dev_attr_name.attr,
	&dev_attr_remove.attr,
	&dev_attr_task.attr,
	&dev_attr_pool.attr,
	&dev_attr_state.attr,
	&dev_attr_mode.attr,
	&dev_attr_recovery_timeout.attr,
	&dev_attr_debug.attr,
	NULL
};
ATTRIBUTE_GROUPS(blktap_dev);

static ssize_t verbosity_show(const struct class *class,
			      const struct class_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(blktap_verbosity));
}

static ssize_t verbosity_store(const struct class *class,
			       const struct class_attribute *attr,
			       const char *buf, size_t count)
{
	int level;
	int ret;

	ret = kstrtoint(buf, 0, &level);
	if (ret)
		return ret;
	WRITE_ONCE(blktap_verbosity, level);
	return count;
}
static CLASS_ATTR_RW(verbosity);

static ssize_t devices_show(const struct class *class,
			    const struct class_attribute *attr, char *buf)
{
	char name[BLKTAP_NAME_MAX];
	struct blktap *tap;
	unsigned long minor;
	int at = 0;

	/* The lock keeps each tap from being released. */
	xa_lock(&blktap_taps);
	xa_for_each(&blktap_taps, minor, tap) {
		if (READ_ONCE(tap->state) == BLKTAP_FREED)
			continue;
		blktap_get_name(tap, name);
		at += sysfs_emit_at(buf, at, "%lu %s\n", minor, name);
	}
	xa_unlock(&blktap_taps);
	return at;
}
static CLASS_ATTR_RO(devices);

static struct attribute *blktap_class_attrs[] = {
	&class_attr_verbosity.attr,
	&class_attr_devices.attr,
	NULL
};
ATTRIBUTE_GROUPS(blktap_class);

static char *blktap_class_devnode(const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, "xen/blktap-2/%s", dev_name(dev));
}

struct class blktap_class = {
	.name		= "blktap2",
	.class_groups	= blktap_class_groups,
	.dev_groups	= blktap_dev_groups,
	.devnode	= blktap_class_devnode,
};

static ssize_t default_pool_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct blktap_pool *pool = blktap_pool_default();

	return sysfs_emit(buf, "%s\n", pool ? kobject_name(&pool->kobj) : "");
}

static ssize_t default_pool_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	int ret;

	ret = blktap_pool_set_default(buf);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(default_pool);

static struct attribute *blktap_control_attrs[] = {
	&dev_attr_default_pool.attr,
	NULL
};

/* Attributes of the control device; pool.c adds them when there are pools. */
const struct attribute_group blktap_control_group = {
	.attrs = blktap_control_attrs,
};
