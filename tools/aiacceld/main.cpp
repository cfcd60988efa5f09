// SPDX-License-Identifier: MIT
//
// aiacceld: the broker. Options, the lock that makes it the only one at its path, and the socket.
//
// The lock file beside the socket is never removed: who holds it is the broker, so that of several
// that start at once all but one leave in peace, and a socket that a killed broker left can be
// replaced.
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "aiacceld/gpus.h"
#include "aiacceld/server.h"
#include "broker/address.h"
#include "policy/expand.h"
#include "policy/folder.h"

namespace {

using aiaccel::Fd;

struct Options {
  std::string path;
  uint64_t idle_s = 0;
  bool background = false;
  std::string policy = aiaccel::policy::kFolder;
  aiaccel::host::Ceilings ceilings;
};

[[noreturn]] void die(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

// The socket that systemd made for us (sd_listen_fds(3)), if it did.
Fd inherited_socket() {
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (!pid || !count || std::atol(pid) != getpid() || std::atol(count) != 1) return Fd();
  if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0) die(errno, "descriptor 3, which LISTEN_FDS promises");
  fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
  return Fd(3);
}

// Nothing where another broker holds the lock.
Fd lock_path(const std::string& path) {
  const std::string file = path + ".lock";
  Fd lock(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) die(errno, "cannot open " + file);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) die(errno, "cannot lock " + file);
  return Fd();
}

Fd listen_on(const std::string& path) {
  sockaddr_un name;
  if (const int error = aiaccel::socket_name(path, &name)) die(-error, path);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) die(errno, "cannot make a socket");
  unlink(path.c_str());  // left by one that was killed: we hold the lock
  umask(0077);
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) < 0 ||
      listen(socket.get(), SOMAXCONN) < 0)
    die(errno, "cannot listen on " + path);
  return socket;
}

// One better than what the library gives the instances of class high: they wait for our decisions,
// which are short, so whatever comes between us and a processor comes between them and their turns.
constexpr int kNice = -11;

// A program that starts us may run on few processors and give way to all others; its broker, which
// serves the user's other programs too, does not.
void run_before_clients() {
  cpu_set_t all[8];  // 8192 processors: no kernel is built for more
  std::memset(all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, all);  // less what the cpuset excludes
  const sched_param none{};
  const bool policy =
      sched_getscheduler(0) == SCHED_OTHER || sched_setscheduler(0, SCHED_OTHER, &none) == 0;
  const bool nice = setpriority(PRIO_PROCESS, 0, kNice) == 0 || getpriority(PRIO_PROCESS, 0) <= 0 ||
                    setpriority(PRIO_PROCESS, 0, 0) == 0;
  if (!policy || !nice)
    std::fprintf(stderr,
                 "aiacceld: keeps the low priority of the program that started it; all of its "
                 "clients wait for it\n");
}

// The parent leaves; the child keeps nothing of who started it but the lock and the socket.
void go_to_background() {
  const pid_t child = fork();
  if (child < 0) die(errno, "cannot fork");
  if (child > 0) _exit(0);
  setsid();
  if (chdir("/") < 0) die(errno, "cannot change to /");
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  if (null > 2) close(null);
}

// What the program that started us left open is none of ours.
void close_inherited(int first) {
  close_range(static_cast<unsigned>(first), ~0U, 0);
}

void raise_descriptor_limit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<aiaccel_engine_info> find_engines() {
  std::vector<aiaccel_engine_info> engines = aiaccel::host::find_cpu_engines();
  for (aiaccel_engine_info gpu : aiacceld::find_gpus()) {
    gpu.id = static_cast<uint32_t>(engines.size() + 1);
    engines.push_back(gpu);
  }
  return engines;
}

// Absolute, since in the background we are elsewhere. The folder of the system may be missing: then
// there is no policy. One that was named is a slip.
std::string policy_folder(const std::string& named) {
  if (named != aiaccel::policy::kFolder && access(named.c_str(), F_OK) < 0)
    die(errno, "cannot read " + named);
  return std::filesystem::absolute(named);
}

// What is wrong is left out, and said.
std::vector<aiaccel_policy_rule> read_rules(const std::string& folder) {
  aiaccel::policy::Policy policy = aiaccel::policy::read_folder(folder);
  std::vector<aiaccel_policy_rule> rules = aiaccel::policy::expand(policy);
  for (const aiaccel::policy::Problem& problem : policy.problems)
    std::fprintf(stderr, "aiacceld: %s\n", problem.text().c_str());
  return rules;
}

void run(const Options& options, Fd listener) {
  std::optional<std::chrono::seconds> idle;
  if (options.idle_s) idle = std::chrono::seconds(options.idle_s);
  aiacceld::Server server(std::move(listener), find_engines(), options.ceilings, idle,
                          [&] { return read_rules(options.policy); });
  server.run();
}

void serve(Options options) {
  options.policy = policy_folder(options.policy);
  std::string path = options.path;
  if (path.empty()) {
    aiaccel::BrokerAddress address;
    if (const int error = aiaccel::find_broker(&address))
      die(-error, aiaccel::folder_fault(address.path));
    path = address.path;
  }
  Fd inherited = inherited_socket();
  close_inherited(inherited ? 4 : 3);
  raise_descriptor_limit();
  signal(SIGPIPE, SIG_IGN);
  aiacceld::Server::hold_signals();
  if (inherited) {
    run(options, std::move(inherited));
    return;
  }
  const Fd lock = lock_path(path);
  if (!lock) {
    // In the background, who started us only wants one to be there.
    if (!options.background)
      std::fprintf(stderr, "aiacceld: another one serves %s\n", path.c_str());
    return;
  }
  Fd listener = listen_on(path);
  if (options.background) {
    run_before_clients();
    go_to_background();
  }
  run(options, std::move(listener));
  unlink(path.c_str());
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app{"aiacceld: arbitrates engines and memory between the programs that connect to it"};
  app.set_version_flag("--version", AIACCEL_VERSION);
  app.add_option("--socket", options.path, "where to listen (default: see aiacceld(8))");
  app.add_option("--idle", options.idle_s, "end after so many seconds without a client (0: never)")
      ->check(CLI::Range(0, 1000000));
  app.add_flag("--background", options.background, "go on in the background once listening");
  app.add_option("--tenant-bytes", options.ceilings.tenant_bytes,
                 "what one user may allocate and pin")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--host-bytes", options.ceilings.host_bytes, "what all may allocate and pin")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--policy", options.policy,
                 "the policy's folder (default: /etc/aiaccel/policy.d)");
  CLI11_PARSE(app, argc, argv);
  serve(options);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "aiacceld: %s\n", error.what());
  return 1;
}
