#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Print the path of a small kernel that checks itself: KASAN, lockdep,
# kmemleak, UBSAN and debug objects. Built once into the cache from the
# kernel source that kernel-src.sh unpacks and debug-kernel.config, which
# takes some 10 minutes. In it are, as the bed expects them,
#
#   vmlinuz release lib/modules/RELEASE    to boot
#   build                                  to build modules against

set -eu

here=$(cd "$(dirname "$0")" && pwd)
src=$("$here/kernel-src.sh")
inputs=$( (echo "$src"; gcc --version; cat "$here/debug-kernel.config" "$0") |
	sha256sum | cut -c1-12)
dir=${XEN_PVIO_CACHE:-$HOME/.cache/xen-pvio}/kernel/debug-$inputs
log=$dir.log

die()
{
	tail -n 20 "$log" >&2
	echo "debug-kernel: $*; the whole log is $log" >&2
	exit 1
}

build()
{
	make -s -C "$src" O="$dir.t/build" tinyconfig &&
		cp "$here/debug-kernel.config" "$dir.t/config" &&
		(cd "$dir.t/build" &&
			"$src/scripts/kconfig/merge_config.sh" -m .config ../config) &&
		make -s -C "$dir.t/build" olddefconfig || return
	# What the fragment asks for must not get lost on the way.
	grep '=y$' "$dir.t/config" | while read -r line; do
		grep -qx "$line" "$dir.t/build/.config" || {
			echo "$line was not taken"
			exit 1
		}
	done || return
	make -s -C "$dir.t/build" -j"$(nproc)" bzImage modules || return
	release=$(make -s -C "$dir.t/build" kernelrelease)
	cp "$dir.t/build/arch/x86/boot/bzImage" "$dir.t/vmlinuz"
	make -s -C "$dir.t/build" INSTALL_MOD_PATH="$dir.t" modules_install || return
	find "$dir.t/lib/modules" -type l -delete
	echo "$release" >"$dir.t/release"
}

exec 9>"$dir.lock"
flock 9
if [ ! -d "$dir" ]; then
	echo "debug-kernel: building (once, some 10 minutes; log in $log)" >&2
	rm -rf "$dir.t"
	mkdir -p "$dir.t/build"
	build >"$log" 2>&1 </dev/null || die "the build failed"
	mv "$dir.t" "$dir"
fi
echo "$dir"
