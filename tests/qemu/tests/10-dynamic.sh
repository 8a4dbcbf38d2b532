# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian guest lives on a dynamic VHD of another program, by stock block-tap.
# timeout: 1800

# Each combination of kernel and type has its turn in one of these tests.
case $(uname -r) in
6.1.*)	reboots=yes
	set -- type=pv kernel=6.1 ;;
*)	set -- type=pvh kernel=6.12 ;;
esac
guest_lives_on vpc vhd:/data/dynamic.vhd "$@"
