// SPDX-License-Identifier: GPL-2.0
/*
 * nettest: messages, and an end's account of those it sends and receives. What
 * TCP and UDP have in common.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nettest.h"

/* Set by a signal: a timed run is to end. */
volatile sig_atomic_t nt_signalled;

static uint32_t nt_crc_table[8][256];

/**
 * nt_note - write a line to stderr
 * @fmt: as of printf(), without the end of the line
 */
void nt_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("nettest: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/**
 * nt_alloc - zeroed memory, or the program ends
 * @size: in bytes
 *
 * Return: the memory; free() takes it.
 */
void *nt_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p) {
		nt_note("no memory for %zu bytes", size);
		exit(3);
	}
	return p;
}

/**
 * nt_us - time since boot, of a clock that nobody sets
 *
 * Return: the time, us.
 */
uint64_t nt_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/**
 * nt_ms - time as of nt_us()
 *
 * Return: the time, ms.
 */
uint64_t nt_ms(void)
{
	return nt_us() / 1000;
}

/**
 * nt_crc_init - make the tables of nt_crc(), before its first use
 */
void nt_crc_init(void)
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

/**
 * nt_crc - CRC-32C
 * @p: bytes
 * @len: how many
 *
 * Return: their CRC.
 */
uint32_t nt_crc(const unsigned char *p, size_t len)
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

/**
 * nt_size - length of a data message
 * @p: what the session is
 * @to_server: the direction
 * @seq: number of the message
 *
 * Return: the length with the header.
 */
uint32_t nt_size(const struct nt_params *p, bool to_server, uint32_t seq)
{
	return p->min + nt_mix(nt_key(p, to_server, seq)) % (p->max - p->min + 1);
}

/**
 * nt_seal - make the header of a message that is complete but for that
 * @e: the end that sends it
 * @buf: the message, with room for the header at its beginning
 * @type: of it
 * @seq: of it
 * @len: of it with the header
 */
void nt_seal(struct nt_end *e, unsigned char *buf, enum nt_type type,
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

/**
 * nt_make - make a data message
 * @e: the end that sends it
 * @buf: with room for it
 * @seq: number of the message
 *
 * Return: its length.
 */
uint32_t nt_make(struct nt_end *e, unsigned char *buf, uint32_t seq)
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

/**
 * nt_intact - is this a message, whole and unchanged?
 * @buf: what came
 * @len: of it
 * @h: set to the header if @len has room for one
 *
 * Return: true if it is.
 */
bool nt_intact(const unsigned char *buf, size_t len, struct nt_head *h)
{
	if (len < sizeof(*h))
		return false;
	memcpy(h, buf, sizeof(*h));
	return h->magic == NT_MAGIC && h->len == len &&
	       h->crc == nt_crc(buf + sizeof(h->crc), len - sizeof(h->crc));
}

/**
 * nt_arrived - note that something came, and write the progress if it is time
 * @e: the end where it came
 * @now: time, ms
 */
void nt_arrived(struct nt_end *e, uint64_t now)
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

/**
 * nt_over - will nothing more be sent?
 * @e: the end that would send
 *
 * The client ends a timed run, for both.
 *
 * Return: true if it is over.
 */
bool nt_over(struct nt_end *e)
{
	if (e->failed || e->stop)
		return true;
	if (e->p.timed && !e->server)
		return nt_signalled || nt_ms() >= e->end;
	if (!(e->server ? e->p.in : e->p.out))
		return true;
	return !e->p.timed && e->tx >= e->p.count;
}

/**
 * nt_more - is there another message to send?
 * @e: the end that would send
 *
 * Return: true if so.
 */
bool nt_more(struct nt_end *e)
{
	return (e->server ? e->p.in : e->p.out) && !nt_over(e);
}

/**
 * nt_due - when the next message may leave
 * @e: the end that sends it
 * @start: when the first one might, us
 *
 * Return: the time, us; 0 for at once.
 */
uint64_t nt_due(const struct nt_end *e, uint64_t start)
{
	return e->p.rate ? start + e->tx * 1000000 / e->p.rate : 0;
}

/**
 * nt_rtt - note how long an answer took
 * @e: the end that asked
 * @us: the time
 */
void nt_rtt(struct nt_end *e, uint64_t us)
{
	e->rtt_us.sum += us;
	if (!e->rtt_us.min || us < e->rtt_us.min)
		e->rtt_us.min = us;
	if (us > e->rtt_us.max)
		e->rtt_us.max = us;
}

/**
 * nt_fail - end a session because something failed
 * @e: the end
 * @what: what failed, errno tells why; EAGAIN if nothing came in time
 *
 * Only the first failure is told.
 *
 * Return: false.
 */
bool nt_fail(struct nt_end *e, const char *what)
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
