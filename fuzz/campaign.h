// A run of many seeds: cases in batches, every check on them, totals that add up over several runs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fuzz/differential.h"
#include "ir/support/result.h"

namespace smelt::fuzz {

struct Totals {
  uint64_t seed = 1;                        // of the first graph; graph k has seed + k
  int64_t graphs = 0;                       // done
  int64_t nodes = 0;                        // before any pass
  int64_t gradients = 0, second_order = 0;  // graphs with
  int64_t mistrusted = 0;
  int64_t thrown_away = 0;              // graphs without any telling result, which were drawn again
  int64_t dropped_results = 0;          // results that say little and were left out
  int64_t pass_orders = 0, passes = 0;  // orders, and the passes in them
  int64_t rewritten = 0, rewrites = 0;  // graphs, and their twins
  int64_t derivatives = 0, fusion_pairs = 0;
  int64_t halves = 0, free_halves = 0;  // graphs with f16 or bf16, and those that may round them anywhere (halves.h)
  int64_t budgets = 0, computed_again = 0;  // plans that a budget makes compute something again, and such values
  int64_t windows = 0, loops = 0;  // graphs where an axis is read beside each place, as in a convolution; with loops
  double cpu_seconds = 0;
  std::map<std::string, int64_t> ops;  // how many graphs have it
  std::vector<Failure> failures;
};

struct CampaignOptions {
  int64_t count = 2000;       // graphs in all, those of earlier runs included
  std::string directory;      // where failing graphs are written
  int64_t max_failures = 20;  // stops after as many
  Subject subject = Subject::Any;
};

/// Runs graphs until `totals.graphs` is `count`; `progress` is called after each batch and may keep the totals.
void run_campaign(Totals& totals, const CampaignOptions& options, const std::function<void(const Totals&)>& progress);

std::string to_json(const Totals& totals);
/// Errors (Input): not a text that `to_json` wrote.
Result<Totals> totals_from_json(const std::string& text);

}  // namespace smelt::fuzz
