// SPDX-License-Identifier: MIT
//
// Buffers handed on: EXPORT, IMPORT and BUFFER_REVOKE, and those who take a dma-buf: vgem, which
// attaches to it and maps it for its device, and the tests' own driver (provider/importer.c).
#pragma once

#include "module.hpp"
#include "provider/importer.h"
#include "raw.hpp"

namespace raw {

int export_errno(const Context& context, uint32_t id, Fd* made);
int import_errno(const Context& context, const Fd& dma_buf, aiaccel_import* made);
int revoke_errno(const Context& context, uint32_t id, uint32_t* importers = nullptr);
// Asserted.
Fd export_of(const Context& context, uint32_t id);
aiaccel_import import_of(const Context& context, const Fd& dma_buf);
uint32_t revoke(const Context& context, uint32_t id);  // the importers that are left
uint32_t pin(const Context& context, const Map& map, uint32_t flags = 0);
aiaccel_buffer_info info_of(const Context& context, uint32_t id);

Map map_shared(const Fd& dma_buf, size_t length, uint64_t offset = 0,
               int protection = PROT_READ | PROT_WRITE);

// Reads a byte, or writes it back: 0, or the signal that it raises.
int touch(char* at, bool write = false);

// The tests' own driver, loaded until the end.
class Driver {
 public:
  Driver() { BOOST_REQUIRE_EQUAL(load_module("provider/aiaccel_importer.ko", ""), 0); }
  Driver(const Driver&) = delete;
  ~Driver() {
    BOOST_TEST(eventually([] { return unload_module("aiaccel_importer") == 0; }));
  }
};

// One that imports, of that driver. Calls return 0 or an errno.
class Importer {
 public:
  Importer();
  int fd() const { return fd_.get(); }
  void close() { fd_.close(); }
  int call(unsigned long number, void* arg = nullptr) const;
  int attach(const Fd& dma_buf, bool listens = false) const;
  int map(uint32_t direction, importer_map* got = nullptr, uint32_t max_segment = 1 << 20) const;
  // Asserted.
  char get(uint64_t offset, bool by_vmap = false) const;
  void put(uint64_t offset, char byte, bool by_vmap = false) const;
  uint32_t told() const;

 private:
  Fd fd_;
};

// An open vgem; fd() is -1 where the kernel has none.
class Vgem {
 public:
  Vgem();
  int fd() const { return fd_.get(); }
  int import_errno(const Fd& dma_buf, uint32_t* handle) const;
  Fd export_of(uint32_t handle) const;
  void close(uint32_t handle) const;

 private:
  Fd fd_;
};

}  // namespace raw
