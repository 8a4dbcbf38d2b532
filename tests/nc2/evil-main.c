// SPDX-License-Identifier: GPL-2.0
/* nc2evil: the device, and what the user asks for. See evil.h. */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "evil.h"

struct evil evil;

static char *take = "";
module_param(take, charp, 0444);
MODULE_PARM_DESC(take, "Device to take: vif-N in a guest, vif-DOMAIN-N in dom0");

static char *canary = "";
module_param(canary, charp, 0444);
MODULE_PARM_DESC(canary, "Text that must not be in shared memory, for a8-dump");

static struct dentry *evil_dir;

static const struct evil_case *const evil_cases[] = {
	evil_ring_cases, evil_packet_cases, evil_life_cases, evil_keys_cases,
	evil_slots_cases,
};

void evil_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	evil.report_len += vscnprintf(evil.report + evil.report_len,
				      EVIL_REPORT - evil.report_len, fmt, args);
	va_end(args);
}

bool evil_stop(void)
{
	return READ_ONCE(evil.gone) || signal_pending(current);
}

bool evil_peer_left(void)
{
	switch (READ_ONCE(evil.peer_state)) {
	case XenbusStateClosing:
	case XenbusStateClosed:
	case XenbusStateUnknown:
		return true;
	default:
		return false;
	}
}

bool evil_wait(bool (*done)(void), unsigned long limit)
{
	unsigned long end = jiffies + limit;
	unsigned int events;

	while (!done() && !evil_stop() && time_before(jiffies, end)) {
		events = READ_ONCE(evil.events);
		if (evil.connected && !evil.keep_cons)
			evil_consume();
		wait_event_interruptible_timeout(evil.wait,
						 done() || evil_stop() ||
						 events != READ_ONCE(evil.events),
						 HZ / 20);
	}
	return done();
}

static bool evil_never(void)
{
	return false;
}

void evil_sleep(unsigned int ms)
{
	evil_wait(evil_never, msecs_to_jiffies(ms));
}

void evil_disconnect(void)
{
	evil.connected = false;
	if (evil.back)
		evil_back_disconnect();
	else
		evil_front_disconnect();
}

int evil_connect_as(const struct evil_defect *defect)
{
	int ret;

	if (evil.control.area.size)
		evil_disconnect();
	ret = evil.back ? evil_back_connect(defect) : evil_front_connect(defect);
	if (ret) {
		evil_disconnect();
		return ret;
	}
	evil.connected = true;
	evil_hello();
	return 0;
}

int evil_connect(void)
{
	static const struct evil_defect none = { .ref = -1 };
	int ret;

	if (evil.connected && READ_ONCE(evil.peer_state) == XenbusStateConnected)
		return 0;
	ret = evil_connect_as(&none);
	if (ret) {
		evil.bad++;
		evil_say("BAD cannot connect: %d\n", ret);
	}
	return ret;
}

void evil_verdict(const char *name, enum evil_expect expect)
{
	bool alive = evil_alive(), ended, bad;
	const char *what;

	/* It reads what there is before it tells that it ends. */
	if (alive && expect != EVIL_GOES_ON)
		evil_wait(evil_peer_left, expect == EVIL_ENDS ? EVIL_PATIENCE : HZ);
	ended = evil_peer_left();
	what = ended ? "ends" : alive ? "goes on" : "is stuck";
	bad = (!ended && !alive) || (ended && expect == EVIL_GOES_ON) ||
	      (!ended && expect == EVIL_ENDS);
	if (evil_stop())
		return;
	evil.bad += bad;
	evil_say("%s %s: %s\n", bad ? "BAD" : "ok", name, what);
	/* It must be able to begin anew, whatever has happened. */
	if (ended || !alive)
		evil_disconnect();
	evil_connect();
}

/* Be an ordinary end as long as there is nothing else to do. */
static int evil_thread(void *unused)
{
	unsigned int events;

	while (!kthread_should_stop()) {
		events = READ_ONCE(evil.events);
		if (mutex_trylock(&evil.lock)) {
			if (evil.connected && evil_peer_left())
				evil_disconnect();
			if (evil.connected && !evil.keep_cons)
				evil_consume();
			mutex_unlock(&evil.lock);
		}
		wait_event_interruptible_timeout(evil.wait, kthread_should_stop() ||
						 events != READ_ONCE(evil.events),
						 HZ / 10);
	}
	return 0;
}

static int evil_probe(struct xenbus_device *xbdev, const struct xenbus_device_id *id)
{
	struct task_struct *thread;

	if (evil.xbdev || strcmp(dev_name(&xbdev->dev), take))
		return -ENODEV;
	WRITE_ONCE(evil.gone, false);
	WRITE_ONCE(evil.peer_state, xenbus_read_driver_state(xbdev->otherend));
	thread = kthread_run(evil_thread, NULL, "nc2evil");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	evil.thread = thread;
	mutex_lock(&evil.lock);
	evil.xbdev = xbdev;
	mutex_unlock(&evil.lock);
	return 0;
}

static void evil_remove(struct xenbus_device *xbdev)
{
	WRITE_ONCE(evil.gone, true);
	wake_up(&evil.wait);
	kthread_stop(evil.thread);
	mutex_lock(&evil.lock);
	evil_disconnect();
	evil.xbdev = NULL;
	mutex_unlock(&evil.lock);
}

static void evil_changed(struct xenbus_device *xbdev, enum xenbus_state state)
{
	WRITE_ONCE(evil.peer_state, state);
	wake_up(&evil.wait);
	if (evil.back && (state == XenbusStateUnknown || state == XenbusStateClosed) &&
	    !xenbus_dev_is_online(xbdev)) {
		xenbus_switch_state(xbdev, XenbusStateClosed);
		device_unregister(&xbdev->dev);
	}
}

/* Empty but while our device is attached: no other is offered to us. */
static struct xenbus_device_id evil_ids[2];

struct xenbus_driver evil_front_driver = {
	.name = "nc2evil",
	.ids = evil_ids,
	.probe = evil_probe,
	.remove = evil_remove,
	.otherend_changed = evil_changed,
	.not_essential = true,
};

struct xenbus_driver evil_back_driver = {
	.name = "nc2evil",
	.ids = evil_ids,
	.probe = evil_probe,
	.remove = evil_remove,
	.otherend_changed = evil_changed,
};

static int evil_cases_show(struct seq_file *s, void *unused)
{
	const struct evil_case *c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(evil_cases); i++)
		for (c = evil_cases[i]; c->name; c++)
			if (evil.back ? c->back : c->front)
				seq_printf(s, "%s\t%s\n", c->name, c->what);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(evil_cases);

static int evil_report_show(struct seq_file *s, void *unused)
{
	mutex_lock(&evil.lock);
	seq_write(s, evil.report, evil.report_len);
	seq_printf(s, "received %u packets and %u answers, %u events, %u bad\n",
		   evil.received, evil.finished, READ_ONCE(evil.events), evil.bad);
	mutex_unlock(&evil.lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(evil_report);

static const struct evil_case *evil_find(const char *name)
{
	const struct evil_case *c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(evil_cases); i++)
		for (c = evil_cases[i]; c->name; c++)
			if (!strcmp(c->name, name) && (evil.back ? c->back : c->front))
				return c;
	return NULL;
}

static int evil_run(const struct evil_case *c, unsigned int ms)
{
	int ret = -ENODEV;

	if (mutex_lock_interruptible(&evil.lock))
		return -EINTR;
	evil.bad = 0;
	evil.report_len = 0;
	if (evil.xbdev && !READ_ONCE(evil.gone))
		ret = evil_connect();
	if (!ret)
		ret = c->run(ms);
	if (ret)
		evil_say("BAD case %s: error %d\n", c->name, ret);
	else if (evil_stop())
		ret = -EINTR;
	else if (evil.bad)
		ret = -EPROTO;
	mutex_unlock(&evil.lock);
	return ret;
}

static ssize_t evil_run_write(struct file *file, const char __user *from, size_t len,
			      loff_t *pos)
{
	const struct evil_case *c;
	char text[64], name[48];
	unsigned int ms = 2000;
	int ret;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	if (sscanf(text, "%47s %u", name, &ms) < 1)
		return -EINVAL;
	c = evil_find(name);
	if (!c)
		return -ENOENT;
	ret = evil_run(c, ms);
	return ret ? ret : len;
}

static const struct file_operations evil_run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = evil_run_write,
	.llseek = noop_llseek,
};

static int evil_take(void)
{
	struct xenbus_driver *drv = evil.back ? &evil_back_driver : &evil_front_driver;
	struct device *dev;
	int ret;

	ret = evil.back ? xenbus_register_backend(drv) : xenbus_register_frontend(drv);
	if (ret)
		return ret;
	dev = bus_find_device_by_name(drv->driver.bus, NULL, take);
	if (!dev) {
		xenbus_unregister_driver(drv);
		return -ENODEV;
	}
	device_release_driver(dev);
	/* "vif", or what netchannel2 calls those that are for it. */
	strscpy(evil_ids[0].devicetype, to_xenbus_device(dev)->devicetype,
		sizeof(evil_ids[0].devicetype));
	ret = device_driver_attach(&drv->driver, dev);
	evil_ids[0].devicetype[0] = '\0';
	put_device(dev);
	if (ret)
		xenbus_unregister_driver(drv);
	return ret;
}

static int __init evil_init(void)
{
	int ret;

	mutex_init(&evil.lock);
	init_waitqueue_head(&evil.wait);
	evil.canary_len = strlen(canary);
	if (evil.canary_len > sizeof(evil.canary) || strncmp(take, "vif-", 4))
		return -EINVAL;
	memcpy(evil.canary, canary, evil.canary_len);
	evil.back = strchr(take + 4, '-');
	evil.report = kvmalloc(EVIL_REPORT, GFP_KERNEL);
	if (!evil.report)
		return -ENOMEM;
	ret = evil_take();
	if (ret) {
		kvfree(evil.report);
		return ret;
	}
	evil_dir = debugfs_create_dir("nc2evil", NULL);
	debugfs_create_file("cases", 0400, evil_dir, NULL, &evil_cases_fops);
	debugfs_create_file("report", 0400, evil_dir, NULL, &evil_report_fops);
	debugfs_create_file("run", 0200, evil_dir, NULL, &evil_run_fops);
	return 0;
}
module_init(evil_init);

static void __exit evil_exit(void)
{
	WRITE_ONCE(evil.gone, true);
	wake_up(&evil.wait);
	debugfs_remove(evil_dir);
	xenbus_unregister_driver(evil.back ? &evil_back_driver : &evil_front_driver);
	kvfree(evil.report);
}
module_exit(evil_exit);

MODULE_DESCRIPTION("Hostile end of a netchannel2 vif, for tests");
MODULE_LICENSE("GPL");
