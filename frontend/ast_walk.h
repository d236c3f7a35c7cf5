// The children of a syntax node, for walks that treat most nodes alike.
#pragma once

#include "frontend/ast.h"

namespace smelt::ast {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};

template <typename F>
void for_each_child(const Ast& ast, TypeId type, F f) {
  if (!type.valid()) return;
  for (const DimItem& item : ast[type].dims)
    if (item.extent.valid()) f(item.extent);
  for (const TypeId part : ast[type].tuple) for_each_child(ast, part, f);
}

template <typename F>
void for_each_child(const Ast& ast, const Declarator& decl, F f) {
  for_each_child(ast, decl.type, f);
  if (decl.init.valid()) f(decl.init);
  if (decl.condition.valid()) f(decl.condition);
}

/// Calls f(ExprId) for each expression directly inside the statement.
template <typename F>
void for_each_child(const Ast& ast, const Stmt& stmt, F f) {
  const auto one = [&](ExprId id) {
    if (id.valid()) f(id);
  };
  std::visit(Overloaded{
                 [&](const ParamStmt& s) { for_each_child(ast, s.decl, one); },
                 [&](const StateStmt& s) {
                   for (const Declarator& d : s.decls) for_each_child(ast, d, one);
                 },
                 [&](const DimStmt& s) {
                   for (const DimDecl& d : s.dims) one(d.extent);
                 },
                 [&](const AssertStmt& s) {
                   one(s.condition), one(s.message);
                   for (const ExprId shown : s.shown) one(shown);
                 },
                 [&](const ReportStmt& s) {
                   for (const Arg& a : s.items) one(a.value);
                 },
                 [&](const AssignStmt& s) {
                   for (const IndexBinder& b : s.binders) one(b.extent);
                   one(s.value);
                 },
                 [&](const DrawStmt& s) { one(s.distribution), one(s.over); },
                 [&](const WriteStmt& s) { one(s.value), one(s.when); },
                 [&](const YieldStmt& s) { one(s.value); },
                 [&](const ExprStmt& s) { one(s.value); },
             },
             stmt.node);
}

template <typename F>
void for_each_child(const Ast& ast, const Block& block, F f) {
  for (const StmtId id : block.statements) for_each_child(ast, ast[id], f);
}

/// Calls f(ExprId) for each expression directly inside `expr`, those of its blocks included.
template <typename F>
void for_each_child(const Ast& ast, const Expr& expr, F f) {
  const auto one = [&](ExprId id) {
    if (id.valid()) f(id);
  };
  const auto dims = [&](const std::vector<DimItem>& items) {
    for (const DimItem& item : items) one(item.extent);
  };
  const auto args = [&](const std::vector<Arg>& list) {
    for (const Arg& arg : list) one(arg.value);
  };
  std::visit(Overloaded{
                 [](const NumberExpr&) {},
                 [](const StringExpr&) {},
                 [](const NameExpr&) {},
                 [&](const TupleExpr& e) {
                   for (const ExprId item : e.items) one(item);
                 },
                 [&](const ListExpr& e) { dims(e.items); },
                 [&](const UnaryExpr& e) { one(e.operand); },
                 [&](const BinaryExpr& e) { one(e.lhs), one(e.rhs); },
                 [&](const CallExpr& e) { one(e.callee), args(e.args); },
                 [&](const AttrExpr& e) { one(e.callee), args(e.args); },
                 [&](const IndexExpr& e) {
                   one(e.base);
                   for (const ExprId index : e.indices) one(index);
                 },
                 [&](const MemberExpr& e) { one(e.base); },
                 [&](const AsExpr& e) { one(e.base), dims(e.dims); },
                 [&](const PipeExpr& e) { one(e.value), one(e.stage); },
                 [&](const RepeatExpr& e) { one(e.count), for_each_child(ast, e.body, one); },
                 [&](const ScanExpr& e) {
                   one(e.count), args(e.carries);
                   if (e.until.valid()) one(e.until);
                   for_each_child(ast, e.body, one);
                 },
                 [&](const IfExpr& e) {
                   one(e.condition), for_each_child(ast, e.then_block, one), for_each_child(ast, e.else_block, one);
                 },
                 [&](const ReduceExpr& e) {
                   for (const IndexBinder& b : e.binders) one(b.extent);
                   one(e.body);
                 },
             },
             expr.node);
}

}  // namespace smelt::ast
