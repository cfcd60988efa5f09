// SPDX-License-Identifier: MIT
//
// Versions are loaded as they were recorded and signed, and a Deployment is kept at what a
// reference means. A thread looks: when the files of the repository's references change, and from
// time to time.
//
// Of a version that is refused, two kinds: one whose own bytes are at fault (a record that cannot
// be read, no model, other inputs: an OwnFault) is not tried again while the reference means it;
// anything else (weights, signatures that are not here yet, memory) is, at once when a reference
// changes, else less and less often.

#include <aiaccel/follow.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mutex.h"
#include "registry/impl.h"
#include "registry/sha256.h"
#include "registry/watch.h"

namespace aiaccel {
namespace {

using registry::Fd;
using registry::Path;
using registry::Watch;

constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kShownCommit = 12;
constexpr std::size_t kChunk = 1 << 20;
constexpr int kMostPolls = 64;  // between two tries

// A long name is cut, as the version is what tells answers apart.
std::string label_of(const ModelVersion& version) {
  const std::string after =
      "@" + (version.version.empty() ? version.commit.substr(0, kShownCommit) : version.version);
  if (after.size() >= kLongestLabel) return after.substr(1, kLongestLabel);
  return version.name.substr(0, kLongestLabel - after.size()) + after;
}

std::string name_of(const ModelVersion& version) {
  return version.name + (version.version.empty() ? ":" + version.commit : "@" + version.version);
}

const VersionFile& main_file_of(const ModelVersion& version) {
  const auto file =
      std::find_if(version.files.begin(), version.files.end(),
                   [&](const VersionFile& each) { return each.path == version.main_file; });
  if (version.main_file.empty() || file == version.files.end())
    throw Error(EOPNOTSUPP, name_of(version) + " has no file that a runtime could be given");
  if (version.metadata && version.metadata->format != ModelFormat::onnx)
    throw Error(EOPNOTSUPP, name_of(version) + " is no ONNX model: " + version.main_file + " is " +
                                to_string(version.metadata->format));
  return *file;
}

const VersionFile& recorded(const ModelVersion& version, const std::string& path) {
  for (const VersionFile& each : version.files)
    if (each.path == path) return each;
  throw Error(EBADMSG, name_of(version) + " keeps weights in " + path + ", which it does not have");
}

// All of it, into memory that nobody else has: it is these bytes that are hashed, and loaded.
std::vector<std::byte> read_recorded(const Path& path, const VersionFile& recorded) {
  const Fd in = registry::open_file(path, O_RDONLY | O_CLOEXEC);
  struct stat seen {};
  if (::fstat(in.get(), &seen) < 0) registry::throw_errno("cannot read " + path.string());
  if (static_cast<std::uint64_t>(seen.st_size) != recorded.size_bytes)
    throw Error(EBADMSG, recorded.path + " has " + std::to_string(seen.st_size) +
                             " bytes, and had " + std::to_string(recorded.size_bytes) +
                             " when it was added");
  std::vector<std::byte> bytes(recorded.size_bytes);
  registry::Sha256 hash;
  for (std::size_t have = 0; have < bytes.size();) {
    const ssize_t got =
        ::read(in.get(), bytes.data() + have, std::min(kChunk, bytes.size() - have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) registry::throw_errno("cannot read " + path.string());
    if (got == 0) throw Error(EBADMSG, path.string() + " was cut short while it was read");
    hash.update(bytes.data() + have, static_cast<std::size_t>(got));
    have += static_cast<std::size_t>(got);
  }
  if (const std::string sha256 = hash.hex(); sha256 != recorded.sha256)
    throw Error(EBADMSG, recorded.path + " is not what was added: its SHA-256 is " + sha256 +
                             " and not " + recorded.sha256);
  return bytes;
}

struct Contents {
  std::vector<std::byte> bytes;
  std::vector<WeightsFile> weights;
  SignatureCheck check;
};

// Of what a commit has, and of bytes that are what it says: neither will ever be other.
class OwnFault : public Error {
 public:
  explicit OwnFault(const Error& error) : Error(error) {}
};

bool is_final(const Error& error) {
  switch (error.code().value()) {
    case EINVAL:
    case EBADMSG:
    case EOPNOTSUPP:
    case E2BIG:
    case EFBIG:
    case ELOOP:
    case ENAMETOOLONG:
      return true;
    default:
      return false;
  }
}

// Nothing of `work` but memory is to depend on anything else.
template <typename Work>
auto of_itself(const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (is_final(error)) throw OwnFault(error);
    throw;
  }
}

Contents read_verified(const Registry& from, const ModelVersion& version) {
  const VersionFile file = of_itself([&] { return main_file_of(version); });
  // By what Git says of the files first: that costs nothing, and what is not signed is not read.
  check_version(from, version);
  VerifiedCheckout out = checkout_verified(from, version);
  Contents contents;
  contents.check = std::move(out.check);
  contents.bytes = read_recorded(out.folder / file.path, file);
  for (std::string& location : of_itself([&] { return Model::weights_beside(contents.bytes); })) {
    const Path path = (Path(file.path).parent_path() / location).lexically_normal();
    const VersionFile said = of_itself([&] { return recorded(version, path.string()); });
    auto weights = read_recorded(out.folder / path, said);
    contents.weights.push_back({std::move(location), std::move(weights)});
  }
  return contents;
}

Model model_of(Contents& verified, const ModelVersion& version) {
  return Model::from_bytes(std::move(verified.bytes), label_of(version),
                           std::move(verified.weights));
}

}  // namespace

LoadedVersion load_version(const Registry& from, const Ref& ref) {
  ModelVersion version = from.resolve(ref);
  Contents verified = read_verified(from, version);
  Model model = model_of(verified, version);
  return {std::move(version), std::move(model), std::move(verified.check)};
}

struct [[gnu::visibility("hidden")]] Follower::State {
  State(Registry in, Ref to, Deployment & what, ModelVersion running, FollowOptions wanted)
      : from(std::move(in)),
        ref(std::move(to)),
        deployment(what),
        options(std::move(wanted)),
        impl(from.path()),
        watch(impl.git_dir),
        now(std::move(running)) {}

  void work() {
    for (;;) {
      look();
      if (stop) return;
      const auto begun = std::chrono::steady_clock::now();
      watch.wait(options.poll);
      if (stop) return;
      // Woken before the time is up: a reference changed.
      if (std::chrono::steady_clock::now() - begun < options.poll)
        polls_left = 0;
      else if (polls_left > 0)
        polls_left--;
    }
  }

  void look() {
    ModelVersion wanted;
    wanted.name = ref.name;
    try {
      // Which commit it is comes first, as what is in there may be at fault.
      const auto git = impl.handles.lend();
      const registry::Place place = registry::find(impl, *git, ref);
      wanted.version = place.version;
      wanted.commit = place.commit;
      if (wanted.commit == running_commit()) return settled();
      if (wanted.commit == misfit || (wanted.commit == tried && polls_left > 0)) return;
      if (wanted.commit != tried) polls_next = 1;
      tried = wanted.commit;
      wanted = of_itself([&] { return registry::Reader(impl, *git, ref.name).read(place, true); });
      Contents verified = read_verified(from, wanted);
      Model model = of_itself([&] { return model_of(verified, wanted); });
      const LoadedVersion loaded{wanted, std::move(model), std::move(verified.check)};
      of_itself([&] { deployment.update(loaded.model); });
      {
        const Lock lock(mutex);
        now = wanted;
      }
      settled();
      tell(options.on_switch, loaded);
    } catch (const OwnFault& error) {
      misfit = wanted.commit;
      refused(wanted, error);
    } catch (const Error& error) {
      refused(wanted, error);
    } catch (const std::exception& error) {
      refused(wanted, Error(ENOMEM, error.what()));
    }
  }

  std::string running_commit() const {
    const Lock lock(mutex);
    return now.commit;
  }

  void settled() {
    tried.clear();
    misfit.clear();
    told.clear();
    polls_left = 0;
    const Lock lock(mutex);
    problem.clear();
  }

  void refused(const ModelVersion& wanted, const Error& error) {
    polls_left = polls_next;
    polls_next = std::min(2 * polls_next, kMostPolls);
    const std::string what = wanted.commit + " " + error.what();
    if (what == told) return;
    told = what;
    {
      const Lock lock(mutex);
      problem = error.what();
    }
    tell(options.on_error, wanted, error);
  }

  // What is thrown there is not about the version, and nobody is above to catch it.
  template <typename Callback, typename... Arguments>
  static void tell(const Callback& callback, const Arguments&... arguments) {
    try {
      if (callback) callback(arguments...);
    } catch (...) {
    }
  }

  const Registry from;
  const Ref ref;
  Deployment& deployment;
  const FollowOptions options;
  registry::Impl impl;  // of the same folder
  Watch watch;
  std::atomic<bool> stop = false;

  mutable Mutex mutex;
  ModelVersion now GUARDED_BY(mutex);
  std::string problem GUARDED_BY(mutex);

  // The thread's own.
  std::string tried;   // the commit that was refused last
  std::string misfit;  // the same, where there is no use in trying again
  std::string told;
  int polls_left = 0, polls_next = 1;  // until it is tried again

  std::thread thread;
};

Follower::Follower(Registry registry, Ref ref, Deployment& deployment, ModelVersion running,
                   FollowOptions options)
    : state_(std::make_unique<State>(std::move(registry), std::move(ref), deployment,
                                     std::move(running), std::move(options))) {
  state_->thread = std::thread([state = state_.get()] { state->work(); });
}

Follower::~Follower() {
  state_->stop = true;
  state_->watch.wake();
  state_->thread.join();
}

ModelVersion Follower::current() const {
  const Lock lock(state_->mutex);
  return state_->now;
}

std::string Follower::problem() const {
  const Lock lock(state_->mutex);
  return state_->problem;
}

}  // namespace aiaccel
