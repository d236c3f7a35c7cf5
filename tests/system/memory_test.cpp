// What is promised of memory: gradients of weights are never stored, a process takes what the plan says, and a budget
// costs time but no bit.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "api/smelt/compile.h"
#include "cli/synthetic_run.h"
#include "compiler/loops/walk.h"
#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

CheckedModel checked_example(std::string_view name) {
  Result<CheckedModel> model = check_file(example(name), {});
  REQUIRE_MESSAGE(model, message_of(model));
  REQUIRE(model->experiment);
  return std::move(*model);
}

constexpr const char* kDeep = R"(
import std.nn (Dense)
dim B <= 64, X = 64, Class = 10
layer Net(x: f32[B, X]) -> f32[B, Class] { x |> fc: repeat i < 8 { Dense{X, act=relu} } |> out: Dense{Class} }
model net = Net
objective loss() updates net {
  x ~ Normal(0, 1)[B, X]
  mean(square(net(x)))
}
train { batch B = 64
        steps 10
        seed 1
        step loss with adam(lr = 1e-3CLIP) }
)";

CheckedModel checked_deep(std::string_view clip = "") {
  std::string text = kDeep;
  text.replace(text.find("CLIP"), 4, clip);
  CheckedModel model = check_text("deep.smelt", text, {});
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  return model;
}

LoweredExperiment lowered(const CheckedModel& model, int64_t budget = 0) {
  ModelOptions options;
  options.passes.memory_budget = budget;
  Result<LoweredExperiment> result = lower(model, options);
  REQUIRE_MESSAGE(result, message_of(result));
  return std::move(*result);
}

/// Buffers of training steps that have the type of a matrix that the step updates.
std::vector<std::string> stored_gradients(const CheckedModel& model) {
  const LoweredExperiment program = lowered(model);
  std::vector<std::string> found;
  for (size_t f = 0; f < program.loops.functions.size(); ++f) {
    if (model.experiment->functions[f].kind != FunctionKind::Step) continue;
    const LoopFunction& function = program.loops.functions[f];
    const std::vector<Lifetime> alive = lifetimes(function);
    for (size_t b = 0; b < function.buffers.size(); ++b) {
      const LoopBuffer& buffer = function.buffers[b];
      if (buffer.storage != Storage::Temporary || alive[b].last < 0 || buffer.type.rank() < 2) continue;
      const bool of_weight = std::ranges::any_of(model.experiment->variables, [&](const Variable& variable) {
        return variable.kind == VariableKind::Param && variable.type == buffer.type;
      });
      if (of_weight) found.push_back(fmt::format("{}: {}", function.name, buffer.name));
    }
  }
  return found;
}

TEST_CASE("no gradient of a weight has memory, unless a clip needs all of them at once") {
  for (const char* name : {"mlp", "vae", "gan", "wgan_gp"}) {
    const std::vector<std::string> found = stored_gradients(checked_example(name));
    CHECK_MESSAGE(found.empty(), fmt::format("{} stores {}", name, found.empty() ? "" : found.front()));
  }
  CHECK(stored_gradients(checked_deep()).empty());
  CHECK(stored_gradients(checked_deep(", clip_norm = 1")).size() >= 8);
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

/// A compiled model that has run some iterations on synthetic data.
struct Run {
  std::unique_ptr<CompiledModel> model;
  std::unique_ptr<Session> session;
  cli::SyntheticRun data;

  std::map<std::string, std::vector<std::byte>> variables() const {
    std::map<std::string, std::vector<std::byte>> all;
    for (const StoredVariable& variable : session->program().variables) {
      const auto bytes = std::as_const(*session).bytes(variable);
      all[variable.path] = {bytes.begin(), bytes.end()};
    }
    return all;
  }
};

void start(Run& run, const CheckedModel& checked, int64_t budget = 0) {
  ModelOptions options;
  options.passes.memory_budget = budget;
  Result<std::unique_ptr<CompiledModel>> model = compile(checked, options);
  REQUIRE_MESSAGE(model, message_of(model));
  run.model = std::move(*model);
}

void iterate(Run& run, int steps) {
  auto session = Session::create(run.model->program, run.model->functions(), {.seed = 1, .horizon = steps});
  REQUIRE(session);
  run.session = std::move(*session);
  REQUIRE(run.session->initialise());
  REQUIRE(run.data.prepare(*run.session, ""));
  for (int step = 0; step < steps; ++step) REQUIRE(run.session->call_iteration(run.data.calls) == SMELT_CALL_OK);
}

TEST_CASE("100 steps take the memory of the plan, data excluded, and hardly more") {
  for (const char* name : {"mlp", "vae", "gan", "wgan_gp"}) {
    const CheckedModel checked = checked_example(name);
    Run run;
    start(run, checked);
    const int64_t before = resident_bytes();
    iterate(run, 100);
    int64_t grown = resident_bytes() - before;
    for (const HostTensor& column : run.data.columns) grown -= static_cast<int64_t>(column.data.size());
    const auto planned = static_cast<double>(run.model->program.arena_bytes);
    CHECK_MESSAGE(static_cast<double>(grown) <= 1.05 * planned + 16e6,
                  fmt::format("{}: {} bytes, planned {}", name, grown, planned));
  }
}

/// The budget that leaves `percent` of the plan's temporaries; variables have to stay.
int64_t budget_of(const LoweredExperiment& program, int64_t percent) {
  const auto variables = static_cast<int64_t>(program.program.variables_end),
             all = static_cast<int64_t>(program.program.arena_bytes);
  return variables + (all - variables) * percent / 100;
}

void check_same_bits(const CheckedModel& checked, std::initializer_list<int64_t> percents) {
  const LoweredExperiment program = lowered(checked);
  Run free;
  start(free, checked);
  iterate(free, 7);
  for (const int64_t percent : percents) {
    const int64_t budget = budget_of(program, percent);
    Run tight;
    start(tight, checked, budget);
    const std::string what = fmt::format("{} at {} % of its temporaries", checked.path, percent);
    CHECK_MESSAGE(static_cast<int64_t>(tight.model->program.arena_bytes) <= budget, what);
    iterate(tight, 7);
    CHECK_MESSAGE(tight.variables() == free.variables(), what);
  }
}

TEST_CASE("a budget changes no bit of a checkpoint") {
  check_same_bits(checked_example("mlp"), {80, 60});
  check_same_bits(checked_example("vae"), {80, 72});  // its widest product alone, with panels, takes the rest
  check_same_bits(checked_example("gan"), {90, 80});
  check_same_bits(checked_deep(), {80, 60, 40});
  check_same_bits(checked_example("gpt"), {75});  // attention in loops
  // Gates of all steps go, and the loop that they come from runs twice: without that 94 % of them stayed.
  check_same_bits(checked_example("charlm_lstm"), {80, 65});
}

TEST_CASE("a budget that cannot be kept: what would do, and the largest tensors with their lines") {
  const CommandResult result = run_smelt({"check", example("vae"), "--memory-budget", "8MB"});
  CHECK(result.exit_code == 5);
  CHECK(result.err.find("cannot run in a memory budget of 8000000 bytes: the least that was found is") !=
        std::string::npos);
  CHECK(result.err.find("vae.smelt:") != std::string::npos);
  CHECK(result.err.find("--memory-budget") != std::string::npos);
  for (const char* size : {"0", "-1MB", "12 parsecs", "MB", "1e3", "nan"}) {
    const CommandResult wrong = run_smelt({"check", example("vae"), fmt::format("--memory-budget={}", size)});
    CHECK_MESSAGE(wrong.exit_code == 2, size);
  }
}

constexpr const char* kLoopInLoop = R"(
dim B <= 8, T = 32, H = 5
layer Walk(x: f32[N, T, H]) -> f32[N, H] {
  param U: f32[H, H] ~ orthogonal()
  scan t < T with h = zeros([N, H]) {
    inner = scan _k < 3 with g = h { g <- tanh(g @ U) as [N, H] }
    h <- inner + x[t]
  }
}
model net = Walk
objective loss() updates net {
  x ~ Normal(0, 1)[B, T, H]
  mean(square(net(x)))
}
train { batch B = 8
        steps 2
        step loss with adam(lr = 1e-3) }
)";

// What an inner loop leaves of each turn is touched by way of its slices alone; it belonged to no node, and the message
// asked for its line.
TEST_CASE("a budget that loops in loops cannot keep is an error with the largest tensors as well") {
  const CheckedModel model = check_text("loops.smelt", kLoopInLoop, {});
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  ModelOptions options;
  options.passes.memory_budget = 2000;
  const Result<LoweredExperiment> result = lower(model, options);
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::Limit);
  CHECK_MESSAGE(message_of(result).find(", of loops.smelt:5") != std::string::npos, message_of(result));
}

TEST_CASE("the budget that a message advises is enough for all functions, and so is each larger one") {
  const auto check = [](int64_t budget) {
    return run_smelt({"check", example("gan"), "--memory-budget", fmt::format("{}", budget)});
  };
  const CommandResult refused = check(1'000'000);
  REQUIRE(refused.exit_code != 0);
  const std::string advice = "give --memory-budget ";
  const size_t at = refused.err.find(advice);
  REQUIRE_MESSAGE(at != std::string::npos, refused.err);
  const int64_t least = std::stoll(refused.err.substr(at + advice.size()));
  for (const int64_t more : {0, 64, 5'000, 100'000, 700'000}) {
    const CommandResult checked = check(least + more);
    CHECK_MESSAGE(checked.exit_code == 0, more, ": ", checked.err);
  }
  CHECK(check(least - 1).exit_code != 0);
}

TEST_CASE("check prints what a budget saves and costs, explain what is computed again") {
  const std::string file = fresh_directory("memory") + "/deep.smelt";
  std::string text = kDeep;
  text.erase(text.find("CLIP"), 4);
  write_text_file(file, text);
  const LoweredExperiment program = lowered(checked_deep());
  const std::string budget = fmt::format("{}", budget_of(program, 60));
  const CommandResult checked = run_smelt({"check", file, "--memory-budget", budget});
  CHECK_MESSAGE(checked.exit_code == 0, checked.err);
  CHECK(checked.out.find("without the budget") != std::string::npos);
  CHECK(checked.out.find("values are computed again") != std::string::npos);
  const CommandResult explained = run_smelt({"explain", file, "--memory-budget", budget});
  CHECK_MESSAGE(explained.exit_code == 0, explained.err);
  CHECK(explained.out.find("computed again, to fit the memory budget") != std::string::npos);
  CHECK(explained.out.find("instead of keeping") != std::string::npos);
}

TEST_CASE("a bound far above the batch is named where its memory is told, and where it does not fit") {
  const std::string work = fresh_directory("loose-bounds");
  const auto model = [](int64_t bound, const char* more) {
    return fmt::format(
        "dim B <= {}, L <= 1_000_000_000\nlayer Net(x: f32[N]) -> f32[N] {{ param w: f32 = ones()\n  tanh(x * w) }}\n"
        "model net = Net\nobjective loss() updates net {{ x ~ Normal(0, 1)[B]\n  mean(net(x) ^ 2) }}\n"
        "train {{ batch B = 8\n  steps 2\n  step loss with adam(lr = 1e-3) }}\n{}",
        bound, more);
  };
  write_text_file(work + "/loose.smelt", model(100'000'000, ""));
  write_text_file(work + "/tight.smelt",
                  model(8, "export pairs(x: f32[L], y: f32[B]) -> f32[L, B] = stretch(x, over=B) * y * sum(net(y))\n"));
  const std::string note = "`B <= 100000000`, and the batch is 8: `dim B <= 8` takes less";
  CHECK(run_smelt({"check", work + "/loose.smelt"}).err.find(note) != std::string::npos);
  CHECK(run_smelt({"check", work + "/tight.smelt"}).err.find("the bound") == std::string::npos);
  const CommandResult limited = run_command(
      {"bash", "-c", "ulimit -v 1000000; \"$0\" train loose.smelt -o r; \"$0\" bench tight.smelt --export pairs",
       SMELT_BINARY_DIR "/smelt"},
      {.directory = work});
  CHECK_MESSAGE(limited.err.find("memory is planned for the bounds, `B <= 100000000`") != std::string::npos,
                limited.err);
  CHECK_MESSAGE(limited.err.find("give those bounds that fit") != std::string::npos, limited.err);
  const std::string over = run_smelt({"check", work + "/loose.smelt", "--memory-budget", "1MB"}).err;
  CHECK_MESSAGE(over.find("not for the batch of 8") != std::string::npos, over);
  CHECK_MESSAGE(over.find("or write `dim B <= 8`") != std::string::npos, over);
  const std::string other = run_smelt({"check", work + "/tight.smelt", "--memory-budget", "100"}).err;
  CHECK_MESSAGE(other.find("or give the dim a bound that fits") != std::string::npos, other);
  CHECK_MESSAGE(other.find("dim B <= 8") == std::string::npos, other);
}

}  // namespace
}  // namespace smelt::test
