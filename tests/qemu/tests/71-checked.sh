# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The driver and tapdisk2 at work on a kernel that checks locks and memory.
# timeout: 900
# kernels: debug

must modprobe blktap
must vhd-util create -n /data/a.vhd -s 128
must vhd-util snapshot -n /data/b.vhd -p /data/a.vhd
truncate -s 128M /data/c.img

verify()	# device name
{
	fio --name="$2" --filename="$1" --size=32m --bsrange=4k-128k --rw=randwrite \
		--verify=crc32c --direct=1 --ioengine=libaio --iodepth=16 --fsync=32 \
		--verify_state_save=0 --output-format=terse >/dev/null
}

step "verified I/O to three disks at once, their tapdisks killed"
devs=()
for d in vhd:/data/b.vhd aio:/data/c.img ram:64M; do
	devs+=("$(tap_create $d)")
done
jobs=()
for i in 0 1 2; do
	verify "${devs[i]}" job$i &
	jobs+=($!)
done
for i in 0 1 0 1; do
	sleep 1
	pid=$(cat /sys/class/blktap2/blktap$i/task)
	kill -9 "$pid"
	must tap-ctl recover -m $i
done
for i in "${jobs[@]}"; do
	wait "$i" || fail "a job failed"
done

step "discard, pause, snapshot, unpause"
must blkdiscard -o 1M -l 8M "${devs[0]}"
must blkdiscard -z -o 16M -l 4M "${devs[1]}"
pid=$(cat /sys/class/blktap2/blktap0/task)
verify "${devs[0]}" paused &
job=$!
must tap-ctl pause -p "$pid" -m 0
must vhd-util snapshot -n /data/d.vhd -p /data/b.vhd
must tap-ctl unpause -p "$pid" -m 0 -a vhd:/data/d.vhd
wait $job || fail "the job of the paused disk failed"

step "a disk whose tapdisk is gone for good"
kill -9 "$pid"
dd if="${devs[0]}" of=/dev/null bs=4k count=1 iflag=direct status=none &
job=$!
sleep 1
echo 0 >/sys/class/blktap2/blktap0/recovery_timeout
! wait $job || fail "a read of a dead disk succeeds"
must tap-ctl free -m 0
tap_destroy aio:/data/c.img
tap_destroy ram:64M
taps_must_be_gone

step "disks that come and go"
turn()
{
	local dev i
	for i in 1 2 3 4 5; do
		truncate -s 8M "/data/turn$1.img"
		dev=$(tap_create "aio:/data/turn$1.img")
		dd if=/dev/zero of="$dev" bs=64k count=16 oflag=direct status=none
		tap_destroy "aio:/data/turn$1.img"
	done
}
for i in 1 2 3; do
	turn $i &
	jobs[i]=$!
done
for i in 1 2 3; do
	wait "${jobs[i]}" || fail "a turn failed"
done
taps_must_be_gone

step "what the kernel found"
lockdep=$(awk '/debug_locks:/ { print $2 }' /proc/lockdep_stats)
[ "$lockdep" = 1 ] || fail "lockdep has switched itself off"
must modprobe -r blktap2
echo scan >/sys/kernel/debug/kmemleak
sleep 6
echo scan >/sys/kernel/debug/kmemleak
! grep -A 20 -E 'comm "(tap|blktap|modprobe|dd|fio)' /sys/kernel/debug/kmemleak ||
	fail "memory was leaked"
