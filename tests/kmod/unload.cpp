// SPDX-License-Identifier: MIT
//
// Unloading: refused while anything lives, clean when nothing does, however often, and whoever
// opens the device meanwhile.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "account.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(unload)

namespace {

// A file of /proc, as it was at the end.
class Setting {
 public:
  Setting(const char* path, const std::string& value) : path_(path) {
    std::getline(std::ifstream(path_), before_);
    set_ = static_cast<bool>(std::ofstream(path_) << value << std::flush);
  }
  ~Setting() {
    if (set_) std::ofstream(path_) << before_ << std::flush;
  }
  explicit operator bool() const { return set_; }

 private:
  const char* path_;
  std::string before_;
  bool set_;
};

// The process whose command line has this argument; 0 when there is none.
pid_t find_process(const std::string& argument) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string line;
    std::getline(std::ifstream(entry.path() / "cmdline"), line);
    if (line.find(argument) != std::string::npos && isdigit(entry.path().filename().c_str()[0]))
      return atoi(entry.path().filename().c_str());
  }
  return 0;
}

// Loading it again after a clean end; the end of it is awaited by nobody.
void reload() {
  const Reloaded module("");
  BOOST_REQUIRE_EQUAL(module.error(), 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_open_file_or_a_mapping_holds_the_module) {
  NEED_DEVICE();
  Map map;
  {
    const Context context;
    BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
    map = context.map(kPage, context.alloc(kPage).mmap_offset);
    BOOST_REQUIRE_EQUAL(map.error(), 0);
  }
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
  map.data()[0] = 1;
  map.unmap();
  {
    const Context context;
    map = context.map(kPage, AIACCEL_RING_OFFSET, PROT_READ);
  }
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
  map.unmap();
  reload();
}

BOOST_AUTO_TEST_CASE(a_provider_holds_the_module) {
  NEED_DEVICE();
  BOOST_REQUIRE_EQUAL(load_module("provider/aiaccel_provider.ko", ""), 0);
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
  BOOST_TEST(unload_module("aiaccel_provider") == 0);
  reload();
}

// Its turns and its buffers are there until the dump is written.
BOOST_AUTO_TEST_CASE(a_process_that_dumps_core_holds_the_module) {
  NEED_DEVICE();
  const std::string reader = "987654.321";
  const Setting pattern("/proc/sys/kernel/core_pattern", "|/bin/sleep " + reader);
  if (!pattern) SKIP("this kernel dumps no cores");
  const Setting limit("/proc/sys/kernel/core_pipe_limit", "4");
  const pid_t child = fork();
  if (child == 0) {
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &unlimited);
    signal(SIGABRT, SIG_DFL);
    const Context context;
    context.take_turn(context.queue(), 1);
    raise(SIGABRT);
    _exit(1);
  }
  BOOST_REQUIRE(eventually([&] { return find_process(reader) != 0; }));
  {
    const Context watcher;
    BOOST_TEST(watcher.engine_stats().slots_used == 1u);
  }
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
  BOOST_TEST(waitpid(child, nullptr, WNOHANG) == 0);
  BOOST_REQUIRE_EQUAL(kill(find_process(reader), SIGKILL), 0);
  int status = 0;
  BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
  BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
  reload();
}

BOOST_AUTO_TEST_CASE(a_hundred_times) {
  NEED_DEVICE();
  for (int i = 0; i < 100; i++) {
    BOOST_REQUIRE(eventually([] { return unload_module("aiaccel") == 0; }));
    BOOST_REQUIRE_EQUAL(load_module("kmod/aiaccel.ko", ""), 0);
    if (i % 10 == 0) {  // it is one that works
      const Context context;
      context.take_turn(context.queue(), 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(while_others_open_the_device) {
  NEED_DEVICE();
  struct Told {
    std::atomic<uint32_t> opened, refused, wrong;
  };
  const Map shared(sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  Told& told = *new (shared.data()) Told{};
  // Where nobody answers for a device number the kernel starts modprobe, for each open of a node
  // that is about to go.
  const Setting modprobe("/proc/sys/kernel/modprobe", "/nowhere");
  pid_t children[2];
  for (pid_t& child : children) {
    child = fork();
    if (child) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      const Fd fd(open(kDevice, O_RDWR | O_CLOEXEC));
      if (fd.get() < 0) {
        told.refused++;
        if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
          told.wrong = static_cast<uint32_t>(errno);
        usleep(50);
        continue;
      }
      aiaccel_query query{};
      query.size = sizeof(query);
      if (ioctl(fd.get(), AIACCEL_IOC_QUERY, &query)) told.wrong = 1000;
      told.opened++;
    }
  }
  int unloaded = 0, in_use = 0;
  while (unloaded < 20) {
    const int err = unload_module("aiaccel");
    BOOST_TEST((err == 0 || err == EWOULDBLOCK));
    if (err) {
      in_use++;
      usleep(100);
      continue;
    }
    unloaded++;
    const uint32_t refused = told.refused, opened = told.opened;
    BOOST_TEST(eventually([&] { return told.refused > refused; }));
    BOOST_REQUIRE_EQUAL(load_module("kmod/aiaccel.ko", ""), 0);
    BOOST_TEST(eventually([&] { return told.opened > opened; }));
  }
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  BOOST_TEST(told.wrong == 0u);
  note(std::to_string(unloaded) + " times between " + std::to_string(told.opened) + " opens, " +
       std::to_string(told.refused) + " that found nothing; " + std::to_string(in_use) +
       " times in use");
  reload();
}

BOOST_AUTO_TEST_SUITE_END()
