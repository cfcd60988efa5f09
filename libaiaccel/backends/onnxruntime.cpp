// SPDX-License-Identifier: MIT
//
// ONNX Runtime: finding it, and sessions over its C ABI. See onnxruntime.hpp for the invariants.

#include "backends/onnxruntime.hpp"

#include <dlfcn.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <utility>

#include <aiaccel/error.hpp>

#include "mutex.h"

namespace aiaccel::ort {
namespace {

// Some builds report their use to their maker, from threads and with files of their own, unless
// this is set before they start; their API can only stop it after the first report. What shares a
// host must not do that unasked. While this library is loaded there are no other threads as a rule,
// and later setenv() would not be safe beside their getenv().
[[gnu::constructor]] void disable_telemetry() {
  ::setenv("ORT_DISABLE_TELEMETRY", "1", 0);
}

// An object of the runtime that goes back by its Release entry.
template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

int to_errno(int code) {
  switch (code) {
    case kInvalidArgument:
      return EINVAL;
    case kNoSuchFile:
      return ENOENT;
    case kNoModel:
    case kInvalidProtobuf:
    case kInvalidGraph:
      return EBADMSG;
    case kNotImplemented:
      return EOPNOTSUPP;
    default:
      return EIO;
  }
}

// Where the library may be, in the order in which it is tried. The plain soname is what the
// project's own builds carry; Debian's carries the minor version, of which a newer one is
// preferred.
std::vector<std::string> places() {
  if (const char* named = secure_getenv("AIACCEL_ONNXRUNTIME"); named && *named) return {named};
  std::vector<std::string> names = {"libonnxruntime.so.1"};
  for (int minor = 40; minor >= 16; minor--)
    names.push_back("libonnxruntime.so.1." + std::to_string(minor));
  const char* cache = secure_getenv("XDG_CACHE_HOME");
  const char* home = secure_getenv("HOME");
  if (cache && *cache)
    names.push_back(std::string(cache) + "/aiaccel/lib/libonnxruntime.so.1");
  else if (home && *home)
    names.push_back(std::string(home) + "/.cache/aiaccel/lib/libonnxruntime.so.1");
  return names;
}

// To be given to a session for the files that its model names.
void add_weights(const Runtime& runtime, OrtSessionOptions* options,
                 std::span<const WeightsFile> weights) {
  if (weights.empty()) return;
  if (!runtime.api().AddExternalInitializersFromFilesInMemory)
    throw Error(EOPNOTSUPP,
                "weights in other files need ONNX Runtime 1.18, and this is " + runtime.version());
  std::vector<const char*> locations;
  std::vector<char*> files;
  std::vector<std::size_t> file_bytes;
  for (const WeightsFile& each : weights) {
    locations.push_back(each.location.c_str());
    // The runtime copies from them, although its signature would let it write.
    files.push_back(reinterpret_cast<char*>(const_cast<std::byte*>(each.bytes.data())));
    file_bytes.push_back(each.bytes.size());
  }
  runtime.check(runtime.api().AddExternalInitializersFromFilesInMemory(
                    options, locations.data(), files.data(), file_bytes.data(), weights.size()),
                "adding weights");
}

std::string file_of(const void* address, const std::string& otherwise) {
  Dl_info info;
  if (!dladdr(address, &info) || !info.dli_fname) return otherwise;
  char resolved[PATH_MAX];
  return realpath(info.dli_fname, resolved) ? resolved : info.dli_fname;
}

TensorInfo describe(const Runtime& runtime, std::string name, const OrtTypeInfo* type) {
  const Api& api = runtime.api();
  TensorInfo info;
  info.name = std::move(name);
  int kind = 0;
  runtime.check(api.GetOnnxTypeFromTypeInfo(type, &kind), "reading a type");
  if (kind != kTypeTensor)
    throw Error(EOPNOTSUPP,
                "'" + info.name + "' of the model is no tensor; only tensors can be carried");
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  runtime.check(api.CastTypeInfoToTensorInfo(type, &tensor), "reading a tensor's type");
  int element = 0;
  runtime.check(api.GetTensorElementType(tensor, &element), "reading an element type");
  info.type = static_cast<ElementType>(element);
  if (!element_bytes(info.type))
    throw Error(EOPNOTSUPP, "'" + info.name + "' has elements of " + to_string(info.type) +
                                "; only those of a fixed size can be carried");
  std::size_t rank = 0;
  runtime.check(api.GetDimensionsCount(tensor, &rank), "reading a rank");
  info.shape.resize(rank);
  runtime.check(api.GetDimensions(tensor, info.shape.data(), rank), "reading a shape");
  std::vector<const char*> symbols(rank);
  runtime.check(api.GetSymbolicDimensions(tensor, symbols.data(), rank), "reading a shape");
  info.symbols.assign(symbols.begin(), symbols.end());
  return info;
}

// Why `given` cannot be fed to `wanted`, "" when it can.
std::string misfit(const TensorInfo& wanted, const TensorView& given) {
  bool fits = given.type == wanted.type && given.shape.size() == wanted.shape.size();
  for (std::size_t i = 0; fits && i < wanted.shape.size(); i++)
    fits = wanted.shape[i] < 0 || wanted.shape[i] == given.shape[i];
  if (!fits)
    return "takes " + to_string(wanted) + ", and " + to_string(given.type, given.shape) +
           " is given";
  if (std::size_t bytes = tensor_bytes(given.type, given.shape); bytes != given.bytes.size())
    return "takes " + std::to_string(bytes) + " bytes for " + wanted.name + ", and " +
           std::to_string(given.bytes.size()) + " are given";
  return {};
}

// Debian's build of the runtime brings each operator twice, itself and by its libonnx, and tells
// std::cerr so, in some 570 lines, when a process makes its first session. That is nobody's error:
// real ones come as a status. While this lives, std::cerr is silent for all threads, where there is
// such a build.
class SilentDuplicates {
 public:
  SilentDuplicates() {
    void* libonnx = dlopen("libonnx.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (!libonnx) return;
    dlclose(libonnx);
    before_ = std::cerr.rdbuf(nullptr);
  }
  ~SilentDuplicates() {
    if (before_) std::cerr.rdbuf(before_);
  }
  SilentDuplicates(const SilentDuplicates&) = delete;

 private:
  std::streambuf* before_ = nullptr;
};

}  // namespace

Runtime::Runtime(void* handle, std::string path) : path_(std::move(path)) {
  auto get_base = reinterpret_cast<const ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  if (!get_base) throw Error(ENOSYS, "has no OrtGetApiBase: not an ONNX Runtime");
  const ApiBase* base = get_base();
  version_ = base->GetVersionString();
  const void* const* table = base->GetApi(kApiVersion);
  if (!table)
    throw Error(ENOSYS, "version " + version_ + " has no API " + std::to_string(kApiVersion));
  path_ = file_of(reinterpret_cast<const void*>(get_base), path_);
#define AIACCEL_ORT_FILL(index, name, result, arguments) \
  api_.name = reinterpret_cast<result(*) arguments>(const_cast<void*>(table[index]));
  AIACCEL_ORT_ENTRIES(AIACCEL_ORT_FILL)
  if (may_have(version_, kWeightsVersion) && base->GetApi(kWeightsVersion)) {
    AIACCEL_ORT_LATER_ENTRIES(AIACCEL_ORT_FILL)
  }
#undef AIACCEL_ORT_FILL
  check(api_.CreateEnv(kLogFatal, "aiaccel", &env_), "starting ONNX Runtime");
}

Runtime::~Runtime() {
  api_.ReleaseEnv(env_);
}

std::unique_ptr<const Runtime> Runtime::load() {
  std::string tried;
  for (const std::string& place : places()) {
    void* handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      // The minor versions are guesses: that one of them is not installed tells nothing.
      const std::string why = dlerror();
      const bool guess = place.starts_with("libonnxruntime.so.1.");
      if (!guess || !why.starts_with(place + ": cannot open")) tried += "; " + why;
      continue;
    }
    try {
      return std::unique_ptr<const Runtime>(new Runtime(handle, place));
    } catch (const std::exception& error) {
      tried += "; " + place + ": " + error.what();
    }
  }
  throw Error(ENOSYS, "no ONNX Runtime was found" + tried);
}

const Runtime& Runtime::get() {
  // Never destroyed: its threads may still run while the process ends.
  static const std::pair<const Runtime*, std::exception_ptr> found = [] {
    std::pair<const Runtime*, std::exception_ptr> result;
    try {
      result.first = load().release();
    } catch (...) {
      result.second = std::current_exception();
    }
    return result;
  }();
  if (!found.first) std::rethrow_exception(found.second);
  return *found.first;
}

void Runtime::check(OrtStatus* status, const std::string& doing) const {
  if (!status) return;
  Owned<OrtStatus> owned(status, api_.ReleaseStatus);
  throw Error(to_errno(api_.GetErrorCode(status)), doing + ": " + api_.GetErrorMessage(status));
}

Session::Session(const Runtime& runtime, std::span<const std::byte> model,
                 std::span<const WeightsFile> weights, unsigned threads, std::string name)
    : runtime_(runtime), name_(std::move(name)), session_(nullptr, runtime.api().ReleaseSession) {
  const Api& api = runtime.api();
  OrtSessionOptions* options = nullptr;
  runtime.check(api.CreateSessionOptions(&options), "making session options");
  Owned<OrtSessionOptions> owned_options(options, api.ReleaseSessionOptions);
  runtime.check(api.SetSessionExecutionMode(options, kSequential), "setting the execution mode");
  runtime.check(api.SetIntraOpNumThreads(options, static_cast<int>(threads)), "setting threads");
  runtime.check(api.SetInterOpNumThreads(options, 1), "setting threads");
  runtime.check(api.AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"),
                "turning spinning off");
  // What is not among `weights` is looked for in the working directory otherwise.
  runtime.check(api.AddSessionConfigEntry(
                    options, "session.model_external_initializers_file_folder_path", "/dev/null/"),
                "keeping the runtime from files");
  add_weights(runtime, options, weights);
  OrtSession* session = nullptr;
  auto create = [&] {
    runtime.check(
        api.CreateSessionFromArray(runtime.env(), model.data(), model.size(), options, &session),
        "cannot load " + name_);
  };
  static Mutex lock;
  static bool one_was_made GUARDED_BY(lock) = false;
  if (Lock guard(lock); !one_was_made) {
    SilentDuplicates silent;
    create();
    one_was_made = true;
  }
  if (!session) create();
  session_.reset(session);

  OrtAllocator* allocator = nullptr;
  runtime.check(api.GetAllocatorWithDefaultOptions(&allocator), "finding the allocator");
  auto describe_all = [&](auto count_of, auto name_of, auto type_of) {
    std::vector<TensorInfo> all;
    std::size_t count = 0;
    runtime.check(count_of(session, &count), "counting inputs and outputs");
    for (std::size_t i = 0; i < count; i++) {
      char* raw_name = nullptr;
      runtime.check(name_of(session, i, allocator, &raw_name), "reading a name");
      std::string name = raw_name;
      runtime.check(api.AllocatorFree(allocator, raw_name), "freeing a name");
      OrtTypeInfo* type = nullptr;
      runtime.check(type_of(session, i, &type), "reading a type");
      Owned<OrtTypeInfo> owned_type(type, api.ReleaseTypeInfo);
      all.push_back(describe(runtime, std::move(name), type));
    }
    return all;
  };
  inputs_ =
      describe_all(api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo);
  outputs_ = describe_all(api.SessionGetOutputCount, api.SessionGetOutputName,
                          api.SessionGetOutputTypeInfo);
  for (const TensorInfo& info : inputs_) input_names_.push_back(info.name.c_str());
  for (const TensorInfo& info : outputs_) output_names_.push_back(info.name.c_str());
}

void Session::check(std::span<const TensorView> inputs) const {
  if (inputs.size() != inputs_.size())
    throw Error(EINVAL, name_ + " takes " + std::to_string(inputs_.size()) + " inputs, and " +
                            std::to_string(inputs.size()) + " are given");
  for (std::size_t i = 0; i < inputs.size(); i++)
    if (std::string why = misfit(inputs_[i], inputs[i]); !why.empty())
      throw Error(EINVAL, name_ + " " + why);
}

std::vector<Tensor> Session::run(std::span<const TensorView> inputs) const {
  check(inputs);
  const Api& api = runtime_.api();
  OrtMemoryInfo* memory = nullptr;
  runtime_.check(api.CreateCpuMemoryInfo(kArenaAllocator, kMemoryDefault, &memory),
                 "naming memory");
  Owned<OrtMemoryInfo> owned_memory(memory, api.ReleaseMemoryInfo);

  std::vector<Owned<OrtValue>> owned;
  auto own = [&](OrtValue* value) { owned.emplace_back(value, api.ReleaseValue); };
  std::vector<const OrtValue*> values;
  static std::byte nothing;  // an empty tensor needs an address all the same
  for (const TensorView& input : inputs) {
    // The runtime does not write to inputs, although its signature allows it to.
    void* data = input.bytes.empty() ? &nothing : const_cast<std::byte*>(input.bytes.data());
    OrtValue* value = nullptr;
    runtime_.check(api.CreateTensorWithDataAsOrtValue(memory, data, input.bytes.size(),
                                                      input.shape.data(), input.shape.size(),
                                                      static_cast<int>(input.type), &value),
                   "making an input");
    own(value);
    values.push_back(value);
  }

  std::vector<OrtValue*> results(outputs_.size());
  OrtStatus* status =
      api.Run(session_.get(), nullptr, input_names_.data(), values.data(), values.size(),
              output_names_.data(), output_names_.size(), results.data());
  for (OrtValue* result : results) own(result);
  runtime_.check(status, "cannot run " + name_);

  std::vector<Tensor> outputs;
  for (OrtValue* result : results) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    runtime_.check(api.GetTensorTypeAndShape(result, &info), "reading an output");
    Owned<OrtTensorTypeAndShapeInfo> owned_info(info, api.ReleaseTensorTypeAndShapeInfo);
    int element = 0;
    std::size_t rank = 0;
    runtime_.check(api.GetTensorElementType(info, &element), "reading an output");
    runtime_.check(api.GetDimensionsCount(info, &rank), "reading an output");
    Shape shape(rank);
    runtime_.check(api.GetDimensions(info, shape.data(), rank), "reading an output");
    void* data = nullptr;
    runtime_.check(api.GetTensorMutableData(result, &data), "reading an output");
    auto type = static_cast<ElementType>(element);
    std::size_t bytes = tensor_bytes(type, shape);
    outputs.emplace_back(type, std::move(shape),
                         std::span<const std::byte>(static_cast<const std::byte*>(data), bytes));
  }
  return outputs;
}

}  // namespace aiaccel::ort
