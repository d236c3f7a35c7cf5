#include "frontend/elaborator.h"

#include <cmath>

#include "frontend/lints/lint.h"

namespace smelt::frontend {

namespace {

/// The file's name without folders and `.smelt`.
std::string stem_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (name.ends_with(".smelt")) name.resize(name.size() - 6);
  return name;
}

}  // namespace

void Elaborator::look_for_lints() {
  run_lints({.file = file_,
             .experiment = experiment_,
             .shapes = shapes_,
             .functions = functions_.all(),
             .runs = [&](size_t i) { return train_.runs_somewhere(experiment_.objectives[i].name); },
             .is_average = [&](int32_t v) { return averages_.contains(v); },
             .shortened = options_.epochs || options_.steps,
             .diagnostics = diagnostics_});
}

/// False when there are errors, which later stages would only repeat.
bool Elaborator::build() {
  train_.read_precision();
  names_.set_config();
  data_.check_data_sections();
  names_.declare_all();
  data_.find_data();
  bodies_.declare_objectives();
  step_lines_.read_step_lines();
  averages_.read();
  bodies_.discover();
  if (diagnostics_.has_errors()) return false;
  averages_.declare_variables();
  bodies_.build_objectives();
  if (diagnostics_.has_errors()) return false;
  averages_.check_trained([&](size_t objective) { return step_lines_.has_line(objective); });
  bodies_.build_others();
  train_.build_train();
  if (diagnostics_.has_errors()) return false;
  look_for_lints();
  bodies_.build_init();
  bodies_.resolve_sites();
  bodies_.combine_batches();
  return !diagnostics_.has_errors();
}

void Elaborator::tell_of_bindings() {
  scopes_.observe([this](const ast::Ident& name, const Value& value) {
    if (name.span.empty() || name.span.file != file_.file || value.bad()) return;
    BoundName bound{.span = name.span, .type = shapes_.describe(value)};
    if (const auto* t = value.as<Tensor>()) {
      bound.type = shapes_.type_text(*t);
      bound.is_tensor = true;
      bound.bytes = size_of(t->dtype) * num_elements(shape_of(t->axes)).value_or(0);
      if (t->range && std::isfinite(t->range->low) && std::isfinite(t->range->high))
        bound.range = {t->range->low, t->range->high};
    }
    options_.on_binding(bound);
  });
}

std::optional<Experiment> Elaborator::run() {
  if (options_.on_binding) tell_of_bindings();
  experiment_.name = stem_of(sources_.buffer(file_.file).name);
  const auto in_init = graph_.enter(functions_.init());
  if (!build()) return std::nullopt;
  experiment_.functions = functions_.take(experiment_.symbols);
  return std::move(experiment_);
}

}  // namespace smelt::frontend
