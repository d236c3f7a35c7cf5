// run and sample: an exported function on files, on draws, or on a prompt.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/run_source.h"
#include "cli/stream_text.h"
#include "cli/write_result.h"
#include "ir/readers.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"
#include "runtime/files/npy.h"
#include "runtime/sequence_rows.h"

namespace smelt::cli {
namespace {

struct RunFlags {
  ModelFlags model;
  ResultFlags result;
  std::string name, weights, prompt;
  std::vector<std::string> inputs;  // name=FILE.npy
  std::optional<int64_t> count;     // of what is drawn
  bool partial = false;
};

/// A model that is loaded and ready.
struct Opened {
  RunningModel& running;  // its `checked` is that of the source
  const SourcedModel& source;
};

constexpr int64_t kDraws = 64;  // as many pictures as make a sheet

Result<const Entry*> find_export(const CompiledProgram& program, const std::string& name) {
  if (const Entry* entry = program.find(FunctionKind::Export, name)) return entry;
  std::vector<std::string_view> names;
  for (const Entry& entry : program.entries) {
    if (entry.kind == FunctionKind::Export) names.push_back(entry.name);
  }
  return fail(ErrorKind::Usage, fmt::format("{} has no export `{}`", program.name, name), suggest(name, names));
}

Result<std::vector<NamedTensor>> read_inputs(const std::vector<std::string>& inputs, const Limits& limits) {
  std::vector<NamedTensor> tensors;
  for (const std::string& input : inputs) {
    const size_t at = input.find('=');
    if (at == std::string::npos || at == 0) {
      return fail(ErrorKind::Usage,
                  fmt::format("--input `{}` has no {}", printable(input), at == 0 ? "name before its `=`" : "`=`"),
                  "write --input x=FILE.npy");
    }
    const std::string path = input.substr(at + 1);
    Result<NpyFile> file_or = read_npy(path, limits);
    if (!file_or && path.ends_with(".npz"))
      file_or.error().help = "save one array, `numpy.save(\"x.npy\", x)`, and give that";
    SMELT_TRY(NpyFile file, std::move(file_or));
    for (const std::string& note : file.notes) say("note: {}", note);
    tensors.push_back({input.substr(0, at), std::move(file.tensor)});
  }
  return tensors;
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

bool has_input(const std::vector<NamedTensor>& inputs, const std::string& name) {
  return std::ranges::any_of(inputs, [&](const NamedTensor& input) { return input.name == name; });
}

/// The input that a prompt is for: the only text that is not given.
Result<const Binding*> prompted_input(const Entry& entry, const std::vector<NamedTensor>& inputs,
                                      const CompiledProgram& program) {
  std::vector<const Binding*> found;
  std::vector<std::string> names;
  for (const Binding& input : entry.inputs) {
    if (!is_text(input, program) || has_input(inputs, input.name)) continue;
    found.push_back(&input);
    names.push_back(input.name);
  }
  if (found.size() == 1) return found.front();
  const auto given = std::ranges::find_if(
      entry.inputs, [&](const Binding& input) { return is_text(input, program) && has_input(inputs, input.name); });
  if (found.empty() && given != entry.inputs.end())
    return fail(ErrorKind::Usage, fmt::format("--prompt is a text for `{}`, which --input gives", given->name),
                "leave one of them out");
  return fail(ErrorKind::Usage,
              found.empty() ? fmt::format("--prompt: export `{}` has no input that takes a text", printable(entry.name))
                            : fmt::format("--prompt: export `{}` takes {} texts: {}", printable(entry.name),
                                          found.size(), fmt::join(names, ", ")),
              found.empty()
                  ? "a text is an input of labels of at most 256 values, `prompt: ix<Byte>[B, P]`, or of the dim "
                    "of a field of texts that are read with `tokens =`"
                  : "give all but one of them with --input");
}

/// Whether an input has one label a row, of which there are as many as `-n` says: `first: ix<Byte>[B]`.
bool is_label_of_rows(const TensorType& type, const CompiledProgram& program) {
  const int32_t batch = program.train.batch_symbol;
  return type.rank() == 1 && batch >= 0 && type.shape[0].symbol == batch;
}

/// `-n` beside a prompt says how many rows there are of it, where their number is not fixed.
Result<void> check_rows(int64_t count, const Binding& input, const CompiledProgram& program) {
  const TensorType& type = input.type;
  const int32_t rows = row_axis(type, program.train.batch_symbol);
  if (is_label_of_rows(type, program) || (rows >= 0 && !type.shape[static_cast<size_t>(rows)].is_static())) return {};
  const int64_t fixed = rows < 0 ? 1 : type.shape[static_cast<size_t>(rows)].bound;
  if (count == fixed) return {};
  return fail(ErrorKind::Usage,
              fmt::format("-n says how many texts begin with the prompt, and input `{}`, {}, is {}", input.name,
                          to_string(type, program.symbols), fixed == 1 ? "one" : fmt::format("{} of them", fixed)),
              "leave it out, or give the input rows, such as `ix<Byte>[B, P]` with `dim B <= 64`");
}

/// The bytes or subwords of the prompt, once a row. A run-time dim becomes as long as the prompt; a fixed one has to be
/// as long.
Result<NamedTensor> read_prompt(const RunFlags& flags, const Binding& input, const CompiledProgram& program,
                                const SubwordModels& subwords) {
  const TensorType& type = input.type;
  const int32_t rows = row_axis(type, program.train.batch_symbol);
  SMELT_TRY(const std::vector<int32_t> labels, subwords.encode(input.limit.dim, flags.prompt));
  const auto num_labels = static_cast<int64_t>(labels.size());
  const std::string_view unit = is_bytes(input, program) ? "byte" : "subword";
  if (type.rank() < 1 || type.rank() > 2)
    return fail(ErrorKind::Usage, fmt::format("--prompt: input `{}` is {}, no text and no row of texts", input.name,
                                              to_string(type, program.symbols)));
  if (is_label_of_rows(type, program)) {
    if (num_labels != 1)
      return fail(ErrorKind::Usage,
                  fmt::format("--prompt has {} {}s, input `{}` takes one for each row", num_labels, unit, input.name),
                  fmt::format("a longer one is `{}: ix<{}>[{}, P]` with `dim P <= 64`", input.name, input.limit.dim,
                              program.symbols[static_cast<size_t>(type.shape[0].symbol)].name));
    SMELT_TRY(HostTensor tensor, HostTensor::zeros(DType::I32, std::vector{flags.count.value_or(1)}, "the prompt"));
    std::ranges::fill(tensor.as<int32_t>(), labels[0]);
    return NamedTensor{input.name, std::move(tensor)};
  }
  const Extent& length = type.shape[static_cast<size_t>(rows < 0 ? 0 : 1 - rows)];
  if (num_labels < 1 || num_labels > length.bound || (length.is_static() && num_labels != length.bound))
    return fail(ErrorKind::Usage,
                fmt::format("--prompt has {} {}{}, input `{}` takes {}{}", num_labels, unit, num_labels == 1 ? "" : "s",
                            input.name, length.is_static() ? "" : "1 to ", length.bound),
                length.is_static()
                    ? fmt::format("a run-time dim takes any length up to its bound: `dim P <= {}` and `{}: "
                                  "ix<{}>[B, P]`",
                                  length.bound, input.name, input.limit.dim)
                    : "");
  std::vector<int64_t> shape(type.rank(), num_labels);
  if (rows >= 0) {
    const Extent& extent = type.shape[static_cast<size_t>(rows)];
    shape[static_cast<size_t>(rows)] = extent.is_static() ? extent.bound : flags.count.value_or(1);
  }
  SMELT_TRY(HostTensor tensor, HostTensor::zeros(DType::I32, shape, "the prompt"));
  const int64_t count = rows < 0 ? 1 : shape[static_cast<size_t>(rows)];
  for (int64_t row = 0; row < count; ++row)
    for (int64_t i = 0; i < num_labels; ++i)
      tensor.as<int32_t>()[static_cast<size_t>(rows == 1 ? i * count + row : row * num_labels + i)] =
          labels[static_cast<size_t>(i)];
  return NamedTensor{input.name, std::move(tensor)};
}

/// `-n` says how many rows are drawn, where some are and their number is not fixed.
Result<void> check_count(const Entry& entry, const Entry* sampler, const std::vector<NamedTensor>& inputs) {
  const auto is_given = [&](const Binding& binding) { return has_input(inputs, binding.name); };
  const bool draws = sampler != nullptr && !std::ranges::all_of(sampler->outputs, is_given);
  if (!draws && std::ranges::all_of(entry.inputs, is_given))
    return fail(
        ErrorKind::Usage, fmt::format("-n says how many to draw, and export `{}` draws no input", entry.name),
        entry.inputs.empty() ? "leave it out: it has no input" : "leave it out: --input says how many there are");
  if (draws && sampler->symbols.empty())
    return fail(ErrorKind::Usage,
                fmt::format("-n says how many to draw, and the inputs of export `{}` have a fixed size", entry.name),
                "leave it out, or give them a run-time dim, `dim N <= 64`");
  return {};
}

/// Adds draws of the inputs that are not given and say what they are drawn from.
Result<void> draw_inputs(const RunFlags& flags, Session& session, const Entry& entry,
                         std::vector<NamedTensor>& inputs) {
  const CompiledProgram& program = session.program();
  const Entry* sampler = program.find(FunctionKind::Sample, entry.name);
  if (flags.count && flags.prompt.empty()) SMELT_TRY_VOID(check_count(entry, sampler, inputs));
  if (sampler == nullptr) {
    if (std::ranges::all_of(entry.inputs, [&](const Binding& input) { return has_input(inputs, input.name); }))
      return {};
    const bool text = std::ranges::any_of(entry.inputs, [&](const Binding& input) { return is_text(input, program); });
    return fail(ErrorKind::Usage, fmt::format("export `{}` does not say what its inputs are drawn from", entry.name),
                text ? "give the text that it goes on from with --prompt, or its inputs with --input"
                     : "write `~ Normal(0, 1)` after the type of an input, or give it with --input");
  }
  RunOptions options;
  for (const int32_t symbol : sampler->symbols)
    options.sizes.emplace_back(program.symbols[static_cast<size_t>(symbol)].name, flags.count.value_or(kDraws));
  SMELT_TRY(std::vector<NamedTensor> drawn, session.run(*sampler, {}, options));
  for (NamedTensor& tensor : drawn)
    if (!has_input(inputs, tensor.name)) inputs.push_back(std::move(tensor));
  return {};
}

/// Prints a text as it is written. False: this export has to be run as a whole.
Result<bool> stream_result(const Opened& opened, const Entry& entry, std::span<const NamedTensor> inputs,
                           const DecodeLabels& decode) {
  Session& session = *opened.running.session;
  SMELT_TRY(const std::unique_ptr<StreamedExport> streamed,
            StreamedExport::create(opened.running.checked, opened.source.options, entry, session));
  if (!streamed) return false;
  const int32_t rows = row_axis(entry.outputs[0].type, session.program().train.batch_symbol);
  SMELT_TRY_VOID(stream_text(*streamed, inputs, rows, decode));
  return true;
}

Result<void> run_export(const RunFlags& flags, const Opened& opened, bool draw) {
  Session& session = *opened.running.session;
  const CompiledProgram& program = session.program();
  SMELT_TRY(const Entry* entry, find_export(program, flags.name));
  SMELT_TRY_VOID(check_output(flags.result, *entry, program));
  SMELT_TRY(std::vector<NamedTensor> inputs, read_inputs(flags.inputs, session.limits()));
  SubwordModels subwords;
  if (!flags.prompt.empty() || writes_text(flags.result)) {
    SMELT_TRY(subwords, open_subwords(opened.source, opened.running.checked));
  }
  if (!flags.prompt.empty()) {
    SMELT_TRY(const Binding* input, prompted_input(*entry, inputs, program));
    const bool draws = program.find(FunctionKind::Sample, entry->name) != nullptr;
    if (flags.count && !draws) SMELT_TRY_VOID(check_rows(*flags.count, *input, program));
    SMELT_TRY(inputs.emplace_back(), read_prompt(flags, *input, program, subwords));
  }
  if (draw) SMELT_TRY_VOID(draw_inputs(flags, session, *entry, inputs));
  SMELT_TRY_VOID(convert_inputs(inputs, *entry));
  if (flags.result.output.empty()) {
    const DecodeLabels decode = [&](std::span<const int32_t> labels) {
      return subwords.decode(entry->outputs[0].limit.dim, labels);
    };
    SMELT_TRY(const bool is_printed, stream_result(opened, *entry, inputs, decode));
    if (is_printed) return {};
  }
  SMELT_TRY(std::vector<NamedTensor> results, session.run(*entry, inputs));
  return write_results(flags.result, results, *entry, session, subwords);
}

int run_command(const RunFlags& flags, bool draw) {
  if (const Result<void> known = check_format(flags.result); !known) return report(known.error());
  int code = kOk;
  std::optional<SourcedModel> source = open_source(flags.model, flags.weights, NeedsData::No, code);
  if (!source) return code;
  Result<RunningModel> running = start_model(std::move(source->checked), source->options, flags.model.threads, 0);
  if (!running) return report(running.error());
  if (source->weights.empty()) {
    if (flags.partial) return report(partial_of_nothing());
    say("note: without --weights the parameters have their initial values");
  }
  const Match match = flags.partial ? Match::Partial : Match::Strict;
  if (const auto loaded = load_variables(*source, running->checked, *running->session, match); !loaded)
    return report(loaded.error());
  const Result<void> done = run_export(flags, {*running, *source}, draw);
  return done ? static_cast<int>(kOk) : report(done.error());
}

Runner add(Options options, bool draw) {
  auto flags = std::make_shared<RunFlags>();
  add_model_flags(options, flags->model, kRunning);
  options.add("EXPORT", flags->name, "name of the export").required();
  options.add("--weights", flags->weights, "a run, a checkpoint or a safetensors file").checkpoint();
  options.add("--input", flags->inputs, "an input, NAME=FILE.npy (may be repeated)").repeated();
  options.add("--prompt", flags->prompt, "the text that an input of bytes or subwords begins with");
  options.add(
      "-o,--output", flags->result.output,
      "result: .npy, .npz, .png, .txt or .wav, or - for an .npy on the standard output; a text is printed without it");
  options.add("--shape", flags->result.shape, "fold flat pixels for a .png, such as 28x28");
  options.add("--rate", flags->result.rate, "samples a second of a .wav, else those of the data")
      .between(kLeastSoundRate, kLargestSoundRate);
  options.flag("--partial", flags->partial, "--weights: load what fits");
  options.flag("--force", flags->result.force, "overwrite the result file");
  if (draw) options.add("-n", flags->count, "how many to draw: 64, or with a prompt 1").between(1, uint64_t{1} << 31);
  return [flags, draw] { return run_command(*flags, draw); };
}

}  // namespace

Runner add_run(Options options) { return add(options, false); }
Runner add_sample(Options options) { return add(options, true); }

}  // namespace smelt::cli
