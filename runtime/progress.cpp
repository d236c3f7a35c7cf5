// The log of a run has every evaluation with all its digits, so nothing of this is in a checkpoint.
#include "runtime/progress.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "runtime/files/file.h"

namespace smelt {

void Progress::add(std::string_view split, std::string_view metric, double value) {
  if (rule_.evaluations == 0 || split != rule_.split || metric != rule_.metric) return;
  const bool better = !std::isnan(value) && (!best_ || (rule_.is_max ? value > *best_ : value < *best_));
  since_best_ = better ? 0 : since_best_ + 1;
  if (better) best_ = value;
}

Result<void> Progress::take_up(const std::string& metrics_path) {
  if (rule_.evaluations == 0) return {};
  SMELT_TRY(const Buffer file, read_file(metrics_path, {}));
  std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find("\"eval\"") == std::string_view::npos) continue;
    const auto object = nlohmann::json::parse(line, nullptr, false);
    if (!object.is_object() || !object.contains("metrics") || !object["metrics"].contains(rule_.metric)) continue;
    const auto& value = object["metrics"][rule_.metric];
    add(object.value("eval", ""), rule_.metric, value.is_number() ? value.get<double>() : std::nan(""));
  }
  return {};
}

}  // namespace smelt
