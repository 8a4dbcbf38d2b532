# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Policy fail: tapdisk dies, the guest gets errors at once, removal works.
# timeout: 1800
# kernels: 6.12

disk=vhd:/data/fail.vhd
must vhd-util create -n /data/fail.vhd -s 64
guest_config g1 type=pvh -- "$(tap_disk xvda $disk)"
guest_boot g1
guest_must g1 60 'dd if=/dev/zero of=/dev/xvda bs=64k count=16 oflag=direct 2>&1'
minor=$(tap_field $disk minor)
sys=/sys/class/blktap2/blktap$minor
echo 0 >"$sys/recovery_timeout"
guest_post g1 'while dd if=/dev/zero of=/dev/xvda bs=64k count=16 oflag=direct; do :; done; echo 1 >/tmp/e'
sleep 2
kill -9 "$(tap_field $disk pid)"
guest_wait g1 30 || fail "no error in the guest 30 s after the kill"
[ "$(cat "$sys/state")" = failed ] || fail "state is $(cat "$sys/state")"
out=$(guest_run g1 30 'dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct') &&
	fail "a read of a failed disk succeeds: $out"
[[ $out = *'Input/output error'* ]] || fail "a read of a failed disk says: $out"
must timeout $((120 * patience)) xl block-detach g1 xvda
taps_must_be_gone
guest_destroy g1
