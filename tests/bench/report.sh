#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make bench` computes what it prints from the samples, and takes no row that says nothing.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

# report ROWS: sets out and status
report() {
	out=$(build/bench/report "$TMP/bench.json" <<<"$1" 2>&1)
	status=$?
}

same='[20,20,20,20,20,20,20,20,20,20]'
row() { # OURS PEER BETTER GOAL
	echo "{\"name\":\"test/row\",\"ours\":$1,\"peer\":$2,\"peer_name\":\"it\",\"unit\":\"ms\",\"better\":\"$3\",\"goal\":$4}"
}

report "$(row '[10,10,10,10,10,10,10,10,10,10]' "$same" lower 0.5)"
is 'a ratio: status' "$status" 0
like 'a ratio is of the medians, its interval around it' "$out" 'test/row +10 ms +20 ms +it +0.5 +0.5 to 0.5 +<= 0.5  met'
is 'the samples are written as they were' "$(tr -d '[:space:]' <"$TMP/bench.json")" \
	"[$(row '[10.0,10.0,10.0,10.0,10.0,10.0,10.0,10.0,10.0,10.0]' '[20.0,20.0,20.0,20.0,20.0,20.0,20.0,20.0,20.0,20.0]' lower 0.5 |
		sed 's/\.0//g')]"

# The median meets the goal, the interval's end does not.
report "$(row '[18,18,18,18,19,19,30,30,30,30]' "$same" lower 1)"
like 'a goal is met by the nearer end of the interval' "$out" '0.95 +0.9 to 1.5 +<= 1  missed'
report "$(row '[40,40,40,40,40,40,40,40,40,40]' "$same" higher 2.1)"
like 'higher is better' "$out" '2 +2 to 2 +>= 2.1  missed'
report '{"name":"test/value","ours":[1,2,3,4,5,6,7,8,9,10],"unit":"ms","better":"lower","goal":200}'
like 'without a peer, the value' "$out" 'test/value +5.5 ms +5.5 ms +[0-9.]+ to [0-9.]+ +<= 200  met'

refused() { # NAME ROW REASON
	report "$2"
	is "$1 is refused" "$status" 1
	like "$1: why" "$out" "$3"
}
refused 'a row of few samples' "$(row '[1,2,3]' "$same" lower 1)" 'test/row: ours has 3 samples'
refused 'a row without a unit' '{"name":"x","ours":'"$same"',"better":"lower","goal":1}' 'x: .*unit'
refused 'what is no JSON' 'nonsense' 'parse error'
refused 'a direction that is none' "$(row "$same" "$same" down 1)" 'neither lower nor higher'
refused 'a peer of nothing' "$(row "$same" '[0,0,0,0,0,0,0,0,0,0]' lower 1)" 'not above 0'
report_nothing() { build/bench/report "$TMP/bench.json" </dev/null; }
nok 'no row at all is a failure' report_nothing

tap_done
