// One split of recordings: windows of one length at one rate.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct LoadedSounds {
  HostTensor windows;              // f32[rows, window], -1..1
  HostTensor lengths;              // i32[rows]: samples of each before the silence that fills it up, at least 1
  std::vector<std::string> names;  // of each row: the file, and where in it the window begins
};

/// `split` of `plan`, whose paths are at `places`. A split has whole recordings. Rows are in their order, the windows
/// of each from its first sample on; the last one of each is filled up with silence. `threads` decode; the bits do not
/// depend on their number. Errors: those of list_recordings, read_file and decode_sound; Limit when memory has no room.
Result<LoadedSounds> load_sounds(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                                 const Limits& limits, int threads);

}  // namespace smelt
