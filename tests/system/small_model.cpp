#include "tests/system/small_model.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "runtime/files/npy.h"

namespace smelt::test {
namespace {

template <typename T>
void write_array(const std::string& path, DType dtype, const std::vector<T>& values, std::vector<int64_t> shape) {
  Result<HostTensor> tensor = HostTensor::zeros(dtype, std::move(shape));
  REQUIRE(tensor);
  REQUIRE(tensor->data.size() == values.size() * sizeof(T));
  std::memcpy(tensor->data.data(), values.data(), tensor->data.size());
  REQUIRE(write_npy(path, *tensor));
}

}  // namespace

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const size_t at = out.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return out.replace(at, from.size(), to);
}

HostTensor counted(int64_t rows, int64_t columns, float first) {
  HostTensor tensor = HostTensor::zeros(DType::F32, {rows, columns}).value();
  for (size_t i = 0; i < tensor.as<float>().size(); ++i) tensor.as<float>()[i] = first + static_cast<float>(i);
  return tensor;
}

void write_floats(const std::string& path, const std::vector<float>& values, std::vector<int64_t> shape) {
  write_array(path, DType::F32, values, std::move(shape));
}

void write_labels(const std::string& path, const std::vector<int32_t>& values) {
  write_array(path, DType::I32, values, {static_cast<int64_t>(values.size())});
}

void write_small_model(const std::string& directory, std::string_view text, int64_t rows) {
  write_text_file(directory + "/m.smelt", text);
  std::vector<float> x;
  std::vector<int32_t> y;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < 3; ++k) x.push_back(std::sin(static_cast<float>(3 * row + k)));
    y.push_back(static_cast<int32_t>(row % 4));
  }
  write_floats(directory + "/x.npy", x, {rows, 3});
  write_labels(directory + "/y.npy", y);
  write_floats(directory + "/in.npy", {1, 2, 3, 4, 5, 6}, {2, 3});
}

CommandResult smelt_in(const std::string& directory, std::string_view line, CommandOptions options) {
  options.directory = directory;
  std::vector<std::string> arguments;
  std::istringstream words{std::string(line)};
  for (std::string word; words >> word;) arguments.push_back(word);
  return run_smelt(arguments, options);
}

CommandResult shell_in(const std::string& directory, const std::string& script) {
  return run_command({"bash", "-c", script, SMELT_BINARY_DIR "/smelt"}, {.directory = directory});
}

}  // namespace smelt::test
