# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: an HVM guest that goes to another kernel by kexec has its vif again.
# timeout: 1800
# long: yes
# kernels: 6.1

# xl of 4.17 ends a PVH guest for that, whatever its vifs; PV Linux has no kexec.
nc2_up
net_serve dom0
nc2_guest g1 10.0.0.2/24 -- type=hvm vif="$(nc2_vif 1 type=vif)"
for i in 1 2; do
	step "kexec $i under load"
	net_load g1 10.0.0.1
	before=$(guest_read g1 state)
	guest_must g1 200 'i=/run/pvio/tree/opt/pvio/guest/initrd-$(uname -r)
		kexec --args-linux -l /run/pvio/tree/boot/vmlinux-$(uname -r) --initrd=$i --reuse-cmdline || exit 1
		setsid sh -c "sleep 2; kexec -e" >/dev/null 2>&1 </dev/null &'
	is_new() { [ "$(guest_read g1 state)" != "$before" ]; }
	wait_for 100 is_new || fail "no other kernel: $(xl list; tail -n 20 /var/log/xen/xl-g1.log)"
	guest_await g1 300 state 'ready *' || fail "no agent after kexec"
	guest_must g1 60 'modprobe netchannel2'
	guest_net g1 eth0 10.0.0.2/24
	net_verify g1 10.0.0.1 --tcp --sizes 60-65535 --count 20
	net_verify g1 10.0.0.1 --udp --sizes 60-60000 --count 20 --loss 4
done
vifs=$(net_vifs)
[ "$vifs" = "vif$(guest_id g1).0" ] || fail "vifs of before: $vifs"
guest_destroy g1
