// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: a network channel between Xen domains without hypercalls for
 * each packet. Backend and frontend are in this module.
 *
 *	front.c, back.c	the two ends on xenbus: life of a connection
 *	claim.c		which vifs are ours
 *	queue.c		life of the queues
 *	tx.c, rx.c	packets
 *	ring.c, msg.c	what is in shared memory
 *	mem.c, copy.c	grants, mappings, grant copies
 *	slots.c		which slots are mapped
 *	rate.c		limit of what a guest may send
 *	netdev.c, ethtool.c	the network device
 *
 * See include/xen/interface/io/netchannel2.h for the protocol, and
 * Documentation/networking/device_drivers/netchannel2.rst.
 */
#include <linux/bits.h>
#include <linux/cpumask.h>
#include <linux/dev_printk.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/stdarg.h>
#include <linux/slab.h>

#include <xen/xen.h>
#include <xen/xenbus.h>

#include "nc2.h"

static unsigned int nc2_queues;
module_param_named(max_queues, nc2_queues, uint, 0644);
MODULE_PARM_DESC(max_queues,
		 "queues of a vif at most, 1 to 16 (default 0: as many as processors, 8 at most)");

static unsigned int nc2_staging_kib = 8192;
module_param_named(staging_kib, nc2_staging_kib, uint, 0644);
MODULE_PARM_DESC(staging_kib,
		 "KiB of staging areas and slots of a vif at most, all queues together; 0: the least, and a backend maps none of it (default 8192)");

/**
 * nc2_max_queues - how many queues a vif may have here
 *
 * Return: 1 to NC2_MAX_QUEUES.
 */
unsigned int nc2_max_queues(void)
{
	unsigned int n = READ_ONCE(nc2_queues);

	return n ? min_t(unsigned int, n, NC2_MAX_QUEUES) : min(num_online_cpus(), 8U);
}

/**
 * nc2_max_staging - pages of all staging areas and slots of a vif
 *
 * Return: number of pages, enough for the smallest areas of one queue at least.
 */
unsigned int nc2_max_staging(void)
{
	return clamp_t(unsigned int, READ_ONCE(nc2_staging_kib) / (NC2_PAGE_SIZE / 1024),
		       2 * NC2_MIN_STAGING_PAGES,
		       NC2_MAX_QUEUES * (2 * NC2_MAX_STAGING_PAGES +
					 NC2_SLOT_PAGES * NC2_MAX_SLOTS));
}

/**
 * nc2_may_map - may a backend map staging areas?
 *
 * Return: false if that was forbidden by staging_kib=0.
 */
bool nc2_may_map(void)
{
	return READ_ONCE(nc2_staging_kib);
}

/**
 * nc2_read_uint - read a number of the other end from xenstore
 * @dir: folder
 * @key: key in it
 * @min: smallest value that is accepted
 * @max: largest value that is accepted
 * @value: set to the number
 *
 * Context: process.
 *
 * Return: 0, -EINVAL if it is not such a number, or another
 * negative errno if it is not there.
 */
int nc2_read_uint(const char *dir, const char *key, unsigned int min,
		  unsigned int max, unsigned int *value)
{
	char *text = xenbus_read(XBT_NIL, dir, key, NULL);
	int ret;

	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = kstrtouint(text, 10, value);
	kfree(text);
	return ret || *value < min || *value > max ? -EINVAL : 0;
}

/**
 * nc2_fatal - end a connection, or the attempt to make one, and say why
 * @xbdev: device
 * @err: negative errno
 * @fmt: what is wrong
 *
 * As xenbus_dev_fatal(), but the other end may have it happen as often as it
 * likes: the last error is in xenstore, and not every one in the log.
 *
 * Context: process.
 */
void nc2_fatal(struct xenbus_device *xbdev, int err, const char *fmt, ...)
{
	char *text, *path;
	va_list args;

	va_start(args, fmt);
	text = kvasprintf(GFP_KERNEL, fmt, args);
	va_end(args);
	path = kasprintf(GFP_KERNEL, "error/%s", xbdev->nodename);
	if (text && path) {
		dev_err_ratelimited(&xbdev->dev, "%d %s\n", err, text);
		xenbus_printf(XBT_NIL, path, "error", "%d %s", -err, text);
	}
	kfree(path);
	kfree(text);
	xenbus_switch_state(xbdev, XenbusStateClosing);
}

/* All memory of all queues; returns pages that the other end does not give back. */
static unsigned int nc2_free(struct nc2_dev *nd)
{
	unsigned int i, held = 0;

	for (i = 0; i < NC2_MAX_QUEUES; i++)
		held += nc2_queue_free(&nd->queue[i]);
	return held;
}

/**
 * nc2_life_set - take a connection one step further, or down
 * @nd: device
 * @to: where to
 *
 * The only place where that changes::
 *
 *	NONE ----> SET_UP ----> RUNNING
 *	  ^           |            |
 *	  |           v            |
 *	  '------- STOPPED <-------'
 *
 * SET_UP comes before the memory does, so all that was got is given back on the
 * way from STOPPED to NONE, however far it went. Whatever the other end does to
 * its state, no other step is made: queues are not started twice, and memory is
 * not got while there is some.
 *
 * Context: process, nd->mutex; to RUNNING: rtnl, too.
 *
 * Return: 0; -EINVAL if there is no such step; -EBUSY from STOPPED to NONE if
 * the other end still has memory of ours. The state is what it was then.
 */
int nc2_life_set(struct nc2_dev *nd, enum nc2_life to)
{
	static const u8 steps[] = {
		[NC2_LIFE_NONE] = BIT(NC2_LIFE_SET_UP),
		[NC2_LIFE_SET_UP] = BIT(NC2_LIFE_RUNNING) | BIT(NC2_LIFE_STOPPED),
		[NC2_LIFE_RUNNING] = BIT(NC2_LIFE_STOPPED),
		[NC2_LIFE_STOPPED] = BIT(NC2_LIFE_NONE),
	};

	lockdep_assert_held(&nd->mutex);
	if (!(steps[nd->life] & BIT(to)))
		return -EINVAL;
	if (to == NC2_LIFE_NONE && nc2_free(nd))
		return -EBUSY;
	if (to == NC2_LIFE_RUNNING)
		nc2_start(nd);
	WRITE_ONCE(nd->life, to);
	switch (to) {
	case NC2_LIFE_SET_UP:
		WRITE_ONCE(nd->broken, NULL);
		break;
	case NC2_LIFE_RUNNING:
		nc2_netdev_tell(nd);
		break;
	case NC2_LIFE_STOPPED:
		nd->go = false;
		nc2_stop(nd);
		break;
	case NC2_LIFE_NONE:
		break;
	}
	return 0;
}

/**
 * nc2_disconnect - give up a connection, if there is one, and its memory
 * @nd: device
 *
 * Context: process, nd->mutex.
 *
 * Return: 0; -EBUSY if the other end still has memory of ours.
 */
int nc2_disconnect(struct nc2_dev *nd)
{
	if (nd->life == NC2_LIFE_SET_UP || nd->life == NC2_LIFE_RUNNING)
		nc2_life_set(nd, NC2_LIFE_STOPPED);
	return nd->life == NC2_LIFE_STOPPED ? nc2_life_set(nd, NC2_LIFE_NONE) : 0;
}

static int __init nc2_init(void)
{
	int ret;

	if (!xen_domain())
		return -ENODEV;
	ret = nc2_front_init();
	if (ret)
		return ret;
	ret = nc2_back_init();
	if (ret)
		nc2_front_exit();
	return ret;
}
module_init(nc2_init);

static void __exit nc2_exit(void)
{
	nc2_back_exit();
	nc2_front_exit();
}
module_exit(nc2_exit);

MODULE_DESCRIPTION("Xen network channel, frontend and backend");
MODULE_LICENSE("GPL");
MODULE_ALIAS("xen:vif");
MODULE_ALIAS("xen-backend:vif");
/* What they are called when they have been claimed, see claim.c. */
MODULE_ALIAS("xen:netchannel2");
MODULE_ALIAS("xen-backend:netchannel2");
