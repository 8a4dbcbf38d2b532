# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# netchannel2: what attacks cost others: at most 10 % of what a vif gets, 5 % of a vCPU.
# timeout: 2400
# icount: yes

nc2_up
net_serve dom0
nc2_guest g2 10.0.0.3/24 -- vif="$(nc2_vif 2)"
vif2=vif$(guest_id g2).0
guest_config g1 vif="$(nc2_vif 1)"
guest_boot g1
evil_take g1 vif-0
net_load g2 10.0.0.1
for c in a1-messages a3-endless a9-storm; do
	evil_beside g1 "$vif2" 4 $c
done
net_load_end g2
step "what it costs dom0"
for c in a3-endless a9-storm; do
	evil_cost g1 0 8 $c
done
guest_destroy g1

# Not what its other vifs get from a hostile backend: that is in dom0, where their
# other ends are, and which is busy then.
step "what it costs a guest"
evil_take dom0 "vif-$(guest_id g2)-0"
for c in a3-endless a9-storm; do
	evil_cost dom0 "$(guest_id g2)" 8 $c
done
guest_destroy g2
must rmmod nc2evil
