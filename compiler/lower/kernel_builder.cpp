#include "compiler/lower/kernel_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt {

KernelBuilder::KernelBuilder(const Graph& graph, const FusionPlan& plan, const BufferTable& buffers, int32_t kernel_id)
    : graph_(graph),
      plan_(plan),
      buffers_(buffers),
      kernel_id_(kernel_id),
      kernel_plan_(plan.kernels[static_cast<size_t>(kernel_id)]) {}

Kernel KernelBuilder::build() {
  if (kernel_plan_.is_product()) kernel_.work = Product{};
  for (size_t axis = 0; axis < kernel_plan_.outer.size(); ++axis) {
    new_loop(fmt::format("i{}", axis), kernel_plan_.outer[axis]);
  }
  kernel_.num_outer = static_cast<int32_t>(kernel_plan_.outer.size());
  kernel_.by_columns = kernel_plan_.by_columns;
  if (kernel_plan_.is_product()) {
    build_product_epilogue();
  } else {
    build_nest();
  }
  kernel_.num_values = static_cast<int32_t>(levels_.size());
  return std::move(kernel_);
}

void KernelBuilder::build_nest() {
  level_split_ = kernel_.num_outer;
  const NodeId first = kernel_plan_.sweeps[0].nodes[0];
  if (op_def(graph_[first]).kind == Kind::Scatter) {
    build_scatter(first);
    return;
  }
  for (const SweepPlan& plan : kernel_plan_.sweeps) build_sweep(plan);
  if (!pending_.empty()) {
    flush_stores();
    kernel_.sweeps.push_back(std::exchange(sweep_, {}));
  }
}

void KernelBuilder::build_sweep(const SweepPlan& plan) {
  body_memo_.clear();
  flush_stores();
  IndexVector inner;
  for (size_t axis = 0; axis < plan.inner.size(); ++axis) {
    sweep_.loops.push_back(new_loop(fmt::format("j{}", kernel_.loops.size()), plan.inner[axis]));
    inner.push_back(Affine::of(sweep_.loops.back()));
  }
  for (const NodeId id : plan.nodes) {
    const Node& node = graph_[id];
    const bool reduce = op_def(node).kind == Kind::Reduce;
    IndexVector index;
    size_t next_outer = 0, next_inner = 0;
    if (reduce) {
      const std::vector<int64_t>& axes = node.attrs.integers("axes");
      for (size_t axis = 0; axis < graph_.type(node.inputs[0]).rank(); ++axis) {
        const bool reduced = std::ranges::find(axes, static_cast<int64_t>(axis)) != axes.end();
        index.push_back(reduced ? inner[next_inner++] : Affine::of(static_cast<int32_t>(next_outer++)));
      }
    } else {
      for (size_t axis = 0; axis < node.type.rank(); ++axis) {
        const bool outer = axis < static_cast<size_t>(kernel_.num_outer);
        index.push_back(outer ? Affine::of(static_cast<int32_t>(axis)) : inner[next_inner++]);
      }
    }
    define(id, index, reduce);
  }
  kernel_.sweeps.push_back(std::exchange(sweep_, {}));
}

void KernelBuilder::define(NodeId id, const IndexVector& index, bool to_folds) {
  const Node& node = graph_[id];
  if (!to_folds) {
    const int32_t result = compute(id, index);
    auto& memo = level_of_value(result) == kBody ? body_memo_ : outer_memo_;
    memo[key(id, index)] = result;
    store(id, index, result);
    return;
  }
  Fold fold;
  fold.input = value(node.inputs[0], index);
  fold.result = new_value(kOuter);
  fold.identity = op_def(node).identity;
  fold.dtype = node.type.dtype;
  fold.body = op_def(node).body;
  fold.attrs = node.attrs;
  sweep_.folds.push_back(fold);
  IndexVector outer;
  for (int32_t axis = 0; axis < kernel_.num_outer; ++axis) outer.push_back(Affine::of(axis));
  outer_memo_[key(id, outer)] = fold.result;
  Stmt stmt{.kind = StmtKind::Store, .dtype = node.type.dtype, .operands = {fold.result}};
  stmt.access = {.buffer = buffers_.of_node[id.index], .offset = linear_offset(outer, node.type.shape)};
  stmt.span = node.span;
  pending_.push_back(std::move(stmt));
}

void KernelBuilder::flush_stores() {
  for (Stmt& stmt : pending_) sweep_.setup.push_back(std::move(stmt));
  pending_.clear();
}

void KernelBuilder::build_product_epilogue() {
  level_split_ = 0;  // rows and columns of a tile both run inside
  const NodeId product = kernel_plan_.product;
  const Node& node = graph_[product];
  IndexVector own;
  for (int32_t axis = 0; axis < kernel_.num_outer; ++axis) own.push_back(Affine::of(axis));
  const int32_t sum = emit({.kind = StmtKind::Product, .dtype = node.type.dtype, .span = node.span}, kBody);
  body_memo_[key(product, own)] = sum;
  store(product, own, sum);
  for (const NodeId id : kernel_plan_.sweeps[0].nodes) define(id, own, false);
  kernel_.sweeps.push_back(std::exchange(sweep_, {}));
}

bool BufferTable::share_memory(NodeId a, NodeId b) const {
  const int32_t first = of_node[a.index], second = of_node[b.index];
  if (first == second || first < 0 || second < 0) return first == second && first >= 0;
  const LoopBuffer &one = buffers[static_cast<size_t>(first)], &other = buffers[static_cast<size_t>(second)];
  return one.storage == Storage::Variable && other.storage == Storage::Variable && one.ref == other.ref;
}

// out[n, r] = 0 for all n; then out[index[i], r] += rows[i, r] for all i in order: one owner a column r, of each
// element of a batch. Rows that are put over others need no sum, and no copy of the others when they are in their
// place.
void KernelBuilder::build_scatter(NodeId id) {
  const Node& node = graph_[id];
  const Shape& index_shape = graph_.type(node.inputs[0]).shape;
  const int32_t buffer = buffers_.of_node[id.index];
  const std::vector<int64_t> strides = row_major_strides(node.type.shape);
  const size_t row_at = row_axis(node);
  // What outer loops pass over, with `inner` between the axes of the batch and those of a row.
  const auto around = [&](const IndexVector& inner) {
    IndexVector index;
    for (int32_t axis = 0; axis < kernel_.num_outer; ++axis) {
      if (static_cast<size_t>(axis) == row_at) index.insert(index.end(), inner.begin(), inner.end());
      index.push_back(Affine::of(axis));
    }
    if (static_cast<size_t>(kernel_.num_outer) == row_at) index.insert(index.end(), inner.begin(), inner.end());
    return index;
  };
  const Affine column = linear_offset(around({Affine{}}), node.type.shape);
  const bool overwrites = op_def(node).traits.overwrites;
  if (!overwrites || !buffers_.share_memory(id, node.inputs[2])) {
    const int32_t row_loop = new_loop("n", node.type.shape[row_at]);
    sweep_.loops = {row_loop};
    sweep_.ordered = true;
    const IndexVector element = around({Affine::of(row_loop)});
    const Stmt zero{.kind = StmtKind::Constant, .dtype = node.type.dtype, .span = node.span};
    const int32_t start = overwrites ? value(node.inputs[2], element) : emit(zero, kBody);
    sweep_.body.push_back({.kind = StmtKind::Store,
                           .dtype = node.type.dtype,
                           .operands = {start},
                           .access = {.buffer = buffer, .offset = linear_offset(element, node.type.shape)},
                           .span = node.span});
    kernel_.sweeps.push_back(std::exchange(sweep_, {}));
    body_memo_.clear();
  }

  sweep_.ordered = true;  // two updates may be of one row
  IndexVector labels;
  for (size_t axis = row_at; axis < index_shape.size(); ++axis) {
    sweep_.loops.push_back(new_loop(fmt::format("i{}", kernel_.loops.size()), index_shape[axis]));
    labels.push_back(Affine::of(sweep_.loops.back()));
  }
  const IndexVector update_index = around(labels);
  const int32_t row =
      value(node.inputs[0], {update_index.begin(), update_index.begin() + static_cast<ptrdiff_t>(index_shape.size())});
  const int32_t update = value(node.inputs[1], update_index);
  const Access access{.buffer = buffer,
                      .offset = column,
                      .row = row,
                      .row_stride = strides[row_at],
                      .row_extent = node.type.shape[row_at]};
  int32_t stored = update;
  if (!overwrites) {
    const int32_t old = emit({.kind = StmtKind::Load, .dtype = node.type.dtype, .access = access, .span = node.span},
                             sweep_.loops.empty() ? kOuter : kBody);
    stored = call(OpKind::Add, {old, update}, node.type.dtype, node.span);
  }
  Stmt store_row{
      .kind = StmtKind::Store, .dtype = node.type.dtype, .operands = {stored}, .access = access, .span = node.span};
  (sweep_.loops.empty() ? sweep_.setup : sweep_.body).push_back(std::move(store_row));
  kernel_.sweeps.push_back(std::exchange(sweep_, {}));
}

int32_t KernelBuilder::value(NodeId id, const IndexVector& index) {
  const Key memo_key = key(id, index);
  if (const auto known = remembered(memo_key)) return *known;
  const Node& node = graph_[id];
  int32_t result;
  if (plan_.stored[id.index] || node.op == OpKind::Argument) {
    result = load(id, linear_offset(index, node.type.shape), node.type.dtype, node.span);
  } else {
    result = compute(id, index);
  }
  // Under a predicate a value is only good where it holds.
  if (predicate_ < 0) (level_of_value(result) == kBody ? body_memo_ : outer_memo_)[memo_key] = result;
  return result;
}

int32_t KernelBuilder::compute(NodeId id, const IndexVector& index) {
  const Node& node = graph_[id];
  const OpDef& op = op_def(node);
  switch (op.kind) {
    case Kind::Constant:
      return emit({.kind = StmtKind::Constant,
                   .dtype = node.type.dtype,
                   .constant = node.attrs.number("value"),
                   .span = node.span},
                  kThread);
    case Kind::Index:
      return index_value(index[static_cast<size_t>(node.attrs.integer("axis"))], node.type.dtype, node.span);
    case Kind::Extent:
      return emit({.kind = StmtKind::Extent,
                   .dtype = node.type.dtype,
                   .symbol = static_cast<int32_t>(node.attrs.integer("symbol")),
                   .span = node.span},
                  kThread);
    case Kind::Elementwise: {
      std::vector<int32_t> operands;
      for (const NodeId input : node.inputs) operands.push_back(value(input, index));
      return call(node.op, std::move(operands), node.type.dtype, node.span, node.attrs);
    }
    case Kind::Random: return random(node, index);
    case Kind::Gather: return gather(node, index);
    case Kind::Move: return moved(node, index);
    case Kind::Argument:
    case Kind::Reduce:
    case Kind::Contract:
    case Kind::Scatter:
    case Kind::Scan:
    case Kind::Part:
    case Kind::Composite:
    case Kind::Meta: break;
  }
  SMELT_CHECK(false, "node %{} ({}) cannot be evaluated inside a kernel", id.index, op.name);
}

int32_t KernelBuilder::moved(const Node& node, const IndexVector& index) {
  if (node.op == OpKind::Reshape && !keeps_index(graph_, node)) {
    const NodeId root = operand_root(graph_, plan_.stored, node.inputs[0]);
    const DType dtype = graph_.type(root).dtype;
    const int32_t loaded = load(root, linear_offset(index, node.type.shape), dtype, node.span);
    if (dtype == node.type.dtype) return loaded;
    return call(OpKind::Cast, {loaded}, node.type.dtype, node.span,
                {{"dtype", std::string(to_string(node.type.dtype))}});
  }
  const IndexVector position = operand_index(graph_, node, 0, index);
  const std::optional<IndexMap> map = op_def(node).access(graph_.type(node.inputs[0]), node.type, node.attrs);
  if (!map || !map->bounded) return value(node.inputs[0], position);
  const int32_t inside = in_bounds(position, graph_.type(node.inputs[0]).shape, node.span);
  if (inside < 0) return value(node.inputs[0], position);
  const int32_t outer_predicate = predicate_;
  predicate_ = outer_predicate < 0 ? inside : call(OpKind::And, {outer_predicate, inside}, DType::Bool, node.span);
  const int32_t inner = value(node.inputs[0], position);
  predicate_ = outer_predicate;
  const AttrValue* outside = node.attrs.find("outside");
  const int32_t otherwise = emit({.kind = StmtKind::Constant,
                                  .dtype = node.type.dtype,
                                  .constant = outside == nullptr ? 0 : std::get<double>(*outside),
                                  .span = node.span},
                                 kThread);
  return call(OpKind::Select, {inside, inner, otherwise}, node.type.dtype, node.span);
}

int32_t KernelBuilder::in_bounds(const IndexVector& position, const Shape& shape, Span span) {
  int32_t inside = -1;
  const auto require = [&](int32_t condition) {
    inside = inside < 0 ? condition : call(OpKind::And, {inside, condition}, DType::Bool, span);
  };
  std::vector<int64_t> bounds;
  for (const Loop& loop : kernel_.loops) bounds.push_back(loop.extent.bound);
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (position[axis].is_index() &&
        kernel_.loops[static_cast<size_t>(position[axis].terms[0].first)].extent == shape[axis]) {
      continue;  // runs over exactly this axis
    }
    const IndexRange range = range_of(position[axis], bounds);
    if (range.low >= 0 && range.high < shape[axis].bound && shape[axis].is_static()) continue;
    const int32_t at = index_value(position[axis], DType::I64, span);
    if (range.low < 0) require(call(OpKind::Ge, {at, integer(0)}, DType::Bool, span));
    const int32_t end =
        shape[axis].is_static()
            ? integer(shape[axis].bound)
            : emit({.kind = StmtKind::Extent, .dtype = DType::I64, .symbol = shape[axis].symbol}, kThread);
    require(call(OpKind::Lt, {at, end}, DType::Bool, span));
  }
  return inside;
}

int32_t KernelBuilder::gather(const Node& node, const IndexVector& index) {
  const size_t index_rank = graph_.type(node.inputs[1]).rank(), rows = row_axis(node);
  const int32_t row = value(node.inputs[1], operand_index(graph_, node, 1, index));
  const NodeId table = node.inputs[0];
  const auto [root, strides] = gather_table(graph_, plan_.stored, table);
  const Shape& shape = graph_.type(table).shape;
  Affine offset;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis != rows) offset = offset + index[axis < rows ? axis : index_rank + axis - rows - 1] * strides[axis];
  }
  Stmt stmt{.kind = StmtKind::Load, .dtype = node.type.dtype, .span = node.span};
  stmt.access = {.buffer = buffers_.of_node[root.index],
                 .offset = offset,
                 .row = row,
                 .row_stride = strides[rows],
                 .row_extent = shape[rows],
                 .predicate = predicate_};
  return emit(std::move(stmt), std::max({level_of(offset), level_of_value(row), level_of_value(predicate_)}));
}

int32_t KernelBuilder::random(const Node& node, const IndexVector& index) {
  Stmt stmt{.kind = StmtKind::Random, .dtype = node.type.dtype, .span = node.span};
  // Seed and run are scalars: in bounds wherever the element is, and one value for all lanes.
  const int32_t outer_predicate = std::exchange(predicate_, -1);
  stmt.operands = {value(node.inputs[0], {}), value(node.inputs[1], {})};
  predicate_ = outer_predicate;
  stmt.body = op_def(node).body;
  stmt.attrs = {{"type", node.type}};
  stmt.draw = {static_cast<uint32_t>(node.attrs.integer("loop")), static_cast<uint32_t>(node.attrs.integer("site"))};
  stmt.index = linear_offset(index, node.type.shape);
  const Level level =
      std::max({level_of(stmt.index), level_of_value(stmt.operands[0]), level_of_value(stmt.operands[1])});
  return emit(std::move(stmt), level);
}

int32_t KernelBuilder::load(NodeId root, const Affine& offset, DType dtype, Span span) {
  Stmt stmt{.kind = StmtKind::Load, .dtype = dtype, .span = span};
  const int32_t buffer = buffers_.of_node[root.index];
  SMELT_CHECK(buffer >= 0, "node %{} has no buffer", root.index);
  stmt.access = {.buffer = buffer, .offset = offset, .predicate = predicate_};
  Level level = std::max(level_of(offset), level_of_value(predicate_));
  // A value that this kernel stores is there from the outer point on that stored it.
  if (level == kThread && plan_.kernel_of[root.index] == kernel_id_ && kernel_.kind() == KernelKind::Nest)
    level = kOuter;
  return emit(std::move(stmt), level);
}

int32_t KernelBuilder::call(OpKind op, std::vector<int32_t> operands, DType dtype, Span span, Attributes attrs) {
  const OpDef& def = op_def(op);
  Level level = kThread;
  for (const int32_t operand : operands) level = std::max(level, level_of_value(operand));
  Stmt stmt{.kind = StmtKind::Compute, .dtype = dtype, .operands = std::move(operands)};
  stmt.body = def.body;
  stmt.attrs = std::move(attrs);
  stmt.span = span;
  return emit(std::move(stmt), level);
}

int32_t KernelBuilder::integer(int64_t value) {
  return emit({.kind = StmtKind::Constant, .dtype = DType::I64, .constant = static_cast<double>(value)}, kThread);
}

int32_t KernelBuilder::index_value(const Affine& index, DType dtype, Span span) {
  return emit({.kind = StmtKind::Index, .dtype = dtype, .index = index, .span = span}, level_of(index));
}

void KernelBuilder::store(NodeId id, const IndexVector& index, int32_t value) {
  const Node& node = graph_[id];
  Stmt stmt{.kind = StmtKind::Store, .dtype = node.type.dtype, .operands = {value}, .span = node.span};
  stmt.access = {.buffer = buffers_.of_node[id.index], .offset = linear_offset(index, node.type.shape)};
  const bool in_body = kernel_.kind() == KernelKind::Product || !sweep_.loops.empty();
  (in_body ? sweep_.body : sweep_.setup).push_back(std::move(stmt));
}

int32_t KernelBuilder::emit(Stmt stmt, Level level) {
  stmt.value = new_value(level);
  const int32_t result = stmt.value;
  std::vector<Stmt>& where = level == kThread ? kernel_.setup : level == kOuter ? sweep_.setup : sweep_.body;
  where.push_back(std::move(stmt));
  return result;
}

KernelBuilder::Level KernelBuilder::level_of(const Affine& affine) const {
  Level level = kThread;
  for (const auto& [loop, coefficient] : affine.terms) level = std::max(level, loop < level_split_ ? kOuter : kBody);
  return level;
}

int32_t KernelBuilder::new_value(Level level) {
  levels_.push_back(level);
  return static_cast<int32_t>(levels_.size()) - 1;
}

int32_t KernelBuilder::new_loop(std::string name, Extent extent) {
  kernel_.loops.push_back({std::move(name), extent});
  return static_cast<int32_t>(kernel_.loops.size()) - 1;
}

KernelBuilder::Key KernelBuilder::key(NodeId id, const IndexVector& index) {
  Key key{id.index, {}};
  for (const Affine& axis : index) {
    key.second.push_back(axis.constant);
    key.second.push_back(static_cast<int64_t>(axis.terms.size()));
    for (const auto& [loop, coefficient] : axis.terms) {
      key.second.push_back(loop);
      key.second.push_back(coefficient);
    }
  }
  return key;
}

std::optional<int32_t> KernelBuilder::remembered(const Key& key) const {
  if (const auto at = body_memo_.find(key); at != body_memo_.end()) return at->second;
  if (const auto at = outer_memo_.find(key); at != outer_memo_.end()) return at->second;
  return std::nullopt;
}

}  // namespace smelt
