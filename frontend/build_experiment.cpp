#include "frontend/build_experiment.h"

#include "frontend/check_names.h"
#include "frontend/elaborator.h"
#include "frontend/parser.h"

namespace smelt {

namespace {

std::optional<Experiment> build(SourceMap& sources, uint32_t file, const FrontendOptions& options,
                                Diagnostics& diagnostics) {
  frontend::FileScope scope;
  scope.file = file;
  scope.ast = parse(sources, file, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  if (scope.ast.models.empty()) {
    diagnostics.report(Diag::E0001, {}, sources.buffer(file).name + " declares no model")
        .with_help("`smelt explain E0001` shows the smallest model file");
    return std::nullopt;
  }
  Diagnostics library_diagnostics;
  const frontend::Library library(sources, library_diagnostics);
  frontend::declare_names(scope, diagnostics);
  frontend::check_names(scope, library, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  return frontend::Elaborator(sources, library, scope, options, diagnostics).run();
}

}  // namespace

std::optional<Experiment> build_experiment(SourceMap& sources, uint32_t file, const FrontendOptions& options,
                                           Diagnostics& diagnostics) {
  std::optional<Experiment> experiment = build(sources, file, options, diagnostics);
  if (diagnostics.has_errors()) diagnostics.drop_warnings();  // what is unused is often the error's consequence
  return experiment;
}

}  // namespace smelt
