// SPDX-License-Identifier: MIT
//
// Counting and reserving; see memory.h.
#include "shim/memory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "shim/turns.h"

namespace aiaccel::shim {
namespace {

constexpr uint64_t kLeastChunk = uint64_t{2} << 20;
constexpr uint64_t kMostChunk = uint64_t{64} << 20;
constexpr uint64_t kChunks = 256;  // in what this process may have
constexpr uint64_t kPauseNs = 250'000'000;
constexpr uint64_t kHungNs = 4'000'000'000;  // long beside what a call to a hung broker takes

// "1.50 GiB"
std::string in_words(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  char text[32];
  snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return text;
}

}  // namespace

int Memory::open() {
  if (device_) return 0;
  const uint64_t now = monotonic_ns();
  if (now < retry_ns_) return -EAGAIN;
  retry_ns_ = now + kPauseNs;
  std::unique_ptr<aiaccel_device> device;
  aiaccel_engine_info engine{};
  aiaccel_query query{};
  if (const int error = open_device(settings_, &device, &query)) {
    if (monotonic_ns() > retry_ns_) retry_ns_ = monotonic_ns() + kHungNs;
    return error;
  }
  arbiter_fails_open_ = query.on_missing != AIACCEL_ON_MISSING_CLOSED;
  if (const int error = find_engine(*device, engines_, &engine)) return error;
  if (engine.state == AIACCEL_ENGINE_LEAVING) return -ENODEV;
  device_ = std::move(device);
  engine_ = engine.id;
  has_bytes_ = engine.device_bytes != 0;
  return 0;
}

uint64_t Memory::up_to_chunk(uint64_t bytes) const {
  return bytes > UINT64_MAX - chunk_ ? bytes : (bytes + chunk_ - 1) / chunk_ * chunk_;
}

// What was reserved is gone with it.
void Memory::close() {
  device_.reset();
  reservation_ = 0;
  reserved_ = 0;
}

void Memory::let_go() {
  const Lock lock(mutex_);
  if (device_ && look_at_arbiter(*device_, engine_)) close();
}

int Memory::reserve(uint64_t bytes, aiaccel_reserve* answer) {
  if (const int error = open()) return error;
  *answer = {};
  answer->size = sizeof *answer;
  answer->engine = reservation_ ? 0 : engine_;
  answer->id = reservation_;
  answer->bytes = bytes;
  const int error = aiaccel_call(device_.get(), AIACCEL_IOC_RESERVE, answer);
  if (error == 0) {
    reservation_ = answer->id;
    reserved_ = bytes;
    chunk_ = std::clamp<uint64_t>(answer->max_bytes / kChunks, kLeastChunk, kMostChunk);
  } else if (error == -ECONNRESET || error == -ENODEV) {
    close();
  }
  return error;
}

// A refusal has no figures: they are what the reservation as it is now says.
void Memory::tell_of_refusal(uint64_t bytes, uint32_t refused_by) {
  aiaccel_reserve now;
  const bool known = reserve(reserved_, &now) == 0;
  const uint64_t left = known ? now.free_bytes + (reserved_ - std::min(used_, reserved_)) : 0;
  const std::string figures =
      known ? ": " + in_words(left) + " of " + in_words(now.max_bytes) + " left" : "";
  refused_.say("out of device memory: %s more asked for, this process holds %s; %s refuses%s",
               in_words(bytes).c_str(), in_words(used_).c_str(), aiaccel_refusal_name(refused_by),
               figures.c_str());
}

// Makes room for what is used and `bytes` more, `wanted` together.
Memory::Room Memory::make_room(uint64_t wanted, uint64_t bytes) {
  if (open() == 0 && !has_bytes_) return Room::made;
  if (device_ && wanted <= reserved_) return Room::made;
  aiaccel_reserve answer;
  int error = reserve(up_to_chunk(wanted), &answer);
  if (error == -EDQUOT) error = reserve(wanted, &answer);
  if (error == 0) {
    missing_.forget();
    return Room::made;
  }
  if (error == -EDQUOT) {
    tell_of_refusal(bytes, answer.refused_by);
    return Room::refused;
  }
  if (error != -EAGAIN)
    missing_.say("%s: device memory cannot be reserved (%s): allocations %s",
                 engines_.front().c_str(), std::strerror(-error),
                 fail_open() ? "go on without" : "wait");
  return fail_open() ? Room::made : Room::not_yet;
}

bool Memory::take(uint64_t bytes) {
  Lock lock(mutex_);
  for (;;) {
    uint64_t wanted;
    if (__builtin_add_overflow(used_, bytes, &wanted) || wanted > settings_.device_bytes) {
      refused_.say(
          "out of device memory: %s more asked for, this process holds %s of %s "
          "(AIACCEL_DEVICE_BYTES)",
          in_words(bytes).c_str(), in_words(used_).c_str(),
          in_words(settings_.device_bytes).c_str());
      return false;
    }
    const Room room = device_ && wanted <= reserved_ ? Room::made : make_room(wanted, bytes);
    if (room == Room::refused) return false;
    if (room == Room::made) {
      used_ = wanted;
      return true;
    }
    lock.unlock();
    const timespec pause{0, static_cast<long>(kPauseNs)};
    nanosleep(&pause, nullptr);
    lock.lock();
  }
}

void Memory::give_back(uint64_t bytes) {
  const Lock lock(mutex_);
  used_ -= std::min(used_, bytes);
  const uint64_t enough = up_to_chunk(used_);
  if (!device_ || !reservation_ || reserved_ < enough + chunk_) return;
  aiaccel_reserve answer;
  reserve(enough, &answer);  // if it fails we hold too much, and say nothing
}

void Memory::find_limit(uint64_t* free_bytes, uint64_t* total_bytes) {
  uint64_t most = settings_.device_bytes;
  uint64_t left = most - std::min(most, used_);
  if (open() == 0 && has_bytes_) {
    aiaccel_reserve answer;
    if (reserve(reserved_, &answer) == 0) {
      most = std::min<uint64_t>(most, answer.max_bytes);
      left = std::min<uint64_t>(left, answer.free_bytes + reserved_ - std::min(reserved_, used_));
    }
  }
  *total_bytes = std::min(*total_bytes, most);
  *free_bytes = std::min({*free_bytes, left, *total_bytes});
}

void Memory::limit(uint64_t* free_bytes, uint64_t* total_bytes) {
  const Lock lock(mutex_);
  find_limit(free_bytes, total_bytes);
}

uint64_t Memory::total(uint64_t bytes) {
  const Lock lock(mutex_);
  const bool was_open = device_ != nullptr;
  uint64_t left = bytes;
  find_limit(&left, &bytes);
  if (!was_open && device_) {
    close();
    retry_ns_ = 0;
  }
  return bytes;
}

void Memory::renew() {
  const Lock lock(mutex_);
  aiaccel_reserve answer;
  if (device_ && reservation_) reserve(reserved_, &answer);  // finds out if it is that one's
  if (used_ == 0 || device_) return;
  retry_ns_ = 0;
  if (open() || !has_bytes_) return;
  if (reserve(up_to_chunk(used_), &answer) && reserve(used_, &answer))
    refused_.say(
        "the %s of device memory that this process holds are more than it may have now (%s)",
        in_words(used_).c_str(), aiaccel_refusal_name(answer.refused_by));
}

std::shared_ptr<Charge> Charge::take(Memory& memory, uint64_t bytes) {
  return memory.take(bytes) ? std::make_shared<Charge>(memory, bytes) : nullptr;
}

Charge::~Charge() {
  if (guard_.same_process()) memory_.give_back(bytes_);
}

}  // namespace aiaccel::shim
