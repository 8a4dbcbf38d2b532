// SPDX-License-Identifier: GPL-2.0
static void blktap_test(struct blktap_sring *sring, u32 i)
{
	struct blktap_ring_response rsp, *shared;
	u32 prod = READ_ONCE(sring->rsp_prod);

	if (sring->rsp_prod != i) /* bad */
		return;
	sring->req_prod = prod; /* bad */
	smp_store_release(&sring->req_prod, prod);
	memcpy(&rsp, &sring->ring[i % 32].rsp, sizeof(rsp));
	prod = rsp.id;
	shared = &sring->ring[i % 32].rsp;
	prod = shared->id; /* bad */
	rsp = sring->ring[i % 32].rsp; /* bad */
}
