// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: direct mode, the commands and events of the server.
 *
 * No memory is shared. XFER takes commands, each for a request that the server
 * owns, and hands out events: results of transfers before new requests, both in
 * order. Several threads may call it at a time; blktap_request_claim() and the
 * functions that take let only one have a request.
 *
 * An event counts as handed out when all of the call has been copied out. Until
 * then its request is BUSY and no command finds it; if a copy fails, all events
 * of the call go back to where they came from.
 *
 * The memory of a server may be anything: a userfaultfd of a process that does
 * not answer, a page on a disk that waits for this server. So requests are BUSY
 * only while memory is accessed with page faults disabled. If that fails, they
 * are let go, the memory is faulted in, and all is done again.
 */
#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/kdev_t.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "blktap.h"

/* Events copied out at a time; they are on the stack. */
#define BLKTAP_EVENT_BATCH	8

static_assert(sizeof(struct blktap_direct_setup) == 32);
static_assert(sizeof(struct blktap_direct_event) == 24);
static_assert(sizeof(struct blktap_direct_extent) == 16);
static_assert(sizeof(struct blktap_direct_cmd) == 24);
static_assert(sizeof(struct blktap_direct_xfer) == 32);

static bool blktap_direct_ready(struct blktap *tap)
{
	return READ_ONCE(tap->server) == BLKTAP_SERVER_READY &&
	       READ_ONCE(tap->mode) == &blktap_direct_mode;
}

static __poll_t blktap_direct_poll(struct blktap *tap, struct file *file,
				   poll_table *wait)
{
	poll_wait(file, &tap->wait, wait);
	if (!blktap_direct_ready(tap) || !blktap_requests_waiting(tap))
		return 0;
	return EPOLLIN | EPOLLRDNORM;
}

/* Nothing counts segments; each is a sector at least. */
static unsigned int blktap_direct_limits(struct blktap *tap,
					 struct queue_limits *lim)
{
	lim->max_hw_sectors = tap->direct.max_io >> SECTOR_SHIFT;
	lim->max_segments = lim->max_hw_sectors;
	lim->max_segment_size = UINT_MAX;
	return tap->direct.depth;
}

/* Direct mode. */
const struct blktap_mode blktap_direct_mode = {
	.name		= "direct",
	.flags		= BLKTAP_DEVICE_RO | BLKTAP_DEVICE_PSZ |
			  BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM |
			  BLKTAP_DEVICE_TRIM_RZ | BLKTAP_DEVICE_FUA |
			  BLKTAP_DEVICE_WRITE_ZEROES | BLKTAP_DEVICE_NOUNMAP,
	.limits		= blktap_direct_limits,
	.poll		= blktap_direct_poll,
};

/**
 * blktap_direct_setup - enter direct mode
 * @tap: the tap
 * @arg: parameters
 *
 * Context: Process context. Takes and releases tap->lock.
 * Return: 0, -EINVAL (a parameter out of range), -EBUSY (in ring mode, or done
 *	before by this server) or -EFAULT.
 */
int blktap_direct_setup(struct blktap *tap,
			struct blktap_direct_setup __user *arg)
{
	struct blktap_direct *direct = &tap->direct;
	struct blktap_direct_setup setup;
	bool fresh;
	int ret;

	if (copy_from_user(&setup, arg, sizeof(setup)))
		return -EFAULT;
	if (!setup.version || setup.flags || !setup.depth ||
	    setup.max_io < PAGE_SIZE ||
	    memchr_inv(setup.reserved, 0, sizeof(setup.reserved)))
		return -EINVAL;

	/* Fail now if the answer cannot be told. */
	if (copy_to_user(arg, &setup, sizeof(setup)))
		return -EFAULT;

	spin_lock_irq(&tap->lock);
	fresh = !tap->mode;
	ret = blktap_life_enter(tap, &blktap_direct_mode, NULL);
	if (!ret && fresh) {
		direct->depth = min_t(u32, setup.depth,
				      BLKTAP_DIRECT_DEPTH_MAX);
		direct->max_io = round_down(min_t(u32, setup.max_io,
						  BLKTAP_DIRECT_IO_MAX),
					    PAGE_SIZE);
	}
	setup.version = BLKTAP_DIRECT_VERSION;
	setup.depth = direct->depth;
	setup.max_io = direct->max_io;
	spin_unlock_irq(&tap->lock);
	if (ret)
		return ret;
	return copy_to_user(arg, &setup, sizeof(setup)) ? -EFAULT : 0;
}

/* What can be read and written at any offset, and does not lead back here? */
static int blktap_direct_file_check(struct blktap *tap, struct file *file)
{
	struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return -EINVAL;
	if (S_ISBLK(inode->i_mode) &&
	    inode->i_rdev == MKDEV(blktap_bdev_major, tap->minor))
		return -EINVAL;
	if (file->f_flags & O_APPEND)
		return -EINVAL;
	if (!file->f_op->read_iter && !file->f_op->write_iter)
		return -EINVAL;
	return 0;
}

static struct file *blktap_direct_file_set(struct blktap *tap,
					   unsigned int index,
					   struct file *file)
{
	struct blktap_direct *direct = &tap->direct;
	struct file *old;

	spin_lock(&direct->files_lock);
	old = direct->files[index];
	direct->files[index] = file;
	spin_unlock(&direct->files_lock);
	return old;
}

/**
 * blktap_direct_file - give the file of an index, or forget it
 * @tap: the tap
 * @arg: index and descriptor
 *
 * Context: Process context. Takes and releases tap->direct.files_lock.
 * Return: 0, -EINVAL (index out of range, not a file that can be served from,
 *	or not in direct mode), -EBADF or -EFAULT.
 */
int blktap_direct_file(struct blktap *tap,
		       const struct blktap_direct_file __user *arg)
{
	struct blktap_direct_file param;
	struct file *file = NULL;
	int ret;

	if (!blktap_direct_ready(tap))
		return -EINVAL;
	if (copy_from_user(&param, arg, sizeof(param)))
		return -EFAULT;
	if (param.index >= BLKTAP_DIRECT_FILES_MAX || param.fd < -1)
		return -EINVAL;

	if (param.fd >= 0) {
		file = fget(param.fd);
		if (!file)
			return -EBADF;
		ret = blktap_direct_file_check(tap, file);
		if (ret) {
			fput(file);
			return ret;
		}
	}
	file = blktap_direct_file_set(tap, param.index, file);
	if (file)
		fput(file);
	return 0;
}

/**
 * blktap_direct_file_get - find the file of an index
 * @tap: the tap
 * @index: any number
 *
 * Context: Process context. Takes and releases tap->direct.files_lock.
 * Return: The file with a reference, or NULL.
 */
struct file *blktap_direct_file_get(struct blktap *tap, unsigned int index)
{
	struct blktap_direct *direct = &tap->direct;
	struct file *file;

	if (index >= BLKTAP_DIRECT_FILES_MAX)
		return NULL;
	spin_lock(&direct->files_lock);
	file = direct->files[index];
	if (file)
		get_file(file);
	spin_unlock(&direct->files_lock);
	return file;
}

static int blktap_direct_end(struct blktap_request *req,
			     const struct blktap_direct_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(req);

	if (cmd->flags || cmd->nr_extents || cmd->extents ||
	    cmd->result > 0 || cmd->result < -MAX_ERRNO)
		return -EINVAL;
	/* The pages of a READ hold whatever they held before. */
	if (!cmd->result && req_op(rq) == REQ_OP_READ && !req->filled)
		return -EINVAL;
	blktap_request_end(req, errno_to_blk_status(cmd->result));
	return 0;
}

static int blktap_direct_cmd(struct blktap *tap,
			     const struct blktap_direct_cmd *cmd)
{
	struct blktap_request *req;
	int ret;

	if (cmd->reserved)
		return -EINVAL;
	if (cmd->op == BLKTAP_CMD_MAP)
		return blktap_direct_map(tap, cmd);
	req = blktap_request_claim(tap, cmd->tag);
	if (!req)
		return -ESRCH;
	ret = -EINVAL;
	if (cmd->op == BLKTAP_CMD_END)
		ret = blktap_direct_end(req, cmd);
	if (ret)
		blktap_request_own(req);
	return ret;
}

/*
 * Carry out the commands. Memory must not be reclaimed by writing to the disk
 * that waits for them, nor may its writes be throttled by its own dirty pages.
 */
static int blktap_direct_cmds(struct blktap *tap, struct blktap_direct_xfer *x)
{
	struct blktap_direct_cmd __user *cmds = u64_to_user_ptr(x->cmds);
	unsigned int throttle = current->flags & PF_LOCAL_THROTTLE;
	struct blktap_direct_cmd cmd;
	u32 nr = x->nr_cmds;
	struct blk_plug plug;
	unsigned int noio;
	int ret = 0;
	u32 i;

	noio = memalloc_noio_save();
	current->flags |= PF_LOCAL_THROTTLE;
	blk_start_plug(&plug);
	for (i = 0; i < nr; i++) {
		if (copy_from_user(&cmd, &cmds[i], sizeof(cmd))) {
			ret = -EFAULT;
			break;
		}
		ret = blktap_direct_cmd(tap, &cmd);
		if (ret)
			break;
		cond_resched();
	}
	x->nr_cmds = i;
	blk_finish_plug(&plug);
	if (!throttle)
		current->flags &= ~PF_LOCAL_THROTTLE;
	memalloc_noio_restore(noio);
	return ret;
}

static void blktap_direct_event(struct blktap_request *req,
				struct blktap_direct_event *event)
{
	struct request *rq = blk_mq_rq_from_pdu(req);

	memset(event, 0, sizeof(*event));
	event->tag = rq->tag;
	event->op = blktap_request_op(rq);
	if (op_is_write(req_op(rq)) && rq->cmd_flags & REQ_FUA)
		event->flags |= BLKTAP_REQ_FUA;
	if (blktap_request_keeps(rq))
		event->flags |= BLKTAP_REQ_NOUNMAP;
	if (req_op(rq) != REQ_OP_FLUSH) {
		event->sector = blk_rq_pos(rq);
		event->nr_sectors = blk_rq_sectors(rq);
	}
	if (req->result_event) {
		event->type = BLKTAP_EVENT_MAPPED;
		event->result = req->error;
	} else {
		event->type = BLKTAP_EVENT_REQUEST;
	}
}

/* Take the next request for the server, in the order of the events. */
static struct blktap_request *blktap_direct_next(struct blktap *tap)
{
	struct blktap_request *req = blktap_result_take(tap);
	bool keep;

	while (!req) {
		req = blktap_request_take(tap);
		if (!req)
			break;
		keep = READ_ONCE(tap->info.flags) & BLKTAP_DEVICE_NOUNMAP;
		if (keep || !blktap_request_keeps(blk_mq_rq_from_pdu(req)))
			break;
		/* The block layer writes the zeros, then. */
		blktap_request_end(req, BLK_STS_NOTSUPP);
		req = NULL;
	}
	return req;
}

/**
 * struct blktap_handout - events on their way to the server
 * @given: requests of the events
 * @nr: events
 * @gone: one of them, the last, is GONE
 */
struct blktap_handout {
	struct list_head	given;
	u32			nr;
	bool			gone;
};

/* Fill @batch; returns the number of events, 0 when there are no more. */
static u32 blktap_direct_batch(struct blktap *tap, struct blktap_handout *out,
			       struct blktap_direct_event *batch, u32 max)
{
	struct blktap_request *req;
	u32 n;

	for (n = 0; n < max && !out->gone; n++) {
		req = blktap_direct_next(tap);
		if (req) {
			list_add_tail(&req->event, &out->given);
			blktap_direct_event(req, &batch[n]);
			continue;
		}
		out->gone = blktap_life_gone(tap);
		if (!out->gone)
			break;
		memset(&batch[n], 0, sizeof(*batch));
		batch[n].type = BLKTAP_EVENT_GONE;
	}
	return n;
}

/* All that is needed of the memory at @to and @arg is there, or it is a fault. */
static int blktap_direct_try_events(struct blktap *tap,
				    struct blktap_direct_xfer x,
				    struct blktap_direct_xfer __user *arg,
				    struct blktap_handout *out)
{
	struct blktap_direct_event __user *to = u64_to_user_ptr(x.events);
	struct blktap_direct_event batch[BLKTAP_EVENT_BATCH];
	u32 max = x.max_events;
	u32 n;

	for (;;) {
		n = blktap_direct_batch(tap, out, batch,
					min_t(u32, max - out->nr,
					      ARRAY_SIZE(batch)));
		if (!n)
			break;
		out->nr += n;
		if (__copy_to_user_inatomic(to + out->nr - n, batch,
					    n * sizeof(*batch)))
			return -EFAULT;
	}
	x.max_events = out->nr;
	x.transfers = READ_ONCE(tap->transfers);
	return __copy_to_user_inatomic(arg, &x, sizeof(x)) ? -EFAULT : 0;
}

/* Own what was handed out, or put all of it back. */
static void blktap_direct_settle(struct blktap *tap,
				 struct blktap_handout *out, bool own)
{
	struct blktap_request *req, *next;

	/* Backwards, as each goes to the front of its list. */
	list_for_each_entry_safe_reverse(req, next, &out->given, event) {
		list_del_init(&req->event);
		if (own)
			blktap_request_own(req);
		else
			blktap_request_undo(req);
	}
	if (out->gone && !own) {
		spin_lock_irq(&tap->lock);
		tap->gone = true;
		spin_unlock_irq(&tap->lock);
	}
}

/* Copy events and the result of the call out. */
static int blktap_direct_events(struct blktap *tap,
				const struct blktap_direct_xfer *x,
				struct blktap_direct_xfer __user *arg)
{
	struct blktap_direct_event __user *to = u64_to_user_ptr(x->events);
	struct blktap_handout out;
	int ret;

	if (!access_ok(arg, sizeof(*arg)) ||
	    (x->max_events && !access_ok(to, sizeof(*to) * (u64)x->max_events)))
		return -EFAULT;
	for (;;) {
		INIT_LIST_HEAD(&out.given);
		out.nr = 0;
		out.gone = false;
		pagefault_disable();
		ret = blktap_direct_try_events(tap, *x, arg, &out);
		pagefault_enable();
		blktap_direct_settle(tap, &out, !ret);
		if (!ret)
			return 0;
		if (fault_in_safe_writeable((char __user *)to,
					    out.nr * sizeof(*to)) ||
		    fault_in_safe_writeable((char __user *)arg, sizeof(*arg)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/**
 * blktap_direct_xfer - take commands, hand out events
 * @tap: the tap
 * @arg: what and how many
 *
 * Context: Process context.
 * Return: 0, -EINVAL, -ESRCH, -EBADF, -ENOMEM, -EFAULT or, if killed, -EINTR.
 */
int blktap_direct_xfer(struct blktap *tap,
		       struct blktap_direct_xfer __user *arg)
{
	struct blktap_direct_xfer x;
	int ret;

	if (!blktap_direct_ready(tap))
		return -EINVAL;
	if (copy_from_user(&x, arg, sizeof(x)))
		return -EFAULT;
	if (x.reserved || x.transfers)
		return -EINVAL;

	ret = blktap_direct_cmds(tap, &x);
	if (!ret)
		ret = blktap_direct_events(tap, &x, arg);
	if (ret) {
		x.max_events = 0;
		x.transfers = READ_ONCE(tap->transfers);
		if (copy_to_user(arg, &x, sizeof(x)))
			ret = -EFAULT;
	}
	return ret;
}

/**
 * blktap_direct_resize - the server has made its disk larger
 * @tap: the tap
 * @arg: new size in 512-byte sectors
 *
 * Context: Process context. Takes and releases tap->size_lock.
 * Return: 0, -EINVAL (not in direct mode, a size that cannot be, or less than
 *	the disk has), -ENODEV (this server serves no disk) or -EFAULT.
 */
int blktap_direct_resize(struct blktap *tap, const u64 __user *arg)
{
	u64 capacity;
	int ret;

	if (!blktap_direct_ready(tap))
		return -EINVAL;
	if (copy_from_user(&capacity, arg, sizeof(capacity)))
		return -EFAULT;
	ret = blktap_disk_resize(tap, capacity);
	blktap_info(tap, "disk grows to %llu sectors: %d\n", capacity, ret);
	return ret;
}

/**
 * blktap_direct_release - forget all files, as the server has gone
 * @tap: the tap
 *
 * Context: Process context. Takes and releases tap->direct.files_lock.
 */
void blktap_direct_release(struct blktap *tap)
{
	struct file *file;
	unsigned int i;

	for (i = 0; i < BLKTAP_DIRECT_FILES_MAX; i++) {
		file = blktap_direct_file_set(tap, i, NULL);
		if (file)
			fput(file);
	}
}

/**
 * blktap_direct_init - make a tap ready for direct mode
 * @tap: new tap
 *
 * Context: Any context.
 */
void blktap_direct_init(struct blktap *tap)
{
	spin_lock_init(&tap->direct.files_lock);
}
