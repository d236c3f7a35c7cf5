// The order of batches of like length.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "runtime/data/batches.h"
#include "runtime/data/row_lengths.h"
#include "runtime/data/shuffle.h"
#include "tests/unit/runtime/allocation_counter.h"

namespace smelt {
namespace {

constexpr int64_t kRows = 1003, kBatch = 10, kBucket = 8;

/// Lengths of 1 to 50 in no order.
std::vector<int64_t> some_keys() {
  std::vector<int64_t> keys;
  for (int64_t row = 0; row < kRows; ++row) keys.push_back(1 + row * row % 50);
  return keys;
}

BatchPlan plan_of(bool shuffle, bool drop_rest = false) {
  return {.rows = kRows, .batch = kBatch, .drop_rest = drop_rest, .shuffle = shuffle, .seed = 5, .bucket = kBucket};
}

using Epoch = std::vector<std::vector<int32_t>>;

Epoch next_epoch(Batches& batches) {
  Epoch epoch;
  for (int64_t i = 0; i < batches.plan().batches_per_epoch(); ++i) {
    const auto rows = batches.next();
    epoch.emplace_back(rows.begin(), rows.end());
  }
  return epoch;
}

std::vector<int32_t> all_of(const Epoch& epoch) {
  std::vector<int32_t> rows;
  for (const auto& batch : epoch) rows.insert(rows.end(), batch.begin(), batch.end());
  std::ranges::sort(rows);
  return rows;
}

int64_t sum_of_longest(const Epoch& epoch, const std::vector<int64_t>& keys) {
  int64_t sum = 0;
  for (const auto& batch : epoch) {
    int64_t longest = 0;
    for (const int32_t row : batch) longest = std::max(longest, keys[static_cast<size_t>(row)]);
    sum += longest;
  }
  return sum;
}

TEST_CASE("an epoch of buckets has each row once, full batches first") {
  const std::vector<int64_t> keys = some_keys();
  std::vector<int32_t> every(kRows);
  std::iota(every.begin(), every.end(), 0);
  for (const bool shuffle : {false, true}) {
    auto batches = Batches::create(plan_of(shuffle), "train", keys);
    REQUIRE(batches);
    const Epoch first = next_epoch(*batches), second = next_epoch(*batches);
    CHECK(first.size() == 101);
    CHECK(first.back().size() == 3);
    CHECK(all_of(first) == every);
    CHECK(all_of(second) == every);
    CHECK((first == second) == !shuffle);
    CHECK(batches->epochs_done() == 2);
  }
  auto dropping = Batches::create(plan_of(true, true), "train", keys);
  CHECK(next_epoch(*dropping).size() == 100);
}

TEST_CASE("rows of a bucket are sorted, and buckets are equal and drawn") {
  const std::vector<int64_t> keys = some_keys();
  auto batches = Batches::create(plan_of(true), "train", keys);
  const Epoch epoch = next_epoch(*batches);
  std::vector<int32_t> shuffled(kRows), places(100);
  shuffle_rows(5, 0, shuffled);
  shuffle_batches(5, 0, places, 0);
  // 100 full batches are 13 buckets of 7 or 8.
  std::vector<std::vector<int32_t>> expected;
  for (int64_t bucket = 0; bucket < 13; ++bucket) {
    std::vector<int32_t> rows(shuffled.begin() + bucket * 100 / 13 * 10,
                              shuffled.begin() + (bucket + 1) * 100 / 13 * 10);
    std::ranges::stable_sort(rows, {}, [&](int32_t row) { return keys[static_cast<size_t>(row)]; });
    for (size_t at = 0; at < rows.size(); at += 10) expected.emplace_back(rows.begin() + at, rows.begin() + at + 10);
  }
  for (size_t i = 0; i < places.size(); ++i) CHECK(epoch[i] == expected[static_cast<size_t>(places[i])]);
  CHECK(std::equal(epoch.back().begin(), epoch.back().end(), shuffled.begin() + 1000));
  auto plain = Batches::create({.rows = kRows, .batch = kBatch, .shuffle = true, .seed = 5}, "train");
  CHECK(sum_of_longest(epoch, keys) * 10 < sum_of_longest(next_epoch(*plain), keys) * 7);
}

TEST_CASE("seeking into an epoch of buckets gives the rows that counting gives") {
  const std::vector<int64_t> keys = some_keys();
  auto counted = Batches::create(plan_of(true), "train", keys);
  for (int64_t taken = 0; taken < 250; ++taken) {
    const auto a = counted->next();
    if (taken % 17 != 0) continue;
    auto sought = Batches::create(plan_of(true), "train", keys);
    sought->seek(taken);
    const auto b = sought->next();
    CHECK(std::ranges::equal(a, b));
  }
}

TEST_CASE("the order of an epoch is made without allocating") {
  if (test::skip_without_allocation_counter()) return;
  const std::vector<int64_t> keys = some_keys();
  auto batches = Batches::create(plan_of(true), "train", keys);
  const int64_t before = test::num_allocations();
  for (int i = 0; i < 300; ++i) batches->next();
  CHECK(test::num_allocations() == before);
}

TEST_CASE("two sections of one size have other orders") {
  const std::vector<int64_t> keys(kRows, 1);
  BatchPlan second = plan_of(true);
  second.section = 1;
  auto a = Batches::create(plan_of(true), "train", keys), b = Batches::create(second, "train", keys);
  CHECK(next_epoch(*a) != next_epoch(*b));
}

TEST_CASE("a batch is as long as its longest row and what belongs behind it") {
  const RowLengths first{.lengths = {3, 9, 2}, .symbol = 1, .ends = 0};
  const RowLengths second{.lengths = {7, 1, 1}, .symbol = 2, .ends = 1};
  const std::array<int32_t, 2> rows = {0, 2};
  CHECK(first.size_of(rows) == 3);
  CHECK(second.size_of(rows) == 8);
  const std::vector<RowLengths> both = {first, second};
  const std::vector<int64_t> keys = length_keys(both);
  CHECK(keys[2] < keys[0]);
  CHECK(keys[0] < keys[1]);
  // A string of fixed size does not count beside one of a run-time dim.
  std::vector<RowLengths> one = both;
  one[0].symbol = -1;
  CHECK(length_keys(one)[1] == length_keys(one)[2]);
  CHECK(length_keys({}).empty());
  CHECK(have_run_time_dim(one));
  one[1].symbol = -1;
  CHECK(!have_run_time_dim(one));
  CHECK(length_keys(one)[2] < length_keys(one)[0]);
}

}  // namespace
}  // namespace smelt
