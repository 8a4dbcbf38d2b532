// SPDX-License-Identifier: GPL-2.0
#include "vhd_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvhd/vhd.h"

#define VFAKE_GRAVES	4096

struct vfake vfake;

/* What a killed program had in memory; no leak of the driver. */
static struct {
	void *priv;
	struct vfake_event *events;
} vfake_graves[VFAKE_GRAVES];
static unsigned int vfake_nr_graves;

uint64_t vfake_random(void)
{
	vfake.seed = vfake.seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return vfake.seed >> 24;
}

static void vfake_add(struct vfake_event *event)
{
	struct vfake_event **p = &vfake.events;

	while (*p)
		p = &(*p)->next;
	event->next = NULL;
	*p = event;
	vfake.nr_events++;
}

static struct vfake_event *vfake_new(enum vfake_kind kind, unsigned int nr)
{
	struct vfake_event *event;

	event = calloc(1, sizeof(*event) + nr * sizeof(event->ext[0]));
	if (!event)
		abort();
	event->kind = kind;
	return event;
}

void td_io_submit(struct td_io *io)
{
	struct vfake_event *event = vfake_new(VFAKE_IO, 0);

	event->io = io;
	if (io->op == TD_IO_FDATASYNC && vfake.sync_start)
		vfake.sync_start(io->fd);
	vfake_add(event);
}

void td_req_map(struct td_req *req, const struct blktap_direct_extent *ext,
		unsigned int nr, unsigned int flags,
		void (*mapped)(struct td_req *req, int error))
{
	struct vfake_event *event = vfake_new(VFAKE_MAP, nr);

	event->req = req;
	event->flags = flags;
	event->nr = nr;
	memcpy(event->ext, ext, nr * sizeof(*ext));
	req->mapped = mapped;
	vfake_add(event);
}

/* As the core does, a limited number of times. */
static bool vfake_retry(struct vfake_req *r, int error)
{
	struct vfake_event *event;

	if (r->req.op == BLKTAP_OP_FLUSH ||
	    (error != -ENOSPC && error != -EDQUOT && error != -ENOMEM) ||
	    r->retries++ == vfake.max_retries)
		return false;
	event = vfake_new(VFAKE_RETRY, 0);
	event->req = &r->req;
	vfake_add(event);
	return true;
}

void td_req_end(struct td_req *req, int error)
{
	void (*done)(struct td_req *req, int error) = req->done;
	struct vfake_req *r = (struct vfake_req *)req;

	if (done) {
		req->done = NULL;
		done(req, error);
		return;
	}
	if (r->done)
		abort();
	if (vfake_retry(r, error))
		return;
	r->done = true;
	r->error = error;
}

int td_vbd_file_add(struct td_vbd *vbd, int fd)
{
	(void)vbd;
	vfake.files[vfake.nr_files] = fd;
	return vfake.nr_files++;
}

void td_vbd_file_del(struct td_vbd *vbd, int index)
{
	(void)vbd;
	vfake.files[index] = -1;
}

void td_vbd_hold(struct td_vbd *vbd)
{
	(void)vbd;
	vfake.held++;
}

void td_vbd_release(struct td_vbd *vbd)
{
	(void)vbd;
	vfake.held--;
}

const struct td_below *td_vbd_below(const struct td_vbd *vbd)
{
	(void)vbd;
	return &vfake.below;
}

static int vfake_rw(bool write, int fd, uint8_t *buf, size_t len, uint64_t off,
		    bool through)
{
	/* The pages of a guest are aligned. */
	void *bounce = aligned_alloc(4096, (len + 4095) / 4096 * 4096);
	ssize_t n;

	if (write) {
		memcpy(bounce, buf, len);
		n = pwrite(fd, bounce, len, off);
		if (n == (ssize_t)len && vfake.record)
			vfake.record(fd, buf, off, len, through);
	} else {
		n = pread(fd, bounce, len, off);
		if (n > 0)
			memcpy(buf, bounce, n);
	}
	if (n < 0)
		n = -errno;
	free(bounce);
	/* All that the driver asks for must lie in the file. */
	return n < 0 ? n : n == (ssize_t)len ? 0 : -ENODATA;
}

static int vfake_io(struct td_io *io)
{
	switch (io->op) {
	case TD_IO_READ:
	case TD_IO_WRITE:
		return vfake_rw(io->op == TD_IO_WRITE, io->fd, io->buf, io->len,
			       io->off, false);
	case TD_IO_FDATASYNC:
		if (vfake.synced)
			vfake.synced(io->fd);
		return 0;
	case TD_IO_START:
		vfake.starts++;
		return sync_file_range(io->fd, io->off, io->len,
				       SYNC_FILE_RANGE_WRITE) ? -errno : 0;
	case TD_IO_RESERVE:
		vfake.reserves++;
		return fallocate(io->fd, FALLOC_FL_KEEP_SIZE, io->off,
				 io->len) ? -errno : 0;
	default:
		if (fallocate(io->fd, FALLOC_FL_PUNCH_HOLE |
			      FALLOC_FL_KEEP_SIZE, io->off, io->len))
			return -errno;
		if (vfake.record)
			vfake.record(io->fd, NULL, io->off, io->len, false);
		return 0;
	}
}

static int vfake_map(struct vfake_event *event)
{
	struct vfake_req *r = (struct vfake_req *)event->req;
	bool write = event->req->op == BLKTAP_OP_WRITE;
	uint8_t *data = r->data;
	uint64_t left = (uint64_t)event->req->nr_sectors * VHD_SECTOR;
	unsigned int i;
	int ret;

	if (!event->nr || event->nr > event->req->nr_sectors)
		abort();
	for (i = 0; i < event->nr; i++) {
		struct blktap_direct_extent *ext = &event->ext[i];

		if (!ext->len || ext->len % VHD_SECTOR || ext->len > left ||
		    ext->addr % VHD_SECTOR)
			abort();
		if (ext->kind == BLKTAP_EXTENT_ZERO) {
			if (write)
				abort();
			memset(data, 0, ext->len);
		} else {
			if (ext->file >= vfake.nr_files)
				abort();
			ret = vfake_rw(write, vfake.files[ext->file], data,
				       ext->len, ext->addr,
				      event->flags & TD_MAP_DSYNC);
			if (ret)
				return ret;
		}
		data += ext->len;
		left -= ext->len;
	}
	if (left)
		abort();
	return 0;
}

static void vfake_carry_out(struct vfake_event *event)
{
	int error = vfake.fail ? vfake.fail(event) : 0;

	switch (event->kind) {
	case VFAKE_IO:
		if (!error)
			error = vfake_io(event->io);
		event->io->done(event->io, error);
		break;
	case VFAKE_MAP:
		if (!error)
			error = vfake_map(event);
		if (event->flags & TD_MAP_END && !error)
			td_req_end(event->req, 0);
		else
			event->req->mapped(event->req, error);
		break;
	case VFAKE_RETRY:
		vfake.drv->submit(vfake.priv, event->req);
		break;
	}
	free(event);
}

bool vfake_step(void)
{
	struct vfake_event **p = &vfake.events;
	struct vfake_event *event;
	unsigned int i;

	if (!vfake.nr_events)
		return false;
	i = vfake.in_order ? 0 : vfake_random() % vfake.nr_events;
	while (i--)
		p = &(*p)->next;
	event = *p;
	*p = event->next;
	vfake.nr_events--;
	vfake_carry_out(event);
	return true;
}

void vfake_run(void)
{
	while (vfake_step())
		;
}

void vfake_submit(struct vfake_req *req)
{
	req->done = false;
	req->error = 0;
	req->retries = 0;
	/* What the driver finds there is not to be relied on. */
	memset(req->req.priv, 0x5a, sizeof(req->req.priv));
	req->req.done = NULL;
	vfake.drv->submit(vfake.priv, &req->req);
}

int vfake_do(uint8_t op, uint64_t sector, uint32_t nr, void *data, bool fua)
{
	struct vfake_req req = {
		.req = { .op = op, .sector = sector, .nr_sectors = nr,
			 .fua = fua },
		.data = data,
	};

	vfake_submit(&req);
	vfake_run();
	return req.done ? req.error : -ETIME;
}

int vfake_open(const char *path, unsigned int flags)
{
	vfake.drv = &td_driver_vhd;
	vfake.nr_files = 0;
	vfake.priv = NULL;
	return vfake.drv->open(NULL, path, flags, &vfake.info, &vfake.priv);
}

int vfake_close(void)
{
	/* The core closes only what is idle; so must the driver be. */
	if (vfake.nr_events || vfake.held)
		abort();
	return vfake.drv->close(vfake.priv);
}

void vfake_kill(void)
{
	struct vfake_event *event;
	int i;

	if (vfake_nr_graves == VFAKE_GRAVES)
		abort();
	for (event = vfake.events; event; event = event->next)
		if (event->req)
			memcpy(event->keep, event->req->priv,
			       sizeof(event->keep));
	vfake_graves[vfake_nr_graves].priv = vfake.priv;
	vfake_graves[vfake_nr_graves++].events = vfake.events;
	vfake.events = NULL;
	vfake.nr_events = 0;
	vfake.held = 0;
	vfake.priv = NULL;
	for (i = 0; i < vfake.nr_files; i++)
		close(vfake.files[i]);
}
