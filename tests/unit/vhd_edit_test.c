// SPDX-License-Identifier: GPL-2.0
/*
 * What changes an image, stopped at each of its writes: by the end of the
 * program, in the middle of a write, and by a power cut that any part of what
 * was not yet synced survives. What is left must open, pass the check and
 * hold the data; done again, it must come to the same end.
 *
 * The system calls that change files are caught here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "libvhd/vhd_edit.h"

#define SIM_MODES	4
#define SIM_WRITES	512

/* A write that no sync has covered yet. */
struct sim_write {
	char path[PATH_MAX];
	off_t off;
	size_t len;
	uint8_t *old;
	uint8_t *new;
};

static struct {
	bool on;
	bool dead;
	int left;		/* changes and syncs until the end */
	int mode;		/* 0: stop; 1: torn; others: power cuts */
	uint64_t seed;
	struct sim_write log[SIM_WRITES];
	int nr;
} sim;

static uint32_t sim_random(void)
{
	sim.seed = sim.seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return sim.seed >> 33;
}

/* May this change still be made? */
static bool sim_step(void)
{
	if (!sim.on)
		return true;
	if (!sim.dead && sim.left-- == 0)
		sim.dead = true;
	if (sim.dead)
		errno = EIO;
	return !sim.dead;
}

static void sim_path(int fd, char *path)
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	assert_true(len > 0);
	path[len] = 0;
}

static void sim_record(int fd, const void *buf, size_t len, off_t off)
{
	struct sim_write *w = &sim.log[sim.nr++];

	assert_true(sim.nr < SIM_WRITES);
	sim_path(fd, w->path);
	w->off = off;
	w->len = len;
	w->old = calloc(1, len);
	w->new = malloc(len);
	memcpy(w->new, buf, len);
	fd = open(w->path, O_RDONLY);
	assert_true(fd >= 0 && pread(fd, w->old, len, off) >= 0);
	close(fd);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	bool was_dead = sim.dead;

	if (!sim_step()) {
		/* The first half of the sectors of the last write. */
		if (!was_dead && sim.mode == 1 && len >= 2 * VHD_SECTOR)
			syscall(SYS_pwrite64, fd, buf, len / 2 / VHD_SECTOR *
				VHD_SECTOR, off);
		return -1;
	}
	if (sim.on)
		sim_record(fd, buf, len, off);
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

int ftruncate(int fd, off_t len)
{
	return sim_step() ? syscall(SYS_ftruncate, fd, len) : -1;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	return sim_step() ? syscall(SYS_fallocate, fd, mode, off, len) : -1;
}

int posix_fallocate(int fd, off_t off, off_t len)
{
	return sim_step() ? -syscall(SYS_fallocate, fd, 0, off, len) : EIO;
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to,
	      unsigned int flags)
{
	return sim_step() ? syscall(SYS_renameat2, from_fd, from, to_fd, to,
				    flags) : -1;
}

int unlink(const char *path)
{
	return sim_step() ? syscall(SYS_unlink, path) : -1;
}

/* What was written to that file is there for good. */
int fdatasync(int fd)
{
	char path[PATH_MAX];
	int i, kept = 0;

	if (!sim.on)
		return 0;
	if (!sim_step())
		return -1;
	sim_path(fd, path);
	for (i = 0; i < sim.nr; i++) {
		if (strcmp(sim.log[i].path, path)) {
			sim.log[kept++] = sim.log[i];
			continue;
		}
		free(sim.log[i].old);
		free(sim.log[i].new);
	}
	sim.nr = kept;
	return 0;
}

int fsync(int fd)
{
	return fdatasync(fd);
}

static void sim_start(int left, int mode)
{
	sim.on = true;
	sim.dead = false;
	sim.left = left;
	sim.mode = mode;
	sim.nr = 0;
}

/* What is in the file after a power cut: not more than its size has. */
static void sim_restore(const struct sim_write *w, const uint8_t *data,
			size_t from, size_t len)
{
	struct stat st;
	int fd = open(w->path, O_RDWR);

	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	if (w->off + (off_t)(from + len) <= st.st_size)
		syscall(SYS_pwrite64, fd, data + from, len, w->off + from);
	close(fd);
}

/* The machine stops: some of the sectors that no sync covers are lost. */
static void sim_stop(void)
{
	bool cut = sim.dead && sim.mode > 1;
	size_t k, len;
	int i;

	sim.on = false;
	for (i = sim.nr; cut && i--;)
		sim_restore(&sim.log[i], sim.log[i].old, 0, sim.log[i].len);
	for (i = 0; i < sim.nr; i++) {
		for (k = 0; cut && k < sim.log[i].len; k += VHD_SECTOR) {
			len = sim.log[i].len - k < VHD_SECTOR ?
			      sim.log[i].len - k : VHD_SECTOR;
			/* Of mode 2 nothing is left, of 3 about half. */
			if (sim.mode == 3 && sim_random() % 2)
				sim_restore(&sim.log[i], sim.log[i].new, k,
					    len);
		}
		free(sim.log[i].old);
		free(sim.log[i].new);
	}
	sim.nr = 0;
}

/* Images of 2 MB in blocks of 64 KB, with room for as many. */

#define EDIT_SIZE	(2U << 20)
#define EDIT_BLOCK	65536U
#define EDIT_SECTORS	(EDIT_SIZE / VHD_SECTOR)
#define EDIT_PER_BLOCK	(EDIT_BLOCK / VHD_SECTOR)

static char edit_dir[64];
static uint8_t edit_buf[2 * EDIT_SIZE];

static char edit_last[2048];

static void edit_message(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(edit_last, sizeof(edit_last), "%s", text);
	if (getenv("EDIT_DEBUG"))
		print_message("# %s\n", text);
}

static const struct vhd_ctx edit_ctx = {
	.message = edit_message,
	.parent_dirs = "/",
};

static const char *edit_path(const char *name)
{
	static char path[4][128];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", edit_dir, name);
	return path[next];
}

static int edit_setup(void **state)
{
	(void)state;
	snprintf(edit_dir, sizeof(edit_dir), "/dev/shm/vhd-edit-XXXXXX");
	return mkdtemp(edit_dir) ? 0 : -1;
}

static int edit_teardown(void **state)
{
	char cmd[128];

	(void)state;
	sim.on = false;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", edit_dir);
	return system(cmd);
}

static void edit_create(const char *name, const char *parent)
{
	struct vhd_create spec = {
		.path = edit_path(name),
		.size = EDIT_SIZE,
		.size_max = (uint64_t)EDIT_SIZE / EDIT_BLOCK * VHD_BLOCK_SIZE,
		.keep_empty = true,
	};
	uint8_t buf[VHD_HEADER_SIZE];
	struct vhd_footer footer;
	struct vhd_header header;
	int fd;

	if (parent)
		spec.parent = edit_path(parent);
	assert_int_equal(vhd_create(&edit_ctx, &spec), 0);
	fd = open(spec.path, O_RDWR);
	assert_int_equal(pread(fd, buf, VHD_FOOTER_SIZE, 0), VHD_FOOTER_SIZE);
	vhd_footer_parse(&edit_ctx, name, buf, 0, &footer);
	assert_int_equal(pread(fd, buf, sizeof(buf), 512), sizeof(buf));
	vhd_header_parse(&edit_ctx, name, buf, &footer, 0, &header);
	header.block_size = EDIT_BLOCK;
	vhd_header_build(&header, buf);
	assert_int_equal(pwrite(fd, buf, sizeof(buf), 512), sizeof(buf));
	close(fd);
}

/* Write @tag into those of @nr sectors whose number is a multiple of @step. */
static void edit_put(const char *name, uint32_t first, uint32_t nr,
		     uint32_t step, uint8_t tag)
{
	uint8_t have[VHD_CHUNK / 8] = { 0 };
	struct vhd_image *image;
	struct vhd_target *t;
	uint32_t i;

	assert_int_equal(vhd_open(&edit_ctx, edit_path(name), VHD_OPEN_RDWR,
				  &image), 0);
	t = vhd_target_new(image, false);
	assert_non_null(t);
	assert_int_equal(vhd_target_reserve(t, nr / EDIT_PER_BLOCK + 2), 0);
	memset(edit_buf, 0, VHD_BLOCK_SIZE);
	for (i = first; i < first + nr; i += step) {
		vhd_set_bit(have, i);
		memset(edit_buf + (size_t)i * VHD_SECTOR, tag, VHD_SECTOR);
	}
	assert_int_equal(vhd_target_put(t, 0, VHD_CHUNK, edit_buf, have), 0);
	assert_int_equal(vhd_target_end(t, 0), 0);
}

/* What a guest sees; zeros behind the end of a smaller disk. */
static void edit_read(const char *name, uint8_t *data)
{
	struct vhd_image *image;
	uint32_t nr;

	memset(data, 0, EDIT_SIZE);
	assert_int_equal(vhd_open(&edit_ctx, edit_path(name),
				  VHD_OPEN_PARENTS, &image), 0);
	nr = image->sectors < EDIT_SECTORS ? image->sectors : EDIT_SECTORS;
	assert_int_equal(vhd_read(image, 0, nr, data), 0);
	vhd_close(image);
}

static uint64_t edit_disk_size(const char *name)
{
	struct vhd_image *image;
	uint64_t size;

	assert_int_equal(vhd_open(&edit_ctx, edit_path(name), 0, &image), 0);
	size = image->size;
	vhd_close(image);
	return size;
}

static void edit_copy(const char *from, const char *to)
{
	static uint8_t buf[1 << 20];
	int in = open(edit_path(from), O_RDONLY);
	int out = open(edit_path(to), O_RDWR | O_CREAT | O_TRUNC, 0644);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, n), n);
	close(in);
	close(out);
}

static void edit_check(const char *name)
{
	assert_int_equal(vhd_check(&edit_ctx, edit_path(name), 0,
				   VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS,
				   NULL), 0);
}

/*
 * The same after an interruption. Map and checksum of a batmap cannot be
 * written at once: one that does not fit is not used.
 */
static void edit_check_state(const char *name)
{
	int ret;

	edit_last[0] = 0;
	ret = vhd_check(&edit_ctx, edit_path(name), VHD_OPEN_NO_FOOTER,
			VHD_CHECK_BITMAPS | VHD_CHECK_PARENTS, NULL);
	if (ret && !strstr(edit_last, "the batmap is not used"))
		fail_msg("%s: %d: %s", name, ret, edit_last);
}

/**
 * struct edit_case - something to be interrupted
 * @files: what it may change: NAME and what it is a copy of
 * @run: does it
 * @state: looks at what an interruption leaves; may finish or undo it
 * @end: looks at the end
 */
struct edit_case {
	const char *files[2][2];
	int (*run)(void);
	void (*state)(void);
	void (*end)(void);
};

static void edit_begin(const struct edit_case *c)
{
	int i;

	unlink(edit_path("j"));
	for (i = 0; i < 2 && c->files[i][0]; i++)
		edit_copy(c->files[i][1], c->files[i][0]);
}

/* All writes, all modes. Return: number of writes. */
static int edit_all(const struct edit_case *c)
{
	int mode, n, ret, writes = 0;
	bool dead = true;

	for (mode = 0; mode < SIM_MODES; mode++) {
		for (n = 0, dead = true; dead; n++) {
			edit_begin(c);
			sim_start(n, mode);
			ret = c->run();
			dead = sim.dead;
			sim_stop();
			if (dead) {
				/* What is left when the last write fails may
				 * be all of it.
				 */
				c->state();
				ret = c->run();
			}
			assert_int_equal(ret, 0);
			c->end();
			writes = n;
		}
	}
	return writes;
}

static uint8_t edit_want[EDIT_SIZE];	/* before */
static uint8_t edit_later[EDIT_SIZE];	/* after */

static void edit_same(const char *name, const uint8_t *want)
{
	edit_read(name, edit_buf);
	assert_memory_equal(edit_buf, want, EDIT_SIZE);
}

/* The files of most cases: a parent, and a child with a bit of everything. */
static void edit_images(void)
{
	edit_create("a0", NULL);
	edit_put("a0", 0, 3 * EDIT_PER_BLOCK, 1, 1);
	edit_put("a0", 9 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 1, 2);
	edit_copy("a0", "a.vhd");
	edit_create("b0", "a.vhd");
	/* Full, partial, over what the parent has and where it has nothing. */
	edit_put("b0", EDIT_PER_BLOCK, EDIT_PER_BLOCK, 1, 3);
	edit_put("b0", 2 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 3, 4);
	edit_put("b0", 20 * EDIT_PER_BLOCK, 2 * EDIT_PER_BLOCK, 2, 5);
	edit_copy("b0", "b.vhd");
	edit_read("b.vhd", edit_want);
}

#define EDIT_GROWN	(4096ULL * EDIT_BLOCK)

/* The step of it that writes the new metadata. */
#define EDIT_MIDDLE	12

static int edit_grow(void)
{
	return vhd_resize(&edit_ctx, edit_path("b.vhd"), EDIT_GROWN,
			  edit_path("j"), true);
}

static void edit_grow_state(void)
{
	uint64_t size;

	if (!access(edit_path("j"), F_OK))
		assert_int_equal(vhd_revert(&edit_ctx, edit_path("b.vhd"),
					    edit_path("j")), 0);
	assert_int_not_equal(access(edit_path("j"), F_OK), 0);
	edit_check("b.vhd");
	size = edit_disk_size("b.vhd");
	assert_true(size == EDIT_SIZE || size == EDIT_GROWN);
	edit_same("b.vhd", edit_want);
}

static void edit_grow_end(void)
{
	edit_check("b.vhd");
	assert_int_equal(edit_disk_size("b.vhd"), EDIT_GROWN);
	edit_same("b.vhd", edit_want);
}

static void test_grow(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b0" } }, edit_grow, edit_grow_state,
		edit_grow_end,
	};

	(void)state;
	edit_images();
	assert_in_range(edit_all(&c), 10, 100);
}

/* Interrupted, and undone only by the next resize. */
static void edit_grow_again(void)
{
}

static void test_grow_again(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b0" } }, edit_grow, edit_grow_again,
		edit_grow_end,
	};

	(void)state;
	edit_images();
	assert_in_range(edit_all(&c), 10, 100);
}

/* An undo that is interrupted itself, at each of its writes. */
static int edit_undo(void)
{
	if (access(edit_path("j"), F_OK))
		return 0;
	return vhd_revert(&edit_ctx, edit_path("b.vhd"), edit_path("j"));
}

static void edit_undo_state(void)
{
}

static void edit_undo_end(void)
{
	edit_check("b.vhd");
	assert_int_equal(edit_disk_size("b.vhd"), EDIT_SIZE);
	edit_same("b.vhd", edit_want);
}

static void test_undo(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b1" }, { "j", "j1" } }, edit_undo,
		edit_undo_state, edit_undo_end,
	};

	(void)state;
	edit_images();
	/* Stopped in the middle of the new metadata. */
	sim_start(EDIT_MIDDLE, 1);
	assert_int_not_equal(edit_grow(), 0);
	sim_stop();
	assert_int_equal(access(edit_path("j"), F_OK), 0);
	edit_copy("b.vhd", "b1");
	edit_copy("j", "j1");
	assert_in_range(edit_all(&c), 4, 20);
}

static int edit_shrink(void)
{
	return vhd_resize(&edit_ctx, edit_path("b.vhd"), 21 * EDIT_BLOCK,
			  edit_path("j"), true);
}

static void edit_shrink_state(void)
{
	if (!access(edit_path("j"), F_OK))
		assert_int_equal(vhd_revert(&edit_ctx, edit_path("b.vhd"),
					    edit_path("j")), 0);
	edit_check("b.vhd");
	edit_same("b.vhd", edit_disk_size("b.vhd") == EDIT_SIZE ? edit_want :
		  edit_later);
}

static void edit_shrink_end(void)
{
	edit_check("b.vhd");
	assert_int_equal(edit_disk_size("b.vhd"), 21 * EDIT_BLOCK);
	edit_same("b.vhd", edit_later);
}

static void test_shrink(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b0" } }, edit_shrink, edit_shrink_state,
		edit_shrink_end,
	};

	(void)state;
	edit_images();
	memcpy(edit_later, edit_want, 21 * EDIT_BLOCK);
	memset(edit_later + 21 * EDIT_BLOCK, 0, EDIT_SIZE - 21 * EDIT_BLOCK);
	edit_all(&c);
}

static int edit_fixed(void)
{
	return vhd_resize(&edit_ctx, edit_path("f.vhd"), 2 * EDIT_SIZE,
			  edit_path("j"), true);
}

static void edit_fixed_state(void)
{
	if (!access(edit_path("j"), F_OK))
		assert_int_equal(vhd_revert(&edit_ctx, edit_path("f.vhd"),
					    edit_path("j")), 0);
	edit_same("f.vhd", edit_want);
}

static void edit_fixed_end(void)
{
	struct vhd_image *image;

	edit_check("f.vhd");
	assert_int_equal(edit_disk_size("f.vhd"), 2 * EDIT_SIZE);
	edit_same("f.vhd", edit_want);
	assert_int_equal(vhd_open(&edit_ctx, edit_path("f.vhd"), 0, &image), 0);
	assert_int_equal(vhd_read(image, EDIT_SECTORS, EDIT_SECTORS, edit_buf),
			 0);
	assert_true(vhd_is_zero(edit_buf, EDIT_SIZE));
	vhd_close(image);
}

static void test_fixed(void **state)
{
	static const struct edit_case c = {
		{ { "f.vhd", "f0" } }, edit_fixed, edit_fixed_state,
		edit_fixed_end,
	};
	struct vhd_create spec = {
		.path = edit_path("f0"), .size = EDIT_SIZE, .fixed = true,
	};
	int fd;

	(void)state;
	assert_int_equal(vhd_create(&edit_ctx, &spec), 0);
	memset(edit_want, 7, EDIT_SIZE);
	fd = open(edit_path("f0"), O_RDWR);
	assert_int_equal(pwrite(fd, edit_want, EDIT_SIZE, 0), EDIT_SIZE);
	close(fd);
	edit_all(&c);
}

/* Another parent, with other data: one or the other, at any time. */
static int edit_reparent(void)
{
	return vhd_set_parent(&edit_ctx, edit_path("b.vhd"),
			      edit_path("long-name-of-another-parent.vhd"),
			      false);
}

static void edit_reparent_state(void)
{
	edit_check_state("b.vhd");
	edit_read("b.vhd", edit_buf);
	if (memcmp(edit_buf, edit_want, EDIT_SIZE))
		assert_memory_equal(edit_buf, edit_later, EDIT_SIZE);
}

static void edit_reparent_end(void)
{
	edit_check("b.vhd");
	edit_same("b.vhd", edit_later);
}

static void test_reparent(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b0" } }, edit_reparent, edit_reparent_state,
		edit_reparent_end,
	};

	(void)state;
	edit_images();
	edit_create("long-name-of-another-parent.vhd", NULL);
	edit_put("long-name-of-another-parent.vhd", 0, EDIT_SECTORS / 2, 1, 9);
	assert_int_equal(edit_reparent(), 0);
	edit_read("b.vhd", edit_later);
	assert_memory_not_equal(edit_later, edit_want, EDIT_SIZE);
	edit_all(&c);
}

static int edit_coalesce(void)
{
	struct vhd_coalesce spec = { .path = edit_path("c.vhd") };

	return vhd_coalesce(&edit_ctx, &spec, NULL);
}

/* The child as ever; of the parent each sector old or new. */
static void edit_coalesce_state(void)
{
	uint32_t i;

	edit_check_state("b.vhd");
	edit_same("c.vhd", edit_later);
	edit_read("b.vhd", edit_buf);
	for (i = 0; i < EDIT_SIZE; i += VHD_SECTOR)
		if (memcmp(edit_buf + i, edit_want + i, VHD_SECTOR))
			assert_memory_equal(edit_buf + i, edit_later + i,
					    VHD_SECTOR);
}

static void edit_coalesce_end(void)
{
	edit_check("b.vhd");
	edit_same("b.vhd", edit_later);
	edit_same("c.vhd", edit_later);
}

static void test_coalesce(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b0" } }, edit_coalesce, edit_coalesce_state,
		edit_coalesce_end,
	};

	(void)state;
	edit_images();
	edit_create("c.vhd", "b.vhd");
	/* Into b's full block, its partial ones, and new ones of both kinds. */
	edit_put("c.vhd", EDIT_PER_BLOCK + 5, 20, 1, 11);
	edit_put("c.vhd", 2 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 2, 12);
	edit_put("c.vhd", 20 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 1, 13);
	edit_put("c.vhd", 9 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 4, 14);
	edit_put("c.vhd", 30 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 1, 15);
	edit_read("c.vhd", edit_later);
	assert_in_range(edit_all(&c), 20, 300);
}

static void edit_hide_end(void)
{
	edit_check("b.vhd");
	edit_same("b.vhd", edit_want);
}

static int edit_compact(void)
{
	return vhd_compact(&edit_ctx, edit_path("b.vhd"), NULL, NULL);
}

static void edit_compact_state(void)
{
	edit_check_state("b.vhd");
	edit_same("b.vhd", edit_want);
}

static void edit_compact_end(void)
{
	struct vhd_image *image;

	edit_hide_end();
	assert_int_equal(vhd_open(&edit_ctx, edit_path("b.vhd"), 0, &image), 0);
	/* Nothing is left between the blocks that one would fit into. */
	assert_true(image->file_size < 6 * (EDIT_BLOCK + 4096) + 8192);
	vhd_close(image);
}

static void test_compact(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b1" } }, edit_compact, edit_compact_state,
		edit_compact_end,
	};

	(void)state;
	edit_images();
	/* Blocks that say what the parent says too, in front of others. */
	edit_create("b1", "a.vhd");
	edit_put("b1", 0, EDIT_PER_BLOCK, 1, 1);
	edit_put("b1", 9 * EDIT_PER_BLOCK, EDIT_PER_BLOCK, 1, 2);
	edit_put("b1", EDIT_PER_BLOCK, EDIT_PER_BLOCK, 1, 3);
	edit_put("b1", 20 * EDIT_PER_BLOCK, 4 * EDIT_PER_BLOCK, 2, 5);
	edit_copy("b1", "b.vhd");
	edit_read("b.vhd", edit_want);
	assert_in_range(edit_all(&c), 8, 100);
}

static int edit_fill(void)
{
	struct vhd_fill spec = { .path = edit_path("b.vhd") };

	return vhd_fill(&edit_ctx, &spec);
}

static void test_fill(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b1" } }, edit_fill, edit_compact_state, edit_hide_end,
	};

	(void)state;
	edit_images();
	edit_copy("b0", "b1");
	edit_put("b1", 12 * EDIT_PER_BLOCK, 20 * EDIT_PER_BLOCK, 1, 6);
	edit_copy("b1", "b.vhd");
	edit_read("b.vhd", edit_want);
	edit_all(&c);
}

static int edit_hide(void)
{
	int ret = vhd_set_hidden(&edit_ctx, edit_path("b.vhd"), 1);

	return ret ? ret : vhd_set_marker(&edit_ctx, edit_path("b.vhd"), 3);
}

/* Until both footers are written they differ; the old one counts. */
static void edit_hide_state(void)
{
	edit_same("b.vhd", edit_want);
}

static void test_hide(void **state)
{
	static const struct edit_case c = {
		{ { "b.vhd", "b0" } }, edit_hide, edit_hide_state,
		edit_hide_end,
	};

	(void)state;
	edit_images();
	edit_all(&c);
}

/*
 * Hostile images: one field of a good one changed, checksums made right again.
 * Whatever is done to them, nothing breaks; what succeeds leaves an image that
 * opens.
 */
static void edit_mutate(const char *name)
{
	static const uint64_t odd[] = {
		0, 1, 511, 512, 1536, 4096, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff, 1ULL << 40, UINT64_MAX,
	};
	/* Where a field is, and its size: header, locators, BAT, batmap. */
	static const struct {
		uint16_t off;
		uint8_t len;
	} field[] = {
		{ 528, 8 }, { 540, 4 }, { 544, 4 }, { 552, 8 }, { 576, 2 },
		{ 1088, 4 }, { 1092, 4 }, { 1096, 4 }, { 1104, 8 },
		{ 1112, 4 }, { 1120, 4 }, { 1128, 8 }, { 1144, 4 },
		{ 1536, 4 }, { 1540, 4 }, { 1544, 4 }, { 1660, 4 },
		{ 2048, 8 }, { 2056, 8 }, { 2064, 4 }, { 2068, 4 },
		{ 2072, 4 }, { 2560, 8 },
	};
	uint32_t i = sim_random() % (sizeof(field) / sizeof(field[0]));
	uint64_t v = sim_random() % 3 ? odd[sim_random() % 12] :
		     sim_random() % 4096;
	uint8_t buf[4096];
	uint32_t sum;
	int fd = open(edit_path(name), O_RDWR);
	int k;

	assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	for (k = field[i].len; k--; v >>= 8)
		buf[field[i].off + k] = v;
	sum = vhd_checksum(buf + 512, VHD_HEADER_SIZE, 36);
	for (k = 4; k--; sum >>= 8)
		buf[512 + 36 + k] = sum;
	assert_int_equal(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
	close(fd);
}

static int edit_any(uint32_t which)
{
	struct vhd_coalesce merge = { .path = edit_path("b.vhd") };
	struct vhd_fill fill = { .path = edit_path("b.vhd") };
	struct vhd_copy copy = { .from = edit_path("b.vhd"),
				 .to = edit_path("x.vhd") };

	switch (which) {
	case 0:
		return edit_grow();
	case 1:
		return edit_shrink();
	case 2:
		return vhd_coalesce(&edit_ctx, &merge, NULL);
	case 3:
		merge.path = edit_path("c.vhd");
		return vhd_coalesce(&edit_ctx, &merge, NULL);
	case 4:
		return vhd_compact(&edit_ctx, edit_path("b.vhd"), NULL, NULL);
	case 5:
		return vhd_fill(&edit_ctx, &fill);
	case 6:
		return vhd_copy(&edit_ctx, &copy);
	case 7:
		return vhd_set_parent(&edit_ctx, edit_path("b.vhd"),
				      edit_path("a.vhd"), false);
	case 8:
		return vhd_repair(&edit_ctx, edit_path("b.vhd"), true);
	case 9:
		return vhd_set_marker(&edit_ctx, edit_path("b.vhd"), 3);
	}
	return vhd_kill_data(&edit_ctx, edit_path("b.vhd"));
}

#define EDIT_ANY	11

static void test_hostile(void **state)
{
	struct vhd_image *image;
	uint32_t done[EDIT_ANY] = { 0 };
	uint32_t failed = 0;
	uint32_t i;

	(void)state;
	edit_images();
	edit_create("c.vhd", "b.vhd");
	edit_put("c.vhd", 0, 3 * EDIT_PER_BLOCK, 2, 11);
	/* In another folder: no second children of the images here. */
	assert_int_equal(mkdir(edit_path("k"), 0755), 0);
	edit_copy("a.vhd", "k/a");
	edit_copy("b.vhd", "k/b");
	edit_copy("c.vhd", "k/c");
	unlink(edit_path("b0"));
	for (i = 0; i < 770; i++) {
		edit_copy("k/a", "a.vhd");
		edit_copy("k/b", "b.vhd");
		edit_copy("k/c", "c.vhd");
		unlink(edit_path("x.vhd"));
		edit_mutate("b.vhd");
		/* An image with children does not lose data. */
		if (i % EDIT_ANY == 1 || i % EDIT_ANY == EDIT_ANY - 1)
			unlink(edit_path("c.vhd"));
		if (edit_any(i % EDIT_ANY)) {
			failed++;
			continue;
		}
		done[i % EDIT_ANY]++;
		assert_int_equal(vhd_open(&edit_ctx, edit_path("b.vhd"), 0,
					  &image), 0);
		vhd_close(image);
	}
	/* Both ways were gone, and no journal or half an image is left. */
	assert_in_range(failed, 100, 700);
	for (i = 0; i < EDIT_ANY; i++)
		assert_true(done[i] > 0);
	assert_int_not_equal(access(edit_path("j"), F_OK), 0);
	assert_int_not_equal(access(edit_path("x.vhd.part"), F_OK), 0);
}

/* A journal with any byte changed is refused, and the image left alone. */
static void test_hostile_journal(void **state)
{
	uint8_t byte;
	struct stat st;
	off_t at;
	int fd, ret;

	(void)state;
	edit_images();
	sim_start(EDIT_MIDDLE, 1);
	assert_int_not_equal(edit_grow(), 0);
	sim_stop();
	edit_copy("b.vhd", "b1");
	fd = open(edit_path("j"), O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	for (at = 0; at < st.st_size; at += at < 80 ? 1 : 97) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x41;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		ret = vhd_revert(&edit_ctx, edit_path("b.vhd"),
				 edit_path("j"));
		assert_int_equal(ret, -EINVAL);
		byte ^= 0x41;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
	/* That of another image, too. */
	edit_copy("a0", "a.vhd");
	assert_int_equal(vhd_revert(&edit_ctx, edit_path("a.vhd"),
				    edit_path("j")), -EINVAL);
	assert_int_equal(edit_undo(), 0);
	edit_undo_end();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, edit_setup, \
						   edit_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_grow),
		TEST(test_grow_again),
		TEST(test_undo),
		TEST(test_shrink),
		TEST(test_fixed),
		TEST(test_reparent),
		TEST(test_coalesce),
		TEST(test_compact),
		TEST(test_fill),
		TEST(test_hide),
		TEST(test_hostile),
		TEST(test_hostile_journal),
	};

	return cmocka_run_group_tests_name("vhd_edit", tests, NULL, NULL);
}
