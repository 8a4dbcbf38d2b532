// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: life of a tap, of its disk, and of its server.
 *
 * Two things are known about a tap: tap->server, how far a process has got with
 * the ring device, and tap->state, how the disk is doing. Both are changed in
 * blktap_life() and nowhere else, under tap->lock.
 *
 *   server:	NONE --open--> OPEN --enter--> READY
 *		  ^		^ |		 |
 *		  +---close-----+-+----leave-----+
 *
 *			      created
 *   NO_DISK --create--> CREATING ------> RUNNING <---create (of another server,
 *     ^ ^		   |		  |  |		     after all transfers)
 *     | +--not created----+		  |  +--server gone--> WAITING or FAILED
 *     |				remove		       |   timeout: FAILED
 *     |				  v			       |
 *     +----------deleted------------- DYING <-----remove--------------+
 *
 *   FREED follows from every state that has no server, and is the last.
 *
 * A server that goes while the disk is CREATING is missed when the disk was
 * created: it is WAITING or FAILED then.
 *
 * What takes long is done without a lock: making a disk, by the one thread that
 * brought the tap to CREATING; deleting it, by tap->removal, which begins when
 * the last transfer has ended. So a transfer that hangs keeps no other tap and
 * no worker thread busy.
 *
 * When a server dies, its requests wait in WAITING for tap->recovery_timeout
 * seconds, then tap->recovery ends them. That must work when there is no memory,
 * for what ends with them may be what holds it: it allocates nothing and runs on
 * a queue of its own that has a rescuer. Uevents need memory and a lock that
 * others hold while they allocate, so tap->announce sends them, on another queue
 * and at most one round per second, however often a server dies.
 */
#include <linux/sched/mm.h>

#include "blktap.h"

/* A tap's uevents are this far apart at least, in jiffies. */
#define BLKTAP_ANNOUNCE_GAP	HZ

static void blktap_life_announce(struct blktap *tap)
	__must_hold(&tap->lock)
{
	unsigned long at = tap->announced_at + BLKTAP_ANNOUNCE_GAP;

	lockdep_assert_held(&tap->lock);
	/* FREE_TAP has to wait for no more of this. */
	if (tap->state == BLKTAP_FREED)
		return;
	queue_delayed_work(blktap_wq, &tap->announce,
			   time_before(jiffies, at) ? at - jiffies : 0);
}

/* The disk has lost its server. */
static enum blktap_state blktap_life_orphaned(struct blktap *tap)
	__must_hold(&tap->lock)
{
	lockdep_assert_held(&tap->lock);
	tap->died_at = jiffies;
	if (!tap->recovery_timeout)
		return BLKTAP_FAILED;
	mod_delayed_work(blktap_recovery_wq, &tap->recovery,
			 tap->recovery_timeout * HZ);
	return BLKTAP_WAITING;
}

static int blktap_life_create(struct blktap *tap)
	__must_hold(&tap->lock)
{
	lockdep_assert_held(&tap->lock);
	if (tap->server != BLKTAP_SERVER_READY)
		return -EACCES;
	switch (tap->state) {
	case BLKTAP_NO_DISK:
		/* tap->removal has its last lines to do. */
		if (tap->dying)
			return -EAGAIN;
		tap->state = BLKTAP_CREATING;
		return 0;
	case BLKTAP_RUNNING:
		return -EEXIST;
	case BLKTAP_WAITING:
	case BLKTAP_FAILED:
		/* They write where the new server is going to. */
		if (tap->transfers)
			return -EAGAIN;
		tap->state = BLKTAP_RUNNING;
		return 0;
	default:
		return -EBUSY;
	}
}

static int blktap_life_remove(struct blktap *tap)
	__must_hold(&tap->lock)
{
	lockdep_assert_held(&tap->lock);
	switch (tap->state) {
	case BLKTAP_RUNNING:
	case BLKTAP_WAITING:
	case BLKTAP_FAILED:
		tap->state = BLKTAP_DYING;
		return 0;
	case BLKTAP_CREATING:
		return -EAGAIN;
	default:
		return -ENODEV;
	}
}

static int blktap_life_free(struct blktap *tap)
	__must_hold(&tap->lock)
{
	lockdep_assert_held(&tap->lock);
	if (tap->state == BLKTAP_FREED)
		return -ENODEV;
	if (tap->server != BLKTAP_SERVER_NONE)
		return -EBUSY;
	tap->state = BLKTAP_FREED;
	return 0;
}

/**
 * blktap_life - change the state of a tap, if it may
 * @tap: the tap
 * @event: what happens
 *
 * Context: Any context that @event can come from, under tap->lock.
 * Return: 0, or, when nothing has changed, -ENXIO (the tap was freed), -EBUSY
 *	(somebody else is at it), -EACCES (no server), -EEXIST (the disk has a
 *	server), -EAGAIN (wait for tap->changed and try again), -ENODEV (no disk,
 *	or no tap) or -EALREADY.
 */
int blktap_life(struct blktap *tap, enum blktap_event event)
{
	enum blktap_state was = tap->state;
	int ret = 0;

	lockdep_assert_held(&tap->lock);
	switch (event) {
	case BLKTAP_EV_OPEN:
		if (tap->state == BLKTAP_FREED)
			ret = -ENXIO;
		else if (tap->server != BLKTAP_SERVER_NONE)
			ret = -EBUSY;
		else
			tap->server = BLKTAP_SERVER_OPEN;
		break;
	case BLKTAP_EV_ENTER:
		/* What a server began that has left is not for another. */
		if (tap->server != BLKTAP_SERVER_OPEN ||
		    tap->state == BLKTAP_CREATING)
			ret = -EBUSY;
		else
			tap->server = BLKTAP_SERVER_READY;
		break;
	case BLKTAP_EV_LEAVE:
	case BLKTAP_EV_CLOSE:
		tap->server = event == BLKTAP_EV_CLOSE ? BLKTAP_SERVER_NONE :
							 BLKTAP_SERVER_OPEN;
		if (tap->state == BLKTAP_RUNNING)
			tap->state = blktap_life_orphaned(tap);
		break;
	case BLKTAP_EV_CREATE:
		ret = blktap_life_create(tap);
		break;
	case BLKTAP_EV_CREATED:
		tap->state = BLKTAP_RUNNING;
		if (tap->server != BLKTAP_SERVER_READY)
			tap->state = blktap_life_orphaned(tap);
		break;
	case BLKTAP_EV_NOT_CREATED:
		tap->state = BLKTAP_NO_DISK;
		break;
	case BLKTAP_EV_TIMEOUT:
		if (tap->state == BLKTAP_WAITING)
			tap->state = BLKTAP_FAILED;
		else
			ret = -EALREADY;
		break;
	case BLKTAP_EV_REMOVE:
		ret = blktap_life_remove(tap);
		break;
	case BLKTAP_EV_DELETED:
		if (tap->state == BLKTAP_DYING)
			tap->state = BLKTAP_NO_DISK;
		break;
	case BLKTAP_EV_FREE:
		ret = blktap_life_free(tap);
		break;
	}
	if (ret)
		return ret;

	if (tap->state != was && (tap->state == BLKTAP_WAITING ||
				  tap->state == BLKTAP_FAILED)) {
		tap->tell_state = true;
		blktap_life_announce(tap);
	}
	/* Neither a server nor a disk holds on to the mode any more. */
	if (tap->server != BLKTAP_SERVER_READY &&
	    (tap->state == BLKTAP_NO_DISK || tap->state >= BLKTAP_DYING))
		WRITE_ONCE(tap->mode, NULL);
	wake_up_all(&tap->changed);
	return 0;
}

/**
 * blktap_life_enter - the server chooses its mode
 * @tap: the tap
 * @mode: the mode
 * @mm: the only process that may speak for the server, or NULL
 *
 * Context: Process context, under tap->lock.
 * Return: 0, or -EBUSY (a mode was entered by this server, or the disk is used in
 *	another).
 */
int blktap_life_enter(struct blktap *tap, const struct blktap_mode *mode,
		      struct mm_struct *mm)
{
	int ret;

	lockdep_assert_held(&tap->lock);
	if (tap->mode && tap->mode != mode)
		return -EBUSY;
	ret = blktap_life(tap, BLKTAP_EV_ENTER);
	if (ret)
		return ret;
	WRITE_ONCE(tap->mode, mode);
	tap->mm = mm;
	tap->gone = false;
	return 0;
}

/**
 * blktap_life_leave - the server has gone
 * @tap: the tap
 * @event: BLKTAP_EV_LEAVE or BLKTAP_EV_CLOSE
 *
 * Context: Process context. No thread is in the middle of an ioctl of that
 *	server that handles requests, and none begins one.
 */
void blktap_life_leave(struct blktap *tap, enum blktap_event event)
{
	struct pid *task = NULL;
	LIST_HEAD(dead);

	spin_lock_irq(&tap->lock);
	blktap_requests_return(tap);
	tap->mm = NULL;
	blktap_life(tap, event);
	if (event == BLKTAP_EV_CLOSE)
		swap(task, tap->task);
	if (blktap_failing(tap))
		blktap_requests_doom(tap, &dead);
	spin_unlock_irq(&tap->lock);
	blktap_requests_end(&dead);
	put_pid(task);
}

/**
 * blktap_life_mine - may this process speak for the server?
 * @tap: the tap, whose ring device it has open
 *
 * Context: Process context, under tap->lock.
 * Return: true if it may.
 */
bool blktap_life_mine(struct blktap *tap)
{
	lockdep_assert_held(&tap->lock);
	return tap->server == BLKTAP_SERVER_READY &&
	       (!tap->mm || tap->mm == current->mm);
}

/**
 * blktap_life_gone - does the server have to be told that its disk was deleted?
 * @tap: the tap
 *
 * Context: Process context. Takes and releases tap->lock.
 * Return: true once for each deletion.
 */
bool blktap_life_gone(struct blktap *tap)
{
	bool gone;

	spin_lock_irq(&tap->lock);
	gone = tap->gone;
	tap->gone = false;
	spin_unlock_irq(&tap->lock);
	return gone;
}

/* Gives the missing server up, when its time is over. */
static void blktap_life_recovery(struct work_struct *work)
{
	struct blktap *tap = container_of(to_delayed_work(work), struct blktap,
					  recovery);
	unsigned long deadline;
	LIST_HEAD(dead);

	spin_lock_irq(&tap->lock);
	deadline = tap->died_at + tap->recovery_timeout * HZ;
	if (tap->state == BLKTAP_WAITING && time_before(jiffies, deadline))
		queue_delayed_work(blktap_recovery_wq, &tap->recovery,
				   deadline - jiffies);
	else if (!blktap_life(tap, BLKTAP_EV_TIMEOUT))
		blktap_requests_doom(tap, &dead);
	spin_unlock_irq(&tap->lock);
	blktap_requests_end(&dead);
}

/**
 * blktap_life_timeout - set how long I/O waits for a new server
 * @tap: the tap
 * @seconds: 0..BLKTAP_TIMEOUT_MAX; counts from the death of the last server
 *
 * Context: Process context. Takes and releases tap->lock.
 */
void blktap_life_timeout(struct blktap *tap, unsigned int seconds)
{
	spin_lock_irq(&tap->lock);
	WRITE_ONCE(tap->recovery_timeout, seconds);
	if (tap->state == BLKTAP_WAITING)
		mod_delayed_work(blktap_recovery_wq, &tap->recovery, 0);
	spin_unlock_irq(&tap->lock);
}

/**
 * blktap_life_grown - the disk has become larger: tell user space
 * @tap: the tap
 *
 * Context: Process context, under tap->lock.
 */
void blktap_life_grown(struct blktap *tap)
{
	lockdep_assert_held(&tap->lock);
	tap->tell_size = true;
	blktap_life_announce(tap);
}

static void blktap_life_uevent(struct kobject *kobj, char *env)
{
	char *envp[2] = { env, NULL };

	kobject_uevent_env(kobj, KOBJ_CHANGE, envp);
}

/* Tells user space what is new, in uevents and in the log. */
static void blktap_life_announcement(struct work_struct *work)
{
	struct blktap *tap = container_of(to_delayed_work(work), struct blktap,
					  announce);
	enum blktap_state state = BLKTAP_NO_DISK;
	struct gendisk *disk = NULL;
	unsigned int timeout, noio;

	spin_lock_irq(&tap->lock);
	tap->announced_at = jiffies;
	if (tap->tell_state)
		state = tap->state;
	tap->tell_state = false;
	if (tap->tell_size)
		disk = tap->disk;
	if (disk)
		get_device(disk_to_dev(disk));
	tap->tell_size = false;
	timeout = tap->recovery_timeout;
	spin_unlock_irq(&tap->lock);

	/* Memory must not be reclaimed by writing to a disk without a server. */
	noio = memalloc_noio_save();
	if (disk) {
		blktap_life_uevent(&disk_to_dev(disk)->kobj, "RESIZE=1");
		put_device(disk_to_dev(disk));
	}
	if (state == BLKTAP_WAITING) {
		dev_warn(&tap->dev, "server died: I/O waits %u s for another\n",
			 timeout);
		blktap_life_uevent(&tap->dev.kobj, "BLKTAP_STATE=waiting");
	} else if (state == BLKTAP_FAILED) {
		dev_warn(&tap->dev, "no server came in %u s: I/O fails\n",
			 timeout);
		blktap_life_uevent(&tap->dev.kobj, "BLKTAP_STATE=failed");
	}
	memalloc_noio_restore(noio);
}

/**
 * blktap_life_init - bring a new tap to life
 * @tap: new tap
 *
 * Context: Any context.
 */
void blktap_life_init(struct blktap *tap)
{
	init_waitqueue_head(&tap->changed);
	INIT_DELAYED_WORK(&tap->recovery, blktap_life_recovery);
	INIT_DELAYED_WORK(&tap->announce, blktap_life_announcement);
	tap->announced_at = jiffies - BLKTAP_ANNOUNCE_GAP;
	tap->recovery_timeout = READ_ONCE(blktap_recovery_timeout);
}
