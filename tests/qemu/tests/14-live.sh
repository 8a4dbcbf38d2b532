# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Snapshots and coalesce under verified I/O of a guest, killed half way too.
# timeout: 1800
# kernels: 6.12

leaf=/data/live.vhd
must vhd-util create -n /data/live-root.vhd -s 128
must vhd-util snapshot -n $leaf -p /data/live-root.vhd -e
guest_config g1 type=pv -- "$(tap_disk xvda vhd:$leaf)"
guest_boot g1

# Without a file system, so that each round reads what the one before wrote.
load='--name=l --filename=/dev/xvda --size=16m --bsrange=4k-64k --rw=randwrite
	--verify=crc32c --direct=1 --ioengine=libaio --iodepth=8 --fsync=32
	--verify_state_save=0 --output-format=terse'
load=${load//$'\n'/ }
guest_must g1 30 "cat >/tmp/load <<-END
	while [ ! -e /tmp/stop ]; do
		fio $load --do_verify=1 >/tmp/load.out 2>&1 || exit 1
		echo >>/tmp/rounds
	done
	touch /tmp/end
	END
	setsid sh /tmp/load </dev/null >/dev/null 2>&1 & echo \$! >/tmp/load.pid"

rounds()	# at least so many more
{
	guest_must g1 300 "n=\$((\$(cat /tmp/rounds 2>/dev/null | wc -l) + $1)); i=0
		until [ \$(cat /tmp/rounds 2>/dev/null | wc -l) -ge \$n ]; do
		i=\$((i + 1)); [ \$i -lt 1400 ] && kill -0 \$(cat /tmp/load.pid) || { cat /tmp/load.out; exit 1; }; sleep 0.2; done"
}

tap()	# COMMAND OPTION...
{
	tap-ctl "$1" -p "$(cat /sys/class/blktap2/blktap0/task)" -m 0 "${@:2}"
}

# As it is told to do by the manual, but the disk keeps its name.
snapshot()	# NAME: what the leaf was gets it
{
	local t=${EPOCHREALTIME/./}
	must tap pause
	must mv $leaf "/data/$1"
	must vhd-util snapshot -n $leaf -p "/data/$1" -e
	must tap unpause
	echo "snapshot: a pause of $(((${EPOCHREALTIME/./} - t) / 1000)) ms"
}

depth()
{
	vhd-util query -n $leaf -d | tr -dc 0-9
}

depth_must_be()
{
	[ "$(depth)" -eq "$1" ] || fail "the chain has $(depth) images, must have $1"
}

# Killed at some moment, and once more; then done.
kill_and_finish()	# OPTION...
{
	local pid i
	for i in 1 2 3; do
		tap coalesce "$@" -r 2 >/dev/null 2>&1 &
		pid=$!
		nap "$((RANDOM % 4)).$((RANDOM % 10))"
		# The shell that runs the function, and what it runs.
		pkill -9 -P $pid || :
		kill -9 $pid 2>/dev/null || :
		wait $pid || :
		echo "killed $i: state $(tap-ctl list -m 0)"
	done
	must tap coalesce "$@"
}

rounds 1
step "snapshot under I/O"
snapshot live-a.vhd
rounds 1
snapshot live-b.vhd
rounds 1
depth_must_be 4

step "an image in the middle"
must tap coalesce -i /data/live-a.vhd -d
depth_must_be 3
[ ! -e /data/live-a.vhd ] || fail "live-a.vhd was not deleted"
rounds 1

step "the leaf"
must tap coalesce
depth_must_be 2
rounds 1

step "killed half way"
snapshot live-c.vhd
rounds 1
snapshot live-d.vhd
rounds 1
kill_and_finish -i /data/live-c.vhd -d
depth_must_be 3
rounds 1
kill_and_finish
depth_must_be 2
rounds 1

# It ends after a whole round.
guest_must g1 300 'touch /tmp/stop; i=0; while kill -0 $(cat /tmp/load.pid) 2>/dev/null; do
	i=$((i + 1)); [ $i -lt 1400 ] || break; sleep 0.2; done
	[ -e /tmp/end ] || { cat /tmp/load.out; exit 1; }'
guest_must g1 200 "fio $load --verify_only"
guest_shutdown g1
taps_must_be_gone
must vhd-util check -n $leaf -p -b
for f in /data/live*.coalesce* /data/live-[abcd].vhd; do
	[ ! -e "$f" ] || fail "$f is left behind"
done
