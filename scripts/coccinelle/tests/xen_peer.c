// SPDX-License-Identifier: GPL-2.0
static int nc2_test(struct nc2_queue *q, struct xenbus_device *dev)
{
	int irq = bind_evtchn_to_irqhandler(q->port, nc2_event, 0, "q", q); /* bad */

	irq = bind_interdomain_evtchn_to_irqhandler(dev, 1, nc2_event, 0, "q", q); /* bad */
	irq = bind_evtchn_to_irqhandler_lateeoi(q->port, nc2_event, 0, "q", q);
	if (gnttab_end_foreign_access_ref(q->ref))
		gnttab_free_grant_reference(q->ref);
	gnttab_end_foreign_access_ref(q->ref); /* bad */
	return irq;
}
