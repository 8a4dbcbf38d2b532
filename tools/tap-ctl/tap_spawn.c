// SPDX-License-Identifier: GPL-2.0
/*
 * Starting and ending tapdisks.
 *
 * A tapdisk2 becomes a daemon and prints the path of its control socket,
 * whose number is its process id. What else it prints is the cause of a
 * failure and handed on.
 */
#include "tap_ctl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "td_ctl_client.h"
#include "td_log.h"

/* Time for a tapdisk to come up, in milliseconds. */
#define TAP_SPAWN_TIMEOUT	30000
/* Time for a killed process to be gone. */
#define TAP_KILL_TIMEOUT	5000
/* Time for a process that has closed its socket to be gone, if it ends. */
#define TAP_END_TIMEOUT		500

/* $TAPDISK, $TAPDISK2, or tapdisk2 beside this program or in /usr/sbin. */
static void tap_spawn_program(char *path, size_t size)
{
	const char *given = getenv("TAPDISK");
	ssize_t n;
	char *slash;

	if (!given || !*given)
		given = getenv("TAPDISK2");
	if (given && *given) {
		snprintf(path, size, "%s", given);
		return;
	}
	n = readlink("/proc/self/exe", path, size - sizeof("tapdisk2"));
	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash) {
			strcpy(slash + 1, "tapdisk2");
			if (!access(path, X_OK))
				return;
		}
	}
	snprintf(path, size, "/usr/sbin/tapdisk2");
}

static void tap_spawn_exec(const char *program, int out)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	/* A tapdisk must not hold what the caller waits for or has locked. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
	    close_range(3, ~0U, 0))
		_exit(126);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execlp(program, program, NULL);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", program,
		strerror(errno));
	_exit(127);
}

/* The number in ".../ctl<number>" at the end of the first line, or -1. */
static int tap_spawn_id(const char *text)
{
	char line[PATH_MAX];
	const char *p;
	int id;

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
	p = strrchr(line, '/');
	if (line[0] != '/' || strncmp(p, "/" TD_CTL_PREFIX, 4) ||
	    tap_number(p + 4, 1, TAP_PID_MAX, &id))
		return -1;
	return id;
}

/* Read what the child prints: until it closes its end or prints its id. */
static int tap_spawn_read(int fd, char *text, size_t size, int64_t end)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	int64_t left;
	ssize_t n;

	text[0] = '\0';
	while (len < size - 1) {
		left = end - tap_now();
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			return -ETIMEDOUT;
		n = read(fd, text + len, size - 1 - len);
		if (n <= 0)
			break;
		len += n;
		text[len] = '\0';
		if (strchr(text, '\n') && tap_spawn_id(text) > 0)
			break;
	}
	return 0;
}

/* Wait for the child that becomes a daemon. Return: exit status or -errno. */
static int tap_spawn_wait(pid_t child, int64_t end)
{
	int status;
	pid_t pid;

	for (;;) {
		pid = waitpid(child, &status, WNOHANG);
		if (pid == child)
			break;
		if (pid < 0 && errno != EINTR)
			return -errno;
		if (tap_now() >= end) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return -ETIMEDOUT;
		}
		tap_sleep(5);
	}
	if (WIFSIGNALED(status))
		return -EINTR;
	return WEXITSTATUS(status);
}

int tap_spawn(const struct tap_env *env)
{
	int64_t end = tap_now() + TAP_SPAWN_TIMEOUT;
	char program[PATH_MAX], text[1024];
	int pipe_fd[2], id, err, status;
	pid_t child;

	(void)env;
	tap_spawn_program(program, sizeof(program));
	if (pipe2(pipe_fd, O_CLOEXEC)) {
		err = -errno;
		td_err("cannot make a pipe: %s", strerror(-err));
		return err;
	}
	child = fork();
	if (child < 0) {
		err = -errno;
		td_err("cannot fork: %s", strerror(-err));
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		return err;
	}
	if (!child)
		tap_spawn_exec(program, pipe_fd[1]);
	close(pipe_fd[1]);
	err = tap_spawn_read(pipe_fd[0], text, sizeof(text), end);
	close(pipe_fd[0]);
	status = tap_spawn_wait(child, err ? 0 : end);
	id = tap_spawn_id(text);
	if (!err && !status && id > 0)
		return id;
	text[strcspn(text, "\n")] = '\0';
	if (err == -ETIMEDOUT || status == -ETIMEDOUT) {
		td_err("%s did not start within %d s", program,
		       TAP_SPAWN_TIMEOUT / 1000);
		return -ETIMEDOUT;
	}
	if (status == -EINTR)
		td_err("%s was killed by a signal%s%s", program,
		       text[0] ? ": " : "", text);
	else
		td_err("%s did not start, exit status %d%s%s", program, status,
		       text[0] ? ": " : "", text);
	return status == 127 ? -ENOENT : -ECHILD;
}

bool tap_spawn_is_tapdisk(const struct tap_env *env, int pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char path[PATH_MAX];
	bool is;
	int fd;

	snprintf(path, sizeof(path), "%s/" TD_CTL_PREFIX "%d", env->run, pid);
	fd = td_ctl_connect_path(path, 0);
	/* A full queue is a queue: somebody listens. */
	if (fd < 0)
		return fd == -ETIMEDOUT;
	is = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	     peer.pid == pid;
	close(fd);
	return is;
}

static bool tap_spawn_has_ring(const struct tap_env *env, int pid, int minor)
{
	struct tap_sysfs tap;

	return minor >= 0 && !tap_sysfs_read(env, minor, &tap) &&
	       tap.task == pid;
}

static int tap_spawn_kill_fd(int pidfd, int pid)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int err;

	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0)) {
		err = -errno;
		if (err == -ESRCH)
			return 0;
		td_err("cannot kill tapdisk %d: %s", pid, strerror(-err));
		return err;
	}
	if (poll(&pfd, 1, TAP_KILL_TIMEOUT) > 0)
		return 0;
	td_err("tapdisk %d was killed but does not end within %d s: it waits in the kernel",
	       pid, TAP_KILL_TIMEOUT / 1000);
	return -EBUSY;
}

int tap_spawn_kill(const struct tap_env *env, int pid, int minor)
{
	struct pollfd pfd = { .events = POLLIN };
	int pidfd, err;

	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 && errno != ESRCH) {
		err = -errno;
		td_err("cannot open process %d: %s", pid, strerror(-err));
		return err;
	}
	if (pidfd < 0) {
		tap_spawn_sweep(env);
		return 0;
	}
	/* Checked after pidfd_open(): it cannot be another process. */
	if (tap_spawn_has_ring(env, pid, minor) ||
	    tap_spawn_is_tapdisk(env, pid)) {
		err = tap_spawn_kill_fd(pidfd, pid);
	} else {
		/* One that ends closes its socket before it is gone. */
		pfd.fd = pidfd;
		if (!poll(&pfd, 1, TAP_END_TIMEOUT))
			td_dbg("process %d is no tapdisk, not killed", pid);
		err = 0;
	}
	close(pidfd);
	tap_spawn_sweep(env);
	return err;
}

/* Has a process ended, even if its parent does not care? */
static bool tap_spawn_is_gone(int pid)
{
	struct pollfd pfd = { .events = POLLIN };
	bool gone;

	pfd.fd = pidfd_open(pid, 0);
	if (pfd.fd < 0)
		return errno == ESRCH;
	gone = poll(&pfd, 1, 0) > 0;
	close(pfd.fd);
	return gone;
}

void tap_spawn_sweep(const struct tap_env *env)
{
	char path[PATH_MAX];
	int *pids, i, n;

	n = tap_list_sockets(env, &pids);
	for (i = 0; i < n; i++) {
		/* A tapdisk makes its socket after it has its process id. */
		if (!tap_spawn_is_gone(pids[i]))
			continue;
		snprintf(path, sizeof(path), "%s/" TD_CTL_PREFIX "%d",
			 env->run, pids[i]);
		unlink(path);
	}
	if (n >= 0)
		free(pids);
}
