# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# xl block-attach and -detach 10 times (--long: 50) under load leave nothing behind.
# timeout: 3600
# kernels: 6.12

turns=10
[ -z "${note_long:-}" ] || turns=50
must vhd-util create -n /data/load.vhd -s 128
must vhd-util create -n /data/hot.vhd -s 64
guest_config g1 type=pv -- "$(tap_disk xvda vhd:/data/load.vhd)"
guest_boot g1
guest_must g1 90 'setsid fio --name=l --filename=/dev/xvda --size=32m --bs=16k \
	--rw=randwrite --verify=crc32c --direct=1 --ioengine=libaio --iodepth=4 \
	--rate_iops=60 --loops=1000 --output-format=terse >/tmp/load.out 2>&1 & echo $! >/tmp/load.pid'

server=$(tap_field vhd:/data/load.vhd pid)
fds()	{ find "/proc/$server/fd" | wc -l; }
hot_gone() { [ "$(tap_minors)" -eq 1 ] && [ "$(pgrep -cx tapdisk2)" -eq 1 ]; }
nodes()	{ find /dev/xen/blktap-2 | wc -l; }

for i in $(seq $turns); do
	must timeout $((120 * patience)) xl block-attach g1 "$(tap_disk xvdb vhd:/data/hot.vhd)" >/dev/null
	if [ $((i % 10)) -eq 1 ]; then
		wait_for 60 guest_run g1 60 '[ -b /dev/xvdb ]' || fail "turn $i: no xvdb in the guest"
		guest_must g1 120 "dd if=/dev/zero of=/dev/xvdb bs=64k count=16 oflag=direct 2>&1"
	fi
	must timeout $((120 * patience)) xl block-detach g1 xvdb >/dev/null
	wait_for 60 hot_gone || fail "turn $i: $(tap-ctl list | tr '\n' ';')"
	case $i in
	5)	fds5=$(fds) nodes5=$(nodes) free5=$(free_kib) ;;
	esac
done
[ "$(fds)" -le "$fds5" ] || fail "tapdisk's descriptors: $fds5 after 5 turns, $(fds) after $turns"
[ "$(nodes)" -eq "$nodes5" ] || fail "nodes: $nodes5 after 5 turns, $(nodes) after $turns"
free=$(free_kib)
echo "free memory: $free5 KiB after 5 turns, $free after $turns"
# One tap's requests and pages are some MiB; what else varies is 2 MiB.
[ $((free5 - free)) -lt 6144 ] || fail "memory lost: $((free5 - free)) KiB"

guest_must g1 90 'kill -0 $(cat /tmp/load.pid)'
guest_must g1 200 'kill -INT $(cat /tmp/load.pid); while kill -0 $(cat /tmp/load.pid) 2>/dev/null; do sleep 0.2; done; cat /tmp/load.out; ! grep -i "verify.*bad\|error=" /tmp/load.out'
guest_destroy g1
taps_must_be_gone
must modprobe -r blktap2
