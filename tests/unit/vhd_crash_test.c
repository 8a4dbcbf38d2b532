// SPDX-License-Identifier: GPL-2.0
/*
 * The VHD driver killed, and the power cut, at random points under load. What
 * the ordering in eng_write.c promises must hold in each state that is left.
 */
#include "vhd_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Power cuts. The disk under the leaf has what was durable; of the rest any
 * part may be there.
 */

struct cut_write {
	struct cut_write *next;
	uint64_t off;
	size_t len;
	bool hole;
	bool through;		/* it is there for certain */
	uint8_t data[];
};

static struct {
	uint8_t *disk;
	size_t size;
	size_t room;
	struct cut_write *first;
	struct cut_write **last;
	int nr;			/* writes in the list */
	int mark;		/* of them before the fdatasync in flight */
} cut;

static void cut_apply(uint8_t **disk, size_t *size, size_t *room, uint64_t off,
		      const uint8_t *data, size_t len)
{
	if (off + len > *room) {
		*disk = realloc(*disk, off + len + (1 << 20));
		memset(*disk + *room, 0, off + len + (1 << 20) - *room);
		*room = off + len + (1 << 20);
	}
	if (data)
		memcpy(*disk + off, data, len);
	else
		memset(*disk + off, 0, len);
	if (off + len > *size)
		*size = off + len;
}

static void cut_record(int fd, const void *buf, uint64_t off, size_t len,
		       bool through)
{
	struct cut_write *w = malloc(sizeof(*w) + len);

	if (fd != vfake.files[0])
		fail_msg("write to a parent");
	w->next = NULL;
	w->off = off;
	w->len = len;
	w->hole = !buf;
	w->through = through;
	if (buf)
		memcpy(w->data, buf, len);
	*cut.last = w;
	cut.last = &w->next;
	cut.nr++;
}

static void cut_sync_start(int fd)
{
	if (fd != vfake.files[0])
		fail_msg("fdatasync of a parent");
	cut.mark = cut.nr;
}

static void cut_synced(int fd)
{
	struct cut_write *w;

	(void)fd;
	for (; cut.mark; cut.mark--, cut.nr--) {
		w = cut.first;
		cut.first = w->next;
		/* A hole must not make the file longer. */
		if (!w->hole || w->off + w->len <= cut.size)
			cut_apply(&cut.disk, &cut.size, &cut.room, w->off,
				  w->hole ? NULL : w->data, w->len);
		free(w);
	}
	if (!cut.first)
		cut.last = &cut.first;
}

static void cut_start(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	cut.room = st.st_size + (1 << 20);
	cut.size = st.st_size;
	cut.disk = calloc(1, cut.room);
	assert_int_equal(pread(fd, cut.disk, cut.size, 0), cut.size);
	close(fd);
	cut.first = NULL;
	cut.last = &cut.first;
	cut.nr = 0;
	cut.mark = 0;
	vfake.record = cut_record;
	vfake.sync_start = cut_sync_start;
	vfake.synced = cut_synced;
}

static void cut_stop(void)
{
	cut.mark = cut.nr;
	cut_synced(vfake.files[0]);
	free(cut.disk);
	vfake.record = NULL;
	vfake.sync_start = NULL;
	vfake.synced = NULL;
}

/* A file as a power cut might leave it: @keep percent of the sectors. */
static void cut_write(const char *path, unsigned int keep)
{
	size_t size = cut.size, room = cut.room;
	uint8_t *disk = malloc(room);
	struct cut_write *w;
	size_t i;
	int fd;

	memcpy(disk, cut.disk, room);
	for (w = cut.first; w; w = w->next) {
		bool all = w->through || vfake_random() % 100 < keep;
		bool none = !all && vfake_random() % 2;

		for (i = 0; i < w->len; i += VHD_SECTOR)
			if (all || (!none && vfake_random() % 2))
				cut_apply(&disk, &size, &room, w->off + i,
					  w->hole ? NULL : w->data + i,
					  VHD_SECTOR);
	}
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, disk, size, 0), size);
	close(fd);
	free(disk);
}

static void test_cut(const char *name, struct vt_model *m, int cuts)
{
	struct vt_load *l = calloc(1, sizeof(*l));
	const char *path = vt_path(name);
	struct vfake saved;
	int i;

	l->m = m;
	l->zeroes = true;
	assert_int_equal(vfake_open(path, 0), 0);
	cut_start(path);
	for (i = 0; i < cuts; i++) {
		vt_load_run(l, 1 + vfake_random() % 12);
		vt_load_poll(l, false);
		cut_write(vt_path("cut.vhd"), vfake_random() % 101);
		/* The machine comes up again, beside the one that runs. */
		saved = vfake;
		vfake.events = NULL;
		vfake.nr_events = 0;
		vfake.record = NULL;
		vfake.sync_start = NULL;
		vfake.synced = NULL;
		assert_int_equal(vfake_open(vt_path("cut.vhd"), 0), 0);
		vt_model_verify(m, true);
		assert_int_equal(vfake_close(), 0);
		saved.seed = vfake.seed;
		vfake = saved;
		/* History must not grow for ever. */
		if (i % 8 == 7) {
			vt_load_drain(l);
			assert_int_equal(vfake_do(BLKTAP_OP_FLUSH, 0, 0, NULL,
						  false), 0);
			vt_model_verify(m, false);
			vt_model_settle(m);
		}
	}
	vt_load_drain(l);
	cut_stop();
	assert_int_equal(vfake_close(), 0);
	free(l);
}

/*
 * Most of what can go wrong goes wrong while blocks are being allocated, so
 * many images are begun. Each child starts from the same parent.
 */
#define TEST_BEGIN	25

static void test_cut_many(const char *parent)
{
	struct vt_model m;
	int i;

	vt_model_init(&m, (3 << 20) / VHD_SECTOR);
	for (i = 0; i < TEST_BEGIN; i++) {
		vt_begin(&m, "b.vhd", parent);
		test_cut("b.vhd", &m, 20);
	}
	free(m.h);
}

static void test_cut_dynamic(void **state)
{
	(void)state;
	test_cut_many(NULL);
}

static void test_cut_child(void **state)
{
	(void)state;
	vt_parent("a.vhd");
	test_cut_many("a.vhd");
}

static void test_kill_many(const char *parent)
{
	struct vt_load *l = calloc(1, sizeof(*l));
	struct vt_model m;
	int i, k;

	vt_model_init(&m, (3 << 20) / VHD_SECTOR);
	l->m = &m;
	l->zeroes = true;
	for (i = 0; i < TEST_BEGIN; i++) {
		vt_begin(&m, "b.vhd", parent);
		assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
		for (k = 0; k < 10; k++) {
			vt_load_run(l, 1 + vfake_random() % 30);
			vt_load_poll(l, false);
			vfake_kill();
			vt_load_forget(l);
			assert_int_equal(vfake_open(vt_path("b.vhd"), 0), 0);
			vt_model_verify(&m, false);
			vt_model_settle(&m);
		}
		assert_int_equal(vfake_close(), 0);
	}
	free(m.h);
	free(l);
}

static void test_kill(void **state)
{
	(void)state;
	test_kill_many(NULL);
	vt_parent("a.vhd");
	test_kill_many("a.vhd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   vt_teardown)
		TEST(test_kill),
		TEST(test_cut_dynamic),
		TEST(test_cut_child),
	};

	return cmocka_run_group_tests_name("vhd_crash", tests, NULL, NULL);
}
