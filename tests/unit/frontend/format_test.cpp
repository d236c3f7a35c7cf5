// `smelt fmt`: a fixed point for every file that we ship, whatever happened to its spaces.
#include "frontend/format/format_text.h"

#include <doctest/doctest.h>

#include <random>

#include "frontend/lexer.h"
#include "tests/support/mutants.h"
#include "tests/support/text_files.h"

namespace smelt {
namespace {

std::optional<std::string> formatted(const std::string& text, std::string* messages = nullptr) {
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({"m.smelt", text});
  std::optional<std::string> result = format_text(sources, file, diagnostics);
  if (messages != nullptr) *messages = render(diagnostics, sources);
  return result;
}

std::vector<std::filesystem::path> shipped_files() {
  std::vector<std::filesystem::path> files;
  for (const char* folder : {"examples", "examples/zoo", "frontend/std", "benchmarks/models"}) {
    const auto more = test::files_in(folder, ".smelt");
    files.insert(files.end(), more.begin(), more.end());
  }
  return files;
}

std::vector<Token> tokens_of(SourceMap& sources, const std::string& text) {
  Diagnostics ignored;
  return lex(sources, sources.add({"m", text}), ignored);
}

/// Other spaces, indents and numbers of empty lines; the same tokens, comments and line ends.
std::string damaged(const std::string& text, std::mt19937& random) {
  SourceMap sources;
  const std::vector<Token> tokens = tokens_of(sources, text);
  const auto spaces = [&](int most) {
    std::string out(static_cast<size_t>(std::uniform_int_distribution<int>(0, most)(random)), ' ');
    if (!out.empty() && random() % 8 == 0) out.back() = '\t';
    return out;
  };
  std::string out;
  size_t end = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Span span = tokens[i].span;
    const std::string gap = text.substr(end, span.begin - end);
    end = span.end;
    const std::string token = text.substr(span.begin, span.end - span.begin);
    if (gap.find_first_of("\n#") == std::string::npos) {
      // Stars of a selector belong to the names that they touch.
      const bool star = token.starts_with('*') || (i > 0 && tokens[i - 1].text.starts_with("*"));
      const std::string other = spaces(3);
      SourceMap pair;
      const bool glued = i > 0 && other.empty() && tokens_of(pair, std::string(tokens[i - 1].text) + token).size() != 3;
      out += star || glued || tokens[i].kind == TokenKind::String ? gap : other;
    } else {
      for (size_t at = 0; at < gap.size();) {
        if (gap[at] == '#') {
          const size_t stop = std::min(gap.find('\n', at), gap.size());
          out += spaces(4) + gap.substr(at, stop - at) + spaces(2);
          at = stop;
        } else if (gap[at] == '\n') {
          const bool blank = gap.substr(at + 1).find_first_not_of(' ') != std::string::npos &&
                             gap[at + 1 + gap.substr(at + 1).find_first_not_of(' ')] == '\n';
          out += random() % 4 == 0 ? "\r\n" : "\n";
          if (blank && random() % 2 == 0) out += "  \n\n";
          ++at;
        } else {
          ++at;
        }
      }
      out += spaces(9);
    }
    out += token;
  }
  return out;
}

TEST_CASE("files that we ship are formatted") {
  for (const auto& path : shipped_files()) {
    CAPTURE(path.string());
    const std::string text = test::read_text(path);
    const auto result = formatted(text);
    REQUIRE(result.has_value());
    CHECK(*result == text);
  }
}

TEST_CASE("formatting undoes damage to spaces") {
  std::mt19937 random(1);
  for (const auto& path : shipped_files()) {
    const std::string text = test::read_text(path);
    for (int i = 0; i < 5; ++i) {
      const std::string other = damaged(text, random);
      CAPTURE(path.string());
      INFO(other);
      const auto result = formatted(other);
      REQUIRE(result.has_value());
      REQUIRE(*result == text);
    }
  }
}

TEST_CASE("formatting twice changes nothing") {
  for (const char* folder : {"tests/files/errors", "tests/files/quiet", "tests/files/parse", "tests/numeric"}) {
    for (const auto& path : test::files_in(folder, ".smelt")) {
      CAPTURE(path.string());
      const auto once = formatted(test::read_text(path));
      if (!once) continue;
      CHECK(*formatted(*once) == *once);
    }
  }
}

/// Formatting checks itself: other tokens than before are an exception.
TEST_CASE("files with a mistake are formatted when they can be read, and stay what they are") {
  std::mt19937 random(2);
  const auto files = shipped_files();
  for (int i = 0; i < 1000; ++i) {
    const std::string text = test::read_text(files[static_cast<size_t>(i) % files.size()]);
    const std::optional<test::Mutant> mutant = test::mutate(text, random);
    if (!mutant) continue;
    INFO(mutant->text);
    std::optional<std::string> once;
    REQUIRE_NOTHROW(once = formatted(mutant->text));
    if (once) REQUIRE(*formatted(*once) == *once);
  }
}

TEST_CASE("what is formatted how") {
  for (const auto& path : test::files_in("tests/files/format", ".smelt")) {
    CAPTURE(path.string());
    auto stored = path;
    stored.replace_extension(".txt");
    const std::string result = formatted(test::read_text(path)).value_or("");
    CHECK(result == test::golden(stored, result));
  }
}

TEST_CASE("a file with mistakes is left alone") {
  std::string messages;
  CHECK_FALSE(
      formatted("dim B <= 8, X = 4\nlayer Net(x: f32[B, X] -> f32[B] { x }\nmodel net = Net\n", &messages).has_value());
  CHECK(messages.find("error[E") != std::string::npos);
}

}  // namespace
}  // namespace smelt
