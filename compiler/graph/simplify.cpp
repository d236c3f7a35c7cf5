#include "compiler/graph/simplify.h"

namespace smelt {

Graph simplify(Graph graph, RuleHits* hits) {
  std::vector<Rule> rules(arithmetic_rules().begin(), arithmetic_rules().end());
  rules.insert(rules.end(), movement_rules().begin(), movement_rules().end());
  return rewrite(std::move(graph), rules, hits);
}

}  // namespace smelt
