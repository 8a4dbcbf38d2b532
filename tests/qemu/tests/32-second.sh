# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Mirror, standby, parents of another tap and read cache on the real module.
# timeout: 1800
# kernels: 6.12

must modprobe blktap

# io DEVICE MIB FIO-OPTION...: verified I/O, the same in each call.
io()
{
	local dev=$1 size=$2
	shift 2
	fio --name=s --filename="$dev" --size="${size}m" --bsrange=4k-128k \
		--rw=randwrite --verify=crc32c --direct=1 --ioengine=libaio \
		--iodepth=16 --verify_state_save=0 --output="$state/fio" "$@" ||
		fail "$dev: fio status $?: $(tail -c 2000 "$state/fio")"
}

# small_fs KIB: a file system in /mnt/small that has so much free.
small_fs()
{
	! mountpoint -q /mnt/small || umount /mnt/small
	mkdir -p /mnt/small
	rm -f /data/small.fs
	truncate -s 96M /data/small.fs
	must mkfs.ext4 -q -m 0 /data/small.fs
	must mount -o loop /data/small.fs /mnt/small
	fallocate -l $(($(df --output=avail -k /mnt/small | tail -n 1) - $1))K /mnt/small/filler
}

vhd() { must vhd-util create -n "$1" -s 64; }

# tap TYPE:PATH OPTION...: a tap, $dev, $minor and $pid of it.
tap()
{
	local image=$1
	shift
	dev=$(tap-ctl create -a "$image" "$@") || fail "tap-ctl create -a $image $*: status $?"
	minor=${dev##*tapdev}
	pid=$(cat "/sys/class/blktap2/blktap$minor/task")
}

untap() { must tap-ctl destroy -p "$pid" -m "$minor"; }

stat_is()	# KEY VALUE
{
	tap-ctl stats -p "$pid" -m "$minor" | grep -qE "\"$1\": $2[ ,]" ||
		fail "$1 is not $2: $(tap-ctl stats -p "$pid" -m "$minor")"
}

waiting() { [ "$(cat "/sys/class/blktap2/blktap$minor/state")" = waiting ]; }

replace()	# the tapdisk by another
{
	kill -9 "$pid"
	wait_for 20 waiting || fail "state is $(cat "/sys/class/blktap2/blktap$minor/state")"
	must tap-ctl recover -m "$minor"
	pid=$(cat "/sys/class/blktap2/blktap$minor/task")
}

# only IMAGE MIB...: what fio wrote there is in this image, and reads alone.
only()
{
	tap "$1"
	shift
	io "$dev" "$@" --verify_only
	untap
}

step "mirror: a VHD and a raw file hold the same"
vhd /data/m1.vhd
truncate -s 64M /data/m2.img
tap vhd:/data/m1.vhd -2 aio:/data/m2.img
io "$dev" 32 --do_verify=1
must_fail 'second image \(-2\)' tap-ctl resize -p "$pid" -m "$minor" -s 128
replace
io "$dev" 32 --verify_only
io "$dev" 8 --offset=50m --do_verify=1
stat_is nbd_mirror_failed 0
untap
must qemu-img compare -f vpc -F raw /data/m1.vhd /data/m2.img
only aio:/data/m2.img 32
only aio:/data/m2.img 8 --offset=50m

step "mirror: it fails, the image goes on, and it is not used again"
small_fs 20000
vhd /data/m3.vhd
truncate -s 64M /mnt/small/m3.img
tap vhd:/data/m3.vhd -2 aio:/mnt/small/m3.img
io "$dev" 32 --do_verify=1
stat_is nbd_mirror_failed 1
[ -e "/var/run/blktap-control/tap$minor.nomirror" ] || fail "no tap$minor.nomirror"
sum=$(md5sum </mnt/small/m3.img)
rm /mnt/small/filler
replace
io "$dev" 8 --offset=50m --do_verify=1
stat_is nbd_mirror_failed 1
untap
only vhd:/data/m3.vhd 32
only vhd:/data/m3.vhd 8 --offset=50m
[ "$(md5sum </mnt/small/m3.img)" = "$sum" ] || fail "the failed mirror was written to"
must vhd-util check -n /data/m3.vhd

step "mirror: the image is full, and it takes its place"
small_fs 20000
vhd /mnt/small/m4.vhd
vhd /data/m5.vhd
tap vhd:/mnt/small/m4.vhd -2 vhd:/data/m5.vhd
io "$dev" 32 --do_verify=1
[ "$(tap_field vhd:/data/m5.vhd minor)" = "$minor" ] || fail "not named by the mirror: $(tap-ctl list)"
! tap-ctl stats -p "$pid" -m "$minor" | grep '"FIXME_enospc_redirect_count": 0,' ||
	fail "no request was redirected"
replace
io "$dev" 32 --verify_only
untap
only vhd:/data/m5.vhd 32
must vhd-util check -n /data/m5.vhd

step "standby: the image is full, and what follows goes there"
small_fs 20000
vhd /mnt/small/s1.vhd
must vhd-util snapshot -n /data/s2.vhd -p /mnt/small/s1.vhd -e
set -- vhd:/mnt/small/s1.vhd -2 vhd:/data/s2.vhd -s
tap "$@"
io "$dev" 8 --offset=50m --do_verify=1
stat_is FIXME_enospc_redirect_count 0
io "$dev" 32 --do_verify=1
! tap-ctl stats -p "$pid" -m "$minor" | grep '"FIXME_enospc_redirect_count": 0,' ||
	fail "no request was redirected"
sum=$(md5sum </mnt/small/s1.vhd)
replace
io "$dev" 32 --verify_only
io "$dev" 32 --do_verify=1
untap
[ "$(md5sum </mnt/small/s1.vhd)" = "$sum" ] || fail "the image changed after the standby took its place"
tap "$@"
io "$dev" 32 --verify_only
io "$dev" 8 --offset=50m --verify_only
untap
must vhd-util check -n /data/s2.vhd
umount /mnt/small

step "parents of another tap"
must vhd-util snapshot -n /data/e.vhd -p /data/m5.vhd
tap vhd:/data/m5.vhd -R
below=$minor below_pid=$pid
tap vhd:/data/e.vhd -e "$below"
io "$dev" 32 --verify_only
io "$dev" 8 --offset=50m --do_verify=1
must_fail "from minor $below \\(-e\\)" tap-ctl resize -p "$pid" -m "$minor" -s 128
replace
io "$dev" 32 --verify_only
untap
must tap-ctl destroy -p "$below_pid" -m "$below"
only vhd:/data/e.vhd 32
only vhd:/data/e.vhd 8 --offset=50m

step "read cache"
must vhd-util snapshot -n /data/r.vhd -p /data/m5.vhd
tap vhd:/data/r.vhd -r
io "$dev" 32 --verify_only
# Nothing waits for the cache, so what is read many at a time may pass it by.
for _ in 1 2 3; do
	dd if="$dev" of=/dev/null bs=64k count=512 iflag=direct status=none
done
untap
sectors=$(vhd-util check -n /data/r.vhd -s | sed -n 's/.*sectors: //p')
echo "cached $sectors sectors of $((32 * 2048))"
[ "$sectors" -gt $((16 * 2048)) ] || fail "the cache has $sectors sectors"
# They are read from there now.
only vhd:/data/r.vhd 32
taps_must_be_gone
