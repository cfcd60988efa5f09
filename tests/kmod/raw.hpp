// SPDX-License-Identifier: MIT
//
// What the module's tests share: raw ioctls on /dev/aiaccel, mappings that undo themselves, children
// whose checks are told by their exit status. Nothing of libaiaccel, so that nothing stands between
// a test and the kernel. They want root in a virtual machine that has the module loaded.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <functional>
#include <string>
#include <uapi/aiaccel.h>
#include <vector>

#include "tap/tap.hpp"

namespace raw {

inline constexpr const char* kDevice = "/dev/aiaccel";
inline constexpr size_t kPage = 4096;

// A pointer as a field of the UAPI wants it: with zeros above. A plain cast of a 32-bit one extends its
// sign.
inline uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

bool have_device();

// A descriptor, closed at the end.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { close(); }
  void close();
  int get() const { return fd_; }

 private:
  int fd_;
};

// A mapping, unmapped at the end. error() is the errno of the mmap that failed, or 0.
class Map {
 public:
  Map() = default;
  Map(size_t length, int protection, int flags, int fd, uint64_t offset);
  Map(Map&& other) noexcept;
  Map& operator=(Map&& other) noexcept;
  ~Map() { unmap(); }
  void unmap();
  int error() const { return error_; }
  char* data() const { return static_cast<char*>(data_); }
  uint64_t address() const { return raw::address(data_); }
  size_t size() const { return size_; }

 private:
  void* data_ = MAP_FAILED;
  size_t size_ = 0;
  int error_ = 0;
};

Map anonymous(size_t length, int protection = PROT_READ | PROT_WRITE);

// An open device. Calls return 0 or an errno.
class Context {
 public:
  Context();
  int fd() const { return fd_.get(); }
  void close() { fd_.close(); }
  int call(unsigned long number, void* arg) const;

  template <typename T>
  int operator()(unsigned long number, T& arg) const {
    arg.size = sizeof(T);
    return call(number, &arg);
  }

  Map map(size_t length, uint64_t offset, int protection = PROT_READ | PROT_WRITE) const {
    return Map(length, protection, MAP_SHARED, fd(), offset);
  }

  // The rest asserts that the call succeeds.
  aiaccel_query query() const;
  aiaccel_alloc alloc(uint64_t length) const;
  uint32_t queue(uint32_t class_ = AIACCEL_CLASS_NORMAL) const;  // at the first engine
  uint32_t queue_at(uint32_t engine, uint32_t class_ = AIACCEL_CLASS_NORMAL,
                    const char* label = "") const;
  // Submits one job and waits for its turn; its generation.
  uint32_t take_turn(uint32_t queue, uint64_t cookie, uint32_t width = 1) const;
  // The first engine.
  aiaccel_engine_info engine() const;
  aiaccel_stats_engine engine_stats() const;

 private:
  Fd fd_;
};

// Its number, or 0 where there is none.
uint32_t engine_called(const Context& context, const std::string& name);

// A good argument, of a name that no other has.
aiaccel_engine_register engine_of(uint64_t device_bytes = 0, uint32_t slots = 1);
void unregister_all_engines(const Context& context);

// Rules for POLICY: 0 or an errno. None are left with {}.
int set_rules(const Context& context, const std::vector<aiaccel_policy_rule>& rules);
// One that sets nothing yet; 0 is a number of a user where `match` says so.
aiaccel_policy_rule rule_of(uint32_t match, const std::string& pattern, uint32_t uid = 0);

// No rules are left behind, whatever a case did.
struct Administrator {
  const Context context;
  void set(const std::vector<aiaccel_policy_rule>& rules) const;  // asserted
  ~Administrator() { set_rules(context, {}); }
};

// An engine made by ENGINE_REGISTER; unregistered at the end.
class Engine {
 public:
  explicit Engine(const Context& context, uint64_t device_bytes = 0, uint32_t slots = 1,
                  int numa_node = 0);
  Engine(const Engine&) = delete;
  ~Engine() { unregister(); }
  int unregister() const;  // 0 or an errno
  uint32_t id() const { return id_; }
  aiaccel_engine_info info() const;

 private:
  const Context& context_;
  uint32_t id_ = 0;
};

// Asserts that it is had; its id.
uint32_t reserve(const Context& context, uint32_t engine, uint64_t bytes);
// Of a reservation: 0 or an errno.
int resize(const Context& context, uint32_t id, uint64_t bytes);
// DESTROY: 0 or an errno.
int destroy_errno(const Context& context, uint32_t id);

aiaccel_pin pin_of(const Map& map, uint32_t flags = 0);
aiaccel_job job_of(uint32_t queue, uint64_t cookie, uint32_t width = 1);

// One entry, without waiting: 0 or an errno.
int submit(const Context& context, aiaccel_job job);
int complete(const Context& context, uint64_t cookie, uint32_t generation);

// Runs `body` in a forked child; what it returns is the exit status, which is returned.
// 128 + N when signal N ended it.
int in_child(const std::function<int()>& body);

// Makes the calling process an ordinary user without capabilities.
void become_user(unsigned uid);

// In a child that is such a user, with the device for everybody to open.
int as_user(unsigned uid, const std::function<int()>& body);

bool has_node(int node);

uint64_t now_ns();

// Waits until `true_now` holds; false when it does not within a minute.
bool eventually(const std::function<bool()>& true_now);

}  // namespace raw

// First line of every test case here.
#define NEED_DEVICE() \
  if (!raw::have_device()) SKIP("no /dev/aiaccel here: run through tests/vm/run")
