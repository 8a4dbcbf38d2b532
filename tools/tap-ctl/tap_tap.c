// SPDX-License-Identifier: GPL-2.0
/* Verbs on whole taps: create, destroy, recover. */
#include "tap_ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_log.h"

/* How long destroy waits if -t does not tell, in seconds. */
#define TAP_DESTROY_TIMEOUT	20
/* Milliseconds for the kernel to let go of a ring whose process is gone. */
#define TAP_FREE_TIMEOUT	5000
/* Milliseconds in which a dead tapdisk's lock on its image goes away. */
#define TAP_UNLOCK_TIMEOUT	5000

int tap_create(const struct tap_env *env, const struct tap_opts *o,
	       char *path, size_t size)
{
	int err, pid, minor;

	err = tap_dev_allocate(env, o->device, &minor, path, size);
	if (err)
		return err;
	pid = tap_spawn(env);
	if (pid < 0) {
		err = pid;
		goto err_free;
	}
	err = tap_image_attach(env, pid, minor);
	if (!err)
		err = tap_image_open(env, pid, minor, o, 0);
	if (!err)
		return 0;

	/* It is of no use to anybody: no need to be kind. */
	tap_spawn_kill(env, pid, minor);
err_free:
	tap_sysfs_remove(env, minor);
	tap_dev_free(env, minor, TAP_FREE_TIMEOUT);
	if (o->device)
		unlink(o->device);
	return err;
}

int tap_server(const struct tap_env *env, int pid, const struct tap_sysfs *tap)
{
	if (!pid || !tap->task || pid == tap->task ||
	    !tap_spawn_is_tapdisk(env, pid))
		return tap->task;
	td_err("minor %d is served by process %d, not by tapdisk %d",
	       tap->minor, tap->task, pid);
	return -EINVAL;
}

/* Take the tap from its tapdisk, by force if it must be. */
static int tap_destroy_detach(const struct tap_env *env, int pid,
			      const struct tap_sysfs *tap, int timeout_ms)
{
	int err = 0;

	if (strcmp(tap->state, "no-disk"))
		err = tap_image_close(env, pid, tap->minor, false, timeout_ms);
	/* It lives, and somebody needs the disk. */
	if (err == -EBUSY)
		return err;
	if (err != -ETIMEDOUT)
		err = tap_image_detach(env, pid, tap->minor);
	if (!err)
		return 0;
	td_warn("killing tapdisk %d, which does not let go of minor %d", pid,
		tap->minor);
	return tap_spawn_kill(env, pid, tap->minor);
}

static int tap_destroy_locked(const struct tap_env *env, int pid, int minor,
			      int timeout_ms)
{
	struct tap_sysfs tap;
	int err;

	err = tap_sysfs_read(env, minor, &tap);
	if (err)
		return err;
	pid = tap_server(env, pid, &tap);
	if (pid < 0)
		return pid;
	if (pid) {
		err = tap_destroy_detach(env, pid, &tap, timeout_ms);
		if (err)
			return err;
	}
	tap_spawn_sweep(env);
	err = tap_sysfs_remove(env, minor);
	if (err)
		return err;
	return tap_dev_free(env, minor, TAP_FREE_TIMEOUT);
}

int tap_destroy(const struct tap_env *env, int pid, int minor, int timeout)
{
	int lock, err;

	if (timeout < 0)
		timeout = TAP_DESTROY_TIMEOUT;
	lock = tap_sysfs_lock(env, minor, TAP_LOCK_TIMEOUT);
	if (lock < 0)
		return lock;
	err = tap_destroy_locked(env, pid, minor, timeout * 1000);
	close(lock);
	return err;
}

static int tap_recover_check(const struct tap_sysfs *tap)
{
	if (strcmp(tap->state, "waiting") && strcmp(tap->state, "failed")) {
		td_err("minor %d cannot be recovered: its state is \"%s\", not \"waiting\" or \"failed\"",
		       tap->minor, tap->state);
		return -EINVAL;
	}
	if (!tap->name[0]) {
		td_err("minor %d cannot be recovered: the kernel has no name of an image for it",
		       tap->minor);
		return -ENOENT;
	}
	return 0;
}

/* A new tapdisk for the tap, which opens its image as the record tells. */
static int tap_recover_spawn(const struct tap_env *env,
			     const struct tap_sysfs *tap, const char *name,
			     const struct tap_record *rec)
{
	const int minor = tap->minor;
	struct tap_opts o = { .parent = -1 };
	int pid, err;

	o.args = name;
	o.flags = rec->flags;
	o.timeout = rec->timeout;
	if (rec->flags & TD_CTL_REUSE_PRT)
		o.parent = rec->parent;
	if (rec->secondary[0])
		o.secondary = rec->secondary;
	if (tap_sysfs_ro(env, minor))
		o.flags |= TD_CTL_RDONLY;

	tap_spawn_sweep(env);
	pid = tap_spawn(env);
	if (pid < 0)
		return pid;
	err = tap_image_attach(env, pid, minor);
	if (!err)
		err = tap_image_open(env, pid, minor, &o, TAP_UNLOCK_TIMEOUT);
	if (err)
		tap_spawn_kill(env, pid, minor);
	else
		td_dbg("minor %d (%s) is served by tapdisk %d", minor, name,
		       pid);
	return err;
}

static int tap_recover_locked(const struct tap_env *env, int minor)
{
	struct tap_record rec;
	struct tap_sysfs tap;
	int err;

	err = tap_sysfs_read(env, minor, &tap);
	if (err)
		return err;
	if (!strcmp(tap.state, "running")) {
		td_dbg("minor %d is served by process %d, nothing to recover",
		       minor, tap.task);
		return 0;
	}
	err = tap_recover_check(&tap);
	if (!err)
		err = tap_record_load(env, minor, &rec);
	if (err)
		return err;
	if (rec.paused && !rec.live) {
		td_err("minor %d (%s) is not recovered: it is paused, its image may be in use by others; unpause it when they are through",
		       minor, tap.name);
		return -EBUSY;
	}
	return tap_recover_spawn(env, &tap, tap.name, &rec);
}

static int tap_unpause_locked(const struct tap_env *env,
			      const struct tap_opts *o)
{
	struct tap_record rec, old;
	struct tap_sysfs tap;
	int err;

	err = tap_sysfs_read(env, o->minor, &tap);
	if (!err)
		err = tap_record_load(env, o->minor, &old);
	if (err)
		return err;
	if (!old.paused || tap.task || (strcmp(tap.state, "waiting") &&
					strcmp(tap.state, "failed")))
		return tap_image_unpause(env, o->pid, o->minor, o);

	/* Its tapdisk died while it was paused. */
	err = tap_recover_check(&tap);
	if (err)
		return err;
	rec = old;
	tap_record_unpause(&rec, tap.name, o);
	err = tap_record_save(env, o->minor, &rec);
	if (!err)
		err = tap_recover_spawn(env, &tap,
					o->args ? o->args : tap.name, &rec);
	if (err)
		tap_record_save(env, o->minor, &old);
	return err;
}

int tap_unpause(const struct tap_env *env, const struct tap_opts *o)
{
	int lock, err;

	lock = tap_sysfs_lock(env, o->minor, TAP_LOCK_TIMEOUT);
	if (lock < 0)
		return lock;
	err = tap_unpause_locked(env, o);
	close(lock);
	return err;
}

int tap_recover(const struct tap_env *env, int minor)
{
	int lock, err;

	lock = tap_sysfs_lock(env, minor, TAP_LOCK_TIMEOUT);
	if (lock < 0)
		return lock;
	err = tap_recover_locked(env, minor);
	close(lock);
	return err;
}

int tap_recover_all(const struct tap_env *env)
{
	struct tap_sysfs tap;
	int *minors, i, n, err, first = 0;

	n = tap_sysfs_minors(env, &minors);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		if (tap_sysfs_read(env, minors[i], &tap) ||
		    strcmp(tap.state, "waiting"))
			continue;
		err = tap_recover(env, minors[i]);
		if (err && !first)
			first = err;
	}
	free(minors);
	return first;
}
