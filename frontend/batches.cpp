// What batches and pieces do to the functions of an experiment: how a metric or a loss is put together from several
// batches, and which exports cannot be cut into pieces.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>

#include "frontend/function_builder.h"
#include "frontend/functions.h"
#include "ir/padding_flow.h"
#include "ir/row_flow.h"

namespace smelt::frontend {

namespace {

/// The rows of the batch in a function that reads a data set.
std::optional<RowSource> batch_of(const Graph& graph) {
  RowSource source;
  for (const Argument& argument : graph.arguments)
    if (argument.role == ArgRole::Rows) source.rows.push_back(argument.node);
  if (source.rows.empty()) return std::nullopt;
  const Extent& batch = graph.type(source.rows.front()).shape[0];
  if (!batch.is_static()) source.symbol = batch.symbol;
  return source;
}

/// The first node of those that `results` are computed from, in loops as well, that is asked for.
const Node* find_operand(const Graph& graph, std::span<const Output> results,
                         const std::function<bool(const Node&)>& wanted) {
  std::vector<bool> needed(graph.size(), false);
  for (const Output& result : results) needed[result.node.index] = true;
  const Node* found = nullptr;
  for (uint32_t i = graph.size(); i-- > 0;) {
    if (!needed[i]) continue;
    const Node& node = graph.nodes[i];
    for (const NodeId input : node.inputs) needed[input.index] = true;
    if (wanted(node)) found = &node;
    if (node.body == nullptr) continue;
    if (const Node* inside = find_operand(*node.body, node.body->results, wanted)) found = inside;
  }
  return found;
}

}  // namespace

void Functions::combine_batches() {
  for (const auto& [index, span] : in_batches_) combine_batches(index, span);
}

/// Adds the functions that compute from totals what averages of batches would get wrong. A metric that mixes rows is an
/// error; a loss that does, as contrastive ones do, is evaluated batch by batch, and `eval` says so.
void Functions::combine_batches(int32_t index, Span span) {
  FunctionContext& context = functions_.at(index);
  const Graph& graph = context.function.graph;
  const std::optional<RowSource> source = batch_of(graph);
  if (!source) return;
  for (const Output& output : graph.results) refuse_length(context, output, span);
  const std::vector<RowValue> flow = row_flow(graph, context.example_sums, *source);
  for (const Output& output : graph.results) {
    const RowValue& value = flow[output.node.index];
    const bool fixed = source->symbol < 0 && value.use > RowUse::Mean;
    if (value.use != RowUse::Mixed && !fixed) continue;
    const Span place = value.cause.valid() ? graph[value.cause].place() : span;
    const std::string what = value.cause.valid() ? coupling_name(graph, value.cause) : "rows";
    if (context.function.kind != FunctionKind::Metric) {
      if (context.function.couplings.empty()) context.function.couplings.push_back({source->symbol, what, place});
    } else if (fixed && value.use != RowUse::Mixed) {
      diagnostics_
          .report(Diag::E0611, span,
                  fmt::format("metric `{}` is no mean over rows, and the batch has a fixed size", output.name))
          .label(place, "put together here")
          .with_help(
              "give the batch dim a bound, `dim B <= n`: then batches are put together to the value of all rows");
    } else {
      diagnostics_
          .report(
              Diag::E0611, span,
              fmt::format("metric `{}` mixes the rows of a batch, so that it would depend on the batch", output.name))
          .label(place, fmt::format("a row's value depends on others through {}", what))
          .with_help(
              "write it as a formula of `sum`, `mean`, `max` and `min` over the rows, such as "
              "`mean(x ^ 2) - mean(x) ^ 2` for a variance");
    }
  }
  std::optional<TotalsSplit> split = split_totals(graph, flow, *source);
  if (!split) return;
  const std::pair<FunctionKind, Graph*> parts[] = {{FunctionKind::Totals, &split->totals},
                                                   {FunctionKind::Result, &split->result}};
  const std::string name = context.function.name;
  for (const auto& [kind, part] : parts) {
    functions_.add({.name = name, .kind = kind, .graph = std::move(*part), .ref = index, .span = span});
  }
}

/// A run-time dim of strings is as long as the longest row of a batch: what is divided by it, or counts it, is another
/// number where the batch has other rows, and so is what reads behind the ends of the others.
void Functions::refuse_length(FunctionContext& context, const Output& output, Span span) {
  const Graph& graph = context.function.graph;
  if (context.function.kind != FunctionKind::Metric || !experiment_.data) return;
  const std::vector<int32_t> lengths = experiment_.data->length_symbols();
  const auto report = [&](const Node& node, int32_t symbol, std::string_view used) {
    const std::string dim = experiment_.symbols[static_cast<size_t>(symbol)].name;
    auto& diagnostic = diagnostics_.report(
        Diag::E0611, span,
        fmt::format("metric `{}` depends on the batch: {} is as long as the longest row in it", output.name, dim));
    const Span place = node.place();
    if (place.file == span.file) diagnostic.label(place, std::string(used));
    diagnostic.with_help(
        fmt::format("leave out what no row has: sums over {0} of values where a row has them, "
                    "`mask_of(lengths, over={0})`, divided by the sum of the mask",
                    dim));
  };
  const Node* const counted = find_operand(graph, {&output, 1}, [&](const Node& node) {
    return node.op == OpKind::Extent && std::ranges::count(lengths, node.attrs.integer("symbol")) > 0;
  });
  if (counted != nullptr)
    return report(*counted, static_cast<int32_t>(counted->attrs.integer("symbol")),
                  "the number of positions is used here");
  const PaddingRead padding = find_padding_read(graph, {&output, 1}, lengths);
  if (padding.node != nullptr)
    report(*padding.node, padding.symbol, "what lies behind the ends of shorter rows is read here");
}

/// The first operation that couples rows of each run-time dim, for exports of which some result has that dim.
void Functions::find_couplings(int32_t index) {
  FunctionContext& context = functions_.at(index);
  const Graph& graph = context.function.graph;
  for (size_t s = 0; s < experiment_.symbols.size(); ++s) {
    const auto symbol = static_cast<int32_t>(s);
    const std::vector<RowValue> flow =
        row_flow(graph, context.example_sums, {.symbol = symbol, .rows = {}, .in_pieces = true});
    for (const Output& output : graph.results) {
      const RowValue& value = flow[output.node.index];
      if (value.use == RowUse::None || value.use == RowUse::ByRow || !value.cause.valid()) continue;
      context.function.couplings.push_back({symbol, coupling_name(graph, value.cause), graph[value.cause].place()});
      break;
    }
  }
}

}  // namespace smelt::frontend
