// SPDX-License-Identifier: GPL-2.0
/*
 * blktap-attack: servers that are stuck or late, and what others get from that.
 *
 * A userfaultfd of this process makes an access of the kernel to its memory last
 * as long as a test likes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

#define POOL_FREE "/sys/class/misc/blktap-control/pools/td0/free"

/**
 * struct stuck - a page that is not there until it is given
 * @fd: the userfaultfd
 * @page: the page
 * @data: what it will hold
 */
struct stuck {
	int fd;
	char *page;
	char data[4096] __attribute__((aligned(4096)));
};

static bool stuck_up(struct stuck *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
		.range.len = 4096,
	};

	memset(s->data, 0, sizeof(s->data));
	s->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)s->page;
	s->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	return CHECK(s->fd >= 0) && CHECK_EQ(ioctl(s->fd, UFFDIO_API, &api), 0) &&
	       CHECK_EQ(ioctl(s->fd, UFFDIO_REGISTER, &reg), 0);
}

/* Wait until somebody waits for the page. */
static void stuck_wait(struct stuck *s)
{
	struct uffd_msg msg;

	CHECK_EQ(read(s->fd, &msg, sizeof(msg)), (long)sizeof(msg));
}

static void stuck_give(struct stuck *s)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)s->page,
		.src = (uintptr_t)s->data,
		.len = 4096,
	};

	CHECK_EQ(ioctl(s->fd, UFFDIO_COPY, &copy), 0);
}

/**
 * struct stuck_call - an ioctl of a thread of its own
 * @t: the tap
 * @nr: the ioctl
 * @arg: its argument
 * @ret: what it returned
 * @thread: the thread
 */
struct stuck_call {
	struct tap *t;
	unsigned long nr;
	void *arg;
	int ret;
	pthread_t thread;
};

static void *stuck_call_run(void *arg)
{
	struct stuck_call *call = arg;

	call->ret = tap_ioctl(call->t, call->nr, call->arg);
	return NULL;
}

static void stuck_call(struct stuck_call *call, struct tap *t,
		       unsigned long nr, void *arg)
{
	call->t = t;
	call->nr = nr;
	call->arg = arg;
	CHECK_EQ(pthread_create(&call->thread, NULL, stuck_call_run, call), 0);
}

static int stuck_return(struct stuck_call *call)
{
	pthread_join(call->thread, NULL);
	return call->ret;
}

/* Is the disk removed by force in time, by a process that has no part in this? */
static bool stuck_removes(int minor)
{
	uint64_t end = attack_now_ms() + 20000;
	int status = 0, fd;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (fd = 3; fd < 64; fd++)
			close(fd);
		_exit(tap_attr_write(minor, "remove", "1") ? 1 : 0);
	}
	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (attack_now_ms() > end)
			return false;
		usleep(5000);
	}
	return !status;
}

/*
 * A server changes what was checked before its memory was read: CREATE_DEVICE of
 * a ring whose mapping goes meanwhile, of a tap that was in direct mode before.
 */
static void stuck_create(void)
{
	struct blktap_device_info *info;
	struct stuck_call call;
	static struct stuck s;
	struct tap t;

	CHECK_EQ(tap_alloc(&t), 0);
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_setup(&t, 256, BLKTAP_DIRECT_IO_MAX), 0);
	tap_close(&t);
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_map(&t), 0);
	if (!stuck_up(&s))
		return;
	info = (void *)s.data;
	info->capacity = ATTACK_SECTORS;
	info->sector_size = 512;
	stuck_call(&call, &t, BLKTAP_IOCTL_CREATE_DEVICE, s.page);
	stuck_wait(&s);
	munmap(t.map, TAP_MAP_SIZE);
	t.map = NULL;
	stuck_give(&s);
	CHECK_EQ(stuck_return(&call), -EACCES);
	CHECK(tap_attr_is(t.minor, "state", "no-disk"));
	CHECK(tap_attr_is(t.minor, "mode", "none"));
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
}

/* Removal does not wait for the memory that a command names. */
static void stuck_command(unsigned int kind, int byte)
{
	struct blktap_direct_extent ext = { .len = 4096, .kind = kind };
	struct blktap_direct_xfer x = { .nr_cmds = 1 };
	struct blktap_direct_cmd cmd = {
		.op = BLKTAP_CMD_MAP, .flags = BLKTAP_MAP_END, .nr_extents = 1,
	};
	struct blktap_direct_event e;
	struct stuck_call call;
	static struct stuck s;
	struct attack_io *io;
	struct tap t;

	if (!attack_direct_up(&t, attack_file(0)) || !stuck_up(&s))
		return;
	io = attack_io(t.minor, 0, 4096, byte);
	if (!attack_event(&t, &e))
		return;
	cmd.tag = e.tag;
	x.cmds = (uintptr_t)&cmd;
	if (kind == BLKTAP_EXTENT_USER) {
		ext.addr = (uintptr_t)s.page;
		cmd.extents = (uintptr_t)&ext;
	} else {
		memcpy(s.data, &ext, sizeof(ext));
		cmd.extents = (uintptr_t)s.page;
	}
	stuck_call(&call, &t, BLKTAP_IOCTL_DIRECT_XFER, &x);
	stuck_wait(&s);
	CHECK(stuck_removes(t.minor));
	CHECK(attack_io_end(io) < 0);
	stuck_give(&s);
	CHECK_EQ(stuck_return(&call), -ESRCH);
	attack_down(&t);
}

static void stuck_extents(void)
{
	stuck_command(BLKTAP_EXTENT_FILE, 1);
}

static void stuck_data(void)
{
	stuck_command(BLKTAP_EXTENT_USER, -1);
	stuck_command(BLKTAP_EXTENT_USER, 1);
}

/* Nor for that which events are copied to; and none are lost by the wait. */
static void stuck_events(void)
{
	struct blktap_direct_xfer x = { .max_events = 4 };
	struct blktap_direct_event *e;
	int file = attack_file(0);
	struct stuck_call call;
	struct attack_io *io;
	static struct stuck s;
	struct tap t;
	int way;

	for (way = 0; way < 2; way++) {
		if (!attack_direct_up(&t, file) || !stuck_up(&s))
			return;
		io = attack_io(t.minor, 0, 4096, 3);
		while (poll(&(struct pollfd) { .fd = t.fd, .events = POLLIN },
			    1, 1000) != 1)
			;
		x.events = (uintptr_t)s.page;
		x.max_events = 4;
		x.transfers = 0;
		stuck_call(&call, &t, BLKTAP_IOCTL_DIRECT_XFER, &x);
		stuck_wait(&s);
		if (way) {
			CHECK(stuck_removes(t.minor));
			CHECK(attack_io_end(io) < 0);
		}
		stuck_give(&s);
		CHECK_EQ(stuck_return(&call), 0);
		CHECK_EQ(x.max_events, 1);
		e = (void *)s.page;
		if (way) {
			CHECK_EQ(e->type, BLKTAP_EVENT_GONE);
		} else {
			CHECK_EQ(e->type, BLKTAP_EVENT_REQUEST);
			CHECK_EQ(tap_direct_serve(&t, e, file), 0);
			CHECK_EQ(attack_io_end(io), 0);
		}
		attack_down(&t);
	}
}

/* Data arrives whole when part of the server's memory has to be faulted in. */
static void stuck_late_data(void)
{
	struct blktap_direct_extent ext[2] = {
		{ .len = 512, .kind = BLKTAP_EXTENT_USER },
		{ .len = 4096, .kind = BLKTAP_EXTENT_USER },
	};
	struct blktap_direct_xfer x = { .nr_cmds = 1 };
	struct blktap_direct_cmd cmd = {
		.op = BLKTAP_CMD_MAP, .flags = BLKTAP_MAP_END, .nr_extents = 2,
	};
	struct blktap_direct_event e;
	struct stuck_call call;
	static struct stuck s;
	static char here[512];
	struct attack_io *io;
	struct tap t;

	if (!attack_direct_up(&t, attack_file(0)) || !stuck_up(&s))
		return;
	memset(here, 7, sizeof(here));
	memset(s.data, 7, sizeof(s.data));
	ext[0].addr = (uintptr_t)here;
	ext[1].addr = (uintptr_t)s.page;
	io = attack_io(t.minor, 0, 4608, -1);
	if (!attack_event(&t, &e))
		return;
	cmd.tag = e.tag;
	cmd.extents = (uintptr_t)ext;
	x.cmds = (uintptr_t)&cmd;
	stuck_call(&call, &t, BLKTAP_IOCTL_DIRECT_XFER, &x);
	stuck_wait(&s);
	stuck_give(&s);
	CHECK_EQ(stuck_return(&call), 0);
	CHECK_EQ(attack_io_end(io), 0);
	CHECK(attack_io_is(io, 7));
	attack_down(&t);
}

/* Servers that keep all that the pool has do not stop another. */
static void stuck_pool(void)
{
	struct blktap_ring_request req;
	int file = attack_file(0);
	struct attack_io *io[65];
	struct tap t[3];
	int i, n = 0;

	for (i = 0; i < 3; i++)
		if (!attack_ring_up(&t[i]))
			return;
	for (i = 0; i < 64; i++)
		io[i] = attack_io(t[i / 32].minor, i % 32 * 45056, 45056, 1);
	while (n < 64 && (attack_fetch(&t[n / 32], &req)))
		n++;
	CHECK_EQ(n, 64);
	CHECK(tap_attr_is(0, POOL_FREE, "0"));
	/* More than one of these, too: a share, not a crumb. */
	io[64] = attack_io(t[2].minor, 0, 90112, 5);
	for (i = 0; i < 2; i++)
		CHECK(attack_fetch(&t[2], &req));
	for (i = 0; i < 3; i++)
		tap_close(&t[i]);
	CHECK_EQ(tap_open(&t[2]), 0);
	CHECK_EQ(tap_map(&t[2]), 0);
	CHECK_EQ(tap_create(&t[2], ATTACK_SECTORS, ATTACK_RING), 0);
	for (i = 0; i < 2; i++)
		if (attack_fetch(&t[2], &req))
			CHECK_EQ(tap_ring_serve(&t[2], &req, file), 0);
	CHECK_EQ(attack_io_end(io[64]), 0);
	tap_close(&t[2]);
	for (i = 0; i < 3; i++)
		CHECK_EQ(tap_free(t[i].minor), 0);
	for (i = 0; i < 64; i++)
		CHECK(attack_io_end(io[i]) < 0);
	CHECK(tap_attr_is(0, POOL_FREE, "704"));
}

/* A direct server learns that its disk has gone, once and not from itself. */
static void stuck_gone(void)
{
	struct pollfd pfd = { .events = POLLIN };
	struct blktap_direct_event e[2];
	int file = attack_file(0);
	struct tap t;

	if (!attack_direct_up(&t, file))
		return;
	pfd.fd = t.fd;
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	CHECK_EQ(poll(&pfd, 1, 0), 1);
	/* Not lost when it cannot be told. */
	CHECK_EQ(tap_xfer(&t, NULL, 0, NULL, 2, NULL), -EFAULT);
	CHECK_EQ(poll(&pfd, 1, 0), 1);
	CHECK_EQ(tap_events(&t, e, 2, 0), 1);
	CHECK_EQ(e[0].type, BLKTAP_EVENT_GONE);
	CHECK_EQ(e[0].tag, 0);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	/* The same server may have another, and remove that itself. */
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
	CHECK_EQ(tap_remove(&t), 0);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	/* News of an old disk is not told about a new one. */
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	attack_down(&t);
}

/* Requests that wait for the server. */
static unsigned int stuck_pending(int minor)
{
	char path[64], line[256];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/blktap2/blktap%d/debug",
		 minor);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *p = strstr(line, "pending ");

		if (p)
			n = strtoul(p + 8, NULL, 10);
	}
	if (f)
		fclose(f);
	return n;
}

static void stuck_epoll_ring(void)
{
	struct epoll_event want = { .events = EPOLLIN }, got;
	struct blktap_ring_request req;
	struct pollfd pfd = { .events = POLLIN };
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;
	int way;

	for (way = 0; way < 3; way++) {
		int ep = epoll_create1(EPOLL_CLOEXEC);

		if (!attack_ring_up(&t))
			return;
		io = attack_io(t.minor, 0, 4096, 1);
		/* It waits before epoll looks. */
		while (!stuck_pending(t.minor))
			usleep(1000);
		CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, t.fd, &want), 0);
		if (way == 1)
			CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, t.fd, &want), 0);
		if (way == 2) {
			pfd.fd = ep;
			CHECK_EQ(poll(&pfd, 1, 1000), 1);
		}
		CHECK_EQ(epoll_wait(ep, &got, 1, 3000), 1);
		CHECK_EQ(tap_fetch(&t, &req, 0), 1);
		CHECK_EQ(tap_ring_serve(&t, &req, file), 0);
		CHECK_EQ(attack_io_end(io), 0);
		close(ep);
		/* poll() alone tells once: no server spins. */
		io = attack_io(t.minor, 0, 4096, 2);
		pfd.fd = t.fd;
		CHECK_EQ(poll(&pfd, 1, 10000), 1);
		CHECK_EQ(poll(&pfd, 1, 0), 0);
		CHECK_EQ(tap_fetch(&t, &req, 0), 1);
		CHECK_EQ(tap_ring_serve(&t, &req, file), 0);
		CHECK_EQ(attack_io_end(io), 0);
		attack_down(&t);
	}
}

/* The answer to a request of a removed disk ends none of the next. */
static void stuck_stale(void)
{
	struct blktap_ring_request old, req;
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;
	pid_t pid;

	if (!attack_ring_up(&t))
		return;
	io = attack_io(t.minor, 0, 4096, -1);
	if (!attack_fetch(&t, &old))
		return;
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(tap_attr_write(t.minor, "remove", "1") ? 1 : 0);
	CHECK(attack_io_done(io, 20000));
	CHECK(attack_io_end(io) < 0);
	waitpid(pid, NULL, 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_RING), -EBUSY);
	CHECK(tap_attr_is(t.minor, "state", "no-disk"));
	tap_answer(&t, old.id, old.operation, 0);
	CHECK_EQ(tap_respond(&t), 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_RING), 0);
	/* Nor is it asked to close for what an earlier disk did. */
	CHECK_EQ(tap_ring(&t)->msg, 0);
	io = attack_io(t.minor, 0, 4096, -1);
	if (!attack_fetch(&t, &req))
		return;
	CHECK_EQ(tap_ring_serve(&t, &req, file), 0);
	CHECK_EQ(attack_io_end(io), 0);
	attack_down(&t);
}

/* A disk that is removed while no server is there leaves no mode behind. */
static void stuck_mode(void)
{
	struct tap t;

	if (!attack_ring_up(&t))
		return;
	tap_close(&t);
	CHECK(tap_attr_is(t.minor, "mode", "ring"));
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	CHECK(tap_attr_is(t.minor, "mode", "none"));
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_setup(&t, 8, 8192), 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
	attack_down(&t);
}

/* Zeros that must stay allocated are told, or written. */
static int stuck_zero(int minor)
{
	int fd = tap_disk_open(minor, O_RDWR);
	uint64_t range[2] = { 0, 8192 };
	int ret;

	if (fd < 0)
		return fd;
	ret = ioctl(fd, _IO(0x12, 127), range) ? -errno : 0;
	close(fd);
	return ret;
}

static void stuck_nounmap(void)
{
	struct blktap_direct_event e;
	int file = attack_file(0);
	unsigned int ops;
	struct tap t;
	int way;
	pid_t pid;

	for (way = 0; way < 2; way++) {
		CHECK_EQ(tap_alloc(&t), 0);
		CHECK_EQ(tap_open(&t), 0);
		CHECK_EQ(tap_setup(&t, 8, 8192), 0);
		CHECK_EQ(tap_file(&t, 0, file), 0);
		CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT |
				    (way ? BLKTAP_DEVICE_NOUNMAP : 0)), 0);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			close(t.fd);
			_exit(stuck_zero(t.minor) ? 1 : 0);
		}
		ops = 0;
		while (waitpid(pid, NULL, WNOHANG) != pid) {
			if (tap_events(&t, &e, 1, 20) != 1)
				continue;
			ops |= 1U << e.op;
			if (e.op == BLKTAP_OP_WRITE_ZEROES) {
				CHECK_EQ(e.flags, BLKTAP_REQ_NOUNMAP);
				/* Not every file system of /tmp can do it. */
				CHECK_EQ(tap_end(&t, e.tag, 0), 0);
				continue;
			}
			CHECK_EQ(tap_direct_serve(&t, &e, file), 0);
		}
		CHECK_EQ(!!(ops & 1 << BLKTAP_OP_WRITE_ZEROES), way);
		CHECK_EQ(!!(ops & 1 << BLKTAP_OP_WRITE), !way);
		attack_down(&t);
	}
}

#define FAIL_DIR	"/sys/kernel/debug/fail_page_alloc/"

/* From now on no allocation of this thread gets several pages in a row. */
static void stuck_fragmented(void)
{
	static const char * const set[][2] = {
		{ FAIL_DIR "min-order", "1" }, { FAIL_DIR "task-filter", "Y" },
		{ FAIL_DIR "ignore-gfp-wait", "N" },
		{ FAIL_DIR "verbose", "0" }, { FAIL_DIR "times", "-1" },
		{ FAIL_DIR "probability", "100" },
		{ "/proc/self/make-it-fail", "1" },
	};
	size_t i;

	if (access(FAIL_DIR, F_OK)) {
		printf("# no fault injection in this kernel: memory is as it is\n");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(set); i++)
		CHECK_EQ(tap_attr_write(0, set[i][0], set[i][1]), 0);
}

/* A request in as many pieces as there can be. */
static void stuck_pieces(void)
{
	static struct blktap_direct_extent ext[2048];
	struct blktap_direct_event e;
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;
	size_t i;
	char c;
	int ret;

	if (!attack_direct_up(&t, file))
		return;
	io = attack_io(t.minor, 0, 1 << 20, 6);
	if (!attack_event(&t, &e) || !CHECK_EQ(e.nr_sectors, 2048))
		return;
	for (i = 0; i < ARRAY_SIZE(ext); i++) {
		ext[i].addr = (2047 - i) * 512;
		ext[i].len = 512;
	}
	stuck_fragmented();
	ret = tap_map_extents(&t, e.tag, ext, ARRAY_SIZE(ext), BLKTAP_MAP_END);
	tap_attr_write(0, FAIL_DIR "probability", "0");
	CHECK_EQ(ret, 0);
	CHECK_EQ(attack_io_end(io), 0);
	for (i = 0; i < ARRAY_SIZE(ext); i++)
		if (!CHECK(pread(file, &c, 1, i * 512) == 1 && c == 6))
			break;
	attack_down(&t);
}

static void stuck_names(void)
{
	struct blktap2_params params = {
		.name = "a\nb", .capacity = 16, .sector_size = 512
	};
	struct tap t;

	CHECK_EQ(tap_alloc(&t), 0);
	CHECK_EQ(tap_attr_write(t.minor, "name", "a\n7 vhd:b"), -EINVAL);
	CHECK_EQ(tap_attr_write(t.minor, "name", "a\n"), 0);
	CHECK(tap_attr_is(t.minor, "name", "a"));
	CHECK_EQ(tap_attr_write(t.minor, "pool", "a\nb"), -EINVAL);
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_map(&t), 0);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE_COMPAT, &params),
		 -EINVAL);
	CHECK(tap_attr_is(t.minor, "state", "no-disk"));
	CHECK(tap_attr_is(t.minor, "name", "a"));
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
}

const struct attack_test attack_stuck_tests[] = {
	{ "stuck: a disk is made for its server only", stuck_create },
	{ "stuck: extents that do not arrive hold up no removal",
		stuck_extents },
	{ "stuck: nor does data", stuck_data },
	{ "stuck: nor do events, and none is lost", stuck_events },
	{ "stuck: data that arrives late is whole", stuck_late_data },
	{ "stuck: two servers do not use up a pool", stuck_pool },
	{ "stuck: a direct server is told that its disk has gone", stuck_gone },
	{ "stuck: epoll loses no request", stuck_epoll_ring },
	{ "stuck: a late answer is for no other disk", stuck_stale },
	{ "stuck: a removed disk leaves no mode", stuck_mode },
	{ "stuck: zeros that must stay allocated", stuck_nounmap },
	{ "stuck: a request in many pieces needs no pages in a row",
		stuck_pieces },
	{ "stuck: names are one line", stuck_names },
	{ NULL, NULL }
};
