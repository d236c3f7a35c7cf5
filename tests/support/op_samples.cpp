#include "tests/support/op_samples.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/support/check.h"
#include "ir/text_formula.h"

namespace smelt::testing {
namespace {

constexpr int32_t kB = 0, kT = 1, kLessTime = 2;
const std::vector<DimSymbol> kSymbols = {{"B", 33}, {"T", 7}, {.name = "T-2", .bound = 5, .of = {{{kT, 1}}, -2}}};
const std::vector<int64_t> kExtents = {17, 5, 3};
const Extent kBatch(33, kB), kTime(7, kT);

const std::vector<Shape> kShapes = {{},      {1},       {3},         {17},       {33},
                                    {7, 31}, {3, 1, 5}, {kBatch, 3}, {2, kTime}, {kBatch, kTime, 2}};

/// What one operand is drawn from; nothing set: the record's range.
struct Range {
  double low, high;
};

class SampleMaker {
 public:
  SampleMaker(DType dtype, uint64_t seed) : dtype_(dtype), numbers_(seed) {}

  std::vector<OpSample> make() {
    for (const OpDef& def : all_ops()) add_samples(def);
    return std::move(samples_);
  }

 private:
  TensorType real(Shape shape) const { return {dtype_, std::move(shape)}; }
  static TensorType of(DType dtype, Shape shape) { return {dtype, std::move(shape)}; }

  void add(const OpDef& def, const std::vector<TensorType>& operands, Attributes attrs = {},
           const std::vector<Range>& ranges = {}) {
    OpSample sample{
        .name = std::string(def.name), .op = op_kind(def), .graph = {}, .arguments = {}, .extents = kExtents};
    sample.graph.name = def.name;
    sample.graph.symbols = kSymbols;
    Builder builder(sample.graph);
    std::vector<NodeId> inputs;
    bool all_real = true;
    for (size_t i = 0; i < operands.size(); ++i) {
      inputs.push_back(builder.argument({std::string(def.operands[i]), ArgRole::Feed, -1, {}}, operands[i]));
      const Range range = i < ranges.size() ? ranges[i] : Range{def.samples.low, def.samples.high};
      sample.arguments.push_back(
          numbers_.tensor(operands[i], kExtents, range.low, range.high, def.samples.away_from_zero));
      sample.name += fmt::format(" {}", to_string(operands[i], kSymbols));
      all_real = all_real && (operands[i].dtype == dtype_ || !is_float(operands[i].dtype));
    }
    const NodeId result = builder.make(op_kind(def), std::move(inputs), std::move(attrs));
    builder.result({"y", ResultRole::Value, -1, result});
    const bool any_real = std::ranges::any_of(operands, [&](const TensorType& t) { return t.dtype == dtype_; });
    sample.differentiable = def.samples.differentiable && all_real && any_real && builder.type(result).dtype == dtype_;
    samples_.push_back(std::move(sample));
  }

  void add_samples(const OpDef& def) {
    switch (def.kind) {
      case Kind::Argument:  // every other sample has arguments
      case Kind::Scan:      // their bodies are graphs: tests/unit/codegen/scan_test.cpp, and random graphs
      case Kind::Part:
      case Kind::Meta: break;
      case Kind::Constant:
        add(def, {}, {{"value", 0.75}, {"type", real({})}});
        add(def, {}, {{"value", -3.0}, {"type", of(DType::I32, {kBatch, 3})}});
        add(def, {}, {{"value", 1.0}, {"type", of(DType::Bool, {7})}});
        break;
      case Kind::Index:
        add(def, {}, {{"axis", int64_t{0}}, {"type", of(DType::I32, {33})}});
        add(def, {}, {{"axis", int64_t{1}}, {"type", of(DType::I64, {3, 7, 2})}});
        add(def, {}, {{"axis", int64_t{0}}, {"type", of(DType::I32, {kBatch, 3})}});
        break;
      case Kind::Extent:
        for (const DType dtype : {dtype_, DType::I32, DType::I64}) {
          add(def, {}, {{"symbol", int64_t{kB}}, {"bound", kBatch.bound}, {"type", of(dtype, {})}});
        }
        break;
      case Kind::Elementwise: add_elementwise(def); break;
      case Kind::Reduce: add_reductions(def); break;
      case Kind::Contract: add_contractions(def); break;
      case Kind::Move: add_moves(def); break;
      case Kind::Gather: add_gathers(def); break;
      case Kind::Scatter: add_scatters(def); break;
      case Kind::Random: add_draws(def); break;
      case Kind::Composite: add_composites(def); break;
    }
  }

  void add_elementwise(const OpDef& def) {
    if (def.infer == op_def(OpKind::Cast).infer) return add_casts(def);
    const bool is_select = op_kind(def) == OpKind::Select;
    for (const Shape& shape : kShapes) {
      std::vector<TensorType> operands(def.operands.size(), def.traits.logical ? of(DType::Bool, shape) : real(shape));
      if (is_select) operands[0].dtype = DType::Bool;
      add(def, operands);
    }
    if (def.traits.logical || def.traits.float_only) return;
    for (const DType dtype : {DType::I32, DType::I64}) {
      std::vector<TensorType> operands(def.operands.size(), of(dtype, {17, 3}));
      if (is_select) operands[0].dtype = DType::Bool;
      add(def, operands, {}, std::vector<Range>(operands.size(), {-9, 9}));
    }
  }

  void add_casts(const OpDef& def) {
    const DType other = dtype_ == DType::F32 ? DType::F64 : DType::F32;
    const auto to = [](DType dtype) { return Attributes{{"dtype", std::string(to_string(dtype))}}; };
    for (const DType dtype : {dtype_, other, DType::I32, DType::I64, DType::Bool, DType::U8}) {
      add(def, {real({kBatch, 3})}, to(dtype), {{0, 100}});
    }
    for (const DType dtype : {DType::U8, DType::I8, DType::I16, DType::I32, DType::I64, DType::Bool}) {
      add(def, {of(dtype, {33})}, to(dtype_), {{0, 100}});
    }
  }

  void add_reductions(const OpDef& def) {
    const auto over = [](std::vector<int64_t> axes) { return Attributes{{"axes", std::move(axes)}}; };
    add(def, {real({33})}, over({0}));
    add(def, {real({1})}, over({0}));
    add(def, {real({7, 31})}, over({0}));
    add(def, {real({7, 31})}, over({1}));
    add(def, {real({7, 31})}, over({0, 1}));
    add(def, {real({3, 17, 5})}, over({1}));
    add(def, {real({3, 17, 5})}, over({0, 2}));
    add(def, {real({kBatch, 3})}, over({0}));
    add(def, {real({kBatch, 3})}, over({1}));
    add(def, {real({kBatch, 3, kTime})}, over({0, 2}));
    add(def, {real({130, 70})}, over({1}));  // more than one tile in each direction
    add(def, {real({130, 70})}, over({0}));
    add(def, {of(DType::I32, {7, 5})}, over({1}), {{-50, 50}});
  }

  void add_contractions(const OpDef& def) {
    const auto by = [](std::string_view text) { return Attributes{{"formula", formula_of(text)}}; };
    add(def, {real({3, 7}), real({7, 5})}, by("[i,k] [k,j] -> [i,j]"));
    add(def, {real({3, 7}), real({5, 7})}, by("[i,k] [j,k] -> [i,j]"));
    add(def, {real({7, 3}), real({7, 5})}, by("[k,i] [k,j] -> [i,j]"));
    add(def, {real({7, 3}), real({5, 7})}, by("[k,i] [j,k] -> [j,i]"));
    add(def, {real({33, 31}), real({31, 17})}, by("[i,k] [k,j] -> [i,j]"));
    add(def, {real({1, 17}), real({17, 1})}, by("[i,k] [k,j] -> [i,j]"));
    add(def, {real({17}), real({17})}, by("[k] [k] -> []"));
    add(def, {real({3}), real({5})}, by("[i] [j] -> [i,j]"));
    add(def, {real({5}), real({5})}, by("[i] [i] -> [i]"));
    add(def, {real({7, 5}), real({5})}, by("[i,k] [k] -> [i]"));
    add(def, {real({2, 3, 5}), real({2, 5, 4})}, by("[b,i,k] [b,k,j] -> [b,i,j]"));
    add(def, {real({2, 3, 4, 5}), real({3, 5, 7})}, by("[b,h,i,k] [h,k,j] -> [b,i,h,j]"));
    add(def, {real({3, 2, 5}), real({2, 5, 4})}, by("[i,k,l] [k,l,j] -> [i,j]"));
    add(def, {real({kBatch, 3}), real({3, 5})}, by("[b,k] [k,o] -> [b,o]"));
    add(def, {real({kBatch, 3}), real({kBatch, 5})}, by("[b,k] [b,o] -> [k,o]"));
    add(def, {real({kBatch, kTime, 3}), real({kBatch, 4, 3})}, by("[b,t,k] [b,s,k] -> [b,t,s]"));
    // Narrow: long rows, columns along the depth and across it; rows side by side.
    add(def, {real({19, 131}), real({131, 3})}, by("[i,k] [k,j] -> [i,j]"));
    add(def, {real({19, 128}), real({3, 128})}, by("[i,k] [j,k] -> [i,j]"));
    add(def, {real({kBatch, 130}), real({130, 10})}, by("[b,k] [k,o] -> [b,o]"));
    add(def, {real({2, 5, 70}), real({2, 70, 2})}, by("[b,i,k] [b,k,j] -> [b,i,j]"));
    add(def, {real({7, 37}), real({7, 10})}, by("[k,i] [k,j] -> [i,j]"));
    add(def, {real({7, 35}), real({3, 7})}, by("[k,i] [j,k] -> [i,j]"));
    add(def, {real({2, 5, 33}), real({2, 5, 3})}, by("[b,k,i] [b,k,j] -> [b,i,j]"));
    add(def, {real({9}), real({4})}, by("[i+u] [u] -> [i]"));
    add(def, {real({9}), real({4})}, by("[i-u+3] [u] -> [i<6]"));
    add(def, {real({9}), real({6})}, by("[i-u+3] [i] -> [u<4]"));
    add(def, {real({2, 6, 7, 3}), real({3, 2, 3, 5})}, by("[n,i+u,j+v,c] [u,v,c,o] -> [n,i,j,o]"));
    add(def, {real({2, 6, 7, 5}), real({3, 2, 3, 5})}, by("[n,i-u+2,j-v+1,o] [u,v,c,o] -> [n,i<4,j<6,c]"));
    add(def, {real({2, 6, 7, 3}), real({2, 4, 6, 5})}, by("[n,i+u,j+v,c] [n,i,j,o] -> [u,v,c,o]"));
    add(def, {real({2, 5, 2, 4, 2, 3}), real({2, 2, 2, 2, 3, 17})}, by("[n,i+u,a,j+v,b,c] [u,a,v,b,c,o] -> [n,i,j,o]"));
    add(def, {real({kBatch, 9, 3}), real({4, 3, 18})}, by("[n,i+u,c] [u,c,o] -> [n,i,o]"));
    // Strides, dilations, margins.
    add(def, {real({9}), real({3})}, by("[2*i+u] [u] -> [i]"));
    add(def, {real({11}), real({3})}, by("[i+3*u] [u] -> [i]"));
    add(def, {real({17}), real({3})}, by("[3*i+2*u] [u] -> [i]"));
    add(def, {real({9}), real({3})}, by("?[i+u-1] [u] -> [i<9]"));
    add(def, {real({2, 9, 8, 3}), real({3, 3, 3, 5})}, by("?[n,2*i+u-1,2*j+v-1,c] [u,v,c,o] -> [n,i<5,j<4,o]"));
    add(def, {real({2, 8, 8, 3}), real({4, 4, 3, 17})}, by("?[n,2*i+u-1,2*j+v-1,c] [u,v,c,o] -> [n,i<4,j<4,o]"));
    add(def, {real({2, 5, 4, 5}), real({2, 9, 8, 3})}, by("[n,i,j,o] ?[n,2*i+u-1,2*j+v-1,c] -> [u<3,v<3,c,o]"));
  }
  void add_moves(const OpDef& def) {
    switch (op_kind(def)) {
      case OpKind::Broadcast: return add_broadcasts(def);
      case OpKind::Transpose: {
        const auto by = [](std::vector<int64_t> axes) { return Attributes{{"permutation", std::move(axes)}}; };
        add(def, {real({7, 31})}, by({1, 0}));
        add(def, {real({33, 17})}, by({1, 0}));
        add(def, {real({3, 5, 7})}, by({2, 0, 1}));
        add(def, {real({3, 5, 7})}, by({0, 2, 1}));
        add(def, {real({kBatch, kTime, 3})}, by({1, 2, 0}));
        add(def, {of(DType::I32, {3, 5})}, by({1, 0}));
        return;
      }
      case OpKind::Reshape: {
        const auto to = [&](Shape shape) { return Attributes{{"type", real(std::move(shape))}}; };
        add(def, {real({6, 7})}, to({2, 21}));
        add(def, {real({1})}, to({}));
        add(def, {real({})}, to({1, 1}));
        add(def, {real({3, 5, 7})}, to({105}));
        add(def, {real({kBatch, 4, 4})}, to({kBatch, 16}));
        add(def, {real({kBatch, 12})}, to({1, kBatch, 3, 4}));
        add(def, {real({2, 3, kTime, 4})}, to({6, kTime, 2, 2}));
        return;
      }
      case OpKind::Slice: {
        const auto of_range = [](std::vector<int64_t> starts, std::vector<int64_t> limits) {
          return Attributes{{"starts", std::move(starts)}, {"limits", std::move(limits)}};
        };
        add(def, {real({17})}, of_range({3}, {16}));
        add(def, {real({7, 31})}, of_range({2, 0}, {5, 31}));
        add(def, {real({7, 31})}, of_range({0, 30}, {7, 31}));
        add(def, {real({kBatch, 5})}, of_range({0, 1}, {33, 4}));
        return;
      }
      case OpKind::Pad: {
        const auto by = [](std::vector<int64_t> low, std::vector<int64_t> high) {
          return Attributes{{"low", std::move(low)}, {"high", std::move(high)}};
        };
        add(def, {real({17})}, by({3}, {1}));
        add(def, {real({3, 7})}, by({0, 2}, {1, 0}));
        add(def, {real({3, 1, 5})}, by({1, 1, 1}, {1, 1, 1}));
        add(def, {real({kBatch, 3})}, by({0, 2}, {0, 3}));
        return;
      }
      case OpKind::Read: return add_reads(def);
      default: SMELT_CHECK(false, "no samples for `{}`", def.name);
    }
  }

  void add_reads(const OpDef& def) {
    const auto by = [](std::string_view text, double outside = 0) {
      return Attributes{{"formula", formula_of(text)}, {"outside", outside}};
    };
    add(def, {real({17})}, by("[3*i+1] -> [i<5]"));
    add(def, {real({17})}, by("[16-i] -> [i<17]"));
    add(def, {real({9})}, by("[i+u] -> [i,u<3]"));
    add(def, {real({9, 5})}, by("?[2*i+u-1,j] -> [i<5,u<3,j]"));
    add(def, {real({9, 8})}, by("?[3*i+2*u-2,2*j+v-1] -> [i<4,j<4,u<3,v<2]", 1));
    add(def, {real({kBatch, 7})}, by("[b,5] -> [b]"));
    add(def, {real({3, 7})}, by("[j,2*i] -> [i<4,j,o<2]"));
    const auto part = [](std::string_view text) {
      Result<IndexFormula> formula = parse_formula(text, kSymbols);
      SMELT_CHECK(formula.has_value(), "{}", formula.error().message);
      return Attributes{{"formula", *std::move(formula)}, {"outside", 0.0}};
    };
    add(def, {real({kTime, 3})}, part("[i+1,j] -> [i<T-2<=5,j]"));
    add(def, {real({2, kTime, 3})}, part("[b,i,j] -> [b,j,i<T-2<=5]"));
    add(def, {real({kTime, 3})}, part("[i+1,j] -> [i<2,j]"));
    add(def, {real({kTime, 3})}, part("[1,j] -> [j]"));
    add(def, {real({kTime, 3})}, part("?[i-1,j] -> [i<T<=7,j]"));
    add(def, {real({kTime, 3})}, part("?[i+1,j] -> [i<7,j]"));
    add(def, {real({Extent(5, kLessTime), 3})}, part("?[i-1,j] -> [i<T<=7,j]"));
    add(def, {real({7, 3})}, part("[i,j] -> [i<T<=7,j]"));
    add(def, {real({9, 3})}, part("?[i-1,j] -> [i<T<=7,j]"));
  }

  void add_broadcasts(const OpDef& def) {
    const auto to = [&](std::vector<int64_t> axes, Shape shape) {
      return Attributes{{"axes", std::move(axes)}, {"type", real(std::move(shape))}};
    };
    add(def, {real({})}, to({}, {17}));
    add(def, {real({})}, to({}, {kBatch, 3}));
    add(def, {real({3})}, to({0}, {3, 7}));
    add(def, {real({7})}, to({1}, {3, 7}));
    add(def, {real({31})}, to({1}, {33, 31}));
    add(def, {real({5})}, to({1}, {kBatch, 5, kTime}));
    add(def, {real({kBatch})}, to({0}, {kBatch, 3}));
    add(def, {real({5, 3})}, to({2, 0}, {3, 2, 5}));
    add(def, {real({1, 3})}, to({0, 2}, {1, 4, 3}));
  }

  /// One and two axes that table and index share, rows of no axis, and no index but those axes.
  void add_batch_gathers(const OpDef& def) {
    const auto add_one = [&](int64_t batch, const TensorType& table, const TensorType& index, double last) {
      add(def, {table, index}, {{"batch", batch}}, {{-2, 2}, {0, last}});
    };
    add_one(1, real({4, 7, 3}), of(DType::I32, {4, 5}), 6);
    add_one(1, real({kBatch, 7}), of(DType::I64, {kBatch, 5}), 6);
    add_one(1, real({3, 5, 17}), of(DType::I32, {3}), 4);
    add_one(2, real({3, kBatch, 5, 2}), of(DType::U8, {3, kBatch, 2, 3}), 4);
    add_one(1, real({2, kTime, 3}), of(DType::I32, {2, 4}), 4);
  }

  void add_batch_scatters(const OpDef& def) {
    const auto add_one = [&](int64_t batch, const TensorType& index, const TensorType& rows, const TensorType& table,
                             double last) {
      add(def, {index, rows}, {{"batch", batch}, {"type", table}}, {{0, last}, {-2, 2}});
    };
    add_one(1, of(DType::I32, {4, 5}), real({4, 5, 3}), real({4, 7, 3}), 6);
    add_one(1, of(DType::I64, {kBatch, 5}), real({kBatch, 5}), real({kBatch, 3}), 2);
    add_one(1, of(DType::I32, {3}), real({3, 17}), real({3, 5, 17}), 4);
    add_one(2, of(DType::I32, {3, kBatch, 2, 3}), real({3, kBatch, 2, 3, 2}), real({3, kBatch, 5, 2}), 4);
  }

  void add_gathers(const OpDef& def) {
    if (def.attributes.size() > 0) return add_batch_gathers(def);
    const Range values{-2, 2};
    add(def, {real({7}), of(DType::I32, {})}, {}, {values, {0, 6}});
    add(def, {real({7}), of(DType::I32, {5})}, {}, {values, {0, 6}});
    add(def, {real({7, 3}), of(DType::I64, {5})}, {}, {values, {0, 6}});
    add(def, {real({33, 17}), of(DType::I32, {kBatch})}, {}, {values, {0, 32}});
    add(def, {real({3, 2, 5}), of(DType::U8, {2, 3})}, {}, {values, {0, 2}});
    add(def, {real({kBatch, 3}), of(DType::I32, {4})}, {}, {values, {0, 16}});
    add(def, {of(DType::U8, {9, 3}), of(DType::I32, {kBatch})}, {}, {{0, 255}, {0, 8}});
  }

  /// Rows of one number among them. What overwrites a table has one; what adds up says its type.
  void add_scatters(const OpDef& def) {
    if (def.attributes.size() > 1) return add_batch_scatters(def);
    const auto add_one = [&](const TensorType& index, const TensorType& rows, const TensorType& table, double last) {
      const Range numbers{0, last}, values{-2, 2};
      if (def.traits.overwrites)
        add(def, {index, rows, table}, {}, {numbers, values, values});
      else
        add(def, {index, rows}, {{"type", table}}, {numbers, values});
    };
    add_one(of(DType::I32, {}), real({}), real({7}), 6);
    add_one(of(DType::I32, {5}), real({5}), real({3}), 2);
    add_one(of(DType::I64, {5}), real({5, 3}), real({7, 3}), 6);
    add_one(of(DType::I32, {kBatch}), real({kBatch, 17}), real({9, 17}), 8);
    add_one(of(DType::I32, {2, 3}), real({2, 3, 2, 5}), real({4, 2, 5}), 3);
    add_one(of(DType::I32, {kTime}), real({kTime, 3}), real({kBatch, 3}), 16);
  }

  void add_draws(const OpDef& def) {
    const TensorType scalar = of(DType::I64, {});
    int64_t site = 0x811C9DC5;
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{3}, Shape{33}, Shape{7, 31}, Shape{kBatch, 5}}) {
      add(def, {scalar, scalar}, {{"site", site++}, {"loop", int64_t{2}}, {"type", real(shape)}},
          {{0, 1'000'000'000'000}, {0, 100'000}});
    }
  }

  void add_composites(const OpDef& def) {
    const auto has = [&](std::string_view name) {
      return std::ranges::find(def.attributes, name, &AttrDef::name) != def.attributes.end();
    };
    if (op_kind(def) == OpKind::Concat) {
      add(def, {real({3}), real({4})}, {{"axis", int64_t{0}}});
      add(def, {real({3, 1}), real({3, 5})}, {{"axis", int64_t{1}}});
      add(def, {real({kBatch, 2}), real({kBatch, 7})}, {{"axis", int64_t{1}}});
      add(def, {of(DType::Bool, {3}), of(DType::Bool, {2})}, {{"axis", int64_t{0}}});
    } else if (has("axis")) {
      for (const Shape& shape : {Shape{17}, Shape{7, 31}, Shape{kBatch, 3}})
        add(def, {real(shape)}, {{"axis", int64_t{0}}});
      add(def, {real({7, 31})}, {{"axis", int64_t{1}}});
      add(def, {of(DType::I32, {5, 9})}, {{"axis", int64_t{1}}}, {{-3, 3}});  // with ties
    } else if (has("axes")) {
      const auto over = [](std::vector<int64_t> axes) { return Attributes{{"axes", std::move(axes)}}; };
      add(def, {real({17})}, over({0}));
      add(def, {real({1})}, over({0}));
      add(def, {real({7, 31})}, over({1}));
      add(def, {real({7, 31})}, over({0}));
      add(def, {real({2, 5, 3})}, over({0, 2}));
      add(def, {real({kBatch, 10})}, over({1}), {{-30, 30}});
      add(def, {real({3, kTime})}, over({1}));
    } else {
      for (const Shape& shape : kShapes) add(def, {real(shape)});
    }
  }

  DType dtype_;
  Numbers numbers_;
  std::vector<OpSample> samples_;
};

}  // namespace

std::vector<OpSample> op_samples(DType dtype, uint64_t seed) { return SampleMaker(dtype, seed).make(); }

}  // namespace smelt::testing
