// A sheet of small pictures, as in torchvision's make_grid.
#pragma once

#include <cstdint>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/files/png.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct GridOptions {
  int64_t columns = 0;       // 0: ceil(sqrt(n))
  double low = 0, high = 1;  // the values that map to 0 and 255; others are clamped, NaN is 0
  Limits limits = {};        // of the sheet
};

/// `images` is [N,H,W] or [N,C,H,W], C = 1 or 3, of a float type or u8. Two black pixels around each; whole
/// sheets are enlarged by an integer, without smoothing, until the longer side has 512 pixels. Errors:
/// RunTime for other shapes; Limit beyond `Limits::pixels`.
Result<Picture> make_grid(const HostTensor& images, const GridOptions& options);

}  // namespace smelt
