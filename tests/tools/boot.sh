#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What happens at boot without a daemon: udev itself, in the virtual machine, meets /dev/aiaccel by the
# rule as it is installed; and GPUs become engines, told of by the stand-in for NVML and a made-up sysfs.
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
if [ -e /sys/class/drm/renderD128 ]; then
	is 'and no others: behind the render node of vgem is no device' "$(gpus)" 2
else
	skip 'the render node of vgem is no engine' 'vgem is not loaded'
fi
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

# A sysfs with GPUs that NVML does not know, and one that it does. Its links are as those of sysfs.
node() { # NAME DEVICE DRIVER
	mkdir -p "$TMP/devices/$2/drm/$1" "$TMP/drm"
	echo 0x030000 >"$TMP/devices/$2/class"
	ln -s "../../bus/drivers/$3" "$TMP/devices/$2/driver"
	ln -s "$TMP/devices/$2" "$TMP/devices/$2/drm/$1/device"
	ln -s "$TMP/devices/$2/drm/$1" "$TMP/drm/$1"
}
node renderD128 0000:65:00.0 nouveau
node renderD129 0000:03:00.0 amdgpu
node renderD130 0000:66:00.0 nvidia
echo 0 >"$TMP/devices/0000:03:00.0/numa_node"
echo 3000000 >"$TMP/devices/0000:03:00.0/mem_info_vram_total"
mount --bind "$TMP/drm" /sys/class/drm || exit 1
is 'render nodes of GPUs become engines' "$(register)" \
	$'registered 0000:65:00.0 renderD128\nregistered 0000:03:00.0 renderD129'
amd=$("$bin/aiaccel" engines | grep 0000:03:00.0)
like 'and are listed' "$amd" '^gpu1 +0000:03:00\.0 +0 +1 +0 +0 +2\.9 MiB +active +fair +advisory +amdgpu$'
is 'once' "$(register)" ''
is 'also without NVML' "$("$bin/aiaccel" engines --register 2>&1; gpus)" 2
cp "$TMP/nvml.good" "$TMP/nvml"
is 'what NVML tells of is its own' "$(register)" \
	$'unregistered 0000:65:00.0 renderD128\nregistered 0000:65:00.0 GPU-1\nregistered MIG-1 '
is 'once' "$(register)" ''
is 'and stays without it' "$("$bin/aiaccel" engines --register 2>&1; gpus)" 3
mv "$TMP/drm/renderD129" "$TMP/drm/renderD140"
is 'a node has another number' "$(register)" \
	$'unregistered 0000:03:00.0 renderD129\nregistered 0000:03:00.0 renderD140'
umount /sys/class/drm
echo >"$TMP/nvml"
is 'they go as well' "$(register | sort; gpus)" \
	$'unregistered 0000:03:00.0 renderD140\nunregistered 0000:65:00.0 GPU-1\nunregistered MIG-1 \n0'
tap_done
