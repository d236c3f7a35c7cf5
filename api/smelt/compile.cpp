#include "api/smelt/compile.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "api/smelt/cached_program.h"
#include "api/smelt/pretrained.h"
#include "api/smelt/split_checks.h"
#include "compiler/codegen/make_target.h"
#include "compiler/compile_clock.h"
#include "frontend/build_experiment.h"
#include "ir/readers.h"
#include "ir/support/check.h"
#include "ir/support/printable.h"
#include "runtime/files/file.h"

namespace smelt {
namespace {

using Probed = std::optional<std::vector<Column>>;

/// Columns of one reader call. Without needs_data a missing file is no error, a bad one always is.
Result<Probed> probe(const std::string& section, const SourceCall& source, const DataPaths& paths,
                     const ModelOptions& options, CheckedModel& model) {
  const auto known = std::ranges::find_if(options.known_sources, [&](const KnownSource& one) {
    const bool ours = one.section == section || one.section.empty();
    return ours && one.reader == source.reader && one.paths == source.paths && !one.columns.empty();
  });
  if (!options.needs_data && known != options.known_sources.end()) return known->columns;
  for (const std::string& path : source.paths) {
    const Result<std::string> place = resolve_data_path(path, section, paths);
    if (place) continue;
    // A run whose training data is gone is evaluated on another split: what that one lacks is said when it is opened.
    if (known != options.known_sources.end()) return known->columns;
    if (options.needs_data) continue;
    const ReaderRecord* reader = find_reader_record(source.reader);
    if (reader == nullptr || (!reader->typed() && reader->dtype != DType::U8))  // those say what their columns are
      model.data_notes.push_back(
          fmt::format("{}; its columns are taken to be what the model declares", place.error().message));
    return std::nullopt;
  }
  SMELT_TRY(std::vector<Column> columns, probe_source(source, section, paths));
  SMELT_TRY_VOID(check_source(source, section, paths));
  return columns;
}

FrontendOptions frontend_options(const ModelOptions& options, const DataPaths& data, CheckedModel& model) {
  FrontendOptions frontend;
  frontend.config = options.config;
  for (const auto& [section, directory] : data.directories) frontend.data_sections.push_back(section);
  frontend.batch = options.batch;
  frontend.epochs = options.epochs;
  frontend.steps = options.steps;
  frontend.seed = options.seed;
  frontend.train = options.train;
  frontend.precision = options.precision;
  frontend.limits = options.limits;
  frontend.probe = [&data, &options, &model, checks = SplitChecks()](const std::string& section,
                                                                     const SourceCall& source) mutable {
    Result<Probed> columns = probe(section, source, data, options, model);
    if (const Result<void> checked = checks.check(section, source, data); columns && !checked)
      columns = std::unexpected(checked.error());
    if (!columns && !model.data_error) model.data_error = columns.error();
    return columns;
  };
  return frontend;
}

}  // namespace

DataPaths data_paths(const ModelOptions& options, const std::string& path) {
  DataPaths paths = options.data;
  const auto directory = std::filesystem::path(path).parent_path();
  paths.model_directory = directory.empty() ? "." : directory.string();
  paths.limits = options.limits;
  return paths;
}

Result<CheckedModel> check_file(const std::string& path, const ModelOptions& options) {
  SMELT_TRY(const Buffer bytes, read_file(path, options.limits, &Limits::model_file));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return check_text(path, std::string(text), options);
}

CheckedModel check_text(std::string path, std::string text, const ModelOptions& options) {
  CheckedModel model{.path = std::move(path), .text = std::move(text), .sources = std::make_unique<SourceMap>()};
  model.diagnostics = Diagnostics(options.limits);
  const DataPaths data = data_paths(options, model.path);
  const uint32_t file = model.sources->add({.name = model.path, .text = model.text});
  model.experiment = build_experiment(*model.sources, file, frontend_options(options, data, model), model.diagnostics);
  check_pretrained(model, data);
  return model;
}

namespace {

/// What work(clock) makes, or the error of a compile that took too long.
template <typename Work>
auto within_limits(const ModelOptions& options, const Work& work) {
  CompileClock clock({.stop_after_ms = options.limits.compile, .on_note = options.on_slow_compile});
  using Made = decltype(work(clock));
  try {
    return work(clock);
  } catch (const CompileTooLong&) {
    return Made(std::unexpected(clock.error()));
  }
}

}  // namespace

Result<LoweredExperiment> lower(const CheckedModel& model, const ModelOptions& options) {
  SMELT_TRY(const Target target, make_target(options.cpu));
  SMELT_CHECK(model.experiment.has_value(), "a model with errors is not lowered");
  return within_limits(options, [&](CompileClock& clock) {
    return lower_experiment(*model.experiment, target, options.passes, *model.sources, &clock);
  });
}

Result<CompiledProgram> compile_program(const CheckedModel& model, const ModelOptions& options) {
  SMELT_TRY(const Target target, make_target(options.cpu));
  return within_limits(options, [&](CompileClock& clock) { return cached_program(model, target, options, &clock); });
}

Result<std::unique_ptr<CompiledModel>> load(CompiledProgram program) {
  SMELT_TRY(LoadedObject object, LoadedObject::load(program.object, program.places));
  return std::make_unique<CompiledModel>(CompiledModel{std::move(program), std::move(object), 0});
}

Result<std::unique_ptr<CompiledModel>> compile(const CheckedModel& model, const ModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  SMELT_TRY(const Target target, make_target(options.cpu));
  if (!runs_here(target)) {
    return fail(ErrorKind::Usage, fmt::format("this machine cannot run code for `{}`", options.cpu),
                "leave out --cpu; `--cpu native` takes the place of one that a run remembers");
  }
  SMELT_TRY(CompiledProgram program, compile_program(model, options));
  malloc_trim(0);  // glibc keeps what compiling freed, 62 MB for inception_v3, and training would come on top of it
  SMELT_TRY(std::unique_ptr<CompiledModel> compiled, load(std::move(program)));
  compiled->functions();  // links, so that the first step does not
  compiled->compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return compiled;
}

LoadedProgram CompiledModel::functions() const {
  LoadedProgram loaded;
  for (const Entry& entry : program.entries) loaded.entries.push_back(object.find(entry.symbol));
  if (!program.iteration_symbol.empty()) loaded.iteration = object.find(program.iteration_symbol);
  return loaded;
}

}  // namespace smelt
