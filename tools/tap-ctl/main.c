// SPDX-License-Identifier: GPL-2.0
#include "tap_ctl.h"
#include "td_stdio.h"

int main(int argc, char **argv)
{
	td_stdio_open();
	return tap_ctl_main(&tap_env_default, argc, argv);
}
