// What a body gives beside what it declares: element type, axes and their names.
#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>
#include <vector>

#include "frontend/distributions.h"
#include "frontend/evaluator.h"
#include "frontend/signatures.h"

namespace smelt::frontend {

bool Signatures::refuse_result(const DeclaredResult& declared, const std::string& got, std::string why,
                               std::string help) {
  Diagnostic& said = diagnostics_
                         .report(Diag::E0106, declared.span,
                                 fmt::format("{} is declared as {} but its value is {}", declared.what,
                                             declared_text(declared.type), got))
                         .caret(std::move(why))
                         .label(scopes_.ast()[declared.type].span, "declared here");
  if (!help.empty()) said.with_help(std::move(help));
  return false;
}

/// Checks the value of a body against its declared type; anonymous axes take the declared names.
bool Signatures::check_result(ast::TypeId type_id, Value& value, Span span, std::string_view what) {
  if (!type_id.valid() || value.bad()) return !value.bad();
  const ast::Type& type = scopes_.ast()[type_id];
  const DeclaredResult declared{type_id, span, what};
  if (type.head.empty()) {
    auto* tuple = value.as<TupleValue>();
    if (tuple == nullptr || tuple->items.size() != type.tuple.size())
      return refuse_result(declared, shapes_.describe(value), "");
    for (size_t i = 0; i < tuple->items.size(); ++i)
      if (!check_result(type.tuple[i], tuple->items[i], span, what)) return false;
    return true;
  }
  if (auto* dist = value.as<Distribution>()) {
    if (type.head.text != dist->record->name)
      return refuse_result(declared, shapes_.describe(value), "another distribution");
    Axes axes = distributions_.distribution_axes(*dist, span);
    if (!take_declared_axes(declared, axes, value)) return false;
    dist->shape = axes;
    return true;
  }
  std::optional<Tensor> t = declared_tensor(declared, value);
  if (!t || !take_declared_axes(declared, t->axes, value)) return false;
  value = Value(*t);
  return true;
}

/// The value as a tensor of the declared element type.
std::optional<Tensor> Signatures::declared_tensor(const DeclaredResult& declared, const Value& value) {
  const ast::Type& type = scopes_.ast()[declared.type];
  DimId label = kAnonymous;
  const std::optional<DType> dtype =
      find_distribution(type.head.text) != nullptr ? std::nullopt : dtype_of(type, &label);
  if (!dtype) {
    const bool is_tensor = parse_dtype(type.head.text) || type.head.text == "ix";
    if (!is_tensor) refuse_result(declared, shapes_.describe(value), "not a distribution");
    return std::nullopt;
  }
  std::optional<Tensor> t = graph_.expect_tensor(value, declared.span, dtype);
  if (t && t->weak) t = graph_.cast_to(*t, *dtype, declared.span);
  if (!t) return std::nullopt;
  if (t->dtype != *dtype) {
    refuse_result(declared, shapes_.type_text(*t), "another element type");
    return std::nullopt;
  }
  if (label != kAnonymous && !graph_.check_positions(*t, shapes_.axis_of(label), declared.span)) return std::nullopt;
  if (label != kAnonymous) t->label = label;
  return t;
}

/// Gives `axes`, those of `value`, the names of the declared ones.
bool Signatures::take_declared_axes(const DeclaredResult& declared, Axes& axes, const Value& value) {
  const ast::Type& type = scopes_.ast()[declared.type];
  const auto mismatch = [&](std::string why, std::string help = {}) {
    return refuse_result(declared, shapes_.describe(value), std::move(why), std::move(help));
  };
  std::vector<std::pair<const ast::DimItem*, size_t>> places;
  size_t rest = 0;
  if (!match_axes(type, axes, places, rest))
    return mismatch(fmt::format("{} axes", axes.size()), rank_help(type, axes));
  const Axes given = axes;
  for (const auto& [item, at] : places) {
    if (item->rest) {
      const auto known = scopes_.frame().rests.find(item->rest_name.text);
      bool equal = known != scopes_.frame().rests.end() && known->second.size() == rest;
      for (size_t i = 0; equal && i < rest; ++i) equal = shapes_.unify(known->second[i], axes[at + i]);
      if (!equal) return mismatch(fmt::format("`...{}` stands for other axes", item->rest_name.text));
      std::ranges::copy(known->second, axes.begin() + static_cast<ptrdiff_t>(at));
      continue;
    }
    const std::optional<Axis> wanted = axis_expression(item->extent);
    if (!wanted) return false;
    if (!shapes_.unify(*wanted, axes[at])) {
      if (is_outside(*wanted, axes[at])) continue;
      const std::string name = ast::print(scopes_.ast(), item->extent);
      if (wanted->extent == axes[at].extent && name == shapes_.axis_text(axes[at])) {
        diagnostics_
            .report(Diag::E0106, declared.span,
                    fmt::format("{} is declared with the file's {}, but its value has an axis of the caller's that is "
                                "called {} as well",
                                declared.what, name, name))
            .label(type.span, "declared here")
            .with_help(fmt::format("give the parameter that it comes from a type with {0}, `x: f32[{0}, ..]`: both are "
                                   "one axis then",
                                   name));
        return false;
      }
      if (const std::optional<TurnedAxes> turned = turned_axes(places, axes))
        return mismatch(turned->why, turned->turn + ", or declare the order that it has");
      std::string help;
      if (wanted->extent == axes[at].extent) {
        const auto entries = std::views::transform(type.dims, [&](const ast::DimItem& entry) {
          return entry.rest ? "..." + entry.rest_name.text : ast::print(scopes_.ast(), entry.extent);
        });
        help = fmt::format("axes of equal size that are the same are renamed, `x as [{}]`", fmt::join(entries, ", "));
      }
      return mismatch(fmt::format("{} is not {} ({})", shapes_.sized_text(axes[at]),
                                  ast::print(scopes_.ast(), item->extent), wanted->extent.bound),
                      std::move(help));
    }
    axes[at] = *wanted;
  }
  if (const std::optional<TurnedAxes> turned = misplaced_axis(given, axes))
    return mismatch(turned->why, turned->turn + "; " + turned->rename);
  return true;
}

}  // namespace smelt::frontend
