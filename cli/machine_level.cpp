#include "cli/machine_level.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "compiler/codegen/make_target.h"
#include "ir/support/printable.h"

namespace smelt::cli {
namespace {

constexpr std::array kLevels = {"x86-64-v2", "x86-64-v3", "x86-64-v4"};
constexpr std::string_view kPairs = "+bf16";

}  // namespace

std::string machine_level(DType precision) {
  const Result<Target> host = make_target("native");
  if (!host) return {};
  for (const char* level : kLevels) {
    const Result<Target> named = make_target(level);
    if (!named || named->vector_bytes != host->vector_bytes) continue;
    const bool pairs = host->has_bf16_pairs && precision == DType::BF16;
    return level + std::string(pairs ? kPairs : "");
  }
  return {};
}

int64_t vector_bytes(const std::string& cpu) {
  const Result<Target> target = make_target(cpu.empty() ? "native" : cpu);
  return target ? target->vector_bytes : 16;
}

Result<std::string> cpu_of_level(std::string level, DType precision) {
  // A run in bf16 that goes on in another precision is refused for that, on every machine.
  if (precision != DType::BF16 && level.ends_with(kPairs)) level.resize(level.size() - kPairs.size());
  if (level == machine_level(precision)) return "native";
  if (std::ranges::find(kLevels, level) != kLevels.end()) {
    const Result<Target> named = make_target(level);
    if (named && runs_here(*named)) return level;
  }
  return fail(
      ErrorKind::Usage,
      fmt::format("the run was computed with {}, which this machine does not have: it would go on with other bits",
                  printable(level, 40)),
      "go on where it was begun, or start a new run from its weights with `--init`");
}

}  // namespace smelt::cli
