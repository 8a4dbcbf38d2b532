/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The event loop of tapdisk2: one thread, one io_uring.
 *
 * An iteration runs the queued work, hands new SQEs to the kernel and sleeps
 * in one system call, and calls back for each CQE.
 */
#ifndef TD_LOOP_H
#define TD_LOOP_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct td_event - an operation of the ring and who wants to know its end
 * @fn: called for each CQE with its result and flags
 */
struct td_event {
	void (*fn)(struct td_event *ev, int res, uint32_t flags);
};

/**
 * struct td_timer - one-shot timer
 * @fn: called when the time is over
 * @when: td_now() at which it is
 * @armed: waits
 * @next: later timer
 */
struct td_timer {
	void (*fn)(struct td_timer *timer);
	int64_t when;
	bool armed;
	struct td_timer *next;
};

/**
 * struct td_work - something to do before the loop sleeps
 * @fn: called once
 * @queued: waits
 * @next: later work
 */
struct td_work {
	void (*fn)(struct td_work *work);
	bool queued;
	struct td_work *next;
};

/**
 * td_container() - the structure that a member is in
 * @ptr: pointer to the member
 * @type: type of the structure
 * @member: name of the member
 */
#define td_container(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/**
 * td_loop_init() - set up the ring
 *
 * Return: 0 or -errno, with a message.
 */
int td_loop_init(void);

/**
 * td_loop_exit() - opposite of td_loop_init()
 */
void td_loop_exit(void);

/**
 * td_loop_run() - run until td_loop_stop()
 *
 * Return: 0 or -errno.
 */
int td_loop_run(void);

/**
 * td_loop_stop() - let td_loop_run() return after this iteration
 */
void td_loop_stop(void);

/**
 * td_loop_sqe() - a fresh SQE
 *
 * The caller prepares it at once, then sets a struct td_event as its data.
 * That one must live until the last completion.
 *
 * Return: SQE, never NULL.
 */
struct io_uring_sqe *td_loop_sqe(void);

/**
 * td_loop_submit() - start now what was prepared
 *
 * Else it starts when the loop waits. One call for many is cheaper for the
 * processor, one for each keeps a disk busy.
 */
void td_loop_submit(void);

/**
 * td_loop_poll() - watch a descriptor for input
 * @ev: called each time there is more, until a CQE without IORING_CQE_F_MORE
 * @fd: descriptor
 */
void td_loop_poll(struct td_event *ev, int fd);

/**
 * td_loop_cancel() - end an operation early
 * @ev: its event, which gets one more CQE, without IORING_CQE_F_MORE
 */
void td_loop_cancel(struct td_event *ev);

/**
 * td_work_queue() - run some work before the loop sleeps
 * @work: what; nothing happens if it waits already
 */
void td_work_queue(struct td_work *work);

/**
 * td_work_cancel() - take work back
 * @work: what, queued or not
 */
void td_work_cancel(struct td_work *work);

/**
 * td_now() - milliseconds of the monotonic clock
 *
 * Return: milliseconds.
 */
int64_t td_now(void);

/**
 * td_timer_start() - start or restart a timer
 * @timer: timer
 * @ms: time until it fires, in milliseconds
 */
void td_timer_start(struct td_timer *timer, int ms);

/**
 * td_timer_stop() - stop a timer
 * @timer: timer, armed or not
 */
void td_timer_stop(struct td_timer *timer);

#endif /* TD_LOOP_H */
