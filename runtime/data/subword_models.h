// The models of subwords that the data of a program name, and labels as the texts that they stand for.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/data_paths.h"
#include "runtime/files/subwords.h"

namespace smelt {

/// A model of subwords: how the model file names it, where it is, and what tells it from others.
struct SubwordModel {
  std::string path, place, sha256;
  Subwords subwords;
};

class SubwordModels {
 public:
  /// Those of all texts that are read with `tokens =`. Errors: Input for one that is not there or is none; Usage when
  /// this build has no SentencePiece.
  static Result<SubwordModels> open(const std::optional<DataPlan>& data, const DataPaths& paths);

  /// By the path in the model file.
  std::map<std::string, std::string> hashes() const;
  /// That a checkpoint was trained with the same ones: `then`, what it keeps of them. Errors: Input, naming both.
  Result<void> check(const std::map<std::string, std::string>& then, const std::string& checkpoint) const;

  /// The text of labels of `dim`, and back: of subwords where the data say so, else of bytes. Zeros at the end fill
  /// up. Errors: RunTime for a label that is neither; Input.
  Result<std::string> decode(std::string_view dim, std::span<const int32_t> labels) const;
  Result<std::vector<int32_t>> encode(std::string_view dim, std::string_view text) const;

 private:
  const Subwords* of(std::string_view dim) const;

  std::vector<SubwordModel> models_;
  std::map<std::string, size_t, std::less<>> by_dim_;
};

}  // namespace smelt
