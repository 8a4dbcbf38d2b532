# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# fstrim in the guest gives space back to dom0, of a raw file and of a VHD.
# timeout: 1800
# kernels: 6.12

must vhd-util create -n /data/trim.vhd -s 256
truncate -s 256M /data/trim.img
guest_config g1 type=pv -- "$(tap_disk xvda vhd:/data/trim.vhd)" \
	"$(tap_disk xvdb aio:/data/trim.img)"
guest_boot g1
guest_must g1 200 'set -e; for d in a b; do
	mkfs.ext4 -q -E nodiscard /dev/xvd$d; mount /dev/xvd$d /mnt/$d
	mkdir /mnt/$d/keep; cp -a /usr/bin/[a-f]* /mnt/$d/keep/
	(cd /mnt/$d/keep && find . -type f -print0 | xargs -0 md5sum) >/tmp/$d.md5
	dd if=/dev/urandom of=/mnt/$d/big bs=1M count=100; done 2>&1; sync'
for f in trim.vhd trim.img; do
	[ "$(kib_used /data/$f)" -gt 100000 ] || fail "$f: only $(kib_used /data/$f) KiB before"
done
full_vhd=$(kib_used /data/trim.vhd) full_img=$(kib_used /data/trim.img)
guest_must g1 100 'for d in a b; do rm /mnt/$d/big; sync; fstrim -v /mnt/$d; done'
sync
for f in trim.vhd:$full_vhd trim.img:$full_img; do
	now=$(kib_used "/data/${f%:*}")
	echo "${f%:*}: ${f#*:} KiB before fstrim, $now after"
	# 100 MiB went; blocks of 2 MiB that are only partly free stay.
	[ $((${f#*:} - now)) -gt 70000 ] || fail "${f%:*} did not shrink"
done
guest_must g1 100 'for d in a b; do umount /mnt/$d; e2fsck -fn /dev/xvd$d || exit 1
	mount /dev/xvd$d /mnt/$d; (cd /mnt/$d/keep && md5sum --quiet -c /tmp/$d.md5) || exit 1; umount /mnt/$d; done'
guest_shutdown g1
taps_must_be_gone
must vhd-util check -n /data/trim.vhd
