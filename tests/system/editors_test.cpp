// The TextMate grammar of the VS Code extension, on a file. Its patterns are simple ones, so that a regular expression
// of the standard library stands for the editor's engine: at each place the first pattern that begins there, else a
// character more.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

struct Pattern {
  std::regex match;
  std::string name;
  std::vector<std::pair<size_t, std::string>> captures;
  bool line_start = false;
};

std::vector<Pattern> read_grammar(const std::string& path) {
  const nlohmann::json grammar = nlohmann::json::parse(read_text_file(path));
  CHECK(grammar["scopeName"] == "source.smelt");
  std::vector<Pattern> patterns;
  for (const nlohmann::json& entry : grammar["patterns"]) {
    Pattern pattern;
    std::string text = entry["match"];
    pattern.line_start = text.starts_with('^');
    pattern.match = std::regex(pattern.line_start ? text.substr(1) : text);
    pattern.name = entry.value("name", "");
    if (entry.contains("captures"))
      for (const auto& [number, scope] : entry["captures"].items())
        pattern.captures.emplace_back(std::stoul(number), scope["name"]);
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

/// `scope: text` for each coloured piece, in order.
std::string colour(const std::string& text, const std::vector<Pattern>& patterns) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    for (size_t at = 0; at < line.size();) {
      size_t length = 0;
      for (const Pattern& pattern : patterns) {
        if (pattern.line_start && at != 0) continue;
        std::smatch found;
        const auto flags = std::regex_constants::match_continuous |
                           (at > 0 ? std::regex_constants::match_prev_avail : std::regex_constants::match_default);
        if (!std::regex_search(line.begin() + static_cast<std::ptrdiff_t>(at), line.end(), found, pattern.match, flags))
          continue;
        length = static_cast<size_t>(found.length());
        if (!pattern.name.empty()) out += fmt::format("{}: {}\n", pattern.name, found.str());
        for (const auto& [number, scope] : pattern.captures) out += fmt::format("{}: {}\n", scope, found.str(number));
        break;
      }
      at += std::max<size_t>(length, 1);
    }
    begin = end + 1;
  }
  return out;
}

TEST_CASE("the grammar of the VS Code extension colours a file as stored") {
  const std::string root = SMELT_SOURCE_DIR;
  const std::vector<Pattern> patterns = read_grammar(root + "/editors/vscode/syntaxes/smelt.tmLanguage.json");
  const std::string colours = colour(read_text_file(root + "/tests/files/editors/colours.smelt"), patterns);
  const std::string stored = root + "/tests/files/editors/colours.txt";
  if (std::getenv("SMELT_UPDATE") != nullptr) std::ofstream(stored, std::ios::binary) << colours;
  CHECK(colours == read_text_file(stored));
}

/// A new word of the language is a new word of both.
TEST_CASE("both editors know every section") {
  const std::string root = SMELT_SOURCE_DIR;
  const std::vector<Pattern> patterns = read_grammar(root + "/editors/vscode/syntaxes/smelt.tmLanguage.json");
  const std::string vim = read_text_file(root + "/editors/vim/syntax/smelt.vim");
  CHECK(
      nlohmann::json::parse(read_text_file(root + "/editors/vscode/package.json"))["contributes"]["grammars"].size() ==
      1);
  for (const char* word : {"import", "dim", "config", "const", "data", "layer", "model", "fn", "metric", "export",
                           "train", "optimiser", "objective"}) {
    CAPTURE(word);
    CHECK(vim.find(word) != std::string::npos);
    CHECK(colour(fmt::format("{} name", word), patterns).starts_with("keyword.declaration.smelt"));
  }
}

}  // namespace
}  // namespace smelt::test
