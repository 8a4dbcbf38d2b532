# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: packets of a flow in order, whatever a stack hands in, a router guest.
# timeout: 900
# kernels: 6.1

nc2_up
must ip link add xenbr1 type bridge
must ip link set xenbr1 up
net_serve dom0
nc2_guest g1 10.0.0.2/24 -- kernel=6.12 memory=384 \
	vif="$(nc2_vif 1);mac=00:16:3e:00:00:02,bridge=xenbr1,script=vif-nc2"
guest_net g1 eth1 10.0.1.2/24
net_serve g1
vif=vif$(guest_id g1).0
must ip neigh replace 10.0.0.2 lladdr 00:16:3e:00:00:01 dev xenbr0 nud permanent

# How often TCP, as sender, has found its segments in another order, so far; not
# those that it had to send again.
late='awk "/^TcpExt:/ && !n { n = split(\$0, name) } /^TcpExt: [0-9]/ {
	split(\$0, v); for (i in name) if (name[i] == \"TCPSACKReorder\") print v[i] }" /proc/net/netstat'

step "UDP: small and large packets of a flow, both ways"
found=$(net_verify dom0 10.0.0.2 --udp --sizes 60-1400 --count 4000 --loss 400)
echo "$found"
n=$(grep -o '_reordered=[0-9]*' <<<"$found" | awk -F= '{ n += $2 } END { print n + 0 }')
[ "$n" = 0 ] || fail "$n of 8000 packets came after later ones"

step "TCP: small, ordinary and GSO packets of a flow, both ways"
guest_must g1 20 'iperf3 -s -D >/dev/null'
for tso in on off; do
	must ethtool -K "$vif" tso $tso
	guest_must g1 20 "ethtool -K eth0 tso $tso"
	for options in "-l 700" "-l 1600" "-l 700 -R" "-l 1600 -R"; do
		before="$(eval "$late") $(guest_must g1 20 "$late")"
		# shellcheck disable=SC2086 # options
		must timeout 100 iperf3 -c 10.0.0.2 -N $options -n 2M -i 0
		after="$(eval "$late") $(guest_must g1 20 "$late")"
		[ "$before" = "$after" ] || fail "tso $tso, $options: out of order: $before, then $after"
	done
done

step "UDP of 65,535 bytes of IP in segments, and many segments"
guest_must g1 20 'setsid sockperf server -p 9001 >/dev/null 2>&1 </dev/null & sleep 1'
udp='awk "/^Udp: [0-9]/ { print \$2 + \$3 }" /proc/net/snmp'
segments()	# BYTES SEGMENT
{
	local before after
	before=$(guest_must g1 20 "$udp")
	must python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, $2)	# UDP_SEGMENT
s.sendto(bytes($1), ('10.0.0.2', 9001))"
	nap 0.5
	after=$(guest_must g1 20 "$udp")
	[ $((after - before)) -eq $((($1 + $2 - 1) / $2)) ] ||
		fail "$1 bytes in segments of $2: $((after - before)) have arrived"
}
segments 65507 1400
segments 5000 100
segments 640 10

# The frames are the sender's as they are: a raw socket with a virtio header.
step "checksums where there is no place for one: the packet is dropped, and counted"
dropped=$(nc2_stat "$vif" 'tx.*dropped')
must python3 -c "
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('$vif', 0))
s.setsockopt(263, 15, 1)	# SOL_PACKET, PACKET_VNET_HDR
ip = bytes.fromhex('450000640000000040110000' + '0a000001' + '0a000002')
frame = bytes.fromhex('00163e000001' + '0200000000aa' + '0800') + ip
for start in (0, 4, 12):
    s.send(struct.pack('<BBHHHH', 1, 0, 0, 0, start, 6) + frame + bytes(80))"
[ "$(nc2_stat "$vif" 'tx.*dropped')" -eq $((dropped + 3)) ] ||
	fail "not 3 packets were dropped: $(ethtool -S "$vif")"
net_verify dom0 10.0.0.2 --tcp --count 3
[ "$(xenstore-read "/local/domain/0/backend/vif/$(guest_id g1)/0/state")" = 4 ] ||
	fail "the connection has ended"
! xenstore-read "/local/domain/0/error/backend/vif/$(guest_id g1)/0/error" 2>/dev/null ||
	fail "an error is in xenstore"

step "pages of a zero-copy sender come back at once, though the guest does not read"
must xl pause g1
must python3 -c "
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 60, 1)	# SO_ZEROCOPY
for i in range(60):
    s.sendto(bytes(1400), 0x4000000, ('10.0.0.2', 9002))	# MSG_ZEROCOPY
back, end = 0, time.monotonic() + 10
while back < 60 and time.monotonic() < end:
    try:
        err = s.recvmsg(0, 256, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1][0][2]
        low, high = struct.unpack('IBBBBII', err[:16])[5:7]
        back += high - low + 1
    except BlockingIOError:
        time.sleep(0.05)
sys.exit(f'{back} of 60 packets have come back' if back < 60 else 0)"
must xl unpause g1

step "a router guest does not cut up what it has received in pieces"
must modprobe veth
must ip netns add far
must ip link add far0 type veth peer name far1 netns far
must ip link set far0 master xenbr1 up
must ip netns exec far ip addr add 10.0.1.9/24 dev far1
must ip netns exec far ip link set far1 up
must ip netns exec far ip route add 10.0.0.0/24 via 10.0.1.2
must ip route add 10.0.1.9/32 via 10.0.0.2
guest_must g1 20 'echo 1 >/proc/sys/net/ipv4/ip_forward; ethtool -K eth0 tso on'
ip netns exec far iperf3 -s -D 3>&-
must ethtool -K "$vif" tso off
d=/sys/class/net/vif$(guest_id g1).1/statistics
packets=$(<"$d/rx_packets") bytes=$(<"$d/rx_bytes")
must timeout 100 iperf3 -c 10.0.1.9 -n 32M -i 0
packets=$(($(<"$d/rx_packets") - packets)) bytes=$(($(<"$d/rx_bytes") - bytes))
echo "the router has sent $packets packets of $((bytes / packets)) bytes"
[ $((bytes / packets)) -gt 6000 ] || fail "it has sent $((bytes / packets)) bytes in a packet"
pkill -x iperf3 || :
guest_destroy g1
must ip route del 10.0.1.9/32
must ip netns del far
must ip link del xenbr1
