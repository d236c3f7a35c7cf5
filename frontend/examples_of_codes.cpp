#include "frontend/examples_of_codes.h"

#include <algorithm>
#include <vector>

#include "frontend/build_experiment.h"
#include "ir/support/embedded_text.h"

namespace smelt {

extern const EmbeddedText embedded_wrong_examples[];
extern const EmbeddedText embedded_right_examples[];

namespace {

std::string messages_of(const std::string& name, const std::string& text) {
  SourceMap sources;
  Diagnostics diagnostics;
  (void)build_experiment(sources, sources.add({name, text}), {}, diagnostics);
  return render(diagnostics, sources);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    lines.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

std::optional<CodeExample> example_of(std::string_view code) {
  for (const EmbeddedText* wrong = embedded_wrong_examples; wrong->name != nullptr; ++wrong) {
    const std::string_view name = wrong->name;
    if (!name.starts_with(code)) continue;
    CodeExample example{wrong->text, messages_of("wrong.smelt", wrong->text), {}};
    if (example.messages.find(code) == std::string::npos) continue;  // shows only with an option of the command
    for (const EmbeddedText* right = embedded_right_examples; right->name != nullptr; ++right)
      if (std::string_view(right->name).starts_with(code)) example.right = right->text;
    return example;
  }
  return std::nullopt;
}

std::string changed_lines(std::string_view wrong, std::string_view right) {
  const std::vector<std::string_view> before = lines_of(wrong);
  std::string out;
  for (const std::string_view line : lines_of(right))
    if (std::ranges::find(before, line) == before.end()) out += line;
  return out;
}

}  // namespace smelt
