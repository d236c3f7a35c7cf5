// One split of a table: its columns, and the numbers of labels that are words.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/data_paths.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct LoadedCsv {
  HostTensor values;                    // f32[rows, columns] of the whole file; 0 where nothing reads a column
  std::map<int32_t, std::string> dims;  // of the labels that are words, by column of the plan
  WordsByDim words;                     // of those dims
  std::vector<std::string> notes;
  std::vector<size_t> lines;         // of the file, for each row, from 1
  std::vector<std::string> columns;  // how messages call each: "column `kind`"
};

/// The file of `split`, which is at `place`. Labels of a dim are words when the plan's known words have the dim, or
/// without those when a column of the dim has a word in the first split of its section; then each text of these columns
/// is a word. Errors: those of read_csv; Input for a word that is not known, or that has no place in the dim.
Result<LoadedCsv> load_csv(const DataPlan& plan, const Split& split, const std::string& place, const DataPaths& paths);

/// Whether labels of the plan may be words.
bool may_have_words(const DataPlan& plan);

}  // namespace smelt
