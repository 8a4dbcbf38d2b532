#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The static ring: every check that needs no running kernel.
#
# Usage: scripts/check.sh [-l] [-c CHECK]... [FILE...]
#   -l          list the checks
#   -c CHECK    run only this one
#   FILE        look only at these files; checks of the whole tree are left out
#
# Prints TAP, one line per check and its findings as comments, and exits
# nonzero when any check failed.  A tool that is missing fails its check.
# scripts/check-selftest.sh shows that each can fail.

set -u
self=$(realpath "$(dirname "$0")")
root=$(realpath "$self/..")
cd "$root" || exit 1
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
jobs=$(nproc)
export LC_ALL=C.UTF-8

# Of the whole tree first, so that the slow ones start first.
tree_checks='sparse-6.1 sparse-6.12 cocci-tests abi-docs patches bed'
file_checks='cocci-kernel cocci-own checkpatch-kernel checkpatch-compat
	checkpatch-tools checkpatch-tests kernel-doc limits compat uapi
	shellcheck codespell
	python man rst spdx todo'

# The kernel's own rules that can find something in a block or network driver.
kernel_rules='api/atomic_as_refcounter api/err_cast api/kfree_mismatch
	api/kstrdup api/memdup api/memdup_user api/stream_open
	api/string_choices api/vma_pages
	api/alloc/alloc_cast api/alloc/zalloc-simple free/ifnullfree free/kfree
	iterators/itnull iterators/list_entry_update iterators/use_after_iter
	locks/call_kern locks/double_lock locks/flags locks/mini_lock
	misc/array_size misc/badty misc/boolconv misc/cond_no_effect
	misc/doubleinit misc/excluded_middle misc/flexible_array misc/ifcol
	misc/minmax misc/newline_in_nl_msg misc/noderef misc/orplus
	misc/returnvar misc/semicolon
	misc/struct_size misc/swap misc/test_addr misc/uninitialized_var
	null/deref_null null/eno null/kmerr
	tests/doublebitand tests/doubletest tests/odd_ptr_err
	tests/unsigned_lesser_than_zero'

# User space has no strscpy(), u32, kstrto*(), ARRAY_SIZE(), BIT(), __printf() or
# __packed, may well get ENOSYS from a system call, and keeps to the positive
# errnos of exit codes and of the control protocol. struct CMUnitTest and
# _Static_assert are not ours to rename. Messages are long and are not split:
# check-c.py knows which long lines are not messages.
tools_ignore=PREFER_KERNEL_TYPES,STRCPY,STRNCPY,STRLCPY,SSCANF_TO_KSTRTO
tools_ignore+=,ARRAY_SIZE,BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,ENOSYS
tools_ignore+=,USE_NEGATIVE_ERRNO,CAMELCASE,LONG_LINE,LONG_LINE_STRING
# A hostile test looks at memory behind the compiler's back; mkdtemp() writes
# to its template; sscanf() within an assertion is checked.
tests_ignore=$tools_ignore,VOLATILE,STATIC_CONST_CHAR_ARRAY,NAKED_SSCANF
tests_ignore+=,QUOTED_WHITESPACE_BEFORE_NEWLINE

die()
{
	echo "check: $*" >&2
	exit 2
}

# need TOOL...: fail, naming what is missing.
need()
{
	local t r=0

	for t; do
		command -v "$t" >/dev/null || {
			echo "$t is not installed; run scripts/setup.sh static"
			r=1
		}
	done
	return $r
}

# quiet CMD...: run it; any output is a finding.
quiet()
{
	local o r

	o=$("$@" 2>&1)
	r=$?
	[ -z "$o" ] || echo "$o"
	[ $r = 0 ] && [ -z "$o" ]
}

# files REGEX: those of the files to look at whose path matches.
files()
{
	grep -E "$1" "$out/files" || true
}

# sources REGEX [REGEX]: the files that match the first and not the second,
# as array src.  Fails when there are none: silently when files were named,
# else aloud, because a check of nothing would never fail.
sources()
{
	mapfile -t src < <(files "$1" | grep -vE "${2:-^$}")
	[ ${#src[@]} = 0 ] || return 0
	[ $named = 1 ] || echo "no file to check matches $1"
	return 1
}

# checkpatch REGEX [IGNORE]
checkpatch()
{
	local src

	need perl || return
	sources "$1" || return $((1 - named))
	# In a folder of its own, as it leaves files behind.
	(cd "$out" && quiet "$ksrc/scripts/checkpatch.pl" --root "$ksrc" --strict \
		--quiet --show-types --no-summary ${2:+--ignore "$2"} \
		-f "${src[@]/#/$root/}" | sed "s,$root/,,"; exit "${PIPESTATUS[0]}")
}

# The states of xenbus are called as they are.
check_checkpatch-kernel() { checkpatch '^(drivers|include)/.*\.[ch]$' CAMELCASE; }
# compat/ is the one place that compares versions of the kernel, and it defines
# functions and declarations in macros.
compat_ignore=LINUX_VERSION_CODE,CONSTANT_COMPARISON
compat_ignore+=,MACRO_WITH_FLOW_CONTROL,MACRO_ARG_REUSE
compat_ignore+=,MULTISTATEMENT_MACRO_USE_DO_WHILE
check_checkpatch-compat() { checkpatch '^compat/.*\.[ch]$' "$compat_ignore"; }
check_checkpatch-tools() { checkpatch '^tools/.*\.[ch]$' "$tools_ignore"; }
check_checkpatch-tests() { checkpatch '^tests/.*\.[ch]$' "$tests_ignore"; }

# sparse SERIES: build the modules with every warning of sparse and W=1.
sparse()
{
	local krel build driver log=$out/make-$1.log

	need sparse make gcc || return
	krel=$(printf '%s\n' /lib/modules/"$1".*/build | sort -V | tail -n 1)
	krel=$(basename "${krel%/build}")
	[ -e "/lib/modules/$krel/build/Makefile" ] || {
		echo "no kernel headers $1.*; run scripts/setup.sh build"
		return 1
	}
	build=$out/build-$1
	mkdir "$build"
	files '^(Makefile|Kconfig|drivers/|include/|compat/|arch/)' |
		xargs cp --parents -t "$build"
	make -C "/lib/modules/$krel/build" M="$build" C=2 W=1 modules \
		>"$log" 2>&1 || { tail -n 30 "$log"; return 1; }
	sed -i "s,$build/,," "$log"
	! grep -E 'warning:|error:|WARNING:' "$log" || return 1
	for driver in "$build"/drivers/*/*/Makefile; do
		driver=$(dirname "$driver")
		find "$driver" -name '*.ko' | grep -q . || {
			echo "the build made no module in ${driver#"$build/"}"
			return 1
		}
	done
}

check_sparse-6.1() { sparse 6.1; }
check_sparse-6.12() { sparse 6.12; }

# cocci RULE FILE...
cocci()
{
	local o

	o=$(spatch -D report --no-show-diff --very-quiet --cocci-file "$1" \
		--no-includes --include-headers "${@:2}" 2>"$out/spatch.$$") || {
		echo "spatch failed on $1:"
		cat "$out/spatch.$$"
		return 1
	}
	[ -z "$o" ] || { echo "$o"; return 1; }
}

check_cocci-kernel()
{
	local r=0 rule src

	need spatch || return
	sources '^drivers/.*\.[ch]$' || return $((1 - named))
	for rule in $kernel_rules; do
		cocci "$ksrc/scripts/coccinelle/$rule.cocci" "${src[@]}" || r=1
	done
	return $r
}

check_cocci-own()
{
	local r=0 rule src

	need spatch || return
	sources '^drivers/.*\.[ch]$' || return $((1 - named))
	for rule in "$self"/coccinelle/*.cocci; do
		cocci "$rule" "${src[@]}" || r=1
	done
	return $r
}

# Each rule of ours has a test: the lines it must report end in "bad".
check_cocci-tests()
{
	local r=0 rule t want got

	need spatch || return
	for rule in scripts/coccinelle/*.cocci; do
		t=scripts/coccinelle/tests/$(basename "$rule" .cocci).c
		want=$(grep -n '/\* bad \*/' "$t" | cut -d: -f1)
		got=$(cocci "$rule" "$t" | cut -d: -f2 | sort -nu)
		[ -n "$want" ] && [ "$want" = "$got" ] || {
			echo "$t: $rule reports lines" "$got" "and not" "$want"
			r=1
		}
	done
	return $r
}

check_kernel-doc()
{
	local src

	need perl || return
	sources '^(drivers|include|compat)/.*\.[ch]$' || return $((1 - named))
	quiet "$ksrc/scripts/kernel-doc" -none -Wall -Werror "${src[@]}"
}

# Length of functions, files and lines, and kernel-doc where it must be.
check_limits()
{
	local src

	need python3 || return
	sources '\.[ch]$' '^scripts/coccinelle' || return $((1 - named))
	quiet python3 "$self/check-c.py" "${src[@]}"
}

# Only compat/ knows that there is more than one kernel.
check_compat()
{
	local src

	sources '^(drivers|include|arch)/' || return $((1 - named))
	! grep -nE 'LINUX_VERSION|KERNEL_VERSION|linux/version\.h|\bcompat/' \
		"${src[@]}"
}

# The headers for others, user interfaces and wire protocols, stand alone, in C
# and in C++.
check_uapi()
{
	local h r=0

	need gcc g++ || return
	for h in $(files '^(include/.*|tools/libvhd/libvhd)\.h$'); do
		gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
			-x c "$h" 2>&1 || r=1
		g++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only \
			-x c++ "$h" 2>&1 || r=1
	done
	return $r
}

check_shellcheck()
{
	local src

	need shellcheck || return
	mapfile -t src < <(while read -r f; do
		head -n 1 "$f" | grep -qE '^#!.*\b(ba|da)?sh\b' && echo "$f"
	done <"$out/files")
	[ ${#src[@]} -gt 0 ] || return 0
	# SC2015: "a && b || die" is meant to die when b fails, too.
	shellcheck -x -e SC2015 -f gcc "${src[@]}"
}

check_codespell()
{
	local src

	need codespell || return
	sources . '^patches/' || return $((1 - named))
	# Names, not words.
	quiet codespell -q 3 --ignore-words-list=creat,sring,conectix,nd,fo "${src[@]}"
}

check_python()
{
	local src

	need python3 pyflakes3 || return
	sources '\.py$' || return $((1 - named))
	quiet pyflakes3 "${src[@]}"
}

check_man()
{
	local src

	need mandoc || return
	sources '\.[1-8]$' || return $((1 - named))
	# Which manuals are found depends on what is installed.
	mandoc -Tlint -W style "${src[@]}" 2>&1 |
		grep -vE 'referenced manual not found|outdated mandoc.db' \
		>"$out/mandoc"
	quiet cat "$out/mandoc"
}

check_rst()
{
	local f r=0

	need rst2html || return
	sources '\.rst$' || return $((1 - named))
	for f in "${src[@]}"; do
		quiet rst2html --report=2 "$f" /dev/null || r=1
	done
	return $r
}

# Every source file says its licence in its first two lines.
check_spdx()
{
	local f r=0

	for f in $(files '(\.([chS]|sh|py|cocci|rst|[1-8])|/Kconfig|/Makefile|\.mk)$'); do
		head -n 2 "$f" | grep -q 'SPDX-License-Identifier: ' || {
			echo "$f: no SPDX line at the top"
			r=1
		}
	done
	return $r
}

# What is not done is not in the tree.
check_todo()
{
	local src

	sources . '^(patches|scripts)/' || return $((1 - named))
	! grep -nwE 'TODO|FIXME|XXX' "${src[@]}"
}

# Each sysfs attribute is described, and nothing else is.
check_abi-docs()
{
	need python3 || return
	quiet python3 "$self/check-abi.py"
}

# What patches/ holds is what the sources give.
check_patches()
{
	quiet "$self/mkpatches.sh" --check
}

# What the bed takes for the host's doing is that, and nothing else is.
check_bed()
{
	need python3 || return
	quiet python3 tests/qemu/bed_test.py
}

only=
while getopts lc: o; do
	case $o in
	l) xargs -n 1 <<<"$tree_checks $file_checks"; exit ;;
	c) only="$only $OPTARG" ;;
	*) die "usage: scripts/check.sh [-l] [-c CHECK]... [FILE...]" ;;
	esac
done
shift $((OPTIND - 1))

named=0
if [ $# -gt 0 ]; then
	named=1
	for f; do
		realpath -e --relative-to="$root" "$f" || die "no file '$f'"
	done >"$out/files"
	run=$file_checks
else
	git ls-files -co --exclude-standard | while read -r f; do
		[ ! -f "$f" ] || echo "$f"
	done >"$out/files" || die "git does not know $root"
	run="$tree_checks $file_checks"
fi
for c in $only; do
	declare -F "check_$c" >/dev/null || die "no check '$c' (see -l)"
done
ksrc=$("$self/kernel-src.sh") || exit 2

# Two at a time, told in order.
read -rd '' -a list <<<"${only:-$run}"
for c in "${list[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	{ start=$EPOCHREALTIME
	  if "check_$c" >"$out/$c.log" 2>&1; then echo 0; else echo 1; fi \
		>"$out/$c.rc"
	  echo "$start $EPOCHREALTIME" >"$out/$c.time"; } &
done
wait

echo "TAP version 13"
echo "1..${#list[@]}"
n=0 failed=0
for c in "${list[@]}"; do
	n=$((n + 1))
	t=$(awk '{ printf "%.1f", $2 - $1 }' "$out/$c.time")
	if [ "$(cat "$out/$c.rc")" = 0 ]; then
		echo "ok $n - static: $c # time=${t}s"
	else
		failed=$((failed + 1))
		echo "not ok $n - static: $c # time=${t}s"
		head -n 60 "$out/$c.log" | sed 's/^/# /'
	fi
done
[ $failed = 0 ]
