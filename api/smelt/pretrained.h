// Models that begin as a file says: `model f = Net{..} from "f.safetensors"`.
#pragma once

#include "api/smelt/compile.h"
#include "runtime/session.h"

namespace smelt {

/// Compares the files that are there with the models that begin with them. A file that is not there is one of
/// `data_notes`; one that does not fit is a diagnostic, and leaves no experiment.
void check_pretrained(CheckedModel& model, const DataPaths& paths);

/// Gives the models their parameters and states, on an initialised session whose variables come from no checkpoint.
/// Numbers of another element type are converted. Errors: Input when a file is not there, is damaged, or does not fit.
Result<void> load_pretrained(const CheckedModel& model, const ModelOptions& options, Session& session);

/// Where those files are. Errors: Input when one is not there.
Result<std::vector<std::string>> pretrained_places(const CheckedModel& model, const ModelOptions& options);

}  // namespace smelt
