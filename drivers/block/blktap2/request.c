// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: life of a request between the block layer and the server.
 *
 *	queue_rq		take		own
 *   IDLE ------> PENDING ------> BUSY ------> OWNED
 *		     ^		   |  ^		 |
 *		     +-- undo -----+  +- claim --+
 *		     |		   |		      (direct mode)
 *		     |		   +--> end, or map --> MAPPED
 *		     |						|
 *		     +-- server died			mapped: end, or
 *		     |						v
 *		     +------------------------------------- RESULT
 *
 * A request that the server was given is on tap->active and in tap->slots under
 * its tag. Whoever finds it there under tap->lock may take it out of PENDING,
 * OWNED or RESULT, so each request is ended once whatever the server sends. BUSY
 * and MAPPED are left alone by all others; the thread or transfer that put the
 * request there looks at the state of the tap and at @orphan afterwards. BUSY
 * lasts as long as a piece of code that does not sleep.
 *
 * When a server dies, what it owned goes back to PENDING in the order of
 * arrival; a transfer that still goes on follows when it has ended, and if it
 * ends well and was to end the request, it does.
 *
 * The queue never times out: a request waits for its server, and how long is
 * decided by life.c.
 */
#include <linux/nospec.h>

#include "blktap.h"

/**
 * blktap_server_wake - tell the server that there is something to fetch
 * @tap: the tap
 *
 * Context: Any context.
 */
void blktap_server_wake(struct blktap *tap)
{
	wake_up_interruptible_poll(&tap->wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * blktap_request_op - operation of a request in the ABI's terms
 * @rq: the request
 *
 * Context: Any context.
 * Return: BLKTAP_OP_*, or -EOPNOTSUPP.
 */
int blktap_request_op(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return BLKTAP_OP_READ;
	case REQ_OP_WRITE:
		return BLKTAP_OP_WRITE;
	case REQ_OP_FLUSH:
		return BLKTAP_OP_FLUSH;
	case REQ_OP_DISCARD:
		return BLKTAP_OP_TRIM;
	case REQ_OP_WRITE_ZEROES:
		return BLKTAP_OP_WRITE_ZEROES;
	default:
		return -EOPNOTSUPP;
	}
}

/**
 * blktap_request_keeps - must the space under zeroed sectors stay allocated?
 * @rq: the request
 *
 * Context: Any context.
 * Return: true if it must.
 */
bool blktap_request_keeps(struct request *rq)
{
	return req_op(rq) == REQ_OP_WRITE_ZEROES &&
	       rq->cmd_flags & REQ_NOUNMAP;
}

static void blktap_request_uncharge(struct blktap_request *req)
{
	if (req->charged)
		blktap_pool_uncharge(req->tap, req->charged);
	req->charged = 0;
}

/* The lists do not know the request any more: give it back. */
static void blktap_request_finish(struct blktap_request *req,
				  blk_status_t status, bool in_task)
{
	struct request *rq = blk_mq_rq_from_pdu(req);

	blktap_request_uncharge(req);
	req->status = status;
	if (in_task)
		blk_mq_end_request(rq, status);
	else
		blk_mq_complete_request(rq);
}

/*
 * A transfer has ended. Nothing may keep the tap once its last request is out of
 * our hands: wake under the lock.
 */
static void blktap_transfer_ended(struct blktap *tap)
	__must_hold(&tap->lock)
{
	lockdep_assert_held(&tap->lock);
	if (--tap->transfers)
		return;
	wake_up_all(&tap->changed);
	if (tap->dying)
		queue_work(blktap_wq, &tap->removal);
}

static void blktap_request_forget(struct blktap_request *req)
	__must_hold(&req->tap->lock)
{
	struct request *rq = blk_mq_rq_from_pdu(req);

	lockdep_assert_held(&req->tap->lock);
	list_del_init(&req->link);
	if (req->state == BLKTAP_RQ_RESULT)
		list_del_init(&req->event);
	if (req->state == BLKTAP_RQ_MAPPED)
		blktap_transfer_ended(req->tap);
	if (req->state != BLKTAP_RQ_PENDING)
		req->tap->slots[rq->tag] = NULL;
	req->state = BLKTAP_RQ_IDLE;
}

/* Put a request back where it was in the order of arrival. */
static void blktap_request_requeue(struct blktap_request *req)
	__must_hold(&req->tap->lock)
{
	struct blktap *tap = req->tap;
	struct blktap_request *next;

	blktap_request_forget(req);
	blktap_request_uncharge(req);
	req->orphan = false;
	req->filled = false;
	req->state = BLKTAP_RQ_PENDING;
	list_for_each_entry(next, &tap->pending, link)
		if (next->seq > req->seq)
			break;
	list_add_tail(&req->link, &next->link);
}

static blk_status_t blktap_queue_rq(struct blk_mq_hw_ctx *hctx,
				    const struct blk_mq_queue_data *bd)
{
	struct blktap_request *req = blk_mq_rq_to_pdu(bd->rq);
	struct blktap *tap = hctx->queue->queuedata;
	unsigned long flags;

	if (blktap_request_op(bd->rq) < 0)
		return BLK_STS_NOTSUPP;
	/* The block layer of 6.1 only warns. */
	if (tap->info.flags & BLKTAP_DEVICE_RO && op_is_write(req_op(bd->rq)) &&
	    req_op(bd->rq) != REQ_OP_FLUSH)
		return BLK_STS_IOERR;

	blk_mq_start_request(bd->rq);
	INIT_LIST_HEAD(&req->event);
	req->tap = tap;
	req->orphan = false;
	req->filled = false;
	req->charged = 0;
	req->bvec = NULL;
	req->many = NULL;

	spin_lock_irqsave(&tap->lock, flags);
	if (blktap_failing(tap)) {
		spin_unlock_irqrestore(&tap->lock, flags);
		return BLK_STS_IOERR;
	}
	req->seq = tap->seq++;
	req->state = BLKTAP_RQ_PENDING;
	list_add_tail(&req->link, &tap->pending);
	spin_unlock_irqrestore(&tap->lock, flags);

	if (bd->last)
		blktap_server_wake(tap);
	return BLK_STS_OK;
}

static void blktap_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	blktap_server_wake(hctx->queue->queuedata);
}

static void blktap_complete_rq(struct request *rq)
{
	struct blktap_request *req = blk_mq_rq_to_pdu(rq);

	blk_mq_end_request(rq, req->status);
}

static enum blk_eh_timer_return blktap_timeout(struct request *rq)
{
	return BLK_EH_RESET_TIMER;
}

/**
 * blktap_requests_return - take all requests back from a server that has gone
 * @tap: the tap
 *
 * Context: Process context, under tap->lock. No thread is in the middle of
 *	handing a request over.
 */
void blktap_requests_return(struct blktap *tap)
{
	struct blktap_request *req, *next;

	lockdep_assert_held(&tap->lock);
	list_for_each_entry_safe(req, next, &tap->active, link) {
		if (req->state == BLKTAP_RQ_MAPPED)
			req->orphan = true;
		else if (req->state != BLKTAP_RQ_BUSY)
			blktap_request_requeue(req);
	}
}

/**
 * blktap_requests_doom - collect all requests of a tap where requests fail
 * @tap: the tap
 * @dead: list for blktap_requests_end()
 *
 * BUSY and MAPPED ones are left; they see the state of the tap when they leave
 * these states.
 *
 * Context: Process context, under tap->lock.
 */
void blktap_requests_doom(struct blktap *tap, struct list_head *dead)
{
	struct blktap_request *req, *next;

	lockdep_assert_held(&tap->lock);
	list_for_each_entry_safe(req, next, &tap->active, link) {
		if (req->state != BLKTAP_RQ_OWNED &&
		    req->state != BLKTAP_RQ_RESULT)
			continue;
		blktap_request_forget(req);
		list_add_tail(&req->link, dead);
	}
	list_for_each_entry_safe(req, next, &tap->pending, link) {
		blktap_request_forget(req);
		list_add_tail(&req->link, dead);
	}
}

/**
 * blktap_requests_end - end requests with an error
 * @dead: what blktap_requests_doom() has collected
 *
 * Context: Process context, no spinlock held.
 */
void blktap_requests_end(struct list_head *dead)
{
	struct blktap_request *req, *next;

	list_for_each_entry_safe(req, next, dead, link) {
		list_del_init(&req->link);
		blktap_request_finish(req, BLK_STS_IOERR, true);
	}
}

/* Pages of the ring that the data of a request takes. */
static unsigned int blktap_request_pages(struct request *rq)
{
	if (req_op(rq) != REQ_OP_READ && req_op(rq) != REQ_OP_WRITE)
		return 0;
	return DIV_ROUND_UP(blk_rq_bytes(rq), BLKTAP_PAGE_SIZE);
}

/**
 * blktap_request_take - take the oldest request that waits
 * @tap: the tap, whose mode says whether its page pool is charged
 *
 * It is BUSY then; the caller hands it to the server and owns it for the
 * server by blktap_request_own(), or ends it.
 *
 * Context: Process context.
 * Return: A request, or NULL if there is none, no server, or no room in the pool.
 */
struct blktap_request *blktap_request_take(struct blktap *tap)
{
	struct blktap_request *req;
	unsigned int pages = 0;
	struct request *rq;

	spin_lock_irq(&tap->lock);
	req = list_first_entry_or_null(&tap->pending, struct blktap_request,
				       link);
	if (!req || !blktap_served(tap))
		goto none;
	rq = blk_mq_rq_from_pdu(req);
	if (tap->mode->pooled)
		pages = blktap_request_pages(rq);
	if (pages && !blktap_pool_charge(tap, pages))
		goto none;
	req->charged = pages;
	req->state = BLKTAP_RQ_BUSY;
	req->result_event = false;
	tap->slots[rq->tag] = req;
	list_move_tail(&req->link, &tap->active);
	spin_unlock_irq(&tap->lock);
	return req;

none:
	spin_unlock_irq(&tap->lock);
	return NULL;
}

/**
 * blktap_result_take - take the oldest request whose transfer has ended
 * @tap: the tap
 *
 * As blktap_request_take().
 *
 * Context: Process context.
 * Return: A request, or NULL.
 */
struct blktap_request *blktap_result_take(struct blktap *tap)
{
	struct blktap_request *req;

	spin_lock_irq(&tap->lock);
	req = list_first_entry_or_null(&tap->results, struct blktap_request,
				       event);
	if (req) {
		list_del_init(&req->event);
		req->state = BLKTAP_RQ_BUSY;
		req->result_event = true;
	}
	spin_unlock_irq(&tap->lock);
	return req;
}

/**
 * blktap_request_claim - find the request that the server talks about
 * @tap: the tap
 * @tag: any number
 *
 * Context: Process context.
 * Return: The request, which is BUSY now, or NULL if the server does not own
 *	a request of that number.
 */
struct blktap_request *blktap_request_claim(struct blktap *tap, u64 tag)
{
	struct blktap_request *req;

	if (tag >= ARRAY_SIZE(tap->slots))
		return NULL;
	tag = array_index_nospec(tag, ARRAY_SIZE(tap->slots));

	spin_lock_irq(&tap->lock);
	req = tap->slots[tag];
	if (req && req->state == BLKTAP_RQ_OWNED)
		req->state = BLKTAP_RQ_BUSY;
	else
		req = NULL;
	spin_unlock_irq(&tap->lock);
	return req;
}

/**
 * blktap_request_own - the server owes an answer from now on
 * @req: a request that is BUSY, which ends here if requests are to fail
 *
 * Context: Process context.
 */
void blktap_request_own(struct blktap_request *req)
{
	struct blktap *tap = req->tap;
	bool fail;

	spin_lock_irq(&tap->lock);
	fail = blktap_failing(tap);
	if (fail)
		blktap_request_forget(req);
	else
		req->state = BLKTAP_RQ_OWNED;
	spin_unlock_irq(&tap->lock);
	if (fail)
		blktap_request_finish(req, BLK_STS_IOERR, true);
}

/**
 * blktap_request_undo - the server did not get the event after all
 * @req: a request that is BUSY since one of the functions that take, and that
 *	ends here if requests are to fail
 *
 * Context: Process context.
 */
void blktap_request_undo(struct blktap_request *req)
{
	struct blktap *tap = req->tap;
	bool fail;

	spin_lock_irq(&tap->lock);
	fail = blktap_failing(tap);
	if (fail) {
		blktap_request_forget(req);
	} else if (req->result_event) {
		req->state = BLKTAP_RQ_RESULT;
		list_add(&req->event, &tap->results);
	} else {
		blktap_request_requeue(req);
	}
	spin_unlock_irq(&tap->lock);
	if (fail)
		blktap_request_finish(req, BLK_STS_IOERR, true);
	else
		blktap_server_wake(tap);
}

/**
 * blktap_request_map - a transfer begins
 * @req: a request that is BUSY, and stays so if requests are to fail: the removal
 *	of the disk waits for no transfer that begins after it
 *
 * Context: Process context.
 * Return: false if requests are to fail.
 */
bool blktap_request_map(struct blktap_request *req)
{
	struct blktap *tap = req->tap;
	bool fail;

	spin_lock_irq(&tap->lock);
	fail = blktap_failing(tap);
	if (!fail) {
		req->state = BLKTAP_RQ_MAPPED;
		tap->transfers++;
	}
	spin_unlock_irq(&tap->lock);
	return !fail;
}

/**
 * blktap_request_mapped - a transfer has ended
 * @req: a request that is MAPPED; @req->error says how it went
 * @in_task: the context is process context without locks
 *
 * Context: Any context.
 */
void blktap_request_mapped(struct blktap_request *req, bool in_task)
{
	blk_status_t status = BLK_STS_OK;
	struct blktap *tap = req->tap;
	unsigned long flags;
	bool end = true;

	if (!req->error && req_op(blk_mq_rq_from_pdu(req)) == REQ_OP_READ)
		req->filled = true;

	spin_lock_irqsave(&tap->lock, flags);
	if (!req->error && req->map_end) {
		blktap_request_forget(req);
	} else if (blktap_failing(tap)) {
		blktap_request_forget(req);
		status = BLK_STS_IOERR;
	} else if (req->orphan) {
		blktap_request_requeue(req);
		end = false;
	} else {
		req->state = BLKTAP_RQ_RESULT;
		list_add_tail(&req->event, &tap->results);
		blktap_transfer_ended(tap);
		end = false;
	}
	/* Under the lock, as in blktap_transfer_ended(). */
	if (!end)
		blktap_server_wake(tap);
	spin_unlock_irqrestore(&tap->lock, flags);

	if (end)
		blktap_request_finish(req, status, in_task);
}

/**
 * blktap_request_end - end a request
 * @req: a request that is BUSY
 * @status: its result
 *
 * Context: Process context.
 */
void blktap_request_end(struct blktap_request *req, blk_status_t status)
{
	struct blktap *tap = req->tap;

	spin_lock_irq(&tap->lock);
	blktap_request_forget(req);
	spin_unlock_irq(&tap->lock);
	blktap_request_finish(req, status, true);
}

/**
 * blktap_requests_waiting - is there something for the server to fetch?
 * @tap: the tap
 *
 * Context: Process context.
 * Return: true if there is.
 */
bool blktap_requests_waiting(struct blktap *tap)
{
	bool waiting;

	spin_lock_irq(&tap->lock);
	waiting = tap->gone ||
		  (blktap_served(tap) && !(list_empty(&tap->pending) &&
					   list_empty(&tap->results)));
	spin_unlock_irq(&tap->lock);
	return waiting;
}

const struct blk_mq_ops blktap_mq_ops = {
	.queue_rq	= blktap_queue_rq,
	.commit_rqs	= blktap_commit_rqs,
	.complete	= blktap_complete_rq,
	.timeout	= blktap_timeout,
};
