#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What kernel.sh runs in the virtual machine as suites: guest.sh WHAT. Each is a suite of planted faults.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

plant() { echo "$1" >/sys/module/aiaccel_planted/parameters/fault; }

case $1 in
load)
	ok "the module of planted faults loads" insmod "$2"
	;;
splat)
	ok before true
	ok culprit plant warn
	ok behind true
	;;
pin) ok culprit plant pin ;;
cache) ok 'is in sight' grep -qx "$2" "$XDG_CACHE_HOME/aiaccel/seen" ;;
leak)
	ok before true
	for i in {1..10}; do ok "culprit $i" plant leak; done
	ok behind true
	;;
stuck)
	echo 5 >/proc/sys/kernel/watchdog_thresh
	ok before true
	ok culprit plant stuck
	;;
esac
tap_done
