// SPDX-License-Identifier: GPL-2.0
/* nc2evil: states, and memory that is not given back. */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "evil.h"

static const struct evil_defect evil_none = { .ref = -1 };

static int evil_switch(enum xenbus_state state)
{
	return xenbus_switch_state(evil.xbdev, state);
}

/* A few events in between, whatever the state. */
static void evil_events(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		evil_notify();
}

/*
 * Connected, Closing, Closed, begun anew, each as soon as xenstore takes it. The
 * other end need not see all of them.
 */
static int evil_toggle_closing(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int n = 0;

	for (; time_before(jiffies, end) && !evil_stop(); n++) {
		evil_events();
		evil_switch(XenbusStateClosing);
		evil_events();
		evil_switch(n % 3 ? XenbusStateConnected : XenbusStateClosed);
		if (n % 3 == 0)
			evil_switch(evil.back ? XenbusStateInitWait :
				    XenbusStateInitialising);
		if (n % 3 == 1)
			evil_switch(evil.back ? XenbusStateConnected :
				    XenbusStateInitialised);
	}
	evil_say("%u turns\n", n);
	evil_disconnect();
	if (!evil_connect())
		evil_verdict("after toggling", EVIL_GOES_ON);
	return 0;
}

/* Any state after any other. */
static int evil_toggle_random(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int n = 0, seed = 1;

	for (; time_before(jiffies, end) && !evil_stop(); n++) {
		seed = seed * 1103515245 + 12345;
		/* 1 to 9, two of them unknown. At 0 a backend forgets the device. */
		xenbus_printf(XBT_NIL, evil.xbdev->nodename, "state", "%u",
			      1 + (seed >> 16) % 9);
		evil_events();
	}
	evil_say("%u states\n", n);
	/* xenbus does not know what was written. */
	evil.xbdev->state = XenbusStateUnknown;
	evil_disconnect();
	if (!evil_connect())
		evil_verdict("after any states", EVIL_GOES_ON);
	return 0;
}

/* Whole connections, given up at every point on the way. */
static int evil_half(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int n = 0;

	for (; time_before(jiffies, end) && !evil_stop(); n++) {
		evil_disconnect();
		if (!evil.back) {
			evil_switch(XenbusStateInitialising);
			evil_sleep(n % 5 * 10);
			evil_front_setup(&evil_none);
			evil_switch(XenbusStateInitialised);
			evil_sleep(n % 7 * 10);
			if (n % 2)
				evil_switch(XenbusStateInitialised);
			if (n % 3)
				evil_switch(XenbusStateConnected);
			evil_events();
		} else {
			evil_switch(XenbusStateInitWait);
			evil_sleep(n % 7 * 20);
			if (n % 3)
				evil_switch(XenbusStateConnected);
			evil_sleep(n % 5 * 10);
		}
	}
	evil_say("%u connections given up\n", n);
	evil_disconnect();
	if (!evil_connect())
		evil_verdict("after half connections", EVIL_GOES_ON);
	return 0;
}

/* New connections without end; the other end must not keep anything of them. */
static int evil_reconnect(unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int n = 0;

	for (; time_before(jiffies, end) && !evil_stop(); n++) {
		evil_disconnect();
		if (evil_connect())
			break;
	}
	evil_say("%u connections\n", n);
	if (evil.connected)
		evil_verdict("after reconnecting", EVIL_GOES_ON);
	return 0;
}

/* Keys that do not matter, written as fast as it goes. */
static int evil_watches(unsigned int ms)
{
	static const char *const keys[] = { "feature-x", "state", "hotplug-status", "rate" };
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	const char *dir = evil.xbdev->nodename;
	unsigned int n = 0;

	for (; time_before(jiffies, end) && !evil_stop(); n++) {
		if (n % 4 == 1)
			xenbus_printf(XBT_NIL, dir, "state", "%u", XenbusStateConnected);
		else if (!evil.back || n % 4 == 0)
			xenbus_printf(XBT_NIL, dir, keys[n % 4], "%u", n);
	}
	evil_say("%u writes\n", n);
	evil_verdict("after writes", EVIL_GOES_ON);
	return 0;
}

/*
 * A7. The frontend is told Closed, but its memory stays mapped. What we have
 * written there must stay, for the pages must not get another use; and nothing
 * of others must appear.
 */
static int evil_keep(unsigned int ms)
{
	const struct nc2_area *area = &evil.tx_staging.area;
	unsigned int i, j, changed = 0;

	if (!area->size)
		area = &evil.tx.area;
	for (i = 0; i < area->size / PAGE_SIZE; i++)
		memset(area->page[i], 0xc5, PAGE_SIZE);
	evil.connected = false;
	evil_switch(XenbusStateClosing);
	evil_switch(XenbusStateClosed);
	evil_sleep(ms);
	for (i = 0; i < area->size / PAGE_SIZE; i++) {
		const u8 *page = area->page[i];

		changed += !!memchr_inv(page, 0xc5, PAGE_SIZE);
		for (j = 0; evil.canary_len && j + evil.canary_len <= PAGE_SIZE; j++)
			if (!memcmp(page + j, evil.canary, evil.canary_len))
				changed++;
	}
	evil.bad += !!changed;
	evil_say("%s %u of %lu pages kept have another use\n", changed ? "BAD" : "ok",
		 changed, area->size / PAGE_SIZE);
	evil_disconnect();
	if (!evil_connect())
		evil_verdict("after keeping pages", EVIL_GOES_ON);
	return 0;
}

/*
 * A7. Connections, each of which keeps all that it has mapped. There must be none
 * after the first before that is given back: the frontend has memory for one.
 */
static int evil_hold(unsigned int ms)
{
	static struct evil_mem kept[5][EVIL_BACK_MEMS];
	unsigned int n, i;
	int ret = 0;

	for (n = 0; n < ARRAY_SIZE(kept) && !ret && !evil_stop(); n++) {
		evil.connected = false;
		evil_back_keep(kept[n]);
		ret = evil_back_connect(&evil_none);
	}
	evil.bad += !ret;
	evil_say("%s the memory of %u connections can be kept (%d)\n", ret ? "ok" : "BAD", n, ret);
	while (n--) {
		for (i = 0; i < EVIL_BACK_MEMS; i++)
			evil_mem_free(&kept[n][i]);
	}
	evil_disconnect();
	if (!evil_connect())
		evil_verdict("after keeping all", EVIL_GOES_ON);
	return 0;
}

/* Settings that change all the time, of which each is legal. */
static int evil_flap(unsigned int ms)
{
	struct nc2_msg_set_features f = {
		.hdr = { .type = NC2_MSG_SET_FEATURES, .size = sizeof(f) },
	};
	struct nc2_msg_set_offload o = {
		.hdr = { .type = NC2_MSG_SET_OFFLOAD, .size = sizeof(o) },
	};
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	unsigned int n = 0;

	for (; time_before(jiffies, end) && !evil_stop(); n++) {
		f.features = NC2_FEATURE_STAGING;
		if (n % 2)
			f.features |= NC2_FEATURE_LINK | NC2_FEATURE_TCPV6_SEG |
				      NC2_FEATURE_UDP_SEG;
		o.csum = n % 2;
		o.tcpv4_segmentation_offload = n % 2;
		if (!evil_put(&o, sizeof(o), NULL, 0) || !evil_put(&f, sizeof(f), NULL, 0))
			break;
		evil_publish();
	}
	evil_say("%u settings\n", 2 * n);
	evil_verdict("after settings", EVIL_GOES_ON);
	return 0;
}

/* What does the backend grant to a guest? Nothing, in whatever way it connects. */
static int evil_granted(unsigned int ms)
{
	static const struct evil_defect ways[] = {
		{ .ref = -1 },
		{ .ref = -1, .key = { "staging-pages", "0" } },
		{ .ref = -1, .key = { "slots", "0" } },
		{ .ref = -1, .key = { "extensions", "0" } },
	};
	unsigned int i;
	int n;

	for (i = 0; i < ARRAY_SIZE(ways) && !evil_stop(); i++) {
		evil_connect_as(&ways[i]);
		n = evil_mem_granted(4096);
		evil.bad += !!n;
		evil_say("%s %s = %s: %d pages of the backend are granted\n", n ? "BAD" : "ok",
			 ways[i].key.key ?: "honest", ways[i].key.value ?: "", n);
	}
	evil_disconnect();
	return evil_connect();
}

const struct evil_case evil_life_cases[] = {
	{ "a7-keep", "Closed, but all stays mapped", evil_keep, false, true },
	{ "a7-hold", "connections that all keep what they have mapped", evil_hold, false, true },
	{ "a7-granted", "map all that the backend has granted", evil_granted, true, false },
	{ "a10-flap", "settings that change all the time", evil_flap, true, true },
	{ "a10-watches", "xenstore writes without end", evil_watches, true, true },
	{ "a11-closing", "Connected and Closing in turns, with events", evil_toggle_closing,
	  true, true },
	{ "a11-states", "any state after any other", evil_toggle_random, true, true },
	{ "a11-half", "connections that are given up half way", evil_half, true, true },
	{ "a11-reconnect", "connect and disconnect without end", evil_reconnect, true, true },
	{ }
};
