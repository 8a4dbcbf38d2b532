# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: rate of a vif with 4 queues, a guest that does not read.
# timeout: 1800
# kernels: 6.12

nc2_up max_queues=4

step "a rate of 2 MB/s with 4 queues"
nc2_params=max_queues=4 nc2_guest g1 10.0.0.2/24 -- vcpus=2 vif="$(nc2_vif 1 rate=2MB/s)"
vif=vif$(guest_id g1).0
[ "$(find "/sys/class/net/$vif/queues" -name 'rx-*' | wc -l)" -eq 4 ] || fail "not 4 queues"
iperf3 -s -D
guest_post g1 'iperf3 -c 10.0.0.1 -P 8 -t 25 >/dev/null'
sleep 5
rx() { cat "/sys/class/net/$vif/statistics/rx_bytes"; }
from=$(rx) t=${EPOCHREALTIME/./}
sleep 15
bytes=$(($(rx) - from)) t=$((${EPOCHREALTIME/./} - t))
rate=$((bytes * 1000 / (t / 1000)))
want=$(xenstore-read "/local/domain/0/backend/vif/$(guest_id g1)/0/rate" | awk -F, '{ print int($1 * 1000000 / $2) }')
echo "rate: $rate bytes/s of $want"
[ $((rate * 100)) -ge $((want * 95)) ] && [ $((rate * 100)) -le $((want * 105)) ] ||
	fail "the rate is $rate bytes/s and not $want +- 5 %"
guest_wait g1 100 || :
for q in 0 1 2 3; do
	[ "$(nc2_stat "$vif" "rx${q}_packets")" -gt 0 ] || fail "queue $q was not used"
done
pkill iperf3

step "a guest that does not read: what waits for it is bounded, and dropped"
must xl pause g1
before=$(awk '/^MemFree/ { print $2 }' /proc/meminfo)
must ip neigh replace 10.0.0.2 lladdr 00:16:3e:00:00:01 dev xenbr0 nud permanent
for i in 1 2 3 4; do
	timeout 20 sockperf tp -i 10.0.0.2 -p 900$i -m 1400 -t 15 >/dev/null 2>&1 &
done
wait
after=$(awk '/^MemFree/ { print $2 }' /proc/meminfo)
echo "free memory: $before KiB, $after while the guest stands still"
[ $((before - after)) -lt 32768 ] || fail "$((before - after)) KiB are kept for a guest that does not read"
no_carrier() { [ "$(cat "/sys/class/net/$vif/carrier")" = 0 ]; }
wait_for 20 no_carrier || fail "carrier is on though nobody reads"
must xl unpause g1
carrier() { [ "$(cat "/sys/class/net/$vif/carrier")" = 1 ]; }
wait_for 20 carrier || fail "carrier stays off though the guest reads again"
net_serve dom0
net_verify g1 10.0.0.1 --tcp --count 10
guest_destroy g1
