// SPDX-License-Identifier: GPL-2.0
/* Requests to a tapdisk over its control socket. */
#include "tap_ctl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_ctl_client.h"
#include "td_log.h"

/* Opening reads and checks all images of a chain. */
#define TAP_OPEN_TIMEOUT	120000
#define TAP_STATS_TIMEOUT	10000
#define TAP_STATS_MAX		(16U << 20)
#define TAP_CALL_TIMEOUT	30000
/* What an answer may take beyond the time that the caller gives. */
#define TAP_ANSWER_TIMEOUT	2000
/* For another request, when one was not answered in time. */
#define TAP_PROBE_TIMEOUT	1000
/* How often a request that is refused with "busy" is repeated. */
#define TAP_RETRY		50

/*
 * State of a process as in proc_pid_stat(5), or 'X' if there is none. @where:
 * the kernel's function it waits in, or empty.
 */
static char tap_image_state(const struct tap_env *env, int pid, char *where,
			    size_t size)
{
	char path[PATH_MAX], stat[512];
	const char *p;

	snprintf(path, sizeof(path), "%s/%d/wchan", env->proc, pid);
	if (tap_read_file(path, where, size) < 0 || !strcmp(where, "0"))
		where[0] = '\0';
	snprintf(path, sizeof(path), "%s/%d/stat", env->proc, pid);
	/* "PID (NAME) STATE ...", and the name may be anything. */
	if (tap_read_file(path, stat, sizeof(stat)) < 0)
		return 'X';
	p = strrchr(stat, ')');
	return p && p[1] ? p[2] : 'X';
}

/*
 * No answer in time: is the tapdisk slow or does it hang? One that is slow
 * answers somebody else; of one that does not, the kernel knows more.
 */
static void tap_image_silent(const struct tap_env *env, int pid,
			     int timeout_ms, char *text)
{
	struct td_ctl_msg msg = { .type = TD_CTL_LIST, .cookie = 0xffff };
	char path[PATH_MAX], where[64], why[200], state;

	snprintf(path, sizeof(path), "%s/" TD_CTL_PREFIX "%d", env->run, pid);
	if (!td_ctl_call_path(path, &msg, TAP_PROBE_TIMEOUT)) {
		snprintf(text, TAP_TEXT_MAX,
			 "no answer within %d s, but it answers other requests: it is slow, it does not hang",
			 timeout_ms / 1000);
		return;
	}
	state = tap_image_state(env, pid, where, sizeof(where));
	if (state == 'X' || state == 'Z')
		snprintf(why, sizeof(why), "it has ended");
	else if (state == 'T' || state == 't')
		snprintf(why, sizeof(why),
			 "it is stopped, kill -CONT %d lets it go on", pid);
	else if (state == 'D')
		snprintf(why, sizeof(why),
			 "it waits in the kernel%s%s, probably for its storage",
			 *where ? " in " : "", where);
	else if (state == 'R')
		snprintf(why, sizeof(why), "it is busy");
	else
		snprintf(why, sizeof(why), "it hangs%s%s",
			 *where ? " in " : "", where);
	snprintf(text, TAP_TEXT_MAX,
		 "no answer within %d s, nor to another request: %s",
		 timeout_ms / 1000, why);
}

/* @keep: NULL, or for the connection. */
static int tap_image_call_keep(const struct tap_env *env, int pid,
			       struct td_ctl_msg *msg, int timeout_ms,
			       char *text, int *keep)
{
	char path[PATH_MAX];
	char *p;
	int err;

	snprintf(path, sizeof(path), "%s/" TD_CTL_PREFIX "%d", env->run, pid);
	err = keep ? td_ctl_call_keep(path, msg, timeout_ms, keep) :
		     td_ctl_call_path(path, msg, timeout_ms);
	if (!err)
		return 0;
	if (err == -EPROTO) {
		snprintf(text, TAP_TEXT_MAX, "answer not understood");
		return err;
	}
	if (msg->u.response.message[0])
		snprintf(text, TAP_TEXT_MAX, "%s (%s)", strerror(-err),
			 msg->u.response.message);
	else if (err == -ECONNRESET || err == -EPIPE)
		snprintf(text, TAP_TEXT_MAX,
			 "it ended before it answered; the system log may say why");
	else if (err == -ECONNREFUSED || access(path, F_OK))
		snprintf(text, TAP_TEXT_MAX, "no such tapdisk");
	else if (err == -ETIMEDOUT)
		tap_image_silent(env, pid, timeout_ms, text);
	else
		snprintf(text, TAP_TEXT_MAX, "%s", strerror(-err));
	for (p = text; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	return err;
}

int tap_image_call(const struct tap_env *env, int pid, struct td_ctl_msg *msg,
		   int timeout_ms, char *text)
{
	return tap_image_call_keep(env, pid, msg, timeout_ms, text, NULL);
}

static int tap_image_simple(const struct tap_env *env, int pid, int minor,
			    int type, const char *what)
{
	struct td_ctl_msg msg = { .type = type, .cookie = minor };
	char text[TAP_TEXT_MAX];
	int err;

	err = tap_image_call(env, pid, &msg, TAP_CALL_TIMEOUT, text);
	if (err)
		td_err("cannot %s minor %d %s tapdisk %d: %s", what, minor,
		       type == TD_CTL_ATTACH ? "to" : "from", pid, text);
	return err;
}

int tap_image_attach(const struct tap_env *env, int pid, int minor)
{
	return tap_image_simple(env, pid, minor, TD_CTL_ATTACH, "attach");
}

int tap_image_detach(const struct tap_env *env, int pid, int minor)
{
	return tap_image_simple(env, pid, minor, TD_CTL_DETACH, "detach");
}

static void tap_image_params(struct td_ctl_params *params,
			     const struct tap_opts *o)
{
	params->flags = o->flags;
	if (o->args)
		snprintf(params->path, sizeof(params->path), "%s", o->args);
	if (o->secondary)
		snprintf(params->secondary, sizeof(params->secondary), "%s",
			 o->secondary);
	if (o->parent >= 0)
		params->prt_devnum = o->parent;
	if (o->timeout > 0)
		params->req_timeout = o->timeout;
}

/*
 * Repeat a request for up to @busy_ms while it is refused with -EBUSY or
 * -EAGAIN. A tapdisk may as well take that time itself; for its answer it has
 * @call_ms more.
 */
static int tap_image_retry(const struct tap_env *env, int pid,
			   const struct td_ctl_msg *request, int busy_ms,
			   int call_ms, char *text, int *keep)
{
	int64_t end = tap_now() + busy_ms;
	struct td_ctl_msg msg;
	int err, left = busy_ms;

	for (;;) {
		msg = *request;
		err = tap_image_call_keep(env, pid, &msg, left + call_ms, text,
					  keep);
		left = (int)(end - tap_now()) - TAP_RETRY;
		if ((err != -EBUSY && err != -EAGAIN) || left < 0)
			return err;
		tap_sleep(TAP_RETRY);
	}
}

int tap_image_open(const struct tap_env *env, int pid, int minor,
		   const struct tap_opts *o, int busy_ms)
{
	struct td_ctl_msg msg = { .type = TD_CTL_OPEN, .cookie = minor };
	struct tap_record rec = { .flags = o->flags }, old;
	char text[TAP_TEXT_MAX];
	int err;

	tap_image_params(&msg.u.params, o);
	err = tap_image_retry(env, pid, &msg, busy_ms, TAP_OPEN_TIMEOUT, text,
			      NULL);
	if (err) {
		td_err("cannot open %s on minor %d with tapdisk %d: %s",
		       o->args, minor, pid, text);
		return err;
	}
	if (o->timeout > 0)
		rec.timeout = o->timeout;
	if (o->parent >= 0)
		rec.parent = o->parent;
	if (o->secondary)
		snprintf(rec.secondary, sizeof(rec.secondary), "%s",
			 o->secondary);
	if (!tap_record_load(env, minor, &old))
		memcpy(rec.opened, old.opened, sizeof(rec.opened));
	/* Without it, the tap works all the same. */
	tap_record_save(env, minor, &rec);
	return 0;
}

int tap_image_close(const struct tap_env *env, int pid, int minor, bool force,
		    int timeout_ms)
{
	struct td_ctl_msg msg = {
		.type = force ? TD_CTL_FORCE_SHUTDOWN : TD_CTL_CLOSE,
		.cookie = minor,
	};
	char text[TAP_TEXT_MAX];
	int err;

	/* How long our tapdisk waits for the last opener; 0: it decides. */
	msg.u.params.req_timeout = timeout_ms < 1000 ? 1 : timeout_ms / 1000;
	err = tap_image_retry(env, pid, &msg, timeout_ms, TAP_ANSWER_TIMEOUT,
			      text, NULL);
	if (err)
		td_err("cannot close minor %d with tapdisk %d: %s%s", minor,
		       pid, text,
		       err == -EBUSY ? ": the disk is in use" : "");
	else
		tap_record_drop(env, minor);
	return err;
}

int tap_image_pause(const struct tap_env *env, int pid, int minor,
		    int timeout_ms, int *tie)
{
	struct td_ctl_msg msg = { .type = TD_CTL_PAUSE, .cookie = minor };
	struct tap_record rec, old;
	char text[TAP_TEXT_MAX];
	int fd, err;

	/*
	 * First the record: once the tapdisk has paused, the image may be
	 * changed by others, and no recovery may touch it. Until our caller
	 * knows of the pause that is not so.
	 */
	err = tap_record_load(env, minor, &old);
	if (err)
		return err;
	rec = old;
	rec.paused = true;
	rec.live = old.live || !old.paused;
	err = tap_record_save(env, minor, &rec);
	if (err)
		return err;
	if (tie)
		msg.u.params.flags = TD_CTL_TIED;
	err = tap_image_retry(env, pid, &msg, timeout_ms, TAP_ANSWER_TIMEOUT,
			      text, &fd);
	if (err) {
		td_err("cannot pause minor %d with tapdisk %d: %s", minor, pid,
		       text);
		/* It has seen that we left, and cancels what goes on. */
		tap_record_save(env, minor, &old);
		return err;
	}
	if (tie) {
		*tie = fd;
		return 0;
	}
	rec.live = false;
	err = tap_record_save(env, minor, &rec);
	close(fd);
	return err;
}

int tap_image_unpause(const struct tap_env *env, int pid, int minor,
		      const struct tap_opts *o)
{
	struct td_ctl_msg msg = { .type = TD_CTL_RESUME, .cookie = minor };
	struct tap_record rec, old;
	struct tap_sysfs tap;
	char text[TAP_TEXT_MAX];
	int err;

	err = tap_record_load(env, minor, &old);
	if (err)
		return err;
	if (tap_sysfs_read(env, minor, &tap))
		tap.name[0] = '\0';
	/* With its old image it may be recovered from now on. */
	rec = old;
	rec.live = !o->args;
	if (rec.paused && rec.live != old.live)
		tap_record_save(env, minor, &rec);
	tap_image_params(&msg.u.params, o);
	err = tap_image_call(env, pid, &msg, TAP_OPEN_TIMEOUT, text);
	if (err) {
		td_err("cannot unpause minor %d%s%s with tapdisk %d: %s",
		       minor, o->args ? " as " : "", o->args ? o->args : "",
		       pid, text);
		if (rec.paused && rec.live != old.live)
			tap_record_save(env, minor, &old);
		return err;
	}
	tap_record_unpause(&rec, tap.name, o);
	tap_record_save(env, minor, &rec);
	return 0;
}

static int tap_image_stats_fd(int fd, int minor, char **text)
{
	struct td_ctl_msg msg = { .type = TD_CTL_STATS, .cookie = minor };
	int64_t end = tap_now() + TAP_STATS_TIMEOUT;
	size_t len;
	int err;

	err = td_ctl_send(fd, &msg, TAP_STATS_TIMEOUT);
	if (!err)
		err = td_ctl_recv(fd, &msg, (int)(end - tap_now()));
	if (err)
		return err;
	if (msg.type == TD_CTL_ERROR && msg.u.response.error > 0)
		return -msg.u.response.error;
	if (msg.type != TD_CTL_STATS_RSP || msg.u.stat.length > TAP_STATS_MAX)
		return -EPROTO;
	len = msg.u.stat.length;
	if (!len)
		return -ENODEV;
	*text = malloc(len + 1);
	if (!*text)
		return -ENOMEM;
	(*text)[len] = '\0';
	err = td_ctl_recv_raw(fd, *text, len, (int)(end - tap_now()));
	if (!err && memchr(*text, '\0', len))
		err = -EPROTO;
	if (err)
		free(*text);
	return err;
}

int tap_image_stats(const struct tap_env *env, int pid, int minor, char **text)
{
	char path[PATH_MAX], why[TAP_TEXT_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/" TD_CTL_PREFIX "%d", env->run, pid);
	fd = td_ctl_connect_path(path, TAP_STATS_TIMEOUT);
	err = fd < 0 ? fd : tap_image_stats_fd(fd, minor, text);
	if (fd >= 0)
		close(fd);
	snprintf(why, sizeof(why), "%s", strerror(-err));
	if (err == -ETIMEDOUT)
		tap_image_silent(env, pid, TAP_STATS_TIMEOUT, why);
	if (err)
		td_err("no statistics of minor %d from tapdisk %d: %s%s",
		       minor, pid, why,
		       err == -EPROTO ? ", answer not understood" :
		       err == -ENODEV ? ", it does not serve this minor" : "");
	return err;
}
