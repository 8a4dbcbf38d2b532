// SPDX-License-Identifier: GPL-2.0
/*
 * blktap-attack: a hostile server, and hostile users, of taps.
 *
 * Usage: blktap-attack [NAME...]
 *
 * Needs root and the module loaded; runs the tests whose name contains one of
 * the arguments, or all, and prints TAP. Each test is a process. When it has
 * ended or its time is over, what it left is removed by force, which must work.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attack.h"

#define ATTACK_TIMEOUT_MS	300000
#define ATTACK_WAIT_MS		20000

static bool attack_failed;

uint64_t attack_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

bool attack_check(bool ok, const char *file, int line, const char *what)
{
	if (!ok) {
		printf("# %s:%d: not so: %s\n", file, line, what);
		attack_failed = true;
	}
	return ok;
}

bool attack_equal(long have, long want, const char *file, int line,
		  const char *what)
{
	if (have != want) {
		printf("# %s:%d: %s is %ld (%s), not %ld\n", file, line, what,
		       have, have < 0 ? strerror(-have) : "", want);
		attack_failed = true;
	}
	return have == want;
}

/*
 * I/O.
 */

static int attack_io_run(struct attack_io *io, int minor, off_t at, int byte,
			 bool flush)
{
	int fd = tap_disk_open(minor, O_RDWR | O_DIRECT);
	char *buf;
	ssize_t n;

	if (fd == -EACCES || fd == -EROFS)
		fd = tap_disk_open(minor, O_RDONLY | O_DIRECT);
	if (fd < 0)
		return fd;
	if (flush)
		return fsync(fd) ? -errno : 0;
	buf = aligned_alloc(4096, sizeof(io->data));
	if (!buf)
		return -ENOMEM;
	if (byte >= 0) {
		memset(buf, byte, io->len);
		n = pwrite(fd, buf, io->len, at);
	} else {
		memset(buf, 0xee, io->len);
		n = pread(fd, buf, io->len, at);
		memcpy(io->data, buf, io->len);
	}
	if (n < 0)
		return -errno;
	return (size_t)n == io->len ? 0 : -ENODATA;
}

static struct attack_io *attack_io_start(int minor, off_t at, size_t len,
					 int byte, bool flush)
{
	struct attack_io *io;
	int fd;

	io = mmap(NULL, sizeof(*io), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (io == MAP_FAILED)
		exit(1);
	io->len = len;
	io->pid = fork();
	if (io->pid) {
		/* Until then it has the ring device open as well. */
		while (io->pid > 0 &&
		       !__atomic_load_n(&io->apart, __ATOMIC_ACQUIRE))
			usleep(100);
		return io;
	}
	for (fd = 3; fd < 64; fd++)
		close(fd);
	__atomic_store_n(&io->apart, true, __ATOMIC_RELEASE);
	io->error = attack_io_run(io, minor, at, byte, flush);
	__atomic_store_n(&io->done, true, __ATOMIC_RELEASE);
	_exit(0);
}

struct attack_io *attack_io(int minor, off_t at, size_t len, int byte)
{
	return attack_io_start(minor, at, len, byte, false);
}

struct attack_io *attack_flush(int minor)
{
	return attack_io_start(minor, 0, 0, 0, true);
}

bool attack_io_done(struct attack_io *io, int ms)
{
	uint64_t end = attack_now_ms() + ms;

	while (!__atomic_load_n(&io->done, __ATOMIC_ACQUIRE)) {
		if (attack_now_ms() >= end)
			return false;
		usleep(2000);
	}
	return true;
}

int attack_io_end(struct attack_io *io)
{
	if (!attack_io_done(io, ATTACK_WAIT_MS))
		return -ETIME;
	waitpid(io->pid, NULL, 0);
	return io->error;
}

bool attack_io_is(const struct attack_io *io, int byte)
{
	size_t i;

	for (i = 0; i < io->len; i++) {
		if ((unsigned char)io->data[i] != byte) {
			printf("# byte %zu is %#x, not %#x\n", i,
			       (unsigned char)io->data[i], byte);
			return false;
		}
	}
	return true;
}

/*
 * Servers.
 */

bool attack_ring_up(struct tap *t)
{
	return CHECK_EQ(tap_alloc(t), 0) && CHECK_EQ(tap_open(t), 0) &&
	       CHECK_EQ(tap_map(t), 0) &&
	       CHECK_EQ(tap_create(t, ATTACK_SECTORS, ATTACK_RING), 0);
}

bool attack_direct_up(struct tap *t, int file)
{
	return CHECK_EQ(tap_alloc(t), 0) && CHECK_EQ(tap_open(t), 0) &&
	       CHECK_EQ(tap_setup(t, 64, BLKTAP_DIRECT_IO_MAX), 0) &&
	       (file < 0 || CHECK_EQ(tap_file(t, 0, file), 0)) &&
	       CHECK_EQ(tap_create(t, ATTACK_SECTORS, ATTACK_DIRECT), 0);
}

void attack_down(struct tap *t)
{
	CHECK_EQ(tap_remove(t), 0);
	tap_close(t);
	CHECK_EQ(tap_free(t->minor), 0);
}

bool attack_fetch(struct tap *t, struct blktap_ring_request *req)
{
	uint64_t end = attack_now_ms() + ATTACK_WAIT_MS;
	int n;

	do {
		n = tap_fetch(t, req, 100);
	} while (!n && attack_now_ms() < end);
	return CHECK_EQ(n, 1);
}

bool attack_event(struct tap *t, struct blktap_direct_event *event)
{
	uint64_t end = attack_now_ms() + ATTACK_WAIT_MS;
	int n;

	do {
		n = tap_events(t, event, 1, 100);
	} while (!n && attack_now_ms() < end);
	return CHECK_EQ(n, 1);
}

int attack_file(int flags)
{
	static int nr;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/blktap-attack.%d.%d", getpid(),
		 nr++);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, ATTACK_BYTES)) {
		perror(path);
		exit(1);
	}
	if (flags) {
		close(fd);
		fd = open(path, flags);
	}
	unlink(path);
	return fd;
}

bool attack_state(int minor, const char *state, int ms)
{
	uint64_t end = attack_now_ms() + ms;
	char buf[64] = "";

	do {
		tap_attr_read(minor, "state", buf, sizeof(buf));
		if (!strcmp(buf, state))
			return true;
		usleep(5000);
	} while (attack_now_ms() < end);
	printf("# tap %d is %s, not %s\n", minor, buf, state);
	return false;
}

static void attack_server_run(struct tap *t, bool direct, int file)
{
	struct blktap_direct_event event;
	struct blktap_ring_request req;

	if (tap_open(t) || (direct ? tap_setup(t, 64, BLKTAP_DIRECT_IO_MAX) :
				     tap_map(t)))
		_exit(1);
	if ((direct && tap_file(t, 0, file)) ||
	    tap_create(t, ATTACK_SECTORS, direct ? ATTACK_DIRECT : ATTACK_RING))
		_exit(1);
	for (;;) {
		if (direct && tap_events(t, &event, 1, 1000) > 0)
			tap_direct_serve(t, &event, file);
		if (!direct && tap_fetch(t, &req, 1000) > 0)
			tap_ring_serve(t, &req, file);
	}
}

pid_t attack_server(int minor, bool direct, int file)
{
	struct tap t = { .minor = minor };
	pid_t pid = fork();

	if (!pid)
		attack_server_run(&t, direct, file);
	CHECK(attack_state(minor, "running", ATTACK_WAIT_MS));
	return pid;
}

void attack_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * Running tests.
 */

/* End of a test: whatever is there must go. */
static bool attack_clean(void)
{
	DIR *dir = opendir("/sys/class/blktap2");
	uint64_t end = attack_now_ms() + 20000;
	bool ok = true;
	struct dirent *e;
	int minor, ret;

	while (dir && (e = readdir(dir))) {
		if (sscanf(e->d_name, "blktap%d", &minor) != 1)
			continue;
		tap_attr_write(minor, "remove", "1");
		do {
			ret = tap_free(minor);
			usleep(10000);
		} while (ret == -EBUSY && attack_now_ms() < end);
		if (ret) {
			printf("# tap %d does not go: %s\n", minor,
			       strerror(-ret));
			ok = false;
		}
	}
	if (dir)
		closedir(dir);
	return ok;
}

static bool attack_wait(pid_t pid)
{
	uint64_t end = attack_now_ms() + ATTACK_TIMEOUT_MS;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (attack_now_ms() > end) {
			printf("# not done in %d s\n",
			       ATTACK_TIMEOUT_MS / 1000);
			kill(-pid, SIGKILL);
			return false;
		}
		usleep(5000);
	}
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool attack_run(const struct attack_test *test)
{
	bool ok;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		test->run();
		fflush(stdout);
		_exit(attack_failed);
	}
	setpgid(pid, pid);
	ok = attack_wait(pid);
	if (!attack_clean())
		ok = false;
	/* Whoever the test left behind. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return ok;
}

static bool attack_wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	const struct attack_test *groups[] = {
		attack_ring_tests, attack_direct_tests, attack_life_tests,
		attack_stuck_tests,
	};
	const struct attack_test *test;
	int nr = 0, bad = 0;
	size_t i;

	printf("TAP version 13\n");
	if (access("/dev/xen/blktap-2/control", R_OK | W_OK)) {
		printf("Bail out! no control device: root and module needed\n");
		return 1;
	}
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		for (test = groups[i]; test->name; test++) {
			uint64_t start = attack_now_ms();
			bool ok;

			if (!attack_wanted(test->name, argc, argv))
				continue;
			ok = attack_run(test);
			printf("%sok %d - %s # time=%ums\n", ok ? "" : "not ",
			       ++nr, test->name,
			       (unsigned int)(attack_now_ms() - start));
			bad += !ok;
		}
	}
	printf("1..%d\n", nr);
	return bad || !nr;
}
