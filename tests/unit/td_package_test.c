// SPDX-License-Identifier: GPL-2.0
/*
 * Packages make the user that tapdisk2 becomes. On Alpine, where nothing reads
 * the file for systemd-sysusers, the scripts of the package do; they are run
 * here with commands that only note how they were called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static char out[4096];

/* What a shell command prints; it must not fail. */
static const char *sh(const char *line)
{
	FILE *f = popen(line, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = 0;
	if (pclose(f))
		fail_msg("%s: %s", line, out);
	return out;
}

/* The fakes say how they were called, and fail as if the user were there. */
static void test_alpine_user(void **state)
{
	static const char *const when[] = { "pre-install", "pre-upgrade" };
	static const char run[] =
		"set -e; cd ../../alpine\n"
		". ./APKBUILD\n"
		"case \" $install \" in *\" $pkgname.%s \"*) ;; *) exit 1;; esac\n"
		"t=$(mktemp -d); trap 'rm -rf $t' EXIT\n"
		"printf '#!/bin/sh\\necho \"${0##*/} $*\"; exit 1\\n' >$t/adduser\n"
		"chmod +x $t/adduser; cp $t/adduser $t/addgroup\n"
		"PATH=$t:$PATH ./$pkgname.%s 1.0\n";
	static const char want[] =
		"addgroup -S tapdisk\n"
		"adduser -S -D -H -h / -s /sbin/nologin -G tapdisk -g Disks of Xen guests (tapdisk2) tapdisk\n";
	char line[1024];
	size_t i;

	(void)state;
	/* The same user, text and home as elsewhere. */
	assert_string_equal(sh("grep ^u ../../tools/etc/sysusers-tapdisk.conf"),
			    "u tapdisk - \"Disks of Xen guests (tapdisk2)\" / -\n");
	for (i = 0; i < 2; i++) {
		snprintf(line, sizeof(line), run, when[i], when[i]);
		assert_string_equal(sh(line), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alpine_user),
	};

	return cmocka_run_group_tests_name("td_package", tests, NULL, NULL);
}
