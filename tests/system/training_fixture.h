// A compiled example with a session and its data, for tests that look inside a step.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/smelt/compile.h"
#include "runtime/call_frame.h"
#include "runtime/data/batches.h"
#include "runtime/session.h"
#include "runtime/train_schedule.h"
#include "tests/system/run_command.h"

namespace smelt::test {

/// One execution of an objective, with rows of its own.
struct TrainingCall {
  const StepInfo* step = nullptr;
  CallFrame frame;
  std::vector<int32_t> rows;
};

struct Training {
  CheckedModel checked;
  std::unique_ptr<CompiledModel> model;
  std::unique_ptr<Session> session;
  std::vector<Dataset> data;
  std::unique_ptr<Batches> batches;
  std::vector<TrainingCall> calls;
  std::vector<smelt_call> table;

  const CompiledProgram& program() const { return model->program; }

  /// Binds the next batch of each call.
  void next_batches() {
    for (TrainingCall& call : calls) {
      if (!call.step->takes_data) continue;
      const auto rows = batches->next();
      call.rows.assign(rows.begin(), rows.end());
      call.frame.set_rows(call.rows);
    }
  }
};

/// As `smelt train` starts: initialised, at the first batch. Null when the data set is not installed.
inline std::unique_ptr<Training> start_training(std::string_view name, DType precision = DType::F32) {
  if (skip_without_data()) return nullptr;
  ModelOptions options;
  options.needs_data = true;
  options.precision = precision;
  options.data.directories["fashion"] = unpacked_data();
  auto training = std::make_unique<Training>();
  Result<CheckedModel> checked = check_file(example(name), options);
  REQUIRE(checked);
  training->checked = std::move(*checked);
  REQUIRE(training->checked.experiment);
  Result<std::unique_ptr<CompiledModel>> model = compile(training->checked, options);
  REQUIRE_MESSAGE(model, message_of(model));
  training->model = std::move(*model);
  const CompiledProgram& program = training->program();
  auto session = Session::create(program, training->model->functions(), {.seed = program.train.seed});
  REQUIRE(session);
  training->session = std::move(*session);
  REQUIRE(training->session->initialise());
  auto data = Dataset::open(*program.data, program.data->splits[0], options.data);
  REQUIRE(data);
  training->data.push_back(std::move(*data));
  const Dataset& set = training->data[0];
  const auto schedule = plan_schedule(program, set.rows());
  REQUIRE(schedule);
  training->session->header().horizon = schedule->iterations;
  auto batches = Batches::create(
      {set.rows(), program.train.batch, program.train.batch_symbol < 0, program.train.shuffle, program.train.seed},
      "train");
  REQUIRE(batches);
  training->batches = std::make_unique<Batches>(std::move(*batches));
  for (const int32_t step : program.iteration_calls) {
    const StepInfo& info = program.steps[static_cast<size_t>(step)];
    training->calls.push_back(
        {&info, training->session->frame(program.entries[static_cast<size_t>(info.step_entry)]), {}});
    TrainingCall& call = training->calls.back();
    REQUIRE(call.frame.own_outputs());
    call.frame.set_batch(program.train.batch);
    call.frame.set_dataset(set);
    call.rows.reserve(static_cast<size_t>(program.train.batch));
  }
  for (const TrainingCall& call : training->calls) training->table.push_back(call.frame.call());
  return training;
}

}  // namespace smelt::test
