#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The script of `make check-gpu`, run on the stand-in for a GPU: that it measures all that it says it
# does, gated by the shim, and says so where there is no GPU. Its figures are not judged.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

export LD_LIBRARY_PATH=$PWD/build/standin
output=$(AIACCEL_STANDIN=$TMP/none tests/gpu/check 2>&1)
is 'no GPU is a skip' $? 77
like 'and says why' "$output" '^check-gpu: skipped, no GPU that CUDA can use: cuInit.*CUDA_ERROR_OPERATING_SYSTEM'

mkdir "$TMP/standin"
export AIACCEL_STANDIN=$TMP/standin
ok 'it runs to its end' tests/gpu/check --seconds 1 --rounds 1 --json "$TMP/figures"
for figure in p50_alone p99_alone p50_slicing p99_slicing p50_aiaccel p99_aiaccel rate_alone rate_slicing \
	rate_aiaccel turns_high turns_low; do
	like "$figure is a figure" "$(grep -o "\"$figure\":[^,}]*" "$TMP/figures")" ':\[[0-9.]*[1-9][0-9.]*\]$'
done

# As it is where nothing is preloaded.
mkdir -p "$TMP/tree/build/lib" "$TMP/tree/tests"
cp -r build/bin build/standin "$TMP/tree/build"
cp -r tests/gpu "$TMP/tree/tests"
output=$("$TMP/tree/tests/gpu/check" --seconds 1 --rounds 1 2>&1)
is 'not gated is a failure' $? 1
like 'and says why' "$output" 'the high program was not gated: .*libaiaccel-cuda.so is not installed'
tap_done
