#include "fuzz/pass_orders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compiler/graph/differentiate.h"
#include "compiler/graph/remove_dead_nodes.h"
#include "compiler/passes.h"
#include "fuzz/numbers.h"
#include "ir/scan.h"
#include "ir/support/check.h"
#include "ir/text.h"
#include "ir/verifier.h"

namespace smelt::fuzz {
namespace {

constexpr int kMostPasses = 12;  // after that only passes that change the stage
// It takes the first axis of a picture for that of the examples, as the model wrote it. What it leaves need not show
// which axis that was (windows and taps of one element), so that a second run may choose another order.
constexpr std::string_view kRunsOnce = "choose_layouts";

class Order {
 public:
  Order(const Case& tested, uint64_t seed, int64_t& passes)
      : tested_(tested), numbers_(seed), graph_(tested.random.graph), passes_(passes) {}

  /// What broke, with the passes up to it.
  std::optional<std::string> run() {
    while (stage_ != Stage::Primitive || numbers_.chance(0.6)) {
      if (static_cast<int>(names_.size()) >= 2 * kMostPasses) break;
      const Pass& pass = draw();
      names_.emplace_back(pass.name);
      ++passes_;
      if (const auto wrong = step(pass)) return fmt::format("after {}: {}", fmt::join(names_, ", "), *wrong);
    }
    return std::nullopt;
  }

 private:
  const Pass& draw() {
    std::vector<const Pass*> legal;
    for (const Pass* pass : graph_passes()) {
      if (!pass->may_run_on(stage_)) continue;
      if (pass->name == kRunsOnce && std::ranges::find(names_, kRunsOnce) != names_.end()) continue;
      const bool in_time =
          static_cast<int>(names_.size()) < kMostPasses || pass->changes_stage() || stage_ == Stage::Primitive;
      if (in_time) legal.push_back(pass);
    }
    return *numbers_.pick(legal);
  }

  /// Bodies of loops first, as the compiler does it.
  static Graph rewritten(const Pass& pass, Graph graph) {
    return pass.rewrite(change_bodies(std::move(graph), pass.rewrite));
  }

  static Graph without_dead_nodes(Graph graph) {
    return remove_dead_nodes(change_bodies(std::move(graph), remove_dead_nodes));
  }

  std::optional<std::string> step(const Pass& pass) {
    const bool had_grad = stage_ < Stage::Differentiated;
    const Graph live = without_dead_nodes(graph_);
    graph_ = rewritten(pass, std::move(graph_));
    if (pass.changes_stage()) stage_ = pass.after;
    const FunctionUnit unit{.stage = stage_, .source = {graph_, {}}, .plan = {}, .loops = {}};
    if (const auto violations = verify(unit); !violations.empty())
      return fmt::format("{}", fmt::join(violations, "; "));
    if (const auto wrong = check_text()) return wrong;
    // Dead nodes read values, and values with one reader are treated in other ways.
    const Graph once = without_dead_nodes(rewritten(pass, live));
    if (pass.name != kRunsOnce && print(without_dead_nodes(rewritten(pass, once))) != print(once))
      return "a second run of the pass changes the graph";
    return check_values(had_grad && stage_ < Stage::Differentiated);
  }

  std::optional<std::string> check_text() const {
    const std::string text = print(graph_);
    const Result<Graph> read = parse_graph(text);
    if (!read) return fmt::format("its text cannot be read: {}", read.error().message);
    return print(*read) == text ? std::nullopt : std::optional<std::string>("its text, read and printed, is another");
  }

  std::optional<std::string> check_values(bool has_grad) const {
    const Graph plain = has_grad ? differentiate(graph_) : graph_;
    const auto results =
        evaluate(plain, tested_.random.arguments, tested_.random.extents, {.rounding = Rounding::Halves});
    if (!results) return results.error().message;
    return compare(tested_, {.results = *results, .fault = {}});
  }

  const Case& tested_;
  Numbers numbers_;
  Graph graph_;
  Stage stage_ = Stage::Any;
  std::vector<std::string> names_;
  int64_t& passes_;
};

}  // namespace

std::optional<Failure> check_pass_orders(const Case& tested, int count, int64_t& passes) {
  for (int k = 0; k < count; ++k) {
    try {
      const auto wrong = Order(tested, tested.seed * 31 + static_cast<uint64_t>(k), passes).run();
      if (wrong) return Failure{tested.seed, "pass order", *wrong};
    } catch (const InternalError& error) {
      return Failure{tested.seed, "pass order", error.what()};
    }
  }
  return std::nullopt;
}

}  // namespace smelt::fuzz
