// SPDX-License-Identifier: MIT
//
// Models are added, and found again by name; git and git-lfs find nothing wrong and the same
// contents.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "lab.hpp"
#include "registry/source.h"
#include "registry/store.h"

using namespace aiaccel;
using namespace lab;

namespace {

std::string slurp(const Path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const VersionFile& file_of(const ModelVersion& version, const std::string& path) {
  for (const VersionFile& file : version.files) {
    if (file.path == path) return file;
  }
  BOOST_FAIL("there is no " + path);
  throw std::logic_error("not reached");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(add)

BOOST_AUTO_TEST_CASE(nothing_there) {
  const Lab lab;
  BOOST_TEST(thrown([&] { Registry::open(lab.registry()); }).error == ENOENT);
  Registry::create(lab.registry());
  lab.check_whole();
  BOOST_TEST(lab.git("symbolic-ref HEAD") == "refs/heads/dev");
  BOOST_TEST(lab.git("log --format=%an") == "Ada");
  BOOST_TEST(lab.sh("ls -A", lab.registry()) == ".git");
  Registry again = Registry::create(lab.registry());
  BOOST_TEST(lab.git("rev-list --count dev") == "1");
  BOOST_TEST(again.models().empty());
  BOOST_TEST(thrown([&] { again.resolve(Ref::parse("a")); }).error == ENOENT);
  BOOST_TEST(again.versions("a").empty());
}

BOOST_AUTO_TEST_CASE(two_versions) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  AddOptions first = options("silero-vad", "5.0.0", "the first");
  first.labels = {{"language", "en"}, {"quality", "good \"enough\""}};
  first.parent = "base@v1.0.0";
  first.training_run = "https://runs.example.org/1";
  first.licence = "MIT";
  const ModelVersion made = registry.add(lab.model("m", 1), first);
  registry.add(lab.model("m", 2), options("silero-vad", "v6.0.0"));
  lab.check_whole();

  const ModelVersion found = registry.resolve(Ref::parse("silero-vad@v5.0.0"));
  BOOST_TEST(found.commit == made.commit);
  BOOST_TEST(found.commit == lab.git("rev-parse 'silero-vad@v5.0.0^{commit}'"));
  BOOST_TEST(found.version == "v5.0.0");
  BOOST_TEST(found.message == "the first");
  BOOST_TEST(found.author == "Ada <ada@example.org>");
  BOOST_TEST((found.labels == first.labels));
  BOOST_TEST(found.parent == "base@v1.0.0");
  BOOST_TEST(found.parent_commit == "");
  BOOST_TEST(found.training_run == "https://runs.example.org/1");
  BOOST_TEST(found.licence == "MIT");
  BOOST_TEST(found.main_file == "model.onnx");
  BOOST_TEST(!found.is_signed);
  BOOST_REQUIRE(found.metadata.has_value());
  BOOST_TEST((*found.metadata == read_metadata(lab.model("m1", 1) / "model.onnx")));
  BOOST_TEST((*found.metadata == *made.metadata));
  BOOST_REQUIRE_EQUAL(found.files.size(), 3);
  BOOST_TEST(found.files[0].path == "README.md");
  BOOST_TEST(!found.files[0].weights);
  BOOST_TEST(found.files[1].path == "aiaccel.json");
  BOOST_TEST(found.files[2].weights);
  BOOST_TEST(found.files[2].sha256 ==
             lab.sh("sha256sum model.onnx | cut -d' ' -f1", lab.top() / "m1"));
  BOOST_TEST(
      found.files[1].sha256 ==
      lab.sh("git show dev~:silero-vad/aiaccel.json | sha256sum | cut -d' ' -f1", lab.registry()));

  BOOST_TEST(registry.resolve(Ref::parse("silero-vad")).version == "v6.0.0");
  BOOST_TEST(registry.resolve(Ref::parse("silero-vad@latest")).version == "v6.0.0");
  BOOST_TEST(registry.resolve(Ref::parse("silero-vad:" + made.commit.substr(0, 10))).version ==
             "v5.0.0");
  const Thrown none = thrown([&] { registry.resolve(Ref::parse("silero-vad@v7.0.0")); });
  BOOST_TEST(none.error == ENOENT);
  BOOST_TEST(has(none.what, "v6.0.0, v5.0.0"), none.what);

  const auto versions = registry.versions("silero-vad");
  BOOST_REQUIRE_EQUAL(versions.size(), 2);
  BOOST_TEST(versions[0].version == "v6.0.0");
  BOOST_TEST(versions[1].version == "v5.0.0");
  BOOST_TEST((versions[1].labels == first.labels));
  BOOST_TEST(!versions[1].metadata.has_value());
  BOOST_REQUIRE_EQUAL(versions[1].files.size(), found.files.size());
  for (std::size_t i = 0; i < found.files.size(); i++) {
    BOOST_TEST(versions[1].files[i].path == found.files[i].path);
    BOOST_TEST(versions[1].files[i].sha256 == found.files[i].sha256);
    BOOST_TEST(versions[1].files[i].size_bytes == found.files[i].size_bytes);
    BOOST_TEST(versions[1].files[i].weights == found.files[i].weights);
  }
  BOOST_TEST((registry.models() == std::vector<std::string>{"silero-vad"}));
  const auto log = registry.log(Ref::parse("silero-vad"));
  BOOST_REQUIRE_EQUAL(log.size(), 2);
  BOOST_TEST(log[0].version == "v6.0.0");
  BOOST_TEST(log[1].message == "the first");

  // A version is never given twice, and one that was refused leaves dev where it was.
  const std::string tip = lab.git("rev-parse dev");
  BOOST_TEST(thrown([&] {
               registry.add(lab.model("m", 3), options("silero-vad", "5.0.0"));
             }).error == EEXIST);
  BOOST_TEST(lab.git("rev-parse dev") == tip);
}

BOOST_AUTO_TEST_CASE(as_git_sees_it) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  registry.add(lab.model("m", 1), options("a/b", "1.0.0-rc.1", "why"));
  BOOST_TEST(lab.git("cat-file -t 'a/b@v1.0.0-rc.1'") == "tag");
  BOOST_TEST(lab.git("for-each-ref --format='%(contents) %(taggername)' refs/tags") == "why\n Ada");
  BOOST_TEST(lab.git("ls-tree -r --name-only dev") ==
             ".gitattributes\na/b/README.md\na/b/aiaccel.json\na/b/model.onnx");
  lab.git(
      "show dev:a/b/model.onnx >pointer && git lfs pointer --check --strict --file=pointer && rm "
      "pointer");
  BOOST_TEST(has(lab.git("lfs ls-files -l dev"), "a/b/model.onnx"));
  registry.add(lab.model("m", 2), options("a/b", "1.0.0"));
  const std::string diff = lab.git("diff --stat dev~ dev");
  BOOST_TEST(has(diff, "model.onnx"), diff);
  BOOST_TEST(has(lab.git("reflog dev"), "add a/b@v1.0.0"));
  lab.sh("git clone -q registry clone", lab.top());
  lab.check_whole(lab.top() / "clone");
  BOOST_TEST(slurp(lab.top() / "clone/a/b/model.onnx") == onnx(2));
  // Files can be had here too, if somebody wants them; and then the index is his.
  lab.git("sparse-checkout disable");
  BOOST_TEST(slurp(lab.registry() / "a/b/model.onnx") == onnx(2));
  BOOST_TEST(lab.git("status --porcelain") == "");
}

// Or a commit of all that is there would take back what was added beside it.
BOOST_AUTO_TEST_CASE(not_under_somebodys_files) {
  const Lab lab;
  Registry::create(lab.registry()).add(lab.model("m", 1), options("a", "1.0.0"));
  lab.sh("git clone -q registry clone", lab.top());
  const Path clone = lab.top() / "clone";
  Registry registry = Registry::open(clone);
  const auto refused = [&](const std::function<void()>& change) {
    const std::string before = lab.sh("git for-each-ref refs/heads", clone);
    const Thrown thrown_by = thrown(change);
    BOOST_TEST(thrown_by.error == EBUSY, thrown_by.what);
    BOOST_TEST(has(thrown_by.what, "dev is checked out in " + clone.string()), thrown_by.what);
    BOOST_TEST(lab.sh("git for-each-ref refs/heads", clone) == before);
    BOOST_TEST(lab.sh("git status --porcelain", clone) == "");
  };
  refused([&] { registry.add(lab.model("m", 2), options("b", "1.0.0")); });
  refused([&] { registry.remove(Ref::parse("a@v1.0.0"), false); });
  Registry::open(lab.registry()).add(lab.model("m", 3), options("c", "1.0.0"));
  refused([&] { registry.pull("origin"); });
  registry.promote(Ref::parse("a@v1.0.0"), "prod");
  lab.sh("git switch -q --detach", clone);
  registry.add(lab.model("m", 2), options("b", "1.0.0"));
  BOOST_TEST(lab.sh("git status --porcelain", clone) == "");
}

BOOST_AUTO_TEST_CASE(working_tree_stays_empty) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  registry.add(lab.model("m", 1), options("a", "1.0.0"));
  lab.git("reset -q --hard");
  lab.git("checkout -q -b other && git checkout -q dev");
  BOOST_TEST(lab.sh("ls -A", lab.registry()) == ".git");
  lab.check_whole();
  lab.git("gc -q --prune=now");
  registry.add(lab.model("m", 2), options("a", "2.0.0"));
  BOOST_TEST(registry.resolve(Ref::parse("a@latest")).version == "v2.0.0");
  lab.check_whole();
}

BOOST_AUTO_TEST_CASE(which_files_are_weights) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  lab.write("m/model.onnx", onnx(1));
  lab.write("m/empty.bin", "");
  lab.write("m/config.json", "{}\n");
  lab.write("m/lines.txt", "one\r\ntwo\r\n");
  lab.write("m/vocabulary.json", std::string((1 << 20) + 1, 'x'));
  lab.write("m/deep/er/odd [1] *\"name", std::string("a\0b", 3));
  lab.write("m/.gitattributes", "* text\n");
  lab.write("m/.git/config", "no");
  lab.write("m/.cache/huggingface/x", "no");
  lab.write("m/aiaccel.json", "of another registry");
  const ModelVersion made = registry.add(lab.top() / "m", options("a", "1.0.0"));
  std::vector<std::string> weights;
  std::vector<std::string> text;
  for (const VersionFile& file : made.files) (file.weights ? weights : text).push_back(file.path);
  BOOST_TEST((weights == std::vector<std::string>{"deep/er/odd [1] *\"name", "model.onnx",
                                                  "vocabulary.json"}));
  BOOST_TEST(
      (text == std::vector<std::string>{"aiaccel.json", "config.json", "empty.bin", "lines.txt"}));
  lab.check_whole();
  lab.sh(
      "git clone -q registry clone && chmod -R u+w m && cd m && rm -rf .git .cache .gitattributes "
      "aiaccel.json",
      lab.top());
  lab.sh("rm clone/a/aiaccel.json clone/a/.gitattributes && diff -r m clone/a", lab.top());
}

BOOST_AUTO_TEST_CASE(one_file) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const ModelVersion made =
      registry.add(lab.write("weights.safetensors", safetensors(1)), options("a", ""));
  BOOST_TEST(made.version == "");
  BOOST_TEST(made.main_file == "weights.safetensors");
  BOOST_REQUIRE(made.metadata.has_value());
  BOOST_TEST(made.metadata->parameters == 64);
  const ModelVersion head = registry.resolve(Ref::parse("a"));
  BOOST_TEST(head.commit == made.commit);
  BOOST_TEST(head.version == "");
  // Another model on top does not change whose commit it is.
  registry.add(lab.top() / "weights.safetensors", options("b", "1.0.0"));
  BOOST_TEST(registry.resolve(Ref::parse("a")).commit == made.commit);
  registry.tag(Ref::parse("a"), "0.1.0");
  BOOST_TEST(registry.resolve(Ref::parse("a@0.1.0")).commit == made.commit);
  BOOST_TEST(registry.resolve(Ref::parse("a")).version == "v0.1.0");
  BOOST_TEST(thrown([&] { registry.tag(Ref::parse("a"), "v0.1.0"); }).error == EEXIST);
  const Thrown second = thrown([&] { registry.tag(Ref::parse("a"), "9.0.0"); });
  BOOST_TEST(second.error == EEXIST, second.what);
  BOOST_TEST(has(second.what, "a has a version, which is v0.1.0"), second.what);
  BOOST_TEST(thrown([&] { registry.tag(Ref::parse("a"), "v0.1"); }).error == EINVAL);
  // A link, since the user named it.
  std::filesystem::create_symlink(lab.top() / "weights.safetensors", lab.top() / "m.safetensors");
  BOOST_TEST(registry.add(lab.top() / "m.safetensors", options("c", "1.0.0")).main_file ==
             "m.safetensors");
  lab.check_whole();
}

// A program for an accelerator is a model like others, with what its readers tell.
BOOST_AUTO_TEST_CASE(program) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const Path file = lab.write("k.ptx",
                              ".version 7.0\n.target sm_70\n.address_size 64\n"
                              ".visible .entry add(.param .u64 x)\n{\n\tret;\n}\n");
  registry.add(file, options("kernel", "1.0.0"));
  const ModelVersion found = registry.resolve(Ref::parse("kernel@v1.0.0"));
  BOOST_REQUIRE(found.metadata.has_value());
  BOOST_TEST((*found.metadata == read_metadata(file)));
  BOOST_REQUIRE_EQUAL(found.metadata->entry_points.size(), 1);
  BOOST_TEST(found.metadata->entry_points[0].name == "add");
  lab.check_whole();
}

BOOST_AUTO_TEST_CASE(shards_and_what_belongs_to_them) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  std::string first = safetensors(1);
  std::string second = safetensors(2);
  second.replace(second.find("\"w\""), 3, "\"v\"");
  lab.write("m/model-1.safetensors", first);
  lab.write("m/model-2.safetensors", second);
  lab.write("m/other.txt", "x");
  const Path index = lab.write(
      "m/model.safetensors.index.json",
      R"({"metadata":{},"weight_map":{"w":"model-1.safetensors","v":"model-2.safetensors"}})");
  const ModelVersion folder = registry.add(lab.top() / "m", options("a", "1.0.0"));
  BOOST_TEST(folder.main_file == "model.safetensors.index.json");
  BOOST_REQUIRE(folder.metadata.has_value());
  BOOST_TEST(folder.metadata->parameters == 128);
  BOOST_TEST(folder.files.size() == 5);
  // The index alone brings its shards, and nothing else.
  const ModelVersion file = registry.add(index, options("b", "1.0.0"));
  BOOST_TEST(file.files.size() == 4);
  BOOST_TEST((file.metadata == folder.metadata));
  BOOST_TEST((registry.resolve(Ref::parse("b")).metadata == folder.metadata));
  lab.check_whole();
}

BOOST_AUTO_TEST_CASE(refused) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const std::string tip = lab.git("rev-parse dev");
  const auto why = [&](const Path& source, const AddOptions& options) {
    const Thrown refused = thrown([&] { registry.add(source, options); });
    BOOST_TEST(refused.error != 0, source);
    return std::to_string(refused.error) + " " + refused.what;
  };
  const auto is = [](const std::string& said, int error, const std::string& part) {
    BOOST_TEST(said.starts_with(std::to_string(error) + " "), said);
    BOOST_TEST(has(said, part), said);
  };
  const Path good = lab.model("good", 1);
  is(why(good, options("A", "1.0.0")), EINVAL, "'A'");
  is(why(good, options("a", "1.0")), EINVAL, "three numbers");
  is(why(lab.top() / "nowhere", options("a", "1.0.0")), ENOENT, "nowhere");
  is(why("/dev/null", options("a", "1.0.0")), EINVAL, "neither a file nor a folder");
  AddOptions label = options("a", "1.0.0");
  label.labels = {{"", "x"}};
  is(why(good, label), EINVAL, "label");
  label.labels = {{"x", std::string("a\0b", 3)}};
  is(why(good, label), EINVAL, "control");
  AddOptions parent = options("a", "1.0.0");
  parent.parent = "Not A Ref";
  is(why(good, parent), EINVAL, "names no model");
  AddOptions main = options("a", "1.0.0");
  main.main_file = "other.onnx";
  is(why(good, main), EINVAL, "has no file other.onnx");

  lab.write("broken/model.onnx", onnx(1).substr(0, 60));
  is(why(lab.top() / "broken", options("a", "1.0.0")), EBADMSG, "model.onnx");
  std::filesystem::create_directory(lab.top() / "empty");
  is(why(lab.top() / "empty", options("a", "1.0.0")), EINVAL, "no files");
  lab.write("pointer/model.bin", registry::Pointer{std::string(64, 'a'), 5}.text());
  is(why(lab.top() / "pointer", options("a", "1.0.0")), EINVAL, "pointer of Git LFS");
  lab.write("link/real.txt", "x");
  std::filesystem::create_symlink("/etc/passwd", lab.top() / "link/passwd.txt");
  is(why(lab.top() / "link", options("a", "1.0.0")), EINVAL, "leads out");
  std::filesystem::remove(lab.top() / "link/passwd.txt");
  std::filesystem::create_symlink("../good/README.md", lab.top() / "link/x.md");
  is(why(lab.top() / "link", options("a", "1.0.0")), EINVAL, "leads out");
  std::filesystem::remove(lab.top() / "link/x.md");
  std::filesystem::create_symlink(".", lab.top() / "link/loop");
  is(why(lab.top() / "link", options("a", "1.0.0")), ELOOP, "deep");
  BOOST_REQUIRE(::mkfifo((lab.top() / "good/pipe").c_str(), 0600) == 0);
  is(why(good, options("a", "1.0.0")), EINVAL, "pipe");
  std::filesystem::remove(lab.top() / "good/pipe");
  for (const char* const name : {"new\nline", "back\\slash", "\xff", ".Git/x", "GIT~1"}) {
    lab.write(std::string("names/") + name, "x");
    is(why(lab.top() / "names", options("a", "1.0.0")), EINVAL, "cannot be added");
    std::filesystem::remove_all(lab.top() / "names");
  }
  std::stop_source stop;
  stop.request_stop();
  AddOptions stopped = options("a", "1.0.0");
  stopped.stop = stop.get_token();
  is(why(good, stopped), ECANCELED, "stop");
  BOOST_TEST(lab.git("rev-parse dev") == tip);
  BOOST_TEST(lab.git("tag") == "");

  registry.add(good, options("a", "1.0.0"));
  is(why(good, options("a/b", "1.0.0")), EEXIST, "a is a model");
  registry.add(good, options("c/d", "1.0.0"));
  is(why(good, options("c", "1.0.0")), EEXIST, "folder of models");
  lab.check_whole();
}

BOOST_AUTO_TEST_CASE(links_inside_are_followed) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  lab.write("m/blobs/x", onnx(3));
  std::filesystem::create_symlink("blobs/x", lab.top() / "m/model.onnx");
  const ModelVersion made = registry.add(lab.top() / "m", options("a", "1.0.0"));
  BOOST_TEST(file_of(made, "model.onnx").sha256 == file_of(made, "blobs/x").sha256);
  lab.check_whole();
}

// Its blobs are not copied where that can be: the store and the cache have one inode.
BOOST_AUTO_TEST_CASE(hugging_face_cache) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const std::string weights = safetensors(1, 100000);
  lab.write("weights", weights);
  const std::string sha256 = lab.sh("sha256sum weights | cut -d' ' -f1", lab.top());
  const std::string model = "hub/models--org--name/";
  const Path blob = lab.write(model + "blobs/" + sha256, weights);
  lab.write(model + "blobs/0123456789abcdef0123456789abcdef01234567", "{}\n");
  const Path snapshot = lab.top() / (model + "snapshots/89abcdef");
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_symlink("../../blobs/" + sha256, snapshot / "model.safetensors");
  std::filesystem::create_symlink("../../blobs/0123456789abcdef0123456789abcdef01234567",
                                  snapshot / "config.json");
  const ModelVersion made = registry.add(snapshot, options("a", "1.0.0"));
  BOOST_TEST(file_of(made, "model.safetensors").sha256 == sha256);
  lab.check_whole();
  struct stat kept {};
  struct stat cached {};
  const Path object =
      lab.registry() / ".git/lfs/objects" / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
  BOOST_REQUIRE(::stat(object.c_str(), &kept) == 0);
  BOOST_REQUIRE(::stat(blob.c_str(), &cached) == 0);
  // Either one inode, which nobody may write, or a clone.
  BOOST_TEST((kept.st_ino == cached.st_ino || cached.st_nlink == 1));
  BOOST_TEST((kept.st_mode & 0222) == 0);

  // A blob that is not what it is named after.
  const std::string other(64, 'a');
  lab.write(model + "blobs/" + other, safetensors(2, 1000));
  std::filesystem::remove(snapshot / "model.safetensors");
  std::filesystem::create_symlink("../../blobs/" + other, snapshot / "model.safetensors");
  const Thrown refused = thrown([&] { registry.add(snapshot, options("a", "2.0.0")); });
  BOOST_TEST(refused.error == EBADMSG);
  // Out of this model's part of the cache.
  lab.write("hub/models--other--one/blobs/x", safetensors(3));
  std::filesystem::remove(snapshot / "model.safetensors");
  std::filesystem::create_symlink("../../../models--other--one/blobs/x",
                                  snapshot / "model.safetensors");
  BOOST_TEST(thrown([&] { registry.add(snapshot, options("a", "2.0.0")); }).error == EINVAL);
}

BOOST_AUTO_TEST_CASE(hard_links_only_of_a_cache) {
  const Lab lab;
  std::filesystem::create_directories(lab.top() / "git");
  const registry::Store store(lab.top() / "git");
  int seed = 0;
  const auto put = [&](bool read_only, bool may_link, int writers) {
    const Path path = lab.write("file", safetensors(++seed, 5000));
    const registry::Fd writer = writers == 0 ? registry::Fd() : registry::open_file(path, O_WRONLY);
    if (read_only) BOOST_REQUIRE(::chmod(path.c_str(), 0444) == 0);
    const registry::Fd fd = registry::open_file(path, O_RDONLY);
    registry::PutOptions options;
    options.may_link = may_link;
    const registry::Put how = store.put(fd, path.string(), options).how;
    ::unlink(path.c_str());
    return how;
  };
  if (put(false, false, 0) == registry::Put::cloned)
    SKIP("this file system clones, and links nothing");
  BOOST_TEST((put(false, false, 0) == registry::Put::copied));
  // Its owner may give himself the right to write again.
  BOOST_TEST((put(true, false, 0) == registry::Put::copied));
  BOOST_TEST((put(false, true, 0) == registry::Put::linked));
  BOOST_TEST((put(true, true, 1) == registry::Put::copied));
}

// What is added again takes the place of what was damaged since.
BOOST_AUTO_TEST_CASE(damaged_weights_come_back) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const Path source = lab.model("m", 1);
  const ModelVersion made = registry.add(source, options("a", "1.0.0"));
  const std::string sha256 = file_of(made, "model.onnx").sha256;
  const registry::Store store(lab.registry() / ".git/");
  const auto damage = [&] {
    BOOST_REQUIRE(::chmod(store.path(sha256).c_str(), 0644) == 0);
    const std::string bytes = slurp(store.path(sha256));
    lab.write(std::filesystem::relative(store.path(sha256), lab.top()),
              std::string(bytes.size(), 'x'));
    BOOST_TEST(thrown([&] { registry.verify_contents(Ref::parse("a@v1.0.0")); }).error == EBADMSG);
  };
  damage();
  registry.add(source, options("a", "2.0.0"));
  registry.verify_contents(Ref::parse("a@v1.0.0"));
  // By a link as well, and what is whole stays.
  damage();
  registry::PutOptions may_link;
  may_link.may_link = true;
  const Path model = source / "model.onnx";
  const auto put = [&] { return store.put(registry::open_file(model, O_RDONLY), model, may_link); };
  BOOST_TEST((put().how != registry::Put::found));
  registry.verify_contents(Ref::parse("a@v1.0.0"));
  BOOST_TEST((put().how == registry::Put::found));
  BOOST_TEST(lab.sh("ls .git/aiaccel/tmp", lab.registry()) == "");
  lab.check_whole();
}

// Who may not write reads all the same.
BOOST_AUTO_TEST_CASE(read_only) {
  const Lab lab;
  {
    Registry registry = Registry::create(lab.registry());
    registry.add(lab.model("m", 1), options("vad", "1.0.0"));
    registry.promote(Ref::parse("vad"), "prod");
    registry.checkout(Ref::parse("vad"));
    registry.add(lab.model("m", 2), options("vad", "2.0.0"));
  }
  // Root may write whatever the modes say: there, it is another user who reads.
  constexpr unsigned kNobody = 65534;
  const bool other = ::geteuid() == 0;
  lab.sh(
      "chmod a+rx . \"$HOME\" && chmod -R a-w,a+rX registry && "
      "git config --global safe.directory '" +
          lab.registry().string() + "'",
      lab.top());
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    int step = 0;
    try {
      if (other && (::setgid(kNobody) < 0 || ::setuid(kNobody) < 0)) ::_exit(90);
      const auto check = [&](bool right) {
        step++;
        if (!right) ::_exit(step);
      };
      Registry registry = Registry::open(lab.registry());
      check(registry.models().size() == 1);
      check(registry.versions("vad").size() == 2);
      check(registry.resolve(Ref::parse("vad#prod")).version == "v1.0.0");
      registry.verify_contents(Ref::parse("vad@v2.0.0"));
      check(slurp(registry.checkout(Ref::parse("vad#prod")) / "model.onnx") == onnx(1));
      const auto refused = [&](const std::function<void()>& body) {
        const Thrown error = thrown(body);
        if (!has(error.what, "ermission denied")) ::fprintf(stderr, "# %s\n", error.what.c_str());
        check(error.error != 0 && has(error.what, "ermission denied"));
      };
      refused([&] { registry.checkout(Ref::parse("vad@v2.0.0")); });
      refused([&] { registry.add(lab.top() / "m", options("new", "1.0.0")); });
      refused([&] { registry.promote(Ref::parse("vad@v2.0.0"), "prod"); });
    } catch (const std::exception& error) {
      ::fprintf(stderr, "# step %d: %s\n", step, error.what());
      ::_exit(91);
    }
    ::_exit(0);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0, "the child ended with " << status);
  lab.sh("chmod -R u+w registry && git config --global --unset safe.directory", lab.top());
}

// Stock git finds weights where ours are, and text as it was, whatever the repository's own
// .gitattributes says.
BOOST_AUTO_TEST_CASE(attributes_of_others) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  registry.add(lab.model("m", 1), options("first", "1.0.0"));
  BOOST_TEST(lab.git("ls-tree --name-only dev first/") ==
             "first/README.md\nfirst/aiaccel.json\nfirst/model.onnx");
  const std::string ours = lab.git("show dev:.gitattributes");
  int seed = 1;
  for (const std::string& own : {std::string("*.md text eol=crlf"), ours + "\n*.onnx -filter",
                                 std::string("* filter=lfs")}) {
    // Theirs is added to a tree beside what is there.
    lab.write("own", own + "\n");
    lab.sh(
        "export GIT_INDEX_FILE=../index && git read-tree dev && git update-index --add --cacheinfo "
        "100644,$(git hash-object -w ../own),.gitattributes && "
        "git update-ref refs/heads/dev $(git commit-tree -m own -p dev $(git write-tree))",
        lab.registry());
    const std::string name = "vad" + std::to_string(++seed);
    registry.add(lab.model("m", seed), options(name, "1.0.0"));
    lab.sh("git clone -q registry " + name, lab.top());
    const Path clone = lab.top() / name;
    lab.sh("git check-attr filter " + name + "/model.onnx | grep 'filter: lfs'", clone);
    lab.sh("diff -r -x .gitattributes -x aiaccel.json ../m " + name, clone);
    BOOST_TEST(lab.sh("git status --porcelain " + name, clone) == "");
  }
}

// What a record tells of is what was kept, though files be written while they are added.
BOOST_AUTO_TEST_CASE(written_meanwhile) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const std::string tip = lab.git("rev-parse dev");
  const Path m = lab.top() / "m";
  // Metadata was read when the first weights are copied, and these are copied later. What was
  // written just before could have the same time: it has an older one.
  const auto refused = [&](const Path& source, const std::string& file, const std::string& first,
                           const std::function<void()>& meanwhile) {
    std::filesystem::last_write_time(
        m / file, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    AddOptions adding = options("a", "1.0.0");
    bool done = false;
    adding.progress = [&](const Progress& progress) {
      if (progress.what == first && !std::exchange(done, true)) meanwhile();
    };
    const auto size = std::filesystem::file_size(m / file);
    const Thrown why = thrown([&] { registry.add(source, adding); });
    BOOST_TEST(done);
    BOOST_TEST(std::filesystem::file_size(m / file) == size);
    BOOST_TEST(why.error == EBUSY, file << ": " << why.error << " " << why.what);
    BOOST_TEST(has(why.what, file + " was changed while it was added"), why.what);
  };
  lab.write("m/a.bin", safetensors(1));
  lab.model("m", 1);
  refused(m, "model.onnx", "a.bin", [&] { lab.write("m/model.onnx", onnx(2)); });
  // Its own bytes, after the last of them was copied.
  refused(m, "model.onnx", "model.onnx", [&] { lab.write("m/model.onnx", onnx(3)); });
  // Another file by its name, of the same times.
  refused(m, "model.onnx", "a.bin", [&] {
    lab.write("other", onnx(4));
    lab.sh("touch -r m/model.onnx other && mv other m/model.onnx", lab.top());
  });
  lab.write("m/notes.md", "a");
  refused(m, "notes.md", "a.bin", [&] { lab.write("m/notes.md", "b"); });
  std::filesystem::remove(m / "model.onnx");
  lab.write("m/model-1.safetensors", safetensors(1, 100));
  const Path index = lab.write("m/model.safetensors.index.json",
                               R"({"metadata":{},"weight_map":{"w":"model-1.safetensors"}})");
  refused(index, "model.safetensors.index.json", "model-1.safetensors", [&] {
    lab.write("m/model.safetensors.index.json",
              R"({"metadata":{},"weight_map":{"v":"model-1.safetensors"}})");
  });
  BOOST_TEST(lab.git("rev-parse dev") == tip);
  BOOST_TEST(lab.sh("ls .git/aiaccel/tmp", lab.registry()) == "");
  // A file by several names is changed by nobody when the first is linked.
  lab.sh(
      "rm -r m/* && chmod 444 other.bin && ln other.bin m/x.bin && ln other.bin m/y.bin && "
      "ln -s x.bin m/z.bin",
      lab.write("other.bin", safetensors(7, 3000)).parent_path());
  BOOST_TEST(registry.add(m, options("a", "1.0.0")).files.size() == 4);
  lab.check_whole();
}

BOOST_AUTO_TEST_CASE(progress) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  lab.write("m/a.bin", safetensors(1, 5 << 20));
  lab.write("m/b.bin", safetensors(2, 3 << 20));
  AddOptions telling = options("a", "1.0.0");
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  int calls = 0;
  telling.progress = [&](const Progress& progress) {
    BOOST_TEST(progress.done_bytes >= last);
    last = progress.done_bytes;
    total = progress.total_bytes;
    calls++;
  };
  registry.add(lab.top() / "m", telling);
  BOOST_TEST(calls > 6);
  BOOST_TEST(last == total);
  BOOST_TEST(total == std::filesystem::file_size(lab.top() / "m/a.bin") +
                          std::filesystem::file_size(lab.top() / "m/b.bin"));
  // Stopped in the middle: nothing is recorded, and no temporary file stays.
  std::stop_source stop;
  telling.version = "2.0.0";
  telling.stop = stop.get_token();
  last = 0;
  telling.progress = [&](const Progress& progress) {
    if (progress.done_bytes > (1 << 20)) stop.request_stop();
  };
  lab.write("m/a.bin", safetensors(3, 5 << 20));
  BOOST_TEST(thrown([&] { registry.add(lab.top() / "m", telling); }).error == ECANCELED);
  BOOST_TEST(lab.git("tag") == "a@v1.0.0");
  BOOST_TEST(lab.sh("ls .git/aiaccel/tmp", lab.registry()) == "");
}

BOOST_AUTO_TEST_SUITE_END()
