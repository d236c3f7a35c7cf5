// Pieces of error messages about files.
#pragma once

#include <cstdint>
#include <string>

#include "ir/support/printable.h"

namespace smelt {

/// `512 bytes`, `1.5 KiB`, `47.0 MiB`.
std::string human_bytes(uint64_t bytes);

/// What the system says about `error`, an errno: `No such file or directory`.
std::string errno_text(int error);

}  // namespace smelt
