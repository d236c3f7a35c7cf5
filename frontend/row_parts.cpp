// Which columns of a table the fields of a data section read.
#include <algorithm>
#include <cstdint>
#include <functional>

#include "frontend/ast_walk.h"
#include "frontend/data_section.h"
#include "frontend/evaluator.h"

namespace smelt::frontend {
namespace {

/// `row()[..]` with one position; null when `id` is something else.
const ast::IndexExpr* part_of_row(const ast::Ast& file, ast::ExprId id) {
  const auto* part = file.as<ast::IndexExpr>(id);
  const auto* call = part != nullptr ? file.as<ast::CallExpr>(part->base) : nullptr;
  const auto* callee = call != nullptr ? file.as<ast::NameExpr>(call->callee) : nullptr;
  return callee != nullptr && callee->name == "row" && part->indices.size() == 1 ? part : nullptr;
}

/// Calls f(part, field) for each `row()[..]` in the fields of a section.
template <typename F>
void for_each_part(const ast::Ast& file, const ast::DataDecl& decl, F f) {
  for (const ast::FieldDecl& entry : decl.entries) {
    if (!entry.type.valid() || !entry.value.valid()) continue;
    const std::function<void(ast::ExprId)> walk = [&](ast::ExprId id) {
      if (const ast::IndexExpr* part = part_of_row(file, id)) f(*part, entry);
      ast::for_each_child(file, file[id], walk);
    };
    walk(entry.value);
  }
}

}  // namespace

/// As many columns as `row()[1 .. 5]`, and the like, ask for; 0 where no field takes a part of its rows. What has no
/// end is as long as its field.
int64_t DataSection::columns_in_parts(const ast::DataDecl& decl) {
  int64_t columns = 0;
  const auto number = [&](ast::ExprId id) -> int64_t {
    const std::optional<double> value = id.valid() ? shapes_.number_of(evaluator_.eval(id)) : std::nullopt;
    return value ? static_cast<int64_t>(*value) : 0;
  };
  const auto end_of = [&](ast::ExprId position, const ast::Type& type) {
    const auto* range = file_.ast.as<ast::BinaryExpr>(position);
    if (range == nullptr || range->op != ast::BinaryOp::Range) return number(position) + 1;
    if (range->rhs.valid()) return number(range->rhs);
    return number(range->lhs) + (type.dims.size() == 1 ? number(type.dims.front().extent) : 0);
  };
  for_each_part(file_.ast, decl, [&](const ast::IndexExpr& part, const ast::FieldDecl& entry) {
    columns = std::max(columns, end_of(part.indices.front(), file_.ast[entry.type]));
  });
  return columns;
}

/// The columns that a position in a row means, where those are numbers or dims of the file.
std::optional<ColumnSpan> DataSection::columns_at(ast::ExprId position) {
  const auto whole_number = [&](ast::ExprId id) -> std::optional<int64_t> {
    if (!id.valid() || (file_.ast.as<ast::NumberExpr>(id) == nullptr && file_.ast.as<ast::NameExpr>(id) == nullptr))
      return std::nullopt;
    const std::optional<double> value = shapes_.number_of(evaluator_.eval(id));
    return value && *value >= 0 ? std::optional(static_cast<int64_t>(*value)) : std::nullopt;
  };
  const auto* range = file_.ast.as<ast::BinaryExpr>(position);
  if (range == nullptr) {
    if (file_.ast.as<ast::NumberExpr>(position) == nullptr) return std::nullopt;
    const std::optional<int64_t> one = whole_number(position);
    return one ? std::optional(ColumnSpan{*one, *one + 1}) : std::nullopt;
  }
  if (range->op != ast::BinaryOp::Range) return std::nullopt;
  const std::optional<int64_t> begin = whole_number(range->lhs),
                               end = range->rhs.valid() ? whole_number(range->rhs) : INT64_MAX;
  return begin && end ? std::optional(ColumnSpan{*begin, *end}) : std::nullopt;
}

/// Notes in `column` what the `field(k)` or `row()` at `span` reads it for: only labels may be words.
void DataSection::note_use(Column& column, const FieldRead& read, Span span) {
  if (column.field != Column::kWholeRow) {
    column.as_number |= !read.label;
    return;
  }
  std::optional<ColumnSpan> columns;
  for_each_part(file_.ast, *data_[static_cast<size_t>(read.section)],
                [&](const ast::IndexExpr& part, const ast::FieldDecl&) {
                  if (file_.ast[part.base].span == span) columns = columns_at(part.indices.front());
                });
  if (columns)
    column.parts.push_back(*columns);
  else
    column.as_number = true;
}

}  // namespace smelt::frontend
