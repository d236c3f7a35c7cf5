#include "runtime/sequence_rows.h"

#include <fmt/format.h>

namespace smelt {
namespace {

/// The elements of each row.
Result<std::vector<std::vector<double>>> rows_of_tensor(const HostTensor& tensor, int32_t rows) {
  if (tensor.shape.size() != (rows < 0 ? 1u : 2u))
    return fail(ErrorKind::Usage, fmt::format("{} has neither one axis nor two, one of which counts the rows",
                                              describe(tensor.dtype, tensor.shape)));
  const int64_t count = rows < 0 ? 1 : tensor.shape[static_cast<size_t>(rows)];
  const int64_t length = rows < 0 ? tensor.shape[0] : tensor.shape[static_cast<size_t>(1 - rows)];
  std::vector<std::vector<double>> out(static_cast<size_t>(count));
  for (int64_t row = 0; row < count; ++row)
    for (int64_t i = 0; i < length; ++i)
      out[static_cast<size_t>(row)].push_back(element(tensor, rows == 1 ? i * count + row : row * length + i));
  return out;
}

}  // namespace

int32_t row_axis(const TensorType& type, int32_t batch_symbol) {
  if (type.rank() != 2) return -1;
  const Extent &first = type.shape[0], &second = type.shape[1];
  if (batch_symbol >= 0 && (first.symbol == batch_symbol) != (second.symbol == batch_symbol))
    return second.symbol == batch_symbol ? 1 : 0;
  return first.is_static() && !second.is_static() ? 1 : 0;
}

Result<std::string> text_of_bytes(std::span<const int32_t> labels) {
  std::string text;
  for (const int32_t label : labels) {
    if (label < 0 || label > 255)
      return fail(ErrorKind::RunTime, fmt::format("a text of bytes has the element {}", label));
    text += static_cast<char>(static_cast<unsigned char>(label));
  }
  text.erase(text.find_last_not_of('\0') + 1);
  return text;
}

Result<std::string> text_of(const HostTensor& labels, int32_t rows) { return text_of(labels, rows, text_of_bytes); }

Result<std::string> text_of(const HostTensor& labels, int32_t rows, const DecodeLabels& decode) {
  SMELT_TRY(const std::vector<std::vector<double>> elements, rows_of_tensor(labels, rows));
  std::vector<std::string> texts;
  bool lines = false;
  for (const std::vector<double>& row : elements) {
    SMELT_TRY(std::string text, decode(std::vector<int32_t>(row.begin(), row.end())));
    lines = lines || text.find('\n') != std::string::npos;
    texts.push_back(std::move(text));
  }
  std::string out;
  for (const std::string& text : texts) {
    if (lines && !out.empty()) out += '\n';
    out += text + '\n';
  }
  return out;
}

Result<std::vector<float>> sound_of(const HostTensor& samples, int32_t rows, int64_t rate) {
  if (!is_float(samples.dtype))
    return fail(ErrorKind::Usage,
                fmt::format("{} is no sound: samples are floats, -1 to 1", describe(samples.dtype, samples.shape)));
  SMELT_TRY(const std::vector<std::vector<double>> elements, rows_of_tensor(samples, rows));
  std::vector<float> out;
  for (const std::vector<double>& row : elements) {
    if (!out.empty()) out.resize(out.size() + static_cast<size_t>(rate / 4), 0.0f);
    for (const double value : row) out.push_back(static_cast<float>(value));
  }
  return out;
}

}  // namespace smelt
