#include "runtime/files/zip.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/output_file.h"

namespace smelt {
namespace {

constexpr uint32_t kLocal = 0x04034B50, kCentral = 0x02014B50, kEnd = 0x06054B50;
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kMaxComment = 65535;
constexpr uint32_t kBeyond = 0xFFFFFFFF;  // a number that a record of zip64 has
constexpr uint64_t kMaxRatio = 1032;      // deflate packs no tighter
constexpr uint16_t kStored = 0, kDeflated = 8;
constexpr uint16_t kVersion = 20, kFirstDay = 33;  // 1980-01-01

uint32_t number_at(std::span<const std::byte> bytes, uint64_t at, size_t width) {
  uint32_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= std::to_integer<uint32_t>(bytes[at + i]) << (8 * i);
  return value;
}

uint32_t checksum(std::span<const std::byte> bytes, uint32_t before = 0) {
  return static_cast<uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<z_size_t>(bytes.size())));
}

/// Numbers of the given widths, little-endian.
struct Record {
  std::string bytes;
  Record& add(uint64_t value, size_t width) {
    for (size_t i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
    return *this;
  }
};

/// Deflated data that are fed piece by piece.
class Inflater {
 public:
  Inflater() = default;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (started_) inflateEnd(&stream_);
  }
  bool start() { return started_ = inflateInit2(&stream_, -15) == Z_OK; }
  /// Fills `out` from `in`: how many bytes came out, or nothing when the data are damaged.
  std::optional<uint64_t> run(std::span<const std::byte> in, std::span<std::byte> out) {
    constexpr uint64_t kMost = uint64_t{1} << 30;
    uint64_t taken = 0, made = 0;
    int status = Z_OK;
    while (status == Z_OK && made < out.size()) {
      const uint64_t give = std::min(kMost, in.size() - taken), room = std::min(kMost, out.size() - made);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data() + taken));
      stream_.avail_in = static_cast<uInt>(give);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + made);
      stream_.avail_out = static_cast<uInt>(room);
      status = inflate(&stream_, Z_NO_FLUSH);
      const uint64_t used = give - stream_.avail_in, written = room - stream_.avail_out;
      taken += used;
      made += written;
      if (used == 0 && written == 0) break;
    }
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) return std::nullopt;
    return made;
  }

 private:
  z_stream stream_{};
  bool started_ = false;
};

}  // namespace

std::unexpected<Error> ZipFile::damaged(std::string_view what) const {
  return fail(ErrorKind::Input, fmt::format("{}: damaged archive: {}", printable(path_), what),
              "copy or download it again");
}

Result<ZipFile> ZipFile::open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!file.valid() || ::fstat(file.get(), &info) != 0)
    return fail(ErrorKind::Input, fmt::format("{}: {}", printable(path), std::strerror(errno)));
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::Input, fmt::format("{}: no regular file", printable(path)));
  ZipFile zip(path, std::move(file), static_cast<uint64_t>(info.st_size));
  SMELT_TRY_VOID(zip.read_directory());
  return zip;
}

Result<Buffer> ZipFile::read_range(uint64_t begin, uint64_t bytes) const {
  if (begin > size_ || bytes > size_ - begin) return damaged("a part lies behind the end of the file");
  SMELT_TRY(Buffer out, Buffer::allocate(bytes, printable(path_)));
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got = ::pread(file_.get(), out.data() + done, bytes - done, static_cast<off_t>(begin + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorKind::Input, fmt::format("{}: {}", printable(path_), std::strerror(errno)));
    if (got == 0) return damaged("it became shorter while it was read");
    done += static_cast<uint64_t>(got);
  }
  return out;
}

Result<void> ZipFile::read_directory() {
  const uint64_t tail_bytes = std::min(size_, kEndBytes + kMaxComment);
  SMELT_TRY(const Buffer tail, read_range(size_ - tail_bytes, tail_bytes));
  const std::span<const std::byte> bytes = tail.bytes();
  uint64_t at = bytes.size() < kEndBytes ? 0 : bytes.size() - kEndBytes + 1;
  while (at > 0 && number_at(bytes, at - 1, 4) != kEnd) --at;
  if (at == 0) {
    return fail(ErrorKind::Input, fmt::format("{}: no zip archive, or one without its end", printable(path_)),
                "`numpy.savez` writes .npz files; copy or download it again when it was one");
  }
  const std::span<const std::byte> end = bytes.subspan(at - 1);
  const uint32_t count = number_at(end, 10, 2), length = number_at(end, 12, 4), begin = number_at(end, 16, 4);
  if (begin == kBeyond || length == kBeyond || count == 0xFFFF)
    return fail(ErrorKind::Limit, fmt::format("{}: archives of more than 4 GB are not read", printable(path_)),
                "save its arrays as .npy files");
  SMELT_TRY(const Buffer directory, read_range(begin, length));
  uint64_t place = 0;
  for (uint32_t k = 0; k < count; ++k) {
    SMELT_TRY(members_.emplace_back(), read_entry(directory.bytes(), place));
  }
  return {};
}

Result<ZipMember> ZipFile::read_entry(std::span<const std::byte> directory, uint64_t& at) const {
  if (directory.size() - at < kCentralBytes || number_at(directory, at, 4) != kCentral)
    return damaged("its directory has fewer members than it says");
  const uint32_t flags = number_at(directory, at + 8, 2), method = number_at(directory, at + 10, 2);
  ZipMember member;
  member.crc32 = number_at(directory, at + 16, 4);
  member.packed_bytes = number_at(directory, at + 20, 4);
  member.bytes = number_at(directory, at + 24, 4);
  member.header = number_at(directory, at + 42, 4);
  const uint64_t name = number_at(directory, at + 28, 2);
  const uint64_t rest = name + number_at(directory, at + 30, 2) + number_at(directory, at + 32, 2);
  if (directory.size() - at - kCentralBytes < rest) return damaged("its directory ends within a member");
  member.name.assign(reinterpret_cast<const char*>(directory.data()) + at + kCentralBytes, name);
  member.deflated = method == kDeflated;
  at += kCentralBytes + rest;
  const std::string shown = printable(member.name);
  if ((flags & 1) != 0) return fail(ErrorKind::Input, fmt::format("{}: `{}` is encrypted", printable(path_), shown));
  if (method != kStored && method != kDeflated)
    return fail(ErrorKind::Input,
                fmt::format("{}: `{}` is packed by method {}; stored and deflated members are read", printable(path_),
                            shown, method),
                "`numpy.savez` and `numpy.savez_compressed` write those");
  if (member.packed_bytes == kBeyond || member.bytes == kBeyond || member.header == kBeyond)
    return fail(ErrorKind::Limit, fmt::format("{}: `{}` has more than 4 GB", printable(path_), shown),
                "save it as an .npy file");
  const uint64_t most = member.deflated ? member.packed_bytes * kMaxRatio + 64 : member.packed_bytes;
  if (member.bytes > most || (!member.deflated && member.bytes != member.packed_bytes))
    return damaged(fmt::format("`{}` says that {} bytes are {}", shown, member.packed_bytes, member.bytes));
  return member;
}

Result<Buffer> ZipFile::unpack(const ZipMember& member, uint64_t bytes) const {
  SMELT_TRY(const Buffer header, read_range(member.header, kLocalBytes));
  if (number_at(header.bytes(), 0, 4) != kLocal)
    return damaged(fmt::format("`{}` has no header of its own", printable(member.name)));
  const uint64_t begin =
      member.header + kLocalBytes + number_at(header.bytes(), 26, 2) + number_at(header.bytes(), 28, 2);
  bytes = std::min(bytes, member.bytes);
  if (!member.deflated) return read_range(begin, bytes);
  // The start of a member needs not much more than that of its packed form.
  const uint64_t packed = bytes < member.bytes ? std::min(member.packed_bytes, bytes + 4096) : member.packed_bytes;
  SMELT_TRY(const Buffer from, read_range(begin, packed));
  SMELT_TRY(Buffer out, Buffer::allocate(bytes, printable(member.name)));
  Inflater inflater;
  if (!inflater.start()) return fail(ErrorKind::Limit, "out of memory: zlib cannot start");
  if (inflater.run(from.bytes(), out.bytes()) != bytes)
    return damaged(fmt::format("`{}` does not unpack", printable(member.name)));
  return out;
}

Result<Buffer> ZipFile::read(const ZipMember& member) const {
  SMELT_TRY(Buffer out, unpack(member, member.bytes));
  if (checksum(out.bytes()) != member.crc32)
    return damaged(fmt::format("`{}` is not what its checksum says", printable(member.name)));
  return out;
}

Result<Buffer> ZipFile::read_start(const ZipMember& member, uint64_t bytes) const { return unpack(member, bytes); }

Result<void> write_zip(const std::string& path, std::span<const ZipPart> members) {
  std::vector<std::string> headers;  // the parts to write point into it
  headers.reserve(members.size() + 1);
  std::vector<std::span<const std::byte>> parts;
  Record directory;
  uint64_t offset = 0;
  for (const ZipPart& member : members) {
    uint64_t bytes = 0;
    uint32_t crc = 0;
    for (const std::span<const std::byte> part : member.parts) {
      bytes += part.size();
      crc = checksum(part, crc);
    }
    if (offset + bytes >= kBeyond)
      return fail(ErrorKind::Limit, fmt::format("{}: more than 4 GB in an archive", printable(path)),
                  "write .npy files");
    const auto common = [&](Record& record) {
      record.add(0, 2).add(kStored, 2).add(0, 2).add(kFirstDay, 2).add(crc, 4).add(bytes, 4).add(bytes, 4);
      record.add(member.name.size(), 2);
    };
    Record local;
    local.add(kLocal, 4).add(kVersion, 2);
    common(local);
    local.add(0, 2);
    directory.add(kCentral, 4).add(kVersion, 2).add(kVersion, 2);
    common(directory);
    directory.add(0, 2).add(0, 2).add(0, 2).add(0, 2).add(0, 4).add(offset, 4);
    directory.bytes += member.name;
    headers.push_back(local.bytes + member.name);
    parts.push_back(as_byte_span(headers.back()));
    parts.insert(parts.end(), member.parts.begin(), member.parts.end());
    offset += headers.back().size() + bytes;
  }
  const uint64_t length = directory.bytes.size();
  directory.add(kEnd, 4)
      .add(0, 4)
      .add(members.size(), 2)
      .add(members.size(), 2)
      .add(length, 4)
      .add(offset, 4)
      .add(0, 2);
  headers.push_back(std::move(directory.bytes));
  parts.push_back(as_byte_span(headers.back()));
  return write_output(path, parts);
}

}  // namespace smelt
