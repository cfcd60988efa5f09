// SPDX-License-Identifier: MIT
//
// The module's parameters and the ceilings they set.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>

#include "module.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(ceilings)

namespace {

int open_errno() {
  const Fd fd(open(kDevice, O_RDWR | O_CLOEXEC));
  return fd.get() < 0 ? errno : 0;
}

int create_queue(const Context& context, uint32_t* refused_by, uint32_t class_ = 2) {
  aiaccel_queue_create create{};
  create.engine = context.engine().id;
  create.class_ = class_;
  const int err = context(AIACCEL_IOC_QUEUE_CREATE, create);
  *refused_by = create.refused_by;
  return err;
}

int allocate(const Context& context, uint64_t length, uint32_t* refused_by) {
  aiaccel_alloc alloc{};
  alloc.length = length;
  const int err = context(AIACCEL_IOC_ALLOC, alloc);
  *refused_by = alloc.refused_by;
  return err;
}

}  // namespace

BOOST_AUTO_TEST_CASE(bad_parameters_are_refused) {
  NEED_DEVICE();
  for (const char* bad : {"tenants=nonsense", "tenant_class=4", "no_such_ceiling=1 tenants=x"}) {
    const Reloaded module(bad);
    BOOST_TEST(module.error() == EINVAL, bad);
  }
}

BOOST_AUTO_TEST_CASE(contexts) {
  NEED_DEVICE();
  const Reloaded module("tenants=user tenant_contexts=3 contexts=4");
  std::optional<Context> own[3];
  for (auto& context : own) context.emplace();
  BOOST_TEST(open_errno() == EDQUOT);
  BOOST_TEST(as_user(4300, [] {
               const Context last;
               return open_errno() == EDQUOT ? 0 : 1;
             }) == 0);
  own[0].reset();
  BOOST_TEST(open_errno() == 0);
}

BOOST_AUTO_TEST_CASE(queues_and_jobs) {
  NEED_DEVICE();
  const Reloaded module("tenants=user tenant_queues=5 queues=6 tenant_jobs=7");
  const Context first, second;
  uint32_t refused_by;
  for (int i = 0; i < 3; i++) first.queue();
  for (int i = 0; i < 2; i++) second.queue();
  BOOST_TEST(create_queue(first, &refused_by) == EDQUOT);
  BOOST_TEST(refused_by == AIACCEL_REFUSED_TENANT);
  BOOST_TEST(as_user(4301, [] {
               const Context other;
               uint32_t refused_by;
               other.queue();
               if (create_queue(other, &refused_by) != EDQUOT) return 1;
               return refused_by == AIACCEL_REFUSED_MODULE ? 0 : 2;
             }) == 0);
  aiaccel_destroy destroy{};
  destroy.id = 1;
  BOOST_TEST(first(AIACCEL_IOC_DESTROY, destroy) == 0);
  const uint32_t queue = second.queue();

  std::vector<aiaccel_job> jobs(8);
  for (size_t i = 0; i < jobs.size(); i++) {
    jobs[i].cookie = i;
    jobs[i].queue = queue;
    jobs[i].width = 1;
  }
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uint64_t>(jobs.data());
  enter.nr_jobs = 8;
  BOOST_TEST(second(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(enter.nr_jobs == 7u);
  enter.jobs = reinterpret_cast<uint64_t>(&jobs[7]);
  enter.nr_jobs = 1;
  BOOST_TEST(second(AIACCEL_IOC_ENTER, enter) == EDQUOT);
  // what a call completes makes room for what it submits
  const Map ring = second.map(second.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
  const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
  const auto* event = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset);
  BOOST_REQUIRE_EQUAL(head->produced, 1u);
  const aiaccel_completion done{event->cookie, event->generation, 0};
  enter.completions = reinterpret_cast<uint64_t>(&done);
  enter.nr_completions = 1;
  BOOST_TEST(second(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(enter.nr_completions == 1u);
  BOOST_TEST(enter.nr_jobs == 1u);
}

BOOST_AUTO_TEST_CASE(memory) {
  NEED_DEVICE();
  const Reloaded module("tenants=user tenant_memory_mib=2 memory_mib=3");
  const Context context;
  uint32_t refused_by;
  BOOST_TEST(context.query().max_pinned_bytes == 2u << 20);
  BOOST_TEST(allocate(context, 3 << 19, &refused_by) == 0);
  const Map map = anonymous(1 << 20);
  aiaccel_pin pin = pin_of(map);
  BOOST_TEST(context(AIACCEL_IOC_PIN, pin) == EDQUOT);
  BOOST_TEST(pin.refused_by == AIACCEL_REFUSED_TENANT);
  pin.length = 1 << 19;
  BOOST_TEST(context(AIACCEL_IOC_PIN, pin) == 0);
  BOOST_TEST(as_user(4302, [] {
               const Context other;
               uint32_t refused_by;
               if (allocate(other, 1 << 20, &refused_by)) return 1;
               if (allocate(other, 1, &refused_by) != EDQUOT) return 2;
               return refused_by == AIACCEL_REFUSED_MODULE ? 0 : 3;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(classes) {
  NEED_DEVICE();
  const Reloaded module("tenant_class=2");
  const Context context;
  BOOST_TEST(context.query().highest_class == AIACCEL_CLASS_NORMAL);
  context.queue(AIACCEL_CLASS_HIGH);  // CAP_SYS_NICE
  BOOST_TEST(as_user(4303, [] {
               const Context other;
               uint32_t refused_by;
               other.queue(AIACCEL_CLASS_NORMAL);
               if (create_queue(other, &refused_by, AIACCEL_CLASS_HIGH) != EPERM) return 1;
               return refused_by == AIACCEL_REFUSED_CLASS ? 0 : 2;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(user_namespaces_gain_nothing) {
  NEED_DEVICE();
  const Reloaded module("tenants=user tenant_memory_mib=2 tenant_contexts=5");
  const int status = as_user(4304, [] {
    const Context plain;
    uint32_t refused_by;
    if (allocate(plain, 1 << 20, &refused_by)) return 6;
    std::optional<Context> contexts[3];  // a tenant is one as long as it is used
    for (int depth = 0; depth < 3; depth++) {
      if (unshare(CLONE_NEWUSER)) return depth ? 78 : 77;
      const Context& inside = contexts[depth].emplace();
      if (inside.query().tenant != contexts[0]->query().tenant) return 1;
      if (inside.query().tenant == plain.query().tenant) return 5;
      aiaccel_stats_tenant record{};
      aiaccel_stats stats{};
      stats.kind = AIACCEL_STATS_TENANTS;
      stats.records = reinterpret_cast<uint64_t>(&record);
      stats.count = 1;
      stats.record_size = sizeof(record);
      if (inside(AIACCEL_IOC_STATS, stats)) return 2;
      if (record.kind != AIACCEL_TENANT_USERNS || record.source_id != 4304) return 3;
      if (stats.count != 1) return 4;  // root in there is nobody here
      if (record.parent != plain.query().tenant) return 7;
      // What the user has outside is missing inside.
      if (allocate(inside, 3 << 19, &refused_by) != EDQUOT) return 8;
      if (refused_by != AIACCEL_REFUSED_TENANT) return 9;
      std::ofstream("/proc/self/setgroups") << "deny" << std::flush;
      for (const char* map : {"/proc/self/uid_map", "/proc/self/gid_map"})
        std::ofstream(map) << "0 " << (depth ? 0 : 4304) << " 1" << std::flush;
    }
    if (allocate(*contexts[2], 1 << 20, &refused_by)) return 10;
    if (allocate(plain, 1, &refused_by) != EDQUOT) return 11;  // and the other way round
    const Context fifth;
    return open_errno() == EDQUOT ? 0 : 12;
  });
  if (status == 77) SKIP("no unprivileged user namespaces here");
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(the_memory_cgroup_refuses_without_a_kill) {
  NEED_DEVICE();
  const std::string cgroup = "/sys/fs/cgroup/aiaccel-small";
  if (mkdir(cgroup.c_str(), 0755)) SKIP("no cgroup version 2");
  std::ofstream max(cgroup + "/memory.max");
  if (!(max << (24 << 20) << std::flush)) {
    rmdir(cgroup.c_str());
    SKIP("no memory controller");
  }
  const int status = in_child([&] {
    std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
    const Context context;
    uint32_t refused_by;
    const uint64_t before = context.query().pinned_bytes;
    if (allocate(context, 48 << 20, &refused_by) != ENOMEM) return 1;
    if (refused_by != AIACCEL_REFUSED_MEMCG) return 10 + static_cast<int>(refused_by);
    if (context.query().pinned_bytes != before) return 2;
    return allocate(context, 8 << 20, &refused_by) ? 3 : 0;
  });
  BOOST_TEST(status == 0);
  BOOST_TEST(eventually([&] { return rmdir(cgroup.c_str()) == 0; }));
}

BOOST_AUTO_TEST_SUITE_END()
