// SPDX-License-Identifier: MIT
//
// `aiaccel model` as people type it, with real models where they are here, and stock git and
// git-lfs beside it: what one writes the other reads.
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/progress.hpp"
#include "common/text.hpp"
#include "formats/fixture.hpp"
#include "models/fixture.hpp"
#include "process.hpp"
#include "tap/tap.hpp"

namespace {

namespace fs = std::filesystem;
using process::Result;
using tools::Json;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A little ONNX model: y = x + w as often as `adds` says, float32[batch, width].
std::string onnx(unsigned width, unsigned adds = 1, const std::string& weights = "1234",
                 const std::string& x = "x", const std::string& w = "w") {
  namespace pb = fixture::pb;
  const auto value = [width](const std::string& name) {
    const std::string dimensions =
        pb::bytes(1, pb::bytes(2, "batch")) + pb::bytes(1, pb::number(1, width));
    return pb::bytes(1, name) +
           pb::bytes(2, pb::bytes(1, pb::number(1, 1) + pb::bytes(2, dimensions)));
  };
  std::string graph;
  for (unsigned i = 0; i < adds; i++)
    graph += pb::bytes(1, pb::bytes(1, x) + pb::bytes(1, w) + pb::bytes(2, "y") +
                              pb::bytes(3, "n" + std::to_string(i)) + pb::bytes(4, "Add"));
  graph +=
      pb::bytes(2, "g") +
      pb::bytes(5, pb::number(1, 1) + pb::number(2, 1) + pb::bytes(8, w) + pb::bytes(9, weights)) +
      pb::bytes(11, value(x)) + pb::bytes(12, value("y"));
  return pb::number(1, 8) + pb::bytes(2, "tests") + pb::bytes(7, graph) +
         pb::bytes(8, pb::number(2, 17));
}

std::string program() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
}

// A folder with a registry in it, a home of its own for git, and files to add.
struct Place {
  fs::path path;
  fs::path registry;
  std::vector<std::string> environment;

  Place() {
    char name[] = "/tmp/aiaccel-model-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name));
    path = name;
    registry = path / "registry";
    environment = {"AIACCEL_REGISTRY=" + registry.string(),
                   "HOME=" + path.string(),
                   "XDG_CONFIG_HOME=" + (path / "config").string(),
                   "GIT_CONFIG_NOSYSTEM=1",
                   "GIT_AUTHOR_NAME=Anna",
                   "GIT_AUTHOR_EMAIL=anna@example.org",
                   "GIT_COMMITTER_NAME=Anna",
                   "GIT_COMMITTER_EMAIL=anna@example.org",
                   "LC_ALL=C.UTF-8"};
  }
  ~Place() {
    // Checked-out versions are read-only.
    std::error_code none;
    for (const auto& entry : fs::recursive_directory_iterator(path, none))
      if (entry.is_directory()) fs::permissions(entry.path(), fs::perms::owner_all, none);
    fs::remove_all(path, none);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  Result run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"aiaccel", "model"});
    return process::run(arguments, environment);
  }

  // What must work.
  Result good(const std::vector<std::string>& arguments) const {
    Result result = run(arguments);
    BOOST_TEST_REQUIRE(result.status == 0, arguments[0] << ": " << result.err << result.out);
    return result;
  }

  // A program that is none of ours, in `folder`; its output, without the newline at the end.
  std::string shell(const fs::path& folder, const std::string& command) const {
    const fs::path out = path / "shell.out";
    std::string line = "cd '" + folder.string() + "' && env";
    for (const std::string& variable : environment) line += " '" + variable + "'";
    line += " sh -c '" + command + "' >'" + out.string() + "' 2>&1";
    const int status = std::system(line.c_str());  // NOLINT
    std::string text = read(out);
    while (text.ends_with('\n')) text.pop_back();
    BOOST_TEST(status == 0, command << ": " << text);
    return text;
  }

  std::string file(const std::string& name, const std::string& text) const {
    write(path / name, text);
    return path / name;
  }

  // A version of the model `vad`, `width` wide.
  void add(const std::string& version, unsigned width) const {
    good({"add", file("vad.onnx", onnx(width)), "--name", "vad", "--version", version});
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(model)

BOOST_AUTO_TEST_CASE(misuse_ends_with_2_and_says_what_to_do) {
  const Place place;
  const std::vector<std::vector<std::string>> misuses{
      {},
      {"nonsense"},
      {"add"},
      {"add", "x.onnx"},
      {"add", "x.onnx", "--name", ""},
      {"add", "x.onnx", "--name", "x", "--label", "nothing"},
      {"add", "x.onnx", "--name", "x", "--label", "a=1", "--label", "a=2"},
      {"show", "Vad"},
      {"show", "vad@five"},
      {"show", "vad#prod#0"},
      {"promote", "vad@v1.0.0"},
      {"rollback", "vad@v1.0.0"},
      {"rollback", "vad#prod#3"},
      {"export", "vad"},
      {"sign", "vad"},
  };
  for (const auto& misuse : misuses) {
    const Result result = place.run(misuse);
    BOOST_TEST_CONTEXT((misuse.empty() ? "nothing" : misuse.back())) {
      BOOST_TEST(result.status == 2);
      BOOST_TEST(result.out == "");
      BOOST_TEST(result.err.starts_with("aiaccel: "));
    }
  }
  BOOST_TEST(!fs::exists(place.registry));
}

BOOST_AUTO_TEST_CASE(without_a_registry) {
  const Place place;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"ls"}, {"show", "vad"}, {"promote", "vad", "prod"}, {"gc"}}) {
    const Result result = place.run(command);
    BOOST_TEST(result.status == 1);
    BOOST_TEST(has(result.err, place.registry.string()));
    BOOST_TEST(has(result.err, "hint: `aiaccel model add`"));
  }
  BOOST_TEST(!fs::exists(place.registry));
}

BOOST_AUTO_TEST_CASE(what_was_added_is_shown) {
  const Place place;
  const Result added = place.good({"add", place.file("vad.onnx", onnx(576)), "--name", "vad",
                                   "--version", "5.0.0", "--label", "task=vad", "--label",
                                   "language=any=all", "--licence", "MIT", "--training-run",
                                   "https://example.org/42", "-m", "the first\n\nwith more words"});
  BOOST_TEST(added.out.starts_with("vad@v5.0.0  "));
  BOOST_TEST(added.err == "aiaccel: made a registry in " + place.registry.string() +
                              "\n");  // a progress bar is for terminals

  const Json json = place.good({"show", "vad@v5.0.0", "--json"}).json();
  BOOST_TEST(json["name"] == "vad");
  BOOST_TEST(json["version"] == "v5.0.0");
  BOOST_TEST(json["labels"]["task"] == "vad");
  BOOST_TEST(json["labels"]["language"] == "any=all");
  BOOST_TEST(json["licence"] == "MIT");
  BOOST_TEST(json["training_run"] == "https://example.org/42");
  BOOST_TEST(json["main_file"] == "vad.onnx");
  BOOST_TEST(json["signed"] == false);
  BOOST_TEST(json["stages"].empty());
  BOOST_TEST_REQUIRE(json["files"].size() == 2u);
  BOOST_TEST(json["files"][0]["path"] == "aiaccel.json");
  BOOST_TEST(json["files"][1]["path"] == "vad.onnx");
  BOOST_TEST(json["files"][1]["size_bytes"] == onnx(576).size());
  BOOST_TEST(json["files"][1]["weights"] == true);
  BOOST_TEST(json["metadata"]["inputs"][0]["shape"] == Json::array({"batch", 576}));
  BOOST_TEST(json["commit"] == place.shell(place.registry, "git rev-parse vad@v5.0.0^{commit}"));

  const Result shown = place.good({"show", "vad@latest", "--tensors"});
  for (const char* part :
       {"vad@v5.0.0\n", "author     Anna", "licence    MIT\n", "label      task=vad\n",
        "made by    https://example.org/42\n", "message    the first\n           with more words\n",
        "format     onnx 8, opset 17\n", "input      x: float32[batch, 576]\n",
        "operators  1 Add\n", "tensor     w: float32[1]  4 B\n", "signed     no\n"})
    BOOST_TEST(has(shown.out, part), part << " is not in\n" << shown.out);
}

// Nothing that aiaccel writes has control characters; what stock git writes may.
BOOST_AUTO_TEST_CASE(text_of_others_sends_nothing_to_the_terminal) {
  const Place place;
  const std::string file = place.file("vad.onnx", onnx(1));
  BOOST_TEST(place.run({"add", file, "--name", "vad", "-m", "\033]0;title\007"}).status == 1);
  place.add("1.0.0", 1);
  place.shell(place.registry,
              "printf \"\\033]0;title\\007\\n\" >../text && "
              "git tag -a \"vad#prod#1\" -F ../text \"vad@v1.0.0^{}\" && "
              "GIT_AUTHOR_NAME=$(printf \"\\033[31mred\") git tag -a \"vad#prod#2\" "
              "-F ../text \"vad@v1.0.0^{}\"");
  const Json entries = place.good({"log", "vad#prod", "--json"}).json()["entries"];
  BOOST_TEST_REQUIRE(entries.size() == 2u);
  BOOST_TEST(has(entries[0]["message"], "\033"));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"log", "vad#prod"}, {"show", "vad#prod"}, {"ls", "vad"}})
    BOOST_TEST(!has(place.good(command).out, "\033"), command[0]);
}

// A stage that was never given anything fails alike for all that ask for it.
BOOST_AUTO_TEST_CASE(no_such_stage) {
  const Place place;
  place.add("1.0.0", 1);
  for (const std::string command : {"show", "log"}) {
    const Result result = place.run({command, "vad#nothere"});
    BOOST_TEST(result.status == 1, command);
    BOOST_TEST(result.out == "", command);
    BOOST_TEST(has(result.err, "vad#nothere"), command);
  }
  BOOST_TEST(place.run({"log", "vad#nothere", "--json"}).status == 1);
}

BOOST_AUTO_TEST_CASE(a_folder_without_a_model_has_no_main_file) {
  const Place place;
  write(place.path / "texts/one.txt", "one");
  write(place.path / "texts/two.txt", "two");
  place.good({"add", place.path / "texts", "--name", "texts"});
  const std::string shown = place.good({"show", "texts"}).out;
  BOOST_TEST(has(shown, "none"));
  BOOST_TEST(!has(shown, ", which no reader knows"));
}

// What cannot be run is said when it is added, not when it is to be served.
BOOST_AUTO_TEST_CASE(add_warns_of_what_cannot_be_run) {
  const Place place;
  write(place.path / "two/one.onnx", onnx(1));
  write(place.path / "two/other.onnx", onnx(2));
  const std::string two = place.path / "two";
  const Result unclear = place.run({"add", two, "--name", "two"});
  BOOST_TEST(unclear.status == 0);
  BOOST_TEST(has(unclear.err, "--main says which: one.onnx other.onnx"), unclear.err);
  BOOST_TEST(place.run({"add", two, "--name", "main", "--main", "one.onnx"}).err == "");

  write(place.path / "text.txt", "no model");
  const Result text = place.run({"add", place.path / "text.txt", "--name", "text"});
  BOOST_TEST(text.status == 0);
  BOOST_TEST(has(text.err, "it can be kept, not run"), text.err);
}

// What was copied so far goes, and the program ends as it was told to.
BOOST_AUTO_TEST_CASE(an_interrupted_add_leaves_nothing) {
  const Place place;
  place.add("1.0.0", 4);
  const fs::path big = place.file("big.bin", "");
  fs::resize_file(big, std::uintmax_t{1} << 30);  // a hole
  const fs::path temporary = place.registry / ".git/aiaccel/tmp";
  Result result;
  std::thread adding([&] { result = place.run({"add", big, "--name", "big"}); });
  // A temporary file's name begins with the number of its process.
  pid_t pid = 0;
  for (int tries = 0; pid == 0 && tries < 60'000; tries++) {
    std::error_code none;
    for (const auto& each : fs::directory_iterator(temporary, none))
      pid = std::atoi(each.path().filename().c_str());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const bool told = pid > 1 && ::kill(pid, SIGTERM) == 0;
  adding.join();
  BOOST_TEST(told);
  BOOST_TEST(result.status == -SIGTERM, result.out << result.err);
  BOOST_TEST(fs::is_empty(temporary));
  BOOST_TEST(place.good({"ls", "--json"}).json().size() == 1);
  BOOST_TEST(place.shell(place.registry, "git lfs fsck") == "Git LFS fsck OK");
}

// A registry is not made without a word, nor among somebody's files.
BOOST_AUTO_TEST_CASE(a_registry_is_made_by_the_first_add) {
  const Place place;
  const std::string model = place.file("vad.onnx", onnx(4));
  const Result first = place.good({"add", model, "--name", "vad"});
  BOOST_TEST(has(first.err, "made a registry in " + place.registry.string()), first.err);
  BOOST_TEST(!has(place.good({"add", model, "--name", "again"}).err, "made a registry"));
  place.file("work/notes.txt", "mine");
  const Result refused =
      place.run({"add", model, "--name", "vad", "--registry", (place.path / "work").string()});
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(has(refused.err, "which has files"), refused.err);
  BOOST_TEST(!fs::exists(place.path / "work/.git"));
  place.shell(place.path / "work", "git init -q");
  place.good({"add", model, "--name", "vad", "--registry", (place.path / "work").string()});
}

BOOST_AUTO_TEST_CASE(lists) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("1.10.0", 2);
  place.add("1.9.0", 3);
  place.good({"promote", "vad@v1.9.0", "prod"});
  place.good({"add", place.file("other.onnx", onnx(9)), "--name", "other"});

  const Json all = place.good({"ls", "--json"}).json();
  BOOST_TEST_REQUIRE(all["models"].size() == 2u);
  BOOST_TEST(all["models"][0]["name"] == "other");
  BOOST_TEST(all["models"][0]["latest"].is_null());
  BOOST_TEST(all["models"][1]["latest"] == "v1.10.0");
  BOOST_TEST(all["models"][1]["versions"] == 3);
  BOOST_TEST(all["models"][1]["stages"]["prod"] == "v1.9.0");
  BOOST_TEST(has(place.good({"ls"}).out, "prod=v1.9.0"));

  const Json versions = place.good({"ls", "vad", "--json"}).json()["versions"];
  BOOST_TEST_REQUIRE(versions.size() == 3u);
  BOOST_TEST(versions[0]["version"] == "v1.10.0");
  BOOST_TEST(versions[1]["version"] == "v1.9.0");
  BOOST_TEST(versions[1]["stages"] == Json::array({"prod"}));
  BOOST_TEST(versions[2]["version"] == "v1.0.0");

  const std::string refs = place.good({"ls", "--refs"}).out;
  for (const char* ref : {"other\n", "vad\n", "vad@v1.10.0\n", "vad@v1.0.0\n", "vad#prod\n"})
    BOOST_TEST(has("\n" + refs, std::string("\n") + ref), ref);
  const Result none = place.run({"ls", "nobody"});
  BOOST_TEST(none.status == 1);
  BOOST_TEST(has(none.err, "there is no model nobody"));
}

BOOST_AUTO_TEST_CASE(a_version_is_added_once) {
  const Place place;
  place.add("1.0.0", 1);
  const Result again =
      place.run({"add", place.file("vad.onnx", onnx(2)), "--name", "vad", "--version", "1.0.0"});
  BOOST_TEST(again.status == 1);
  BOOST_TEST(has(again.err, "v1.0.0"));
  BOOST_TEST(place.good({"ls", "vad", "--json"}).json()["versions"].size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_version_comes_later) {
  const Place place;
  place.good({"add", place.file("vad.onnx", onnx(1)), "--name", "vad"});
  BOOST_TEST(place.good({"show", "vad", "--json"}).json()["version"].is_null());
  BOOST_TEST(place.good({"tag", "vad", "1.0.0"}).out.starts_with("vad@v1.0.0  "));
  BOOST_TEST(place.good({"show", "vad", "--json"}).json()["version"] == "v1.0.0");
}

BOOST_AUTO_TEST_CASE(diff_of_versions_and_of_a_file) {
  const Place place;
  place.add("1.0.0", 512);
  place.good({"add", place.file("vad.onnx", onnx(576, 2)), "--name", "vad", "--version", "2.0.0"});
  const Result diff = place.good({"diff", "vad@v1.0.0", "vad@v2.0.0"});
  for (const char* line : {"~ input x: float32[batch, 512] -> float32[batch, 576]\n",
                           "~ output y: float32[batch, 512] -> float32[batch, 576]\n",
                           "~ operator Add: 1 -> 2\n", "~ file vad.onnx: "})
    BOOST_TEST(has(diff.out, line), line << " is not in\n" << diff.out);
  BOOST_TEST(place.good({"diff", "vad@v1.0.0", "vad@v1.0.0"}).out == "");

  // Other weights of the same shape: only the file's digest tells.
  place.good(
      {"add", place.file("vad.onnx", onnx(576, 2, "abcd")), "--name", "vad", "--version", "2.0.1"});
  const Json json = place.good({"diff", "vad@v2.0.0", "vad@v2.0.1", "--json"}).json();
  BOOST_TEST(json["before"] == "vad@v2.0.0");
  BOOST_TEST_REQUIRE(json["changes"].size() == 1u);
  BOOST_TEST(json["changes"][0]["part"] == "file");
  BOOST_TEST(json["changes"][0]["how"] == "changed");

  const std::string file = place.file("new.onnx", onnx(512));
  BOOST_TEST(place.good({"diff", "vad@v1.0.0", file}).out ==
             "+ file new.onnx: " + std::to_string(onnx(512).size()) + " bytes\n" +
                 "- file vad.onnx: " + std::to_string(onnx(512).size()) + " bytes\n");
}

BOOST_AUTO_TEST_CASE(stages_and_their_history) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("2.0.0", 2);
  BOOST_TEST(place.good({"promote", "vad@v1.0.0", "prod", "-m", "go"}).out ==
             "vad#prod  is v1.0.0  (vad#prod#1)\n");
  const Json second = place.good({"promote", "vad@v2.0.0", "prod", "--json"}).json();
  BOOST_TEST(second["entry"]["number"] == 2);
  BOOST_TEST(second["entry"]["version"] == "v2.0.0");
  BOOST_TEST(place.good({"show", "vad#prod", "--json"}).json()["version"] == "v2.0.0");
  BOOST_TEST(place.good({"show", "vad#prod#1", "--json"}).json()["version"] == "v1.0.0");
  BOOST_TEST(place.good({"rollback", "vad#prod", "-m", "it failed"}).out ==
             "vad#prod  is v1.0.0  (vad#prod#3)\n");
  const Json log = place.good({"log", "vad#prod", "--json"}).json();
  BOOST_TEST_REQUIRE(log["entries"].size() == 3u);
  BOOST_TEST(log["entries"][0]["number"] == 3);
  BOOST_TEST(log["entries"][0]["rollback"] == true);
  BOOST_TEST(log["entries"][0]["version"] == "v1.0.0");
  BOOST_TEST(log["entries"][1]["rollback"] == false);
  BOOST_TEST(log["entries"][2]["message"].get<std::string>().starts_with("go"));
  BOOST_TEST(has(place.good({"log", "vad#prod"}).out, "(rollback) it failed"));
  BOOST_TEST(place.good({"log", "vad", "--json"}).json()["versions"][0]["version"] == "v2.0.0");
  BOOST_TEST(place.shell(place.registry, "git tag -l \"vad#*\"") ==
             "vad#prod#1\nvad#prod#2\nvad#prod#3");
  // There is nothing before the first.
  BOOST_TEST(place.run({"rollback", "vad#prod"}).status == 1);
}

BOOST_AUTO_TEST_CASE(lineage_has_its_commit) {
  const Place place;
  place.add("1.0.0", 1);
  const std::string commit = place.good({"show", "vad@v1.0.0", "--json"}).json()["commit"];
  place.good({"add", place.file("vad.onnx", onnx(2)), "--name", "vad", "--version", "2.0.0",
              "--parent", "vad@v1.0.0"});
  BOOST_TEST(place.good({"show", "vad", "--json"}).json()["parent_commit"] == commit);
  BOOST_TEST(has(place.good({"show", "vad"}).out,
                 "made from  vad@v1.0.0 (" + commit.substr(0, 10) + ")\n"));
}

BOOST_AUTO_TEST_CASE(a_stage_may_have_what_was_removed) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("2.0.0", 2);
  const std::string commit = place.good({"show", "vad@v1.0.0", "--json"}).json()["commit"];
  place.good({"promote", "vad@v1.0.0", "prod"});
  place.good({"promote", "vad@v2.0.0", "prod"});
  place.good({"rm", "vad@v1.0.0"});
  const std::string brief = commit.substr(0, 10);
  BOOST_TEST(place.good({"rollback", "vad#prod"}).out ==
             "vad#prod  is " + brief + ", which was v1.0.0  (vad#prod#3)\n");
  const Json model = place.good({"ls", "--json"}).json()["models"][0];
  BOOST_TEST(model["stages"]["prod"] == commit);
  BOOST_TEST(has(place.good({"ls"}).out, "prod=" + brief + "(removed)"), place.good({"ls"}).out);
  BOOST_TEST(has(place.good({"ls", "vad"}).out, "v1.0.0 (removed)"));
  BOOST_TEST(has(place.good({"ls", "--refs"}).out, "vad#prod\n"));
  BOOST_TEST(has(place.good({"log", "vad#prod"}).out, "v1.0.0 (removed)"));
  const Json entry = place.good({"log", "vad#prod", "--json"}).json()["entries"][0];
  BOOST_TEST(entry["removed"] == "v1.0.0");
  BOOST_TEST(entry["commit"] == commit);
  BOOST_TEST(has(place.good({"show", "vad#prod"}).out, "v1.0.0 (removed)"));
}

BOOST_AUTO_TEST_CASE(what_is_removed_is_said_first) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("2.0.0", 2);
  place.good({"promote", "vad@v2.0.0", "prod"});
  const Result refused = place.run({"rm", "vad@v2.0.0"});
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(has(refused.err, "prod"));
  BOOST_TEST(has(place.good({"rm", "--dry-run", "vad@v1.0.0"}).out, "would remove"));
  BOOST_TEST(place.good({"ls", "vad", "--json"}).json()["versions"].size() == 2u);
  const Json removed = place.good({"rm", "vad@v1.0.0", "--json"}).json();
  BOOST_TEST(removed["dry_run"] == false);
  BOOST_TEST(!removed["removed"].empty());
  BOOST_TEST(place.good({"ls", "vad", "--json"}).json()["versions"].size() == 1u);
  // The branch dev still has the version in its history.
  BOOST_TEST(place.good({"gc", "--dry-run", "--json"}).json()["bytes"] == 0);
  BOOST_TEST(place.good({"gc"}).out == "nothing to remove\n");
  // What a process that was killed left.
  const fs::path left = place.registry / ".git/aiaccel/tmp/left";
  write(left, "12345");
  const Json would = place.good({"gc", "--dry-run", "--json"}).json();
  BOOST_TEST(would["dry_run"] == true);
  BOOST_TEST(would["bytes"] == 5);
  BOOST_TEST(would["removed"].size() == 1U);
  BOOST_TEST(fs::exists(left));
  BOOST_TEST(place.good({"gc", "--json"}).json()["removed"] == would["removed"]);
  BOOST_TEST(!fs::exists(left));
}

BOOST_AUTO_TEST_CASE(hooks) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("2.0.0", 2);
  const std::string hook =
      place.file("hook",
                 "#!/bin/sh\necho \"$#\" \"$@\" \"$AIACCEL_MODEL $AIACCEL_STAGE $AIACCEL_VERSION "
                 "$AIACCEL_NUMBER\" >>\"$HOME/told\"\necho from the hook\n");
  BOOST_REQUIRE(::chmod(hook.c_str(), 0755) == 0);
  const auto config = [&](const std::string& key, const std::string& value) {
    place.shell(place.registry, "git config aiaccel." + key + " \"" + value + "\"");
  };
  const auto told = [&] {
    const std::string text = read(place.path / "told");
    fs::remove(place.path / "told");
    return text;
  };
  config("onPromote", "~/hook");
  const std::string v1 = place.good({"show", "vad@v1.0.0", "--json"}).json()["commit"];
  const std::string v2 = place.good({"show", "vad@v2.0.0", "--json"}).json()["commit"];
  const std::string none(40, '0');

  const Result first = place.good({"promote", "vad@v1.0.0", "prod", "--json"});
  BOOST_TEST(told() == "4 vad prod " + v1 + " " + none + " vad prod v1.0.0 1\n");
  BOOST_TEST(first.json()["entry"]["number"] == 1);  // what the hook prints is not between
  BOOST_TEST(first.err == "from the hook\n");
  place.good({"promote", "vad@v2.0.0", "prod"});
  BOOST_TEST(told() == "4 vad prod " + v2 + " " + v1 + " vad prod v2.0.0 2\n");
  place.good({"rollback", "vad#prod"});
  BOOST_TEST(told() == "");  // that one has a key of its own
  config("onRollback", hook);
  place.good({"promote", "vad@v2.0.0", "prod"});
  told();
  place.good({"rollback", "vad#prod"});
  BOOST_TEST(told() == "4 vad prod " + v1 + " " + v2 + " vad prod v1.0.0 5\n");
}

// A hook comes after the fact: the stage has changed, whatever becomes of it.
BOOST_AUTO_TEST_CASE(hooks_that_fail) {
  const Place place;
  place.add("1.0.0", 1);
  const std::string failing = place.file("failing", "#!/bin/sh\nexit 7\n");
  const std::string killed = place.file("killed", "#!/bin/sh\nkill -9 $$\n");
  for (const std::string& hook : {failing, killed}) BOOST_REQUIRE(::chmod(hook.c_str(), 0755) == 0);
  const std::string plain = place.file("plain", "#!/bin/sh\n");
  unsigned number = 0;
  for (const auto& [hook, why] : std::vector<std::pair<std::string, std::string>>{
           {failing, "ended with 7"},
           {killed, "was killed by signal 9"},
           {plain, "cannot be run: Permission denied"},
           {(place.path / "missing").string(), "cannot be run: No such file"},
           {"hook", "is no absolute path"},
           {failing + "; touch " + (place.path / "pwned").string(), "cannot be run"}}) {
    place.shell(place.registry, "git config aiaccel.onPromote \"" + hook + "\"");
    const Result result = place.run({"promote", "vad@v1.0.0", "s" + std::to_string(++number)});
    BOOST_TEST(result.status == 4);
    BOOST_TEST(has(result.err, why), result.err);
    BOOST_TEST(has(result.err, "aiaccel.onPromote"));
    const std::string stage = "vad#s" + std::to_string(number);
    BOOST_TEST(place.good({"show", stage, "--json"}).json()["version"] == "v1.0.0");
  }
  BOOST_TEST(!fs::exists(place.path / "pwned"));
}

// Whoever read the output may have gone, as `head` does.
BOOST_AUTO_TEST_CASE(hooks_run_where_nobody_reads) {
  const Place place;
  place.add("1.0.0", 1);
  const std::string hook = place.file("hook", "#!/bin/sh\necho \"$2\" >>\"$HOME/told\"\n");
  BOOST_REQUIRE(::chmod(hook.c_str(), 0755) == 0);
  place.shell(place.registry, "git config aiaccel.onPromote " + hook);
  place.shell(place.path, "mkfifo pipe && { true <pipe & } && exec 3>pipe && wait && " + program() +
                              " model promote vad@v1.0.0 prod >&3; test $? -ne 0");
  BOOST_TEST(read(place.path / "told") == "prod\n");
}

BOOST_AUTO_TEST_CASE(pushed_cloned_and_pulled) {
  const Place place;
  place.add("1.0.0", 1);
  place.good({"promote", "vad@v1.0.0", "prod"});
  const std::string bare = place.path / "bare.git";
  place.shell(place.path, "git init -q --bare " + bare);
  BOOST_TEST(place.good({"push", bare}).out == "pushed to " + bare + "\n");
  place.shell(place.path, "git lfs install --skip-repo && git clone -q -b prod " + bare + " clone");
  BOOST_TEST(read(place.path / "clone/vad/vad.onnx") == onnx(1));
  place.shell(place.path / "clone", "git lfs fsck");

  // Another registry gets it, and what comes after.
  const std::string other = place.path / "other";
  place.shell(place.path, "git clone -q --no-checkout -b dev " + bare + " other");
  const auto in_other = [&](std::vector<std::string> command) {
    command.insert(command.end(), {"--registry", other});
    return place.good(command);
  };
  in_other({"pull"});
  BOOST_TEST(in_other({"show", "vad#prod", "--json"}).json()["version"] == "v1.0.0");
  in_other({"verify", "vad#prod"});
  place.add("2.0.0", 2);
  place.good({"promote", "vad@v2.0.0", "prod"});
  place.good({"push", bare});
  BOOST_TEST(in_other({"pull"}).out == "pulled from origin\n");
  BOOST_TEST(in_other({"show", "vad#prod", "--json"}).json()["version"] == "v2.0.0");
  in_other({"verify", "vad#prod"});
  // On a host that has no registry yet.
  const std::string fresh = (place.path / "fresh").string();
  const Result named = place.run({"pull", "--registry", fresh});
  BOOST_TEST(named.status == 1);
  BOOST_TEST(!fs::exists(fresh));
  const Result first = place.good({"pull", "file://" + bare, "--registry", fresh});
  BOOST_TEST(has(first.err, "made a registry in " + fresh), first.err);
  place.good({"verify", "vad@latest", "--registry", fresh});
}

// With keys that openssl makes, as docs/signing.md says.
BOOST_AUTO_TEST_CASE(signed_and_verified_by_policy) {
  const Place place;
  place.add("1.0.0", 1);
  place.shell(place.path,
              "for k in key other; do openssl genpkey -algorithm EC -pkeyopt "
              "ec_paramgen_curve:P-256 -out $k.pem && openssl pkey -in $k.pem -pubout "
              "-out $k.pub; done");
  const auto config = [&](const std::string& key, const std::string& value) {
    place.shell(place.registry, "git config aiaccel." + key + " \"" + value + "\"");
  };
  const auto verify = [&] { return place.run({"verify", "vad@v1.0.0", "--json"}); };
  BOOST_TEST(verify().json()["signature"] == "unchecked");
  config("signatures", "require");
  config("trustedKey", place.path / "key.pub");
  BOOST_TEST(verify().status == 1);
  BOOST_TEST(verify().json()["signature"] == "missing");
  const auto err = [&] { return place.run({"verify", "vad@v1.0.0"}).err; };
  BOOST_TEST(has(err(), "hint: `aiaccel model sign vad@v1.0.0 "), err());
  BOOST_TEST(!has(err(), "No data available"), err());
  BOOST_TEST(verify().json()["contents"] == true);
  const auto refused = [&] {
    const Result exported = place.run({"export", "vad", "--triton", place.path / "triton"});
    return exported.status == 1 && !fs::exists(place.path / "triton/vad/1");
  };
  BOOST_TEST(refused());
  BOOST_TEST(has(err(), "vad@v1.0.0 has no signature"), err());
  // It is promoted all the same, as the signature may come yet.
  const Result early = place.good({"promote", "vad@v1.0.0", "prod"});
  BOOST_TEST(early.out == "vad#prod  is v1.0.0  (vad#prod#1)\n");
  BOOST_TEST(has(early.err, "aiaccel: warning: nothing loads vad@v1.0.0"), early.err);
  BOOST_TEST(has(early.err, "has no signature"), early.err);
  config("signatures", "warn");
  const std::string mild = place.good({"promote", "vad@v1.0.0", "staging"}).err;
  BOOST_TEST(has(mild, "nobody vouches for vad@v1.0.0: vad@v1.0.0 has no signature"), mild);
  BOOST_TEST(verify().status == 0);
  BOOST_TEST(has(place.good({"verify", "vad"}).out, "signature  missing: "));

  config("signatures", "require");
  const std::string other = place.path / "other.pem";
  const std::string vain = place.good({"sign", "vad@v1.0.0", "--key", other}).err;
  BOOST_TEST(has(vain, "nothing loads vad@v1.0.0"), vain);
  BOOST_TEST(has(vain, "not trusted"), vain);
  BOOST_TEST(verify().json()["signature"] == "bad");
  BOOST_TEST(has(err(), "aiaccel.trustedKey"), err());
  BOOST_TEST(!has(err(), "`aiaccel model sign"), err());
  BOOST_TEST(!has(err(), "Required key not available"), err());
  BOOST_TEST(refused());
  const Result trusted = place.good({"sign", "vad", "--key", place.path / "key.pem", "--json"});
  BOOST_TEST(trusted.err == "");
  BOOST_TEST(place.good({"promote", "vad@v1.0.0", "canary"}).err == "");
  const Json made = trusted.json();
  BOOST_TEST(made["path"] == ".signatures/vad/v1.0.0.sig");
  BOOST_TEST(made["key_hint"].get<std::string>() ==
             place.shell(place.path, "sha256sum key.pub | cut -d\" \" -f1"));
  BOOST_TEST(verify().status == 0);
  BOOST_TEST(verify().json()["signature"] == "good");
  BOOST_TEST(place.good({"show", "vad@v1.0.0", "--json"}).json()["signed"] == true);
  place.good({"export", "vad@v1.0.0", "--triton", place.path / "triton"});
  BOOST_TEST(fs::exists(place.path / "triton/vad/1/model.onnx"));

  // To sign again what was changed would vouch for the change.
  place.shell(place.path,
              "git clone -q -b dev registry tree && cd tree && "
              "sed -i \"s/.payload.: *.\\(....\\)/&AAAA/\" .signatures/vad/v1.0.0.sig && "
              "git commit -qam changed && cd ../registry && git fetch -q ../tree dev && "
              "git update-ref refs/heads/dev FETCH_HEAD");
  BOOST_TEST(verify().json()["signature"] == "bad");
  BOOST_TEST(has(err(), "aiaccel: "), err());
  BOOST_TEST(!has(err(), "hint"), err());
  BOOST_TEST(!has(err(), "Bad message"), err());

  // What to type for signatures to count is said where there is one.
  config("signatures", "off");
  BOOST_TEST(has(err(), " config aiaccel.signatures require\n"), err());
  BOOST_TEST(has(err(), " config --add aiaccel.trustedKey /"), err());
  place.add("2.0.0", 2);
  BOOST_TEST(place.good({"verify", "vad@v2.0.0"}).err == "");
}

BOOST_AUTO_TEST_CASE(a_passphrase_is_not_asked_for_without_a_terminal) {
  const Place place;
  place.add("1.0.0", 1);
  place.shell(place.path,
              "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 "
              "-pass pass:secret -out key.pem");
  const std::string line = "setsid build/bin/aiaccel model sign vad --key '" +
                           (place.path / "key.pem").string() + "' --registry '" +
                           place.registry.string() + "' 2>'" + (place.path / "err").string() + "'";
  BOOST_TEST(std::system(line.c_str()) != 0);  // NOLINT
  BOOST_TEST(has(read(place.path / "err"), "no terminal"), read(place.path / "err"));
}

// A program that has a terminal for itself, and whoever sits there.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> line, bool hangups_ignored = false) {
    BOOST_REQUIRE(::openpty(&mine_, &its_, nullptr, nullptr, nullptr) == 0);
    std::vector<char*> arguments;
    for (std::string& each : line) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    child_ = ::fork();
    BOOST_REQUIRE(child_ >= 0);
    if (child_ == 0) {
      if (hangups_ignored) (void)::signal(SIGHUP, SIG_IGN);
      ::login_tty(its_);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    ::close(mine_);
    ::close(its_);  // kept open: the settings last as long as it is
  }

  void until(const std::string& text) {
    std::string shown;
    char bytes[256];
    for (ssize_t got; !has(shown, text);) {
      got = ::read(mine_, bytes, sizeof(bytes));
      BOOST_REQUIRE(got > 0);
      shown.append(bytes, static_cast<std::size_t>(got));
    }
  }
  void type(const std::string& text) const {
    BOOST_REQUIRE(::write(mine_, text.data(), text.size()) > 0);
  }
  bool echoes() const {
    termios settings{};
    BOOST_REQUIRE(::tcgetattr(its_, &settings) == 0);
    return (settings.c_lflag & ECHO) != 0;
  }
  pid_t child() const { return child_; }
  int status() const {
    int status = 0;
    BOOST_REQUIRE(::waitpid(child_, &status, 0) == child_);
    return status;
  }

 private:
  int mine_ = -1, its_ = -1;
  pid_t child_ = -1;
};

// What signs a version with a key that has a passphrase, which is "secret".
std::vector<std::string> signing(const Place& place) {
  place.add("1.0.0", 1);
  place.shell(place.path,
              "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 "
              "-pass pass:secret -out key.pem");
  return {program(),    "model",       "sign", "vad", "--key", place.path / "key.pem",
          "--registry", place.registry};
}

BOOST_AUTO_TEST_CASE(an_interrupted_passphrase_leaves_the_terminal_as_it_was) {
  const Place place;
  const auto line = signing(place);
  for (const bool interrupted : {true, false}) {
    Terminal terminal(line);
    terminal.until("Passphrase");
    BOOST_TEST(!terminal.echoes());
    terminal.type(interrupted ? "sec\003" : "secret\n");
    const int status = terminal.status();
    if (interrupted)
      BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGINT), status);
    else
      BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0), status);
    BOOST_TEST(terminal.echoes());
  }
}

BOOST_AUTO_TEST_CASE(a_hangup_that_is_ignored_interrupts_no_passphrase) {
  const Place place;
  Terminal terminal(signing(place), true);
  terminal.until("Passphrase");
  terminal.type("sec");
  BOOST_TEST(::kill(terminal.child(), SIGHUP) == 0);
  // What it would do wrong, it would do now.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  terminal.type("ret\n");
  const int status = terminal.status();
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0), status);
}

// By a shell with jobs, which itself leaves the terminal's settings alone.
BOOST_AUTO_TEST_CASE(a_passphrase_is_asked_for_again_after_a_stop) {
  const Place place;
  std::string command;
  for (const std::string& each : signing(place)) command += "'" + each + "' ";
  Terminal terminal({"/bin/sh", "-m", "-c", command + "; echo STOPPED; read x; fg"});
  terminal.until("Passphrase");
  BOOST_TEST(!terminal.echoes());
  terminal.type("wro\032");
  terminal.until("STOPPED");
  BOOST_TEST(terminal.echoes());
  terminal.type("\n");
  terminal.until("Passphrase");
  BOOST_TEST(!terminal.echoes());
  terminal.type("secret\n");
  const int status = terminal.status();
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0), status);
  BOOST_TEST(terminal.echoes());
}

// Weights that changed on the disk are told, whatever the policy.
BOOST_AUTO_TEST_CASE(what_is_not_as_recorded) {
  const Place place;
  place.add("1.0.0", 1);
  const Json shown = place.good({"show", "vad", "--json"}).json();
  const std::string sha256 = shown["files"][1]["sha256"];
  const fs::path object =
      place.registry / ".git/lfs/objects" / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
  BOOST_TEST_REQUIRE(fs::exists(object));
  BOOST_TEST(place.good({"verify", "vad"}).out.starts_with("vad@v1.0.0\ncontents   2 files, "));
  fs::permissions(object, fs::perms::owner_all);
  write(object, onnx(1, 1, "9999"));
  const Result result = place.run({"verify", "vad"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "vad.onnx"), result.err);
  const Result json = place.run({"verify", "vad", "--json"});
  BOOST_TEST(json.status == 1);
  BOOST_TEST(json.json()["contents"] == false);
  BOOST_TEST(json.json()["signature"] == "unchecked");
  BOOST_TEST(place.run({"sign", "vad", "--key", place.path / "none.pem"}).status == 1);
}

BOOST_AUTO_TEST_CASE(the_registry_of_another_user) {
  if (::geteuid() != 0) SKIP("needs root, to be several users");
  const Place place;
  place.add("1.0.0", 1);
  place.shell(place.path, "chmod 755 . && chmod -R go=rX registry");
  const auto nobody = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                         "--clear-groups", program(), "model"});
    return process::run(arguments, place.environment);
  };
  const std::string trust = "git config --global --add safe.directory " + place.registry.string();
  const Result strange = nobody({"ls"});
  BOOST_TEST(strange.status == 1);
  BOOST_TEST(has(strange.err, "belongs to another user"), strange.err);
  BOOST_TEST(has(strange.err, "`" + trust + "`"), strange.err);
  BOOST_TEST(!has(strange.err, "hint"), strange.err);
  const Result added = nobody({"add", place.path / "vad.onnx", "--name", "more"});
  BOOST_TEST(has(added.err, "`" + trust + "`"), added.err);
  BOOST_TEST(!has(added.err, "hint"), added.err);
  // With a setting that is of something else, libgit2 says so in another way.
  place.shell(place.path, "git config --global --add safe.directory /nowhere");
  BOOST_TEST(has(nobody({"ls"}).err, "`" + trust + "`"));
  place.shell(place.path, trust);
  BOOST_TEST(nobody({"ls"}).status == 0);
  BOOST_TEST(nobody({"verify", "vad"}).status == 0);

  // Nothing was checked out before, and this user cannot.
  const Result early = nobody({"export", "vad", "--triton", place.path / "out"});
  BOOST_TEST(early.status == 1);
  BOOST_TEST(has(early.err, place.registry / ".git/aiaccel/checkouts"), early.err);
  BOOST_TEST(has(early.err, "or this user loads it from a clone"), early.err);
  place.good({"export", "vad", "--triton", place.path / "out"});
  place.shell(place.path, "mkdir -m 777 theirs");
  const Result late = nobody({"export", "vad", "--triton", place.path / "theirs/out"});
  BOOST_TEST(late.status == 0, late.err);
}

BOOST_AUTO_TEST_CASE(weights_that_were_not_fetched) {
  const Place place;
  place.add("1.0.0", 1);
  place.shell(place.path, "GIT_LFS_SKIP_SMUDGE=1 git clone -q registry clone");
  const std::string clone = place.path / "clone";
  const Result bare = place.run({"verify", "vad@v1.0.0", "--registry", clone});
  BOOST_TEST(bare.status == 1);
  BOOST_TEST(has(bare.err, "vad.onnx: its weights are not here"), bare.err);
  BOOST_TEST(has(bare.err, "hint: `aiaccel model pull --registry " + clone + "`"), bare.err);
  place.shell(place.path, "git -C clone lfs fetch --all");
  BOOST_TEST(place.run({"verify", "vad@v1.0.0", "--registry", clone}).status == 0);
}

BOOST_AUTO_TEST_CASE(run_takes_a_name_of_the_registry) {
  if (const std::string why = fixture::missing(); !why.empty()) SKIP(why);
  const Place place;
  place.good({"add", fixture::silero("v5"), "--name", "silero-vad", "--version", "5.0.0"});
  place.good({"promote", "silero-vad@latest", "prod"});
  std::vector<std::string> environment = place.environment;
  environment.push_back("XDG_CACHE_HOME=" + fixture::kModels.parent_path().parent_path().string());
  const auto run = [&](const std::string& model) {
    return process::run({"aiaccel", "run", model, "--dim", "input.1=576", "--value", "sr=16000",
                         "--json", "--transport", "embedded"},
                        environment);
  };
  const Result result = run("silero-vad#prod");
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  BOOST_TEST(result.json()["model"] == "silero-vad@v5.0.0");
  BOOST_TEST(result.json()["outputs"] == run(fixture::silero("v5")).json()["outputs"]);
  // A folder of that name hides nothing.
  fs::create_directory(place.path / "silero-vad");
  const std::string inside =
      place.shell(place.path, "AIACCEL_TRANSPORT=embedded XDG_CACHE_HOME=" +
                                  fixture::kModels.parent_path().parent_path().string() + " " +
                                  program() + " run silero-vad --dim input.1=576 --value sr=16000");
  BOOST_TEST(has(inside, "silero-vad@v5.0.0"), inside);
  BOOST_TEST(run("silero-vad#staging").status == 1);
  BOOST_TEST(run("missing.onnx").status == 1);
}

BOOST_AUTO_TEST_CASE(run_loads_what_the_policy_lets_through) {
  if (const std::string why = fixture::missing(); !why.empty()) SKIP(why);
  const Place place;
  place.good({"add", fixture::silero("v5"), "--name", "silero-vad", "--version", "5.0.0"});
  place.shell(place.path,
              "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem && "
              "openssl pkey -in key.pem -pubout -out key.pub");
  const auto run = [&](const std::string& demand) {
    place.shell(place.registry, "git config aiaccel.signatures " + demand);
    std::vector<std::string> environment = place.environment;
    environment.push_back("XDG_CACHE_HOME=" +
                          fixture::kModels.parent_path().parent_path().string());
    return process::run({"aiaccel", "run", "silero-vad", "--dim", "input.1=576", "--value",
                         "sr=16000", "--json", "--transport", "embedded"},
                        environment);
  };
  place.shell(place.registry, "git config aiaccel.trustedKey ../key.pub");
  const Result refused = run("require");
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(refused.out == "");
  BOOST_TEST(has(refused.err, "no signature"), refused.err);
  const Result warned = run("warn");
  BOOST_TEST(warned.status == 0);
  BOOST_TEST(has(warned.err, "no signature"), warned.err);
  place.good({"sign", "silero-vad", "--key", place.path / "key.pem"});
  const Result good = run("require");
  BOOST_TEST(good.status == 0, good.err);
  BOOST_TEST(good.err == "");
}

// Names out of a model's file, and of files that stock git committed.
BOOST_AUTO_TEST_CASE(names_of_others_send_nothing_to_the_terminal) {
  const Place place;
  const std::string name = "\033[2J\u202e\nforged: line";
  for (const unsigned version : {1U, 2U})
    place.good({"add", place.file("vad.onnx", onnx(version, 1, "1234", name + "x", name + "w")),
                "--name", "vad", "--version", std::to_string(version) + ".0.0"});
  place.shell(place.registry,
              "git clone -q -b dev . ../tree && cd ../tree && "
              "printf x >\"vad/$(printf \"\\033[2J\\342\\200\\256\\nforged: file\")\" && "
              "git add -A && git commit -qm more && git tag -a vad@v3.0.0 -m three && "
              "git push -q origin vad@v3.0.0");
  const Json json = place.good({"show", "vad@v3.0.0", "--json"}).json();
  BOOST_TEST(json["metadata"]["inputs"][0]["name"] == name + "x");
  BOOST_TEST(json["metadata"]["tensors"][0]["name"] == name + "w");
  BOOST_TEST(json["files"][0]["path"] == "\033[2J\u202e\nforged: file");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"show", "vad@v3.0.0", "--tensors"},
           {"diff", "vad@v1.0.0", "vad@v2.0.0"},
           {"diff", "vad@v2.0.0", "vad@v3.0.0"},
           {"log", "vad@v3.0.0"},
           {"ls", "vad"},
           {"verify", "vad@v3.0.0"},
           {"export", "vad@v3.0.0", "--triton", place.path / "triton"}}) {
    const Result result = place.run(command);
    const std::string shown = "\n" + result.out + result.err;
    for (const char* part : {"\033", "\u202e", "\nforged"})
      BOOST_TEST(!has(shown, part), command[0] << ": " << shown);
    if (command[0] == "show" || command[0] == "diff")
      BOOST_TEST(has(shown, "?[2J??forged"), command[0] << ": " << shown);
  }
}

BOOST_AUTO_TEST_CASE(run_follows_a_stage) {
  if (const std::string why = fixture::missing(); !why.empty()) SKIP(why);
  const Place place;
  place.good({"add", fixture::silero("v5"), "--name", "silero-vad", "--version", "5.0.0"});
  place.good({"add", fixture::silero("v6"), "--name", "silero-vad", "--version", "6.0.0"});
  place.good({"promote", "silero-vad@v5.0.0", "prod"});
  std::vector<std::string> environment = place.environment;
  environment.push_back("XDG_CACHE_HOME=" + fixture::kModels.parent_path().parent_path().string());
  constexpr std::uint64_t kCount = 20'000;
  Result result;
  std::thread running([&] {
    result = process::run(
        {"aiaccel", "run", "silero-vad#prod", "--dim", "input.1=576", "--value", "sr=16000",
         "--count", std::to_string(kCount), "--json", "--transport", "embedded"},
        environment);
  });
  // It has begun when it has got its files.
  const fs::path checkouts = place.registry / ".git/aiaccel/checkouts";
  for (int i = 0; i < 6000 && !fs::exists(checkouts); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  place.good({"promote", "silero-vad@v6.0.0", "prod"});
  running.join();
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  BOOST_TEST(has(result.err, "aiaccel: now silero-vad@v6.0.0\n"), result.err);
  const Json json = result.json();
  BOOST_TEST(json["answered"] == kCount);
  BOOST_TEST_REQUIRE(json["versions"].size() == 2U);
  BOOST_TEST(json["versions"][0]["version"] == "silero-vad@v5.0.0");
  BOOST_TEST(json["versions"][1]["version"] == "silero-vad@v6.0.0");
  BOOST_TEST(json["versions"][0]["answered"].get<std::uint64_t>() +
                 json["versions"][1]["answered"].get<std::uint64_t>() ==
             kCount);
}

BOOST_AUTO_TEST_CASE(exported_for_triton) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("2.0.0", 2);
  const fs::path triton = place.path / "triton";
  const auto to_triton = [&](const std::string& ref) {
    return place.good({"export", ref, "--triton", triton, "--json"}).json();
  };
  const Json first = to_triton("vad@v1.0.0");
  BOOST_TEST(first["number"] == 1);
  BOOST_TEST(first["new"] == true);
  BOOST_TEST(read(triton / "vad/1/model.onnx") == onnx(1));
  BOOST_TEST(to_triton("vad@v2.0.0")["number"] == 2);
  BOOST_TEST(read(triton / "vad/2/model.onnx") == onnx(2));
  BOOST_TEST(read(triton / "vad/1/model.onnx") == onnx(1));
  const std::string config = read(triton / "vad/config.pbtxt");
  for (const char* part : {"name: \"vad\"\n", "backend: \"onnxruntime\"\n", "max_batch_size: 8\n",
                           "dims: [ 2 ]\n", "data_type: TYPE_FP32\n"})
    BOOST_TEST(has(config, part), part << " is not in\n" << config);
  // What is there keeps its number.
  const Json again = to_triton("vad@v1.0.0");
  BOOST_TEST(again["number"] == 1);
  BOOST_TEST(again["new"] == false);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(triton / "vad"))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  BOOST_TEST(names == (std::vector<std::string>{"1", "2", "config.pbtxt"}));
  BOOST_TEST(has(place.shell(".", "/usr/bin/python3 tests/registry/triton.py " +
                                      (triton / "vad/config.pbtxt").string()),
                 "\"name\": \"vad\""));
}

// Triton serves the highest number unless it is told which.
BOOST_AUTO_TEST_CASE(an_export_after_a_rollback_is_served) {
  const Place place;
  place.add("1.0.0", 1);
  place.add("2.0.0", 2);
  const fs::path triton = place.path / "triton";
  const auto served = [&] {
    place.good({"export", "vad#prod", "--triton", triton});
    const std::string config = read(triton / "vad/config.pbtxt");
    const std::size_t at = config.find("version_policy");
    return at == std::string::npos ? config : config.substr(at, config.find('\n', at) - at);
  };
  place.good({"promote", "vad@v1.0.0", "prod"});
  BOOST_TEST(served() == "version_policy { specific { versions: [ 1 ] } }");
  place.good({"promote", "vad@v2.0.0", "prod"});
  BOOST_TEST(served() == "version_policy { specific { versions: [ 2 ] } }");
  place.good({"rollback", "vad#prod"});
  BOOST_TEST(served() == "version_policy { specific { versions: [ 1 ] } }");
  BOOST_TEST(has(read(triton / "vad/config.pbtxt"), "dims: [ 1 ]\n"));
  BOOST_TEST(fs::exists(triton / "vad/2/model.onnx"));
}

BOOST_AUTO_TEST_CASE(exports_at_once) {
  const Place place;
  constexpr unsigned kVersions = 4;
  for (unsigned i = 1; i <= kVersions; i++) place.add(std::to_string(i) + ".0.0", i);
  const fs::path triton = place.path / "triton";
  std::vector<std::thread> threads;
  std::vector<Result> results(2 * std::size_t{kVersions});
  for (std::size_t i = 0; i < results.size(); i++)
    threads.emplace_back([&, i] {
      results[i] = place.run({"export", "vad@v" + std::to_string(i % kVersions + 1) + ".0.0",
                              "--triton", triton, "--json"});
    });
  for (std::thread& thread : threads) thread.join();
  std::vector<bool> seen(kVersions + 1);
  for (std::size_t i = 0; i < results.size(); i++) {
    BOOST_TEST_REQUIRE(results[i].status == 0, results[i].err);
    const Json json = results[i].json();
    const unsigned number = json["number"];
    BOOST_TEST_REQUIRE(number >= 1U);
    BOOST_TEST_REQUIRE(number <= kVersions);
    if (json["new"] == true) BOOST_TEST(!seen[number]);
    if (json["new"] == true) seen[number] = true;
    BOOST_TEST(read(fs::path(json["folder"].get<std::string>()) / "model.onnx") ==
               onnx(i % kVersions + 1));
  }
  BOOST_TEST(std::count(seen.begin(), seen.end(), true) == kVersions);
  // The configuration is of the version that it has served.
  const std::string config = read(triton / "vad/config.pbtxt");
  const std::string before = "versions: [ ";
  BOOST_TEST_REQUIRE(has(config, before), config);
  const std::string number = config.substr(config.find(before) + before.size(), 1);
  const std::string model = read(triton / "vad" / number / "model.onnx");
  unsigned width = 1;
  while (width <= kVersions && onnx(width) != model) width++;
  BOOST_TEST(has(config, "dims: [ " + std::to_string(width) + " ]\n"), config);
  for (const auto& entry : fs::directory_iterator(triton / "vad"))
    BOOST_TEST(!has(entry.path().filename().string(), ".part"));
}

// Also where no signature is demanded.
BOOST_AUTO_TEST_CASE(exported_is_what_was_recorded) {
  const Place place;
  place.add("1.0.0", 1);
  const fs::path triton = place.path / "triton";
  const Json shown = place.good({"show", "vad", "--json"}).json();
  const std::string sha256 = shown["files"][1]["sha256"];
  const fs::path object =
      place.registry / ".git/lfs/objects" / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
  fs::permissions(object, fs::perms::owner_all);
  write(object, onnx(1, 1, "9999"));
  const Result result = place.run({"export", "vad", "--triton", triton});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "vad.onnx"), result.err);
  BOOST_TEST(!fs::exists(triton / "vad/1"));
  BOOST_TEST(!fs::exists(triton / "vad/config.pbtxt"));
}

BOOST_AUTO_TEST_CASE(what_an_export_would_write_over_is_refused) {
  const Place place;
  write(place.path / "source/net.onnx", onnx(3));
  write(place.path / "source/aiaccel-version", "the model's own\n");
  place.good({"add", place.path / "source", "--name", "net", "--version", "1.0.0"});
  const Result result = place.run({"export", "net", "--triton", place.path / "triton"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "aiaccel-version"), result.err);
}

BOOST_AUTO_TEST_CASE(a_folder_exported_for_triton) {
  const Place place;
  const fs::path source = place.path / "source";
  write(source / "net.onnx", onnx(3));
  write(source / "vocabulary/words.txt", "one two\n");
  place.good({"add", source, "--name", "team/net", "--version", "1.0.0"});
  const fs::path triton = place.path / "triton";
  place.good({"export", "team/net", "--triton", triton, "--max-batch-size", "0"});
  BOOST_TEST(read(triton / "team_net/1/model.onnx") == onnx(3));
  BOOST_TEST(read(triton / "team_net/1/vocabulary/words.txt") == "one two\n");
  BOOST_TEST(has(read(triton / "team_net/config.pbtxt"), "name: \"team_net\"\n"));
  BOOST_TEST(has(read(triton / "team_net/config.pbtxt"), "max_batch_size: 0\n"));
}

BOOST_AUTO_TEST_CASE(what_triton_does_not_serve) {
  const Place place;
  place.good({"add",
              place.file("w.safetensors",
                         fixture::safetensors(
                             R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4)),
              "--name", "w", "--version", "1.0.0"});
  const Result result = place.run({"export", "w", "--triton", place.path / "triton"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "safetensors"));
  BOOST_TEST(!fs::exists(place.path / "triton"));
}

BOOST_AUTO_TEST_CASE(a_bar_needs_a_terminal_that_draws) {
  int ends[2];
  BOOST_REQUIRE(::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr) == 0);
  BOOST_TEST(tools::can_redraw(ends[1], "xterm"));
  BOOST_TEST(!tools::can_redraw(ends[1], "dumb"));
  BOOST_TEST(!tools::can_redraw(ends[1], nullptr));
  for (const int end : ends) ::close(end);
  BOOST_REQUIRE(::pipe(ends) == 0);
  BOOST_TEST(!tools::can_redraw(ends[1], "xterm"));
  for (const int end : ends) ::close(end);
}

BOOST_AUTO_TEST_CASE(the_line_of_a_progress_bar) {
  using tools::progress_line;
  BOOST_TEST(progress_line("a.onnx", 0, 0, 0, 80) == "a.onnx");
  BOOST_TEST(progress_line("a.onnx", 512, 1024, 0.5, 80) ==
             "a.onnx  [############            ]  50 %  512 B of 1.0 KiB");
  BOOST_TEST(progress_line("a.onnx", 1024, 1024, 2, 80) ==
             "a.onnx  [########################] 100 %  1.0 KiB of 1.0 KiB  512 B/s");
  BOOST_TEST(progress_line("a.onnx", 9999, 1024, 0, 80) ==
             progress_line("a.onnx", 1024, 1024, 0, 80));
  BOOST_TEST(progress_line("push", 2048, 0, 2, 80) == "push  2.0 KiB  1.0 KiB/s");
  for (std::size_t width = 1; width < 90; width++)
    BOOST_TEST(tools::columns(progress_line("a/long/name\033.onnx", 512, 1024, 2, width)) <= width);
}

BOOST_AUTO_TEST_SUITE_END()
