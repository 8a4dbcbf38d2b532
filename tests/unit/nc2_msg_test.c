// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2's messages: what is right is understood, each field that is
 * wrong is found, and it does not matter when it changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nc2_pair.h"
#include "nc2_shim.h"

#define STAGING_PAGES	32u
#define STAGING		(STAGING_PAGES * NC2_PAGE_SIZE)

static struct nc2_pair pair;

/* A message as it is in the ring; the largest that can be said. */
struct message {
	u8 bytes[65536];
	u32 size;
};

static u16 message_hdr_size(const struct message *m)
{
	struct nc2_msg_hdr hdr;

	memcpy(&hdr, m->bytes, sizeof(hdr));
	return hdr.size;
}

static void message_packet(struct message *m, u8 type, unsigned int nr_frags,
			   u16 prefix)
{
	struct nc2_msg_packet p = {
		.hdr.type = NC2_MSG_PACKET,
		.id = 0x12345678,
		.type = type,
		.flags = NC2_PACKET_CSUM_BLANK,
		.segmentation_type = NC2_SEG_TCPV4,
		.prefix_size = prefix,
		.mss = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	unsigned int i;
	u32 at = sizeof(p);

	memset(m, 0, sizeof(*m));
	for (i = 0; i < nr_frags; i++, at += sizeof(struct nc2_fragment)) {
		struct nc2_fragment f = { .size = 100 + i, .off = 7 * i,
					  .gref = 1000 + i };

		memcpy(m->bytes + at, &f, sizeof(f));
	}
	for (i = 0; i < prefix; i++)
		m->bytes[at++] = i + 1;
	m->size = (at + 7) & ~7u;
	p.hdr.size = m->size;
	memcpy(m->bytes, &p, sizeof(p));
}

static void message_staged(struct message *m)
{
	struct nc2_msg_staged s = {
		.hdr = { .type = NC2_MSG_STAGED, .size = sizeof(s) },
		.offset = STAGING - 5,
		.len = 1514,
		.flags = NC2_PACKET_CSUM_BLANK,
		.segmentation_type = NC2_SEG_UDPV6,
		.mss = 1400,
		.csum_start = 54,
		.csum_offset = 6,
		.hash_type = NC2_HASH_L4,
		.hash = 0xdeadbeef,
	};

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &s, sizeof(s));
	m->size = sizeof(s);
}

static void message_slot(struct message *m)
{
	const u8 type = NC2_MSG_SLOT;
	const u32 slot = NC2_PAIR_SLOTS - 1;

	message_staged(m);
	memcpy(m->bytes, &type, sizeof(type));
	memcpy(m->bytes + offsetof(struct nc2_msg_staged, offset), &slot, sizeof(slot));
}

/* Put it into the ring as it is, lies about its size included. */
static void place(const struct message *m, u32 start, unsigned int ring_pages)
{
	u32 i;

	nc2_pair_init(&pair, ring_pages, STAGING_PAGES, start);
	for (i = 0; i < m->size; i++)
		*(u8 *)nc2_shim_at(nc2_pair_ring_at(&pair, start + i)) =
			m->bytes[i];
	nc2_pair_front()->prod = start + m->size;
}

/* Read what was placed: as nc2_read_packet(). */
static int parse(struct nc2_packet *p, struct nc2_msg_hdr *hdr)
{
	int ret = nc2_consumer_next(&pair.c, hdr);

	memset(p, 0xa5, sizeof(*p));
	if (ret <= 0)
		return ret ? ret : -ENODATA;
	if (hdr->type == NC2_MSG_PACKET)
		return nc2_read_packet(&pair.c, hdr, &pair.limits, p);
	return nc2_read_staged(&pair.c, hdr, &pair.limits, p);
}

static int parse_at(const struct message *m, u32 start, struct nc2_packet *p)
{
	struct nc2_msg_hdr hdr;
	const char *bad;
	int ret;

	place(m, start, 16);
	ret = parse(p, &hdr);
	bad = ret ? NULL : nc2_pair_bad(p, &hdr, &pair.limits);
	if (ret == -EINVAL)
		bad = nc2_pair_bad_place(p, &hdr, &pair.limits);
	if (bad)
		fail_msg("accepted: %s", bad);
	return ret;
}

static void check_packet(unsigned int nr_frags, u16 prefix, u32 start)
{
	struct nc2_packet p;
	struct message m;
	unsigned int i;
	u8 got[256];
	u32 len = prefix;

	message_packet(&m, nr_frags ? NC2_PACKET_RECEIVER_COPY : NC2_PACKET_SMALL,
		       nr_frags, prefix);
	for (i = 0; i < nr_frags; i++)
		len += 100 + i;
	if (len < 52) {
		/* The checksum is not in it. */
		assert_int_equal(parse_at(&m, start, &p), len < 14 ? -EPROTO : -EINVAL);
		m.bytes[offsetof(struct nc2_msg_packet, flags)] = 0;
		m.bytes[offsetof(struct nc2_msg_packet, segmentation_type)] = 0;
	}
	if (len < 14) {
		assert_int_equal(parse_at(&m, start, &p), -EPROTO);
		return;
	}
	assert_int_equal(parse_at(&m, start, &p), 0);
	assert_int_equal(p.kind, nr_frags ? NC2_KIND_COPY : NC2_KIND_SMALL);
	assert_int_equal(p.id, 0x12345678);
	assert_int_equal(p.len, len);
	assert_int_equal(p.flags, len < 52 ? 0 : NC2_PACKET_CSUM_BLANK);
	assert_int_equal(p.seg, len < 52 ? NC2_SEG_NONE : NC2_SEG_TCPV4);
	assert_int_equal(p.mss, 1448);
	assert_int_equal(p.csum_start, 34);
	assert_int_equal(p.csum_offset, 16);
	assert_int_equal(p.prefix, prefix);
	assert_int_equal(p.nr_frags, nr_frags);
	assert_int_equal(p.hash_type, NC2_HASH_NONE);
	for (i = 0; i < nr_frags; i++) {
		assert_int_equal(p.frag[i].size, 100 + i);
		assert_int_equal(p.frag[i].off, 7 * i);
		assert_int_equal(p.frag[i].gref, 1000 + i);
	}
	nc2_consumer_read(&pair.c, p.prefix_at, got, p.prefix);
	for (i = 0; i < prefix; i++)
		assert_int_equal(got[i], (u8)(i + 1));
}

/* All numbers of fragments, all sizes of the prefix, across a page and 2^32. */
static void nc2_msg_packets(void **state)
{
	unsigned int nr_frags, prefix;

	(void)state;
	for (nr_frags = 0; nr_frags <= NC2_MAX_FRAGS; nr_frags++) {
		for (prefix = 0; prefix <= NC2_MAX_PREFIX_BYTES; prefix++) {
			check_packet(nr_frags, prefix, 4096 - 16);
			if (prefix % 37 == 0)
				check_packet(nr_frags, prefix, (u32)-512);
		}
	}
}

/* 64 KiB wherever they begin. */
static void nc2_msg_largest(void **state)
{
	const u16 off = offsetof(struct nc2_fragment, off);
	struct nc2_packet p;
	struct message m;
	unsigned int i, first;

	(void)state;
	for (first = 1; first <= 4096; first += 65) {
		message_packet(&m, NC2_PACKET_RECEIVER_MAP, 17, 0);
		for (i = 0; i < 17; i++) {
			u16 v[2] = { i ? 4096 : first, i ? 0 : 4096 - first };

			if (i == 16)
				v[0] = first == 4096 ? 1 : 4096 - first;
			memcpy(m.bytes + 20 + 8 * i, v, sizeof(v));
		}
		assert_int_equal(parse_at(&m, 0, &p), first == 4096 ? -EPROTO : 0);
		if (first < 4096)
			assert_int_equal(p.len, 65536);
	}
	assert_int_equal(off, 2);
}

static void nc2_msg_staged(void **state)
{
	struct nc2_packet p;
	struct message m;

	(void)state;
	message_staged(&m);
	assert_int_equal(parse_at(&m, (u32)-16384, &p), 0);
	assert_int_equal(p.kind, NC2_KIND_STAGED);
	assert_int_equal(p.len, 1514);
	assert_int_equal(p.offset, STAGING - 5);
	assert_int_equal(p.flags, NC2_PACKET_CSUM_BLANK);
	assert_int_equal(p.seg, NC2_SEG_UDPV6);
	assert_int_equal(p.mss, 1400);
	assert_int_equal(p.csum_start, 54);
	assert_int_equal(p.csum_offset, 6);
	assert_int_equal(p.hash_type, NC2_HASH_L4);
	assert_int_equal(p.hash, 0xdeadbeef);
	/* There is no staging area: no STAGED. */
	place(&m, 0, 1);
	pair.limits.staging = 0;
	assert_int_equal(parse(&p, &(struct nc2_msg_hdr){ 0 }), -EPROTO);
}

static void nc2_msg_slot(void **state)
{
	struct nc2_packet p;
	struct message m;

	(void)state;
	message_slot(&m);
	assert_int_equal(parse_at(&m, (u32)-16384, &p), 0);
	assert_int_equal(p.kind, NC2_KIND_SLOT);
	assert_int_equal(p.len, 1514);
	assert_int_equal(p.offset, NC2_PAIR_SLOTS - 1);
	assert_int_equal(p.hash, 0xdeadbeef);
	/* The size of the staging area has nothing to do with it. */
	place(&m, 0, 1);
	pair.limits.staging = 0;
	assert_int_equal(parse(&p, &(struct nc2_msg_hdr){ 0 }), 0);
	/* There are no slots: no SLOT. */
	place(&m, 0, 1);
	pair.limits.slots = 0;
	assert_int_equal(parse(&p, &(struct nc2_msg_hdr){ 0 }), -EPROTO);
}

/* One field of a message that is right otherwise. */
enum base {
	SMALL,		/* 60 bytes of prefix */
	COPY,		/* 3 fragments and 50 bytes of prefix */
	MAP,		/* the same */
	FULL,		/* 17 fragments and 256 bytes of prefix */
	STAGED,
	SLOT,
	BASES,
};

#define PKT(f, n)	.name = #f, .len = (n), \
			.off = offsetof(struct nc2_msg_packet, f)
#define FRAG(i, f, n)	.name = "frag." #f, .len = (n), \
			.off = 20 + 8 * (i) + offsetof(struct nc2_fragment, f)
#define STG(f, n)	.name = #f, .len = (n), \
			.off = offsetof(struct nc2_msg_staged, f)

static const struct field {
	enum base base;
	const char *name;
	u32 off;
	u32 len;
	u32 value;
	int want;
} fields[] = {
	/* Of no importance, or anything goes. */
	{ SMALL, PKT(hdr.flags, 1), .value = 0xff, .want = 0 },
	{ SMALL, PKT(id, 4), .value = 0xffffffff, .want = 0 },
	{ SMALL, PKT(pad, 1), .value = 0xff, .want = 0 },
	{ SMALL, PKT(flags, 1), .value = 0xff, .want = 0 },
	{ COPY, FRAG(1, gref, 4), .value = 0xffffffff, .want = 0 },
	{ STAGED, STG(hdr.flags, 1), .value = 0xff, .want = 0 },
	{ STAGED, STG(hash, 4), .value = 0xffffffff, .want = 0 },
	{ STAGED, STG(reserved, 4), .value = 0xffffffff, .want = 0 },
	{ STAGED, STG(flags, 1), .value = 0xff, .want = 0 },
	/* Where the packet is. */
	{ SMALL, PKT(type, 1), .value = 0, .want = -EPROTO },
	{ SMALL, PKT(type, 1), .value = 2, .want = -EPROTO },
	{ SMALL, PKT(type, 1), .value = 5, .want = -EPROTO },
	{ SMALL, PKT(type, 1), .value = 0xff, .want = -EPROTO },
	{ SMALL, PKT(type, 1), .value = NC2_PACKET_RECEIVER_COPY, .want = 0 },
	{ COPY, PKT(type, 1), .value = NC2_PACKET_SMALL, .want = -EPROTO },
	{ COPY, PKT(type, 1), .value = NC2_PACKET_RECEIVER_MAP, .want = 0 },
	{ MAP, PKT(type, 1), .value = NC2_PACKET_SMALL, .want = -EPROTO },
	/* The size of the message. */
	{ SMALL, PKT(hdr.size, 2), .value = 8, .want = -EPROTO },
	{ SMALL, PKT(hdr.size, 2), .value = 16, .want = -EPROTO },
	{ SMALL, PKT(hdr.size, 2), .value = 24, .want = -EPROTO },
	{ SMALL, PKT(hdr.size, 2), .value = 72, .want = -EPROTO },
	{ SMALL, PKT(hdr.size, 2), .value = 88, .want = -EPROTO },
	{ FULL, PKT(hdr.size, 2), .value = 424, .want = -EPROTO },
	{ FULL, PKT(hdr.size, 2), .value = 65528, .want = -EPROTO },
	{ STAGED, STG(hdr.size, 2), .value = 8, .want = -EPROTO },
	{ STAGED, STG(hdr.size, 2), .value = 24, .want = -EPROTO },
	{ STAGED, STG(hdr.size, 2), .value = 40, .want = -EPROTO },
	/* Prefix: the number of fragments follows from it. */
	{ SMALL, PKT(prefix_size, 2), .value = 61, .want = -EPROTO },
	{ SMALL, PKT(prefix_size, 2), .value = 52, .want = -EPROTO },
	{ SMALL, PKT(prefix_size, 2), .value = 0, .want = -EPROTO },
	{ SMALL, PKT(prefix_size, 2), .value = 257, .want = -EPROTO },
	{ SMALL, PKT(prefix_size, 2), .value = 0x8000, .want = -EPROTO },
	{ SMALL, PKT(prefix_size, 2), .value = 0xffff, .want = -EPROTO },
	{ COPY, PKT(prefix_size, 2), .value = 85, .want = -EPROTO },
	{ FULL, PKT(prefix_size, 2), .value = 255, .want = 0 },
	{ FULL, PKT(prefix_size, 2), .value = 252, .want = -EPROTO },
	{ FULL, PKT(prefix_size, 2), .value = 257, .want = -EPROTO },
	{ FULL, PKT(prefix_size, 2), .value = 260, .want = -EPROTO },
	/* Fragments. */
	{ COPY, FRAG(0, size, 2), .value = 0, .want = -EPROTO },
	{ COPY, FRAG(1, size, 2), .value = 0, .want = -EPROTO },
	{ COPY, FRAG(2, size, 2), .value = 0, .want = -EPROTO },
	{ COPY, FRAG(0, size, 2), .value = 4096, .want = 0 },
	{ COPY, FRAG(0, size, 2), .value = 4097, .want = -EPROTO },
	{ COPY, FRAG(1, size, 2), .value = 4096, .want = -EPROTO },
	{ COPY, FRAG(1, size, 2), .value = 4089, .want = 0 },
	{ COPY, FRAG(1, size, 2), .value = 4090, .want = -EPROTO },
	{ COPY, FRAG(2, size, 2), .value = 0xffff, .want = -EPROTO },
	{ COPY, FRAG(0, off, 2), .value = 3996, .want = 0 },
	{ COPY, FRAG(0, off, 2), .value = 3997, .want = -EPROTO },
	{ COPY, FRAG(0, off, 2), .value = 4096, .want = -EPROTO },
	{ COPY, FRAG(0, off, 2), .value = 0xff9c, .want = -EPROTO },
	{ COPY, FRAG(0, off, 2), .value = 0xffff, .want = -EPROTO },
	{ FULL, FRAG(16, off, 2), .value = 3980, .want = 0 },
	{ FULL, FRAG(16, off, 2), .value = 3981, .want = -EPROTO },
	/* Checksum. */
	{ SMALL, PKT(csum_start, 2), .value = 13, .want = -EINVAL },
	{ SMALL, PKT(csum_start, 2), .value = 14, .want = 0 },
	{ SMALL, PKT(csum_start, 2), .value = 42, .want = 0 },
	{ SMALL, PKT(csum_start, 2), .value = 43, .want = -EINVAL },
	{ SMALL, PKT(csum_start, 2), .value = 0xffff, .want = -EINVAL },
	{ SMALL, PKT(csum_offset, 2), .value = 24, .want = 0 },
	{ SMALL, PKT(csum_offset, 2), .value = 25, .want = -EINVAL },
	{ SMALL, PKT(csum_offset, 2), .value = 0xffde, .want = -EINVAL },
	{ SMALL, PKT(csum_offset, 2), .value = 0xffff, .want = -EINVAL },
	{ COPY, PKT(csum_start, 2), .value = 335, .want = 0 },
	{ COPY, PKT(csum_start, 2), .value = 336, .want = -EINVAL },
	{ STAGED, STG(csum_start, 2), .value = 13, .want = -EINVAL },
	{ STAGED, STG(csum_start, 2), .value = 14, .want = 0 },
	{ STAGED, STG(csum_start, 2), .value = 1506, .want = 0 },
	{ STAGED, STG(csum_start, 2), .value = 1507, .want = -EINVAL },
	{ STAGED, STG(csum_offset, 2), .value = 0xffff, .want = -EINVAL },
	/* Segments. */
	{ SMALL, PKT(segmentation_type, 1), .value = NC2_SEG_UDPV6, .want = 0 },
	{ SMALL, PKT(segmentation_type, 1), .value = NC2_SEG_UDPV6 + 1, .want = -EPROTO },
	{ SMALL, PKT(segmentation_type, 1), .value = 0xff, .want = -EPROTO },
	{ SMALL, PKT(mss, 2), .value = 0, .want = -EPROTO },
	{ SMALL, PKT(mss, 2), .value = 1, .want = 0 },
	{ SMALL, PKT(mss, 2), .value = 65522, .want = 0 },
	{ SMALL, PKT(mss, 2), .value = 65523, .want = -EPROTO },
	{ SMALL, PKT(mss, 2), .value = 65535, .want = -EPROTO },
	{ STAGED, STG(segmentation_type, 1), .value = NC2_SEG_UDPV6 + 1, .want = -EPROTO },
	{ STAGED, STG(mss, 2), .value = 0, .want = -EPROTO },
	{ STAGED, STG(mss, 2), .value = 65535, .want = -EPROTO },
	/* The flag is implied, so what it is for is checked without it, too. */
	{ SMALL, PKT(flags, 1), .value = 0, .want = 0 },
	{ STAGED, STG(flags, 1), .value = 0, .want = 0 },
	/* The staging area. */
	{ STAGED, STG(offset, 4), .value = 0, .want = 0 },
	{ STAGED, STG(offset, 4), .value = STAGING - 1, .want = 0 },
	{ STAGED, STG(offset, 4), .value = STAGING, .want = -EPROTO },
	{ STAGED, STG(offset, 4), .value = 0x80000000, .want = -EPROTO },
	{ STAGED, STG(offset, 4), .value = 0xffffffff, .want = -EPROTO },
	{ STAGED, STG(len, 4), .value = 0, .want = -EPROTO },
	{ STAGED, STG(len, 4), .value = 13, .want = -EPROTO },
	{ STAGED, STG(len, 4), .value = 61, .want = -EINVAL },
	{ STAGED, STG(len, 4), .value = 62, .want = 0 },
	{ STAGED, STG(len, 4), .value = 65536, .want = 0 },
	{ STAGED, STG(len, 4), .value = 65537, .want = -EPROTO },
	{ STAGED, STG(len, 4), .value = STAGING, .want = -EPROTO },
	{ STAGED, STG(len, 4), .value = 0xffffffff, .want = -EPROTO },
	{ STAGED, STG(hash_type, 1), .value = NC2_HASH_L4 + 1, .want = -EPROTO },
	{ STAGED, STG(hash_type, 1), .value = 0xff, .want = -EPROTO },
	/* A slot. */
	{ SLOT, STG(hdr.size, 2), .value = 24, .want = -EPROTO },
	{ SLOT, STG(hdr.size, 2), .value = 40, .want = -EPROTO },
	{ SLOT, STG(offset, 4), .value = 0, .want = 0 },
	{ SLOT, STG(offset, 4), .value = NC2_PAIR_SLOTS, .want = -EPROTO },
	{ SLOT, STG(offset, 4), .value = 0x80000000, .want = -EPROTO },
	{ SLOT, STG(offset, 4), .value = 0xffffffff, .want = -EPROTO },
	{ SLOT, STG(len, 4), .value = 13, .want = -EPROTO },
	{ SLOT, STG(len, 4), .value = 65536, .want = 0 },
	{ SLOT, STG(len, 4), .value = 65537, .want = -EPROTO },
	{ SLOT, STG(len, 4), .value = 0xffffffff, .want = -EPROTO },
	{ SLOT, STG(csum_start, 2), .value = 13, .want = -EINVAL },
	{ SLOT, STG(mss, 2), .value = 0, .want = -EPROTO },
	{ SLOT, STG(hash_type, 1), .value = NC2_HASH_L4 + 1, .want = -EPROTO },
};

#define NR_FIELDS	(sizeof(fields) / sizeof(fields[0]))

static void message_base(struct message *m, enum base base)
{
	static const struct {
		u8 type;
		u8 nr_frags;
		u16 prefix;
	} packets[] = {
		[SMALL] = { NC2_PACKET_SMALL, 0, 60 },
		[COPY] = { NC2_PACKET_RECEIVER_COPY, 3, 50 },
		[MAP] = { NC2_PACKET_RECEIVER_MAP, 3, 50 },
		[FULL] = { NC2_PACKET_RECEIVER_COPY, 17, 256 },
	};

	if (base == STAGED)
		message_staged(m);
	else if (base == SLOT)
		message_slot(m);
	else
		message_packet(m, packets[base].type, packets[base].nr_frags,
			       packets[base].prefix);
}

static void message_set(struct message *m, const struct field *f)
{
	memcpy(m->bytes + f->off, &f->value, f->len);
	/* There is as much as the message says, so that it is not just that. */
	if (message_hdr_size(m) > m->size)
		m->size = message_hdr_size(m);
}

static void nc2_msg_fields(void **state)
{
	struct nc2_packet p;
	struct message m;
	unsigned int i;
	int ret;

	(void)state;
	for (i = 0; i < BASES; i++) {
		message_base(&m, i);
		assert_int_equal(parse_at(&m, 0, &p), 0);
	}
	for (i = 0; i < NR_FIELDS; i++) {
		message_base(&m, fields[i].base);
		message_set(&m, &fields[i]);
		ret = parse_at(&m, 0, &p);
		if (ret != fields[i].want)
			fail_msg("message %d, %s = %u: %d", fields[i].base,
				 fields[i].name, fields[i].value, ret);
	}
}

/* Few bytes must not become many segments, each a packet for the receiver. */
static void nc2_msg_segments(void **state)
{
	static const struct {
		u8 seg;
		u32 most;
		u32 headers;
	} types[] = {
		{ NC2_SEG_TCPV4, NC2_MAX_TCP_SEGS, 20 },
		{ NC2_SEG_TCPV6, NC2_MAX_TCP_SEGS, 20 },
		{ NC2_SEG_UDPV4, NC2_MAX_UDP_SEGS, 8 },
		{ NC2_SEG_UDPV6, NC2_MAX_UDP_SEGS, 8 },
	};
	u32 i, more, start = 34;
	struct nc2_packet p;
	struct message m;
	u16 mss;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (mss = 1; mss * types[i].most < 65000; mss++) {
			for (more = 0; more < 2; more++) {
				struct nc2_msg_staged s = {
					.hdr = { .type = NC2_MSG_STAGED, .size = sizeof(s) },
					.len = start + types[i].headers +
					       mss * types[i].most + more,
					.segmentation_type = types[i].seg,
					.mss = mss,
					.csum_start = start,
					.csum_offset = 6,
				};

				memset(&m, 0, sizeof(m));
				memcpy(m.bytes, &s, sizeof(s));
				m.size = sizeof(s);
				assert_int_equal(parse_at(&m, 0, &p), more ? -EINVAL : 0);
			}
		}
	}
}

/* Mostly what may be said, or nearly. */
static void random_packet(struct nc2_packet *p)
{
	static const u32 likely[] = { 0, 1, 13, 14, 34, 54, 256, 1448, 1514, 9000,
				      65522, 65535, 65536 };
	u32 v[5];
	unsigned int i;

	for (i = 0; i < 5; i++)
		v[i] = rand() % 4 ? likely[rand() % 13] + rand() % 2 : (u32)rand() % 70000;
	memset(p, 0, sizeof(*p));
	p->len = rand() % 3 ? v[0] : 14 + v[0] % 65523;
	p->flags = rand() % 4;
	p->seg = rand() % 8 ? rand() % 5 : rand();
	p->mss = v[1];
	p->csum_start = rand() % 3 ? 34 : v[2];
	p->csum_offset = rand() % 3 ? 16 : v[3];
	p->hash_type = rand() % 8 ? rand() % 3 : rand();
	p->hash = rand();
}

static bool same_packet(const struct nc2_packet *a, const struct nc2_packet *b)
{
	return a->len == b->len && a->flags == b->flags && a->seg == b->seg &&
	       a->mss == b->mss && a->csum_start == b->csum_start &&
	       a->csum_offset == b->csum_offset;
}

/*
 * A sender's check is the receiver's: what is sent after it was checked is
 * received, and as what it was; and what is not sent would not be.
 */
static void nc2_msg_both_ends(void **state)
{
	unsigned int i, sent = 0, dropped = 0;
	struct nc2_packet p, got;
	struct message m;

	(void)state;
	srand(4);
	for (i = 0; i < 60000; i++) {
		bool small = rand() % 4 == 0;
		int ret, want;

		random_packet(&p);
		if (small) {
			p.len %= NC2_MAX_PREFIX_BYTES + 1;
			p.hash_type = NC2_HASH_NONE;
		}
		ret = nc2_check_packet(&p, NC2_MAX_PACKET_BYTES);
		memset(&m, 0, sizeof(m));
		if (small) {
			struct nc2_msg_packet msg;

			nc2_write_packet(&p, NC2_PACKET_SMALL, &msg);
			msg.prefix_size = p.len;
			m.size = (sizeof(msg) + p.len + 7) & ~7u;
			msg.hdr.size = m.size;
			memcpy(m.bytes, &msg, sizeof(msg));
		} else {
			struct nc2_msg_staged msg;

			nc2_write_staged(&p, &msg);
			m.size = sizeof(msg);
			memcpy(m.bytes, &msg, sizeof(msg));
		}
		want = parse_at(&m, 0, &got);
		if (ret != want)
			fail_msg("len %u, flags %u, seg %u, mss %u, checksum at %u + %u: the sender says %d, the receiver %d",
				 p.len, p.flags, p.seg, p.mss, p.csum_start, p.csum_offset,
				 ret, want);
		if (!ret && !same_packet(&p, &got))
			fail_msg("len %u, seg %u is received as another packet", p.len, p.seg);
		if (!ret && !small && (p.hash_type != got.hash_type || p.hash != got.hash))
			fail_msg("hash type %u is received as %u", p.hash_type, got.hash_type);
		sent += !ret;
		dropped += ret == -EINVAL;
	}
	/* Else it would have shown little. */
	assert_true(sent > 10000);
	assert_true(dropped > 5000);
	print_message("# %u sent, %u dropped\n", sent, dropped);
}

/* What only odd stacks hand in costs the packet, not the connection. */
static void nc2_msg_stack(void **state)
{
	/* Segments, and no checksum to complete. */
	struct nc2_packet p = { .len = 3000, .seg = NC2_SEG_TCPV4, .mss = 1000 };

	(void)state;
	assert_int_equal(nc2_check_packet(&p, NC2_MAX_PACKET_BYTES), -EINVAL);
	/* The checksum is in the Ethernet header. */
	p = (struct nc2_packet){ .len = 100, .flags = NC2_PACKET_CSUM_BLANK, .csum_start = 12 };
	assert_int_equal(nc2_check_packet(&p, NC2_MAX_PACKET_BYTES), -EINVAL);
	/* Of UDP, 65,535 bytes of IP: not the largest packet, but must not be said. */
	p = (struct nc2_packet){ .len = 65549, .seg = NC2_SEG_UDPV4, .mss = 1000,
				 .csum_start = 34, .csum_offset = 6 };
	assert_int_equal(nc2_check_packet(&p, NC2_MAX_PACKET_BYTES), -EPROTO);
}

/* Sizes are those of the connection. */
static void nc2_msg_limits(void **state)
{
	static const u32 sizes[] = { 9000, 65536, 192 << 10, 512 << 10 };
	const size_t seg = offsetof(struct nc2_msg_staged, segmentation_type);
	struct nc2_msg_hdr hdr;
	struct nc2_packet p;
	struct message m;
	unsigned int i, slot;
	u32 more, len;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (slot = 0; slot < 2; slot++) {
			for (more = 0; more < 2; more++) {
				len = sizes[i] + more;
				if (slot)
					message_slot(&m);
				else
					message_staged(&m);
				memcpy(m.bytes + offsetof(struct nc2_msg_staged, len), &len, 4);
				/* The mss of 1400 would be of too many segments. */
				memset(m.bytes + seg, 0, 1);
				place(&m, 0, 1);
				pair.limits.packet = sizes[i];
				pair.limits.staging = 1 << 20;
				pair.limits.slot = 1 << 20;
				assert_int_equal(parse(&p, &hdr), more ? -EPROTO : 0);
				/* And a packet is not larger than where it is. */
				memset(m.bytes + offsetof(struct nc2_msg_staged, offset), 0, 4);
				place(&m, 0, 1);
				pair.limits.packet = 1 << 20;
				pair.limits.staging = sizes[i];
				pair.limits.slot = sizes[i];
				assert_int_equal(parse(&p, &hdr), more ? -EPROTO : 0);
			}
		}
	}
}

/*
 * As the driver fills a ring of which nothing is consumed: packets, then settings,
 * until there is no room for either. Answers to all packets of the other end still
 * have room, wherever that happens.
 */
static void nc2_msg_reserve(void **state)
{
	static const u8 msg[sizeof(struct nc2_msg_packet) + NC2_MAX_PREFIX_BYTES];
	u32 start, len, i, settings;
	struct nc2_producer *p;

	(void)state;
	for (start = 0; start < NC2_PAGE_SIZE; start += 8) {
		for (len = 24; len <= sizeof(msg); len += 36) {
			nc2_pair_init(&pair, 1, 0, start);
			p = &pair.p;
			while (nc2_producer_room(p, sizeof(msg), NC2_RESERVE))
				nc2_producer_put(p, msg, len, NULL, 0);
			for (settings = 0;; settings++) {
				u32 bytes = settings % 2 ? sizeof(struct nc2_msg_set_hash_map) :
							   sizeof(struct nc2_msg_set_features);

				if (!nc2_producer_room(p, bytes, NC2_ANSWER_BYTES))
					break;
				nc2_producer_put(p, msg, bytes, NULL, 0);
			}
			/* One of each. */
			assert_true(settings >= 2);
			for (i = 0; i < NC2_MAX_UNFINISHED; i++) {
				if (!nc2_producer_room(p, sizeof(struct nc2_msg_finish_packet), 0))
					fail_msg("start %u, packets of %u: no room for answer %u",
						 start, len, i);
				nc2_producer_put(p, msg, sizeof(struct nc2_msg_finish_packet),
						 NULL, 0);
			}
		}
	}
}

/* A staging area smaller than a packet: len is bounded by it. */
static void nc2_msg_small_staging(void **state)
{
	struct nc2_msg_hdr hdr;
	struct nc2_packet p;
	struct message m;
	u32 len;

	(void)state;
	message_staged(&m);
	for (len = 4095; len <= 4097; len++) {
		memcpy(m.bytes + offsetof(struct nc2_msg_staged, len), &len, 4);
		memset(m.bytes + offsetof(struct nc2_msg_staged, offset), 0, 4);
		place(&m, 0, 1);
		pair.limits.staging = 4096;
		assert_int_equal(parse(&p, &hdr), len <= 4096 ? 0 : -EPROTO);
	}
}

/* Read all of a message as the driver does: once. */
static int take(struct nc2_packet *p, u8 *prefix)
{
	struct nc2_msg_hdr hdr;
	int ret = parse(p, &hdr);

	if (ret)
		return ret;
	memset(prefix, 0, NC2_MAX_PREFIX_BYTES);
	if (p->prefix)
		nc2_consumer_read(&pair.c, p->prefix_at, prefix, p->prefix);
	nc2_consumer_done(&pair.c, &hdr);
	nc2_consumer_publish(&pair.c);
	return 0;
}

static void nc2_msg_reads_once(void **state)
{
	u8 prefix[NC2_MAX_PREFIX_BYTES];
	struct nc2_packet p;
	struct message m;
	unsigned int i, n;
	u32 at;

	(void)state;
	for (i = 0; i < NR_FIELDS + BASES; i++) {
		message_base(&m, i < NR_FIELDS ? fields[i].base : i - NR_FIELDS);
		if (i < NR_FIELDS)
			message_set(&m, &fields[i]);
		place(&m, 4096 - 16, 16);
		nc2_shim_count();
		take(&p, prefix);
		n = nc2_shim_most_reads(&at);
		if (n != 1)
			fail_msg("%s: byte %u is read %u times",
				 i < NR_FIELDS ? fields[i].name : "message",
				 at, n);
	}
}

/* The two values between which a field changes each time it is looked at. */
static struct {
	u32 at;
	u8 value[2][8];
	u32 len;
	unsigned int turn;
} flip;

static void flip_before_load(u32 at, u32 len)
{
	u32 i;

	(void)at;
	(void)len;
	flip.turn ^= 1;
	for (i = 0; i < flip.len; i++)
		*(u8 *)nc2_shim_at(nc2_pair_ring_at(&pair, flip.at + i)) =
			flip.value[flip.turn][i];
}

/*
 * While a field changes between what is right and what is not with every read,
 * the result is one of the two that it has if nothing changes.
 */
static void nc2_msg_flips(void **state)
{
	struct nc2_packet p[2], got;
	u8 prefix[2][NC2_MAX_PREFIX_BYTES], got_prefix[NC2_MAX_PREFIX_BYTES];
	unsigned int i, j, first;
	struct message m[2];
	int ret[2], r;

	(void)state;
	for (i = 0; i < NR_FIELDS; i++) {
		for (j = 0; j < 2; j++) {
			message_base(&m[j], fields[i].base);
			if (j)
				message_set(&m[j], &fields[i]);
			place(&m[j], 0, 16);
			ret[j] = take(&p[j], prefix[j]);
		}
		for (first = 0; first < 2; first++) {
			place(&m[1], 0, 16);
			flip.at = fields[i].off;
			flip.len = fields[i].len;
			flip.turn = first;
			for (j = 0; j < 2; j++)
				memcpy(flip.value[j], m[j].bytes + flip.at, flip.len);
			nc2_shim_hooks.before_load = flip_before_load;
			r = take(&got, got_prefix);
			for (j = 0; j < 2; j++)
				if (r == ret[j] &&
				    (r || (!memcmp(&got, &p[j], sizeof(got)) &&
					   !memcmp(got_prefix, prefix[j], 256))))
					break;
			if (j == 2)
				fail_msg("message %d, %s flips to %u: a mix",
					 fields[i].base, fields[i].name,
					 fields[i].value);
		}
	}
}

/* Every byte that is looked at has become another one. */
static void storm_before_load(u32 at, u32 len)
{
	static const u8 likely[] = { 0, 1, 2, 3, 4, 8, 0x10, 0x18, 0x20, 0xff };
	u32 i;

	for (i = 0; i < len; i++)
		if (at >= NC2_PAGE_SIZE && rand() % 8 == 0)
			*(u8 *)nc2_shim_at(at + i) =
				rand() % 3 ? likely[rand() % 10] : rand();
}

static void nc2_msg_storm(void **state)
{
	u8 prefix[NC2_MAX_PREFIX_BYTES];
	unsigned int i, j, accepted = 0;
	struct nc2_msg_hdr hdr;
	struct nc2_packet p;
	struct message m;
	const char *bad;
	int ret;

	(void)state;
	srand(3);
	for (i = 0; i < BASES; i++) {
		message_base(&m, i);
		place(&m, 4096 - 16, 2);
		for (j = 0; j < 40000; j++) {
			u32 k, turn = rand() % 3;

			for (k = 0; k < m.size; k++)
				*(u8 *)nc2_shim_at(nc2_pair_ring_at(&pair, 4080 + k)) =
					m.bytes[k];
			nc2_shim_hooks.before_load = turn ? storm_before_load : NULL;
			ret = parse(&p, &hdr);
			bad = ret == -EINVAL ? nc2_pair_bad_place(&p, &hdr, &pair.limits) : NULL;
			if (bad)
				fail_msg("to be dropped: %s", bad);
			if (ret)
				continue;
			accepted++;
			bad = nc2_pair_bad(&p, &hdr, &pair.limits);
			if (bad)
				fail_msg("accepted: %s", bad);
			nc2_consumer_read(&pair.c, p.prefix_at, prefix,
					  p.kind >= NC2_KIND_STAGED ? 0 : p.prefix);
		}
	}
	/* Else it would have shown little. */
	assert_true(accepted > 20000);
	print_message("# %u of %u accepted\n", accepted, BASES * 40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nc2_msg_packets),
		cmocka_unit_test(nc2_msg_largest),
		cmocka_unit_test(nc2_msg_staged),
		cmocka_unit_test(nc2_msg_slot),
		cmocka_unit_test(nc2_msg_fields),
		cmocka_unit_test(nc2_msg_segments),
		cmocka_unit_test(nc2_msg_both_ends),
		cmocka_unit_test(nc2_msg_stack),
		cmocka_unit_test(nc2_msg_limits),
		cmocka_unit_test(nc2_msg_reserve),
		cmocka_unit_test(nc2_msg_small_staging),
		cmocka_unit_test(nc2_msg_reads_once),
		cmocka_unit_test(nc2_msg_flips),
		cmocka_unit_test(nc2_msg_storm),
	};

	return cmocka_run_group_tests_name("nc2_msg", tests, NULL, NULL);
}
