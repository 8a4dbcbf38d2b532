# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian guest lives on a fixed VHD.
# timeout: 900
# kernels: 6.1

disk=vhd:/data/fixed.vhd
guest_config g1 type=pv kernel=6.12 root=/dev/xvda systemd=1 -- "$(tap_disk xvda $disk)"
guest_boot g1 300
guest_first_life g1
guest_reboot g1
guest_second_life g1
guest_shutdown g1
taps_must_be_gone
image_must_be_clean vpc $disk
