#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "compiler/graph/seen_prefix.h"
#include "ir/op.h"

namespace smelt {
namespace {

class SegmentWriter {
 public:
  SegmentWriter(const Graph& graph, const Region& region, const SeenPrefix& prefix, const Group& group,
                GraphRebuilder& rebuilder)
      : graph_(graph), region_(region), prefix_(prefix), group_(group), rebuilder_(rebuilder) {}

  void write(const std::vector<bool>& is_read) {
    std::vector<uint32_t> given;
    for (const uint32_t index : group_.own) {
      if (is_read[index] && !region_.large.contains(index)) given.push_back(index);
    }
    std::map<uint32_t, NodeId> whole;
    for (const SeenPrefix::Segment& segment : prefix_.segments) {
      segment_ = segment;
      parts_.clear();
      operands_.clear();
      for (const uint32_t index : group_.nodes) compute(index);
      for (const uint32_t index : given) {
        const NodeId part = in_place(index);
        NodeId& sum = whole[index];
        sum = sum.valid() ? joined(sum, part) : part;
      }
    }
    for (const auto& [index, node] : whole) rebuilder_.replace({index}, node);
  }

 private:
  Builder& build() { return rebuilder_.build(); }

  bool is_inside(NodeId id, int32_t rows, int32_t seen) const {
    return std::ranges::binary_search(group_.nodes, id.index) && region_.cuts.at(id.index).result == rows &&
           prefix_.cuts.at(id.index).result == seen;
  }

  void compute(uint32_t index) {
    const Node& node = graph_.nodes[index];
    const AxisCut &rows = region_.cuts.at(index), &seen = prefix_.cuts.at(index);
    std::vector<NodeId> operands;
    for (size_t k = 0; k < node.inputs.size(); ++k)
      operands.push_back(operand(node.inputs[k], rows.operands[k], seen.operands[k]));
    parts_[index] = make_part_of(build(), node, std::move(operands), {{rows, segment_.rows()}, {seen, segment_.seen}});
  }

  NodeId operand(NodeId id, int32_t rows, int32_t seen) {
    if (is_inside(id, rows, seen)) return parts_.at(id.index);
    NodeId& known = operands_[{id.index, rows, seen}];
    if (!known.valid())
      known = cut(cut(rebuilder_.map(id), rows, segment_.begin, segment_.end), seen, 0, segment_.seen);
    return known;
  }

  /// Positions begin .. end - 1 of an axis.
  NodeId cut(NodeId x, int32_t axis, int64_t begin, int64_t end) {
    const TensorType type = build().type(x);
    const auto at = static_cast<size_t>(axis);
    if (axis < 0 || type.shape[at] == Extent(end - begin)) return x;
    const Node& node = build().graph()[x];
    if (node.op == OpKind::Index && node.attrs.integer("axis") == axis) {  // counted anew, not loaded
      TensorType part = type;
      part.shape[at] = Extent(end - begin);
      const NodeId index = build().index(part, axis);
      return begin == 0 ? index : build().add(index, build().like(index, static_cast<double>(begin)));
    }
    std::vector<int64_t> starts(type.rank(), 0), limits;
    for (const Extent& extent : type.shape) limits.push_back(extent.bound);
    starts[at] = begin;
    limits[at] = end;
    return build().make(OpKind::Slice, {x}, {{"starts", starts}, {"limits", limits}});
  }

  /// What a segment gives, in the size of the whole: 0 elsewhere.
  NodeId in_place(uint32_t index) {
    NodeId part = parts_.at(index);
    const int32_t rows = region_.cuts.at(index).result, seen = prefix_.cuts.at(index).result;
    const Shape& shape = graph_.nodes[index].type.shape;
    std::vector<int64_t> low(shape.size(), 0), high(shape.size(), 0);
    if (rows >= 0) {
      low[static_cast<size_t>(rows)] = segment_.begin;
      high[static_cast<size_t>(rows)] = region_.extent.bound - segment_.end;
    } else if (seen >= 0) {
      high[static_cast<size_t>(seen)] = shape[static_cast<size_t>(seen)].bound - segment_.seen;
    }
    const auto is_zero = [](int64_t size) { return size == 0; };
    if (std::ranges::all_of(low, is_zero) && std::ranges::all_of(high, is_zero)) return part;
    return build().make(OpKind::Pad, {part}, {{"low", low}, {"high", high}});
  }

  NodeId joined(NodeId a, NodeId b) {
    return build().type(a).dtype == DType::Bool ? build().make(OpKind::Or, {a, b}) : build().add(a, b);
  }

  const Graph& graph_;
  const Region& region_;
  const SeenPrefix& prefix_;
  const Group& group_;
  GraphRebuilder& rebuilder_;
  SeenPrefix::Segment segment_;
  std::map<uint32_t, NodeId> parts_;                                   // of the segment, by node
  std::map<std::tuple<uint32_t, int32_t, int32_t>, NodeId> operands_;  // by operand and the axes that are cut
};

}  // namespace

void write_segments(const Graph& graph, const Region& region, const SeenPrefix& prefix, const Group& group,
                    const std::vector<bool>& is_read, GraphRebuilder& rebuilder) {
  SegmentWriter(graph, region, prefix, group, rebuilder).write(is_read);
}

}  // namespace smelt
