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
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "td_log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#endif

/* Descriptors: a chain of images is up to 256 files for each disk. */
#define TD_SANDBOX_FILES	65536

/*
 * All system calls that serving and opening images need. They are allowed
 * whatever their arguments are: the kernel then caches that and a call costs
 * nothing more than without a filter.
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
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(mprotect), SCMP_SYS(madvise),
	/* control socket, syslog */
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(sendto),
	SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(unlink),
	/* C library, end of the process */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(getrandom), SCMP_SYS(dup2), SCMP_SYS(dup3),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(tgkill),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static void td_sandbox_limit(int resource, const char *name, rlim_t value)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	if (!setrlimit(resource, &limit))
		return;
	/* Without privileges, as much as there is. */
	if (!getrlimit(resource, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(resource, &limit);
	}
	td_warn("%s stays at %llu", name, (unsigned long long)limit.rlim_cur);
}

static void td_sandbox_memory(void)
{
	td_sandbox_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", TD_SANDBOX_FILES);
	td_sandbox_limit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", RLIM_INFINITY);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		td_warn("memory is not locked: %s", strerror(errno));
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

static int td_sandbox_user(void)
{
	const struct passwd *user;

	if (geteuid())
		return 0;
	user = getpwnam("tapdisk");
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

static int td_sandbox_seccomp(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	unsigned int i;
	int err = 0;

	if (!filter)
		return -ENOMEM;
	for (i = 0; i < sizeof(td_sandbox_calls) / sizeof(int) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
				       td_sandbox_calls[i], 0);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int td_sandbox_enter(void)
{
	int err;

	td_sandbox_memory();
	err = td_sandbox_user();
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
