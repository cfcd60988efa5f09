// SPDX-License-Identifier: MIT
//
// Where the readers of model files get bytes from: a file, or memory. Every access is checked
// against the size that was seen first, and every refusal names file, offset and reason.
//
// A file is read by pread() through one window of 64 KiB and not mapped: whoever may write it can
// cut it short at any time, which in a mapping is a SIGBUS for the whole process. What is read once
// is in our memory and does not change under a check. Weights are stepped over; a window may catch
// their first bytes.
//
// What a reader keeps of a file is paid out of a Budget, which bounds the memory that a file made
// for it can take. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <aiaccel/metadata.hpp>

namespace aiaccel::formats {

// What all readers of one model may keep together. The largest models known have 100,000 tensors.
struct Budget {
  static constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;
  std::uint64_t left = kMostBytes;
};

// A name out of a file, as it may stand in a message: in quotes, printable, and not too long.
std::string in_quotes(std::string_view text);

class Source {
 public:
  static constexpr std::size_t kWindow = std::size_t{64} << 10;

  Source(std::string name, std::span<const std::byte> bytes, Budget& budget)
      : name_(std::move(name)), bytes_(bytes), size_(bytes.size()), budget_(&budget) {}
  // `fd` is someone else's, and open for as long as this is used.
  Source(std::string name, int fd, std::uint64_t size, Budget& budget)
      : name_(std::move(name)), fd_(fd), size_(size), budget_(&budget) {}

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  Budget& budget() { return *budget_; }

  // `count` bytes, at most kWindow, valid until the next call of anything here.
  const std::byte* at(std::uint64_t offset, std::size_t count) {
    // No sum: it could wrap.
    if (offset >= from_ && offset - from_ <= bytes_.size() &&
        count <= bytes_.size() - (offset - from_))
      return bytes_.data() + (offset - from_);
    return load(offset, count);
  }
  // A number of sizeof(T) bytes, the lowest first.
  template <typename T>
  T number(std::uint64_t offset) {
    const std::byte* bytes = at(offset, sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    return static_cast<T>(value);
  }
  // Bytes to be kept: paid out of the budget.
  std::string text(std::uint64_t offset, std::uint64_t count);

  // The text of at most `most` bytes that a NUL ends; a `field` of that size may be without one.
  std::string text_to_nul(std::uint64_t offset, std::uint64_t most, bool field);

  // Throws unless `count` bytes lie at `offset`.
  void need(std::uint64_t offset, std::uint64_t count, const char* what) const;
  // Takes out of the budget what something kept needs.
  void pay(std::uint64_t offset, std::uint64_t bytes) const;

  [[noreturn]] void refuse(std::uint64_t offset, const std::string& why, int error = 0) const;

 private:
  const std::byte* load(std::uint64_t offset, std::size_t count);
  void read(std::uint64_t offset, std::byte* to, std::size_t count) const;

  std::string name_;
  // What there is in memory: all, or the window.
  std::span<const std::byte> bytes_;
  std::uint64_t from_ = 0;
  std::vector<std::byte> window_;
  int fd_ = -1;
  std::uint64_t size_;
  Budget* budget_;
};

}  // namespace aiaccel::formats
