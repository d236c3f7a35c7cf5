// The arguments of one entry: bound once, called often, nothing allocated in between.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/support/result.h"
#include "runtime/abi.h"
#include "runtime/buffer.h"
#include "runtime/data/dataset.h"
#include "runtime/program.h"

namespace smelt {

/// Whether each run-time dimension has the elements that the parts of it need, by symbol. Errors: Input.
Result<void> check_least_sizes(const CompiledProgram& program, const Entry& entry, std::span<const int64_t> sizes);

/// Both `program` and the arena must outlive the frame. Run-time dimensions start at their bounds.
class CallFrame {
 public:
  CallFrame(const CompiledProgram& program, const Entry& entry, void* arena);
  CallFrame(CallFrame&&) = default;  // smelt_call points to heap memory of the vectors, which moves along
  CallFrame& operator=(CallFrame&&) = default;

  const Entry& entry() const { return *entry_; }
  const smelt_call& call() const { return call_; }

  /// Memory for every output, by bounds. Errors: Limit.
  Result<void> own_outputs();

  /// Tensors by bounds, as abi.h says. They stay the caller's and must live until the last call.
  void set_input(size_t index, const void* data) { inputs_[index] = data; }
  /// Dimensions that follow from this one get their sizes too.
  void set_extent(int32_t symbol, int64_t size);
  /// Before a call. Errors: Input when a dimension has fewer elements than a part that is taken of it.
  Result<void> check_sizes() const;
  int64_t extent(int32_t symbol) const { return extents_[static_cast<size_t>(symbol)]; }

  /// Binds the columns of its data section and, where a program has a dimension for them, the number of rows.
  void set_dataset(const Dataset& dataset);
  void set_datasets(const SplitSets& sets);
  /// Binds the rows of a batch and its size, the same of every data section; the numbers must live until the call.
  void set_rows(std::span<const int32_t> rows);
  /// Those of one section.
  void set_rows(int32_t section, std::span<const int32_t> rows);

  /// The batch size of an entry that takes no data: the dim that the file's `batch` names, at most its bound.
  void set_batch(int64_t size);

  /// What set_input was given; null before it.
  const void* input(size_t index) const { return inputs_[index]; }

  /// True when the entry reads rows of a data set.
  bool takes_rows() const { return !rows_inputs_.empty(); }
  /// The smallest number of rows of the sets that the entry reads; 0 when it reads none, or one that is not there.
  int64_t rows_of(const SplitSets& sets) const;
  /// True when the batch may be smaller than its bound.
  bool has_free_batch() const;

  const std::byte* output(size_t index) const { return static_cast<const std::byte*>(outputs_[index]); }
  /// Output `index`, a scalar, as a double.
  double scalar(size_t index) const;

 private:
  void bind_rows(size_t input, std::span<const int32_t> rows);
  void bind_lengths(int32_t section, std::span<const int32_t> rows);

  /// The strings of a run-time dim: it is as long as the longest of the rows that are bound.
  struct LengthBinding {
    int32_t section = 0;
    const RowLengths* strings = nullptr;
    int64_t size = 0;
  };

  const CompiledProgram* program_;
  const Entry* entry_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::vector<int64_t> extents_;
  std::vector<Buffer> owned_;
  std::vector<size_t> rows_inputs_;  // one a data section that the entry reads
  std::vector<LengthBinding> lengths_;
  smelt_call call_{};
};

}  // namespace smelt
