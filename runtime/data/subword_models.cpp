#include "runtime/data/subword_models.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/readers.h"
#include "ir/support/printable.h"
#include "runtime/files/file.h"
#include "runtime/files/sha256.h"
#include "runtime/sequence_rows.h"

namespace smelt {

Result<SubwordModels> SubwordModels::open(const std::optional<DataPlan>& data, const DataPaths& paths) {
  SubwordModels models;
  if (!data) return models;
  for (const ColumnLimit& limit : data->limits) {
    const Split* const split = split_with_tokens(*data, limit.dim);
    if (split == nullptr) continue;
    const std::string& path = split->source.tokens;
    const auto known = std::ranges::find(models.models_, path, &SubwordModel::path);
    models.by_dim_[limit.dim] = static_cast<size_t>(known - models.models_.begin());
    if (known != models.models_.end()) continue;
    SMELT_TRY(const std::string place, resolve_data_path(path, data->section_name(split->section), paths));
    SMELT_TRY(const Buffer bytes, read_file(place, paths.limits, &Limits::subwords));
    SMELT_TRY(Subwords subwords, Subwords::read(place, paths.limits));
    const std::string hash = sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    models.models_.push_back({path, place, hash, std::move(subwords)});
  }
  return models;
}

std::map<std::string, std::string> SubwordModels::hashes() const {
  std::map<std::string, std::string> hashes;
  for (const SubwordModel& model : models_) hashes[model.path] = model.sha256;
  return hashes;
}

Result<void> SubwordModels::check(const std::map<std::string, std::string>& then, const std::string& checkpoint) const {
  for (const SubwordModel& model : models_) {
    const auto known = then.find(model.path);
    if (known == then.end() || known->second == model.sha256) continue;
    return fail(ErrorKind::Input,
                fmt::format("{}: it was trained with another model of subwords: `{}` was {}, and {} is {} (sha256)",
                            printable(checkpoint), printable(model.path), printable(known->second.substr(0, 12)),
                            printable(model.place), model.sha256.substr(0, 12)),
                "the numbers of subwords mean other texts in it; bring the old file back, or say where it is with "
                "`--data NAME=DIR`");
  }
  return {};
}

const Subwords* SubwordModels::of(std::string_view dim) const {
  const auto known = by_dim_.find(dim);
  return known == by_dim_.end() ? nullptr : &models_[known->second].subwords;
}

Result<std::string> SubwordModels::decode(std::string_view dim, std::span<const int32_t> labels) const {
  const Subwords* subwords = of(dim);
  return subwords == nullptr ? text_of_bytes(labels) : subwords->decode(labels);
}

Result<std::vector<int32_t>> SubwordModels::encode(std::string_view dim, std::string_view text) const {
  if (const Subwords* subwords = of(dim)) return subwords->encode(text);
  std::vector<int32_t> bytes;
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace smelt
