// SPDX-License-Identifier: MIT
//
// aiaccel.json, written and read.

#include "registry/record.h"

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

namespace aiaccel::registry {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr int kSchema = 1;

std::string text_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? std::string() : found->get<std::string>();
}

// Json would convert what is negative, too large or a fraction.
std::uint64_t count_of(const Json& json, const std::string& key) {
  if (!json.is_number_unsigned())
    throw Error(EBADMSG, std::string(kRecord) + ": '" + key + "' is no count");
  return json.get<std::uint64_t>();
}

std::int64_t integer_of(const Json& json, const std::string& key) {
  if (!json.is_number_integer() ||
      (json.is_number_unsigned() &&
       json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())) {
    throw Error(EBADMSG, std::string(kRecord) + ": '" + key + "' is no whole number");
  }
  return json.get<std::int64_t>();
}

std::uint64_t number_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? 0 : count_of(*found, key);
}

const Json& list_at(const Json& json, const char* key) {
  static const Json none = Json::array();
  const auto found = json.find(key);
  if (found == json.end()) return none;
  if (!found->is_array()) throw Error(EBADMSG, std::string(kRecord) + ": '" + key + "' is no list");
  return *found;
}

void read_shape(const Json& json, Shape& shape, std::vector<std::string>* symbols) {
  for (const Json& dimension : json) {
    const bool fixed = dimension.is_number();
    shape.push_back(fixed ? integer_of(dimension, "shape") : -1);
    if (symbols != nullptr)
      symbols->push_back(dimension.is_string() ? dimension.get<std::string>() : "");
  }
}

std::vector<ValueInfo> read_values(const Json& json) {
  std::vector<ValueInfo> values;
  for (const Json& each : json) {
    ValueInfo value;
    value.name = text_at(each, "name");
    value.type = text_at(each, "type");
    const auto shape = each.find("shape");
    value.ranked = shape != each.end() && shape->is_array();
    if (value.ranked) read_shape(*shape, value.shape, &value.symbols);
    values.push_back(std::move(value));
  }
  return values;
}

TensorRecord read_tensor(const Json& json) {
  TensorRecord tensor;
  tensor.name = text_at(json, "name");
  tensor.scope = text_at(json, "scope");
  tensor.type = text_at(json, "type");
  read_shape(list_at(json, "shape"), tensor.shape, nullptr);
  tensor.elements = 1;
  for (const std::int64_t dimension : tensor.shape) {
    if (dimension < 0 ||
        __builtin_mul_overflow(tensor.elements, static_cast<std::uint64_t>(dimension),
                               &tensor.elements)) {
      throw Error(EBADMSG, std::string(kRecord) + ": the shape of '" + tensor.name + "' is none");
    }
  }
  tensor.bytes = number_at(json, "bytes");
  tensor.file = text_at(json, "file");
  if (json.contains("offset")) tensor.offset = number_at(json, "offset");
  return tensor;
}

Metadata read_metadata_json(const Json& json) {
  Metadata metadata;
  const std::string format = text_at(json, "format");
  bool known = false;
  for (const ModelFormat each : {ModelFormat::onnx, ModelFormat::safetensors, ModelFormat::gguf,
                                 ModelFormat::xclbin, ModelFormat::ptx, ModelFormat::cubin}) {
    if (format == to_string(each)) metadata.format = each, known = true;
  }
  if (!known) throw Error(EBADMSG, std::string(kRecord) + ": there is no format '" + format + "'");
  metadata.format_version = text_at(json, "format_version");
  metadata.size_bytes = number_at(json, "size_bytes");
  metadata.name = text_at(json, "name");
  metadata.architecture = text_at(json, "architecture");
  metadata.producer = text_at(json, "producer");
  metadata.producer_version = text_at(json, "producer_version");
  metadata.licence = text_at(json, "licence");
  for (const Json& each : list_at(json, "opsets")) {
    metadata.opsets.push_back({text_at(each, "domain"), integer_of(each.at("version"), "version")});
  }
  metadata.inputs = read_values(list_at(json, "inputs"));
  metadata.outputs = read_values(list_at(json, "outputs"));
  metadata.parameters = number_at(json, "parameters");
  if (json.contains("operators")) {
    for (const auto& [name, count] : json.at("operators").items())
      metadata.operators[name] = count_of(count, "operators");
  }
  for (const Json& each : list_at(json, "entry_points")) {
    metadata.entry_points.push_back(
        {text_at(each, "name"), list_at(each, "parameters").get<std::vector<std::string>>()});
  }
  for (const Json& each : list_at(json, "files")) {
    metadata.files.push_back({text_at(each, "path"), number_at(each, "size_bytes")});
  }
  for (const Json& each : list_at(json, "properties")) {
    metadata.properties.emplace_back(text_at(each, "key"), text_at(each, "value"));
  }
  metadata.properties_left_out = number_at(json, "properties_left_out");
  for (const Json& each : list_at(json, "tensors")) metadata.tensors.push_back(read_tensor(each));
  for (const Json& each : list_at(json, "nodes")) {
    metadata.nodes.push_back({text_at(each, "name"), text_at(each, "scope"), text_at(each, "op"),
                              list_at(each, "inputs").get<std::vector<std::string>>(),
                              list_at(each, "outputs").get<std::vector<std::string>>()});
  }
  return metadata;
}

// Builds the value up to the key "metadata" of the outermost object, which is the last.
class Head : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  explicit Head(Json& into) : Base(into, true) {}

  bool start_object(std::size_t count) {
    if (++depth_ > kDeepest) throw Error(EBADMSG, std::string(kRecord) + " is nested too deeply");
    return Base::start_object(count);
  }
  bool end_object() {
    depth_--;
    return Base::end_object();
  }
  bool start_array(std::size_t count) {
    if (++depth_ > kDeepest) throw Error(EBADMSG, std::string(kRecord) + " is nested too deeply");
    return Base::start_array(count);
  }
  bool end_array() {
    depth_--;
    return Base::end_array();
  }
  bool key(Json::string_t& name) {
    if (depth_ == 1 && name == "metadata" && !whole) {
      stopped = true;
      return false;
    }
    return Base::key(name);
  }

  bool whole = false;
  bool stopped = false;

 private:
  static constexpr int kDeepest = 32;
  int depth_ = 0;
};

}  // namespace

std::string write_record(const ModelVersion& version) {
  Ordered json = {{"schema", kSchema},
                  {"name", version.name},
                  {"version", version.version},
                  {"main_file", version.main_file},
                  {"licence", version.licence},
                  {"parent", version.parent},
                  {"parent_commit", version.parent_commit},
                  {"training_run", version.training_run}};
  json["labels"] = Ordered::object();
  for (const auto& [key, value] : version.labels) json["labels"][key] = value;
  json["files"] = Ordered::array();
  for (const VersionFile& file : version.files) {
    json["files"].push_back({{"path", file.path},
                             {"sha256", file.sha256},
                             {"size_bytes", file.size_bytes},
                             {"weights", file.weights}});
  }
  json["metadata"] = version.metadata ? Ordered::parse(version.metadata->to_json(-1)) : Ordered();
  std::string text = json.dump(1, '\t', false, Ordered::error_handler_t::replace) + "\n";
  if (text.size() > kLongestRecord) {
    throw Error(E2BIG, "there is too much to say of " + version.name + ": its " +
                           std::string(kRecord) + " has more than " +
                           std::to_string(kLongestRecord) + " bytes");
  }
  return text;
}

void read_record(std::string_view text, bool metadata, ModelVersion& version) {
  try {
    Json json;
    Head head(json);
    head.whole = metadata;
    if (!Json::sax_parse(text.begin(), text.end(), &head) && !head.stopped) {
      throw Error(EBADMSG, std::string(kRecord) + " is no JSON");
    }
    if (!json.is_object()) throw Error(EBADMSG, std::string(kRecord) + " is no object");
    if (number_at(json, "schema") != kSchema) {
      throw Error(EBADMSG, std::string(kRecord) + " is of schema " +
                               std::to_string(number_at(json, "schema")) +
                               ", and this library reads " + std::to_string(kSchema));
    }
    version.name = text_at(json, "name");
    version.version = text_at(json, "version");
    version.main_file = text_at(json, "main_file");
    version.licence = text_at(json, "licence");
    version.parent = text_at(json, "parent");
    version.parent_commit = text_at(json, "parent_commit");
    version.training_run = text_at(json, "training_run");
    if (json.contains("labels"))
      version.labels = json.at("labels").get<std::map<std::string, std::string>>();
    for (const Json& each : list_at(json, "files")) {
      const auto weights = each.find("weights");
      version.files.push_back({text_at(each, "path"), text_at(each, "sha256"),
                               number_at(each, "size_bytes"),
                               weights != each.end() && weights->get<bool>()});
    }
    if (metadata && json.contains("metadata") && json.at("metadata").is_object()) {
      version.metadata = read_metadata_json(json.at("metadata"));
    }
  } catch (const Json::exception& error) {
    throw Error(EBADMSG, std::string(kRecord) + ": " + error.what());
  }
}

}  // namespace aiaccel::registry
