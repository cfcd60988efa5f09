// SPDX-License-Identifier: MIT
//
// Bytes of model files: the window, and refusals.

#include "formats/source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace aiaccel::formats {
namespace {

constexpr std::size_t kMostShown = 64;

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string shown = "'";
  for (char c : text.substr(0, kMostShown)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return shown + (text.size() > kMostShown ? "...'" : "'");
}

void Source::refuse(std::uint64_t offset, const std::string& why, int error) const {
  throw FormatError(error ? error : EBADMSG,
                    name_ + ": byte " + std::to_string(offset) + ": " + why, offset);
}

void Source::need(std::uint64_t offset, std::uint64_t count, const char* what) const {
  if (offset <= size_ && count <= size_ - offset) return;
  refuse(offset, std::string(what) + " of " + std::to_string(count) +
                     " bytes ends behind the file, which has " + std::to_string(size_));
}

void Source::pay(std::uint64_t offset, std::uint64_t bytes) const {
  if (bytes > budget_->left)
    refuse(offset, "the model has more to be kept than " +
                       std::to_string(Budget::kMostBytes >> 20) + " MiB");
  budget_->left -= bytes;
}

std::string Source::text(std::uint64_t offset, std::uint64_t count) {
  need(offset, count, "text");
  pay(offset, count);
  std::string text(count, '\0');
  auto* to = reinterpret_cast<std::byte*>(text.data());
  if (count <= kWindow) {
    if (count) std::memcpy(to, at(offset, count), count);
  } else if (fd_ < 0) {
    std::memcpy(to, bytes_.data() + offset, count);
  } else {
    read(offset, to, count);
  }
  return text;
}

std::string Source::text_to_nul(std::uint64_t offset, std::uint64_t most, bool field) {
  std::uint64_t length = 0;
  while (length < most && *at(offset + length, 1) != std::byte{0}) ++length;
  if (length == most && !field) refuse(offset, "a text does not end where it has to");
  return text(offset, length);
}

const std::byte* Source::load(std::uint64_t offset, std::size_t count) {
  if (offset > size_ || count > size_ - offset)
    refuse(offset, "the file ends here, where " + std::to_string(count) + " bytes more are needed");
  // The window is ours alone, so that its bytes may be replaced under the span.
  window_.resize(kWindow);
  const auto fill = static_cast<std::size_t>(std::min<std::uint64_t>(kWindow, size_ - offset));
  bytes_ = {};
  from_ = 0;
  read(offset, window_.data(), fill);
  bytes_ = {window_.data(), fill};
  from_ = offset;
  return window_.data();
}

void Source::read(std::uint64_t offset, std::byte* to, std::size_t count) const {
  while (count) {
    const ssize_t got = ::pread(fd_, to, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(errno, "cannot read " + name_);
    if (got == 0) refuse(offset, "the file was cut short while it was read");
    to += got;
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

}  // namespace aiaccel::formats
