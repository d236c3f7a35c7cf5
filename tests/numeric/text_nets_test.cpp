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

/// The example with what it draws fed as data: the noise of codes, and what decides which letters the writer does not
/// see.
std::string with_fed_draws(std::string model) {
  const auto exchange = [&](std::string_view from, std::string_view to) {
    const size_t at = model.find(from);
    REQUIRE_MESSAGE(at != std::string::npos, from);
    model.replace(at, from.size(), to);
  };
  exchange("objective neg_elbo(x: ix<Byte>[B, T])",
           "objective neg_elbo(x: ix<Byte>[B, T], e: f32[B, Z], u: f32[B, T])");
  exchange("z ~ q\n", "z = mean_of(q) + exp(entropy(q) - 0.5 * (1 + log(2 * pi))) * e\n");
  exchange("softmax_xent(dec(x, z)", "softmax_xent(dec(x, z, u)");
  exchange("softmax_xent(dec(x, z)", "softmax_xent(dec(x, z, zeros([B, T]))");
  exchange("= dec(text, z)", "= dec(text, z, zeros([B, T]))");
  exchange("layer Decoder(x: ix<Byte>[B, T], z: f32[B, Z])",
           "layer Decoder(x: ix<Byte>[B, T], z: f32[B, Z], u: f32[B, T])");
  exchange("dropped(before)", "dropped(before, u)");
  exchange("fn dropped(e: f32[N, S, E]) {\n  u ~ Uniform(0, 1)[N, S]\n",
           "fn dropped(e: f32[N, S, E], u: f32[N, S]) {\n");
  exchange("  data text\n", "  data text\n  data draws\n");
  return model +
         "data draws {\n  train = npy(\"e.npy\", \"u.npy\")\n  valid = npy(\"e.npy\", \"u.npy\")\n"
         "  e: f32[Z] = field(0)\n  u: f32[T] = field(1)\n}\n";
}

TEST_CASE("vae_text_agrees_with_pytorch") {
  constexpr uint32_t kNoise = 980, kDrops = 981;  // streams of `mix`, as make_vae_text.py has them
  constexpr int64_t kRows = 50 * 32, kCode = 32, kWindow = 32;
  const std::string folder = work_folder("vae_text");
  write_book(folder);
  write_array(folder + "e.npy", DType::F32, {kRows, kCode}, to_float(uniform(kNoise, kRows * kCode, 2.0)));
  std::vector<double> drops = uniform(kDrops, kRows * kWindow, 0.5);
  for (double& drop : drops) drop += 0.5;
  write_array(folder + "u.npy", DType::F32, {kRows, kWindow}, to_float(drops));
  std::ofstream(folder + "model.smelt") << with_fed_draws(
      read_text(std::string(SMELT_SOURCE_DIR) + "/examples/vae_text.smelt"));
  compare_with_stored("vae_text", folder);
}

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
