#include "runtime/files/zip.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>

#include "runtime/files/descriptor.h"
#include "runtime/files/message.h"
#include "runtime/files/output_file.h"

namespace smelt {
namespace {

constexpr uint64_t kDensestMember = 1032;  // deflate packs no tighter
constexpr uint16_t kFirstDay = 33;         // 1980-01-01, as archives count days

std::string text_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

}  // namespace

void ZipFile::Close::operator()(::zip* archive) const { zip_discard(archive); }

std::unexpected<Error> ZipFile::damaged(std::string_view what) const {
  return fail(ErrorKind::Input, fmt::format("{}: damaged archive: {}", printable(path_), what),
              "copy or download it again");
}

Result<ZipFile> ZipFile::open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!file.valid() || ::fstat(file.get(), &info) != 0)
    return fail(ErrorKind::Input, fmt::format("{}: {}", printable(path), errno_text(errno)));
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::Input, fmt::format("{}: no regular file", printable(path)));
  ZipFile zip(path);
  int code = 0;
  zip.archive_.reset(zip_fdopen(file.get(), 0, &code));
  if (zip.archive_ == nullptr && (code == ZIP_ER_NOZIP || code == ZIP_ER_EOF)) {
    return fail(ErrorKind::Input, fmt::format("{}: no zip archive, or one without its end", printable(path)),
                "`numpy.savez` writes .npz files; copy or download it again when it was one");
  }
  if (zip.archive_ == nullptr) return zip.damaged(text_of(code));
  file.release();  // the archive's now
  SMELT_TRY_VOID(zip.read_directory());
  return zip;
}

Result<void> ZipFile::read_directory() {
  const auto count = static_cast<uint64_t>(zip_get_num_entries(archive_.get(), 0));
  for (uint64_t k = 0; k < count; ++k) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive_.get(), k, ZIP_FL_ENC_RAW, &stat) != 0 || (stat.valid & kNeeded) != kNeeded)
      return damaged(fmt::format("member {} of its directory", k + 1));
    const std::string shown = printable(stat.name);
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE)
      return fail(ErrorKind::Input, fmt::format("{}: `{}` is encrypted", printable(path_), shown));
    const bool deflated = stat.comp_method == ZIP_CM_DEFLATE;
    if (!deflated && stat.comp_method != ZIP_CM_STORE)
      return fail(ErrorKind::Input,
                  fmt::format("{}: `{}` is packed by method {}; stored and deflated members are read", printable(path_),
                              shown, stat.comp_method),
                  "`numpy.savez` and `numpy.savez_compressed` write those");
    if (deflated ? stat.size / kDensestMember > stat.comp_size : stat.size != stat.comp_size)
      return damaged(fmt::format("`{}` says that {} bytes are {}", shown, stat.comp_size, stat.size));
    members_.push_back({stat.name, k, stat.size});
  }
  return {};
}

Result<Buffer> ZipFile::read_start(const ZipMember& member, uint64_t bytes) const {
  const std::string shown = printable(member.name);
  bytes = std::min(bytes, member.bytes);
  const std::unique_ptr<zip_file_t, CloseMember> file(zip_fopen_index(archive_.get(), member.index, 0));
  if (file == nullptr) return damaged(fmt::format("`{}`: {}", shown, zip_strerror(archive_.get())));
  SMELT_TRY(Buffer out, Buffer::allocate(bytes, shown));
  uint64_t done = 0;
  // Behind the last byte libzip compares the checksum, so a whole member is read up to where nothing comes.
  for (std::byte beyond{}; done < bytes || bytes == member.bytes;) {
    const bool at_end = done == bytes;
    const zip_int64_t got =
        at_end ? zip_fread(file.get(), &beyond, 1) : zip_fread(file.get(), out.data() + done, bytes - done);
    if (got < 0) return damaged(fmt::format("`{}`: {}", shown, zip_file_strerror(file.get())));
    if (at_end && got == 0) break;
    if (at_end || got == 0) return damaged(fmt::format("`{}` is longer or shorter than its directory says", shown));
    done += static_cast<uint64_t>(got);
  }
  return out;
}

Result<void> write_zip(const std::string& path, std::span<const ZipPart> members) {
  const auto cannot = [&](const char* why) {
    return fail(ErrorKind::Output, fmt::format("{}: cannot make an archive: {}", printable(path), why));
  };
  zip_error_t error;
  zip_error_init(&error);
  const std::unique_ptr<zip_source_t, decltype(&zip_source_free)> made(zip_source_buffer_create(nullptr, 0, 0, &error),
                                                                       zip_source_free);
  zip_t* archive = made == nullptr ? nullptr : zip_open_from_source(made.get(), ZIP_TRUNCATE, &error);
  if (archive == nullptr) return cannot(zip_error_strerror(&error));
  zip_source_keep(made.get());  // for what is read of it below
  std::vector<std::vector<zip_buffer_fragment_t>> fragments(members.size());
  for (size_t k = 0; k < members.size(); ++k) {
    for (const std::span<const std::byte> part : members[k].parts)
      fragments[k].push_back(
          {reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(part.data())), zip_uint64_t{part.size()}});
    zip_source_t* content = zip_source_buffer_fragment(archive, fragments[k].data(), fragments[k].size(), 0);
    const zip_int64_t index =
        content == nullptr ? -1 : zip_file_add(archive, members[k].name.c_str(), content, ZIP_FL_ENC_UTF_8);
    if (index < 0) zip_source_free(content);
    const auto at = static_cast<zip_uint64_t>(index);
    if (index < 0 || zip_set_file_compression(archive, at, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive, at, 0, kFirstDay, 0) != 0) {
      const auto failure = cannot(zip_strerror(archive));
      zip_discard(archive);
      return failure;
    }
  }
  if (zip_close(archive) != 0) {
    const auto failure = cannot(zip_strerror(archive));
    zip_discard(archive);
    return failure;
  }
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_source_stat(made.get(), &stat) != 0 || zip_source_open(made.get()) != 0)
    return cannot(zip_error_strerror(zip_source_error(made.get())));
  std::string bytes(stat.size, '\0');
  const zip_int64_t got = zip_source_read(made.get(), bytes.data(), bytes.size());
  zip_source_close(made.get());
  if (got != static_cast<zip_int64_t>(bytes.size())) return cannot("it was not written whole");
  return write_output(path, bytes);
}

}  // namespace smelt
