// Local rewrites that make a graph smaller or cheaper without changing what it computes.
//
// Assumes:  a verified graph, composites or not.
// Ensures:  no rule of the tables matches. The tables are in simplify_arithmetic.cpp (numbers) and
// simplify_movement.cpp
//           (shapes); each rule's doc is the rewrite it makes. Dead nodes are dropped.
// Numerics  A result keeps its bits, with three exceptions that the rules state: the sign of a zero; a sum of n equal
//           numbers becomes one product; x^3 becomes two products. Floats are never reassociated otherwise, and
//           x * 0 stays for floats, since x may be infinite or NaN.
#pragma once

#include <span>

#include "ir/rewrite.h"

namespace smelt {

Graph simplify(Graph graph, RuleHits* hits = nullptr);

std::span<const Rule> arithmetic_rules();
std::span<const Rule> movement_rules();

}  // namespace smelt
