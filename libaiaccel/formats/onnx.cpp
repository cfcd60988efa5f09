// SPDX-License-Identifier: MIT
//
// ONNX: a protobuf message with a graph of nodes, and weights in the same file or in others beside
// it.
//
// Everything is walked in place; of the weights only what stands before them. Graphs nest inside
// nodes (If, Loop), types inside types, and both may do so only so deep. A number or text that is
// there twice counts as protobuf has it: the last one. Of two messages where one belongs protobuf
// makes one, other readers take the last, and here they are refused.

#include <limits>

#include "formats/elements.h"
#include "formats/onnx_fields.h"
#include "formats/reader.h"
#include "formats/wire.h"

namespace aiaccel::formats {
namespace {

using namespace onnx_fields;

constexpr unsigned kDeepest = 32;
constexpr std::size_t kMostDimensions = 1024;
constexpr std::uint64_t kMostVarint = 10;  // bytes
// ONNX's own, which mostly is not written.
constexpr std::string_view kOwnDomain = "ai.onnx";

class Onnx {
 public:
  Onnx(Source& source, Companions& companions, Metadata& metadata)
      : source_(source),
        companions_(companions),
        metadata_(metadata),
        opset_domains_(source),
        property_keys_(source) {}

  void read() {
    bool has_graph = false, has_version = false;
    each({0, source_.size()}, [&](const Field& field) {
      switch (field.number) {
        case model::ir_version:
          metadata_.format_version = std::to_string(static_cast<std::int64_t>(number(field)));
          has_version = true;
          break;
        case model::producer:
          metadata_.producer = text(field);
          break;
        case model::producer_version:
          metadata_.producer_version = text(field);
          break;
        case model::domain:
          property(field, "domain", text(field));
          break;
        case model::version:
          property(field, "model_version",
                   std::to_string(static_cast<std::int64_t>(number(field))));
          break;
        case model::graph:
          once(field, has_graph, "graph");
          read_graph(message(field), "", 0);
          break;
        case model::opset:
          read_opset(message(field));
          break;
        case model::property:
          read_property(field);
          break;
        case model::function:
          read_function(message(field));
          break;
      }
    });
    if (!has_version) source_.refuse(0, "this is no ONNX model: it has no IR version");
    if (!has_graph) source_.refuse(source_.size(), "the model has no graph");
  }

 private:
  template <typename Use>
  void each(Slice slice, Use use) {
    Message message(source_, slice);
    for (Field field; message.next(field);) use(field);
  }

  std::uint64_t number(const Field& field) {
    if (field.wire != Field::varint) source_.refuse(field.at, "a number is expected here");
    return field.value;
  }
  Slice message(const Field& field) {
    if (field.wire != Field::bytes) source_.refuse(field.at, "a message or text is expected here");
    return field.slice;
  }
  std::string text(const Field& field) { return text(message(field)); }
  std::string text(Slice slice) { return source_.text(slice.begin, slice.size()); }

  void once(const Field& field, bool& seen, const char* what) {
    if (seen) source_.refuse(field.at, "there is a second " + std::string(what));
    seen = true;
  }

  void property(const Field& field, std::string key, std::string value) {
    source_.pay(field.at, sizeof(metadata_.properties[0]));
    add_property(metadata_, std::move(key), std::move(value));
  }

  void read_property(const Field& field) {
    Slice key, value;
    key_and_value(message(field), key, value);
    std::string name = text(key);
    if (!property_keys_.add(field.at, name))
      source_.refuse(field.at, "the property " + in_quotes(name) + " is there twice");
    property(field, std::move(name), text(value));
  }

  void key_and_value(Slice slice, Slice& key, Slice& value) {
    each(slice, [&](const Field& field) {
      if (field.number == entry::key) key = message(field);
      if (field.number == entry::value) value = message(field);
    });
  }

  void read_opset(Slice slice) {
    OpsetVersion opset;
    source_.pay(slice.begin, sizeof opset);
    each(slice, [&](const Field& field) {
      if (field.number == opset::domain) opset.domain = text(field);
      if (field.number == opset::version) opset.version = static_cast<std::int64_t>(number(field));
    });
    if (opset.domain == kOwnDomain) opset.domain.clear();
    if (!opset_domains_.add(slice.begin, opset.domain))
      source_.refuse(slice.begin, "the opset of " + in_quotes(opset.domain) + " is there twice");
    metadata_.opsets.push_back(std::move(opset));
  }

  void read_graph(Slice slice, const std::string& scope, unsigned depth) {
    if (depth == kDeepest) source_.refuse(slice.begin, "graphs are nested too deeply");
    Names initialized(source_);
    auto initializes = [&](const Field& field) {
      const std::string& is = metadata_.tensors.back().name;
      if (!is.empty() && !initialized.add(field.at, is))
        source_.refuse(field.at, "the initializer " + in_quotes(is) + " is there twice");
    };
    std::size_t nodes = 0;
    Slice name;
    each(slice, [&](const Field& field) {
      switch (field.number) {
        case graph::node:
          read_node(message(field), scope, nodes++, depth);
          break;
        case graph::name:
          name = message(field);
          break;
        case graph::initializer:
          read_tensor(message(field), scope, {});
          initializes(field);
          break;
        case graph::sparse:
          read_sparse(message(field), scope, {});
          initializes(field);
          break;
        case graph::input:
          if (depth == 0) metadata_.inputs.push_back(read_value(message(field)));
          break;
        case graph::output:
          if (depth == 0) metadata_.outputs.push_back(read_value(message(field)));
          break;
      }
    });
    if (depth != 0) return;
    metadata_.name = text(name);
    // Up to IR version 3, every initializer was listed as an input as well; it is none that one
    // has to give.
    std::erase_if(metadata_.inputs,
                  [&](const ValueInfo& input) { return initialized.has(input.name); });
  }

  void read_function(Slice slice) {
    Slice name, domain;
    each(slice, [&](const Field& field) {
      if (field.number == function::name) name = message(field);
      if (field.number == function::domain) domain = message(field);
    });
    const std::string scope = operator_name(text(domain), text(name));
    std::size_t nodes = 0;
    each(slice, [&](const Field& field) {
      if (field.number == function::node) read_node(message(field), scope, nodes++, 1);
      // What an attribute is where a node does not say; what it holds is called as it.
      if (field.number == function::defaults)
        read_attribute(message(field), scope, scope, attribute_name(message(field)), 1);
    });
  }

  std::string attribute_name(Slice slice) {
    Slice name;
    each(slice, [&](const Field& field) {
      if (field.number == attribute::name) name = message(field);
    });
    return text(name);
  }

  static std::string operator_name(const std::string& domain, const std::string& op) {
    return domain.empty() || domain == kOwnDomain ? op : domain + "::" + op;
  }

  void read_node(Slice slice, const std::string& scope, std::size_t index, unsigned depth) {
    NodeRecord record;
    Slice name, op, domain;
    bool has_attributes = false;
    source_.pay(slice.begin, sizeof record + scope.size());
    each(slice, [&](const Field& field) {
      switch (field.number) {
        case node::input:
        case node::output:
          source_.pay(field.at, sizeof(std::string));
          (field.number == node::input ? record.inputs : record.outputs).push_back(text(field));
          break;
        case node::name:
          name = message(field);
          break;
        case node::op:
          op = message(field);
          break;
        case node::domain:
          domain = message(field);
          break;
        case node::attribute:
          has_attributes = true;
          break;
      }
    });
    record.name = text(name);
    record.scope = scope;
    record.op = operator_name(text(domain), text(op));
    if (record.op.empty()) source_.refuse(slice.begin, "a node has no operator");
    auto count = metadata_.operators.find(record.op);
    if (count == metadata_.operators.end()) {
      source_.pay(slice.begin, Names::kEach + record.op.size());
      count = metadata_.operators.emplace(record.op, 0).first;
    }
    count->second++;
    if (has_attributes) {
      const std::string inner = (scope.empty() ? "" : scope + "/") +
                                (record.name.empty() ? "#" + std::to_string(index) : record.name);
      // What a Constant holds is called as its output.
      const std::string held = record.outputs.empty() ? record.name : record.outputs.front();
      each(slice, [&](const Field& field) {
        if (field.number == node::attribute)
          read_attribute(message(field), scope, inner, held, depth);
      });
    }
    metadata_.nodes.push_back(std::move(record));
  }

  void read_attribute(Slice slice, const std::string& scope, const std::string& inner,
                      const std::string& held, unsigned depth) {
    Slice name;
    bool nested = false;
    each(slice, [&](const Field& field) {
      if (field.number == attribute::name) name = message(field);
      nested |= field.number == attribute::graph || field.number == attribute::graphs;
    });
    std::string below;
    if (nested) {
      source_.pay(slice.begin, inner.size());
      below = inner + "/" + text(name);
    }
    bool has_tensor = false, has_sparse = false, has_graph = false;
    each(slice, [&](const Field& field) {
      switch (field.number) {
        case attribute::tensor:
          once(field, has_tensor, "tensor in an attribute of one");
          [[fallthrough]];
        case attribute::tensors:
          read_tensor(message(field), scope, held);
          break;
        case attribute::sparse:
          once(field, has_sparse, "sparse tensor in an attribute of one");
          [[fallthrough]];
        case attribute::sparses:
          read_sparse(message(field), scope, held);
          break;
        case attribute::graph:
          once(field, has_graph, "graph in an attribute of one");
          [[fallthrough]];
        case attribute::graphs:
          read_graph(message(field), below, depth + 1);
          break;
      }
    });
  }

  // One dimension or several: writers pack them or not.
  void add_dimensions(const Field& field, Shape& shape) {
    auto add = [&](std::uint64_t value) {
      if (shape.size() == kMostDimensions)
        source_.refuse(field.at, "the shape has too many dimensions");
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        source_.refuse(field.at, "a dimension of weights is negative");
      shape.push_back(static_cast<std::int64_t>(value));
    };
    if (field.wire == Field::varint) return add(field.value);
    Message packed(source_, message(field));
    for (std::uint64_t value; packed.next_packed(value);) add(value);
  }

  // How many there are. Varints that are packed are weights and not read; only the bytes are known.
  struct Numbers {
    std::uint64_t least = 0, most = 0;
  };

  struct Stored {
    std::uint64_t raw_bytes = 0, strings = 0, string_bytes = 0;
    Numbers floats, doubles, int32s, int64s, uint64s;
    std::optional<std::uint64_t> raw_at;
    bool external = false;
    std::vector<Slice> where;  // entries of external data

    std::uint64_t numbers() const {
      return floats.most + doubles.most + int32s.most + int64s.most + uint64s.most;
    }
  };

  // One number or several: writers pack them or not. `bytes` of each, 0 for varints.
  void add_numbers(const Field& field, std::uint64_t bytes, Numbers& numbers) {
    if (field.wire == Field::bytes) {
      const std::uint64_t size = field.slice.size();
      if (bytes && size % bytes) source_.refuse(field.at, "a list of numbers ends inside of one");
      numbers.least += bytes ? size / bytes : (size + kMostVarint - 1) / kMostVarint;
      numbers.most += bytes ? size / bytes : size;
      return;
    }
    if (field.wire != (bytes == 4 ? Field::fixed32 : bytes == 8 ? Field::fixed64 : Field::varint))
      source_.refuse(field.at, "a number is expected here");
    numbers.least++;
    numbers.most++;
  }

  // `fallback` names what has no name of its own.
  TensorRecord tensor_at(Slice slice, const std::string& fallback) {
    TensorRecord record;
    Stored stored;
    std::uint64_t data_type = 0;
    Slice name;
    each(slice, [&](const Field& field) {
      switch (field.number) {
        case tensor::dims:
          add_dimensions(field, record.shape);
          break;
        case tensor::type:
          data_type = number(field);
          break;
        case tensor::segment:
          source_.refuse(field.at, "a tensor in segments is not read", EOPNOTSUPP);
        case tensor::floats:
          add_numbers(field, 4, stored.floats);
          break;
        case tensor::doubles:
          add_numbers(field, 8, stored.doubles);
          break;
        case tensor::int32s:
          add_numbers(field, 0, stored.int32s);
          break;
        case tensor::int64s:
          add_numbers(field, 0, stored.int64s);
          break;
        case tensor::uint64s:
          add_numbers(field, 0, stored.uint64s);
          break;
        case tensor::strings:
          stored.strings++;
          stored.string_bytes += message(field).size();
          break;
        case tensor::name:
          name = message(field);
          break;
        case tensor::raw:
          stored.raw_at = message(field).begin;
          stored.raw_bytes = field.slice.size();
          break;
        case tensor::external:
          source_.pay(field.at, sizeof(Slice));
          stored.where.push_back(message(field));
          break;
        case tensor::location:
          // Protobuf keeps the lower 32 bits: what is something else here is elsewhere there.
          if (number(field) > 1)
            source_.refuse(field.at,
                           "there is no location " + std::to_string(number(field)) + " of weights");
          stored.external = number(field) == 1;
          break;
      }
    });
    if (name.size()) {
      record.name = text(name);
    } else {
      source_.pay(slice.begin, fallback.size());
      record.name = fallback;
    }
    const Element element = onnx_element(data_type);
    if (element.name.empty())
      source_.refuse(slice.begin,
                     "the tensor " + in_quotes(record.name) + " has elements of type " +
                         std::to_string(data_type) + ", which is not known",
                     data_type ? EOPNOTSUPP : EBADMSG);
    record.type = element.name;
    const Extent wanted =
        extent(source_, slice.begin, record.shape, 1, element.bits, element.bits < 8);
    record.elements = wanted.elements;
    record.bytes = element.bits ? wanted.bytes : stored.string_bytes;
    if (stored.external)
      find_external(slice, stored, record);
    else
      check_stored(slice, stored, data_type, element, record);
    return record;
  }

  // The list that numbers of a type are in.
  static const Numbers& numbers_of(const Stored& stored, std::uint64_t data_type) {
    switch (data_type) {
      case data_type::float32:
      case data_type::complex64:
        return stored.floats;
      case data_type::float64:
      case data_type::complex128:
        return stored.doubles;
      case data_type::int64:
        return stored.int64s;
      case data_type::uint32:
      case data_type::uint64:
        return stored.uint64s;
      default:
        return stored.int32s;
    }
  }

  // What is in the file is as much as type and shape ask for, and there once.
  void check_stored(Slice slice, const Stored& stored, std::uint64_t data_type,
                    const Element& element, TensorRecord& record) {
    const std::string name = "the tensor " + in_quotes(record.name);
    if (!stored.where.empty())
      source_.refuse(stored.where.front().begin,
                     name + " is in the file, and says where else it is");
    const Numbers& numbers = numbers_of(stored, data_type);
    if ((stored.raw_at != std::nullopt) + (stored.numbers() != 0) + (stored.strings != 0) > 1 ||
        stored.numbers() != numbers.most)
      source_.refuse(slice.begin, name + " has weights of two kinds");
    if (!element.bits) {
      if (stored.strings != record.elements || stored.raw_at || stored.numbers())
        source_.refuse(slice.begin, name + " has " + std::to_string(stored.strings) +
                                        " texts, and its shape asks for " +
                                        std::to_string(record.elements));
    } else if (stored.strings) {
      source_.refuse(slice.begin, name + " has texts, and its type is another");
    } else if (stored.raw_at) {
      if (stored.raw_bytes != record.bytes)
        source_.refuse(slice.begin, name + " has " + std::to_string(stored.raw_bytes) +
                                        " bytes, and type and shape ask for " +
                                        std::to_string(record.bytes));
      record.offset = stored.raw_at;
    } else {
      // Complex numbers are two; types of less than a byte are packed before they are stored.
      const bool complex = data_type == data_type::complex64 || data_type == data_type::complex128;
      const std::uint64_t wanted = element.bits < 8 ? record.bytes
                                   : complex        ? 2 * record.elements
                                                    : record.elements;
      if (wanted < numbers.least || wanted > numbers.most)
        source_.refuse(
            slice.begin,
            name + " has " + std::to_string(numbers.least) +
                (numbers.least == numbers.most ? "" : " to " + std::to_string(numbers.most)) +
                " numbers, and type and shape ask for " + std::to_string(wanted));
    }
  }

  std::uint64_t decimal(Slice slice, const char* what) {
    const std::string digits = slice.size() <= 20 ? text(slice) : "";
    std::uint64_t value = 0;
    bool good = !digits.empty();
    for (char c : digits)
      good &= c >= '0' && c <= '9' && !__builtin_mul_overflow(value, std::uint64_t{10}, &value) &&
              !__builtin_add_overflow(value, static_cast<std::uint64_t>(c - '0'), &value);
    if (!good)
      source_.refuse(slice.begin, std::string("the ") + what + " of external data is no number");
    return value;
  }

  void find_external(Slice slice, const Stored& stored, TensorRecord& record) {
    std::optional<Slice> location, offset, length;
    for (Slice where : stored.where) {
      Slice key, value;
      key_and_value(where, key, value);
      if (key.size() > 16) continue;
      const std::string is = text(key);
      std::optional<Slice>* to = is == "location" ? &location
                                 : is == "offset" ? &offset
                                 : is == "length" ? &length
                                                  : nullptr;
      if (!to) continue;
      if (*to) source_.refuse(where.begin, "the " + is + " of external data is there twice");
      *to = value;
    }
    if (!location)
      source_.refuse(slice.begin,
                     "the external data of " + in_quotes(record.name) + " has no location");
    if (stored.raw_bytes || stored.numbers() || stored.strings)
      source_.refuse(slice.begin, "the tensor " + in_quotes(record.name) +
                                      " is elsewhere, and in the file as well");
    if (record.type == "string")
      source_.refuse(slice.begin, "texts are no external data", EOPNOTSUPP);
    record.file = text(*location);
    record.offset = offset ? decimal(*offset, "offset") : 0;
    const std::uint64_t has = length ? decimal(*length, "length") : record.bytes;
    if (has != record.bytes)
      source_.refuse(length->begin, "the external data of " + in_quotes(record.name) + " has " +
                                        std::to_string(has) +
                                        " bytes, and type and shape ask for " +
                                        std::to_string(record.bytes));
    const auto size = companions_.size_of(source_, location->begin, record.file, metadata_);
    if (size && (*record.offset > *size || has > *size - *record.offset))
      source_.refuse(location->begin,
                     "the external data of " + in_quotes(record.name) + ", " + std::to_string(has) +
                         " bytes at " + std::to_string(*record.offset) + ", ends behind " +
                         in_quotes(record.file) + ", which has " + std::to_string(*size));
  }

  void read_tensor(Slice slice, const std::string& scope, const std::string& fallback) {
    TensorRecord record = tensor_at(slice, fallback);
    record.scope = scope;
    add_tensor(source_, slice.begin, metadata_, std::move(record));
  }

  // Counted by the values that are there, not by the shape they are spread over.
  void read_sparse(Slice slice, const std::string& scope, const std::string& fallback) {
    TensorRecord record;
    Shape shape;
    std::uint64_t index_bytes = 0;
    bool has_values = false, has_indices = false;
    each(slice, [&](const Field& field) {
      switch (field.number) {
        case sparse::values:
          once(field, has_values, "list of values in a sparse tensor");
          record = tensor_at(message(field), fallback);
          break;
        case sparse::indices:
          once(field, has_indices, "list of indices in a sparse tensor");
          index_bytes = tensor_at(message(field), {}).bytes;
          break;
        case sparse::dims:
          add_dimensions(field, shape);
          break;
      }
    });
    if (!has_values) source_.refuse(slice.begin, "a sparse tensor has no values");
    extent(source_, slice.begin, shape, 1, 8);  // refuses what wraps
    record.type = "sparse(" + record.type + ")";
    record.shape = std::move(shape);
    record.scope = scope;
    record.offset.reset();
    if (__builtin_add_overflow(record.bytes, index_bytes, &record.bytes))
      source_.refuse(slice.begin, "the tensor is larger than any file");
    add_tensor(source_, slice.begin, metadata_, std::move(record));
  }

  ValueInfo read_value(Slice slice) {
    ValueInfo info;
    Slice name;
    bool has_type = false;
    source_.pay(slice.begin, sizeof info);
    each(slice, [&](const Field& field) {
      if (field.number == value::name) name = message(field);
      if (field.number != value::type) return;
      once(field, has_type, "type of an input or output");
      info.type = type_text(message(field), &info, 0);
      source_.pay(field.at, info.type.size());
    });
    info.name = text(name);
    return info;
  }

  // "sequence(float32)"; the shape of a plain tensor goes to `info`.
  std::string type_text(Slice slice, ValueInfo* info, unsigned depth) {
    if (depth == kDeepest) source_.refuse(slice.begin, "types are nested too deeply");
    std::string name;
    bool has_kind = false;
    each(slice, [&](const Field& field) {
      switch (field.number) {
        case type::tensor:
        case type::sparse:
        case type::sequence:
        case type::optional:
        case type::map:
        case type::opaque:
          once(field, has_kind, "kind of a type");
          name = kind_text(field, info, depth);
          break;
      }
    });
    return name;
  }

  std::string kind_text(const Field& field, ValueInfo* info, unsigned depth) {
    switch (field.number) {
      case type::tensor:
        return tensor_type_text(message(field), info);
      case type::sparse:
        return "sparse(" + tensor_type_text(message(field), info) + ")";
      case type::sequence:
        return "sequence(" + element_text(message(field), depth) + ")";
      case type::optional:
        return "optional(" + element_text(message(field), depth) + ")";
      case type::map:
        return map_text(message(field), depth);
      default:
        return "opaque";
    }
  }

  std::string element_name(const Field& field) {
    const std::uint64_t data_type = number(field);
    const Element element = onnx_element(data_type);
    if (!data_type) return "undefined";
    if (element.name.empty())
      source_.refuse(field.at, "the element type " + std::to_string(data_type) + " is not known",
                     EOPNOTSUPP);
    return std::string(element.name);
  }

  std::string tensor_type_text(Slice slice, ValueInfo* info) {
    std::string name = "undefined";
    bool has_shape = false;
    each(slice, [&](const Field& field) {
      if (field.number == tensor_type::element) name = element_name(field);
      if (field.number != tensor_type::shape) return;
      once(field, has_shape, "shape of a type");
      if (info) read_shape(message(field), *info);
    });
    return name;
  }

  std::string element_text(Slice slice, unsigned depth) {
    std::string name;
    bool has_type = false;
    each(slice, [&](const Field& field) {
      if (field.number != 1) return;
      once(field, has_type, "type of elements");
      name = type_text(message(field), nullptr, depth + 1);
    });
    return name;
  }

  std::string map_text(Slice slice, unsigned depth) {
    std::string key = "undefined", value;
    bool has_value = false;
    each(slice, [&](const Field& field) {
      if (field.number == map_type::key) key = element_name(field);
      if (field.number != map_type::value) return;
      once(field, has_value, "type of values");
      value = type_text(message(field), nullptr, depth + 1);
    });
    return "map(" + key + ", " + value + ")";
  }

  void read_shape(Slice slice, ValueInfo& info) {
    info.ranked = true;
    each(slice, [&](const Field& field) {
      if (field.number != shape::dimension) return;
      if (info.shape.size() == kMostDimensions)
        source_.refuse(field.at, "the shape has too many dimensions");
      std::int64_t value = -1;
      std::string symbol;
      each(message(field), [&](const Field& part) {
        if (part.number == dimension::value) {
          value = static_cast<std::int64_t>(number(part));
          // Some exporters write free dimensions so.
          if (value < 0) value = -1;
          symbol.clear();
        } else if (part.number == dimension::symbol) {
          symbol = text(part);
          value = -1;
        }
      });
      source_.pay(field.at, sizeof(std::int64_t) + sizeof(std::string));
      info.shape.push_back(value);
      info.symbols.push_back(std::move(symbol));
    });
  }

  Source& source_;
  Companions& companions_;
  Metadata& metadata_;
  Names opset_domains_, property_keys_;
};

}  // namespace

void read_onnx(Source& source, Companions& companions, Metadata& metadata) {
  Onnx(source, companions, metadata).read();
}

}  // namespace aiaccel::formats
