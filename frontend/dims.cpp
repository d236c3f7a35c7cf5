// Dims, axes and types: declaring them, binding the heads of layers and functions, checking results.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "frontend/elaborator.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

constexpr int64_t kMaxDim = 2147483647;
constexpr int64_t kMaxElements = int64_t{1} << 40;
constexpr size_t kMaxRank = 8;

}  // namespace

DimId Elaborator::new_dim(std::string name, Extent extent, Span span, bool runtime) {
  dims_.push_back({std::move(name), extent, span, runtime});
  return static_cast<DimId>(dims_.size() - 1);
}

/// `dim X = e`: e is a number, or another dim whose extent the new axis shares. `dim X <= n` is a run-time
/// size.
Value Elaborator::declare_dim(const ast::DimDecl& decl, bool top_level) {
  Frame frame = *frame_;
  frame.around.dim_size = true;
  const Entered entered(frame_, frame);
  const Value size = eval(decl.extent);
  if (size.bad()) return {};
  if (const auto* other = size.as<DimValue>(); other != nullptr && !decl.runtime) {
    const Dim& d = dims_[static_cast<size_t>(other->id)];
    return Value(DimValue{new_dim(decl.name.text, d.extent, decl.name.span, d.runtime)});
  }
  std::optional<int64_t> bound =
      expect_integer(size, span_of(decl.extent), fmt::format("the size of dim `{}`", decl.name.text));
  if (!bound) return {};
  if (*bound < 1 || *bound > kMaxDim) {
    error(Diag::E0201, span_of(decl.extent),
          fmt::format("dim `{}` is {}; a dim is from 1 to {}", decl.name.text, *bound, kMaxDim));
    return {};
  }
  if (!decl.runtime) return Value(DimValue{new_dim(decl.name.text, Extent(*bound), decl.name.span)});
  if (!top_level) return unsupported(decl.name.span, "a run-time dim inside a body");
  if (train_ != nullptr && options_.batch) {
    for (const ast::TrainItem& item : train_->items) {
      const auto* batch = std::get_if<ast::BatchItem>(&item.node);
      if (batch != nullptr && batch->dim.text == decl.name.text) bound = std::max(*bound, *options_.batch);
    }
  }
  experiment_.symbols.push_back({decl.name.text, *bound});
  const auto symbol = static_cast<int32_t>(experiment_.symbols.size() - 1);
  return Value(DimValue{new_dim(decl.name.text, Extent(*bound, symbol), decl.name.span, true)});
}

std::string Elaborator::axis_text(const Axis& axis) const {
  if (axis.dim != kAnonymous) return dims_[static_cast<size_t>(axis.dim)].name;
  if (axis.extent.is_static()) return fmt::format("{}", axis.extent.bound);
  return experiment_.symbols[static_cast<size_t>(axis.extent.symbol)].name;
}

std::string Elaborator::sized_text(const Axis& axis) const {
  const std::string name = axis_text(axis);
  return axis.dim == kAnonymous && axis.extent.is_static() ? name : fmt::format("{} ({})", name, axis.extent.bound);
}

std::string Elaborator::axes_text(const Axes& axes) const {
  std::vector<std::string> names;
  for (const Axis& axis : axes) names.push_back(axis_text(axis));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

std::string Elaborator::type_text(DType dtype, const Axes& axes, DimId label) const {
  const std::string head = label == kAnonymous ? std::string(to_string(dtype))
                                               : fmt::format("ix<{}>", dims_[static_cast<size_t>(label)].name);
  return axes.empty() ? head : head + axes_text(axes);
}

std::string Elaborator::declared_text(ast::TypeId type) const { return ast::print(frame_->scope->ast, type); }

bool Elaborator::unify(const Axis& a, const Axis& b) const {
  if (a.dim != kAnonymous && b.dim != kAnonymous) return a.dim == b.dim;
  return a.extent == b.extent;
}

bool Elaborator::check_size(DType dtype, const Axes& axes, Span span) {
  const Shape shape = shape_of(axes);
  const std::optional<int64_t> elements = num_elements(shape);
  if (axes.size() > kMaxRank) {
    error(Diag::E0202, span,
          fmt::format("`{}` has {} axes; the limit is {}", type_text(dtype, axes), axes.size(), kMaxRank));
    return false;
  }
  if (elements && *elements <= kMaxElements) return true;
  double bytes = static_cast<double>(size_of(dtype));
  for (const Extent& extent : shape) bytes *= static_cast<double>(extent.bound);
  error(Diag::E0202, span,
        fmt::format("`{}` would need {:.1f} TiB; a tensor has at most 2^40 elements", type_text(dtype, axes),
                    bytes / 0x1p40));
  return false;
}

/// One entry of a shape: a dim, a number, or an integer attribute, which is an axis of its own inside its
/// layer.
std::optional<Axis> Elaborator::axis_expression(ast::ExprId expr) {
  const Value value = eval(expr);
  if (value.bad()) return std::nullopt;
  if (const auto* dim = value.as<DimValue>()) return axis_of(dim->id);
  const std::optional<int64_t> size = expect_integer(value, span_of(expr), "a size");
  if (!size) return std::nullopt;
  if (*size < 1 || *size > kMaxDim) {
    error(Diag::E0201, span_of(expr), fmt::format("a size is {}; sizes are from 1 to {}", *size, kMaxDim));
    return std::nullopt;
  }
  const auto* name = ast().as<ast::NameExpr>(expr);
  if (name == nullptr || frame_->instance == nullptr) return Axis{kAnonymous, Extent(*size)};
  for (const auto& [attribute, bound] : frame_->instance->attributes) {
    if (attribute != name->name || bound.as<int64_t>() == nullptr) continue;
    const auto [known, is_new] = frame_->attribute_dims.try_emplace(attribute, kAnonymous);
    if (is_new) {
      known->second = new_dim(attribute, Extent(*size), span_of(expr));
      frame_->outside.emplace(known->second, Axis{kAnonymous, Extent(*size)});
    }
    return axis_of(known->second);
  }
  return Axis{kAnonymous, Extent(*size)};
}

std::optional<Axes> Elaborator::axes_expression(const std::vector<ast::DimItem>& items) {
  Axes axes;
  bool good = true;
  for (const ast::DimItem& item : items) {
    if (item.rest) {
      const auto rest = frame_->rests.find(item.rest_name.text);
      if (rest == frame_->rests.end()) {
        error(Diag::E0301, item.span,
              fmt::format("`...{}` is not bound by the head of this body", item.rest_name.text));
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

std::optional<DType> Elaborator::dtype_of(const ast::Type& type, DimId* label) {
  if (type.head.text == "ix") {
    if (type.index_dim.empty()) {
      error(Diag::E0504, type.head.span, "`ix` needs a dim").with_help("write `ix<Class>`");
      return std::nullopt;
    }
    const Value dim = name_value(type.index_dim.text, type.index_dim.span, {});
    const auto* value = dim.as<DimValue>();
    if (value != nullptr)
      *label = value->id;
    else if (!dim.bad())
      error(Diag::E0403, type.index_dim.span, fmt::format("`ix<..>` takes a dim, not {}", describe(dim)));
    return value != nullptr ? std::optional(DType::I32) : std::nullopt;
  }
  const std::optional<DType> dtype = parse_dtype(type.head.text);
  if (dtype == DType::F32) return real();
  if (dtype) return dtype;
  constexpr std::string_view kTypes[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "bool", "ix"};
  error(Diag::E0504, type.head.span, fmt::format("unknown type `{}`", printable(type.head.text)))
      .with_help(did_you_mean(type.head.text, kTypes));
  return std::nullopt;
}

/// Pairs the entries of a declared shape with axes; `rest` is how many axes `...` stands for. False when the
/// ranks differ.
bool Elaborator::match_axes(const ast::Type& type, const Axes& axes,
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
std::optional<Axis> Elaborator::head_axis(const ast::DimItem& item) {
  const auto* name = ast().as<ast::NameExpr>(item.extent);
  if (name == nullptr) return axis_expression(item.extent);
  if (const Binding* local = find_local(name->name)) {
    if (const auto* dim = local->value.as<DimValue>()) return axis_of(dim->id);
    return axis_expression(item.extent);
  }
  const auto [scope, decl] = find_decl(*frame_->scope, name->name);
  if (scope == nullptr) return std::nullopt;
  const Value value = name_value(name->name, item.span, item.extent);
  const auto* dim = value.as<DimValue>();
  if (dim != nullptr && dims_[static_cast<size_t>(dim->id)].runtime) return std::nullopt;
  return axis_expression(item.extent);
}

/// Binds or checks one entry of a head against the caller's axis, which becomes the axis that the body sees.
bool Elaborator::bind_axis(const ast::DimItem& item, Axis& axis, Span span, std::string& why) {
  const auto* name = ast().as<ast::NameExpr>(item.extent);
  const std::optional<Axis> expected = head_axis(item);
  if (!expected) {
    if (name == nullptr) return false;  // reported
    const auto [scope, decl] = find_decl(*frame_->scope, name->name);
    if (scope != nullptr) {  // `dim B <= n`: any axis of at most n
      const Value declared = name_value(name->name, span, item.extent);
      const auto* dim = declared.as<DimValue>();
      if (dim == nullptr) return false;
      const int64_t bound = dims_[static_cast<size_t>(dim->id)].extent.bound;
      if (axis.extent.bound > bound) {
        why = fmt::format("{} is at most {}, and the axis has {}", name->name, bound, axis.extent.bound);
        return false;
      }
    }
    const DimId fresh = new_dim(name->name, axis.extent, item.span);
    frame_->outside.emplace(fresh, axis);
    frame_->blocks.front().emplace(name->name, Binding{Value(DimValue{fresh}), item.span});
    axis = axis_of(fresh);
    return true;
  }
  const auto known = frame_->outside.find(expected->dim);
  const Axis wanted = known == frame_->outside.end() ? *expected : known->second;
  if (!unify(wanted, axis)) {
    why = fmt::format("{} is {}, and the axis is {}", ast::print(ast(), item.extent), wanted.extent.bound,
                      sized_text(axis));
    if (wanted.extent == axis.extent)
      why = fmt::format("{} and {} are different dims", ast::print(ast(), item.extent), axis_text(axis));
    return false;
  }
  axis = *expected;
  return true;
}

/// Checks an argument against the declared type of a parameter and gives it the axes that the body sees.
bool Elaborator::bind_head(ast::TypeId type_id, Value& value, Span span, const ast::Ident& param,
                           std::string_view callee) {
  if (!type_id.valid() || value.bad()) return !value.bad();
  const ast::Type& type = ast()[type_id];
  DimId label = kAnonymous;
  const std::optional<DType> dtype = dtype_of(type, &label);
  if (!dtype) return false;
  const std::optional<Tensor> given = expect_tensor(value, span, dtype);
  if (!given) return false;
  Tensor t = *given;
  if (t.weak) {
    if (const auto strong = cast_to(t, *dtype, span)) t = *strong;
  }
  const auto mismatch = [&](std::string why, std::string help = {}) {
    error(Diag::E0104, span,
          fmt::format("`{}` takes {} but is given {}", callee, declared_text(type_id), type_text(*given)))
        .caret(std::move(why))
        .label(param.span, "declared here")
        .with_help(std::move(help));
    return false;
  };
  if (t.dtype != *dtype) {
    Tensor wanted;
    wanted.dtype = *dtype;
    wanted.label = label;
    std::string help = label_help(t, wanted);
    if (help.empty()) help = fmt::format("convert it: `cast(x, {})`", to_string(*dtype));
    return mismatch(fmt::format("element type {} instead of {}", to_string(t.dtype), to_string(*dtype)),
                    std::move(help));
  }
  std::vector<std::pair<const ast::DimItem*, size_t>> places;
  size_t rest = 0;
  if (!match_axes(type, t.axes, places, rest)) return mismatch(fmt::format("{} axes", t.axes.size()));
  for (const auto& [item, at] : places) {
    std::string why;
    if (!item->rest) {
      const size_t errors = diagnostics_.num_errors();
      if (bind_axis(*item, t.axes[at], span, why)) continue;
      return diagnostics_.num_errors() > errors ? false : mismatch(std::move(why));
    }
    Axes fresh;
    for (size_t i = at; i < at + rest; ++i) {
      const DimId id = new_dim(axis_text(t.axes[i]), t.axes[i].extent, item->span);
      frame_->outside.emplace(id, t.axes[i]);
      fresh.push_back(axis_of(id));
    }
    const auto [known, is_new] = frame_->rests.emplace(item->rest_name.text, fresh);
    if (!is_new) {
      fresh = known->second;
      bool equal = fresh.size() == rest;
      for (size_t i = 0; equal && i < rest; ++i) equal = unify(frame_->outside.at(fresh[i].dim), t.axes[at + i]);
      if (!equal) return mismatch("other axes than the first argument");
    }
    std::ranges::copy(fresh, t.axes.begin() + static_cast<ptrdiff_t>(at));
  }
  if (label != kAnonymous && t.label == kAnonymous) t.label = label;
  value = Value(t);
  return true;
}

/// Checks the value of a body against its declared type; anonymous axes take the declared names.
bool Elaborator::check_result(ast::TypeId type_id, Value& value, Span span, std::string_view what) {
  if (!type_id.valid() || value.bad()) return !value.bad();
  const ast::Type& type = ast()[type_id];
  const auto mismatch = [&](const std::string& got, std::string why) {
    error(Diag::E0106, span, fmt::format("{} is declared as {} but its value is {}", what, declared_text(type_id), got))
        .caret(std::move(why))
        .label(type.span, "declared here");
    return false;
  };
  if (type.head.empty()) {
    auto* tuple = value.as<TupleValue>();
    if (tuple == nullptr || tuple->items.size() != type.tuple.size()) return mismatch(describe(value), "");
    for (size_t i = 0; i < tuple->items.size(); ++i)
      if (!check_result(type.tuple[i], tuple->items[i], span, what)) return false;
    return true;
  }
  Axes axes;
  auto* dist = value.as<Distribution>();
  std::optional<Tensor> t;
  if (dist != nullptr) {
    constexpr std::string_view kNames[] = {"Normal", "Bernoulli", "Uniform"};
    if (type.head.text != kNames[static_cast<size_t>(dist->kind)])
      return mismatch(describe(value), "another distribution");
    axes = distribution_axes(*dist, span);
  } else {
    DimId label = kAnonymous;
    const std::optional<DType> dtype =
        type.head.text == "Normal" || type.head.text == "Bernoulli" || type.head.text == "Uniform"
            ? std::nullopt
            : dtype_of(type, &label);
    if (!dtype)
      return parse_dtype(type.head.text) || type.head.text == "ix" ? false
                                                                   : mismatch(describe(value), "not a distribution");
    t = expect_tensor(value, span, dtype);
    if (!t) return false;
    if (t->weak) t = cast_to(*t, *dtype, span);
    if (!t) return false;
    if (t->dtype != *dtype) return mismatch(type_text(*t), "another element type");
    axes = t->axes;
  }
  std::vector<std::pair<const ast::DimItem*, size_t>> places;
  size_t rest = 0;
  if (!match_axes(type, axes, places, rest)) return mismatch(describe(value), fmt::format("{} axes", axes.size()));
  for (const auto& [item, at] : places) {
    if (item->rest) {
      const auto known = frame_->rests.find(item->rest_name.text);
      bool equal = known != frame_->rests.end() && known->second.size() == rest;
      for (size_t i = 0; equal && i < rest; ++i) equal = unify(known->second[i], axes[at + i]);
      if (!equal) return mismatch(describe(value), fmt::format("`...{}` stands for other axes", item->rest_name.text));
      std::ranges::copy(known->second, axes.begin() + static_cast<ptrdiff_t>(at));
      continue;
    }
    const std::optional<Axis> wanted = axis_expression(item->extent);
    if (!wanted) return false;
    if (!unify(*wanted, axes[at])) {
      return mismatch(describe(value), fmt::format("{} is not {} ({})", sized_text(axes[at]),
                                                   ast::print(ast(), item->extent), wanted->extent.bound));
    }
    axes[at] = *wanted;
  }
  if (dist != nullptr)
    dist->shape = axes;
  else {
    t->axes = axes;
    value = Value(*t);
  }
  return true;
}

/// Dims of the body become what they were for the caller; those made inside become anonymous.
void Elaborator::outside_axes(Axes& axes, const Frame& inner) const {
  for (Axis& axis : axes) {
    if (const auto known = inner.outside.find(axis.dim); known != inner.outside.end()) axis = known->second;
  }
}

Value Elaborator::to_outside(Value value, const Frame& inner) {
  if (auto* t = value.as<Tensor>()) {
    outside_axes(t->axes, inner);
    if (const auto label = inner.outside.find(t->label); label != inner.outside.end()) t->label = label->second.dim;
  } else if (auto* shape = value.as<ShapeValue>()) {
    outside_axes(shape->axes, inner);
  } else if (auto* tuple = value.as<TupleValue>()) {
    for (Value& item : tuple->items) item = to_outside(std::move(item), inner);
  } else if (auto* dist = value.as<Distribution>()) {
    for (Value& param : dist->params) param = to_outside(std::move(param), inner);
    if (dist->shape) outside_axes(*dist->shape, inner);
  }
  return value;
}

}  // namespace smelt::frontend
