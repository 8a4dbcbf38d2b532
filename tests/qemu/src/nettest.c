// SPDX-License-Identifier: GPL-2.0
/*
 * nettest - send data that proves itself, both ways, and judge what arrives
 *
 *   nettest serve [-6] [-p PORT] [--daemon]
 *   nettest run --to ADDRESS [OPTION...]         nettest --help lists them
 *
 * The data is a sequence of messages. How long message N is and what it holds
 * is computed from a seed, the direction and N, so both ends know. A message
 * begins with a struct nt_head that has N, the length and a CRC-32C of all of
 * it. The receiver checks that, and that each message comes once and, over
 * TCP, in order. Each end tells the other what it found, and the client prints
 * both in one line:
 *
 *   nettest: ok proto=tcp tx=100 tx_bytes=3276800 rx=100 rx_bytes=3276000
 *       rx_lost=0 rx_corrupt=0 rx_dup=0 rx_reordered=0 rx_stall_ms=3
 *       peer_rx=100 peer_lost=0 ... ms=1200
 *
 * The status is 0 if all is right, 1 if data was lost, doubled or wrong, 2 for
 * a wrong command line, 3 if the other end does not answer.
 *
 * Both ends have the same byte order: they are domains of one machine.
 *
 * A TCP connection has a sender thread and a receiver, as the two directions
 * must not wait for each other. UDP is one loop: few messages are under way at
 * a time, so that what is lost was lost by a driver and not by a full socket.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NT_MAGIC	0x6e74
#define NT_PORT		7777
#define NT_MAX		262144		/* longest TCP message */
#define NT_UDP_MAX	65507
#define NT_GSO_MAX	64		/* the kernel's limit of segments */
#define NT_WINDOW	65536		/* UDP bytes under way */
#define NT_WINDOW_MSGS	64
#define NT_ACK_EVERY	8
#define NT_SEQ_AHEAD	65536
#define NT_RETRY_MS	200
#define NT_RR_LOST_MS	1000
#define NT_ZC_BUFFERS	8
#define NT_FILE		(16u << 20)	/* more than a socket ever holds */
#define NT_SNDBUF	(1 << 20)

enum nt_type {
	NT_HELLO = 1,	/* client: struct nt_params follows */
	NT_HELLO_OK,	/* UDP: the server has a session */
	NT_DATA,
	NT_ACK,		/* UDP: seq is one more than the highest that came */
	NT_FIN,		/* seq is the number of messages sent */
	NT_VERDICT,	/* struct nt_stats follows */
};

enum nt_how { NT_SEND, NT_ZEROCOPY, NT_SENDFILE };

/**
 * struct nt_head - what each message begins with
 * @crc: CRC-32C of what follows, to the end of the message
 * @len: length of the message with this header
 * @seq: number of the message from 0
 * @type: enum nt_type
 * @magic: NT_MAGIC
 * @session: a number the client chose
 */
struct nt_head {
	uint32_t crc;
	uint32_t len;
	uint32_t seq;
	uint16_t type;
	uint16_t magic;
	uint64_t session;
};

/**
 * struct nt_params - what the client asks for
 * @seed: of the data
 * @count: messages each way, without a limit if @timed
 * @min: shortest message
 * @max: longest
 * @rate: messages a second and direction, 0 for no limit
 * @gso: UDP: length of a segment, several are sent by one call; 0 for none
 * @timeout: seconds of silence after which an end gives up
 * @rr: each message is answered by one
 * @timed: until the client says it is over
 * @out: client to server
 * @in: server to client
 * @how: enum nt_how, TCP
 */
struct nt_params {
	uint64_t seed;
	uint32_t count;
	uint32_t min;
	uint32_t max;
	uint32_t rate;
	uint32_t gso;
	uint32_t timeout;
	uint8_t rr;
	uint8_t timed;
	uint8_t out;
	uint8_t in;
	uint32_t how;
};

/**
 * struct nt_stats - what one end received
 * @rx: messages that were right
 * @bytes: of these
 * @lost: sent by the other end, but not here
 * @corrupt: wrong in any way
 * @dup: came before
 * @reordered: came after a later one
 * @stall_ms: the longest time in which nothing came
 */
struct nt_stats {
	uint64_t rx;
	uint64_t bytes;
	uint64_t lost;
	uint64_t corrupt;
	uint64_t dup;
	uint64_t reordered;
	uint64_t stall_ms;
};

/**
 * struct nt_end - one end of a session
 * @fd: connected socket
 * @udp: it is UDP
 * @server: this is the server's end
 * @session: the client's number
 * @p: what was asked for
 * @st: what this end received
 * @peer: what the other end received
 * @tx: messages sent
 * @tx_bytes: of these
 * @stop: send no more
 * @failed: the session is over, and not well
 * @last_rx: time of the last arrival, ms
 * @end: time at which a timed run ends, ms
 * @rtt_us: sum, least and greatest time of an answer
 * @progress: file for the counters
 * @progress_at: when to write them next, ms
 * @buf: a message
 * @seen: UDP: a bit for each message that came
 * @seen_max: UDP: bits in @seen
 */
struct nt_end {
	int fd;
	bool udp;
	bool server;
	uint64_t session;
	struct nt_params p;
	struct nt_stats st;
	struct nt_stats peer;
	uint64_t tx;
	uint64_t tx_bytes;
	atomic_bool stop;
	atomic_bool failed;
	uint64_t last_rx;
	uint64_t end;
	struct { uint64_t sum, min, max; } rtt_us;
	int progress;
	uint64_t progress_at;
	unsigned char *buf;
	unsigned char *seen;
	uint32_t seen_max;
};

static volatile sig_atomic_t nt_signalled;
static uint32_t nt_crc_table[8][256];

static void nt_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("nettest: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static void *nt_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p) {
		nt_note("no memory for %zu bytes", size);
		exit(3);
	}
	return p;
}

static uint64_t nt_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t nt_ms(void)
{
	return nt_us() / 1000;
}

/* ------------------------------------------------------------------------ */
/* Messages */

static void nt_crc_init(void)
{
	uint32_t i, j, c;

	for (i = 0; i < 256; i++) {
		c = i;
		for (j = 0; j < 8; j++)
			c = (c >> 1) ^ (c & 1 ? 0x82f63b78 : 0);
		nt_crc_table[0][i] = c;
	}
	for (i = 0; i < 256; i++) {
		for (j = 1; j < 8; j++) {
			c = nt_crc_table[j - 1][i];
			nt_crc_table[j][i] = (c >> 8) ^ nt_crc_table[0][c & 0xff];
		}
	}
}

static uint32_t nt_crc(const unsigned char *p, size_t len)
{
	uint32_t c = ~0u, lo, hi;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&lo, p, 4);
		memcpy(&hi, p + 4, 4);
		lo ^= c;
		c = nt_crc_table[7][lo & 0xff] ^ nt_crc_table[6][lo >> 8 & 0xff] ^
		    nt_crc_table[5][lo >> 16 & 0xff] ^ nt_crc_table[4][lo >> 24] ^
		    nt_crc_table[3][hi & 0xff] ^ nt_crc_table[2][hi >> 8 & 0xff] ^
		    nt_crc_table[1][hi >> 16 & 0xff] ^ nt_crc_table[0][hi >> 24];
	}
	while (len--)
		c = (c >> 8) ^ nt_crc_table[0][(c ^ *p++) & 0xff];
	return ~c;
}

static uint64_t nt_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Of message @seq in the direction to or from the server. */
static uint64_t nt_key(const struct nt_params *p, bool to_server, uint32_t seq)
{
	return nt_mix(p->seed ^ nt_mix(((uint64_t)to_server << 32) | seq));
}

static uint32_t nt_size(const struct nt_params *p, bool to_server, uint32_t seq)
{
	return p->min + nt_mix(nt_key(p, to_server, seq)) % (p->max - p->min + 1);
}

static void nt_seal(struct nt_end *e, unsigned char *buf, enum nt_type type,
		    uint32_t seq, uint32_t len)
{
	struct nt_head h = {
		.len = len, .seq = seq, .type = type, .magic = NT_MAGIC,
		.session = e->session,
	};

	memcpy(buf, &h, sizeof(h));
	h.crc = nt_crc(buf + sizeof(h.crc), len - sizeof(h.crc));
	memcpy(buf, &h.crc, sizeof(h.crc));
}

/* Make data message @seq; returns its length. */
static uint32_t nt_make(struct nt_end *e, unsigned char *buf, uint32_t seq)
{
	uint32_t len = nt_size(&e->p, !e->server, seq), at;
	uint64_t x = nt_key(&e->p, !e->server, seq) | 1;

	for (at = sizeof(struct nt_head); at < len; at += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(buf + at, &x, len - at < 8 ? len - at : 8);
	}
	nt_seal(e, buf, NT_DATA, seq, len);
	return len;
}

static bool nt_intact(const unsigned char *buf, size_t len, struct nt_head *h)
{
	if (len < sizeof(*h))
		return false;
	memcpy(h, buf, sizeof(*h));
	return h->magic == NT_MAGIC && h->len == len &&
	       h->crc == nt_crc(buf + sizeof(h->crc), len - sizeof(h->crc));
}

static void nt_arrived(struct nt_end *e, uint64_t now)
{
	if (e->last_rx && now - e->last_rx > e->st.stall_ms)
		e->st.stall_ms = now - e->last_rx;
	e->last_rx = now;
	if (e->progress >= 0 && now >= e->progress_at) {
		char line[100];
		int n = snprintf(line, sizeof(line), "rx=%012" PRIu64 " stall_ms=%09" PRIu64 "\n",
				 e->st.rx, e->st.stall_ms);

		if (pwrite(e->progress, line, n, 0) != n)
			nt_note("cannot write the progress: %s", strerror(errno));
		e->progress_at = now + 500;
	}
}

/* Nothing more will be sent. The client ends a timed run, for both. */
static bool nt_over(struct nt_end *e)
{
	if (e->failed || e->stop)
		return true;
	if (e->p.timed && !e->server)
		return nt_signalled || nt_ms() >= e->end;
	if (!(e->server ? e->p.in : e->p.out))
		return true;
	return !e->p.timed && e->tx >= e->p.count;
}

static bool nt_more(struct nt_end *e)
{
	return (e->server ? e->p.in : e->p.out) && !nt_over(e);
}

/* When message number @tx may leave, in us after the first. */
static uint64_t nt_due(const struct nt_end *e, uint64_t start)
{
	return e->p.rate ? start + e->tx * 1000000 / e->p.rate : 0;
}

static void nt_rtt(struct nt_end *e, uint64_t us)
{
	e->rtt_us.sum += us;
	if (!e->rtt_us.min || us < e->rtt_us.min)
		e->rtt_us.min = us;
	if (us > e->rtt_us.max)
		e->rtt_us.max = us;
}

/* ------------------------------------------------------------------------ */
/* TCP */

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

static bool nt_fail(struct nt_end *e, const char *what)
{
	if (!atomic_exchange(&e->failed, true)) {
		if (errno == EAGAIN)
			nt_note("%s: nothing for %u s", what, e->p.timeout);
		else
			nt_note("%s: %s", what, strerror(errno));
	}
	/* The other thread must not wait for what will not come. */
	shutdown(e->fd, SHUT_RDWR);
	return false;
}

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

static bool nt_tcp_control(struct nt_end *e, enum nt_type type, uint32_t seq,
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

/* Receive one message and check it. After a wrong one a stream has no sense. */
static bool nt_tcp_recv(struct nt_end *e, struct nt_head *h)
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

static bool nt_tcp(struct nt_end *e)
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

/* ------------------------------------------------------------------------ */
/* UDP */

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

static bool nt_udp(struct nt_end *e)
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

/* ------------------------------------------------------------------------ */
/* Server */

static int nt_socket(int family, int type, uint16_t port)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, family == AF_INET6 ? (void *)&a6 : (void *)&a4,
		 family == AF_INET6 ? sizeof(a6) : sizeof(a4)) ||
	    (type == SOCK_STREAM && listen(fd, 16))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool nt_params_ok(const struct nt_params *p, bool udp)
{
	return p->min >= sizeof(struct nt_head) && p->max >= p->min &&
	       p->max <= (udp ? NT_UDP_MAX : NT_MAX) && p->timeout &&
	       (!p->gso || (udp && p->gso == p->min && p->gso == p->max)) &&
	       p->how <= NT_SENDFILE;
}

static void nt_serve_tcp(int fd)
{
	struct nt_end e = {
		.fd = fd, .server = true, .progress = -1, .buf = nt_alloc(NT_MAX + 8),
		.p = { .timeout = 10 },
	};
	struct nt_head h;

	if (nt_tcp_recv(&e, &h) && h.type == NT_HELLO && h.len == sizeof(h) + sizeof(e.p)) {
		memcpy(&e.p, e.buf + sizeof(h), sizeof(e.p));
		e.session = h.session;
		e.st.stall_ms = 0;
		if (nt_params_ok(&e.p, false))
			nt_tcp(&e);
	}
	exit(0);
}

static void nt_serve_udp(int listener, uint16_t port)
{
	static uint64_t known[64];
	static unsigned int next;
	unsigned char buf[sizeof(struct nt_head) + sizeof(struct nt_params)];
	struct nt_end e = { .server = true, .udp = true, .progress = -1 };
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct nt_head h;
	unsigned int i;
	ssize_t n;

	n = recvfrom(listener, buf, sizeof(buf), MSG_TRUNC, (void *)&from, &len);
	if (n != sizeof(buf) || !nt_intact(buf, n, &h) || h.type != NT_HELLO)
		return;
	/* Said again before its own socket was there. */
	for (i = 0; i < 64; i++)
		if (known[i] == h.session)
			return;
	known[next++ % 64] = h.session;
	memcpy(&e.p, buf + sizeof(h), sizeof(e.p));
	e.session = h.session;
	if (!nt_params_ok(&e.p, true) || fork())
		return;
	e.buf = nt_alloc(NT_MAX + 8);
	e.fd = nt_socket(from.ss_family, SOCK_DGRAM, port);
	if (e.fd < 0 || connect(e.fd, (void *)&from, len))
		nt_note("session: %s", strerror(errno));
	else
		nt_udp(&e);
	exit(0);
}

static int nt_serve(uint16_t port, bool only6, bool background)
{
	int i, n = 0, fd, null;
	struct pollfd pfd[4];

	for (i = only6 ? 2 : 0; i < 4; i++) {
		pfd[n].fd = nt_socket(i < 2 ? AF_INET : AF_INET6,
				      i % 2 ? SOCK_DGRAM : SOCK_STREAM, port);
		if (pfd[n].fd < 0) {
			nt_note("port %u: %s", port, strerror(errno));
			return 3;
		}
		pfd[n++].events = POLLIN;
	}
	signal(SIGCHLD, SIG_IGN);
	if (background) {
		/* What it has to complain of goes where it was told. */
		null = open("/dev/null", O_RDWR);
		if (null < 0 || daemon(0, 1) || dup2(null, 0) || dup2(null, 1) != 1) {
			nt_note("daemon: %s", strerror(errno));
			return 3;
		}
	}
	for (;;) {
		if (poll(pfd, n, -1) < 0 && errno != EINTR)
			return 3;
		for (i = 0; i < n; i++) {
			int type = 0;
			socklen_t len = sizeof(type);

			if (!(pfd[i].revents & POLLIN))
				continue;
			getsockopt(pfd[i].fd, SOL_SOCKET, SO_TYPE, &type, &len);
			if (type == SOCK_DGRAM) {
				nt_serve_udp(pfd[i].fd, port);
				continue;
			}
			fd = accept4(pfd[i].fd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0 && !fork())
				nt_serve_tcp(fd);
			close(fd);
		}
	}
}

/* ------------------------------------------------------------------------ */
/* Client */

static const char nt_help[] =
"nettest serve [-6] [-p PORT] [--daemon]\n"
"  -6            IPv6 only\n"
"  -p PORT       TCP and UDP, default 7777\n"
"  --daemon      return when the ports are open\n"
"nettest run --to ADDRESS [OPTION...]\n"
"  --to ADDRESS  numbers; fe80::1%eth0 for a link-local one\n"
"  -p PORT       default 7777\n"
"  --tcp, --udp  default is TCP\n"
"  --sizes A-B   bytes of a message with its header, default 60-65535 (TCP: at\n"
"                most 262144) or 60-1472 (UDP: at most 65507)\n"
"  --count N     messages each way, default 200\n"
"  --seconds N   instead of --count; SIGTERM ends it earlier, in order\n"
"  --seed N      of the data, default 1\n"
"  --rate N      at most so many messages a second and direction\n"
"  --dir DIR     out, in, or both (default)\n"
"  --rr          each message is answered by one; prints rtt_us\n"
"  --loss N      UDP: so many may be lost in each direction, default 0\n"
"  --gso N       UDP: messages of N bytes, sent by UDP_SEGMENT\n"
"  --zerocopy    TCP: send with MSG_ZEROCOPY\n"
"  --sendfile    TCP: send with sendfile()\n"
"  --timeout N   give up after N silent seconds, default 60\n"
"  --progress FILE   keeps the counters there while it runs\n"
"Status: 0 all right, 1 data lost, doubled or wrong, 2 usage, 3 no connection.\n";

/**
 * struct nt_options - the command line
 * @p: what the server is told
 * @to: its address
 * @port: its port
 * @udp: UDP
 * @seconds: of a timed run
 * @loss: how many may be lost each way
 * @only6: IPv6
 * @background: serve: as a daemon
 * @progress: file for the counters or NULL
 */
struct nt_options {
	struct nt_params p;
	const char *to;
	uint16_t port;
	bool udp;
	uint32_t seconds;
	uint32_t loss;
	bool only6;
	bool background;
	const char *progress;
};

static int nt_connect(const struct nt_options *o)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(o->port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(o->port) };
	char address[64];
	struct timeval tv = { .tv_sec = o->p.timeout };
	bool is6 = strchr(o->to, ':');
	char *dev;
	int fd;

	snprintf(address, sizeof(address), "%s", o->to);
	dev = strchr(address, '%');
	if (dev) {
		*dev++ = '\0';
		a6.sin6_scope_id = if_nametoindex(dev);
	}
	if (is6 ? inet_pton(AF_INET6, address, &a6.sin6_addr) != 1 :
		  o->only6 || inet_pton(AF_INET, address, &a4.sin_addr) != 1) {
		nt_note("'%s' is not an IPv%c address", o->to, is6 || o->only6 ? '6' : '4');
		exit(2);
	}
	fd = socket(is6 ? AF_INET6 : AF_INET,
		    (o->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	/* Also how long it waits for a connection. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (fd < 0 || connect(fd, is6 ? (void *)&a6 : (void *)&a4,
			      is6 ? sizeof(a6) : sizeof(a4))) {
		nt_note("%s port %u: %s", o->to, o->port, strerror(errno));
		exit(3);
	}
	return fd;
}

static void nt_print_stats(const char *who, const struct nt_stats *s)
{
	printf(" %s=%" PRIu64 " %s_bytes=%" PRIu64 " %s_lost=%" PRIu64 " %s_corrupt=%" PRIu64,
	       strcmp(who, "peer") ? who : "peer_rx", s->rx, who, s->bytes, who, s->lost,
	       who, s->corrupt);
	printf(" %s_dup=%" PRIu64 " %s_reordered=%" PRIu64 " %s_stall_ms=%" PRIu64, who, s->dup,
	       who, s->reordered, who, s->stall_ms);
}

static bool nt_good(const struct nt_stats *s, uint32_t loss)
{
	return s->lost <= loss && !s->corrupt && !s->dup;
}

static void nt_signal(int sig)
{
	(void)sig;
	nt_signalled = 1;
}

static int nt_run(const struct nt_options *o)
{
	struct sigaction sa = { .sa_handler = nt_signal };
	struct nt_end e = {
		.fd = nt_connect(o), .udp = o->udp, .p = o->p, .progress = -1,
		.buf = nt_alloc(NT_MAX + 8), .end = nt_ms() + 1000ull * o->seconds,
	};
	uint64_t start = nt_ms();
	bool ok, good;

	if (getrandom(&e.session, sizeof(e.session), 0) != sizeof(e.session))
		e.session = nt_us();
	if (o->progress) {
		e.progress = open(o->progress, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
		if (e.progress < 0) {
			nt_note("%s: %s", o->progress, strerror(errno));
			return 3;
		}
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	if (o->udp)
		ok = nt_udp(&e);
	else
		ok = nt_tcp_control(&e, NT_HELLO, 0, &e.p, sizeof(e.p)) && nt_tcp(&e);
	good = ok && nt_good(&e.st, o->loss) && nt_good(&e.peer, o->loss) && (e.st.rx || e.peer.rx);
	printf("nettest: %s proto=%s tx=%" PRIu64 " tx_bytes=%" PRIu64,
	       good ? "ok" : "BAD", o->udp ? "udp" : "tcp", e.tx, e.tx_bytes);
	nt_print_stats("rx", &e.st);
	nt_print_stats("peer", &e.peer);
	if (o->p.rr && e.st.rx)
		printf(" rtt_us=%" PRIu64 "/%" PRIu64 "/%" PRIu64, e.rtt_us.min,
		       e.rtt_us.sum / e.st.rx, e.rtt_us.max);
	printf(" ms=%" PRIu64 "\n", nt_ms() - start);
	if (good)
		return 0;
	return ok || e.st.corrupt ? 1 : 3;
}

/* A number within limits, or the program ends and says so. */
static uint64_t nt_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > max) {
		nt_note("%s '%s': must be %" PRIu64 " to %" PRIu64, option, text, min, max);
		exit(2);
	}
	return n;
}

static void nt_sizes(struct nt_options *o, const char *text)
{
	uint32_t most = o->udp ? NT_UDP_MAX : NT_MAX;
	char low[16];
	const char *dash;

	if (!text)
		text = o->udp ? "60-1472" : "60-65535";
	dash = strchr(text, '-');
	if (!dash || dash - text >= (int)sizeof(low)) {
		nt_note("--sizes '%s': must be MIN-MAX", text);
		exit(2);
	}
	snprintf(low, sizeof(low), "%.*s", (int)(dash - text), text);
	o->p.max = nt_number("--sizes", dash + 1, sizeof(struct nt_head), most);
	o->p.min = nt_number("--sizes", low, sizeof(struct nt_head), o->p.max);
}

static void nt_usage(const char *why, const char *what)
{
	nt_note("%s%s (nettest --help)", why, what);
	exit(2);
}

enum { NT_O_TO = 256, NT_O_TCP, NT_O_UDP, NT_O_SIZES, NT_O_COUNT, NT_O_SECONDS, NT_O_SEED,
	NT_O_RATE, NT_O_DIR, NT_O_RR, NT_O_LOSS, NT_O_GSO, NT_O_ZEROCOPY, NT_O_SENDFILE,
	NT_O_TIMEOUT, NT_O_PROGRESS, NT_O_DAEMON, NT_O_HELP };

static const struct option nt_long[] = {
	{ "to", 1, NULL, NT_O_TO }, { "tcp", 0, NULL, NT_O_TCP }, { "udp", 0, NULL, NT_O_UDP },
	{ "sizes", 1, NULL, NT_O_SIZES }, { "count", 1, NULL, NT_O_COUNT },
	{ "seconds", 1, NULL, NT_O_SECONDS }, { "seed", 1, NULL, NT_O_SEED },
	{ "rate", 1, NULL, NT_O_RATE }, { "dir", 1, NULL, NT_O_DIR }, { "rr", 0, NULL, NT_O_RR },
	{ "loss", 1, NULL, NT_O_LOSS }, { "gso", 1, NULL, NT_O_GSO },
	{ "zerocopy", 0, NULL, NT_O_ZEROCOPY }, { "sendfile", 0, NULL, NT_O_SENDFILE },
	{ "timeout", 1, NULL, NT_O_TIMEOUT }, { "progress", 1, NULL, NT_O_PROGRESS },
	{ "daemon", 0, NULL, NT_O_DAEMON }, { "help", 0, NULL, NT_O_HELP }, { NULL, 0, NULL, 0 },
};

static void nt_option(struct nt_options *o, int c, const char *arg)
{
	switch (c) {
	case NT_O_TO:
		o->to = arg;
		break;
	case NT_O_UDP:
		o->udp = true;
		break;
	case NT_O_COUNT:
		o->p.count = nt_number("--count", arg, 1, UINT32_MAX);
		break;
	case NT_O_SECONDS:
		o->seconds = nt_number("--seconds", arg, 1, 1000000);
		o->p.timed = true;
		break;
	case NT_O_SEED:
		o->p.seed = nt_number("--seed", arg, 0, UINT64_MAX);
		break;
	case NT_O_RATE:
		o->p.rate = nt_number("--rate", arg, 1, 1000000);
		break;
	case NT_O_DIR:
		o->p.out = strcmp(arg, "in");
		o->p.in = strcmp(arg, "out");
		if (o->p.in && o->p.out && strcmp(arg, "both"))
			nt_usage("--dir must be out, in or both, not ", arg);
		break;
	case NT_O_RR:
		o->p.rr = true;
		break;
	case NT_O_LOSS:
		o->loss = nt_number("--loss", arg, 0, UINT32_MAX);
		break;
	case NT_O_GSO:
		o->p.gso = nt_number("--gso", arg, sizeof(struct nt_head), 9000);
		break;
	case NT_O_ZEROCOPY:
		o->p.how = NT_ZEROCOPY;
		break;
	case NT_O_SENDFILE:
		o->p.how = NT_SENDFILE;
		break;
	case NT_O_TIMEOUT:
		o->p.timeout = nt_number("--timeout", arg, 1, 100000);
		break;
	case NT_O_PROGRESS:
		o->progress = arg;
		break;
	case NT_O_DAEMON:
		o->background = true;
		break;
	case 'p':
		o->port = nt_number("-p", arg, 1, 65535);
		break;
	case '6':
		o->only6 = true;
		break;
	case NT_O_TCP:
		break;
	case NT_O_HELP:
		fputs(nt_help, stdout);
		exit(0);
	default:
		nt_usage("wrong option", "");
	}
}

int main(int argc, char **argv)
{
	struct nt_options o = {
		.port = NT_PORT,
		.p = { .seed = 1, .count = 200, .timeout = 60, .out = 1, .in = 1 },
	};
	const char *sizes = NULL;
	int c;

	nt_crc_init();
	while ((c = getopt_long(argc, argv, "p:6", nt_long, NULL)) != -1) {
		if (c == NT_O_SIZES)
			sizes = optarg;
		else
			nt_option(&o, c, optarg);
	}
	if (optind != argc - 1)
		nt_usage("what: serve or run?", "");
	if (!strcmp(argv[optind], "serve"))
		return nt_serve(o.port, o.only6, o.background);
	if (strcmp(argv[optind], "run"))
		nt_usage("unknown command ", argv[optind]);
	if (!o.to)
		nt_usage("--to ADDRESS is missing", "");
	if (o.p.gso) {
		if (!o.udp || sizes || o.p.rr)
			nt_usage("--gso goes with --udp and neither --sizes nor --rr", "");
		o.p.min = o.p.gso;
		o.p.max = o.p.gso;
	} else {
		nt_sizes(&o, sizes);
	}
	if (o.p.rr && !(o.p.in && o.p.out))
		nt_usage("--rr has both directions", "");
	if (o.p.how != NT_SEND && o.udp)
		nt_usage("--zerocopy and --sendfile go with TCP", "");
	return nt_run(&o);
}
