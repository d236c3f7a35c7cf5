// The log of a run has every evaluation and loss with all its digits, so nothing of this is in a checkpoint.
#include "runtime/progress.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "runtime/files/file.h"

namespace smelt {
namespace {

/// Hands over the lines that are objects and have `part` in their text; only those are read as JSON.
template <typename Take>
Result<void> for_each_line(const std::string& metrics_path, std::string_view part, Take take) {
  SMELT_TRY(const Buffer file, read_file(metrics_path, {}));
  std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find(part) == std::string_view::npos) continue;
    const auto object = nlohmann::json::parse(line, nullptr, false);
    if (object.is_object()) take(object);
  }
  return {};
}

/// Hands over the values of a metric that a run has logged, with step and split.
template <typename Take>
Result<void> for_each_value(const std::string& metrics_path, const std::string& metric, Take take) {
  return for_each_line(metrics_path, "\"eval\"", [&](const nlohmann::json& line) {
    if (!line.contains("metrics") || !line["metrics"].contains(metric)) return;
    const auto& value = line["metrics"][metric];
    take(line.value("step", int64_t{0}), line.value("eval", std::string()),
         value.is_number() ? value.template get<double>() : std::nan(""));
  });
}

}  // namespace

void Progress::add(std::string_view split, std::string_view metric, double value) {
  if (rule_.evaluations == 0 || split != rule_.split || metric != rule_.metric) return;
  const bool better = std::isfinite(value) && (!best_ || (rule_.is_max ? value > *best_ : value < *best_));
  since_best_ = better ? 0 : since_best_ + 1;
  if (better) best_ = value;
}

Result<void> Progress::take_up(const std::string& metrics_path) {
  if (rule_.evaluations == 0) return {};
  return for_each_value(metrics_path, rule_.metric,
                        [&](int64_t, const std::string& split, double value) { add(split, rule_.metric, value); });
}

bool Slowing::add(int64_t step, std::string_view split, std::string_view metric, double value) {
  progress_.add(split, metric, value);
  if (!progress_.has_ended()) return false;
  progress_.wait_again();
  falls_.push_back(step);
  return true;
}

Result<void> Slowing::take_up(const std::string& metrics_path) {
  const std::string& metric = rule_.patience.metric;
  return for_each_value(metrics_path, metric, [&](int64_t step, const std::string& split, double value) {
    (void)add(step, split, metric, value);
  });
}

double Slowing::factor(int64_t step) const {
  const auto before = std::ranges::count_if(falls_, [&](int64_t fall) { return fall <= step; });
  return std::pow(rule_.factor, static_cast<double>(before));
}

Result<std::map<std::string, double>> logged_metrics(const std::string& metrics_path) {
  std::map<std::string, double> metrics;
  SMELT_TRY_VOID(for_each_line(metrics_path, "\"eval\"", [&](const nlohmann::json& line) {
    const auto logged = line.find("metrics");
    if (logged == line.end() || !logged->is_object()) return;
    for (const auto& [name, value] : logged->items())
      metrics[name] = value.is_number() ? value.get<double>() : std::nan("");
  }));
  return metrics;
}

Result<std::map<std::string, double>> logged_losses(const std::string& metrics_path, int64_t step) {
  std::map<std::string, double> losses;
  const std::string start = "{\"step\":" + std::to_string(step) + ",\"objective\"";
  SMELT_TRY_VOID(for_each_line(metrics_path, start, [&](const nlohmann::json& line) {
    const auto loss = line.find("loss");
    if (loss != line.end() && loss->is_number()) losses[line.value("objective", "")] = loss->get<double>();
  }));
  return losses;
}

}  // namespace smelt
