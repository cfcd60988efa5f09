// SPDX-License-Identifier: MIT
//
// aiaccel_edu.ko: buffers of users copied by a real PCI device, by DMA and interrupts, under turns.
// Each transfer takes the device 100 ms. Where there is an IOMMU it is strict, and reports what the
// device should not have reached to the kernel's log, which is read after each case.
//
// Threads make one call each and assert nothing.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uapi/aiaccel_edu.h>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "account.hpp"
#include "dma_buf.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(edu)

namespace {

constexpr const char* kNode = "/dev/aiaccel-edu";
constexpr const char* kDriver = "/sys/bus/pci/drivers/aiaccel_edu/";
constexpr size_t kHuge = 2 << 20, kBytes = AIACCEL_EDU_BYTES;
constexpr uint64_t kMs = 1'000'000;

bool have_iommu() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/sys/class/iommu", error);
  return !error && all != std::filesystem::directory_iterator();
}

// What the kernel has logged since this was made.
class Log {
 public:
  Log() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    lseek(fd_.get(), 0, SEEK_END);
  }
  size_t lines_with(const std::string& text) const {
    char line[8192];
    size_t count = 0;
    for (ssize_t got = 0; (got = read(fd_.get(), line, sizeof line)) > 0;)
      count += std::string(line, static_cast<size_t>(got)).find(text) != std::string::npos;
    return count;
  }

 private:
  const Fd fd_;
};

// The driver, bound to the device.
class Driver {
 public:
  explicit Driver(const std::string& more = "", const std::string& dma_bits = "64") {
    BOOST_REQUIRE_EQUAL(load_module("kmod/aiaccel_edu.ko", "dma_bits=" + dma_bits + " " + more), 0);
  }
  Driver(const Driver&) = delete;
  ~Driver() {
    if (!std::filesystem::exists("/sys/bus/pci/devices/" + name)) put("/sys/bus/pci/rescan", "1");
    // a file that is gone may still be about to be released
    BOOST_TEST(eventually([] { return unload_module("aiaccel_edu") == 0; }));
    if (!faults_are_meant) BOOST_TEST(log_.lines_with("DMAR:") == 0u);
  }
  int bind() const { return put(std::string(kDriver) + "bind", name); }
  int unbind() const { return put(std::string(kDriver) + "unbind", name); }
  std::string file(const std::string& file) const { return "/sys/bus/pci/devices/" + name + file; }
  std::string state() const {
    std::string value;
    std::ifstream("/sys/class/aiaccel/" + name + "/state") >> value;
    return value;
  }

  const std::string name = find_edu();
  bool faults_are_meant = false;
  const Log& log() const { return log_; }

 private:
  const Log log_;
};

// An open device and an open context, with a queue to the engine.
struct Client {
  explicit Client(const Driver& driver, uint64_t budget_ns = 0,
                  uint32_t class_ = AIACCEL_CLASS_NORMAL)
      : file(open(kNode, O_RDWR | O_CLOEXEC)) {
    BOOST_REQUIRE(file.get() >= 0);
    aiaccel_queue_create create{};
    create.engine = engine_called(context, driver.name);
    create.class_ = class_;
    create.budget_ns = budget_ns;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
    queue = create.id;
  }
  void hold(uint64_t cookie = 1) { generation = context.take_turn(queue, cookie); }
  int complete(uint64_t cookie = 1) const { return raw::complete(context, cookie, generation); }

  aiaccel_edu_copy copy_of(uint32_t buffer, uint64_t offset, uint64_t length,
                           uint32_t device_offset = 0) const {
    aiaccel_edu_copy copy{};
    copy.size = sizeof copy;
    copy.device = context.fd();
    copy.generation = generation;
    copy.buffer = buffer;
    copy.offset = offset;
    copy.length = length;
    copy.device_offset = device_offset;
    return copy;
  }
  int call(aiaccel_edu_copy copy) const {
    return ioctl(file.get(), AIACCEL_EDU_IOC_COPY, &copy) ? errno : 0;
  }
  int put(uint32_t buffer, uint64_t offset, uint64_t length, uint32_t device_offset = 0) const {
    return call(copy_of(buffer, offset, length, device_offset));
  }
  int get(uint32_t buffer, uint64_t offset, uint64_t length, uint32_t device_offset = 0) const {
    aiaccel_edu_copy copy = copy_of(buffer, offset, length, device_offset);
    copy.flags = AIACCEL_EDU_FROM_DEVICE;
    return call(copy);
  }
  aiaccel_buffer_info info(uint32_t buffer) const {
    aiaccel_buffer_info info{};
    info.id = buffer;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    return info;
  }

  Fd file;
  Context context;
  uint32_t queue = 0, generation = 0;
};

// Memory and a buffer of it.
struct Memory {
  uint32_t id = 0;
  Map map;
  char* data() const { return map.data(); }
};

Memory allocated(const Context& context, size_t length) {
  const aiaccel_alloc alloc = context.alloc(length);
  Memory memory{alloc.id, context.map(length, alloc.mmap_offset)};
  BOOST_REQUIRE_EQUAL(memory.map.error(), 0);
  return memory;
}

// All but the first @skip bytes.
Memory pinned(const Context& context, Map&& map, size_t skip = 0,
              uint32_t flags = AIACCEL_PIN_WRITE) {
  Memory memory{0, std::move(map)};
  BOOST_REQUIRE_EQUAL(memory.map.error(), 0);
  memset(memory.data(), 0, memory.map.size());
  aiaccel_pin pin{};
  pin.flags = flags;
  pin.addr = memory.map.address() + skip;
  pin.length = memory.map.size() - skip;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
  memory.id = pin.id;
  return memory;
}

void fill(char* at, size_t length, unsigned seed) {
  for (size_t i = 0; i < length; i++) at[i] = static_cast<char>(seed * 29 + i * 7 + (i >> 8));
}

// Through the device and back, and nothing else is written.
void round_trip(const Client& client, const Memory& from, size_t from_offset, const Memory& to,
                size_t to_offset, size_t length, uint32_t device_offset, size_t to_skip = 0) {
  BOOST_TEST_INFO_SCOPE("from " << from_offset << " to " << to_offset << ", " << length
                                << " bytes at " << device_offset);
  static unsigned seed;
  fill(from.data() + from_offset, length, ++seed);
  memset(to.data(), 0x5a, to.map.size());
  BOOST_REQUIRE_EQUAL(client.put(from.id, from_offset, length, device_offset), 0);
  BOOST_REQUIRE_EQUAL(client.get(to.id, to_offset, length, device_offset), 0);
  const char* at = to.data() + to_skip + to_offset;
  BOOST_TEST(memcmp(at, from.data() + from_offset, length) == 0);
  BOOST_TEST(std::count(to.data(), to.data() + to.map.size(), 0x5a) -
                 std::count(at, at + length, 0x5a) ==
             static_cast<long>(to.map.size() - length));
}

// The call in a thread of its own, begun when this is made.
class Copying {
 public:
  Copying(const Client& client, aiaccel_edu_copy copy)
      : thread_([this, &client, copy] { err_ = client.call(copy); }) {}
  int err() {
    thread_.join();
    return err_;
  }

 private:
  int err_ = -1;
  std::thread thread_;
};

// The first transfers of a slow copy into `to` have written there.
void wait_for_bytes(const Memory& to) {
  BOOST_REQUIRE(eventually([&] { return *reinterpret_cast<volatile char*>(to.data()) != 0; }));
}

#define NEED_EDU() \
  NEED_DEVICE();   \
  if (find_edu().empty()) SKIP("no edu device on the bus")

}  // namespace

BOOST_AUTO_TEST_CASE(bytes_go_through_the_device_and_back) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory a = allocated(client.context, 3 * kPage);
  const Memory b = pinned(client.context, anonymous(5 * kPage));
  round_trip(client, a, 0, b, 0, 1, 0);
  round_trip(client, a, 0, b, 0, kBytes, 0);
  round_trip(client, a, kPage - 3, b, 2 * kPage - 1, 9, kBytes - 9);      // pages crossed
  round_trip(client, b, 5 * kPage - 77, a, 3 * kPage - 77, 77, 1);        // the last bytes
  round_trip(client, b, kPage + 13, a, 2 * kPage - 1000, kBytes - 4, 3);  // and with odd ends
  BOOST_TEST(client.info(a.id).importers == 0u);
  BOOST_TEST(client.complete() == 0);
}

// What was pinned begins where PIN was told, in the middle of a page.
BOOST_AUTO_TEST_CASE(a_pinned_range_begins_at_its_address) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory a = allocated(client.context, kPage);
  const Memory b = pinned(client.context, anonymous(2 * kPage), 1234);
  round_trip(client, a, 0, b, 0, 100, 0, 1234);
  round_trip(client, a, 7, b, kPage - 1234 - 1, 2, 0, 1234);
  BOOST_TEST(client.get(b.id, 2 * kPage - 1234, 1) == EINVAL);
  BOOST_TEST(client.get(b.id, 2 * kPage - 1234 - 1, 1) == 0);
}

BOOST_AUTO_TEST_CASE(huge_pages_and_memfds_are_reached) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory a = allocated(client.context, kPage);
  const Fd fd(memfd_create("edu", MFD_CLOEXEC));
  BOOST_REQUIRE_EQUAL(ftruncate(fd.get(), 4 * kPage), 0);
  const Memory file =
      pinned(client.context, Map(4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  round_trip(client, a, 0, file, 3 * kPage - 100, 200, 0);
  BOOST_TEST(put("/proc/sys/vm/nr_hugepages", "1") == 0);
  {
    Map map(kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (map.error()) {
      note("no huge page is to be had");
    } else {
      const Memory huge = pinned(client.context, std::move(map));
      round_trip(client, a, 0, huge, kHuge - 300, 300, 0);
      BOOST_TEST(destroy_errno(client.context, huge.id) == 0);
    }
  }
  BOOST_TEST(put("/proc/sys/vm/nr_hugepages", "0") == 0);
}

BOOST_AUTO_TEST_CASE(a_device_of_28_bits_reaches_all_memory_through_an_iommu) {
  NEED_EDU();
  if (!have_iommu()) SKIP("no IOMMU");
  const Driver driver("", "28");
  Client client(driver);
  client.hold();
  const Memory a = allocated(client.context, kPage), b = allocated(client.context, kPage);
  round_trip(client, a, 0, b, 0, kBytes, 0);
}

BOOST_AUTO_TEST_CASE(another_drivers_dma_buf_is_reached) {
  NEED_EDU();
  const int dma_buf_fd = dma_buf(4 * kPage);
  if (dma_buf_fd < 0) SKIP("no vgem and no udmabuf");
  const Fd fd(dma_buf_fd);
  const Driver driver;
  Client client(driver);
  client.hold();
  aiaccel_import import{};
  import.fd = fd.get();
  BOOST_REQUIRE_EQUAL(client.context(AIACCEL_IOC_IMPORT, import), 0);
  Memory theirs{import.id, Map(4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0)};
  BOOST_REQUIRE_EQUAL(theirs.map.error(), 0);
  memset(theirs.data(), 0, theirs.map.size());
  const Memory ours = allocated(client.context, kPage);
  round_trip(client, ours, 0, theirs, 3 * kPage - 5, 1000, 0);
  round_trip(client, theirs, kPage + 1, ours, 2, 1000, 0);
  BOOST_TEST(client.get(import.id, 4 * kPage - 1, 2) == EINVAL);
}

// What another context exported, allocated and pinned for reading: by IMPORT, and as its dma-buf
// said.
BOOST_AUTO_TEST_CASE(what_another_context_exported_is_reached) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory ours = allocated(client.context, kPage);
  Context maker;
  const auto import_of = [&](uint32_t id) {
    aiaccel_export made{};
    made.id = id;
    BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_EXPORT, made), 0);
    const Fd fd(made.fd);
    aiaccel_import import{};
    import.fd = fd.get();
    BOOST_REQUIRE_EQUAL(client.context(AIACCEL_IOC_IMPORT, import), 0);
    return import.id;
  };
  Memory theirs = allocated(maker, 3 * kPage);
  const uint32_t theirs_id = theirs.id;
  theirs.id = import_of(theirs_id);
  const Memory readable = pinned(maker, anonymous(kPage), 0, 0);
  const uint32_t readable_id = import_of(readable.id);
  fill(readable.data(), kPage, 77);
  round_trip(client, ours, 0, theirs, 2 * kPage - 5, 1000, 0);
  round_trip(client, theirs, kPage + 1, ours, 2, 1000, 0);
  BOOST_TEST(client.get(theirs.id, 3 * kPage - 1, 2) == EINVAL);
  BOOST_TEST(client.get(readable_id, 0, 100) == EACCES);
  BOOST_TEST(client.put(readable_id, 50, 100) == 0);
  BOOST_TEST(client.get(ours.id, 0, 100) == 0);
  BOOST_TEST(memcmp(ours.data(), readable.data() + 50, 100) == 0);
  // Its maker has gone, and with it all but what the device reaches.
  BOOST_TEST(destroy_errno(maker, theirs_id) == 0);
  maker.close();
  round_trip(client, ours, 0, theirs, kPage, 100, 0);
}

BOOST_AUTO_TEST_CASE(what_was_pinned_for_reading_is_not_written) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory memory = pinned(client.context, anonymous(kPage), 0, 0);
  BOOST_TEST(client.get(memory.id, 0, 100) == EACCES);
  BOOST_TEST(client.put(memory.id, 0, 100) == 0);
  const Fd fd(memfd_create("edu", MFD_CLOEXEC));
  BOOST_REQUIRE_EQUAL(ftruncate(fd.get(), kPage), 0);
  const Map readable(kPage, PROT_READ, MAP_SHARED, fd.get(), 0);
  aiaccel_pin pin = pin_of(readable);
  BOOST_REQUIRE_EQUAL(client.context(AIACCEL_IOC_PIN, pin), 0);
  BOOST_TEST(client.get(pin.id, 0, 100) == EACCES);
  BOOST_TEST(readable.data()[0] == 0);
}

// Each error, in the order that the header gives: each call has all faults below the one it shows.
BOOST_AUTO_TEST_CASE(errors_come_in_their_order) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory memory = pinned(client.context, anonymous(kPage), 0, 0);
  const int fd = client.file.get();
  aiaccel_edu_copy good = client.copy_of(memory.id, 0, 16);
  BOOST_TEST(client.call(good) == 0);

  const auto raw_call = [&](unsigned long number, void* arg) {
    return ioctl(fd, number, arg) ? errno : 0;
  };
  BOOST_TEST(raw_call(_IO(AIACCEL_IOC_TYPE, 0x81), &good) == ENOTTY);
  BOOST_TEST(raw_call(AIACCEL_IOC_QUERY, &good) == ENOTTY);
  BOOST_TEST(raw_call(AIACCEL_EDU_IOC_COPY, nullptr) == EFAULT);
  struct Longer {
    aiaccel_edu_copy copy;
    char tail[8];
  } longer{good, {}};
  longer.copy.size = sizeof longer;
  BOOST_TEST(raw_call(AIACCEL_EDU_IOC_COPY, &longer) == 0);
  longer.tail[7] = 1;
  longer.copy.flags = ~0u;
  BOOST_TEST(raw_call(AIACCEL_EDU_IOC_COPY, &longer) == E2BIG);
  for (const uint32_t size : {0u, 39u}) {
    longer.copy.size = size;
    BOOST_TEST(raw_call(AIACCEL_EDU_IOC_COPY, &longer) == EINVAL);
  }
  longer.copy.size = kPage + 1;
  BOOST_TEST(raw_call(AIACCEL_EDU_IOC_COPY, &longer) == E2BIG);
  Map edge = anonymous(2 * kPage);
  munmap(edge.data() + kPage, kPage);
  auto* half = reinterpret_cast<aiaccel_edu_copy*>(edge.data() + kPage - 16);
  half->size = sizeof good;
  BOOST_TEST(raw_call(AIACCEL_EDU_IOC_COPY, half) == EFAULT);

  // From the last to the first.
  aiaccel_edu_copy copy = good;
  copy.generation++;
  BOOST_TEST(client.call(copy) == ESTALE);
  copy.generation = 0;
  BOOST_TEST(client.call(copy) == ESTALE);
  copy.flags = AIACCEL_EDU_FROM_DEVICE;
  BOOST_TEST(client.call(copy) == EACCES);
  copy.offset = kPage - 15;
  BOOST_TEST(client.call(copy) == EINVAL);
  copy.offset = kPage + 1;
  BOOST_TEST(client.call(copy) == EINVAL);
  copy.buffer = client.queue;  // an id, of another kind
  BOOST_TEST(client.call(copy) == ENOENT);
  copy.buffer = 0;
  BOOST_TEST(client.call(copy) == ENOENT);
  copy.device = fd;
  BOOST_TEST(client.call(copy) == EINVAL);
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  copy.device = null.get();
  BOOST_TEST(client.call(copy) == EINVAL);
  copy.device = -1;
  BOOST_TEST(client.call(copy) == EBADF);
  copy.device = 12345;
  BOOST_TEST(client.call(copy) == EBADF);
  copy.offset = ~0ULL - 14;
  BOOST_TEST(client.call(copy) == EOVERFLOW);
  for (const uint64_t length : {0ul, kBytes + 1, ~0ul, 1ul << 32}) {
    copy.length = length;
    BOOST_TEST(client.call(copy) == EINVAL, "length " << length);
  }
  copy.length = 16;
  for (const uint32_t at : {static_cast<uint32_t>(kBytes - 15), 4096u, ~0u, ~0u - 15}) {
    copy.device_offset = at;
    BOOST_TEST(client.call(copy) == EINVAL, "device offset " << at);
  }
  copy.flags = 2 | AIACCEL_EDU_FROM_DEVICE;
  BOOST_TEST(client.call(copy) == EOPNOTSUPP);
  BOOST_TEST(client.call(good) == 0);
}

BOOST_AUTO_TEST_CASE(only_who_has_a_turn_on_this_engine_copies) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  const Memory memory = allocated(client.context, kPage);
  for (uint32_t generation = 0; generation < 3; generation++) {
    client.generation = generation;
    BOOST_TEST(client.put(memory.id, 0, 1) == ESTALE);
  }
  // A turn on another engine, whose generation is the first, too.
  const uint32_t other = client.context.take_turn(client.context.queue(), 77);
  client.generation = other;
  BOOST_TEST(client.put(memory.id, 0, 1) == ESTALE);
  client.hold();
  BOOST_TEST(client.generation != other);
  BOOST_TEST(client.put(memory.id, 0, 1) == 0);
  BOOST_TEST(client.complete() == 0);
  BOOST_TEST(client.put(memory.id, 0, 1) == ESTALE);
  // Another's turn is no help, nor are another's buffers.
  Client holder(driver);
  holder.hold();
  client.generation = holder.generation;
  BOOST_TEST(client.put(memory.id, 0, 1) == ESTALE);
  BOOST_TEST(holder.put(memory.id + 1000, 0, 1) == ENOENT);
}

BOOST_AUTO_TEST_CASE(another_process_has_no_use_for_the_descriptors) {
  NEED_EDU();
  const Driver driver;
  Client client(driver);
  client.hold();
  const Memory memory = allocated(client.context, kPage);
  BOOST_TEST(in_child([&] { return client.put(memory.id, 0, 1); }) == EPERM);
  BOOST_TEST(client.put(memory.id, 0, 1) == 0);
  // The device's own file is worth something with a context of its own.
  BOOST_TEST(client.complete() == 0);
  BOOST_TEST(in_child([&] {
               Client child(driver);
               child.hold();
               const Memory own = allocated(child.context, kPage);
               aiaccel_edu_copy copy = child.copy_of(own.id, 0, 1);
               return ioctl(client.file.get(), AIACCEL_EDU_IOC_COPY, &copy) ? errno : 0;
             }) == 0);
}

// Of a copy of many transfers, so that its end comes in the middle.
constexpr const char* kSlow = "transfer_bytes=128";

// Who may open the device and has no turn does not claim it, however often it calls.
BOOST_AUTO_TEST_CASE(who_has_no_turn_waits_for_no_copy_and_delays_none) {
  NEED_EDU();
  const Driver driver(kSlow);
  Client holder(driver), other(driver);
  const Memory from = allocated(holder.context, kPage), to = allocated(holder.context, kPage);
  const Memory others = allocated(other.context, kPage);
  memset(from.data(), 1, kPage);
  holder.hold();
  BOOST_REQUIRE_EQUAL(holder.put(from.id, 0, 2048), 0);
  aiaccel_edu_copy copy = holder.copy_of(to.id, 0, 2048);
  copy.flags = AIACCEL_EDU_FROM_DEVICE;
  Copying copying(holder, copy);
  wait_for_bytes(to);
  BOOST_TEST(other.put(others.id, 0, 16) == ESTALE);
  BOOST_TEST(other.put(holder.queue + 1000, 0, 16) == ENOENT);
  // The copy still runs.
  BOOST_TEST(to.data()[2047] == 0);
  BOOST_TEST(copying.err() == 0);
  BOOST_TEST(std::count(to.data(), to.data() + kPage, 1) == 2048);
  BOOST_TEST(holder.complete() == 0);
}

BOOST_AUTO_TEST_CASE(a_revoked_turn_stops_in_the_middle_and_the_next_one_begins) {
  NEED_EDU();
  const Driver driver(kSlow);
  Client first(driver, AIACCEL_BUDGET_MAX_NS), holder(driver, 20 * kMs),
      waiter(driver, 0, AIACCEL_CLASS_HIGH);
  const Memory from = allocated(first.context, kPage);
  memset(from.data(), 1, kPage);
  first.hold();
  BOOST_REQUIRE_EQUAL(first.put(from.id, 0, 1024), 0);
  BOOST_REQUIRE_EQUAL(first.complete(), 0);

  const Memory to = allocated(holder.context, kPage), next = allocated(waiter.context, kPage);
  holder.hold();
  aiaccel_edu_copy copy = holder.copy_of(to.id, 0, 1024);
  copy.flags = AIACCEL_EDU_FROM_DEVICE;
  Copying copying(holder, copy);
  wait_for_bytes(to);
  waiter.hold();
  const size_t copied = static_cast<size_t>(std::count(to.data(), to.data() + kPage, 1));
  // Nothing of the first is running, or will.
  BOOST_TEST(waiter.get(next.id, 0, 128) == 0);
  BOOST_TEST(copying.err() == ESTALE);
  BOOST_TEST(static_cast<size_t>(std::count(to.data(), to.data() + kPage, 1)) == copied);
  BOOST_TEST(copied % 128 == 0u);
  BOOST_TEST(copied < 1024u);
  BOOST_TEST(next.data()[127] == 1);
  BOOST_TEST(holder.info(to.id).importers == 0u);
  BOOST_TEST(holder.complete() == ESTALE);
}

// stop() is not told of that.
BOOST_AUTO_TEST_CASE(a_turn_that_another_thread_completes_ends_the_copy) {
  NEED_EDU();
  const Driver driver(kSlow);
  Client client(driver);
  client.hold();
  const Memory memory = allocated(client.context, kPage);
  memset(memory.data(), 1, kPage);
  BOOST_REQUIRE_EQUAL(client.put(memory.id, 0, 128), 0);
  memset(memory.data(), 0, kPage);
  aiaccel_edu_copy copy = client.copy_of(memory.id, 0, 1024);
  copy.flags = AIACCEL_EDU_FROM_DEVICE;
  Copying copying(client, copy);
  wait_for_bytes(memory);
  BOOST_TEST(client.complete() == 0);
  BOOST_TEST(copying.err() == ESTALE);
}

BOOST_AUTO_TEST_CASE(a_buffer_lives_until_the_device_lets_go_of_it) {
  NEED_EDU();
  const Driver driver(kSlow);
  Client client(driver);
  client.hold();
  const uint64_t charged = client.context.query().pinned_bytes;
  const int64_t pinned_before = pinned_pages();
  const Memory memory = pinned(client.context, anonymous(kPage));
  memset(memory.data(), 1, 1);
  BOOST_REQUIRE_EQUAL(client.put(memory.id, 0, 128), 0);
  memset(memory.data(), 0, kPage);
  aiaccel_edu_copy copy = client.copy_of(memory.id, 0, 512);
  copy.flags = AIACCEL_EDU_FROM_DEVICE;
  Copying copying(client, copy);
  wait_for_bytes(memory);
  BOOST_TEST(client.info(memory.id).importers == 1u);
  BOOST_TEST(destroy_errno(client.context, memory.id) == 0);
  BOOST_TEST(client.context.query().pinned_bytes == charged + kPage);
  BOOST_TEST(pinned_pages() == pinned_before + 1);
  BOOST_TEST(copying.err() == 0);
  BOOST_TEST(client.context.query().pinned_bytes == charged);
  BOOST_TEST(pinned_pages() == pinned_before);
}

BOOST_AUTO_TEST_CASE(a_killed_process_leaves_nothing_running) {
  NEED_EDU();
  const Driver driver(kSlow);
  Client waiter(driver);
  const Memory next = allocated(waiter.context, kPage);
  const int64_t pinned_before = pinned_pages();
  const Use before(waiter.context);
  const Map shared(kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (const bool with_a_second_thread : {false, true}) {
    memset(next.data(), 1, kPage);
    waiter.hold();
    BOOST_REQUIRE_EQUAL(waiter.put(next.id, 0, 128), 0);
    BOOST_REQUIRE_EQUAL(waiter.complete(), 0);
    memset(shared.data(), 0, kPage);
    const pid_t pid = fork();
    if (!pid) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Client holder(driver);
      holder.hold();
      aiaccel_pin pin = pin_of(shared, AIACCEL_PIN_WRITE);
      if (holder.context(AIACCEL_IOC_PIN, pin)) _exit(1);
      std::thread second;
      if (with_a_second_thread) second = std::thread([&] { holder.get(pin.id, 2048, 1024, 1024); });
      holder.get(pin.id, 0, 1024);
      _exit(2);
    }
    BOOST_REQUIRE(
        eventually([&] { return *reinterpret_cast<volatile char*>(shared.data()) != 0; }));
    BOOST_REQUIRE_EQUAL(kill(pid, SIGKILL), 0);
    waiter.hold();
    int status = 0;
    BOOST_REQUIRE_EQUAL(waitpid(pid, &status, 0), pid);
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    BOOST_TEST(shared.data()[1023] == 0);
    BOOST_TEST(waiter.get(next.id, 0, 16) == 0);
    BOOST_TEST(waiter.complete() == 0);
    BOOST_TEST(eventually([&] { return Use(waiter.context) == before; }));
    BOOST_TEST(pinned_pages() == pinned_before);
  }
}

namespace {

// As it copies, the device is taken away: the calls end, open files are of no use, nothing stays
// mapped; what comes back works. Not @at_once: nobody waits for the turn, who would get it
// meanwhile.
void goes_in_the_middle(const Driver& driver, bool at_once, const std::function<void()>& take_away,
                        const std::function<void()>& bring_back) {
  const Context watcher;
  const Use before(watcher);
  {
    Client client(driver), waiting(driver);
    client.hold();
    const Memory memory = pinned(client.context, anonymous(kPage));
    memset(memory.data(), 1, kPage);
    BOOST_REQUIRE_EQUAL(client.put(memory.id, 0, 128), 0);
    memset(memory.data(), 0, kPage);
    if (at_once) BOOST_REQUIRE_EQUAL(submit(waiting.context, job_of(waiting.queue, 5)), 0);
    aiaccel_edu_copy copy = client.copy_of(memory.id, 0, 1024);
    copy.flags = AIACCEL_EDU_FROM_DEVICE;
    Copying copying(client, copy), second(client, copy);
    wait_for_bytes(memory);
    take_away();
    // All is unmapped, although the threads may not have seen it.
    BOOST_TEST(client.info(memory.id).importers == 0u);
    BOOST_TEST(copying.err() == ENODEV);
    BOOST_TEST(second.err() == ENODEV);
    BOOST_TEST(memory.data()[1023] == 0);
    BOOST_TEST(client.put(memory.id, 0, 1) == ENODEV);
    BOOST_TEST(access(kNode, F_OK) != 0);
    BOOST_TEST(engine_called(watcher, driver.name) == 0u);
    BOOST_TEST(client.complete() == ESTALE);
    BOOST_TEST(unload_module("aiaccel_edu") == EWOULDBLOCK);
    bring_back();
    BOOST_TEST(client.put(memory.id, 0, 1) == ENODEV);
    Client again(driver);
    again.hold();
    const Memory own = allocated(again.context, kPage);
    BOOST_TEST(again.put(own.id, 0, 1) == 0);
  }
  BOOST_TEST(eventually([&] { return Use(watcher) == before; }));
}

constexpr const char* kSlot = "/run/aiaccel-vm/share/slot";  // see tests/vm/run

bool slot_is_hotplugged() {
  std::error_code error;
  for (const auto& port :
       std::filesystem::directory_iterator("/sys/bus/pci_express/drivers/pciehp", error))
    if (port.is_directory() && port.path().filename().string().find(":pcie") != std::string::npos)
      return true;
  return false;
}

// Its driver, and what there was of it, are gone.
void wait_until_gone(const Driver& driver) {
  BOOST_REQUIRE(eventually([&] { return access(driver.file("").c_str(), F_OK) != 0; }));
}

void plug_in() {
  std::ofstream(kSlot) << "in\n" << std::flush;
  BOOST_REQUIRE(eventually([] { return access(kNode, F_OK) == 0; }));
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_device_may_go_in_the_middle) {
  NEED_EDU();
  const Driver driver(kSlow);
  BOOST_TEST_CONTEXT("unbound")
  goes_in_the_middle(
      driver, true, [&] { BOOST_REQUIRE_EQUAL(driver.unbind(), 0); },
      [&] { BOOST_REQUIRE_EQUAL(driver.bind(), 0); });
  BOOST_TEST_CONTEXT("off the bus")
  goes_in_the_middle(
      driver, true, [&] { BOOST_REQUIRE_EQUAL(put(driver.file("/remove"), "1"), 0); },
      [] { BOOST_REQUIRE_EQUAL(put("/sys/bus/pci/rescan", "1"), 0); });
}

// The kernel is asked to let it go, has five seconds, and lets it.
BOOST_AUTO_TEST_CASE(the_device_may_be_unplugged_in_the_middle) {
  NEED_EDU();
  if (!slot_is_hotplugged()) SKIP("this kernel knows no slots to plug into");
  const Driver driver("transfer_bytes=8");  // long enough for that
  goes_in_the_middle(
      driver, false,
      [&] {
        std::ofstream(kSlot) << "out\n" << std::flush;
        wait_until_gone(driver);
      },
      plug_in);
}

// Nobody is asked: power is cut in the slot, its registers and the answer to what runs with it.
BOOST_AUTO_TEST_CASE(the_device_may_be_pulled_out_in_the_middle) {
  NEED_EDU();
  if (!slot_is_hotplugged()) SKIP("this kernel knows no slots to plug into");
  const Driver driver(kSlow);
  const Log log;
  const auto port = std::filesystem::canonical(driver.file("")).parent_path();
  goes_in_the_middle(
      driver, false,
      [&] {
        const Fd config(open((port / "config").c_str(), O_RDWR | O_CLOEXEC));
        BOOST_REQUIRE(config.get() >= 0);
        uint8_t at = 0, id = 0;
        BOOST_REQUIRE_EQUAL(pread(config.get(), &at, 1, 0x34), 1);
        while (at && pread(config.get(), &id, 1, at) == 1 && id != 0x10)
          BOOST_REQUIRE_EQUAL(pread(config.get(), &at, 1, at + 1), 1);
        BOOST_REQUIRE_EQUAL(id, 0x10);  // PCI Express
        // Power and its light off in Slot Control, and then as it was: the kernel believes that it
        // did that itself if it sees it, so that it is not told before.
        constexpr uint16_t kNoPower = 1 << 10 | 3 << 8;
        uint16_t control = 0;
        BOOST_REQUIRE_EQUAL(pread(config.get(), &control, 2, at + 0x18), 2);
        const uint16_t power_off = (control & ~(1 << 5)) | kNoPower;
        BOOST_REQUIRE_EQUAL(pwrite(config.get(), &power_off, 2, at + 0x18), 2);
        BOOST_REQUIRE_EQUAL(pwrite(config.get(), &control, 2, at + 0x18), 2);
        wait_until_gone(driver);
        // What is plugged in before the kernel has done the same, for good, would go with that.
        const auto done = [&] {
          return pread(config.get(), &control, 2, at + 0x18) == 2 &&
                 (control & kNoPower) == kNoPower;
        };
        BOOST_REQUIRE(eventually(done));
      },
      plug_in);
  BOOST_TEST(log.lines_with("no answer within") == 0u);  // nobody waited for it
}

BOOST_AUTO_TEST_CASE(an_open_file_holds_the_driver_and_the_driver_the_module) {
  NEED_EDU();
  const Driver driver;
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
  {
    const Fd fd(open(kNode, O_RDWR | O_CLOEXEC));
    BOOST_REQUIRE(fd.get() >= 0);
    BOOST_TEST(unload_module("aiaccel_edu") == EWOULDBLOCK);
  }
  BOOST_TEST(eventually([] { return unload_module("aiaccel_edu") == 0; }));
  BOOST_TEST(access(kNode, F_OK) != 0);
  for (const char* wrong : {"dma_bits=0", "dma_bits=65", "transfer_bytes=0"})
    BOOST_TEST(load_module("kmod/aiaccel_edu.ko", wrong) == EINVAL);
  BOOST_REQUIRE_EQUAL(load_module("kmod/aiaccel_edu.ko", "dma_bits=64"), 0);
}

// Binding fails, late, and is made again.
BOOST_AUTO_TEST_CASE(an_engine_of_its_name_is_in_the_way) {
  NEED_EDU();
  const Driver driver;
  const Context context;
  BOOST_REQUIRE_EQUAL(driver.unbind(), 0);
  aiaccel_engine_register other = engine_of();
  strcpy(other.name, driver.name.c_str());
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_REGISTER, other), 0);
  BOOST_TEST(driver.bind() == EEXIST);
  BOOST_TEST(access(kNode, F_OK) != 0);
  aiaccel_engine_unregister unregister{};
  unregister.id = other.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_UNREGISTER, unregister), 0);
  BOOST_TEST(driver.bind() == 0);
  BOOST_TEST(access(kNode, F_OK) == 0);
}

// Its interrupts go astray: it is taken for broken until it is bound anew.
BOOST_AUTO_TEST_CASE(a_device_that_does_not_answer_is_faulted) {
  NEED_EDU();
  const Driver driver;
  {
    Client client(driver);
    client.hold();
    const Memory memory = allocated(client.context, kPage);
    const Fd config(open(driver.file("/config").c_str(), O_RDWR | O_CLOEXEC));
    BOOST_REQUIRE(config.get() >= 0);
    uint8_t at = 0, id = 0;
    BOOST_REQUIRE_EQUAL(pread(config.get(), &at, 1, 0x34), 1);
    while (at && pread(config.get(), &id, 1, at) == 1 && id != 5)
      BOOST_REQUIRE_EQUAL(pread(config.get(), &at, 1, at + 1), 1);
    BOOST_REQUIRE_EQUAL(id, 5);  // MSI
    const uint16_t off = 0;
    BOOST_REQUIRE_EQUAL(pwrite(config.get(), &off, 2, at + 2), 2);
    BOOST_TEST(client.get(memory.id, 0, 16) == EIO);
    BOOST_TEST(client.get(memory.id, 0, 16) == EIO);
    BOOST_TEST(driver.state() == "faulted");
    uint16_t command = 0;
    BOOST_REQUIRE_EQUAL(pread(config.get(), &command, 2, 4), 2);
    BOOST_TEST((command & 4) == 0);  // it may reach no memory
    BOOST_TEST(client.complete() == ESTALE);
    BOOST_TEST(submit(client.context, job_of(client.queue, 9)) == ESHUTDOWN);
  }
  BOOST_TEST(driver.log().lines_with("no answer within") == 1u);
  BOOST_REQUIRE_EQUAL(driver.unbind(), 0);
  BOOST_REQUIRE_EQUAL(driver.bind(), 0);
  BOOST_TEST(driver.state() == "active");
  Client again(driver);
  again.hold();
  const Memory memory = allocated(again.context, kPage);
  BOOST_TEST(again.get(memory.id, 0, 16) == 0);
}

// The test tells the device by its registers to write where it wrote a moment before.
BOOST_AUTO_TEST_CASE(what_is_unmapped_cannot_be_reached) {
  NEED_EDU();
  if (!have_iommu()) SKIP("no IOMMU");
  Driver driver;
  driver.faults_are_meant = true;
  {
    Client client(driver);
    client.hold();
    const Memory memory = allocated(client.context, kPage);
    memset(memory.data(), 1, 64);
    BOOST_REQUIRE_EQUAL(client.put(memory.id, 0, 64), 0);
    BOOST_REQUIRE_EQUAL(client.get(memory.id, 1024, 64), 0);
    BOOST_TEST(memory.data()[1024] == 1);
    memset(memory.data(), 0, kPage);
    BOOST_REQUIRE_EQUAL(driver.unbind(), 0);

    const Fd enable(open(driver.file("/enable").c_str(), O_WRONLY | O_CLOEXEC));
    BOOST_REQUIRE_EQUAL(write(enable.get(), "1", 1), 1);
    const Fd config(open(driver.file("/config").c_str(), O_RDWR | O_CLOEXEC));
    uint16_t command = 0;
    BOOST_REQUIRE_EQUAL(pread(config.get(), &command, 2, 4), 2);
    BOOST_TEST((command & 4) == 0);
    command |= 4 | 2;
    BOOST_REQUIRE_EQUAL(pwrite(config.get(), &command, 2, 4), 2);
    const Fd resource(open(driver.file("/resource0").c_str(), O_RDWR | O_CLOEXEC));
    const Map registers(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, resource.get(), 0);
    BOOST_REQUIRE_EQUAL(registers.error(), 0);
    auto* at = reinterpret_cast<volatile uint64_t*>(registers.data() + 0x80);
    BOOST_TEST(at[0] == 0x40000u);  // source, destination, count as they were
    BOOST_TEST(at[1] % kPage == 1024u);
    BOOST_TEST(at[2] == 64u);
    at[3] = 1 | 2;
    BOOST_REQUIRE(eventually([&] { return (at[3] & 1) == 0; }));
    BOOST_TEST(std::count(memory.data(), memory.data() + kPage, 0) == static_cast<long>(kPage));
    BOOST_TEST(eventually([&] { return driver.log().lines_with("DMAR: [DMA Write") > 0; }));
    BOOST_REQUIRE_EQUAL(write(enable.get(), "0", 1), 1);
  }
  BOOST_REQUIRE_EQUAL(driver.bind(), 0);
}

BOOST_AUTO_TEST_SUITE_END()
