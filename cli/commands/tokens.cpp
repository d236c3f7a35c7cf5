// tokens: models of subwords, and texts as their numbers.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/stream_text.h"
#include "runtime/files/file.h"
#include "runtime/files/npy.h"
#include "runtime/files/output_file.h"
#include "runtime/files/subwords.h"

namespace smelt::cli {
namespace {

struct LearnFlags {
  std::vector<std::string> files;
  std::string output;
  uint64_t size = 1000;
  bool force = false;
  std::vector<std::string> limits;
};
struct CutFlags {
  std::string model, text, output;
  bool force = false;
  std::vector<std::string> limits;
};
struct JoinFlags {
  std::string model, numbers;
  std::vector<std::string> limits;
};

Result<void> learn_subwords(const LearnFlags& flags) {
  SMELT_TRY(const Limits limits, limits_of(flags.limits));
  SMELT_TRY_VOID(check_not_there(flags.output, flags.force));
  std::vector<std::string> lines;
  for (const std::string& path : flags.files) {
    SMELT_TRY(const Buffer bytes, read_file(path, limits));
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      if (end > 0) lines.emplace_back(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  if (lines.empty()) return fail(ErrorKind::Input, "there is no text to learn subwords from");
  SMELT_TRY(const std::string model, train_subwords(lines, static_cast<int64_t>(flags.size)));
  SMELT_TRY_VOID(write_output(flags.output, model));
  say("{}: {} subwords of {} lines", printable(flags.output), flags.size, lines.size());
  return {};
}

/// Numbers go into an .npy file; a name of another kind would say that there is something else in it.
Result<void> check_takes_numbers(const std::string& path) {
  if (is_stream(path) || std::filesystem::path(path).extension() == ".npy") return {};
  return fail(ErrorKind::Usage, fmt::format("-o `{}`: the numbers of a text are written as .npy", printable(path)),
              "give a name that ends in .npy, or `-` for the standard output");
}

Result<void> cut_text(const CutFlags& flags) {
  SMELT_TRY_VOID(check_takes_numbers(flags.output));
  SMELT_TRY_VOID(check_not_there(flags.output, flags.force));
  SMELT_TRY(const Limits limits, limits_of(flags.limits));
  SMELT_TRY(const Subwords subwords, Subwords::read(flags.model, limits));
  SMELT_TRY(const std::vector<int32_t> numbers, subwords.encode(flags.text));
  SMELT_TRY(HostTensor row, HostTensor::zeros(DType::I32, {1, static_cast<int64_t>(numbers.size())}, "the subwords"));
  std::ranges::copy(numbers, row.as<int32_t>().begin());
  return write_npy(flags.output, row);
}

/// A row of numbers a line; the last axis is that of the text.
Result<void> join_texts(const JoinFlags& flags) {
  SMELT_TRY(const Limits limits, limits_of(flags.limits));
  SMELT_TRY(const Subwords subwords, Subwords::read(flags.model, limits));
  SMELT_TRY(const NpyFile file, read_npy(flags.numbers, limits));
  const bool whole = !is_float(file.tensor.dtype) && file.tensor.dtype != DType::Bool;
  if (!whole || file.tensor.shape.empty())
    return fail(ErrorKind::Usage,
                fmt::format("{}: {} is no row of subwords, which are whole numbers", printable(flags.numbers),
                            describe(file.tensor.dtype, file.tensor.shape)),
                "`smelt tokens encode`, `run` and `sample` write them as i32[rows, length]");
  SMELT_TRY(const HostTensor all, convert(file.tensor, DType::I32));  // numpy makes i64 of whole numbers
  const auto length = static_cast<size_t>(all.shape.back());
  const std::span<const int32_t> numbers = all.as<int32_t>();
  for (size_t at = 0; length > 0 && at + length <= numbers.size(); at += length) {
    SMELT_TRY(const std::string text, subwords.decode(numbers.subspan(at, length)));
    SMELT_TRY_VOID(write_output("-", fit_for_output(text + "\n")));
  }
  return {};
}

int code_of_subwords(const Result<void>& result) { return result ? static_cast<int>(kOk) : report(result.error()); }

}  // namespace

Runner add_tokens(Options options) {
  auto learn = std::make_shared<LearnFlags>();
  Options train_options = options.command("train", "makes a model of subwords of texts");
  train_options.add("FILE", learn->files, "texts; a line is a sentence").required();
  train_options.add("-o,--output", learn->output, "the model, such as m.model").required();
  train_options.flag("--force", learn->force, "overwrite the model");
  train_options.add("--size", learn->size, "subwords, 256 bytes among them (default 1000)").between(260, 1'000'000);
  add_limits(train_options, learn->limits);

  auto cut = std::make_shared<CutFlags>();
  Options encode_options = options.command("encode", "writes the subwords of a text as i32[1, length]");
  encode_options.add("MODEL", cut->model, "a model of subwords").required();
  encode_options.add("--text", cut->text, "the text").required().may_be_empty();
  encode_options.add("-o,--output", cut->output, "an .npy file").required();
  encode_options.flag("--force", cut->force, "overwrite the file");
  add_limits(encode_options, cut->limits);

  auto join = std::make_shared<JoinFlags>();
  Options decode_options = options.command("decode", "prints the texts of rows of subwords");
  decode_options.add("MODEL", join->model, "a model of subwords").required();
  decode_options.add("NUMBERS", join->numbers, "an .npy file of whole numbers; its last axis is a text").required();
  add_limits(decode_options, join->limits);

  return [=] {
    if (train_options.chosen()) return code_of_subwords(learn_subwords(*learn));
    if (encode_options.chosen()) return code_of_subwords(cut_text(*cut));
    if (decode_options.chosen()) return code_of_subwords(join_texts(*join));
    return report_usage("`smelt tokens` needs one of train, encode and decode",
                        "start with `smelt tokens train book.txt -o m.model --size 1000`");
  };
}

}  // namespace smelt::cli
