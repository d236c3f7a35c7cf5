#include "frontend/examples_of_codes.h"

#include <algorithm>
#include <vector>

#include "frontend/build_experiment.h"
#include "ir/support/embedded_text.h"

namespace smelt {

extern const EmbeddedText embedded_wrong_examples[];
extern const EmbeddedText embedded_right_examples[];

namespace {

std::string messages_of(const std::string& name, const std::string& text) {
  SourceMap sources;
  Diagnostics diagnostics;
  (void)build_experiment(sources, sources.add({name, text}), options_of_example(text), diagnostics);
  return render(diagnostics, sources);
}

/// Files other than `damaged` have one column a path: four numbers, then labels.
FrontendOptions with_data(const std::string& damaged) {
  FrontendOptions options;
  options.probe = [damaged](const std::string&,
                            const SourceCall& source) -> Result<std::optional<std::vector<Column>>> {
    if (source.paths.front() == damaged)
      return fail(ErrorKind::Input, damaged + ": byte 0: no .npy file (it should start with \\x93NUMPY)");
    std::vector<Column> columns = {{0, DType::F32, {4}, {}}};
    for (size_t k = 1; k < source.paths.size(); ++k) columns.push_back({static_cast<int32_t>(k), DType::I32, {}, {}});
    return columns;
  };
  return options;
}

/// Examples that are no files: their texts hold what no text holds, or their messages come from models that run.
/// tests/system/inputs_test.cpp compares those messages. In the right text `to` stands for `from`.
struct Written {
  std::string_view code, wrong, messages, from, to;
};
constexpr Written kWritten[] = {
    {"E0002", "dim B <= 8, X = 4  # gr\\xf6\\xdfe, as Latin-1 has it\n",
     "error[E0002]: byte 0xf6 at offset 23 is not UTF-8 text\n --> wrong.smelt:1:24\n   = help: save the file as "
     "UTF-8\n",
     "gr\\xf6\\xdfe, as Latin-1 has it",
     "gr\xc3\xb6\xc3\x9f"
     "e"},
    {"E0801", R"(dim B <= 8, X = 4
layer Net(x: f32[B, X]) -> f32[B, X] {
  param w: f32[X] = zeros()
  x * w
}
model net = Net
objective loss() updates net {
  z ~ Uniform(0, 1)[B, X]
  mean(-log(net(z)))
}
train {
  batch B = 8
  steps 10
  step loss with sgd(lr = 0.1)
}
)",
     R"(error[E0801]: step 1: `log` gives -inf in the forward pass of objective `loss`
 --> wrong.smelt:9:9
9 |   mean(-log(net(z)))
  |         ^^^^^^^^^^^ f32[8, 4], -inf at [0, 0], 32 of 32 not finite
  = note: `x` = `x * w` (wrong.smelt:4:3): f32[8, 4], always 0; 0 there
)",
     "log(net(z))", "log(1e-6 + net(z) ^ 2)"},
    {"E0802", R"(import std.nn (Dense)
dim B <= 8, X = 4
layer Net(x: f32[B, X]) -> f32[B, X] { x |> fc: Dense{X} |> last: Dense{X} }
model teacher = Net from "teacher.safetensors"
export see(x: f32[B, X]) -> f32[B, X] = teacher(x)
)",
     R"(error[E0802]: teacher.safetensors: lacks 2 of the 4 tensors of model `teacher`: `last.W`, `last.b`
 --> wrong.smelt:4:26
)",
     "last: Dense", "out: Dense"},
};

CodeExample example_of(const Written& written) {
  CodeExample example{std::string(written.wrong), std::string(written.messages), std::string(written.wrong)};
  example.right.replace(example.right.find(written.from), written.from.size(), written.to);
  return example;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    lines.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

FrontendOptions options_of_example(std::string_view text) {
  FrontendOptions options;
  constexpr std::string_view kSet = "# --set ", kDamaged = "# damaged: ", kData = "# --data ", kTrain = "# --train ";
  const std::string first(text.substr(0, text.find('\n')));
  if (first.starts_with(kDamaged)) return with_data(first.substr(kDamaged.size()));
  if (first.starts_with(kData)) options.data_sections = {first.substr(kData.size(), first.find('=') - kData.size())};
  if (first.starts_with(kTrain)) options.train = first.substr(kTrain.size());
  if (!first.starts_with(kSet)) return options;
  const std::string setting = first.substr(kSet.size());
  const size_t equals = setting.find('=');
  options.config.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  return options;
}

std::optional<CodeExample> example_of(std::string_view code) {
  const auto* written = std::ranges::find(kWritten, code, &Written::code);
  if (written != std::end(kWritten)) return example_of(*written);
  for (const EmbeddedText* wrong = embedded_wrong_examples; wrong->name != nullptr; ++wrong) {
    const std::string_view name = wrong->name;
    if (!name.starts_with(code)) continue;
    CodeExample example{wrong->text, messages_of("wrong.smelt", wrong->text), {}};
    if (example.messages.find(code) == std::string::npos) continue;
    for (const EmbeddedText* right = embedded_right_examples; right->name != nullptr; ++right)
      if (std::string_view(right->name).starts_with(code)) example.right = right->text;
    return example;
  }
  return std::nullopt;
}

std::string changed_lines(std::string_view wrong, std::string_view right) {
  const std::vector<std::string_view> before = lines_of(wrong);
  std::string out;
  for (const std::string_view line : lines_of(right))
    if (std::ranges::find(before, line) == before.end()) out += line;
  return out;
}

}  // namespace smelt
