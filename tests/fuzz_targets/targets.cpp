#include "tests/fuzz_targets/targets.h"

#include "frontend/build_experiment.h"
#include "frontend/format/format_text.h"
#include "frontend/parser.h"
#include "ir/support/check.h"
#include "ir/verifier.h"

namespace smelt::fuzz_targets {

void parse_text(const std::string& text) {
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({"fuzz.smelt", text});
  (void)parse(sources, file, diagnostics);
  (void)render(diagnostics, sources);
  (void)render_json(diagnostics, sources);
  if (diagnostics.has_errors()) return;
  Diagnostics ignored;
  const std::optional<std::string> once = format_text(sources, file, ignored);
  SMELT_CHECK(once.has_value(), "a text that is parsed is not laid out");
  SourceMap again;
  const std::optional<std::string> twice = format_text(again, again.add({"fuzz.smelt", *once}), ignored);
  SMELT_CHECK(twice == once, "the layout of a layout is another one");
}

void build_text(const std::string& text) {
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({"fuzz.smelt", text});
  const std::optional<Experiment> experiment = build_experiment(sources, file, {}, diagnostics);
  (void)render(diagnostics, sources);
  SMELT_CHECK(experiment.has_value() != diagnostics.has_errors(), "an experiment with errors, or nothing without any");
  if (!experiment) return;
  for (const Function& function : experiment->functions) {
    const std::vector<std::string> problems = verify(function.graph);
    SMELT_CHECK(problems.empty(), "{}: {}", function.name, problems.front());
  }
}

}  // namespace smelt::fuzz_targets
