// A program of libFuzzer: SMELT_FUZZ_TARGET is one of targets.h.
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz_targets/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  smelt::fuzz_targets::SMELT_FUZZ_TARGET(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
