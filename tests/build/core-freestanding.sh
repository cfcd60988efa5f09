#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The core is what docs/architecture.md says: integers only, no library. Each source compiles freestanding without
# floating-point registers, all of them together need nothing from outside but what a compiler may
# emit calls to, and they hold no data that could change.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

allowed='memcpy|memset|memmove|memcmp'
for compiler in gcc clang; do
	objects=()
	for source in kmod/core/*.c; do
		object=$TMP/$compiler-$(basename "$source").o
		ok "$source compiles freestanding with $compiler" $compiler -std=gnu11 -O2 -ffreestanding \
			-mgeneral-regs-only -fno-stack-protector -Wall -Wextra -Werror -Iinclude -Ikmod -c "$source" -o "$object"
		objects+=("$object")
	done
	ok "$compiler: the objects fit together" ld -r -o "$TMP/core.o" "${objects[@]}"
	is "$compiler: nothing is needed from outside" \
		"$(nm -u "$TMP/core.o" | awk '{ print $2 }' | grep -vxE "$allowed")" ''
	is "$compiler: no global data" "$(nm "$TMP/core.o" | awk '$2 ~ /^[bBdDcC]$/ { print $3 }')" ''
done
tap_done
