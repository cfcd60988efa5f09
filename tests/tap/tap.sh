# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# TAP for shell tests. Source it, call the checks, end with `tap_done`. Without the plan that tap_done
# prints, the runner takes the test for crashed, so an early exit cannot pass for success.
#
#   ok NAME CMD...          CMD succeeds (its output is shown when it does not)
#   nok NAME CMD...         CMD fails with a status of its own (not by a signal, not "command not found")
#   is NAME GOT WANTED      two strings are equal
#   like NAME GOT REGEX     a string matches an extended regular expression
#   skip NAME REASON        a check that cannot be made here
#   tap_done                prints the plan; exits 1 if anything failed or nothing was checked
#
# From one result to the next there are $AIACCEL_TEST_LIMIT seconds (default 240). Then a result that
# says so is written and the script killed. In a virtual machine each check is marked in the kernel's
# log (tests/tap/guard.hpp).
#
# TMP is an empty folder of the test's own, removed at exit.

tap_count=0
tap_failed=0
TMP=$(mktemp -d "${TMPDIR:-/tmp}/aiaccel-test.XXXXXX")
trap 'rm -rf "$TMP"' EXIT

# Told what begins by a line each, and of the end by an empty one.
tap_watch() {
	local limit=${AIACCEL_TEST_LIMIT:-240} check next over=0
	while :; do
		IFS= read -r -t "$limit" next || { over=$?; break; }
		[ -n "$next" ] || exit
		check=$next
	done
	# Above 128: it was the time that ended, not the script.
	if [ $over -gt 128 ] && kill -0 $$ 2>/dev/null; then
		echo "not ok $check: not done after $limit s"
		kill -KILL $$
		rm -rf "$TMP"
	fi
}
exec {tap_watcher}> >(tap_watch)

tap_begin() { # NAME
	echo "$((tap_count + 1)) - $1" >&"$tap_watcher"
	[ -z "${AIACCEL_TEST_SUITE-}" ] || echo "<4>aiaccel-test: $AIACCEL_TEST_SUITE: $1" >/dev/kmsg
}
tap_begin 'the beginning'

tap_result() { # STATUS NAME
	tap_count=$((tap_count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_count - $2"
	else
		echo "not ok $tap_count - $2"
		tap_failed=$((tap_failed + 1))
	fi
	tap_begin "after $2"
}

ok() {
	local name=$1 out status=0
	shift
	tap_begin "$name"
	out=$("$@" 2>&1) || status=$?
	[ $status = 0 ] || printf '%s\n' "exit status $status of: $*" "$out" | sed 's/^/# /'
	tap_result $status "$name"
}

nok() {
	local name=$1 out status=0
	shift
	tap_begin "$name"
	out=$("$@" 2>&1) || status=$?
	if [ $status -gt 0 ] && [ $status -lt 126 ]; then
		tap_result 0 "$name"
	else
		printf '%s\n' "exit status $status of: $*" "$out" | sed 's/^/# /'
		tap_result 1 "$name"
	fi
}

is() {
	if [ "$2" = "$3" ]; then
		tap_result 0 "$1"
	else
		printf '%s\n' "got:    $2" "wanted: $3" | sed 's/^/# /'
		tap_result 1 "$1"
	fi
}

like() {
	if [[ $2 =~ $3 ]]; then
		tap_result 0 "$1"
	else
		printf '%s\n' "got:     $2" "no match: $3" | sed 's/^/# /'
		tap_result 1 "$1"
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

tap_done() {
	[ "$tap_count" -gt 0 ] || tap_result 1 'no check was made'
	echo "1..$tap_count"
	echo >&"$tap_watcher"
	[ "$tap_failed" = 0 ] || exit 1
	exit 0
}
