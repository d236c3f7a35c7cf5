// What the op table promises, for every op: shapes, text, and body against reference.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "ir/builder.h"
#include "ir/host_scalar.h"
#include "ir/op.h"
#include "ir/philox.h"
#include "ir/text.h"
#include "ir/verifier.h"
#include "tests/support/op_samples.h"

using namespace smelt;
using smelt::testing::Numbers;
using smelt::testing::op_samples;
using smelt::testing::OpSample;

namespace {

constexpr std::array kReals = {DType::F32, DType::F64};

Scalar host(DType dtype, double value) { return HostScalarBuilder::value(dtype, value); }

/// |got - want| within `tolerance` of the larger of |want| and `scale`; equal NaNs and infinities pass.
bool is_close(double got, double want, double tolerance, double scale = 1) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(want)) return got == want;
  return std::fabs(got - want) <= tolerance * std::max(std::fabs(want), scale);
}

double tolerance(DType dtype) { return dtype == DType::F32 ? 2e-6 : 1e-13; }

}  // namespace

TEST_CASE("every op but argument and those that are rewritten has samples, and they are well formed") {
  std::set<OpKind> seen;
  for (const OpSample& sample : op_samples(DType::F32)) {
    INFO(sample.name);
    seen.insert(sample.op);
    const std::vector<std::string> violations = verify(sample.graph);
    CHECK_MESSAGE(violations.empty(), fmt::format("{}", fmt::join(violations, "\n")));
  }
  const auto num_meta = std::ranges::count(all_ops(), Kind::Meta, &OpDef::kind);
  constexpr size_t kWithBodies = 2;  // a scan and its parts
  CHECK(seen.size() == all_ops().size() - 1 - kWithBodies - static_cast<size_t>(num_meta));
}

TEST_CASE("the evaluator's result has the inferred shape and dtype") {
  for (const DType dtype : kReals) {
    for (const OpSample& sample : op_samples(dtype)) {
      INFO(sample.name);
      const auto results = evaluate(sample.graph, sample.arguments, sample.extents);
      REQUIRE(results.has_value());
      const TensorType& type = sample.graph.type(sample.graph.results[0].node);
      const RefTensor& result = results->at(0);
      CHECK(result.type == type);
      CHECK(result.sizes == actual_sizes(type.shape, sample.extents));
      CHECK(result.count() == static_cast<int64_t>(result.values.size()));
      if (!is_float(type.dtype)) {
        for (const double value : result.values) CHECK(value == std::trunc(value));
      }
    }
  }
}

TEST_CASE("print and parse are inverse on every op") {
  for (const OpSample& sample : op_samples(DType::F64)) {
    const std::string text = print(sample.graph);
    INFO(text);
    const Result<Graph> parsed = parse_graph(text);
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
    CHECK(print(*parsed) == text);
    CHECK(parsed->symbols == sample.graph.symbols);
    REQUIRE(parsed->size() == sample.graph.size());
    for (uint32_t i = 0; i < parsed->size(); ++i) {
      const Node &a = parsed->nodes[i], &b = sample.graph.nodes[i];
      CHECK(a.op == b.op);
      CHECK(a.inputs == b.inputs);
      CHECK(a.attrs == b.attrs);
      CHECK(a.type == b.type);
    }
  }
}

TEST_CASE("bodies of elementwise and reduce ops agree with their reference") {
  Numbers numbers(7);
  HostScalarBuilder builder;
  for (const OpDef& op : all_ops()) {
    const bool folds = op.kind == Kind::Reduce;
    if (op.kind != Kind::Elementwise && !folds) continue;
    if (op_kind(op) == OpKind::Cast) continue;  // has its own case
    INFO(op.name);
    for (const DType dtype : kReals) {
      for (int trial = 0; trial < 500; ++trial) {
        std::vector<double> values;
        std::vector<Scalar> scalars;
        const size_t count = folds ? 2 : op.operands.size();
        for (size_t i = 0; i < count; ++i) {
          const bool is_bool = op.traits.logical || (op_kind(op) == OpKind::Select && i == 0);
          double value = numbers.uniform(op.samples.low, op.samples.high);
          if (trial % 5 == 0 && i == 1 && !is_bool) value = values[0];  // ties
          if (is_bool) value = static_cast<double>(numbers.integer(0, 1));
          scalars.push_back(host(is_bool ? DType::Bool : dtype, value));
          values.push_back(HostScalarBuilder::to_double(scalars.back()));
        }
        const double got = HostScalarBuilder::to_double(op.body(builder, scalars, {}));
        const double want = op.reference(values);
        CHECK_MESSAGE(is_close(got, want, tolerance(dtype)),
                      fmt::format("{}: {} {} gives {}, reference {}", op.name, to_string(dtype), fmt::join(values, " "),
                                  got, want));
      }
    }
  }
}

TEST_CASE("special values: body and reference agree on NaN, infinities and zeros") {
  HostScalarBuilder builder;
  const std::array<double, 9> special = {0.0, -0.0, 1.0, -1.0, 2.0, -2.5, INFINITY, -INFINITY, NAN};
  for (const OpDef& op : all_ops()) {
    if (op.kind != Kind::Elementwise || op.traits.logical || op.operands.size() > 2) continue;
    if (op_kind(op) == OpKind::Cast || op_kind(op) == OpKind::Sin || op_kind(op) == OpKind::Cos) continue;
    for (const DType dtype : kReals) {
      for (const double a : special) {
        for (const double b : special) {
          const std::vector<double> values = op.operands.size() == 1 ? std::vector{a} : std::vector{a, b};
          std::vector<Scalar> scalars;
          for (const double value : values) scalars.push_back(host(dtype, value));
          const double got = HostScalarBuilder::to_double(op.body(builder, scalars, {}));
          const double want = op.reference(values);
          CHECK_MESSAGE(is_close(got, want, tolerance(dtype), 0),
                        fmt::format("{}({}) = {}, reference {}", op.name, fmt::join(values, ", "), got, want));
        }
      }
    }
  }
}

TEST_CASE("cast truncates, saturates and turns NaN into 0") {
  HostScalarBuilder builder;
  const auto cast = [&](DType from, double value, DType to) {
    const std::array<Scalar, 1> operand = {host(from, value)};
    const Attributes attrs = {{"dtype", std::string(to_string(to))}};
    return HostScalarBuilder::to_double(op_def(OpKind::Cast).body(builder, operand, attrs));
  };
  CHECK(cast(DType::F32, -1.9, DType::I32) == -1);
  CHECK(cast(DType::F32, 1e30, DType::I32) == 2147483647.0);
  CHECK(cast(DType::F64, -1e30, DType::I8) == -128);
  CHECK(cast(DType::F64, 300, DType::U8) == 255);
  CHECK(cast(DType::F32, NAN, DType::I64) == 0);
  CHECK(cast(DType::F32, 0.5, DType::Bool) == 1);
  CHECK(cast(DType::I32, 3, DType::Bool) == 1);
  CHECK(cast(DType::Bool, 1, DType::F32) == 1);
  CHECK(cast(DType::I32, 300, DType::U8) == 44);  // integer to integer wraps
}

TEST_CASE("softmax and its relatives of numbers far apart are finite") {
  const auto values_of = [](const char* op, const char* type) {
    const Result<Graph> graph = parse_graph(fmt::format(
        "func @f(%x: feed f32[3]) {{\n  %1 = {} %x {{axes = [0]}} : {}\n  return %1 as value \"y\"\n}}", op, type));
    REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
    const RefTensor x{graph->type(graph->arguments[0].node), {3}, {1000, 0, -1000}};
    return evaluate(*graph, std::span(&x, 1), {}).value()[0].values;
  };
  CHECK(values_of("softmax", "f32[3]") == std::vector<double>{1, 0, 0});
  CHECK(values_of("log_softmax", "f32[3]") == std::vector<double>{0, -1000, -2000});
  CHECK(values_of("logsumexp", "f32") == std::vector<double>{1000});
}

TEST_CASE("integer division never traps: x / 0 is 0, min / -1 wraps") {
  HostScalarBuilder builder;
  const auto divide = [&](DType dtype, int64_t a, int64_t b) {
    const std::array<Scalar, 2> operands = {builder.integer(dtype, a), builder.integer(dtype, b)};
    return op_def(OpKind::Div).body(builder, operands, {}).host_integer;
  };
  CHECK(divide(DType::I32, 7, 0) == 0);
  CHECK(divide(DType::I32, -7, 2) == -3);
  CHECK(divide(DType::I32, INT32_MIN, -1) == INT32_MIN);
  CHECK(divide(DType::I64, INT64_MIN, -1) == INT64_MIN);
  CHECK(divide(DType::U8, 255, 255) == 1);
}

TEST_CASE("random bodies agree with their reference, element by element") {
  HostScalarBuilder builder;
  for (const OpSample& sample : op_samples(DType::F64)) {
    const OpDef& def = op_def(sample.op);
    if (def.kind != Kind::Random) continue;
    for (const DType dtype : kReals) {
      INFO(sample.name);
      const auto results = evaluate(sample.graph, sample.arguments, sample.extents);
      REQUIRE(results.has_value());
      Attributes attrs = sample.graph[sample.graph.results[0].node].attrs;
      const auto seed = static_cast<uint64_t>(sample.arguments[0].values[0]);
      const auto run = static_cast<uint32_t>(sample.arguments[1].values[0]);
      TensorType type = attrs.type("type");
      type.dtype = dtype;
      attrs.set("type", type);
      // Only leading axes are short of their bound, so the first elements by bounds are those of the result.
      for (uint32_t e = 0; e < results->at(0).values.size(); ++e) {
        const auto words = philox(seed, {e / 4, static_cast<uint32_t>(attrs.integer("loop")), run,
                                         static_cast<uint32_t>(attrs.integer("site"))});
        const auto word = [&](size_t k) { return builder.integer(DType::I32, static_cast<int32_t>(words[k])); };
        const size_t pair = e % 4 / 2 * 2;
        const std::array<Scalar, 3> operands = {word(pair), word(pair + 1), host(DType::Bool, e % 2)};
        const double got = HostScalarBuilder::to_double(def.body(builder, operands, attrs));
        CHECK(is_close(got, results->at(0).values[e], tolerance(dtype)));
      }
    }
  }
}

TEST_CASE("draws have the right moments and stay inside the open interval") {
  for (const OpKind op : {OpKind::RandomUniform, OpKind::RandomNormal}) {
    Graph graph;
    Builder builder(graph);
    const NodeId seed = builder.constant(5, {DType::I64, {}}), run = builder.constant(3, {DType::I64, {}});
    const TensorType type{DType::F32, {100'000}};
    const NodeId draw = builder.make(op, {seed, run}, {{"site", int64_t{77}}, {"loop", int64_t{0}}, {"type", type}});
    builder.result({"y", ResultRole::Value, -1, draw});
    const auto results = evaluate(graph, {}, {});
    REQUIRE(results.has_value());
    double sum = 0, squares = 0;
    for (const double value : results->at(0).values) {
      sum += value;
      squares += value * value;
      if (op == OpKind::RandomUniform) CHECK((value > 0 && value < 1 && static_cast<float>(value) == value));
    }
    const double mean = sum / 1e5, variance = squares / 1e5 - mean * mean;
    CHECK(std::fabs(mean - (op == OpKind::RandomUniform ? 0.5 : 0.0)) < 0.015);
    CHECK(std::fabs(variance - (op == OpKind::RandomUniform ? 1.0 / 12 : 1.0)) < 0.02);
  }
}

TEST_CASE("a row's noise does not depend on the actual size of the batch") {
  const Result<Graph> graph = parse_graph(R"(dims B<=9
func @f(%seed: seed i64, %run: run i64) {
  %2 = random_normal %seed, %run {site = 5, loop = 0} : f64[B<=9, 3]
  return %2 as value "y"
})");
  REQUIRE_MESSAGE(graph.has_value(), graph.error().message);
  const RefTensor seed{{DType::I64, {}}, {}, {42}}, run{{DType::I64, {}}, {}, {1}};
  const std::vector<RefTensor> arguments = {seed, run};
  const std::array<int64_t, 1> few = {4}, all = {9};
  const auto some = evaluate(*graph, arguments, few), full = evaluate(*graph, arguments, all);
  for (size_t i = 0; i < 12; ++i) CHECK(some->at(0).values[i] == full->at(0).values[i]);
}

TEST_CASE("an index out of range is an error that names it") {
  const Result<Graph> graph = parse_graph(R"(func @f(%t: feed f32[3, 2], %i: feed i32[2]) {
  %2 = gather %t, %i : f32[2, 2]
  return %2 as value "y"
})");
  REQUIRE(graph.has_value());
  Numbers numbers(3);
  const RefTensor table = numbers.tensor(graph->type(graph->arguments[0].node), {});
  for (const double bad : {3.0, -1.0}) {
    RefTensor index = numbers.tensor(graph->type(graph->arguments[1].node), {}, 0, 2);
    index.values[1] = bad;
    const std::vector<RefTensor> arguments = {table, index};
    const auto result = evaluate(*graph, arguments, {});
    REQUIRE(!result.has_value());
    CHECK(result.error().kind == ErrorKind::RunTime);
    CHECK(result.error().message == fmt::format("`gather` has index {}, but there are 3 rows", bad));
  }
}
