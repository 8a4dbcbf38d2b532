# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What a test of the bed may use.  A test is a bash script run in dom0 with
# -eu -o pipefail; its status is 0 passed, 4 skipped, all else failed.
#
# Images ready in /data (the disk is fresh in each run of the bed, and its
# guests' root file system is the same Debian in each): dynamic.vhd,
# fixed.vhd, parent.vhd, raw.img.  $note_KEY holds what bed_note kept.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C
state=/run/pvio/t
# Time limits in the tests are for an idle machine. On a busy one all takes
# longer, and nothing is shown by giving up before it is through.
patience=3

fail()
{
	echo "FAIL: $*"
	exit 1
}

skip()
{
	echo "SKIP: $*"
	exit 4
}

# What the user is shown while the test runs.
step()
{
	echo "STEP: $*"
}

say()
{
	echo "$*" >&3
}

bed_note()	# key value
{
	say note "$1" "$2"
}

# The host cuts the power between $1 and $2 milliseconds from now and runs
# the same test again after the next boot, with ROUND one higher.
bed_cut()
{
	say cut "$1" "$2"
}

bed_file()	# name: standard input is kept beside the logs
{
	say file "$1" "$(base64 -w 0)"
}

# Sleep without starting a program. On one emulated processor each program
# that dom0 starts to look for something is time its guests do not get.
exec {nap_fd}<> <(:)
nap()
{
	read -r -t "$1" -u "$nap_fd" _ || :
}

# A limit of so many seconds of time is over. If the host did not run this machine for
# most of it, a failure that is told next is repeated: see bed.
limit_over()	# SECONDS WHAT...
{
	echo "LIMIT: $1 s are over: ${*:2}" >&2
}

# Wait until a command succeeds, at most $1 seconds of an idle machine.
wait_for()
{
	local limit=$(($1 * patience)) end=$((SECONDS + $1 * patience)) pause=0
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || {
			limit_over $limit "$*"
			return 1
		}
		pause=$((pause < 20 ? pause + 2 : 20))
		nap $((pause / 10)).$((pause % 10))
	done
}

# must COMMAND...: it succeeds, or the test ends with its output.
must()
{
	local out rc=0
	out=$("$@" 2>&1) || rc=$?
	[ $rc -ne 124 ] || [ "$1" != timeout ] || limit_over "$2" "${*:3}"
	[ $rc -eq 0 ] || fail "$* (status $rc): $out"
	[ -z "$out" ] || echo "$out"
}

# must_fail REGEX COMMAND...: it fails, in time, and says REGEX.
must_fail()
{
	local want=$1 out rc=0
	shift
	out=$(timeout $((60 * patience)) "$@" 2>&1) || rc=$?
	[ $rc -ne 0 ] || fail "succeeded but should not: $*"
	[ $rc -ne 124 ] || {
		limit_over $((60 * patience)) "$*"
		fail "no end after $((60 * patience)) s: $*"
	}
	echo "$out" | grep -qE "$want" ||
		fail "$*: message lacks /$want/: $out"
}

krel()	# 6.1 | 6.12: the kernel release of that line
{
	local k
	for k in /boot/vmlinux-"$1".*; do
		echo "${k#/boot/vmlinux-}"
	done
}

# ---------------------------------------------------------------------------
# Guests

# guest_config NAME OPTION=VALUE... -- DISK...
#
# Options: kernel=6.1|6.12 (the same as dom0's), type=pv|pvh|hvm (pv),
# memory=MB (256), vcpus=N (1), tsc=MODE (Xen's default), root=/dev/xvda
# (default: the shared read-only root, so that all DISKs are free for I/O),
# systemd=1, vif=CONFIG (several: separated by ';'; such a guest has modules for networks,
# ours too, loads none unless it runs systemd or is told to, and has nettest).
guest_config()
{
	local name=$1 kernel type=pv memory=256 vcpus=1 root='' systemd='' vif='' tsc='' d disks='' extra image=vmlinux
	shift
	kernel=$(uname -r | sed 's/^\(6\.[0-9]*\).*/\1/')
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		local "${1?}"
		shift
	done
	[ $# -eq 0 ] || shift
	kernel=$(krel "$kernel")
	for d; do
		disks="$disks'$d', "
	done
	extra="console=hvc0 loglevel=4 mitigations=off pci=noearly net.ifnames=0"
	if [ -n "$root" ]; then
		extra="$extra root=$root rw"
	else
		disks="$disks'$(shared_disk xvdz /dev/vdc)', "
		extra="$extra root=/dev/xvdz ro"
	fi
	if [ -n "$vif" ]; then
		disks="$disks'$(shared_disk xvdy /dev/vdb)', "
		extra="$extra pvio.modules"
		vif="'${vif//;/\', \'}'"
	fi
	# The device model takes no other image.
	[ "$type" != hvm ] || image=vmlinuz
	[ -z "$systemd" ] || extra="$extra pvio=systemd systemd.show_status=0"
	cat >"$state/$name.cfg" <<-END
	name = '$name'
	type = '$type'
	kernel = '/boot/$image-$kernel'
	ramdisk = '/opt/pvio/guest/initrd-$kernel'
	extra = '$extra'
	memory = $memory
	vcpus = $vcpus
	disk = [ $disks]
	vif = [ $vif ]
	${tsc:+tsc_mode = '$tsc'}
	on_crash = 'destroy'
	vga = 'none'
	vnc = 0
	END
}

shared_disk()	# vdev device
{
	echo "vdev=$1,access=r,script=/opt/pvio/block-shared,target=$2"
}

# Asking xl costs half a second of an emulated machine. A number that was right
# still is if xenstore has the name there.
declare -A guest_ids
guest_id()
{
	local id=${guest_ids[$1]:-}
	if [ -n "$id" ] && [ "$(xenstore-read "/local/domain/$id/name" 2>/dev/null)" = "$1" ]; then
		echo "$id"
	else
		xl domid "$1" 2>/dev/null
	fi
}

guest_data()	# name
{
	local id=${guest_at:-}
	[ -n "$id" ] || id=$(guest_id "$1") || return 1
	echo "/local/domain/$id/data"
}

guest_read()	# name key
{
	local path
	path=$(guest_data "$1") && xenstore-read -R "$path/$2" 2>/dev/null
}

# guest_await NAME SECONDS KEY PATTERN: until the guest has written a KEY that
# fits the shell pattern, to $guest_value. Told by xenstore, so it costs nothing
# meanwhile.
guest_await()
{
	local end=$((SECONDS + $2 * patience)) path watch watcher ok=1 left
	path=$(guest_data "$1")/$3 || fail "there is no guest $1"
	exec {watch}< <(exec xenstore-watch "$path" 2>/dev/null)
	watcher=$!
	while left=$((end - SECONDS)) && [ $left -gt 0 ]; do
		read -r -t $left -u "$watch" _ || break
		guest_value=$(xenstore-read -R "$path" 2>/dev/null) || continue
		# shellcheck disable=SC2254
		case $guest_value in
		$4)	ok=0 && break ;;
		esac
	done
	kill $watcher 2>/dev/null || :
	exec {watch}<&-
	[ $ok -eq 0 ] || [ $SECONDS -lt $end ] || limit_over $(($2 * patience)) "guest $1: $3 is $4"
	return $ok
}

guest_is_ready()	# name mode
{
	case $(guest_read "$1" state) in
	"ready ${2:-}"*) return 0 ;;
	esac
	return 1
}

# guest_boot NAME [SECONDS]: create it and wait for its agent.
guest_boot()
{
	local t=$SECONDS
	step "guest $1: xl create, $(sed -n "s/^type = '\(.*\)'/\1/p; s/^kernel = '.*vmlinu.-\(.*\)'/on Linux \1/p" "$state/$1.cfg" | tr '\n' ' ')"
	must timeout $((120 * patience)) xl create "$state/$1.cfg"
	guest_await "$1" "${2:-240}" state 'ready *' ||
		fail "guest $1: no agent after ${2:-240} s"
	step "guest $1: up ($(cut -d' ' -f2 <<<"$guest_value")) after $((SECONDS - t)) s"
}

# guest_post NAME COMMAND: give the guest a command, do not wait. Encoded, as
# xenstore's tools have their own mind about newlines and backslashes. Its
# number is the time: a counter would stand still in a pipeline's subshell,
# and a guest takes no number twice.
guest_post()
{
	local path
	path=$(guest_data "$1") || fail "there is no guest $1"
	guest_seq=${EPOCHREALTIME//[!0-9]/}
	xenstore-write "$path/run" "$guest_seq $(base64 -w 0 <<<"$2")"
}

guest_answered()	# name seq
{
	case $(guest_read "$1" rc) in
	"$2 "*) return 0 ;;
	esac
	return 1
}

# guest_wait NAME SECONDS: the end of the last posted command; its output on
# standard output, its status as ours, 124 if it does not come.
guest_wait()
{
	guest_await "$1" "$2" rc "$guest_seq *" || return 124
	guest_value=${guest_value#* }
	[ "$guest_value" = "${guest_value#* }" ] || echo "${guest_value#* }"
	return "${guest_value%% *}"
}

# guest_run NAME SECONDS COMMAND
guest_run()
{
	local guest_at
	guest_at=$(guest_id "$1") || return 124
	guest_ids[$1]=$guest_at
	guest_post "$1" "$3"
	guest_wait "$1" "$2"
}

# guest_must NAME SECONDS COMMAND
guest_must()
{
	local rc=0
	guest_run "$@" || rc=$?
	[ $rc -eq 0 ] || fail "guest $1: status $rc of: $3"
}

guest_gone()
{
	! guest_id "$1"
}

guest_shutdown()
{
	# Nothing but systemd hears of xl shutdown.
	if guest_is_ready "$1" pid1; then
		guest_post "$1" 'sync; /run/pvio/busybox poweroff -f'
	else
		must xl shutdown "$1"
	fi
	wait_for "${2:-240}" guest_gone "$1" || fail "guest $1 does not shut down"
}

guest_destroy()
{
	xl destroy "$1"
	wait_for 30 guest_gone "$1" || fail "guest $1 cannot be destroyed"
}

# ---------------------------------------------------------------------------
# After each test: nothing of it may remain.  Says what it had to remove;
# a test that passed and leaves a process or a device behind has failed.

bed_cleanup()
{
	local d left=0
	for d in $(xl list 2>/dev/null | awk 'NR > 1 && $2 != 0 { print $2 }'); do
		xl destroy "$d"
	done
	for d in /mnt/*; do
		! mountpoint -q "$d" || umount "$d"
	done
	losetup -D
	net_cleanup || left=1
	if pgrep -x tapdisk2 >/dev/null && ! wait_for 10 tapdisk_gone; then
		echo "left behind: $(pgrep -ax tapdisk2)"
		pkill -9 -x tapdisk2
		left=1
	fi
	for d in /sys/class/blktap2/blktap[0-9]*; do
		[ -e "$d" ] || continue
		echo "left behind: ${d##*/}"
		tap-ctl free -m "${d##*blktap}" || :
		left=1
	done
	return $left
}

tapdisk_gone()
{
	! pgrep -x tapdisk2 >/dev/null
}

# ---------------------------------------------------------------------------
# Networks

# net_bridge [NAME [N]]: a bridge, xenbr0, with the addresses 10.0.N.1/24 and
# fd00:N::1/64 of dom0; N is 0.
net_bridge()
{
	local name=${1:-xenbr0} n=${2:-0}
	must ip link add "$name" type bridge
	must ip addr add "10.0.$n.1/24" dev "$name"
	must ip addr add "fd00:$n::1/64" dev "$name" nodad
	must ip link set "$name" up
}

# net_up: what most tests want, xenbr0 and the mainline backend.
net_up()
{
	net_bridge
	must modprobe xen-netback
}

# udev as on a host, for tests of its rules: modules load by alias with it.
bed_udev()
{
	/lib/systemd/systemd-udevd --daemon 3>&-
}

# guest_net NAME DEV ADDRESS/LENGTH...: addresses of a guest's netdev, which
# must be there within 10 s; up, and with carrier.
guest_net()
{
	guest_must "$1" 60 "i=0; until [ -e /sys/class/net/$2 ]; do
		i=\$((i + 1)); [ \$i -lt 100 ] || { echo no netdev $2; exit 1; }; sleep 0.1; done
		for a in ${*:3}; do
			n=; case \$a in *:*) n=nodad ;; esac
			ip addr add \$a dev $2 \$n || exit 1
		done
		ip link set lo up; ip link set $2 up
		until [ \"\$(cat /sys/class/net/$2/carrier)\" = 1 ]; do
		i=\$((i + 1)); [ \$i -lt 300 ] || { echo $2 has no carrier; exit 1; }; sleep 0.1; done"
}

net_vifs()
{
	(cd /sys/class/net && printf '%s\n' vif*.* | grep -vF '*')
}

net_vifs_gone()
{
	[ -z "$(net_vifs)" ]
}

# Devices of dom0 go with the guest, and a module that nobody uses unloads.
net_cleanup()
{
	local d kind left=0
	! pgrep -x nettest >/dev/null || pkill -x nettest
	! pgrep -x systemd-udevd >/dev/null || pkill -x systemd-udevd
	if ! wait_for 20 net_vifs_gone; then
		echo "left behind: $(net_vifs)"
		left=1
	fi
	if pgrep -x ovs-vswitchd >/dev/null; then
		for d in $(ovs-vsctl list-br); do
			ovs-vsctl del-br "$d"
		done
		/usr/share/openvswitch/scripts/ovs-ctl stop
	fi
	[ ! -d /run/netns ] || ip -all netns delete
	for kind in bridge veth dummy ifb vlan; do
		for d in $(ip -o link show type $kind | sed 's/^[0-9]*: \([^:@]*\).*/\1/'); do
			ip link delete "$d" 2>/dev/null || :
		done
	done
	[ ! -d /sys/module/nf_tables ] || nft flush ruleset
	for d in netchannel2 xen_netback; do
		[ -d /sys/module/$d ] || continue
		if ! modprobe -r $d; then
			echo "left behind: module $d, in use: $(cat /sys/module/$d/refcnt)"
			left=1
		fi
	done
	return $left
}

# nc2_vif N [KEYS [SCRIPT]]: the config of a vif of netchannel2; N is in its MAC.
nc2_vif()
{
	echo "mac=00:16:3e:00:00:0$1,bridge=xenbr0,script=${3:-vif-nc2}${2:+,$2}"
}

# nc2_up [PARAMETER...]: xenbr0, and dom0's netchannel2 with these parameters.
nc2_up()
{
	net_bridge
	must modprobe netchannel2 "$@"
}

# nc2_guest NAME ADDRESS/LENGTH... -- OPTION...: a guest whose eth0 has a vif of
# netchannel2, which is up. $nc2_params are parameters of its module.
nc2_guest()
{
	local name=$1 addr=()
	shift
	while [ "$1" != -- ]; do
		addr+=("$1")
		shift
	done
	guest_config "$name" "${@:2}"
	guest_boot "$name"
	guest_must "$name" 60 "modprobe netchannel2 ${nc2_params:-}"
	guest_net "$name" eth0 "${addr[@]}"
}

# nc2_attach GUEST VIF: a vif for a guest that runs; xl wants words there. It must
# be netchannel2's.
nc2_attach()
{
	local words before after
	IFS=, read -ra words <<<"$2"
	before=$(net_vifs) || :
	must timeout $((60 * patience)) xl network-attach "$1" "${words[@]}"
	after=$(net_vifs | grep -vxF "$before")
	ethtool -i "$after" | grep -qx 'driver: netchannel2' ||
		fail "$after is not netchannel2's: $(ethtool -i "$after")"
}

# nc2_queues GUEST N: its eth0 gets N queues, and has them.
nc2_queues()
{
	guest_must "$1" 60 "ethtool -L eth0 combined $2; i=0
		until [ \$(ls -d /sys/class/net/eth0/queues/rx-* 2>/dev/null | wc -l) = $2 ] &&
			[ \$(cat /sys/class/net/eth0/carrier) = 1 ]; do
			i=\$((i + 1)); [ \$i -lt 200 ] || { echo no $2 queues; exit 1; }; sleep 0.1; done"
}

# nc2_stat DEV PATTERN: sum of dom0's statistics of a netdev that fit.
nc2_stat()
{
	ethtool -S "$1" | awk -v p="$2" '$1 ~ p { n += $2 } END { print n + 0 }'
}

# net_verify WHERE TO OPTION...: nettest at WHERE (dom0 or a guest) against the
# server at TO; all data must be right. Prints its result.
net_verify()
{
	local where=$1 to=$2
	shift 2
	if [ "$where" = dom0 ]; then
		must timeout $((200 * patience)) /opt/pvio/bin/nettest run --to "$to" "$@"
	else
		guest_must "$where" 200 "nettest run --to $to $*"
	fi
}

# net_serve WHERE [OPTION...]: a server of nettest, until the end of the guest
# or the test. What it finds wrong is on the console of the one or the other.
net_serve()
{
	local where=$1
	shift
	if [ "$where" = dom0 ]; then
		# It must not hold the pipe through which the test speaks.
		/opt/pvio/bin/nettest serve --daemon "$@" 3>&- 2>/dev/kmsg || fail "nettest serve: status $?"
	else
		guest_must "$where" 30 "nettest serve --daemon $* 2>/dev/hvc0"
	fi
}

# net_load GUEST TO: verified data, both ways, until net_load_end.
net_load()
{
	guest_must "$1" 30 "nettest run --to $2 --tcp --seconds 3000 --timeout 200 ${*:3} >/tmp/load.out 2>&1 &
		echo \$! >/tmp/load.pid"
}

# The connection of before is still there, moves, and was never wrong.
net_load_end()	# GUEST
{
	guest_must "$1" 100 'p=$(cat /tmp/load.pid); kill -INT $p
		while kill -0 $p 2>/dev/null; do sleep 0.2; done
		cat /tmp/load.out; grep -q "^nettest: ok" /tmp/load.out'
}

# at WHERE SECONDS COMMAND: dom0 or a guest; must succeed. Prints its output.
at()
{
	local out rc=0
	if [ "$1" = dom0 ]; then
		out=$(timeout $(($2 * patience)) sh -c "$3" 2>&1 3>&-) || rc=$?
		[ -z "$out" ] || echo "$out"
		[ $rc -ne 124 ] || limit_over $(($2 * patience)) "$3"
		[ $rc -eq 0 ] || fail "dom0: status $rc of: $3"
	else
		guest_must "$@"
	fi
}

# ---------------------------------------------------------------------------
# A hostile end of a vif, see tests/nc2/evil.h

evil_take()	# WHERE DEVICE [CANARY]: take the device from its driver
{
	at "$1" 60 "d=/opt/pvio; [ -d \$d ] || d=/run/pvio/tree\$d
		insmod \$d/nc2/\$(uname -r)/nc2evil.ko take=$2 canary=${3:-} || exit 1
		mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug"
}

evil_leave()	# WHERE DEVICE: netchannel2 has it again
{
	local bus=/sys/bus/xen
	[ "$1" != dom0 ] || bus=$bus-backend
	at "$1" 60 "echo $2 >$bus/drivers/nc2evil/unbind && rmmod nc2evil && modprobe netchannel2 &&
		{ [ -e $bus/drivers/netchannel2/$2 ] || echo $2 >$bus/drivers/netchannel2/bind; }"
}

evil_script()	# CASE [MS]: a command that runs it, and says how it went
{
	echo "cd /sys/kernel/debug/nc2evil && rc=0; echo $1 ${2:-} 2>/dev/null >run || rc=1
		grep ^BAD report | head -n 10; tail -n 3 report; exit \$rc"
}

# evil_run WHERE CASE [MS]: the other end must do nothing but what is right.
evil_run()
{
	step "$1: $2"
	at "$1" $((120 + ${3:-0} / 1000)) "$(evil_script "${@:2}")"
}

# Processors are emulated by one, of which an attacker takes a share, as it may:
# all domains have the same weight. So what others get beside an attack is held
# against what they get beside as much work that concerns nobody.
evil_hog()	# SECONDS
{
	echo "timeout $1 sh -c 'while :; do :; done' || :"
}

evil_post()	# WHERE COMMAND: do not wait
{
	if [ "$1" = dom0 ]; then
		sh -c "$2" 3>&- &
		evil_pid=$!
	else
		guest_post "$1" "$2"
	fi
}

evil_wait()	# WHERE SECONDS
{
	if [ "$1" = dom0 ]; then
		wait "$evil_pid"
	else
		guest_wait "$1" "$2"
	fi
}

# evil_rate WHERE DEV SECONDS COMMAND: $evil_rate is the bytes per second that
# dom0's DEV receives while the command runs.
evil_rate()
{
	local from to t
	evil_post "$1" "$4"
	nap 1
	read -r from <"/sys/class/net/$2/statistics/rx_bytes"
	t=${EPOCHREALTIME/./}
	nap "$3"
	read -r to <"/sys/class/net/$2/statistics/rx_bytes"
	evil_rate=$(((to - from) * 1000 / ((${EPOCHREALTIME/./} - t) / 1000)))
	evil_wait "$1" 100 || fail "$1: status $? of: $4"
}

# evil_beside WHERE DEV SECONDS CASE: DEV receives as much as beside a busy end,
# but for 10 %. As the machine below may have other work, that is measured in
# turns, until the sums are good enough, or for a while.
evil_beside()
{
	local i hog=0 beside=0
	for i in 1 2 3 4 5 6 7 8; do
		evil_rate "$1" "$2" "$3" "$(evil_hog $(($3 + 2)))"
		hog=$((hog + evil_rate / 1000))
		evil_rate "$1" "$2" "$3" "$(evil_script "$4" $((($3 + 2) * 1000)))"
		beside=$((beside + evil_rate / 1000))
		[ "$i" -lt 2 ] || [ $((beside * 100)) -lt $((hog * 90)) ] || break
	done
	echo "$4: $2 receives $((beside / i)) kB/s beside it, $((hog / i)) beside a busy end"
	[ $((beside * 100)) -ge $((hog * 90)) ] || fail "$4: $2 receives less than 90 %"
}

evil_time()	# DOMAIN: ms of processors that it has used
{
	xl list "$1" | awk 'NR > 1 { print int($6 * 1000) }'
}

# evil_cost WHERE DOMAIN SECONDS CASE: it costs the domain at the other end less
# than 5 % of a processor more than a busy end.
evil_cost()
{
	local i j used=(0 0) t
	local command=("$(evil_hog "$3")" "$(evil_script "$4" $(($3 * 1000)))")
	for i in 1 2 3 4; do
		for j in 0 1; do
			t=$(evil_time "$2")
			evil_post "$1" "${command[j]}"
			evil_wait "$1" 200 || fail "$1: status $? of: ${command[j]}"
			used[j]=$((used[j] + $(evil_time "$2") - t))
		done
		[ $((used[1] - used[0])) -ge $(($3 * 50 * i)) ] || break
	done
	echo "$4: domain $2 uses $((used[1] / i)) ms in $3 s of it, $((used[0] / i)) else"
	[ $((used[1] - used[0])) -lt $(($3 * 50 * i)) ] || fail "$4: costs domain $2 5 % or more"
}

# Pages that are free once what could be is.
free_kib()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemFree/ { print $2 }' /proc/meminfo
}

# ---------------------------------------------------------------------------
# Taps

tap_disk()	# vdev TYPE:PATH -> a disk of xl, by Debian's own block-tap
{
	echo "vdev=$1,access=rw,script=block-tap,target=$2"
}

tap_field()	# TYPE:PATH pid|minor -> of its tap
{
	tap-ctl list | grep -F "args=$1" | tr ' ' '\n' | sed -n "s/^$2=//p"
}

tap_create()	# TYPE:PATH -> path of the disk
{
	tap-ctl create -a "$1" || fail "tap-ctl create -a $1: status $?"
}

tap_destroy()	# TYPE:PATH
{
	must tap-ctl destroy -p "$(tap_field "$1" pid)" -m "$(tap_field "$1" minor)"
}

tap_minors()
{
	find /sys/class/blktap2 -mindepth 1 -name 'blktap[0-9]*' 2>/dev/null | wc -l
}

# No tap, no tapdisk, and nothing holds the module: all is given back.
taps_are_gone()
{
	tapdisk_gone && [ "$(tap_minors)" -eq 0 ]
}

taps_must_be_gone()
{
	wait_for 20 taps_are_gone ||
		fail "left: $(tap_minors) minors, tapdisks: $(pgrep -ax tapdisk2)"
}

kib_used()	# file -> allocated KiB
{
	du -k "$1" | cut -f1
}

# ---------------------------------------------------------------------------
# What a user does with a guest, from boot to a check of the image.

fio_verify='fio --name=v --filename=verify.dat --size=12m --bsrange=4k-64k'
fio_verify+=' --rw=randwrite --verify=crc32c --direct=1 --ioengine=libaio'
fio_verify+=' --iodepth=8 --randrepeat=1 --verify_state_save=0 --output-format=terse'

# First life: to multi-user, verified I/O, a tree of files.
guest_first_life()	# name
{
	guest_is_ready "$1" multi-user || fail "guest $1 is not multi-user"
	step "guest $1: fio writes and verifies 12 MB, crc32c of each block"
	guest_must "$1" 200 "cd /root && $fio_verify --do_verify=1 >/dev/null"
	step "guest $1: copies a tree of files, compares their checksums"
	guest_must "$1" 200 'cp -a /etc /usr/bin /root/ && cd /root &&
		find etc bin -type f -print0 | xargs -0 md5sum >tree.md5 &&
		(cd / && find etc usr/bin -type f -print0 | xargs -0 md5sum) |
		sed "s, usr/, ," | sort >want.md5 &&
		sort tree.md5 | cmp - want.md5 && sync && wc -l <tree.md5'
}

# Second life, after a reboot: all is still there.
guest_second_life()	# name
{
	step "guest $1: verifies both again"
	guest_must "$1" 200 "cd /root && $fio_verify --verify_only >/dev/null"
	guest_must "$1" 200 'cd /root && md5sum --quiet -c tree.md5'
}

guest_reboot()	# name
{
	local before
	step "guest $1: reboots"
	before=$(guest_id "$1")
	must xl reboot "$1"
	guest_is_new()
	{
		[ "$(guest_id "$1")" -ne "$2" ]
	}
	wait_for 240 guest_is_new "$1" "$before" || fail "guest $1 does not go down to reboot"
	guest_await "$1" 300 state 'ready multi-user *' ||
		fail "guest $1 does not come back from its reboot"
}

# The image, read by other programs: its file system is clean and
# qemu's reading of it is the same as ours.
image_must_be_clean()	# vpc|raw|child TYPE:PATH
{
	local dev path=${2#*:}
	step "$path: checked by vhd-util, e2fsck and qemu-img"
	[ "$1" = raw ] || must vhd-util check -n "$path"
	dev=$(tap_create "$2")
	must e2fsck -fn "$dev"
	# QEMU reads no differencing images. It would wait for tapdisk2's lock.
	[ "$1" = child ] || must qemu-img compare --image-opts \
		"driver=$1,file.driver=file,file.filename=$path,file.locking=off" \
		"driver=raw,file.driver=host_device,file.filename=$dev"
	tap_destroy "$2"
}

# All of it. Long runs reboot each guest, others where $reboots says so.
guest_lives_on()	# vpc|raw TYPE:PATH OPTION=VALUE...
{
	local format=$1 disk=$2
	shift 2
	guest_config g1 "$@" root=/dev/xvda systemd=1 -- "$(tap_disk xvda "$disk")"
	guest_boot g1 300
	guest_first_life g1
	if [ -n "${reboots:-${note_long:-}}" ]; then
		guest_reboot g1
		guest_second_life g1
	fi
	guest_shutdown g1
	taps_must_be_gone
	image_must_be_clean "$format" "$disk"
}
