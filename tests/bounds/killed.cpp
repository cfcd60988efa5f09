// SPDX-License-Identifier: MIT
//
// A killed holder's slots are granted on before its address space is torn down, which takes long
// with gigabytes in it, and before they are unpinned. The kernel's trace shows the order: the
// module's own tracepoints, and probes where the kernel begins to unmap the process's memory, where
// that is done, and where the module unpins it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

#include "conformance/child.hpp"
#include "conformance/device.hpp"
#include "kmod/module.hpp"
#include "kmod/raw.hpp"

using conformance::Child;
using conformance::Device;
using conformance::job;
using conformance::now_ns;
using conformance::on;

namespace {

struct Event {
  std::string name;  // of the event alone, without its system
  std::string text;
  pid_t pid;  // who did it
  double ms;  // on the host's monotonic clock
};

// The events of aiaccel and the probes, in an instance of tracefs of its own.
class Trace {
 public:
  Trace() {
    if (!probe("p:bounds/unmap unmap_vmas") || !probe("r:bounds/unmapped exit_mmap") ||
        !probe("p:bounds/unpin unpin_user_page_range_dirty_lock") || mkdir(instance_.c_str(), 0700))
      return;
    there_ = put("trace_clock", "mono") && put("events/aiaccel/enable", "1") &&
             put("events/bounds/enable", "1");
  }
  Trace(const Trace&) = delete;
  ~Trace() {
    rmdir(instance_.c_str());
    for (const char* name : {"unmap", "unmapped", "unpin"}) probe(std::string("-:bounds/") + name);
  }

  bool there() const { return there_; }

  // What was seen so far, in its order: `COMM-PID [CPU] FLAGS SECONDS: NAME: TEXT`.
  std::vector<Event> events() const {
    std::vector<Event> events;
    std::ifstream file(instance_ + "/trace");
    for (std::string line; std::getline(file, line);) {
      const size_t cpu = line.find(" [");
      const size_t time_end = line.find(": ");
      const size_t name_end = line.find(": ", time_end + 2);
      if (line.starts_with('#') || cpu == std::string::npos || name_end == std::string::npos)
        continue;
      const size_t time = line.rfind(' ', time_end) + 1;
      events.push_back({line.substr(time_end + 2, name_end - time_end - 2), line.substr(name_end),
                        std::stoi(line.substr(line.rfind('-', cpu) + 1)),
                        std::stod(line.substr(time, time_end - time)) * 1e3});
    }
    return events;
  }

 private:
  // They are added to those that there are; a stream would look for the end of the file.
  bool probe(const std::string& line) const {
    const raw::Fd file(open((kRoot + "/kprobe_events").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    return write(file.get(), line.c_str(), line.size()) == static_cast<ssize_t>(line.size());
  }
  bool put(const std::string& file, const char* value) const {
    return static_cast<bool>(std::ofstream(instance_ + "/" + file) << value << std::flush);
  }

  const std::string kRoot = "/sys/kernel/tracing";
  const std::string instance_ = kRoot + "/instances/aiaccel-bounds";
  bool there_ = false;
};

uint64_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;)
    if (uint64_t kib; word == "MemAvailable:" && file >> kib) return kib << 10;
  return 0;
}

constexpr uint64_t kHolder = 7, kWaiter = 8;

// In a child: holds the whole engine, with this much memory of its own pinned.
int hold_all(Child& self, uint64_t bytes) {
  Device device;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  aiaccel_pin pin{};
  pin.flags = AIACCEL_PIN_WRITE;
  pin.addr = reinterpret_cast<uintptr_t>(memory);
  pin.length = bytes;
  if (device.call(AIACCEL_IOC_PIN, pin)) return 2;
  device.must_hold(kHolder, device.must_queue(), device.slots());
  self.tell(1);
  self.sleep();
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(killed)

BOOST_AUTO_TEST_CASE(its_slots_go_on_before_its_memory_is_torn_down) {
  if (!on("kernel"))
    SKIP("a socket closes after the address space went; the module is told before");
  const uint64_t bytes = available_bytes() / 10 * 6 >> 21 << 21;
  const std::string mib = std::to_string((bytes >> 20) + 64);
  const raw::Reloaded module("memory_mib=" + mib + " tenant_memory_mib=" + mib);
  const Trace trace;
  if (!trace.there()) SKIP("this kernel has no probes at what takes memory down");
  Device device;
  Child child([&](Child& self) { return hold_all(self, bytes); });
  BOOST_REQUIRE(child.must_hear() == 1u);
  BOOST_REQUIRE(device.submit(job(kWaiter, device.must_queue(), {.width = device.slots()})) == 0);
  const pid_t pid = child.pid();
  const double killed_ms = static_cast<double>(now_ns()) / 1e6;
  child.kill(SIGKILL);
  device.must_event(kWaiter, AIACCEL_EVENT_GRANTED);
  const double learned_ms = static_cast<double>(now_ns()) / 1e6;
  BOOST_REQUIRE(child.wait() == 128 + SIGKILL);

  std::vector<Event> done;  // by the one that was killed, from then on
  for (const Event& event : trace.events())
    if (event.pid == pid && event.ms > killed_ms) done.push_back(event);
  const auto find = [&](const char* name, const std::string& text) {
    return std::find_if(done.begin(), done.end(), [&](const Event& event) {
      return event.name == name && event.text.find(text) != std::string::npos;
    });
  };
  const auto ended = find("complete", "cookie=0x7 ");
  const auto granted = find("grant", "cookie=0x8 ");
  const auto unmap = find("unmap", ""), unmapped = find("unmapped", ""), unpin = find("unpin", "");
  for (const auto& event : {ended, granted, unmap, unmapped, unpin})
    BOOST_REQUIRE(event != done.end());
  BOOST_TEST((ended < granted));
  BOOST_TEST((granted < unmap));
  BOOST_TEST((unmap < unmapped));
  BOOST_TEST((unmapped < unpin));
  std::printf(
      "# %.2f GiB pinned; after the kill: granted on at %.3f ms, the other knew at %.3f, "
      "unmapped from %.3f to %.3f, unpinned from %.3f to %.3f\n",
      static_cast<double>(bytes) / (1 << 30), granted->ms - killed_ms, learned_ms - killed_ms,
      unmap->ms - killed_ms, unmapped->ms - killed_ms, unpin->ms - killed_ms,
      done.back().ms - killed_ms);
}

BOOST_AUTO_TEST_SUITE_END()
