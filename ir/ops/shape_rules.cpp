#include "ir/ops/shape_rules.h"

#include <fmt/format.h>

namespace smelt::shape_rules {
namespace {

using Axes = std::vector<int64_t>;

std::string show(const InferArgs& args, const TensorType& type) { return to_string(type, args.symbols); }

template <typename... Parts>
std::unexpected<Error> wrong(const InferArgs& args, fmt::format_string<Parts...> format, Parts&&... parts) {
  return fail(ErrorKind::Model,
              fmt::format("`{}` {}", args.op.name, fmt::format(format, std::forward<Parts>(parts)...)));
}

std::string show_operands(const InferArgs& args) {
  std::string out;
  for (size_t i = 0; i < args.operands.size(); ++i) {
    if (i > 0) out += i + 1 == args.operands.size() ? " and " : ", ";
    out += fmt::format("`{}`", show(args, args.operands[i]));
  }
  return out;
}

bool is_number(DType dtype) { return class_of(dtype) != DTypeClass::Bool; }
bool is_integer(DType dtype) { return class_of(dtype) == DTypeClass::Int; }

Result<TensorType> need_dtype(const InferArgs& args, const TensorType& type) {
  const Traits& traits = args.op.traits;
  if (traits.logical && type.dtype != DType::Bool) return wrong(args, "needs bool, got `{}`", show(args, type));
  if (traits.float_only && !is_float(type.dtype)) return wrong(args, "needs floats, got `{}`", show(args, type));
  if (!traits.logical && !traits.comparison && !is_number(type.dtype)) {
    return wrong(args, "needs numbers, got `{}`", show(args, type));
  }
  return type;
}

Result<Axes> need_axis_range(const InferArgs& args, const Axes& axes, const TensorType& type) {
  for (const int64_t axis : axes) {
    if (axis < 0 || axis >= static_cast<int64_t>(type.rank())) {
      return wrong(args, "has axis {}, but `{}` has {} axes", axis, show(args, type), type.rank());
    }
  }
  return axes;
}

/// Axes in range and strictly increasing.
Result<Axes> need_axes(const InferArgs& args, const Axes& axes, const TensorType& type) {
  for (size_t i = 1; i < axes.size(); ++i) {
    if (axes[i] <= axes[i - 1]) return wrong(args, "needs increasing axes, got [{}]", fmt::join(axes, ", "));
  }
  return need_axis_range(args, axes, type);
}

Shape without_axes(const Shape& shape, const Axes& axes) {
  Shape kept;
  for (size_t axis = 0, next = 0; axis < shape.size(); ++axis) {
    if (next < axes.size() && axes[next] == static_cast<int64_t>(axis)) {
      ++next;
    } else {
      kept.push_back(shape[axis]);
    }
  }
  return kept;
}

Result<TensorType> need_index_dtype(const InferArgs& args, const TensorType& type) {
  if (!is_integer(type.dtype)) return wrong(args, "needs an integer index, got `{}`", show(args, type));
  return type;
}

}  // namespace

Result<TensorType> as_stated(const InferArgs& args) { return args.attrs.type("type"); }

Result<TensorType> index(const InferArgs& args) {
  const TensorType& type = args.attrs.type("type");
  if (type.dtype != DType::I32 && type.dtype != DType::I64) {
    return wrong(args, "is i32 or i64, not `{}`", show(args, type));
  }
  SMELT_TRY([[maybe_unused]] const Axes axes, need_axis_range(args, {args.attrs.integer("axis")}, type));
  return type;
}

Result<TensorType> extent(const InferArgs& args) {
  const TensorType& type = args.attrs.type("type");
  if (type.rank() != 0 || !is_number(type.dtype)) {
    return wrong(args, "is a scalar number, not `{}`", show(args, type));
  }
  if (args.attrs.integer("symbol") < 0 || args.attrs.integer("bound") < 0) {
    return wrong(args, "has symbol {} and bound {}", args.attrs.integer("symbol"), args.attrs.integer("bound"));
  }
  return type;
}

Result<TensorType> elementwise(const InferArgs& args) {
  const TensorType& first = args.operands[0];
  SMELT_TRY([[maybe_unused]] const TensorType checked, need_dtype(args, first));
  for (const TensorType& other : args.operands) {
    if (other != first) return wrong(args, "needs operands of one type, got {}", show_operands(args));
  }
  return TensorType{args.op.traits.comparison ? DType::Bool : first.dtype, first.shape};
}

Result<TensorType> select(const InferArgs& args) {
  const auto& [condition, a, b] = std::tie(args.operands[0], args.operands[1], args.operands[2]);
  if (condition.dtype != DType::Bool) return wrong(args, "needs a bool condition, got `{}`", show(args, condition));
  if (a != b) return wrong(args, "needs branches of one type, got `{}` and `{}`", show(args, a), show(args, b));
  if (condition.shape != a.shape) {
    return wrong(args, "has condition `{}` for branches `{}`", show(args, condition), show(args, a));
  }
  return a;
}

Result<TensorType> cast(const InferArgs& args) {
  const std::optional<DType> dtype = parse_dtype(args.attrs.text("dtype"));
  if (!dtype) return wrong(args, "knows no dtype `{}`", args.attrs.text("dtype"));
  return TensorType{*dtype, args.operands[0].shape};
}

Result<TensorType> reduce(const InferArgs& args) {
  SMELT_TRY(const TensorType x, need_dtype(args, args.operands[0]));
  SMELT_TRY(const Axes axes, need_axes(args, args.attrs.integers("axes"), x));
  // That is x, as `Builder::reduce_sum` knows; a loop over nothing has no place in which the sum could be made.
  if (axes.empty()) return wrong(args, "reduces no axis of {}", show_operands(args));
  return TensorType{x.dtype, without_axes(x.shape, axes)};
}

/// The result's shape by the formula.
static Result<Shape> formula_shape(const InferArgs& args, size_t num_operands) {
  const IndexFormula& formula = args.attrs.formula("formula");
  if (formula.operands.size() != num_operands)
    return wrong(args, "has a formula of {} operands: `{}`", formula.operands.size(), to_string(formula, args.symbols));
  std::vector<Shape> shapes;
  for (size_t k = 0; k < num_operands; ++k) shapes.push_back(args.operands[k].shape);
  Result<Shape> extents = extents_of(formula, shapes);
  if (!extents) {
    Error error = std::move(extents).error();
    error.message = fmt::format("`{}`: {}: got {}", args.op.name, error.message, show_operands(args));
    return std::unexpected(std::move(error));
  }
  return Shape(extents->begin(), extents->begin() + formula.rank);
}

Result<TensorType> contract(const InferArgs& args) {
  const TensorType& a = args.operands[0];
  if (a.dtype != args.operands[1].dtype) return wrong(args, "needs operands of one dtype, got {}", show_operands(args));
  SMELT_TRY([[maybe_unused]] const TensorType checked, need_dtype(args, a));
  for (size_t k = 2; k < args.operands.size(); ++k) {
    if (args.operands[k] != args.operands[k % 2])
      return wrong(args, "adds up products of unlike operands: {}", show_operands(args));
  }
  SMELT_TRY(Shape shape, formula_shape(args, 2));
  return TensorType{a.dtype, std::move(shape)};
}

Result<TensorType> read(const InferArgs& args) {
  const IndexFormula& formula = args.attrs.formula("formula");
  if (formula.rank != formula.num_indices()) return wrong(args, "sums nothing, but `{}` does", to_string(formula));
  SMELT_TRY(Shape shape, formula_shape(args, 1));
  return TensorType{args.operands[0].dtype, std::move(shape)};
}

Result<TensorType> broadcast(const InferArgs& args) {
  const TensorType& x = args.operands[0];
  const TensorType& result = args.attrs.type("type");
  const Axes& axes = args.attrs.integers("axes");
  if (result.dtype != x.dtype || axes.size() != x.rank()) {
    return wrong(args, "of `{}` to `{}` has axes [{}]", show(args, x), show(args, result), fmt::join(axes, ", "));
  }
  SMELT_TRY([[maybe_unused]] const Axes checked, need_axis_range(args, axes, result));
  std::vector<bool> seen(result.rank());
  for (size_t i = 0; i < axes.size(); ++i) {
    if (seen[axes[i]]) return wrong(args, "has axis {} twice in [{}]", axes[i], fmt::join(axes, ", "));
    seen[axes[i]] = true;
    if (result.shape[axes[i]] != x.shape[i]) {
      return wrong(args, "cannot put axis {} of `{}` at axis {} of `{}`", i, show(args, x), axes[i],
                   show(args, result));
    }
  }
  return result;
}

Result<TensorType> transpose(const InferArgs& args) {
  const TensorType& x = args.operands[0];
  const Axes& permutation = args.attrs.integers("permutation");
  std::vector<bool> seen(x.rank());
  bool valid = permutation.size() == x.rank();
  for (const int64_t axis : permutation) {
    valid = valid && axis >= 0 && axis < static_cast<int64_t>(x.rank()) && !seen[axis];
    if (valid) seen[axis] = true;
  }
  if (!valid) return wrong(args, "of `{}` cannot use permutation [{}]", show(args, x), fmt::join(permutation, ", "));
  TensorType result{x.dtype, {}};
  for (const int64_t axis : permutation) result.shape.push_back(x.shape[axis]);
  return result;
}

bool reshape_keeps_extents(const Shape& from, const Shape& to) {
  // The static elements before, between and after the run-time axes must agree one by one.
  const auto blocks = [](const Shape& shape) {
    std::vector<int64_t> products{1};
    for (const Extent& extent : shape) {
      if (extent.is_static()) {
        if (__builtin_mul_overflow(products.back(), extent.bound, &products.back())) products.back() = -1;
      } else {
        products.push_back(1);
      }
    }
    return products;
  };
  const auto run_time_axes = [](const Shape& shape) {
    Shape kept;
    for (const Extent& extent : shape) {
      if (!extent.is_static()) kept.push_back(extent);
    }
    return kept;
  };
  return blocks(from) == blocks(to) && run_time_axes(from) == run_time_axes(to);
}

Result<TensorType> reshape(const InferArgs& args) {
  const TensorType& x = args.operands[0];
  const TensorType& result = args.attrs.type("type");
  if (result.dtype != x.dtype || !reshape_keeps_extents(x.shape, result.shape)) {
    return wrong(args, "cannot read `{}` as `{}`", show(args, x), show(args, result));
  }
  return result;
}

Result<TensorType> slice(const InferArgs& args) {
  const TensorType& x = args.operands[0];
  const Axes& starts = args.attrs.integers("starts");
  const Axes& limits = args.attrs.integers("limits");
  if (starts.size() != x.rank() || limits.size() != x.rank()) {
    return wrong(args, "of `{}` has {} starts and {} limits", show(args, x), starts.size(), limits.size());
  }
  TensorType result = x;
  for (size_t axis = 0; axis < x.rank(); ++axis) {
    const Extent& extent = x.shape[axis];
    if (starts[axis] < 0 || limits[axis] < starts[axis] || limits[axis] > extent.bound) {
      return wrong(args, "takes {}..{} of axis {} of `{}`", starts[axis], limits[axis], axis, show(args, x));
    }
    if (extent.is_static()) {
      result.shape[axis] = Extent(limits[axis] - starts[axis]);
    } else if (starts[axis] != 0 || limits[axis] != extent.bound) {
      return wrong(args, "takes a part of the run-time axis {} of `{}`", axis, show(args, x));
    }
  }
  return result;
}

Result<TensorType> pad(const InferArgs& args) {
  const TensorType& x = args.operands[0];
  const Axes& low = args.attrs.integers("low");
  const Axes& high = args.attrs.integers("high");
  if (low.size() != x.rank() || high.size() != x.rank()) {
    return wrong(args, "of `{}` has {} low and {} high", show(args, x), low.size(), high.size());
  }
  TensorType result = x;
  for (size_t axis = 0; axis < x.rank(); ++axis) {
    int64_t size = 0;
    if (low[axis] < 0 || high[axis] < 0 || __builtin_add_overflow(x.shape[axis].bound, low[axis], &size) ||
        __builtin_add_overflow(size, high[axis], &size)) {
      return wrong(args, "adds {} and {} to axis {} of `{}`", low[axis], high[axis], axis, show(args, x));
    }
    if (x.shape[axis].is_static()) {
      result.shape[axis] = Extent(size);
    } else if (size != x.shape[axis].bound) {
      return wrong(args, "widens the run-time axis {} of `{}`", axis, show(args, x));
    }
  }
  return result;
}

Result<TensorType> scan(const InferArgs& args) {
  const TensorType& type = args.attrs.type("type");
  if (type.dtype != DType::I32 || type.rank() != 1)
    return wrong(args, "has the type of its steps, `i32[T]`, not `{}`", show(args, type));
  return type;
}

/// Of a gather or scatter between a table and what an index reads of it: index.shape, then the axes of the table behind
/// the one that the index numbers. Nothing when they do not go together.
std::optional<Shape> shape_of_rows(const InferArgs& args, const Shape& table, const Shape& index) {
  const AttrValue* attribute = args.attrs.find("batch");
  const int64_t batch = attribute == nullptr ? 0 : std::get<int64_t>(*attribute);
  if (batch < (attribute == nullptr ? 0 : 1) || batch >= static_cast<int64_t>(table.size()) ||
      batch > static_cast<int64_t>(index.size()) || !std::equal(table.begin(), table.begin() + batch, index.begin()))
    return std::nullopt;
  Shape rows = index;
  rows.insert(rows.end(), table.begin() + batch + 1, table.end());
  return rows;
}

Result<TensorType> gather(const InferArgs& args) {
  const TensorType& table = args.operands[0];
  SMELT_TRY(const TensorType index, need_index_dtype(args, args.operands[1]));
  std::optional<Shape> rows = shape_of_rows(args, table.shape, index.shape);
  if (table.rank() == 0) return wrong(args, "needs a table with an axis, got {}", show_operands(args));
  if (!rows) return wrong(args, "of {} axes got {}", args.attrs.integer("batch"), show_operands(args));
  return TensorType{table.dtype, std::move(*rows)};
}

Result<TensorType> scatter_add(const InferArgs& args) {
  SMELT_TRY(const TensorType index, need_index_dtype(args, args.operands[0]));
  const TensorType& updates = args.operands[1];
  const TensorType& result = args.attrs.type("type");
  SMELT_TRY([[maybe_unused]] const TensorType checked, need_dtype(args, updates));
  const std::optional<Shape> rows = shape_of_rows(args, result.shape, index.shape);
  if (!rows || updates != TensorType{result.dtype, *rows})
    return wrong(args, "into `{}` got {}", show(args, result), show_operands(args));
  return result;
}

Result<TensorType> put_rows(const InferArgs& args) {
  SMELT_TRY(const TensorType index, need_index_dtype(args, args.operands[0]));
  const TensorType &rows = args.operands[1], &to = args.operands[2];
  TensorType expected{to.dtype, index.shape};
  if (to.rank() > 0) expected.shape.insert(expected.shape.end(), to.shape.begin() + 1, to.shape.end());
  if (to.rank() == 0 || rows != expected) return wrong(args, "got {}", show_operands(args));
  return to;
}

Result<TensorType> random(const InferArgs& args) {
  const TensorType& type = args.attrs.type("type");
  for (const TensorType& scalar : args.operands) {
    if (scalar != TensorType{DType::I64, {}}) {
      return wrong(args, "needs seed and run as `i64` scalars, got {}", show_operands(args));
    }
  }
  if (type.dtype != DType::F32 && type.dtype != DType::F64) {
    return wrong(args, "draws f32 or f64, not `{}`", show(args, type));
  }
  constexpr int64_t kMaxElements = int64_t{1} << 34;  // a block of four elements has a 32-bit number
  const std::optional<int64_t> count = num_elements(type.shape);
  if (!count || *count > kMaxElements) return wrong(args, "cannot draw `{}`: over 2^34 elements", show(args, type));
  for (const std::string_view name : {"site", "loop"}) {
    if (args.attrs.integer(name) < 0 || args.attrs.integer(name) > UINT32_MAX) {
      return wrong(args, "has {} {}, which is not a 32-bit number", name, args.attrs.integer(name));
    }
  }
  return type;
}

Result<TensorType> arg_reduce(const InferArgs& args) {
  SMELT_TRY(const TensorType x, need_dtype(args, args.operands[0]));
  SMELT_TRY(const Axes axes, need_axes(args, {args.attrs.integer("axis")}, x));
  return TensorType{DType::I32, without_axes(x.shape, axes)};
}

Result<TensorType> softmax(const InferArgs& args) {
  SMELT_TRY([[maybe_unused]] const TensorType reduced, reduce(args));
  return args.operands[0];
}

Result<TensorType> concat(const InferArgs& args) {
  const TensorType& a = args.operands[0];
  const TensorType& b = args.operands[1];
  const int64_t axis = args.attrs.integer("axis");
  SMELT_TRY([[maybe_unused]] const Axes axes, need_axis_range(args, {axis}, a));
  TensorType result = a;
  if (a.rank() == b.rank()) result.shape[axis] = b.shape[axis];
  if (result != b) return wrong(args, "along axis {} got {}", axis, show_operands(args));
  if (!a.shape[axis].is_static() || !b.shape[axis].is_static()) {
    return wrong(args, "along the run-time axis {} of {}", axis, show_operands(args));
  }
  int64_t size = 0;
  if (__builtin_add_overflow(a.shape[axis].bound, b.shape[axis].bound, &size)) {
    return wrong(args, "along axis {} of {} overflows", axis, show_operands(args));
  }
  result.shape[axis] = Extent(size);
  return result;
}

Result<TensorType> grad(const InferArgs& args) {
  const TensorType& y = args.operands[0];
  const TensorType& x = args.operands[1];
  if (y.rank() != 0 || !is_float(y.dtype)) return wrong(args, "needs a float scalar, got `{}`", show(args, y));
  if (!is_float(x.dtype)) return wrong(args, "is with respect to floats, got `{}`", show(args, x));
  return x;
}

Result<TensorType> jvp(const InferArgs& args) {
  const TensorType &y = args.operands[0], &x = args.operands[1], &v = args.operands[2];
  if (!is_float(y.dtype)) return wrong(args, "is of floats, got `{}`", show(args, y));
  if (!is_float(x.dtype)) return wrong(args, "is with respect to floats, got `{}`", show(args, x));
  if (v != x) return wrong(args, "needs a direction like `{}`, got `{}`", show(args, x), show(args, v));
  return y;
}

Result<TensorType> adjoint(const InferArgs& args) {
  const TensorType &y = args.operands[0], &x = args.operands[1];
  if (!is_float(y.dtype) || !is_float(x.dtype)) return wrong(args, "needs floats, got {}", show_operands(args));
  if (args.operands[2] != y || args.operands[3] != x) {
    return wrong(args, "needs a cotangent like y and a result like x, got {}", show_operands(args));
  }
  return y;
}

}  // namespace smelt::shape_rules
