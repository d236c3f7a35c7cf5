#include "runtime/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "runtime/begin_averages.h"
#include "runtime/checkpoint_metadata.h"
#include "runtime/files/file.h"
#include "runtime/files/foreign_formats.h"
#include "runtime/files/message.h"
#include "runtime/files/pytorch_names.h"
#include "runtime/host_tensor.h"
#include "runtime/verify_checksums.h"

namespace smelt {
namespace {

constexpr std::string_view kNamePrefix = "step-", kNameSuffix = ".safetensors";
constexpr std::string_view kSlotPrefix = "opt/";
constexpr size_t kMaxListed = 10;

// Constants come from the seed by the initialisers, so a checkpoint holds what training changes.
bool is_weight(VariableKind kind) { return kind == VariableKind::Param || kind == VariableKind::State; }
bool is_stored(VariableKind kind) { return is_weight(kind) || kind == VariableKind::Slot; }

template <typename Predicate>
std::vector<TensorToStore> tensors_of(const Session& session, Predicate wanted) {
  std::vector<TensorToStore> tensors;
  for (const StoredVariable& variable : session.program().variables) {
    if (!wanted(variable.kind)) continue;
    tensors.push_back({variable.path, variable.type.dtype, static_shape(variable.type), session.bytes(variable)});
  }
  sort_for_storage(tensors);
  return tensors;
}

Result<void> write_parts(const std::string& path, const std::string& header, std::span<const TensorToStore> tensors) {
  std::vector<std::span<const std::byte>> parts = {as_byte_span(header)};
  for (const TensorToStore& tensor : tensors) parts.push_back(tensor.bytes);
  return write_file_atomic(path, parts);
}

std::string describe_stored(const StoredTensor& tensor) {
  return tensor.dtype ? describe(*tensor.dtype, tensor.shape)
                      : fmt::format("{}[{}]", tensor.dtype_name, fmt::join(tensor.shape, ", "));
}

/// Which types of a file a variable is loaded from: its own, or those of all floats.
enum class Types : uint8_t { Same, Floats };

bool fits(const StoredTensor& stored, const StoredVariable& variable, Types types) {
  if (!stored.dtype || stored.shape != static_shape(variable.type)) return false;
  const DType type = variable.type.dtype;
  return stored.dtype == type || (types == Types::Floats && is_float(*stored.dtype) && is_float(type));
}

// How a file's tensors and a model's variables correspond.
template <typename Predicate>
WeightsReport compare(const Safetensors& file, const Session& session, Predicate wanted, Types types) {
  WeightsReport report;
  std::set<std::string_view> known;
  for (const StoredVariable& variable : session.program().variables) {
    known.insert(variable.path);
    if (!wanted(variable.kind)) continue;
    const StoredTensor* stored = file.find(variable.path);
    if (stored == nullptr) {
      report.missing.push_back(variable.path);
    } else if (!fits(*stored, variable, types)) {
      report.retyped += stored->shape == static_shape(variable.type) ? 1 : 0;
      report.changed.push_back(fmt::format("{} ({} in the file, {} in the model)", variable.path,
                                           describe_stored(*stored), to_string(variable.type)));
    } else {
      ++report.num_loaded;
      if (size_of(*stored->dtype) > size_of(variable.type.dtype)) report.rounded.push_back(variable.path);
    }
  }
  for (const StoredTensor& tensor : file.tensors) {
    const bool slot = tensor.name.starts_with(kSlotPrefix) && !wanted(VariableKind::Slot);
    if (!slot && !known.contains(tensor.name)) report.unexpected.push_back(printable(tensor.name));
  }
  return report;
}

std::string list_some(std::string_view what, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  const std::span<const std::string> shown = std::span(names).subspan(0, std::min(names.size(), kMaxListed));
  return fmt::format("; {} {}: {}{}", names.size(), what, fmt::join(shown, ", "),
                     names.size() > kMaxListed ? ", .." : "");
}

Result<void> require_equal(const WeightsReport& report, const std::string& path, std::string_view help) {
  if (report.missing.empty() && report.unexpected.empty() && report.changed.empty()) return {};
  if (report.missing.empty() && report.unexpected.empty() && report.retyped == report.changed.size()) {
    return fail(ErrorKind::Input,
                fmt::format("{}: the model's tensors have other types than the file's: {}", printable(path),
                            report.changed.front()),
                fmt::format("give the same `--precision` as the run was begun with; {}", help));
  }
  const bool of_pytorch = std::ranges::any_of(report.unexpected, is_pytorch_name);
  return fail(ErrorKind::Input,
              fmt::format("{}: the model's tensors differ from the file's{}{}{}", printable(path),
                          list_some("missing", report.missing), list_some("unexpected", report.unexpected),
                          list_some("changed", report.changed)),
              of_pytorch ? std::string(kPyTorchNames) : std::string(help));
}

template <typename Predicate>
Result<void> copy_tensors(const Safetensors& file, const std::string& path, Session& session, Predicate wanted,
                          Types types) {
  std::vector<std::pair<const StoredVariable*, std::span<const std::byte>>> copies;
  std::vector<HostTensor> converted;  // all of them before the first copy: a failure changes nothing
  for (const StoredVariable& variable : session.program().variables) {
    const StoredTensor* stored = wanted(variable.kind) ? file.find(variable.path) : nullptr;
    if (stored == nullptr || !fits(*stored, variable, types)) continue;
    copies.emplace_back(&variable, file.bytes(*stored));
    const DType type = variable.type.dtype;
    if (stored->dtype == type) continue;
    SMELT_TRY(HostTensor made, HostTensor::zeros(type, stored->shape, variable.path));
    Result<void> done = convert_elements(*stored->dtype, copies.back().second, type, made.data.bytes());
    if (!done) done.error().message = fmt::format("{}: `{}`: {}", printable(path), variable.path, done.error().message);
    SMELT_TRY_VOID(std::move(done));
    copies.back().second = converted.emplace_back(std::move(made)).data.bytes();
  }
  for (const auto& [variable, bytes] : copies) std::ranges::copy(bytes, session.bytes(*variable).begin());
  return {};
}

// Reads and checks; whatever is wrong with a file in a directory of checkpoints, the help names a good one.
Result<Safetensors> read_checked(const std::string& path, const Limits& limits) {
  Result<Safetensors> file = read_safetensors(path, limits);
  if (file) {
    SMELT_TRY_VOID(verify_checksums(*file, path));
    return file;
  }
  const std::filesystem::path place(path);
  if (checkpoint_step(place.filename().string())) {
    const auto good = last_good_checkpoint(place.parent_path().string(), place.filename().string());
    Error& error = file.error();
    if (good) error.help += fmt::format("{}last good: {}", error.help.empty() ? "" : "; ", *good);
  }
  return file;
}

Result<void> must_agree(bool agrees, const std::string& path, std::string_view what, std::string_view then,
                        std::string_view now, std::string_view help) {
  if (agrees) return {};
  return fail(ErrorKind::Input, fmt::format("{}: cannot resume: {} was {}, is {}", printable(path), what, then, now),
              std::string(help));
}

constexpr std::string_view kFresh = "start a new run from its weights with `--init` instead";

// Of the splits that are trained on. The others do not change a bit of the parameters.
Result<void> check_training_data(const TrainState& saved, const TrainState& expected, const std::string& path) {
  for (const auto& [split, now] : expected.data) {
    const auto then = saved.data.find(split);
    if (!now.is_trained_on) continue;
    if (then == saved.data.end())
      return fail(ErrorKind::Input,
                  fmt::format("{}: `smelt.data` says nothing of split `{}`, so a run cannot be resumed from it",
                              printable(path), split),
                  std::string(kFresh));
    if (then->second.hash == now.hash) continue;
    return fail(
        ErrorKind::Input,
        fmt::format(
            "{}: cannot resume: the data of split `{}` changed since: {}, or which of its rows are in the split",
            printable(path), split, now.files),
        "bring the old data and shares back, or start a new run from the checkpoint's weights with `--init`");
  }
  return {};
}

Result<void> check_agreement(const TrainState& saved, const TrainState& expected, const std::string& path) {
  // Either is enough: another version of this program may write the same model in another way.
  const bool same_training = !saved.training_sha256.empty() && saved.training_sha256 == expected.training_sha256;
  const bool same_model = saved.model_sha256 == expected.model_sha256 || same_training;
  SMELT_TRY_VOID(must_agree(same_model, path, "the network, an objective or an optimiser of the model (sha256)",
                            printable(saved.model_sha256.substr(0, 12)), expected.model_sha256.substr(0, 12),
                            "model.smelt of the run has the old text; start a new run from its weights with `--init`"));
  SMELT_TRY_VOID(must_agree(saved.seed == expected.seed, path, "the seed", std::to_string(saved.seed),
                            std::to_string(expected.seed), "give the same `--seed` and `--train`"));
  SMELT_TRY_VOID(must_agree(saved.batch == expected.batch, path, "the batch size", std::to_string(saved.batch),
                            std::to_string(expected.batch), "give the same `--batch` and `--train`"));
  if (!configs_agree(saved.config, expected.config, same_training))
    return fail(ErrorKind::Input,
                fmt::format("{}: cannot resume: {}", printable(path), config_changes(saved.config, expected.config)),
                "give what the run was begun with; `--init` starts a new run from its weights");
  SMELT_TRY_VOID(must_agree(saved.shuffle == expected.shuffle, path, "shuffling", saved.shuffle ? "on" : "off",
                            expected.shuffle ? "on" : "off",
                            "the `shuffle` of the `batch` line and `--no-shuffle` have to be as they were"));
  SMELT_TRY_VOID(check_training_data(saved, expected, path));
  if (expected.horizon >= saved.step) return {};
  return fail(ErrorKind::Input,
              fmt::format("{}: cannot resume: the run is at step {}, and training ends at step {}", printable(path),
                          saved.step, expected.horizon),
              "give more `--epochs`, or raise `epochs` or `steps` in the model file");
}

Result<void> must_follow(int64_t stored, int64_t implied, const std::string& path, std::string_view what,
                         const TrainState& state) {
  if (stored == implied) return {};
  return fail(ErrorKind::Input,
              fmt::format("{}: checkpoint damaged: {} is {}, but step {} implies {}", printable(path), what, stored,
                          state.step, implied),
              std::string(kFresh));
}

// A file can say anything under right checksums. Every counter of a run follows from its step, so each is compared.
Result<void> check_counters(const TrainState& state, const std::map<std::string, int64_t>& runs,
                            const CompiledProgram& program, const Schedule& schedule, const std::string& path) {
  const std::optional<int64_t> named = checkpoint_step(std::filesystem::path(path).filename().string());
  SMELT_TRY_VOID(must_follow(named.value_or(state.step), state.step, path, "the step in the file's name", state));
  // A step fits into 50 bits (decode_state), the calls of an iteration into 13: no product here leaves 64.
  const int64_t taken = state.step * schedule.batches_per_iteration;
  SMELT_TRY_VOID(must_follow(state.batches_taken, taken, path, "`smelt.batches_taken`", state));
  const int64_t epoch = schedule.batches_per_epoch == 0 ? 0 : taken / schedule.batches_per_epoch;
  SMELT_TRY_VOID(must_follow(state.epoch, epoch, path, "`smelt.epoch`", state));
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const std::string& objective = program.steps[s].objective;
    const auto it = runs.find(objective);
    const auto calls = std::ranges::count(schedule.calls, static_cast<int32_t>(s), &PlannedCall::step);
    // One that runs with another, in another train section or not at all has no count.
    if (it == runs.end() && calls == 0) continue;
    if (it == runs.end()) {
      return fail(ErrorKind::Input,
                  fmt::format("{}: checkpoint damaged: `smelt.runs` lacks objective `{}`", printable(path), objective),
                  std::string(kFresh));
    }
    SMELT_TRY_VOID(must_follow(it->second, state.step * calls, path,
                               fmt::format("the count of `{}` in `smelt.runs`", objective), state));
  }
  return {};
}

}  // namespace

std::string checkpoint_name(int64_t step) { return fmt::format("{}{}{}", kNamePrefix, step, kNameSuffix); }

std::optional<int64_t> checkpoint_step(std::string_view name) {
  if (!name.starts_with(kNamePrefix) || !name.ends_with(kNameSuffix)) return std::nullopt;
  name.remove_prefix(kNamePrefix.size());
  if (name.size() <= kNameSuffix.size()) return std::nullopt;
  name.remove_suffix(kNameSuffix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

std::optional<std::string> last_good_checkpoint(const std::string& directory, const std::string& except) {
  std::vector<int64_t> steps;
  const std::string place = directory.empty() ? "." : directory;
  for (const std::string& name : list_files(place)) {
    const std::optional<int64_t> step = checkpoint_step(name);
    if (step && name != except) steps.push_back(*step);
  }
  std::sort(steps.rbegin(), steps.rend());
  for (const int64_t step : steps) {
    const std::string path = (std::filesystem::path(directory) / checkpoint_name(step)).string();
    const Result<Safetensors> file = read_safetensors(path, largest_limits());
    if (file && find_damage(*file).empty()) return path;
  }
  return std::nullopt;
}

Result<void> save_checkpoint(const std::string& path, const Session& session, const TrainState& state) {
  const std::vector<TensorToStore> tensors = tensors_of(session, is_stored);
  return write_parts(path, encode_checksummed_header(tensors, encode_state(state, session)), tensors);
}

Result<void> save_weights(const std::string& path, const Session& session) {
  const std::vector<TensorToStore> tensors = tensors_of(session, is_weight);
  return write_parts(path, encode_checksummed_header(tensors, {{"format", "smelt"}}), tensors);
}

Result<Buffer> encode_weights(const Session& session) {
  const std::vector<TensorToStore> tensors = tensors_of(session, is_weight);
  const std::string header = encode_checksummed_header(tensors, {{"format", "smelt"}});
  uint64_t bytes = header.size();
  for (const TensorToStore& tensor : tensors) bytes += tensor.bytes.size();
  SMELT_TRY(Buffer out, Buffer::allocate(bytes, "encoded weights"));
  std::byte* to = std::ranges::copy(as_byte_span(header), out.data()).out;
  for (const TensorToStore& tensor : tensors) to = std::ranges::copy(tensor.bytes, to).out;
  return out;
}

Result<TrainState> read_checkpoint_state(const std::string& path, const Limits& limits) {
  SMELT_TRY(const Safetensors file, read_checked(path, limits));
  return decode_state(file.metadata, path);
}

Result<TrainState> resume_checkpoint(const std::string& path, Session& session, const TrainState& expected,
                                     const Schedule& schedule) {
  SMELT_TRY(const Safetensors file, read_checked(path, session.limits()));
  SMELT_TRY(TrainState state, decode_state(file.metadata, path));
  SMELT_TRY(const auto runs, decode_runs(file.metadata, path));
  SMELT_TRY_VOID(check_agreement(state, expected, path));
  SMELT_TRY_VOID(check_counters(state, runs, session.program(), schedule, path));
  SMELT_TRY_VOID(require_equal(compare(file, session, is_stored, Types::Same), path, kFresh));
  SMELT_TRY_VOID(copy_tensors(file, path, session, is_stored, Types::Same));
  session.header().iteration = state.step;
  for (const Entry& entry : session.program().entries) {
    if (const auto it = runs.find(entry.name); entry.kind == FunctionKind::Step && it != runs.end()) {
      session.set_runs(entry, it->second);
    }
  }
  return state;
}

namespace {

bool is_loaded(const Safetensors& file, const StoredVariable& variable) {
  const StoredTensor* stored = file.find(variable.path);
  return stored != nullptr && fits(*stored, variable, Types::Floats);
}

/// Files of other programs, and of runs without `ema`, know nothing of averages.
void leave_out_averages(WeightsReport& report, const Session& session) {
  for (const StoredVariable& variable : session.program().variables)
    if (!variable.average_of.empty()) std::erase(report.missing, variable.path);
}

Result<WeightsReport> apply_weights(const Safetensors& file, const std::string& path, Session& session, Match match) {
  WeightsReport report = compare(file, session, is_weight, Types::Floats);
  leave_out_averages(report, session);
  if (match == Match::Strict) {
    SMELT_TRY_VOID(require_equal(report, path, "`--partial` loads what fits"));
  } else if (report.num_loaded == 0) {
    SMELT_TRY_VOID(require_equal(report, path, "nothing fits: this is another model"));
  }
  SMELT_TRY_VOID(copy_tensors(file, path, session, is_weight, Types::Floats));
  report.begun = begin_averages(session, [&](const StoredVariable& average) { return !is_loaded(file, average); });
  return report;
}

}  // namespace

Result<WeightsReport> load_weights(const std::string& path, Session& session, Match match) {
  SMELT_TRY(const Safetensors file, read_checked(path, session.limits()));
  return apply_weights(file, path, session, match);
}

Result<WeightsReport> load_weights_from(Buffer bytes, const std::string& name, Session& session, Match match) {
  SMELT_TRY_VOID(refuse_foreign_weights(bytes.bytes(), name));
  SMELT_TRY(const Safetensors file, parse_safetensors(std::move(bytes), name, session.limits()));
  SMELT_TRY_VOID(verify_checksums(file, name));
  return apply_weights(file, name, session, match);
}

}  // namespace smelt
