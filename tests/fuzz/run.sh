#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# run.sh BUILD SECONDS TARGET...: run libFuzzer targets, print TAP.

build=$1
seconds=$2
shift 2
fail=0
n=0
echo "TAP version 13"
echo "1..$#"
for target in "$@"; do
	n=$((n + 1))
	work=$build/corpus/$target
	log=$build/$target.log
	mkdir -p "$work"
	if "$build/$target" -max_total_time="$seconds" -max_len=16384 \
		-timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/$target-" \
		"$work" "corpus/$target" >"$log" 2>&1 &&
	   execs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") &&
	   [ "${execs:-0}" -gt 100 ]; then
		echo "ok $n - fuzz: $target: $execs inputs in $seconds s"
	else
		fail=1
		echo "not ok $n - fuzz: $target"
		tail -n 40 "$log" | sed 's/^/# /'
	fi
done
exit $fail
