// bench: how long an iteration takes on synthetic data, beside what the machine can do at most.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/machine_level.h"
#include "cli/progress.h"
#include "cli/synthetic_run.h"
#include "ir/support/printable.h"
#include "runtime/measure_peak.h"

namespace smelt::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchFlags {
  ModelFlags model;
  std::string exported;
  int64_t steps = 200, warmup = 20;
};

struct Timings {
  double median = 0, p10 = 0, p90 = 0;
};
Timings timings_of(std::vector<double> ms) {
  std::ranges::sort(ms);
  const auto at = [&](double share) { return ms[static_cast<size_t>(share * static_cast<double>(ms.size() - 1))]; };
  return {at(0.5), at(0.1), at(0.9)};
}

struct BenchRow {
  std::string name;
  Timings ms;
  double cpu_ms = 0;  // a step's processor time, all threads: what a busy machine leaves as it is
  double flops = 0;
};

double cpu_clock_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

/// Times `body` with the session's counters going on; a loss that is not finite ends it.
template <typename Body>
Result<void> time_steps(const BenchFlags& flags, BenchRow& row, const Body& body) {
  std::vector<double> ms;
  double cpu_start = cpu_clock_ms();
  for (int64_t step = 0; step < flags.warmup + flags.steps; ++step) {
    if (step == flags.warmup) cpu_start = cpu_clock_ms();
    const auto start = Clock::now();
    SMELT_TRY_VOID(body());
    if (step >= flags.warmup) ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  row.cpu_ms = (cpu_clock_ms() - cpu_start) / static_cast<double>(flags.steps);
  row.ms = timings_of(std::move(ms));
  return {};
}

Result<std::vector<BenchRow>> measure(const BenchFlags& flags, Session& session, double& first_step_ms) {
  const CompiledProgram& program = session.program();
  SyntheticRun run;
  SMELT_TRY_VOID(run.prepare(session, flags.exported));
  std::vector<BenchRow> rows;
  BenchRow iteration{.name = flags.exported.empty() ? "iteration" : flags.exported};
  for (const CallFrame& frame : run.frames) iteration.flops += frame.entry().flops;
  SMELT_TRY_VOID(time_steps(flags, iteration, [&]() -> Result<void> {
    const int32_t status = flags.exported.empty() ? session.call_iteration(run.calls) : session.call(run.frames[0]);
    if (first_step_ms == 0)
      first_step_ms = std::chrono::duration<double, std::milli>(Clock::now() - process_start()).count();
    return check_status(status, run.frames[0].entry());
  }));
  rows.push_back(iteration);
  if (!flags.exported.empty() || program.steps.size() < 2) return rows;
  std::vector<std::string> done;
  for (const CallFrame& frame : run.frames) {
    if (std::ranges::find(done, frame.entry().name) != done.end()) continue;
    done.push_back(frame.entry().name);
    BenchRow row{.name = frame.entry().name, .flops = frame.entry().flops};
    SMELT_TRY_VOID(time_steps(flags, row, [&] { return check_status(session.call(frame), frame.entry()); }));
    rows.push_back(row);
  }
  return rows;
}

int run_bench(const BenchFlags& flags) {
  int code = kOk;
  std::optional<OpenedModel> model =
      open_model(flags.model, code, {.to_train = flags.exported.empty() ? "to time" : nullptr});
  if (!model) return code;
  Result<RunningModel> running =
      start_model(std::move(model->checked), model->options, flags.model.threads, flags.warmup + flags.steps);
  if (!running) return report(running.error());
  double first_step_ms = 0;
  const Result<std::vector<BenchRow>> rows = measure(flags, *running->session, first_step_ms);
  if (!rows) return report(rows.error());
  const int threads = running->pool ? running->pool->count() : 1;
  const double peak = measure_peak_gflops(threads, vector_bytes(flags.model.cpu));
  const CompiledProgram& program = running->compiled->program;
  if (flags.model.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const BenchRow& row : *rows) {
      const double rate = row.flops / row.ms.median * 1e-6;
      list.push_back({{"objective", row.name},
                      {"ms", row.ms.median},
                      {"p10", row.ms.p10},
                      {"p90", row.ms.p90},
                      {"cpu_ms", row.cpu_ms},
                      {"flops", row.flops},
                      {"gflops", rate},
                      {"share_of_peak", rate / peak}});
    }
    fmt::print("{}\n", nlohmann::json{{"model", program.name},
                                      {"threads", threads},
                                      {"cpu", program.cpu},
                                      {"compile_ms", running->compiled->compile_ms},
                                      {"first_step_ms", first_step_ms},
                                      {"arena_bytes", program.arena_bytes},
                                      {"peak_gflops", peak},
                                      {"rows", list}}
                           .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return kOk;
  }
  fmt::print(
      "{}: {} thread(s), {}, compiled in {:.0f} ms, first step {:.0f} ms after start, arena {} bytes, peak {:.0f} "
      "GFLOP/s\n",
      printable(program.name), threads, program.cpu, running->compiled->compile_ms, first_step_ms, program.arena_bytes,
      peak);
  fmt::print("{:16} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8}\n", "", "median ms", "p10", "p90", "MFLOP", "GFLOP/s",
             "of peak");
  for (const BenchRow& row : *rows) {
    const double rate = row.flops / row.ms.median * 1e-6;
    fmt::print("{:16} {:10.3f} {:10.3f} {:10.3f} {:10.1f} {:10.1f} {:7.0f}%\n", row.name, row.ms.median, row.ms.p10,
               row.ms.p90, row.flops * 1e-6, rate, 100 * rate / peak);
  }
  return kOk;
}

}  // namespace

Runner add_bench(Options options) {
  auto flags = std::make_shared<BenchFlags>();
  add_model_flags(options, flags->model, kRunning | kJson);
  options.add("--export", flags->exported, "an export to time, instead of an iteration");
  options.add("--steps", flags->steps, "iterations to time").between(1, uint64_t{1} << 40);
  options.add("--warmup", flags->warmup, "iterations before that").between(0, uint64_t{1} << 40);
  return [flags] { return run_bench(*flags); };
}

}  // namespace smelt::cli
