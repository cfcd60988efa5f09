// SPDX-License-Identifier: MIT
//
// Buffers of one user that another imports: who pays, for how long, and what is remembered of whom.
#include <cerrno>
#include <optional>
#include <vector>

#include "arbiter.hpp"

using namespace arbiter;
using aiaccel::host::kNoMark;
using aiaccel::host::Mark;

namespace {

constexpr Mark kMark{1, 2};
constexpr Mark kOther{1, 3};

uint32_t must_alloc(Client& client, uint64_t length) {
  aiaccel_alloc arg{};
  arg.length = length;
  BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_ALLOC, arg), 0);
  return arg.id;
}

int pass(Client& client, uint32_t id, const Mark& mark) {
  aiaccel_export arg{};
  arg.id = id;
  return client.call(AIACCEL_IOC_EXPORT, arg, nullptr, mark);
}

int take(Client& client, const Mark& mark, aiaccel_import* arg) {
  *arg = {};
  return client.call(AIACCEL_IOC_IMPORT, *arg, nullptr, mark);
}

uint32_t must_take(Client& client, const Mark& mark) {
  aiaccel_import arg{};
  BOOST_REQUIRE_EQUAL(take(client, mark, &arg), 0);
  return arg.id;
}

int revoke(Client& client, uint32_t id) {
  aiaccel_buffer_revoke arg{};
  arg.id = id;
  return client.call(AIACCEL_IOC_BUFFER_REVOKE, arg);
}

aiaccel_buffer_info must_info(Client& client, uint32_t id) {
  aiaccel_buffer_info arg{};
  arg.id = id;
  BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_BUFFER_INFO, arg), 0);
  return arg;
}

// Its users, as the administrator sees them.
std::vector<aiaccel_stats_tenant> tenants(Client& root) {
  return root.stats<aiaccel_stats_tenant>(AIACCEL_STATS_TENANTS);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sharing)

BOOST_AUTO_TEST_CASE(who_made_it_pays_also_when_gone) {
  Arbiter host;
  Client root(host, 0, true);
  std::optional<Client> maker(std::in_place, host, 1000);
  std::optional<Client> other(std::in_place, host, 1001);
  const uint64_t tenant = maker->query().tenant;
  const uint32_t made = must_alloc(*maker, 8192);
  BOOST_REQUIRE(pass(*maker, made, kMark) == 0);
  const uint32_t id = must_take(*other, kMark);
  BOOST_TEST(maker->query().pinned_bytes == 8192u);
  BOOST_TEST(other->query().pinned_bytes == 0u);
  BOOST_TEST(must_info(*other, id).tenant == tenant);
  BOOST_TEST(must_info(*other, id).handles == 2u);

  maker.reset();
  BOOST_TEST(tenants(root).size() == 4u);  // the root's, and three users
  BOOST_TEST(must_info(*other, id).tenant == tenant);
  BOOST_TEST(must_info(*other, id).handles == 1u);
  maker.emplace(host, 1000);
  BOOST_TEST(maker->query().tenant == tenant);
  BOOST_TEST(maker->query().pinned_bytes == 8192u);
  maker.reset();

  other.reset();  // with whose end nobody has it
  BOOST_TEST(tenants(root).size() == 2u);
  BOOST_TEST(root.query().pinned_bytes == 0u);
  aiaccel_import arg{};
  BOOST_TEST(take(root, kMark, &arg) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(a_mark_is_of_one_buffer_and_a_buffer_has_one) {
  Arbiter host;
  Client maker(host), other(host, 1001);
  const uint32_t id = must_alloc(maker, 1), second = must_alloc(maker, 1);
  const uint32_t foreign = must_alloc(other, 1);
  aiaccel_import arg{};
  BOOST_TEST(take(other, kNoMark, &arg) == -EINVAL);
  BOOST_TEST(pass(maker, id, kNoMark) == -EINVAL);
  BOOST_TEST(take(other, kNoMark, &arg) == -EINVAL);
  BOOST_TEST(pass(maker, id, kMark) == 0);
  BOOST_TEST(pass(maker, id, kMark) == 0);
  BOOST_TEST(pass(maker, id, kOther) == -EINVAL);
  BOOST_TEST(pass(maker, second, kMark) == -EINVAL);
  BOOST_TEST(pass(other, foreign, kMark) == -EINVAL);
  const uint32_t taken = must_take(other, kMark);
  BOOST_TEST(pass(other, taken, kOther) == -EINVAL);
  BOOST_TEST(pass(other, taken, kMark) == 0);
  BOOST_TEST(pass(maker, second, kOther) == 0);

  // With the buffer it goes, and may be that of another one.
  BOOST_TEST(maker.destroy(id) == 0);
  BOOST_TEST(pass(other, foreign, kMark) == -EINVAL);
  BOOST_TEST(other.destroy(taken) == 0);
  BOOST_TEST(pass(other, foreign, kMark) == 0);
  BOOST_TEST(must_info(maker, must_take(maker, kMark)).tenant == other.query().tenant);
}

// The maker has no part in these.
BOOST_AUTO_TEST_CASE(imports_are_lines_of_who_imports) {
  Arbiter host({.tenant_lines = 3});
  Client maker(host), other(host, 1001);
  BOOST_REQUIRE(pass(maker, must_alloc(maker, 1), kMark) == 0);
  const uint32_t first = must_take(other, kMark);
  must_take(other, kMark);
  other.queue(kCpu);
  aiaccel_import arg{};
  BOOST_TEST(take(other, kMark, &arg) == -EDQUOT);
  BOOST_TEST(arg.refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  for (int i = 0; i < 3; ++i) maker.queue(kCpu);
  BOOST_TEST(other.destroy(first) == 0);
  BOOST_TEST(take(other, kMark, &arg) == 0);
}

BOOST_AUTO_TEST_CASE(a_context_holds_so_many_buffers_imports_included) {
  Arbiter host;
  Client client(host);
  const uint32_t made = must_alloc(client, 1);
  BOOST_REQUIRE(pass(client, made, kMark) == 0);
  const uint32_t max = client.query().max_buffers;
  for (uint32_t i = 1; i + 1 < max; ++i) must_take(client, kMark);
  const uint32_t last = must_take(client, kMark);
  aiaccel_import arg{};
  BOOST_TEST(take(client, kMark, &arg) == -EDQUOT);
  BOOST_TEST(arg.refused_by == uint32_t{AIACCEL_REFUSED_CONTEXT});
  BOOST_TEST(must_info(client, made).handles == max);
  BOOST_TEST(client.destroy(last) == 0);
  BOOST_TEST(take(client, kMark, &arg) == 0);
}

BOOST_AUTO_TEST_CASE(who_revoked_it_does_not_pay_for_who_has_it_still) {
  Arbiter host({.tenant_bytes = 8192});
  Client maker(host), other(host, 1001);
  const uint32_t made = must_alloc(maker, 8192);
  BOOST_REQUIRE(pass(maker, made, kMark) == 0);
  const uint32_t id = must_take(other, kMark);
  BOOST_TEST(revoke(other, id) == -EPERM);
  BOOST_TEST(revoke(maker, made) == 0);
  BOOST_TEST(revoke(maker, made) == 0);
  BOOST_TEST(maker.query().pinned_bytes == 0u);
  must_alloc(maker, 8192);
  BOOST_TEST(maker.destroy(made) == 0);
  BOOST_TEST(maker.query().pinned_bytes == 8192u);  // of the other one
  BOOST_TEST(must_info(other, id).state ==
             (uint32_t{AIACCEL_BUFFER_FOREIGN} | AIACCEL_BUFFER_REVOKED));
  aiaccel_import arg{};
  BOOST_TEST(take(other, kMark, &arg) == -ENODEV);
  BOOST_TEST(pass(other, id, kMark) == -ENODEV);
  BOOST_TEST(other.destroy(id) == 0);
  BOOST_TEST(take(other, kMark, &arg) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(quota_names_the_first_ceiling) {
  const auto ask = [](Client& client, uint64_t length) {
    aiaccel_quota arg{};
    arg.kind = AIACCEL_BUFFER_ALLOCATED;
    arg.length = length;
    BOOST_REQUIRE_EQUAL(client.call(AIACCEL_IOC_QUOTA, arg), 0);
    return arg;
  };
  Arbiter host({.tenant_bytes = 16384, .host_bytes = 20480, .tenant_buffers = 2});
  Client client(host), other(host, 1001);
  BOOST_TEST(ask(client, 16384).refused_by == uint32_t{AIACCEL_REFUSED_NOT});
  BOOST_TEST(ask(client, 16385).refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  must_alloc(other, 8192);
  const aiaccel_quota quota = ask(client, 12289);
  BOOST_TEST(quota.tenant_bytes == 16384u);
  BOOST_TEST(quota.module_bytes == 12288u);
  BOOST_TEST(quota.refused_by == uint32_t{AIACCEL_REFUSED_MODULE});
  BOOST_TEST(ask(client, 16385).refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  BOOST_TEST(ask(client, 12288).refused_by == uint32_t{AIACCEL_REFUSED_NOT});
  // The tenant's number of buffers is a ceiling too.
  must_alloc(client, 1);
  must_alloc(client, 1);
  BOOST_TEST(ask(client, 0).refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  aiaccel_alloc arg{};
  arg.length = 1;
  BOOST_TEST(client.call(AIACCEL_IOC_ALLOC, arg) == -EDQUOT);
  BOOST_TEST(arg.refused_by == uint32_t{AIACCEL_REFUSED_TENANT});

  Arbiter open;
  Client free(open);
  const aiaccel_quota none = ask(free, 1ULL << 60);
  BOOST_TEST(none.tenant_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(none.module_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(none.refused_by == uint32_t{AIACCEL_REFUSED_NOT});
}

BOOST_AUTO_TEST_SUITE_END()
