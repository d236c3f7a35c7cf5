// A model file -> Experiment: names, compile-time values, shapes with named axes, layers and their
// parameters, and one graph for each thing that runs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/experiment.h"
#include "ir/support/diagnostics.h"
#include "ir/support/limits.h"

namespace smelt {

/// A name of the model file as it is bound, for editors. A name may be bound several times: once for each call.
struct BoundName {
  Span span;
  std::string type;  // `f32[B, Hid]`; of other values what they are
  bool is_tensor = false;
  int64_t bytes = 0;  // of a tensor, at the bounds of its dims
  KnownRange range;
};

struct FrontendOptions {
  std::vector<std::pair<std::string, std::string>> config;  // `--set name=value`
  std::vector<std::string> data_sections;                   // that `--data name=dir` names
  std::optional<int64_t> batch, epochs, steps;              // replace the numbers of the train section
  std::optional<uint64_t> seed;
  std::string train;  // the name of a train section; empty: the first one
  std::optional<DType>
      precision;  // F32, F64 or BF16, see Experiment::precision; none: what the train section says, else F32
  /// Element type and row shape of each column of a reader, from the files' headers. Without it (checking a file whose
  /// data is not there) idx columns are u8 and csv columns f32, of the shape that the field declares.
  /// Nothing, rather than an error, stands for data that is not there.
  std::function<Result<std::optional<std::vector<Column>>>(const std::string& section, const SourceCall&)> probe;
  std::function<void(const BoundName&)> on_binding;  // may be empty
  Limits limits;                                     // of the text, and of what is built of it
};

/// Nothing when there are errors. The standard library's texts are added to `sources`, for spans into it.
std::optional<Experiment> build_experiment(SourceMap& sources, uint32_t file, const FrontendOptions& options,
                                           Diagnostics& diagnostics);

}  // namespace smelt
