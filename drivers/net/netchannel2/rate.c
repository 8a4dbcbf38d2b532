// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: how much the other end may send.
 *
 * Design: one bucket of bytes for all queues of a device, filled as time goes
 * by, up to what a period or a large packet takes. A packet is received if
 * there is any credit, and then taken off whole; so credit may be negative for
 * a while, and the rate holds on average whatever the size of the packets.
 * Who has none leaves the packets in the ring, which makes the sender wait.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/spinlock.h>

#include "nc2.h"

/* At least this may come at once. */
#define NC2_RATE_BURST	(2 * NC2_MAX_PACKET_BYTES)

/**
 * nc2_rate_init - no limit
 * @rate: rate
 */
void nc2_rate_init(struct nc2_rate *rate)
{
	spin_lock_init(&rate->lock);
	rate->bytes = 0;
}

/**
 * nc2_rate_set - set the limit
 * @rate: rate
 * @bytes: bytes per @usecs, 0 for no limit; less than 2^32
 * @usecs: period, not 0; less than 2^32
 *
 * Context: any but hard interrupt.
 */
void nc2_rate_set(struct nc2_rate *rate, u64 bytes, u64 usecs)
{
	spin_lock_bh(&rate->lock);
	WRITE_ONCE(rate->bytes, bytes);
	rate->usecs = usecs;
	rate->credit = 0;
	rate->stamp = ktime_get();
	spin_unlock_bh(&rate->lock);
}

/* Add what has come in since the last time. */
static void nc2_rate_fill(struct nc2_rate *rate)
{
	u64 ns_per_period = rate->usecs * NSEC_PER_USEC;
	ktime_t now = ktime_get();
	u64 ns = ktime_to_ns(ktime_sub(now, rate->stamp));
	u64 full = max_t(u64, rate->bytes, NC2_RATE_BURST);
	u64 bytes, used;

	/* More than a second of it is full, or gives no more. */
	ns = min_t(u64, ns, 10ULL * NSEC_PER_SEC);
	bytes = mul_u64_u64_div_u64(ns, rate->bytes, ns_per_period);
	if (!bytes)
		return;
	rate->credit = min_t(s64, rate->credit + bytes, full);
	/* What is less than a byte stays to be counted. */
	used = mul_u64_u64_div_u64(bytes, ns_per_period, rate->bytes);
	rate->stamp = ktime_sub_ns(now, ns - used);
}

/**
 * nc2_rate_wait - may a packet be received now?
 * @rate: rate with a limit
 *
 * Context: softirq.
 *
 * Return: 0, or the nanoseconds after which to ask again.
 */
u64 nc2_rate_wait(struct nc2_rate *rate)
{
	u64 ns = 0;

	spin_lock(&rate->lock);
	if (rate->bytes) {
		nc2_rate_fill(rate);
		/* Until a large packet's worth is there, not for each byte. */
		if (rate->credit <= 0)
			ns = mul_u64_u64_div_u64(1 - rate->credit + ETH_DATA_LEN,
						 rate->usecs * NSEC_PER_USEC, rate->bytes);
	}
	spin_unlock(&rate->lock);
	return min_t(u64, ns, NSEC_PER_SEC);
}

/**
 * nc2_rate_take - a packet was received
 * @rate: rate
 * @len: its bytes
 *
 * Context: softirq.
 */
void nc2_rate_take(struct nc2_rate *rate, u32 len)
{
	spin_lock(&rate->lock);
	rate->credit -= len;
	spin_unlock(&rate->lock);
}
