#include "ir/support/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ranges>
#include <vector>

#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {
namespace {

constexpr LimitInfo kLimits[] = {
#define LIMIT(name, unit, value, least, most, what) {#name, &Limits::name, LimitUnit::unit, value, least, most, what},
#include "ir/support/limits.def"
#undef LIMIT
};

struct LimitSuffix {
  std::string_view name;
  double factor;
};
constexpr std::array kByteUnits = {LimitSuffix{"", 1},         LimitSuffix{"B", 1},        LimitSuffix{"KB", 1e3},
                                   LimitSuffix{"MB", 1e6},     LimitSuffix{"GB", 1e9},     LimitSuffix{"TB", 1e12},
                                   LimitSuffix{"KiB", 0x1p10}, LimitSuffix{"MiB", 0x1p20}, LimitSuffix{"GiB", 0x1p30},
                                   LimitSuffix{"TiB", 0x1p40}};
constexpr std::array kTimeUnits = {LimitSuffix{"", 1e3}, LimitSuffix{"s", 1e3}, LimitSuffix{"ms", 1}};
constexpr std::array kNoUnits = {LimitSuffix{"", 1}};

std::span<const LimitSuffix> units_of(LimitUnit unit) {
  switch (unit) {
    case LimitUnit::Count: return kNoUnits;
    case LimitUnit::Bytes: return kByteUnits;
    case LimitUnit::Time: return kTimeUnits;
  }
  return kNoUnits;
}

/// A number and one of `units`, rounded down.
std::optional<uint64_t> parse_number(std::string_view text, std::span<const LimitSuffix> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto known = std::ranges::find(units, unit, &LimitSuffix::name);
  if (error != std::errc() || known == units.end()) return std::nullopt;
  const double value = std::floor(number * known->factor);
  return value >= 0 && value <= 0x1p50 ? std::optional(static_cast<uint64_t>(value)) : std::nullopt;
}

const LimitInfo& info_of(Limit limit) { return *std::ranges::find(kLimits, limit, &LimitInfo::limit); }

/// Up to what `text` writes in a few digits.
uint64_t rounded_up(uint64_t needed, LimitUnit unit) {
  if (unit != LimitUnit::Bytes) return needed;
  uint64_t step = 1;
  for (const int shift : {10, 20, 30})
    if (needed > uint64_t{1} << shift) step = uint64_t{1} << shift;
  return (needed + step - 1) / step * step;
}

}  // namespace

std::string LimitInfo::text(uint64_t number) const {
  if (unit == LimitUnit::Time)
    return number % 1000 == 0 ? fmt::format("{}s", number / 1000) : fmt::format("{}ms", number);
  std::string_view suffix;
  for (const LimitSuffix& bytes : kByteUnits | std::views::reverse) {
    const auto factor = static_cast<uint64_t>(bytes.factor);
    const bool is_binary = factor % 1024 == 0 && bytes.name.ends_with("iB");
    if (unit != LimitUnit::Bytes || !is_binary || number % factor != 0 || number == 0) continue;
    return fmt::format("{}{}", number / factor, bytes.name);
  }
  return fmt::format("{}", number);
}

std::span<const LimitInfo> all_limits() { return kLimits; }

Limits largest_limits() {
  Limits limits;
  for (const LimitInfo& info : kLimits) limits.*info.limit = info.most;
  return limits;
}

std::optional<uint64_t> parse_bytes(std::string_view text) { return parse_number(text, kByteUnits); }

Result<void> set_limit(Limits& limits, std::string_view assignment) {
  const size_t at = assignment.find('=');
  const std::string_view name = assignment.substr(0, at);
  std::vector<std::string_view> names;
  for (const LimitInfo& info : kLimits) names.push_back(info.name);
  const auto* const info = std::ranges::find(kLimits, name, &LimitInfo::name);
  if (info == std::end(kLimits)) {
    const std::string nearest = did_you_mean(name, names);
    return fail(ErrorKind::Usage, fmt::format("--limit `{}`: there is no such limit", printable(name, 40)),
                fmt::format("{}{}there are {}", nearest, nearest.empty() ? "" : " ", fmt::join(names, ", ")));
  }
  const std::string_view text = at == std::string_view::npos ? "" : assignment.substr(at + 1);
  const std::optional<uint64_t> number = parse_number(text, units_of(info->unit));
  if (!number || *number < info->least || *number > info->most) {
    return fail(ErrorKind::Usage,
                fmt::format("--limit `{}`: `{}` is from {} to {}", printable(assignment, 60), name,
                            info->text(info->least), info->text(info->most)),
                fmt::format("it bounds {}; without the flag it is {}", info->what, info->text(info->value)));
  }
  limits.*info->limit = *number;
  return {};
}

std::string raise_limit(Limit limit, uint64_t needed) {
  const LimitInfo& info = info_of(limit);
  if (needed > info.most) return fmt::format("`{}` may be {} at most", info.name, info.text(info.most));
  const uint64_t value = std::min(rounded_up(needed, info.unit), info.most);
  return fmt::format("--limit {}={} allows it", info.name, info.text(value));
}

std::string double_limit(Limit limit, const Limits& limits) {
  const LimitInfo& info = info_of(limit);
  const uint64_t now = limits.*limit;
  if (now >= info.most) return fmt::format("`{}` may be {} at most", info.name, info.text(info.most));
  return fmt::format("--limit {}={} allows more", info.name, info.text(std::min(2 * now, info.most)));
}

}  // namespace smelt
