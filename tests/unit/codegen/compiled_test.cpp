#include <doctest/doctest.h>

#include <random>

#include "fuzz/compiled_graphs.h"
#include "ir/builder.h"
#include "ir/text_formula.h"
#include "tests/support/run_compiled.h"

using namespace smelt;

namespace {

TensorType f32(Shape shape) { return {DType::F32, std::move(shape)}; }

std::vector<RefTensor> random_arguments(const Graph& graph, std::span<const int64_t> extents) {
  std::mt19937 bits(1);
  std::vector<RefTensor> tensors;
  for (const Argument& argument : graph.arguments) {
    RefTensor tensor{graph.type(argument.node), actual_sizes(graph.type(argument.node).shape, extents), {}};
    for (int64_t i = 0; i < tensor.count(); ++i) {
      tensor.values.push_back(
          static_cast<double>(static_cast<float>(static_cast<double>(bits()) / 4294967296.0 - 0.5)));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void expect_equal(const Graph& graph, std::vector<int64_t> extents = {}, double tolerance = 2e-5) {
  const auto arguments = random_arguments(graph, extents);
  const auto expected = evaluate(graph, arguments, extents);
  REQUIRE(expected.has_value());
  for (const char* cpu : {"native", "x86-64-v3", "x86-64-v2"}) {
    for (const int threads : {1, 3}) {
      const auto got = test::run_compiled(graph, arguments, extents, {.cpu = cpu, .threads = threads});
      REQUIRE(got.has_value());
      for (size_t r = 0; r < got->size(); ++r) {
        double worst = 0;
        size_t at = 0;
        for (size_t i = 0; i < (*expected)[r].values.size(); ++i) {
          const double error =
              std::abs((*got)[r].values[i] - (*expected)[r].values[i]) / (1 + std::abs((*expected)[r].values[i]));
          if (!(error <= worst)) worst = error, at = i;
        }
        INFO(cpu, " threads ", threads, " result ", r, " element ", at, ": ", (*got)[r].values[at], " expected ",
             (*expected)[r].values[at], "\n", fuzz::loops_text(graph));
        CHECK(worst <= tolerance);
      }
    }
  }
}

NodeId argument(Builder& b, const char* name, TensorType type) {
  return b.argument({.name = name, .role = ArgRole::Feed}, std::move(type));
}

}  // namespace

TEST_CASE("a chain of 20,000 operations is planned: nothing follows it recursively to its end") {
  Graph graph;
  Builder b(graph);
  NodeId x = argument(b, "x", f32({8}));
  for (int i = 0; i < 10'000; ++i) x = b.add(b.make(OpKind::Tanh, {x}), b.like(x, 1));
  b.result({"y", ResultRole::Value, -1, x});
  CHECK(fuzz::loops_text(graph).size() > 20'000);
}

TEST_CASE("the size of a cache decides blocks and no bits") {
  const auto product = [](Shape a, Shape b, const char* formula) {
    Graph graph;
    Builder builder(graph);
    const NodeId x = argument(builder, "x", f32(std::move(a))), w = argument(builder, "w", f32(std::move(b)));
    builder.result({.name = "y", .node = builder.contract(x, w, formula_of(formula))});
    return graph;
  };
  // Rows in blocks, copied columns, a depth in blocks, rows along the depth.
  for (const Graph& graph : {product({100, 1500}, {1500, 200}, "[m,k] [k,n] -> [m,n]"),
                             product({48, 600}, {600, 1024}, "[m,k] [k,n] -> [m,n]"),
                             product({4, 14, 14, 64}, {3, 3, 64, 48}, "[n,i+u,j+v,c] [u,v,c,o] -> [n,i<12,j<12,o]"),
                             product({700, 90}, {700, 130}, "[k,m] [k,n] -> [m,n]")}) {
    const auto arguments = random_arguments(graph, {});
    std::optional<std::vector<double>> first;
    for (const int64_t kilobytes : {16, 128, 512, 2048}) {
      const auto compiled = fuzz::CompiledGraphs::compile({graph}, {.cache_bytes = kilobytes << 10});
      REQUIRE(compiled.has_value());
      const fuzz::RunOutcome outcome = compiled->run(0, arguments, {});
      REQUIRE(!outcome.fault.has_value());
      if (!first) first = outcome.results[0].values;
      CHECK(*first == outcome.results[0].values);
    }
  }
}

TEST_CASE("an elementwise chain with a masked tail") {
  Graph graph;
  Builder b(graph);
  const NodeId x = argument(b, "x", f32({5, 37}));
  b.result({.name = "y", .node = b.make(OpKind::Tanh, {b.mul(x, b.exp(x))})});
  expect_equal(graph);
}

TEST_CASE("products of all transposes and odd sizes") {
  for (const auto& [m, n, k] : {std::tuple{128, 400, 784}, {17, 33, 7}, {3, 5, 1}, {128, 10, 50}, {9, 97, 130}}) {
    for (const char* formula : {"[m,k] [k,n] -> [m,n]", "[k,m] [k,n] -> [m,n]", "[m,k] [n,k] -> [m,n]",
                                "[k,m] [n,k] -> [m,n]", "[m,k] [k,n] -> [n,m]"}) {
      Graph graph;
      Builder b(graph);
      const std::string text = formula;
      const NodeId x = argument(b, "a", f32(text.starts_with("[m") ? Shape{m, k} : Shape{k, m}));
      const NodeId y = argument(b, "b", f32(text.substr(6).starts_with("[k") ? Shape{k, n} : Shape{n, k}));
      b.result({.name = "c", .node = b.contract(x, y, formula_of(formula))});
      CAPTURE(formula);
      expect_equal(graph);
    }
  }
}

TEST_CASE(
    "products whose columns are copied: rows of b a power of two apart, several stretches and runs, run-time rows") {
  Graph graph;
  Builder b(graph);
  graph.symbols.push_back({"B", 600});
  const Extent batch(600, 0);
  const NodeId x = argument(b, "x", f32({batch, 133})), y = argument(b, "y", f32({batch, 133}));
  const NodeId v = argument(b, "v", f32({133, 1024})), w = argument(b, "w", f32({133, 1024}));
  const NodeId product = b.contract(x, v, formula_of("[m,k] [k,n] -> [m,n]"));
  b.result({.name = "product", .node = b.make(OpKind::Tanh, {product})});
  b.result({.name = "sum",
            .node = b.make(OpKind::Contract, {x, v, y, w}, {{"formula", formula_of("[m,k] [k,n] -> [m,n]")}})});
  b.result({.name = "gradient", .node = b.contract(x, product, formula_of("[b,k] [b,n] -> [k,n]"))});
  for (const int64_t rows : {0, 27, 600}) expect_equal(graph, {rows}, 1e-4);
}

TEST_CASE(
    "few rows: all of b passes by as it lies, lines of columns with ends and in pieces, odd and long depths, heads") {
  struct Row {
    Shape a, b;
    const char* formula;
  };
  const Row rows[] = {{{1, 50}, {50, 256}, "[m,k] [k,n] -> [m,n]"},
                      {{2, 67}, {67, 250}, "[m,k] [k,n] -> [m,n]"},      // ends within a vector
                      {{2, 50}, {50, 5000}, "[m,k] [k,n] -> [m,n]"},     // more than the sums on the stack
                      {{1, 4100}, {4100, 160}, "[m,k] [k,n] -> [m,n]"},  // more steps than a sum takes at once
                      {{Extent(2, 0), 50}, {50, 200}, "[m,k] [k,n] -> [m,n]"},
                      {{1, 50}, {50, 4, 36}, "[m,k] [k,h,n] -> [h,m,n]"},              // heads side by side
                      {{2, 5, 12}, {12, 5, 150}, "[m,t,k] [k,t,n] -> [m,n]"},          // two axes of the depth
                      {{2, 4, 30}, {4, 30, 140}, "[n,i-u+3,k] [u,k,c] -> [n,i<1,c]"},  // backwards
                      {{3, 1, 30}, {3, 30, 140}, "[h,m,k] [h,k,n] -> [h,m,n]"}};
  for (const Row& row : rows) {
    Graph graph;
    graph.symbols = {{"B", 2}};
    Builder b(graph);
    std::vector<NodeId> operands;
    for (int pair = 0; pair < 2; ++pair) {
      operands.push_back(argument(b, "a", f32(row.a)));
      operands.push_back(argument(b, "b", f32(row.b)));
    }
    const auto product = [&](std::vector<NodeId> of) {
      return b.make(OpKind::Contract, std::move(of), {{"formula", formula_of(row.formula)}});
    };
    b.result({.name = "one", .node = b.make(OpKind::Tanh, {product({operands[0], operands[1]})})});
    b.result({.name = "sum", .node = product(operands)});
    CAPTURE(row.formula);
    CHECK(fuzz::loops_text(graph).find("streamed tile") != std::string::npos);
    for (const int64_t count : {0, 1, 2}) expect_equal(graph, {count}, 1e-4);
  }
}

TEST_CASE("a depth of two axes, of which the outer one may have no positions") {
  Graph graph;
  Builder b(graph);
  graph.symbols.push_back({"T", 4});
  const NodeId x = argument(b, "x", f32({Extent(4, 0), 5, 8})), y = argument(b, "y", f32({5, Extent(4, 0), 12}));
  b.result({.name = "sum", .node = b.contract(x, y, formula_of("[t,k,i] [k,t,j] -> [i,j]"))});
  for (const int64_t turns : {0, 1, 4}) expect_equal(graph, {turns});
}

TEST_CASE(
    "filters are packed from their taps, which lie side by side: fewer and more than a vector, backwards, in phases") {
  struct Row {
    int64_t height, width;
    const char* formula;
  };
  const char *plain = "[n,i+u,j+v,c] [o,c,u,v] -> [n,i,j,o]",
             *backwards = "[n,i-u+4,j-v+6,c] [o,c,u,v] -> [n,i<3,j<3,o]",
             *phases = "[n,i+t,j+s,c] [o,c,2*t+r,2*s-q+1] -> [n,i<5,r<2,j<5,q<2,o] over t<2,s<2";
  for (const Row& row : {Row{3, 3, plain},
                         {4, 4, plain},
                         {5, 5, plain},
                         {1, 7, plain},
                         {7, 1, plain},
                         {2, 1, plain},
                         {3, 3, backwards},
                         {5, 7, backwards},
                         {4, 4, phases}}) {
    for (const DType dtype : {DType::F32, DType::F64}) {
      Graph graph;
      Builder b(graph);
      const NodeId x = argument(b, "x", {dtype, {2, 9, 9, 9}});
      const NodeId filters = argument(b, "filters", {dtype, {37, 9, row.height, row.width}});
      b.result({.name = "y", .node = b.contract(x, filters, formula_of(row.formula))});
      CAPTURE(row.formula);
      CHECK(fuzz::loops_text(graph).find("pack") != std::string::npos);
      expect_equal(graph);
    }
  }
}

TEST_CASE("a row of a long turned table is read where it lies") {
  Graph graph;
  Builder b(graph);
  graph.symbols.push_back({"B", 4});
  const NodeId text = argument(b, "text", f32({Extent(4, 0), 3, 500}));
  const NodeId at = argument(b, "at", {DType::I32, {}});
  const NodeId turned =
      b.reshape(b.transpose(b.reshape(text, {Extent(4, 0), 3, 1, 500}), {3, 2, 0, 1}), {500, Extent(4, 0), 3, 1});
  b.result({.name = "row", .node = b.make(OpKind::Tanh, {b.make(OpKind::Gather, {turned, at})})});
  CHECK(fuzz::loops_text(graph).find("transpose") == std::string::npos);
  for (const int64_t rows : {4, 1}) expect_equal(graph, {rows});
}

// Four, three or two vectors of columns pass over the rows together; the last size leaves columns over.
TEST_CASE("sums down the columns, of which several are summed together") {
  for (const int64_t columns : {512, 384, 192, 128, 200}) {
    CAPTURE(columns);
    Graph graph;
    graph.symbols = {{"B", 40}};
    Builder b(graph);
    const NodeId x = argument(b, "x", f32({Extent(40, 0), Extent(columns)}));
    const NodeId e = b.exp(x);
    b.result({.name = "sum", .node = b.reduce_sum(e, {0})});
    b.result({.name = "most", .node = b.reduce_max(x, {0})});
    for (const int64_t batch : {40, 33, 1}) expect_equal(graph, {batch});
  }
}

TEST_CASE("products of several pairs of operands add up") {
  struct Row {
    Shape a, b;
    const char* formula;
  };
  const Row rows[] = {
      {{17, 33}, {33, 61}, "[m,k] [k,n] -> [m,n]"},                           // b in place
      {{33, 17}, {61, 33}, "[k,m] [n,k] -> [m,n]"},                           // b packed
      {{400, 64}, {400, 10}, "[k,m] [k,n] -> [m,n]"},                         // narrow, exchanged sides
      {{12, 300}, {5, 300}, "[m,k] [n,k] -> [m,n]"},                          // narrow along the depth
      {{40, 30}, {30}, "[m,k] [k] -> [m]"},                                   // matrix times vector
      {{3, 7, 9, 4}, {2, 2, 4, 20}, "[n,i+u,j+v,c] [u,v,c,o] -> [n,i,j,o]"},  // windows, three axes of the depth
      {{Extent(40, 0), 30}, {30, 50}, "[b,k] [k,n] -> [b,n]"}};               // rows of a run-time number
  for (const Row& row : rows) {
    Graph graph;
    graph.symbols = {{"B", 40}};
    Builder b(graph);
    std::vector<NodeId> operands;
    for (int pair = 0; pair < 3; ++pair) {
      operands.push_back(argument(b, "a", f32(row.a)));
      operands.push_back(argument(b, "b", f32(row.b)));
    }
    const NodeId sum = b.make(OpKind::Contract, operands, {{"formula", formula_of(row.formula)}});
    b.result({.name = "sum", .node = sum});
    b.result({.name = "squared", .node = b.mul(sum, sum)});
    CAPTURE(row.formula);
    for (const int64_t batch : {40, 33, 2}) expect_equal(graph, {batch}, 4e-5);
  }
}

TEST_CASE("a softmax row kernel under a run-time batch") {
  Graph graph;
  graph.symbols = {{"B", 16}};
  Builder b(graph);
  const Shape shape{Extent(16, 0), Extent(10)};
  const NodeId x = argument(b, "x", f32(shape));
  const NodeId top = b.broadcast_back(b.reduce_max(x, {1}), shape, std::vector<int64_t>{1});
  const NodeId e = b.exp(b.sub(x, top));
  const NodeId sum = b.broadcast_back(b.reduce_sum(e, {1}), shape, std::vector<int64_t>{1});
  b.result({.name = "p", .node = b.div(e, sum)});
  b.result({.name = "columns", .node = b.reduce_sum(b.div(e, sum), {0})});
  for (const int64_t batch : {16, 13, 1, 0}) expect_equal(graph, {batch});
}

TEST_CASE("a dense layer with activation in the epilogue, run-time batch") {
  Graph graph;
  graph.symbols = {{"B", 40}};
  Builder b(graph);
  const NodeId x = argument(b, "x", f32({Extent(40, 0), Extent(30)}));
  const NodeId w = argument(b, "w", f32({30, 50}));
  const NodeId bias = argument(b, "b", f32({50}));
  const NodeId h = b.contract(x, w, formula_of("[b,i] [i,o] -> [b,o]"));
  const NodeId y = b.make(OpKind::Tanh, {b.add(h, b.broadcast(bias, b.type(h).shape, {1}))});
  const NodeId dw = b.contract(x, y, formula_of("[b,i] [b,o] -> [i,o]"));
  b.result({.name = "y", .node = y});
  b.result({.name = "dw", .node = b.mul(dw, dw)});
  for (const int64_t batch : {40, 37, 3}) expect_equal(graph, {batch});
}
