// run and sample: an exported function on files, or on draws.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/run_source.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"
#include "runtime/files/npy.h"
#include "runtime/files/output_file.h"
#include "runtime/files/png.h"
#include "runtime/grid.h"

namespace smelt::cli {
namespace {

struct RunFlags {
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
      return fail(ErrorKind::Usage, fmt::format("--input `{}` has no `=`", printable(input)),
                  "write --input x=FILE.npy");
    }
    SMELT_TRY(NpyFile file, read_npy(input.substr(at + 1)));
    for (const std::string& note : file.notes) say("note: {}", note);
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

/// How a result is written, by the extension of `-o`.
enum class Format : uint8_t { Npy, Png };
struct Extension {
  std::string_view name;
  Format format;
};
constexpr Extension kExtensions[] = {{".npy", Format::Npy}, {".png", Format::Png}};

Result<Format> format_of(const std::string& output) {
  std::string extension = std::filesystem::path(output).extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* known = std::ranges::find(kExtensions, extension, &Extension::name);
  if (known != std::end(kExtensions)) return known->format;
  if (is_stream(output)) return Format::Npy;  // the standard output, a pipe, /dev/null
  return fail(ErrorKind::Usage,
              fmt::format("-o `{}`: the extension says how a result is written, and `{}` is none that "
                          "is known",
                          printable(output), printable(extension)),
              "write `.npy` or `.png`, or `-` for an .npy on the standard output");
}

/// `out.npy` for a single result, else `out.0.npy`, `out.1.npy` and so on.
std::string place_of(const std::string& output, size_t index, size_t count) {
  if (count == 1) return output;
  const std::filesystem::path path(output);
  return (path.parent_path() / fmt::format("{}.{}{}", path.stem().string(), index, path.extension().string())).string();
}

Result<void> write_result(const RunFlags& flags, const std::string& path, NamedTensor& named, const Entry& entry,
                          const CompiledProgram& program) {
  HostTensor& result = named.tensor;
  if (!flags.force && !is_stream(path) && std::filesystem::exists(path)) {
    return fail(ErrorKind::Output, fmt::format("{} exists", printable(path)), "give another name, or --force");
  }
  SMELT_TRY(const Format format, format_of(path));
  if (format == Format::Npy) return write_npy(path, result);
  SMELT_TRY_VOID(reshape_flat(result, flags.shape));
  if (result.shape.size() == 2) {
    return fail(ErrorKind::Usage,
                fmt::format("{} is no picture: its pixels are one flat axis", describe(result.dtype, result.shape)),
                "say how it folds, such as --shape 28x28, or write an .npy file");
  }
  SMELT_TRY(const Picture picture, make_grid(result, picture_options(entry, named.name)));
  SMELT_TRY(const std::string bytes,
            encode_png(picture, {{"smelt:export", flags.name}, {"smelt:seed", fmt::format("{}", program.train.seed)}}));
  return write_output(path, bytes);
}

/// numpy makes f64 and i64 of what is not asked to be anything else. What is fed becomes what the export takes: floats
/// are rounded, whole numbers fit or are refused.
Result<void> convert_inputs(std::vector<NamedTensor>& inputs, const Entry& entry) {
  for (NamedTensor& input : inputs) {
    const auto binding = std::ranges::find(entry.inputs, input.name, &Binding::name);
    if (binding == entry.inputs.end() || binding->type.dtype == input.tensor.dtype) continue;
    const DType from = input.tensor.dtype, to = binding->type.dtype;
    Result<HostTensor> converted = convert(input.tensor, to);
    if (!converted) {
      Error error = std::move(converted).error();
      error.message = fmt::format("input `{}`: {} is given, {} is taken: {}", printable(input.name), to_string(from),
                                  to_string(to), error.message);
      error.help = fmt::format("convert it on your side, such as `x.astype('{}')`", numpy_name(to));
      return std::unexpected(std::move(error));
    }
    if (is_float(from) && size_of(to) < size_of(from))
      say("note: input `{}` is rounded from {} to {}", input.name, to_string(from), to_string(to));
    input.tensor = std::move(*converted);
  }
  return {};
}

Result<void> run_export(const RunFlags& flags, Session& session, bool draw) {
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
  SMELT_TRY_VOID(convert_inputs(inputs, *entry));
  SMELT_TRY(std::vector<NamedTensor> results, session.run(*entry, inputs));
  if (results.size() != 1 && is_stream(flags.output)) {
    return fail(ErrorKind::Usage,
                fmt::format("export `{}` has {} results; a stream holds one", printable(flags.name), results.size()),
                "give a file: of `-o out.npy` come out.0.npy, out.1.npy and so on");
  }
  for (size_t k = 0; k < results.size(); ++k) {
    const std::string path = place_of(flags.output, k, results.size());
    SMELT_TRY_VOID(write_result(flags, path, results[k], *entry, program));
    const std::string line =
        fmt::format("{}  {}", printable_lines(path), describe(results[k].tensor.dtype, results[k].tensor.shape));
    if (path == "-")
      say_line(line);  // the standard output has the result
    else
      fmt::print("{}\n", line);
  }
  return {};
}

int run_command(const RunFlags& flags, bool draw) {
  if (const Result<Format> format = format_of(flags.output); !format) return report(format.error());
  int code = kOk;
  std::optional<SourcedModel> source = open_source(flags.model, flags.weights, NeedsData::No, code);
  if (!source) return code;
  Result<RunningModel> running = start_model(std::move(source->checked), source->options, flags.model.threads, 0);
  if (!running) return report(running.error());
  if (source->weights.empty()) {
    say("note: without --weights the parameters have their initial values");
  } else if (const auto loaded =
                 load_and_tell(source->weights, *running->session, flags.partial ? Match::Partial : Match::Strict);
             !loaded) {
    return report(loaded.error());
  }
  const Result<void> done = run_export(flags, *running->session, draw);
  return done ? static_cast<int>(kOk) : report(done.error());
}

Runner add(Options options, bool draw) {
  auto flags = std::make_shared<RunFlags>();
  add_model_flags(options, flags->model, kRunning);
  options.add("EXPORT", flags->name, "name of the export").required();
  options.add("--weights", flags->weights, "checkpoint or safetensors file");
  options.add("--input", flags->inputs, "an input, NAME=FILE.npy (may be repeated)").repeated();
  options.add("-o,--output", flags->output, "result: .npy or .png, or - for an .npy on the standard output").required();
  options.add("--shape", flags->shape, "fold flat pixels for a .png, such as 28x28");
  options.flag("--partial", flags->partial, "--weights: load what fits");
  options.flag("--force", flags->force, "overwrite the result file");
  if (draw) options.add("-n", flags->count, "how many to draw").between(1, uint64_t{1} << 31);
  return [flags, draw] { return run_command(*flags, draw); };
}

}  // namespace

Runner add_run(Options options) { return add(options, false); }
Runner add_sample(Options options) { return add(options, true); }

}  // namespace smelt::cli
