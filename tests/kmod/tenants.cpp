// SPDX-License-Identifier: MIT
//
// Tenants: cgroups where they are used, users elsewhere; who sees what of others in STATS.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "account.hpp"
#include "cgroup.hpp"
#include "module.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(tenants)

namespace {

std::vector<aiaccel_stats_tenant> all_tenants(const Context& context) {
  return list<aiaccel_stats_tenant>(context, AIACCEL_STATS_TENANTS);
}

const aiaccel_stats_tenant* named(const std::vector<aiaccel_stats_tenant>& tenants,
                                  const std::string& name) {
  const auto it = std::find_if(tenants.begin(), tenants.end(),
                               [&](const auto& tenant) { return name == tenant.name; });
  return it == tenants.end() ? nullptr : &*it;
}

}  // namespace

BOOST_AUTO_TEST_CASE(in_the_root_cgroup_users_are_tenants) {
  NEED_DEVICE();
  std::optional<Cgroup> used;  // by others
  if (have_cgroups()) used.emplace("/used");
  const Context context;
  const auto tenants = all_tenants(context);
  const auto* own = named(tenants, "uid:0");
  BOOST_REQUIRE(own);
  BOOST_TEST(own->kind == AIACCEL_TENANT_USER);
  BOOST_TEST(own->tenant == context.query().tenant);
  const auto* root = named(tenants, "/");
  BOOST_REQUIRE(root);
  BOOST_TEST(root->kind == AIACCEL_TENANT_ROOT);
  BOOST_TEST(root->parent == 0u);
  BOOST_TEST(own->parent == root->tenant);
}

BOOST_AUTO_TEST_CASE(cgroups_are_tenants_along_their_tree) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup slice("/slice"), unit("/slice/unit"), other("/slice/other");
  const int status = in_child([&] {
    unit.enter();
    const Context context;
    context.alloc(10 * kPage);
    context.queue();
    const auto tenants = all_tenants(context);
    const auto *above = named(tenants, "/slice"), *own = named(tenants, "/slice/unit");
    if (!above || !own || own->tenant != context.query().tenant) return 1;
    if (own->parent != above->tenant || own->kind != AIACCEL_TENANT_CGROUP) return 2;
    if (own->allocated_bytes != 10 * kPage || above->allocated_bytes != 10 * kPage) return 3;
    if (own->contexts != 1 || above->contexts != 0) return 4;
    if (own->queues != 1 || above->queues != 0) return 5;
    struct stat info {};
    if (stat((kCgroups + "/slice/unit").c_str(), &info) || own->source_id != info.st_ino) return 6;
    // fixed at open
    other.enter();
    if (own->tenant != context.query().tenant) return 7;
    const Context second;
    return second.query().tenant == own->tenant ? 8 : 0;
  });
  BOOST_TEST(status == 0);
  const Context context;
  BOOST_TEST(eventually([&] {
    const auto tenants = all_tenants(context);
    return !named(tenants, "/slice") && !named(tenants, "/slice/unit");
  }));
}

BOOST_AUTO_TEST_CASE(a_cgroup_leaves_its_siblings_a_quarter) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup slice("/slice"), greedy("/slice/greedy"), sibling("/slice/sibling");
  const Reloaded module("tenant_memory_mib=8 tenant_contexts=8");
  // Opens contexts and takes a MiB at a time until both are refused; how many of each, in tens.
  const auto fill = [](std::vector<Context>& contexts) {
    int mebibytes = 0, fd;
    contexts.emplace_back();
    for (;; mebibytes++) {
      aiaccel_alloc alloc{};
      alloc.length = 1 << 20;
      if (const int err = contexts[0](AIACCEL_IOC_ALLOC, alloc)) {
        if (err != EDQUOT || alloc.refused_by != AIACCEL_REFUSED_TENANT) return 255;
        break;
      }
    }
    while ((fd = open(kDevice, O_RDWR | O_CLOEXEC)) >= 0) {
      close(fd);
      contexts.emplace_back();
    }
    return errno == EDQUOT ? mebibytes * 10 + static_cast<int>(contexts.size()) : 254;
  };
  const int status = in_child([&] {
    slice.enter();
    if (Context().query().max_pinned_bytes != 8 << 20) return 1;
    greedy.enter();
    std::vector<Context> own, others;
    if (const int filled = fill(own); filled != 66) return filled;
    sibling.enter();
    const int left = fill(others);
    return left == 22 ? 0 : left;
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(a_removed_cgroup_stays_a_tenant_while_it_is_used) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup parent("/left");
  const int status = in_child([&] {
    parent.enter();
    const std::string path = kCgroups + "/left-soon";
    mkdir(path.c_str(), 0755);
    std::ofstream(path + "/cgroup.procs") << getpid() << std::flush;
    const Context context;
    const uint64_t tenant = context.query().tenant;
    parent.enter();
    if (rmdir(path.c_str())) return 1;
    mkdir(path.c_str(), 0755);  // the same path, another cgroup
    std::ofstream(path + "/cgroup.procs") << getpid() << std::flush;
    bool apart;
    {
      const Context second;
      apart = second.query().tenant != tenant && context.query().tenant == tenant;
    }
    parent.enter();
    rmdir(path.c_str());
    return apart ? 0 : 2;
  });
  BOOST_TEST(status == 0);
}

// A uid may be another one's when it comes again; a cgroup's number never is.
BOOST_AUTO_TEST_CASE(without_privilege_a_cgroup_sees_what_it_did_before_and_a_user_does_not) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup unit("/again");
  const Context root;
  chmod(kDevice, 0666);
  for (const bool by_cgroup : {true, false}) {
    // Takes a turn: how many are on record for it then, but for exit statuses that say no.
    const auto visit = [&] {
      return in_child([&] {
        if (by_cgroup) unit.enter();
        become_user(4245);
        const Context own;
        if (complete(own, 1, own.take_turn(own.queue(), 1))) return 100;
        const auto turns = list<aiaccel_stats_turn>(own, AIACCEL_STATS_TURNS);
        return static_cast<int>(turns.size());
      });
    };
    BOOST_TEST(visit() == 1);
    BOOST_REQUIRE(
        eventually([&] { return !named(all_tenants(root), by_cgroup ? "/again" : "uid:4245"); }));
    BOOST_TEST(visit() == (by_cgroup ? 2 : 1));
  }
  chmod(kDevice, 0660);
}

BOOST_AUTO_TEST_CASE(others_are_seen_with_privilege_only) {
  NEED_DEVICE();
  const Context context;
  const uint32_t queue = context.queue();
  chmod(kDevice, 0666);
  const int status = in_child([&] {
    become_user(4244);
    const Context own;
    const auto tenants = all_tenants(own);
    if (tenants.size() != 1 || tenants[0].tenant != own.query().tenant) return 1;
    if (strcmp(tenants[0].name, "uid:4244") != 0) return 2;
    if (!list<aiaccel_stats_queue>(own, AIACCEL_STATS_QUEUES).empty()) return 3;
    const auto engines = list<aiaccel_stats_engine>(own, AIACCEL_STATS_ENGINES);
    return engines.empty() || engines[0].queues == 0 ? 4 : 0;  // totals are everybody's
  });
  BOOST_TEST(status == 0);
  chmod(kDevice, 0660);
  const auto queues = list<aiaccel_stats_queue>(context, AIACCEL_STATS_QUEUES);
  BOOST_REQUIRE_EQUAL(queues.size(), 1u);
  BOOST_TEST(queues[0].id == queue);
  BOOST_TEST(queues[0].pid == getpid());
  BOOST_TEST(queues[0].weight == uint32_t{AIACCEL_WEIGHT_DEFAULT});
}

BOOST_AUTO_TEST_SUITE_END()
