// SPDX-License-Identifier: MIT
//
// Writers that are killed at each system call that changes something: what they leave is whole, and
// the next one does the work. And writers that write at once. A writer is a child that this program
// traces.
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aiaccel/signing.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "killing.hpp"
#include "lab.hpp"

using namespace aiaccel;
using namespace lab;

namespace {

// What checkout() gives has all files, with their contents.
void check_checkout(const Registry& registry, const Ref& ref) {
  const Path folder = registry.checkout(ref);
  std::vector<SignedFile> files;
  for (const VersionFile& file : registry.resolve(ref).files)
    files.push_back({file.path, file.sha256});
  BOOST_TEST((hash_folder(folder) == files));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(killed)

BOOST_AUTO_TEST_CASE(adding) {
  const Lab lab(Lab::kQuick);
  const Path second = lab.model("second", 2);
  lab.write("second/odd.name", std::string("a\0b", 3));
  kill_everywhere(
      lab,
      {[&](Registry& registry) { registry.add(lab.model("m", 1), options("vad", "1.0.0")); },
       [&](Registry& registry) { registry.add(second, options("vad", "2.0.0")); },
       [&](Registry& registry) {
         BOOST_TEST(registry.resolve(Ref::parse("vad@latest")).version == "v2.0.0");
         BOOST_TEST(registry.resolve(Ref::parse("vad")).version == "v2.0.0");
         BOOST_TEST(registry.versions("vad").size() == 2);
       }},
      40);
}

BOOST_AUTO_TEST_CASE(promoting) {
  const Lab lab(Lab::kQuick);
  kill_everywhere(lab,
                  {[&](Registry& registry) {
                     registry.add(lab.model("m", 1), options("vad", "1.0.0"));
                     registry.promote(Ref::parse("vad"), "prod");
                     registry.add(lab.model("m", 2), options("vad", "2.0.0"));
                   },
                   [&](Registry& registry) { registry.promote(Ref::parse("vad@v2.0.0"), "prod"); },
                   [&](Registry& registry) {
                     BOOST_TEST(registry.resolve(Ref::parse("vad#prod")).version == "v2.0.0");
                     BOOST_TEST(registry.history("vad", "prod").size() == 2);
                   }},
                  15);
}

// With tags in packed-refs, so that all of it is written anew.
BOOST_AUTO_TEST_CASE(removing) {
  const Lab lab(Lab::kQuick);
  kill_everywhere(lab,
                  {[&](Registry& registry) {
                     registry.add(lab.model("m", 1), options("vad", "1.0.0"));
                     registry.add(lab.model("m", 2), options("vad", "2.0.0"));
                     lab.git("pack-refs --all");
                   },
                   [&](Registry& registry) { registry.remove(Ref::parse("vad@v2.0.0"), false); },
                   [&](Registry& registry) {
                     BOOST_TEST(registry.resolve(Ref::parse("vad")).version == "v1.0.0");
                     BOOST_TEST(registry.versions("vad").size() == 1);
                   }},
                  15);
}

BOOST_AUTO_TEST_CASE(collecting) {
  const Lab lab(Lab::kQuick);
  kill_everywhere(lab,
                  {[&](Registry& registry) {
                     for (int i = 1; i <= 3; i++)
                       registry.add(lab.model("m", i), options("vad", std::to_string(i) + ".0.0"));
                     registry.checkout(Ref::parse("vad@v2.0.0"));
                     registry.remove(Ref::parse("vad@v2.0.0"), false);
                   },
                   [&](Registry& registry) { registry.gc(false, std::chrono::seconds(0)); },
                   [&](Registry& registry) {
                     BOOST_TEST(registry.versions("vad").size() == 3);
                     BOOST_TEST(registry.gc(true, std::chrono::seconds(0)).empty());
                   },
                   // What comes back is whole, and so is its checkout.
                   [&](Registry& registry) {
                     registry.add(lab.model("m", 2), options("vad", "2.0.0"));
                     check_checkout(registry, Ref::parse("vad@v2.0.0"));
                   }},
                  8);
}

BOOST_AUTO_TEST_CASE(rolling_back) {
  const Lab lab(Lab::kQuick);
  kill_everywhere(lab,
                  {[&](Registry& registry) {
                     for (int i = 1; i <= 2; i++) {
                       registry.add(lab.model("m", i), options("vad", std::to_string(i) + ".0.0"));
                       registry.promote(Ref::parse("vad"), "prod");
                     }
                   },
                   [&](Registry& registry) { registry.rollback("vad", "prod"); },
                   [&](Registry& registry) {
                     BOOST_TEST(registry.resolve(Ref::parse("vad#prod")).version == "v1.0.0");
                     BOOST_TEST(registry.history("vad", "prod").size() == 3);
                   }},
                  15);
}

BOOST_AUTO_TEST_CASE(checking_out) {
  const Lab lab(Lab::kQuick);
  const Path source = lab.model("m", 1);
  lab.write("m/deep/er/text", "x");
  kill_everywhere(lab,
                  {[&](Registry& registry) { registry.add(source, options("vad", "1.0.0")); },
                   [&](Registry& registry) { registry.checkout(Ref::parse("vad")); },
                   [&](Registry& registry) { check_checkout(registry, Ref::parse("vad@v1.0.0")); }},
                  10);
}

BOOST_AUTO_TEST_CASE(signing) {
  const Lab lab(Lab::kQuick);
  lab.sh("openssl ecparam -name prime256v1 -genkey -noout -out key.pem", lab.top());
  const Signer signer = Signer::from_key(lab.top() / "key.pem");
  const Ref ref = Ref::parse("vad@v1.0.0");
  kill_everywhere(
      lab,
      {[&](Registry& registry) { registry.add(lab.model("m", 1), options("vad", "1.0.0")); },
       [&](Registry& registry) { sign_version(registry, ref, signer); },
       [&](Registry& registry) {
         BOOST_TEST(registry.resolve(ref).is_signed);
         BOOST_TEST(find_signatures(registry, ref).size() == 1);
       }},
      15);
}

// A registry that was moved, too, is rid of what the dead have locked.
BOOST_AUTO_TEST_CASE(moved) {
  const Lab lab(Lab::kQuick);
  const Path source = lab.model("m", 1);
  Registry::create(lab.registry());
  const std::string locks = "find .git/refs .git/index.lock -name '*.lock' 2>/dev/null || true";
  for (int when = 1;; when++) {
    lab.sh("rm -rf moved && cp -a registry copy", lab.top());
    BOOST_REQUIRE(dies_at(
        when, [&] { Registry::open(lab.top() / "copy").add(source, options("vad", "1.0.0")); }));
    const bool locked = !lab.sh(locks, lab.top() / "copy").empty();
    lab.sh("mv copy moved", lab.top());
    if (!locked) continue;
    Registry::open(lab.top() / "moved").add(source, options("vad", "1.0.0"));
    BOOST_TEST(lab.sh(locks, lab.top() / "moved") == "");
    lab.check_whole(lab.top() / "moved");
    break;
  }
}

BOOST_AUTO_TEST_CASE(making) {
  const Lab lab(Lab::kQuick);
  int when = 1;
  while (dies_at(when, [&] { Registry::create(lab.registry()); })) {
    Registry registry = Registry::create(lab.registry());
    registry.add(lab.model("m", 1), options("vad", "1.0.0"));
    if (when % 8 == 0) {
      lab.check_whole();
      registry.gc(false, std::chrono::seconds(0));
      BOOST_TEST(lab.sh("ls -A", lab.registry()) == ".git");
    }
    std::filesystem::remove_all(lab.registry());
    when++;
  }
  BOOST_TEST(when > 20);
}

// A new registry has its name when all of it is on disk, should the power fail.
BOOST_AUTO_TEST_CASE(making_is_synced) {
  const Lab lab;
  std::vector<std::string> synced;
  bool named = false;
  BOOST_TEST(!dies_at(
      1 << 30, [&] { Registry::create(lab.registry()); },
      [&](pid_t child, const __ptrace_syscall_info& info) {
        if (info.entry.nr == SYS_renameat2) named = true;
        if (named || info.entry.nr != SYS_fsync) return;
        std::error_code none;
        const std::string path = std::filesystem::read_symlink(
            "/proc/" + std::to_string(child) + "/fd/" + std::to_string(info.entry.args[0]), none);
        if (const std::size_t git = path.find("/.git/"); git != std::string::npos)
          synced.push_back(path.substr(git + 6));
      }));
  BOOST_TEST(named);
  for (const char* const file : {"HEAD", "config", "index", "refs/heads/dev", "refs", "objects"})
    BOOST_TEST((std::find(synced.begin(), synced.end(), file) != synced.end()), file);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(at_once)

// Each its own model and, all of them, the same versions of one more: of those each is there once.
// Meanwhile git itself writes references and packs.
BOOST_AUTO_TEST_CASE(processes) {
  constexpr int kProcesses = 4;
  constexpr int kVersions = 4;
  const Lab lab(Lab::kQuick);
  Registry registry = Registry::create(lab.registry());
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; p++) {
    const Path source = lab.model("m" + std::to_string(p), p);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
      int status = 0;
      try {
        Registry own = Registry::open(lab.registry());
        for (int v = 1; v <= kVersions; v++) {
          own.add(source, options("own" + std::to_string(p), std::to_string(v) + ".0.0"));
          try {
            own.add(source, options("shared", std::to_string(v) + ".0.0"));
            status += 1;
          } catch (const Error& error) {
            if (error.code().value() != EEXIST) throw;
          }
          own.promote(Ref::parse("own" + std::to_string(p)), "prod");
        }
      } catch (const std::exception& error) {
        ::fprintf(stderr, "# a writer: %s\n", error.what());
        status = 100;
      }
      ::_exit(status);
    }
    children.push_back(child);
  }
  for (int i = 0; i < 5; i++)
    lab.git("pack-refs --all && git tag other" + std::to_string(i) + " dev");
  int won = 0;
  for (const pid_t child : children) {
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_REQUIRE(WIFEXITED(status));
    BOOST_TEST(WEXITSTATUS(status) < 100);
    won += WEXITSTATUS(status);
  }
  BOOST_TEST(won == kVersions);
  BOOST_TEST(registry.models().size() == kProcesses + 1);
  for (const std::string& name : registry.models()) {
    const auto versions = registry.versions(name);
    BOOST_TEST(versions.size() == kVersions);
    for (const ModelVersion& version : versions)
      registry.verify_contents(Ref::parse(name + "@" + version.version));
    if (name != "shared") BOOST_TEST(registry.history(name, "prod").size() == kVersions);
  }
  BOOST_TEST(lab.git("rev-list --count --first-parent dev") ==
             std::to_string(1 + kProcesses * kVersions + kVersions));
  lab.check_whole();
}

BOOST_AUTO_TEST_CASE(threads) {
  const Lab lab(Lab::kQuick);
  Registry registry = Registry::create(lab.registry());
  registry.add(lab.model("m", 0), options("vad", "0.0.1"));
  std::vector<Path> sources;
  for (int t = 0; t < 3; t++) sources.push_back(lab.model("m" + std::to_string(t), t));
  std::atomic<bool> over = false;
  std::atomic<int> failures = 0;
  const auto guarded = [&](const std::function<void()>& body) {
    try {
      body();
    } catch (const std::exception& error) {
      ::fprintf(stderr, "# a thread: %s\n", error.what());
      failures++;
    }
  };
  std::thread reader([&] {
    guarded([&] {
      while (!over) {
        registry.resolve(Ref::parse("vad"));
        registry.verify_contents(Ref::parse("vad@latest"));
        registry.checkout(Ref::parse("vad@latest"));
        registry.log(Ref::parse("vad"));
      }
    });
  });
  std::thread collector([&] {
    guarded([&] {
      while (!over) registry.gc(false, std::chrono::seconds(0));
    });
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; t++) {
    writers.emplace_back([&, t] {
      guarded([&] {
        for (int v = 1; v <= 4; v++)
          registry.add(sources[static_cast<std::size_t>(t)],
                       options("vad", std::to_string(t) + "." + std::to_string(v) + ".0"));
      });
    });
  }
  for (std::thread& writer : writers) writer.join();
  over = true;
  reader.join();
  collector.join();
  BOOST_TEST(failures == 0);
  const auto versions = registry.versions("vad");
  BOOST_TEST(versions.size() == 13);
  for (const ModelVersion& version : versions)
    registry.verify_contents(Ref::parse("vad@" + version.version));
  lab.check_whole();
}

// `git gc` takes nothing that is being added, though the user's configuration says it might.
BOOST_AUTO_TEST_CASE(gc_of_git) {
  constexpr int kVersions = 6;
  const Lab lab(Lab::kQuick);
  Registry registry = Registry::create(lab.registry());
  lab.git("config --global gc.pruneExpire now");
  lab.write("m/a.bin", safetensors(1));
  lab.write("m/b.bin", safetensors(2));
  // Between the first file and the second.
  AddOptions telling = options("vad", "1.0.0");
  int collected = 0;
  telling.progress = [&](const Progress& progress) {
    if (progress.what == "b.bin" && collected++ == 0) lab.git("gc -q");
  };
  registry.add(lab.top() / "m", telling);
  BOOST_TEST(collected > 0);
  lab.check_whole();

  std::vector<Path> sources;
  for (int i = 2; i <= kVersions; i++) sources.push_back(lab.model("n" + std::to_string(i), i));
  std::atomic<bool> over = false;
  std::atomic<int> failures = 0;
  std::thread writer([&] {
    try {
      for (int i = 2; i <= kVersions; i++) {
        registry.add(sources[static_cast<std::size_t>(i - 2)],
                     options("vad", std::to_string(i) + ".0.0"));
        registry.promote(Ref::parse("vad@latest"), "prod");
      }
    } catch (const std::exception& error) {
      ::fprintf(stderr, "# a writer: %s\n", error.what());
      failures++;
    }
    over = true;
  });
  // One that meets a lock of ours gives up.
  collected = 0;
  while (!over) collected += try_sh("git gc -q", lab.registry()).first == 0 ? 1 : 0;
  writer.join();
  lab.git("gc -q");
  lab.git("config --global --unset gc.pruneExpire");
  BOOST_TEST(failures == 0);
  BOOST_TEST(collected > 0);
  BOOST_TEST(registry.versions("vad").size() == kVersions);
  for (const ModelVersion& version : registry.versions("vad"))
    registry.verify_contents(Ref::parse("vad@" + version.version));
  BOOST_TEST(registry.history("vad", "prod").size() == kVersions - 1);
  lab.check_whole();
}

// Who begins to work in the registry's folder keeps his index, though a writer waits for it.
BOOST_AUTO_TEST_CASE(index_of_another) {
  const Lab lab(Lab::kQuick);
  Registry registry = Registry::create(lab.registry());
  lab.write("registry/.git/index.lock", "");
  const Path source = lab.model("m", 1);
  std::thread writer([&] { registry.add(source, options("vad", "1.0.0")); });
  std::error_code none;
  const auto waits = [&] {
    return std::filesystem::read_symlink(lab.registry() / ".git/aiaccel/claim-0", none)
               .filename() == "index.lock";
  };
  while (!waits()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // As `git add` does, under its lock.
  lab.sh(
      "cp .git/index ../mine && GIT_INDEX_FILE=../mine git update-index --add --cacheinfo "
      "100644,$(echo x | git hash-object -w --stdin),mine.txt && mv ../mine .git/index && "
      "rm .git/index.lock",
      lab.registry());
  writer.join();
  BOOST_TEST(lab.git("ls-files mine.txt") == "mine.txt");
  BOOST_TEST(registry.resolve(Ref::parse("vad")).version == "v1.0.0");
}

// A lock of git's own is waited for, and never taken away.
BOOST_AUTO_TEST_CASE(lock_of_git) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  const Path lock = lab.write("registry/.git/refs/heads/dev.lock", "");
  bool removed = false;
  std::thread git([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    removed = std::filesystem::remove(lock);
  });
  registry.add(lab.model("m", 1), options("vad", "1.0.0"));
  git.join();
  BOOST_TEST(removed);
  lab.check_whole();
}

BOOST_AUTO_TEST_SUITE_END()
