// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: messages that describe packets, checked.
 *
 * A message is copied out of the ring field by field, each once, and what is
 * wrong with it is known before anybody acts on it.
 */
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/math.h>

#include "msg.h"

/*
 * What SMALL, RECEIVER_COPY and STAGED have in common. Checksums that begin
 * within the Ethernet header, and segments that are larger than any packet, would
 * mean something else to the network stack.
 */
static int nc2_check_packet(struct nc2_packet *p)
{
	if (p->len < ETH_HLEN || p->len > NC2_MAX_PACKET_BYTES)
		return -EPROTO;
	if (p->seg > NC2_SEG_UDPV6)
		return -EPROTO;
	if (p->seg != NC2_SEG_NONE) {
		if (!p->mss || p->mss > NC2_MAX_PACKET_BYTES - ETH_HLEN)
			return -EPROTO;
		p->flags |= NC2_PACKET_CSUM_BLANK;
	}
	if ((p->flags & NC2_PACKET_CSUM_BLANK) &&
	    (p->csum_start < ETH_HLEN ||
	     (u32)p->csum_start + p->csum_offset + sizeof(u16) > p->len))
		return -EPROTO;
	return 0;
}

static int nc2_read_frags(const struct nc2_consumer *c, u32 at, struct nc2_packet *p)
{
	unsigned int i;

	nc2_consumer_read(c, at, p->frag, p->nr_frags * sizeof(p->frag[0]));
	for (i = 0; i < p->nr_frags; i++) {
		const struct nc2_fragment *f = &p->frag[i];

		if (!f->size || (u32)f->off + f->size > NC2_PAGE_SIZE)
			return -EPROTO;
		p->len += f->size;
	}
	return 0;
}

/**
 * nc2_read_packet - read and check a PACKET
 * @c: consumer, at the message
 * @hdr: its header
 * @p: filled; the prefix stays in the ring
 *
 * Context: As @c.
 * Return: 0, -EPROTO if the message breaks the rules.
 */
int nc2_read_packet(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    struct nc2_packet *p)
{
	struct nc2_msg_packet m;
	u32 rest;
	int ret;

	if (hdr->size < sizeof(m) || hdr->size > round_up(NC2_MAX_PACKET_MSG, 8))
		return -EPROTO;
	nc2_consumer_read(c, sizeof(*hdr), (u8 *)&m + sizeof(*hdr),
			  sizeof(m) - sizeof(*hdr));
	rest = hdr->size - sizeof(m);
	if (m.prefix_size > NC2_MAX_PREFIX_BYTES || m.prefix_size > rest)
		return -EPROTO;
	p->nr_frags = (rest - m.prefix_size) / sizeof(struct nc2_fragment);
	if (p->nr_frags > NC2_MAX_FRAGS)
		return -EPROTO;
	switch (m.type) {
	case NC2_PACKET_SMALL:
		if (p->nr_frags)
			return -EPROTO;
		p->kind = NC2_KIND_SMALL;
		break;
	case NC2_PACKET_RECEIVER_COPY:
	case NC2_PACKET_RECEIVER_MAP:
		p->kind = NC2_KIND_COPY;
		break;
	default:
		return -EPROTO;
	}
	p->id = m.id;
	p->len = m.prefix_size;
	p->prefix = m.prefix_size;
	p->prefix_at = sizeof(m) + p->nr_frags * sizeof(struct nc2_fragment);
	p->flags = m.flags;
	p->seg = m.segmentation_type;
	p->mss = m.mss;
	p->csum_start = m.csum_start;
	p->csum_offset = m.csum_offset;
	p->hash_type = NC2_HASH_NONE;
	ret = nc2_read_frags(c, sizeof(m), p);
	return ret ? ret : nc2_check_packet(p);
}

/**
 * nc2_read_staged - read and check a STAGED or a SLOT
 * @c: consumer, at the message
 * @hdr: its header
 * @staging: bytes of the staging area, 0 if there is none
 * @slots: number of slots, 0 if there are none
 * @p: filled, but for what other kinds have
 *
 * Context: As @c.
 * Return: 0, -EPROTO if the message breaks the rules.
 */
int nc2_read_staged(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    u32 staging, u32 slots, struct nc2_packet *p)
{
	bool slot = hdr->type == NC2_MSG_SLOT;
	struct nc2_msg_staged m;

	if (hdr->size != sizeof(m))
		return -EPROTO;
	nc2_consumer_read(c, sizeof(*hdr), (u8 *)&m + sizeof(*hdr),
			  sizeof(m) - sizeof(*hdr));
	/* A slot has room for any packet. */
	if (m.offset >= (slot ? slots : staging) || (!slot && m.len > staging) ||
	    m.hash_type > NC2_HASH_L4)
		return -EPROTO;
	p->kind = slot ? NC2_KIND_SLOT : NC2_KIND_STAGED;
	p->len = m.len;
	p->flags = m.flags;
	p->seg = m.segmentation_type;
	p->hash_type = m.hash_type;
	p->mss = m.mss;
	p->csum_start = m.csum_start;
	p->csum_offset = m.csum_offset;
	p->prefix = 0;
	p->hash = m.hash;
	p->offset = m.offset;
	return nc2_check_packet(p);
}
