// SPDX-License-Identifier: GPL-2.0
/* nc2evil: packets of all shapes. */
#include <linux/etherdevice.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <xen/page.h>

#include "evil.h"

#define EVIL_FRAME_MAX	(17 * 4096)
/* As where: the size of the staging area, which is the frontend's choice. */
#define EVIL_AREA_END	0xfffffffe

/* What is in a packet, as far as who looks at headers is concerned. */
enum evil_content {
	PLAIN,		/* of no known protocol */
	ARP,
	TCP4,
	UDP4,
	TCP6,
	VLANS,		/* as many tags as there is room for */
	OPTS4,		/* IPv4 header of 60 bytes */
	IHL4,		/* IPv4 header of 12 bytes */
	LONG4,		/* IPv4 of more bytes than there are */
	DOFF4,		/* TCP header of 60 bytes */
	EXT6,		/* IPv6 extension headers without end */
	TAG4,		/* TCP behind a VLAN tag */
	TAGS4,		/* behind two */
	ONES,
};

static const u8 evil_head[][74] = {
	[PLAIN] = { 0x88, 0xb5 },
	[ARP] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 },
	[TCP4] = { 0x08, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 99,
		   10, 0, 0, 98, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2 },
	[UDP4] = { 0x08, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 99,
		   10, 0, 0, 98, 1, 2, 3, 4, 0, 80 },
	[TCP6] = { 0x86, 0xdd, 0x60, 0, 0, 0, 0, 60, 6, 64, 0xfd, [42] = 1, 2, 3, 4,
		   0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2 },
	[VLANS] = { 0x81, 0 },
	[OPTS4] = { 0x08, 0, 0x4f, 0, 0, 100, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 99,
		    10, 0, 0, 98, 0x44, 0xff, 0xff },
	[IHL4] = { 0x08, 0, 0x43, 0, 0, 100, 0, 0, 0, 0, 64, 6 },
	[LONG4] = { 0x08, 0, 0x45, 0, 0xff, 0xff, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 99,
		    10, 0, 0, 98 },
	[DOFF4] = { 0x08, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 99,
		    10, 0, 0, 98, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 2 },
	[EXT6] = { 0x86, 0xdd, 0x60, 0, 0, 0, 0xff, 0xff, 0, 64 },
	[TAG4] = { 0x81, 0, 0, 5, 0x08, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, 6, 0, 0,
		   10, 0, 0, 99, 10, 0, 0, 98, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2 },
	[TAGS4] = { 0x88, 0xa8, 0, 6, 0x81, 0, 0, 5, 0x08, 0, 0x45, 0, 0, 100, 0, 0, 0, 0,
		    64, 6, 0, 0, 10, 0, 0, 99, 10, 0, 0, 98, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0,
		    0, 0, 0x50, 2 },
	[ONES] = { 0xff, 0xff },
};

static void evil_build(u8 *frame, enum evil_content content, u32 len)
{
	u32 i;

	memset(frame, content == ONES ? 0xff : 0, len + 128);
	eth_broadcast_addr(frame);
	frame[6] = 2;
	frame[11] = 0x66;
	memcpy(frame + 12, evil_head[content], sizeof(evil_head[content]));
	for (i = 12; content == VLANS && i + 4 <= len; i += 4)
		frame[i] = 0x81;
}

u32 evil_frame(u8 *frame, u32 payload)
{
	memset(frame, 0, ETH_HLEN + payload);
	eth_broadcast_addr(frame);
	frame[6] = 2;
	frame[11] = 0x66;
	frame[12] = 0x88;
	frame[13] = 0xb5;
	return ETH_HLEN + payload;
}

/**
 * struct evil_shape - a packet
 * @name: of it
 * @expect: what is right
 * @kind: where it is
 * @content: what it is
 * @len: its bytes
 * @flags: NC2_PACKET_*
 * @seg: NC2_SEG_*
 * @mss: of the message
 * @start: csum_start
 * @offset: csum_offset
 * @frag: COPY: bytes of a fragment
 * @frags: COPY: most fragments; what is left is the prefix's
 * @lie: instead of the length, size of the last fragment, or of the prefix
 * @where: instead of the offset
 */
struct evil_shape {
	const char *name;
	enum evil_expect expect;
	enum nc2_kind kind;
	enum evil_content content;
	u32 len;
	u8 flags;
	u8 seg;
	u16 mss;
	u16 start;
	u16 offset;
	u16 frag;
	u16 frags;
	u32 lie;
	u32 where;
};

#define SMALL	.kind = NC2_KIND_SMALL
#define COPY	.kind = NC2_KIND_COPY
#define STAGED	.kind = NC2_KIND_STAGED
#define ENDS	.expect = EVIL_ENDS
#define GOES_ON	.expect = EVIL_GOES_ON
#define EITHER	.expect = EVIL_EITHER

static const struct evil_shape evil_shapes[] = {
	{ "small of 0 bytes", ENDS, SMALL, PLAIN, 0 },
	{ "small of 1 byte", ENDS, SMALL, PLAIN, 1 },
	{ "small of 13 bytes", ENDS, SMALL, PLAIN, 13 },
	{ "small of 14 bytes", GOES_ON, SMALL, PLAIN, 14 },
	{ "small of 256 bytes", GOES_ON, SMALL, PLAIN, 256 },
	{ "small of 257 bytes", ENDS, SMALL, PLAIN, 100, .lie = 257 },
	{ "small of 65535 bytes", ENDS, SMALL, PLAIN, 100, .lie = 65535 },
	{ "small with fragments", ENDS, SMALL, PLAIN, 100, .lie = 80 },
	{ "staged of 0 bytes", ENDS, STAGED, PLAIN, 0 },
	{ "staged of 13 bytes", ENDS, STAGED, PLAIN, 13 },
	{ "staged of 14 bytes", GOES_ON, STAGED, PLAIN, 14 },
	{ "staged larger than the MTU", GOES_ON, STAGED, PLAIN, 9000 },
	{ "staged of 65536 bytes", GOES_ON, STAGED, PLAIN, 65536 },
	{ "staged of 65537 bytes", ENDS, STAGED, PLAIN, 100, .lie = 65537 },
	{ "staged of 2^32 - 1 bytes", ENDS, STAGED, PLAIN, 100, .lie = 0xffffffff },
	{ "staged at the end", ENDS, STAGED, PLAIN, 100, .where = EVIL_AREA_END },
	{ "staged at 2^31", ENDS, STAGED, PLAIN, 100, .where = 0x80000000 },
	{ "staged at 2^32 - 1", ENDS, STAGED, PLAIN, 100, .where = 0xffffffff },
	{ "17 fragments of a byte", GOES_ON, COPY, PLAIN, 17, .frag = 1, .frags = 17 },
	{ "18 fragments of a byte", ENDS, COPY, PLAIN, 18, .frag = 1, .frags = 18 },
	{ "30 fragments of a byte", ENDS, COPY, PLAIN, 30, .frag = 1, .frags = 30 },
	{ "3 fragments of 4 bytes", ENDS, COPY, PLAIN, 12, .frag = 4, .frags = 3 },
	{ "an empty fragment", ENDS, COPY, PLAIN, 100, .frag = 50, .frags = 2, .lie = 0x10000 },
	{ "a fragment of 4097 bytes", ENDS, COPY, PLAIN, 100, .frag = 50, .frags = 2,
	  .lie = 4097 },
	{ "a fragment of 65535 bytes", ENDS, COPY, PLAIN, 100, .frag = 50, .frags = 2,
	  .lie = 65535 },
	{ "a fragment beyond its page", ENDS, COPY, PLAIN, 100, .frag = 50, .frags = 2,
	  .where = 4047 },
	{ "a fragment at 65535", ENDS, COPY, PLAIN, 100, .frag = 50, .frags = 2, .where = 65535 },
	{ "fragments of 65536 bytes", GOES_ON, COPY, PLAIN, 65536, .frag = 4096, .frags = 17 },
	{ "fragments of 69632 bytes", ENDS, COPY, PLAIN, 69632, .frag = 4096, .frags = 17 },
	{ "only a prefix, to be copied", GOES_ON, COPY, PLAIN, 100 },
	{ "checksum of ARP", GOES_ON, STAGED, ARP, 60, 1, .start = 14 },
	{ "checksum at 13", GOES_ON, STAGED, TCP4, 100, 1, .start = 13, .offset = 16 },
	{ "checksum at 0", GOES_ON, STAGED, TCP4, 100, 1, .offset = 16 },
	{ "checksum in the IP header", GOES_ON, STAGED, TCP4, 100, 1, .start = 14, .offset = 10 },
	{ "checksum in the last bytes", GOES_ON, STAGED, TCP4, 100, 1, .start = 98 },
	{ "checksum half outside", GOES_ON, STAGED, TCP4, 100, 1, .start = 98, .offset = 1 },
	{ "checksum outside", GOES_ON, STAGED, TCP4, 100, 1, .start = 65535, .offset = 65535 },
	{ "checksum without a TCP header", GOES_ON, STAGED, TCP4, 38, 1, .start = 34, .offset = 2 },
	{ "checksum in a short IP header", GOES_ON, STAGED, TCP4, 20, 1, .start = 14 },
	{ "checksum of UDP, as if TCP", GOES_ON, STAGED, UDP4, 100, 1, .start = 34, .offset = 16 },
	{ "all flags", GOES_ON, STAGED, TCP4, 114, 0xff, .start = 34, .offset = 16 },
	{ "mss 0", ENDS, STAGED, TCP4, 3000, 1, NC2_SEG_TCPV4, 0, 34, 16 },
	{ "mss 1", GOES_ON, STAGED, TCP4, 3000, 1, NC2_SEG_TCPV4, 1, 34, 16 },
	{ "mss 1, 65536 bytes", GOES_ON, STAGED, TCP4, 65536, 1, NC2_SEG_TCPV4, 1, 34, 16 },
	{ "mss 1 of UDP, 65536 bytes", GOES_ON, STAGED, UDP4, 65536, 1, NC2_SEG_UDPV4, 1, 34, 6 },
	{ "512 segments", GOES_ON, STAGED, TCP4, 54 + 5120, 1, NC2_SEG_TCPV4, 10, 34, 16 },
	{ "513 segments", GOES_ON, STAGED, TCP4, 54 + 5121, 1, NC2_SEG_TCPV4, 10, 34, 16 },
	{ "many segments, checksum near the end", GOES_ON, STAGED, UDP4, 65536, 1,
	  NC2_SEG_UDPV4, 1, 65500, 6 },
	{ "mss 65535", ENDS, STAGED, TCP4, 3000, 1, NC2_SEG_TCPV4, 65535, 34, 16 },
	{ "mss larger than the packet", GOES_ON, STAGED, TCP4, 3000, 1, NC2_SEG_TCPV4, 9000, 34, 16 },
	{ "segments of type 5", ENDS, STAGED, TCP4, 3000, 1, 5, 1000, 34, 16 },
	{ "segments of type 255", ENDS, STAGED, TCP4, 3000, 1, 255, 1000, 34, 16 },
	{ "segments without payload", GOES_ON, STAGED, TCP4, 54, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "segments without a TCP header", GOES_ON, STAGED, TCP4, 40, 1, NC2_SEG_TCPV4, 1000, 34, 2 },
	{ "segments without an IP header", GOES_ON, STAGED, TCP4, 30, 1, NC2_SEG_TCPV4, 1000, 14, 2 },
	{ "segments of ARP", GOES_ON, STAGED, ARP, 3000, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "segments of no protocol", GOES_ON, STAGED, PLAIN, 3000, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "TCPv4 segments of UDP", GOES_ON, STAGED, UDP4, 3000, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "TCPv4 segments of IPv6", GOES_ON, STAGED, TCP6, 3000, 1, NC2_SEG_TCPV4, 1000, 54, 16 },
	{ "TCPv6 segments of IPv4", GOES_ON, STAGED, TCP4, 3000, 1, NC2_SEG_TCPV6, 1000, 34, 16 },
	{ "UDPv4 segments of TCP", GOES_ON, STAGED, TCP4, 3000, 1, NC2_SEG_UDPV4, 1000, 34, 6 },
	{ "UDPv6 segments of ones", GOES_ON, STAGED, ONES, 3000, 1, NC2_SEG_UDPV6, 1000, 54, 6 },
	{ "segments with IP options", GOES_ON, STAGED, OPTS4, 3000, 1, NC2_SEG_TCPV4, 1000, 74, 16 },
	{ "segments, IP header of 12 bytes", GOES_ON, STAGED, IHL4, 3000, 1, NC2_SEG_TCPV4, 1000, 26, 16 },
	{ "segments, TCP header of 60 bytes", GOES_ON, STAGED, DOFF4, 80, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "segments, IP length 65535", GOES_ON, STAGED, LONG4, 3000, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "segments of VLANs", GOES_ON, STAGED, VLANS, 3000, 1, NC2_SEG_TCPV4, 1000, 34, 16 },
	{ "segments, IPv6 extensions", GOES_ON, STAGED, EXT6, 3000, 1, NC2_SEG_TCPV6, 1000, 54, 16 },
	{ "segments without the flag", GOES_ON, STAGED, TCP4, 3000, 0, NC2_SEG_TCPV4, 1000, 65535, 65535 },
	{ "segments, checksum elsewhere", GOES_ON, STAGED, TCP4, 3000, 1, NC2_SEG_TCPV4, 1000, 2000, 16 },
	{ "VLANs", GOES_ON, STAGED, VLANS, 1514 },
	{ "VLANs, 18 bytes", GOES_ON, STAGED, VLANS, 18 },
	{ "VLANs, 17 bytes", GOES_ON, STAGED, VLANS, 17 },
	{ "checksum behind a tag", GOES_ON, STAGED, TAG4, 104, 1, .start = 38, .offset = 16 },
	{ "checksum behind two tags", GOES_ON, STAGED, TAGS4, 108, 1, .start = 42, .offset = 16 },
	{ "segments behind a tag", GOES_ON, STAGED, TAG4, 3000, 1, NC2_SEG_TCPV4, 1000, 38, 16 },
	{ "segments behind two tags", GOES_ON, STAGED, TAGS4, 3000, 1, NC2_SEG_TCPV4, 1000, 42, 16 },
	{ "IPv6 extensions", GOES_ON, STAGED, EXT6, 1514 },
	{ "IP options", GOES_ON, STAGED, OPTS4, 1514 },
	{ "ones", GOES_ON, STAGED, ONES, 1514 },
	{ "small segments", GOES_ON, SMALL, TCP4, 200, 1, NC2_SEG_TCPV4, 50, 34, 16 },
	{ "segments of fragments", GOES_ON, COPY, TCP4, 9000, 1, NC2_SEG_TCPV4, 1000, 34, 16,
	  .frag = 4000, .frags = 3 },
	{ }
};

static u8 *evil_buffer;
static u32 evil_id;

static void evil_put_staged(const struct evil_shape *s)
{
	struct nc2_msg_staged m = {
		.hdr = { .type = NC2_MSG_STAGED, .size = sizeof(m) },
		.offset = evil.area_prod % evil.tx_staging.area.size,
		.len = s->lie ? s->lie : s->len,
		.flags = s->flags,
		.segmentation_type = s->seg,
		.mss = s->mss,
		.csum_start = s->start,
		.csum_offset = s->offset,
	};

	nc2_area_write(&evil.tx_staging.area, m.offset, evil_buffer, s->len);
	evil.area_prod += s->len;
	if (s->where)
		m.offset = s->where == EVIL_AREA_END ? evil.tx_staging.area.size : s->where;
	evil_put(&m, sizeof(m), NULL, 0);
}

/* SMALL and RECEIVER_COPY, whose references are those of the data pages. */
static void evil_put_packet(const struct evil_shape *s, const u32 *refs)
{
	struct {
		struct nc2_msg_packet m;
		struct nc2_fragment frag[32];
	} p = {
		.m = {
			.hdr.type = NC2_MSG_PACKET,
			.id = evil_id++,
			.type = s->kind == NC2_KIND_SMALL ? NC2_PACKET_SMALL :
				NC2_PACKET_RECEIVER_COPY,
			.flags = s->flags,
			.segmentation_type = s->seg,
			.mss = s->mss,
			.csum_start = s->start,
			.csum_offset = s->offset,
		},
	};
	u32 prefix = s->len, at, n, i;

	for (n = 0; n < s->frags && prefix; n++)
		prefix -= min_t(u32, prefix, s->frag);
	prefix = min(prefix, 256U);
	for (i = 0, at = prefix; i < n; i++) {
		u32 page = i % EVIL_DATA_PAGES;

		p.frag[i].size = min_t(u32, s->frag, s->len - at);
		p.frag[i].gref = refs ? refs[i] : evil.data.refs[page];
		memcpy(evil.data.area.page[page], evil_buffer + at, p.frag[i].size);
		at += p.frag[i].size;
	}
	if (n && s->lie)
		p.frag[n - 1].size = s->lie;
	if (n && s->where)
		p.frag[n - 1].off = s->where;
	p.m.prefix_size = !n && s->lie ? s->lie : prefix;
	at = sizeof(p.m) + n * sizeof(p.frag[0]);
	p.m.hdr.size = round_up(at + prefix, 8);
	evil_put(&p, at, evil_buffer, prefix);
}

static void evil_put_shape(const struct evil_shape *s)
{
	evil_build(evil_buffer, s->content, s->len);
	if (s->kind == NC2_KIND_STAGED)
		evil_put_staged(s);
	else
		evil_put_packet(s, NULL);
	evil_publish();
}

static int evil_with_buffer(int (*run)(unsigned int ms), unsigned int ms)
{
	int ret;

	evil_buffer = kvzalloc(EVIL_FRAME_MAX + 256, GFP_KERNEL);
	if (!evil_buffer)
		return -ENOMEM;
	ret = run(ms);
	kvfree(evil_buffer);
	return ret;
}

static int evil_run_shapes(unsigned int ms)
{
	const struct evil_shape *s;

	for (s = evil_shapes; s->name && !evil_stop(); s++) {
		if (s->kind == NC2_KIND_STAGED && !evil.tx_staging.area.size)
			continue;
		evil_put_shape(s);
		evil_verdict(s->name, s->expect);
	}
	return 0;
}

/*
 * UDP to port 9001 of the other end, 10.0.0.1, in more segments than there may be.
 * What arrives there tells what a message can make of itself.
 */
static int evil_run_segments(unsigned int ms)
{
	static const u8 head[] = { 0x45, 0, 0xfd, 0xe8, 0, 0, 0, 0, 64, 17, 0x69, 2, 10, 0, 0, 2,
				   10, 0, 0, 1, 4, 0xd2, 0x23, 0x29, 0xfd, 0xd4 };
	struct evil_shape s = { STAGED, .content = UDP4, .len = 65000 + ETH_HLEN, .flags = 1,
				.seg = NC2_SEG_UDPV4, .start = 34, .offset = 6 };
	static const u16 mss[] = { 1, 8, 100, 500 };
	unsigned int i;
	char name[40];

	for (i = 0; i < ARRAY_SIZE(mss) && !evil_stop(); i++) {
		evil_build(evil_buffer, s.content, s.len);
		memcpy(evil_buffer + ETH_HLEN, head, sizeof(head));
		s.mss = mss[i];
		evil_put_staged(&s);
		evil_publish();
		snprintf(name, sizeof(name), "segments of %u bytes", mss[i]);
		evil_verdict(name, EVIL_GOES_ON);
	}
	return 0;
}

static int evil_segments(unsigned int ms)
{
	return evil_with_buffer(evil_run_segments, ms);
}

static int evil_packets(unsigned int ms)
{
	return evil_with_buffer(evil_run_shapes, ms);
}

/* Headers in pieces: the prefix ends, and a fragment ends, at every byte. */
static int evil_run_split(unsigned int ms)
{
	static const enum evil_content contents[] = { TCP4, UDP4, TCP6, OPTS4, EXT6, VLANS };
	struct evil_shape s = { COPY, .len = 120, .frags = 17, .flags = 1, .offset = 6 };
	unsigned int i, frag, len;
	char name[48];

	for (i = 0; i < ARRAY_SIZE(contents) && !evil_stop(); i++) {
		s.content = contents[i];
		s.start = contents[i] == TCP6 ? 54 : 34;
		for (frag = 1; frag < 8; frag++) {
			for (len = 17; len < 120; len++) {
				s.frag = frag;
				s.len = len;
				s.flags = s.start + 8U <= len;
				evil_put_shape(&s);
			}
		}
		snprintf(name, sizeof(name), "headers in pieces, content %u", contents[i]);
		evil_verdict(name, EVIL_GOES_ON);
	}
	return 0;
}

static int evil_split(unsigned int ms)
{
	return evil_with_buffer(evil_run_split, ms);
}

/* References that are not what they should be, between others that are. */
static int evil_run_refs(unsigned int ms)
{
	const struct {
		const char *name;
		u32 ref;
	} bad[] = {
		{ "reference 0", 0 },
		{ "reference 7", 7 },
		{ "reference 65535", 65535 },
		{ "reference 2^31", 0x80000000 },
		{ "reference 2^32 - 1", 0xffffffff },
		{ "the control page", evil.control.refs[0] },
		{ "our ring", evil.tx_mem.refs[0] },
		{ "its ring", evil.rx_mem.refs[0] },
		{ "the same page, 3 times", evil.data.refs[0] },
	};
	struct evil_shape s = { COPY, .content = PLAIN, .len = 300, .frag = 100, .frags = 3 };
	unsigned int i, at;
	char name[64];

	for (i = 0; i < ARRAY_SIZE(bad) && !evil_stop(); i++) {
		for (at = 0; at < 3; at++) {
			u32 refs[3] = { evil.data.refs[0], evil.data.refs[0], evil.data.refs[0] };

			refs[at] = bad[i].ref;
			evil_build(evil_buffer, s.content, s.len);
			evil_put_packet(&s, refs);
			evil_publish();
			snprintf(name, sizeof(name), "%s in fragment %u", bad[i].name, at);
			evil_verdict(name, EVIL_EITHER);
		}
	}
	return 0;
}

static int evil_refs(unsigned int ms)
{
	return evil_with_buffer(evil_run_refs, ms);
}

/* Granted when the message is published, and perhaps no more when it is read. */
static int evil_run_revoked(unsigned int ms)
{
	struct evil_shape s = { COPY, .content = PLAIN, .len = 100, .frag = 100, .frags = 1 };
	unsigned int i, busy = 0;
	struct page *page;
	int ref;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	for (i = 0; i < 500 && !evil_stop() && !evil_connect(); i++) {
		u32 refs[1];

		ref = gnttab_grant_foreign_access(evil.xbdev->otherend_id,
						  xen_page_to_gfn(page), 1);
		if (ref < 0)
			break;
		refs[0] = ref;
		evil_build(evil_buffer, s.content, s.len);
		evil_put_packet(&s, refs);
		evil_publish();
		while (!gnttab_try_end_foreign_access(ref) && !evil_stop()) {
			busy++;
			cond_resched();
		}
	}
	__free_page(page);
	evil_say("%u packets, %u times the grant was in use\n", i, busy);
	evil_verdict("after revoked grants", EVIL_EITHER);
	return 0;
}

static int evil_revoked(unsigned int ms)
{
	return evil_with_buffer(evil_run_revoked, ms);
}

const struct evil_case evil_packet_cases[] = {
	{ "a5-packets", "packets of all shapes", evil_packets, true, true },
	{ "a5-segments", "more segments than there may be", evil_segments, true, false },
	{ "a5-split", "headers in pieces", evil_split, true, true },
	{ "a6-refs", "packets in pages that are not granted", evil_refs, true, true },
	{ "a6-revoked", "packets whose grants are revoked at once", evil_revoked, true, true },
	{ }
};
