// Runs objectives (with `training` false) and metrics over a whole split.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/data/dataset.h"
#include "runtime/failed_call.h"
#include "runtime/metrics_log.h"
#include "runtime/session.h"

namespace smelt {

/// Names of an objective give its loss as `name` and its reports as `name.report`; a metric gives `name`. All
/// batches of `batch` rows in file order, the rest included; values are averaged in f64 with the number of
/// rows as weight. The RNG's run is the batch number. What reads no data runs once. A batch of fixed size
/// leaves the rest out. `data` is the split of each data section, and may be empty when nothing reads data; what reads
/// several sections takes row i of each, up to the end of the shortest. Errors: Usage for a name that is neither
/// objective nor metric; Input when the split has no full batch of a fixed size; RunTime. A value that is not
/// finite is no error, unless `trace` is given: it gets the first call with one, and NonFinite comes back.
Result<std::vector<NamedValue>> evaluate(Session& session, const SplitSets& data, int64_t batch,
                                         const std::vector<std::string>& names, const TraceCall& trace = {});

/// The value called `name`; null when there is none.
const NamedValue* find_value(const std::vector<NamedValue>& values, std::string_view name);

}  // namespace smelt
