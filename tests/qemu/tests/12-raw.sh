# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A Debian guest lives on a raw file.
# timeout: 1800
# long: yes
# kernels: 6.12

guest_lives_on raw aio:/data/raw.img type=pvh kernel=6.1
