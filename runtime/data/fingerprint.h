// A hash of content, to find that it changed. It does not withstand an author who wants no change found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ir/support/limits.h"
#include "ir/support/result.h"

namespace smelt {

class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes);
  /// 16 hexadecimal digits of what was added, and of `last`.
  std::string text(uint64_t last) const;

 private:
  // Four lanes, so that the multiplications overlap: some GB/s, against which a cryptographic hash would be seen at
  // start-up.
  uint64_t lanes_[4] = {1, 2, 3, 4};
};

/// Of a file as it is stored or unpacked, as read_file gives it. Errors: as read_file.
Result<std::string> fingerprint_of_file(const std::string& path, const Limits& limits);

}  // namespace smelt
