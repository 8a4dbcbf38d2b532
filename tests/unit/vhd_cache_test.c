// SPDX-License-Identifier: GPL-2.0
/* The read cache: what is read from parents gets into the leaf, and no more. */
#include "vhd_model.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define MIB	(1 << 20)

static int cached(void)
{
	struct json_object *image = json_object_new_object();
	struct json_object *driver = json_object_new_object();
	struct json_object *status, *value;
	int ret;

	json_object_object_add(image, "driver", driver);
	vfake.drv->stats(vfake.priv, image);
	assert_true(json_object_object_get_ex(driver, "status", &status));
	assert_true(json_object_object_get_ex(status, "cached", &value));
	ret = json_object_get_int(value);
	json_object_put(image);
	return ret;
}

/* A parent with the numbers 1.. in its first sectors, and a child. */
static void make_pair(unsigned int sectors)
{
	uint8_t *data = malloc(sectors * VHD_SECTOR);
	unsigned int i;

	vt_image("a.vhd", MIB, NULL);
	assert_int_equal(vfake_open(vt_path("a.vhd"), 0), 0);
	for (i = 0; i < sectors; i++)
		vt_fill(data + i * VHD_SECTOR, i + 1);
	assert_int_equal(vfake_do(BLKTAP_OP_WRITE, 0, sectors, data, false), 0);
	assert_int_equal(vfake_close(), 0);
	free(data);
	vt_image("b.vhd", MIB, "a.vhd");
}

static uint64_t value_at(uint64_t sector)
{
	uint8_t data[VHD_SECTOR];

	assert_int_equal(vfake_do(BLKTAP_OP_READ, sector, 1, data, false), 0);
	return vt_value(data);
}

static void start(struct vfake_req *req, uint8_t op, uint64_t sector,
		  uint32_t nr, void *data)
{
	memset(req, 0, sizeof(*req));
	req->req.op = op;
	req->req.sector = sector;
	req->req.nr_sectors = nr;
	req->data = data;
	vfake_submit(req);
}

/* No transfer of any other file than the leaf. */
static int fail_parents(const struct vfake_event *event)
{
	unsigned int i;

	for (i = 0; event->kind == VFAKE_MAP && i < event->nr; i++)
		if (event->ext[i].kind == BLKTAP_EXTENT_FILE &&
		    event->ext[i].file)
			return -EIO;
	return 0;
}

static void test_cached(void **state)
{
	uint8_t data[100 * VHD_SECTOR];
	char before[65], after[65];
	struct vfake_req req;
	unsigned int i;

	(void)state;
	make_pair(80);
	vt_hash("a.vhd", before);
	/* Only if it was asked for. */
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 0, 100, data, false), 0);
	assert_int_equal(cached(), 0);
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_CACHE |
				    TD_OPEN_RDONLY), 0);
	start(&req, BLKTAP_OP_READ, 0, 100, data);
	do {
		assert_int_equal(vfake.held, 0);
	} while (vfake_step());
	assert_true(req.done);
	assert_int_equal(vfake_close(), 0);

	assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_CACHE), 0);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 3, 40, data, false), 0);
	assert_int_equal(cached(), 40);
	/* What nobody has is not cached, what the leaf has not twice. */
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 0, 100, data, false), 0);
	assert_int_equal(cached(), 96);
	assert_int_equal(vfake_do(BLKTAP_OP_READ, 0, 100, data, false), 0);
	assert_int_equal(cached(), 96);
	assert_int_equal(vfake_close(), 0);
	assert_int_equal(vhd_check(&vt_ctx, vt_path("b.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), 0);

	assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_RDONLY), 0);
	vfake.fail = fail_parents;
	for (i = 0; i < 80; i++)
		assert_int_equal(value_at(i), i + 1);
	vfake.fail = NULL;
	assert_int_equal(vfake_close(), 0);
	vt_hash("a.vhd", after);
	assert_string_equal(before, after);
}

/*
 * What the guest changes while it is being cached: in each order of events
 * that 400 seeds give, its data is there afterwards.
 */
static void test_overlap(void **state)
{
	static uint8_t data[3][32 * VHD_SECTOR];
	struct vfake_req req[5];
	unsigned int i, seed, s;
	uint8_t op;

	(void)state;
	make_pair(64);
	for (i = 0; i < 3; i++)
		for (s = 0; s < 32; s++)
			vt_fill(data[i] + s * VHD_SECTOR, 1000 * (i + 1) + s);
	for (seed = 0; seed < 400; seed++) {
		static uint8_t in[2][64 * VHD_SECTOR];

		op = seed % 3 ? BLKTAP_OP_WRITE : BLKTAP_OP_WRITE_ZEROES;
		vt_sh("rm -f c.vhd");
		vt_image("c.vhd", MIB, "a.vhd");
		assert_int_equal(vfake_open(vt_path("c.vhd"), TD_OPEN_CACHE),
				 0);
		vfake.seed = seed;
		/* Some come before the read, some after it. */
		if (seed % 2)
			start(&req[0], BLKTAP_OP_WRITE, 8, 8, data[0]);
		start(&req[1], BLKTAP_OP_READ, 0, 64, in[0]);
		for (i = 0; i < seed / 2 % 8; i++)
			vfake_step();
		if (!(seed % 2))
			start(&req[0], BLKTAP_OP_WRITE, 8, 8, data[0]);
		start(&req[2], op, 20, 30, data[1]);
		start(&req[3], BLKTAP_OP_READ, 0, 40, in[1]);
		start(&req[4], BLKTAP_OP_WRITE, 60, 4, data[2]);
		vfake_run();
		for (i = 0; i < 5; i++)
			assert_true(req[i].done && !req[i].error);
		for (s = 0; s < 64; s++) {
			uint64_t want = s + 1;

			if (s >= 8 && s < 16)
				want = 1000 + s - 8;
			else if (s >= 20 && s < 50)
				want = op == BLKTAP_OP_WRITE ?
				       2000 + s - 20 : 0;
			else if (s >= 60)
				want = 3000 + s - 60;
			assert_int_equal(value_at(s), want);
		}
		assert_int_equal(vfake_close(), 0);
	}
}

/* A pause waits for it, and so does a change of what it overlaps. */
static void test_wait(void **state)
{
	uint8_t in[8 * VHD_SECTOR], out[8 * VHD_SECTOR];
	struct vfake_req req[3];

	(void)state;
	make_pair(64);
	assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_CACHE), 0);
	vfake.in_order = true;
	/* The bitmap of the parent's block. */
	value_at(0);
	start(&req[0], BLKTAP_OP_READ, 8, 8, in);
	assert_int_equal(vfake.held, 1);
	assert_int_equal(vfake.nr_events, 2);
	memset(out, 0, sizeof(out));
	start(&req[1], BLKTAP_OP_WRITE, 10, 2, out);
	start(&req[2], BLKTAP_OP_TRIM, 15, 8, NULL);
	assert_int_equal(vfake.nr_events, 2);
	while (vfake.held)
		assert_true(vfake_step());
	assert_true(req[0].done && !req[1].done && !req[2].done);
	assert_int_equal(cached(), 9);
	vfake_run();
	assert_true(req[1].done && req[2].done);
	assert_int_equal(value_at(9), 10);
	assert_int_equal(value_at(10), 0);
	assert_int_equal(vfake_close(), 0);
}

static int fail_writes(const struct vfake_event *event)
{
	return event->kind == VFAKE_IO && event->io->op == TD_IO_WRITE ?
	       -ENOSPC : 0;
}

static int fail_reads(const struct vfake_event *event)
{
	return event->kind == VFAKE_IO && event->io->op == TD_IO_READ &&
	       event->io->len > VHD_SECTOR ? -EIO : 0;
}

/* Nobody sees that it failed, and it is not tried again. */
static void test_fails(void **state)
{
	uint8_t data[64 * VHD_SECTOR];
	unsigned int i;

	(void)state;
	make_pair(64);
	for (i = 0; i < 2; i++) {
		assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_CACHE),
				 0);
		vfake.fail = i ? fail_reads : fail_writes;
		assert_int_equal(vfake_do(BLKTAP_OP_READ, 0, 64, data, false),
				 0);
		assert_int_equal(vt_value(data + 63 * VHD_SECTOR), 64);
		vfake.fail = NULL;
		assert_int_equal(vfake_do(BLKTAP_OP_READ, 0, 64, data, false),
				 0);
		assert_int_equal(cached(), 0);
		assert_int_equal(vfake_close(), 0);
	}
}

/* Random load, clean closes and kills. */
static void test_load(void **state)
{
	struct vt_load *l = calloc(1, sizeof(*l));
	char before[65], after[65];
	struct vt_model m;
	int i, total = 0;

	(void)state;
	vt_parent("a.vhd", 3 * MIB);
	vt_model_init(&m, 3 * MIB / VHD_SECTOR);
	vt_begin(&m, "b.vhd", "a.vhd");
	vt_hash("a.vhd", before);
	l->m = &m;
	l->trim = true;
	l->zeroes = true;
	assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_CACHE), 0);
	for (i = 0; i < 30; i++) {
		vt_load_run(l, 60);
		total += cached();
		if (vfake_random() % 2) {
			vt_load_poll(l, false);
			vfake_kill();
			vt_load_forget(l);
		} else {
			vt_load_drain(l);
			vfake_run();
			assert_int_equal(vfake_close(), 0);
			assert_int_equal(vhd_check(&vt_ctx, vt_path("b.vhd"),
						   0, VHD_CHECK_BITMAPS, NULL),
					 0);
		}
		/* Without the cache: to look at it must not change it. */
		assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
		vt_model_verify(&m, false);
		vt_model_settle(&m);
		assert_int_equal(vfake_close(), 0);
		assert_int_equal(vfake_open(vt_path("b.vhd"), TD_OPEN_CACHE),
				 0);
	}
	assert_int_equal(vfake_close(), 0);
	assert_true(total > 100);
	vt_hash("a.vhd", after);
	assert_string_equal(before, after);
	free(m.h);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST_MEM(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						       vt_teardown)
		TEST_MEM(test_cached),
		TEST_MEM(test_overlap),
		TEST_MEM(test_wait),
		TEST_MEM(test_fails),
		TEST_MEM(test_load),
	};

	return cmocka_run_group_tests_name("vhd_cache", tests, NULL, NULL);
}
