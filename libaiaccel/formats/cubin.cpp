// SPDX-License-Identifier: MIT
//
// cubin, a program for one kind of NVIDIA GPU: an ELF file of 64 bits whose kernels are the
// functions with a mark of NVIDIA's own. Only the table of symbols is walked, names of kernels are
// looked up.

#include <algorithm>

#include "formats/reader.h"

namespace aiaccel::formats {
namespace {

constexpr std::uint32_t kElfMark = 0x464c457f;
constexpr std::uint16_t kCuda = 190;  // EM_CUDA
constexpr std::uint64_t kHeaderBytes = 64, kSectionBytes = 64, kSymbolBytes = 24;
constexpr std::uint64_t kMostName = 65536;
constexpr std::uint64_t kMostSymbols = std::uint64_t{1} << 25;

class Cubin {
 public:
  Cubin(Source& source, Metadata& metadata) : source_(source), metadata_(metadata) {}

  void read() {
    if (!is_cubin(source_)) source_.refuse(0, "this is no ELF file for NVIDIA's GPUs");
    source_.need(0, kHeaderBytes, "the header");
    if (source_.number<std::uint8_t>(4) != 2 || source_.number<std::uint8_t>(5) != 1)
      source_.refuse(4, "an ELF file that is not of 64 bits, or big-endian, is not read",
                     EOPNOTSUPP);
    const auto abi = source_.number<std::uint8_t>(8);
    const auto flags = source_.number<std::uint32_t>(48);
    // Version 8 of the ABI moved the number up by a byte.
    metadata_.architecture = "sm_" + std::to_string(abi >= 8 ? flags >> 8 & 0xff : flags & 0xff);
    metadata_.format_version = std::to_string(abi);
    sections();
  }

 private:
  struct Section {
    std::uint64_t at, offset, size;
    std::uint32_t type, link;
  };

  struct Kernel {
    std::uint64_t at;  // of its symbol
    std::uint32_t name_at;
    std::string name;
  };

  Section section(std::uint32_t index) {
    Section section;
    section.at = table_ + index * kSectionBytes;
    section.type = source_.number<std::uint32_t>(section.at + 4);
    section.offset = source_.number<std::uint64_t>(section.at + 24);
    section.size = source_.number<std::uint64_t>(section.at + 32);
    section.link = source_.number<std::uint32_t>(section.at + 40);
    constexpr std::uint32_t kNoBits = 8;
    if (section.type != kNoBits &&
        (section.offset > source_.size() || section.size > source_.size() - section.offset))
      source_.refuse(section.at, "a section of " + std::to_string(section.size) + " bytes at " +
                                     std::to_string(section.offset) + " ends behind the file");
    return section;
  }

  void sections() {
    table_ = source_.number<std::uint64_t>(40);
    count_ = source_.number<std::uint16_t>(60);
    if (count_ && source_.number<std::uint16_t>(58) != kSectionBytes)
      source_.refuse(58, "sections are not described in 64 bytes");
    if (!count_ && table_)
      source_.refuse(60, "a file of 65280 sections and more is not read", EOPNOTSUPP);
    if (table_ > source_.size() || count_ > (source_.size() - table_) / kSectionBytes)
      source_.refuse(40, "the list of sections ends behind the file");
    constexpr std::uint32_t kSymbols = 2;
    bool has_symbols = false;
    for (std::uint32_t i = 0; i < count_; ++i) {
      const Section each = section(i);
      if (each.type != kSymbols) continue;
      if (has_symbols) source_.refuse(each.at, "there is a second table of symbols");
      has_symbols = true;
      symbols(each);
    }
    if (!has_symbols) source_.refuse(table_, "there is no table of symbols");
  }

  void symbols(const Section& table) {
    constexpr std::uint32_t kTexts = 3;
    if (table.link >= count_) source_.refuse(table.at, "the names of symbols are in no section");
    const Section names = section(table.link);
    if (names.type != kTexts) source_.refuse(table.at, "the names of symbols are no texts");
    constexpr unsigned kFunction = 2, kEntry = 0x10;
    if (table.size / kSymbolBytes > kMostSymbols)
      source_.refuse(table.at,
                     "more than " + std::to_string(kMostSymbols) + " symbols are not read");
    // First the symbols, then their names in the order of the file: it is read in windows, and
    // going to and fro would read one for each.
    std::vector<Kernel> kernels;
    for (std::uint64_t i = 0; i < table.size / kSymbolBytes; ++i) {
      const std::uint64_t at = table.offset + i * kSymbolBytes;
      if ((source_.number<std::uint8_t>(at + 4) & 15) != kFunction) continue;
      if (!(source_.number<std::uint8_t>(at + 5) & kEntry)) continue;
      const auto name = source_.number<std::uint32_t>(at);
      if (name >= names.size) source_.refuse(at, "the name of a kernel is behind all names");
      source_.pay(at, sizeof(Kernel));
      kernels.push_back({at, name, {}});
    }
    std::sort(kernels.begin(), kernels.end(),
              [](const Kernel& a, const Kernel& b) { return a.name_at < b.name_at; });
    for (Kernel& kernel : kernels)
      kernel.name = source_.text_to_nul(names.offset + kernel.name_at,
                                        std::min(kMostName, names.size - kernel.name_at), false);
    std::sort(kernels.begin(), kernels.end(),
              [](const Kernel& a, const Kernel& b) { return a.at < b.at; });
    for (Kernel& kernel : kernels)
      add_entry_point(source_, kernel.at, metadata_, {std::move(kernel.name), {}});
  }

  Source& source_;
  Metadata& metadata_;
  std::uint64_t table_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace

bool is_cubin(Source& source) {
  return source.size() >= 20 && source.number<std::uint32_t>(0) == kElfMark &&
         source.number<std::uint16_t>(18) == kCuda;
}

void read_cubin(Source& source, Metadata& metadata) {
  Cubin(source, metadata).read();
}

}  // namespace aiaccel::formats
