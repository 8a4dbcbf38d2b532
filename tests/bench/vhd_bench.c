// SPDX-License-Identifier: GPL-2.0
/*
 * What `qemu-img bench -f vpc' does, with libvhd's engine on the event loop of
 * tapdisk2: that many requests in flight, each a step behind the one before,
 * round and round. In tapdisk2 the kernel moves the data; here io_uring does,
 * as in qemu-img with `-i io_uring', and each request is submitted by itself,
 * as there. What is written through the page cache is written at once with
 * pwrite(), as by vhd_disk_write(): few file systems let io_uring do that
 * without a thread. At the end there is a FLUSH, and then the image is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libvhd/engine.h"
#include "libvhd/vhd_private.h"
#include "td_log.h"
#include "td_stdio.h"
#include "tapdisk/loop.h"
#include "tapdisk/td_driver.h"

#define VB_DEPTH_MAX	256U

_Static_assert(sizeof(struct td_io) <= sizeof(((struct vhd_io *)0)->room),
	       "vhd_io.room must hold a struct td_io");

struct vb_slot {
	struct vhd_req req;
	struct td_work work;	/* tells the engine that data is there */
	struct td_io *io;	/* for each sector, at most */
	uint8_t *buf;
	unsigned int pending;
	unsigned int flags;
	int error;
};

static struct {
	struct vhd_eng *eng;
	struct td_work work;	/* requests to submit */
	struct vb_slot slot[VB_DEPTH_MAX];
	struct vhd_req flush;
	uint64_t size;		/* of the disk */
	uint64_t offset;	/* of the next request */
	uint64_t step;
	uint32_t bytes;
	bool write;
	bool direct;
	unsigned int depth;
	unsigned int in_flight;
	unsigned long left;	/* requests to start */
	int file[64];
	int nr_files;
	int error;
} vb;

static void vb_check(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "vhd_bench: %s: %s\n", what, strerror(-error));
	exit(1);
}

static int vb_file_add(void *priv, int fd)
{
	(void)priv;
	if (vb.nr_files == 64)
		return -ELOOP;
	vb.file[vb.nr_files] = fd;
	return vb.nr_files++;
}

static void vb_file_del(void *priv, int index)
{
	(void)priv;
	vb.file[index] = -1;
}

static void vb_end(void *priv, struct vhd_req *req, int error)
{
	(void)priv;
	if (error)
		vb.error = error;
	if (req == &vb.flush) {
		td_loop_stop();
		return;
	}
	req->nr_sectors = 0;
	vb.in_flight--;
	td_work_queue(&vb.work);
}

static void vb_mapped(struct td_work *work)
{
	struct vb_slot *s = td_container(work, struct vb_slot, work);

	if (s->error || !(s->flags & VHD_MAP_END))
		s->req.mapped(&s->req, s->error);
	else
		vb_end(NULL, &s->req, 0);
}

static void vb_io_end(struct td_io *io, int error)
{
	struct vb_slot *s = io->priv;

	if (error)
		s->error = error;
	if (!--s->pending)
		vb_mapped(&s->work);
}

static void vb_move(struct vb_slot *s, struct td_io *io,
		    const struct vhd_extent *ext, uint8_t *buf)
{
	int fd = vb.file[ext->file];

	if (vb.write && !vb.direct) {
		if (!s->error)
			s->error = vhd_pwrite(fd, buf, ext->len, ext->addr);
		return;
	}
	*io = (struct td_io) {
		.op = vb.write ? TD_IO_WRITE : TD_IO_READ,
		.fd = fd,
		.buf = buf,
		.len = ext->len,
		.off = ext->addr,
		.done = vb_io_end,
		.priv = s,
	};
	s->pending++;
	td_io_submit(io);
}

static void vb_map(void *priv, struct vhd_req *req,
		   const struct vhd_extent *ext, unsigned int nr,
		   unsigned int flags)
{
	struct vb_slot *s = (struct vb_slot *)req;
	uint8_t *buf = s->buf;
	unsigned int i;

	(void)priv;
	s->flags = flags;
	s->error = 0;
	s->pending = 1;
	for (i = 0; i < nr; buf += ext[i++].len) {
		if (ext[i].kind == VHD_EXTENT_ZERO)
			memset(buf, 0, ext[i].len);
		else
			vb_move(s, &s->io[i], &ext[i], buf);
	}
	/* All was there at once, but the engine is not called back from here. */
	if (!--s->pending)
		td_work_queue(&s->work);
}

static void vb_io_done(struct td_io *io, int error)
{
	struct vhd_io *inner = io->priv;

	inner->done(inner, error);
}

static void vb_io(void *priv, struct vhd_io *inner)
{
	struct td_io *io = (struct td_io *)inner->room;

	(void)priv;
	*io = (struct td_io) {
		.op = (enum td_io_op)inner->op,
		.fd = inner->fd,
		.buf = inner->buf,
		.len = inner->len,
		.off = inner->off,
		.done = vb_io_done,
		.priv = inner,
	};
	td_io_submit(io);
}

static const struct vhd_host vb_host = {
	.file_add = vb_file_add,
	.file_del = vb_file_del,
	.map = vb_map,
	.end = vb_end,
	.retry = vb_end,
	.io = vb_io,
};

/* Start what there is room for; at the end, the FLUSH. */
static void vb_submit(struct td_work *work)
{
	unsigned int i;

	(void)work;
	for (i = 0; i < vb.depth && vb.left && !vb.error; i++) {
		struct vhd_req *req = &vb.slot[i].req;

		if (req->nr_sectors)
			continue;
		*req = (struct vhd_req) {
			.op = vb.write ? VHD_REQ_WRITE : VHD_REQ_READ,
			.sector = vb.offset / VHD_SECTOR,
			.nr_sectors = vb.bytes / VHD_SECTOR,
		};
		vb.offset = (vb.offset + vb.step) % vb.size;
		vb.left--;
		vb.in_flight++;
		vhd_eng_submit(vb.eng, req);
		td_loop_submit();
	}
	if (vb.in_flight || (vb.left && !vb.error) ||
	    vb.flush.op == VHD_REQ_FLUSH)
		return;
	vb.flush.op = VHD_REQ_FLUSH;
	vhd_eng_submit(vb.eng, &vb.flush);
}

static void vb_message(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "vhd_bench: %s\n", text);
}

static void vb_open(const char *path)
{
	const struct vhd_ctx ctx = {
		.message = vb_message,
		.parent_dirs = "/",
	};
	unsigned int i;

	vb_check(td_loop_init(), "io_uring");
	vb_check(vhd_eng_open(&vb_host, NULL, &ctx, path,
			      (vb.write ? 0 : VHD_ENG_RDONLY) |
			      (vb.direct ? 0 : VHD_ENG_BUFFERED), NULL, &vb.eng),
		 path);
	vb.size = vhd_eng_leaf(vb.eng)->sectors * VHD_SECTOR;
	if (vb.size % vb.bytes || vb.step % vb.bytes)
		vb_check(-EINVAL, "the disk and STEP must be multiples of BYTES");
	for (i = 0; i < vb.depth; i++) {
		struct vb_slot *s = &vb.slot[i];

		s->io = calloc(vb.bytes / VHD_SECTOR, sizeof(*s->io));
		if (!s->io || posix_memalign((void **)&s->buf, 4096, vb.bytes))
			vb_check(-ENOMEM, path);
		memset(s->buf, 0x5a, vb.bytes);
		s->work.fn = vb_mapped;
	}
}

static void vb_usage(void)
{
	fprintf(stderr,
		"usage: vhd_bench [-w] [-t none|writeback] [-d DEPTH] [-c COUNT] [-s BYTES] [-S STEP] FILE\n"
		"  as qemu-img bench; BYTES and STEP are multiples of 512, at most 1 MiB, DEPTH at most %u\n",
		VB_DEPTH_MAX);
	exit(2);
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	unsigned int i;
	int opt;

	td_stdio_open();
	vb.depth = 64;
	vb.left = 75000;
	vb.bytes = 4096;
	while ((opt = getopt(argc, argv, "wt:d:c:s:S:")) != -1) {
		if (opt == 'w')
			vb.write = true;
		else if (opt == 't')
			vb.direct = !strcmp(optarg, "none");
		else if (opt == 'd')
			vb.depth = strtoul(optarg, NULL, 0);
		else if (opt == 'c')
			vb.left = strtoul(optarg, NULL, 0);
		else if (opt == 's')
			vb.bytes = strtoul(optarg, NULL, 0);
		else if (opt == 'S')
			vb.step = strtoull(optarg, NULL, 0);
		else
			vb_usage();
	}
	if (!vb.step)
		vb.step = vb.bytes;
	if (optind != argc - 1 || !vb.depth || vb.depth > VB_DEPTH_MAX ||
	    !vb.bytes || vb.bytes > VHD_REQ_MAX ||
	    (vb.bytes | vb.step) % VHD_SECTOR)
		vb_usage();
	td_log_open("vhd_bench", 0, LOG_INFO);
	vb_open(argv[optind]);

	clock_gettime(CLOCK_MONOTONIC, &a);
	vb.work.fn = vb_submit;
	td_work_queue(&vb.work);
	vb_check(td_loop_run(), "io_uring");
	vb_check(vb.error, argv[optind]);
	vb_check(vhd_eng_close(vb.eng), argv[optind]);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("Run completed in %.3f seconds.\n",
	       b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9);
	td_loop_exit();
	for (i = 0; i < vb.depth; i++) {
		free(vb.slot[i].io);
		free(vb.slot[i].buf);
	}
	return 0;
}
