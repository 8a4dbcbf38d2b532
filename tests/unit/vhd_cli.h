/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of vhd-util share: run it in a folder, look at its output. */
#ifndef VHD_CLI_H
#define VHD_CLI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

extern char vcli_dir[64];
extern char vcli_out[16384];

int vcli_init(void);
int vcli_setup(void **state);
int vcli_teardown(void **state);
/* Run "vhd-util ARGS", or, after a '!', a shell command; $UTIL is vhd-util. */
int vcli_run(const char *args);
/* It must exit so and print just that; %s in @out is the folder. */
void vcli_is(const char *args, int status, const char *out);
/* It must exit so and print that among other things. */
void vcli_says(const char *args, int status, const char *what);

#endif /* VHD_CLI_H */
