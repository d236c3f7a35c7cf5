// Sessions on the fake program: variables, scalars, exports in chunks.
#include "runtime/session.h"

#include "ir/support/suggest.h"
#include "tests/unit/runtime/fake_program.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

NamedTensor matrix(int64_t rows, int64_t columns) {
  NamedTensor out{"x", *HostTensor::zeros(DType::F32, {rows, columns})};
  float next = 0;
  for (float& value : out.tensor.as<float>()) value = next++;
  return out;
}

struct Fixture {
  CompiledProgram program = fake::program();
  std::unique_ptr<Session> session = *Session::create(program, fake::loaded(), {.seed = 7, .horizon = 10});
  Fixture() { REQUIRE(session->initialise().has_value()); }
  const Entry& predict() { return *program.find(FunctionKind::Export, "predict"); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "variables are read and written by path") {
  HostTensor w = *session->read("net.w");
  CHECK(w.shape == std::vector<int64_t>{1});
  w.as<float>()[0] = 3;
  REQUIRE(session->write("net.w", w).has_value());
  CHECK(session->read("net.w")->as<float>()[0] == 3);
  CHECK(
      contains(message_of(session->read("net.v")), "there is no variable `net.v` | did you mean `net.w` or `net.b`?"));
  CHECK(contains(message_of(session->write("net.b", w)), "variable `net.b` is f32, got f32[1]"));
}

TEST_CASE_FIXTURE(Fixture, "scalars are set by name and start at their initial value") {
  CHECK(*session->scalar("loss.lr") == 0.02);
  REQUIRE(session->set_scalar("loss.lr", 0.5).has_value());
  CHECK(*session->scalar("loss.lr") == 0.5);
  CHECK(contains(message_of(session->set_scalar("loss.rl", 1)), "did you mean `loss.lr`?"));
  session->set_last_loss(0, 2.5);
  CHECK(*session->scalar("loss") == 2.5);
  REQUIRE(session->initialise().has_value());
  CHECK(*session->scalar("loss.lr") == 0.02);
}

TEST_CASE_FIXTURE(Fixture, "an export runs at any size, in chunks above its bound") {
  REQUIRE(session->write("net.w", *convert(*session->read("net.w"), DType::F32)).has_value());
  HostTensor w = *session->read("net.w"), b = *session->read("net.b");
  for (const int64_t rows : {1, 3, 4, 5, 11}) {
    for (const int64_t columns : {1, 2, 3}) {
      const NamedTensor x = matrix(rows, columns);
      const auto out = session->run(predict(), std::span(&x, 1));
      REQUIRE_MESSAGE(out.has_value(), message_of(out));
      const HostTensor& y = out->at(0).tensor;
      CHECK(y.shape == std::vector<int64_t>{rows, columns});
      for (int64_t i = 0; i < rows * columns; ++i) {
        CHECK(y.as<float>()[static_cast<size_t>(i)] == w.as<float>()[0] * static_cast<float>(i) + b.as<float>()[0]);
      }
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "a sample is drawn at a size that is given, one run a chunk") {
  const Entry& sample = *program.find(FunctionKind::Sample, "predict");
  const auto out = session->run(sample, {}, {.sizes = {{"B", 6}, {"K", 2}}, .first_run = 5});
  REQUIRE_MESSAGE(out.has_value(), message_of(out));
  const std::span<const float> values = out->at(0).tensor.as<float>();
  CHECK(std::vector<float>(values.begin(), values.end()) ==
        std::vector<float>{5000, 5001, 5010, 5011, 5020, 5021, 5030, 5031, 6000, 6001, 6010, 6011});
}

TEST_CASE_FIXTURE(Fixture, "wrong inputs of an export are refused") {
  const auto run = [&](std::vector<NamedTensor> inputs) { return message_of(session->run(predict(), inputs)); };
  const auto one = [](NamedTensor tensor) {
    std::vector<NamedTensor> out;
    out.push_back(std::move(tensor));
    return out;
  };
  NamedTensor wrong_name = matrix(1, 1);
  wrong_name.name = "xx";
  std::vector<NamedTensor> twice = one(matrix(1, 1));
  twice.push_back(matrix(1, 1));
  NamedTensor doubles{"x", *HostTensor::zeros(DType::F64, {1, 1})};
  CHECK(contains(run({}), "export `predict`: input `x` is missing: f32[B<=4, K<=3]"));
  CHECK(contains(run(one(std::move(wrong_name))), "it has no input `xx` | did you mean `x`?"));
  CHECK(contains(run(std::move(twice)), "input `x` is given twice"));
  CHECK(contains(run(one(std::move(doubles))), "input `x` is f64[1, 1], expected f32[B<=4, K<=3]"));
  CHECK(contains(run(one({"x", *HostTensor::zeros(DType::F32, {1})})), "input `x` is f32[1], expected"));
  CHECK(contains(run(one({"x", *HostTensor::zeros(DType::F32, {0, 1})})), "axis 0 is 0"));
  CHECK(contains(run(one(matrix(2, 4))), "`K` is 4, its bound is 3"));
  CHECK(contains(message_of(session->run(*program.find(FunctionKind::Metric, "mean_y"), {})), "it reads a data set"));
  const NamedTensor x = matrix(2, 2);
  CHECK(contains(message_of(session->run(predict(), std::span(&x, 1), {.sizes = {{"B", 3}}})), "`B` is already 3"));
  CHECK(contains(message_of(session->run(predict(), std::span(&x, 1), {.sizes = {{"Q", 3}}})),
                 "no run-time dimension `Q`"));
}

TEST_CASE("a session refuses programs and arenas that do not fit") {
  CompiledProgram program = fake::program();
  const auto message = [&](const LoadedProgram& loaded, SessionOptions options = {}) {
    return message_of(Session::create(program, loaded, options));
  };
  LoadedProgram few = fake::loaded();
  few.entries.pop_back();
  CHECK(contains(message(few), "the number of functions differs"));
  few.entries.push_back(nullptr);
  CHECK(contains(message(few), "a function is missing"));
  alignas(64) std::byte arena[fake::kArenaBytes + 64];
  CHECK(contains(message(fake::loaded(), {.arena = {arena, 100}}), "the arena has 100 bytes, `line` needs 256"));
  CHECK(contains(message(fake::loaded(), {.arena = {arena + 1, fake::kArenaBytes}}), "not aligned to 64"));
  CHECK(message(fake::loaded(), {.arena = {arena, fake::kArenaBytes}}) == "ok");
  program.variables[0].offset = UINT64_MAX - 2;
  CHECK(contains(message(fake::loaded()), "variable `net.w` lies outside the arena"));
  program = fake::program();
  program.arena_bytes = uint64_t{1} << 45;
  CHECK(contains(message(fake::loaded()), "needs 32.0 TiB"));
}

TEST_CASE("a suggestion needs a near name") {
  const std::string_view names[] = {"loss", "accuracy"};
  CHECK(suggest("los", names) == "did you mean `loss`?");
  CHECK(suggest("acuracy", names) == "did you mean `accuracy`?");
  CHECK(suggest("zzz", names) == "there are loss, accuracy");
  CHECK(suggest("x", {}).empty());
  CHECK(edit_distance("ab", "ba") == 1);
}
