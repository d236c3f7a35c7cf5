// Batches of an endless run of epochs. The place in it is one number, how many batches were taken, so that a
// resumed run goes on exactly where it stopped.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct BatchPlan {
  int64_t rows = 0;        // of the split
  int64_t batch = 0;       // rows of a full batch
  bool drop_rest = false;  // the batch size is fixed: the rest of an epoch is left out
  bool shuffle = false;    // else file order
  uint64_t seed = 0;
  uint32_t section = 0;  // of the run's data sections: each has an order of its own

  int64_t batches_per_epoch() const { return drop_rest ? rows / batch : (rows + batch - 1) / batch; }
};

class Batches {
 public:
  /// Errors: Input when an epoch has no batch; Limit beyond 2^31-1 rows or 2^32-1 epochs' worth of counters.
  static Result<Batches> create(const BatchPlan& plan, std::string_view split);

  const BatchPlan& plan() const { return plan_; }
  int64_t taken() const { return taken_; }
  /// Epochs that are over: all their batches were taken.
  int64_t epochs_done() const { return taken_ / plan_.batches_per_epoch(); }

  /// Goes to where `taken` batches were taken.
  void seek(int64_t taken);

  /// The rows of the next batch. The view is good until the next call. Allocates nothing.
  std::span<const int32_t> next();

 private:
  explicit Batches(const BatchPlan& plan) : plan_(plan), order_(static_cast<size_t>(plan.rows)) {}
  void set_order(int64_t epoch);

  BatchPlan plan_;
  std::vector<int32_t> order_;  // of epoch `order_epoch_`
  int64_t order_epoch_ = -1;
  int64_t taken_ = 0;
};

}  // namespace smelt
