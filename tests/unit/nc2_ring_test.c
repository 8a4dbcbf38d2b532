// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2's rings: what goes in comes out, wherever the counters are, and
 * what a hostile end claims is found out.
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

static struct nc2_pair pair;

/* Where counters do what they seldom do. */
static const u32 starts[] = {
	0, 8, 4096 - 8, 4096, 65536 - 8, 0x7ffffff8, 0x80000000,
	(u32)-8, (u32)-16, (u32)-4096, (u32)-65536 - 8,
};

#define NR_STARTS	(sizeof(starts) / sizeof(starts[0]))

/* A message of len bytes, which are known by its number. */
static u32 make_message(u8 *msg, u32 number, u32 len)
{
	struct nc2_msg_hdr hdr = { .type = NC2_MSG_PACKET };
	u32 i;

	hdr.size = (len + 7) & ~7u;
	memcpy(msg, &hdr, sizeof(hdr));
	for (i = sizeof(hdr); i < len; i++)
		msg[i] = number * 37 + i * 11;
	return hdr.size;
}

static void put(u32 number, u32 len)
{
	u8 msg[512];
	u32 first = number % 3 ? len : sizeof(struct nc2_msg_hdr) + number % 4;

	if (first > len)
		first = len;
	make_message(msg, number, len);
	nc2_producer_put(&pair.p, msg, first, msg + first, len - first);
}

static bool get(u32 number, u32 len)
{
	u8 want[520] = { 0 }, got[520];
	struct nc2_msg_hdr hdr;
	u32 size, end;

	do {
		if (!nc2_consumer_next(&pair.c, &hdr))
			return false;
		end = pair.c.cons % pair.c.area.size + hdr.size;
		assert_true(end <= pair.c.area.size);
		if (hdr.type == NC2_MSG_PAD) {
			assert_int_equal(end, pair.c.area.size);
			nc2_consumer_done(&pair.c, &hdr);
		}
	} while (hdr.type == NC2_MSG_PAD);
	size = make_message(want, number, len);
	assert_int_equal(hdr.type, NC2_MSG_PACKET);
	assert_int_equal(hdr.size, size);
	nc2_consumer_read(&pair.c, 0, got, size);
	assert_memory_equal(got, want, size);
	nc2_consumer_done(&pair.c, &hdr);
	return true;
}

static void roundtrip_from(u32 start, unsigned int pages)
{
	u32 len[64], in = 0, out = 0, moved;

	nc2_pair_init(&pair, pages, 0, start);
	/* At least twice around. */
	for (moved = 0; moved < 2 * pair.p.area.size || out < in;) {
		while (moved < 2 * pair.p.area.size && in - out < 64) {
			u32 n = 4 + rand() % 413;

			if (!nc2_producer_room(&pair.p, n, 0))
				break;
			len[in % 64] = n;
			moved -= pair.p.prod;
			put(in++, n);
			moved += pair.p.prod;
			assert_true(pair.p.prod - pair.p.cons <= pair.p.area.size);
		}
		nc2_producer_publish(&pair.p);
		for (u32 n = rand() % 8; n-- && out < in; out++)
			assert_true(get(out, len[out % 64]));
		nc2_consumer_publish(&pair.c);
		assert_int_equal(nc2_producer_refresh(&pair.p), 0);
		assert_int_equal(pair.p.cons, pair.c.cons);
	}
	assert_false(get(out, 8));
}

static void nc2_ring_roundtrip(void **state)
{
	unsigned int i, order;

	(void)state;
	srand(1);
	for (i = 0; i < NR_STARTS; i++)
		for (order = 0; order <= NC2_MAX_RING_ORDER; order++)
			roundtrip_from(starts[i], 1 << order);
}

static void nc2_ring_not_before_publish(void **state)
{
	(void)state;
	nc2_pair_init(&pair, 1, 0, (u32)-8);
	put(1, 40);
	assert_false(get(1, 40));
	nc2_producer_publish(&pair.p);
	assert_true(get(1, 40));
	/* What was read is not free before that is published, either. */
	assert_int_equal(nc2_producer_refresh(&pair.p), 0);
	assert_int_equal(pair.p.cons, (u32)-8);
	nc2_consumer_publish(&pair.c);
	assert_int_equal(nc2_producer_refresh(&pair.p), 0);
	assert_int_equal(pair.p.cons, pair.p.prod);
}

/* Every length at every place: what it takes is what room was asked for. */
static void nc2_ring_room(void **state)
{
	u32 len, at, taken, most, free;

	(void)state;
	nc2_pair_init(&pair, 1, 0, 0);
	for (len = 4; len <= 416; len++) {
		for (most = 0, at = 0; at < 4096; at += 8) {
			pair.p.prod = at;
			put(at, len);
			taken = pair.p.prod - at;
			if (at + ((len + 7) & ~7u) <= 4096)
				assert_int_equal(taken, (len + 7) & ~7u);
			else
				assert_int_equal(taken, ((len + 7) & ~7u) + 4096 - at);
			most = taken > most ? taken : most;
		}
		assert_int_equal(most, 2 * ((len + 7) & ~7u) - 8);
		for (free = 0; free <= 4096; free += 8) {
			pair.p.cons = (u32)-64;
			pair.p.prod = pair.p.cons + 4096 - free;
			/* It may ask for one step too much. */
			if (free != most)
				assert_int_equal(nc2_producer_room(&pair.p, len, 0),
						 free > most);
		}
	}
}

/* What was in the ring before is not shown by bytes that fill up. */
static void nc2_ring_fills_with_zeros(void **state)
{
	u8 got[24];
	u32 len, i;

	(void)state;
	for (len = 4; len <= 24; len++) {
		nc2_pair_init(&pair, 1, 0, 0);
		memset(nc2_shim_at(4096), 0xee, 4096);
		put(0, len);
		memcpy(got, nc2_shim_at(nc2_pair_ring_at(&pair, 0)), sizeof(got));
		for (i = len; i < ((len + 7) & ~7u); i++)
			assert_int_equal(got[i], 0);
		for (; i < sizeof(got); i++)
			assert_int_equal(got[i], 0xee);
	}
}

/* A header, and how much of it the producer has published; NULL ends. */
static const struct {
	const char *what;
	u32 start;
	u32 size;
	u32 prod;
	int want;
} headers[] = {
	{ "the shortest",		0, 8, 8, 1 },
	{ "all there is",		0, 64, 64, 1 },
	{ "one of several",		0, 64, 128, 1 },
	{ "up to the end",		4096 - 64, 64, 64, 1 },
	{ "the whole ring",		0, 4096, 4096, 1 },
	{ "across 2^32",		(u32)-64, 64, 64, 1 },
	{ "size 0",			0, 0, 64, -EPROTO },
	{ "size 4",			0, 4, 64, -EPROTO },
	{ "size 7",			0, 7, 64, -EPROTO },
	{ "size 9",			0, 9, 64, -EPROTO },
	{ "size 12",			0, 12, 64, -EPROTO },
	{ "size 65535",			0, 65535, 64, -EPROTO },
	{ "size 65528",			0, 65528, 4096, -EPROTO },
	{ "more than published",	0, 72, 64, -EPROTO },
	{ "more than the ring",		0, 4104, 4096, -EPROTO },
	{ "beyond the end",		4096 - 64, 72, 128, -EPROTO },
	{ "beyond the end, at 2^32",	(u32)-64, 72, 128, -EPROTO },
	{ NULL, 0, 0, 0, 0 },
};

static void nc2_ring_headers(void **state)
{
	struct nc2_msg_hdr hdr, got;
	unsigned int i, type;
	int ret;

	(void)state;
	for (i = 0; headers[i].what; i++) {
		/* Which type it is makes no difference, PAD's neither. */
		for (type = 0; type < 256; type += 51) {
			nc2_pair_init(&pair, 1, 0, headers[i].start);
			hdr = (struct nc2_msg_hdr){ .type = type,
						    .size = headers[i].size };
			memcpy(nc2_shim_at(nc2_pair_ring_at(&pair, headers[i].start)),
			       &hdr, sizeof(hdr));
			nc2_pair_front()->prod = headers[i].start + headers[i].prod;
			ret = nc2_consumer_next(&pair.c, &got);
			if (ret != headers[i].want)
				fail_msg("%s, type %u: %d", headers[i].what, type, ret);
			assert_int_equal(pair.c.cons, headers[i].start);
		}
	}
}

/* Is it one of first, first + 8, ..., last? */
static bool among(u32 value, u32 first, u32 last)
{
	for (; first != last; first += 8)
		if (value == first)
			return true;
	return value == last;
}

/* Values near a, and those that signed or truncated arithmetic gets wrong. */
static u32 claim(u32 a, unsigned int i)
{
	static const u32 far[] = { 0x7ffffff8, 0x7fffffff, 0x80000000,
				   0x80000008, 0xffff0000, 0x10000, 0x20000000 };

	if (i < 3 * 4096)
		return a - 3 * 2048 + i;
	return a + far[i - 3 * 4096];
}

#define NR_CLAIMS	(3 * 4096 + 7)

static void nc2_ring_claims_of_producer(void **state)
{
	unsigned int i, s, seen;
	int want;

	(void)state;
	for (s = 0; s < NR_STARTS; s++) {
		for (i = 0; i < NR_CLAIMS; i++) {
			u32 cons = starts[s], prod = claim(cons, i);

			seen = (i % 7) * 64;
			nc2_pair_init(&pair, 1, 0, cons);
			pair.c.prod = cons + seen;
			nc2_pair_front()->prod = prod;
			want = among(prod, cons + seen, cons + 4096) ?
			       prod != cons : -EPROTO;
			if (nc2_consumer_arm(&pair.c) != want)
				fail_msg("cons %u, seen %u, prod %u: not %d",
					 cons, cons + seen, prod, want);
			assert_int_equal(pair.c.prod, want < 0 ? cons + seen : prod);
		}
	}
}

static void nc2_ring_claims_of_consumer(void **state)
{
	unsigned int i, s, sent;
	int want;

	(void)state;
	for (s = 0; s < NR_STARTS; s++) {
		for (i = 0; i < NR_CLAIMS; i++) {
			u32 cons = starts[s], next = claim(cons, i);

			sent = (i % 9) * 512;
			nc2_pair_init(&pair, 1, 0, cons);
			pair.p.published = cons + sent;
			/* Put, but not published: nobody can have read it. */
			pair.p.prod = cons + 4096;
			nc2_pair_back()->cons = next;
			want = among(next, cons, cons + sent) ? 0 : -EPROTO;
			if (nc2_producer_refresh(&pair.p) != want)
				fail_msg("cons %u, sent %u, next %u: not %d",
					 cons, cons + sent, next, want);
			assert_int_equal(pair.p.cons, want ? cons : next);
		}
	}
}

/* An event is wanted if the counter comes to it or goes beyond. */
static void nc2_ring_events(void **state)
{
	u32 s, event, step, moved;
	bool want;

	(void)state;
	for (s = 0; s < NR_STARTS; s++) {
		for (step = 8; step <= 64; step += 8) {
			for (event = starts[s] - 70; event != starts[s] + 80; event++) {
				want = false;
				for (moved = 1; moved <= step; moved++)
					want |= starts[s] + moved == event;
				nc2_pair_init(&pair, 1, 0, starts[s]);
				nc2_pair_back()->prod_event = event;
				nc2_pair_front()->cons_event = event;
				pair.p.prod += step;
				assert_int_equal(nc2_producer_publish(&pair.p), want);
				assert_int_equal(nc2_pair_front()->prod, pair.p.prod);
				/* Nothing new: no event, whatever was asked. */
				assert_false(nc2_producer_publish(&pair.p));
				pair.c.prod += step;
				pair.c.cons += step;
				assert_int_equal(nc2_consumer_publish(&pair.c), want);
				assert_int_equal(nc2_pair_back()->cons, pair.c.cons);
				assert_false(nc2_consumer_publish(&pair.c));
			}
		}
	}
}

/* An end writes its own struct nc2_endpoint, and does not read it. */
static void only_the_other(u32 at, u32 len)
{
	(void)len;
	if (at < sizeof(struct nc2_endpoint))
		fail_msg("the producer's own fields are read, at %u", at);
}

static void only_the_producer(u32 at, u32 len)
{
	(void)len;
	if (at >= sizeof(struct nc2_endpoint) && at < 4096)
		fail_msg("the consumer's own fields are read, at %u", at);
}

static void nc2_ring_own_not_read(void **state)
{
	(void)state;
	nc2_pair_init(&pair, 1, 0, 0);
	nc2_shim_hooks.before_load = only_the_other;
	put(1, 100);
	nc2_producer_publish(&pair.p);
	nc2_producer_arm(&pair.p, 8);
	assert_int_equal(nc2_producer_refresh(&pair.p), 0);
	nc2_shim_hooks.before_load = only_the_producer;
	assert_true(get(1, 100));
	nc2_consumer_publish(&pair.c);
	assert_int_equal(nc2_consumer_arm(&pair.c), 0);
	assert_int_equal(nc2_pair_back()->prod_event, pair.c.prod + 1);
	assert_int_equal(nc2_pair_front()->cons_event, 8);
}

/* Any range of an area, across pages and its end. */
static void nc2_ring_areas(void **state)
{
	static u8 in[4 * 4096], out[4 * 4096], all[4 * 4096];
	u32 i, pos, len;

	(void)state;
	srand(2);
	nc2_pair_init(&pair, 1, 4, 0);
	for (i = 0; i < 4000; i++) {
		pos = rand() * 2u;
		len = i ? rand() % (sizeof(in) + 1) : sizeof(in);
		for (u32 j = 0; j < len; j++) {
			in[j] = rand();
			all[(pos + j) % sizeof(all)] = in[j];
		}
		nc2_area_write(&pair.staging, pos, in, len);
		nc2_area_read(&pair.staging, pos, out, len);
		assert_memory_equal(in, out, len);
		nc2_area_read(&pair.staging, 0, out, sizeof(out));
		assert_memory_equal(all, out, sizeof(out));
	}
	assert_memory_equal(nc2_shim_at(5 * 4096), all, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nc2_ring_roundtrip),
		cmocka_unit_test(nc2_ring_not_before_publish),
		cmocka_unit_test(nc2_ring_room),
		cmocka_unit_test(nc2_ring_fills_with_zeros),
		cmocka_unit_test(nc2_ring_headers),
		cmocka_unit_test(nc2_ring_claims_of_producer),
		cmocka_unit_test(nc2_ring_claims_of_consumer),
		cmocka_unit_test(nc2_ring_events),
		cmocka_unit_test(nc2_ring_own_not_read),
		cmocka_unit_test(nc2_ring_areas),
	};

	return cmocka_run_group_tests_name("nc2_ring", tests, NULL, NULL);
}
