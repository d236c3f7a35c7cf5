// Beam search beside a search that is written here, over the scores of all texts of a tiny model; the steps of one
// position beside those of all positions; edit distances beside their table.
#include <algorithm>
#include <cmath>

#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

constexpr int64_t kLabels = 5, kLength = 6, kEnd = 2, kTexts = 15625, kWide = 8, kMemory = 3;

void write_labels(const std::string& path, std::vector<int64_t> shape, const std::vector<int32_t>& values) {
  REQUIRE(write_npy(path, host_tensor<int32_t>(DType::I32, std::move(shape), values)));
}

std::vector<double> read_values(const std::string& path) {
  const Result<NpyFile> file = read_npy(path);
  REQUIRE_MESSAGE(file, path);
  std::vector<double> values;
  for (int64_t i = 0; i < num_elements(file->tensor.shape).value(); ++i) values.push_back(element(file->tensor, i));
  return values;
}

struct Beam {
  std::vector<int32_t> text;
  double score = 0;
  int labels = 0;
  bool over = false;
  double rank(double penalty) const { return score / std::pow((5.0 + labels) / 6.0, penalty); }
};

/// `scores` of all texts, in the order of their labels as digits: [texts, positions, labels].
class AllTexts {
 public:
  explicit AllTexts(std::vector<double> scores) : scores_(std::move(scores)) {}

  std::vector<Beam> search(const std::vector<int32_t>& prompt, int64_t length, size_t width, double penalty) const {
    std::vector<Beam> beams{{prompt}};
    while (static_cast<int64_t>(beams[0].text.size()) < length) {
      std::vector<Beam> longer;
      for (const Beam& beam : beams) {
        for (int32_t label = 0; label < kLabels; ++label) {
          if (!beam.over || label == kEnd) longer.push_back(with(beam, label));
        }
      }
      std::ranges::stable_sort(longer, std::greater<>(), [&](const Beam& beam) { return beam.rank(penalty); });
      longer.resize(std::min(longer.size(), width));
      beams = std::move(longer);
    }
    return beams;
  }

 private:
  Beam with(Beam beam, int32_t label) const {
    if (!beam.over) {
      beam.score += score(beam.text, label);
      ++beam.labels;
      beam.over = label == kEnd;
    }
    beam.text.push_back(label);
    return beam;
  }
  double score(const std::vector<int32_t>& text, int32_t label) const {
    int64_t number = 0;
    for (size_t i = 0; i < static_cast<size_t>(kLength); ++i)
      number = number * kLabels + (i < text.size() ? text[i] : 0);
    return scores_[static_cast<size_t>((number * kLength + static_cast<int64_t>(text.size()) - 1) * kLabels + label)];
  }
  std::vector<double> scores_;
};

const std::vector<std::vector<int32_t>> kPrompts = {{1, 3}, {0, 4}, {2, 2}};

void write_inputs(const std::string& folder) {
  std::vector<int32_t> prompts, texts;
  for (const auto& prompt : kPrompts) prompts.insert(prompts.end(), prompt.begin(), prompt.end());
  for (int32_t number = 0; number < kTexts; ++number) {
    for (int32_t digit = kTexts / kLabels; digit > 0; digit /= kLabels)
      texts.push_back(number / digit % static_cast<int32_t>(kLabels));
  }
  write_labels(folder + "prompt.npy", {3, 2}, prompts);
  write_labels(folder + "text.npy", {kTexts, kLength}, texts);
  // Three sequences for the decoder, the first for all texts: their scores are its own.
  const std::vector<double> memory = uniform(73, kMemory * kWide, 1.0);
  const auto repeat = [&](int64_t count) {
    std::vector<double> rows;
    for (int64_t i = 0; i < count; ++i) rows.insert(rows.end(), memory.begin(), memory.end());
    return rows;
  };
  write_array(folder + "memory.npy", DType::F64, {3, kMemory, kWide}, repeat(3));
  write_array(folder + "memories.npy", DType::F64, {kTexts, kMemory, kWide}, repeat(kTexts));
  write_labels(folder + "size.npy", {3}, std::vector<int32_t>(3, 2));
  write_labels(folder + "sizes.npy", {kTexts}, std::vector<int32_t>(kTexts, 2));
}

/// A folder with the model, its feeds and weights that make it decided.
std::string prepare(const std::string& name) {
  const std::string folder = work_folder("decoding_" + name);
  std::filesystem::copy_file(kSource + "decoding.smelt", folder + "model.smelt");
  write_inputs(folder);
  return folder;
}

std::vector<double> run(const std::string& folder, const std::string& name, const std::string& inputs,
                        const std::string& flags = "") {
  run_smelt(folder, fmt::format("run model.smelt {0} {1} {2} --precision f64 --threads 1 --force -o {0}.npy", name,
                                inputs, flags));
  return read_values(folder + name + ".npy");
}

void check_beams(const std::vector<double>& found, const std::vector<std::vector<Beam>>& expected, int64_t length) {
  size_t at = 0;
  for (const auto& beams : expected) {
    for (const Beam& beam : beams) {
      const std::vector<double> text(found.begin() + static_cast<std::ptrdiff_t>(at),
                                     found.begin() + static_cast<std::ptrdiff_t>(at) + length);
      CHECK(text == std::vector<double>(beam.text.begin(), beam.text.end()));
      at += static_cast<size_t>(length);
    }
  }
  CHECK(at == found.size());
}

TEST_CASE("beams are those of a search over the scores of all texts") {
  const std::string folder = prepare("beams");
  for (const std::string name : {"attention", "recurrent", "windows", "decoder", "pointer", "brief"}) {
    CAPTURE(name);
    const bool reads = name == "decoder" || name == "pointer";
    const AllTexts texts(run(
        folder, name + "_scores",
        reads ? "--input text=text.npy --input memory=memories.npy --input size=sizes.npy" : "--input text=text.npy"));
    const std::string inputs = reads ? "--input prompt=prompt.npy --input memory=memory.npy --input size=size.npy"
                                     : "--input prompt=prompt.npy";
    for (const double penalty : {0.0, 0.8}) {
      CAPTURE(penalty);
      std::vector<std::vector<Beam>> expected;
      for (const auto& prompt : kPrompts) expected.push_back(texts.search(prompt, kLength, 4, penalty));
      const std::string flags = fmt::format("--set penalty={:.1f}", penalty);
      const std::vector<double> found = run(folder, name + "_beams", inputs, flags);
      check_beams(found, expected, kLength);
      CHECK(found == run(folder, name + "_beams", inputs, flags + " --disable-pass derive_steps"));
    }
  }
}

/// With a beam for each text before its last label the first one is the likeliest of all.
TEST_CASE("the first of all beams is the likeliest text") {
  constexpr int64_t kShort = 4;
  const std::string folder = prepare("all");
  const AllTexts texts(run(folder, "attention_scores", "--input text=text.npy"));
  write_labels(folder + "one.npy", {3, 1}, {1, 0, 4});
  const std::vector<double> found = run(folder, "all_beams", "--input prompt=one.npy");
  std::vector<std::vector<Beam>> expected;
  for (const int32_t first : {1, 0, 4}) {
    std::vector<Beam> all = texts.search({first}, kShort, 125, 0.8);
    all.resize(25);
    expected.push_back(std::move(all));
  }
  check_beams(found, expected, kShort);
}

int table_distance(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 0; i < a.size(); ++i) {
    std::vector<int> next{static_cast<int>(i) + 1};
    for (size_t j = 0; j < b.size(); ++j)
      next.push_back(std::min({row[j] + (a[i] != b[j] ? 1 : 0), row[j + 1] + 1, next[j] + 1}));
    row = next;
  }
  return row.back();
}

TEST_CASE("edit distances are those of the table") {
  constexpr uint32_t kRows = 400, kLeft = 6, kRight = 7;
  const std::string folder = prepare("distances");
  const auto draw = [](uint32_t stream, uint32_t count, uint32_t below) {
    std::vector<int32_t> values;
    for (uint32_t i = 0; i < count; ++i) values.push_back(static_cast<int32_t>((mix(stream, i) >> 9) % below));
    return values;
  };
  const std::vector<int32_t> a = draw(74, kRows * kLeft, 4), b = draw(75, kRows * kRight, 4),
                             m = draw(76, kRows, kLeft + 1), n = draw(77, kRows, kRight + 1);
  write_labels(folder + "a.npy", {kRows, kLeft}, a);
  write_labels(folder + "b.npy", {kRows, kRight}, b);
  write_labels(folder + "m.npy", {kRows}, m);
  write_labels(folder + "n.npy", {kRows}, n);
  const std::vector<double> found =
      run(folder, "distances", "--input a=a.npy --input b=b.npy --input m=m.npy --input n=n.npy");
  REQUIRE(found.size() == kRows);
  for (uint32_t row = 0; row < kRows; ++row) {
    const auto part = [&](const std::vector<int32_t>& all, uint32_t width, int32_t count) {
      return std::vector<int32_t>(all.begin() + row * width, all.begin() + row * width + count);
    };
    CHECK(found[row] == table_distance(part(a, kLeft, m[row]), part(b, kRight, n[row])));
  }
}

/// A net whose rows know each other, or their number, cannot keep what it has computed when beams change places.
TEST_CASE("a net that mixes rows is refused at its line") {
  const std::string folder = work_folder("decoding_mixed");
  for (const std::string_view line : {"h - mean(h, over=N)", "h + cast(index(N), f32)"}) {
    CAPTURE(line);
    std::ofstream(folder + "model.smelt") << fmt::format(
        "import std.nn (Dense, Embedding)\nimport std.sequence (TransformerBlock)\n"
        "dim B <= 2, T = 6, K = 5, D = 4\nlayer Net(x: ix<K>[N, L]) -> f32[N, L, K] {{\n  h = x |> Embedding{{K, D}}\n"
        "  {} |> TransformerBlock{{2, 8, causal=true}} |> Dense{{K}}\n}}\nmodel lm = Net\n"
        "export f(prompt: ix<K>[T]) = beam_search(lm, prompt, T, 3, 0)\n",
        line);
    const int status =
        std::system(fmt::format("cd '{}' && '{}' check model.smelt > log 2>&1", folder, SMELT_COMMAND).c_str());
    CHECK(status != 0);
    const std::string message = read_text(folder + "log");
    CHECK_MESSAGE(message.find("mixes the rows of the sequence, which go on in another order") != std::string::npos,
                  message);
  }
}

}  // namespace
}  // namespace smelt::numeric
