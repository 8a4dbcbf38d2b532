# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hotplug script vif-nc2 says what is wrong, and who has the vif.
# timeout: 600
# kernels: 6.1

scripts=/etc/xen/scripts
for s in bridge route openvswitch; do
	[ "$(readlink $scripts/vif-nc2-$s)" = vif-nc2 ] || fail "no link vif-nc2-$s"
	[ -x $scripts/vif-$s ] || fail "Xen has no vif-$s"
done
net_up

# A guest that must not come to be; it is told why.
refused()	# SCRIPT REGEX
{
	guest_config g1 vif="mac=00:16:3e:00:00:01,bridge=xenbr0,script=$1"
	must_fail "$2" xl create -p "$state/g1.cfg"
	wait_for 30 guest_gone g1 || fail "guest g1 is there, but its vif was refused"
}

step "the module cannot be loaded"
modprobe -r netchannel2 2>/dev/null || :
trap 'rm -f /etc/modprobe.d/pvio-test.conf $scripts/vif-nc2-nothere' EXIT
echo 'install netchannel2 echo no such luck >&2; exit 1' >/etc/modprobe.d/pvio-test.conf
refused vif-nc2 'vif-nc2: vif[0-9]+\.0: cannot load the module netchannel2: .*no such luck'

step "a script that is not there"
ln -s vif-nc2 $scripts/vif-nc2-nothere
refused vif-nc2-nothere "vif-nc2-nothere: no script $scripts/vif-nothere"
echo NC2_SCRIPT=/opt/nothing >/etc/default/vif-nc2
refused vif-nc2 'vif-nc2: no script /opt/nothing'
rm /etc/default/vif-nc2

step "another driver has the vif"
echo 'install netchannel2 true' >/etc/modprobe.d/pvio-test.conf
guest_config g1 vif='mac=00:16:3e:00:00:01,bridge=xenbr0'
must xl create -p "$state/g1.cfg"
id=$(guest_id g1)
path=/local/domain/0/backend/vif/$id/0
must_fail '^$' env XENBUS_PATH="$path" vif="vif$id.0" $scripts/vif-nc2 online type_if=vif
error=$(xenstore-read "$path/hotplug-error" "$path/hotplug-status")
want="vif-nc2: vif$id.0: netchannel2 did not take vif-$id-0 in 10 s, its driver is xen-netback
error"
[ "$error" = "$want" ] || fail "the error is: $error"
# What is not about a vif that comes is left to the other script.
must env XENBUS_PATH="$path" vif="vif$id.0" $scripts/vif-nc2 offline type_if=vif
[ ! -e /sys/class/net/xenbr0/brif/"vif$id.0" ] || fail "vif$id.0 is still on xenbr0"
guest_destroy g1
