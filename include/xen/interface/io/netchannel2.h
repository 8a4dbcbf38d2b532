/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * netchannel2: a network channel between two domains.
 *
 * This header is the whole protocol: its reader should be able to write either
 * end. All fields are little-endian. "Must not" says what a correct end does. The
 * other end may be hostile, so each end checks everything said here before it
 * acts on it, and ends the connection (state Closing) if a rule is broken. Fields
 * that are said to be 0 are written as 0 and not looked at, and flags without a
 * meaning are ignored, so that they can get one later.
 *
 * Overview
 * ========
 *
 * A connection is between a frontend, in a guest, and a backend. It has 1 to 16
 * queues. A queue is a control page, two message rings and two staging areas, one
 * of each in each direction, one event channel, and slots if both ends want them.
 * All shared memory is the frontend's, which grants it to the backend. A backend
 * grants nothing. What one end produces, it sends in messages. A message that
 * describes a packet contains it (PACKET of type SMALL), says where in the staging
 * area it is (STAGED) or which slot it is in (SLOT), or, from a frontend only,
 * names grant references of pages from which the backend copies it (PACKET of
 * type RECEIVER_COPY).
 *
 * Which vifs
 * ==========
 *
 * The channel uses the device class "vif", as netif.h does. A vif is offered
 * over netchannel2 if its backend folder has "feature-netchannel2", or if the
 * last component of the path in its key "script" is "vif-nc2" or begins with
 * "vif-nc2-". The latter is there before any driver has seen the vif. A frontend
 * that can use netchannel2 takes such vifs. One that cannot leaves them alone:
 * the protocol of netif.h is not spoken on them.
 *
 * Keys of the backend folder
 * ==========================
 *
 * Numbers are decimal, from 0 to 2^32 - 1, without sign or spaces.
 *
 * Written by the toolstack, meaning as in netif.h: "mac", "bridge", "ip",
 * "rate" ("BYTES,MICROSECONDS": what the guest may send; it is the limit of the
 * vif, not of each queue), "mtu", "handle", "script".
 *
 * Written by the backend before its state becomes InitWait. The value in brackets
 * is what a frontend takes for one that is absent:
 *
 * feature-netchannel2	Highest version of this protocol that it speaks. Must be
 *			there.
 * min-netchannel2	Lowest one [1].
 * max-queues		1 to 16 [1].
 * max-ring-page-order	0 to 5: log2 of the pages of one message ring [0].
 * max-staging-pages	Pages of all staging areas and slots of the vif together
 *			that the backend accepts, at least 64. Must be there.
 * max-packet-bytes	Largest packet that it can send and receive, at least
 *			65536 [65536].
 * max-slot-pages	Most pages of one slot, at least 16 [16].
 * feature-rx-copy	"1", for frontends of netif.h: they go on to Connected,
 *			and are refused then.
 * feature-extensions	Bits NC2_EXT_*: messages from 32 on, and their options,
 *			that the backend understands [0].
 *
 * Written by the backend at any time:
 *
 * current-mtu		MTU of its network device. A frontend that watches it
 *			follows [the toolstack's "mtu" in the frontend folder,
 *			then "mtu" here, then 1500].
 *
 * Keys of the frontend folder
 * ===========================
 *
 * Written by the toolstack: "mac"; "trusted" [1]; "mtu", at any time: the MTU of
 * what the vif was attached to, such as a bridge.
 *
 * Written by the frontend before its state becomes Initialised. A backend refuses
 * a frontend without a key that has no value in brackets:
 *
 * netchannel2		The version that was chosen, from min-netchannel2 to
 *			feature-netchannel2. Its absence tells the backend that
 *			the frontend is of another kind.
 * num-queues		1 to max-queues.
 * ring-page-order	0 to max-ring-page-order.
 * staging-pages	Pages of one staging area: a power of two from 32 to 256,
 *			and room for two packets of packet-bytes.
 * packet-bytes		Largest packet of this connection, in both directions:
 *			65536 to max-packet-bytes [65536].
 * slots		Slots of one queue, 0 to 48; read if both ends have
 *			NC2_EXT_SLOTS, else there are none.
 *			num-queues * (2 * staging-pages + slot-pages * slots) must
 *			not exceed max-staging-pages.
 * slot-pages		Pages of one slot: 16 to max-slot-pages, and not less
 *			than packet-bytes [16].
 * extensions		As feature-extensions. An extension may be used if both
 *			ends name it. NC2_EXT_FEATURES and NC2_EXT_STAGING must
 *			be there.
 * queue-N/control-ref	Grant reference of the control page of queue N, from 0.
 *			Never 0.
 * queue-N/event-channel Port that the backend is to bind.
 * queue-N/slots-ref	Grant reference of a page with the grant references of
 *			the pages of queue N's slots, slot-pages for each, 4
 *			bytes each; absent if slots is 0. Granted for reading,
 *			and read once.
 *
 * Versions and sizes
 * ==================
 *
 * This is version 1. A frontend chooses the highest version that both ends speak,
 * and ends its attempt if there is none. A new message or option that an older end
 * can do without gets a bit in extensions and no version. A connection has packets
 * of packet-bytes and slots of slot-pages; a driver that knows only 65536 and 16
 * refuses others. With larger ones, "65536" and "16" in the rest of this text are
 * to be read as these numbers. A packet of more than 65535 bytes is never in a
 * message of type PACKET, whose fields are too small for it.
 *
 * States
 * ======
 *
 * Backend: Initialising, keys, InitWait. Frontend: Initialising, waits for
 * InitWait, keys, Initialised. Backend: maps what it needs, Connected. Frontend:
 * Connected. Either end leaves by Closing; the backend lets go of all memory
 * before its state becomes Closed. A frontend that wants other queues or rings
 * goes to Closed, waits for the backend's Closed, and starts again at
 * Initialising, upon which the backend goes to InitWait. A backend that was not
 * connected stays in InitWait meanwhile. A backend that comes back (its module was
 * loaded again, the guest was moved) goes to InitWait whatever the frontend's
 * state; the frontend then gives up what it had, and starts again. At Initialised,
 * what it offers stands. A frontend offers nothing new as long as the backend has
 * pages of an earlier connection mapped: it waits in the state it has.
 *
 * An end that is Connected may send at once. The other one may have sent before,
 * and reads what is there when it begins.
 *
 * Control page
 * ============
 *
 *	offset		size	content
 *	0		64	struct nc2_endpoint of the frontend
 *	64		64	struct nc2_endpoint of the backend
 *	128		128	zero
 *	256		3840	grant references, 4 bytes each: pages of the ring
 *				that the frontend produces, of the ring that the
 *				backend produces, of the staging area from
 *				frontend to backend, and of the other
 *
 * Granted for reading and writing; rings and staging areas that the frontend
 * produces are granted for reading only. The references are written before the
 * state becomes Initialised and read once. What a backend does not map of staging
 * areas and slots it may copy by these references instead. The frontend does not
 * see the difference.
 *
 * Each end writes its own struct nc2_endpoint only, so no cache line has two
 * writers, and never reads it back.
 *
 * Rings
 * =====
 *
 * A ring is a stream of bytes. prod and cons are free-running counters of the
 * bytes written and read; prod - cons (modulo 2^32) is in the ring and must
 * never exceed its size. The byte of counter c is at c modulo the size of the
 * ring. Neither counter goes backwards, and both are multiples of 8 whenever the
 * other end can see them.
 *
 * When a connection begins all of a struct nc2_endpoint is 0. Each end sets its own
 * prod_event to 1 before its state becomes Initialised (frontend) or Connected
 * (backend), so that the first message raises an event; cons_event 0 asks for
 * none before 2^32 bytes.
 *
 * A message is contiguous. If it would go beyond the end of the ring, the
 * producer fills up with a PAD message first. Its size, which is in its header,
 * is a multiple of 8. A message that ends exactly at the end of the ring needs no
 * PAD. Several messages may become visible by one change of prod.
 *
 * Producer:	write messages; write barrier; store prod; full barrier; load the
 *		other end's prod_event; notify if it was passed.
 * Consumer:	load prod; read barrier; copy messages to private memory; full
 *		barrier; store cons; full barrier; load the other end's cons_event;
 *		notify if it was passed.
 *
 * An event counter e was passed when the counter moved from old to new if
 * (u32)(new - e) < (u32)(new - old).
 *
 * A consumer that wants to be notified sets prod_event to a value beyond the
 * prod it has seen, issues a full barrier, and looks at prod again. A producer
 * without room does the same with cons_event and cons.
 *
 * Liveness
 * ========
 *
 * Each end reads its ring as long as the connection lasts, whatever the state of
 * the ring it produces: it never waits for room before it reads on. What it has to
 * send in answer is either kept until there is room (settings, FREE_SLOTS), or has
 * room reserved: an end that receives PACKETs which need an answer leaves
 * (max_outstanding_packets + 1) * 8 bytes of its ring free of packets and settings,
 * for FINISH_PACKET. Packets leave 304 bytes more, so that settings are not kept
 * behind them for ever. A ring has 4096 bytes at least, so max_outstanding_packets
 * should not be more than 256.
 *
 * A consumer must make cons visible at the latest when it has read 16 messages or
 * 32 KiB of packets more, and before it waits for an event. An end that has not
 * read for some seconds what was sent to it may have its packets dropped.
 *
 * Staging areas
 * =============
 *
 * Memory for the contents of packets, which are named by offset and length, the
 * byte after the last being the first. The producer of a direction chooses the
 * place. The place belongs to it again when the consumer's cons has passed the
 * message that named it; there is no other answer. The consumer copies, and
 * looks at the copy only.
 *
 * Slots
 * =====
 *
 * A frontend that trusts its backend need not copy large packets. A slot is 64 KiB
 * of the frontend's memory for the contents of one packet, from its first byte on.
 * All slots are the backend's in the beginning; that of a SLOT message is the
 * frontend's until it is in a FREE_SLOTS message, for which there is no limit of
 * time. A backend without a slot uses the staging area. There are none from
 * frontend to backend, as a backend trusts nobody. The frontend copies the
 * headers, and must do without the rest being what it was when it looked last.
 * A live migration does not know what a backend has written to memory that it
 * has mapped: a frontend writes to each page of a slot's packet, any byte as it
 * is, before the packet may be in use when the domain is suspended.
 *
 * Packets
 * =======
 *
 * A packet is an Ethernet frame without its check sequence, from 14 to
 * NC2_MAX_PACKET_BYTES bytes, larger than the MTU only with a segmentation type:
 * then it is what segments are cut from (a "super-packet"). A VLAN tag is in the
 * frame. The receiver makes a copy of the headers, and parses that.
 *
 * With NC2_PACKET_CSUM_BLANK the checksum of TCP or UDP (of the pseudo header
 * only) is at csum_start + csum_offset, both counted from the first byte of the
 * frame, and the receiver is to complete it from csum_start to the end.
 * csum_start is behind the Ethernet header, and the checksum within the packet. A
 * receiver may find the place from the headers instead.
 *
 * A super-packet has one set of Ethernet, IP and TCP or UDP headers, of the kind
 * its segmentation type names, and payload behind them. Lengths in its IP and UDP
 * headers are those of the whole, or 0 if they do not fit; its checksum is blank.
 * Each segment has mss bytes of payload, the last one the rest. mss is from 1 to
 * NC2_MAX_PACKET_BYTES less the Ethernet header. A receiver drops a packet that is
 * not like this, or that makes more segments than NC2_MAX_TCP_SEGS or
 * NC2_MAX_UDP_SEGS, and the connection goes on: a network stack may have been
 * handed it by anybody. The same is true of the place of a checksum. Where one
 * VLAN tag is in the frame, the headers are behind it; a frame with several tags
 * has neither a blank checksum nor segments.
 *
 * Blank checksums and segmentation types are sent only after the receiver has said
 * that it takes them. A packet under way when it takes that back is dropped or
 * completed, it is no error. Each end may send 16 settings in a row; one that sends
 * more is read slowly, and it may take a second until settings have an effect.
 *
 * Hash
 * ====
 *
 * With NC2_EXT_HASH STAGED and SLOT carry a hash of the packet's flow: any function
 * of the sender's of the addresses (NC2_HASH_L3), or addresses and ports
 * (NC2_HASH_L4). The receiver must not take it for a particular function, nor for
 * well spread if it does not trust the sender. It is a hint: it may be missing from
 * some packets of a flow and change for others. Without the extension hash_type is NC2_HASH_NONE.
 *
 * Queues and order of messages
 * ============================
 *
 * Each queue is on its own. SET_OFFLOAD, SET_FEATURES and SET_HASH_MAP are sent on
 * queue 0 and are for all; SET_MAX_PACKETS, SET_MAX_FRAGMENTS and FREE_SLOTS for the
 * queue they are sent on. The first messages of an end, in any order among
 * themselves:
 *
 *	on each queue	SET_MAX_PACKETS, once, and SET_MAX_FRAGMENTS: only if it
 *			is to get PACKETs that need an answer
 *	on queue 0	SET_OFFLOAD, then SET_FEATURES, once each at least
 *
 * An end sends no packets, on any queue, before it has got the other end's
 * SET_FEATURES. SET_FEATURES may come when packets have been received on other
 * queues. Packets of a queue are received in the order in which they were sent, so
 * packets of one flow should be sent on one queue.
 *
 * Messages of a type that a receiver does not know, or of an extension that the two
 * ends have not agreed upon, or whose size is not that of the type, break the
 * protocol: a sender knows by the extensions what may be sent. A PACKET of type
 * RECEIVER_COPY or RECEIVER_MAP is sent by frontends only.
 */
#ifndef __XEN_PUBLIC_IO_NETCHANNEL2_H__
#define __XEN_PUBLIC_IO_NETCHANNEL2_H__

#include <linux/types.h>

#define NC2_VERSION			1
#define NC2_MAX_QUEUES			16
#define NC2_MAX_RING_ORDER		5
#define NC2_MIN_STAGING_PAGES		32
#define NC2_MAX_STAGING_PAGES		256
#define NC2_SLOT_PAGES			16
#define NC2_SLOT_BYTES			(NC2_SLOT_PAGES * NC2_PAGE_SIZE)
#define NC2_MAX_SLOTS			48

/* Of a frame, its segments together if it has a segmentation type. */
#define NC2_MAX_PACKET_BYTES		65536
/* Of the part of a packet that is in its message. */
#define NC2_MAX_PREFIX_BYTES		256
/* Of a packet with a segmentation type; that many packets can be made of it. */
#define NC2_MAX_TCP_SEGS		512
#define NC2_MAX_UDP_SEGS		128
#define NC2_PAGE_SIZE			4096
/* Where the control page has its grant references, and how many at most. */
#define NC2_CONTROL_REFS_OFFSET		256
#define NC2_CONTROL_REFS		960

/* feature-extensions, extensions */
/* SET_FEATURES; must be there. */
#define NC2_EXT_FEATURES		0x01
/* STAGED, staging areas; must be there. */
#define NC2_EXT_STAGING			0x02
/* Hash of the flow in STAGED. */
#define NC2_EXT_HASH			0x04
/* SET_HASH_MAP. */
#define NC2_EXT_HASH_MAP		0x08
/* SLOT, FREE_SLOTS; needs NC2_EXT_STAGING. */
#define NC2_EXT_SLOTS			0x10

/**
 * struct nc2_endpoint - what one end tells the other, one cache line
 * @prod: bytes it has produced
 * @prod_event: notify it when the other end's @prod passes this
 * @cons: bytes it has consumed
 * @cons_event: notify it when the other end's @cons passes this
 * @consumer_active: hint: not 0 while it is about to look at the other's @prod
 *	anyway; an end may ignore hints, and leave its own 0
 * @consumer_spinning: hint: as @consumer_active, and without delay
 * @producer_active: hint: not 0 while it is about to produce more
 * @pad: 0
 */
struct nc2_endpoint {
	__u32 prod;
	__u32 prod_event;
	__u32 cons;
	__u32 cons_event;
	__u32 consumer_active;
	__u32 consumer_spinning;
	__u32 producer_active;
	__u32 pad[9];
};

/*
 * Types of messages. 6 to 8 were something else once; 9 to 17 are reserved
 * for a channel between two guests; from 32 on are extensions.
 */
#define NC2_MSG_SET_MAX_PACKETS		1
#define NC2_MSG_PACKET			2
#define NC2_MSG_FINISH_PACKET		3
#define NC2_MSG_SET_OFFLOAD		4
#define NC2_MSG_SET_MAX_FRAGMENTS	5
#define NC2_MSG_SET_FEATURES		32
#define NC2_MSG_STAGED			33
#define NC2_MSG_SET_HASH_MAP		34
#define NC2_MSG_SLOT			35
#define NC2_MSG_FREE_SLOTS		36
#define NC2_MSG_PAD			255

/**
 * struct nc2_msg_hdr - begins each message
 * @type: NC2_MSG_*
 * @flags: 0
 * @size: bytes of the message with this header; a multiple of 8
 *
 * PAD is just this, followed by bytes without meaning.
 */
struct nc2_msg_hdr {
	__u8 type;
	__u8 flags;
	__u16 size;
};

/**
 * struct nc2_msg_set_max_packets - how much the other end may have under way
 * @hdr: header
 * @max_outstanding_packets: number of PACKETs that the other end may have sent
 *	and not got FINISH_PACKET for, not 0
 *
 * Once in a connection, before the other end may send a PACKET that needs an
 * answer.
 */
struct nc2_msg_set_max_packets {
	struct nc2_msg_hdr hdr;
	__u32 max_outstanding_packets;
};

/* struct nc2_msg_packet, type */
#define NC2_PACKET_RECEIVER_COPY	1
#define NC2_PACKET_RECEIVER_MAP		3
#define NC2_PACKET_SMALL		4

/* struct nc2_msg_packet and struct nc2_msg_staged, flags */
/* The checksum is to be completed. */
#define NC2_PACKET_CSUM_BLANK		0x01
/* The checksum of TCP or UDP is known to be right. */
#define NC2_PACKET_DATA_VALIDATED	0x02
/* For the channel between guests; ignored. */
#define NC2_PACKET_BYPASS_CANDIDATE	0x04
/* The sender would like FINISH_PACKET soon. */
#define NC2_PACKET_NEED_EVENT		0x08

/* segmentation_type */
#define NC2_SEG_NONE			0
#define NC2_SEG_TCPV4			1
/* If the receiver has said NC2_FEATURE_TCPV6_SEG, NC2_FEATURE_UDP_SEG. */
#define NC2_SEG_TCPV6			2
#define NC2_SEG_UDPV4			3
#define NC2_SEG_UDPV6			4

/**
 * struct nc2_msg_packet - a packet
 * @hdr: header; its size tells the number of fragments:
 *	(size - 20 - prefix_size) / 8, rounded down
 * @id: of the sender; FINISH_PACKET has it
 * @type: NC2_PACKET_RECEIVER_COPY, _MAP or _SMALL
 * @flags: NC2_PACKET_*
 * @segmentation_type: NC2_SEG_*
 * @pad: 0
 * @prefix_size: bytes at the end of the message that are the packet's first
 * @mss: bytes of payload of a segment
 * @csum_start: where the checksum begins
 * @csum_offset: where the checksum is, from csum_start
 *
 * Then come struct nc2_fragment, and after these the prefix. RECEIVER_COPY and
 * RECEIVER_MAP are answered by FINISH_PACKET, SMALL, which has no fragments,
 * is not. Pages of RECEIVER_MAP can be mapped, too; a receiver may treat it
 * as RECEIVER_COPY.
 */
struct nc2_msg_packet {
	struct nc2_msg_hdr hdr;
	__u32 id;
	__u8 type;
	__u8 flags;
	__u8 segmentation_type;
	__u8 pad;
	__u16 prefix_size;
	__u16 mss;
	__u16 csum_start;
	__u16 csum_offset;
};

/**
 * struct nc2_fragment - a part of a packet in a page of the sender
 * @size: bytes, not 0
 * @off: where it begins in the page; @off + @size must not exceed the page
 * @gref: grant reference of the page
 */
struct nc2_fragment {
	__u16 size;
	__u16 off;
	__u32 gref;
};

/**
 * struct nc2_msg_finish_packet - a packet's pages are not needed any more
 * @hdr: header
 * @id: that of the packet
 */
struct nc2_msg_finish_packet {
	struct nc2_msg_hdr hdr;
	__u32 id;
};

/**
 * struct nc2_msg_set_offload - what the sender of this can receive
 * @hdr: header
 * @csum: 1: NC2_PACKET_CSUM_BLANK
 * @tcpv4_segmentation_offload: 1: NC2_SEG_TCPV4
 * @reserved: 0
 *
 * Neither before the first one.
 */
struct nc2_msg_set_offload {
	struct nc2_msg_hdr hdr;
	__u8 csum;
	__u8 tcpv4_segmentation_offload;
	__u16 reserved;
};

/**
 * struct nc2_msg_set_max_fragments - what the sender of this can receive
 * @hdr: header
 * @max_frags_per_packet: fragments of a PACKET, not 0; 1 until this is sent
 */
struct nc2_msg_set_max_fragments {
	struct nc2_msg_hdr hdr;
	__u32 max_frags_per_packet;
};

/* struct nc2_msg_set_features */
/* Its network device is up. For information: packets may be sent anyway. */
#define NC2_FEATURE_LINK		0x01
/* Always set, as an end without staging areas does not get this far. */
#define NC2_FEATURE_STAGING		0x02
/* It can receive these segmentation types; the latter is for v4 and v6. */
#define NC2_FEATURE_TCPV6_SEG		0x04
#define NC2_FEATURE_UDP_SEG		0x08

/**
 * struct nc2_msg_set_features - state and abilities of the sender of this
 * @hdr: header
 * @features: NC2_FEATURE_*; unknown bits are ignored
 *
 * As often as it changes; NC2_FEATURE_STAGING must not change.
 */
struct nc2_msg_set_features {
	struct nc2_msg_hdr hdr;
	__u32 features;
};

/* struct nc2_msg_staged, hash_type */
#define NC2_HASH_NONE			0
/* Of addresses. */
#define NC2_HASH_L3			1
/* Of addresses and ports. */
#define NC2_HASH_L4			2

/**
 * struct nc2_msg_staged - STAGED, SLOT: a packet in the staging area or in a slot
 * @hdr: header
 * @offset: STAGED: where in the area it begins; SLOT: number of the slot
 * @len: its bytes
 * @flags: NC2_PACKET_CSUM_BLANK, NC2_PACKET_DATA_VALIDATED
 * @segmentation_type: NC2_SEG_*
 * @mss: bytes of payload of a segment
 * @csum_start: where the checksum begins
 * @csum_offset: where the checksum is, from csum_start
 * @hash_type: NC2_HASH_*
 * @pad: 0
 * @hash: a hash of the flow, see above
 * @reserved: 0
 */
struct nc2_msg_staged {
	struct nc2_msg_hdr hdr;
	__u32 offset;
	__u32 len;
	__u8 flags;
	__u8 segmentation_type;
	__u16 mss;
	__u16 csum_start;
	__u16 csum_offset;
	__u8 hash_type;
	__u8 pad[3];
	__u32 hash;
	__u32 reserved;
};

/**
 * struct nc2_msg_free_slots - slots are the backend's again
 * @hdr: header
 * @pad: 0
 * @slots: bit N for slot N of the queue; those of SLOT messages, at least one
 */
struct nc2_msg_free_slots {
	struct nc2_msg_hdr hdr;
	__u32 pad;
	__u64 slots;
};

#define NC2_HASH_MAP_SIZE		128

/**
 * struct nc2_msg_set_hash_map - on which queues the sender wants what
 * @hdr: header
 * @pad: 0
 * @map: the other end is to send a packet whose flow has the hash h on queue
 *	map[h % 128]; each less than the number of queues
 *
 * Until it is sent, on h modulo the number of queues. A wish: a receiver
 * takes packets on any queue.
 */
struct nc2_msg_set_hash_map {
	struct nc2_msg_hdr hdr;
	__u32 pad;
	__u8 map[NC2_HASH_MAP_SIZE];
};

#endif /* __XEN_PUBLIC_IO_NETCHANNEL2_H__ */
