// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: what ethtool can see and change.
 *
 * The number of queues and the size of rings are the frontend's to choose, as all
 * memory is the frontend's. A change is put into effect by another connection, see
 * nc2_front_change(), which is there when the call returns. How flows
 * are spread over the queues on which packets are received, and how long a queue
 * waits before it looks at its ring again, can be set at both ends, and take
 * effect at once.
 */
#include <linux/ethtool.h>
#include <linux/log2.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/string.h>

#include "nc2.h"

/* A ring is told in packets of the kind that most are. */
#define NC2_RING_ENTRY		((u32)sizeof(struct nc2_msg_staged))
#define NC2_MAX_RX_USECS	1000

#define NC2_STAT(_name)		{ #_name, offsetof(struct nc2_stats, _name) }

/* Of each direction of each queue. */
static const struct {
	const char *name;
	size_t offset;
} nc2_stat[] = {
	NC2_STAT(packets),
	NC2_STAT(bytes),
	NC2_STAT(dropped),
	NC2_STAT(errors),
	NC2_STAT(small),
	NC2_STAT(staged),
	NC2_STAT(copied),
	NC2_STAT(slots),
	NC2_STAT(events),
	NC2_STAT(stops),
};

static u32 nc2_ring_entries(unsigned int order)
{
	return (NC2_PAGE_SIZE << order) / NC2_RING_ENTRY;
}

static void nc2_get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	const struct nc2_dev *nd = netdev_priv(dev);

	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
	strscpy(info->bus_info, dev_name(&nd->xbdev->dev), sizeof(info->bus_info));
}

static int nc2_get_link_ksettings(struct net_device *dev,
				  struct ethtool_link_ksettings *cmd)
{
	cmd->base.speed = SPEED_UNKNOWN;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.port = PORT_OTHER;
	return 0;
}

static void nc2_get_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			      struct kernel_ethtool_ringparam *kernel_ring,
			      struct netlink_ext_ack *extack)
{
	const struct nc2_dev *nd = netdev_priv(dev);

	ring->rx_pending = nc2_ring_entries(nd->config.ring_order);
	ring->tx_pending = ring->rx_pending;
	ring->rx_max_pending = nd->backend ? ring->rx_pending :
					     nc2_ring_entries(nd->max.ring_order);
	ring->tx_max_pending = ring->rx_max_pending;
}

static int nc2_set_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			     struct kernel_ethtool_ringparam *kernel_ring,
			     struct netlink_ext_ack *extack)
{
	struct nc2_dev *nd = netdev_priv(dev);
	struct nc2_config want = nd->want;
	u32 entries = ring->rx_pending;
	int ret;

	if (nd->backend) {
		NL_SET_ERR_MSG(extack, "rings are the frontend's to choose");
		return -EOPNOTSUPP;
	}
	if (ring->tx_pending != entries) {
		NL_SET_ERR_MSG(extack, "rx and tx must be the same");
		return -EINVAL;
	}
	if (!is_power_of_2(entries) || entries < nc2_ring_entries(0)) {
		NL_SET_ERR_MSG(extack, "must be a power of two, at least 128");
		return -EINVAL;
	}
	want.ring_order = ilog2(entries / nc2_ring_entries(0));
	ret = nc2_front_change(nd, &want);
	if (ret)
		NL_SET_ERR_MSG(extack, "no connection with such rings: it is as before");
	return ret;
}

static void nc2_get_channels(struct net_device *dev, struct ethtool_channels *ch)
{
	const struct nc2_dev *nd = netdev_priv(dev);

	ch->combined_count = dev->real_num_rx_queues;
	ch->max_combined = nd->backend ? ch->combined_count : nd->max.queues;
}

static int nc2_set_channels(struct net_device *dev, struct ethtool_channels *ch)
{
	struct nc2_dev *nd = netdev_priv(dev);
	struct nc2_config want = nd->want;

	if (nd->backend)
		return -EOPNOTSUPP;
	want.queues = ch->combined_count;
	return nc2_front_change(nd, &want);
}

static int nc2_get_coalesce(struct net_device *dev, struct ethtool_coalesce *coal,
			    struct kernel_ethtool_coalesce *kernel_coal,
			    struct netlink_ext_ack *extack)
{
	const struct nc2_dev *nd = netdev_priv(dev);

	coal->rx_coalesce_usecs = nd->rx_usecs;
	return 0;
}

static int nc2_set_coalesce(struct net_device *dev, struct ethtool_coalesce *coal,
			    struct kernel_ethtool_coalesce *kernel_coal,
			    struct netlink_ext_ack *extack)
{
	struct nc2_dev *nd = netdev_priv(dev);

	if (coal->rx_coalesce_usecs > NC2_MAX_RX_USECS) {
		NL_SET_ERR_MSG(extack, "rx-usecs must be 0 to 1000");
		return -EINVAL;
	}
	WRITE_ONCE(nd->rx_usecs, coal->rx_coalesce_usecs);
	return 0;
}

/* It is the backend that chooses between a slot and the staging area. */
static int nc2_get_tunable(struct net_device *dev, const struct ethtool_tunable *tuna,
			   void *data)
{
	const struct nc2_dev *nd = netdev_priv(dev);

	if (!nd->backend || tuna->id != ETHTOOL_TX_COPYBREAK)
		return -EOPNOTSUPP;
	*(u32 *)data = nd->tx_copybreak;
	return 0;
}

static int nc2_set_tunable(struct net_device *dev, const struct ethtool_tunable *tuna,
			   const void *data)
{
	struct nc2_dev *nd = netdev_priv(dev);

	if (!nd->backend || tuna->id != ETHTOOL_TX_COPYBREAK)
		return -EOPNOTSUPP;
	WRITE_ONCE(nd->tx_copybreak, *(const u32 *)data);
	return 0;
}

/* A queue is an rx and a tx queue of the stack, so both counts are the same. */
static unsigned int nc2_stats_queues(const struct net_device *dev)
{
	return dev->real_num_rx_queues;
}

static int nc2_get_sset_count(struct net_device *dev, int sset)
{
	if (sset != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return nc2_stats_queues(dev) * 2 * ARRAY_SIZE(nc2_stat);
}

static void nc2_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	unsigned int i, j;

	if (sset != ETH_SS_STATS)
		return;
	for (i = 0; i < nc2_stats_queues(dev); i++) {
		for (j = 0; j < ARRAY_SIZE(nc2_stat); j++)
			ethtool_sprintf(&data, "rx%u_%s", i, nc2_stat[j].name);
		for (j = 0; j < ARRAY_SIZE(nc2_stat); j++)
			ethtool_sprintf(&data, "tx%u_%s", i, nc2_stat[j].name);
	}
}

/* Copy one direction's, all of the same moment. */
static u64 *nc2_put_stats(u64 *data, const struct nc2_stats *stats)
{
	unsigned int start, j;

	do {
		start = u64_stats_fetch_begin(&stats->syncp);
		for (j = 0; j < ARRAY_SIZE(nc2_stat); j++)
			data[j] = *(const u64 *)((const u8 *)stats +
						 nc2_stat[j].offset);
	} while (u64_stats_fetch_retry(&stats->syncp, start));
	return data + ARRAY_SIZE(nc2_stat);
}

static void nc2_get_stats(struct net_device *dev, struct ethtool_stats *stats,
			  u64 *data)
{
	const struct nc2_dev *nd = netdev_priv(dev);
	unsigned int i;

	for (i = 0; i < nc2_stats_queues(dev); i++) {
		data = nc2_put_stats(data, &nd->queue[i].rx_stats);
		data = nc2_put_stats(data, &nd->queue[i].tx_stats);
	}
}

/* The stack divides by the number of rings: it is never 0. */
static int nc2_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info,
			 u32 *rules)
{
	if (info->cmd != ETHTOOL_GRXRINGS)
		return -EOPNOTSUPP;
	info->data = dev->real_num_rx_queues;
	return 0;
}

static u32 nc2_get_rxfh_indir_size(struct net_device *dev)
{
	return NC2_HASH_MAP_SIZE;
}

static int nc2_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh)
{
	const struct nc2_dev *nd = netdev_priv(dev);
	unsigned int i;

	/* It is the other end's, and of its choice. */
	rxfh->hfunc = ETH_RSS_HASH_UNKNOWN;
	for (i = 0; rxfh->indir && i < NC2_HASH_MAP_SIZE; i++)
		rxfh->indir[i] = nd->hash_map[i];
	return 0;
}

static int nc2_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
			struct netlink_ext_ack *extack)
{
	struct netdev_queue *txq = netdev_get_tx_queue(dev, 0);
	struct nc2_dev *nd = netdev_priv(dev);
	unsigned int i;

	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE || rxfh->key) {
		NL_SET_ERR_MSG(extack, "the hash is the other end's");
		return -EOPNOTSUPP;
	}
	if (!(nd->config.extensions & NC2_EXT_HASH_MAP)) {
		NL_SET_ERR_MSG(extack, "the other end does not take it");
		return -EOPNOTSUPP;
	}
	if (!rxfh->indir)
		return 0;
	/* Whoever sends it has this lock. The stack has checked the values. */
	__netif_tx_lock_bh(txq);
	for (i = 0; i < NC2_HASH_MAP_SIZE; i++)
		nd->hash_map[i] = rxfh->indir[i];
	WRITE_ONCE(nd->tell_map, true);
	__netif_tx_unlock_bh(txq);
	nc2_netdev_tell(nd);
	return 0;
}

/**
 * nc2_hash_map_fit - spread flows over the queues of a new connection
 * @nd: device whose number of queues was set
 *
 * As the user has asked for it, if there are such queues; else evenly, which is
 * what the other end does untold.
 *
 * Context: process, rtnl; there is no connection.
 */
void nc2_hash_map_fit(struct nc2_dev *nd)
{
	bool fits = netif_is_rxfh_configured(nd->netdev);
	unsigned int i;

	for (i = 0; fits && i < NC2_HASH_MAP_SIZE; i++)
		fits = nd->hash_map[i] < nd->config.queues;
	for (i = 0; !fits && i < NC2_HASH_MAP_SIZE; i++)
		nd->hash_map[i] = ethtool_rxfh_indir_default(i, nd->config.queues);
	WRITE_ONCE(nd->tell_map, fits);
}

/* Of both ends; the functions refuse what is the frontend's only. */
const struct ethtool_ops nc2_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS,
	.get_drvinfo		= nc2_get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= nc2_get_link_ksettings,
	.get_ringparam		= nc2_get_ringparam,
	.set_ringparam		= nc2_set_ringparam,
	.get_channels		= nc2_get_channels,
	.set_channels		= nc2_set_channels,
	.get_coalesce		= nc2_get_coalesce,
	.set_coalesce		= nc2_set_coalesce,
	.get_tunable		= nc2_get_tunable,
	.set_tunable		= nc2_set_tunable,
	.get_sset_count		= nc2_get_sset_count,
	.get_strings		= nc2_get_strings,
	.get_ethtool_stats	= nc2_get_stats,
	.get_rxnfc		= nc2_get_rxnfc,
	.get_rxfh_indir_size	= nc2_get_rxfh_indir_size,
	.get_rxfh		= nc2_get_rxfh,
	.set_rxfh		= nc2_set_rxfh,
	.get_ts_info		= ethtool_op_get_ts_info,
};
