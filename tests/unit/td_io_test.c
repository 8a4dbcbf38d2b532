// SPDX-License-Identifier: GPL-2.0
/* struct td_io: what io_uring may answer besides success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_clock.h"
#include "loop.h"

#define SIZE	(64 * 1024)

static char data[SIZE] __attribute__((aligned(4096)));
static char seen[SIZE] __attribute__((aligned(4096)));
static int file = -1;
static int io_error;

/* Answers for the next results of I/O. */
static int answers[8];
static unsigned int nr_answers;
static unsigned int answered;

static int answer(const struct td_io *io, int res)
{
	(void)io;
	if (answered == nr_answers)
		return res;
	return answers[answered++];
}

static void io_done(struct td_io *io, int error)
{
	(void)io;
	io_error = error;
	td_loop_stop();
}

static int run(enum td_io_op op, void *buf, size_t len)
{
	struct td_io io = {
		.op = op, .fd = file, .buf = buf, .len = len, .done = io_done,
	};

	io_error = 1;
	answered = 0;
	td_io_submit(&io);
	assert_int_equal(io_error, 1);
	assert_int_equal(td_loop_run(), 0);
	assert_int_equal(answered, nr_answers);
	nr_answers = 0;
	return io_error;
}

static void then(int res)
{
	answers[nr_answers++] = res;
}

static int setup(void **state)
{
	size_t i;

	(void)state;
	fake_clock_init();
	fake_clock.result = answer;
	nr_answers = 0;
	assert_int_equal(td_loop_init(), 0);
	file = memfd_create("td_io", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file, SIZE), 0);
	for (i = 0; i < SIZE; i++)
		data[i] = (char)(i / 512 + i);
	memset(seen, 0, sizeof(seen));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake_clock.in_flight, 0);
	close(file);
	td_loop_exit();
	return 0;
}

static void assert_written(void)
{
	assert_int_equal(pread(file, seen, SIZE, 0), SIZE);
	assert_memory_equal(seen, data, SIZE);
}

/* The rest of a short write is written, wherever it ends. */
static void test_short_write(void **state)
{
	static const char zeros[SIZE];

	(void)state;
	then(4096);
	then(512);
	then(1);
	assert_int_equal(run(TD_IO_WRITE, data, SIZE), 0);
	assert_int_equal(fake_clock.ios[TD_IO_WRITE], 4);
	assert_written();
	/* What the kernel did not say to have written may not be there. */
	then(SIZE - 512);
	then(-ENOSPC);
	assert_int_equal(run(TD_IO_WRITE, (void *)zeros, SIZE), -ENOSPC);
	/* Nothing at all, without an error, is no progress. */
	then(0);
	assert_int_equal(run(TD_IO_WRITE, data, SIZE), -EIO);
	then(512);
	then(-EIO);
	assert_int_equal(run(TD_IO_WRITE, data, SIZE), -EIO);
}

/* A short read goes on; behind the end of the file there are zeros. */
static void test_short_read(void **state)
{
	(void)state;
	assert_int_equal(pwrite(file, data, SIZE, 0), SIZE);
	then(512);
	then(1024);
	assert_int_equal(run(TD_IO_READ, seen, SIZE), 0);
	assert_int_equal(fake_clock.ios[TD_IO_READ], 3);
	assert_memory_equal(seen, data, SIZE);
	assert_int_equal(ftruncate(file, SIZE / 2 + 10), 0);
	memset(seen, 1, sizeof(seen));
	memset(data + SIZE / 2 + 10, 0, SIZE / 2 - 10);
	assert_int_equal(run(TD_IO_READ, seen, SIZE), 0);
	assert_memory_equal(seen, data, SIZE);
}

/* An interruption is no error, of whatever operation. */
static void test_interrupted(void **state)
{
	unsigned int op;

	(void)state;
	/* A memory file has no ZERO_RANGE. */
	for (op = TD_IO_READ; op < TD_IO_ZERO; op++) {
		assert_int_equal(pwrite(file, data, SIZE, 0), SIZE);
		then(-EINTR);
		then(-EAGAIN);
		then(-EINTR);
		assert_int_equal(run(op, op == TD_IO_READ ? seen : data, SIZE),
				 0);
		assert_int_equal(fake_clock.ios[op], 4);
	}
	/* In the middle of it. */
	fake_clock_init();
	fake_clock.result = answer;
	td_loop_exit();
	assert_int_equal(td_loop_init(), 0);
	then(8192);
	then(-EAGAIN);
	then(-EINTR);
	assert_int_equal(run(TD_IO_WRITE, data, SIZE), 0);
	assert_int_equal(fake_clock.ios[TD_IO_WRITE], 4);
	assert_written();
}

/* All other errors are what they are, and told once. */
static void test_errors(void **state)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT, -EBADF };
	unsigned int op, i;

	(void)state;
	for (op = TD_IO_READ; op <= TD_IO_ZERO; op++) {
		for (i = 0; i < 4; i++) {
			then(errors[i]);
			assert_int_equal(run(op, seen, SIZE), errors[i]);
		}
		assert_int_equal(fake_clock.ios[op], 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_short_write),
		TEST(test_short_read),
		TEST(test_interrupted),
		TEST(test_errors),
	};

	return cmocka_run_group_tests_name("td_io", tests, NULL, NULL);
}
