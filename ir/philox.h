// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): the one source of
// random bits. key = seed; counter = (element / 4, loop, run, site); element e takes word e % 4.
#pragma once

#include <array>
#include <cstdint>

namespace smelt {

struct PhiloxCounter {
  uint32_t block = 0;  // element / 4
  uint32_t loop = 0;   // flattened repeat and scan indices
  uint32_t run = 0;    // executions so far
  uint32_t site = 0;   // FNV-1a of the path
};

constexpr uint32_t kPhiloxM0 = 0xD2511F53u, kPhiloxM1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxW0 = 0x9E3779B9u, kPhiloxW1 = 0xBB67AE85u;
constexpr int kPhiloxRounds = 10;

constexpr std::array<uint32_t, 4> philox(uint64_t seed, PhiloxCounter counter) {
  uint32_t c0 = counter.block, c1 = counter.loop, c2 = counter.run, c3 = counter.site;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = uint64_t{kPhiloxM0} * c0, p1 = uint64_t{kPhiloxM1} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  return {c0, c1, c2, c3};
}

/// 32-bit FNV-1a, the site of a path.
constexpr uint32_t fnv1a(const char* text, uint64_t size) {
  uint32_t hash = 0x811C9DC5u;
  for (uint64_t i = 0; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x01000193u;
  return hash;
}

}  // namespace smelt
