// Input text in messages.
#pragma once

#include <string>
#include <string_view>

namespace smelt {

/// `text` fit for a terminal: control bytes and bytes that are not UTF-8 become \xNN, and what is longer than
/// `max_bytes` is cut and ends in `...`.
std::string printable(std::string_view text, size_t max_bytes = 120);

}  // namespace smelt
