// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: transmission.
 *
 * Design: a packet is copied into the ring, if it is small, or into the staging
 * area, and then it is the stack's again: nothing waits for the other end. But
 * when many are under way the sender's socket has to notice, else it goes on and
 * the receiver's gets more in one go than it can hold. So from then on the skb
 * of a socket, without its pages, is kept until its message was consumed, for
 * which there is an event then. What was forwarded has no socket, and its pages
 * may be another guest's: it is never kept (nc2_tx_keep()).
 *
 * Whatever the stack hands in is described by struct nc2_packet and checked as
 * the receiver will do it, before anything is written; what the receiver would
 * not take is cut into segments by the stack, if that helps
 * (nc2_features_check()), and is dropped and counted else.
 *
 * What is in use of ring and area is known from struct nc2_sent, one for each
 * packet, which are freed in order when the other end's cons has passed their
 * message. A backend that could not map the staging areas writes there by grant
 * copies, see copy.c. It puts large packets into slots of a frontend that has
 * such, as far as they have come back.
 *
 * A queue is stopped while there might be no room for the largest packet, so a
 * packet that comes always fits. It asks for an event then, at half of what
 * is under way: not each packet that leaves wakes it.
 */
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <net/sock.h>

#include <xen/events.h>

#include "nc2.h"

/* Up to here a packet is put into its message. */
#define NC2_SMALL_BYTES		NC2_MAX_PREFIX_BYTES
/* Where packets begin in the area. */
#define NC2_STAGING_ALIGN	64
/* So many are under way before an skb is kept. */
#define NC2_KEEP_PACKETS	16
#define NC2_TX_MAX_MSG		(sizeof(struct nc2_msg_packet) + NC2_SMALL_BYTES)
/* A kind of segments that there is no message for. */
#define NC2_TX_SEG_UNKNOWN	0xff

static struct netdev_queue *nc2_txq(struct nc2_queue *q)
{
	return netdev_get_tx_queue(q->nd->netdev, q->id);
}

/**
 * nc2_tx_notify - show the other end what was put into the ring
 * @q: queue
 *
 * Context: lock of the transmit queue.
 */
void nc2_tx_notify(struct nc2_queue *q)
{
	if (READ_ONCE(q->broken) || !nc2_producer_publish(&q->tx))
		return;
	notify_remote_via_irq(q->irq);
	q->tx_stats.events++;
}

/* Is there room for any packet, and for what must not fail afterwards? */
static bool nc2_tx_room(const struct nc2_queue *q)
{
	return nc2_producer_room(&q->tx, NC2_TX_MAX_MSG, NC2_RESERVE) &&
	       q->tx_staging.area.size - (q->area_prod - q->area_cons) >=
			q->limits.packet + NC2_STAGING_ALIGN &&
	       q->sent_prod - q->sent_cons < NC2_MAX_SENT;
}

static void nc2_tx_put_skb(struct nc2_queue *q, struct nc2_sent *sent)
{
	if (!sent->kept)
		return;
	/* Of what has no socket there is none. */
	dev_consume_skb_any(sent->skb);
	sent->skb = NULL;
	sent->kept = false;
	q->kept--;
}

/* Free what the other end is through with; true if there were. */
static bool nc2_tx_reclaim(struct nc2_queue *q)
{
	unsigned int packets = 0, bytes = 0;

	if (nc2_producer_refresh(&q->tx)) {
		nc2_queue_break(q, "impossible consumer counter");
		return false;
	}
	while (q->sent_cons != q->sent_prod) {
		struct nc2_sent *sent = &q->sent[q->sent_cons % NC2_MAX_SENT];

		if ((s32)(q->tx.cons - sent->end) < 0)
			break;
		nc2_tx_put_skb(q, sent);
		q->area_cons = sent->area_end;
		bytes += sent->len;
		packets++;
		q->sent_cons++;
	}
	if (packets)
		netdev_tx_completed_queue(nc2_txq(q), packets, bytes);
	return packets;
}

/* Has the counter passed at which an event was asked for, as far as is known? */
static bool nc2_tx_waited(const struct nc2_queue *q)
{
	return (s32)(q->tx.cons - q->wait_for) >= 0;
}

/* There is no room, or too much under way: ask for an event when that is over. */
static void nc2_tx_wait(struct nc2_queue *q)
{
	u32 used;

	nc2_tx_notify(q);
	do {
		used = q->tx.prod - q->tx.cons;
		q->wait_for = q->tx.cons + (used + 1) / 2;
		if (used)
			nc2_producer_arm(&q->tx, (used + 1) / 2);
		nc2_tx_reclaim(q);
		/* If it was passed meanwhile there is no event; ask for a later one. */
	} while (used && nc2_tx_waited(q));
}

/**
 * nc2_tx_go_on - let a queue that was stopped go on, if there is room now
 * @q: queue
 *
 * Context: lock of the transmit queue.
 */
void nc2_tx_go_on(struct nc2_queue *q)
{
	if (netif_tx_queue_stopped(nc2_txq(q)) && nc2_tx_room(q))
		netif_tx_wake_queue(nc2_txq(q));
}

/*
 * Copy a packet to an area; returns where it ends. It may be a list of packets,
 * as GRO leaves it: so this calls itself, as skb_copy_bits() does.
 */
static u32 nc2_tx_write(const struct nc2_area *area, u32 pos, const struct sk_buff *skb)
{
	const struct sk_buff *next;
	unsigned int i;

	nc2_area_write(area, pos, skb->data, skb_headlen(skb));
	pos += skb_headlen(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		u32 off, len, done;
		struct page *page;

		skb_frag_foreach_page(frag, skb_frag_off(frag), skb_frag_size(frag),
				      page, off, len, done) {
			void *from = kmap_local_page(page);

			nc2_area_write(area, pos, from + off, len);
			kunmap_local(from);
			pos += len;
		}
	}
	skb_walk_frags(skb, next)
		pos = nc2_tx_write(area, pos, next);
	return pos;
}

/* Copy a packet to the staging area; returns where it begins. */
static u32 nc2_tx_stage(struct nc2_queue *q, const struct sk_buff *skb)
{
	u32 start = ALIGN(q->area_prod, NC2_STAGING_ALIGN);

	if (q->tx_staging.area.page)
		nc2_tx_write(&q->tx_staging.area, start, skb);
	else if (nc2_copy_skb(q, &q->tx_staging, start, skb, true))
		nc2_queue_break(q, "staging area that cannot be written");
	q->area_prod = start + skb->len;
	return start;
}

/* Copy a packet to a slot that is free; returns its number. */
static u32 nc2_tx_fill_slot(struct nc2_queue *q, const struct sk_buff *skb)
{
	unsigned int slot = __ffs64(q->free_slots);
	const struct nc2_area area = {
		.page = q->slot_mem.area.page + slot * (q->limits.slot / NC2_PAGE_SIZE),
		.size = q->limits.slot,
	};

	nc2_tx_write(&area, 0, skb);
	q->free_slots &= ~BIT_ULL(slot);
	return slot;
}

static u8 nc2_tx_seg(const struct sk_buff *skb)
{
	unsigned int type = skb_shinfo(skb)->gso_type;

	if (!skb_is_gso(skb))
		return NC2_SEG_NONE;
	/* The headers have been checked by then, and IP's ID may be any. */
	switch (type & ~(SKB_GSO_DODGY | SKB_GSO_TCP_FIXEDID)) {
	case SKB_GSO_TCPV4:
		return NC2_SEG_TCPV4;
	case SKB_GSO_TCPV6:
		return NC2_SEG_TCPV6;
	case SKB_GSO_UDP_L4:
		return vlan_get_protocol(skb) == htons(ETH_P_IP) ? NC2_SEG_UDPV4 :
								   NC2_SEG_UDPV6;
	}
	return NC2_TX_SEG_UNKNOWN;
}

static u8 nc2_tx_flags(const struct sk_buff *skb)
{
	switch (skb->ip_summed) {
	case CHECKSUM_PARTIAL:
		return NC2_PACKET_CSUM_BLANK;
	case CHECKSUM_UNNECESSARY:
		return NC2_PACKET_DATA_VALIDATED;
	}
	return 0;
}

/* Describe a packet as the other end is going to see it; nothing is checked. */
static void nc2_tx_describe(const struct sk_buff *skb, struct nc2_packet *p)
{
	p->len = skb->len;
	p->flags = nc2_tx_flags(skb);
	p->seg = nc2_tx_seg(skb);
	p->mss = skb_shinfo(skb)->gso_size;
	p->csum_start = 0;
	p->csum_offset = 0;
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		p->csum_start = max(skb_checksum_start_offset(skb), 0);
		p->csum_offset = skb->csum_offset;
	}
	p->hash_type = NC2_HASH_NONE;
	p->hash = skb->hash;
	if (skb->hash)
		p->hash_type = skb->l4_hash ? NC2_HASH_L4 : NC2_HASH_L3;
}

static void nc2_tx_put_staged(struct nc2_queue *q, const struct sk_buff *skb,
			      const struct nc2_packet *p)
{
	struct nc2_msg_staged m;

	nc2_write_staged(p, &m);
	if (p->len > READ_ONCE(q->nd->tx_copybreak) && p->len <= q->limits.slot &&
	    nc2_slot_wanted(q)) {
		m.hdr.type = NC2_MSG_SLOT;
		m.offset = nc2_tx_fill_slot(q, skb);
		q->tx_stats.slots++;
	} else {
		m.offset = nc2_tx_stage(q, skb) & (q->tx_staging.area.size - 1);
		q->tx_stats.staged += !!q->tx_staging.area.page;
		q->tx_stats.copied += !q->tx_staging.area.page;
	}
	nc2_producer_put(&q->tx, &m, sizeof(m), NULL, 0);
}

static void nc2_tx_put_small(struct nc2_queue *q, const struct sk_buff *skb,
			     const struct nc2_packet *p)
{
	struct nc2_msg_packet m;
	u8 data[NC2_SMALL_BYTES];
	const void *from = skb->data;

	nc2_write_packet(p, NC2_PACKET_SMALL, &m);
	m.hdr.size = round_up(sizeof(m) + skb->len, 8);
	m.prefix_size = skb->len;
	if (skb_is_nonlinear(skb)) {
		skb_copy_bits(skb, 0, data, skb->len);
		from = data;
	}
	nc2_producer_put(&q->tx, &m, sizeof(m), from, skb->len);
	q->tx_stats.small++;
}

/*
 * Make the packet one that the other end takes, and describe it; or say that it is
 * not one.
 */
static bool nc2_tx_prepare(struct nc2_queue *q, struct sk_buff *skb, struct nc2_packet *p)
{
	const struct nc2_dev *nd = q->nd;
	u32 features = READ_ONCE(nd->peer_features);

	nc2_tx_describe(skb, p);
	if (nc2_check_packet(p, q->limits.packet))
		return false;
	switch (p->seg) {
	case NC2_SEG_NONE:
		if (skb->ip_summed == CHECKSUM_PARTIAL && !READ_ONCE(nd->peer_csum)) {
			if (skb_checksum_help(skb))
				return false;
			nc2_tx_describe(skb, p);
		}
		return true;
	case NC2_SEG_TCPV4:
		return READ_ONCE(nd->peer_tso);
	case NC2_SEG_TCPV6:
		return features & NC2_FEATURE_TCPV6_SEG;
	default:
		return features & NC2_FEATURE_UDP_SEG;
	}
}

/* Give slots back whose packet the stack has let go of. */
static void nc2_tx_free_slots(struct nc2_queue *q)
{
	struct nc2_msg_free_slots m = {
		.hdr = { .type = NC2_MSG_FREE_SLOTS, .size = sizeof(m) },
	};
	unsigned int pages = q->limits.slot / NC2_PAGE_SIZE, slot;

	if (bitmap_empty(q->used_slots, NC2_MAX_SLOTS) ||
	    !nc2_producer_room(&q->tx, sizeof(m), NC2_RESERVE))
		return;
	for_each_set_bit(slot, q->used_slots, NC2_MAX_SLOTS) {
		/* The packet's reference is there. Pairs with the one in nc2_rx_take_slot(). */
		smp_rmb();
		/* Who had it has read it before, and it is told by a release. */
		if (page_ref_count(q->slot_mem.pages[slot * pages]) != pages)
			continue;
		clear_bit(slot, q->used_slots);
		m.slots |= BIT_ULL(slot);
	}
	if (m.slots)
		nc2_producer_put(&q->tx, &m, sizeof(m), NULL, 0);
}

/*
 * If much is under way, keep the skb until its message was consumed, so that its
 * socket notices; else free it. Its content was copied, so pages go back at once:
 * they may be of a user who waits for them, or of another guest. Of what has no
 * socket only the place is kept: there is an event when it was consumed, too.
 */
static void nc2_tx_keep(struct nc2_queue *q, struct nc2_sent *sent, struct sk_buff *skb)
{
	/* TCP has its window, and segments are TCP's mostly. */
	sent->kept = q->sent_prod - q->sent_cons > NC2_KEEP_PACKETS && !skb_is_gso(skb);
	q->kept += sent->kept;
	if (sent->kept && skb->sk && !skb_zcopy(skb) && !skb_shared(skb) &&
	    (!skb_is_nonlinear(skb) || !pskb_trim(skb, 0)))
		sent->skb = skb;
	else
		dev_consume_skb_any(skb);
}

/**
 * nc2_features_check - what can be left to the other end for a packet
 * @skb: packet
 * @dev: network device
 * @features: of the device, for this packet
 *
 * Context: any.
 *
 * Return: @features, without segmentation if the other end would not take the
 * packet as a whole; the stack cuts it up then.
 */
netdev_features_t nc2_features_check(struct sk_buff *skb, struct net_device *dev,
				     netdev_features_t features)
{
	const struct nc2_dev *nd = netdev_priv(dev);
	struct nc2_packet p;

	if (skb_is_gso(skb)) {
		nc2_tx_describe(skb, &p);
		/* The tag is not in the packet yet. */
		if (skb_vlan_tag_present(skb))
			p.len += VLAN_HLEN;
		if (nc2_check_packet(&p, nd->queue[0].limits.packet))
			features &= ~NETIF_F_GSO_MASK;
	}
	return vlan_features_check(skb, features);
}

/**
 * nc2_start_xmit - send a packet
 * @skb: packet
 * @dev: network device
 *
 * Context: lock of the transmit queue.
 *
 * Return: NETDEV_TX_OK;
 * NETDEV_TX_BUSY if answers have taken the room since the last packet.
 */
netdev_tx_t nc2_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct nc2_dev *nd = netdev_priv(dev);
	struct nc2_queue *q = &nd->queue[skb_get_queue_mapping(skb)];
	struct netdev_queue *txq = nc2_txq(q);
	struct nc2_sent *sent;
	u32 len = skb->len;
	struct nc2_packet p;
	bool notify;

	/* Acquire: with what the other end has said. Pairs with nc2_rx_set(). */
	if (!q->live || READ_ONCE(q->broken) || !smp_load_acquire(&nd->peer_ready) ||
	    nc2_resumed(q) || !nc2_tx_prepare(q, skb, &p)) {
		q->tx_stats.dropped++;
		/* What was sent with "more to come" must not wait for this one. */
		if (q->live && !nc2_resumed(q))
			nc2_tx_notify(q);
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	if (unlikely(!nc2_tx_room(q))) {
		netif_tx_stop_queue(txq);
		nc2_tx_wait(q);
		nc2_tx_go_on(q);
		return NETDEV_TX_BUSY;
	}
	sent = &q->sent[q->sent_prod % NC2_MAX_SENT];
	skb_tx_timestamp(skb);
	u64_stats_update_begin(&q->tx_stats.syncp);
	if (len <= NC2_SMALL_BYTES)
		nc2_tx_put_small(q, skb, &p);
	else
		nc2_tx_put_staged(q, skb, &p);
	q->tx_stats.packets++;
	q->tx_stats.bytes += len;
	u64_stats_update_end(&q->tx_stats.syncp);
	sent->end = q->tx.prod;
	sent->area_end = q->area_prod;
	sent->len = len;
	q->sent_prod++;
	nc2_tx_keep(q, sent, skb);
	nc2_tx_free_slots(q);

	notify = __netdev_tx_sent_queue(txq, len, netdev_xmit_more());
	if (!nc2_tx_room(q) && !(nc2_tx_reclaim(q) && nc2_tx_room(q))) {
		netif_tx_stop_queue(txq);
		q->tx_stats.stops++;
		nc2_tx_wait(q);
		if (nc2_tx_room(q))
			netif_tx_start_queue(txq);
	} else if (netif_xmit_stopped(txq) || (q->kept && nc2_tx_waited(q))) {
		nc2_tx_wait(q);
	} else if (notify) {
		nc2_tx_notify(q);
	}
	return NETDEV_TX_OK;
}

/* What the other end has to know of this one, if that has changed. */
static void nc2_tx_tell(struct nc2_queue *q)
{
	struct nc2_dev *nd = q->nd;
	struct nc2_msg_set_offload offload = {
		.hdr = { .type = NC2_MSG_SET_OFFLOAD, .size = sizeof(offload) },
	};
	struct nc2_msg_set_features features = {
		.hdr = { .type = NC2_MSG_SET_FEATURES, .size = sizeof(features) },
	};
	netdev_features_t have;

	if (!READ_ONCE(nd->tell) ||
	    !nc2_producer_room(&q->tx, sizeof(offload) + sizeof(features), NC2_ANSWER_BYTES))
		return;
	WRITE_ONCE(nd->tell, false);
	/* Look at what is told only now. Pairs with smp_mb() in nc2_netdev_tell(). */
	smp_mb();
	have = READ_ONCE(nd->netdev->features);
	offload.csum = !!(have & NETIF_F_RXCSUM);
	offload.tcpv4_segmentation_offload = offload.csum;
	nc2_producer_put(&q->tx, &offload, sizeof(offload), NULL, 0);
	if (!(nd->config.extensions & NC2_EXT_FEATURES))
		return;
	if (netif_running(nd->netdev))
		features.features |= NC2_FEATURE_LINK;
	features.features |= NC2_FEATURE_STAGING;
	if (have & NETIF_F_RXCSUM)
		features.features |= NC2_FEATURE_TCPV6_SEG | NC2_FEATURE_UDP_SEG;
	nc2_producer_put(&q->tx, &features, sizeof(features), NULL, 0);
}

static void nc2_tx_tell_map(struct nc2_queue *q)
{
	struct nc2_dev *nd = q->nd;
	struct nc2_msg_set_hash_map m = {
		.hdr = { .type = NC2_MSG_SET_HASH_MAP, .size = sizeof(m) },
	};

	if (!READ_ONCE(nd->tell_map) ||
	    !nc2_producer_room(&q->tx, sizeof(m), NC2_ANSWER_BYTES))
		return;
	WRITE_ONCE(nd->tell_map, false);
	if (!(nd->config.extensions & NC2_EXT_HASH_MAP))
		return;
	memcpy(m.map, nd->hash_map, sizeof(m.map));
	nc2_producer_put(&q->tx, &m, sizeof(m), NULL, 0);
}

static void nc2_tx_answer(struct nc2_queue *q)
{
	struct nc2_msg_finish_packet m = {
		.hdr = { .type = NC2_MSG_FINISH_PACKET, .size = sizeof(m) },
	};
	unsigned int i;

	for (i = 0; i < q->nr_finished; i++) {
		/* There was, when it sent the packets that are answered. */
		if (!nc2_producer_room(&q->tx, sizeof(m), 0) &&
		    (nc2_producer_refresh(&q->tx) ||
		     !nc2_producer_room(&q->tx, sizeof(m), 0))) {
			nc2_queue_break(q, "no room for answers");
			break;
		}
		m.id = q->finished[i];
		nc2_producer_put(&q->tx, &m, sizeof(m), NULL, 0);
	}
	q->nr_finished = 0;
}

/**
 * nc2_tx_service - do what NAPI has to do with the transmit ring
 * @q: queue
 *
 * Frees what was consumed, lets a stopped queue go on, sends messages that are
 * no packets.
 *
 * Context: NAPI.
 *
 * Return: true if the other end had consumed anything.
 */
bool nc2_tx_service(struct nc2_queue *q)
{
	struct netdev_queue *txq = nc2_txq(q);
	bool any;

	if (q->sent_cons == READ_ONCE(q->sent_prod) && !q->nr_finished &&
	    bitmap_empty(q->used_slots, NC2_MAX_SLOTS) &&
	    (q->id || (!READ_ONCE(q->nd->tell) && !READ_ONCE(q->nd->tell_map))))
		return false;
	__netif_tx_lock(txq, smp_processor_id());
	any = nc2_tx_reclaim(q);
	if (READ_ONCE(q->broken))
		goto unlock;
	nc2_tx_answer(q);
	nc2_tx_free_slots(q);
	if (!q->id) {
		nc2_tx_tell(q);
		nc2_tx_tell_map(q);
	}
	nc2_tx_notify(q);
	nc2_tx_go_on(q);
	if (netif_xmit_stopped(txq) || q->kept) {
		nc2_tx_wait(q);
		nc2_tx_go_on(q);
	}
unlock:
	__netif_tx_unlock(txq);
	return any;
}

/**
 * nc2_tx_got_slots - the other end has given back slots
 * @q: queue
 * @slots: which, as the other end says
 *
 * Context: NAPI.
 *
 * Return: 0, -EPROTO if it did not have them.
 */
int nc2_tx_got_slots(struct nc2_queue *q, u64 slots)
{
	struct netdev_queue *txq = nc2_txq(q);
	int ret = -EPROTO;

	__netif_tx_lock(txq, smp_processor_id());
	if (slots && !(slots & ~(q->mapped_slots & ~q->free_slots))) {
		q->free_slots |= slots;
		ret = 0;
	}
	__netif_tx_unlock(txq);
	return ret;
}

/* Keep no skb any longer. */
static void nc2_tx_let_go(struct nc2_queue *q)
{
	u32 i;

	for (i = q->sent_cons; q->kept && i != q->sent_prod; i++)
		nc2_tx_put_skb(q, &q->sent[i % NC2_MAX_SENT]);
}

/**
 * nc2_tx_stalled - does the other end not read?
 * @q: queue
 *
 * To be called again and again: all that was under way at the last call must have
 * been consumed, and answered, by now. That some of it was is not enough, or an
 * end that takes a little now and then would keep packets for ever.
 *
 * Context: process. Frees what was kept if so.
 *
 * Return: true if not all of it was.
 */
bool nc2_tx_stalled(struct nc2_queue *q)
{
	struct netdev_queue *txq = nc2_txq(q);
	bool stalled = false;

	__netif_tx_lock_bh(txq);
	if (q->live && !READ_ONCE(q->broken)) {
		/* Checks the counter of the other end, too. */
		nc2_tx_reclaim(q);
		nc2_tx_go_on(q);
		stalled = q->stall_seen && ((s32)(q->tx.cons - q->stall_end) < 0 ||
					    (s32)(q->sent_cons - q->stall_sent) < 0);
		if (stalled)
			nc2_tx_let_go(q);
		q->stall_seen = true;
		q->stall_end = q->tx.published;
		q->stall_sent = q->sent_prod;
	}
	__netif_tx_unlock_bh(txq);
	return stalled;
}

/**
 * nc2_tx_drop_all - nothing is under way any more
 * @q: queue that is not live
 *
 * Context: process.
 */
void nc2_tx_drop_all(struct nc2_queue *q)
{
	nc2_tx_let_go(q);
	q->sent_cons = q->sent_prod;
	q->stall_seen = false;
}
