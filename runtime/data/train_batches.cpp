#include "runtime/data/train_batches.h"

#include "runtime/data/row_lengths.h"

namespace smelt {

Result<Batches> train_batches(const TrainPlan& train, const Dataset& set, RestOfEpoch rest) {
  const std::vector<int64_t> keys = train.bucket > 0 ? length_keys(set.lengths()) : std::vector<int64_t>();
  return Batches::create({.rows = set.rows(),
                          .batch = train.batch,
                          .drop_rest = rest == RestOfEpoch::Dropped,
                          .shuffle = train.shuffle,
                          .seed = train.seed,
                          .section = static_cast<uint32_t>(set.section()),
                          .bucket = keys.empty() ? 0 : train.bucket},
                         set.name(), keys);
}

}  // namespace smelt
