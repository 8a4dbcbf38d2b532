# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: verified data of PV and PVH guests with dom0, each offload off, queues.
# timeout: 2700
# kernels: 6.1

nc2_up max_queues=4
net_serve dom0
for port in 1 2 3 4; do
	net_serve dom0 -p 800$port
done

# All must be right, in both directions at once.
verify()	# WHAT PREFIXES [COMMANDS]: what the guest must do before
{
	step "guest g1: $1"
	guest_must g1 400 "{ ${3:-:}
		} || exit 1
		for to in $2; do
			nettest run --to \${to}1 --tcp --sizes 60-65535 --count 12 || exit 1
			nettest run --to \${to}1 --udp --sizes 60-60000 --count 12 --loss 4 || exit 1
		done"
}

# Each queue must have carried packets, and the data be right.
queues()	# N
{
	nc2_queues g1 "$1"
	step "guest g1: $1 queues"
	guest_must g1 200 'for p in 8001 8002 8003 8004; do
			nettest run --to 10.0.0.1 -p $p --tcp --count 12 & pids="$pids $!"
		done
		for p in $pids; do wait $p || exit 1; done
		for q in '"$(seq -s ' ' 0 $(($1 - 1)))"'; do
			ethtool -S eth0 | grep -E "tx${q}_packets: [0-9]{2}" ||
				{ echo "queue $q was not used"; exit 1; }
		done'
}

for g in pv:6.1 pvh:6.12; do
	nc2_params=max_queues=4 nc2_guest g1 10.0.0.2/24 fd00:0::2/64 -- \
		type=${g%:*} kernel=${g#*:} vcpus=2 vif="$(nc2_vif 1)"
	vif=vif$(guest_id g1).0
	ethtool -i "$vif" | grep -qx 'driver: netchannel2' || fail "dom0 has another driver for $vif"
	guest_must g1 30 'ethtool -i eth0 | grep -x "driver: netchannel2"'
	net_serve g1

	verify "as it comes" "10.0.0. fd00:0::"
	step "guest g1: UDP in segments, sendfile, zerocopy, request and response"
	net_verify g1 10.0.0.1 --udp --gso 1000 --count 200 --loss 4
	# Slots are for packets of 32 KiB and more.
	net_verify dom0 fd00:0::2 --udp --gso 1000 --count 2000 --loss 1000
	net_verify dom0 10.0.0.2 --tcp --sendfile --count 12
	net_verify g1 10.0.0.1 --tcp --zerocopy --count 12
	net_verify g1 fd00:0::1 --udp --rr --count 12
	[ "$(nc2_stat "$vif" 'staged')" -gt 100 ] || fail "the staging areas were not used"
	[ "$(nc2_stat "$vif" 'tx.*slots')" -gt 10 ] || fail "no slots were used: $(ethtool -S "$vif")"
	[ "$(nc2_stat "$vif" 'errors')" -eq 0 ] || fail "errors: $(ethtool -S "$vif")"

	on='ethtool -K eth0 tx on rx on sg on tso on tx-tcp6-segmentation on tx-udp-segmentation on gro on'
	for k in tx rx tso sg tx-udp-segmentation gro; do
		verify "$k off" 10.0.0. "$on && ethtool -K eth0 $k off"
	done
	for k in tx tso sg; do
		must ethtool -K "$vif" $k off
		verify "$k of dom0 off" fd00:0:: "$on"
		must ethtool -K "$vif" tx on sg on tso on tx-tcp6-segmentation on
	done

	queues 2
	queues 4
	queues 1
	verify "small rings" 10.0.0. 'ethtool -G eth0 rx 256 tx 256; sleep 1
		ethtool -g eth0 | grep -c "TX:.*256"'
	for mtu in 9000 65521; do
		must ip link set "$vif" mtu $mtu
		must ip link set xenbr0 mtu $mtu
		verify "MTU $mtu" 10.0.0. "ip link set eth0 mtu $mtu"
	done
	must ip link set xenbr0 mtu 1500
	must modprobe 8021q
	must ip link add link xenbr0 name vl type vlan id 5
	must ip addr add 10.5.0.1/24 dev vl
	must ip link set vl up
	verify "VLAN" 10.5.0. 'ip link set eth0 mtu 1500; modprobe 8021q; ip link add link eth0 name vl type vlan id 5
		ip addr add 10.5.0.2/24 dev vl; ip link set vl up'
	step "VLAN: checksums and segments are left to the other end there, too"
	for k in tx-checksumming tcp-segmentation-offload; do
		guest_must g1 20 "ethtool -k vl | grep -x '$k: on'"
	done
	packets=$(<"/sys/class/net/$vif/statistics/rx_packets")
	bytes=$(<"/sys/class/net/$vif/statistics/rx_bytes")
	net_verify g1 10.5.0.1 --tcp --sizes 60000-65535 --count 50 --dir out
	packets=$(($(<"/sys/class/net/$vif/statistics/rx_packets") - packets))
	bytes=$(($(<"/sys/class/net/$vif/statistics/rx_bytes") - bytes))
	[ $((bytes / packets)) -gt 4000 ] || fail "tagged packets are of $((bytes / packets)) bytes"
	[ "$(nc2_stat "$vif" 'errors')" -eq 0 ] || fail "errors: $(ethtool -S "$vif")"
	guest_must g1 20 "[ \"\$(ethtool -S eth0 | awk '/errors/ { n += \$2 } END { print n + 0 }')\" = 0 ]"
	must ip link delete vl
	guest_destroy g1
done

step "without staging areas: by grant copies"
kib=$(cat /sys/module/netchannel2/parameters/staging_kib)
echo 0 >/sys/module/netchannel2/parameters/staging_kib
nc2_guest g1 10.0.0.2/24 fd00:0::2/64 -- vif="$(nc2_vif 1)"
vif=vif$(guest_id g1).0
verify "grant copies" "10.0.0. fd00:0::"
[ "$(nc2_stat "$vif" 'staged')" -eq 0 ] || fail "staging areas were used: $(ethtool -S "$vif")"
[ "$(nc2_stat "$vif" 'copied')" -gt 100 ] || fail "no grant copies: $(ethtool -S "$vif")"

step "a guest that does not trust its backend: no slots"
echo "$kib" >/sys/module/netchannel2/parameters/staging_kib
nc2_attach g1 "$(nc2_vif 2),untrusted"
must ip addr add 10.9.0.1/24 dev xenbr0
guest_net g1 eth1 10.9.0.2/24
net_serve g1
net_verify dom0 10.9.0.2 --udp --gso 1000 --count 2000 --loss 1000
vif=vif$(guest_id g1).1
[ "$(nc2_stat "$vif" 'staged')" -gt 10 ] || fail "the staging areas were not used"
[ "$(nc2_stat "$vif" 'slots')" -eq 0 ] || fail "slots were used: $(ethtool -S "$vif")"
guest_destroy g1
