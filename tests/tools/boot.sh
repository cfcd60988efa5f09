#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What happens at boot without a daemon: udev itself, in the virtual machine, meets /dev/aiaccel by the
# rule as it is installed; and GPUs become engines, told of by the stand-in for NVML.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

bin=$PWD/build/bin
export AIACCEL_TRANSPORT=kernel
udevd=/lib/systemd/systemd-udevd

# The root is read-only here: what changes of /etc is a copy.
mkdir -p "$TMP/etc/aiaccel/policy.d" /run/udev/rules.d
cp -a /etc/{passwd,group,nsswitch.conf,ld.so.cache} "$TMP/etc"
sed -i '/^aiaccel:/d' "$TMP/etc/group"
echo 'aiaccel:x:4321:' >>"$TMP/etc/group"
printf '[match]\nunit=a.service\nmax_class=low\n' >"$TMP/etc/aiaccel/policy.d/10-good.conf"
printf '[match]\nunit=b.service\nmax_class=first\n' >"$TMP/etc/aiaccel/policy.d/20-bad.conf"
sed "s|@BINDIR@|$bin|g" udev/60-aiaccel.rules.in >/run/udev/rules.d/60-aiaccel.rules
mount --bind "$TMP/etc" /etc || exit 1

if [ -x $udevd ]; then
	chgrp root /dev/aiaccel
	chmod 600 /dev/aiaccel
	$udevd --daemon
	ok 'udev is told of the device' udevadm trigger --action=add --settle /sys/class/misc/aiaccel
	is 'the device is the group'"'"'s' "$(stat -c '%a %g' /dev/aiaccel)" '660 4321'
	like 'the policy is loaded' "$("$bin/aiaccel" policy show)" 'unit=a\.service +max_class=low'
	is 'and nothing else is' "$("$bin/aiaccel" policy show | wc -l)" 2
	is 'the log has one line of what is wrong' \
		"$(dmesg | sed -n 's/.*aiaccel: policy: nothing of this file is loaded: //p')" \
		"/etc/aiaccel/policy.d/20-bad.conf:3: max_class='first': idle, low, normal or high is expected"
	udevadm control --exit
else
	skip 'udev loads the policy' 'udev is not installed'
fi
umount /etc
mkdir "$TMP/none"
"$bin/aiaccel" policy reload --dir "$TMP/none" >/dev/null

export AIACCEL_STANDIN=$TMP
register() { LD_LIBRARY_PATH=build/standin "$bin/aiaccel" engines --register 2>&1; }
gpus() { "$bin/aiaccel" engines --json | grep -c '"kind": "gpu"'; }
cat >"$TMP/nvml" <<END
gpu GPU-1
pci 0000:65:00.0
memory 1000000 0
gpu GPU-2
pci 0000:66:00.0
memory 2000000 0
mig 1
instance 0 MIG-1
memory 500000 0
END
is 'GPUs and instances become engines' "$(register)" $'registered 0000:65:00.0 GPU-1\nregistered MIG-1 '
is 'and no others' "$(gpus)" 2
is 'once' "$(register)" ''
cp "$TMP/nvml" "$TMP/nvml.good"
for fail in '1i fail nvmlDeviceGetCount_v2 999' '/^gpu GPU-1/a fail nvmlDeviceGetUUID 999' \
	'/^pci 0000:65/a fail nvmlDeviceGetPciInfo_v3 999' '/^mig/a fail nvmlDeviceGetMigMode 999'; do
	sed -i "$fail" "$TMP/nvml"
	is "an error changes nothing: $fail" "$(register; gpus)" \
		$'aiaccel engines: NVML does not describe all GPUs: those that are registered stay as they are\n2'
	cp "$TMP/nvml.good" "$TMP/nvml"
done
sed -i '/^gpu GPU-1/,/^memory/d' "$TMP/nvml"
is 'what is gone is no engine any more' "$(register)" 'unregistered 0000:65:00.0 GPU-1'
is 'without NVML nothing changes' "$("$bin/aiaccel" engines --register | cut -c1-8)" 'no GPUs:'
is 'and what is there stays' "$(gpus)" 1
echo >"$TMP/nvml"
is 'none is left' "$(register; gpus)" $'unregistered MIG-1 \n0'
tap_done
