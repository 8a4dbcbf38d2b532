// SPDX-License-Identifier: GPL-2.0
/*
 * nettest: the server. It has a process for each session.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nettest.h"

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

/**
 * nt_serve - serve all who come
 * @port: TCP and UDP
 * @only6: IPv6 only
 * @background: as a daemon, once the ports are open
 *
 * Return: the program's status, when it cannot go on.
 */
int nt_serve(uint16_t port, bool only6, bool background)
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
