#include "fuzz/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <set>

#include "fuzz/budgets.h"
#include "fuzz/case_file.h"
#include "fuzz/derivatives.h"
#include "fuzz/pass_orders.h"
#include "fuzz/rewrites.h"
#include "ir/op.h"

namespace smelt::fuzz {
namespace {

constexpr int64_t kBatch = 96;  // graphs; about 16 a module and leg: compiling costs less per graph in company

constexpr int kPassOrders = 1;      // a graph
constexpr int64_t kTwinShare = 4;   // each fourth graph is rewritten, and compiled with and without fusion and a budget
constexpr int kRewritesOfTwin = 4;  // of such a graph

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Whether an axis of an operand is read at a sum of two indices.
bool has_window(const Node& node) {
  if (node.op != OpKind::Contract && node.op != OpKind::Read) return false;
  const std::vector<IndexMap>& maps = node.attrs.formula("formula").operands;
  return std::ranges::any_of(maps, [](const IndexMap& map) {
    return std::ranges::any_of(map.axes, [](const Affine& place) { return place.terms.size() > 1; });
  });
}

void count_case(const Case& tested, Totals& totals) {
  ++totals.graphs;
  totals.nodes += tested.random.graph.size();
  totals.mistrusted += tested.mistrusted ? 1 : 0;
  totals.thrown_away += tested.random.attempts - 1;
  totals.dropped_results += tested.random.dropped;
  const auto has_result = [&](char first) {
    return std::ranges::any_of(tested.random.graph.results,
                               [&](const Output& result) { return result.name[0] == first; });
  };
  totals.gradients += has_result('g') || has_result('h') ? 1 : 0;
  totals.second_order += has_result('h') ? 1 : 0;
  const HalfRounding halves = tested.expected.arithmetic.halves;
  totals.halves += halves != HalfRounding::None ? 1 : 0;
  totals.free_halves += halves == HalfRounding::Freely ? 1 : 0;
  std::set<std::string_view> ops;
  const std::vector<bool> live = live_nodes(tested.random.graph);
  bool windows = false;
  for (uint32_t i = 0; i < tested.random.graph.size(); ++i) {
    if (!live[i]) continue;
    ops.insert(op_def(tested.random.graph.nodes[i]).name);
    windows = windows || has_window(tested.random.graph.nodes[i]);
  }
  totals.windows += windows ? 1 : 0;
  totals.loops += ops.contains("scan") ? 1 : 0;
  for (const std::string_view op : ops) ++totals.ops[std::string(op)];
}

void add_failure(Failure failure, const Case& tested, const CampaignOptions& options, Totals& totals) {
  if (!options.directory.empty()) {
    const std::string path = fmt::format("{}/fuzz-{}-{}.txt", options.directory, failure.seed, totals.failures.size());
    std::error_code ignored;
    std::filesystem::create_directories(options.directory, ignored);
    const Result<void> written = write_case(path, tested, failure.check, failure.what);
    failure.what += written ? fmt::format("\n  graph: {}", path) : "\n  " + written.error().message;
  }
  totals.failures.push_back(std::move(failure));
}

void append(std::vector<Failure>& failures, std::vector<Failure> more) {
  failures.insert(failures.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// Rewrites, fusion and budgets of some of the cases, by seed.
void check_twins(std::span<const Case> cases, Totals& totals, std::vector<Failure>& failures) {
  std::vector<Case> chosen;
  for (const Case& tested : cases) {
    if (tested.seed % kTwinShare == 0) chosen.push_back(tested);
  }
  totals.rewritten += static_cast<int64_t>(chosen.size());
  append(failures, check_rewrites(chosen, kRewritesOfTwin, totals.rewrites));
  append(failures, check_fusion(chosen, totals.fusion_pairs));
  append(failures, check_budgets(chosen, totals.budgets, totals.computed_again));
}

}  // namespace

void run_campaign(Totals& totals, const CampaignOptions& options, const std::function<void(const Totals&)>& progress) {
  constexpr std::array<const Leg*, 2> kBoth = {&kPlain, &kFull};
  while (totals.graphs < options.count && static_cast<int64_t>(totals.failures.size()) < options.max_failures) {
    const double start = cpu_seconds();
    std::vector<Case> cases;
    for (int64_t left = std::min(kBatch, options.count - totals.graphs); left > 0; --left) {
      cases.push_back(make_case(totals.seed + static_cast<uint64_t>(totals.graphs), options.subject));
      count_case(cases.back(), totals);
    }
    std::vector<Failure> failures = check_legs(cases, kBoth);
    for (const Case& tested : cases) {
      totals.pass_orders += kPassOrders;
      if (auto failure = check_pass_orders(tested, kPassOrders, totals.passes)) failures.push_back(*std::move(failure));
      if (auto failure = check_derivatives(tested, totals.derivatives)) failures.push_back(*std::move(failure));
    }
    check_twins(cases, totals, failures);
    for (Failure& failure : failures) {
      const auto tested = std::ranges::find(cases, failure.seed, &Case::seed);
      add_failure(std::move(failure), *tested, options, totals);
    }
    totals.cpu_seconds += cpu_seconds() - start;
    progress(totals);
  }
}

}  // namespace smelt::fuzz
