// SPDX-License-Identifier: GPL-2.0
/* nc2evil: as backend. */
#include <linux/interrupt.h>
#include <linux/slab.h>

#include <xen/events.h>
#include <xen/xenbus.h>

#include "evil.h"

static irqreturn_t evil_back_event(int irq, void *data)
{
	WRITE_ONCE(evil.events, evil.events + 1);
	wake_up(&evil.wait);
	xen_irq_lateeoi(irq, 0);
	return IRQ_HANDLED;
}

static int evil_back_keys(const struct evil_defect *defect)
{
	static const struct {
		const char *key;
		unsigned int value;
	} keys[] = {
		{ "max-queues", 1 },
		{ "max-ring-page-order", NC2_MAX_RING_ORDER },
		{ "max-staging-pages", 2 * NC2_MAX_STAGING_PAGES },
		{ "feature-extensions", NC2_EXT_FEATURES | NC2_EXT_STAGING |
					NC2_EXT_HASH | NC2_EXT_HASH_MAP | NC2_EXT_SLOTS },
		{ "max-packet-bytes", NC2_MAX_PACKET_BYTES },
		{ "max-slot-pages", NC2_SLOT_PAGES },
		{ "min-netchannel2", NC2_VERSION },
		{ "feature-netchannel2", NC2_VERSION },
	};
	const char *dir = evil.xbdev->nodename;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(keys); i++) {
		if (!defect->key.key || strcmp(defect->key.key, keys[i].key))
			ret = xenbus_printf(XBT_NIL, dir, keys[i].key, "%u",
					    keys[i].value);
		else if (defect->key.value)
			ret = xenbus_write(XBT_NIL, dir, keys[i].key,
					   defect->key.value);
		else
			xenbus_rm(XBT_NIL, dir, keys[i].key);
	}
	return ret;
}

static int evil_back_map_slots(const char *front)
{
	unsigned int slots = xenbus_read_unsigned(front, "slots", 0);
	grant_ref_t ref = xenbus_read_unsigned(front, "queue-0/slots-ref", 0);
	int ret;

	if (!slots)
		return 0;
	if (slots > NC2_MAX_SLOTS)
		return -EINVAL;
	ret = evil_mem_map(&evil.slot_refs, &ref, 1, true);
	if (!ret)
		ret = evil_mem_map(&evil.slot_mem, evil.slot_refs.area.page[0],
				   slots * NC2_SLOT_PAGES, false);
	return ret;
}

/* Map what the frontend has; states are left as they are. */
int evil_back_setup(void)
{
	const char *front = evil.xbdev->otherend;
	unsigned int ring = 1u << xenbus_read_unsigned(front, "ring-page-order", 0);
	unsigned int staging = xenbus_read_unsigned(front, "staging-pages", 0);
	grant_ref_t control = xenbus_read_unsigned(front, "queue-0/control-ref", 0);
	grant_ref_t *refs;
	int ret;

	if (ring > 1 << NC2_MAX_RING_ORDER || staging > NC2_MAX_STAGING_PAGES)
		return -EINVAL;
	evil.port = xenbus_read_unsigned(front, "queue-0/event-channel", 0);
	ret = evil_mem_map(&evil.control, &control, 1, false);
	if (ret)
		return ret;
	refs = evil.control.area.page[0] + NC2_CONTROL_REFS_OFFSET;
	/* What is only for reading may be all that we are allowed. */
	ret = evil_mem_map(&evil.rx_mem, refs, ring, true);
	if (!ret)
		ret = evil_mem_map(&evil.tx_mem, refs + ring, ring, false);
	if (!ret && staging)
		ret = evil_mem_map(&evil.rx_staging, refs + 2 * ring, staging, true);
	if (!ret && staging)
		ret = evil_mem_map(&evil.tx_staging, refs + 2 * ring + staging,
				   staging, false);
	if (!ret)
		ret = evil_back_map_slots(front);
	if (!ret)
		ret = evil_mem_alloc(&evil.data, EVIL_DATA_PAGES, true);
	if (ret)
		return ret;
	evil_attach();
	ret = bind_interdomain_evtchn_to_irqhandler_lateeoi(evil.xbdev, evil.port,
							    evil_back_event, 0,
							    "nc2evil", &evil);
	if (ret < 0)
		return ret;
	evil.irq = ret;
	return 0;
}

void evil_back_keep(struct evil_mem kept[EVIL_BACK_MEMS])
{
	struct evil_mem *mem[EVIL_BACK_MEMS] = {
		&evil.tx_mem, &evil.rx_mem, &evil.tx_staging, &evil.rx_staging,
		&evil.control, &evil.data, &evil.slot_mem, &evil.slot_refs,
	};
	unsigned int i;

	if (evil.irq)
		unbind_from_irqhandler(evil.irq, &evil);
	evil.irq = 0;
	for (i = 0; i < EVIL_BACK_MEMS; i++) {
		kept[i] = *mem[i];
		memset(mem[i], 0, sizeof(*mem[i]));
	}
}

void evil_back_unmap(void)
{
	struct evil_mem mem[EVIL_BACK_MEMS];
	unsigned int i;

	evil_back_keep(mem);
	for (i = 0; i < EVIL_BACK_MEMS; i++)
		evil_mem_free(&mem[i]);
}

/* Neither connected nor about to be; a new one is about to begin. */
static bool evil_back_let_go(void)
{
	switch (READ_ONCE(evil.peer_state)) {
	case XenbusStateUnknown:
	case XenbusStateInitialising:
	case XenbusStateClosed:
		return true;
	default:
		return false;
	}
}

/* It wants to be connected, or has found that it cannot be. */
static bool evil_back_asked(void)
{
	return !evil_back_let_go();
}

static bool evil_back_answered(void)
{
	return READ_ONCE(evil.peer_state) != XenbusStateInitialised;
}

int evil_back_connect(const struct evil_defect *defect)
{
	int ret;

	ret = evil_back_keys(defect);
	if (ret)
		return ret;
	/* What it has offered, or refused, before is not for this. */
	if (!evil_back_let_go()) {
		xenbus_switch_state(evil.xbdev, XenbusStateClosed);
		evil_wait(evil_back_let_go, EVIL_PATIENCE);
	}
	xenbus_switch_state(evil.xbdev, XenbusStateInitWait);
	if (!evil_wait(evil_back_asked, EVIL_PATIENCE))
		return -ETIMEDOUT;
	if (READ_ONCE(evil.peer_state) != XenbusStateInitialised)
		return -ECONNREFUSED;
	ret = evil_back_setup();
	if (ret)
		return ret;
	xenbus_switch_state(evil.xbdev, XenbusStateConnected);
	if (!evil_wait(evil_back_answered, EVIL_PATIENCE))
		return -ETIMEDOUT;
	return READ_ONCE(evil.peer_state) == XenbusStateConnected ?
	       0 : -ECONNREFUSED;
}

void evil_back_disconnect(void)
{
	evil_back_unmap();
	xenbus_switch_state(evil.xbdev, XenbusStateClosed);
}
