// The training loop on the fake program: logs, epochs, actions, resuming bit for bit, NaN, signals.
#include "runtime/trainer.h"

#include <fmt/format.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/checkpoint.h"
#include "runtime/evaluate.h"
#include "runtime/grid.h"
#include "tests/unit/runtime/allocation_counter.h"
#include "tests/unit/runtime/fake_program.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

// 9 training rows in batches of 4: 3 batches an epoch, 2 an iteration, so every other epoch ends inside an
// iteration.
struct Fixture {
  TempDirectory dir;
  CompiledProgram program = fake::program();
  std::vector<Dataset> data;

  Fixture() {
    write_raw(dir / "train.csv", "x,y\n0,1\n1,3\n2,5\n0.5,2\n-1,-1\n1.5,4\n3,7\n-2,-3\n0.25,1.5\n");
    write_raw(dir / "valid.csv", "x,y\n0,1\n1,2\n2,3\n3,4\n4,15\n");
    load();
  }
  void load() {
    data.clear();
    for (const Split& split : program.data->splits)
      data.push_back(*Dataset::open(*program.data, split, {{}, dir.path()}));
  }
  void add_action(Unit unit, int64_t count, Action action) {
    program.train.every.push_back({count, unit, {std::move(action)}, {}});
  }

  std::unique_ptr<Session> session() {
    auto made = *Session::create(program, fake::loaded(), {.seed = program.train.seed});
    REQUIRE(made->initialise().has_value());
    return made;
  }
  Result<TrainSummary> start(const std::string& name, TrainOptions options = {}) {
    auto made = session();
    auto run = RunDirectory::create(dir / name, "text", Existing::Refuse);
    REQUIRE_MESSAGE(run.has_value(), message_of(run));
    return train(*made, data, *run, options);
  }
  Result<TrainSummary> resume(const std::string& name, TrainOptions options = {}) {
    options.resume = true;
    auto made = session();
    auto run = RunDirectory::open(dir / name);
    REQUIRE_MESSAGE(run.has_value(), message_of(run));
    return train(*made, data, *run, options);
  }
  std::string checkpoint(const std::string& name, int64_t step) {
    return read_raw(dir / name + "/checkpoints/" + checkpoint_name(step));
  }
  // The log without the times.
  std::string log(const std::string& name) {
    std::string out;
    const std::string text = read_raw(dir / name + "/metrics.jsonl");
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      nlohmann::json line = nlohmann::json::parse(text.substr(at, end - at));
      line.erase("ms");
      out += line.dump() + "\n";
      at = end + 1;
    }
    return out;
  }
  std::vector<std::string> checkpoints(const std::string& name) { return list_files(dir / name + "/checkpoints"); }
};

Action eval_action() {
  Action action;
  action.kind = ActionKind::Eval;
  action.split = "valid";
  action.names = {"loss", "mean_y"};
  return action;
}
Action checkpoint_action(int32_t keep, std::string best = {}, bool is_max = false) {
  Action action;
  action.kind = ActionKind::Checkpoint;
  action.keep = keep;
  action.best_metric = std::move(best);
  action.best_is_max = is_max;
  return action;
}

class Recorder : public TrainObserver {
 public:
  std::vector<int64_t> epochs;
  std::vector<std::string> events, notes;
  void on_note(const std::string& text) override { notes.push_back(text); }
  std::atomic<int>* raise_at_step_3 = nullptr;
  void on_step(const StepReport& report) override {
    epochs.push_back(report.epoch);
    if (report.step == 3 && raise_at_step_3 != nullptr) *raise_at_step_3 = 15;
  }
  void on_evaluation(int64_t step, std::string_view split, std::span<const NamedValue>) override {
    events.push_back(fmt::format("eval {} {}", step, split));
  }
  void on_output(int64_t step, std::string_view what, const std::string&) override {
    events.push_back(fmt::format("{} {}", what, step));
  }
  void on_checkpoint(int64_t step, const std::string&, bool best) override {
    events.push_back(fmt::format("save {}{}", step, best ? " best" : ""));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a run counts steps and epochs, learns, logs and saves") {
  Recorder recorder;
  const auto summary = start("a", {.observer = &recorder});
  REQUIRE_MESSAGE(summary.has_value(), message_of(summary));
  CHECK(summary->reason == StopReason::Finished);
  CHECK(summary->step == 8);  // 15 batches, 2 an iteration
  CHECK(summary->epoch == 5);
  CHECK(summary->checkpoint == "step-8.safetensors");
  CHECK(recorder.epochs == std::vector<int64_t>{0, 1, 2, 2, 3, 4, 4, 5});
  CHECK(read_raw(dir / "a/last") == "checkpoints/step-8.safetensors\n");

  const std::string text = read_raw(dir / "a/metrics.jsonl");
  CHECK(std::count(text.begin(), text.end(), '\n') == 16);
  const auto first = nlohmann::json::parse(text.substr(0, text.find('\n')));
  CHECK(first["step"] == 1);
  CHECK(first["objective"] == "loss");
  CHECK(first["reports"].contains("dw"));
  CHECK(first["ms"].is_number());
  CHECK(text.starts_with("{\"step\":1,\"objective\":\"loss\",\"loss\":"));
  const auto last = nlohmann::json::parse(text.substr(text.rfind('\n', text.size() - 2) + 1));
  CHECK(last["loss"].get<double>() < first["loss"].get<double>());
}

TEST_CASE_FIXTURE(Fixture, "stopping at any step and resuming gives the same bits, log included") {
  add_action(Unit::Epoch, 1, eval_action());
  add_action(Unit::Step, 3, checkpoint_action(-1));
  REQUIRE(start("whole").has_value());
  const std::string whole = checkpoint("whole", 8);
  REQUIRE(!whole.empty());
  for (int64_t stop = 1; stop < 8; ++stop) {
    const std::string name = fmt::format("at{}", stop);
    const auto part = start(name, {.stop_after = stop});
    REQUIRE_MESSAGE(part.has_value(), message_of(part));
    CHECK(part->reason == StopReason::StepLimit);
    CHECK(part->step == stop);
    // What a killed process leaves: log lines beyond its last checkpoint, one of them cut.
    write_raw(dir / name + "/metrics.jsonl",
              read_raw(dir / name + "/metrics.jsonl") +
                  fmt::format("{{\"step\":{},\"objective\":\"loss\"}}\n{{\"st", stop + 1));
    const auto rest = resume(name);
    REQUIRE_MESSAGE(rest.has_value(), message_of(rest));
    CHECK(rest->first_step == stop);
    CHECK(checkpoint(name, 8) == whole);
    CHECK(log(name) == log("whole"));
  }
}

TEST_CASE_FIXTURE(Fixture, "a finished run resumes to nothing, and a different one not at all") {
  REQUIRE(start("a").has_value());
  const std::string before = checkpoint("a", 8);
  const auto again = resume("a");
  REQUIRE(again.has_value());
  CHECK(again->first_step == 8);
  CHECK(checkpoint("a", 8) == before);
  program.train.seed = 8;
  CHECK(contains(message_of(resume("a")), "the seed was 7, is 8"));
  program.train.seed = 7;
  CHECK(contains(message_of(resume("a", {.model_sha256 = "x"})), "an objective or an optimiser of the model"));
  program.train.epochs = 3;
  CHECK(contains(message_of(resume("a")), "cannot resume: the run is at step 8, and training ends at step 5 | give"));
}

TEST_CASE_FIXTURE(Fixture, "a finished run goes on with more epochs, and says that its end moved") {
  REQUIRE(start("a").has_value());
  program.train.epochs = 6;
  Recorder recorder;
  const auto more = resume("a", {.observer = &recorder});
  REQUIRE_MESSAGE(more.has_value(), message_of(more));
  CHECK(more->first_step == 8);
  CHECK(more->step == 9);
  REQUIRE(recorder.notes.size() == 1);
  CHECK(contains(recorder.notes[0], "training ended at step 8 and ends at step 9 now"));
}

TEST_CASE_FIXTURE(Fixture, "what decides the bits must agree; the text may be another") {
  REQUIRE(start("a", {.model_sha256 = "x", .training_sha256 = "same", .stop_after = 3}).has_value());
  CHECK(contains(message_of(resume("a", {.model_sha256 = "y", .training_sha256 = "other"})), "an objective"));
  CHECK(contains(message_of(resume("a", {.model_sha256 = "y"})), "an objective"));
  int accepted = 0;
  const auto accept = [&]() -> Result<void> {
    ++accepted;
    return {};
  };
  CHECK_FALSE(resume("a", {.model_sha256 = "y", .accepted = accept}).has_value());
  CHECK(accepted == 0);
  REQUIRE(resume("a", {.model_sha256 = "y", .training_sha256 = "same", .accepted = accept}).has_value());
  CHECK(accepted == 1);
  REQUIRE(start("whole").has_value());
  const auto resumed = read_safetensors(dir / "a/checkpoints/step-8.safetensors"),
             whole = read_safetensors(dir / "whole/checkpoints/step-8.safetensors");
  for (size_t i = 0; i < whole->tensors.size(); ++i)
    CHECK(std::ranges::equal(whole->bytes(whole->tensors[i]), resumed->bytes(resumed->tensors[i])));
}

TEST_CASE_FIXTURE(Fixture, "a run without a checkpoint begins again, with --resume and without --force") {
  REQUIRE(start("whole").has_value());
  for (const bool with_model : {true, false}) {
    const std::string name = with_model ? "killed" : "killed-at-once";
    {
      REQUIRE(RunDirectory::create(dir / name, "text", Existing::Refuse).has_value());
    }
    if (!with_model) std::filesystem::remove(dir / name + "/model.smelt");
    write_raw(dir / name + "/metrics.jsonl", "{\"step\":1,\"objective\":\"loss\"}\n{\"step\":2,\"obj");
    Recorder recorder;
    const auto again = resume(name, {.observer = &recorder});
    REQUIRE_MESSAGE(again.has_value(), message_of(again));
    CHECK(again->first_step == 0);
    CHECK(recorder.notes == std::vector<std::string>{"the run has no checkpoint yet: it begins again"});
    CHECK(checkpoint(name, 8) == checkpoint("whole", 8));
    CHECK(log(name) == log("whole"));
  }
  {
    REQUIRE(RunDirectory::create(dir / "b", "text", Existing::Refuse).has_value());
  }
  REQUIRE(start("b").has_value());  // Existing::Refuse, and nothing to lose
  CHECK(contains(message_of(RunDirectory::create(dir / "b", "text", Existing::Refuse)), "already holds a run"));
  CHECK(contains(message_of(RunDirectory::open(dir / "nothing")), "holds no run"));
}

TEST_CASE_FIXTURE(Fixture, "a kill between the last checkpoint and `last` is mended") {
  REQUIRE(start("a").has_value());
  const std::string wanted = read_raw(dir / "a/last");
  std::filesystem::remove(dir / "a/last");
  const auto again = resume("a");
  REQUIRE(again.has_value());
  CHECK(again->first_step == 8);
  CHECK(read_raw(dir / "a/last") == wanted);
}

TEST_CASE_FIXTURE(Fixture, "when all checkpoints are damaged, nothing begins again in silence") {
  REQUIRE(start("a").has_value());
  write_raw(dir / "a/checkpoints/step-8.safetensors", "garbage");
  std::filesystem::remove(dir / "a/last");
  CHECK(contains(message_of(resume("a")), "has no last checkpoint: those that are there are damaged | `--force`"));
}

TEST_CASE_FIXTURE(Fixture,
                  "a model without `checkpoint` lines is saved by the clock, the newest two besides the last") {
  program.train.epochs = 60;
  class Slow : public TrainObserver {
   public:
    int64_t saves = 0;
    void on_step(const StepReport& report) override {
      if (report.step < 10) ::usleep(3000);
    }
    void on_checkpoint(int64_t, const std::string&, bool) override { ++saves; }
  } slow;
  REQUIRE(start("a", {.autosave = std::chrono::milliseconds(2), .observer = &slow}).has_value());
  CHECK(slow.saves >= 5);
  CHECK(checkpoints("a").size() <= 3);
  REQUIRE(start("whole").has_value());
  CHECK(checkpoint("a", 90) == checkpoint("whole", 90));
  // A model that says when it is saved is saved then.
  add_action(Unit::Step, 80, checkpoint_action(-1));
  Slow once;
  REQUIRE(start("b", {.autosave = std::chrono::milliseconds(2), .observer = &once}).has_value());
  CHECK(once.saves == 2);
}

TEST_CASE_FIXTURE(Fixture, "training data that changed at equal size is noticed, with its file") {
  REQUIRE(start("a", {.stop_after = 3, .data = mark_data(data)}).has_value());
  const std::string train = read_raw(dir / "train.csv"), valid = read_raw(dir / "valid.csv");
  write_raw(dir / "valid.csv", std::string(valid).replace(valid.find("15"), 2, "16"));
  load();
  Recorder recorder;
  REQUIRE(resume("a", {.stop_after = 4, .data = mark_data(data), .observer = &recorder}).has_value());
  REQUIRE(recorder.notes.size() == 1);  // it is not trained on
  CHECK(contains(recorder.notes[0], "the data of split `valid` changed since"));
  write_raw(dir / "train.csv", std::string(train).replace(train.find("7"), 1, "8"));
  load();
  const std::string seen = message_of(resume("a", {.data = mark_data(data)}));
  CHECK(contains(seen, "the data of split `train` changed since: `"));
  CHECK(contains(seen, "train.csv` | bring the old data back"));
  write_raw(dir / "train.csv", train);
  load();
  CHECK(resume("a", {.data = mark_data(data)}).has_value());
}

TEST_CASE_FIXTURE(Fixture, "a damaged `last` is no dead end") {
  add_action(Unit::Step, 2, checkpoint_action(-1));
  REQUIRE(start("a").has_value());
  std::string bytes = checkpoint("a", 8);
  bytes.back() ^= 1;
  write_raw(dir / "a/checkpoints/step-8.safetensors", bytes);
  CHECK(contains(message_of(resume("a")), "last good: " + dir.path() + "/a/checkpoints/step-6.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "actions fire after their steps and epochs, evaluations before checkpoints") {
  Action image;
  image.kind = ActionKind::Image;
  image.function = 6;
  image.path = "img-{epoch}.png";
  program.train.every = {{1, Unit::Epoch, {checkpoint_action(2), eval_action()}, {}}, {4, Unit::Step, {image}, {}}};
  Recorder recorder;
  REQUIRE(start("a", {.observer = &recorder}).has_value());
  CHECK(recorder.events == std::vector<std::string>{"eval 2 valid", "save 2", "eval 3 valid", "save 3", "picture 4",
                                                    "eval 5 valid", "save 5", "eval 6 valid", "save 6", "eval 8 valid",
                                                    "picture 8", "save 8"});
  CHECK(checkpoints("a") == std::vector<std::string>{"step-6.safetensors", "step-8.safetensors"});
  CHECK(read_raw(dir / "a/img-5.png").starts_with("\x89PNG"));
  CHECK(contains(read_raw(dir / "a/img-5.png"), std::string("smelt:seed\0"
                                                            "7",
                                                            12)));
}

TEST_CASE_FIXTURE(Fixture, "the best checkpoint is kept, across a resumed run as well") {
  program.train.every = {{1, Unit::Step, {eval_action(), checkpoint_action(-1, "loss")}, {}}};
  REQUIRE(start("whole").has_value());
  REQUIRE(start("parts", {.stop_after = 3}).has_value());
  REQUIRE(resume("parts").has_value());
  CHECK(read_raw(dir / "parts/best") == read_raw(dir / "whole/best"));
  CHECK(checkpoint("parts", 8) == checkpoint("whole", 8));
  double best = HUGE_VAL;
  int64_t best_step = 0;
  const std::string text = log("whole");
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const auto line = nlohmann::json::parse(text.substr(at, text.find('\n', at) - at));
    if (!line.contains("eval") || line["metrics"]["loss"] >= best) continue;
    best = line["metrics"]["loss"];
    best_step = line["step"];
  }
  CHECK(read_raw(dir / "whole/best") == "checkpoints/" + checkpoint_name(best_step) + "\n");
  CHECK(checkpoints("whole").size() <= 2);
}

TEST_CASE_FIXTURE(Fixture, "a run ends when a metric gets no better, and goes on with the same patience") {
  program.train.every = {{1, Unit::Step, {eval_action()}, {}}};
  program.train.patience = {"mean_y", "valid", false, 3};  // a constant: the first value is the best
  const auto whole = start("whole");
  REQUIRE(whole.has_value());
  CHECK(whole->reason == StopReason::StopWhen);
  CHECK(whole->step == 4);
  REQUIRE(start("parts", {.stop_after = 3}).has_value());
  const auto parts = resume("parts");
  REQUIRE(parts.has_value());
  CHECK(parts->step == 4);
  CHECK(checkpoint("parts", 4) == checkpoint("whole", 4));
  CHECK(resume("whole")->step == 4);       // its patience is at an end
  program.train.patience.split = "train";  // not evaluated on it
  CHECK(start("other")->reason == StopReason::Finished);
}

TEST_CASE_FIXTURE(Fixture, "an evaluation weighs batches by rows, in file order, with the rest") {
  auto made = session();
  const auto values = evaluate(*made, {&data[1]}, 4, {"mean_y", "loss"});
  REQUIRE_MESSAGE(values.has_value(), message_of(values));
  CHECK((*values)[0].name == "mean_y");
  CHECK((*values)[0].value == 5.0);  // (4 * 2.5 + 1 * 15) / 5
  CHECK((*values)[1].name == "loss");
  CHECK((*values)[2].name == "loss.dw");
  CHECK((*values)[2].value == doctest::Approx(0.2));  // the batch number: (4 * 0 + 1 * 1) / 5
  CHECK(made->runs(program.entries[1]) == 0);
  CHECK(contains(message_of(evaluate(*made, {&data[1]}, 4, {"men_y"})), "did you mean `mean_y`?"));
  CHECK(contains(message_of(evaluate(*made, {}, 4, {"mean_y"})), "reads a data set"));
  program.entries[3].inputs[2].type.shape[0] = Extent(4);  // fixed: the rest is left out
  CHECK((*evaluate(*made, {&data[1]}, 4, {"mean_y"}))[0].value == 2.5);
}

TEST_CASE_FIXTURE(Fixture, "a loss that is not finite ends the run and names it; the last checkpoint stays") {
  write_raw(dir / "train.csv", "x,y\n0,1\n1,3\n1e30,1e30\n3,7\n1,3\n0,1\n1,3\n2,5\n0,1\n");
  program.train.shuffle = false;
  program.train.every = {{1, Unit::Step, {checkpoint_action(-1)}, {}}};
  load();
  const auto result = start("a");
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().kind == ErrorKind::NonFinite);
  CHECK(contains(message_of(result), "step 1: the loss of objective `loss` is inf"));
  CHECK(contains(read_raw(dir / "a/metrics.jsonl"), "\"loss\":null"));
  CHECK(contains(read_raw(dir / "a/metrics.jsonl"), "\"nonfinite\":true}"));
  CHECK(checkpoints("a").empty());
}

TEST_CASE_FIXTURE(Fixture, "`stop when` ends a run well, also when it asks for the NaN that the guard found") {
  program.train.stop_function = 7;
  write_raw(dir / "train.csv", "x,y\n0,1\n1,3\n1,3\n1,3\n1,3\n0,1\n1,3\n2,5\n0,1\n");
  load();
  auto made = session();
  auto run = RunDirectory::create(dir / "a", "text", Existing::Refuse);
  HostTensor w = *made->read("net.w");
  w.as<float>()[0] = NAN;
  REQUIRE(made->write("net.w", w).has_value());
  const auto summary = train(*made, data, *run, {});
  REQUIRE_MESSAGE(summary.has_value(), message_of(summary));
  CHECK(summary->reason == StopReason::StopWhen);
  CHECK(summary->step == 0);
  CHECK(summary->checkpoint == "step-0.safetensors");
}

TEST_CASE_FIXTURE(Fixture, "a signal stops after the step, saves, and the run goes on from there") {
  std::atomic<int> signal = 0;
  Recorder recorder;
  recorder.raise_at_step_3 = &signal;
  const auto stopped = start("a", {.stop_signal = &signal, .observer = &recorder});
  REQUIRE(stopped.has_value());
  CHECK(stopped->reason == StopReason::Signal);
  CHECK(stopped->checkpoint == "step-3.safetensors");
  REQUIRE(resume("a").has_value());
  REQUIRE(start("whole").has_value());
  CHECK(checkpoint("a", 8) == checkpoint("whole", 8));
}

TEST_CASE_FIXTURE(Fixture, "a process killed at any moment resumes to the same bits") {
  program.train.epochs = 60;
  program.train.every = {{1, Unit::Epoch, {eval_action()}, {}}, {2, Unit::Step, {checkpoint_action(3)}, {}}};
  REQUIRE(start("whole").has_value());
  std::mt19937 random(11);
  for (int round = 0; round < 6; ++round) {
    const std::string name = fmt::format("killed{}", round);
    {
      REQUIRE(RunDirectory::create(dir / name, "text", Existing::Refuse).has_value());
    }
    for (bool resumed = false;; resumed = true) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        auto made = *Session::create(program, fake::loaded(), {.seed = program.train.seed});
        auto run = RunDirectory::open(dir / name);
        const bool good = run && made->initialise() && train(*made, data, *run, {.resume = true});
        ::_exit(good ? 0 : 1);
      }
      ::usleep(static_cast<useconds_t>(random() % 150'000));
      if (!resumed) ::kill(child, SIGKILL);
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      if (!resumed) continue;
      REQUIRE(status == 0);
      break;
    }
    CHECK(checkpoint(name, 90) == checkpoint("whole", 90));
    CHECK(log(name) == log("whole"));
    CHECK(checkpoints(name) == checkpoints("whole"));
  }
}

TEST_CASE_FIXTURE(Fixture, "a step allocates nothing") {
  if (test::skip_without_allocation_counter()) return;
  class Counter : public TrainObserver {
   public:
    std::vector<int64_t> seen = std::vector<int64_t>(1000);
    void on_step(const StepReport& report) override {
      seen[static_cast<size_t>(report.step)] = test::num_allocations();
    }
  } counter;
  program.train.epochs = 200;
  REQUIRE(start("a", {.observer = &counter}).has_value());
  CHECK(counter.seen[2] > 0);
  CHECK(counter.seen[299] == counter.seen[2]);
}

TEST_CASE_FIXTURE(Fixture, "a schedule counts what a loop takes") {
  CHECK(plan_schedule(program, 9)->iterations == 8);
  CHECK(plan_schedule(program, 8)->iterations == 5);
  program.train.loop = {{1, {0, 0}}};  // together: both see one batch
  const Schedule shared = *plan_schedule(program, 9);
  CHECK(shared.batches_per_iteration == 1);
  CHECK(shared.calls[1].shares_batch);
  CHECK(shared.iterations == 15);
  program.train.batch_symbol = -1;
  CHECK(plan_schedule(program, 9)->iterations == 10);
  CHECK(contains(message_of(plan_schedule(program, 3)), "fewer than one batch of 4"));
  program.train.epochs = -1;
  program.train.steps = 77;
  CHECK(plan_schedule(program, 9)->iterations == 77);
  program.train.present = false;
  CHECK(contains(message_of(plan_schedule(program, 9)), "no `train` section"));
}

TEST_CASE("numbers in the log read back to the same bits") {
  const auto text = [](double value, DType dtype) {
    std::string out;
    append_json_number(out, value, dtype);
    return out;
  };
  CHECK(text(0.1f, DType::F32) == "0.1");
  CHECK(text(0.1f, DType::F64) == "0.10000000149011612");
  CHECK(text(1e20, DType::F64) == "1e+20");
  CHECK(text(3, DType::I64) == "3");
  CHECK(text(NAN, DType::F32) == "null");
  CHECK(text(-INFINITY, DType::F64) == "null");
  uint32_t bits = 1;
  for (int i = 0; i < 10'000; ++i, bits = bits * 1664525u + 1013904223u) {
    float value = 0;
    std::memcpy(&value, &bits, 4);
    if (!std::isfinite(value)) continue;
    const float back = static_cast<float>(nlohmann::json::parse(text(value, DType::F32)).get<double>());
    CHECK(std::memcmp(&back, &value, 4) == 0);
  }
}

TEST_CASE("a sheet places pictures in rows and enlarges them") {
  HostTensor images = *HostTensor::zeros(DType::F32, {3, 2, 2});
  for (size_t i = 0; i < 12; ++i) images.as<float>()[i] = static_cast<float>(i) / 11.0f;
  const auto sheet = make_grid(images, {});
  REQUIRE_MESSAGE(sheet.has_value(), message_of(sheet));
  CHECK(sheet->width == 520);  // 2 * (2 + 2) + 2 = 10 pixels, 52 times
  CHECK(sheet->height == 520);
  const auto pixel = [&](int64_t x, int64_t y) { return sheet->pixels[static_cast<size_t>(y * 52 * 520 + x * 52)]; };
  CHECK(pixel(2, 2) == 0);
  CHECK(pixel(3, 2) == 23);
  CHECK(pixel(7, 3) == 162);
  CHECK(pixel(3, 7) == 255);
  CHECK(pixel(7, 7) == 0);  // no fourth picture
  CHECK(pixel(4, 2) == 0);  // padding
  HostTensor colour = *HostTensor::zeros(DType::F32, {1, 3, 600, 2});
  colour.as<float>()[1200] = 2;  // green of the first pixel, clamped
  const auto tall = make_grid(colour, {.columns = 4, .low = -1, .high = 1});
  CHECK(tall->channels == 3);
  CHECK(tall->width == 6);
  CHECK(tall->pixels[static_cast<size_t>((2 * 6 + 2) * 3 + 1)] == 255);
  CHECK(tall->pixels[static_cast<size_t>((2 * 6 + 2) * 3)] == 128);
  CHECK(contains(message_of(make_grid(*HostTensor::zeros(DType::F32, {3, 784}), {})), "`reshape` a flat axis"));
  CHECK(contains(message_of(make_grid(*HostTensor::zeros(DType::F32, {1, 2, 4, 4}), {})), "C = 1 or 3"));
  const auto png = encode_png(*sheet, {{"smelt:step", "12"}});
  REQUIRE(png.has_value());
  CHECK(png->starts_with("\x89PNG\r\n\x1a\n"));
  CHECK(*png == *encode_png(*sheet, {{"smelt:step", "12"}}));
  CHECK(encode_png({0, 5, 1, {}}).error().kind == ErrorKind::Output);
  CHECK(contains(message_of(encode_png({2, 2, 1, {1, 2, 3}})), "pixels do not match"));
  CHECK(contains(message_of(encode_png({2'000'000, 1, 1, std::vector<uint8_t>(2'000'000)})), "libpng: "));
}
