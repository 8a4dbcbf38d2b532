# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Dom0 runs on Xen and its toolstack answers.

must xl list
xl info | grep -E '^(xen_version|virt_caps|release)'
xl info | grep -q '^virt_caps.*pv hvm hap' || fail "no PVH guests on this Xen"
mountpoint -q /data || fail "/data is not mounted"
