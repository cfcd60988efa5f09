// SPDX-License-Identifier: MIT
//
// The registry of models: adding 2 GiB against hashing and copying alone, against git and git-lfs,
// and against hashing alone where nothing needs to be copied; listing and resolving among 10,000
// versions.
//
// Files are in the cache, as after they were downloaded. What is written is synced by us and by the
// copying alone, which else would measure how much may wait in memory; not by git-lfs, which leaves
// that to later. Before each sample what waits is written, so that nobody pays for another.
#include <aiaccel/registry.hpp>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <vector>

#include "bench/measure.hpp"

namespace {

using aiaccel::Ref;
using aiaccel::Registry;
using Path = std::filesystem::path;

constexpr std::uint64_t kSize = std::uint64_t{2} << 30;
constexpr std::size_t kChunk = 1 << 20;
constexpr int kRounds = 10;  // the fewest that the report takes an interval from
constexpr int kVersions = 10'000;
constexpr int kPromoted = 500;

void sh(const Path& in, const std::string& command) {
  const std::string line = "cd '" + in.string() + "' && { " + command + "\n} >/dev/null";
  if (std::system(line.c_str()) != 0) throw std::runtime_error("it failed: " + command);
}

void settle() {
  ::sync();
}

struct Fd {
  explicit Fd(int opened) : fd(opened) { bench::check(fd >= 0, "open"); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { ::close(fd); }
  const int fd;
};

// One pass, `to` may be empty: hashing alone. The digest, in hexadecimal.
std::string hash_and_copy(const Path& from, const Path& to) {
  const Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const Fd out(to.empty() ? ::dup(in.fd)
                          : ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  const auto buffer = std::make_unique_for_overwrite<char[]>(kChunk);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(),
                                                                     EVP_MD_CTX_free);
  bench::check(EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1, "EVP_DigestInit_ex");
  for (;;) {
    const ssize_t got = ::read(in.fd, buffer.get(), kChunk);
    bench::check(got >= 0, "read");
    if (got == 0) break;
    EVP_DigestUpdate(hash.get(), buffer.get(), static_cast<std::size_t>(got));
    if (!to.empty())
      bench::check(::write(out.fd, buffer.get(), static_cast<std::size_t>(got)) == got, "write");
  }
  if (!to.empty()) bench::check(::fsync(out.fd) == 0, "fsync");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_DigestFinal_ex(hash.get(), digest, &length);
  std::string text;
  for (unsigned i = 0; i < length; i++) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", digest[i]);
    text += two;
  }
  return text;
}

// One tensor of bytes that no file system makes smaller.
void make_model(const Path& file) {
  constexpr std::size_t kHeader = 4096;
  const std::string length = std::to_string(kSize - 8 - kHeader);
  std::string header =
      R"({"w":{"dtype":"U8","shape":[)" + length + R"(],"data_offsets":[0,)" + length + "]}}";
  header.resize(kHeader, ' ');
  std::ofstream out(file, std::ios::binary);
  for (int i = 0; i < 8; i++) out.put(static_cast<char>((kHeader >> (8 * i)) & 0xff));
  out << header;
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> chunk(kChunk / sizeof(std::uint64_t));
  for (std::uint64_t left = kSize - 8 - kHeader; left > 0;) {
    for (std::uint64_t& word : chunk) word = random();
    const std::uint64_t now = std::min<std::uint64_t>(left, kChunk);
    out.write(reinterpret_cast<const char*>(chunk.data()), static_cast<std::streamsize>(now));
    left -= now;
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

double mib_s(double us) {
  return static_cast<double>(kSize) / (1 << 20) / (us / 1e6);
}

bench::Row rate(const char* name, const char* peer, double goal) {
  return {.name = name,
          .ours = {},
          .peer = {},
          .peer_name = peer,
          .unit = "MiB/s",
          .better = bench::Better::higher,
          .goal = goal};
}

double add(const Path& place, const Path& source) {
  const Path folder = place / "registry";
  Registry registry = Registry::create(folder);
  aiaccel::AddOptions options;
  options.name = "big";
  options.version = "1.0.0";
  settle();
  const double us = bench::mean_us(1, [&] { registry.add(source, options); });
  std::filesystem::remove_all(folder);
  return mib_s(us);
}

void adding(const Path& place) {
  const Path model = place / "model.safetensors";
  make_model(model);
  const std::string sha256 = hash_and_copy(model, {});
  bench::alternate(
      rate("models/add 2 GiB, copied", "hashing and copying in one pass", 0.9), kRounds,
      [&] { return add(place, model); },
      [&] {
        const Path to = place / "copy";
        settle();
        const double us = bench::mean_us(1, [&] { hash_and_copy(model, to); });
        std::filesystem::remove(to);
        return mib_s(us);
      });

  bench::alternate(
      rate("models/add 2 GiB against git-lfs", "git lfs track, git add", 1.5), kRounds,
      [&] { return add(place, model); },
      [&] {
        const Path work = place / "work";
        std::filesystem::create_directories(work);
        sh(work, "git init -q . && git lfs install --local");
        // As a user has it there already.
        std::filesystem::create_hard_link(model, work / "model.safetensors");
        settle();
        const double us = bench::mean_us(1, [&] {
          sh(work, "git lfs track '*.safetensors' && git add .gitattributes model.safetensors");
        });
        std::filesystem::remove_all(work);
        return mib_s(us);
      });

  // As Hugging Face's cache has it: a blob by its digest, and a snapshot of links.
  const Path cache = place / "models--a--b";
  std::filesystem::create_directories(cache / "blobs");
  std::filesystem::create_directories(cache / "snapshots/1");
  std::filesystem::rename(model, cache / "blobs" / sha256);
  std::filesystem::create_symlink("../../blobs/" + sha256, cache / "snapshots/1/model.safetensors");
  bench::alternate(
      rate("models/add 2 GiB of a cache, linked", "hashing alone", 0.9), kRounds,
      [&] { return add(place, cache / "snapshots/1"); },
      [&] {
        return mib_s(bench::mean_us(1, [&] { hash_and_copy(cache / "blobs" / sha256, {}); }));
      });
}

std::string read_output(const Path& in, const std::string& command) {
  sh(in, "{ " + command + "; } > output");
  std::ifstream file(in / "output", std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove(in / "output");
  return text;
}

std::string block(const std::string& text) {
  return "data " + std::to_string(text.size()) + "\n" + text + "\n";
}

// One version is added; the others are made after it by git, as 10,000 times syncing would take
// long.
void make_many(const Path& folder, const Path& place) {
  Registry registry = Registry::create(folder);
  aiaccel::AddOptions options;
  options.name = "m";
  options.version = "0.0.0";
  const Path small = place / "small.onnx";
  // IR version 8, a producer and an empty graph.
  std::ofstream(small, std::ios::binary)
      << std::string("\x08\x08\x12\x01p\x3a\x03\x12\x01g", 10) + "\x42\x02\x10\x11";
  registry.add(small, options);
  const std::string record = read_output(folder, "git show dev:m/aiaccel.json");
  const std::size_t at = record.find("v0.0.0");
  if (at == std::string::npos)
    throw std::runtime_error("the record does not say which version it is of");
  std::ofstream stream(place / "stream", std::ios::binary);
  const std::string who = "Ada <ada@example.org> 1700000000 +0000\n";
  for (int i = 1; i < kVersions; i++) {
    const std::string version =
        "v" + std::to_string(i / 100) + "." + std::to_string(i % 100) + ".0";
    std::string of = record;
    of.replace(at, 6, version);
    stream << "commit refs/heads/dev\nmark :" << i << "\ncommitter " << who
           << block("Add m " + version + "\n") << (i == 1 ? "from refs/heads/dev^0\n" : "")
           << "M 100644 inline m/aiaccel.json\n"
           << block(of) << "tag m@" << version << "\nfrom :" << i << "\ntagger " << who
           << block("Register m@" + version + "\n");
    if (i <= kPromoted)
      stream << "tag m#prod#" << i << "\nfrom :" << i << "\ntagger " << who << block("Promote\n");
  }
  stream << "done\n";
  stream.close();
  sh(folder,
     "git fast-import --quiet --done < ../stream && git pack-refs --all && git read-tree dev");
}

void many(const Path& place) {
  const Path folder = place / "many";
  make_many(folder, place);
  bench::alternate(
      {.name = "models/ls of 10,000 versions",
       .ours = {},
       .peer = {},
       .peer_name = "git tag, git show in a loop",
       .unit = "ms",
       .better = bench::Better::lower,
       .goal = 1.0 / 5},
      kRounds,
      [&] {
        return bench::mean_us(
                   1,
                   [&] {
                     if (Registry::open(folder).versions("m").size() != kVersions)
                       throw std::runtime_error("there are not as many versions as were made");
                   }) /
               1000;
      },
      [&] {
        return bench::mean_us(1,
                              [&] {
                                sh(folder,
                                   "for tag in $(git tag -l 'm@*'); do git show -s $tag; done");
                              }) /
               1000;
      });
  for (const char* const ref : {"m", "m@v42.17.0", "m@latest", "m#prod"}) {
    const std::string name = std::string("models/resolve ") + ref + " of 10,000 versions";
    bench::Row row{.name = name,
                   .ours = {},
                   .peer = {},
                   .peer_name = {},
                   .unit = "ms",
                   .better = bench::Better::lower,
                   .goal = 2};
    const Registry registry = Registry::open(folder);
    const Ref parsed = Ref::parse(ref);
    for (int round = -1; round < 15; round++) {
      const double sample = bench::mean_us(10, [&] { registry.resolve(parsed); }) / 1000;
      if (round >= 0) row.ours.push_back(sample);
    }
    bench::print(row);
  }
}

}  // namespace

int main() {
  return bench::run([] {
    if (std::system("git lfs version >/dev/null 2>&1") != 0)
      throw bench::Missing("git-lfs is missing");
    char folder[] = "/var/tmp/aiaccel-bench-XXXXXX";
    bench::check(::mkdtemp(folder), folder);
    struct Gone {
      Path path;
      ~Gone() { std::filesystem::remove_all(path); }
    } const place{folder};
    many(place.path);
    adding(place.path);
  });
}
