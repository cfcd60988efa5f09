#!/bin/bash
# SPDX-License-Identifier: MIT
#
# record.sh FOLDER PID...: what tools/observe reads of these processes and of this machine, as a folder
# that it can be pointed at: FOLDER/proc and FOLDER/sys. For recordings of machines with devices that the
# one that tests has not. Addresses in maps are of no use and made to 0; nothing else is altered, so
# look through it before it is published.
set -eu

[ $# -ge 2 ] || {
	echo 'usage: tests/observe/record.sh FOLDER PID...' >&2
	exit 2
}
out=$1
shift

# copy FILE...: below $out, by its path; what cannot be read is left out
copy() {
	local file
	for file; do
		if [ ! -r "$file" ] || [ -d "$file" ]; then continue; fi
		mkdir -p "$out${file%/*}"
		cat "$file" 2>/dev/null >"$out$file" || rm -f "$out$file"
	done
}

# link PATH...: the symbolic link itself
link() {
	local path
	for path; do
		[ -L "$path" ] || continue
		mkdir -p "$out${path%/*}"
		ln -sfn "$(readlink "$path")" "$out$path"
	done
}

for pid; do
	copy "/proc/$pid/status" "/proc/$pid/cgroup" "/proc/$pid/cmdline" "/proc/$pid/numa_maps" "/proc/$pid/maps"
	[ ! -e "$out/proc/$pid/numa_maps" ] || sed -i -E 's/^[0-9a-f]+/0/' "$out/proc/$pid/numa_maps"
	[ ! -e "$out/proc/$pid/maps" ] || sed -i -E 's/^[0-9a-f]+-[0-9a-f]+/0-0/' "$out/proc/$pid/maps"
	mkdir -p "$out/proc/$pid/fd"
	for fd in "/proc/$pid/fd/"*; do
		case $(readlink "$fd") in
		/dev/*)
			link "$fd"
			copy "/proc/$pid/fdinfo/${fd##*/}"
			;;
		esac
	done
done

copy /sys/devices/system/node/{online,has_memory} /sys/devices/system/node/node*/{cpulist,distance}
for node in /sys/class/drm/renderD* /sys/class/drm/card? /sys/class/accel/accel*; do
	[ -e "$node" ] || continue
	# In sysfs the class has links to folders elsewhere; here the folders are in the class.
	device=$(readlink "$node/device" || echo none)
	to=$out$node/device
	mkdir -p "$out/sys/devices/${device##*/}" "$out$node"
	ln -sfn "../../../devices/${device##*/}" "$to"
	for file in mem_info_vram_total mem_info_vram_used gpu_busy_percent numa_node; do
		[ ! -r "$node/device/$file" ] || cat "$node/device/$file" >"$to/$file"
	done
	[ ! -L "$node/device/driver" ] || ln -sfn "$(readlink "$node/device/driver")" "$to/driver"
done
