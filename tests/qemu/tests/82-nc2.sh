# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A guest's vif with script=vif-nc2: verified data both ways.
# timeout: 600

net_up
nc2='mac=00:16:3e:00:00:01,bridge=xenbr0,script=vif-nc2'
for type in pv pvh; do
	guest_config g1 type=$type vif="$nc2"
	guest_boot g1
	guest_must g1 60 'modprobe netchannel2'
	guest_net g1 eth0 10.0.0.2/24 fd00:0::2/64
	ethtool -i "vif$(guest_id g1).0" | grep -x 'driver: netchannel2' || fail "dom0's driver of the vif: $(ethtool -i "vif$(guest_id g1).0")"
	guest_must g1 60 'ethtool -i eth0 | grep -x "driver: netchannel2"; ethtool -S eth0; ethtool -k eth0 | grep -E "checksumming|scatter|segmentation"'
	net_serve dom0
	step "guest g1: ping"
	guest_must g1 60 'ping -c 3 -i 0.2 10.0.0.1'
	step "guest g1: nettest"
	net_verify g1 10.0.0.1 --tcp --sizes 60-65535 --count 50 --seed 1
	net_verify g1 10.0.0.1 --udp --sizes 60-60000 --count 50 --seed 2
	guest_must g1 60 'ethtool -S eth0'
	guest_destroy g1
done
