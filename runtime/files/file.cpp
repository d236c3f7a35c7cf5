#include "runtime/files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "runtime/files/descriptor.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr uint64_t kChunk = 64 << 10;
constexpr uint64_t kStep = 1 << 20;              // unpacked before the limits are looked at again
constexpr uint64_t kRatioCountsFrom = 32 << 20;  // unpacked: small files may be as dense as they like
constexpr uint64_t kDensest = 1032;              // deflate packs no tighter

struct OpenFile {
  FileDescriptor fd;
  uint64_t size = 0;
};

std::string_view file_kind(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISSOCK(mode)) return "a socket";
  return "no regular file";
}

std::unexpected<Error> read_failed(const std::string& path, int error) {
  return fail(ErrorKind::Input, fmt::format("cannot read `{}`: {}", printable(path), errno_text(error)));
}

/// `limit`: what moves `bytes`, the most that the file may have; or null.
Result<OpenFile> open_regular(const std::string& path, uint64_t bytes, Limit limit = nullptr) {
  if (path.find('\0') != std::string::npos) return read_failed(path, EINVAL);
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return read_failed(path, errno);
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return read_failed(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::Input,
                fmt::format("cannot read `{}`: it is {}", printable(path), file_kind(status.st_mode)));
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size > bytes) {
    return fail(ErrorKind::Limit,
                fmt::format("`{}` has {}, the limit is {}", printable(path), human_bytes(size), human_bytes(bytes)),
                limit == nullptr ? std::string() : raise_limit(limit, size));
  }
  return OpenFile{std::move(fd), size};
}

// Reads up to `bytes` from `offset`; fewer only at the end of the file.
Result<uint64_t> read_at(const OpenFile& file, const std::string& path, uint64_t offset, std::byte* to,
                         uint64_t bytes) {
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t count = pread(file.fd.get(), to + done, bytes - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return read_failed(path, errno);
    if (count == 0) break;
    done += static_cast<uint64_t>(count);
  }
  return done;
}

Result<Buffer> read_plain(const OpenFile& file, const std::string& path, uint64_t bytes) {
  SMELT_TRY(Buffer buffer, Buffer::allocate(bytes, printable(path)));
  SMELT_TRY(const uint64_t count, read_at(file, path, 0, buffer.data(), bytes));
  if (count != bytes) {
    return fail(ErrorKind::Input,
                fmt::format("{}: has {} bytes now, had {} when opened", printable(path), count, bytes),
                "something wrote to the file while it was read; run again");
  }
  return buffer;
}

// Unpacks one or more gzip members, until `wanted` bytes are there or the file ends.
class Gunzip {
 public:
  Gunzip(const OpenFile& file, const std::string& path, uint64_t wanted, const Limits& limits)
      : file_(file), path_(path), wanted_(wanted), limits_(limits) {}
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  ~Gunzip() {
    if (started_) inflateEnd(&stream_);
  }

  Result<Buffer> run() {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) return fail(ErrorKind::Limit, "out of memory: zlib cannot start");
    started_ = true;
    while (produced_ < wanted_) {
      if (stream_.avail_in == 0) SMELT_TRY_VOID(refill());
      if (stream_.avail_in == 0) {
        if (between_members_) break;
        return fail(
            ErrorKind::Input,
            fmt::format("{}: the gzip data ends too early, after {} unpacked bytes", printable(path_), produced_),
            "the file is truncated: copy or download it again");
      }
      if (between_members_) {
        SMELT_TRY(const bool more, start_member());
        if (!more) break;
      }
      SMELT_TRY_VOID(inflate_some());
    }
    SMELT_TRY_VOID(output_.resize(std::min(produced_, wanted_)));
    return std::move(output_);
  }

 private:
  Result<void> refill() {
    SMELT_TRY(const uint64_t count, read_at(file_, path_, offset_, input_.data(), input_.size()));
    offset_ += count;
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(count);
    return {};
  }

  // Zeros may pad the end of a member; anything else must be another member.
  Result<bool> start_member() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (stream_.avail_in == 0) return true;
    if (*stream_.next_in != 0x1F) {
      return fail(ErrorKind::Input, fmt::format("{}: bytes that are not gzip follow the gzip data", printable(path_)));
    }
    inflateReset(&stream_);
    between_members_ = false;
    return true;
  }

  Result<void> inflate_some() {
    if (between_members_) return {};
    if (output_.size() == produced_) {
      const uint64_t first = std::max(kChunk, std::min(file_.size * 4, wanted_));
      SMELT_TRY_VOID(output_.resize(std::max(first, output_.size() * 2), printable(path_)));
    }
    const uint64_t room = std::min(output_.size() - produced_, kStep);
    stream_.next_out = reinterpret_cast<Bytef*>(output_.data() + produced_);
    stream_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    produced_ += room - stream_.avail_out;
    if (status == Z_STREAM_END) {
      between_members_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return fail(ErrorKind::Input,
                  fmt::format("{}: damaged gzip data near unpacked byte {}: {}", printable(path_), produced_,
                              stream_.msg != nullptr ? stream_.msg : "no further reason given"),
                  "copy or download the file again");
    }
    return check_limits();
  }

  Result<void> check_limits() const {
    const bool too_large = produced_ > limits_.unpacked;
    // Against what was read so far, not the whole file: a bomb is refused at its first part.
    const uint64_t read = offset_ - stream_.avail_in;
    const bool too_dense = produced_ > kRatioCountsFrom && produced_ / limits_.ratio > read;
    if (!too_large && !too_dense) return {};
    return fail(
        ErrorKind::Limit,
        fmt::format("{}: {} of gzip unpack to more than {}; the limits are {} and {}:1", printable(path_),
                    human_bytes(file_.size), human_bytes(produced_), human_bytes(limits_.unpacked), limits_.ratio),
        "if you trust the file, unpack it first, or " +
            (too_large ? double_limit(&Limits::unpacked, limits_) : raise_limit(&Limits::ratio, kDensest)));
  }

  const OpenFile& file_;
  const std::string& path_;
  const uint64_t wanted_;
  const Limits& limits_;
  z_stream stream_{};
  std::array<std::byte, kChunk> input_{};
  Buffer output_;
  uint64_t offset_ = 0;
  uint64_t produced_ = 0;
  bool started_ = false;
  bool between_members_ = false;
};

Result<bool> is_gzip(const OpenFile& file, const std::string& path) {
  std::array<std::byte, 2> magic{};
  SMELT_TRY(const uint64_t count, read_at(file, path, 0, magic.data(), magic.size()));
  return count == 2 && magic[0] == std::byte{0x1F} && magic[1] == std::byte{0x8B};
}

Result<Buffer> read_start(const OpenFile& file, const std::string& path, uint64_t wanted, const Limits& limits) {
  SMELT_TRY(const bool gzip, is_gzip(file, path));
  if (!gzip) return read_plain(file, path, std::min(file.size, wanted));
  return Gunzip(file, path, wanted, limits).run();
}

// Returns 0 or an errno. A failed fsync is never repeated: the kernel may have dropped the data.
int sync_directory(const std::string& directory) {
  FileDescriptor fd(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  if (fsync(fd.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return 0;  // some file systems have no such call
  return errno;
}

struct Failure {
  std::string_view doing;
  int error = 0;
};

// A file of the temporary's name may be there: left by a killed process of the same number, or a link that someone put
// there to have another file overwritten. It is replaced, never opened.
FileDescriptor create_temporary(const std::string& temporary) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = ::open(temporary.c_str(), kFlags, 0666);
  if (fd < 0 && errno == EEXIST && ::unlink(temporary.c_str()) == 0) fd = ::open(temporary.c_str(), kFlags, 0666);
  return FileDescriptor(fd);
}

Failure write_temporary(const std::string& temporary, std::span<const std::span<const std::byte>> parts,
                        Durability durability) {
  FileDescriptor fd = create_temporary(temporary);
  if (!fd.valid()) return {"create", errno};
  for (const std::span<const std::byte> part : parts) {
    if (const int error = write_all(fd.get(), part); error != 0) return {"write", error};
  }
  if (durability == Durability::Synced && fsync(fd.get()) != 0) return {"fsync", errno};
  if (fd.close_now() != 0) return {"close", errno};
  return {};
}

constexpr std::string_view kTemporaryMark = ".tmp.";

}  // namespace

std::unexpected<Error> write_failed(const std::string& path, std::string_view doing, int error, uint64_t bytes) {
  std::string message = fmt::format("cannot write `{}`: {}: {}", printable(path), doing, errno_text(error));
  struct statvfs space{};
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (bytes > 0 && (error == ENOSPC || error == EDQUOT) &&
      statvfs(directory.empty() ? "." : directory.c_str(), &space) == 0) {
    message +=
        fmt::format(" (needs {}, {} free)", human_bytes(bytes), human_bytes(uint64_t{space.f_bavail} * space.f_frsize));
  }
  return fail(ErrorKind::Output, std::move(message));
}

FileDescriptor unnamed_file(const std::string& directory) {
  FileDescriptor file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid() || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  std::string name = directory + "/smelt.XXXXXX";  // some file systems have no files without names
  FileDescriptor named(::mkostemp(name.data(), O_CLOEXEC));
  if (named.valid()) ::unlink(name.c_str());
  return named;
}

int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return ENOSPC;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return 0;
}

Result<Buffer> read_file(const std::string& path, const Limits& limits, Limit stored) {
  SMELT_TRY(const OpenFile file, open_regular(path, limits.*stored, stored));
  return read_start(file, path, UINT64_MAX, limits);
}

Result<Buffer> read_own_file(const std::string& path, uint64_t bytes) {
  SMELT_TRY(const OpenFile file, open_regular(path, bytes));
  return read_start(file, path, UINT64_MAX, {});
}

Result<Buffer> read_file_start(const std::string& path, uint64_t bytes, const Limits& limits) {
  SMELT_TRY(const OpenFile file, open_regular(path, limits.file, &Limits::file));
  return read_start(file, path, bytes, limits);
}

std::optional<uint64_t> plain_size(const std::string& path) {
  const Result<OpenFile> file = open_regular(path, UINT64_MAX);
  const Result<bool> gzip = file ? is_gzip(*file, path) : Result<bool>(true);
  return gzip && !*gzip ? std::optional(file->size) : std::nullopt;
}

std::optional<std::string> find_file(const std::string& path) {
  const auto exists = [](const std::string& candidate) {
    struct stat status{};
    return !candidate.empty() && ::stat(candidate.c_str(), &status) == 0;
  };
  if (exists(path)) return path;
  if (std::string packed = path + ".gz"; exists(packed)) return packed;
  if (path.ends_with(".gz")) {
    if (std::string plain = path.substr(0, path.size() - 3); exists(plain)) return plain;
  }
  return std::nullopt;
}

/// Who may read a file, and whose it is, stay when another one takes its place; as far as the system lets us.
static void keep_permissions(const std::string& replaced, const std::string& by) {
  struct stat status{};
  if (::lstat(replaced.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  [[maybe_unused]] const int owned = ::chown(by.c_str(), status.st_uid, status.st_gid);
  ::chmod(by.c_str(), status.st_mode & 0777);
}

Result<void> write_file_atomic(const std::string& path, std::span<const std::span<const std::byte>> parts,
                               Durability durability) {
  uint64_t bytes = 0;
  for (const std::span<const std::byte> part : parts) bytes += part.size();
  if (path.empty() || path.find('\0') != std::string::npos) return write_failed(path, "create", EINVAL, bytes);

  static std::atomic<uint64_t> counter = 0;  // two sessions of one process may write the same path
  const std::string temporary = fmt::format("{}{}{}.{}", path, kTemporaryMark, ::getpid(), counter++);
  Failure failure = write_temporary(temporary, parts, durability);
  if (failure.error == 0) keep_permissions(path, temporary);
  if (failure.error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) failure = {"rename", errno};
  if (failure.error != 0) {
    ::unlink(temporary.c_str());
    return write_failed(path, failure.doing, failure.error, bytes);
  }
  if (durability == Durability::Lazy) return {};
  const int error = sync_directory(std::filesystem::path(path).parent_path().string());
  if (error != 0) return write_failed(path, "fsync of the directory", error, bytes);
  return {};
}

Result<void> write_file_atomic(const std::string& path, std::string_view text) {
  const std::span<const std::byte> part = as_byte_span(text);
  return write_file_atomic(path, std::span(&part, 1));
}

Result<void> make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && std::filesystem::is_directory(path, error)) return {};
  const int code = error ? error.value() : ENOTDIR;
  return fail(ErrorKind::Output, fmt::format("cannot create directory `{}`: {}", printable(path), errno_text(code)));
}

std::vector<std::string> list_files(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void remove_leftovers(const std::string& directory) {
  for (const std::string& name : list_files(directory)) {
    if (name.find(kTemporaryMark) != std::string::npos) ::unlink((directory + "/" + name).c_str());
  }
}

}  // namespace smelt
