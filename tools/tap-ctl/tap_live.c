// SPDX-License-Identifier: GPL-2.0
/*
 * A disk in use whose chain is changed: what coalesce does to the tap.
 *
 * While the tap is paused no tapdisk has an image open, and the lock of the
 * tap keeps recover away. The record says that it is a pause of ours: at each
 * moment of it the name of the tap leads to a chain that can be opened and
 * holds what the guest wrote. So whoever finds the tap paused and the lock free,
 * because we were killed, may let it go on: the tapdisk itself, which sees our
 * connection end; recover, if the tapdisk is dead; unpause, or coalesce when
 * it is run again.
 *
 * Signals that end a program wait until we look, which is never during a
 * pause.
 */
#include "tap_live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "td_log.h"

/* Milliseconds that a tapdisk has for its requests. */
#define TAP_PAUSE_TIMEOUT	120000

static bool tap_live_stop(void *opaque)
{
	sigset_t set;

	(void)opaque;
	sigpending(&set);
	return sigismember(&set, SIGINT) == 1 ||
	       sigismember(&set, SIGTERM) == 1 ||
	       sigismember(&set, SIGHUP) == 1;
}

static void tap_live_progress(void *opaque, uint64_t done, uint64_t total)
{
	struct tap_live *l = opaque;

	td_progress(&l->progress, done, total);
}

/* The tap as it is now, and the process that serves it. */
static int tap_live_look(struct tap_live *l, int pid)
{
	int err = tap_sysfs_read(l->env, l->o->minor, &l->tap);

	if (err) {
		td_err("no tap with minor %d", l->o->minor);
		return err;
	}
	err = tap_server(l->env, pid, &l->tap);
	if (err < 0)
		return err;
	if (strcmp(l->tap.state, "running")) {
		td_err("minor %d cannot be paused: its state is \"%s\", must be \"running\"",
		       l->o->minor, l->tap.state);
		return -EINVAL;
	}
	if (!strncmp(l->tap.name, "vhd:", 4))
		return 0;
	td_err("minor %d has %s: must be a VHD to have a parent", l->o->minor,
	       l->tap.name);
	return -EINVAL;
}

static int tap_live_resume(struct tap_live *l)
{
	const struct tap_opts same = { .parent = -1 };

	int err = tap_image_unpause(l->env, l->tap.task, l->o->minor, &same);

	close(l->tie);
	return err;
}

static int tap_live_check(struct tap_live *l)
{
	struct tap_record rec;
	int err;

	err = tap_record_load(l->env, l->o->minor, &rec);
	if (err)
		return err;
	if (rec.flags & (TD_CTL_REUSE_PRT | TD_CTL_SECONDARY)) {
		td_err("minor %d was opened with -%c: the other tap or image needs the chain as it is",
		       l->o->minor,
		       rec.flags & TD_CTL_SECONDARY ? '2' : 'e');
		return -EINVAL;
	}
	if (!rec.paused)
		return 0;
	if (!rec.live) {
		td_err("minor %d is paused: unpause it first", l->o->minor);
		return -EBUSY;
	}
	/* We were killed, or are at work. */
	l->lock = tap_sysfs_lock(l->env, l->o->minor, TAP_LOCK_TIMEOUT);
	if (l->lock < 0)
		return l->lock;
	err = tap_record_load(l->env, l->o->minor, &rec);
	/* The record is older than the pause: was there one? */
	if (!err && rec.live) {
		err = tap_image_pause(l->env, l->tap.task, l->o->minor,
				      TAP_PAUSE_TIMEOUT, &l->tie);
		if (!err)
			err = tap_live_resume(l);
	}
	close(l->lock);
	return err;
}

int tap_live_begin(struct tap_live *l, const struct tap_env *env,
		   const struct tap_opts *o)
{
	sigset_t set;
	int err;

	memset(l, 0, sizeof(*l));
	l->env = env;
	l->o = o;
	/* The tapdisk has opened them, by its rules. */
	l->ctx.parent_dirs = "/";
	l->ctx.message = tap_message;
	tap_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &l->mask);
	err = tap_live_look(l, o->pid);
	if (!err)
		err = tap_live_check(l);
	if (!err && !realpath(l->tap.name + 4, l->path)) {
		err = -errno;
		td_err("%s: %s", l->tap.name + 4, strerror(-err));
	}
	if (err)
		tap_live_end(l);
	return err;
}

void tap_live_end(struct tap_live *l)
{
	const struct timespec now = { 0 };
	sigset_t set;

	tap_signals(&set);
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	sigprocmask(SIG_SETMASK, &l->mask, NULL);
}

int tap_live_pause(struct tap_live *l)
{
	char name[TD_CTL_PATH_MAX];
	struct tap_record rec;
	int err;

	snprintf(name, sizeof(name), "%s", l->tap.name);
	l->lock = tap_sysfs_lock(l->env, l->o->minor, TAP_LOCK_TIMEOUT);
	if (l->lock < 0)
		return l->lock;
	/* It may have another tapdisk than when we began. */
	err = tap_live_look(l, 0);
	if (!err && strcmp(name, l->tap.name)) {
		td_err("minor %d has %s meanwhile, had %s", l->o->minor,
		       l->tap.name, name);
		err = -EBUSY;
	}
	if (!err)
		err = tap_record_load(l->env, l->o->minor, &rec);
	if (!err) {
		rec.live = true;
		err = tap_record_save(l->env, l->o->minor, &rec);
	}
	l->since = tap_now();
	if (!err)
		err = tap_image_pause(l->env, l->tap.task, l->o->minor,
				      TAP_PAUSE_TIMEOUT, &l->tie);
	if (err)
		close(l->lock);
	return err;
}

int tap_live_unpause(struct tap_live *l, int error)
{
	int err = tap_live_resume(l);
	int64_t took = tap_now() - l->since;

	l->pauses++;
	if (took > l->longest)
		l->longest = took;
	close(l->lock);
	return error ? error : err;
}

int tap_live_chain(struct tap_live *l, struct vhd_image **chain)
{
	return vhd_open(&l->ctx, l->path, VHD_OPEN_HEADERS | VHD_OPEN_PARENTS,
			chain);
}

int tap_live_merge(struct tap_live *l, const char *child, const char *parent,
		   bool live)
{
	const struct vhd_coalesce spec = {
		.path = child,
		.parent = parent,
		.live = live,
		.rate = live ? (uint64_t)l->o->rate << 20 : 0,
		.stop = live ? tap_live_stop : NULL,
		.progress = { tap_live_progress, l },
	};
	uint64_t sectors;
	int err;

	td_progress_init(&l->progress, l->o->progress);
	err = vhd_coalesce(&l->ctx, &spec, &sectors);
	td_progress_end(&l->progress);
	l->sectors += sectors;
	if (err == -EINTR)
		td_err("stopped; what is merged is merged, run it again to go on");
	return err;
}
