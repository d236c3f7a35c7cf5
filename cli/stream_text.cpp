#include "cli/stream_text.h"

#include <unistd.h>

#include "ir/support/check.h"
#include "ir/support/printable.h"
#include "runtime/files/output_file.h"

namespace smelt::cli {
namespace {

/// Without the beginning of a character whose other bytes are not there yet.
size_t end_of_characters(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) break;
    if (byte < 0xC0) continue;
    const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // what subwords of single bytes are until all are there

class TextPrinter {
 public:
  /// The text of the first row so far. The last characters of a text of subwords may become others when more follow.
  Result<void> show(std::string_view text) {
    text = text.substr(0, end_of_characters(text));
    while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
    return text.starts_with(printed_) ? print(text) : Result<void>();
  }
  Result<void> finish(const std::string& text) { return print(text); }

 private:
  Result<void> print(std::string_view text) {
    if (text.size() <= printed_.size()) return {};
    SMELT_CHECK(text.starts_with(printed_), "a text became another one while it was printed");
    SMELT_TRY_VOID(write_output("-", fit_for_output(std::string(text.substr(printed_.size())))));
    printed_ = text;
    return {};
  }

  std::string printed_;
};

}  // namespace

std::string fit_for_output(const std::string& text) {
  // A model may write what moves the cursor of a terminal.
  return isatty(STDOUT_FILENO) != 0 ? printable_lines(text) : text;
}

Result<void> stream_text(StreamedExport& streamed, std::span<const NamedTensor> inputs, int32_t rows,
                         const DecodeLabels& decode) {
  TextPrinter printer;
  const auto show = [&](std::span<const int32_t> labels) -> Result<void> {
    SMELT_TRY(const std::string text, decode(labels));
    return printer.show(text);
  };
  SMELT_TRY(const std::vector<NamedTensor> results, streamed.run(inputs, show));
  SMELT_TRY(const std::string text, text_of(results[0].tensor, rows, decode));
  return printer.finish(text);
}

}  // namespace smelt::cli
