// SPDX-License-Identifier: GPL-2.0
#include "tap_ctl.h"

int main(int argc, char **argv)
{
	return tap_ctl_main(&tap_env_default, argc, argv);
}
