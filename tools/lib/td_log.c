// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages to standard error or to the system log.
 *
 * syslog() is not used: it waits while the reader of /dev/log does not read,
 * and it makes a socket whenever it likes. The one here is made once and not
 * connected, so it survives that the reader is started again.
 */
#include "td_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char *td_log_name = "xen-pvio";
static int td_log_syslog;
static int td_log_level = LOG_INFO;
static char td_log_first[256];
static unsigned long td_log_lost;
static int td_log_socket = -1;
static int td_log_stderr = -1;

static void td_log_open_socket(void)
{
	if (td_log_socket >= 0)
		return;
	td_log_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Reads the time zone while files can be opened. */
	tzset();
}

void td_log_open(const char *name, int to_syslog, int level)
{
	td_log_name = name;
	td_log_syslog = to_syslog;
	td_log_level = level;
	if (!to_syslog)
		return;
	td_log_open_socket();
	if (td_log_stderr >= 0)
		close(td_log_stderr);
	td_log_stderr = -1;
}

void td_log_no_wait(void)
{
	td_log_open_socket();
	/* O_NONBLOCK must not come to those who share the descriptor. */
	if (td_log_stderr < 0)
		td_log_stderr = open("/proc/self/fd/2", O_WRONLY | O_APPEND |
				     O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	/* A socket cannot be opened, nor what another user has made. */
	if (td_log_stderr < 0)
		td_log_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

static int td_log_to_syslog(int level, const char *line)
{
	struct sockaddr_un addr = { AF_UNIX, "/dev/log" };
	char text[1200], when[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	int len;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%b %e %T", &tm);
	len = snprintf(text, sizeof(text), "<%d>%s %s[%d]: %s",
		       LOG_DAEMON | level, when, td_log_name, getpid(), line);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	return sendto(td_log_socket, text, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (struct sockaddr *)&addr, sizeof(addr)) < 0;
}

static int td_log_to_stderr(const char *line)
{
	struct pollfd pfd = { .fd = td_log_stderr, .events = POLLOUT };
	char text[1200];
	ssize_t n;
	int len;

	if (td_log_stderr < 0)
		return fprintf(stderr, "%s: %s\n", td_log_name, line) < 0;
	len = snprintf(text, sizeof(text), "%s: %s\n", td_log_name, line);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	n = send(td_log_stderr, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == ENOTSOCK && poll(&pfd, 1, 0) > 0)
		n = write(td_log_stderr, text, len);
	return n < 0;
}

static int td_log_write(int level, const char *line)
{
	return td_log_syslog ? td_log_to_syslog(level, line) :
			       td_log_to_stderr(line);
}

void td_log(int level, const char *fmt, ...)
{
	char line[1024], lost[64];
	va_list ap;

	if (level > td_log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (level <= LOG_ERR && !td_log_first[0])
		snprintf(td_log_first, sizeof(td_log_first), "%.*s",
			 (int)sizeof(td_log_first) - 1, line);
	if (td_log_lost) {
		snprintf(lost, sizeof(lost), "%lu messages were lost here",
			 td_log_lost);
		if (!td_log_write(LOG_WARNING, lost))
			td_log_lost = 0;
	}
	if (td_log_write(level, line))
		td_log_lost++;
}

const char *td_log_error(void)
{
	return td_log_first;
}

void td_log_error_clear(void)
{
	td_log_first[0] = '\0';
}
