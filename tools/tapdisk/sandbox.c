// SPDX-License-Identifier: GPL-2.0
/*
 * Memory, resource limits, user, capabilities and system calls. See sandbox.h.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "td_log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA		0x53564d41
#endif

/* Descriptors: a chain of images is up to 256 files for each disk. */
#define TD_SANDBOX_FILES	65536

/* Numbers of system calls whose names are known for the message. */
#define TD_SANDBOX_NAMES	512

/*
 * All system calls that serving and opening images need. They are allowed
 * whatever their arguments are: the kernel then caches that and a call costs
 * nothing more than without a filter.
 *
 * The C library makes calls of its own, and which ones may depend on its
 * version, on the size of what it is given and on the environment. Checked
 * with strace for the functions used here, abort() among them: glibc 2.36 and
 * 2.41, musl 1.2.3. All verbs and drivers were run in the sandbox with both
 * versions of glibc. Some calls are here because other sizes and settings may
 * cause them, though these runs did not.
 */
static const int td_sandbox_calls[] = {
	/* data path */
	SCMP_SYS(io_uring_enter), SCMP_SYS(ioctl),
	/* images */
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(read),
	SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fstatfs),
	SCMP_SYS(fcntl), SCMP_SYS(fallocate), SCMP_SYS(ftruncate),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fadvise64),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(flock),
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	/* control socket, log */
	SCMP_SYS(sendto), SCMP_SYS(shutdown), SCMP_SYS(unlink),
	SCMP_SYS(poll), SCMP_SYS(ppoll),
	/* C library */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(sysinfo), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(getrandom), SCMP_SYS(dup2),
	SCMP_SYS(dup3), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	/* end of the process */
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static char td_sandbox_names[TD_SANDBOX_NAMES][24];
static void (*td_sandbox_refused_fn)(int nr);
static const char *td_sandbox_name;

void td_sandbox_on_refusal(void (*fn)(int nr))
{
	td_sandbox_refused_fn = fn;
}

/*
 * SIGSYS: what was called is not allowed, and was not done. The signal comes
 * out of the call itself, as from a function that it calls. A second call
 * that is not allowed, as SIGSYS is blocked now, ends the process.
 */
static void td_sandbox_refused(int sig, siginfo_t *info, void *context)
{
	unsigned int nr = info->si_syscall;
	const char *name = nr < TD_SANDBOX_NAMES ? td_sandbox_names[nr] : "";

	(void)sig;
	(void)context;
	td_log_error_clear();
	td_err("system call %u (%s) is not allowed in the sandbox: this process ends; please report it",
	       nr, *name ? name : "unknown");
	if (td_sandbox_refused_fn)
		td_sandbox_refused_fn(nr);
	syscall(SYS_sched_get_priority_max, 0);
	_exit(128 + SIGSYS);
}

static int td_sandbox_handler(void)
{
	struct sigaction action = {
		.sa_sigaction = td_sandbox_refused,
		.sa_flags = SA_SIGINFO,
	};
	unsigned int i;
	char *name;

	/* Looked up now, as that takes memory. */
	for (i = 0; i < TD_SANDBOX_NAMES; i++) {
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
		if (name)
			strncpy(td_sandbox_names[i], name,
				sizeof(td_sandbox_names[i]) - 1);
		free(name);
	}
	return sigaction(SIGSYS, &action, NULL) ? -errno : 0;
}

/* Raise a limit as far as is permitted. Return: what it is now. */
static rlim_t td_sandbox_limit(int resource, rlim_t value)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	if (!setrlimit(resource, &limit))
		return value;
	if (getrlimit(resource, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
	return limit.rlim_cur;
}

/*
 * Memory is locked only if there is no limit to that: with one, each image
 * would take a part of it, and the one that reaches it could not be opened.
 */
static void td_sandbox_memory(void)
{
	rlim_t files = td_sandbox_limit(RLIMIT_NOFILE, TD_SANDBOX_FILES);
	rlim_t lock = td_sandbox_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);

	if (files < TD_SANDBOX_FILES)
		td_warn("at most %llu open files, wanted %u: raise RLIMIT_NOFILE (LimitNOFILE= of systemd) if images cannot be opened",
			(unsigned long long)files, TD_SANDBOX_FILES);
	if (lock != RLIM_INFINITY)
		td_warn("memory is not locked, so do not swap to disks of this process: RLIMIT_MEMLOCK is %llu KiB, must be unlimited (start as root, or LimitMEMLOCK=infinity of systemd)",
			(unsigned long long)lock / 1024);
	else if (mlockall(MCL_CURRENT | MCL_FUTURE))
		td_warn("memory is not locked, so do not swap to disks of this process: %s",
			strerror(errno));
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		td_warn("PR_SET_IO_FLUSHER: %s", strerror(errno));
}

/* Keep nothing of root but the right to open files and ring devices. */
static int td_sandbox_caps(void)
{
	cap_value_t keep = CAP_DAC_OVERRIDE;
	cap_t caps = cap_init();
	int err = 0;

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, 1, &keep, CAP_SET) ||
	    cap_set_flag(caps, CAP_EFFECTIVE, 1, &keep, CAP_SET) ||
	    cap_set_proc(caps))
		err = -errno;
	cap_free(caps);
	return err;
}

void td_sandbox_user(const char *name)
{
	td_sandbox_name = name;
}

static int td_sandbox_become_user(void)
{
	const char *name = td_sandbox_name;
	const struct passwd *user;

	if (geteuid())
		return 0;
	user = getpwnam(name ? name : "tapdisk");
	if (!user && name) {
		td_err("user %s does not exist", name);
		return -ENOENT;
	}
	if (!user)
		user = getpwnam("nobody");
	if (!user) {
		td_warn("no user tapdisk or nobody, staying root with one capability");
		return td_sandbox_caps();
	}
	if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
		return -errno;
	return td_sandbox_caps();
}

/* Calls that are allowed with some arguments only. */
static int td_sandbox_rules(scmp_filter_ctx filter)
{
	const struct {
		int nr;
		struct scmp_arg_cmp arg;
	} rules[] = {
		/* No code but what the program came with. */
		{ SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		{ SCMP_SYS(mprotect),
		  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		/* abort() */
		{ SCMP_SYS(rt_sigaction), SCMP_A0(SCMP_CMP_EQ, SIGABRT) },
		{ SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, getpid()) },
		{ SCMP_SYS(tkill), SCMP_A0(SCMP_CMP_EQ, gettid()) },
		/* malloc() names its memory if GLIBC_TUNABLES says so. */
		{ SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA) },
	};
	unsigned int i;
	int err = 0;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]) && !err; i++)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
					     rules[i].nr, 1, &rules[i].arg);
	return err;
}

static int td_sandbox_seccomp(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	unsigned int i;
	int err;

	if (!filter)
		return -ENOMEM;
	/* A call in the way of another architecture has no name here. */
	err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
			       SCMP_ACT_KILL_PROCESS);
	for (i = 0; i < sizeof(td_sandbox_calls) / sizeof(int) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
				       td_sandbox_calls[i], 0);
	if (!err)
		err = td_sandbox_rules(filter);
	if (!err)
		err = td_sandbox_handler();
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int td_sandbox_enter(void)
{
	int err;

	td_sandbox_memory();
	err = td_sandbox_become_user();
	if (err) {
		td_err("giving up root: %s", strerror(-err));
		return err;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		td_warn("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	err = td_sandbox_seccomp();
	if (err)
		td_warn("system calls are not filtered: %s", strerror(-err));
	return 0;
}

void td_sandbox_detach_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}
