// SPDX-License-Identifier: GPL-2.0
/*
 * blktap-attack: life and death of taps, disks and servers, in both modes.
 *
 * A transfer is kept going for as long as a test likes by serving one tap from
 * the disk of another with O_DIRECT.
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attack.h"

static void life_control(void)
{
	struct tap a, b, c;
	char path[64];
	struct stat st;

	CHECK_EQ(tap_control(0, 0), -ENOTTY);
	CHECK_EQ(tap_control(202, 0), -ENOTTY);
	CHECK_EQ(tap_control(BLKTAP_IOCTL_ALLOC_TAP, 0), -EFAULT);
	CHECK_EQ(tap_free(1024), -EINVAL);
	CHECK_EQ(tap_free(-1), -EINVAL);
	CHECK_EQ(tap_control(BLKTAP_IOCTL_FREE_TAP, 1UL << 32), -EINVAL);
	CHECK_EQ(tap_free(1023), -ENODEV);
	CHECK_EQ(tap_alloc(&a), 0);
	CHECK_EQ(tap_alloc(&b), 0);
	CHECK_EQ(b.minor, a.minor + 1);
	CHECK_EQ(tap_free(a.minor), 0);
	CHECK_EQ(tap_free(a.minor), -ENODEV);
	/* The lowest free minor is the next. */
	CHECK_EQ(tap_alloc(&c), 0);
	CHECK_EQ(c.minor, a.minor);
	snprintf(path, sizeof(path), "/dev/xen/blktap-2/blktap%d", c.minor);
	CHECK_EQ(stat(path, &st), 0);
	CHECK(S_ISCHR(st.st_mode) && (st.st_mode & 0777) == 0600);
	CHECK_EQ(major(st.st_rdev), c.ring_major);
	CHECK_EQ(minor(st.st_rdev), c.minor);
	CHECK_EQ(tap_open(&c), 0);
	CHECK_EQ(tap_free(c.minor), -EBUSY);
	/* The module cannot go. */
	CHECK(syscall(SYS_delete_module, "blktap2", O_NONBLOCK) < 0);
	tap_close(&c);
	CHECK_EQ(tap_free(c.minor), 0);
	CHECK_EQ(tap_free(b.minor), 0);
	/* A node of a tap that has gone. */
	CHECK_EQ(mknod("/tmp/attack-node", S_IFCHR | 0600,
		       makedev(c.ring_major, 1000)), 0);
	CHECK(open("/tmp/attack-node", O_RDWR) < 0 && errno == ENXIO);
	unlink("/tmp/attack-node");
}

static void life_all_minors(void)
{
	struct tap t[1024], more;
	int i, n = 0;

	while (n < 1024 && !tap_alloc(&t[n]))
		n++;
	CHECK(n == 1024);
	CHECK_EQ(tap_alloc(&more), -ENOMEM);
	CHECK_EQ(tap_open(&t[n - 1]), 0);
	CHECK_EQ(tap_setup(&t[n - 1], 1, 4096), 0);
	CHECK_EQ(tap_create(&t[n - 1], 8, 0), 0);
	CHECK_EQ(access("/sys/block/tdamj", F_OK), 0);
	CHECK_EQ(tap_remove(&t[n - 1]), 0);
	tap_close(&t[n - 1]);
	for (i = 0; i < n; i++)
		CHECK_EQ(tap_free(t[i].minor), 0);
}

static void life_geometry(void)
{
	struct blktap_device_info good = {
		.capacity = 2048, .sector_size = 512,
		.phys_block_size = 4096, .phys_block_offset = 512,
		.trim_block_size = 8192, .trim_block_offset = 4096,
		.flags = 0xffffffff,
	};
	struct blktap2_params params = { .capacity = 16, .sector_size = 512 };
	struct blktap_device_info bad, *edge;
	char *page;
	struct tap t;

	CHECK_EQ(tap_alloc(&t), 0);
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_create(&t, 16, 0), -EACCES);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_REMOVE_DEVICE, NULL), -EACCES);
	CHECK_EQ(tap_ioctl(&t, 203, NULL), -ENOTTY);
	CHECK_EQ(tap_map(&t), 0);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_REMOVE_DEVICE, NULL), 0);
#define BAD(member, value)						\
	do {								\
		bad = good;						\
		bad.member = value;					\
		CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE,	\
				   &bad), -EINVAL);			\
	} while (0)
	BAD(capacity, 0);
	BAD(capacity, ~0ULL);
	BAD(capacity, 1ULL << 55);
	BAD(sector_size, 0);
	BAD(sector_size, 256);
	BAD(sector_size, 513);
	BAD(sector_size, 8192);
	BAD(phys_block_size, 0);
	BAD(phys_block_size, 256);
	BAD(phys_block_size, 4097);
	BAD(phys_block_offset, 4096);
	BAD(phys_block_offset, 1);
	BAD(trim_block_size, 0);
	BAD(trim_block_size, 3 << 12);
	BAD(trim_block_offset, 8192);
	BAD(trim_block_offset, 511);
#undef BAD
	/* Without PSZ and TRIM, 24 bytes are all that is read. */
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	edge = (void *)(page + 4096 - 24);
	*(uint64_t *)edge = 2048;
	edge->sector_size = 512;
	edge->flags = BLKTAP_DEVICE_TRIM;
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE, edge), -EFAULT);
	edge->flags = BLKTAP_DEVICE_PSZ;
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE, edge), -EFAULT);
	edge->flags = BLKTAP_DEVICE_FLUSH | 0x80000;
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE, edge), 0);
	CHECK_EQ(edge->flags, BLKTAP_DEVICE_FLUSH);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE, &good), -EEXIST);
	CHECK_EQ(tap_remove(&t), 0);
	/* What ring mode can, and no more. */
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE, &good), 0);
	CHECK_EQ(good.flags, 0x1f);
	CHECK_EQ(tap_remove(&t), 0);
	/* The old form, which brings a name. */
	memset(params.name, 'n', sizeof(params.name));
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE_COMPAT, &params), 0);
	CHECK_EQ(tap_remove(&t), 0);
	params.sector_size = (1UL << 32) + 512;
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_CREATE_DEVICE_COMPAT, &params),
		 -EINVAL);
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
}

static void life_attributes(void)
{
	char big[300], buf[512];
	struct tap t;

	CHECK_EQ(tap_alloc(&t), 0);
	CHECK(tap_attr_is(t.minor, "state", "no-disk"));
	CHECK(tap_attr_is(t.minor, "mode", "none"));
	CHECK_EQ(tap_attr_read(t.minor, "task", buf, sizeof(buf)), 0);
	CHECK_EQ(tap_attr_write(t.minor, "name", "vhd:/a b"), 0);
	CHECK(tap_attr_is(t.minor, "name", "vhd:/a b"));
	memset(big, 'x', sizeof(big));
	big[256] = 0;
	CHECK_EQ(tap_attr_write(t.minor, "name", big), -ENAMETOOLONG);
	big[255] = 0;
	CHECK_EQ(tap_attr_write(t.minor, "name", big), 0);
	CHECK(tap_attr_is(t.minor, "name", big));
	CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout", "-1"), -EINVAL);
	CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout", "86401"),
		 -EINVAL);
	CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout", "x"), -EINVAL);
	CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout", "7"), 0);
	CHECK(tap_attr_is(t.minor, "recovery_timeout", "7"));
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	CHECK_EQ(tap_open(&t), 0);
	CHECK(tap_attr_read(t.minor, "task", buf, sizeof(buf)) > 0);
	CHECK_EQ(atoi(buf), getpid());
	CHECK(tap_attr_read(t.minor, "debug", buf, sizeof(buf)) > 0);
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
}

/* Two taps: @top in direct mode is served from the disk of @low. */
static bool life_stack(struct tap *top, struct tap *low)
{
	int disk;

	if (!attack_ring_up(low))
		return false;
	disk = tap_disk_open(low->minor, O_RDWR | O_DIRECT);
	if (!CHECK(disk >= 0))
		return false;
	if (!attack_direct_up(top, disk))
		return false;
	close(disk);
	return true;
}

/* Begin a transfer that waits for @low. */
static struct attack_io *life_transfer(struct tap *top, struct tap *low,
				       int byte, unsigned int flags,
				       uint32_t *tag,
				       struct blktap_ring_request *below)
{
	struct blktap_direct_extent ext = { .len = 4096 };
	struct attack_io *io = attack_io(top->minor, 0, 4096, byte);
	struct blktap_direct_event e;

	if (!attack_event(top, &e))
		return NULL;
	*tag = e.tag;
	CHECK_EQ(tap_map_extents(top, e.tag, &ext, 1, flags), 0);
	return attack_fetch(low, below) ? io : NULL;
}

static void life_answer(struct tap *low,
			const struct blktap_ring_request *below, int status)
{
	tap_answer(low, below->id, below->operation, status);
	CHECK_EQ(tap_respond(low), 0);
}

static void life_mapped(void)
{
	struct blktap_direct_xfer x = {};
	struct blktap_ring_request below;
	struct blktap_direct_event e;
	struct tap top, low;
	struct attack_io *io;
	uint32_t tag;

	if (!life_stack(&top, &low))
		return;
	io = life_transfer(&top, &low, -1, BLKTAP_MAP_END, &tag, &below);
	if (!io)
		return;
	/* The kernel has it: no one else can do anything with it. */
	CHECK_EQ(tap_end(&top, tag, 0), -ESRCH);
	CHECK_EQ(tap_end(&top, tag, -EIO), -ESRCH);
	CHECK_EQ(tap_ioctl(&top, BLKTAP_IOCTL_DIRECT_XFER, &x), 0);
	CHECK_EQ(x.transfers, 1);
	/* Forgetting the file does not matter to it. */
	CHECK_EQ(tap_file(&top, 0, -1), 0);
	memset(tap_data(&low, below.id, 0), 0x42, 4096);
	life_answer(&low, &below, 0);
	CHECK_EQ(attack_io_end(io), 0);
	CHECK(attack_io_is(io, 0x42));
	CHECK_EQ(tap_end(&top, tag, 0), -ESRCH);
	attack_down(&top);
	attack_down(&low);

	/* One that fails is the server's again. */
	if (!life_stack(&top, &low))
		return;
	io = life_transfer(&top, &low, 1, BLKTAP_MAP_END, &tag, &below);
	if (!io)
		return;
	life_answer(&low, &below, -1);
	if (!attack_event(&top, &e))
		return;
	CHECK_EQ(e.type, BLKTAP_EVENT_MAPPED);
	CHECK_EQ(e.result, -EIO);
	x.transfers = 0;
	CHECK_EQ(tap_ioctl(&top, BLKTAP_IOCTL_DIRECT_XFER, &x), 0);
	CHECK_EQ(x.transfers, 0);
	CHECK_EQ(tap_end(&top, e.tag, e.result), 0);
	CHECK_EQ(attack_io_end(io), -EIO);
	attack_down(&top);
	attack_down(&low);
}

static void life_next_server(struct tap *t, bool direct, int file)
{
	CHECK_EQ(tap_open(t), 0);
	CHECK_EQ(direct ? tap_setup(t, 8, 8192) : tap_map(t), 0);
	if (direct)
		CHECK_EQ(tap_file(t, 0, file), 0);
	CHECK_EQ(tap_create(t, ATTACK_SECTORS,
			    direct ? ATTACK_DIRECT : ATTACK_RING), 0);
	CHECK(tap_attr_is(t->minor, "state", "running"));
}

static void *life_create_thread(void *arg)
{
	struct tap *t = arg;

	return (void *)(long)tap_create(t, ATTACK_SECTORS, ATTACK_DIRECT);
}

/* The next server is there before the transfer ends: it has to wait for that. */
static void life_create_waits(struct tap *top, int file, struct tap *low,
			      const struct blktap_ring_request *below)
{
	struct blktap_direct_event e;
	pthread_t thread;
	void *ret;

	CHECK_EQ(tap_open(top), 0);
	CHECK_EQ(tap_setup(top, 8, 8192), 0);
	CHECK_EQ(tap_file(top, 0, file), 0);
	CHECK_EQ(pthread_create(&thread, NULL, life_create_thread, top), 0);
	usleep(300000);
	CHECK(tap_attr_is(top->minor, "state", "waiting"));
	CHECK_EQ(tap_events(top, &e, 1, 100), 0);
	life_answer(low, below, 0);
	CHECK_EQ(pthread_join(thread, &ret), 0);
	CHECK_EQ((long)ret, 0);
	CHECK(tap_attr_is(top->minor, "state", "running"));
}

/* The server dies during a transfer, which then ends in each way there is. */
static void life_death_mapped(void)
{
	struct blktap_ring_request below;
	struct blktap_direct_event e;
	int file = attack_file(0);
	struct tap top, low;
	struct attack_io *io;
	uint32_t tag;
	int way;

	for (way = 0; way < 4; way++) {
		bool end = way & 1, ok = way & 2;

		if (!life_stack(&top, &low))
			return;
		io = life_transfer(&top, &low, 6, end ? BLKTAP_MAP_END : 0,
				   &tag, &below);
		if (!io)
			return;
		tap_close(&top);
		CHECK(attack_state(top.minor, "waiting", 1000));
		if (way == 3) {
			life_create_waits(&top, file, &low, &below);
			CHECK_EQ(tap_end(&top, tag, 0), -ESRCH);
			CHECK_EQ(attack_io_end(io), 0);
		} else {
			life_answer(&low, &below, ok ? 0 : -1);
			CHECK(!attack_io_done(io, 100));
			life_next_server(&top, true, file);
			if (!attack_event(&top, &e))
				return;
			CHECK_EQ(e.type, BLKTAP_EVENT_REQUEST);
			CHECK_EQ(tap_direct_serve(&top, &e, file), 0);
			CHECK_EQ(attack_io_end(io), 0);
		}
		attack_down(&top);
		attack_down(&low);
	}
}

/* The disk is removed by force during a transfer. */
static void life_remove_mapped(void)
{
	struct blktap_ring_request below;
	struct tap top, low;
	struct attack_io *io;
	uint32_t tag;
	pid_t pid;

	if (!life_stack(&top, &low))
		return;
	io = life_transfer(&top, &low, 6, 0, &tag, &below);
	if (!io)
		return;
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(tap_attr_write(top.minor, "remove", "1") ? 1 : 0);
	CHECK(attack_state(top.minor, "no-disk", 2000));
	CHECK_EQ(tap_end(&top, tag, 0), -ESRCH);
	CHECK(!attack_io_done(io, 100));
	life_answer(&low, &below, 0);
	CHECK(attack_io_end(io) < 0);
	waitpid(pid, NULL, 0);
	CHECK_EQ(tap_ioctl(&top, BLKTAP_IOCTL_REMOVE_DEVICE, NULL), 0);
	tap_close(&top);
	CHECK_EQ(tap_free(top.minor), 0);
	attack_down(&low);
}

/**
 * struct life_remover - a thread that removes a disk by force
 * @minor: minor of the tap
 * @go: set when it is to begin
 */
struct life_remover {
	int minor;
	bool go;
};

static void *life_remove_thread(void *arg)
{
	struct life_remover *remover = arg;

	while (!__atomic_load_n(&remover->go, __ATOMIC_ACQUIRE))
		;
	return (void *)(long)tap_attr_write(remover->minor, "remove", "1");
}

/* Keep the processor for @us, as a sleep is too coarse. */
static void life_spin(long us)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000000 +
		 (now.tv_nsec - start.tv_nsec) / 1000 < us);
}

/*
 * The disk is removed by force while a transfer begins, which takes long when
 * it has many parts: it must not begin after the removal.
 */
static void life_remove_mapping(void)
{
	struct blktap_direct_extent extents[2048] = {};
	struct life_remover remover;
	struct blktap_direct_event e;
	int file = attack_file(0);
	struct attack_io *io;
	pthread_t thread;
	struct tap t;
	void *removed;
	long delay = 100;
	int i, ret;

	for (i = 0; i < 2048; i++) {
		extents[i].addr = i * 512;
		extents[i].len = 512;
	}
	for (i = 0; i < 40; i++) {
		if (!attack_direct_up(&t, file))
			return;
		io = attack_io(t.minor, 0, 1 << 20, -1);
		if (!attack_event(&t, &e))
			return;
		CHECK_EQ(e.nr_sectors, 2048);
		remover = (struct life_remover){ .minor = t.minor };
		CHECK_EQ(pthread_create(&thread, NULL, life_remove_thread,
					&remover), 0);
		__atomic_store_n(&remover.go, true, __ATOMIC_RELEASE);
		life_spin(delay);
		ret = tap_map_extents(&t, e.tag, extents, 2048,
				      BLKTAP_MAP_END);
		CHECK(!ret || ret == -ESRCH);
		/* Next time, let them be closer to each other. */
		delay += ret ? -delay / 8 : 20;
		CHECK_EQ(pthread_join(thread, &removed), 0);
		CHECK_EQ((long)removed, 0);
		CHECK_EQ(attack_io_end(io), ret ? -EIO : 0);
		attack_down(&t);
	}
}

/*
 * SIGKILL with requests pending, owned, and being served; data survives and the
 * order of arrival is kept.
 */
static void life_death(bool direct)
{
	struct blktap_direct_event e;
	struct blktap_ring_request req;
	int file = attack_file(0);
	struct attack_io *io[4];
	struct tap t;
	int i;

	if (direct ? !attack_direct_up(&t, file) : !attack_ring_up(&t))
		return;
	/* Two that the server has taken, two that it has not. */
	for (i = 0; i < 4; i++) {
		io[i] = attack_io(t.minor, i * 65536, 8192, 10 + i);
		if (i < 2 && (direct ? !attack_event(&t, &e) :
				       !attack_fetch(&t, &req)))
			return;
		usleep(100000);
	}
	tap_close(&t);
	CHECK(attack_state(t.minor, "waiting", 1000));
	/* More comes while no one is there. */
	CHECK(!attack_io_done(io[0], 100));

	CHECK_EQ(tap_open(&t), 0);
	/* Not this way. */
	CHECK_EQ(direct ? tap_map(&t) : tap_setup(&t, 8, 8192), -EBUSY);
	CHECK_EQ(direct ? tap_setup(&t, 8, 8192) : tap_map(&t), 0);
	if (direct) {
		CHECK_EQ(tap_file(&t, 0, file), 0);
		CHECK_EQ(tap_events(&t, &e, 1, 50), 0);
	} else {
		CHECK_EQ(tap_fetch(&t, &req, 50), 0);
	}
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS - 1, ATTACK_DIRECT), -EINVAL);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, 0), -EINVAL);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS,
			    ATTACK_DIRECT | BLKTAP_DEVICE_RO), -EINVAL);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS + 8, ATTACK_DIRECT), 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS + 8, ATTACK_DIRECT), -EEXIST);
	for (i = 0; i < 4; i++) {
		if (direct) {
			if (!attack_event(&t, &e))
				return;
			CHECK_EQ(e.sector, i * 128);
			CHECK_EQ(tap_direct_serve(&t, &e, file), 0);
		} else {
			if (!attack_fetch(&t, &req))
				return;
			CHECK_EQ(req.sector_number, i * 128);
			CHECK_EQ(tap_ring_serve(&t, &req, file), 0);
		}
	}
	for (i = 0; i < 4; i++) {
		char c;

		CHECK_EQ(attack_io_end(io[i]), 0);
		CHECK_EQ(pread(file, &c, 1, i * 65536 + 8191), 1);
		CHECK_EQ(c, 10 + i);
	}
	attack_down(&t);
}

static void life_death_ring(void)
{
	life_death(false);
}

static void life_death_direct(void)
{
	life_death(true);
}

/* Servers are killed again and again under verified I/O. */
static void life_kills(bool direct)
{
	int file = attack_file(0);
	struct attack_io *io[4];
	struct tap t;
	pid_t pid;
	int i, round;

	CHECK_EQ(tap_alloc(&t), 0);
	pid = attack_server(t.minor, direct, file);
	for (round = 1; round <= 15; round++) {
		for (i = 0; i < 4; i++)
			io[i] = attack_io(t.minor, i << 20, 1 << 20,
					  round * 4 + i);
		usleep(rand() % 30000);
		attack_kill(pid);
		pid = attack_server(t.minor, direct, file);
		for (i = 0; i < 4; i++)
			CHECK_EQ(attack_io_end(io[i]), 0);
		for (i = 0; i < 4; i++)
			io[i] = attack_io(t.minor, i << 20, 1 << 20, -1);
		usleep(rand() % 30000);
		attack_kill(pid);
		pid = attack_server(t.minor, direct, file);
		for (i = 0; i < 4; i++) {
			CHECK_EQ(attack_io_end(io[i]), 0);
			CHECK(attack_io_is(io[i], round * 4 + i));
		}
	}
	attack_kill(pid);
	CHECK_EQ(tap_free(t.minor), 0);
}

static void life_kills_ring(void)
{
	life_kills(false);
}

static void life_kills_direct(void)
{
	life_kills(true);
}

/* No one comes: at once, after a while, and while it changes. */
static void life_policy(void)
{
	int file = attack_file(0);
	struct attack_io *io;
	struct tap t;
	int round;

	for (round = 0; round < 3; round++) {
		if (!attack_direct_up(&t, file))
			return;
		CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout",
					round == 0 ? "0" :
					round == 1 ? "1" : "60"), 0);
		io = attack_io(t.minor, 0, 4096, 1);
		usleep(100000);
		tap_close(&t);
		if (round) {
			CHECK(attack_state(t.minor, "waiting", 1000));
			CHECK(!attack_io_done(io, 200));
		}
		if (round == 2)
			CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout",
						"0"), 0);
		CHECK(attack_state(t.minor, "failed", 3000));
		CHECK_EQ(attack_io_end(io), -EIO);
		io = attack_io(t.minor, 0, 4096, -1);
		CHECK_EQ(attack_io_end(io), -EIO);
		/* A server makes it whole again. */
		life_next_server(&t, true, file);
		tap_close(&t);
		CHECK_EQ(tap_attr_write(t.minor, "recovery_timeout", "0"), 0);
		CHECK_EQ(tap_free(t.minor), 0);
	}
}

/* A disk that goes while it is open. */
static void life_held_open(void)
{
	struct tap t, next;
	char buf[512];
	int disk;

	CHECK_EQ(tap_alloc(&t), 0);
	CHECK_EQ(tap_open(&t), 0);
	CHECK_EQ(tap_map(&t), 0);
	CHECK_EQ(tap_create(&t, ATTACK_SECTORS, 0), 0);
	disk = tap_disk_open(t.minor, O_RDONLY);
	CHECK(disk >= 0);
	CHECK_EQ(tap_ioctl(&t, BLKTAP_IOCTL_REMOVE_DEVICE, NULL), -EBUSY);
	tap_close(&t);
	CHECK_EQ(tap_free(t.minor), 0);
	CHECK(tap_disk_open(t.minor, O_RDONLY) < 0);
	CHECK(pread(disk, buf, 512, 0) <= 0);
	CHECK(tap_open(&t) < 0);
	/* Its minor is not free before it is closed. */
	CHECK_EQ(tap_alloc(&next), 0);
	CHECK(next.minor != t.minor);
	CHECK_EQ(tap_free(next.minor), 0);
	close(disk);
	CHECK_EQ(tap_alloc(&next), 0);
	CHECK_EQ(next.minor, t.minor);
	CHECK_EQ(tap_free(next.minor), 0);
}

/* A stopped server: I/O waits, removal does not. */
static void life_stopped(void)
{
	int file = attack_file(0);
	struct attack_io *io;
	uint64_t start;
	struct tap t;
	pid_t pid;

	CHECK_EQ(tap_alloc(&t), 0);
	pid = attack_server(t.minor, true, file);
	io = attack_io(t.minor, 0, 4096, 1);
	CHECK_EQ(attack_io_end(io), 0);
	kill(pid, SIGSTOP);
	io = attack_io(t.minor, 0, 4096, -1);
	/* Longer than the block layer's own timeout. */
	CHECK(!attack_io_done(io, 35000));
	start = attack_now_ms();
	CHECK_EQ(tap_attr_write(t.minor, "remove", "1"), 0);
	CHECK(attack_now_ms() - start < 5000);
	CHECK(attack_io_end(io) < 0);
	CHECK_EQ(tap_free(t.minor), -EBUSY);
	attack_kill(pid);
	CHECK_EQ(tap_free(t.minor), 0);
}

static void life_read_attributes(void)
{
	static const char * const attrs[] = {
		"name", "task", "debug", "pool", "state", "mode",
		"recovery_timeout", "/sys/class/blktap2/devices",
		"/sys/block/tda/stat", "/sys/block/tda/size",
		"/sys/block/tda/queue/max_segments",
	};
	char buf[4096];
	size_t i;

	for (;;)
		for (i = 0; i < ARRAY_SIZE(attrs); i++)
			tap_attr_read(0, attrs[i], buf, sizeof(buf));
}

/* All comes and goes while readers of sysfs look on (A14). */
static void life_teardown(void)
{
	int file = attack_file(0);
	struct attack_io *io;
	pid_t readers[2], server;
	struct tap t;
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		readers[i] = fork();
		if (!readers[i])
			life_read_attributes();
	}
	for (i = 0; i < 60; i++) {
		if (!CHECK_EQ(tap_alloc(&t), 0))
			break;
		server = attack_server(t.minor, i & 1, file);
		io = attack_io(t.minor, 0, 1 << 20, i);
		usleep(rand() % 20000);
		if (i & 2) {
			kill(server, SIGKILL);
		} else if (i & 4) {
			CHECK_EQ(attack_io_end(io), 0);
			io = NULL;
		} else if (i & 1) {
			tap_attr_write(t.minor, "remove", "1");
		}
		attack_kill(server);
		CHECK_EQ(tap_free(t.minor), 0);
		if (io)
			CHECK(attack_io_end(io) != -ETIME);
	}
	for (i = 0; i < 2; i++)
		attack_kill(readers[i]);
}

const struct attack_test attack_life_tests[] = {
	{ "life: control device", life_control },
	{ "life: all minors", life_all_minors },
	{ "life: geometry", life_geometry },
	{ "life: attributes", life_attributes },
	{ "life: a transfer is the kernel's", life_mapped },
	{ "life: server dies, ring mode (A18)", life_death_ring },
	{ "life: server dies, direct mode (A18)", life_death_direct },
	{ "life: server dies during a transfer (A18)", life_death_mapped },
	{ "life: removal during a transfer", life_remove_mapped },
	{ "life: removal as a transfer begins", life_remove_mapping },
	{ "life: many servers killed, ring mode (A18)", life_kills_ring },
	{ "life: many servers killed, direct mode (A18)", life_kills_direct },
	{ "life: no server comes", life_policy },
	{ "life: a disk held open", life_held_open },
	{ "life: a stopped server (A18)", life_stopped },
	{ "life: teardown and readers (A14)", life_teardown },
	{ NULL, NULL }
};
