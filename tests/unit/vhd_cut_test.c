// SPDX-License-Identifier: GPL-2.0
/*
 * Loss of power, by enumeration: real workloads under the recorder, at least
 * 10,000 states each. Every file that the order of writes and syncs allows
 * must pass the check as it is (its footer may be the copy at the start),
 * open for writing without help, hold all that a FLUSH has confirmed and in
 * every other sector something that was written there, and pass the check
 * again after it was closed.
 *
 * That this is not paid for with an fdatasync for each write is shown by
 * counting them. At the end of each test the counts are printed.
 */
#include "vhd_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvhd/libvhd.h"
#include "vhd_record.h"

#define CUT_STATES	10000U
/* At each point, if there are more. */
#define CUT_RANDOM	32U
#define CUT_SECTORS	((1 << 18) / VHD_SECTOR)

static char cut_text[512];
static struct vt_model cut_model;
static unsigned int cut_syncs;	/* of the engine */
static unsigned int cut_begun;	/* images */

static void cut_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(cut_text, sizeof(cut_text), "%s", text);
}

static const struct vhd_ctx cut_ctx = { .message = cut_message };
static const struct vhd_messages cut_msg = { .message = cut_message };

static void cut_must(int ret, const char *what)
{
	if (ret)
		fail_msg("state %u: %s: %s (%s)", rec_stats.states, what,
			 strerror(-ret), cut_text);
}

static void cut_check_image(unsigned int flags)
{
	cut_must(vhd_check(&cut_ctx, vt_path("cut.vhd"), flags,
			   VHD_CHECK_BITMAPS, NULL), "check");
}

/* A state: the model says what it may hold. */
static void cut_check(void)
{
	static uint8_t buf[VHD_BLOCK_SIZE];
	uint32_t step = sizeof(buf) / VHD_SECTOR;
	struct vhd_disk *d;
	uint64_t s;

	cut_check_image(VHD_OPEN_NO_FOOTER);
	cut_must(vhd_disk_open(vt_path("cut.vhd"), 0, &cut_msg, &d), "open");
	for (s = 0; s < cut_model.sectors; s += step) {
		uint32_t nr = cut_model.sectors - s < step ?
			      cut_model.sectors - s : step;

		cut_must(vhd_disk_read(d, buf, s, nr), "read");
		vt_model_check(&cut_model, s, nr, buf, true);
	}
	cut_must(vhd_disk_close(d), "close");
	cut_check_image(0);
}

static void cut_record(int fd, const void *buf, uint64_t off, size_t len,
		       bool through)
{
	(void)fd;
	(void)buf;
	(void)off;
	(void)len;
	if (through)
		rec_through();
}

static void cut_sync_start(int fd)
{
	(void)fd;
	cut_syncs++;
	rec_sync_start();
}

static void cut_synced(int fd)
{
	(void)fd;
	rec_sync_done();
}

static void cut_hooks(bool on)
{
	vfake.record = on ? cut_record : NULL;
	vfake.sync_start = on ? cut_sync_start : NULL;
	vfake.synced = on ? cut_synced : NULL;
}

/* One sector in each of the first blocks, confirmed. */
static void cut_fill(uint32_t blocks)
{
	uint8_t buf[VHD_SECTOR];
	uint32_t i;

	for (i = 0; i < blocks; i++) {
		vt_fill(buf, 1000000000 + i);
		assert_int_equal(vfake_do(BLKTAP_OP_WRITE, i * VT_SPB, 1, buf,
					  false), 0);
		cut_model.h[i * VT_SPB].nr = 2;
	}
	vt_model_settle(&cut_model);
}

/*
 * Most of what can go wrong goes wrong while blocks are being allocated, so
 * many images are begun.
 */
static void cut_begin(struct vt_load *l, const char *parent, uint32_t fill)
{
	int i;

	cut_begun++;
	vt_begin(&cut_model, "b.vhd", parent);
	assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
	cut_fill(fill);
	assert_int_equal(vfake_do(BLKTAP_OP_FLUSH, 0, 0, NULL, false), 0);
	rec_start(vt_path("b.vhd"), vt_path("cut.vhd"), cut_check);
	cut_hooks(true);
	for (i = 0; i < 20; i++) {
		vt_load_run(l, 1 + vfake_random() % 12);
		vt_load_poll(l, false);
		rec_cut(CUT_RANDOM);
		if (i % 8 != 7)
			continue;
		/* History must not grow for ever. */
		vt_load_drain(l);
		assert_int_equal(vfake_do(BLKTAP_OP_FLUSH, 0, 0, NULL, false),
				 0);
		l->flushes++;
		vt_model_verify(&cut_model, false);
		vt_model_settle(&cut_model);
	}
	vt_load_drain(l);
	cut_hooks(false);
	rec_each(CUT_RANDOM);
	assert_int_equal(vfake_close(), 0);
	rec_stop();
}

static void cut_start(uint64_t sectors)
{
	vt_model_init(&cut_model, sectors);
	memset(&rec_stats, 0, sizeof(rec_stats));
	cut_syncs = 0;
	cut_begun = 0;
}

static void cut_end(const char *name, unsigned int requests,
		    unsigned int flushes)
{
	printf("# %s: %u states at %u points (%u with all), %u images; %u requests, %u writes to the file, %u syncs by the engine (%u FLUSH and FUA), %u other syncs\n",
	       name, rec_stats.states, rec_stats.points, rec_stats.all,
	       cut_begun, requests, rec_stats.ops, cut_syncs, flushes,
	       rec_stats.syncs - cut_syncs);
	free(cut_model.h);
}

/* @ordered: writes of a child that the engine may sync for, in percent. */
static void cut_load(const char *name, const char *parent, uint64_t sectors,
		     uint32_t fill, bool trim, unsigned int ordered)
{
	struct vt_load *l = calloc(1, sizeof(*l));

	cut_start(sectors);
	l->m = &cut_model;
	l->zeroes = true;
	l->trim = trim;
	while (rec_stats.states < CUT_STATES)
		cut_begin(l, parent, fill);
	/* Growth, twice at most; FLUSH and FUA; the first write of sectors. */
	assert_in_range(cut_syncs, 1, 2 * cut_begun + l->flushes +
			l->writes * ordered / 100);
	assert_true(rec_stats.syncs * 4 < rec_stats.ops);
	cut_end(name, l->writes, l->flushes);
	free(l);
}

static void test_dynamic(void **state)
{
	(void)state;
	cut_load("dynamic", NULL, CUT_SECTORS, 0, false, 0);
}

static void test_child(void **state)
{
	(void)state;
	vt_parent("a.vhd", CUT_SECTORS * VHD_SECTOR);
	cut_load("child", "a.vhd", CUT_SECTORS, 0, false, 10);
}

static void test_discard(void **state)
{
	(void)state;
	cut_load("discard", NULL, CUT_SECTORS, 0, true, 0);
}

static void test_discard_child(void **state)
{
	(void)state;
	vt_parent("a.vhd", CUT_SECTORS * VHD_SECTOR);
	cut_load("discard in a child", "a.vhd", CUT_SECTORS, 0, true, 10);
}

/* The file has grown once and will soon grow again. */
static void test_growth(void **state)
{
	(void)state;
	cut_load("growth", NULL, 160 * VT_SPB, 122, false, 0);
}

/*
 * What is written to a large disk through the library, so that its batmap has
 * more than one sector: the values of one sector in each of some blocks.
 */
#define CUT_SPOTS	8
#define CUT_LARGE	(9ULL << 30)

static struct cut_spot {
	uint64_t sector;
	uint64_t old;		/* confirmed */
	uint64_t new;
} cut_spot[CUT_SPOTS];

static void cut_check_spots(void)
{
	uint8_t buf[VHD_SECTOR];
	struct vhd_disk *d;
	uint64_t value;
	int i;

	cut_check_image(VHD_OPEN_NO_FOOTER);
	cut_must(vhd_disk_open(vt_path("cut.vhd"), 0, &cut_msg, &d), "open");
	for (i = 0; i < CUT_SPOTS; i++) {
		cut_must(vhd_disk_read(d, buf, cut_spot[i].sector, 1), "read");
		value = vt_value(buf);
		if (value != cut_spot[i].old && value != cut_spot[i].new)
			fail_msg("state %u: sector %llu holds %llu, may hold %llu, %llu",
				 rec_stats.states,
				 (unsigned long long)cut_spot[i].sector,
				 (unsigned long long)value,
				 (unsigned long long)cut_spot[i].old,
				 (unsigned long long)cut_spot[i].new);
	}
	cut_must(vhd_disk_close(d), "close");
	cut_check_image(0);
}

static void cut_flushed(void)
{
	int i;

	for (i = 0; i < CUT_SPOTS; i++)
		cut_spot[i].old = cut_spot[i].new;
}

/* Open, write here and there, flush or not, close. */
static unsigned int cut_session(const char *name, uint64_t *seq)
{
	uint8_t buf[VHD_SECTOR];
	unsigned int writes = 1 + vfake_random() % (CUT_SPOTS / 2);
	struct vhd_disk *d;
	unsigned int i, k;

	rec_each(CUT_RANDOM);
	assert_int_equal(vhd_disk_open(vt_path(name), 0, &cut_msg, &d), 0);
	for (i = 0; i < writes; i++) {
		k = vfake_random() % CUT_SPOTS;
		vt_fill(buf, ++*seq);
		/* One that is not confirmed at a time. */
		if (cut_spot[k].new != cut_spot[k].old) {
			assert_int_equal(vhd_disk_flush(d), 0);
			cut_flushed();
		}
		cut_spot[k].new = *seq;
		assert_int_equal(vhd_disk_write(d, buf, cut_spot[k].sector, 1),
				 0);
	}
	if (vfake_random() % 2) {
		assert_int_equal(vhd_disk_flush(d), 0);
		cut_flushed();
	}
	assert_int_equal(vhd_disk_close(d), 0);
	cut_flushed();
	rec_each(0);
	return writes;
}

static void cut_new_spots(uint64_t sectors)
{
	int i;

	for (i = 0; i < CUT_SPOTS; i++) {
		uint64_t block = sectors / (VHD_BLOCK_SIZE / VHD_SECTOR) *
				 i / CUT_SPOTS;

		cut_spot[i] = (struct cut_spot) {
			.sector = block * (VHD_BLOCK_SIZE / VHD_SECTOR) +
				  vfake_random() % 4096,
		};
	}
}

/* A batmap of which a part is there is not used, and does no harm. */
static void test_close(void **state)
{
	unsigned int writes = 0;
	uint64_t seq = 0;
	int i;

	(void)state;
	cut_start(1);
	while (rec_stats.states < CUT_STATES) {
		unlink(vt_path("b.vhd"));
		vt_create("b.vhd", CUT_LARGE, false, NULL);
		cut_new_spots(CUT_LARGE / VHD_SECTOR);
		rec_start(vt_path("b.vhd"), vt_path("cut.vhd"),
			  cut_check_spots);
		for (i = 0; i < 6; i++)
			writes += cut_session("b.vhd", &seq);
		rec_stop();
		cut_begun++;
	}
	cut_end("close", writes, 0);
}

/*
 * An image while it is made is no image yet, and may be refused or fail the
 * check. If it does not, it is what it was to be; when it is made, it always
 * is.
 */
static bool cut_made;

static void cut_check_new(void)
{
	struct vhd_image *image;

	if (!cut_made && !vhd_open(&cut_ctx, vt_path("cut.vhd"),
				   VHD_OPEN_PARENTS, &image))
		vhd_close(image);
	if (!cut_made && vhd_check(&cut_ctx, vt_path("cut.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL))
		return;
	cut_check_spots();
}

static void test_create(void **state)
{
	char parent[16] = "", name[16];
	unsigned int writes = 0;
	uint64_t seq = 0;
	int depth = 0;

	(void)state;
	cut_start(1);
	cut_new_spots((16 << 20) / VHD_SECTOR);
	while (rec_stats.states < CUT_STATES) {
		snprintf(name, sizeof(name), "%d.vhd", depth++);
		rec_start(vt_path(name), vt_path("cut.vhd"), cut_check_new);
		cut_made = false;
		rec_each(512);
		vt_create(name, 16 << 20, false, *parent ? parent : NULL);
		cut_made = true;
		rec_cut(CUT_RANDOM);
		writes += cut_session(name, &seq);
		rec_stop();
		snprintf(parent, sizeof(parent), "%s", name);
		cut_begun++;
	}
	cut_end("create and snapshot", writes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   vt_teardown)
		TEST(test_dynamic),
		TEST(test_child),
		TEST(test_discard),
		TEST(test_discard_child),
		TEST(test_growth),
		TEST(test_close),
		TEST(test_create),
	};

	return cmocka_run_group_tests_name("vhd_cut", tests, NULL, NULL);
}
