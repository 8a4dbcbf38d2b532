// SPDX-License-Identifier: GPL-2.0
static void blktap_test(struct blktap_ring *ring, struct blktap_sring *sring)
{
	union blktap_ring_entry *entry = blktap_ring_entry(ring, 1);
	struct blktap_ring_response rsp;
	u32 prod = READ_ONCE(sring->rsp_prod);

	sring->req_event = 1;
	if (sring->rsp_prod != prod) /* bad */
		return;
	sring->req_prod = prod; /* bad */
	smp_store_release(&sring->req_prod, prod);
	memcpy(&rsp, &sring->ring[prod % 32].rsp, sizeof(rsp));
	prod = rsp.id;
	rsp = sring->ring[prod % 32].rsp; /* bad */
	prod = READ_ONCE(entry->rsp.id);
	prod = entry->rsp.id; /* bad */
	prod = smp_load_acquire(&blktap_sring(ring)->rsp_prod);
	prod = blktap_sring(ring)->rsp_prod; /* bad */
	memcpy(&blktap_ring_entry(ring, prod)->req, &rsp, sizeof(rsp));
	prod = blktap_ring_entry(ring, prod)->rsp.id; /* bad */
}

static void nc2_test(struct nc2_producer *p, struct nc2_endpoint *e)
{
	u32 x = READ_ONCE(e->prod);

	WRITE_ONCE(e->cons, x);
	x = e->cons_event; /* bad */
	e->prod_event = x; /* bad */
	x = virt_load_acquire(&p->peer->cons);
	virt_store_release(&p->own->prod, x);
	x = READ_ONCE(p->peer->prod_event);
	x = p->peer->cons; /* bad */
	p->own->prod = x; /* bad */
	x = smp_load_acquire(&p->peer->cons); /* bad */
	if (p->own)
		x = p->prod;
}
