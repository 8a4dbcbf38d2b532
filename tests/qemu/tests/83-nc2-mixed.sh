# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2 beside mainline's drivers, in any order; guest to guest.
# timeout: 2400
# kernels: 6.12

nc2_up
must modprobe xen-netback
main2='mac=00:16:3e:00:00:0b,bridge=xenbr0'

driver_is()	# GUEST DEV DRIVER
{
	guest_must "$1" 30 "ethtool -i $2 | sed -n 's/^driver: //p'" | grep -qx "$3" ||
		fail "guest $1: $2 is not $3's: $(guest_run "$1" 30 "ethtool -i $2")"
}

# The netdev of a vif is found by its MAC, whatever the order. Without the softdep
# that would have netchannel2 come first.
both()	# GUEST: has one vif of each, loaded in the order of $2 and $3
{
	guest_config "$1" type="$4" vif="$(nc2_vif 1);$main2"
	guest_boot "$1"
	guest_must "$1" 60 "modprobe -C /dev/null $2 && sleep 1 && modprobe -C /dev/null $3 && sleep 2
		for d in /sys/class/net/eth*; do d=\${d##*/}
			case \$(cat /sys/class/net/\$d/address) in
			*:01) ip link set \$d name nc2 ;; *:0b) ip link set \$d name main ;; esac
		done"
	driver_is "$1" nc2 netchannel2
	driver_is "$1" main vif
	guest_net "$1" nc2 10.0.0.2/24
	guest_net "$1" main 10.0.1.2/24
	net_verify "$1" 10.0.0.1 --tcp --count 12
	net_verify "$1" 10.0.1.1 --tcp --count 12
}

must ip addr add 10.0.1.1/24 dev xenbr0
net_serve dom0
step "one guest with both, xen-netfront first"
both g1 xen-netfront netchannel2 pv
guest_destroy g1
step "one guest with both, netchannel2 first"
both g1 netchannel2 xen-netfront pvh

step "a vif comes later, and goes"
nc2_attach g1 "$(nc2_vif 3)"
guest_must g1 60 'i=0; until grep -q 00:16:3e:00:00:03 /sys/class/net/eth*/address; do
	i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done'
xl network-list g1
must xl network-detach g1 00:16:3e:00:00:03
guest_must g1 60 'i=0; while grep -q 00:16:3e:00:00:03 /sys/class/net/*/address; do
	i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done'
net_verify g1 10.0.0.1 --tcp --count 10

step "xentop counts its packets"
xentop -b -n -i 1 | grep -A2 ' g1 ' | grep -E 'Net0 RX: *[1-9][0-9]* ?bytes' ||
	fail "xentop: $(xentop -b -n -i 1)"

step "guest to guest over the bridge"
nc2_guest g2 10.0.0.3/24 fd00:0::3/64 -- kernel=6.1 vif="$(nc2_vif 2)"
net_serve g2
net_verify g1 10.0.0.3 --tcp --sizes 60-65535 --count 20
net_verify g1 10.0.0.3 --udp --sizes 60-60000 --count 20 --loss 4
net_verify g1 10.0.0.3 --udp --gso 1000 --count 100 --loss 4
guest_destroy g2

step "guest to guest over Open vSwitch"
/usr/share/openvswitch/scripts/ovs-ctl start --system-id=random >/dev/null 2>&1 3>&- ||
	fail "Open vSwitch does not start"
must ovs-vsctl add-br ovsbr0
must ip addr add 10.0.4.1/24 dev ovsbr0
must ip link set ovsbr0 up
nc2_attach g1 'mac=00:16:3e:00:00:04,bridge=ovsbr0,script=vif-nc2-openvswitch'
guest_must g1 60 'i=0; until d=$(grep -l 00:16:3e:00:00:04 /sys/class/net/*/address); do
	i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done
	d=${d%/address}; ip link set ${d##*/} name ovs'
guest_net g1 ovs 10.0.4.2/24
nc2_guest g2 10.0.4.3/24 -- \
	vif='mac=00:16:3e:00:00:05,bridge=ovsbr0,script=vif-nc2-openvswitch'
net_serve g2
# A flow that is new goes through user space, which takes its time.
wait_for 30 guest_run g1 30 'ping -c 1 -W 2 10.0.4.3' ||
	fail "no way from g1 to g2: $(ovs-vsctl show; ovs-ofctl dump-ports ovsbr0; ip -br link)"
net_verify g1 10.0.4.3 --tcp --sizes 60-65535 --count 20
# The first fragments of a flow may overflow what waits for user space.
net_verify g1 10.0.4.3 --udp --sizes 60-60000 --count 50 --loss 20
net_verify g1 10.0.4.1 --tcp --count 20
guest_destroy g2
guest_destroy g1

step "routed, to dom0 and to a guest on the bridge"
echo 1 >/proc/sys/net/ipv4/ip_forward
nc2_guest g1 10.7.0.2/32 -- \
	vif='mac=00:16:3e:00:00:01,ip=10.7.0.2,gatewaydev=xenbr0,script=vif-nc2-route'
guest_must g1 30 'ip route add 10.0.0.1 dev eth0 && ip route add default via 10.0.0.1'
nc2_guest g2 10.0.0.3/24 -- vif="$(nc2_vif 2)"
guest_must g2 30 'ip route add default via 10.0.0.1'
net_serve g2
net_verify g1 10.0.0.1 --tcp --count 12
net_verify g1 10.0.0.3 --tcp --sizes 60-65535 --count 12
net_verify g1 10.0.0.3 --udp --sizes 60-60000 --count 12 --loss 4
guest_destroy g2
guest_destroy g1
