// SPDX-License-Identifier: GPL-2.0
/*
 * resize: a larger disk, while it is in use.
 *
 * The tap is paused, which closes the image and lets requests wait. The image
 * grows in place. When the tap goes on, its tapdisk finds the image larger
 * than the disk and lets the disk grow. What can be known to be wrong is
 * refused before the pause; what goes wrong after it leaves the image as it
 * was, or larger than the disk, and the tap goes on in both cases. A signal
 * from the terminal must not leave it paused; if we are killed, the tapdisk
 * goes on by itself.
 */
#include "tap_ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/vhd.h"
#include "td_log.h"

/* Seconds that the pause takes if -t does not tell. */
#define TAP_PAUSE_TIMEOUT	120
#define TAP_MIB			(1ULL << 20)

/**
 * struct tap_resize - what is to be done
 * @env: where
 * @o: options
 * @tap: the tap
 * @path: its image
 * @vhd: that is a VHD, else a file or device without format
 * @disk: size of the disk in bytes
 * @size: size that the image is to get in bytes, or 0: it has it already
 */
struct tap_resize {
	const struct tap_env *env;
	const struct tap_opts *o;
	struct tap_sysfs tap;
	const char *path;
	bool vhd;
	uint64_t disk;
	uint64_t size;
};

static const struct vhd_ctx tap_resize_ctx = {
	.message = tap_message,
};

/* Is it in a state in which it can be paused and go on by itself? */
static int tap_resize_check_tap(struct tap_resize *r)
{
	const struct tap_sysfs *tap = &r->tap;
	struct tap_record rec;
	int err;

	if (strcmp(tap->state, "running") || strcmp(tap->mode, "direct")) {
		td_err("minor %d cannot be resized: its state is \"%s\", its mode \"%s\", must be \"running\" and \"direct\"",
		       tap->minor, tap->state, tap->mode);
		return -EINVAL;
	}
	if (tap->task != r->o->pid) {
		td_err("minor %d is served by process %d, not by tapdisk %d",
		       tap->minor, tap->task, r->o->pid);
		return -EINVAL;
	}
	err = tap_record_load(r->env, tap->minor, &rec);
	if (err)
		return err;
	if (rec.paused) {
		td_err("minor %d is paused: resize %s with vhd-util or truncate, then unpause it",
		       tap->minor, tap->name);
		return -EBUSY;
	}
	if (rec.flags & TD_CTL_SECONDARY) {
		td_err("minor %d has a second image (-2): both would have to grow; pause it, resize both, unpause it",
		       tap->minor);
		return -EINVAL;
	}
	if (rec.flags & TD_CTL_REUSE_PRT) {
		td_err("minor %d reads the parents of its image from minor %d (-e), which must have the same size",
		       tap->minor, rec.parent);
		return -EINVAL;
	}
	if (r->size && tap_sysfs_ro(r->env, tap->minor)) {
		td_err("minor %d is read-only: its image is not to be changed",
		       tap->minor);
		return -EROFS;
	}
	return 0;
}

static int tap_resize_image_size(const struct tap_resize *r, uint64_t *size)
{
	struct vhd_image *image;
	int fd, err = 0;
	off_t end;

	if (r->vhd) {
		err = vhd_open(&tap_resize_ctx, r->path, VHD_OPEN_HEADERS,
			       &image);
		if (err)
			return err;
		*size = image->size;
		vhd_close(image);
		return 0;
	}
	fd = open(r->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
	} else {
		/* Of a block device, too. */
		end = lseek(fd, 0, SEEK_END);
		if (end < 0)
			err = -errno;
		*size = (uint64_t)end;
		close(fd);
	}
	if (err)
		td_err("%s: %s", r->path, strerror(-err));
	return err;
}

/* What is wrong with the new size, or with the image? */
static int tap_resize_check_image(struct tap_resize *r)
{
	uint64_t size;
	struct stat st;
	int err;

	err = tap_resize_image_size(r, &size);
	if (err)
		return err;
	if (r->vhd && r->size > VHD_DISK_MAX) {
		td_err("-s is %d MiB, a VHD has at most %llu MiB (2040 GiB), because its block table has 32-bit sector numbers",
		       r->o->size, VHD_DISK_MAX_MB);
		return -EFBIG;
	}
	if (r->size && r->size < r->disk) {
		td_err("-s is %d MiB, minor %d has %llu sectors of 512 bytes: a disk in use does not get smaller",
		       r->o->size, r->tap.minor, r->disk / 512ULL);
		return -EINVAL;
	}
	if (r->size && r->size < size) {
		td_err("-s is %d MiB, %s has %llu bytes: it does not get smaller",
		       r->o->size, r->path, (unsigned long long)size);
		return -EINVAL;
	}
	if (size < r->disk) {
		td_err("%s has %llu bytes, less than the disk of minor %d, which has %llu",
		       r->path, (unsigned long long)size, r->tap.minor,
		       (unsigned long long)r->disk);
		return -EINVAL;
	}
	if (!r->vhd && size % 512) {
		td_err("%s has %llu bytes, must be a multiple of 512", r->path,
		       (unsigned long long)size);
		return -EINVAL;
	}
	if (r->size && !r->vhd && (stat(r->path, &st) ||
				   !S_ISREG(st.st_mode))) {
		td_err("-s: %s is no regular file: let it grow by other means, then resize without -s",
		       r->path);
		return -EINVAL;
	}
	return 0;
}

static int tap_resize_check(struct tap_resize *r)
{
	const char *name = r->tap.name;
	int err;

	err = tap_resize_check_tap(r);
	if (err)
		return err;
	r->vhd = !strncmp(name, "vhd:", 4);
	if (!r->vhd && strncmp(name, "aio:", 4)) {
		td_err("minor %d has the image \"%s\", must be of type vhd or aio to be resized",
		       r->tap.minor, name);
		return -EINVAL;
	}
	r->path = name + 4;
	err = tap_sysfs_size(r->env, r->tap.minor, &r->disk);
	if (err)
		return err;
	return tap_resize_check_image(r);
}

static int tap_resize_image(const struct tap_resize *r)
{
	int err = 0;

	if (!r->size)
		return 0;
	if (r->vhd) {
		err = vhd_grow(&tap_resize_ctx, r->path, r->size);
	} else if (truncate(r->path, (off_t)r->size)) {
		err = -errno;
		td_err("%s: growing to %llu bytes: %s", r->path,
		       (unsigned long long)r->size, strerror(-err));
	}
	return err;
}

/* Has the tapdisk done its part? */
static int tap_resize_verify(const struct tap_resize *r)
{
	uint64_t disk, image;
	int err;

	err = tap_sysfs_size(r->env, r->tap.minor, &disk);
	if (!err)
		err = tap_resize_image_size(r, &image);
	/* Less than a sector at the end is not seen. */
	if (err || disk / 512 >= image / 512)
		return err;
	td_err("the disk of minor %d stays at %llu bytes, though %s has %llu: see the messages of tapdisk %d",
	       r->tap.minor, (unsigned long long)disk, r->path,
	       (unsigned long long)image, r->tap.task);
	return -EIO;
}

static int tap_resize_paused(const struct tap_resize *r, int tie)
{
	struct tap_opts unpause = { .parent = -1 };
	int err, ret;

	err = tap_resize_image(r);
	ret = tap_image_unpause(r->env, r->tap.task, r->tap.minor, &unpause);
	if (ret)
		td_err("minor %d is paused", r->tap.minor);
	close(tie);
	if (!err && !ret)
		ret = tap_resize_verify(r);
	return err ? err : ret;
}

static int tap_resize_locked(struct tap_resize *r)
{
	int s = r->o->timeout < 0 ? TAP_PAUSE_TIMEOUT : r->o->timeout;
	sigset_t set, old;
	int tie, err;

	err = tap_sysfs_read(r->env, r->o->minor, &r->tap);
	if (!err)
		err = tap_resize_check(r);
	if (err)
		return err;
	tap_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	err = tap_image_pause(r->env, r->tap.task, r->tap.minor, s * 1000,
			      &tie);
	if (!err)
		err = tap_resize_paused(r, tie);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return err;
}

int tap_resize(const struct tap_env *env, const struct tap_opts *o)
{
	struct tap_resize r = { .env = env, .o = o };
	int lock, err;

	if (o->size > 0)
		r.size = (uint64_t)o->size * TAP_MIB;
	lock = tap_sysfs_lock(env, o->minor, TAP_LOCK_TIMEOUT);
	if (lock < 0)
		return lock;
	err = tap_resize_locked(&r);
	close(lock);
	return err;
}
