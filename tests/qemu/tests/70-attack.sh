# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A hostile client of the loaded module.
# timeout: 1800
# kernels: 6.1 6.12 debug

must modprobe blktap
/opt/pvio/bin/blktap-attack >"$state/attack" 2>&1 || {
	cat "$state/attack"
	fail "blktap-attack: status $?"
}
tail -n 3 "$state/attack"
grep -q '^ok' "$state/attack" || fail "it said nothing"
! grep '^not ok' "$state/attack" || fail "see above"
