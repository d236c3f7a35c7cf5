// Reductions of index formulas: sums of products as contractions, other reductions over what is read.
#include <algorithm>
#include <limits>
#include <utility>

#include "frontend/evaluator.h"
#include "frontend/formula.h"
#include "frontend/graph_writer.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"

namespace smelt::frontend {

namespace {

/// What a reduction of a formula is: of the op table, and what it gives for nothing.
struct IndexReduction {
  std::string_view name;
  OpKind op;
  double identity;
};
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr IndexReduction kReductions[] = {{"sum", OpKind::ReduceSum, 0},
                                          {"max", OpKind::ReduceMax, -kInfinity},
                                          {"min", OpKind::ReduceMin, kInfinity},
                                          {"prod", OpKind::Mul, 1}};

const IndexReduction& reduction_of(std::string_view name) {
  return *std::ranges::find(kReductions, name, &IndexReduction::name);
}

}  // namespace

Value Formulas::reduced(const ast::ReduceExpr& reduce, Span span) {
  const size_t first = scopes_.frame().indices.size();
  if (!open(reduce.binders, reduce.body)) return {};
  Value result = reduce.op == "sum" ? sum_of_product(reduce.body, static_cast<int32_t>(first), span)
                                    : extremum(reduce.op, reduce.body, static_cast<int32_t>(first), span);
  scopes_.frame().indices.resize(first);
  if (auto* tensor = result.as<Tensor>()) tensor->grid = first > 0;
  return result;
}

// ---- sums of products ----

/// Factors of the product `expr`: those that are read lazily, so that windows need no memory, and plain numbers.
bool Formulas::collect(ast::ExprId expr, Product& product) {
  const ast::Ast& ast = scopes_.ast();
  if (const auto* binary = ast.as<ast::BinaryExpr>(expr); binary != nullptr && binary->op == ast::BinaryOp::Mul)
    return collect(binary->lhs, product) && collect(binary->rhs, product);
  const Span span = scopes_.span_of(expr);
  if (const auto* access = ast.as<ast::IndexExpr>(expr); access != nullptr && is_access(*access)) {
    std::optional<FormulaRead> read = read_of(*access, span);
    if (read) product.factors.push_back({std::move(*read), span});
    return read.has_value();
  }
  const Value value = evaluator_.eval(expr);
  if (value.bad()) return false;
  const auto* tensor = value.as<Tensor>();
  if (tensor == nullptr || tensor->axes.empty()) {
    product.scalars.push_back(value);
    return true;
  }
  std::optional<FormulaRead> read = as_read(*tensor, span);
  if (read) product.factors.push_back({std::move(*read), span});
  return read.has_value();
}

/// The read without those indices, summed; the read itself when there are none.
std::optional<FormulaRead> Formulas::summed_alone(const FormulaRead& read, const std::vector<int32_t>& over,
                                                  Span span) {
  if (over.empty()) return read;
  const Value value = value_of(read, 0, span);
  const Value sum = reduce_axes("sum", value, over, span);
  const auto* tensor = sum.as<Tensor>();
  return tensor != nullptr ? as_read(*tensor, span) : std::nullopt;
}

/// a * b, summed over the indices `over`, which both have.
std::optional<FormulaRead> Formulas::joined(const Factor& a, const Factor& b, const std::vector<int32_t>& over,
                                            Span span) {
  const std::optional<Tensor> x = over.empty() ? std::nullopt : graph_.expect_float(Value(a.read.base), a.span);
  const std::optional<Tensor> y = over.empty() ? std::nullopt : graph_.expect_float(Value(b.read.base), b.span);
  if (!over.empty() && (!x || !y)) return std::nullopt;
  if (over.empty() || x->dtype != y->dtype) {
    const Value product =
        graph_.binary(ast::BinaryOp::Mul, value_of(a.read, 0, a.span), value_of(b.read, 0, b.span), span);
    const auto* tensor = product.as<Tensor>();
    return tensor != nullptr ? as_read(*tensor, span) : std::nullopt;
  }
  FormulaRead left = a.read, right = b.read;
  left.base = *x, right.base = *y;
  std::vector<int32_t> kept;
  std::ranges::set_union(indices_of(left), indices_of(right), std::back_inserter(kept));
  std::erase_if(kept, [&](int32_t k) { return std::ranges::find(over, k) != over.end(); });
  const Value value =
      graph_.push_contraction(left.base, right.base, formula_of(kept, over, {&left, &right}), axes_of(kept), span);
  const auto* tensor = value.as<Tensor>();
  return tensor != nullptr ? as_read(*tensor, span) : std::nullopt;
}

/// From left to right; an index is summed as soon as no later factor has it. Factors without summed indices come last.
Value Formulas::sum_of_product(ast::ExprId body, int32_t first, Span span) {
  Product product;
  std::vector<Tensor>* const outer = std::exchange(scopes_.frame().inside, nullptr);
  const bool good = collect(body, product);
  scopes_.frame().inside = outer;
  if (!good) return {};
  auto& factors = product.factors;
  const auto count = static_cast<int32_t>(scopes_.frame().indices.size());
  const auto has = [&](const Factor& factor, int32_t k) {
    return std::ranges::any_of(factor.read.axes, [k](const Affine& axis) { return axis.coefficient(k) != 0; });
  };
  std::ranges::stable_partition(factors, [&](const Factor& factor) {
    const std::vector<int32_t> indices = indices_of(factor.read);
    return !indices.empty() && indices.back() >= first;
  });
  std::vector<Value> scalars = product.scalars;
  for (int32_t k = first; k < count; ++k) {
    const auto holders = std::ranges::count_if(factors, [&](const Factor& factor) { return has(factor, k); });
    if (holders > 0) continue;  // summed below
    const Axis& axis = scopes_.frame().indices[static_cast<size_t>(k)].axis;
    scalars.push_back(axis.extent.is_static() ? Value(axis.extent.bound)
                                              : Value(DimValue{scopes_.frame().indices[static_cast<size_t>(k)].dim}));
  }
  for (Factor& factor : factors) {
    std::vector<int32_t> alone;
    for (int32_t k = first; k < count; ++k) {
      if (has(factor, k) && std::ranges::count_if(factors, [&](const Factor& other) { return has(other, k); }) == 1)
        alone.push_back(k);
    }
    std::optional<FormulaRead> sum = summed_alone(factor.read, alone, factor.span);
    if (!sum) return {};
    factor.read = std::move(*sum);
  }
  std::optional<Factor> result;
  for (size_t f = 0; f < factors.size(); ++f) {
    if (!result) {
      result = factors[f];
      continue;
    }
    std::vector<int32_t> over;
    for (int32_t k = first; k < count; ++k) {
      const bool later = std::any_of(factors.begin() + static_cast<ptrdiff_t>(f) + 1, factors.end(),
                                     [&](const Factor& factor) { return has(factor, k); });
      if (!later && has(*result, k) && has(factors[f], k)) over.push_back(k);
    }
    std::optional<FormulaRead> next = joined(*result, factors[f], over, span);
    if (!next) return {};
    result->read = std::move(*next);
  }
  Value value = result ? value_of(result->read, 0, result->span) : Value(int64_t{1});
  for (const Value& scalar : scalars) value = graph_.binary(ast::BinaryOp::Mul, value, scalar, span);
  return value;
}

// ---- other reductions ----

/// value without the axes of the indices `over`.
Value Formulas::reduce_axes(std::string_view op, const Value& value, const std::vector<int32_t>& over, Span span) {
  std::optional<Tensor> x = graph_.expect_tensor(value, span);
  if (x && !is_float(x->dtype)) x = graph_.cast_to(*x, graph_.real(), span);
  if (!x) return {};
  const auto summed = [&](const Axis& axis) {
    return std::ranges::any_of(
        over, [&](int32_t k) { return scopes_.frame().indices[static_cast<size_t>(k)].dim == axis.dim; });
  };
  std::vector<int64_t> places;
  for (size_t i = 0; i < x->axes.size(); ++i) {
    if (summed(x->axes[i])) places.push_back(static_cast<int64_t>(i));
  }
  if (op == "prod") {
    Value product(*x);
    for (size_t i = places.size(); i-- > 0 && !product.bad();)
      product = product_along(*product.as<Tensor>(), static_cast<size_t>(places[i]), span);
    return product.bad() ? product : to_the_power_of_others(*product.as<Tensor>(), x->axes, over, span);
  }
  if (places.empty()) return Value(*x);
  Axes axes = x->axes;
  std::erase_if(axes, summed);
  graph_.builder().set_span(span);
  const Result<NodeId> node = graph_.builder().push(reduction_of(op).op, {x->node}, {{"axes", places}});
  if (!node) {
    diagnostics_.report(Diag::E0501, span, node.error().message);
    return {};
  }
  Tensor result = graph_.tensor(*node, std::move(axes));
  if (op != "sum") result.range = x->range;
  result.grid = true;
  return Value(result);
}

/// A factor that an index does not read is there once for each of its positions.
Value Formulas::to_the_power_of_others(const Tensor& product, const Axes& read, const std::vector<int32_t>& over,
                                       Span span) {
  int64_t times = 1;
  for (const int32_t k : over) {
    const FormulaIndex& index = scopes_.frame().indices[static_cast<size_t>(k)];
    if (std::ranges::find(read, index.dim, &Axis::dim) != read.end()) continue;
    if (!index.axis.extent.is_static()) return unsupported(diagnostics_, span, "a product over a run-time dim");
    times *= index.axis.extent.bound;
  }
  return times == 1 ? Value(product) : graph_.binary(ast::BinaryOp::Pow, Value(product), Value(times), span);
}

/// Neighbours are multiplied until one element is left: derivatives of all orders are right where elements are zero.
Value Formulas::product_along(Tensor value, size_t axis, Span span) {
  if (!value.axes[axis].extent.is_static()) return unsupported(diagnostics_, span, "a product over a run-time dim");
  Builder& graph = graph_.builder();
  graph.set_span(span);
  NodeId node = value.node;
  Shape shape = shape_of(value.axes);
  /// Elements first, first + 2, .. along the axis, and 1 after the last one.
  const auto every_second = [&](int64_t first) {
    IndexFormula formula{static_cast<int32_t>(shape.size()), {IndexMap{{}, true}}, shape};
    formula.extents[axis] = Extent((shape[axis].bound + 1) / 2);
    for (int32_t i = 0; i < formula.rank; ++i) formula.operands[0].axes.push_back(Affine::of(i));
    formula.operands[0].axes[axis] = Affine::of(static_cast<int32_t>(axis), 2) + first;
    return graph.read(node, std::move(formula), 1);
  };
  while (shape[axis].bound > 1) {
    node = graph.mul(every_second(0), every_second(1));
    shape[axis] = Extent((shape[axis].bound + 1) / 2);
  }
  Axes axes = value.axes;
  axes.erase(axes.begin() + static_cast<ptrdiff_t>(axis));
  node = graph.reshape(node, shape_of(axes));
  Tensor result = graph_.tensor(node, std::move(axes));
  result.grid = true;
  return Value(result);
}

/// Points at which a `?[..]` lies outside do not count.
Value Formulas::extremum(std::string_view op, ast::ExprId body, int32_t first, Span span) {
  const IndexReduction& reduction = reduction_of(op);
  std::vector<int32_t> over;
  for (auto k = first; k < static_cast<int32_t>(scopes_.frame().indices.size()); ++k) over.push_back(k);
  const auto* access = scopes_.ast().as<ast::IndexExpr>(body);
  if (access != nullptr && is_access(*access)) {
    std::optional<FormulaRead> read = read_of(*access, scopes_.span_of(body), reduction.identity);
    const std::optional<Tensor> base =
        read ? graph_.expect_float(Value(read->base), scopes_.span_of(body)) : std::nullopt;
    if (!base) return {};
    read->base = *base;
    return reduce_axes(op, value_of(*read, reduction.identity, scopes_.span_of(body)), over, span);
  }
  std::vector<Tensor> inside;
  std::vector<Tensor>* const outer = std::exchange(scopes_.frame().inside, &inside);
  const std::optional<Tensor> value = graph_.expect_float(evaluator_.eval(body), scopes_.span_of(body));
  scopes_.frame().inside = outer;
  if (!value) return {};
  Value counted(*value);
  for (const Tensor& mask : inside) {
    counted = graph_.elementwise(OpKind::Select, {Value(mask), counted, Value(reduction.identity)}, span, op);
    if (counted.bad()) return {};
  }
  return reduce_axes(op, counted, over, span);
}

}  // namespace smelt::frontend
