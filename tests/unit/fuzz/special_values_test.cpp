// NaN, infinities, zeros of both signs, subnormal and huge numbers through every elementwise op and reduction: code and
// reference answer with the same class of number and the same sign. And no instruction of ours permits LLVM to pretend
// that such numbers do not occur.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/run_passes.h"
#include "fuzz/compiled_graphs.h"
#include "fuzz/legs.h"
#include "fuzz/random_graph.h"
#include "ir/builder.h"
#include "ir/op.h"

using namespace smelt;
using namespace smelt::fuzz;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::array kSpecial = {kNaN, kInfinity, -kInfinity, 0.0,       -0.0,    1.0,      -1.0,  2.0,  -2.0, 0.5,
                                 -0.5, 3.0,       0x1p-140,   -0x1p-140, 0x1p120, -0x1p120, 1e-30, 88.0, -88.0};

enum class Class : uint8_t { NaN, Infinite, Zero, Finite };
Class class_of_number(double value) {
  if (std::isnan(value)) return Class::NaN;
  if (std::isinf(value)) return Class::Infinite;
  return value == 0 ? Class::Zero : Class::Finite;
}

/// Graph, arguments, and for messages what element i is computed from.
struct Matrix {
  std::string name;
  Graph graph;
  std::vector<RefTensor> arguments;
  OpKind op;
};

RefTensor tensor(const TensorType& type, std::vector<double> values) {
  std::vector<int64_t> sizes;
  for (const Extent& extent : type.shape) sizes.push_back(extent.bound);
  return {type, sizes, std::move(values)};
}

/// Every pair of special numbers; an op with one operand reads the first of each.
std::optional<Matrix> elementwise(const OpDef& def) {
  if (def.kind != Kind::Elementwise || def.traits.logical || def.attributes.size() > 0 || def.operands.size() > 2)
    return std::nullopt;
  constexpr auto n = static_cast<int64_t>(kSpecial.size());
  const TensorType type{DType::F32, {n * n}};
  Matrix matrix{std::string(def.name), {}, {}, op_kind(def)};
  Builder builder(matrix.graph);
  std::vector<NodeId> inputs;
  for (size_t k = 0; k < def.operands.size(); ++k) {
    inputs.push_back(builder.argument({std::string(def.operands[k]), ArgRole::Feed, -1, {}}, type));
    std::vector<double> values;
    for (const double a : kSpecial) {
      for (const double b : kSpecial) values.push_back(k == 0 ? a : b);
    }
    matrix.arguments.push_back(tensor(type, std::move(values)));
  }
  builder.result({"y", ResultRole::Value, -1, builder.make(matrix.op, inputs)});
  return matrix;
}

/// Rows of 1, a special number, and a second one.
std::optional<Matrix> reduction(const OpDef& def) {
  if (def.kind != Kind::Reduce) return std::nullopt;
  constexpr auto n = static_cast<int64_t>(kSpecial.size());
  const TensorType type{DType::F32, {n * n, 3}};
  Matrix matrix{std::string(def.name), {}, {}, op_kind(def)};
  Builder builder(matrix.graph);
  std::vector<double> values;
  for (const double a : kSpecial) {
    for (const double b : kSpecial) values.insert(values.end(), {a, b, a});
  }
  matrix.arguments.push_back(tensor(type, std::move(values)));
  const NodeId x = builder.argument({"x", ArgRole::Feed, -1, {}}, type);
  builder.result({"y", ResultRole::Value, -1, builder.make(matrix.op, {x}, {{"axes", std::vector<int64_t>{1}}})});
  return matrix;
}

/// Where the answers may differ: a number that rounds to a subnormal one or to zero, and one at the edge of overflow.
bool at_an_edge(double expected, double got) {
  constexpr double kTiny = 0x1p-125, kHuge = 0x1p127;
  return (std::fabs(expected) < kTiny && std::fabs(got) < kTiny) ||
         (std::fabs(expected) >= kHuge && std::fabs(got) >= kHuge);
}

}  // namespace

TEST_CASE("special numbers give the same class and sign in code and in the reference") {
  std::vector<Matrix> matrices;
  for (const OpDef& def : all_ops()) {
    if (auto matrix = elementwise(def)) matrices.push_back(*std::move(matrix));
    if (auto matrix = reduction(def)) matrices.push_back(*std::move(matrix));
  }
  CHECK(matrices.size() > 25);
  std::vector<Graph> graphs;
  for (const Matrix& matrix : matrices) graphs.push_back(matrix.graph);
  for (const std::string& cpu : levels_here()) {
    const Result<CompiledGraphs> compiled = CompiledGraphs::compile(graphs, kFull.code(cpu, 0));
    REQUIRE_MESSAGE(compiled.has_value(), compiled.error().message);
    for (size_t k = 0; k < matrices.size(); ++k) {
      const auto expected =
          evaluate(matrices[k].graph, matrices[k].arguments, {}, {.rounding = Rounding::ToDType, .adjust = {}});
      REQUIRE(expected.has_value());
      const RunOutcome outcome = compiled->run(k, matrices[k].arguments, {});
      REQUIRE_MESSAGE(!outcome.fault, outcome.fault.value_or(""));
      for (size_t i = 0; i < (*expected)[0].values.size(); ++i) {
        const bool no_quadrant = (matrices[k].op == OpKind::Sin || matrices[k].op == OpKind::Cos) &&
                                 std::fabs(kSpecial[i / kSpecial.size()]) > 1e15;
        const double want = no_quadrant ? kNaN : (*expected)[0].values[i], got = outcome.results[0].values[i];
        const bool same_sign = std::isnan(want) || want == 0 || std::signbit(want) == std::signbit(got);
        const bool same =
            (class_of_number(want) == class_of_number(got) && same_sign) || (same_sign && at_an_edge(want, got));
        CHECK_MESSAGE(same, fmt::format("{} {} of {} and {}: {} instead of {}", cpu, matrices[k].name,
                                        kSpecial[i / kSpecial.size()], kSpecial[i % kSpecial.size()], got, want));
      }
    }
  }
}

TEST_CASE("no instruction of ours lets LLVM assume that a number is ordinary") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const Result<Graph> graph = prepare(random_graph(seed).graph, kFull);
    REQUIRE(graph.has_value());
    LoopProgram program;
    const Result<Target> target = make_target("x86-64-v3");
    program.functions.push_back(place_function({isolate_results(*graph), {}}, {.target = *target}).loops);
    const auto text = emit_program(program, *target, CodeKind::LlvmIr, {});
    const std::string_view ir(text.data(), text.size());
    for (const std::string_view flag :
         {" nnan ", " ninf ", " nsz ", " arcp ", " contract ", " afn ", " reassoc ", " fast "}) {
      CHECK_MESSAGE(!(ir.find(flag) != std::string_view::npos), fmt::format("seed {}: flag{}", seed, flag));
    }
  }
}
