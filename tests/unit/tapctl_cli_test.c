// SPDX-License-Identifier: GPL-2.0
/* tap-ctl: the command line, its help and its manual page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "tapctl_fake.h"

#define RUN(f, ...) tapctl_run(f, __VA_ARGS__, NULL)
#define COMMANDS "usage: tap-ctl COMMAND [OPTIONS]\n" \
	"COMMAND := { list | allocate | free | create | destroy | spawn | " \
	"attach | detach | open | close | pause | unpause | resize | coalesce | stats | major | " \
	"check | recover }\n"

static const char *const tapctl_verbs[] = {
	"list", "allocate", "free", "create", "destroy", "spawn", "attach",
	"detach", "open", "close", "pause", "unpause", "resize", "coalesce",
	"stats", "major", "check", "recover",
};

/* Tests run in their own folder. */
#ifndef TAPCTL_MAN
#define TAPCTL_MAN "../../Documentation/man/tap-ctl.8"
#endif

#define NR_VERBS (sizeof(tapctl_verbs) / sizeof(tapctl_verbs[0]))

static void tapctl_program(void **state)
{
	struct tapctl_fake *f = *state;

	assert_int_equal(tapctl_run(f, NULL), 0);
	assert_string_equal(f->out, COMMANDS);
	assert_int_equal(RUN(f, "--debug"), 0);
	assert_string_equal(f->out, COMMANDS);
	assert_int_equal(RUN(f, "-h"), 0);
	assert_ptr_equal(strstr(f->out, COMMANDS), f->out);
	assert_int_equal(RUN(f, "--help"), 0);
	assert_ptr_equal(strstr(f->out, COMMANDS), f->out);
	assert_int_equal(RUN(f, "--version"), 0);
	assert_ptr_equal(strstr(f->out, "tap-ctl "), f->out);
	assert_int_equal(RUN(f, "shrink", "-m", "0"), EINVAL);
	assert_string_equal(f->out, "");
	assert_string_equal(f->err,
			    "tap-ctl: shrink: unknown command\n" COMMANDS);
	assert_int_equal(RUN(f, "-x", "list"), EINVAL);
	assert_string_equal(f->out, "");
}

/* A usage error: status 22, nothing on stdout, cause and usage on stderr. */
static void tapctl_bad(struct tapctl_fake *f, const char *cause,
		       const char *verb, const char *a, const char *b,
		       const char *c, const char *d)
{
	char usage[64];

	assert_int_equal(RUN(f, verb, a, b, c, d), EINVAL);
	assert_string_equal(f->out, "");
	assert_non_null(strstr(f->err, cause));
	snprintf(usage, sizeof(usage), "\nusage: %s", verb);
	assert_non_null(strstr(f->err, usage));
}

static void tapctl_usage(void **state)
{
	struct tapctl_fake *f = *state;
	char longest[300];
	size_t i;

	for (i = 0; i < NR_VERBS; i++) {
		tapctl_bad(f, "unexpected argument", tapctl_verbs[i], "x",
			   NULL, NULL, NULL);
		tapctl_bad(f, "invalid option", tapctl_verbs[i], "-Z", NULL,
			   NULL, NULL);
	}
	tapctl_bad(f, "requires an argument", "list", "-p", NULL, NULL, NULL);
	tapctl_bad(f, "free: -m is missing", "free", NULL, NULL, NULL, NULL);
	tapctl_bad(f, "attach: -m is missing", "attach", "-p", "1", NULL,
		   NULL);
	tapctl_bad(f, "detach: -p is missing", "detach", "-m", "1", NULL,
		   NULL);
	tapctl_bad(f, "open: -a is missing", "open", "-p", "1", "-m", "1");
	tapctl_bad(f, "create: -a is missing", "create", NULL, NULL, NULL,
		   NULL);
	tapctl_bad(f, "-p 0: not a process id, valid range 1..4194304",
		   "stats", "-p", "0", "-m", "0");
	tapctl_bad(f, "-p 4194305: not a process id", "pause", "-p", "4194305",
		   "-m", "0");
	tapctl_bad(f, "-m 1048576: not a minor number, valid range 0..1048575",
		   "list", "-m", "1048576", NULL, NULL);
	tapctl_bad(f, "-m -1: not a minor number", "list", "-m", "-1", NULL,
		   NULL);
	tapctl_bad(f, "-m 1x: not a minor number", "list", "-m", "1x", NULL,
		   NULL);
	tapctl_bad(f, "-m  1: not a minor number", "list", "-m", " 1", NULL,
		   NULL);
	tapctl_bad(f, "-m : not a minor number", "list", "-m", "", NULL, NULL);
	tapctl_bad(f, "-t 65536: not a number of seconds, valid range 1..65535",
		   "create", "-a", "vhd:/x", "-t", "65536");
	tapctl_bad(f, "-s 0: not a number of MiB, valid range 1..2147483647",
		   "resize", "-s", "0", NULL, NULL);
	tapctl_bad(f, "-s 1G: not a number of MiB", "resize", "-s", "1G",
		   NULL, NULL);
	tapctl_bad(f, "resize: -m is missing", "resize", "-p", "1", NULL,
		   NULL);
	tapctl_bad(f, "-a /x: not of the form type:path", "create", "-a", "/x",
		   NULL, NULL);
	tapctl_bad(f, "-a :/x: not of the form type:path", "create", "-a",
		   ":/x", NULL, NULL);
	tapctl_bad(f, "-d disk: not an absolute path", "allocate", "-d",
		   "disk", NULL, NULL);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "vhd:", 4);
	longest[256] = '\0';
	tapctl_bad(f, "256 characters are too long, valid range 1..255",
		   "create", "-a", longest, NULL, NULL);
	longest[255] = '\0';
	assert_int_equal(RUN(f, "create", "-a", longest), 0);
	tapctl_bad(f, "does not take it", "free", "--json", "-m", "0", NULL);
	tapctl_bad(f, "either -m or -a", "recover", NULL, NULL, NULL, NULL);
	tapctl_bad(f, "either -m or -a", "recover", "-a", "-m", "0", NULL);
}

static void tapctl_check(void **state)
{
	struct tapctl_fake *f = *state;
	size_t i;

	assert_int_equal(RUN(f, "check"), 0);
	assert_string_equal(f->out, "ok\n");
	assert_int_equal(RUN(f, "--debug", "check"), 0);
	assert_string_equal(f->out, "ok\n");
	assert_int_equal(RUN(f, "check", "--debug"), 0);
	assert_string_equal(f->out, "ok\n");
	assert_int_equal(RUN(f, "check", "--version"), 0);
	assert_int_equal(strncmp(f->out, "tap-ctl ", 8), 0);
	/* A name that only looks like it. */
	tapctl_write(f, "proc/misc", "250 blktap-control2\n58 blktap\n");
	assert_int_equal(RUN(f, "check"), ENOSYS);
	assert_string_equal(f->out, "blktap kernel module not installed\n");
	for (i = 0; i < NR_VERBS; i++) {
		if (!strcmp(tapctl_verbs[i], "check"))
			continue;
		RUN(f, tapctl_verbs[i], "-h");
		assert_non_null(strstr(f->out, "usage: "));
	}
	assert_int_equal(RUN(f, "list"), ENOSYS);
	assert_string_equal(f->out, "");
	assert_string_equal(f->err,
			    "tap-ctl: list: blktap kernel module not installed\n");
	f->env.proc = "/nonexistent";
	assert_int_equal(RUN(f, "check"), ENOENT);
	assert_string_equal(f->out, "failed to open /proc/misc\n");
}

/* What makes a tap loads the module, and nothing else does. */
static void tapctl_load_module(void **state)
{
	struct tapctl_fake *f = *state;

	tapctl_write(f, "proc/misc", "%s", "");
	assert_int_equal(RUN(f, "allocate"), ENOSYS);
	assert_non_null(strstr(f->err, "blktap2-dkms"));
	assert_int_equal(RUN(f, "create", "-a", "aio:/none"), ENOSYS);
	assert_non_null(strstr(f->err, "blktap2-dkms"));
	tapctl_write(f, "module", "%s", "");
	assert_int_equal(RUN(f, "list"), ENOSYS);
	assert_int_equal(RUN(f, "check"), ENOSYS);
	assert_int_equal(RUN(f, "allocate"), 0);
	assert_int_equal(RUN(f, "check"), 0);
}

static void tapctl_major(void **state)
{
	struct tapctl_fake *f = *state;

	assert_int_equal(RUN(f, "major"), 0);
	assert_string_equal(f->out, "252\n");
	assert_int_equal(RUN(f, "major", "-b"), 0);
	assert_string_equal(f->out, "252\n");
	assert_int_equal(RUN(f, "major", "-c"), 0);
	assert_string_equal(f->out, "240\n");
	tapctl_write(f, "proc/devices", "Character devices:\n  1 mem\n\n"
					"Block devices:\n  7 loop\n");
	assert_int_equal(RUN(f, "major"), ENOENT);
	assert_non_null(strstr(f->err, "no tapdev in"));
}

/* Sets of option letters: a bit for each, and one for --json. */
static void tapctl_set(bool *set, const char *word)
{
	if (!strcmp(word, "-json") || !strcmp(word, "--json"))
		set['j'] = true;
	else if (isalnum((unsigned char)word[0]) && !word[1])
		set[(unsigned char)word[0]] = true;
}

/* The letters that a line of the manual page has after Fl. */
static void tapctl_man_line(bool *set, const char *line)
{
	char copy[1024], *word, *save;
	bool flag = false;

	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok_r(copy, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		if (flag)
			tapctl_set(set, word);
		/* A list goes on after a comma or a bar. */
		flag = !strcmp(word, "Fl") || !strcmp(word, "|") ||
		       !strcmp(word, ",");
	}
}

/* The letters in the usage line of a help text, and those it explains. */
static void tapctl_help_line(bool *usage, bool *told, const char *line)
{
	bool *set = usage;
	const char *p;

	if (!strncmp(line, "  -", 3))
		set = told;
	else if (strncmp(line, "usage: ", 7))
		return;
	for (p = strchr(line, '-'); p; p = strchr(p + 1, '-')) {
		if (p[1] != '-')
			set[(unsigned char)p[1]] = true;
		else if (!strncmp(p++, "--json", 6))
			set['j'] = true;
		if (set == told)
			return;
	}
}

/* All that --help tells is in the manual page, and the other way round. */
static void tapctl_manual(void **state)
{
	struct tapctl_fake *f = *state;
	bool synopsis[256] = {}, items[256] = {}, help[256] = {};
	bool told[256];
	char line[1024], *p;
	size_t verb = 0;
	bool commands = false;
	FILE *man;
	int c;

	man = fopen(TAPCTL_MAN, "r");
	assert_non_null(man);
	while (fgets(line, sizeof(line), man)) {
		if (!strncmp(line, ".Ss ", 4) || !strncmp(line, ".Sh ", 4)) {
			/* What has an item has a place in the synopsis. */
			for (c = 0; commands && verb && c < 256; c++) {
				if (items[c] && !synopsis[c])
					fail_msg("%s: item -%c",
						 tapctl_verbs[verb - 1], c);
			}
			memset(items, 0, sizeof(items));
		}
		if (!strncmp(line, ".Sh ", 4))
			commands = !strcmp(line, ".Sh COMMANDS\n");
		if (!commands)
			continue;
		if (!strncmp(line, ".It ", 4))
			tapctl_man_line(items, line);
		if (strncmp(line, ".Ss ", 4))
			continue;
		assert_true(verb < NR_VERBS);
		c = (int)strlen(tapctl_verbs[verb]);
		assert_memory_equal(line + 4, tapctl_verbs[verb], c);
		assert_true(isspace((unsigned char)line[4 + c]));
		memset(synopsis, 0, sizeof(synopsis));
		tapctl_man_line(synopsis, line);

		assert_int_equal(RUN(f, tapctl_verbs[verb], "--help"), 0);
		memset(help, 0, sizeof(help));
		memset(told, 0, sizeof(told));
		for (p = strtok(f->out, "\n"); p; p = strtok(NULL, "\n"))
			tapctl_help_line(help, told, p);
		for (c = 0; c < 256; c++) {
			if (synopsis[c] != help[c] || help[c] != told[c])
				fail_msg("%s -%c: manual %d, usage %d, help %d",
					 tapctl_verbs[verb], c, synopsis[c],
					 help[c], told[c]);
		}
		verb++;
	}
	fclose(man);
	assert_int_equal(verb, NR_VERBS);
}

/* What help tells is what is taken. */
static void tapctl_letters(void **state)
{
	struct tapctl_fake *f = *state;
	char option[3] = "-", told[sizeof(f->out)];
	char start[8], bad[32];
	size_t i;
	int c;

	for (i = 0; i < NR_VERBS; i++) {
		RUN(f, tapctl_verbs[i], "-h");
		snprintf(told, sizeof(told), "%s", f->out);
		for (c = '0'; c <= 'z'; c++) {
			if (!isalnum(c) || c == 'h')
				continue;
			option[1] = (char)c;
			/* -Z ends it, so that nothing is carried out. */
			RUN(f, tapctl_verbs[i], option, "-Z", "-Z");
			snprintf(start, sizeof(start), "\n  -%c ", c);
			snprintf(bad, sizeof(bad), "invalid option -- '%c'", c);
			assert_int_equal(!strstr(f->err, bad),
					 !!strstr(told, start));
		}
	}
}

/*
 * The calls of programs that exist: class TapCtl of xapi's storage manager
 * (blktap2.py), block-tap of Xen 4.17 and of 4.20. "P" stands for the process
 * id, "--debug" is added to each in a second turn.
 */
static const char *const tapctl_calls[][16] = {
	/* xapi */
	{ "allocate" },
	{ "spawn" },
	{ "attach", "-p", "P", "-m", "0" },
	{ "open", "-p", "P", "-m", "0", "-a", "vhd:/a/x", "-r", "-e", "3", "-2",
	  "vhd:/b", "-s", "-t", "40", "-D" },
	{ "list", "-m", "0", "-p", "P", "-t", "vhd", "-f", "/a/x" },
	{ "list", "-m", "0" },
	{ "pause", "-p", "P", "-m", "0" },
	{ "unpause", "-p", "P", "-m", "0" },
	{ "pause", "-p", "P", "-m", "0" },
	{ "unpause", "-p", "P", "-m", "0", "-2", "vhd:/m", "-a", "vhd:/a/y" },
	{ "stats", "-p", "P", "-m", "0" },
	{ "major" },
	{ "close", "-p", "P", "-m", "0", "-t", "120" },
	{ "open", "-p", "P", "-m", "0", "-a", "aio:/a/z", "-R" },
	{ "close", "-p", "P", "-m", "0", "-t", "120", "-f" },
	{ "detach", "-p", "P", "-m", "0" },
	{ "free", "-m", "0" },
	/* block-tap of 4.17 */
	{ "check" },
	{ "create", "-a", "vhd:/a/x" },
	{ "list", "-t", "vhd", "-f", "/a/x" },
	{ "destroy", "-p", "P", "-m", "0" },
	/* block-tap of 4.20 */
	{ "allocate" },
	{ "spawn" },
	{ "attach", "-p", "P", "-m", "0" },
	{ "open", "-p", "P", "-m", "0", "-a", "vhd:/a/x" },
	{ "list", "-t", "vhd", "-f", "/a/x" },
	{ "destroy", "-p", "P", "-m", "0" },
};

static void tapctl_call(struct tapctl_fake *f, const char *const *call,
			char *pid, const char *more)
{
	const char *argv[18] = {};
	int i;

	for (i = 0; i < 16 && call[i]; i++)
		argv[i] = !strcmp(call[i], "P") ? pid : call[i];
	argv[i] = more;
	/* The list ends with the first NULL. */
	if (tapctl_run(f, argv[0], argv[1], argv[2], argv[3], argv[4], argv[5],
		       argv[6], argv[7], argv[8], argv[9], argv[10], argv[11],
		       argv[12], argv[13], argv[14], argv[15], argv[16], NULL))
		fail_msg("%s of %s: %s", call[0], more ? more : "scripts",
			 f->err);
	/* As they read what it prints. */
	if (!strcmp(call[0], "spawn"))
		assert_int_equal(sscanf(f->out, "%15s", pid), 1);
	else if (!strcmp(call[0], "list"))
		assert_int_equal(sscanf(f->out, "pid=%15s minor=0 state=", pid),
				 1);
	else if (!strcmp(call[0], "allocate") || !strcmp(call[0], "create"))
		assert_non_null(strstr(f->out, "/dev/xen/blktap-2/tapdev0\n"));
}

static void tapctl_callers(void **state)
{
	struct tapctl_fake *f = *state;
	char pid[16] = "";
	size_t turn, i;

	for (turn = 0; turn < 2; turn++)
		for (i = 0; i < sizeof(tapctl_calls) / sizeof(tapctl_calls[0]);
		     i++)
			tapctl_call(f, tapctl_calls[i], pid,
				    turn ? "--debug" : NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tapctl_setup, \
						 tapctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tapctl_program),
		TEST(tapctl_usage),
		TEST(tapctl_check),
		TEST(tapctl_load_module),
		TEST(tapctl_major),
		TEST(tapctl_manual),
		TEST(tapctl_letters),
		TEST(tapctl_callers),
	};

	tapctl_fake_main();
	return cmocka_run_group_tests_name("tapctl_cli", tests, NULL, NULL);
}
