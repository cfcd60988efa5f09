// SPDX-License-Identifier: MIT
//
// A Deployment: a model that answers requests on an engine, by turns, and can be replaced while it
// does.
//
// It has a number of instances. Each is a thread with a context of its own, because a context holds
// at most one turn on an engine at a time; it takes the oldest request, waits for a turn as wide as
// the deployment, runs, and gives the turn back. On CPU engines, the only ones that it is for, turns
// have no budget, so that an inference may last. The threads also get what the operating system's
// scheduler can do for the class: see os_help().
//
// Where the arbiter goes (a broker ends, a module is upgraded), the instances close their contexts.
// Until there is one again, which they look for, requests are answered without turns or wait, as
// $AIACCEL_ON_MISSING says (open, closed), else the on_missing that the tenant last had. A
// Device of the program's own is for the program to close.
//
// Every request is answered by one version, the one that was current when it came or, through a
// Stream, the one that the stream began with, and the answer names it. update() loads the next
// version before anything is taken from the present one. The old one goes when its last request and
// its last stream have gone, except that the version before the present one stays loaded for
// rollback().
//
// Every function may be called from any number of threads at once. The destructor lets running
// inferences end and fails what waits with ECANCELED.
#ifndef AIACCEL_DEPLOYMENT_HPP
#define AIACCEL_DEPLOYMENT_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <aiaccel/device.hpp>
#include <aiaccel/histogram.hpp>
#include <aiaccel/model.hpp>
#include <aiaccel/queue.hpp>
#include <aiaccel/tensor.hpp>

namespace aiaccel {

struct DeploymentOptions {
  std::string engine = "cpu0";
  unsigned instances = 1;  // inferences at a time
  unsigned width = 1;      // slots and threads of one inference
  Class priority = Class::normal;
  std::uint32_t weight = AIACCEL_WEIGHT_DEFAULT;
  std::size_t max_waiting = 1024;  // further requests are refused (EAGAIN)
  std::string transport{};         // as Device::open() takes it; Device::deploy() gives its own
};

struct Answer {
  std::vector<Tensor> outputs;       // in the order of Model::outputs()
  std::string version;               // the label of the model that answered
  std::chrono::nanoseconds wait{0};  // from asked for to the turn's begin
  std::chrono::nanoseconds run{0};   // the inference
};

// How one version has done since it was deployed first. Times are of answered requests.
struct VersionStats {
  std::string version;
  std::uint64_t failed = 0;
  Histogram wait, run, total;  // total.count() requests were answered
};

class Stream;

class [[gnu::visibility("default")]] Deployment {
 public:
  // Called on an instance's thread: with the answer, or with an exception and an empty answer. It
  // must not throw and should not take long, since the instance waits for it.
  using Done = std::function<void(Answer, std::exception_ptr)>;

  // Throws Error: what Device::open() and Device::engine() throw; EOPNOTSUPP for an engine that is
  // no CPU, or the class realtime, which CPUs have not; EINVAL for no instances, a width that the
  // engine has not, a wrong $AIACCEL_ON_MISSING.
  Deployment(Model model, const DeploymentOptions& options);
  Deployment(Deployment &&) noexcept = default;
  Deployment& operator=(Deployment&&) noexcept;
  ~Deployment();

  // Throws Error: EAGAIN when max_waiting requests wait; EINVAL when the inputs do not fit; what
  // Queue::acquire() throws but for ENODEV and ECONNRESET; EIO when the runtime fails.
  Answer infer(std::span<const TensorView> inputs);
  Answer infer(std::span<const Tensor> inputs);
  // The same without waiting: EAGAIN and EINVAL are thrown here, the rest comes with the future or
  // to `done`.
  std::future<Answer> infer_async(std::vector<Tensor> inputs);
  void infer_async(std::vector<Tensor> inputs, Done done);

  // A line of requests that all go to the version that is current now. It may outlive the
  // deployment, and is then refused (ECANCELED).
  Stream stream();

  // Replaces the model. Throws Error(EINVAL) when `next` does not fit in its place, saying where,
  // or what loading throws; then nothing has changed. When it returns, new requests go to `next`.
  void update(Model next);
  // Goes back to the version before, which a second call undoes. Throws Error(ENOENT) without one.
  void rollback();

  Model model() const;                      // the current one
  std::vector<VersionStats> stats() const;  // of the latest 16 versions, the earliest first
  // What the operating system's scheduler does for the class, and what it refused: for people.
  std::string os_help() const;
  std::string transport() const;

 private:
  friend class Stream;
  struct State;
  struct Version;
  std::shared_ptr<State> state_;
};

// See Deployment::stream(). Copies are the same line.
class [[gnu::visibility("default")]] Stream {
 public:
  const std::string& version() const;  // the label of the version that it began with

  Answer infer(std::span<const TensorView> inputs);
  Answer infer(std::span<const Tensor> inputs);
  std::future<Answer> infer_async(std::vector<Tensor> inputs);
  void infer_async(std::vector<Tensor> inputs, Deployment::Done done);

 private:
  friend class Deployment;
  Stream(std::shared_ptr<Deployment::State> state,
         std::shared_ptr<const Deployment::Version> version)
      : state_(std::move(state)), version_(std::move(version)) {}
  std::shared_ptr<Deployment::State> state_;
  std::shared_ptr<const Deployment::Version> version_;
};

inline Deployment Device::deploy(Model model, const DeploymentOptions& options) const {
  DeploymentOptions here = options;
  here.transport = transport();
  return Deployment(std::move(model), here);
}

inline Deployment Device::deploy(Model model) const {
  return deploy(std::move(model), {});
}

}  // namespace aiaccel

#endif  // AIACCEL_DEPLOYMENT_HPP
