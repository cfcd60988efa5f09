#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The DKMS tree that `make install` lays down builds on its own: dkms add, build, install and remove,
# for the kernel that the virtual machine boots, all in folders of this test.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

version=$(cat VERSION)
kernel=$(scripts/kernel-release)
re=${kernel//[+.]/.} # as a regular expression
mkdir -p "$TMP/tree" "$TMP/modules/$kernel"
ln -s "/lib/modules/$kernel/build" "$TMP/modules/$kernel/build" # newer dkms looks for the headers there
dkms_() {
	dkms "$1" "aiaccel/$version" "${@:2}" --sourcetree "$TMP/prefix/src" --dkmstree "$TMP/tree" \
		--installtree "$TMP/modules"
}
one() { dkms_ "$1" -k "$kernel"; }
status() { dkms_ status 2>&1; }
module() { find "$TMP/modules" -name 'aiaccel.ko*'; }

is 'dkms.conf has the version of VERSION' "$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)" "$version"
ok 'make install' make --no-print-directory install PREFIX="$TMP/prefix"
ok 'dkms add' dkms_ add
ok 'dkms build' one build
ok 'dkms install' one install
like 'dkms status' "$(status)" "$re.*: installed"
like 'the module is in place' "$(module)" "/$re/.*aiaccel\\.ko"
is 'it says its version' "$(modinfo -F version "$(module)")" "$version"
like 'it is for this kernel' "$(modinfo -F vermagic "$(module)")" "$re "
ok 'dkms remove' dkms_ remove --all
is 'the module is gone' "$(module)" ''
tap_done
