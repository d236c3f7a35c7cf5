// Which tensors of a safetensors file are the parameters and states of a model: those of its own name, `f.fc1.W`; those
// without one, `fc1.W`; or those of a model of another name, `teacher.fc1.W`, when there is one that has them all.
#include "api/smelt/pretrained.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "ir/support/printable.h"
#include "runtime/begin_averages.h"
#include "runtime/files/pytorch_names.h"
#include "runtime/files/safetensors.h"
#include "runtime/host_tensor.h"
#include "runtime/verify_checksums.h"

namespace smelt {
namespace {

constexpr size_t kMaxListed = 8;

/// A variable of the model, without the model's name.
struct Wanted {
  std::string name;
  TensorType type;
  std::string path;
};

std::vector<Wanted> variables_of(const Experiment& experiment, const std::string& model) {
  std::vector<Wanted> list;
  for (const Variable& variable : experiment.variables) {
    const bool kept = variable.kind == VariableKind::Param || variable.kind == VariableKind::State;
    if (kept && variable.path.starts_with(model + "."))
      list.push_back({variable.path.substr(model.size() + 1), variable.type, variable.path});
  }
  return list;
}

size_t count_found(const Safetensors& file, const std::vector<Wanted>& wanted, const std::string& prefix) {
  return static_cast<size_t>(
      std::ranges::count_if(wanted, [&](const Wanted& one) { return file.find(prefix + one.name) != nullptr; }));
}

std::string type_of(const StoredTensor& tensor) {
  return tensor.dtype ? describe(*tensor.dtype, tensor.shape)
                      : fmt::format("{}[{}]", tensor.dtype_name, fmt::join(tensor.shape, ", "));
}

/// Those of a net: an optimiser's are none.
std::string tensors_of(const Safetensors& file) {
  std::vector<std::string> shown;
  for (const StoredTensor& tensor : file.tensors)
    if (!tensor.name.starts_with("opt/"))
      shown.push_back(fmt::format("`{}` {}", printable(tensor.name), type_of(tensor)));
  const bool more = shown.size() > kMaxListed;
  if (more) shown.resize(kMaxListed);
  return fmt::format("{}{}", fmt::join(shown, ", "), more ? ", .." : "");
}

Error lacking(const Safetensors& file, const std::string& place, const Pretrained& model,
              const std::vector<Wanted>& wanted, const std::string& prefix) {
  std::vector<std::string> missing;
  for (const Wanted& one : wanted)
    if (file.find(prefix + one.name) == nullptr) missing.push_back(fmt::format("`{}`", one.name));
  const bool of_pytorch = std::ranges::any_of(file.tensors, is_pytorch_name, &StoredTensor::name);
  const size_t count = missing.size();
  if (count > kMaxListed) missing.resize(kMaxListed);
  return {ErrorKind::Input,
          fmt::format("{}: lacks {} of the {} tensors of model `{}`: {}{}", printable(place), count, wanted.size(),
                      model.model, fmt::join(missing, ", "), count > kMaxListed ? ", .." : ""),
          file.tensors.empty()
              ? "the file has no tensor"
              : fmt::format("it has {}; {}", tensors_of(file),
                            of_pytorch ? kPyTorchNames : "a label, `x |> fc1: Dense{8}`, names the tensors of a layer"),
          model.span};
}

/// What stands before the names in the file.
Result<std::string> find_prefix(const Safetensors& file, const std::string& place, const Pretrained& model,
                                const std::vector<Wanted>& wanted) {
  std::vector<std::string> candidates = {model.model + ".", ""};
  for (const std::string& candidate : candidates)
    if (count_found(file, wanted, candidate) == wanted.size()) return candidate;
  std::set<std::string> others;
  for (const StoredTensor& tensor : file.tensors)
    if (const size_t dot = tensor.name.find('.'); dot != std::string::npos)
      others.insert(tensor.name.substr(0, dot + 1));
  candidates.insert(candidates.end(), others.begin(), others.end());
  std::vector<std::string> whole;
  for (const std::string& other : others)
    if (count_found(file, wanted, other) == wanted.size()) whole.push_back(other);
  if (whole.size() == 1) return whole[0];
  if (whole.empty()) {
    const std::string best = *std::ranges::max_element(
        candidates, {}, [&](const std::string& candidate) { return count_found(file, wanted, candidate); });
    return std::unexpected(lacking(file, place, model, wanted, best));
  }
  for (std::string& name : whole) name = fmt::format("`{}`", printable(name.substr(0, name.size() - 1)));
  return fail(
      ErrorKind::Input, fmt::format("{}: {} fit model `{}`", printable(place), fmt::join(whole, " and "), model.model),
      fmt::format("give the model the name of one of them: `model {} = ..`", whole[0].substr(1, whole[0].size() - 2)),
      model.span);
}

Result<void> check_tensor(const StoredTensor& stored, const std::string& place, const Pretrained& model,
                          const Wanted& wanted) {
  const std::vector<int64_t> shape = static_shape(wanted.type);
  if (stored.shape == shape && stored.dtype && is_float(*stored.dtype) == is_float(wanted.type.dtype)) return {};
  const bool turned = shape.size() == 2 && stored.shape == std::vector<int64_t>{shape[1], shape[0]};
  const std::string_view help =
      stored.shape == shape ? "floats of other types are converted; save the others as floats, such as with `.float()`"
      : turned              ? "PyTorch keeps the weights of a Linear as [out, in]: transpose them before they are saved"
                            : "the layer has to be of the sizes that it was trained with";
  return fail(ErrorKind::Input,
              fmt::format("{}: `{}` is {} in the file and {} in model `{}`", printable(place), printable(stored.name),
                          type_of(stored), describe(wanted.type.dtype, shape), model.model),
              std::string(help), model.span);
}

/// The stored tensor of each variable, in their order.
Result<std::vector<const StoredTensor*>> match(const Safetensors& file, const std::string& place,
                                               const Pretrained& model, const std::vector<Wanted>& wanted) {
  SMELT_TRY(const std::string prefix, find_prefix(file, place, model, wanted));
  std::vector<const StoredTensor*> tensors;
  for (const Wanted& one : wanted) {
    tensors.push_back(file.find(prefix + one.name));
    SMELT_TRY_VOID(check_tensor(*tensors.back(), place, model, one));
  }
  return tensors;
}

Result<Safetensors> open_file(const std::string& place, const Pretrained& model, const Limits& limits) {
  Result<Safetensors> file = read_safetensors(place, limits);
  if (file) {
    if (const Result<void> sound = verify_checksums(*file, place); !sound) file = std::unexpected(sound.error());
  }
  if (!file) file.error().span = model.span;
  return file;
}

Result<void> copy_tensor(const Safetensors& file, const StoredTensor& stored, Session& session,
                         const std::string& path) {
  const auto& variables = session.program().variables;
  const auto variable = std::ranges::find(variables, path, &StoredVariable::path);
  return convert_elements(*stored.dtype, file.bytes(stored), variable->type.dtype, session.bytes(*variable));
}

}  // namespace

void check_pretrained(CheckedModel& model, const DataPaths& paths) {
  if (!model.experiment) return;
  for (const Pretrained& one : model.experiment->pretrained) {
    const Result<std::string> place = resolve_data_path(one.path, one.model, paths);
    if (!place) {
      model.data_notes.push_back(fmt::format("{}; model `{}` begins with it", place.error().message, one.model));
      continue;
    }
    Result<Safetensors> file = open_file(*place, one, paths.limits);
    Result<void> fits;
    if (!file)
      fits = std::unexpected(file.error());
    else if (auto tensors = match(*file, *place, one, variables_of(*model.experiment, one.model)); !tensors)
      fits = std::unexpected(tensors.error());
    if (fits) continue;
    model.diagnostics.report(Diag::E0802, one.span, fits.error().message).with_help(fits.error().help);
    if (!model.data_error) model.data_error = fits.error();
  }
  if (model.diagnostics.has_errors()) model.experiment.reset();
}

Result<std::vector<std::string>> pretrained_places(const CheckedModel& model, const ModelOptions& options) {
  const DataPaths paths = data_paths(options, model.path);
  std::vector<std::string> places;
  for (const Pretrained& one : model.experiment->pretrained) {
    SMELT_TRY(places.emplace_back(), resolve_data_path(one.path, one.model, paths));
  }
  return places;
}

Result<void> load_pretrained(const CheckedModel& model, const ModelOptions& options, Session& session) {
  SMELT_TRY(const std::vector<std::string> places, pretrained_places(model, options));
  for (size_t k = 0; k < places.size(); ++k) {
    const Pretrained& one = model.experiment->pretrained[k];
    SMELT_TRY(const Safetensors file, open_file(places[k], one, options.limits));
    const std::vector<Wanted> wanted = variables_of(*model.experiment, one.model);
    SMELT_TRY(const std::vector<const StoredTensor*> tensors, match(file, places[k], one, wanted));
    for (size_t i = 0; i < wanted.size(); ++i) {
      Result<void> copied = copy_tensor(file, *tensors[i], session, wanted[i].path);
      if (!copied)
        copied.error().message =
            fmt::format("{}: `{}`: {}", printable(places[k]), wanted[i].path, copied.error().message);
      SMELT_TRY_VOID(std::move(copied));
    }
    begin_averages(session,
                   [&](const StoredVariable& average) { return average.average_of.starts_with(one.model + "."); });
  }
  return {};
}

}  // namespace smelt
