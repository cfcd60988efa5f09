// SPDX-License-Identifier: MIT
//
// xclbin, what XRT loads into an FPGA: a header ("axlf"), a list of sections, and the sections.
// Read are the header, the kernels of the layout and the banks of memory; bitstreams are stepped
// over.

#include <array>
#include <cstring>

#include "formats/reader.h"

namespace aiaccel::formats {
namespace {

constexpr char kMark[8] = "xclbin2";  // with its NUL
constexpr std::uint64_t kSections = 456, kSectionBytes = 40;
constexpr std::uint32_t kMostSections = 0x10000, kMostRecords = 0x10000;

// Where in the header what is read stands.
enum : std::uint64_t {
  kLength = 304,
  kTimestamp = 312,
  kPatch = 328,
  kMajor = 330,
  kMinor = 331,
  kMode = 332,
  kPlatform = 352,
  kUuid = 416,
  kCount = 448,
};
constexpr std::uint64_t kPlatformBytes = 64, kUuidBytes = 16;

// Kinds of sections that are read.
enum : std::uint32_t { kMemory = 6, kLayout = 8 };

constexpr std::array kKinds = {"bitstream",
                               "clearing_bitstream",
                               "embedded_metadata",
                               "firmware",
                               "debug_data",
                               "sched_firmware",
                               "mem_topology",
                               "connectivity",
                               "ip_layout",
                               "debug_ip_layout",
                               "design_check_point",
                               "clock_freq_topology",
                               "mcs",
                               "bmc",
                               "build_metadata",
                               "keyvalue_metadata",
                               "user_metadata",
                               "dna_certificate",
                               "pdi",
                               "bitstream_partial_pdi",
                               "partition_metadata",
                               "emulation_data",
                               "system_metadata",
                               "soft_kernel",
                               "ask_flash",
                               "aie_metadata",
                               "ask_group_topology",
                               "ask_group_connectivity",
                               "smartnic",
                               "aie_resources",
                               "overlay",
                               "vender_metadata"};
constexpr std::array kModes = {"flat",   "pr",     "tandem_stage2", "tandem_stage2_with_pr",
                               "hw_emu", "sw_emu", "hw_emu_pr"};

class Xclbin {
 public:
  Xclbin(Source& source, Metadata& metadata) : source_(source), metadata_(metadata) {}

  void read() {
    if (!is_xclbin(source_)) source_.refuse(0, "an xclbin file begins with 'xclbin2'");
    source_.need(0, kSections, "the header");
    const auto length = source_.number<std::uint64_t>(kLength);
    if (length > source_.size() || length < kSections)
      source_.refuse(kLength, "the header tells of " + std::to_string(length) +
                                  " bytes, and the file has " + std::to_string(source_.size()));
    metadata_.format_version = std::to_string(source_.number<std::uint8_t>(kMajor)) + "." +
                               std::to_string(source_.number<std::uint8_t>(kMinor)) + "." +
                               std::to_string(source_.number<std::uint16_t>(kPatch));
    metadata_.architecture = source_.text_to_nul(kPlatform, kPlatformBytes, true);
    add_property(metadata_, "uuid", uuid());
    add_property(metadata_, "timestamp", std::to_string(source_.number<std::uint64_t>(kTimestamp)));
    const auto mode = source_.number<std::uint16_t>(kMode);
    add_property(metadata_, "mode", mode < kModes.size() ? kModes[mode] : std::to_string(mode));
    sections(length);
  }

 private:
  std::string uuid() {
    std::string text;
    for (std::uint64_t i = 0; i < kUuidBytes; ++i) {
      const auto byte = source_.number<std::uint8_t>(kUuid + i);
      for (unsigned digit : {byte >> 4, byte & 15}) text += "0123456789abcdef"[digit];
    }
    return text;
  }

  void sections(std::uint64_t length) {
    const auto count = source_.number<std::uint32_t>(kCount);
    if (count > kMostSections || count > (length - kSections) / kSectionBytes)
      source_.refuse(kCount, std::to_string(count) + " sections do not fit the file");
    bool has_layout = false, has_memory = false;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t at = kSections + i * kSectionBytes;
      const auto kind = source_.number<std::uint32_t>(at);
      const auto offset = source_.number<std::uint64_t>(at + 24);
      const auto size = source_.number<std::uint64_t>(at + 32);
      if (offset > length || size > length - offset)
        source_.refuse(at, "a section of " + std::to_string(size) + " bytes at " +
                               std::to_string(offset) + " ends behind the file");
      source_.pay(at, sizeof(metadata_.properties[0]) + 64);
      add_property(metadata_,
                   "section " + (kind < kKinds.size() ? kKinds[kind] : std::to_string(kind)),
                   std::to_string(size) + " bytes");
      // XRT takes the first of a kind; two of these would tell two stories.
      if (kind == kLayout) {
        if (has_layout) source_.refuse(at, "there is a second layout");
        has_layout = true;
        layout(offset, size);
      } else if (kind == kMemory) {
        if (has_memory) source_.refuse(at, "there is a second list of memory");
        has_memory = true;
        memory(offset, size);
      }
    }
  }

  // The number of a section's records, all of which are there.
  std::uint32_t records(std::uint64_t offset, std::uint64_t size, std::uint64_t bytes) {
    constexpr std::uint64_t kBefore = 8;
    if (size < kBefore)
      source_.refuse(offset, "a section of records is too short for their number");
    const auto count = source_.number<std::uint32_t>(offset);
    if (count > kMostRecords || count > (size - kBefore) / bytes)
      source_.refuse(offset, std::to_string(count) + " records do not fit their section");
    return count;
  }

  void layout(std::uint64_t offset, std::uint64_t size) {
    constexpr std::uint64_t kBytes = 80, kNameBytes = 64;
    constexpr std::uint32_t kKernel = 1, kSoftKernel = 7;
    const std::uint32_t count = records(offset, size, kBytes);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t at = offset + 8 + i * kBytes;
      const auto type = source_.number<std::uint32_t>(at);
      if (type != kKernel && type != kSoftKernel) continue;
      add_entry_point(source_, at, metadata_, {source_.text_to_nul(at + 16, kNameBytes, true), {}});
    }
  }

  void memory(std::uint64_t offset, std::uint64_t size) {
    constexpr std::uint64_t kBytes = 40, kNameBytes = 16;
    const std::uint32_t count = records(offset, size, kBytes);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t at = offset + 8 + i * kBytes;
      if (!source_.number<std::uint8_t>(at + 1)) continue;  // not used
      source_.pay(at, sizeof(metadata_.properties[0]) + 64);
      add_property(metadata_, "memory " + source_.text_to_nul(at + 24, kNameBytes, true),
                   std::to_string(source_.number<std::uint64_t>(at + 8)) + " KiB");
    }
  }

  Source& source_;
  Metadata& metadata_;
};

}  // namespace

bool is_xclbin(Source& source) {
  if (source.size() < sizeof kMark) return false;
  return std::memcmp(source.at(0, sizeof kMark), kMark, sizeof kMark) == 0;
}

void read_xclbin(Source& source, Metadata& metadata) {
  Xclbin(source, metadata).read();
}

}  // namespace aiaccel::formats
