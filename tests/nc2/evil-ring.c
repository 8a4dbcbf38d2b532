// SPDX-License-Identifier: GPL-2.0
/* nc2evil: rings, in the right way and in all wrong ones. */
#include <linux/delay.h>
#include <linux/if_ether.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include <xen/events.h>

#include "evil.h"

void evil_attach(void)
{
	struct nc2_endpoint *front = evil.control.area.page[0], *back = front + 1;

	evil.own = evil.back ? back : front;
	evil.peer = evil.back ? front : back;
	evil.tx = (struct nc2_producer){ .area = evil.tx_mem.area, .own = evil.own,
					 .peer = evil.peer };
	evil.rx = (struct nc2_consumer){ .area = evil.rx_mem.area, .own = evil.own,
					 .peer = evil.peer };
	evil.area_prod = 0;
	evil.keep_cons = false;
	evil_slots_attach();
	WRITE_ONCE(evil.own->prod_event, 1);
}

void evil_notify(void)
{
	if (evil.irq)
		notify_remote_via_irq(evil.irq);
}

void evil_publish(void)
{
	if (nc2_producer_publish(&evil.tx))
		evil_notify();
}

static bool evil_room(void)
{
	return nc2_producer_refresh(&evil.tx) || nc2_producer_room(&evil.tx, 512, 0);
}

bool evil_put(const void *msg, u32 len, const void *more, u32 more_len)
{
	if (!evil_room()) {
		evil_publish();
		nc2_producer_arm(&evil.tx, 8);
		if (!evil_wait(evil_room, EVIL_PATIENCE))
			return false;
	}
	nc2_producer_put(&evil.tx, msg, len, more, more_len);
	return true;
}

void evil_hello(void)
{
	struct nc2_msg_set_features features = {
		.hdr = { .type = NC2_MSG_SET_FEATURES, .size = sizeof(features) },
		.features = NC2_FEATURE_LINK | NC2_FEATURE_STAGING |
			    NC2_FEATURE_TCPV6_SEG | NC2_FEATURE_UDP_SEG,
	};
	struct nc2_msg_set_max_packets packets = {
		.hdr = { .type = NC2_MSG_SET_MAX_PACKETS, .size = sizeof(packets) },
		.max_outstanding_packets = 32,
	};
	struct nc2_msg_set_max_fragments frags = {
		.hdr = { .type = NC2_MSG_SET_MAX_FRAGMENTS, .size = sizeof(frags) },
		.max_frags_per_packet = NC2_MAX_FRAGS,
	};
	struct nc2_msg_set_offload offload = {
		.hdr = { .type = NC2_MSG_SET_OFFLOAD, .size = sizeof(offload) },
		.csum = 1,
		.tcpv4_segmentation_offload = 1,
	};

	/* As the receiver of staged packets says that it has them mapped. */
	if (!evil.rx_staging.area.size)
		features.features &= ~NC2_FEATURE_STAGING;
	evil_put(&features, sizeof(features), NULL, 0);
	evil_put(&packets, sizeof(packets), NULL, 0);
	evil_put(&frags, sizeof(frags), NULL, 0);
	evil_put(&offload, sizeof(offload), NULL, 0);
	evil_publish();
}

static void evil_received(const struct nc2_msg_hdr *hdr)
{
	struct nc2_msg_finish_packet finish = {
		.hdr = { .type = NC2_MSG_FINISH_PACKET, .size = sizeof(finish) },
	};
	const struct nc2_limits limits = { .packet = NC2_MAX_PACKET_BYTES };
	struct nc2_packet p;

	evil.received++;
	if (nc2_read_packet(&evil.rx, hdr, &limits, &p) || p.kind != NC2_KIND_COPY)
		return;
	finish.id = p.id;
	/* Not by evil_put(), which may come here. */
	if (!nc2_producer_refresh(&evil.tx) && nc2_producer_room(&evil.tx, 8, 0))
		nc2_producer_put(&evil.tx, &finish, sizeof(finish), NULL, 0);
}

void evil_consume(void)
{
	struct nc2_msg_hdr hdr;
	unsigned int n;

	for (n = 0; n < 1000 && nc2_consumer_next(&evil.rx, &hdr) > 0; n++) {
		switch (hdr.type) {
		case NC2_MSG_PACKET:
			evil_received(&hdr);
			break;
		case NC2_MSG_STAGED:
			evil.received++;
			break;
		case NC2_MSG_FINISH_PACKET:
			evil.finished++;
			break;
		case NC2_MSG_SLOT:
			evil_got_slot();
			break;
		case NC2_MSG_FREE_SLOTS:
			evil_got_free();
			break;
		}
		nc2_consumer_done(&evil.rx, &hdr);
	}
	if (nc2_consumer_publish(&evil.rx))
		evil_notify();
	evil_publish();
	nc2_consumer_arm(&evil.rx);
}

bool evil_send(const void *frame, u32 len)
{
	struct nc2_msg_staged m = {
		.hdr = { .type = NC2_MSG_STAGED, .size = sizeof(m) },
		.len = len,
	};
	struct nc2_msg_packet p = {
		.hdr = { .type = NC2_MSG_PACKET,
			 .size = round_up(sizeof(p) + len, 8) },
		.type = NC2_PACKET_SMALL,
		.prefix_size = len,
	};

	if (!evil.tx_staging.area.size || len <= 128)
		return evil_put(&p, sizeof(p), frame, min(len, 256U));
	m.offset = evil.area_prod % evil.tx_staging.area.size;
	nc2_area_write(&evil.tx_staging.area, m.offset, frame, len);
	evil.area_prod += len;
	return evil_put(&m, sizeof(m), NULL, 0);
}

static bool evil_read_or_left(void)
{
	return evil_peer_left() ||
	       READ_ONCE(evil.peer->cons) == evil.tx.published;
}

/* Does the other end read an ordinary packet that comes after all the others? */
bool evil_alive(void)
{
	u8 frame[128];

	if (evil_peer_left() || !evil_send(frame, evil_frame(frame, 40)))
		return false;
	evil_publish();
	/* There may be no event for it if ours is about nothing. */
	evil_notify();
	evil_wait(evil_read_or_left, EVIL_PATIENCE);
	return !evil_peer_left() && READ_ONCE(evil.peer->cons) == evil.tx.published;
}

/* ------------------------------------------------------------------------- */

static int evil_honest(unsigned int ms)
{
	evil_sleep(ms);
	evil_verdict("connected", EVIL_GOES_ON);
	return 0;
}

/*
 * A1. Messages are right when they are published. Then each byte of them, and
 * of what is in the staging area, becomes something else and what it was again
 * until they have been read. A thread does it too, on another processor if
 * there is one.
 */
static struct {
	u32 from;		/* counters of the ring, or places in the area */
	u32 to;
	const struct nc2_area *area;
	bool stop;
} evil_flip;

static void evil_flip_once(u32 seed)
{
	static const u8 values[] = { 0, 1, 0xff, 0x80, 8, 2, 33, 0x10 };
	u32 at;
	u8 was, now;

	for (at = evil_flip.from; at != evil_flip.to; at++) {
		nc2_area_read(evil_flip.area, at, &was, 1);
		now = values[(seed + at) % ARRAY_SIZE(values)];
		nc2_area_write(evil_flip.area, at, &now, 1);
		nc2_area_write(evil_flip.area, at, &was, 1);
	}
}

static int evil_flip_thread(void *unused)
{
	u32 seed = 0;

	while (!kthread_should_stop()) {
		if (!READ_ONCE(evil_flip.stop))
			evil_flip_once(seed++);
		cond_resched();
	}
	return 0;
}

enum evil_what {
	EVIL_MESSAGE,
	EVIL_STAGED,
	EVIL_SLOT,
};

/* Put a packet, and have evil_flip be where it, or its message, is. */
static bool evil_flip_send(enum evil_what what, u32 payload)
{
	static struct nc2_area slot;
	u8 frame[1200];
	u32 len = evil_frame(frame, payload);

	evil_flip.area = what == EVIL_MESSAGE ? &evil.tx.area : &evil.tx_staging.area;
	evil_flip.from = what == EVIL_MESSAGE ? evil.tx.prod : evil.area_prod;
	evil_flip.to = evil_flip.from + 64;
	if (what == EVIL_SLOT) {
		if (!evil.slots)
			return false;
		slot = evil_slot_area(__ffs64(evil.slots));
		evil_flip.area = &slot;
		evil_flip.from = 0;
		evil_flip.to = 64;
		evil_put_slot(__ffs64(evil.slots), frame, len, 0);
	} else {
		evil_send(frame, len);
	}
	if (what == EVIL_MESSAGE)
		evil_flip.to = evil.tx.prod;
	return true;
}

static int evil_flip_run(const char *name, unsigned int ms, enum evil_what what)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	struct task_struct *thread;
	u32 seed = 0, round = 0, ended = 0;

	thread = kthread_run(evil_flip_thread, NULL, "nc2evil-flip");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	for (; time_before(jiffies, end) && !evil_stop(); round++) {
		if (evil_connect())
			break;
		/* One at a time, so that it is known where it is. */
		if (!evil_wait(evil_read_or_left, EVIL_PATIENCE))
			break;
		if (!evil_flip_send(what, round % 2 ? 60 : 1000)) {
			/* Slots come back when there is something else to do. */
			evil_alive();
			continue;
		}
		WRITE_ONCE(evil_flip.stop, false);
		evil_publish();
		while (!evil_read_or_left() && !evil_stop()) {
			evil_flip_once(seed++);
			cond_resched();
		}
		WRITE_ONCE(evil_flip.stop, true);
		if (evil_peer_left()) {
			ended++;
			evil_disconnect();
		}
	}
	kthread_stop(thread);
	evil_say("%u packets flipped, %u connections ended\n", round, ended);
	if (!evil_connect())
		evil_verdict(name, EVIL_GOES_ON);
	return 0;
}

static int evil_flip_messages(unsigned int ms)
{
	return evil_flip_run("after flipping messages", ms, EVIL_MESSAGE);
}

static int evil_flip_contents(unsigned int ms)
{
	if (!evil.tx_staging.area.size)
		return -EOPNOTSUPP;
	return evil_flip_run("after flipping contents", ms, EVIL_STAGED);
}

static int evil_flip_slots(unsigned int ms)
{
	if (!evil_slots())
		return -EOPNOTSUPP;
	return evil_flip_run("after flipping slots", ms, EVIL_SLOT);
}

/* Counters that are possible, now this one, now that. */
static int evil_flip_counters(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	u32 i = 0;

	while (time_before(jiffies, end) && !evil_stop() && !evil_connect()) {
		u8 frame[128];
		u32 old = evil.tx.published;

		evil_send(frame, evil_frame(frame, 40));
		evil_publish();
		for (i = 0; i < 200 && !evil_peer_left(); i++) {
			WRITE_ONCE(evil.own->prod, i % 2 ? old : evil.tx.published);
			WRITE_ONCE(evil.own->cons, i % 3 ? evil.rx.published :
				   READ_ONCE(evil.peer->prod));
			WRITE_ONCE(evil.own->prod_event, i * 8);
			WRITE_ONCE(evil.own->cons_event, i * 16);
			if (i % 16 == 0)
				evil_notify();
		}
		WRITE_ONCE(evil.own->prod, evil.tx.published);
		WRITE_ONCE(evil.own->cons, evil.rx.published);
		if (!evil_alive())
			evil_disconnect();
	}
	if (!evil_connect())
		evil_verdict("after flipping counters", EVIL_GOES_ON);
	return 0;
}

/* A message of one number. */
static void evil_word(u8 type, u32 value)
{
	struct nc2_msg_finish_packet m = {
		.hdr = { .type = type, .size = sizeof(m) },
		.id = value,
	};

	evil_put(&m, sizeof(m), NULL, 0);
	evil_publish();
}

static int evil_finish(unsigned int ms)
{
	static const u32 ids[] = { 0, 1, 63, 64, 2047, 2048, 65535, 65536,
				   0x7fffffff, 0x80000000, 0xffffffff };
	unsigned int i;
	char name[40];

	for (i = 0; i < ARRAY_SIZE(ids) && !evil_stop(); i++) {
		evil_word(NC2_MSG_FINISH_PACKET, ids[i]);
		snprintf(name, sizeof(name), "FINISH of %u", ids[i]);
		evil_verdict(name, EVIL_ENDS);
	}
	return 0;
}

static int evil_types(unsigned int ms)
{
	/* What is known; the others are errors, as no extension is agreed on. */
	static const u8 known[] = { 1, 2, 3, 4, 5, 32, 33, 34, 255 };
	static const u16 sizes[] = { 8, 16, 32, 136, 416 };
	struct nc2_msg_hdr msg[104];
	unsigned int type, i, j;
	char name[40];

	for (type = 0; type < 256 && !evil_stop(); type++) {
		for (i = 0; i < ARRAY_SIZE(known) && known[i] != type; i++)
			;
		for (j = 0; j < ARRAY_SIZE(sizes) && !evil_stop(); j++) {
			/*
			 * Most sizes of those that are known. Each of the others ends a
			 * connection, which takes its time.
			 */
			if (i == ARRAY_SIZE(known) &&
			    (j != type % 5 || (ms < 10000 && type > 40 && type % 16)))
				continue;
			memset(msg, 0, sizeof(msg));
			msg[0].type = type;
			msg[0].size = sizes[j];
			evil_put(msg, sizes[j], NULL, 0);
			evil_publish();
			snprintf(name, sizeof(name), "type %u, size %u", type, sizes[j]);
			evil_verdict(name, type == NC2_MSG_PAD ? EVIL_GOES_ON :
				     i == ARRAY_SIZE(known) ? EVIL_ENDS : EVIL_EITHER);
		}
	}
	return 0;
}

/* Headers that the ring's own functions would not put. */
static int evil_headers(unsigned int ms)
{
	static const u16 sizes[] = { 0, 1, 4, 7, 9, 12, 15, 24, 4096, 8192, 16384,
				     65528, 65535 };
	struct nc2_msg_hdr msg[2] = { { .type = NC2_MSG_FINISH_PACKET } };
	unsigned int i, pad;
	char name[40];

	for (pad = 0; pad < 2; pad++) {
		for (i = 0; i < ARRAY_SIZE(sizes) && !evil_stop(); i++) {
			msg[0].type = pad ? NC2_MSG_PAD : NC2_MSG_FINISH_PACKET;
			/* Wrong whatever comes after: never the size of these two. */
			msg[0].size = sizes[i];
			evil_put(msg, 16, NULL, 0);
			evil_publish();
			snprintf(name, sizeof(name), "%s of %u bytes",
				 pad ? "PAD" : "FINISH", sizes[i]);
			evil_verdict(name, EVIL_ENDS);
		}
	}
	return 0;
}

static int evil_settings(unsigned int ms)
{
	static const struct {
		u8 type;
		u32 value;
		enum evil_expect expect;
	} words[] = {
		/* Once in a connection, and hello has sent it. */
		{ NC2_MSG_SET_MAX_PACKETS, 32, EVIL_ENDS },
		{ NC2_MSG_SET_MAX_PACKETS, 0xffffffff, EVIL_ENDS },
		{ NC2_MSG_SET_MAX_FRAGMENTS, 0, EVIL_ENDS },
		{ NC2_MSG_SET_MAX_FRAGMENTS, 1, EVIL_GOES_ON },
		{ NC2_MSG_SET_MAX_FRAGMENTS, 0xffffffff, EVIL_GOES_ON },
		{ NC2_MSG_SET_OFFLOAD, 0, EVIL_GOES_ON },
		{ NC2_MSG_SET_OFFLOAD, 0xffffffff, EVIL_EITHER },
		{ NC2_MSG_SET_FEATURES, 0xffffffff, EVIL_GOES_ON },
		{ NC2_MSG_SET_FEATURES, NC2_FEATURE_STAGING, EVIL_GOES_ON },
		{ NC2_MSG_SET_FEATURES, NC2_FEATURE_LINK, EVIL_EITHER },
		{ NC2_MSG_SET_FEATURES, 0, EVIL_EITHER },
	};
	unsigned int i;
	char name[48];

	for (i = 0; i < ARRAY_SIZE(words) && !evil_stop(); i++) {
		evil_word(words[i].type, words[i].value);
		snprintf(name, sizeof(name), "type %u says %u", words[i].type,
			 words[i].value);
		evil_verdict(name, words[i].expect);
	}
	return 0;
}

static int evil_hash_map(unsigned int ms)
{
	static const u8 values[] = { 0, 1, 15, 16, 127, 128, 255 };
	struct nc2_msg_set_hash_map m = {
		.hdr = { .type = NC2_MSG_SET_HASH_MAP, .size = sizeof(m) },
	};
	unsigned int i, at;
	char name[40];

	for (i = 0; i < ARRAY_SIZE(values) && !evil_stop(); i++) {
		for (at = 0; at < NC2_HASH_MAP_SIZE; at += 127) {
			memset(m.map, 0, sizeof(m.map));
			m.map[at] = values[i];
			evil_put(&m, sizeof(m), NULL, 0);
			evil_publish();
			snprintf(name, sizeof(name), "map[%u] is %u", at, values[i]);
			/* There is one queue. */
			evil_verdict(name, values[i] ? EVIL_ENDS : EVIL_GOES_ON);
		}
	}
	return 0;
}

static int evil_counters(unsigned int ms)
{
	static const struct {
		const char *name;
		bool cons;
		s64 by;			/* in rings if beyond 32 bits */
	} moves[] = {
		{ "prod: a ring and 8 ahead", false, 1LL << 32 | 8 },
		{ "prod: 2^31 ahead", false, 0x80000000 },
		{ "prod: 8 back", false, -8 },
		{ "prod: a ring back", false, -(1LL << 32) },
		{ "prod: 4 ahead", false, 4 },
		{ "prod: 1 ahead", false, 1 },
		{ "cons: 8 ahead", true, 8 },
		{ "cons: 2^31 ahead", true, 0x80000000 },
		{ "cons: 8 back", true, -8 },
		{ "cons: 4 back", true, -4 },
		{ "cons: a ring ahead", true, 1LL << 32 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(moves) && !evil_stop(); i++) {
		s64 by = moves[i].by;

		if (by >= 1LL << 32)
			by = (by & 0xffffffff) + evil.tx.area.size;
		else if (by == -(1LL << 32))
			by = -(s64)evil.tx.area.size;
		/* All is read, so that back is wrong. */
		evil_alive();
		evil_consume();
		evil.keep_cons = moves[i].cons;
		if (moves[i].cons)
			WRITE_ONCE(evil.own->cons, evil.rx.prod + (u32)by);
		else
			WRITE_ONCE(evil.own->prod, evil.tx.published + (u32)by);
		evil_notify();
		if (moves[i].cons)
			/* Seen only by one who sends just now. */
			evil_sleep(500);
		else
			evil_wait(evil_peer_left, EVIL_PATIENCE);
		evil.keep_cons = false;
		/* Else the other end finds it when it looks next, after the verdict. */
		if (moves[i].cons)
			WRITE_ONCE(evil.own->cons, evil.rx.published);
		evil_verdict(moves[i].name, moves[i].cons ? EVIL_EITHER : EVIL_ENDS);
	}
	return 0;
}

/* prod moves on and on, over PADs that are made of nothing. */
static int evil_endless(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	struct nc2_msg_hdr pad[2] = { { .type = NC2_MSG_PAD, .size = 8 } };
	u32 at;

	for (at = 0; at < evil.tx.area.size; at += 8)
		nc2_area_write(&evil.tx.area, at, pad, 8);
	while (time_before(jiffies, end) && !evil_peer_left() && !evil_stop()) {
		at = READ_ONCE(evil.peer->cons);
		WRITE_ONCE(evil.own->prod, at + evil.tx.area.size);
		evil_notify();
		cond_resched();
	}
	evil.tx.prod = at + evil.tx.area.size;
	evil.tx.published = evil.tx.prod;
	WRITE_ONCE(evil.own->prod, evil.tx.prod);
	evil_wait(evil_read_or_left, EVIL_PATIENCE);
	if (!evil_peer_left())
		nc2_producer_refresh(&evil.tx);
	evil_verdict("after endless PADs", EVIL_GOES_ON);
	return 0;
}

static int evil_storm(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int n = 0;
	u8 frame[128];

	for (; time_before(jiffies, end) && !evil_peer_left() && !evil_stop(); n++) {
		evil_notify();
		if (n % 1000 == 999) {
			evil_send(frame, evil_frame(frame, 40));
			evil_publish();
			cond_resched();
		}
	}
	evil_say("%u events\n", n);
	evil_verdict("after a storm of events", EVIL_GOES_ON);
	return 0;
}

/* Nothing is consumed; then one message each 100 ms; then all. */
static int evil_stall(unsigned int ms)
{
	struct nc2_msg_hdr hdr;
	unsigned int n;

	evil.keep_cons = true;
	evil_sleep(ms);
	for (n = 0; n < ms / 100 && !evil_stop(); n++) {
		if (nc2_consumer_next(&evil.rx, &hdr) > 0) {
			nc2_consumer_done(&evil.rx, &hdr);
			if (nc2_consumer_publish(&evil.rx))
				evil_notify();
		}
		evil_sleep(100);
	}
	evil.keep_cons = false;
	evil_consume();
	evil_verdict("after a stall", EVIL_GOES_ON);
	return 0;
}

/*
 * cons creeps on without that anything is read, so that it changes, and yet less
 * than was sent has been consumed.
 */
static int evil_trickle(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	u32 cons = evil.rx.published;

	evil.keep_cons = true;
	while (time_before(jiffies, end) && !evil_stop()) {
		if (READ_ONCE(evil.peer->prod) - cons > 8) {
			cons += 8;
			WRITE_ONCE(evil.own->cons, cons);
		}
		evil_sleep(1000);
	}
	/* What it has left of a message is not one. */
	evil_disconnect();
	if (!evil_connect())
		evil_verdict("after a trickle", EVIL_GOES_ON);
	return 0;
}

static void evil_scan(const char *what, const struct evil_mem *mem)
{
	unsigned int i, j, used = 0;

	for (i = 0; i < mem->area.size / PAGE_SIZE; i++) {
		const u8 *page = mem->area.page[i];

		used += !!memchr_inv(page, 0, PAGE_SIZE);
		for (j = 0; evil.canary_len && j + evil.canary_len <= PAGE_SIZE; j++)
			if (!memcmp(page + j, evil.canary, evil.canary_len)) {
				evil.bad++;
				evil_say("BAD canary in %s, page %u, at %u\n", what, i, j);
			}
	}
	evil_say("%s: %lu pages, %u not empty\n", what, mem->area.size / PAGE_SIZE, used);
}

/* All that the other end can have written, or has given us. */
static int evil_dump(unsigned int ms)
{
	const u8 *control = evil.control.area.page[0];

	evil_sleep(ms);
	evil_scan("control page", &evil.control);
	evil_scan("its ring", &evil.rx_mem);
	evil_scan("our ring", &evil.tx_mem);
	evil_scan("its staging area", &evil.rx_staging);
	evil_scan("our staging area", &evil.tx_staging);
	evil_scan("slots", &evil.slot_mem);
	if (memchr_inv(control + 128, 0, 128)) {
		evil.bad++;
		evil_say("BAD the control page is not 0 from 128 to 255\n");
	}
	evil_verdict("after a look at all", EVIL_GOES_ON);
	return 0;
}

const struct evil_case evil_ring_cases[] = {
	{ "honest", "an ordinary end for a while", evil_honest, true, true },
	{ "a1-messages", "messages change while they are read", evil_flip_messages, true, true },
	{ "a1-contents", "packets change while they are read", evil_flip_contents, true, true },
	{ "a1-slots", "slots change while they are read", evil_flip_slots, false, true },
	{ "a1-counters", "counters change between what is possible",
	  evil_flip_counters, true, true },
	{ "a2-finish", "answers to packets that there were not", evil_finish, true, true },
	{ "a2-types", "all types of messages, of many sizes", evil_types, true, true },
	{ "a2-headers", "messages whose size cannot be", evil_headers, true, true },
	{ "a2-settings", "settings out of range or too often", evil_settings, true, true },
	{ "a2-hash-map", "hash maps that point beyond the queues", evil_hash_map, true, true },
	{ "a3-counters", "prod and cons that cannot be", evil_counters, true, true },
	{ "a3-endless", "prod never stops moving", evil_endless, true, true },
	{ "a8-dump", "look for the canary in all shared pages", evil_dump, true, true },
	{ "a9-storm", "events without end", evil_storm, true, true },
	{ "a13-stall", "nothing is consumed, then little", evil_stall, true, true },
	{ "a13-trickle", "8 bytes are consumed now and then", evil_trickle, true, true },
	{ }
};
