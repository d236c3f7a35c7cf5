// Cases of the fuzz library, made of text.
#pragma once

#include <doctest/doctest.h>

#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/differential.h"
#include "ir/text.h"

namespace smelt::test {

inline Graph parse(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  return *std::move(graph);
}

/// `values`: of each argument. On one thread, at the narrowest level; the graph's only run-time dimension, if any,
/// is 1.
inline fuzz::Case case_of(std::string_view text, const std::vector<std::vector<double>>& values) {
  fuzz::RandomGraph random{parse(text), {}, {1}};
  for (size_t i = 0; i < values.size(); ++i) {
    const TensorType type = random.graph.type(random.graph.arguments[i].node);
    random.arguments.push_back({type, actual_sizes(type.shape, random.extents), values[i]});
  }
  const fuzz::Setup setup{.cpu = fuzz::levels_here()[0],
                          .dtype = DType::F32,
                          .threads = 1,
                          .reversed = false,
                          .serial_work = 0,
                          .placement = fuzz::Placement::EndAtGuard};
  Result<fuzz::Case> made = fuzz::make_case(1, setup, std::move(random));
  REQUIRE_MESSAGE(made.has_value(), made.error().message);
  return *std::move(made);
}

}  // namespace smelt::test
