#include "runtime/checkpoint_metadata.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "ir/support/version.h"
#include "runtime/files/message.h"
#include "runtime/verify_checksums.h"

namespace smelt {
namespace {

constexpr std::string_view kHeaderChecksum = "smelt.header_crc32";
constexpr std::string_view kTensorChecksums = "smelt.crc32";
constexpr std::string_view kPrefix = "smelt.";
constexpr std::string_view kNoChecksum = "00000000";

constexpr int64_t kMaxSteps = int64_t{1} << 50;  // that of `--steps`

// Where a state's numbers are kept; one line a number, which is from 0 to `most`.
struct IntegerField {
  std::string_view key;
  int64_t TrainState::* member;
  int64_t most;
};
constexpr IntegerField kIntegers[] = {{"smelt.step", &TrainState::step, kMaxSteps},
                                      {"smelt.horizon", &TrainState::horizon, INT64_MAX},
                                      {"smelt.batch", &TrainState::batch, INT32_MAX},
                                      {"smelt.epoch", &TrainState::epoch, INT64_MAX},
                                      {"smelt.batches_taken", &TrainState::batches_taken, INT64_MAX}};

uint32_t checksum(uint32_t start, std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(crc32_z(start, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string hex(uint32_t value) { return fmt::format("{:08x}", value); }

// Offset of the digits of the header's own checksum. The quotes make the match safe: inside a JSON string
// they would be escaped.
size_t find_digits(std::string_view header) {
  const std::string mark = fmt::format("\"{}\":\"", kHeaderChecksum);
  const size_t at = header.find(mark);
  if (at == std::string_view::npos || header.size() < at + mark.size() + kNoChecksum.size()) return header.npos;
  return at + mark.size();
}

std::string header_checksum(std::string_view header, size_t digits) {
  uint32_t crc = checksum(0, std::as_bytes(std::span(header.substr(0, digits))));
  crc = checksum(crc, std::as_bytes(std::span(kNoChecksum)));
  return hex(checksum(crc, std::as_bytes(std::span(header.substr(digits + kNoChecksum.size())))));
}

template <typename T>
bool parse_whole(const std::string& text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && last == end && !text.empty();
}

class Decoder {
 public:
  Decoder(const Metadata& metadata, const std::string& path) : metadata_(metadata), path_(path) {}

  Result<const std::string*> text(std::string_view key) const {
    const auto it = metadata_.find(std::string(key));
    if (it != metadata_.end()) return &it->second;
    return fail(ErrorKind::Input,
                fmt::format("{}: no `{}` in it, so a run cannot be resumed from it", printable(path_), key),
                "start a new run from its weights with `--init`");
  }

  void text_if_there(std::string_view key, std::string& value) const {
    if (const auto it = metadata_.find(std::string(key)); it != metadata_.end()) value = it->second;
  }

  template <typename T>
  Result<void> number(std::string_view key, T& value) const {
    SMELT_TRY(const std::string* found, text(key));
    if (parse_whole(*found, value)) return {};
    return fail(ErrorKind::Input,
                fmt::format("{}: `{}` is `{}`, no number", printable(path_), key, printable(*found, 40)));
  }

  /// A whole number from `least` to `most`.
  Result<void> count(std::string_view key, int64_t& value, int64_t least, int64_t most) const {
    SMELT_TRY_VOID(number(key, value));
    if (value >= least && value <= most) return {};
    return fail(ErrorKind::Input, fmt::format("{}: checkpoint damaged: `{}` is {}, which is not in {}..{}",
                                              printable(path_), key, value, least, most));
  }

 private:
  const Metadata& metadata_;
  const std::string& path_;
};

Result<void> check_version(const Decoder& decoder, const std::string& path) {
  int64_t version = 0;
  SMELT_TRY_VOID(decoder.count("smelt.checkpoint", version, 1, INT64_MAX));
  if (version <= kCheckpointVersion) return {};
  return fail(ErrorKind::Input,
              fmt::format("{}: checkpoint version {}, this program knows up to {}", printable(path), version,
                          kCheckpointVersion),
              "use a newer smelt, or start a new run from its weights with `--init`");
}

}  // namespace

Metadata encode_state(const TrainState& state, const Session& session) {
  Metadata metadata = {{"format", "smelt"},
                       {"smelt.checkpoint", fmt::format("{}", kCheckpointVersion)},
                       {"smelt.version", std::string(version())},
                       {"smelt.model_sha256", state.model_sha256},
                       {"smelt.seed", fmt::format("{}", state.seed)},
                       {"smelt.shuffle", state.shuffle ? "1" : "0"},
                       {"smelt.training_sha256", state.training_sha256},
                       {"smelt.config", state.config}};
  for (const IntegerField& field : kIntegers) {
    metadata[std::string(field.key)] = fmt::format("{}", state.*field.member);
  }
  if (state.best) {
    metadata["smelt.best"] = fmt::format("{}", *state.best);
    metadata["smelt.best_metric"] = state.best_metric;
  }
  nlohmann::json data = nlohmann::json::object();
  for (const auto& [split, mark] : state.data) data[split] = mark.hash;
  metadata["smelt.data"] = data.dump();
  if (!state.subwords.empty())
    metadata["smelt.subwords"] =
        nlohmann::json(state.subwords).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (!state.words.empty()) metadata["smelt.words"] = nlohmann::json(state.words).dump();
  nlohmann::json runs = nlohmann::json::object();
  for (const Entry& entry : session.program().entries) {
    if (entry.kind == FunctionKind::Step) runs[entry.name] = session.runs(entry);
  }
  metadata["smelt.runs"] = runs.dump();
  return metadata;
}

namespace {

/// Hashes by name; none in older files.
Result<std::map<std::string, std::string>> decode_hashes(const Metadata& metadata, const std::string& key,
                                                         const std::string& path) {
  std::map<std::string, std::string> hashes;
  const auto text = metadata.find(key);
  if (text == metadata.end()) return hashes;
  const nlohmann::json json = nlohmann::json::parse(text->second, nullptr, false);
  bool good = json.is_object();
  for (auto it = json.begin(); good && it != json.end(); ++it) {
    good = it->is_string();
    if (good) hashes[it.key()] = it->get<std::string>();
  }
  if (!good) return fail(ErrorKind::Input, fmt::format("{}: `{}` is malformed", printable(path), key));
  return hashes;
}

/// The words of labels; none in files of older versions and of data without any.
Result<WordsByDim> decode_words(const Metadata& metadata, const std::string& path) {
  WordsByDim words;
  const auto text = metadata.find("smelt.words");
  if (text == metadata.end()) return words;
  const nlohmann::json json = nlohmann::json::parse(text->second, nullptr, false);
  const auto is_text = [](const nlohmann::json& word) { return word.is_string(); };
  bool good = json.is_object();
  for (auto it = json.begin(); good && it != json.end(); ++it) {
    good = it->is_array() && std::ranges::all_of(*it, is_text);
    if (!good) break;
    words[it.key()] = it->get<std::vector<std::string>>();
    good = std::ranges::is_sorted(words[it.key()], std::ranges::less_equal());  // each once
  }
  if (!good) return fail(ErrorKind::Input, fmt::format("{}: `smelt.words` is malformed", printable(path)));
  return words;
}

}  // namespace

Result<TrainState> decode_state(const Metadata& metadata, const std::string& path) {
  const Decoder decoder(metadata, path);
  SMELT_TRY_VOID(check_version(decoder, path));
  TrainState state;
  for (const IntegerField& field : kIntegers) {
    SMELT_TRY_VOID(decoder.count(field.key, state.*field.member, 0, field.most));
  }
  if (state.step > state.horizon) {
    return fail(ErrorKind::Input, fmt::format("{}: checkpoint damaged: step {} is behind the horizon, {}",
                                              printable(path), state.step, state.horizon));
  }
  SMELT_TRY_VOID(decoder.number("smelt.seed", state.seed));
  int64_t shuffle = 0;
  SMELT_TRY_VOID(decoder.count("smelt.shuffle", shuffle, 0, 1));
  state.shuffle = shuffle != 0;
  SMELT_TRY(const std::string* sha, decoder.text("smelt.model_sha256"));
  state.model_sha256 = *sha;
  // Files of older versions lack some of these.
  decoder.text_if_there("smelt.config", state.config);
  decoder.text_if_there("smelt.training_sha256", state.training_sha256);
  decoder.text_if_there("smelt.best_metric", state.best_metric);
  SMELT_TRY(const auto data, decode_hashes(metadata, "smelt.data", path));
  for (const auto& [split, hash] : data) state.data[split].hash = hash;
  SMELT_TRY(state.subwords, decode_hashes(metadata, "smelt.subwords", path));
  SMELT_TRY(state.words, decode_words(metadata, path));
  if (metadata.contains("smelt.best")) {
    double best = 0;
    SMELT_TRY_VOID(decoder.number("smelt.best", best));
    if (std::isnan(best))  // nothing would ever be better
      return fail(ErrorKind::Input, fmt::format("{}: checkpoint damaged: `smelt.best` is NaN", printable(path)));
    state.best = best;
  }
  return state;
}

bool configs_agree(const std::string& then, const std::string& now, bool same_training) {
  if (then == now || !same_training) return then == now;
  nlohmann::json old = nlohmann::json::parse(then, nullptr, false), wanted = nlohmann::json::parse(now, nullptr, false);
  if (!old.is_object() || !wanted.is_object()) return false;
  for (nlohmann::json* config : {&old, &wanted}) {
    std::erase_if(config->get_ref<nlohmann::json::object_t&>(),
                  [](const auto& entry) { return !entry.first.starts_with("--"); });
  }
  return old == wanted;
}

std::string config_changes(const std::string& then, const std::string& now) {
  const nlohmann::json old = nlohmann::json::parse(then, nullptr, false),
                       wanted = nlohmann::json::parse(now, nullptr, false);
  if (!old.is_object() || !wanted.is_object()) return "the configuration is another";
  const auto value_in = [](const nlohmann::json& config, const std::string& key) {
    if (!config.contains(key)) return std::string("not given");
    const nlohmann::json& value = config[key];
    return fmt::format("`{}`", printable(value.is_string() ? value.get<std::string>() : value.dump()));
  };
  std::vector<std::string> changes;
  nlohmann::json all = old;
  all.update(wanted);
  for (const auto& [key, value] : all.items()) {
    const std::string option = key.starts_with("--") ? key : "--set " + key;
    const std::string was = value_in(old, key), is = value_in(wanted, key);
    if (was != is) changes.push_back(fmt::format("`{}` was {}, is {}", printable(option), was, is));
  }
  return fmt::format("{}", fmt::join(changes, "; "));
}

Result<std::map<std::string, int64_t>> decode_runs(const Metadata& metadata, const std::string& path) {
  SMELT_TRY(const std::string* text, Decoder(metadata, path).text("smelt.runs"));
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  std::map<std::string, int64_t> runs;
  bool good = json.is_object();
  for (auto it = json.begin(); good && it != json.end(); ++it) {
    good = it->is_number_integer();
    if (good) runs[it.key()] = it->get<int64_t>();
  }
  if (!good) return fail(ErrorKind::Input, fmt::format("{}: `smelt.runs` is malformed", printable(path)));
  return runs;
}

std::string encode_checksummed_header(std::span<const TensorToStore> tensors, Metadata metadata) {
  std::string checksums;
  for (const TensorToStore& tensor : tensors) {
    checksums += fmt::format("{}{}", checksums.empty() ? "" : " ", hex(checksum(0, tensor.bytes)));
  }
  metadata[std::string(kTensorChecksums)] = std::move(checksums);
  metadata[std::string(kHeaderChecksum)] = kNoChecksum;
  std::string header = encode_safetensors_header(tensors, metadata);
  const size_t digits = find_digits(header);
  return header.replace(digits, kNoChecksum.size(), header_checksum(header, digits));
}

std::string find_damage(const Safetensors& file) {
  const auto ours = [](const auto& entry) {
    return entry.first.starts_with(kPrefix) || (entry.first == "format" && entry.second == "smelt");
  };
  if (std::none_of(file.metadata.begin(), file.metadata.end(), ours)) return {};
  const std::string_view header(reinterpret_cast<const char*>(file.header().data()), file.header().size());
  const size_t digits = find_digits(header);
  if (digits == header.npos || header.substr(digits, kNoChecksum.size()) != header_checksum(header, digits)) {
    return fmt::format("the header, bytes 0x0..0x{:x}", header.size());
  }
  const auto list = file.metadata.find(std::string(kTensorChecksums));
  const std::string_view checksums = list == file.metadata.end() ? std::string_view() : list->second;
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const StoredTensor& tensor = file.tensors[i];
    if (i * 9 < checksums.size() && checksums.substr(i * 9, 8) == hex(checksum(0, file.bytes(tensor)))) continue;
    return fmt::format("tensor `{}`, bytes 0x{:x}..0x{:x}", printable(tensor.name), file.data_begin + tensor.begin,
                       file.data_begin + tensor.end);
  }
  return {};
}

Result<void> verify_checksums(const Safetensors& file, const std::string& path) {
  const std::string damage = find_damage(file);
  if (damage.empty()) return {};
  const std::filesystem::path place(path);
  const auto good = last_good_checkpoint(place.parent_path().string(), place.filename().string());
  return fail(ErrorKind::Input, fmt::format("{}: checkpoint damaged: {}", printable(path), damage),
              good ? fmt::format("last good: {}; remove the damaged file to go on from there", printable(*good))
                   : "no other good checkpoint is beside it");
}

}  // namespace smelt
