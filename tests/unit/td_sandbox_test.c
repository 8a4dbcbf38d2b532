// SPDX-License-Identifier: GPL-2.0
/* What is left of a process after td_sandbox_enter(), in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"
#include "sandbox.h"
#include "td_log.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA	0x53564d41
#endif

static char secret[] = "/tmp/td_sandbox.XXXXXX";

/* What the child does first; where its messages go. */
static void (*before)(void);
static int err_fd = -1;
static const char *user;
static pid_t parent;

/* The exit status of a child that runs @fn in the sandbox, or -signal. */
static int in_sandbox(int (*fn)(void))
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid;

	parent = getpid();
	pid = fork();
	if (!pid) {
		if (err_fd >= 0)
			dup2(err_fd, STDERR_FILENO);
		alarm(60);
		td_log_open("sandbox", 0, LOG_ERR);
		setrlimit(RLIMIT_CORE, &no_core);
		if (before)
			before();
		td_sandbox_user(user);
		if (td_sandbox_enter())
			_exit(99);
		/* ASan would do more in _exit() than the sandbox allows. */
		syscall(SYS_exit_group, fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/*
 * System calls with MAGIC as their last argument end with EXDEV, in a filter
 * below that of the sandbox, if that one lets them through: so each number can
 * be tried, and nothing happens.
 */
#define MAGIC	0x7e577e57U
#define NUMBERS	1024

static void *back[5];

/* siglongjmp() of ASan would make a call that is not allowed. */
__attribute__((no_sanitize("address"))) static void jump_back(int nr)
{
	sigset_t set;

	(void)nr;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	__builtin_longjmp(back, 1);
}

static void catch_magic(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[5])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	/* Not a thousand messages. */
	td_log_open("sandbox", 0, LOG_CRIT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(98);
}

/* Is a call allowed? Fails the child if that cannot be told. */
static bool allowed(long nr, long a0, long a2)
{
	if (__builtin_setjmp(back))
		return false;
	if (syscall(nr, a0, 0L, a2, 0L, 0L, (long)MAGIC) == -1 &&
	    errno == EXDEV)
		return true;
	fprintf(stderr, "call %ld: %s\n", nr, strerror(errno));
	syscall(SYS_exit_group, 97);
	return true;
}

/* Written down a second time, for others to compare. x86-64 has all names. */
static const int list[] = {
	SYS_io_uring_enter, SYS_ioctl, SYS_open, SYS_openat, SYS_close,
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64,
	SYS_lseek, SYS_stat, SYS_lstat, SYS_fstat, SYS_newfstatat, SYS_statx,
	SYS_fstatfs, SYS_fcntl, SYS_fallocate, SYS_ftruncate, SYS_fsync,
	SYS_fdatasync, SYS_fadvise64, SYS_access, SYS_faccessat,
	SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getcwd, SYS_flock,
	SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_sendto, SYS_shutdown,
	SYS_unlink, SYS_poll, SYS_ppoll, SYS_clock_gettime,
	SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_time,
	SYS_futex, SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid,
	SYS_getegid, SYS_sysinfo, SYS_sched_yield, SYS_sched_getaffinity,
	SYS_getrandom, SYS_dup2, SYS_dup3, SYS_rt_sigprocmask,
	SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit, SYS_exit_group,
	/* If the third argument has no PROT_EXEC. */
	SYS_mmap, SYS_mprotect,
};

static int check_list(void)
{
	int nr, bad = 0;
	unsigned int i;

	td_sandbox_on_refusal(jump_back);
	for (nr = 0; nr < NUMBERS; nr++) {
		bool want = false;

		/* uretprobe, uprobe: of the kernel's own, never filtered. */
		if (nr == 335 || nr == 336)
			continue;

		for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
			want = want || list[i] == nr;
		if (allowed(nr, 0, 0) == want)
			continue;
		fprintf(stderr, "call %d: %s\n", nr,
			want ? "not allowed" : "allowed");
		bad = 1;
	}
	return bad;
}

static int check_arguments(void)
{
	/* Asked once: the register of a last argument keeps its MAGIC. */
	pid_t self = getpid();

	td_sandbox_on_refusal(jump_back);
	if (allowed(SYS_mmap, 0, PROT_READ | PROT_EXEC) ||
	    allowed(SYS_mprotect, 0, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !allowed(SYS_mmap, 0, PROT_READ | PROT_WRITE))
		return 1;
	if (allowed(SYS_rt_sigaction, SIGSYS, 0) ||
	    allowed(SYS_rt_sigaction, SIGSEGV, 0) ||
	    !allowed(SYS_rt_sigaction, SIGABRT, 0))
		return 2;
	if (allowed(SYS_tgkill, parent, 0) ||
	    allowed(SYS_tkill, parent, 0) ||
	    !allowed(SYS_tgkill, self, 0) ||
	    !allowed(SYS_tkill, self, 0))
		return 3;
	if (allowed(SYS_prctl, PR_SET_SECCOMP, 0) ||
	    allowed(SYS_prctl, PR_SET_DUMPABLE, 0) ||
	    !allowed(SYS_prctl, PR_SET_VMA, 0))
		return 4;
	return 0;
}

static void test_list(void **state)
{
	(void)state;
	before = catch_magic;
	assert_int_equal(in_sandbox(check_list), 0);
	assert_int_equal(in_sandbox(check_arguments), 0);
}

/* The 32-bit way into the kernel, where 20 is getpid() and 11 execve(). */
static int do_int80(void)
{
	long ret = 20;

	__asm__ volatile("int $0x80" : "+a"(ret) : : "memory");
	return 1;
}

/* The x32 way. */
static int do_x32(void)
{
	syscall(0x40000000 + SYS_getpid);
	return 1;
}

static int do_exec(void)
{
	char *argv[] = { "/bin/true", NULL };

	execv(argv[0], argv);
	return 1;
}

__attribute__((no_sanitize("address"))) static int do_abort(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

/* Not stopped by who blocks the signal. */
static int do_blocked(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return do_exec();
}

static void test_killed(void **state)
{
	(void)state;
	before = NULL;
	assert_int_equal(in_sandbox(do_exec), -SIGSYS);
	assert_int_equal(in_sandbox(do_blocked), -SIGSYS);
	assert_int_equal(in_sandbox(do_int80), -SIGSYS);
	assert_int_equal(in_sandbox(do_x32), -SIGSYS);
	assert_int_equal(in_sandbox(do_abort), -SIGABRT);
}

static void test_named(void **state)
{
	char text[512] = "";
	int fds[2];

	(void)state;
	before = NULL;
	assert_int_equal(pipe(fds), 0);
	err_fd = fds[1];
	assert_int_equal(in_sandbox(do_exec), -SIGSYS);
	err_fd = -1;
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "system call 59 (execve) is not allowed"));
	close(fds[0]);
	close(fds[1]);
}

/* Each operation of io_uring: -EACCES, but for those in use. */
static int ring_result;

static void ring_done(struct td_event *ev, int res, uint32_t flags)
{
	(void)ev;
	(void)flags;
	ring_result = res;
	td_loop_stop();
}

static int ring_try(unsigned int op, unsigned int flags)
{
	static struct td_event ev = { ring_done };
	struct io_uring_sqe *sqe = td_loop_sqe();

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->flags = flags;
	sqe->fd = -1;
	io_uring_sqe_set_data(sqe, &ev);
	td_loop_run();
	return ring_result;
}

static int check_ring(void)
{
	static const uint8_t ops[] = {
		IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC,
		IORING_OP_FALLOCATE, IORING_OP_SYNC_FILE_RANGE,
		IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND,
		IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT,
	};
	unsigned int op;
	int bad = 0;

	for (op = 0; op < 256; op++) {
		bool want = memchr(ops, op, sizeof(ops));
		int res = ring_try(op, 0);

		/* Numbers that the kernel does not know are -EINVAL. */
		if (want ? res != -EACCES : res == -EACCES || res == -EINVAL)
			continue;
		fprintf(stderr, "operation %u: %d\n", op, res);
		bad = 1;
	}
	if (ring_try(IORING_OP_READ, IOSQE_FIXED_FILE) != -EACCES)
		bad = 2;
	return bad;
}

static void ring_before(void)
{
	if (td_loop_init())
		_exit(96);
}

static void test_ring(void **state)
{
	(void)state;
	before = ring_before;
	assert_int_equal(in_sandbox(check_ring), 0);
}

/* Nobody reads the messages: the process goes on. */
static int check_log(void)
{
	int i;

	for (i = 0; i < 10000; i++)
		td_err("message %d", i);
	return 0;
}

static void log_before(void)
{
	td_log_no_wait();
}

static void test_log(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	char text[65536];
	unsigned int i;
	int fds[2];

	(void)state;
	before = log_before;
	for (i = 0; i < 3; i++) {
		if (i < 2)
			assert_int_equal(socketpair(AF_UNIX, types[i], 0, fds),
					 0);
		else
			assert_int_equal(pipe(fds), 0);
		err_fd = fds[1];
		assert_int_equal(in_sandbox(check_log), 0);
		/* Only the messages are not waited for: the others still are. */
		assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
		assert_true(read(fds[0], text, sizeof(text)) > 0);
		close(fds[0]);
		close(fds[1]);
	}
	err_fd = -1;
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

static int check_user(void)
{
	return status_of("Uid:", 10) == 1 && status_of("Groups:", 10) == 0 ?
	       check_rights() : 10;
}

/* A user that was asked for; not another one if it does not exist. */
static void test_user(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	before = NULL;
	user = "daemon";
	assert_int_equal(in_sandbox(check_user), 0);
	user = "no-such-user";
	assert_int_equal(in_sandbox(check_user), 99);
	user = NULL;
}

/* In place of that of ASan, which does nothing, as it would lock too much. */
static bool mlocked;

int mlockall(int flags)
{
	(void)flags;
	mlocked = true;
	return 0;
}

/* 8 MiB, as users have it, and no right to more. */
static void limit_before(void)
{
	const struct rlimit limit = { 8 << 20, 8 << 20 };
	cap_value_t no = CAP_SYS_RESOURCE;
	cap_t caps = cap_get_proc();

	if (cap_set_flag(caps, CAP_EFFECTIVE, 1, &no, CAP_CLEAR) ||
	    cap_set_proc(caps) || setrlimit(RLIMIT_MEMLOCK, &limit))
		_exit(95);
	cap_free(caps);
}

/* Memory that is locked counts: there would not be enough for images. */
static int check_limit(void)
{
	return mlocked;
}

static void test_limit(void **state)
{
	(void)state;
	before = limit_before;
	assert_int_equal(in_sandbox(check_limit), 0);
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
	td_err("message of a test");
	return 0;
}

static void test_rights(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	before = NULL;
	assert_int_equal(in_sandbox(check_rights), 0);
}

static void test_work(void **state)
{
	int fd = mkstemp(secret);

	(void)state;
	assert_int_equal(write(fd, "image", 5), 5);
	close(fd);
	before = log_before;
	assert_int_equal(in_sandbox(check_work), 0);
	before = NULL;
	unlink(secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_work),
	};

	return cmocka_run_group_tests_name("td_sandbox", tests, NULL, NULL);
}
