// SPDX-License-Identifier: GPL-2.0
/*
 * blktap-attack: ring mode.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

/* Is the request what a kernel may send, padding included? */
static void ring_check_request(const struct blktap_ring_request *req)
{
	struct blktap_ring_request clean = *req;
	unsigned int i, n = 0;

	CHECK(req->id < BLKTAP_RING_ENTRIES);
	if (req->operation == BLKTAP_OP_FLUSH) {
		clean.operation = 0;
		clean.id = 0;
	} else {
		CHECK(req->nr_segments >= 1);
		CHECK(req->nr_segments <= BLKTAP_SEGMENT_MAX);
		for (i = 0; i < req->nr_segments; i++) {
			CHECK(req->u.seg[i].first_sect <=
			      req->u.seg[i].last_sect);
			CHECK(req->u.seg[i].last_sect <= 7);
			n += req->u.seg[i].last_sect -
			     req->u.seg[i].first_sect + 1;
			clean.u.seg[i].first_sect = 0;
			clean.u.seg[i].last_sect = 0;
		}
		CHECK(req->sector_number + n <= ATTACK_SECTORS);
		clean.operation = 0;
		clean.nr_segments = 0;
		clean.id = 0;
		clean.sector_number = 0;
	}
	for (i = 0; i < sizeof(clean); i++)
		if (((char *)&clean)[i])
			break;
	CHECK_EQ(i, sizeof(clean));
}

/* Serve until @io is done. */
static void ring_serve_io(struct tap *t, struct attack_io *io, int file)
{
	uint64_t end = attack_now_ms() + 10000;
	struct blktap_ring_request req;

	while (!attack_io_done(io, 0) && attack_now_ms() < end) {
		if (tap_fetch(t, &req, 20) == 1) {
			ring_check_request(&req);
			CHECK_EQ(tap_ring_serve(t, &req, file), 0);
		}
	}
}

static int ring_io(struct tap *t, int file, off_t at, size_t len, int byte)
{
	struct attack_io *io = attack_io(t->minor, at, len, byte);

	ring_serve_io(t, io, file);
	if (byte < 0 && !attack_io_end(io))
		return (unsigned char)io->data[len - 1];
	return attack_io_end(io);
}

static void ring_data(void)
{
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;
	char c;
	int i;

	if (!attack_ring_up(&t))
		return;
	for (i = 1; i <= 5; i++) {
		/* Sizes around a segment and a request, at odd places. */
		static const size_t sizes[] = {
			0, 512, 4096, 4608, 45056, 1 << 20
		};
		off_t at = i * 512 * 7;

		CHECK_EQ(ring_io(&t, file, at, sizes[i], i), 0);
		io = attack_io(t.minor, at, sizes[i], -1);
		ring_serve_io(&t, io, file);
		CHECK_EQ(attack_io_end(io), 0);
		CHECK(attack_io_is(io, i));
		CHECK_EQ(pread(file, &c, 1, at + sizes[i] - 1), 1);
		CHECK_EQ(c, i);
	}
	io = attack_flush(t.minor);
	ring_serve_io(&t, io, file);
	CHECK_EQ(attack_io_end(io), 0);
	attack_down(&t);
}

static void ring_bad_ids(void)
{
	static const uint64_t bad[] = {
		32, 33, 255, 256, 65535, 0xffffffff, 1ULL << 32, 1ULL << 63,
		~0ULL, 31, 17,
	};
	struct blktap_ring_request req;
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;
	size_t i;

	if (!attack_ring_up(&t))
		return;
	CHECK_EQ(pwrite(file, "x", 1, 4095), 1);
	io = attack_io(t.minor, 0, 4096, -1);
	if (!attack_fetch(&t, &req))
		return;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		tap_answer(&t, bad[i] == req.id ? 30 : bad[i], req.operation,
			   0);
		CHECK_EQ(tap_respond(&t), 0);
	}
	CHECK(!attack_io_done(io, 100));
	CHECK_EQ(tap_ring_serve(&t, &req, file), 0);
	CHECK_EQ(attack_io_end(io), 0);
	CHECK_EQ(io->data[4095], 'x');

	/* The same again, once alone and once in one batch with a good one. */
	tap_answer(&t, req.id, req.operation, 0);
	CHECK_EQ(tap_respond(&t), 0);
	io = attack_io(t.minor, 4096, 4096, 3);
	if (!attack_fetch(&t, &req))
		return;
	for (i = 0; i < 31; i++)
		tap_answer(&t, req.id, req.operation, i ? -1 : 0);
	CHECK_EQ(tap_respond(&t), 0);
	CHECK_EQ(attack_io_end(io), 0);

	/* And it still works. */
	CHECK_EQ(ring_io(&t, file, 8192, 4096, 9), 0);
	CHECK_EQ(ring_io(&t, file, 8192, 4096, -1), 9);
	attack_down(&t);
}

static void ring_bad_answers(void)
{
	static const struct { int op, status; } bad[] = {
		{ BLKTAP_OP_WRITE, 0 }, { BLKTAP_OP_FLUSH, 0 }, { 255, 0 },
		{ BLKTAP_OP_READ, -1 }, { BLKTAP_OP_READ, 1 },
		{ BLKTAP_OP_READ, -32768 }, { BLKTAP_OP_READ, 32767 },
	};
	struct blktap_ring_request req;
	struct attack_io *io;
	struct tap t;
	size_t i;

	if (!attack_ring_up(&t))
		return;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		io = attack_io(t.minor, 0, 4096, -1);
		if (!attack_fetch(&t, &req))
			return;
		tap_answer(&t, req.id, bad[i].op, bad[i].status);
		CHECK_EQ(tap_respond(&t), 0);
		CHECK(attack_io_end(io) < 0);
	}
	attack_down(&t);
}

static void ring_bad_producer(void)
{
	static const uint32_t jumps[] = {
		33, 64, 1U << 16, 1U << 31, 0xffffffff, 0x80000001
	};
	struct blktap_ring_request req;
	int file = attack_file(0);
	struct attack_io *io;
	uint64_t start;
	struct tap t;
	size_t i;

	if (!attack_ring_up(&t))
		return;
	for (i = 0; i < ARRAY_SIZE(jumps); i++) {
		io = attack_io(t.minor, 0, 4096, i + 1);
		if (!attack_fetch(&t, &req))
			return;
		tap_answer(&t, req.id, req.operation, 0);
		tap_ring(&t)->rsp_prod += jumps[i];
		start = attack_now_ms();
		CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_RESPOND, NULL), -EIO);
		CHECK(attack_now_ms() - start < 1000);
		/* Nothing heals it, and nothing was completed. */
		CHECK_EQ(tap_respond(&t), -EIO);
		CHECK(!attack_io_done(io, 50));
		/* The next server does the work. */
		tap_close(&t);
		CHECK_EQ(tap_open(&t), 0);
		CHECK_EQ(tap_map(&t), 0);
		CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_RING), 0);
		ring_serve_io(&t, io, file);
		CHECK_EQ(attack_io_end(io), 0);
		CHECK_EQ(ring_io(&t, file, 0, 4096, -1), i + 1);
	}
	attack_down(&t);
}

static bool ring_flip_stop;

static void *ring_flip(void *arg)
{
	struct tap *t = arg;
	uint64_t seed = 88172645463325252ULL;
	uint32_t *words = (uint32_t *)t->map;

	while (!__atomic_load_n(&ring_flip_stop, __ATOMIC_RELAXED)) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		/* Anywhere in the ring page: indexes, requests, responses. */
		words[seed % 1024] = seed >> 32;
		words[seed >> 54] ^= 1;
	}
	return NULL;
}

static void ring_flip_end(pthread_t thread)
{
	__atomic_store_n(&ring_flip_stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ring_flip_stop = false;
}

/* Requests go through while all of the ring changes under the kernel. */
static void ring_moving(void)
{
	uint64_t end = attack_now_ms() + 3000;
	struct pollfd pfd = { .events = POLLIN };
	struct attack_io *io[8];
	pthread_t thread;
	struct tap t;
	int i;

	if (!attack_ring_up(&t))
		return;
	for (i = 0; i < 8; i++)
		io[i] = attack_io(t.minor, i * 65536, 65536, i % 2 ? i : -1);
	CHECK_EQ(pthread_create(&thread, NULL, ring_flip, &t), 0);
	pfd.fd = t.fd;
	while (attack_now_ms() < end) {
		int ret;

		poll(&pfd, 1, 1);
		ret = tap_ioctl(&t, BLKTAP_IOCTL_RESPOND, NULL);
		CHECK(!ret || ret == -EIO);
		if (ret == -EIO) {
			/* Broken: start over, as the next server. */
			ring_flip_end(thread);
			tap_close(&t);
			CHECK_EQ(tap_open(&t), 0);
			CHECK_EQ(tap_map(&t), 0);
			CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_RING),
				 0);
			CHECK_EQ(pthread_create(&thread, NULL, ring_flip, &t),
				 0);
		}
	}
	ring_flip_end(thread);
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
	for (i = 0; i < 8; i++)
		CHECK(attack_io_end(io[i]) != -ETIME);
}

static void ring_mapping(void)
{
	struct tap t, second;
	int status;
	char *p;
	pid_t pid;

	CHECK_EQ(tap_alloc(&t), 0);
	if (!CHECK_EQ(tap_open(&t), 0))
		return;
	/* Wrong sizes, places and kinds. */
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, t.fd, 0) == MAP_FAILED);
	CHECK(mmap(NULL, TAP_MAP_SIZE + 4096, PROT_READ, MAP_SHARED, t.fd,
		   0) == MAP_FAILED);
	CHECK(mmap(NULL, TAP_MAP_SIZE, PROT_READ, MAP_SHARED, t.fd,
		   4096) == MAP_FAILED);
	CHECK(mmap(NULL, TAP_MAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		   t.fd, 0) == MAP_FAILED);
	CHECK_EQ(tap_map(&t), 0);
	second = t;
	CHECK_EQ(tap_map(&second), -EBUSY);
	CHECK_EQ(tap_open(&second), -EBUSY);
	CHECK_EQ(tap_setup(&t, 32, 65536), -EBUSY);

	/* It cannot be split. */
	CHECK(munmap(t.map, 4096) < 0);
	CHECK(munmap(t.map + 4096, 4096) < 0);
	CHECK(munmap(t.map + TAP_MAP_SIZE - 4096, 4096) < 0);
	CHECK(mprotect(t.map + 4096, 4096, PROT_READ) < 0);
	CHECK(mremap(t.map, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap(t.map, TAP_MAP_SIZE, TAP_MAP_SIZE * 2,
		     MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, 0), 0);

	/* Moved as a whole, it is still the mapping. */
	p = mmap(NULL, TAP_MAP_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	p = mremap(t.map, TAP_MAP_SIZE, TAP_MAP_SIZE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, p);
	if (CHECK(p != MAP_FAILED))
		t.map = p;
	CHECK_EQ(tap_respond(&t), 0);
	CHECK(tap_attr_is(t.minor, "state", "running"));

	/* A child has the descriptor, but neither mapping nor say. */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (tap_ioctl(&t, BLKTAP_IOCTL_RESPOND, NULL) != -EACCES ||
		    tap_ioctl(&t, BLKTAP_IOCTL_REMOVE_DEVICE, NULL) != -EACCES)
			_exit(1);
		signal(SIGSEGV, SIG_DFL);
		_exit(__atomic_load_n(t.map, __ATOMIC_RELAXED));
	}
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

	/* FREE_TAP is refused while the mapping is there, open or not. */
	CHECK_EQ(tap_free(t.minor), -EBUSY);
	close(t.fd);
	CHECK_EQ(tap_free(t.minor), -EBUSY);
	munmap(t.map, TAP_MAP_SIZE);
	CHECK_EQ(tap_free(t.minor), 0);
}

/* A child that inherits the mapping by MADV_DOFORK does not keep it alive. */
static void ring_inherited(void)
{
	struct tap t;
	pid_t pid;

	if (!attack_ring_up(&t))
		return;
	CHECK_EQ(madvise(t.map, TAP_MAP_SIZE, MADV_DOFORK), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		memset(t.map, 0xff, TAP_MAP_SIZE);
		pause();
		_exit(0);
	}
	munmap(t.map, TAP_MAP_SIZE);
	CHECK(attack_state(t.minor, "waiting", 1000));
	t.map = NULL;
	CHECK_EQ(tap_map(&t), 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_RING), 0);
	attack_kill(pid);
	CHECK(tap_attr_is(t.minor, "state", "running"));
	attack_down(&t);
}

static void ring_pool(void)
{
	struct blktap_ring_request req[3];
	struct attack_io *io[2];
	int file = attack_file(0);
	struct tap t;
	char buf[16];

#define POOL_SIZE "/sys/class/misc/blktap-control/pools/attack/size"
#define POOL_FREE "/sys/class/misc/blktap-control/pools/attack/free"
	CHECK_EQ(tap_alloc(&t), 0);
	CHECK_EQ(tap_attr_write(t.minor, "pool", "a/b"), -EINVAL);
	CHECK_EQ(tap_attr_write(t.minor, "pool", "."), -EINVAL);
	CHECK_EQ(tap_attr_write(t.minor, "pool", "attack"), 0);
	CHECK(tap_attr_is(t.minor, "pool", "attack"));
	CHECK_EQ(tap_attr_write(0, POOL_SIZE, "10"), -EINVAL);
	CHECK_EQ(tap_attr_write(0, POOL_SIZE, "2817"), -EINVAL);
	CHECK_EQ(tap_attr_write(0, POOL_SIZE, "11"), 0);
	CHECK(tap_attr_is(0, POOL_FREE, "11"));
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_map(&t), 0);
	if (!CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_RING), 0))
		return;
	CHECK_EQ(tap_attr_write(t.minor, "pool", "td0"), -EBUSY);

	/* The pool has room for one of the two. */
	io[0] = attack_io(t.minor, 0, 45056, 1);
	if (!attack_fetch(&t, &req[0]))
		return;
	CHECK(tap_attr_is(0, POOL_FREE, "0"));
	io[1] = attack_io(t.minor, 1 << 20, 45056, 2);
	CHECK_EQ(tap_fetch(&t, &req[1], 300), 0);
	CHECK_EQ(tap_ring_serve(&t, &req[0], file), 0);
	CHECK_EQ(attack_io_end(io[0]), 0);
	if (!attack_fetch(&t, &req[1]))
		return;
	CHECK_EQ(tap_ring_serve(&t, &req[1], file), 0);
	CHECK_EQ(attack_io_end(io[1]), 0);
	CHECK(tap_attr_is(0, POOL_FREE, "11"));

	/* What a dead server had is given back. */
	io[0] = attack_io(t.minor, 0, 45056, 1);
	if (!attack_fetch(&t, &req[0]))
		return;
	tap_close(&t);
	CHECK(tap_attr_read(0, POOL_FREE, buf, sizeof(buf)) > 0);
	CHECK(!strcmp(buf, "11"));
	CHECK_EQ(tap_free(t.minor), 0);
	CHECK(attack_io_end(io[0]) < 0);
}

/* The CLOSE message, and what happens to a server that ignores it. */
static void ring_close(void)
{
	struct pollfd pfd = { .events = POLLIN };
	struct blktap_ring_request req;
	struct attack_io *io;
	struct tap t;
	pid_t pid;

	if (!attack_ring_up(&t))
		return;
	io = attack_io(t.minor, 0, 4096, -1);
	if (!attack_fetch(&t, &req))
		return;
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(tap_attr_write(t.minor, "remove", "1") ? 1 : 0);
	pfd.fd = t.fd;
	CHECK_EQ(poll(&pfd, 1, 5000), 1);
	CHECK_EQ(tap_ring(&t)->msg, BLKTAP_RING_MESSAGE_CLOSE);
	CHECK(!attack_io_done(io, 100));
	/* Ten seconds are ours; then it is done by force. */
	CHECK(attack_io_done(io, 15000));
	CHECK(attack_io_end(io) < 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK(tap_attr_is(t.minor, "state", "no-disk"));
	/* The late answer is nobody's. */
	tap_answer(&t, req.id, req.operation, 0);
	CHECK_EQ(tap_respond(&t), 0);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_REMOVE_DEVICE, NULL), 0);
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
}

const struct attack_test attack_ring_tests[] = {
	{ "ring: data arrives, requests are well formed", ring_data },
	{ "ring: wrong and repeated ids complete nothing (A2)", ring_bad_ids },
	{ "ring: wrong operations and results are errors", ring_bad_answers },
	{ "ring: a producer out of range stops the ring (A3)",
		ring_bad_producer },
	{ "ring: all of it may change at any time (A1)", ring_moving },
	{ "ring: the mapping is one and whole (A23)", ring_mapping },
	{ "ring: an inherited mapping is no server (A23)", ring_inherited },
	{ "ring: a page pool limits requests in flight", ring_pool },
	{ "ring: remove asks, then forces", ring_close },
	{ NULL, NULL }
};
