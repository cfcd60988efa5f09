#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The commands of docs/tracing.md, typed as they stand there, but for two seconds in place of five, while
# tests take turns and memory. In the virtual machine.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null # it may be there
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null

# blocks: each block of commands, ended by a NUL
blocks() {
	awk '/^```sh/ { on = 1; next } /^```/ { if (on) printf "%c", 0; on = 0; next } on' docs/tracing.md |
		sed 's/s:5/s:2/g; s/sleep 5/sleep 2/g; s/timeout 5/timeout 2/g'
}

load() {
	while :; do
		build/tests/conformance -t memory,terms -- --transport=kernel
		build/tests/kmod -t pin,quota/memlock_to_the_page
	done >/dev/null 2>&1
}

# seen PATTERN COMMANDS: they succeed, and the pattern is in what they print
# shellcheck disable=SC2317 # called through ok
seen() {
	local tries
	for ((tries = 0; tries < 10; tries++)); do # what is looked for may not happen in two seconds
		bash -euc "$2" >"$TMP/said" 2>&1 || { cat "$TMP/said"; return 1; }
		grep -qE "$1" "$TMP/said" && return 0
	done
	cat "$TMP/said"
	return 1
}

# What each block is there to show, in their order.
patterns=(
	'[1-9][0-9,]* +aiaccel:pin'
	' call=0x11 by=rlimit error=-12'
	'^@bytes\[[^]]+\]: [1-9]'
	'^@run_bytes:|^\[4K, 8K\)'
	'^@us:|^\[[0-9]+[KM]?(, [0-9]+[KM]?)?\)'
	'^@us\[[0-9]+, [0-4]\]:'
	'^@\[[0-9]+\]: [1-9]'
	'pin: context=[0-9]+ tenant=[0-9]+ kind=pinned bytes=[1-9]'
)
mapfile -d '' -t blocks < <(blocks)
is 'every block has its pattern' "${#blocks[@]}" "${#patterns[@]}"

set -m # a process group of its own: what it runs is to end with it
load &
loading=$!
set +m
for i in "${!blocks[@]}"; do
	case ${blocks[i]} in
	perf*) tool='perf' ;;
	bpftrace*) tool='bpftrace' ;;
	*) tool='cat' ;;
	esac
	what=$(head -n1 <<<"${blocks[i]}" | cut -c1-90)
	if command -v $tool >/dev/null; then
		ok "$what" seen "${patterns[i]}" "${blocks[i]}"
	else
		skip "$what" "$tool is not installed"
	fi
done
kill -- -$loading
wait $loading 2>/dev/null
tap_done
