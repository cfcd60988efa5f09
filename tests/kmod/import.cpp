// SPDX-License-Identifier: MIT
//
// Imported dma-bufs: their memory lives while an import does, however that ends, and with it the
// exporter's module.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "dma_buf.hpp"
#include "module.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(import_dma_buf)

namespace {

constexpr size_t kBytes = 777 * kPage;  // as no other has

int import(const Context& context, const Fd& dma_buf, uint32_t* id) {
  aiaccel_import arg{};
  arg.fd = dma_buf.get();
  const int error = context(AIACCEL_IOC_IMPORT, arg);
  *id = arg.id;
  return error;
}

// Two imports, of two contexts: what was there before is there until the second one goes.
void lives_until_the_last_import_goes(int (*make)(size_t)) {
  const auto lives = [] { return dma_buf_lives(kBytes); };
  BOOST_REQUIRE(!lives());
  Fd dma_buf(make(kBytes));
  if (dma_buf.get() < 0) SKIP("this kernel has no such exporter");
  const Context context;
  Context closed;
  uint32_t id, other;
  BOOST_REQUIRE_EQUAL(import(context, dma_buf, &id), 0);
  BOOST_REQUIRE_EQUAL(import(closed, dma_buf, &other), 0);
  dma_buf.close();
  BOOST_TEST(lives());
  closed.close();
  usleep(100'000);
  BOOST_TEST(lives());
  BOOST_TEST(destroy_errno(context, id) == 0);
  BOOST_TEST(eventually([] { return !dma_buf_lives(kBytes); }));
}

int uses_of(const char* module) {
  int uses = -1;  // it is built in
  std::ifstream("/sys/module/" + std::string(module) + "/refcnt") >> uses;
  return uses;
}

}  // namespace

BOOST_AUTO_TEST_CASE(of_a_driver) {
  NEED_DEVICE();
  lives_until_the_last_import_goes(vgem_buffer);
}

BOOST_AUTO_TEST_CASE(of_a_memfd) {
  NEED_DEVICE();
  lives_until_the_last_import_goes(udmabuf);
}

BOOST_AUTO_TEST_CASE(what_a_killed_process_imported_goes) {
  NEED_DEVICE();
  Fd made(dma_buf(kBytes));
  if (made.get() < 0) SKIP("this kernel has neither vgem nor udmabuf");
  int ready[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  const pid_t child = fork();
  if (!child) {
    const Context context;
    uint32_t id;
    const int error = import(context, made, &id);
    made.close();
    if (error || write(ready[1], "", 1) != 1) _exit(1);
    pause();
    _exit(2);
  }
  char byte;
  BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
  made.close();
  BOOST_TEST(dma_buf_lives(kBytes));
  BOOST_REQUIRE_EQUAL(kill(child, SIGKILL), 0);
  BOOST_REQUIRE_EQUAL(waitpid(child, nullptr, 0), child);
  BOOST_TEST(eventually([] { return !dma_buf_lives(kBytes); }));
  close(ready[0]);
  close(ready[1]);
}

// They hold files that no limit of the process counts.
BOOST_AUTO_TEST_CASE(count_as_queues_of_the_tenant) {
  NEED_DEVICE();
  const Fd made(dma_buf(kBytes));
  if (made.get() < 0) SKIP("this kernel has neither vgem nor udmabuf");
  const Reloaded module("tenants=user tenant_queues=3");
  const Context first, second;
  uint32_t ids[3], none;
  BOOST_REQUIRE_EQUAL(import(first, made, &ids[0]), 0);
  BOOST_REQUIRE_EQUAL(import(first, made, &ids[1]), 0);
  BOOST_REQUIRE_EQUAL(import(second, made, &ids[2]), 0);
  aiaccel_import arg{};
  arg.fd = made.get();
  BOOST_TEST(second(AIACCEL_IOC_IMPORT, arg) == EDQUOT);
  BOOST_TEST(arg.refused_by == AIACCEL_REFUSED_TENANT);
  BOOST_TEST(destroy_errno(first, ids[0]) == 0);
  BOOST_TEST(import(second, made, &none) == 0);
  BOOST_TEST(import(second, made, &none) == EDQUOT);
}

BOOST_AUTO_TEST_CASE(the_exporter_stays_loaded) {
  NEED_DEVICE();
  if (uses_of("vgem") < 0) SKIP("vgem is no module here");
  BOOST_REQUIRE(eventually([] { return uses_of("vgem") == 0; }));
  const Context context;
  uint32_t id;
  {
    const Fd made(vgem_buffer(kPage));
    BOOST_REQUIRE_EQUAL(import(context, made, &id), 0);
  }
  usleep(100'000);
  BOOST_TEST(uses_of("vgem") > 0);
  BOOST_TEST(unload_module("vgem") != 0);
  BOOST_TEST(destroy_errno(context, id) == 0);
  BOOST_TEST(eventually([] { return uses_of("vgem") == 0; }));
}

BOOST_AUTO_TEST_SUITE_END()
