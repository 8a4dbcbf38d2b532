// SPDX-License-Identifier: GPL-2.0
#include "fake_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ring.h"
#include "td_log.h"

struct fake_ring fake;

static struct td_timer fake_limit;
/* Made before the sandbox, in which it could not be. */
static int fake_eventfd = -1;

static void fake_wake(void)
{
	uint64_t one = 1;

	if (fake.fd >= 0)
		(void)!write(fake.fd, &one, sizeof(one));
}

static bool fake_all_ended(void)
{
	unsigned int i;

	for (i = 0; i < FAKE_DEPTH; i++)
		if (fake.reqs[i].state != FAKE_FREE &&
		    fake.reqs[i].state != FAKE_ENDED)
			return false;
	return true;
}

static void fake_end(struct fake_req *req, int result)
{
	req->state = FAKE_ENDED;
	req->result = result;
	if (fake_all_ended())
		td_loop_stop();
}

static int fake_open(int minor)
{
	if (minor > 7)
		return -ENXIO;
	fake.fd = fcntl(fake_eventfd, F_DUPFD_CLOEXEC, 0);
	return fake.fd;
}

static void fake_close(int fd)
{
	close(fd);
	fake.fd = -1;
}

static int fake_setup(int fd, struct blktap_direct_setup *setup)
{
	(void)fd;
	if (setup->version < 1 || setup->flags)
		return -EINVAL;
	setup->version = 1;
	if (setup->depth > FAKE_DEPTH)
		setup->depth = FAKE_DEPTH;
	return 0;
}

static int fake_file(int fd, const struct blktap_direct_file *file)
{
	(void)fd;
	if (file->index >= BLKTAP_DIRECT_FILES_MAX)
		return -EINVAL;
	/* The server must not give an image back that is being written. */
	if (file->fd < 0 && fake.transfers)
		td_err("fake: file %u forgotten during %u transfers",
		       file->index, fake.transfers);
	if (fake.files[file->index] >= 0)
		close(fake.files[file->index]);
	fake.files[file->index] = -1;
	if (file->fd >= 0)
		fake.files[file->index] = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	return 0;
}

static int fake_create(int fd, struct blktap_device_info *info)
{
	unsigned int i;

	(void)fd;
	if (fake.created && info->capacity < fake.info.capacity)
		return -EINVAL;
	fake.info = *info;
	fake.created = true;
	/* A server that takes over gets what the dead one had. */
	for (i = 0; i < FAKE_DEPTH; i++)
		if (fake.reqs[i].state != FAKE_FREE &&
		    fake.reqs[i].state != FAKE_ENDED)
			fake.reqs[i].state = FAKE_QUEUED;
	return 0;
}

static int fake_resize(int fd, uint64_t sectors)
{
	(void)fd;
	if (fake.resize_error)
		return fake.resize_error;
	if (!fake.created)
		return -ENODEV;
	if (sectors < fake.info.capacity)
		return -EINVAL;
	fake.info.capacity = sectors;
	return 0;
}

static int fake_remove(int fd)
{
	(void)fd;
	if (fake.openers)
		return -EBUSY;
	fake.created = false;
	return 0;
}

static int fake_set_name(int minor, const char *name)
{
	(void)minor;
	if (strlen(name) >= BLKTAP_NAME_MAX)
		return -ENAMETOOLONG;
	if (!fake.names_left)
		return -EIO;
	fake.names_left -= fake.names_left > 0;
	strcpy(fake.name, name);
	return 0;
}

static int fake_transfer_file(struct fake_req *req,
			      const struct blktap_direct_extent *ext, char *buf,
			      bool dsync)
{
	int fd = fake.files[ext->file];
	void *bounce;
	ssize_t n;

	n = fake.fail ? fake.fail(fd, req->ev.op) : 0;
	if (n)
		return n;
	if (posix_memalign(&bounce, 4096, ext->len))
		return -ENOMEM;
	if (req->ev.op == BLKTAP_OP_WRITE) {
		memcpy(bounce, buf, ext->len);
		n = pwrite(fd, bounce, ext->len, ext->addr);
		if (n >= 0 && dsync && fdatasync(fd))
			n = -1;
	} else {
		memset(bounce, 0, ext->len);
		n = pread(fd, bounce, ext->len, ext->addr);
		if (n >= 0) {
			memcpy(buf, bounce, ext->len);
			n = ext->len;
		}
	}
	n = n < 0 ? -errno : n == (ssize_t)ext->len ? 0 : -EIO;
	free(bounce);
	return n;
}

static int fake_transfer(struct fake_req *req,
			 const struct blktap_direct_extent *exts,
			 unsigned int nr, bool dsync)
{
	char *buf = req->buf;
	unsigned int i;
	int err;

	if (fake.fail_maps) {
		fake.fail_maps--;
		return fake.fail_error;
	}
	for (i = 0; i < nr; buf += exts[i++].len) {
		void *user = (void *)(uintptr_t)exts[i].addr;

		switch (exts[i].kind) {
		case BLKTAP_EXTENT_FILE:
			err = fake_transfer_file(req, &exts[i], buf, dsync);
			if (err)
				return err;
			break;
		case BLKTAP_EXTENT_ZERO:
			memset(buf, 0, exts[i].len);
			break;
		default:
			if (req->ev.op == BLKTAP_OP_WRITE)
				memcpy(user, buf, exts[i].len);
			else
				memcpy(buf, user, exts[i].len);
		}
	}
	return 0;
}

static void fake_transferred(struct fake_req *req)
{
	fake.transfers--;
	if (!req->map_error && req->map_end) {
		fake_end(req, 0);
		return;
	}
	req->state = FAKE_RESULT;
	fake_wake();
}

static void fake_timer(struct td_timer *timer)
{
	fake_transferred(td_container(timer, struct fake_req, timer));
}

static int fake_check_map(const struct fake_req *req,
			  const struct blktap_direct_cmd *cmd)
{
	const struct blktap_direct_extent *exts =
		(const void *)(uintptr_t)cmd->extents;
	uint64_t sum = 0;
	unsigned int i;

	if (req->ev.op > BLKTAP_OP_WRITE || cmd->result || !cmd->nr_extents ||
	    cmd->flags & ~(BLKTAP_MAP_END | BLKTAP_MAP_DSYNC))
		return -EINVAL;
	for (i = 0; i < cmd->nr_extents; i++) {
		if (!exts[i].len || exts[i].len & 511 ||
		    exts[i].kind > BLKTAP_EXTENT_USER)
			return -EINVAL;
		if (exts[i].kind == BLKTAP_EXTENT_ZERO &&
		    req->ev.op == BLKTAP_OP_WRITE)
			return -EINVAL;
		if (exts[i].kind == BLKTAP_EXTENT_FILE) {
			if (exts[i].addr & 511)
				return -EINVAL;
			if (exts[i].file >= BLKTAP_DIRECT_FILES_MAX ||
			    fake.files[exts[i].file] < 0)
				return -EBADF;
		}
		sum += exts[i].len;
	}
	return sum == req->ev.nr_sectors * 512ULL ? 0 : -EINVAL;
}

static int fake_cmd(const struct blktap_direct_cmd *cmd)
{
	struct fake_req *req;
	int err;

	if (fake.refuse_cmds && fake.refuse_after) {
		fake.refuse_after--;
	} else if (fake.refuse_cmds) {
		fake.refuse_cmds--;
		return -EINVAL;
	}
	if (cmd->tag >= FAKE_DEPTH)
		return -EINVAL;
	req = &fake.reqs[cmd->tag];
	if (req->state != FAKE_SERVER)
		return -ESRCH;
	if (cmd->op == BLKTAP_CMD_END) {
		if (cmd->flags || cmd->nr_extents || cmd->result > 0)
			return -EINVAL;
		fake_end(req, cmd->result);
		return 0;
	}
	if (cmd->op != BLKTAP_CMD_MAP)
		return -EINVAL;
	err = fake_check_map(req, cmd);
	if (err)
		return err;
	fake.nr_maps++;
	if (cmd->flags & BLKTAP_MAP_DSYNC)
		fake.nr_dsync++;
	fake.transfers++;
	req->state = FAKE_TRANSFER;
	req->map_end = cmd->flags & BLKTAP_MAP_END;
	req->map_error = fake_transfer(req, (const void *)(uintptr_t)
				       cmd->extents, cmd->nr_extents,
				       cmd->flags & BLKTAP_MAP_DSYNC);
	req->timer.fn = fake_timer;
	if (fake.delay_ms)
		td_timer_start(&req->timer, fake.delay_ms);
	else
		fake_transferred(req);
	return 0;
}

static unsigned int fake_events(struct blktap_direct_event *events,
				unsigned int max)
{
	unsigned int i, n = 0;

	while (n < max && fake.nr_raw)
		events[n++] = fake.raw[--fake.nr_raw];
	for (i = 0; i < FAKE_DEPTH && n < max && fake.created; i++) {
		struct fake_req *req = &fake.reqs[i];

		if (req->state != FAKE_QUEUED && req->state != FAKE_RESULT)
			continue;
		events[n] = req->ev;
		if (req->state == FAKE_RESULT) {
			events[n].type = BLKTAP_EVENT_MAPPED;
			events[n].result = req->map_error;
		}
		req->state = FAKE_SERVER;
		n++;
	}
	return n;
}

static int fake_xfer(int fd, struct blktap_direct_xfer *x)
{
	const struct blktap_direct_cmd *cmds = (const void *)(uintptr_t)x->cmds;
	uint64_t value;
	unsigned int i;
	int err = 0;

	fake.nr_xfers++;
	for (i = 0; i < x->nr_cmds && !err; i++)
		err = fake_cmd(&cmds[i]);
	if (err) {
		x->nr_cmds = i - 1;
		x->max_events = 0;
		return err;
	}
	(void)!read(fd, &value, sizeof(value));
	x->max_events = fake_events((void *)(uintptr_t)x->events,
				    x->max_events);
	for (i = 0; fake.late && !x->nr_cmds && i < FAKE_DEPTH; i++) {
		if (fake.reqs[i].state != FAKE_TRANSFER)
			continue;
		td_timer_stop(&fake.reqs[i].timer);
		fake.late = false;
		fake_transferred(&fake.reqs[i]);
	}
	x->transfers = fake.transfers;
	return 0;
}

static const struct td_ring_ops fake_ops = {
	.open = fake_open,
	.close = fake_close,
	.setup = fake_setup,
	.file = fake_file,
	.xfer = fake_xfer,
	.create = fake_create,
	.resize = fake_resize,
	.remove = fake_remove,
	.set_name = fake_set_name,
};

void fake_init(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(fake.files, 0xff, sizeof(fake.files));
	if (fake_eventfd >= 0)
		close(fake_eventfd);
	fake_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake.fd = -1;
	fake.names_left = -1;
	td_ring = &fake_ops;
}

unsigned int fake_start(unsigned int op, unsigned int flags, uint64_t sector,
			uint32_t nr, void *buf)
{
	struct fake_req *req;
	unsigned int tag = 0;

	while (tag < FAKE_DEPTH && fake.reqs[tag].state != FAKE_FREE)
		tag++;
	if (tag == FAKE_DEPTH)
		abort();
	req = &fake.reqs[tag];
	memset(req, 0, sizeof(*req));
	req->state = FAKE_QUEUED;
	req->buf = buf;
	req->ev.tag = tag;
	req->ev.type = BLKTAP_EVENT_REQUEST;
	req->ev.op = op;
	req->ev.flags = flags;
	req->ev.sector = sector;
	req->ev.nr_sectors = nr;
	fake_wake();
	return tag;
}

void fake_raw(const struct blktap_direct_event *ev)
{
	fake.raw[fake.nr_raw++] = *ev;
	fake_wake();
}

static void fake_limit_timer(struct td_timer *timer)
{
	(void)timer;
	fake.timed_out = true;
	td_loop_stop();
}

void fake_run_for(int ms)
{
	fake.timed_out = false;
	fake_limit.fn = fake_limit_timer;
	td_timer_start(&fake_limit, ms);
	while (!fake.timed_out)
		td_loop_run();
}

bool fake_run(int ms)
{
	fake.timed_out = false;
	fake_limit.fn = fake_limit_timer;
	td_timer_start(&fake_limit, ms);
	while (!fake_all_ended() && !fake.timed_out)
		td_loop_run();
	td_timer_stop(&fake_limit);
	return fake_all_ended();
}

int fake_result(unsigned int tag)
{
	int result = fake.reqs[tag].result;

	if (fake.reqs[tag].state != FAKE_ENDED)
		return -EINPROGRESS;
	fake.reqs[tag].state = FAKE_FREE;
	return result;
}

int fake_io(unsigned int op, unsigned int flags, uint64_t sector, uint32_t nr,
	    void *buf)
{
	unsigned int tag = fake_start(op, flags, sector, nr, buf);

	if (!fake_run(30000))
		return -ETIMEDOUT;
	return fake_result(tag);
}
