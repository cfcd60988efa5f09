// SPDX-License-Identifier: MIT
//
// QUEUE_CREATE.
#include <string>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(queue_create)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_queue_create, size, kIn),
    FIELD(aiaccel_queue_create, flags, kIn),
    FIELD(aiaccel_queue_create, engine, kIn),
    FIELD(aiaccel_queue_create, class_, kIn),
    FIELD(aiaccel_queue_create, weight, kIn),
    FIELD(aiaccel_queue_create, id, kOut),
    FIELD(aiaccel_queue_create, budget_ns, kIn),
    FIELD(aiaccel_queue_create, refused_by, kRefusal),
    FIELD(aiaccel_queue_create, any_of, kIn),
    FIELD(aiaccel_queue_create, label, kIn),
    FIELD(aiaccel_queue_create, period_ns, kIn),
    FIELD(aiaccel_queue_create, width, kIn),
    FIELD(aiaccel_queue_create, __reserved, kZero),
};
static_assert(fills(kFields, 120) && sizeof(aiaccel_queue_create) == 120);

std::vector<Spoil> spoils_of(const Scene& scene) {
  Spoils<aiaccel_queue_create> spoils;
  for (const uint32_t flags : {2u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  for (const uint32_t class_ : {5u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "class", [=](auto& a) { a.class_ = class_; });
  spoils.add(EINVAL, "realtime, no promise", [](auto& a) { a.class_ = AIACCEL_CLASS_REALTIME; });
  spoils.add(EINVAL, "period", [](auto& a) { a.period_ns = 1; });
  spoils.add(EINVAL, "width", [](auto& a) { a.width = 1; });
  for (const uint64_t budget :
       U64s{1, AIACCEL_BUDGET_MIN_NS - 1, AIACCEL_BUDGET_MAX_NS + 1, 1ULL << 63, ~0ULL})
    spoils.add(EINVAL, "budget", [=](auto& a) { a.budget_ns = budget; });
  spoils.add(EINVAL, "normal work that fills", [](auto& a) { a.flags = AIACCEL_QUEUE_FILL; });
  spoils.add(EINVAL, "reserved", [](auto& a) { a.__reserved = 1; });
  for (const uint32_t weight : {AIACCEL_WEIGHT_MAX + 1u, 0x80000000u, ~0u})
    spoils.add(EINVAL, "weight", [=](auto& a) { a.weight = weight; });
  spoils.add(EINVAL, "label without a NUL", [](auto& a) { memset(a.label, 'a', sizeof(a.label)); });
  for (const int byte : {1, 10, 0x1f, 0x7f, 0x80, 0xff})
    spoils.add(EINVAL, "label with a byte that is not printed",
               [=](auto& a) { a.label[0] = static_cast<char>(byte); });
  spoils.add(EINVAL, "label with more after its NUL", [](auto& a) { a.label[63] = 'x'; });
  for (const uint32_t id : {0u, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "engine", [=](auto& a) { a.engine = id; });
  for (const uint32_t id : {scene.buffer, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "any_of", [=](auto& a) { a.any_of = id; });
  return spoils;
}

const Register kRow({"QUEUE_CREATE", AIACCEL_IOC_QUEUE_CREATE, kFields,
                     [](const Scene& scene) {
                       aiaccel_queue_create arg{};
                       arg.size = sizeof(arg);
                       arg.engine = scene.engine;
                       arg.class_ = AIACCEL_CLASS_NORMAL;
                       return bytes_of(arg);
                     },
                     spoils_of});

}  // namespace

BOOST_AUTO_TEST_CASE(every_class_and_the_edges_of_weights_and_labels) {
  NEED_DEVICE();
  const std::string longest(AIACCEL_LABEL_LEN - 1, '~');
  for (uint32_t class_ = AIACCEL_CLASS_IDLE; class_ <= AIACCEL_CLASS_HIGH; class_++)
    for (const uint32_t weight : {0u, uint32_t{AIACCEL_WEIGHT_MIN}, uint32_t{AIACCEL_WEIGHT_MAX}})
      for (const std::string& label : {std::string(), std::string(" "), longest}) {
        const Context context;
        aiaccel_queue_create create{};
        create.engine = context.engine().id;
        create.class_ = class_;
        create.weight = weight;
        memcpy(create.label, label.data(), label.size());
        BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
        BOOST_TEST(create.refused_by == uint32_t{AIACCEL_REFUSED_NOT});
        const aiaccel_stats_queue record = only_queue(context);
        BOOST_TEST(record.id == create.id);
        BOOST_TEST(record.class_ == class_);
        BOOST_TEST(record.weight == (weight ? weight : uint32_t{AIACCEL_WEIGHT_DEFAULT}));
        BOOST_TEST(!memcmp(record.label, create.label, sizeof(record.label)));
      }
}

BOOST_AUTO_TEST_CASE(a_context_holds_so_many_queues) {
  NEED_DEVICE();
  const Context context, other;
  const uint32_t max = context.query().max_queues, engine = context.engine().id;
  for (uint32_t i = 0; i < max; i++) context.queue();
  aiaccel_queue_create create{};
  create.engine = engine;
  create.class_ = AIACCEL_CLASS_LOW;
  for (int i = 0; i < 3; i++) {
    BOOST_TEST(context(AIACCEL_IOC_QUEUE_CREATE, create) == EDQUOT);
    BOOST_TEST(create.refused_by == uint32_t{AIACCEL_REFUSED_CONTEXT});
  }
  BOOST_TEST(context.engine_stats().queues == max);
  other.queue();
  aiaccel_destroy destroy{};
  destroy.id = 1;
  BOOST_TEST(context(AIACCEL_IOC_DESTROY, destroy) == 0);
  context.queue();
}

BOOST_AUTO_TEST_SUITE_END()
