// Runs programs for the system tests: the built `smelt` and what it makes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"
#include "runtime/files/safetensors.h"

namespace smelt::test {

struct CommandResult {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out, err;
};

struct CommandOptions {
  std::string directory = ".";                // where it runs
  std::vector<std::string> environment = {};  // NAME=value, in addition to ours
  bool closed_stdout = false;
  int signal = 0;                // sent once `signal_when` has something in it
  std::string signal_when = {};  // a file
};

/// The program is looked up in the PATH unless it has a slash. Never a shell.
CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options = {});

/// run_command on the built `smelt`.
CommandResult run_smelt(std::vector<std::string> arguments, const CommandOptions& options = {});

/// What went wrong; empty when nothing did. A message of a check is also formed when the check holds.
template <typename T>
std::string message_of(const Result<T>& result) {
  return result ? std::string() : result.error().message;
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
/// Whether a command wrote the text to stderr.
inline bool says(const CommandResult& result, std::string_view text) { return has(result.err, text); }

/// An empty directory of this test below the build tree.
std::string fresh_directory(std::string_view name);

/// The unpacked Fashion-MNIST files; made once, by whichever test comes first. Empty when the data set is not
/// installed.
const std::string& unpacked_data();

/// Whether the data set is not installed; says on stderr which test is skipped, and why.
bool skip_without_data();

std::string example(std::string_view name);

/// The tensors of two safetensors files differ in name, type or bytes: says where; empty when they agree.
/// Names that begin with `passed_over` are passed over.
std::string difference(const std::string& first, const std::string& second, std::string_view passed_over = {});

std::string read_text_file(const std::string& path);
void write_text_file(const std::string& path, std::string_view text);

/// The losses of a run's metrics.jsonl, as written, in order: "objective loss reports" of each line, without timing.
std::vector<std::string> logged_values(const std::string& run_directory);
/// The loss of each line of `objective`.
std::vector<double> logged_losses(const std::string& run_directory, std::string_view objective);

}  // namespace smelt::test
