// SPDX-License-Identifier: GPL-2.0
/* tap-ctl: the life of a tap, with tapdisks that do and do not behave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tapctl_fake.h"

#define RUN(f, ...) tapctl_run(f, __VA_ARGS__, NULL)

static void tapctl_assert_node(struct tapctl_fake *f, const char *name,
			       mode_t mode, unsigned int major_nr,
			       unsigned int minor_nr)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, mode);
	assert_int_equal(major(st.st_rdev), major_nr);
	assert_int_equal(minor(st.st_rdev), minor_nr);
}

static void tapctl_wait_log(struct tapctl_fake *f, const char *line)
{
	int i;

	for (i = 0; i < 500 && !strstr(tapctl_read(f, "log"), line); i++)
		tap_sleep(10);
	assert_non_null(strstr(tapctl_read(f, "log"), line));
}

/* As after the module was loaded: nothing is left of what a test did. */
static void tapctl_assert_clean(struct tapctl_fake *f)
{
	int *numbers;

	assert_false(tapctl_exists(f, "sys/class/blktap2/blktap0"));
	assert_false(tapctl_exists(f, "dev/xen/blktap-2/blktap0"));
	assert_false(tapctl_exists(f, "dev/xen/blktap-2/tapdev0"));
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	assert_int_equal(tap_list_sockets(&f->env, &numbers), 0);
}

static void tapctl_allocate_free(void **state)
{
	struct tapctl_fake *f = *state;
	char want[200], device[128];

	assert_int_equal(RUN(f, "allocate"), 0);
	snprintf(want, sizeof(want), "%s/dev/xen/blktap-2/tapdev0\n", f->root);
	assert_string_equal(f->out, want);
	tapctl_assert_node(f, "dev/xen/blktap-2/control", S_IFCHR | 0600, 10,
			   250);
	tapctl_assert_node(f, "dev/xen/blktap-2/blktap0", S_IFCHR | 0600, 240,
			   0);
	tapctl_assert_node(f, "dev/xen/blktap-2/tapdev0", S_IFBLK | 0600, 252,
			   0);
	snprintf(device, sizeof(device), "%s/mydisk", f->root);
	assert_int_equal(RUN(f, "allocate", "-d", device), 0);
	snprintf(want, sizeof(want), "%s\n", device);
	assert_string_equal(f->out, want);
	tapctl_assert_node(f, "mydisk", S_IFBLK | 0600, 252, 1);
	assert_int_equal(RUN(f, "free", "-m", "1"), 0);
	assert_int_equal(RUN(f, "free", "-m", "0"), 0);
	assert_string_equal(f->out, "");
	tapctl_assert_clean(f);
	assert_int_equal(RUN(f, "free", "-m", "0"), ENODEV);
	assert_non_null(strstr(f->err, "free: cannot free minor 0: No such device"));
}

/* Nodes of an earlier load of the module are replaced, files are not. */
static void tapctl_allocate_old_nodes(void **state)
{
	struct tapctl_fake *f = *state;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/control", f->env.dev);
	assert_int_equal(mknod(path, S_IFCHR | 0600, makedev(10, 1)), 0);
	snprintf(path, sizeof(path), "%s/tapdev0", f->env.dev);
	assert_int_equal(mknod(path, S_IFBLK | 0600, makedev(7, 1)), 0);
	assert_int_equal(RUN(f, "allocate"), 0);
	tapctl_assert_node(f, "dev/xen/blktap-2/control", S_IFCHR | 0600, 10,
			   250);
	tapctl_assert_node(f, "dev/xen/blktap-2/tapdev0", S_IFBLK | 0600, 252,
			   0);
	assert_int_equal(RUN(f, "free", "-m", "0"), 0);
	tapctl_write(f, "precious", "text");
	snprintf(path, sizeof(path), "%s/precious", f->root);
	assert_int_equal(RUN(f, "create", "-a", "vhd:/x", "-d", path), EEXIST);
	assert_string_equal(tapctl_read(f, "precious"), "text");
	tapctl_assert_clean(f);
}

static void tapctl_create_destroy(void **state)
{
	struct tapctl_fake *f = *state;
	char want[200], log[200], pid[16];

	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/x.vhd"), 0);
	snprintf(want, sizeof(want), "%s/dev/xen/blktap-2/tapdev0\n", f->root);
	assert_string_equal(f->out, want);
	assert_string_equal(f->err, "");
	assert_string_equal(tapctl_read(f, "log"),
			    "start\nATTACH 0\nOPEN 0 vhd:/a/x.vhd flags=0 prt=0 timeout=0 secondary=\n");
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	/* What block-tap does to remove it. */
	assert_int_equal(RUN(f, "list", "-t", "vhd", "-f", "/a/x.vhd"), 0);
	assert_int_equal(sscanf(f->out, "pid=%15s minor=0 ", pid), 1);
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "0"), 0);
	assert_string_equal(f->out, "");
	assert_string_equal(f->err, "");
	tapctl_wait_log(f, "end\n");
	snprintf(log, sizeof(log), "%s", tapctl_read(f, "log"));
	assert_non_null(strstr(log, "CLOSE 0\nDETACH 0\n"));
	tapctl_assert_clean(f);
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "0"), ENODEV);
	assert_non_null(strstr(f->err, "no tap with minor 0"));
}

static void tapctl_create_options(void **state)
{
	struct tapctl_fake *f = *state;

	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/x", "-R", "-D", "-e",
			     "7", "-r", "-2", "vhd:/b", "-s", "-t", "65535"),
			 0);
	assert_non_null(strstr(tapctl_read(f, "log"),
			       "OPEN 0 vhd:/a/x flags=0x3e2 prt=7 timeout=65535 secondary=vhd:/b\n"));
	/* What there is to know for a recovery. */
	assert_string_equal(tapctl_read(f, "run/tap0.opened"),
			    "flags=0x3e2 timeout=65535 paused=0 parent=7 secondary=vhd:/b\n");
	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/x", "-s"), EINVAL);
	assert_non_null(strstr(f->err, "-s: needs"));
	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/x", "-2", "/b"),
			 EINVAL);
	assert_non_null(strstr(f->err, "-2 /b: not of the form"));
	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/x", "-2", "vhd:/a/x"),
			 EINVAL);
	assert_non_null(strstr(f->err, "another image"));
}

/* The steps of the newer block-tap. */
static void tapctl_steps(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16];

	assert_int_equal(RUN(f, "allocate"), 0);
	assert_int_equal(RUN(f, "spawn"), 0);
	assert_int_equal(sscanf(f->out, "%15s\n", pid), 1);
	assert_true(tapctl_alive(atoi(pid)));
	assert_int_equal(RUN(f, "attach", "-p", pid, "-m", "0"), 0);
	assert_int_equal(RUN(f, "attach", "-p", pid, "-m", "0"), EEXIST);
	assert_string_equal(f->err,
			    strstr(f->err, "tap-ctl: attach: cannot attach minor 0 to tapdisk "));
	/* What a tapdisk says cannot drive the terminal. */
	assert_non_null(strstr(f->err, "File exists (fake ?[1mtapdisk)\n"));
	assert_int_equal(RUN(f, "free", "-m", "0"), EBUSY);
	assert_int_equal(RUN(f, "open", "-p", pid, "-m", "0", "-a", "aio:/x"),
			 0);
	assert_int_equal(RUN(f, "detach", "-p", pid, "-m", "0"), EBUSY);
	assert_int_equal(RUN(f, "close", "-p", pid, "-m", "0"), 0);
	assert_int_equal(RUN(f, "close", "-p", pid, "-m", "0"), EINVAL);
	assert_int_equal(RUN(f, "detach", "-p", pid, "-m", "0"), 0);
	assert_int_equal(RUN(f, "free", "-m", "0"), 0);
	tapctl_wait_log(f, "end\n");
	tapctl_assert_clean(f);
	assert_int_equal(RUN(f, "attach", "-p", pid, "-m", "0"), ENOENT);
	assert_non_null(strstr(f->err, "no such tapdisk"));
}

static void tapctl_create_undo(struct tapctl_fake *f, int status,
			       const char *cause)
{
	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/x", "-R"), status);
	assert_string_equal(f->out, "");
	assert_non_null(strstr(f->err, cause));
	tapctl_assert_clean(f);
}

static void tapctl_create_no_open(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_write(f, "fail.OPEN", "2");
	tapctl_create_undo(f, ENOENT, "cannot open vhd:/a/x on minor 0");
}

static void tapctl_create_no_attach(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_write(f, "fail.ATTACH", "12");
	tapctl_create_undo(f, ENOMEM, "cannot attach minor 0");
}

static void tapctl_create_no_spawn(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_write(f, "fail.spawn", "%s", "");
	tapctl_create_undo(f, ECHILD,
			   "did not start, exit status 5: fake tapdisk does not like it here");
	setenv("TAPDISK", "/nonexistent/tapdisk2", 1);
	tapctl_create_undo(f, ENOENT,
			   "cannot execute /nonexistent/tapdisk2: No such file or directory");
	/* TAPDISK2 is the older name. */
	unsetenv("TAPDISK");
	setenv("TAPDISK2", "/bin/true", 1);
	tapctl_create_undo(f, ECHILD, "/bin/true did not start");
}

static void tapctl_create_dying(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_write(f, "manner", "%d", TAPCTL_DYING);
	tapctl_create_undo(f, ECONNRESET, "it ended before it answered");
}

static void tapctl_create_garbage(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_write(f, "manner", "%d", TAPCTL_GARBAGE);
	tapctl_create_undo(f, EPROTO, "answer not understood");
}

static void tapctl_destroy_dead(void **state)
{
	struct tapctl_fake *f = *state;
	int status;
	pid_t t;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	t = tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1);
	kill(t, SIGKILL);
	assert_int_equal(waitpid(t, &status, 0), t);
	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	assert_int_equal(RUN(f, "destroy", "-p", "0", "-m", "0"), 0);
	/* Its socket, too. */
	tapctl_assert_clean(f);
}

/* Which pid is told does not matter when that process is gone. */
static void tapctl_destroy_recovered(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1);
	assert_int_equal(RUN(f, "destroy", "-p", "4194303", "-m", "0"), 0);
	assert_string_equal(tapctl_read(f, "log"), "CLOSE 0\nDETACH 0\n");
	tapctl_assert_clean(f);
}

/* But a tapdisk that lives and serves another tap is not touched. */
static void tapctl_destroy_wrong(void **state)
{
	struct tapctl_fake *f = *state;
	pid_t mine, other;
	char pid[16];

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	tapctl_tap(f, 1, "vhd:/a/y", "running", 0);
	tapctl_tap(f, 2, NULL, "no-disk", 0);
	mine = tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1);
	other = tapctl_tapdisk(f, TAPCTL_GOOD, 1, -1);
	snprintf(pid, sizeof(pid), "%d", other);
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "0"), EINVAL);
	assert_non_null(strstr(f->err, "not by tapdisk"));
	/* A tap that nobody serves. */
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "2"), 0);
	assert_true(tapctl_alive(mine));
	assert_true(tapctl_alive(other));
	assert_string_equal(tapctl_read(f, "log"), "");
	/* A process that is no tapdisk at all is no obstacle, nor harmed. */
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "0"), 0);
}

static void tapctl_destroy_attached(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_tap(f, 0, NULL, "no-disk", 0);
	tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1);
	assert_int_equal(RUN(f, "destroy", "-p", "0", "-m", "0"), 0);
	assert_string_equal(f->err, "");
	assert_string_equal(tapctl_read(f, "log"), "DETACH 0\n");
}

static void tapctl_destroy_stuck(void **state)
{
	struct tapctl_fake *f = *state;
	int64_t start;
	char pid[16];
	pid_t t;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	t = tapctl_tapdisk(f, TAPCTL_STUCK, 0, -1);
	snprintf(pid, sizeof(pid), "%d", t);
	start = tap_now();
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "0", "-t", "1"),
			 0);
	assert_true(tap_now() - start >= 1000);
	/* It is not asked to detach, for which it would have half a minute. */
	assert_true(tap_now() - start < 20000);
	assert_non_null(strstr(f->err, "no answer within 3 s, nor to another request"));
	assert_non_null(strstr(f->err, "killing tapdisk"));
	assert_false(tapctl_alive(t));
	tapctl_assert_clean(f);
}

/* What a tapdisk does that does not answer in time. */
static void tapctl_silent(void **state)
{
	static const struct {
		char state;
		const char *wchan;
		const char *want;
	} cases[] = {
		{ 'D', "rpc_wait_bit_killable",
		  "it waits in the kernel in rpc_wait_bit_killable, probably for its storage" },
		{ 'D', "0", "it waits in the kernel, probably" },
		{ 'T', "do_signal_stop", "lets it go on" },
		{ 'S', "futex_wait_queue", "it hangs in futex_wait_queue" },
		{ 'R', "0", "it is busy" },
		{ 'Z', "0", "it has ended" },
	};
	enum { n = sizeof(cases) / sizeof(cases[0]) };
	struct td_ctl_msg msg = { .type = TD_CTL_CLOSE };
	struct tapctl_fake *f = *state;
	char text[TAP_TEXT_MAX], name[128];
	pid_t t[n + 1], child[n];
	unsigned int i;
	int status;

	for (i = 0; i <= n; i++)
		tapctl_tap(f, i, "vhd:/a/x", "running", 0);
	for (i = 0; i < n; i++) {
		t[i] = tapctl_tapdisk(f, TAPCTL_STUCK, i, -1);
		snprintf(name, sizeof(name), "%s/proc/%d", f->root, t[i]);
		tap_mkdirs(name, 0755);
		/* The name of a process is its own choice. */
		snprintf(name, sizeof(name), "proc/%d/stat", t[i]);
		tapctl_write(f, name, "%d (a) S (b) %c 1 1\n", t[i],
			     cases[i].state);
		snprintf(name, sizeof(name), "proc/%d/wchan", t[i]);
		tapctl_write(f, name, "%s", cases[i].wchan);
		child[i] = fork();
		if (child[i])
			continue;
		status = tap_image_call(&f->env, t[i], &msg, 0, text);
		_exit(status != -ETIMEDOUT ||
		      !strstr(text, "no answer within 0 s, nor to another request: ") ||
		      !strstr(text, cases[i].want));
	}
	t[n] = tapctl_tapdisk(f, TAPCTL_SLOW, n, -1);
	assert_int_equal(tap_image_call(&f->env, t[n], &msg, 0, text),
			 -ETIMEDOUT);
	assert_non_null(strstr(text, "it answers other requests: it is slow"));
	for (i = 0; i < n; i++) {
		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
	for (i = 0; i <= n; i++) {
		kill(t[i], SIGKILL);
		waitpid(t[i], NULL, 0);
	}
}

static void tapctl_destroy_dying(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	tapctl_tapdisk(f, TAPCTL_DYING, 0, -1);
	assert_int_equal(RUN(f, "destroy", "-p", "0", "-m", "0"), 0);
	tapctl_assert_clean(f);
}

static void tapctl_destroy_garbage(void **state)
{
	struct tapctl_fake *f = *state;
	pid_t t;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	t = tapctl_tapdisk(f, TAPCTL_GARBAGE, 0, -1);
	assert_int_equal(RUN(f, "destroy", "-p", "0", "-m", "0"), 0);
	assert_false(tapctl_alive(t));
	tapctl_assert_clean(f);
}

/* A disk in use is waited for, and then left as it is. */
static void tapctl_destroy_in_use(void **state)
{
	struct tapctl_fake *f = *state;
	int64_t start;
	pid_t t;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	t = tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1);
	tapctl_write(f, "fail.CLOSE", "16");
	start = tap_now();
	assert_int_equal(RUN(f, "destroy", "-p", "0", "-m", "0", "-t", "1"),
			 EBUSY);
	assert_true(tap_now() - start >= 900);
	assert_non_null(strstr(f->err, "the disk is in use"));
	assert_true(tapctl_alive(t));
	assert_true(tapctl_exists(f, "sys/class/blktap2/blktap0"));
	/* Two refusals, then it goes. */
	tapctl_write(f, "fail.CLOSE", "16 2");
	assert_int_equal(RUN(f, "destroy", "-p", "0", "-m", "0"), 0);
	tapctl_assert_clean(f);
}

/* Who waits for a lock does not take the next tap with the same minor. */
static void tapctl_destroy_raced(void **state)
{
	struct tapctl_fake *f = *state;
	char line[200];
	int lock;
	pid_t pid;

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	lock = tap_sysfs_lock(&f->env, 0, 0);
	assert_true(lock >= 0);
	pid = fork();
	if (!pid) {
		close(lock);
		_exit(RUN(f, "destroy", "-p", "0", "-m", "0"));
	}
	tap_sleep(300);
	/* Keep the old folder, so that its inode is not the new one's. */
	snprintf(line, sizeof(line), "mv %s/blktap0 %s/old",
		 "$TAPCTL_FAKE_ROOT/sys/class/blktap2", f->root);
	assert_int_equal(system(line), 0);
	tapctl_tap(f, 0, "vhd:/a/y", "running", 0);
	close(lock);
	assert_int_equal(waitpid(pid, &lock, 0), pid);
	assert_int_equal(WEXITSTATUS(lock), ENODEV);
	assert_true(tapctl_exists(f, "sys/class/blktap2/blktap0"));
}

static void tapctl_close(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16];

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	snprintf(pid, sizeof(pid), "%d",
		 tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1));
	tapctl_write(f, "fail.CLOSE", "16 1");
	assert_int_equal(RUN(f, "close", "-p", pid, "-m", "0", "-t", "0"),
			 EBUSY);
	tapctl_write(f, "fail.CLOSE", "11 2");
	assert_int_equal(RUN(f, "close", "-p", pid, "-m", "0"), 0);
	assert_int_equal(RUN(f, "open", "-p", pid, "-m", "0", "-a", "aio:/x",
			     "-R"), 0);
	assert_int_equal(RUN(f, "close", "-p", pid, "-m", "0", "-f"), 0);
	assert_string_equal(tapctl_read(f, "log"),
			    "CLOSE 0\nCLOSE 0\nCLOSE 0\nCLOSE 0\n"
			    "OPEN 0 aio:/x flags=0x2 prt=0 timeout=0 secondary=\n"
			    "FORCE_SHUTDOWN 0\n");
	assert_false(tapctl_exists(f, "run/tap0.opened"));
}

static void tapctl_pause(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16];

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	snprintf(pid, sizeof(pid), "%d",
		 tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1));
	tapctl_write(f, "fail.PAUSE", "5");
	assert_int_equal(RUN(f, "pause", "-p", pid, "-m", "0"), EIO);
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	tapctl_write(f, "fail.PAUSE", "11 2");
	assert_int_equal(RUN(f, "pause", "-p", pid, "-m", "0", "-t", "60"), 0);
	assert_string_equal(f->out, "");
	assert_non_null(strstr(tapctl_read(f, "run/tap0.opened"), "paused=1"));
	assert_int_equal(RUN(f, "unpause", "-p", pid, "-m", "0", "-a",
			     "vhd:/a/new", "-2", "vhd:/b"), 0);
	assert_non_null(strstr(tapctl_read(f, "log"),
			       "RESUME 0 vhd:/a/new flags=0x80 prt=0 timeout=0 secondary=vhd:/b\n"));
	assert_string_equal(tapctl_read(f, "run/tap0.opened"),
			    "flags=0x80 timeout=0 paused=0 parent=0 secondary=vhd:/b\nopened=vhd:/a/x\n");
	/* A mirror takes the place of a standby, a new image that of all. */
	tapctl_write(f, "run/tap0.opened",
		     "flags=0x3c0 timeout=0 paused=1 parent=7 secondary=vhd:/b\n");
	assert_int_equal(RUN(f, "unpause", "-p", pid, "-m", "0", "-2",
			     "vhd:/c"), 0);
	assert_string_equal(tapctl_read(f, "run/tap0.opened"),
			    "flags=0x2c0 timeout=0 paused=0 parent=7 secondary=vhd:/c\n");
	assert_int_equal(RUN(f, "unpause", "-p", pid, "-m", "0", "-a",
			     "vhd:/a/new"), 0);
	assert_string_equal(tapctl_read(f, "run/tap0.opened"),
			    "flags=0x200 timeout=0 paused=0 parent=0 secondary=\nopened=vhd:/a/x\n");
	tapctl_write(f, "fail.RESUME", "2");
	assert_int_equal(RUN(f, "unpause", "-p", pid, "-m", "0"), ENOENT);
	assert_non_null(strstr(f->err, "cannot unpause minor 0"));
}

/* A pause that fails leaves nothing that would keep recover away. */
static void tapctl_pause_timeout(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16];
	pid_t child;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	child = tapctl_tapdisk(f, TAPCTL_STUCK, 0, -1);
	snprintf(pid, sizeof(pid), "%d", child);
	assert_int_equal(RUN(f, "pause", "-p", pid, "-m", "0", "-t", "0"),
			 ETIMEDOUT);
	assert_false(tapctl_exists(f, "run/tap0.opened"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	assert_int_equal(RUN(f, "recover", "-m", "0"), 0);

	/* Nor does one whose tap-ctl was killed before it knew of it. */
	tapctl_tap(f, 1, "vhd:/a/y", "running", 0);
	child = tapctl_tapdisk(f, TAPCTL_STUCK, 1, -1);
	snprintf(pid, sizeof(pid), "%d", child);
	fflush(stdout);
	if (!fork()) {
		alarm(1);
		RUN(f, "pause", "-p", pid, "-m", "1");
		_exit(0);
	}
	while (waitpid(-1, NULL, 0) > 0 && !tapctl_exists(f, "run/tap1.opened"))
		;
	assert_true(tapctl_exists(f, "run/tap1.opened"));
	kill(child, SIGKILL);
	tapctl_tap(f, 1, "vhd:/a/y", "waiting", 0);
	assert_int_equal(RUN(f, "recover", "-m", "1"), 0);
	assert_false(tapctl_exists(f, "run/tap1.opened"));
}

/* The tapdisk died during a pause: unpause starts another one. */
static void tapctl_unpause_dead(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	tapctl_write(f, "run/tap0.opened",
		     "flags=0x82 timeout=7 paused=1 parent=0 secondary=vhd:/b\n");
	assert_int_equal(RUN(f, "recover", "-m", "0"), EBUSY);
	assert_non_null(strstr(f->err, "unpause it"));
	tapctl_write(f, "fail.OPEN", "2");
	assert_int_equal(RUN(f, "unpause", "-p", "4194303", "-m", "0", "-a",
			     "vhd:/a/new"), ENOENT);
	assert_non_null(strstr(tapctl_read(f, "run/tap0.opened"), "paused=1"));
	tapctl_write(f, "fail.OPEN", "0");
	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	assert_int_equal(RUN(f, "unpause", "-p", "4194303", "-m", "0", "-a",
			     "vhd:/a/new"), 0);
	assert_non_null(strstr(tapctl_read(f, "log"),
			       "OPEN 0 vhd:/a/new flags=0x2 prt=0 timeout=7 secondary=\n"));
	assert_string_equal(tapctl_read(f, "run/tap0.opened"),
			    "flags=0x2 timeout=7 paused=0 parent=0 secondary=\nopened=vhd:/a/x\n");
	assert_int_equal(RUN(f, "unpause", "-p", "4194303", "-m", "9"), ENODEV);
}

/* Whoever opened it finds it by that name, whatever its image is now. */
static void tapctl_opened_name(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16], want[100];

	assert_int_equal(RUN(f, "create", "-a", "vhd:/a/disk"), 0);
	assert_int_equal(RUN(f, "list"), 0);
	assert_int_equal(sscanf(f->out, "pid=%15s", pid), 1);
	assert_int_equal(RUN(f, "pause", "-p", pid, "-m", "0"), 0);
	assert_int_equal(RUN(f, "unpause", "-p", pid, "-m", "0", "-a",
			     "vhd:/a/child"), 0);
	snprintf(want, sizeof(want),
		 "pid=%s minor=0 state=0 args=vhd:/a/child\n", pid);
	assert_int_equal(RUN(f, "list", "-t", "vhd", "-f", "/a/disk"), 0);
	assert_string_equal(f->out, want);
	assert_int_equal(RUN(f, "list", "-t", "vhd", "-f", "/a/child"), 0);
	assert_string_equal(f->out, want);
	assert_int_equal(RUN(f, "list", "-t", "aio", "-f", "/a/disk"), 0);
	assert_string_equal(f->out, "");
	assert_int_equal(RUN(f, "list", "--json"), 0);
	assert_non_null(strstr(f->out, "\"opened\": \"vhd:/a/disk\""));
	/* A second snapshot, and a recovery in between. */
	kill(atoi(pid), SIGKILL);
	while (tapctl_alive(atoi(pid)))
		tap_sleep(5);
	tapctl_tap(f, 0, "vhd:/a/child", "waiting", 0);
	assert_int_equal(RUN(f, "recover", "-m", "0"), 0);
	assert_int_equal(RUN(f, "list", "-f", "/a/disk"), 0);
	assert_int_equal(sscanf(f->out, "pid=%15s", pid), 1);
	assert_int_equal(RUN(f, "pause", "-p", pid, "-m", "0"), 0);
	assert_int_equal(RUN(f, "unpause", "-p", pid, "-m", "0", "-a",
			     "vhd:/a/grandchild"), 0);
	assert_int_equal(RUN(f, "list", "-t", "vhd", "-f", "/a/disk"), 0);
	assert_non_null(strstr(f->out, "args=vhd:/a/grandchild\n"));
	/* The next life of the minor has nothing of it. */
	assert_int_equal(RUN(f, "destroy", "-p", pid, "-m", "0"), 0);
	assert_false(tapctl_exists(f, "run/tap0.opened"));
}

static void tapctl_stats(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16];

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	snprintf(pid, sizeof(pid), "%d",
		 tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1));
	assert_int_equal(RUN(f, "stats", "-p", pid, "-m", "0"), 0);
	assert_string_equal(f->out,
			    "{ \"name\": \"vhd:/a/x.vhd\", \"secs\": [ 8, 16 ], \"images\": [  ] }\n");
	assert_int_equal(RUN(f, "stats", "-p", pid, "-m", "0", "--json"), 0);
	assert_non_null(strstr(f->out, "\n  \"name\": \"vhd:/a/x.vhd\",\n"));
	assert_int_equal(RUN(f, "stats", "-p", pid, "-m", "9"), ENODEV);
	assert_string_equal(f->out, "");
	assert_int_equal(RUN(f, "stats", "-p", "4194303", "-m", "0"), ENOENT);
}

static void tapctl_stats_bad(void **state)
{
	struct tapctl_fake *f = *state;
	const enum tapctl_manner manners[] = {
		TAPCTL_SHORT, TAPCTL_GARBAGE, TAPCTL_REFUSING, TAPCTL_DYING,
	};
	const int want[] = { ECONNRESET, EPROTO, EBUSY, ECONNRESET };
	char pid[16];
	size_t i;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	for (i = 0; i < 4; i++) {
		snprintf(pid, sizeof(pid), "%d",
			 tapctl_tapdisk(f, manners[i], 0, -1));
		assert_int_equal(RUN(f, "stats", "-p", pid, "-m", "0"),
				 want[i]);
		assert_string_equal(f->out, "");
	}
	snprintf(pid, sizeof(pid), "%d",
		 tapctl_tapdisk(f, TAPCTL_NO_JSON, 0, -1));
	assert_int_equal(RUN(f, "stats", "-p", pid, "-m", "0", "--json"),
			 EPROTO);
	assert_non_null(strstr(f->err, "not JSON"));
}

static void tapctl_recover(void **state)
{
	struct tapctl_fake *f = *state;
	char line[64];
	int *pids;

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	/* What the dead one left. */
	tapctl_write(f, "run/ctl4194304", "%s", "");
	assert_int_equal(RUN(f, "recover", "-m", "0"), 0);
	assert_string_equal(f->out, "");
	assert_string_equal(f->err, "");
	assert_string_equal(tapctl_read(f, "log"),
			    "start\nATTACH 0\nOPEN 0 vhd:/a/x flags=0 prt=0 timeout=0 secondary=\n");
	/* Once is enough. */
	assert_int_equal(RUN(f, "recover", "-m", "0"), 0);
	assert_int_equal(tap_list_sockets(&f->env, &pids), 1);
	snprintf(line, sizeof(line), "pid=%d minor=0 state=0 args=vhd:/a/x\n",
		 pids[0]);
	free(pids);
	assert_int_equal(RUN(f, "list"), 0);
	assert_string_equal(f->out, line);
}

static void tapctl_recover_flags(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	tap_mkdirs(f->dirs[1], 0755);
	assert_int_equal(system("mkdir -p $TAPCTL_FAKE_ROOT/sys/dev/block/252:0"), 0);
	tapctl_write(f, "sys/dev/block/252:0/ro", "1\n");
	tapctl_write(f, "run/tap0.opened",
		     "flags=0x2c0 timeout=9 paused=0 parent=7 secondary=vhd:/b c\n");
	assert_int_equal(RUN(f, "recover", "-m", "0"), 0);
	assert_non_null(strstr(tapctl_read(f, "log"),
			       "OPEN 0 vhd:/a/x flags=0x2c2 prt=7 timeout=9 secondary=vhd:/b c\n"));
}

/* What a mirror that failed has is old: no tapdisk gets its name again. */
static void tapctl_recover_nomirror(void **state)
{
	struct tapctl_fake *f = *state;
	int *pids, i;
	char pid[16];

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	tapctl_write(f, "run/tap0.nomirror", "%s", "");
	for (i = 0; i < 2; i++) {
		tapctl_write(f, "run/tap0.opened",
			     "flags=0x80 timeout=0 paused=0 parent=0 secondary=vhd:/b\n");
		assert_int_equal(RUN(f, "recover", "-m", "0"), 0);
		assert_string_equal(tapctl_read(f, "run/tap0.opened"), i ?
				    "flags=0x80 timeout=0 paused=0 parent=0 secondary=vhd:/b\n" :
				    "flags=0x80 timeout=0 paused=0 parent=0 secondary=\n");
	}
	assert_non_null(strstr(tapctl_read(f, "log"),
			       "OPEN 0 vhd:/a/x flags=0x80 prt=0 timeout=0 secondary=\n"));
	/* Nor does a tap that is opened anew know of it. */
	assert_int_equal(tap_list_sockets(&f->env, &pids), 1);
	snprintf(pid, sizeof(pid), "%d", pids[0]);
	free(pids);
	assert_int_equal(RUN(f, "close", "-p", pid, "-m", "0"), 0);
	assert_false(tapctl_exists(f, "run/tap0.nomirror"));
}

static void tapctl_recover_not(void **state)
{
	struct tapctl_fake *f = *state;

	assert_int_equal(RUN(f, "recover", "-m", "0"), ENODEV);
	tapctl_tap(f, 0, NULL, "no-disk", 0);
	assert_int_equal(RUN(f, "recover", "-m", "0"), EINVAL);
	assert_non_null(strstr(f->err, "its state is \"no-disk\""));
	tapctl_tap(f, 0, NULL, "waiting", 0);
	assert_int_equal(RUN(f, "recover", "-m", "0"), ENOENT);
	/* Paused: its image is being changed by somebody. */
	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	tapctl_write(f, "run/tap0.opened",
		     "flags=0 timeout=0 paused=1 parent=0 secondary=\n");
	assert_int_equal(RUN(f, "recover", "-m", "0"), EBUSY);
	assert_non_null(strstr(f->err, "it is paused"));
	tapctl_write(f, "run/tap0.opened", "what?");
	assert_int_equal(RUN(f, "recover", "-m", "0"), EINVAL);
	assert_string_equal(tapctl_read(f, "log"), "");
}

/* The image's lock may need a moment to go away, and only a moment. */
static void tapctl_recover_locked(void **state)
{
	struct tapctl_fake *f = *state;
	int *pids;

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	tapctl_write(f, "fail.OPEN", "16 3");
	assert_int_equal(RUN(f, "recover", "-m", "0"), 0);
	assert_string_equal(f->err, "");
	tapctl_tap(f, 1, "vhd:/a/y", "waiting", 0);
	tapctl_write(f, "fail.OPEN", "2");
	assert_int_equal(RUN(f, "recover", "-m", "1"), ENOENT);
	/* No tapdisk without a tap stays behind. */
	assert_int_equal(tap_list_sockets(&f->env, &pids), 1);
	free(pids);
	assert_true(tapctl_exists(f, "sys/class/blktap2/blktap1"));
}

static void tapctl_recover_all(void **state)
{
	struct tapctl_fake *f = *state;
	const char *log;

	tapctl_tap(f, 0, "vhd:/a/x", "waiting", 0);
	tapctl_tap(f, 1, "vhd:/a/y", "failed", 0);
	tapctl_tap(f, 2, NULL, "waiting", 0);
	tapctl_tap(f, 3, "vhd:/a/z", "waiting", 0);
	tapctl_tap(f, 4, NULL, "no-disk", 0);
	assert_int_equal(RUN(f, "recover", "-a"), ENOENT);
	log = tapctl_read(f, "log");
	assert_non_null(strstr(log, "OPEN 0 "));
	assert_non_null(strstr(log, "OPEN 3 "));
	/* Its users have seen errors: up to them. */
	assert_null(strstr(log, "OPEN 1 "));
	assert_int_equal(RUN(f, "recover", "-m", "1"), 0);
	assert_non_null(strstr(tapctl_read(f, "log"), "OPEN 1 "));
}

/* Several at a time: each gets a minor of its own. */
static void tapctl_parallel(void **state)
{
	struct tapctl_fake *f = *state;
	int i, *pids, status;
	pid_t pid[8];

	for (i = 0; i < 8; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(RUN(f, "create", "-a", "vhd:/a/x"));
	}
	for (i = 0; i < 8; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(tap_list_sockets(&f->env, &pids), 8);
	free(pids);
	assert_true(tapctl_exists(f, "sys/class/blktap2/blktap7"));
	assert_false(tapctl_exists(f, "sys/class/blktap2/blktap8"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tapctl_setup, \
						 tapctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tapctl_allocate_free),
		TEST(tapctl_allocate_old_nodes),
		TEST(tapctl_create_destroy),
		TEST(tapctl_create_options),
		TEST(tapctl_steps),
		TEST(tapctl_create_no_open),
		TEST(tapctl_create_no_attach),
		TEST(tapctl_create_no_spawn),
		TEST(tapctl_create_dying),
		TEST(tapctl_create_garbage),
		TEST(tapctl_destroy_dead),
		TEST(tapctl_destroy_recovered),
		TEST(tapctl_destroy_wrong),
		TEST(tapctl_destroy_attached),
		TEST(tapctl_destroy_stuck),
		TEST(tapctl_silent),
		TEST(tapctl_destroy_dying),
		TEST(tapctl_destroy_garbage),
		TEST(tapctl_destroy_in_use),
		TEST(tapctl_destroy_raced),
		TEST(tapctl_close),
		TEST(tapctl_pause),
		TEST(tapctl_pause_timeout),
		TEST(tapctl_unpause_dead),
		TEST(tapctl_opened_name),
		TEST(tapctl_stats),
		TEST(tapctl_stats_bad),
		TEST(tapctl_recover),
		TEST(tapctl_recover_flags),
		TEST(tapctl_recover_nomirror),
		TEST(tapctl_recover_not),
		TEST(tapctl_recover_locked),
		TEST(tapctl_recover_all),
		TEST(tapctl_parallel),
	};

	tapctl_fake_main();
	return cmocka_run_group_tests_name("tapctl_tap", tests, NULL, NULL);
}
