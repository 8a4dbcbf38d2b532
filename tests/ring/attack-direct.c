// SPDX-License-Identifier: GPL-2.0
/*
 * blktap-attack: direct mode.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attack.h"

static void direct_setup(void)
{
	struct blktap_direct_setup good = {
		.version = 7, .depth = 100000, .max_io = 1U << 31,
	};
	struct blktap_direct_setup bad;
	struct tap t;

	CHECK_EQ(tap_alloc(&t), 0);
	if (!CHECK_EQ(tap_open(&t), 0))
		return;
#define BAD(member, value)						\
	do {								\
		bad = good;						\
		bad.member = value;					\
		CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_SETUP, &bad), \
			 -EINVAL);					\
	} while (0)
	BAD(version, 0);
	BAD(flags, 1);
	BAD(depth, 0);
	BAD(max_io, 0);
	BAD(max_io, 4095);
	BAD(reserved[0], 1);
	BAD(reserved[3], 1);
#undef BAD
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_SETUP, NULL), -EFAULT);
	CHECK_EQ(tap_xfer(&t, NULL, 0, NULL, 0, NULL), -EINVAL);
	CHECK_EQ(tap_file(&t, 0, 0), -EINVAL);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, 0), -EACCES);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_SETUP, &good), 0);
	CHECK_EQ(good.version, 1);
	CHECK_EQ(good.depth, BLKTAP_DIRECT_DEPTH_MAX);
	CHECK_EQ(good.max_io, BLKTAP_DIRECT_IO_MAX);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_SETUP, &good), -EBUSY);
	CHECK_EQ(tap_map(&t), -EBUSY);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_RESPOND, NULL), -EACCES);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ~0UL), 0);
	CHECK(tap_attr_is(t.minor, "mode", "direct"));
	attack_down(&t);
}

static void direct_files(void)
{
	int file = attack_file(0);
	int fds[2], fd;
	struct tap t;

	if (!attack_direct_up(&t, -1))
		return;
	CHECK_EQ(tap_file(&t, 0, file), 0);
	CHECK_EQ(tap_file(&t, 255, file), 0);
	CHECK_EQ(tap_file(&t, 256, file), -EINVAL);
	CHECK_EQ(tap_file(&t, ~0U, file), -EINVAL);
	CHECK_EQ(tap_file(&t, 1, 9999), -EBADF);
	CHECK_EQ(tap_file(&t, 1, -2), -EINVAL);
	CHECK_EQ(tap_file(&t, 1, t.fd), -EINVAL);
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(tap_file(&t, 1, fds[0]), -EINVAL);
	fd = open("/dev/null", O_RDWR);
	CHECK_EQ(tap_file(&t, 1, fd), -EINVAL);
	fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	CHECK_EQ(tap_file(&t, 1, fd), -EINVAL);
	fd = open("/tmp", O_PATH);
	CHECK_EQ(tap_file(&t, 1, fd), -EBADF);
	fd = attack_file(O_RDWR | O_APPEND);
	CHECK_EQ(tap_file(&t, 1, fd), -EINVAL);
	/* The disk cannot be served from itself. */
	fd = tap_disk_open(t.minor, O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(tap_file(&t, 1, fd), -EINVAL);
	close(fd);
	CHECK_EQ(tap_file(&t, 0, -1), 0);
	CHECK_EQ(tap_file(&t, 0, -1), 0);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_FILE, NULL), -EFAULT);
	attack_down(&t);
}

/* Each kind of extent, and all in one request. */
static void direct_data(void)
{
	int file = attack_file(0), second = attack_file(0);
	static char mine[4096], zero[512];
	struct blktap_direct_event e;
	struct attack_io *io;
	struct tap t;
	char c[4];
	int i;

	if (!attack_direct_up(&t, file))
		return;
	CHECK_EQ(tap_file(&t, 7, second), 0);

	io = attack_io(t.minor, 4096, 16384, 5);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(e.type, BLKTAP_EVENT_REQUEST);
	CHECK_EQ(e.op, BLKTAP_OP_WRITE);
	CHECK_EQ(e.sector, 8);
	CHECK_EQ(e.nr_sectors, 32);
	CHECK_EQ(e.result, 0);
	struct blktap_direct_extent w[] = {
		{ .addr = 512, .len = 512, .kind = BLKTAP_EXTENT_FILE },
		{ .addr = (uintptr_t)mine + 3, .len = 1024,
		  .kind = BLKTAP_EXTENT_USER },
		{ .addr = 0, .len = 14848, .file = 7,
		  .kind = BLKTAP_EXTENT_FILE },
	};
	CHECK_EQ(tap_map_extents(&t, e.tag, w, 3, 0), 0);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(e.type, BLKTAP_EVENT_MAPPED);
	CHECK_EQ(e.result, 0);
	CHECK(!attack_io_done(io, 50));
	CHECK_EQ(tap_end(&t, e.tag, 0), 0);
	CHECK_EQ(attack_io_end(io), 0);
	CHECK_EQ(pread(file, c, 3, 511), 3);
	CHECK(c[0] == 0 && c[1] == 5 && c[2] == 5);
	CHECK_EQ(pread(file, c, 2, 1023), 2);
	CHECK(c[0] == 5 && c[1] == 0);
	CHECK(mine[2] == 0 && mine[3] == 5 && mine[1026] == 5 &&
	      mine[1027] == 0);
	CHECK_EQ(pread(second, c, 2, 14847), 2);
	CHECK(c[0] == 5 && c[1] == 0);

	/* Read it back, in many pieces, some of them zero. */
	io = attack_io(t.minor, 4096, 16384, -1);
	if (!attack_event(&t, &e))
		return;
	static const int kinds[] = {
		BLKTAP_EXTENT_FILE, BLKTAP_EXTENT_ZERO, BLKTAP_EXTENT_USER
	};
	struct blktap_direct_extent r[32];

	memset(mine, 9, sizeof(mine));
	for (i = 0; i < 32; i++) {
		r[i].addr = i % 3 ? 0 : 512;
		r[i].addr = i % 3 == 2 ? (uintptr_t)mine + 1 : r[i].addr;
		r[i].len = 512;
		r[i].file = 0;
		r[i].kind = kinds[i % 3];
	}
	CHECK_EQ(tap_map_extents(&t, e.tag, r, 32, BLKTAP_MAP_END), 0);
	CHECK_EQ(attack_io_end(io), 0);
	for (i = 0; i < 32; i++) {
		memset(zero, i % 3 == 0 ? 5 : i % 3 == 1 ? 0 : 9, 512);
		CHECK_EQ(memcmp(io->data + i * 512, zero, 512), 0);
	}

	/* A flush, and an error of the server's choice. */
	io = attack_flush(t.minor);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(e.op, BLKTAP_OP_FLUSH);
	CHECK_EQ(e.nr_sectors, 0);
	CHECK_EQ(tap_end(&t, e.tag, -ENOSPC), 0);
	CHECK_EQ(attack_io_end(io), -ENOSPC);
	attack_down(&t);
}

static void direct_bad_commands(void)
{
	static char big[65536 * 16];
	struct blktap_direct_extent ok = { .len = 4096 }, bad;
	struct blktap_direct_cmd end, map, cmd;
	struct blktap_direct_event e;
	int file = attack_file(0);
	int ro = attack_file(0);
	struct attack_io *io;
	unsigned int done;
	char path[64];
	struct tap t;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ro);
	ro = open(path, O_RDONLY);
	if (!attack_direct_up(&t, file))
		return;
	CHECK_EQ(tap_file(&t, 1, ro), 0);
	CHECK_EQ(tap_end(&t, 0, 0), -ESRCH);
	CHECK_EQ(tap_end(&t, 64, 0), -ESRCH);
	CHECK_EQ(tap_end(&t, 256, 0), -ESRCH);
	CHECK_EQ(tap_end(&t, 0xffffffff, 0), -ESRCH);

	io = attack_io(t.minor, 0, 4096, 8);
	if (!attack_event(&t, &e))
		return;
	end = (struct blktap_direct_cmd) { .tag = e.tag, .op = BLKTAP_CMD_END };
	map = (struct blktap_direct_cmd) {
		.tag = e.tag, .op = BLKTAP_CMD_MAP, .nr_extents = 1,
		.extents = (uintptr_t)&ok,
	};
#define BAD(base, member, value, error)					\
	do {								\
		cmd = base;						\
		cmd.member = value;					\
		CHECK_EQ(tap_xfer(&t, &cmd, 1, NULL, 0, &done), error);	\
		CHECK_EQ(done, 0);					\
	} while (0)
#define BAD_EXTENT(member, value, error)				\
	do {								\
		bad = ok;						\
		bad.member = value;					\
		BAD(map, extents, (uintptr_t)&bad, error);		\
	} while (0)
	BAD(end, op, 0, -EINVAL);
	BAD(end, op, 3, -EINVAL);
	BAD(end, op, 255, -EINVAL);
	BAD(end, tag, e.tag + 1, -ESRCH);
	BAD(end, flags, 1, -EINVAL);
	BAD(end, result, 1, -EINVAL);
	BAD(end, result, -4096, -EINVAL);
	BAD(end, result, 1 << 31, -EINVAL);
	BAD(end, reserved, 1, -EINVAL);
	BAD(end, nr_extents, 1, -EINVAL);
	BAD(map, flags, 4, -EINVAL);
	BAD(map, result, -EIO, -EINVAL);
	BAD(map, reserved, 1, -EINVAL);
	BAD(map, nr_extents, 0, -EINVAL);
	BAD(map, nr_extents, 9, -EINVAL);
	BAD(map, nr_extents, 65535, -EINVAL);
	BAD(map, extents, 0, -EFAULT);
	BAD(map, extents, ~0ULL, -EFAULT);
	BAD_EXTENT(len, 0, -EINVAL);
	BAD_EXTENT(len, 512, -EINVAL);
	BAD_EXTENT(len, 4095, -EINVAL);
	BAD_EXTENT(len, 4608, -EINVAL);
	BAD_EXTENT(len, 0xfffffe00, -EINVAL);
	BAD_EXTENT(addr, 1, -EINVAL);
	BAD_EXTENT(addr, 1ULL << 63, -EINVAL);
	BAD_EXTENT(addr, (1ULL << 63) - 4096 + 512, -EINVAL);
	BAD_EXTENT(addr, ~511ULL, -EINVAL);
	BAD_EXTENT(kind, BLKTAP_EXTENT_ZERO, -EINVAL);
	BAD_EXTENT(kind, 3, -EINVAL);
	BAD_EXTENT(kind, 65535, -EINVAL);
	BAD_EXTENT(file, 1, -EBADF);
	BAD_EXTENT(file, 2, -EBADF);
	BAD_EXTENT(file, 256, -EBADF);
	BAD_EXTENT(file, 65535, -EBADF);
	bad = (struct blktap_direct_extent) {
		.addr = 4096, .len = 4096, .kind = BLKTAP_EXTENT_USER
	};
	BAD(map, extents, (uintptr_t)&bad, -EFAULT);
	bad.addr = 0xffff888000000000ULL;
	BAD(map, extents, (uintptr_t)&bad, -EFAULT);
	bad.file = 1;
	BAD(map, extents, (uintptr_t)&bad, -EINVAL);

	/* A batch stops at the first bad one and says which. */
	struct blktap_direct_cmd batch[3] = { map, end, end };

	batch[0].flags = BLKTAP_MAP_END;
	CHECK_EQ(tap_xfer(&t, batch, 3, NULL, 0, &done), -ESRCH);
	CHECK_EQ(done, 1);
	CHECK_EQ(attack_io_end(io), 0);
	/* Ended is ended. */
	CHECK_EQ(tap_end(&t, e.tag, 0), -ESRCH);
	CHECK_EQ(tap_xfer(&t, (void *)8, 1, NULL, 0, &done), -EFAULT);
	CHECK_EQ(tap_xfer(&t, (void *)big, ~0U, NULL, 0, &done), -ESRCH);
	CHECK_EQ(done, 0);
	attack_down(&t);
#undef BAD
#undef BAD_EXTENT
}

static void direct_bad_ends(void)
{
	struct blktap_direct_extent ext = { .len = 4096 };
	struct blktap_direct_event e;
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;

	if (!attack_direct_up(&t, file))
		return;
	/* A READ without data would show what the memory held before. */
	io = attack_io(t.minor, 0, 4096, -1);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(tap_end(&t, e.tag, 0), -EINVAL);
	CHECK_EQ(tap_map_extents(&t, e.tag, &ext, 1, BLKTAP_MAP_DSYNC),
		 -EINVAL);
	/* Nor do a short file or one that fails count as data. */
	CHECK_EQ(ftruncate(file, 2048), 0);
	CHECK_EQ(tap_map_extents(&t, e.tag, &ext, 1, BLKTAP_MAP_END), 0);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(e.type, BLKTAP_EVENT_MAPPED);
	CHECK_EQ(e.result, -EIO);
	CHECK_EQ(tap_end(&t, e.tag, 0), -EINVAL);
	CHECK_EQ(ftruncate(file, ATTACK_BYTES), 0);
	CHECK_EQ(tap_map_extents(&t, e.tag, &ext, 1, 0), 0);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(e.result, 0);
	CHECK_EQ(tap_end(&t, e.tag, 0), 0);
	CHECK_EQ(attack_io_end(io), 0);
	CHECK(attack_io_is(io, 0));

	/* No data, no MAP. */
	io = attack_flush(t.minor);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(tap_map_extents(&t, e.tag, &ext, 1, 0), -EINVAL);
	CHECK_EQ(tap_end(&t, e.tag, 0), 0);
	CHECK_EQ(attack_io_end(io), 0);
	attack_down(&t);
}

/* An event that did not arrive comes again. */
static void direct_lost_events(void)
{
	struct blktap_direct_xfer *x;
	struct blktap_direct_event e, again;
	struct attack_io *io[3];
	int file = attack_file(0);
	struct tap t;
	int i;

	if (!attack_direct_up(&t, file))
		return;
	for (i = 0; i < 3; i++) {
		io[i] = attack_io(t.minor, i * 8192, 4096, 1 + i);
		usleep(200000);
	}
	CHECK_EQ(tap_xfer(&t, NULL, 0, NULL, 3, NULL), -EFAULT);
	CHECK_EQ(tap_xfer(&t, NULL, 0, (void *)~4095ULL, ~0U, NULL), -EFAULT);
	/* Read-only parameters: all is done but telling so. */
	x = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	x->events = (uintptr_t)&e;
	x->max_events = 1;
	CHECK_EQ(mprotect(x, 4096, PROT_READ), 0);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_XFER, x), -EFAULT);
	/* What was shown is not owned, and the order is kept. */
	CHECK_EQ(tap_end(&t, e.tag, 0), -ESRCH);
	for (i = 0; i < 3; i++) {
		if (!attack_event(&t, &again))
			return;
		CHECK_EQ(again.sector, i * 16);
		CHECK_EQ(tap_direct_serve(&t, &again, file), 0);
		CHECK_EQ(attack_io_end(io[i]), 0);
	}

	/* The same for results. */
	struct blktap_direct_extent ext = { .len = 4096 };

	io[0] = attack_io(t.minor, 0, 4096, 1);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(tap_map_extents(&t, e.tag, &ext, 1, 0), 0);
	CHECK_EQ(tap_xfer(&t, NULL, 0, NULL, 3, NULL), -EFAULT);
	CHECK_EQ(tap_end(&t, e.tag, 0), -ESRCH);
	if (!attack_event(&t, &again))
		return;
	CHECK_EQ(again.type, BLKTAP_EVENT_MAPPED);
	CHECK_EQ(again.tag, e.tag);
	CHECK_EQ(tap_end(&t, e.tag, 0), 0);
	CHECK_EQ(attack_io_end(io[0]), 0);

	x = malloc(sizeof(*x));
	memset(x, 0, sizeof(*x));
	x->reserved = 1;
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_XFER, x), -EINVAL);
	x->reserved = 0;
	x->transfers = 1;
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_XFER, x), -EINVAL);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_DIRECT_XFER, NULL), -EFAULT);
	attack_down(&t);
}

static bool direct_stop;
static int direct_thread_file;

static void *direct_serve_thread(void *arg)
{
	struct blktap_direct_event events[4];
	struct tap *t = arg;
	int i, n, ret;

	while (!__atomic_load_n(&direct_stop, __ATOMIC_RELAXED)) {
		n = tap_events(t, events, 4, 20);
		CHECK(n >= 0);
		for (i = 0; i < n; i++) {
			ret = tap_direct_serve(t, &events[i],
					       direct_thread_file);
			CHECK_EQ(ret, 0);
		}
	}
	return NULL;
}

/* Commands with any tag, while others serve. */
static void *direct_noise_thread(void *arg)
{
	struct blktap_direct_extent ext = { .len = 512, .file = 250 };
	struct tap *t = arg;
	unsigned int tag = 0;
	int ret;

	while (!__atomic_load_n(&direct_stop, __ATOMIC_RELAXED)) {
		/* Bad in all cases: no such file. */
		ret = tap_map_extents(t, tag++ % 300, &ext, 1, 0);
		CHECK(ret == -ESRCH || ret == -EINVAL || ret == -EBADF);
	}
	return NULL;
}

static void direct_threads(void)
{
	struct attack_io *io[16];
	pthread_t threads[5];
	struct tap t;
	int i, round;

	direct_thread_file = attack_file(0);
	if (!attack_direct_up(&t, direct_thread_file))
		return;
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, direct_serve_thread, &t);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 16; i++)
			io[i] = attack_io(t.minor, i * 131072, 131072,
					  16 * round + i);
		for (i = 0; i < 16; i++)
			CHECK_EQ(attack_io_end(io[i]), 0);
		for (i = 0; i < 16; i++) {
			io[i] = attack_io(t.minor, i * 131072, 131072, -1);
			CHECK_EQ(attack_io_end(io[i]), 0);
			CHECK(attack_io_is(io[i], 16 * round + i));
		}
	}
	direct_stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	attack_down(&t);
}

/*
 * A server may be in the middle of a command for a moment when the noise finds
 * the request, so what serves here has to try again.
 */
static void direct_noise(void)
{
	struct blktap_direct_event e;
	struct attack_io *io;
	pthread_t thread;
	struct tap t;
	int i, ret;

	direct_thread_file = attack_file(0);
	if (!attack_direct_up(&t, direct_thread_file))
		return;
	pthread_create(&thread, NULL, direct_noise_thread, &t);
	for (i = 0; i < 50; i++) {
		io = attack_io(t.minor, 0, 65536, i);
		if (!attack_event(&t, &e))
			break;
		do {
			ret = tap_direct_serve(&t, &e, direct_thread_file);
		} while (ret == -ESRCH && !attack_io_done(io, 0));
		CHECK_EQ(ret, 0);
		CHECK_EQ(attack_io_end(io), 0);
	}
	direct_stop = true;
	pthread_join(thread, NULL);
	attack_down(&t);
}

static int direct_resize(struct tap *t, uint64_t sectors)
{
	return tap_ioctl(t, BLKTAP_IOCTL_DIRECT_RESIZE, &sectors);
}

/* Size that openers of the disk are told, in bytes, or -errno. */
static long direct_size(int minor)
{
	int fd = tap_disk_open(minor, O_RDONLY);
	long size;

	if (fd < 0)
		return fd;
	size = lseek(fd, 0, SEEK_END);
	close(fd);
	return size;
}

static void direct_bad_sizes(struct tap *t, uint64_t sectors)
{
	CHECK_EQ(direct_resize(t, 0), -EINVAL);
	CHECK_EQ(direct_resize(t, 1), -EINVAL);
	CHECK_EQ(direct_resize(t, sectors - 1), -EINVAL);
	CHECK_EQ(direct_resize(t, 1ULL << 54), -EINVAL);
	CHECK_EQ(direct_resize(t, 1ULL << 55), -EINVAL);
	CHECK_EQ(direct_resize(t, 1ULL << 63), -EINVAL);
	CHECK_EQ(direct_resize(t, (1ULL << 63) + sectors), -EINVAL);
	CHECK_EQ(direct_resize(t, ~0ULL), -EINVAL);
	CHECK_EQ(tap_ioctl(t, BLKTAP_IOCTL_DIRECT_RESIZE, NULL), -EFAULT);
	CHECK_EQ(tap_ioctl(t, BLKTAP_IOCTL_DIRECT_RESIZE, (void *)~7UL),
		 -EFAULT);
	CHECK_EQ(direct_size(t->minor), sectors * 512);
}

/* Who serves no disk cannot resize one. */
static void direct_resize_states(void)
{
	struct tap t, ring;

	CHECK_EQ(tap_alloc(&t), 0);
	if (!CHECK_EQ(tap_open(&t), 0))
		return;
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS), -EINVAL);
	CHECK_EQ(tap_setup(&t, 8, 8192), 0);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS), -ENODEV);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS), 0);
	CHECK_EQ(tap_remove(&t), 0);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS * 2), -ENODEV);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS * 2), -ENODEV);
	attack_down(&t);

	if (!attack_ring_up(&ring))
		return;
	CHECK_EQ(direct_resize(&ring, ATTACK_SECTORS * 2), -EINVAL);
	CHECK_EQ(direct_size(ring.minor), ATTACK_BYTES);
	attack_down(&ring);
}

/* The disk grows under I/O, and what follows reaches its new end. */
static void direct_grow(void)
{
	const uint64_t last = (1ULL << 54) - 1;
	struct blktap_direct_event e;
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;

	if (!attack_direct_up(&t, file))
		return;
	direct_bad_sizes(&t, ATTACK_SECTORS);
	io = attack_io(t.minor, ATTACK_BYTES, 4096, 1);
	CHECK_EQ(attack_io_end(io), -ENOSPC);
	io = attack_io(t.minor, 0, 4096, 2);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(ftruncate(file, ATTACK_BYTES * 2), 0);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS * 2), 0);
	CHECK_EQ(direct_size(t.minor), ATTACK_BYTES * 2);
	direct_bad_sizes(&t, ATTACK_SECTORS * 2);
	CHECK_EQ(tap_direct_serve(&t, &e, file), 0);
	CHECK_EQ(attack_io_end(io), 0);
	io = attack_io(t.minor, ATTACK_BYTES * 2 - 4096, 4096, 3);
	if (!attack_event(&t, &e))
		return;
	CHECK_EQ(e.sector, ATTACK_SECTORS * 2 - 8);
	CHECK_EQ(tap_direct_serve(&t, &e, file), 0);
	CHECK_EQ(attack_io_end(io), 0);

	/* The next server has to have all of it, and may bring more. */
	tap_close(&t);
	CHECK(attack_state(t.minor, "waiting", 1000));
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_setup(&t, 8, 8192), 0);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS * 4), -ENODEV);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, ATTACK_DIRECT), -EINVAL);
	CHECK_EQ(tap_create(&t, 1ULL << 54, ATTACK_DIRECT), -EINVAL);
	CHECK_EQ(direct_size(t.minor), ATTACK_BYTES * 2);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS * 3, ATTACK_DIRECT), 0);
	CHECK_EQ(direct_size(t.minor), ATTACK_BYTES * 3L);
	/* As large as there is; the last sector can be asked for. */
	CHECK_EQ(direct_resize(&t, last), 0);
	CHECK_EQ(direct_size(t.minor), (long)last * 512);
	CHECK_EQ(direct_resize(&t, last), 0);
	CHECK_EQ(direct_resize(&t, last + 1), -EINVAL);
	attack_down(&t);
}

static void *direct_grow_thread(void *arg)
{
	struct tap *t = arg;
	uint64_t sectors;

	for (sectors = ATTACK_SECTORS; sectors < ATTACK_SECTORS + 2000;
	     sectors++) {
		int ret = direct_resize(t, sectors);

		/* Another may be ahead, or have removed the disk. */
		CHECK(!ret || ret == -EINVAL || ret == -ENODEV);
	}
	return NULL;
}

/* Several threads grow a disk that is removed meanwhile. */
static void direct_grow_race(void)
{
	int file = attack_file(0);
	pthread_t threads[3];
	struct tap t;
	int i;

	if (!attack_direct_up(&t, file))
		return;
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, direct_grow_thread, &t);
	usleep(20000);
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(direct_resize(&t, ATTACK_SECTORS * 2), -ENODEV);
	attack_down(&t);
}

const struct attack_test attack_direct_tests[] = {
	{ "direct: set up", direct_setup },
	{ "direct: files", direct_files },
	{ "direct: extents of all kinds", direct_data },
	{ "direct: bad commands and extents (A4)", direct_bad_commands },
	{ "direct: no end without data", direct_bad_ends },
	{ "direct: events are not lost", direct_lost_events },
	{ "direct: several threads", direct_threads },
	{ "direct: commands for others' requests", direct_noise },
	{ "direct: resize without a disk", direct_resize_states },
	{ "direct: the disk grows", direct_grow },
	{ "direct: growth and removal", direct_grow_race },
	{ NULL, NULL }
};
