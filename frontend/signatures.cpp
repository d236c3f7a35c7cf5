#include "frontend/signatures.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/foreign_words.h"
#include "frontend/names.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

std::string Signatures::declared_text(ast::TypeId type) const { return ast::print(scopes_.frame().scope->ast, type); }

/// One entry of a shape: a dim, a number, or an integer attribute, which is an axis of its own inside its
/// layer.
std::optional<Axis> Signatures::axis_expression(ast::ExprId expr) {
  if (scopes_.ast().as<ast::NameExpr>(expr) == nullptr && evaluator_.has_run_time_dim(expr)) {
    const std::optional<Extent> extent = evaluator_.run_time_extent(expr);
    return extent ? std::optional(Axis{kAnonymous, *extent}) : std::nullopt;
  }
  const Value value = evaluator_.eval(expr);
  if (value.bad()) return std::nullopt;
  if (const auto* dim = value.as<DimValue>()) return shapes_.axis_of(dim->id);
  const std::optional<int64_t> size = shapes_.expect_integer(value, scopes_.span_of(expr), "a size");
  if (!size) return std::nullopt;
  if (*size < 1 || *size > kMaxDim) {
    diagnostics_.report(Diag::E0201, scopes_.span_of(expr),
                        fmt::format("a size is {}; sizes are from 1 to {}", *size, kMaxDim));
    return std::nullopt;
  }
  const auto* name = scopes_.ast().as<ast::NameExpr>(expr);
  if (name == nullptr || scopes_.frame().instance == nullptr) return Axis{kAnonymous, Extent(*size)};
  for (const auto& [attribute, bound] : scopes_.frame().instance->attributes) {
    if (attribute != name->name || bound.as<int64_t>() == nullptr) continue;
    const auto [known, is_new] = scopes_.frame().attribute_dims.try_emplace(attribute, kAnonymous);
    if (is_new) {
      known->second = shapes_.new_dim(attribute, Extent(*size), scopes_.span_of(expr));
      scopes_.frame().outside.emplace(known->second, Axis{kAnonymous, Extent(*size)});
    }
    return shapes_.axis_of(known->second);
  }
  return Axis{kAnonymous, Extent(*size)};
}

std::optional<Axes> Signatures::axes_expression(const std::vector<ast::DimItem>& items) {
  Axes axes;
  bool good = true;
  for (const ast::DimItem& item : items) {
    if (item.rest) {
      const auto rest = scopes_.frame().rests.find(item.rest_name.text);
      if (rest == scopes_.frame().rests.end()) {
        diagnostics_
            .report(Diag::E0301, item.span,
                    fmt::format("`...{}` is not bound by the head of this body", item.rest_name.text))
            .with_help(fmt::format("a parameter binds it, `x: f32[...{}, C]`; in an index `..` is all of an axis: "
                                   "`x[.., 0]`",
                                   item.rest_name.text));
        good = false;
      } else {
        axes.insert(axes.end(), rest->second.begin(), rest->second.end());
      }
      continue;
    }
    if (const std::optional<Axis> axis = axis_expression(item.extent))
      axes.push_back(*axis);
    else
      good = false;
  }
  if (!good) return std::nullopt;
  return axes;
}

std::optional<DType> Signatures::dtype_of(const ast::Type& type, DimId* label) {
  if (type.head.empty()) {
    diagnostics_.report(Diag::E0504, type.span, "a tuple of types, where one value has its place")
        .with_help("give each value a name and a type of its own: `x: f32[B, X], scale: f32[B]`");
    return std::nullopt;
  }
  if (type.head.text == "ix") {
    if (type.index_dim.empty()) {
      diagnostics_.report(Diag::E0504, type.head.span, "`ix` needs a dim").with_help("write `ix<Class>`");
      return std::nullopt;
    }
    const Value dim = names_.name_value(type.index_dim.text, type.index_dim.span, {});
    const auto* value = dim.as<DimValue>();
    if (value != nullptr)
      *label = value->id;
    else if (!dim.bad())
      diagnostics_.report(Diag::E0403, type.index_dim.span,
                          fmt::format("`ix<..>` takes a dim, not {}", shapes_.describe(dim)));
    return value != nullptr ? std::optional(DType::I32) : std::nullopt;
  }
  const std::optional<DType> dtype = parse_dtype(type.head.text);
  if (dtype == DType::F32) return graph_.real();
  if (dtype) return dtype;
  constexpr std::string_view kTypes[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "bool", "ix"};
  const std::string known = help_for_foreign_name(type.head.text);
  const bool is_dim =
      std::holds_alternative<const ast::DimDecl*>(scopes_.find_decl(*scopes_.frame().scope, type.head.text).second);
  diagnostics_.report(Diag::E0504, type.head.span, fmt::format("unknown type `{}`", printable(type.head.text)))
      .with_help(!known.empty() ? known
                 : is_dim       ? fmt::format("labels of a dim are `ix<{}>`", type.head.text)
                                : did_you_mean(type.head.text, kTypes));
  return std::nullopt;
}

/// Pairs the entries of a declared shape with axes; `rest` is how many axes `...` stands for. False when the
/// ranks differ.
bool Signatures::match_axes(const ast::Type& type, const Axes& axes,
                            std::vector<std::pair<const ast::DimItem*, size_t>>& places, size_t& rest) {
  const auto rests = std::ranges::count_if(type.dims, &ast::DimItem::rest);
  const size_t fixed = type.dims.size() - static_cast<size_t>(rests);
  if (rests > 1 || axes.size() < fixed || (rests == 0 && axes.size() != fixed)) return false;
  rest = axes.size() - fixed;
  size_t at = 0;
  for (const ast::DimItem& item : type.dims) {
    places.emplace_back(&item, at);
    at += item.rest ? rest : 1;
  }
  return true;
}

/// What an entry of a head stands for before the call: nothing for a name that the call binds.
std::optional<Axis> Signatures::head_axis(const ast::DimItem& item) {
  const auto* name = scopes_.ast().as<ast::NameExpr>(item.extent);
  if (name == nullptr) return axis_expression(item.extent);
  if (const Binding* local = scopes_.find_local(name->name)) {
    if (const auto* dim = local->value.as<DimValue>()) return shapes_.axis_of(dim->id);
    return axis_expression(item.extent);
  }
  const auto [scope, decl] = scopes_.find_decl(*scopes_.frame().scope, name->name);
  if (scope == nullptr) return std::nullopt;
  const Value value = names_.name_value(name->name, item.span, item.extent);
  const auto* dim = value.as<DimValue>();
  if (dim != nullptr && shapes_.dim_of(dim->id).runtime) return std::nullopt;
  return axis_expression(item.extent);
}

/// Binds or checks one entry of a head against the caller's axis, which becomes the axis that the body sees.
bool Signatures::bind_axis(const ast::DimItem& item, Axis& axis, Span span, std::string& why, std::string& help) {
  const auto* name = scopes_.ast().as<ast::NameExpr>(item.extent);
  const std::optional<Axis> expected = head_axis(item);
  if (!expected) {
    if (name == nullptr) return false;  // reported
    const auto [scope, decl] = scopes_.find_decl(*scopes_.frame().scope, name->name);
    if (scope != nullptr) {  // `dim B <= n`: any axis of at most n
      const Value declared = names_.name_value(name->name, span, item.extent);
      const auto* dim = declared.as<DimValue>();
      if (dim == nullptr) return false;
      const int64_t bound = shapes_.dim_of(dim->id).extent.bound;
      if (axis.extent.bound > bound) {
        why = fmt::format("{} is at most {}, and the axis has {}", name->name, bound, axis.extent.bound);
        return false;
      }
      if (axis.dim == dim->id) {  // that dim itself: what the body applies knows it by its name as well
        scopes_.frame().outside.emplace(axis.dim, axis);
        scopes_.frame().blocks.front().emplace(name->name, Binding{Value(*dim), item.span});
        return true;
      }
    }
    const DimId fresh = shapes_.new_dim(name->name, axis.extent, item.span);
    scopes_.frame().outside.emplace(fresh, axis);
    scopes_.frame().blocks.front().emplace(name->name, Binding{Value(DimValue{fresh}), item.span});
    axis = shapes_.axis_of(fresh);
    return true;
  }
  const auto known = scopes_.frame().outside.find(expected->dim);
  const Axis wanted = known == scopes_.frame().outside.end() ? *expected : known->second;
  if (!shapes_.unify(wanted, axis)) {
    why = fmt::format("{} is {}, and the axis is {}", ast::print(scopes_.ast(), item.extent), wanted.extent.bound,
                      shapes_.sized_text(axis));
    if (wanted.extent == axis.extent)
      why =
          fmt::format("{} and {} are different dims", ast::print(scopes_.ast(), item.extent), shapes_.axis_text(axis));
    if (name != nullptr && scopes_.find_local(name->name) == nullptr)
      help = fmt::format(
          "`{0}` is a dim of the file, and means {1}; a name that the file does not declare, such as "
          "`{0}in`, takes an axis of any size",
          name->name, wanted.extent.bound);
    return false;
  }
  axis = *expected;
  return true;
}

/// `ix<K>` with a K that nothing has named yet is the dim of the labels that are given. False: they have none.
bool Signatures::bind_label(const ast::Type& type, const Value& value) {
  const std::string& name = type.index_dim.text;
  if (type.head.text != "ix" || name.empty() || scopes_.find_local(name) != nullptr ||
      scopes_.find_decl(*scopes_.frame().scope, name).first != nullptr)
    return true;
  const auto* given = value.as<Tensor>();
  if (given == nullptr || given->label == kAnonymous) return false;
  const Axis axis = shapes_.axis_of(given->label);
  const DimId fresh = shapes_.new_dim(name, axis.extent, type.index_dim.span);
  scopes_.frame().outside.emplace(fresh, axis);
  scopes_.frame().blocks.front().emplace(name, Binding{Value(DimValue{fresh}), type.index_dim.span});
  return true;
}

bool Signatures::bind_tuple(ast::TypeId type_id, Value& value, Span span, const ast::Ident& param,
                            std::string_view callee) {
  const ast::Type& type = scopes_.ast()[type_id];
  auto* tuple = value.as<TupleValue>();
  if (tuple == nullptr || tuple->items.size() != type.tuple.size()) {
    diagnostics_
        .report(Diag::E0104, span,
                fmt::format("`{}` takes {} but is given {}", callee, declared_text(type_id), shapes_.describe(value)))
        .label(param.span, "declared here")
        .with_help(fmt::format("give it a tuple of {} values: `(a, b)`", type.tuple.size()));
    return false;
  }
  for (size_t i = 0; i < tuple->items.size(); ++i)
    if (!bind_head(type.tuple[i], tuple->items[i], span, param, callee)) return false;
  return true;
}

/// `...R`: the axes that the body sees instead, the same for each argument with this rest.
bool Signatures::bind_rest(const ast::DimItem& item, std::span<Axis> axes) {
  Axes fresh;
  for (const Axis& axis : axes) {
    const DimId id = shapes_.new_dim(shapes_.axis_text(axis), axis.extent, item.span);
    scopes_.frame().outside.emplace(id, axis);
    fresh.push_back(shapes_.axis_of(id));
  }
  const auto [known, is_new] = scopes_.frame().rests.emplace(item.rest_name.text, fresh);
  if (!is_new) {
    fresh = known->second;
    bool equal = fresh.size() == axes.size();
    for (size_t i = 0; equal && i < axes.size(); ++i)
      equal = shapes_.unify(scopes_.frame().outside.at(fresh[i].dim), axes[i]);
    if (!equal) return false;
  }
  std::ranges::copy(fresh, axes.begin());
  return true;
}

/// Checks an argument against the declared type of a parameter and gives it the axes that the body sees.
bool Signatures::bind_head(ast::TypeId type_id, Value& value, Span span, const ast::Ident& param,
                           std::string_view callee) {
  if (!type_id.valid() || value.bad()) return !value.bad();
  const ast::Type& type = scopes_.ast()[type_id];
  if (type.head.empty()) return bind_tuple(type_id, value, span, param, callee);
  if (!bind_label(type, value)) {
    diagnostics_
        .report(Diag::E0104, span,
                fmt::format("`{}` takes {} but is given {}", callee, declared_text(type_id), shapes_.describe(value)))
        .caret(fmt::format("labels of no dim, where {} is asked for", type.index_dim.text))
        .label(param.span, "declared here")
        .with_help("labels have a dim where they come from: `y: ix<Class>[B]`");
    return false;
  }
  DimId label = kAnonymous;
  const std::optional<DType> dtype = dtype_of(type, &label);
  if (!dtype) return false;
  const std::optional<Tensor> given = graph_.expect_tensor(value, span, dtype);
  if (!given) return false;
  Tensor t = *given;
  // Columns of data convert by themselves, where no number is lost.
  const bool converts = t.weak || (scopes_.in_field() && is_float(*dtype) && holds_all(*dtype, t.dtype));
  if (converts) {
    if (const auto strong = graph_.cast_to(t, *dtype, span)) t = *strong;
  }
  const auto mismatch = [&](std::string why, std::string help = {}) {
    diagnostics_
        .report(Diag::E0104, span,
                fmt::format("`{}` takes {} but is given {}", callee, declared_text(type_id), shapes_.type_text(*given)))
        .caret(std::move(why))
        .label(param.span, "declared here")
        .with_help(std::move(help));
    return false;
  };
  if (t.dtype != *dtype) {
    Tensor wanted;
    wanted.dtype = *dtype;
    wanted.label = label;
    // Of labels where floats are asked for nothing is known but that they convert.
    std::string help = is_float(*dtype) ? std::string() : shapes_.label_help(t, wanted, Meeting::Compared);
    if (help.empty()) help = fmt::format("convert it: `cast(.., {})`", to_string(*dtype));
    return mismatch(fmt::format("element type {} instead of {}", to_string(t.dtype), to_string(*dtype)),
                    std::move(help));
  }
  std::vector<std::pair<const ast::DimItem*, size_t>> places;
  size_t rest = 0;
  if (!match_axes(type, t.axes, places, rest))
    return mismatch(fmt::format("{} axes", t.axes.size()), rank_help(type, t.axes));
  if (const std::optional<TurnedAxes> turned = turned_axes(places, t.axes))
    return mismatch(turned->why, fmt::format("{}; {}", turned->turn, turned->rename));
  const Axes axes = t.axes;
  for (const auto& [item, at] : places) {
    if (item->rest) {
      if (!bind_rest(*item, std::span(t.axes).subspan(at, rest))) return mismatch("other axes than the first argument");
      continue;
    }
    std::string why, help;
    const size_t errors = diagnostics_.reported_errors();
    if (bind_axis(*item, t.axes[at], span, why, help)) continue;
    return diagnostics_.reported_errors() > errors ? false : mismatch(std::move(why), std::move(help));
  }
  Axes named = t.axes;
  for (Axis& axis : named) {
    const auto known = scopes_.frame().outside.find(axis.dim);
    if (known != scopes_.frame().outside.end()) axis = known->second;
  }
  if (const std::optional<TurnedAxes> turned = misplaced_axis(axes, named))
    return mismatch(turned->why, fmt::format("{}; {}", turned->turn, turned->rename));
  if (label != kAnonymous && !graph_.check_positions(*given, shapes_.axis_of(label), span)) return false;
  // Inside they are what the head says, also labels of a smaller dim. A dim that the head itself names is the caller's.
  if (label != kAnonymous && (t.label == kAnonymous || !scopes_.frame().outside.contains(label))) t.label = label;
  value = Value(t);
  return true;
}

}  // namespace smelt::frontend
