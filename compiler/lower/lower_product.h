// A contraction's index formula -> the axes of a product.
#pragma once

#include <vector>

#include "compiler/loops/loop_ir.h"
#include "ir/graph.h"

namespace smelt {

/// The product of contraction `id`, pairs of operands named by node: `a` has the row axis, `b` the column axis, which
/// is the innermost axis of the result when one operand alone has it.
struct LoweredProduct {
  struct Operands {
    NodeId a, b;
  };
  Product product;  // buffers unset
  std::vector<Operands> pairs;
};
LoweredProduct lower_product(const Graph& graph, NodeId id);

}  // namespace smelt
