// SPDX-License-Identifier: GPL-2.0
/*
 * Event loop. See loop.h.
 *
 * The user data of an SQE is its struct td_event, or a struct td_io with the
 * lowest bit set, or 0 if nobody cares.
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "td_driver.h"
#include "td_log.h"

#define TD_LOOP_ENTRIES	512
#define TD_LOOP_IO	1UL

static struct {
	struct io_uring ring;
	struct td_work *work;
	struct td_work **work_tail;
	struct td_timer *timers;
	bool stop;
} td_loop;

/*
 * What the ring may be used for, from its first operation on. The kernel does
 * not ask the filter of system calls about operations of a ring; without this
 * they could open, rename and connect whatever the filter says. As no
 * registration is in the list, nothing can be registered any more either.
 */
static int td_loop_restrict(void)
{
	static const uint8_t ops[] = {
		/* images */
		IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC,
		IORING_OP_FALLOCATE, IORING_OP_SYNC_FILE_RANGE,
		/* control socket */
		IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND,
		/* loop */
		IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT,
	};
	struct io_uring_restriction res[sizeof(ops)];
	int fd = td_loop.ring.ring_fd;
	unsigned int i;

	memset(res, 0, sizeof(res));
	for (i = 0; i < sizeof(ops); i++) {
		res[i].opcode = IORING_RESTRICTION_SQE_OP;
		res[i].sqe_op = ops[i];
	}
	/* The functions for this are missing in liburing 2.3. */
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS,
		    res, sizeof(ops)) ||
	    syscall(SYS_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS,
		    NULL, 0))
		return -errno;
	return 0;
}

int td_loop_init(void)
{
	/* Completions are only looked for when the loop asks for them. */
	unsigned int flags = IORING_SETUP_SINGLE_ISSUER |
			     IORING_SETUP_DEFER_TASKRUN;
	int err;

	memset(&td_loop, 0, sizeof(td_loop));
	td_loop.work_tail = &td_loop.work;
	err = io_uring_queue_init(TD_LOOP_ENTRIES, &td_loop.ring,
				  flags | IORING_SETUP_R_DISABLED);
	if (err == -EINVAL)
		err = io_uring_queue_init(TD_LOOP_ENTRIES, &td_loop.ring,
					  IORING_SETUP_R_DISABLED);
	if (err) {
		td_err("io_uring with %d entries: %s%s", TD_LOOP_ENTRIES,
		       strerror(-err), err == -EPERM ?
		       "; kernel.io_uring_disabled of sysctl must not be 2" :
		       err == -ENOMEM ?
		       "; without CAP_IPC_LOCK it counts for RLIMIT_MEMLOCK of all of the user's processes" :
		       "");
		return err;
	}
	err = td_loop_restrict();
	if (err) {
		td_err("restricting io_uring: %s; Linux 5.10 at least can do that",
		       strerror(-err));
		io_uring_queue_exit(&td_loop.ring);
	}
	return err;
}

void td_loop_exit(void)
{
	io_uring_queue_exit(&td_loop.ring);
}

void td_loop_stop(void)
{
	td_loop.stop = true;
}

void td_loop_submit(void)
{
	io_uring_submit(&td_loop.ring);
}

struct io_uring_sqe *td_loop_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&td_loop.ring)))
		td_loop_submit();
	return sqe;
}

void td_loop_poll(struct td_event *ev, int fd)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	io_uring_sqe_set_data(sqe, ev);
}

void td_loop_cancel(struct td_event *ev)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	io_uring_prep_cancel(sqe, ev, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

void td_work_queue(struct td_work *work)
{
	if (work->queued)
		return;
	work->queued = true;
	work->next = NULL;
	*td_loop.work_tail = work;
	td_loop.work_tail = &work->next;
}

void td_work_cancel(struct td_work *work)
{
	struct td_work **p;

	if (!work->queued)
		return;
	for (p = &td_loop.work; *p != work; p = &(*p)->next)
		;
	*p = work->next;
	if (td_loop.work_tail == &work->next)
		td_loop.work_tail = p;
	work->queued = false;
}

int64_t td_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void td_timer_start(struct td_timer *timer, int ms)
{
	struct td_timer **p;

	td_timer_stop(timer);
	timer->when = td_now() + ms;
	for (p = &td_loop.timers; *p && (*p)->when <= timer->when;
	     p = &(*p)->next)
		;
	timer->next = *p;
	timer->armed = true;
	*p = timer;
}

void td_timer_stop(struct td_timer *timer)
{
	struct td_timer **p;

	if (!timer->armed)
		return;
	for (p = &td_loop.timers; *p != timer; p = &(*p)->next)
		;
	*p = timer->next;
	timer->armed = false;
}

static void td_io_start(struct td_io *io)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	switch (io->op) {
	case TD_IO_READ:
		io_uring_prep_read(sqe, io->fd, (char *)io->buf + io->pos,
				   io->len - io->pos, io->off + io->pos);
		break;
	case TD_IO_WRITE:
		io_uring_prep_write(sqe, io->fd, (char *)io->buf + io->pos,
				    io->len - io->pos, io->off + io->pos);
		break;
	case TD_IO_FDATASYNC:
		io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
		break;
	case TD_IO_PUNCH:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, io->off, io->len);
		break;
	case TD_IO_RESERVE:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_KEEP_SIZE,
					io->off, io->len);
		break;
	case TD_IO_START:
		io_uring_prep_sync_file_range(sqe, io->fd, io->len, io->off,
					      SYNC_FILE_RANGE_WRITE);
		break;
	case TD_IO_ZERO:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_ZERO_RANGE |
					FALLOC_FL_KEEP_SIZE, io->off, io->len);
		break;
	}
	sqe->user_data = (uintptr_t)io | TD_LOOP_IO;
}

void td_io_submit(struct td_io *io)
{
	io->pos = 0;
	td_io_start(io);
}

static void td_io_cqe(struct td_io *io, int res)
{
	if (res == -EINTR || res == -EAGAIN) {
		td_io_start(io);
		return;
	}
	if (res < 0 || (io->op != TD_IO_READ && io->op != TD_IO_WRITE)) {
		io->done(io, res);
		return;
	}
	io->pos += res;
	if (io->pos < io->len) {
		if (io->op == TD_IO_WRITE && res) {
			td_io_start(io);
			return;
		}
		if (io->op == TD_IO_WRITE) {
			io->done(io, -EIO);
			return;
		}
		/* An end within a sector cannot be read past with O_DIRECT. */
		if (res && !(io->pos & 511)) {
			td_io_start(io);
			return;
		}
		memset((char *)io->buf + io->pos, 0, io->len - io->pos);
	}
	io->done(io, 0);
}

static void td_loop_cqe(const struct io_uring_cqe *cqe)
{
	struct td_event *ev;

	if (cqe->user_data & TD_LOOP_IO) {
		td_io_cqe((struct td_io *)(uintptr_t)
			  (cqe->user_data & ~TD_LOOP_IO), cqe->res);
		return;
	}
	ev = (struct td_event *)(uintptr_t)cqe->user_data;
	if (ev)
		ev->fn(ev, cqe->res, cqe->flags);
}

static void td_loop_run_work(void)
{
	struct td_work *work, *last;

	/* What this queues again is for the next iteration. */
	last = td_loop.work ? td_container(td_loop.work_tail, struct td_work,
					   next) : NULL;
	while ((work = td_loop.work)) {
		td_work_cancel(work);
		work->fn(work);
		if (work == last)
			break;
	}
}

static void td_loop_run_timers(void)
{
	struct td_timer *timer;
	int64_t now;

	if (!td_loop.timers)
		return;
	now = td_now();
	while ((timer = td_loop.timers) && timer->when <= now) {
		td_timer_stop(timer);
		timer->fn(timer);
	}
}

/* Submit, and sleep if there is nothing to do. */
static int td_loop_wait(void)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int64_t ms;

	if (td_loop.work || td_loop.stop)
		return io_uring_submit_and_get_events(&td_loop.ring);
	if (!td_loop.timers)
		return io_uring_submit_and_wait(&td_loop.ring, 1);
	ms = td_loop.timers->when - td_now();
	if (ms < 0)
		ms = 0;
	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000;
	return io_uring_submit_and_wait_timeout(&td_loop.ring, &cqe, 1, &ts,
						NULL);
}

int td_loop_run(void)
{
	struct io_uring_cqe *cqe, copy;
	int err;

	td_loop.stop = false;
	while (!td_loop.stop) {
		td_loop_run_work();
		err = td_loop_wait();
		if (err < 0 && err != -ETIME && err != -EINTR &&
		    err != -EAGAIN && err != -EBUSY) {
			td_err("io_uring: waiting: %s", strerror(-err));
			return err;
		}
		while (!io_uring_peek_cqe(&td_loop.ring, &cqe)) {
			copy = *cqe;
			io_uring_cqe_seen(&td_loop.ring, cqe);
			td_loop_cqe(&copy);
		}
		td_loop_run_timers();
	}
	return 0;
}
