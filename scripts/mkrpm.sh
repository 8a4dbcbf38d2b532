#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Build the RPM packages, of what is committed. On a system without RPM's
# database of packages, as Debian, the build dependencies are not looked at.
#
# Usage: scripts/mkrpm.sh
#
# The packages are in build/rpm.

set -eu
cd "$(dirname "$0")/.."
version=$(cat VERSION)
out=$PWD/build/rpm
rm -rf "$out"
mkdir -p "$out/SOURCES"
git archive --prefix="xen-pvio-$version/" \
	-o "$out/SOURCES/xen-pvio-$version.tar.gz" HEAD
nodeps=
[ ! -e /etc/debian_version ] || nodeps=--nodeps
rpmbuild -bb $nodeps --define "_topdir $out" \
	--define "pvio_version $version" rpm/xen-pvio.spec >"$out/build.log" 2>&1 || {
	tail -n 40 "$out/build.log" >&2
	echo "mkrpm: the build failed; the whole log is $out/build.log" >&2
	exit 1
}
find "$out/RPMS" -name '*.rpm'
