// SentencePiece behind two functions; a build without it says so.
#include "runtime/files/subwords.h"

#include <fmt/format.h>

#include <charconv>

#include "runtime/files/file.h"
#include "runtime/files/message.h"

#ifdef SMELT_SENTENCEPIECE
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#endif

namespace smelt {

#ifdef SMELT_SENTENCEPIECE

struct Subwords::Model {
  sentencepiece::SentencePieceProcessor processor;
  std::vector<int> new_line;
  std::string path;
};

namespace {

class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return at_ >= lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  size_t at_ = 0;
};

}  // namespace

Result<Subwords> Subwords::read(const std::string& path, const Limits& limits) {
  SMELT_TRY(const Buffer bytes, read_file(path, limits, &Limits::subwords));
  auto model = std::make_shared<Model>();
  model->path = path;
  const auto loaded =
      model->processor.LoadFromSerializedProto({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!loaded.ok() || model->processor.GetPieceSize() < 2)
    return fail(ErrorKind::Input, fmt::format("{}: no model of SentencePiece", printable(path)),
                "`smelt tokens train FILE -o m.model --size 1000` makes one");
  if (!model->processor.IsControl(0) && !model->processor.IsUnused(0))
    return fail(ErrorKind::Input,
                fmt::format("{}: number 0 is the subword `{}`, and 0 is what fills rows up", printable(path),
                            printable(model->processor.IdToPiece(0), 40)),
                "train it with --pad_id=0 --unk_id=1, or with `smelt tokens train`");
  // A normalisation may drop it.
  if (!model->processor.Encode("\n", &model->new_line).ok()) model->new_line.clear();
  Subwords subwords;
  subwords.model_ = std::move(model);
  return subwords;
}

int64_t Subwords::size() const { return model_->processor.GetPieceSize(); }

Result<std::vector<int32_t>> Subwords::encode(std::string_view text) const {
  std::vector<int32_t> numbers;
  std::vector<int> line;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view part = text.substr(0, end);
    if (const auto status = model_->processor.Encode({part.data(), part.size()}, &line); !status.ok())
      return fail(ErrorKind::Input, fmt::format("{}: {}", printable(model_->path), printable(status.ToString())));
    numbers.insert(numbers.end(), line.begin(), line.end());
    if (end == std::string_view::npos) break;
    numbers.insert(numbers.end(), model_->new_line.begin(), model_->new_line.end());
    text.remove_prefix(end + 1);
  }
  return numbers;
}

Result<std::string> Subwords::decode(std::span<const int32_t> numbers) const {
  std::vector<int> kept(numbers.begin(), numbers.end());
  while (!kept.empty() && kept.back() == 0) kept.pop_back();
  for (const int number : kept) {
    if (number < 0 || number >= size())
      return fail(ErrorKind::Input,
                  fmt::format("{} is no subword of {}, which has {}", number, printable(model_->path), size()));
  }
  std::string text;
  if (const auto status = model_->processor.Decode(kept, &text); !status.ok())
    return fail(ErrorKind::Input, fmt::format("{}: {}", printable(model_->path), printable(status.ToString())));
  return text;
}

/// The number behind `words` in what SentencePiece says; 0 when it does not say so.
static int64_t number_behind(std::string_view text, std::string_view words) {
  const size_t at = text.find(words);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + words.size());
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

static std::unexpected<Error> no_model(const std::string& why, int64_t size) {
  if (const int64_t most = number_behind(why, "value <= "); most > 0)
    return fail(ErrorKind::Input,
                fmt::format("{} subwords are too many for this text, of which there are {}", size, most),
                fmt::format("write --size {} or less, or give more text", most));
  if (const int64_t least = number_behind(why, fmt::format("{} vs ", size)); least > 0)
    return fail(
        ErrorKind::Input,
        fmt::format("{} subwords are too few for this text, which needs {} for its letters and bytes", size, least),
        fmt::format("write --size {} or more", least));
  return fail(ErrorKind::Input, fmt::format("SentencePiece: {}", printable(why)),
              "another --size may do: 256 subwords are bytes, and a short text has few others");
}

Result<std::string> train_subwords(const std::vector<std::string>& lines, int64_t size) {
  Lines iterator(lines);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train({{"vocab_size", fmt::format("{}", size)},
                                                                  {"model_type", "unigram"},
                                                                  {"pad_id", "0"},
                                                                  {"unk_id", "1"},
                                                                  {"bos_id", "-1"},
                                                                  {"eos_id", "-1"},
                                                                  {"byte_fallback", "true"},
                                                                  {"normalization_rule_name", "identity"},
                                                                  {"add_dummy_prefix", "false"},
                                                                  {"remove_extra_whitespaces", "false"},
                                                                  {"max_sentence_length", "65536"},
                                                                  {"num_threads", "1"},
                                                                  {"minloglevel", "2"}},
                                                                 &iterator, &model);
  if (status.ok()) return model;
  return no_model(status.ToString(), size);
}

#else

struct Subwords::Model {};

namespace {

std::unexpected<Error> without() {
  return fail(ErrorKind::Usage, "this build of Smelt has no SentencePiece, which cuts texts into subwords",
              "install libsentencepiece-dev, configure and build again");
}

}  // namespace

Result<Subwords> Subwords::read(const std::string&, const Limits&) { return without(); }
int64_t Subwords::size() const { return 0; }
Result<std::vector<int32_t>> Subwords::encode(std::string_view) const { return without(); }
Result<std::string> Subwords::decode(std::span<const int32_t>) const { return without(); }
Result<std::string> train_subwords(const std::vector<std::string>&, int64_t) { return without(); }

#endif

}  // namespace smelt
