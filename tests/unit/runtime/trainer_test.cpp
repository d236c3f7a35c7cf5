// The training loop on the fake program: logs, epochs, actions, NaN, pictures.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/evaluate.h"
#include "runtime/grid.h"
#include "runtime/progress.h"
#include "tests/unit/runtime/allocation_counter.h"
#include "tests/unit/runtime/trainer_fixture.h"

using namespace smelt;
using namespace smelt::test;

TEST_CASE_FIXTURE(TrainerFixture, "a run counts steps and epochs, learns, logs and saves") {
  Recorder recorder;
  const auto summary = start("a", {.observer = &recorder});
  REQUIRE_MESSAGE(summary.has_value(), message_of(summary));
  CHECK(summary->reason == StopReason::Finished);
  CHECK(summary->step == 8);  // 15 batches, 2 an iteration
  CHECK(summary->epoch == 5);
  CHECK(summary->checkpoint == "step-8.safetensors");
  CHECK(recorder.epochs == std::vector<int64_t>{0, 1, 2, 2, 3, 4, 4, 5});
  CHECK(read_raw(dir / "a/last") == "checkpoints/step-8.safetensors\n");

  const std::string text = read_raw(dir / "a/metrics.jsonl");
  CHECK(std::count(text.begin(), text.end(), '\n') == 16);
  const auto first = nlohmann::json::parse(text.substr(0, text.find('\n')));
  CHECK(first["step"] == 1);
  CHECK(first["objective"] == "loss");
  CHECK(first["reports"].contains("dw"));
  CHECK(first["ms"].is_number());
  CHECK(text.starts_with("{\"step\":1,\"objective\":\"loss\",\"loss\":"));
  const auto last = nlohmann::json::parse(text.substr(text.rfind('\n', text.size() - 2) + 1));
  CHECK(last["loss"].get<double>() < first["loss"].get<double>());
}

TEST_CASE_FIXTURE(TrainerFixture, "actions fire after their steps and epochs, evaluations before checkpoints") {
  Action image;
  image.kind = ActionKind::Image;
  image.function = 6;
  image.path = "img-{epoch}.png";
  program.train.every = {{1, Unit::Epoch, {checkpoint_action(2), eval_action()}, {}}, {4, Unit::Step, {image}, {}}};
  Recorder recorder;
  REQUIRE(start("a", {.observer = &recorder}).has_value());
  CHECK(recorder.events == std::vector<std::string>{"eval 2 valid", "save 2", "eval 3 valid", "save 3", "picture 4",
                                                    "eval 5 valid", "save 5", "eval 6 valid", "save 6", "eval 8 valid",
                                                    "picture 8", "save 8"});
  CHECK(checkpoints("a") == std::vector<std::string>{"step-6.safetensors", "step-8.safetensors"});
  CHECK(read_raw(dir / "a/img-5.png").starts_with("\x89PNG"));
  CHECK(contains(read_raw(dir / "a/img-5.png"), std::string("smelt:seed\0"
                                                            "7",
                                                            12)));
}

TEST_CASE_FIXTURE(TrainerFixture, "the best checkpoint is kept, across a resumed run as well") {
  program.train.every = {{1, Unit::Step, {eval_action(), checkpoint_action(-1, "loss")}, {}}};
  REQUIRE(start("whole").has_value());
  REQUIRE(start("parts", {.stop_after = 3}).has_value());
  REQUIRE(resume("parts").has_value());
  CHECK(read_raw(dir / "parts/best") == read_raw(dir / "whole/best"));
  CHECK(checkpoint("parts", 8) == checkpoint("whole", 8));
  double best = HUGE_VAL;
  int64_t best_step = 0;
  const std::string text = log("whole");
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const auto line = nlohmann::json::parse(text.substr(at, text.find('\n', at) - at));
    if (!line.contains("eval") || line["metrics"]["loss"] >= best) continue;
    best = line["metrics"]["loss"];
    best_step = line["step"];
  }
  CHECK(read_raw(dir / "whole/best") == "checkpoints/" + checkpoint_name(best_step) + "\n");
  CHECK(checkpoints("whole").size() <= 2);
}

TEST_CASE_FIXTURE(TrainerFixture, "a run ends when a metric gets no better, and goes on with the same patience") {
  program.train.every = {{1, Unit::Step, {eval_action()}, {}}};
  program.train.patience = {"mean_y", "valid", false, 3};  // a constant: the first value is the best
  const auto whole = start("whole");
  REQUIRE(whole.has_value());
  CHECK(whole->reason == StopReason::StopWhen);
  CHECK(whole->step == 4);
  REQUIRE(start("parts", {.stop_after = 3}).has_value());
  const auto parts = resume("parts");
  REQUIRE(parts.has_value());
  CHECK(parts->step == 4);
  CHECK(checkpoint("parts", 4) == checkpoint("whole", 4));
  CHECK(resume("whole")->step == 4);       // its patience is at an end
  program.train.patience.split = "train";  // not evaluated on it
  CHECK(start("other")->reason == StopReason::Finished);
}

TEST_CASE_FIXTURE(TrainerFixture, "an evaluation weighs batches by rows, in file order, with the rest") {
  auto made = session();
  const auto values = evaluate(*made, {&data[1]}, 4, {"mean_y", "loss"});
  REQUIRE_MESSAGE(values.has_value(), message_of(values));
  CHECK((*values)[0].name == "mean_y");
  CHECK((*values)[0].value == 5.0);  // (4 * 2.5 + 1 * 15) / 5
  CHECK((*values)[1].name == "loss");
  CHECK((*values)[2].name == "loss.dw");
  CHECK((*values)[2].value == doctest::Approx(0.2));  // the batch number: (4 * 0 + 1 * 1) / 5
  CHECK(made->runs(program.entries[1]) == 0);
  CHECK(contains(message_of(evaluate(*made, {&data[1]}, 4, {"men_y"})), "did you mean `mean_y`?"));
  CHECK(contains(message_of(evaluate(*made, {}, 4, {"mean_y"})), "reads a data set"));
  program.entries[3].inputs[2].type.shape[0] = Extent(4);  // fixed: the rest is left out
  CHECK((*evaluate(*made, {&data[1]}, 4, {"mean_y"}))[0].value == 2.5);
}

TEST_CASE_FIXTURE(TrainerFixture, "a loss that is not finite ends the run and names it; the last checkpoint stays") {
  write_raw(dir / "train.csv", "x,y\n0,1\n1,3\n1e30,1e30\n3,7\n1,3\n0,1\n1,3\n2,5\n0,1\n");
  program.train.shuffle = false;
  program.train.every = {{1, Unit::Step, {checkpoint_action(-1)}, {}}};
  load();
  const auto result = start("a");
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().kind == ErrorKind::NonFinite);
  CHECK(contains(message_of(result), "step 1: the loss of objective `loss` is inf"));
  CHECK(contains(read_raw(dir / "a/metrics.jsonl"), "\"loss\":null"));
  CHECK(contains(read_raw(dir / "a/metrics.jsonl"), "\"nonfinite\":true}"));
  CHECK(checkpoints("a").empty());
}

TEST_CASE_FIXTURE(TrainerFixture, "`stop when` ends a run well, also when it asks for the NaN that the guard found") {
  program.train.stop_function = 7;
  write_raw(dir / "train.csv", "x,y\n0,1\n1,3\n1,3\n1,3\n1,3\n0,1\n1,3\n2,5\n0,1\n");
  load();
  auto made = session();
  auto run = RunDirectory::create(dir / "a", "text", Existing::Refuse);
  HostTensor w = *made->read("net.w");
  w.as<float>()[0] = NAN;
  REQUIRE(made->write("net.w", w).has_value());
  const auto summary = train(*made, data, *run, {});
  REQUIRE_MESSAGE(summary.has_value(), message_of(summary));
  CHECK(summary->reason == StopReason::StopWhen);
  CHECK(summary->step == 0);
  CHECK(summary->checkpoint == "step-0.safetensors");
}

TEST_CASE_FIXTURE(TrainerFixture, "a step allocates nothing") {
  if (test::skip_without_allocation_counter()) return;
  class Counter : public TrainObserver {
   public:
    std::vector<int64_t> seen = std::vector<int64_t>(1000);
    void on_step(const StepReport& report) override {
      seen[static_cast<size_t>(report.step)] = test::num_allocations();
    }
  } counter;
  program.train.epochs = 200;
  REQUIRE(start("a", {.observer = &counter}).has_value());
  CHECK(counter.seen[2] > 0);
  CHECK(counter.seen[299] == counter.seen[2]);
}

TEST_CASE_FIXTURE(TrainerFixture, "a schedule counts what a loop takes") {
  CHECK(plan_schedule(program, 9)->iterations == 8);
  CHECK(plan_schedule(program, 8)->iterations == 5);
  program.train.loop = {{1, {0, 0}}};  // together: both see one batch
  const Schedule shared = *plan_schedule(program, 9);
  CHECK(shared.batches_per_iteration == 1);
  CHECK(shared.calls[1].shares_batch);
  CHECK(shared.iterations == 15);
  program.train.batch_symbol = -1;
  CHECK(plan_schedule(program, 9)->iterations == 10);
  CHECK(contains(message_of(plan_schedule(program, 3)), "fewer than one batch of 4"));
  program.train.epochs = -1;
  program.train.steps = 77;
  CHECK(plan_schedule(program, 9)->iterations == 77);
  program.train.present = false;
  CHECK(contains(message_of(plan_schedule(program, 9)), "no `train` section"));
}

TEST_CASE("numbers in the log read back to the same bits") {
  const auto text = [](double value, DType dtype) {
    std::string out;
    append_json_number(out, value, dtype);
    return out;
  };
  CHECK(text(0.1f, DType::F32) == "0.1");
  CHECK(text(0.1f, DType::F64) == "0.10000000149011612");
  CHECK(text(1e20, DType::F64) == "1e+20");
  CHECK(text(3, DType::I64) == "3");
  CHECK(text(NAN, DType::F32) == "null");
  CHECK(text(-INFINITY, DType::F64) == "null");
  uint32_t bits = 1;
  for (int i = 0; i < 10'000; ++i, bits = bits * 1664525u + 1013904223u) {
    float value = 0;
    std::memcpy(&value, &bits, 4);
    if (!std::isfinite(value)) continue;
    const float back = static_cast<float>(nlohmann::json::parse(text(value, DType::F32)).get<double>());
    CHECK(std::memcmp(&back, &value, 4) == 0);
  }
}

TEST_CASE("a sheet places pictures in rows and enlarges them") {
  HostTensor images = *HostTensor::zeros(DType::F32, {3, 2, 2});
  for (size_t i = 0; i < 12; ++i) images.as<float>()[i] = static_cast<float>(i) / 11.0f;
  const auto sheet = make_grid(images, {});
  REQUIRE_MESSAGE(sheet.has_value(), message_of(sheet));
  CHECK(sheet->width == 520);  // 2 * (2 + 2) + 2 = 10 pixels, 52 times
  CHECK(sheet->height == 520);
  const auto pixel = [&](int64_t x, int64_t y) { return sheet->pixels[static_cast<size_t>(y * 52 * 520 + x * 52)]; };
  CHECK(pixel(2, 2) == 0);
  CHECK(pixel(3, 2) == 23);
  CHECK(pixel(7, 3) == 162);
  CHECK(pixel(3, 7) == 255);
  CHECK(pixel(7, 7) == 0);  // no fourth picture
  CHECK(pixel(4, 2) == 0);  // padding
  HostTensor colour = *HostTensor::zeros(DType::F32, {1, 3, 600, 2});
  colour.as<float>()[1200] = 2;  // green of the first pixel, clamped
  const auto tall = make_grid(colour, {.columns = 4, .low = -1, .high = 1});
  CHECK(tall->channels == 3);
  CHECK(tall->width == 6);
  CHECK(tall->pixels[static_cast<size_t>((2 * 6 + 2) * 3 + 1)] == 255);
  CHECK(tall->pixels[static_cast<size_t>((2 * 6 + 2) * 3)] == 128);
  CHECK(contains(message_of(make_grid(*HostTensor::zeros(DType::F32, {3, 784}), {})), "`reshape` a flat axis"));
  CHECK(contains(message_of(make_grid(*HostTensor::zeros(DType::F32, {1, 2, 4, 4}), {})), "C = 1 or 3"));
  CHECK(make_grid(images, {.limits = {.pixels = 520 * 520}}).has_value());
  const auto too_large = make_grid(images, {.limits = {.pixels = 520 * 520 - 1}});
  REQUIRE(!too_large);
  CHECK(too_large.error().message == "a sheet of 520 x 520 pixels, the limit is 270399 in all");
  CHECK(too_large.error().help == "--limit pixels=270400 allows it");
  const auto png = encode_png(*sheet, {{"smelt:step", "12"}});
  REQUIRE(png.has_value());
  CHECK(png->starts_with("\x89PNG\r\n\x1a\n"));
  CHECK(*png == *encode_png(*sheet, {{"smelt:step", "12"}}));
  CHECK(encode_png({0, 5, 1, {}}).error().kind == ErrorKind::Output);
  CHECK(contains(message_of(encode_png({2, 2, 1, {1, 2, 3}})), "pixels do not match"));
  CHECK(contains(message_of(encode_png({2'000'000, 1, 1, std::vector<uint8_t>(2'000'000)})), "libpng: "));
}

TEST_CASE("a rule of slowing counts the evaluations of its metric and split, and waits again") {
  const SlowRule rule{"loss.lr.slow", 0.5, {"acc", "valid", true, 2}};
  Slowing slowing(rule);
  const double values[] = {0.5, 0.4, 0.6, 0.6, NAN, 0.7, 0.1, 0.2, 0.3, 0.4};
  int64_t step = 0;
  for (const double value : values) {
    CHECK_FALSE(slowing.add(++step, "train", "acc", value));
    CHECK_FALSE(slowing.add(step, "valid", "loss", value));
    CHECK(slowing.add(step, "valid", "acc", value) == (step == 5 || step == 8 || step == 10));
  }
  CHECK(slowing.factor(4) == 1);
  CHECK(slowing.factor(5) == 0.5);
  CHECK(slowing.factor(9) == 0.25);
  CHECK(slowing.factor(10) == 0.125);
}
