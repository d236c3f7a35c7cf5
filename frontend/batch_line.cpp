// The `batch` line of a train section: the dim that counts rows, their number, and in which order they come.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "frontend/evaluator.h"
#include "frontend/names.h"
#include "frontend/train_section.h"
#include "ir/readers.h"

namespace smelt::frontend {

// batch B = 128, shuffle
void TrainSection::train_batch(const ast::BatchItem& item) {
  TrainPlan& plan = experiment_.train;
  const Value dim = names_.name_value(item.dim.text, item.dim.span, {});
  const auto* id = dim.as<DimValue>();
  if (id == nullptr) {
    if (!dim.bad())
      diagnostics_.report(Diag::E0605, item.dim.span,
                          fmt::format("`{}` is {}, not a dim", item.dim.text, shapes_.describe(dim)));
    return;
  }
  const Extent extent = shapes_.axis_of(id->id).extent;
  if (!extent.is_static() && experiment_.symbols[static_cast<size_t>(extent.symbol)].follows()) {
    diagnostics_
        .report(Diag::E0605, item.dim.span,
                fmt::format("`{}` follows from another dim, and rows are counted by one of their own", item.dim.text))
        .with_help("declare `dim B <= 128`");
    return;
  }
  const std::optional<int64_t> written =
      shapes_.expect_integer(evaluator_.eval(item.size), scopes_.span_of(item.size), "the batch size");
  if (!written) return;
  const int64_t size = options_.batch.value_or(*written);
  if (size < 1 || size > extent.bound || (extent.is_static() && size != extent.bound)) {
    diagnostics_
        .report(Diag::E0503, scopes_.span_of(item.size),
                fmt::format("the batch size is {}, and dim {} is {}{}", size, item.dim.text,
                            extent.is_static() ? "" : "at most ", extent.bound))
        .with_help(size < 1 ? fmt::format("a batch has at least one row: `batch {} = {}`", item.dim.text, extent.bound)
                            : fmt::format("declare `dim {} <= {}`", item.dim.text, size));
    return;
  }
  plan.batch = size;
  plan.batch_symbol = extent.symbol;
  plan.shuffle = item.shuffle;
  check_lengths(item);
  if (item.bucket.valid()) train_bucket(item);
}

/// The dim of a string's length is another one than that of the rows.
void TrainSection::check_lengths(const ast::BatchItem& item) {
  if (!experiment_.data || experiment_.train.batch_symbol < 0) return;
  for (const Split& split : experiment_.data->splits) {
    if (std::ranges::find(split.source.length_symbols, experiment_.train.batch_symbol) ==
        split.source.length_symbols.end())
      continue;
    diagnostics_
        .report(Diag::E0605, item.dim.span,
                fmt::format("{} counts the rows of a batch, and is the length of a string", item.dim.text))
        .label(split.source.span, "here")
        .with_help("give the strings a dim of their own: `dim T <= 64`");
    return;
  }
}

// batch B = 128, shuffle, bucket = 50
void TrainSection::train_bucket(const ast::BatchItem& item) {
  constexpr int64_t kMaxBucket = 1'000'000;
  const Span span = scopes_.span_of(item.bucket);
  const std::optional<int64_t> size = shapes_.expect_integer(evaluator_.eval(item.bucket), span, "`bucket`");
  if (!size) return;
  if (*size < 1 || *size > kMaxBucket) {
    diagnostics_.report(Diag::E0503, span, fmt::format("a bucket of {} batches; it has 1 to {}", *size, kMaxBucket))
        .with_help(
            "rows are sorted by length within a bucket: `bucket = 50` sorts those of 50 batches together, 1 none");
    return;
  }
  const Split* lengths = nullptr;  // a split whose rows have some
  bool at_run_time = false;
  for (const Split& split :
       experiment_.data ? std::span<const Split>(experiment_.data->splits) : std::span<const Split>()) {
    if (!has_lengths(split.source)) continue;
    lengths = &split;
    at_run_time = at_run_time || std::ranges::any_of(split.source.length_symbols, [](int32_t s) { return s >= 0; });
  }
  if (lengths == nullptr) {
    diagnostics_
        .report(Diag::E0605, span,
                experiment_.data ? "`bucket` sorts rows by length, and the data have no lengths"
                                 : "`bucket` sorts rows by length, and there are no data")
        .with_help("the readers `lines` and `pairs` have rows of different lengths; leave `bucket` out");
    return;
  }
  if (!at_run_time)
    diagnostics_.report(Diag::W0006, span, "`bucket` makes no batch shorter: the strings have dims of fixed size")
        .label(lengths->source.span, "here")
        .with_help("a run-time dim is as long as the longest string of a batch: `dim T <= 64`");
  experiment_.train.bucket = *size == 1 ? 0 : *size;  // a batch that is sorted by itself is the same batch
}

}  // namespace smelt::frontend
