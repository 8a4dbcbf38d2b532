// SPDX-License-Identifier: GPL-2.0
#include "tapctl_fake.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/blktap2.h>

#define TAPCTL_MAX 8

/* Of the control ioctls, which have no other way to it. */
static struct tapctl_fake *tapctl_world;

int (*tapctl_image)(int type, const char *path);

static void tapctl_path(struct tapctl_fake *f, char *path, size_t size,
			const char *name)
{
	snprintf(path, size, "%s/%s", f->root, name);
}

void tapctl_write(struct tapctl_fake *f, const char *name, const char *fmt,
		  ...)
{
	char path[PATH_MAX];
	va_list ap;
	FILE *file;

	tapctl_path(f, path, sizeof(path), name);
	file = fopen(path, "w");
	if (!file)
		abort();
	va_start(ap, fmt);
	vfprintf(file, fmt, ap);
	va_end(ap);
	fclose(file);
}

const char *tapctl_read(struct tapctl_fake *f, const char *name)
{
	static char buf[16384];
	char path[PATH_MAX];

	tapctl_path(f, path, sizeof(path), name);
	if (tap_read_file(path, buf, sizeof(buf)) < 0)
		buf[0] = '\0';
	return buf;
}

bool tapctl_exists(struct tapctl_fake *f, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	tapctl_path(f, path, sizeof(path), name);
	return !lstat(path, &st);
}

static void tapctl_attr(struct tapctl_fake *f, int minor, const char *attr,
			const char *fmt, ...)
{
	char name[128], value[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	snprintf(name, sizeof(name), "sys/class/blktap2/blktap%d/%s", minor,
		 attr);
	tapctl_write(f, name, "%s\n", value);
}

void tapctl_tap(struct tapctl_fake *f, int minor, const char *name,
		const char *state, int task)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/class/blktap2/blktap%d", f->root,
		 minor);
	tap_mkdirs(path, 0755);
	if (name)
		tapctl_attr(f, minor, "name", "%s", name);
	else
		tapctl_attr(f, minor, "name", "%d", minor);
	tapctl_attr(f, minor, "state", "%s", state);
	tapctl_attr(f, minor, "mode", "%s",
		    !strcmp(state, "no-disk") ? "none" : "direct");
	tapctl_attr(f, minor, "task", "%d", task);
	tapctl_attr(f, minor, "remove", "%s", "");
}

void tapctl_disk(struct tapctl_fake *f, int minor, uint64_t sectors, bool ro)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/dev/block/252:%d", f->root,
		 minor);
	tap_mkdirs(path, 0755);
	snprintf(path, sizeof(path), "sys/dev/block/252:%d/size", minor);
	tapctl_write(f, path, "%llu\n", (unsigned long long)sectors);
	snprintf(path, sizeof(path), "sys/dev/block/252:%d/ro", minor);
	tapctl_write(f, path, "%d\n", ro);
}

/* What the kernel does for the control node. */
#define TAPCTL_MISC	" 58 vhost-net\n250 blktap-control\n"

/* There is a module to load if there is the file "module". */
static int tapctl_load(void)
{
	if (!tapctl_exists(tapctl_world, "module"))
		return -ENOENT;
	tapctl_write(tapctl_world, "proc/misc", TAPCTL_MISC);
	return 0;
}

static int tapctl_control(const char *path, unsigned long cmd,
			  unsigned long arg)
{
	struct tapctl_fake *f = tapctl_world;
	struct blktap_info *info = (struct blktap_info *)arg;
	char name[128], line[256];
	struct stat st;
	int minor;

	if (lstat(path, &st) || !S_ISCHR(st.st_mode))
		return -ENXIO;
	switch (cmd) {
	case BLKTAP_IOCTL_ALLOC_TAP:
		for (minor = 0; ; minor++) {
			snprintf(name, sizeof(name),
				 "sys/class/blktap2/blktap%d", minor);
			if (!tapctl_exists(f, name))
				break;
		}
		/* Others would find it free as well, were there no lock. */
		tap_sleep(10);
		tapctl_tap(f, minor, NULL, "no-disk", 0);
		*info = (struct blktap_info){ 240, 252, minor };
		return 0;
	case BLKTAP_IOCTL_FREE_TAP:
		minor = (int)arg;
		snprintf(name, sizeof(name), "sys/class/blktap2/blktap%d",
			 minor);
		if (!tapctl_exists(f, name))
			return -ENODEV;
		snprintf(name, sizeof(name), "sys/class/blktap2/blktap%d/task",
			 minor);
		if (tapctl_alive(atoi(tapctl_read(f, name))))
			return -EBUSY;
		snprintf(line, sizeof(line),
			 "rm -r %s/sys/class/blktap2/blktap%d", f->root, minor);
		return system(line) ? -EIO : 0;
	}
	return -ENOTTY;
}

bool tapctl_alive(pid_t pid)
{
	if (pid <= 0)
		return false;
	waitpid(pid, NULL, WNOHANG);
	return !kill(pid, 0);
}

static void tapctl_point(struct tapctl_fake *f)
{
	const char *names[4] = { "proc", "sys", "dev/xen/blktap-2", "run" };
	int i;

	for (i = 0; i < 4; i++) {
		snprintf(f->dirs[i], sizeof(f->dirs[i]), "%s/%s", f->root,
			 names[i]);
		tap_mkdirs(f->dirs[i], 0755);
	}
	f->env = (struct tap_env){
		.proc = f->dirs[0], .sysfs = f->dirs[1], .dev = f->dirs[2],
		.run = f->dirs[3], .control = tapctl_control,
		.load = tapctl_load,
	};
}

int tapctl_setup(void **state)
{
	struct tapctl_fake *f = calloc(1, sizeof(*f));
	char self[PATH_MAX];
	ssize_t n;

	strcpy(f->root, "/tmp/tapctl.XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	tapctl_point(f);
	tapctl_write(f, "proc/misc", TAPCTL_MISC);
	tapctl_write(f, "proc/devices",
		     "Character devices:\n  1 mem\n240 blktap2\n241 tapdev\n\n"
		     "Block devices:\n251 blktap2\n252 tapdev\n");
	tapctl_write(f, "log", "%s", "");
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -1;
	self[n] = '\0';
	setenv("TAPDISK", self, 1);
	unsetenv("TAPDISK2");
	setenv("TAPCTL_FAKE_ROOT", f->root, 1);
	/* Daemons become ours, so that we can end them. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tapctl_world = f;
	*state = f;
	return 0;
}

int tapctl_teardown(void **state)
{
	struct tapctl_fake *f = *state;
	char line[128];
	int *pids, i, n;

	n = tap_list_sockets(&f->env, &pids);
	for (i = 0; i < n; i++)
		if (pids[i] != getpid())
			kill(pids[i], SIGKILL);
	free(pids);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	snprintf(line, sizeof(line), "rm -rf %s", f->root);
	i = system(line);
	unsetenv("TAPCTL_FAKE_ROOT");
	free(f);
	return i ? -1 : 0;
}

static int tapctl_catch(struct tapctl_fake *f, const char *name, int fd)
{
	char path[PATH_MAX];
	int saved = dup(fd), file;

	tapctl_path(f, path, sizeof(path), name);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(file, fd);
	close(file);
	return saved;
}

int tapctl_run(struct tapctl_fake *f, ...)
{
	char *argv[32] = { (char *)"tap-ctl" };
	int argc = 1, out, err, status;
	va_list ap;

	va_start(ap, f);
	do {
		argv[argc] = va_arg(ap, char *);
	} while (argv[argc++]);
	va_end(ap);
	fflush(stdout);
	out = tapctl_catch(f, "stdout", STDOUT_FILENO);
	err = tapctl_catch(f, "stderr", STDERR_FILENO);
	status = tap_ctl_main(&f->env, argc - 1, argv);
	fflush(stdout);
	fflush(stderr);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	snprintf(f->out, sizeof(f->out), "%s", tapctl_read(f, "stdout"));
	snprintf(f->err, sizeof(f->err), "%s", tapctl_read(f, "stderr"));
	return status;
}

/* The fake tapdisk from here on. */

struct tapctl_disk {
	int minor;
	char path[TD_CTL_PATH_MAX];
	int state;
};

struct tapctl_daemon {
	struct tapctl_fake f;
	enum tapctl_manner manner;
	struct tapctl_disk disks[TAPCTL_MAX];
	int nr;
	bool had_one;
};

static void tapctl_log(struct tapctl_daemon *d, const char *fmt, ...)
{
	char path[PATH_MAX], line[600];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	tapctl_path(&d->f, path, sizeof(path), "log");
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd < 0 || write(fd, line, n) != n)
		abort();
	close(fd);
}

static struct tapctl_disk *tapctl_find(struct tapctl_daemon *d, int minor)
{
	int i;

	for (i = 0; i < d->nr; i++)
		if (d->disks[i].minor == minor)
			return &d->disks[i];
	return NULL;
}

static void tapctl_send(int fd, const void *buf, size_t len)
{
	if (send(fd, buf, len, MSG_NOSIGNAL) < 0 && errno != EPIPE &&
	    errno != ECONNRESET)
		abort();
}

static const char *const tapctl_names[] = {
	[TD_CTL_ATTACH] = "ATTACH", [TD_CTL_OPEN] = "OPEN",
	[TD_CTL_PAUSE] = "PAUSE", [TD_CTL_RESUME] = "RESUME",
	[TD_CTL_CLOSE] = "CLOSE", [TD_CTL_DETACH] = "DETACH",
	[TD_CTL_LIST] = "LIST", [TD_CTL_STATS] = "STATS",
	[TD_CTL_FORCE_SHUTDOWN] = "FORCE_SHUTDOWN",
};

/* The errno in fail.NAME; "16 2" is EBUSY for two times, then no failure. */
static int tapctl_failure(struct tapctl_daemon *d, const char *name)
{
	int error = 0, times = -1;
	char file[32];

	snprintf(file, sizeof(file), "fail.%s", name);
	if (sscanf(tapctl_read(&d->f, file), "%d %d", &error, &times) == 2) {
		if (!times)
			return 0;
		tapctl_write(&d->f, file, "%d %d", error, times - 1);
	}
	return error;
}

static int tapctl_attach(struct tapctl_daemon *d, int minor)
{
	if (tapctl_find(d, minor))
		return EEXIST;
	d->disks[d->nr++].minor = minor;
	d->had_one = true;
	tapctl_attr(&d->f, minor, "task", "%d", (int)getpid());
	return 0;
}

/* Resume: the kernel is told that the image is larger. */
static void tapctl_grow(struct tapctl_daemon *d, const struct tapctl_disk *disk)
{
	const char *path = strchr(disk->path, ':');
	uint64_t size, footer;
	struct stat st;
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "sys/dev/block/252:%d/size", disk->minor);
	if (!path || !tapctl_exists(&d->f, name) ||
	    tapctl_exists(&d->f, "fail.GROW"))
		return;
	fd = open(path + 1, O_RDONLY);
	if (fd < 0 || fstat(fd, &st))
		abort();
	size = st.st_size;
	/* The size is in the footer of a VHD. */
	if (!strncmp(disk->path, "vhd:", 4)) {
		if (pread(fd, &footer, 8, st.st_size - 512 + 48) != 8)
			abort();
		size = be64toh(footer);
	}
	close(fd);
	if (size / 512 > strtoull(tapctl_read(&d->f, name), NULL, 10))
		tapctl_disk(&d->f, disk->minor, size / 512, false);
}

static int tapctl_tell(const struct tapctl_disk *disk, int type)
{
	const char *path = strchr(disk->path, ':');

	return tapctl_image && path ? tapctl_image(type, path + 1) : 0;
}

static int tapctl_do(struct tapctl_daemon *d, struct td_ctl_msg *msg)
{
	struct tapctl_disk *disk = tapctl_find(d, msg->cookie);
	struct td_ctl_params *p = &msg->u.params;
	int error;

	if (msg->type == TD_CTL_ATTACH)
		return tapctl_attach(d, msg->cookie);
	if (!disk)
		return ENODEV;
	switch (msg->type) {
	case TD_CTL_OPEN:
		snprintf(disk->path, sizeof(disk->path), "%.255s", p->path);
		tapctl_attr(&d->f, disk->minor, "name", "%s", disk->path);
		tapctl_attr(&d->f, disk->minor, "state", "running");
		break;
	case TD_CTL_PAUSE:
		if (disk->state == TD_CTL_PAUSED)
			break;
		error = tapctl_tell(disk, TD_CTL_PAUSE);
		if (error)
			return error;
		disk->state = TD_CTL_PAUSED;
		break;
	case TD_CTL_RESUME:
		error = tapctl_tell(disk, TD_CTL_RESUME);
		if (error)
			return error;
		disk->state = 0;
		if (p->path[0])
			snprintf(disk->path, sizeof(disk->path), "%.255s",
				 p->path);
		tapctl_grow(d, disk);
		break;
	case TD_CTL_CLOSE:
	case TD_CTL_FORCE_SHUTDOWN:
		if (!disk->path[0])
			return EINVAL;
		disk->path[0] = '\0';
		tapctl_attr(&d->f, disk->minor, "state", "no-disk");
		break;
	case TD_CTL_DETACH:
		if (disk->path[0])
			return EBUSY;
		tapctl_attr(&d->f, disk->minor, "task", "0");
		*disk = d->disks[--d->nr];
		break;
	default:
		return EINVAL;
	}
	return 0;
}

static void tapctl_serve_list(struct tapctl_daemon *d, int fd)
{
	struct td_ctl_msg msg = { .type = TD_CTL_LIST_RSP };
	int i;

	for (i = 0; i < d->nr; i++) {
		msg.u.list.count = d->nr - i;
		msg.u.list.minor = d->disks[i].minor;
		msg.u.list.state = d->disks[i].state;
		strcpy(msg.u.list.path, d->disks[i].path);
		tapctl_send(fd, &msg, sizeof(msg));
	}
	for (; d->manner == TAPCTL_ENDLESS && i < 10000; i++) {
		msg.u.list.minor = i;
		tapctl_send(fd, &msg, sizeof(msg));
	}
	memset(&msg.u, 0, sizeof(msg.u));
	tapctl_send(fd, &msg, sizeof(msg));
}

static void tapctl_serve_stats(struct tapctl_daemon *d, int fd, int minor)
{
	struct td_ctl_msg msg = { .type = TD_CTL_STATS_RSP, .cookie = minor };
	char text[200];

	if (d->manner == TAPCTL_NO_JSON)
		strcpy(text, "{ \"name\": \"vhd:/a/x.vhd\", ");
	else
		snprintf(text, sizeof(text),
			 "{ \"name\": \"vhd:/a/x.vhd\", \"secs\": [ 8, 16 ], \"images\": [  ] }");
	if (tapctl_find(d, minor))
		msg.u.stat.length = strlen(text);
	tapctl_send(fd, &msg, sizeof(msg));
	tapctl_send(fd, text, msg.u.stat.length);
}

static void tapctl_serve(struct tapctl_daemon *d, int fd)
{
	const struct td_ctl_params *p;
	struct td_ctl_msg msg;
	const char *name;
	int error;

	if (recv(fd, &msg, sizeof(msg), MSG_WAITALL) != sizeof(msg))
		return;
	if (msg.type >= sizeof(tapctl_names) / sizeof(tapctl_names[0]) ||
	    !tapctl_names[msg.type])
		abort();
	name = tapctl_names[msg.type];
	p = &msg.u.params;
	if (msg.type != TD_CTL_LIST && msg.type != TD_CTL_STATS)
		tapctl_log(d, "%s %d", name, msg.cookie);
	if (msg.type == TD_CTL_OPEN || msg.type == TD_CTL_RESUME)
		tapctl_log(d, " %s flags=%#x prt=%u timeout=%u secondary=%s",
			   p->path, p->flags, p->prt_devnum, p->req_timeout,
			   p->secondary);
	if (msg.type != TD_CTL_LIST && msg.type != TD_CTL_STATS)
		tapctl_log(d, "\n");
	switch (d->manner) {
	case TAPCTL_SHORT:
		tapctl_send(fd, &msg, sizeof(msg) - 1);
		return;
	case TAPCTL_GARBAGE:
		memset(&msg, 0xa5, sizeof(msg));
		tapctl_send(fd, &msg, sizeof(msg));
		return;
	case TAPCTL_DYING:
		_exit(1);
	case TAPCTL_SLOW:
		if (msg.type == TD_CTL_LIST)
			break;
		/* Another descriptor keeps the connection. */
		if (dup(fd) < 0)
			abort();
		return;
	default:
		break;
	}
	error = d->manner == TAPCTL_REFUSING ? EBUSY : tapctl_failure(d, name);
	if (!error && msg.type == TD_CTL_LIST) {
		tapctl_serve_list(d, fd);
		return;
	}
	if (!error && msg.type == TD_CTL_STATS) {
		tapctl_serve_stats(d, fd, msg.cookie);
		return;
	}
	if (!error)
		error = tapctl_do(d, &msg);
	memset(&msg.u, 0, sizeof(msg.u));
	msg.type = msg.type == TD_CTL_FORCE_SHUTDOWN ? TD_CTL_CLOSE_RSP :
						       msg.type + 1;
	if (error) {
		msg.type = TD_CTL_ERROR;
		msg.u.response.error = error;
		snprintf(msg.u.response.message, 64, "fake \033[1mtapdisk");
	}
	tapctl_send(fd, &msg, sizeof(msg));
}

static int tapctl_listen(struct tapctl_daemon *d)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/ctl%d",
		 d->f.root, (int)getpid());
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 32))
		abort();
	return fd;
}

static void tapctl_loop(struct tapctl_daemon *d, int listener)
{
	char path[PATH_MAX];
	int fd;

	while (!d->had_one || d->nr) {
		fd = accept(listener, NULL, NULL);
		if (d->manner == TAPCTL_STUCK)
			continue;
		if (fd < 0)
			abort();
		tapctl_serve(d, fd);
		close(fd);
	}
	snprintf(path, sizeof(path), "%s/run/ctl%d", d->f.root, (int)getpid());
	unlink(path);
}

static void tapctl_manner(struct tapctl_daemon *d)
{
	int manner = 0;

	sscanf(tapctl_read(&d->f, "manner"), "%d", &manner);
	d->manner = manner;
}

void tapctl_fake_main(void)
{
	const char *root = getenv("TAPCTL_FAKE_ROOT");
	struct tapctl_daemon d = {};
	char line[16];
	int ready[2], listener, fd;
	pid_t pid;

	if (!root)
		return;
	/* What a caller holds must not get here. */
	if (fcntl(3, F_GETFD) != -1) {
		printf("descriptor 3 was inherited\n");
		exit(1);
	}
	snprintf(d.f.root, sizeof(d.f.root), "%s", root);
	tapctl_point(&d.f);
	if (tapctl_exists(&d.f, "fail.spawn")) {
		fprintf(stderr, "fake tapdisk does not like it here\n");
		exit(5);
	}
	tapctl_manner(&d);
	if (pipe(ready))
		exit(1);
	pid = fork();
	if (pid) {
		if (read(ready[0], line, 1) != 1)
			exit(1);
		printf("%s/run/ctl%d\n", root, (int)pid);
		fflush(stdout);
		_exit(0);
	}
	setsid();
	listener = tapctl_listen(&d);
	if (write(ready[1], "x", 1) != 1)
		abort();
	close(ready[1]);
	for (fd = 0; fd < 3; fd++)
		dup2(ready[0], fd);
	tapctl_log(&d, "start\n");
	tapctl_loop(&d, listener);
	tapctl_log(&d, "end\n");
	_exit(0);
}

pid_t tapctl_tapdisk(struct tapctl_fake *f, enum tapctl_manner manner, ...)
{
	struct tapctl_daemon d = { .f = *f, .manner = manner };
	int ready[2], minor, listener;
	char name[128], c;
	va_list ap;
	pid_t pid;

	if (pipe(ready))
		abort();
	pid = fork();
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			abort();
		close(ready[0]);
		return pid;
	}
	va_start(ap, manner);
	while ((minor = va_arg(ap, int)) >= 0) {
		tapctl_attach(&d, minor);
		snprintf(name, sizeof(name),
			 "sys/class/blktap2/blktap%d/name", minor);
		snprintf(d.disks[d.nr - 1].path, sizeof(d.disks[0].path),
			 "%.250s", tapctl_read(f, name));
		d.disks[d.nr - 1].path[strcspn(d.disks[d.nr - 1].path,
					       "\n")] = '\0';
		if (!strchr(d.disks[d.nr - 1].path, ':'))
			d.disks[d.nr - 1].path[0] = '\0';
		if (tapctl_tell(&d.disks[d.nr - 1], TD_CTL_OPEN))
			abort();
	}
	va_end(ap);
	listener = tapctl_listen(&d);
	if (write(ready[1], "x", 1) != 1)
		abort();
	close(ready[1]);
	tapctl_loop(&d, listener);
	_exit(0);
}
