// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: the network device, the same at both ends.
 *
 * Carrier is there if there is a connection and the other end reads what it is
 * sent. As with xen-netfront and xen-netback it does not depend on the other
 * end's network device being up: what is sent to one that is down is dropped
 * there.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include <net/sch_generic.h>

#include "nc2.h"

#define NC2_MAX_MTU		(NC2_MAX_PACKET_BYTES - 1 - ETH_HLEN)
#define NC2_CSUM_FEATURES	(NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM)
#define NC2_SEG_FEATURES	(NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_GSO_UDP_L4)
/* A packet that the other end has not read after this long: it does not read. */
#define NC2_STALL_PERIOD	(5 * HZ)

/* Changes of what the other end takes that are looked at in a row. */
#define NC2_SETTLE_BURST	4
/* And after that, how often. */
#define NC2_SETTLE_PERIOD	HZ
/* How often a new connection is announced to the network, and how soon again. */
#define NC2_ANNOUNCEMENTS	3
#define NC2_ANNOUNCE_PERIOD	(HZ / 2)

/* Is there somebody to send to? */
static bool nc2_netdev_link(const struct nc2_dev *nd)
{
	return nc2_running(nd) && READ_ONCE(nd->peer_ready) && !READ_ONCE(nd->stalled);
}

/**
 * nc2_netdev_poke - run nd->state_work now
 * @nd: device
 *
 * Context: any.
 */
void nc2_netdev_poke(struct nc2_dev *nd)
{
	mod_delayed_work(system_wq, &nd->state_work, 0);
}

/**
 * nc2_netdev_settle - the other end has changed what it takes
 * @nd: device
 *
 * It can do so as often as it likes, and each time the features of the network
 * device may change, with rtnl, and be told to all who listen. So that is done
 * for a few changes at once, and then for all of a second together.
 *
 * Context: any.
 */
void nc2_netdev_settle(struct nc2_dev *nd)
{
	unsigned long at = READ_ONCE(nd->settle_at), now = jiffies;

	WRITE_ONCE(nd->settle, true);
	schedule_delayed_work(&nd->state_work, time_after(at, now) ? at - now : 0);
}

/**
 * nc2_netdev_tell - tell the other end what has changed here
 * @nd: device
 *
 * Context: process.
 */
void nc2_netdev_tell(struct nc2_dev *nd)
{
	/* It has changed before this. Pairs with smp_mb() in nc2_tx_tell(). */
	smp_mb();
	WRITE_ONCE(nd->tell, true);
	if (!nc2_running(nd))
		return;
	/* Does nothing if NAPI is off; then it will be told in the beginning. */
	local_bh_disable();
	napi_schedule(&nd->queue[0].napi);
	local_bh_enable();
}

static int nc2_open(struct net_device *dev)
{
	struct nc2_dev *nd = netdev_priv(dev);

	nc2_netdev_tell(nd);
	return 0;
}

static int nc2_close(struct net_device *dev)
{
	struct nc2_dev *nd = netdev_priv(dev);

	nc2_netdev_tell(nd);
	return 0;
}

static u16 nc2_select_queue(struct net_device *dev, struct sk_buff *skb,
			    struct net_device *sb_dev)
{
	struct nc2_dev *nd = netdev_priv(dev);
	unsigned int id;

	if (dev->real_num_tx_queues == 1)
		return 0;
	id = READ_ONCE(nd->peer_map[skb_get_hash(skb) % NC2_HASH_MAP_SIZE]);
	return id < dev->real_num_tx_queues ? id : 0;
}

static netdev_features_t nc2_fix_features(struct net_device *dev,
					  netdev_features_t features)
{
	struct nc2_dev *nd = netdev_priv(dev);
	u32 peer = READ_ONCE(nd->peer_features);

	/* Before there is a connection nobody is asked. */
	if (!nc2_running(nd) || !READ_ONCE(nd->peer_ready))
		return features;
	if (!READ_ONCE(nd->peer_csum))
		features &= ~(NC2_CSUM_FEATURES | NC2_SEG_FEATURES);
	if (!READ_ONCE(nd->peer_tso))
		features &= ~NETIF_F_TSO;
	if (!(peer & NC2_FEATURE_TCPV6_SEG))
		features &= ~NETIF_F_TSO6;
	if (!(peer & NC2_FEATURE_UDP_SEG))
		features &= ~NETIF_F_GSO_UDP_L4;
	return features;
}

static int nc2_set_features(struct net_device *dev, netdev_features_t features)
{
	struct nc2_dev *nd = netdev_priv(dev);

	if ((dev->features ^ features) & NETIF_F_RXCSUM) {
		/* nc2_netdev_tell() reads it. */
		dev->features ^= NETIF_F_RXCSUM;
		nc2_netdev_tell(nd);
	}
	return 0;
}

static int nc2_change_mtu(struct net_device *dev, int mtu)
{
	struct nc2_dev *nd = netdev_priv(dev);

	WRITE_ONCE(dev->mtu, mtu);
	/* The frontend is told. */
	if (nd->backend)
		nc2_netdev_poke(nd);
	return 0;
}

static void nc2_add_stats(const struct nc2_stats *stats, u64 *packets, u64 *bytes,
			  u64 *dropped, u64 *errors)
{
	u64 p, b, d, e;
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&stats->syncp);
		p = stats->packets;
		b = stats->bytes;
		d = stats->dropped;
		e = stats->errors;
	} while (u64_stats_fetch_retry(&stats->syncp, start));
	*packets += p;
	*bytes += b;
	*dropped += d;
	*errors += e;
}

static void nc2_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *tot)
{
	struct nc2_dev *nd = netdev_priv(dev);
	unsigned int i;

	for (i = 0; i < NC2_MAX_QUEUES; i++) {
		nc2_add_stats(&nd->queue[i].rx_stats, &tot->rx_packets, &tot->rx_bytes,
			      &tot->rx_dropped, &tot->rx_errors);
		nc2_add_stats(&nd->queue[i].tx_stats, &tot->tx_packets, &tot->tx_bytes,
			      &tot->tx_dropped, &tot->tx_errors);
	}
}

#ifdef CONFIG_NET_POLL_CONTROLLER
static void nc2_poll_controller(struct net_device *dev)
{
	struct nc2_dev *nd = netdev_priv(dev);
	unsigned int i;

	if (!nc2_running(nd))
		return;
	for (i = 0; i < dev->real_num_tx_queues; i++)
		napi_schedule(&nd->queue[i].napi);
}
#endif

static const struct net_device_ops nc2_netdev_ops = {
	.ndo_open		= nc2_open,
	.ndo_stop		= nc2_close,
	.ndo_start_xmit		= nc2_start_xmit,
	.ndo_select_queue	= nc2_select_queue,
	.ndo_features_check	= nc2_features_check,
	.ndo_fix_features	= nc2_fix_features,
	.ndo_set_features	= nc2_set_features,
	.ndo_change_mtu		= nc2_change_mtu,
	.ndo_get_stats64	= nc2_get_stats64,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
#ifdef CONFIG_NET_POLL_CONTROLLER
	.ndo_poll_controller	= nc2_poll_controller,
#endif
};

/**
 * nc2_netdev_go - let the queues of a connection run, if the other end is ready
 * @nd: device
 *
 * Context: process, rtnl and nd->mutex.
 *
 * Return: 0, or a negative errno and the connection has ended.
 */
int nc2_netdev_go(struct nc2_dev *nd)
{
	unsigned int queues = nd->config.queues;
	int ret;

	ASSERT_RTNL();
	lockdep_assert_held(&nd->mutex);
	if (!nd->go)
		return 0;
	nd->go = false;
	ret = netif_set_real_num_tx_queues(nd->netdev, queues);
	if (!ret)
		ret = netif_set_real_num_rx_queues(nd->netdev, queues);
	if (ret) {
		nc2_fatal(nd->xbdev, ret, "setting the number of queues to %u", queues);
		nc2_life_set(nd, NC2_LIFE_STOPPED);
		return ret;
	}
	nc2_hash_map_fit(nd);
	/* What the last one did says nothing of this one. */
	WRITE_ONCE(nd->stalled, false);
	/* The first settings of a connection do not wait. */
	WRITE_ONCE(nd->settle_at, jiffies);
	nd->announce = nd->backend ? 0 : NC2_ANNOUNCEMENTS;
	return nc2_life_set(nd, NC2_LIFE_RUNNING);
}

/* May what the other end takes be looked at? Then that counts. */
static bool nc2_netdev_may_settle(struct nc2_dev *nd)
{
	unsigned long now = jiffies;

	if (!READ_ONCE(nd->settle))
		return false;
	if (time_before(now, READ_ONCE(nd->settle_at))) {
		nc2_netdev_settle(nd);
		return false;
	}
	WRITE_ONCE(nd->settle, false);
	/* Each takes up a period. New connections do not add up to more than a burst. */
	if (time_before(nd->settle_mark, now))
		nd->settle_mark = now;
	nd->settle_mark += NC2_SETTLE_PERIOD;
	if (time_after(nd->settle_mark, now + NC2_SETTLE_BURST * NC2_SETTLE_PERIOD))
		nd->settle_mark = now + NC2_SETTLE_BURST * NC2_SETTLE_PERIOD;
	WRITE_ONCE(nd->settle_at, nd->settle_mark -
				  (NC2_SETTLE_BURST - 1) * NC2_SETTLE_PERIOD);
	return true;
}

/* Xenstore says that the MTU is another one. */
static void nc2_netdev_set_mtu(struct nc2_dev *nd)
{
	unsigned int mtu = xchg(&nd->mtu, 0);
	int ret;

	if (!mtu || mtu == nd->netdev->mtu)
		return;
	ret = dev_set_mtu(nd->netdev, mtu);
	if (ret)
		netdev_warn(nd->netdev, "the MTU cannot be set to %u: error %d\n", mtu, ret);
}

/* The frontend learns the MTU from there. */
static void nc2_netdev_tell_mtu(struct nc2_dev *nd)
{
	unsigned int mtu = READ_ONCE(nd->netdev->mtu);

	if (!nd->backend || mtu == nd->told_mtu)
		return;
	if (!xenbus_printf(XBT_NIL, nd->xbdev->nodename, "current-mtu", "%u", mtu))
		nd->told_mtu = mtu;
}

static void nc2_state_work(struct work_struct *work)
{
	struct nc2_dev *nd = container_of(work, struct nc2_dev, state_work.work);
	const char *broken = READ_ONCE(nd->broken);

	if (broken && nd->backend)
		nc2_back_fail(nd, broken);
	else if (broken)
		nc2_front_fail(nd, broken);
	rtnl_lock();
	/* Else it is not there yet, or about to go. */
	if (nd->netdev->reg_state == NETREG_REGISTERED) {
		mutex_lock(&nd->mutex);
		nc2_netdev_go(nd);
		mutex_unlock(&nd->mutex);
		nc2_netdev_set_mtu(nd);
		if (nc2_netdev_may_settle(nd))
			netdev_update_features(nd->netdev);
		if (!nc2_netdev_link(nd))
			netif_carrier_off(nd->netdev);
		else
			netif_carrier_on(nd->netdev);
		if (nd->announce && netif_carrier_ok(nd->netdev))
			schedule_delayed_work(&nd->announce_work, 0);
	}
	rtnl_unlock();
	nc2_netdev_tell_mtu(nd);
}

/*
 * Tell the network where the guest is now: it may have been moved, and switches
 * send its packets to where it was. What is sent in the moment in which carrier
 * comes on is dropped, as the device has no queueing discipline until linkwatch
 * has seen it; so wait for that. The first one may be lost on a port of a switch
 * that does not forward yet, so it is not the last.
 */
static void nc2_announce_work(struct work_struct *work)
{
	struct nc2_dev *nd = container_of(work, struct nc2_dev, announce_work.work);
	struct net_device *dev = nd->netdev;
	unsigned long delay = HZ / 50;

	rtnl_lock();
	if (!netif_running(dev) || !netif_carrier_ok(dev)) {
		nd->announce = 0;
	} else if (!qdisc_tx_is_noop(dev)) {
		call_netdevice_notifiers(NETDEV_NOTIFY_PEERS, dev);
		call_netdevice_notifiers(NETDEV_RESEND_IGMP, dev);
		nd->announce--;
		delay = NC2_ANNOUNCE_PERIOD;
	}
	if (nd->announce)
		schedule_delayed_work(&nd->announce_work, delay);
	rtnl_unlock();
}

/*
 * A guest that does not read must not keep packets here for ever: carrier off
 * frees those that wait, and lets nobody send more.
 */
static void nc2_stall_work(struct work_struct *work)
{
	struct nc2_dev *nd = container_of(work, struct nc2_dev, stall_work.work);
	bool stalled = false;
	unsigned int i;

	mutex_lock(&nd->mutex);
	nc2_slots_trim(nd);
	for (i = 0; nd->life == NC2_LIFE_RUNNING && i < nd->config.queues; i++)
		nc2_queue_trim(&nd->queue[i]);
	mutex_unlock(&nd->mutex);
	/* Each is to be looked at. */
	for (i = 0; nc2_running(nd) && i < nd->netdev->real_num_tx_queues; i++)
		stalled |= nc2_tx_stalled(&nd->queue[i]);
	if (stalled != nd->stalled) {
		WRITE_ONCE(nd->stalled, stalled);
		nc2_netdev_poke(nd);
	}
	schedule_delayed_work(&nd->stall_work, NC2_STALL_PERIOD);
}

/**
 * nc2_netdev_alloc - make a network device
 * @xbdev: its device on xenbus
 * @backend: it is the backend's
 * @name: its name, or a pattern of names
 *
 * Context: process.
 *
 * Return: the device, not registered, or NULL.
 */
struct nc2_dev *nc2_netdev_alloc(struct xenbus_device *xbdev, bool backend,
				 const char *name)
{
	struct net_device *dev;
	struct nc2_dev *nd;
	unsigned int i;

	dev = alloc_netdev_mqs(sizeof(*nd), name, NET_NAME_UNKNOWN, ether_setup,
			       NC2_MAX_QUEUES, NC2_MAX_QUEUES);
	if (!dev)
		return NULL;
	nd = netdev_priv(dev);
	nd->netdev = dev;
	nd->xbdev = xbdev;
	nd->backend = backend;
	nd->config.queues = 1;
	nd->tx_copybreak = NC2_SLOT_BYTES / 2 - 1;
	mutex_init(&nd->mutex);
	nc2_rate_init(&nd->rate);
	init_completion(&nd->answer);
	INIT_LIST_HEAD(&nd->list);
	INIT_DELAYED_WORK(&nd->state_work, nc2_state_work);
	INIT_DELAYED_WORK(&nd->announce_work, nc2_announce_work);
	INIT_DELAYED_WORK(&nd->slots_work, nc2_slots_work);
	INIT_DELAYED_WORK(&nd->connect_work,
			  backend ? nc2_back_connect_work : nc2_front_connect_work);
	INIT_DELAYED_WORK(&nd->stall_work, nc2_stall_work);
	for (i = 0; i < NC2_MAX_QUEUES; i++)
		nc2_queue_init(nd, i);

	SET_NETDEV_DEV(dev, &xbdev->dev);
	dev->netdev_ops = &nc2_netdev_ops;
	dev->ethtool_ops = &nc2_ethtool_ops;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = NC2_MAX_MTU;
	dev->hw_features = NETIF_F_SG | NETIF_F_RXCSUM | NC2_CSUM_FEATURES | NC2_SEG_FEATURES;
	/* All is copied, wherever it is; so what GRO has put together can stay so. */
	dev->features = dev->hw_features | NETIF_F_HIGHDMA | NETIF_F_FRAGLIST;
	dev->vlan_features = NETIF_F_SG | NETIF_F_HIGHDMA | NETIF_F_FRAGLIST |
			     NC2_CSUM_FEATURES | NC2_SEG_FEATURES;
	netif_set_tso_max_segs(dev, NC2_MAX_TCP_SEGS);
	netif_carrier_off(dev);
	netif_set_real_num_tx_queues(dev, 1);
	netif_set_real_num_rx_queues(dev, 1);
	return nd;
}

/**
 * nc2_netdev_free - end a network device
 * @nd: device that has no connection, registered or not
 *
 * Context: process, without locks.
 */
void nc2_netdev_free(struct nc2_dev *nd)
{
	unsigned int i;

	cancel_delayed_work_sync(&nd->connect_work);
	cancel_delayed_work_sync(&nd->stall_work);
	cancel_delayed_work_sync(&nd->slots_work);
	if (nd->netdev->reg_state == NETREG_REGISTERED)
		unregister_netdev(nd->netdev);
	/* Looks at the device only if it is registered; nobody starts it any more. */
	cancel_delayed_work_sync(&nd->state_work);
	cancel_delayed_work_sync(&nd->announce_work);
	for (i = 0; i < NC2_MAX_QUEUES; i++)
		nc2_queue_exit(&nd->queue[i]);
	mutex_destroy(&nd->mutex);
	free_netdev(nd->netdev);
}
