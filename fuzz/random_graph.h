// Random well-typed graphs, drawn from the op table. Everything follows from one seed, so that a failure is one number.
//
// A graph is valid by construction: each node is evaluated when it is added, and one that overflows, grows too large or
// sits so close to a kink or a jump that rounding could decide its value is taken back and another one is drawn. What
// is left differs between two correct executors by rounding alone.
//
// Of the graphs with halves (halves.h), half round each of them where the graph says and nowhere else: halves are
// converted, moved and multiplied, and gradients stop where a float becomes one. The others compute with halves as with
// any float.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/evaluator.h"
#include "ir/graph.h"

namespace smelt::fuzz {

struct RandomGraph {
  Graph graph;  // verified, with composites and `grad`
  std::vector<RefTensor> arguments;
  std::vector<int64_t> extents;
  int attempts = 1;  // how often a graph without any telling result was thrown away before
  int dropped = 0;   // results that were left out because they tell little: see random_graph.cpp
};

/// What a graph has for certain, unless nothing of the kind fits: it is drawn first, and is a result.
enum class Subject : uint8_t {
  Any,
  Pictures,  // convolutions, pools and concatenated branches
  Loops      // scans, half of them such that write a sequence
};

struct GraphOptions {
  DType dtype = DType::F32;
  int num_ops = 0;             // 0: drawn from 1 to 40
  double gradient = 0.75;      // asked for; some are trivial and dropped, so that 60 % of the graphs keep one
  double second_order = 0.20;  // derivatives of derivatives, likewise 15 %
  double halves = 0.35;        // with values of f16 and bf16
  double sequences = 0;        // of ops: loops that write a sequence
  double pictures = 0;         // of ops: layers of pictures
  Subject subject = Subject::Any;
};

/// 1 to 4 results and up to 4 gradients, on floats of `dtype`, halves, integers and bools, with a run-time dimension.
RandomGraph random_graph(uint64_t seed, const GraphOptions& options = {});

/// The part of a tensor that has its most frequent value, 0..1.
double share_of_commonest(const RefTensor& tensor);

}  // namespace smelt::fuzz
