// Waiting for files to change: `smelt check --watch`.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace smelt::cli {

/// Calls `work` at once and after each change of a file, until the process is told to end. Editors replace files, so a
/// file that is missing for a moment is not a change until it is there again.
[[noreturn]] void watch(const std::vector<std::string>& files, const std::function<void()>& work);

}  // namespace smelt::cli
