/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Time and I/O of the event loop of tapdisk2, for tests that must not depend
 * on how busy the machine is.
 *
 * The clock stands still while there is something to do. When the loop would
 * sleep until its next timer and no I/O is in flight, the clock jumps to that
 * timer instead. So a second takes no time, and never ends too early.
 *
 * A program that uses this is linked with --wrap for the functions that
 * fake_clock.c defines; see the Makefile.
 */
#ifndef FAKE_CLOCK_H
#define FAKE_CLOCK_H

#include <liburing.h>
#include <stdint.h>
#include <time.h>

#include "td_driver.h"

/**
 * struct fake_clock - what a test can see and change
 * @ms: milliseconds since the program began
 * @ios: struct td_io started so far, by operation
 * @syncs: calls of fdatasync() so far
 * @sync_error: what the next fdatasync() fails with, a positive errno, or 0;
 *	it does nothing then
 * @result: asked when an I/O has ended: may change its result, or NULL
 * @in_flight: I/O that has not ended
 */
struct fake_clock {
	int64_t ms;
	unsigned int ios[TD_IO_ZERO + 1];
	unsigned int syncs;
	int sync_error;
	int (*result)(const struct td_io *io, int res);
	unsigned int in_flight;
};

extern struct fake_clock fake_clock;

/**
 * fake_clock_init() - start anew; before td_loop_init()
 */
void fake_clock_init(void);

/* What the linker puts in the place of others, and what that calls. */
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_fdatasync(int fd);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring,
					    struct io_uring_cqe **cqe,
					    unsigned int nr,
					    struct __kernel_timespec *ts,
					    sigset_t *mask);
int __real_fdatasync(int fd);
int __real_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr);

#endif /* FAKE_CLOCK_H */
