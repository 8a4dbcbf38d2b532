/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netchannel2: areas of shared memory, and the message rings in them.
 *
 * Nothing here knows of Linux's network stack or of Xen, so that it can be
 * tested elsewhere.
 *
 * Locking legend:
 *
 * I: constant while the ring is in use
 * O: belongs to whoever owns the producer (the lock of the transmit queue) or
 *    the consumer (NAPI)
 */
#ifndef _NC2_RING_H
#define _NC2_RING_H

#include <linux/types.h>

#include <xen/interface/io/netchannel2.h>

/**
 * struct nc2_area - pages that are used as one piece of memory
 * @page: their addresses (I)
 * @size: bytes, a power of two, or 0 if there is none (I)
 */
struct nc2_area {
	void **page;
	u32 size;
};

void nc2_area_read(const struct nc2_area *area, u32 pos, void *to, u32 len);
void nc2_area_write(const struct nc2_area *area, u32 pos, const void *from,
		    u32 len);

/**
 * struct nc2_producer - the end of a ring that is written
 * @area: the ring (I)
 * @own: what this end publishes; only written (I)
 * @peer: what the other end publishes (I)
 * @prod: bytes produced (O)
 * @published: of them, what the other end was told of (O)
 * @cons: bytes consumed, last seen and found possible (O)
 */
struct nc2_producer {
	struct nc2_area area;
	struct nc2_endpoint *own;
	const struct nc2_endpoint *peer;
	u32 prod;
	u32 published;
	u32 cons;
};

int nc2_producer_refresh(struct nc2_producer *p);
void nc2_producer_put(struct nc2_producer *p, const void *msg, u32 len,
		      const void *more, u32 more_len);
bool nc2_producer_publish(struct nc2_producer *p);
void nc2_producer_arm(struct nc2_producer *p, u32 consumed);

/**
 * nc2_producer_room - is there room for a message, and a PAD before it?
 * @p: producer
 * @len: bytes of the message
 * @reserve: bytes that are to be left for others
 *
 * Context: As @p.
 * Return: true if there is, by what was last seen: see nc2_producer_refresh().
 */
static inline bool nc2_producer_room(const struct nc2_producer *p, u32 len, u32 reserve)
{
	return p->area.size - (p->prod - p->cons) >= 2 * len + reserve;
}

/**
 * struct nc2_consumer - the end of a ring that is read
 * @area: the ring (I)
 * @own: what this end publishes; only written (I)
 * @peer: what the other end publishes (I)
 * @cons: bytes consumed (O)
 * @published: of them, what the other end was told of (O)
 * @prod: bytes produced, last seen and found possible (O)
 */
struct nc2_consumer {
	struct nc2_area area;
	struct nc2_endpoint *own;
	const struct nc2_endpoint *peer;
	u32 cons;
	u32 published;
	u32 prod;
};

int nc2_consumer_next(struct nc2_consumer *c, struct nc2_msg_hdr *hdr);
bool nc2_consumer_publish(struct nc2_consumer *c);
int nc2_consumer_arm(struct nc2_consumer *c);

/**
 * nc2_consumer_read - copy a part of the message at hand
 * @c: consumer
 * @from: where it begins in the message
 * @to: private memory
 * @len: bytes
 *
 * Context: As @c, after nc2_consumer_next() told of a message of at least
 * @from + @len bytes.
 */
static inline void nc2_consumer_read(const struct nc2_consumer *c, u32 from,
				     void *to, u32 len)
{
	nc2_area_read(&c->area, c->cons + from, to, len);
}

/**
 * nc2_consumer_done - the message at hand is not needed any more
 * @c: consumer
 * @hdr: what nc2_consumer_next() told of it
 *
 * Context: As @c. The other end hears of it by nc2_consumer_publish().
 */
static inline void nc2_consumer_done(struct nc2_consumer *c,
				     const struct nc2_msg_hdr *hdr)
{
	c->cons += hdr->size;
}

#endif /* _NC2_RING_H */
