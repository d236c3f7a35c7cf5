#include "runtime/run_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/data/data_readers.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/run_directory.h"

namespace smelt {
namespace {

using nlohmann::json;

constexpr int64_t kVersion = 1;
constexpr uint64_t kMaxRecordBytes = 16 << 20;
constexpr std::string_view kWithout = "remove this file to do without it: then give the flags of the run again";

json encode_source(const KnownSource& source) {
  json columns = json::array();
  for (const Column& column : source.columns)
    columns.push_back({{"dtype", to_string(column.dtype)}, {"shape", column.row_shape}});
  return {{"section", source.section},
          {"reader", source.reader},
          {"paths", source.paths},
          {"places", source.places},
          {"columns", columns}};
}

// Reads values of one kind each; the first that is another is the error.
class Reader {
 public:
  Reader(const json& object, std::string name) : object_(object), name_(std::move(name)) {}

  std::unexpected<Error> wrong(std::string_view key, std::string_view expected) const {
    return fail(ErrorKind::Input, fmt::format("{}: `{}` is not {}", printable(name_), key, expected),
                std::string(kWithout));
  }

  std::unexpected<Error> wrong_file() const {
    return fail(ErrorKind::Input, fmt::format("{}: it is no JSON object", printable(name_)), std::string(kWithout));
  }

  Result<void> text(const char* key, std::string& out) const {
    if (!object_.contains(key)) return {};
    if (!object_[key].is_string()) return wrong(key, "a text");
    out = object_[key].get<std::string>();
    return {};
  }

  Result<void> texts(const char* key, std::vector<std::string>& out) const {
    if (!object_.contains(key)) return {};
    if (!object_[key].is_array()) return wrong(key, "a list of texts");
    for (const json& entry : object_[key]) {
      if (!entry.is_string()) return wrong(key, "a list of texts");
      out.push_back(entry.get<std::string>());
    }
    return {};
  }

  Result<void> flag(const char* key, bool& out) const {
    if (!object_.contains(key)) return {};
    if (!object_[key].is_boolean()) return wrong(key, "true or false");
    out = object_[key].get<bool>();
    return {};
  }

  template <typename T>
  Result<void> count(const char* key, std::optional<T>& out, T least, T most) const {
    if (!object_.contains(key)) return {};
    const json& value = object_[key];
    const bool whole = value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(most);
    if (!whole || value.get<T>() < least) return wrong(key, fmt::format("a whole number from {} to {}", least, most));
    out = value.get<T>();
    return {};
  }

 private:
  const json& object_;
  std::string name_;
};

Result<KnownSource> parse_source(const json& object, const std::string& name) {
  KnownSource source;
  const Reader reader(object, name);
  if (!object.is_object()) return reader.wrong("data", "a list of objects");
  SMELT_TRY_VOID(reader.text("section", source.section));
  SMELT_TRY_VOID(reader.text("reader", source.reader));
  SMELT_TRY_VOID(reader.texts("paths", source.paths));
  SMELT_TRY_VOID(reader.texts("places", source.places));
  if (source.paths.size() != source.places.size()) return reader.wrong("places", "one place a path");
  const json& columns = object.contains("columns") ? object["columns"] : json::array();
  if (!columns.is_array()) return reader.wrong("columns", "a list");
  for (const json& stored : columns) {
    const bool shaped = stored.is_object() && stored.contains("dtype") && stored["dtype"].is_string() &&
                        stored.contains("shape") && stored["shape"].is_array() &&
                        std::ranges::all_of(stored["shape"], [](const json& n) { return n.is_number_unsigned(); });
    const std::optional<DType> dtype = shaped ? parse_dtype(stored["dtype"].get<std::string>()) : std::nullopt;
    if (!dtype) return reader.wrong("columns", "a list of {dtype, shape}");
    Column column{static_cast<int32_t>(source.columns.size()), *dtype, stored["shape"].get<std::vector<int64_t>>(), {}};
    SMELT_TRY_VOID(check_row_shape(column.dtype, column.row_shape, name));
    source.columns.push_back(std::move(column));
  }
  return source;
}

}  // namespace

std::string encode(const RunRecord& record) {
  json out = {{"smelt.run", kVersion}, {"no_shuffle", record.no_shuffle}, {"precision", record.precision}};
  json config = json::object();
  for (const auto& [name, value] : record.config) config[name] = value;
  out["config"] = std::move(config);
  if (!record.train.empty()) out["train"] = record.train;
  if (record.batch) out["batch"] = *record.batch;
  if (record.epochs) out["epochs"] = *record.epochs;
  if (record.seed) out["seed"] = *record.seed;
  out["disabled"] = record.disabled;
  if (!record.cpu.empty()) out["cpu"] = record.cpu;
  if (!record.level.empty()) out["level"] = record.level;
  if (!record.init.empty()) {
    out["init"] = record.init;
    out["partial"] = record.partial;
  }
  json data = json::array();
  for (const KnownSource& source : record.sources) data.push_back(encode_source(source));
  out["data"] = std::move(data);
  if (!record.content.empty()) out["content"] = record.content;
  // A path may hold any bytes, JSON only UTF-8: such a path is not found again by this file.
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<RunRecord> parse_run_record(const std::string& text, const std::string& name) {
  const json object = json::parse(text, nullptr, false);
  const Reader reader(object, name);
  if (!object.is_object()) return reader.wrong_file();
  RunRecord record;
  std::optional<int64_t> version;
  SMELT_TRY_VOID(reader.count("smelt.run", version, int64_t{1}, INT64_MAX));
  if (!version || *version > kVersion) return reader.wrong("smelt.run", "a version that this program knows");
  SMELT_TRY_VOID(reader.count("batch", record.batch, int64_t{1}, int64_t{1} << 31));
  SMELT_TRY_VOID(reader.count("epochs", record.epochs, int64_t{1}, INT64_MAX));
  SMELT_TRY_VOID(reader.count("seed", record.seed, uint64_t{0}, UINT64_MAX));
  SMELT_TRY_VOID(reader.text("precision", record.precision));
  SMELT_TRY_VOID(reader.text("train", record.train));
  SMELT_TRY_VOID(reader.text("cpu", record.cpu));
  SMELT_TRY_VOID(reader.text("level", record.level));
  SMELT_TRY_VOID(reader.texts("disabled", record.disabled));
  SMELT_TRY_VOID(reader.flag("no_shuffle", record.no_shuffle));
  SMELT_TRY_VOID(reader.text("init", record.init));
  SMELT_TRY_VOID(reader.flag("partial", record.partial));
  if (object.contains("config")) {
    if (!object["config"].is_object()) return reader.wrong("config", "an object of texts");
    for (const auto& [key, value] : object["config"].items()) {
      if (!value.is_string()) return reader.wrong("config", "an object of texts");
      record.config.emplace_back(key, value.get<std::string>());
    }
  }
  if (object.contains("content")) {
    const json& content = object["content"];
    const bool texts =
        content.is_object() && std::ranges::all_of(content, [](const json& hash) { return hash.is_string(); });
    if (!texts) return reader.wrong("content", "an object of texts");
    record.content = content.get<std::map<std::string, std::string>>();
  }
  const json& data = object.contains("data") ? object["data"] : json::array();
  if (!data.is_array()) return reader.wrong("data", "a list");
  for (const json& stored : data) {
    SMELT_TRY(KnownSource source, parse_source(stored, name));
    record.sources.push_back(std::move(source));
  }
  return record;
}

Result<RunRecord> read_run_record(const std::string& run_directory) {
  const std::string path = (std::filesystem::path(run_directory) / kRunRecordFile).string();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return RunRecord{};
  SMELT_TRY(const Buffer file, read_own_file(path, kMaxRecordBytes));
  return parse_run_record(std::string(reinterpret_cast<const char*>(file.data()), file.size()), path);
}

}  // namespace smelt
