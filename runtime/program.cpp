#include "runtime/program.h"

#include <fmt/format.h>

#include <limits>

namespace smelt {
namespace {

bool is_batch(size_t symbol, const TrainPlan& train) {
  return train.present && static_cast<int32_t>(symbol) == train.batch_symbol;
}

}  // namespace

std::optional<LooseBounds> loose_bounds(const std::vector<DimSymbol>& symbols, const TrainPlan& train) {
  constexpr int64_t kLarge = 1 << 16;
  std::string bounds, batch;
  for (size_t s = 0; s < symbols.size(); ++s) {
    const DimSymbol& symbol = symbols[s];
    const bool rows = symbol.bound == std::numeric_limits<int32_t>::max();  // of whole columns, which the host holds
    const bool loose = is_batch(s, train) && symbol.bound > train.batch;
    if ((symbol.bound <= kLarge && !loose) || rows || symbol.follows()) continue;
    bounds += fmt::format("{}`{} <= {}`", bounds.empty() ? "" : ", ", symbol.name, symbol.bound);
    if (loose) batch = symbol.name;
  }
  if (bounds.empty()) return std::nullopt;
  LooseBounds loose{.text = "memory is planned for the bounds, " + bounds, .help = "give the dim a bound that fits"};
  if (!batch.empty()) {
    loose.text += fmt::format(", not for the batch of {}", train.batch);
    loose.help = fmt::format("write `dim {} <= {}`", batch, train.batch);
  }
  return loose;
}

const Entry* CompiledProgram::find(FunctionKind kind, std::string_view wanted) const {
  for (const Entry& entry : entries) {
    if (entry.kind == kind && entry.name == wanted) return &entry;
  }
  return nullptr;
}

}  // namespace smelt
