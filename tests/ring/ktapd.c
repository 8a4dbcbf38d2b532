// SPDX-License-Identifier: GPL-2.0
/*
 * ktapd: the smallest server of a tap, for tests.
 *
 * Usage: ktapd [-d] [-D] [-r] [-n MINOR] FILE
 *   -d	direct mode instead of ring mode
 *   -D	open FILE with O_DIRECT
 *   -r	read-only
 *   -n	serve this tap, taking over its disk if it has one
 *
 * Prints the path of the disk when it is there, then serves it until SIGTERM or
 * a CLOSE message, and deletes disk and tap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define KTAPD_DEPTH	64

/* SIGTERM and SIGINT are blocked and looked at here. */
static bool ktapd_stop(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGTERM) || sigismember(&set, SIGINT);
}

static int ktapd_die(const char *what, const char *object, int ret)
{
	fprintf(stderr, "ktapd: %s %s: %s\n", what, object, strerror(-ret));
	return 1;
}

static int ktapd_ring(struct tap *t, int file)
{
	struct blktap_ring_request req;
	int ret = 0;

	while (!ktapd_stop() && !tap_ring(t)->msg && ret >= 0) {
		ret = tap_fetch(t, &req, 100);
		if (ret > 0)
			ret = tap_ring_serve(t, &req, file);
	}
	return ret;
}

static int ktapd_direct(struct tap *t, int file)
{
	struct blktap_direct_event events[KTAPD_DEPTH];
	int ret = 0;
	int i, n;

	while (!ktapd_stop() && ret >= 0) {
		n = tap_events(t, events, KTAPD_DEPTH, 100);
		ret = n;
		for (i = 0; i < n && ret >= 0; i++)
			ret = tap_direct_serve(t, &events[i], file);
		/* A request that was failed by force is nobody's any more. */
		if (ret == -ESRCH)
			ret = 0;
	}
	return ret;
}

int main(int argc, char **argv)
{
	bool direct = false, o_direct = false, ro = false;
	struct tap t = { .minor = -1, .fd = -1 };
	unsigned long flags;
	sigset_t signals;
	struct stat st;
	int opt, file, ret;

	while ((opt = getopt(argc, argv, "dDrn:")) != -1) {
		switch (opt) {
		case 'd':
			direct = true;
			break;
		case 'D':
			o_direct = true;
			break;
		case 'r':
			ro = true;
			break;
		case 'n':
			t.minor = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (optind != argc - 1) {
		fprintf(stderr,
			"usage: ktapd [-d] [-D] [-r] [-n MINOR] FILE\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	file = open(argv[optind], (ro ? O_RDONLY : O_RDWR) | O_CLOEXEC |
		    (o_direct ? O_DIRECT : 0));
	if (file < 0 || fstat(file, &st))
		return ktapd_die("open", argv[optind], -errno);
	if (t.minor < 0) {
		ret = tap_alloc(&t);
		if (ret)
			return ktapd_die("allocate", "a tap", ret);
	}
	ret = tap_open(&t);
	if (ret)
		return ktapd_die("open", "the ring device", ret);
	ret = direct ? tap_setup(&t, KTAPD_DEPTH, BLKTAP_DIRECT_IO_MAX) :
		       tap_map(&t);
	if (!ret && direct)
		ret = tap_file(&t, 0, file);
	if (ret)
		return ktapd_die("set up", "the data plane", ret);

	flags = BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM | BLKTAP_DEVICE_FUA |
		BLKTAP_DEVICE_WRITE_ZEROES;
	if (ro)
		flags |= BLKTAP_DEVICE_RO;
	ret = tap_create(&t, st.st_size / 512, flags);
	if (ret)
		return ktapd_die("create", "the disk", ret);
	printf("/dev/xen/blktap-2/tapdev%d\n", t.minor);
	fflush(stdout);

	ret = direct ? ktapd_direct(&t, file) : ktapd_ring(&t, file);
	if (ret < 0)
		return ktapd_die("serve", argv[optind], ret);
	ret = tap_remove(&t);
	if (ret)
		return ktapd_die("remove", "the disk", ret);
	tap_close(&t);
	ret = tap_free(t.minor);
	return ret ? ktapd_die("free", "the tap", ret) : 0;
}
