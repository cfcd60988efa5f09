// SPDX-License-Identifier: MIT
//
// See process.hpp. Output goes through unlinked files, so that no pipe can fill up.
#include "process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "tap/tap.hpp"

namespace process {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

std::string content(std::FILE* file) {
  std::string text;
  std::rewind(file);
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  return text;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

const std::string& transport() {
  static const std::string name = [] {
    const auto& suite = boost::unit_test::framework::master_test_suite();
    const std::string option = "--transport=";
    for (int i = 1; i < suite.argc; i++)
      if (std::string(suite.argv[i]).starts_with(option))
        return std::string(suite.argv[i]).substr(option.size());
    return std::string("broker");
  }();
  return name;
}

Result run(const std::vector<std::string>& command, const std::vector<std::string>& extra) {
  const auto tests = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string program = tests.parent_path() / "bin" / command.at(0);
  std::vector<std::string> arguments = command;
  std::vector<std::string> environment{"AIACCEL_TRANSPORT=" + transport()};
  environment.insert(environment.end(), extra.begin(), extra.end());
  for (char** variable = environ; *variable; variable++)
    if (!std::string(*variable).starts_with("AIACCEL_TRANSPORT=")) environment.push_back(*variable);

  const File out(std::tmpfile(), std::fclose);
  const File err(std::tmpfile(), std::fclose);
  BOOST_REQUIRE(out && err);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(out.get()), 1);
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(err.get()), 2);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, nullptr,
                                  pointers(arguments).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  BOOST_REQUIRE_MESSAGE(error == 0, program + " cannot be run: " + std::strerror(error));

  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) BOOST_REQUIRE(errno == EINTR);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), content(out.get()),
          content(err.get())};
}

}  // namespace process
