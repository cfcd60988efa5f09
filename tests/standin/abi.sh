#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The stand-in's idea of CUDA is NVIDIA's: compiled with the real cuda.h, every function is defined
# against its prototype and every row of table.h is NVIDIA's typedef of that version. Looks for a
# header of CUDA 13, whose typedefs the table was written after; skips without one.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

find_header() {
	local folder
	for folder in "${CUDA_HOME:-/usr/local/cuda}/include" /usr/include; do
		if [ -e "$folder/cudaTypedefs.h" ] && grep -q '^#define CUDA_VERSION 13' "$folder/cuda.h"; then
			echo "$folder"
			return
		fi
	done
}
header=$(find_header)

# shellcheck disable=SC2317 # called through ok
compile() {
	g++ -std=c++20 -Wall -Wextra -Werror -fsyntax-only -DSTANDIN_REAL_CUDA -Itests -isystem "$header" "$1"
}
for source in tests/standin/cuda/*.cpp; do
	if [ -z "$header" ]; then
		skip "$source" 'no cuda.h of CUDA 13'
	else
		ok "$source" compile "$source"
	fi
done
tap_done
