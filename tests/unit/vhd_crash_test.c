// SPDX-License-Identifier: GPL-2.0
/*
 * The VHD driver killed at random points under load: nothing is lost that was
 * completed, and the image is sound. For loss of power see vhd_cut_test.c.
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
 * Most of what can go wrong goes wrong while blocks are being allocated, so
 * many images are begun. Each child starts from the same parent.
 */
#define TEST_BEGIN	25

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
	vt_parent("a.vhd", 3 << 20);
	test_kill_many("a.vhd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, vt_setup_mem, \
						   vt_teardown)
		TEST(test_kill),
	};

	return cmocka_run_group_tests_name("vhd_crash", tests, NULL, NULL);
}
