#include "runtime/metrics_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr size_t kFlushBytes = 64 << 10;

// Names are identifiers and paths, but a host may choose others.
void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

// The number behind `{"step":` at the start of a line; nullopt when the line is another.
std::optional<int64_t> step_of(std::string_view line) {
  constexpr std::string_view kStart = "{\"step\":";
  if (!line.starts_with(kStart)) return std::nullopt;
  int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data() + kStart.size(), line.data() + line.size(), step);
  if (error != std::errc()) return std::nullopt;
  return step;
}

// Length of the part up to the first line of a later step, or a line cut short by a crash.
size_t length_through(std::string_view text, int64_t step) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t newline = text.find('\n', at);
    if (newline == std::string_view::npos) return at;
    const std::optional<int64_t> line_step = step_of(text.substr(at, newline - at));
    if (!line_step || *line_step > step) return at;
    at = newline + 1;
  }
  return at;
}

// A file of several names (hard links) becomes one of its own: the others may lie outside of the run.
Result<void> separate(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink < 2) return {};
  SMELT_TRY(const Buffer file, read_file(path));
  return write_file_atomic(path, {reinterpret_cast<const char*>(file.data()), file.size()});
}

std::unexpected<Error> cannot_append(const std::string& path, int error) {
  return fail(ErrorKind::Output, fmt::format("cannot write `{}`: {}", printable(path), errno_text(error)));
}

}  // namespace

void append_json_number(std::string& out, double value, DType dtype) {
  if (!std::isfinite(value)) {
    out += "null";
  } else if (dtype == DType::F64 || class_of(dtype) == DTypeClass::Int) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    fmt::format_to(std::back_inserter(out), "{}", static_cast<float>(value));
  }
}

MetricsLog::MetricsLog(std::string path, int fd) : path_(std::move(path)), fd_(fd) { buffer_.reserve(2 * kFlushBytes); }

MetricsLog::MetricsLog(MetricsLog&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}

MetricsLog::~MetricsLog() {
  if (fd_ < 0) return;
  static_cast<void>(flush());
  ::close(fd_);
}

Result<MetricsLog> MetricsLog::open(const std::string& path, int64_t keep_through) {
  // Not through a link: a run directory from elsewhere must not have another file cut.
  SMELT_TRY_VOID(separate(path));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0 && errno == ELOOP) {
    return fail(ErrorKind::Output,
                fmt::format("`{}` is a link: a run writes nothing outside of its directory", printable(path)),
                "remove the link, or give another directory with `-o`");
  }
  if (fd < 0) return cannot_append(path, errno);
  MetricsLog log(path, fd);
  SMELT_TRY(const Buffer file, read_file(path));
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const size_t length = length_through(text, keep_through);
  if (::ftruncate(fd, static_cast<off_t>(length)) != 0) return cannot_append(path, errno);
  if (::lseek(fd, static_cast<off_t>(length), SEEK_SET) < 0) return cannot_append(path, errno);
  return log;
}

void MetricsLog::append_values(std::span<const NamedValue> values) {
  buffer_ += '{';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) buffer_ += ',';
    append_json_string(buffer_, values[i].name);
    buffer_ += ':';
    append_json_number(buffer_, values[i].value, values[i].dtype);
  }
  buffer_ += '}';
}

Result<void> MetricsLog::log_step(int64_t step, const NamedValue& loss, std::span<const NamedValue> reports,
                                  double ms) {
  fmt::format_to(std::back_inserter(buffer_), "{{\"step\":{},\"objective\":", step);
  append_json_string(buffer_, loss.name);
  buffer_ += ",\"loss\":";
  append_json_number(buffer_, loss.value, loss.dtype);
  buffer_ += ",\"reports\":";
  append_values(reports);
  fmt::format_to(std::back_inserter(buffer_), ",\"ms\":{:.3f}", ms);
  const bool finite =
      std::all_of(reports.begin(), reports.end(), [](const NamedValue& v) { return std::isfinite(v.value); });
  return end_line(finite && std::isfinite(loss.value));
}

Result<void> MetricsLog::log_evaluation(int64_t step, std::string_view split, std::span<const NamedValue> metrics) {
  fmt::format_to(std::back_inserter(buffer_), "{{\"step\":{},\"eval\":", step);
  append_json_string(buffer_, split);
  buffer_ += ",\"metrics\":";
  append_values(metrics);
  return end_line(
      std::all_of(metrics.begin(), metrics.end(), [](const NamedValue& v) { return std::isfinite(v.value); }));
}

Result<void> MetricsLog::end_line(bool finite) {
  buffer_ += finite ? "}\n" : ",\"nonfinite\":true}\n";
  return buffer_.size() < kFlushBytes ? Result<void>() : flush();
}

Result<void> MetricsLog::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t count = ::write(fd_, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count == 0 ? ENOSPC : errno;
      buffer_.erase(0, buffer_.size() - left.size());
      return cannot_append(path_, error);
    }
    left.remove_prefix(static_cast<size_t>(count));
  }
  buffer_.clear();
  return {};
}

Result<void> MetricsLog::sync() {
  SMELT_TRY_VOID(flush());
  if (::fdatasync(fd_) != 0 && errno != EINVAL && errno != EROFS) return cannot_append(path_, errno);
  return {};
}

}  // namespace smelt
