// SPDX-License-Identifier: GPL-2.0
/*
 * A tap as its server sees it; see tap.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tap.h"

#define TAP_DIR		"/dev/xen/blktap-2"

int tap_control(unsigned long nr, unsigned long arg)
{
	int fd = open(TAP_DIR "/control", O_RDWR | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, nr, arg) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int tap_alloc(struct tap *t)
{
	struct blktap_info info;
	int ret = tap_control(BLKTAP_IOCTL_ALLOC_TAP, (unsigned long)&info);

	memset(t, 0, sizeof(*t));
	t->fd = -1;
	t->minor = info.ring_minor;
	t->bdev_major = info.bdev_major;
	t->ring_major = info.ring_major;
	return ret;
}

int tap_free(int minor)
{
	return tap_control(BLKTAP_IOCTL_FREE_TAP, minor);
}

int tap_open(struct tap *t)
{
	char path[64];

	t->map = NULL;
	t->req_cons = 0;
	t->rsp_prod = 0;
	snprintf(path, sizeof(path), TAP_DIR "/blktap%d", t->minor);
	t->fd = open(path, O_RDWR | O_CLOEXEC);
	return t->fd < 0 ? -errno : 0;
}

int tap_map(struct tap *t)
{
	t->map = mmap(NULL, TAP_MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      t->fd, 0);
	if (t->map == MAP_FAILED) {
		t->map = NULL;
		return -errno;
	}
	return 0;
}

int tap_ioctl(struct tap *t, unsigned long nr, void *arg)
{
	int ret = ioctl(t->fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

int tap_setup(struct tap *t, unsigned int depth, unsigned int max_io)
{
	struct blktap_direct_setup setup = {
		.version = BLKTAP_DIRECT_VERSION,
		.depth = depth,
		.max_io = max_io,
	};

	return tap_ioctl(t, BLKTAP_IOCTL_DIRECT_SETUP, &setup);
}

int tap_create(struct tap *t, uint64_t sectors, unsigned long flags)
{
	struct blktap_device_info info = {
		.capacity = sectors,
		.sector_size = 512,
		.flags = flags,
		.phys_block_size = 4096,
		.trim_block_size = 4096,
	};

	return tap_ioctl(t, BLKTAP_IOCTL_CREATE_DEVICE, &info);
}

int tap_remove(struct tap *t)
{
	int ret, i;

	/* Something like udev may have it open for a moment. */
	for (i = 0; i < 500; i++) {
		ret = tap_ioctl(t, BLKTAP_IOCTL_REMOVE_DEVICE, NULL);
		if (ret != -EBUSY)
			break;
		usleep(10000);
	}
	return ret;
}

void tap_close(struct tap *t)
{
	if (t->map)
		munmap(t->map, TAP_MAP_SIZE);
	t->map = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

static void tap_attr_path(char *path, size_t size, int minor, const char *attr)
{
	if (*attr == '/')
		snprintf(path, size, "%s", attr);
	else
		snprintf(path, size, "/sys/class/blktap2/blktap%d/%s", minor,
			 attr);
}

int tap_attr_read(int minor, const char *attr, char *buf, size_t size)
{
	char path[256];
	ssize_t n;
	int fd;

	tap_attr_path(path, sizeof(path), minor, attr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0) {
		close(fd);
		return -errno;
	}
	close(fd);
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return n;
}

int tap_attr_write(int minor, const char *attr, const char *value)
{
	char path[256];
	int fd, ret = 0;

	tap_attr_path(path, sizeof(path), minor, attr);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

bool tap_attr_is(int minor, const char *attr, const char *value)
{
	char buf[512];

	if (tap_attr_read(minor, attr, buf, sizeof(buf)) < 0)
		return false;
	if (strcmp(buf, value)) {
		printf("# %s of tap %d is \"%s\", not \"%s\"\n", attr, minor,
		       buf, value);
		return false;
	}
	return true;
}

int tap_disk_open(int minor, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), TAP_DIR "/tapdev%d", minor);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Ring mode.
 */

struct blktap_sring *tap_ring(struct tap *t)
{
	return (struct blktap_sring *)t->map;
}

char *tap_data(struct tap *t, unsigned int id, unsigned int seg)
{
	return t->map + 4096 * (1 + id * BLKTAP_SEGMENT_MAX + seg);
}

int tap_fetch(struct tap *t, struct blktap_ring_request *req, int ms)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };
	struct blktap_sring *ring = tap_ring(t);

	if (__atomic_load_n(&ring->req_prod, __ATOMIC_ACQUIRE) == t->req_cons) {
		if (poll(&pfd, 1, ms) < 0)
			return -errno;
		if (__atomic_load_n(&ring->req_prod, __ATOMIC_ACQUIRE) ==
		    t->req_cons)
			return 0;
	}
	*req = ring->ring[t->req_cons++ % BLKTAP_RING_ENTRIES].req;
	return 1;
}

void tap_answer(struct tap *t, uint64_t id, uint8_t op, int16_t status)
{
	union blktap_ring_entry *entry;

	entry = &tap_ring(t)->ring[t->rsp_prod++ % BLKTAP_RING_ENTRIES];
	entry->rsp.id = id;
	entry->rsp.operation = op;
	entry->rsp.status = status;
}

int tap_respond(struct tap *t)
{
	__atomic_store_n(&tap_ring(t)->rsp_prod, t->rsp_prod, __ATOMIC_RELEASE);
	return tap_ioctl(t, BLKTAP_IOCTL_RESPOND, NULL);
}

/* Do what the request says with @file, and answer it. */
int tap_ring_serve(struct tap *t, const struct blktap_ring_request *req,
		   int file)
{
	uint64_t at = req->sector_number * 512;
	int16_t status = BLKTAP_RSP_OKAY;
	unsigned int i;

	switch (req->operation) {
	case BLKTAP_OP_READ:
	case BLKTAP_OP_WRITE:
		for (i = 0; i < req->nr_segments; i++) {
			const struct blktap_ring_segment *s = &req->u.seg[i];
			char *data = tap_data(t, req->id, i) +
				     s->first_sect * 512;
			ssize_t n = (s->last_sect - s->first_sect + 1) * 512;
			ssize_t r;

			r = req->operation == BLKTAP_OP_READ ?
			    pread(file, data, n, at) :
			    pwrite(file, data, n, at);
			if (r != n)
				status = BLKTAP_RSP_ERROR;
			at += n;
		}
		break;
	case BLKTAP_OP_FLUSH:
		if (fdatasync(file))
			status = BLKTAP_RSP_ERROR;
		break;
	case BLKTAP_OP_TRIM:
		if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      at, req->u.nr_sectors * 512))
			status = BLKTAP_RSP_ERROR;
		break;
	default:
		status = BLKTAP_RSP_EOPNOTSUPP;
		break;
	}
	tap_answer(t, req->id, req->operation, status);
	return tap_respond(t);
}

/*
 * Direct mode.
 */

int tap_xfer(struct tap *t, const struct blktap_direct_cmd *cmds,
	     unsigned int nr, struct blktap_direct_event *events,
	     unsigned int max, unsigned int *nr_cmds)
{
	struct blktap_direct_xfer x = {
		.cmds = (uintptr_t)cmds,
		.events = (uintptr_t)events,
		.nr_cmds = nr,
		.max_events = max,
	};
	int ret = tap_ioctl(t, BLKTAP_IOCTL_DIRECT_XFER, &x);

	if (nr_cmds)
		*nr_cmds = x.nr_cmds;
	return ret < 0 ? ret : (int)x.max_events;
}

int tap_events(struct tap *t, struct blktap_direct_event *events,
	       unsigned int max, int ms)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };

	if (poll(&pfd, 1, ms) < 0)
		return -errno;
	return tap_xfer(t, NULL, 0, events, max, NULL);
}

int tap_file(struct tap *t, unsigned int index, int fd)
{
	struct blktap_direct_file file = { .index = index, .fd = fd };

	return tap_ioctl(t, BLKTAP_IOCTL_DIRECT_FILE, &file);
}

int tap_end(struct tap *t, uint32_t tag, int result)
{
	struct blktap_direct_cmd cmd = {
		.tag = tag,
		.op = BLKTAP_CMD_END,
		.result = result,
	};

	return tap_xfer(t, &cmd, 1, NULL, 0, NULL);
}

int tap_map_extents(struct tap *t, uint32_t tag,
		    const struct blktap_direct_extent *extents,
		    unsigned int nr, unsigned int flags)
{
	struct blktap_direct_cmd cmd = {
		.tag = tag,
		.op = BLKTAP_CMD_MAP,
		.flags = flags,
		.nr_extents = nr,
		.extents = (uintptr_t)extents,
	};

	return tap_xfer(t, &cmd, 1, NULL, 0, NULL);
}

/* Do what the event says with @file, which is also file number 0. */
int tap_direct_serve(struct tap *t, const struct blktap_direct_event *event,
		     int file)
{
	struct blktap_direct_extent extent = {
		.addr = event->sector * 512,
		.len = event->nr_sectors * 512,
	};
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int ret = 0;

	if (event->type == BLKTAP_EVENT_MAPPED)
		return tap_end(t, event->tag, event->result);
	switch (event->op) {
	case BLKTAP_OP_READ:
	case BLKTAP_OP_WRITE:
		return tap_map_extents(t, event->tag, &extent, 1,
				       BLKTAP_MAP_END |
				       (event->flags & BLKTAP_REQ_FUA ?
					BLKTAP_MAP_DSYNC : 0));
	case BLKTAP_OP_FLUSH:
		ret = fdatasync(file) ? -errno : 0;
		break;
	case BLKTAP_OP_WRITE_ZEROES:
		mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		/* fall through */
	case BLKTAP_OP_TRIM:
		ret = fallocate(file, mode, extent.addr,
				event->nr_sectors * 512ULL) ? -errno : 0;
		break;
	default:
		ret = -EOPNOTSUPP;
		break;
	}
	return tap_end(t, event->tag, ret);
}
