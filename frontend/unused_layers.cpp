#include "frontend/unused_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frontend/ast_walk.h"

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

class UnusedLayers {
 public:
  UnusedLayers(SourceMap& sources, const FileScope& file, const Elaborate& elaborate, Diagnostics& diagnostics)
      : sources_(sources), file_(file), elaborate_(elaborate), diagnostics_(diagnostics) {}

  void run() {
    for (const ast::ModelDecl& model : file_.ast.models) reach(model.layer);
    for (const ast::LayerDecl& layer : file_.ast.layers) {
      if (!reached_.contains(layer.name.text)) check(layer);
    }
  }

 private:
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

  /// A model of the layer and an export that applies it.
  std::optional<std::string> application(const ast::LayerDecl& layer, const Trial& trial) const {
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
    return fmt::format("\nmodel _tried = {}{{{}}}\nexport _try({}) = _tried({})\n", layer.name.text,
                       fmt::join(attributes, ", "), fmt::join(params, ", "), fmt::join(names, ", "));
  }

  /// What is wrong with the shapes in the layer's body, as places of the file.
  std::vector<Diagnostic> errors_of(const ast::LayerDecl& layer, const Trial& trial) {
    const std::optional<std::string> text = application(layer, trial);
    if (!text) return {};
    const SourceBuffer& own = sources_.buffer(file_.file);
    const uint32_t tried = sources_.add({own.name, own.text + *text});
    Diagnostics found;
    elaborate_(tried, found);
    std::vector<Diagnostic> errors;
    for (Diagnostic& error : found.sorted()) {
      const Span body = layer.body.span;
      if (!is_shape_error(error) || error.span.file != tried || error.span.begin < body.begin ||
          error.span.end > body.end)
        continue;
      error.span.file = file_.file;
      for (Label& label : error.labels)
        if (label.span.file == tried) label.span.file = file_.file;
      errors.push_back(std::move(error));
    }
    return errors;
  }

  void check(const ast::LayerDecl& layer) {
    std::vector<Diagnostic> errors = errors_of(layer, kTrials[0]);
    for (size_t trial = 1; trial < kTrials.size() && !errors.empty(); ++trial) {
      const std::vector<Diagnostic> others = errors_of(layer, kTrials[trial]);
      std::erase_if(errors, [&](const Diagnostic& error) {
        return std::ranges::none_of(others, [&](const Diagnostic& other) {
          return other.code == error.code && other.span.begin == error.span.begin && other.span.end == error.span.end;
        });
      });
    }
    for (Diagnostic& error : errors) {
      Diagnostic& report = diagnostics_.report(error.code, error.span, error.message);
      report = std::move(error);
      report.note(fmt::format("no model uses layer `{}`: it was tried with sizes of its own", layer.name.text));
    }
  }

  SourceMap& sources_;
  const FileScope& file_;
  const Elaborate& elaborate_;
  Diagnostics& diagnostics_;
  std::set<std::string> reached_;
};

}  // namespace

void check_unused_layers(SourceMap& sources, const FileScope& file, const Elaborate& elaborate,
                         Diagnostics& diagnostics) {
  UnusedLayers(sources, file, elaborate, diagnostics).run();
}

}  // namespace smelt::frontend
