// The hash of splits in checkpoints, and of what a run began with in its record.
#include "runtime/data/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/files/file.h"

namespace smelt {

constexpr uint64_t kPrime = 0x9E3779B97F4A7C15;

void Fingerprint::add(std::span<const std::byte> bytes) {
  for (size_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
    uint64_t& lane = lanes_[at / 8 % 4];
    lane = std::rotl((lane ^ word) * kPrime, 29);
  }
  lanes_[0] = (lanes_[0] ^ bytes.size()) * kPrime;
}

std::string Fingerprint::text(uint64_t last) const {
  uint64_t all = last;
  for (const uint64_t lane : lanes_) all = std::rotl((all ^ lane) * kPrime, 31);
  return fmt::format("{:016x}", all);
}

Result<std::string> fingerprint_of_file(const std::string& path, const Limits& limits) {
  SMELT_TRY(const Buffer file, read_file(path, limits));
  Fingerprint fingerprint;
  fingerprint.add(file.bytes());
  return fingerprint.text(0);
}

}  // namespace smelt
