# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Tapdisk killed under verified I/O, a new one takes over: no error, no loss.
# timeout: 1800
# kernels: 6.12

disk=vhd:/data/kill.vhd
must vhd-util create -n /data/kill.vhd -s 256
# The rule that make install has put there is what brings the new tapdisk.
/lib/systemd/systemd-udevd --daemon 3>&-
trap 'pkill -x systemd-udevd || :' EXIT

guest_config g1 type=pv -- "$(tap_disk xvda $disk)"
guest_boot g1
guest_post g1 'fio --name=k --filename=/dev/xvda --size=128m --bsrange=4k-128k \
	--rw=randwrite --verify=crc32c --direct=1 --ioengine=libaio --iodepth=16 \
	--fsync=64 --loops=2 --verify_state_save=0 --output-format=terse 2>&1 >/tmp/out; s=$?; cut -d";" -f5 /tmp/out; exit $s'
running()
{
	[ "$(cat /sys/class/blktap2/blktap0/state)" = running ] &&
		[ "$(cat /sys/class/blktap2/blktap0/task)" != "$1" ]
}
kills=0
while ! guest_answered g1 "$guest_seq" && [ $kills -lt 8 ]; do
	sleep "$((RANDOM % 3)).$((RANDOM % 10))"
	pid=$(cat /sys/class/blktap2/blktap0/task)
	kill -9 "$pid"
	kills=$((kills + 1))
	wait_for 60 running "$pid" || fail "kill $kills: no new tapdisk after 60 s"
done
echo "killed $kills tapdisks"
[ $kills -ge 3 ] || fail "the guest's I/O ended after $kills kills; too few to show anything"
guest_wait g1 300 || fail "the guest saw an error (status $?)"
guest_must g1 200 'fio --name=k --filename=/dev/xvda --size=128m --bsrange=4k-128k \
	--rw=randwrite --verify=crc32c --direct=1 --ioengine=libaio --iodepth=16 \
	--loops=2 --verify_only --verify_state_save=0 --output-format=terse >/dev/null'
guest_shutdown g1
taps_must_be_gone
must vhd-util check -n /data/kill.vhd
