// Text in, runnable model out: joins frontend, compiler and runtime. The command line and C++ hosts start here.
//
//   auto checked = smelt::check_file("vae.smelt", options);            // diagnostics, shapes, plans
//   auto model = smelt::compile(std::move(checked), options);          // machine code, loaded
//   auto session = smelt::Session::create(model->program, model->functions(), {.seed = 7});
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compiler/lower_experiment.h"
#include "compiler/options.h"
#include "ir/experiment.h"
#include "ir/support/diagnostics.h"
#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/data/dataset.h"
#include "runtime/loader.h"
#include "runtime/program.h"
#include "runtime/run_record.h"

namespace smelt {

struct ModelOptions {
  std::vector<std::pair<std::string, std::string>> config;  // `--set name=value`
  std::optional<int64_t> batch, epochs, steps;
  std::optional<uint64_t> seed;
  std::optional<uint64_t> draws_seed;      // of draws alone: constants and splits are those of `seed`
  std::string train;                       // the name of a train section; empty: the first one
  std::optional<DType> precision;          // F32, F64 or BF16; none: what the model file says, else F32
  DataPaths data;                          // where data files are looked for; the model's directory is filled in
  std::vector<KnownSource> known_sources;  // what files held that may be gone (run.json)
  bool needs_data = false;                 // missing data files are an error; else shapes come from declared types
  std::string cpu = "native";
  bool optimize = true;         // false: no LLVM passes
  CompileOptions passes;        // disable_pass.h leaves some out by name
  std::string cache_directory;  // objects are looked for and kept here (runtime/object_cache.h); empty: nowhere
  Limits limits;                // of the model file, what is built of it, its compile, and the data that it reads
  std::function<void(const std::string&)> on_slow_compile;  // told once of a compile that takes long; may be empty
};

/// A model file after the frontend. `experiment` is empty when there are errors.
struct CheckedModel {
  std::string path;  // as given
  std::string text;
  std::unique_ptr<SourceMap> sources;
  Diagnostics diagnostics;
  std::optional<Experiment> experiment;
  std::optional<Error> data_error;      // why a data file could not be used; also among the diagnostics
  std::vector<std::string> data_notes;  // files that are not there, so that columns are what the model declares
};

/// Where the data of the model file `path` are, and the limits of what is read there.
DataPaths data_paths(const ModelOptions& options, const std::string& path);

/// Errors: Input when the file cannot be read; Limit beyond `Limits::model_file`. Mistakes in the model are in
/// `diagnostics`.
Result<CheckedModel> check_file(const std::string& path, const ModelOptions& options);
CheckedModel check_text(std::string path, std::string text, const ModelOptions& options);

/// A compiled experiment, loaded. Sessions refer to `program` and to the loaded code: keep it alive.
struct CompiledModel {
  CompiledProgram program;
  LoadedObject object;
  double compile_ms = 0;  // lowering, LLVM and loading

  LoadedProgram functions() const;
};

/// Everything before machine code. Errors (Limit), of the next two as well: it cannot be brought within the memory
/// budget, or takes longer than it may.
Result<LoweredExperiment> lower(const CheckedModel& model, const ModelOptions& options);
/// The object bytes and their description, not loaded: what `smelt build` writes.
Result<CompiledProgram> compile_program(const CheckedModel& model, const ModelOptions& options);
Result<std::unique_ptr<CompiledModel>> compile(const CheckedModel& model, const ModelOptions& options);
Result<std::unique_ptr<CompiledModel>> load(CompiledProgram program);

}  // namespace smelt
