#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The tests that SECURITY.md and docs/tested.md name exist: `folder/file/case` or `file/case`, where
# `*` stands for all cases of a file.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

# names FILE: what stands between backticks and looks like a test, a line each
names() {
	# shellcheck disable=SC2016 # backticks of Markdown
	grep -o '`[^` ]*`' "$1" | tr -d '`' | grep -E '^(kmod|uapi|core|host|conformance|broker|models|formats|signing|libfuzzer|shim|policy|observe|exec|standin)/[a-z0-9_]+(/([a-z0-9_]+|\*))?$|^[a-z0-9_]+/([a-z0-9]+_[a-z0-9_]+|\*)$' | sort -u
}

# exists NAME
# shellcheck disable=SC2317 # called through ok
exists() {
	local file=${1%/*} case=${1##*/} path
	case $1 in libfuzzer/*) [ -e "tests/$1.cpp" ]; return ;; esac
	for path in "tests/$file.cpp" "tests/uapi/$file.cpp" "tests/conformance/$file.cpp"; do
		[ -e "$path" ] || continue
		[ "$case" != '*' ] || case='[a-z0-9_]*'
		grep -qE "TEST_CASE\(${case}[,)]" "$path"
		return
	done
	echo "there is no tests/$file.cpp"
	return 1
}

for document in SECURITY.md docs/tested.md; do
	mapfile -t found < <(names "$document")
	ok "$document names tests" test ${#found[@]} -gt 20
	for name in "${found[@]}"; do
		ok "$document: $name" exists "$name"
	done
done
tap_done
