#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# run.sh PROGRAM...: run cmocka programs, one on each processor, print one TAP
# stream for all of them, in their order, and how long each took. A program that
# dies, or runs fewer tests than it planned, is a failed test of its own. Exit
# status: 0 if all passed.
#
# $UNIT_FIRST names those that are started first, because they take longest.

out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
export CMOCKA_MESSAGE_OUTPUT=TAP
# A test never needs longer; a hang must not stop the others.
export UNIT_TIMEOUT="${UNIT_TIMEOUT:-3600}"
fail=0
count=0

in_order()
{
	for name in $UNIT_FIRST; do
		printf '%s\n' "$@" | grep "/$name\$"
	done
	for prog in "$@"; do
		case " $UNIT_FIRST " in
		*" ${prog##*/} "*) ;;
		*) echo "$prog" ;;
		esac
	done
}

# The quoted script has variables of its own.
# shellcheck disable=SC2016
in_order "$@" | tr '\n' '\0' | xargs -0 -n 1 -P "$(nproc)" sh -c '
	name=$0/${1##*/}
	date +%s.%N >"$name.time"
	timeout "$UNIT_TIMEOUT" "$1" >"$name.out" 2>&1 </dev/null
	rc=$?
	date +%s.%N >>"$name.time"
	echo $rc >"$name.rc"' "$out" &

echo "TAP version 13"
for prog in "$@"; do
	name=${prog##*/}
	# As soon as it is known, not when all are through.
	while [ ! -s "$out/$name.rc" ]; do
		sleep 0.1
	done
	rc=$(cat "$out/$name.rc")
	awk -v name="$name" -v start="$count" -v rc="$rc" '
	/^TAP version/ { next }
	/^1\.\.[0-9]+$/ { plan += substr($0, 4); next }
	/^(not )?ok [0-9]+/ {
		seen++
		if (/^not/)
			bad++
		match($0, /^(not )?ok [0-9]+( - )?/)
		verdict = /^not/ ? "not ok" : "ok"
		rest = substr($0, RLENGTH + 1)
		printf "%s %d - %s: %s\n", verdict, ++n + start, name, rest
		next
	}
	/^(not )?ok - / { next }
	/^#/ { print; next }
	{ print "# " $0 }
	END {
		if (!seen || seen != plan || (rc && !bad)) {
			printf "not ok %d - %s: %d of %d tests, exit status %d\n",
				++n + start, name, seen, plan, rc
			bad++
		}
		exit (bad ? 1 : 0)
	}' "$out/$name.out" || fail=1
	awk -v name="$name" 'NR == 1 { start = $1 }
		END { printf "# %s: %.1f s\n", name, $1 - start }' "$out/$name.time"
	count=$((count + $(awk -v rc="$rc" '
		/^1\.\.[0-9]+$/ { plan += substr($0, 4) }
		/^ok [0-9]+/ { seen++ }
		/^not ok [0-9]+/ { seen++; bad++ }
		END { print seen + (!seen || seen != plan || (rc && !bad)) }
		' "$out/$name.out")))
done
echo "1..$count"
exit $fail
