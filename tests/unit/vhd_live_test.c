// SPDX-License-Identifier: GPL-2.0
/*
 * Merging into a parent while a guest uses the chain: a thread merges, the
 * test reads and writes the leaf and opens the chain again and again.
 */
#include "vhd_model.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libvhd/libvhd.h"

#define LIVE_BLOCKS	96U
#define LIVE_SECTORS	(LIVE_BLOCKS * VT_SPB)
#define LIVE_SIZE	((uint64_t)LIVE_SECTORS * VHD_SECTOR)
/* Requests of the guest while one merge after the other goes on. */
#define LIVE_REQUESTS	20000

static char live_text[1024];
static uint64_t live_want[LIVE_SECTORS];
static uint64_t live_seq;

/* What vt_path() returns does not last. */
static const char *live_path(char name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s", vt_path("?.vhd"));
	*strrchr(path, '?') = name;
	return path;
}

/* Only the merges tell something; each is waited for. */
static void live_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(live_text, sizeof(live_text), "%s", text);
}

static const struct vhd_ctx live_ctx = { .message = live_message };

static void live_write(struct vhd_disk *d, uint32_t sector, uint32_t nr)
{
	uint8_t buf[16 * VHD_SECTOR];
	uint32_t i;

	for (i = 0; i < nr; i++) {
		live_want[sector + i] = ++live_seq;
		vt_fill(buf + (size_t)i * VHD_SECTOR, live_seq);
	}
	assert_int_equal(vhd_disk_write(d, buf, sector, nr), 0);
}

static void live_read(struct vhd_disk *d, uint32_t sector, uint32_t nr)
{
	uint8_t buf[16 * VHD_SECTOR];
	uint32_t i;

	assert_int_equal(vhd_disk_read(d, buf, sector, nr), 0);
	for (i = 0; i < nr; i++)
		if (vt_value(buf + (size_t)i * VHD_SECTOR) !=
		    live_want[sector + i])
			fail_msg("sector %u holds %llu, must hold %llu",
				 sector + i, (unsigned long long)
				 vt_value(buf + (size_t)i * VHD_SECTOR),
				 (unsigned long long)live_want[sector + i]);
}

static void live_random(uint32_t *sector, uint32_t *nr)
{
	*nr = 1 + vfake_random() % 16;
	*sector = vfake_random() % (LIVE_SECTORS - *nr);
}

static void live_fill(const char *name, unsigned int writes)
{
	struct vhd_disk *d;
	uint32_t sector, nr;

	assert_int_equal(vhd_disk_open(vt_path(name), 0, NULL, &d), 0);
	while (writes--) {
		live_random(&sector, &nr);
		live_write(d, sector, nr);
	}
	assert_int_equal(vhd_disk_close(d), 0);
}

static void live_verify(const char *name)
{
	struct vhd_disk *d;
	uint32_t s;

	assert_int_equal(vhd_disk_open(vt_path(name), VHD_DISK_RDONLY, NULL,
				       &d), 0);
	for (s = 0; s < LIVE_SECTORS; s += 16)
		live_read(d, s, 16);
	assert_int_equal(vhd_disk_close(d), 0);
}

static void live_check(const char *name)
{
	live_text[0] = 0;
	if (vhd_check(&live_ctx, vt_path(name), 0, VHD_CHECK_BITMAPS |
		      VHD_CHECK_PARENTS, NULL))
		fail_msg("%s: %s", name, live_text);
}

/* a.vhd, its child b.vhd, and c.vhd, the leaf. */
static void live_chain(void)
{
	memset(live_want, 0, sizeof(live_want));
	vt_image("a.vhd", LIVE_SIZE, NULL);
	live_fill("a.vhd", 60);
	vt_image("b.vhd", LIVE_SIZE, "a.vhd");
	live_fill("b.vhd", 100);
	vt_image("c.vhd", LIVE_SIZE, "b.vhd");
	live_fill("c.vhd", 20);
}

struct live_merge {
	pthread_t thread;
	struct vhd_coalesce spec;
	bool again;		/* until @stop */
	atomic_bool stop;
	atomic_int runs;
	atomic_int steps;
	uint64_t sectors;
	int ret;
};

static void *live_thread(void *arg)
{
	struct live_merge *m = arg;

	do {
		m->ret = vhd_coalesce(&live_ctx, &m->spec, &m->sectors);
		atomic_fetch_add(&m->runs, 1);
	} while (m->again && !m->ret && !atomic_load(&m->stop));
	return NULL;
}

static void live_step(void *opaque, uint64_t done, uint64_t total)
{
	struct live_merge *m = opaque;

	assert_true(done <= total);
	atomic_fetch_add(&m->steps, 1);
}

static bool live_stop(void *opaque)
{
	struct live_merge *m = opaque;

	return atomic_load(&m->stop);
}

static void live_start(struct live_merge *m)
{
	m->spec.progress.fn = live_step;
	m->spec.progress.opaque = m;
	m->spec.path = strdup(vt_path("b.vhd"));
	m->spec.live = true;
	assert_int_equal(pthread_create(&m->thread, NULL, live_thread, m), 0);
}

static void live_join(struct live_merge *m)
{
	pthread_join(m->thread, NULL);
	free((char *)m->spec.path);
}

/* What a tapdisk that starts now sees: images that it can open. */
static void live_open_again(void)
{
	struct vhd_image *chain;

	if (vhd_open(&vt_ctx, vt_path("b.vhd"), VHD_OPEN_LOCK |
		     VHD_OPEN_PARENTS, &chain))
		fail_msg("the chain does not open");
	vhd_close(chain);
}

static void test_guest(void **state)
{
	struct live_merge m = { .again = true };
	struct vhd_disk *d;
	uint32_t sector, nr;
	int i;

	(void)state;
	live_chain();
	assert_int_equal(vhd_disk_open(vt_path("c.vhd"), 0, NULL, &d), 0);
	live_start(&m);
	for (i = 0; i < LIVE_REQUESTS || !atomic_load(&m.runs); i++) {
		live_random(&sector, &nr);
		if (i % 4)
			live_read(d, sector, nr);
		else
			live_write(d, sector, nr);
		if (i % 2 == 0)
			live_open_again();
	}
	atomic_store(&m.stop, true);
	live_join(&m);
	assert_int_equal(m.ret, 0);
	assert_int_equal(vhd_disk_close(d), 0);
	live_check("c.vhd");
	live_verify("c.vhd");
	/* What was hidden by b.vhd is in a.vhd. */
	assert_int_equal(vhd_set_parent(&live_ctx, vt_path("c.vhd"),
					vt_path("a.vhd"), false), 0);
	unlink(vt_path("b.vhd"));
	live_check("c.vhd");
	live_verify("c.vhd");
	printf("# %d merges\n", atomic_load(&m.runs));
}

/* A parent that grows while it is opened. */
struct live_whole {
	uint8_t *data;
	size_t size;
};

static void live_grow(void *opaque, const char *text)
{
	const struct live_whole *w = opaque;
	FILE *f = fopen(vt_path("a.vhd"), "r+");

	assert_non_null(strstr(text, "a.vhd"));
	assert_int_equal(fwrite(w->data, 1, w->size, f), w->size);
	fclose(f);
}

static void test_grows(void **state)
{
	struct live_whole w = { malloc(4 << 20), 0 };
	const struct vhd_ctx ctx = { .message = live_grow, .opaque = &w };
	struct vhd_image *chain;
	FILE *f;

	(void)state;
	live_chain();
	f = fopen(vt_path("a.vhd"), "r");
	w.size = fread(w.data, 1, 4 << 20, f);
	fclose(f);
	/* Its last blocks and its footer are not there yet. */
	assert_int_equal(truncate(vt_path("a.vhd"), w.size / 2 & ~511UL), 0);
	assert_int_equal(vhd_open(&ctx, vt_path("b.vhd"), VHD_OPEN_LOCK |
				  VHD_OPEN_PARENTS, &chain), 0);
	vhd_close(chain);
	free(w.data);
	live_verify("c.vhd");
}

/* The guest has the chain open: only a live merge will do, one at a time. */
static void test_locks(void **state)
{
	struct vhd_coalesce other = { .path = live_path('b') };
	struct live_merge m = { 0 };
	struct vhd_image *image;
	struct vhd_disk *d;

	(void)state;
	live_chain();
	assert_int_equal(vhd_disk_open(vt_path("c.vhd"), 0, NULL, &d), 0);
	assert_int_equal(vhd_coalesce(&live_ctx, &other, NULL), -EBUSY);
	assert_non_null(strstr(live_text, "a.vhd: in use: cannot lock it for writing"));
	/* The live leaf itself is written by the guest. */
	other.path = live_path('c');
	other.live = true;
	assert_int_equal(vhd_coalesce(&live_ctx, &other, NULL), -EBUSY);
	assert_non_null(strstr(live_text, "c.vhd: in use"));
	/* So slow that it is there when we look. */
	m.spec.rate = 1;
	m.spec.stop = live_stop;
	other.path = live_path('b');
	live_start(&m);
	while (!atomic_load(&m.steps))
		usleep(1000);
	assert_int_equal(vhd_coalesce(&live_ctx, &other, NULL), -EBUSY);
	assert_non_null(strstr(live_text, "another program merges into it"));
	assert_int_equal(vhd_open(&live_ctx, vt_path("a.vhd"), VHD_OPEN_RDWR |
				  VHD_OPEN_LOCK, &image), -EBUSY);
	atomic_store(&m.stop, true);
	live_join(&m);
	assert_int_equal(m.ret, -EINTR);
	assert_true(m.sectors);
	/* What was stopped is done again, from the start. */
	assert_int_equal(vhd_coalesce(&live_ctx, &other, NULL), 0);
	assert_int_equal(vhd_disk_close(d), 0);
	live_check("c.vhd");
	live_verify("c.vhd");
}

/* b.vhd has some 400 KiB; it must not take less than they do at that rate. */
static void test_rate(void **state)
{
	struct vhd_coalesce spec = {
		.path = live_path('b'), .live = true, .rate = 2 << 20,
	};
	struct timespec from, to;
	uint64_t sectors;
	double took;

	(void)state;
	live_chain();
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(vhd_coalesce(&live_ctx, &spec, &sectors), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	took = to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) / 1e9;
	assert_true(sectors > 200);
	assert_true(took >= (double)sectors * VHD_SECTOR / (2 << 20) * 0.95);
}

static void live_sibling(const char *name, const char *parent)
{
	struct vhd_coalesce spec = { .path = live_path('b'), .live = true };
	char sum[65], after[65];

	vt_hash(parent, sum);
	live_text[0] = 0;
	assert_int_equal(vhd_coalesce(&live_ctx, &spec, NULL), -EBUSY);
	assert_non_null(strstr(live_text, name));
	assert_non_null(strstr(live_text, "is a child of it as well"));
	vt_hash(parent, after);
	assert_string_equal(sum, after);
	unlink(vt_path(name));
	assert_int_equal(vhd_coalesce(&live_ctx, &spec, NULL), 0);
}

/* Another child of the parent would see what is merged. */
static void test_sibling(void **state)
{
	(void)state;
	live_chain();
	vt_sh("echo text >a-file; mkfifo a-pipe; ln -s nowhere a-link");
	/* The same file by another name is none. */
	vt_sh("ln b.vhd same.vhd");
	vt_image("sister.vhd", LIVE_SIZE, "a.vhd");
	live_sibling("sister.vhd", "a.vhd");
	live_verify("c.vhd");
}

/* A plain file has no uuid to know it by. */
static void test_sibling_raw(void **state)
{
	struct vhd_create spec = {
		.path = vt_path("b.vhd"), .parent = vt_path("raw"),
		.parent_raw = true, .keep_empty = true,
	};

	(void)state;
	vt_sh("truncate -s 4M raw other; echo text >>other; truncate -s 4M other");
	assert_int_equal(vhd_create(&live_ctx, &spec), 0);
	spec.path = vt_path("sister.vhd");
	assert_int_equal(vhd_create(&live_ctx, &spec), 0);
	spec.path = vt_path("cousin.vhd");
	spec.parent = vt_path("other");
	assert_int_equal(vhd_create(&live_ctx, &spec), 0);
	live_sibling("sister.vhd", "raw");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   vt_teardown)
		TEST(test_guest),
		TEST(test_grows),
		TEST(test_locks),
		TEST(test_rate),
		TEST(test_sibling),
		TEST(test_sibling_raw),
	};

	return cmocka_run_group_tests_name("vhd_live", tests, NULL, NULL);
}
