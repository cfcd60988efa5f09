// SPDX-License-Identifier: MIT
//
// What the tests of the registry share: a folder of their own, models to add, and git to ask. The
// home is another than the user's, so that nobody's configuration of git matters. One thread at a
// time.
#pragma once

#include <tap/tap.hpp>

#include <aiaccel/registry.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace lab {

using Path = std::filesystem::path;

class Lab {
 public:
  // In memory: for who writes much, and minds no disk.
  enum Where { kDisk, kQuick };
  explicit Lab(Where where = kDisk);
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;
  ~Lab();

  const Path& top() const { return top_; }
  Path registry() const { return top_ / "registry"; }
  // What a program printed, both streams, without the last newline. It is to succeed.
  std::string sh(const std::string& command, const Path& in) const;
  std::string git(const std::string& arguments) const { return sh("git " + arguments, registry()); }
  // Everything that git and git-lfs check.
  void check_whole(const Path& where) const;
  void check_whole() const { check_whole(registry()); }

  Path write(const std::string& path, const std::string& contents) const;
  // A folder with a model of one small ONNX file whose weights depend on `seed`.
  Path model(const std::string& name, int seed) const;

 private:
  Path top_;
};

// A minimal ONNX model, y = x + weights.
std::string onnx(int seed);
std::string safetensors(int seed, std::size_t bytes = 64);

// The status with which a program ended and what it printed.
std::pair<int, std::string> try_sh(const std::string& command, const Path& in);

// What is thrown, and its errno.
struct Thrown {
  int error = 0;
  std::string what;
};
Thrown thrown(const std::function<void()>& body);

bool has(const std::string& text, const std::string& part);

aiaccel::AddOptions options(const std::string& name, const std::string& version,
                            const std::string& message = {});

}  // namespace lab
