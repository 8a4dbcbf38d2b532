// SPDX-License-Identifier: GPL-2.0
/*
 * How an image was opened, for the day on which its tapdisk dies: the kernel
 * keeps "type:path" and whether the disk is read-only, the rest is in
 * tap<minor>.opened beside the control sockets. Most taps have nothing worth
 * a file. A file is replaced as a whole; who reads it sees the old or the new
 * one. paused=2 is a pause during which the image can be opened all the same.
 * A second line has the name under which the tap was opened, if unpause gave
 * it another image.
 *
 * A tapdisk whose mirror fails makes the file TD_CTL_NOMIRROR: what the mirror
 * has is old from then on, and it must not be used by the next tapdisk.
 */
#include "tap_ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_log.h"

static void tap_record_path(const struct tap_env *env, int minor, char *path,
			    size_t size)
{
	snprintf(path, size, "%s/tap%d.opened", env->run, minor);
}

static void tap_record_nomirror(const struct tap_env *env, int minor,
				char *path, size_t size)
{
	snprintf(path, size, "%s/" TD_CTL_NOMIRROR, env->run, minor);
}

int tap_record_load(const struct tap_env *env, int minor,
		    struct tap_record *rec)
{
	char path[PATH_MAX], text[1024];
	const char *line;
	int n, end = 0, paused = 0;

	memset(rec, 0, sizeof(*rec));
	tap_record_path(env, minor, path, sizeof(path));
	n = tap_read_file(path, text, sizeof(text));
	if (n == -ENOENT)
		return 0;
	if (n < 0) {
		td_err("cannot read %s: %s", path, strerror(-n));
		return n;
	}
	if (sscanf(text, "flags=%x timeout=%d paused=%d parent=%d secondary=%n",
		   &rec->flags, &rec->timeout, &paused, &rec->parent,
		   &end) != 4 || !end) {
		td_err("cannot understand %s", path);
		return -EINVAL;
	}
	rec->paused = paused;
	rec->live = paused == 2;
	line = strstr(text, "\nopened=");
	if (line)
		snprintf(rec->opened, sizeof(rec->opened), "%.*s",
			 (int)strcspn(line + 8, "\n"), line + 8);
	text[strcspn(text, "\n")] = '\0';
	snprintf(rec->secondary, sizeof(rec->secondary), "%.255s", text + end);
	tap_record_nomirror(env, minor, path, sizeof(path));
	if (!access(path, F_OK))
		rec->secondary[0] = '\0';
	return 0;
}

int tap_record_save(const struct tap_env *env, int minor,
		    const struct tap_record *rec)
{
	char path[PATH_MAX], new[PATH_MAX + 16];
	FILE *f;
	int err;

	tap_record_path(env, minor, path, sizeof(path));
	if (!rec->flags && !rec->timeout && !rec->paused && !rec->live &&
	    !rec->opened[0]) {
		unlink(path);
		return 0;
	}
	snprintf(new, sizeof(new), "%s.%d", path, (int)getpid());
	f = fopen(new, "we");
	if (!f)
		goto err_errno;
	fprintf(f, "flags=%#x timeout=%d paused=%d parent=%d secondary=%s\n",
		rec->flags, rec->timeout, rec->live ? 2 : rec->paused,
		rec->parent, rec->secondary);
	if (rec->opened[0])
		fprintf(f, "opened=%s\n", rec->opened);
	if (fclose(f) || rename(new, path))
		goto err_errno;
	return 0;

err_errno:
	err = -errno;
	td_err("cannot write %s: %s", path, strerror(-err));
	unlink(new);
	return err;
}

void tap_record_unpause(struct tap_record *rec, const char *name,
			const struct tap_opts *o)
{
	rec->paused = false;
	rec->live = false;
	/* A new image has nothing of what belonged to the old one. */
	if (o->args) {
		rec->flags &= ~(TD_CTL_REUSE_PRT | TD_CTL_SECONDARY |
				TD_CTL_STANDBY);
		rec->parent = 0;
		rec->secondary[0] = '\0';
		if (!rec->opened[0])
			snprintf(rec->opened, sizeof(rec->opened), "%s", name);
		if (!strcmp(rec->opened, o->args))
			rec->opened[0] = '\0';
	}
	if (o->secondary) {
		rec->flags &= ~TD_CTL_STANDBY;
		rec->flags |= TD_CTL_SECONDARY;
		snprintf(rec->secondary, sizeof(rec->secondary), "%s",
			 o->secondary);
	}
}

void tap_record_drop(const struct tap_env *env, int minor)
{
	char path[PATH_MAX];

	tap_record_path(env, minor, path, sizeof(path));
	unlink(path);
	tap_record_nomirror(env, minor, path, sizeof(path));
	unlink(path);
	snprintf(path, sizeof(path), "%s/" TD_CTL_UNSYNCED, env->run, minor);
	unlink(path);
}
