/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nettest: what the two ends send each other, what an end knows, and what each
 * file has for the others. nettest.c tells what the program is for.
 */
#ifndef NETTEST_H
#define NETTEST_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NT_MAGIC	0x6e74
#define NT_MAX		262144		/* longest TCP message */
#define NT_UDP_MAX	65507

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

/* nettest-msg.c */
extern volatile sig_atomic_t nt_signalled;

void nt_note(const char *fmt, ...);
void *nt_alloc(size_t size);
uint64_t nt_us(void);
uint64_t nt_ms(void);
void nt_crc_init(void);
uint32_t nt_crc(const unsigned char *p, size_t len);
uint32_t nt_size(const struct nt_params *p, bool to_server, uint32_t seq);
void nt_seal(struct nt_end *e, unsigned char *buf, enum nt_type type,
	     uint32_t seq, uint32_t len);
uint32_t nt_make(struct nt_end *e, unsigned char *buf, uint32_t seq);
bool nt_intact(const unsigned char *buf, size_t len, struct nt_head *h);
void nt_arrived(struct nt_end *e, uint64_t now);
bool nt_over(struct nt_end *e);
bool nt_more(struct nt_end *e);
uint64_t nt_due(const struct nt_end *e, uint64_t start);
void nt_rtt(struct nt_end *e, uint64_t us);
bool nt_fail(struct nt_end *e, const char *what);

/* nettest-tcp.c */
bool nt_tcp_control(struct nt_end *e, enum nt_type type, uint32_t seq,
		    const void *data, size_t len);
bool nt_tcp_recv(struct nt_end *e, struct nt_head *h);
bool nt_tcp(struct nt_end *e);

/* nettest-udp.c */
bool nt_udp(struct nt_end *e);

/* nettest-serve.c */
int nt_serve(uint16_t port, bool only6, bool background);

#endif /* NETTEST_H */
