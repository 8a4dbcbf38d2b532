# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Mainline vifs, for comparison: PV and PVH guests and dom0 exchange verified data.
# timeout: 1800
# kernels: 6.12

net_up
net_serve dom0

step "nettest finds what a bad network does"
must ip netns add away
must ip link add near type veth peer name far netns away
must ip addr add 10.9.0.1/24 dev near
must ip link set near up
must ip -n away addr add 10.9.0.2/24 dev far
must ip -n away link set far up
away=(ip netns exec away /opt/pvio/bin/nettest run --to 10.9.0.1 --count 2000)
must "${away[@]}" --udp
damage()	# REGEX NETEM... -- OPTION...
{
	local want=$1 how=()
	shift
	while [ "$1" != -- ]; do
		how+=("$1")
		shift
	done
	shift
	must ip netns exec away tc qdisc add dev far root netem "${how[@]}"
	must_fail "$want" "${away[@]}" "$@"
	must ip netns exec away tc qdisc del dev far root
}
damage 'BAD .*peer_lost=[1-9]' loss 2% -- --udp
must ip netns exec away tc qdisc add dev far root netem loss 2%
must "${away[@]}" --udp --loss 200
must ip netns exec away tc qdisc del dev far root
damage 'BAD .*peer_dup=[1-9]' duplicate 2% -- --udp
# A byte of each datagram of 1000 is changed, and the checksum made right.
must ip netns exec away tc qdisc add dev far clsact
must ip netns exec away tc filter add dev far egress protocol ip u32 match ip protocol 17 0xff \
	match u16 1000 0xffff at 2 action pedit munge offset 200 u8 set 0x5a pipe csum ip and udp
must_fail 'BAD .*peer_corrupt=[1-9]' "${away[@]}" --udp --sizes 900-1000 --loss 2000
must ip netns exec away tc qdisc del dev far clsact

for g in pv:6.1 pvh:6.12; do
	guest_config g1 type=${g%:*} kernel=${g#*:} vif='mac=00:16:3e:00:00:01,bridge=xenbr0'
	guest_boot g1
	guest_must g1 30 'modprobe xen-netfront'
	guest_net g1 eth0 10.0.0.2/24 fd00:0::2/64
	net_serve g1
	for a in 10.0.0. fd00:0::; do
		step "guest g1: verified data, from and to ${a}2"
		# The guest is the client, then dom0.
		net_verify g1 ${a}1 --tcp
		net_verify g1 ${a}1 --udp --sizes 60-20000 --loss 4
		net_verify dom0 ${a}2 --tcp --sendfile
		net_verify dom0 ${a}2 --udp --gso 1000 --loss 4
	done
	step "guest g1: zerocopy, request and response"
	net_verify g1 10.0.0.1 --tcp --zerocopy
	net_verify g1 10.0.0.1 --udp --rr
	net_verify dom0 10.0.0.2 --tcp --rr --sizes 60-9000
	guest_destroy g1
done
