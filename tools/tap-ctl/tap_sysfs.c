// SPDX-License-Identifier: GPL-2.0
#include "tap_ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_log.h"

int tap_sysfs_minors(const struct tap_env *env, int **minors)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/class/blktap2", env->sysfs);
	return tap_numbered(path, "blktap", TAP_MINOR_MAX, minors);
}

static void tap_sysfs_attr(const struct tap_env *env, int minor,
			   const char *attr, char *buf, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/class/blktap2/blktap%d/%s",
		 env->sysfs, minor, attr);
	if (tap_read_file(path, buf, size) < 0)
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

int tap_sysfs_read(const struct tap_env *env, int minor, struct tap_sysfs *tap)
{
	char path[PATH_MAX], task[16];

	memset(tap, 0, sizeof(*tap));
	tap->minor = minor;
	snprintf(path, sizeof(path), "%s/class/blktap2/blktap%d", env->sysfs,
		 minor);
	if (access(path, F_OK))
		return -ENODEV;
	tap_sysfs_attr(env, minor, "state", tap->state, sizeof(tap->state));
	tap_sysfs_attr(env, minor, "mode", tap->mode, sizeof(tap->mode));
	tap_sysfs_attr(env, minor, "name", tap->name, sizeof(tap->name));
	tap_sysfs_attr(env, minor, "task", task, sizeof(task));
	if (tap_number(task, 1, TAP_PID_MAX, &tap->task))
		tap->task = 0;
	/* A tap without a name has its minor there. */
	if (!strchr(tap->name, ':'))
		tap->name[0] = '\0';
	return 0;
}

/* An attribute of the disk of a tap. Return: length or -errno. No message. */
static int tap_sysfs_disk(const struct tap_env *env, int minor,
			  const char *attr, char *buf, size_t size)
{
	char path[PATH_MAX];
	int number;

	number = tap_dev_major(env, false);
	if (number < 0)
		return number;
	snprintf(path, sizeof(path), "%s/dev/block/%d:%d/%s", env->sysfs,
		 number, minor, attr);
	return tap_read_file(path, buf, size);
}

int tap_sysfs_ro(const struct tap_env *env, int minor)
{
	char ro[4];

	return tap_sysfs_disk(env, minor, "ro", ro, sizeof(ro)) > 0 &&
	       ro[0] == '1';
}

int tap_sysfs_size(const struct tap_env *env, int minor, uint64_t *size)
{
	unsigned long long sectors;
	char text[32];
	int err;

	err = tap_sysfs_disk(env, minor, "size", text, sizeof(text));
	if (err >= 0)
		err = sscanf(text, "%llu", &sectors) == 1 ? 0 : -EINVAL;
	if (err) {
		td_err("minor %d: no size of its disk in sysfs: %s", minor,
		       strerror(-err));
		return err;
	}
	*size = sectors * 512;
	return 0;
}

int tap_sysfs_remove(const struct tap_env *env, int minor)
{
	char path[PATH_MAX];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/class/blktap2/blktap%d/remove",
		 env->sysfs, minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		err = -errno;
	if (fd >= 0)
		close(fd);
	/* No tap, or no disk: that is what is wanted. */
	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		err = 0;
	if (err)
		td_err("cannot remove the disk of minor %d: %s: %s", minor,
		       path, strerror(-err));
	return err;
}

int tap_sysfs_lock(const struct tap_env *env, int minor, int timeout_ms)
{
	int64_t end = tap_now() + timeout_ms;
	struct stat now, then;
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/class/blktap2/blktap%d", env->sysfs,
		 minor);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		err = errno == ENOENT ? -ENODEV : -errno;
		td_err("no tap with minor %d: %s: %s", minor, path,
		       strerror(errno));
		return err;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		if (err == -EWOULDBLOCK && tap_now() < end) {
			tap_sleep(20);
			continue;
		}
		td_err("minor %d: another tap-ctl is at work on it: %s", minor,
		       strerror(-err));
		close(fd);
		return err;
	}
	/* Who had the lock may have freed the minor, and it be a new tap. */
	if (stat(path, &now) || fstat(fd, &then) ||
	    now.st_ino != then.st_ino) {
		td_err("minor %d was freed meanwhile", minor);
		close(fd);
		return -ENODEV;
	}
	return fd;
}
