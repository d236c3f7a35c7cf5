// What commands say to people, on the standard error. That may be a full disk, a closed terminal or a pipe whose reader
// left: nothing that is said there ever ends a command. Control characters of paths, flags and names never reach it
// raw.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <string_view>

namespace smelt::cli {

/// Writes the bytes as they are, as far as that works: for text that was made fit for a terminal, colours included.
void say_raw(std::string_view text) noexcept;

/// A line, fit for a terminal.
void say_line(std::string_view text);

template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  say_line(fmt::format(format, std::forward<Args>(args)...));
}

/// A NaN is printed as `nan`, whatever its sign bit is.
inline double without_sign_of_nan(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

/// Whether the standard error is a terminal that wants colours.
bool wants_colour();

}  // namespace smelt::cli
