// The graph IR: a pure function on tensors in static single assignment.
//
// Nodes live in one vector in topological order: a node's inputs have smaller ids. Builder (builder.h) is the only
// way to add nodes; a pass makes a new graph from an old one. Arguments and results carry a role, so that a training
// step is just a function that maps parameters to new parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ir/attributes.h"
#include "ir/plan.h"
#include "ir/support/source.h"
#include "ir/type.h"

namespace smelt {

enum class OpKind : uint16_t {
#define OP(enumerator, record) enumerator,
#include "ir/op_list.def"
#undef OP
};

struct NodeId {
  uint32_t index = UINT32_MAX;
  bool valid() const { return index != UINT32_MAX; }
  friend auto operator<=>(const NodeId&, const NodeId&) = default;
};

/// Values that a node reads.
using Operands = ShortVector<NodeId, 4>;

struct Graph;

struct Node {
  OpKind op;
  Operands inputs;
  Attributes attrs;
  TensorType type;
  Span span;
  Span call;  // where the model file applies the library's layer or function that `span` lies in; else empty
  std::shared_ptr<const Graph> body;  // of a scan: what one step computes (ir/scan.h); never changed, so it is shared

  /// The line of the model file.
  Span place() const { return call.empty() ? span : call; }
};

/// What an argument of a function is, and what `ref` then counts.
enum class ArgRole : uint8_t {
  Variable,  // a parameter, state, slot or const: ref = index into Experiment::variables
  Column,    // a whole raw column of the data set, [rows, ...]: ref = index into DataPlan::columns
  Rows,      // i32[B], the rows of this batch
  Feed,      // a tensor that the caller gives (exports)
  Scalar,    // f64, ref = index into Experiment::scalars
  Seed,      // i64, the run's seed
  Run,       // i64, how often this function ran before (the RNG's run; the batch number in evaluation)
  Carry,     // of a body: what the step before gave as carry `ref`
  Slice,     // of a body: this step's element of an operand
  Whole      // of a body: the same for every step
};

enum class ResultRole : uint8_t {
  Loss,      // a scalar to minimise
  Report,    // a named scalar
  Norm,      // a report that a step must find finite before it commits, as it must its loss: the norm of a clip
  Variable,  // the new value of variable `ref`
  Value,     // what a metric, an export or an action returns
  Sum,       // a total over the rows of a batch, from which a metric is computed: those of batches are added up
  Largest,
  Smallest,  // likewise the largest and the smallest of all
  Carry,     // of a body: carry `ref` of the next step
  Stacked    // of a body: element of a result that has one for each step
};

std::string_view to_string(ArgRole role);
std::string_view to_string(ResultRole role);

struct Argument {
  std::string name;
  ArgRole role = ArgRole::Feed;
  int32_t ref = -1;
  NodeId node;            // an `argument` node, whose attribute `index` is this one's position
  LabelLimit limit = {};  // of a feed of labels
};

struct Output {
  std::string name;
  ResultRole role = ResultRole::Value;
  int32_t ref = -1;
  NodeId node;
  KnownRange range = {};   // of an export: pictures are made of it
  LabelLimit labels = {};  // of an export: whose dim its labels are of
};

struct Graph {
  std::string name;
  std::vector<DimSymbol> symbols;
  std::vector<Node> nodes;
  std::vector<Argument> arguments;
  std::vector<Output> results;

  const Node& operator[](NodeId id) const { return nodes[id.index]; }
  const TensorType& type(NodeId id) const { return nodes[id.index].type; }
  uint32_t size() const { return static_cast<uint32_t>(nodes.size()); }
};

/// Whether the caller gives it with each call. The others are in the arena, or belong to a body.
inline bool is_input(ArgRole role) { return role == ArgRole::Column || role == ArgRole::Rows || role == ArgRole::Feed; }

/// Of a gather or a scatter: the axis whose elements the index numbers. The index has the axes before it as well.
size_t row_axis(const Node& node);

/// A step commits nothing unless this scalar is finite.
inline bool guards(const Output& output) { return output.role == ResultRole::Loss || output.role == ResultRole::Norm; }

/// users[i] lists the nodes that read node i, ascending, once a use; results are not users.
std::vector<std::vector<NodeId>> users_of(const Graph& graph);

/// Whether a value is read so often, by a broadcast to `shape`, that a copy of it costs nothing beside that.
bool is_read_often(const Shape& value, const Shape& shape);
/// Whether a transposition is read so often across the lines of its operand: it stays a node, and has memory.
bool is_turned_for_many(const Graph& graph, NodeId node, const Shape& shape);

/// live[i]: node i is an argument, or a result needs it.
std::vector<bool> live_nodes(const Graph& graph);

}  // namespace smelt
