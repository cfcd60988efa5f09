#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The module is replaced by the lines of docs/operations.md under programs that run: one that serves a
# model, and one that uses CUDA (a stand-in) under the shim. Without the module they work on or wait,
# as is said; they never fail, and get turns of the next one.
# shellcheck disable=SC2317 # functions are called by ok
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

export AIACCEL_TRANSPORT=kernel
bin=build/bin
model=${XDG_CACHE_HOME:-$HOME/.cache}/aiaccel/models/silero_vad_v5.onnx

eventually() { # COMMAND...: succeeds at last
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

has_turns() { "$bin/aiaccel" explain "$client" --json | grep -qE '"turns": [1-9]'; }

leaves() { # NAME
	ok "$1: it has turns" eventually has_turns
	ok "$1: leave ends when nobody has it open" "$bin/aiaccel" leave --wait 60
	ok "$1: the module goes" eventually rmmod aiaccel # not in a moment when the program looks
}

comes() { # NAME
	ok "$1: the next one comes" insmod "build/kmod/$(uname -r)/kmod/aiaccel.ko"
}

ticks() { awk '{ print $14 + $15 }' "/proc/$client/stat"; }

# To look for the module takes a tenth of this at most.
is_busy() {
	local before
	before=$(ticks)
	sleep 1
	[ $(($(ticks) - before)) -ge 60 ]
}

serves() { # open|closed
	local name="$1, a deployment"
	printf '[match]\nuser=root\non_missing=%s\n' "$1" >"$TMP/policy.d/upgrade.conf"
	ok "$name: the policy is set" "$bin/aiaccel" policy reload --dir "$TMP/policy.d"
	"$bin/aiaccel" run "$model" --dim input.1=576 --value sr=16000 --count 1000000 \
		>"$TMP/served" 2>"$TMP/errors" &
	client=$!
	leaves "$name"
	if [ "$1" = open ]; then
		ok "$name: works on" eventually is_busy
	else
		nok "$name: waits" is_busy
	fi
	comes "$name"
	ok "$name: it has turns again" eventually has_turns
	kill "$client"
	wait "$client"
	is "$name: it served to the end" "$? $(cat "$TMP/errors")" '0 '
	ok "$name: and says what it answered" grep -q ^answered "$TMP/served"
}

said() { grep -qx "$1" "$TMP/said"; }

launches() { # open|closed
	local name="$1, under the shim"
	mkfifo "$TMP/steps"
	LD_PRELOAD=$PWD/build/lib/libaiaccel-cuda.so LD_LIBRARY_PATH=build/standin AIACCEL_STANDIN=$TMP \
		AIACCEL_ENGINE=cpu0 AIACCEL_ON_MISSING=$1 build/shim/client dlsym \
		begin launch:3 sync say:gated wait launch:3 sync say:alone wait launch:3 sync say:again \
		<"$TMP/steps" >"$TMP/said" 2>"$TMP/errors" &
	client=$!
	exec {steps}>"$TMP/steps"
	leaves "$name"
	echo >&"$steps"
	if [ "$1" = open ]; then
		ok "$name: goes on" eventually said alone
	else
		sleep 1
		nok "$name: waits" said alone
	fi
	comes "$name"
	ok "$name: is gated again" eventually grep 'gated again' "$TMP/errors"
	echo >&"$steps"
	ok "$name: it has turns again" eventually has_turns
	exec {steps}>&-
	wait "$client"
	is "$name: it launched all" "$? $(xargs <"$TMP/said")" '0 gated alone again'
	rm "$TMP/steps"
}

if [ -e "$model" ]; then
	mkdir "$TMP/policy.d"
	serves open
	serves closed
	rm "$TMP/policy.d/upgrade.conf"
	"$bin/aiaccel" policy reload --dir "$TMP/policy.d"
else
	skip 'the module is replaced under a deployment' "$model is missing: run scripts/setup"
fi
launches open
launches closed
tap_done
