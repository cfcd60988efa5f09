// SPDX-License-Identifier: MIT
//
// `aiaccel run`'s inputs: --input, --value and --dim taken apart, and tensors made by them to the
// shapes of a model that the input makes up. Files are always the same one: which file a user names
// is up to them.
//
// What has to hold: a Failure or inputs, one for each that the model takes, as long as their shapes
// ask for.
#include "libfuzzer/fuzz.hpp"

#include <unistd.h>

#include <fstream>

#include <aiaccel/error.hpp>

#include "aiaccel/inputs.hpp"
#include "common/failure.hpp"

namespace {

constexpr std::int64_t kMostOfDimension = 16;

// A file of 24 bytes, which is a length that several shapes have.
const std::string& some_file() {
  static const std::string path = [] {
    char name[] = "/tmp/aiaccel-fuzz-XXXXXX";
    const int fd = mkstemp(name);
    MUST(fd >= 0 && write(fd, "0123456789abcdefghijklmn", 24) == 24);
    close(fd);
    std::atexit([] { unlink(some_file().c_str()); });
    return std::string(name);
  }();
  return path;
}

std::string name(fuzz::Input& in) {
  static const char* const kNames[] = {"x", "y", "a=b", "", "x.0", "batch"};
  const unsigned which = in.below(8);
  return which < std::size(kNames) ? kNames[which] : in.text(12);
}

std::vector<std::string> arguments(fuzz::Input& in) {
  std::vector<std::string> texts;
  for (unsigned count = in.below(4); count; --count) {
    std::string text = in.below(4) == 3 ? "" : name(in) + "=";
    texts.push_back(text += in.text(24));
  }
  return texts;
}

std::vector<aiaccel::TensorInfo> model(fuzz::Input& in) {
  std::vector<aiaccel::TensorInfo> infos(in.below(4));
  for (aiaccel::TensorInfo& info : infos) {
    info.name = name(in);
    info.type = static_cast<aiaccel::ElementType>(in.below(18));
    for (unsigned axes = in.below(5); axes; --axes) {
      info.shape.push_back(static_cast<std::int64_t>(in.below(kMostOfDimension + 1)) - 1);
      info.symbols.push_back(info.shape.back() < 0 ? name(in) : "");
    }
  }
  return infos;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::vector<aiaccel::TensorInfo> wanted = model(in);
  try {
    tools::InputChoice choice = tools::parse_choice(arguments(in), arguments(in), arguments(in));
    for (auto& [input, file] : choice.files) {
      MUST(!input.empty() && !file.empty());
      file = some_file();
    }
    for (const auto& [dimension, length] : choice.dimensions) {
      MUST(!dimension.empty() && length >= 0);
      if (length > kMostOfDimension) return 0;  // only takes memory
    }
    const std::vector<tools::Input> made = tools::make_inputs(wanted, choice);
    MUST(made.size() == wanted.size());
    for (std::size_t i = 0; i < made.size(); ++i) {
      const aiaccel::Tensor& tensor = made[i].tensor;
      MUST(tensor.type() == wanted[i].type && tensor.shape().size() == wanted[i].shape.size());
      MUST(tensor.bytes().size() == aiaccel::tensor_bytes(tensor.type(), tensor.shape()));
      for (std::size_t axis = 0; axis < tensor.shape().size(); ++axis)
        MUST(wanted[i].shape[axis] < 0 || tensor.shape()[axis] == wanted[i].shape[axis]);
    }
  } catch (const tools::Failure&) {
  } catch (const aiaccel::Error&) {
  }
  return 0;
}
