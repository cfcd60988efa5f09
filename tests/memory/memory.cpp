// SPDX-License-Identifier: MIT
//
// See memory.hpp.
#include "memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "broker/server.hpp"

namespace memory_test {
namespace {

class OwnBroker {
 public:
  OwnBroker() {
    if (conformance::on("broker")) server_.emplace();
  }

 private:
  std::optional<conformance::BrokerServer> server_;
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(OwnBroker);

aiaccel::Device open_device() {
  return aiaccel::Device::open(conformance::transport());
}

// mincore() would tell of the page cache. Whether a page is there, pagemap tells everybody.
std::size_t pages_there(std::span<const std::byte> range) {
  std::size_t there = 0;
  FILE* const map = std::fopen("/proc/self/pagemap", "re");
  BOOST_REQUIRE(map);
  for (std::size_t at = 0; at < range.size(); at += page) {
    std::uint64_t entry = 0;
    const auto address = reinterpret_cast<std::uintptr_t>(range.data() + at);
    BOOST_REQUIRE_EQUAL(std::fseek(map, static_cast<long>(address / page * sizeof entry), SEEK_SET),
                        0);
    BOOST_REQUIRE_EQUAL(std::fread(&entry, sizeof entry, 1, map), 1u);
    there += entry >> 63;
  }
  std::fclose(map);
  return there;
}

aiaccel::Memory map_anonymous(std::size_t bytes, int prot) {
  void* const address = mmap(nullptr, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  BOOST_REQUIRE(address != MAP_FAILED);
  return {address, bytes};
}

namespace {

std::byte value(std::size_t at, unsigned seed) {
  return static_cast<std::byte>((at * 7 + at / page * 13 + seed) & 0xff);
}

}  // namespace

void fill(std::span<std::byte> bytes, unsigned seed) {
  for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = value(at, seed);
}

bool filled(std::span<const std::byte> bytes, unsigned seed) {
  for (std::size_t at = 0; at < bytes.size(); ++at)
    if (bytes[at] != value(at, seed)) return false;
  return true;
}

std::string why_no_pin(const aiaccel::Device& device, std::size_t bytes) {
  try {
    const aiaccel::Memory memory = map_anonymous(bytes, PROT_READ | PROT_WRITE);
    const aiaccel::Buffer buffer = device.pin(memory.bytes());
  } catch (const aiaccel::Error& error) {
    if (error.refused_by() == AIACCEL_REFUSED_RLIMIT)
      return "RLIMIT_MEMLOCK leaves less than " + std::to_string(bytes) + " bytes";
  }
  return {};
}

}  // namespace memory_test
