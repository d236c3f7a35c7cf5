// Walks through expressions and statements with the names that are bound at each place.
#include "frontend/body_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/intrinsics.h"
#include "frontend/names.h"

namespace smelt::frontend {

void BodyNames::pop() {
  for (const auto& [name, local] : blocks_.back()) {
    if (local.used || !local.warns || name.starts_with("_")) continue;
    diagnostics_.report(Diag::W0001, local.span, fmt::format("`{}` is bound and never read", name))
        .with_help(fmt::format("remove it, or name it `_{}`", name));
  }
  blocks_.pop_back();
}

BodyNames::Local* BodyNames::find(std::string_view name) {
  for (size_t i = blocks_.size(); i-- > 0;) {
    if (const auto found = blocks_[i].find(name); found != blocks_[i].end()) return &found->second;
  }
  return nullptr;
}

void BodyNames::bind(const ast::Ident& name, bool warns, Hiding hiding) {
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

Span BodyNames::declaration(std::string_view name) const {
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

bool BodyNames::known_outside(std::string_view name) const {
  if (scope_.names.contains(name) || find_intrinsic(name) != nullptr || builtin_constant(name) || name == "training")
    return true;
  const auto [file, decl] = library_.find(name);
  if (file == nullptr) return false;
  return !std::holds_alternative<const ast::LayerDecl*>(decl) || imported_.contains(std::string(name));
}

void BodyNames::use(std::string_view name, Span span, Place place) {
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

void BodyNames::unknown(std::string_view name, Span span, Place place) {
  const auto locals = [this] {
    UnknownNames::Locals all;
    for (const auto& block : blocks_)
      for (const auto& [local, info] : block) all.emplace_back(local, info.span);
    return all;
  };
  unknown_.note(name, span, place, locals, indices_.contains(std::string(name)));
}

void BodyNames::expr(ast::ExprId id, Place place) {
  if (!id.valid()) return;
  const ast::Expr& e = ast_[id];
  if (const auto* name = std::get_if<ast::NameExpr>(&e.node)) return use(name->name, e.span, place);
  if (const auto* member = std::get_if<ast::MemberExpr>(&e.node)) return expr(member->base, Place::Net);
  if (const auto* call = std::get_if<ast::CallExpr>(&e.node))
    return application(call->callee, Place::Callee, call->args);
  if (const auto* attributes = std::get_if<ast::AttrExpr>(&e.node))
    return application(attributes->callee, Place::Layer, attributes->args);
  if (const auto* pipe = std::get_if<ast::PipeExpr>(&e.node))
    return expr(pipe->value), expr(pipe->stage, Place::Callee);
  if (const auto* list = std::get_if<ast::ListExpr>(&e.node)) return dims(list->items);
  if (const auto* element = std::get_if<ast::IndexExpr>(&e.node)) {
    expr(element->base);
    for (const ast::ExprId index : element->indices) expr(index, Place::Position);
    return;
  }
  if (const auto* renamed = std::get_if<ast::AsExpr>(&e.node)) return expr(renamed->base), dims(renamed->dims);
  if (const auto* repeat = std::get_if<ast::RepeatExpr>(&e.node))
    return loop(repeat->index, repeat->count, {}, {}, repeat->body);
  if (const auto* scan = std::get_if<ast::ScanExpr>(&e.node))
    return loop(scan->index, scan->count, scan->carries, scan->until, scan->body);
  if (const auto* choice = std::get_if<ast::IfExpr>(&e.node)) {
    expr(choice->condition);
    block(choice->then_block);
    return block(choice->else_block);
  }
  if (const auto* reduce = std::get_if<ast::ReduceExpr>(&e.node)) return reduction(*reduce);
  ast::for_each_child(ast_, e, [&](ast::ExprId child) { expr(child); });
}

void BodyNames::dims(const std::vector<ast::DimItem>& items) {
  for (const ast::DimItem& item : items)
    if (item.extent.valid()) expr(item.extent, Place::Dim);
}

void BodyNames::application(ast::ExprId callee, Place place, const std::vector<ast::Arg>& args) {
  expr(callee, place);
  for (const ast::Arg& arg : args) expr(arg.value, arg.name.text == "over" ? Place::Dim : Place::Value);
}

void BodyNames::loop(const ast::Ident& index, ast::ExprId count, const std::vector<ast::Arg>& carries,
                     ast::ExprId until, const ast::Block& body) {
  expr(count);
  for (const ast::Arg& carry : carries) expr(carry.value);
  push();
  bind(index, false);
  for (const ast::Arg& carry : carries) bind(carry.name, false);
  block(body);
  if (until.valid()) expr(until);
  pop();
}

void BodyNames::reduction(const ast::ReduceExpr& e) {
  for (const ast::IndexBinder& binder : e.binders) expr(binder.extent);
  push();
  for (const ast::IndexBinder& binder : e.binders) {
    bind(binder.name, false, Hiding::Allowed);
    indices_.insert(binder.name.text);
  }
  expr(e.body);
  pop();
}

void BodyNames::type(ast::TypeId id) {
  if (!id.valid()) return;
  const ast::Type& t = ast_[id];
  if (!t.index_dim.empty()) use(t.index_dim.text, t.index_dim.span, Place::Dim);
  dims(t.dims);
  for (const ast::TypeId part : t.tuple) type(part);
}

void BodyNames::head_dims(ast::TypeId id) {
  if (!id.valid()) return;
  const auto bind_dim = [&](const std::string& name, Span span) {
    if (!name.empty() && find(name) == nullptr && !scope_.names.contains(name))
      blocks_.back().emplace(name, Local{span, true, false});
  };
  for (const ast::DimItem& item : ast_[id].dims) {
    if (const auto* name = ast_.as<ast::NameExpr>(item.extent)) bind_dim(name->name, item.span);
  }
  bind_dim(ast_[id].index_dim.text, ast_[id].index_dim.span);
  for (const ast::TypeId part : ast_[id].tuple) head_dims(part);
  type(id);
}

void BodyNames::block(const ast::Block& body, ast::TypeId result) {
  std::vector<std::string> noted;
  for (const ast::StmtId id : body.statements) note_bindings(ast_[id], noted);
  push();
  for (const ast::StmtId id : body.statements) statement(ast_[id]);
  type(result);
  pop();
  for (const std::string& name : noted) later_.erase(name);
}

void BodyNames::note_bindings(const ast::Stmt& stmt, std::vector<std::string>& noted) {
  const auto note = [&](const ast::Ident& name) {
    if (later_.emplace(name.text, name.span).second) noted.push_back(name.text);
  };
  if (const auto* s = std::get_if<ast::AssignStmt>(&stmt.node))
    for (const ast::Ident& name : s->targets) note(name);
  if (const auto* s = std::get_if<ast::DrawStmt>(&stmt.node)) note(s->target);
  if (const auto* s = std::get_if<ast::ParamStmt>(&stmt.node))
    for (const ast::Ident& name : s->decl.names) note(name);
  if (const auto* s = std::get_if<ast::DimStmt>(&stmt.node))
    for (const ast::DimDecl& d : s->dims) note(d.name);
}

/// Whether the file reads a parameter of this name from outside, as `prior.means`.
static bool is_selected(const ast::Ast& ast, std::string_view name) {
  return std::ranges::any_of(ast.exprs, [&](const ast::Expr& e) {
    const auto* member = std::get_if<ast::MemberExpr>(&e.node);
    return member != nullptr && member->name.text == name;
  });
}

void BodyNames::statement(const ast::Stmt& stmt) {
  std::visit(ast::Overloaded{
                 [&](const ast::ParamStmt& s) {
                   declarator(s.decl, true);
                   for (const ast::Ident& name : s.decl.names)
                     if (Local* local = find(name.text); local != nullptr && is_selected(ast_, name.text))
                       local->used = true;
                 },
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

void BodyNames::declarator(const ast::Declarator& decl, bool warns) {
  type(decl.type);
  expr(decl.init), expr(decl.condition);
  for (const ast::Ident& name : decl.names) bind(name, warns);
}

void BodyNames::assign(const ast::AssignStmt& s) {
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

void BodyNames::body(const ast::Body& b, ast::TypeId result) {
  if (!b.expr.valid()) return block(b.block, result);
  expr(b.expr);
  type(result);
}

}  // namespace smelt::frontend
