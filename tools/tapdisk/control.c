// SPDX-License-Identifier: GPL-2.0
/*
 * Server of the control socket. See control.h and td_ctl.h.
 *
 * A connection is at any time in one of: receiving the request, waiting for
 * an operation on a disk, sending the answer. Receiving and sending have a
 * timeout, after which the socket is shut down; that ends the receive or send
 * of the ring, and with it the connection.
 *
 * A pause needs somebody who ends it. While one goes on, and until the client
 * has read the answer, a second receive watches the connection. If the client
 * goes away before that, because it was killed or had no more patience, the
 * pause is cancelled, or the disk goes on. With TD_CTL_TIED this holds until
 * the pause ends.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "sandbox.h"
#include "td_ctl.h"
#include "td_log.h"
#include "vbd.h"

#define TD_CONTROL_BACKLOG	32
#define TD_CONTROL_ACCEPT_MS	1000
/* How often and how long opening an image is tried that its client has left. */
#define TD_CONTROL_RESUME_MS	100
#define TD_CONTROL_RESUME_MAX	30000

/**
 * struct td_conn - a connection
 * @fd: socket
 * @ev: its receive or send
 * @timer: timeout of that
 * @msg: request
 * @got: bytes of it so far
 * @out: answer
 * @out_len: its length in bytes
 * @out_pos: bytes of it sent so far
 * @gone: PAUSE: receive that tells when the client has left
 * @watched: that goes on
 * @left: it has left, with this: 0, or -errno if it had not read all
 * @sent: the answer is sent, or cannot be
 * @tied: PAUSE: the disk goes on when the client leaves
 * @give_up: td_now() after which the disk is left paused
 * @byte: what @gone receives
 * @prev: where the pointer to this is
 * @next: next connection
 */
struct td_conn {
	int fd;
	struct td_event ev;
	struct td_timer timer;
	struct td_ctl_msg msg;
	size_t got;
	char *out;
	size_t out_len;
	size_t out_pos;
	struct td_event gone;
	bool watched;
	int left;
	bool sent;
	bool tied;
	int64_t give_up;
	char byte;
	struct td_conn **prev;
	struct td_conn *next;
};

static struct {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct td_event accept;
	struct td_timer accept_timer;
	struct td_conn *conns;
	int nr_conns;
	int nr_busy;
	bool had_disk;
} td_control;

static void td_control_accept(void)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	io_uring_prep_multishot_accept(sqe, td_control.fd, NULL, NULL,
				       SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, &td_control.accept);
}

static void td_control_accept_timer(struct td_timer *timer)
{
	(void)timer;
	td_control_accept();
}

static void td_conn_free(struct td_conn *conn)
{
	td_timer_stop(&conn->timer);
	*conn->prev = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	close(conn->fd);
	free(conn->out);
	free(conn);
	td_control.nr_conns--;
}

static void td_conn_timeout(struct td_timer *timer)
{
	struct td_conn *conn = td_container(timer, struct td_conn, timer);

	shutdown(conn->fd, SHUT_RDWR);
}

static void td_conn_watch(struct td_conn *conn);

static void td_conn_send(struct td_conn *conn)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	io_uring_prep_send(sqe, conn->fd, conn->out + conn->out_pos,
			   conn->out_len - conn->out_pos, MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, &conn->ev);
}

static void td_conn_finish(struct td_conn *conn)
{
	td_conn_free(conn);
	td_control.nr_busy--;
	if (!td_control.nr_busy && td_control.had_disk && !td_vbds)
		td_loop_stop();
}

/* The disk that this connection keeps paused, or NULL. */
static struct td_vbd *td_conn_paused_vbd(const struct td_conn *conn)
{
	struct td_vbd *v = td_vbd_find(conn->msg.cookie);

	return v && v->paused_by == conn ? v : NULL;
}

/* Nobody will end the pause: the disk goes on. */
static void td_conn_resume_left(struct td_timer *timer)
{
	struct td_conn *conn = td_container(timer, struct td_conn, timer);
	struct td_vbd *v = td_conn_paused_vbd(conn);
	int err;

	err = v && v->state & TD_CTL_PAUSED ?
	      td_vbd_resume(v, "", 0, NULL) : 0;
	/* A process that ends may close its images after its sockets. */
	if (err == -EBUSY && td_now() < conn->give_up) {
		td_timer_start(&conn->timer, TD_CONTROL_RESUME_MS);
		return;
	}
	if (err)
		td_err("tap %d: stays paused, as %s cannot be opened; unpause it",
		       v->minor, v->name);
	if (v)
		v->paused_by = NULL;
	td_conn_finish(conn);
}

/* The connection has come to its end. */
static void td_conn_end(struct td_conn *conn)
{
	struct td_vbd *v = td_conn_paused_vbd(conn);

	if (v && (conn->tied || conn->left)) {
		td_warn("tap %d: the client that paused it has left, it goes on",
			v->minor);
		conn->give_up = td_now() + TD_CONTROL_RESUME_MAX;
		conn->timer.fn = td_conn_resume_left;
		td_conn_resume_left(&conn->timer);
		return;
	}
	if (v)
		v->paused_by = NULL;
	td_conn_finish(conn);
}

static void td_conn_gone(struct td_event *ev, int res, uint32_t flags)
{
	struct td_conn *conn = td_container(ev, struct td_conn, gone);
	struct td_vbd *v = td_vbd_find(conn->msg.cookie);

	(void)flags;
	conn->watched = false;
	/* Whoever still has something to say has not left yet. */
	if (res == -EINTR || res == -EAGAIN || (res > 0 && !conn->sent)) {
		td_conn_watch(conn);
		return;
	}
	if (res < 0)
		conn->left = res;
	if (conn->sent)
		td_conn_end(conn);
	else if (v)
		td_vbd_cancel(v, conn);
}

static void td_conn_watch(struct td_conn *conn)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	conn->watched = true;
	conn->gone.fn = td_conn_gone;
	io_uring_prep_recv(sqe, conn->fd, &conn->byte, 1, 0);
	io_uring_sqe_set_data(sqe, &conn->gone);
}

static void td_conn_sent(struct td_event *ev, int res, uint32_t flags)
{
	struct td_conn *conn = td_container(ev, struct td_conn, ev);

	(void)flags;
	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (res <= 0)
		conn->out_pos = conn->out_len;
	if (res > 0)
		conn->out_pos += res;
	if (conn->out_pos < conn->out_len) {
		td_conn_send(conn);
		return;
	}
	conn->sent = true;
	if (res < 0 && !conn->left)
		conn->left = res;
	if (conn->watched) {
		/* The client sees the end; we still see its. */
		shutdown(conn->fd, SHUT_WR);
		if (conn->tied)
			td_timer_stop(&conn->timer);
		return;
	}
	td_conn_end(conn);
}

static void td_conn_add(struct td_conn *conn, const void *data, size_t len)
{
	char *out = realloc(conn->out, conn->out_len + len);

	/* Without memory the client sees the connection end early. */
	if (!out)
		return;
	memcpy(out + conn->out_len, data, len);
	conn->out = out;
	conn->out_len += len;
}

static void td_conn_add_msg(struct td_conn *conn, uint16_t type,
			    struct td_ctl_msg *msg)
{
	msg->type = type;
	msg->cookie = conn->msg.cookie;
	td_conn_add(conn, msg, sizeof(*msg));
}

/* Answer with an error, a negative errno, or success, and explain it. */
static void td_conn_add_response(struct td_conn *conn, uint16_t type, int error)
{
	struct td_ctl_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.u.response.error = -error;
	if (error)
		snprintf(msg.u.response.message, sizeof(msg.u.response.message),
			 "%s", *td_log_error() ? td_log_error() :
						 strerror(-error));
	td_conn_add_msg(conn, type, &msg);
}

static void td_conn_reply(struct td_conn *conn)
{
	conn->ev.fn = td_conn_sent;
	td_timer_start(&conn->timer, TD_CTL_TIMEOUT * 1000);
	td_conn_send(conn);
}

static void td_conn_op_done(void *arg, int error)
{
	struct td_conn *conn = arg;
	uint16_t type = conn->msg.type;

	if (type == TD_CTL_FORCE_SHUTDOWN)
		type = TD_CTL_CLOSE;
	td_conn_add_response(conn, type + 1, error);
	td_conn_reply(conn);
}

static const char *const td_ctl_flag_names[] = {
	"SHARED", "RDONLY", "ADD_CACHE", "VHD_INDEX", "LOG_DIRTY", "ADD_LCACHE",
	"REUSE_PRT", "SECONDARY", "STANDBY", "NO_O_DIRECT", "ENCRYPTED",
};

#define TD_CTL_NR_FLAGS \
	(sizeof(td_ctl_flag_names) / sizeof(td_ctl_flag_names[0]))

#define TD_CTL_MORE_FLAGS \
	(TD_CTL_REUSE_PRT | TD_CTL_SECONDARY | TD_CTL_STANDBY)

/* Flags and paths of an OPEN or RESUME. */
static int td_conn_check_params(const struct td_ctl_params *params,
				unsigned int *open_flags,
				struct td_vbd_more *more)
{
	uint32_t rest = params->flags & ~(TD_CTL_RDONLY | TD_CTL_NO_O_DIRECT |
					  TD_CTL_ADD_LCACHE |
					  TD_CTL_MORE_FLAGS);
	unsigned int i;

	for (i = 0; i < TD_CTL_NR_FLAGS; i++) {
		if (rest & 1U << i) {
			td_err("flag %s (%#x) is not supported",
			       td_ctl_flag_names[i], 1U << i);
			return -EOPNOTSUPP;
		}
	}
	if (rest) {
		td_err("flags %#x are unknown", rest);
		return -EINVAL;
	}
	memset(more, 0, sizeof(*more));
	more->flags = params->flags & TD_CTL_MORE_FLAGS;
	more->parent = params->prt_devnum;
	if (more->flags & TD_CTL_SECONDARY)
		memcpy(more->second, params->secondary, sizeof(more->second));
	if (!memchr(params->path, '\0', sizeof(params->path)) ||
	    !memchr(more->second, '\0', sizeof(more->second))) {
		td_err("the path is longer than %zu bytes",
		       sizeof(params->path) - 1);
		return -ENAMETOOLONG;
	}
	*open_flags = (params->flags & TD_CTL_RDONLY ? TD_OPEN_RDONLY : 0) |
		      (params->flags & TD_CTL_NO_O_DIRECT ? TD_OPEN_BUFFERED :
							    0) |
		      (params->flags & TD_CTL_ADD_LCACHE ? TD_OPEN_CACHE : 0);
	return 0;
}

static struct td_vbd *td_conn_vbd(const struct td_conn *conn)
{
	struct td_vbd *v = td_vbd_find(conn->msg.cookie);

	if (!v)
		td_err("tap %u is not attached", conn->msg.cookie);
	return v;
}

static void td_conn_attach(struct td_conn *conn)
{
	int err = td_vbd_attach(conn->msg.cookie);

	if (!err)
		td_control.had_disk = true;
	td_conn_op_done(conn, err);
}

static void td_conn_detach(struct td_conn *conn)
{
	struct td_vbd *v = td_conn_vbd(conn);

	if (v)
		td_vbd_detach(v, td_conn_op_done, conn);
	else
		td_conn_op_done(conn, -EINVAL);
}

static void td_conn_open(struct td_conn *conn)
{
	const struct td_ctl_params *params = &conn->msg.u.params;
	struct td_vbd *v = td_conn_vbd(conn);
	struct td_vbd_more more;
	struct td_ctl_msg msg;
	unsigned int flags;
	int err;

	err = v ? td_conn_check_params(params, &flags, &more) : -EINVAL;
	if (!err)
		err = td_vbd_open(v, params->path, flags, params->req_timeout,
				  &more);
	if (err) {
		td_conn_add_response(conn, TD_CTL_ERROR, err);
	} else {
		memset(&msg, 0, sizeof(msg));
		msg.u.image.sectors = v->info.sectors;
		msg.u.image.sector_size = v->info.sector_size;
		if (v->open_flags & TD_OPEN_RDONLY)
			msg.u.image.info = TD_CTL_IMAGE_RDONLY;
		td_conn_add_msg(conn, TD_CTL_OPEN_RSP, &msg);
	}
	td_conn_reply(conn);
}

static void td_conn_paused(void *arg, int error)
{
	struct td_conn *conn = arg;
	struct td_vbd *v = td_vbd_find(conn->msg.cookie);

	if (v && !error)
		v->paused_by = conn;
	/* Closing failed, which a client takes for no pause. So be it. */
	if (v && error && v->state & TD_CTL_PAUSED)
		td_vbd_resume(v, "", 0, NULL);
	if (error && conn->watched)
		shutdown(conn->fd, SHUT_RD);
	td_conn_op_done(conn, error);
}

static void td_conn_pause(struct td_conn *conn)
{
	struct td_vbd *v = td_conn_vbd(conn);

	if (!v) {
		td_conn_op_done(conn, -EINVAL);
	} else if (v->state & TD_CTL_PAUSED) {
		/* Somebody else's pause: not ours to end. */
		td_conn_op_done(conn, 0);
	} else {
		conn->tied = conn->msg.u.params.flags & TD_CTL_TIED;
		td_conn_watch(conn);
		td_vbd_pause(v, td_conn_paused, conn);
	}
}

static void td_conn_resume(struct td_conn *conn)
{
	const struct td_ctl_params *params = &conn->msg.u.params;
	struct td_vbd *v = td_conn_vbd(conn);
	struct td_vbd_more more;
	unsigned int flags;
	int err;

	err = v ? td_conn_check_params(params, &flags, &more) : -EINVAL;
	if (!err)
		err = td_vbd_resume(v, params->path, flags, &more);
	td_conn_op_done(conn, err);
}

static void td_conn_close(struct td_conn *conn)
{
	struct td_vbd *v = td_conn_vbd(conn);

	if (v)
		td_vbd_close(v, conn->msg.u.params.req_timeout,
			     conn->msg.type == TD_CTL_FORCE_SHUTDOWN,
			     td_conn_op_done, conn);
	else
		td_conn_op_done(conn, -EINVAL);
}

static void td_conn_pid(struct td_conn *conn)
{
	struct td_ctl_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.u.pid = getpid();
	td_conn_add_msg(conn, TD_CTL_PID_RSP, &msg);
	td_conn_reply(conn);
}

static void td_conn_list_minors(struct td_conn *conn)
{
	const struct td_vbd *v;
	struct td_ctl_msg msg;

	memset(&msg, 0, sizeof(msg));
	for (v = td_vbds; v && msg.u.minors.count < TD_CTL_MINORS_MAX;
	     v = v->next)
		msg.u.minors.list[msg.u.minors.count++] = v->minor;
	td_conn_add_msg(conn, TD_CTL_LIST_MINORS_RSP, &msg);
	td_conn_reply(conn);
}

static void td_conn_list(struct td_conn *conn)
{
	const struct td_vbd *v;
	struct td_ctl_msg msg;
	int count = 0;

	for (v = td_vbds; v; v = v->next)
		count++;
	for (v = td_vbds; v; v = v->next) {
		memset(&msg, 0, sizeof(msg));
		msg.u.list.count = count--;
		msg.u.list.minor = v->minor;
		msg.u.list.state = v->state;
		strcpy(msg.u.list.path, v->name);
		td_conn_add_msg(conn, TD_CTL_LIST_RSP, &msg);
	}
	memset(&msg, 0, sizeof(msg));
	msg.u.list.minor = -1;
	td_conn_add_msg(conn, TD_CTL_LIST_RSP, &msg);
	td_conn_reply(conn);
}

static void td_conn_stats(struct td_conn *conn)
{
	const struct td_vbd *v = td_vbd_find(conn->msg.cookie);
	struct td_ctl_msg msg;
	char *text = NULL;

	if (v || conn->msg.cookie == TD_CTL_COOKIE_ALL)
		text = td_vbd_stats(v);
	memset(&msg, 0, sizeof(msg));
	msg.u.stat.cookie = conn->msg.cookie;
	msg.u.stat.length = text ? strlen(text) : 0;
	td_conn_add_msg(conn, TD_CTL_STATS_RSP, &msg);
	if (text)
		td_conn_add(conn, text, strlen(text));
	free(text);
	td_conn_reply(conn);
}

static void td_conn_error(struct td_conn *conn, int error)
{
	td_conn_add_response(conn, TD_CTL_ERROR, error);
	td_conn_reply(conn);
}

static void td_conn_exit(struct td_conn *conn)
{
	if (td_vbds) {
		td_err("tap %d is attached", td_vbds->minor);
		td_conn_error(conn, -EBUSY);
		return;
	}
	td_loop_stop();
	td_conn_free(conn);
	td_control.nr_busy--;
}

static void (*const td_conn_ops[])(struct td_conn *conn) = {
	[TD_CTL_PID] = td_conn_pid,
	[TD_CTL_ATTACH] = td_conn_attach,
	[TD_CTL_OPEN] = td_conn_open,
	[TD_CTL_PAUSE] = td_conn_pause,
	[TD_CTL_RESUME] = td_conn_resume,
	[TD_CTL_CLOSE] = td_conn_close,
	[TD_CTL_DETACH] = td_conn_detach,
	[TD_CTL_LIST_MINORS] = td_conn_list_minors,
	[TD_CTL_LIST] = td_conn_list,
	[TD_CTL_STATS] = td_conn_stats,
	[TD_CTL_FORCE_SHUTDOWN] = td_conn_close,
	[TD_CTL_EXIT] = td_conn_exit,
};

#define TD_CONN_NR_OPS	(sizeof(td_conn_ops) / sizeof(td_conn_ops[0]))

static void td_conn_request(struct td_conn *conn)
{
	uint16_t type = conn->msg.type;

	td_timer_stop(&conn->timer);
	td_control.nr_busy++;
	td_log_error_clear();
	if (type < TD_CONN_NR_OPS && td_conn_ops[type]) {
		td_conn_ops[type](conn);
		return;
	}
	td_err("message type %u is unknown", type);
	td_conn_error(conn, -EINVAL);
}

static void td_conn_recv(struct td_conn *conn)
{
	struct io_uring_sqe *sqe = td_loop_sqe();

	io_uring_prep_recv(sqe, conn->fd, (char *)&conn->msg + conn->got,
			   sizeof(conn->msg) - conn->got, 0);
	io_uring_sqe_set_data(sqe, &conn->ev);
}

static void td_conn_received(struct td_event *ev, int res, uint32_t flags)
{
	struct td_conn *conn = td_container(ev, struct td_conn, ev);

	(void)flags;
	if (res <= 0 && res != -EINTR && res != -EAGAIN) {
		td_conn_free(conn);
		return;
	}
	if (res > 0)
		conn->got += res;
	if (conn->got < sizeof(conn->msg))
		td_conn_recv(conn);
	else
		td_conn_request(conn);
}

/* Too many: tell so, without waiting. A fresh socket has room for that. */
static void td_control_busy(int fd)
{
	struct td_ctl_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.type = TD_CTL_ERROR;
	msg.u.response.error = EBUSY;
	snprintf(msg.u.response.message, sizeof(msg.u.response.message),
		 "more than %d connections", TD_CTL_CONNS_MAX);
	(void)!send(fd, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void td_control_accepted(struct td_event *ev, int res, uint32_t flags)
{
	struct td_conn *conn;

	(void)ev;
	/* Give way when it is refused, for lack of descriptors perhaps. */
	if (!(flags & IORING_CQE_F_MORE))
		td_timer_start(&td_control.accept_timer,
			       res < 0 ? TD_CONTROL_ACCEPT_MS : 0);
	if (res < 0)
		return;
	conn = td_control.nr_conns < TD_CTL_CONNS_MAX ?
	       calloc(1, sizeof(*conn)) : NULL;
	if (!conn) {
		td_control_busy(res);
		return;
	}
	conn->fd = res;
	conn->ev.fn = td_conn_received;
	conn->timer.fn = td_conn_timeout;
	conn->next = td_control.conns;
	conn->prev = &td_control.conns;
	if (conn->next)
		conn->next->prev = &conn->next;
	td_control.conns = conn;
	td_control.nr_conns++;
	td_timer_start(&conn->timer, TD_CTL_TIMEOUT * 1000);
	td_conn_recv(conn);
}

/*
 * The process ends because of a system call: clients that wait for an answer
 * get the reason instead.
 */
static void td_control_refused(int nr)
{
	struct td_ctl_msg msg;
	struct td_conn *conn;

	(void)nr;
	for (conn = td_control.conns; conn; conn = conn->next) {
		if (conn->got < sizeof(conn->msg) || conn->out)
			continue;
		memset(&msg, 0, sizeof(msg));
		msg.type = TD_CTL_ERROR;
		msg.cookie = conn->msg.cookie;
		msg.u.response.error = ENOTRECOVERABLE;
		snprintf(msg.u.response.message,
			 sizeof(msg.u.response.message), "%s", td_log_error());
		(void)!send(conn->fd, &msg, sizeof(msg),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

int td_control_open(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	memset(&td_control, 0, sizeof(td_control));
	td_control.accept.fn = td_control_accepted;
	td_control.accept_timer.fn = td_control_accept_timer;
	if (strlen(path) >= sizeof(addr.sun_path)) {
		td_err("%s: longer than %zu bytes", path,
		       sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);
	strcpy(td_control.path, path);
	td_control.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (td_control.fd < 0) {
		err = -errno;
		td_err("control socket: %s", strerror(-err));
		return err;
	}
	unlink(path);
	mask = umask(0177);
	err = bind(td_control.fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (!err)
		err = listen(td_control.fd, TD_CONTROL_BACKLOG);
	if (err) {
		err = -errno;
		td_err("%s: %s", path, strerror(-err));
		close(td_control.fd);
		return err;
	}
	td_control_accept();
	td_sandbox_on_refusal(td_control_refused);
	return 0;
}

void td_control_close(void)
{
	while (td_control.conns)
		td_conn_free(td_control.conns);
	td_timer_stop(&td_control.accept_timer);
	close(td_control.fd);
	unlink(td_control.path);
}
