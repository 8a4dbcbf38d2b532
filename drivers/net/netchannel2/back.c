// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: the backend on xenbus.
 *
 * Design: what the frontend wants is read once, each number with its bounds,
 * and the grant references from a copy of its control page. Whatever is wrong
 * ends the attempt with a message and an error node; the frontend may try
 * again, any number of times. A connection is made when the hotplug script has
 * put the network device where it belongs, so that a guest's first packets are
 * not lost. What is wrong with the backend's domain, such as no memory or no room
 * in its table of mappings, is not the frontend's fault: then less is mapped, see
 * copy.c, or it is tried again later.
 *
 * Xenstore lets a driver domain have 128 watches. So one watch tells of the keys
 * of all vifs, beside the one that xenbus needs for each.
 */
#include <linux/etherdevice.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <xen/events.h>
#include <xen/xenbus.h>

#include "nc2.h"

/* How long until a connection that found no room is tried again. */
#define NC2_RETRY_PERIOD	(5 * HZ)

/* Backends of which nc2_back_key_watch tells. Taken before nd->mutex. */
static DEFINE_MUTEX(nc2_back_lock);	/* nc2_backs */
static LIST_HEAD(nc2_backs);

/**
 * nc2_back_fail - end a connection whose frontend has broken the protocol
 * @nd: backend
 * @why: what it did
 *
 * Context: process, without locks.
 */
void nc2_back_fail(struct nc2_dev *nd, const char *why)
{
	mutex_lock(&nd->mutex);
	/* If there is a new connection since, it has done nothing yet. */
	if (nd->life == NC2_LIFE_RUNNING && READ_ONCE(nd->broken)) {
		nc2_disconnect(nd);
		nc2_fatal(nd->xbdev, -EPROTO, "the other end has broken the protocol: %s", why);
	}
	WRITE_ONCE(nd->broken, NULL);
	mutex_unlock(&nd->mutex);
}

/* Have an area: map it, or know its references only. */
static int nc2_back_area(struct nc2_mem *mem, domid_t domid, const grant_ref_t *refs,
			 unsigned int pages, bool readonly, bool map)
{
	return map ? nc2_mem_map(mem, domid, refs, pages, readonly) :
		     nc2_mem_refer(mem, refs, pages);
}

/* Have the memory of a queue; @map: its staging areas are mapped. */
static int nc2_back_map(struct nc2_queue *q, const struct nc2_config *config,
			grant_ref_t control, bool map)
{
	unsigned int ring = 1U << config->ring_order, staging = config->staging_pages;
	domid_t domid = q->nd->xbdev->otherend_id;
	grant_ref_t *refs;
	int ret;

	ret = nc2_mem_map(&q->control, domid, &control, 1, false);
	if (ret)
		return ret;
	refs = kmemdup(q->control.area.page[0] + NC2_CONTROL_REFS_OFFSET,
		       2 * (ring + staging) * sizeof(*refs), GFP_KERNEL);
	if (!refs)
		return -ENOMEM;
	ret = nc2_mem_map(&q->rx_mem, domid, refs, ring, true);
	if (!ret)
		ret = nc2_mem_map(&q->tx_mem, domid, refs + ring, ring, false);
	if (!ret)
		ret = nc2_back_area(&q->rx_staging, domid, refs + 2 * ring, staging, true, map);
	if (!ret)
		ret = nc2_back_area(&q->tx_staging, domid, refs + 2 * ring + staging, staging,
				    false, map);
	kfree(refs);
	return ret;
}

/* Know the slots of a queue, whose references are in the page with this one. */
static int nc2_back_know_slots(struct nc2_queue *q, grant_ref_t ref, unsigned int slots)
{
	domid_t domid = q->nd->xbdev->otherend_id;
	unsigned int pages = slots * NC2_SLOT_PAGES;
	grant_ref_t *refs;
	int ret;

	ret = nc2_mem_map(&q->slot_refs, domid, &ref, 1, true);
	if (ret)
		return ret;
	refs = kmemdup(q->slot_refs.area.page[0], pages * sizeof(*refs), GFP_KERNEL);
	nc2_mem_free(&q->slot_refs);
	if (!refs)
		return -ENOMEM;
	ret = nc2_mem_reserve(&q->slot_mem, refs, pages);
	kfree(refs);
	return ret;
}

/* Read the keys of a queue, and map it; without @map just its rings. */
static int nc2_back_map_queue(struct nc2_queue *q, const struct nc2_config *config,
			      bool map)
{
	struct xenbus_device *xbdev = q->nd->xbdev;
	unsigned int control, slots_ref = 0;
	char path[128];
	int ret;

	if (snprintf(path, sizeof(path), "%s/queue-%u", xbdev->otherend, q->id) >= sizeof(path))
		return -ENAMETOOLONG;
	ret = nc2_read_uint(path, "control-ref", 1, UINT_MAX - 1, &control);
	if (!ret)
		ret = nc2_read_uint(path, "event-channel", 1, UINT_MAX, &q->evtchn);
	if (!ret && config->slots)
		ret = nc2_read_uint(path, "slots-ref", 1, UINT_MAX - 1, &slots_ref);
	if (!ret)
		ret = nc2_back_map(q, config, control, map);
	if (!ret && slots_ref && map)
		ret = nc2_back_know_slots(q, slots_ref, config->slots);
	if (!ret)
		ret = nc2_queue_attach(q);
	return ret ? ret : nc2_slots_begin(q);
}

static int nc2_back_bind(struct nc2_queue *q)
{
	int ret;

	snprintf(q->name, sizeof(q->name), "%s-q%u", q->nd->netdev->name, q->id);
	ret = bind_interdomain_evtchn_to_irqhandler_lateeoi(q->nd->xbdev, q->evtchn,
							    nc2_interrupt, 0, q->name, q);
	if (ret < 0)
		return ret;
	q->irq = ret;
	return 0;
}

/* There is no room for it here, whatever the frontend asks for. */
static bool nc2_back_no_room(int err)
{
	return err == -ENOMEM || err == -ENOSPC;
}

static int nc2_back_map_all(struct nc2_dev *nd, const struct nc2_config *config)
{
	bool map = nc2_may_map();
	unsigned int i;
	int ret;

	for (;;) {
		ret = 0;
		for (i = 0; !ret && i < config->queues; i++)
			ret = nc2_back_map_queue(&nd->queue[i], config, map);
		if (!nc2_back_no_room(ret) || !map)
			return ret;
		/* Then by grant copies, on all queues. */
		for (i = 0; i < config->queues; i++)
			nc2_queue_free(&nd->queue[i]);
		map = false;
	}
}

/* A size that both ends may choose in a later version, and that is as we have it. */
static bool nc2_back_wrong_size(const char *front, const char *key, unsigned int size)
{
	unsigned int n;
	int ret = nc2_read_uint(front, key, size, size, &n);

	return ret && ret != -ENOENT;
}

/* Read what the frontend wants; the name of what is wrong, or NULL. */
static const char *nc2_back_read(struct nc2_dev *nd, struct nc2_config *config)
{
	const char *front = nd->xbdev->otherend;
	unsigned int n;

	if (nc2_read_uint(front, "netchannel2", NC2_VERSION, NC2_VERSION, &n))
		return "netchannel2";
	if (nc2_back_wrong_size(front, "packet-bytes", NC2_MAX_PACKET_BYTES))
		return "packet-bytes";
	if (nc2_back_wrong_size(front, "slot-pages", NC2_SLOT_PAGES))
		return "slot-pages";
	if (nc2_read_uint(front, "num-queues", 1, nc2_max_queues(), &config->queues))
		return "num-queues";
	if (nc2_read_uint(front, "ring-page-order", 0, NC2_MAX_RING_ORDER, &config->ring_order))
		return "ring-page-order";
	if (nc2_read_uint(front, "extensions", 0, UINT_MAX, &n))
		return "extensions";
	config->extensions = n & NC2_EXTENSIONS;
	if (!(n & NC2_EXT_FEATURES) || !(n & NC2_EXT_STAGING))
		return "extensions";
	if (nc2_read_uint(front, "staging-pages", NC2_MIN_STAGING_PAGES, NC2_MAX_STAGING_PAGES,
			  &n) || !is_power_of_2(n))
		return "staging-pages";
	config->staging_pages = n;
	if ((config->extensions & NC2_EXT_SLOTS) &&
	    nc2_read_uint(front, "slots", 0, NC2_MAX_SLOTS, &config->slots))
		return "slots";
	if (config->queues * (2 * n + NC2_SLOT_PAGES * config->slots) > nc2_max_staging())
		return "staging-pages or slots";
	return NULL;
}

static void nc2_back_connect(struct nc2_dev *nd)
{
	struct xenbus_device *xbdev = nd->xbdev;
	struct nc2_config config = {};
	const char *wrong;
	unsigned int i;
	int ret;

	nc2_disconnect(nd);
	ret = nc2_life_set(nd, NC2_LIFE_SET_UP);
	if (ret)
		return;
	wrong = nc2_back_read(nd, &config);
	if (wrong) {
		nc2_fatal(xbdev, -EINVAL, "%s/%s is not possible", xbdev->otherend, wrong);
		goto undo;
	}
	ret = nc2_back_map_all(nd, &config);
	if (nc2_back_no_room(ret)) {
		dev_warn_ratelimited(&xbdev->dev,
				     "no room to map %u queues (error %d): trying again in %u s\n",
				     config.queues, ret, NC2_RETRY_PERIOD / HZ);
		schedule_delayed_work(&nd->connect_work, NC2_RETRY_PERIOD);
		goto undo;
	}
	if (ret) {
		nc2_fatal(xbdev, ret, "mapping the memory of %u queues", config.queues);
		goto undo;
	}
	for (i = 0; i < config.queues; i++) {
		ret = nc2_back_bind(&nd->queue[i]);
		if (ret) {
			nc2_fatal(xbdev, ret, "binding the event channel of queue %u", i);
			goto undo;
		}
	}
	nd->config = config;
	nd->go = true;
	xenbus_switch_state(xbdev, XenbusStateConnected);
	nc2_netdev_poke(nd);
	return;
undo:
	nc2_disconnect(nd);
}

/* Has the hotplug script said that the network device is where it belongs? */
static bool nc2_back_hotplugged(struct nc2_dev *nd)
{
	char *text = xenbus_read(XBT_NIL, nd->xbdev->nodename, "hotplug-status", NULL);
	bool yes;

	if (IS_ERR(text))
		return false;
	yes = !strcmp(text, "connected");
	kfree(text);
	return yes;
}

/* The frontend is ready. One that is not ours would be Connected. */
static void nc2_back_try(struct nc2_dev *nd)
{
	if (nd->life == NC2_LIFE_NONE && nd->xbdev->state == XenbusStateInitWait &&
	    nc2_back_hotplugged(nd) &&
	    xenbus_read_driver_state(nd->xbdev->otherend) == XenbusStateInitialised)
		nc2_back_connect(nd);
}

/**
 * nc2_back_connect_work - try again what there was no room for
 * @work: nd->connect_work of a backend
 *
 * Context: process.
 */
void nc2_back_connect_work(struct work_struct *work)
{
	struct nc2_dev *nd = container_of(work, struct nc2_dev, connect_work.work);

	mutex_lock(&nd->mutex);
	if (!nd->gone)
		nc2_back_try(nd);
	mutex_unlock(&nd->mutex);
}

/* "BYTES,MICROSECONDS" */
static void nc2_back_read_rate(struct nc2_dev *nd)
{
	unsigned long bytes, usecs;
	char *text, *comma;

	text = xenbus_read(XBT_NIL, nd->xbdev->nodename, "rate", NULL);
	if (IS_ERR(text)) {
		nc2_rate_set(&nd->rate, 0, 1);
		return;
	}
	comma = strchr(text, ',');
	if (comma)
		*comma++ = '\0';
	if (!comma || kstrtoul(text, 10, &bytes) || kstrtoul(comma, 10, &usecs) ||
	    !bytes || !usecs || bytes > U32_MAX || usecs > U32_MAX) {
		netdev_warn(nd->netdev, "rate is not BYTES,MICROSECONDS and is ignored\n");
		bytes = 0;
		usecs = 1;
	}
	nc2_rate_set(&nd->rate, bytes, usecs);
	kfree(text);
}

/* A key of a vif has changed, in its own folder, to which no guest can write. */
static void nc2_back_key_changed(struct xenbus_watch *watch, const char *path,
				 const char *token)
{
	const char *key = kbasename(path);
	size_t len = key - path - 1;
	struct nc2_dev *nd;

	mutex_lock(&nc2_back_lock);
	list_for_each_entry(nd, &nc2_backs, list) {
		const char *dir = nd->xbdev->nodename;

		if (strlen(dir) != len || strncmp(dir, path, len))
			continue;
		if (!strcmp(key, "rate"))
			nc2_back_read_rate(nd);
		mutex_lock(&nd->mutex);
		nc2_back_try(nd);
		mutex_unlock(&nd->mutex);
	}
	mutex_unlock(&nc2_back_lock);
}

/* Nothing else is of interest, so it is not queued either. */
static bool nc2_back_key_matters(struct xenbus_watch *watch, const char *path,
				 const char *token)
{
	const char *key = kbasename(path);

	return key != path && (!strcmp(key, "rate") || !strcmp(key, "hotplug-status"));
}

static struct xenbus_watch nc2_back_key_watch = {
	.node = "backend/vif",
	.will_handle = nc2_back_key_matters,
	.callback = nc2_back_key_changed,
};

/* A frontend that has gone straight to Connected is another one. */
static void nc2_back_refuse(struct nc2_dev *nd)
{
	unsigned int version;

	if (!nc2_read_uint(nd->xbdev->otherend, "netchannel2", 0, UINT_MAX, &version))
		return;
	nc2_fatal(nd->xbdev, -EOPNOTSUPP,
		  "the guest's driver of this vif does not speak netchannel2: load module netchannel2 in the guest, or remove script=vif-nc2 from its config");
}

static void nc2_back_changed(struct xenbus_device *xbdev, enum xenbus_state state)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);
	bool gone = false;

	mutex_lock(&nd->mutex);
	switch (state) {
	case XenbusStateInitialising:
		nc2_disconnect(nd);
		if (xbdev->state != XenbusStateInitWait)
			xenbus_switch_state(xbdev, XenbusStateInitWait);
		break;
	case XenbusStateInitialised:
		nc2_back_try(nd);
		break;
	case XenbusStateConnected:
		if (xbdev->state == XenbusStateInitWait)
			nc2_back_refuse(nd);
		break;
	case XenbusStateClosing:
		nc2_disconnect(nd);
		xenbus_switch_state(xbdev, XenbusStateClosing);
		break;
	case XenbusStateClosed:
	case XenbusStateUnknown:
		nc2_disconnect(nd);
		gone = state == XenbusStateUnknown || !xenbus_dev_is_online(xbdev);
		/* One that was never connected goes on waiting. */
		if (gone || xbdev->state != XenbusStateInitWait)
			xenbus_switch_state(xbdev, XenbusStateClosed);
		break;
	default:
		break;
	}
	mutex_unlock(&nd->mutex);
	if (gone)
		device_unregister(&xbdev->dev);
}

/* Keys that the frontend reads. */
static int nc2_back_write(struct nc2_dev *nd)
{
	const struct {
		const char *key;
		unsigned int value;
	} keys[] = {
		{ "max-queues", nc2_max_queues() },
		{ "max-ring-page-order", NC2_MAX_RING_ORDER },
		{ "max-staging-pages", nc2_max_staging() },
		{ "feature-extensions", NC2_EXTENSIONS },
		{ "max-packet-bytes", NC2_MAX_PACKET_BYTES },
		{ "max-slot-pages", NC2_SLOT_PAGES },
		{ "min-netchannel2", NC2_VERSION },
		{ "feature-netchannel2", NC2_VERSION },
		/*
		 * Without it xen-netfront stops in the middle, and keeps the
		 * guest's boot waiting for minutes; so it comes as far as being
		 * told, see nc2_back_refuse().
		 */
		{ "feature-rx-copy", 1 },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(keys); i++)
		ret = xenbus_printf(XBT_NIL, nd->xbdev->nodename, keys[i].key, "%u",
				    keys[i].value);
	return ret;
}

/*
 * The driver was away, and with it its network device: whoever put that on a
 * bridge has to do it again.
 */
static void nc2_back_rejoin(struct nc2_dev *nd)
{
	char *script = xenbus_read(XBT_NIL, nd->xbdev->nodename, "script", NULL);
	char *env[4] = { "NC2_REJOIN=1" };

	if (IS_ERR(script))
		return;
	env[1] = kasprintf(GFP_KERNEL, "script=%s", script);
	env[2] = kasprintf(GFP_KERNEL, "vif=%s", nd->netdev->name);
	if (env[1] && env[2])
		kobject_uevent_env(&nd->xbdev->dev.kobj, KOBJ_CHANGE, env);
	kfree(env[1]);
	kfree(env[2]);
	kfree(script);
}

static int nc2_back_probe(struct xenbus_device *xbdev, const struct xenbus_device_id *id)
{
	static const u8 mac[ETH_ALEN] = { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct nc2_dev *nd;
	char name[IFNAMSIZ];
	unsigned int handle;
	int ret;

	ret = nc2_read_uint(xbdev->nodename, "handle", 0, UINT_MAX, &handle);
	if (ret) {
		nc2_fatal(xbdev, ret, "reading %s/handle", xbdev->nodename);
		return ret;
	}
	snprintf(name, sizeof(name), "vif%u.%u", xbdev->otherend_id, handle);
	nd = nc2_netdev_alloc(xbdev, true, name);
	if (!nd)
		return -ENOMEM;
	/* Never the lowest on a bridge, which takes that as its own. */
	eth_hw_addr_set(nd->netdev, mac);
	dev_set_drvdata(&xbdev->dev, nd);
	ret = register_netdev(nd->netdev);
	if (ret) {
		nc2_fatal(xbdev, ret, "registering network device %s", name);
		goto free;
	}
	ret = nc2_back_write(nd);
	if (ret) {
		nc2_fatal(xbdev, ret, "writing to %s", xbdev->nodename);
		goto free;
	}
	mutex_lock(&nc2_back_lock);
	list_add(&nd->list, &nc2_backs);
	nc2_back_read_rate(nd);
	mutex_unlock(&nc2_back_lock);
	schedule_delayed_work(&nd->stall_work, 0);
	nc2_netdev_poke(nd);
	if (nc2_back_hotplugged(nd))
		nc2_back_rejoin(nd);
	xenbus_switch_state(xbdev, XenbusStateInitWait);
	return 0;
free:
	nc2_netdev_free(nd);
	return ret;
}

static void nc2_back_remove(struct xenbus_device *xbdev)
{
	struct nc2_dev *nd = dev_get_drvdata(&xbdev->dev);

	mutex_lock(&nc2_back_lock);
	list_del(&nd->list);
	mutex_unlock(&nc2_back_lock);
	mutex_lock(&nd->mutex);
	nd->gone = true;
	nc2_disconnect(nd);
	mutex_unlock(&nd->mutex);
	nc2_netdev_free(nd);
}

static struct xenbus_driver nc2_back_driver = {
	.name = "netchannel2",
	.ids = nc2_ids,
	.probe = nc2_back_probe,
	.remove = nc2_back_remove,
	.otherend_changed = nc2_back_changed,
};

static struct nc2_claim nc2_back_claim = {
	.drv = &nc2_back_driver,
};

/**
 * nc2_back_init - take vifs as backend
 *
 * Context: process.
 *
 * Return: 0 or a negative errno.
 */
int nc2_back_init(void)
{
	int ret;

	ret = xenbus_register_backend(&nc2_back_driver);
	if (ret)
		return ret;
	ret = register_xenbus_watch(&nc2_back_key_watch);
	if (ret) {
		xenbus_unregister_driver(&nc2_back_driver);
		return ret;
	}
	nc2_claim_start(&nc2_back_claim);
	return 0;
}

/**
 * nc2_back_exit - undo nc2_back_init()
 *
 * Context: process.
 */
void nc2_back_exit(void)
{
	nc2_claim_stop(&nc2_back_claim);
	unregister_xenbus_watch(&nc2_back_key_watch);
	xenbus_unregister_driver(&nc2_back_driver);
}
