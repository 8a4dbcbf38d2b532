#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Apply each series of patches/ to the pristine kernel and build its driver in
# tree after every patch, with W=1; hold each patch against checkpatch --strict.
#
# Usage: scripts/check-patches.sh [SERIES]...   (default: all)
#
# Prints TAP.  The kernel is Debian's linux-source-6.12 with the configuration
# and the exported symbols of Debian's own build of it.  The first run
# prepares it in the cache (about a minute).

set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/series/lib.sh
cache=${XEN_PVIO_CACHE:-$HOME/.cache/xen-pvio}/kernel
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
export LC_ALL=C
unset MAKEFLAGS MFLAGS

die()
{
	echo "Bail out! check-patches: $*"
	exit 1
}

ksrc=$(scripts/kernel-src.sh) || die "no kernel sources"
headers=$(printf '%s\n' /lib/modules/6.12.*/build | sort -V | tail -n 1)
[ -e "$headers/Module.symvers" ] ||
	die "no headers of Linux 6.12; run scripts/setup.sh build"

# Always the same place: kbuild starts anew when its tree has moved.
key=$(basename "$ksrc")-$(basename "$(dirname "$headers")")
tree=$cache/patched obj=$cache/build-$key
exec 9>"$cache/patched.lock"
flock 9

# Links to the pristine files; whoever changes one makes a new file of it.
fresh_tree()
{
	rm -rf "$tree" && cp -al "$ksrc" "$tree" || die "cannot copy $ksrc"
}

kmake()
{
	make -s -C "$tree" O="$obj" -j"$(nproc)" "$@"
}

fresh_tree
if [ ! -e "$obj/.prepared" ]; then
	echo "# preparing the kernel's build (once)"
	rm -rf "$cache"/build-linux-source-6.12*
	mkdir -p "$obj"
	cp "$headers/.config" "$obj/base.config"
	cp "$obj/base.config" "$obj/.config"
	# The small driver has kbuild make what else it needs: genksyms, which
	# does not build without a warning with W=1.
	{ kmake olddefconfig && kmake modules_prepare &&
	  kmake W=1 drivers/block/null_blk/; } >"$log/prepare" 2>&1 || {
		tail -n 30 "$log/prepare" | sed 's/^/# /'
		die "the pristine kernel does not build"
	}
	cp "$headers/Module.symvers" "$obj/"
	touch "$obj/.prepared"
fi

n=0 failed=0
# result NAME STATUS LOG
result()
{
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - patches: $series: $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - patches: $series: $1"
		head -n 40 "$3" | sed 's/^/# /'
	fi
}

# configure VALUE: the option the driver has, if it has one yet.
configure()
{
	{ cat "$obj/base.config"; echo "CONFIG_$option=$1"; } >"$obj/.config"
	kmake olddefconfig || die "olddefconfig failed"
}

# build: the driver's folder; any output is a finding, and so is a source that
# was left out
build()
{
	local c

	kmake W=1 "$@" "$folder/" >"$log/build" 2>&1 || return
	for c in "$tree/$folder"/*.c; do
		[ "$obj/$folder/$(basename "$c" .c).o" -nt "$c" ] ||
			echo "${c#"$tree/"} was not compiled" >>"$log/build"
	done
	[ ! -s "$log/build" ]
}

# check_maintained PATCH...: do MAINTAINERS' patterns name all files, and only
# them?
check_maintained()
{
	local f p r=0

	maintained "$entry" "$tree/MAINTAINERS" >"$log/patterns"
	while read -r p; do
		[ -e "$tree/$p" ] || { echo "F: $p does not exist"; r=1; }
	done <"$log/patterns"
	while read -r f; do
		while read -r p; do
			[[ $f != "$p" && ( $p != */ || $f != "$p"* ) ]] ||
				continue 2
		done <"$log/patterns"
		echo "$f is not in MAINTAINERS"
		r=1
	done < <(sed -n '/^new file/,/^+++/s,^+++ b/,,p' "$@")
	return $r
}

# check_series NAME
check_series()
{
	local name p r
	local patches=(patches/"$1"/[0-9]*.patch)

	series=$1
	read_series "$1" || die "scripts/series/$1/cover is not complete"
	[ -e "${patches[1]:-}" ] || die "no patches in patches/$1"
	rm -rf "${obj:?}/$folder"
	configure m
	for p in "${patches[@]}"; do
		name=$(basename "$p" .patch)
		if [[ $name = 0000-* ]]; then
			grep -q '\*\*\*' "$p"
			result "$name is filled in" $((! $?)) "$p"
			continue
		fi

		# FILE_PATH_CHANGES only asks; check_maintained() answers.
		# CAMELCASE are the states of xenbus.
		(cd "$log" && "$ksrc/scripts/checkpatch.pl" --root "$tree" \
			--strict --no-signoff --ignore FILE_PATH_CHANGES,CAMELCASE \
			--quiet --no-summary --show-types "$OLDPWD/$p") \
			>"$log/checkpatch" 2>&1 && [ ! -s "$log/checkpatch" ]
		result "checkpatch $name" $? "$log/checkpatch"

		(cd "$tree" && GIT_CEILING_DIRECTORIES=$cache \
			git apply --whitespace=error-all "$OLDPWD/$p") \
			>"$log/apply" 2>&1
		r=$?
		result "apply $name" $r "$log/apply"
		[ $r = 0 ] || break

		[ -d "$tree/$folder" ] || continue
		# Until the option is there, say on the command line that it
		# is set.
		if [ -e "$tree/$folder/Kconfig" ]; then
			configure m
			build
		else
			build "CONFIG_$option=m"
		fi
		result "build $name" $? "$log/build"
	done

	check_maintained "${patches[@]}" >"$log/maint"
	result "MAINTAINERS names the files" $? "$log/maint"
	grep "^CONFIG_$option=m" "$obj/.config" >"$log/option"
	result "the option can be selected" $? "$log/option"

	# The whole as a module, its symbols resolved by Debian's Module.symvers;
	# and built in.
	kmake W=1 M="$tree/$folder" modules >"$log/build" 2>&1 &&
		! grep -iE 'warning|error' "$log/build" &&
		[ -e "$tree/$folder/$module.ko" ]
	result "the module links" $? "$log/build"
	rm -rf "${obj:?}/$folder" "$tree/$folder"/*.mod.c
	configure y
	build
	result "build in" $? "$log/build"
}

echo "TAP version 13"
[ $# -gt 0 ] || mapfile -t all < <(all_series)
for s in "${@:-${all[@]}}"; do
	fresh_tree
	check_series "$s"
done
echo "1..$n"
[ $failed = 0 ]
