// What a run begins with, by its content: the data that it is trained on, files of parameters (`--init`, `from`),
// models of subwords. A run without a checkpoint begins again, and has to begin with the same.
#pragma once

#include <map>
#include <string>

#include "api/smelt/compile.h"
#include "runtime/checkpoint.h"
#include "runtime/data/subword_models.h"

namespace smelt::cli {

/// Hashes by what they are of, as a message names it.
using StartContent = std::map<std::string, std::string>;

/// Errors: of files that cannot be read.
Result<StartContent> start_content(const std::string& init, const CheckedModel& model, const ModelOptions& options,
                                   const std::map<std::string, SplitMark>& data, const SubwordModels& subwords);

/// Errors: Input, naming what changed since. What only one of them has is no change: flags and models may say more or
/// less.
Result<void> check_unchanged(const StartContent& then, const StartContent& now, const std::string& run);

}  // namespace smelt::cli
