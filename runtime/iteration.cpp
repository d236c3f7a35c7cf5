#include "runtime/iteration.h"

#include <cmath>

#include "runtime/data/train_batches.h"

namespace smelt {

Result<void> Iteration::prepare() {
  const TrainPlan& plan = session_.program().train;
  if (schedule_.batches_per_iteration > 0) {
    // Batches of several sections meet in one call, so all of them are full.
    const bool drop_rest = plan.batch_symbol < 0 || train_data_.size() > 1;
    for (const Dataset* set : train_data_) {
      SMELT_TRY(Batches batches, train_batches(plan, *set, drop_rest ? RestOfEpoch::Dropped : RestOfEpoch::Kept));
      batches_.push_back(std::move(batches));
    }
  }
  for (const PlannedCall& call : schedule_.calls) SMELT_TRY_VOID(add_call(call));
  for (const CallSlot& slot : slots_) calls_.push_back(slot.frame.call());
  return {};
}

Result<void> Iteration::add_call(const PlannedCall& call) {
  const CompiledProgram& program = session_.program();
  const StepInfo& info = program.steps.at(static_cast<size_t>(call.step));
  const Entry& entry = program.entries.at(static_cast<size_t>(info.step_entry));
  CallSlot slot{call, session_.frame(entry), {}, {}};
  SMELT_TRY_VOID(slot.frame.own_outputs());
  slot.frame.set_batch(program.train.batch);
  slot.frame.set_datasets(train_data_);
  if (call.takes_data) slot.rows.resize(batches_.size());
  for (std::vector<int32_t>& rows : slot.rows) rows.reserve(static_cast<size_t>(program.train.batch));
  slots_.push_back(std::move(slot));

  ObjectiveValues values;
  for (const Binding& binding : entry.outputs) {
    if (binding.kind == BindingKind::Loss) values.loss = {info.objective, 0, binding.type.dtype};
    if (binding.kind == BindingKind::Report) {
      if (binding.guards) slots_.back().guards.push_back(values.reports.size());
      values.reports.push_back({binding.name, 0, binding.type.dtype});
    }
  }
  values_.push_back(std::move(values));
  return {};
}

// Copies the rows of each call to memory of its own: an iteration may cross the end of an epoch.
int64_t Iteration::take_batches() {
  int64_t total = 0;
  const CallSlot* taken = nullptr;
  for (CallSlot& slot : slots_) {
    if (!slot.plan.takes_data) continue;
    const bool shares = slot.plan.shares_batch && taken != nullptr;
    for (size_t section = 0; section < batches_.size(); ++section) {
      const std::span<const int32_t> rows =
          shares ? std::span<const int32_t>(taken->rows[section]) : batches_[section].next();
      slot.rows[section].assign(rows.begin(), rows.end());
      if (!shares) train_data_[section]->ask_for(batches_[section].following());
      slot.frame.set_rows(static_cast<int32_t>(section), slot.rows[section]);
    }
    if (shares) continue;
    total += static_cast<int64_t>(slot.rows.front().size());
    taken = &slot;
  }
  return total;
}

Result<void> Iteration::check_sizes() const {
  for (const CallSlot& slot : slots_) SMELT_TRY_VOID(slot.frame.check_sizes());
  return {};
}

void Iteration::read_values() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const CallFrame& frame = slots_[i].frame;
    size_t report = 0;
    for (size_t k = 0; k < frame.entry().outputs.size(); ++k) {
      const BindingKind kind = frame.entry().outputs[k].kind;
      if (kind == BindingKind::Loss) values_[i].loss.value = frame.scalar(k);
      if (kind == BindingKind::Report) values_[i].reports[report++].value = frame.scalar(k);
    }
  }
}

const NamedValue* Iteration::guard_that_stopped(size_t call) const {
  const ObjectiveValues& values = values_[call];
  if (!std::isfinite(values.loss.value)) return &values.loss;
  for (const size_t report : slots_[call].guards) {
    if (!std::isfinite(values.reports[report].value)) return &values.reports[report];
  }
  return nullptr;
}

void Iteration::keep_losses() {
  for (size_t i = 0; i < slots_.size(); ++i) session_.set_last_loss(slots_[i].plan.step, values_[i].loss.value);
}

bool Iteration::take_up_losses(const std::map<std::string, double>& losses) {
  for (ObjectiveValues& values : values_) {
    const auto found = losses.find(values.loss.name);
    if (found == losses.end()) return false;
    // The log has the shortest text that reads back as a number of the loss's own type.
    values.loss.value = values.loss.dtype == DType::F64 ? found->second : static_cast<float>(found->second);
  }
  keep_losses();
  return true;
}

}  // namespace smelt
