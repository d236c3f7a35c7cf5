#include "frontend/build_experiment.h"

#include "frontend/check_names.h"
#include "frontend/elaborator.h"
#include "frontend/parser.h"

namespace smelt {

std::optional<Experiment> build_experiment(SourceMap& sources, uint32_t file, const FrontendOptions& options, Diagnostics& diagnostics) {
  frontend::FileScope scope;
  scope.file = file;
  scope.ast = parse(sources, file, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  if (scope.ast.models.empty()) {
    diagnostics.report(Diag::E0001, {}, sources.buffer(file).name + " declares no model")
        .with_help("the smallest one: `dim B <= 64, X = 2` `layer Net(x: f32[B, X]) -> f32[B, 1] { x |> out: Dense{1} }` `model net = Net`");
    return std::nullopt;
  }
  Diagnostics library_diagnostics;
  const frontend::Library library(sources, library_diagnostics);
  frontend::declare_names(scope, diagnostics);
  frontend::check_names(scope, library, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  return frontend::Elaborator(sources, library, scope, options, diagnostics).run();
}

}  // namespace smelt
