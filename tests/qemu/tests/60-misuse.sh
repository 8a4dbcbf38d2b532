# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What users get wrong: a clear error each time, and nothing left behind.
# timeout: 1800
# kernels: 6.1
# allow: blktap2: disagrees about

must modprobe blktap
must vhd-util create -n /data/good.vhd -s 64
truncate -s 64M /data/notvhd.img
mkdir -p /mnt/ro
truncate -s 16M /data/ro.fs
must mkfs.ext4 -q /data/ro.fs
must mount -o loop /data/ro.fs /mnt/ro
must vhd-util create -n /mnt/ro/ro.vhd -s 8
must mount -o remount,ro /mnt/ro

must_fail 'nope.vhd.*No such file' tap-ctl create -a vhd:/data/nope.vhd
must_fail 'notvhd.img' tap-ctl create -a vhd:/data/notvhd.img
must_fail 'ro.vhd.*Read-only file system' tap-ctl create -a vhd:/mnt/ro/ro.vhd
must_fail 'nonsense' tap-ctl create -a nonsense:/data/good.vhd
taps_must_be_gone

# Read-only is another matter.
must tap-ctl create -R -a vhd:/mnt/ro/ro.vhd
tap_destroy vhd:/mnt/ro/ro.vhd
umount /mnt/ro

# In use by one, refused to another, and not harmed by the attempt.
for image in vhd:/data/good.vhd aio:/data/notvhd.img; do
	dev=$(tap_create $image)
	must_fail "${image#*:}.* in use" tap-ctl create -a $image
	must dd if="$dev" of=/dev/null bs=64k count=4 iflag=direct status=none
	tap_destroy $image
done
taps_must_be_gone

# By way of xl: it fails, says so, and gives everything back.
guest_config g1 type=pv
guest_boot g1
for target in vhd:/data/nope.vhd vhd:/data/notvhd.img; do
	must_fail 'block-tap|unable to add' xl block-attach g1 "$(tap_disk xvdb $target)"
	taps_must_be_gone
done
guest_destroy g1

# No module: neither loaded nor to be had.
must modprobe -r blktap2
mkdir -p /run/modprobe.d /etc/modprobe.d
printf 'install %s /bin/false\n' blktap blktap2 >/etc/modprobe.d/zz-none.conf
must_fail '[Mm]odule|blktap2' tap-ctl create -a vhd:/data/good.vhd
rm /etc/modprobe.d/zz-none.conf
must modprobe blktap
dev=$(tap_create vhd:/data/good.vhd)
tap_destroy vhd:/data/good.vhd
