// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: a hostile producer. The input writes what it likes into a
 * ring and its counters while the driver's consumer reads messages.
 *
 * It is a fault if a packet is accepted that is not as msg.h says, if the
 * consumer goes beyond what was produced or does not come to an end, if it
 * writes or reads what it should not, or a byte twice.
 *
 * Steps:
 *	0	bytes: counter from the next to be read (2 bytes), number, bytes
 *	1	a message that is right, but for one byte: see nc2_fuzz_message()
 *	2	prod moves on by 8 times a byte
 *	3	prod becomes 4 bytes
 *	4	cons_event becomes 4 bytes
 *	5	the consumer takes some messages (1 byte) and tells of it
 *	6	the consumer goes to sleep
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "nc2_input.h"
#include "nc2_shim.h"

/* Messages that are read while a thread changes them. */
#define NC2_FUZZ_ROUNDS		200

static struct nc2_pair *const pair = &nc2_fuzz;

static struct {
	sem_t go, done;
	u8 flags;
	bool stop;
} mutator;

/* The consumer tells of cons and prod_event, nothing else. */
static void nc2_fuzz_store(u32 at, const void *from, u32 len, bool release)
{
	const u32 own = sizeof(struct nc2_endpoint);

	(void)release;
	if (at != own + offsetof(struct nc2_endpoint, cons) &&
	    at != own + offsetof(struct nc2_endpoint, prod_event))
		nc2_fuzz_die("the consumer writes what is not its own");
	memcpy(nc2_shim_at(at), from, len);
}

static void nc2_fuzz_bytes(void)
{
	u32 counter = pair->c.cons + nc2_fuzz_u16();
	unsigned int n = nc2_fuzz_u8();

	while (n-- && nc2_fuzz_more())
		*(u8 *)nc2_shim_at(nc2_pair_ring_at(pair, counter++)) =
			nc2_fuzz_u8();
}

/*
 * From a byte: its high bit is for STAGED, or SLOT with the next, the lower ones the
 * number of fragments. From another: bytes of the prefix. From two more: which of the
 * message's bytes is wrong, and how.
 */
static void nc2_fuzz_message(void)
{
	u8 msg[NC2_MAX_PACKET_MSG + 64] = { 0 }, what = nc2_fuzz_u8();
	u32 i, prefix = nc2_fuzz_u8(), wrong = nc2_fuzz_u8(), size;
	u32 prod = nc2_pair_front()->prod;

	if (what & 0x80) {
		struct nc2_msg_staged s = {
			.hdr = { .type = what & 0x40 ? NC2_MSG_SLOT : NC2_MSG_STAGED,
				 .size = sizeof(s) },
			.offset = nc2_fuzz_random() %
				  (what & 0x40 ? NC2_PAIR_SLOTS :
						 NC2_FUZZ_STAGING_PAGES * NC2_PAGE_SIZE),
			.len = ETH_HLEN + nc2_fuzz_random() % 3000,
			.hash_type = what % 3,
		};

		size = sizeof(s);
		memcpy(msg, &s, sizeof(s));
	} else {
		u32 frags = what % (NC2_MAX_FRAGS + 1);
		struct nc2_msg_packet p = {
			.hdr.type = NC2_MSG_PACKET,
			.type = frags ? 1 + what / 32 % 2 * 2 : NC2_PACKET_SMALL,
			.segmentation_type = what / 64 * (1 + what % 4),
			.mss = 1400,
			.csum_start = 14 + prefix % 64,
			.csum_offset = prefix % 16,
			.flags = prefix % 2,
			.prefix_size = prefix,
		};

		size = sizeof(p) + frags * sizeof(struct nc2_fragment) + prefix;
		size = (size + 7) & ~7u;
		p.hdr.size = size;
		memcpy(msg, &p, sizeof(p));
		for (i = 0; i < frags; i++) {
			struct nc2_fragment f = {
				.size = 1 + nc2_fuzz_random() % 2048,
				.off = nc2_fuzz_random() % 2048,
				.gref = i,
			};

			memcpy(msg + sizeof(p) + i * sizeof(f), &f, sizeof(f));
		}
	}
	msg[wrong] ^= nc2_fuzz_u8();
	if (size > pair->c.area.size - prod % pair->c.area.size) {
		struct nc2_msg_hdr pad = { .type = NC2_MSG_PAD };

		pad.size = pair->c.area.size - prod % pair->c.area.size;
		for (i = 0; i < sizeof(pad); i++)
			*(u8 *)nc2_shim_at(nc2_pair_ring_at(pair, prod + i)) =
				((u8 *)&pad)[i];
		prod += pad.size;
	}
	for (i = 0; i < size; i++)
		*(u8 *)nc2_shim_at(nc2_pair_ring_at(pair, prod + i)) = msg[i];
	nc2_pair_front()->prod = prod + size;
}

/* Is the consumer where it can be, having come from prod? */
static void nc2_fuzz_in_order(u32 prod)
{
	const struct nc2_consumer *c = &pair->c;

	if (c->prod - c->cons > c->area.size || c->prod % 8 || c->cons % 8)
		nc2_fuzz_die("the consumer has come to an impossible place");
	if (c->prod - prod > c->area.size)
		nc2_fuzz_die("the consumer has believed that prod goes back");
}

/* Read the message at hand as the driver does. */
static void nc2_fuzz_read(const struct nc2_msg_hdr *hdr)
{
	static u8 to[NC2_MAX_PACKET_BYTES];
	struct nc2_consumer *c = &pair->c;
	struct nc2_packet p;
	const char *bad;
	int ret;

	if (hdr->size < 8 || hdr->size % 8 || hdr->size > c->prod - c->cons ||
	    c->cons % c->area.size + hdr->size > c->area.size)
		nc2_fuzz_die("a message is not in the ring in one piece");
	memset(&p, 0xa5, sizeof(p));
	if (hdr->type == NC2_MSG_PACKET)
		ret = nc2_read_packet(c, hdr, &pair->limits, &p);
	else if (hdr->type == NC2_MSG_STAGED || hdr->type == NC2_MSG_SLOT)
		ret = nc2_read_staged(c, hdr, &pair->limits, &p);
	else
		return;
	if (ret == -EINVAL)
		bad = nc2_pair_bad_place(&p, hdr, &pair->limits);
	else
		bad = ret ? NULL : nc2_pair_bad(&p, hdr, &pair->limits);
	if (bad)
		nc2_fuzz_die(bad);
	if (ret)
		return;
	if (p.kind == NC2_KIND_STAGED)
		nc2_area_read(&pair->staging, p.offset, to, p.len);
	else if (p.kind != NC2_KIND_SLOT)
		nc2_consumer_read(c, p.prefix_at, to, p.prefix);
}

/* Next message: 1; 0, -EPROTO: there is none, nothing has changed. */
static int nc2_fuzz_next(void)
{
	struct nc2_consumer *c = &pair->c;
	u32 cons = c->cons, prod = c->prod;
	struct nc2_msg_hdr hdr;
	int ret;

	nc2_fuzz_once();
	ret = nc2_consumer_next(c, &hdr);
	nc2_fuzz_in_order(prod);
	if (c->cons != cons)
		nc2_fuzz_die("something was consumed for nothing");
	if (!ret && c->prod != cons)
		nc2_fuzz_die("what was produced is not seen");
	if (ret <= 0)
		return ret;
	nc2_fuzz_read(&hdr);
	nc2_consumer_done(c, &hdr);
	nc2_fuzz_in_order(prod);
	return 1;
}

static void nc2_fuzz_take(unsigned int most)
{
	struct nc2_consumer *c = &pair->c;

	while (most-- && nc2_fuzz_next() > 0)
		;
	nc2_fuzz_once();
	nc2_consumer_publish(c);
	if (nc2_pair_back()->cons != c->published || c->published != c->cons)
		nc2_fuzz_die("what was consumed was not told");
}

static void nc2_fuzz_sleep(void)
{
	struct nc2_consumer *c = &pair->c;
	u32 prod = c->prod;
	int ret;

	nc2_fuzz_once();
	ret = nc2_consumer_arm(c);
	nc2_fuzz_in_order(prod);
	if (!ret && c->prod != c->cons)
		nc2_fuzz_die("the consumer sleeps beside a message");
}

static void nc2_fuzz_step(void)
{
	switch (nc2_fuzz_u8() % 7) {
	case 0:
		nc2_fuzz_bytes();
		break;
	case 1:
		nc2_fuzz_message();
		break;
	case 2:
		nc2_pair_front()->prod += nc2_fuzz_u8() * 8;
		break;
	case 3:
		nc2_pair_front()->prod = nc2_fuzz_u32();
		break;
	case 4:
		nc2_pair_front()->cons_event = nc2_fuzz_u32();
		break;
	case 5:
		nc2_fuzz_take(nc2_fuzz_u8());
		break;
	default:
		nc2_fuzz_sleep();
	}
}

/* Change headers, lengths and prod, as fast as it goes, until told to stop. */
static void *nc2_fuzz_mutate(void *unused)
{
	static const u16 sizes[] = { 0, 4, 8, 24, 32, 40, 64, 416, 424, 4096, 65528 };
	u32 x, at, size;

	(void)unused;
	for (;;) {
		sem_wait(&mutator.go);
		size = nc2_shim_size();
		for (x = mutator.flags; !__atomic_load_n(&mutator.stop, __ATOMIC_RELAXED);) {
			x = x * 1664525 + 1013904223;
			at = NC2_PAGE_SIZE + (x >> 8) % (size - NC2_PAGE_SIZE);
			switch (x >> 28) {
			case 0 ... 3:
				*(u16 *)nc2_shim_at((at & ~7u) + 2) =
					sizes[x % 11];
				break;
			case 4 ... 5:
				*(u8 *)nc2_shim_at(at & ~7u) =
					NC2_MSG_PACKET + (x % 2) * 31;
				break;
			case 6 ... 12:
				*(u8 *)nc2_shim_at(at) = x >> 4;
				break;
			default:
				__atomic_store_n(&nc2_pair_front()->prod,
						 pair->p.cons + (x & 0x3ff8),
						 __ATOMIC_RELAXED);
			}
		}
		sem_post(&mutator.done);
	}
	return NULL;
}

/* What the input has made is read over and over while it changes. */
static void nc2_fuzz_threaded(u8 flags)
{
	const struct nc2_consumer c = pair->c;
	unsigned int i;

	nc2_shim_hooks.before_load = NULL;
	nc2_shim_hooks.store = NULL;
	mutator.flags = flags;
	__atomic_store_n(&mutator.stop, false, __ATOMIC_RELAXED);
	sem_post(&mutator.go);
	for (i = 0; i < NC2_FUZZ_ROUNDS; i++) {
		if (nc2_fuzz_next() <= 0) {
			/* As if they had just been connected. */
			pair->c = c;
			nc2_fuzz_sleep();
		}
	}
	__atomic_store_n(&mutator.stop, true, __ATOMIC_RELAXED);
	sem_wait(&mutator.done);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	sem_init(&mutator.go, 0, 0);
	sem_init(&mutator.done, 0, 0);
	return pthread_create(&thread, NULL, nc2_fuzz_mutate, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	u8 flags = nc2_fuzz_init(input, len);

	nc2_shim_hooks.store = nc2_fuzz_store;
	while (nc2_fuzz_more())
		nc2_fuzz_step();
	if (flags & NC2_FUZZ_THREAD)
		nc2_fuzz_threaded(flags);
	return 0;
}
