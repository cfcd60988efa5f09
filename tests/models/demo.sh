#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh [TRANSPORT]: the whole demo, cut short. Its figures are not judged, since they are the
# machine's; that every part ran, that nothing failed, was lost or was wrong, is.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

transport=${1:-broker}
model=${XDG_CACHE_HOME:-$HOME/.cache}/aiaccel/models/silero_vad_v5.onnx
command -v espeak-ng >/dev/null || {
	skip 'the demo' 'espeak-ng is not installed'
	tap_done
}
[ -e "$model" ] || {
	skip 'the demo' "$model is missing: scripts/setup"
	tap_done
}

export AIACCEL_BROKER=$TMP/broker.sock
figures=$TMP/demo.json
# In the virtual machine it is paced by emulated arithmetic: a few requests take longer there.
seconds=0.6
[ "$transport" != kernel ] || seconds=2.5
ok 'it runs to its end' \
	build/bin/aiaccel --transport "$transport" demo --seconds $seconds --json "$figures"

count() { grep -cE "$1" "$figures"; }

is 'it names its transport' "$(count "\"transport\": \"$transport\"")" 1
is 'and that no GPU was involved' "$(count '"gpu": false')" 1
for condition in alone nothing os_tools aiaccel fifo by_class; do
	is "$condition has figures" "$(count "\"$condition\": \{")" 1
done
is 'all six have requests' "$(count '"requests": [1-9]')" 7 # and those of the switch
is 'none failed' "$(count '"failed": 0,')" 6
is 'every flood got something' "$(count '"flood_per_s": [0-9.]*[1-9]')" 3
is 'the latencies are numbers above 0' "$(count '"p(50|99|999)_ms": [0-9.e-]*[1-9]')" 18
if [ "$transport" = embedded ]; then
	is 'no flood was killed' "$(count '"returned_ms": null')" 1
else
	is 'what was killed came back' "$(count '"returned_ms": [0-9.e-]*[1-9]')" 1
fi
is 'nothing was lost' "$(count '"lost": 0,')" 1
is 'nothing was wrong' "$(count '"wrong": 0,')" 1
is 'both versions answered' "$(count '"silero-vad@v[56]": [1-9]')" 2
is 'speech was found' "$(($(count '"start_s": ') > 0))" 1
is 'no control group is left' "$(find /sys/fs/cgroup -maxdepth 2 -name 'aiaccel-demo-*' 2>/dev/null | while read -r group; do
	[ -e "/proc/${group##*-}" ] || echo "$group"
done)" ''
nok 'a role of its own needs the demo' build/bin/aiaccel demo --role nonsense </dev/null
tap_done
