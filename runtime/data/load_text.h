// One split of a text: windows that do not overlap, and the bytes that follow.
#pragma once

#include <span>
#include <string>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/files/subwords.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct LoadedText {
  HostTensor windows;  // u8[rows, window], or i32 of subwords
  HostTensor next;     // likewise: what comes after each of them
};

/// `split` of `plan`, whose paths are at `places`. Rows are in the order of the text, file after file; no row reaches
/// from one file into the next, and the bytes behind a file's last whole window are left out. Errors: those of
/// read_file; Input for a file of fewer than window + 1 bytes, and for a split without rows.
/// `subwords` cuts the text where the source says so, else it is null.
Result<LoadedText> load_text(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                             const Limits& limits, const Subwords* subwords);

/// That a text that is not packed is long enough, without reading it. Errors: Input.
Result<void> check_text(const std::string& path, int64_t window);

}  // namespace smelt
