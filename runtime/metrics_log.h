// metrics.jsonl: one JSON object a line. Numbers are the shortest text that reads back to the same bits of
// their type.
//
//   {"step":1,"objective":"loss","loss":0.5,"reports":{"recon":0.25},"ms":1.25}
//   {"step":1,"eval":"valid","metrics":{"loss":0.5,"acc":0.75}}
//
// NaN and infinity have no JSON number: they are null, and the line carries "nonfinite":true.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ir/support/result.h"
#include "ir/type.h"

namespace smelt {

/// A value with its name; `dtype` decides how many digits it has.
struct NamedValue {
  std::string name;
  double value = 0;
  DType dtype = DType::F64;
};

/// Appends a number, or null when it is not finite.
void append_json_number(std::string& out, double value, DType dtype);

class MetricsLog {
 public:
  /// Appends to `path`; lines of steps after `keep_through` are removed first, so that a resumed run logs
  /// what an uninterrupted one would. Errors: Output; Input when an existing file cannot be read.
  static Result<MetricsLog> open(const std::string& path, int64_t keep_through);
  MetricsLog(MetricsLog&& other) noexcept;
  MetricsLog& operator=(MetricsLog&&) = delete;
  ~MetricsLog();  // writes what is left; call flush to learn of errors

  /// One execution of an objective. `ms` is wall time in milliseconds. Allocates nothing once the buffer is warm.
  /// Errors: Output.
  Result<void> log_step(int64_t step, const NamedValue& loss, std::span<const NamedValue> reports, double ms);
  Result<void> log_evaluation(int64_t step, std::string_view split, std::span<const NamedValue> metrics);

  /// Errors: Output.
  Result<void> flush();
  /// As flush, and the disk has it.
  Result<void> sync();

 private:
  MetricsLog(std::string path, int fd);
  Result<void> end_line(bool finite);
  void append_values(std::span<const NamedValue> values);

  std::string path_;
  int fd_ = -1;
  std::string buffer_;
};

}  // namespace smelt
