#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Build the Debian packages and look at them with lintian, which must find
# nothing.
#
# Usage: scripts/mkdeb.sh
#
# What git knows of the working tree is copied to build/deb/src, so that the
# build leaves nothing in the tree and uses nothing that a package would lack.
# The packages are in build/deb.

set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/deb
version=$(dpkg-parsechangelog -S Version)
[ "$version" = "$(cat VERSION)" ] || {
	echo "mkdeb: debian/changelog says $version, VERSION says $(cat VERSION)" >&2
	exit 1
}
rm -rf "$out"
mkdir -p "$out/src"
git ls-files -z | xargs -0 cp --parents -t "$out/src"
cd "$out/src"
dpkg-buildpackage -us -uc -b >"$out/build.log" 2>&1 || {
	tail -n 40 "$out/build.log" >&2
	echo "mkdeb: the build failed; the whole log is $out/build.log" >&2
	exit 1
}
rm -rf "$out/src"
cd "$out"
found=$(lintian --allow-root ./*.changes 2>&1) || true
[ -z "$found" ] || {
	echo "$found" >&2
	echo "mkdeb: lintian found something" >&2
	exit 1
}
ls -1 "$out"/*.deb
