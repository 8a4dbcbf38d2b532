// SPDX-License-Identifier: GPL-2.0
#include "nc2_pair.h"

#include <linux/if_ether.h>
#include <string.h>

#include "nc2_shim.h"

void nc2_pair_init(struct nc2_pair *pair, unsigned int ring_pages,
		   unsigned int staging_pages, u32 start)
{
	struct nc2_endpoint *front, *back;
	unsigned int i;

	memset(pair, 0, sizeof(*pair));
	nc2_shim_init(1 + ring_pages + staging_pages);
	/* Backwards, so that pages of an area are never one piece. */
	for (i = 0; i < ring_pages; i++)
		pair->ring_page[i] = nc2_shim_page(ring_pages - i);
	for (i = 0; i < staging_pages; i++)
		pair->staging_page[i] =
			nc2_shim_page(ring_pages + staging_pages - i);
	front = nc2_shim_page(0);
	back = front + 1;
	pair->p.area.page = pair->ring_page;
	pair->p.area.size = ring_pages * NC2_PAGE_SIZE;
	pair->p.own = front;
	pair->p.peer = back;
	pair->p.prod = start;
	pair->p.published = start;
	pair->p.cons = start;
	pair->c.area = pair->p.area;
	pair->c.own = back;
	pair->c.peer = front;
	pair->c.cons = start;
	pair->c.published = start;
	pair->c.prod = start;
	pair->staging.page = pair->staging_page;
	pair->staging.size = staging_pages * NC2_PAGE_SIZE;
	pair->limits = (struct nc2_limits){ .packet = NC2_MAX_PACKET_BYTES,
					    .staging = pair->staging.size,
					    .slots = NC2_PAIR_SLOTS,
					    .slot = NC2_SLOT_BYTES };
	nc2_pair_front()->prod = start;
	nc2_pair_front()->cons_event = start;
	nc2_pair_back()->cons = start;
	nc2_pair_back()->prod_event = start;
}

struct nc2_endpoint *nc2_pair_front(void)
{
	return nc2_shim_at(0);
}

struct nc2_endpoint *nc2_pair_back(void)
{
	return nc2_pair_front() + 1;
}

u32 nc2_pair_ring_at(const struct nc2_pair *pair, u32 counter)
{
	u32 off = counter % pair->p.area.size;

	return (pair->p.area.size / NC2_PAGE_SIZE - off / NC2_PAGE_SIZE) *
	       NC2_PAGE_SIZE + off % NC2_PAGE_SIZE;
}

const char *nc2_pair_bad_place(const struct nc2_packet *p,
			       const struct nc2_msg_hdr *hdr,
			       const struct nc2_limits *limits)
{
	u32 sum = p->prefix;
	unsigned int i;

	if (p->kind == NC2_KIND_SLOT) {
		if (p->prefix)
			return "SLOT has a prefix";
		if (p->len > limits->slot)
			return "larger than a slot";
		return p->offset >= limits->slots ? "no such slot" : NULL;
	}
	if (p->kind == NC2_KIND_STAGED) {
		if (p->prefix)
			return "STAGED has a prefix";
		if (p->offset >= limits->staging || p->len > limits->staging)
			return "not in the staging area";
		return NULL;
	}
	if (p->prefix > NC2_MAX_PREFIX_BYTES ||
	    p->prefix_at < sizeof(struct nc2_msg_packet) ||
	    p->prefix_at + p->prefix > hdr->size)
		return "prefix not in the message";
	if (p->nr_frags > NC2_MAX_FRAGS ||
	    (p->kind == NC2_KIND_SMALL && p->nr_frags))
		return "too many fragments";
	for (i = 0; i < p->nr_frags; i++) {
		if (!p->frag[i].size ||
		    p->frag[i].off + p->frag[i].size > NC2_PAGE_SIZE)
			return "fragment not in its page";
		sum += p->frag[i].size;
	}
	return sum == p->len ? NULL : "len is not that of the parts";
}

const char *nc2_pair_bad(const struct nc2_packet *p,
			 const struct nc2_msg_hdr *hdr,
			 const struct nc2_limits *limits)
{
	u32 headers;

	if (p->kind > NC2_KIND_SLOT)
		return "unknown kind";
	if (p->len < ETH_HLEN || p->len > limits->packet)
		return "len out of range";
	if (p->seg > NC2_SEG_UDPV6)
		return "unknown segmentation type";
	if (p->hash_type > NC2_HASH_L4)
		return "unknown type of hash";
	if (p->seg && (!p->mss || p->mss > limits->packet - ETH_HLEN))
		return "mss out of range";
	if (p->seg && !(p->flags & NC2_PACKET_CSUM_BLANK))
		return "segments without a checksum to complete";
	if ((p->flags & NC2_PACKET_CSUM_BLANK) &&
	    (p->csum_start < ETH_HLEN ||
	     p->csum_start + p->csum_offset + 2u > p->len))
		return "checksum out of the packet";
	headers = p->csum_start + (p->seg <= NC2_SEG_TCPV6 ? 20 : 8);
	if (p->seg && p->len > headers &&
	    (p->len - headers + p->mss - 1) / p->mss >
	    (p->seg <= NC2_SEG_TCPV6 ? NC2_MAX_TCP_SEGS : NC2_MAX_UDP_SEGS))
		return "too many segments";
	return nc2_pair_bad_place(p, hdr, limits);
}
