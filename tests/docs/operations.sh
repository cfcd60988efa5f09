#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The commands of docs/operations.md, typed as they stand there, in their order. A block is run when
# the line before its fence says `<!-- test: sh [kernel] -->`. Each line has to succeed at last: a
# program that was just started has no turns yet, and modprobe -r may have to be typed again.
#
#   operations.sh          those that need no module, with a broker of their own
#   operations.sh kernel   all of them; in the virtual machine
#
# ./server and ./batch of the page serve a model. Nothing is installed here: modprobe loads what was
# built, and `make uninstall` itself is for the test `install`.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

top=$PWD
kind=${1-}
model=${XDG_CACHE_HOME:-$HOME/.cache}/aiaccel/models/silero_vad_v5.onnx
export PATH=$top/build/bin:$PATH AIACCEL_BROKER=$TMP/broker.sock AIACCEL_TRANSPORT=${kind:-broker}

# lines: the commands, without comments
lines() {
	awk -v kind="$kind" '
		/^<!-- test: sh/ { wanted = $4 != "kernel" || kind == "kernel"; next }
		/^```/ { if (!inside) { inside = 1; on = wanted } else { inside = on = wanted = 0 }; next }
		inside && on { sub(/ +# .*/, ""); print }' "$top/docs/operations.md"
}

# shellcheck disable=SC2317 # typed by the page
modprobe() {
	case $1 in
	-r) rmmod "$2" ;;
	*) insmod "$top/build/kmod/$(uname -r)/kmod/$1.ko" ;;
	esac
}

# shellcheck disable=SC2317 # typed by the page
make() { [ "$*" = uninstall ]; }

# type LINE: 1 of doctor is an answer too
# shellcheck disable=SC2317 # called through ok
type() {
	local tries status
	for ((tries = 0; tries < 60; tries++)); do
		eval "$1" >"$TMP/said" 2>&1
		status=$?
		case $status,$1 in 0,* | 1,'aiaccel doctor'*) return 0 ;; esac
		sleep 0.5
	done
	cat "$TMP/said"
	return 1
}

# What changes of /etc is a copy: the root is read-only in the virtual machine.
if [ "$kind" = kernel ]; then
	mkdir -p "$TMP/etc/aiaccel/policy.d"
	cp -a /etc/{passwd,group,nsswitch.conf,ld.so.cache,alternatives} "$TMP/etc"
	mount --bind "$TMP/etc" /etc || exit 1
fi
for program in 'server high' 'batch low'; do
	printf '#!/bin/sh\nexec aiaccel run %q --dim input.1=576 --value sr=16000 --count 1000000000 --class %s\n' \
		"$model" "${program#* }" >"$TMP/${program% *}"
	chmod +x "$TMP/${program% *}"
done
sleep 1000 &
export PID=$!
programs=()
cd "$TMP" || exit 1

while IFS= read -r line; do
	case $line in
	*'&')
		eval "$line" >/dev/null 2>&1
		programs+=($!)
		continue
		;;
	esac
	ok "$line" type "$line"
done < <(if [ -e "$model" ]; then lines; fi)
[ -e "$model" ] || skip 'the commands of docs/operations.md' "$model is missing: run scripts/setup"

for program in "$PID" "${programs[@]}"; do kill "$program"; done 2>/dev/null
cd "$top" || exit 1
if [ "$kind" = kernel ]; then
	[ -e /dev/aiaccel ] || modprobe aiaccel
	umount /etc
fi
tap_done
