// run and sample: an exported function on files, or on draws.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/commands.h"
#include "ir/half_bits.h"
#include "ir/support/suggest.h"
#include "runtime/checkpoint.h"
#include "runtime/files/npy.h"
#include "runtime/files/png.h"
#include "runtime/grid.h"

namespace smelt::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string name, weights, output, shape;
  std::vector<std::string> inputs;  // name=FILE.npy
  int64_t count = 64;
  bool partial = false, force = false;
};

Result<const Entry*> find_export(const CompiledProgram& program, const std::string& name) {
  if (const Entry* entry = program.find(FunctionKind::Export, name)) return entry;
  std::vector<std::string_view> names;
  for (const Entry& entry : program.entries) {
    if (entry.kind == FunctionKind::Export) names.push_back(entry.name);
  }
  return fail(ErrorKind::Usage, fmt::format("{} has no export `{}`", program.name, name), suggest(name, names));
}

Result<std::vector<NamedTensor>> read_inputs(const std::vector<std::string>& inputs) {
  std::vector<NamedTensor> tensors;
  for (const std::string& input : inputs) {
    const size_t at = input.find('=');
    if (at == std::string::npos || at == 0) {
      return fail(ErrorKind::Usage, fmt::format("--input `{}` has no `=`", input), "write --input x=FILE.npy");
    }
    SMELT_TRY(NpyFile file, read_npy(input.substr(at + 1)));
    for (const std::string& note : file.notes) fmt::print(stderr, "note: {}\n", note);
    tensors.push_back({input.substr(0, at), std::move(file.tensor)});
  }
  return tensors;
}

/// [N, H*W] becomes [N, H, W] when `--shape HxW` says so.
Result<void> reshape_flat(HostTensor& images, const std::string& shape) {
  if (shape.empty()) return {};
  const size_t cross = shape.find('x');
  const int64_t height = std::atoll(shape.c_str());
  const int64_t width = cross == std::string::npos ? 0 : std::atoll(shape.c_str() + cross + 1);
  if (height <= 0 || width <= 0)
    return fail(ErrorKind::Usage, fmt::format("--shape `{}` is not HxW", shape), "such as --shape 28x28");
  if (images.shape.size() != 2 || images.shape[1] != height * width) {
    return fail(ErrorKind::Usage, fmt::format("{} cannot be seen as pictures of {}x{}",
                                              describe(images.dtype, images.shape), height, width));
  }
  images.shape = {images.shape[0], height, width};
  return {};
}

/// What maps to black and white: the range that the compiler knows, else 0..1.
GridOptions picture_options(const Entry& entry, const std::string& result) {
  const auto output = std::ranges::find(entry.outputs, result, &Binding::name);
  if (output != entry.outputs.end() && output->range.known())
    return {.low = output->range.low, .high = output->range.high};
  fmt::print(
      stderr,
      "note: the range of `{}` is not known: 0..1 is mapped to black and white, and what lies outside is clamped\n",
      result);
  return {};
}

Result<void> write_output(const Flags& flags, NamedTensor& result, const CompiledProgram& program, const Entry& entry) {
  if (!flags.force && std::filesystem::exists(flags.output)) {
    return fail(ErrorKind::Output, fmt::format("{} exists", flags.output), "give another name, or --force");
  }
  if (!flags.output.ends_with(".png")) return write_npy(flags.output, result.tensor);
  SMELT_TRY_VOID(reshape_flat(result.tensor, flags.shape));
  if (result.tensor.shape.size() == 2) {
    return fail(ErrorKind::Usage,
                fmt::format("{} is no picture: its pixels are one flat axis",
                            describe(result.tensor.dtype, result.tensor.shape)),
                "say how it folds, such as --shape 28x28, or write an .npy file");
  }
  SMELT_TRY(const Picture picture, make_grid(result.tensor, picture_options(entry, result.name)));
  return write_png(flags.output, picture,
                   {{"smelt:export", flags.name}, {"smelt:seed", fmt::format("{}", program.train.seed)}});
}

/// No npy file has bf16, and few have f16: floats of a file are rounded where the export takes halves.
Result<void> round_to_halves(std::vector<NamedTensor>& inputs, const Entry& entry) {
  for (NamedTensor& input : inputs) {
    const auto binding = std::ranges::find(entry.inputs, input.name, &Binding::name);
    if (binding == entry.inputs.end() || !is_half(binding->type.dtype) || !is_float(input.tensor.dtype)) continue;
    SMELT_TRY(input.tensor, convert(input.tensor, binding->type.dtype));
  }
  return {};
}

Result<void> run_export(const Flags& flags, Session& session, bool draw) {
  const CompiledProgram& program = session.program();
  SMELT_TRY(const Entry* entry, find_export(program, flags.name));
  SMELT_TRY(std::vector<NamedTensor> inputs, read_inputs(flags.inputs));
  if (draw) {
    const Entry* sampler = program.find(FunctionKind::Sample, flags.name);
    if (sampler == nullptr) {
      return fail(ErrorKind::Usage, fmt::format("export `{}` does not say what its inputs are drawn from", flags.name),
                  "write `~ Normal(0, 1)` after the type of an input, or use `smelt run` with --input");
    }
    RunOptions options;
    for (const int32_t symbol : sampler->symbols)
      options.sizes.emplace_back(program.symbols[static_cast<size_t>(symbol)].name, flags.count);
    SMELT_TRY(std::vector<NamedTensor> drawn, session.run(*sampler, {}, options));
    for (NamedTensor& tensor : drawn) {
      const bool given =
          std::ranges::any_of(inputs, [&](const NamedTensor& input) { return input.name == tensor.name; });
      if (!given) inputs.push_back(std::move(tensor));
    }
  }
  SMELT_TRY_VOID(round_to_halves(inputs, *entry));
  SMELT_TRY(std::vector<NamedTensor> results, session.run(*entry, inputs));
  if (results.size() != 1)
    return fail(ErrorKind::Unsupported,
                fmt::format("export `{}` has {} results; one file holds one", flags.name, results.size()));
  SMELT_TRY_VOID(write_output(flags, results[0], program, *entry));
  fmt::print("{}  {}\n", flags.output, describe(results[0].tensor.dtype, results[0].tensor.shape));
  return {};
}

int run_command(const Flags& flags, bool draw) {
  const Result<ModelOptions> options = model_options(flags.model);
  if (!options) return report(options.error());
  const Result<ModelSource> source = find_model(flags.model.file, flags.weights);
  if (!source) return report(source.error());
  int code = kOk;
  std::optional<CheckedModel> checked = load_model(source->file, *options, flags.model.json, code);
  if (!checked) return code;
  Result<RunningModel> running = start_model(std::move(*checked), *options, flags.model.threads, 0);
  if (!running) return report(running.error());
  if (source->weights.empty()) {
    fmt::print(stderr, "note: without --weights the parameters have their initial values\n");
  } else if (const auto loaded =
                 load_weights(source->weights, *running->session, flags.partial ? Match::Partial : Match::Strict);
             !loaded) {
    return report(loaded.error());
  }
  const Result<void> done = run_export(flags, *running->session, draw);
  return done ? static_cast<int>(kOk) : report(done.error());
}

Runner add(CLI::App& app, bool draw) {
  auto flags = std::make_shared<Flags>();
  add_model_flags(app, flags->model, kRunning);
  app.add_option("EXPORT", flags->name, "name of the export")->required();
  app.add_option("--weights", flags->weights, "checkpoint or safetensors file");
  app.add_option("--input", flags->inputs, "an input, NAME=FILE.npy (may be repeated)")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("-o,--output", flags->output, "result, .npy or .png")->required();
  app.add_option("--shape", flags->shape, "fold flat pixels for a .png, such as 28x28");
  app.add_flag("--partial", flags->partial, "--weights: load what fits");
  app.add_flag("--force", flags->force, "overwrite the result file");
  if (draw) app.add_option("-n", flags->count, "how many to draw")->check(whole_number(1, uint64_t{1} << 31));
  return [flags, draw] { return run_command(*flags, draw); };
}

}  // namespace

Runner add_run(CLI::App& app) { return add(app, false); }
Runner add_sample(CLI::App& app) { return add(app, true); }

}  // namespace smelt::cli
