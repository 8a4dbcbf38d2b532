# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: a hostile backend harms the guest no more than by not carrying its packets.
# timeout: 3600
# kernels: 6.12

ms=1000
[ -z "${note_long:-}" ] || ms=20000
canary=pvio-canary-of-the-guest

bed_udev
nc2_up
net_bridge xenbr1 1
net_serve dom0
guest_config g1 vif="$(nc2_vif 1);mac=00:16:3e:00:00:02,bridge=xenbr1,script=vif-nc2"
# Linux of Debian clears each page that it gives away, and would hide it.
sed -i "s/^extra = '/&init_on_alloc=0 /" "$state/g1.cfg"
guest_boot g1
id=$(guest_id g1)
front=/local/domain/$id/device/vif/0
error=/local/domain/$id/error/device/vif/0

# What the guest has in its memory must not come to the backend: most of what is
# free has held the canary. With half as much, pages that were not zeroed had none.
canary_fill="k=\$(awk '/^MemFree/ { print int(\$2 * 0.4) }' /proc/meminfo)
	for d in /dev/shm /tmp; do yes $canary | head -c \${k}k >\$d/canary || exit 1; done
	rm /dev/shm/canary /tmp/canary"
guest_must g1 60 "$canary_fill; modprobe netchannel2"
guest_net g1 eth0 10.0.0.2/24
guest_net g1 eth1 10.0.1.2/24
irqs='grep -c "eth.*-q" /proc/interrupts'
free="sync; echo 3 >/proc/sys/vm/drop_caches; awk '/^MemFree/ { print \$2 }' /proc/meminfo"
irqs_before=$(guest_must g1 30 "$irqs")
free_before=$(guest_must g1 30 "$free")
must ip neigh replace 10.0.0.2 lladdr 00:16:3e:00:00:01 dev xenbr0 nud permanent

# An ordinary backend after a hostile one.
honest()
{
	evil_leave dom0 "vif-$id-0"
	wait_for 30 test -e "/sys/class/net/xenbr0/brif/vif$id.0" || fail "the vif is not on its bridge again"
	guest_must g1 60 'i=0; until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do
		i=$((i + 1)); [ $i -lt 300 ] || { echo no carrier; exit 1; }; sleep 0.1; done'
	net_verify g1 10.0.0.1 --tcp --count 3
}

# attack WANT CASE [MS]: an error in xenstore (ends), none (goes-on), or either.
attack()
{
	local has
	xenstore-rm "$error" 2>/dev/null || :
	evil_run dom0 "${@:2}"
	has=$(xenstore-read "$error/error" 2>/dev/null) || has=
	case $1 in
	ends)	[ -n "$has" ] || fail "$2: no error in xenstore" ;;
	goes-on) [ -z "$has" ] || fail "$2: error in xenstore: $has" ;;
	esac
	[ "$(xenstore-read "$front/state")" = 4 ] || fail "$2: state of the frontend: $(xenstore-ls "$front")"
}

evil_take dom0 "vif-$id-0" $canary
cut -f1 /sys/kernel/debug/nc2evil/cases
attack goes-on honest 500
attack goes-on a8-dump $ms
attack either a1-messages $ms
attack goes-on a1-contents $ms
attack goes-on a1-slots $ms
attack either a1-counters $ms
for c in a2-finish a2-types a2-headers a2-settings a2-hash-map a2-slots a3-counters; do
	attack ends $c $ms
done
honest
evil_take dom0 "vif-$id-0" $canary
attack goes-on a3-endless $ms
attack ends a5-packets
attack goes-on a5-split
attack either a6-refs
attack either a6-revoked
step "a7: the guest needs memory meanwhile"
guest_post g1 "sleep 1; $canary_fill"
attack either a7-keep $((5 * ms))
guest_wait g1 60 || fail "the guest has no memory"
attack either a7-hold
honest
evil_take dom0 "vif-$id-0" $canary
attack goes-on a9-storm $ms
attack goes-on a10-watches $ms
for c in a11-closing a11-states a11-half a11-reconnect; do
	attack either $c $ms
done
attack ends a12-keys
guest_post g1 "ip neigh replace 10.0.0.1 lladdr 00:16:3e:00:00:0f dev eth0 nud permanent
	timeout 20 sockperf tp -i 10.0.0.1 -p 9001 -m 1400 -t $((6 * ms / 1000)); ip neigh del 10.0.0.1 dev eth0"
attack goes-on a13-stall $((3 * ms))
guest_wait g1 60 || :

step "the guest has all that it had, and lets its driver go"
honest
[ "$(guest_must g1 30 "$irqs")" = "$irqs_before" ] || fail "interrupts of the guest"
# Pages that a backend had kept are given back after a while.
lost=0
memory_is_back()
{
	lost=$((free_before - $(guest_must g1 60 "$free")))
	[ $lost -lt 4096 ]
}
wait_for 60 memory_is_back || fail "the guest has lost $lost KiB"
echo "the guest has $lost KiB less than before"
guest_must g1 60 'cd /sys/bus/xen/drivers/netchannel2; for d in vif-*; do echo $d >unbind; done
	modprobe -r netchannel2 && [ -z "$(ls -d /sys/class/net/eth* 2>/dev/null)" ]'

step "the guest is destroyed while its backend is at it"
guest_must g1 60 'modprobe netchannel2'
evil_take dom0 "vif-$id-0"
evil_post dom0 "$(evil_script a1-messages 60000)"
sleep 2
guest_destroy g1
evil_wait dom0 60 || :
must rmmod nc2evil
[ "$(xl list | awk 'NR > 1' | wc -l)" -eq 1 ] || fail "domains are left: $(xl list)"
