// Which objective updates and which reads which parameters: `smelt check --ownership`.
#pragma once

#include <string>
#include <vector>

#include "ir/experiment.h"

namespace smelt::cli {

/// What an objective does with a parameter: its step changes it; its loss depends on it through a gradient; its loss
/// computes with it, and no gradient goes there; neither.
enum class Use : uint8_t { Updates, Reads, Fixed, None };
std::string_view to_string(Use use);

/// A row for parameters of one net that all objectives treat alike: a net, else a layer, else a parameter.
struct OwnershipRow {
  std::string name;
  int64_t parameters = 0;
  std::vector<Use> uses;  // by objective
};
std::vector<OwnershipRow> ownership(const Experiment& experiment);

void print_ownership(const Experiment& experiment);

}  // namespace smelt::cli
