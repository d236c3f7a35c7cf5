// `grad(y, wrt=x)`, `jvp(y, wrt=x, along=v)` and penalties on parameters.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "frontend/graph_writer.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

class Shapes;
class GraphWriter;

class Derivatives {
 public:
  Derivatives(Experiment& experiment, Shapes& shapes, GraphWriter& graph, Diagnostics& diagnostics)
      : experiment_(experiment), shapes_(shapes), graph_(graph), diagnostics_(diagnostics) {}

  /// `named`: x, for messages.
  Value gradient(const Value& y, const Value& x, Span span, std::string_view named = "what `wrt` names");
  Value directional_derivative(const Value& y, const Value& x, const Value& v, Span span);
  Value penalty(const Value& what, bool squared, Span span);

 private:
  std::optional<std::pair<Tensor, Tensor>> derivative_operands(const Value& y, const Value& x, Span span,
                                                               std::string_view named = "what `wrt` names");
  void report_coupling(NodeId coupling, Span span);

  Experiment& experiment_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Diagnostics& diagnostics_;
};

}  // namespace frontend
}  // namespace smelt
