// SPDX-License-Identifier: MIT
//
// Metadata: what a model's file says of itself, read without reading its weights.
//
// A file may come from anybody. Whatever it holds, reading it ends with a Metadata or an exception,
// and takes bounded memory; a file that contradicts itself is refused, with the byte and the
// reason. The file may change meanwhile, or be cut short: it is never mapped, so that this gives an
// error and no signal.
//
// read_metadata() may be called from any number of threads at once; a Metadata is a plain value.
#ifndef AIACCEL_METADATA_HPP
#define AIACCEL_METADATA_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <aiaccel/error.hpp>
#include <aiaccel/tensor.hpp>

namespace aiaccel {

enum class ModelFormat { onnx, safetensors, gguf, xclbin, ptx, cubin };

// "onnx", "safetensors", ...
[[gnu::visibility("default")]] std::string to_string(ModelFormat format);

// The file is not what it should be (EBADMSG), or something that this library does not read
// (EOPNOTSUPP). what() begins with the file's name and the offset.
class FormatError : public Error {
 public:
  FormatError(int error, const std::string& what, std::uint64_t offset)
      : Error(error, what), offset_(offset) {}

  // Where in the file that what() names, which may be a shard of the one that was asked for: the
  // first byte of what is wrong, or just behind it.
  std::uint64_t offset() const noexcept { return offset_; }

 private:
  std::uint64_t offset_;
};

// An input or output.
struct ValueInfo {
  std::string name;
  std::string type;                  // "float32", "sequence(int64)"; "" where the file has none
  bool ranked = false;               // false: of any rank, and there is no shape
  Shape shape;                       // a negative dimension is free: any size fits
  std::vector<std::string> symbols;  // the names of free dimensions, "" where there is none

  bool operator==(const ValueInfo&) const = default;
};

// One tensor of weights.
struct TensorRecord {
  std::string name;
  // ONNX: the graph inside a node that it belongs to ("NODE/ATTRIBUTE", and so on inwards), or the
  // function ("DOMAIN::NAME"); "" for the model's own graph.
  std::string scope;
  std::string type;  // "float32", "q4_k": the format's own names where ElementType has none
  Shape shape;       // outermost dimension first, in every format
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  std::string file;                     // where its bytes are, "" for the file that was read
  std::optional<std::uint64_t> offset;  // of them in there; none where they lie in pieces

  bool operator==(const TensorRecord&) const = default;
};

// One node of an ONNX graph.
struct NodeRecord {
  std::string name;
  std::string scope;  // as of TensorRecord
  std::string op;     // "Conv", "com.microsoft::Gelu"
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;

  bool operator==(const NodeRecord&) const = default;
};

// A kernel: what a program for an accelerator can be asked to run.
struct EntryPoint {
  std::string name;
  std::vector<std::string> parameters;  // PTX: "u64 x", "b8[16] y"; others do not say

  bool operator==(const EntryPoint&) const = default;
};

struct OpsetVersion {
  std::string domain;  // "" is ONNX's own, however it is written
  std::int64_t version = 0;

  bool operator==(const OpsetVersion&) const = default;
};

struct ModelFile {
  std::string path;  // relative to the folder of the file that was read
  std::uint64_t size_bytes = 0;

  bool operator==(const ModelFile&) const = default;
};

struct Metadata {
  ModelFormat format = ModelFormat::onnx;
  std::string format_version;    // ONNX's IR version, GGUF's, PTX's
  std::uint64_t size_bytes = 0;  // of all files together
  std::string name;              // what the file calls its model
  std::string architecture;      // GGUF: "llama"; PTX and cubin: "sm_90"; xclbin: the platform
  std::string producer;
  std::string producer_version;
  std::string licence;
  std::vector<OpsetVersion> opsets;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::uint64_t parameters = 0;  // elements of all tensors
  std::vector<TensorRecord> tensors;
  std::map<std::string, std::uint64_t> operators;  // how many nodes of each
  std::vector<NodeRecord> nodes;
  std::vector<EntryPoint> entry_points;
  std::vector<ModelFile> files;  // the one that was read, then shards and external data
  // Whatever else the file says, as text; long values and what is past the first thousand are only
  // counted.
  std::vector<std::pair<std::string, std::string>> properties;
  std::uint64_t properties_left_out = 0;

  // One JSON object, keys in this order; `indent` below zero puts it on one line. Text that is no
  // UTF-8 is mended.
  [[gnu::visibility("default")]] std::string to_json(int indent = 2) const;

  bool operator==(const Metadata&) const = default;
};

struct MetadataOptions {
  // By default the names show the format, and where they do not, the contents.
  std::optional<ModelFormat> format{};
  // Shards and external data lie in the folder of the file that names them: no symbolic link leads
  // to them, and no second name exists for them. With `beneath`, a folder above that one, links are
  // followed as long as they do not leave `beneath`: a repository or cache that is trusted.
  std::filesystem::path beneath{};
};

// Reads the headers of a model's file: an ONNX model, a safetensors file, a
// `….safetensors.index.json` (or `….safetensors.index.VARIANT.json`) with its shards, a GGUF file;
// or a program for an accelerator, as xclbin, PTX or cubin. Throws FormatError, or Error with what
// the system says: ENOENT, EACCES, EINVAL for what is no regular file, EBUSY when one of the files
// changed while they were read; and std::bad_alloc where there is no memory.
[[gnu::visibility("default")]] Metadata read_metadata(const std::filesystem::path& file,
                                                      const MetadataOptions& options = {});

// The same of bytes in memory, which nobody may take away meanwhile. External data is listed and
// not looked for; an index of shards cannot be read.
[[gnu::visibility("default")]] Metadata read_metadata(std::span<const std::byte> bytes,
                                                      ModelFormat format);

}  // namespace aiaccel

#endif  // AIACCEL_METADATA_HPP
