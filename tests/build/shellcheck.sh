#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every shell script of the tree passes shellcheck, and every file says its licence.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

files() { find . \( -path ./build -o -path ./.git \) -prune -o -type f -print | sort; }

while read -r file; do
	case $file in
	*.sh) ;;
	*) head -c 64 "$file" | grep -qE '^#!.*\b(ba)?sh\b|^# SPDX.*shell' || continue ;;
	esac
	ok "$file" shellcheck --severity=warning -x -P SCRIPTDIR:. "$file"
done < <(files)

# LICENSES/ are the licences themselves; VERSION is one word for programs to read; a corpus is what is
# read by what is fuzzed, and recordings are what a machine said.
is 'every file has its SPDX line' \
	"$(files | grep -vE '^\./(LICENSES/|VERSION$|tests/libfuzzer/corpus/|tests/observe/recorded/|tests/signing/reference/.*\.sig$)' | xargs -d '\n' grep -LI 'SPDX-License-Identifier:')" ''
tap_done
