// One split of a text whose lines are the rows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/row_lengths.h"
#include "runtime/files/subwords.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct LoadedLines {
  // Of `lines` u8[rows, length] and i32[rows]; of `pairs` two of each, strings first. Strings of subwords are i32.
  std::vector<HostTensor> fields;
  std::vector<RowLengths> lengths;  // of each string
  std::vector<std::string> names;   // of each row: file and line
};

/// `split` of `plan`, whose paths are at `places`. Bytes behind a string are 0. Lines end with \n or \r\n, and a mark
/// of byte order is left out; so are empty lines, which a note counts. Errors: those of read_file; Input, with the
/// line, for a string that is too long, has a byte 0, or of a pair is empty or not two, and for a file without lines.
/// `subwords` cuts the strings where the source says so, else it is null.
Result<LoadedLines> load_lines(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                               const Limits& limits, const Subwords* subwords, std::vector<std::string>& notes);

}  // namespace smelt
