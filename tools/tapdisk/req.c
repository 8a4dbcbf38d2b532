// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: from the kernel to the driver and back.
 *
 * Commands of drivers are collected and go to the kernel with the XFER that
 * also fetches the next events, so that a busy disk costs one system call for
 * a whole batch.
 *
 * A MAP command that ends its request gives no event when it succeeds. When
 * the image must be left alone, the core therefore asks XFER how many
 * transfers go on. If that was none and the next XFER has no event of a failed
 * one either, nothing is in flight: every event of a transfer is there to be
 * fetched before the transfer stops to count.
 *
 * Errors. What may pass by itself (a lost path, a soft NFS mount, a full file
 * system) is tried again until the request timeout is over; meanwhile all
 * other requests go on. A failed sync is never tried again: the kernel tells
 * of lost pages once, so the next sync would succeed without them. From then
 * on no FLUSH and no FUA write succeeds until the disk is closed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "td_log.h"
#include "vbd.h"

#define TD_VBD_ROUNDS		8
#define TD_VBD_RETRY_MS		1000
#define TD_VBD_DRAIN_MS		5
#define TD_VBD_MESSAGES		10

static const char *const td_op_names[] = {
	[BLKTAP_OP_READ] = "read",
	[BLKTAP_OP_WRITE] = "write",
	[BLKTAP_OP_FLUSH] = "flush",
	[BLKTAP_OP_TRIM] = "trim",
	[BLKTAP_OP_WRITE_ZEROES] = "write zeroes",
};

void td_vreq_list_init(struct td_vreq_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void td_vreq_list_add(struct td_vreq_list *list, struct td_vreq *r)
{
	r->state = TD_VREQ_LISTED;
	r->next = NULL;
	*list->tail = r;
	list->tail = &r->next;
}

/* Take all requests of a list. */
static struct td_vreq *td_vreq_list_take(struct td_vreq_list *list)
{
	struct td_vreq *r = list->head;

	td_vreq_list_init(list);
	return r;
}

static void td_vreq_to_driver(struct td_vbd *v, struct td_vreq *r)
{
	r->state = TD_VREQ_DRIVER;
	v->in_driver++;
}

/* The driver gives a request away. Its not having it is a bug in it. */
static struct td_vreq *td_vreq_from_driver(struct td_req *req)
{
	struct td_vreq *r = td_container(req, struct td_vreq, req);

	if (r->state != TD_VREQ_DRIVER) {
		td_err("tap %d: the driver used request %u, which it does not have",
		       req->vbd->minor, r->tag);
		abort();
	}
	req->vbd->in_driver--;
	return r;
}

static struct blktap_direct_cmd *td_vbd_cmd(struct td_vbd *v,
					    const struct td_vreq *r, uint8_t op)
{
	struct blktap_direct_cmd *cmd = &v->cmds[v->nr_cmds++];

	memset(cmd, 0, sizeof(*cmd));
	cmd->tag = r->tag;
	cmd->op = op;
	if (!v->running)
		td_work_queue(&v->work);
	return cmd;
}

/* The kernel refused a command. */
static void td_vbd_cmd_refused(struct td_vbd *v,
			       const struct blktap_direct_cmd *cmd, int error)
{
	struct td_vreq *r = &v->reqs[cmd->tag];

	td_err("tap %d: the kernel refused to %s request %u: %s", v->minor,
	       cmd->op == BLKTAP_CMD_MAP ? "map" : "end", cmd->tag,
	       strerror(-error));
	if (cmd->op == BLKTAP_CMD_MAP) {
		r->error = error;
		td_vreq_list_add(&v->failed, r);
	}
}

/*
 * Hand over all commands, fetch up to @max events. Returns their number.
 */
static unsigned int td_vbd_xfer(struct td_vbd *v, unsigned int max)
{
	struct blktap_direct_xfer x;
	unsigned int first = 0;
	int err;

	for (;;) {
		memset(&x, 0, sizeof(x));
		x.cmds = (uintptr_t)&v->cmds[first];
		x.nr_cmds = v->nr_cmds - first;
		x.events = (uintptr_t)v->events;
		x.max_events = max;
		v->stats.xfers++;
		err = td_ring->xfer(v->fd, &x);
		if (!err)
			break;
		if (err == -EINTR)
			continue;
		if (first == v->nr_cmds) {
			if (v->bad_events++ < TD_VBD_MESSAGES)
				td_err("tap %d: no requests from the kernel: %s",
				       v->minor, strerror(-err));
			x.max_events = 0;
			x.transfers = 0;
			break;
		}
		if (x.nr_cmds < v->nr_cmds - first)
			first += x.nr_cmds;
		td_vbd_cmd_refused(v, &v->cmds[first++], err);
	}
	v->transfers = x.transfers;
	if (v->nr_cmds || x.transfers)
		v->quiet = 0;
	else
		v->quiet++;
	v->nr_cmds = 0;
	v->nr_exts = 0;
	return x.max_events < max ? x.max_events : max;
}

/* The disk is gone and its requests with it: do not bother the kernel. */
static void td_vbd_drop_cmds(struct td_vbd *v)
{
	unsigned int i;

	for (i = 0; i < v->nr_cmds; i++) {
		struct td_vreq *r = &v->reqs[v->cmds[i].tag];

		if (v->cmds[i].op == BLKTAP_CMD_MAP && !r->map_end) {
			r->error = -EIO;
			td_vreq_list_add(&v->failed, r);
		} else {
			r->state = TD_VREQ_IDLE;
		}
	}
	v->nr_cmds = 0;
	v->nr_exts = 0;
	v->transfers = 0;
	v->quiet++;
}

void td_req_map(struct td_req *req, const struct blktap_direct_extent *ext,
		unsigned int nr, unsigned int flags,
		void (*mapped)(struct td_req *req, int error))
{
	struct td_vreq *r = td_vreq_from_driver(req);
	struct td_vbd *v = req->vbd;
	struct blktap_direct_cmd *cmd;

	req->mapped = mapped;
	r->map_done = req->done && flags & TD_MAP_END;
	if (r->map_done)
		flags &= ~TD_MAP_END;
	r->map_end = flags & TD_MAP_END;
	r->map_dsync = flags & TD_MAP_DSYNC;
	if (r->map_end)
		v->stats.reqs_out++;
	if (nr > TD_VBD_EXTENTS) {
		r->error = -EINVAL;
		td_vreq_list_add(&v->failed, r);
		td_work_queue(&v->work);
		return;
	}
	if (v->nr_exts + nr > TD_VBD_EXTENTS)
		td_vbd_xfer(v, 0);
	r->state = TD_VREQ_MAPPED;
	cmd = td_vbd_cmd(v, r, BLKTAP_CMD_MAP);
	cmd->flags = flags;
	cmd->nr_extents = nr;
	cmd->extents = (uintptr_t)&v->exts[v->nr_exts];
	memcpy(&v->exts[v->nr_exts], ext, nr * sizeof(*ext));
	v->nr_exts += nr;
}

static void td_vbd_count_error(struct td_vbd *v, const struct td_req *req,
			       int error)
{
	uint64_t n;

	if (req->op > BLKTAP_OP_WRITE || error == -EOPNOTSUPP)
		return;
	n = ++v->stats.fail[req->op];
	/* The guest can cause these: fewer messages the more there are. */
	if (!(n & (n - 1)))
		td_warn("tap %d: %s of %u sectors at %llu: %s (%llu so far)",
			v->minor, td_op_names[req->op], req->nr_sectors,
			(unsigned long long)req->sector, strerror(-error),
			(unsigned long long)n);
}

void td_vbd_hold(struct td_vbd *v)
{
	v->in_driver++;
}

void td_vbd_release(struct td_vbd *v)
{
	v->in_driver--;
}

/* Somebody else gets the request, if he asked for it. */
static bool td_req_done(struct td_req *req, int error)
{
	void (*done)(struct td_req *req, int error) = req->done;

	if (!done)
		return false;
	req->done = NULL;
	done(req, error);
	return true;
}

/* May the error pass by itself? */
static bool td_req_may_pass(const struct td_req *req, int error)
{
	/* After a failed sync a driver may refuse all that changes the image. */
	if (req->op == BLKTAP_OP_FLUSH ||
	    (req->op != BLKTAP_OP_READ && req->vbd->sync_error))
		return false;
	switch (error) {
	case -EIO:
	case -EAGAIN:
	case -EDQUOT:
	case -ENOLINK:
	case -ENOMEM:
	case -ENOSPC:
	case -ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* End a request whatever the error is. */
static void td_req_finish(struct td_req *req, int error)
{
	struct td_vbd *v = req->vbd;
	struct td_vreq *r = td_vreq_from_driver(req);

	r->state = TD_VREQ_ENDED;
	v->stats.reqs_out++;
	if (error)
		td_vbd_count_error(v, req, error);
	td_vbd_cmd(v, r, BLKTAP_CMD_END)->result = error;
}

/* Try a request again if that may help and there is time left. */
static void td_req_again(struct td_req *req, int error)
{
	struct td_vreq *r = td_container(req, struct td_vreq, req);
	struct td_vbd *v = req->vbd;
	int64_t now = td_now();

	if (!td_req_may_pass(req, error) || !v->drv || !v->created) {
		td_req_finish(req, error);
		return;
	}
	if (td_second_redirect(v, req, error)) {
		td_vreq_from_driver(req);
		td_vreq_list_add(&v->held, r);
		v->stats.redirects++;
		return;
	}
	if (!r->give_up)
		r->give_up = now + v->timeout * 1000LL;
	if (now >= r->give_up || v->state & TD_CTL_DEAD) {
		td_req_finish(req, error);
		return;
	}
	if (!v->stalled)
		td_warn("tap %d: %s of %u sectors at %llu: %s; requests are tried again for %u s",
			v->minor, td_op_names[req->op], req->nr_sectors,
			(unsigned long long)req->sector, strerror(-error),
			v->timeout);
	v->stalled = true;
	td_vreq_from_driver(req);
	td_vreq_list_add(&v->retry, r);
	if (!v->retry_timer.armed)
		td_timer_start(&v->retry_timer, TD_VBD_RETRY_MS);
}

void td_req_end(struct td_req *req, int error)
{
	if (td_req_done(req, error))
		return;
	if (error && error != -EOPNOTSUPP && req->op == BLKTAP_OP_FLUSH)
		td_vbd_unsynced(req->vbd, error);
	if (error)
		td_req_again(req, error);
	else
		td_req_finish(req, 0);
}

void td_vbd_retry_timer(struct td_timer *timer)
{
	struct td_vbd *v = td_container(timer, struct td_vbd, retry_timer);

	if (v->retry.head) {
		td_vbd_submit_all(v, &v->retry);
		td_timer_start(timer, 2 * TD_VBD_RETRY_MS);
		return;
	}
	v->stalled = false;
	td_info("tap %d: requests go on", v->minor);
}

/* The image may have changed since the disk was created. */
static bool td_vbd_takes(const struct td_vbd *v, const struct td_req *req)
{
	if (req->op == BLKTAP_OP_TRIM)
		return v->image.discard;
	if (req->op == BLKTAP_OP_WRITE_ZEROES)
		return v->image.write_zeroes;
	return true;
}

static void td_vbd_submit(struct td_vbd *v, struct td_vreq *r)
{
	if (v->state & TD_CTL_DEAD) {
		td_vreq_to_driver(v, r);
		td_req_finish(&r->req, -EIO);
	} else if (v->state & (TD_CTL_PAUSE_REQUESTED | TD_CTL_PAUSED)) {
		td_vreq_list_add(&v->held, r);
	} else if (!td_vbd_takes(v, &r->req)) {
		td_vreq_to_driver(v, r);
		td_req_finish(&r->req, -EOPNOTSUPP);
	} else if (v->sync_error && (r->req.fua ||
				     r->req.op == BLKTAP_OP_FLUSH)) {
		td_vreq_to_driver(v, r);
		td_req_finish(&r->req, v->sync_error);
	} else {
		td_vreq_to_driver(v, r);
		td_second_submit(v, &r->req);
	}
}

void td_vbd_submit_all(struct td_vbd *v, struct td_vreq_list *list)
{
	struct td_vreq *r, *next;

	for (r = td_vreq_list_take(list); r; r = next) {
		next = r->next;
		td_vbd_submit(v, r);
	}
}

/*
 * Was it the sync after a write that failed, or the write? The sync may have
 * told of the loss of others' data, so it is taken for that. Only with
 * O_DIRECT a lack of space is known to be the write's own.
 */
static bool td_vbd_map_unsynced(const struct td_vbd *v,
				const struct td_vreq *r, int error)
{
	if (!r->map_dsync || !error)
		return false;
	return v->buffered || (error != -ENOSPC && error != -EDQUOT);
}

/* The driver gets a request back whose transfer did not end it. */
static void td_vbd_mapped(struct td_vbd *v, struct td_vreq *r, int error)
{
	if (r->map_end)
		v->stats.reqs_out--;
	if (td_vbd_map_unsynced(v, r, error))
		td_vbd_unsynced(v, error);
	td_vreq_to_driver(v, r);
	if (!v->drv) {
		r->req.done = NULL;
		td_req_finish(&r->req, error ? error : -EIO);
	} else if (r->map_done && !error) {
		td_req_end(&r->req, 0);
	} else {
		r->req.mapped(&r->req, error);
	}
}

/*
 * The kernel is trusted, but what it says is checked before it is used. What
 * makes no sense is told a few times.
 */
static int td_vbd_bad_event(struct td_vbd *v,
			    const struct blktap_direct_event *ev,
			    const char *why)
{
	if (v->bad_events++ < TD_VBD_MESSAGES)
		td_err("tap %d: event type %u, tag %u, operation %u, sectors %llu+%u, result %d: %s",
		       v->minor, ev->type, ev->tag, ev->op,
		       (unsigned long long)ev->sector, ev->nr_sectors,
		       ev->result, why);
	return -EIO;
}

/* Check the fields of a new request, except for the tag. */
static int td_vbd_check_request(struct td_vbd *v,
				const struct blktap_direct_event *ev)
{
	uint32_t sectors = v->info.sector_size / 512;

	if (ev->op > BLKTAP_OP_WRITE_ZEROES)
		return td_vbd_bad_event(v, ev, "no such operation");
	if (ev->op == BLKTAP_OP_FLUSH)
		return 0;
	if (!ev->nr_sectors || ev->sector >= v->info.sectors ||
	    ev->nr_sectors > v->info.sectors - ev->sector)
		return td_vbd_bad_event(v, ev, "outside the disk");
	if (ev->sector % sectors || ev->nr_sectors % sectors)
		return td_vbd_bad_event(v, ev, "not whole sectors");
	if (ev->op <= BLKTAP_OP_WRITE && ev->nr_sectors > v->max_io / 512)
		return td_vbd_bad_event(v, ev, "too long");
	if (ev->op != BLKTAP_OP_READ && v->open_flags & TD_OPEN_RDONLY)
		return td_vbd_bad_event(v, ev, "read-only disk");
	return 0;
}

static void td_vbd_request(struct td_vbd *v,
			   const struct blktap_direct_event *ev)
{
	struct td_vreq *r = &v->reqs[ev->tag];
	int err;

	r->req.op = ev->op;
	r->req.fua = ev->flags & BLKTAP_REQ_FUA;
	r->req.sector = ev->sector;
	r->req.nr_sectors = ev->op == BLKTAP_OP_FLUSH ? 0 : ev->nr_sectors;
	r->req.done = NULL;
	r->give_up = 0;
	v->stats.reqs_in++;
	err = td_vbd_check_request(v, ev);
	if (err) {
		td_vreq_to_driver(v, r);
		td_req_finish(&r->req, err);
		return;
	}
	if (ev->op <= BLKTAP_OP_WRITE)
		v->stats.secs[ev->op] += ev->nr_sectors;
	td_vbd_submit(v, r);
}

static void td_vbd_event(struct td_vbd *v,
			 const struct blktap_direct_event *ev)
{
	struct td_vreq *r;

	if (ev->type == BLKTAP_EVENT_GONE) {
		td_warn("tap %d: its disk was removed by force; %s stays open until the tap is closed",
			v->minor, v->name);
		v->created = false;
		return;
	}
	if (ev->tag >= v->depth) {
		td_vbd_bad_event(v, ev, "no such tag");
		return;
	}
	r = &v->reqs[ev->tag];
	switch (ev->type) {
	case BLKTAP_EVENT_REQUEST:
		/* The kernel may use a tag again once its request has ended. */
		if (r->state == TD_VREQ_IDLE || r->state == TD_VREQ_ENDED ||
		    (r->state == TD_VREQ_MAPPED && r->map_end))
			td_vbd_request(v, ev);
		else
			td_vbd_bad_event(v, ev, "request is in use");
		break;
	case BLKTAP_EVENT_MAPPED:
		v->quiet = 0;
		if (r->state == TD_VREQ_MAPPED && (ev->result || !r->map_end))
			td_vbd_mapped(v, r, ev->result);
		else
			td_vbd_bad_event(v, ev, "request is not mapped");
		break;
	default:
		td_vbd_bad_event(v, ev, "no such type");
	}
}

static void td_vbd_fail_all(struct td_vbd *v)
{
	struct td_vreq *r, *next;

	for (r = td_vreq_list_take(&v->failed); r; r = next) {
		next = r->next;
		r->map_dsync = false;
		td_vbd_mapped(v, r, r->error);
	}
}

/* Take the next step of a pause or close when nothing is in flight. */
static void td_vbd_check_drained(struct td_vbd *v)
{
	void (*fn)(struct td_vbd *vbd) = v->op_fn;

	if (v->in_driver || v->nr_cmds || v->failed.head || v->transfers) {
		td_timer_start(&v->drain_timer, TD_VBD_DRAIN_MS);
	} else if (v->quiet < 2) {
		td_work_queue(&v->work);
	} else {
		v->op_fn = NULL;
		fn(v);
	}
}

void td_vbd_run(struct td_vbd *v)
{
	unsigned int round, i, n;

	v->running = true;
	for (round = 0; round < TD_VBD_ROUNDS; round++) {
		if (v->failed.head)
			td_vbd_fail_all(v);
		n = 0;
		if (!v->created)
			td_vbd_drop_cmds(v);
		else if (v->drv || v->nr_cmds || v->state & TD_CTL_DEAD)
			n = td_vbd_xfer(v, v->depth);
		for (i = 0; i < n; i++)
			td_vbd_event(v, &v->events[i]);
		if (!v->nr_cmds && !v->failed.head && n < v->depth)
			break;
	}
	v->running = false;
	if (round == TD_VBD_ROUNDS)
		td_work_queue(&v->work);
	if (v->op_fn)
		td_vbd_check_drained(v);
}
