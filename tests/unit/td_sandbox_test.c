// SPDX-License-Identifier: GPL-2.0
/* What is left of a process after td_sandbox_enter(), in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "td_log.h"

static char secret[] = "/tmp/td_sandbox.XXXXXX";

/* The exit status of a child that runs @fn in the sandbox, or -signal. */
static int in_sandbox(int (*fn)(void))
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		td_log_open("sandbox", 0, LOG_ERR);
		setrlimit(RLIMIT_CORE, &no_core);
		if (td_sandbox_enter())
			_exit(99);
		/* ASan would do more in _exit() than the sandbox allows. */
		syscall(SYS_exit_group, fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int do_exec(void)
{
	char *argv[] = { "/bin/true", NULL };

	execv(argv[0], argv);
	return 1;
}

static int do_fork(void)
{
	fork();
	return 1;
}

static int do_setuid(void)
{
	return syscall(SYS_setuid, 0) ? 2 : 1;
}

static int do_listen(void)
{
	return listen(0, 1) ? 2 : 1;
}

static int do_ptrace(void)
{
	return syscall(SYS_ptrace, 16, 1, 0, 0) ? 2 : 1;
}

static void test_killed(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(do_exec), -SIGSYS);
	assert_int_equal(in_sandbox(do_fork), -SIGSYS);
	assert_int_equal(in_sandbox(do_setuid), -SIGSYS);
	assert_int_equal(in_sandbox(do_listen), -SIGSYS);
	assert_int_equal(in_sandbox(do_ptrace), -SIGSYS);
}

/* A line of /proc/self/status. */
static uint64_t status_of(const char *key, int base)
{
	char line[200];
	FILE *file = fopen("/proc/self/status", "r");
	uint64_t value = -1;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtoull(line + strlen(key), NULL, base);
	if (file)
		fclose(file);
	return value;
}

static int check_rights(void)
{
	if (!status_of("Uid:", 10))
		return 1;
	if (status_of("CapPrm:", 16) != 1ULL << CAP_DAC_OVERRIDE ||
	    status_of("CapEff:", 16) != 1ULL << CAP_DAC_OVERRIDE ||
	    status_of("CapInh:", 16) || status_of("CapAmb:", 16))
		return 2;
	if (status_of("NoNewPrivs:", 10) != 1)
		return 3;
	if (status_of("Seccomp:", 10) != 2)
		return 4;
	return 0;
}

static int check_work(void)
{
	int fd = open(secret, O_RDWR);
	char buf[6] = "";

	/* An image of root's, memory, the clock, syslog: it can still serve. */
	if (fd < 0 || pread(fd, buf, 5, 0) != 5 || strcmp(buf, "image"))
		return 1;
	if (pwrite(fd, "IMAGE", 5, 0) != 5 || fdatasync(fd))
		return 2;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5))
		return 3;
	close(fd);
	td_log_open("td_sandbox_test", 1, LOG_ERR);
	return 0;
}

static void test_rights(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(in_sandbox(check_rights), 0);
}

static void test_work(void **state)
{
	int fd = mkstemp(secret);

	(void)state;
	assert_int_equal(write(fd, "image", 5), 5);
	close(fd);
	assert_int_equal(in_sandbox(check_work), 0);
	unlink(secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_work),
	};

	return cmocka_run_group_tests_name("td_sandbox", tests, NULL, NULL);
}
