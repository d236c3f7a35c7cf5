#include "runtime/data/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/data/shuffle.h"

namespace smelt {

Result<Batches> Batches::create(const BatchPlan& plan, std::string_view split) {
  if (plan.rows > std::numeric_limits<int32_t>::max()) {
    return fail(ErrorKind::Limit, fmt::format("split `{}` has {} rows, the limit is 2^31-1", split, plan.rows));
  }
  if (plan.batch < 1) return fail(ErrorKind::Usage, fmt::format("a batch of {} rows", plan.batch));
  if (plan.rows < 1 || plan.batches_per_epoch() < 1) {
    return fail(
        ErrorKind::Input,
        fmt::format("split `{}` has {} rows, fewer than one batch of {}", split, plan.rows, plan.batch),
        plan.drop_rest ? "make the batch smaller, or give it a bound (`dim B <= n`) instead of a fixed size" : "");
  }
  return Batches(plan);
}

void Batches::seek(int64_t taken) { taken_ = taken; }

void Batches::set_order(int64_t epoch) {
  if (epoch == order_epoch_) return;
  if (plan_.shuffle) {
    shuffle_rows(plan_.seed, static_cast<uint32_t>(epoch), order_, plan_.section);
  } else if (order_epoch_ < 0) {
    std::iota(order_.begin(), order_.end(), 0);
  }
  order_epoch_ = epoch;
}

std::span<const int32_t> Batches::next() {
  const int64_t per_epoch = plan_.batches_per_epoch();
  set_order(taken_ / per_epoch);
  const int64_t begin = taken_ % per_epoch * plan_.batch;
  ++taken_;
  return std::span<const int32_t>(order_).subspan(static_cast<size_t>(begin),
                                                  static_cast<size_t>(std::min(plan_.batch, plan_.rows - begin)));
}

}  // namespace smelt
