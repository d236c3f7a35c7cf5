// The splits of a data section: finds the files, reads them whole, and checks that they are what the model
// expects.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/data_paths.h"
#include "runtime/data/row_lengths.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// A column in memory: [rows, row_shape..], row-major.
struct LoadedColumn {
  DType dtype = DType::U8;
  std::vector<int64_t> row_shape;
  int64_t rows = 0;
  Buffer data;
};

class Dataset {
 public:
  /// Loads what `plan.columns` need of one split of a data section. Errors: Input for files that cannot be found or
  /// read, are damaged, differ in their number of rows, do not match the columns, or break a limit (file, row, value);
  /// Limit.
  /// `threads` decode pictures; 0: one a processor.
  static Result<Dataset> open(const DataPlan& plan, const Split& split, const DataPaths& paths, int threads = 0);

  const std::string& split() const { return split_; }
  /// Of DataPlan: 0 is the first.
  int32_t section() const { return section_; }
  /// What checkpoints and messages call it: the split, behind its section where that is not the first.
  const std::string& name() const { return name_; }
  int64_t rows() const { return rows_; }
  /// In the order of DataPlan::columns; those of other sections have no rows.
  const std::vector<LoadedColumn>& columns() const { return columns_; }
  /// That these rows will be read soon.
  void ask_for(std::span<const int32_t> rows) const;
  /// Things worth a warning: NaN and infinity in float files, conversions on the way.
  const std::vector<std::string>& notes() const { return notes_; }
  /// Where its files were, in the order of the reader's paths.
  const std::vector<std::string>& places() const { return places_; }
  /// The names of the classes of a column, in the order of their numbers; empty where labels are numbers, or are none.
  const std::vector<std::string>& classes(int32_t column) const;
  /// The words of a table, or the classes of pictures, that labels are numbers of.
  const WordsByDim& words() const { return words_; }
  /// Of the strings of each row; empty where rows are no strings.
  std::span<const RowLengths> lengths() const { return lengths_; }
  /// A hash of the content of all columns and of their words: equal for equal data, whatever file it came from.
  std::string fingerprint() const;

 private:
  std::string split_, name_;
  int32_t section_ = 0;
  int64_t rows_ = 0;
  std::vector<LoadedColumn> columns_;
  std::vector<RowLengths> lengths_;
  std::vector<std::string> notes_, places_;
  std::map<int32_t, std::vector<std::string>> classes_;
  WordsByDim words_;
};

/// A split of each data section, in the order of the sections.
using SplitSets = std::vector<const Dataset*>;
/// Those of the split `name`.
SplitSets sets_of(std::span<const Dataset> data, std::string_view name);

/// What a reader call would give, from a few bytes of each file: column k is field(k). For csv one f32 column
/// a csv column; `row()` is all of them together. Errors: as Dataset::open.
Result<std::vector<Column>> probe_source(const SourceCall& source, const std::string& section, const DataPaths& paths);

/// That the files of a reader call are as long as their headers say, so that no damaged size becomes a mistake of the
/// model. Errors: Input.
Result<void> check_source(const SourceCall& source, const std::string& section, const DataPaths& paths);

/// `idx`, `npy`, `csv`: the readers that exist, for messages.
std::vector<std::string_view> reader_names();

}  // namespace smelt
