// SPDX-License-Identifier: GPL-2.0
/* nc2evil: as frontend. */
#include <linux/interrupt.h>

#include <xen/events.h>
#include <xen/xenbus.h>

#include "evil.h"

static irqreturn_t evil_front_event(int irq, void *data)
{
	WRITE_ONCE(evil.events, evil.events + 1);
	wake_up(&evil.wait);
	xen_irq_lateeoi(irq, 0);
	return IRQ_HANDLED;
}

static int evil_front_alloc(const struct evil_defect *defect)
{
	const unsigned int ring = 1 << EVIL_RING_ORDER;
	struct {
		struct evil_mem *mem;
		unsigned int pages;
		bool readonly;
	} want[] = {
		{ &evil.tx_mem, ring, true },
		{ &evil.rx_mem, ring, defect->readonly },
		{ &evil.tx_staging, EVIL_STAGING, true },
		{ &evil.rx_staging, EVIL_STAGING, defect->readonly },
		{ &evil.control, 1, false },
		{ &evil.data, EVIL_DATA_PAGES, true },
		{ &evil.slot_mem, EVIL_SLOTS * NC2_SLOT_PAGES, defect->readonly },
		{ &evil.slot_refs, 1, true },
	};
	unsigned int i, j, n = 0;
	u32 *refs, *slot_refs;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(want); i++)
		ret = evil_mem_alloc(want[i].mem, want[i].pages,
				     want[i].readonly);
	if (ret)
		return ret;
	refs = evil.control.area.page[0] + NC2_CONTROL_REFS_OFFSET;
	for (i = 0; i < 4; i++)
		for (j = 0; j < want[i].pages; j++)
			refs[n++] = want[i].mem->refs[j];
	/* The whole page is good, so that nothing but a number is ever wrong. */
	slot_refs = evil.slot_refs.area.page[0];
	for (i = 0; i < PAGE_SIZE / sizeof(*slot_refs); i++)
		slot_refs[i] = evil.slot_mem.refs[i % (EVIL_SLOTS * NC2_SLOT_PAGES)];
	if (defect->ref >= 0)
		refs[defect->ref] = defect->value;
	evil_attach();
	return 0;
}

/* Write a key, but what the defect says if it is about that. */
static int evil_front_key(const struct evil_defect *defect, const char *key,
			  unsigned int value)
{
	const char *dir = evil.xbdev->nodename;

	if (!defect->key.key || strcmp(defect->key.key, key))
		return xenbus_printf(XBT_NIL, dir, key, "%u", value);
	if (!defect->key.value) {
		xenbus_rm(XBT_NIL, dir, key);
		return 0;
	}
	return xenbus_write(XBT_NIL, dir, key, defect->key.value);
}

static int evil_front_keys(const struct evil_defect *defect)
{
	const struct {
		const char *key;
		unsigned int value;
	} keys[] = {
		{ "netchannel2", NC2_VERSION },
		{ "packet-bytes", NC2_MAX_PACKET_BYTES },
		{ "slot-pages", NC2_SLOT_PAGES },
		{ "num-queues", 1 },
		{ "ring-page-order", EVIL_RING_ORDER },
		{ "staging-pages", EVIL_STAGING },
		{ "extensions", NC2_EXT_FEATURES | NC2_EXT_STAGING |
				NC2_EXT_HASH | NC2_EXT_HASH_MAP | NC2_EXT_SLOTS },
		{ "queue-0/control-ref", evil.control.refs[0] },
		{ "queue-0/event-channel", evil.port },
		{ "slots", EVIL_SLOTS },
		{ "queue-0/slots-ref", evil.slot_refs.refs[0] },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(keys); i++)
		ret = evil_front_key(defect, keys[i].key, keys[i].value);
	return ret;
}

/* Memory, event channel and keys; states are left as they are. */
int evil_front_setup(const struct evil_defect *defect)
{
	int ret;

	ret = evil_front_alloc(defect);
	if (!ret)
		ret = xenbus_alloc_evtchn(evil.xbdev, &evil.port);
	if (ret)
		return ret;
	ret = bind_evtchn_to_irqhandler_lateeoi(evil.port, evil_front_event, 0,
						"nc2evil", &evil);
	if (ret < 0) {
		xenbus_free_evtchn(evil.xbdev, evil.port);
		return ret;
	}
	evil.irq = ret;
	return evil_front_keys(defect);
}

static bool evil_front_may_begin(void)
{
	return READ_ONCE(evil.peer_state) == XenbusStateInitWait;
}

static bool evil_front_answered(void)
{
	switch (READ_ONCE(evil.peer_state)) {
	case XenbusStateConnected:
	case XenbusStateClosing:
	case XenbusStateClosed:
		return true;
	default:
		return false;
	}
}

int evil_front_connect(const struct evil_defect *defect)
{
	int ret;

	if (!evil_front_may_begin()) {
		xenbus_switch_state(evil.xbdev, XenbusStateClosed);
		evil_wait(evil_peer_left, EVIL_PATIENCE);
	}
	xenbus_switch_state(evil.xbdev, XenbusStateInitialising);
	if (!evil_wait(evil_front_may_begin, EVIL_PATIENCE))
		return -ETIMEDOUT;
	ret = evil_front_setup(defect);
	if (ret)
		return ret;
	xenbus_switch_state(evil.xbdev, XenbusStateInitialised);
	if (!evil_wait(evil_front_answered, EVIL_PATIENCE))
		return -ETIMEDOUT;
	if (READ_ONCE(evil.peer_state) != XenbusStateConnected)
		return -ECONNREFUSED;
	xenbus_switch_state(evil.xbdev, XenbusStateConnected);
	return 0;
}

static bool evil_front_let_go(void)
{
	return READ_ONCE(evil.peer_state) == XenbusStateClosed ||
	       READ_ONCE(evil.peer_state) == XenbusStateInitWait ||
	       READ_ONCE(evil.peer_state) == XenbusStateUnknown;
}

void evil_front_disconnect(void)
{
	struct evil_mem *mem[] = { &evil.tx_mem, &evil.rx_mem, &evil.tx_staging,
				   &evil.rx_staging, &evil.control, &evil.data,
				   &evil.slot_mem, &evil.slot_refs };
	unsigned int i;

	xenbus_switch_state(evil.xbdev, XenbusStateClosed);
	if (!evil_wait(evil_front_let_go, EVIL_PATIENCE))
		evil_say("the backend does not let go\n");
	if (evil.irq)
		unbind_from_irqhandler(evil.irq, &evil);
	evil.irq = 0;
	for (i = 0; i < ARRAY_SIZE(mem); i++)
		evil_mem_free(mem[i]);
}
