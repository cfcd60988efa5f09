// SPDX-License-Identifier: MIT
//
// aiaccel-top and aiaccel doctor as people run them, on this process and beside a stand-in for
// NVML. With `-- --transport=kernel` also what only the module can do.
#include <aiaccel/device.hpp>
#include <tap/tap.hpp>

#include <numa.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "tools/process.hpp"

using process::Result;
using tools::Json;

namespace {

// A folder of the test's own, where no broker listens, and what NVML shall answer.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/aiaccel-observe-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name));
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  void nvml(const std::string& text) const { std::ofstream(path_ + "/nvml") << text; }
  std::string socket() const { return path_ + "/broker.sock"; }

  // As on a host that knows nothing of aiaccel but has GPUs, where nvml() was told.
  Result run(std::vector<std::string> command) const {
    command.insert(command.end(), {"--transport", "auto"});
    return process::run(command, {"AIACCEL_BROKER=" + socket(), "AIACCEL_STANDIN=" + path_,
                                  "LD_LIBRARY_PATH=" + standin()});
  }

 private:
  std::string standin() const {
    if (!std::filesystem::exists(path_ + "/nvml")) return path_;
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "standin";
  }

  std::string path_;
};

Json own_user(const Json& observed) {
  for (const Json& user : observed["users"])
    if (user["pid"] == ::getpid()) return user;
  return {};
}

// Locked pages, touched.
class Locked {
 public:
  explicit Locked(std::size_t bytes)
      : bytes_(bytes),
        data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    BOOST_REQUIRE(data_ != MAP_FAILED);
    ok = ::mlock(data_, bytes) == 0;
  }
  ~Locked() { ::munmap(data_, bytes_); }
  bool ok = false;

 private:
  std::size_t bytes_;
  void* data_;
};

// A child that sleeps, with 64 MiB of its own. Where there are two nodes its CPUs are of the first
// and its memory is on the second.
class Sleeper {
 public:
  Sleeper() {
    int ready[2];
    BOOST_REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool nodes = ::numa_available() >= 0 && ::numa_num_configured_nodes() > 1;
      void* const memory = nodes ? ::numa_alloc_onnode(64 << 20, 1) : std::malloc(64 << 20);
      if (!memory || (nodes && ::numa_run_on_node(0) != 0)) ::_exit(1);
      std::memset(memory, 1, 64 << 20);
      if (::write(ready[1], "!", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char byte;
    BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
  }
  ~Sleeper() { end(); }

  std::string id() const { return std::to_string(pid_); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// What a shell that finds these tools is to do to become what `line` starts.
std::string typed(const std::string& line) {
  const auto tests = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return "PATH=" + (tests.parent_path() / "bin").string() + ":$PATH; exec " + line;
}

// The lines to type of those findings that are no "ok", by their subject.
std::map<std::string, std::vector<std::string>> complaints(const Result& doctor) {
  std::map<std::string, std::vector<std::string>> lines;
  const Json told = doctor.json();
  for (const Json& finding : told["findings"])
    if (finding["verdict"] != "ok") lines[finding["subject"]] = finding["fix"];
  return lines;
}

bool has_module() {
  return ::access("/dev/aiaccel", F_OK) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(live)

BOOST_AUTO_TEST_CASE(without_an_arbiter_top_shows_users_and_starts_nothing) {
  if (has_module()) SKIP("the module is loaded: there is an arbiter");
  const Folder folder;
  const Result once = folder.run({"aiaccel-top", "--once"});
  BOOST_TEST(once.status == 0, once.err);
  BOOST_TEST(once.out.starts_with("aiaccel-top  no arbiter: neither module nor broker runs\n"));
  const Result result = folder.run({"aiaccel-top", "--json", "--watch", "observe"});
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  const Json sample = result.json();
  BOOST_TEST(sample["transport"].is_null());
  BOOST_TEST(sample["own_tenant"].is_null());
  BOOST_TEST(sample["observed"]["nvml_missing"].is_string());
  const Json own = own_user(sample["observed"]);
  BOOST_TEST_REQUIRE(own.is_object());
  BOOST_TEST(own["command"] == "observe");
  BOOST_TEST(own["uid"] == ::geteuid());
  BOOST_TEST(own["gated"] == false);
  BOOST_TEST(!std::filesystem::exists(folder.socket()));
}

BOOST_AUTO_TEST_CASE(locked_memory_is_shown) {
  const Locked memory(40 << 10);
  if (!memory.ok) SKIP("RLIMIT_MEMLOCK is below 40 KiB");
  const Json sample = Folder().run({"aiaccel-top", "--json", "--watch", "observe"}).json();
  BOOST_TEST(own_user(sample["observed"])["locked_bytes"] >= 40 << 10);
}

BOOST_AUTO_TEST_CASE(processes_of_nvml_are_shown_and_mended) {
  const Folder folder;
  const std::string pid = std::to_string(::getpid());
  folder.nvml(
      "gpu GPU-1\nname NVIDIA H100 80GB HBM3\npci 0000:65:00.0\nmemory 85899345920 76235669504\n"
      "busy 97\ncompute " +
      pid + " 66571993088\nsample " + pid + " 10 61\n");
  const Result once = folder.run({"aiaccel-top", "--once"});
  BOOST_TEST_REQUIRE(once.status == 0, once.err);
  for (const char* part : {"gpu0  NVIDIA H100 80GB HBM3  0000:65:00.0  71 GiB of 80 GiB  97 %\n",
                           "62 GiB  61 %", "ungated"})
    BOOST_TEST(once.out.find(part) != std::string::npos, part << " in\n" << once.out);

  const Result doctor = folder.run({"aiaccel", "doctor", "--pid", pid});
  BOOST_TEST(doctor.status == 0, doctor.err);
  for (const std::string& part :
       {"observe (" + pid + ") of user ", std::string("62 GiB of its memory"),
        "aiaccel attach " + pid + " --class low  # until then",
        std::string("aiaccel exec --class low -- ")})
    BOOST_TEST(doctor.out.find(part) != std::string::npos, part << " in\n" << doctor.out);
  const Json json = folder.run({"aiaccel", "doctor", "--json", "--pid", pid}).json();
  BOOST_TEST(json["missing"] == 0);
  BOOST_TEST(own_user(json["observed"])["device_bytes"] == 66571993088);
}

BOOST_AUTO_TEST_CASE(a_driver_that_does_not_start_is_said_so) {
  const Folder folder;
  folder.nvml("fail nvmlInit_v2 9\n");
  const Json sample = folder.run({"aiaccel-top", "--json"}).json();
  BOOST_TEST(sample["observed"]["nvml_missing"] ==
             "libnvidia-ml.so.1: NVIDIA driver is not loaded (9)");
  const Result doctor = folder.run({"aiaccel", "doctor"});
  BOOST_TEST(doctor.out.find("nvml         libnvidia-ml.so.1: NVIDIA driver is not loaded (9): no "
                             "GPUs of NVIDIA are seen\n") != std::string::npos,
             doctor.out);
}

BOOST_AUTO_TEST_CASE(a_process_that_is_not_there_is_missed) {
  const Result doctor = Folder().run({"aiaccel", "doctor", "--pid", "4194304"});
  BOOST_TEST(doctor.status == 1);
  BOOST_TEST(doctor.out.find("there is no such process") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(memory_on_the_wrong_node_is_shown) {
  if (::numa_available() < 0 || ::numa_num_configured_nodes() < 2) SKIP("one node");
  const std::size_t bytes = 64 << 20;
  void* const memory = ::numa_alloc_onnode(bytes, 1);
  BOOST_REQUIRE(memory);
  std::memset(memory, 1, bytes);
  cpu_set_t before;
  BOOST_REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  for (const auto& [node, wrong] : {std::pair(0, true), std::pair(1, false)}) {
    BOOST_REQUIRE(::numa_run_on_node(node) == 0);
    const Result result = process::run({"aiaccel-top", "--json", "--watch", "observe"});
    ::sched_setaffinity(0, sizeof before, &before);
    BOOST_TEST_REQUIRE(result.status == 0, result.err);
    const Json sample = result.json();
    bool found = false;
    for (const Json& user : sample["observed"]["users"])
      if (user["pid"] == ::getpid() && user["engine_alias"] == "cpu-node" + std::to_string(node)) {
        found = true;
        BOOST_TEST(user["wrong_node"] == wrong);
        BOOST_TEST(user["node_bytes"]["1"] >= bytes);
      }
    BOOST_TEST(found);
  }
  ::numa_free(memory, bytes);
}

// What doctor prints is typed, and it has nothing to say any more.
BOOST_AUTO_TEST_CASE(the_lines_of_doctor_mend_what_runs_on_cpus) {
  if (::geteuid() != 0) SKIP("not root");
  const Folder folder;
  const Sleeper sleeper;
  const auto doctor = [&] {
    return folder.run({"aiaccel", "doctor", "--json", "--pid", sleeper.id(), "--watch", "observe"});
  };
  const auto before = complaints(doctor());
  const bool nodes = ::numa_available() >= 0 && ::numa_num_configured_nodes() > 1;
  BOOST_TEST_REQUIRE(before.size() == (nodes ? 2u : 1u));  // gate, and node
  for (const auto& [subject, fix] : before) {
    BOOST_TEST_REQUIRE(fix.size() == 1u);
    // Of its cgroup there may be a complaint, where the system has no controllers.
    const int status = std::system(("(" + typed(fix[0]) + ") >/dev/null 2>&1").c_str());
    BOOST_TEST(WIFEXITED(status));
  }
  for (const auto& [subject, fix] : complaints(doctor())) BOOST_ERROR(subject + " is not mended");
}

BOOST_AUTO_TEST_CASE(the_line_of_doctor_gates_what_runs_on_a_gpu) {
  const auto shim = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
                    "lib/libaiaccel-cuda.so";
  if (!std::filesystem::exists(shim)) SKIP("libaiaccel-cuda.so is not built");
  const Folder folder;
  const auto doctor = [&](pid_t pid) {
    const std::string id = std::to_string(pid);
    folder.nvml("gpu GPU-1\nname H100\npci 0000:65:00.0\nmemory 85899345920 4096\ncompute " + id +
                " 4096\n");
    return folder.run({"aiaccel", "doctor", "--json", "--pid", id});
  };
  // Starts `line`, whose program is sleep in the end, with the same process number.
  const auto start = [](const std::string& line) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      ::_exit(1);
    }
    std::string name;
    for (int tries = 0; name != "sleep" && tries < 1000; tries++) {
      ::usleep(10000);
      std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
    }
    BOOST_REQUIRE(name == "sleep");
    return pid;
  };
  const auto end = [](pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  };
  // What it does not begin with is no command.
  const pid_t titled = ::fork();
  if (titled == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execl("/bin/sleep", "VLLM::EngineCore_0", "1000", nullptr);
    ::_exit(1);
  }
  std::string begun;
  for (int tries = 0; begun != "sleep" && tries < 1000; tries++) {
    ::usleep(10000);
    std::getline(std::ifstream("/proc/" + std::to_string(titled) + "/comm"), begun);
  }
  const auto of_titled = complaints(doctor(titled));
  end(titled);
  BOOST_TEST_REQUIRE(of_titled.contains("gate"));
  BOOST_TEST(of_titled.at("gate").front().starts_with("aiaccel exec --class low -- CMD"));

  pid_t pid = start("exec sleep 1000");
  const auto before = complaints(doctor(pid));
  end(pid);
  BOOST_TEST_REQUIRE(before.contains("gate"));
  BOOST_TEST_REQUIRE(
      before.at("gate").front().starts_with("aiaccel exec --class low -- sleep 1000"));
  pid = start("exec 2>/dev/null; " + typed(before.at("gate").front()));
  const auto after = complaints(doctor(pid));
  end(pid);
  // No arbiter here has the GPU, which is all that is left to say.
  BOOST_TEST(after.size() == 1u);
  BOOST_TEST_REQUIRE(after.contains("gate"));
  BOOST_TEST(after.at("gate") == std::vector<std::string>{"aiaccel engines"});
}

BOOST_AUTO_TEST_CASE(pinned_memory_and_a_context_are_shown) {
  if (process::transport() != "kernel") SKIP("memory is pinned by the module alone");
  const aiaccel::Device device = aiaccel::Device::open("kernel");
  const std::size_t bytes = 8 << 20;
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  BOOST_REQUIRE(memory != MAP_FAILED);
  {
    const aiaccel::Buffer pinned = device.pin(std::span(static_cast<std::byte*>(memory), bytes));
    const Json own = own_user(process::run({"aiaccel-top", "--json"}).json()["observed"]);
    BOOST_TEST_REQUIRE(own.is_object());
    BOOST_TEST(own["pinned_bytes"] >= bytes);
    BOOST_TEST(own["engine_alias"].is_null());
    BOOST_TEST(own["gated"].is_null());  // a context without queues takes no turns
  }
  ::munmap(memory, bytes);
}

BOOST_AUTO_TEST_SUITE_END()
