#include "runtime/train_schedule.h"

#include <fmt/format.h>

#include "runtime/data/batches.h"

namespace smelt {
namespace {

// Marks the members of each `together`, when the loop of the plan is the one that was compiled.
void mark_shared_batches(const TrainPlan& train, std::vector<PlannedCall>& calls) {
  std::vector<bool> shares;
  std::vector<int32_t> order;
  for (const LoopItem& item : train.loop) {
    for (int32_t time = 0; time < item.times; ++time) {
      bool taken = false;
      for (const int32_t objective : item.objectives) {
        const bool takes = order.size() < calls.size() && calls[order.size()].takes_data;
        order.push_back(objective);
        shares.push_back(taken && takes);
        taken |= takes;
      }
    }
  }
  if (order.size() != calls.size()) return;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (order[i] != calls[i].step) return;
  }
  for (size_t i = 0; i < calls.size(); ++i) calls[i].shares_batch = shares[i];
}

}  // namespace

Result<Schedule> plan_schedule(const CompiledProgram& program, int64_t train_rows) {
  const TrainPlan& train = program.train;
  if (!train.present || program.iteration_calls.empty()) {
    return fail(ErrorKind::Usage,
                fmt::format("`{}` has no `train` section, so there is nothing to train", program.name));
  }
  Schedule schedule;
  for (const int32_t step : program.iteration_calls) {
    schedule.calls.push_back({step, program.steps.at(static_cast<size_t>(step)).takes_data, false});
  }
  mark_shared_batches(train, schedule.calls);
  for (const PlannedCall& call : schedule.calls) {
    if (call.takes_data && !call.shares_batch) ++schedule.batches_per_iteration;
  }
  if (schedule.batches_per_iteration > 0) {
    const bool drop_rest = train.batch_symbol < 0 || (program.data && program.data->num_sections() > 1);
    const BatchPlan plan{.rows = train_rows, .batch = train.batch, .drop_rest = drop_rest};
    SMELT_TRY(const Batches batches, Batches::create(plan, "train"));
    schedule.batches_per_epoch = batches.plan().batches_per_epoch();
  }
  if (train.epochs < 0) {
    schedule.iterations = train.steps;
    return schedule;
  }
  if (schedule.batches_per_epoch == 0) {
    return fail(ErrorKind::Usage, "epochs cannot be counted without data", "give `steps` instead", train.span);
  }
  int64_t batches = 0;
  if (__builtin_mul_overflow(train.epochs, schedule.batches_per_epoch, &batches)) {
    return fail(ErrorKind::Limit, fmt::format("{} epochs are too many", train.epochs));
  }
  schedule.iterations = batches / schedule.batches_per_iteration + (batches % schedule.batches_per_iteration != 0);
  return schedule;
}

}  // namespace smelt
