# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: a guest without the module is told, and its vif can be detached.
# timeout: 600
# kernels: 6.12

nc2_up
net_serve dom0
step "a guest without our module is told, and the vif can be detached"
guest_config g1 vif="$(nc2_vif 1)"
guest_boot g1
guest_must g1 60 'modprobe -C /dev/null xen-netfront'
told() { xenstore-read "/local/domain/0/error/backend/vif/$(guest_id g1)/0/error" | grep -q 'load module netchannel2 in the guest'; }
wait_for 20 told || fail "no error in xenstore: $(xenstore-ls -f /local/domain/0/error)"
# Not -q: dmesg would die of it.
dmesg | grep 'load module netchannel2 in the guest' || fail "dom0's log does not say it"
step "its module comes later, and takes the vif from xen-netfront"
guest_must g1 60 'modprobe netchannel2'
guest_net g1 eth0 10.0.0.2/24
net_verify g1 10.0.0.1 --tcp --count 10
must xl network-detach g1 0
wait_for 20 net_vifs_gone || fail "the vif is still there"
guest_destroy g1
