// A folder in which tests write models and arrays, run `smelt` and read what it wrote.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/files/npy.h"
#include "tests/system/run_command.h"

namespace smelt::test {

template <typename T>
void write_array(const std::string& path, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  auto tensor = HostTensor::zeros(dtype, std::move(shape));
  REQUIRE(tensor);
  std::memcpy(tensor->data.data(), values.data(), values.size() * sizeof(T));
  const auto written = write_npy(path, *tensor);
  REQUIRE_MESSAGE(written, message_of(written));
}

inline std::vector<double> read_array(const std::string& path) {
  const auto file = read_npy(path);
  REQUIRE_MESSAGE(file, message_of(file));
  std::vector<double> values;
  for (int64_t i = 0; i < *num_elements(file->tensor.shape); ++i) values.push_back(element(file->tensor, i));
  return values;
}

struct Playground {
  explicit Playground(std::string_view name) : path(fresh_directory(name)) {}

  CommandResult run(const std::vector<std::string>& arguments) const {
    return run_smelt(arguments, {.directory = path});
  }
  void model(const std::string& text) const { write_text_file(path + "/m.smelt", text); }
  /// The fragments are in the message, and the command fails.
  void refuses(const std::vector<std::string>& arguments, const std::vector<std::string>& fragments) const {
    const CommandResult result = run(arguments);
    CHECK_MESSAGE(result.exit_code != 0, fmt::format("{} was accepted", fmt::join(arguments, " ")));
    for (const std::string& fragment : fragments)
      CHECK_MESSAGE(result.err.find(fragment) != std::string::npos,
                    fmt::format("`{}` is not in: {}", fragment, result.err));
  }
  double number(const std::vector<std::string>& arguments) const {
    const CommandResult result = run(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return std::atof(result.out.substr(result.out.find_last_of(' ')).c_str());
  }

  std::string path;
};

/// Of a line of numbers, for exports that are formulas.
inline const std::string kScale =
    "layer L(x: f32[B]) -> f32[B] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n";

}  // namespace smelt::test
