# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# TCP with 1, 2 and 4 queues between two processors, mainline and netchannel2.
# timeout: 1800
# smp: 2

[ "$(nproc)" -ge 2 ] || fail "dom0 has one processor; bed --dom0-vcpus 2"
drivers=(mainline)
! modinfo -n netchannel2 >/dev/null 2>&1 || drivers+=(netchannel2)
net_bridge
must modprobe netchannel2 max_queues=4
must modprobe xen-netback max_queues=4
iperf3 -s -D >/dev/null 3>&-
trap 'pkill -x iperf3 || :' EXIT

# Mainline has no ethtool -L; it counts when it connects.
queues_mainline()
{
	guest_must g1 60 "modprobe xen-netfront
		echo $1 >/sys/module/xen_netfront/parameters/max_queues
		cd /sys/bus/xen/drivers/vif && echo vif-0 >unbind && echo vif-0 >bind"
	guest_net g1 eth0 10.0.0.2/24
}

# The netdev stays.
queues_netchannel2()
{
	guest_must g1 60 'modprobe netchannel2 max_queues=4'
	guest_run g1 60 'ip addr show dev eth0 | grep -q 10.0.0.2' || guest_net g1 eth0 10.0.0.2/24
	nc2_queues g1 "$1"
}

kbits()	# OPTION...
{
	guest_must g1 200 "iperf3 -c 10.0.0.1 -t 4 -O 1 -P 4 -f k $* |
		awk '/SUM.*receiver/ { for (i = 2; i <= NF; i++) if (\$i == \"Kbits/sec\") print \$(i - 1) }'"
}

for driver in "${drivers[@]}"; do
	vif='mac=00:16:3e:00:00:01,bridge=xenbr0'
	[ "$driver" = mainline ] || vif+=,script=vif-nc2
	guest_config g1 type=pv vcpus=2 memory=384 vif="$vif"
	guest_boot g1
	for n in 1 2 4; do
		step "$driver, $n queues"
		"queues_$driver" $n
		have=$(guest_must g1 20 'ls -d /sys/class/net/eth0/queues/tx-* | wc -l')
		[ "$have" -eq $n ] || fail "$driver has $have queues and not $n"
		echo "netscale $driver $n $(kbits) $(kbits -R)" | tee -a "$state/results"
	done
	guest_destroy g1
done
bed_file netscale.txt <"$state/results"
