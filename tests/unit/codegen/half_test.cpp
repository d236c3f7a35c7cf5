// f16 and bf16 in compiled code: conversions of every pattern, ops that compute in f32 and round once, products of
// halves.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <random>

#include "compiler/plan/isolate_results.h"
#include "compiler/plan/lower_precision.h"
#include "compiler/run_passes.h"
#include "fuzz/compiled_graphs.h"
#include "fuzz/legs.h"
#include "fuzz/random_graph.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/text_formula.h"
#include "runtime/host_tensor.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

constexpr DType kHalves[] = {DType::F16, DType::BF16};
constexpr const char* kCpus[] = {"native", "x86-64-v3", "x86-64-v2"};

Graph primitives(Graph graph) {
  Result<Graph> result = run_graph_passes(std::move(graph));
  REQUIRE(result.has_value());
  return *std::move(result);
}

double half_value(DType half, uint16_t bits) {
  return static_cast<double>(half == DType::F16 ? half_to_float(bits) : bfloat16_to_float(bits));
}

RefTensor all_patterns(DType half) {
  RefTensor tensor{{half, {65536}}, {65536}, {}};
  for (uint32_t bits = 0; bits < 65536; ++bits) tensor.values.push_back(half_value(half, static_cast<uint16_t>(bits)));
  return tensor;
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

/// Compiled on every machine level, against the reference rounded to each node's dtype.
void check_against_reference(const Graph& graph, const std::vector<RefTensor>& arguments, double units,
                             const std::string& what) {
  const auto expected = evaluate(graph, arguments, {}, {.rounding = Rounding::ToDType});
  REQUIRE(expected.has_value());
  const Graph lowered = primitives(graph);
  for (const char* cpu : kCpus) {
    const auto got = test::run_compiled(lowered, arguments, {}, {.cpu = cpu});
    REQUIRE(got.has_value());
    const DType dtype = (*expected)[0].type.dtype;
    int wrong = 0;
    for (size_t i = 0; i < (*got)[0].values.size() && wrong < 5; ++i) {
      const double a = (*got)[0].values[i], b = (*expected)[0].values[i];
      const double unit =
          std::ldexp(1.0, std::max(std::ilogb(b), dtype == DType::F16 ? -14 : -126) - (dtype == DType::F16 ? 10 : 7));
      if (same(a, b) || (std::isfinite(a) && std::fabs(a - b) <= units * unit)) continue;
      ++wrong;
      FAIL_CHECK(fmt::format("{} on {}: element {} is {}, expected {}", what, cpu, i, a, b));
    }
  }
}

Graph one_op(OpKind op, DType half, size_t operands, Attributes attrs = {}) {
  Graph graph;
  graph.name = "f";
  Builder b(graph);
  std::vector<NodeId> inputs;
  for (size_t i = 0; i < operands; ++i) inputs.push_back(b.argument({fmt::format("x{}", i)}, {half, {65536}}));
  b.result({"y", ResultRole::Value, -1, b.make(op, inputs, std::move(attrs))});
  return graph;
}

Attributes to(DType dtype) { return {{"dtype", std::string(to_string(dtype))}}; }

}  // namespace

TEST_CASE("every half is cast to f32, f64, i32, bool and the other half as the reference does") {
  for (const DType half : kHalves) {
    for (const DType dtype : {DType::F32, DType::F64, DType::I32, DType::Bool, DType::F16, DType::BF16}) {
      if (dtype == half) continue;
      check_against_reference(one_op(OpKind::Cast, half, 1, to(dtype)), {all_patterns(half)}, 0,
                              fmt::format("{} to {}", to_string(half), to_string(dtype)));
    }
  }
}

TEST_CASE("f32, f64 and integers are rounded to the nearest half, once") {
  std::mt19937_64 bits(3);
  for (const DType from : {DType::F32, DType::F64, DType::I32, DType::I64, DType::U8}) {
    RefTensor x{{from, {65536}}, {65536}, {}};
    for (uint32_t i = 0; i < 65536; ++i) {
      const double near = half_value(i % 2 == 0 ? DType::F16 : DType::BF16, static_cast<uint16_t>(i)),
                   next = near * (1 + 0x1p-8);
      double value = i % 3 == 0   ? near
                     : i % 3 == 1 ? (near + next) / 2
                                  : near * (1 + static_cast<double>(bits() % 1024) * 0x1p-18);
      if (from == DType::F32) value = static_cast<double>(static_cast<float>(value));
      if (!is_float(from))
        value = static_cast<double>(from == DType::U8 ? bits() % 256
                                                      : bits() >> (from == DType::I32 ? 33 + i % 30 : 11 + i % 52));
      x.values.push_back(value);
    }
    for (const DType half : kHalves) {
      Graph graph;
      graph.name = "f";
      Builder b(graph);
      b.result({"y", ResultRole::Value, -1, b.cast(b.argument({"x"}, x.type), half)});
      check_against_reference(graph, {x}, 0, fmt::format("{} to {}", to_string(from), to_string(half)));
    }
  }
}

TEST_CASE("ops of one operand on every half are the correctly rounded ones to one unit") {
  for (const DType half : kHalves) {
    for (const OpKind op :
         {OpKind::Neg, OpKind::Abs, OpKind::Sign, OpKind::Floor, OpKind::Exp, OpKind::Expm1, OpKind::Log, OpKind::Log1p,
          OpKind::Sqrt, OpKind::Rsqrt, OpKind::Tanh, OpKind::Sigmoid, OpKind::Softplus, OpKind::Relu, OpKind::Square}) {
      check_against_reference(one_op(op, half, 1), {all_patterns(half)}, 1,
                              fmt::format("{} {}", op_def(op).name, to_string(half)));
    }
  }
}

TEST_CASE("ops of two operands on pairs of halves are rounded once") {
  std::mt19937 bits(5);
  for (const DType half : kHalves) {
    const RefTensor a = all_patterns(half);
    RefTensor b = a;
    for (double& value : b.values) value = half_value(half, static_cast<uint16_t>(bits()));
    for (const OpKind op : {OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Div}) {
      check_against_reference(one_op(op, half, 2), {a, b}, 0, fmt::format("{} {}", op_def(op).name, to_string(half)));
    }
  }
}

namespace {

RefTensor random_tensor(const TensorType& type, std::mt19937& bits) {
  RefTensor tensor{type, actual_sizes(type.shape, {}), {}};
  for (int64_t i = 0; i < tensor.count(); ++i) {
    tensor.values.push_back(
        static_cast<double>(bfloat16_to_float(float_to_bfloat16(static_cast<float>(bits()) * 0x1p-32F - 0.5F))));
  }
  return tensor;
}

}  // namespace

TEST_CASE("products read halves in every layout and sum in f32") {
  std::mt19937 bits(7);
  for (const DType half : kHalves) {
    for (const char* formula : {"[i,k] [k,j] -> [i,j]", "[k,i] [k,j] -> [i,j]", "[i,k] [j,k] -> [i,j]",
                                "[k,i] [j,k] -> [i,j]", "[b,i,k] [b,k,j] -> [b,i,j]"}) {
      const bool batched = formula[1] == 'b';
      for (const bool both : {true, false}) {
        Graph graph;
        graph.name = "f";
        Builder b(graph);
        const auto shape_of = [&](int operand) {
          Shape shape;
          const std::string text(formula);
          const size_t from = operand == 0 ? 0 : text.find(' ');
          for (size_t c = from; text[c] != ']'; ++c) {
            if (text[c] == 'b') shape.emplace_back(3);
            if (text[c] == 'i') shape.emplace_back(21);
            if (text[c] == 'j') shape.emplace_back(67);
            if (text[c] == 'k') shape.emplace_back(45);
          }
          return shape;
        };
        const NodeId x = b.argument({"x"}, {half, shape_of(0)});
        const NodeId y = b.argument({"y"}, {both ? half : DType::F32, shape_of(1)});
        b.result({"z", ResultRole::Value, -1,
                  b.contract(b.cast(x, DType::F32), b.cast(y, DType::F32), formula_of(formula))});
        const std::vector<RefTensor> arguments = {random_tensor(b.type(x), bits), random_tensor(b.type(y), bits)};
        const auto expected = evaluate(graph, arguments, {});
        REQUIRE(expected.has_value());
        const Graph lowered = primitives(graph);
        CHECK(fuzz::loops_text(lowered).find(": f32 = cast ") ==
              std::string::npos);  // the product reads the halves themselves
        for (const std::string& cpu : fuzz::levels_here()) {
          for (const int threads : {1, 3}) {
            const auto got = test::run_compiled(lowered, arguments, {}, {.cpu = cpu, .threads = threads});
            REQUIRE(got.has_value());
            double worst = 0;
            for (size_t i = 0; i < (*got)[0].values.size(); ++i)
              worst = std::max(worst, std::fabs((*got)[0].values[i] - (*expected)[0].values[i]));
            CHECK_MESSAGE(worst < 1e-5, fmt::format("{} of {}{} on {}: {}", formula, to_string(half),
                                                    batched ? " batched" : "", cpu, worst));
          }
        }
      }
    }
  }
}

TEST_CASE("pairs of bf16: even, odd and short depths, windows, run-time rows, and weights that packing rounds") {
  struct Row {
    Shape a, b;
    const char* formula;
    DType right;
    double tolerance;
  };
  // An f32 operand is rounded to 8 bits: 40 to 800 terms below 1/4, each off by at most 2^-9 of it, at random.
  const Row rows[] = {
      {{Extent(40, 0), 44}, {44, 67}, "[b,k] [k,j] -> [b,j]", DType::BF16, 1e-5},
      {{Extent(40, 0), 45}, {67, 45}, "[b,k] [j,k] -> [b,j]", DType::BF16, 1e-5},
      {{33, 2}, {2, 20}, "[b,k] [k,j] -> [b,j]", DType::BF16, 1e-5},
      {{33, 3}, {3, 20}, "[b,k] [k,j] -> [b,j]", DType::BF16, 1e-5},
      {{5, 9, 9, 7}, {3, 3, 7, 40}, "[n,i+u,j+v,c] [u,v,c,o] -> [n,i,j,o]", DType::BF16, 1e-5},
      {{4, 6, 6, 8}, {3, 3, 8, 40}, "[n,i+u,j+v,c] [u,v,c,o] -> [n,i,j,o]", DType::BF16, 1e-5},
      {{Extent(40, 0), 70}, {Extent(40, 0), 67}, "[b,i] [b,j] -> [i,j]", DType::BF16, 1e-5},  // both packed
      {{Extent(40, 0), 35, 34}, {35, Extent(40, 0), 67}, "[b,t,i] [t,b,j] -> [i,j]", DType::BF16, 1e-4},
      {{35, Extent(40, 0), 34}, {35, Extent(40, 0), 3, 40}, "[t,b,i] [t,b,g,j] -> [i,g,j]", DType::BF16, 1e-4},
      {{Extent(40, 0), 800}, {67, 800}, "[b,k] [j,k] -> [b,j]", DType::F32, 4e-2}};
  std::mt19937 bits(9);
  for (const Row& row : rows) {
    Graph graph;
    graph.name = "f";
    graph.symbols = {{"B", 40}};
    Builder b(graph);
    const NodeId x = b.argument({"x"}, {DType::BF16, row.a}), y = b.argument({"y"}, {row.right, row.b});
    const NodeId product = b.contract(b.cast(x, DType::F32), b.cast(y, DType::F32), formula_of(row.formula));
    b.result({"z", ResultRole::Value, -1, b.mul(product, b.like(product, 2))});
    const Graph lowered = primitives(graph);
    for (const int64_t batch : {40, 33, 1}) {
      const int64_t extents[] = {batch};
      std::vector<RefTensor> arguments;
      for (const NodeId operand : {x, y}) {
        RefTensor tensor{b.type(operand), actual_sizes(b.type(operand).shape, extents), {}};
        for (int64_t i = 0; i < tensor.count(); ++i) {
          const float value = static_cast<float>(bits()) * 0x1p-32F - 0.5F;
          tensor.values.push_back(static_cast<double>(
              tensor.type.dtype == DType::BF16 ? bfloat16_to_float(float_to_bfloat16(value)) : value));
        }
        arguments.push_back(std::move(tensor));
      }
      const auto expected = evaluate(graph, arguments, extents);
      const auto one = test::run_compiled(lowered, arguments, extents),
                 three = test::run_compiled(lowered, arguments, extents, {.threads = 3});
      REQUIRE((expected.has_value() && one.has_value() && three.has_value()));
      double worst = 0;
      for (size_t i = 0; i < (*one)[0].values.size(); ++i)
        worst = std::max(worst, std::fabs((*one)[0].values[i] - (*expected)[0].values[i]));
      CHECK_MESSAGE(worst < row.tolerance, fmt::format("{} with {} rows: {}", row.formula, batch, worst));
      CHECK((*one)[0].values == (*three)[0].values);
    }
  }
}

TEST_CASE("random graphs with stored values in bf16 are what the reference says, on any number of threads") {
  int compared = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const fuzz::RandomGraph random = fuzz::random_graph(seed, {.dtype = DType::F32, .num_ops = 25});
    const Graph graph = isolate_results(primitives(random.graph));
    const Graph lowered = lower_precision(graph, DType::BF16);
    const auto expected =
        evaluate(lowered, random.arguments, random.extents, {.rounding = Rounding::ToDType, .formula = Formula::Body});
    REQUIRE(expected.has_value());
    const auto one = test::run_compiled(lowered, random.arguments, random.extents);
    const auto three = test::run_compiled(lowered, random.arguments, random.extents, {.threads = 3});
    REQUIRE((one.has_value() && three.has_value()));
    size_t far = 0, all = 0;
    for (size_t r = 0; r < expected->size(); ++r) {
      for (size_t i = 0; i < (*expected)[r].values.size(); ++i, ++all) {
        const double want = (*expected)[r].values[i], got = (*one)[r].values[i];
        CHECK(same((*three)[r].values[i], got));
        // A value near the middle of two halves may go either way, and what reads it follows.
        far += same(got, want) || std::fabs(got - want) <= 0.02 * (1 + std::fabs(want)) ? 0 : 1;
      }
    }
    CHECK_MESSAGE(50 * far <= all, fmt::format("seed {}: {} of {} elements are far from the reference\n{}", seed, far,
                                               all, print(lowered)));
    compared += lowered.size() != graph.size();
  }
  CHECK(compared > 5);
}
