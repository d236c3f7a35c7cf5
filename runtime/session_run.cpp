// Session::run: feeds by name, sizes of run-time dimensions from their shapes, layout by bounds, chunks above
// a bound.

#include <fmt/format.h>

#include <algorithm>

#include "ir/support/suggest.h"
#include "runtime/bounds_layout.h"
#include "runtime/files/message.h"
#include "runtime/run_inputs.h"
#include "runtime/session.h"

namespace smelt {
namespace {

constexpr int64_t kUnknown = -1;

class Run {
 public:
  Run(Session& session, const Entry& entry, std::span<const NamedTensor> inputs, const RunOptions& options)
      : session_(session),
        program_(session.program()),
        entry_(entry),
        inputs_(inputs),
        options_(options),
        sizes_(program_.symbols.size(), kUnknown) {}

  Result<std::vector<NamedTensor>> run() {
    SMELT_TRY_VOID(match_inputs());
    SMELT_TRY_VOID(fix_sizes());
    SMELT_TRY_VOID(check_labels());
    SMELT_TRY_VOID(choose_chunks());
    SMELT_TRY_VOID(allocate_results());
    const int64_t total = chunked_ < 0 ? 1 : sizes_[static_cast<size_t>(chunked_)];
    const int64_t step = chunked_ < 0 ? 1 : program_.symbols[static_cast<size_t>(chunked_)].bound;
    for (int64_t begin = 0, chunk = 0; begin < total; begin += step, ++chunk) {
      SMELT_TRY_VOID(run_chunk(begin, std::min(step, total - begin), chunk));
    }
    return std::move(results_);
  }

  /// What `run` begins with.
  Result<RunInputs> prepare() {
    SMELT_TRY_VOID(match_inputs());
    SMELT_TRY_VOID(fix_sizes());
    SMELT_TRY_VOID(check_labels());
    RunInputs prepared{.sizes = sizes_, .tensors = {}, .fits = true};
    for (size_t symbol = 0; symbol < sizes_.size(); ++symbol)
      prepared.fits = prepared.fits && sizes_[symbol] <= program_.symbols[symbol].bound;
    for (size_t i = 0; prepared.fits && i < matched_.size(); ++i) {
      SMELT_TRY(Buffer tensor, by_bounds(entry_.inputs[i], kUnknown, matched_[i]->data.data()));
      prepared.tensors.push_back(std::move(tensor));
    }
    return prepared;
  }

 private:
  std::unexpected<Error> wrong(std::string_view what, std::string help = {}) const {
    return fail(ErrorKind::Usage, fmt::format("{} `{}`: {}", to_string(entry_.kind), entry_.name, what),
                std::move(help));
  }

  Result<void> match_inputs() {
    std::vector<std::string_view> names;
    for (const Binding& binding : entry_.inputs) names.push_back(binding.name);
    matched_.assign(entry_.inputs.size(), nullptr);
    for (const NamedTensor& given : inputs_) {
      const auto at = std::find(names.begin(), names.end(), given.name);
      if (at == names.end()) {
        return wrong(fmt::format("it has no input `{}`", printable(given.name)), suggest(given.name, names));
      }
      const HostTensor*& slot = matched_[static_cast<size_t>(at - names.begin())];
      if (slot != nullptr) return wrong(fmt::format("input `{}` is given twice", given.name));
      slot = &given.tensor;
    }
    for (size_t i = 0; i < matched_.size(); ++i) {
      if (entry_.inputs[i].kind != BindingKind::Feed) return wrong("it reads a data set, so it cannot run alone");
      if (matched_[i] == nullptr) {
        return wrong(
            fmt::format("input `{}` is missing: {}", names[i], to_string(entry_.inputs[i].type, program_.symbols)));
      }
    }
    return {};
  }

  Result<void> fix_sizes() {
    for (const auto& [name, size] : options_.sizes) {
      const auto at = std::find_if(program_.symbols.begin(), program_.symbols.end(),
                                   [&](const DimSymbol& symbol) { return symbol.name == name; });
      if (at == program_.symbols.end() || at->follows())
        return wrong(fmt::format("there is no run-time dimension `{}`", name));
      if (size < 1) return wrong(fmt::format("dimension `{}` is {}", name, size));
      sizes_[static_cast<size_t>(at - program_.symbols.begin())] = size;
    }
    for (size_t i = 0; i < matched_.size(); ++i) SMELT_TRY_VOID(fix_sizes_of(entry_.inputs[i], *matched_[i]));
    return fix_other_sizes();
  }

  /// Of dims that no input has, and of those that follow from others, `T-1`.
  Result<void> fix_other_sizes() {
    const std::vector<int64_t> given = sizes_;
    while (find_size_by_another()) {
    }
    for (size_t symbol = 0; symbol < sizes_.size(); ++symbol) {
      if (sizes_[symbol] == kUnknown) sizes_[symbol] = program_.symbols[symbol].bound;
    }
    set_sizes_that_follow(program_.symbols, sizes_);
    for (size_t k = 0; k < sizes_.size(); ++k) {
      const DimSymbol& dim = program_.symbols[k];
      if (!dim.follows() || given[k] == kUnknown || given[k] == sizes_[k]) continue;
      std::vector<std::string> dims;
      for (const SizeTerm& term : dim.of.terms)
        dims.push_back(fmt::format("`{}` is {}", program_.symbols[static_cast<size_t>(term.symbol)].name,
                                   sizes_[static_cast<size_t>(term.symbol)]));
      return wrong(fmt::format("an input has {} along `{}`, but {}", given[k], dim.name, fmt::join(dims, " and ")));
    }
    return check_least_sizes(program_, entry_, sizes_);  // before results are made, of which one may be `T-4`
  }

  /// Of an input with `T-1` elements along an axis, T has one more; false when there is no such size left.
  bool find_size_by_another() {
    for (size_t k = 0; k < sizes_.size(); ++k) {
      if (sizes_[k] == kUnknown) continue;
      int64_t rest = sizes_[k] - program_.symbols[k].of.number;
      const SizeTerm* open = nullptr;
      size_t num_open = 0;
      for (const SizeTerm& term : program_.symbols[k].of.terms) {
        const int64_t size = sizes_[static_cast<size_t>(term.symbol)];
        if (size != kUnknown) {
          rest -= term.factor * size;
        } else {
          open = &term;
          ++num_open;
        }
      }
      if (num_open != 1 || rest % open->factor != 0 || rest / open->factor < 1) continue;
      sizes_[static_cast<size_t>(open->symbol)] = rest / open->factor;
      return true;
    }
    return false;
  }

  Result<void> fix_sizes_of(const Binding& binding, const HostTensor& tensor) {
    const auto mismatch = [&](std::string_view why) {
      return wrong(fmt::format("input `{}` is {}, expected {}{}", binding.name, describe(tensor.dtype, tensor.shape),
                               to_string(binding.type, program_.symbols), why));
    };
    const size_t rank = binding.type.rank();
    if (tensor.dtype == binding.type.dtype && tensor.shape.size() + 1 == rank && !binding.type.shape[0].is_static())
      return mismatch(": one row needs an axis in front, `x[None]` in NumPy");
    if (tensor.dtype != binding.type.dtype || tensor.shape.size() != rank) return mismatch("");
    for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      const Extent& extent = binding.type.shape[axis];
      const int64_t size = tensor.shape[axis];
      if (extent.is_static()) {
        if (size != extent.bound) return mismatch(fmt::format(": axis {} is {}, not {}", axis, size, extent.bound));
        continue;
      }
      int64_t& known = sizes_[static_cast<size_t>(extent.symbol)];
      if (known != kUnknown && known != size) {
        return mismatch(fmt::format(": axis {} is {}, but `{}` is already {}", axis, size,
                                    program_.symbols[static_cast<size_t>(extent.symbol)].name, known));
      }
      if (size < 1) return mismatch(fmt::format(": axis {} is {}", axis, size));
      known = size;
    }
    return {};
  }

  // Generated code trusts labels.
  Result<void> check_labels() const {
    for (size_t i = 0; i < matched_.size(); ++i) {
      const LabelLimit& limit = entry_.inputs[i].limit;
      if (limit.below == 0) continue;
      const HostTensor& tensor = *matched_[i];
      const int64_t below =
          limit.symbol < 0 ? limit.below : std::min(limit.below, sizes_[static_cast<size_t>(limit.symbol)]);
      const int64_t count = *num_elements(tensor.shape), width = size_of(tensor.dtype);
      const int64_t per_row = tensor.shape.empty() ? 1 : std::max<int64_t>(count / tensor.shape[0], 1);
      for (int64_t at = 0; at < count; ++at) {
        const double value = load_element(tensor.dtype, tensor.data.data() + at * width);
        if (value >= 0 && value < static_cast<double>(below)) continue;
        return fail(ErrorKind::Input,
                    fmt::format("{} `{}`: input `{}`: row {}: {} is not in 0..{}, the range of `{}` ({})",
                                to_string(entry_.kind), entry_.name, entry_.inputs[i].name, at / per_row, value,
                                below - 1, limit.dim, below),
                    fmt::format("labels are whole numbers from 0; make `{}` larger or mend the file; rows count from 0",
                                limit.dim));
      }
    }
    return {};
  }

  // A dimension above its bound runs in chunks when it is the first axis wherever it occurs and every output
  // has it.
  Result<void> choose_chunks() {
    for (size_t symbol = 0; symbol < sizes_.size(); ++symbol) {
      if (sizes_[symbol] <= program_.symbols[symbol].bound || program_.symbols[symbol].follows()) continue;
      const auto id = static_cast<int32_t>(symbol);
      const auto coupling = std::ranges::find(entry_.couplings, id, &RowCoupling::symbol);
      if (coupling != entry_.couplings.end()) {
        return fail(
            ErrorKind::Limit,
            fmt::format("{} `{}`: {} rows are more than the bound of `{}`, {}, and cannot be computed in pieces: a "
                        "row's value depends on the others through {} ({})",
                        to_string(entry_.kind), entry_.name, sizes_[symbol], program_.symbols[symbol].name,
                        program_.symbols[symbol].bound, coupling->what, coupling->place),
            fmt::format("raise the bound in the model file, `dim {} <= {}`, or give at most {} rows",
                        program_.symbols[symbol].name, sizes_[symbol], program_.symbols[symbol].bound));
      }
      bool possible = chunked_ < 0;
      for (const Binding& binding : entry_.inputs) possible &= count_axes(binding, id) <= (leads(binding, id) ? 1 : 0);
      for (const Binding& binding : entry_.outputs) possible &= leads(binding, id) && count_axes(binding, id) == 1;
      if (!possible) {
        return fail(
            ErrorKind::Limit,
            fmt::format("{} `{}`: `{}` is {}, its bound is {}", to_string(entry_.kind), entry_.name,
                        program_.symbols[symbol].name, sizes_[symbol], program_.symbols[symbol].bound),
            fmt::format("raise the bound in the model file, or give at most {}", program_.symbols[symbol].bound));
      }
      chunked_ = id;
    }
    return {};
  }

  static bool leads(const Binding& binding, int32_t symbol) {
    return !binding.type.shape.empty() && binding.type.shape[0].symbol == symbol;
  }
  static int64_t count_axes(const Binding& binding, int32_t symbol) {
    return std::count_if(binding.type.shape.begin(), binding.type.shape.end(),
                         [&](const Extent& extent) { return extent.symbol == symbol; });
  }

  std::vector<int64_t> shape_of(const Binding& binding, int64_t chunk_size) const {
    std::vector<int64_t> shape;
    for (const Extent& extent : binding.type.shape) {
      const bool chunked = !extent.is_static() && extent.symbol == chunked_ && chunk_size != kUnknown;
      shape.push_back(extent.is_static() ? extent.bound
                      : chunked          ? chunk_size
                                         : sizes_[static_cast<size_t>(extent.symbol)]);
    }
    return shape;
  }

  Result<void> allocate_results() {
    for (const Binding& binding : entry_.outputs) {
      SMELT_TRY(HostTensor tensor, HostTensor::zeros(binding.type.dtype, shape_of(binding, kUnknown),
                                                     fmt::format("output `{}`", binding.name)));
      results_.push_back({binding.name, std::move(tensor)});
    }
    return {};
  }

  // Dense memory already is memory by bounds when no axis but the first is below its bound.
  bool needs_copy(const Binding& binding) const {
    for (size_t axis = 1; axis < binding.type.shape.size(); ++axis) {
      const Extent& extent = binding.type.shape[axis];
      if (!extent.is_static() && sizes_[static_cast<size_t>(extent.symbol)] != extent.bound) return true;
    }
    return false;
  }

  Result<Buffer> by_bounds(const Binding& binding, int64_t chunk_size, const std::byte* dense) const {
    SMELT_TRY(Buffer copy, Buffer::allocate(static_cast<uint64_t>(*byte_size(binding.type)), binding.name));
    copy_by_bounds(binding.type, shape_of(binding, chunk_size), dense, copy.data(), Direction::ToBounds);
    return copy;
  }

  int64_t dense_offset(const Binding& binding, int64_t begin) const {
    if (chunked_ < 0 || !leads(binding, chunked_)) return 0;
    std::vector<int64_t> row = shape_of(binding, kUnknown);
    row[0] = begin;
    return static_cast<int64_t>(*byte_size(binding.type.dtype, row));
  }

  Result<void> run_chunk(int64_t begin, int64_t size, int64_t chunk) {
    CallFrame frame = session_.frame(entry_);
    SMELT_TRY_VOID(frame.own_outputs());
    for (size_t symbol = 0; symbol < sizes_.size(); ++symbol) {
      const auto id = static_cast<int32_t>(symbol);
      if (!program_.symbols[symbol].follows()) frame.set_extent(id, id == chunked_ ? size : sizes_[symbol]);
    }
    std::vector<Buffer> staging;
    for (size_t i = 0; i < matched_.size(); ++i) {
      const Binding& binding = entry_.inputs[i];
      const std::byte* from = matched_[i]->data.data() + dense_offset(binding, begin);
      if (needs_copy(binding)) {
        SMELT_TRY(Buffer copy, by_bounds(binding, size, from));
        from = copy.data();
        staging.push_back(std::move(copy));
      }
      frame.set_input(i, from);
    }
    session_.set_runs(entry_, options_.first_run + chunk);
    SMELT_TRY_VOID(frame.check_sizes());
    SMELT_TRY_VOID(check_status(session_.call(frame), entry_));
    for (size_t i = 0; i < results_.size(); ++i) {
      const Binding& binding = entry_.outputs[i];
      copy_by_bounds(binding.type, shape_of(binding, size), frame.output(i),
                     results_[i].tensor.data.data() + dense_offset(binding, begin), Direction::ToDense);
    }
    return {};
  }

  Session& session_;
  const CompiledProgram& program_;
  const Entry& entry_;
  std::span<const NamedTensor> inputs_;
  const RunOptions& options_;
  std::vector<int64_t> sizes_;  // actual, by symbol
  std::vector<const HostTensor*> matched_;
  std::vector<NamedTensor> results_;
  int32_t chunked_ = -1;  // the symbol that is above its bound
};

}  // namespace

Result<RunInputs> prepare_inputs(Session& session, const Entry& entry, std::span<const NamedTensor> inputs,
                                 const RunOptions& options) {
  return Run(session, entry, inputs, options).prepare();
}

Result<std::vector<NamedTensor>> Session::run(const Entry& entry, std::span<const NamedTensor> inputs,
                                              const RunOptions& options) {
  return Run(*this, entry, inputs, options).run();
}

}  // namespace smelt
