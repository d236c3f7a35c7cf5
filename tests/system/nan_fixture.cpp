#include "tests/system/nan_fixture.h"

#include <limits>

#include "runtime/files/npy.h"

namespace smelt::test {
namespace {

void write_points_with(const std::string& path, int64_t element, float value) {
  auto tensor = HostTensor::zeros(DType::F32, {20, 3});
  REQUIRE(tensor);
  for (int64_t i = 0; i < 60; ++i) tensor->as<float>()[static_cast<size_t>(i)] = static_cast<float>(i % 7) - 2.5f;
  tensor->as<float>()[static_cast<size_t>(element)] = value;
  REQUIRE(write_npy(path, *tensor));
}

}  // namespace

const std::string& nan_directory() {
  static const std::string directory = [] {
    const std::string path = fresh_directory("nan");
    std::string points = "a,b,c\n";
    for (int i = 0; i < 20; ++i) points += fmt::format("{}.5,{},{}\n", i % 3, i % 5, i % 2 - 0.75);
    write_text_file(path + "/points.csv", points);
    write_points_with(path + "/nan.npy", 3 * 13 + 2, std::numeric_limits<float>::quiet_NaN());
    write_points_with(path + "/inf.npy", 3 * 2 + 1, std::numeric_limits<float>::infinity());
    return path;
  }();
  return directory;
}

std::unique_ptr<Stopped> train_planted(const std::string& name, const std::string& text, const TrainHow& how) {
  auto stopped = std::make_unique<Stopped>();
  stopped->options = how.options;
  stopped->options.needs_data = true;
  stopped->checked = check_text(nan_directory() + "/" + name + ".smelt", text, stopped->options);
  REQUIRE_MESSAGE(stopped->checked.experiment,
                  fmt::format("{}\n{}", name, render(stopped->checked.diagnostics, *stopped->checked.sources)));
  auto model = compile(stopped->checked, stopped->options);
  REQUIRE_MESSAGE(model, message_of(model));
  stopped->model = std::move(*model);
  const CompiledProgram& program = stopped->model->program;
  auto session = Session::create(program, stopped->model->functions(), {.seed = program.train.seed});
  REQUIRE(session);
  stopped->session = std::move(*session);
  REQUIRE(stopped->session->initialise());
  DataPaths paths;
  paths.model_directory = nan_directory();
  auto data = Dataset::open(*program.data, program.data->splits[0], paths);
  REQUIRE_MESSAGE(data, message_of(data));
  stopped->data.push_back(std::move(*data));
  stopped->run = nan_directory() + "/runs/" + name;
  auto run = RunDirectory::create(stopped->run, text, Existing::Replace);
  REQUIRE_MESSAGE(run, message_of(run));
  TrainOptions train_options;
  train_options.check_nan = how.check_nan;
  train_options.stop_after = how.stop_after;
  train_options.trace = [&](const FailedCall& call) {
    auto traced = trace_nonfinite(stopped->checked, stopped->options, call);
    REQUIRE_MESSAGE(traced, message_of(traced));
    stopped->diagnostic = std::move(*traced);
  };
  auto summary = train(*stopped->session, stopped->data, *run, train_options);
  if (summary) {
    stopped->summary = *summary;
  } else {
    stopped->error = summary.error();
  }
  return stopped;
}

}  // namespace smelt::test
