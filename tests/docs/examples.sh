#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The programs that README.md, docs/signing.md and the manual pages show compile and run. A block is tested when the line
# before its fence says `<!-- test: LANGUAGE [kernel | gpu] -->`, or the one before its `.Bd` the same after `.\"`;
# LANGUAGE is c, cpp, or sh for what is typed where the models lie. What needs a GPU gets a broker that a stand-in for NVML tells of one.
#
#   examples.sh          compiles them all, runs those that need no kernel module on both other transports
#   examples.sh kernel   runs them all on the module; in the virtual machine, after the first form
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

out=build/tests/docs
bin=$PWD/build/bin
models=${XDG_CACHE_HOME:-~/.cache}/aiaccel/models

# run TRANSPORT PROGRAM: the examples that need models take them as arguments
# shellcheck disable=SC2317 # called through ok
run() {
	env AIACCEL_TRANSPORT="$1" AIACCELD=build/bin/aiacceld AIACCEL_BROKER="$TMP/broker.sock" \
		"$2" "$models/silero_vad_v5.onnx" "$models/silero_vad_v6.onnx"
}

# extract: writes each marked block to $out/exampleN[-kernel].LANGUAGE
extract() {
	mkdir -p "$out" && rm -f "$out"/example*
	awk -v out="$out" '
		/^<!-- test: / { n++; name = out "/example" n ($4 ~ /^[a-z]+$/ ? "-" $4 : "") "." $3; next }
		/^```/ && name != "" { if (writing) { close(name); name = ""; writing = 0 } else writing = 1; next }
		/^\.\\" test: / { n++; name = out "/example" n "-" $4 "." $3; next }
		/^\.Bd/ && name != "" { writing = 1; page = 1; next }
		/^\.Ed/ && page { close(name); name = ""; writing = page = 0 }
		writing && page { gsub(/\\e/, "\\") }
		writing { print > name }' README.md docs/signing.md docs/man/*.[148]
}

# typed FILE: line by line, beside the models, with the tools that were built and an account of its own
# shellcheck disable=SC2317 # called through ok
typed() {
	mkdir -p "$TMP/typed" && cp "$models"/*.onnx "$TMP/typed" || return 1
	(unset AIACCEL_REGISTRY XDG_DATA_HOME XDG_CONFIG_HOME && cd "$TMP/typed" &&
		HOME=$TMP/typed XDG_CACHE_HOME=${models%/aiaccel/models} PATH=$bin:$PATH GIT_CONFIG_NOSYSTEM=1 bash -eu "$1")
	local status=$?
	chmod -R u+w "$TMP/typed" # versions that were checked out are read-only
	return "$status"
}

# shellcheck disable=SC2317 # called through ok
compile() { # SOURCE
	case $1 in
	*.c) gcc -std=gnu11 -Wall -Wextra -Werror -Iinclude "$1" -o "${1%.*}" ;;
	*.cpp) g++ -std=c++20 -Wall -Wextra -Werror -pthread -Iinclude "$1" -o "${1%.*}" -Lbuild/lib -laiaccel \
		-Wl,-rpath,"$PWD/build/lib" ;;
	esac
}

if [ "${1-}" = kernel ]; then
	for source in "$out"/example*.*; do
		case $source in *-gpu.* | *.sh) continue ;; esac
		ok "$(basename "$source") runs on the module" run kernel "${source%.*}"
	done
	tap_done
fi

extract
for source in "$out"/example*.*; do
	case $source in
	*.sh)
		ok "$(basename "$source") works as typed" typed "$PWD/$source"
		continue
		;;
	esac
	ok "$(basename "$source") compiles" compile "$source"
	case $source in
	*-kernel.*) continue ;;
	*-gpu.*)
		printf 'gpu GPU-1\npci 0000:65:00.0\nmemory 85899345920 0\n' >"$TMP/nvml"
		like "$(basename "$source") reserves" "$(AIACCEL_BROKER=$TMP/gpu.sock AIACCELD=build/bin/aiacceld \
			AIACCEL_TRANSPORT=broker AIACCEL_STANDIN=$TMP LD_LIBRARY_PATH=$PWD/build/standin "${source%.*}" 2>&1)" \
			'^536870912 bytes of 0000:65:00\.0$'
		continue
		;;
	esac
	for transport in broker embedded; do
		ok "$(basename "$source") runs on the $transport transport" run $transport "${source%.*}"
	done
done
tap_done
