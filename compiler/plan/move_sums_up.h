// Products and sums are computed right behind what they read, where that is larger than they are: it lies in a cache
// still, and nobody has to keep it. `order_nodes` computes each value as late as possible, so that a step which clips
// its gradients would first go back through all layers, and then compute the gradients of all weights.
//
// Assumes:  an order of all nodes.
// Ensures:  an order with the properties that `order_nodes` ensures. An elementwise node that may be computed in the
//           kernel of a product or sum may be so still. What is asked to be late stays where it is.
// Leaves:   products and sums with no product between them and what they read; orders that a budget asked to have the
//           deepest nodes last, from which some models fit into less.
#pragma once

#include "compiler/plan/fusion_plan.h"
#include "compiler/plan/node_schedule.h"

namespace smelt {

FusionPlan move_sums_up(const Graph& graph, const NodeSchedule& schedule, FusionPlan plan);

}  // namespace smelt
