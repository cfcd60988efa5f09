#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The module compiles with no warning where the kernel's build asks for more of them (W=1), sparse has
# none (address spaces, endianness, balanced locks), and clang has none either. Distributions build
# their kernels with gcc, whose options clang does not know, so clang checks what the preprocessor and
# the language need of the same command line.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

release=$(scripts/kernel-release)
kernel=/lib/modules/$release/build
tree=$PWD/build/kmod/$release/checked
scripts/link-kmod-tree "$tree"
ok 'gcc with W=1' make -s -j"$(nproc)" -C "$kernel" M="$tree/kmod" W=1 KCFLAGS=-Werror modules
# Nothing is newer now; C=2 checks all the same.
ok 'sparse' make -s -j"$(nproc)" -C "$kernel" M="$tree/kmod" W=1 KCFLAGS=-Werror C=2 CHECK=sparse CF=-Wsparse-error modules

clang_check() { # SOURCE
	local source=$tree/$1 flags
	mapfile -t flags < <(sed -n '1s/^[^=]*= *//p' "${source%/*}/.$(basename "$source" .c).o.cmd" | xargs -n1 | awk '
		wanted { print; wanted = 0 }
		/^-(include|isystem)$/ { print; wanted = 1 }
		/^-[IDU]/ || /^-(nostdinc|std=.*|fshort-wchar|fno-strict-aliasing|fno-common|m64|mno-.*)$/ { print }')
	[ ${#flags[@]} -gt 20 ] || { echo "no command line of $1 was found"; return 1; }
	# -Wno-sign-compare, -Wno-missing-field-initializers: as the kernel has it. The others are of its headers.
	(cd "$kernel" && clang -fsyntax-only -Qunused-arguments "${flags[@]}" -Wall -Wextra -Werror -Wno-unused-parameter \
		-Wno-sign-compare -Wno-missing-field-initializers -Wno-gnu -Wno-address-of-packed-member "$source")
}
for source in kmod/*.c kmod/core/*.c; do
	ok "clang: $source" clang_check "$source"
done
tap_done
