#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the inputs of the bed that do not depend on this tree's code, once:
# Xen, the kernels with their modules, and the root file systems of dom0 and
# of the guest.  Each result's name carries a hash of all that went into it
# (package versions, package list, the files of this directory it contains),
# so a result is either right or absent, and nothing ever needs cleaning by
# hand.  Everything comes from the package sources this machine already uses.
#
# Usage: images.sh          build what is missing, then print NAME=PATH lines:
#   XEN      hypervisor, as QEMU's multiboot loader wants it
#   K61 K612 directories with vmlinuz and lib/modules/<release>
#   DOM0     ext4 image, dom0's root, read-only in use
#   GUEST    ext4 image, raw, the guest's root, master copy

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XEN_PVIO_CACHE:-${HOME:-/root}/.cache/xen-pvio}/bed
suite=bookworm

dom0_packages='xen-utils-4.17 xen-utils-common xenstore-utils qemu-system-xen
	qemu-utils e2fsprogs fio kmod iproute2 procps util-linux strace udev
	liburing2 libuuid1 libseccomp2 libjson-c5 libcap2 libasan8 libubsan1
	ethtool iperf3 net-tools nftables openvswitch-switch sockperf tcpdump'
guest_packages='systemd systemd-sysv udev dbus e2fsprogs fio kmod iproute2
	procps xenstore-utils ethtool iperf3 kexec-tools sockperf tcpdump'

say()	{ echo "images: $*" >&2; }
die()	{ say "$*"; exit 1; }

[ "$(id -u)" = 0 ] || die "debootstrap needs root"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
log=$cache/build.log
: >"$log"

# Run one slow step with its output in the log; show the end of it on failure.
step()
{
	say "$1 (once; log in $log)"
	shift
	local t=$SECONDS
	# In the background, because "f || ..." would switch off set -e in f.
	"$@" >>"$log" 2>&1 </dev/null &
	wait $! || {
		tail -n 40 "$log" >&2
		die "failed: $*"
	}
	say "  done in $((SECONDS - t)) s"
}

hash() { sha256sum | cut -c1-12; }

version()	# packages...: a line each
{
	apt-cache policy "$@" | sed -n 's/^  Candidate: //p'
}

if [ -z "$(version xen-hypervisor-4.17-amd64)" ]; then
	step "apt-get update" apt-get -q update
fi
xen_version=$(version xen-hypervisor-4.17-amd64)
[ -n "$xen_version" ] || die "no package xen-hypervisor-4.17-amd64 in apt's sources"

# ---------------------------------------------------------------------------
# Xen and kernels: downloaded and unpacked, never installed on this machine.

unpack()	# package=version directory
{
	local d=$cache/debs
	mkdir -p "$d" "$2"
	rm -f "$d"/*.deb
	(cd "$d" && apt-get -q -o APT::Sandbox::User=root download "$1")
	dpkg-deb -x "$d"/*.deb "$2"
	rm -f "$d"/*.deb
}

make_xen()
{
	unpack "xen-hypervisor-4.17-amd64=$xen_version" "$xen.t"
	zcat "$xen.t"/boot/xen-4.17-amd64.gz >"$xen.t/xen"
	rm -r "$xen.t"/boot
	mv "$xen.t" "$xen"
}

# Only what a virtual machine can use is kept, and without compression:
# unpacking a module costs more than reading it under emulation.
make_kernel()	# meta-package directory
{
	local release
	release=$(kernel_release "$1")
	unpack "linux-image-$release" "$2.t"
	mv "$2.t/boot/vmlinuz-$release" "$2.t/vmlinuz"
	rm -rf "$2.t"/boot "$2.t"/usr
	local m=$2.t/lib/modules/$release
	(cd "$m/kernel/drivers" &&
		find . -mindepth 1 -maxdepth 1 |
		grep -vxE './(block|xen|virtio|char|net|scsi|md|nvdimm|cdrom)' |
		xargs rm -rf)
	(cd "$m/kernel/drivers/net" &&
		find . -mindepth 1 -maxdepth 1 -type d |
		grep -vxE './(xen-netback|ethernet|bonding)' | xargs rm -rf
	 cd ethernet && find . -mindepth 1 -maxdepth 1 |
		grep -vxE './intel' | xargs rm -rf)
	rm -rf "$m"/kernel/sound "$m"/build "$m"/source
	find "$m" -name '*.ko.xz' -exec xz -d {} +
	depmod -b "$2.t" "$release"
	echo "$release" >"$2.t/release"
	mv "$2.t" "$2"
}

kernel_release()	# headers meta-package, as installed here
{
	dpkg-query -W -f '${Depends}\n' "$1" |
		sed -n 's/.*linux-headers-\([^ ,]*\).*/\1/p'
}

xen=$cache/xen-$(echo "$xen_version" | hash)
[ -e "$xen/xen" ] || { rm -rf "$xen" "$xen.t"; step "Xen $xen_version" make_xen; }

kernel_inputs=$(declare -f make_kernel | hash)
kernel()	# headers meta-package
{
	local release
	release=$(kernel_release "$1")
	[ -n "$release" ] || die "package $1 is not installed (scripts/setup.sh)"
	kernel=$cache/kernel-$release-$kernel_inputs
	[ -e "$kernel/release" ] || {
		rm -rf "$kernel" "$kernel.t"
		step "kernel $release" make_kernel "$1" "$kernel"
	}
}
kernel linux-headers-amd64;	k61=$kernel
kernel linux-headers-6.12-amd64; k612=$kernel

# ---------------------------------------------------------------------------
# Root file systems: one debootstrap, then each adds its packages to a copy.

# Lines "uri suite component" of this machine's own Debian sources.
sources()
{
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' | grep " $suite" | sort -u
}

# $1 is a root; the rest runs in it with /proc mounted, unseen by others.
inside()
{
	# shellcheck disable=SC2016
	unshare --mount --propagation private --pid --fork sh -ec '
		root=$1; shift
		mount -t proc proc "$root/proc"
		mount -t devtmpfs dev "$root/dev" 2>/dev/null || :
		exec chroot "$root" "$@"' sh "$@"
}

make_base()
{
	local mirror
	mirror=$(sources | sed -n "s/ $suite main\$//p" | head -n 1)
	[ -n "$mirror" ] || die "apt has no source of Debian $suite"
	rm -rf "$base.t"
	debootstrap --variant=minbase --include=ca-certificates $suite \
		"$base.t" "$mirror"
	sources | sed 's/^/deb /' >"$base.t/etc/apt/sources.list"
	apt-config dump | grep -E '^Acquire::(http|https)::' \
		>"$base.t/etc/apt/apt.conf.d/90host" || :
	printf '#!/bin/sh\nexit 101\n' >"$base.t/usr/sbin/policy-rc.d"
	chmod +x "$base.t/usr/sbin/policy-rc.d"
	inside "$base.t" apt-get -q update
	inside "$base.t" apt-get -qy dist-upgrade
	mv "$base.t" "$base"
}

install_into()	# root packages...
{
	local root=$1
	shift
	rm -rf "$root"
	cp -a "$base" "$root"
	inside "$root" env DEBIAN_FRONTEND=noninteractive \
		apt-get -qy --no-install-recommends install "$@"
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin \
		"$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc/* \
		"$root"/usr/share/locale/* "$root"/usr/share/man/*
	: >"$root/etc/machine-id"
}

make_ext4()	# root image size
{
	rm -f "$2.t"
	mke2fs -q -t ext4 -L pvio -d "$1" "$2.t" "$3"
	rm -rf "$1"
	mv "$2.t" "$2"
}

make_dom0()
{
	local root=$cache/dom0.root
	# shellcheck disable=SC2086
	install_into "$root" $dom0_packages
	local k
	for k in "$k61" "$k612"; do
		mkdir -p "$root/lib/modules" "$root/boot"
		cp -a "$k"/lib/modules/* "$root/lib/modules/"
		cp "$k/vmlinuz" "$root/boot/vmlinuz-$(cat "$k/release")"
	done
	echo dom0 >"$root/etc/hostname"
	make_ext4 "$root" "$dom0" 4G
}

make_guest()
{
	local root=$cache/guest.root
	# shellcheck disable=SC2086
	install_into "$root" $guest_packages
	cp "$here/guest/pvio-agent.service" "$root/etc/systemd/system/"
	inside "$root" systemctl enable pvio-agent.service
	inside "$root" systemctl mask systemd-timesyncd.service \
		apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
		e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		systemd-networkd.service systemd-resolved.service \
		systemd-pcrphase.service systemd-update-utmp.service \
		systemd-pstore.service modprobe@.service dev-hugepages.mount \
		dev-mqueue.mount sys-kernel-debug.mount \
		sys-kernel-tracing.mount getty@.service
	inside "$root" systemctl set-default multi-user.target
	# Filled by guest/initrd-init.
	mkdir -p "$root/lib/modules"
	echo guest >"$root/etc/hostname"
	echo '/dev/xvda / ext4 rw,discard 0 1' >"$root/etc/fstab"
	inside "$root" sh -c 'echo root:pvio | chpasswd'
	make_ext4 "$root" "$guest" 1G
}

base=$cache/base-$( (sources; declare -f make_base inside) | hash)
# shellcheck disable=SC2086
versions=$(version $dom0_packages $guest_packages)
dom0=$cache/dom0-$( (echo "$base $k61 $k612 $versions"
	declare -f make_dom0 install_into make_ext4) | hash).img
guest=$cache/guest-$( (echo "$base $versions"; cat "$here"/guest/*.service
	declare -f make_guest install_into make_ext4) | hash).img

[ -d "$base" ] || step "debootstrap $suite" make_base
[ -e "$dom0" ] || step "dom0 root file system" make_dom0
[ -e "$guest" ] || step "guest root file system" make_guest

cat <<END
XEN=$xen/xen
K61=$k61
K612=$k612
DOM0=$dom0
GUEST=$guest
END
