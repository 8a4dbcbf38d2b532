// SPDX-License-Identifier: GPL-2.0
/* nc2evil: connections with something wrong in xenstore or in grants. */
#include <linux/mm.h>
#include <linux/slab.h>

#include <xen/page.h>

#include "evil.h"

/* Long, but not too long for xenstore, which the other end would not hear of. */
static char evil_long[1025];

/*
 * Try to connect like this, then in the right way. Whether it may work depends
 * on the value; it is refused or works, and nothing else.
 */
static void evil_try(const char *name, const struct evil_defect *defect,
		     enum evil_expect expect)
{
	int ret = evil_connect_as(defect);
	bool works, bad;

	if (evil_stop())
		return;
	/*
	 * A frontend may wait for a backend that makes sense. What xenstore has no
	 * room for was not refused by the other end.
	 */
	works = !ret && evil_alive();
	bad = (works && expect == EVIL_ENDS) || (!works && expect == EVIL_GOES_ON) ||
	      (ret == -ETIMEDOUT && !evil.back) || ret == -ENOSPC;
	evil.bad += bad;
	evil_say("%s %s: %s (%d)\n", bad ? "BAD" : "ok", name,
		 works ? "works" : ret ? "is refused" : "is ended", ret);
	evil_disconnect();
	if (!evil_connect() && !evil_alive()) {
		evil.bad++;
		evil_say("BAD %s: the next connection does not work\n", name);
	}
}

static const char *const evil_values[] = {
	NULL, "", "0", "-1", "1", "17", "33", "2147483648", "4294967295", "4294967296",
	"18446744073709551616", "0x1", "1 ", " 1", "one", "1e3", evil_long, "49",
};

static int evil_keys(unsigned int ms)
{
	/* For each key, the values of the above that are right, as a mask. */
	static const struct {
		const char *key;
		u32 right;
	} front[] = {
		{ "netchannel2", 1 << 4 },
		{ "packet-bytes", 1 << 0 },
		{ "slot-pages", 1 << 0 },
		{ "num-queues", 1 << 4 },
		{ "ring-page-order", 1 << 2 | 1 << 4 },
		{ "staging-pages", 0 },
		{ "extensions", ~0U },
		{ "queue-0/control-ref", 0 },
		{ "queue-0/event-channel", 0 },
		{ "slots", 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 },
		/* What else the guest has granted may look like it. */
		{ "queue-0/slots-ref", 1 << 4 | 1 << 5 | 1 << 6 | 1 << 17 },
	}, back[] = {
		{ "max-queues", ~0U },
		{ "max-ring-page-order", ~0U },
		{ "max-staging-pages", ~0U },
		{ "feature-extensions", ~0U },
		{ "max-packet-bytes", ~0U },
		{ "max-slot-pages", ~0U },
		{ "min-netchannel2", ~0U },
		/* Any version from ours on. */
		{ "feature-netchannel2",
		  1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 17 },
	};
	unsigned int i, j, n = evil.back ? ARRAY_SIZE(back) : ARRAY_SIZE(front);
	char name[64];

	memset(evil_long, '1', sizeof(evil_long) - 1);
	for (i = 0; i < n; i++) {
		for (j = 0; j < ARRAY_SIZE(evil_values) && !evil_stop(); j++) {
			struct evil_defect d = {
				.ref = -1,
				.key = { evil.back ? back[i].key : front[i].key,
					 evil_values[j] },
			};
			u32 right = evil.back ? back[i].right : front[i].right;

			snprintf(name, sizeof(name), "%s = %.24s", d.key.key,
				 d.key.value ? d.key.value : "(missing)");
			/* Memory is shared for 2 pages of a ring, and staging. */
			evil_try(name, &d, right >> j & 1 ? EVIL_EITHER : EVIL_ENDS);
		}
	}
	return 0;
}

/* As many slots as the backend allows, and one more. */
static int evil_slots_limit(unsigned int ms)
{
	unsigned int max = xenbus_read_unsigned(evil.xbdev->otherend, "max-staging-pages", 0);
	unsigned int slots, more;
	char value[12], name[32];

	if (max < 2 * EVIL_STAGING)
		return -EOPNOTSUPP;
	slots = (max - 2 * EVIL_STAGING) / NC2_SLOT_PAGES;
	/* Else it is the other bound that is tried. */
	if (slots >= NC2_MAX_SLOTS)
		return -EOPNOTSUPP;
	for (more = 0; more < 2 && !evil_stop(); more++) {
		struct evil_defect d = { .ref = -1, .key = { "slots", value } };

		snprintf(value, sizeof(value), "%u", slots + more);
		snprintf(name, sizeof(name), "slots = %s of %u", value, slots);
		evil_try(name, &d, more ? EVIL_ENDS : EVIL_GOES_ON);
	}
	return 0;
}

/* References in the control page, and for the wrong use. */
static int evil_setup_refs(unsigned int ms)
{
	static const struct {
		const char *name;
		int ref;
		u32 value;
		bool readonly;
		enum evil_expect expect;
	} tries[] = {
		{ "first reference is 0", 0, 0, false, EVIL_ENDS },
		{ "first reference is 2^32 - 1", 0, 0xffffffff, false, EVIL_ENDS },
		{ "first reference is 65535", 0, 65535, false, EVIL_ENDS },
		{ "reference of its ring is 2^31", 2, 0x80000000, false, EVIL_ENDS },
		{ "reference of staging is 7", 4, 7, false, EVIL_ENDS },
		{ "last reference is 2^32 - 1", 4 + 2 * EVIL_STAGING - 1, 0xffffffff,
		  false, EVIL_ENDS },
		{ "what it writes is read-only", -1, 0, true, EVIL_ENDS },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tries) && !evil_stop(); i++) {
		struct evil_defect d = {
			.ref = tries[i].ref,
			.value = tries[i].value,
			.readonly = tries[i].readonly,
		};

		evil_try(tries[i].name, &d, tries[i].expect);
	}
	return 0;
}

const struct evil_case evil_keys_cases[] = {
	{ "a12-keys", "each key: missing, and with all that it must not be", evil_keys, true, true },
	{ "a12-slots", "one slot more than is allowed", evil_slots_limit, true, false },
	{ "a6-setup", "rings whose pages are not granted", evil_setup_refs, true, false },
	{ }
};
