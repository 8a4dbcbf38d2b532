// SPDX-License-Identifier: GPL-2.0
#include "vhd_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvhd/vhd.h"

#define FAKE_GRAVES	4096

struct fake fake;

/* What a killed program had in memory; no leak of the driver. */
static struct {
	void *priv;
	struct fake_event *events;
} fake_graves[FAKE_GRAVES];
static unsigned int fake_nr_graves;

uint64_t fake_random(void)
{
	fake.seed = fake.seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return fake.seed >> 24;
}

static void fake_add(struct fake_event *event)
{
	struct fake_event **p = &fake.events;

	while (*p)
		p = &(*p)->next;
	event->next = NULL;
	*p = event;
	fake.nr_events++;
}

static struct fake_event *fake_new(enum fake_kind kind, unsigned int nr)
{
	struct fake_event *event;

	event = calloc(1, sizeof(*event) + nr * sizeof(event->ext[0]));
	if (!event)
		abort();
	event->kind = kind;
	return event;
}

void td_io_submit(struct td_io *io)
{
	struct fake_event *event = fake_new(FAKE_IO, 0);

	event->io = io;
	if (io->op == TD_IO_FDATASYNC && fake.sync_start)
		fake.sync_start(io->fd);
	fake_add(event);
}

void td_req_map(struct td_req *req, const struct blktap_direct_extent *ext,
		unsigned int nr, unsigned int flags,
		void (*mapped)(struct td_req *req, int error))
{
	struct fake_event *event = fake_new(FAKE_MAP, nr);

	event->req = req;
	event->flags = flags;
	event->nr = nr;
	memcpy(event->ext, ext, nr * sizeof(*ext));
	req->mapped = mapped;
	fake_add(event);
}

void td_req_end(struct td_req *req, int error)
{
	struct fake_req *r = (struct fake_req *)req;

	if (r->done)
		abort();
	r->done = true;
	r->error = error;
}

void td_req_retry(struct td_req *req, int error)
{
	struct fake_req *r = (struct fake_req *)req;
	struct fake_event *event;

	if (r->retries++ == fake.max_retries) {
		td_req_end(req, error);
		return;
	}
	event = fake_new(FAKE_RETRY, 0);
	event->req = req;
	fake_add(event);
}

int td_vbd_file_add(struct td_vbd *vbd, int fd)
{
	(void)vbd;
	fake.files[fake.nr_files] = fd;
	return fake.nr_files++;
}

void td_vbd_file_del(struct td_vbd *vbd, int index)
{
	(void)vbd;
	fake.files[index] = -1;
}

static int fake_rw(bool write, int fd, uint8_t *buf, size_t len, uint64_t off,
		   bool through)
{
	/* The pages of a guest are aligned. */
	void *bounce = aligned_alloc(4096, (len + 4095) / 4096 * 4096);
	ssize_t n;

	if (write) {
		memcpy(bounce, buf, len);
		n = pwrite(fd, bounce, len, off);
		if (n == (ssize_t)len && fake.record)
			fake.record(fd, buf, off, len, through);
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

static int fake_io(struct td_io *io)
{
	switch (io->op) {
	case TD_IO_READ:
	case TD_IO_WRITE:
		return fake_rw(io->op == TD_IO_WRITE, io->fd, io->buf, io->len,
			       io->off, false);
	case TD_IO_FDATASYNC:
		if (fake.synced)
			fake.synced(io->fd);
		return 0;
	default:
		if (fallocate(io->fd, FALLOC_FL_PUNCH_HOLE |
			      FALLOC_FL_KEEP_SIZE, io->off, io->len))
			return -errno;
		if (fake.record)
			fake.record(io->fd, NULL, io->off, io->len, false);
		return 0;
	}
}

static int fake_map(struct fake_event *event)
{
	struct fake_req *r = (struct fake_req *)event->req;
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
			if (ext->file >= fake.nr_files)
				abort();
			ret = fake_rw(write, fake.files[ext->file], data,
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

static void fake_carry_out(struct fake_event *event)
{
	int error = fake.fail ? fake.fail(event) : 0;

	switch (event->kind) {
	case FAKE_IO:
		if (!error)
			error = fake_io(event->io);
		event->io->done(event->io, error);
		break;
	case FAKE_MAP:
		if (!error)
			error = fake_map(event);
		if (event->flags & TD_MAP_END && !error)
			td_req_end(event->req, 0);
		else
			event->req->mapped(event->req, error);
		break;
	case FAKE_RETRY:
		fake.drv->submit(fake.priv, event->req);
		break;
	}
	free(event);
}

bool fake_step(void)
{
	struct fake_event **p = &fake.events;
	struct fake_event *event;
	unsigned int i;

	if (!fake.nr_events)
		return false;
	i = fake.in_order ? 0 : fake_random() % fake.nr_events;
	while (i--)
		p = &(*p)->next;
	event = *p;
	*p = event->next;
	fake.nr_events--;
	fake_carry_out(event);
	return true;
}

void fake_run(void)
{
	while (fake_step())
		;
}

void fake_submit(struct fake_req *req)
{
	req->done = false;
	req->error = 0;
	req->retries = 0;
	/* What the driver finds there is not to be relied on. */
	memset(req->req.priv, 0x5a, sizeof(req->req.priv));
	fake.drv->submit(fake.priv, &req->req);
}

int fake_do(uint8_t op, uint64_t sector, uint32_t nr, void *data, bool fua)
{
	struct fake_req req = {
		.req = { .op = op, .sector = sector, .nr_sectors = nr,
			 .fua = fua },
		.data = data,
	};

	fake_submit(&req);
	fake_run();
	return req.done ? req.error : -ETIME;
}

int fake_open(const char *path, unsigned int flags)
{
	fake.drv = &td_driver_vhd;
	fake.nr_files = 0;
	fake.priv = NULL;
	return fake.drv->open(NULL, path, flags, &fake.info, &fake.priv);
}

int fake_close(void)
{
	/* The core closes only what is idle; so must the driver be. */
	if (fake.nr_events)
		abort();
	return fake.drv->close(fake.priv);
}

void fake_kill(void)
{
	struct fake_event *event;
	int i;

	if (fake_nr_graves == FAKE_GRAVES)
		abort();
	for (event = fake.events; event; event = event->next)
		event->keep = event->req ? event->req->priv[0] : NULL;
	fake_graves[fake_nr_graves].priv = fake.priv;
	fake_graves[fake_nr_graves++].events = fake.events;
	fake.events = NULL;
	fake.nr_events = 0;
	fake.priv = NULL;
	for (i = 0; i < fake.nr_files; i++)
		close(fake.files[i]);
}
