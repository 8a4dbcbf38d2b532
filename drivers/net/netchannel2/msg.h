/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netchannel2: messages that describe packets, checked.
 */
#ifndef _NC2_MSG_H
#define _NC2_MSG_H

#include "ring.h"

/* Fragments of a packet: what 64 KiB take wherever they begin. */
#define NC2_MAX_FRAGS		17
/* Bytes of the longest PACKET that is accepted. */
#define NC2_MAX_PACKET_MSG	(sizeof(struct nc2_msg_packet) + \
				 NC2_MAX_FRAGS * sizeof(struct nc2_fragment) + \
				 NC2_MAX_PREFIX_BYTES)

/**
 * enum nc2_kind - where the bytes of a packet are
 * @NC2_KIND_SMALL: in the message
 * @NC2_KIND_COPY: in pages of the sender, but for those in the message
 * @NC2_KIND_STAGED: in the staging area
 * @NC2_KIND_SLOT: in a slot, which is this end's now
 */
enum nc2_kind {
	NC2_KIND_SMALL,
	NC2_KIND_COPY,
	NC2_KIND_STAGED,
	NC2_KIND_SLOT,
};

/**
 * struct nc2_packet - what a message says of a packet
 * @kind: where its bytes are
 * @len: all its bytes, ETH_HLEN to NC2_MAX_PACKET_BYTES
 * @flags: NC2_PACKET_*; with @seg, NC2_PACKET_CSUM_BLANK is there
 * @seg: NC2_SEG_*
 * @hash_type: NC2_HASH_*
 * @mss: payload of a segment; with @seg, 1 to NC2_MAX_PACKET_BYTES - ETH_HLEN
 * @csum_start: where the checksum begins; if it is blank, ETH_HLEN or more
 * @csum_offset: where it is, from there; if it is blank, in the packet
 * @prefix_at: where in the message its first bytes are, if any are
 * @prefix: their number
 * @hash: flow
 * @offset: NC2_KIND_STAGED: where it is; NC2_KIND_SLOT: number of the slot
 * @id: NC2_KIND_COPY: id to answer with
 * @nr_frags: NC2_KIND_COPY: used of @frag
 * @frag: fragments, each within its page and not empty
 *
 * Private memory, all checked, but for the packet's own content.
 */
struct nc2_packet {
	enum nc2_kind kind;
	u32 len;
	u8 flags;
	u8 seg;
	u8 hash_type;
	u16 mss;
	u16 csum_start;
	u16 csum_offset;
	u16 prefix_at;
	u16 prefix;
	u32 hash;
	u32 offset;
	u32 id;
	unsigned int nr_frags;
	struct nc2_fragment frag[NC2_MAX_FRAGS];
};

int nc2_read_packet(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    struct nc2_packet *p);
int nc2_read_staged(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    u32 staging, u32 slots, struct nc2_packet *p);

#endif /* _NC2_MSG_H */
