// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: message rings.
 *
 * Design: what is shared is read once, checked, and then only the copy is
 * used; what this end publishes it never reads back. A ring that shows an
 * impossible counter or message gives -EPROTO, and nothing moves on. The other
 * end may change it to something possible afterwards, so the caller ends the
 * connection the first time.
 *
 * Lost events: who goes to sleep writes the counter at which it wants to be
 * woken, and then looks again; who moves a counter writes it, and then looks
 * whether that was asked for. With a full barrier between the two on both
 * sides at least one of them sees the other.
 */
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/barrier.h>

#include "ring.h"

/**
 * nc2_area_read - copy from an area
 * @area: area
 * @pos: where, modulo its size
 * @to: private memory
 * @len: bytes, at most the size of the area
 *
 * Context: Any.
 */
void nc2_area_read(const struct nc2_area *area, u32 pos, void *to, u32 len)
{
	while (len) {
		u32 off = pos % NC2_PAGE_SIZE;
		u32 n = min_t(u32, len, NC2_PAGE_SIZE - off);

		memcpy(to, area->page[(pos & (area->size - 1)) / NC2_PAGE_SIZE] + off, n);
		pos += n;
		to += n;
		len -= n;
	}
	/*
	 * The compiler knows what memcpy() does. Without this it may use the area
	 * in place of the copy, and read it again after the copy was checked.
	 */
	barrier();
}

/**
 * nc2_area_write - copy to an area
 * @area: area
 * @pos: where, modulo its size
 * @from: private memory
 * @len: bytes, at most the size of the area
 *
 * Context: Any.
 */
void nc2_area_write(const struct nc2_area *area, u32 pos, const void *from,
		    u32 len)
{
	while (len) {
		u32 off = pos % NC2_PAGE_SIZE;
		u32 n = min_t(u32, len, NC2_PAGE_SIZE - off);

		memcpy(area->page[(pos & (area->size - 1)) / NC2_PAGE_SIZE] + off, from, n);
		pos += n;
		from += n;
		len -= n;
	}
}

/* Has a counter that went from old to new passed the event? */
static bool nc2_passed(u32 old, u32 new, u32 event)
{
	return new - event < new - old;
}

/**
 * nc2_producer_refresh - look at what was consumed
 * @p: producer
 *
 * What was consumed may be written over afterwards.
 *
 * Context: As @p.
 * Return: 0, -EPROTO if the other end claims what cannot be.
 */
int nc2_producer_refresh(struct nc2_producer *p)
{
	/* Pairs with the first virt_mb() in nc2_consumer_publish(). */
	u32 cons = virt_load_acquire(&p->peer->cons);

	if (p->published - cons > p->published - p->cons || cons % 8)
		return -EPROTO;
	p->cons = cons;
	return 0;
}

/**
 * nc2_producer_put - write a message
 * @p: producer with nc2_producer_room()
 * @msg: message
 * @len: bytes of it, or of its first part
 * @more: second part
 * @more_len: bytes of that, 0 if there is none
 *
 * The size in the message's header is that of both, rounded up to 8. The other
 * end sees it after nc2_producer_publish().
 *
 * Context: As @p.
 */
void nc2_producer_put(struct nc2_producer *p, const void *msg, u32 len,
		      const void *more, u32 more_len)
{
	static const u8 zero[8];
	u32 left = p->area.size - (p->prod & (p->area.size - 1));
	u32 size = (len + more_len + 7) & ~7U;

	if (size > left) {
		struct nc2_msg_hdr pad = { .type = NC2_MSG_PAD, .size = left };

		nc2_area_write(&p->area, p->prod, &pad, sizeof(pad));
		p->prod += left;
	}
	nc2_area_write(&p->area, p->prod, msg, len);
	if (more_len)
		nc2_area_write(&p->area, p->prod + len, more, more_len);
	/* Nothing old is shown, though the memory is the peer's to read anyway. */
	if (size != len + more_len)
		nc2_area_write(&p->area, p->prod + len + more_len, zero,
			       size - len - more_len);
	p->prod += size;
}

/**
 * nc2_producer_publish - let the other end see what was put
 * @p: producer
 *
 * Context: As @p.
 * Return: true if the other end wants an event for it.
 */
bool nc2_producer_publish(struct nc2_producer *p)
{
	u32 old = p->published;

	if (p->prod == old)
		return false;
	/* Pairs with virt_load_acquire() in nc2_consumer_look(). */
	virt_store_release(&p->own->prod, p->prod);
	p->published = p->prod;
	/* Pairs with virt_mb() in nc2_consumer_arm(). */
	virt_mb();
	return nc2_passed(old, p->prod, READ_ONCE(p->peer->prod_event));
}

/**
 * nc2_producer_arm - ask for an event when more was consumed
 * @p: producer
 * @consumed: number of bytes from @p->cons on after which it is wanted
 *
 * Context: As @p. nc2_producer_refresh() must follow, as the other end may have
 * consumed it meanwhile, and then there is no event: who still has to wait must
 * ask again, for a later one.
 */
void nc2_producer_arm(struct nc2_producer *p, u32 consumed)
{
	WRITE_ONCE(p->own->cons_event, p->cons + consumed);
	/* Pairs with the second virt_mb() in nc2_consumer_publish(). */
	virt_mb();
}

/* See what was produced: 0, or -EPROTO if that cannot be. */
static int nc2_consumer_look(struct nc2_consumer *c)
{
	/* Pairs with virt_store_release() in nc2_producer_publish(). */
	u32 prod = virt_load_acquire(&c->peer->prod);

	if (prod - c->cons > c->area.size || prod - c->cons < c->prod - c->cons ||
	    prod % 8)
		return -EPROTO;
	c->prod = prod;
	return 0;
}

/**
 * nc2_consumer_next - get the header of the next message
 * @c: consumer
 * @hdr: filled with a copy of it
 *
 * Context: As @c.
 * Return: 1, 0 if there is none, -EPROTO if it cannot be one.
 */
int nc2_consumer_next(struct nc2_consumer *c, struct nc2_msg_hdr *hdr)
{
	u32 left;
	int ret;

	if (c->cons == c->prod) {
		ret = nc2_consumer_look(c);
		if (ret)
			return ret;
		if (c->cons == c->prod)
			return 0;
	}
	left = c->area.size - (c->cons & (c->area.size - 1));
	nc2_consumer_read(c, 0, hdr, sizeof(*hdr));
	if (hdr->size < 8 || hdr->size % 8 || hdr->size > left ||
	    hdr->size > c->prod - c->cons)
		return -EPROTO;
	return 1;
}

/**
 * nc2_consumer_publish - let the other end reuse what was consumed
 * @c: consumer
 *
 * Context: As @c.
 * Return: true if the other end wants an event for it.
 */
bool nc2_consumer_publish(struct nc2_consumer *c)
{
	u32 old = c->published;

	if (c->cons == old)
		return false;
	/* All was copied. Pairs with nc2_producer_refresh(). */
	virt_mb();
	WRITE_ONCE(c->own->cons, c->cons);
	c->published = c->cons;
	/* Pairs with virt_mb() in nc2_producer_arm(). */
	virt_mb();
	return nc2_passed(old, c->cons, READ_ONCE(c->peer->cons_event));
}

/**
 * nc2_consumer_arm - ask for an event when there is more
 * @c: consumer that has nothing left
 *
 * Context: As @c.
 * Return: 0, 1 if there is more by now and perhaps no event,
 * -EPROTO.
 */
int nc2_consumer_arm(struct nc2_consumer *c)
{
	int ret;

	WRITE_ONCE(c->own->prod_event, c->prod + 1);
	/* Pairs with virt_mb() in nc2_producer_publish(). */
	virt_mb();
	ret = nc2_consumer_look(c);
	return ret ? ret : c->prod != c->cons;
}
