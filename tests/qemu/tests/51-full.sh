# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Dom0's disk is full: the guest's writes wait, and go on when there is space.
# timeout: 1800
# kernels: 6.12

truncate -s 96M /data/small.fs
must mkfs.ext4 -q -m 0 /data/small.fs
mkdir -p /mnt/small
must mount -o loop /data/small.fs /mnt/small
must vhd-util create -n /mnt/small/full.vhd -s 256
fallocate -l 56M /mnt/small/filler

guest_config g1 type=pv -- "$(tap_disk xvda vhd:/mnt/small/full.vhd)"
guest_boot g1
io='fio --name=f --filename=/dev/xvda --size=48m --bs=64k --rw=write \
	--verify=crc32c --direct=1 --ioengine=libaio --iodepth=8 --verify_state_save=0 --output-format=terse'
guest_post g1 "$io --do_verify=1 --end_fsync=1 >/dev/null"
full() { [ "$(df --output=avail -k /mnt/small | tail -n 1)" -lt 2048 ]; }
wait_for 120 full || fail "the guest does not fill the disk: $(df -k /mnt/small | tail -n 1)"
# Time for anything that would go wrong to do so.
sleep 10
! guest_answered g1 "$guest_seq" || fail "the guest's write ended on a full disk: $(guest_read g1 rc)"
tap-ctl list
rm /mnt/small/filler
guest_wait g1 200 || fail "the guest's write does not go on (status $?)"
guest_must g1 100 "$io --verify_only >/dev/null"
guest_shutdown g1
taps_must_be_gone
must vhd-util check -n /mnt/small/full.vhd
umount /mnt/small
