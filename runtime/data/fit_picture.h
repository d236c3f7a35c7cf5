// Pictures of any size as pictures of one size.
#pragma once

#include "ir/plan.h"
#include "runtime/files/decode_picture.h"

namespace smelt {

/// `picture` with `options.height` x `options.width` pixels, by `options.fit`. Scaled by a triangle that is as wide as
/// what a new pixel covers (Pillow's BILINEAR), in whole numbers: the bits are the same on every machine, and a picture
/// that has its size already is kept as it is.
Picture fit_picture(Picture picture, const PictureOptions& options);

}  // namespace smelt
