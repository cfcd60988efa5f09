#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What docs/models.md shows is typed, from its first line to its last, with the tools that were built and
# stock git and git-lfs; and ends as it says.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

bin=$PWD/build/bin
models=${XDG_CACHE_HOME:-~/.cache}/aiaccel/models
for version in v5 v6; do
	[ -e "$models/silero_vad_$version.onnx" ] || {
		skip "docs/models.md works as typed" "$models/silero_vad_$version.onnx is missing: run scripts/setup"
		tap_done
	}
done

mkdir "$TMP/typed"
cp "$models/silero_vad_v5.onnx" "$TMP/typed/silero_vad_5.0.0.onnx"
cp "$models/silero_vad_v6.onnx" "$TMP/typed/silero_vad_6.0.0.onnx"
# The same in other bytes: a doc_string is appended.
(cat "$models/silero_vad_v5.onnx" && printf '\x32\x05again') >"$TMP/typed/silero_vad_5.1.0.onnx"
awk '/^<!-- typed -->/ { next_one = 1; next }
	/^```/ && next_one { if (writing) next_one = 0; writing = !writing; next }
	writing' docs/models.md >"$TMP/lines"

# shellcheck disable=SC2317 # called through ok
typed() {
	(unset AIACCEL_REGISTRY XDG_DATA_HOME XDG_CONFIG_HOME && cd "$TMP/typed" &&
		HOME=$TMP/typed XDG_CACHE_HOME=${models%/aiaccel/models} PATH=$bin:$PATH GIT_CONFIG_NOSYSTEM=1 \
			GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org \
			AIACCELD=$bin/aiacceld AIACCEL_BROKER=$TMP/broker.sock timeout 200 bash -eu "$TMP/lines" >"$TMP/printed" 2>&1)
	local status=$?
	cat "$TMP/printed"
	return "$status"
}

ok "docs/models.md works as typed" typed
answered=$(grep ^answered "$TMP/printed")
for version in 5.0.0 5.1.0 6.0.0; do
	like "$version has answered" "$answered" "[1-9][0-9]* by silero-vad@v$version"
done
like "weights of the clone are checked" "$(cat "$TMP/printed")" "Git LFS fsck OK"
is "signatures are checked, here and elsewhere" "$(grep -c '^signature  good, key ' "$TMP/printed")" 4
is "weights of the clone are those that were added" \
	"$(cat "$TMP"/typed/elsewhere/silero-vad/*.onnx | sha256sum)" \
	"$(sha256sum <"$models/silero_vad_v6.onnx")"
is "nothing was refused" "$(grep -c 'not switched' "$TMP/typed/switches")" 0
chmod -R u+w "$TMP/typed" # versions that were checked out are read-only
tap_done
