#include "cli/synthetic.h"

#include <algorithm>

#include "ir/philox.h"

namespace smelt::cli {

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
    SMELT_TRY(HostTensor tensor, HostTensor::zeros(column.dtype, shape, "a synthetic column"));
    const int64_t count = num_elements(shape).value_or(0);
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t word =
          philox(1, {static_cast<uint32_t>(i / 4), 0, 0, static_cast<uint32_t>(c)})[static_cast<size_t>(i % 4)];
      const int64_t number = static_cast<int64_t>(word) % below;
      switch (column.dtype) {
        case DType::F32: tensor.as<float>()[static_cast<size_t>(i)] = static_cast<float>(word) * 0x1p-32f; break;
        case DType::F64: tensor.as<double>()[static_cast<size_t>(i)] = word * 0x1p-32; break;
        case DType::I32: tensor.as<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(number); break;
        case DType::I64: tensor.as<int64_t>()[static_cast<size_t>(i)] = number; break;
        case DType::I16: tensor.as<int16_t>()[static_cast<size_t>(i)] = static_cast<int16_t>(number); break;
        default: tensor.as<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(number); break;
      }
    }
    columns.push_back(std::move(tensor));
  }
  return columns;
}

}  // namespace smelt::cli
