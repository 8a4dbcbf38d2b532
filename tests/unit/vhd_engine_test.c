// SPDX-License-Identifier: GPL-2.0
/*
 * The VHD driver against a model: what a guest reads is what it wrote, after
 * everything that can happen to the program and to the machine.
 *
 * Each sector that is written gets a number of its own. The model keeps, for
 * each sector, the numbers that it may hold: after a write completed only
 * that one, as long as the machine stays up; after a power cut also those
 * since the last FLUSH.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "libvhd/vhd.h"
#include "td_log.h"
#include "vhd_fake.h"

static char test_dir[64];
static uint64_t test_seq;

static const char *test_path(const char *name)
{
	static char path[8][128];
	static int next;

	next = (next + 1) % 8;
	snprintf(path[next], sizeof(path[0]), "%s/%s", test_dir, name);
	return path[next];
}

static void test_message(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "# %s\n", text);
}

static const struct vhd_ctx test_ctx = {
	.message = test_message,
};

static int test_setup_in(const char *dir)
{
	snprintf(test_dir, sizeof(test_dir), "%s/vhd-engine-XXXXXX", dir);
	if (!mkdtemp(test_dir))
		return -1;
	memset(&fake, 0, sizeof(fake));
	fake.seed = 1;
	fake.max_retries = 3;
	test_seq = 0;
	td_log_open("vhd_engine", 0, LOG_CRIT);
	return 0;
}

/* On a disk: O_DIRECT, if the file system has it. */
static int test_setup(void **state)
{
	(void)state;
	return test_setup_in("/var/tmp");
}

/* In memory: where fdatasync costs nothing. */
static int test_setup_mem(void **state)
{
	(void)state;
	return test_setup_in("/dev/shm");
}

static int test_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", test_dir);
	return system(cmd);
}

static void sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;
	int n;

	n = snprintf(cmd, sizeof(cmd), "cd %s && { ", test_dir);
	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - n, fmt, ap);
	va_end(ap);
	snprintf(cmd + n, sizeof(cmd) - n, "; } >/dev/null");
	if (system(cmd))
		fail_msg("command failed: %s", cmd);
}

/*
 * Images with small blocks, so that a small disk has many of them.
 */

#define TEST_BLOCK	16384U
#define TEST_SPB	(TEST_BLOCK / VHD_SECTOR)

static void test_image(const char *name, uint64_t size, const char *parent)
{
	struct vhd_create spec = {
		.path = test_path(name),
		.size = VHD_BLOCK_SIZE,
		.parent = parent ? test_path(parent) : NULL,
		.keep_empty = true,
	};
	uint8_t buf[VHD_FOOTER_SIZE + VHD_HEADER_SIZE];
	struct vhd_footer footer;
	struct vhd_header header;
	uint32_t bat[4096];
	uint8_t raw[4 * 4096];
	int fd, i;

	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
	fd = open(spec.path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(vhd_footer_parse(&test_ctx, name, buf, 0, &footer),
			 0);
	assert_int_equal(vhd_header_parse(&test_ctx, name,
					  buf + VHD_FOOTER_SIZE, &footer, 0,
					  &header), 0);
	/* The table goes behind the locators; there is no batmap then. */
	footer.original_size = size;
	footer.current_size = size;
	memcpy(footer.creator, "test", 4);
	vhd_geometry(size / VHD_SECTOR, &footer);
	header.block_size = TEST_BLOCK;
	header.max_bat = (size + TEST_BLOCK - 1) / TEST_BLOCK;
	header.table_offset = 8192;
	assert_true(header.max_bat <= 4096);
	memset(bat, 0xff, sizeof(bat));
	vhd_bat_encode(bat, raw, 4096);
	i = (header.max_bat * 4 + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
	vhd_footer_build(&footer, buf);
	vhd_header_build(&header, buf + VHD_FOOTER_SIZE);
	assert_int_equal(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(pwrite(fd, raw, i, 8192), i);
	assert_int_equal(pwrite(fd, buf, VHD_FOOTER_SIZE, 8192 + i),
			 VHD_FOOTER_SIZE);
	assert_int_equal(ftruncate(fd, 8192 + i + VHD_FOOTER_SIZE), 0);
	close(fd);
}

/*
 * The model.
 */

#define HIST_MAX	64

/* Values a sector may hold: v[0] was confirmed by a flush, the last is new. */
struct hist {
	uint64_t v[HIST_MAX];
	int nr;
	int completed;		/* index of the last completed */
	int base;		/* values forgotten */
	bool busy;		/* a request is writing it */
	bool maybe;		/* trimmed: any of them may be there */
	bool failed;		/* the same, and it may change */
};

struct model {
	struct hist *h;
	uint64_t sectors;
};

static void model_init(struct model *m, uint64_t sectors)
{
	m->sectors = sectors;
	m->h = calloc(sectors, sizeof(*m->h));
	assert_non_null(m->h);
	for (uint64_t i = 0; i < sectors; i++)
		m->h[i].nr = 1;
}

static void test_fill(uint8_t *buf, uint64_t value)
{
	size_t i;

	for (i = 0; i < VHD_SECTOR; i += 8)
		memcpy(buf + i, &value, 8);
}

/* The number in a sector; all of it must be the same. */
static uint64_t test_value(const uint8_t *buf)
{
	uint64_t value;

	memcpy(&value, buf, 8);
	if (memcmp(buf, buf + 8, VHD_SECTOR - 8))
		fail_msg("torn sector");
	return value;
}

static void hist_push(struct hist *h, uint64_t value)
{
	if (h->nr == HIST_MAX)
		fail_msg("model: too many values");
	h->v[h->nr++] = value;
}

/* All up to entry @index is history. */
static void hist_cut(struct hist *h, int index)
{
	memmove(h->v, h->v + index, (h->nr - index) * sizeof(h->v[0]));
	h->nr -= index;
	h->completed -= index;
	h->base += index;
}

/* Read all of the disk; @crash: anything since the last flush will do. */
static void model_verify(struct model *m, bool crash)
{
	uint32_t step = 256;
	uint8_t *buf = malloc(step * VHD_SECTOR);
	uint64_t s, i;
	int k;

	for (s = 0; s < m->sectors; s += step) {
		uint32_t nr = m->sectors - s < step ? m->sectors - s : step;

		assert_int_equal(fake_do(BLKTAP_OP_READ, s, nr, buf, false), 0);
		for (i = 0; i < nr; i++) {
			struct hist *h = &m->h[s + i];
			uint64_t value = test_value(buf + i * VHD_SECTOR);
			int from = crash || h->maybe || h->failed ? 0 :
				   h->completed;

			for (k = h->nr - 1; k >= from && h->v[k] != value; k--)
				;
			if (k < from)
				fail_msg("sector %llu holds %llu, may hold %llu..%llu (%d values)",
					 (unsigned long long)(s + i),
					 (unsigned long long)value,
					 (unsigned long long)h->v[from],
					 (unsigned long long)h->v[h->nr - 1],
					 h->nr - from);
		}
	}
	free(buf);
}

/* What is there now is what there is. */
static void model_settle(struct model *m)
{
	uint8_t buf[VHD_SECTOR];
	uint64_t s;

	for (s = 0; s < m->sectors; s++) {
		struct hist *h = &m->h[s];

		if (h->nr == 1 || h->failed)
			continue;
		assert_int_equal(fake_do(BLKTAP_OP_READ, s, 1, buf, false), 0);
		memset(h, 0, sizeof(*h));
		h->v[0] = test_value(buf);
		h->nr = 1;
	}
}

#define LOAD_SLOTS	12
#define LOAD_MAX	96	/* sectors of a request */

struct slot {
	struct fake_req r;
	bool used;
	uint8_t data[LOAD_MAX * VHD_SECTOR];
};

struct load {
	struct model *m;
	struct slot slot[LOAD_SLOTS];
	bool trim;
	bool zeroes;
	bool may_fail;
};

static bool load_busy(struct model *m, uint64_t sector, uint32_t nr)
{
	while (nr--)
		if (m->h[sector++].busy)
			return true;
	return false;
}

static void load_start_flush(struct load *l, struct slot *slot)
{
	uint64_t s;
	int *mark;

	/* What is complete now is what the flush must confirm. */
	mark = malloc(l->m->sectors * sizeof(int));
	for (s = 0; s < l->m->sectors; s++)
		mark[s] = l->m->h[s].base + l->m->h[s].completed;
	slot->r.data = (uint8_t *)mark;
	slot->r.req.op = BLKTAP_OP_FLUSH;
	slot->r.req.sector = 0;
	slot->r.req.nr_sectors = 0;
}

static void load_start(struct load *l, struct slot *slot)
{
	struct model *m = l->m;
	uint32_t kind = fake_random() % 100;
	uint64_t sector, s;
	uint32_t nr;
	int i;

	memset(&slot->r, 0, sizeof(slot->r));
	slot->r.data = slot->data;
	if (kind < 10) {
		load_start_flush(l, slot);
		slot->used = true;
		fake_submit(&slot->r);
		return;
	}
	nr = 1 + fake_random() % (fake_random() % 4 ? 8 : LOAD_MAX);
	sector = fake_random() % (m->sectors - nr + 1);
	if (load_busy(m, sector, nr))
		return;
	slot->r.req.op = kind < 30 ? BLKTAP_OP_READ :
			 kind < 36 && l->trim ? BLKTAP_OP_TRIM :
			 kind < 42 && l->zeroes ? BLKTAP_OP_WRITE_ZEROES :
			 BLKTAP_OP_WRITE;
	slot->r.req.fua = slot->r.req.op != BLKTAP_OP_TRIM && kind > 92;
	slot->r.req.sector = sector;
	slot->r.req.nr_sectors = nr;
	for (i = 0, s = sector; s < sector + nr; s++, i++) {
		struct hist *h = &m->h[s];
		uint64_t value = slot->r.req.op == BLKTAP_OP_WRITE ?
				 ++test_seq : 0;

		h->busy = true;
		if (slot->r.req.op == BLKTAP_OP_READ)
			continue;
		test_fill(slot->data + i * VHD_SECTOR, value);
		hist_push(h, value);
		h->maybe |= slot->r.req.op == BLKTAP_OP_TRIM;
	}
	slot->used = true;
	fake_submit(&slot->r);
}

static void load_flushed(struct load *l, struct slot *slot)
{
	int *mark = (int *)slot->r.data;
	uint64_t s;

	for (s = 0; s < l->m->sectors; s++) {
		struct hist *h = &l->m->h[s];

		/* After a TRIM it may be what was there before. */
		if (!slot->r.error && !h->maybe && !h->failed &&
		    mark[s] > h->base)
			hist_cut(h, mark[s] - h->base);
	}
	free(mark);
}

static void load_finish(struct load *l, struct slot *slot)
{
	struct td_req *req = &slot->r.req;
	uint64_t s;
	int i, k;

	slot->used = false;
	if (req->op == BLKTAP_OP_FLUSH) {
		load_flushed(l, slot);
		return;
	}
	for (i = 0, s = req->sector; s < req->sector + req->nr_sectors;
	     s++, i++) {
		struct hist *h = &l->m->h[s];
		uint64_t value;

		h->busy = false;
		if (slot->r.error && !l->may_fail)
			fail_msg("request failed: op %d sector %llu: %s",
				 req->op, (unsigned long long)req->sector,
				 strerror(-slot->r.error));
		if (slot->r.error) {
			h->failed |= req->op != BLKTAP_OP_READ;
			continue;
		}
		if (req->op == BLKTAP_OP_READ) {
			value = test_value(slot->data + i * VHD_SECTOR);
			for (k = h->maybe || h->failed ? 0 : h->completed;
			     k < h->nr && h->v[k] != value; k++)
				;
			if (k == h->nr)
				fail_msg("sector %llu: read %llu, want %llu",
					 (unsigned long long)s,
					 (unsigned long long)value,
					 (unsigned long long)h->v[h->completed]);
			continue;
		}
		h->completed = h->nr - 1;
		if (req->op != BLKTAP_OP_TRIM) {
			h->maybe = false;
			h->failed = false;
		}
		if (req->fua)
			hist_cut(h, h->completed);
	}
}

/* Finish what is done; start new requests if @more. */
static int load_poll(struct load *l, bool more)
{
	int i, done = 0;

	for (i = 0; i < LOAD_SLOTS; i++) {
		struct slot *slot = &l->slot[i];

		if (slot->used && slot->r.done) {
			load_finish(l, slot);
			done++;
		}
		if (!slot->used && more && !(fake_random() % 4))
			load_start(l, slot);
	}
	return done;
}

static void load_run(struct load *l, int requests)
{
	while (requests > 0) {
		requests -= load_poll(l, true);
		fake_step();
	}
}

static void load_drain(struct load *l)
{
	int i;

	fake_run();
	load_poll(l, false);
	for (i = 0; i < LOAD_SLOTS; i++)
		if (l->slot[i].used)
			fail_msg("request hangs: op %d sector %llu",
				 l->slot[i].r.req.op,
				 (unsigned long long)l->slot[i].r.req.sector);
}

/* The program is gone; what was not complete may or may not be there. */
static void load_forget(struct load *l)
{
	uint64_t s;
	int i;

	for (i = 0; i < LOAD_SLOTS; i++) {
		if (l->slot[i].used && l->slot[i].r.req.op == BLKTAP_OP_FLUSH)
			free(l->slot[i].r.data);
		l->slot[i].used = false;
	}
	for (s = 0; s < l->m->sectors; s++)
		l->m->h[s].busy = false;
}

/*
 * Random load on an image, with clean reopen and kills in between.
 */
static void test_load(const char *path, struct model *m, bool trim, int rounds)
{
	struct load *l = calloc(1, sizeof(*l));
	int i;

	l->m = m;
	l->trim = trim;
	l->zeroes = true;
	assert_int_equal(fake_open(path, 0), 0);
	assert_int_equal(fake.info.sectors, m->sectors);
	for (i = 0; i < rounds; i++) {
		load_run(l, 200);
		if (fake_random() % 2) {
			load_poll(l, false);
			fake_kill();
			load_forget(l);
			assert_int_equal(fake_open(path, 0), 0);
			model_verify(m, false);
			model_settle(m);
		} else {
			load_drain(l);
			model_verify(m, false);
			model_settle(m);
			assert_int_equal(fake_close(), 0);
			assert_int_equal(vhd_check(&test_ctx, path, 0,
						   VHD_CHECK_BITMAPS, NULL),
					 0);
			assert_int_equal(fake_open(path, 0), 0);
			model_verify(m, false);
		}
	}
	load_drain(l);
	model_verify(m, false);
	model_settle(m);
	assert_int_equal(fake_close(), 0);
	free(l);
}

static void test_dynamic_small(void **state)
{
	struct model m;

	(void)state;
	test_image("a.vhd", 3 << 20, NULL);
	model_init(&m, (3 << 20) / VHD_SECTOR);
	test_load(test_path("a.vhd"), &m, true, 20);
	free(m.h);
}

static void test_create(const char *name, uint64_t size, bool fixed,
			const char *parent)
{
	struct vhd_create spec = {
		.path = test_path(name),
		.size = size,
		.fixed = fixed,
		.parent = parent ? test_path(parent) : NULL,
		.keep_empty = true,
	};

	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
}

static void test_dynamic_tap(void **state)
{
	struct model m;

	(void)state;
	test_create("a.vhd", 16 << 20, false, NULL);
	model_init(&m, (16 << 20) / VHD_SECTOR);
	test_load(test_path("a.vhd"), &m, true, 3);
	free(m.h);
}

static void test_fixed(void **state)
{
	struct model m;

	(void)state;
	test_create("a.vhd", 4 << 20, true, NULL);
	model_init(&m, (4 << 20) / VHD_SECTOR);
	test_load(test_path("a.vhd"), &m, true, 3);
	free(m.h);
}

static void test_hash(const char *name, char *sum)
{
	char cmd[256];
	FILE *f;

	snprintf(cmd, sizeof(cmd), "sha256sum < %s", test_path(name));
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_non_null(fgets(sum, 65, f));
	pclose(f);
}

/* Three images, the load goes to each while it is the leaf. */
static void test_chain(void **state)
{
	char before[65], after[65];
	struct model m;

	(void)state;
	test_image("a.vhd", 2 << 20, NULL);
	model_init(&m, (2 << 20) / VHD_SECTOR);
	test_load(test_path("a.vhd"), &m, false, 2);
	test_image("b.vhd", 2 << 20, "a.vhd");
	test_load(test_path("b.vhd"), &m, true, 2);
	test_image("c.vhd", 2 << 20, "b.vhd");
	test_hash("b.vhd", before);
	test_load(test_path("c.vhd"), &m, true, 10);
	test_hash("b.vhd", after);
	assert_string_equal(before, after);
	/* A child of 2 MiB blocks on parents of 16 KiB blocks. */
	test_create("d.vhd", 2 << 20, false, "c.vhd");
	test_load(test_path("d.vhd"), &m, true, 4);
	free(m.h);
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
	assert_int_equal(fake_open(path, TD_OPEN_RDONLY), 0);
	for (s = 0; s < fake.info.sectors; s += 2048) {
		uint32_t nr = fake.info.sectors - s < 2048 ?
			      fake.info.sectors - s : 2048;

		assert_int_equal(fake_do(BLKTAP_OP_READ, s, nr, buf, false), 0);
		assert_int_equal(write(fd, buf, nr * VHD_SECTOR),
				 nr * VHD_SECTOR);
	}
	assert_int_equal(fake_close(), 0);
	close(fd);
	free(buf);
}

/* Does QEMU read the same, and as much? */
static void test_compare(const char *vhd, const char *raw)
{
	test_export(test_path(vhd), test_path(raw));
	sh("qemu-img compare -f vpc -F raw %s %s", vhd, raw);
	sh("qemu-img info -f vpc --output=json %s | grep -q \"virtual-size.: $(stat -c %%s %s),\"", vhd, raw);
}

static void test_qemu_made(const char *options)
{
	struct model m;

	sh("rm -f q.vhd; qemu-img create -f vpc -o %s q.vhd 20M", options);
	sh("qemu-io -f vpc -c 'write -P 0 6M 1M' -c 'write -P 0 11M 64k' q.vhd");
	assert_int_equal(fake_open(test_path("q.vhd"), TD_OPEN_RDONLY), 0);
	model_init(&m, fake.info.sectors);
	assert_int_equal(fake_close(), 0);
	test_load(test_path("q.vhd"), &m, true, 3);
	free(m.h);
	test_compare("q.vhd", "q.raw");
	/* QEMU goes on with what we left, and we with that. */
	sh("qemu-io -f vpc -c 'write -P 0x41 7M 3M' -c 'write -P 0x42 0 512' q.vhd");
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
	struct model m;

	(void)state;
	test_create("a.vhd", 1 << 30, false, NULL);
	sh("qemu-io -f vpc -c 'write -P 0x41 5M 3M' a.vhd");
	test_compare("a.vhd", "a.raw");

	test_create("b.vhd", 16 << 20, false, NULL);
	model_init(&m, (16 << 20) / VHD_SECTOR);
	test_load(test_path("b.vhd"), &m, true, 2);
	free(m.h);
	sh("qemu-io -f vpc -c 'write -P 0x41 5M 3M' b.vhd");
	test_compare("b.vhd", "b.raw");
	sh("qemu-img convert -f vpc -O raw b.vhd c.raw");
	sh("qemu-img convert -f raw -O vpc c.raw c.vhd");
	test_export(test_path("c.vhd"), test_path("d.raw"));
	sh("qemu-img compare -f raw -F raw c.raw d.raw");
}

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

	if (fd != fake.files[0])
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
	if (fd != fake.files[0])
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
	fake.record = cut_record;
	fake.sync_start = cut_sync_start;
	fake.synced = cut_synced;
}

static void cut_stop(void)
{
	cut.mark = cut.nr;
	cut_synced(fake.files[0]);
	free(cut.disk);
	fake.record = NULL;
	fake.sync_start = NULL;
	fake.synced = NULL;
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
		bool all = w->through || fake_random() % 100 < keep;
		bool none = !all && fake_random() % 2;

		for (i = 0; i < w->len; i += VHD_SECTOR)
			if (all || (!none && fake_random() % 2))
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

static void test_cut(const char *name, struct model *m, int cuts)
{
	struct load *l = calloc(1, sizeof(*l));
	const char *path = test_path(name);
	struct fake saved;
	int i;

	l->m = m;
	l->zeroes = true;
	assert_int_equal(fake_open(path, 0), 0);
	cut_start(path);
	for (i = 0; i < cuts; i++) {
		load_run(l, 1 + fake_random() % 12);
		load_poll(l, false);
		cut_write(test_path("cut.vhd"), fake_random() % 101);
		/* The machine comes up again, beside the one that runs. */
		saved = fake;
		fake.events = NULL;
		fake.nr_events = 0;
		fake.record = NULL;
		fake.sync_start = NULL;
		fake.synced = NULL;
		assert_int_equal(fake_open(test_path("cut.vhd"), 0), 0);
		model_verify(m, true);
		assert_int_equal(fake_close(), 0);
		saved.seed = fake.seed;
		fake = saved;
		/* History must not grow for ever. */
		if (i % 8 == 7) {
			load_drain(l);
			assert_int_equal(fake_do(BLKTAP_OP_FLUSH, 0, 0, NULL,
						 false), 0);
			model_verify(m, false);
			model_settle(m);
		}
	}
	load_drain(l);
	cut_stop();
	assert_int_equal(fake_close(), 0);
	free(l);
}

/*
 * Most of what can go wrong goes wrong while blocks are being allocated, so
 * many images are begun. Each child starts from the same parent.
 */
#define TEST_BEGIN	25

static void test_begin(struct model *m, const char *name, const char *parent)
{
	uint64_t s;

	unlink(test_path(name));
	test_image(name, 3 << 20, parent);
	assert_int_equal(fake_open(test_path(name), TD_OPEN_RDONLY), 0);
	for (s = 0; s < m->sectors; s++)
		m->h[s].nr = 2;
	model_settle(m);
	assert_int_equal(fake_close(), 0);
}

static void test_cut_many(const char *parent)
{
	struct model m;
	int i;

	model_init(&m, (3 << 20) / VHD_SECTOR);
	for (i = 0; i < TEST_BEGIN; i++) {
		test_begin(&m, "b.vhd", parent);
		test_cut("b.vhd", &m, 20);
	}
	free(m.h);
}

static void test_cut_dynamic(void **state)
{
	(void)state;
	test_cut_many(NULL);
}

/* A parent with about half of its blocks. */
static void test_parent(const char *name)
{
	uint8_t *data = malloc(TEST_BLOCK);
	uint64_t s;
	int i;

	test_image(name, 3 << 20, NULL);
	assert_int_equal(fake_open(test_path(name), 0), 0);
	for (s = 0; s < fake.info.sectors; s += TEST_SPB) {
		for (i = 0; i < (int)TEST_SPB; i++)
			test_fill(data + i * VHD_SECTOR, ++test_seq);
		if (fake_random() % 2)
			assert_int_equal(fake_do(BLKTAP_OP_WRITE, s, TEST_SPB,
						 data, false), 0);
	}
	assert_int_equal(fake_close(), 0);
	free(data);
}

static void test_cut_child(void **state)
{
	(void)state;
	test_parent("a.vhd");
	test_cut_many("a.vhd");
}

static void test_kill_many(const char *parent)
{
	struct load *l = calloc(1, sizeof(*l));
	struct model m;
	int i, k;

	model_init(&m, (3 << 20) / VHD_SECTOR);
	l->m = &m;
	l->zeroes = true;
	for (i = 0; i < TEST_BEGIN; i++) {
		test_begin(&m, "b.vhd", parent);
		assert_int_equal(fake_open(test_path("b.vhd"), 0), 0);
		for (k = 0; k < 10; k++) {
			load_run(l, 1 + fake_random() % 30);
			load_poll(l, false);
			fake_kill();
			load_forget(l);
			assert_int_equal(fake_open(test_path("b.vhd"), 0), 0);
			model_verify(&m, false);
			model_settle(&m);
		}
		assert_int_equal(fake_close(), 0);
	}
	free(m.h);
	free(l);
}

static void test_kill(void **state)
{
	(void)state;
	test_kill_many(NULL);
	test_parent("a.vhd");
	test_kill_many("a.vhd");
}

/*
 * Failures: what was completed stays, what could not be done is said.
 */

static int fail_error, fail_percent;

static int fail_some(const struct fake_event *event)
{
	if (event->kind == FAKE_RETRY ||
	    (event->kind == FAKE_IO && event->io->op == TD_IO_FDATASYNC))
		return 0;
	if ((int)(fake_random() % 100) >= fail_percent)
		return 0;
	return fail_error;
}

static void test_fail(const char *parent, int error, int percent)
{
	struct load *l = calloc(1, sizeof(*l));
	const char *path = test_path("f.vhd");
	struct model m;
	int i;

	model_init(&m, (3 << 20) / VHD_SECTOR);
	test_begin(&m, "f.vhd", parent);
	l->m = &m;
	l->zeroes = true;
	l->may_fail = true;
	for (i = 0; i < 6; i++) {
		assert_int_equal(fake_open(path, 0), 0);
		fail_error = error;
		fail_percent = percent;
		fake.fail = fail_some;
		load_run(l, 150);
		fake.fail = NULL;
		load_drain(l);
		/* What failed may have been done, now or later. */
		model_verify(&m, false);
		model_settle(&m);
		assert_int_equal(fake_do(BLKTAP_OP_FLUSH, 0, 0, NULL, false),
				 0);
		if (i % 2) {
			assert_int_equal(fake_close(), 0);
			assert_int_equal(vhd_check(&test_ctx, path, 0,
						   VHD_CHECK_BITMAPS, NULL),
					 0);
		} else {
			fake_kill();
		}
		assert_int_equal(fake_open(path, TD_OPEN_RDONLY), 0);
		model_verify(&m, false);
		assert_int_equal(fake_close(), 0);
	}
	free(m.h);
	free(l);
}

static void test_failures(void **state)
{
	(void)state;
	test_parent("a.vhd");
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

static int fail_full(const struct fake_event *event)
{
	bool write = event->kind == FAKE_MAP ? event->req->op ==
		     BLKTAP_OP_WRITE : event->kind == FAKE_IO &&
		     event->io->op == TD_IO_WRITE;

	return write && full_left && full_left-- ? -ENOSPC : 0;
}

static void test_full_disk(void **state)
{
	uint8_t data[8 * VHD_SECTOR];
	int i;

	(void)state;
	test_image("a.vhd", 3 << 20, NULL);
	assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
	fake.max_retries = 1000;
	fake.fail = fail_full;
	for (i = 0; i < 32; i++) {
		memset(data, i + 1, sizeof(data));
		full_left = 100;
		assert_int_equal(fake_do(BLKTAP_OP_WRITE, i * 64, 8, data,
					 false), 0);
		assert_int_equal(full_left, 0);
	}
	assert_int_equal(fake_close(), 0);
	fake.fail = NULL;
	assert_int_equal(vhd_check(&test_ctx, test_path("a.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), 0);
}

/* A failed fdatasync is not forgotten: no FLUSH may say all is well. */
static int fail_sync(const struct fake_event *event)
{
	return event->kind == FAKE_IO && event->io->op == TD_IO_FDATASYNC ?
	       -EIO : 0;
}

static void test_failed_sync(void **state)
{
	uint8_t data[VHD_SECTOR] = { 1 };

	(void)state;
	test_image("a.vhd", 3 << 20, NULL);
	assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 0, 1, data, false), 0);
	fake.fail = fail_sync;
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 0, 1, data, true), -EIO);
	fake.fail = NULL;
	assert_int_equal(fake_do(BLKTAP_OP_FLUSH, 0, 0, NULL, false), -EIO);
	assert_int_equal(fake_do(BLKTAP_OP_READ, 0, 1, data, false), 0);
	assert_int_equal(fake_close(), -EIO);
}

static uint64_t test_allocated(const char *name)
{
	struct stat st;

	assert_int_equal(stat(test_path(name), &st), 0);
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
	test_create("a.vhd", 16 << 20, false, NULL);
	assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
	assert_true(fake.info.discard && fake.info.discard_size == 4096);
	for (i = 0; i < 8; i++)
		assert_int_equal(fake_do(BLKTAP_OP_WRITE, i * 2048, 2048, data,
					 false), 0);
	before = test_allocated("a.vhd");
	assert_true(before >= 8 << 20);
	assert_int_equal(fake_do(BLKTAP_OP_TRIM, 8, 16, NULL, false), 0);
	assert_true(test_allocated("a.vhd") <= before - 8192);
	/* All of it, most of which was never written. */
	assert_int_equal(fake_do(BLKTAP_OP_TRIM, 0, fake.info.sectors, NULL,
				 false), 0);
	assert_true(test_allocated("a.vhd") < 1 << 20);
	for (i = 0; i < 8; i++) {
		assert_int_equal(fake_do(BLKTAP_OP_READ, i * 2048, 2048, data,
					 false), 0);
		assert_true(!data[0] && !memcmp(data, data + 1,
						(1 << 20) - 1));
	}
	assert_int_equal(fake_close(), 0);
	assert_int_equal(vhd_check(&test_ctx, test_path("a.vhd"), 0,
				   VHD_CHECK_BITMAPS, NULL), 0);
	free(data);
}

/* WRITE_ZEROES does not allocate where there is nothing but zeros. */
static void test_zeroes(void **state)
{
	uint8_t data[8 * VHD_SECTOR];
	struct vhd_image *image;

	(void)state;
	test_create("a.vhd", 16 << 20, false, NULL);
	test_create("b.vhd", 16 << 20, false, "a.vhd");
	assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
	memset(data, 0x5a, sizeof(data));
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 4096, 8, data, false), 0);
	assert_int_equal(fake_close(), 0);
	assert_int_equal(fake_open(test_path("b.vhd"), 0), 0);
	assert_int_equal(fake_do(BLKTAP_OP_WRITE_ZEROES, 0, fake.info.sectors,
				 NULL, false), 0);
	assert_int_equal(fake_do(BLKTAP_OP_READ, 4096, 8, data, false), 0);
	assert_true(!data[0] && !memcmp(data, data + 1, sizeof(data) - 1));
	assert_int_equal(fake_close(), 0);
	assert_int_equal(vhd_open(&test_ctx, test_path("b.vhd"), 0, &image), 0);
	assert_int_equal(image->bat[0], VHD_BAT_UNUSED);
	assert_int_not_equal(image->bat[1], VHD_BAT_UNUSED);
	assert_int_equal(image->bat[2], VHD_BAT_UNUSED);
	vhd_close(image);
}

/* After a clean close the file is as small as it can be, the batmap true. */
static void test_clean_close(void **state)
{
	uint8_t data[VHD_SECTOR] = { 1 };
	struct vhd_image *image;
	struct stat st;

	(void)state;
	test_create("a.vhd", 1 << 30, false, NULL);
	assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 0, 1, data, false), 0);
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 4096 * 9, 1, data, false), 0);
	assert_int_equal(fake_close(), 0);
	assert_int_equal(stat(test_path("a.vhd"), &st), 0);
	/* Two blocks of 4104 sectors from sector 16 on, and the footer. */
	assert_int_equal(st.st_size, (16 + 4104 + 4096 + 1) * 512);
	assert_int_equal(vhd_open(&test_ctx, test_path("a.vhd"),
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
		unlink(test_path("a.vhd"));
		test_create("a.vhd", 4 << 20, false, NULL);
		assert_int_equal(truncate(test_path("a.vhd"),
					  i ? size - 512 : size - 1), 0);
		assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
		assert_int_equal(stat(test_path("a.vhd"), &st), 0);
		assert_int_equal(st.st_size, size);
		assert_int_equal(fake_close(), 0);
		assert_int_equal(vhd_check(&test_ctx, test_path("a.vhd"), 0, 0,
					   NULL), 0);
	}
}

/* What is not allowed is refused. */
static void test_refusals(void **state)
{
	uint8_t data[VHD_SECTOR] = { 1 };
	char before[65], after[65];
	struct fake first;

	(void)state;
	test_create("a.vhd", 4 << 20, false, NULL);
	test_hash("a.vhd", before);
	assert_int_equal(fake_open(test_path("a.vhd"), TD_OPEN_RDONLY), 0);
	assert_false(fake.info.discard || fake.info.write_zeroes);
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 0, 1, data, false), -EROFS);
	assert_int_equal(fake_do(BLKTAP_OP_TRIM, 0, 1, data, false), -EROFS);
	assert_int_equal(fake_do(BLKTAP_OP_FLUSH, 0, 0, data, false), 0);
	assert_int_equal(fake_do(77, 0, 1, data, false), -EOPNOTSUPP);
	assert_int_equal(fake_close(), 0);
	test_hash("a.vhd", after);
	assert_string_equal(before, after);
	assert_int_equal(fake_open(test_path("a.vhd"), 0), 0);
	first = fake;
	assert_int_equal(fake_open(test_path("a.vhd"), 0), -EBUSY);
	assert_int_equal(fake_open(test_path("a.vhd"), TD_OPEN_RDONLY), -EBUSY);
	fake = first;
	assert_int_equal(fake_close(), 0);
	assert_int_equal(fake_open(test_path("b.vhd"), 0), -ENOENT);
	sh("qemu-img create -f raw r.raw 4M");
	assert_int_equal(fake_open(test_path("r.raw"), 0), -EINVAL);
}

/* A raw parent; it may be smaller than the child. */
static void test_raw_parent(void **state)
{
	struct vhd_create spec = { .parent_raw = true };
	uint8_t data[16 * VHD_SECTOR];
	int i;

	(void)state;
	sh("head -c 1049088 /dev/zero | tr '\\0' A > r.raw");
	spec.path = test_path("b.vhd");
	spec.parent = test_path("r.raw");
	assert_int_equal(vhd_create(&test_ctx, &spec), 0);
	assert_int_equal(fake_open(test_path("b.vhd"), 0), 0);
	assert_int_equal(fake.info.sectors, 4096);
	/* Sector 2048 is the last of the parent. */
	memset(data, 'B', VHD_SECTOR);
	assert_int_equal(fake_do(BLKTAP_OP_WRITE, 2047, 1, data, false), 0);
	assert_int_equal(fake_do(BLKTAP_OP_READ, 2040, 16, data, false), 0);
	for (i = 0; i < 16; i++)
		assert_int_equal(data[i * VHD_SECTOR],
				 i == 7 ? 'B' : i <= 8 ? 'A' : 0);
	assert_int_equal(fake_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, \
						   test_teardown)
#define TEST_MEM(name) cmocka_unit_test_setup_teardown(name, test_setup_mem, \
						       test_teardown)
		TEST_MEM(test_dynamic_small),
		TEST(test_dynamic_tap),
		TEST(test_fixed),
		TEST_MEM(test_chain),
		TEST_MEM(test_qemu_images),
		TEST_MEM(test_qemu_ours),
		TEST_MEM(test_failures),
		TEST_MEM(test_full_disk),
		TEST_MEM(test_failed_sync),
		TEST_MEM(test_trim),
		TEST_MEM(test_zeroes),
		TEST_MEM(test_clean_close),
		TEST_MEM(test_short_footer),
		TEST_MEM(test_refusals),
		TEST_MEM(test_raw_parent),
		TEST_MEM(test_kill),
		TEST_MEM(test_cut_dynamic),
		TEST_MEM(test_cut_child),
	};

	return cmocka_run_group_tests_name("vhd_engine", tests, NULL, NULL);
}
