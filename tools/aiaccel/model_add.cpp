// SPDX-License-Identifier: MIT
//
// aiaccel model add, tag: what becomes a version of a model.
#include <fmt/format.h>

#include <csignal>
#include <stop_token>

#include "aiaccel/model_command.hpp"
#include "common/command_line.hpp"
#include "common/progress.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

struct AddCommand : ModelOptions {
  std::string source;
  aiaccel::AddOptions add;
  std::vector<std::string> labels;
};

std::map<std::string, std::string> read_labels(const std::vector<std::string>& labels) {
  std::map<std::string, std::string> result;
  for (const std::string& label : labels) {
    const std::size_t end = label.find('=');
    if (end == 0 || end == label.npos)
      throw Failure(fmt::format("--label {}: KEY=TEXT is expected", label), "", exit_usage);
    if (!result.emplace(label.substr(0, end), label.substr(end + 1)).second)
      throw Failure(fmt::format("--label {}: {} was given before", label, label.substr(0, end)), "",
                    exit_usage);
  }
  return result;
}

// What can be kept, but not run as it is.
void warn_of_main_file(const aiaccel::ModelVersion& version) {
  if (version.metadata) return;
  if (!version.main_file.empty()) {
    fmt::print(stderr, "aiaccel: warning: no reader knows {}: it can be kept, not run\n",
               printable(version.main_file));
    return;
  }
  std::string candidates;
  for (const aiaccel::VersionFile& file : version.files)
    if (file.path.ends_with(".onnx")) candidates += " " + file.path;
  if (candidates.empty())
    fmt::print(stderr, "aiaccel: warning: no model was found here: it can be kept, not run\n");
  else
    fmt::print(stderr, "aiaccel: warning: none of these is the main file, --main says which:{}\n",
               printable(candidates));
}

// SIGINT, SIGTERM or SIGHUP while it lives, if one came: what was begun is taken away, and the
// program ends by it. One at a time.
class Interrupted {
 public:
  Interrupted() {
    signal_ = 0;
    struct sigaction action {};
    action.sa_handler = [](int signal) { signal_ = signal; };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction now {};
      ::sigaction(signal, nullptr, &now);
      if (now.sa_handler == SIG_DFL) ::sigaction(signal, &action, nullptr);
    }
  }
  Interrupted(const Interrupted&) = delete;
  Interrupted& operator=(const Interrupted&) = delete;
  ~Interrupted() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction now {};
      ::sigaction(signal, nullptr, &now);
      if (now.sa_handler != SIG_IGN) ::signal(signal, SIG_DFL);
    }
    if (signal_ != 0) ::raise(signal_);
  }

  explicit operator bool() const { return signal_ != 0; }

 private:
  static inline volatile std::sig_atomic_t signal_ = 0;
};

int add(const AddCommand& command) {
  aiaccel::AddOptions options = command.add;
  options.labels = read_labels(command.labels);
  aiaccel::ModelVersion version;
  {
    const Interrupted interrupted;
    std::stop_source stop;
    options.stop = stop.get_token();
    ProgressBar bar;
    options.progress = [&](const aiaccel::Progress& progress) {
      bar.show(progress.what, progress.done_bytes, progress.total_bytes);
      if (interrupted) stop.request_stop();
    };
    version = create_registry(command).add(command.source, options);
  }
  warn_of_main_file(version);
  if (command.json)
    fmt::print("{}\n", json_text(version_json(version, false)));
  else
    fmt::print("{}  {}  {}, {}\n", printable(version_name(version)), short_commit(version.commit),
               count_text(version.files.size(), "file"), bytes_text(size_of(version)));
  return exit_ok;
}

struct TagCommand : ModelOptions {
  std::string ref, version;
};

int tag(const TagCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  aiaccel::Registry registry = open_registry(command);
  registry.tag(ref, command.version);
  const std::string v = command.version.starts_with('v') ? command.version : "v" + command.version;
  const aiaccel::ModelVersion version = registry.resolve(parse_ref(ref.name + "@" + v));
  if (command.json)
    fmt::print("{}\n", json_text(version_json(version, false)));
  else
    fmt::print("{}  {}\n", printable(version_name(version)), short_commit(version.commit));
  return exit_ok;
}

}  // namespace

void add_model_add(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<AddCommand>();
  CLI::App* command = add_model_command(model, globals, options, "add",
                                        "Record a file or folder as a version of a model", add);
  command->add_option("PATH", options->source, "The model's file, or the folder of its files")
      ->required();
  command->add_option("--name", options->add.name, "The model's name")
      ->type_name("NAME")
      ->required()
      ->check(not_empty());
  command->add_option("--version", options->add.version, "Its version, such as 5.0.0 [none]")
      ->type_name("VERSION")
      ->check(not_empty());
  command->add_option("--label", options->labels, "A label of the version")
      ->type_name("KEY=TEXT")
      ->allow_extra_args(false);
  command->add_option("--licence", options->add.licence, "Its licence [what the file says]")
      ->type_name("TEXT");
  command->add_option("--parent", options->add.parent, "The version that it was made from")
      ->type_name("REF");
  command->add_option("--training-run", options->add.training_run, "What made it, such as a URL")
      ->type_name("TEXT");
  command->add_option("--main", options->add.main_file, "What a runtime is given [found]")
      ->type_name("FILE");
  command->add_option("-m,--message", options->add.message, "What is to be said of it")
      ->type_name("TEXT");
}

void add_model_tag(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<TagCommand>();
  CLI::App* command = add_model_command(model, globals, options, "tag",
                                        "Give a version's number to what has none", tag);
  command->add_option("REF", options->ref, "What gets it, such as NAME or NAME:COMMIT")->required();
  command->add_option("VERSION", options->version, "Such as 5.0.0")->required()->check(not_empty());
}

}  // namespace tools
