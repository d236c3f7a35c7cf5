#include "runtime/files/npz.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <list>
#include <vector>

#include "ir/support/suggest.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/zip.h"

namespace smelt {
namespace {

constexpr std::string_view kArchive = ".npz", kArray = ".npy";

std::string without_ending(const std::string& name) {
  return name.ends_with(kArray) ? name.substr(0, name.size() - kArray.size()) : name;
}

struct OpenArray {
  ZipFile zip;
  ZipMember member;
};

Result<OpenArray> open_array(const std::string& path) {
  const auto parts = split_npz_path(path);
  const std::string archive = parts ? parts->first : path, wanted = parts ? parts->second : "";
  SMELT_TRY(ZipFile zip, ZipFile::open(archive));
  std::vector<std::string> names, shown;
  for (const ZipMember& member : zip.members()) {
    if (parts && (member.name == wanted + std::string(kArray) || member.name == wanted))
      return OpenArray{std::move(zip), member};
    names.push_back(without_ending(member.name));
    shown.push_back(fmt::format("`{}`", printable(names.back())));
  }
  std::string help = parts ? suggest(wanted, std::vector<std::string_view>(names.begin(), names.end())) : "";
  if (help.empty() && !names.empty())
    // Where the model file looks for the archive is not known here: of the path that was found only its last part is.
    help = fmt::format("name it behind the path, as in `npz(\"{}/{}\")`; it has {}",
                       printable(archive.substr(archive.rfind('/') + 1)), printable(names[0]), fmt::join(shown, ", "));
  return fail(ErrorKind::Input,
              parts ? fmt::format("{}: has no array `{}`", printable(archive), printable(wanted))
                    : fmt::format("{}: the path names no array of the archive", printable(archive)),
              help);
}

}  // namespace

std::optional<std::pair<std::string, std::string>> split_npz_path(std::string_view path) {
  const size_t at = path.find(std::string(kArchive) + "/");
  if (at == std::string_view::npos || at + kArchive.size() + 1 == path.size()) return std::nullopt;
  return std::pair{std::string(path.substr(0, at + kArchive.size())),
                   std::string(path.substr(at + kArchive.size() + 1))};
}

Result<NpzHeader> read_npz_header(const std::string& path, const Limits& limits) {
  SMELT_TRY(const OpenArray array, open_array(path));
  SMELT_TRY(const Buffer start, array.zip.read_start(array.member, npy_start_bytes(limits)));
  SMELT_TRY(NpyHeader header, parse_npy_header(start.bytes(), path, limits));
  return NpzHeader{std::move(header), array.member.bytes};
}

Result<NpyFile> read_npz(const std::string& path, const Limits& limits) {
  SMELT_TRY(const OpenArray array, open_array(path));
  SMELT_TRY(Buffer file, array.zip.read(array.member));
  return parse_npy(std::move(file), path, limits);
}

Result<void> write_npz(const std::string& path, std::span<const NamedArray> arrays) {
  std::list<std::string> headers;  // what is written points to these
  std::list<HostTensor> wide;
  std::vector<ZipPart> members;
  for (const NamedArray& array : arrays) {
    const HostTensor* tensor = &array.tensor;
    if (tensor->dtype == DType::BF16) {
      SMELT_TRY(wide.emplace_back(), convert(*tensor, DType::F32));
      tensor = &wide.back();
    }
    headers.push_back(encode_npy_header(tensor->dtype, tensor->shape));
    members.push_back({array.name + std::string(kArray), {as_byte_span(headers.back()), tensor->data.bytes()}});
  }
  return write_zip(path, members);
}

}  // namespace smelt
