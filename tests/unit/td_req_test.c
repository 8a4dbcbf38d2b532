// SPDX-License-Identifier: GPL-2.0
/* The request path and the life of a disk, on a ring device of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_clock.h"
#include "fake_ring.h"
#include "libvhd/vhd.h"
#include "td_file.h"
#include "td_log.h"
#include "vbd.h"

#define MINOR	3
#define SECTORS	4096

static char dir[] = "/tmp/td_req.XXXXXX";
static char image[64];
static char name[80];
static int op_error;

static void op_done(void *arg, int error)
{
	(void)arg;
	op_error = error;
	td_loop_stop();
}

/* Run the loop until an operation has told its end. */
static int op_wait(int ms)
{
	int64_t end = td_now() + ms;

	while (op_error == 1 && td_now() < end)
		fake_run_for(20);
	return op_error;
}

static int op_pause(void)
{
	op_error = 1;
	td_vbd_pause(td_vbd_find(MINOR), op_done, NULL);
	return op_wait(20000);
}

static int op_close(unsigned int timeout, bool force)
{
	op_error = 1;
	td_vbd_close(td_vbd_find(MINOR), timeout, force, op_done, NULL);
	return op_wait(20000);
}

static int op_detach(void)
{
	op_error = 1;
	td_vbd_detach(td_vbd_find(MINOR), op_done, NULL);
	return op_wait(20000);
}

static void make_image(off_t size)
{
	int fd = open(image, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int setup_loop(void **state)
{
	(void)state;
	fake_clock_init();
	fake_init();
	assert_int_equal(td_loop_init(), 0);
	assert_int_equal(td_vbd_attach(MINOR), 0);
	make_image(SECTORS * 512);
	td_log_error_clear();
	return 0;
}

static int setup_aio(void **state)
{
	setup_loop(state);
	return td_vbd_open(td_vbd_find(MINOR), name, 0, 0, NULL);
}

static int teardown(void **state)
{
	struct td_vbd *v = td_vbd_find(MINOR);

	(void)state;
	fake.openers = 0;
	if (v && v->created)
		op_close(0, false);
	if (v)
		op_detach();
	assert_null(td_vbds);
	assert_int_equal(fake.transfers, 0);
	assert_null(strstr(td_log_error(), "fake:"));
	td_loop_exit();
	return 0;
}

static void fill(char *buf, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = (seed = seed * 1103515245 + 12345) >> 16;
}

static void test_write_read(void **state)
{
	static char model[SECTORS * 512], buf[FAKE_DEPTH][64 * 512];
	unsigned int i, round, tags[FAKE_DEPTH], at[FAKE_DEPTH];

	(void)state;
	memset(model, 0, sizeof(model));
	for (round = 0; round < 20; round++) {
		for (i = 0; i < FAKE_DEPTH; i++) {
			/* Apart, as the order of writes is not fixed. */
			at[i] = i * 128 + rand() % 64;
			fill(buf[i], sizeof(buf[i]), rand());
			memcpy(model + at[i] * 512, buf[i], sizeof(buf[i]));
			tags[i] = fake_start(BLKTAP_OP_WRITE, 0, at[i], 64,
					     buf[i]);
		}
		assert_true(fake_run(10000));
		for (i = 0; i < FAKE_DEPTH; i++)
			assert_int_equal(fake_result(tags[i]), 0);
		for (i = 0; i < FAKE_DEPTH; i++)
			tags[i] = fake_start(BLKTAP_OP_READ, 0, at[i], 64,
					     buf[i]);
		assert_true(fake_run(10000));
		for (i = 0; i < FAKE_DEPTH; i++) {
			assert_int_equal(fake_result(tags[i]), 0);
			assert_memory_equal(buf[i], model + at[i] * 512,
					    sizeof(buf[i]));
		}
	}
	i = open(image, O_RDONLY);
	for (round = 0; round < SECTORS; round += 64) {
		assert_int_equal(pread(i, buf[0], 64 * 512, round * 512),
				 64 * 512);
		assert_memory_equal(buf[0], model + round * 512, 64 * 512);
	}
	close(i);
	assert_int_equal(td_vbd_find(MINOR)->stats.reqs_in, 40 * FAKE_DEPTH);
	assert_int_equal(td_vbd_find(MINOR)->stats.reqs_out, 40 * FAKE_DEPTH);
	assert_int_equal(td_vbd_find(MINOR)->stats.secs[1],
			 20 * FAKE_DEPTH * 64);
}

static void test_batches(void **state)
{
	unsigned int i;
	char buf[512];

	(void)state;
	fake_run_for(20);
	fake.nr_xfers = 0;
	for (i = 0; i < 16; i++)
		fake_start(BLKTAP_OP_READ, 0, i, 1, buf);
	assert_true(fake_run(1000));
	/* One to fetch all, one to map all, and none for nothing. */
	assert_int_equal(fake.nr_xfers, 2);
	fake_run_for(20);
	assert_int_equal(fake.nr_xfers, 2);
}

static void test_flush_fua(void **state)
{
	char buf[512] = "fua";

	(void)state;
	assert_int_equal(fake_clock.ios[TD_IO_FDATASYNC], 0);
	assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
	assert_int_equal(fake_clock.ios[TD_IO_FDATASYNC], 1);
	assert_int_equal(fake.nr_maps, 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 7, 1, buf), 0);
	assert_int_equal(fake.nr_dsync, 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 7, 1, buf),
			 0);
	assert_int_equal(fake.nr_dsync, 1);
	assert_int_equal(fake.info.flags, BLKTAP_DEVICE_PSZ |
			 BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_FUA |
			 BLKTAP_DEVICE_TRIM | BLKTAP_DEVICE_WRITE_ZEROES);
}

static void test_trim_zeroes(void **state)
{
	static char buf[1024 * 512], zeros[1024 * 512];
	struct stat before, after;

	(void)state;
	fill(buf, sizeof(buf), 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 0, 1024, buf),
			 0);
	stat(image, &before);
	assert_int_equal(fake_io(BLKTAP_OP_TRIM, 0, 0, 512, NULL), 0);
	stat(image, &after);
	assert_true(after.st_blocks <= before.st_blocks - 512);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE_ZEROES, 0, 513, 100, NULL),
			 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 0, 1024, zeros), 0);
	memset(buf, 0, 512 * 512);
	memset(buf + 513 * 512, 0, 100 * 512);
	assert_memory_equal(buf, zeros, sizeof(buf));
}

static void test_enospc_retry(void **state)
{
	char buf[512] = "space";
	unsigned int tag;

	(void)state;
	fake.fail_maps = 2;
	fake.fail_error = -ENOSPC;
	tag = fake_start(BLKTAP_OP_WRITE, 0, 9, 1, buf);
	fake_run_for(300);
	assert_int_equal(fake_result(tag), -EINPROGRESS);
	/* Others are not held up. */
	assert_int_equal(fake.fail_maps, 1);
	fake.fail_maps = 0;
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 9, 1, buf), 0);
	assert_string_equal(buf, "space");
}

static void test_enospc_timeout(void **state)
{
	char buf[512] = "space";
	int64_t start = td_now();

	(void)state;
	td_vbd_find(MINOR)->timeout = 2;
	fake.fail_maps = 1000;
	fake.fail_error = -ENOSPC;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 9, 1, buf), -ENOSPC);
	assert_true(td_now() - start >= 2000);
	assert_int_equal(td_vbd_find(MINOR)->stats.fail[1], 1);
	assert_int_equal(td_vbd_find(MINOR)->stats.reqs_out, 1);
}

/* A path is lost for a while: the guest only sees that it takes longer. */
static void test_eio_passes(void **state)
{
	static const int errors[] = { -EIO, -ETIMEDOUT, -ENOLINK, -EAGAIN };
	char buf[512] = "path";
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		fake.fail_maps = 5;
		fake.fail_error = errors[i];
		assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 9, 1, buf), 0);
		assert_int_equal(fake.fail_maps, 0);
		fake.fail_maps = 1;
		assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 9, 1, buf), 0);
		assert_string_equal(buf, "path");
	}
	assert_int_equal(td_vbd_find(MINOR)->stats.fail[0], 0);
	assert_int_equal(td_vbd_find(MINOR)->stats.fail[1], 0);
}

static int fail_reads(int fd, unsigned int op)
{
	(void)fd;
	return op == BLKTAP_OP_READ ? -EIO : 0;
}

/* It does not come back: others are served, and this one ends in time. */
static void test_eio_stays(void **state)
{
	char buf[512] = "path", other[512] = "other";
	int64_t start = td_now();
	unsigned int i, tag;

	(void)state;
	td_vbd_find(MINOR)->timeout = 30;
	fake.fail = fail_reads;
	tag = fake_start(BLKTAP_OP_READ, 0, 9, 1, buf);
	for (i = 0; i < 25; i++) {
		fake_run_for(1000);
		assert_int_equal(fake_result(tag), -EINPROGRESS);
		fake_start(BLKTAP_OP_WRITE, 0, i, 1, other);
		fake_run_for(1);
		assert_int_equal(fake_result(tag + 1), 0);
	}
	assert_true(fake_run(10000));
	assert_int_equal(fake_result(tag), -EIO);
	assert_true(td_now() - start >= 30000 && td_now() - start < 33000);
	assert_int_equal(td_vbd_find(MINOR)->stats.fail[0], 1);
}

/* It does not come back before the disk is closed or paused. */
static void test_eio_close(void **state)
{
	char buf[512];
	unsigned int tag;

	(void)state;
	fake.fail = fail_reads;
	tag = fake_start(BLKTAP_OP_READ, 0, 9, 1, buf);
	fake_run_for(1500);
	assert_int_equal(op_pause(), 0);
	fake_run_for(5000);
	assert_int_equal(fake_result(tag), -EINPROGRESS);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), 0);
	fake_run_for(1500);
	assert_int_equal(fake_result(tag), -EINPROGRESS);
	assert_int_equal(op_close(0, true), 0);
	assert_int_equal(fake_result(tag), -EIO);
}

static int sync_result;

static int fail_syncs(const struct td_io *io, int res)
{
	if (io->op == TD_IO_FDATASYNC && sync_result) {
		res = sync_result;
		sync_result = 0;
	}
	return res;
}

static int flush(void)
{
	return fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL);
}

/* What a FLUSH or FUA write says from now on: that it cannot be relied on. */
static void assert_unsynced(void)
{
	static char page[4096];
	int64_t start = td_now();
	char buf[512] = "x";

	assert_int_not_equal(flush(), 0);
	assert_int_not_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 8, 8,
				     page), 0);
	fake_io(BLKTAP_OP_WRITE, 0, 9, 1, buf);
	assert_int_equal(td_now(), start);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 9, 1, buf), 0);
}

static void unsynced(const char *image_name)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT };
	struct td_vbd *v = td_vbd_find(MINOR);
	int64_t start;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(td_vbd_open(v, image_name, 0, 0, NULL), 0);
		assert_int_equal(flush(), 0);
		fake_clock.result = fail_syncs;
		sync_result = errors[i];
		start = td_now();
		assert_int_equal(flush(), errors[i]);
		assert_int_equal(sync_result, 0);
		/* Told at once, as there is nothing to wait for. */
		assert_int_equal(td_now(), start);
		assert_unsynced();
		/* A pause does not bring back what was lost. */
		op_pause();
		assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
		assert_unsynced();
		op_close(0, false);
		/* Now somebody looks after the image before it is used. */
		assert_int_equal(td_vbd_open(v, image_name, 0, 0, NULL), 0);
		assert_int_equal(flush(), 0);
		assert_int_equal(op_close(0, false), 0);
	}
}

static void test_flush_fails(void **state)
{
	(void)state;
	unsynced(name);
}

static void test_flush_fails_vhd(void **state)
{
	static const struct vhd_ctx ctx;
	char path[80];
	const struct vhd_create spec = { .path = path, .size = SECTORS * 512 };

	(void)state;
	snprintf(path, sizeof(path), "%s/unsynced.vhd", dir);
	assert_int_equal(vhd_create(&ctx, &spec), 0);
	snprintf(path, sizeof(path), "vhd:%s/unsynced.vhd", dir);
	unsynced(path);
	unlink(path + 4);
}

/* A write-through syncs what was written before it as well. */
static void test_fua_fails(void **state)
{
	struct td_vbd *v = td_vbd_find(MINOR);
	char buf[512] = "x";

	(void)state;
	fake.fail_maps = 1;
	fake.fail_error = -EIO;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 9, 1, buf),
			 -EIO);
	assert_unsynced();
	assert_int_equal(op_close(0, false), 0);
	/* No space is the write's own error, if it goes by the page cache. */
	assert_int_equal(td_vbd_open(v, name, 0, 0, NULL), 0);
	v->buffered = false;
	fake.fail_maps = 1;
	fake.fail_error = -ENOSPC;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 9, 1, buf),
			 0);
	assert_int_equal(flush(), 0);
	assert_int_equal(op_close(0, false), 0);
	assert_int_equal(td_vbd_open(v, name, TD_OPEN_BUFFERED, 0, NULL), 0);
	fake.fail_maps = 1;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 9, 1, buf),
			 -ENOSPC);
	assert_unsynced();
	/* Nothing of it was written: nothing to be synced. */
	assert_int_equal(op_close(0, false), 0);
	assert_int_equal(td_vbd_open(v, name, 0, 0, NULL), 0);
	fake.refuse_cmds = 1;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 9, 1, buf),
			 -EINVAL);
	assert_int_equal(flush(), 0);
}

/* The sync of a pause fails, and the next tapdisk has to know of it. */
static void test_pause_sync_fails(void **state)
{
	struct td_vbd *v = td_vbd_find(MINOR);
	char mark[80];

	(void)state;
	snprintf(mark, sizeof(mark), "%s/tap%d.unsynced", dir, MINOR);
	fake_clock.sync_error = EIO;
	assert_int_equal(op_pause(), -EIO);
	assert_int_equal(access(mark, F_OK), 0);
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
	assert_unsynced();
	/* The next one takes over. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(op_detach(), 0);
	assert_int_equal(td_vbd_attach(MINOR), 0);
	v = td_vbd_find(MINOR);
	assert_int_equal(td_vbd_open(v, name, 0, 0, NULL), 0);
	assert_unsynced();
	assert_int_equal(op_close(0, false), 0);
	assert_int_not_equal(access(mark, F_OK), 0);
	/* The guest is gone, so nobody is left to be told. */
	assert_int_equal(td_vbd_open(v, name, 0, 0, NULL), 0);
	fake_clock.sync_error = EIO;
	assert_int_equal(op_close(0, false), -EIO);
	assert_int_not_equal(access(mark, F_OK), 0);
	assert_int_equal(td_vbd_open(v, name, 0, 0, NULL), 0);
	assert_int_equal(flush(), 0);
}

/* What a tapdisk that was killed wrote is on its way when the next opens. */
static void test_open_syncs(void **state)
{
	static const struct vhd_ctx ctx;
	char path[80];
	const struct vhd_create spec = { .path = path, .size = SECTORS * 512 };
	struct td_vbd *v = td_vbd_find(MINOR);

	(void)state;
	snprintf(path, sizeof(path), "%s/sync.vhd", dir);
	assert_int_equal(vhd_create(&ctx, &spec), 0);
	snprintf(path, sizeof(path), "vhd:%s/sync.vhd", dir);
	fake_clock.syncs = 0;
	assert_int_equal(td_vbd_open(v, path, 0, 0, NULL), 0);
	assert_int_equal(fake_clock.syncs, 1);
	assert_int_equal(op_close(0, false), 0);
	fake_clock.sync_error = EIO;
	assert_int_equal(td_vbd_open(v, path, 0, 0, NULL), -EIO);
	unlink(path + 4);
}

/* What was written is on the disk when the image is closed, whatever else is done. */
static void test_close_syncs(void **state)
{
	static const struct vhd_ctx ctx;
	char path[80], buf[512] = "data";
	const struct vhd_create spec = {
		.path = path, .size = SECTORS * 512, .fixed = true,
	};
	struct td_vbd *v = td_vbd_find(MINOR);

	(void)state;
	snprintf(path, sizeof(path), "%s/close.vhd", dir);
	assert_int_equal(vhd_create(&ctx, &spec), 0);
	snprintf(path, sizeof(path), "vhd:%s/close.vhd", dir);
	assert_int_equal(td_vbd_open(v, path, 0, 0, NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 0, 1, buf), 0);
	fake_clock.syncs = 0;
	assert_int_equal(op_close(0, false), 0);
	assert_int_equal(fake_clock.syncs, 1);
	unlink(path + 4);
}

/*
 * The result of a transfer comes after the XFER that counted no transfer any
 * more, but had fetched its events before.
 */
static void test_pause_late_result(void **state)
{
	char buf[512] = "late";
	unsigned int tag;

	(void)state;
	fake.delay_ms = 3;
	fake.late = true;
	fake.fail_maps = 1;
	fake.fail_error = -ENOSPC;
	tag = fake_start(BLKTAP_OP_WRITE, 0, 9, 1, buf);
	fake_run_for(1);
	assert_int_equal(fake.transfers, 1);
	assert_int_equal(op_pause(), 0);
	assert_false(fake.late);
	assert_int_equal(fake.reqs[tag].state, FAKE_SERVER);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), 0);
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
}

static void test_map_error(void **state)
{
	unsigned int i, tags[4];
	char buf[512];

	(void)state;
	/* A bad sector stays bad. */
	fake.fail_maps = 1;
	fake.fail_error = -ENODATA;
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 9, 1, buf), -ENODATA);
	fake.refuse_cmds = 1;
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 9, 1, buf), -EINVAL);
	assert_int_equal(td_vbd_find(MINOR)->stats.fail[0], 2);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 9, 1, buf), 0);
	/* One refused among many: that one fails, and no other. */
	for (i = 0; i < 4; i++)
		tags[i] = fake_start(BLKTAP_OP_READ, 0, i, 1, buf);
	fake.refuse_after = 2;
	fake.refuse_cmds = 1;
	assert_true(fake_run(5000));
	for (i = 0; i < 4; i++)
		assert_int_equal(fake_result(tags[i]), i == 2 ? -EINVAL : 0);
}

static void test_bad_events(void **state)
{
	static const struct {
		uint8_t op;
		uint64_t sector;
		uint32_t nr;
	} bad[] = {
		{ BLKTAP_OP_READ, SECTORS, 1 },
		{ BLKTAP_OP_READ, SECTORS - 1, 2 },
		{ BLKTAP_OP_WRITE, UINT64_MAX, 1 },
		{ BLKTAP_OP_WRITE, UINT64_MAX - 7, 16 },
		{ BLKTAP_OP_READ, 0, 0 },
		{ BLKTAP_OP_READ, 0, 2049 },
		{ BLKTAP_OP_TRIM, 1, SECTORS },
		{ BLKTAP_OP_TRIM, 1, UINT32_MAX },
		{ BLKTAP_OP_WRITE_ZEROES, 0, SECTORS + 1 },
		{ 5, 0, 1 },
		{ 255, 0, 1 },
	};
	struct blktap_direct_event ev = { .type = BLKTAP_EVENT_REQUEST };
	unsigned int i, tag;
	char buf[512];

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fake_io(bad[i].op, 0, bad[i].sector,
					 bad[i].nr, buf), -EIO);
	assert_int_equal(fake.nr_maps, 0);

	fake.delay_ms = 100;
	tag = fake_start(BLKTAP_OP_READ, 0, 1, 1, buf);
	/* Tags that are none, types that are none, results nobody owes. */
	ev.tag = FAKE_DEPTH;
	fake_raw(&ev);
	ev.tag = UINT32_MAX;
	fake_raw(&ev);
	ev.tag = 5;
	ev.type = BLKTAP_EVENT_MAPPED;
	fake_raw(&ev);
	ev.type = 77;
	fake_raw(&ev);
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
	assert_true(td_vbd_find(MINOR)->bad_events >= 4);

	/* A disk of larger sectors has no parts of them. */
	td_vbd_find(MINOR)->info.sector_size = 4096;
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 4, 8, buf), -EIO);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 8, 4, buf), -EIO);
	td_vbd_find(MINOR)->info.sector_size = 512;
}

/* The kernel says that the disk was removed: nothing is asked of it any more. */
static void test_gone(void **state)
{
	struct blktap_direct_event ev = { .type = BLKTAP_EVENT_GONE };
	char buf[512];
	int fd;

	(void)state;
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 0, 1, buf), 0);
	fake.created = false;
	fake_raw(&ev);
	fake_run_for(50);
	assert_false(td_vbd_find(MINOR)->created);
	assert_int_equal(td_vbd_find(MINOR)->bad_events, 0);
	assert_int_equal(op_close(10, false), 0);
	fd = open(image, O_RDWR);
	assert_int_equal(td_file_lock(fd, true, image), 0);
	close(fd);
}

static void test_readonly(void **state)
{
	char buf[512];

	(void)state;
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), name, TD_OPEN_RDONLY,
				     0, NULL), 0);
	assert_true(fake.info.flags & BLKTAP_DEVICE_RO);
	assert_false(fake.info.flags & BLKTAP_DEVICE_TRIM);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 0, 1, buf), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 0, 1, buf), -EIO);
	assert_int_equal(fake_io(BLKTAP_OP_TRIM, 0, 0, 1, NULL), -EIO);
}

static void test_pause_under_load(void **state)
{
	static char buf[FAKE_DEPTH][512];
	unsigned int i, round, tags[FAKE_DEPTH];
	int fd;

	(void)state;
	fake.delay_ms = 400;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 16; i++) {
			memset(buf[i], 'A' + i + round, 512);
			tags[i] = fake_start(BLKTAP_OP_WRITE, 0, i, 1, buf[i]);
		}
		fake_run_for(20);
		assert_int_equal(fake.transfers, 16);
		/* Some come while the pause waits for the others. */
		op_error = 1;
		td_vbd_pause(td_vbd_find(MINOR), op_done, NULL);
		for (; i < FAKE_DEPTH; i++) {
			memset(buf[i], 'A' + i + round, 512);
			tags[i] = fake_start(BLKTAP_OP_WRITE, 0, i, 1, buf[i]);
		}
		assert_int_equal(op_wait(5000), 0);
		assert_int_equal(fake.transfers, 0);
		assert_int_equal(td_vbd_find(MINOR)->state, TD_CTL_PAUSED);
		fake_run_for(100);
		for (i = 0; i < 16; i++)
			assert_int_equal(fake_result(tags[i]), 0);
		for (; i < FAKE_DEPTH; i++)
			assert_int_equal(fake_result(tags[i]), -EINPROGRESS);
		/* The image is free for others now. */
		fd = open(image, O_RDWR);
		assert_int_equal(td_file_lock(fd, true, image), 0);
		assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL),
				 -EBUSY);
		assert_int_equal(td_vbd_find(MINOR)->state, TD_CTL_PAUSED |
				 TD_CTL_RESUME_FAILED);
		close(fd);
		assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), 0);
		assert_true(fake_run(5000));
		for (i = 16; i < FAKE_DEPTH; i++)
			assert_int_equal(fake_result(tags[i]), 0);
	}
	fd = open(image, O_RDONLY);
	for (i = 0; i < FAKE_DEPTH; i++) {
		assert_int_equal(pread(fd, buf[0], 1, i * 512), 1);
		assert_int_equal(buf[0][0], 'A' + (int)i + 2);
	}
	close(fd);
}

static void test_pause_failed_transfer(void **state)
{
	char buf[512] = "late";
	unsigned int tag;

	(void)state;
	/* It fails while the pause waits, and is tried again after it. */
	fake.delay_ms = 400;
	fake.fail_maps = 1;
	fake.fail_error = -ENOSPC;
	tag = fake_start(BLKTAP_OP_WRITE, 0, 0, 1, buf);
	fake_run_for(20);
	assert_int_equal(op_pause(), 0);
	fake_run_for(1500);
	assert_int_equal(fake_result(tag), -EINPROGRESS);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), 0);
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
}

static void test_resume_other_size(void **state)
{
	(void)state;
	assert_int_equal(op_pause(), 0);
	make_image((SECTORS - 1) * 512);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), -EINVAL);
	assert_int_equal(fake.info.capacity, SECTORS);
	make_image(SECTORS * 512);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", TD_OPEN_RDONLY, NULL),
			 -EINVAL);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), 0);
	assert_int_equal(td_vbd_resume(td_vbd_find(MINOR), "", 0, NULL), -EINVAL);
}

/* The image has grown while it was closed: I/O up to the new end. */
static void test_resume_larger(void **state)
{
	struct td_vbd *v = td_vbd_find(MINOR);
	char buf[512] = "new end", back[512];
	unsigned int tag;

	(void)state;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, SECTORS, 1, buf), -EIO);
	assert_int_equal(op_pause(), 0);
	tag = fake_start(BLKTAP_OP_WRITE, 0, SECTORS - 1, 1, buf);
	assert_int_equal(truncate(image, SECTORS * 512 * 2), 0);
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
	assert_int_equal(fake.info.capacity, SECTORS * 2);
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, SECTORS * 2 - 1, 1, buf),
			 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, SECTORS * 2 - 1, 1, back),
			 0);
	assert_memory_equal(buf, back, sizeof(buf));
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, SECTORS * 2, 1, buf),
			 -EIO);
	/* It keeps its new size. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(truncate(image, SECTORS * 512), 0);
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), -EINVAL);
	assert_int_equal(truncate(image, SECTORS * 512 * 2), 0);
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
	assert_int_equal(fake.info.capacity, SECTORS * 2);
}

/* A kernel that refuses: the disk goes on as it was. */
static void test_resume_larger_refused(void **state)
{
	struct td_vbd *v = td_vbd_find(MINOR);
	char buf[512] = "old end";

	(void)state;
	assert_int_equal(op_pause(), 0);
	assert_int_equal(truncate(image, SECTORS * 512 * 2), 0);
	fake.resize_error = -ENOTTY;
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
	assert_int_equal(v->state, 0);
	assert_int_equal(fake.info.capacity, SECTORS);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, SECTORS - 1, 1, buf), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, SECTORS, 1, buf), -EIO);
	/* The next time it does not. */
	fake.resize_error = 0;
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
	assert_int_equal(fake.info.capacity, SECTORS * 2);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, SECTORS, 1, buf), 0);
}

static void test_close_busy(void **state)
{
	int64_t start = td_now();
	char buf[512];

	(void)state;
	fake.openers = 1;
	assert_int_equal(op_close(1, false), -EBUSY);
	assert_true(td_now() - start >= 1000);
	/* It still works. */
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 0, 1, buf), 0);
	assert_int_equal(op_detach(), -EBUSY);
	op_error = 1;
	td_vbd_close(td_vbd_find(MINOR), 10, false, op_done, NULL);
	fake_run_for(300);
	assert_int_equal(op_error, 1);
	fake.openers = 0;
	assert_int_equal(op_wait(5000), 0);
	assert_int_equal(td_vbd_find(MINOR)->state, TD_CTL_CLOSED);
	assert_false(fake.created);
}

static void test_force(void **state)
{
	char buf[512];
	unsigned int tag, retried;

	(void)state;
	fake.fail_maps = 1;
	fake.fail_error = -ENOSPC;
	retried = fake_start(BLKTAP_OP_WRITE, 0, 0, 1, buf);
	fake_run_for(20);
	fake.delay_ms = 800;
	tag = fake_start(BLKTAP_OP_WRITE, 0, 1, 1, buf);
	fake_run_for(20);
	fake.openers = 1;
	assert_int_equal(op_close(1, true), -EBUSY);
	assert_int_equal(fake_result(retried), -EIO);
	assert_int_equal(fake_result(tag), 0);
	assert_int_equal(td_vbd_find(MINOR)->state, TD_CTL_DEAD |
			 TD_CTL_SHUTDOWN_REQUESTED);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 0, 1, buf), -EIO);
	fake.openers = 0;
	assert_int_equal(op_close(1, true), 0);
}

static void test_takeover(void **state)
{
	char buf[512] = "again";
	unsigned int tag;

	(void)state;
	/* The first server leaves while it is paused and holds a request. */
	assert_int_equal(op_pause(), 0);
	tag = fake_start(BLKTAP_OP_WRITE, 0, 5, 1, buf);
	fake_run_for(20);
	assert_int_equal(op_detach(), 0);
	assert_true(fake.created);
	assert_int_equal(td_vbd_attach(MINOR), 0);
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), name, 0, 0, NULL), 0);
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 5, 1, buf), 0);
	assert_string_equal(buf, "again");
}

static void open_fails(const char *what, unsigned int flags, int error,
		       const char *message)
{
	td_log_error_clear();
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), what, flags, 0, NULL),
			 error);
	if (!strstr(td_log_error(), message))
		fail_msg("%s: message \"%s\" without \"%s\"", what,
			 td_log_error(), message);
	assert_int_equal(td_vbd_find(MINOR)->state, TD_CTL_CLOSED);
}

static void test_open_errors(void **state)
{
	int fd;

	(void)state;
	open_fails("", 0, -EINVAL, "aio");
	open_fails("/image", 0, -EINVAL, "TYPE:PATH");
	open_fails("raw:/image", 0, -EINVAL, "aio");
	open_fails("ai:/image", 0, -EINVAL, "aio");
	open_fails("aio:/nonexistent", 0, -ENOENT, "/nonexistent");
	open_fails("aio:/dev/null", 0, -EINVAL, "/dev/null is neither");
	open_fails("aio:/tmp", TD_OPEN_RDONLY, -EINVAL, "/tmp is neither");
	open_fails("null:", 0, -EINVAL, "SIZE");
	open_fails("null:0", 0, -EINVAL, "SIZE");
	open_fails("null:1X", 0, -EINVAL, "SIZE");
	open_fails("null:100", 0, -EINVAL, "512");
	open_fails("null:9999999999999T", 0, -EINVAL, "SIZE");
	open_fails("ram:-1", 0, -EINVAL, "SIZE");
	open_fails("ram:0", 0, -EINVAL, "512");
	open_fails("ram:/tmp", 0, -EINVAL, "/tmp is no regular file");
	make_image(0);
	open_fails(name, 0, -EINVAL, "0 bytes");
	make_image(1000);
	open_fails(name, 0, -EINVAL, "1000 bytes");
	make_image(SECTORS * 512);
	fd = open(image, O_RDWR);
	assert_int_equal(td_file_lock(fd, false, image), 0);
	open_fails(name, 0, -EBUSY, "is in use");
	close(fd);
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), name, 0, 0, NULL), 0);
	td_log_error_clear();
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), name, 0, 0, NULL),
			 -EALREADY);
	assert_int_equal(td_vbd_attach(MINOR), -EEXIST);
	assert_int_equal(td_vbd_attach(9), -ENXIO);
}

/* A loop device with sectors of 4096 bytes, or NULL if there can be none. */
static char *make_4kn(const char *file)
{
	static char path[64];
	char command[160];
	FILE *p;

	snprintf(command, sizeof(command),
		 "losetup -f --show -b 4096 %s 2>/dev/null", file);
	p = popen(command, "r");
	*path = '\0';
	if (p && fgets(path, sizeof(path), p))
		path[strcspn(path, "\n")] = '\0';
	if (p)
		pclose(p);
	return *path ? path : NULL;
}

/* A device of large sectors serves a guest that knows small ones. */
static void test_4kn(void **state)
{
	static char buf[4096] __attribute__((aligned(4096)));
	char aio[80], command[100], sector[512], seen[512];
	struct td_vbd *v = td_vbd_find(MINOR);
	const char *device = make_4kn(image);
	unsigned int i;
	int fd;

	(void)state;
	if (!device) {
		print_message("no loop device\n");
		skip();
	}
	snprintf(aio, sizeof(aio), "aio:%s", device);
	snprintf(command, sizeof(command), "losetup -d %s", device);
	assert_int_equal(td_vbd_open(v, aio, 0, 0, NULL), 0);
	assert_int_equal(fake.info.sector_size, 512);
	assert_int_equal(fake.info.phys_block_size, 4096);
	assert_int_equal(fake.info.capacity, SECTORS);
	for (i = 0; i < 24; i++) {
		memset(sector, 'a' + i, 512);
		assert_int_equal(fake_io(BLKTAP_OP_WRITE, i & 1 ?
					 BLKTAP_REQ_FUA : 0, 5 + i, 1, sector),
				 0);
	}
	assert_int_equal(flush(), 0);
	/* The neighbours of a sector are what they were. */
	fd = open(image, O_RDONLY);
	for (i = 0; i < 24; i++) {
		memset(sector, 'a' + i, 512);
		assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 5 + i, 1, seen), 0);
		assert_memory_equal(sector, seen, 512);
		assert_int_equal(pread(fd, seen, 512, (5 + i) * 512), 512);
		assert_memory_equal(sector, seen, 512);
	}
	close(fd);
	/* What a guest writes does not change what it has seen. */
	memset(sector, 0, 512);
	memcpy(sector, "EFI PART", 8);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 8, 1, sector), 0);
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(v, "", 0, NULL), 0);
	assert_int_equal(op_close(0, false), 0);

	/* One that was used with large sectors is not told small ones. */
	memcpy(buf, "EFI PART", 8);
	fd = open(device, O_RDWR);
	assert_int_equal(pwrite(fd, buf, 4096, 4096), 4096);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	assert_int_equal(td_vbd_open(v, aio, 0, 0, NULL), 0);
	assert_int_equal(fake.info.sector_size, 4096);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 8, 8, buf), 0);
	assert_memory_equal(buf, "EFI PART", 8);
	assert_int_equal(op_close(0, false), 0);
	assert_int_equal(system(command), 0);
}

static void test_null(void **state)
{
	char buf[1024];

	(void)state;
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), "null:1M", 0, 0, NULL), 0);
	assert_int_equal(fake.info.capacity, 2048);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 2046, 2, buf), 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 2046, 2, buf), 0);
	assert_int_equal(buf[0] | buf[1023], 0);
	assert_int_equal(fake_io(BLKTAP_OP_TRIM, 0, 0, 2048, NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
}

static void test_ram(void **state)
{
	char buf[1024], path[80];
	int fd;

	(void)state;
	fd = open(image, O_WRONLY);
	assert_int_equal(pwrite(fd, "file", 4, 512 * 5), 4);
	close(fd);
	snprintf(path, sizeof(path), "ram:%s", image);
	assert_int_equal(td_vbd_open(td_vbd_find(MINOR), path, 0, 0, NULL), 0);
	assert_int_equal(fake.info.capacity, SECTORS);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 5, 2, buf), 0);
	assert_memory_equal(buf, "file", 5);
	strcpy(buf, "new");
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 6, 1, buf), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 5, 2, buf), 0);
	assert_memory_equal(buf + 512, "new", 4);
	assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
}

static void test_stats(void **state)
{
	char buf[1024], *text, want[600];

	(void)state;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 5, 2, buf), 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 5, 1, buf), 0);
	td_vbd_find(MINOR)->stats.events = 5;
	td_vbd_find(MINOR)->stats.xfers = 6;
	text = td_vbd_stats(td_vbd_find(MINOR));
	snprintf(want, sizeof(want),
		 "{ \"name\": \"%s\", \"secs\": [ 1, 2 ], \"images\": [ { \"name\": \"%s\", \"hits\": [ 1, 2 ], \"fail\": [ 0, 0 ], \"driver\": { \"type\": 0, \"name\": \"aio\", \"status\": { \"reqs\": { \"max\": 256, \"pending\": 0 } } } } ], \"tap\": { \"minor\": 3, \"reqs\": [ 2, 2 ], \"kicks\": [ 5, 6 ] }, \"FIXME_enospc_redirect_count\": 0, \"nbd_mirror_failed\": 0 }\n",
		 name, name);
	assert_string_equal(text, want);
	free(text);
	/* Names are any bytes. */
	strcat(td_vbd_find(MINOR)->name, "\xff\xc3");
	text = td_vbd_stats(td_vbd_find(MINOR));
	assert_non_null(strstr(text, "/image\xef\xbf\xbd\xef\xbf\xbd\""));
	assert_null(strchr(text, '\xff'));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn, setup) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_write_read, setup_aio),
		TEST(test_batches, setup_aio),
		TEST(test_flush_fua, setup_aio),
		TEST(test_trim_zeroes, setup_aio),
		TEST(test_enospc_retry, setup_aio),
		TEST(test_enospc_timeout, setup_aio),
		TEST(test_eio_passes, setup_aio),
		TEST(test_eio_stays, setup_aio),
		TEST(test_eio_close, setup_aio),
		TEST(test_flush_fails, setup_loop),
		TEST(test_flush_fails_vhd, setup_loop),
		TEST(test_fua_fails, setup_aio),
		TEST(test_pause_sync_fails, setup_aio),
		TEST(test_pause_late_result, setup_aio),
		TEST(test_open_syncs, setup_loop),
		TEST(test_close_syncs, setup_loop),
		TEST(test_map_error, setup_aio),
		TEST(test_bad_events, setup_aio),
		TEST(test_gone, setup_aio),
		TEST(test_readonly, setup_loop),
		TEST(test_pause_under_load, setup_aio),
		TEST(test_pause_failed_transfer, setup_aio),
		TEST(test_resume_other_size, setup_aio),
		TEST(test_resume_larger, setup_aio),
		TEST(test_resume_larger_refused, setup_aio),
		TEST(test_close_busy, setup_aio),
		TEST(test_force, setup_aio),
		TEST(test_takeover, setup_aio),
		TEST(test_open_errors, setup_loop),
		TEST(test_4kn, setup_loop),
		TEST(test_null, setup_loop),
		TEST(test_ram, setup_loop),
		TEST(test_stats, setup_aio),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	td_run_dir = dir;
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(name, sizeof(name), "aio:%s", image);
	failed = cmocka_run_group_tests_name("td_req", tests, NULL, NULL);
	unlink(image);
	rmdir(dir);
	return failed;
}
