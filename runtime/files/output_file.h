// Files that a user names as the place of a result (`-o`, `--trace`).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ir/support/result.h"

namespace smelt {

/// `-`, which is the standard output, or something that exists and is no regular file: a pipe, a terminal, /dev/null.
bool is_stream(const std::string& path);

/// `-`, or another name of what the standard output is, such as /dev/stdout: what is printed there besides would lie
/// within the result.
bool is_standard_output(const std::string& path);

/// Writes `parts` one after another. A regular or a new file is written as by write_file_atomic; behind a symbolic link
/// that happens to the file it points to, and the link stays. A stream is written in place; a named pipe waits some
/// seconds for a reader. Errors: Output for a directory, a disk, or when the system refuses.
Result<void> write_output(const std::string& path, std::span<const std::span<const std::byte>> parts);
Result<void> write_output(const std::string& path, std::string_view text);

}  // namespace smelt
