#include "runtime/files/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "runtime/files/descriptor.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr auto kReaderWait = std::chrono::seconds(5);
constexpr int kMaxLinks = 40;  // that of the system
constexpr auto kReaderPoll = std::chrono::milliseconds(10);

// A named pipe is opened for writing only while someone reads it. Waiting without end would hang a script whose reader
// failed.
int open_stream(const std::string& path) {
  const auto end = std::chrono::steady_clock::now() + kReaderWait;
  while (true) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 || errno != ENXIO || std::chrono::steady_clock::now() > end) return fd;
    std::this_thread::sleep_for(kReaderPoll);
  }
}

Result<void> write_stream(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  const bool standard = path == "-";
  const FileDescriptor opened(standard ? -1 : open_stream(path));
  if (!standard && !opened.valid()) {
    if (errno != ENXIO) return write_failed(path, "open", errno, 0);
    return fail(ErrorKind::Output, fmt::format("cannot write `{}`: nobody reads from this pipe", printable(path)),
                "start its reader first");
  }
  const int fd = standard ? STDOUT_FILENO : opened.get();
  if (!standard) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  for (const std::span<const std::byte> part : parts) {
    if (const int error = write_all(fd, part); error != 0)
      return write_failed(standard ? "the standard output" : path, "write", error, 0);  // no room of a disk
  }
  return {};
}

}  // namespace

bool is_stream(const std::string& path) {
  struct stat status{};
  return path == "-" || (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode));
}

bool is_standard_output(const std::string& path) {
  struct stat given{}, standard{};
  if (path == "-") return true;
  return ::stat(path.c_str(), &given) == 0 && ::fstat(STDOUT_FILENO, &standard) == 0 &&
         given.st_dev == standard.st_dev && given.st_ino == standard.st_ino;
}

Result<void> write_output(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  struct stat status{};
  if (path != "-" && ::stat(path.c_str(), &status) == 0 && (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode))) {
    return fail(ErrorKind::Output, fmt::format("cannot write `{}`: it is a {}", printable(path),
                                               S_ISDIR(status.st_mode) ? "directory" : "disk"));
  }
  if (is_stream(path)) return write_stream(path, parts);
  // Link by link, because the last one may lead to a file that is not there yet. A circle of links is one of them.
  namespace fs = std::filesystem;
  fs::path target(path);
  std::error_code missing, error;
  for (int links = 0; links < kMaxLinks && fs::is_symlink(target, missing); ++links)
    target = target.parent_path() / fs::read_symlink(target, error);
  if (error || fs::is_symlink(target, missing)) return write_failed(path, "follow the link", ELOOP, 0);
  return write_file_atomic(target.string(), parts);
}

Result<void> write_output(const std::string& path, std::string_view text) {
  const std::span<const std::byte> part = as_byte_span(text);
  return write_output(path, std::span(&part, 1));
}

}  // namespace smelt
