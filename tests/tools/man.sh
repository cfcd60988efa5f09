#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The manual pages: that they are well formed, and that they name every option that --help prints,
# every parameter of the module, every field of the JSON, and none that there is not.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

pages=docs/man
bin=build/bin

# options_of_help TOOL [COMMAND…]: its options, sorted, one a line
options_of_help() {
	"$bin/$1" "${@:2}" --help | tr , ' ' |
		awk '{ for (i = 1; i <= NF && $i ~ /^-/; i++) print $i }' | sort -u
}

# options_of_page PAGE: the options that the page explains: those in `.It Fl`
options_of_page() {
	awk '/^\.It Fl/ { for (i = 2; i <= NF; i++) if ($i == "Fl") print "-" $(i + 1) }' "$pages/$1" | sort -u
}

# fields_of JSON: every key in it, sorted
fields_of() { grep -oE '"[a-z0-9_]+":' <<<"$1" | tr -d '":' | sort -u; }

# names_of_page PAGE: what it sets as a variable
names_of_page() { awk '/^\.(It )?Va/ { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z0-9_]+$/) print $i }' "$pages/$1" | sort -u; }

# unnamed FIELDS PAGE...: the fields that none of the pages names
unnamed() { comm -23 <(fields_of "$1") <(for page in "${@:2}"; do names_of_page "$page"; done | sort -u) | paste -sd' '; }

for page in "$pages"/*.[148]; do
	name=$(basename "$page")
	if command -v mandoc >/dev/null; then
		is "$name is well formed" "$(mandoc -T lint -W warning "$page" 2>&1)" ''
	else
		skip "$name is well formed" 'mandoc is not installed'
	fi
	if command -v man >/dev/null; then
		is "$name renders without a warning" \
			"$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)" ''
	else
		skip "$name renders without a warning" 'man is not installed'
	fi
done

is 'aiaccel.1 has the options of aiaccel and its commands' "$(options_of_page aiaccel.1)" \
	"$({ options_of_help aiaccel; for c in doctor engines explain drain resume order leave evict run exec attach demo completion; do options_of_help aiaccel $c; done
		for c in check show reload set unset; do options_of_help aiaccel policy $c; done; } | sort -u)"
model_commands=$("$bin/aiaccel" model --help | awk 'on && NF { print $1 } tolower($0) ~ /^subcommands/ { on = 1 }')
is 'aiaccel-model.1 has the commands' "$(awk '/^\.Ss/ { print $2 }' $pages/aiaccel-model.1 | paste -sd' ')" \
	"$(paste -sd' ' <<<"$model_commands")"
is 'aiaccel-model.1 has the options' "$(options_of_page aiaccel-model.1)" \
	"$(for c in $model_commands; do options_of_help aiaccel model "$c"; done | sort -u)"
is 'aiaccel-model.1 has the fields of the JSON, and no others' \
	"$(comm -3 <(grep -ohE '\{"[a-z0-9_]+",|json\["[a-z]+"\]' tools/aiaccel/model*.cpp | tr -dc 'a-z0-9_\n' | sed 's/^json//' | sort -u) \
		<(names_of_page aiaccel-model.1) | xargs)" ''
is 'aiaccel-top.1 has the options of aiaccel-top' "$(options_of_page aiaccel-top.1)" "$(options_of_help aiaccel-top)"
is 'aiacceld.8 has the options of aiacceld' "$(options_of_page aiacceld.8)" "$(options_of_help aiacceld)"

is 'aiaccel.1 has the commands' "$(awk '/^\.Ss/ { print $2 }' $pages/aiaccel.1 | paste -sd' ')" \
	"$("$bin/aiaccel" --help | awk 'on && NF { print $1 } tolower($0) ~ /^subcommands/ { on = 1 }' | paste -sd' ')"
is 'aiaccel.4 has the parameters of the module' \
	"$(awk '/^\.It Cm/ { for (i = 3; i <= NF; i++) if ($i ~ /^[a-z_]+$/) print $i }' $pages/aiaccel.4 | sort)" \
	"$(find kmod -maxdepth 1 -name '*.c' ! -name edu.c -exec sed -nE 's/^module_param(_named)?\(([a-z_]+),.*/\2/p' {} + | sort)"
is 'aiaccel.4 has the calls' "$(grep -oE 'AIACCEL_IOC_[A-Z_]+' $pages/aiaccel.4 | sort -u)" \
	"$(sed -nE 's/^#define (AIACCEL_IOC_[A-Z_]+)[ \t]+_IO.*/\1/p' include/uapi/aiaccel.h | sort)"
is 'aiaccel.4 has the tracepoints' "$(sed -nE 's/^\.Pq Cm ([a-z_]+).*/\1/p' $pages/aiaccel.4 | sort)" \
	"$(sed -nE 's/^(AIA_TURN_EVENT|AIA_BUFFER_EVENT|TRACE_EVENT)\(([a-z_]+)[,)].*/\2/p' kmod/trace.h | sort)"

export AIACCEL_TRANSPORT=embedded
is 'aiaccel.1 names the fields of engines' "$(unnamed "$("$bin/aiaccel" engines --json)" aiaccel.1)" ''
is 'aiaccel.1 names the fields of doctor' "$(unnamed "$("$bin/aiaccel" doctor --json)" aiaccel.1 aiaccel-top.1)" ''
is 'aiaccel-top.1 names the fields of a sample' "$(unnamed "$("$bin/aiaccel-top" --json -d 0)" aiaccel-top.1)" ''
is 'aiaccel-top.1 names the fields of its queues' \
	"$(unnamed "$(sed -n 's/.*{\("[a-z_]*"\), .*/\1:/p' tools/aiaccel-top/json.cpp tools/observe/show.cpp)" aiaccel-top.1)" ''
model=${XDG_CACHE_HOME:-$HOME/.cache}/aiaccel/models/silero_vad_v5.onnx
if [ -e "$model" ]; then
	answer=$("$bin/aiaccel" run "$model" --dim input.1=576 --value sr=16000 --json)
	like 'run answers' "$answer" '"outputs"'
	is 'aiaccel.1 names the fields of run' "$(unnamed "$answer" aiaccel.1)" ''
else
	skip 'aiaccel.1 names the fields of run' "$model is missing: run scripts/setup"
fi
# The other way round: nothing is promised that is not there.
is 'aiaccel-top.1 names no field that there is not' \
	"$(comm -13 <(grep -ohE '"[a-z0-9_]+"' tools/aiaccel-top/json.cpp tools/observe/show.cpp | tr -d '"' | sort -u) <(names_of_page aiaccel-top.1) | paste -sd' ')" ''
is 'aiaccel.1 names no field that there is not' \
	"$(comm -13 <(grep -ohE '"[a-z0-9_]+"' tools/aiaccel/{engines,explain,explain_now,doctor,run,policy}.cpp libaiaccel/policy/settings.cpp | tr -d '"' | sort -u) <(names_of_page aiaccel.1) | paste -sd' ')" ''

tap_done
