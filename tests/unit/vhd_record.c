// SPDX-License-Identifier: GPL-2.0
#include "vhd_record.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_fake.h"

#define REC_PAGE	4096U
#define REC_SECTOR	512U
/* As many sectors may be on their way; the tests stay far below. */
#define REC_UNITS	8192U
#define REC_DIRTY	65536U

struct rec_stats rec_stats;

/* What has happened and is not durable. */
struct rec_op {
	struct rec_op *next;
	enum rec_kind { REC_WRITE, REC_HOLE, REC_TRUNCATE } kind;
	bool through;
	uint64_t off;
	size_t len;
	uint8_t data[];
};

/* What is durable; pages of zeros are NULL. */
struct rec_disk {
	uint8_t **page;
	size_t nr;
	uint64_t size;
};

static struct {
	bool on;
	unsigned int each;
	dev_t dev;
	ino_t ino;		/* of the leaf, 0: it does not exist yet */
	struct rec_disk disk;
	struct rec_op *first;
	struct rec_op **last;
	struct rec_op *newest;
	int nr;			/* operations in the list */
	int mark;		/* of them before the sync in flight */
	int fd;			/* file of the states */
	ino_t state;		/* its number */
	void (*check)(void);
	/* Pages where the file of the states differs from the disk. */
	uint32_t dirty[REC_DIRTY];
	unsigned int nr_dirty;
	uint64_t cut_at;	/* and from here on it does */
} rec;

/* A file beside the one that is recorded. */
static struct {
	bool on;
	char path[PATH_MAX];
	char state[PATH_MAX];
	uint8_t *data;
	size_t len;
	bool synced;		/* the contents are durable */
	bool now;		/* it has its name */
	bool disk;		/* and has it after a power cut */
} rec_beside;

static void rec_disk_resize(struct rec_disk *d, uint64_t size)
{
	size_t nr = (size + REC_PAGE - 1) / REC_PAGE;
	size_t i;

	for (i = nr; i < d->nr; i++)
		free(d->page[i]);
	if (nr != d->nr) {
		d->page = realloc(d->page, (nr + 1) * sizeof(*d->page));
		for (i = d->nr; i < nr; i++)
			d->page[i] = NULL;
		d->nr = nr;
	}
	if (size < d->size && size % REC_PAGE && d->page[nr - 1])
		memset(d->page[nr - 1] + size % REC_PAGE, 0,
		       REC_PAGE - size % REC_PAGE);
	d->size = size;
}

static bool rec_is_zero(const uint8_t *data, size_t len)
{
	return !data[0] && !memcmp(data, data + 1, len - 1);
}

/* Data, or zeros. */
static void rec_disk_put(struct rec_disk *d, const uint8_t *data,
			 uint64_t off, size_t len)
{
	while (len) {
		size_t in = off % REC_PAGE;
		size_t n = len < REC_PAGE - in ? len : REC_PAGE - in;
		uint8_t **page;

		if (off + n > d->size) {
			/* A hole must not make the file longer. */
			if (!data)
				return;
			rec_disk_resize(d, off + n);
		}
		page = &d->page[off / REC_PAGE];
		if (!*page && data && !rec_is_zero(data, n))
			*page = calloc(1, REC_PAGE);
		if (*page && data)
			memcpy(*page + in, data, n);
		else if (*page)
			memset(*page + in, 0, n);
		data = data ? data + n : NULL;
		off += n;
		len -= n;
	}
}

static void rec_must(bool ok, const char *what)
{
	if (!ok)
		fail_msg("recorder: %s: %s", what, strerror(errno));
}

/* Bring a page of the file of the states back to what is durable. */
static void rec_copy(uint64_t off)
{
	static const uint8_t zeros[REC_PAGE];
	uint64_t left = rec.disk.size - off;
	uint8_t *page = rec.disk.page[off / REC_PAGE];
	size_t n = left < REC_PAGE ? left : REC_PAGE;

	rec_must(__real_pwrite64(rec.fd, page ? page : zeros, n, off) ==
		 (ssize_t)n, "pwrite");
}

static void rec_restore(void)
{
	uint64_t size = rec.disk.size;
	uint64_t off = rec.cut_at - rec.cut_at % REC_PAGE;
	unsigned int i;

	rec_must(!__real_ftruncate64(rec.fd, rec.cut_at < size ? rec.cut_at :
				     size), "ftruncate");
	rec_must(!__real_ftruncate64(rec.fd, size), "ftruncate");
	for (; off < size; off += REC_PAGE)
		if (rec.disk.page[off / REC_PAGE])
			rec_copy(off);
	for (i = 0; i < rec.nr_dirty; i++)
		if ((uint64_t)rec.dirty[i] * REC_PAGE < size)
			rec_copy((uint64_t)rec.dirty[i] * REC_PAGE);
	rec.nr_dirty = 0;
	rec.cut_at = UINT64_MAX;
}

static void rec_dirty(uint64_t off, uint64_t len)
{
	uint64_t page = off / REC_PAGE;

	for (; page <= (off + len - 1) / REC_PAGE; page++) {
		if (rec.nr_dirty && rec.dirty[rec.nr_dirty - 1] == page)
			continue;
		if (rec.nr_dirty == REC_DIRTY)
			fail_msg("recorder: more than %u pages changed",
				 REC_DIRTY);
		rec.dirty[rec.nr_dirty++] = page;
	}
}

static unsigned int rec_op_units(const struct rec_op *op)
{
	return op->kind == REC_TRUNCATE ? 1 :
	       (op->len + REC_SECTOR - 1) / REC_SECTOR;
}

/* Some sectors of an operation, or all of a truncate, in the file. */
static void rec_op_apply(const struct rec_op *op, unsigned int unit,
			 unsigned int nr)
{
	uint64_t off = op->off + unit * REC_SECTOR;
	size_t len = op->len - unit * REC_SECTOR;
	ssize_t n = 0;

	if (op->kind == REC_TRUNCATE) {
		if (op->off < rec.cut_at)
			rec.cut_at = op->off;
		rec_must(!__real_ftruncate64(rec.fd, op->off), "ftruncate");
		return;
	}
	if (len > nr * REC_SECTOR)
		len = nr * REC_SECTOR;
	rec_dirty(off, len);
	if (op->kind == REC_WRITE)
		n = __real_pwrite64(rec.fd, op->data + unit * REC_SECTOR, len,
				    off) - len;
	else
		n = __real_fallocate64(rec.fd, FALLOC_FL_PUNCH_HOLE |
				       FALLOC_FL_KEEP_SIZE, off, len);
	rec_must(!n, "cannot build a state");
}

/* The file is longer, but there are zeros where the data should be. */
static void rec_op_extend(const struct rec_op *op)
{
	struct stat st;

	if (op->kind != REC_WRITE)
		return;
	rec_must(!fstat(rec.fd, &st), "fstat");
	if (op->off + op->len > (uint64_t)st.st_size)
		rec_must(!__real_ftruncate64(rec.fd, op->off + op->len),
			 "ftruncate");
}

static void rec_beside_put(bool there)
{
	FILE *f;

	if (!rec_beside.on)
		return;
	__real_unlink(rec_beside.state);
	if (!there)
		return;
	f = fopen(rec_beside.state, "w");
	rec_must(f && fwrite(rec_beside.data, 1, rec_beside.len, f) ==
		 rec_beside.len && !fclose(f), rec_beside.state);
}

static void rec_state(const uint8_t *take, bool extend, bool beside)
{
	const struct rec_op *op;
	unsigned int i, k, nr;

	for (op = rec.first; op; op = op->next, take += nr) {
		nr = rec_op_units(op);
		for (i = 0; i < nr; i = k) {
			bool taken = op->through || take[i];

			for (k = i + 1; k < nr && (op->through ||
						   take[k] == take[i]); k++)
				;
			if (taken)
				rec_op_apply(op, i, k - i);
			else if (extend)
				rec_op_extend(op);
		}
	}
	rec_beside_put(beside);
	rec_stats.states++;
	rec.check();
	rec_restore();
}

static void rec_choose(uint8_t *take)
{
	unsigned int keep = vfake_random() % 101;
	const struct rec_op *op;
	unsigned int unit = 0;
	unsigned int i;

	for (op = rec.first; op; op = op->next) {
		unsigned int how = vfake_random() % 100;

		/* All of it, or nothing, or some. */
		for (i = 0; i < rec_op_units(op); i++, unit++)
			take[unit] = how < keep ||
				     (how % 2 && vfake_random() % 2);
	}
}

void rec_cut(unsigned int max)
{
	static uint8_t take[REC_UNITS];
	const struct rec_op *op;
	unsigned int units = 0;
	unsigned int bits = 0;
	unsigned int i, k;

	for (op = rec.first; op; op = op->next)
		units += rec_op_units(op);
	if (units > REC_UNITS)
		fail_msg("recorder: %u sectors are not durable, at most %u",
			 units, REC_UNITS);
	while (bits < 16 && 2U << bits <= max)
		bits++;
	rec.on = false;
	rec_stats.points++;
	rec_stats.all += units <= bits;
	for (i = 0; i < (units <= bits ? 1U << units : max); i++) {
		if (units <= bits)
			for (k = 0; k < units; k++)
				take[k] = i >> k & 1;
		else
			rec_choose(take);
		rec_state(take, vfake_random() % 8 == 0, rec_beside.now);
		if (rec_beside.now != rec_beside.disk)
			rec_state(take, vfake_random() % 8 == 0,
				  rec_beside.disk);
	}
	rec.on = true;
}

static void rec_durable(int nr)
{
	struct rec_op *op;

	for (; nr; nr--, rec.nr--) {
		op = rec.first;
		rec.first = op->next;
		if (op->kind == REC_TRUNCATE) {
			rec_disk_resize(&rec.disk, op->off);
			if (op->off < rec.cut_at)
				rec.cut_at = op->off;
		} else {
			rec_disk_put(&rec.disk, op->kind == REC_WRITE ?
				     op->data : NULL, op->off, op->len);
			rec_dirty(op->off, op->len);
		}
		free(op);
	}
	if (!rec.first)
		rec.last = &rec.first;
	rec_restore();
}

/* Is it the file that is recorded? */
static bool rec_is(int fd)
{
	struct stat st;

	if (!rec.on)
		return false;
	rec_must(!fstat(fd, &st), "fstat");
	if (S_ISDIR(st.st_mode))
		return false;
	if (rec_beside.on && rec.ino && rec.ino != st.st_ino)
		return false;
	if (!rec.ino) {
		rec.ino = st.st_ino;
		rec.dev = st.st_dev;
	}
	if (rec.ino != st.st_ino || rec.dev != st.st_dev)
		fail_msg("recorder: another file than the leaf is changed");
	return true;
}

static void rec_point(void)
{
	if (rec.each)
		rec_cut(rec.each);
}

static void rec_add(enum rec_kind kind, const void *data, uint64_t off,
		    size_t len)
{
	struct rec_op *op = malloc(sizeof(*op) + (data ? len : 0));

	*op = (struct rec_op) { .kind = kind, .off = off, .len = len };
	if (data)
		memcpy(op->data, data, len);
	*rec.last = op;
	rec.last = &op->next;
	rec.newest = op;
	rec.nr++;
	rec_stats.ops++;
	rec_point();
}

/* Another file than the one that is recorded is written. */
static void rec_beside_write(const uint8_t *buf, size_t len, off_t off)
{
	if (!off)
		rec_beside.len = 0;
	if (rec_beside.now || (size_t)off != rec_beside.len)
		fail_msg("recorder: another file than the leaf is changed");
	rec_beside.data = realloc(rec_beside.data, off + len);
	memcpy(rec_beside.data + off, buf, len);
	rec_beside.len = off + len;
	rec_beside.synced = false;
}

/* What recovery does to the file of a state. */
static void rec_note(int fd, uint64_t off, uint64_t len)
{
	struct stat st;

	if (rec.on || !rec.fd)
		return;
	rec_must(!fstat(fd, &st), "fstat");
	if (st.st_ino == rec.state)
		rec_dirty(off, len);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t n = __real_pwrite64(fd, buf, len, off);

	if (n > 0 && rec_is(fd))
		rec_add(REC_WRITE, buf, off, n);
	else if (n > 0 && rec.on && rec_beside.on)
		rec_beside_write(buf, n, off);
	else if (n > 0)
		rec_note(fd, off, n);
	return n;
}

int __wrap_ftruncate64(int fd, off_t size)
{
	struct stat st;
	int ret = __real_ftruncate64(fd, size);

	if (ret)
		return ret;
	if (rec_is(fd))
		rec_add(REC_TRUNCATE, NULL, size, 0);
	else if (!rec.on && rec.fd && !fstat(fd, &st) &&
		 st.st_ino == rec.state && (uint64_t)size < rec.cut_at)
		rec.cut_at = size;
	return ret;
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	struct stat st;
	int ret = __real_fallocate64(fd, mode, off, len);

	if (ret || fstat(fd, &st))
		return ret;
	/*
	 * Space alone changes nothing that can be read. Behind the end of the
	 * file it would outlive a crash: the next open does not see it.
	 */
	if (mode == FALLOC_FL_KEEP_SIZE) {
		if (off + len > st.st_size)
			fail_msg("recorder: space up to %lld reserved, the file has %lld",
				 (long long)off + len, (long long)st.st_size);
		return 0;
	}
	/* The engine tries once, far behind the end, whether it can. */
	if (off >= st.st_size)
		return ret;
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		fail_msg("recorder: fallocate: mode %d", mode);
	if (rec_is(fd))
		rec_add(REC_HOLE, NULL, off, len);
	else
		rec_note(fd, off, len);
	return ret;
}

int __wrap_posix_fallocate64(int fd, off_t off, off_t len)
{
	struct stat st;
	int ret;

	rec_must(!fstat(fd, &st), "fstat");
	ret = __real_posix_fallocate64(fd, off, len);
	if (!ret && rec_is(fd) && off + len > st.st_size)
		rec_add(REC_TRUNCATE, NULL, off + len, 0);
	return ret;
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned int flags)
{
	int ret = __real_renameat2(from_fd, from, to_fd, to, flags);

	if (ret || !rec.on)
		return ret;
	if (rec_beside.on && !strcmp(to, rec_beside.path)) {
		if (!rec_beside.synced)
			fail_msg("recorder: a journal gets its name before it is durable");
		rec_beside.now = true;
		rec_point();
	} else if (rec.first) {
		fail_msg("recorder: a file gets its name before it is durable");
	}
	return 0;
}

int __wrap_unlink(const char *path)
{
	int ret = __real_unlink(path);

	if (!ret && rec.on && rec_beside.on &&
	    !strcmp(path, rec_beside.path)) {
		rec_beside.now = false;
		rec_point();
	}
	return ret;
}

static void rec_beside_sync(int fd)
{
	struct stat st;

	rec_must(!fstat(fd, &st), "fstat");
	rec_stats.syncs++;
	if (S_ISDIR(st.st_mode))
		rec_beside.disk = rec_beside.now;
	else
		rec_beside.synced = true;
	rec_point();
}

static int rec_sync(int fd, int ret)
{
	if (!ret && rec.on && rec_beside.on && !rec_is(fd))
		rec_beside_sync(fd);
	if (ret || !rec_is(fd))
		return ret;
	rec_stats.syncs++;
	if (rec.each)
		rec_cut(rec.each);
	rec_durable(rec.nr);
	if (rec.each)
		rec_cut(1);
	return 0;
}

int __wrap_fdatasync(int fd)
{
	return rec_sync(fd, __real_fdatasync(fd));
}

int __wrap_fsync(int fd)
{
	return rec_sync(fd, __real_fsync(fd));
}

void rec_through(void)
{
	rec.newest->through = true;
}

void rec_sync_start(void)
{
	rec.mark = rec.nr;
}

void rec_sync_done(void)
{
	rec_stats.syncs++;
	rec_durable(rec.mark);
	rec.mark = 0;
}

void rec_each(unsigned int max)
{
	rec.each = max;
}

void rec_start(const char *path, const char *state, void (*check)(void))
{
	uint8_t page[REC_PAGE];
	struct stat st;
	uint64_t off;
	ssize_t n;
	int fd;

	memset(&rec, 0, sizeof(rec));
	rec.last = &rec.first;
	rec.check = check;
	rec.fd = open(state, O_RDWR | O_CREAT | O_TRUNC, 0644);
	rec_must(rec.fd >= 0 && !fstat(rec.fd, &st), state);
	rec.state = st.st_ino;
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		rec_must(!fstat(fd, &st), path);
		rec.ino = st.st_ino;
		rec.dev = st.st_dev;
		for (off = 0; off < (uint64_t)st.st_size; off += n) {
			n = pread(fd, page, REC_PAGE, off);
			rec_must(n > 0, path);
			rec_disk_resize(&rec.disk, off + n);
			rec_disk_put(&rec.disk, page, off, n);
		}
		close(fd);
	}
	rec.cut_at = 0;
	rec_restore();
	rec.on = true;
}

void rec_journal(const char *path, const char *state)
{
	struct stat st;
	int fd;

	rec_beside.on = true;
	snprintf(rec_beside.path, sizeof(rec_beside.path), "%s", path);
	snprintf(rec_beside.state, sizeof(rec_beside.state), "%s", state);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	rec_must(!fstat(fd, &st), path);
	rec_beside.data = malloc(st.st_size);
	rec_beside.len = st.st_size;
	rec_must(pread(fd, rec_beside.data, st.st_size, 0) == st.st_size,
		 path);
	close(fd);
	rec_beside.synced = true;
	rec_beside.now = true;
	rec_beside.disk = true;
}

void rec_stop(void)
{
	if (!rec.fd)
		return;
	rec_beside_put(false);
	free(rec_beside.data);
	memset(&rec_beside, 0, sizeof(rec_beside));
	rec.on = false;
	rec_durable(rec.nr);
	rec_disk_resize(&rec.disk, 0);
	free(rec.disk.page);
	close(rec.fd);
	memset(&rec, 0, sizeof(rec));
}
