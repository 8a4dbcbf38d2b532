// SPDX-License-Identifier: GPL-2.0
/* A second image beside the first, and a parent that is another tap's disk. */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_clock.h"
#include "fake_ring.h"
#include "libvhd/vhd.h"
#include "td_file.h"
#include "td_log.h"
#include "vbd.h"

#define MINOR	3
#define SECTORS	8192

static char dir[] = "/tmp/td_second.XXXXXX";
static int op_error;

/* What fails: transfers of @op on the file of this name. */
static struct {
	char path[128];
	unsigned int op;
	int error;
	unsigned int left;
	unsigned int after;
	unsigned int asked;
} bad;

static const char *in_dir(const char *name)
{
	static char paths[64][128];
	static unsigned int i;
	char *path = paths[i++ % 64];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static const char *image_name(const char *type, const char *file)
{
	static char names[64][160];
	static unsigned int i;
	char *name = names[i++ % 64];

	snprintf(name, sizeof(names[0]), "%s:%s/%s", type, dir, file);
	return name;
}

static int fail_file(int fd, unsigned int op)
{
	struct stat a, b;

	if (!bad.path[0] || op != bad.op || stat(bad.path, &a) ||
	    fstat(fd, &b) || a.st_ino != b.st_ino)
		return 0;
	bad.asked++;
	if (bad.after) {
		bad.after--;
		return 0;
	}
	if (!bad.left)
		return 0;
	bad.left--;
	return bad.error;
}

static void break_file(const char *name, unsigned int op, int error,
		       unsigned int times)
{
	memset(&bad, 0, sizeof(bad));
	strcpy(bad.path, in_dir(name));
	bad.op = op;
	bad.error = error;
	bad.left = times;
}

static void op_done(void *arg, int error)
{
	(void)arg;
	op_error = error;
	td_loop_stop();
}

static int op_wait(void)
{
	int64_t end = td_now() + 20000;

	while (op_error == 1 && td_now() < end)
		fake_run_for(20);
	return op_error;
}

static struct td_vbd *vbd(void)
{
	return td_vbd_find(MINOR);
}

static int op_pause(void)
{
	op_error = 1;
	td_vbd_pause(vbd(), op_done, NULL);
	return op_wait();
}

static int op_close(void)
{
	op_error = 1;
	td_vbd_close(vbd(), 0, false, op_done, NULL);
	return op_wait();
}

static void make_raw(const char *name, uint64_t sectors, int fill)
{
	static char buf[SECTORS * 512];
	int fd = open(in_dir(name), O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sectors * 512), 0);
	memset(buf, fill, sizeof(buf));
	if (fill)
		assert_int_equal(pwrite(fd, buf, sectors * 512, 0),
				 sectors * 512);
	close(fd);
}

static void vhd_message(void *opaque, const char *text)
{
	(void)opaque;
	printf("# %s\n", text);
}

static void make_vhd(const char *name, const char *parent, bool raw)
{
	const struct vhd_ctx ctx = {
		.message = vhd_message, .parent_dirs = dir,
	};
	struct vhd_create spec = {
		.path = in_dir(name),
		.size = parent ? 0 : SECTORS * 512,
		.parent = parent ? in_dir(parent) : NULL,
		.parent_raw = raw,
		.keep_empty = true,
	};

	assert_int_equal(vhd_create(&ctx, &spec), 0);
}

static int open_with(const char *name, unsigned int flags, const char *second,
		     unsigned int open_flags)
{
	struct td_vbd_more more = { .flags = flags };

	if (second)
		strcpy(more.second, second);
	td_log_error_clear();
	return td_vbd_open(vbd(), name, open_flags, 0, &more);
}

static void open_mirror(void)
{
	make_raw("one", SECTORS, 0);
	make_raw("two", SECTORS, 0);
	assert_int_equal(open_with(image_name("aio", "one"), TD_CTL_SECONDARY,
				   image_name("aio", "two"), 0), 0);
}

static void refused(const char *name, unsigned int flags, const char *second,
		    unsigned int open_flags, int error, const char *message)
{
	assert_int_equal(open_with(name, flags, second, open_flags), error);
	if (!strstr(td_log_error(), message))
		fail_msg("message \"%s\" without \"%s\"", td_log_error(),
			 message);
	assert_int_equal(vbd()->state, TD_CTL_CLOSED);
}

static void fill(char *buf, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = (seed = seed * 1103515245 + 12345) >> 16;
}

static bool same(const char *name, uint64_t sector, const void *data,
		 size_t len)
{
	char *buf = malloc(len);
	int fd = open(in_dir(name), O_RDONLY);
	bool ret;

	ret = pread(fd, buf, len, sector * 512) == (ssize_t)len &&
	      !memcmp(buf, data, len);
	close(fd);
	free(buf);
	return ret;
}

static bool same_files(const char *a, const char *b)
{
	char command[400];

	snprintf(command, sizeof(command), "cmp -s %s %s", in_dir(a),
		 in_dir(b));
	return !system(command);
}

/* What the statistics say of a failed mirror and of redirected requests. */
static void assert_stats(int failed, unsigned int redirects)
{
	char want[120];
	char *text = td_vbd_stats(vbd());

	snprintf(want, sizeof(want),
		 "\"FIXME_enospc_redirect_count\": %u, \"nbd_mirror_failed\": %d }",
		 redirects, failed);
	if (!strstr(text, want))
		fail_msg("\"%s\" without \"%s\"", text, want);
	free(text);
}

static int setup(void **state)
{
	(void)state;
	memset(&bad, 0, sizeof(bad));
	fake_clock_init();
	fake_init();
	fake.fail = fail_file;
	assert_int_equal(td_loop_init(), 0);
	assert_int_equal(td_vbd_attach(MINOR), 0);
	td_log_error_clear();
	return 0;
}

static int teardown(void **state)
{
	char command[200];

	(void)state;
	if (vbd()->created)
		op_close();
	op_error = 1;
	td_vbd_detach(vbd(), op_done, NULL);
	op_wait();
	assert_null(td_vbds);
	assert_int_equal(fake.transfers, 0);
	assert_null(strstr(td_log_error(), "fake:"));
	td_loop_exit();
	snprintf(command, sizeof(command), "rm -rf %s/*; mkdir %s/a %s/b", dir,
		 dir, dir);
	return system(command);
}

static void test_mirror(void **state)
{
	static char buf[300 * 512], back[300 * 512];

	(void)state;
	open_mirror();
	fill(buf, sizeof(buf), 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 100, 300, buf), 0);
	assert_int_equal(fake.nr_maps, 2);
	assert_int_equal(fake.nr_dsync, 0);
	assert_true(same("one", 100, buf, sizeof(buf)));
	assert_true(same("two", 100, buf, sizeof(buf)));
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, BLKTAP_REQ_FUA, 8, 8, buf),
			 0);
	assert_int_equal(fake.nr_dsync, 2);
	assert_int_equal(fake_io(BLKTAP_OP_TRIM, 0, 104, 16, NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE_ZEROES, 0, 201, 3, NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
	memset(buf + 101 * 512, 0, 3 * 512);
	memset(buf + 4 * 512, 0, 16 * 512);
	assert_true(same("one", 100, buf, sizeof(buf)));
	assert_true(same_files("one", "two"));
	/* Reads are the first's alone. */
	break_file("two", BLKTAP_OP_READ, -EIO, 1);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 100, 300, back), 0);
	assert_memory_equal(buf, back, sizeof(buf));
	assert_int_equal(bad.asked, 0);
	assert_stats(0, 0);
	assert_int_equal(vbd()->stats.reqs_in, vbd()->stats.reqs_out);
	assert_int_equal(vbd()->stats.second_secs, 308);
	/* It is there again after a pause. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 0, 8, buf), 0);
	assert_true(same("two", 0, buf, 8 * 512));
	/* With a new image it is not. */
	assert_int_equal(op_pause(), 0);
	make_raw("three", SECTORS, 0);
	assert_int_equal(td_vbd_resume(vbd(), image_name("aio", "three"), 0,
				       NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 0, 8, back), 0);
	assert_true(same("two", 0, buf, 8 * 512));
}

/* Requests of all kinds and many at once, on VHDs. */
static void test_mirror_load(void **state)
{
	static char model[SECTORS * 512], buf[FAKE_DEPTH][96 * 512];
	unsigned int round, i, at, nr, tags[FAKE_DEPTH];

	(void)state;
	memset(model, 0, sizeof(model));
	make_vhd("a.vhd", NULL, false);
	make_raw("two", SECTORS, 0);
	assert_int_equal(open_with(image_name("vhd", "a.vhd"),
				   TD_CTL_SECONDARY, image_name("aio", "two"),
				   0), 0);
	for (round = 0; round < 20; round++) {
		fake.delay_ms = round % 2;
		for (i = 0; i < FAKE_DEPTH; i++) {
			at = i * 256 + rand() % 128;
			nr = 1 + rand() % 96;
			if (rand() % 4 == 0) {
				memset(model + at * 512, 0, nr * 512);
				tags[i] = fake_start(BLKTAP_OP_WRITE_ZEROES, 0,
						     at, nr, NULL);
				continue;
			}
			fill(buf[i], nr * 512, rand());
			memcpy(model + at * 512, buf[i], nr * 512);
			tags[i] = fake_start(BLKTAP_OP_WRITE, rand() % 2, at,
					     nr, buf[i]);
		}
		assert_true(fake_run(20000));
		for (i = 0; i < FAKE_DEPTH; i++)
			assert_int_equal(fake_result(tags[i]), 0);
	}
	assert_true(same("two", 0, model, sizeof(model)));
	for (i = 0; i < SECTORS; i += 96) {
		nr = SECTORS - i < 96 ? SECTORS - i : 96;
		assert_int_equal(fake_io(BLKTAP_OP_READ, 0, i, nr, buf[0]), 0);
		assert_memory_equal(buf[0], model + i * 512, nr * 512);
	}
	assert_stats(0, 0);
}

/* Which of two that overlap comes last must be the same for both images. */
static void test_mirror_overlap(void **state)
{
	static char buf[4][8 * 512], back[8 * 512];
	unsigned int i, tags[4];

	(void)state;
	open_mirror();
	fake.delay_ms = 400;
	for (i = 0; i < 4; i++) {
		memset(buf[i], 'a' + i, sizeof(buf[i]));
		tags[i] = fake_start(BLKTAP_OP_WRITE, 0, i == 3 ? 100 : 4 * i,
				     8, buf[i]);
	}
	/* Three that are apart; then the one between two of them. */
	fake_run_for(25);
	assert_int_equal(fake.transfers, 3);
	assert_true(fake_run(5000));
	for (i = 0; i < 4; i++)
		assert_int_equal(fake_result(tags[i]), 0);
	assert_true(same_files("one", "two"));
	fake.delay_ms = 0;
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 8, 8, back), 0);
	assert_memory_equal(back, buf[1], 4 * 512);
	assert_memory_equal(back + 4 * 512, buf[2], 4 * 512);
	/* A pause waits for those that wait. */
	fake.delay_ms = 400;
	for (i = 0; i < 3; i++)
		tags[i] = fake_start(BLKTAP_OP_WRITE, 0, 4 * i, 8, buf[3 - i]);
	fake_run_for(10);
	assert_int_equal(op_pause(), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(fake_result(tags[i]), 0);
	assert_true(same_files("one", "two"));
}

static void test_mirror_fails(void **state)
{
	static char old[16 * 512], buf[16 * 512];
	unsigned int i, tags[4];
	struct td_vbd_more more = { .flags = TD_CTL_SECONDARY };

	(void)state;
	open_mirror();
	fill(buf, sizeof(buf), 7);
	break_file("two", BLKTAP_OP_WRITE, -EIO, 2);
	for (i = 0; i < 4; i++)
		tags[i] = fake_start(BLKTAP_OP_WRITE, 0, i * 16, 16, buf);
	assert_true(fake_run(5000));
	for (i = 0; i < 4; i++)
		assert_int_equal(fake_result(tags[i]), 0);
	assert_stats(1, 0);
	assert_non_null(strstr(td_log_error(), "two: Input/output error"));
	assert_int_equal(access(in_dir("tap3.nomirror"), F_OK), 0);
	/* The guest does not see it, and the mirror nothing more. */
	bad.asked = 0;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 200, 16, buf), 0);
	assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
	assert_int_equal(bad.asked, 0);
	assert_true(same("one", 200, buf, sizeof(buf)));
	assert_true(same("two", 200, old, sizeof(old)));
	/* Nor is it used again after a pause. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	assert_null(vbd()->second.drv);
	assert_stats(1, 0);
	/* When it is full there is nowhere to go. */
	break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 208, 8, buf), 0);
	assert_stats(1, 0);
	assert_true(same("one", 208, buf, 8 * 512));
	/* Unless somebody says that it is good. */
	assert_int_equal(op_pause(), 0);
	strcpy(more.second, image_name("aio", "two"));
	assert_int_equal(td_vbd_resume(vbd(), "", 0, &more), 0);
	assert_stats(0, 0);
	assert_int_not_equal(access(in_dir("tap3.nomirror"), F_OK), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 500, 16, buf), 0);
	assert_true(same("two", 500, buf, sizeof(buf)));
}

/* What it cannot do without a transfer fails in the same way. */
static void test_mirror_sealed(void **state)
{
	static const unsigned int ops[] = {
		BLKTAP_OP_TRIM, BLKTAP_OP_WRITE_ZEROES,
	};
	char name[64];
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		make_raw("one", SECTORS, 'x');
		fd = memfd_create("two", MFD_ALLOW_SEALING);
		assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
		snprintf(name, sizeof(name), "aio:/proc/self/fd/%d", fd);
		assert_int_equal(open_with(image_name("aio", "one"),
					   TD_CTL_SECONDARY, name, 0), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
		assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
		assert_stats(0, 0);
		assert_int_equal(fake_io(ops[i], 0, 8, 8, NULL), 0);
		assert_stats(1, 0);
		assert_int_equal(op_close(), 0);
		close(fd);
	}
}

/* TRIM is advice, a mirror need not take it; WRITE_ZEROES is not. */
static void test_mirror_no_discard(void **state)
{
	char zeros[8 * 512] = "", fives[8 * 512];

	(void)state;
	make_raw("one", SECTORS, 5);
	assert_int_equal(open_with(image_name("aio", "one"), TD_CTL_SECONDARY,
				   "ram:4M", 0), 0);
	assert_true(fake.info.flags & BLKTAP_DEVICE_TRIM);
	assert_false(fake.info.flags & BLKTAP_DEVICE_WRITE_ZEROES);
	assert_int_equal(fake_io(BLKTAP_OP_TRIM, 0, 8, 8, NULL), 0);
	assert_true(same("one", 8, zeros, sizeof(zeros)));
	assert_stats(0, 0);
	assert_int_equal(op_close(), 0);

	open_mirror();
	assert_true(fake.info.flags & BLKTAP_DEVICE_WRITE_ZEROES);
	memset(fives, 5, sizeof(fives));
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 8, 8, fives), 0);
	assert_int_equal(fake_io(BLKTAP_OP_TRIM, 0, 8, 8, NULL), 0);
	assert_true(same("two", 8, zeros, sizeof(zeros)));
}

static void test_first_fails(void **state)
{
	char buf[512] = "x", none[512] = "";

	(void)state;
	open_mirror();
	break_file("one", BLKTAP_OP_WRITE, -EILSEQ, 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 3, 1, buf), -EILSEQ);
	assert_true(same("two", 3, none, 512));
	assert_stats(0, 0);
	break_file("one", BLKTAP_OP_READ, -EILSEQ, 1);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 3, 1, buf), -EILSEQ);
	/* What passes by itself is tried again, on both. */
	break_file("one", BLKTAP_OP_WRITE, -EAGAIN, 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 3, 1, buf), 0);
	assert_true(same("one", 3, buf, 512));
	assert_true(same("two", 3, buf, 512));
	assert_stats(0, 0);
}

static void test_mirror_refused(void **state)
{
	const char *one = image_name("aio", "one");
	int fd;

	(void)state;
	make_raw("one", SECTORS, 0);
	make_raw("two", SECTORS + 1, 0);
	refused(one, TD_CTL_SECONDARY, image_name("aio", "two"), 0, -EINVAL,
		"two has 8193 sectors, sector size 512; must have 8192, 512");
	refused(one, TD_CTL_SECONDARY, image_name("aio", "none"), 0, -ENOENT,
		"none: ");
	refused(one, TD_CTL_SECONDARY, "what:x", 0, -EINVAL, "what:x: must be");
	make_raw("two", SECTORS, 0);
	refused(one, TD_CTL_SECONDARY, image_name("aio", "two"),
		TD_OPEN_RDONLY, -EINVAL, "read-only");
	/* Not itself, by another name. */
	refused(one, TD_CTL_SECONDARY, image_name("aio", "./one"), 0, -EBUSY,
		"one is in use");
	fd = open(in_dir("two"), O_RDWR);
	assert_int_equal(td_file_lock(fd, true, "two"), 0);
	refused(one, TD_CTL_SECONDARY, image_name("aio", "two"), 0, -EBUSY,
		"two is in use");
	close(fd);
	refused(one, TD_CTL_STANDBY, NULL, 0, -EINVAL, "needs SECONDARY");
	/* A mirror that has failed is one without a name. */
	assert_int_equal(open_with(one, TD_CTL_SECONDARY, "", 0), 0);
	assert_stats(1, 0);
}

static void test_mirror_full(void **state)
{
	static char buf[FAKE_DEPTH][16 * 512], back[16 * 512];
	unsigned int i, round, tags[FAKE_DEPTH];
	char two[160];

	(void)state;
	strcpy(two, image_name("aio", "two"));
	for (round = 0; round < 4; round++) {
		open_mirror();
		fake.delay_ms = round % 2 ? 20 : 0;
		break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1000);
		bad.after = round * 7;
		for (i = 0; i < FAKE_DEPTH; i++) {
			fill(buf[i], sizeof(buf[i]), round * 100 + i);
			tags[i] = fake_start(BLKTAP_OP_WRITE, 0, i * 16, 16,
					     buf[i]);
		}
		assert_true(fake_run(5000));
		for (i = 0; i < FAKE_DEPTH; i++)
			assert_int_equal(fake_result(tags[i]), 0);
		assert_true(same("two", 0, buf, sizeof(buf)));
		assert_stats(0, FAKE_DEPTH - round * 7);
		assert_string_equal(vbd()->name, two);
		assert_string_equal(fake.name, two);
		/* All is where the mirror was, and only there. */
		break_file("one", BLKTAP_OP_READ, -EIO, 1000);
		assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 16, 16, back), 0);
		assert_memory_equal(back, buf[1], sizeof(back));
		assert_int_equal(bad.asked, 0);
		/* It is an image as any other. */
		break_file("two", BLKTAP_OP_WRITE, -ENOSPC, 1);
		assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 1, 1, buf[0]), 0);
		assert_int_equal(op_pause(), 0);
		assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
		assert_int_equal(op_close(), 0);
		/* A tapdisk that takes over gets both names, now the same. */
		assert_int_equal(open_with(two, TD_CTL_SECONDARY, two, 0), 0);
		assert_stats(0, 0);
		assert_null(vbd()->second.drv);
		assert_int_equal(op_close(), 0);
	}
}

/* The mirror cannot take the place: as if there were none. */
static void test_mirror_full_stays(void **state)
{
	char buf[512] = "x", none[512] = "";
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		open_mirror();
		fake.names_left = i ? 0 : -1;
		if (!i)
			rename(in_dir("two"), in_dir("gone"));
		break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1);
		assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 3, 1, buf), 0);
		assert_true(same("one", 3, buf, 512));
		assert_true(same(i ? "two" : "gone", 3, none, 512));
		assert_string_equal(vbd()->name, image_name("aio", "one"));
		assert_string_equal(fake.name, vbd()->name);
		assert_int_equal(vbd()->state, 0);
		assert_stats(1, 1);
		/* It is not tried a second time. */
		break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1);
		assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 3, 1, buf), 0);
		assert_stats(1, 1);
		fake.names_left = -1;
		assert_int_equal(op_close(), 0);
	}
}

static void standby_check(const char *first, const char *second, int error,
			  const char *message)
{
	refused(first, TD_CTL_SECONDARY | TD_CTL_STANDBY, second, 0, error,
		message);
}

static void test_standby_refused(void **state)
{
	const char *one = image_name("vhd", "a/one.vhd");
	int fd;

	(void)state;
	make_vhd("a/one.vhd", NULL, false);
	make_vhd("b/s.vhd", "a/one.vhd", false);
	make_vhd("a/other.vhd", NULL, false);
	make_vhd("b/o.vhd", "a/other.vhd", false);
	make_raw("a/raw", SECTORS, 0);
	make_vhd("b/r.vhd", "a/raw", true);
	standby_check(one, image_name("aio", "a/raw"), -EINVAL,
		      "must be a VHD (vhd:PATH) whose parent that is");
	standby_check("null:4M", image_name("vhd", "b/s.vhd"), -EINVAL,
		      "must be a VHD (vhd:PATH) whose parent that is");
	standby_check(one, image_name("vhd", "b/o.vhd"), -EINVAL,
		      "its parent is");
	standby_check(one, image_name("vhd", "a/other.vhd"), -EINVAL,
		      "its parent is none");
	standby_check(one, image_name("vhd", "b/none"), -ENOENT, "b/none");
	standby_check(image_name("vhd", "a/raw"), image_name("vhd", "b/r.vhd"),
		      -EINVAL, "must be a VHD whose parent that is");
	standby_check(image_name("vhd", "a/none"), image_name("vhd", "b/s.vhd"),
		      -ENOENT, "a/none");
	standby_check(one, "", -EINVAL, "the name of the standby is missing");
	refused(one, TD_CTL_SECONDARY | TD_CTL_STANDBY | TD_CTL_REUSE_PRT,
		image_name("vhd", "b/s.vhd"), 0, -EINVAL, "parents of tap 0");
	refused(one, TD_CTL_SECONDARY | TD_CTL_STANDBY,
		image_name("vhd", "b/s.vhd"), TD_OPEN_RDONLY, -EINVAL,
		"read-only");
	fd = open(in_dir("b/s.vhd"), O_RDWR);
	assert_int_equal(td_file_lock(fd, false, "s"), 0);
	standby_check(one, image_name("vhd", "b/s.vhd"), -EBUSY, "in use");
	close(fd);
	/* It is locked while it waits. */
	assert_int_equal(open_with(one, TD_CTL_SECONDARY | TD_CTL_STANDBY,
				   image_name("vhd", "b/s.vhd"), 0), 0);
	fd = open(in_dir("b/s.vhd"), O_RDWR);
	assert_int_equal(td_file_lock(fd, false, "s"), -EBUSY);
	close(fd);
}

/* The one that is full, by type: a VHD or a raw image. */
static void standby_full(const char *type, const char *file)
{
	static char buf[FAKE_DEPTH][16 * 512], back[16 * 512];
	unsigned int i, tags[FAKE_DEPTH];
	const char *one, *two;

	one = image_name(type, file);
	two = image_name("vhd", "b/s.vhd");
	assert_int_equal(open_with(one, TD_CTL_SECONDARY | TD_CTL_STANDBY, two,
				   0), 0);
	memset(buf, 'o', sizeof(buf));
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 16, 48, buf), 0);
	assert_stats(0, 0);
	/* What is in memory only must be in the image it is in. */
	break_file(file, BLKTAP_OP_WRITE, -ENOSPC, 1000);
	bad.after = 2;
	fake.delay_ms = 10;
	for (i = 0; i < FAKE_DEPTH; i++) {
		fill(buf[i], sizeof(buf[i]), i);
		tags[i] = i % 2 ? fake_start(BLKTAP_OP_WRITE, 0,
					     1024 + i * 16, 16, buf[i]) :
				  fake_start(BLKTAP_OP_FLUSH, 0, 0, 0, NULL);
	}
	assert_true(fake_run(10000));
	for (i = 0; i < FAKE_DEPTH; i++)
		assert_int_equal(fake_result(tags[i]), 0);
	fake.delay_ms = 0;
	assert_stats(0, FAKE_DEPTH / 2 - 2);
	assert_string_equal(td_second_image(vbd()), two);
	assert_string_equal(vbd()->name, one);
	assert_string_equal(fake.name, one);
	/* Now the first is a parent, and does not change any more. */
	i = open(in_dir(file), O_RDWR);
	assert_int_equal(td_file_lock(i, true, "one"), -EBUSY);
	assert_int_equal(td_file_lock(i, false, "one"), 0);
	close(i);
	bad.asked = 0;
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 20, 4, buf[7]), 0);
	assert_int_equal(fake_io(BLKTAP_OP_FLUSH, 0, 0, 0, NULL), 0);
	assert_int_equal(bad.asked, 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 16, 8, back), 0);
	assert_memory_equal(back + 4 * 512, buf[7], 4 * 512);
	assert_int_equal(back[0], 'o');
	/* It stays the leaf, whoever opens the two. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	assert_string_equal(td_second_image(vbd()), two);
	assert_int_equal(op_close(), 0);
	assert_int_equal(open_with(one, TD_CTL_SECONDARY | TD_CTL_STANDBY, two,
				   0), 0);
	assert_stats(0, 0);
	for (i = 1; i < FAKE_DEPTH; i += 2) {
		assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 1024 + i * 16, 16,
					 back), 0);
		assert_memory_equal(back, buf[i], sizeof(back));
	}
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 24, 4, buf[8]), 0);
	assert_int_equal(bad.asked, 0);
	/* If it is full too, nothing else is left but to wait. */
	break_file("b/s.vhd", BLKTAP_OP_WRITE, -ENOSPC, 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 28, 4, buf[8]), 0);
	assert_int_equal(bad.left, 0);
	assert_stats(0, 0);
}

static void test_standby_vhd(void **state)
{
	(void)state;
	make_vhd("a/base.vhd", NULL, false);
	make_vhd("a/one.vhd", "a/base.vhd", false);
	make_vhd("b/s.vhd", "a/one.vhd", false);
	standby_full("vhd", "a/one.vhd");
}

static void test_standby_raw(void **state)
{
	(void)state;
	make_raw("a/raw", SECTORS, 0);
	make_vhd("b/s.vhd", "a/raw", true);
	standby_full("aio", "a/raw");
}

static void test_standby_stays(void **state)
{
	char buf[512] = "x", back[512];

	(void)state;
	make_vhd("a/one.vhd", NULL, false);
	make_vhd("b/s.vhd", "a/one.vhd", false);
	assert_int_equal(open_with(image_name("vhd", "a/one.vhd"),
				   TD_CTL_SECONDARY | TD_CTL_STANDBY,
				   image_name("vhd", "b/s.vhd"), 0), 0);
	rename(in_dir("b/s.vhd"), in_dir("b/gone"));
	break_file("a/one.vhd", BLKTAP_OP_WRITE, -ENOSPC, 2);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 5, 1, buf), 0);
	assert_string_equal(td_second_image(vbd()), vbd()->name);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 5, 1, back), 0);
	assert_memory_equal(buf, back, 512);
	assert_int_equal(vbd()->state, 0);
	/* It has failed, but it is no mirror. */
	assert_stats(0, 1);
}

/* A pause that goes on, or comes, is in nobody's way. */
static void test_full_and_paused(void **state)
{
	char buf[3][512] = { "x", "y", "z" };
	unsigned int i, tags[3];

	(void)state;
	open_mirror();
	fake.delay_ms = 400;
	break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1000);
	tags[0] = fake_start(BLKTAP_OP_WRITE, 0, 0, 1, buf[0]);
	fake_run_for(20);
	/* The request fails while the pause waits for it. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(fake_result(tags[0]), -EINPROGRESS);
	assert_string_equal(vbd()->name, image_name("aio", "one"));
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	/* The change of images is under way when somebody wants a pause. */
	tags[1] = fake_start(BLKTAP_OP_WRITE, 0, 1, 1, buf[1]);
	fake_run_for(30);
	tags[2] = fake_start(BLKTAP_OP_WRITE, 0, 2, 1, buf[2]);
	for (i = 0; i < 100 && !vbd()->redirecting; i++)
		fake_run_for(5);
	assert_true(vbd()->redirecting);
	assert_int_equal(op_pause(), -EBUSY);
	assert_true(fake_run(10000));
	for (i = 0; i < 3; i++)
		assert_int_equal(fake_result(tags[i]), 0);
	assert_true(same("two", 0, buf, sizeof(buf)));
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
}

static struct td_driver broken;
static int (*good_close)(void *priv);

static int broken_close(void *priv)
{
	good_close(priv);
	return -EIO;
}

static void break_close(const struct td_driver **drv)
{
	broken = **drv;
	good_close = broken.close;
	broken.close = broken_close;
	*drv = &broken;
}

/* What could not be made durable is lost to the standby, not to the mirror. */
static void test_close_fails(void **state)
{
	char buf[512] = "x";
	unsigned int tag;

	(void)state;
	make_vhd("a/one.vhd", NULL, false);
	make_vhd("b/s.vhd", "a/one.vhd", false);
	assert_int_equal(open_with(image_name("vhd", "a/one.vhd"),
				   TD_CTL_SECONDARY | TD_CTL_STANDBY,
				   image_name("vhd", "b/s.vhd"), 0), 0);
	break_close(&vbd()->drv);
	break_file("a/one.vhd", BLKTAP_OP_WRITE, -ENOSPC, 1);
	tag = fake_start(BLKTAP_OP_WRITE, 0, 5, 1, buf);
	fake_run_for(1500);
	assert_int_equal(fake_result(tag), -EINPROGRESS);
	assert_int_equal(vbd()->state, TD_CTL_PAUSED | TD_CTL_RESUME_FAILED);
	/* It is for somebody else to say that it may go on. */
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	assert_true(fake_run(5000));
	assert_int_equal(fake_result(tag), 0);
	assert_int_equal(op_close(), 0);

	open_mirror();
	break_close(&vbd()->drv);
	break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 5, 1, buf), 0);
	assert_string_equal(vbd()->name, image_name("aio", "two"));
	assert_int_equal(op_close(), 0);

	/* A mirror that is not durable is none. */
	open_mirror();
	break_close(&vbd()->second.drv);
	break_file("one", BLKTAP_OP_WRITE, -ENOSPC, 1);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 5, 1, buf), 0);
	assert_string_equal(vbd()->name, image_name("aio", "one"));
	assert_stats(1, 1);
}

static int open_parent(const char *name, unsigned int parent)
{
	struct td_vbd_more more = {
		.flags = TD_CTL_REUSE_PRT, .parent = parent,
	};

	td_log_error_clear();
	return td_vbd_open(vbd(), name, 0, 0, &more);
}

static void test_parent(void **state)
{
	const char *child = image_name("vhd", "a/child.vhd");
	char buf[512] = "child", back[1024];

	(void)state;
	make_vhd("a/base.vhd", NULL, false);
	make_vhd("a/child.vhd", "a/base.vhd", false);
	/* The parent itself is not opened: it need not even be there. */
	unlink(in_dir("a/base.vhd"));
	make_raw("tapdev7", SECTORS, 'p');
	make_raw("tapdev8", SECTORS - 8, 'p');
	assert_int_equal(open_parent(child, 7), 0);
	assert_int_equal(fake_io(BLKTAP_OP_WRITE, 0, 10, 1, buf), 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 10, 2, back), 0);
	assert_memory_equal(back, buf, 512);
	assert_int_equal(back[512], 'p');
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	assert_int_equal(fake_io(BLKTAP_OP_READ, 0, 10, 2, back), 0);
	assert_int_equal(back[512], 'p');
	/* A new image has its own parents. */
	assert_int_equal(op_pause(), 0);
	assert_int_equal(td_vbd_resume(vbd(), child, 0, NULL), -ENOENT);
	assert_int_equal(td_vbd_resume(vbd(), "", 0, NULL), 0);
	assert_int_equal(op_close(), 0);

	assert_int_equal(open_parent(child, 8), -EINVAL);
	assert_non_null(strstr(td_log_error(), "tapdev8: 8184 sectors"));
	assert_int_equal(open_parent(child, 9), -ENOENT);
	assert_non_null(strstr(td_log_error(), "tapdev9"));
	assert_int_equal(open_parent(child, MINOR), -EINVAL);
	assert_non_null(strstr(td_log_error(), "of another tapdisk"));
	make_vhd("a/base.vhd", NULL, false);
	assert_int_equal(open_parent(image_name("vhd", "a/base.vhd"), 7),
			 -EINVAL);
	assert_non_null(strstr(td_log_error(), "has no parent"));
	assert_int_equal(open_parent(image_name("aio", "tapdev8"), 7),
			 -EINVAL);
	assert_non_null(strstr(td_log_error(), "must be vhd:PATH"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_mirror),
		TEST(test_mirror_load),
		TEST(test_mirror_overlap),
		TEST(test_mirror_fails),
		TEST(test_mirror_sealed),
		TEST(test_mirror_no_discard),
		TEST(test_first_fails),
		TEST(test_mirror_refused),
		TEST(test_mirror_full),
		TEST(test_mirror_full_stays),
		TEST(test_standby_refused),
		TEST(test_standby_vhd),
		TEST(test_standby_raw),
		TEST(test_standby_stays),
		TEST(test_full_and_paused),
		TEST(test_close_fails),
		TEST(test_parent),
	};
	char command[64];
	int failed;

	if (!mkdtemp(dir))
		return 1;
	mkdir(in_dir("a"), 0700);
	mkdir(in_dir("b"), 0700);
	td_run_dir = dir;
	td_dev_dir = dir;
	failed = cmocka_run_group_tests_name("td_second", tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 1 : failed;
}
