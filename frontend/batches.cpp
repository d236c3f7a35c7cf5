// What batches and pieces do to the functions of an experiment: how a metric or a loss is put together from several
// batches, and which exports cannot be cut into pieces.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/function_builder.h"
#include "frontend/functions.h"
#include "ir/row_flow.h"

namespace smelt::frontend {

namespace {

Span user_place(const Node& node) { return node.call.empty() ? node.span : node.call; }

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
  const std::vector<RowValue> flow = row_flow(graph, context.example_sums, *source);
  for (const Output& output : graph.results) {
    const RowValue& value = flow[output.node.index];
    const bool fixed = source->symbol < 0 && value.use > RowUse::Mean;
    if (value.use != RowUse::Mixed && !fixed) continue;
    const Span place = value.cause.valid() ? user_place(graph[value.cause]) : span;
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
      context.function.couplings.push_back({symbol, coupling_name(graph, value.cause), user_place(graph[value.cause])});
      break;
    }
  }
}

}  // namespace smelt::frontend
