// SPDX-License-Identifier: MIT
//
// Metadata of files of 2 GiB: headers as real models have them, and of the weights a hole of that
// size, since they are not read. The files are in the cache, as after they were downloaded or
// copied.
#include <aiaccel/metadata.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "bench/measure.hpp"

namespace {

constexpr std::uint64_t kSize = std::uint64_t{2} << 30;
constexpr int kRounds = 15;
constexpr int kLayers = 32;
constexpr int kTokens = 128256;  // a large vocabulary, which GGUF has in its header
constexpr double kGoalMs = 20;

template <typename T>
std::string number(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  return bytes;
}

// Names of the tensors of a transformer of 32 layers: 291.
std::vector<std::string> names() {
  std::vector<std::string> names = {"model.embed_tokens.weight", "model.norm.weight",
                                    "lm_head.weight"};
  for (int layer = 0; layer < kLayers; ++layer)
    for (const char* part : {"input_layernorm", "mlp.down_proj", "mlp.gate_proj", "mlp.up_proj",
                             "post_attention_layernorm", "self_attn.k_proj", "self_attn.o_proj",
                             "self_attn.q_proj", "self_attn.v_proj"})
      names.push_back("model.layers." + std::to_string(layer) + "." + part + ".weight");
  return names;
}

// Rows of 1024 float16, as many for each tensor as the file has room for.
constexpr std::uint64_t kRow = 2048;

std::string safetensors_header() {
  const std::vector<std::string> all = names();
  // All but the last, which takes the rest, are as long as each other.
  const std::uint64_t length = 65536, data = kSize - 8 - length;
  const std::uint64_t each = data / all.size() / kRow * kRow;
  std::string header = R"({"__metadata__":{"format":"pt"})";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::uint64_t begin = i * each;
    const std::uint64_t end = i + 1 < all.size() ? begin + each : data;
    const std::string shape = i + 1 < all.size() ? std::to_string(each / kRow) + ",1024"
                                                 : std::to_string((end - begin) / 2);
    header += ",\"" + all[i] + R"(":{"dtype":"BF16","shape":[)" + shape + R"(],"data_offsets":[)" +
              std::to_string(begin) + "," + std::to_string(end) + "]}";
  }
  header += "}";
  header.resize(length, ' ');
  return number<std::uint64_t>(length) + header;
}

std::string text(const std::string& value) {
  return number<std::uint64_t>(value.size()) + value;
}

std::string gguf_header() {
  const std::vector<std::string> all = names();
  std::string tokens = number<std::uint32_t>(8) + number<std::uint64_t>(kTokens);
  std::string types = number<std::uint32_t>(5) + number<std::uint64_t>(kTokens);
  std::string merges = number<std::uint32_t>(8) + number<std::uint64_t>(2 * kTokens);
  for (int i = 0; i < kTokens; ++i) {
    tokens += text("token" + std::to_string(i));
    types += number<std::int32_t>(1);
    for (int j = 0; j < 2; ++j) merges += text("tok " + std::to_string(i));
  }
  std::string header = "GGUF" + number<std::uint32_t>(3) + number<std::uint64_t>(all.size()) +
                       number<std::uint64_t>(5);
  header += text("general.architecture") + number<std::uint32_t>(8) + text("llama");
  header += text("llama.context_length") + number<std::uint32_t>(4) + number<std::uint32_t>(8192);
  header += text("tokenizer.ggml.tokens") + number<std::uint32_t>(9) + tokens;
  header += text("tokenizer.ggml.token_type") + number<std::uint32_t>(9) + types;
  header += text("tokenizer.ggml.merges") + number<std::uint32_t>(9) + merges;
  const std::uint64_t each = (kSize - header.size() - 65536) / all.size() / kRow * kRow;
  for (std::size_t i = 0; i < all.size(); ++i)
    header += text(all[i]) + number<std::uint32_t>(2) + number<std::uint64_t>(1024) +
              number<std::uint64_t>(each / kRow) + number<std::uint32_t>(1) +
              number<std::uint64_t>(i * each);
  return header;
}

void measure(const char* name, const std::filesystem::path& file, const std::string& header) {
  std::ofstream(file, std::ios::binary) << header;
  std::filesystem::resize_file(file, kSize);
  const std::size_t tensors = names().size();
  bench::Row row{.name = name,
                 .ours = {},
                 .peer = {},
                 .peer_name = {},
                 .unit = "ms",
                 .better = bench::Better::lower,
                 .goal = kGoalMs};
  for (int round = -1; round < kRounds; ++round) {
    const double sample =
        bench::mean_us(1,
                       [&] {
                         const aiaccel::Metadata metadata = aiaccel::read_metadata(file);
                         if (metadata.tensors.size() != tensors || metadata.size_bytes != kSize)
                           throw std::runtime_error("the metadata is not the file's");
                       }) /
        1000;
    if (round >= 0) row.ours.push_back(sample);
  }
  bench::print(row);
}

}  // namespace

int main() {
  return bench::run([] {
    char folder[] = "/var/tmp/aiaccel-bench-XXXXXX";
    bench::check(::mkdtemp(folder), folder);
    struct Gone {
      std::filesystem::path path;
      ~Gone() { std::filesystem::remove_all(path); }
    } const place{folder};
    measure("models/metadata 2 GiB safetensors, its weights a hole", place.path / "m.safetensors",
            safetensors_header());
    measure("models/metadata 2 GiB GGUF, its weights a hole", place.path / "m.gguf", gguf_header());
  });
}
