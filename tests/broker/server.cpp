// SPDX-License-Identifier: MIT
//
// A broker of the test's own; see server.hpp.
#include "server.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "broker/address.h"
#include "conformance/device.hpp"

namespace conformance {

namespace fs = std::filesystem;

BrokerServer::BrokerServer(std::vector<std::string> options, unsigned max_descriptors)
    : options_(std::move(options)), max_descriptors_(max_descriptors) {
  char name[] = "/tmp/aiaccel-test-XXXXXX";
  BOOST_REQUIRE(mkdtemp(name));
  folder_ = name;
  path_ = folder_ + "/broker.sock";
  if (const char* outer = std::getenv("AIACCEL_BROKER")) outer_ = outer;
  setenv("AIACCEL_BROKER", path_.c_str(), 1);
  start();
}

BrokerServer::~BrokerServer() {
  if (pid_ > 0) kill();
  if (outer_.empty())
    unsetenv("AIACCEL_BROKER");
  else
    setenv("AIACCEL_BROKER", outer_.c_str(), 1);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string BrokerServer::program() {
  if (const char* given = std::getenv("AIACCELD")) return given;
  // build/bin/aiacceld, seen from build/tests/broker.
  const fs::path build = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  return (build / "bin/aiacceld").native();
}

void BrokerServer::open_to_all() const {
  fs::permissions(folder_, static_cast<fs::perms>(0711));
  fs::permissions(path_, static_cast<fs::perms>(0666));
}

void BrokerServer::start() {
  const std::string program = BrokerServer::program();
  std::vector<const char*> arguments{"aiacceld", "--socket", path_.c_str()};
  for (const std::string& option : options_) arguments.push_back(option.c_str());
  arguments.push_back(nullptr);
  pid_ = fork();
  BOOST_REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const rlimit limit{max_descriptors_, max_descriptors_};
    if (max_descriptors_) setrlimit(RLIMIT_NOFILE, &limit);
    execv(program.c_str(), const_cast<char* const*>(arguments.data()));
    _exit(127);
  }
  BOOST_REQUIRE(eventually([&] {
    sockaddr_un address;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool up = aiaccel::socket_name(path_, &address) == 0 &&
                    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return up || !running();
  }));
  BOOST_REQUIRE(running());
}

bool BrokerServer::running() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) != 0) pid_ = -1;
  return pid_ > 0;
}

void BrokerServer::kill() {
  BOOST_REQUIRE(pid_ > 0);  // -1 is everybody
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int BrokerServer::stop() {
  BOOST_REQUIRE(pid_ > 0);
  ::kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<pid_t> BrokerServer::others() const {
  std::vector<pid_t> pids;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    std::string command;
    std::getline(file, command);
    const std::string name(command.c_str());
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (name.ends_with("aiacceld") && command.find(path_) != std::string::npos && pid != pid_)
      pids.push_back(pid);
  }
  return pids;
}

int BrokerServer::must_connect() const {
  sockaddr_un address;
  BOOST_REQUIRE(aiaccel::socket_name(path_, &address) == 0);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BOOST_REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

size_t BrokerServer::open_descriptors() const {
  const fs::path folder = "/proc/" + std::to_string(pid_) + "/fd";
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace conformance
