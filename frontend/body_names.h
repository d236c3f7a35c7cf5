// Names in bodies: what is bound, hidden, read before it is bound, or read by nothing. check_names.cpp walks through
// the declarations of a file with it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast_walk.h"
#include "frontend/unknown_names.h"

namespace smelt::frontend {

class BodyNames {
 protected:
  /// A name bound in a body.
  struct Local {
    Span span;
    bool used = false;
    bool warns = true;  // false for parameters, reports and states
  };

  BodyNames(const FileScope& scope, const Library& library, Diagnostics& diagnostics)
      : scope_(scope),
        ast_(scope.ast),
        library_(library),
        diagnostics_(diagnostics),
        unknown_(scope, library, diagnostics) {}

  // ---- scopes ----
  using Scope = std::map<std::string, Local, std::less<>>;
  void push() { blocks_.emplace_back(); }
  void pop();
  Local* find(std::string_view name);
  enum class Hiding { Error, Allowed };
  void bind(const ast::Ident& name, bool warns = true, Hiding hiding = Hiding::Error);
  Span declaration(std::string_view name) const;
  /// `ema G_avg = G` makes a model that the whole file may apply.
  template <typename F>
  void for_each_average(F f) const {
    for (const ast::TrainDecl& train : ast_.trains) {
      for (const ast::TrainItem& item : train.items)
        if (const auto* ema = std::get_if<ast::EmaItem>(&item.node)) f(ema->name);
    }
  }

  // ---- names ----
  bool known_outside(std::string_view name) const;
  void use(std::string_view name, Span span, Place place = Place::Value);
  void unknown(std::string_view name, Span span, Place place);

  // ---- walks ----
  void expr(ast::ExprId id, Place place = Place::Value);
  void dims(const std::vector<ast::DimItem>& items);
  void application(ast::ExprId callee, Place place, const std::vector<ast::Arg>& args);
  void loop(const ast::Ident& index, ast::ExprId count, const std::vector<ast::Arg>& carries, ast::ExprId until,
            const ast::Block& body);
  void reduction(const ast::ReduceExpr& e);
  void type(ast::TypeId id);
  /// Names that a head binds: bare dims that nothing declares, also those of labels.
  void head_dims(ast::TypeId id);
  /// `result`: the type of the block's value, which may name dims of the block.
  void block(const ast::Block& body, ast::TypeId result = {});
  /// `noted`: the names that no block around binds later.
  void note_bindings(const ast::Stmt& stmt, std::vector<std::string>& noted);
  void statement(const ast::Stmt& stmt);
  void declarator(const ast::Declarator& decl, bool warns);
  void assign(const ast::AssignStmt& s);
  void body(const ast::Body& b, ast::TypeId result = {});

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

}  // namespace smelt::frontend
