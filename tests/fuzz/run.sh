#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# run.sh BUILD SECONDS TARGET...: run libFuzzer targets, one on each
# processor, print TAP in their order. They start from corpus/TARGET, or from
# the corpus of what is before the "_" in their names.

build=$1
seconds=$2
shift 2
fail=0
n=0
export build seconds
rm -f "$build"/*.rc

# The quoted script has variables of its own.
# shellcheck disable=SC2016
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" sh -c '
	mkdir -p "$build/corpus/$1"
	seeds=corpus/$1
	[ -d "$seeds" ] || seeds=corpus/${1%%_*}
	"$build/$1" -max_total_time="$seconds" -max_len=16384 -timeout=60 \
		-rss_limit_mb=2048 -malloc_limit_mb=256 -print_final_stats=1 \
		-artifact_prefix="$build/$1-" "$build/corpus/$1" "$seeds" \
		>"$build/$1.log" 2>&1
	echo $? >"$build/$1.rc"' sh &

echo "TAP version 13"
echo "1..$#"
for target in "$@"; do
	n=$((n + 1))
	log=$build/$target.log
	while [ ! -s "$build/$target.rc" ]; do
		sleep 1
	done
	execs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "$(cat "$build/$target.rc")" = 0 ] && [ "${execs:-0}" -gt 100 ]; then
		echo "ok $n - fuzz: $target: $execs inputs in $seconds s"
		continue
	fi
	fail=1
	echo "not ok $n - fuzz: $target"
	tail -n 40 "$log" | sed 's/^/# /'
	input=$(sed -n 's/.*Test unit written to //p' "$log")
	[ -z "$input" ] || echo "# again: $build/$target $input"
done
exit $fail
