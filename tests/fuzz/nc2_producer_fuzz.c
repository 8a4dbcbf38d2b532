// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: a hostile consumer. The input says what was consumed and
 * when it wants events while the driver's producer writes messages.
 *
 * It is a fault if the producer believes a counter that cannot be, if it writes
 * anywhere but into the free part of the ring and its own counters, or reads
 * anything but the other end's.
 *
 * Steps:
 *	0	cons moves on by 8 times a byte
 *	1	cons becomes 4 bytes
 *	2	prod_event becomes 4 bytes
 *	3	a message of 4 to 416 bytes (2 bytes) in two parts (1 byte), if
 *		there is room by what the producer knows
 *	4	all messages are published
 *	5	the producer looks at cons
 *	6	the producer waits for a number of bytes (1 byte)
 */
#include <string.h>

#include "nc2_input.h"
#include "nc2_shim.h"

static struct nc2_pair *const pair = &nc2_fuzz;

/* Where in the ring the producer may write now, as counters. */
static struct {
	u32 from;
	u32 to;
} writable;

static void nc2_fuzz_store(u32 at, const void *from, u32 len, bool release)
{
	u32 i, counter, size = pair->p.area.size;

	if (at < NC2_PAGE_SIZE) {
		if (at != offsetof(struct nc2_endpoint, prod) &&
		    at != offsetof(struct nc2_endpoint, cons_event))
			nc2_fuzz_die("the producer writes what is not its own");
		if (at == offsetof(struct nc2_endpoint, prod) && !release)
			nc2_fuzz_die("prod is not published in order");
	} else {
		/* As ring pages are backwards: see nc2_pair_init(). */
		counter = (size / NC2_PAGE_SIZE - at / NC2_PAGE_SIZE) *
			  NC2_PAGE_SIZE + at % NC2_PAGE_SIZE;
		for (i = 0; i < len; i++)
			if (((counter + i - writable.from) & (size - 1)) >=
			    writable.to - writable.from)
				nc2_fuzz_die("what was not consumed is written over");
	}
	memcpy(nc2_shim_at(at), from, len);
}

static void nc2_fuzz_only_counters(u32 at, u32 len)
{
	const u32 peer = sizeof(struct nc2_endpoint);

	(void)len;
	if (at != peer + offsetof(struct nc2_endpoint, cons) &&
	    at != peer + offsetof(struct nc2_endpoint, prod_event))
		nc2_fuzz_die("the producer reads what it should not");
}

static void nc2_fuzz_put(void)
{
	static u8 msg[416];
	struct nc2_producer *p = &pair->p;
	u32 len = 4 + nc2_fuzz_u16() % 413, first = nc2_fuzz_u8();
	u32 prod = p->prod, end;
	struct nc2_msg_hdr hdr = { .type = NC2_MSG_PACKET,
				   .size = (len + 7) & ~7u };

	if (!nc2_producer_room(p, len, 0))
		return;
	writable.from = p->prod;
	writable.to = p->cons + p->area.size;
	first = first < 4 ? 4 : first > len ? len : first;
	memset(msg, nc2_fuzz_random(), sizeof(msg));
	memcpy(msg, &hdr, sizeof(hdr));
	nc2_producer_put(p, msg, first, msg + first, len - first);
	writable.to = writable.from;
	if (p->prod - p->cons > p->area.size)
		nc2_fuzz_die("there is more in the ring than it holds");
	end = (p->prod - hdr.size) % p->area.size + hdr.size;
	if (end > p->area.size || p->prod - prod >= 2 * hdr.size)
		nc2_fuzz_die("a message is not where it must be");
	if (memcmp(nc2_shim_at(nc2_pair_ring_at(pair, p->prod - hdr.size)), &hdr,
		   sizeof(hdr)))
		nc2_fuzz_die("a message is not what it was");
}

static void nc2_fuzz_refresh(void)
{
	struct nc2_producer *p = &pair->p;
	u32 cons = p->cons, claim = nc2_pair_back()->cons;
	bool possible = !(claim % 8) &&
			claim - cons <= p->published - cons;

	nc2_fuzz_once();
	if (nc2_producer_refresh(p)) {
		if (possible)
			nc2_fuzz_die("what can be is refused");
		if (p->cons != cons)
			nc2_fuzz_die("what cannot be is kept");
		/* Go on as if it had not been said. */
		nc2_pair_back()->cons = cons;
		return;
	}
	if (!possible || p->cons != claim)
		nc2_fuzz_die("what cannot be is believed");
}

static void nc2_fuzz_publish(void)
{
	struct nc2_producer *p = &pair->p;
	u32 old = p->published, event = nc2_pair_back()->prod_event, i;
	bool want = false;

	nc2_fuzz_once();
	for (i = old; i != p->prod; i++)
		want |= i + 1 == event;
	if (nc2_producer_publish(p) != want)
		nc2_fuzz_die("an event is sent, or not, against the rule");
	if (nc2_pair_front()->prod != p->prod || p->published != p->prod)
		nc2_fuzz_die("what was produced was not told");
}

static void nc2_fuzz_step(void)
{
	switch (nc2_fuzz_u8() % 7) {
	case 0:
		nc2_pair_back()->cons += nc2_fuzz_u8() * 8;
		break;
	case 1:
		nc2_pair_back()->cons = nc2_fuzz_u32();
		break;
	case 2:
		nc2_pair_back()->prod_event = nc2_fuzz_u32();
		break;
	case 3:
		nc2_fuzz_put();
		break;
	case 4:
		nc2_fuzz_publish();
		break;
	case 5:
		nc2_fuzz_refresh();
		break;
	default:
		nc2_producer_arm(&pair->p, nc2_fuzz_u8());
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	nc2_fuzz_init(input, len);
	nc2_shim_hooks.before_load = nc2_fuzz_only_counters;
	nc2_shim_hooks.store = nc2_fuzz_store;
	while (nc2_fuzz_more())
		nc2_fuzz_step();
	return 0;
}
