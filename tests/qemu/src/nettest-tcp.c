// SPDX-License-Identifier: GPL-2.0
/*
 * nettest: a session over TCP.
 *
 * A connection has a sender thread and a receiver, as the two directions must
 * not wait for each other.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Needs struct timespec. */
#include <linux/errqueue.h>

#include "nettest.h"

#define NT_ZC_BUFFERS	8
#define NT_FILE		(16u << 20)	/* more than a socket ever holds */
#define NT_SNDBUF	(1 << 20)

/**
 * struct nt_sender - the sending thread's own
 * @buf: where messages are made; with zerocopy the kernel sends from there
 * @last: zerocopy: number of the last call that sent from the buffer
 * @calls: zerocopy: calls so far
 * @done: zerocopy: calls whose pages are free again
 * @file: sendfile: what is sent from
 * @at: sendfile: end of the last message in it
 */
struct nt_sender {
	unsigned char *buf[NT_ZC_BUFFERS];
	uint32_t last[NT_ZC_BUFFERS];
	uint32_t calls;
	uint32_t done;
	int file;
	off_t at;
};

static bool nt_send_all(struct nt_end *e, const unsigned char *buf, size_t len)
{
	while (len) {
		ssize_t n = send(e->fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return nt_fail(e, "send");
		buf += n;
		len -= n;
	}
	return true;
}

/* Wait until the kernel has sent from a buffer for the last time. */
static bool nt_zc_reap(struct nt_end *e, struct nt_sender *s, uint32_t call)
{
	while ((int32_t)(s->done - call) < 0) {
		struct pollfd pfd = { .fd = e->fd };
		unsigned char control[128];
		struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
		struct sock_extended_err err;
		struct cmsghdr *c;

		if (recvmsg(e->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			if (errno != EAGAIN)
				return nt_fail(e, "recvmsg of completions");
			if (e->failed)
				return false;
			poll(&pfd, 1, 1000);
			continue;
		}
		c = CMSG_FIRSTHDR(&m);
		if (!c || c->cmsg_len < CMSG_LEN(sizeof(err)))
			continue;
		memcpy(&err, CMSG_DATA(c), sizeof(err));
		if (err.ee_origin == SO_EE_ORIGIN_ZEROCOPY)
			s->done = err.ee_data + 1;
	}
	return true;
}

static bool nt_zc_send(struct nt_end *e, struct nt_sender *s, unsigned int slot,
		       size_t len)
{
	const unsigned char *buf = s->buf[slot];

	while (len) {
		ssize_t n = send(e->fd, buf, len, MSG_NOSIGNAL | MSG_ZEROCOPY);

		if (n < 0 && errno == EINTR)
			continue;
		/* Too many completions not fetched yet. */
		if (n < 0 && errno == ENOBUFS && s->done != s->calls) {
			if (!nt_zc_reap(e, s, s->done + 1))
				return false;
			continue;
		}
		if (n < 0)
			return nt_fail(e, "send with MSG_ZEROCOPY");
		buf += n;
		len -= n;
		s->calls++;
	}
	s->last[slot] = s->calls;
	return true;
}

static bool nt_file_send(struct nt_end *e, struct nt_sender *s, size_t len)
{
	off_t at = s->at + len > NT_FILE ? 0 : s->at;

	s->at = at + len;
	if (pwrite(s->file, s->buf[0], len, at) != (ssize_t)len)
		return nt_fail(e, "write of a memfd");
	while (len) {
		ssize_t n = sendfile(e->fd, s->file, &at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return nt_fail(e, "sendfile");
		len -= n;
	}
	return true;
}

static bool nt_tcp_data(struct nt_end *e, struct nt_sender *s)
{
	unsigned int slot = e->p.how == NT_ZEROCOPY ? e->tx % NT_ZC_BUFFERS : 0;
	uint32_t len;
	bool ok;

	if (e->p.how == NT_ZEROCOPY && !nt_zc_reap(e, s, s->last[slot]))
		return false;
	len = nt_make(e, s->buf[slot], e->tx);
	if (e->p.how == NT_ZEROCOPY)
		ok = nt_zc_send(e, s, slot, len);
	else if (e->p.how == NT_SENDFILE)
		ok = nt_file_send(e, s, len);
	else
		ok = nt_send_all(e, s->buf[slot], len);
	if (ok) {
		e->tx++;
		e->tx_bytes += len;
	}
	return ok;
}

static bool nt_sender_init(struct nt_end *e, struct nt_sender *s)
{
	int one = 1, sndbuf = NT_SNDBUF, i;

	for (i = 0; i < (e->p.how == NT_ZEROCOPY ? NT_ZC_BUFFERS : 1); i++)
		s->buf[i] = nt_alloc(NT_MAX + 8);
	if (e->p.how == NT_ZEROCOPY &&
	    setsockopt(e->fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
		return nt_fail(e, "SO_ZEROCOPY");
	if (e->p.how != NT_SENDFILE)
		return true;
	s->file = memfd_create("nettest", 0);
	if (s->file < 0 || ftruncate(s->file, NT_FILE) ||
	    setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)))
		return nt_fail(e, "memfd for sendfile");
	return true;
}

/**
 * nt_tcp_control - send a message that is not data
 * @e: the end that sends it
 * @type: of the message
 * @seq: of the message
 * @data: what follows the header
 * @len: of @data, at most 128
 *
 * Return: false if the session failed.
 */
bool nt_tcp_control(struct nt_end *e, enum nt_type type, uint32_t seq,
		    const void *data, size_t len)
{
	unsigned char buf[sizeof(struct nt_head) + 128];

	if (len)
		memcpy(buf + sizeof(struct nt_head), data, len);
	nt_seal(e, buf, type, seq, sizeof(struct nt_head) + len);
	return nt_send_all(e, buf, sizeof(struct nt_head) + len);
}

static void *nt_tcp_sender(void *arg)
{
	struct nt_end *e = arg;
	struct nt_sender s = { .file = -1 };
	uint64_t start = nt_us(), due, now;
	int i;

	if (nt_sender_init(e, &s)) {
		while (!nt_over(e)) {
			due = nt_more(e) ? nt_due(e, start) : UINT64_MAX;
			now = nt_us();
			/* In short steps, as the order to stop may come. */
			if (due > now)
				usleep(due - now < 100000 ? due - now : 100000);
			else if (!nt_tcp_data(e, &s))
				break;
		}
		if (!e->failed)
			nt_tcp_control(e, NT_FIN, e->tx, NULL, 0);
		if (e->p.how == NT_ZEROCOPY)
			nt_zc_reap(e, &s, s.calls);
	}
	for (i = 0; i < NT_ZC_BUFFERS; i++)
		free(s.buf[i]);
	if (s.file >= 0)
		close(s.file);
	return NULL;
}

static bool nt_recv_all(struct nt_end *e, unsigned char *buf, size_t len)
{
	while (len) {
		ssize_t n = recv(e->fd, buf, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = ECONNRESET;
		if (n <= 0)
			return nt_fail(e, "recv");
		nt_arrived(e, nt_ms());
		buf += n;
		len -= n;
	}
	return true;
}

static bool nt_wrong(struct nt_end *e, const char *what, uint64_t is, uint64_t want)
{
	e->st.corrupt++;
	nt_note("message %" PRIu64 ": %s is %" PRIu64 ", must be %" PRIu64,
		e->st.rx, what, is, want);
	e->failed = true;
	shutdown(e->fd, SHUT_RDWR);
	return false;
}

/**
 * nt_tcp_recv - receive one message and check it
 * @e: the end that receives
 * @h: set to the header; the message is in the buffer of @e
 *
 * After a wrong one a stream has no sense.
 *
 * Return: false if the session failed or the message is wrong.
 */
bool nt_tcp_recv(struct nt_end *e, struct nt_head *h)
{
	uint32_t want;

	if (!nt_recv_all(e, e->buf, sizeof(*h)))
		return false;
	memcpy(h, e->buf, sizeof(*h));
	if (h->magic != NT_MAGIC)
		return nt_wrong(e, "magic", h->magic, NT_MAGIC);
	if (h->len < sizeof(*h) || h->len > NT_MAX)
		return nt_wrong(e, "length", h->len, sizeof(*h));
	if (!nt_recv_all(e, e->buf + sizeof(*h), h->len - sizeof(*h)))
		return false;
	if (!nt_intact(e->buf, h->len, h))
		return nt_wrong(e, "CRC", h->crc,
				nt_crc(e->buf + sizeof(h->crc), h->len - sizeof(h->crc)));
	if (h->type != NT_DATA)
		return true;
	if (h->seq != e->st.rx)
		return nt_wrong(e, "number", h->seq, e->st.rx);
	want = nt_size(&e->p, e->server, h->seq);
	if (h->len != want)
		return nt_wrong(e, "length", h->len, want);
	e->st.rx++;
	e->st.bytes += h->len;
	return true;
}

/* Receive until the other end says how much it has sent. */
static bool nt_tcp_receiver(struct nt_end *e)
{
	struct nt_head h;

	do {
		if (!nt_tcp_recv(e, &h))
			return false;
		if (h.type != NT_DATA && h.type != NT_FIN)
			return nt_wrong(e, "type", h.type, NT_DATA);
	} while (h.type == NT_DATA);
	e->st.lost = h.seq - e->st.rx;
	return true;
}

static bool nt_tcp_rr(struct nt_end *e)
{
	struct nt_sender s = { .file = -1 };
	struct nt_head h = { .type = NT_DATA };
	bool ok = nt_sender_init(e, &s);
	uint64_t t;

	while (ok && !e->server && nt_more(e)) {
		t = nt_us();
		ok = nt_tcp_data(e, &s) && nt_tcp_recv(e, &h);
		nt_rtt(e, nt_us() - t);
	}
	while (ok && e->server && h.type == NT_DATA) {
		ok = nt_tcp_recv(e, &h);
		if (ok && h.type == NT_DATA)
			ok = nt_tcp_data(e, &s);
	}
	ok = ok && nt_tcp_control(e, NT_FIN, e->tx, NULL, 0);
	/* The server has had the client's end already. */
	ok = ok && (e->server || nt_tcp_receiver(e));
	free(s.buf[0]);
	return ok;
}

/**
 * nt_tcp - a session, after NT_HELLO, to its end
 * @e: either end of it
 *
 * Return: true if both verdicts were told.
 */
bool nt_tcp(struct nt_end *e)
{
	struct timeval tv = { .tv_sec = e->p.timeout };
	struct nt_head h;
	pthread_t sender;
	bool ok;
	int one = 1;

	setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(e->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (e->p.rr) {
		ok = nt_tcp_rr(e);
	} else {
		errno = pthread_create(&sender, NULL, nt_tcp_sender, e);
		if (errno)
			return nt_fail(e, "thread");
		ok = nt_tcp_receiver(e);
		/* The client's end is the end of a timed run. */
		e->stop = e->server && e->p.timed;
		pthread_join(sender, NULL);
	}
	ok = ok && !e->failed && nt_tcp_control(e, NT_VERDICT, 0, &e->st, sizeof(e->st));
	if (!ok || !nt_tcp_recv(e, &h))
		return false;
	if (h.type != NT_VERDICT || h.len != sizeof(h) + sizeof(e->peer))
		return nt_wrong(e, "type", h.type, NT_VERDICT);
	memcpy(&e->peer, e->buf + sizeof(h), sizeof(e->peer));
	return true;
}
