// debug scalars: how far the compiled elementary functions are from correctly rounded ones.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/commands/debug.h"
#include "fuzz/scalar_errors.h"
#include "ir/support/suggest.h"

namespace smelt::cli {
namespace {

struct ScalarsFlags {
  uint64_t stride = 257;
  std::string function, dtype, cpu = "native";
  int threads = 0;
  bool json = false;
};

std::string where(const fuzz::ScalarFunction& function, const fuzz::ScalarErrors& errors) {
  return function.binary ? fmt::format("{:a}, {:a}", errors.worst_a, errors.worst_b)
                         : fmt::format("{:a}", errors.worst_a);
}

void print_row(const fuzz::ScalarFunction& function, DType dtype, double bound, const fuzz::ScalarErrors& errors) {
  fmt::print("{:<9} {:<4} {:>7.4f} {:>7.3g}  {:<28} {:<5} {:<6} {:>11} {:>7.1f}  {}\n", function.name(),
             to_string(dtype), errors.max_ulp, bound, where(function, errors),
             function.binary   ? "-"
             : errors.falls_at ? "no"
                               : "yes",
             errors.outside_at ? "no" : "yes", errors.count, errors.cycles,
             errors.within(function, bound) ? "ok" : "MISSED");
  std::fflush(stdout);
}

nlohmann::ordered_json to_json(const fuzz::ScalarFunction& function, DType dtype, double bound,
                               const fuzz::ScalarErrors& errors) {
  nlohmann::ordered_json row;
  row["function"] = function.name();
  row["dtype"] = to_string(dtype);
  row["max_ulp"] =
      std::isfinite(errors.max_ulp) ? nlohmann::ordered_json(errors.max_ulp) : nlohmann::ordered_json("inf");
  row["bound"] = bound;
  row["at"] = where(function, errors);
  row["monotone"] = !errors.falls_at;
  row["in_range"] = !errors.outside_at;
  row["count"] = errors.count;
  row["cycles_per_16"] = errors.cycles;
  row["ok"] = errors.within(function, bound);
  return row;
}

Result<bool> sweep(const ScalarsFlags& flags, DType dtype, nlohmann::ordered_json& rows) {
  SMELT_TRY(const fuzz::ScalarCode code, fuzz::ScalarCode::compile(dtype, flags.cpu));
  const int threads =
      flags.threads > 0 ? flags.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  bool good = true;
  for (const fuzz::ScalarFunction& function : fuzz::scalar_functions()) {
    if (!flags.function.empty() && flags.function != function.name()) continue;
    const fuzz::ScalarErrors errors =
        fuzz::measure(code, function, dtype, {.stride = flags.stride, .threads = threads, .time = true});
    const double bound = dtype == DType::F32 ? function.bound_f32 : function.bound_f64;
    good &= errors.within(function, bound);
    if (flags.json) {
      rows.push_back(to_json(function, dtype, bound, errors));
    } else {
      print_row(function, dtype, bound, errors);
    }
  }
  return good;
}

int run_scalars(const ScalarsFlags& flags) {
  std::vector<std::string_view> names;
  for (const fuzz::ScalarFunction& function : fuzz::scalar_functions()) names.push_back(function.name());
  if (!flags.function.empty() && std::ranges::find(names, flags.function) == names.end()) {
    return report_usage(fmt::format("no function `{}`", flags.function),
                        fmt::format("one of {}", fmt::join(names, ", ")));
  }
  if (!flags.json) {
    fmt::print("{:<9} {:<4} {:>7} {:>7}  {:<28} {:<5} {:<6} {:>11} {:>7}\n", "function", "type", "ulp", "bound", "at",
               "rises", "range", "arguments", "cycles");
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  bool good = true;
  for (const DType dtype : {DType::F32, DType::F64}) {
    if (!flags.dtype.empty() && flags.dtype != to_string(dtype)) continue;
    const Result<bool> swept = sweep(flags, dtype, rows);
    if (!swept) return report(swept.error());
    good &= *swept;
  }
  if (flags.json) fmt::print("{}\n", rows.dump(1));
  return good ? kOk : kInternal;
}

}  // namespace

DebugTool add_debug_scalars(Options options) {
  auto flags = std::make_shared<ScalarsFlags>();
  Options scalars = options.command(
      "scalars", "compiled exp, log, tanh, ..: errors against the exact values, and cycles for 16 elements");
  scalars.add("--stride", flags->stride, "every so many of the 2^32 f32 arguments (257); 1: all of them")
      .between(1, 1'000'000'000);
  scalars.add("--function", flags->function, "one function (all)");
  scalars.add("--dtype", flags->dtype, "f32 or f64 (both)").one_of({"f32", "f64"});
  scalars.add("--cpu", flags->cpu, "native, x86-64-v2, x86-64-v3 or x86-64-v4");
  scalars.add("--threads", flags->threads, "of the sweep (all cores)").between(1, 256);
  scalars.flag("--json", flags->json, "rows as JSON");
  return {scalars, [flags] { return run_scalars(*flags); }};
}

}  // namespace smelt::cli
