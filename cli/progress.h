// What a training run shows: a bar with loss, ETA, throughput and a sparkline on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>

#include "runtime/train_observer.h"

namespace smelt::cli {

class Progress final : public TrainObserver {
 public:
  Progress();
  ~Progress() override;

  void on_start(int64_t first_step, int64_t target) override;
  void on_step(const StepReport& report) override;
  void on_evaluation(int64_t step, std::string_view split, std::span<const NamedValue> values) override;
  void on_output(int64_t step, std::string_view what, const std::string& path) override;
  void on_checkpoint(int64_t step, const std::string& path, bool best) override;
  void on_note(const std::string& text) override;

  /// Milliseconds from `start` of the process to the end of the first step; 0 before it.
  double first_step_ms() const { return first_step_ms_; }

 private:
  using Clock = std::chrono::steady_clock;

  void line(const std::string& text);
  void clear_bar();
  void draw_bar(const StepReport& report);
  std::string losses(const StepReport& report) const;

  bool terminal_ = false;
  int width_ = 80;
  bool bar_shown_ = false;
  int64_t first_step_ = 0, shown_epoch_ = 0;
  Clock::time_point start_, last_drawn_, last_line_;
  double mean_loss_ = 0;
  int64_t mean_count_ = 0;
  std::deque<double> history_;  // one mean loss a sparkline column
  double first_step_ms_ = 0;
};

/// Eight levels of `values`, low to high, one character each.
std::string sparkline(const std::deque<double>& values);
/// `1:23:45`, `2:05` or `9 s`.
std::string duration(double seconds);
/// When the process began to run `main`.
std::chrono::steady_clock::time_point process_start();

}  // namespace smelt::cli
