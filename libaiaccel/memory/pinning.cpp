// SPDX-License-Identifier: MIT
//
// See aiaccel/pinning.hpp. The thread writes the outcome, then says so by `ended` and the eventfd;
// whoever reads the outcome has joined it.
#include <aiaccel/pinning.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <exception>
#include <functional>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "backends/cpu_class.hpp"
#include "host/pages.h"

namespace aiaccel {
namespace {

std::uint64_t pages_of(const std::byte* data, std::size_t length) {
  const std::uintptr_t page = host::page_size();
  const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(data) & ~(page - 1);
  return host::whole_pages(reinterpret_cast<std::uintptr_t>(data) + length - start);
}

}  // namespace

struct Pinning::State {
  State(Device opened, std::uint64_t whole_pages, const PinningOptions& wanted)
      : device(std::move(opened)),
        options(wanted),
        bytes(whole_pages),
        event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        passed_on(options.stop, [this] { stop.request_stop(); }) {
    if (!event) throw Error(errno, "cannot make an eventfd");
  }

  template <typename Byte>
  void begin(std::span<Byte> range) {
    try {
      thread = std::jthread([this, range] { work(range); });
    } catch (const std::system_error& error) {
      throw Error(error.code().value(), "cannot make a thread that pins");
    }
  }

  template <typename Byte>
  void work(std::span<Byte> range) noexcept {
    block_signals();
    try {
      PrefaultOptions there;
      there.huge = options.huge;
      there.threads = options.threads;
      // Not bound: the memory's policy, or the creator's, says where pages come from.
      there.node = -1;
      there.stop = stop.get_token();
      there.progress = [this](std::uint64_t now) { touched = now; };
      prefault(range, there);
      if (stop.stop_requested()) throw Error(ECANCELED, "pinning was cancelled");
      buffer = device.pin(range, options.pin);
    } catch (...) {
      failure = std::current_exception();
    }
    ended = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(event.get(), &one, sizeof one);
  }

  const Device device;
  const PinningOptions options;
  const std::uint64_t bytes;
  const Descriptor event;
  std::stop_source stop;
  std::stop_callback<std::function<void()>> passed_on;
  std::atomic<std::uint64_t> touched = 0;
  std::atomic<bool> ended = false;
  // The thread's until it has ended.
  std::optional<Buffer> buffer;
  std::exception_ptr failure;
  std::jthread thread;  // last: it ends before what it uses
};

Pinning::Pinning(Device device, std::span<std::byte> bytes, const PinningOptions& options)
    : state_(std::make_unique<State>(std::move(device), pages_of(bytes.data(), bytes.size()),
                                     options)) {
  state_->begin(bytes);
}

Pinning::Pinning(Device device, std::span<const std::byte> bytes, const PinningOptions& options)
    : state_(std::make_unique<State>(std::move(device), pages_of(bytes.data(), bytes.size()),
                                     options)) {
  state_->begin(bytes);
}

Pinning::Pinning(Pinning&&) noexcept = default;

Pinning& Pinning::operator=(Pinning&& other) noexcept {
  Pinning now(std::move(other));  // what this was goes with it, at once
  std::swap(state_, now.state_);
  return *this;
}

Pinning::~Pinning() {
  if (state_) cancel();
}

std::uint64_t Pinning::bytes() const noexcept {
  return state_->bytes;
}

std::uint64_t Pinning::bytes_done() const noexcept {
  return state_->touched;
}

bool Pinning::done() const noexcept {
  return state_->ended;
}

int Pinning::fd() const noexcept {
  return state_->event.get();
}

void Pinning::cancel() noexcept {
  state_->stop.request_stop();
}

Buffer Pinning::get() {
  if (state_->thread.joinable()) state_->thread.join();
  if (state_->failure) std::rethrow_exception(state_->failure);
  if (!state_->buffer) throw Error(EINVAL, "a pinned buffer is got once");
  Buffer got = std::move(*state_->buffer);
  state_->buffer.reset();
  return got;
}

}  // namespace aiaccel
