// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: the frontend on xenbus.
 *
 * Design: all memory is the frontend's. It is given up when the backend is
 * Closed, and so has let go of it; or when it is known to be a new backend
 * (InitWait, resume) or gone. If a backend lies about that and still has pages
 * mapped, these stay allocated, and there is no new connection before the
 * backend has let go of the last one: a backend that begins anew again and again
 * cannot take more of the guest's memory than one connection needs.
 *
 * There is one way to connect, nc2_front_begin(), whether at first, after a
 * restore, after the backend was away, or since other queues are wanted. The
 * steps are those of nc2_life_set().
 *
 * A user who wants other queues or rings holds rtnl, and waits for the answer
 * (nc2_front_change()). So nothing here takes rtnl until that is there.
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
#include <xen/platform_pci.h>
#include <xen/xenbus.h>

#include "nc2.h"

/* How long to wait for a backend to let go, in steps of 20 ms. */
#define NC2_CLOSE_STEPS		250
/* How often to look whether a backend has let go of the memory of before. */
#define NC2_HELD_PERIOD		(HZ / 4)
/* How long a user waits for other queues or rings. */
#define NC2_CHANGE_TIME		(10 * HZ)
/* Ring pages of all queues of a vif, both directions, by default. */
#define NC2_RING_PAGES		128

/* nd->want.ring_order: none is wanted. */
#define NC2_RING_ORDER_DEFAULT	UINT_MAX

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

/* Give it back again, unless the backend has guessed a reference and mapped it. */
static unsigned int nc2_front_free_some(struct nc2_dev *nd, unsigned int queues)
{
	unsigned int i, held = 0;

	for (i = 0; i < queues; i++)
		held += nc2_queue_free(&nd->queue[i]);
	return held;
}

/* With less if memory is short: fewer slots, smaller areas, fewer queues. */
static int nc2_front_alloc_all(struct nc2_dev *nd, struct nc2_config *config)
{
	unsigned int i;
	int ret;

	for (;;) {
		ret = 0;
		for (i = 0; !ret && i < config->queues; i++)
			ret = nc2_front_alloc(&nd->queue[i], config);
		if (!ret)
			return 0;
		if (nc2_front_free_some(nd, config->queues))
			return -EBUSY;
		if (config->slots)
			config->slots /= 2;
		else if (config->staging_pages > NC2_MIN_STAGING_PAGES)
			config->staging_pages /= 2;
		else if (config->queues > 1)
			config->queues /= 2;
		else
			return ret;
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
		{ "packet-bytes", NC2_MAX_PACKET_BYTES },
		{ "slot-pages", NC2_SLOT_PAGES },
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

/* Staging areas and slots, @pages of them in all: 0 or -ENOSPC. */
static int nc2_front_choose_staging(struct nc2_dev *nd, struct nc2_config *config,
				    unsigned int pages)
{
	bool slots = (config->extensions & NC2_EXT_SLOTS) &&
		     xenbus_read_unsigned(nd->xbdev->nodename, "trusted", 1);
	unsigned int area;

	if (pages < 2 * NC2_MIN_STAGING_PAGES)
		return -ENOSPC;
	config->queues = min(config->queues, pages / (2 * NC2_MIN_STAGING_PAGES));
	pages /= config->queues;
	/* A backend maps the areas at once and slots as it needs them: a quarter. */
	area = max_t(unsigned int, pages / 8, NC2_MIN_STAGING_PAGES);
	config->staging_pages = min_t(unsigned int, rounddown_pow_of_two(area),
				      NC2_MAX_STAGING_PAGES);
	if (slots)
		config->slots = min_t(unsigned int, NC2_MAX_SLOTS,
				      (pages - 2 * config->staging_pages) / NC2_SLOT_PAGES);
	return 0;
}

/* Does the backend know this version, and packets and slots of our sizes? */
static bool nc2_front_version(const struct nc2_dev *nd)
{
	const char *back = nd->xbdev->otherend;
	unsigned int max;

	return !nc2_read_uint(back, "feature-netchannel2", NC2_VERSION, UINT_MAX, &max) &&
	       xenbus_read_unsigned(back, "min-netchannel2", 1) <= NC2_VERSION &&
	       xenbus_read_unsigned(back, "max-packet-bytes", NC2_MAX_PACKET_BYTES) >=
			NC2_MAX_PACKET_BYTES &&
	       xenbus_read_unsigned(back, "max-slot-pages", NC2_SLOT_PAGES) >= NC2_SLOT_PAGES;
}

/* What both ends can do, and of it what is wanted. */
static int nc2_front_choose(struct nc2_dev *nd, struct nc2_config *config)
{
	const unsigned int need = NC2_EXT_FEATURES | NC2_EXT_STAGING;
	const char *back = nd->xbdev->otherend;
	unsigned int value, staging;

	if (!nc2_front_version(nd))
		return -EOPNOTSUPP;
	value = xenbus_read_unsigned(back, "max-queues", 1);
	config->queues = clamp_t(unsigned int, value, 1, nc2_max_queues());
	value = xenbus_read_unsigned(back, "max-ring-page-order", 0);
	config->ring_order = min_t(unsigned int, value, NC2_MAX_RING_ORDER);
	config->extensions = xenbus_read_unsigned(back, "feature-extensions", 0) &
			     NC2_EXTENSIONS;
	if ((config->extensions & need) != need)
		return -EOPNOTSUPP;
	staging = xenbus_read_unsigned(back, "max-staging-pages", 0);
	staging = min(staging, nc2_max_staging());

	config->queues = min(config->queues, max(staging / (2 * NC2_MIN_STAGING_PAGES), 1U));
	nd->max = *config;
	if (nd->want.queues)
		config->queues = min(config->queues, nd->want.queues);
	value = ilog2(max(NC2_RING_PAGES / 2 / config->queues, 1U));
	if (nd->want.ring_order != NC2_RING_ORDER_DEFAULT)
		value = nd->want.ring_order;
	config->ring_order = min(config->ring_order, value);
	return nc2_front_choose_staging(nd, config, staging);
}

/* A user who waits for the next connection hears of it. */
static void nc2_front_answer(struct nc2_dev *nd, int result)
{
	if (!nd->waiting || completion_done(&nd->answer))
		return;
	nd->result = result;
	complete(&nd->answer);
}

/* Get memory and event channels, and offer them: 0, or a negative errno. */
static int nc2_front_offer(struct nc2_dev *nd)
{
	struct xenbus_device *xbdev = nd->xbdev;
	struct nc2_config config = {};
	unsigned int i;
	int ret;

	ret = nc2_front_choose(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret,
			  "backend does not speak netchannel2 version %d as this driver does",
			  NC2_VERSION);
		return ret;
	}
	ret = nc2_front_alloc_all(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret, "allocating memory for %u queues", config.queues);
		return ret;
	}
	for (i = 0; i < config.queues; i++) {
		ret = nc2_front_bind(&nd->queue[i]);
		if (ret) {
			nc2_fatal(xbdev, ret, "allocating the event channel of queue %u", i);
			return ret;
		}
	}
	nd->config = config;
	ret = nc2_front_write(nd, &config);
	if (ret) {
		nc2_fatal(xbdev, ret, "writing to xenstore");
		return ret;
	}
	xenbus_switch_state(xbdev, XenbusStateInitialised);
	return 0;
}

/* The MTU is told by Xen's scripts in our folder, by the backend in its own. */
static void nc2_front_mtu(struct nc2_dev *nd, unsigned int which)
{
	unsigned int mtu;

	/*
	 * By the path of the watch: xbdev->otherend is replaced at resume, when
	 * this may run. The user may have set another one since, which stays until
	 * there is news.
	 */
	if (nc2_read_uint(nd->mtu_watch[which].node, "", nd->netdev->min_mtu,
			  nd->netdev->max_mtu, &mtu) || mtu == nd->mtu_seen[which])
		return;
	nd->mtu_seen[which] = mtu;
	WRITE_ONCE(nd->mtu, mtu);
	nc2_netdev_poke(nd);
}

static void nc2_front_own_mtu_changed(struct xenbus_watch *watch, const char *path,
				      const char *token)
{
	nc2_front_mtu(container_of(watch, struct nc2_dev, mtu_watch[0]), 0);
}

static void nc2_front_peer_mtu_changed(struct xenbus_watch *watch, const char *path,
				       const char *token)
{
	nc2_front_mtu(container_of(watch, struct nc2_dev, mtu_watch[1]), 1);
}

static void nc2_front_unwatch_mtu(struct nc2_dev *nd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nd->mtu_watch); i++) {
		if (!nd->mtu_watch[i].node)
			continue;
		unregister_xenbus_watch(&nd->mtu_watch[i]);
		kfree(nd->mtu_watch[i].node);
		nd->mtu_watch[i].node = NULL;
	}
}

/*
 * Of the backend that there is now. A vif without these watches works, too. Without
 * nd->mutex, as the callbacks of xenwatch, which is waited for, take that.
 */
static void nc2_front_watch_mtu(struct nc2_dev *nd)
{
	unsigned int i;
	int ret;

	nc2_front_unwatch_mtu(nd);
	for (i = 0; i < ARRAY_SIZE(nd->mtu_watch); i++) {
		struct xenbus_watch *watch = &nd->mtu_watch[i];

		watch->node = kasprintf(GFP_KERNEL, i ? "%s/current-mtu" : "%s/mtu",
					i ? nd->xbdev->otherend : nd->xbdev->nodename);
		watch->callback = i ? nc2_front_peer_mtu_changed : nc2_front_own_mtu_changed;
		ret = watch->node ? register_xenbus_watch(watch) : -ENOMEM;
		if (!ret)
			continue;
		dev_warn(&nd->xbdev->dev, "%s cannot be watched: error %d\n",
			 watch->node ? watch->node : "the MTU", ret);
		kfree(watch->node);
		watch->node = NULL;
	}
}

/*
 * Connect to a backend that is in InitWait, when it has let go of what there was
 * of another connection.
 */
static void nc2_front_begin(struct nc2_dev *nd)
{
	int ret;

	if (nc2_disconnect(nd)) {
		dev_warn_ratelimited(&nd->xbdev->dev,
				     "the backend still has memory of the last connection mapped: there is no new one before it lets go\n");
		schedule_delayed_work(&nd->connect_work, NC2_HELD_PERIOD);
		return;
	}
	ret = nc2_life_set(nd, NC2_LIFE_SET_UP);
	if (!ret)
		ret = nc2_front_offer(nd);
	if (ret) {
		if (nc2_disconnect(nd))
			schedule_delayed_work(&nd->connect_work, NC2_HELD_PERIOD);
		nc2_front_answer(nd, ret);
	}
}

/**
 * nc2_front_connect_work - look again at memory that a backend has not let go of
 * @work: nd->connect_work of a frontend
 *
 * Context: process.
 */
void nc2_front_connect_work(struct work_struct *work)
{
	struct nc2_dev *nd = container_of(work, struct nc2_dev, connect_work.work);

	mutex_lock(&nd->mutex);
	if (nd->life == NC2_LIFE_STOPPED && !nd->gone) {
		if (xenbus_read_driver_state(nd->xbdev->otherend) == XenbusStateInitWait)
			nc2_front_begin(nd);
		else if (nc2_disconnect(nd))
			schedule_delayed_work(&nd->connect_work, NC2_HELD_PERIOD);
	}
	mutex_unlock(&nd->mutex);
}

static void nc2_front_backend_closed(struct nc2_dev *nd, enum xenbus_state state)
{
	nc2_life_set(nd, NC2_LIFE_STOPPED);
	if (state == XenbusStateClosed) {
		if (nc2_disconnect(nd))
			schedule_delayed_work(&nd->connect_work, NC2_HELD_PERIOD);
		if (nd->reconnecting) {
			nd->reconnecting = false;
			xenbus_switch_state(nd->xbdev, XenbusStateInitialising);
			return;
		}
		/* It has not answered that yet, so this is of before. */
		if (nd->xbdev->state == XenbusStateInitialising)
			return;
	}
	if (!nd->reconnecting)
		nc2_front_answer(nd, -ECONNREFUSED);
	if (nd->xbdev->state != XenbusStateClosed)
		xenbus_frontend_closed(nd->xbdev);
}

/* Leave, and connect anew as soon as the backend is ready for it. */
static void nc2_front_again(struct nc2_dev *nd)
{
	nc2_life_set(nd, NC2_LIFE_STOPPED);
	nd->reconnecting = true;
	xenbus_switch_state(nd->xbdev, XenbusStateClosed);
	switch (xenbus_read_driver_state(nd->xbdev->otherend)) {
	case XenbusStateInitWait:
		/* It was not connected, so it goes on waiting. */
		nd->reconnecting = false;
		xenbus_switch_state(nd->xbdev, XenbusStateInitialising);
		nc2_front_begin(nd);
		break;
	case XenbusStateClosed:
		/* If it was so before, it does not tell again. */
		nc2_front_backend_closed(nd, XenbusStateClosed);
		break;
	default:
		break;
	}
}

/* Connect as it is wanted now, and wait for that. */
static int nc2_front_apply(struct nc2_dev *nd, const struct nc2_config *want)
{
	int ret;

	mutex_lock(&nd->mutex);
	if (nd->gone) {
		mutex_unlock(&nd->mutex);
		return -ENODEV;
	}
	nd->want = *want;
	if (nd->life == NC2_LIFE_NONE && !nd->waiting && !nd->reconnecting) {
		/* There is no backend. */
		mutex_unlock(&nd->mutex);
		return 0;
	}
	nd->waiting = true;
	nd->result = -ETIMEDOUT;
	reinit_completion(&nd->answer);
	nc2_front_again(nd);
	mutex_unlock(&nd->mutex);

	wait_for_completion_timeout(&nd->answer, NC2_CHANGE_TIME);

	mutex_lock(&nd->mutex);
	ret = nd->result;
	if (!ret)
		ret = nc2_netdev_go(nd);
	if (!ret && want->queues && nd->config.queues != want->queues)
		ret = -ENOMEM;
	if (!ret)
		nd->waiting = false;
	mutex_unlock(&nd->mutex);
	nc2_netdev_poke(nd);
	return ret;
}

/**
 * nc2_front_change - put into effect what the user has asked for
 * @nd: frontend
 * @want: what is wanted
 *
 * It takes a turn through Closed, as the backend has to let go of the old
 * queues. If there is no connection, the next one will be like that. If it
 * fails, the connection is again what it was.
 *
 * Context: process, rtnl.
 *
 * Return: 0; -ENOMEM if there is no memory for it; -ETIMEDOUT if the backend
 * does not answer; another negative errno if it refuses.
 */
int nc2_front_change(struct nc2_dev *nd, const struct nc2_config *want)
{
	struct nc2_config old = nd->want;
	int ret, again;

	ASSERT_RTNL();
	ret = nc2_front_apply(nd, want);
	if (!ret)
		return 0;
	again = nc2_front_apply(nd, &old);
	if (again)
		netdev_warn(nd->netdev, "the connection of before is not back yet: error %d\n",
			    again);
	mutex_lock(&nd->mutex);
	nd->waiting = false;
	mutex_unlock(&nd->mutex);
	return ret;
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
	/* If there is a new connection since, it has done nothing yet. */
	if (nd->life == NC2_LIFE_RUNNING && READ_ONCE(nd->broken)) {
		nc2_life_set(nd, NC2_LIFE_STOPPED);
		nc2_fatal(nd->xbdev, -EPROTO, "the other end has broken the protocol: %s", why);
	}
	WRITE_ONCE(nd->broken, NULL);
	mutex_unlock(&nd->mutex);
}

static void nc2_front_changed(struct xenbus_device *xbdev, enum xenbus_state state)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);

	mutex_lock(&nd->mutex);
	switch (state) {
	case XenbusStateInitWait:
		/* What was offered stands: a state may be told more than once. */
		if (nd->life == NC2_LIFE_SET_UP && xbdev->state == XenbusStateInitialised)
			break;
		/* What there was is with a backend that is no more. */
		nd->reconnecting = false;
		nc2_front_begin(nd);
		break;
	case XenbusStateConnected:
		if (nd->life != NC2_LIFE_SET_UP)
			break;
		nd->go = true;
		xenbus_switch_state(xbdev, XenbusStateConnected);
		nc2_front_answer(nd, 0);
		nc2_netdev_poke(nd);
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
	nd->want.ring_order = NC2_RING_ORDER_DEFAULT;
	nd->max.queues = 1;
	nd->max.ring_order = NC2_MAX_RING_ORDER;
	ret = nc2_front_read_mac(nd);
	if (ret) {
		nc2_fatal(xbdev, ret, "reading %s/mac", xbdev->nodename);
		goto free;
	}
	/* For the time until Xen's script or the backend say what it is now. */
	if (!nc2_read_uint(xbdev->otherend, "mtu", nd->netdev->min_mtu, nd->netdev->max_mtu,
			   &mtu))
		nd->netdev->mtu = mtu;
	dev_set_drvdata(&xbdev->dev, nd);
	ret = register_netdev(nd->netdev);
	if (ret) {
		nc2_fatal(xbdev, ret, "registering the network device");
		goto free;
	}
	nc2_front_watch_mtu(nd);
	xenbus_switch_state(xbdev, XenbusStateInitialising);
	return 0;
free:
	nc2_netdev_free(nd);
	return ret;
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

/*
 * The domain was restored or moved, and has another backend; or it was suspended to
 * RAM by its own user, and then the backend knows nothing of that and is still
 * connected.
 */
static int nc2_front_resume(struct xenbus_device *xbdev)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);

	mutex_lock(&nd->mutex);
	nd->reconnecting = false;
	if (nc2_front_has_backend(nd))
		nc2_front_again(nd);
	else if (nc2_disconnect(nd))
		schedule_delayed_work(&nd->connect_work, NC2_HELD_PERIOD);
	mutex_unlock(&nd->mutex);
	/* The backend may have another folder. */
	nc2_front_watch_mtu(nd);
	return 0;
}

static void nc2_front_remove(struct xenbus_device *xbdev)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);
	unsigned int i;

	nc2_front_unwatch_mtu(nd);
	mutex_lock(&nd->mutex);
	nd->gone = true;
	nc2_life_set(nd, NC2_LIFE_STOPPED);
	nc2_front_answer(nd, -ENODEV);
	mutex_unlock(&nd->mutex);
	xenbus_switch_state(xbdev, XenbusStateClosed);
	/* Without a lock: only this function still does anything with the device. */
	for (i = 0; i < NC2_CLOSE_STEPS && nc2_front_has_backend(nd); i++)
		msleep(20);
	mutex_lock(&nd->mutex);
	if (nc2_disconnect(nd)) {
		for (i = 0; i < NC2_MAX_QUEUES; i++)
			nc2_queue_abandon(&nd->queue[i]);
	}
	mutex_unlock(&nd->mutex);
	nc2_netdev_free(nd);
}

static struct xenbus_driver nc2_front_driver = {
	.name = "netchannel2",
	.ids = nc2_ids,
	.probe = nc2_front_probe,
	.remove = nc2_front_remove,
	.resume = nc2_front_resume,
	.otherend_changed = nc2_front_changed,
};

static struct nc2_claim nc2_front_claim = {
	.drv = &nc2_front_driver,
};

/**
 * nc2_front_init - take vifs as frontend
 *
 * Not in an HVM guest that keeps its emulated cards: each vif is there as such a
 * card, too, with the same address.
 *
 * Context: process.
 *
 * Return: 0 or a negative errno.
 */
int nc2_front_init(void)
{
	int ret;

	if (!xen_has_pv_nic_devices())
		return 0;
	ret = xenbus_register_frontend(&nc2_front_driver);
	if (!ret)
		nc2_claim_start(&nc2_front_claim);
	return ret;
}

/**
 * nc2_front_exit - undo nc2_front_init()
 *
 * Context: process.
 */
void nc2_front_exit(void)
{
	if (!xen_has_pv_nic_devices())
		return;
	nc2_claim_stop(&nc2_front_claim);
	xenbus_unregister_driver(&nc2_front_driver);
}
