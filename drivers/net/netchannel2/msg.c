// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: messages that describe packets, checked.
 *
 * A message is copied out of the ring field by field, each once, and what is
 * wrong with it is known before anybody acts on it. What is wrong with a packet
 * itself, as its sender's network stack may have made it, costs that packet; all
 * else ends the connection. The sender checks its packets in the same way.
 */
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/math.h>
#include <linux/minmax.h>

#include "msg.h"

/* Of the transport's header, at least. */
static u32 nc2_transport_bytes(u8 seg)
{
	/* TCP's without options, and UDP's. */
	return seg == NC2_SEG_TCPV4 || seg == NC2_SEG_TCPV6 ? 20 : 8;
}

/**
 * nc2_check_packet - check what a message says, or is going to say, of a packet
 * @p: packet, but for where its bytes are; NC2_PACKET_CSUM_BLANK is added if
 *	there are segments
 * @max: bytes of the largest packet of the connection
 *
 * Both ends use this function, so a message that a receiver does not take is
 * never sent. Checksums that begin within the Ethernet header, and segments that
 * are larger than any packet, would mean something else to the network stack.
 *
 * Context: Any.
 * Return: 0; -EPROTO if no end may say so, and a receiver ends the connection;
 * -EINVAL if a network stack may have such a packet, and both ends drop it.
 */
int nc2_check_packet(struct nc2_packet *p, u32 max)
{
	u32 payload;

	if (p->len < ETH_HLEN || p->len > max || p->hash_type > NC2_HASH_L4 ||
	    p->seg > NC2_SEG_UDPV6)
		return -EPROTO;
	if (p->seg != NC2_SEG_NONE) {
		if (!p->mss || p->mss > max - ETH_HLEN)
			return -EPROTO;
		p->flags |= NC2_PACKET_CSUM_BLANK;
	}
	if (!(p->flags & NC2_PACKET_CSUM_BLANK))
		return 0;
	if (p->csum_start < ETH_HLEN ||
	    (u32)p->csum_start + p->csum_offset + sizeof(u16) > p->len)
		return -EINVAL;
	if (p->seg == NC2_SEG_NONE)
		return 0;
	/* The checksum begins with the transport's header. */
	payload = p->len - p->csum_start;
	payload -= min_t(u32, payload, nc2_transport_bytes(p->seg));
	return nc2_segments_ok(p->seg, payload, p->mss) ? 0 : -EINVAL;
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
 * @limits: of the queue
 * @p: filled; the prefix stays in the ring
 *
 * Context: As @c.
 * Return: 0; -EPROTO if the message breaks the rules; -EINVAL if @p is known, and
 * is to be dropped.
 */
int nc2_read_packet(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    const struct nc2_limits *limits, struct nc2_packet *p)
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
	return ret ? ret : nc2_check_packet(p, limits->packet);
}

/**
 * nc2_read_staged - read and check a STAGED or a SLOT
 * @c: consumer, at the message
 * @hdr: its header
 * @limits: of the queue
 * @p: filled, but for what other kinds have
 *
 * Context: As @c.
 * Return: As nc2_read_packet().
 */
int nc2_read_staged(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    const struct nc2_limits *limits, struct nc2_packet *p)
{
	bool slot = hdr->type == NC2_MSG_SLOT;
	struct nc2_msg_staged m;

	if (hdr->size != sizeof(m))
		return -EPROTO;
	nc2_consumer_read(c, sizeof(*hdr), (u8 *)&m + sizeof(*hdr),
			  sizeof(m) - sizeof(*hdr));
	if (m.offset >= (slot ? limits->slots : limits->staging) ||
	    m.len > (slot ? limits->slot : limits->staging))
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
	return nc2_check_packet(p, limits->packet);
}

/**
 * nc2_write_packet - make the message of a packet that is to be a PACKET
 * @p: packet that nc2_check_packet() takes
 * @type: NC2_PACKET_*
 * @m: filled, but for the size, the id and what tells where the bytes are
 *
 * Context: Any.
 */
void nc2_write_packet(const struct nc2_packet *p, u8 type, struct nc2_msg_packet *m)
{
	*m = (struct nc2_msg_packet) {
		.hdr.type = NC2_MSG_PACKET,
		.type = type,
		.flags = p->flags,
		.segmentation_type = p->seg,
		.mss = p->mss,
		.csum_start = p->csum_start,
		.csum_offset = p->csum_offset,
	};
}

/**
 * nc2_write_staged - make the message of a packet that is to be a STAGED
 * @p: packet that nc2_check_packet() takes
 * @m: filled, but for the offset; a SLOT differs in the type only
 *
 * Context: Any.
 */
void nc2_write_staged(const struct nc2_packet *p, struct nc2_msg_staged *m)
{
	*m = (struct nc2_msg_staged) {
		.hdr = { .type = NC2_MSG_STAGED, .size = sizeof(*m) },
		.len = p->len,
		.flags = p->flags,
		.segmentation_type = p->seg,
		.mss = p->mss,
		.csum_start = p->csum_start,
		.csum_offset = p->csum_offset,
		.hash_type = p->hash_type,
		.hash = p->hash,
	};
}
