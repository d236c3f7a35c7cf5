#include "runtime/program.h"

#include <fmt/format.h>

#include <limits>

namespace smelt {
namespace {

// Bounds that a memory plan is large for: by themselves, or beside the batch.
std::string large_bounds(const std::vector<DimSymbol>& symbols, const TrainPlan& train) {
  constexpr int64_t kLarge = 1 << 16;
  std::string out;
  for (size_t s = 0; s < symbols.size(); ++s) {
    const DimSymbol& symbol = symbols[s];
    const bool rows = symbol.bound == std::numeric_limits<int32_t>::max();  // of whole columns, which the host holds
    const bool loose = train.present && static_cast<int32_t>(s) == train.batch_symbol && symbol.bound > train.batch;
    if ((symbol.bound > kLarge || loose) && !rows)
      out += fmt::format("{}`{} <= {}`", out.empty() ? "" : ", ", symbol.name, symbol.bound);
  }
  return out;
}

}  // namespace

std::optional<LooseBounds> loose_bounds(const std::vector<DimSymbol>& symbols, const TrainPlan& train) {
  const std::string bounds = large_bounds(symbols, train);
  if (bounds.empty()) return std::nullopt;
  LooseBounds loose{.text = "memory is planned for the bounds, " + bounds, .help = "give the dim a bound that fits"};
  if (train.present && train.batch_symbol >= 0) {
    loose.text += fmt::format(", not for the batch of {}", train.batch);
    loose.help =
        fmt::format("write `dim {} <= {}`", symbols[static_cast<size_t>(train.batch_symbol)].name, train.batch);
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
