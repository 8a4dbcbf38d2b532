// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: the frontend on xenbus.
 *
 * Design: all memory is the frontend's. It is given up when the backend is
 * Closed, and so has let go of it; or when it is known to be a new backend
 * (InitWait, resume) or gone. If a backend lies about that, the page stays
 * allocated as long as it has it mapped, see mem.c.
 *
 * There is one way to connect, nc2_front_connect(), whether at first, after a
 * restore, after the backend was away, or since other queues are wanted.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/hex.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include <xen/events.h>
#include <xen/page.h>
#include <xen/xenbus.h>

#include "nc2.h"

/* Default log2 of the pages of a ring. */
#define NC2_RING_ORDER		5
/* How long to wait for a backend to let go, in steps of 20 ms. */
#define NC2_CLOSE_STEPS		250

static void nc2_put_refs(const struct nc2_mem *mem, u32 **at)
{
	unsigned int i;

	for (i = 0; i < mem->area.size / PAGE_SIZE; i++)
		*(*at)++ = mem->refs[i];
}

/* Memory of a queue, granted; -ENOMEM and what there is has to be freed. */
static int nc2_front_alloc(struct nc2_queue *q, const struct nc2_config *config)
{
	struct {
		struct nc2_mem *mem;
		unsigned int pages;
		unsigned int order;
		bool readonly;
	} want[] = {
		{ &q->tx_mem, 1U << config->ring_order, 0, true },
		{ &q->rx_mem, 1U << config->ring_order, 0, false },
		{ &q->tx_staging, config->staging_pages, 0, true },
		{ &q->rx_staging, config->staging_pages, 0, false },
		{ &q->control, 1, 0, false },
		{ &q->slot_mem, config->slots * NC2_SLOT_PAGES, ilog2(NC2_SLOT_PAGES), false },
		{ &q->slot_refs, !!config->slots, 0, true },
	};
	domid_t domid = q->nd->xbdev->otherend_id;
	unsigned int i;
	u32 *refs;
	int ret;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		if (!want[i].pages)
			continue;
		ret = nc2_mem_alloc(want[i].mem, want[i].pages, want[i].order);
		if (!ret)
			ret = nc2_mem_grant(want[i].mem, domid, want[i].readonly);
		if (ret)
			return ret;
	}
	refs = q->control.area.page[0] + NC2_CONTROL_REFS_OFFSET;
	for (i = 0; want[i].mem != &q->control; i++)
		nc2_put_refs(want[i].mem, &refs);
	if (config->slots) {
		refs = q->slot_refs.area.page[0];
		nc2_put_refs(&q->slot_mem, &refs);
	}
	return nc2_queue_attach(q);
}

static int nc2_front_bind(struct nc2_queue *q)
{
	int ret;

	ret = xenbus_alloc_evtchn(q->nd->xbdev, &q->evtchn);
	if (ret)
		return ret;
	snprintf(q->name, sizeof(q->name), "%s-q%u", q->nd->netdev->name, q->id);
	ret = bind_evtchn_to_irqhandler_lateeoi(q->evtchn, nc2_interrupt, 0, q->name, q);
	if (ret < 0) {
		xenbus_free_evtchn(q->nd->xbdev, q->evtchn);
		return ret;
	}
	q->irq = ret;
	return 0;
}

static int nc2_front_alloc_all(struct nc2_dev *nd, struct nc2_config *config)
{
	unsigned int i;
	int ret;

	for (;;) {
		ret = 0;
		for (i = 0; !ret && i < config->queues; i++)
			ret = nc2_front_alloc(&nd->queue[i], config);
		if (!ret || !config->staging_pages)
			return ret;
		/* With less, if it must be by grant copies. */
		nc2_free(nd);
		if (config->slots) {
			config->slots /= 2;
			continue;
		}
		config->staging_pages /= 2;
		if (config->staging_pages < NC2_MIN_STAGING_PAGES)
			config->staging_pages = 0;
	}
}

static int nc2_front_write_queue(struct xenbus_transaction xbt, struct nc2_queue *q)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "%s/queue-%u", q->nd->xbdev->nodename, q->id);
	ret = xenbus_printf(xbt, path, "control-ref", "%u", q->control.refs[0]);
	if (!ret)
		ret = xenbus_printf(xbt, path, "event-channel", "%u", q->evtchn);
	if (!ret && nc2_slots(q))
		ret = xenbus_printf(xbt, path, "slots-ref", "%u", q->slot_refs.refs[0]);
	return ret;
}

/* Write the keys: 0 or a negative errno. */
static int nc2_front_write(struct nc2_dev *nd, const struct nc2_config *config)
{
	const struct {
		const char *key;
		unsigned int value;
	} keys[] = {
		{ "netchannel2", NC2_VERSION },
		{ "num-queues", config->queues },
		{ "ring-page-order", config->ring_order },
		{ "staging-pages", config->staging_pages },
		{ "slots", config->slots },
		{ "extensions", config->extensions },
	};
	struct xenbus_transaction xbt;
	unsigned int i;
	int ret;

	do {
		ret = xenbus_transaction_start(&xbt);
		if (ret)
			return ret;
		for (i = 0; !ret && i < ARRAY_SIZE(keys); i++)
			ret = xenbus_printf(xbt, nd->xbdev->nodename, keys[i].key, "%u",
					    keys[i].value);
		for (i = 0; !ret && i < config->queues; i++)
			ret = nc2_front_write_queue(xbt, &nd->queue[i]);
		if (ret) {
			xenbus_transaction_end(xbt, 1);
			return ret;
		}
		ret = xenbus_transaction_end(xbt, 0);
	} while (ret == -EAGAIN);
	return ret;
}

/* Staging areas and slots, @pages of them in all. */
static void nc2_front_choose_staging(struct nc2_dev *nd, struct nc2_config *config,
				     unsigned int pages)
{
	bool slots = (config->extensions & NC2_EXT_SLOTS) &&
		     xenbus_read_unsigned(nd->xbdev->nodename, "trusted", 1);
	unsigned int area;

	pages /= config->queues;
	/* With slots half of it is for them, if the areas are not too small then. */
	area = max_t(unsigned int, pages / (slots ? 4 : 2), NC2_MIN_STAGING_PAGES);
	if (!(config->extensions & NC2_EXT_STAGING) || 2 * area > pages)
		return;
	config->staging_pages = min_t(unsigned int, rounddown_pow_of_two(area),
				      NC2_MAX_STAGING_PAGES);
	if (slots)
		config->slots = min_t(unsigned int, NC2_MAX_SLOTS,
				      (pages - 2 * config->staging_pages) / NC2_SLOT_PAGES);
}

/* What both ends can do, and of it what is wanted. */
static int nc2_front_choose(struct nc2_dev *nd, struct nc2_config *config)
{
	const char *back = nd->xbdev->otherend;
	unsigned int value, staging;

	if (nc2_read_uint(back, "feature-netchannel2", NC2_VERSION, NC2_VERSION, &value))
		return -EOPNOTSUPP;
	value = xenbus_read_unsigned(back, "max-queues", 1);
	config->queues = clamp_t(unsigned int, value, 1, nc2_max_queues());
	value = xenbus_read_unsigned(back, "max-ring-page-order", 0);
	config->ring_order = min_t(unsigned int, value, NC2_MAX_RING_ORDER);
	config->extensions = xenbus_read_unsigned(back, "feature-extensions", 0) &
			     NC2_EXTENSIONS;
	if (!(config->extensions & NC2_EXT_FEATURES))
		config->extensions = 0;
	staging = xenbus_read_unsigned(back, "max-staging-pages", 0);
	staging = min(staging, nc2_max_staging());

	rtnl_lock();
	nd->max = *config;
	if (nd->want.queues)
		config->queues = min(config->queues, nd->want.queues);
	config->ring_order = min(config->ring_order, nd->want.ring_order);
	rtnl_unlock();

	nc2_front_choose_staging(nd, config, staging);
	return 0;
}

static void nc2_front_connect(struct nc2_dev *nd)
{
	struct xenbus_device *xbdev = nd->xbdev;
	struct nc2_config config = {};
	unsigned int i;
	int ret;

	ret = nc2_front_choose(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret, "backend does not speak netchannel2 version %d",
			  NC2_VERSION);
		return;
	}
	ret = nc2_front_alloc_all(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret, "allocating memory for %u queues", config.queues);
		goto undo;
	}
	for (i = 0; i < config.queues; i++) {
		ret = nc2_front_bind(&nd->queue[i]);
		if (ret) {
			nc2_fatal(xbdev, ret, "allocating the event channel of queue %u", i);
			goto undo;
		}
	}
	ret = nc2_set_config(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret, "setting the number of queues to %u", config.queues);
		goto undo;
	}
	ret = nc2_front_write(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret, "writing to xenstore");
		goto undo;
	}
	xenbus_switch_state(xbdev, XenbusStateInitialised);
	return;
undo:
	nc2_disconnect(nd);
}

/**
 * nc2_front_reconnect - put into effect what the user has asked for
 * @nd: frontend
 *
 * It takes a turn through Closed, as the backend has to let go of the old
 * queues. If there is no connection, the next one will be like that.
 *
 * Context: process, without locks.
 */
void nc2_front_reconnect(struct nc2_dev *nd)
{
	mutex_lock(&nd->mutex);
	WRITE_ONCE(nd->reconnect, false);
	if (nd->connected) {
		nc2_stop(nd);
		nd->reconnecting = true;
		xenbus_switch_state(nd->xbdev, XenbusStateClosed);
	}
	mutex_unlock(&nd->mutex);
}

/**
 * nc2_front_fail - end a connection whose backend has broken the protocol
 * @nd: frontend
 * @why: what it did
 *
 * The memory stays until the backend is Closed.
 *
 * Context: process, without locks.
 */
void nc2_front_fail(struct nc2_dev *nd, const char *why)
{
	mutex_lock(&nd->mutex);
	if (nd->connected) {
		nc2_stop(nd);
		nc2_fatal(nd->xbdev, -EPROTO, "the other end has broken the protocol: %s", why);
	}
	WRITE_ONCE(nd->broken, NULL);
	mutex_unlock(&nd->mutex);
}

static void nc2_front_backend_closed(struct nc2_dev *nd, enum xenbus_state state)
{
	nc2_stop(nd);
	if (state == XenbusStateClosed) {
		nc2_free(nd);
		if (nd->reconnecting) {
			nd->reconnecting = false;
			xenbus_switch_state(nd->xbdev, XenbusStateInitialising);
			return;
		}
	}
	if (nd->xbdev->state != XenbusStateClosed)
		xenbus_frontend_closed(nd->xbdev);
}

static void nc2_front_changed(struct xenbus_device *xbdev, enum xenbus_state state)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);

	mutex_lock(&nd->mutex);
	switch (state) {
	case XenbusStateInitWait:
		/* What was offered stands: a state may be told more than once. */
		if (xbdev->state == XenbusStateInitialised)
			break;
		/* What there was is with a backend that is no more. */
		nd->reconnecting = false;
		nc2_disconnect(nd);
		nc2_front_connect(nd);
		break;
	case XenbusStateConnected:
		if (xbdev->state != XenbusStateInitialised)
			break;
		nc2_start(nd);
		xenbus_switch_state(xbdev, XenbusStateConnected);
		break;
	case XenbusStateClosing:
	case XenbusStateClosed:
		nc2_front_backend_closed(nd, state);
		break;
	default:
		break;
	}
	mutex_unlock(&nd->mutex);
}

static int nc2_front_read_mac(struct nc2_dev *nd)
{
	u8 mac[ETH_ALEN];
	char *text;
	int ret = -EINVAL;

	text = xenbus_read(XBT_NIL, nd->xbdev->nodename, "mac", NULL);
	if (IS_ERR(text))
		return PTR_ERR(text);
	if (mac_pton(text, mac) && is_valid_ether_addr(mac)) {
		eth_hw_addr_set(nd->netdev, mac);
		ret = 0;
	}
	kfree(text);
	return ret;
}

static int nc2_front_probe(struct xenbus_device *xbdev, const struct xenbus_device_id *id)
{
	struct nc2_dev *nd;
	unsigned int mtu;
	int ret;

	nd = nc2_netdev_alloc(xbdev, false, "eth%d");
	if (!nd)
		return -ENOMEM;
	nd->want.ring_order = NC2_RING_ORDER;
	nd->max.queues = 1;
	nd->max.ring_order = NC2_MAX_RING_ORDER;
	ret = nc2_front_read_mac(nd);
	if (ret) {
		nc2_fatal(xbdev, ret, "reading %s/mac", xbdev->nodename);
		goto free;
	}
	if (!nc2_read_uint(xbdev->otherend, "mtu", nd->netdev->min_mtu, nd->netdev->max_mtu,
			   &mtu))
		nd->netdev->mtu = mtu;
	dev_set_drvdata(&xbdev->dev, nd);
	ret = register_netdev(nd->netdev);
	if (ret) {
		nc2_fatal(xbdev, ret, "registering the network device");
		goto free;
	}
	xenbus_switch_state(xbdev, XenbusStateInitialising);
	return 0;
free:
	nc2_netdev_free(nd);
	return ret;
}

static int nc2_front_resume(struct xenbus_device *xbdev)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);

	mutex_lock(&nd->mutex);
	nd->reconnecting = false;
	nc2_disconnect(nd);
	mutex_unlock(&nd->mutex);
	return 0;
}

/* Is the backend still there, and may have our memory? */
static bool nc2_front_has_backend(const struct nc2_dev *nd)
{
	switch (xenbus_read_driver_state(nd->xbdev->otherend)) {
	case XenbusStateUnknown:
	case XenbusStateInitialising:
	case XenbusStateInitWait:
	case XenbusStateClosed:
		return false;
	default:
		return true;
	}
}

static void nc2_front_remove(struct xenbus_device *xbdev)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);
	unsigned int i;

	mutex_lock(&nd->mutex);
	nc2_stop(nd);
	xenbus_switch_state(xbdev, XenbusStateClosed);
	for (i = 0; i < NC2_CLOSE_STEPS && nc2_front_has_backend(nd); i++)
		msleep(20);
	nc2_free(nd);
	mutex_unlock(&nd->mutex);
	nc2_netdev_free(nd);
}

struct nc2_claim nc2_front_claim = {
	.drv = &nc2_front_driver,
};

struct xenbus_driver nc2_front_driver = {
	.name = "netchannel2",
	.ids = nc2_ids,
	.probe = nc2_front_probe,
	.remove = nc2_front_remove,
	.resume = nc2_front_resume,
	.otherend_changed = nc2_front_changed,
};
