// SPDX-License-Identifier: MIT
//
// Reading a model's file: which format it has, what is no such file, and a file that somebody cuts
// short or changes meanwhile.
#include "formats/fixture.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <nlohmann/json.hpp>

#include "formats/files.h"
#include "formats/source.h"

using namespace aiaccel;
namespace gguf = fixture::gguf;
namespace pb = fixture::pb;

namespace {

const std::string kSafetensors =
    fixture::safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4);
const std::string kOnnx = pb::number(1, 8) + pb::bytes(7, pb::bytes(2, "net"));

std::string gguf_file() {
  return gguf::file(0, "", 1, gguf::tensor("t", {16}, 0, 0), 64);
}

// A header of many names, which takes a while to read.
std::string long_header(int tensors) {
  std::string header = "{";
  for (int i = 0; i < tensors; ++i)
    header += (i ? ",\"" : "\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  return fixture::safetensors(header + "}", static_cast<std::size_t>(tensors));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(show_their_format_by_name_and_contents) {
  fixture::Folder folder;
  struct {
    const std::string& bytes;
    ModelFormat format;
    const char* suffix;
  } const formats[] = {{kSafetensors, ModelFormat::safetensors, ".safetensors"},
                       {gguf_file(), ModelFormat::gguf, ".gguf"},
                       {kOnnx, ModelFormat::onnx, ".onnx"}};
  for (const auto& each : formats) {
    BOOST_TEST((read_metadata(folder.write("plain", each.bytes)).format == each.format));
    const auto named = folder.write(std::string("named") + each.suffix, each.bytes);
    BOOST_TEST((read_metadata(named).format == each.format));
    BOOST_TEST(to_string(each.format) == each.suffix + 1);
    // The name says what it should be; contents of another kind are refused as that.
    for (const auto& other : formats)
      if (&other != &each) {
        const auto wrong = folder.write(std::string("wrong") + other.suffix, each.bytes);
        BOOST_TEST(fixture::refusal_of([&] { read_metadata(wrong); }).error == EBADMSG);
        BOOST_TEST(
            (read_metadata(wrong, {.format = each.format, .beneath = {}}).format == each.format));
      }
  }
  BOOST_TEST(to_string(static_cast<ModelFormat>(99)) == "format 99");
}

BOOST_AUTO_TEST_CASE(that_are_none_are_refused) {
  fixture::Folder folder;
  BOOST_TEST(fixture::refusal_of([] { read_metadata("/nowhere/m.onnx"); }).error == ENOENT);
  BOOST_TEST(fixture::refusal_of([&] { read_metadata(folder.path); }).error == EINVAL);
  BOOST_TEST(fixture::refusal_of([] { read_metadata("/dev/zero"); }).error == EINVAL);
  // Opening a FIFO would wait for who writes into it.
  const auto fifo = folder.path / "m.onnx";
  BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  BOOST_TEST(fixture::refusal_of([&] { read_metadata(fifo); }).error == EINVAL);
  BOOST_TEST(fixture::refusal_of([&] { read_metadata(folder.write("empty.gguf", "")); }).error ==
             EBADMSG);
}

BOOST_AUTO_TEST_CASE(are_read_where_they_are_named) {
  fixture::Folder folder;
  folder.write("m.safetensors", kSafetensors);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path);
  BOOST_TEST(read_metadata("m.safetensors").files.at(0).path == "m.safetensors");
  std::filesystem::current_path(before);
  // A link that the user names is followed.
  std::filesystem::create_symlink("m.safetensors", folder.path / "link.safetensors");
  BOOST_TEST(read_metadata(folder.path / "link.safetensors").parameters == 4u);
}

// A mapping would end in SIGBUS here; reading ends in an error, or before the cut.
BOOST_AUTO_TEST_CASE(cut_short_while_they_are_read_are_refused) {
  fixture::Folder folder;
  const std::string bytes = long_header(20'000);
  const auto file = folder.write("m.safetensors", bytes);
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  BOOST_REQUIRE(fd >= 0);
  std::atomic<bool> stop = false;
  std::thread hostile([&] {
    while (!stop) {
      if (::ftruncate(fd, 100) < 0 || ::pwrite(fd, bytes.data(), bytes.size(), 0) < 0) return;
    }
  });
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    const auto refusal = fixture::refusal_of([&] { read_metadata(file); });
    refused += refusal.error != 0;
    BOOST_TEST((refusal.error == 0 || refusal.error == EBADMSG || refusal.error == EBUSY),
               refusal.what);
  }
  stop = true;
  hostile.join();
  ::close(fd);
  BOOST_TEST(refused > 0);
}

// The same without chance: the size was seen before the cut.
BOOST_AUTO_TEST_CASE(shorter_than_they_were_end_in_an_error) {
  fixture::Folder folder;
  const auto file = folder.write("m", std::string(200'000, 'x'));
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  BOOST_REQUIRE(fd >= 0);
  formats::Budget budget;
  formats::Source source("m", fd, 200'000, budget);
  BOOST_TEST(source.number<std::uint8_t>(0) == 'x');
  std::filesystem::resize_file(file, 1000);
  BOOST_TEST(source.number<std::uint8_t>(5000) == 'x');  // in the window
  const auto refusal = fixture::refusal_of([&] { source.number<std::uint8_t>(100'000); });
  BOOST_TEST(refusal.says("m: byte 100000: the file was cut short while it was read"),
             refusal.what);
  BOOST_TEST(fixture::refusal_of([&] { source.text(0, 150'000); }).says("cut short"));
  ::close(fd);
}

namespace {

// Other bytes in as many, and the time of change set back to what it was: what a writer can do who
// does not want to be seen. Clocks of files are coarse, so until it shows.
void change_unseen(const std::filesystem::path& file) {
  struct stat before, now;
  BOOST_REQUIRE(::stat(file.c_str(), &before) == 0);
  do {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    BOOST_REQUIRE(fd >= 0);
    BOOST_REQUIRE(::pwrite(fd, "x", 1, before.st_size - 1) == 1);
    const timespec times[2] = {before.st_atim, before.st_mtim};
    BOOST_REQUIRE(::futimens(fd, times) == 0);
    ::close(fd);
    BOOST_REQUIRE(::stat(file.c_str(), &now) == 0);
  } while (now.st_ctim.tv_sec == before.st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
}

}  // namespace

BOOST_AUTO_TEST_CASE(changed_while_they_are_read_are_refused) {
  fixture::Folder folder;
  const auto file = folder.write("m.safetensors", kSafetensors);
  const auto open = formats::OpenFile::named(file);
  BOOST_TEST(fixture::refusal_of([&] { open.check_unchanged(); }).error == 0);
  change_unseen(file);
  BOOST_TEST(fixture::refusal_of([&] { open.check_unchanged(); }).error == EBUSY);
}

// Files that a model names are looked at again when all of it was read, by name.
BOOST_AUTO_TEST_CASE(of_a_model_are_all_unchanged) {
  fixture::Folder folder;
  const auto model = folder.write("m.onnx", "model");
  for (const char* name : {"a", "b"}) folder.write(name, "weights");
  formats::Budget budget;
  const std::string bytes;
  formats::Source source("m", std::as_bytes(std::span<const char>(bytes)), budget);
  auto after = [&](auto change) {
    formats::Folder files(model, {});
    for (const char* name : {"a", "b"}) files.open(source, 0, name);
    BOOST_TEST(fixture::refusal_of([&] { files.check_unchanged(); }).error == 0);
    change();
    return fixture::refusal_of([&] { files.check_unchanged(); });
  };
  const auto written = after([&] { change_unseen(folder.path / "a"); });
  BOOST_TEST(written.error == EBUSY);
  BOOST_TEST(written.says("'a' was changed"), written.what);
  BOOST_TEST(after([&] { folder.write("b", "other weights"); }).error == EBUSY);
  BOOST_TEST(after([&] {
               folder.write("c", "weights");
               std::filesystem::rename(folder.path / "c", folder.path / "b");
             }).says("'b' was changed"));
  BOOST_TEST(after([&] { std::filesystem::remove(folder.path / "a"); }).error == EBUSY);
}

namespace {

// A lease makes the kernel tell its holder who is about to open a file, and that one wait or, where
// he will not, come again.
struct Lease {
  static inline int fd = -1;
  static inline int writes_to = -1;  // before it is given back; -1: never given back

  explicit Lease(const std::filesystem::path& file) {
    fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    BOOST_REQUIRE(fd >= 0);
    std::signal(SIGIO, [](int) {
      if (writes_to < 0) return;
      (void)!::pwrite(writes_to, "x", 1, 0);
      ::fcntl(fd, F_SETLEASE, F_UNLCK);
    });
    taken = ::fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
  }
  ~Lease() {
    ::close(fd);
    std::signal(SIGIO, SIG_DFL);
    writes_to = -1;
  }

  bool taken = false;
};

const std::string kIndex = R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})";

// Of the tensor "b" instead of "a".
std::string second_shard() {
  std::string shard = kSafetensors;
  shard[shard.find("\"a\"") + 1] = 'b';
  return shard;
}

}  // namespace

BOOST_AUTO_TEST_CASE(whose_first_shard_changes_while_the_second_is_opened_are_refused) {
  fixture::Folder folder;
  const auto index = folder.write("m.safetensors.index.json", kIndex);
  const auto first = folder.write("1.safetensors", kSafetensors);
  const auto second = folder.write("2.safetensors", second_shard());
  BOOST_TEST(read_metadata(index).parameters == 8u);
  const int fd = ::open(first.c_str(), O_WRONLY | O_CLOEXEC);
  BOOST_REQUIRE(fd >= 0);
  {
    Lease lease(second);
    if (!lease.taken) {
      ::close(fd);
      SKIP("no leases on this file system");
    }
    Lease::writes_to = fd;
    const auto refusal = fixture::refusal_of([&] { read_metadata(index); });
    BOOST_TEST(refusal.error == EBUSY, refusal.what);
    BOOST_TEST(refusal.says("'1.safetensors' was changed"), refusal.what);
  }
  ::close(fd);
}

// Whoever has a lease and does not give it back keeps nobody waiting.
BOOST_AUTO_TEST_CASE(that_somebody_holds_back_are_not_waited_for) {
  fixture::Folder folder;
  const auto index = folder.write("m.safetensors.index.json", kIndex);
  folder.write("1.safetensors", kSafetensors);
  const auto second = folder.write("2.safetensors", second_shard());
  Lease lease(second);
  if (!lease.taken) SKIP("no leases on this file system");
  BOOST_TEST(fixture::refusal_of([&] { read_metadata(index); }).error == EAGAIN);
}

// Keys come from files, and the hash of the standard library is known: with names that collide, a
// table is a list. No test of time could tell on a busy machine.
BOOST_AUTO_TEST_CASE(have_their_names_in_no_table_by_hash) {
  unsigned looked_at = 0;
  for (const auto& entry : std::filesystem::directory_iterator("libaiaccel/formats")) {
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    BOOST_TEST(text.find("unordered_") == std::string::npos, entry.path());
    ++looked_at;
  }
  BOOST_TEST(looked_at > 10u);
}

BOOST_AUTO_TEST_CASE(windows_end_where_the_file_does) {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += fixture::le<std::uint32_t>(i);
  fixture::Folder folder;
  const auto file = folder.write("m", bytes);
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  BOOST_REQUIRE(fd >= 0);
  formats::Budget budget;
  formats::Source windowed("m", fd, bytes.size(), budget);
  formats::Source whole("m", std::as_bytes(std::span<const char>(bytes)), budget);
  for (formats::Source* source : {&windowed, &whole}) {
    unsigned wrong = 0;
    for (std::uint32_t i = 0; i < 100'000; ++i) wrong += source->number<std::uint32_t>(4 * i) != i;
    for (std::uint32_t i = 100'000; i-- > 0; i -= i % 37)
      wrong += source->number<std::uint32_t>(4 * i) != i;
    BOOST_TEST(wrong == 0u);
    BOOST_TEST(source->text(399'990, 10) == bytes.substr(399'990));
    BOOST_TEST(source->text(10, 300'000) == bytes.substr(10, 300'000));
    BOOST_TEST(source->text(400'000, 0) == "");
    for (std::uint64_t offset :
         {std::uint64_t{399'997}, std::uint64_t{400'000}, ~std::uint64_t{0}, ~std::uint64_t{0} - 3})
      BOOST_TEST(fixture::refusal_of([&] { source->number<std::uint32_t>(offset); }).error ==
                 EBADMSG);
  }
  ::close(fd);
}

BOOST_AUTO_TEST_CASE(say_in_json_what_they_say) {
  const std::string header =
      R"({"__metadata__":{"k":"\u00e9"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const auto metadata = fixture::read(fixture::safetensors(header, 8), ModelFormat::safetensors);
  const auto json = nlohmann::json::parse(metadata.to_json());
  BOOST_TEST(json["format"] == "safetensors");
  BOOST_TEST(json["parameters"] == 2);
  BOOST_TEST(json["tensors"][0]["shape"].dump() == "[2]");
  BOOST_TEST(json["properties"][0]["value"] == "\xc3\xa9");
  BOOST_TEST(metadata.to_json(-1).find('\n') == std::string::npos);
  // Names of ONNX may be any bytes: mended, so that it stays JSON.
  const auto broken = fixture::read(
      pb::number(1, 8) + pb::bytes(2, "\xff\xfe") + pb::bytes(7, pb::bytes(11, pb::bytes(1, "x"))),
      ModelFormat::onnx);
  const auto mended = nlohmann::json::parse(broken.to_json());
  BOOST_TEST(mended["producer"] == "\xef\xbf\xbd\xef\xbf\xbd");
  BOOST_TEST(mended["inputs"][0]["shape"].is_null());
  // Two names that are mended to one are one key, and none is lost.
  const auto operators =
      fixture::read(pb::number(1, 8) + pb::bytes(7, pb::bytes(1, pb::bytes(4, "\xff")) +
                                                        pb::bytes(1, pb::bytes(4, "\xfe")) +
                                                        pb::bytes(1, pb::bytes(4, "Add"))),
                    ModelFormat::onnx)
          .to_json(-1);
  BOOST_TEST(operators.find("\"operators\":{\"Add\":1,\"\xef\xbf\xbd\":2}") != std::string::npos,
             operators);
}

BOOST_AUTO_TEST_SUITE_END()
