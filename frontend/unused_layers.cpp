#include "frontend/unused_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "frontend/ast_walk.h"
#include "ir/experiment.h"

namespace smelt::frontend {
namespace {

/// Sizes for the dims that a head binds, and numbers for attributes. They divide each other as those of models do, and
/// differ, so that an error that all of them give is no matter of size.
struct Trial {
  std::array<int64_t, 4> sizes;
  int64_t attribute;
};
constexpr std::array kTrials = {Trial{{24, 48, 96, 72}, 4}, Trial{{48, 72, 24, 96}, 2}, Trial{{96, 24, 72, 48}, 8}};

bool is_shape_error(const Diagnostic& diagnostic) {
  return diagnostic.code >= Diag::E0101 && diagnostic.code <= Diag::E0111;
}

/// What is applied to values: a layer by a model that is made for it, or a model that nothing applies.
struct Subject {
  const ast::LayerDecl& layer;
  const ast::ModelDecl* model = nullptr;
};

/// The text to add to the file. It is exact when the file says all sizes and attributes: then each error is one.
struct Application {
  std::string text;
  bool exact = false;
};

class UnusedLayers {
 public:
  UnusedLayers(SourceMap& sources, const FileScope& file, const Experiment& experiment, const Elaborate& elaborate,
               Diagnostics& diagnostics)
      : sources_(sources), file_(file), experiment_(experiment), elaborate_(elaborate), diagnostics_(diagnostics) {}

  void run() {
    for (const ast::ModelDecl& model : file_.ast.models) {
      reach(model.layer);
      const ast::LayerDecl* const layer = layer_of(model);
      if (layer != nullptr && !is_applied(model)) check({*layer, &model});
    }
    for (const ast::LayerDecl& layer : file_.ast.layers) {
      if (!reached_.contains(layer.name.text)) check({layer});
    }
  }

 private:
  /// Of the file; null for one of the library.
  const ast::LayerDecl* layer_of(const ast::ModelDecl& model) const {
    const auto* attributes = file_.ast.as<ast::AttrExpr>(model.layer);
    const auto* name = file_.ast.as<ast::NameExpr>(attributes != nullptr ? attributes->callee : model.layer);
    if (name == nullptr) return nullptr;
    const auto found =
        std::ranges::find(file_.ast.layers, name->name,
                          [](const ast::LayerDecl& layer) -> const std::string& { return layer.name.text; });
    return found == file_.ast.layers.end() ? nullptr : &*found;
  }

  /// A net that something applies has its parameters. One without any is tried once more.
  bool is_applied(const ast::ModelDecl& model) const {
    return std::ranges::any_of(experiment_.variables, [&](const Variable& variable) {
      return variable.path.starts_with(model.name.text + ".");
    });
  }

  void reach(ast::ExprId id) {
    if (!id.valid()) return;
    const ast::Expr& e = file_.ast[id];
    if (const auto* name = std::get_if<ast::NameExpr>(&e.node); name != nullptr && reached_.insert(name->name).second) {
      for (const ast::LayerDecl& layer : file_.ast.layers) {
        if (layer.name.text != name->name) continue;
        for (const ast::Param& attribute : layer.attributes) reach(attribute.default_value);
        ast::for_each_child(file_.ast, layer.body, [&](ast::ExprId child) { reach(child); });
      }
    }
    ast::for_each_child(file_.ast, e, [&](ast::ExprId child) { reach(child); });
  }

  /// `f32[B, 24]` for a parameter: dims of the file as they are, a number for each of the others. Nothing for a type
  /// that needs more than that.
  std::optional<std::string> type_of(const ast::Param& param, const Trial& trial,
                                     std::vector<std::string>& bound) const {
    if (!param.type.valid()) return std::nullopt;
    const ast::Type& type = file_.ast[param.type];
    if (type.head.text != "f32" || !type.has_dims) return std::nullopt;
    std::vector<std::string> dims;
    for (const ast::DimItem& item : type.dims) {
      const auto* name = item.rest ? nullptr : file_.ast.as<ast::NameExpr>(item.extent);
      if (name == nullptr) return std::nullopt;
      if (file_.names.contains(name->name)) {
        dims.push_back(name->name);
        continue;
      }
      const auto known = std::ranges::find(bound, name->name);
      const auto at = static_cast<size_t>(known - bound.begin());
      if (known == bound.end()) bound.push_back(name->name);
      if (at >= trial.sizes.size()) return std::nullopt;
      dims.push_back(std::to_string(trial.sizes[at]));
    }
    return fmt::format("f32[{}]", fmt::join(dims, ", "));
  }

  /// An export that applies the model, or one of the layer.
  std::optional<Application> application(const Subject& subject, const Trial& trial) const {
    const ast::LayerDecl& layer = subject.layer;
    std::vector<std::string> attributes, params, names, bound;
    for (const ast::Param& attribute : layer.attributes)
      if (!attribute.default_value.valid())
        attributes.push_back(fmt::format("{} = {}", attribute.name.text, trial.attribute));
    for (const ast::Param& param : layer.params) {
      const std::optional<std::string> type = type_of(param, trial, bound);
      if (!type) return std::nullopt;
      params.push_back(fmt::format("{}: {}", param.name.text, *type));
      names.push_back(param.name.text);
    }
    const bool made = subject.model == nullptr;
    const std::string model =
        made ? fmt::format("model _tried = {}{{{}}}\n", layer.name.text, fmt::join(attributes, ", ")) : std::string();
    return Application{fmt::format("\n{}export _try({}) = {}({})\n", model, fmt::join(params, ", "),
                                   made ? std::string_view("_tried") : std::string_view(subject.model->name.text),
                                   fmt::join(names, ", ")),
                       bound.empty() && (!made || attributes.empty())};
  }

  /// What is wrong with the shapes in layers of the file, as places of the file.
  std::vector<Diagnostic> errors_of(const Application& application) {
    const SourceBuffer& own = sources_.buffer(file_.file);
    const size_t own_size = own.text.size();
    const uint32_t tried = sources_.add({own.name, own.text + application.text});
    Diagnostics found;
    elaborate_(tried, found);
    std::vector<Diagnostic> errors;
    for (Diagnostic& error : found.sorted()) {
      const auto is_own = [&](const Span& span) { return span.file == tried && span.end <= own_size; };
      if ((!application.exact && !is_shape_error(error)) || !is_own(error.span)) continue;
      error.span.file = file_.file;
      std::erase_if(error.labels, [&](const Label& label) { return label.span.file == tried && !is_own(label.span); });
      for (Label& label : error.labels)
        if (label.span.file == tried) label.span.file = file_.file;
      errors.push_back(std::move(error));
    }
    return errors;
  }

  void check(const Subject& subject) {
    const std::optional<Application> first = application(subject, kTrials[0]);
    if (!first) return;
    std::vector<Diagnostic> errors = errors_of(*first);
    for (size_t trial = 1; trial < kTrials.size() && !errors.empty() && !first->exact; ++trial) {
      const std::vector<Diagnostic> others = errors_of(*application(subject, kTrials[trial]));
      std::erase_if(errors, [&](const Diagnostic& error) {
        return std::ranges::none_of(others, [&](const Diagnostic& other) {
          return other.code == error.code && other.span.begin == error.span.begin && other.span.end == error.span.end;
        });
      });
    }
    const std::string tried = first->exact ? "it was tried" : "it was tried with sizes of its own";
    for (Diagnostic& error : errors) {
      if (!reported_.emplace(error.code, error.span.begin, error.span.end).second) continue;
      Diagnostic& report = diagnostics_.report(error.code, error.span, error.message);
      report = std::move(error);
      report.note(subject.model != nullptr
                      ? fmt::format("nothing applies model `{}`: {}", subject.model->name.text, tried)
                      : fmt::format("no model uses layer `{}`: {}", subject.layer.name.text, tried));
    }
  }

  SourceMap& sources_;
  const FileScope& file_;
  const Experiment& experiment_;
  const Elaborate& elaborate_;
  Diagnostics& diagnostics_;
  std::set<std::string> reached_;
  std::set<std::tuple<Diag, uint32_t, uint32_t>> reported_;  // two models of one layer share its mistakes
};

}  // namespace

void check_unused_layers(SourceMap& sources, const FileScope& file, const Experiment& experiment,
                         const Elaborate& elaborate, Diagnostics& diagnostics) {
  UnusedLayers(sources, file, experiment, elaborate, diagnostics).run();
}

}  // namespace smelt::frontend
