// The splits of a data section: finds the files, reads them whole, and checks that they are what the model
// expects.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// Where the system's packages put data sets.
inline constexpr std::string_view kSystemData = "/usr/share/datasets";

/// Where files of a data section are looked for: by base name in the directory given for the section with
/// `--data`, else beside the model file, else among the system's data sets; each with and without .gz.
struct DataPaths {
  std::map<std::string, std::string> directories;  // section name -> directory
  std::string model_directory = ".";
  std::map<std::string, std::string> recorded;  // path in the model -> where a run found it; asked after `directories`
};

/// Errors: Input, listing the places that were looked at; or when a relative path leaves its directory.
Result<std::string> resolve_data_path(const std::string& path, const std::string& section, const DataPaths& paths);

/// A column in memory: [rows, row_shape..], row-major.
struct LoadedColumn {
  DType dtype = DType::U8;
  std::vector<int64_t> row_shape;
  int64_t rows = 0;
  Buffer data;
};

class Dataset {
 public:
  /// Loads what `plan.columns` need of one split. Errors: Input for files that cannot be found or read, are
  /// damaged, differ in their number of rows, do not match the columns, or break a limit (file, row, value);
  /// Limit.
  static Result<Dataset> open(const DataPlan& plan, const Split& split, const DataPaths& paths);

  const std::string& split() const { return split_; }
  int64_t rows() const { return rows_; }
  /// In the order of DataPlan::columns.
  const std::vector<LoadedColumn>& columns() const { return columns_; }
  /// Things worth a warning: NaN and infinity in float files, conversions on the way.
  const std::vector<std::string>& notes() const { return notes_; }
  /// Where its files were, in the order of the reader's paths.
  const std::vector<std::string>& places() const { return places_; }
  /// A hash of the content of all columns: equal for equal data, whatever file it came from.
  std::string fingerprint() const;

 private:
  std::string split_;
  int64_t rows_ = 0;
  std::vector<LoadedColumn> columns_;
  std::vector<std::string> notes_, places_;
};

/// What a reader call would give, from a few bytes of each file: column k is field(k). For csv one f32 column
/// a csv column; `row()` is all of them together. Errors: as Dataset::open.
Result<std::vector<Column>> probe_source(const SourceCall& source, const std::string& section, const DataPaths& paths);

/// That the files of a reader call are as long as their headers say, so that no damaged size becomes a mistake of the
/// model. Errors: Input.
Result<void> check_source(const SourceCall& source, const std::string& section, const DataPaths& paths);

/// `idx`, `npy`, `csv`: the readers that exist, for messages.
std::vector<std::string_view> reader_names();

}  // namespace smelt
