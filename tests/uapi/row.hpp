// SPDX-License-Identifier: MIT
//
// What the tests of all ioctls share. Each ioctl has a file of its own here, which registers a Row:
// the fields of its struct, an argument that is taken, and what spoils one. ladder.cpp puts every
// row through the rules of the UAPI header's calling convention; the ioctl's file has the rest. An
// ioctl that the kernel knows and no row names fails ladder/numbers.
//
// One thread only.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "kmod/account.hpp"

namespace uapi {

using Bytes = std::vector<char>;
using U64s = std::initializer_list<uint64_t>;

enum Kind {
  kIn,
  kOut,  // ignored on input
  kInOut,
  kRefusal,  // refused_by: out, on errors too
  kZero,     // reserved: EINVAL when it is not zero
};

struct Field {
  const char* name;
  size_t offset, size;
  Kind kind;
};

#define FIELD(type, name, kind) \
  { #name, offsetof(type, name), sizeof(type::name), kind }

// No padding: each field begins where the one before it ends. All of them are of fixed width, so
// that a struct for which this holds in a 32-bit and in a 64-bit program has one layout.
constexpr bool fills(std::span<const Field> fields, size_t size) {
  size_t end = 0;
  for (const Field& field : fields) {
    if (field.offset != end) return false;
    end += field.size;
  }
  return end == size;
}

// A context and what arguments name. `page` is two anonymous pages. Engines that calls made and
// rules go at its end.
struct Scene {
  ~Scene() {
    raw::unregister_all_engines(context);
    raw::set_rules(context, {});
  }
  raw::Context context;
  uint32_t engine = context.engine().id;
  uint32_t buffer = context.alloc(1).id;
  uint32_t queue = context.queue();
  uint32_t spare = context.alloc(1).id;  // a buffer, to be taken back
  raw::Engine gpu = raw::Engine(context, 1 << 20);
  raw::Map page = raw::anonymous(2 * raw::kPage);
};

// A change to a good argument, and the error that it brings.
struct Spoil {
  int error;
  const char* what;
  std::function<void(char*)> apply;
  uint32_t refused_by = AIACCEL_REFUSED_NOT;
};

template <typename T>
struct Spoils : std::vector<Spoil> {
  void add(int error, const char* what, const std::function<void(T&)>& apply,
           uint32_t refused_by = AIACCEL_REFUSED_NOT) {
    push_back({error, what, [=](char* bytes) { apply(*reinterpret_cast<T*>(bytes)); }, refused_by});
  }
};

template <typename T>
Bytes bytes_of(const T& value) {
  Bytes bytes(sizeof(T));
  memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

template <typename T>
T& as(Bytes& bytes) {
  return *reinterpret_cast<T*>(bytes.data());
}

struct Row {
  const char* name;
  unsigned long number;
  std::span<const Field> fields;
  // With its size set. Each call may make an object for it to name.
  std::function<Bytes(const Scene&)> good;
  // In the order of the ladder.
  std::function<std::vector<Spoil>(const Scene&)> spoils;
  // Of the struct's first version, where it grew since.
  uint32_t grown_from = 0;

  uint32_t size() const;
  uint32_t first_size() const { return grown_from ? grown_from : size(); }
  // Where refused_by lies, or 0.
  uint32_t refused_at() const;
  // Overwrites what the call does not read.
  void poison(Bytes& bytes, char with) const;
};

const std::vector<Row>& rows();
const Row& row_of(unsigned long number);

struct Register {
  explicit Register(const Row& row);
};

// What STATS has of the one queue that there is.
aiaccel_stats_queue only_queue(const raw::Context& context);

// Each spoil alone brings its error, and of two that do not touch the same bytes the one that comes
// first. `call` answers 0 or an errno; `check` is told what its argument was before and after, and
// which spoil it should have met.
using Check = std::function<void(const Bytes& before, const Bytes& after, const Spoil& met)>;
void spoil_one_and_two(const char* name, const Bytes& good, const std::vector<Spoil>& spoils,
                       const std::function<int(Bytes&)>& call, const Check& check = {});

// The page frame behind an address, which must be touched. Only root is told.
uint64_t frame_of(const void* at);

// An address in a pattern of 8 bytes that only the kernel has; ~0 is AIACCEL_UNLIMITED.
bool has_kernel_address(const void* from, size_t size);

}  // namespace uapi
