#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The DKMS tree that `make install` lays down builds on its own: dkms add, build, install and remove,
# for the kernel that the virtual machine boots, all in folders of this test. A kernel that is too old is
# refused before anything is built, and a probe (kmod/probe) sees whether a symbol is exported.
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

# make uninstall takes from DKMS what was installed with its PREFIX, former versions too, and no other.
uninstall() { make --no-print-directory uninstall PREFIX="$TMP/$1" dkmstree="$TMP/tree"; } # FOLDER
former() { make --no-print-directory install PREFIX="$TMP/prefix" VERSION=0.0.9; }
added() { find "$TMP/tree" -name source | sort | grep -oE '[0-9.]+/source$' | xargs; }
ok 'make install elsewhere' make --no-print-directory install PREFIX="$TMP/elsewhere"
ok 'make install of a former version' former
sed -i 's/^PACKAGE_VERSION=.*/PACKAGE_VERSION="0.0.9"/' "$TMP/prefix/src/aiaccel-0.0.9/dkms.conf"
for v in 0.0.9 "$version"; do
	ok "dkms add $v" dkms add "aiaccel/$v" --sourcetree "$TMP/prefix/src" --dkmstree "$TMP/tree"
done
ok 'make uninstall elsewhere' uninstall elsewhere
is 'leaves the modules of others' "$(added)" "0.0.9/source $version/source"
is 'and nothing of its own' "$(ls "$TMP/elsewhere/src")" ''
ok 'make uninstall' uninstall prefix
is 'takes both versions out of DKMS' "$(added)" ''
is 'and their sources away' "$(ls "$TMP/prefix/src")" ''
ok 'make install again' make --no-print-directory install PREFIX="$TMP/prefix"

# Too old: the headers of this kernel under the name of another, which dkms goes by.
for old in 5.10.0-1-amd64 6.0.19; do
	mkdir -p "$TMP/modules/$old"
	ln -s "/lib/modules/$kernel/build" "$TMP/modules/$old/build"
	ok "dkms add for $old" dkms_ add
	refusal=$(dkms_ build -k "$old" --kernelsourcedir "/lib/modules/$kernel/build" 2>&1)
	is "dkms build for $old is refused" $? 77
	like "dkms build for $old says why" "$refusal" "aiaccel needs Linux 6\\.1 or newer; it is not built for $old\\."
	is "nothing is built for $old" "$(find "$TMP/tree" -name '*.o' -o -name '*.ko*' -o -name make.log)" ''
	ok "dkms remove for $old" dkms_ remove --all
done
exclusive=$(. ./dkms.conf 2>/dev/null; echo "$BUILD_EXCLUSIVE_KERNEL")
for new in 6.1.0-56-amd64 6.10.3 6.12.95+deb12-amd64 7.0.1 7.3.4 10.0.0; do
	like "$new is not refused" "$new" "$exclusive"
done
for too_old in 3.16.0 4.19.0 5.19.17 6.0.0; do
	nok "$too_old is refused" grep -qE "$exclusive" <<<"$too_old"
done

# The same where somebody builds by hand, and the probes: the rules of the module round a small source.
mkdir -p "$TMP/small/probe"
cp kmod/Kbuild "$TMP/small/"
cp kmod/probe/Kbuild kmod/probe/probe.h "$TMP/small/probe/"
echo '#include "probe/probe.h"' >"$TMP/small/main.c"
by_hand() { make -s -C "/lib/modules/$kernel/build" "M=$TMP/small" "$@" modules 2>&1; }
probe() { # NAME CODE
	echo "$2" >"$TMP/small/probe/$1.c"
}
like 'make for 6.0' "$(by_hand VERSION=6 PATCHLEVEL=0)" 'aiaccel needs Linux 6\.1 or newer; this is 6\.0'
is 'nothing is built for 6.0' "$(find "$TMP/small" -name '*.o')" ''
probe EXPORTED 'int probe(void); int probe(void) { dump_stack(); return 0; }'
probe UNEXPORTED 'int exported_by_none(void); int probe(void); int probe(void) { return exported_by_none(); }'
probe SYNTAX 'int probe(void); int probe(void) { return declared_by_none(); }'
ok 'make with probes of this test' by_hand
probed=$(cat "$TMP/small/probed.h")
like 'a probe with an exported symbol' "$probed" AIA_HAVE_EXPORTED
is 'a probe with an unexported symbol, and one that does not compile' \
	"$(grep -E 'UNEXPORTED|SYNTAX' <<<"$probed")" ''
tap_done
