# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: what ethtool says and sets, mtu=, netconsole, frames for others.
# timeout: 900
# long: yes
# kernels: 6.12

nc2_up max_queues=4
net_serve dom0
for port in 1 2 3 4; do
	net_serve dom0 -p 800$port
done
must ip link set xenbr0 mtu 9000
# Either end has another ethtool interface of the kernel.
nc2_params=max_queues=4 nc2_guest g1 10.0.0.2/24 -- kernel=6.1 vcpus=2 \
	vif="$(nc2_vif 1 mtu=9000)"
vif=vif$(guest_id g1).0

step "mtu= is the vif's at both ends"
[ "$(cat "/sys/class/net/$vif/mtu")" = 9000 ] || fail "dom0: MTU $(cat "/sys/class/net/$vif/mtu")"
guest_must g1 30 'cat /sys/class/net/eth0/mtu' | grep -qx 9000 || fail "the guest's MTU is not 9000"
net_verify g1 10.0.0.1 --tcp --sizes 60-65535 --count 10

step "what ethtool says"
guest_must g1 30 'ethtool -i eth0 | grep -x "bus-info: vif-0"; ethtool eth0 | grep "Link detected: yes"'
ethtool -i "$vif" | grep -x "bus-info: vif-$(guest_id g1)-0" || fail "$(ethtool -i "$vif")"
guest_must g1 30 'l=$(cat /sys/class/net/eth0/queues/tx-*/byte_queue_limits/limit | sort -n | tail -n 1); echo "BQL: $l"; [ "$l" -gt 0 ]'
[ "$(nc2_stat "$vif" 'rx0_packets')" -gt 0 ] || fail "$(ethtool -S "$vif")"

step "what it must refuse"
refuses()	# REGEX OPTION...: must_fail in the guest
{
	local said
	! said=$(guest_run g1 30 "ethtool ${*:2} 2>&1") || fail "guest: ethtool ${*:2} passes"
	grep -qE "$1" <<<"$said" || fail "ethtool ${*:2} says: $said"
}
refuses 'rx-usecs must be 0 to 1000' -C eth0 rx-usecs 1001
refuses 'must be a power of two, at least 128' -G eth0 rx 300 tx 300
refuses 'must be a power of two, at least 128' -G eth0 rx 64 tx 64
refuses 'rx and tx must be the same' -G eth0 rx 256 tx 512
refuses 'exceeds maximum' -G eth0 rx 8192 tx 8192
refuses 'exceeds maximum' -L eth0 combined 5
refuses '.' -L eth0 combined 0
refuses '.' -X eth0 equal 5
must_fail "rings are the frontend's to choose" ethtool -G "$vif" rx 256 tx 256
must_fail 'Operation not supported' ethtool -L "$vif" combined 1
refuses 'not supported' --set-tunable eth0 tx-copybreak 1000
net_verify g1 10.0.0.1 --tcp --count 5

step "packets of more bytes have a slot"
ethtool --get-tunable "$vif" tx-copybreak | grep -qx 'tx-copybreak: 32767' ||
	fail "$(ethtool --get-tunable "$vif" tx-copybreak)"
must ethtool --set-tunable "$vif" tx-copybreak 0
net_verify g1 10.0.0.1 --udp --sizes 1000-9000 --count 50 --loss 4
[ "$(nc2_stat "$vif" 'tx.*slots')" -ge 30 ] || fail "$(ethtool -S "$vif")"

step "coalescing"
for us in 1000 1 0; do
	guest_must g1 30 "ethtool -C eth0 rx-usecs $us && ethtool -c eth0 | grep -E 'rx-usecs:[[:space:]]*$us\$'"
	must ethtool -C "$vif" rx-usecs $us
	net_verify g1 10.0.0.1 --tcp --count 10
done

# Events that the guest has sent in 100 packets of a slow stream.
paced()
{
	guest_must g1 60 "n() { ethtool -S eth0 | awk '/tx.*'\$1'/ { n += \$2 } END { print n }'; }
		e=\$(n events) p=\$(n packets)
		sockperf tp -i 10.0.0.1 -p 9 -m 64 --mps 1000 -t 3 >/dev/null
		echo \$(((\$(n events) - e) * 100 / (\$(n packets) - p)))"
}
each=$(paced)
must ethtool -C "$vif" rx-usecs 1000
late=$(paced)
must ethtool -C "$vif" rx-usecs 0
echo "events in 100 packets: $each with rx-usecs 0, $late with 1000"
[ $((late * 2)) -lt "$each" ] || fail "rx-usecs 1000 makes $late events of $each"

# Packets that each of 4 queues has received meanwhile, of flows both ways.
spread()	# WHERE DEV
{
	local of="ethtool -S $2 | sed -n 's/.*rx\([0-9]*\)_packets: /\1 /p'" from to
	from=$(at "$1" 30 "$of")
	guest_must g1 200 'for p in 8001 8002 8003 8004; do
			nettest run --to 10.0.0.1 -p $p --tcp --count 10 >/dev/null & pids="$pids $!"
			nettest run --to 10.0.0.1 -p $p --tcp --count 10 >/dev/null & pids="$pids $!"
		done
		for p in $pids; do wait $p || exit 1; done'
	to=$(at "$1" 30 "$of")
	awk 'NR == FNR { n[$1] = $2; next } { printf "%d ", $2 - n[$1] }' <(echo "$from") <(echo "$to")
}

step "flows go to the queues that were said"
nc2_queues g1 4
guest_must g1 30 'ethtool -x eth0 | grep "with 4 RX ring"; ethtool -X eth0 equal 2'
read -r a b c d <<<"$(spread g1 eth0)"
echo "the guest, to queues 0 and 1: $a $b $c $d"
[ $((a + b)) -gt 80 ] && [ $((c + d)) -eq 0 ] || fail "queues 2 and 3 have $c and $d packets"
must ethtool -X "$vif" weight 0 0 0 1
read -r a b c d <<<"$(spread dom0 "$vif")"
echo "dom0, to queue 3: $a $b $c $d"
[ "$d" -gt 80 ] && [ $((a + b + c)) -eq 0 ] || fail "queues 0 to 2 have $a, $b and $c packets"
guest_must g1 30 'ethtool -X eth0 default'
# 8 flows with hashes by chance: none of them there once in 256 times.
for i in 1 2 3; do
	read -r a b c d <<<"$(spread g1 eth0)"
	echo "the guest, to all: $a $b $c $d"
	[ $((c + d)) -eq 0 ] || break
done
[ $((c + d)) -gt 0 ] || fail "queues 2 and 3 are not used again"

step "netconsole in the guest"
mac=$(cat /sys/class/net/xenbr0/address)
tcpdump -l -n -A -i xenbr0 'udp port 6666' >"$state/netconsole" 2>&1 3>&- &
dump=$!
nap 3
guest_must g1 30 "modprobe netconsole netconsole=6665@10.0.0.2/eth0,6666@10.0.0.1/$mac
	echo '<1>pvio: over netpoll' >/dev/kmsg"
wait_for 20 grep -q 'pvio: over netpoll' "$state/netconsole" || fail "it said: $(cat "$state/netconsole")"
kill $dump
guest_must g1 30 'modprobe -r netconsole'

step "frames for others are seen, if wanted"
must ip neigh replace 10.0.0.99 lladdr 00:16:3e:00:00:99 dev xenbr0 nud permanent
guest_post g1 'timeout 60 tcpdump -n -c 3 -i eth0 ether dst 00:16:3e:00:00:99 2>&1'
nap 5
timeout 20 sockperf tp -i 10.0.0.99 -p 9001 -m 64 --mps 10 -t 5 >/dev/null 2>&1 3>&- || :
guest_wait g1 60 || fail "tcpdump in the guest: status $?"
guest_destroy g1
