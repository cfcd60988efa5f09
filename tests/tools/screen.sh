#!/bin/bash
# SPDX-License-Identifier: MIT
#
# aiaccel-top on a real terminal, that of tmux: that it draws, takes keys, follows the size of the
# terminal, and gives it back.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

command -v tmux >/dev/null || {
	skip 'the screen of aiaccel-top' 'tmux is not installed'
	tap_done
}

# A server of the test's own, with nobody's configuration, gone with the test.
tmux() { command tmux -S "$TMP/tmux" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null; [ -z "${load-}" ] || kill "$load" 2>/dev/null; rm -rf "$TMP"' EXIT

screen() { tmux capture-pane -p; }

# eventually CHECK...: it holds, at the latest when only a hang can be why not
eventually() {
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		"$@" && return 0
		sleep 0.1
	done
	screen
	return 1
}

shows() { [[ $(screen) == *"$1"* ]]; }
line_is() { [ "$(screen | sed -n "$1p")" = "$2" ]; }

# In a file: it is read by a shell of tmux's, which would take a path apart otherwise.
cat >"$TMP/top" <<-END
	AIACCEL_BROKER='$TMP/broker.sock' '$PWD/build/bin/aiaccel-top' --transport broker -d 0.2
	echo "ended with \$?"
	exec cat
END

model=${XDG_CACHE_HOME:-$HOME/.cache}/aiaccel/models/silero_vad_v5.onnx
load=
if [ -e "$model" ]; then
	AIACCEL_BROKER=$TMP/broker.sock build/bin/aiaccel run "$model" --transport broker --class low \
		--dim input.1=576 --value sr=16000 --count 100000000 >"$TMP/load" 2>&1 &
	load=$!
fi

export LC_ALL=C.UTF-8 TERM=xterm-256color
tmux new-session -d -x 80 -y 24 sh "$TMP/top" || exit 1

ok 'it draws' eventually shows 'q quit  s sort: rate  ? help'
like 'the first line says what is watched' "$(screen | sed -n 1p)" '^aiaccel-top  broker: '
like 'an engine is there' "$(screen)" $'\ncpu-node'
is 'the foot is on the last line' "$(screen | sed -n 24p)" 'q quit  s sort: rate  ? help'
if [ -n "$load" ]; then
	ok 'a queue at work is there' eventually shows 'silero_vad_v5  low'
else
	skip 'a queue at work is there' "$model is missing: run scripts/setup"
fi

tmux send-keys s
ok 's sorts by the next' eventually shows 's sort: wait'
tmux send-keys '?'
ok '? shows the keys' eventually shows 'scroll the queues'
tmux send-keys '?'
ok '? hides them again' eventually shows 'QUEUE'

tmux resize-window -x 44 -y 14
ok 'a smaller terminal is followed' eventually line_is 14 'q quit  s sort: wait  ? help'
is 'and nothing wraps' "$(screen | sed -n 1p | cut -c1-21)" 'aiaccel-top  broker: '
like 'and the engine is still there' "$(screen)" $'\ncpu-node'
tmux resize-window -x 120 -y 30
ok 'a larger one too' eventually line_is 30 'q quit  s sort: wait  ? help'

tmux send-keys q
ok 'q ends it, with success' eventually shows 'ended with 0'
nok 'and gives the terminal back' shows 's sort'

tap_done
