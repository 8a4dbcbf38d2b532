// SPDX-License-Identifier: GPL-2.0
/*
 * list: the taps of sysfs joined with what the tapdisks tell.
 *
 * All tapdisks are asked at once and have one common time to answer, so that
 * a stuck one costs that time only. Who serves which tap is known from sysfs
 * as well: a tapdisk that does not answer is listed from there, only its
 * state is missing. What a tapdisk claims of a tap that another process has
 * open is not believed.
 */
#include "tap_ctl.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "td_ctl_client.h"
#include "td_log.h"
#include "td_utf8.h"

/* Time for all tapdisks together to answer, in milliseconds. */
#define TAP_LIST_TIMEOUT	2000
/* Time to get into the queue of one tapdisk. */
#define TAP_LIST_CONNECT	50

struct tap_lister {
	const struct tap_env *env;
	struct tap_sysfs *taps;
	int nr_taps;
	/* taps[i] is already listed */
	bool *done;
	struct tap_entry *entries;
	int nr;
	int room;
};

int tap_list_sockets(const struct tap_env *env, int **pids)
{
	return tap_numbered(env->run, TD_CTL_PREFIX, TAP_PID_MAX, pids);
}

static int tap_list_tap(const struct tap_lister *l, int minor)
{
	int i;

	for (i = 0; i < l->nr_taps; i++)
		if (l->taps[i].minor == minor)
			return i;
	return -1;
}

/* Add an entry; what is not told is taken from sysfs. */
static int tap_list_add(struct tap_lister *l, int pid, int minor, int state,
			const char *name)
{
	struct tap_entry *e, *more;
	struct tap_record rec;
	int i = tap_list_tap(l, minor);
	char *p;

	if (l->nr == l->room) {
		l->room = l->room ? 2 * l->room : 16;
		more = realloc(l->entries, l->room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->entries = more;
	}
	e = &l->entries[l->nr++];
	memset(e, 0, sizeof(*e));
	e->pid = pid;
	e->minor = minor;
	e->state = state;
	if (i >= 0) {
		l->done[i] = true;
		snprintf(e->kstate, sizeof(e->kstate), "%s", l->taps[i].state);
		snprintf(e->mode, sizeof(e->mode), "%s", l->taps[i].mode);
		if (!name)
			name = l->taps[i].name;
	}
	if (name && strchr(name, ':'))
		snprintf(e->name, sizeof(e->name), "%s", name);
	if (minor >= 0 && e->name[0] && !tap_record_load(l->env, minor, &rec))
		snprintf(e->opened, sizeof(e->opened), "%s", rec.opened);
	/* Nothing that looks like another line. */
	for (p = e->name; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	return 0;
}

static int tap_list_ask(const struct tap_env *env, int pid)
{
	struct td_ctl_msg msg = { .type = TD_CTL_LIST, .cookie = 0xffff };
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/" TD_CTL_PREFIX "%d", env->run, pid);
	fd = td_ctl_connect_path(path, TAP_LIST_CONNECT);
	if (fd < 0)
		return fd;
	err = td_ctl_send(fd, &msg, 0);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* Is what a tapdisk tells in line with what the kernel knows? */
static bool tap_list_true(const struct tap_lister *l, int pid,
			  const struct td_ctl_list *rsp)
{
	int i = tap_list_tap(l, rsp->minor);

	if (rsp->minor < 0 || rsp->minor > TAP_MINOR_MAX)
		return false;
	return i < 0 ||
	       (!l->done[i] && (!l->taps[i].task || l->taps[i].task == pid));
}

/* Read the answer of a tapdisk. Return: 0, or -errno after which it is left. */
static int tap_list_answer(struct tap_lister *l, int pid, int fd, int64_t end)
{
	struct td_ctl_msg msg;
	int err, last = INT_MAX, left;

	for (;;) {
		left = (int)(end - tap_now());
		err = td_ctl_recv(fd, &msg, left > 0 ? left : 0);
		if (err)
			return err;
		if (msg.type != TD_CTL_LIST_RSP || msg.u.list.count < 0 ||
		    msg.u.list.count >= last)
			return -EPROTO;
		last = msg.u.list.count;
		if (!last)
			return 0;
		if (!tap_list_true(l, pid, &msg.u.list)) {
			td_dbg("tapdisk %d claims minor %d, which it does not serve",
			       pid, msg.u.list.minor);
			continue;
		}
		err = tap_list_add(l, pid, msg.u.list.minor,
				   msg.u.list.state < 0 ? -1 :
				   msg.u.list.state,
				   msg.u.list.path[0] ? msg.u.list.path : NULL);
		if (err)
			return err;
	}
}

static int tap_list_by_minor(const void *a, const void *b)
{
	const struct tap_entry *x = a, *y = b;

	return (x->minor > y->minor) - (x->minor < y->minor);
}

/* List one tapdisk: from its answer, then from sysfs, or as one without tap. */
static int tap_list_tapdisk(struct tap_lister *l, int pid, int fd, int64_t end)
{
	int first = l->nr, i, err;

	err = fd < 0 ? fd : tap_list_answer(l, pid, fd, end);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return 0;
	if (err == -ENOMEM)
		return err;
	if (err)
		td_dbg("tapdisk %d does not tell its taps: %s", pid,
		       strerror(-err));
	for (i = 0; i < l->nr_taps; i++) {
		if (l->done[i] || l->taps[i].task != pid)
			continue;
		err = tap_list_add(l, pid, l->taps[i].minor, -1, NULL);
		if (err)
			return err;
	}
	if (l->nr == first)
		return tap_list_add(l, pid, -1, -1, NULL);
	qsort(&l->entries[first], l->nr - first, sizeof(*l->entries),
	      tap_list_by_minor);
	return 0;
}

static int tap_list_taps(struct tap_lister *l)
{
	int *minors, i, n;

	n = tap_sysfs_minors(l->env, &minors);
	if (n < 0)
		return n;
	l->taps = calloc(n + 1, sizeof(*l->taps));
	l->done = calloc(n + 1, sizeof(*l->done));
	if (!l->taps || !l->done)
		n = -ENOMEM;
	for (i = 0; i < n; i++)
		if (!tap_sysfs_read(l->env, minors[i], &l->taps[l->nr_taps]))
			l->nr_taps++;
	free(minors);
	return n < 0 ? n : 0;
}

static int tap_list_tapdisks(struct tap_lister *l)
{
	int64_t end;
	int *pids, *fds, i, n, err = 0;

	n = tap_list_sockets(l->env, &pids);
	if (n <= 0)
		return n;
	fds = malloc(n * sizeof(*fds));
	if (!fds) {
		free(pids);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++)
		fds[i] = tap_list_ask(l->env, pids[i]);
	end = tap_now() + TAP_LIST_TIMEOUT;
	for (i = 0; i < n; i++) {
		if (!err)
			err = tap_list_tapdisk(l, pids[i], fds[i], end);
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(fds);
	free(pids);
	return err;
}

/*
 * Taps that no tapdisk serves. One whose tapdisk died still has its disk and
 * its name: process 0 and the state "dead" tell that it can be recovered or
 * destroyed, by scripts that look it up by name too.
 */
static int tap_list_orphans(struct tap_lister *l)
{
	const struct tap_sysfs *t;
	int i, err = 0;

	for (i = 0; i < l->nr_taps && !err; i++) {
		t = &l->taps[i];
		if (l->done[i])
			continue;
		if (!t->task && t->name[0] &&
		    (!strcmp(t->state, "waiting") ||
		     !strcmp(t->state, "failed")))
			err = tap_list_add(l, 0, t->minor, TD_CTL_DEAD, NULL);
		else
			err = tap_list_add(l, -1, t->minor, -1, "");
	}
	return err;
}

int tap_list_get(const struct tap_env *env, struct tap_entry **entries)
{
	struct tap_lister l = { .env = env };
	struct rlimit lim;
	int err;

	/* A descriptor for each tapdisk. */
	if (!getrlimit(RLIMIT_NOFILE, &lim)) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	err = tap_list_taps(&l);
	if (!err)
		err = tap_list_tapdisks(&l);
	if (!err)
		err = tap_list_orphans(&l);
	free(l.taps);
	free(l.done);
	if (err) {
		td_err("cannot list taps: %s", strerror(-err));
		free(l.entries);
		return err;
	}
	*entries = l.entries;
	return l.nr;
}

static bool tap_list_is(const char *name, const struct tap_opts *o)
{
	const char *colon = strchr(name, ':');

	if (o->type && (!colon || strlen(o->type) != (size_t)(colon - name) ||
			strncmp(o->type, name, colon - name)))
		return false;
	return !o->file || (colon && !strcmp(o->file, colon + 1));
}

bool tap_list_match(const struct tap_entry *e, const struct tap_opts *o)
{
	if (o->pid >= 0 && e->pid != o->pid)
		return false;
	if (o->minor >= 0 && e->minor != o->minor)
		return false;
	return tap_list_is(e->name, o) ||
	       (e->opened[0] && tap_list_is(e->opened, o));
}

static void tap_list_words(FILE *f, const struct tap_entry *e)
{
	const char *gap = "";

	if (e->pid >= 0) {
		fprintf(f, "pid=%d", e->pid);
		gap = " ";
	}
	if (e->minor >= 0) {
		fprintf(f, "%sminor=%d", gap, e->minor);
		gap = " ";
	}
	if (e->state >= 0) {
		fprintf(f, "%sstate=%#x", gap, (unsigned int)e->state);
		gap = " ";
	}
	if (e->name[0])
		fprintf(f, "%sargs=%s", gap, e->name);
	fputc('\n', f);
}

static void tap_list_row(FILE *f, const struct tap_entry *e)
{
	char pid[16] = "-", minor[16] = "-", state[16] = "-";
	const char *colon = strchr(e->name, ':');
	int len = colon ? (int)(colon - e->name) : 1;

	if (e->pid >= 0)
		snprintf(pid, sizeof(pid), "%d", e->pid);
	if (e->minor >= 0)
		snprintf(minor, sizeof(minor), "%d", e->minor);
	if (e->state >= 0)
		snprintf(state, sizeof(state), "%#x", (unsigned int)e->state);
	fprintf(f, "%8s %4s %4s %10.*s %s\n", pid, minor, state, len,
		colon ? e->name : "-", colon ? colon + 1 : "-");
}

/* Names of files are bytes, JSON is UTF-8. */
static void tap_list_put(struct json_object *obj, const char *key,
			 const char *text, size_t len)
{
	char *bytes, *utf8;
	bool changed;

	if (!len)
		return;
	bytes = strndup(text, len);
	utf8 = bytes ? td_utf8_text(bytes, &changed) : NULL;
	if (utf8)
		json_object_object_add(obj, key, json_object_new_string(utf8));
	free(utf8);
	free(bytes);
}

static struct json_object *tap_list_object(const struct tap_env *env,
					   const struct tap_entry *e)
{
	struct json_object *obj = json_object_new_object();
	const char *colon = strchr(e->name, ':');
	char device[PATH_MAX];

	if (e->pid >= 0)
		json_object_object_add(obj, "pid", json_object_new_int(e->pid));
	if (e->minor >= 0) {
		snprintf(device, sizeof(device), "%s/tapdev%d", env->dev,
			 e->minor);
		json_object_object_add(obj, "minor",
				       json_object_new_int(e->minor));
		tap_list_put(obj, "device", device, strlen(device));
	}
	if (e->state >= 0)
		json_object_object_add(obj, "state",
				       json_object_new_int(e->state));
	if (colon) {
		tap_list_put(obj, "type", e->name, colon - e->name);
		tap_list_put(obj, "path", colon + 1, strlen(colon + 1));
	}
	tap_list_put(obj, "opened", e->opened, strlen(e->opened));
	tap_list_put(obj, "kernel_state", e->kstate, strlen(e->kstate));
	tap_list_put(obj, "mode", e->mode, strlen(e->mode));
	return obj;
}

static void tap_list_json(FILE *f, const struct tap_env *env,
			  const struct tap_entry *entries, int n)
{
	struct json_object *all = json_object_new_array();
	int i;

	for (i = 0; i < n; i++)
		json_object_array_add(all, tap_list_object(env, &entries[i]));
	tap_print_json(f, all);
	json_object_put(all);
}

void tap_list_print(FILE *f, const struct tap_env *env,
		    const struct tap_entry *entries, int n,
		    enum tap_list_form form)
{
	int i;

	if (form == TAP_LIST_JSON) {
		tap_list_json(f, env, entries, n);
		return;
	}
	for (i = 0; i < n; i++) {
		if (form == TAP_LIST_TABLE)
			tap_list_row(f, &entries[i]);
		else
			tap_list_words(f, &entries[i]);
	}
}
