#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What `make install` installs is usable without the tree: C and C++ programs are built against it
# with pkg-config and with CMake, and run. The library exports its interface and nothing else.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

prefix=$TMP/prefix
version=$(cat VERSION)
ok 'make install' make --no-print-directory install PREFIX="$prefix"
ok 'make install with DESTDIR' make --no-print-directory install DESTDIR="$TMP/dest" PREFIX=/usr
is 'DESTDIR: nothing beside usr' "$(ls "$TMP/dest")" usr
is 'DESTDIR: what is installed does not name it' "$(grep -rlI "$TMP" "$TMP/dest")" ''
for file in lib/libaiaccel.so.0 lib/libaiaccel.a lib/libaiaccel-registry.so.0 lib/libaiaccel-registry.a lib/pkgconfig/aiaccel-registry.pc lib/aiaccel/libaiaccel-cuda.so include/aiaccel.h include/aiaccel.hpp \
	include/uapi/aiaccel.h bin/aiaccel bin/aiacceld bin/aiaccel-top lib/udev/rules.d/60-aiaccel.rules \
	lib/systemd/system/aiaccel-boot.service lib/systemd/system/aiaccel-gpus@.service lib/modules-load.d/aiaccel.conf \
	share/man/man1/aiaccel.1 share/bash-completion/completions/aiaccel share/zsh/vendor-completions/_aiaccel \
	share/fish/vendor_completions.d/aiaccel.fish "src/aiaccel-$version/dkms.conf" "src/aiaccel-$version/kmod/Kbuild"; do
	ok "$file is installed" test -f "$TMP/dest/usr/$file"
done
for unit in system/aiaccel-{boot,gpus@}.service user/aiacceld.{service,socket}; do
	if command -v systemd-analyze >/dev/null; then
		is "systemd has nothing to say of $unit" \
			"$(systemd-analyze verify --man=no --recursive-errors=no "$prefix/lib/systemd/$unit" 2>&1)" ''
	else
		skip "systemd has nothing to say of $unit" 'systemd is not installed'
	fi
done
touch "$TMP/dest/usr/lib/other"
nok 'make uninstall builds nothing' grep -q -- ' -c ' \
	<<<"$(make --no-print-directory -nB V=1 uninstall DESTDIR="$TMP/dest" PREFIX=/usr)"
ok 'make uninstall' make --no-print-directory uninstall DESTDIR="$TMP/dest" PREFIX=/usr
is 'nothing is left but what is of others' "$(cd "$TMP/dest" && find . ! -type d -o -name '*aiaccel*')" ./usr/lib/other
like 'make uninstall where nothing is installed' \
	"$(make --no-print-directory uninstall PREFIX="$TMP/nowhere" 2>&1)" "nothing is installed .*$TMP/nowhere/.* is missing"

library=$prefix/lib/libaiaccel.so
like 'the soname' "$(readelf -d "$library")" 'SONAME.*\[libaiaccel\.so\.0\]'
exports=$(nm -D --defined-only -C "$library" | grep -v ' A ' | cut -d' ' -f3-)
declared=$(grep -ohE '\baiaccel_[a-z_]+\(' include/aiaccel.h | tr -d '(' | sort -u)
is 'every function of aiaccel.h is exported' "$(comm -23 <(echo "$declared") <(sed 's/@.*//' <<<"$exports" | sort -u))" ''
is 'of C++, these are, and nothing else is' \
	"$(sed 's/@.*//; s/\[abi:cxx11\]//; s/(.*//' <<<"$exports" | grep -v '^aiaccel_' | sort -u | xargs)" \
	"$(printf 'aiaccel::%s\n' to_string tensor_bytes OnnxRuntime::find Tensor::{Tensor,check} \
		Model::{file,from_bytes,inputs,label,name,open,outputs,replaceable_by,run,size_bytes,version,weights_beside} \
		read_metadata Metadata::to_json \
		Deployment::{Deployment,~Deployment,operator=,infer,infer_async,model,os_help,rollback,stats} \
		Deployment::{stream,transport,update} Stream::{infer,infer_async,version} \
		BufferPool::{BufferPool,~BufferPool,device,do_allocate,do_deallocate,do_is_equal,locate,stats,trim} \
		Memory::{Memory,ready} Pinning::{Pinning,~Pinning,operator=,bytes,bytes_done,cancel,done,fd,get} prefault \
		drm::{engine_of,render_nodes} drm::Node::{Node,adopt,fd,import} drm::Object::{Object,~Object,operator=,export_fd} \
		numa::{allowed_nodes,bytes_by_node,cpus,current_node,distance,node_of} numa::RunOn::{RunOn,~RunOn} \
		queueing::{allen_cunneen,erlang_b,erlang_c,least_servers,least_servers_for_mean,mmc,mmc_by_priority,mmck} \
		queueing::wait_quantile_s | sort | xargs)"

is 'of the registry, nothing else is exported than the public headers declare' "$(nm -D --defined-only -C "$prefix/lib/libaiaccel-registry.so" |
	grep -v ' A ' | cut -d' ' -f3- | sed 's/@.*//; s/\[abi:cxx11\]//; s/(.*//' | grep -v -e '^aiaccel::\(Follower\|Ref\|Registry\|Signer\|Trust\)::' \
	-e '^aiaccel::\(check\|find\|load\|read\|sign\)_\(signature\|signature_policy\|signatures\|version\)$' \
	-e '^aiaccel::\(checkout_verified\|hash_folder\|sign\|verify\)$' | sort -u)" ''

cat >"$TMP/program.c" <<'END'
#include <aiaccel.h>
#include <stdio.h>

int main(void)
{
	struct aiaccel_device *device;
	struct aiaccel_engine_info engine;

	if (aiaccel_open("embedded", &device) || aiaccel_find_engine(device, "cpu0", &engine))
		return 1;
	printf("%s %s\n", aiaccel_version(), aiaccel_transport(device));
	aiaccel_close(device);
	return 0;
}
END
cat >"$TMP/program.cpp" <<'END'
#include <aiaccel.hpp>
#include <iostream>

int main() {
  auto device = aiaccel::Device::open("embedded");
  auto engine = device.engine("cpu0");
  std::cout << aiaccel_version() << ' ' << device.transport() << '\n';
  // What is not inline must be in the library for others to link.
  aiaccel::BufferPool pool(device);
  if (pool.stats().buffers != 0 || aiaccel::queueing::erlang_b(1, 1) != 0.5) return 2;
  if (aiaccel::numa::allowed_nodes().empty()) return 3;
  try {
    aiaccel::Model::open("/there/is/no/such.onnx");
  } catch (const std::exception&) {
    return 0;
  }
  return 1;
}
END
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
is 'pkg-config knows the version' "$(pkg-config --modversion aiaccel)" "$version"
# shellcheck disable=SC2046 # lists of flags
build_c() { gcc -std=c11 -Wall -Werror "$TMP/program.c" -o "$TMP/c" $(pkg-config --cflags --libs aiaccel); }
# shellcheck disable=SC2046
build_cpp() { g++ -std=c++20 -Wall -Werror "$TMP/program.cpp" -o "$TMP/cpp" $(pkg-config --cflags --libs aiaccel); }
# shellcheck disable=SC2046
build_static() { g++ -std=c++20 "$TMP/program.cpp" -o "$TMP/static" -Wl,-Bstatic $(pkg-config --cflags --libs aiaccel) \
	-Wl,-Bdynamic $(pkg-config --libs-only-l --static aiaccel | sed 's/-laiaccel//'); }
ok 'C with pkg-config' build_c
ok 'C++ with pkg-config' build_cpp
ok 'C++ with pkg-config, static' build_static
for program in c cpp; do
	is "$program runs" "$(LD_LIBRARY_PATH=$prefix/lib "$TMP/$program" 2>&1)" "$version embedded"
done
is 'static runs' "$("$TMP/static" 2>&1)" "$version embedded"

cat >"$TMP/registry.cpp" <<'END'
#include <aiaccel/registry.hpp>

int main() {
  try {
    aiaccel::Registry::open("/there/is/no/such");
  } catch (const aiaccel::Error&) {
    return 0;
  }
  return 1;
}
END
# shellcheck disable=SC2046
build_registry() { g++ -std=c++20 -Wall -Werror "$TMP/registry.cpp" -o "$TMP/registry" $(pkg-config --cflags --libs aiaccel-registry); }
ok 'C++ with the registry' build_registry
ok 'the registry runs' env LD_LIBRARY_PATH="$prefix/lib" "$TMP/registry"

mkdir "$TMP/cmake"
cat >"$TMP/cmake/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(user C CXX)
find_package(aiaccel 0.1 REQUIRED)
add_executable(c ../program.c)
add_executable(cpp ../program.cpp)
target_compile_features(cpp PRIVATE cxx_std_20)
target_link_libraries(c aiaccel::aiaccel)
target_link_libraries(cpp aiaccel::aiaccel)
END
ok 'CMake finds it' cmake -S "$TMP/cmake" -B "$TMP/cmake/build" -DCMAKE_PREFIX_PATH="$prefix"
ok 'CMake builds with it' cmake --build "$TMP/cmake/build"
for program in c cpp; do
	is "$program from CMake runs" "$("$TMP/cmake/build/$program" 2>&1)" "$version embedded"
done
mkdir "$TMP/deep"
cp "$TMP/cmake/CMakeLists.txt" "$TMP/deep"
ok 'make install with a deeper libdir' \
	make --no-print-directory install PREFIX="$TMP/deeper" libdir="$TMP/deeper/lib/machine"
ok 'CMake finds it there' cmake -S "$TMP/deep" -B "$TMP/deep/build" -DCMAKE_PREFIX_PATH="$TMP/deeper" \
	-Daiaccel_DIR="$TMP/deeper/lib/machine/cmake/aiaccel"
ok 'CMake builds with it there' cmake --build "$TMP/deep/build"
mkdir "$TMP/cmake2"
echo 'cmake_minimum_required(VERSION 3.16)
project(user CXX)
find_package(aiaccel 0.2 REQUIRED)' >"$TMP/cmake2/CMakeLists.txt"
nok 'CMake refuses another minor version' cmake -S "$TMP/cmake2" -B "$TMP/cmake2/build" -DCMAKE_PREFIX_PATH="$prefix"
tap_done
