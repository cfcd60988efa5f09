// SPDX-License-Identifier: MIT
//
// See inputs.hpp.
#include "aiaccel/inputs.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <span>

#include "aiaccel/element.hpp"
#include "common/failure.hpp"

namespace tools {
namespace {

using aiaccel::ElementType;
using aiaccel::Shape;
using aiaccel::TensorInfo;

Failure usage(const std::string& what, const std::string& advice) {
  return Failure(what, advice, exit_usage);
}

// `NAME=VALUE`. The last = counts where values have none, so that names may have it.
std::pair<std::string, std::string> take_apart(const std::string& text, const char* form,
                                               std::size_t equals) {
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw usage(fmt::format("'{}' is not of the form {}", text, form), "`aiaccel run --help`");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Failure not_a(const char* what, const std::string& text, const std::string& name) {
  return usage(fmt::format("'{}' is no {} for '{}'", text, what, name), "`aiaccel run --help`");
}

template <typename T>
T parse_number(const std::string& text, const char* what, const std::string& name) {
  T number{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) throw not_a(what, text, name);
  return number;
}

std::vector<std::byte> read_all(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) error.assign(EISDIR, std::generic_category());
  std::ifstream file;
  if (!error) {
    errno = 0;
    file.open(path, std::ios::binary);
    if (!file) error.assign(errno ? errno : EIO, std::generic_category());
  }
  if (error) throw Failure(fmt::format("cannot read {}: {}", path.string(), error.message()), "");
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto all = std::as_bytes(std::span(bytes));
  return {all.begin(), all.end()};
}

std::string axis_name(const TensorInfo& info, std::size_t axis) {
  return fmt::format("{}.{}", info.name, axis);
}

// The shape of an input once every free dimension has a size.
Shape resolve(const TensorInfo& info, const InputChoice& choice,
              std::optional<std::size_t> file_bytes) {
  Shape shape = info.shape;
  std::vector<std::size_t> open;  // free dimensions that nobody gave a size
  for (std::size_t axis = 0; axis < shape.size(); axis++) {
    if (shape[axis] >= 0) continue;
    auto given = choice.dimensions.find(axis_name(info, axis));
    if (given == choice.dimensions.end() && !info.symbols[axis].empty())
      given = choice.dimensions.find(info.symbols[axis]);
    shape[axis] = 1;
    if (given == choice.dimensions.end())
      open.push_back(axis);
    else
      shape[axis] = given->second;
  }
  if (file_bytes && open.size() == 1) {
    const std::size_t one = aiaccel::tensor_bytes(info.type, shape);
    if (one && *file_bytes % one == 0)
      shape[open[0]] = static_cast<std::int64_t>(*file_bytes / one);
  }
  return shape;
}

// Small noise: enough to keep a network busy, and no infinities on the way through it.
template <typename T>
void fill_noise(std::span<T> values) {
  std::mt19937 random(1);  // the same numbers from every standard library
  for (T& value : values)
    value = static_cast<T>(random()) / static_cast<T>(std::mt19937::max()) / 5 - T(0.1);
}

aiaccel::Tensor generate(const TensorInfo& info, Shape shape) {
  aiaccel::Tensor tensor(info.type, std::move(shape));
  if (info.type == ElementType::f32) fill_noise(tensor.data<float>());
  if (info.type == ElementType::f64) fill_noise(tensor.data<double>());
  return tensor;
}

// Every element `value`, which the type must be able to hold.
aiaccel::Tensor fill(const TensorInfo& info, Shape shape, double value) {
  aiaccel::Tensor tensor(info.type, std::move(shape));
  bool fits = false;
  with_element(info.type, [&]<typename T>(std::type_identity<T>) {
    using Limits = std::numeric_limits<T>;
    // The bounds as powers of two: the largest 64-bit integers have no double of their own.
    fits = !Limits::is_integer ||
           (std::trunc(value) == value && value >= std::ldexp(-Limits::is_signed, Limits::digits) &&
            value < std::ldexp(1, Limits::digits));
    if (!fits) return;
    const T element = static_cast<T>(value);
    for (std::size_t at = 0; at < tensor.bytes().size(); at += sizeof element)
      std::memcpy(tensor.bytes().data() + at, &element, sizeof element);
  });
  if (!fits)
    throw usage(fmt::format("input '{}' is {} and cannot hold {}", info.name,
                            aiaccel::to_string(info.type), value),
                "`aiaccel run --input NAME=FILE` takes anything");
  return tensor;
}

// A name that no input or dimension bears is a slip of the pen.
void check_names(const std::vector<TensorInfo>& wanted, const InputChoice& choice) {
  std::set<std::string> inputs;
  std::set<std::string> dimensions;
  for (const TensorInfo& info : wanted) {
    inputs.insert(info.name);
    for (std::size_t axis = 0; axis < info.shape.size(); axis++) {
      if (info.shape[axis] >= 0) continue;
      dimensions.insert(axis_name(info, axis));
      if (!info.symbols[axis].empty()) dimensions.insert(info.symbols[axis]);
    }
  }
  const auto names = [](const std::set<std::string>& all) {
    return all.empty() ? "it has none" : fmt::format("it has {}", fmt::join(all, ", "));
  };
  const auto check_input = [&](const std::string& name) {
    if (!inputs.contains(name))
      throw usage(fmt::format("the model has no input '{}'", name), names(inputs));
  };
  for (const auto& [name, file] : choice.files) {
    check_input(name);
    if (choice.values.contains(name))
      throw usage(fmt::format("input '{}' is given by --input and by --value", name),
                  "one of them");
  }
  for (const auto& [name, value] : choice.values) check_input(name);
  for (const auto& [name, size] : choice.dimensions)
    if (!dimensions.contains(name))
      throw usage(fmt::format("the model has no free dimension '{}'", name), names(dimensions));
}

}  // namespace

InputChoice parse_choice(const std::vector<std::string>& files,
                         const std::vector<std::string>& values,
                         const std::vector<std::string>& dimensions) {
  InputChoice choice;
  for (const std::string& text : files) {
    auto [name, file] = take_apart(text, "NAME=FILE", text.find('='));
    choice.files[name] = file;
  }
  for (const std::string& text : values) {
    auto [name, number] = take_apart(text, "NAME=NUMBER", text.rfind('='));
    choice.values[name] = parse_number<double>(number, "number", name);
  }
  for (const std::string& text : dimensions) {
    auto [name, number] = take_apart(text, "NAME=N", text.rfind('='));
    const auto size = parse_number<std::int64_t>(number, "size", name);
    if (size < 0) throw not_a("size", number, name);
    choice.dimensions[name] = size;
  }
  return choice;
}

std::vector<Input> make_inputs(const std::vector<TensorInfo>& wanted, const InputChoice& choice) {
  check_names(wanted, choice);
  std::vector<Input> inputs;
  for (const TensorInfo& info : wanted) {
    const auto file = choice.files.find(info.name);
    const auto value = choice.values.find(info.name);
    if (value != choice.values.end()) {
      inputs.push_back({fill(info, resolve(info, choice, {}), value->second), "filled"});
      continue;
    }
    if (file == choice.files.end()) {
      inputs.push_back({generate(info, resolve(info, choice, {})), "generated"});
      continue;
    }
    const std::vector<std::byte> bytes = read_all(file->second);
    Shape shape = resolve(info, choice, bytes.size());
    const std::size_t needed = aiaccel::tensor_bytes(info.type, shape);
    if (needed != bytes.size())
      throw Failure(
          fmt::format("{} has {} bytes, but input '{}' as {} takes {}", file->second.string(),
                      bytes.size(), info.name, aiaccel::to_string(info.type, shape), needed),
          "give its free dimensions by --dim, or a file of that length");
    inputs.push_back({aiaccel::Tensor(info.type, std::move(shape), bytes), file->second.string()});
  }
  return inputs;
}

}  // namespace tools
