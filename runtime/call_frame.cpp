#include "runtime/call_frame.h"

#include <algorithm>

#include "ir/support/check.h"
#include "runtime/host_tensor.h"

namespace smelt {

Result<void> check_least_sizes(const CompiledProgram& program, const Entry& entry, std::span<const int64_t> sizes) {
  for (const LeastDim& least : entry.least) {
    const int64_t size = sizes[static_cast<size_t>(least.symbol)];
    if (size >= least.size) continue;
    const std::string& name = program.symbols[static_cast<size_t>(least.symbol)].name;
    return fail(ErrorKind::Input,
                fmt::format("{} `{}`: `{}` is {} here, and the part of it that {} takes needs at least {}",
                            to_string(entry.kind), entry.name, name, size, least.place, least.size),
                fmt::format("leave out data with fewer than {} along `{}`, or take a smaller part", least.size, name));
  }
  return {};
}

CallFrame::CallFrame(const CompiledProgram& program, const Entry& entry, void* arena)
    : program_(&program), entry_(&entry), inputs_(entry.inputs.size()), outputs_(entry.outputs.size()) {
  for (const DimSymbol& symbol : program.symbols) extents_.push_back(symbol.bound);
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    if (entry.inputs[i].kind == BindingKind::Rows) rows_inputs_.push_back(i);
  }
  call_ = {arena, inputs_.data(), outputs_.data(), extents_.data()};
}

Result<void> CallFrame::own_outputs() {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Binding& binding = entry_->outputs[i];
    const std::optional<int64_t> bytes = byte_size(binding.type);
    if (!bytes) return fail(ErrorKind::Limit, fmt::format("the size of output `{}` leaves 64 bits", binding.name));
    Result<Buffer> memory = Buffer::allocate(static_cast<uint64_t>(*bytes), fmt::format("output `{}`", binding.name));
    if (!memory) {
      memory.error().help = "results are laid out for the bounds of their dims: give those bounds that fit";
      return std::unexpected(std::move(memory).error());
    }
    outputs_[i] = memory->data();
    owned_.push_back(std::move(*memory));
  }
  return {};
}

void CallFrame::set_dataset(const Dataset& dataset) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Binding& binding = entry_->inputs[i];
    if (binding.kind != BindingKind::Column) continue;
    const LoadedColumn& column = dataset.columns().at(static_cast<size_t>(binding.ref));
    if (column.rows == 0) continue;  // of another section
    inputs_[i] = column.data.data();
    if (!binding.type.shape.empty() && !binding.type.shape[0].is_static()) {
      set_extent(binding.type.shape[0].symbol, column.rows);
    }
  }
  std::erase_if(lengths_, [&](const LengthBinding& bound) { return bound.section == dataset.section(); });
  for (const RowLengths& strings : dataset.lengths())
    if (strings.symbol >= 0) lengths_.push_back({dataset.section(), &strings, 0});
}

void CallFrame::set_extent(int32_t symbol, int64_t size) {
  extents_[static_cast<size_t>(symbol)] = size;
  set_sizes_that_follow(program_->symbols, extents_);
}

Result<void> CallFrame::check_sizes() const { return check_least_sizes(*program_, *entry_, extents_); }

void CallFrame::set_datasets(const SplitSets& sets) {
  for (const Dataset* set : sets) set_dataset(*set);
}

void CallFrame::set_rows(std::span<const int32_t> rows) {
  for (const size_t input : rows_inputs_) bind_rows(input, rows);
}

void CallFrame::set_rows(int32_t section, std::span<const int32_t> rows) {
  for (const size_t input : rows_inputs_)
    if (section_of_rows(entry_->inputs[input]) == section) bind_rows(input, rows);
}

void CallFrame::bind_rows(size_t input, std::span<const int32_t> rows) {
  const Extent& batch = entry_->inputs[input].type.shape[0];
  const auto size = static_cast<int64_t>(rows.size());
  SMELT_CHECK(size <= batch.bound && (!batch.is_static() || size == batch.bound), "{} rows for `{}`", size,
              entry_->name);
  inputs_[input] = rows.data();
  if (!batch.is_static()) set_extent(batch.symbol, size);
  bind_lengths(section_of_rows(entry_->inputs[input]), rows);
}

/// Strings of several fields, or sections, may have one dim.
void CallFrame::bind_lengths(int32_t section, std::span<const int32_t> rows) {
  for (LengthBinding& bound : lengths_) {
    if (bound.section != section) continue;
    bound.size = bound.strings->size_of(rows);
    int64_t longest = bound.size;
    for (const LengthBinding& other : lengths_)
      if (other.strings->symbol == bound.strings->symbol) longest = std::max(longest, other.size);
    set_extent(bound.strings->symbol, longest);
  }
}

int64_t CallFrame::rows_of(const SplitSets& sets) const {
  int64_t least = -1;
  for (const size_t input : rows_inputs_) {
    const auto set = std::ranges::find(sets, section_of_rows(entry_->inputs[input]), &Dataset::section);
    const int64_t rows = set == sets.end() ? 0 : (*set)->rows();
    least = least < 0 ? rows : std::min(least, rows);
  }
  return std::max<int64_t>(least, 0);
}

void CallFrame::set_batch(int64_t size) {
  const int32_t symbol = program_->train.batch_symbol;
  if (symbol < 0) return;
  set_extent(symbol, std::min(size, program_->symbols[static_cast<size_t>(symbol)].bound));
}

bool CallFrame::has_free_batch() const {
  return takes_rows() && !entry_->inputs[rows_inputs_.front()].type.shape[0].is_static();
}

double CallFrame::scalar(size_t index) const { return load_element(entry_->outputs[index].type.dtype, output(index)); }

}  // namespace smelt
