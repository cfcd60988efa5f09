// SPDX-License-Identifier: MIT
//
// aiaccel model export: a version as others want to find it. So far for Triton Inference Server: a
// folder with the model's name in it, in that a folder a version, numbered from 1, and
// config.pbtxt.
//
// A folder of a version appears whole or not at all, and before the configuration that has it
// served. What is there is never overwritten: a server may be reading it. All is done under a lock
// on the model's folder.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "aiaccel/model_command.hpp"
#include "aiaccel/model_trust.hpp"
#include "common/command_line.hpp"
#include "common/progress.hpp"
#include "common/text.hpp"
#include "registry/sha256.h"
#include "registry/triton.hpp"

namespace tools {
namespace {

namespace fs = std::filesystem;

struct ExportCommand : ModelOptions {
  std::string ref, triton;
  unsigned max_batch_size = 8;
};

// Beside the model's files: which version this is. The server does not look at it.
constexpr const char* kOrigin = "aiaccel-version";
constexpr const char* kModelFile = "model.onnx";
constexpr const char* kConfig = "config.pbtxt";

class File {
 public:
  File(const fs::path& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC,
                   0666)) {  // NOLINT(cppcoreguidelines-pro-type-vararg)
    if (fd_ < 0) throw aiaccel::Error(errno, path.string());
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }

 private:
  int fd_;
};

// What is here is what counts: between hashing in the registry and copying, somebody may have
// written.
void compare(const File& copied, const aiaccel::VersionFile& recorded) {
  aiaccel::registry::Sha256 hash;
  std::vector<char> bytes(std::size_t{1} << 20);
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(copied.fd(), bytes.data(), bytes.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw aiaccel::Error(errno, recorded.path);
    if (got == 0) break;
    hash.update(bytes.data(), static_cast<std::size_t>(got));
    at += got;
  }
  if (hash.hex() != recorded.sha256)
    throw aiaccel::Error(EBADMSG, recorded.path + ": what was copied is not what was recorded");
}

// The file system may share the blocks. `done` goes on from file to file.
void copy(const fs::path& from, const fs::path& to, const aiaccel::VersionFile& recorded,
          std::uint64_t& done, std::uint64_t total, ProgressBar& bar) {
  const File source(from, O_RDONLY);
  const File copied(to, O_RDWR | O_CREAT | O_EXCL);
  for (;;) {
    constexpr std::size_t kPiece = std::size_t{16} << 20;
    const ssize_t got = ::copy_file_range(source.fd(), nullptr, copied.fd(), nullptr, kPiece, 0);
    // Not between these two file systems, or by this kernel.
    if (got < 0 && (errno == EXDEV || errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL)) {
      fs::copy_file(from, to, fs::copy_options::overwrite_existing);
      done += fs::file_size(to);
      break;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw aiaccel::Error(errno, "copying to " + to.string());
    if (got == 0) break;
    done += static_cast<std::uint64_t>(got);
    bar.show(from.filename().string(), done, total);
  }
  compare(copied, recorded);
  if (::fsync(copied.fd()) < 0) throw aiaccel::Error(errno, to.string());
}

// The folder has to be locked: the temporary name is always the same.
void write_whole(const fs::path& path, const std::string& text) {
  const fs::path part = path.string() + ".part";
  fs::remove(part);
  {
    const File file(part, O_WRONLY | O_CREAT | O_EXCL);
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t put = ::write(file.fd(), text.data() + done, text.size() - done);
      if (put < 0 && errno != EINTR) throw aiaccel::Error(errno, part.string());
      if (put > 0) done += static_cast<std::size_t>(put);
    }
    if (::fsync(file.fd()) < 0) throw aiaccel::Error(errno, part.string());
  }
  fs::rename(part, path);
}

std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::optional<unsigned> number_of(const std::string& name) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number == 0 || name[0] == '0')
    return {};
  return number;
}

// The folder that has this version already, if any, and the highest number of all.
struct Versions {
  std::optional<unsigned> same;
  unsigned highest = 0;
};

Versions versions_in(const fs::path& folder, const std::string& origin) {
  Versions result;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::optional<unsigned> number = number_of(entry.path().filename().string());
    if (!number) continue;
    result.highest = std::max(result.highest, *number);
    if (read_whole(entry.path() / kOrigin) == origin)
      result.same = std::max(*number, result.same.value_or(0));
  }
  return result;
}

// The main file gets the name that the server looks for, unless another has it.
std::string file_name_for(const aiaccel::ModelVersion& version) {
  for (const aiaccel::VersionFile& file : version.files)
    if (file.path == kModelFile) return version.main_file;
  return version.main_file.find('/') == std::string::npos ? kModelFile : version.main_file;
}

void fill(const fs::path& folder, const fs::path& checkout, const aiaccel::ModelVersion& version,
          const std::string& main_file) {
  std::uint64_t done = 0;
  const std::uint64_t total = size_of(version);
  ProgressBar bar;
  for (const aiaccel::VersionFile& file : version.files) {
    const fs::path to = folder / (file.path == version.main_file ? main_file : file.path);
    fs::create_directories(to.parent_path());
    copy(checkout / file.path, to, file, done, total, bar);
  }
}

struct Exported {
  unsigned number = 0;
  bool is_new = false;
};

// The lock on the folder has to be held.
Exported add_version(const fs::path& folder, const fs::path& checkout,
                     const aiaccel::ModelVersion& version, const std::string& main_file) {
  const std::string origin = fmt::format("{} {}\n", version_name(version), version.commit);
  const Versions there = versions_in(folder, origin);
  if (there.same) return {*there.same, false};
  const unsigned number = there.highest + 1;
  const fs::path part = folder / ".part";
  fs::remove_all(part);  // of one that was killed
  try {
    fill(part, checkout, version, main_file);
    write_whole(part / kOrigin, origin);
    fs::rename(part, folder / std::to_string(number));
  } catch (...) {
    std::error_code none;
    fs::remove_all(part, none);
    throw;
  }
  return {number, true};
}

std::string config_of(const aiaccel::ModelVersion& version,
                      const aiaccel::registry::TritonOptions& options) {
  try {
    return aiaccel::registry::triton_config(*version.metadata, options);
  } catch (const aiaccel::Error& e) {
    throw Failure(fmt::format("{}: {}", version_name(version), reason(e)), "");
  }
}

// Several may export to the same place at once: the number and the configuration that names it are
// one step. What was exported last is served, also where that has a lower number, as after a
// rollback.
Exported export_locked(const fs::path& folder, const fs::path& checkout,
                       const aiaccel::ModelVersion& version,
                       aiaccel::registry::TritonOptions options) {
  const File lock(folder, O_RDONLY | O_DIRECTORY);
  while (::flock(lock.fd(), LOCK_EX) < 0)
    if (errno != EINTR) throw aiaccel::Error(errno, folder.string());
  const Exported exported = add_version(folder, checkout, version, options.model_filename);
  options.version = exported.number;
  const std::string config = config_of(version, options);
  if (read_whole(folder / kConfig) != config) write_whole(folder / kConfig, config);
  if (::fsync(lock.fd()) < 0) throw aiaccel::Error(errno, folder.string());
  return exported;
}

void refuse_unknown(const aiaccel::ModelVersion& version) {
  if (!version.metadata)
    throw Failure(fmt::format("{}: no reader knows {}, so nothing can be told of its inputs",
                              version_name(version), version.main_file),
                  "");
  // Whoever wrote aiaccel.json wrote the name of the main file.
  if (std::none_of(version.files.begin(), version.files.end(),
                   [&](const auto& file) { return file.path == version.main_file; }))
    throw Failure(
        fmt::format("{}: {} is none of its files", version_name(version), version.main_file), "");
  for (const aiaccel::VersionFile& file : version.files)
    if (file.path == kOrigin)
      throw Failure(fmt::format("{}: it has a file {}, and that name is needed here",
                                version_name(version), kOrigin),
                    "");
}

int export_triton(const ExportCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  const aiaccel::Registry registry = open_registry(command);
  const aiaccel::ModelVersion version = registry.resolve(ref);
  refuse_unknown(version);
  aiaccel::registry::TritonOptions options;
  options.name = version.name;
  std::replace(options.name.begin(), options.name.end(), '/', '_');
  options.max_batch_size = command.max_batch_size;
  options.model_filename = file_name_for(version);
  config_of(version, options);  // where that is impossible, nothing is made
  const fs::path checkout = trusted_checkout(registry, version);
  const fs::path folder = fs::path(command.triton) / options.name;
  fs::create_directories(folder);
  const Exported exported = export_locked(folder, checkout, version, options);
  const std::string numbered = (folder / std::to_string(exported.number)).string();
  if (command.json)
    fmt::print("{}\n", json_text({{"name", options.name},
                                  {"number", exported.number},
                                  {"new", exported.is_new},
                                  {"folder", numbered},
                                  {"config", (folder / kConfig).string()}}));
  else
    fmt::print("{}  {}{}\n", printable(version_name(version)), printable(numbered),
               exported.is_new ? "" : "  (was there)");
  return exit_ok;
}

}  // namespace

void add_model_export(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<ExportCommand>();
  CLI::App* command = add_model_command(model, globals, options, "export",
                                        "Write a version as others want to find it", export_triton);
  command->add_option("REF", options->ref, "Such as NAME@v1.2.3 or NAME#prod")->required();
  command->add_option("--triton", options->triton, "Into a model repository of Triton's")
      ->type_name("DIR")
      ->required()
      ->check(not_empty());
  command
      ->add_option("--max-batch-size", options->max_batch_size,
                   "Largest batch, where the model has batches [8]")
      ->type_name("N")
      ->check(between(0u, 1u << 20));
}

}  // namespace tools
