#include "cli/run_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "api/smelt/pretrained.h"
#include "cli/console.h"
#include "ir/support/printable.h"
#include "runtime/data/load_csv.h"
#include "runtime/run_directory.h"

namespace smelt::cli {
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path place = std::filesystem::absolute(path, error);
  return error ? path : place.lexically_normal().string();
}

namespace {

Result<RunRecord> look_into_run(ModelFlags& flags, std::string& weights) {
  if (weights.empty()) {
    SMELT_TRY(weights, named_checkpoint(flags.file));
  }
  SMELT_TRY(RunRecord record, read_run_record(flags.file));
  flags.file = (std::filesystem::path(flags.file) / "model.smelt").string();
  recall(record, flags);
  return record;
}

/// Nothing for weights of other programs; or of a damaged file, which whoever loads it says.
std::optional<TrainState> state_of(const std::string& weights, const Limits& limits) {
  if (weights.empty()) return std::nullopt;
  Result<TrainState> state = read_checkpoint_state(weights, limits);
  return state ? std::optional(*std::move(state)) : std::nullopt;
}

KnownWords words_of(const std::string& weights, const TrainState& state) {
  return {fmt::format("`{}`", printable(weights)), state.words};
}

std::optional<SourcedModel> failed(const Error& error, int& code) {
  code = report(error);
  return std::nullopt;
}

}  // namespace

void recall(const RunRecord& record, ModelFlags& flags) {
  for (const auto& [name, value] : record.config) {
    const bool given =
        std::ranges::any_of(flags.sets, [&, key = name + "="](const std::string& set) { return set.starts_with(key); });
    if (!given) flags.sets.push_back(fmt::format("{}={}", name, value));
  }
  if (!flags.batch) flags.batch = record.batch;
  if (!flags.epochs) flags.epochs = record.epochs;
  if (!flags.seed) flags.seed = record.seed;
  if (flags.precision.empty()) flags.precision = record.precision;
  if (flags.train.empty()) flags.train = record.train;
  if (flags.cpu.empty()) flags.cpu = record.cpu;
  if (flags.disabled.empty()) flags.disabled = record.disabled;
}

void recall(const RunRecord& record, ModelOptions& options) {
  options.known_sources = record.sources;
  for (const KnownSource& source : record.sources) {
    for (size_t k = 0; k < source.paths.size(); ++k)
      options.data.recorded[{source.section, source.paths[k]}] = source.places[k];
  }
}

Result<RunRecord> make_record(const ModelFlags& flags, const ModelOptions& options,
                              const std::optional<DataPlan>& plan) {
  RunRecord record{.config = options.config,
                   .batch = flags.batch,
                   .epochs = flags.epochs,
                   .seed = flags.seed,
                   .precision = flags.precision,
                   .train = flags.train,
                   .cpu = flags.cpu,
                   .disabled = flags.disabled};
  if (!plan) return record;
  const DataPaths paths = data_paths(options, flags.file);
  for (const Split& split : plan->splits) {
    const std::string& section = plan->section_name(split.section);
    KnownSource source{section, split.source.reader, split.source.paths, {}, {}};
    for (const std::string& path : source.paths) {
      SMELT_TRY(const std::string place, resolve_data_path(path, section, paths));
      source.places.push_back(absolute(place));
    }
    SMELT_TRY(source.columns, probe_source(split.source, section, paths));
    record.sources.push_back(std::move(source));
    if (split.source.tokens.empty()) continue;
    SMELT_TRY(const std::string model, resolve_data_path(split.source.tokens, section, paths));
    record.sources.push_back({section, split.source.reader, {split.source.tokens}, {absolute(model)}, {}});
  }
  return record;
}

std::optional<SourcedModel> open_source(ModelFlags flags, const std::string& weights, NeedsData needs, int& code) {
  SourcedModel model{.options = {}, .checked = {}, .weights = weights, .trained = {}};
  RunRecord record;
  const std::optional<uint64_t> asked = flags.seed;
  if (is_run_directory(flags.file)) {
    Result<RunRecord> found = look_into_run(flags, model.weights);
    if (!found) return failed(found.error(), code);
    record = std::move(*found);
  }
  // Constants are drawn and rows are split by the seed that the weights were trained with; a flag is for other draws.
  const Result<Limits> limits = limits_of(flags.limits);
  if (!limits) return failed(limits.error(), code);
  model.trained = state_of(model.weights, *limits);
  if (model.trained) flags.seed = model.trained->seed;
  Result<ModelOptions> options = model_options(flags);
  if (!options) return failed(options.error(), code);
  model.options = std::move(*options);
  model.options.draws_seed = asked;
  model.options.needs_data = needs == NeedsData::Yes;
  recall(record, model.options);
  std::optional<CheckedModel> checked = load_model(flags.file, model.options, flags.json, code);
  if (!checked) return std::nullopt;
  model.checked = std::move(*checked);
  return model;
}

Result<void> load_variables(const SourcedModel& source, const CheckedModel& checked, Session& session, Match match) {
  if (source.weights.empty() || match == Match::Partial)
    SMELT_TRY_VOID(load_pretrained(checked, source.options, session));
  return source.weights.empty() ? Result<void>() : load_and_tell(source.weights, session, match);
}

Result<SubwordModels> open_subwords(const ModelOptions& options, const CheckedModel& model) {
  return SubwordModels::open(model.experiment->data, data_paths(options, model.path));
}

Result<SubwordModels> open_subwords(const SourcedModel& source, const CheckedModel& model) {
  SMELT_TRY(SubwordModels subwords, open_subwords(source.options, model));
  if (source.trained) SMELT_TRY_VOID(subwords.check(source.trained->subwords, source.weights));
  return subwords;
}

std::optional<KnownWords> known_words(const DataPlan& plan, const std::string& weights, const Limits& limits) {
  if (!may_have_words(plan)) return std::nullopt;
  const std::optional<TrainState> state = state_of(weights, limits);
  return state ? std::optional(words_of(weights, *state)) : std::nullopt;
}

std::optional<KnownWords> known_words(const DataPlan& plan, const SourcedModel& source) {
  if (!source.trained || !may_have_words(plan)) return std::nullopt;
  return words_of(source.weights, *source.trained);
}

Error partial_of_nothing() {
  return {
      ErrorKind::Usage, "--partial loads what fits of a file, and there is none", "give it with --weights FILE", {}};
}

Result<void> load_and_tell(const std::string& weights, Session& session, Match match) {
  SMELT_TRY(const WeightsReport loaded, load_weights(weights, session, match));
  for (const std::string& name : loaded.missing) say("note: `{}` keeps its initial value: it is not in the file", name);
  for (const std::string& name : loaded.changed)
    say("note: {} keeps its initial value: its shape or type differs", name);
  const auto tell = [](std::string_view what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    say("note: {}: `{}`{}", what, names[0], names.size() == 1 ? "" : fmt::format(" and {} more", names.size() - 1));
  };
  tell("rounded from a wider type", loaded.rounded);
  tell("averages that the file lacks begin as their nets", loaded.begun);
  for (const std::string& name : loaded.unexpected) say("note: `{}` of the file is left out: the model lacks it", name);
  return {};
}

}  // namespace smelt::cli
