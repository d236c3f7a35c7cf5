// The pixels of many pictures, decoded once and kept.
#pragma once

#include <span>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/picture_list.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// u8[files, channels, height, width], decoded on `threads` threads; the bits do not depend on their number.
/// Errors: Input for the first file, in the order of `files`, that is no picture or a damaged one; Limit for one beyond
/// `limits`, and when memory has no room for all of them.
Result<HostTensor> read_pictures(std::span<const PictureFile> files, const PictureOptions& options,
                                 const Limits& limits, int threads);

}  // namespace smelt
