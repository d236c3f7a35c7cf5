// A failing graph as a file: its text, and in comments above it the arguments' values and how it was run.
//
//   // smelt fuzz case: seed 17, check full
//   // setup: cpu x86-64-v3, dtype f32, threads 2, reversed 0, serial 0, placement end
//   // extents: 5
//   // argument: 0x1p+0 -0x1.8p-1 ..
//   func @random_17(..) { .. }
#pragma once

#include <string>

#include "fuzz/differential.h"
#include "ir/support/result.h"

namespace smelt::fuzz {

std::string print_case(const Case& tested, const std::string& check, const std::string& what);
/// Errors (Output): the file cannot be written.
Result<void> write_case(const std::string& path, const Case& tested, const std::string& check, const std::string& what);

struct ReadCase {
  uint64_t seed = 0;
  std::string check;
  Setup setup;
  RandomGraph random;
};
/// Errors (Input): the file cannot be read or its text is not one of `print_case`; the line is named.
Result<ReadCase> read_case(const std::string& path);

}  // namespace smelt::fuzz
