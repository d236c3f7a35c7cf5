#include "runtime/data/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "ir/support/check.h"
#include "runtime/data/shuffle.h"

namespace smelt {

namespace {

/// Small numbers in the order of the keys, equal where keys are.
std::vector<int32_t> ranks_of(std::span<const int64_t> keys) {
  std::vector<int64_t> distinct(keys.begin(), keys.end());
  std::ranges::sort(distinct);
  const auto rest = std::ranges::unique(distinct);
  distinct.erase(rest.begin(), rest.end());
  std::vector<int32_t> ranks;
  for (const int64_t key : keys)
    ranks.push_back(static_cast<int32_t>(std::ranges::lower_bound(distinct, key) - distinct.begin()));
  return ranks;
}

}  // namespace

Batches::Batches(const BatchPlan& plan, std::span<const int64_t> keys)
    : plan_(plan), order_(static_cast<size_t>(plan.rows)) {
  if (plan.bucket == 0) return;
  SMELT_CHECK(std::cmp_equal(keys.size(), plan.rows), "{} keys of {} rows", keys.size(), plan.rows);
  ranks_ = ranks_of(keys);
  sorted_.resize(order_.size());
  before_.resize(order_.size());
  batch_order_.resize(static_cast<size_t>(full_batches()));
}

Result<Batches> Batches::create(const BatchPlan& plan, std::string_view split, std::span<const int64_t> keys) {
  if (plan.rows > std::numeric_limits<int32_t>::max()) {
    return fail(ErrorKind::Limit, fmt::format("split `{}` has {} rows, the limit is 2^31-1", split, plan.rows));
  }
  if (plan.batch < 1) return fail(ErrorKind::Usage, fmt::format("a batch of {} rows", plan.batch));
  if (plan.rows < 1 || plan.batches_per_epoch() < 1) {
    return fail(ErrorKind::Input,
                fmt::format("split `{}` has {} rows, fewer than one batch of {}", split, plan.rows, plan.batch),
                plan.drop_rest
                    ? "make the batch smaller; only a batch of a bound, `dim B <= n`, and of one data section may have "
                      "fewer rows at the end of an epoch"
                    : "");
  }
  return Batches(plan, keys);
}

void Batches::seek(int64_t taken) { taken_ = taken; }

void Batches::set_order(int64_t epoch) {
  if (epoch == order_epoch_) return;
  if (plan_.shuffle) {
    shuffle_rows(plan_.seed, static_cast<uint32_t>(epoch), order_, plan_.section);
  } else if (order_epoch_ < 0) {
    std::iota(order_.begin(), order_.end(), 0);
  }
  if (plan_.bucket > 0 && (plan_.shuffle || order_epoch_ < 0)) {
    sort_buckets();
    if (plan_.shuffle) shuffle_full_batches(static_cast<uint32_t>(epoch));
  }
  order_epoch_ = epoch;
}

/// Buckets are as equal as they can be: a small last one would hold batches of all lengths.
void Batches::sort_buckets() {
  const int64_t batches = full_batches();
  const int64_t buckets = (batches + plan_.bucket - 1) / plan_.bucket;
  std::ranges::copy(order_, before_.begin());
  for (size_t i = 0; i < order_.size(); ++i)
    sorted_[i] = uint64_t{static_cast<uint32_t>(ranks_[static_cast<size_t>(order_[i])])} << 32 | i;
  for (int64_t bucket = 0; bucket < buckets; ++bucket) {
    const auto begin = static_cast<size_t>(bucket * batches / buckets * plan_.batch);
    const auto end = static_cast<size_t>((bucket + 1) * batches / buckets * plan_.batch);
    const auto rows = std::span(sorted_).subspan(begin, end - begin);
    std::ranges::sort(rows);
    for (size_t i = begin; i < end; ++i) order_[i] = before_[static_cast<uint32_t>(sorted_[i])];
  }
}

void Batches::shuffle_full_batches(uint32_t epoch) {
  shuffle_batches(plan_.seed, epoch, batch_order_, plan_.section);
  std::ranges::copy(order_, before_.begin());
  const auto batch = static_cast<size_t>(plan_.batch);
  for (size_t i = 0; i < batch_order_.size(); ++i) {
    const auto from = std::span(before_).subspan(static_cast<size_t>(batch_order_[i]) * batch, batch);
    std::ranges::copy(from, order_.begin() + static_cast<int64_t>(i * batch));
  }
}

std::span<const int32_t> Batches::next() {
  const int64_t per_epoch = plan_.batches_per_epoch();
  set_order(taken_ / per_epoch);
  const int64_t begin = taken_ % per_epoch * plan_.batch;
  ++taken_;
  return rows_from(begin);
}

std::span<const int32_t> Batches::following() const {
  const int64_t per_epoch = plan_.batches_per_epoch();
  if (taken_ / per_epoch != order_epoch_) return {};
  return rows_from(taken_ % per_epoch * plan_.batch);
}

std::span<const int32_t> Batches::rows_from(int64_t begin) const {
  return std::span<const int32_t>(order_).subspan(static_cast<size_t>(begin),
                                                  static_cast<size_t>(std::min(plan_.batch, plan_.rows - begin)));
}

}  // namespace smelt
