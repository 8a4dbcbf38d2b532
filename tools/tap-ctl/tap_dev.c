// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes and minors.
 *
 * The nodes in /dev/xen/blktap-2 may have been made by the kernel (devtmpfs)
 * or not; what is missing, or left over with the numbers of an earlier load
 * of the module, is made here, as the first tap-ctl did. Only device nodes
 * are ever replaced or removed.
 */
#include "tap_ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/blktap2.h>

#include "td_log.h"

static int tap_dev_ioctl(const char *path, unsigned long cmd,
			 unsigned long arg)
{
	int fd, err = 0;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, cmd, arg) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int tap_dev_load(void)
{
	char *const argv[] = { "modprobe", "-q", "blktap2", NULL };
	int status, err;
	pid_t pid;

	err = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ENOENT;
}

const struct tap_env tap_env_default = {
	.proc = "/proc",
	.sysfs = "/sys",
	.dev = "/dev/xen/blktap-2",
	.run = TD_CTL_DIR,
	.control = tap_dev_ioctl,
	.load = tap_dev_load,
};

/*
 * The number before a name in a file of "number name" lines, in the part that
 * follows the line @section if there is one.
 */
static int tap_dev_number(const struct tap_env *env, const char *file,
			  const char *section, const char *name)
{
	char path[PATH_MAX], line[256], word[256];
	bool inside = !section;
	int number, found = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", env->proc, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (found < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%d %255s", &number, word) == 2) {
			if (inside && !strcmp(word, name))
				found = number;
		} else if (section && strchr(line, ':')) {
			inside = !strncmp(line, section, strlen(section));
		}
	}
	fclose(f);
	return found;
}

static int tap_dev_misc_minor(const struct tap_env *env)
{
	return tap_dev_number(env, "misc", NULL, "blktap-control");
}

int tap_dev_check(const struct tap_env *env)
{
	int minor = tap_dev_misc_minor(env);

	if (minor == -ENOENT)
		return access(env->proc, F_OK) ? -ENOENT : -ENOSYS;
	return minor < 0 ? minor : 0;
}

int tap_dev_major(const struct tap_env *env, bool chr)
{
	if (chr)
		return tap_dev_number(env, "devices", "Character devices:",
				      "blktap2");
	return tap_dev_number(env, "devices", "Block devices:", "tapdev");
}

static bool tap_dev_is_node(const struct stat *st, mode_t type, dev_t rdev)
{
	return (st->st_mode & S_IFMT) == type && st->st_rdev == rdev;
}

/* Have a node with this type and number at @path. */
static int tap_dev_make(const char *path, mode_t type, dev_t rdev)
{
	struct stat st;
	int err;

	if (!lstat(path, &st)) {
		if (tap_dev_is_node(&st, type, rdev))
			return 0;
		if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
			td_err("%s exists and is not a device node", path);
			return -EEXIST;
		}
		if (unlink(path) && errno != ENOENT)
			goto err_errno;
	}
	if (!mknod(path, type | 0600, rdev))
		return 0;
	/* The kernel may have been faster. */
	if (errno == EEXIST && !lstat(path, &st) &&
	    tap_dev_is_node(&st, type, rdev))
		return 0;
err_errno:
	err = -errno;
	td_err("cannot make device node %s (%u:%u): %s", path, major(rdev),
	       minor(rdev), strerror(-err));
	return err;
}

/* Remove a node, if it is the one that is meant. */
static void tap_dev_drop(const char *path, mode_t type, dev_t rdev)
{
	struct stat st;

	if (!lstat(path, &st) && tap_dev_is_node(&st, type, rdev))
		unlink(path);
}

/*
 * Have a control node and take the lock under which minors are allocated and
 * freed, so that the nodes of a minor are those of its last allocation.
 * Return: descriptor that holds the lock, or -errno.
 */
static int tap_dev_lock(const struct tap_env *env, char *path, size_t size)
{
	int number, fd, err;

	number = tap_dev_misc_minor(env);
	if (number < 0) {
		td_err("no blktap-control in %s/misc: module not loaded",
		       env->proc);
		return -ENOSYS;
	}
	err = tap_mkdirs(env->dev, 0755);
	if (err) {
		td_err("cannot make folder %s: %s", env->dev, strerror(-err));
		return err;
	}
	fd = open(env->dev, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX)) {
		err = -errno;
		td_err("cannot lock folder %s: %s", env->dev, strerror(-err));
		goto err_close;
	}
	snprintf(path, size, "%s/control", env->dev);
	err = tap_dev_make(path, S_IFCHR, makedev(10, number));
	if (!err)
		return fd;

err_close:
	if (fd >= 0)
		close(fd);
	return err;
}

int tap_dev_allocate(const struct tap_env *env, const char *device, int *minor,
		     char *path, size_t size)
{
	char control[PATH_MAX], ring[PATH_MAX];
	struct blktap_info info = {};
	int lock, err;

	lock = tap_dev_lock(env, control, sizeof(control));
	if (lock < 0)
		return lock;
	err = env->control(control, BLKTAP_IOCTL_ALLOC_TAP,
			   (unsigned long)&info);
	if (err) {
		td_err("cannot allocate a tap with %s: %s", control,
		       strerror(-err));
		goto out;
	}
	*minor = (int)info.ring_minor;
	snprintf(ring, sizeof(ring), "%s/blktap%d", env->dev, *minor);
	if (device)
		snprintf(path, size, "%s", device);
	else
		snprintf(path, size, "%s/tapdev%d", env->dev, *minor);
	err = tap_dev_make(ring, S_IFCHR,
			   makedev(info.ring_major, info.ring_minor));
	if (!err)
		err = tap_dev_make(path, S_IFBLK,
				   makedev(info.bdev_major, info.ring_minor));
	if (err) {
		env->control(control, BLKTAP_IOCTL_FREE_TAP, info.ring_minor);
		tap_dev_drop(ring, S_IFCHR,
			     makedev(info.ring_major, info.ring_minor));
	}
	/* Who freed the minor last may not have known of records. */
	tap_record_drop(env, *minor);
out:
	close(lock);
	return err;
}

int tap_dev_free(const struct tap_env *env, int minor, int timeout_ms)
{
	int64_t end = tap_now() + timeout_ms;
	char path[PATH_MAX];
	int lock, err, number;

	for (;;) {
		lock = tap_dev_lock(env, path, sizeof(path));
		if (lock < 0)
			return lock;
		err = env->control(path, BLKTAP_IOCTL_FREE_TAP,
				   (unsigned long)minor);
		if ((err != -EBUSY && err != -EAGAIN) || tap_now() >= end)
			break;
		close(lock);
		tap_sleep(50);
	}
	if (err) {
		td_err("cannot free minor %d: %s%s", minor, strerror(-err),
		       err == -EBUSY ? ", a process has its ring open" : "");
		goto out;
	}
	/* Still under the lock: nobody has been given the minor again. */
	number = tap_dev_major(env, true);
	snprintf(path, sizeof(path), "%s/blktap%d", env->dev, minor);
	if (number >= 0)
		tap_dev_drop(path, S_IFCHR, makedev(number, minor));
	number = tap_dev_major(env, false);
	snprintf(path, sizeof(path), "%s/tapdev%d", env->dev, minor);
	if (number >= 0)
		tap_dev_drop(path, S_IFBLK, makedev(number, minor));
	tap_record_drop(env, minor);
out:
	close(lock);
	return err;
}
