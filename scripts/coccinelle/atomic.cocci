// SPDX-License-Identifier: GPL-2.0
/// What may sleep is not called under a spinlock, and what may fault on user
/// memory is not called there either. (call_kern.cocci knows allocations.)
// Confidence: Moderate

virtual report

@r exists@
expression l;
identifier lock = {spin_lock, spin_lock_irq, spin_lock_bh};
identifier unlock = {spin_unlock, spin_unlock_irq, spin_unlock_bh};
identifier sleeper = {copy_from_user, copy_to_user, get_user, put_user,
	memdup_user, mutex_lock, wait_event, wait_event_killable,
	wait_event_interruptible, wait_for_completion, cancel_work_sync,
	cancel_delayed_work_sync, flush_work, flush_workqueue, fput,
	vm_insert_page, vm_insert_pages, add_disk, del_gendisk, put_disk,
	blk_mq_freeze_queue, set_capacity_and_notify, device_destroy,
	rtnl_lock, napi_disable, synchronize_net, synchronize_rcu,
	register_netdev, unregister_netdev, dev_close, unbind_from_irqhandler,
	gnttab_unmap_refs_sync, xenbus_switch_state, xenbus_dev_fatal,
	xenbus_printf, xenbus_scanf, xenbus_read, xenbus_gather};
position p;
@@
 lock(l)
 ... when != unlock(l)
 sleeper@p(...)

@script:python depends on report@
p << r.p;
f << r.sleeper;
@@
coccilib.report.print_report(p[0], "%s() under a spinlock" % f)
