// SPDX-License-Identifier: LGPL-2.1-or-later
#include "td_ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds of the monotonic clock at which a timeout is over, or -1. */
static int64_t td_ctl_deadline(int timeout_ms)
{
	struct timespec ts;

	if (timeout_ms < 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000 + timeout_ms;
}

static int td_ctl_left(int64_t deadline)
{
	int64_t left;

	if (deadline < 0)
		return -1;
	left = deadline - td_ctl_deadline(0);
	return left > 0 ? (int)left : 0;
}

static int td_ctl_wait(int fd, short events, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&pfd, 1, td_ctl_left(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int td_ctl_sleep(int64_t deadline)
{
	struct timespec ts = { .tv_nsec = 20 * 1000 * 1000 };

	if (!td_ctl_left(deadline))
		return -ETIMEDOUT;
	nanosleep(&ts, NULL);
	return 0;
}

static int td_ctl_connect_by(const char *path, int64_t deadline)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: the queue of the listener is full, poll() does not help. */
	for (;;) {
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return fd;
		err = -errno;
		if (err == -EINTR)
			continue;
		if (err == -EAGAIN)
			err = td_ctl_sleep(deadline);
		if (err) {
			close(fd);
			return err;
		}
	}
}

static int td_ctl_send_by(int fd, const struct td_ctl_msg *msg,
			  int64_t deadline)
{
	const char *p = (const char *)msg;
	size_t left = sizeof(*msg);
	ssize_t n;
	int err;

	while (left) {
		n = send(fd, p, left, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			p += n;
			left -= n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		err = td_ctl_wait(fd, POLLOUT, deadline);
		if (err)
			return err;
	}
	return 0;
}

static int td_ctl_recv_by(int fd, void *buf, size_t len, int64_t deadline)
{
	char *p = buf;
	ssize_t n;
	int err;

	while (len) {
		n = recv(fd, p, len, MSG_DONTWAIT);
		if (n > 0) {
			p += n;
			len -= n;
			continue;
		}
		if (!n)
			return -ECONNRESET;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		err = td_ctl_wait(fd, POLLIN, deadline);
		if (err)
			return err;
	}
	return 0;
}

static int td_ctl_recv_msg(int fd, struct td_ctl_msg *msg, int64_t deadline)
{
	int err;

	err = td_ctl_recv_by(fd, msg, sizeof(*msg), deadline);
	if (err)
		return err;
	switch (msg->type) {
	case TD_CTL_LIST_RSP:
		msg->u.list.path[TD_CTL_PATH_MAX - 1] = '\0';
		break;
	case TD_CTL_OPEN_RSP:
	case TD_CTL_PID_RSP:
	case TD_CTL_LIST_MINORS_RSP:
	case TD_CTL_STATS_RSP:
		break;
	default:
		msg->u.response.message[TD_CTL_PATH_MAX - 1] = '\0';
	}
	return 0;
}

int td_ctl_connect_path(const char *path, int timeout_ms)
{
	return td_ctl_connect_by(path, td_ctl_deadline(timeout_ms));
}

/* The control socket of a tapdisk2. */
static void td_ctl_path(char *path, size_t size, pid_t pid)
{
	snprintf(path, size, TD_CTL_DIR "/" TD_CTL_PREFIX "%d", (int)pid);
}

int td_ctl_connect(pid_t pid, int timeout_ms)
{
	char path[sizeof(TD_CTL_DIR "/" TD_CTL_PREFIX) + 12];

	td_ctl_path(path, sizeof(path), pid);
	return td_ctl_connect_path(path, timeout_ms);
}

int td_ctl_send(int fd, const struct td_ctl_msg *msg, int timeout_ms)
{
	return td_ctl_send_by(fd, msg, td_ctl_deadline(timeout_ms));
}

int td_ctl_recv(int fd, struct td_ctl_msg *msg, int timeout_ms)
{
	return td_ctl_recv_msg(fd, msg, td_ctl_deadline(timeout_ms));
}

int td_ctl_recv_raw(int fd, void *buf, size_t len, int timeout_ms)
{
	return td_ctl_recv_by(fd, buf, len, td_ctl_deadline(timeout_ms));
}

/* The error that an answer to a request of this type tells. */
static int td_ctl_answer_error(uint16_t type, const struct td_ctl_msg *msg)
{
	if (type == TD_CTL_FORCE_SHUTDOWN)
		type = TD_CTL_CLOSE;
	switch (msg->type) {
	case TD_CTL_ERROR:
	case TD_CTL_RUNTIME_ERROR:
		return msg->u.response.error > 0 ? -msg->u.response.error :
						   -EPROTO;
	case TD_CTL_ATTACH_RSP:
	case TD_CTL_PAUSE_RSP:
	case TD_CTL_RESUME_RSP:
	case TD_CTL_CLOSE_RSP:
	case TD_CTL_DETACH_RSP:
		if (msg->type != type + 1 || msg->u.response.error < 0)
			return -EPROTO;
		return -msg->u.response.error;
	default:
		return msg->type == type + 1 ? 0 : -EPROTO;
	}
}

int td_ctl_call(pid_t pid, struct td_ctl_msg *msg, int timeout_ms)
{
	char path[sizeof(TD_CTL_DIR "/" TD_CTL_PREFIX) + 12];

	td_ctl_path(path, sizeof(path), pid);
	return td_ctl_call_path(path, msg, timeout_ms);
}

int td_ctl_call_path(const char *path, struct td_ctl_msg *msg, int timeout_ms)
{
	int fd, err;

	err = td_ctl_call_keep(path, msg, timeout_ms, &fd);
	if (fd >= 0)
		close(fd);
	return err;
}

int td_ctl_call_keep(const char *path, struct td_ctl_msg *msg, int timeout_ms,
		     int *fd)
{
	int64_t deadline = td_ctl_deadline(timeout_ms);
	uint16_t type = msg->type;
	int err;

	*fd = td_ctl_connect_path(path, timeout_ms);
	err = *fd < 0 ? *fd : td_ctl_send_by(*fd, msg, deadline);
	if (!err)
		err = td_ctl_recv_msg(*fd, msg, deadline);
	if (err)
		msg->u.response.message[0] = '\0';
	else
		err = td_ctl_answer_error(type, msg);
	if (err && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return err;
}
