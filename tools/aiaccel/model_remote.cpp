// SPDX-License-Identifier: MIT
//
// aiaccel model push, pull: other repositories, by git's own transports.
#include <fmt/format.h>

#include "aiaccel/model_command.hpp"
#include "common/command_line.hpp"
#include "common/progress.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

struct RemoteCommand : ModelOptions {
  std::string remote = "origin";
};

template <typename Body>
int with_progress(const RemoteCommand& command, aiaccel::Registry registry, const char* done,
                  const Body& body) {
  {
    ProgressBar bar;
    body(registry, [&bar](const aiaccel::Progress& progress) {
      bar.show(progress.what, progress.done_bytes, progress.total_bytes);
    });
  }
  if (command.json)
    fmt::print("{}\n",
               json_text({{"registry", registry.path().string()}, {"remote", command.remote}}));
  else
    fmt::print("{} {}\n", done, printable(command.remote));
  return exit_ok;
}

int push(const RemoteCommand& command) {
  return with_progress(
      command, open_registry(command), "pushed to",
      [&](aiaccel::Registry& r, const auto& progress) { r.push(command.remote, progress); });
}

int pull(const RemoteCommand& command) {
  // A name is one of a registry that is there; into a new one comes what is at a place.
  const bool is_place = command.remote.find_first_of(":/") != std::string::npos;
  return with_progress(
      command, is_place ? create_registry(command) : open_registry(command), "pulled from",
      [&](aiaccel::Registry& r, const auto& progress) { r.pull(command.remote, progress); });
}

void add(CLI::App& model, Globals& globals, const char* name, const char* what,
         int (*body)(const RemoteCommand&)) {
  auto options = std::make_shared<RemoteCommand>();
  add_model_command(model, globals, options, name, what, body)
      ->add_option("REMOTE", options->remote,
                   "A remote of the repository, a URL or a folder [origin]")
      ->check(not_empty());
}

}  // namespace

void add_model_push(CLI::App& model, Globals& globals) {
  add(model, globals, "push", "Send versions, stages and weights to a repository", push);
}

void add_model_pull(CLI::App& model, Globals& globals) {
  add(model, globals, "pull", "Fetch versions, stages and weights from a repository", pull);
}

}  // namespace tools
