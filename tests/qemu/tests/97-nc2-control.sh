# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: MTU of the bridge, carrier as with netback, ethtool -L and -G at once or not at all.
# timeout: 900
# kernels: 6.12

nc2_up max_queues=4
net_serve dom0
must ip link set xenbr0 mtu 8000
nc2_params=max_queues=4 nc2_guest g1 10.0.0.2/24 -- vcpus=2 vif="$(nc2_vif 1)"
id=$(guest_id g1)
vif=vif$id.0

guest_mtu()	# MTU
{
	guest_must g1 30 "i=0; until [ \$(cat /sys/class/net/eth0/mtu) = $1 ]; do
		i=\$((i + 1)); [ \$i -lt 100 ] || { echo the MTU is \$(cat /sys/class/net/eth0/mtu), not $1; exit 1; }
		sleep 0.1; done"
}

step "a guest without mtu= learns that of the bridge, and each later one"
guest_mtu 8000
net_verify g1 10.0.0.1 --tcp --sizes 60-65535 --count 10
must ip link set "$vif" mtu 7000
guest_mtu 7000
must xenstore-write "/local/domain/$id/device/vif/0/mtu" 6000
guest_mtu 6000
must ip link set "$vif" mtu 1500
guest_mtu 1500

step "a device that is down does not take the other end's carrier"
carriers()
{
	[ "$(cat "/sys/class/net/$vif/carrier")" = 1 ] || fail "dom0: no carrier"
}
guest_must g1 30 'ip link set eth0 down; sleep 1'
carriers
guest_must g1 30 'ip link set eth0 up'
must ip link set "$vif" down
nap 1
guest_must g1 30 '[ "$(cat /sys/class/net/eth0/carrier)" = 1 ]'
must ip link set "$vif" up
wait_for 60 guest_run g1 30 'ping -c 1 -W 2 10.0.0.1' || fail "no way to dom0 any more"

step "ethtool -L and -G have done it when they return"
for n in 4 1 2; do
	guest_must g1 60 "ethtool -L eth0 combined $n && [ \$(ls -d /sys/class/net/eth0/queues/rx-* | wc -l) = $n ]"
	[ "$(find "/sys/class/net/$vif/queues" -name 'rx-*' | wc -l)" -eq "$n" ] || fail "dom0 does not have $n queues"
done
guest_must g1 60 'ethtool -G eth0 rx 512 tx 512 && ethtool -g eth0 | tail -n 5 | grep -q "TX:.*512"'
net_verify g1 10.0.0.1 --tcp --count 10

step "what the backend refuses leaves all as it was"
echo 2 >/sys/module/netchannel2/parameters/max_queues
guest_must g1 100 '! ethtool -L eth0 combined 4 || exit 1
	[ $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l) = 2 ] || exit 2
	ethtool -g eth0 | tail -n 5 | grep -q "TX:.*512" || exit 3'
net_verify g1 10.0.0.1 --tcp --count 10
step "the guest suspends to RAM by itself, and its backend does not know"
guest_run g1 60 'echo devices >/sys/power/pm_test && echo freeze >/sys/power/state; echo none >/sys/power/pm_test' ||
	fail "the guest cannot be suspended"
wait_for 60 guest_run g1 30 'ping -c 1 -W 2 10.0.0.1' || fail "no way to dom0 after it"
net_verify g1 10.0.0.1 --tcp --count 10
guest_destroy g1
