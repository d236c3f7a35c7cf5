// Whether a metric still gets better: what `stop when no better(min loss, 5)` asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ir/plan.h"
#include "ir/support/result.h"

namespace smelt {

class Progress {
 public:
  explicit Progress(const Patience& rule) : rule_(rule) {}

  /// One evaluation. NaN is never better.
  void add(std::string_view split, std::string_view metric, double value);
  /// Those that a run has logged. Errors: Input when the log cannot be read.
  Result<void> take_up(const std::string& metrics_path);
  bool has_ended() const { return rule_.evaluations > 0 && since_best_ >= rule_.evaluations; }

 private:
  const Patience& rule_;
  std::optional<double> best_;
  int64_t since_best_ = 0;  // evaluations
};

}  // namespace smelt
