// SPDX-License-Identifier: MIT
//
// `aiaccel policy` as far as it asks no arbiter: what it says of files, and what it writes.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tap/tap.hpp"
#include "tools/process.hpp"

namespace {

using process::Result;

class Folder {
 public:
  Folder() { BOOST_REQUIRE(::mkdtemp(top_.data())); }
  ~Folder() { std::filesystem::remove_all(top_); }
  std::string path() const { return top_ + "/policy.d"; }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path() + "/" + name).rdbuf();
    return text.str();
  }
  std::string names() const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(path()))
      all += entry.path().filename().string() + " ";
    return all;
  }

 private:
  std::string top_ = "/tmp/aiaccel-policy-XXXXXX";
};

// With a transport that is not there, files are written and nothing is loaded.
Result policy(const Folder& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"aiaccel", "policy"});
  arguments.insert(arguments.end(), {"--dir", folder.path(), "--transport", "embedded"});
  return process::run(arguments);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(command)

BOOST_AUTO_TEST_CASE(set_writes_one_file_and_adds_to_it) {
  const Folder folder;
  Result result = policy(folder, {"set", "vllm*.service", "--max-class", "high", "--weight", "40"});
  BOOST_TEST(result.status == 3);  // nobody to load it
  BOOST_TEST(has(result.out, "90-vllm%2A.service.conf"));
  BOOST_TEST(has(result.err, "serves one process alone"));
  policy(folder, {"set", "vllm*.service", "--weight", "50", "--device-bytes", "10G"});
  BOOST_TEST(folder.read("90-vllm%2A.service.conf") ==
             "# Written by `aiaccel policy set`.\n[match]\nunit=vllm*.service\nmax_class=high\n"
             "weight=50\ndevice_bytes=10G\n");
  BOOST_TEST(folder.names() == "90-vllm%2A.service.conf ");
  struct stat status;
  BOOST_REQUIRE(::stat((folder.path() + "/90-vllm%2A.service.conf").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 07777) == 0644u);
  result = policy(folder, {"check"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out == "1 section, 1 rule: nothing is wrong\n");
  BOOST_TEST(policy(folder, {"set", "users:anna", "--grants", "1"}).status == 2);
  policy(folder, {"unset", "vllm*.service"});
  BOOST_TEST(folder.names() == "");
  BOOST_TEST(policy(folder, {"unset", "vllm*.service"}).status == 1);
}

BOOST_AUTO_TEST_CASE(a_folder_that_was_named_must_be_there) {
  const Folder folder;
  const Result result = policy(folder, {"check"});
  BOOST_TEST(result.status == 2);
  BOOST_TEST(has(result.err, "cannot read " + folder.path() + ": No such file"), result.err);
}

BOOST_AUTO_TEST_CASE(each_name_has_a_file_of_its_own) {
  const Folder folder;
  for (const char* who : {"a", "user:0", "group:0", "cgroup:/a/b", "cgroup:/a-b", "cgroup:/a%2Fb"})
    policy(folder, {"set", who, "--grants", "1"});
  const auto files = std::filesystem::directory_iterator(folder.path());
  BOOST_TEST(std::distance(begin(files), end(files)) == 6);
  BOOST_TEST(has(policy(folder, {"check"}).out, "6 sections"));
}

BOOST_AUTO_TEST_CASE(what_was_written_by_hand_is_left_alone) {
  const Folder folder;
  std::filesystem::create_directory(folder.path());
  const std::string text = "[match]\nunit=a\nweight=1\n[match]\nunit=b\nweight=1\n";
  std::ofstream(folder.path() + "/90-a.conf") << text;
  const Result result = policy(folder, {"set", "a", "--weight", "2"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "is not as this command writes it"));
  BOOST_TEST(folder.read("90-a.conf") == text);
}

BOOST_AUTO_TEST_CASE(mistakes_on_the_command_line) {
  const Folder folder;
  const auto refused = [&](std::vector<std::string> arguments, int status, const char* why) {
    const Result result = policy(folder, std::move(arguments));
    BOOST_TEST(result.status == status, result.status << " " << result.err);
    BOOST_TEST(has(result.err, why), result.err);
  };
  refused({"set", "a", "--weight", "0"}, 2, "--weight 0: a number from 1 to 10000 is expected");
  refused({"set", "a"}, 2, "nothing to set");
  refused({"set", "cgroup:a", "--weight", "1"}, 2, "a path below the mount point");
  refused({"set", "user:no-such-user", "--weight", "1"}, 1, "there is no user 'no-such-user'");
  refused({"set", "--weight", "1"}, 2, "WHO");
  refused({"frob"}, 2, "subcommand");
  BOOST_TEST(!std::filesystem::exists(folder.path()));
}

BOOST_AUTO_TEST_CASE(check_names_each_mistake_and_fails) {
  const Folder folder;
  std::filesystem::create_directory(folder.path());
  std::ofstream(folder.path() + "/1.conf") << "[match]\nunit=a\nweight=0\ngrants=0\n";
  Result result = policy(folder, {"check"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(result.out ==
             folder.path() + "/1.conf:3: weight='0': a number from 1 to 10000 is " + "expected\n" +
                 folder.path() +
                 "/1.conf:4: grants='0': a number from 1, or unlimited is expected\n");
  result = policy(folder, {"check", "/there/is/no.conf"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(result.out == "/there/is/no.conf: No such file or directory\n");
}

BOOST_AUTO_TEST_SUITE_END()
