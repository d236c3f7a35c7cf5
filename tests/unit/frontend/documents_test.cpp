// Pages for who writes models: every block of the language in them compiles, and the list of the library is up to date.
//
// A block ```smelt is a file; in the tutorial it goes behind the blocks before it. A comment `<!-- snippet .. %% ..
// -->` in front of a block is the file that it stands in, at the `%%`.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "frontend/build_experiment.h"
#include "frontend/library_reference.h"
#include "ir/support/limits.h"
#include "tests/support/text_files.h"

namespace smelt {
namespace {

struct Snippet {
  std::string around = "%%";
  std::string text;
};

std::vector<Snippet> snippets_of(const std::string& page) {
  constexpr std::string_view kFence = "```smelt\n", kAround = "<!-- snippet\n";
  std::vector<Snippet> snippets;
  for (size_t at = page.find(kFence); at != std::string::npos; at = page.find(kFence, at + 1)) {
    Snippet snippet;
    const size_t begin = at + kFence.size();
    snippet.text = page.substr(begin, page.find("```", begin) - begin);
    const size_t comment = page.rfind(kAround, at);
    if (comment != std::string::npos && page.substr(comment, at - comment).ends_with("-->\n") &&
        page.substr(comment, at - comment).find("```") == std::string::npos) {
      const size_t inside = comment + kAround.size();
      snippet.around = page.substr(inside, page.find("-->", inside) - inside);
    }
    snippets.push_back(std::move(snippet));
  }
  return snippets;
}

std::string messages_of(const std::string& text) {
  SourceMap sources;
  Diagnostics diagnostics;
  const auto experiment = build_experiment(sources, sources.add({"page.smelt", text}), {}, diagnostics);
  if (!diagnostics.has_errors()) diagnostics.drop_warnings();
  return (experiment ? "" : "no experiment\n") + render(diagnostics, sources);
}

TEST_CASE("snippets of the documents compile") {
  for (const char* page : {"README.md", "docs/language.md", "docs/cookbook.md"}) {
    const std::vector<Snippet> snippets = snippets_of(test::read_text(test::source_path(page)));
    CHECK(!snippets.empty());
    for (const Snippet& snippet : snippets) {
      std::string text = snippet.around;
      text.replace(text.find("%%"), 2, snippet.text);
      CAPTURE(page);
      INFO(snippet.text);
      CHECK(messages_of(text) == "");
    }
  }
}

TEST_CASE("the tutorial compiles after each of its steps, but for the first") {
  std::string text;
  const std::vector<Snippet> snippets = snippets_of(test::read_text(test::source_path("docs/tutorial.md")));
  REQUIRE(snippets.size() > 3);
  for (size_t i = 0; i < snippets.size(); ++i) {
    text += snippets[i].text + "\n";
    INFO(text);
    CHECK((messages_of(text) == "") == (i > 0));
  }
  // The whole of it has no warning either.
  SourceMap sources;
  Diagnostics diagnostics;
  (void)build_experiment(sources, sources.add({"first.smelt", text}), {}, diagnostics);
  CHECK(render(diagnostics, sources) == "");
}

TEST_CASE("docs/library.md is what `smelt show --markdown` prints") {
  CHECK(library_markdown() == test::golden(test::source_path("docs/library.md"), library_markdown()));
}

TEST_CASE("docs/runs.md has a line for each limit that a flag moves") {
  std::string table = "| limit | without the flag | from, to | bounds |\n|---|---|---|---|\n";
  for (const LimitInfo& info : all_limits())
    table += fmt::format("| `{}` | {} | {}, {} | {} |\n", info.name, info.text(info.value), info.text(info.least),
                         info.text(info.most), info.what);
  INFO(table);
  CHECK(test::read_text(test::source_path("docs/runs.md")).find("\n" + table + "\n") != std::string::npos);
}

}  // namespace
}  // namespace smelt
