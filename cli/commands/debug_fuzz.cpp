// debug fuzz: random graphs through the reference evaluator and compiled code, until one differs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "cli/commands/debug.h"
#include "fuzz/campaign.h"
#include "runtime/files/file.h"
#include "runtime/files/output_file.h"

namespace smelt::cli {
namespace {

struct FuzzFlags {
  int64_t count = 2000, stop_at = 20;
  std::optional<uint64_t> seed;
  std::string resume, directory = ".", subject;
  bool json = false;
};

constexpr std::array<std::pair<std::string_view, fuzz::Subject>, 2> kSubjects = {
    {{"pictures", fuzz::Subject::Pictures}, {"loops", fuzz::Subject::Loops}}};

fuzz::Subject subject_of(const FuzzFlags& flags) {
  const auto row = std::ranges::find(kSubjects, flags.subject, &decltype(kSubjects)::value_type::first);
  return row == kSubjects.end() ? fuzz::Subject::Any : row->second;
}

Result<fuzz::Totals> start(const FuzzFlags& flags) {
  fuzz::Totals totals;
  totals.seed = flags.seed ? *flags.seed : std::random_device()();
  if (flags.resume.empty() || !is_there(flags.resume)) return totals;
  SMELT_TRY(const Buffer bytes, read_file(flags.resume, {}));
  SMELT_TRY(totals, fuzz::totals_from_json(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  if (flags.seed && *flags.seed != totals.seed) {
    return fail(ErrorKind::Usage,
                fmt::format("`{}` counts from seed {}, not {}", flags.resume, totals.seed, *flags.seed),
                "leave out --seed");
  }
  return totals;
}

void print_totals(const fuzz::Totals& totals) {
  const double graphs = static_cast<double>(std::max<int64_t>(totals.graphs, 1));
  fmt::print("{} graphs from seed {}: {} mismatches\n", totals.graphs, totals.seed, totals.failures.size());
  fmt::print("  {:.1f} nodes a graph, {:.0f} % with gradients, {:.0f} % of second order\n",
             static_cast<double>(totals.nodes) / graphs, 100 * static_cast<double>(totals.gradients) / graphs,
             100 * static_cast<double>(totals.second_order) / graphs);
  fmt::print(
      "  {} mistrusted ({:.2f} %); {} results that say little left out, {} graphs without any other drawn again\n",
      totals.mistrusted, 100 * static_cast<double>(totals.mistrusted) / graphs, totals.dropped_results,
      totals.thrown_away);
  fmt::print("  {} orders of {} passes: verifier, text, second run and values after each\n", totals.pass_orders,
             totals.passes);
  fmt::print(
      "  {} graphs written in {} other ways; {} graphs with and without fusion; {} gradients against differences\n",
      totals.rewritten, totals.rewrites, totals.fusion_pairs, totals.derivatives);
  fmt::print(
      "  {} graphs with f16 or bf16, {} of them with arithmetic or gradients in it; {} plans under a memory budget "
      "compute {} values again\n",
      totals.halves, totals.free_halves, totals.budgets, totals.computed_again);
  fmt::print("  {} graphs with windows, {} with loops\n", totals.windows, totals.loops);
  fmt::print("  {:.1f} processor seconds, {:.1f} ms a graph\n", totals.cpu_seconds, 1000 * totals.cpu_seconds / graphs);
}

int run_fuzz(const FuzzFlags& flags) {
  Result<fuzz::Totals> totals = start(flags);
  if (!totals) return report(totals.error());
  Result<void> kept;
  size_t shown = totals->failures.size();
  fuzz::run_campaign(
      *totals,
      {.count = flags.count, .directory = flags.directory, .max_failures = flags.stop_at, .subject = subject_of(flags)},
      [&](const fuzz::Totals& now) {
        for (; shown < now.failures.size() && !flags.json; ++shown) {
          const fuzz::Failure& failure = now.failures[shown];
          fmt::print("seed {} check {}: {}\n  again: smelt debug fuzz --count 1 --seed {}{}\n", failure.seed,
                     failure.check, failure.what, failure.seed,
                     flags.subject.empty() ? "" : " --subject " + flags.subject);
        }
        std::fflush(stdout);
        if (!flags.resume.empty()) kept = write_output(flags.resume, fuzz::to_json(now));
      });
  if (!kept) return report(kept.error());
  if (flags.json) {
    fmt::print("{}\n", fuzz::to_json(*totals));
  } else {
    print_totals(*totals);
  }
  return totals->failures.empty() ? kOk : kInternal;
}

}  // namespace

DebugTool add_debug_fuzz(Options options) {
  auto flags = std::make_shared<FuzzFlags>();
  Options fuzz = options.command("fuzz", "random graphs: reference evaluator against compiled code");
  fuzz.add("--count", flags->count, "graphs in all (2000), those of --resume-from included").between(1, 1'000'000'000);
  fuzz.add("--seed", flags->seed, "seed of the first graph; graph k has seed + k (a new one)");
  fuzz.add("--resume-from", flags->resume, "totals of earlier runs: read when it exists, kept up to date");
  fuzz.add("-o,--output", flags->directory, "where failing graphs are written (.)");
  fuzz.add("--subject", flags->subject, "what every graph has, in place of a share of them: pictures or loops")
      .one_of({"pictures", "loops"});
  fuzz.add("--stop-at", flags->stop_at, "end after so many mismatches (20)").between(1, 1'000'000);
  fuzz.flag("--json", flags->json, "totals as JSON");
  return {fuzz, [flags] { return run_fuzz(*flags); }};
}

}  // namespace smelt::cli
