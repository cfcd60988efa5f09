#!/bin/bash
# SPDX-License-Identifier: MIT
#
#   tracing.sh build/tests/traced
#
# The commands of docs/tracing.md, typed as they stand there, while that program does what they
# look at. What each prints is about its processes. In the virtual machine; all at once,
# because there bpftrace takes ten seconds of the processor to start.
# shellcheck disable=SC2317 # much is called through ok
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

# blocks: each block of commands, ended by a NUL
blocks() {
	awk '/^```sh/ { on = 1; next } /^```/ { if (on) printf "%c", 0; on = 0; next } on' docs/tracing.md
}

# counted FILE EVENT...: perf counted each of them
counted() {
	local file=$1 event
	shift
	for event; do
		grep -qE "^ *[1-9][0-9,]* +aiaccel:$event( |\$)" "$file" || { echo "no aiaccel:$event"; return 1; }
	done
}

# histogram FILE NAME: bpftrace printed one of that name, with something in it
histogram() {
	awk -v name="@$2:" '
		index($0, "@") == 1 { on = index($0, name) == 1; next }
		on && /^[[(][^])]*[])] +[1-9][0-9]* +\|/ { found = 1 }
		END { exit !found }' "$1"
}

# shows BLOCK FILE: what the block is there to show is in what it printed
shows() {
	local bytes
	case $1 in
	*"perf stat "*) counted "$2" queue grant revoke pin free refuse ;;
	*"perf script "*) grep -qE "^ *traced-refused +$refused +.*call=0x11 by=rlimit error=-12\$" "$2" ;;
	*@bytes*) bytes=$(sed -n 's/^@bytes\[traced-pin\]: //p' "$2")
		[ "${bytes:-0}" -gt 0 ] && [ $((bytes % 4096)) = 0 ] && ! grep -q traced-refused "$2" ;;
	*@run_bytes*) histogram "$2" run_bytes && grep -qE '^\[4K, 8K\) ' "$2" ;;
	*sys_enter_ioctl*) histogram "$2" us ;;
	*:grant*) histogram "$2" "us[$engine, 1]" && histogram "$2" "us[$engine, 3]" ;; # low and high
	*:revoke*) grep -qE "^@\[$turns\]: [1-9]" "$2" ;;
	*trace_pipe*) grep -qE "^ *traced-pin-$pin .* pin: context=[0-9]+ tenant=[0-9]+ kind=pinned bytes=4096 " "$2" ;;
	*) echo 'nothing here knows what it should print' && false ;;
	esac
}

typed() { # NUMBER
	[ "${ended[$1]}" = 0 ] && shows "${blocks[$1]}" "$TMP/said$1" && return
	tail -n 100 "$TMP/said$1"
	return 1
}

mapfile -d '' -t blocks < <(blocks)
is 'there are blocks of commands' "${#blocks[@]}" 8

"$1" >"$TMP/traced" 2>&1 &
traced=$!
until grep -q '^engine ' "$TMP/traced" || ! kill -0 $traced 2>/dev/null; do sleep 0.1; done
declare -A number
while read -r name value; do
	number[$name]=$value
done <"$TMP/traced"
pin=${number[traced-pin]-} refused=${number[traced-refused]-} turns=${number[traced-turns]-} engine=${number[engine]-}
like 'there is something to look at' "$pin $refused $turns $engine" '^[0-9]+ [0-9]+ [0-9]+ [0-9]+$'

typing=() ended=()
for block in "${blocks[@]}"; do
	bash -euc "$block" >"$TMP/said${#typing[@]}" 2>&1 </dev/null &
	typing+=($!)
done
for i in "${!blocks[@]}"; do
	wait "${typing[i]}"
	ended+=($?)
	what=$(head -n1 <<<"${blocks[i]}" | cut -c1-90)
	case ${blocks[i]} in
	perf*) tool='perf' ;;
	bpftrace*) tool='bpftrace' ;;
	*) tool='cat' ;;
	esac
	if command -v $tool >/dev/null; then
		ok "$what" typed "$i"
	else
		skip "$what" "$tool is not installed"
	fi
done
kill "$traced"
wait "$traced"
is 'what was looked at went on to the end' "$? $(grep '^traced: ' "$TMP/traced")" '0 '
tap_done
