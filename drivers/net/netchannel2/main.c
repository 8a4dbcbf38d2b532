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
 *	mem.c		grants and mappings
 *	rate.c		limit of what a guest may send
 *	netdev.c, ethtool.c	the network device
 *
 * See include/xen/interface/io/netchannel2.h for the protocol, and
 * Documentation/networking/device_drivers/netchannel2.rst.
 */
#include <linux/cpumask.h>
#include <linux/dev_printk.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rtnetlink.h>
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
		 "KiB of staging areas and slots of a vif at most, all queues together; 0: none (default 8192)");

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
 * Return: number of pages.
 */
unsigned int nc2_max_staging(void)
{
	return min_t(unsigned int, READ_ONCE(nc2_staging_kib) / (NC2_PAGE_SIZE / 1024),
		     NC2_MAX_QUEUES * (2 * NC2_MAX_STAGING_PAGES +
				       NC2_SLOT_PAGES * NC2_MAX_SLOTS));
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

/**
 * nc2_set_config - a connection is going to be like this
 * @nd: device without a connection
 * @config: what it is like
 *
 * Context: process, nd->mutex.
 *
 * Return: 0 or a negative errno.
 */
int nc2_set_config(struct nc2_dev *nd, const struct nc2_config *config)
{
	int ret;

	rtnl_lock();
	nd->config = *config;
	ret = netif_set_real_num_tx_queues(nd->netdev, config->queues);
	if (!ret)
		ret = netif_set_real_num_rx_queues(nd->netdev, config->queues);
	nc2_hash_map_fit(nd);
	rtnl_unlock();
	return ret;
}

/**
 * nc2_free - give up the memory of all queues
 * @nd: device that was stopped
 *
 * Context: process, nd->mutex.
 */
void nc2_free(struct nc2_dev *nd)
{
	unsigned int i;

	for (i = 0; i < NC2_MAX_QUEUES; i++)
		nc2_queue_free(&nd->queue[i]);
}

/**
 * nc2_disconnect - give up a connection, if there is one, and its memory
 * @nd: device
 *
 * Context: process, nd->mutex.
 */
void nc2_disconnect(struct nc2_dev *nd)
{
	nc2_stop(nd);
	nc2_free(nd);
}

static int __init nc2_init(void)
{
	int ret;

	if (!xen_domain())
		return -ENODEV;
	ret = xenbus_register_frontend(&nc2_front_driver);
	if (ret)
		return ret;
	ret = xenbus_register_backend(&nc2_back_driver);
	if (ret) {
		xenbus_unregister_driver(&nc2_front_driver);
		return ret;
	}
	nc2_claim_start(&nc2_front_claim);
	nc2_claim_start(&nc2_back_claim);
	return 0;
}
module_init(nc2_init);

static void __exit nc2_exit(void)
{
	nc2_claim_stop(&nc2_back_claim);
	nc2_claim_stop(&nc2_front_claim);
	xenbus_unregister_driver(&nc2_back_driver);
	xenbus_unregister_driver(&nc2_front_driver);
}
module_exit(nc2_exit);

MODULE_DESCRIPTION("Xen network channel, frontend and backend");
MODULE_LICENSE("GPL");
MODULE_ALIAS("xen:vif");
MODULE_ALIAS("xen-backend:vif");
