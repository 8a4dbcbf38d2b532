# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian guest lives on a fixed VHD.
# timeout: 1800
# kernels: 6.1

guest_lives_on vpc vhd:/data/fixed.vhd type=pv kernel=6.12
