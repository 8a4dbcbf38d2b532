// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: contents of packets by grant copies.
 *
 * A backend that could not map the frontend's staging areas, for want of memory
 * or of room in its table of mappings, uses them nevertheless: Xen copies to
 * and from them by the grant references that the frontend has given for them.
 * The frontend cannot tell the difference. It costs a hypercall for each packet.
 */
#include <linux/mm.h>
#include <linux/skbuff.h>

#include <xen/page.h>

#include <asm/xen/hypercall.h>

#include "nc2.h"

/* Copies in one hypercall. */
#define NC2_COPY_BATCH	8

/**
 * struct nc2_copy - a copy in progress
 * @mem: the other end's memory
 * @domid: the other end
 * @pos: next byte there, modulo its size
 * @write: to @mem, not from it
 * @n: number of @op
 * @op: what was not yet handed to Xen
 */
struct nc2_copy {
	const struct nc2_mem *mem;
	domid_t domid;
	u32 pos;
	bool write;
	unsigned int n;
	struct gnttab_copy op[NC2_COPY_BATCH];
};

/**
 * nc2_copy_ops - let Xen do grant copies
 * @op: copies, whose status is GNTST_general_error
 * @n: their number, may be 0
 *
 * gnttab_batch_copy() sleeps and retries if Xen has swapped a page out. Nobody
 * may sleep here, so that counts as a failure.
 *
 * Context: any.
 *
 * Return: 0, or -EIO if not all of them were done.
 */
int nc2_copy_ops(struct gnttab_copy *op, unsigned int n)
{
	unsigned int i;

	if (!n)
		return 0;
	if (HYPERVISOR_grant_table_op(GNTTABOP_copy, op, n))
		return -EIO;
	for (i = 0; i < n; i++) {
		if (op[i].status != GNTST_okay)
			return -EIO;
	}
	return 0;
}

static int nc2_copy_flush(struct nc2_copy *c)
{
	unsigned int n = c->n;

	c->n = 0;
	return nc2_copy_ops(c->op, n);
}

/* Copy to or from a piece of a page of this kernel's. */
static int nc2_copy_piece(struct nc2_copy *c, struct page *page, u32 off, u32 len)
{
	u32 pos = c->pos & (c->mem->area.size - 1);
	struct gnttab_copy *op = &c->op[c->n++];
	struct gnttab_copy_ptr local = {
		.u.gmfn = xen_page_to_gfn(page), .domid = DOMID_SELF, .offset = off,
	};
	struct gnttab_copy_ptr remote = {
		.u.ref = c->mem->refs[pos / PAGE_SIZE], .domid = c->domid,
		.offset = pos % PAGE_SIZE,
	};

	if (c->write) {
		const struct xen_page_foreign *foreign = xen_page_foreign(page);

		op->source = local;
		op->dest = remote;
		op->flags = GNTCOPY_dest_gref;
		/* Xen takes a page that is mapped from another guest by its grant only. */
		if (foreign) {
			op->source.u.ref = foreign->gref;
			op->source.domid = foreign->domid;
			op->flags |= GNTCOPY_source_gref;
		}
	} else {
		op->source = remote;
		op->dest = local;
		op->flags = GNTCOPY_source_gref;
	}
	op->len = len;
	op->status = GNTST_general_error;
	c->pos += len;
	return c->n == NC2_COPY_BATCH ? nc2_copy_flush(c) : 0;
}

/* Copy to or from pages that follow each other, splitting at pages of both sides. */
static int nc2_copy_pages(struct nc2_copy *c, struct page *page, u32 off, u32 len)
{
	int ret = 0;
	u32 n;

	while (len && !ret) {
		page += off / PAGE_SIZE;
		off %= PAGE_SIZE;
		n = min3(len, (u32)PAGE_SIZE - off, (u32)PAGE_SIZE - c->pos % (u32)PAGE_SIZE);
		ret = nc2_copy_piece(c, page, off, n);
		off += n;
		len -= n;
	}
	return ret;
}

/* It may be a list of packets, as GRO leaves it, and then calls itself. */
static int nc2_copy_all(struct nc2_copy *c, const struct sk_buff *skb)
{
	const struct sk_buff *next;
	unsigned int i;
	int ret;

	ret = nc2_copy_pages(c, virt_to_page(skb->data), offset_in_page(skb->data),
			     skb_headlen(skb));
	for (i = 0; !ret && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		ret = nc2_copy_pages(c, skb_frag_page(frag), skb_frag_off(frag),
				     skb_frag_size(frag));
	}
	skb_walk_frags(skb, next) {
		if (!ret)
			ret = nc2_copy_all(c, next);
	}
	return ret;
}

/**
 * nc2_copy_skb - copy a packet to or from the other end's memory by its grants
 * @q: queue
 * @mem: memory of the other end, from nc2_mem_refer()
 * @pos: where the packet begins there, modulo its size
 * @skb: packet, all of which is written or filled
 * @write: to @mem, not from it
 *
 * Context: softirq, or the lock of the transmit queue.
 *
 * Return: 0, or -EIO if the other end has not granted it.
 */
int nc2_copy_skb(const struct nc2_queue *q, const struct nc2_mem *mem, u32 pos,
		 const struct sk_buff *skb, bool write)
{
	struct nc2_copy c = {
		.mem = mem, .domid = q->nd->xbdev->otherend_id, .pos = pos, .write = write,
	};
	int ret = nc2_copy_all(&c, skb);

	return ret ? ret : nc2_copy_flush(&c);
}
