// SPDX-License-Identifier: MIT
//
// What runs follows the registry: a Deployment gets the version that a reference means, and the
// next one when a promotion, a rollback or a tag that somebody pushed changes that.
// (libaiaccel-registry)
//
//   auto first = load_version(registry, Ref::parse("silero-vad#prod"));
//   Deployment deployment = device.deploy(first.model, options);
//   Follower follower(registry, Ref::parse("silero-vad#prod"), deployment, first.version);
//
// No request is lost or refused by a switch: see Deployment::update(). What cannot be loaded, does
// not fit or is not signed as the registry demands never replaces what runs.
//
// Threads: every function may be called from any number of threads at once. A Follower has one of
// its own, on which it loads, and calls what it was given to call.
#ifndef AIACCEL_FOLLOW_HPP
#define AIACCEL_FOLLOW_HPP

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <aiaccel/deployment.hpp>
#include <aiaccel/error.hpp>
#include <aiaccel/model.hpp>
#include <aiaccel/registry.hpp>
#include <aiaccel/signing.hpp>

namespace aiaccel {

struct LoadedVersion {
  ModelVersion version;
  Model model;  // labelled `NAME@v5.0.0`; `NAME@` and 12 digits of the commit without a version
  SignatureCheck check;  // by the registry's policy
};

// Opens the main file of a version, with the files that it keeps weights in: the signature is
// checked first, then that the bytes which are loaded are those that were recorded. Throws Error:
// what Registry::resolve(), checkout_verified() and Model::from_bytes() throw; EBADMSG for other
// bytes; EOPNOTSUPP for a version whose main file is no ONNX model.
[[gnu::visibility("default")]] LoadedVersion load_version(const Registry& registry, const Ref& ref);

// What one of the functions throws is dropped: it does not end the following, or the process.
struct FollowOptions {
  // After a switch. What `check` warns of is to be told to somebody.
  std::function<void(const LoadedVersion& now)> on_switch;
  // Why what the reference means now does not run: once for each commit and reason. `refused` has a
  // name only where the reference means nothing.
  std::function<void(const ModelVersion& refused, const Error& error)> on_error;
  // The file system tells of most changes at once. This is how often it is looked for those that it
  // does not tell of, as NFS does not of other hosts'; and for weights and signatures that come
  // after the tag.
  std::chrono::milliseconds poll = std::chrono::seconds(2);
};

class [[gnu::visibility("default")]] Follower {
 public:
  // `running` is what the deployment has now. The deployment must stay where it is until this has
  // gone; nobody else should change its version. Throws Error where there can be no thread.
  Follower(Registry registry, Ref ref, Deployment & deployment, ModelVersion running,
           FollowOptions options = {});
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  // Waits until what is being loaded has been, and what is being called has returned: not to be
  // called from there.
  ~Follower();

  ModelVersion current() const;  // what the deployment has now
  std::string problem() const;   // why that is not what the reference means; "" if it is

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace aiaccel

#endif  // AIACCEL_FOLLOW_HPP
