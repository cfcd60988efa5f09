#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The test runner catches what it must: each planted fault fails the run, and only a clean suite passes.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

# run_one COMMAND: sets status and out to what tests/run makes of a suite that is this command
run_one() {
	printf 'planted 2 host %s\n' "$1" >"$TMP/suites"
	out=$(tests/run --table "$TMP/suites" --logs "$TMP/logs" 2>&1)
	status=$?
	last=$(tail -n1 <<<"$out")
}

expect() { # NAME COMMAND STATUS LAST-LINE REGEX
	run_one "$2"
	is "$1: exit status" "$status" "$3"
	is "$1: last line" "$last" "$4"
	like "$1: told" "$out" "$5"
}

expect 'a clean suite' 'echo "ok 1 - a"; echo 1..1' 0 '1 passed, 0 failed, 0 skipped' 'planted +1 passed'
expect 'a failing test' 'echo "# because"; echo "not ok 1 - b"; echo "ok 2 - c"; echo 1..2; exit 1' \
	1 '1 passed, 1 failed, 0 skipped' $'FAIL planted: b\n     # because'
expect 'a crash' 'echo "ok 1 - a"; kill -SEGV $$' 1 '1 passed, 1 failed, 0 skipped' 'before its plan, with exit status 139'
expect 'a hang' 'echo "ok 1 - a"; echo 1..1; sleep 60' 1 '1 passed, 1 failed, 0 skipped' 'not done after 2 s'
expect 'no plan' 'echo "ok 1 - a"' 1 '1 passed, 1 failed, 0 skipped' 'before its plan, with exit status 0'
expect 'a result too few' 'echo "ok 1 - a"; echo 1..2' 1 '1 passed, 1 failed, 0 skipped' 'printed 1 results, but planned 2'
expect 'no tests' 'echo 1..0' 1 '0 passed, 1 failed, 0 skipped' 'has no tests'
expect 'a missing program' 'build/tests/there-is-no-such-test' 1 '0 passed, 1 failed, 0 skipped' 'exit status 127'
expect 'a status that says more than the results' 'echo "ok 1 - a"; echo 1..1; exit 3' \
	1 '1 passed, 1 failed, 0 skipped' 'but the exit status is 3'
tsan='printf "=====\nWARNING: ThreadSanitizer: data race (pid=1)\n  Write of size 8\n    #0 planted()\n\nSUMMARY: ThreadSanitizer: data race\n"'
expect 'a report of a sanitizer in a test' "$tsan; echo ok 1 - a; echo ok 2 - b; echo 1..2; exit 66" \
	1 '1 passed, 1 failed, 0 skipped' $'FAIL planted: a: a sanitizer reported\n.*WARNING: ThreadSanitizer.*#0 planted'
expect 'a report of a sanitizer after the tests' "echo ok 1 - a; echo 1..1; echo planted.c:1:2: runtime error: x" \
	1 '1 passed, 1 failed, 0 skipped' $'FAIL planted: a sanitizer reported after the last result\n +planted.c:1:2: runtime error'
expect 'a skip' 'echo "ok 1 - a"; echo "ok 2 - d # SKIP no GPU"; echo 1..2' \
	0 '1 passed, 0 failed, 1 skipped' 'skip planted: d: no GPU'
expect 'nothing but skips' 'echo "ok 1 - d # SKIP no GPU"; echo 1..1' 1 '0 passed, 0 failed, 1 skipped' 'no GPU'

# As `aiaccel exec` starts one: it would stay for ten minutes.
expect 'a suite that starts a broker' "build/bin/aiacceld --background --idle 600 --socket \$AIACCEL_BROKER && echo \$AIACCEL_BROKER >$TMP/broker && echo ok 1 - a; echo 1..1" \
	0 '1 passed, 0 failed, 0 skipped' 'planted +1 passed'
ended() {
	local i
	for i in {1..50}; do
		grep -qzx -- "$(sed 's/[.]sock$/[.]sock/' "$TMP/broker")" /proc/[0-9]*/cmdline 2>/dev/null || return 0
		sleep 0.1
	done
	echo "still there after $i looks"
	return 1
}
ok 'its broker ends with it' ended

# Where a suite runs: a suite of no known place is no suite that is left out in silence.
printf "a 2 host x\nb 2 vm x\nc 2 vm-stock x\nd 2 vm-debug x\n" >"$TMP/suites"
listed() { tests/run --table "$TMP/suites" --list "$@" 2>&1 | tr "\n" " "; }
is "the suites of make check" "$(listed)" "a b c "
is "the suites of the debug kernel" "$(listed --kernel debug)" "b d "
is "the suites of another kernel" "$(listed --kernel 7.0)" "b "
echo "e 2 vm-stcok x" >>"$TMP/suites"
like "a suite of no known place" "$(listed)" "does not say where to run e"

# The shell half of TAP: a check that fails is seen, and leaving early is no success.
tap() { # SCRIPT: runs it after sourcing tap.sh
	bash -c '. tests/tap/tap.sh; '"$1" 2>&1
}
like 'tap.sh: ok of a failing command' "$(tap 'ok x false; tap_done')" 'not ok 1 - x'
like 'tap.sh: nok of a missing command is a failure' "$(tap 'nok x no-such-program; tap_done')" 'not ok 1 - x'
like 'tap.sh: is' "$(tap 'is x 1 2; tap_done')" 'not ok 1 - x'
is 'tap.sh: no plan when the script leaves early' "$(tap 'ok x true; exit 0')" 'ok 1 - x'
nok 'tap.sh: no check made' tap tap_done
for slow in 'ok x sleep 2' 'sleep 2'; do
	like "tap.sh: $slow, with too little time" "$(AIACCEL_TEST_LIMIT=1 tap "$slow; tap_done")" \
		'^not ok 1 - (x|the beginning): not done after 1 s$'
done

# The Boost.Test half.
planted() { # CASE: its TAP lines and exit status
	build/tests/harness --run_test="planted/$1" 2>&1 | grep -v '^#'
	echo "status ${PIPESTATUS[0]}"
}
is 'Boost: a passing case' "$(planted passes)" $'ok 1 - planted/passes\n1..1\nstatus 0'
is 'Boost: a failing case' "$(planted fails)" $'not ok 1 - planted/fails\n1..1\nstatus 1'
is 'Boost: an exception' "$(planted throws)" $'not ok 1 - planted/throws\n1..1\nstatus 1'
is 'Boost: a skip' "$(planted skips)" $'ok 1 - planted/skips # SKIP planted reason\n1..1\nstatus 0'
is 'Boost: a skip hides no failure' "$(planted fails_and_skips)" $'not ok 1 - planted/fails_and_skips\n1..1\nstatus 1'
is 'Boost: no plan after a crash' "$(planted dies)" 'status 137'
is 'Boost: a child that comes out' "$(planted forks)" $'ok 1 - planted/forks\n1..1\nstatus 0'
for case in hangs spins; do
	is "Boost: a test that $case" "$(AIACCEL_TEST_LIMIT=1 planted $case)" \
		"not ok 1 - planted/$case: not done after 1 s"$'\nstatus 75'
done
like 'Boost: no test case' "$(planted nothing_of_this_name)" 'not ok 1 - no test case was run'

# Every folder of tests is in the table, so that no test is forgotten.
for program in tests/*/*.sh; do
	case $program in tests/tap/* | tests/harness/guest.sh | tests/systemd/system.sh) continue ;; esac
	ok "$program is in tests/suites" grep -qF "$program" tests/suites
done
for folder in tests/*/; do
	case $folder in tests/tap/ | tests/harness/ | tests/kcov/ | tests/bench/) continue ;; esac
	name=$(basename "$folder")
	compgen -G "$folder*.cpp" >/dev/null || continue
	ok "$folder is in tests/suites" grep -qE "(build/tests/$name|tests/$name/run)( |\$)" tests/suites
done
# A check that gives up is a complaint, unless a fault was put into it on purpose.
off='DMA-API: cacheline tracking ENOMEM, dma-debug disabled'
is 'a check of DMA that gave up is a complaint' \
	"$(printf '%s\n' 'aiaccel-test: kmod: edu/a' "$off" | tests/vm/splats /dev/stdin)" "kmod: edu/a"$'\n'"     $off"
is 'but not where a fault made it' \
	"$(printf '%s\n' 'aiaccel-test: kmod: fail_nth_memory/a' "$off" | tests/vm/splats /dev/stdin)" ''
tap_done
