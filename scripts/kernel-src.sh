#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Print the path of an unpacked, pristine kernel source tree.
#
# Usage: scripts/kernel-src.sh
#
# The tree is that of Debian's package linux-source-6.12, unpacked once into the
# cache under the package's full version.  Nobody may write into it: build
# with O=, and patch a copy.

set -eu

cache=${XEN_PVIO_CACHE:-$HOME/.cache/xen-pvio}/kernel
pkg=linux-source-6.12
tar=/usr/src/$pkg.tar.xz

die()
{
	echo "kernel-src: $*" >&2
	exit 1
}

[ -f "$tar" ] || die "$tar is missing; run scripts/setup.sh static"
version=$(dpkg-query -W -f '${Version}' "$pkg")
dir=$cache/$pkg-$version

if [ ! -d "$dir" ]; then
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
fi
if [ ! -d "$dir" ]; then
	tmp=$cache/.unpack
	rm -rf "$tmp"
	mkdir "$tmp"
	echo "kernel-src: unpacking $tar (once)" >&2
	tar -C "$tmp" -xf "$tar" || die "could not unpack $tar into $cache"
	# An older version's tree would only take room.
	rm -rf "$cache/$pkg-"[0-9]*
	mv "$tmp/$pkg" "$dir"
	rmdir "$tmp"
fi
echo "$dir"
