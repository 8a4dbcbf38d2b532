/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netchannel2: messages that describe packets, checked.
 */
#ifndef _NC2_MSG_H
#define _NC2_MSG_H

#include "ring.h"

/*
 * Room in a ring that only answers may use: one for each unanswered packet, and
 * what nc2_producer_room() wants to see free for the last of them.
 */
#define NC2_MAX_UNFINISHED	64
#define NC2_ANSWER_BYTES	(NC2_MAX_UNFINISHED * sizeof(struct nc2_msg_finish_packet) + \
				 sizeof(struct nc2_msg_finish_packet))
/* Room that packets leave for answers, and for settings, which change at any time. */
#define NC2_RESERVE		(NC2_ANSWER_BYTES + \
				 2 * (sizeof(struct nc2_msg_set_offload) + \
				      sizeof(struct nc2_msg_set_features) + \
				      sizeof(struct nc2_msg_set_hash_map)))
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
 * struct nc2_limits - what a queue of a connection can carry
 * @packet: bytes of the largest packet
 * @staging: bytes of the staging area, 0 if there is none
 * @slots: number of slots, 0 if there are none
 * @slot: bytes of a slot
 */
struct nc2_limits {
	u32 packet;
	u32 staging;
	u32 slots;
	u32 slot;
};

/**
 * struct nc2_packet - what a message says of a packet
 * @kind: where its bytes are
 * @len: all its bytes, ETH_HLEN to the limit of the connection
 * @flags: NC2_PACKET_*; with @seg, NC2_PACKET_CSUM_BLANK is there
 * @seg: NC2_SEG_*
 * @hash_type: NC2_HASH_*
 * @mss: payload of a segment; with @seg, 1 to the limit of @len less ETH_HLEN
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
 * Private memory, all checked, but for the packet's own content. The sender
 * describes a packet by the same structure, and has it checked by the same
 * function, nc2_check_packet(), before the message is written.
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

/**
 * nc2_segments_ok - is that a number of segments that a receiver takes?
 * @seg: NC2_SEG_*, not NC2_SEG_NONE
 * @payload: bytes behind all headers
 * @mss: of them in a segment, not 0
 *
 * Context: Any.
 * Return: true if so. Each segment is a packet for the receiver's stack, so the
 * number bounds the work that one message can make.
 */
static inline bool nc2_segments_ok(u8 seg, u32 payload, u32 mss)
{
	bool tcp = seg == NC2_SEG_TCPV4 || seg == NC2_SEG_TCPV6;

	return payload <= mss * (tcp ? NC2_MAX_TCP_SEGS : NC2_MAX_UDP_SEGS);
}

int nc2_check_packet(struct nc2_packet *p, u32 max);
int nc2_read_packet(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    const struct nc2_limits *limits, struct nc2_packet *p);
int nc2_read_staged(const struct nc2_consumer *c, const struct nc2_msg_hdr *hdr,
		    const struct nc2_limits *limits, struct nc2_packet *p);
void nc2_write_packet(const struct nc2_packet *p, u8 type, struct nc2_msg_packet *m);
void nc2_write_staged(const struct nc2_packet *p, struct nc2_msg_staged *m);

#endif /* _NC2_MSG_H */
