// How large what is read or built may be. The table is limits.def; everything that refuses more takes a `Limits`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ir/support/result.h"

namespace smelt {

/// A value: who reads something passes it on. `{.nodes = 200'000}` has the defaults of all others.
struct Limits {
#define LIMIT(name, unit, value, least, most, what) uint64_t name = value;
#include "ir/support/limits.def"
#undef LIMIT
};

using Limit = uint64_t Limits::*;

enum class LimitUnit : uint8_t { Count, Bytes, Time };

/// One line of limits.def.
struct LimitInfo {
  std::string_view name;
  Limit limit;
  LimitUnit unit = LimitUnit::Count;
  uint64_t value = 0, least = 0, most = 0;  // `value`: the default
  std::string_view what;

  /// `256`, `16MiB`, `600s`: as a flag takes it.
  std::string text(uint64_t number) const;
};

std::span<const LimitInfo> all_limits();

/// Each as high as it goes.
Limits largest_limits();

/// `24MB`, `1.5GiB`, `800 KB`, `4096`: bytes; KB is 1000 of them, KiB 1024. Nothing for anything else, and above 2^50.
std::optional<uint64_t> parse_bytes(std::string_view text);

/// `nodes=200000`, `csv_line=32MB`, `compile=0.5s`. Errors (Usage): no such limit, or a value outside of its range.
Result<void> set_limit(Limits& limits, std::string_view assignment);

/// What to write so that `needed` is allowed: `--limit csv_line=17MiB allows it`. Where nobody knows what is needed,
/// see double_limit. Says so when no value is enough.
std::string raise_limit(Limit limit, uint64_t needed);
/// The same for twice of what is allowed, or the most that may be.
std::string double_limit(Limit limit, const Limits& limits);

}  // namespace smelt
