// SPDX-License-Identifier: GPL-2.0
/* tap-ctl list: its output, its filters, and tapdisks that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tapctl_fake.h"

#define RUN(f, ...) tapctl_run(f, __VA_ARGS__, NULL)

static void tapctl_list_empty(void **state)
{
	struct tapctl_fake *f = *state;

	assert_int_equal(RUN(f, "list"), 0);
	assert_string_equal(f->out, "");
	assert_string_equal(f->err, "");
	assert_int_equal(RUN(f, "list", "--json"), 0);
	assert_string_equal(f->out, "[\n]\n");
}

/* Everything that can be in a list: one of each. */
static void tapctl_list_words(void **state)
{
	struct tapctl_fake *f = *state;
	char want[512];
	pid_t idle, busy;

	tapctl_tap(f, 10, "vhd:/a/ten.vhd", "running", 0);
	tapctl_tap(f, 2, "aio:/a/two", "running", 0);
	tapctl_tap(f, 3, NULL, "no-disk", 0);
	tapctl_tap(f, 4, "vhd:/a/dead.vhd", "waiting", 0);
	tapctl_tap(f, 5, NULL, "no-disk", 0);
	busy = tapctl_tapdisk(f, TAPCTL_GOOD, 10, 2, 5, -1);
	idle = tapctl_tapdisk(f, TAPCTL_GOOD, -1);
	assert_true(busy < idle);
	assert_int_equal(RUN(f, "list"), 0);
	snprintf(want, sizeof(want),
		 "pid=%d minor=2 state=0 args=aio:/a/two\n"
		 "pid=%d minor=5 state=0\n"
		 "pid=%d minor=10 state=0 args=vhd:/a/ten.vhd\n"
		 "pid=%d\n"
		 "minor=3\n"
		 "pid=0 minor=4 state=0x1 args=vhd:/a/dead.vhd\n",
		 busy, busy, busy, idle);
	assert_string_equal(f->out, want);
	assert_string_equal(f->err, "");
}

static void tapctl_list_paused(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16], want[128];
	pid_t t;

	tapctl_tap(f, 1, "vhd:/a/x.vhd", "running", 0);
	t = tapctl_tapdisk(f, TAPCTL_GOOD, 1, -1);
	snprintf(pid, sizeof(pid), "%d", t);
	assert_int_equal(RUN(f, "pause", "-p", pid, "-m", "1"), 0);
	assert_int_equal(RUN(f, "list"), 0);
	snprintf(want, sizeof(want),
		 "pid=%d minor=1 state=0x20 args=vhd:/a/x.vhd\n", t);
	assert_string_equal(f->out, want);
}

static void tapctl_list_table(void **state)
{
	struct tapctl_fake *f = *state;
	const struct tap_entry e[] = {
		{ .pid = 4711, .minor = 0, .state = 0,
		  .name = "vhd:/a/b:c.vhd" },
		{ .pid = 0, .minor = 12, .state = 0x21, .name = "aio:/x" },
		{ .pid = 4712, .minor = -1, .state = -1 },
		{ .pid = -1, .minor = 3, .state = -1 },
	};
	FILE *out;
	char path[128];

	snprintf(path, sizeof(path), "%s/table", f->root);
	out = fopen(path, "w");
	tap_list_print(out, &f->env, e, 4, TAP_LIST_TABLE);
	fclose(out);
	assert_string_equal(tapctl_read(f, "table"),
			    "    4711    0    0        vhd /a/b:c.vhd\n"
			    "       0   12 0x21        aio /x\n"
			    "    4712    -    -          - -\n"
			    "       -    3    -          - -\n");
}

static void tapctl_list_json(void **state)
{
	struct tapctl_fake *f = *state;
	struct json_object *all, *tap;
	char text[512], want[512], *p;
	pid_t t;

	tapctl_tap(f, 2, "vhd:/a/~.vhd", "running", 0);
	tapctl_tap(f, 3, NULL, "no-disk", 0);
	t = tapctl_tapdisk(f, TAPCTL_GOOD, 2, -1);
	assert_int_equal(RUN(f, "list", "--json"), 0);
	all = json_tokener_parse(f->out);
	assert_non_null(all);
	assert_int_equal(json_object_array_length(all), 2);
	tap = json_object_array_get_idx(all, 0);
	snprintf(want, sizeof(want),
		 "{'pid':%d,'minor':2,'device':'%s/dev/xen/blktap-2/tapdev2','state':0,%s",
		 t, f->root,
		 "'type':'vhd','path':'/a/~.vhd','kernel_state':'running','mode':'direct'}");
	for (p = want; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	snprintf(text, sizeof(text), "%s",
		 json_object_to_json_string_ext(tap,
						JSON_C_TO_STRING_NOSLASHESCAPE));
	assert_string_equal(text, want);
	tap = json_object_array_get_idx(all, 1);
	assert_false(json_object_object_get_ex(tap, "pid", NULL));
	assert_false(json_object_object_get_ex(tap, "type", NULL));
	json_object_put(all);

	/* Names are any bytes, JSON is not. */
	tapctl_tap(f, 4, "vhd:/a/\xff\xc3\xa9.vhd", "waiting", 0);
	assert_int_equal(RUN(f, "list", "-m", "4", "--json"), 0);
	assert_non_null(strstr(f->out, "\"/a/\xef\xbf\xbd\xc3\xa9.vhd\""));
}

static void tapctl_list_filters(void **state)
{
	struct tapctl_fake *f = *state;
	char want[128], pid[16];
	pid_t t;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	tapctl_tap(f, 1, "aio:/a/x", "running", 0);
	tapctl_tap(f, 2, "vhd:/a/xx", "running", 0);
	tapctl_tap(f, 3, NULL, "no-disk", 0);
	tapctl_tap(f, 4, "vhd:/a/dead", "waiting", 0);
	t = tapctl_tapdisk(f, TAPCTL_GOOD, 0, 1, 2, -1);
	tapctl_tapdisk(f, TAPCTL_GOOD, -1);
	snprintf(want, sizeof(want), "pid=%d minor=0 state=0 args=vhd:/a/x\n",
		 t);
	/* As block-tap asks: one line, and none that has no image. */
	assert_int_equal(RUN(f, "list", "-t", "vhd", "-f", "/a/x"), 0);
	assert_string_equal(f->out, want);
	snprintf(pid, sizeof(pid), "%d", t);
	assert_int_equal(RUN(f, "list", "-p", pid, "-m", "0"), 0);
	assert_string_equal(f->out, want);
	assert_int_equal(RUN(f, "list", "-f", "/a/xx"), 0);
	snprintf(want, sizeof(want), "pid=%d minor=2 state=0 args=vhd:/a/xx\n",
		 t);
	assert_string_equal(f->out, want);
	assert_int_equal(RUN(f, "list", "-t", "vh"), 0);
	assert_string_equal(f->out, "");
	assert_int_equal(RUN(f, "list", "-p", "4194304"), 0);
	assert_string_equal(f->out, "");
	assert_int_equal(RUN(f, "list", "-m", "3"), 0);
	assert_string_equal(f->out, "minor=3\n");
	/* block-tap must find what it has to destroy. */
	assert_int_equal(RUN(f, "list", "-t", "vhd", "-f", "/a/dead"), 0);
	assert_string_equal(f->out,
			    "pid=0 minor=4 state=0x1 args=vhd:/a/dead\n");
	assert_int_equal(RUN(f, "list", "-p", "0"), 0);
	assert_string_equal(f->out,
			    "pid=0 minor=4 state=0x1 args=vhd:/a/dead\n");
}

/* What is not told by the tapdisk is known from sysfs, and quickly. */
static void tapctl_list_bad(struct tapctl_fake *f, enum tapctl_manner manner)
{
	char want[256];
	int64_t start;
	pid_t bad, good;

	tapctl_tap(f, 0, "vhd:/a/bad", "running", 0);
	tapctl_tap(f, 1, "vhd:/a/good", "running", 0);
	bad = tapctl_tapdisk(f, manner, 0, -1);
	good = tapctl_tapdisk(f, TAPCTL_GOOD, 1, -1);
	assert_true(bad < good);
	start = tap_now();
	assert_int_equal(RUN(f, "list"), 0);
	assert_true(tap_now() - start < 4000);
	snprintf(want, sizeof(want),
		 "pid=%d minor=0 args=vhd:/a/bad\n"
		 "pid=%d minor=1 state=0 args=vhd:/a/good\n", bad, good);
	assert_string_equal(f->out, want);
	assert_string_equal(f->err, "");
}

static void tapctl_list_stuck(void **state)
{
	tapctl_list_bad(*state, TAPCTL_STUCK);
}

static void tapctl_list_short(void **state)
{
	tapctl_list_bad(*state, TAPCTL_SHORT);
}

static void tapctl_list_garbage(void **state)
{
	tapctl_list_bad(*state, TAPCTL_GARBAGE);
}

static void tapctl_list_refusing(void **state)
{
	tapctl_list_bad(*state, TAPCTL_REFUSING);
}

static void tapctl_list_dying(void **state)
{
	tapctl_list_bad(*state, TAPCTL_DYING);
}

static void tapctl_list_endless(void **state)
{
	struct tapctl_fake *f = *state;
	char want[128];
	pid_t t;

	tapctl_tap(f, 0, "vhd:/a/x", "running", 0);
	t = tapctl_tapdisk(f, TAPCTL_ENDLESS, 0, -1);
	assert_int_equal(RUN(f, "list"), 0);
	snprintf(want, sizeof(want), "pid=%d minor=0 state=0 args=vhd:/a/x\n",
		 t);
	assert_string_equal(f->out, want);
}

/* Twenty stuck ones cost no more time than one. */
static void tapctl_list_many_stuck(void **state)
{
	struct tapctl_fake *f = *state;
	int64_t start;
	int i, lines = 0;

	for (i = 0; i < 20; i++) {
		tapctl_tap(f, i, "vhd:/a/x", "running", 0);
		tapctl_tapdisk(f, TAPCTL_STUCK, i, -1);
	}
	start = tap_now();
	assert_int_equal(RUN(f, "list"), 0);
	assert_true(tap_now() - start < 4000);
	for (i = 0; f->out[i]; i++)
		lines += f->out[i] == '\n';
	assert_int_equal(lines, 20);
}

/* A tapdisk cannot claim the tap of another. */
static void tapctl_list_liar(void **state)
{
	struct tapctl_fake *f = *state;
	char want[256];
	pid_t liar, owner;

	tapctl_tap(f, 0, "vhd:/a/mine", "running", 0);
	tapctl_tap(f, 1, "vhd:/a/lie", "running", 0);
	liar = tapctl_tapdisk(f, TAPCTL_GOOD, 0, 1, -1);
	owner = tapctl_tapdisk(f, TAPCTL_STUCK, -1);
	assert_true(liar < owner);
	tapctl_tap(f, 1, "vhd:/a/owner", "running", owner);
	assert_int_equal(RUN(f, "list"), 0);
	snprintf(want, sizeof(want),
		 "pid=%d minor=0 state=0 args=vhd:/a/mine\n"
		 "pid=%d minor=1 args=vhd:/a/owner\n", liar, owner);
	assert_string_equal(f->out, want);
}

/* A path cannot look like another line. */
static void tapctl_list_newline(void **state)
{
	struct tapctl_fake *f = *state;
	char want[128];
	int *pids;

	assert_int_equal(RUN(f, "create", "-a", "vhd:/a\npid=7 minor=7"), 0);
	assert_int_equal(tap_list_sockets(&f->env, &pids), 1);
	snprintf(want, sizeof(want),
		 "pid=%d minor=0 state=0 args=vhd:/a?pid=7 minor=7\n", pids[0]);
	free(pids);
	assert_int_equal(RUN(f, "list"), 0);
	assert_string_equal(f->out, want);
}

/* A socket that a killed tapdisk left is nothing, nor is other litter. */
static void tapctl_list_stale(void **state)
{
	struct tapctl_fake *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/ctl4194303",
		 f->root);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	tapctl_write(f, "run/ctl12", "%s", "");
	tapctl_write(f, "run/ctl", "%s", "");
	tapctl_write(f, "run/ctl-1", "%s", "");
	tapctl_write(f, "run/ctl99999999999", "%s", "");
	assert_int_equal(RUN(f, "list"), 0);
	assert_string_equal(f->out, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tapctl_setup, \
						 tapctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tapctl_list_empty),
		TEST(tapctl_list_words),
		TEST(tapctl_list_paused),
		TEST(tapctl_list_table),
		TEST(tapctl_list_json),
		TEST(tapctl_list_filters),
		TEST(tapctl_list_stuck),
		TEST(tapctl_list_short),
		TEST(tapctl_list_garbage),
		TEST(tapctl_list_refusing),
		TEST(tapctl_list_dying),
		TEST(tapctl_list_endless),
		TEST(tapctl_list_many_stuck),
		TEST(tapctl_list_liar),
		TEST(tapctl_list_newline),
		TEST(tapctl_list_stale),
	};

	tapctl_fake_main();
	return cmocka_run_group_tests_name("tapctl_list", tests, NULL, NULL);
}
