// What the builder says about wrong operands: one table, at least one line an op.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/builder.h"
#include "ir/evaluator.h"
#include "ir/op.h"
#include "ir/support/check.h"
#include "ir/text_formula.h"

using namespace smelt;

namespace {

struct Wrong {
  OpKind op;
  std::vector<TensorType> operands;
  Attributes attrs;
  std::string_view message;
};

const std::vector<DimSymbol> kSymbols = {{"B", 8}, {"T", 4}};
const Extent kB(8, 0), kT(4, 1);

TensorType f32(Shape shape = {}) { return {DType::F32, std::move(shape)}; }
TensorType i32(Shape shape = {}) { return {DType::I32, std::move(shape)}; }
TensorType boolean(Shape shape = {}) { return {DType::Bool, std::move(shape)}; }

Attributes ints(std::string_view name, std::vector<int64_t> values) { return {{name, std::move(values)}}; }
Attributes formula(std::string_view text) { return {{"formula", formula_of(text)}}; }
Attributes formula_outside(std::string_view text) { return {{"formula", formula_of(text)}, {"outside", 0.0}}; }

std::string message_of(const Wrong& wrong) {
  Graph graph;
  graph.symbols = kSymbols;
  Builder builder(graph);
  std::vector<NodeId> inputs;
  for (const TensorType& type : wrong.operands) inputs.push_back(builder.argument({}, type));
  const Result<NodeId> node = builder.push(wrong.op, std::move(inputs), wrong.attrs);
  return node ? fmt::format("`{}` took it", op_def(wrong.op).name) : node.error().message;
}

std::vector<Wrong> table() {
  using enum OpKind;
  const TensorType i64{DType::I64, {}};
  const auto draw = [](TensorType type) {
    return Attributes{{"site", int64_t{1}}, {"loop", int64_t{0}}, {"type", std::move(type)}};
  };
  std::vector<Wrong> cases = {
      {Index, {}, {{"axis", int64_t{0}}, {"type", f32({3})}}, "`index` is i32 or i64, not `f32[3]`"},
      {Index, {}, {{"axis", int64_t{1}}, {"type", i32({3})}}, "`index` has axis 1, but `i32[3]` has 1 axes"},
      {Extent,
       {},
       {{"symbol", int64_t{0}}, {"bound", int64_t{8}}, {"type", i32({3})}},
       "`extent` is a scalar number, not `i32[3]`"},
      {Extent,
       {},
       {{"symbol", int64_t{-1}}, {"bound", int64_t{8}}, {"type", i32()}},
       "`extent` has symbol -1 and bound 8"},
      {Add, {f32({2, 3}), f32({3, 2})}, {}, "`add` needs operands of one type, got `f32[2, 3]` and `f32[3, 2]`"},
      {Add, {f32({kB, 3}), f32({8, 3})}, {}, "`add` needs operands of one type, got `f32[B<=8, 3]` and `f32[8, 3]`"},
      {Select, {f32(), f32(), f32()}, {}, "`select` needs a bool condition, got `f32`"},
      {Select, {boolean(), f32(), i32()}, {}, "`select` needs branches of one type, got `f32` and `i32`"},
      {Select, {boolean({2}), f32(), f32()}, {}, "`select` has condition `bool[2]` for branches `f32`"},
      {Cast, {f32()}, {{"dtype", std::string("f31")}}, "`cast` knows no dtype `f31`"},
      {Contract,
       {f32({2, 3}), f32({4, 5})},
       formula("[i,k] [k,j] -> [i,j]"),
       "`contract`: index `k` of `[i,k] [k,j] -> [i,j]` has two extents: got `f32[2, 3]` and `f32[4, 5]`"},
      {Contract,
       {f32({2, 3}), f32({3})},
       formula("[i,k] [k,j] -> [i,j]"),
       "`contract`: operand 1 has 1 axes, and `[i,k] [k,j] -> [i,j]` reads 2: got `f32[2, 3]` and `f32[3]`"},
      {Contract,
       {f32({2}), i32({2})},
       formula("[i] [i] -> [i]"),
       "`contract` needs operands of one dtype, got `f32[2]` and `i32[2]`"},
      {Contract,
       {f32({2}), f32({2})},
       formula("[k] [k] -> [j]"),
       "`contract`: no operand of `[k] [k] -> [i]` has the result's index `i`: got `f32[2]` and `f32[2]`"},
      {Contract,
       {f32({2, 3}), f32({2})},
       formula("[i,k] [i] -> [i]"),
       "`contract`: index `k` of `[i,k] [i] -> [i]` is in one operand only and not in the result: got `f32[2, 3]` and "
       "`f32[2]`"},
      {Contract,
       {f32({4}), f32({6})},
       formula("[i+u] [u] -> [i]"),
       "`contract`: window `i+k` of `[i+k] [k] -> [i]` does not fit into 4: got `f32[4]` and `f32[6]`"},
      {Contract,
       {f32({4}), f32({2})},
       formula("[i-u] [u] -> [i<3]"),
       "`contract`: `i-k` of `[i-k] [k] -> [i<3]` reads -1 to 2 of 4: got `f32[4]` and `f32[2]`"},
      {Contract,
       {f32({kB}), f32({2})},
       formula("[i+u] [u] -> [i]"),
       "`contract`: nothing says the extent of index `i` of `[i+k] [k] -> [i]`: got `f32[B<=8]` and `f32[2]`"},
      {Contract,
       {f32({kB}), f32({2})},
       formula("[i+u] [u] -> [i<3]"),
       "`contract`: `i+k` of `[i+k] [k] -> [i<3]` runs over a run-time extent, which only a whole axis may: got "
       "`f32[B<=8]` and `f32[2]`"},
      {Scan,
       {f32({3})},
       {{"reverse", int64_t{0}}, {"by_position", int64_t{0}}, {"until", int64_t{-1}}, {"type", f32({3})}},
       "`scan` has the type of its steps, `i32[T]`, not `f32[3]`"},
      {Part, {f32({3})}, {{"result", int64_t{0}}}, "`part` lacks attribute `type`"},
      {Contract, {f32({2}), f32({2})}, formula("[i] -> [i]"), "`contract` has a formula of 1 operands: `[i] -> [i]`"},
      {Read, {f32({4})}, formula_outside("[k] -> []"), "`read` sums nothing, but `[k] -> []` does"},
      {Read,
       {f32({4})},
       formula_outside("[2*i] -> [i<3]"),
       "`read`: `2*i` of `[2*i] -> [i<3]` reads 0 to 4 of 4: got `f32[4]`"},
      {Read,
       {f32({4})},
       formula_outside("[4000000000*i] -> [i<3]"),
       "`read`: `[4000000000*i] -> [i<3]` has a factor over 2^31: got `f32[4]`"},
      {Broadcast,
       {f32({3})},
       {{"axes", std::vector<int64_t>{0}}, {"type", f32({4, 3})}},
       "`broadcast` cannot put axis 0 of `f32[3]` at axis 0 of `f32[4, 3]`"},
      {Broadcast,
       {f32({3})},
       {{"axes", std::vector<int64_t>{2}}, {"type", f32({4, 3})}},
       "`broadcast` has axis 2, but `f32[4, 3]` has 2 axes"},
      {Broadcast,
       {f32({3, 3})},
       {{"axes", std::vector<int64_t>{1, 1}}, {"type", f32({4, 3})}},
       "`broadcast` has axis 1 twice in [1, 1]"},
      {Broadcast,
       {f32({3})},
       {{"axes", std::vector<int64_t>{}}, {"type", f32({4, 3})}},
       "`broadcast` of `f32[3]` to `f32[4, 3]` has axes []"},
      {Transpose,
       {f32({2, 3})},
       ints("permutation", {0, 0}),
       "`transpose` of `f32[2, 3]` cannot use permutation [0, 0]"},
      {Transpose, {f32({2, 3})}, ints("permutation", {0}), "`transpose` of `f32[2, 3]` cannot use permutation [0]"},
      {Reshape, {f32({2, 3})}, {{"type", f32({7})}}, "`reshape` cannot read `f32[2, 3]` as `f32[7]`"},
      {Reshape, {f32({kB, 3})}, {{"type", f32({3, kB})}}, "`reshape` cannot read `f32[B<=8, 3]` as `f32[3, B<=8]`"},
      {Reshape, {f32({kB, 3})}, {{"type", f32({24})}}, "`reshape` cannot read `f32[B<=8, 3]` as `f32[24]`"},
      {Slice,
       {f32({5})},
       {{"starts", std::vector<int64_t>{2}}, {"limits", std::vector<int64_t>{6}}},
       "`slice` takes 2..6 of axis 0 of `f32[5]`"},
      {Slice,
       {f32({kB})},
       {{"starts", std::vector<int64_t>{0}}, {"limits", std::vector<int64_t>{4}}},
       "`slice` takes a part of the run-time axis 0 of `f32[B<=8]`"},
      {Slice,
       {f32({5})},
       {{"starts", std::vector<int64_t>{}}, {"limits", std::vector<int64_t>{6}}},
       "`slice` of `f32[5]` has 0 starts and 1 limits"},
      {Pad,
       {f32({5})},
       {{"low", std::vector<int64_t>{-1}}, {"high", std::vector<int64_t>{0}}},
       "`pad` adds -1 and 0 to axis 0 of `f32[5]`"},
      {Pad,
       {f32({kB})},
       {{"low", std::vector<int64_t>{1}}, {"high", std::vector<int64_t>{0}}},
       "`pad` widens the run-time axis 0 of `f32[B<=8]`"},
      {Pad,
       {f32({5})},
       {{"low", std::vector<int64_t>{1, 1}}, {"high", std::vector<int64_t>{0}}},
       "`pad` of `f32[5]` has 2 low and 1 high"},
      {Gather, {f32(), i32({3})}, {}, "`gather` needs a table with an axis, got `f32` and `i32[3]`"},
      {Gather, {f32({3}), f32({3})}, {}, "`gather` needs an integer index, got `f32[3]`"},
      {ScatterAdd, {f32({3}), f32({3})}, {{"type", f32({5})}}, "`scatter_add` needs an integer index, got `f32[3]`"},
      {ScatterAdd,
       {i32({3}), f32({3, 2})},
       {{"type", f32({5, 4})}},
       "`scatter_add` into `f32[5, 4]` got `i32[3]` and `f32[3, 2]`"},
      {BatchGather,
       {f32({2, 3}), i32({2})},
       {{"batch", int64_t{2}}},
       "`batch_gather` of 2 axes got `f32[2, 3]` and `i32[2]`"},
      {BatchGather,
       {f32({2, 3}), i32({4})},
       {{"batch", int64_t{1}}},
       "`batch_gather` of 1 axes got `f32[2, 3]` and `i32[4]`"},
      {BatchGather,
       {f32({2, 3}), i32({2})},
       {{"batch", int64_t{0}}},
       "`batch_gather` of 0 axes got `f32[2, 3]` and `i32[2]`"},
      {BatchScatterAdd,
       {i32({2, 3}), f32({2, 3, 4})},
       {{"batch", int64_t{1}}, {"type", f32({3, 5, 4})}},
       "`batch_scatter_add` into `f32[3, 5, 4]` got `i32[2, 3]` and `f32[2, 3, 4]`"},
      {PutRows, {f32({3}), f32({3}), f32({5})}, {}, "`put_rows` needs an integer index, got `f32[3]`"},
      {PutRows, {i32({3}), f32({3, 2}), f32({5, 4})}, {}, "`put_rows` got `i32[3]`, `f32[3, 2]` and `f32[5, 4]`"},
      {RandomUniform,
       {i64, f32()},
       draw(f32({3})),
       "`random_uniform` needs seed and run as `i64` scalars, got `i64` and `f32`"},
      {RandomUniform, {i64, i64}, draw(i32({3})), "`random_uniform` draws f32 or f64, not `i32[3]`"},
      {RandomNormal,
       {i64, i64},
       draw(f32({1 << 20, 1 << 20})),
       "`random_normal` cannot draw `f32[1048576, 1048576]`: over 2^34 elements"},
      {RandomNormal,
       {i64, i64},
       {{"site", int64_t{-1}}, {"loop", int64_t{0}}, {"type", f32()}},
       "`random_normal` has site -1, which is not a 32-bit number"},
      {Concat,
       {f32({2, 3}), f32({3, 3})},
       {{"axis", int64_t{1}}},
       "`concat` along axis 1 got `f32[2, 3]` and `f32[3, 3]`"},
      {Concat,
       {f32({kB}), f32({3})},
       {{"axis", int64_t{0}}},
       "`concat` along the run-time axis 0 of `f32[B<=8]` and `f32[3]`"},
      {Concat, {f32(), f32()}, {{"axis", int64_t{0}}}, "`concat` has axis 0, but `f32` has 0 axes"},
      {Grad, {f32({2}), f32({2})}, {}, "`grad` needs a float scalar, got `f32[2]`"},
      {Grad, {f32(), i32({2})}, {}, "`grad` is with respect to floats, got `i32[2]`"},
      {Variable, {f32(), f32()}, {}, "`variable` takes 1 operands, got 2"},
      {Cotangent, {}, {{"id", int64_t{0}}}, "`cotangent` lacks attribute `type`"},
      {Jvp, {i32({2}), f32({2}), f32({2})}, {}, "`jvp` is of floats, got `i32[2]`"},
      {Jvp, {f32({2}), i32({2}), i32({2})}, {}, "`jvp` is with respect to floats, got `i32[2]`"},
      {Jvp, {f32({2}), f32({3}), f32({2})}, {}, "`jvp` needs a direction like `f32[3]`, got `f32[2]`"},
      {Adjoint,
       {f32({2}), i32({3}), f32({2}), i32({3})},
       {},
       "`adjoint` needs floats, got `f32[2]`, `i32[3]`, `f32[2]` and `i32[3]`"},
      {Adjoint,
       {f32({2}), f32({3}), f32({3}), f32({3})},
       {},
       "`adjoint` needs a cotangent like y and a result like x, got `f32[2]`, `f32[3]`, `f32[3]` and `f32[3]`"},
      {Argument, {}, {{"index", int64_t{0}}}, "`argument` lacks attribute `type`"},
      {Argument,
       {},
       {{"index", int64_t{0}}, {"type", f32({2, int64_t{1} << 62})}},
       "`argument` makes `f32[2, 4611686018427387904]`, which no memory can hold"},
      {Constant, {}, {{"value", int64_t{0}}, {"type", f32()}}, "attribute `value` of `constant` is a number"},
      {Stop, {f32(), f32()}, {}, "`stop` takes 1 operands, got 2"},
      {Neg, {f32()}, ints("axes", {0}), "`neg` has no attribute `axes`"},
      {Broadcast,
       {f32()},
       {{"axes", std::vector<int64_t>{}}, {"type", f32({1 << 30, 1 << 30})}},
       "`broadcast` makes `f32[1073741824, 1073741824]`, which no memory can hold"},
  };
  return cases;
}

/// Cases that follow from traits and attributes alike for whole families of ops.
std::vector<std::pair<Wrong, std::string>> family_cases() {
  std::vector<std::pair<Wrong, std::string>> cases;
  for (const OpDef& def : all_ops()) {
    const OpKind op = op_kind(def);
    const auto has = [&](std::string_view name) {
      return std::ranges::find(def.attributes, name, &AttrDef::name) != def.attributes.end();
    };
    const bool unary_with_axes = def.operands.size() == 1 && has("axes") && !has("type");
    if (unary_with_axes) {
      cases.push_back({{op, {f32({2, 3})}, ints("axes", {2}), ""},
                       fmt::format("`{}` has axis 2, but `f32[2, 3]` has 2 axes", def.name)});
      cases.push_back({{op, {f32({2, 3})}, ints("axes", {1, 0}), ""},
                       fmt::format("`{}` needs increasing axes, got [1, 0]", def.name)});
    }
    if (op == OpKind::ArgMax || op == OpKind::ArgMin) {
      cases.push_back(
          {{op, {f32()}, {{"axis", int64_t{0}}}, ""}, fmt::format("`{}` has axis 0, but `f32` has 0 axes", def.name)});
    }
    const bool plain = (def.kind == Kind::Elementwise || def.kind == Kind::Composite) && def.attributes.size() == 0 &&
                       op != OpKind::Select && op != OpKind::Stop;
    if (!plain) continue;
    const auto all = [&](const TensorType& type) { return std::vector<TensorType>(def.operands.size(), type); };
    if (def.traits.logical) {
      cases.push_back({{op, all(f32({2})), {}, ""}, fmt::format("`{}` needs bool, got `f32[2]`", def.name)});
    } else if (def.traits.float_only) {
      cases.push_back({{op, all(i32({2})), {}, ""}, fmt::format("`{}` needs floats, got `i32[2]`", def.name)});
    } else if (!def.traits.comparison) {
      cases.push_back({{op, all(boolean({2})), {}, ""}, fmt::format("`{}` needs numbers, got `bool[2]`", def.name)});
    }
    if (def.operands.size() == 2 && !def.traits.logical) {
      cases.push_back({{op, {f32({2}), f32({3})}, {}, ""},
                       fmt::format("`{}` needs operands of one type, got `f32[2]` and `f32[3]`", def.name)});
    }
  }
  return cases;
}

}  // namespace

TEST_CASE("a wrong operand or attribute is named with everything that decided it") {
  std::set<OpKind> seen;
  for (const Wrong& wrong : table()) {
    CHECK(message_of(wrong) == wrong.message);
    seen.insert(wrong.op);
  }
  for (const auto& [wrong, message] : family_cases()) {
    CHECK(message_of(wrong) == message);
    seen.insert(wrong.op);
  }
  for (const OpDef& op : all_ops()) CHECK_MESSAGE(seen.contains(op_kind(op)), op.name);
}

TEST_CASE("make turns a mistake of ours into InternalError") {
  Graph graph;
  Builder builder(graph);
  const NodeId x = builder.constant(0, f32({2})), y = builder.constant(0, f32({3}));
  CHECK_THROWS_AS(builder.add(x, y), InternalError);
}

TEST_CASE("helpers skip what would change nothing") {
  Graph graph;
  Builder builder(graph);
  const NodeId x = builder.constant(0, f32({2, 3}));
  CHECK(builder.reshape(x, {2, 3}) == x);
  CHECK(builder.transpose(x, {0, 1}) == x);
  CHECK(builder.broadcast(x, {2, 3}, {0, 1}) == x);
  CHECK(builder.reduce_sum(x, {}) == x);
  CHECK(builder.cast(x, DType::F32) == x);
  CHECK(builder.type(builder.reduce_sum(x, {1, 0})) == f32());
}

TEST_CASE("count multiplies static sizes and run-time extents") {
  Graph graph;
  graph.symbols = kSymbols;
  Builder builder(graph);
  const NodeId x = builder.argument({"x", ArgRole::Feed, -1, {}}, f32({kB, 3, kT, 5}));
  const std::vector<int64_t> axes = {0, 1, 2};
  builder.result({"n", ResultRole::Value, -1, builder.count(x, axes, DType::F32)});
  const std::vector<int64_t> axis = {3};
  builder.result({"m", ResultRole::Value, -1, builder.count(x, axis, DType::F32)});
  const std::vector<int64_t> extents = {6, 2};
  const std::vector<RefTensor> arguments = {{f32({kB, 3, kT, 5}), {6, 3, 2, 5}, std::vector<double>(180)}};
  const auto results = evaluate(graph, arguments, extents);
  REQUIRE(results.has_value());
  CHECK(results->at(0).values[0] == 36);
  CHECK(results->at(1).values[0] == 5);
}

TEST_CASE("a node carries the span that was set") {
  Graph graph;
  Builder builder(graph);
  builder.set_span({0, 3, 7});
  CHECK(graph[builder.constant(1, f32())].span == Span{0, 3, 7});
  const Result<NodeId> wrong = builder.push(OpKind::Cast, {{0}}, {{"dtype", std::string("f31")}});
  CHECK(wrong.error().span == Span{0, 3, 7});
}
