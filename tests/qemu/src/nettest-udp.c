// SPDX-License-Identifier: GPL-2.0
/*
 * nettest: a session over UDP.
 *
 * It is one loop: few messages are under way at a time, so that what is lost
 * was lost by a driver and not by a full socket.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nettest.h"

#define NT_GSO_MAX	64		/* the kernel's limit of segments */
#define NT_WINDOW	65536		/* UDP bytes under way */
#define NT_WINDOW_MSGS	64
#define NT_ACK_EVERY	8
#define NT_SEQ_AHEAD	65536
#define NT_RETRY_MS	200
#define NT_RR_LOST_MS	1000

/**
 * struct nt_udp - the state of a session
 * @acked: one more than the highest message that arrived there
 * @acked_at: when that was, ms
 * @highest: one more than the highest message that arrived here
 * @data_at: when the last one arrived, ms
 * @unacked: messages that arrived since the last NT_ACK
 * @peer_total: how many the other end has sent, once it said so
 * @have_total: it did
 * @have_verdict: it told what it received
 * @fin_at: when to tell again how many we have sent, ms
 * @sent_us: when the last request was sent
 * @start: of sending, us
 */
struct nt_udp {
	uint32_t acked;
	uint64_t acked_at;
	uint32_t highest;
	uint64_t data_at;
	uint32_t unacked;
	uint32_t peer_total;
	bool have_total;
	bool have_verdict;
	uint64_t fin_at;
	uint64_t sent_us;
	uint64_t start;
};

/* A refused message is lost, and so is one for which there was no room. */
static void nt_udp_send(struct nt_end *e, const unsigned char *buf, size_t len,
			uint16_t segment)
{
	unsigned char control[CMSG_SPACE(sizeof(segment))] = "";
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (segment) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	if (sendmsg(e->fd, &m, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS &&
	    errno != EINTR && errno != ENETUNREACH && errno != EHOSTUNREACH)
		nt_fail(e, "send");
}

static void nt_udp_control(struct nt_end *e, enum nt_type type, uint32_t seq,
			   const void *data, size_t len)
{
	unsigned char buf[sizeof(struct nt_head) + 128];

	if (len)
		memcpy(buf + sizeof(struct nt_head), data, len);
	nt_seal(e, buf, type, seq, sizeof(struct nt_head) + len);
	nt_udp_send(e, buf, sizeof(struct nt_head) + len, 0);
}

/* One message, or with GSO as many as there are and fit. */
static void nt_udp_data(struct nt_end *e, struct nt_udp *u)
{
	unsigned int max = 1, n = 0;
	size_t len = 0;

	if (e->p.gso) {
		max = NT_UDP_MAX / e->p.gso;
		max = max < NT_GSO_MAX ? max : NT_GSO_MAX;
	}
	do {
		len += nt_make(e, e->buf + len, e->tx);
		e->tx++;
		n++;
	} while (n < max && nt_more(e));
	u->sent_us = nt_us();
	nt_udp_send(e, e->buf, len, e->p.gso);
	e->tx_bytes += len;
}

static bool nt_udp_may_send(struct nt_end *e, struct nt_udp *u, uint64_t now)
{
	uint32_t flight = e->tx - u->acked;

	if (!nt_more(e) || nt_us() < nt_due(e, u->start))
		return false;
	if (e->p.rr)
		return !e->server && (e->st.rx + e->st.lost == e->tx);
	if (flight && now > u->acked_at + NT_RETRY_MS) {
		/* What is not there by now is lost; the receiver counts it. */
		u->acked = e->tx;
		flight = 0;
	}
	return !flight || (flight < NT_WINDOW_MSGS &&
			   (uint64_t)flight * (e->p.min + e->p.max) / 2 < NT_WINDOW);
}

static void nt_udp_seen(struct nt_end *e, uint32_t seq)
{
	if (seq < e->seen_max)
		return;
	uint32_t max = (seq | 0xffff) + 1;
	unsigned char *p = realloc(e->seen, max / 8);

	if (!p) {
		nt_note("no memory for the record of %u messages", max);
		exit(3);
	}
	memset(p + e->seen_max / 8, 0, (max - e->seen_max) / 8);
	e->seen = p;
	e->seen_max = max;
}

static void nt_udp_got_data(struct nt_end *e, struct nt_udp *u, const struct nt_head *h)
{
	/* Far beyond what can be under way: not something that was sent. */
	if (h->seq > u->highest + NT_SEQ_AHEAD ||
	    h->len != nt_size(&e->p, e->server, h->seq)) {
		nt_note("message %u of %u bytes was never sent", h->seq, h->len);
		e->st.corrupt++;
		return;
	}
	nt_udp_seen(e, h->seq);
	if (e->seen[h->seq / 8] & 1 << h->seq % 8) {
		nt_note("message %u came twice", h->seq);
		e->st.dup++;
		return;
	}
	e->seen[h->seq / 8] |= 1 << h->seq % 8;
	e->st.rx++;
	e->st.bytes += h->len;
	if (h->seq < u->highest)
		e->st.reordered++;
	else
		u->highest = h->seq + 1;
	if (e->p.rr && e->server) {
		e->tx = h->seq;
		nt_udp_data(e, u);
	} else if (e->p.rr) {
		nt_rtt(e, nt_us() - u->sent_us);
	} else if (++u->unacked >= NT_ACK_EVERY || e->p.max >= NT_WINDOW / NT_ACK_EVERY) {
		nt_udp_control(e, NT_ACK, u->highest, NULL, 0);
		u->unacked = 0;
	}
}

static void nt_udp_got(struct nt_end *e, struct nt_udp *u, size_t len, uint64_t now)
{
	struct nt_head h;

	if (!nt_intact(e->buf, len, &h) || h.session != e->session) {
		nt_note("a datagram of %zu bytes is wrong", len);
		e->st.corrupt++;
		return;
	}
	nt_arrived(e, now);
	switch (h.type) {
	case NT_HELLO:
		nt_udp_control(e, NT_HELLO_OK, 0, NULL, 0);
		break;
	case NT_DATA:
		u->data_at = now;
		nt_udp_got_data(e, u, &h);
		break;
	case NT_ACK:
		if ((int32_t)(h.seq - u->acked) > 0) {
			u->acked = h.seq;
			u->acked_at = now;
		}
		break;
	case NT_FIN:
		u->peer_total = h.seq;
		u->have_total = true;
		e->stop = e->server && e->p.timed;
		break;
	case NT_VERDICT:
		memcpy(&e->peer, e->buf + sizeof(h), sizeof(e->peer));
		u->have_verdict = true;
		break;
	}
}

/* Receive all there is; false if the other end is gone. */
static bool nt_udp_drain(struct nt_end *e, struct nt_udp *u)
{
	ssize_t n;

	while ((n = recv(e->fd, e->buf, NT_MAX, MSG_DONTWAIT)) >= 0)
		nt_udp_got(e, u, n, nt_ms());
	return errno != ECONNREFUSED;
}

static bool nt_udp_hello(struct nt_end *e)
{
	uint64_t end = nt_ms() + 1000ull * e->p.timeout;
	struct pollfd pfd = { .fd = e->fd, .events = POLLIN };
	struct nt_head h;
	ssize_t n;

	while (nt_ms() < end) {
		nt_udp_control(e, NT_HELLO, 0, &e->p, sizeof(e->p));
		poll(&pfd, 1, NT_RETRY_MS);
		n = recv(e->fd, e->buf, NT_MAX, MSG_DONTWAIT | MSG_PEEK);
		if (n >= 0 && nt_intact(e->buf, n, &h) && h.session == e->session)
			return true;
		if (n >= 0)
			(void)recv(e->fd, e->buf, NT_MAX, MSG_DONTWAIT);
		else if (errno != EAGAIN)
			usleep(NT_RETRY_MS * 1000);
	}
	errno = EAGAIN;
	return nt_fail(e, "no server");
}

/* All that is to come has come, or nothing has for a while. */
static bool nt_udp_complete(struct nt_end *e, struct nt_udp *u, uint64_t now)
{
	return u->have_total && (e->st.rx >= u->peer_total ||
				 now > u->data_at + 2 * NT_RETRY_MS);
}

/* What is due in the session at this time; false at its end. */
static bool nt_udp_turn(struct nt_end *e, struct nt_udp *u, uint64_t now)
{
	/* An echo sends as long as it is asked. */
	bool over = e->p.rr && e->server ? u->have_total : nt_over(e);

	if (e->p.rr && !e->server && e->st.rx + e->st.lost < e->tx &&
	    nt_us() > u->sent_us + NT_RR_LOST_MS * 1000)
		e->st.lost++;
	if (nt_udp_may_send(e, u, now)) {
		if (!u->acked_at || u->acked == e->tx)
			u->acked_at = now;
		nt_udp_data(e, u);
		return true;
	}
	/* The last answer is waited for. */
	if (e->p.rr && !e->server)
		over = over && e->st.rx + e->st.lost == e->tx;
	if (over && now >= u->fin_at) {
		if (!u->have_verdict)
			nt_udp_control(e, NT_FIN, e->tx, NULL, 0);
		if (nt_udp_complete(e, u, now)) {
			e->st.lost = u->peer_total - e->st.rx;
			nt_udp_control(e, NT_VERDICT, 0, &e->st, sizeof(e->st));
		}
		u->fin_at = now + NT_RETRY_MS / 4;
	}
	return e->server || !u->have_verdict || !nt_udp_complete(e, u, now);
}

/**
 * nt_udp - a session to its end
 * @e: either end of it; the client's begins with NT_HELLO
 *
 * Return: false if it failed.
 */
bool nt_udp(struct nt_end *e)
{
	struct pollfd pfd = { .fd = e->fd, .events = POLLIN };
	struct nt_udp u = { .start = nt_us() };
	uint64_t now = nt_ms();
	int big = 8 << 20;

	if (setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)))
		setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	if (!e->server && !nt_udp_hello(e))
		return false;
	if (e->server)
		nt_udp_control(e, NT_HELLO_OK, 0, NULL, 0);
	e->last_rx = now;
	u.data_at = now;
	while (nt_udp_turn(e, &u, now)) {
		bool busy = nt_udp_may_send(e, &u, now);

		poll(&pfd, 1, busy ? 0 : 10);
		now = nt_ms();
		/* A client that has what it wants goes without a word. */
		if (!nt_udp_drain(e, &u) && e->server && u.have_total)
			return true;
		if (e->failed)
			return false;
		if (now > e->last_rx + 1000ull * (e->server && u.have_total ? 3 : e->p.timeout)) {
			if (e->server && u.have_total)
				return true;
			errno = EAGAIN;
			return nt_fail(e, "recv");
		}
	}
	e->st.lost = u.peer_total - e->st.rx;
	return true;
}
