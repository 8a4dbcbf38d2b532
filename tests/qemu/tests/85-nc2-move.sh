# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: a TCP connection survives save, restore, pause and live migration.
# timeout: 3600
# kernels: 6.12

turns=1
[ -z "${note_long:-}" ] || turns=20

nc2_up
net_serve dom0

# The agent in the guest does not know that its domain has another number:
# it is asked when xenstore has it again.
alive()
{
	guest_must g1 100 'kill -0 $(cat /tmp/load.pid) || { cat /tmp/load.out; exit 1; }
		i=0; until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do
		i=$((i + 1)); [ $i -lt 300 ] || { echo no carrier; exit 1; }; sleep 0.1; done'
}

# What is sent to a guest from the second pass of its migration on waits for a
# reader that stands still, in slots whose pages have been sent before. All of the
# guest is 192 MiB.
migrate()
{
	local pid
	must ethtool --set-tunable "vif$(guest_id g1).0" tx-copybreak 1000
	guest_must g1 30 'setsid sh -c "while :; do
			dd if=/dev/zero of=/tmp/dirty bs=1M count=8 conv=notrunc; sleep 0.3
		done" >/dev/null 2>&1 </dev/null & echo $! >/tmp/dirty.pid'
	rm -f "$state/again"
	timeout $((300 * patience)) xl migrate -s '' g1 \
		"{ head -c 196M; touch $state/again; cat; } | xl migrate-receive" >"$state/migrate" 2>&1 3>&- &
	pid=$!
	until [ -e "$state/again" ]; do
		kill -0 $pid || fail "xl migrate ends: $(tail -n 3 "$state/migrate")"
		nap 0.2
	done
	guest_post g1 'kill -STOP $(cat /tmp/load.pid)'
	wait $pid || fail "xl migrate: status $?: $(tail -n 3 "$state/migrate")"
	alive
	guest_must g1 60 'kill $(cat /tmp/dirty.pid)
		n=$(sed -n "s/^ *[^ ]* [^ ]* [^ ]* 01 [^ ]*:\([^ ]*\) .*/0x\1/p" /proc/net/tcp)
		kill -CONT $(cat /tmp/load.pid)
		echo $((n)) bytes have been waiting; [ $((n)) -gt 0 ]'
}

for type in pv pvh; do
	nc2_guest g1 10.0.0.2/24 -- type=$type memory=192 vif="$(nc2_vif 1)"
	net_load g1 10.0.0.1
	step "guest g1: pause"
	must xl pause g1
	sleep 2
	must xl unpause g1
	alive
	for i in $(seq $turns); do
		step "guest g1: save and restore $i"
		must timeout $((200 * patience)) xl save g1 /data/g1.save >/dev/null
		tcpdump -l -n -e -i xenbr0 'arp and ether src 00:16:3e:00:00:01 and ether dst ff:ff:ff:ff:ff:ff' \
			>"$state/announced" 2>/dev/null 3>&- &
		dump=$!
		must timeout $((200 * patience)) xl restore /data/g1.save >/dev/null
		rm -f /data/g1.save
		alive
		# The switches hear where the guest is now.
		wait_for 20 grep -qE '(who-has|Request).* 10\.0\.0\.2 .*tell 10\.0\.0\.2|Reply 10\.0\.0\.2' "$state/announced" ||
			fail "the guest has not announced itself: $(cat "$state/announced")"
		kill $dump
	done
	# Debian's Xen has no shadow paging, which live migration of PV guests needs.
	for i in $(seq $turns); do
		[ $type = pvh ] || break
		step "guest g1: live migration $i"
		migrate
	done
	net_load_end g1
	net_verify g1 10.0.0.1 --udp --sizes 60-60000 --count 20 --loss 4
	guest_destroy g1
	[ -z "$(xl list | awk 'NR > 1 && $1 != "Domain-0"')" ] || fail "domains are left: $(xl list)"
done
