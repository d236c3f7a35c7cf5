// What a run that goes on has to know of its past to stop where it would have stopped: whether a metric still gets
// better, `stop when no better(min loss, 5)`, and what the last losses were, `stop when loss < 0.1`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"

namespace smelt {

class Progress {
 public:
  explicit Progress(const Patience& rule) : rule_(rule) {}

  /// One evaluation. NaN and infinity are never better: the log has no numbers for them.
  void add(std::string_view split, std::string_view metric, double value);
  /// Those that a run has logged. Errors: Input when the log cannot be read.
  Result<void> take_up(const std::string& metrics_path);
  bool has_ended() const { return rule_.evaluations > 0 && since_best_ >= rule_.evaluations; }
  void wait_again() { since_best_ = 0; }

 private:
  const Patience& rule_;
  std::optional<double> best_;
  int64_t since_best_ = 0;  // evaluations
};

/// `slow loss by 0.5 when no better(min loss, 5)`: what the scalar of the rule is at each step.
class Slowing {
 public:
  explicit Slowing(const SlowRule& rule) : rule_(rule), progress_(rule.patience) {}

  /// One evaluation after step `step`; true when the rate falls.
  bool add(int64_t step, std::string_view split, std::string_view metric, double value);
  /// Those that a run has logged. Errors: Input when the log cannot be read.
  Result<void> take_up(const std::string& metrics_path);
  /// In the steps behind `step`.
  double factor(int64_t step) const;
  const SlowRule& rule() const { return rule_; }

 private:
  const SlowRule& rule_;
  Progress progress_;
  std::vector<int64_t> falls_;  // the steps after which the rate fell
};

/// The last value of each metric that a run has logged, whatever its split; NaN for one that was not finite. Errors:
/// Input when the log cannot be read.
Result<std::map<std::string, double>> logged_metrics(const std::string& metrics_path);

/// The last loss of each objective at `step` that a run has logged; those that were not finite are left out. Errors:
/// Input when the log cannot be read.
Result<std::map<std::string, double>> logged_losses(const std::string& metrics_path, int64_t step);

}  // namespace smelt
