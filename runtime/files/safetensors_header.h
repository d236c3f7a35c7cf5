// The JSON of a safetensors file: its grammar, duplicate keys and limits; sizes are checked by its user.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct Limits;

struct HeaderTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<HeaderTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Numbers are plain non-negative integers up to 2^53. Errors: Input with the byte of the file `name` where
/// it went wrong and, when known, the tensor and field; Limit beyond `limits`.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, const std::string& name,
                                                   const Limits& limits);

}  // namespace smelt
