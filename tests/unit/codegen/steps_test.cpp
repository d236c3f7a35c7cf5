// Training steps as compiled code: what is written over what is still read, a loss that is not finite, run counters,
// and rows that the data asks for and the table does not have.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/run_passes.h"
#include "ir/evaluator.h"
#include "ir/text.h"
#include "runtime/loader.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

constexpr int64_t kRuns = sizeof(smelt_arena), kVariables = sizeof(smelt_arena) + 64;
constexpr int64_t kN = 5;

// Each matrix is updated by a product with the other one's old value.
constexpr std::string_view kStep =
    R"(func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {
  %3 = contract %v, %w {formula = [i,k] [k,j] -> [i,j]} : f32[5, 5]
  %4 = contract %w, %v {formula = [i,k] [k,j] -> [i,j]} : f32[5, 5]
  %5 = add %3, %x : f32[5, 5]
  %6 = transpose %v {permutation = [1, 0]} : f32[5, 5]
  %7 = sub %6, %4 : f32[5, 5]
  %8 = reduce_sum %x {axes = [0, 1]} : f32
  %9 = log %8 : f32
  return %9 as loss "loss", %5 as variable "v" #0, %7 as variable "w" #1
})";

// Loss and updates read one stored value, so that an update would fit into its kernel, before the loss is known.
constexpr std::string_view kShared =
    R"(func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {
  %3 = exp %x : f32[5, 5]
  %4 = reduce_sum %3 {axes = [0, 1]} : f32
  %5 = constant {value = 30} : f32
  %6 = sub %4, %5 : f32
  %7 = log %6 : f32
  %8 = sub %v, %3 : f32[5, 5]
  %9 = add %w, %3 : f32[5, 5]
  return %7 as loss "loss", %8 as variable "v" #0, %9 as variable "w" #1
})";

// Each new value reads the other's old one through a difference that nothing stores: one has to be copied in the end.
constexpr std::string_view kMutual =
    R"(func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {
  %3 = sub %v, %w : f32[5, 5]
  %4 = mul %x, %3 : f32[5, 5]
  %5 = sub %v, %4 : f32[5, 5]
  %6 = add %w, %4 : f32[5, 5]
  %7 = reduce_sum %x {axes = [0, 1]} : f32
  return %7 as loss "loss", %5 as variable "v" #0, %6 as variable "w" #1
})";

// New values that are made of other elements of their own old ones.
constexpr std::string_view kOwn =
    R"(func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {
  %3 = contract %v, %x {formula = [i,k] [k,j] -> [i,j]} : f32[5, 5]
  %4 = transpose %w {permutation = [1, 0]} : f32[5, 5]
  %5 = reduce_sum %x {axes = [0, 1]} : f32
  %6 = sub %4, %x : f32[5, 5]
  return %5 as loss "loss", %3 as variable "v" #0, %6 as variable "w" #1
})";

// Rows are added up of an old value that nothing stores, in a kernel behind that of the other variable's update.
constexpr std::string_view kScattered =
    R"(func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {
  %3 = index {axis = 0} : i32[5]
  %4 = mul %v, %x : f32[5, 5]
  %5 = scatter_add %3, %4 : f32[5, 5]
  %6 = reduce_sum %x {axes = [0, 1]} : f32
  %7 = sub %w, %x : f32[5, 5]
  %8 = add %v, %x : f32[5, 5]
  return %6 as loss "loss", %8 as variable "v" #0, %7 as variable "w" #1, %5 as value "rows"
})";

// Rows go into the old value that they are made of; two of them have one number.
constexpr std::string_view kPut =
    R"(func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {
  %3 = index {axis = 0} : i32[3]
  %4 = constant {value = 2} : i32[3]
  %5 = mul %3, %3 : i32[3]
  %6 = sub %4, %5 : i32[3]
  %7 = abs %6 : i32[3]
  %8 = gather %v, %7 : f32[3, 5]
  %9 = gather %x, %7 : f32[3, 5]
  %10 = sub %8, %9 : f32[3, 5]
  %11 = put_rows %7, %10, %v : f32[5, 5]
  %12 = add %w, %x : f32[5, 5]
  %13 = put_rows %7, %9, %12 : f32[5, 5]
  %14 = reduce_sum %x {axes = [0, 1]} : f32
  return %14 as loss "loss", %11 as variable "v" #0, %13 as variable "w" #1
})";

/// A chain of 200 values, each with a kernel of its own when nothing is fused: its driver has parts.
std::string long_step() {
  std::string text = "func @step(%v: variable f32[5, 5] #0, %w: variable f32[5, 5] #1, %x: feed f32[5, 5]) {\n";
  text += "  %3 = reduce_sum %x {axes = [0, 1]} : f32\n  %4 = log %3 : f32\n  %5 = add %v, %x : f32[5, 5]\n";
  for (int i = 6; i < 206; ++i)
    text += fmt::format("  %{} = {} %{} : f32[5, 5]\n", i, i % 2 == 0 ? "tanh" : "neg", i - 1);
  return text + "  return %4 as loss \"loss\", %205 as variable \"v\" #0, %5 as variable \"w\" #1\n}";
}

/// A step with two variables of 25 floats and one input.
class Step {
 public:
  explicit Step(std::string_view text, Fusion fusion = Fusion::Full) {
    Result<Graph> graph = parse_graph(text);
    REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
    graph_ = isolate_results(*std::move(graph));
    const Target target = *make_target("native");
    const PassContext context{.fusion = fusion, .lower = {.begin = kVariables + 256}, .target = target};
    LoopFunction function = place_function({graph_, {}}, context).loops;
    function.name = "step";
    function.runs_offset = kRuns;
    function.advances = true;
    for (LoopBuffer& buffer : function.buffers) {
      if (buffer.storage == Storage::Variable) buffer.offset = kVariables + buffer.ref * 128;
    }
    LoopProgram program;
    bytes_ = static_cast<size_t>(function.temporaries.end);
    program.functions.push_back(std::move(function));
    object_ = std::make_unique<LoadedObject>(*LoadedObject::load(emit_program(program, target, CodeKind::Object)));
    arena_.reset(std::aligned_alloc(64, (bytes_ + 127) / 64 * 64));
    std::memset(arena_.get(), 0, bytes_);
  }

  float* variable(int64_t k) {
    return reinterpret_cast<float*>(static_cast<std::byte*>(arena_.get()) + kVariables + k * 128);
  }
  int64_t runs() const {
    return *reinterpret_cast<const int64_t*>(static_cast<const std::byte*>(arena_.get()) + kRuns);
  }
  int32_t call(const std::vector<float>& x) {
    const void* inputs[] = {x.data()};
    void* outputs[] = {&loss_, value_.data()};
    const smelt_call call{arena_.get(), inputs, outputs, nullptr};
    return object_->find("step")(&call);
  }
  const Graph& graph() const { return graph_; }
  const std::vector<float>& value() const { return value_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  Graph graph_;
  size_t bytes_ = 0;
  std::unique_ptr<LoadedObject> object_;
  std::unique_ptr<void, Free> arena_;
  float loss_ = 0;
  std::vector<float> value_ = std::vector<float>(kN * kN);
};

void fill(Step& step) {
  for (int64_t i = 0; i < kN * kN; ++i) {
    step.variable(0)[i] = static_cast<float>(i % 7) - 3;
    step.variable(1)[i] = static_cast<float>(i % 5) / 2;
  }
}

RefTensor matrix(const float* values) { return {{DType::F32, {kN, kN}}, {kN, kN}, {values, values + kN * kN}}; }

}  // namespace

TEST_CASE("each new value is computed from old ones, whatever order they are written in") {
  for (const std::string_view text : {kStep, kMutual, kOwn, kScattered, kPut}) {
    for (const Fusion fusion : {Fusion::Full, Fusion::None}) {
      Step step(text, fusion);
      fill(step);
      const std::vector<float> x(kN * kN, 0.5F);
      const std::vector<RefTensor> arguments = {matrix(step.variable(0)), matrix(step.variable(1)), matrix(x.data())};
      const auto expected = evaluate(step.graph(), arguments, {});
      REQUIRE(expected.has_value());
      REQUIRE(step.call(x) == SMELT_CALL_OK);
      CHECK(matrix(step.variable(0)).values == (*expected)[1].values);
      CHECK(matrix(step.variable(1)).values == (*expected)[2].values);
      if (expected->size() > 3) CHECK(matrix(step.value().data()).values == (*expected)[3].values);
    }
  }
}

TEST_CASE("a step counts its run, and one without a finite loss does nothing") {
  const std::string many = long_step();
  for (const std::string_view text : {kStep, kShared, std::string_view(many)}) {
    for (const Fusion fusion : {Fusion::Full, Fusion::None}) {
      Step step(text, fusion);
      fill(step);
      const RefTensor v = matrix(step.variable(0)), w = matrix(step.variable(1));
      CHECK(step.call(std::vector<float>(kN * kN, -1.0F)) ==
            SMELT_CALL_NONFINITE);  // the logarithm of a negative number
      CHECK(step.runs() == 0);
      CHECK(matrix(step.variable(0)).values == v.values);
      CHECK(matrix(step.variable(1)).values == w.values);
      CHECK(step.call(std::vector<float>(kN * kN, 1.0F)) == SMELT_CALL_OK);
      CHECK(step.runs() == 1);
    }
  }
}

TEST_CASE("a step of many kernels computes what a short one would") {
  Step step(long_step(), Fusion::None), fused(long_step());
  fill(step);
  fill(fused);
  const std::vector<float> x(kN * kN, 0.5F);
  REQUIRE(step.call(x) == SMELT_CALL_OK);
  REQUIRE(fused.call(x) == SMELT_CALL_OK);
  CHECK(matrix(step.variable(0)).values == matrix(fused.variable(0)).values);
  CHECK(matrix(step.variable(1)).values == matrix(fused.variable(1)).values);
}

TEST_CASE("a row before the first one or behind the last one is the first or the last") {
  const Result<Graph> graph = parse_graph(
      "func @f(%t: feed f32[4, 3], %i: feed i32[4]) {\n  %2 = gather %t, %i : f32[4, 3]\n  return %2 as value "
      "\"y\"\n}");
  REQUIRE(graph.has_value());
  std::vector<RefTensor> arguments(2);
  arguments[0] = {graph->type(graph->arguments[0].node), {4, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
  arguments[1] = {graph->type(graph->arguments[1].node), {4}, {-1, 2, 4, -1000}};
  const auto results = test::run_compiled(*graph, arguments, {});
  REQUIRE(results.has_value());
  CHECK((*results)[0].values == std::vector<double>{0, 1, 2, 6, 7, 8, 9, 10, 11, 0, 1, 2});
}
