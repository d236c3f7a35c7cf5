#include "api/smelt/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include "compiler/codegen/emit_program.h"
#include "compiler/loops/kernel_identity.h"
#include "compiler/loops/plan_memory.h"
#include "compiler/pipeline.h"
#include "frontend/build_experiment.h"
#include "frontend/parser.h"
#include "ir/support/check.h"
#include "ir/support/printable.h"
#include "ir/text.h"
#include "runtime/files/file.h"
#include "runtime/files/sha256.h"
#include "runtime/object_cache.h"

namespace smelt {
namespace {

constexpr uint64_t kMaxModelBytes = 16u << 20;

using Probed = std::optional<std::vector<Column>>;

/// Columns of one reader call. Without needs_data a missing file is no error, a bad one always is.
Result<Probed> probe(const std::string& section, const SourceCall& source, const DataPaths& paths,
                     const ModelOptions& options, CheckedModel& model) {
  const auto known = std::ranges::find_if(options.known_sources, [&](const KnownSource& one) {
    return one.reader == source.reader && one.paths == source.paths && !one.columns.empty();
  });
  if (!options.needs_data && known != options.known_sources.end()) return known->columns;
  for (const std::string& path : source.paths) {
    const Result<std::string> place = resolve_data_path(path, section, paths);
    if (place || options.needs_data) continue;
    if (source.reader != "idx")  // whose columns are bytes, as its field's shape says
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
  frontend.precision = options.precision;
  frontend.probe = [&data, &options, &model](const std::string& section, const SourceCall& source) {
    Result<Probed> columns = probe(section, source, data, options, model);
    if (!columns && !model.data_error) model.data_error = columns.error();
    return columns;
  };
  return frontend;
}

/// Two programs are the same when their code and their description are.
uint64_t hash_of(const CompiledProgram& program, std::string_view text) {
  const auto digest = sha256_hex(fmt::format("{}\n{}\n{}", program.cpu, program.arena_bytes, text));
  return std::stoull(digest.substr(0, 16), nullptr, 16);
}

/// What an object depends on: the loops, the machine, and the compiler that makes code of them.
std::string cache_key(const LoopProgram& loops, const Target& target, bool optimize) {
  return sha256_hex(fmt::format("{}\n{}\n{} {} {} of {} bytes {}\n{}", build_identity(), code_generator(), target.cpu,
                                target.features, target.vector_registers, target.vector_bytes, optimize,
                                identify(loops)));
}

KernelPlaces places_of(const LoopProgram& loops, const SourceMap& sources) {
  KernelPlaces places;
  for (const LoopFunction& function : loops.functions) {
    for (const Kernel& kernel : function.kernels)
      places[fmt::format("{}.{}", function.name, kernel.name)] = sources.describe(kernel.span);
  }
  return places;
}

/// From the cache, or compiled and put there. A cache that cannot be used costs time, never a result.
std::vector<char> cached_object(const LoopProgram& loops, const Target& target, const ModelOptions& options) {
  const auto compiled = [&] { return emit_program(loops, target, CodeKind::Object, {.optimize = options.optimize}); };
  if (options.cache_directory.empty() || build_identity().empty()) return compiled();
  const Result<ObjectCache> cache = ObjectCache::open(options.cache_directory);
  if (!cache) return compiled();
  const std::string key = cache_key(loops, target, options.optimize);
  if (std::optional<std::vector<char>> known = cache->find(key)) return std::move(*known);
  std::vector<char> object = compiled();
  (void)cache->store(key, object);
  return object;
}

}  // namespace

Result<CheckedModel> check_file(const std::string& path, const ModelOptions& options) {
  SMELT_TRY(const Buffer bytes, read_file(path, {.max_bytes = kMaxModelBytes}));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return check_text(path, std::string(text), options);
}

CheckedModel check_text(std::string path, std::string text, const ModelOptions& options) {
  CheckedModel model{.path = std::move(path), .text = std::move(text), .sources = std::make_unique<SourceMap>()};
  DataPaths data = options.data;
  const auto directory = std::filesystem::path(model.path).parent_path();
  data.model_directory = directory.empty() ? "." : directory.string();
  const uint32_t file = model.sources->add({.name = model.path, .text = model.text});
  model.experiment = build_experiment(*model.sources, file, frontend_options(options, data, model), model.diagnostics);
  return model;
}

Result<LoweredExperiment> lower(const CheckedModel& model, const ModelOptions& options) {
  SMELT_CHECK(model.experiment.has_value(), "a model with errors is not lowered");
  SMELT_TRY(const Target target, make_target(options.cpu));
  const DType arithmetic = model.experiment->precision == DType::F64 ? DType::F64 : DType::F32;
  VectorRegisters registers = target.registers(arithmetic);
  registers.bf16_pairs = target.has_bf16_pairs && model.experiment->precision == DType::BF16;
  SMELT_TRY(LoweredExperiment lowered, lower_experiment(*model.experiment, registers, options.passes, *model.sources));
  lowered.loops.vector_dtype = arithmetic;  // what the tile's columns are counted in
  return lowered;
}

Result<CompiledProgram> compile_program(const CheckedModel& model, const ModelOptions& options) {
  SMELT_TRY(LoweredExperiment lowered, lower(model, options));
  SMELT_TRY(const Target target, make_target(options.cpu));
  CompiledProgram program = std::move(lowered.program);
  program.cpu = target.name == "native" ? target.cpu : target.name;
  program.hash = hash_of(program, model.text);
  program.places = places_of(lowered.loops, *model.sources);
  program.object = cached_object(lowered.loops, target, options);
  return program;
}

Result<std::unique_ptr<CompiledModel>> load(CompiledProgram program) {
  SMELT_TRY(LoadedObject object, LoadedObject::load(program.object, program.places));
  return std::make_unique<CompiledModel>(CompiledModel{std::move(program), std::move(object), 0});
}

Result<std::unique_ptr<CompiledModel>> compile(const CheckedModel& model, const ModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  SMELT_TRY(const Target target, make_target(options.cpu));
  if (!runs_here(target)) {
    return fail(ErrorKind::Usage, fmt::format("this machine cannot run code for `{}`", options.cpu), "leave out --cpu");
  }
  SMELT_TRY(CompiledProgram program, compile_program(model, options));
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

namespace {

struct DumpContext {
  const CheckedModel& model;
  const ModelOptions& options;
};

Result<std::string> dump_ast(const DumpContext& context) {
  Diagnostics diagnostics;
  return ast::print(parse(*context.model.sources, 0, diagnostics));
}

Result<std::string> dump_graph(const DumpContext& context) {
  std::string out;
  for (const Function& function : context.model.experiment->functions) out += print(function.graph) + "\n";
  return out;
}

/// Every function's graph after the pass that `stop_after` names.
Result<std::string> dump_stopped(const DumpContext& context) {
  std::string out;
  for (const Function& function : context.model.experiment->functions) {
    SMELT_TRY(const PipelineResult stopped, run_graph_pipeline(function.graph, context.options.passes));
    out += print(stopped.graph) + "\n";
  }
  return out;
}

Result<std::string> dump_grad(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out;
  for (const Graph& graph : lowered.optimized) out += print(graph) + "\n";
  return out;
}

Result<std::string> dump_fused(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out;
  for (size_t f = 0; f < lowered.optimized.size(); ++f) out += print(lowered.optimized[f], lowered.fusion[f]) + "\n";
  return out;
}

Result<std::string> dump_loops(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out;
  for (const LoopFunction& function : lowered.loops.functions) out += print(function) + "\n";
  return out;
}

Result<std::string> dump_memory(const DumpContext& context) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  std::string out = fmt::format("arena {} bytes, of which variables {}\n", lowered.program.arena_bytes,
                                lowered.program.variables_end);
  for (const LoopFunction& function : lowered.loops.functions) out += print_memory(function);
  return out;
}

Result<std::string> dump_code(const DumpContext& context, CodeKind kind) {
  SMELT_TRY(const LoweredExperiment lowered, lower(context.model, context.options));
  SMELT_TRY(const Target target, make_target(context.options.cpu));
  const std::vector<char> text = emit_program(lowered.loops, target, kind, {.optimize = context.options.optimize});
  return std::string(text.begin(), text.end());
}
Result<std::string> dump_llvm(const DumpContext& context) { return dump_code(context, CodeKind::LlvmIr); }
Result<std::string> dump_asm(const DumpContext& context) { return dump_code(context, CodeKind::Assembly); }

struct StageRow {
  std::string_view name;
  Result<std::string> (*dump)(const DumpContext&);
};
constexpr std::array kStages = {StageRow{"ast", dump_ast},     StageRow{"graph", dump_graph},
                                StageRow{"grad", dump_grad},   StageRow{"fused", dump_fused},
                                StageRow{"loops", dump_loops}, StageRow{"memory", dump_memory},
                                StageRow{"llvm", dump_llvm},   StageRow{"asm", dump_asm}};

}  // namespace

std::vector<std::string_view> dump_stages() {
  std::vector<std::string_view> names;
  for (const StageRow& row : kStages) names.push_back(row.name);
  return names;
}

Result<std::string> dump(const CheckedModel& model, std::string_view stage, const ModelOptions& options) {
  const std::string& stop = options.passes.stop_after;
  for (const StageRow& row : kStages) {
    if (row.name != stage) continue;
    if (stop.empty()) return row.dump({model, options});
    if (stage == "graph" || stage == "grad") return dump_stopped({model, options});
    return fail(ErrorKind::Usage,
                fmt::format("stage `{}` is {}: stopped after `{}` there is none", stage,
                            stage == "ast" ? "made before any pass" : "made when all passes of graphs have run",
                            printable(stop)),
                "print the graph where it stopped with `--stage graph`");
  }
  std::string known;
  for (const std::string_view name : dump_stages()) known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
  return fail(ErrorKind::Usage, fmt::format("unknown stage `{}`", stage), "one of " + known);
}

}  // namespace smelt
