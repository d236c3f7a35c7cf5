// profile: where an iteration's time goes, kernel by kernel, beside what the machine could do.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/machine_level.h"
#include "cli/synthetic_run.h"
#include "ir/support/printable.h"
#include "runtime/files/output_file.h"
#include "runtime/measure_peak.h"

namespace smelt::cli {
namespace {

struct ProfileFlags {
  ModelFlags model;
  int64_t steps = 50, warmup = 10, top = 20;
  std::string exported;
  bool by_line = false;
  std::string trace;
};

/// One kernel of one call of the iteration.
struct KernelTimes {
  const LoopFunction* function = nullptr;
  std::string_view objective;
  const Kernel* kernel = nullptr;
  std::string name = {};
  std::vector<double> cycles = {};  // by step

  double median() const {
    std::vector<double> sorted = cycles;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
};

/// A line of the report: one kernel, or all kernels of a source line.
struct KernelRow {
  std::string name, place;
  double ms = 0, flops = 0, bytes = 0, floor_ms = 0;
};

struct Ceiling {
  double gflops = 0, gbps = 0;
  double floor_ms(const Kernel& kernel) const { return std::max(kernel.flops / gflops, kernel.bytes / gbps) * 1e-6; }
};

struct Measured {
  std::vector<KernelTimes> kernels;
  std::vector<std::pair<double, std::vector<double>>> stamps;  // of the last step: first stamp, cycles of each kernel
  double ms_per_cycle = 0;
  double step_ms = 0;
};

Result<Measured> measure(const ProfileFlags& flags, Session& session, const LoopProgram& loops) {
  SyntheticRun run;
  SMELT_TRY_VOID(run.prepare(session, flags.exported));
  Measured measured;
  std::vector<const LoopFunction*> functions;
  for (const CallFrame& frame : run.frames) {
    const auto function = std::ranges::find(loops.functions, frame.entry().symbol, &LoopFunction::name);
    functions.push_back(&*function);
    for (size_t k = 0; k < function->kernels.size(); ++k) {
      measured.kernels.push_back({.function = &*function,
                                  .objective = frame.entry().name,
                                  .kernel = &function->kernels[k],
                                  .name = name_of(*function, k)});
    }
  }
  const char* arena = reinterpret_cast<const char*>(&session.header());
  uint64_t first_stamp = 0, last_stamp = 0;
  std::chrono::steady_clock::time_point start;
  for (int64_t step = 0; step < flags.warmup + flags.steps; ++step) {
    if (step == flags.warmup) start = std::chrono::steady_clock::now();
    measured.stamps.clear();
    auto times = measured.kernels.begin();
    for (size_t call = 0; call < run.frames.size(); ++call) {
      SMELT_TRY_VOID(check_status(session.call(run.frames[call]), run.frames[call].entry()));
      const size_t count = functions[call]->kernels.size();
      std::vector<uint64_t> stamps(count + 2);  // see LoopFunction::stamps_offset
      std::memcpy(stamps.data(), arena + functions[call]->stamps_offset, stamps.size() * sizeof(uint64_t));
      if (step == flags.warmup && call == 0) first_stamp = stamps[count];
      last_stamp = stamps.back();
      auto& [begin, cycles] =
          measured.stamps.emplace_back(static_cast<double>(stamps[count] - first_stamp), std::vector<double>{});
      for (size_t k = 0; k < count; ++k, ++times) {
        cycles.push_back(static_cast<double>(stamps[k]));
        if (step >= flags.warmup) times->cycles.push_back(cycles.back());
      }
    }
  }
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  measured.ms_per_cycle = ms / static_cast<double>(last_stamp - first_stamp);
  measured.step_ms = ms / static_cast<double>(flags.steps);
  return measured;
}

/// The objective is what tells functions of one iteration apart.
std::string short_name(const KernelTimes& times) { return fmt::format("{}.{}", times.objective, times.name); }

std::vector<KernelRow> rows_of(const Measured& measured, const SourceMap& sources, const Ceiling& ceiling,
                               bool by_line) {
  std::vector<KernelRow> rows;
  std::map<std::string, size_t> line_rows;
  for (const KernelTimes& times : measured.kernels) {
    const Span span = times.kernel->span;
    KernelRow row{short_name(times),   sources.describe(span), times.median() * measured.ms_per_cycle,
                  times.kernel->flops, times.kernel->bytes,    ceiling.floor_ms(*times.kernel)};
    if (!by_line) {
      rows.push_back(std::move(row));
      continue;
    }
    std::string line =
        span.empty() ? "(no line)"
                     : fmt::format("{}:{}", sources.buffer(span.file).name, sources.locate(span.file, span.begin).line);
    const auto [known, fresh] = line_rows.try_emplace(line, rows.size());
    if (fresh)
      rows.push_back({.name = std::move(line),
                      .place = span.empty() ? ""
                                            : std::string(sources.line_text(
                                                  span.file, sources.locate(span.file, span.begin).line))});
    KernelRow& sum = rows[known->second];
    sum.ms += row.ms;
    sum.flops += row.flops;
    sum.bytes += row.bytes;
    sum.floor_ms += row.floor_ms;
  }
  std::ranges::sort(rows, {}, [](const KernelRow& row) { return std::pair(-row.ms, row.name); });
  return rows;
}

void print_table(const ProfileFlags& flags, const Measured& measured, const std::vector<KernelRow>& rows,
                 const Ceiling& ceiling, const std::string& head) {
  double total = 0, floor = 0;
  for (const KernelRow& row : rows) total += row.ms, floor += row.floor_ms;
  fmt::print(
      "{}\n{:.3f} ms a step ({:.3f} in kernels); floor {:.3f} ms at {:.0f} GFLOP/s and {:.0f} GB/s; {:.0f}% of the "
      "roofline\n\n",
      head, measured.step_ms, total, floor, ceiling.gflops, ceiling.gbps, 100 * floor / total);
  fmt::print("{:>9} {:>6} {:>9} {:>8} {:>9}  {:32} {}\n", "ms", "share", "GFLOP/s", "GB/s", "roofline",
             flags.by_line ? "line" : "kernel", flags.by_line ? "text" : "line");
  int64_t shown = 0;
  for (const KernelRow& row : rows) {
    if (shown++ == flags.top) break;
    fmt::print("{:9.4f} {:5.1f}% {:9.1f} {:8.1f} {:8.0f}%  {:32} {}\n", row.ms, 100 * row.ms / total,
               row.flops / row.ms * 1e-6, row.bytes / row.ms * 1e-6, 100 * row.floor_ms / row.ms, row.name, row.place);
  }
  if (static_cast<int64_t>(rows.size()) > flags.top)
    fmt::print("{:9} {} more; --top N shows them\n", "", static_cast<int64_t>(rows.size()) - flags.top);
}

nlohmann::json to_json(const std::vector<KernelRow>& rows, const Measured& measured, const Ceiling& ceiling) {
  nlohmann::json list = nlohmann::json::array();
  for (const KernelRow& row : rows) {
    list.push_back({{"name", row.name},
                    {"place", row.place},
                    {"ms", row.ms},
                    {"flops", row.flops},
                    {"bytes", row.bytes},
                    {"floor_ms", row.floor_ms}});
  }
  return {{"step_ms", measured.step_ms}, {"peak_gflops", ceiling.gflops}, {"read_gbps", ceiling.gbps}, {"rows", list}};
}

/// The last step in the trace format of Chrome: one track of functions, one of their kernels.
Result<void> write_trace(const std::string& path, const Measured& measured, const SourceMap& sources) {
  nlohmann::json events = nlohmann::json::array();
  const double us = measured.ms_per_cycle * 1e3;
  auto times = measured.kernels.begin();
  for (const auto& [begin, cycles] : measured.stamps) {
    double at = begin;
    const std::string function = times->function->name;
    for (const double duration : cycles) {
      const Kernel& kernel = *times->kernel;
      events.push_back(
          {{"name", times->name},
           {"ph", "X"},
           {"pid", 1},
           {"tid", 2},
           {"ts", at * us},
           {"dur", duration * us},
           {"args", {{"line", sources.describe(kernel.span)}, {"flops", kernel.flops}, {"bytes", kernel.bytes}}}});
      at += duration;
      ++times;
    }
    events.push_back(
        {{"name", function}, {"ph", "X"}, {"pid", 1}, {"tid", 1}, {"ts", begin * us}, {"dur", (at - begin) * us}});
  }
  return write_output(path, dump_json({{"traceEvents", events}}) + "\n");
}

int run_profile(const ProfileFlags& flags) {
  int code = kOk;
  std::optional<OpenedModel> model =
      open_model(flags.model, code, {.profile = true, .to_train = flags.exported.empty() ? "to profile" : nullptr});
  if (!model) return code;
  const Result<LoweredExperiment> lowered = lower(model->checked, model->options);
  if (!lowered) return report(lowered.error());
  const Result<RunningModel> running =
      start_model(std::move(model->checked), model->options, flags.model.threads, flags.warmup + flags.steps);
  if (!running) return report(running.error());
  const Result<Measured> measured = measure(flags, *running->session, lowered->loops);
  if (!measured) return report(measured.error());
  const int threads = running->pool ? running->pool->count() : 1;
  const CompiledProgram& program = running->compiled->program;
  const int64_t bytes = vector_bytes(flags.model.cpu);
  const Ceiling ceiling{measure_peak_gflops(threads, bytes), measure_read_gbps(program.arena_bytes, threads, bytes)};
  const SourceMap& sources = *running->checked.sources;
  const std::vector<KernelRow> rows = rows_of(*measured, sources, ceiling, flags.by_line);
  if (flags.model.json) {
    fmt::print("{}\n", dump_json(to_json(rows, *measured, ceiling)));
  } else {
    print_table(flags, *measured, rows, ceiling,
                fmt::format("{}: {} thread(s), {}, arena {:.1f} MB", printable(program.name), threads, program.cpu,
                            static_cast<double>(program.arena_bytes) * 1e-6));
  }
  if (!flags.trace.empty()) {
    if (const Result<void> written = write_trace(flags.trace, *measured, sources); !written)
      return report(written.error());
  }
  return kOk;
}

}  // namespace

Runner add_profile(Options options) {
  auto flags = std::make_shared<ProfileFlags>();
  add_model_flags(options, flags->model, kRunning | kJson);
  options.add("--export", flags->exported, "an export to look at, instead of an iteration");
  options.add("--steps", flags->steps, "iterations to time").between(1, uint64_t{1} << 30);
  options.add("--warmup", flags->warmup, "iterations before that").between(0, uint64_t{1} << 30);
  options.add("--top", flags->top, "rows to print").between(1, uint64_t{1} << 30);
  options.flag("--by-line", flags->by_line, "add up the kernels of a source line");
  options.add("--trace", flags->trace, "write the last step for chrome://tracing");
  return [flags] { return run_profile(*flags); };
}

}  // namespace smelt::cli
