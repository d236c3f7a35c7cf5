// Every example learns, and its first losses are those of the reference evaluator, which shares nothing with compiled
// code but the graph before any optimisation.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compiler/graph/differentiate.h"
#include "ir/evaluator.h"
#include "tests/system/training_fixture.h"

namespace smelt::test {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

bool has_data(const std::vector<std::string>& flags) { return std::ranges::find(flags, "--data") != flags.end(); }

std::vector<double> trained_losses(std::string_view model, std::string_view objective, int steps,
                                   const std::vector<std::string>& flags = {}) {
  const std::string run = fresh_directory(fmt::format("learns-{}", model)) + "/run";
  std::vector<std::string> arguments = {"train",   example(model),          "-o", run, "--threads", "1",
                                        "--steps", fmt::format("{}", steps)};
  if (!has_data(flags)) arguments.insert(arguments.end(), {"--data", "fashion=" + unpacked_data()});
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const CommandResult result = run_smelt(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const std::vector<double> losses = logged_losses(run, objective);
  REQUIRE((!losses.empty() && losses.size() % static_cast<size_t>(steps) == 0));
  return losses;
}

/// A folder with `name` in it, which `command` prints when the program or file that it needs is there; else empty, and
/// loud.
std::string printed_text(const std::string& name, const std::string& package, const std::string& needs,
                         const std::string& command) {
  const std::string work = fresh_directory("text-" + name);
  const std::string whole = fmt::format("{} > /dev/null 2>&1 && {} > '{}/{}'", needs, command, work, name);
  if (std::system(whole.c_str()) == 0) return work;
  fmt::print(stderr, "SKIPPED: \"{}\": nothing prints {}; install the package {}\n",
             doctest::getContextOptions()->currentTest->m_name, name, package);
  return {};
}

void check_learns(std::string_view model, std::string_view objective, double share, int steps = 120,
                  const std::vector<std::string>& flags = {}) {
  if (!has_data(flags) && skip_without_data()) return;
  const std::vector<double> losses = trained_losses(model, objective, steps, flags);
  const double first = mean(std::span(losses).first(5)), last = mean(std::span(losses).last(20));
  CHECK_MESSAGE(last < share * first, fmt::format("{}: {} at first, {} at last", model, first, last));
}

TEST_CASE("softmax learns") { check_learns("softmax", "loss", 0.5); }
TEST_CASE("mlp learns") { check_learns("mlp", "loss", 0.5); }
TEST_CASE("a narrow convolutional classifier learns") { check_learns("conv", "loss", 0.8, 40, {"--set", "w=8"}); }
TEST_CASE("the discriminator of a narrow DCGAN learns to tell") {
  check_learns("dcgan", "d_loss", 0.8, 40, {"--set", "w=8"});
}
TEST_CASE("a narrow discriminator with spectral normalisation learns to tell") {
  check_learns("sngan", "d_loss", 0.8, 40, {"--set", "w=8"});
}
TEST_CASE("a narrow convolutional critic with gradient penalty learns to tell") {
  check_learns("wgan_gp_conv", "critic", 0.6, 20, {"--set", "w=8"});
}
TEST_CASE("a narrow convolutional VAE learns") { check_learns("conv_vae", "neg_elbo", 0.8, 80, {"--set", "w=8"}); }
TEST_CASE("a small Inception learns") { check_learns("inception_small", "loss", 0.9, 40, {"--batch", "16"}); }
TEST_CASE("vae learns") { check_learns("vae", "neg_elbo", 0.7); }
TEST_CASE("the discriminators of both GANs learn to tell") {
  check_learns("gan", "d_loss", 0.8);
  check_learns("seed_gan", "d_loss", 0.8);
}
TEST_CASE("a discriminator with R1 learns to tell") { check_learns("r1", "d_loss", 0.8); }

// As the heads of the examples say.
TEST_CASE("language models learn") {
  const std::string folder = printed_text("bible.txt", "bible-kjv", "command -v bible",
                                          "bible -f gen1:1-rev22:21 2>/dev/null | cut -d' ' -f2-");
  if (folder.empty()) return;
  check_learns("charlm_lstm", "loss", 0.75, 40, {"--data", "text=" + folder});
  check_learns("vae_text", "neg_elbo", 0.85, 60, {"--data", "text=" + folder});
  check_learns("gpt", "loss", 0.75, 60, {"--data", "text=" + folder, "--set", "depth=1"});
}
TEST_CASE("spelling becomes sound") {
  const std::string folder =
      printed_text("words.tsv", "festlex-cmu", "test -f /usr/share/festival/dicts/cmu/cmudict-0.4.out",
                   "sh '" SMELT_SOURCE_DIR "/examples/words.sh'");
  if (folder.empty()) return;
  check_learns("transformer", "loss", 0.85, 80, {"--data", "words=" + folder, "--set", "depth=1"});
}
TEST_CASE("speech is learned") {
  const std::string speech = "/usr/share/klettres";
  if (!std::filesystem::exists(speech)) {
    fmt::print(stderr, "SKIPPED: \"speech is learned\": there are no recordings; install the package klettres-data\n");
    return;
  }
  check_learns("wavenet", "loss", 0.8, 80, {"--data", "speech=" + speech});
  check_learns("spectrogram_vae", "neg_elbo", 0.7, 60, {"--data", "speech=" + speech});
}

/// The model of `training`, step by step, in double on the graph as the frontend made it.
class ReferenceTraining {
 public:
  explicit ReferenceTraining(const Training& training)
      : training_(training), experiment_(*training.checked.experiment) {
    for (const StoredVariable& stored : training.program().variables)
      variables_.push_back(read(*training.session, stored));
    for (const Function& function : experiment_.functions) {
      graphs_.push_back(function.kind == FunctionKind::Step ? differentiate(function.graph) : Graph());
    }
  }

  /// Executes one call on `rows` and returns its loss. `executed`: how often its objective ran before.
  double run(const StepInfo& step, std::span<const int32_t> rows, int64_t iteration, int64_t executed) {
    const Graph& graph = graphs_.at(static_cast<size_t>(step.step_entry));
    std::vector<RefTensor> arguments;
    for (const Argument& argument : graph.arguments)
      arguments.push_back(value_of(argument, graph.type(argument.node), rows, iteration, executed));
    const Result<std::vector<RefTensor>> results = evaluate(graph, arguments, extents(rows));
    REQUIRE_MESSAGE(results, message_of(results));
    double loss = std::nan("");
    for (size_t i = 0; i < graph.results.size(); ++i) {
      const Output& output = graph.results[i];
      if (output.role == ResultRole::Loss) loss = (*results)[i].values.at(0);
      if (output.role == ResultRole::Variable) variables_[static_cast<size_t>(output.ref)] = (*results)[i];
    }
    return loss;
  }

 private:
  static RefTensor read(const Session& session, const StoredVariable& stored) {
    RefTensor tensor{stored.type, static_shape(stored.type), {}};
    const size_t size = stored.type.dtype == DType::F64 ? 8 : 4;
    REQUIRE((stored.type.dtype == DType::F64 || stored.type.dtype == DType::F32));
    const auto bytes = session.bytes(stored);
    for (size_t at = 0; at < bytes.size(); at += size)
      tensor.values.push_back(load_element(stored.type.dtype, bytes.data() + at));
    return tensor;
  }

  /// Columns are cut to the rows of the batch, so that they are small: the batch then is 0, 1, ...
  std::vector<int64_t> extents(std::span<const int32_t> rows) const {
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < experiment_.symbols.size(); ++i)
      sizes.push_back(static_cast<int64_t>(rows.empty() ? size_t{128} : rows.size()));
    return sizes;
  }

  RefTensor value_of(const Argument& argument, const TensorType& type, std::span<const int32_t> rows, int64_t iteration,
                     int64_t executed) const {
    RefTensor tensor{type, actual_sizes(type.shape, extents(rows)), {}};
    switch (argument.role) {
      case ArgRole::Variable: return variables_[static_cast<size_t>(argument.ref)];
      case ArgRole::Column: {
        const LoadedColumn& column = training_.data[0].columns()[static_cast<size_t>(argument.ref)];
        const auto* bytes = reinterpret_cast<const uint8_t*>(column.data.data());
        REQUIRE(column.dtype == DType::U8);
        const auto width = static_cast<size_t>(
            std::accumulate(column.row_shape.begin(), column.row_shape.end(), int64_t{1}, std::multiplies<>()));
        for (const int32_t row : rows) {
          const uint8_t* begin = bytes + static_cast<size_t>(row) * width;
          tensor.values.insert(tensor.values.end(), begin, begin + width);
        }
        return tensor;
      }
      case ArgRole::Rows:
        for (size_t i = 0; i < rows.size(); ++i) tensor.values.push_back(static_cast<double>(i));
        return tensor;
      case ArgRole::Scalar:
        tensor.values = {scalar(experiment_.scalars[static_cast<size_t>(argument.ref)], iteration, executed)};
        return tensor;
      case ArgRole::Seed: tensor.values = {static_cast<double>(training_.program().train.seed)}; return tensor;
      case ArgRole::Run: tensor.values = {static_cast<double>(executed)}; return tensor;
      case ArgRole::Feed:
      case ArgRole::Carry:
      case ArgRole::Slice:
      case ArgRole::Whole: break;
    }
    FAIL("a step has no feeds, and is no body");
    return tensor;
  }

  double scalar(const ScalarInput& input, int64_t iteration, int64_t executed) const {
    switch (input.kind) {
      case ScalarKind::Setting: return input.initial;
      case ScalarKind::Iteration: return static_cast<double>(iteration);
      case ScalarKind::Horizon: return static_cast<double>(training_.session->header().horizon);
      case ScalarKind::Update: return static_cast<double>(executed + 1);
      case ScalarKind::Loss: break;
    }
    return 0;
  }

  const Training& training_;
  const Experiment& experiment_;
  std::vector<RefTensor> variables_;
  std::vector<Graph> graphs_;
};

void check_agrees(std::string_view model, DType precision, double tolerance) {
  const std::unique_ptr<Training> training = start_training(model, precision);
  if (!training) return;
  ReferenceTraining reference(*training);
  for (int64_t iteration = 0; iteration < 3; ++iteration) {
    training->next_batches();
    REQUIRE(training->session->call_iteration(training->table) == SMELT_CALL_OK);
    for (const TrainingCall& call : training->calls) {
      double loss = call.frame.scalar(0);
      for (size_t i = 0; i < call.frame.entry().outputs.size(); ++i) {
        if (call.frame.entry().outputs[i].kind == BindingKind::Loss) loss = call.frame.scalar(i);
      }
      const double expected = reference.run(*call.step, call.rows, iteration, iteration);
      CHECK_MESSAGE(std::abs(loss - expected) <= tolerance * std::abs(expected),
                    fmt::format("{} {} {}, iteration {}: compiled {:.17g}, reference {:.17g}", model,
                                to_string(precision), call.step->objective, iteration, loss, expected));
    }
  }
}

TEST_CASE("the first losses of mlp, vae and gan are the reference evaluator's to 1e-5 in f32") {
  for (const char* model : {"mlp", "vae", "gan"}) check_agrees(model, DType::F32, 1e-5);
}
TEST_CASE("the first losses of mlp, vae, gan and r1 are the reference evaluator's to 1e-10 in f64") {
  for (const char* model : {"mlp", "vae", "gan", "r1"}) check_agrees(model, DType::F64, 1e-10);
}

}  // namespace
}  // namespace smelt::test
