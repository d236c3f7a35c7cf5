#include "runtime/data/shuffle.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "ir/philox.h"

namespace smelt {
namespace {

constexpr uint32_t site_of(std::string_view name) { return fnv1a(name.data(), name.size()); }
constexpr uint32_t kShuffleSite = site_of("shuffle"), kSplitSite = site_of("split"), kBucketsSite = site_of("buckets");

void permute(uint64_t seed, uint32_t epoch, uint32_t site, std::span<int32_t> rows) {
  std::iota(rows.begin(), rows.end(), 0);
  std::array<uint32_t, 4> words{};
  for (size_t i = rows.size(); i-- > 1;) {
    const auto place = static_cast<uint32_t>(i);
    // Going down, a block of four words starts at its last one or, the first time, at any.
    if (place % 4 == 3 || i + 1 == rows.size()) words = philox(seed, {place / 4, 0, epoch, site});
    const uint64_t j = (uint64_t{words[place % 4]} * (uint64_t{place} + 1u)) >> 32;
    std::swap(rows[i], rows[j]);
  }
}

}  // namespace

void shuffle_rows(uint64_t seed, uint32_t epoch, std::span<int32_t> rows, uint32_t section) {
  permute(seed, epoch, kShuffleSite + section, rows);
}

void shuffle_batches(uint64_t seed, uint32_t epoch, std::span<int32_t> batches, uint32_t section) {
  permute(seed, epoch, kBucketsSite + section, batches);
}

std::pair<int64_t, int64_t> stretch_of_share(int64_t count, const Share& share) {
  const auto place = [&](double part) {
    return std::clamp<int64_t>(std::llround(part * static_cast<double>(count)), 0, count);
  };
  return {place(share.from), place(share.to)};
}

std::vector<int32_t> rows_of_share(int64_t count, const Share& share, uint64_t seed) {
  std::vector<int32_t> all(static_cast<size_t>(count));
  permute(seed, 0, kSplitSite, all);
  const auto [from, to] = stretch_of_share(count, share);
  std::vector<int32_t> rows(all.begin() + from, all.begin() + to);
  std::ranges::sort(rows);
  return rows;
}

}  // namespace smelt
