// SPDX-License-Identifier: MIT
//
// The faults of what a provider does: registering its engine, mapping buffers for its device. Not
// of binding the device: there the kernel's own interrupts warn of directories of /proc that they
// could not make.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <uapi/aiaccel_edu.h>
#include <cerrno>

#include "dma_buf.hpp"
#include "faults.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fail_nth_provider)

BOOST_AUTO_TEST_CASE(registering_an_engine) {
  NEED_DEVICE();
  NEED_FAULTS();
  BOOST_REQUIRE_EQUAL(load_module("provider/aiaccel_provider.ko", "preemptible=1"), 0);
  {
    const Context context;
    const Fd parameter(open("/sys/module/aiaccel_provider/parameters/engine", O_WRONLY));
    BOOST_REQUIRE(parameter.get() >= 0);
    const auto put = [&](const char* value) {
      return pwrite(parameter.get(), value, 1, 0) == 1 ? 0 : errno;
    };
    const uint32_t engines = context.query().nr_engines;
    BOOST_REQUIRE_EQUAL(put("0"), 0);
    sweep({.name = "registering an engine",
           .errors = {ENOMEM, EFAULT},
           .least = 3,
           .call = [&] { return put("1"); },
           .undo = [&] { BOOST_TEST(put("0") == 0); },
           .prepare = {},
           .look = [&](int err) { BOOST_TEST(context.query().nr_engines == engines - !!err); }});
  }
  BOOST_TEST(unload_module("aiaccel_provider") == 0);
}

namespace {

struct EduDriver {
  EduDriver() { BOOST_REQUIRE_EQUAL(load_module("kmod/aiaccel_edu.ko", "dma_bits=64"), 0); }
  ~EduDriver() {
    BOOST_TEST(eventually([] { return unload_module("aiaccel_edu") == 0; }));
  }
};

}  // namespace

// Each transfer takes 100 ms, and each fault one or two of them. A fault that the DMA API meets may
// be EIO.
BOOST_AUTO_TEST_CASE(copying_by_dma) {
  NEED_DEVICE();
  NEED_FAULTS();
  if (find_edu().empty()) SKIP("no edu device on the bus");
  const EduDriver driver;
  const Context context;
  const Fd file(open("/dev/aiaccel-edu", O_RDWR | O_CLOEXEC));
  BOOST_REQUIRE(file.get() >= 0);
  aiaccel_edu_copy copy{};
  copy.size = sizeof copy;
  copy.flags = AIACCEL_EDU_FROM_DEVICE;
  copy.device = context.fd();
  copy.generation = context.take_turn(context.queue_at(engine_called(context, find_edu())), 1);
  copy.length = 64;
  const auto sweep_copy = [&](const char* name, uint32_t buffer, int least) {
    copy.buffer = buffer;
    sweep({.name = name,
           .errors = {ENOMEM, EFAULT, EIO},
           .least = least,
           .call = [&] { return ioctl(file.get(), AIACCEL_EDU_IOC_COPY, &copy) ? errno : 0; },
           .undo = {},
           .prepare = {},
           .look =
               [&](int) {
                 aiaccel_buffer_info info{};
                 info.id = buffer;
                 BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == 0);
                 BOOST_TEST(info.importers == 0u);
               }});
  };
  copy.offset = kPage - 32;
  sweep_copy("COPY", context.alloc(2 * kPage).id, 3);
  const Fd fd(dma_buf(2 * kPage));
  aiaccel_import import{};
  import.fd = fd.get();
  if (fd.get() < 0) {
    note("COPY of an imported buffer: no vgem and no udmabuf");
    return;
  }
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_IMPORT, import), 0);
  sweep_copy("COPY, imported", import.id, 4);
}

BOOST_AUTO_TEST_SUITE_END()
