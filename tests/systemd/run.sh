#!/bin/bash
# SPDX-License-Identifier: MIT
#
# aiaccel on a system with systemd: what `make install` installs, booted in a virtual machine of its
# own with systemd as PID 1. Here the root is made ready; system.sh is run by the booted system. The
# stand-ins for NVML and CUDA are where a driver puts its libraries.
cd "$(dirname "$0")/../.." || exit 1

[ -x /lib/systemd/systemd ] || {
	echo 'ok 1 - systemd # SKIP systemd is not installed: run scripts/setup check'
	echo 1..1
	exit
}
make -s --no-print-directory build/shim/client build/standin/lib{cuda,nvidia-ml}.so.1 modules >&2 || exit 1
release=$(scripts/kernel-release)
root=build/systemd/root
rm -rf $root
make -s --no-print-directory install DESTDIR="$PWD/$root" PREFIX=/usr/local >&2 || exit 1
install -D "build/kmod/$release/kmod/aiaccel.ko" "$root/usr/lib/modules/$release/updates/dkms/aiaccel.ko"
touch "$root/usr/lib/modules/$release/modules."{order,builtin}
ln -s usr/lib $root/lib
/sbin/depmod -b $root "$release" 2>/dev/null || exit 1
rm $root/lib
install -D -t "$root/usr/lib/$(gcc -print-multiarch)" build/standin/lib*.so.1
install -D -t $root/usr/local/bin build/shim/client
mkdir -p $root/etc
cp -r tests/systemd/etc/. $root/etc
unset AIACCEL_BROKER # tests/run's; here it is found where it is for everybody
exec tests/vm/run --timeout 550 --systemd $root -- tests/systemd/system.sh
