// Pieces of error messages about files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace smelt {

/// `text` fit for a terminal: control bytes and bytes that are not UTF-8 become \xNN, and what is longer than
/// `max_bytes` is cut and ends in `...`.
std::string printable(std::string_view text, size_t max_bytes = 120);

/// `512 bytes`, `1.5 KiB`, `47.0 MiB`.
std::string human_bytes(uint64_t bytes);

/// What the system says about `error`, an errno: `No such file or directory`.
std::string errno_text(int error);

}  // namespace smelt
