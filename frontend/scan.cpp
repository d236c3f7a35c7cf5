// Loops over steps: what a body may write, and the node that it becomes.
#include "frontend/scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "frontend/distributions.h"
#include "frontend/evaluator.h"
#include "frontend/shapes.h"
#include "frontend/signatures.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt::frontend {

// ---- what a body writes ----

void Scans::write(Binding& carry, const ast::WriteStmt& stmt, const Value& value) {
  const Span span = scopes_.span_of(stmt.value);
  if (open_.empty() || carry.scan != open_.back()) {
    diagnostics_
        .report(Diag::E0608, stmt.target.span,
                fmt::format("`{}` is a carry of the scan around this one", printable(stmt.target.text)))
        .label(carry.span, "bound here")
        .with_help("carry it here too, and write what this scan gives: `h <- scan s < S with g = h { g <- .. }`");
    return;
  }
  const Tensor like = *carry.value.as<Tensor>();
  std::optional<Tensor> next = graph_.expect_tensor(value, span, like.dtype);
  if (next && next->weak) next = graph_.cast_to(*next, like.dtype, span);
  if (!next) {
    open_.back()->mistaken = true;
    return;
  }
  const bool same_type = next->dtype == like.dtype && next->axes.size() <= like.axes.size();
  if (!same_type) {
    diagnostics_
        .report(Diag::E0403, span,
                fmt::format("carry `{}` starts as `{}`, and would become `{}`", printable(stmt.target.text),
                            shapes_.type_text(like), shapes_.type_text(*next)))
        .label(carry.span, "starts here")
        .with_help("a carry has one type in all steps; start it with that of its next value");
    return;
  }
  next = graph_.broadcast_to(*next, like.axes, span);
  if (!next) return;
  next->label = like.label;
  carry.value = Value(*next);
}

void Scans::yield(const ast::YieldStmt& stmt, Span span) {
  OpenScan* const scan = scopes_.frame().scan;
  if (scan == nullptr || open_.empty() || open_.back() != scan) {
    diagnostics_.report(Diag::E0403, span, "`yield` stands in the body of a `scan` only");
    return;
  }
  if (scan->yields) {
    diagnostics_.report(Diag::E0403, span, "the body yields twice")
        .with_help("yield several values as one: `yield (a, b)`, and take them apart: `(as, bs) = scan ..`");
    return;
  }
  scan->yields = true;
  const Value value = evaluator_.eval(stmt.value);
  const auto* tuple = value.as<TupleValue>();
  scan->as_tuple = tuple != nullptr;
  const std::vector<Value> items = tuple != nullptr ? tuple->items : std::vector<Value>{value};
  for (const Value& item : items) {
    std::optional<Tensor> t = graph_.expect_tensor(item, scopes_.span_of(stmt.value));
    if (t && t->weak) t = graph_.cast_to(*t, graph_.real(), scopes_.span_of(stmt.value));
    if (t) scan->yielded.push_back(*t);
  }
}

// ---- the scan ----

NodeId Scans::placeholder(const TensorType& type) {
  return graph_.builder().make(OpKind::Cotangent, {}, {{"id", int64_t{graph_.context().cotangents++}}, {"type", type}});
}

bool Scans::begin(OpenScan& scan, const ast::ScanExpr& e, Span span) {
  const std::optional<Axis> steps = signatures_.axis_expression(e.count);
  if (!steps) return false;
  scan.steps = *steps;
  for (const ast::Arg& carry : e.carries) {
    const Span at = scopes_.span_of(carry.value);
    std::optional<Tensor> start = graph_.expect_tensor(evaluator_.eval(carry.value), at);
    if (start && start->weak) start = graph_.cast_to(*start, graph_.real(), at);
    if (!start) return false;
    start->range.reset();
    start->grid = false;
    start->column = -1;
    scan.carries.push_back({carry.name.text, *start, {}, {}});
  }
  graph_.builder().set_span(span);
  scan.begin = graph_.builder().graph().size();
  scan.index = placeholder({DType::I32, {}});
  graph_.context().steps.emplace(scan.index, scan.steps.extent.bound);
  Tensor index = graph_.tensor(scan.index, {});
  index.label = scan.steps.dim;
  scopes_.bind(e.index, Value(index));
  for (size_t k = 0; k < scan.carries.size(); ++k) {
    OpenScan::Carry& carry = scan.carries[k];
    Tensor inside = carry.start;
    inside.node = carry.inside = placeholder({inside.dtype, shape_of(inside.axes)});
    scopes_.bind(e.carries[k].name, Value(inside), -1, true);
    scopes_.find_local(carry.name)->scan = &scan;
  }
  return true;
}

/// A body is a function of its operands: what it would write besides its results has no place.
bool Scans::refuse_effects(const FunctionContext& before, Span span) {
  FunctionContext& now = graph_.context();
  const bool reports = now.reports.size() > before.reports.size();
  bool writes = false;
  for (const auto& [variable, node] : now.variables) {
    const auto old = before.variables.find(variable);
    writes = writes || (now.written.contains(variable) && (old == before.variables.end() || old->second != node));
  }
  if (!reports && !writes) return true;
  diagnostics_
      .report(Diag::E0403, span,
              writes ? "a `state` is written in the body of a `scan`" : "`report` stands in the body of a `scan`")
      .with_help(writes ? "a layer such as BatchNorm stands before or after the scan, and sees all steps at once"
                        : "yield the value, and report it after the scan");
  return false;
}

/// `until c`: asked behind each step, of the carries as it leaves them.
void Scans::read_until(OpenScan& scan, ast::ExprId until) {
  const Span span = scopes_.span_of(until);
  const std::optional<Tensor> over = graph_.expect_tensor(evaluator_.eval(until), span);
  if (!over) return;
  if (over->dtype != DType::Bool || !over->axes.empty()) {
    diagnostics_
        .report(Diag::E0403, span,
                fmt::format("a scan runs until one comparison holds, not `{}`", shapes_.type_text(*over)))
        .with_help("make one of all: `until min(over) > 0` ends when each element of `over` is above 0");
    return;
  }
  if (scan.yields) {
    diagnostics_.report(Diag::E0403, span, "the body yields, and the scan may end before its last step")
        .with_help(
            "carry what is kept, `kept <- where(index(T) == t, e, kept)`, or let all steps run, without `until`");
    return;
  }
  scan.until = over->node;
}

Value Scans::evaluated(const ast::ScanExpr& e, Span span) {
  if (scopes_.in_field()) return unsupported(diagnostics_, span, "`scan` in a data section");
  const BlockScope carries(scopes_.frame());
  OpenScan scan;
  if (!begin(scan, e, span)) return {};
  const size_t errors = diagnostics_.reported_errors();
  FunctionContext before(0);
  before.variables = graph_.context().variables;
  before.reports = graph_.context().reports;
  OpenScan* const outer = std::exchange(scopes_.frame().scan, &scan);
  open_.push_back(&scan);
  {
    const BlockScope body(scopes_.frame());
    for (const ast::StmtId id : e.body.statements) {
      Value ignored;
      evaluator_.execute(scopes_.ast()[id], ignored);
    }
  }
  if (e.until.valid() && diagnostics_.reported_errors() == errors) read_until(scan, e.until);
  open_.pop_back();
  scopes_.frame().scan = outer;
  if (diagnostics_.reported_errors() > errors || !refuse_effects(before, span)) return {};
  if (scan.mistaken || (scan.yields && scan.yielded.empty())) return {};  // of a mistake that was reported where it is
  bool written = false;
  for (OpenScan::Carry& carry : scan.carries) {
    carry.next = scopes_.find_local(carry.name)->value.as<Tensor>()->node;
    written = written || carry.next != carry.inside;
  }
  if (!scan.yields && !written) {
    diagnostics_.report(Diag::E0403, span, "the body of the scan neither writes a carry nor yields")
        .with_help("write `h <- e` for the next step, and `yield e` for what is kept of each step");
    return {};
  }
  for (const Tensor& t : scan.yielded) {
    Axes axes = t.axes;
    axes.insert(axes.begin(), scan.steps);
    if (!shapes_.check_size(t.dtype, axes, span)) return {};
  }
  return close(scan, e, span);
}

/// A draw of the body is one of all steps before it: each step reads its own part.
void Scans::move_draws(OpenScan& scan) {
  const uint32_t end = graph_.builder().graph().size();
  for (uint32_t i = scan.begin; i < end; ++i) {
    const Node node = graph_.builder().graph().nodes[i];
    if (op_def(node).kind != Kind::Random) continue;
    Attributes attrs = node.attrs;
    TensorType type = node.type;
    type.shape.insert(type.shape.begin(), scan.steps.extent);
    attrs.set("type", type);
    graph_.builder().set_place(node);
    const NodeId all = graph_.builder().make(node.op, node.inputs, std::move(attrs));
    distributions_.move_site(graph_.context(), {i}, all);
    scan.slices.push_back({all, {i}});
  }
}

/// Copies what the results need. Operands come in the order of `ir/scan.h`: carries, slices, then what all steps see.
Graph Scans::body_of(const OpenScan& scan, std::vector<NodeId>& operands, ExampleSums& sums) {
  const Graph& graph = graph_.builder().graph();
  Graph body;
  body.name = "step";
  body.symbols = graph.symbols;
  Builder build(body);
  std::map<NodeId, NodeId> inside;
  const auto add = [&](const std::string& name, ArgRole role, int32_t ref, NodeId outer, NodeId place) {
    operands.push_back(outer);
    inside[place] = build.argument({name, role, ref, {}}, graph.type(place));
  };
  for (size_t k = 0; k < scan.carries.size(); ++k)
    add(scan.carries[k].name, ArgRole::Carry, static_cast<int32_t>(k), scan.carries[k].start.node,
        scan.carries[k].inside);
  for (const OpenScan::Operand& slice : scan.slices) add("x", ArgRole::Slice, -1, slice.outside, slice.inside);

  std::vector<bool> needed(graph.size(), false), own(graph.size(), false);
  const auto is_placeholder_of_other = [&](NodeId node) {
    return std::ranges::any_of(open_, [&](const OpenScan* other) {
      const auto same = [&](const auto& operand) { return operand.inside == node; };
      return other->index == node || std::ranges::any_of(other->carries, same) ||
             std::ranges::any_of(other->slices, same);
    });
  };
  for (const OpenScan::Carry& carry : scan.carries) needed[carry.next.index] = true;
  for (const Tensor& t : scan.yielded) needed[t.node.index] = true;
  for (uint32_t i = graph.size(); i-- > 0;) {
    if (!needed[i] || inside.contains({i})) continue;
    own[i] = i >= scan.begin && graph.nodes[i].op != OpKind::Argument && !is_placeholder_of_other({i});
    if (!own[i]) continue;
    for (const NodeId input : graph.nodes[i].inputs) needed[input.index] = true;
  }
  for (uint32_t i = 0; i < graph.size(); ++i)
    if (needed[i] && !own[i] && !inside.contains({i})) add("w", ArgRole::Whole, -1, {i}, {i});
  for (uint32_t i = scan.begin; i < graph.size(); ++i) {
    if (!own[i]) continue;
    std::vector<NodeId> inputs;
    for (const NodeId input : graph.nodes[i].inputs) inputs.push_back(inside.at(input));
    inside[{i}] = build.copy(graph.nodes[i], std::move(inputs));
  }
  for (size_t k = 0; k < scan.carries.size(); ++k)
    body.results.push_back(
        {scan.carries[k].name, ResultRole::Carry, static_cast<int32_t>(k), inside.at(scan.carries[k].next)});
  for (const Tensor& t : scan.yielded) body.results.push_back({"y", ResultRole::Stacked, -1, inside.at(t.node)});
  sums = graph_.context().example_sums.moved(inside);
  return body;
}

/// The condition as one more carry: its number.
int32_t Scans::carry_until(OpenScan& scan) {
  Builder& graph = graph_.builder();
  const TensorType type{DType::I32, {}};
  const NodeId start = graph.constant(0, type);
  const NodeId inside = placeholder(type);
  const NodeId next = graph.cast(scan.until, DType::I32);
  scan.carries.push_back({"until", graph_.tensor(start, {}), inside, next});
  return static_cast<int32_t>(scan.carries.size()) - 1;
}

Value Scans::close(OpenScan& scan, const ast::ScanExpr& e, Span span) {
  graph_.builder().set_span(span);
  move_draws(scan);
  graph_.builder().set_span(span);
  scan.slices.push_back({graph_.builder().index({DType::I32, {scan.steps.extent}}, 0), scan.index});
  const size_t num_carries = scan.carries.size();  // that the file names
  const int32_t until = scan.until.valid() ? carry_until(scan) : -1;
  std::vector<NodeId> operands;
  ExampleSums sums;
  Graph body = body_of(scan, operands, sums);
  const NodeId node = make_scan(graph_.builder(), std::move(body), std::move(operands), scan.steps.extent, e.reverse,
                                e.by_position, until);
  graph_.context().example_sums.bodies.emplace(node, std::move(sums));
  const auto part = [&](size_t k, Axes axes) {
    return graph_.tensor(make_part(graph_.builder(), node, k), std::move(axes));
  };
  TupleValue values;
  if (scan.yields) {
    for (size_t k = 0; k < scan.yielded.size(); ++k) {
      Axes axes = scan.yielded[k].axes;
      axes.insert(axes.begin(), scan.steps);
      Tensor stacked = part(scan.carries.size() + k, std::move(axes));
      stacked.label = scan.yielded[k].label;
      stacked.range = scan.yielded[k].range;
      values.items.push_back(Value(stacked));
    }
  } else {
    for (size_t k = 0; k < num_carries; ++k) {
      Tensor last = part(k, scan.carries[k].start.axes);
      last.label = scan.carries[k].start.label;
      values.items.push_back(Value(last));
    }
  }
  const bool as_tuple = scan.yields ? scan.as_tuple : values.items.size() > 1;
  return as_tuple ? Value(std::move(values)) : values.items[0];
}

}  // namespace smelt::frontend
