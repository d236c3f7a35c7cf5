#include "cli/console.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "ir/support/printable.h"

namespace smelt::cli {

void say_raw(std::string_view text) noexcept {
  [[maybe_unused]] const size_t written = std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::clearerr(stderr);
}

void say_line(std::string_view text) { say_raw(printable_lines(text) + "\n"); }

bool wants_colour() { return isatty(STDERR_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

}  // namespace smelt::cli
