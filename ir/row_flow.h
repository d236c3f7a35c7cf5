// What the rows of a batch do to the values of a function: a row's value depends on its row alone, rows were put
// together into a total, or a value of one row depends on others.
//
// `run` and `sample` cut feeds that are too long into pieces, which is right when every result is row by row; `eval`
// puts batches together, which is a mean by rows where the value is one, and a formula of totals otherwise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/example_axis.h"
#include "ir/graph.h"

namespace smelt {

enum class RowUse : uint8_t {
  None,     // does not depend on rows
  ByRow,    // element b of an axis depends on row b alone
  Sum,      // a sum over rows, linear in what each contributes
  Count,    // a multiple of the number of rows
  Mean,     // a sum divided by the number of rows
  Largest,  // over rows
  Smallest,
  Formula,  // of totals: no rows any more, but neither a sum nor a mean
  Mixed     // a row's value depends on other rows, on their number or on its place
};

struct RowValue {
  RowUse use = RowUse::None;
  int64_t axis = -1;  // ByRow
  NodeId cause;       // the operation that first put rows together
};

/// Which rows: those of a run-time dim, or those that an argument selects when the batch has a fixed size.
struct RowSource {
  int32_t symbol = -1;
  std::vector<NodeId> rows;  // one a data section
  bool in_pieces = false;    // rows are computed in pieces: a draw that all share would be another in each
};

/// The use of rows by each node of a graph as the frontend makes it, `grad` and composites included.
std::vector<RowValue> row_flow(const Graph& graph, const ExampleSums& sums, const RowSource& source);

/// What an operation that couples rows is called in a message: "`softmax`", "the number of rows".
std::string coupling_name(const Graph& graph, NodeId cause);

/// Whether values of batches, averaged with their numbers of rows as weight, give that of all rows together.
constexpr bool averages(RowUse use) { return use == RowUse::None || use == RowUse::Mean; }

/// The same value in two functions: totals of a batch, and the result from the totals of all batches.
struct TotalsSplit {
  Graph totals;  // same arguments; results of role Sum, Largest or Smallest
  Graph result;  // a feed for each total; the results that were split
};

/// Splits those results of `graph` that neither average nor mix rows; nothing when there are none.
std::optional<TotalsSplit> split_totals(const Graph& graph, const std::vector<RowValue>& flow, const RowSource& source);

}  // namespace smelt
