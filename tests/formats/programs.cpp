// SPDX-License-Identifier: MIT
//
// Programs for accelerators: xclbin, cubin and PTX files, good ones and those that lie.
#include <elf.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "formats/fixture.hpp"
#include "formats/reader.h"

using namespace aiaccel;
using fixture::le;

namespace {

std::vector<std::string> names(const Metadata& metadata) {
  std::vector<std::string> names;
  for (const EntryPoint& entry : metadata.entry_points) names.push_back(entry.name);
  return names;
}

std::string padded(std::string text, std::size_t bytes) {
  text.resize(bytes);
  return text;
}

// An xclbin file of sections, each of a kind.
struct Section {
  std::uint32_t kind;
  std::string bytes;
};

std::string xclbin(const std::vector<Section>& sections, std::uint64_t longer = 0) {
  std::string list, contents;
  const std::size_t begin = 456 + 40 * sections.size();
  for (const Section& section : sections) {
    list += le(section.kind) + std::string(20, '\0') + le<std::uint64_t>(begin + contents.size()) +
            le<std::uint64_t>(section.bytes.size());
    contents += section.bytes;
  }
  const std::string uuid = "\x01\x23\x45\x67\x89\xab\xcd\xef" + std::string(8, '\xff');
  return padded("xclbin2", 8) + le<std::int32_t>(-1) + std::string(28, '\xff') +
         std::string(256, '\0') + le<std::uint64_t>(7) +
         le<std::uint64_t>(begin + contents.size() + longer) + le<std::uint64_t>(1656000000) +
         le<std::uint64_t>(0) + le<std::uint16_t>(466) + le<std::uint8_t>(2) +
         le<std::uint8_t>(13) + le<std::uint16_t>(4) + le<std::uint16_t>(0) +
         std::string(16, '\0') + padded("xilinx_u250_gen3x16", 64) + uuid + std::string(16, '\0') +
         le(static_cast<std::uint32_t>(sections.size())) + std::string(4, '\0') + list + contents;
}

std::string kernels(std::initializer_list<std::pair<std::uint32_t, std::string>> all) {
  std::string bytes = le(static_cast<std::int32_t>(all.size())) + std::string(4, '\0');
  for (const auto& [type, name] : all) bytes += le(type) + std::string(12, '\0') + padded(name, 64);
  return bytes;
}

std::string banks() {
  return le<std::int32_t>(2) + std::string(4, '\0') + std::string("\1\1", 2) +
         std::string(6, '\0') + le<std::uint64_t>(16777216) + le<std::uint64_t>(0) +
         padded("bank0", 16) + std::string("\1\0", 2) + std::string(38, '\0');
}

// A cubin, by the system's own <elf.h>.
struct Cubin {
  Elf64_Ehdr header{};
  std::array<Elf64_Shdr, 3> sections{};
  std::array<Elf64_Sym, 4> symbols{};
  std::string texts = std::string("\0add\0helper\0mul\0", 16);

  Cubin() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_ABIVERSION] = 7;
    header.e_machine = EM_CUDA;
    header.e_flags = 0x5a055a;  // of sm_90
    header.e_shoff = sizeof header;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = sections.size();
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_offset = sizeof header + sizeof sections;
    sections[1].sh_size = sizeof symbols;
    sections[1].sh_link = 2;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = sections[1].sh_offset + sizeof symbols;
    sections[2].sh_size = texts.size();
    for (unsigned i = 1; i < 4; ++i) symbols[i].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbols[1].st_name = 1;
    symbols[1].st_other = 0x10;
    symbols[2].st_name = 5;  // a function that a kernel calls
    symbols[3].st_name = 12;
    symbols[3].st_other = 0x10;
  }

  std::string bytes() const {
    auto raw = [](const auto& value) {
      return std::string(reinterpret_cast<const char*>(&value), sizeof value);
    };
    return raw(header) + raw(sections) + raw(symbols) + texts;
  }
};

const std::string kPtx =
    "// made by hand\n.version 8.3\n.target sm_90a, debug\n.address_size 64\n"
    ".const .align 4 .b8 table[8] = {1, 2, 3, 4};\n/* } .entry no( */\n"
    ".func helper(.param .b32 x) { ret; }\n"
    ".visible .entry add(.param .u64 .ptr .global .align 4 a, .param .align 8 .b8 b[16])\n"
    ".maxntid 128, 1, 1\n{ .pragma \"nounroll }\"; { .reg .b32 %r<2>; } ret; }\n"
    ".entry empty() { ret; }\n.entry bare { ret; }\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(xclbin_files)

constexpr auto kFormat = ModelFormat::xclbin;

BOOST_AUTO_TEST_CASE(are_read) {
  const std::string bytes = xclbin(
      {{0, std::string(1000, 'b')},
       {8, kernels({{1, "vadd:vadd_1"}, {4, "a memory"}, {7, "soft"}, {1, std::string(64, 'k')}})},
       {6, banks()}});
  const Metadata metadata = fixture::read(bytes, kFormat);
  BOOST_TEST(metadata.format_version == "2.13.466");
  BOOST_TEST(metadata.architecture == "xilinx_u250_gen3x16");
  // A name as long as its field ends without a NUL.
  BOOST_TEST(
      (names(metadata) == std::vector<std::string>{"vadd:vadd_1", "soft", std::string(64, 'k')}));
  const std::vector<std::pair<std::string, std::string>> properties = {
      {"uuid", "0123456789abcdefffffffffffffffff"},
      {"timestamp", "1656000000"},
      {"mode", "hw_emu"},
      {"section bitstream", "1000 bytes"},
      {"section ip_layout", "328 bytes"},
      {"section mem_topology", "88 bytes"},
      {"memory bank0", "16777216 KiB"}};
  BOOST_TEST((metadata.properties == properties));
  // What a signature adds behind the length that the header tells.
  BOOST_TEST(fixture::read(bytes + "signature", kFormat).entry_points.size() == 3u);
}

BOOST_AUTO_TEST_CASE(cut_short_anywhere_are_refused) {
  const std::string whole = xclbin({{8, kernels({{1, "vadd"}})}, {6, banks()}});
  for (std::size_t keep = 0; keep < whole.size(); ++keep)
    BOOST_TEST(fixture::refusal(whole.substr(0, keep), kFormat).error == EBADMSG,
               keep << " bytes were accepted");
}

BOOST_AUTO_TEST_CASE(that_lie_are_refused) {
  auto put = [](std::string bytes, std::size_t at, const std::string& value) {
    return bytes.replace(at, value.size(), value);
  };
  const std::string good = xclbin({{8, kernels({{1, "vadd"}})}});
  REFUSED(put(good, 0, "xclbin1"), kFormat, "begins with 'xclbin2'");
  REFUSED(xclbin({}, 1), kFormat, "and the file has 456");
  REFUSED(put(good, 304, le<std::uint64_t>(10)), kFormat, "the header tells of 10 bytes");
  for (std::uint32_t count : {4u, 0x10001u, 0xffffffffu})
    REFUSED(put(good, 448, le(count)), kFormat, "sections do not fit the file");
  for (std::uint64_t number : {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{600}}) {
    REFUSED(put(good, 456 + 24, le(number)), kFormat, "ends behind the file");
    REFUSED(put(good, 456 + 32, le(number)), kFormat, "ends behind the file");
  }
  for (std::uint32_t count : {2u, 0x80000000u, 0xffffffffu})
    REFUSED(put(good, 496, le(count)), kFormat, "records do not fit their section");
  REFUSED(xclbin({{8, le<std::uint64_t>(65537) + std::string(65537 * 80, '\0')}}), kFormat,
          "65537 records do not fit");
  REFUSED(xclbin({{8, "abcd"}}), kFormat, "too short for their number");
  REFUSED(xclbin({{8, kernels({})}, {8, kernels({})}}), kFormat, "a second layout");
  REFUSED(xclbin({{6, banks()}, {6, banks()}}), kFormat, "a second list of memory");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(cubin_files)

constexpr auto kFormat = ModelFormat::cubin;

BOOST_AUTO_TEST_CASE(are_read) {
  Cubin cubin;
  Metadata metadata = fixture::read(cubin.bytes(), kFormat);
  BOOST_TEST((names(metadata) == std::vector<std::string>{"add", "mul"}));
  BOOST_TEST(metadata.architecture == "sm_90");
  BOOST_TEST(metadata.format_version == "7");
  // In the order of the symbols, whatever that of their names is.
  std::swap(cubin.symbols[1].st_name, cubin.symbols[3].st_name);
  BOOST_TEST(
      (names(fixture::read(cubin.bytes(), kFormat)) == std::vector<std::string>{"mul", "add"}));
  cubin.header.e_ident[EI_ABIVERSION] = 8;
  cubin.header.e_flags = 0x6006402;
  metadata = fixture::read(cubin.bytes(), kFormat);
  BOOST_TEST(metadata.architecture == "sm_100");
}

BOOST_AUTO_TEST_CASE(cut_short_anywhere_are_refused) {
  const std::string whole = Cubin().bytes();
  for (std::size_t keep = 0; keep < whole.size(); ++keep)
    BOOST_TEST(fixture::refusal(whole.substr(0, keep), kFormat).error == EBADMSG,
               keep << " bytes were accepted");
}

BOOST_AUTO_TEST_CASE(that_lie_are_refused) {
  auto changed = [](auto change) {
    Cubin cubin;
    change(cubin);
    return cubin.bytes();
  };
  auto error = [&](auto change) { return fixture::refusal(changed(change), kFormat).error; };
  REFUSED(changed([](Cubin& c) { c.header.e_machine = EM_X86_64; }), kFormat,
          "no ELF file for NVIDIA");
  BOOST_TEST(error([](Cubin& c) { c.header.e_ident[EI_CLASS] = ELFCLASS32; }) == EOPNOTSUPP);
  BOOST_TEST(error([](Cubin& c) { c.header.e_ident[EI_DATA] = ELFDATA2MSB; }) == EOPNOTSUPP);
  BOOST_TEST(error([](Cubin& c) { c.header.e_shnum = 0; }) == EOPNOTSUPP);
  REFUSED(changed([](Cubin& c) { c.header.e_shentsize = 32; }), kFormat,
          "not described in 64 bytes");
  for (std::uint64_t far : {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{400}}) {
    REFUSED(changed([&](Cubin& c) { c.header.e_shoff = far; }), kFormat,
            "the list of sections ends behind the file");
    REFUSED(changed([&](Cubin& c) { c.sections[1].sh_offset = far; }), kFormat,
            "ends behind the file");
    REFUSED(changed([&](Cubin& c) { c.sections[2].sh_size = far; }), kFormat,
            "ends behind the file");
  }
  REFUSED(changed([](Cubin& c) { c.header.e_shnum = 0xffff; }), kFormat,
          "the list of sections ends behind the file");
  REFUSED(changed([](Cubin& c) { c.sections[1].sh_link = 3; }), kFormat, "in no section");
  REFUSED(changed([](Cubin& c) { c.sections[1].sh_link = 0; }), kFormat, "are no texts");
  REFUSED(changed([](Cubin& c) { c.symbols[1].st_name = 16; }), kFormat, "behind all names");
  REFUSED(changed([](Cubin& c) { c.texts.back() = 'x'; }), kFormat, "does not end where it has to");
  REFUSED(changed([](Cubin& c) { c.sections[1].sh_type = SHT_NULL; }), kFormat,
          "no table of symbols");
  REFUSED(changed([](Cubin& c) { c.sections[0] = c.sections[1]; }), kFormat, "a second table");
}

// In a hole there is no end of symbols.
BOOST_AUTO_TEST_CASE(have_only_so_many_symbols) {
  fixture::Folder folder;
  Cubin cubin;
  cubin.sections[1].sh_offset = 4096;
  cubin.sections[1].sh_size = 24ull * ((1 << 25) + 1);
  const auto file = folder.write("hole.cubin", cubin.bytes());
  std::filesystem::resize_file(file, 4096 + cubin.sections[1].sh_size);
  const auto refusal = fixture::refusal_of([&] { read_metadata(file); });
  BOOST_TEST(refusal.says("more than 33554432 symbols are not read"), refusal.what);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(ptx_files)

constexpr auto kFormat = ModelFormat::ptx;

BOOST_AUTO_TEST_CASE(are_read) {
  for (const std::string& bytes : {kPtx, kPtx + '\0'}) {
    const Metadata metadata = fixture::read(bytes, kFormat);
    BOOST_TEST(metadata.format_version == "8.3");
    BOOST_TEST(metadata.architecture == "sm_90a");
    BOOST_TEST(
        (metadata.entry_points ==
         std::vector<EntryPoint>{{"add", {"u64 a", "b8[16] b"}}, {"empty", {}}, {"bare", {}}}));
    BOOST_TEST((metadata.properties ==
                std::vector<std::pair<std::string, std::string>>{{"address_size", "64"}}));
  }
}

BOOST_AUTO_TEST_CASE(that_are_something_else_are_refused) {
  REFUSED("", kFormat, "begins with .version");
  REFUSED(".target sm_90\n", kFormat, "begins with .version");
  REFUSED(".version 8.3\n.entry x()", kFormat, ".target is expected");
  REFUSED(".version 8.3\n.target", kFormat, "the target is missing");
  REFUSED(kPtx + "}", kFormat, "a brace is closed");
  REFUSED(kPtx + "{ { }", kFormat, "a brace is opened");
  REFUSED(kPtx + "/* *", kFormat, "a comment does not end");
  REFUSED(kPtx + "\"text\n\"", kFormat, "a text does not end");
  REFUSED(kPtx + '\0' + ".entry y()", kFormat, "this is no text");
  REFUSED(kPtx + "\x80", kFormat, "this is no text");
  REFUSED(kPtx + ".version 8.3", kFormat, "a second .version");
  REFUSED(kPtx + ".entry (", kFormat, "a kernel has no name");
  REFUSED(kPtx + ".entry", kFormat, "a kernel has no name");
  REFUSED(kPtx + ".entry y(.param .u32 x", kFormat, "do not end");
  REFUSED(kPtx + ".entry y(.param .u32)", kFormat, "has no name");
  REFUSED(kPtx + ".entry y(.param x)", kFormat, "has no type");
  REFUSED(kPtx + ".entry y(.param .b8 x[1", kFormat, "the size of a parameter does not end");
  REFUSED(kPtx + ".entry y({", kFormat, "is something else");
  REFUSED(kPtx + std::string(70'000, 'x'), kFormat, "a word is too long");
  std::string many = kPtx + ".entry y(.param .u32 x";
  for (int i = 0; i < 5000; ++i) many += ",.param .u32 x";
  REFUSED(many + ")", kFormat, "too many parameters");
}

BOOST_AUTO_TEST_CASE(are_only_so_long) {
  fixture::Folder folder;
  const auto file = folder.write("long.ptx", kPtx);
  std::filesystem::resize_file(file, (std::uint64_t{1} << 30) + 1);
  const auto refusal = fixture::refusal_of([&] { read_metadata(file); });
  BOOST_TEST(refusal.says("a program of 1073741825 bytes is not read"), refusal.what);
  // Version and target are words.
  const Metadata metadata = fixture::read(
      ".version " + std::string(5000, '1') + "\n.target " + std::string(5000, 's') + "\n", kFormat);
  BOOST_TEST(metadata.format_version.size() == 4096u);
  BOOST_TEST(metadata.architecture.size() == 4096u);
}

// Whether a file is PTX shows at its beginning, or only its name tells.
BOOST_AUTO_TEST_CASE(are_not_searched_for_their_beginning) {
  auto is = [](const std::string& bytes) {
    formats::Budget budget;
    formats::Source source("m", std::as_bytes(std::span<const char>(bytes)), budget);
    return formats::is_ptx(source);
  };
  BOOST_TEST(is("/*" + std::string(60'000, ' ') + "*/" + kPtx));
  const std::string late = "/*" + std::string(70'000, ' ') + "*/" + kPtx;
  BOOST_TEST(!is(late));
  BOOST_TEST(fixture::read(late, kFormat).entry_points.size() == 3u);
}

// As LLVM writes it.
BOOST_AUTO_TEST_CASE(of_clang_are_read) {
  fixture::Folder folder;
  const auto source =
      folder.write("k.cl",
                   "kernel void add(global float* a, int n, float8 v) { a[n] += v.s0; }\n"
                   "kernel void other(void) {}\n");
  const auto ptx = folder.path / "k.ptx";
  const std::string command =
      "clang -x cl --target=nvptx64-nvidia-cuda -Xclang -finclude-default-header -S -O1 -o '" +
      ptx.string() + "' '" + source.string() + "' 2>/dev/null";
  if (std::system(command.c_str()) != 0)
    SKIP("no clang that compiles for NVIDIA's GPUs");  // NOLINT
  const Metadata metadata = read_metadata(ptx);
  BOOST_TEST((metadata.format == kFormat));
  BOOST_TEST(metadata.architecture.starts_with("sm_"));
  BOOST_REQUIRE(metadata.entry_points.size() == 2u);
  BOOST_TEST(metadata.entry_points[0].name == "add");
  BOOST_REQUIRE(metadata.entry_points[0].parameters.size() == 3u);
  BOOST_TEST(metadata.entry_points[0].parameters[0] == "u64 add_param_0");
  BOOST_TEST(metadata.entry_points[0].parameters[1] == "u32 add_param_1");
  BOOST_TEST(metadata.entry_points[0].parameters[2] == "b8[32] add_param_2");
  BOOST_TEST(metadata.entry_points[1].parameters.empty());
}

BOOST_AUTO_TEST_CASE(and_others_are_told_by_their_contents) {
  fixture::Folder folder;
  BOOST_TEST((read_metadata(folder.write("a", kPtx)).format == ModelFormat::ptx));
  BOOST_TEST((read_metadata(folder.write("b", Cubin().bytes())).format == ModelFormat::cubin));
  BOOST_TEST((read_metadata(folder.write("c", xclbin({}))).format == ModelFormat::xclbin));
  BOOST_TEST((read_metadata(folder.write("a.ptx", kPtx)).format == ModelFormat::ptx));
  BOOST_TEST(
      (read_metadata(folder.write("b.cubin", Cubin().bytes())).format == ModelFormat::cubin));
  BOOST_TEST((read_metadata(folder.write("c.xclbin", xclbin({}))).format == ModelFormat::xclbin));
  for (ModelFormat format : {ModelFormat::ptx, ModelFormat::cubin, ModelFormat::xclbin})
    BOOST_TEST(read_metadata(folder.path / (format == ModelFormat::ptx     ? "a"
                                            : format == ModelFormat::cubin ? "b"
                                                                           : "c"))
                   .to_json()
                   .find("\"" + to_string(format) + "\"") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
