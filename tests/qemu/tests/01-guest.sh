# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The bed itself: PV and PVH guests on stock blkback, on both kernels.
# timeout: 1800
# long: yes
# kernels: 6.1

truncate -s 64M /data/scratch.img
for type in pv pvh; do
	for kernel in 6.1 6.12; do
		guest_config g1 type=$type kernel=$kernel -- \
			'format=raw,vdev=xvda,access=rw,target=/data/scratch.img'
		guest_boot g1
		guest_must g1 60 "uname -r; dd if=/dev/urandom of=/dev/xvda bs=1M count=4 oflag=direct; md5sum </dev/xvda"
		guest_destroy g1
	done
done
