// Our own mistakes. SMELT_CHECK throws InternalError, the project's only exception: `main` and every C entry
// catch it. A user's mistake is a Diagnostic (diagnostics.h), a call that may fail returns Result (result.h).
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace smelt {

class InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& what) : std::logic_error(what) {}
};

[[noreturn]] inline void fail_check(const char* file, int line, std::string_view condition, std::string_view context) {
  throw InternalError(
      fmt::format("{}:{}: check failed: {}{}{}", file, line, condition, context.empty() ? "" : ": ", context));
}

}  // namespace smelt

/// SMELT_CHECK(condition, "format {}", args...): throws InternalError with the formatted context.
#define SMELT_CHECK(condition, ...)                                                             \
  do {                                                                                          \
    if (!(condition)) [[unlikely]]                                                              \
      ::smelt::fail_check(__FILE__, __LINE__, #condition, ::smelt::check_context(__VA_ARGS__)); \
  } while (false)

namespace smelt {
inline std::string check_context() { return {}; }
template <typename... Args>
std::string check_context(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}
}  // namespace smelt
