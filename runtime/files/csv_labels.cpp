#include "runtime/files/csv_labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {

// Words are kept in checkpoints, whose heads have limits of their own.
constexpr size_t kLongestLabel = 200, kMaxLabelBytes = 4u << 20;
constexpr size_t kShownWords = 10;

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

Result<void> LabelInterner::add_new(std::string_view text, const CsvCell& cell) {
  SMELT_TRY(const std::optional<float> number, parse_label(text, cell));
  SMELT_TRY_VOID(check_word(text, bytes_, fmt::format("{}: row {}: {}", printable(cell.file), cell.line, cell.column),
                            "save the file in UTF-8"));
  const auto place = static_cast<uint32_t>(labels_.texts.size());
  places_.emplace(text, place);
  labels_.texts.emplace_back(text);
  labels_.numbers.push_back(number);
  labels_.lines.push_back(cell.line);
  labels_.rows.push_back(place);
  if (!number) bytes_ += text.size();
  return {};
}

Result<void> check_word(std::string_view text, size_t bytes, const std::string& place, const std::string& help) {
  const auto wrong = [&](std::string_view what, const std::string& then) {
    return fail(ErrorKind::Input, fmt::format("{}: {}", place, what), then);
  };
  if (text.size() > kLongestLabel)
    return wrong(fmt::format("a word of {} bytes; a label has at most {}", text.size(), kLongestLabel), {});
  if (bytes > kMaxLabelBytes)
    return wrong(fmt::format("words of more than {} bytes in all, which is too much for labels", kMaxLabelBytes), {});
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    if (length == 0) return wrong(fmt::format("`{}` is not UTF-8", printable(text, 40)), help);
    at += length;
  }
  return {};
}

std::string note_of_mixture(const CsvLabels& labels, const std::string& file, const std::string& column) {
  const std::optional<size_t> word = labels.first_word();
  const auto number = std::ranges::find_if(labels.numbers, [](const auto& n) { return n.has_value(); });
  if (!word || number == labels.numbers.end()) return {};
  const auto at = static_cast<size_t>(number - labels.numbers.begin());
  return fmt::format("{}: {} has words and numbers: `{}` (row {}) is no number, so `{}` (row {}) is a word too",
                     printable(file), column, printable(labels.texts[*word], 40), labels.lines[*word],
                     printable(labels.texts[at], 40), labels.lines[at]);
}

static std::string what_is_known(const std::string& word, const std::vector<std::string>& words) {
  std::vector<std::string> shown;
  for (const std::string& known : std::span(words).first(std::min(kShownWords, words.size())))
    shown.push_back(printable(known, 40));
  const std::string meant = words.size() > 10'000 ? "" : did_you_mean(word, words);
  return fmt::format("{}{}its {} words are {}{}", meant, meant.empty() ? "" : " ", words.size(), fmt::join(shown, ", "),
                     shown.size() < words.size() ? ", .." : "");
}

Result<std::vector<float>> number_labels(const CsvLabels& labels, const LabelWords& known, const std::string& file,
                                         const std::string& column) {
  const auto wrong = [&](size_t text, std::string_view what, std::string help) {
    return fail(ErrorKind::Input,
                fmt::format("{}: row {}: {}: `{}` {}", printable(file), labels.lines[text], column,
                            printable(labels.texts[text], 40), what),
                std::move(help));
  };
  std::vector<float> numbers;
  if (known.words == nullptr) {
    if (const std::optional<size_t> word = labels.first_word())
      return wrong(*word, "is not a number",
                   fmt::format("the labels of `{}` are numbers in {}", known.dim, known.where));
    for (const std::optional<float>& number : labels.numbers) numbers.push_back(*number);
    return numbers;
  }
  const std::vector<std::string>& words = *known.words;
  for (size_t k = 0; k < labels.texts.size(); ++k) {
    const auto at = std::ranges::lower_bound(words, labels.texts[k]);
    if (at == words.end() || *at != labels.texts[k])
      return wrong(k, fmt::format("is a word that {} does not have", known.where),
                   what_is_known(labels.texts[k], words));
    numbers.push_back(static_cast<float>(at - words.begin()));
  }
  return numbers;
}

}  // namespace smelt
