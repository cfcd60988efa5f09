#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The commands of docs/operations.md, typed as they stand there, in their order. A block is run when
# the line before its fence says `<!-- test: sh [kernel] -->`. Each line has to succeed at last, and to do
# what it is there for: a program that was just started has no turns yet, and modprobe -r may have to be
# typed again.
#
#   operations.sh          those that need no module, with a broker of their own
#   operations.sh kernel   all of them; in the virtual machine
#
# ./server and ./batch of the page are CUDA programs that know nothing of aiaccel, on stand-ins for the
# driver and for NVML. Nothing is installed here: modprobe loads what was built, and `make uninstall`
# itself is for the tests `install` and `dkms`.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

top=$PWD
kind=${1-}
export PATH=$top/build/bin:$PATH AIACCEL_BROKER=$TMP/broker.sock AIACCEL_TRANSPORT=${kind:-broker}
export LD_LIBRARY_PATH=$top/build/standin AIACCEL_STANDIN=$TMP

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
make() { [ "$*" = uninstall ] && touch "$TMP/uninstalled"; }

said() { grep -qE "$1" "$TMP/said"; }
serves() { aiaccel explain "${programs[0]}" --last 1s --json | grep -qE '"turns": [1-9]'; }

# did LINE STATUS: it did what it is there for, as what it printed and what others say now show
did() {
	case $2,$1 in
	[01],'aiaccel doctor') said '^ok +transport ' && said '^ok +nvml ' ;;
	[01],'aiaccel doctor --pid '*) said "^ok +process +sleep \\($PID\\)" ;;
	0,'aiaccel-top --once') said '^gpu0 ' && { [ -z "${programs[*]}" ] || [ "$(grep -c ' gated' "$TMP/said")" = 2 ]; } ;;
	0,'aiaccel explain '*) said ' [1-9][0-9]* turns, ran ' && { [[ $1 != *'$!'* ]] || said ' class +.*cuda.*\(high\)'; } ;;
	0,'aiaccel attach '*) [ "$(ps -o ni= -p "$PID" | xargs)" = 10 ] ;;
	0,'aiaccel policy set '*)
		aiaccel policy show | grep -qE '^unit=aiaccel-exec-batch +max_class=low +grants=1' &&
			aiaccel-top --once | grep -qE '/aiaccel-exec-batch .* low, .*1 turn'
		;;
	0,'aiaccel policy show') said 'unit=aiaccel-exec-batch ' ;;
	0,'aiaccel policy unset '*) ! aiaccel policy show | grep -q aiaccel-exec-batch ;;
	0,'aiaccel evict '*' --freeze') said '/cgroup.freeze: 1$' ;;
	0,'aiaccel evict '*' --kill') said '/cgroup.kill: 1$' ;;
	0,'aiaccel evict '*) said ' [1-9][0-9]* turns ended' ;;
	0,*' && modprobe aiaccel') [ -e /dev/aiaccel ] && aiaccel engines --register && serves ;;
	0,*' && make uninstall') [ ! -e /dev/aiaccel ] && [ -e "$TMP/uninstalled" ] ;;
	*) return 1 ;;
	esac
}

# shellcheck disable=SC2317 # called through ok
type() { # LINE
	local tries
	for ((tries = 0; tries < 60; tries++)); do
		eval "$1" >"$TMP/said" 2>&1
		did "$1" $? && return 0
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
if [ "$kind" = kernel ]; then aiaccel engines --register; fi
for program in 'server us=1000 pace_us=10000' 'batch us=2000'; do
	printf '#!/bin/sh\nexec %q seconds=100000 %s\n' "$top/build/standin/cuda-linked" "${program#* }" >"$TMP/${program% us*}"
	chmod +x "$TMP/${program% us*}"
done
sleep 1000 &
export PID=$!
programs=()
cd "$TMP" || exit 1

while IFS= read -r line; do
	case $line in
	*'&')
		eval "$line" >/dev/null 2>>"$TMP/exec"
		programs+=($!)
		continue
		;;
	esac
	ok "$line" type "$line"
done < <(lines)

for program in "$PID" "${programs[@]}"; do kill "$program"; done 2>/dev/null
cd "$top" || exit 1
if [ "$kind" = kernel ]; then
	[ -e /dev/aiaccel ] || modprobe aiaccel
	umount /etc
fi
tap_done
