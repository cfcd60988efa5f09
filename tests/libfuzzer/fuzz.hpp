// SPDX-License-Identifier: MIT
//
// What the fuzz targets share: taking an input apart, and saying what does not hold. A target is
// one file NAME.cpp with an LLVMFuzzerTestOneInput(); its seeds, and every input that once broke
// it, are in corpus/NAME/.
//
// Each input is judged by itself: nothing that one leaves behind may change what the next one
// meets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace fuzz {

[[noreturn]] inline void broken(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}

// The bytes of one input, taken from the front; zeros when there are none left.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  bool done() const { return size_ == 0; }

  std::uint8_t byte() {
    if (!size_) return 0;
    --size_;
    return *data_++;
  }

  template <typename T>
  T take() {
    T value{};
    const std::size_t bytes = std::min(sizeof value, size_);
    if (bytes) std::memcpy(&value, data_, bytes);
    data_ += bytes;
    size_ -= bytes;
    return value;
  }

  // Small as a rule: one byte, or the eight that follow one of 240 and more.
  std::uint64_t number() {
    const std::uint8_t first = byte();
    return first < 240 ? first : take<std::uint64_t>();
  }

  unsigned below(unsigned end) { return static_cast<unsigned>(number() % end); }

  // Up to so many bytes, as the input says.
  std::string text(std::size_t most) {
    const std::size_t bytes = std::min({static_cast<std::size_t>(number()), most, size_});
    std::string result(reinterpret_cast<const char*>(data_), bytes);
    data_ += bytes;
    size_ -= bytes;
    return result;
  }

  // All that is left.
  std::string rest() {
    std::string result(reinterpret_cast<const char*>(data_), size_);
    size_ = 0;
    return result;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

}  // namespace fuzz

#define MUST(what) ((what) ? void() : fuzz::broken(#what, __FILE__, __LINE__))
// For what the random tests share with us.
#define BOOST_TEST_REQUIRE(what, ...) MUST(what)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
