// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: attributes of the class, of taps and of the control device. They are
 * described in Documentation/ABI/testing/sysfs-class-blktap2.
 */
#include <linux/idr.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

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

	if (len && buf[len - 1] == '\n')
		len--;
	if (len >= BLKTAP_NAME_MAX)
		return -ENAMETOOLONG;
	if (strnlen(buf, len) != len)
		return -EINVAL;
	spin_lock_irq(&tap->lock);
	memcpy(tap->name, buf, len);
	tap->name[len] = 0;
	spin_unlock_irq(&tap->lock);
	return count;
}
static DEVICE_ATTR_RW(name);

static bool blktap_obeyed(struct blktap *tap)
{
	bool obeyed;

	spin_lock_irq(&tap->lock);
	obeyed = tap->disk_state != BLKTAP_DISK_LIVE || !tap->attached;
	spin_unlock_irq(&tap->lock);
	return obeyed;
}

/*
 * A server in ring mode is asked to do it and given time; in direct mode there
 * is no message.
 */
static ssize_t remove_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct blktap *tap = blktap_of(dev);
	long ret;

	if (blktap_ring_mapped(tap) && !blktap_obeyed(tap)) {
		blktap_ring_close(tap);
		ret = wait_event_interruptible_timeout(tap->gone,
						       blktap_obeyed(tap),
						       BLKTAP_CLOSE_WAIT);
		if (ret < 0)
			return ret;
		if (!ret)
			dev_warn(dev, "server ignores CLOSE: removing the disk\n");
	}
	ret = blktap_disk_remove(tap, true);
	return ret ? ret : count;
}
static DEVICE_ATTR_WO(remove);

static ssize_t task_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	struct blktap *tap = blktap_of(dev);
	ssize_t ret = 0;

	mutex_lock(&tap->mutex);
	if (tap->task)
		ret = sysfs_emit(buf, "%d\n", pid_vnr(tap->task));
	mutex_unlock(&tap->mutex);
	return ret;
}
static DEVICE_ATTR_RO(task);

static ssize_t pool_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	struct blktap *tap = blktap_of(dev);
	ssize_t ret;

	mutex_lock(&tap->mutex);
	ret = sysfs_emit(buf, "%s\n", kobject_name(&tap->pool->kobj));
	mutex_unlock(&tap->mutex);
	return ret;
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
	mutex_lock(&tap->mutex);
	if (tap->disk_state != BLKTAP_DISK_NONE)
		ret = -EBUSY;
	else
		WRITE_ONCE(tap->pool, pool);
	mutex_unlock(&tap->mutex);
	return ret;
}
static DEVICE_ATTR_RW(pool);

static const char *blktap_state_name(struct blktap *tap)
{
	const char *name;

	spin_lock_irq(&tap->lock);
	if (tap->disk_state != BLKTAP_DISK_LIVE)
		name = "no-disk";
	else if (tap->attached)
		name = "running";
	else if (tap->io_fail)
		name = "failed";
	else
		name = "waiting";
	spin_unlock_irq(&tap->lock);
	return name;
}

static const char *blktap_mode_name(struct blktap *tap)
{
	static const char * const names[] = {
		[BLKTAP_MODE_NONE]	= "none",
		[BLKTAP_MODE_RING]	= "ring",
		[BLKTAP_MODE_DIRECT]	= "direct",
	};

	return names[READ_ONCE(tap->mode)];
}

static ssize_t state_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	struct blktap *tap = blktap_of(dev);
	ssize_t ret;

	/* Not in the middle of CREATE_DEVICE. */
	mutex_lock(&tap->mutex);
	ret = sysfs_emit(buf, "%s\n", blktap_state_name(tap));
	mutex_unlock(&tap->mutex);
	return ret;
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
	blktap_server_timeout(blktap_of(dev), seconds);
	return count;
}
static DEVICE_ATTR_RW(recovery_timeout);

static ssize_t debug_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	struct blktap *tap = blktap_of(dev);
	unsigned int pending, active, results, transfers;
	char name[BLKTAP_NAME_MAX];
	int at = 0;
	u64 seq;

	blktap_get_name(tap, name);
	at += sysfs_emit_at(buf, at, "tap %d:%d: name %s, mode %s, state %s\n",
			    MAJOR(dev->devt), tap->minor, name,
			    blktap_mode_name(tap), blktap_state_name(tap));
	mutex_lock(&tap->mutex);
	at += sysfs_emit_at(buf, at, "pool: %s\n",
			    kobject_name(&tap->pool->kobj));
	if (tap->disk)
		at += sysfs_emit_at(buf, at,
				    "disk: %s, %llu sectors of %u, flags %#lx\n",
				    tap->disk->disk_name, tap->info.capacity,
				    tap->info.sector_size, tap->info.flags);
	mutex_unlock(&tap->mutex);

	spin_lock_irq(&tap->lock);
	seq = tap->seq;
	pending = list_count_nodes(&tap->pending);
	active = list_count_nodes(&tap->active);
	results = list_count_nodes(&tap->results);
	transfers = tap->transfers;
	spin_unlock_irq(&tap->lock);
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
	int minor, at = 0;

	mutex_lock(&blktap_taps_lock);
	idr_for_each_entry(&blktap_taps, tap, minor) {
		if (READ_ONCE(tap->freed))
			continue;
		blktap_get_name(tap, name);
		at += sysfs_emit_at(buf, at, "%d %s\n", minor, name);
	}
	mutex_unlock(&blktap_taps_lock);
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

static const struct attribute_group blktap_control_group = {
	.attrs = blktap_control_attrs,
};

const struct attribute_group *blktap_control_groups[] = {
	&blktap_control_group,
	NULL
};
