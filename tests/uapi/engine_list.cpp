// SPDX-License-Identifier: MIT
//
// ENGINE_LIST.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(engine_list)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_engine_list, size, kIn),
    FIELD(aiaccel_engine_list, count, kInOut),
    FIELD(aiaccel_engine_list, ids, kIn),
};
static_assert(fills(kFields, 16) && sizeof(aiaccel_engine_list) == 16);

const Register kRow({"ENGINE_LIST", AIACCEL_IOC_ENGINE_LIST, kFields,
                     [](const Scene& scene) {
                       aiaccel_engine_list arg{};
                       arg.size = sizeof(arg);
                       arg.count = 4;
                       arg.ids = scene.page.address();
                       return bytes_of(arg);
                     },
                     [](const Scene&) {
                       Spoils<aiaccel_engine_list> spoils;
                       spoils.add(EFAULT, "no array", [](auto& a) { a.ids = 0; });
                       spoils.add(EFAULT, "above a 32-bit program",
                                  [](auto& a) { a.ids |= 1ULL << 62; });
                       spoils.add(EFAULT, "the kernel's",
                                  [](auto& a) { a.ids = 0xffff888000000000; });
                       spoils.add(EFAULT, "the last byte", [](auto& a) { a.ids = ~0ULL; });
                       return spoils;
                     }});

aiaccel_engine_list list_of(uint32_t* ids, uint32_t count) {
  aiaccel_engine_list list{};
  list.count = count;
  list.ids = address(ids);
  return list;
}

}  // namespace

BOOST_AUTO_TEST_CASE(writes_as_many_ids_as_fit_and_tells_how_many_there_are) {
  NEED_DEVICE();
  const Context context;
  const uint32_t engines = context.query().nr_engines;
  std::vector<uint32_t> ids(engines + 2);
  for (const uint32_t fit : {0u, 1u, engines, engines + 1, ~0u}) {
    std::fill(ids.begin(), ids.end(), 0x5a5a5a5au);
    aiaccel_engine_list list = list_of(ids.data(), fit);
    BOOST_TEST(context(AIACCEL_IOC_ENGINE_LIST, list) == 0);
    BOOST_TEST(list.count == engines);
    for (uint32_t i = 0; i < ids.size(); i++)
      BOOST_TEST((ids[i] == 0x5a5a5a5au) == (i >= std::min(fit, engines)),
                 "id " << i << " of " << fit);
    for (uint32_t i = 1; i < std::min(fit, engines); i++) BOOST_TEST(ids[i] > ids[i - 1]);
  }
  aiaccel_engine_list list = list_of(nullptr, 0);  // no room, no array
  BOOST_TEST(context(AIACCEL_IOC_ENGINE_LIST, list) == 0);
  BOOST_TEST(list.count == engines);
}

BOOST_AUTO_TEST_SUITE_END()
