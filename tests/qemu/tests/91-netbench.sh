# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cost of network packets, mainline and netchannel2 in turns, in one guest.
# timeout: 1800
# icount: yes

# One PV guest, one bridge in dom0, a vif for each driver; all is the same for
# both, and each figure is taken of one driver and then of the other, twice.
drivers=(mainline)
vifs='mac=00:16:3e:00:00:01,bridge=xenbr0'
! modinfo -n netchannel2 >/dev/null 2>&1 || {
	drivers+=(netchannel2)
	vifs+=';mac=00:16:3e:00:00:02,bridge=xenbr0,script=vif-nc2'
	must modprobe netchannel2
}
net_up
must ip addr add 10.0.1.1/24 dev xenbr0
must modprobe -a pktgen sch_ingress cls_matchall act_gact
# QEMU's processor does not say that its clock is the same at all times, so Xen
# would trap each time the guest reads it, which no processor of the last fifteen
# years needs, and which would be a twelfth of what a byte costs with netchannel2.
guest_config g1 type=pv memory=384 tsc=native vif="$vifs"
guest_boot g1 300
guest_must g1 60 'modprobe -a xen-netfront pktgen sch_ingress cls_matchall act_gact
	modprobe -q netchannel2; echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; sleep 1
	# Who is eth0 depends on who was loaded first.
	for d in /sys/class/net/eth*; do
		case $(cat $d/address) in *:01) name=new0 ;; *) name=new1 ;; esac
		ip link set ${d##*/} name $name || exit 1
	done
	ip link set new0 name eth0; [ ! -e /sys/class/net/new1 ] || ip link set new1 name eth1
	ip -br link'
id=$(guest_id g1)
results=$state/results
for n in "${!drivers[@]}"; do
	guest_net g1 eth$n 10.0.$n.2/24
	# Where a packet of pktgen ends, on either side: first thing after the driver.
	must tc qdisc add dev "vif$id.$n" clsact
	guest_must g1 30 "tc qdisc add dev eth$n clsact"
done
iperf3 -s -D >/dev/null 3>&-
guest_must g1 30 'iperf3 -s -D >/dev/null; setsid sockperf server -p 11111 >/dev/null 2>&1 </dev/null &'
sockperf server -p 11111 >/dev/null 2>&1 3>&- &
sockperf=$!
trap 'kill $sockperf; pkill -x iperf3 || :' EXIT

result()	# KIND DRIVER NAME VALUE...
{
	echo "$*" | tee -a "$results"
}

# The file's number now, and when it was read, without starting a program.
count()	# FILE -> count_value count_us
{
	read -r count_value <"$1"
	count_us=${EPOCHREALTIME//[!0-9]/}
}

# ---------------------------------------------------------------------------
# TCP: of the client's report, what the receiver got, in kbit/s.

tcp()	# N DRIVER
{
	local dir reverse
	for dir in out in; do
		reverse=
		[ $dir = out ] || reverse=-R
		kbits=$(guest_must g1 100 "iperf3 -c 10.0.$1.1 -t 2 -O 0.5 -f k $reverse |
			awk '/receiver/ { for (i = 2; i <= NF; i++) if (\$i == \"Kbits/sec\") print \$(i - 1) }'")
		result net "$2" tcp-$dir "$kbits"
	done
}

# ---------------------------------------------------------------------------
# 64 bytes on the wire, without the four of the frame check. Counted in the
# receiver's netdev, dropped by tc in its ingress, before the bridge and IP.
# A pktgen whose queue is full spins until Xen takes the processor away: what is
# measured is the rate of the slower end, with half of the processor.

pktgen_setup='pktgen_setup() {	# netdev count
	p=/proc/net/pktgen
	echo rem_device_all >$p/kpktgend_0
	echo add_device $1 >$p/kpktgend_0
	for c in "count $2" "pkt_size 60" "clone_skb 0" "delay 0" "dst 10.9.9.9" \
			"dst_mac 00:16:3e:99:99:99" "udp_dst_min 9" "udp_dst_max 9"; do
		echo "$c" >$p/$1
	done
}'
eval "$pktgen_setup"
drop='ingress matchall action drop'

pktgen()	# N DRIVER
{
	local vif=vif$id.$1 a at rate
	must tc filter add dev "$vif" $drop
	guest_must g1 20 "tc filter add dev eth$1 $drop"
	guest_must g1 20 "$pktgen_setup; pktgen_setup eth$1 0"
	guest_post g1 'echo start >/proc/net/pktgen/pgctrl & sleep 3.5; echo stop >/proc/net/pktgen/pgctrl; wait'
	nap 1
	count "/sys/class/net/$vif/statistics/rx_packets"
	a=$count_value at=$count_us
	nap 2
	count "/sys/class/net/$vif/statistics/rx_packets"
	guest_wait g1 60 || fail "pktgen in the guest: status $?"
	result net "$2" pktgen-out $(((count_value - a) * 1000000 / (count_us - at)))

	pktgen_setup "$vif" 0
	echo start >/proc/net/pktgen/pgctrl &
	nap 0.5
	rate=$(guest_must g1 60 "r=/sys/class/net/eth$1/statistics/rx_packets
		a=\$(cat \$r) at=\$(date +%s%N); sleep 2; b=\$(cat \$r) bt=\$(date +%s%N)
		echo \$(((b - a) * 1000000000 / (bt - at)))")
	echo stop >/proc/net/pktgen/pgctrl
	wait $!
	result net "$2" pktgen-in "$rate"
	must tc filter del dev "$vif" ingress
	guest_must g1 20 "tc filter del dev eth$1 ingress"
}

# ---------------------------------------------------------------------------
# 64 bytes from socket to socket: sent, and arrived there; then one at a time.

udp_in='awk "/^Udp: [0-9]/ { print \$2 }" /proc/net/snmp'

udp_rate()	# OUTPUT ARRIVED -> sent and arrived a second
{
	awk -v arrived="$2" '/messages sent in/ {
		for (i = 1; i <= NF; i++) {
			if ($i == "sent") sent = $(i - 2)
			if ($i == "sec") seconds = $(i - 1)
		}
		printf "%.0f %.0f\n", sent / seconds, arrived / seconds }' <<<"$1"
}

udp()	# N DRIVER
{
	local a out test='sockperf throughput -p 11111 -m 64 -t 2 -i'
	a=$(eval "$udp_in")
	out=$(guest_must g1 60 "$test 10.0.$1.1 | grep -a 'sent in'")
	result net "$2" udp-out "$(udp_rate "$out" $(($(eval "$udp_in") - a)))"
	a=$(guest_must g1 20 "$udp_in")
	out=$($test 10.0.$1.2)
	nap 0.2
	result net "$2" udp-in "$(udp_rate "$out" $(($(guest_must g1 20 "$udp_in") - a)))"
	out=$(guest_must g1 60 "sockperf ping-pong -p 11111 -m 64 -t 1 -i 10.0.$1.1 | grep -a 'Latency is'")
	result net "$2" rr "$(sed 's/.*Latency is \([0-9.]*\).*/\1/' <<<"$out")"
}

# ---------------------------------------------------------------------------
# Operations: starting programs, in dom0 and in the guest, takes many of them. So
# each is done twice, and more is what the difference is of.

traced()	# COMMAND...: what it cost in all, in $ops
{
	local tracer
	"$(echo /usr/lib/xen-*/bin/xentrace)" -D -S 2048 -e 0x00201000 "$state/trace" >/dev/null 2>&1 3>&- &
	tracer=$!
	nap 1
	"$@"
	kill -INT $tracer
	wait $tracer || :
	ops=$(python3 /opt/pvio/count-hypercalls "$state/trace" 1)
	rm -f "$state/trace"
}

tcp_out()	{ guest_must g1 100 "iperf3 -c 10.0.$1.1 -n $2M >/dev/null"; }
tcp_in()	{ guest_must g1 100 "iperf3 -c 10.0.$1.1 -R -n $2M >/dev/null"; }
pktgen_out()
{
	guest_must g1 100 "$pktgen_setup; pktgen_setup eth$1 $2; echo start >/proc/net/pktgen/pgctrl"
}
pktgen_in()
{
	pktgen_setup "vif$id.$1" "$2"
	echo start >/proc/net/pktgen/pgctrl
}

# What the second has more than the first, "NAME=VALUE..." each.
more()
{
	awk -v first="$1" -v second="$2" 'BEGIN {
		split(first, a, " "); n = split(second, b, " ")
		for (i = 1; i <= n; i++) {
			split(a[i], x, "="); split(b[i], y, "=")
			printf "%s=%d%s", y[1], y[2] - x[2], i < n ? " " : "\n"
		}
	}'
}

# The sender's netdev counts a GSO packet as one; the receiver's bytes tell how
# many of an MTU of 1500 that is: 1514 with the Ethernet header.
counted()	# WHAT N AMOUNT PACKETS BYTES: operations and packets, in $ops
{
	local packets bytes
	read -r packets <"$4"
	read -r bytes <"$5"
	traced "$1" "$2" "$3"
	packets=$(($(<"$4") - packets)) bytes=$(($(<"$5") - bytes))
	ops="$ops mtu=$((bytes / 1514)) gso=$packets"
}

operations()	# N DRIVER
{
	local what less d=/sys/class/net/vif$id.$1/statistics
	for what in tcp_out tcp_in; do
		local p=rx_packets b=rx_bytes
		[ $what = tcp_out ] || p=tx_packets b=tx_bytes
		counted $what "$1" 16 "$d/$p" "$d/$b"
		less=$ops
		counted $what "$1" 112 "$d/$p" "$d/$b"
		result netops "$2" ${what/_/-} "$(more "$less" "$ops")"
	done
	must tc filter add dev "vif$id.$1" $drop
	guest_must g1 20 "tc filter add dev eth$1 $drop"
	for what in pktgen_out pktgen_in; do
		traced $what "$1" 10000
		less="$ops packets=10000"
		traced $what "$1" 40000
		result netops "$2" ${what/_/-} "$(more "$less" "$ops packets=40000")"
	done
	must tc filter del dev "vif$id.$1" ingress
	guest_must g1 20 "tc filter del dev eth$1 ingress"
}

for round in 1 2; do
	for test in tcp pktgen udp; do
		for n in "${!drivers[@]}"; do
			step "round $round: $test, ${drivers[n]}"
			$test "$n" "${drivers[n]}"
		done
	done
done
for n in "${!drivers[@]}"; do
	step "operations, ${drivers[n]}"
	operations "$n" "${drivers[n]}"
done
uname -r | sed 's/^/kernel /' >>"$results"
bed_file netbench.txt <"$results"
guest_destroy g1
