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

# Wait until a command succeeds, at most $1 seconds.
wait_for()
{
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# must COMMAND...: it succeeds, or the test ends with its output.
must()
{
	local out
	out=$("$@" 2>&1) || fail "$* (status $?): $out"
	[ -z "$out" ] || echo "$out"
}

# must_fail REGEX COMMAND...: it fails, in time, and says REGEX.
must_fail()
{
	local want=$1 out rc=0
	shift
	out=$(timeout 60 "$@" 2>&1) || rc=$?
	[ $rc -ne 0 ] || fail "succeeded but should not: $*"
	[ $rc -ne 124 ] || fail "no end after 60 s: $*"
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
# Options: kernel=6.1|6.12 (the same as dom0's), type=pv|pvh (pv),
# memory=MB (256), vcpus=N (1), root=/dev/xvda (default: the shared
# read-only root, so that all DISKs are free for I/O), systemd=1.
guest_config()
{
	local name=$1 kernel type=pv memory=256 vcpus=1 root='' systemd='' d disks='' extra
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
	extra="console=hvc0 loglevel=4 mitigations=off pci=noearly"
	if [ -n "$root" ]; then
		extra="$extra root=$root rw"
	else
		disks="$disks'phy:/dev/vdc,xvdz,r', "
		extra="$extra root=/dev/xvdz ro"
	fi
	[ -z "$systemd" ] || extra="$extra pvio=systemd systemd.show_status=1"
	cat >"$state/$name.cfg" <<-END
	name = '$name'
	type = '$type'
	kernel = '/boot/vmlinux-$kernel'
	ramdisk = '/opt/pvio/guest/initrd-$kernel'
	extra = '$extra'
	memory = $memory
	vcpus = $vcpus
	disk = [ $disks]
	on_crash = 'destroy'
	END
}

guest_id()
{
	xl domid "$1" 2>/dev/null
}

guest_read()	# name key
{
	xenstore-read "/local/domain/$(guest_id "$1")/data/$2" 2>/dev/null
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
	must timeout 60 xl create "$state/$1.cfg"
	wait_for "${2:-120}" guest_is_ready "$1" ||
		fail "guest $1: no agent after ${2:-120} s"
	echo "guest $1 is up ($(guest_read "$1" state | cut -d' ' -f2)) after $((SECONDS - t)) s"
}

# guest_post NAME COMMAND: give the guest a command, do not wait.
guest_post()
{
	guest_seq=$((${guest_seq:-$((RANDOM * 1000))} + 1))
	xenstore-write "/local/domain/$(guest_id "$1")/data/run" "$guest_seq $2"
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
	local rc
	wait_for "$2" guest_answered "$1" "$guest_seq" || return 124
	guest_read "$1" out || :
	rc=$(guest_read "$1" rc)
	return "${rc#* }"
}

# guest_run NAME SECONDS COMMAND
guest_run()
{
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
	must xl shutdown "$1"
	wait_for "${2:-120}" guest_gone "$1" || fail "guest $1 does not shut down"
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
