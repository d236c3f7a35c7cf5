// The header of a .npy file: a Python dict literal with three keys. Read by a parser of its own; nothing is
// evaluated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct NpyDict {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Keys in any order, trailing commas, `True`, `False` and Python 2's `3L` are understood. `offset` is the
/// place of `text` in the file `name`, for messages. Errors: Input with the byte at fault.
Result<NpyDict> parse_npy_dict(std::string_view text, uint64_t offset, const std::string& name);

}  // namespace smelt
