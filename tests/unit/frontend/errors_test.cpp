// tests/files/errors: each model file with the text that its diagnostics render to. SMELT_UPDATE=1 rewrites.
#include <doctest/doctest.h>

#include <set>

#include "frontend/build_experiment.h"
#include "frontend/examples_of_codes.h"
#include "tests/support/text_files.h"

namespace smelt {
namespace {

TEST_CASE("every mistake renders as stored") {
  for (const auto& path : test::files_in("tests/files/errors", ".smelt")) {
    SourceMap sources;
    Diagnostics diagnostics;
    const std::string text = test::read_text(path);
    const uint32_t file = sources.add({path.filename().string(), text});
    const std::string code = path.stem().string().substr(0, 5);
    CAPTURE(path.filename().string());
    const auto experiment = build_experiment(sources, file, options_of_example(text), diagnostics);
    const std::string actual = render(diagnostics, sources);
    auto stored = path;
    stored.replace_extension(".txt");
    CHECK(actual == test::golden(stored, actual));
    CHECK(actual.find(code) != std::string::npos);  // a file is named after the code it shows
    CHECK(experiment.has_value() == code.starts_with("W"));
    CHECK(render_json(diagnostics, sources).find("\"code\":\"" + code) != std::string::npos);
  }
}

/// The trees of the library are kept; the numbers of its files depend on what is in the map before it.
TEST_CASE("places in the library are right behind any number of files") {
  const std::string name = "E0104_labels_of_no_dim.smelt";
  const std::string text = test::read_text(test::source_path("tests/files/errors/" + name));
  SourceMap sources;
  std::string first;
  for (int build = 0; build < 3; ++build) {
    Diagnostics diagnostics;
    const uint32_t file = sources.add({name, text});
    CHECK(!build_experiment(sources, file, options_of_example(text), diagnostics).has_value());
    const std::string rendered = render(diagnostics, sources);
    if (build == 0) first = rendered;
    CHECK(rendered == first);
    CHECK(rendered.find("std/sequence.smelt:") != std::string::npos);
  }
}

/// The file is built, and nothing is said of it.
void check_quiet(const std::filesystem::path& path) {
  CAPTURE(path.filename().string());
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({path.filename().string(), test::read_text(path)});
  CHECK(build_experiment(sources, file, {}, diagnostics).has_value());
  CHECK(render(diagnostics, sources) == "");
}

/// What a lint must not warn of: files that look like one of those that it warns of.
TEST_CASE("quiet files have no warning") {
  std::set<std::string> loud, quiet;
  for (const auto& path : test::files_in("tests/files/errors", ".smelt"))
    loud.insert(path.stem().string().substr(0, 5));
  for (const auto& path : test::files_in("tests/files/quiet", ".smelt")) {
    check_quiet(path);
    quiet.insert(path.stem().string().substr(0, 5));
    CHECK(loud.contains(path.stem().string().substr(0, 5)));
  }
  constexpr std::string_view kFirstLint = "W0004";
  for (const std::string& code : loud) {
    CAPTURE(code);
    if (code.starts_with("W") && code >= kFirstLint && code != "W0006") CHECK(quiet.contains(code));
  }
}

/// `smelt explain` shows them beside the wrong ones.
TEST_CASE("right examples are right") {
  for (const DiagnosticInfo& info : all_diagnostics()) {
    const std::optional<CodeExample> example = example_of(info.code);
    CAPTURE(info.code);
    REQUIRE(example.has_value());
    INFO(example->right);
    CHECK(!example->right.empty());
    SourceMap sources;
    Diagnostics diagnostics;
    (void)build_experiment(sources, sources.add({"right.smelt", example->right}), options_of_example(example->right),
                           diagnostics);
    std::string messages;
    for (const Diagnostic& d : diagnostics.sorted())
      if (d.severity() == Severity::Error && d.code != Diag::E0001) messages += d.message + "\n";
    CHECK(messages == "");
    CHECK(render(diagnostics, sources).find(info.code) == std::string::npos);
  }
}

/// A warning that is wrong teaches people to pass over warnings.
TEST_CASE("no example has a warning") {
  for (const char* folder : {"examples", "examples/zoo"}) {
    for (const auto& path : test::files_in(folder, ".smelt")) {
      check_quiet(path);
    }
  }
}

TEST_CASE("every code has an example") {
  std::set<std::string> seen;
  for (const auto& path : test::files_in("tests/files/errors", ".smelt"))
    seen.insert(path.stem().string().substr(0, 5));
  for (const DiagnosticInfo& info : all_diagnostics()) {
    CAPTURE(info.code);
    if (info.code.starts_with("E08")) continue;  // of a model that runs: tests/system/nan_test.cpp
    CHECK(seen.contains(std::string(info.code)));
  }
}

}  // namespace
}  // namespace smelt
