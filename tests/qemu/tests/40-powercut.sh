# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The power goes during synced writes, 3 times (--long: 20): what was confirmed is there.
# timeout: 1200
# kernels: 6.1

# Each round: check what the last cut left, write on, have the power cut.
# What was confirmed is known to the host, which outlives the cut.
cuts=3
[ -z "${note_long:-}" ] || cuts=20
disks="dynamic:vhd:/data/cut-dynamic.vhd child:vhd:/data/cut-child.vhd
	raw:aio:/data/cut-raw.img"

fresh()
{
	rm -f /data/cut-*
	must vhd-util create -n /data/cut-dynamic.vhd -s 1024
	must vhd-util create -n /data/cut-parent.vhd -s 1024
	must vhd-util snapshot -n /data/cut-child.vhd -p /data/cut-parent.vhd
	truncate -s 1G /data/cut-raw.img
	sync
}

check()
{
	local d name dev last
	for d in $disks; do
		name=${d%%:*} d=${d#*:}
		last=note_$name
		[ "${d%%:*}" != vhd ] || must vhd-util check -n "${d#*:}"
		dev=$(tap_create "$d")
		found=$(/opt/pvio/bin/powercut check "$dev" "${!last:-0}") ||
			fail "round $ROUND, $name: what was confirmed is lost"
		echo "round $ROUND: $name confirmed ${!last:-0}, found $found"
		tap_destroy "$d"
	done
}

must modprobe blktap
[ "$ROUND" -eq 0 ] || check
if [ "$ROUND" -ge $cuts ]; then
	[ "${note_dynamic:-0}" -gt 100 ] || fail "hardly anything was written"
	exit 0
fi
# Now and then from the beginning: young images allocate most.
if [ $((ROUND % 5)) -eq 0 ]; then
	fresh
	note_dynamic=0 note_child=0 note_raw=0
	for d in dynamic child raw; do
		bed_note $d 0
	done
fi

# One after the other: libxl gives all scripts of a guest 40 s at its start.
guest_config g1 type=pv -- "$(tap_disk xvda vhd:/data/cut-dynamic.vhd)"
guest_boot g1
must timeout $((120 * patience)) xl block-attach g1 "$(tap_disk xvdb vhd:/data/cut-child.vhd)"
must timeout $((120 * patience)) xl block-attach g1 "$(tap_disk xvdc aio:/data/cut-raw.img)"
guest_post g1 "w=/run/pvio/powercut
	until [ -b /dev/xvdb ] && [ -b /dev/xvdc ]; do sleep 0.1; done
	\$w write /dev/xvda dynamic $((${note_dynamic:-0} + 1)) >/dev/hvc0 &
	\$w write /dev/xvdb child $((${note_child:-0} + 1)) >/dev/hvc0 &
	\$w write /dev/xvdc raw $((${note_raw:-0} + 1)) >/dev/hvc0 & wait"
log=/var/log/xen/console/guest-g1.log
bed_cut 2000 9000
tail -n 0 -F $log 2>/dev/null | sed -u -n 's/\r//; s/^cut: \([a-z]*\) \([0-9]*\)$/note \1 \2/p' >&3
