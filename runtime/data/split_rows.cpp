// Which rows of a source a split has.
#include "runtime/data/split_rows.h"

#include <fmt/format.h>

#include <limits>
#include <numeric>

#include "ir/readers.h"
#include "runtime/data/shuffle.h"

namespace smelt {

Result<std::vector<int32_t>> rows_of_split(const DataPlan& plan, const Split& split, int64_t count) {
  if (count > std::numeric_limits<int32_t>::max())
    return fail(ErrorKind::Limit, fmt::format("split `{}` has {} rows, the limit is 2^31-1", split.name, count));
  const ReaderRecord* reader = find_reader_record(split.source.reader);
  std::vector<int32_t> rows;
  if (reader != nullptr && reader->kind == FileKind::Text) {
    const auto [from, to] = stretch_of_share(count, split.share);
    rows.resize(static_cast<size_t>(to - from));
    std::iota(rows.begin(), rows.end(), static_cast<int32_t>(from));
  } else {
    rows = rows_of_share(count, split.share, plan.seed);
  }
  if (!rows.empty() || count == 0) return rows;
  return fail(ErrorKind::Input,
              fmt::format("split `{}` has none of the {} rows: its share is {:.6g} of them", split.name, count,
                          split.share.to - split.share.from),
              fmt::format("give it at least {:.6g} in `split(..)`", 1.0 / static_cast<double>(count)));
}

}  // namespace smelt
