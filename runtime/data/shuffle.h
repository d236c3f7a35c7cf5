// The order of rows in an epoch.
//
// Fisher-Yates from the last place down. For i = n-1 .. 1: j = (w(i) * (i + 1)) >> 32, swap rows[i] and
// rows[j]. w(i) is 32 bits of Philox4x32-10: key = seed, counter = (i / 4, 0, epoch, fnv1a("shuffle")), word
// i % 4. Multiply-shift (Lemire 2019, without rejection) is off from uniform by less than (i + 1) / 2^32 a
// draw, which is 1.4e-5 for 60,000 rows; without rejection every place has its own word, whatever the others
// drew. Epochs count from 0. Headers of built models hold a C copy of this: the order is part of the format.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ir/plan.h"

namespace smelt {

/// A permutation of 0 .. rows.size()-1. At most 2^31-1 rows. Data section k > 0 of a run has the site
/// fnv1a("shuffle") + k.
void shuffle_rows(uint64_t seed, uint32_t epoch, std::span<int32_t> rows, uint32_t section = 0);
/// The same of the full batches of an epoch with buckets: the site is fnv1a("buckets") + section.
void shuffle_batches(uint64_t seed, uint32_t epoch, std::span<int32_t> batches, uint32_t section);

/// Where `share` of `count` rows begins and ends. Shares that meet have no row in common and leave none out.
std::pair<int64_t, int64_t> stretch_of_share(int64_t count, const Share& share);

/// The rows of `count` that belong to `share`, ascending: a stretch of a permutation by `seed`, drawn as above with
/// another site. Shares that meet have no row in common and leave none out.
std::vector<int32_t> rows_of_share(int64_t count, const Share& share, uint64_t seed);

}  // namespace smelt
