// SPDX-License-Identifier: MIT
//
// What the tests of the library's memory share: the transport of `-- --transport=NAME`, errors as
// numbers, and what the kernel says of pages.
#pragma once

#include <aiaccel.hpp>
#include <tap/tap.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "conformance/device.hpp"

namespace memory_test {

aiaccel::Device open_device();

// The errno of the Error that `call` throws, 0 where it throws none.
template <typename Call>
int error_of(Call call) {
  try {
    call();
  } catch (const aiaccel::Error& error) {
    return error.code().value();
  }
  return 0;
}

const std::size_t page = 4096;

// How many of these pages the process has.
std::size_t pages_there(std::span<const std::byte> range);

// A mapping as a program makes one: untouched.
aiaccel::Memory map_anonymous(std::size_t bytes, int prot);

// Bytes that differ within a page and from page to page, and whether they are there.
void fill(std::span<std::byte> bytes, unsigned seed);
bool filled(std::span<const std::byte> bytes, unsigned seed);

// Why so many bytes cannot be pinned here, "" where they can: RLIMIT_MEMLOCK.
std::string why_no_pin(const aiaccel::Device& device, std::size_t bytes);

}  // namespace memory_test
