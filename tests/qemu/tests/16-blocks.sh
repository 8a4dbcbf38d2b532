# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A guest on a chain of VHDs each of which has 2,100 allocated blocks.
# timeout: 600
# kernels: 6.12

blocks=2100
for i in 0 1 2; do
	if [ $i -eq 0 ]; then
		must vhd-util create -n /data/blocks0.vhd -s $((blocks * 2))
	else
		must vhd-util snapshot -n /data/blocks$i.vhd -p /data/blocks$((i - 1)).vhd
	fi
	must /opt/pvio/bin/blocks fill /data/blocks$i.vhd $i $blocks
	must vhd-util check -n /data/blocks$i.vhd
	[ "$(kib_used /data/blocks$i.vhd)" -lt 40000 ] ||
		fail "blocks$i.vhd is not sparse: $(kib_used /data/blocks$i.vhd) KiB"
done
parents()
{
	stat -c '%n: %s bytes, %b blocks, written at %y' /data/blocks[01].vhd
}
before=$(parents)

disk=vhd:/data/blocks2.vhd
guest_config g1 type=pv -- "$(tap_disk xvda "$disk")"
guest_boot g1
step "guest g1: reads from all layers, writes, reads that"
guest_must g1 60 "blocks check /dev/xvda 3 0 4 $((blocks / 4))"
guest_must g1 60 'blocks write /dev/xvda 3 1 8 200 && blocks check /dev/xvda 4 1 8 200'

step "statistics, pause, another tapdisk"
pid=$(tap_field "$disk" pid)
minor=$(tap_field "$disk" minor)
must tap-ctl stats -p "$pid" -m "$minor" >/dev/null
must tap-ctl pause -p "$pid" -m "$minor"
must tap-ctl unpause -p "$pid" -m "$minor"
guest_must g1 60 'blocks write /dev/xvda 3 5 8 100'
kill -9 "$pid"
must tap-ctl recover -m "$minor"
[ "$(tap_field "$disk" pid)" != "$pid" ] || fail "tapdisk2 was not killed"
guest_must g1 60 'blocks check /dev/xvda 4 1 8 200 && blocks check /dev/xvda 4 5 8 100 &&
	blocks check /dev/xvda 3 3 8 200'
guest_shutdown g1
taps_must_be_gone
[ "$(vhd-util query -n /data/blocks2.vhd -a)" -eq $blocks ] ||
	fail "blocks2.vhd has $(vhd-util query -n /data/blocks2.vhd -a) blocks"
[ "$(parents)" = "$before" ] || fail "a parent changed: $before, now $(parents)"
for i in 0 1 2; do
	must vhd-util check -n /data/blocks$i.vhd
	rm /data/blocks$i.vhd
done
