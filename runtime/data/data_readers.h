// One record a reader: how it looks at the start of a file, and how it reads one whole.
#pragma once

#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/readers.h"
#include "ir/support/result.h"
#include "runtime/files/csv.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// One file, read: [rows, ..].
struct ReadTable {
  HostTensor tensor;
  std::vector<std::string> notes;
};

/// Readers whose files together are the rows have no functions here: load_pictures.h and the like read them. So does
/// load_csv.h read tables.
struct DataReader {
  const ReaderRecord* record;  // its name, and whether field(k) is a file or a column of one
  /// The columns of the file (one for idx and npy), from its start. `path` is where it is.
  Result<std::vector<Column>> (*probe)(const std::string& path, const Limits& limits) = nullptr;
  /// That the file is as long as its header says, without reading it. A packed one is checked when it is read.
  Result<void> (*check)(const std::string& path, const Limits& limits) = nullptr;
  Result<ReadTable> (*read)(const std::string& path, const Limits& limits) = nullptr;
};

/// What a row of a column may be: a model's arithmetic on sizes holds for any number of such rows.
/// Errors: Input naming `name`, for a row that holds nothing or is too large.
Result<void> check_row_shape(DType dtype, const std::vector<int64_t>& row_shape, const std::string& name);

/// The header of a csv file, from its start. Errors: as parse_csv_header.
Result<CsvHeader> read_csv_header(const std::string& path, const Limits& limits);

/// Errors: Input naming the readers that exist.
Result<const DataReader*> find_reader(const SourceCall& source);

}  // namespace smelt
