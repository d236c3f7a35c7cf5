#include "cli/synthetic.h"

#include <algorithm>

#include "ir/philox.h"

namespace smelt::cli {

Result<HostTensor> synthetic_tensor(DType dtype, const std::vector<int64_t>& shape, int64_t below, uint32_t number) {
  SMELT_TRY(HostTensor tensor, HostTensor::zeros(dtype, shape, "a synthetic tensor"));
  const int64_t count = num_elements(shape).value_or(0);
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    const uint32_t word = philox(1, {static_cast<uint32_t>(i / 4), 0, 0, number})[static_cast<size_t>(i % 4)];
    const int64_t label = static_cast<int64_t>(word) % below;
    switch (dtype) {
      case DType::F32: tensor.as<float>()[at] = static_cast<float>(word) * 0x1p-32f; break;
      case DType::F64: tensor.as<double>()[at] = word * 0x1p-32; break;
      case DType::I32: tensor.as<int32_t>()[at] = static_cast<int32_t>(label); break;
      case DType::I64: tensor.as<int64_t>()[at] = label; break;
      case DType::I16: tensor.as<int16_t>()[at] = static_cast<int16_t>(label); break;
      default: tensor.as<uint8_t>()[at] = static_cast<uint8_t>(label); break;
    }
  }
  return tensor;
}

Result<std::vector<HostTensor>> synthetic_columns(const DataPlan& data, int64_t rows) {
  std::vector<HostTensor> columns;
  for (size_t c = 0; c < data.columns.size(); ++c) {
    const Column& column = data.columns[c];
    std::vector<int64_t> shape = {rows};
    shape.insert(shape.end(), column.row_shape.begin(), column.row_shape.end());
    int64_t below = 256;
    for (const ColumnLimit& limit : data.limits) {
      if (limit.column == static_cast<int32_t>(c)) below = std::min(below, limit.below);
    }
    SMELT_TRY(HostTensor tensor, synthetic_tensor(column.dtype, shape, below, static_cast<uint32_t>(c)));
    columns.push_back(std::move(tensor));
  }
  return columns;
}

}  // namespace smelt::cli
