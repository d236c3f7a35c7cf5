// Results that are texts or sounds: a row each of a tensor of one axis or two.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "ir/type.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// Which of two axes counts the rows: that of `batch_symbol` (TrainPlan), else the one of a run-time dim where the
/// other is none, else the first: `B` of both `[B, Length]` and `[Length, B]`. -1 for one axis, which is one row.
int32_t row_axis(const TensorType& type, int32_t batch_symbol);

/// Labels as bytes, without the zeros at their end. Errors: RunTime for a label that is no byte.
Result<std::string> text_of_bytes(std::span<const int32_t> labels);

/// The bytes of each row, whose elements are 0 to 255, without the zeros at its end. Each is followed by a new line,
/// and when one has several lines, an empty line stands between two. Errors: Usage for more than two axes; RunTime for
/// an element that is no byte.
Result<std::string> text_of(const HostTensor& labels, int32_t rows);
/// The same of labels of which `decode` makes a text.
using DecodeLabels = std::function<Result<std::string>(std::span<const int32_t>)>;
Result<std::string> text_of(const HostTensor& labels, int32_t rows, const DecodeLabels& decode);

/// The samples of each row, with a quarter of a second of silence between two. Errors: Usage for more than two axes or
/// elements that are no floats.
Result<std::vector<float>> sound_of(const HostTensor& samples, int32_t rows, int64_t rate);

}  // namespace smelt
