#!/bin/bash
# SPDX-License-Identifier: MIT
#
# checkpatch of the kernel finds nothing in what is compiled for the kernel.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

# BIT_MACRO, PREFER_DEFINED_ATTRIBUTE_MACRO: neither the header of user space nor the core has BIT() or __aligned().
# LONG_LINE_COMMENT: it counts bytes, and a drawing has more of them than characters.
# UNNECESSARY_PARENTHESES: `was_left = (parent->left == node)` is how we write a comparison as a value.
ignored=BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,LONG_LINE_COMMENT,UNNECESSARY_PARENTHESES

scripts=$(scripts/kernel-scripts) || exit 1
files=(kmod/*.[ch] kmod/{core,probe}/*.[ch] include/uapi/*.h tests/kmod/provider/*.[ch] tests/harness/module/*.c)
# Last comes a file with a fault, to see that it got to the end.
echo "int a ;" >"$TMP/planted.c"
perl "$scripts/scripts/checkpatch.pl" --no-tree --strict --terse --show-types --ignore $ignored \
	-f "${files[@]}" "$TMP/planted.c" >"$TMP/found" 2>&1
# Characters, tabs expanded: what checkpatch says of code, for comments.
long_comments() {
	expand -t 8 "$1" | LC_ALL=C.UTF-8 grep -E '^.{101,}' | grep -E '/\*|^ *\*'
}
printf '/* %0101d */\n' 1 >"$TMP/long.c"
is 'a comment that is too long is found' "$(long_comments "$TMP/long.c" | wc -l)" 1
like 'and found the fault of the last one' "$(tail -n 3 "$TMP/found")" 'planted.c:1: WARNING:'
for file in "${files[@]}"; do
	is "$file" "$(grep "^$file:" "$TMP/found"; long_comments "$file")" ''
done
tap_done
