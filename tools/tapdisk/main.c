// SPDX-License-Identifier: GPL-2.0
/*
 * tapdisk2: serves disks of blktap2 from images. See tapdisk2(8).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "loop.h"
#include "sandbox.h"
#include "td_ctl.h"
#include "td_log.h"
#include "td_stdio.h"
#include "vbd.h"

static const char td_usage[] =
	"usage: tapdisk2 [-D] [-l LEVEL] [-u USER]\n"
	"Serve disks of blktap2 from images, as told by tap-ctl(8).\n"
	"  -D, --foreground       do not daemonise, log to stderr\n"
	"  -l, --log-level LEVEL  error, warning, info (default) or debug\n"
	"  -u, --user USER        user to become if started by root; default: that in\n"
	"                         TAPDISK_USER, else tapdisk, else nobody\n"
	"  -h, --help             show this\n"
	"      --version          show the version\n";

static struct {
	struct td_event event;
	int fd;
	int pausing;
} td_signals;

static void td_main_paused(void *arg, int error)
{
	(void)arg;
	(void)error;
	if (!--td_signals.pausing)
		td_loop_stop();
}

/* Close all images properly; the disks wait for another tapdisk2. */
static void td_main_terminate(void)
{
	struct td_vbd *v;

	td_signals.pausing++;
	for (v = td_vbds; v; v = v->next) {
		td_signals.pausing++;
		td_vbd_pause(v, td_main_paused, NULL);
	}
	td_main_paused(NULL, 0);
}

static void td_main_signal(struct td_event *ev, int res, uint32_t flags)
{
	struct signalfd_siginfo info;

	(void)res;
	if (read(td_signals.fd, &info, sizeof(info)) == sizeof(info)) {
		td_info("signal %u: closing all images", info.ssi_signo);
		if (!td_signals.pausing)
			td_main_terminate();
	}
	if (!(flags & IORING_CQE_F_MORE))
		td_loop_poll(ev, td_signals.fd);
}

static int td_main_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	td_signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (td_signals.fd < 0)
		return -errno;
	td_signals.event.fn = td_main_signal;
	td_loop_poll(&td_signals.event, td_signals.fd);
	return 0;
}

/*
 * Serve until there is nothing more to serve. @ready gets the path of the
 * control socket when clients can connect.
 */
static int td_main_serve(FILE *ready, bool daemon, int level)
{
	char path[sizeof(TD_CTL_DIR) + 32];
	int err;

	snprintf(path, sizeof(path), TD_CTL_DIR "/" TD_CTL_PREFIX "%d",
		 getpid());
	if (mkdir(TD_CTL_DIR, 0700) && errno != EEXIST) {
		err = -errno;
		td_err(TD_CTL_DIR ": %s", strerror(-err));
		return err;
	}
	err = td_loop_init();
	if (err)
		return err;
	err = td_control_open(path);
	if (err)
		goto out_loop;
	err = td_main_signals();
	td_log_no_wait();
	if (!err)
		err = td_sandbox_enter();
	if (err)
		goto out_control;
	fprintf(ready, "%s\n", path);
	fflush(ready);
	if (daemon) {
		fclose(ready);
		td_sandbox_detach_stdio();
		td_log_open("tapdisk2", 1, level);
	}
	err = td_loop_run();
out_control:
	td_control_close();
out_loop:
	td_loop_exit();
	return err;
}

/* The parent leaves when the child is ready, or has failed. */
static FILE *td_main_daemonise(void)
{
	char line[128];
	int fds[2];
	FILE *file;
	pid_t pid;

	pid = pipe2(fds, O_CLOEXEC) ? -1 : fork();
	if (pid < 0) {
		td_err("daemonising: %s", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (pid) {
		close(fds[1]);
		file = fdopen(fds[0], "r");
		if (!file || !fgets(line, sizeof(line), file))
			_exit(EXIT_FAILURE);
		fputs(line, stdout);
		exit(fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	close(fds[0]);
	setsid();
	if (chdir("/"))
		td_warn("/: %s", strerror(errno));
	file = fdopen(fds[1], "w");
	if (!file)
		exit(EXIT_FAILURE);
	return file;
}

static int td_main_level(const char *name)
{
	if (!strcmp(name, "error"))
		return LOG_ERR;
	if (!strcmp(name, "warning"))
		return LOG_WARNING;
	if (!strcmp(name, "info"))
		return LOG_INFO;
	if (!strcmp(name, "debug"))
		return LOG_DEBUG;
	return -1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, 'D' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "user", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int level = LOG_INFO, c;
	bool daemon = true;
	const char *user = getenv("TAPDISK_USER");
	FILE *ready = stdout;

	td_stdio_open();
	while ((c = getopt_long(argc, argv, "Dhl:u:", options, NULL)) != -1) {
		switch (c) {
		case 'D':
			daemon = false;
			break;
		case 'l':
			level = td_main_level(optarg);
			if (level >= 0)
				break;
			fprintf(stderr, "tapdisk2: log level %s: must be error, warning, info or debug\n",
				optarg);
			return 2;
		case 'u':
			user = optarg;
			break;
		case 'h':
			fputs(td_usage, stdout);
			return 0;
		case 'V':
			puts("tapdisk2 (xen-pvio) " TD_VERSION);
			return 0;
		default:
			fputs(td_usage, stderr);
			return 2;
		}
	}
	td_sandbox_user(user && *user ? user : NULL);
	if (optind < argc) {
		fputs(td_usage, stderr);
		return 2;
	}
	td_log_open("tapdisk2", 0, level);
	if (daemon)
		ready = td_main_daemonise();
	return td_main_serve(ready, daemon, level) ? EXIT_FAILURE : EXIT_SUCCESS;
}
