// SPDX-License-Identifier: GPL-2.0
/*
 * nc2evil: slots. A backend says that it has filled those that it has not, or
 * that are not there; a frontend gives back what it never got, or nothing.
 */
#include <linux/bits.h>

#include "evil.h"

unsigned int evil_slots(void)
{
	return evil.slot_mem.area.size / NC2_SLOT_BYTES;
}

void evil_slots_attach(void)
{
	evil.slots = evil.back ? BIT_ULL(evil_slots()) - 1 : 0;
	evil.slots_kept = false;
}

struct nc2_area evil_slot_area(unsigned int slot)
{
	return (struct nc2_area){
		.page = evil.slot_mem.area.page + slot * NC2_SLOT_PAGES,
		.size = NC2_SLOT_BYTES,
	};
}

static void evil_put_free(u64 slots)
{
	struct nc2_msg_free_slots m = {
		.hdr = { .type = NC2_MSG_FREE_SLOTS, .size = sizeof(m) },
		.slots = slots,
	};

	nc2_producer_put(&evil.tx, &m, sizeof(m), NULL, 0);
}

/* As frontend: it was filled. It goes back at once, or never. */
void evil_got_slot(void)
{
	struct nc2_msg_staged m;

	nc2_consumer_read(&evil.rx, 0, &m, sizeof(m));
	evil.received++;
	if (m.offset >= evil_slots() || (evil.slots & BIT_ULL(m.offset))) {
		evil.bad++;
		evil_say("BAD slot %u is not the backend's\n", m.offset);
		return;
	}
	evil.slots |= BIT_ULL(m.offset);
	/* Not by evil_put(), which may come here. */
	if (evil.slots_kept || nc2_producer_refresh(&evil.tx) ||
	    !nc2_producer_room(&evil.tx, sizeof(struct nc2_msg_free_slots), 0))
		return;
	evil_put_free(evil.slots);
	evil.slots = 0;
}

/* As backend: slots have come back. */
void evil_got_free(void)
{
	struct nc2_msg_free_slots m;

	nc2_consumer_read(&evil.rx, 0, &m, sizeof(m));
	if (!m.slots || (m.slots & evil.slots) || m.slots >> evil_slots()) {
		evil.bad++;
		evil_say("BAD slots 0x%llx come back, 0x%llx were here\n", m.slots,
			 evil.slots);
	}
	evil.slots |= m.slots;
}

/* SLOT, whatever the number; the frame is there if the slot is. */
void evil_put_slot(u32 slot, const void *frame, u32 len, u32 lie)
{
	struct nc2_msg_staged m = {
		.hdr = { .type = NC2_MSG_SLOT, .size = sizeof(m) },
		.offset = slot,
		.len = lie ? lie : len,
	};

	if (slot < evil_slots()) {
		struct nc2_area area = evil_slot_area(slot);

		nc2_area_write(&area, 0, frame, len);
		evil.slots &= ~BIT_ULL(slot);
	}
	evil_put(&m, sizeof(m), NULL, 0);
}

static bool evil_slots_all(void)
{
	return evil.slots == BIT_ULL(evil_slots()) - 1;
}

static bool evil_slots_back(void)
{
	return evil_peer_left() || evil_slots_all();
}

/* All of them at once, and all come back. */
static void evil_all_slots(u32 lie)
{
	unsigned int i, turns;
	u8 frame[1200];
	u32 len = evil_frame(frame, 1000);
	char name[48];

	for (i = 0; i < evil_slots(); i++)
		evil_put_slot(i, frame, len, lie);
	evil_publish();
	/* They go back with what is sent next, or when there is more to receive. */
	for (turns = 0; turns < 20 && !evil_slots_back() && evil_alive(); turns++)
		evil_wait(evil_slots_back, HZ);
	snprintf(name, sizeof(name), "all slots, %u bytes", lie ? lie : len);
	if (!evil_slots_back()) {
		evil.bad++;
		evil_say("BAD %s: only 0x%llx came back\n", name, evil.slots);
	}
	evil_verdict(name, EVIL_GOES_ON);
}

static void evil_back_slots(void)
{
	static const struct {
		u32 slot;
		u32 lie;
	} tries[] = {
		{ NC2_MAX_SLOTS, 0 }, { 63, 0 }, { 64, 0 }, { 0x80000000, 0 },
		{ 0xffffffff, 0 }, { 0, 13 }, { 0, 65537 }, { 0, 0xffffffff },
	};
	u8 frame[1200];
	/* Not copied as a whole: the other end has the page for a while. */
	u32 len = evil_frame(frame, 1000);
	unsigned int i;
	char name[48];

	evil_all_slots(0);
	evil_all_slots(65536);
	for (i = 0; i < ARRAY_SIZE(tries) && !evil_stop(); i++) {
		evil_put_slot(tries[i].slot, frame, len, tries[i].lie);
		evil_publish();
		snprintf(name, sizeof(name), "slot %u, %u bytes", tries[i].slot,
			 tries[i].lie ? tries[i].lie : len);
		evil_verdict(name, EVIL_ENDS);
	}
	evil_put_slot(evil_slots(), frame, len, 0);
	evil_publish();
	evil_verdict("the slot after the last", EVIL_ENDS);
	evil_put_slot(0, frame, len, 0);
	evil_put_slot(0, frame, len, 0);
	evil_publish();
	evil_verdict("a slot twice", EVIL_ENDS);
	evil_put_free(1);
	evil_publish();
	evil_verdict("FREE_SLOTS by a backend", EVIL_ENDS);
}

static void evil_front_slots(void)
{
	static const u64 tries[] = {
		0, 1, 2, 3, 4, BIT_ULL(NC2_MAX_SLOTS), BIT_ULL(63), ~0ULL,
	};
	u8 frame[128];
	u32 len = evil_frame(frame, 40);
	unsigned int i;
	char name[48];

	for (i = 0; i < ARRAY_SIZE(tries) && !evil_stop(); i++) {
		/* What was filled goes back before. */
		evil_consume();
		evil_put_free(tries[i]);
		evil_publish();
		snprintf(name, sizeof(name), "FREE_SLOTS of 0x%llx", tries[i]);
		evil_verdict(name, EVIL_ENDS);
	}
	evil_put_slot(0, frame, len, 0);
	evil_publish();
	evil_verdict("SLOT by a frontend", EVIL_ENDS);
}

static int evil_run_slots(unsigned int ms)
{
	if (!evil_slots())
		return -EOPNOTSUPP;
	if (evil.back)
		evil_back_slots();
	else
		evil_front_slots();
	return 0;
}

static void evil_free_all(void)
{
	evil_put_free(BIT_ULL(evil_slots()) - 1);
}

/*
 * None comes back while others send large packets: they have to come all the same.
 * Then all come back, once, and twice.
 */
static int evil_keep_slots(unsigned int ms)
{
	unsigned int received;

	if (!evil_slots())
		return -EOPNOTSUPP;
	evil.slots_kept = true;
	evil_wait(evil_slots_back, msecs_to_jiffies(ms / 2));
	received = evil.received;
	if (!evil_slots_all()) {
		evil.bad++;
		evil_say("BAD only slots 0x%llx were filled\n", evil.slots);
	}
	evil_sleep(ms / 2);
	if (evil.received - received < 10) {
		evil.bad++;
		evil_say("BAD %u packets without slots\n", evil.received - received);
	}
	evil_verdict("slots are kept", EVIL_GOES_ON);
	evil.slots = 0;
	evil_free_all();
	evil_publish();
	evil_verdict("all slots at last", EVIL_GOES_ON);
	evil_wait(evil_slots_back, msecs_to_jiffies(ms / 2));
	if (!evil_slots_all()) {
		evil.bad++;
		evil_say("BAD only slots 0x%llx were filled again\n", evil.slots);
	}
	/* One event for both, so that none is filled between. */
	evil_free_all();
	evil_free_all();
	evil_publish();
	evil_verdict("all slots twice", EVIL_ENDS);
	return 0;
}

const struct evil_case evil_slots_cases[] = {
	{ "a2-slots", "slots that are not the other end's, or not there",
	  evil_run_slots, true, true },
	{ "a13-slots", "slots never come back", evil_keep_slots, true, false },
	{ }
};
