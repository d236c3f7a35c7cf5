#include "fuzz/node_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "fuzz/stability.h"
#include "ir/half_bits.h"
#include "ir/scan.h"

namespace smelt::fuzz {
namespace {

constexpr std::array<int64_t, 14> kSizes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 19, 33};
constexpr std::array kConstants = {0.0, 1.0, -1.0, 2.0, 0.5, -0.3};
constexpr double kLargest = 40;          // a float in magnitude
constexpr double kLargestInteger = 1e6;  // far from where wrapping and saturation begin
constexpr int64_t kMaxBound = 9;
constexpr double kStoredHalves = 0.5;  // of the graphs with halves: their roundings are not open

}  // namespace

NodePool::NodePool(uint64_t seed, DType dtype, double halves) : builder_(graph_), numbers_(seed), dtype_(dtype) {
  graph_.name = fmt::format("random_{}", seed);
  const int64_t bound = numbers_.integer(1, kMaxBound);
  graph_.symbols = {{"B", bound}};
  extents_ = {numbers_.chance(0.3) ? bound : numbers_.integer(1, bound)};
  if (extents_[0] > 1) {  // of which parts are read, and what is made of them has its size
    graph_.symbols.push_back({.name = "B-1", .bound = bound - 1, .of = {{{0, 1}}, -1}});
    extents_.push_back(extents_[0] - 1);
  }
  if (seed % 5 == 1) {  // sizes that are longer than what they are read of, by a number or by a dim
    graph_.symbols.push_back({.name = "B+2", .bound = bound + 2, .of = {{{0, 1}}, 2}});
    extents_.push_back(extents_[0] + 2);
  } else if (seed % 5 == 3) {
    graph_.symbols.push_back({.name = "2*B", .bound = 2 * bound, .of = {{{0, 2}}, 0}});
    extents_.push_back(2 * extents_[0]);
  }
  for (int k = 0; k < 3; ++k) sizes_.push_back(numbers_.pick(kSizes));
  if (numbers_.chance(halves)) halves_ = numbers_.chance(kStoredHalves) ? Halves::Stored : Halves::Computed;
}

NodeId NodePool::argument(TensorType type, std::optional<RefTensor> values) {
  const std::string name = fmt::format("x{}", arguments_.size());
  arguments_.push_back(values ? *std::move(values) : numbers_.tensor(type, extents_));
  values_.push_back(arguments_.back());
  return builder_.argument({name, ArgRole::Feed, -1, {}}, std::move(type));
}

std::optional<NodeId> NodePool::add(OpKind op, Operands inputs, Attributes attrs) {
  const Result<NodeId> pushed = builder_.push(op, std::move(inputs), std::move(attrs));
  if (!pushed) return std::nullopt;
  const NodeId id = *pushed;
  std::vector<const RefTensor*> operands;
  for (const NodeId input : graph_[id].inputs) operands.push_back(&values_[input.index]);
  const auto fits = [&](const RefTensor& value) {
    const double most = is_float(value.type.dtype) ? kLargest : kLargestInteger;
    return std::ranges::all_of(value.values, [&](double v) { return std::fabs(v) <= most; }) &&
           is_stable(graph_, id, operands, extents_, value, numbers_);
  };
  const bool small = num_elements(type(id).shape).value_or(kMaxElements + 1) <= kMaxElements;
  Result<RefTensor> value = small ? value_of(graph_, id, operands, extents_) : fail(ErrorKind::Limit, "too large");
  if (!value || !fits(*value)) {
    graph_.nodes.pop_back();
    return std::nullopt;
  }
  values_.push_back(*std::move(value));
  return id;
}

std::optional<NodeId> NodePool::add_scan(Graph body, Operands inputs, const Extent& steps, bool reverse,
                                         int32_t until) {
  Graph alone;
  alone.symbols = graph_.symbols;
  Builder builder(alone);
  std::vector<RefTensor> given;
  std::vector<NodeId> arguments;
  for (const NodeId input : inputs) {
    arguments.push_back(builder.argument({}, type(input)));
    given.push_back(values_[input.index]);
  }
  const NodeId scan = make_scan(builder, body, arguments, steps, reverse, false, until);
  for (size_t k = 0; k < body.results.size(); ++k)
    builder.result({"", ResultRole::Value, -1, make_part(builder, scan, k)});
  const Result<std::vector<RefTensor>> results = evaluate(alone, given, extents_);
  for (RefTensor& tensor : given) {
    if (!is_float(tensor.type.dtype)) continue;
    for (double& value : tensor.values) value += 1e-4 * (1 + std::fabs(value)) * numbers_.uniform(-1, 1);
  }
  const Result<std::vector<RefTensor>> moved = evaluate(alone, given, extents_);
  if (!results || !moved) return std::nullopt;
  for (size_t k = 0; k < results->size(); ++k) {
    const RefTensor& one = (*results)[k];
    if (num_elements(one.type.shape).value_or(kMaxElements + 1) > kMaxElements) return std::nullopt;
    for (size_t i = 0; i < one.values.size(); ++i) {
      // Out of proportion: a hundred times what the operands moved.
      const bool steady = std::fabs(one.values[i] - (*moved)[k].values[i]) <= 1e-2 * (1 + std::fabs(one.values[i]));
      if (!steady || std::fabs(one.values[i]) > kLargest) return std::nullopt;
    }
  }
  const NodeId made = make_scan(builder_, std::move(body), std::move(inputs), steps, reverse, false, until);
  values_.push_back({type(made), actual_sizes(type(made).shape, extents_), {}});
  NodeId last = made;
  for (const RefTensor& value : *results) {
    last = make_part(builder_, made, static_cast<size_t>(&value - results->data()));
    values_.push_back(value);
    keep(last);
  }
  return last;
}

NodeId NodePool::constant(double value, TensorType type) {
  const NodeId id = builder_.constant(value, type);
  values_.push_back({type, actual_sizes(type.shape, extents_), {}});
  const double stored = is_half(type.dtype) ? round_to_float(value, type.dtype) : value;
  values_.back().values.assign(static_cast<size_t>(values_.back().count()), stored);
  return id;
}

Extent NodePool::draw_extent() {
  if (!numbers_.chance(0.3)) return Extent(numbers_.pick(sizes_));
  const size_t symbol = numbers_.chance(0.25) ? graph_.symbols.size() - 1 : 0;
  return Extent(graph_.symbols[symbol].bound, static_cast<int32_t>(symbol));
}

Shape NodePool::draw_shape(size_t max_rank) {
  Shape shape;
  const auto rank = static_cast<size_t>(numbers_.integer(0, static_cast<int64_t>(max_rank)));
  while (shape.size() < rank) shape.push_back(draw_extent());
  while (num_elements(shape).value_or(kMaxElements) > kMaxElements / 2) shape.pop_back();
  return shape;
}

std::optional<NodeId> NodePool::draw_live(DTypeClass cls, size_t min_rank, size_t max_rank) {
  std::vector<NodeId> fitting;
  for (const NodeId id : live_) {
    const size_t rank = type(id).rank();
    const bool right_float = cls != DTypeClass::Float || type(id).dtype == dtype_;
    if (class_of(type(id).dtype) == cls && right_float && rank >= min_rank && rank <= max_rank) fitting.push_back(id);
  }
  return pick_recent(std::move(fitting));
}

std::optional<NodeId> NodePool::draw_live_half(size_t min_rank, size_t max_rank) {
  std::vector<NodeId> fitting;
  for (const NodeId id : live_) {
    const size_t rank = type(id).rank();
    if (is_half(type(id).dtype) && rank >= min_rank && rank <= max_rank) fitting.push_back(id);
  }
  return pick_recent(std::move(fitting));
}

std::optional<NodeId> NodePool::pick_recent(std::vector<NodeId> fitting) {
  if (fitting.empty()) return std::nullopt;
  if (numbers_.chance(0.5) && fitting.size() > 4) fitting.erase(fitting.begin(), fitting.end() - 4);
  return numbers_.pick(fitting);
}

std::optional<NodeId> NodePool::to_half(NodeId x, DType half) {
  std::optional<NodeId> from = x;
  if (halves_ == Halves::Stored && is_float(type(x).dtype) && !is_half(type(x).dtype)) from = add(OpKind::Stop, {x});
  return from ? add(OpKind::Cast, {*from}, {{"dtype", std::string(to_string(half))}}) : std::nullopt;
}

NodeId NodePool::like(NodeId x) {
  const TensorType wanted = type(x);
  for (int attempt = 0; attempt < 6; ++attempt) {
    const NodeId other = numbers_.pick(live_);
    if (type(other) == wanted) return other;
    if (type(other).dtype != wanted.dtype || type(other).rank() > 1) continue;
    std::vector<int64_t> axes;
    if (type(other).rank() == 1) {
      const auto axis = std::ranges::find(wanted.shape, type(other).shape[0]);
      if (axis == wanted.shape.end()) continue;
      axes.push_back(axis - wanted.shape.begin());
    }
    if (const auto spread = add(OpKind::Broadcast, {other}, {{"axes", axes}, {"type", wanted}})) return *spread;
  }
  if (wanted.dtype == DType::Bool) return constant(static_cast<double>(numbers_.integer(0, 1)), wanted);
  const double value = numbers_.pick(kConstants);
  return constant(is_float(wanted.dtype) ? value : std::floor(std::fabs(value)), wanted);
}

std::optional<NodeId> NodePool::indices(int64_t limit, const Shape* shape) {
  std::optional<NodeId> index;
  for (const NodeId id : live_) {
    if (class_of(type(id).dtype) != DTypeClass::Int || (shape != nullptr && type(id).shape != *shape)) continue;
    if (!index || numbers_.chance(0.5)) index = id;
  }
  if (!index || numbers_.chance(0.2)) {
    const Shape own = shape != nullptr ? *shape : Shape{draw_extent()};
    if (own.empty()) return std::nullopt;
    const auto axis = numbers_.integer(0, static_cast<int64_t>(own.size()) - 1);
    index = add(OpKind::Index, {}, {{"axis", axis}, {"type", TensorType{DType::I32, own}}});
  }
  if (!index) return std::nullopt;
  const bool inside =
      std::ranges::all_of(value(*index).values, [&](double v) { return v >= 0 && v < static_cast<double>(limit); });
  if (inside) return index;
  const TensorType index_type = type(*index);
  index = add(OpKind::Max, {*index, constant(0, index_type)});
  if (!index) return std::nullopt;
  return add(OpKind::Min, {*index, constant(static_cast<double>(limit - 1), index_type)});
}

std::optional<NodeId> NodePool::condition(NodeId x) {
  for (const NodeId id : live_) {
    if (type(id) == TensorType{DType::Bool, type(x).shape} && numbers_.chance(0.3)) return id;
  }
  std::vector<OpKind> comparisons;
  for (const OpDef& def : all_ops()) {
    if (def.traits.comparison) comparisons.push_back(op_kind(def));
  }
  const NodeId other = like(x);  // before the next draw, whatever the compiler
  const auto test = add(numbers_.pick(comparisons), {x, other});
  if (test) keep(*test);
  return test;
}

}  // namespace smelt::fuzz
