#include "runtime/checkpoint_metadata.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "ir/support/version.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr std::string_view kHeaderChecksum = "smelt.header_crc32";
constexpr std::string_view kTensorChecksums = "smelt.crc32";
constexpr std::string_view kPrefix = "smelt.";
constexpr std::string_view kNoChecksum = "00000000";

// Where a state's numbers are kept; one line a number.
struct IntegerField {
  std::string_view key;
  int64_t TrainState::* member;
};
constexpr IntegerField kIntegers[] = {{"smelt.step", &TrainState::step},
                                      {"smelt.horizon", &TrainState::horizon},
                                      {"smelt.batch", &TrainState::batch},
                                      {"smelt.epoch", &TrainState::epoch},
                                      {"smelt.batches_taken", &TrainState::batches_taken}};

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
                "use its weights alone: `--weights-only` or `--init`");
  }

  template <typename T>
  Result<void> number(std::string_view key, T& value) const {
    SMELT_TRY(const std::string* found, text(key));
    if (parse_whole(*found, value)) return {};
    return fail(ErrorKind::Input,
                fmt::format("{}: `{}` is `{}`, no number", printable(path_), key, printable(*found, 40)));
  }

 private:
  const Metadata& metadata_;
  const std::string& path_;
};

Result<void> check_version(const Decoder& decoder, const std::string& path) {
  int64_t version = 0;
  SMELT_TRY_VOID(decoder.number("smelt.checkpoint", version));
  if (version <= kCheckpointVersion) return {};
  return fail(ErrorKind::Input,
              fmt::format("{}: checkpoint version {}, this program knows up to {}", printable(path), version,
                          kCheckpointVersion),
              "use a newer smelt, or its weights alone: `--weights-only`");
}

}  // namespace

Metadata encode_state(const TrainState& state, const Session& session) {
  Metadata metadata = {{"format", "smelt"},
                       {"smelt.checkpoint", fmt::format("{}", kCheckpointVersion)},
                       {"smelt.version", std::string(version())},
                       {"smelt.model_sha256", state.model_sha256},
                       {"smelt.seed", fmt::format("{}", state.seed)},
                       {"smelt.shuffle", state.shuffle ? "1" : "0"},
                       {"smelt.config", state.config}};
  for (const IntegerField& field : kIntegers) {
    metadata[std::string(field.key)] = fmt::format("{}", state.*field.member);
  }
  if (state.best) metadata["smelt.best"] = fmt::format("{}", *state.best);
  nlohmann::json runs = nlohmann::json::object();
  for (const Entry& entry : session.program().entries) {
    if (entry.kind == FunctionKind::Step) runs[entry.name] = session.runs(entry);
  }
  metadata["smelt.runs"] = runs.dump();
  return metadata;
}

Result<TrainState> decode_state(const Metadata& metadata, const std::string& path) {
  const Decoder decoder(metadata, path);
  SMELT_TRY_VOID(check_version(decoder, path));
  TrainState state;
  for (const IntegerField& field : kIntegers) SMELT_TRY_VOID(decoder.number(field.key, state.*field.member));
  SMELT_TRY_VOID(decoder.number("smelt.seed", state.seed));
  int shuffle = 0;
  SMELT_TRY_VOID(decoder.number("smelt.shuffle", shuffle));
  state.shuffle = shuffle != 0;
  SMELT_TRY(const std::string* sha, decoder.text("smelt.model_sha256"));
  state.model_sha256 = *sha;
  if (const auto it = metadata.find("smelt.config"); it != metadata.end()) state.config = it->second;
  if (metadata.contains("smelt.best")) {
    double best = 0;
    SMELT_TRY_VOID(decoder.number("smelt.best", best));
    state.best = best;
  }
  return state;
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
              good ? fmt::format("last good: {}", *good) : "no other good checkpoint is beside it");
}

}  // namespace smelt
