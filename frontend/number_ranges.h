// Numbers that have to lie in a range: options of step lines, and arguments of library functions and of distributions.
#pragma once

#include <cmath>
#include <string_view>

namespace smelt::frontend {

struct NumberRange {
  std::string_view of;    // the function or distribution; kAnySchedule, kAnyLibrary, kStepLine
  std::string_view name;  // of the option or parameter
  double low, high;
  bool low_open, high_open;
  std::string_view text;  // as a message says it
  std::string_view help = {};
  bool whole = false;  // and the number has no fraction

  bool holds(double value) const {
    return (!whole || value == std::floor(value)) && (low_open ? value > low : value >= low) &&
           (high_open ? value < high : value <= high);
  }
};

inline constexpr std::string_view kAnySchedule = "schedule", kAnyLibrary = "library", kStepLine = "step";

/// The range that `value` is outside of; null when there is none. It is asked for numbers that are known while
/// compiling.
const NumberRange* broken_range(std::string_view of, std::string_view name, double value);

}  // namespace smelt::frontend
