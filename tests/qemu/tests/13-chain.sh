# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two guests at once on two children of one parent, which stays as it is.
# timeout: 1800
# kernels: 6.12

must vhd-util snapshot -n /data/child1.vhd -p /data/parent.vhd
must vhd-util snapshot -n /data/child2.vhd -p /data/parent.vhd
before=$(sha256sum </data/parent.vhd)
for i in 1 2; do
	guest_config g$i type=pv root=/dev/xvda systemd=1 -- \
		"$(tap_disk xvda vhd:/data/child$i.vhd)"
	must timeout $((120 * patience)) xl create "$state/g$i.cfg"
done
for i in 1 2; do
	guest_await g$i 400 state 'ready *' || fail "guest g$i does not boot"
	guest_must g$i 60 "echo I am g$i >/root/name && sync"
done
guest_first_life g1
guest_must g2 30 '[ ! -e /root/verify.dat ] && grep -q g2 /root/name'
if [ -n "${note_long:-}" ]; then
	guest_reboot g1
	guest_second_life g1
	guest_must g1 30 'grep -q g1 /root/name'
fi
guest_shutdown g1
guest_shutdown g2
taps_must_be_gone
[ "$(sha256sum </data/parent.vhd)" = "$before" ] || fail "the parent changed"
image_must_be_clean child vhd:/data/child1.vhd
image_must_be_clean child vhd:/data/child2.vhd
image_must_be_clean vpc vhd:/data/parent.vhd
