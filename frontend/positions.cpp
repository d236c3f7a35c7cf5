// Whole numbers that say which element of an axis is read. Generated code takes the nearest element for what lies
// outside, so what comes from outside is either labels, which are checked once with row and value, or kept inside by
// the formula itself.
//
// Bounds are intervals, found by walking back from a node to feeds and columns of the data. What a float formula
// computes is the model's own business; a feed that is only moved or cast, or added to in whole numbers, is not.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "frontend/graph_writer.h"
#include "ir/op.h"

namespace smelt::frontend {

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Bounds {
  double low = -kInf, high = kInf;
  NodeId outside;        // a feed or column that the values come from
  bool reached = false;  // both ends are values that occur, whatever is fed

  bool is_number() const { return low == high; }
};

Bounds joined(const Bounds& a, const Bounds& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high), a.outside.valid() ? a.outside : b.outside};
}

/// Ends of a function that grows, or falls, in both: two values that vary may never be at their ends together.
bool both_reached(const Bounds& a, const Bounds& b) {
  return a.reached && b.reached && (a.is_number() || b.is_number());
}

/// Infinite ends have no products.
Bounds product(const Bounds& a, const Bounds& b) {
  Bounds result{-kInf, kInf, a.outside.valid() ? a.outside : b.outside, both_reached(a, b)};
  if (!std::isfinite(a.low) || !std::isfinite(a.high) || !std::isfinite(b.low) || !std::isfinite(b.high)) return result;
  const auto [low, high] = std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
  result.low = low, result.high = high;
  return result;
}

class PositionBounds {
 public:
  PositionBounds(const FunctionContext& context, const DataPlan* data) : context_(context), data_(data) {}

  Bounds of(NodeId id, int depth = 0) {
    constexpr int kDeepest = 100;
    if (depth > kDeepest) return {};
    if (const auto known = known_.find(id); known != known_.end()) return known->second;
    Bounds bounds = computed(id, depth);
    if (!moves(graph()[id].op) && is_float(graph().type(id).dtype)) bounds.outside = {};
    return known_[id] = bounds;
  }

 private:
  const Graph& graph() const { return context_.function.graph; }

  static bool moves(OpKind op) {
    switch (op) {
      case OpKind::Argument:
      case OpKind::Cotangent:
      case OpKind::Cast:
      case OpKind::Floor:
      case OpKind::Stop:
      case OpKind::Broadcast:
      case OpKind::Transpose:
      case OpKind::Reshape:
      case OpKind::Slice:
      case OpKind::Gather:
      case OpKind::Read:
      case OpKind::Pad: return true;
      default: return false;
    }
  }

  Bounds computed(NodeId id, int depth) {
    const Node& node = graph()[id];
    const auto in = [&](size_t k) { return of(node.inputs[k], depth + 1); };
    switch (node.op) {
      case OpKind::Argument: return argument(id);
      case OpKind::Cotangent: return slice(id, depth);
      case OpKind::Constant: return {node.attrs.number("value"), node.attrs.number("value"), {}, true};
      case OpKind::Extent: return {1, static_cast<double>(node.attrs.integer("bound")), {}};
      case OpKind::Index: return positions_along(node.type, node.attrs.integer("axis"), true);
      case OpKind::ArgMax:
      case OpKind::ArgMin: return positions_along(graph().type(node.inputs[0]), node.attrs.integer("axis"));
      case OpKind::Cast:
      case OpKind::Floor: return is_float(graph().type(node.inputs[0]).dtype) ? whole(in(0), node.op) : in(0);
      case OpKind::Read:
      case OpKind::Pad: return joined(in(0), {0, 0, {}});
      case OpKind::Neg: return product(in(0), {-1, -1, {}, true});
      case OpKind::Mul: return product(in(0), in(1));
      case OpKind::Div: return quotient(in(0), in(1), node.type.dtype);
      case OpKind::Sub: return is_remainder(node) ? remainder(in(0), divisor(node)) : difference(in(0), in(1));
      case OpKind::Add: return sum(in(0), in(1));
      case OpKind::Abs: return magnitude(in(0));
      case OpKind::Max: return extremum(in(0), in(1), [](double a, double b) { return std::max(a, b); });
      case OpKind::Min: return extremum(in(0), in(1), [](double a, double b) { return std::min(a, b); });
      case OpKind::Select: return joined(in(1), in(2));
      default: break;
    }
    if (moves(node.op)) return moved(in(0), node.op);
    const ResultRange& range = op_def(node).range;
    return node.type.dtype == DType::Bool ? Bounds{0, 1, {}} : Bounds{range.low, range.high, {}};
  }

  static Bounds positions_along(const TensorType& type, int64_t axis, bool all = false) {
    const Extent& extent = type.shape[static_cast<size_t>(axis)];
    return {0, static_cast<double>(extent.bound - 1), {}, all && extent.is_static()};
  }
  static Bounds sum(const Bounds& a, const Bounds& b) {
    return {a.low + b.low, a.high + b.high, a.outside.valid() ? a.outside : b.outside, both_reached(a, b)};
  }
  static Bounds difference(const Bounds& a, const Bounds& b) { return sum(a, product(b, {-1, -1, {}, true})); }
  /// Of whole numbers by a number; towards 0.
  static Bounds quotient(const Bounds& x, const Bounds& y, DType dtype) {
    Bounds result{-kInf, kInf, x.outside.valid() ? x.outside : y.outside};
    if (is_float(dtype) || !y.is_number() || y.low == 0) return result;
    const auto [low, high] = std::minmax({std::trunc(x.low / y.low), std::trunc(x.high / y.low)});
    result.low = low, result.high = high, result.reached = both_reached(x, y);
    return result;
  }
  /// x - y * (x / y) of whole numbers, which is what `x % y` becomes.
  bool is_remainder(const Node& node) const {
    const Node& multiple = graph()[node.inputs[1]];
    if (is_float(node.type.dtype) || multiple.op != OpKind::Mul) return false;
    const Node& ratio = graph()[multiple.inputs[0]];
    return ratio.op == OpKind::Div && ratio.inputs[0] == node.inputs[0];
  }
  Bounds divisor(const Node& node) {
    const Node& multiple = graph()[node.inputs[1]];
    const Bounds by = of(multiple.inputs[1]), again = of(graph()[multiple.inputs[0]].inputs[1]);
    return by.is_number() && again.is_number() && by.low == again.low ? by : Bounds{};
  }
  static Bounds remainder(const Bounds& x, const Bounds& by) {
    if (!by.is_number() || by.low == 0) return {-kInf, kInf, x.outside};
    const double most = std::abs(by.low) - 1;
    return {x.low >= 0 ? 0 : std::max(x.low, -most), x.high <= 0 ? 0 : std::min(x.high, most), x.outside};
  }
  /// All elements are still there, or some of them.
  static Bounds moved(Bounds x, OpKind op) {
    const bool some = op == OpKind::Slice || op == OpKind::Gather;
    x.reached = x.reached && (!some || x.is_number());
    return x;
  }
  static Bounds whole(Bounds x, OpKind op) {
    const auto round = [&](double end) { return op == OpKind::Floor ? std::floor(end) : std::trunc(end); };
    return {round(x.low), round(x.high), x.outside};
  }
  static Bounds magnitude(const Bounds& x) {
    const double largest = std::max(std::abs(x.low), std::abs(x.high));
    const double least = x.low <= 0 && x.high >= 0 ? 0 : std::min(std::abs(x.low), std::abs(x.high));
    return {least, largest, x.outside};
  }
  template <typename Pick>
  static Bounds extremum(const Bounds& a, const Bounds& b, const Pick& pick) {
    return {pick(a.low, b.low), pick(a.high, b.high), a.outside.valid() ? a.outside : b.outside, both_reached(a, b)};
  }

  /// Labels are checked where they come in; of other numbers the element type is all that is known.
  Bounds argument(NodeId id) const {
    const auto number = static_cast<size_t>(graph()[id].attrs.integer("index"));
    const Argument& argument = graph().arguments[number];
    const DType dtype = graph().type(id).dtype;
    Bounds bounds;
    if (argument.role == ArgRole::Feed || argument.role == ArgRole::Column) bounds.outside = id;
    if (dtype == DType::Bool) bounds.low = 0, bounds.high = 1;
    if (dtype == DType::U8) bounds.low = 0, bounds.high = 255;
    if (dtype == DType::I8) bounds.low = -128, bounds.high = 127;
    int64_t below = argument.limit.below;
    if (argument.role == ArgRole::Column && data_ != nullptr) {
      for (const ColumnLimit& limit : data_->limits)
        if (limit.column == argument.ref) below = below == 0 ? limit.below : std::min(below, limit.below);
    }
    if (below > 0) bounds.low = 0, bounds.high = static_cast<double>(below - 1);
    return bounds;
  }

  /// A step's slice is made of what was there before the scan.
  Bounds slice(NodeId id, int depth) {
    const auto step = context_.steps.find(id);
    if (step != context_.steps.end()) return {0, static_cast<double>(step->second - 1), {}};
    const auto outside = context_.slices.find(id);
    return outside == context_.slices.end() ? Bounds{} : of(outside->second, depth + 1);
  }

  const FunctionContext& context_;
  const DataPlan* data_;
  std::map<NodeId, Bounds> known_;
};

}  // namespace

bool GraphWriter::check_positions(const Tensor& positions, const Axis& axis, Span span, bool strict) {
  const std::string along = shapes_.sized_text(axis);
  const int64_t last = axis.extent.bound - 1;
  if (positions.label != kAnonymous) {
    const Axis labels = shapes_.axis_of(positions.label);
    if (labels.extent.bound <= axis.extent.bound) return true;
    diagnostics_
        .report(Diag::E0109, call_site(span),
                fmt::format("labels of {} are positions along {}", shapes_.sized_text(labels), along))
        .caret(fmt::format("labels {} to {} would go unseen", axis.extent.bound, labels.extent.bound - 1))
        .with_help(fmt::format("give the axis the dim of the labels, {}; or keep them inside: `clamp(.., 0, {})`",
                               shapes_.axis_text(labels), last));
    return false;
  }
  const Bounds bounds = PositionBounds(*context_, experiment_.data ? &*experiment_.data : nullptr).of(positions.node);
  const bool inside = bounds.low >= 0 && bounds.high <= static_cast<double>(last);
  const bool known = std::isfinite(bounds.low) && std::isfinite(bounds.high);
  const bool leaves = !bounds.outside.valid() && (bounds.reached || (strict && known));
  if (inside || !(bounds.outside.valid() || leaves)) return true;
  if (leaves) {
    diagnostics_
        .report(Diag::E0109, call_site(span),
                fmt::format("positions along {} {} from {} to {}", along, bounds.reached ? "are" : "may be", bounds.low,
                            bounds.high))
        .caret(fmt::format("0 to {} are inside", last))
        .with_help(fmt::format("keep them inside: `clamp(.., 0, {})`", last));
    return false;
  }
  const Argument& source =
      builder().graph().arguments[static_cast<size_t>(builder().graph()[bounds.outside].attrs.integer("index"))];
  const bool fed = source.role == ArgRole::Feed;
  const std::string name = fed ? fmt::format("`{}`", source.name) : "a column of the data";
  const std::string dim = axis.dim == kAnonymous ? "K" : shapes_.axis_text(axis);
  const std::string declared = axis.dim == kAnonymous ? fmt::format("`dim K = {}`, ", axis.extent.bound) : "";
  diagnostics_
      .report(Diag::E0109, call_site(span),
              fmt::format("positions along {} are made of {}, and may lie outside", along, name))
      .caret(known ? fmt::format("from {} to {}, where 0 to {} are inside", bounds.low, bounds.high, last)
                   : fmt::format("`{}`: what is not in 0..{} would go unseen", shapes_.type_text(positions), last))
      .with_help(
          known
              ? fmt::format("keep them inside: `clamp(.., 0, {})`", last)
              : fmt::format("declare labels: {}`{}`, of which each is checked; or take the nearest: `clamp(.., 0, {})`",
                            declared,
                            fed ? fmt::format("{}: ix<{}>[..]", source.name, dim)
                                : fmt::format("name: ix<{}> = field(..)", dim),
                            last));
  return false;
}

}  // namespace smelt::frontend
