#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The test runner catches what goes wrong in the kernel, and tells in which test: a complaint in its
# log, pages left pinned, a test that hangs, a machine that is stuck. One boot for all of them: the last
# ends it.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

# The guest sees build/ alone.
release=$(scripts/kernel-release)
module=$PWD/build/kmod/$release/planted
work=build/harness-vm
mkdir -p "$module" $work
ln -sf "$PWD"/tests/harness/module/* "$module"
ok 'the module of planted faults builds' make -s -C "/lib/modules/$release/build" M="$module" KCFLAGS=-Werror modules

# A cache in /tmp, which is another one in the guest.
real=${XDG_CACHE_HOME:-$HOME/.cache}/aiaccel
export XDG_CACHE_HOME=$TMP/cache
mkdir -p "$XDG_CACHE_HOME/aiaccel"
ln -s "$real"/* "$XDG_CACHE_HOME/aiaccel"
echo $$ >"$XDG_CACHE_HOME/aiaccel/seen"

cat >$work/suites <<END
load    60 vm tests/harness/guest.sh load $module/aiaccel_planted.ko
cache   60 vm tests/harness/guest.sh cache $$
clean   60 vm build/tests/harness --run_test=planted/passes
splat   60 vm tests/harness/guest.sh splat
boost   60 vm build/tests/harness --run_test=planted/passes,warns,skips
pin     60 vm tests/harness/guest.sh pin
hang    60 vm AIACCEL_TEST_LIMIT=1 build/tests/harness --run_test=planted/passes,hangs
stuck   60 vm tests/harness/guest.sh stuck
never   60 vm build/tests/harness --run_test=planted/passes
beside  60 host until [ -s $work/load.status ]; do sleep 0.1; done; echo ok 1 - beside; echo 1..1
END
out=$(tests/run --table $work/suites --logs $work 2>&1)
is 'exit status' $? 1
sed 's/^/# /' <<<"$out"

told() { # NAME REGEX: with `.` that matches no newline
	ok "$1" grep -qxE "$2" <<<"$out"
}
told 'a module left loaded fails the suite' 'FAIL load: left behind .*'
told 'a cache in /tmp is there' 'cache +1 passed +0 failed.*'
told 'a clean suite passes' 'clean +1 passed +0 failed.*'
told 'a complaint of the kernel fails the test by name' 'FAIL splat: culprit: the kernel complained'
told 'and no other test' 'splat +2 passed +1 failed.*'
told 'and is shown' ' +.*WARNING: CPU: .*planted.*'
told 'also in a program of Boost.Test' 'FAIL boost: planted/warns: the kernel complained'
told 'and no other test of it' 'boost +1 passed +1 failed +1 skipped.*'
told 'pages left pinned fail the suite' 'FAIL pin: left behind .*'
told 'and are counted' ' +> pinned pages: 1'
told 'a hang fails the test by name' 'FAIL hang: planted/hangs: not done after 1 s'
told 'a stuck machine fails the run' 'FAIL the virtual machine:'
told 'and its test by name' 'FAIL stuck: culprit: the kernel complained'
told 'which is where it ended' 'FAIL stuck: was not run to its end: culprit'
told 'a suite below runs while the machine does' 'beside +1 passed +0 failed.*'
told 'suites that never ran are told' 'FAIL never: was not run to its end'
like 'the last line counts' "$(tail -n1 <<<"$out")" '^10 passed, [0-9]+ failed, 1 skipped$'
tap_done
