#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every public header compiles alone, included twice, with gcc and clang and no warning: the C ones as
# C and as C++, the C++ ones as C++20.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

check() { # COMPILER LANGUAGE STANDARD HEADER
	printf '#include <%s>\n' "$4" "$4" >"$TMP/alone"
	ok "<$4> with $1 -std=$3" \
		"$1" -x "$2" -std="$3" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iinclude "$TMP/alone"
}

for path in $(cd include && find . -name '*.h' -o -name '*.hpp' | sort); do
	header=${path#./}
	case $header in
	*.h)
		for compiler in gcc clang; do check $compiler c c11 "$header"; done
		for compiler in g++ clang++; do check $compiler c++ c++17 "$header"; done
		;;
	*.hpp) for compiler in g++ clang++; do check $compiler c++ c++20 "$header"; done ;;
	esac
done
tap_done
