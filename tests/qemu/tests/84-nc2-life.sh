# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: attach, detach, destroy, reload, reboot under load leave nothing behind.
# timeout: 3600
# kernels: 6.1

attaches=3 kills=2
[ -z "${note_long:-}" ] || attaches=100 kills=20

bed_udev
nc2_up
net_serve dom0

base_evtchn=$(grep -c 'vif[0-9]*\.[0-9]*-q' /proc/interrupts || :)
[ "$base_evtchn" -eq 0 ] || fail "interrupts of vifs before there is one"

# A PVH guest takes three times as long here, emulated.
nc2_guest g1 10.0.0.2/24 -- vif="$(nc2_vif 1)"
net_load g1 10.0.0.1 --rate 20

step "$attaches times attach and detach under traffic"
for i in $(seq $attaches); do
	nc2_attach g1 "$(nc2_vif 2)"
	wait_for 20 grep -q "vif$(guest_id g1).1-q" /proc/interrupts ||
		fail "turn $i: not connected: $(xenstore-ls "/local/domain/0/backend/vif/$(guest_id g1)/1")"
	guest_must g1 60 'd=$(grep -l 00:16:3e:00:00:02 /sys/class/net/*/address); d=${d%/address}
		ip addr add 10.0.0.9/24 dev ${d##*/}; ip link set ${d##*/} up; ping -c 1 -I ${d##*/} -W 2 10.0.0.1 >/dev/null; true'
	must timeout $((60 * patience)) xl network-detach g1 00:16:3e:00:00:02
	[ "$i" -ne 3 ] || free3=$(free_kib)
done
[ "$(grep -c 'vif[0-9]*\.[0-9]*-q' /proc/interrupts)" -eq 1 ] || fail "interrupts: $(grep vif /proc/interrupts)"
free=$(free_kib)
echo "free memory: $free3 KiB after 3 turns, $free after $attaches"
# A connection's memory is up to 8 MiB of the guest, mapped here: pages, not memory.
[ $((free3 - free)) -lt 6144 ] || fail "dom0 has lost $((free3 - free)) KiB"
guest_must g1 60 'kill -0 $(cat /tmp/load.pid) || { cat /tmp/load.out; exit 1; }
	awk "/MemAvail/ { print }" /proc/meminfo'

# Xenbus lets no module go that has a device.
unload='for d in /sys/bus/$bus/drivers/netchannel2/vif-*; do
		echo ${d##*/} >/sys/bus/$bus/drivers/netchannel2/unbind || exit 1
	done; modprobe -r netchannel2'
step "the guest's module is loaded anew"
guest_must g1 100 "kill \$(cat /tmp/load.pid); bus=xen; $unload && modprobe netchannel2"
guest_net g1 eth0 10.0.0.2/24
net_verify g1 10.0.0.1 --tcp --count 10

step "dom0's module is loaded anew under load; the connection lives"
net_load g1 10.0.0.1 --rate 20
sleep 2
must sh -c "bus=xen-backend; $unload"
[ -z "$(net_vifs)" ] || fail "vifs without a driver: $(net_vifs)"
must modprobe netchannel2
wait_for 30 test -e "/sys/class/net/xenbr0/brif/vif$(guest_id g1).0" || fail "the vif is not on the bridge again"
sleep 5
net_load_end g1

step "reboot"
net_load g1 10.0.0.1 --rate 20
before=$(guest_id g1)
guest_must g1 30 'setsid sh -c "sleep 1; /run/pvio/busybox reboot -f" >/dev/null 2>&1 &'
guest_is_new() { [ "$(guest_id g1)" -ne "$before" ]; }
wait_for 100 guest_is_new || fail "the guest does not come back"
guest_await g1 200 state 'ready *' || fail "no agent after the reboot"
guest_must g1 60 'modprobe netchannel2'
guest_net g1 eth0 10.0.0.2/24
net_verify g1 10.0.0.1 --tcp --count 10
guest_destroy g1

step "$kills guests killed under load"
for i in $(seq $kills); do
	nc2_guest g1 10.0.0.2/24 -- type="$([ $((i % 2)) -eq 0 ] && echo pv || echo pvh)" vif="$(nc2_vif 1)"
	net_load g1 10.0.0.1 --rate 100
	sleep 1
	guest_destroy g1
	wait_for 20 net_vifs_gone || fail "turn $i: left: $(net_vifs)"
	! grep 'vif[0-9]*\.[0-9]*-q' /proc/interrupts || fail "turn $i: an interrupt is left"
done
zombies=$(xl list | awk 'NR > 1 && $1 != "Domain-0"')
[ -z "$zombies" ] || fail "domains are left: $zombies"
must modprobe -r netchannel2
