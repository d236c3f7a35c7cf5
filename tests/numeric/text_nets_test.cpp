// The language models of the examples, and the Transformer that reads words, against stored results of PyTorch, from
// the same start weights on the same rows of texts that are formulas: 50 losses in f32, three in f64, and the gradient
// of every parameter at step 1.
#include "tests/numeric/net_gradients.h"

namespace smelt::numeric {
namespace {

constexpr uint32_t kBytes = 150'000;

/// Letters in an order that repeats after 977 of them, as make_text.py has them.
void write_book(const std::string& folder) {
  std::string text(kBytes, ' ');
  for (uint32_t i = 0; i < kBytes; ++i) text[i] = static_cast<char>('a' + (mix(kText, i % 977) >> 9) % 16);
  std::ofstream(folder + "bible.txt") << text;
}

/// `WORD\tSOUND` lines of such letters, as make_transformer.py has them.
void write_words(const std::string& folder) {
  constexpr struct {
    uint32_t width, longest;
    char first;
  } kFields[] = {{20, 20, 'a'}, {22, 21, 'A'}};
  std::string text;
  for (uint32_t row = 0; row < 3200; ++row) {
    for (uint32_t k = 0; k < 2; ++k) {
      const auto [width, longest, first] = kFields[k];
      const uint32_t length = 1 + (mix(kWords, 2 * row + k) >> 9) % longest;
      for (uint32_t i = 0; i < length; ++i)
        text += static_cast<char>(static_cast<uint32_t>(first) + (mix(kWords + 1 + k, row * width + i) >> 9) % 16);
      text += "\t\n"[k];
    }
  }
  std::ofstream(folder + "words.tsv") << text;
}

void compare_with_book(const std::string& name) {
  const std::string folder = work_folder(name);
  write_book(folder);
  std::filesystem::copy_file(std::string(SMELT_SOURCE_DIR) + "/examples/" + name + ".smelt", folder + "model.smelt");
  compare_with_stored(name, folder);
}

TEST_CASE("charlm_lstm_agrees_with_pytorch") { compare_with_book("charlm_lstm"); }
TEST_CASE("gpt_agrees_with_pytorch") { compare_with_book("gpt"); }

/// On all words in their order, where the example draws those that it trains on.
TEST_CASE("transformer_agrees_with_pytorch") {
  const std::string folder = work_folder("transformer");
  write_words(folder);
  std::string model = read_text(std::string(SMELT_SOURCE_DIR) + "/examples/transformer.smelt");
  const auto exchange = [&](std::string_view from, std::string_view to) {
    const size_t at = model.find(from);
    REQUIRE(at != std::string::npos);
    model.replace(at, from.size(), to);
  };
  exchange("train, valid, test = pairs", "train = pairs");
  exchange(" |> split(0.9, 0.02)", "\n  valid = pairs(\"words.tsv\", lengths = [S, T], ends = (0, 1))");
  exchange(", bucket = 50", "");  // rows in the order of the file
  std::ofstream(folder + "model.smelt") << model;
  compare_with_stored("transformer", folder, " --set p=0");
}

}  // namespace
}  // namespace smelt::numeric
