#include "fuzz/reduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/graph/differentiate.h"
#include "fuzz/pass_orders.h"
#include "fuzz/rewrites.h"
#include "fuzz/shrink.h"
#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt::fuzz {
namespace {

constexpr int kOrders = 40;      // pass orders and rewrites that a reduced graph is tried with
constexpr int kMaxAttempts = 3000;

const Leg* leg_named(const std::string& name) {
  const auto leg = std::ranges::find(kLegs, name, &Leg::name);
  return leg == std::end(kLegs) ? nullptr : leg;
}

std::optional<Failure> check_leg(const Case& tested, const Leg& leg) {
  const Leg* const legs[] = {&leg};
  std::vector<Failure> failures = check_legs(std::span(&tested, 1), legs);
  return failures.empty() ? std::nullopt : std::optional(std::move(failures[0]));
}

/// The first pass of the pipeline after which the values are wrong, or which fails.
Verdict blame_passes(const Case& tested) {
  CompileOptions options;
  options.verify = VerifyLevel::EachPass;
  options.dump_after = {"all"};
  size_t done = 0;
  Verdict verdict;
  const auto check = [&](int number, std::string_view pass, const Graph& graph) {
    done = static_cast<size_t>(number) + 1;
    if (verdict.fails()) return;
    const auto values = evaluate(differentiate(graph), tested.random.arguments, tested.random.extents);
    const auto wrong = values ? compare(tested, {.results = *values, .fault = {}}) : std::optional(values.error().message);
    if (wrong) verdict = {"passes", fmt::format("pass {} (run {} of the pipeline)", pass, number), *wrong};
  };
  try {
    const auto result = run_graph_pipeline(tested.random.graph, options, check);
    SMELT_CHECK(result.has_value(), "{}", result.error().message);
  } catch (const InternalError& error) {
    const auto names = graph_pipeline();
    if (!verdict.fails()) verdict = {"passes", fmt::format("pass {} (run {} of the pipeline)", names[std::min(done, names.size() - 1)], done), error.what()};
  }
  return verdict;
}

}  // namespace

std::optional<Failure> run_check(const Case& tested, const std::string& check) {
  if (const Leg* leg = leg_named(check)) return check_leg(tested, *leg);
  if (check == "pass order") return check_pass_orders(tested, kOrders);
  int64_t done = 0;
  std::vector<Failure> failures = check == "recomputed" || check == "unfused" ? check_fusion(std::span(&tested, 1), done)
                                                                             : check_rewrites(std::span(&tested, 1), kOrders, done);
  const auto same = std::ranges::find(failures, check, &Failure::check);
  return same == failures.end() ? std::nullopt : std::optional(*same);
}

Verdict blame(const Case& tested, const std::string& check) {
  if (leg_named(check) == nullptr) {
    const auto failure = run_check(tested, check);
    return failure ? Verdict{check, check, failure->what} : Verdict{};
  }
  if (const Verdict passes = blame_passes(tested); passes.fails()) return passes;
  for (const Leg& leg : kLegs) {
    if (const auto failure = check_leg(tested, leg)) return {std::string(leg.name), std::string(leg.stage), failure->what};
  }
  return {};
}

namespace {

class Reducer {
 public:
  explicit Reducer(const ReadCase& read) : setup_(read.setup), seed_(read.seed) {
    current_ = read.random;
    const auto tested = case_of(read.random);
    if (!tested) return;
    verdict_ = blame(*tested, read.check);
    by_passes_ = verdict_.check == "passes";
  }

  Reduced run() {
    if (verdict_.fails()) {
      Setup alone = setup_;
      alone.threads = 1;
      if (std::swap(setup_, alone); !still_fails(current_)) std::swap(setup_, alone);
      while (attempts_ < kMaxAttempts && shrink_once()) continue;
    }
    Reduced reduced{.tested = *case_of(current_), .verdict = verdict_, .num_ops = count_ops(current_.graph), .attempts = attempts_};
    if (verdict_.fails()) reduced.verdict = blame(reduced.tested, verdict_.check);
    return reduced;
  }

 private:
  std::optional<Case> case_of(const RandomGraph& random) const {
    try {
      Result<Case> tested = make_case(seed_, setup_, random);
      return tested ? std::optional(*std::move(tested)) : std::nullopt;
    } catch (const InternalError&) {
      return std::nullopt;  // the reference itself needs what is broken
    }
  }

  bool still_fails(const RandomGraph& random) {
    ++attempts_;
    const auto tested = case_of(random);
    if (!tested) return false;
    // The evaluator tells a wrong pass in a thousandth of the time that a compiler needs.
    return by_passes_ ? blame_passes(*tested).fails() : run_check(*tested, verdict_.check).has_value();
  }

  bool shrink_once() {
    const RandomGraph base = current_;
    const int ops = count_ops(base.graph);
    for (const auto& variant : smaller_variants(base)) {
      if (attempts_ >= kMaxAttempts) return false;
      RandomGraph smaller;
      try {
        smaller = variant();
      } catch (const InternalError&) {
        continue;
      }
      const bool fewer_results = smaller.graph.results.size() < base.graph.results.size();
      const bool plainer = has_grad(base.graph) && !has_grad(smaller.graph);
      if (count_ops(smaller.graph) >= ops && !fewer_results && !plainer) continue;
      if (!still_fails(smaller)) continue;
      current_ = std::move(smaller);
      return true;
    }
    return false;
  }

  static bool has_grad(const Graph& graph) {
    return std::ranges::any_of(graph.nodes, [](const Node& node) { return node.op == OpKind::Grad || op_def(node).kind == Kind::Composite; });
  }

  Setup setup_;
  uint64_t seed_;
  RandomGraph current_;
  Verdict verdict_;
  bool by_passes_ = false;
  int attempts_ = 0;
};

}  // namespace

Reduced reduce(const ReadCase& read) { return Reducer(read).run(); }

}  // namespace smelt::fuzz
