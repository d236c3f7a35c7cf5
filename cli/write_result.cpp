#include "cli/write_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "cli/common.h"
#include "cli/console.h"
#include "cli/stream_text.h"
#include "ir/readers.h"
#include "ir/support/printable.h"
#include "runtime/files/npz.h"
#include "runtime/files/output_file.h"
#include "runtime/files/png.h"
#include "runtime/files/wav.h"
#include "runtime/grid.h"
#include "runtime/sequence_rows.h"

namespace smelt::cli {
namespace {

enum class Format : uint8_t { Npy, Npz, Png, Text, Wav };
struct Extension {
  std::string_view name;
  Format format;
};
constexpr Extension kExtensions[] = {
    {".npy", Format::Npy}, {".npz", Format::Npz}, {".png", Format::Png}, {".txt", Format::Text}, {".wav", Format::Wav}};

/// `28x28`, and nothing else.
Result<std::pair<int64_t, int64_t>> sides_of(const std::string& shape) {
  const char* const end = shape.data() + shape.size();
  int64_t height = 0, width = 0;
  const auto [cross, bad] = std::from_chars(shape.data(), end, height);
  bool good = bad == std::errc() && cross != end && *cross == 'x' && shape[0] != '0';
  if (good) {
    const auto [rest, bad_width] = std::from_chars(cross + 1, end, width);
    good = bad_width == std::errc() && rest == end && cross[1] != '0';
  }
  if (good && height > 0 && width > 0 && height < 1 << 20 && width < 1 << 20) return std::pair{height, width};
  return fail(ErrorKind::Usage, fmt::format("--shape `{}` is not HxW", printable(shape, 40)), "such as --shape 28x28");
}

/// [N, H*W] becomes [N, H, W] when `--shape HxW` says so.
Result<void> reshape_flat(HostTensor& images, const std::string& shape) {
  if (shape.empty()) return {};
  const auto sides = sides_of(shape);
  if (!sides) return std::unexpected(sides.error());
  const auto [height, width] = *sides;
  if (images.shape.size() == 3 && images.shape[1] == height && images.shape[2] == width) return {};  // they are that
  if (images.shape.size() != 2 || images.shape[1] != height * width) {
    return fail(
        ErrorKind::Usage,
        fmt::format("{} cannot be seen as pictures of {}x{}", describe(images.dtype, images.shape), height, width),
        fmt::format("--shape folds one flat axis: f32[N, {}] here", height * width));
  }
  images.shape = {images.shape[0], height, width};
  return {};
}

/// What maps to black and white: the range that the compiler knows, else 0..1.
GridOptions picture_options(const Entry& entry, const std::string& result, const Limits& limits) {
  const auto output = std::ranges::find(entry.outputs, result, &Binding::name);
  if (output != entry.outputs.end() && output->range.known())
    return {.low = output->range.low, .high = output->range.high, .limits = limits};
  say("note: the range of `{}` is not known: 0..1 is mapped to black and white, and what lies outside is clamped",
      result);
  return {.limits = limits};
}

Result<Format> format_of(const std::string& output) {
  if (output.empty()) return Format::Text;
  std::string extension = std::filesystem::path(output).extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* known = std::ranges::find(kExtensions, extension, &Extension::name);
  if (known != std::end(kExtensions)) return known->format;
  if (is_stream(output)) return Format::Npy;  // the standard output, a pipe, /dev/null
  const std::string seen =
      extension.empty() ? "there is none" : fmt::format("`{}` is none that is known", printable(extension));
  return fail(ErrorKind::Usage,
              fmt::format("-o `{}`: the extension says how a result is written, and {}", printable(output), seen),
              "write `.npy`, `.npz`, `.png`, `.txt` or `.wav`, or `-` for an .npy on the standard output");
}

/// `out.npy` for a single result, else `out.0.npy`, `out.1.npy` and so on.
std::string place_of(const std::string& output, size_t index, size_t count) {
  if (count == 1) return output;
  const std::filesystem::path path(output);
  return (path.parent_path() / fmt::format("{}.{}{}", path.stem().string(), index, path.extension().string())).string();
}

/// That of the flag, else that of the data.
Result<int64_t> rate_of(const ResultFlags& flags, const CompiledProgram& program) {
  const int64_t known = program.data ? sound_rate(*program.data) : 0;
  if (flags.rate || known > 0) return flags.rate.value_or(known);
  return fail(ErrorKind::Usage, "the rate of this sound is not known, because the data have no `audio`",
              "say it, such as --rate 8000");
}

Result<std::string> encode_picture(const ResultFlags& flags, NamedTensor& named, const Entry& entry,
                                   const Session& session) {
  HostTensor& result = named.tensor;
  SMELT_TRY_VOID(reshape_flat(result, flags.shape));
  if (result.shape.size() == 2) {
    return fail(ErrorKind::Usage,
                fmt::format("{} is no picture: its pixels are one flat axis", describe(result.dtype, result.shape)),
                "say how it folds, such as --shape 28x28, or write an .npy file");
  }
  SMELT_TRY(const Picture picture, make_grid(result, picture_options(entry, named.name, session.limits())));
  return encode_png(picture,
                    {{"smelt:export", entry.name}, {"smelt:seed", fmt::format("{}", session.program().train.seed)}});
}

Result<std::string> encode_sound(const ResultFlags& flags, const NamedTensor& named, int32_t rows,
                                 const CompiledProgram& program) {
  SMELT_TRY(const int64_t rate, rate_of(flags, program));
  SMELT_TRY(const std::vector<float> sound, sound_of(named.tensor, rows, rate));
  const auto outside = std::ranges::count_if(sound, [](float x) { return !(std::abs(x) <= 1); });
  if (outside > 0)
    say("note: {} of {} samples of `{}` lie outside of -1..1 and are clamped; NaN is silence", outside, sound.size(),
        named.name);
  return encode_wav(sound, rate);
}

Result<void> write_result(const ResultFlags& flags, const std::string& path, NamedTensor& named, const Binding& binding,
                          const Entry& entry, const Session& session, const SubwordModels& subwords) {
  const CompiledProgram& program = session.program();
  SMELT_TRY_VOID(check_not_there(path, flags.force));
  SMELT_TRY(const Format format, format_of(path));
  if (format == Format::Npy) return write_npy(path, named.tensor);
  std::string bytes;
  switch (format) {
    case Format::Npy:
    case Format::Npz: break;  // write_archive
    case Format::Png: {
      SMELT_TRY(bytes, encode_picture(flags, named, entry, session));
      break;
    }
    case Format::Wav: {
      SMELT_TRY(bytes, encode_sound(flags, named, row_axis(binding.type, program.train.batch_symbol), program));
      break;
    }
    case Format::Text: {
      SMELT_TRY(bytes,
                text_of(named.tensor, row_axis(binding.type, program.train.batch_symbol),
                        [&](std::span<const int32_t> labels) { return subwords.decode(binding.limit.dim, labels); }));
      break;
    }
  }
  return path.empty() ? write_output("-", fit_for_output(bytes)) : write_output(path, bytes);
}

}  // namespace

bool is_bytes(const Binding& binding, const CompiledProgram& program) {
  const bool subwords = program.data && !tokens_of(*program.data, binding.limit.dim).empty();
  return binding.type.dtype == DType::I32 && binding.limit.below > 0 && binding.limit.below <= 256 && !subwords;
}

bool is_text(const Binding& binding, const CompiledProgram& program) {
  const bool subwords = binding.type.dtype == DType::I32 && binding.limit.below > 0 && program.data &&
                        !tokens_of(*program.data, binding.limit.dim).empty();
  return subwords || is_bytes(binding, program);
}

bool writes_text(const ResultFlags& flags) { return format_of(flags.output).value_or(Format::Npy) == Format::Text; }

Result<void> check_format(const ResultFlags& flags) {
  SMELT_TRY(const Format format, format_of(flags.output));
  if (!flags.shape.empty()) {
    if (format != Format::Png)
      return fail(ErrorKind::Usage, "--shape says how the pixels of a .png are folded",
                  "write -o out.png, or leave it out");
    if (auto sides = sides_of(flags.shape); !sides) return std::unexpected(std::move(sides).error());
  }
  if (flags.rate && format != Format::Wav)
    return fail(ErrorKind::Usage, "--rate is the samples a second of a .wav", "write -o out.wav, or leave it out");
  return {};
}

Result<void> check_output(const ResultFlags& flags, const Entry& entry, const CompiledProgram& program) {
  SMELT_TRY(const Format format, format_of(flags.output));
  for (const Binding& output : entry.outputs) {
    if (format == Format::Text && !is_text(output, program))
      return fail(ErrorKind::Usage,
                  fmt::format("{}`{}` is {}, no text", flags.output.empty() ? "-o is missing: " : "", output.name,
                              to_string(output.type, program.symbols)),
                  flags.output.empty()
                      ? "say where the result goes: `-o out.npy`; .npz, .png, .txt and .wav are known as well"
                      : "a text is made of labels of at most 256 values, or of subwords: declare the result as "
                        "`ix<Byte>[B, T]`");
    if (format == Format::Wav) {
      if (!is_float(output.type.dtype) || output.type.rank() < 1 || output.type.rank() > 2)
        return fail(ErrorKind::Usage,
                    fmt::format("`{}` is {}, no sound", output.name, to_string(output.type, program.symbols)),
                    "a sound is f32[T] or f32[B, T], -1 to 1");
      SMELT_TRY_VOID(rate_of(flags, program));
    }
  }
  if (entry.outputs.size() == 1 || flags.output.empty() || !is_stream(flags.output)) return {};
  return fail(
      ErrorKind::Usage,
      fmt::format("export `{}` has {} results; a stream holds one", printable(entry.name), entry.outputs.size()),
      "give a file: `-o out.npz` holds all; of `-o out.npy` come out.0.npy, out.1.npy and so on");
}

/// All results in one .npz, by their names; a result without one is `value`, as its export says.
static Result<void> write_archive(const ResultFlags& flags, std::span<NamedTensor> results) {
  SMELT_TRY_VOID(check_not_there(flags.output, flags.force));
  std::vector<NamedArray> arrays;
  for (const NamedTensor& result : results) arrays.push_back({result.name, result.tensor});
  SMELT_TRY_VOID(write_npz(flags.output, arrays));
  for (const NamedTensor& result : results)
    fmt::print("{}  {} {}\n", printable_lines(flags.output), result.name,
               describe(result.tensor.dtype, result.tensor.shape));
  return {};
}

Result<void> write_results(const ResultFlags& flags, std::span<NamedTensor> results, const Entry& entry,
                           const Session& session, const SubwordModels& subwords) {
  if (format_of(flags.output).value_or(Format::Npy) == Format::Npz) return write_archive(flags, results);
  for (size_t k = 0; k < results.size(); ++k) {
    const std::string path = flags.output.empty() ? "" : place_of(flags.output, k, results.size());
    SMELT_TRY_VOID(write_result(flags, path, results[k], entry.outputs[k], entry, session, subwords));
    if (path.empty()) continue;
    const std::string line =
        fmt::format("{}  {}", printable_lines(path), describe(results[k].tensor.dtype, results[k].tensor.shape));
    if (is_standard_output(path))
      say_line(line);  // it has the result
    else
      fmt::print("{}\n", line);
  }
  return {};
}

}  // namespace smelt::cli
