#include "frontend/build_experiment.h"

#include <fmt/format.h>

#include "frontend/check_names.h"
#include "frontend/elaborator.h"
#include "frontend/parser.h"
#include "frontend/unused_layers.h"
#include "ir/support/suggest.h"

namespace smelt {

namespace {

/// `--train NAME`, else the first; false when there is no such section.
bool choose_train_section(frontend::FileScope& scope, const std::string& wanted, Diagnostics& diagnostics) {
  if (wanted.empty()) return true;
  std::vector<std::string> names;
  for (size_t i = 0; i < scope.ast.trains.size(); ++i) {
    const std::string& name = scope.ast.trains[i].name.text;
    if (name == wanted) {
      scope.train = i;
      return true;
    }
    if (!name.empty()) names.push_back(name);
  }
  std::string help = did_you_mean(wanted, names);
  if (help.empty())
    help = names.empty() ? "no train section has a name: `train first { .. }` gives it one"
                         : fmt::format("the file has {}", fmt::join(names, ", "));
  diagnostics.report(Diag::E0310, {}, fmt::format("`--train {}` names no train section", printable(wanted)))
      .with_help(std::move(help));
  return false;
}

/// The line that is missing, where the file says what it is for.
std::string help_without_model(const ast::Ast& ast) {
  if (ast.layers.empty()) return "`smelt explain E0001` shows the smallest model file";
  std::string name = "net";
  for (const ast::ObjectiveDecl& objective : ast.objectives) {
    const auto* updated = objective.updates.empty() ? nullptr : ast.as<ast::NameExpr>(objective.updates[0]);
    if (updated != nullptr) name = updated->name;
  }
  return fmt::format("write `model {} = {}`", name, ast.layers.back().name.text);
}

/// What is checked of layers that no model uses, and of models that nothing applies: where the file itself is tried
/// with another model, nothing.
enum class Unused : uint8_t { Tried, LeftAlone };

std::optional<Experiment> build(SourceMap& sources, uint32_t file, const FrontendOptions& options, Unused unused,
                                Diagnostics& diagnostics) {
  frontend::FileScope scope;
  scope.file = file;
  scope.ast = parse(sources, file, diagnostics, nullptr, options.limits);
  if (diagnostics.has_errors()) return std::nullopt;
  if (scope.ast.models.empty()) {  // what else is wrong with its names is said as well
    const Span layer = scope.ast.layers.empty() ? Span{} : scope.ast.layers.back().name.span;
    diagnostics.report(Diag::E0001, layer, sources.buffer(file).name + " declares no model")
        .with_help(help_without_model(scope.ast));
  }
  const frontend::Library library(sources);
  if (!choose_train_section(scope, options.train, diagnostics)) return std::nullopt;
  frontend::declare_names(scope, diagnostics);
  frontend::check_names(scope, library, diagnostics);
  if (diagnostics.has_errors()) return std::nullopt;
  std::optional<Experiment> experiment = frontend::Elaborator(sources, library, scope, options, diagnostics).run();
  if (!experiment || unused == Unused::LeftAlone) return experiment;
  FrontendOptions quiet = options;
  quiet.on_binding = nullptr;
  const auto elaborate = [&](uint32_t tried, Diagnostics& found) {
    (void)build(sources, tried, quiet, Unused::LeftAlone, found);
  };
  frontend::check_unused_layers(sources, scope, *experiment, elaborate, diagnostics);
  return diagnostics.has_errors() ? std::nullopt : std::move(experiment);
}

}  // namespace

std::optional<Experiment> build_experiment(SourceMap& sources, uint32_t file, const FrontendOptions& options,
                                           Diagnostics& diagnostics) {
  std::optional<Experiment> experiment = build(sources, file, options, Unused::Tried, diagnostics);
  if (diagnostics.has_errors()) diagnostics.drop_warnings();  // what is unused is often the error's consequence
  return experiment;
}

}  // namespace smelt
