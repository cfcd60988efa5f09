// SPDX-License-Identifier: MIT

#include "lab.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace lab {
namespace {

// Protocol buffers, as far as is needed.
std::string varint(std::uint64_t value) {
  std::string text;
  do {
    text += static_cast<char>((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>= 7;
  } while (value != 0);
  return text;
}
std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string bytes(int field, const std::string& value) {
  return varint((static_cast<std::uint64_t>(field) << 3) | 2) + varint(value.size()) + value;
}

std::string value_info(const std::string& name) {
  const std::string dimension = bytes(1, number(1, 2));
  const std::string type = bytes(1, number(1, 1) + bytes(2, dimension));
  return bytes(1, name) + bytes(2, type);
}

}  // namespace

std::string onnx(int seed) {
  std::string weights;
  for (int i = 0; i < 8; i++) weights += static_cast<char>((seed >> (8 * (i % 4))) & 0xff);
  const std::string tensor = number(1, 2) + number(2, 1) + bytes(8, "w") + bytes(9, weights);
  const std::string node = bytes(1, "x") + bytes(1, "w") + bytes(2, "y") + bytes(4, "Add");
  const std::string graph = bytes(1, node) + bytes(2, "add") + bytes(5, tensor) +
                            bytes(11, value_info("x")) + bytes(12, value_info("y"));
  return number(1, 8) + bytes(2, "lab") + bytes(7, graph) + bytes(8, number(2, 17));
}

std::string safetensors(int seed, std::size_t size) {
  std::string header = R"({"w":{"dtype":"U8","shape":[)" + std::to_string(size) +
                       R"(],"data_offsets":[0,)" + std::to_string(size) + "]}}";
  while (header.size() % 8 != 0) header += ' ';
  std::string text;
  for (int i = 0; i < 8; i++) text += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  text += header;
  for (std::size_t i = 0; i < size; i++)
    text += static_cast<char>((static_cast<std::size_t>(seed) * 31 + i * 7) & 0xff);
  return text;
}

// One for the process: libgit2 looks once where it is.
class Home {
 public:
  Home() {
    std::string name = (std::filesystem::temp_directory_path() / "aiaccel-home-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    std::ofstream(path_ / ".gitconfig")
        << "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
           "[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n"
           "\tprocess = git-lfs filter-process\n\trequired = true\n";
    ::setenv("HOME", path_.c_str(), 1);
    ::setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    for (const char* const other : {"XDG_CONFIG_HOME", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
                                    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"}) {
      ::unsetenv(other);
    }
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  ~Home() {
    std::error_code none;
    std::filesystem::remove_all(path_, none);
  }

 private:
  Path path_;
};

Lab::Lab(Where where) {
  static const Home home;
  const bool memory = where == kQuick && ::access("/dev/shm", W_OK) == 0;
  std::string name = ((memory ? Path("/dev/shm") : std::filesystem::temp_directory_path()) /
                      "aiaccel-registry-XXXXXX")
                         .string();
  BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
  top_ = std::filesystem::canonical(name);
}

Lab::~Lab() {
  std::error_code none;
  // Checkouts are read-only folders.
  try_sh("chmod -R u+w .", top_);
  std::filesystem::remove_all(top_, none);
}

std::pair<int, std::string> try_sh(const std::string& command, const Path& in) {
  const std::string line = "cd '" + in.string() + "' && { " + command + "\n} 2>&1";
  std::FILE* const pipe = ::popen(line.c_str(), "r");
  BOOST_REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof(buffer), pipe))
    text.append(buffer, got);
  const int status = ::pclose(pipe);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text};
}

std::string Lab::sh(const std::string& command, const Path& in) const {
  const auto [status, text] = try_sh(command, in);
  BOOST_TEST(status == 0, command << " ended with " << status << ": " << text);
  return text;
}

void Lab::check_whole(const Path& where) const {
  const std::string fsck = sh("git fsck --strict --no-dangling", where);
  // Nothing but that it looked.
  for (const char* bad : {"error", "missing", "bad ", "warning", "garbage"})
    BOOST_TEST(!has(fsck, bad), fsck);
  BOOST_TEST(has(sh("git lfs fsck", where), "Git LFS fsck OK"));
  for (const std::string ref : {"dev", "staging", "prod"}) {
    if (try_sh("git rev-parse -q --verify refs/heads/" + ref, where).first == 0) {
      BOOST_TEST(has(sh("git lfs fsck " + ref, where), "Git LFS fsck OK"));
    }
  }
  BOOST_TEST(sh("git status --porcelain", where) == "");
}

Path Lab::write(const std::string& path, const std::string& contents) const {
  std::filesystem::create_directories((top_ / path).parent_path());
  std::ofstream file(top_ / path, std::ios::binary | std::ios::trunc);
  file << contents;
  file.close();
  BOOST_REQUIRE(file.good());
  return top_ / path;
}

Path Lab::model(const std::string& name, int seed) const {
  write(name + "/model.onnx", onnx(seed));
  write(name + "/README.md", "# A model\n");
  return top_ / name;
}

Thrown thrown(const std::function<void()>& body) {
  try {
    body();
  } catch (const aiaccel::Error& error) {
    return {error.code().value(), error.what()};
  }
  return {};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

aiaccel::AddOptions options(const std::string& name, const std::string& version,
                            const std::string& message) {
  aiaccel::AddOptions options;
  options.name = name;
  options.version = version;
  options.message = message;
  return options;
}

}  // namespace lab
