// What the comparisons with stored results of PyTorch share: a folder to work in, the command, its files, and
// the comparison itself.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/files/npy.h"
#include "runtime/files/safetensors.h"
#include "tests/numeric/formula.h"

namespace smelt::numeric {

inline const std::string kSource = std::string(SMELT_SOURCE_DIR) + "/tests/numeric/";
inline const std::string kStored = kSource + "stored/";

inline nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file, path);
  return nlohmann::json::parse(file);
}

inline std::string read_text(const std::string& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file, path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// An empty folder of this name.
inline std::string work_folder(const std::string& name) {
  const std::string path = std::string(SMELT_BINARY_DIR) + "/tests/numeric/" + name + "/";
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

/// Runs the command in `folder`; its output goes to `log` there, and is shown when it fails.
inline void run_smelt(const std::string& folder, const std::string& arguments) {
  const std::string log = folder + "log";
  const int status =
      std::system(fmt::format("cd '{}' && '{}' {} > log 2>&1", folder, SMELT_COMMAND, arguments).c_str());
  REQUIRE_MESSAGE(status == 0, fmt::format("smelt {}\n{}", arguments, read_text(log)));
}

template <typename T>
HostTensor host_tensor(DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  Result<HostTensor> tensor = HostTensor::zeros(dtype, std::move(shape));
  REQUIRE(tensor);
  REQUIRE(tensor->data.size() == values.size() * sizeof(T));
  std::memcpy(tensor->data.data(), values.data(), tensor->data.size());
  return std::move(*tensor);
}

inline std::vector<float> to_float(const std::vector<double>& values) { return {values.begin(), values.end()}; }

template <typename T>
void write_array(const std::string& path, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  REQUIRE(write_npy(path, host_tensor(dtype, std::move(shape), values)));
}

/// The start weights that a stored table describes.
inline void write_weights(const std::string& path, const nlohmann::json& table, DType dtype) {
  std::vector<HostTensor> tensors;
  std::vector<TensorToStore> views;
  tensors.reserve(table.size());
  for (const nlohmann::json& line : table) {
    const std::vector<int64_t> shape = line["shape"];
    const auto values = uniform(line["stream"], static_cast<size_t>(num_elements(shape).value()), line["scale"]);
    tensors.push_back(dtype == DType::F64 ? host_tensor(dtype, shape, values)
                                          : host_tensor(dtype, shape, to_float(values)));
    views.push_back({line["path"], dtype, shape, tensors.back().data.bytes()});
  }
  REQUIRE(write_safetensors(path, views, {}));
}

/// The losses of a run, of all objectives in the order they ran.
inline std::vector<double> read_losses(const std::string& run) {
  std::ifstream file(run + "/metrics.jsonl");
  REQUIRE(file);
  std::vector<double> losses;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json object = nlohmann::json::parse(line);
    if (object.contains("loss")) losses.push_back(object["loss"]);
  }
  return losses;
}

/// The first `count` losses against the stored ones, each relative to itself.
inline void check_losses(const std::string& what, const std::vector<double>& losses, const std::vector<double>& stored,
                         size_t count, double tolerance) {
  REQUIRE(losses.size() >= count);
  REQUIRE(stored.size() >= count);
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const double error = std::abs(losses[i] - stored[i]) / std::abs(stored[i]);
    if (!(error <= worst)) worst = error, at = i;  // so that a NaN is the worst
  }
  const std::string message = fmt::format("{}: {} losses, worst relative error {:.2e} at {}: {} is not {}", what, count,
                                          worst, at, losses[at], stored[at]);
  MESSAGE(message);
  CHECK_MESSAGE(worst <= tolerance, message);
}

/// The elements of a trained parameter against the stored ones, relative to the largest.
inline void check_parameter(const std::string& what, const std::vector<double>& ours, const std::vector<double>& theirs,
                            double tolerance) {
  REQUIRE(ours.size() == theirs.size());
  double scale = 0, error = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    scale = std::max(scale, std::abs(theirs[i]));
    if (!(std::abs(ours[i] - theirs[i]) <= error)) error = std::abs(ours[i] - theirs[i]);
  }
  CHECK_MESSAGE(error <= tolerance * scale, fmt::format("{}: {:.2e}", what, error / scale));
}

/// Tensors of a file as doubles.
class TensorFile {
 public:
  explicit TensorFile(const std::string& path) {
    Result<Safetensors> file = read_safetensors(path);
    REQUIRE_MESSAGE(file, path);
    file_ = std::move(*file);
  }
  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  std::vector<double> values(const std::string& name) const {
    const StoredTensor* tensor = file_.find(name);
    REQUIRE_MESSAGE(tensor != nullptr, name);
    const std::span<const std::byte> bytes = file_.bytes(*tensor);
    std::vector<double> values(static_cast<size_t>(num_elements(tensor->shape).value()));
    const size_t size = values.empty() ? 0 : bytes.size() / values.size();
    for (size_t i = 0; i < values.size(); ++i) values[i] = load_element(tensor->dtype.value(), bytes.data() + i * size);
    return values;
  }

 private:
  Safetensors file_;
};

}  // namespace smelt::numeric
