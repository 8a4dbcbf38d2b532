// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: which of a frontend's slots the backend has mapped.
 *
 * Design: a frontend offers many slots, and most vifs need none of them most of
 * the time. Each mapped page takes an entry of Xen's table of the backend's
 * mappings, which the disks of all guests use, too. So a queue begins with one
 * slot, gets more when it had none for a large packet, and loses again what it
 * did not need for a while. Together the slots of all vifs take an eighth of the
 * table that Xen gives dom0 by default. A queue without a free slot uses its
 * staging area.
 *
 * The frontend sees none of this: a slot that is not mapped is just one that is
 * not filled.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/netdevice.h>

#include "nc2.h"

/* Pages of all slots that are mapped. */
#define NC2_SLOTS_MAX_PAGES	32768
/* Between looking for a slot in vain and having more. */
#define NC2_SLOTS_DELAY		(HZ / 20)

static atomic_t nc2_slot_pages = ATOMIC_INIT(0);

/**
 * nc2_slot_wanted - is there a slot for a packet?
 * @q: queue; a frontend's never has one to fill
 *
 * If not, there will be more of them after a while, if that is possible.
 *
 * Context: lock of the transmit queue.
 *
 * Return: true if so.
 */
bool nc2_slot_wanted(struct nc2_queue *q)
{
	if (q->free_slots) {
		q->idle_slots &= ~BIT_ULL(__ffs64(q->free_slots));
		return true;
	}
	if (q->nd->backend && !q->want_slot && hweight64(q->mapped_slots) < nc2_slots(q)) {
		q->want_slot = true;
		schedule_delayed_work(&q->nd->slots_work, NC2_SLOTS_DELAY);
	}
	return false;
}

/* Map one more slot: 0 or a negative errno. */
static int nc2_slots_add(struct nc2_queue *q)
{
	struct netdev_queue *txq = netdev_get_tx_queue(q->nd->netdev, q->id);
	unsigned int slot;
	int ret;

	/* Changed with nd->mutex only. */
	slot = ffz(q->mapped_slots);
	if (slot >= nc2_slots(q))
		return -ENOSPC;
	if (atomic_add_return(NC2_SLOT_PAGES, &nc2_slot_pages) > NC2_SLOTS_MAX_PAGES)
		ret = -ENOSPC;
	else
		ret = nc2_mem_map_some(&q->slot_mem, q->nd->xbdev->otherend_id,
				       slot * NC2_SLOT_PAGES, NC2_SLOT_PAGES);
	if (ret) {
		atomic_sub(NC2_SLOT_PAGES, &nc2_slot_pages);
		return ret;
	}
	__netif_tx_lock_bh(txq);
	q->mapped_slots |= BIT_ULL(slot);
	q->free_slots |= BIT_ULL(slot);
	__netif_tx_unlock_bh(txq);
	return 0;
}

/**
 * nc2_slots_begin - map what a new connection begins with
 * @q: queue of a backend, attached, whose slots are reserved
 *
 * Context: process, nd->mutex.
 *
 * Return: 0, also if there is no room for it; -EINVAL if the frontend has not
 * granted the slot.
 */
int nc2_slots_begin(struct nc2_queue *q)
{
	int ret = nc2_slots(q) ? nc2_slots_add(q) : 0;

	return ret == -EINVAL ? ret : 0;
}

static void nc2_slots_grow(struct nc2_queue *q)
{
	struct netdev_queue *txq = netdev_get_tx_queue(q->nd->netdev, q->id);
	unsigned int n = max(hweight64(q->mapped_slots), 1UL);
	int ret = 0;

	if (!READ_ONCE(q->want_slot))
		return;
	/* Twice as many. */
	while (n-- && !ret)
		ret = nc2_slots_add(q);
	if (ret == -EINVAL)
		nc2_queue_break(q, "slot that cannot be mapped");
	__netif_tx_lock_bh(txq);
	q->want_slot = false;
	__netif_tx_unlock_bh(txq);
}

/**
 * nc2_slots_work - map more slots for the queues that had none for a packet
 * @work: nd->slots_work of a backend
 *
 * Context: process.
 */
void nc2_slots_work(struct work_struct *work)
{
	struct nc2_dev *nd = container_of(work, struct nc2_dev, slots_work.work);
	unsigned int i;

	mutex_lock(&nd->mutex);
	for (i = 0; nd->life == NC2_LIFE_RUNNING && i < nd->config.queues; i++)
		nc2_slots_grow(&nd->queue[i]);
	mutex_unlock(&nd->mutex);
}

static void nc2_slots_unmap(struct nc2_queue *q, u64 slots)
{
	unsigned int slot;

	for (; slots; slots &= slots - 1) {
		slot = __ffs64(slots);
		nc2_mem_unmap_some(&q->slot_mem, slot * NC2_SLOT_PAGES, NC2_SLOT_PAGES);
		atomic_sub(NC2_SLOT_PAGES, &nc2_slot_pages);
	}
}

/**
 * nc2_slots_trim - unmap slots that were not needed since the last call
 * @nd: backend
 *
 * Context: process, nd->mutex.
 */
void nc2_slots_trim(struct nc2_dev *nd)
{
	unsigned int i;

	for (i = 0; nd->life == NC2_LIFE_RUNNING && i < nd->config.queues; i++) {
		struct netdev_queue *txq = netdev_get_tx_queue(nd->netdev, i);
		struct nc2_queue *q = &nd->queue[i];
		u64 idle;

		__netif_tx_lock_bh(txq);
		idle = q->idle_slots & q->free_slots & ~1ULL;
		q->mapped_slots &= ~idle;
		q->free_slots &= ~idle;
		q->idle_slots = q->free_slots;
		__netif_tx_unlock_bh(txq);
		nc2_slots_unmap(q, idle);
	}
}

/**
 * nc2_slots_end - unmap all slots of a queue
 * @q: queue that does not run
 *
 * Context: process, nd->mutex.
 */
void nc2_slots_end(struct nc2_queue *q)
{
	nc2_slots_unmap(q, q->mapped_slots);
	q->mapped_slots = 0;
	q->free_slots = 0;
	q->want_slot = false;
}
