# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: a hostile frontend harms nobody but itself: not dom0, and no other guest's vif.
# timeout: 3600
# kernels: 6.1

ms=1000 stall=6000
[ -z "${note_long:-}" ] || ms=20000 stall=40000
canary=pvio-canary-of-dom0

# What dom0 had in its memory must not come to a guest.
yes $canary | head -c 100000000 >/dev/shm/canary || :
rm /dev/shm/canary

nc2_up
net_serve dom0
nc2_guest g2 10.0.0.3/24 -- vif="$(nc2_vif 2)"
irqs() { grep -c 'vif.*-q' /proc/interrupts; }
irqs_before=$(irqs)
devs_before=$(net_vifs)
free_before=$(free_kib)

guest_config g1 vif="$(nc2_vif 1)"
guest_boot g1
id=$(guest_id g1)
back=/local/domain/0/backend/vif/$id/0
error=/local/domain/0/error/backend/vif/$id/0
must ip neigh replace 10.0.0.2 lladdr 00:16:3e:00:00:01 dev xenbr0 nud permanent

# An ordinary frontend after a hostile one.
honest()
{
	evil_leave g1 vif-0
	guest_net g1 eth0 10.0.0.2/24
	net_verify g1 10.0.0.1 --tcp --count 3
	evil_take g1 vif-0 $canary
}

log_lines() { dmesg | grep -c "vif-$id-0" || :; }

# attack WANT CASE [MS]: an error in xenstore (ends), none (goes-on), or either.
attack()
{
	local has from lines
	xenstore-rm "$error" 2>/dev/null || :
	from=$SECONDS lines=$(log_lines)
	evil_run g1 "${@:2}"
	lines=$(($(log_lines) - lines))
	[ $lines -le $((20 + 3 * (SECONDS - from))) ] || fail "$2: $lines lines in the log of dom0"
	has=$(xenstore-read "$error/error" 2>/dev/null) || has=
	case $1 in
	ends)	[ -n "$has" ] || fail "$2: no error in xenstore" ;;
	goes-on) [ -z "$has" ] || fail "$2: error in xenstore: $has" ;;
	esac
	case $(xenstore-read "$back/state") in
	2 | 4)	;;
	*)	fail "$2: state of the backend: $(xenstore-ls "$back")" ;;
	esac
	[ "$(irqs)" -le $((irqs_before + 1)) ] || fail "$2: interrupts: $(grep vif /proc/interrupts)"
	[ -z "${note_long:-}" ] || honest
}

evil_take g1 vif-0 $canary
guest_must g1 30 'cut -f1 /sys/kernel/debug/nc2evil/cases'
attack goes-on honest 500
attack either a1-messages $ms
attack goes-on a1-contents $ms
attack either a1-counters $ms
honest
for c in a2-finish a2-types a2-headers a2-settings a2-hash-map a2-slots a3-counters; do
	attack ends $c $ms
done
honest
attack goes-on a3-endless $ms
attack ends a5-packets
attack goes-on a5-split

step "a5: a message must not become more packets than a stack would make of it"
# All that UDP has got, or would have if somebody listened.
udp() { awk '/^Udp: [0-9]/ { print $2 + $3 }' /proc/net/snmp; }
vif=vif$id.0
got=$(udp) errors=$(nc2_stat "$vif" 'rx.*errors')
attack goes-on a5-segments
got=$(($(udp) - got)) errors=$(($(nc2_stat "$vif" 'rx.*errors') - errors))
# Of four, one is 130 segments of 500 bytes: none of them may pass.
[ $got -eq 0 ] || fail "a5-segments: $got datagrams have become of it"
[ $errors -eq 4 ] || fail "a5-segments: $errors errors were counted, not 4"

attack either a6-refs
attack either a6-revoked
attack ends a6-setup
honest
attack either a7-granted
attack goes-on a9-storm $ms
attack goes-on a10-watches $ms

step "a10: settings that change all the time are told to dom0's programs now and then"
ip -o monitor link dev "vif$id.0" >"$state/monitor" 2>&1 3>&- &
monitor=$!
from=$SECONDS
attack goes-on a10-flap $ms
kill $monitor
lines=$(wc -l <"$state/monitor")
# Four changes at once, then one in a second, each of two lines at most.
[ "$lines" -le $((12 + 2 * (SECONDS - from))) ] || fail "a10-flap: $lines netlink messages in $((SECONDS - from)) s"
for c in a11-closing a11-states a11-half a11-reconnect; do
	attack either $c $ms
done
attack ends a12-keys
honest
step "a12: dom0 allows fewer slots than there may be"
staging_kib=/sys/module/netchannel2/parameters/staging_kib
kib=$(cat $staging_kib)
pages=$(xenstore-read "$back/max-staging-pages")
echo 1024 >$staging_kib
must xenstore-write "$back/max-staging-pages" 256
attack ends a12-slots
echo "$kib" >$staging_kib
must xenstore-write "$back/max-staging-pages" "$pages"
honest

step "a8: dom0 sends to it"
timeout 20 sockperf tp -i 10.0.0.2 -p 9001 -m 1400 -t $((ms / 1000 + 2)) >/dev/null 2>&1 3>&- &
attack goes-on a8-dump $ms
wait

step "a13: dom0 sends to who does not read"
free=$(free_kib)
timeout 60 sockperf tp -i 10.0.0.2 -p 9001 -m 1400 -t $((2 * stall / 1000)) >/dev/null 2>&1 3>&- &
evil_post g1 "$(evil_script a13-stall $stall)"
sleep $((stall / 1000))
lost=$((free - $(awk '/^MemFree/ { print $2 }' /proc/meminfo)))
[ $lost -lt 32768 ] || fail "$lost KiB of dom0 are kept for a guest that does not read"
evil_wait g1 $((60 + 2 * stall / 1000)) || fail "a13-stall"
wait

step "a13: dom0 sends to who reads 8 bytes now and then"
timeout 40 sockperf tp -i 10.0.0.2 -p 9001 -m 1400 -t 30 >/dev/null 2>&1 3>&- &
sender=$!
evil_post g1 "$(evil_script a13-trickle 16000)"
no_carrier() { [ "$(cat "/sys/class/net/$vif/carrier")" = 0 ]; }
wait_for 14 no_carrier || fail "carrier is on though nothing is read"
kill $sender 2>/dev/null || :
evil_wait g1 120 || fail "a13-trickle"
wait

step "a13: slots that never come back"
evil_post dom0 "python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 1400)	# UDP_SEGMENT
end = time.time() + 3 * $stall / 2000 + 4
while time.time() < end:
    s.sendto(bytes(42000), (\"10.0.0.2\", 9001))
    time.sleep(0.02)'"
sleep 1
attack ends a13-slots $stall
evil_wait dom0 60

guest_post g1 "$(evil_script a1-messages 100000)"
sleep 2
step "the attacker is destroyed in the middle of it"
guest_destroy g1
vifs_as_before() { [ "$(net_vifs)" = "$devs_before" ] && [ "$(irqs)" = "$irqs_before" ]; }
wait_for 20 vifs_as_before || fail "left: $(net_vifs) $(grep vif /proc/interrupts)"
[ "$(xl list | awk 'NR > 1' | wc -l)" -eq 2 ] || fail "domains are left: $(xl list)"
lost=$((free_before - $(free_kib)))
echo "dom0 has $lost KiB less than before"
[ $lost -lt 8192 ] || fail "dom0 has lost $lost KiB"
net_verify g2 10.0.0.1 --tcp --count 20
guest_destroy g2
