// SPDX-License-Identifier: MIT
//
// A Deployment follows a stage of a registry, under load: whatever changes the stage switches it,
// no request is lost, and what should not run does not. On silero-vad's real models.
#include <aiaccel/follow.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <thread>

#include "lab.hpp"
#include "models/adding.hpp"
#include "models/fixture.hpp"

using namespace aiaccel;
using namespace lab;
using namespace std::chrono_literals;

namespace {

// Before a Lab sets another home.
const std::string kMissing = fixture::missing();

#define NEED_SILERO() \
  if (!kMissing.empty()) SKIP(kMissing)

std::string contents(const std::string& version) {
  std::ifstream file(fixture::kModels / ("silero_vad_" + version + ".onnx"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// ModelProto.doc_string, appended: the same model in other bytes.
std::string with_remark(std::string model, const std::string& remark) {
  return model + "\x32" + static_cast<char>(remark.size()) + remark;
}

DeploymentOptions embedded() {
  DeploymentOptions options;
  options.transport = "embedded";
  options.instances = 2;
  return options;
}

// Threads that ask, one request after the other, and keep account.
class Load {
 public:
  explicit Load(Deployment& deployment, int threads = 3) {
    for (int i = 0; i < threads; i++)
      threads_.emplace_back([this, &deployment] { ask(deployment); });
  }
  ~Load() { end(); }

  void end() {
    over_ = true;
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

  // Until somebody is answered by that version.
  bool answered_by(const std::string& label) {
    std::unique_lock lock(mutex_);
    const auto before = answered_[label];
    return changed_.wait_for(lock, 120s, [&] {
      return answered_[label] > before || !why_.empty();
    }) && why_.empty();
  }

  std::map<std::string, std::uint64_t> answered() {
    const std::lock_guard lock(mutex_);
    return answered_;
  }
  std::string why_failed() {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  void ask(Deployment& deployment) {
    const auto inputs = fixture::vad_inputs(fixture::tone(3), fixture::vad_state());
    while (!over_) {
      std::string label, why;
      try {
        const Answer answer = deployment.infer(inputs);
        label = answer.version;
        if (answer.outputs.size() != 2) why = "an answer is not whole";
      } catch (const std::exception& error) {
        why = error.what();
      }
      const std::lock_guard lock(mutex_);
      if (!label.empty()) answered_[label]++;
      if (!why.empty()) why_ = why;
      changed_.notify_all();
    }
  }

  std::atomic<bool> over_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::uint64_t> answered_;
  std::string why_;
  std::vector<std::thread> threads_;
};

// What a Follower told.
struct Told {
  FollowOptions options(std::chrono::milliseconds poll = 1h) {
    FollowOptions options;
    options.poll = poll;
    options.on_switch = [this](const LoadedVersion& now) {
      const std::lock_guard lock(mutex);
      switches.push_back(now.version.version);
      if (!now.check.warning.empty()) warnings.push_back(now.check.warning);
      changed.notify_all();
    };
    options.on_error = [this](const ModelVersion& refused, const Error& error) {
      const std::lock_guard lock(mutex);
      errors.push_back(refused.version + ": " + error.what());
      code = error.code().value();
      changed.notify_all();
    };
    return options;
  }
  // For who reads while more may come.
  std::string error(std::size_t number) {
    const std::lock_guard lock(mutex);
    return errors.at(number);
  }
  bool wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 120s, holds);
  }
  bool switched(std::size_t times) {
    return wait([&] { return switches.size() >= times; });
  }
  bool failed(std::size_t times) {
    return wait([&] { return errors.size() >= times; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> switches, errors, warnings;
  int code = 0;
};

// Three versions that fit each other and one that does not; the first is in prod.
struct Served : Lab {
  Served() : registry(Registry::create(Lab::registry())) {
    add("5.0.0", contents("v5"));
    add("5.1.0", with_remark(contents("v5"), "the same, again"));
    add("6.0.0", contents("v6"));
    add("4.0.0", contents("legacy"));
    registry.promote(Ref::parse("silero-vad@v5.0.0"), "prod");
  }
  void add(const std::string& version, const std::string& model) {
    registry.add(write(version + "/model.onnx", model), options("silero-vad", version));
  }
  void promote(const std::string& version) {
    registry.promote(Ref::parse("silero-vad@v" + version), "prod");
  }
  std::string commit(const std::string& version) const {
    return git("rev-parse 'silero-vad@v" + version + "^{commit}'");
  }
  static Ref prod() { return Ref::parse("silero-vad#prod"); }

  Registry registry;
};

struct Following {
  Following(Served& served, Told& told, std::chrono::milliseconds poll = 1h)
      : first(load_version(served.registry, Served::prod())),
        deployment(first.model, embedded()),
        follower(served.registry, Served::prod(), deployment, first.version, told.options(poll)) {}
  LoadedVersion first;
  Deployment deployment;
  Follower follower;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(follow)

BOOST_AUTO_TEST_CASE(promote_rollback_and_a_pushed_tag_switch_without_losing_a_request) {
  NEED_SILERO();
  Served served;
  Told told;
  Following following(served, told);
  BOOST_TEST(following.first.model.label() == "silero-vad@v5.0.0");
  BOOST_TEST(following.follower.current().commit == served.commit("5.0.0"));
  Load load(following.deployment);
  BOOST_REQUIRE(load.answered_by("silero-vad@v5.0.0"));

  served.promote("5.1.0");
  BOOST_REQUIRE(told.switched(1));
  BOOST_TEST(load.answered_by("silero-vad@v5.1.0"));
  served.promote("6.0.0");
  BOOST_REQUIRE(told.switched(2));
  BOOST_TEST(load.answered_by("silero-vad@v6.0.0"));
  BOOST_TEST(following.follower.current().version == "v6.0.0");

  served.registry.rollback("silero-vad", "prod");
  BOOST_REQUIRE(told.switched(3));
  BOOST_TEST(load.answered_by("silero-vad@v5.1.0"));
  served.registry.rollback("silero-vad", "prod");
  BOOST_REQUIRE(told.switched(4));
  BOOST_TEST(load.answered_by("silero-vad@v5.0.0"));

  // By nothing but git, from a clone.
  served.sh("GIT_LFS_SKIP_SMUDGE=1 git clone -q registry clone", served.top());
  const auto push = [&](int number, const std::string& version) {
    const std::string tag = "'silero-vad#prod#" + std::to_string(number) + "'";
    served.sh("git tag -a -m pushed " + tag + " " + served.commit(version) +
                  " && git push -q origin " + tag,
              served.top() / "clone");
  };
  push(6, "6.0.0");
  BOOST_REQUIRE(told.switched(5));
  BOOST_TEST(load.answered_by("silero-vad@v6.0.0"));
  // Tags that are packed are the same ones.
  served.git("pack-refs --all");
  push(7, "5.1.0");
  BOOST_REQUIRE(told.switched(6));
  BOOST_TEST(load.answered_by("silero-vad@v5.1.0"));
  // And one goes away.
  served.git("tag -d 'silero-vad#prod#7'");
  BOOST_REQUIRE(told.switched(7));
  BOOST_TEST(load.answered_by("silero-vad@v6.0.0"));

  load.end();
  BOOST_TEST(load.why_failed() == "");
  BOOST_TEST(told.errors.empty());
  BOOST_TEST(following.follower.problem() == "");
  const std::vector<std::string> expected = {"v5.1.0", "v6.0.0", "v5.1.0", "v5.0.0",
                                             "v6.0.0", "v5.1.0", "v6.0.0"};
  BOOST_TEST(told.switches == expected, boost::test_tools::per_element());
  // What was answered is what was asked, by the deployment's own count.
  std::uint64_t answered = 0, counted = 0;
  for (const auto& [label, count] : load.answered()) answered += count;
  for (const VersionStats& stats : following.deployment.stats()) {
    counted += stats.total.count();
    BOOST_TEST(stats.failed == 0U);
  }
  BOOST_TEST(answered == counted);
  BOOST_TEST(load.answered().size() == 3U);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_once_and_the_old_goes_on) {
  NEED_SILERO();
  Served served;
  Told told;
  // Looks all the time, and still tells once.
  Following following(served, told, 5ms);
  Load load(following.deployment);
  served.promote("4.0.0");
  BOOST_REQUIRE(told.failed(1));
  BOOST_TEST(told.code == EINVAL);
  BOOST_TEST(has(told.errors[0], "v4.0.0: silero-vad@v4.0.0 cannot replace silero-vad@v5.0.0"),
             told.errors[0]);
  BOOST_TEST(has(following.follower.problem(), "cannot replace"));
  BOOST_TEST(load.answered_by("silero-vad@v5.0.0"));
  std::this_thread::sleep_for(100ms);
  BOOST_TEST(following.follower.current().version == "v5.0.0");
  // What comes after it is not kept out.
  served.promote("6.0.0");
  BOOST_REQUIRE(told.switched(1));
  BOOST_TEST(load.answered_by("silero-vad@v6.0.0"));
  BOOST_TEST(following.follower.problem() == "");
  load.end();
  BOOST_TEST(load.why_failed() == "");
  BOOST_TEST(told.errors.size() == 1U);
}

// A record that cannot be read, in its head or in its metadata: the commit will never be another.
BOOST_AUTO_TEST_CASE(what_cannot_be_read_is_refused_once_by_its_name) {
  NEED_SILERO();
  Served served;
  Told told;
  Following following(served, told, 5ms);
  served.sh("GIT_LFS_SKIP_SMUDGE=1 git clone -q registry clone", served.top());
  const auto push = [&](int number, const std::string& edit) {
    const std::string version = "'silero-vad@v" + std::to_string(number + 10) + ".0.0'";
    const std::string stage = "'silero-vad#prod#" + std::to_string(number) + "'";
    served.sh("cd silero-vad && " + edit + " && git commit -q -a -m bad && git tag -a -m bad " +
                  version + " && git tag -a -m bad " + stage + " " + version +
                  "^{} && git push -q origin " + version + " && git push -q origin " + stage,
              served.top() / "clone");
  };
  push(2, "sed -i 's/\"format\": \"onnx\"/\"format\": \"none\"/' aiaccel.json");
  BOOST_REQUIRE(told.failed(1));
  BOOST_TEST(told.code == EBADMSG);
  BOOST_TEST(has(told.error(0), "v12.0.0: aiaccel.json: there is no format 'none'"), told.error(0));
  push(3, "echo no >aiaccel.json");
  BOOST_REQUIRE(told.failed(2));
  BOOST_TEST(has(told.error(1), "v13.0.0: aiaccel.json: "), told.error(1));
  BOOST_TEST(has(following.follower.problem(), "aiaccel.json"));
  std::this_thread::sleep_for(100ms);
  served.registry.promote(Ref::parse("silero-vad@v6.0.0"), "prod");
  BOOST_REQUIRE(told.switched(1));
  BOOST_TEST(told.errors.size() == 2U);
  BOOST_TEST(following.deployment.model().label() == "silero-vad@v6.0.0");
}

BOOST_AUTO_TEST_CASE(what_a_callback_throws_changes_nothing) {
  NEED_SILERO();
  Served served;
  Told told;
  FollowOptions options = told.options();
  options.on_switch = [&, tell = options.on_switch](const LoadedVersion& now) {
    tell(now);
    throw std::runtime_error("of the switch");
  };
  options.on_error = [&, tell = options.on_error](const ModelVersion& refused, const Error& error) {
    tell(refused, error);
    throw 1;
  };
  const LoadedVersion first = load_version(served.registry, Served::prod());
  Deployment deployment(first.model, embedded());
  const Follower follower(served.registry, Served::prod(), deployment, first.version, options);
  served.promote("4.0.0");
  BOOST_REQUIRE(told.failed(1));
  served.promote("6.0.0");
  BOOST_REQUIRE(told.switched(1));
  served.promote("5.1.0");
  BOOST_REQUIRE(told.switched(2));
  BOOST_TEST(told.errors.size() == 1U);
  BOOST_TEST(follower.problem() == "");
}

BOOST_AUTO_TEST_CASE(weights_may_come_after_the_tag) {
  NEED_SILERO();
  Served served;
  Told told;
  Following following(served, told, 20ms);
  const ModelVersion next = served.registry.resolve(Ref::parse("silero-vad@v6.0.0"));
  std::string oid;
  for (const VersionFile& file : next.files)
    if (file.path == next.main_file) oid = file.sha256;
  const Path object =
      served.Lab::registry() / ".git/lfs/objects" / oid.substr(0, 2) / oid.substr(2, 2) / oid;
  std::filesystem::rename(object, served.top() / "away");
  served.promote("6.0.0");
  BOOST_REQUIRE(told.failed(1));
  BOOST_TEST(told.code == ENODATA);
  BOOST_TEST(has(told.errors[0], "its weights are not here"), told.errors[0]);
  BOOST_TEST(told.switches.empty());
  std::filesystem::rename(served.top() / "away", object);
  BOOST_REQUIRE(told.switched(1));
  BOOST_TEST(told.errors.size() == 1U);
  BOOST_TEST(following.deployment.model().label() == "silero-vad@v6.0.0");
}

BOOST_AUTO_TEST_CASE(other_bytes_than_were_added_are_never_loaded) {
  NEED_SILERO();
  Served served;
  Told told;
  Following following(served, told);
  const ModelVersion next = served.registry.resolve(Ref::parse("silero-vad@v6.0.0"));
  // Of the same length, and a good model; but not the one that the commit names.
  const Path folder = served.registry.checkout(Ref::parse("silero-vad@v6.0.0"));
  const Path main = folder / next.main_file;
  std::string bytes = contents("v6");
  bytes.back() ^= 1;
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  std::filesystem::remove(main);
  std::ofstream(main, std::ios::binary) << bytes;
  served.promote("6.0.0");
  BOOST_REQUIRE(told.failed(1));
  BOOST_TEST(told.code == EBADMSG);
  BOOST_TEST(has(told.errors[0], "model.onnx is not what was added"), told.errors[0]);
  BOOST_TEST(following.deployment.model().label() == "silero-vad@v5.0.0");
  const Thrown refused =
      thrown([&] { load_version(served.registry, Ref::parse("silero-vad@v6.0.0")); });
  BOOST_TEST(refused.error == EBADMSG);
}

BOOST_AUTO_TEST_CASE(a_signature_that_is_required_is_waited_for) {
  NEED_SILERO();
  Served served;
  served.sh(
      "openssl ecparam -name prime256v1 -genkey -noout -out key.pem && "
      "openssl ec -in key.pem -pubout -out public.pem",
      served.top());
  Told told;
  Following following(served, told);
  Load load(following.deployment);
  served.git("config aiaccel.trustedKey " + (served.top() / "public.pem").string());
  served.git("config aiaccel.signatures require");
  served.promote("6.0.0");
  BOOST_REQUIRE(told.failed(1));
  BOOST_TEST(told.code == ENODATA);
  BOOST_TEST(has(told.errors[0], "v6.0.0: silero-vad@v6.0.0 has no signature"), told.errors[0]);
  BOOST_TEST(load.answered_by("silero-vad@v5.0.0"));
  BOOST_TEST(thrown([&] { load_version(served.registry, Served::prod()); }).error == ENODATA);
  // Signed now: the commit on dev is what tells.
  sign_version(served.registry, Ref::parse("silero-vad@v6.0.0"),
               Signer::from_key(served.top() / "key.pem"));
  BOOST_REQUIRE(told.switched(1));
  BOOST_TEST(load.answered_by("silero-vad@v6.0.0"));
  // Where it is only wished for, it is missed aloud.
  served.git("config aiaccel.signatures warn");
  served.promote("5.1.0");
  BOOST_REQUIRE(told.switched(2));
  load.end();
  BOOST_TEST(load.why_failed() == "");
  BOOST_TEST(told.errors.size() == 1U);
  BOOST_REQUIRE(told.warnings.size() == 1U);
  BOOST_TEST(has(told.warnings[0], "silero-vad@v5.1.0 has no signature"));
}

BOOST_AUTO_TEST_CASE(nothing_there_any_more) {
  NEED_SILERO();
  Served served;
  Told told;
  Following following(served, told);
  served.git("tag -d 'silero-vad#prod#1'");
  BOOST_REQUIRE(told.failed(1));
  BOOST_TEST(told.code == ENOENT);
  BOOST_TEST(has(told.errors[0], "nothing was ever promoted to silero-vad#prod"), told.errors[0]);
  BOOST_TEST(following.deployment.model().label() == "silero-vad@v5.0.0");
}

BOOST_AUTO_TEST_CASE(a_model_whose_name_has_folders) {
  NEED_SILERO();
  Served served;
  // Its folder of tags comes to be while it is followed.
  AddOptions options = lab::options("speech/vad", "1.0.0");
  served.registry.add(served.write("a/model.onnx", contents("v5")), options);
  served.git("pack-refs --all --prune");
  const Ref head = Ref::parse("speech/vad@latest");
  LoadedVersion first = load_version(served.registry, head);
  BOOST_TEST(first.model.label() == "speech/vad@v1.0.0");
  Deployment deployment(first.model, embedded());
  Told told;
  Follower follower(served.registry, head, deployment, first.version, told.options());
  options.version = "2.0.0";
  served.registry.add(served.write("a/model.onnx", contents("v6")), options);
  BOOST_REQUIRE(told.switched(1));
  BOOST_TEST(deployment.model().label() == "speech/vad@v2.0.0");
}

BOOST_AUTO_TEST_CASE(weights_in_files_beside_the_model_are_verified_as_it_is) {
  if (!OnnxRuntime::find().present) SKIP(OnnxRuntime::find().reason);
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  lab.write("sum/data/w.bin", fixture::four(41));
  const Path model = lab.write("sum/model.onnx", fixture::adding("data/w.bin"));
  registry.add(model.parent_path(), options("sum", "1.0.0"));
  const Ref ref = Ref::parse("sum@v1.0.0");
  const std::vector<float> ones(4, 1.0f);
  const std::vector<Tensor> inputs = {
      Tensor(ElementType::f32, {4}, std::as_bytes(std::span(ones)))};
  BOOST_TEST(load_version(registry, ref).model.run(inputs).at(0).data<float>()[0] == 42.0f);

  // Somebody writes to them where they lie.
  const Path out = registry.checkout(ref) / "data/w.bin";
  std::filesystem::permissions(out, std::filesystem::perms::owner_all);
  std::ofstream(out, std::ios::binary) << fixture::four(6);
  const Thrown changed = thrown([&] { load_version(registry, ref); });
  BOOST_TEST(changed.error == EBADMSG, changed.what);
  BOOST_TEST(has(changed.what, "data/w.bin"), changed.what);
}

BOOST_AUTO_TEST_CASE(no_model_that_a_runtime_could_be_given) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  registry.add(lab.write("model.safetensors", safetensors(1)), options("tensors", "1.0.0"));
  const Thrown refused = thrown([&] { load_version(registry, Ref::parse("tensors")); });
  BOOST_TEST(refused.error == EOPNOTSUPP);
  BOOST_TEST(has(refused.what, "tensors@v1.0.0 is no ONNX model: model.safetensors is safetensors"),
             refused.what);
}

BOOST_AUTO_TEST_SUITE_END()
