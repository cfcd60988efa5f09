// SPDX-License-Identifier: MIT
//
// Models: reading a file, loading it by ONNX Runtime, telling whether one can replace another.

#include <aiaccel/model.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include <aiaccel/metadata.hpp>

#include "backends/onnxruntime.hpp"
#include "formats/files.h"

namespace aiaccel {
namespace {

constexpr std::size_t kMaxLabel = 63;  // AIACCEL_LABEL_LEN without its NUL

void check_label(const std::string& label) {
  if (label.empty() || label.size() > kMaxLabel ||
      !std::all_of(label.begin(), label.end(), [](char c) { return c >= 0x20 && c < 0x7f; }))
    throw Error(EINVAL,
                "a model's label is 1 to 63 bytes of printable ASCII, and '" + label + "' is not");
}

// The whole file into memory: a mapping would turn a file that is cut short later into a SIGBUS.
std::vector<std::byte> read_whole(const formats::OpenFile& file) {
  std::vector<std::byte> bytes(file.size());
  std::size_t have = 0;
  while (have < bytes.size()) {
    ssize_t got = ::read(file.fd(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(errno, "cannot read " + file.name());
    if (got == 0) throw Error(EBADMSG, file.name() + " was cut short while it was read");
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

// Why the runtime would not take a file for that tensor that it is given, and look for one; nullptr
// where it takes it.
const char* why_not_given(const TensorRecord& tensor) {
  if (!tensor.scope.empty())
    return "belong to a graph inside the model's: they must be in its file";
  if (tensor.type.starts_with("sparse")) return "are sparse: they must be in the model's file";
  if (std::filesystem::path(tensor.file).lexically_normal() != tensor.file)
    return "are in a place that is not named in the shortest way";
  return nullptr;
}

// What Model::weights_beside() says of a model of that name.
std::vector<std::string> named_by(const std::vector<std::byte>& bytes, const std::string& name) {
  try {
    return bytes.empty() ? std::vector<std::string>() : Model::weights_beside(bytes);
  } catch (const Error& error) {
    throw Error(error.code().value(), "cannot load " + name + ": " + error.what());
  }
}

// Whether every tensor that fits `narrow` fits `wide` as well.
bool covers(const TensorInfo& wide, const TensorInfo& narrow) {
  if (wide.name != narrow.name || wide.type != narrow.type ||
      wide.shape.size() != narrow.shape.size())
    return false;
  for (std::size_t d = 0; d < wide.shape.size(); d++)
    if (wide.shape[d] >= 0 && wide.shape[d] != narrow.shape[d]) return false;
  return true;
}

// What differs between two lists of inputs or outputs, "" when `fits` holds for each pair.
template <typename Fits>
std::string difference(const char* what, const std::vector<TensorInfo>& now,
                       const std::vector<TensorInfo>& next, Fits fits) {
  if (now.size() != next.size())
    return std::to_string(now.size()) + " " + what + "s become " + std::to_string(next.size());
  for (std::size_t i = 0; i < now.size(); i++)
    if (!fits(now[i], next[i]))
      return std::string(what) + " " + to_string(now[i]) + " becomes " + to_string(next[i]);
  return {};
}

}  // namespace

struct [[gnu::visibility("hidden")]] Model::State {
  std::string label;
  std::filesystem::path file;
  std::vector<std::byte> bytes;
  std::vector<WeightsFile> weights;
  std::shared_ptr<const ort::Session> session;  // of width 1

  std::shared_ptr<const ort::Session> load(unsigned width) const {
    return std::make_shared<ort::Session>(ort::Runtime::get(), bytes, weights, width,
                                          file.empty() ? label : file.string());
  }
};

OnnxRuntime OnnxRuntime::find() {
  try {
    const ort::Runtime& runtime = ort::Runtime::get();
    return {.present = true, .version = runtime.version(), .path = runtime.path(), .reason = {}};
  } catch (const Error& error) {
    return {.present = false, .version = {}, .path = {}, .reason = error.what()};
  }
}

Model Model::load(std::vector<std::byte> bytes, std::vector<WeightsFile> weights, std::string label,
                  std::filesystem::path file) {
  if (bytes.empty()) throw Error(EBADMSG, label + ": the model has no bytes");
  auto state = std::make_shared<State>();
  state->label = std::move(label);
  state->file = std::move(file);
  state->bytes = std::move(bytes);
  state->weights = std::move(weights);
  state->session = state->load(1);
  return Model(std::move(state));
}

Model Model::open(const std::filesystem::path& file, std::string label) {
  if (label.empty()) label = file.stem().string();
  check_label(label);
  std::vector<std::byte> bytes = read_whole(formats::OpenFile::named(file));
  std::vector<WeightsFile> weights;
  // Links inside the model's folder are its owner's, those out of it nobody's.
  const std::filesystem::path parent = file.parent_path();
  formats::Folder folder(file, {.beneath = parent.empty() ? "." : parent});
  formats::Budget budget;
  const formats::Source source(file.string(), bytes, budget);
  for (std::string& location : named_by(bytes, file.string())) {
    std::vector<std::byte> beside = read_whole(folder.open(source, 0, location));
    weights.push_back({std::move(location), std::move(beside)});
  }
  return load(std::move(bytes), std::move(weights), std::move(label), file);
}

// The runtime would look for a file that is missing in the working directory, whatever lies there.
Model Model::from_bytes(std::vector<std::byte> bytes, std::string label,
                        std::vector<WeightsFile> weights) {
  check_label(label);
  for (const std::string& location : named_by(bytes, label))
    if (std::none_of(weights.begin(), weights.end(),
                     [&](const WeightsFile& each) { return each.location == location; }))
      throw Error(ENOENT, "cannot load " + label + ": it keeps weights in '" + location +
                              "', which is not there");
  return load(std::move(bytes), std::move(weights), std::move(label), {});
}

std::vector<std::string> Model::weights_beside(std::span<const std::byte> bytes) {
  std::set<std::string> locations;
  for (TensorRecord& tensor : read_metadata(bytes, ModelFormat::onnx).tensors) {
    if (tensor.file.empty()) continue;
    if (const char* why = why_not_given(tensor))
      throw Error(EOPNOTSUPP, "the weights '" + tensor.name + "' in '" + tensor.file + "' " + why);
    locations.insert(std::move(tensor.file));
  }
  return {locations.begin(), locations.end()};
}

const std::string& Model::label() const {
  return state_->label;
}

std::string Model::name() const {
  return state_->label.substr(0, state_->label.find('@'));
}

std::string Model::version() const {
  std::size_t at = state_->label.find('@');
  return at == std::string::npos ? "" : state_->label.substr(at + 1);
}

const std::filesystem::path& Model::file() const {
  return state_->file;
}

std::size_t Model::size_bytes() const {
  std::size_t sum = state_->bytes.size();
  for (const WeightsFile& each : state_->weights) sum += each.bytes.size();
  return sum;
}

const std::vector<TensorInfo>& Model::inputs() const {
  return state_->session->inputs();
}

const std::vector<TensorInfo>& Model::outputs() const {
  return state_->session->outputs();
}

std::vector<Tensor> Model::run(std::span<const TensorView> inputs) const {
  return state_->session->run(inputs);
}

std::vector<Tensor> Model::run(std::span<const Tensor> inputs) const {
  return run(std::vector<TensorView>(inputs.begin(), inputs.end()));
}

std::string Model::replaceable_by(const Model& next) const {
  auto takes = [](const TensorInfo& now, const TensorInfo& then) { return covers(then, now); };
  std::string why = difference("input", inputs(), next.inputs(), takes);
  return why.empty() ? difference("output", outputs(), next.outputs(), covers) : why;
}

std::shared_ptr<const ort::Session> Model::session() const {
  return state_->session;
}

std::shared_ptr<const ort::Session> Model::load_session(unsigned width) const {
  return state_->load(width);
}

}  // namespace aiaccel
