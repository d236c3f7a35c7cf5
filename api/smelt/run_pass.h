// One pass of the compiler on the text of its input: `smelt debug pass` and tests/files/passes.
#pragma once

#include <string>
#include <string_view>

#include "ir/support/result.h"

namespace smelt {

struct PassFlags {
  std::string cpu = "native";
  std::string precision;      // for lower_precision and build_loops; empty: f32
  int64_t memory_budget = 0;  // for fit_budget
  bool unfused = false;       // for choose_stored
  bool bf16_pairs = false;    // for pair_products: as if the machine had the instruction, which no named level has
};

/// The text that the pass leaves. Errors (Usage): no such pass, machine or precision; (Model): a text that is not one
/// of the stage that the pass takes, with its line.
Result<std::string> run_pass(std::string_view name, std::string_view text, const PassFlags& flags);

}  // namespace smelt
