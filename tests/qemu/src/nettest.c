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
 * Here are the command line and the client. nettest.h names the other files.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "nettest.h"

#define NT_PORT		7777

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
