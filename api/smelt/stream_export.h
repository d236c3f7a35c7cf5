// An export that writes a sequence, run so that what it writes is known as soon as it is made, with the bits of
// Session::run: its loops are cut at their turns (compiler/graph/stage_loops.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/smelt/compile.h"
#include "runtime/session.h"

namespace smelt {

class StreamedExport {
 public:
  ~StreamedExport();

  /// Of an export with one result of labels, with the parameters of `session`, which has to outlive it. Null: it is not
  /// made of loops that can be cut. Errors: those of compiling.
  static Result<std::unique_ptr<StreamedExport>> create(const CheckedModel& model, const ModelOptions& options,
                                                        const Entry& entry, Session& session);

  /// Called after each piece that made the next elements of the first row: all of them so far.
  using OnMade = std::function<Result<void>(std::span<const int32_t> labels)>;
  /// The results, as Session::run gives them; more rows than the export takes at once go there. Errors: those of
  /// Session::run and of `on_made`.
  Result<std::vector<NamedTensor>> run(std::span<const NamedTensor> inputs, const OnMade& on_made);

 private:
  struct Parts;
  explicit StreamedExport(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace smelt
