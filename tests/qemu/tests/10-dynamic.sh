# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian guest lives on a dynamic VHD of another program, by stock block-tap.
# timeout: 900
# kernels: 6.1

disk=vhd:/data/dynamic.vhd
# Each combination of kernel and type has its turn in one of these tests.
case $(uname -r) in
6.1.*)	set -- type=pv kernel=6.1 ;;
*)	set -- type=pvh kernel=6.12 ;;
esac
guest_config g1 "$@" root=/dev/xvda systemd=1 -- "$(tap_disk xvda $disk)"
guest_boot g1 300
guest_first_life g1
guest_reboot g1
guest_second_life g1
guest_shutdown g1
taps_must_be_gone
image_must_be_clean vpc $disk
