/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A ring device in user space, for unit tests of tapdisk2: it stands in for
 * the kernel below struct td_ring_ops, checks each command as the kernel does
 * and carries out MAP by reading and writing the files.
 *
 * A test plays the guest: fake_start() starts a request, fake_run() runs the
 * event loop of tapdisk2 until it and all others have ended.
 */
#ifndef FAKE_RING_H
#define FAKE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/blktap2.h>

#include "loop.h"

#define FAKE_DEPTH	32

enum fake_state {
	FAKE_FREE,
	FAKE_QUEUED,		/* event not fetched */
	FAKE_SERVER,
	FAKE_TRANSFER,
	FAKE_RESULT,		/* event of a transfer not fetched */
	FAKE_ENDED,
};

/**
 * struct fake_req - a request of the guest
 * @state: whose it is
 * @ev: the event for the server
 * @buf: data
 * @result: what it ended with
 * @map_end: the transfer that goes on ends it
 * @map_error: result of the transfer
 * @timer: end of the transfer
 */
struct fake_req {
	enum fake_state state;
	struct blktap_direct_event ev;
	char *buf;
	int result;
	bool map_end;
	int map_error;
	struct td_timer timer;
};

/**
 * struct fake_ring - the one device there is
 * @fd: eventfd, what the server polls
 * @created: the disk exists
 * @openers: refuse to remove it
 * @info: what it was created with, and its size
 * @files: descriptors by index, or -1
 * @reqs: requests by tag
 * @delay_ms: duration of a transfer, 0: done within XFER
 * @transfers: how many go on
 * @late: while a transfer goes on, XFER lets one more end after it has fetched
 *	the events and before it counts
 * @fail_maps: this many MAPs fail
 * @fail_error: with this
 * @fail: asked before a file is read or written: 0 or -errno
 * @resize_error: growing the disk fails with this
 * @names_left: names can be set so often, -1: always
 * @name: the last that was set
 * @refuse_cmds: this many commands are refused with -EINVAL
 * @refuse_after: after this many more that are not
 * @nr_maps: MAP commands so far
 * @nr_dsync: those with BLKTAP_MAP_DSYNC
 * @nr_xfers: XFER calls
 * @raw: events to hand out as they are, for hostile kernels
 * @nr_raw: how many
 * @timed_out: fake_run() gave up
 */
struct fake_ring {
	int fd;
	bool created;
	int openers;
	struct blktap_device_info info;
	int files[BLKTAP_DIRECT_FILES_MAX];
	struct fake_req reqs[FAKE_DEPTH];
	int delay_ms;
	unsigned int transfers;
	bool late;
	unsigned int fail_maps;
	int fail_error;
	int (*fail)(int fd, unsigned int op);
	int resize_error;
	int names_left;
	char name[BLKTAP_NAME_MAX];
	unsigned int refuse_cmds;
	unsigned int refuse_after;
	unsigned int nr_maps;
	unsigned int nr_dsync;
	unsigned int nr_xfers;
	struct blktap_direct_event raw[8];
	unsigned int nr_raw;
	bool timed_out;
};

extern struct fake_ring fake;

/**
 * fake_init() - start anew, and use this device instead of the kernel's
 */
void fake_init(void);

/**
 * fake_start() - start a request
 * @op: BLKTAP_OP_*
 * @flags: BLKTAP_REQ_*
 * @sector: first sector
 * @nr: number of sectors
 * @buf: data, until it has ended
 *
 * Return: its tag, a free one.
 */
unsigned int fake_start(unsigned int op, unsigned int flags, uint64_t sector,
			uint32_t nr, void *buf);

/**
 * fake_raw() - hand an event of any content to the server
 * @ev: event
 */
void fake_raw(const struct blktap_direct_event *ev);

/**
 * fake_run() - run the loop until all requests have ended
 * @ms: for how long at most, in milliseconds
 *
 * Return: true if they have.
 */
bool fake_run(int ms);

/**
 * fake_run_for() - run the loop for a time
 * @ms: how long, in milliseconds
 */
void fake_run_for(int ms);

/**
 * fake_result() - the result of a request that has ended, and free its tag
 * @tag: request
 *
 * Return: result.
 */
int fake_result(unsigned int tag);

/**
 * fake_io() - do one request from start to end, in 30 seconds at most
 * @op: BLKTAP_OP_*
 * @flags: BLKTAP_REQ_*
 * @sector: first sector
 * @nr: number of sectors
 * @buf: data
 *
 * Return: its result, or -ETIMEDOUT.
 */
int fake_io(unsigned int op, unsigned int flags, uint64_t sector, uint32_t nr,
	    void *buf);

#endif /* FAKE_RING_H */
