#include "fuzz/reduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/graph/differentiate.h"
#include "compiler/run_passes.h"
#include "fuzz/budgets.h"
#include "fuzz/derivatives.h"
#include "fuzz/pass_orders.h"
#include "fuzz/rewrites.h"
#include "fuzz/shrink.h"
#include "ir/op.h"
#include "ir/support/check.h"

namespace smelt::fuzz {
namespace {

constexpr int kOrders = 40;  // pass orders and rewrites that a reduced graph is tried with
constexpr int kMaxTrials = 3000;

const Leg* leg_named(const std::string& name) {
  const auto leg = std::ranges::find(kLegs, name, &Leg::name);
  return leg == std::end(kLegs) ? nullptr : leg;
}

std::optional<Failure> check_leg(const Case& tested, const Leg& leg) {
  const Leg* const legs[] = {&leg};
  int64_t done = 0, again = 0;
  std::vector<Failure> failures =
      &leg == &kBudget ? check_budgets(std::span(&tested, 1), done, again) : check_legs(std::span(&tested, 1), legs);
  return failures.empty() ? std::nullopt : std::optional(std::move(failures[0]));
}

/// The first pass of the pipeline after which the values are wrong, or which fails.
Verdict blame_passes(const Case& tested) {
  CompileOptions options;
  options.verify = VerifyLevel::EachPass;
  options.dump_after = {"all"};
  size_t done = 0;
  Verdict verdict;
  const auto check = [&](int number, std::string_view pass, const FunctionUnit& unit) {
    done = static_cast<size_t>(number) + 1;
    if (verdict.fails()) return;
    const auto values = evaluate(differentiate(unit.source.graph), tested.random.arguments, tested.random.extents,
                                 {.rounding = Rounding::Halves});
    const auto wrong =
        values ? compare(tested, {.results = *values, .fault = {}}) : std::optional(values.error().message);
    if (wrong) verdict = {"passes", fmt::format("pass {} (run {} of the pipeline)", pass, number), *wrong};
  };
  try {
    const auto result = run_passes(tested.random.graph, {}, options, check, Stage::Primitive);
    SMELT_CHECK(result.has_value(), "{}", result.error().message);
  } catch (const InternalError& error) {
    const auto names = pipeline();
    if (!verdict.fails())
      verdict = {"passes",
                 fmt::format("pass {} (run {} of the pipeline)", names[std::min(done, names.size() - 1)], done),
                 error.what()};
  }
  return verdict;
}

}  // namespace

std::optional<Failure> run_check(const Case& tested, const std::string& check) {
  if (const Leg* leg = leg_named(check)) return check_leg(tested, *leg);
  int64_t done = 0;
  if (check == "pass order") return check_pass_orders(tested, kOrders, done);
  if (check == "derivatives") return check_derivatives(tested, done);
  std::vector<Failure> failures = check == "recomputed" || check == "unfused"
                                      ? check_fusion(std::span(&tested, 1), done)
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
    if (const auto failure = check_leg(tested, leg))
      return {std::string(leg.name), std::string(leg.stage), failure->what};
  }
  return {};
}

namespace {

class Reducer {
 public:
  Reducer(const ReadCase& read, const Judge& judge)
      : setup_(read.setup), seed_(read.seed), current_(read.random), judge_(judge) {}

  Reduced run() {
    // On one thread when that is enough.
    Setup alone = setup_;
    alone.threads = 1;
    std::swap(setup_, alone);
    if (!still_fails(current_)) std::swap(setup_, alone);
    if (still_fails(current_)) {
      while (attempts_ < kMaxTrials && shrink_once()) continue;
    }
    Result<Case> tested = make_case(seed_, setup_, current_);
    SMELT_CHECK(tested.has_value(), "{}", tested.error().message);
    Reduced reduced{
        .tested = *std::move(tested), .verdict = {}, .num_ops = count_ops(current_.graph), .attempts = attempts_};
    reduced.verdict = judge_(reduced.tested);
    return reduced;
  }

 private:
  bool still_fails(const RandomGraph& random) {
    ++attempts_;
    try {
      const Result<Case> tested = make_case(seed_, setup_, random);
      return tested && judge_(*tested).fails();
    } catch (const InternalError&) {
      return false;  // the reference itself needs what is broken
    }
  }

  bool shrink_once() {
    const RandomGraph base = current_;
    const int ops = count_ops(base.graph);
    for (const auto& variant : smaller_variants(base)) {
      if (attempts_ >= kMaxTrials) return false;
      RandomGraph smaller;
      try {
        smaller = variant();
      } catch (const InternalError&) {
        continue;
      }
      const bool fewer_results = smaller.graph.results.size() < base.graph.results.size();
      const bool plainer = has_forms(base.graph) && !has_forms(smaller.graph);
      if (count_ops(smaller.graph) >= ops && !fewer_results && !plainer) continue;
      if (!still_fails(smaller)) continue;
      current_ = std::move(smaller);
      return true;
    }
    return false;
  }

  /// `grad` or composites, which stand for more than one op.
  static bool has_forms(const Graph& graph) {
    return std::ranges::any_of(graph.nodes, [](const Node& node) {
      return op_def(node).kind == Kind::Meta || op_def(node).kind == Kind::Composite;
    });
  }

  Setup setup_;
  uint64_t seed_;
  RandomGraph current_;
  const Judge& judge_;
  int attempts_ = 0;
};

}  // namespace

Reduced reduce(const ReadCase& read, const Judge& judge) { return Reducer(read, judge).run(); }

Reduced reduce(const ReadCase& read) {
  const auto whole = [&](const Case& tested) { return blame(tested, read.check); };
  Verdict first;
  if (const Result<Case> tested = make_case(read.seed, read.setup, read.random)) first = whole(*tested);
  // The evaluator tells a wrong pass in a thousandth of the time that a compiler needs, and one leg is quicker than
  // five.
  const auto quick = [&](const Case& tested) -> Verdict {
    if (first.check == "passes") return blame_passes(tested);
    const auto failure = run_check(tested, first.check.empty() ? read.check : first.check);
    return failure ? Verdict{failure->check, {}, failure->what} : Verdict{};
  };
  Reduced reduced = reduce(read, quick);
  if (reduced.verdict.fails()) reduced.verdict = whole(reduced.tested);
  return reduced;
}

}  // namespace smelt::fuzz
