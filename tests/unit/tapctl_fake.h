/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A world for tap-ctl: procfs, sysfs, nodes and sockets in a folder of their
 * own, a kernel that allocates and frees minors there, and tapdisks.
 *
 * A fake tapdisk is the test program itself, started again with the folder in
 * the environment, so that tap-ctl can spawn it. It logs each request to
 * "log" and plays the kernel's part in sysfs: attach sets task, open sets
 * name and state, resume the size of the disk if the image is larger. What it
 * does wrong is told by files: "fail.ATTACH" and so on hold the errno to refuse
 * that request with; if there is "fail.GROW", the size stays. The module can be
 * loaded if there is a file "module".
 */
#ifndef TAPCTL_FAKE_H
#define TAPCTL_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tap-ctl/tap_ctl.h"

enum tapctl_manner {
	/* Behaves. */
	TAPCTL_GOOD,
	/* Takes connections and says nothing. */
	TAPCTL_STUCK,
	/* Answers with 543 bytes. */
	TAPCTL_SHORT,
	/* Answers with noise. */
	TAPCTL_GARBAGE,
	/* Answers everything with EBUSY. */
	TAPCTL_REFUSING,
	/* LIST goes on and on, with taps that do not exist. */
	TAPCTL_ENDLESS,
	/* Dies when it gets a request. */
	TAPCTL_DYING,
	/* STATS: text that is no JSON. */
	TAPCTL_NO_JSON,
	/* Answers LIST, and nothing else. */
	TAPCTL_SLOW,
};

struct tapctl_fake {
	char root[64];
	char dirs[4][80];
	struct tap_env env;
	/* What the last tapctl_run() printed. */
	char out[8192];
	char err[8192];
};

/* To be called first in main(). Does not return in a fake tapdisk. */
void tapctl_fake_main(void);
int tapctl_setup(void **state);
int tapctl_teardown(void **state);

/* Carry out a command, the list of words ends with NULL. Return: status. */
int tapctl_run(struct tapctl_fake *f, ...);

/*
 * Told what the fake tapdisk does with an image: TD_CTL_OPEN, before it has
 * opened it, TD_CTL_PAUSE, TD_CTL_RESUME. Return: 0 or errno. May be NULL.
 */
extern int (*tapctl_image)(int type, const char *path);

/* Start a tapdisk that serves the given minors, the list ends with -1. */
pid_t tapctl_tapdisk(struct tapctl_fake *f, enum tapctl_manner manner, ...);
bool tapctl_alive(pid_t pid);
/* A tap as the kernel shows it; task 0: none. */
void tapctl_tap(struct tapctl_fake *f, int minor, const char *name,
		const char *state, int task);

/* The disk of a tap as the kernel shows it, so many sectors of 512 bytes. */
void tapctl_disk(struct tapctl_fake *f, int minor, uint64_t sectors, bool ro);

void tapctl_write(struct tapctl_fake *f, const char *name, const char *fmt,
		  ...) __attribute__((format(printf, 3, 4)));
/* Contents of a file, ended by NUL; empty if there is none. */
const char *tapctl_read(struct tapctl_fake *f, const char *name);
bool tapctl_exists(struct tapctl_fake *f, const char *name);

#endif /* TAPCTL_FAKE_H */
