// SPDX-License-Identifier: MIT
//
// QUERY.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(query)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_query, size, kIn),
    FIELD(aiaccel_query, abi, kOut),
    FIELD(aiaccel_query, capabilities, kOut),
    FIELD(aiaccel_query, tenant, kOut),
    FIELD(aiaccel_query, nr_engines, kOut),
    FIELD(aiaccel_query, highest_class, kOut),
    FIELD(aiaccel_query, max_queues, kOut),
    FIELD(aiaccel_query, max_buffers, kOut),
    FIELD(aiaccel_query, max_jobs, kOut),
    FIELD(aiaccel_query, ring_bytes, kOut),
    FIELD(aiaccel_query, max_pinned_bytes, kOut),
    FIELD(aiaccel_query, pinned_bytes, kOut),
    FIELD(aiaccel_query, max_device_bytes, kOut),
    FIELD(aiaccel_query, on_missing, kOut),
    FIELD(aiaccel_query, __reserved, kOut),
};
static_assert(fills(kFields, 80) && sizeof(aiaccel_query) == 80);

const Register kRow({"QUERY", AIACCEL_IOC_QUERY, kFields,
                     [](const Scene&) {
                       aiaccel_query arg{};
                       arg.size = sizeof(arg);
                       return bytes_of(arg);
                     },
                     [](const Scene&) { return std::vector<Spoil>{}; }});

}  // namespace

BOOST_AUTO_TEST_CASE(tells_what_this_implementation_is_and_holds) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_query query = context.query();
  BOOST_TEST(query.abi == uint32_t{AIACCEL_ABI});
  BOOST_TEST(query.capabilities ==
             (AIACCEL_CAP_HOST | AIACCEL_CAP_CRASH | AIACCEL_CAP_ENFORCED | AIACCEL_CAP_STRICT |
              AIACCEL_CAP_FOLIOS | AIACCEL_CAP_REGISTER | AIACCEL_CAP_IMPORT));
  BOOST_TEST(query.tenant != 0u);
  BOOST_TEST(query.nr_engines >= 1u);
  BOOST_TEST(query.highest_class < uint32_t{AIACCEL_NR_CLASSES});
  BOOST_TEST(query.max_jobs == (query.max_jobs & -query.max_jobs),
             "a power of two: the ring's entries");
  BOOST_TEST(query.ring_bytes % kPage == 0u);
  BOOST_TEST(query.pinned_bytes == 0u);
  context.alloc(3 * kPage);
  BOOST_TEST(context.query().pinned_bytes == 3 * kPage);
}

BOOST_AUTO_TEST_SUITE_END()
