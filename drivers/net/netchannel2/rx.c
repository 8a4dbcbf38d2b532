// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: reception.
 *
 * Design: all that is received is copied, once, into memory of this kernel's
 * own, and only then looked at: headers into the linear part, the rest into
 * pieces of large pages. What the message says of checksum and segments is held
 * against the headers (nc2_rx_offload()) before the stack sees the packet, by the
 * rules that virtio_net_hdr_to_skb() has for the same: a packet that does not
 * fit them is dropped and counted.
 *
 * Packets go to the stack in the order in which they came. GRO holds back what it
 * may make larger, so a packet that went past it could overtake one of its own
 * flow. A small packet, for which GRO costs more than all else, goes past it only
 * as long as GRO holds nothing: it held nothing when the poll began, and got
 * nothing since. No packet gets the hash that its message may have: GRO keeps
 * packets of different hashes apart and flushes them in any order, but small
 * packets have none, and a sender's TCP changes the hash of a flow when it has
 * lost something.
 *
 * But for packets in slots, of a backend that is trusted: there only the headers
 * are copied, and the stack gets the page itself. It has as many references as it
 * has grants when no packet has it any more, and is given back then
 * (nc2_tx_free_slots()), with what is sent next or when NAPI runs next.
 *
 * NAPI takes each message for work, so that no kind of message can keep it
 * busy. The event channel is unmasked when there is nothing left, and as
 * spurious if there was nothing at all, which makes Xen's events slow down. Who
 * sends more messages that carry nothing than any honest end is not listened to
 * for a millisecond, so that others are not kept waiting for it.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/tcp.h>

#include <xen/page.h>

#include "nc2.h"

/* Up to here a packet is in one piece. */
#define NC2_LINEAR_BYTES	2048
/* Of a larger one this is in the linear part: all headers. */
#define NC2_HEADER_BYTES	256
/* Smaller rests of a page are not used. */
#define NC2_FRAG_MIN		2048
/* The other end is told of room at least each so many messages and bytes. */
#define NC2_PUBLISH_MESSAGES	16
#define NC2_PUBLISH_BYTES	32768
/*
 * In a poll, of messages that carry nothing: more than the ends of the smallest
 * ring and the settings of a connection make.
 */
#define NC2_MAX_IDLE		16

/*
 * Make room for more of a packet. The pages that a queue has had last are kept:
 * one that no packet has any more is used again, as it is, while a new one would
 * have to be found and, on most systems, zeroed.
 */
static bool nc2_rx_page(struct nc2_queue *q)
{
	struct page *page;

	q->page_at = (q->page_at + 1) % NC2_RX_PAGES;
	page = q->page[q->page_at];
	if (page && (page_ref_count(page) != 1 || page_is_pfmemalloc(page))) {
		put_page(page);
		page = NULL;
	}
	if (!page)
		page = alloc_pages(GFP_NOWAIT | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY,
				   NC2_RX_PAGE_ORDER);
	if (!page)
		page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	q->page[q->page_at] = page;
	q->page_off = 0;
	q->page_left = page ? page_size(page) : 0;
	return page;
}

static struct sk_buff *nc2_rx_alloc_head(struct nc2_queue *q, u32 len)
{
	struct sk_buff *skb = napi_alloc_skb(&q->napi, len);

	if (likely(skb))
		__skb_put(skb, len);
	return skb;
}

/* Memory for the packet, all its bytes to be filled; NULL if there is none. */
static struct sk_buff *nc2_rx_alloc(struct nc2_queue *q, u32 len)
{
	u32 head = len <= NC2_LINEAR_BYTES ? len : NC2_HEADER_BYTES;
	struct sk_buff *skb = nc2_rx_alloc_head(q, head);
	u32 left, n, used;

	if (unlikely(!skb))
		return NULL;
	for (left = len - head; left; left -= n) {
		struct page *page;

		if (skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS ||
		    (q->page_left < min_t(u32, left, NC2_FRAG_MIN) && !nc2_rx_page(q))) {
			dev_kfree_skb_any(skb);
			return NULL;
		}
		page = q->page[q->page_at];
		n = min(left, q->page_left);
		get_page(page);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, q->page_off, n, n);
		/* So that the next is aligned, too. */
		used = min_t(u32, ALIGN(n, L1_CACHE_BYTES), q->page_left);
		q->page_off += used;
		q->page_left -= used;
	}
	return skb;
}

/* The compound page that a slot is. */
static struct page *nc2_rx_slot_page(const struct nc2_queue *q, unsigned int slot)
{
	return q->slot_mem.pages[slot * (q->limits.slot / NC2_PAGE_SIZE)];
}

/* The slot is this end's from now on; false if it was before. */
static bool nc2_rx_take_slot(struct nc2_queue *q, unsigned int slot)
{
	if (test_bit(slot, q->used_slots))
		return false;
	/* Until the packet has its own. */
	get_page(nc2_rx_slot_page(q, slot));
	/* Pairs with smp_rmb() in nc2_tx_free_slots(). */
	smp_mb__before_atomic();
	set_bit(slot, q->used_slots);
	return true;
}

static void nc2_rx_put_slot(struct nc2_queue *q, unsigned int slot)
{
	put_page(nc2_rx_slot_page(q, slot));
}

/*
 * A live migration knows of what a guest writes, and not of what a backend does
 * in memory that it has mapped. So what stays there is written by this end, too.
 */
static void nc2_rx_dirty(struct page *page, u32 len)
{
	u8 *data = page_address(page);
	u32 i;

	for (i = 0; i < len; i += PAGE_SIZE)
		WRITE_ONCE(data[i], READ_ONCE(data[i]));
}

/* The packet in a slot: headers are copied, the rest stays where it is. */
static struct sk_buff *nc2_rx_slot(struct nc2_queue *q, const struct nc2_packet *p)
{
	struct page *page = nc2_rx_slot_page(q, p->offset);
	u32 head = min_t(u32, p->len, NC2_HEADER_BYTES);
	struct sk_buff *skb = nc2_rx_alloc_head(q, head);

	if (unlikely(!skb))
		return NULL;
	memcpy(skb->data, page_address(page), head);
	/* As in nc2_area_read(). */
	barrier();
	if (p->len > head) {
		nc2_rx_dirty(page, p->len);
		get_page(page);
		skb_add_rx_frag(skb, 0, page, head, p->len - head, q->limits.slot);
		/* Who needs it not to change makes a copy. */
		skb_shinfo(skb)->flags |= SKBFL_SHARED_FRAG;
	}
	return skb;
}

/* Copy from the staging area. */
static int nc2_rx_staged(struct nc2_queue *q, const struct nc2_packet *p,
			 struct sk_buff *skb)
{
	u32 pos = p->offset;
	unsigned int i;

	if (!q->rx_staging.area.page)
		return nc2_copy_skb(q, &q->rx_staging, pos, skb, false);
	nc2_area_read(&q->rx_staging.area, pos, skb->data, skb_headlen(skb));
	pos += skb_headlen(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		nc2_area_read(&q->rx_staging.area, pos, skb_frag_address(frag),
			      skb_frag_size(frag));
		pos += skb_frag_size(frag);
	}
	return 0;
}

/**
 * struct nc2_place - a place in a packet that is filled
 * @skb: packet
 * @frag: next fragment
 * @at: next byte
 * @left: bytes in one piece from there on
 */
struct nc2_place {
	struct sk_buff *skb;
	unsigned int frag;
	void *at;
	u32 left;
};

static void nc2_place_next(struct nc2_place *place, u32 len)
{
	place->at += len;
	place->left -= len;
	if (!place->left && place->frag < skb_shinfo(place->skb)->nr_frags) {
		const skb_frag_t *frag = &skb_shinfo(place->skb)->frags[place->frag++];

		place->at = skb_frag_address(frag);
		place->left = skb_frag_size(frag);
	}
}

/* Copy from pages of the other end by their grant references. */
static int nc2_rx_copy(struct nc2_queue *q, const struct nc2_packet *p,
		       struct sk_buff *skb)
{
	struct nc2_place place = {
		.skb = skb, .at = skb->data, .left = skb_headlen(skb),
	};
	unsigned int i, n = 0;
	u32 done, len;

	/* At most 256 bytes, so they are in the linear part. */
	if (p->prefix) {
		nc2_consumer_read(&q->rx, p->prefix_at, place.at, p->prefix);
		nc2_place_next(&place, p->prefix);
	}
	for (i = 0; i < p->nr_frags; i++) {
		for (done = 0; done < p->frag[i].size; done += len) {
			struct gnttab_copy *op = &q->copy[n++];

			if (n > NC2_MAX_COPIES)
				return -EPROTO;
			len = min_t(u32, p->frag[i].size - done, place.left);
			len = min_t(u32, len, PAGE_SIZE - offset_in_page(place.at));
			op->flags = GNTCOPY_source_gref;
			op->source.u.ref = p->frag[i].gref;
			op->source.domid = q->nd->xbdev->otherend_id;
			op->source.offset = p->frag[i].off + done;
			op->dest.u.gmfn = virt_to_gfn(place.at);
			op->dest.domid = DOMID_SELF;
			op->dest.offset = offset_in_page(place.at);
			op->len = len;
			op->status = GNTST_general_error;
			nc2_place_next(&place, len);
		}
	}
	return nc2_copy_ops(q->copy, n);
}

/* Segments: are the headers those of the type, and are there not too many? */
static bool nc2_rx_segments(struct sk_buff *skb, const struct nc2_packet *p)
{
	bool v4 = p->seg == NC2_SEG_TCPV4 || p->seg == NC2_SEG_UDPV4;
	bool tcp = p->seg == NC2_SEG_TCPV4 || p->seg == NC2_SEG_TCPV6;
	u32 mss = tcp ? max_t(u32, p->mss, TCP_MIN_GSO_SIZE) : p->mss;
	u32 headers = skb_transport_offset(skb);
	unsigned int type;

	if (skb->protocol != (v4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6)))
		return false;
	/* skb_checksum_setup() has seen that TCP or UDP is there, and where. */
	if (skb->csum_offset != (tcp ? offsetof(struct tcphdr, check) :
				       offsetof(struct udphdr, check)))
		return false;
	if (tcp) {
		if (!pskb_may_pull(skb, headers + sizeof(struct tcphdr)) ||
		    tcp_hdrlen(skb) < sizeof(struct tcphdr))
			return false;
		headers += tcp_hdrlen(skb);
		type = v4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6;
	} else {
		headers += sizeof(struct udphdr);
		type = SKB_GSO_UDP_L4;
	}
	/* By the headers that are there: the message may have said anything. */
	if (!pskb_may_pull(skb, headers) ||
	    !nc2_segments_ok(p->seg, skb->len - headers, p->mss))
		return false;
	/* What is a segment's size, or less, is an ordinary packet. */
	if (skb->len - headers <= mss)
		return true;
	/* The rest of what can be wrong is found by who cuts it up. */
	skb_shinfo(skb)->gso_type = type | SKB_GSO_DODGY;
	skb_shinfo(skb)->gso_size = mss;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(skb->len - headers, mss);
	return true;
}

/* What the other end says of checksum and segments, if it is possible. */
static bool nc2_rx_offload(struct sk_buff *skb, const struct nc2_packet *p)
{
	/* Implied by segments, see nc2_check_packet(). */
	if (p->flags & NC2_PACKET_CSUM_BLANK) {
		skb->ip_summed = CHECKSUM_PARTIAL;
		/* Finds the place from the headers, whatever the message says. */
		if (skb_checksum_setup(skb, true))
			return false;
		if (p->seg != NC2_SEG_NONE && !nc2_rx_segments(skb, p))
			return false;
	} else if (p->flags & NC2_PACKET_DATA_VALIDATED) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
	return true;
}

/* The packet with all its bytes, NULL if there is no memory; *err: as nc2_rx_copy(). */
static struct sk_buff *nc2_rx_fetch(struct nc2_queue *q, const struct nc2_packet *p,
				    int *err)
{
	struct sk_buff *skb;

	if (p->kind == NC2_KIND_SLOT)
		return nc2_rx_slot(q, p);
	skb = nc2_rx_alloc(q, p->len);
	if (!skb)
		return NULL;
	switch (p->kind) {
	case NC2_KIND_SMALL:
		nc2_consumer_read(&q->rx, p->prefix_at, skb->data, p->len);
		break;
	case NC2_KIND_STAGED:
		*err = nc2_rx_staged(q, p, skb);
		break;
	default:
		*err = nc2_rx_copy(q, p, skb);
		break;
	}
	return skb;
}

/*
 * Make it a packet as the stack wants to see it; NULL, and it is freed, if it is not
 * what the message says.
 */
static struct sk_buff *nc2_rx_parse(struct nc2_queue *q, const struct nc2_packet *p,
				    struct sk_buff *skb)
{
	skb->protocol = eth_type_trans(skb, q->nd->netdev);
	skb_reset_network_header(skb);
	/* A tag is put beside the packet, so that the IP header comes first. */
	if (eth_type_vlan(skb->protocol)) {
		skb = skb_vlan_untag(skb);
		if (!skb)
			return NULL;
	}
	if (!nc2_rx_offload(skb, p)) {
		dev_kfree_skb_any(skb);
		return NULL;
	}
	skb_record_rx_queue(skb, q->id);
	return skb;
}

static void nc2_rx_count(struct nc2_queue *q, const struct nc2_packet *p)
{
	struct nc2_stats *stats = &q->rx_stats;

	u64_stats_update_begin(&stats->syncp);
	stats->packets++;
	stats->bytes += p->len;
	stats->small += p->kind == NC2_KIND_SMALL;
	stats->staged += p->kind == NC2_KIND_STAGED && q->rx_staging.area.page;
	stats->copied += p->kind == NC2_KIND_COPY ||
			 (p->kind == NC2_KIND_STAGED && !q->rx_staging.area.page);
	stats->slots += p->kind == NC2_KIND_SLOT;
	u64_stats_update_end(&stats->syncp);
}

static void nc2_rx_lost(struct nc2_queue *q, bool error)
{
	struct nc2_stats *stats = &q->rx_stats;

	u64_stats_update_begin(&stats->syncp);
	stats->errors += error;
	stats->dropped += !error;
	u64_stats_update_end(&stats->syncp);
}

/*
 * Receive a packet, or drop it if it is said to be good for nothing else: 0, or
 * -EPROTO if the connection has to end.
 */
static int nc2_rx_packet(struct nc2_queue *q, const struct nc2_packet *p, bool drop)
{
	struct sk_buff *skb = NULL;
	int ret = 0;

	q->unpublished += p->len;
	if (READ_ONCE(q->nd->rate.bytes))
		nc2_rate_take(&q->nd->rate, p->len);
	if (p->kind == NC2_KIND_SLOT && !nc2_rx_take_slot(q, p->offset))
		return -EPROTO;
	if (!drop && netif_running(q->nd->netdev))
		skb = nc2_rx_fetch(q, p, &ret);
	if (p->kind == NC2_KIND_SLOT)
		nc2_rx_put_slot(q, p->offset);
	if (p->kind == NC2_KIND_COPY) {
		if (q->nr_finished == NC2_MAX_UNFINISHED)
			ret = -EPROTO;
		else
			q->finished[q->nr_finished++] = p->id;
	}
	if (!skb) {
		nc2_rx_lost(q, drop);
		return ret;
	}
	/* A page that cannot be copied harms the packet, not the connection. */
	if (ret) {
		dev_kfree_skb_any(skb);
		nc2_rx_lost(q, true);
		return ret == -EPROTO ? ret : 0;
	}
	skb = nc2_rx_parse(q, p, skb);
	if (!skb) {
		nc2_rx_lost(q, true);
		return 0;
	}
	nc2_rx_count(q, p);
	if (p->kind == NC2_KIND_SMALL && q->past_gro) {
		netif_receive_skb(skb);
	} else {
		q->past_gro = false;
		napi_gro_receive(&q->napi, skb);
	}
	return 0;
}

/* Messages of 8 bytes: the only one after the header. */
static u32 nc2_rx_u32(struct nc2_queue *q)
{
	u32 value;

	nc2_consumer_read(&q->rx, sizeof(struct nc2_msg_hdr), &value, sizeof(value));
	return value;
}

/* What the other end says of itself; 0 or -EPROTO. */
static int nc2_rx_set(struct nc2_queue *q, const struct nc2_msg_hdr *hdr)
{
	struct nc2_dev *nd = q->nd;
	struct nc2_msg_set_offload offload;
	bool same, first = false;
	u32 value;

	if (hdr->size != sizeof(offload))
		return -EPROTO;
	value = nc2_rx_u32(q);
	switch (hdr->type) {
	case NC2_MSG_SET_MAX_PACKETS:
		/* Once. This end sends no PACKET to which it applies. */
		if (q->peer_max_packets || !value)
			return -EPROTO;
		q->peer_max_packets = value;
		return 0;
	case NC2_MSG_SET_MAX_FRAGMENTS:
		return value ? 0 : -EPROTO;
	case NC2_MSG_FINISH_PACKET:
		/* There is none that could have an answer. */
		return -EPROTO;
	}
	if (q->id)
		return -EPROTO;
	if (hdr->type == NC2_MSG_SET_OFFLOAD) {
		nc2_consumer_read(&q->rx, 0, &offload, sizeof(offload));
		same = nd->peer_csum == !!offload.csum &&
		       nd->peer_tso == !!offload.tcpv4_segmentation_offload;
		WRITE_ONCE(nd->peer_csum, offload.csum);
		WRITE_ONCE(nd->peer_tso, offload.tcpv4_segmentation_offload);
	} else {
		if (!(nd->config.extensions & NC2_EXT_FEATURES))
			return -EPROTO;
		if (READ_ONCE(nd->peer_ready) &&
		    ((value ^ READ_ONCE(nd->peer_features)) & NC2_FEATURE_STAGING))
			return -EPROTO;
		first = !nd->peer_ready;
		same = !first && value == nd->peer_features;
		WRITE_ONCE(nd->peer_features, value);
		/* Pairs with smp_load_acquire() in nc2_start_xmit(). */
		smp_store_release(&nd->peer_ready, true);
	}
	if (!same)
		nc2_netdev_settle(nd);
	/* Carrier does not wait for the features to be looked at. */
	if (first)
		nc2_netdev_poke(nd);
	return 0;
}

static int nc2_rx_hash_map(struct nc2_queue *q, const struct nc2_msg_hdr *hdr)
{
	struct nc2_dev *nd = q->nd;
	struct nc2_msg_set_hash_map m;
	unsigned int i;

	if (q->id || hdr->size != sizeof(m) || !(nd->config.extensions & NC2_EXT_HASH_MAP))
		return -EPROTO;
	nc2_consumer_read(&q->rx, 0, &m, sizeof(m));
	for (i = 0; i < NC2_HASH_MAP_SIZE; i++) {
		if (m.map[i] >= nd->config.queues)
			return -EPROTO;
	}
	for (i = 0; i < NC2_HASH_MAP_SIZE; i++)
		WRITE_ONCE(nd->peer_map[i], m.map[i]);
	return 0;
}

static int nc2_rx_free_slots(struct nc2_queue *q, const struct nc2_msg_hdr *hdr)
{
	struct nc2_msg_free_slots m;

	if (hdr->size != sizeof(m))
		return -EPROTO;
	nc2_consumer_read(&q->rx, 0, &m, sizeof(m));
	return nc2_tx_got_slots(q, m.slots);
}

static int nc2_rx_message(struct nc2_queue *q, const struct nc2_msg_hdr *hdr)
{
	struct nc2_packet p;
	int ret;

	switch (hdr->type) {
	case NC2_MSG_STAGED:
	case NC2_MSG_SLOT:
		ret = nc2_read_staged(&q->rx, hdr, &q->limits, &p);
		return ret == -EPROTO ? ret : nc2_rx_packet(q, &p, ret);
	case NC2_MSG_PACKET:
		ret = nc2_read_packet(&q->rx, hdr, &q->limits, &p);
		return ret == -EPROTO ? ret : nc2_rx_packet(q, &p, ret);
	case NC2_MSG_SET_MAX_PACKETS:
	case NC2_MSG_SET_MAX_FRAGMENTS:
	case NC2_MSG_SET_OFFLOAD:
	case NC2_MSG_SET_FEATURES:
	case NC2_MSG_FINISH_PACKET:
		return nc2_rx_set(q, hdr);
	case NC2_MSG_FREE_SLOTS:
		return nc2_rx_free_slots(q, hdr);
	case NC2_MSG_SET_HASH_MAP:
		return nc2_rx_hash_map(q, hdr);
	case NC2_MSG_PAD:
		return 0;
	}
	return -EPROTO;
}

static void nc2_rx_publish(struct nc2_queue *q)
{
	if (READ_ONCE(q->broken) || !nc2_consumer_publish(&q->rx))
		return;
	notify_remote_via_irq(q->irq);
	q->rx_stats.events++;
}

/* Wait for the rate to allow more; true if so. */
static bool nc2_rx_limited(struct nc2_queue *q)
{
	u64 ns;

	if (!READ_ONCE(q->nd->rate.bytes))
		return false;
	ns = nc2_rate_wait(&q->nd->rate);
	if (!ns)
		return false;
	q->rx_stats.stops++;
	hrtimer_start(&q->timer, ns_to_ktime(ns), HRTIMER_MODE_REL);
	return true;
}

/* Has there been too much that carries nothing? Then wait, without events. */
static bool nc2_rx_too_idle(struct nc2_queue *q, const struct nc2_msg_hdr *hdr)
{
	switch (hdr->type) {
	case NC2_MSG_PACKET:
	case NC2_MSG_STAGED:
	case NC2_MSG_SLOT:
	case NC2_MSG_FINISH_PACKET:
	case NC2_MSG_FREE_SLOTS:
		return false;
	}
	if (++q->idle <= NC2_MAX_IDLE)
		return false;
	hrtimer_start(&q->timer, ns_to_ktime(NSEC_PER_MSEC), HRTIMER_MODE_REL);
	return true;
}

/* Take messages: their number, or -EPROTO. @limited: a timer polls again. */
static int nc2_rx(struct nc2_queue *q, int budget, bool *limited)
{
	unsigned int messages = 0;
	struct nc2_msg_hdr hdr;
	int work, ret;

	q->unpublished = 0;
	*limited = false;
	/* Transmission may find out that the other end breaks rules, too. */
	for (work = 0; work < budget && !READ_ONCE(q->broken); work++) {
		*limited = nc2_rx_limited(q);
		if (*limited)
			break;
		ret = nc2_consumer_next(&q->rx, &hdr);
		if (ret > 0)
			ret = nc2_rx_message(q, &hdr);
		else if (!ret)
			break;
		if (ret)
			return ret;
		nc2_consumer_done(&q->rx, &hdr);
		*limited = nc2_rx_too_idle(q, &hdr);
		if (*limited)
			break;
		if (++messages == NC2_PUBLISH_MESSAGES || q->unpublished >= NC2_PUBLISH_BYTES) {
			nc2_rx_publish(q);
			messages = 0;
			q->unpublished = 0;
		}
	}
	nc2_rx_publish(q);
	return work;
}

/* Poll until there is nothing left: the number of messages, or -EPROTO. */
static int nc2_rx_all(struct nc2_queue *q, int budget)
{
	unsigned int usecs;
	bool limited;
	int work = 0, ret;

	do {
		ret = nc2_rx(q, budget - work, &limited);
		if (ret < 0)
			return ret;
		work += ret;
		if (q->nr_finished)
			nc2_tx_service(q);
		if (work == budget || limited || READ_ONCE(q->broken))
			return work;
		usecs = READ_ONCE(q->nd->rx_usecs);
		if (usecs && work) {
			hrtimer_start(&q->timer, ns_to_ktime((u64)usecs * NSEC_PER_USEC),
				      HRTIMER_MODE_REL);
			return work;
		}
		ret = nc2_consumer_arm(&q->rx);
	} while (ret > 0);
	return ret ? ret : work;
}

/**
 * nc2_poll - NAPI of a queue
 * @napi: its NAPI
 * @budget: messages that may be taken; 0: only what transmission needs
 *
 * Context: softirq.
 *
 * Return: number of messages.
 */
int nc2_poll(struct napi_struct *napi, int budget)
{
	struct nc2_queue *q = container_of(napi, struct nc2_queue, napi);
	bool sent = false, listen;
	int work = 0;

	if (!READ_ONCE(q->broken) && !nc2_resumed(q)) {
		sent = nc2_tx_service(q);
		if (!budget)
			return 0;
		q->idle = 0;
		/* Packets that GRO is done with are not kept from poll to poll. */
		q->past_gro = !napi->gro_bitmask;
		work = nc2_rx_all(q, budget);
	}
	if (work < 0) {
		nc2_queue_break(q, "impossible message or counter");
		work = 0;
	}
	/* Else the events stay masked. Another poll may begin with napi_complete_done(). */
	listen = !READ_ONCE(q->broken) && q->idle <= NC2_MAX_IDLE;
	if (work < budget && napi_complete_done(napi, work) && listen &&
	    atomic_xchg(&q->eoi_pending, 0))
		xen_irq_lateeoi(q->irq, work || sent ? 0 : XEN_EOI_FLAG_SPURIOUS);
	return work;
}
