// Selectors: `net`, `net.fc1.W`, `net.**.W*`, matched against the paths of parameters and states.
#pragma once

#include <optional>
#include <string>

#include "frontend/graph_writer.h"

namespace smelt {

struct Experiment;
class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;
class GraphWriter;
class Evaluator;

class Selectors {
 public:
  Selectors(Experiment& experiment, Scopes& scopes, Shapes& shapes, GraphWriter& graph, Evaluator& evaluator,
            Diagnostics& diagnostics)
      : experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  Value member_value(ast::ExprId id, const Naming& naming);
  /// What an objective updates, or an optimiser has.
  std::optional<Selector> eval_selector(ast::ExprId id);

 private:
  std::optional<Selector> matching(ast::ExprId id);
  bool selector_path(ast::ExprId id, std::string& path);

  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
};

}  // namespace frontend
}  // namespace smelt
