// train_mlp.cpp - compiles a model file in this process and trains it: the same steps as `smelt train`.
//
//   train_mlp_cpp MODEL.smelt DATA_DIR [STEPS] [RESULT.safetensors]
//
// DATA_DIR holds the Fashion-MNIST files, packed or not. The parameters equal those of `smelt train` bit for bit.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "api/smelt/compile.h"
#include "runtime/call_frame.h"
#include "runtime/checkpoint.h"
#include "runtime/data/batches.h"
#include "runtime/session.h"
#include "runtime/train_schedule.h"
#include "runtime/trainer.h"

namespace {

using smelt::Result;

/// The rows of one call: an iteration may take several batches, and a batch is valid only until the next one.
struct Call {
  smelt::CallFrame frame;
  bool takes_data = false;
  std::vector<int32_t> rows;
};

Result<void> train(smelt::Session& session, const smelt::Dataset& data, int64_t steps) {
  const smelt::CompiledProgram& program = session.program();
  SMELT_TRY(const smelt::Schedule schedule, smelt::plan_schedule(program, data.rows()));
  session.header().horizon = schedule.iterations;
  SMELT_TRY(smelt::Batches batches, smelt::Batches::create({.rows = data.rows(),
                                                            .batch = program.train.batch,
                                                            .drop_rest = program.train.batch_symbol < 0,
                                                            .shuffle = program.train.shuffle,
                                                            .seed = program.train.seed},
                                                           data.split()));
  std::vector<Call> calls;
  for (const int32_t step : program.iteration_calls) {
    const smelt::StepInfo& info = program.steps.at(static_cast<size_t>(step));
    calls.push_back({session.frame(program.entries.at(static_cast<size_t>(info.step_entry))), info.takes_data, {}});
    smelt::CallFrame& frame = calls.back().frame;
    SMELT_TRY_VOID(frame.own_outputs());
    frame.set_batch(program.train.batch);
    frame.set_dataset(data);
  }
  std::vector<smelt_call> table;
  for (const Call& call : calls) table.push_back(call.frame.call());

  for (int64_t step = 1; step <= steps; ++step) {
    for (Call& call : calls) {
      if (!call.takes_data) continue;
      const auto rows = batches.next();
      call.rows.assign(rows.begin(), rows.end());
      call.frame.set_rows(call.rows);
    }
    const int32_t status = session.call_iteration(table);
    SMELT_TRY_VOID(smelt::check_status(status, calls[0].frame.entry()));
    std::printf("step %lld loss %.9g\n", static_cast<long long>(step), calls[0].frame.scalar(0));
  }
  return {};
}

Result<void> run(const std::string& file, const std::string& data_directory, int64_t steps, const std::string& result) {
  smelt::ModelOptions options;
  options.needs_data = true;
  options.cpu = "x86-64-v3";
  options.data.directories["fashion"] = data_directory;
  SMELT_TRY(const smelt::CheckedModel checked, smelt::check_file(file, options));
  std::fputs(smelt::render(checked.diagnostics, *checked.sources, smelt::Colour::Off).c_str(), stderr);
  if (!checked.experiment) return smelt::fail(smelt::ErrorKind::Model, file + " has errors");
  SMELT_TRY(const auto model, smelt::compile(checked, options));
  const smelt::CompiledProgram& program = model->program;
  if (!program.data) return smelt::fail(smelt::ErrorKind::Model, file + " has no data section");

  SMELT_TRY(const auto session, smelt::Session::create(program, model->functions(), {.seed = program.train.seed}));
  SMELT_TRY_VOID(session->initialise());
  SMELT_TRY(const smelt::Dataset data, smelt::Dataset::open(*program.data, program.data->splits.at(0), options.data));
  SMELT_TRY_VOID(train(*session, data, steps));
  if (!result.empty()) SMELT_TRY_VOID(smelt::save_weights(result, *session));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: train_mlp_cpp MODEL.smelt DATA_DIR [STEPS] [RESULT.safetensors]\n", stderr);
    return 2;
  }
  const int64_t steps = argc > 3 ? std::strtoll(argv[3], nullptr, 10) : 100;
  const Result<void> done = run(argv[1], argv[2], steps, argc > 4 ? argv[4] : "");
  if (done) return 0;
  std::fprintf(stderr, "train_mlp_cpp: %s\n", done.error().message.c_str());
  return 1;
}
