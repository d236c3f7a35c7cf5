#include "runtime/files/foreign_formats.h"

#include <fmt/format.h>

#include <string_view>

#include "runtime/files/message.h"

namespace smelt {
namespace {

using namespace std::string_view_literals;

struct Foreign {
  std::string_view magic;
  std::string_view what;
  std::string_view help;
};

constexpr std::string_view kConvertPickle =
    "convert it where you trust it: `safetensors.torch.save_file(torch.load(f, weights_only=True), out)`";

constexpr Foreign kForeign[] = {
    {"PK\x03\x04"sv, "a zip archive, such as a PyTorch .pt file: not loaded, because unpickling executes code",
     kConvertPickle},
    {"\x80\x02"sv, "a pickle: not loaded, because it executes code", kConvertPickle},
    {"\x80\x03"sv, "a pickle: not loaded, because it executes code", kConvertPickle},
    {"\x80\x04"sv, "a pickle: not loaded, because it executes code", kConvertPickle},
    {"\x80\x05"sv, "a pickle: not loaded, because it executes code", kConvertPickle},
    {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file, such as Keras writes",
     "convert it with h5py and safetensors.numpy.save_file"},
    {"\x93NUMPY"sv, "a NumPy array", "weights need names: write them with safetensors.numpy.save_file"},
    {"\x08\x07\x12"sv, "an ONNX model", "export its initializers with safetensors.numpy.save_file"},
    {"\x08\x08\x12"sv, "an ONNX model", "export its initializers with safetensors.numpy.save_file"},
    {"GGUF"sv, "a GGUF file", "use the model's safetensors files instead"},
    {"\177ELF"sv, "a program or shared object", {}},
    {"version https://git-lfs"sv, "a Git LFS pointer, not the file itself", "run `git lfs pull`"},
    {"<!DOCTYPE"sv, "an HTML page: the download failed", "download the file again"},
    {"<html"sv, "an HTML page: the download failed", "download the file again"},
};

// Byte 8 of a safetensors file is `{`; a short header length could look like one of the magics above.
bool looks_like_safetensors(std::string_view start) { return start.size() > 8 && start[8] == '{' && start[7] == 0; }

}  // namespace

Result<void> refuse_foreign_weights(std::span<const std::byte> file, const std::string& path) {
  const std::string_view start(reinterpret_cast<const char*>(file.data()), file.size());
  if (looks_like_safetensors(start)) return {};
  for (const Foreign& foreign : kForeign) {
    if (!start.starts_with(foreign.magic)) continue;
    return fail(ErrorKind::Input, fmt::format("{}: this is {}", printable(path), foreign.what),
                std::string(foreign.help));
  }
  return {};
}

}  // namespace smelt
