#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The shim's table (functions.def) against NVIDIA's cuda.h of CUDA 13.0, after which it was written,
# where there is one: each function that it declares is in the table or, with a reason, in
# left-alone; a row's parameters are as wide as the real ones; second versions begin when table.cpp
# says.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

header=
for folder in "${CUDA_HOME:-/usr/local/cuda}/include" /usr/include; do
	if [ -e "$folder/cudaTypedefs.h" ] && grep -q '^#define CUDA_VERSION 13000$' "$folder/cuda.h"; then
		header=$folder
		break
	fi
done
if [ -z "$header" ]; then
	skip 'functions.def and left-alone against cuda.h' 'no cuda.h of CUDA 13.0'
	tap_done
fi

cat >"$TMP/rows.h" <<-'END'
	#define WORK(name, stream_default, bytes, stream, ...) row name __VA_ARGS__
	#define OTHER(name) row name
	#include "shim/functions.def"
END
# name parameters…
g++ -E -P -x c++ -Ilibaiaccel "$TMP/rows.h" | sed 's/\brow\b/\nrow/g' | tr -d , | sed -n 's/^row //p' >"$TMP/rows"
cut -d' ' -f1 "$TMP/rows" | sort -u >"$TMP/table"
g++ -E -x c++ "$header/cuda.h" | grep -oE 'CUresult +cu[A-Z][A-Za-z0-9_]* *\(' | sed 's/CUresult *//; s/ *(//' |
	sort -u >"$TMP/declared"

# What is in neither list, and globs that nothing needs.
sed '/^#/d; /^:/d' tests/shim/left-alone | tr -s ' ' '\n' | sed '/^$/d' >"$TMP/globs"
comm -23 "$TMP/declared" "$TMP/table" >"$TMP/others"
cp "$TMP/others" "$TMP/unlisted"
: >"$TMP/useless"
while read -r glob; do
	pattern="^${glob//\*/.*}\$"
	grep -qE "$pattern" "$TMP/others" || echo "$glob" >>"$TMP/useless"
	grep -vE "$pattern" "$TMP/unlisted" >"$TMP/rest"
	mv "$TMP/rest" "$TMP/unlisted"
done <"$TMP/globs"
is 'every function is in a list' "$(tr '\n' ' ' <"$TMP/unlisted")" ''
is 'every glob is needed' "$(tr '\n' ' ' <"$TMP/useless")" ''

{
	cat <<-'END'
		#include <cuda.h>
		#include <type_traits>
		using P = void*; using U = unsigned; using I = int; using Z = size_t; using D = unsigned long long;
		using B = unsigned char; using H = unsigned short;
		template <typename Ours, typename Real> struct Same;
		template <typename... A, typename... B> struct Same<CUresult(A...), CUresult(B...)> {
		  static constexpr bool value = [] {
		    if constexpr (sizeof...(A) != sizeof...(B)) return false;
		    else return ((sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>) && ...);
		  }();
		};
	END
	while read -r name types; do
		[ -n "$types" ] && grep -qx "$name" "$TMP/declared" &&
			echo "static_assert(Same<CUresult(${types// /, }), decltype($name)>::value, \"$name\");"
	done <"$TMP/rows"
} >"$TMP/rows.cpp"
ok 'there are rows to look at' test "$(grep -c '^static_assert' "$TMP/rows.cpp")" -gt 40
ok 'rows have the real parameters' g++ -std=c++20 -fsyntax-only -isystem "$header" "$TMP/rows.cpp"

# NVIDIA's types of functions bear the version of CUDA that they came with.
wrong=
while read -r name; do
	base=${name%_v2}
	real=$(grep -oE "\\*PFN_${base}_v[0-9]+\\)" "$header/cudaTypedefs.h" | grep -oE '[0-9]+\)' | tr -d ')' | sort -nu | sed -n 2p)
	ours=$(grep -oE "\"$base\", [0-9]+" libaiaccel/shim/table.cpp | grep -oE '[0-9]+$')
	[ "$real" = "${ours:-3020}" ] || wrong+="$name $real ${ours:-3020} "
done < <(grep '_v2$' "$TMP/table")
is 'second versions begin in time' "$wrong" ''
tap_done
