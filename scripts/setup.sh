#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Install what the build and the tests need from Debian, saying what.
#
# Usage: scripts/setup.sh [build|static|bed|deb]...   (default: all)
#
# Idempotent, and silent when nothing is missing.  A package is looked for
# by name in dpkg's database, so a second run costs a few milliseconds.

set -eu

build='build-essential pkg-config kmod liburing-dev libseccomp-dev
	libjson-c-dev uuid-dev libcap-dev nettle-dev
	linux-headers-amd64 linux-headers-6.12-amd64'
static='sparse coccinelle codespell shellcheck mandoc perl python3 pyflakes3
	python3-docutils
	libcmocka-dev qemu-utils clang libclang-rt-14-dev
	linux-source-6.12
	bc bison flex libelf-dev libssl-dev xz-utils git'
bed='qemu-system-x86 qemu-utils debootstrap e2fsprogs busybox-static
	cpio zstd xz-utils util-linux python3 kmod linux-headers-amd64
	linux-headers-6.12-amd64 valgrind'
deb='build-essential debhelper dh-dkms dkms fakeroot lintian'

die()
{
	echo "setup: $*" >&2
	exit 1
}

[ $# -gt 0 ] || set -- build static bed deb
want=
for group; do
	case $group in
	build)	want="$want $build" ;;
	static)	want="$want $static" ;;
	bed)	want="$want $bed" ;;
	deb)	want="$want $build $deb" ;;
	*)	die "unknown group '$group' (know: build, static, bed, deb)" ;;
	esac
done

missing()
{
	for p in $want; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = \
			installed ] || echo "$p"
	done | sort -u | tr '\n' ' '
}

need=$(missing)
[ -n "$need" ] || exit 0

# shellcheck disable=SC1091
. /etc/os-release
[ "${ID:-}-${VERSION_CODENAME:-}" = debian-bookworm ] ||
	die "this machine is '${PRETTY_NAME:-unknown}', and the bed is made of Debian 12's packages; please install by other means: $need"
[ "$(id -u)" = 0 ] || die "not root; as root run: apt-get install $need"

echo "setup: installing from Debian: $need"
export DEBIAN_FRONTEND=noninteractive
exec 9>"${TMPDIR:-/tmp}/xen-pvio-apt.lock"
flock 9
apt="apt-get -q -o DPkg::Lock::Timeout=300"
# The lists may be absent (a fresh container) or too old to fetch from.
# shellcheck disable=SC2086
$apt install -y --no-install-recommends $need </dev/null >/dev/null 2>&1 || {
	$apt update </dev/null >/dev/null
	$apt install -y --no-install-recommends $need </dev/null |
		grep -v '^\(Get\|Selecting\|Preparing\|Unpacking\|Setting\)'
} || true
need=$(missing)
[ -z "$need" ] || die "apt-get could not install: $need"
