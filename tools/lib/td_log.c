// SPDX-License-Identifier: LGPL-2.1-or-later
#include "td_log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *td_log_name = "xen-pvio";
static int td_log_syslog;
static int td_log_level = LOG_INFO;
static char td_log_first[256];

void td_log_open(const char *name, int to_syslog, int level)
{
	td_log_name = name;
	td_log_syslog = to_syslog;
	td_log_level = level;
	if (to_syslog)
		openlog(name, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void td_log(int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (level > td_log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (level <= LOG_ERR && !td_log_first[0])
		snprintf(td_log_first, sizeof(td_log_first), "%.*s",
			 (int)sizeof(td_log_first) - 1, line);
	if (td_log_syslog)
		syslog(level, "%s", line);
	else
		fprintf(stderr, "%s: %s\n", td_log_name, line);
}

const char *td_log_error(void)
{
	return td_log_first;
}

void td_log_error_clear(void)
{
	td_log_first[0] = '\0';
}
