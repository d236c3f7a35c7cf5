#include "compiler/functions_alone.h"

#include <algorithm>
#include <utility>

namespace smelt {

Experiment functions_alone(const Experiment& whole, const std::vector<int32_t>& kept) {
  Experiment alone = whole;
  alone.functions.clear();
  alone.objectives.clear();
  alone.data.reset();
  alone.train.present = false;
  alone.train.loop.clear();
  alone.train.every.clear();
  alone.train.stop_function = -1;
  const auto keep = [&](int32_t index) {
    Function function = whole.functions[static_cast<size_t>(index)];
    // Draws of an export's inputs name it by its number, a step the function that begins it.
    const bool has_other = function.kind == FunctionKind::Sample || function.kind == FunctionKind::Export;
    if (const auto of = std::ranges::find(kept, function.ref); has_other && of != kept.end())
      function.ref = static_cast<int32_t>(of - kept.begin());
    alone.functions.push_back(std::move(function));
  };
  std::ranges::for_each(kept, keep);
  for (size_t f = 0; f < whole.functions.size(); ++f)
    if (whole.functions[f].kind == FunctionKind::Init) keep(static_cast<int32_t>(f));
  return alone;
}

}  // namespace smelt
