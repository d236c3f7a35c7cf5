#include "runtime/files/csv_labels.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/support/printable.h"

namespace smelt {

// Words are kept in checkpoints, whose heads have limits of their own.
constexpr size_t kLongestLabel = 200, kMaxLabelBytes = 4u << 20;

std::optional<size_t> CsvLabels::first_word() const {
  const auto word = std::ranges::find_if(numbers, [](const std::optional<float>& number) { return !number; });
  return word == numbers.end() ? std::nullopt : std::optional(static_cast<size_t>(word - numbers.begin()));
}

bool LabelInterner::add_known(std::string_view text) {
  // Rows are often sorted by their labels.
  if (!labels_.rows.empty() && labels_.texts[labels_.rows.back()] == text) {
    labels_.rows.push_back(labels_.rows.back());
    return true;
  }
  const auto known = places_.find(text);
  if (known == places_.end()) return false;
  labels_.rows.push_back(known->second);
  return true;
}

void LabelInterner::add(std::string_view text, std::optional<float> number, size_t line) {
  const auto place = static_cast<uint32_t>(labels_.texts.size());
  places_.emplace(text, place);
  labels_.texts.emplace_back(text);
  labels_.numbers.push_back(number);
  labels_.lines.push_back(line);
  labels_.rows.push_back(place);
  if (!number) bytes_ += text.size();
}

std::string LabelInterner::problem_of(std::string_view text) const {
  if (text.size() > kLongestLabel)
    return fmt::format("a word of {} bytes; a label has at most {}", text.size(), kLongestLabel);
  if (bytes_ > kMaxLabelBytes)
    return fmt::format("words of more than {} bytes in all, which is too much for labels", kMaxLabelBytes);
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    if (length == 0) return fmt::format("`{}` is not UTF-8; save the file in that coding", printable(text, 40));
    at += length;
  }
  return {};
}

}  // namespace smelt
