// SPDX-License-Identifier: GPL-2.0
/*
 * The VHD driver against a model: what a guest reads is what it wrote, on
 * images of all kinds, ours and QEMU's, when things fail and when they do not.
 */
#include "vhd_model.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_file.h"
#include "vhd_fault.h"

/*
 * Random load on an image, with clean reopen and kills in between.
 */
static void test_load(const char *path, struct vt_model *m, bool trim, int rounds)
{
	struct vt_load *l = calloc(1, sizeof(*l));
	int i;

	l->m = m;
	l->trim = trim;
	l->zeroes = true;
	assert_int_equal(vfake_open(path, 0), 0);
	assert_int_equal(vfake.info.sectors, m->sectors);
	for (i = 0; i < rounds; i++) {
		vt_load_run(l, 200);
		if (vfake_random() % 2) {
			vt_load_poll(l, false);
			vfake_kill();
			vt_load_forget(l);
			assert_int_equal(vfake_open(path, 0), 0);
			vt_model_verify(m, false);
			vt_model_settle(m);
		} else {
			vt_load_drain(l);
			vt_model_verify(m, false);
			vt_model_settle(m);
			assert_int_equal(vfake_close(), 0);
			assert_int_equal(vhd_check(&vt_ctx, path, 0,
						   VHD_CHECK_BITMAPS, NULL),
					 0);
			assert_int_equal(vfake_open(path, 0), 0);
			vt_model_verify(m, false);
		}
	}
	vt_load_drain(l);
	vt_model_verify(m, false);
	vt_model_settle(m);
	assert_int_equal(vfake_close(), 0);
	free(l);
}

static void test_dynamic_small(void **state)
{
	struct vt_model m;

	(void)state;
	vt_image("a.vhd", 3 << 20, NULL);
	vt_model_init(&m, (3 << 20) / VHD_SECTOR);
	test_load(vt_path("a.vhd"), &m, true, 20);
	free(m.h);
}

static void test_dynamic_tap(void **state)
{
	struct vt_model m;

	(void)state;
	vt_create("a.vhd", 16 << 20, false, NULL);
	vt_model_init(&m, (16 << 20) / VHD_SECTOR);
	test_load(vt_path("a.vhd"), &m, true, 3);
	free(m.h);
}

static void test_fixed(void **state)
{
	struct vt_model m;

	(void)state;
	vt_create("a.vhd", 4 << 20, true, NULL);
	vt_model_init(&m, (4 << 20) / VHD_SECTOR);
	test_load(vt_path("a.vhd"), &m, true, 3);
	free(m.h);
}

/* Three images, the load goes to each while it is the leaf. */
static void test_chain(void **state)
{
	char before[65], after[65];
	struct vt_model m;

	(void)state;
	vt_image("a.vhd", 2 << 20, NULL);
	vt_model_init(&m, (2 << 20) / VHD_SECTOR);
	test_load(vt_path("a.vhd"), &m, false, 2);
	vt_image("b.vhd", 2 << 20, "a.vhd");
	test_load(vt_path("b.vhd"), &m, true, 2);
	vt_image("c.vhd", 2 << 20, "b.vhd");
	vt_hash("b.vhd", before);
	test_load(vt_path("c.vhd"), &m, true, 10);
	vt_hash("b.vhd", after);
	assert_string_equal(before, after);
	/* A child of 2 MiB blocks on parents of 16 KiB blocks. */
	vt_create("d.vhd", 2 << 20, false, "c.vhd");
	test_load(vt_path("d.vhd"), &m, true, 4);
	free(m.h);
}

#define DEEP	30

/*
 * 30 images, a guest in each for a while. A piece of the disk has been
 * written in each of them and nowhere else.
 */
static void test_deep(void **state)
{
	struct vt_load *l = calloc(1, sizeof(*l));
	const uint64_t own = VT_SPB - DEEP;
	char name[16], parent[16] = "";
	uint8_t buf[VHD_SECTOR];
	struct vt_model m;
	uint64_t sector;
	int i;

	(void)state;
	vt_model_init(&m, (256 << 10) / VHD_SECTOR);
	l->m = &m;
	l->trim = true;
	l->zeroes = true;
	for (i = 0; i < DEEP; i++) {
		snprintf(name, sizeof(name), "%d.vhd", i);
		vt_image(name, 512 << 10, i ? parent : NULL);
		assert_int_equal(vfake_open(vt_path(name), 0), 0);
		assert_int_equal(vfake.nr_files, i + 1);
		vt_load_run(l, 40);
		vt_load_drain(l);
		vt_model_verify(&m, false);
		vt_model_settle(&m);
		/* Behind what the model knows: in all blocks there. */
		for (sector = m.sectors; sector < 2 * m.sectors;
		     sector += VT_SPB) {
			vt_fill(buf, 1000 + i);
			assert_int_equal(vfake_do(BLKTAP_OP_WRITE,
						  sector + own + i, 1, buf,
						  false), 0);
		}
		assert_int_equal(vfake_close(), 0);
		snprintf(parent, sizeof(parent), "%s", name);
	}
	assert_int_equal(vhd_check(&vt_ctx, vt_path(name), 0,
				   VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS, NULL),
			 0);
	assert_int_equal(vfake_open(vt_path(name), TD_OPEN_RDONLY), 0);
	vt_model_verify(&m, false);
	for (sector = m.sectors; sector < 2 * m.sectors; sector++) {
		uint64_t in = sector % VT_SPB;

		assert_int_equal(vfake_do(BLKTAP_OP_READ, sector, 1, buf,
					  false), 0);
		assert_int_equal(vt_value(buf), in < own ? 0 : 1000 + in - own);
	}
	assert_int_equal(vfake_close(), 0);
	free(m.h);
	free(l);
}

/*
 * Interchange with QEMU.
 */

/* What the driver reads, as a raw file. */
static void test_export(const char *path, const char *raw)
{
	uint8_t *buf = malloc(1 << 20);
	int fd = open(raw, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	uint64_t s;

	assert_true(fd >= 0);
	assert_int_equal(vfake_open(path, TD_OPEN_RDONLY), 0);
	for (s = 0; s < vfake.info.sectors; s += 2048) {
		uint32_t nr = vfake.info.sectors - s < 2048 ?
			      vfake.info.sectors - s : 2048;

		assert_int_equal(vfake_do(BLKTAP_OP_READ, s, nr, buf, false), 0);
		assert_int_equal(write(fd, buf, nr * VHD_SECTOR),
				 nr * VHD_SECTOR);
	}
	assert_int_equal(vfake_close(), 0);
	close(fd);
	free(buf);
}

/* Does QEMU read the same, and as much? */
static void test_compare(const char *vhd, const char *raw)
{
	test_export(vt_path(vhd), vt_path(raw));
	vt_sh("qemu-img compare -f vpc -F raw %s %s", vhd, raw);
	vt_sh("qemu-img info -f vpc --output=json %s | grep -q \"virtual-size.: $(stat -c %%s %s),\"", vhd, raw);
}

static void test_qemu_made(const char *options)
{
	struct vt_model m;

	vt_sh("rm -f q.vhd; qemu-img create -f vpc -o %s q.vhd 20M", options);
	vt_sh("qemu-io -f vpc -c 'write -P 0 6M 1M' -c 'write -P 0 11M 64k' q.vhd");
	assert_int_equal(vfake_open(vt_path("q.vhd"), TD_OPEN_RDONLY), 0);
	vt_model_init(&m, vfake.info.sectors);
	assert_int_equal(vfake_close(), 0);
	test_load(vt_path("q.vhd"), &m, true, 3);
	free(m.h);
	test_compare("q.vhd", "q.raw");
	/* QEMU goes on with what we left, and we with that. */
	vt_sh("qemu-io -f vpc -c 'write -P 0x41 7M 3M' -c 'write -P 0x42 0 512' q.vhd");
	test_compare("q.vhd", "q.raw");
}

static void test_qemu_images(void **state)
{
	(void)state;
	test_qemu_made("subformat=dynamic");
	test_qemu_made("subformat=dynamic,force_size=on");
	test_qemu_made("subformat=fixed");
	test_qemu_made("subformat=fixed,force_size=on");
}

/* QEMU on an image of ours, which is empty, then no more. */
static void test_qemu_ours(void **state)
{
	struct vt_model m;

	(void)state;
	vt_create("a.vhd", 1 << 30, false, NULL);
	vt_sh("qemu-io -f vpc -c 'write -P 0x41 5M 3M' a.vhd");
	test_compare("a.vhd", "a.raw");

	vt_create("b.vhd", 16 << 20, false, NULL);
	vt_model_init(&m, (16 << 20) / VHD_SECTOR);
	test_load(vt_path("b.vhd"), &m, true, 2);
	free(m.h);
	vt_sh("qemu-io -f vpc -c 'write -P 0x41 5M 3M' b.vhd");
	test_compare("b.vhd", "b.raw");
	vt_sh("qemu-img convert -f vpc -O raw b.vhd c.raw");
	vt_sh("qemu-img convert -f raw -O vpc c.raw c.vhd");
	test_export(vt_path("c.vhd"), vt_path("d.raw"));
	vt_sh("qemu-img compare -f raw -F raw c.raw d.raw");
}

/*
 * Failures: what was completed stays, what could not be done is said.
 */

static int fail_error, fail_percent;

static int fail_some(const struct vfake_event *event)
{
	if (event->kind == VFAKE_RETRY ||
	    (event->kind == VFAKE_IO && event->io->op == TD_IO_FDATASYNC))
		return 0;
	if ((int)(vfake_random() % 100) >= fail_percent)
		return 0;
	return fail_error;
}

static void test_fail(const char *parent, int error, int percent)
{
	struct vt_load *l = calloc(1, sizeof(*l));
	const char *path = vt_path("f.vhd");
	struct vt_model m;
	int i;

	vt_model_init(&m, (3 << 20) / VHD_SECTOR);
	vt_begin(&m, "f.vhd", parent);
	l->m = &m;
	l->zeroes = true;
	l->may_fail = true;
	for (i = 0; i < 6; i++) {
		assert_int_equal(vfake_open(path, 0), 0);
		fail_error = error;
		fail_percent = percent;
		vfake.fail = fail_some;
		vt_load_run(l, 150);
		vfake.fail = NULL;
		vt_load_drain(l);
		/* What failed may have been done, now or later. */
		vt_model_verify(&m, false);
		vt_model_settle(&m);
		assert_int_equal(vfake_do(BLKTAP_OP_FLUSH, 0, 0, NULL, false),
				 0);
		if (i % 2) {
			assert_int_equal(vfake_close(), 0);
			assert_int_equal(vhd_check(&vt_ctx, path, 0,
						   VHD_CHECK_BITMAPS, NULL),
					 0);
		} else {
			vfake_kill();
		}
		assert_int_equal(vfake_open(path, TD_OPEN_RDONLY), 0);
		vt_model_verify(&m, false);
		assert_int_equal(vfake_close(), 0);
	}
	free(m.h);
	free(l);
}

static void test_failures(void **state)
{
	(void)state;
	vt_parent("a.vhd", 3 << 20);
	/* So many that retries run out, too. */
	test_fail(NULL, -EIO, 20);
	test_fail(NULL, -ENOSPC, 30);
	test_fail(NULL, -ENOSPC, 80);
	test_fail("a.vhd", -EIO, 20);
	test_fail("a.vhd", -ENOSPC, 30);
	test_fail("a.vhd", -ENOSPC, 80);
}

/* A full disk: requests wait, and go on when there is space. */
static int full_left;

static int fail_full(const struct vfake_event *event)
{
	bool write = event->kind == VFAKE_MAP ? event->req->op ==
		     BLKTAP_OP_WRITE : event->kind == VFAKE_IO &&
		     event->io->op == TD_IO_WRITE;

	return write && full_left && full_left-- ? -ENOSPC : 0;
}

static void test_full_disk(void **state)
{
	uint8_t data[8 * VHD_SECTOR];
	int i;

	(void)state;
	vt_image("a.vhd", 3 << 20, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	vfake.max_retries = 1000;
	vfake.fail = fail_full;
	for (i = 0; i < 32; i++) {
		memset(data, i + 1, sizeof(data));
		full_left = 100;
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE, i * 64, 8, data,
					  false), 0);
		assert_int_equal(full_left, 0);
	}
	assert_int_equal(vfake_close(), 0);
	vfake.fail = NULL;
	assert_int_equal(vhd_check(&vt_ctx, vt_path("a.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), 0);
}

/* A failed fdatasync is not forgotten: no FLUSH may say all is well. */
static int fail_sync(const struct vfake_event *event)
{
	return event->kind == VFAKE_IO && event->io->op == TD_IO_FDATASYNC ?
	       -EIO : 0;
}

static void test_failed_sync(void **state)
{
	uint8_t data[VHD_SECTOR] = { 1 };

	(void)state;
	vt_image("a.vhd", 3 << 20, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 0, 1, data, false), 0);
	vfake.fail = fail_sync;
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 0, 1, data, true), -EIO);
	vfake.fail = NULL;
	assert_int_equal(vfake_do(BLKTAP_OP_FLUSH, 0, 0, NULL, false), -EIO);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 0, 1, data, false), 0);
	assert_int_equal(vfake_close(), -EIO);
}

static uint64_t test_allocated(const char *name)
{
	struct stat st;

	assert_int_equal(stat(vt_path(name), &st), 0);
	return st.st_blocks * 512ULL;
}

/* TRIM gives the space back, in pieces too; the file stays sound. */
static void test_trim(void **state)
{
	uint8_t *data = malloc(1 << 20);
	uint64_t before;
	uint32_t i;

	(void)state;
	memset(data, 0x5a, 1 << 20);
	vt_create("a.vhd", 16 << 20, false, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	assert_true(vfake.info.discard && vfake.info.discard_size == 4096);
	for (i = 0; i < 8; i++)
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE, i * 2048, 2048, data,
					  false), 0);
	before = test_allocated("a.vhd");
	assert_true(before >= 8 << 20);
	assert_int_equal(vfake_do(BLKTAP_OP_TRIM, 8, 16, NULL, false), 0);
	assert_true(test_allocated("a.vhd") <= before - 8192);
	/* All of it, most of which was never written. */
	assert_int_equal(vfake_do(BLKTAP_OP_TRIM, 0, vfake.info.sectors, NULL,
				  false), 0);
	/* What was reserved for what would have followed too. */
	assert_true(test_allocated("a.vhd") < 1 << 20);
	for (i = 0; i < 8; i++) {
		assert_int_equal(vfake_do(BLKTAP_OP_READ, i * 2048, 2048, data,
					  false), 0);
		assert_true(!data[0] && !memcmp(data, data + 1,
						(1 << 20) - 1));
	}
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vhd_check(&vt_ctx, vt_path("a.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), 0);
	free(data);
}

/* A TRIM of more blocks than one operation takes gets to its end. */
static void test_long_trim(void **state)
{
	uint8_t data[8 * VHD_SECTOR];
	uint64_t last;

	(void)state;
	memset(data, 0x5a, sizeof(data));
	vt_image("a.vhd", 16 << 20, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	last = vfake.info.sectors - 8;
	assert_true(vfake.info.sectors * VHD_SECTOR / VT_BLOCK > 512);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, last, 8, data, false), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_TRIM, 0, vfake.info.sectors, NULL,
				  false), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, last, 8, data, false), 0);
	assert_true(!data[0] && !memcmp(data, data + 1, sizeof(data) - 1));
	assert_int_equal(vfake_close(), 0);
}

/* A new block of a child hides nothing of what many blocks of its parent have. */
static void test_smaller_parent_blocks(void **state)
{
	uint8_t data[8 * VHD_SECTOR];
	uint8_t got[8 * VHD_SECTOR];

	(void)state;
	memset(data, 0x5a, sizeof(data));
	vt_image("a.vhd", 2 << 20, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 2048, 8, data, false), 0);
	assert_int_equal(vfake_close(), 0);
	vt_create("b.vhd", 2 << 20, false, "a.vhd");
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 0, 8, data, false), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 2048, 8, got, false), 0);
	assert_memory_equal(got, data, sizeof(data));
	assert_int_equal(vfake_close(), 0);
}

/* WRITE_ZEROES does not allocate where there is nothing but zeros. */
static void test_zeroes(void **state)
{
	uint8_t data[8 * VHD_SECTOR];
	struct vhd_image *image;

	(void)state;
	vt_create("a.vhd", 16 << 20, false, NULL);
	vt_create("b.vhd", 16 << 20, false, "a.vhd");
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	memset(data, 0x5a, sizeof(data));
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 4096, 8, data, false), 0);
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE_ZEROES, 0, vfake.info.sectors,
				  NULL, false), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 4096, 8, data, false), 0);
	assert_true(!data[0] && !memcmp(data, data + 1, sizeof(data) - 1));
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vhd_open(&vt_ctx, vt_path("b.vhd"), 0, &image), 0);
	assert_int_equal(image->bat[0], VHD_BAT_UNUSED);
	assert_int_not_equal(image->bat[1], VHD_BAT_UNUSED);
	assert_int_equal(image->bat[2], VHD_BAT_UNUSED);
	vhd_close(image);
}

/* What the driver tells of itself; also how much syncing there is. */
static int test_stat(const char *key)
{
	struct json_object *image = json_object_new_object();
	struct json_object *driver = json_object_new_object();
	struct json_object *status, *value;
	int ret;

	json_object_object_add(image, "driver", driver);
	vfake.drv->stats(vfake.priv, image);
	assert_true(json_object_object_get_ex(driver, "status", &status));
	assert_true(json_object_object_get_ex(status, key, &value));
	ret = json_object_get_int(value);
	json_object_put(image);
	return ret;
}

/*
 * The order of things must not be paid for with an fdatasync each: none in a
 * dynamic image besides growth and FLUSH, one for many in a child.
 */
static void test_few_syncs(void **state)
{
	struct vfake_req req[64];
	uint8_t data[8 * VHD_SECTOR] = { 1 };
	int i;

	(void)state;
	vt_create("a.vhd", 64 << 20, false, NULL);
	vt_create("b.vhd", 64 << 20, false, "a.vhd");
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	for (i = 0; i < 1024; i++)
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE, i * 128, 8, data,
					  false), 0);
	assert_int_equal(test_stat("chain"), 1);
	assert_int_equal(test_stat("syncs"), 1);
	/* A BAT sector and a bitmap for each block, not for each write. */
	assert_in_range(test_stat("meta_writes"), 32, 64);
	assert_int_equal(vfake_close(), 0);

	vfake.in_order = true;
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
	memset(req, 0, sizeof(req));
	for (i = 0; i < 64; i++) {
		req[i].req.op = BLKTAP_OP_WRITE;
		req[i].req.sector = i * 64;
		req[i].req.nr_sectors = 8;
		req[i].data = data;
		vfake_submit(&req[i]);
	}
	vfake_run();
	for (i = 0; i < 64; i++)
		assert_true(req[i].done && !req[i].error);
	/* Growth; then data, whose writes end one after the other. */
	assert_in_range(test_stat("syncs"), 2, 4);
	assert_in_range(test_stat("meta_writes"), 2, 4);
	assert_int_equal(vfake_close(), 0);
}

/* After a clean close the file is as small as it can be, the batmap true. */
static unsigned int failed_hints;

static int fail_hints(const struct vfake_event *event)
{
	if (event->kind != VFAKE_IO || (event->io->op != TD_IO_START &&
					event->io->op != TD_IO_RESERVE))
		return 0;
	failed_hints++;
	return -EIO;
}

/* Write @bytes from @off on in pieces of 64 KiB; hints that were given. */
static unsigned int test_hints(uint64_t off, uint32_t bytes)
{
	static uint8_t buf[65536];
	uint32_t i;

	vfake.starts = 0;
	vfake.reserves = 0;
	for (i = 0; i < bytes; i += sizeof(buf)) {
		memset(buf, 1 + (off + i) / sizeof(buf), sizeof(buf));
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE,
					  (off + i) / VHD_SECTOR,
					  sizeof(buf) / VHD_SECTOR, buf, false),
				 0);
	}
	return vfake.starts + vfake.reserves;
}

static uint32_t dio_mem, dio_offset;	/* what direct I/O takes */
static bool dio_told;			/* the kernel says so */

int __wrap_statx(int dir, const char *path, int flags, unsigned int mask,
		 struct statx *st)
{
	int ret = __real_statx(dir, path, flags, mask, st);

	st->stx_mask &= ~STATX_DIOALIGN;
	if (dio_told)
		st->stx_mask |= mask & STATX_DIOALIGN;
	st->stx_dio_mem_align = dio_mem;
	st->stx_dio_offset_align = dio_offset;
	return ret;
}

/*
 * On sectors of 4096 bytes, where to read 512 from a hole succeeds: what the
 * kernel says counts. All of it is written and read through the page cache.
 */
static void test_direct(void **state)
{
	static const struct {
		bool told;
		uint32_t mem, offset;
		bool direct;
	} cases[] = {
		{ false, 0, 0, true },
		{ true, 4, 512, true },
		{ true, 512, 512, true },
		{ true, 512, 4096, false },
		{ true, 4096, 512, false },
		{ true, 0, 0, false },
	};
	struct vhd_create spec = { .size = 4 << 20, .fixed = true };
	uint8_t buf[1024], want[1024];
	unsigned int i, j;
	bool direct;

	(void)state;
	memset(want, 0x77, sizeof(want));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dio_told = cases[i].told;
		dio_mem = cases[i].mem;
		dio_offset = cases[i].offset;
		spec.path = vt_path("d.vhd");
		spec.holes = true;
		assert_int_equal(vhd_create(&vt_ctx, &spec), 0);
		assert_int_equal(vfake_open(vt_path("d.vhd"), 0), 0);
		direct = fcntl(vfake.files[0], F_GETFL) & O_DIRECT;
		assert_int_equal(direct, cases[i].direct);
		/* What aio: asks, with the sectors of either disk. */
		for (j = 512; j <= 4096; j *= 8)
			assert_int_equal(td_file_direct_ok(vfake.files[0], j),
					 cases[i].direct || (dio_told &&
					 dio_mem && j == 4096));
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 1, 2, want, false),
				 0);
		assert_int_equal(vfake_do(BLKTAP_OP_READ, 1, 2, buf, false),
				 0);
		assert_memory_equal(buf, want, sizeof(buf));
		assert_int_equal(vfake_close(), 0);
		vt_sh("rm d.vhd");
	}
	dio_told = false;
}

/* A block that comes in order after another one is announced. */
static void test_stream(void **state)
{
	static uint8_t buf[65536], want[65536];
	unsigned int flags, starts, i;

	(void)state;
	for (flags = 0; flags <= TD_OPEN_BUFFERED; flags += TD_OPEN_BUFFERED) {
		vt_create("s.vhd", 32 << 20, false, NULL);
		assert_int_equal(vfake_open(vt_path("s.vhd"), flags), 0);
		/* In the page cache, the disk also begins to write. */
		starts = fcntl(vfake.files[0], F_GETFL) & O_DIRECT ? 0 : 1;
		assert_int_equal(test_hints(0, 6 << 20), 2 + 2 * starts);
		assert_int_equal(vfake.starts, 2 * starts);
		/* Not when written again, not elsewhere, not in the middle. */
		assert_int_equal(test_hints(0, 6 << 20), 0);
		assert_int_equal(test_hints(20 << 20, 65536), 0);
		assert_int_equal(test_hints(10 << 20, 65536), 0);
		assert_int_equal(test_hints((12 << 20) + 65536, 65536), 0);
		/* It does not matter whether it can be done. */
		assert_int_equal(test_hints(26 << 20, 65536), 0);
		vfake.fail = fail_hints;
		failed_hints = 0;
		assert_int_equal(test_hints(28 << 20, 65536), 0);
		assert_int_equal(failed_hints, 1 + starts);
		vfake.fail = NULL;
		assert_int_equal(vfake_close(), 0);
		assert_int_equal(vfake_open(vt_path("s.vhd"), flags), 0);
		for (i = 0; i < (6 << 20) / sizeof(buf); i++) {
			memset(want, 1 + i, sizeof(want));
			assert_int_equal(vfake_do(BLKTAP_OP_READ, i * 128, 128,
						  buf, false), 0);
			assert_memory_equal(buf, want, sizeof(buf));
		}
		assert_int_equal(vfake_close(), 0);
		assert_int_equal(vhd_check(&vt_ctx, vt_path("s.vhd"), 0,
					   VHD_CHECK_BITMAPS, NULL), 0);
		vt_sh("rm s.vhd");
	}
}

/* What the file takes of the disk beyond @bytes, in MiB. */
static long test_spare(uint64_t bytes)
{
	struct stat st;

	assert_int_equal(stat(vt_path("a.vhd"), &st), 0);
	return ((long)st.st_blocks * 512 - (long)bytes) / (1 << 20);
}

/*
 * The longer a stream is, the more is reserved for it at a time, and what it
 * does not use is given back: at close, and after a crash when the image is
 * opened.
 */
static void test_ahead(void **state)
{
	const uint32_t bytes = 84 << 20;
	struct stat st;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		vt_create("a.vhd", 512 << 20, false, NULL);
		assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
		test_hints(0, bytes);
		assert_in_range(vfake.reserves, 4, 14);
		assert_in_range(test_spare(bytes), 20, 65);
		/* Inside the file, or the space would be lost in a crash. */
		assert_int_equal(stat(vt_path("a.vhd"), &st), 0);
		assert_in_range(test_spare(0), 1, st.st_size >> 20);
		if (i) {
			vfake_kill();
			assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
		} else {
			assert_int_equal(vfake_close(), 0);
		}
		assert_int_equal(test_spare(bytes), 0);
		if (i)
			assert_int_equal(vfake_close(), 0);
		assert_int_equal(vhd_check(&vt_ctx, vt_path("a.vhd"), 0,
					   VHD_CHECK_BITMAPS, NULL), 0);
		vt_sh("rm a.vhd");
	}
}

/* No block is put where a hole is being made. */
static void test_release(void **state)
{
	static uint8_t data[65536], buf[65536];
	struct vfake_req trim = { 0 }, write = { 0 };
	unsigned int events;

	(void)state;
	vt_create("a.vhd", 32 << 20, false, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	test_hints(0, 8 << 20);
	assert_in_range(test_spare(8 << 20), 2, 8);
	trim.req.op = BLKTAP_OP_TRIM;
	trim.req.sector = 8;
	trim.req.nr_sectors = 8;
	vfake_submit(&trim);
	/* The hole that was asked for, and the one behind the last block. */
	assert_int_equal(vfake.nr_events, 2);
	memset(data, 0x77, sizeof(data));
	write.req.op = BLKTAP_OP_WRITE;
	write.req.sector = (20 << 20) / VHD_SECTOR;
	write.req.nr_sectors = sizeof(data) / VHD_SECTOR;
	write.data = data;
	events = vfake.nr_events;
	vfake_submit(&write);
	assert_int_equal(vfake.nr_events, events);
	vfake_run();
	assert_true(trim.done && !trim.error && write.done && !write.error);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, write.req.sector,
				  write.req.nr_sectors, buf, false), 0);
	assert_memory_equal(buf, data, sizeof(buf));
	assert_int_equal(vfake_close(), 0);
}

static unsigned int gap_pages;
static uint64_t gap_end;

/* Whole pages, but nothing of what is before the blocks. */
static void gap_record(int fd, const void *buf, uint64_t off, size_t len,
		       bool through)
{
	static const uint8_t zeros[3584];

	(void)fd;
	(void)through;
	assert_true(len == VHD_SECTOR ? off >= 1536 : off >= gap_end);
	if (len != 4096)
		return;
	assert_int_equal(off % 4096, 0);
	assert_memory_equal(buf, zeros, sizeof(zeros));
	gap_pages++;
}

/* The bitmap of a new block goes with the gap before it, if it is one. */
static void test_gap(void **state)
{
	uint8_t buf[VHD_SECTOR] = { 1 };
	struct stat st;
	unsigned int i;

	(void)state;
	vt_create("base.vhd", 8 << 20, false, NULL);
	vt_create("gap.vhd", 8 << 20, false, "base.vhd");
	assert_int_equal(stat(vt_path("gap.vhd"), &st), 0);
	gap_end = st.st_size - VHD_FOOTER_SIZE;
	/* The first block's would reach into the locators. */
	assert_true(gap_end % 4096 > 0 && gap_end % 4096 < 3584);
	assert_int_equal(vfake_open(vt_path("gap.vhd"), 0), 0);
	vfake.record = gap_record;
	gap_pages = 0;
	for (i = 0; i < 4; i++) {
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE, i * 4096 + 9, 1, buf,
					  false), 0);
		assert_int_equal(gap_pages, i);
	}
	vfake.record = NULL;
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vhd_check(&vt_ctx, vt_path("gap.vhd"), 0,
				   VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS, NULL),
			 0);
}

static void test_clean_close(void **state)
{
	uint8_t data[VHD_SECTOR] = { 1 };
	struct vhd_image *image;
	struct stat st;

	(void)state;
	vt_create("a.vhd", 1 << 30, false, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 0, 1, data, false), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 4096 * 9, 1, data, false), 0);
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(stat(vt_path("a.vhd"), &st), 0);
	/* Two blocks of 4104 sectors from sector 16 on, and the footer. */
	assert_int_equal(st.st_size, (16 + 4104 + 4096 + 1) * 512);
	assert_int_equal(vhd_open(&vt_ctx, vt_path("a.vhd"),
				  VHD_OPEN_STRICT, &image), 0);
	assert_int_equal(image->bat[0], 15);
	assert_int_equal(image->bat[9], 15 + 4104);
	assert_true(image->batmap_good);
	assert_true(vhd_test_bit(image->batmap_map, 0));
	assert_true(vhd_test_bit(image->batmap_map, 9));
	assert_false(vhd_test_bit(image->batmap_map, 1));
	vhd_close(image);
}

/* A footer that is a byte short, or lost, is put right. */
static void test_short_footer(void **state)
{
	const uint64_t size = 3584;
	struct stat st;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		unlink(vt_path("a.vhd"));
		vt_create("a.vhd", 4 << 20, false, NULL);
		assert_int_equal(truncate(vt_path("a.vhd"),
					  i ? size - 512 : size - 1), 0);
		assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
		assert_int_equal(stat(vt_path("a.vhd"), &st), 0);
		assert_int_equal(st.st_size, size);
		assert_int_equal(vfake_close(), 0);
		assert_int_equal(vhd_check(&vt_ctx, vt_path("a.vhd"), 0, 0,
					   NULL), 0);
	}
}

/* What is not allowed is refused. */
static void test_refusals(void **state)
{
	uint8_t data[VHD_SECTOR] = { 1 };
	char before[65], after[65];
	struct vfake first;

	(void)state;
	vt_create("a.vhd", 4 << 20, false, NULL);
	vt_hash("a.vhd", before);
	assert_int_equal(vfake_open(vt_path("a.vhd"), TD_OPEN_RDONLY), 0);
	assert_false(vfake.info.discard || vfake.info.write_zeroes);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 0, 1, data, false), -EROFS);
	assert_int_equal(vfake_do(BLKTAP_OP_TRIM, 0, 1, data, false), -EROFS);
	assert_int_equal(vfake_do(BLKTAP_OP_FLUSH, 0, 0, data, false), 0);
	assert_int_equal(vfake_do(77, 0, 1, data, false), -EOPNOTSUPP);
	assert_int_equal(vfake_close(), 0);
	vt_hash("a.vhd", after);
	assert_string_equal(before, after);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	first = vfake;
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), -EBUSY);
	assert_int_equal(vfake_open(vt_path("a.vhd"), TD_OPEN_RDONLY), -EBUSY);
	vfake = first;
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), -ENOENT);
	vt_sh("qemu-img create -f raw r.raw 4M");
	assert_int_equal(vfake_open(vt_path("r.raw"), 0), -EINVAL);
}

/* A raw parent; it may be smaller than the child. */
static void test_raw_parent(void **state)
{
	struct vhd_create spec = { .parent_raw = true };
	uint8_t data[16 * VHD_SECTOR];
	int i;

	(void)state;
	vt_sh("head -c 1049088 /dev/zero | tr '\\0' A > r.raw");
	spec.path = vt_path("b.vhd");
	spec.parent = vt_path("r.raw");
	spec.size = 2 << 20;
	assert_int_equal(vhd_create(&vt_ctx, &spec), 0);
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
	assert_int_equal(vfake.info.sectors, 4096);
	/* Sector 2048 is the last of the parent. */
	memset(data, 'B', VHD_SECTOR);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 2047, 1, data, false), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 2040, 16, data, false), 0);
	for (i = 0; i < 16; i++)
		assert_int_equal(data[i * VHD_SECTOR],
				 i == 7 ? 'B' : i <= 8 ? 'A' : 0);
	assert_int_equal(vfake_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup, \
						   vt_teardown)
#define TEST_MEM(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						       vt_teardown)
		TEST_MEM(test_dynamic_small),
		TEST(test_dynamic_tap),
		TEST(test_fixed),
		TEST_MEM(test_chain),
		TEST_MEM(test_deep),
		TEST_MEM(test_qemu_images),
		TEST_MEM(test_qemu_ours),
		TEST_MEM(test_failures),
		TEST_MEM(test_full_disk),
		TEST_MEM(test_failed_sync),
		TEST_MEM(test_trim),
		TEST_MEM(test_long_trim),
		TEST_MEM(test_smaller_parent_blocks),
		TEST_MEM(test_zeroes),
		TEST_MEM(test_few_syncs),
		TEST(test_stream),
		TEST(test_direct),
		TEST(test_ahead),
		TEST(test_release),
		TEST_MEM(test_gap),
		TEST_MEM(test_clean_close),
		TEST_MEM(test_short_footer),
		TEST_MEM(test_refusals),
		TEST_MEM(test_raw_parent),
	};

	return cmocka_run_group_tests_name("vhd_engine", tests, NULL, NULL);
}
