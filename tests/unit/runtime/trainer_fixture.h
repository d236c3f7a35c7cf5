// Short trainings of the fake program, for tests of the trainer: data, runs, logs without times.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "runtime/checkpoint.h"
#include "runtime/trainer.h"
#include "tests/unit/runtime/fake_program.h"
#include "tests/unit/runtime/test_files.h"

namespace smelt::test {

// 9 training rows in batches of 4: 3 batches an epoch, 2 an iteration, so every other epoch ends inside an
// iteration.
struct TrainerFixture {
  TempDirectory dir;
  CompiledProgram program = fake::program();
  std::vector<Dataset> data;

  TrainerFixture() {
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

inline Action eval_action() {
  Action action;
  action.kind = ActionKind::Eval;
  action.split = "valid";
  action.names = {"loss", "mean_y"};
  return action;
}
inline Action checkpoint_action(int32_t keep, std::string best = {}, bool is_max = false) {
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

}  // namespace smelt::test
