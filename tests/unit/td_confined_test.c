// SPDX-License-Identifier: GPL-2.0
/*
 * All that tapdisk2 does, in its sandbox: every message of the control
 * socket, every driver, on files of the sizes that users have. The server is
 * a process of its own with a ring device of our own and a guest that writes,
 * reads and flushes as long as there is a disk. A system call that the sandbox
 * does not allow ends it, and with it the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "fake_ring.h"
#include "libvhd/vhd.h"
#include "sandbox.h"
#include "td_ctl_client.h"
#include "td_log.h"
#include "vbd.h"
#include "vhd_patch.h"

#define MINOR		5
#define WAIT		60000
#define GUEST_MS	2
#define SECTORS		16
#define BLOCKS		2100U
#define CHAIN		30

/**
 * struct guest - shared with the server
 * @ios: requests that ended well
 * @errors: those that did not, or read something else than was written
 * @disk: counts the disks
 * @forgets: what is written need not be read again
 * @full: inode of the file on which writes find no space
 */
struct guest {
	unsigned int ios;
	unsigned int errors;
	unsigned int disk;
	bool forgets;
	ino_t full;
};

static char dir[] = "/tmp/td_confined.XXXXXX";
/* In memory: its tables have 120 MiB, each written durably. */
static char deep_dir[] = "/dev/shm/td_confined.XXXXXX";
static char sock[64];
static pid_t server;
static volatile struct guest *guest;
static rlim_t memlock;
/* User of the server, 0: as the test. */
static uid_t as_user;

static struct td_timer guest_timer;
static char guest_buf[SECTORS * 512] __attribute__((aligned(4096)));

static int guest_fail(int fd, unsigned int op)
{
	struct stat st;

	return op == BLKTAP_OP_WRITE && guest->full && !fstat(fd, &st) &&
	       st.st_ino == guest->full ? -ENOSPC : 0;
}

/* One request at a time: a write, a read of the same, a flush. */
static void guest_run(struct td_timer *timer)
{
	static unsigned int disk, turn, tag = FAKE_DEPTH;
	static bool rdonly;
	uint64_t sector;
	int result;

	td_timer_start(timer, GUEST_MS);
	if (tag < FAKE_DEPTH) {
		result = fake_result(tag);
		if (result == -EINPROGRESS)
			return;
		/* One that a closed disk left is done by the next. */
		if (disk == guest->disk &&
		    (result || (turn % 3 == 1 && !rdonly && !guest->forgets &&
				guest_buf[0] != (char)turn)))
			guest->errors++;
		else
			guest->ios++;
		tag = FAKE_DEPTH;
		turn++;
	}
	/* Until it is closed: requests wait while it is paused. */
	if (!fake.created)
		return;
	if (disk != guest->disk)
		turn += (3 - turn % 3) % 3;
	disk = guest->disk;
	if (turn % 3 == 0)
		rdonly = fake.info.flags & BLKTAP_DEVICE_RO;
	sector = (turn / 3 * 7919ULL * SECTORS) %
		 (fake.info.capacity - SECTORS) & ~(SECTORS - 1ULL);
	if (turn % 3 == 0)
		memset(guest_buf, (char)(turn + 1), sizeof(guest_buf));
	tag = fake_start(turn % 3 == 2 ? BLKTAP_OP_FLUSH :
			 turn % 3 == 1 || rdonly ? BLKTAP_OP_READ :
			 BLKTAP_OP_WRITE, 0, turn % 3 == 2 ? 0 : sector,
			 turn % 3 == 2 ? 0 : SECTORS, guest_buf);
}

static void server_main(void)
{
	struct rlimit no_core = { 0, 0 }, lock = { memlock, memlock };
	int err;

	setrlimit(RLIMIT_CORE, &no_core);
	if ((memlock && setrlimit(RLIMIT_MEMLOCK, &lock)) ||
	    (as_user && !geteuid() &&
	     (setresgid(as_user, as_user, as_user) ||
	      setresuid(as_user, as_user, as_user))))
		_exit(4);
	td_log_open("server", 0, LOG_WARNING);
	td_log_no_wait();
	fake_init();
	fake.fail = guest_fail;
	td_run_dir = dir;
	td_dev_dir = dir;
	guest_timer.fn = guest_run;
	if (td_loop_init() || td_control_open(sock) || td_sandbox_enter())
		_exit(2);
	td_log_open("td_confined_test", 1, LOG_DEBUG);
	td_timer_start(&guest_timer, GUEST_MS);
	/* The ring device stops the loop at the end of each request. */
	do {
		err = td_loop_run();
	} while (!err && td_vbds);
	td_control_close();
	td_loop_exit();
	/* ASan would do more in _exit() than the sandbox allows. */
	syscall(SYS_exit_group, err ? 3 : 0);
}

static void server_start(void)
{
	int i;

	guest->errors = 0;
	guest->full = 0;
	server = fork();
	if (!server)
		server_main();
	for (i = 0; i < 2000 && access(sock, F_OK); i++) {
		assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
		usleep(10000);
	}
}

static int setup(void **state)
{
	(void)state;
	memlock = 0;
	as_user = 0;
	server_start();
	return 0;
}

static int server_exit(void)
{
	int status;

	assert_int_equal(waitpid(server, &status, 0), server);
	server = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int teardown(void **state)
{
	(void)state;
	if (server) {
		kill(server, SIGKILL);
		server_exit();
	}
	unlink(sock);
	return 0;
}

static int call(struct td_ctl_msg *msg, unsigned int type)
{
	int err;

	msg->type = type;
	msg->cookie = MINOR;
	err = td_ctl_call_path(sock, msg, WAIT);
	if (err)
		fprintf(stderr, "%u: %s: %s\n", type, strerror(-err),
			msg->u.response.message);
	return err;
}

static int simple(unsigned int type)
{
	struct td_ctl_msg msg;

	memset(&msg, 0, sizeof(msg));
	return call(&msg, type);
}

static int open_image(const char *name, unsigned int flags, const char *second)
{
	struct td_ctl_msg msg;
	const char *colon = strchr(name, ':');

	guest->disk++;
	memset(&msg, 0, sizeof(msg));
	if (colon[1] == '$')
		snprintf(msg.u.params.path, sizeof(msg.u.params.path),
			 "%.*s:%s/%s", (int)(colon - name), name, dir,
			 colon + 2);
	else
		snprintf(msg.u.params.path, sizeof(msg.u.params.path), "%s",
			 name);
	if (second)
		snprintf(msg.u.params.secondary,
			 sizeof(msg.u.params.secondary), "vhd:%s/%s", dir,
			 second);
	msg.u.params.flags = flags;
	msg.u.params.prt_devnum = 7;
	return call(&msg, TD_CTL_OPEN);
}

/* Let the guest do something. */
static void guest_works(void)
{
	unsigned int from = guest->ios;
	int i;

	for (i = 0; i < WAIT && guest->ios < from + 9 && !guest->errors; i++) {
		assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
		usleep(1000);
	}
	assert_int_equal(guest->errors, 0);
	assert_true(guest->ios >= from + 9);
}

static void stats(unsigned int cookie)
{
	struct td_ctl_msg msg = { .type = TD_CTL_STATS, .cookie = cookie };
	int fd = td_ctl_connect_path(sock, WAIT);
	char *text;

	assert_true(fd >= 0);
	assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
	assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
	assert_int_equal(msg.type, TD_CTL_STATS_RSP);
	assert_true(msg.u.stat.length > 2);
	text = malloc(msg.u.stat.length);
	assert_int_equal(td_ctl_recv_raw(fd, text, msg.u.stat.length, WAIT),
			 0);
	free(text);
	close(fd);
}

/* The life of a disk, with all that can be asked in it. */
static void live(const char *name, unsigned int flags, const char *second)
{
	fprintf(stderr, "%s flags %#x\n", name, flags);
	/* The one at once, the other when it is paused. */
	guest->forgets = !strncmp(name, "null:", 5) ||
			 !strncmp(name, "ram:", 4);
	assert_int_equal(open_image(name, flags, second), 0);
	guest_works();
	stats(MINOR);
	stats(TD_CTL_COOKIE_ALL);
	assert_int_equal(simple(TD_CTL_LIST), 0);
	assert_int_equal(simple(TD_CTL_LIST_MINORS), 0);
	assert_int_equal(simple(TD_CTL_PID), 0);
	assert_int_equal(simple(TD_CTL_PAUSE), 0);
	assert_int_equal(simple(TD_CTL_RESUME), 0);
	guest_works();
	assert_int_equal(simple(TD_CTL_CLOSE), 0);
}

static void test_drivers(void **state)
{
	(void)state;
	assert_int_equal(simple(TD_CTL_ATTACH), 0);
	live("null:1M", 0, NULL);
	live("ram:1M", 0, NULL);
	live("ram:$raw", 0, NULL);
	live("aio:$raw", 0, NULL);
	live("aio:$raw", TD_CTL_NO_O_DIRECT, NULL);
	live("aio:$raw", TD_CTL_RDONLY, NULL);
	live("vhd:$fixed", 0, NULL);
	live("vhd:$many0", 0, NULL);
	live("vhd:$many1", TD_CTL_NO_O_DIRECT, NULL);
	live("vhd:$many2", TD_CTL_ADD_LCACHE, NULL);
	live("vhd:$many2", TD_CTL_RDONLY, NULL);
	live("vhd:$many1", TD_CTL_REUSE_PRT, NULL);
	live("vhd:$many2", TD_CTL_SECONDARY, "mirror");
	live("vhd:$many1", TD_CTL_SECONDARY | TD_CTL_STANDBY, "many2");
	live("vhd:$huge", 0, NULL);
	/* Refused, with a reason. */
	assert_int_not_equal(open_image("vhd:$raw", 0, NULL), 0);
	assert_int_not_equal(open_image("vhd:$none", 0, NULL), 0);
	assert_int_not_equal(open_image("vhd:$orphan", 0, NULL), 0);
	assert_int_not_equal(open_image("vhd:$moved", 0, NULL), 0);
	assert_int_not_equal(open_image("vhd:$torn", 0, NULL), 0);
	assert_int_not_equal(open_image("qcow:$raw", 0, NULL), 0);
	assert_int_equal(simple(TD_CTL_DETACH), 0);
	assert_int_equal(server_exit(), 0);
}

static void test_force(void **state)
{
	(void)state;
	assert_int_equal(simple(TD_CTL_ATTACH), 0);
	assert_int_equal(open_image("vhd:$many2", 0, NULL), 0);
	guest_works();
	assert_int_equal(simple(TD_CTL_EXIT), -EBUSY);
	assert_int_equal(simple(TD_CTL_FORCE_SHUTDOWN), 0);
	assert_int_equal(simple(TD_CTL_DETACH), 0);
	assert_int_equal(server_exit(), 0);
}

/* A full image gives way to its mirror. */
static void test_full(void **state)
{
	char path[64];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/many2", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(simple(TD_CTL_ATTACH), 0);
	assert_int_equal(open_image("vhd:$many2", TD_CTL_SECONDARY, "mirror"),
			 0);
	guest_works();
	guest->full = st.st_ino;
	guest_works();
	assert_int_equal(simple(TD_CTL_CLOSE), 0);
	assert_int_equal(simple(TD_CTL_DETACH), 0);
	assert_int_equal(server_exit(), 0);
}

/* One that was killed left locks and whatever it was writing. */
static void test_recovery(void **state)
{
	(void)state;
	assert_int_equal(simple(TD_CTL_ATTACH), 0);
	assert_int_equal(open_image("vhd:$many2", 0, NULL), 0);
	guest_works();
	kill(server, SIGKILL);
	server_exit();
	unlink(sock);
	server_start();
	assert_int_equal(simple(TD_CTL_ATTACH), 0);
	live("vhd:$many2", 0, NULL);
	assert_int_equal(simple(TD_CTL_DETACH), 0);
	assert_int_equal(server_exit(), 0);
}

static void vmsg(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "%s\n", text);
}

static const struct vhd_ctx ctx = { .message = vmsg };

static const char *images = dir;

static void create(const char *name, uint64_t size, const char *parent,
		   bool fixed)
{
	char path[64], above[64];
	struct vhd_create spec = {
		.path = path,
		.size = parent ? 0 : size,
		.fixed = fixed,
		.parent = parent ? above : NULL,
		.keep_empty = true,
	};

	snprintf(path, sizeof(path), "%s/%s", images, name);
	snprintf(above, sizeof(above), "%s/%s", images, parent ? parent : "");
	assert_int_equal(vhd_create(&ctx, &spec), 0);
	assert_int_equal(chmod(path, 0666), 0);
}

/*
 * Allocate BLOCKS blocks as a guest leaves them that writes here and there:
 * their order in the file is another than on the disk. The file is sparse.
 */
static void allocate(const char *name)
{
	uint8_t bat[BLOCKS * 4], footer[512];
	struct vhd_image *image;
	uint64_t start, stride;
	char path[64];
	unsigned int i;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(vhd_open(&ctx, path, 0, &image), 0);
	start = vhd_block_after(image, image->data_end);
	stride = (vhd_block_bytes(image) + 4095) & ~4095ULL;
	vp_read(path, 0, footer, sizeof(footer));
	for (i = 0; i < BLOCKS; i++)
		vp_put(bat + 4 * i, 4,
		       (start + i * 1009ULL % BLOCKS * stride) / 512);
	vp_write(path, image->header.table_offset, bat, sizeof(bat));
	/* The last bitmap is all zeros: so are the others. */
	vp_write(path, start + BLOCKS * stride, footer, sizeof(footer));
	vhd_close(image);
}

static int make_file(const char *name, off_t size)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT, 0666);
	if (fd < 0 || ftruncate(fd, size) || fchmod(fd, 0666))
		return -1;
	close(fd);
	return 0;
}

static void make_chain(void)
{
	char name[16], parent[16];
	int i;

	images = deep_dir;
	create("deep0", 2040ULL << 30, NULL, false);
	for (i = 1; i < CHAIN; i++) {
		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(parent, sizeof(parent), "deep%d", i - 1);
		create(name, 0, parent, false);
	}
}

static int in_dir(const char *command)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "cd %s && %s", dir, command);
	return system(cmd);
}

static void make_images(void)
{
	assert_int_equal(make_file("raw", 1 << 20), 0);
	assert_int_equal(make_file("tapdev7", 8LL << 30), 0);
	create("fixed", 4 << 20, NULL, true);
	create("many0", 8ULL << 30, NULL, false);
	allocate("many0");
	create("many1", 0, "many0", false);
	allocate("many1");
	create("many2", 0, "many1", false);
	allocate("many2");
	create("mirror", 8ULL << 30, NULL, false);
	/* Without its parent; with one in another folder; cut off. */
	create("gone", 1 << 30, NULL, false);
	create("orphan", 0, "gone", false);
	create("away", 1 << 30, NULL, false);
	create("moved", 0, "away", false);
	make_file("torn", 3000);
	assert_int_equal(in_dir("mkdir -m 0777 folder && mv away folder && rm gone && head -c 700 many0 >torn"),
			 0);
	create("huge", 2040ULL << 30, NULL, false);
}

/*
 * In a process of its own, as a server is one that has done none of this: the
 * C library keeps what it has once asked the kernel for.
 */
static int in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		fn();
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && !status ? 0 : -1;
}

/* The tables of the chain have more bytes than may be locked. */
static void test_memlock(void **state)
{
	static const rlim_t limits[] = { 8 << 20, 64 << 10 };
	char name[64];
	unsigned int i;

	(void)state;
	assert_int_equal(in_child(make_chain), 0);
	snprintf(name, sizeof(name), "vhd:%s/deep%d", deep_dir, CHAIN - 1);
	for (i = 0; i < 2; i++) {
		teardown(NULL);
		memlock = limits[i];
		/* The limit is for all of a user, and for a while after. */
		as_user = 1000000 + 2 * getpid() + i;
		server_start();
		assert_int_equal(simple(TD_CTL_ATTACH), 0);
		live(name, 0, NULL);
		assert_int_equal(simple(TD_CTL_DETACH), 0);
		assert_int_equal(server_exit(), 0);
	}
}

static int group_setup(void **state)
{
	(void)state;
	guest = mmap(NULL, sizeof(*guest), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guest == MAP_FAILED || !mkdtemp(dir) || chmod(dir, 0777) ||
	    !mkdtemp(deep_dir) || chmod(deep_dir, 0777))
		return -1;
	snprintf(sock, sizeof(sock), "%s/ctl", dir);
	return in_child(make_images);
}

static int group_teardown(void **state)
{
	char cmd[120];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s %s", dir, deep_dir);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_drivers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_force, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovery, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memlock, setup, teardown),
	};

	return cmocka_run_group_tests_name("td_confined", tests, group_setup,
					   group_teardown);
}
