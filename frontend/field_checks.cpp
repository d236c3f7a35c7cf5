// What the data of a field are compared with when they are read: a range that the file states, and what its type holds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/data_section.h"
#include "frontend/evaluator.h"
#include "ir/rewrite.h"

namespace smelt::frontend {

/// raw * scale + offset, where an expression of a field is that, of a whole column or of a part of each row.
struct DataSection::AffineColumn {
  int32_t column = -1;
  double scale = 1, offset = 0;
  int64_t begin = 0, end = 0;
  bool converted = false;  // by a `cast` that drops what a whole number or a truth cannot hold
};

/// `row()[0 .. 3]`: columns side by side.
std::optional<DataSection::AffineColumn> DataSection::part_of_rows(const Node& slice) {
  const std::optional<AffineColumn> x = affine_column(slice.inputs[0]);
  const std::vector<int64_t>&starts = slice.attrs.integers("starts"), &limits = slice.attrs.integers("limits");
  if (!x || x->end != 0 || starts.size() != 2) return std::nullopt;
  return AffineColumn{x->column, x->scale, x->offset, starts[1], limits[1], x->converted};
}

std::optional<DataSection::AffineColumn> DataSection::affine_column(NodeId id) {
  const Graph& g = graph_.builder().graph();
  const Node& node = g[id];
  if (node.op == OpKind::Gather) {
    for (const auto& [ref, argument] : graph_.context().columns)
      if (argument == node.inputs[0]) return AffineColumn{ref, 1, 0};
    return std::nullopt;
  }
  if (node.op == OpKind::Slice) return part_of_rows(node);
  if (node.op == OpKind::Cast || node.op == OpKind::Reshape || node.op == OpKind::Transpose ||
      node.op == OpKind::Broadcast) {
    std::optional<AffineColumn> x = affine_column(node.inputs[0]);
    if (x && !holds_all(g.type(id).dtype, g.type(node.inputs[0]).dtype)) x->converted = true;
    return x;
  }
  if (node.op != OpKind::Add && node.op != OpKind::Sub && node.op != OpKind::Mul && node.op != OpKind::Div)
    return std::nullopt;
  const auto left = splat_value(g, node.inputs[0]), right = splat_value(g, node.inputs[1]);
  if (left.has_value() == right.has_value() || (left && node.op == OpKind::Div)) return std::nullopt;
  std::optional<AffineColumn> x = affine_column(node.inputs[left ? 1 : 0]);
  if (!x) return std::nullopt;
  const double c = left ? *left : *right;
  if (node.op == OpKind::Mul || node.op == OpKind::Div) {
    const double factor = node.op == OpKind::Mul ? c : 1 / c;
    x->scale *= factor;
    x->offset *= factor;
  } else if (node.op == OpKind::Add) {
    x->offset += c;
  } else {
    if (left) x->scale = -x->scale;
    x->offset = left ? c - x->offset : x->offset - c;
  }
  return x;
}

/// A range that the file states is compared with the data when they are read. Other than affine expressions of one
/// column are taken at their word.
void DataSection::state_range(const ast::FieldDecl& decl, const Tensor& value, const Range& range) {
  auto& ranges = experiment_.data->ranges;
  if (std::ranges::find(ranges, decl.name.text, &ColumnRange::field) != ranges.end()) return;
  const std::optional<AffineColumn> x = affine_column(value.node);
  if (!x || !std::isfinite(x->scale) || !std::isfinite(x->offset)) return;
  ranges.push_back({x->column,
                    x->scale,
                    x->offset,
                    x->begin,
                    x->end,
                    {range.low, range.high},
                    decl.name.text,
                    file_.ast[decl.range].span});
}

/// A field of whole numbers or truths converts a column exactly, or the data are refused when they are read. Numbers
/// that are computed convert where the file says how; a column times a whole number plus a whole number stays whole.
bool DataSection::state_exact(const ast::FieldDecl& decl, const Tensor& value, DType dtype) {
  const auto is_whole = [](double number) { return number == std::floor(number) && std::abs(number) <= 0x1p24; };
  const std::optional<AffineColumn> x = affine_column(value.node);
  if (!x || x->converted || !is_whole(x->scale) || !is_whole(x->offset)) {
    const ast::Type& type = file_.ast[decl.type];
    diagnostics_
        .report(Diag::E0501, file_.ast[decl.value].span,
                fmt::format("field `{}` is declared as {} but its value is computed as {}", decl.name.text,
                            to_string(dtype), to_string(value.dtype)))
        .label(type.span, "declared here")
        .with_help(dtype == DType::Bool ? "compare it with a number, as in `field(0) / 255 > 0.5`"
                                        : fmt::format("convert it: `cast(.., {0})` drops what is behind the point, "
                                                      "`cast(floor(.. + 0.5), {0})` rounds",
                                                      to_string(dtype)));
    return false;
  }
  auto& exact = experiment_.data->exact;
  if (std::ranges::find(exact, decl.name.text, &ColumnExact::field) == exact.end())
    exact.push_back(
        {x->column, dtype, x->scale, x->offset, x->begin, x->end, decl.name.text, file_.ast[decl.type].span});
  return true;
}

/// A number of a wider column that is too large for the field would become an infinity in silence.
void DataSection::state_narrowed(const ast::FieldDecl& decl, const Tensor& value, DType dtype) {
  const std::optional<AffineColumn> x = affine_column(value.node);
  if (!x) return;
  const DType column = experiment_.data->columns[static_cast<size_t>(x->column)].dtype;
  const bool narrows = (column == DType::F64 && dtype != DType::F64) ||
                       (dtype == DType::F16 && (!is_float(column) ? size_of(column) > 2 : column != DType::F16));
  auto& narrowed = experiment_.data->narrowed;
  if (narrows && std::ranges::find(narrowed, decl.name.text, &ColumnExact::field) == narrowed.end())
    narrowed.push_back(
        {x->column, dtype, x->scale, x->offset, x->begin, x->end, decl.name.text, file_.ast[decl.type].span});
}

}  // namespace smelt::frontend
