// SPDX-License-Identifier: GPL-2.0
#include "tap_ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "td_log.h"

int64_t tap_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void tap_sleep(int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&ts, NULL);
}

void tap_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

void tap_message(void *opaque, const char *text)
{
	(void)opaque;
	td_err("%s", text);
}

int tap_read_file(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		n = read(fd, buf + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += n;
	}
	close(fd);
	buf[len] = '\0';
	return err ? err : (int)len;
}

int tap_mkdirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	char *p;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	for (p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(part, mode) && errno != EEXIST)
		return -errno;
	return 0;
}

int tap_number(const char *text, int min, int max, int *value)
{
	char *end;
	long v;

	if (*text < '0' || *text > '9')
		return -ERANGE;
	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || *end || v < min || v > max)
		return -ERANGE;
	*value = (int)v;
	return 0;
}

static int tap_numbered_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

int tap_numbered(const char *folder, const char *prefix, int max,
		 int **numbers)
{
	size_t len = strlen(prefix);
	int n = 0, room = 0, value, *more;
	struct dirent *d;
	DIR *dir;

	*numbers = NULL;
	dir = opendir(folder);
	if (!dir) {
		if (errno == ENOENT)
			return 0;
		td_err("cannot read folder %s: %s", folder, strerror(errno));
		return -errno;
	}
	while ((d = readdir(dir))) {
		if (strncmp(d->d_name, prefix, len) ||
		    tap_number(d->d_name + len, 0, max, &value))
			continue;
		if (n == room) {
			room = room ? 2 * room : 16;
			more = realloc(*numbers, room * sizeof(*more));
			if (!more) {
				free(*numbers);
				closedir(dir);
				return -ENOMEM;
			}
			*numbers = more;
		}
		(*numbers)[n++] = value;
	}
	closedir(dir);
	if (n)
		qsort(*numbers, n, sizeof(**numbers), tap_numbered_compare);
	return n;
}

void tap_print_json(FILE *f, struct json_object *obj)
{
	const int flags = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			  JSON_C_TO_STRING_NOSLASHESCAPE;

	fprintf(f, "%s\n", json_object_to_json_string_ext(obj, flags));
}
