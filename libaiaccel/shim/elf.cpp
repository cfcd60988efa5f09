// SPDX-License-Identifier: MIT
//
// Walking loaded objects; see elf.h.
#include "shim/elf.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace aiaccel::shim {
namespace {

// The parts of an object's dynamic section. glibc has made its addresses absolute, except in
// objects that it may not write to (the vDSO).
struct Object {
  ElfW(Addr) base = 0;
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const uint32_t* gnu_hash = nullptr;
  const uint32_t* hash = nullptr;  // of libraries that have no gnu_hash
  const uint16_t* versions = nullptr;
  const ElfW(Rela) * relocations[2] = {};
  size_t nr_relocations[2] = {};
  const ElfW(Phdr) * relro = nullptr;

  explicit Object(const dl_phdr_info& info) : base(info.dlpi_addr) {
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      if (info.dlpi_phdr[i].p_type == PT_DYNAMIC)
        read(reinterpret_cast<const ElfW(Dyn)*>(base + info.dlpi_phdr[i].p_vaddr));
      if (info.dlpi_phdr[i].p_type == PT_GNU_RELRO) relro = &info.dlpi_phdr[i];
    }
  }

  explicit Object(const link_map& map) : base(map.l_addr) { read(map.l_ld); }

  template <typename T>
  const T* at(ElfW(Addr) address) const {
    return reinterpret_cast<const T*>(address < base ? base + address : address);
  }

  void read(const ElfW(Dyn) * entry) {
    for (; entry->d_tag != DT_NULL; ++entry) {
      switch (entry->d_tag) {
        case DT_SYMTAB:
          symbols = at<ElfW(Sym)>(entry->d_un.d_ptr);
          break;
        case DT_STRTAB:
          strings = at<char>(entry->d_un.d_ptr);
          break;
        case DT_GNU_HASH:
          gnu_hash = at<uint32_t>(entry->d_un.d_ptr);
          break;
        case DT_HASH:
          hash = at<uint32_t>(entry->d_un.d_ptr);
          break;
        case DT_VERSYM:
          versions = at<uint16_t>(entry->d_un.d_ptr);
          break;
        case DT_RELA:
          relocations[0] = at<ElfW(Rela)>(entry->d_un.d_ptr);
          break;
        case DT_RELASZ:
          nr_relocations[0] = entry->d_un.d_val / sizeof(ElfW(Rela));
          break;
        case DT_JMPREL:
          relocations[1] = at<ElfW(Rela)>(entry->d_un.d_ptr);
          break;
        case DT_PLTRELSZ:
          nr_relocations[1] = entry->d_un.d_val / sizeof(ElfW(Rela));
          break;
        default:
          break;
      }
    }
  }

  // What the entry gives to others under the name.
  void* defined(uint32_t entry, const char* name) const {
    const ElfW(Sym)& symbol = symbols[entry];
    const bool hidden = versions && (versions[entry] & 0x8000) != 0;  // an older version of it
    return !hidden && symbol.st_shndx != SHN_UNDEF &&
                   std::strcmp(strings + symbol.st_name, name) == 0
               ? reinterpret_cast<void*>(base + symbol.st_value)
               : nullptr;
  }

  void* find(const char* name) const {
    if (!symbols || !strings) return nullptr;
    return gnu_hash ? find_by_gnu_hash(name) : hash ? find_by_hash(name) : nullptr;
  }

  void* find_by_gnu_hash(const char* name) const {
    uint32_t wanted = 5381;
    for (const char* c = name; *c; ++c) wanted = wanted * 33 + static_cast<unsigned char>(*c);
    const uint32_t nr_buckets = gnu_hash[0];
    const uint32_t first = gnu_hash[1];
    const uint32_t* buckets = gnu_hash + 4 + gnu_hash[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t* chain = buckets + nr_buckets;
    if (nr_buckets == 0) return nullptr;
    for (uint32_t i = buckets[wanted % nr_buckets]; i >= first; ++i) {
      const uint32_t other = chain[i - first];
      void* found = (other | 1) == (wanted | 1) ? defined(i, name) : nullptr;
      if (found || (other & 1)) return found;
    }
    return nullptr;
  }

  void* find_by_hash(const char* name) const {
    uint32_t wanted = 0;
    for (const char* c = name; *c; ++c) {
      wanted = (wanted << 4) + static_cast<unsigned char>(*c);
      wanted = (wanted ^ (wanted >> 24 & 0xf0)) & 0x0fffffff;
    }
    const uint32_t nr_buckets = hash[0];
    const uint32_t* buckets = hash + 2;
    const uint32_t* chain = buckets + nr_buckets;
    if (nr_buckets == 0) return nullptr;
    for (uint32_t i = buckets[wanted % nr_buckets]; i != STN_UNDEF; i = chain[i])
      if (void* found = defined(i, name)) return found;
    return nullptr;
  }
};

bool holds(const dl_phdr_info& info, const void* address) {
  const auto at = reinterpret_cast<ElfW(Addr)>(address);
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info.dlpi_phdr[i];
    if (part.p_type == PT_LOAD && at - (info.dlpi_addr + part.p_vaddr) < part.p_memsz) return true;
  }
  return false;
}

bool is_ours(const dl_phdr_info& info) {
  return holds(info, reinterpret_cast<const void*>(&is_ours));
}

struct Search {
  const char* const* objects;
  const char* name;
  void* found;
};

int search_object(dl_phdr_info* info, size_t /*size*/, void* data) {
  auto& search = *static_cast<Search*>(data);
  const char* slash = std::strrchr(info->dlpi_name, '/');
  const char* file = slash ? slash + 1 : info->dlpi_name;
  for (const char* const* object = search.objects; *object; ++object)
    if (std::strncmp(file, *object, std::strlen(*object)) == 0 && !is_ours(*info))
      search.found = Object(*info).find(search.name);
  return search.found != nullptr;
}

#if defined(__x86_64__)
bool is_function_reference(uint64_t type) {
  return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT || type == R_X86_64_64;
}
#elif defined(__aarch64__)
bool is_function_reference(uint64_t type) {
  return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT || type == R_AARCH64_ABS64;
}
#endif

bool is_read_only(const Object& object, ElfW(Addr) slot) {
  return object.relro && slot - (object.base + object.relro->p_vaddr) < object.relro->p_memsz;
}

void put(const Object& object, void** slot, void* value) {
  if (is_read_only(object, reinterpret_cast<ElfW(Addr)>(slot))) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto start = reinterpret_cast<uintptr_t>(slot) & ~(page - 1);
    if (mprotect(reinterpret_cast<void*>(start), page, PROT_READ | PROT_WRITE) < 0) return;
  }
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
}

int redirect_in_object(dl_phdr_info* info, size_t /*size*/, void* data) {
  if (is_ours(*info)) return 0;
  const auto instead = *static_cast<void* (**)(const Reference&)>(data);
  const Object object(*info);
  if (!object.symbols || !object.strings) return 0;
  for (int list = 0; list < 2; ++list) {
    for (size_t i = 0; object.relocations[list] && i < object.nr_relocations[list]; ++i) {
      const ElfW(Rela)& relocation = object.relocations[list][i];
      const uint64_t symbol = ELF64_R_SYM(relocation.r_info);
      if (symbol == 0 || !is_function_reference(ELF64_R_TYPE(relocation.r_info))) continue;
      const char* name = object.strings + object.symbols[symbol].st_name;
      auto* const slot = reinterpret_cast<void**>(object.base + relocation.r_offset);
      void* const value = instead({name, *slot, holds(*info, *slot)});
      // Its own functions are its own matter: the driver calls itself by them.
      if (value && !object.find(name)) put(object, slot, value);
    }
  }
  return 0;
}

}  // namespace

void* find_symbol(const char* const* objects, const char* name) {
  Search search{objects, name, nullptr};
  dl_iterate_phdr(search_object, &search);
  return search.found;
}

void* find_symbol(const link_map& object, const char* name) {
  return Object(object).find(name);
}

void redirect_references(void* (*instead)(const Reference& reference)) {
  dl_iterate_phdr(redirect_in_object, &instead);
}

unsigned long long objects_loaded() {
  unsigned long long nr = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        *static_cast<unsigned long long*>(data) = info->dlpi_adds;
        return 1;
      },
      &nr);
  return nr;
}

void wait_for_loads() {
  object_of(reinterpret_cast<const void*>(&is_ours));
}

const void* object_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) ? info.dli_fbase : nullptr;
}

}  // namespace aiaccel::shim
