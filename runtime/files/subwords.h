// Texts as subwords: a model of SentencePiece, which lies in a file, cuts them and puts them together. Kudo, Richardson
// 2018
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"

namespace smelt {

/// Number 0 is no subword: it fills rows up.
class Subwords {
 public:
  /// Errors: Input when the file is no such model, or when its number 0 is a subword; Usage when this build has no
  /// SentencePiece.
  static Result<Subwords> read(const std::string& path, const Limits& limits = {});

  int64_t size() const;
  /// Line by line, with the subword of a new line between them where the model has one.
  Result<std::vector<int32_t>> encode(std::string_view text) const;
  /// Without the zeros at its end. Errors: Input for a number that is no subword.
  Result<std::string> decode(std::span<const int32_t> numbers) const;

 private:
  struct Model;
  std::shared_ptr<const Model> model_;
};

/// The bytes of a model of `size` subwords for lines like these. It loses nothing of a text: white space stays as it
/// is, and letters that it does not know are bytes. The same lines give the same bytes. Errors: Input with what
/// SentencePiece says.
Result<std::string> train_subwords(const std::vector<std::string>& lines, int64_t size);

}  // namespace smelt
