// SPDX-License-Identifier: MIT
//
// The faults of device memory: RESERVE, IMPORT, ENGINE_REGISTER and ENGINE_UNREGISTER.
#include <cerrno>
#include <optional>

#include "account.hpp"
#include "cgroup.hpp"
#include "dma_buf.hpp"
#include "faults.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fail_nth_device)

namespace {

// No id names what nobody was told of.
void look_for_ids(const Context& context, uint32_t last) {
  for (uint32_t id = last + 1; id < last + 4; id++)
    BOOST_TEST(destroy_errno(context, id) == ENOENT);
}

}  // namespace

BOOST_AUTO_TEST_CASE(reserve_resize_and_destroy) {
  NEED_DEVICE();
  NEED_FAULTS();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup above("/sweep"), own("/sweep/own");
  own.enter();  // three levels of nodes
  {
    const Context context;
    const Engine engine(context, 1 << 20);
    aiaccel_reserve reserve{};
    uint32_t last = 0;
    Swept swept{.name = "RESERVE, first of a tenant",
                .errors = {ENOMEM, EFAULT},
                .least = 7,
                .call =
                    [&] {
                      reserve = {};
                      reserve.engine = engine.id();
                      reserve.bytes = 1000;
                      return context(AIACCEL_IOC_RESERVE, reserve);
                    },
                .undo = [&] { BOOST_TEST(destroy_errno(context, last) == 0); },
                .prepare = {},
                .look =
                    [&](int err) {
                      if (err) {
                        look_for_ids(context, last);
                        BOOST_TEST((err != ENOMEM || reserve.refused_by != AIACCEL_REFUSED_NOT));
                      } else {
                        last = reserve.id;
                      }
                    }};
    sweep(swept);
    const uint32_t other = raw::reserve(context, engine.id(), 0);
    last = other;
    swept.name = "RESERVE, later";
    swept.least = 4;
    sweep(swept);
    sweep({.name = "RESERVE, the same size",
           .errors = {EFAULT},
           .least = 3,
           .call = [&] { return resize(context, other, 0); },
           .undo = {},
           .prepare = {},
           .look = {}});
    sweep({.name = "DESTROY, reservation",
           .errors = {EFAULT},
           .least = 1,
           .call = [&] { return destroy_errno(context, last); },
           .undo = {},
           .prepare = [&] { last = raw::reserve(context, engine.id(), 1000); },
           .look = {}});
  }
  Cgroup::leave();
}

BOOST_AUTO_TEST_CASE(engines) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  aiaccel_engine_register make = engine_of(1 << 20);
  aiaccel_engine_unregister end{};
  sweep({.name = "ENGINE_REGISTER",
         .errors = {ENOMEM, EFAULT},
         .least = 3,
         .call = [&] { return context(AIACCEL_IOC_ENGINE_REGISTER, make); },
         .undo =
             [&] {
               end.id = make.id;
               BOOST_TEST(context(AIACCEL_IOC_ENGINE_UNREGISTER, end) == 0);
             },
         .prepare = {},
         .look = {}});
  // Of a context each time that watches nothing yet.
  std::optional<Context> maker;
  make.flags = AIACCEL_REGISTER_BOUND;
  sweep({.name = "ENGINE_REGISTER, bound",
         .errors = {ENOMEM, EFAULT},
         .least = 5,
         .call = [&] { return (*maker)(AIACCEL_IOC_ENGINE_REGISTER, make); },
         .undo =
             [&] {
               end.id = make.id;
               BOOST_TEST(context(AIACCEL_IOC_ENGINE_UNREGISTER, end) == 0);
             },
         .prepare = [&] { maker.emplace(); },
         .look = {}});
  maker.reset();
  make.flags = 0;
  sweep({.name = "ENGINE_UNREGISTER",
         .errors = {EFAULT},
         .least = 1,
         .call = [&] { return context(AIACCEL_IOC_ENGINE_UNREGISTER, end); },
         .undo = {},
         .prepare =
             [&] {
               BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_REGISTER, make), 0);
               end.id = make.id;
             },
         .look = {}});
}

// Which brings the engine's history. That is not worth a refusal: without memory for it there is
// none until the next queue, and what is told of errors is told of the rest.
BOOST_AUTO_TEST_CASE(first_queue_of_an_engine) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  aiaccel_engine_register make{};
  aiaccel_queue_create create{};
  const auto create_queue = [&] {
    create = {};
    create.engine = make.id;
    create.class_ = AIACCEL_CLASS_NORMAL;
    return context(AIACCEL_IOC_QUEUE_CREATE, create);
  };
  sweep({.name = "QUEUE_CREATE, first of an engine",
         .errors = {ENOMEM, EFAULT},
         .least = 5,
         .call = create_queue,
         .undo =
             [&] {
               BOOST_TEST(destroy_errno(context, create.id) == 0);
               BOOST_REQUIRE_EQUAL(create_queue(), 0);
               const uint32_t generation = context.take_turn(create.id, 1);
               BOOST_TEST(complete(context, 1, generation) == 0);
               int recorded = 0;
               for (const auto& turn : list<aiaccel_stats_turn>(context, AIACCEL_STATS_TURNS))
                 recorded += turn.engine == make.id;
               BOOST_TEST(recorded == 1);
               BOOST_TEST(destroy_errno(context, create.id) == 0);
               aiaccel_engine_unregister end{};
               end.id = make.id;
               BOOST_TEST(context(AIACCEL_IOC_ENGINE_UNREGISTER, end) == 0);
             },
         .prepare =
             [&] {
               make = engine_of(0);
               BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_REGISTER, make), 0);
             },
         .look = {}});
}

BOOST_AUTO_TEST_CASE(import_dma_buf) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Fd made(dma_buf(kPage));
  if (made.get() < 0) SKIP("this kernel has neither vgem nor udmabuf");
  const Context context;
  aiaccel_import import{};
  import.fd = made.get();
  uint32_t last = 0;
  sweep({.name = "IMPORT",
         .errors = {ENOMEM, EFAULT},
         .least = 4,
         .call = [&] { return context(AIACCEL_IOC_IMPORT, import); },
         .undo = [&] { BOOST_TEST(destroy_errno(context, last) == 0); },
         .prepare = {},
         .look =
             [&](int err) {
               if (err) {
                 look_for_ids(context, last);
                 BOOST_TEST((err != ENOMEM || import.refused_by != AIACCEL_REFUSED_NOT));
               } else {
                 last = import.id;
               }
             }});
}

BOOST_AUTO_TEST_SUITE_END()
