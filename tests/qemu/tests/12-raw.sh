# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian guest lives on a raw file.
# timeout: 900
# kernels: long

disk=aio:/data/raw.img
guest_config g1 type=pvh kernel=6.1 root=/dev/xvda systemd=1 -- "$(tap_disk xvda $disk)"
guest_boot g1 300
guest_first_life g1
guest_reboot g1
guest_second_life g1
guest_shutdown g1
taps_must_be_gone
image_must_be_clean raw $disk
