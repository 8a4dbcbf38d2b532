// SPDX-License-Identifier: GPL-2.0
/*
 * The control server, in a process of its own on a ring device of our own:
 * every message, and clients that do not behave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "fake_ring.h"
#include "td_ctl_client.h"
#include "td_file.h"
#include "td_log.h"
#include "vbd.h"

#define MINOR	5
#define WAIT	15000

static char dir[] = "/tmp/td_control.XXXXXX";
static char sock[64];
static pid_t server;

/* The guest's request, and how long its transfer takes in milliseconds. */
static struct td_timer guest;
static int guest_ms;

static void guest_start(struct td_timer *timer)
{
	static char buf[512];

	if (fake.created)
		fake_start(BLKTAP_OP_WRITE, 0, 0, 1, buf);
	else
		td_timer_start(timer, 1);
}

/* The server leaves by itself, or is a failed test. */
static void server_main(void)
{
	int err;

	td_log_open("server", 0, LOG_ERR);
	fake_init();
	alarm(100);
	if (td_loop_init() || td_control_open(sock))
		_exit(2);
	if (guest_ms) {
		fake.delay_ms = guest_ms;
		guest.fn = guest_start;
		td_timer_start(&guest, 1);
	}
	do {
		err = td_loop_run();
		/* The guest's request has ended, not the server's life. */
	} while (!err && guest_ms && td_vbds);
	td_control_close();
	td_loop_exit();
	exit(err ? 3 : 0);
}

static int setup(void **state)
{
	int i;

	(void)state;
	server = fork();
	if (!server)
		server_main();
	for (i = 0; i < 500 && access(sock, F_OK); i++)
		usleep(10000);
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

static int dial(void)
{
	int fd = td_ctl_connect_path(sock, WAIT);

	assert_true(fd >= 0);
	return fd;
}

static struct td_ctl_msg message(unsigned int type)
{
	struct td_ctl_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.type = type;
	msg.cookie = MINOR;
	return msg;
}

/* Send one message, receive one. */
static struct td_ctl_msg talk(const struct td_ctl_msg *request)
{
	struct td_ctl_msg answer;
	int fd = dial();
	char more;

	assert_int_equal(td_ctl_send(fd, request, WAIT), 0);
	assert_int_equal(td_ctl_recv(fd, &answer, WAIT), 0);
	/* And no more than one. */
	assert_int_equal(td_ctl_recv_raw(fd, &more, 1, WAIT), -ECONNRESET);
	close(fd);
	/* It has not yet seen that earlier clients have left. */
	if (answer.type == TD_CTL_ERROR && answer.u.response.error == EBUSY &&
	    !answer.cookie) {
		usleep(10000);
		return talk(request);
	}
	assert_int_equal(answer.cookie, request->cookie);
	return answer;
}

static void expect(unsigned int type, unsigned int answer_type, int error)
{
	struct td_ctl_msg msg = message(type);

	msg = talk(&msg);
	assert_int_equal(msg.type, answer_type);
	assert_int_equal(msg.u.response.error, error);
	assert_int_equal(!error, !msg.u.response.message[0]);
}

static struct td_ctl_msg open_image(const char *path, unsigned int flags)
{
	struct td_ctl_msg msg = message(TD_CTL_OPEN);

	memcpy(msg.u.params.path, path, strlen(path) + 1);
	msg.u.params.flags = flags;
	return talk(&msg);
}

static struct td_ctl_list list_one(void)
{
	struct td_ctl_msg msg = message(TD_CTL_LIST), last;
	int fd = dial();

	assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
	assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
	assert_int_equal(msg.type, TD_CTL_LIST_RSP);
	assert_int_equal(msg.u.list.count, 1);
	assert_int_equal(td_ctl_recv(fd, &last, WAIT), 0);
	assert_int_equal(last.type, TD_CTL_LIST_RSP);
	assert_int_equal(last.u.list.count, 0);
	close(fd);
	return msg.u.list;
}

static void test_life(void **state)
{
	struct td_ctl_msg msg = message(TD_CTL_PID);
	struct td_ctl_list list;

	(void)state;
	msg = talk(&msg);
	assert_int_equal(msg.type, TD_CTL_PID_RSP);
	assert_int_equal(msg.u.pid, server);

	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, EEXIST);
	list = list_one();
	assert_int_equal(list.minor, MINOR);
	assert_int_equal(list.state, TD_CTL_CLOSED);
	assert_string_equal(list.path, "");
	expect(TD_CTL_PAUSE, TD_CTL_PAUSE_RSP, EINVAL);
	expect(TD_CTL_RESUME, TD_CTL_RESUME_RSP, EINVAL);
	expect(TD_CTL_CLOSE, TD_CTL_CLOSE_RSP, EINVAL);

	msg = open_image("null:1M", TD_CTL_RDONLY);
	assert_int_equal(msg.type, TD_CTL_OPEN_RSP);
	assert_int_equal(msg.u.image.sectors, 2048);
	assert_int_equal(msg.u.image.sector_size, 512);
	assert_int_equal(msg.u.image.info, TD_CTL_IMAGE_RDONLY);
	msg = open_image("null:1M", 0);
	assert_int_equal(msg.type, TD_CTL_ERROR);
	assert_int_equal(msg.u.response.error, EALREADY);
	list = list_one();
	assert_int_equal(list.state, 0);
	assert_string_equal(list.path, "null:1M");

	expect(TD_CTL_DETACH, TD_CTL_DETACH_RSP, EBUSY);
	expect(TD_CTL_EXIT, TD_CTL_ERROR, EBUSY);
	expect(TD_CTL_PAUSE, TD_CTL_PAUSE_RSP, 0);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	expect(TD_CTL_RESUME, TD_CTL_RESUME_RSP, 0);
	assert_int_equal(list_one().state, 0);

	msg = message(TD_CTL_LIST_MINORS);
	msg = talk(&msg);
	assert_int_equal(msg.type, TD_CTL_LIST_MINORS_RSP);
	assert_int_equal(msg.u.minors.count, 1);
	assert_int_equal(msg.u.minors.list[0], MINOR);

	expect(TD_CTL_CLOSE, TD_CTL_CLOSE_RSP, 0);
	expect(TD_CTL_DETACH, TD_CTL_DETACH_RSP, 0);
	/* The last disk is gone, and so is the server. */
	assert_int_equal(server_exit(), 0);
	assert_int_equal(access(sock, F_OK), -1);
}

static void wait_state(int want)
{
	int i;

	for (i = 0; i < 4000 && list_one().state != want; i++)
		usleep(5000);
	assert_int_equal(list_one().state, want);
}

/* A request for a pause on a connection that stays. */
static int ask_pause(unsigned int flags)
{
	struct td_ctl_msg msg = message(TD_CTL_PAUSE);
	int fd = dial();

	msg.u.params.flags = flags;
	assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
	return fd;
}

static int paused(unsigned int flags)
{
	struct td_ctl_msg msg;
	int fd = ask_pause(flags);

	assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
	assert_int_equal(msg.type, TD_CTL_PAUSE_RSP);
	assert_int_equal(msg.u.response.error, 0);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	return fd;
}

/* Until the guest's request is under way. */
static void wait_request(void)
{
	struct td_ctl_msg msg;
	char text[4096] = "";
	int fd, i;

	for (i = 0; i < 4000 && !strstr(text, "\"reqs\": [ 1,"); i++) {
		usleep(5000);
		msg = message(TD_CTL_STATS);
		fd = dial();
		assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
		assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
		assert_in_range(msg.u.stat.length, 1, sizeof(text) - 1);
		assert_int_equal(td_ctl_recv_raw(fd, text, msg.u.stat.length,
						 WAIT), 0);
		text[msg.u.stat.length] = '\0';
		close(fd);
	}
}

/* The guest must not wait for ever because a pause cannot be had. */
static void test_pause_cancelled(void **state)
{
	unsigned int i;
	int fd;

	(void)state;
	kill(server, SIGKILL);
	server_exit();
	unlink(sock);
	guest_ms = 1000000;
	setup(state);
	guest_ms = 0;
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	assert_int_equal(open_image("ram:1M", 0).type, TD_CTL_OPEN_RSP);
	wait_request();
	for (i = 0; i < 3; i++) {
		fd = ask_pause(i == 1 ? TD_CTL_TIED : 0);
		wait_state(TD_CTL_PAUSE_REQUESTED);
		/* No second one beside it. */
		expect(TD_CTL_PAUSE, TD_CTL_PAUSE_RSP, EBUSY);
		assert_int_equal(list_one().state, TD_CTL_PAUSE_REQUESTED);
		close(fd);
		wait_state(0);
	}
}

/* Its client was killed before it could know of the pause. */
static void test_pause_unread(void **state)
{
	struct pollfd pfd = { .events = POLLIN };

	(void)state;
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	assert_int_equal(open_image("ram:1M", 0).type, TD_CTL_OPEN_RSP);
	pfd.fd = ask_pause(0);
	assert_int_equal(poll(&pfd, 1, WAIT), 1);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	close(pfd.fd);
	wait_state(0);
	/* One that has read the answer may leave. */
	close(paused(0));
	usleep(100000);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	/* It is not for others to end, who find it paused. */
	pfd.fd = ask_pause(TD_CTL_TIED);
	assert_int_equal(poll(&pfd, 1, WAIT), 1);
	close(pfd.fd);
	usleep(100000);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	expect(TD_CTL_RESUME, TD_CTL_RESUME_RSP, 0);
}

/* A pause that lasts as long as its client. */
static void test_pause_tied(void **state)
{
	char path[80], name[90];
	int fd, image;

	(void)state;
	snprintf(path, sizeof(path), "%s/image", dir);
	snprintf(name, sizeof(name), "aio:%s", path);
	image = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(image, 1 << 20), 0);
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	assert_int_equal(open_image(name, 0).type, TD_CTL_OPEN_RSP);
	fd = paused(TD_CTL_TIED);
	usleep(100000);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	close(fd);
	wait_state(0);
	/* It has ended the pause properly, and somebody else begins one. */
	fd = paused(TD_CTL_TIED);
	expect(TD_CTL_RESUME, TD_CTL_RESUME_RSP, 0);
	close(paused(0));
	close(fd);
	usleep(100000);
	assert_int_equal(list_one().state, TD_CTL_PAUSED);
	expect(TD_CTL_RESUME, TD_CTL_RESUME_RSP, 0);
	/* When it dies, its lock on the image may go after its sockets. */
	fd = paused(TD_CTL_TIED);
	assert_int_equal(td_file_lock(image, true, path), 0);
	close(fd);
	wait_state(TD_CTL_PAUSED | TD_CTL_RESUME_FAILED);
	close(image);
	wait_state(0);
	/* The disk goes while it is paused. */
	fd = paused(TD_CTL_TIED);
	expect(TD_CTL_CLOSE, TD_CTL_CLOSE_RSP, 0);
	close(fd);
	expect(TD_CTL_DETACH, TD_CTL_DETACH_RSP, 0);
	unlink(path);
}

static void test_force_exit(void **state)
{
	struct td_ctl_msg msg;
	int fd;

	(void)state;
	msg = message(TD_CTL_EXIT);
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	assert_int_equal(open_image("ram:1M", 0).type, TD_CTL_OPEN_RSP);
	expect(TD_CTL_FORCE_SHUTDOWN, TD_CTL_CLOSE_RSP, 0);
	expect(TD_CTL_EXIT, TD_CTL_ERROR, EBUSY);
	expect(TD_CTL_DETACH, TD_CTL_DETACH_RSP, 0);
	assert_int_equal(server_exit(), 0);

	setup(state);
	fd = dial();
	assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
	assert_int_equal(td_ctl_recv(fd, &msg, WAIT), -ECONNRESET);
	close(fd);
	assert_int_equal(server_exit(), 0);
}

static void test_stats(void **state)
{
	struct td_ctl_msg msg;
	char text[4096];
	int fd, i;

	(void)state;
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	open_image("null:1M", 0);
	for (i = 0; i < 2; i++) {
		msg = message(TD_CTL_STATS);
		if (i)
			msg.cookie = TD_CTL_COOKIE_ALL;
		fd = dial();
		assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
		assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
		assert_int_equal(msg.type, TD_CTL_STATS_RSP);
		assert_in_range(msg.u.stat.length, 100, sizeof(text) - 1);
		assert_int_equal(td_ctl_recv_raw(fd, text, msg.u.stat.length,
						 WAIT), 0);
		assert_memory_equal(text, i ? "[ { \"name\": \"null:1M\"" :
					      "{ \"name\": \"null:1M\"", 19);
		assert_int_equal(text[msg.u.stat.length - 1], '\n');
		close(fd);
	}
	msg = message(TD_CTL_STATS);
	msg.cookie = MINOR + 1;
	msg = talk(&msg);
	assert_int_equal(msg.type, TD_CTL_STATS_RSP);
	assert_int_equal(msg.u.stat.length, 0);
}

static void test_open_flags(void **state)
{
	struct td_ctl_msg msg;
	char path[TD_CTL_PATH_MAX];
	unsigned int bit;

	(void)state;
	msg = open_image("null:1M", 0);
	assert_int_equal(msg.u.response.error, EINVAL);
	assert_non_null(strstr(msg.u.response.message, "tap 5"));
	expect(TD_CTL_ATTACH, TD_CTL_ATTACH_RSP, 0);
	for (bit = 0; bit < 32; bit++) {
		if (1U << bit & (TD_CTL_RDONLY | TD_CTL_NO_O_DIRECT))
			continue;
		if (1U << bit & (TD_CTL_REUSE_PRT | TD_CTL_SECONDARY |
				 TD_CTL_STANDBY | TD_CTL_ADD_LCACHE))
			continue;
		msg = open_image("null:1M", 1U << bit);
		assert_int_equal(msg.type, TD_CTL_ERROR);
		assert_int_equal(msg.u.response.error,
				 bit < 11 ? EOPNOTSUPP : EINVAL);
	}
	msg = open_image("null:1M", TD_CTL_ENCRYPTED);
	assert_non_null(strstr(msg.u.response.message, "ENCRYPTED"));
	msg = open_image("null:1M", TD_CTL_ADD_LCACHE);
	assert_int_equal(msg.u.response.error, EINVAL);
	assert_non_null(strstr(msg.u.response.message, "read cache"));
	msg = open_image("null:1M", TD_CTL_STANDBY);
	assert_non_null(strstr(msg.u.response.message, "needs SECONDARY"));
	/* What else there is reaches the disk. */
	msg = message(TD_CTL_OPEN);
	strcpy(msg.u.params.path, "vhd:/x");
	msg.u.params.flags = TD_CTL_REUSE_PRT;
	msg.u.params.prt_devnum = MINOR;
	msg = talk(&msg);
	assert_int_equal(msg.u.response.error, EINVAL);
	assert_non_null(strstr(msg.u.response.message, "tap 5 cannot stand"));
	msg = message(TD_CTL_OPEN);
	strcpy(msg.u.params.path, "null:1M");
	msg.u.params.flags = TD_CTL_SECONDARY;
	memset(msg.u.params.secondary, 'x', sizeof(msg.u.params.secondary));
	msg = talk(&msg);
	assert_int_equal(msg.u.response.error, ENAMETOOLONG);
	msg = message(TD_CTL_OPEN);
	strcpy(msg.u.params.path, "null:1M");
	strcpy(msg.u.params.secondary, "null:2M");
	msg.u.params.flags = TD_CTL_SECONDARY;
	msg = talk(&msg);
	assert_int_equal(msg.u.response.error, EINVAL);
	assert_non_null(strstr(msg.u.response.message, "mirror null:2M"));
	/* A path without end. */
	memset(path, 'x', sizeof(path));
	memcpy(path, "aio:/", 5);
	msg = message(TD_CTL_OPEN);
	memcpy(msg.u.params.path, path, sizeof(path));
	msg = talk(&msg);
	assert_int_equal(msg.u.response.error, ENAMETOOLONG);
	/* The longest there is. */
	path[sizeof(path) - 1] = '\0';
	msg = open_image(path, 0);
	assert_int_equal(msg.u.response.error, ENOENT);
	assert_int_equal(list_one().state, TD_CTL_CLOSED);
	assert_int_equal(open_image("null:1M", TD_CTL_NO_O_DIRECT).type,
			 TD_CTL_OPEN_RSP);
}

static void test_garbage(void **state)
{
	struct td_ctl_msg msg;
	unsigned int type, i;
	int fd;

	(void)state;
	for (type = 0; type < 70000; type += type < 40 ? 1 : 9973) {
		msg = message(type);
		/* Requests have odd numbers, nearly all... */
		if ((type >= TD_CTL_PID && type <= TD_CTL_STATS && type & 1) ||
		    type == TD_CTL_FORCE_SHUTDOWN || type == TD_CTL_EXIT)
			continue;
		expect(type, TD_CTL_ERROR, EINVAL);
	}
	/* ...and when they are nothing but noise get an answer as well. */
	for (type = TD_CTL_PID; type <= TD_CTL_STATS; type += 2) {
		memset(&msg, 0xa5, sizeof(msg));
		msg.type = type;
		fd = dial();
		assert_int_equal(td_ctl_send(fd, &msg, WAIT), 0);
		assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
		close(fd);
	}
	/* Clients that leave at any point. */
	for (i = 0; i < 544; i += 17) {
		msg = message(TD_CTL_LIST);
		fd = dial();
		assert_int_equal(write(fd, &msg, i), i);
		close(fd);
	}
	for (i = 0; i < 50; i++) {
		msg = message(TD_CTL_LIST);
		fd = dial();
		td_ctl_send(fd, &msg, WAIT);
		close(fd);
	}
	expect(TD_CTL_CLOSE, TD_CTL_CLOSE_RSP, EINVAL);
}

static void test_slow_clients(void **state)
{
	struct td_ctl_msg msg = message(TD_CTL_PID);
	int fds[TD_CTL_CONNS_MAX], i, fd;

	(void)state;
	/* Ten that say too little keep an eleventh out, ten seconds long. */
	for (i = 0; i < TD_CTL_CONNS_MAX; i++) {
		fds[i] = dial();
		assert_int_equal(write(fds[i], &msg, 543), 543);
	}
	fd = dial();
	assert_int_equal(td_ctl_recv(fd, &msg, WAIT), 0);
	assert_int_equal(msg.type, TD_CTL_ERROR);
	assert_int_equal(msg.u.response.error, EBUSY);
	close(fd);
	for (i = 0; i < TD_CTL_CONNS_MAX; i++) {
		assert_int_equal(td_ctl_recv(fds[i], &msg, WAIT), -ECONNRESET);
		close(fds[i]);
	}
	msg = message(TD_CTL_PID);
	assert_int_equal(talk(&msg).type, TD_CTL_PID_RSP);
}

static void test_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(sock, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_life),
		TEST(test_pause_cancelled),
		TEST(test_pause_unread),
		TEST(test_pause_tied),
		TEST(test_force_exit),
		TEST(test_stats),
		TEST(test_open_flags),
		TEST(test_garbage),
		TEST(test_slow_clients),
		TEST(test_mode),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(sock, sizeof(sock), "%s/ctl1", dir);
	failed = cmocka_run_group_tests_name("td_control", tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
