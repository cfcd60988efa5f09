// SPDX-License-Identifier: MIT
//
// The broker's address and its start on first need; see address.h.
#include "broker/address.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

namespace aiaccel {
namespace {

constexpr const char* kSystemSocket = "/run/aiaccel/broker.sock";

namespace fs = std::filesystem;

// 0, or -EACCES where it is not the user's own.
int check_folder(const std::string& folder) {
  struct stat info;
  if (lstat(folder.c_str(), &info) < 0) return -errno;
  const bool ours = S_ISDIR(info.st_mode) && info.st_uid == geteuid() && !(info.st_mode & 022);
  return ours ? 0 : -EACCES;
}

// $XDG_RUNTIME_DIR where it is ours. Programs that change who they are may still have the one of
// the user they were, who could not use it any more once a folder of ours was in it.
bool is_own(const std::string& folder) {
  struct stat info;
  return !folder.empty() && stat(folder.c_str(), &info) == 0 && info.st_uid == geteuid();
}

std::string variable(const char* name) {
  const char* value = secure_getenv(name);
  return value ? value : "";
}

bool only_ours_writable(const fs::path& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && (info.st_uid == 0 || info.st_uid == geteuid()) &&
         !(info.st_mode & 022);
}

// Where aiacceld may be, best first; the last, not for programs with more rights than their
// caller, is looked up in $PATH.
std::vector<std::string> candidates() {
  if (const char* given = secure_getenv("AIACCELD")) return {given};
  std::vector<std::string> paths;
  std::error_code error;
  auto add_near = [&](const fs::path& file) {
    const fs::path folder = file.parent_path();
    for (const fs::path& path : {folder / "aiacceld", folder.parent_path() / "bin" / "aiacceld"})
      if (access(path.c_str(), X_OK) == 0 && may_run_broker(path.native()))
        paths.push_back(path.native());
  };
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) add_near(program);
  Dl_info library;
  if (dladdr(reinterpret_cast<void*>(&start_broker), &library) && library.dli_fname) {
    const fs::path file = fs::canonical(library.dli_fname, error);
    if (!error) add_near(file);
  }
  if (!getauxval(AT_SECURE)) paths.push_back("aiacceld");
  return paths;
}

// The address, and the folder that is the user's own to make, "" where it is not ours to.
BrokerAddress locate(const BrokerPlace& place, std::string* folder) {
  folder->clear();
  if (!place.given.empty()) return {place.given, false};
  if (access(kSystemSocket, F_OK) == 0) return {kSystemSocket, true};
  *folder = is_own(place.runtime_folder) ? place.runtime_folder + "/aiaccel"
                                         : "/tmp/aiaccel-" + std::to_string(geteuid());
  return {*folder + "/broker.sock", false};
}

}  // namespace

BrokerPlace BrokerPlace::from_environment() {
  return {variable("AIACCEL_BROKER"), variable("XDG_RUNTIME_DIR")};
}

int find_broker(BrokerAddress* address) {
  std::string folder;
  *address = locate(BrokerPlace::from_environment(), &folder);
  if (folder.empty()) return 0;
  if (mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST) return -errno;
  return check_folder(folder);
}

int find_running_broker(const BrokerPlace& place, BrokerAddress* address) {
  std::string folder;
  *address = locate(place, &folder);
  return folder.empty() ? 0 : check_folder(folder);
}

bool broker_listens() {
  std::string ignored;
  sockaddr_un name;
  if (socket_name(locate(BrokerPlace::from_environment(), &ignored).path, &name)) return false;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool listens =
      connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 || errno == EAGAIN;
  close(fd);
  return listens;
}

std::string folder_fault(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().native();
  struct stat info;
  if (lstat(folder.c_str(), &info) < 0) return "cannot make " + folder;
  if (!S_ISDIR(info.st_mode)) return folder + " is not a folder";
  if (info.st_uid != geteuid())
    return folder + " belongs to user " + std::to_string(info.st_uid) + ", not to user " +
           std::to_string(geteuid());
  return folder + " can be written by others";
}

int socket_name(const std::string& path, sockaddr_un* name) {
  if (path.empty() || path.size() >= sizeof name->sun_path) return -ENAMETOOLONG;
  *name = {};
  name->sun_family = AF_UNIX;
  std::memcpy(name->sun_path, path.c_str(), path.size() + 1);
  return 0;
}

bool may_run_broker(const std::string& program) {
  // Who can write to the folder can put another program in its place.
  return only_ours_writable(program) && only_ours_writable(fs::path(program).parent_path());
}

namespace {

// It outlives the program that we are in: what that was started with is not for it, nor the signals
// that the thread we are in keeps away.
std::vector<char*> environment_of_broker() {
  std::vector<char*> variables;
  for (char** variable = environ; variable && *variable; ++variable)
    if (std::strncmp(*variable, "LD_PRELOAD=", 11) != 0) variables.push_back(*variable);
  variables.push_back(nullptr);
  return variables;
}

void unblock_signals(posix_spawnattr_t* attributes) {
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(attributes, &none);
  posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK);
}

}  // namespace

int start_broker(const std::string& path, unsigned idle_s) {
  const std::string idle = std::to_string(idle_s);
  // It goes into the background by itself once it listens, so its exit status is the answer.
  const char* const arguments[] = {"aiacceld", "--background", "--idle", idle.c_str(),
                                   "--socket", path.c_str(),   nullptr};
  // What it has to say is not for the output of the program that we are in.
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; ++fd)
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  unblock_signals(&attributes);
  const std::vector<char*> environment = environment_of_broker();
  int error = ENOENT;
  pid_t pid = 0;
  for (const std::string& program : candidates()) {
    error = posix_spawnp(&pid, program.c_str(), &actions, &attributes,
                         const_cast<char* const*>(arguments), environment.data());
    if (!error) break;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return -error;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 0;  // somebody else reaped it: connecting will tell
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOENT;
}

}  // namespace aiaccel
