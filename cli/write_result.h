// How `run` and `sample` write what an export returns: the extension of `-o` says which format.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ir/support/result.h"
#include "runtime/data/subword_models.h"
#include "runtime/program.h"
#include "runtime/session.h"

namespace smelt::cli {

struct ResultFlags {
  std::string output;  // empty: a text goes to the standard output
  std::string shape;   // HxW of flat pictures
  std::optional<int64_t> rate;
  bool force = false;
};

/// Whether an input or result is a text: labels of at most 256 values, or of subwords.
bool is_text(const Binding& binding, const CompiledProgram& program);
/// Of the first kind.
bool is_bytes(const Binding& binding, const CompiledProgram& program);

/// Whether results are written as texts.
bool writes_text(const ResultFlags& flags);

/// Errors: Usage when the extension of the output is none that is known.
Result<void> check_format(const ResultFlags& flags);
/// That the results of `entry` can be written so, before it runs. Errors: Usage.
Result<void> check_output(const ResultFlags& flags, const Entry& entry, const CompiledProgram& program);

/// Writes them, and prints a line for each. Errors: Usage for a result that the format cannot say; Output.
Result<void> write_results(const ResultFlags& flags, std::span<NamedTensor> results, const Entry& entry,
                           const Session& session, const SubwordModels& subwords);

}  // namespace smelt::cli
