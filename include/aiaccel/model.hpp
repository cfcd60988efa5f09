// SPDX-License-Identifier: MIT
//
// A Model: one version of one ONNX model, read, checked and ready to run.
//
// A model is immutable and shared: copies are handles to the same thing, which lives until the last
// one is gone. Its label names it in every answer and in the queues of the engines it runs on:
// `silero-vad@v5` is version `v5` of `silero-vad`.
//
// Every function may be called from any number of threads at once.
#ifndef AIACCEL_MODEL_HPP
#define AIACCEL_MODEL_HPP

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <aiaccel/error.hpp>
#include <aiaccel/tensor.hpp>

namespace aiaccel {

namespace ort {
class Session;
}

// The ONNX Runtime found on this machine, or why there is none. Looking is done once.
//
// Some builds report their use to their maker unless ORT_DISABLE_TELEMETRY is set before they are
// loaded. This library sets it to 1 when it is loaded itself, unless it is set: to have them
// report, start the program with 0.
struct OnnxRuntime {
  bool present = false;
  std::string version;  // "1.21.0"
  std::string path;     // the library's file
  std::string reason;   // where it was looked for and what each place said, when absent

  [[gnu::visibility("default")]] static OnnxRuntime find();
};

// A file that holds weights of a model beside the model's own (ONNX's external data).
struct WeightsFile {
  std::string location;  // as the model names it, relative to its own folder
  std::vector<std::byte> bytes;
};

class [[gnu::visibility("default")]] Model {
 public:
  // Reads the whole file, with those beside it that it keeps weights in, and loads it. `label` is
  // printable ASCII of at most 63 bytes, by default the file's name without its suffix. Throws
  // Error: what open(2) and read(2) say; ENOSYS without an ONNX Runtime; EBADMSG when the file is
  // no ONNX model; EOPNOTSUPP when it has inputs or outputs that are not tensors of fixed-size
  // elements, or operators that the runtime lacks, or keeps weights in other files and the runtime
  // is older than 1.18.
  static Model open(const std::filesystem::path& file, std::string label = {});

  // The same, of bytes already in memory: what was verified is what is loaded, and no file is read.
  // ENOENT when the model keeps weights in a file that is not among `weights`.
  static Model from_bytes(std::vector<std::byte> bytes, std::string label,
                          std::vector<WeightsFile> weights = {});

  // The locations of the files that from_bytes() wants beside these bytes of an ONNX model. Throws
  // FormatError; EOPNOTSUPP for weights in other files that are sparse, of a graph inside the
  // model's, or at a location such as "./w", which no runtime can be given.
  static std::vector<std::string> weights_beside(std::span<const std::byte> bytes);

  const std::string& label() const;           // "silero-vad@v5"
  std::string name() const;                   // "silero-vad"
  std::string version() const;                // "v5", or "" without one
  const std::filesystem::path& file() const;  // empty for bytes
  std::size_t size_bytes() const;             // weights in other files included

  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;

  // One inference on the calling thread, past every gate: for tools, tests and warming up. Inputs
  // are in the order of inputs(), results in that of outputs(). Throws Error: EINVAL when the
  // inputs do not fit, saying which and how; EIO when the runtime fails.
  std::vector<Tensor> run(std::span<const TensorView> inputs) const;
  std::vector<Tensor> run(std::span<const Tensor> inputs) const;

  // Says why `next` cannot take this model's place, "" when it can: inputs and outputs agree in
  // name, order, element type and rank; it takes every shape that this one takes, and gives no
  // other.
  std::string replaceable_by(const Model& next) const;

 private:
  friend class Deployment;
  struct State;

  [[gnu::visibility("hidden")]] static Model load(std::vector<std::byte> bytes,
                                                  std::vector<WeightsFile> weights,
                                                  std::string label, std::filesystem::path file);
  // The session that the model itself has, of width 1: it has no threads of its own.
  [[gnu::visibility("hidden")]] std::shared_ptr<const ort::Session> session() const;
  // Another one, whose width - 1 threads are made by the calling thread and inherit its class.
  [[gnu::visibility("hidden")]] std::shared_ptr<const ort::Session> load_session(unsigned width)
      const;

  explicit Model(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace aiaccel

#endif  // AIACCEL_MODEL_HPP
