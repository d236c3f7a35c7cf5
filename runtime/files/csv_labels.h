// The labels of a CSV column, each text once.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/files/csv.h"

namespace smelt {

class LabelInterner {
 public:
  explicit LabelInterner(size_t column) { labels_.column = column; }

  /// Adds a row whose label was there before; false when it was not.
  bool add_known(std::string_view text);
  /// Adds a row whose label is new. Errors: Input for what is neither number nor word, or no word that can be kept.
  Result<void> add_new(std::string_view text, const CsvCell& cell);
  CsvLabels take() { return std::move(labels_); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  CsvLabels labels_;
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> places_;
  size_t bytes_ = 0;  // of all texts
};

/// Whether `text` can be a word of labels, of which there are `bytes` already. `place` begins the message,
/// `help` says what to do about a word that is not UTF-8. Errors: Input for a word that a checkpoint cannot keep.
Result<void> check_word(std::string_view text, size_t bytes, const std::string& place, const std::string& help);

/// That words and numbers are among the labels of a column, so that numbers are words too; empty when they are not.
/// Often the word is a mistake.
std::string note_of_mixture(const CsvLabels& labels, const std::string& file, const std::string& column);

/// What the labels of a column are numbers of.
struct LabelWords {
  const std::vector<std::string>* words = nullptr;  // sorted; none: labels are numbers
  std::string dim;
  std::string where;  // "split `train`"
};
/// The number of each text of a column. Errors: Input for a word that is not known, or a word among numbers.
Result<std::vector<float>> number_labels(const CsvLabels& labels, const LabelWords& known, const std::string& file,
                                         const std::string& column);

}  // namespace smelt
