// SPDX-License-Identifier: GPL-2.0
/*
 * tap-ctl coalesce: the fake tapdisk has the chain open and writes to it; what
 * it reads is compared with what was written each time that it opens it. The
 * command is killed at each of its steps and run again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvhd/libvhd.h"
#include "libvhd/vhd.h"
#include "tapctl_fake.h"

#define MIB		(1ULL << 20)
/* The last block is used in part. */
#define SIZE		(15 * MIB)
#define SECTORS		(SIZE / 512)
#define COALESCE(f, ...) \
	tapctl_run(f, "coalesce", "-p", pid, "-m", "0", __VA_ARGS__, NULL)

/* Shared by the test and the fake tapdisk. */
static struct co_world {
	uint64_t want[SECTORS];
	uint64_t seq;
	uint32_t writes;	/* sectors that the guest writes before a pause */
	uint32_t pauses;
	bool open;		/* by the fake tapdisk */
	bool broken;		/* the guest read something else */
} *co;

static char pid[16];
static char folder[64];
static struct vhd_disk *co_disk;	/* of the fake tapdisk */
static int co_left;			/* steps until the end, 0: no end */
static int co_folder;			/* errno of fsync() of a folder */

/* Each change of a file or folder is a step. */
static void co_step(void)
{
	if (co_left && !--co_left)
		kill(getpid(), SIGKILL);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	co_step();
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

int fdatasync(int fd)
{
	co_step();
	return syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t len)
{
	co_step();
	return syscall(SYS_ftruncate, fd, len);
}

int rename(const char *from, const char *to)
{
	co_step();
	return syscall(SYS_rename, from, to);
}

int link(const char *from, const char *to)
{
	co_step();
	return syscall(SYS_link, from, to);
}

int unlink(const char *path)
{
	co_step();
	return syscall(SYS_unlink, path);
}

/* NFS, FUSE and 9p may refuse it for a folder. */
int fsync(int fd)
{
	struct stat st;

	if (co_folder && !fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		errno = co_folder;
		return -1;
	}
	return syscall(SYS_fsync, fd);
}

static const char *co_path(const char *name)
{
	static char path[4][128];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", folder, name);
	return path[next];
}

static void co_write(struct vhd_disk *d, uint32_t nr)
{
	uint64_t buf[64];
	uint32_t sector;
	size_t i;

	while (nr--) {
		co->seq++;
		sector = co->seq * 2654435761U % SECTORS;
		for (i = 0; i < 64; i++)
			buf[i] = co->seq;
		co->want[sector] = co->seq;
		if (vhd_disk_write(d, buf, sector, 1))
			co->broken = true;
	}
}

static bool co_good(struct vhd_disk *d)
{
	static uint64_t buf[MIB / 8];
	uint64_t s, i;

	for (s = 0; s < SECTORS; s += MIB / 512) {
		if (vhd_disk_read(d, buf, s, MIB / 512))
			return false;
		for (i = 0; i < MIB / 512; i++)
			if (buf[64 * i] != co->want[s + i] ||
			    buf[64 * i + 63] != co->want[s + i])
				return false;
	}
	return true;
}

/* In the fake tapdisk. */
static int co_image(int type, const char *path)
{
	int err;

	if (type == TD_CTL_PAUSE) {
		co_write(co_disk, co->writes);
		co->pauses++;
		err = -vhd_disk_close(co_disk);
		co->open = false;
		co_disk = NULL;
		return err;
	}
	/* It is not paused. */
	if (co_disk)
		return EINVAL;
	err = -vhd_disk_open(path, 0, NULL, &co_disk);
	co->open = !err;
	if (!err && !co_good(co_disk))
		co->broken = true;
	/* As much again while a merge goes on; it comes to an end. */
	if (!err && co->pauses < 3)
		co_write(co_disk, co->writes);
	return err;
}

static void co_create(const char *name, const char *parent, uint32_t writes)
{
	char path[128];
	struct vhd_disk *d;

	snprintf(path, sizeof(path), "%s", co_path(name));
	assert_int_equal(vhd_disk_create(path, SECTORS, parent ?
					 co_path(parent) : NULL, 0, NULL), 0);
	if (!writes)
		return;
	assert_int_equal(vhd_disk_open(path, 0, NULL, &d), 0);
	co_write(d, writes);
	assert_int_equal(vhd_disk_close(d), 0);
}

static void co_tapdisk(struct tapctl_fake *f)
{
	char name[160];

	snprintf(name, sizeof(name), "vhd:%s", co_path("leaf"));
	tapctl_tap(f, 0, name, "running", 0);
	co->pauses = 0;
	tap_record_drop(&f->env, 0);
	snprintf(pid, sizeof(pid), "%d",
		 tapctl_tapdisk(f, TAPCTL_GOOD, 0, -1));
}

static int co_setup(void **state)
{
	int err = tapctl_setup(state);

	co_folder = 0;
	/* In memory, where nothing waits for a disk. */
	strcpy(folder, "/dev/shm/tapctl.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	memset(co, 0, sizeof(*co));
	co->writes = 20;
	tapctl_image = co_image;
	return err;
}

static int co_teardown(void **state)
{
	char line[256];

	snprintf(line, sizeof(line), "rm -rf %s %s.0", folder, folder);
	return system(line) || tapctl_teardown(state);
}

/* leaf -> upper -> lower -> root, and a tapdisk. */
static void co_up(struct tapctl_fake *f)
{
	co_create("root", NULL, 300);
	co_create("lower", "root", 300);
	co_create("upper", "lower", 100);
	co_create("leaf", "upper", 100);
	co_tapdisk(f);
}

static bool co_exists(const char *name)
{
	return !access(co_path(name), F_OK);
}

/* The chain, as "leaf upper lower root"; not while it is open for writing. */
static void co_chain(const char *want)
{
	const struct vhd_ctx ctx = { .parent_dirs = "/" };
	struct vhd_image *chain, *i;
	char text[256] = "";

	assert_int_equal(vhd_open(&ctx, co_path("leaf"), VHD_OPEN_PARENTS |
				  VHD_OPEN_HEADERS, &chain), 0);
	for (i = chain; i; i = i->parent)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "%s%s", *text ? " " : "", strrchr(i->path, '/') + 1);
	vhd_close(chain);
	assert_string_equal(text, want);
}

/* Nobody has it open; all of it is as it must be. */
static void co_verify(void)
{
	struct vhd_disk *d;

	assert_int_equal(vhd_disk_check(co_path("leaf"), 0, NULL), 0);
	assert_int_equal(vhd_disk_open(co_path("leaf"), VHD_DISK_RDONLY, NULL,
				       &d), 0);
	assert_true(co_good(d));
	assert_int_equal(vhd_disk_close(d), 0);
	assert_false(co->broken);
}

/* Ends the tapdisk, too. */
static void co_end(struct tapctl_fake *f, const char *chain)
{
	static const char *const rest[] = {
		"leaf.coalesce", "leaf.coalesce-new", "lower.coalesced",
		"upper.coalesced", "leaf.coalesced",
	};
	size_t i;

	assert_false(tapctl_exists(f, "run/tap0.opened"));
	assert_int_equal(tapctl_run(f, "pause", "-p", pid, "-m", "0", NULL),
			 0);
	co_chain(chain);
	co_verify();
	for (i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		if (co_exists(rest[i]))
			fail_msg("%s is left behind", rest[i]);
	kill(atoi(pid), SIGKILL);
}

static void co_success(struct tapctl_fake *f, int status)
{
	if (status)
		fail_msg("status %d: %s", status, f->err);
	assert_string_equal(f->err, "");
}

static void co_inner(void **state)
{
	struct tapctl_fake *f = *state;

	co_up(f);
	co_success(f, COALESCE(f, "-i", co_path("lower")));
	assert_int_equal(co->pauses, 1);
	assert_non_null(strstr(f->out, " sectors, 1 pauses, longest "));
	assert_true(co_exists("lower"));
	/* It is still a child of root. */
	unlink(co_path("lower"));
	/* Another one, right below the leaf, and it goes. */
	assert_int_equal(COALESCE(f, "-i", co_path("upper"), "-d", "-P"), 0);
	assert_int_equal(strncmp(f->err, "\r", 1), 0);
	assert_non_null(strstr(f->err, "\r100.00%\n"));
	assert_false(co_exists("upper"));
	co_end(f, "leaf root");
}

static void co_leaf(void **state)
{
	struct tapctl_fake *f = *state;
	struct stat leaf, after;

	co_up(f);
	chmod(co_path("leaf"), 0640);
	stat(co_path("upper"), &leaf);
	co_success(f, COALESCE(f, "-r", "1000"));
	assert_int_equal(co->pauses, 2);
	assert_int_equal(stat(co_path("leaf"), &after), 0);
	assert_int_equal(leaf.st_ino, after.st_ino);
	assert_int_equal(after.st_mode & 0777, 0640);
	assert_false(co_exists("upper"));
	/* The same, if it is said which one. */
	co_success(f, COALESCE(f, "-i", co_path("leaf")));
	co_success(f, COALESCE(f, "-r", "1000"));
	/* There is no parent any more. */
	assert_int_equal(COALESCE(f, "-r", "1000"), EINVAL);
	assert_non_null(strstr(f->err, "has no parent to be merged into"));
	co_end(f, "leaf");
}

/* Folders that cannot be synced; an error of the disk is something else. */
static void co_sync(void **state)
{
	struct tapctl_fake *f = *state;

	co_up(f);
	co_folder = EIO;
	assert_int_equal(COALESCE(f, "-i", co_path("lower")), EIO);
	assert_non_null(strstr(f->err, "cannot sync the folder of "));
	co_folder = EINVAL;
	co_success(f, COALESCE(f, "-i", co_path("lower")));
	co_success(f, COALESCE(f, "-r", "1000"));
	co_end(f, "leaf root");
}

/* A guest that writes a lot: there is more than one round. */
static void co_rounds(void **state)
{
	struct tapctl_fake *f = *state;

	co->writes = 4000;
	co_up(f);
	co_success(f, COALESCE(f, "-r", "1"));
	assert_true(co->pauses > 2);
	co_end(f, "leaf lower root");
}

static void co_refused(struct tapctl_fake *f, int status, int want,
		       const char *text)
{
	assert_int_equal(status, want);
	if (!strstr(f->err, text))
		fail_msg("\"%s\" is not in: %s", text, f->err);
	assert_string_equal(f->out, "");
}

static void co_wrong(void **state)
{
	struct tapctl_fake *f = *state;

	co_up(f);
	co_refused(f, COALESCE(f, "-d"), EINVAL, "-d: needs -i");
	co_refused(f, COALESCE(f, "-r", "0"), EINVAL, "valid range 1..1048576");
	co_refused(f, COALESCE(f, "-i", co_path("root")), EINVAL,
		   "has no parent to be merged into");
	co_create("other", NULL, 0);
	co_refused(f, COALESCE(f, "-i", co_path("other")), ENOENT,
		   "is not in the chain of");
	co_refused(f, tapctl_run(f, "coalesce", "-p", "1", "-m", "1", NULL),
		   ENODEV, "no tap with minor 1");
	/* Others read what is to be changed, or deleted. */
	co_create("sister", "lower", 0);
	co_refused(f, COALESCE(f, "-i", co_path("lower"), "-d"), EBUSY,
		   "/sister is a child of it, too");
	co_refused(f, COALESCE(f, "-i", co_path("upper")), EBUSY,
		   "/sister is a child of it as well as ");
	assert_int_equal(co->pauses, 0);
	co_success(f, COALESCE(f, "-i", co_path("lower")));
	/* Not paused by us. */
	assert_int_equal(tapctl_run(f, "pause", "-p", pid, "-m", "0", NULL),
			 0);
	co_refused(f, COALESCE(f, "-r", "9"), EBUSY, "unpause it first");
	assert_int_equal(tapctl_run(f, "unpause", "-p", pid, "-m", "0", NULL),
			 0);
	/* A file of somebody else's by a name of ours. */
	co_create("leaf.coalesce", NULL, 0);
	unlink(co_path("sister"));
	co_refused(f, COALESCE(f, "-r", "9"), EEXIST, "is in the way");
	unlink(co_path("leaf.coalesce"));
	co_end(f, "leaf upper root");
}

/* The pause, or to go on, fails: the tap goes on, the chain is good. */
static void co_failures(void **state)
{
	struct tapctl_fake *f = *state;

	co_up(f);
	tapctl_write(f, "fail.PAUSE", "%d", ENOMEM);
	assert_int_equal(COALESCE(f, "-r", "9"), ENOMEM);
	assert_int_equal(COALESCE(f, "-i", co_path("lower"), "-d"), ENOMEM);
	tapctl_write(f, "fail.PAUSE", "0");
	/* Unpause is refused once: what is done is done, and found so. */
	tapctl_write(f, "fail.RESUME", "%d 1", ENOMEM);
	assert_int_equal(COALESCE(f, "-i", co_path("lower"), "-d"), ENOMEM);
	assert_true(co_exists("lower"));
	co_success(f, COALESCE(f, "-i", co_path("lower"), "-d"));
	assert_false(co_exists("lower"));
	tapctl_write(f, "fail.RESUME", "%d 1", ENOMEM);
	assert_int_equal(COALESCE(f, "-r", "9"), ENOMEM);
	co_success(f, COALESCE(f, "-r", "9"));
	co_end(f, "leaf root");
}

/* A tapdisk that died in our pause is replaced, with what the name leads to. */
static void co_recover(void **state)
{
	struct tapctl_fake *f = *state;
	struct tap_record rec = { .paused = true };

	co_up(f);
	kill(atoi(pid), SIGKILL);
	while (tapctl_alive(atoi(pid)))
		usleep(1000);
	tapctl_tap(f, 0, tapctl_read(f, "x"), "waiting", 0);
	tapctl_write(f, "sys/class/blktap2/blktap0/name", "vhd:%s\n",
		     co_path("leaf"));
	assert_int_equal(tap_record_save(&f->env, 0, &rec), 0);
	assert_int_equal(tapctl_run(f, "recover", "-m", "0", NULL), EBUSY);
	rec.live = true;
	assert_int_equal(tap_record_save(&f->env, 0, &rec), 0);
	assert_int_equal(tapctl_run(f, "recover", "-m", "0", NULL), 0);
	assert_false(tapctl_exists(f, "run/tap0.opened"));
}

/* Killed at step @step of all; false if it has no such step. */
static bool co_kill(struct tapctl_fake *f, int step, const char *image)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		co_left = step;
		_exit(image ? COALESCE(f, "-i", image, "-d") :
			      COALESCE(f, "-r", "1000"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		fail_msg("step %d: status %d: %s", step, WEXITSTATUS(status),
			 tapctl_read(f, "stderr"));
	return WIFSIGNALED(status);
}

/* What @image NULL, or its name, comes to if it is killed anywhere. */
static void co_kill_all(struct tapctl_fake *f, const char *image,
			const char *chain)
{
	static struct co_world saved;
	char path[128], line[512];
	struct vhd_disk *d;
	bool killed = true;
	int step;

	snprintf(path, sizeof(path), "%s", co_path(image ? image : "leaf"));
	co_create("root", NULL, 20);
	co_create("upper", "root", 30);
	co_create("leaf", "upper", 30);
	saved = *co;
	snprintf(line, sizeof(line), "cp -a %s %s.0", folder, folder);
	assert_int_equal(system(line), 0);
	snprintf(line, sizeof(line), "rm -r %s && cp -a --sparse=always %s.0 %s",
		 folder, folder, folder);
	for (step = 1; killed; step++) {
		assert_int_equal(system(line), 0);
		*co = saved;
		tapctl_write(f, "log", "%s", "");
		co_tapdisk(f);
		killed = co_kill(f, step, image ? path : NULL);
		/* Were it to start again now: it is all there. */
		if (!co->open) {
			assert_int_equal(vhd_disk_open(co_path("leaf"),
						       VHD_DISK_RDONLY, NULL,
						       &d), 0);
			assert_true(co_good(d));
			assert_int_equal(vhd_disk_close(d), 0);
		}
		if (killed)
			co_success(f, image ? COALESCE(f, "-i", path, "-d") :
					      COALESCE(f, "-r", "1000"));
		co_end(f, chain);
		if (image)
			assert_false(co_exists(image));
		waitpid(atoi(pid), NULL, 0);
		snprintf(path, sizeof(path), "%s",
			 co_path(image ? image : "leaf"));
	}
	assert_true(step > 20);
	printf("# killed at %d steps\n", step - 2);
}

static void co_kill_inner(void **state)
{
	co_kill_all(*state, "upper", "leaf root");
}

static void co_kill_leaf(void **state)
{
	co_kill_all(*state, NULL, "leaf root");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, co_setup, \
						   co_teardown)
	const struct CMUnitTest tests[] = {
		TEST(co_inner),
		TEST(co_leaf),
		TEST(co_sync),
		TEST(co_rounds),
		TEST(co_wrong),
		TEST(co_failures),
		TEST(co_recover),
		TEST(co_kill_inner),
		TEST(co_kill_leaf),
	};

	tapctl_fake_main();
	co = mmap(NULL, sizeof(*co), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests_name("tapctl_coalesce", tests, NULL,
					   NULL);
}
