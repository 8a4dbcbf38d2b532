// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: life of the queues.
 *
 * Design: struct nc2_queue, with its NAPI and statistics, is there as long as
 * the network device, so that whoever reads statistics or asks for channels
 * cannot meet one that is gone. What changes with the connection is its memory
 * and its event channel:
 *
 *	front.c or back.c gets memory and event channel
 *	nc2_queue_attach()	rings begin at 0
 *	nc2_start()		NAPI, transmission; the first messages
 *	nc2_stop()		no more transmission, NAPI, timer, interrupt, in
 *				this order: NAPI uses the interrupt
 *	nc2_queue_free()	the memory goes; nobody can look at it any more
 *
 * nc2_life_set() calls the last three, and knows when each is due.
 */
#include <linux/interrupt.h>
#include <linux/slab.h>

#include <xen/events.h>

#include "nc2.h"

/**
 * nc2_interrupt - the other end has sent an event
 * @irq: interrupt
 * @data: queue
 *
 * The event channel stays masked until NAPI is through, see nc2_poll().
 *
 * Context: hard interrupt.
 *
 * Return: IRQ_HANDLED.
 */
irqreturn_t nc2_interrupt(int irq, void *data)
{
	struct nc2_queue *q = data;

	atomic_set(&q->eoi_pending, 1);
	napi_schedule(&q->napi);
	return IRQ_HANDLED;
}

static enum hrtimer_restart nc2_timer(struct hrtimer *timer)
{
	struct nc2_queue *q = container_of(timer, struct nc2_queue, timer);

	napi_schedule(&q->napi);
	return HRTIMER_NORESTART;
}

/**
 * nc2_queue_init - prepare a queue of a new device
 * @nd: device
 * @id: number of the queue
 *
 * Context: process.
 */
void nc2_queue_init(struct nc2_dev *nd, unsigned int id)
{
	struct nc2_queue *q = &nd->queue[id];

	q->nd = nd;
	q->id = id;
	u64_stats_init(&q->rx_stats.syncp);
	u64_stats_init(&q->tx_stats.syncp);
	hrtimer_init(&q->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	q->timer.function = nc2_timer;
	netif_napi_add(nd->netdev, &q->napi, nc2_poll);
}

/**
 * nc2_queue_exit - undo nc2_queue_init()
 * @q: queue without memory
 *
 * Context: process.
 */
void nc2_queue_exit(struct nc2_queue *q)
{
	netif_napi_del(&q->napi);
}

/**
 * nc2_queue_attach - make rings of the memory of a queue
 * @q: queue that has its control page, rings, and staging areas
 *
 * Context: process, nd->mutex.
 *
 * Return: 0 or a negative errno.
 */
int nc2_queue_attach(struct nc2_queue *q)
{
	struct nc2_endpoint *front = q->control.area.page[0], *back = front + 1;
	struct nc2_endpoint *own = q->nd->backend ? back : front;
	struct nc2_endpoint *peer = q->nd->backend ? front : back;

	q->sent = kvcalloc(NC2_MAX_SENT, sizeof(*q->sent), GFP_KERNEL);
	if (!q->sent)
		return -ENOMEM;
	q->rx = (struct nc2_consumer){ .area = q->rx_mem.area, .own = own, .peer = peer };
	q->tx = (struct nc2_producer){ .area = q->tx_mem.area, .own = own, .peer = peer };
	q->limits = (struct nc2_limits){
		.packet = NC2_MAX_PACKET_BYTES,
		.staging = q->rx_staging.area.size,
		.slots = q->nd->backend ? 0 : nc2_slots(q),
		.slot = NC2_SLOT_BYTES,
	};
	bitmap_zero(q->used_slots, NC2_MAX_SLOTS);
	q->mapped_slots = 0;
	q->free_slots = 0;
	q->idle_slots = 0;
	q->want_slot = false;
	q->area_prod = 0;
	q->area_cons = 0;
	q->sent_prod = 0;
	q->sent_cons = 0;
	q->kept = 0;
	q->wait_for = 0;
	q->nr_finished = 0;
	q->peer_max_packets = 0;
	q->stall_seen = false;
	q->broken = false;
	atomic_set(&q->eoi_pending, 0);
	/* The first message is to raise an event. */
	WRITE_ONCE(own->prod_event, 1);
	return 0;
}

/* The first messages. The ring is empty, so they have room. */
static void nc2_queue_hello(struct nc2_queue *q)
{
	struct nc2_msg_set_max_packets packets = {
		.hdr = { .type = NC2_MSG_SET_MAX_PACKETS, .size = sizeof(packets) },
		.max_outstanding_packets = NC2_MAX_UNFINISHED,
	};
	struct nc2_msg_set_max_fragments frags = {
		.hdr = { .type = NC2_MSG_SET_MAX_FRAGMENTS, .size = sizeof(frags) },
		.max_frags_per_packet = NC2_MAX_FRAGS,
	};

	nc2_producer_put(&q->tx, &packets, sizeof(packets), NULL, 0);
	nc2_producer_put(&q->tx, &frags, sizeof(frags), NULL, 0);
	nc2_tx_notify(q);
}

/**
 * nc2_start - let the queues of a connection work
 * @nd: device; all its queues are attached and have an interrupt
 *
 * Called by nc2_life_set() only, so they do not run yet.
 *
 * Context: process, nd->mutex.
 */
void nc2_start(struct nc2_dev *nd)
{
	unsigned int i;

	WRITE_ONCE(nd->peer_features, 0);
	WRITE_ONCE(nd->peer_csum, false);
	WRITE_ONCE(nd->peer_tso, false);
	/* Who does not tell is up. */
	WRITE_ONCE(nd->peer_ready, !(nd->config.extensions & NC2_EXT_FEATURES));
	for (i = 0; i < NC2_HASH_MAP_SIZE; i++)
		WRITE_ONCE(nd->peer_map[i], i % nd->config.queues);
	for (i = 0; i < nd->config.queues; i++) {
		struct nc2_queue *q = &nd->queue[i];
		struct netdev_queue *txq = netdev_get_tx_queue(nd->netdev, i);

		napi_enable(&q->napi);
		__netif_tx_lock_bh(txq);
		/* So that BQL does not make the other end sleep in between. */
		netdev_queue_set_dql_min_limit(txq, q->tx_staging.area.size / 4 * 3);
		nc2_queue_hello(q);
		q->live = true;
		__netif_tx_unlock_bh(txq);
		netif_tx_wake_queue(txq);
		/* Look at what the other end may have sent already. */
		local_bh_disable();
		napi_schedule(&q->napi);
		local_bh_enable();
	}
}

/* No transmission, NAPI, timer, interrupt; also of a queue that had none yet. */
static void nc2_queue_stop(struct nc2_queue *q)
{
	struct netdev_queue *txq = netdev_get_tx_queue(q->nd->netdev, q->id);
	bool live;

	__netif_tx_lock_bh(txq);
	live = q->live;
	q->live = false;
	netif_tx_stop_queue(txq);
	__netif_tx_unlock_bh(txq);
	if (live) {
		/* Uses the interrupt. What would start it afterwards does nothing. */
		napi_disable(&q->napi);
		hrtimer_cancel(&q->timer);
	}
	if (q->irq) {
		unbind_from_irqhandler(q->irq, q);
		q->irq = 0;
	}
	if (live) {
		nc2_tx_drop_all(q);
		netdev_tx_reset_queue(txq);
	}
}

/**
 * nc2_stop - end the work of all queues
 * @nd: device
 *
 * The memory stays, see nc2_queue_free(). Called by nc2_life_set() only.
 *
 * Context: process, nd->mutex.
 */
void nc2_stop(struct nc2_dev *nd)
{
	unsigned int i;

	netif_carrier_off(nd->netdev);
	for (i = 0; i < NC2_MAX_QUEUES; i++)
		nc2_queue_stop(&nd->queue[i]);
}

/* The pages that packets are copied to; the stack may still have some. */
static void nc2_queue_free_pages(struct nc2_queue *q)
{
	unsigned int i;

	for (i = 0; i < NC2_RX_PAGES; i++) {
		if (q->page[i])
			put_page(q->page[i]);
		q->page[i] = NULL;
	}
	q->page_left = 0;
}

/**
 * nc2_queue_trim - give up pages that an idle queue keeps for packets
 * @q: queue that runs
 *
 * To be called again and again: a queue is idle if it has received nothing since
 * the last call.
 *
 * Context: process, nd->mutex.
 */
void nc2_queue_trim(struct nc2_queue *q)
{
	u64 packets = READ_ONCE(q->rx_stats.packets);

	if (packets != q->trim_mark || !q->page[q->page_at]) {
		q->trim_mark = packets;
		return;
	}
	napi_disable(&q->napi);
	nc2_queue_free_pages(q);
	napi_enable(&q->napi);
	/* An event may have come meanwhile. */
	local_bh_disable();
	napi_schedule(&q->napi);
	local_bh_enable();
}

/* All that may be shared with the other end. */
static void nc2_queue_mems(struct nc2_queue *q, struct nc2_mem *mem[7])
{
	mem[0] = &q->tx_staging;
	mem[1] = &q->rx_staging;
	mem[2] = &q->slot_mem;
	mem[3] = &q->slot_refs;
	mem[4] = &q->tx_mem;
	mem[5] = &q->rx_mem;
	mem[6] = &q->control;
}

/**
 * nc2_queue_free - give up the memory of a queue
 * @q: queue that was stopped
 *
 * May be called at any time after nc2_stop(), also again.
 *
 * Context: process, nd->mutex.
 *
 * Return: number of pages that the other end still has, and that stay.
 */
unsigned int nc2_queue_free(struct nc2_queue *q)
{
	unsigned int i, held = 0;
	struct nc2_mem *mem[7];

	if (q->nd->backend)
		nc2_slots_end(q);
	nc2_queue_mems(q, mem);
	for (i = 0; i < ARRAY_SIZE(mem); i++)
		held += nc2_mem_free(mem[i]);
	nc2_queue_free_pages(q);
	kvfree(q->sent);
	q->sent = NULL;
	return held;
}

/**
 * nc2_queue_abandon - leave to the kernel what nc2_queue_free() has left
 * @q: queue that was stopped, of a device that is about to go
 *
 * Context: process, nd->mutex.
 */
void nc2_queue_abandon(struct nc2_queue *q)
{
	struct nc2_mem *mem[7];
	unsigned int i;

	nc2_queue_mems(q, mem);
	for (i = 0; i < ARRAY_SIZE(mem); i++)
		nc2_mem_abandon(mem[i]);
}

/**
 * nc2_queue_break - the other end has broken a rule
 * @q: queue
 * @why: what it did
 *
 * Nothing more is read or written; nd->state_work ends the connection.
 *
 * Context: any.
 */
void nc2_queue_break(struct nc2_queue *q, const char *why)
{
	WRITE_ONCE(q->broken, true);
	if (!cmpxchg(&q->nd->broken, NULL, why))
		nc2_netdev_poke(q->nd);
}
