// debug grads: the gradients of one batch, for comparing them with another system.
#include <fmt/format.h>

#include <cstring>
#include <list>

#include "api/smelt/gradients.h"
#include "cli/commands/debug.h"
#include "ir/support/printable.h"
#include "runtime/call_frame.h"
#include "runtime/checkpoint.h"
#include "runtime/data/train_batches.h"
#include "runtime/files/safetensors.h"
#include "runtime/trainer.h"

namespace smelt::cli {
namespace {

struct GradsFlags {
  ModelFlags model;
  std::string weights, output, objective;
  bool shuffle = false;
};

Result<void> write_gradients(const GradsFlags& flags, Session& session, std::span<const Dataset> data) {
  const CompiledProgram& program = session.program();
  const auto entry =
      std::ranges::find(program.entries, FunctionKind::Gradients, &Entry::kind);  // the one that was added
  CallFrame frame = session.frame(*entry);
  SMELT_TRY_VOID(frame.own_outputs());
  std::list<std::vector<int32_t>> rows;  // the frame points to them
  const SplitSets training = training_sets(data);
  frame.set_datasets(training);
  TrainPlan plan = program.train;
  plan.shuffle = flags.shuffle;
  if (!plan.shuffle) plan.bucket = 0;  // the first rows as they are in the file
  for (const Dataset* set : training) {
    const bool full = !frame.has_free_batch() || training.size() > 1;
    SMELT_TRY(Batches batches, train_batches(plan, *set, full ? RestOfEpoch::Dropped : RestOfEpoch::Kept));
    const auto first = batches.next();
    rows.emplace_back(first.begin(), first.end());
    frame.set_rows(set->section(), rows.back());
  }
  SMELT_TRY_VOID(frame.check_sizes());
  SMELT_TRY_VOID(check_status(session.call(frame), *entry));
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < entry->outputs.size(); ++i) {
    const Binding& output = entry->outputs[i];
    SMELT_TRY(HostTensor tensor, HostTensor::zeros(output.type.dtype, static_shape(output.type)));
    std::memcpy(tensor.data.data(), frame.output(i), tensor.data.size());
    tensors.push_back({output.kind == BindingKind::Loss ? "loss" : output.name, std::move(tensor)});
  }
  std::vector<TensorToStore> views;
  for (const NamedTensor& tensor : tensors)
    views.push_back({tensor.name, tensor.tensor.dtype, tensor.tensor.shape, tensor.tensor.data.bytes()});
  return write_safetensors(flags.output, std::move(views), {});
}

int run_grads(const GradsFlags& flags) {
  int code = kOk;
  std::optional<OpenedModel> model = open_model(flags.model, code, {.needs_data = true});
  if (!model) return code;
  std::optional<Experiment>& experiment = model->checked.experiment;
  std::string objective = flags.objective;
  if (objective.empty() && !experiment->objectives.empty()) objective = experiment->objectives[0].name;
  Result<Experiment> extended = with_gradients(*experiment, objective);
  if (!extended) return report(extended.error());
  experiment = std::move(*extended);
  Result<RunningModel> running = start_model(std::move(model->checked), model->options, flags.model.threads, 1);
  if (!running) return report(running.error());
  if (!flags.weights.empty()) {
    const auto loaded = load_weights(flags.weights, *running->session);
    if (!loaded) return report(loaded.error());
  }
  const Result<std::vector<Dataset>> data =
      open_data(running->session->program().data, model->options, flags.model.file, flags.model.threads);
  if (!data) return report(data.error());
  const Result<void> written = write_gradients(flags, *running->session, *data);
  if (!written) return report(written.error());
  fmt::print("{}\n", printable_lines(flags.output));
  return kOk;
}

}  // namespace

DebugTool add_debug_grads(Options options) {
  auto flags = std::make_shared<GradsFlags>();
  Options grads = options.command("grads", "gradients of the first batch, in file order, as safetensors");
  add_model_flags(grads, flags->model, kRunning);
  grads.add("--weights", flags->weights, "a run, a checkpoint or a safetensors file").checkpoint();
  grads.add("--objective", flags->objective, "default: the first");
  grads.add("-o,--output", flags->output, "result file").required();
  grads.flag("--shuffle", flags->shuffle, "the first batch of the shuffled order");
  return {grads, [flags] { return run_grads(*flags); }};
}

}  // namespace smelt::cli
