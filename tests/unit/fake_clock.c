// SPDX-License-Identifier: GPL-2.0
#include "fake_clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

struct fake_clock fake_clock;

/* Up to where results have been looked at. */
static unsigned int fake_seen;

void fake_clock_init(void)
{
	int64_t ms = fake_clock.ms;

	memset(&fake_clock, 0, sizeof(fake_clock));
	fake_clock.ms = ms;
	fake_seen = 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	ts->tv_sec = fake_clock.ms / 1000;
	ts->tv_nsec = fake_clock.ms % 1000 * 1000000;
	return 0;
}

int __wrap_fdatasync(int fd)
{
	fake_clock.syncs++;
	if (!fake_clock.sync_error)
		return __real_fdatasync(fd);
	errno = fake_clock.sync_error;
	fake_clock.sync_error = 0;
	return -1;
}

/* The lowest bit of the user data tells a struct td_io, see loop.c. */
static const struct td_io *fake_io(uint64_t user_data)
{
	return user_data & 1 ?
	       (const struct td_io *)(uintptr_t)(user_data & ~1ULL) : NULL;
}

/* Count what is about to be submitted. */
static void fake_submit(struct io_uring *ring)
{
	const struct td_io *io;
	unsigned int i;

	for (i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
		io = fake_io(ring->sq.sqes[i & *ring->sq.kring_mask].user_data);
		if (!io)
			continue;
		fake_clock.ios[io->op]++;
		fake_clock.in_flight++;
	}
}

/* Change the results of I/O that the loop has not seen yet. */
static int fake_results(struct io_uring *ring, int ret)
{
	unsigned int tail = *ring->cq.ktail;

	for (; fake_seen != tail; fake_seen++) {
		struct io_uring_cqe *cqe =
			&ring->cq.cqes[fake_seen & *ring->cq.kring_mask];
		const struct td_io *io = fake_io(cqe->user_data);

		if (!io)
			continue;
		fake_clock.in_flight--;
		if (fake_clock.result)
			cqe->res = fake_clock.result(io, cqe->res);
	}
	return ret;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	fake_submit(ring);
	return __real_io_uring_submit(ring);
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	fake_submit(ring);
	return fake_results(ring, __real_io_uring_submit_and_get_events(ring));
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr)
{
	fake_submit(ring);
	return fake_results(ring, __real_io_uring_submit_and_wait(ring, nr));
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring,
					    struct io_uring_cqe **cqe,
					    unsigned int nr,
					    struct __kernel_timespec *ts,
					    sigset_t *mask)
{
	int ret;

	(void)cqe;
	(void)mask;
	ret = __wrap_io_uring_submit_and_get_events(ring);
	if (io_uring_cq_ready(ring))
		return ret;
	if (fake_clock.in_flight)
		return __wrap_io_uring_submit_and_wait(ring, nr);
	fake_clock.ms += ts->tv_sec * 1000 + (ts->tv_nsec + 999999) / 1000000;
	return -ETIME;
}
