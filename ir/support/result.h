// A call that can fail for a reason its caller handles returns Result<T>.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "ir/support/source.h"

namespace smelt {

/// What kind of failure it is; the command line maps each to one exit code (DESIGN section 7), the C API to one status.
enum class ErrorKind {
  Model,       // errors in the model file                         exit 1
  Usage,       // a flag or an argument is wrong                   exit 2
  Input,       // an input file is unreadable or malformed         exit 3
  Output,      // an output cannot be written                      exit 4
  Limit,       // out of memory or over a limit                    exit 5
  NonFinite,   // NaN or infinity                                  exit 6
  RunTime,     // a run-time check, such as an index out of range  exit 7
  Unsupported  // parsed and understood, but not built yet         exit 1
};

/// One line in lower case without a full stop; `help` says how to mend it, when that is known.
struct Error {
  ErrorKind kind = ErrorKind::Model;
  std::string message;
  std::string help;
  Span span;  // empty unless a place in the model file is to blame
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string help = {}, Span span = {}) {
  return std::unexpected(Error{kind, std::move(message), std::move(help), span});
}

}  // namespace smelt

#define SMELT_CONCAT_INNER(a, b) a##b
#define SMELT_CONCAT(a, b) SMELT_CONCAT_INNER(a, b)
#define SMELT_TRY_IMPL(result, declaration, ...)                  \
  auto result = (__VA_ARGS__);                                    \
  if (!result) return std::unexpected(std::move(result).error()); \
  declaration = *std::move(result)

/// SMELT_TRY(auto x, call()): declares x from the value, or returns the error.
#define SMELT_TRY(declaration, ...) SMELT_TRY_IMPL(SMELT_CONCAT(result_, __LINE__), declaration, __VA_ARGS__)

/// SMELT_TRY_VOID(call()): returns the error of a Result<void>.
#define SMELT_TRY_VOID(...)                                                                                     \
  do {                                                                                                          \
    if (auto result_void = (__VA_ARGS__); !result_void) return std::unexpected(std::move(result_void).error()); \
  } while (false)
