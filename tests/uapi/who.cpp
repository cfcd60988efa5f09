// SPDX-License-Identifier: MIT
//
// Who may do what: the group, each capability by itself, user namespaces, changes of user; and that
// a descriptor serves nobody but the address space that opened it. Tenants are in kmod/tenants.cpp,
// ceilings by user in kmod/pin.cpp and kmod/ceilings.cpp, the time namespace in kmod/turns.cpp.
//
// The module is loaded anew with a ceiling of classes, so that there is one to pass.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "broker/fds.h"
#include "kmod/module.hpp"
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(who)

namespace {

constexpr unsigned kUser = 4400;
constexpr const char* kParameters = "tenant_class=2";

// What a process may do beyond an ordinary user, as bits.
enum Right { kLockMore = 1, kHigherClass = 2, kSeeOthers = 4, kOddAnswer = 64 };

void limit_memlock(uint64_t pages) {
  const rlimit limit{static_cast<rlim_t>(pages * kPage), static_cast<rlim_t>(pages * kPage)};
  if (setrlimit(RLIMIT_MEMLOCK, &limit)) _exit(101);
}

// For a child that has at most 4 pages to lock.
int rights(const Context& context) {
  int rights = 0;
  const Map map = anonymous(5 * kPage);
  aiaccel_pin pin = pin_of(map);
  const int pinned = context(AIACCEL_IOC_PIN, pin);
  if (pinned == 0)
    rights |= kLockMore;
  else if (pinned != ENOMEM || pin.refused_by != AIACCEL_REFUSED_RLIMIT)
    rights |= kOddAnswer;

  aiaccel_queue_create create{};
  create.engine = context.engine().id;
  create.class_ = AIACCEL_CLASS_HIGH;
  const int created = context(AIACCEL_IOC_QUEUE_CREATE, create);
  if (created == 0)
    rights |= kHigherClass;
  else if (created != EPERM || create.refused_by != AIACCEL_REFUSED_CLASS)
    rights |= kOddAnswer;

  uint32_t own = 0;
  aiaccel_stats_tenant records[16] = {};
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_TENANTS;
  stats.records = address(records);
  stats.count = 16;
  stats.record_size = sizeof(records[0]);
  if (context(AIACCEL_IOC_STATS, stats) || stats.count > 16) return kOddAnswer;
  for (uint32_t i = 0; i < stats.count; i++) own += records[i].tenant == context.query().tenant;
  if (own != 1) rights |= kOddAnswer;
  if (stats.count > own) rights |= kSeeOthers;
  return rights;
}

// One capability is in effect and no other, whoever it is; all may be later.
void have_only(int capability) {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &head, data)) _exit(102);
  data[0].effective = data[1].effective = 0;
  data[capability / 32].effective = 1u << capability % 32;
  if (syscall(SYS_capset, &head, data)) _exit(102);
}

int last_capability() {
  int last = 0;
  std::ifstream("/proc/sys/kernel/cap_last_cap") >> last;
  return last;
}

// The device as it is meant to be: for root and a group.
class Group {
 public:
  Group() {
    BOOST_REQUIRE_EQUAL(stat(kDevice, &before_), 0);
    BOOST_REQUIRE_EQUAL(chown(kDevice, 0, kGroup), 0);
    BOOST_REQUIRE_EQUAL(chmod(kDevice, 0660), 0);
  }
  ~Group() {
    BOOST_TEST(chown(kDevice, before_.st_uid, before_.st_gid) == 0);
    BOOST_TEST(chmod(kDevice, before_.st_mode & 07777) == 0);
  }
  static constexpr gid_t kGroup = 4999;

 private:
  struct stat before_ {};
};

class OpenToAll {
 public:
  OpenToAll() { BOOST_REQUIRE_EQUAL(chmod(kDevice, 0666), 0); }
  ~OpenToAll() { BOOST_TEST(chmod(kDevice, 0660) == 0); }
};

// The kernel's count of pages that this address space has pinned, in KiB.
long pinned_kib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.rfind("VmPin:", 0) == 0) return std::stol(line.substr(6));
  return -1;
}

// A program that was started with an open device: exits before main() with what it found.
constexpr const char* kInherited = "AIACCEL_TEST_INHERITED";

[[gnu::constructor]] void started_with_a_descriptor() {
  const char* text = getenv(kInherited);
  if (!text) return;
  const int fd = atoi(text);
  aiaccel_query query{};
  query.size = sizeof(query);
  int status = 0;
  if (ioctl(fd, AIACCEL_IOC_QUERY, &query) == 0 || errno != EPERM) status |= 1;
  if (Map(kPage, PROT_READ, MAP_SHARED, fd, AIACCEL_RING_OFFSET).error() != EPERM) status |= 2;
  if (pinned_kib() != 0) status |= 4;
  close(fd);
  if (pinned_kib() != 0) status |= 8;
  _exit(status);
}

int foreign(const Context& context) {
  int status = 0;
  for (const Row& row : rows())
    if (context.call(row.number, nullptr) != EPERM) status |= 1;
  if (context.map(kPage, AIACCEL_RING_OFFSET, PROT_READ).error() != EPERM) status |= 2;
  if (context.map(kPage, AIACCEL_CONSUMED_OFFSET).error() != EPERM) status |= 4;
  if (context.map(kPage, 1ULL << 32).error() != EPERM) status |= 8;
  return status;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_group_and_nobody_else_opens_it) {
  NEED_DEVICE();
  const Group group;
  const auto opened_by = [](gid_t gid) {
    return in_child([=] {
      if (setgroups(1, &gid) || setresgid(kUser, kUser, kUser) || setresuid(kUser, kUser, kUser))
        return 100;
      const Fd fd(open(kDevice, O_RDWR | O_CLOEXEC));
      return fd.get() >= 0 ? 0 : errno;
    });
  };
  BOOST_TEST(opened_by(Group::kGroup) == 0);
  BOOST_TEST(opened_by(Group::kGroup + 1) == EACCES);
}

BOOST_AUTO_TEST_CASE(each_capability_gives_its_right_and_no_other) {
  NEED_DEVICE();
  const Reloaded module(kParameters);
  const OpenToAll everybody;
  const Context other;  // to be seen, or not
  const int last = last_capability();
  BOOST_REQUIRE(last >= CAP_BLOCK_SUSPEND);
  // the first one that does not answer as it should, and one
  BOOST_TEST(in_child([=] {
               limit_memlock(4);
               prctl(PR_SET_KEEPCAPS, 1);
               become_user(kUser);
               for (int capability = 0; capability <= last; capability++) {
                 const int wanted = capability == CAP_IPC_LOCK    ? kLockMore
                                    : capability == CAP_SYS_NICE  ? kHigherClass
                                    : capability == CAP_SYS_ADMIN ? kSeeOthers
                                                                  : 0;
                 have_only(capability);
                 if (rights(Context()) != wanted) return capability + 1;
               }
               return 0;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(cap_ipc_lock_does_not_pass_the_tenants_ceiling) {
  NEED_DEVICE();
  const Reloaded module("tenant_memory_mib=1");
  const OpenToAll everybody;
  BOOST_TEST(in_child([] {
               prctl(PR_SET_KEEPCAPS, 1);
               become_user(kUser);
               have_only(CAP_IPC_LOCK);
               const Context context;
               const Map map = anonymous((1 << 20) + kPage);
               aiaccel_pin pin = pin_of(map);
               if (context(AIACCEL_IOC_PIN, pin) != EDQUOT) return 1;
               return pin.refused_by == AIACCEL_REFUSED_TENANT ? 0 : 2;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(root_of_a_user_namespace_is_nobody_here) {
  NEED_DEVICE();
  const Reloaded module(kParameters);
  const OpenToAll everybody;
  const Context other;
  const int status = in_child([] {
    limit_memlock(4);
    become_user(kUser);
    if (unshare(CLONE_NEWUSER)) return 127;
    std::ofstream("/proc/self/setgroups") << "deny" << std::flush;
    for (const char* map : {"/proc/self/uid_map", "/proc/self/gid_map"})
      std::ofstream(map) << "0 " << kUser << " 1" << std::flush;
    if (getuid() != 0) return 126;
    return rights(Context());
  });
  if (status == 127) SKIP("no unprivileged user namespaces here");
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(rights_are_those_of_the_moment_not_of_the_opening) {
  NEED_DEVICE();
  const Reloaded module(kParameters);
  const OpenToAll everybody;
  const Context other;
  BOOST_TEST(in_child([] {
               limit_memlock(4);
               const Context context;
               const uint64_t tenant = context.query().tenant;
               become_user(kUser);
               if (context.query().tenant != tenant) return 32;  // who pays stays
               return rights(context);
             }) == 0);
  BOOST_TEST(in_child([] {
               limit_memlock(4);
               if (setresuid(kUser, kUser, 0)) return 103;
               const Context context;
               const int before = rights(context);
               if (before) return before;
               if (setresuid(0, 0, 0)) return 104;
               return rights(context);
             }) == (kLockMore | kHigherClass | kSeeOthers));
}

BOOST_AUTO_TEST_CASE(a_forked_child_and_a_receiver_of_the_descriptor_get_eperm) {
  NEED_DEVICE();
  const Context context;
  context.alloc(kPage);
  BOOST_TEST(in_child([&] { return foreign(context); }) == 0);
  // opened by another process and sent here
  int ends[2];
  BOOST_REQUIRE_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd here(ends[0]), there(ends[1]);
  BOOST_REQUIRE_EQUAL(in_child([&] {
                        const Context own;
                        return aiaccel::send_with_fds(there.get(), "", 1, {own.fd()}, 0) == 1 ? 0
                                                                                              : 1;
                      }),
                      0);
  char byte;
  std::vector<aiaccel::Fd> files;
  BOOST_REQUIRE_EQUAL(aiaccel::receive_with_fds(here.get(), &byte, 1, &files), 1);
  BOOST_REQUIRE_EQUAL(files.size(), 1u);
  const aiaccel::Fd& received = files[0];
  aiaccel_query query{};
  query.size = sizeof(query);
  BOOST_TEST(ioctl(received.get(), AIACCEL_IOC_QUERY, &query) == -1);
  BOOST_TEST(errno == EPERM);
  BOOST_TEST(Map(kPage, PROT_READ, MAP_SHARED, received.get(), AIACCEL_RING_OFFSET).error() ==
             EPERM);
}

BOOST_AUTO_TEST_CASE(a_program_started_by_exec_gets_eperm_and_no_charge) {
  NEED_DEVICE();
  BOOST_TEST(in_child([] {
               const Context context;
               const Map map = anonymous(10 * kPage);
               aiaccel_pin pin = pin_of(map);
               if (context(AIACCEL_IOC_PIN, pin) || pinned_kib() != 40) return 100;
               fcntl(context.fd(), F_SETFD, 0);
               setenv(kInherited, std::to_string(context.fd()).c_str(), 1);
               execl("/proc/self/exe", "uapi", nullptr);
               return 101;
             }) == 0);
}

// What is pinned is charged to the address space that pinned it, whoever lets go of it.
BOOST_AUTO_TEST_CASE(a_childs_last_reference_gives_back_what_the_parent_pinned) {
  NEED_DEVICE();
  BOOST_REQUIRE_EQUAL(pinned_kib(), 0);
  const Map map = anonymous(10 * kPage);
  int gate[2];
  BOOST_REQUIRE_EQUAL(pipe2(gate, O_CLOEXEC), 0);
  pid_t child;
  {
    const Context context;
    aiaccel_pin pin = pin_of(map);
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
    child = fork();
    if (child == 0) {
      char byte;
      close(gate[1]);
      _exit(read(gate[0], &byte, 1) == 0 && pinned_kib() == 0 ? 0 : 1);
    }
  }
  close(gate[0]);
  BOOST_TEST(pinned_kib() == 40);
  close(gate[1]);
  int status = -1;
  BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
  BOOST_TEST(status == 0);
  BOOST_TEST(pinned_kib() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
