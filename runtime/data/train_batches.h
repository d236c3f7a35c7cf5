// The batches that a train section asks for, of one split.
#pragma once

#include "ir/plan.h"
#include "runtime/data/batches.h"
#include "runtime/data/dataset.h"

namespace smelt {

enum class RestOfEpoch : uint8_t { Kept, Dropped };

/// As `train` says: of `batch` rows, shuffled or not, rows of like length together where it has a bucket and the rows
/// have lengths. Errors: those of Batches::create.
Result<Batches> train_batches(const TrainPlan& train, const Dataset& set, RestOfEpoch rest);

}  // namespace smelt
