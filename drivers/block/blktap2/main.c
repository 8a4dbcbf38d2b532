// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: block devices served by a user space process.
 *
 *	control.c	control device, life of a tap
 *	life.c		states of a tap, death of a server
 *	server.c	ring device
 *	ring.c		ring mode
 *	direct.c	direct mode: commands and events
 *	direct_io.c	direct mode: transfers
 *	request.c	life of a request
 *	device.c	the disk
 *	pool.c		page pools
 *	sysfs.c		attributes
 *
 * See Documentation/block/blktap2.rst.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

#include "blktap.h"

/* How much is logged: 1 what goes wrong, 2 what servers do. */
int blktap_verbosity = 1;

/* Block major of the disks. */
int blktap_bdev_major;

/* Gives up servers that do not come; its work never sleeps. */
struct workqueue_struct *blktap_recovery_wq;

/* Deletes disks and sends uevents. */
struct workqueue_struct *blktap_wq;

/* What new taps start with. */
unsigned int blktap_recovery_timeout = 120;

static int blktap_timeout_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, BLKTAP_TIMEOUT_MAX);
}

static const struct kernel_param_ops blktap_timeout_ops = {
	.set = blktap_timeout_set,
	.get = param_get_uint,
};

module_param_cb(recovery_timeout, &blktap_timeout_ops,
		&blktap_recovery_timeout, 0644);
MODULE_PARM_DESC(recovery_timeout,
		 "seconds that I/O waits for a new server when one has died (0: fails at once; default 120)");

static int __init blktap_init(void)
{
	int ret;

	/* What waits for a disk may be what has to free memory. */
	blktap_recovery_wq = alloc_workqueue("blktap2_recovery",
					     WQ_MEM_RECLAIM, 0);
	if (!blktap_recovery_wq)
		return -ENOMEM;
	blktap_wq = alloc_workqueue("blktap2", WQ_UNBOUND, 0);
	if (!blktap_wq) {
		ret = -ENOMEM;
		goto err_recovery;
	}
	ret = register_blkdev(0, "tapdev");
	if (ret < 0)
		goto err_workqueue;
	blktap_bdev_major = ret;
	ret = blktap_server_init();
	if (ret)
		goto err_blkdev;
	ret = class_register(&blktap_class);
	if (ret)
		goto err_server;
	ret = blktap_control_init();
	if (ret)
		goto err_class;
	ret = blktap_pools_init();
	if (ret)
		goto err_control;
	return 0;

err_control:
	blktap_control_exit();
err_class:
	class_unregister(&blktap_class);
err_server:
	blktap_server_exit();
err_blkdev:
	unregister_blkdev(blktap_bdev_major, "tapdev");
err_workqueue:
	destroy_workqueue(blktap_wq);
err_recovery:
	destroy_workqueue(blktap_recovery_wq);
	return ret;
}

static void __exit blktap_exit(void)
{
	/*
	 * No taps are left, but who dropped the last, and with it the last
	 * reference to the module, may still be on the way out of its code: work,
	 * whose end is waited for first, or any task.
	 */
	destroy_workqueue(blktap_wq);
	destroy_workqueue(blktap_recovery_wq);
	synchronize_rcu_tasks();
	blktap_pools_exit();
	blktap_control_exit();
	class_unregister(&blktap_class);
	blktap_server_exit();
	unregister_blkdev(blktap_bdev_major, "tapdev");
}

module_init(blktap_init);
module_exit(blktap_exit);
MODULE_DESCRIPTION("Block devices served by a user space process");
MODULE_LICENSE("GPL");
MODULE_ALIAS("blktap");
