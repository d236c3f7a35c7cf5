#include "runtime/data/shuffle.h"

#include <numeric>
#include <utility>

#include "ir/philox.h"

namespace smelt {
namespace {

constexpr char kSite[] = "shuffle";
constexpr uint32_t kShuffleSite = fnv1a(kSite, sizeof kSite - 1);

}  // namespace

void shuffle_rows(uint64_t seed, uint32_t epoch, std::span<int32_t> rows) {
  std::iota(rows.begin(), rows.end(), 0);
  std::array<uint32_t, 4> words{};
  for (size_t i = rows.size(); i-- > 1;) {
    const auto place = static_cast<uint32_t>(i);
    // Going down, a block of four words starts at its last one or, the first time, at any.
    if (place % 4 == 3 || i + 1 == rows.size()) words = philox(seed, {place / 4, 0, epoch, kShuffleSite});
    const uint64_t j = (uint64_t{words[place % 4]} * (uint64_t{place} + 1u)) >> 32;
    std::swap(rows[i], rows[j]);
  }
}

}  // namespace smelt
