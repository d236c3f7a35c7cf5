#include "frontend/check_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "frontend/ast_walk.h"
#include "frontend/intrinsics.h"
#include "frontend/names.h"
#include "frontend/planned.h"
#include "frontend/unknown_names.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

/// A name bound in a body.
struct Local {
  Span span;
  bool used = false;
  bool warns = true;  // false for parameters, reports and states
};

class NameChecker {
 public:
  NameChecker(const FileScope& scope, const Library& library, Diagnostics& diagnostics)
      : scope_(scope),
        ast_(scope.ast),
        library_(library),
        diagnostics_(diagnostics),
        unknown_(scope, library, diagnostics) {}

  void run() {
    for (const ast::ImportDecl& decl : ast_.imports) import(decl);
    for (const ast::DimDecl& decl : ast_.dims) file_level([&] { expr(decl.extent); });
    for (const ast::ConfigDecl& decl : ast_.configs) file_level([&] { expr(decl.value); });
    for (const ast::ConstDecl& decl : ast_.consts) file_level([&] { type(decl.type), expr(decl.value); });
    for (const ast::ModelDecl& decl : ast_.models) file_level([&] { expr(decl.layer, Place::Callee); });
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
  // ---- scopes ----
  using Scope = std::map<std::string, Local, std::less<>>;

  void push() { blocks_.emplace_back(); }
  void pop() {
    for (const auto& [name, local] : blocks_.back()) {
      if (local.used || !local.warns || name.starts_with("_")) continue;
      diagnostics_.report(Diag::W0001, local.span, fmt::format("`{}` is bound and never read", name))
          .with_help(fmt::format("remove it, or name it `_{}`", name));
    }
    blocks_.pop_back();
  }

  Local* find(std::string_view name) {
    for (size_t i = blocks_.size(); i-- > 0;) {
      if (const auto found = blocks_[i].find(name); found != blocks_[i].end()) return &found->second;
    }
    return nullptr;
  }

  enum class Hiding { Error, Allowed };
  void bind(const ast::Ident& name, bool warns = true, Hiding hiding = Hiding::Error) {
    if (name.empty()) return;
    if (const Local* before = find(name.text)) {
      diagnostics_.report(Diag::E0303, name.span, fmt::format("`{}` is already bound in this body", name.text))
          .label(before->span, "first here")
          .with_help("give the second value a name of its own");
      return;
    }
    if (hiding == Hiding::Error && scope_.names.contains(name.text)) {
      diagnostics_.report(Diag::E0304, name.span, fmt::format("`{}` hides a name of the file", name.text))
          .label(declaration(name.text), "declared here")
          .with_help("choose another name");
    }
    blocks_.back().emplace(name.text, Local{name.span, false, warns});
  }

  Span declaration(std::string_view name) const {
    Span span;
    const auto look = [&](const auto& decls) {
      for (const auto& d : decls)
        if (d.name.text == name) span = d.name.span;
    };
    look(ast_.dims), look(ast_.configs), look(ast_.consts), look(ast_.layers), look(ast_.models), look(ast_.fns),
        look(ast_.optimisers);
    for_each_average([&](const ast::Ident& d) {
      if (d.text == name) span = d.span;
    });
    return span;
  }

  /// `ema G_avg = G` makes a model that the whole file may apply.
  template <typename F>
  void for_each_average(F f) const {
    for (const ast::TrainDecl& train : ast_.trains) {
      for (const ast::TrainItem& item : train.items)
        if (const auto* ema = std::get_if<ast::EmaItem>(&item.node)) f(ema->name);
    }
  }

  // ---- names ----
  bool known_outside(std::string_view name) const {
    if (scope_.names.contains(name) || find_intrinsic(name) != nullptr || builtin_constant(name) || name == "training")
      return true;
    const auto [file, decl] = library_.find(name);
    if (file == nullptr) return false;
    return !std::holds_alternative<const ast::LayerDecl*>(decl) || imported_.contains(std::string(name));
  }

  void use(std::string_view name, Span span, Place place = Place::Value) {
    used_.insert(std::string(name));
    if (tolerated_.contains(std::string(name))) return;
    if (Local* local = find(name)) {
      local->used = true;
      return;
    }
    if (known_outside(name)) return;
    if (const auto later = later_.find(name); later != later_.end()) {
      diagnostics_.report(Diag::E0302, span, fmt::format("`{}` is used before its definition", printable(name)))
          .label(later->second, "defined here");
      return;
    }
    unknown(name, span, place);
  }

  void unknown(std::string_view name, Span span, Place place) {
    std::vector<std::pair<std::string, Span>> locals;
    for (const auto& block : blocks_)
      for (const auto& [local, info] : block) locals.emplace_back(local, info.span);
    unknown_.note(name, span, place, std::move(locals), indices_.contains(std::string(name)));
  }

  // ---- walks ----
  void expr(ast::ExprId id, Place place = Place::Value) {
    if (!id.valid()) return;
    const ast::Expr& e = ast_[id];
    if (const auto* name = std::get_if<ast::NameExpr>(&e.node)) return use(name->name, e.span, place);
    if (const auto* member = std::get_if<ast::MemberExpr>(&e.node)) return expr(member->base, Place::Net);
    if (const auto* call = std::get_if<ast::CallExpr>(&e.node)) return application(call->callee, call->args);
    if (const auto* attributes = std::get_if<ast::AttrExpr>(&e.node))
      return application(attributes->callee, attributes->args);
    if (const auto* pipe = std::get_if<ast::PipeExpr>(&e.node))
      return expr(pipe->value), expr(pipe->stage, Place::Callee);
    if (const auto* list = std::get_if<ast::ListExpr>(&e.node)) return dims(list->items);
    if (const auto* renamed = std::get_if<ast::AsExpr>(&e.node)) return expr(renamed->base), dims(renamed->dims);
    if (const auto* repeat = std::get_if<ast::RepeatExpr>(&e.node))
      return loop(repeat->index, repeat->count, {}, repeat->body);
    if (const auto* scan = std::get_if<ast::ScanExpr>(&e.node))
      return loop(scan->index, scan->count, scan->carries, scan->body);
    if (const auto* choice = std::get_if<ast::IfExpr>(&e.node)) {
      expr(choice->condition);
      block(choice->then_block);
      return block(choice->else_block);
    }
    if (const auto* reduce = std::get_if<ast::ReduceExpr>(&e.node)) return reduction(*reduce);
    ast::for_each_child(ast_, e, [&](ast::ExprId child) { expr(child); });
  }

  void dims(const std::vector<ast::DimItem>& items) {
    for (const ast::DimItem& item : items)
      if (item.extent.valid()) expr(item.extent, Place::Dim);
  }

  void application(ast::ExprId callee, const std::vector<ast::Arg>& args) {
    expr(callee, Place::Callee);
    for (const ast::Arg& arg : args) expr(arg.value, arg.name.text == "over" ? Place::Dim : Place::Value);
  }

  void loop(const ast::Ident& index, ast::ExprId count, const std::vector<ast::Arg>& carries, const ast::Block& body) {
    expr(count);
    for (const ast::Arg& carry : carries) expr(carry.value);
    push();
    bind(index, false);
    for (const ast::Arg& carry : carries) bind(carry.name, false);
    block(body);
    pop();
  }

  void reduction(const ast::ReduceExpr& e) {
    for (const ast::IndexBinder& binder : e.binders) expr(binder.extent);
    push();
    for (const ast::IndexBinder& binder : e.binders) {
      bind(binder.name, false, Hiding::Allowed);
      indices_.insert(binder.name.text);
    }
    expr(e.body);
    pop();
  }

  void type(ast::TypeId id) {
    if (!id.valid()) return;
    const ast::Type& t = ast_[id];
    if (!t.index_dim.empty()) use(t.index_dim.text, t.index_dim.span, Place::Dim);
    dims(t.dims);
    for (const ast::TypeId part : t.tuple) type(part);
  }

  /// Names that a head binds: bare dims that nothing declares, also those of labels.
  void head_dims(ast::TypeId id) {
    if (!id.valid()) return;
    const auto bind_dim = [&](const std::string& name, Span span) {
      if (!name.empty() && find(name) == nullptr && !scope_.names.contains(name))
        blocks_.back().emplace(name, Local{span, true, false});
    };
    for (const ast::DimItem& item : ast_[id].dims) {
      if (const auto* name = ast_.as<ast::NameExpr>(item.extent)) bind_dim(name->name, item.span);
    }
    bind_dim(ast_[id].index_dim.text, ast_[id].index_dim.span);
    type(id);
  }

  /// `result`: the type of the block's value, which may name dims of the block.
  void block(const ast::Block& body, ast::TypeId result = {}) {
    const auto outer = later_;
    for (const ast::StmtId id : body.statements) note_bindings(ast_[id]);
    push();
    for (const ast::StmtId id : body.statements) statement(ast_[id]);
    type(result);
    pop();
    later_ = outer;
  }

  void note_bindings(const ast::Stmt& stmt) {
    const auto note = [&](const ast::Ident& name) { later_.emplace(name.text, name.span); };
    if (const auto* s = std::get_if<ast::AssignStmt>(&stmt.node))
      for (const ast::Ident& name : s->targets) note(name);
    if (const auto* s = std::get_if<ast::DrawStmt>(&stmt.node)) note(s->target);
    if (const auto* s = std::get_if<ast::ParamStmt>(&stmt.node))
      for (const ast::Ident& name : s->decl.names) note(name);
    if (const auto* s = std::get_if<ast::DimStmt>(&stmt.node))
      for (const ast::DimDecl& d : s->dims) note(d.name);
  }

  void statement(const ast::Stmt& stmt) {
    std::visit(ast::Overloaded{
                   [&](const ast::ParamStmt& s) { declarator(s.decl, true); },
                   [&](const ast::StateStmt& s) {
                     for (const ast::Declarator& d : s.decls) declarator(d, false);
                   },
                   [&](const ast::DimStmt& s) {
                     for (const ast::DimDecl& d : s.dims) {
                       expr(d.extent);
                       bind(d.name);
                     }
                   },
                   [&](const ast::AssignStmt& s) { assign(s); },
                   [&](const ast::DrawStmt& s) {
                     expr(s.distribution), expr(s.over);
                     bind(s.target);
                   },
                   [&](const ast::WriteStmt& s) {
                     use(s.target.text, s.target.span);
                     expr(s.value), expr(s.when);
                   },
                   [&](const auto&) { ast::for_each_child(ast_, stmt, [&](ast::ExprId id) { expr(id); }); },
               },
               stmt.node);
  }

  void declarator(const ast::Declarator& decl, bool warns) {
    type(decl.type);
    expr(decl.init), expr(decl.condition);
    for (const ast::Ident& name : decl.names) bind(name, warns);
  }

  void assign(const ast::AssignStmt& s) {
    if (s.formula) {
      push();
      for (const ast::IndexBinder& binder : s.binders) {
        expr(binder.extent);
        bind(binder.name, false, Hiding::Allowed);
      }
      expr(s.value);
      pop();
    } else {
      expr(s.value);
    }
    for (const ast::Ident& name : s.targets) bind(name);
  }

  void body(const ast::Body& b, ast::TypeId result = {}) {
    if (!b.expr.valid()) return block(b.block, result);
    expr(b.expr);
    type(result);
  }

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

  void layer(const ast::LayerDecl& decl) {
    push();
    for (const ast::Param& attribute : decl.attributes) {
      expr(attribute.default_value);
      bind(attribute.name, false, Hiding::Allowed);
    }
    params(decl.params, true);
    for (const ast::Arg& option : decl.options) expr(option.value);
    block(decl.body, decl.result);
    pop();
  }

  void function(const ast::FnDecl& decl) {
    push();
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
    params(decl.params, false);
    block(decl.body);
    pop();
  }

  /// Sizes and shares of a split. Its reader, and the words among its options, are checked with the data.
  void numbers_of_split(ast::ExprId id) {
    if (const auto* pipe = ast_.as<ast::PipeExpr>(id)) {
      numbers_of_split(pipe->value);
      numbers_of_split(pipe->stage);
    } else if (const auto* call = ast_.as<ast::CallExpr>(id)) {
      for (const ast::Arg& arg : call->args) {
        static constexpr std::string_view kWords[] = {"fit", "label", "over"};
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
      std::visit(ast::Overloaded{
                     [&](const ast::BatchItem& i) { use(i.dim.text, i.dim.span, Place::Dim), expr(i.size); },
                     [&](const ast::NumberItem& i) { expr(i.value); },
                     [&](const ast::StepItem& i) { step(i); },
                     [&](const ast::LoopItem& i) {
                       for (const auto& g : i.groups)
                         for (const auto& e : g.entries) expr(e.times);
                     },
                     [&](const ast::EmaItem& i) { expr(i.model, Place::Net), expr(i.decay); },
                     [&](const ast::EveryItem& i) { actions(i); },
                     [&](const ast::StopItem& i) { stop(i.condition), expr(i.evaluations); },
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

  /// Names of objectives stand for their last loss.
  void stop(ast::ExprId condition) {
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
    for (const auto& [name, span] : imported_) warn({name, span}, "imported layer");
  }

  const FileScope& scope_;
  const ast::Ast& ast_;
  const Library& library_;
  Diagnostics& diagnostics_;
  UnknownNames unknown_;
  std::vector<Scope> blocks_;
  std::map<std::string, Span, std::less<>> later_;  // bound by a later statement of an enclosing block
  std::map<std::string, Span> imported_;
  std::set<std::string> used_;
  std::set<std::string> indices_;    // of `sum[..]` and the like so far
  std::set<std::string> tolerated_;  // names whose declaration is an error of its own
};

}  // namespace

void check_names(const FileScope& scope, const Library& library, Diagnostics& diagnostics) {
  NameChecker(scope, library, diagnostics).run();
}

}  // namespace smelt::frontend
