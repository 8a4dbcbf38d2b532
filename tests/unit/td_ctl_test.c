// SPDX-License-Identifier: GPL-2.0
/* The control protocol: layout and client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "td_ctl_client.h"

static void td_ctl_recv_short(void **state)
{
	struct td_ctl_msg msg;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	memset(&msg, 0xff, sizeof(msg));
	assert_int_equal(write(sv[1], &msg, 543), 543);
	assert_int_equal(td_ctl_recv(sv[0], &msg, 50), -ETIMEDOUT);
	close(sv[1]);
	assert_int_equal(td_ctl_recv(sv[0], &msg, 50), -ECONNRESET);
	close(sv[0]);
}

static void td_ctl_recv_ends_texts(void **state)
{
	struct td_ctl_msg msg;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	memset(&msg, 'x', sizeof(msg));
	msg.type = TD_CTL_LIST_RSP;
	assert_int_equal(td_ctl_send(sv[1], &msg, 50), 0);
	assert_int_equal(td_ctl_recv(sv[0], &msg, 50), 0);
	assert_int_equal(strlen(msg.u.list.path), TD_CTL_PATH_MAX - 1);
	msg.type = TD_CTL_ERROR;
	memset(&msg.u, 'x', sizeof(msg.u));
	assert_int_equal(td_ctl_send(sv[1], &msg, 50), 0);
	assert_int_equal(td_ctl_recv(sv[0], &msg, 50), 0);
	assert_int_equal(strlen(msg.u.response.message), TD_CTL_PATH_MAX - 1);
	close(sv[0]);
	close(sv[1]);
}

static void td_ctl_connect_errors(void **state)
{
	char path[200];

	(void)state;
	assert_int_equal(td_ctl_connect_path("/nonexistent/ctl1", 50),
			 -ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(td_ctl_connect_path(path, 50), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(td_ctl_recv_short),
		cmocka_unit_test(td_ctl_recv_ends_texts),
		cmocka_unit_test(td_ctl_connect_errors),
	};

	return cmocka_run_group_tests_name("td_ctl", tests, NULL, NULL);
}
