// Which names a file declares and uses, before anything is evaluated.
#include "frontend/check_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/body_names.h"
#include "ir/readers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

class NameChecker : private BodyNames {
 public:
  NameChecker(const FileScope& scope, const Library& library, Diagnostics& diagnostics)
      : BodyNames(scope, library, diagnostics) {}

  void run() {
    for (const ast::ImportDecl& decl : ast_.imports) import(decl);
    for (const ast::DimDecl& decl : ast_.dims) file_level([&] { expr(decl.extent); });
    for (const ast::ConfigDecl& decl : ast_.configs) file_level([&] { expr(decl.value); });
    for (const ast::ConstDecl& decl : ast_.consts) file_level([&] { type(decl.type), expr(decl.value); });
    for (const ast::ModelDecl& decl : ast_.models) file_level([&] { expr(decl.layer, Place::Layer); });
    for (const ast::LayerDecl& decl : ast_.layers) layer(decl);
    for (const ast::FnDecl& decl : ast_.fns) function(decl);
    for (const ast::OptimiserDecl& decl : ast_.optimisers) optimiser(decl);
    for (const ast::ObjectiveDecl& decl : ast_.objectives) objective(decl);
    for (const ast::DataDecl& decl : ast_.data) data(decl);
    for (const ast::TrainDecl& decl : ast_.trains) train(decl);
    unknown_.report(used_, [this](std::string_view name) { return declaration(name); });
    unused_declarations();
  }

 private:
  // ---- declarations ----
  template <typename F>
  void file_level(F walk) {
    push();
    walk();
    pop();
  }

  void import(const ast::ImportDecl& decl) {
    std::string module;
    for (const ast::Ident& part : decl.module) module += (module.empty() ? "" : ".") + part.text;
    const FileScope* const file = module.starts_with("std.") ? library_.find_file(module.substr(4)) : nullptr;
    if (file == nullptr) {
      diagnostics_.report(Diag::E0306, decl.span, fmt::format("no module `{}`", printable(module)))
          .with_help("layers come from `std.nn` and `std.sequence`; files cannot import each other");
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, d] : file->names) names.push_back(name);
    for (const ast::Ident& name : decl.names) {
      if (!file->names.contains(name.text)) {
        tolerated_.insert(name.text);
        const FileScope* const other = library_.find(name.text).first;
        diagnostics_.report(Diag::E0306, name.span, fmt::format("`{}` has no `{}`", module, printable(name.text)))
            .with_help(other == nullptr ? did_you_mean(name.text, names)
                                        : fmt::format("`{0}` is in `std.{1}`: write `import std.{1} ({0})`", name.text,
                                                      other->name));
      } else if (scope_.names.contains(name.text)) {
        diagnostics_.report(Diag::E0303, name.span, fmt::format("`{}` is imported and declared", name.text))
            .label(declaration(name.text), "declared here");
      } else if (!imported_.emplace(name.text, name.span).second) {
        diagnostics_.report(Diag::E0303, name.span, fmt::format("`{}` is imported twice", name.text));
      }
    }
  }

  void params(const std::vector<ast::Param>& list, bool heads) {
    for (const ast::Param& param : list) {
      if (heads)
        head_dims(param.type);
      else
        type(param.type);
      expr(param.default_value), expr(param.distribution);
    }
    for (const ast::Param& param : list) bind(param.name, false);
  }

  /// What may stand behind the type of a parameter: of an export a distribution, of what the file calls a default.
  struct Behind {
    bool defaults = false, draws = false;
  };
  void inputs(const std::vector<ast::Param>& params, Behind allowed) {
    for (const ast::Param& param : params) {
      const std::string name(printable(param.name.text));
      if (param.distribution.valid() && !allowed.draws)
        diagnostics_
            .report(Diag::E0701, param.name.span,
                    fmt::format("`{}` is drawn in its head, as inputs of exports alone are", name))
            .with_help(fmt::format("draw it in the body: `{} ~ {}`", name, ast::print(ast_, param.distribution)));
      if (param.default_value.valid() && !allowed.defaults)
        diagnostics_
            .report(Diag::E0701, param.name.span,
                    fmt::format("a default of `{}`, which {}, is not supported", name,
                                allowed.draws ? "is an input of an export" : "takes the data field of its name"))
            .with_help(
                allowed.draws
                    ? fmt::format("declare `config {} = {}`, which `--set {}=..` changes, and leave the input out",
                                  name, ast::print(ast_, param.default_value), name)
                    : "leave the default out: every row of the data has the field");
    }
  }

  void layer(const ast::LayerDecl& decl) {
    push();
    for (const ast::Param& attribute : decl.attributes) {
      expr(attribute.default_value);
      bind(attribute.name, false, Hiding::Allowed);
    }
    inputs(decl.params, {.defaults = true});
    params(decl.params, true);
    for (const ast::Arg& option : decl.options) expr(option.value);
    block(decl.body, decl.result);
    pop();
  }

  void function(const ast::FnDecl& decl) {
    push();
    inputs(decl.params, {.defaults = decl.kind == ast::FnKind::Fn, .draws = decl.kind == ast::FnKind::Export});
    params(decl.params, decl.kind == ast::FnKind::Fn);
    body(decl.body, decl.result);
    if (decl.vjp) {
      push();
      bind(decl.vjp->result, false);
      bind(decl.vjp->cotangent, false);
      body(decl.vjp->body);
      pop();
    }
    pop();
  }

  void optimiser(const ast::OptimiserDecl& decl) {
    push();
    params(decl.params, false);
    for (const ast::Ident* name : {&decl.param, &decl.gradient, &decl.update}) bind(*name, false);
    block(decl.body);
    pop();
  }

  void objective(const ast::ObjectiveDecl& decl) {
    push();
    for (const ast::ExprId id : decl.updates) expr(id, Place::Net);
    inputs(decl.params, {});
    params(decl.params, false);
    block(decl.body);
    pop();
  }

  bool is_reader(ast::ExprId callee) const {
    const auto* name = ast_.as<ast::NameExpr>(callee);
    return name != nullptr && find_reader_record(name->name) != nullptr;
  }

  /// Sizes and shares of a split. Its reader, and the words among its options, are checked with the data.
  void numbers_of_split(ast::ExprId id) {
    if (const auto* pipe = ast_.as<ast::PipeExpr>(id)) {
      numbers_of_split(pipe->value);
      numbers_of_split(pipe->stage);
    } else if (const auto* call = ast_.as<ast::CallExpr>(id)) {
      for (const ast::Arg& arg : call->args) {
        static constexpr std::string_view kWords[] = {"fit", "label", "over"};
        if (arg.name.empty() && is_reader(call->callee)) continue;  // a path
        const bool word = std::ranges::find(kWords, arg.name.text) != std::end(kWords) &&
                          ast_.as<ast::NameExpr>(arg.value) != nullptr;
        if (!word) expr(arg.value);
      }
    }
  }

  void data(const ast::DataDecl& decl) {
    push();
    for (const ast::FieldDecl& field : decl.entries) {
      type(field.type);
      expr(field.range);
      if (field.type.valid()) {
        expr(field.value);
      } else {
        numbers_of_split(field.value);
      }
    }
    pop();
  }

  void train(const ast::TrainDecl& decl) {
    push();
    for (const ast::TrainItem& item : decl.items) {
      std::visit(
          ast::Overloaded{
              [&](const ast::BatchItem& i) { use(i.dim.text, i.dim.span, Place::Dim), expr(i.size), expr(i.bucket); },
              [&](const ast::NumberItem& i) { expr(i.value); },
              [&](const ast::StepItem& i) { step(i); },
              [&](const ast::LoopItem& i) {
                for (const auto& g : i.groups)
                  for (const auto& e : g.entries) expr(e.times);
              },
              [&](const ast::EmaItem& i) { expr(i.model, Place::Net), expr(i.decay); },
              [&](const ast::EveryItem& i) { actions(i); },
              [&](const ast::StopItem& i) { stop(i.condition), expr(i.evaluations); },
              [&](const ast::SlowItem& i) { expr(i.factor), expr(i.evaluations); },
              [](const ast::DataItem&) {},
              [](const ast::PrecisionItem&) {},
          },
          item.node);
    }
    pop();
  }

  /// The optimiser itself is looked up with the step line; its options are expressions.
  void step(const ast::StepItem& item) {
    optimiser_of(item.optimiser);
    for (const ast::StepGroup& group : item.groups) optimiser_of(group.optimiser), expr(group.selector);
  }

  void optimiser_of(ast::ExprId optimiser) {
    const auto* call = ast_.as<ast::CallExpr>(optimiser);
    const auto* name = ast_.as<ast::NameExpr>(call != nullptr ? call->callee : optimiser);
    if (name != nullptr) used_.insert(name->name);
    if (call != nullptr)
      for (const ast::Arg& arg : call->args) expr(arg.value);
  }

  void actions(const ast::EveryItem& item) {
    expr(item.count);
    for (const ast::Action& action : item.actions) {
      if (const auto* written = std::get_if<ast::OutputAction>(&action.node)) output(*written);
      if (const auto* checkpoint = std::get_if<ast::CheckpointAction>(&action.node)) expr(checkpoint->keep);
    }
  }

  /// Exports are called as functions.
  void output(const ast::OutputAction& action) {
    push();
    for (const ast::FnDecl& f : ast_.fns)
      if (f.kind == ast::FnKind::Export) blocks_.back().try_emplace(f.name.text, Local{f.name.span, true, false});
    expr(action.value);
    expr(action.rate);
    pop();
  }

  /// A metric has values at its evaluations only, and a condition is asked in each step.
  void metrics_of_stop(ast::ExprId id) {
    if (!id.valid()) return;
    const auto* name = ast_.as<ast::NameExpr>(id);
    const bool metric = name != nullptr && std::ranges::any_of(ast_.fns, [&](const ast::FnDecl& f) {
                          return f.kind == ast::FnKind::Metric && f.name.text == name->name;
                        });
    if (metric && tolerated_.insert(name->name).second)
      diagnostics_
          .report(Diag::E0301, ast_[id].span,
                  fmt::format("`{}` is a metric, and a condition of `stop` names losses", name->name))
          .with_help(fmt::format("write `stop when no better(max {0}, 5)`, with `every 1 epoch {{ eval valid: {0} }}`",
                                 name->name));
    ast::for_each_child(ast_, ast_[id], [&](ast::ExprId child) { metrics_of_stop(child); });
  }

  /// Names of objectives stand for their last loss.
  void stop(ast::ExprId condition) {
    metrics_of_stop(condition);
    push();
    for (const ast::ObjectiveDecl& o : ast_.objectives)
      blocks_.back().emplace(o.name.text, Local{o.name.span, true, false});
    expr(condition);
    pop();
  }

  void unused_declarations() {
    const auto warn = [&](const ast::Ident& name, std::string_view what) {
      if (used_.contains(name.text) || name.text.starts_with("_")) return;
      diagnostics_.report(Diag::W0001, name.span, fmt::format("{} `{}` is never used", what, name.text));
    };
    for (const auto& d : ast_.dims) warn(d.name, "dim");
    for (const auto& d : ast_.configs) warn(d.name, "config");
    for (const auto& d : ast_.consts) warn(d.name, "constant");
    for (const auto& d : ast_.layers) warn(d.name, "layer");
    for (const auto& d : ast_.models) warn(d.name, "model");
    for (const auto& d : ast_.fns)
      if (d.kind == ast::FnKind::Fn) warn(d.name, "function");
    for (const auto& d : ast_.optimisers) warn(d.name, "optimiser");
    for_each_average([&](const ast::Ident& name) { warn(name, "average"); });
    for (const auto& [name, span] : imported_) warn({name, span}, "import");
  }
};

}  // namespace

void check_names(const FileScope& scope, const Library& library, Diagnostics& diagnostics) {
  NameChecker(scope, library, diagnostics).run();
}

}  // namespace smelt::frontend
