// SPDX-License-Identifier: GPL-2.0
#include "vhd_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_log.h"

static char vt_dir[64];
static uint64_t vt_seq;

const char *vt_path(const char *name)
{
	static char path[8][128];
	static int next;

	next = (next + 1) % 8;
	snprintf(path[next], sizeof(path[0]), "%s/%s", vt_dir, name);
	return path[next];
}

static void vt_message(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "# %s\n", text);
}

const struct vhd_ctx vt_ctx = {
	.message = vt_message,
};

static int vt_setup_in(const char *dir)
{
	snprintf(vt_dir, sizeof(vt_dir), "%s/vhd-engine-XXXXXX", dir);
	if (!mkdtemp(vt_dir))
		return -1;
	memset(&vfake, 0, sizeof(vfake));
	vfake.seed = 1;
	vfake.max_retries = 3;
	vt_seq = 0;
	td_log_open("vhd_engine", 0, LOG_CRIT);
	return 0;
}

/* On a disk: O_DIRECT, if the file system has it. */
int vt_setup(void **state)
{
	(void)state;
	return vt_setup_in("/var/tmp");
}

/* In memory: where fdatasync costs nothing. */
int vt_setup_mem(void **state)
{
	(void)state;
	return vt_setup_in("/dev/shm");
}

int vt_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", vt_dir);
	return system(cmd);
}

void vt_sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;
	int n;

	n = snprintf(cmd, sizeof(cmd), "cd %s && { ", vt_dir);
	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - n, fmt, ap);
	va_end(ap);
	snprintf(cmd + n, sizeof(cmd) - n, "; } >/dev/null");
	if (system(cmd))
		fail_msg("command failed: %s", cmd);
}

void vt_image(const char *name, uint64_t size, const char *parent)
{
	struct vhd_create spec = {
		.path = vt_path(name),
		.size = VHD_BLOCK_SIZE,
		.parent = parent ? vt_path(parent) : NULL,
		.keep_empty = true,
	};
	uint8_t buf[VHD_FOOTER_SIZE + VHD_HEADER_SIZE];
	struct vhd_footer footer;
	struct vhd_header header;
	uint32_t bat[4096];
	uint8_t raw[4 * 4096];
	int fd, i;

	assert_int_equal(vhd_create(&vt_ctx, &spec), 0);
	fd = open(spec.path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(vhd_footer_parse(&vt_ctx, name, buf, 0, &footer),
			 0);
	assert_int_equal(vhd_header_parse(&vt_ctx, name,
					  buf + VHD_FOOTER_SIZE, &footer, 0,
					  &header), 0);
	/* The table goes behind the locators; there is no batmap then. */
	footer.original_size = size;
	footer.current_size = size;
	memcpy(footer.creator, "test", 4);
	vhd_geometry(size / VHD_SECTOR, &footer);
	header.block_size = VT_BLOCK;
	header.max_bat = (size + VT_BLOCK - 1) / VT_BLOCK;
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

void vt_model_init(struct vt_model *m, uint64_t sectors)
{
	m->sectors = sectors;
	m->h = calloc(sectors, sizeof(*m->h));
	assert_non_null(m->h);
	for (uint64_t i = 0; i < sectors; i++)
		m->h[i].nr = 1;
}

void vt_fill(uint8_t *buf, uint64_t value)
{
	size_t i;

	for (i = 0; i < VHD_SECTOR; i += 8)
		memcpy(buf + i, &value, 8);
}

/* The number in a sector; all of it must be the same. */
uint64_t vt_value(const uint8_t *buf)
{
	uint64_t value;

	memcpy(&value, buf, 8);
	if (memcmp(buf, buf + 8, VHD_SECTOR - 8))
		fail_msg("torn sector");
	return value;
}

static void vt_hist_push(struct vt_hist *h, uint64_t value)
{
	if (h->nr == VT_HIST_MAX)
		fail_msg("model: too many values");
	h->v[h->nr++] = value;
}

/* All up to entry @index is history. */
static void vt_hist_cut(struct vt_hist *h, int index)
{
	memmove(h->v, h->v + index, (h->nr - index) * sizeof(h->v[0]));
	h->nr -= index;
	h->completed -= index;
	h->base += index;
}

void vt_model_check(const struct vt_model *m, uint64_t sector, uint32_t nr,
		    const uint8_t *buf, bool crash)
{
	int k;

	for (; nr; nr--, sector++, buf += VHD_SECTOR) {
		const struct vt_hist *h = &m->h[sector];
		uint64_t value = vt_value(buf);
		int from = crash || h->maybe || h->failed ? 0 : h->completed;

		for (k = h->nr - 1; k >= from && h->v[k] != value; k--)
			;
		if (k < from)
			fail_msg("sector %llu holds %llu, may hold %llu..%llu (%d values)",
				 (unsigned long long)sector,
				 (unsigned long long)value,
				 (unsigned long long)h->v[from],
				 (unsigned long long)h->v[h->nr - 1],
				 h->nr - from);
	}
}

void vt_model_verify(struct vt_model *m, bool crash)
{
	uint32_t step = 256;
	uint8_t *buf = malloc(step * VHD_SECTOR);
	uint64_t s;

	for (s = 0; s < m->sectors; s += step) {
		uint32_t nr = m->sectors - s < step ? m->sectors - s : step;

		assert_int_equal(vfake_do(BLKTAP_OP_READ, s, nr, buf, false), 0);
		vt_model_check(m, s, nr, buf, crash);
	}
	free(buf);
}

/* What is there now is what there is. */
void vt_model_settle(struct vt_model *m)
{
	uint8_t buf[VHD_SECTOR];
	uint64_t s;

	for (s = 0; s < m->sectors; s++) {
		struct vt_hist *h = &m->h[s];

		if (h->nr == 1 || h->failed)
			continue;
		assert_int_equal(vfake_do(BLKTAP_OP_READ, s, 1, buf, false), 0);
		memset(h, 0, sizeof(*h));
		h->v[0] = vt_value(buf);
		h->nr = 1;
	}
}

static bool vt_load_busy(struct vt_model *m, uint64_t sector, uint32_t nr)
{
	while (nr--)
		if (m->h[sector++].busy)
			return true;
	return false;
}

static void vt_load_start_flush(struct vt_load *l, struct vt_slot *slot)
{
	uint64_t s;
	int *mark;

	/* What is complete now is what the flush must confirm. */
	mark = malloc(l->m->sectors * sizeof(int));
	for (s = 0; s < l->m->sectors; s++)
		mark[s] = l->m->h[s].base + l->m->h[s].completed;
	l->flushes++;
	slot->r.data = (uint8_t *)mark;
	slot->r.req.op = BLKTAP_OP_FLUSH;
	slot->r.req.sector = 0;
	slot->r.req.nr_sectors = 0;
}

static void vt_load_start(struct vt_load *l, struct vt_slot *slot)
{
	struct vt_model *m = l->m;
	uint32_t kind = vfake_random() % 100;
	uint64_t sector, s;
	uint32_t nr;
	int i;

	memset(&slot->r, 0, sizeof(slot->r));
	slot->r.data = slot->data;
	if (kind < 10) {
		vt_load_start_flush(l, slot);
		slot->used = true;
		vfake_submit(&slot->r);
		return;
	}
	nr = 1 + vfake_random() % (vfake_random() % 4 ? 8 : VT_LOAD_MAX);
	sector = vfake_random() % (m->sectors - nr + 1);
	if (vt_load_busy(m, sector, nr))
		return;
	slot->r.req.op = kind < 30 ? BLKTAP_OP_READ :
			 kind < 36 && l->trim ? BLKTAP_OP_TRIM :
			 kind < 42 && l->zeroes ? BLKTAP_OP_WRITE_ZEROES :
			 BLKTAP_OP_WRITE;
	slot->r.req.fua = slot->r.req.op != BLKTAP_OP_TRIM && kind > 92;
	slot->r.req.sector = sector;
	slot->r.req.nr_sectors = nr;
	l->writes += slot->r.req.op != BLKTAP_OP_READ;
	l->flushes += slot->r.req.op != BLKTAP_OP_READ && slot->r.req.fua;
	for (i = 0, s = sector; s < sector + nr; s++, i++) {
		struct vt_hist *h = &m->h[s];
		uint64_t value = slot->r.req.op == BLKTAP_OP_WRITE ?
				 ++vt_seq : 0;

		h->busy = true;
		if (slot->r.req.op == BLKTAP_OP_READ)
			continue;
		vt_fill(slot->data + i * VHD_SECTOR, value);
		vt_hist_push(h, value);
		if (slot->r.req.op == BLKTAP_OP_TRIM) {
			h->maybe = true;
			h->trimmed = h->base + h->nr - 1;
		}
	}
	slot->used = true;
	vfake_submit(&slot->r);
}

static void vt_load_flushed(struct vt_load *l, struct vt_slot *slot)
{
	int *mark = (int *)slot->r.data;
	uint64_t s;

	for (s = 0; s < l->m->sectors; s++) {
		struct vt_hist *h = &l->m->h[s];

		/* After a TRIM it may be what was there before. */
		if (!slot->r.error && !h->maybe && !h->failed &&
		    mark[s] > h->base && mark[s] != h->trimmed)
			vt_hist_cut(h, mark[s] - h->base);
	}
	free(mark);
}

static void vt_load_finish(struct vt_load *l, struct vt_slot *slot)
{
	struct td_req *req = &slot->r.req;
	uint64_t s;
	int i, k;

	slot->used = false;
	if (req->op == BLKTAP_OP_FLUSH) {
		vt_load_flushed(l, slot);
		return;
	}
	for (i = 0, s = req->sector; s < req->sector + req->nr_sectors;
	     s++, i++) {
		struct vt_hist *h = &l->m->h[s];
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
			value = vt_value(slot->data + i * VHD_SECTOR);
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
			vt_hist_cut(h, h->completed);
	}
}

/* Finish what is done; start new requests if @more. */
int vt_load_poll(struct vt_load *l, bool more)
{
	int i, done = 0;

	for (i = 0; i < VT_LOAD_SLOTS; i++) {
		struct vt_slot *slot = &l->slot[i];

		if (slot->used && slot->r.done) {
			vt_load_finish(l, slot);
			done++;
		}
		if (!slot->used && more && !(vfake_random() % 4))
			vt_load_start(l, slot);
	}
	return done;
}

void vt_load_run(struct vt_load *l, int requests)
{
	while (requests > 0) {
		requests -= vt_load_poll(l, true);
		vfake_step();
	}
}

void vt_load_drain(struct vt_load *l)
{
	int i;

	vfake_run();
	vt_load_poll(l, false);
	for (i = 0; i < VT_LOAD_SLOTS; i++)
		if (l->slot[i].used)
			fail_msg("request hangs: op %d sector %llu",
				 l->slot[i].r.req.op,
				 (unsigned long long)l->slot[i].r.req.sector);
}

/* The program is gone; what was not complete may or may not be there. */
void vt_load_forget(struct vt_load *l)
{
	uint64_t s;
	int i;

	for (i = 0; i < VT_LOAD_SLOTS; i++) {
		if (l->slot[i].used && l->slot[i].r.req.op == BLKTAP_OP_FLUSH)
			free(l->slot[i].r.data);
		l->slot[i].used = false;
	}
	for (s = 0; s < l->m->sectors; s++)
		l->m->h[s].busy = false;
}

void vt_create(const char *name, uint64_t size, bool fixed,
	       const char *parent)
{
	struct vhd_create spec = {
		.path = vt_path(name),
		.size = size,
		.fixed = fixed,
		.parent = parent ? vt_path(parent) : NULL,
		.keep_empty = true,
	};

	assert_int_equal(vhd_create(&vt_ctx, &spec), 0);
}

void vt_hash(const char *name, char *sum)
{
	char cmd[256];
	FILE *f;

	snprintf(cmd, sizeof(cmd), "sha256sum < %s", vt_path(name));
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_non_null(fgets(sum, 65, f));
	pclose(f);
}

void vt_begin(struct vt_model *m, const char *name, const char *parent)
{
	uint64_t s;

	unlink(vt_path(name));
	vt_image(name, m->sectors * VHD_SECTOR, parent);
	assert_int_equal(vfake_open(vt_path(name), TD_OPEN_RDONLY), 0);
	for (s = 0; s < m->sectors; s++)
		m->h[s].nr = 2;
	vt_model_settle(m);
	assert_int_equal(vfake_close(), 0);
}

/* A parent with about half of its blocks. */
void vt_parent(const char *name, uint64_t size)
{
	uint8_t *data = malloc(VT_BLOCK);
	uint64_t s;
	int i;

	vt_image(name, size, NULL);
	assert_int_equal(vfake_open(vt_path(name), 0), 0);
	for (s = 0; s < vfake.info.sectors; s += VT_SPB) {
		for (i = 0; i < (int)VT_SPB; i++)
			vt_fill(data + i * VHD_SECTOR, ++vt_seq);
		if (vfake_random() % 2)
			assert_int_equal(vfake_do(BLKTAP_OP_WRITE, s, VT_SPB,
						  data, false), 0);
	}
	assert_int_equal(vfake_close(), 0);
	free(data);
}

