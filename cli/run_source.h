// Models that come with weights: a run directory, or a model file with `--weights`.
#pragma once

#include <optional>
#include <string>

#include "cli/common.h"
#include "runtime/checkpoint.h"
#include "runtime/data/subword_models.h"
#include "runtime/run_record.h"

namespace smelt::cli {

/// What `eval`, `run` and `sample` begin with.
struct SourcedModel {
  ModelOptions options;
  CheckedModel checked;
  std::string weights;  // a checkpoint or safetensors file; empty: initial values
  /// What the checkpoint says of its training; nothing for weights of other programs. It is read once, because the
  /// whole file is checked for it.
  std::optional<TrainState> trained;
};
enum class NeedsData : uint8_t { No, Yes };
/// FILE, or RUNDIR: that gives its model text, the best checkpoint or else the last, and what the run was started with,
/// unless a flag says otherwise. Nothing when there are errors, which are reported: `code` is set then.
std::optional<SourcedModel> open_source(ModelFlags flags, const std::string& weights, NeedsData needs, int& code);

/// The variables of `session`: of the source's weights, else what the model begins with. Errors: as load_weights; Input
/// of a file that a `from` names.
Result<void> load_variables(const SourcedModel& source, const CheckedModel& checked, Session& session, Match match);
/// The models of subwords of a model's data. Errors: Input.
Result<SubwordModels> open_subwords(const ModelOptions& options, const CheckedModel& model);
/// The same of `source`, whose weights have to be trained with them. `model`: its own, which may have moved.
Result<SubwordModels> open_subwords(const SourcedModel& source, const CheckedModel& model);

/// The words that labels were numbers of when the checkpoint `weights` was trained; nothing where that is not known.
std::optional<KnownWords> known_words(const DataPlan& plan, const std::string& weights, const Limits& limits);
std::optional<KnownWords> known_words(const DataPlan& plan, const SourcedModel& source);

/// What is wrong with --partial where no file of parameters is given.
Error partial_of_nothing();

/// Loads weights; says which variables keep their initial values and what of the file was left out.
Result<void> load_and_tell(const std::string& weights, Session& session, Match match);

/// A path that means the same from every folder.
std::string absolute(const std::string& path);

/// Flags that were not given become those that the run was started with.
void recall(const RunRecord& record, ModelFlags& flags);
/// The places and columns of its data.
void recall(const RunRecord& record, ModelOptions& options);

/// What a run that is started with these flags has to remember.
Result<RunRecord> make_record(const ModelFlags& flags, const ModelOptions& options,
                              const std::optional<DataPlan>& plan);

}  // namespace smelt::cli
