#include "api/smelt/cached_program.h"

#include <fmt/format.h>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/loops/kernel_identity.h"
#include "ir/support/bytes.h"
#include "ir/support/check.h"
#include "runtime/files/sha256.h"
#include "runtime/object_cache.h"

namespace smelt {
namespace {

std::optional<ObjectCache> open_cache(const std::string& directory) {
  if (directory.empty() || build_identity().empty()) return std::nullopt;
  Result<ObjectCache> cache = ObjectCache::open(directory);
  if (!cache) return std::nullopt;
  return std::move(*cache);
}

/// The compiler that makes code, and the machine that it makes it for.
std::string maker_of(const Target& target, const ModelOptions& options) {
  return to_bytes(build_identity(), std::string(code_generator()), target, options.optimize);
}

/// What a description is made of. The library's texts belong to the build.
std::string program_key(const CheckedModel& model, const Target& target, const ModelOptions& options) {
  return sha256_hex(to_bytes(std::string_view("program"), maker_of(target, options), options.passes, model.path,
                             model.text, *model.experiment));
}

std::string object_key(const LoopProgram& loops, const Target& target, const ModelOptions& options) {
  return sha256_hex(to_bytes(std::string_view("object"), maker_of(target, options), identify(loops)));
}

/// A description, and the key of its object.
struct KeptProgram {
  CompiledProgram program;
  std::string object;
};

std::optional<CompiledProgram> find_program(const ObjectCache& cache, const std::string& key) {
  const std::optional<std::vector<char>> bytes = cache.find(key);
  if (!bytes) return std::nullopt;
  std::optional<KeptProgram> kept = from_bytes<KeptProgram>({bytes->data(), bytes->size()});
  if (!kept) return std::nullopt;
  std::optional<std::vector<char>> object = cache.find(kept->object);
  if (!object) return std::nullopt;
  kept->program.object = std::move(*object);
  return std::move(kept->program);
}

/// `description` has no object yet: that has an entry of its own.
void store_program(const ObjectCache& cache, const std::string& key, const CompiledProgram& description,
                   const std::string& object) {
  const std::string bytes = to_bytes(description, object);
  (void)cache.store(key, {bytes.begin(), bytes.end()});
}

/// Two programs are the same when their code and their description are.
uint64_t hash_of(const CompiledProgram& program, std::string_view text) {
  const auto digest = sha256_hex(fmt::format("{}\n{}\n{}", program.cpu, program.arena_bytes, text));
  return std::stoull(digest.substr(0, 16), nullptr, 16);
}

KernelPlaces places_of(const LoopProgram& loops, const SourceMap& sources) {
  KernelPlaces places;
  for (const LoopFunction& function : loops.functions) {
    for (size_t k = 0; k < function.kernels.size(); ++k)
      places[fmt::format("{}.{}", function.name, name_of(function, k))] = sources.describe(function.kernels[k].span);
  }
  return places;
}

/// All but the object.
CompiledProgram description_of(LoweredExperiment& lowered, const CheckedModel& model, const Target& target) {
  CompiledProgram program = std::move(lowered.program);
  program.cpu = target.name == "native" ? target.cpu : target.name;
  program.hash = hash_of(program, model.text);
  program.places = places_of(lowered.loops, *model.sources);
  return program;
}

}  // namespace

Result<CompiledProgram> cached_program(const CheckedModel& model, const Target& target, const ModelOptions& options,
                                       CompileClock* clock) {
  SMELT_CHECK(model.experiment.has_value(), "a model with errors is not compiled");
  const std::optional<ObjectCache> cache = open_cache(options.cache_directory);
  const std::string key = cache ? program_key(model, target, options) : "";
  if (cache) {
    if (std::optional<CompiledProgram> known = find_program(*cache, key)) return std::move(*known);
  }
  SMELT_TRY(LoweredExperiment lowered,
            lower_experiment(*model.experiment, target, options.passes, *model.sources, clock));
  CompiledProgram program = description_of(lowered, model, target);
  const auto emit = [&] {
    return emit_program(lowered.loops, target, CodeKind::Object, {.optimize = options.optimize, .clock = clock});
  };
  if (!cache) {
    program.object = emit();
    return program;
  }
  const std::string code = object_key(lowered.loops, target, options);
  store_program(*cache, key, program, code);
  if (std::optional<std::vector<char>> known = cache->find(code)) {
    program.object = std::move(*known);
  } else {
    program.object = emit();
    (void)cache->store(code, program.object);
  }
  return program;
}

}  // namespace smelt
