// Runs exports of a small model on arrays of f64, in a directory of its own.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/npy.h"
#include "tests/system/run_command.h"
#include "tests/system/small_model.h"

namespace smelt::test {

using Values = std::vector<double>;

struct ExportRuns {
  ExportRuns(std::string_view name, std::string_view text) : path(fresh_directory(name)) {
    write_text_file(path + "/m.smelt", text);
  }

  void write(const std::string& name, const Values& values, std::vector<int64_t> shape) const {
    auto tensor = HostTensor::zeros(DType::F64, std::move(shape));
    REQUIRE(tensor);
    std::memcpy(tensor->data.data(), values.data(), values.size() * sizeof(double));
    REQUIRE(write_npy(path + "/" + name, *tensor));
  }
  CommandResult tried(const std::string& name, const std::string& more) const {
    return smelt_in(path, fmt::format("run m.smelt {} {} --precision f64 -o out.npy --force", name, more));
  }
  Values run(const std::string& name, const std::string& more = "--input x=x.npy") const {
    const CommandResult result = tried(name, more);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    const auto file = read_npy(path + "/out.npy");
    REQUIRE(file);
    Values values;
    for (int64_t i = 0; i < *num_elements(file->tensor.shape); ++i) values.push_back(element(file->tensor, i));
    return values;
  }

  std::string path;
};

/// Numbers of -1..1 that are all different.
inline Values unlike_numbers(size_t count, double seed) {
  Values values;
  for (size_t i = 0; i < count; ++i) values.push_back(std::sin(1.7 * static_cast<double>(i * i) + seed));
  return values;
}

}  // namespace smelt::test
