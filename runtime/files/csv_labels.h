// The labels of a CSV column, each text once.
#pragma once

#include <functional>
#include <optional>
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
  /// Adds a row whose label is new. `line` is that of the file.
  void add(std::string_view text, std::optional<float> number, size_t line);
  /// Why a new text cannot be a label; empty when it can.
  std::string problem_of(std::string_view text) const;
  CsvLabels take() { return std::move(labels_); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  CsvLabels labels_;
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> places_;
  size_t bytes_ = 0;  // of all texts
};

}  // namespace smelt
