// SPDX-License-Identifier: GPL-2.0
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vhd_cli.h"

char vcli_dir[64];
char vcli_out[16384];
static char vcli_util[PATH_MAX + 32];

int vcli_setup(void **state)
{
	(void)state;
	snprintf(vcli_dir, sizeof(vcli_dir), "/dev/shm/vhd-util-XXXXXX");
	return mkdtemp(vcli_dir) ? 0 : -1;
}

int vcli_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", vcli_dir);
	return system(cmd);
}

/* Run "vhd-util ARGS", or, after a '!', a shell command; $UTIL is vhd-util. */
int vcli_run(const char *args)
{
	char cmd[3 * PATH_MAX];
	FILE *f;
	size_t n;

	setenv("UTIL", vcli_util, 1);
	snprintf(cmd, sizeof(cmd), "cd %s && { %s %s; } 2>&1", vcli_dir,
		 *args == '!' ? "" : vcli_util, args + (*args == '!'));
	f = popen(cmd, "r");
	assert_non_null(f);
	n = fread(vcli_out, 1, sizeof(vcli_out) - 1, f);
	vcli_out[n] = 0;
	return WEXITSTATUS(pclose(f));
}

/* It must exit so and print just that; %s in @out is the folder. */
void vcli_is(const char *args, int status, const char *out)
{
	char want[4096];
	int ret = vcli_run(args);

	snprintf(want, sizeof(want), out, vcli_dir, vcli_dir);
	if (ret != status || strcmp(vcli_out, want))
		fail_msg("%s: exit %d, output:\n%swant exit %d:\n%s", args,
			 ret, vcli_out, status, want);
}

/* It must exit so and print that among other things. */
void vcli_says(const char *args, int status, const char *what)
{
	int ret = vcli_run(args);

	if (ret != status || !strstr(vcli_out, what))
		fail_msg("%s: exit %d, output:\n%swant exit %d and \"%s\"",
			 args, ret, vcli_out, status, what);
}

int vcli_init(void)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return -1;
	self[len] = 0;
	/* BUILD/unit/NAME -> BUILD/vhd-util */
	snprintf(vcli_util, sizeof(vcli_util), "%s/../vhd-util",
		 dirname(self));
	return 0;
}
