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
  int64_t bucket = 0;    // full batches whose rows are sorted together by their keys; 0: rows are not sorted

  int64_t batches_per_epoch() const { return drop_rest ? rows / batch : (rows + batch - 1) / batch; }
};

/// The order of an epoch, a function of (seed, epoch) and the keys (docs/decisions/0042-buckets.md): rows are shuffled;
/// the full batches are cut into buckets of at most `bucket` batches, as equal as they can be; the rows of a bucket are
/// sorted by key, equal ones as the shuffle has them; the full batches of the epoch are shuffled. What is no full batch
/// comes last, as the shuffle has it.
class Batches {
 public:
  /// `keys`: one a row, of a plan with buckets. Errors: Input when an epoch has no batch; Limit beyond 2^31-1 rows.
  static Result<Batches> create(const BatchPlan& plan, std::string_view split, std::span<const int64_t> keys = {});

  const BatchPlan& plan() const { return plan_; }
  int64_t taken() const { return taken_; }
  /// Epochs that are over: all their batches were taken.
  int64_t epochs_done() const { return taken_ / plan_.batches_per_epoch(); }

  /// Goes to where `taken` batches were taken.
  void seek(int64_t taken);

  /// The rows of the next batch. The view is good until the next call. Allocates nothing.
  std::span<const int32_t> next();
  /// The rows that `next` will give; empty where another epoch begins.
  std::span<const int32_t> following() const;

 private:
  Batches(const BatchPlan& plan, std::span<const int64_t> keys);
  void set_order(int64_t epoch);
  void sort_buckets();
  void shuffle_full_batches(uint32_t epoch);
  std::span<const int32_t> rows_from(int64_t begin) const;
  int64_t full_batches() const { return plan_.rows / plan_.batch; }

  BatchPlan plan_;
  std::vector<int32_t> order_;  // of epoch `order_epoch_`
  // With buckets: the place of each row among all by key; then what an epoch is sorted in.
  std::vector<int32_t> ranks_;
  std::vector<uint64_t> sorted_;
  std::vector<int32_t> before_, batch_order_;
  int64_t order_epoch_ = -1;
  int64_t taken_ = 0;
};

}  // namespace smelt
