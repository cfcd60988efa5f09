// SPDX-License-Identifier: MIT
//
// Programs of the user's that are told when a stage changes. They come after the fact: the tag is
// there, and stays whatever they do.
//
// Which program is read from the repository's git configuration, which neither clone nor pull
// brings from elsewhere. It is a path and nothing else, so no text of a model ever meets a shell.
#include <fcntl.h>
#include <fmt/format.h>
#include <git2.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "aiaccel/model_command.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

// "" where the key is not set. Throws Failure with what libgit2 says.
std::string read_path(const std::filesystem::path& repository, const char* key) {
  ::git_libgit2_init();
  git_repository* repo = nullptr;
  git_config* config = nullptr;
  git_buf value = GIT_BUF_INIT;
  int error = ::git_repository_open(&repo, repository.c_str());
  if (!error) error = ::git_repository_config_snapshot(&config, repo);
  if (!error) error = ::git_config_get_path(&value, config, key);  // expands ~
  const std::string text = error || !value.ptr ? "" : value.ptr;
  const git_error* last = error ? ::git_error_last() : nullptr;
  const std::string why = last ? last->message : "";
  ::git_buf_dispose(&value);
  ::git_config_free(config);
  ::git_repository_free(repo);
  ::git_libgit2_shutdown();
  if (error && error != GIT_ENOTFOUND)
    throw Failure(fmt::format("cannot read {} of {}: {}", key, repository.string(), why), "");
  return text;
}

// What the stage had before the entry. Asked afterwards: others may have come in between.
std::string commit_before(const aiaccel::Registry& registry, const std::string& name,
                          const std::string& stage, std::uint64_t number) {
  aiaccel::StageEntry before;
  before.commit = std::string(40, '0');  // as git has it where there is none
  for (const aiaccel::StageEntry& entry : registry.history(name, stage))
    if (entry.number < number && entry.number >= before.number) before = entry;
  return before.commit;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// How the program ended, "" if well.
std::string run(std::vector<std::string> command, std::vector<std::string> variables) {
  for (char** variable = environ; *variable; variable++) {
    const std::string text = *variable;
    const std::string name = text.substr(0, text.find('=') + 1);
    const bool ours = std::any_of(variables.begin(), variables.end(),
                                  [&](const std::string& v) { return v.starts_with(name); });
    if (!ours) variables.push_back(text);
  }
  posix_spawn_file_actions_t actions;
  int error = ::posix_spawn_file_actions_init(&actions);
  if (error) return fmt::format("cannot be run: {}", std::strerror(error));
  error = ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (!error) error = ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t pid = -1;
  if (!error)
    error = ::posix_spawn(&pid, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                          pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error) return fmt::format("cannot be run: {}", std::strerror(error));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return std::strerror(errno);
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status)) return fmt::format("ended with {}", WEXITSTATUS(status));
  return {};
}

}  // namespace

int run_hook(const aiaccel::Registry& registry, const char* key, const std::string& name,
             const std::string& stage, const aiaccel::StageEntry& entry) {
  std::string program;
  std::string failed;
  try {
    program = read_path(registry.path(), key);
    if (program.empty()) return exit_ok;
    if (program[0] != '/')
      failed = "is no absolute path";
    else
      failed = run(
          {program, name, stage, entry.commit, commit_before(registry, name, stage, entry.number)},
          {"AIACCEL_REGISTRY=" + registry.path().string(), "AIACCEL_MODEL=" + name,
           "AIACCEL_STAGE=" + stage, "AIACCEL_VERSION=" + entry.version,
           fmt::format("AIACCEL_NUMBER={}", entry.number)});
  } catch (const std::exception& e) {
    failed = e.what();
  }
  if (failed.empty()) return exit_ok;
  fmt::print(stderr, "aiaccel: {} ({}) {}; {}#{} stays as it is now\n", key, printable(program),
             printable(failed), printable(name), printable(stage));
  return kExitHook;
}

}  // namespace tools
