#include "compiler/fit_budget.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "compiler/occupancy.h"
#include "compiler/plan/order_nodes.h"
#include "compiler/plan/recompute.h"
#include "compiler/run_passes.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

constexpr double kFlopsPerByte = 4;  // what a byte of traffic costs beside an operation, roughly
constexpr double kFreeShare = 1e-4;  // of a function's cost: below it, candidates cost nothing
constexpr size_t kTrials = 6;        // candidates that are planned at once; the best of them is taken
constexpr double kAlike = 4;         // candidates whose scores are as near to the best are taken with it
constexpr size_t kMaxTrials = 48;    // in a round, while none of them helps
constexpr int kMaxRounds = 400;
constexpr size_t kManyKernels = 100;  // fewer are planned in milliseconds: candidates are tried one by one, each time
constexpr int kLeastRounds = 7;       // searches for the least that can be reached, when the budget cannot

double cost_of(const FunctionUnit& unit) {
  const Work work = work_of(unit.loops);
  return work.flops + kFlopsPerByte * work.bytes;
}

/// Work of one node, in operations.
double cost_of(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  const auto elements = [&](NodeId of) { return static_cast<double>(num_elements(graph.type(of).shape).value_or(0)); };
  switch (op_def(node).kind) {
    case Kind::Reduce: return elements(node.inputs[0]);
    case Kind::Random: return 40 * elements(id);
    case Kind::Scan: {
      double step = 0;
      for (uint32_t i = 0; i < node.body->size(); ++i) step += cost_of(*node.body, {i});
      return step * static_cast<double>(steps_of(node).bound);
    }
    case Kind::Contract: {
      // Every index of the formula occurs in two of the three tensors, but for those of a batch.
      const auto terms = static_cast<double>(node.inputs.size());
      return terms * std::sqrt(elements(node.inputs[0]) * elements(node.inputs[1]) * elements(id));
    }
    default: return elements(id);
  }
}

/// What stays the same of a value while others get copies: its operation, its place, and how many like it come before.
using ValueName = std::tuple<OpKind, uint32_t, uint32_t, int32_t>;

struct Candidate {
  NodeId value;
  ValueName name;
  Recomputation what;
  double gain = 0;  // bytes over the target that go, added up over the kernels, if nothing else changes
  double cost = 0;
  double score = 0;
};

class Candidates {
 public:
  Candidates(const FunctionUnit& plan, const Occupancy& occupancy, int64_t target, int64_t small_bytes)
      : plan_(plan), graph_(plan.source.graph), occupancy_(occupancy), target_(target), small_bytes_(small_bytes) {}

  /// All but those of `futile`, the best ones first.
  std::vector<Candidate> run(const std::set<ValueName>& futile) {
    const double free_cost = kFreeShare * cost_of(plan_);
    std::map<ValueName, int32_t> count;
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_.nodes[i];
      ValueName name{node.op, node.span.file, node.span.begin, 0};
      std::get<3>(name) = count[name]++;
      const size_t before = found_.size();
      if (!futile.contains(name)) add({i});
      for (size_t k = before; k < found_.size(); ++k) found_[k].name = name;
    }
    for (Candidate& candidate : found_) candidate.score = candidate.gain / (candidate.cost + free_cost);
    std::ranges::stable_sort(found_, std::greater<>(), &Candidate::score);
    return std::move(found_);
  }

 private:
  int64_t bytes(NodeId id) const {
    return Occupancy::bytes(plan_.loops, static_cast<size_t>(occupancy_.buffer_of(id)));
  }

  bool is_temporary(int32_t buffer) const {
    return buffer >= 0 && plan_.loops.buffers[static_cast<size_t>(buffer)].storage == Storage::Temporary;
  }

  /// What is computed along with a value: of a loop its results, and what its carries start as, which it overwrites.
  std::vector<NodeId> together(NodeId id) const {
    const NodeId loop = graph_[id].op == OpKind::Part ? graph_[id].inputs[0] : id;
    if (graph_[loop].op != OpKind::Scan) return {id};
    std::vector<NodeId> all{loop};
    for (uint32_t i = loop.index + 1; i < graph_.size(); ++i)
      if (graph_.nodes[i].op == OpKind::Part && graph_.nodes[i].inputs[0] == loop) all.push_back({i});
    for (size_t k = 0; k < graph_[loop].inputs.size(); ++k)
      if (graph_[loop].body->arguments[k].role == ArgRole::Carry) all.push_back(graph_[loop].inputs[k]);
    return all;
  }

  /// Candidates that compute `id` again behind the longest stretch, over the target, in which nobody touches it.
  void add(NodeId id) {
    if (graph_[id].op == OpKind::Part) return;  // with its loop
    std::vector<int32_t> touched;
    int64_t size = 0;
    for (const NodeId value : together(id)) {
      const int32_t buffer = graph_[value].op == OpKind::Scan ? -1 : occupancy_.buffer_of(value);
      if (!is_temporary(buffer)) continue;
      size += bytes(value);
      touched.insert(touched.end(), occupancy_.touched(buffer).begin(), occupancy_.touched(buffer).end());
    }
    if (size <= small_bytes_) return;
    std::ranges::sort(touched);
    double gain = 0;
    int32_t first_late = -1;
    for (size_t t = 0; t + 1 < touched.size(); ++t) {
      double here = 0;
      for (int32_t k = touched[t] + 1; k < touched[t + 1]; ++k)
        here += static_cast<double>(std::min(size, occupancy_.over(k, target_)));
      if (here > gain) std::tie(gain, first_late) = std::pair(here, touched[t + 1]);
    }
    if (gain == 0) return;
    // From operands that live longer for it, and from operands that are computed again as well.
    const std::optional<Candidate> kept = make(id, size, first_late, gain, Dead::Keep),
                                   deep = make(id, size, first_late, gain, Dead::Again);
    if (kept) found_.push_back(*kept);
    if (deep && (!kept || kept->what.from != deep->what.from)) found_.push_back(*deep);
  }

  enum class Dead : uint8_t { Keep, Again };

  std::optional<Candidate> make(NodeId id, int64_t size, int32_t first_late, double gain, Dead dead) const {
    const int32_t from = occupancy_.planned_kernel(first_late);
    Candidate candidate{.value = id, .name = {}, .what = {}, .gain = gain};
    std::set<NodeId> seen;
    std::vector<NodeId> open;
    const auto compute = [&](NodeId value) {
      for (const NodeId along : together(value))
        if (candidate.what.from.emplace(along, from).second) open.push_back(along);
    };
    compute(id);
    double lost = 0;  // bytes that operands take longer, added up as the gain is
    while (!open.empty()) {
      const NodeId at = open.back();
      open.pop_back();
      if (!seen.insert(at).second) continue;
      if (graph_[at].op != OpKind::Part) candidate.cost += cost_of(graph_, at);
      for (const NodeId input : graph_[at].inputs) {
        if (graph_[input].op == OpKind::Argument || candidate.what.from.contains(input)) continue;
        if (!plan_.plan.stored[input.index]) {
          open.push_back(input);
          continue;
        }
        const int32_t buffer = occupancy_.buffer_of(input);
        if (buffer < 0) continue;  // what a loop has left in a carry
        const bool available = occupancy_.lifetime(buffer).last >= first_late || !is_temporary(buffer);
        if (available || seen.contains(input)) continue;
        if (dead == Dead::Keep || bytes(input) <= std::max(small_bytes_, size / 8)) {
          for (int32_t k = occupancy_.lifetime(buffer).last + 1; k <= first_late; ++k) {
            if (occupancy_.over(k, target_) > 0) lost += static_cast<double>(bytes(input));
          }
        } else {
          compute(input);
        }
      }
    }
    candidate.gain -= lost;
    return candidate.gain > 0 ? std::optional(std::move(candidate)) : std::nullopt;
  }

  const FunctionUnit& plan_;
  const Graph& graph_;
  const Occupancy& occupancy_;
  const int64_t target_, small_bytes_;
  std::vector<Candidate> found_;
};

class Search {
 public:
  /// Ends when the plan is within the budget; on the way values are chosen as if it were `aim`.
  Search(FunctionUnit start, int64_t budget, int64_t aim, const PassContext& context, int& plans_left)
      : context_(context),
        budget_(budget),
        target_(aim - context.lower.begin),
        plan_(std::move(start)),
        plans_left_(plans_left) {}

  FunctionUnit run() {
    std::optional<FunctionUnit> smallest;
    for (int round = 0; round < kMaxRounds; ++round) {
      if (!smallest || plan_.end() < smallest->end()) smallest = plan_;
      if (plan_.end() <= budget_ || !improve()) break;
    }
    return plan_.end() < smallest->end() ? std::move(plan_) : std::move(*smallest);
  }

 private:
  /// False when no candidate frees anything.
  bool improve() {
    const Occupancy occupancy(plan_);
    double excess = occupancy.excess(target_);
    // What is alive would fit, but not as it lies: aim lower.
    for (int tries = 0; excess == 0 && tries < 20; ++tries) {
      target_ -= std::max<int64_t>(plan_.end() - budget_, 64);
      excess = occupancy.excess(target_);
    }
    if (improve_with(occupancy, excess)) return true;
    if (futile_.empty()) return false;
    futile_.clear();
    return improve_with(occupancy, excess);
  }

  bool improve_with(const Occupancy& occupancy, double excess) {
    const std::vector<Candidate> candidates = Candidates(plan_, occupancy, target_, context_.small_bytes).run(futile_);
    return (has_many_kernels() && take_many(candidates, excess)) || take_best(candidates, excess);
  }

  bool has_many_kernels() const { return plan_.loops.kernels.size() > kManyKernels; }

  /// The first candidates that free half of the excess, if nothing else changes. Layers that are alike have values that
  /// are alike: one by one they would be planned hundreds of times. False when they free less than half of what they
  /// promise, because they are in each other's way.
  bool take_many(const std::vector<Candidate>& candidates, double excess) {
    if (candidates.empty()) return false;
    Recomputation all;
    double promised = 0;
    int count = 0;
    for (const Candidate& candidate : candidates) {
      if (promised >= excess / 2 || candidate.score < candidates[0].score / kAlike) break;
      if (all.from.contains(candidate.value)) continue;
      for (const auto& [id, from] : candidate.what.from) {
        const auto [known, fresh] = all.from.emplace(id, from);
        known->second = std::min(known->second, from);
      }
      promised += candidate.gain;
      ++count;
    }
    if (count < 2) return false;
    std::optional<FunctionUnit> planned = plan_with(all);
    if (!planned || excess - Occupancy(*planned).excess(target_) < promised / 2) return false;
    plan_ = std::move(*planned);
    return true;
  }

  std::optional<FunctionUnit> plan_with(const Recomputation& what) {
    if (plans_left_ == 0) return std::nullopt;
    --plans_left_;
    check_time(context_.clock);
    ScheduledGraph source = recompute(plan_.source, plan_.plan, what);
    if (!can_be_ordered(source.graph)) return std::nullopt;
    return place_function(std::move(source), context_);
  }

  /// Of the next candidates.
  bool take_best(const std::vector<Candidate>& candidates, double excess) {
    const double cost = cost_of(plan_);
    std::optional<FunctionUnit> best;
    double best_score = 0;
    for (size_t c = 0; c < std::min(candidates.size(), kMaxTrials) && !(c % kTrials == 0 && best); ++c) {
      std::optional<FunctionUnit> planned = plan_with(candidates[c].what);
      if (!planned) continue;
      const double freed = excess - Occupancy(*planned).excess(target_);
      if (freed <= 1e-6 * excess) {
        if (has_many_kernels()) futile_.insert(candidates[c].name);
        continue;
      }
      const double score = freed / (std::max(cost_of(*planned) - cost, 0.0) + kFreeShare * cost);
      if (score <= best_score) continue;
      best_score = score;
      best = std::move(planned);
    }
    if (!best) return false;
    plan_ = std::move(*best);
    return true;
  }

  const PassContext& context_;
  const int64_t budget_;
  int64_t target_;
  FunctionUnit plan_;
  int& plans_left_;
  std::set<ValueName> futile_;  // freed nothing when they were tried: not tried again while others do
};

/// Sums keep the form that they have in the plan without a budget, and with it their bits.
std::vector<SumForm> sum_forms(const FunctionUnit& plan) {
  std::vector<SumForm> forms(plan.source.graph.size(), SumForm::Any);
  for (uint32_t i = 0; i < forms.size(); ++i) {
    if (op_def(plan.source.graph.nodes[i]).kind != Kind::Reduce || plan.plan.kernel_of[i] < 0) continue;
    const KernelPlan& kernel = plan.plan.kernels[static_cast<size_t>(plan.plan.kernel_of[i])];
    forms[i] = kernel.by_columns ? SumForm::Columns : SumForm::Rows;
  }
  return forms;
}

/// The better of the searches from both orders: the smaller plan, or of those within the budget the cheaper one.
FunctionUnit search(const FunctionUnit& function, int64_t budget, int64_t aim, const PassContext& context,
                    int& plans_left) {
  const auto from = [&](bool deepest_last) {
    ScheduledGraph start = function.source;
    start.schedule.sum_forms = sum_forms(function);
    start.schedule.deepest_last = deepest_last;
    return Search(place_function(std::move(start), context), budget, aim, context, plans_left).run();
  };
  const auto rank = [&](const FunctionUnit& plan) { return std::pair(std::max(plan.end(), budget), cost_of(plan)); };
  FunctionUnit as_usual = from(false), by_layer = from(true);
  return rank(by_layer) < rank(as_usual) ? std::move(by_layer) : std::move(as_usual);
}

/// The least that is found, whatever the budget is: who is told of it gets it. A search that aims too low frees the
/// wrong values first, so the aim is halved between what was reached and what was not.
FunctionUnit least_plan(const FunctionUnit& function, const PassContext& context, int plans_left) {
  FunctionUnit best = function;
  int64_t low = context.lower.begin;
  for (int round = 0; round < kLeastRounds && best.end() - low > best.end() / 100; ++round) {
    const int64_t middle = low + (best.end() - low) / 2;
    FunctionUnit found = search(function, middle, middle, context, plans_left);
    if (found.end() > middle) low = middle;
    if (found.end() < best.end()) best = std::move(found);
  }
  return best;
}

}  // namespace

FunctionUnit plan_within(const FunctionUnit& function, int64_t budget, const PassContext& context, int max_plans) {
  if (function.end() <= budget) return function;
  const int64_t room = budget - context.lower.begin;
  int plans_left = room > 0 ? max_plans : 0;
  // Where nothing at the peak can be freed alone, what lies under it has to go as well: lower aims.
  for (const int64_t eighths : {8, 7, 5, 3, 1}) {
    if (plans_left == 0) break;
    FunctionUnit found = search(function, budget, context.lower.begin + room * eighths / 8, context, plans_left);
    if (found.end() <= budget) return found;
  }
  return least_plan(function, context, max_plans);
}

ScheduledGraph fit_budget(ScheduledGraph source, const PassContext& context) {
  if (context.memory_budget == 0) return source;
  return plan_within(place_function(std::move(source), context), context.memory_budget, context).source;
}

}  // namespace smelt
