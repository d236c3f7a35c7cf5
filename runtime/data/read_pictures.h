// The pixels of many pictures, decoded once and kept.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/plan.h"
#include "ir/support/result.h"
#include "runtime/data/data_paths.h"
#include "runtime/data/picture_list.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// u8[files, channels, height, width], decoded on `threads` threads; the bits do not depend on their number.
/// Beyond `Limits::decoded` they are in a file of `paths.scratch_directory`, which a note says. Errors: Input for the
/// first file, in the order of `files`, that is no picture or a damaged one; Limit for one beyond its limits; Output
/// when the disk has no room.
Result<HostTensor> read_pictures(std::span<const PictureFile> files, const PictureOptions& options,
                                 const DataPaths& paths, int threads, std::vector<std::string>& notes);

}  // namespace smelt
