// SPDX-License-Identifier: MIT
//
// ONNX Runtime as a backend: found at run time, never linked.
//
// Invariants: the library is opened at most once in a process and never closed, since its threads
// and thread-local state do not outlive that; one environment serves every session.
//
// Threading: Runtime and Session are immutable once made; every function may be called from any
// number of threads at once (ONNX Runtime promises that for Run on one session).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <aiaccel/model.hpp>
#include <aiaccel/tensor.hpp>

#include "backends/ort_api.h"

namespace aiaccel::ort {

class Runtime {
 public:
  // Opens the library that AIACCEL_ONNXRUNTIME names (then no other is tried), else the system's,
  // else the one that setup put into the user's cache. Throws Error(ENOSYS) that says what each
  // place answered.
  static std::unique_ptr<const Runtime> load();

  // The process's own, looked for on the first call; a failure is remembered and thrown each time.
  static const Runtime& get();

  Runtime(const Runtime&) = delete;
  ~Runtime();

  const Api& api() const { return api_; }
  const OrtEnv* env() const { return env_; }
  const std::string& version() const { return version_; }
  const std::string& path() const { return path_; }

  // Throws Error with the runtime's message when `status` is one, and releases it. `doing` opens
  // the message.
  void check(OrtStatus* status, const std::string& doing) const;

 private:
  Runtime(void* handle, std::string path);

  Api api_{};
  OrtEnv* env_ = nullptr;
  std::string version_;
  std::string path_;
};

class Session {
 public:
  // Loads a model; `threads` work on one inference: the caller's and threads - 1 made here. They
  // wait without spinning, since a waiting thread must cost other tenants nothing. `name` opens
  // messages. `weights` are for the files that the model names.
  Session(const Runtime& runtime, std::span<const std::byte> model,
          std::span<const WeightsFile> weights, unsigned threads, std::string name);
  Session(const Session&) = delete;

  const std::vector<TensorInfo>& inputs() const { return inputs_; }
  const std::vector<TensorInfo>& outputs() const { return outputs_; }

  // Throws Error(EINVAL) that says which of the inputs does not fit, and how.
  void check(std::span<const TensorView> inputs) const;
  std::vector<Tensor> run(std::span<const TensorView> inputs) const;

 private:
  const Runtime& runtime_;
  const std::string name_;
  std::unique_ptr<OrtSession, void (*)(OrtSession*)> session_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
  std::vector<const char*> input_names_;  // point into inputs_ and outputs_: Run wants arrays
  std::vector<const char*> output_names_;
};

}  // namespace aiaccel::ort
