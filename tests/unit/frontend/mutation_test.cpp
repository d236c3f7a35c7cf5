// Damaged examples: whatever a file contains, the frontend returns, and an error has a place or names the
// file.
#include <doctest/doctest.h>

#include <random>

#include "frontend/build_experiment.h"
#include "frontend/lexer.h"
#include "ir/verifier.h"
#include "tests/support/text_files.h"

namespace smelt {
namespace {

/// Deletes, doubles or swaps tokens, or replaces one by another of the file.
std::string mutate(const std::string& text, std::mt19937& random) {
  SourceMap sources;
  Diagnostics ignored;
  const std::vector<Token> tokens = lex(sources, sources.add({"m", text}), ignored);
  const auto pick = [&] { return tokens[std::uniform_int_distribution<size_t>(0, tokens.size() - 2)(random)].span; };
  const auto part = [&](Span span) { return text.substr(span.begin, span.end - span.begin); };
  Span a = pick(), b = pick();
  if (b.begin < a.begin) std::swap(a, b);
  std::string out = text;
  switch (std::uniform_int_distribution<int>(0, 3)(random)) {
    case 0: out.erase(a.begin, a.end - a.begin); break;
    case 1: out.insert(a.begin, part(a) + " "); break;
    case 2:
      if (a == b) break;
      out.replace(b.begin, b.end - b.begin, part(a));
      out.replace(a.begin, a.end - a.begin, part(b));
      break;
    default: out.replace(a.begin, a.end - a.begin, part(b));
  }
  return out;
}

TEST_CASE("damaged examples give located errors or well-formed graphs") {
  constexpr int kMutants = 2000;
  auto files = test::files_in("examples", ".smelt");
  const auto zoo = test::files_in("examples/zoo", ".smelt");
  files.insert(files.end(), zoo.begin(), zoo.end());
  std::mt19937 random(1);
  for (int i = 0; i < kMutants; ++i) {
    std::string text = test::read_text(files[static_cast<size_t>(i) % files.size()]);
    const int edits = 1 + i % 3;
    for (int k = 0; k < edits; ++k) text = mutate(text, random);
    SourceMap sources;
    Diagnostics diagnostics;
    const uint32_t file = sources.add({"mutant.smelt", text});
    INFO(text);
    std::optional<Experiment> experiment;
    REQUIRE_NOTHROW(experiment = build_experiment(sources, file, {}, diagnostics));
    const std::string rendered = render(diagnostics, sources);
    CHECK(experiment.has_value() != diagnostics.has_errors());
    for (const Diagnostic& d : diagnostics.sorted()) CHECK((!d.span.empty() || d.code == Diag::E0001));
    if (!experiment) continue;
    for (const Function& function : experiment->functions) {
      for (const std::string& problem : verify(function.graph)) FAIL_CHECK(function.name << ": " << problem);
    }
  }
}

}  // namespace
}  // namespace smelt
