#include "fuzz/scalar_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/run_passes.h"
#include "ir/builder.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt::fuzz {
namespace {

/// Both references of one formula in the C library's names.
#define SMELT_EXACT(formula)                            \
  [](double x, double y) -> double {                    \
    (void)y;                                            \
    using std::exp, std::log1p, std::fabs;              \
    return formula;                                     \
  },                                                    \
      [](long double x, long double y) -> long double { \
        (void)y;                                        \
        using std::exp, std::log1p, std::fabs;          \
        return formula;                                 \
      }

constexpr std::array kFunctions = {
    ScalarFunction{OpKind::Exp, SMELT_EXACT(std::exp(x)), 1, 2, true},
    ScalarFunction{OpKind::Expm1, SMELT_EXACT(std::expm1(x)), 1, 2},
    ScalarFunction{OpKind::Log, SMELT_EXACT(std::log(x)), 1, 2},
    ScalarFunction{OpKind::Log1p, SMELT_EXACT(std::log1p(x)), 1, 2},
    ScalarFunction{OpKind::Sqrt, SMELT_EXACT(std::sqrt(x)), 0.5001, 0.501, true},
    ScalarFunction{OpKind::Rsqrt, SMELT_EXACT(1 / std::sqrt(x)), 2, 2},
    ScalarFunction{OpKind::Tanh, SMELT_EXACT(std::tanh(x)), 2, 2, true},
    ScalarFunction{OpKind::Sigmoid, SMELT_EXACT(1 / (1 + exp(-x))), 2, 2},
    ScalarFunction{OpKind::Softplus,
                   SMELT_EXACT((x > 0    ? x
                                : x <= 0 ? 0
                                         : x) +
                               log1p(exp(-fabs(x)))),
                   4, 2},
    ScalarFunction{OpKind::Erf, SMELT_EXACT(std::erf(x)), 2, 2},
    ScalarFunction{OpKind::NormalCdf, SMELT_EXACT(std::erfc(-x*(std::numbers::sqrt2_v<decltype(x)> / 2)) / 2), 4, 4},
    ScalarFunction{OpKind::Sin, SMELT_EXACT(fabs(x) < 0x1.c6bf52p+49 ? std::sin(x) : NAN), 1, 2},
    ScalarFunction{OpKind::Cos, SMELT_EXACT(fabs(x) < 0x1.c6bf52p+49 ? std::cos(x) : NAN), 1, 2},
    ScalarFunction{OpKind::Pow, SMELT_EXACT(std::pow(x, y)), 2, 2, false, true},
};
#undef SMELT_EXACT

Graph graph_of(const ScalarFunction& function, DType dtype) {
  Graph graph;
  graph.name = fmt::format("scalar_{}", function.name());
  Builder builder(graph);
  const TensorType type{dtype, {static_cast<int64_t>(ScalarCode::kBlock)}};
  std::vector<NodeId> operands{builder.argument({"a"}, type)};
  if (function.binary) operands.push_back(builder.argument({"b"}, type));
  const NodeId result = builder.make(function.op, operands);
  builder.result({"y", ResultRole::Value, -1, result});
  return graph;
}

}  // namespace

std::span<const ScalarFunction> scalar_functions() {
  static const auto all = [] {
    auto functions = kFunctions;
    for (ScalarFunction& function : functions) function.range = op_def(function.op).range;
    return functions;
  }();
  return all;
}

Result<ScalarCode> ScalarCode::compile(DType dtype, const std::string& cpu) {
  SMELT_TRY(const Target target, make_target(cpu));
  if (!runs_here(target))
    return fail(ErrorKind::Usage, fmt::format("this machine cannot run code for `{}`", cpu), "leave out --cpu");
  LoopProgram program;
  const PassContext context{.lower = {.arithmetic = dtype, .begin = sizeof(smelt_arena)}, .target = target};
  size_t arena_bytes = 0;
  for (const ScalarFunction& function : kFunctions) {
    LoopFunction loops = place_function({graph_of(function, dtype), {}}, context).loops;
    arena_bytes = std::max(arena_bytes, static_cast<size_t>(loops.temporaries.end));
    program.functions.push_back(std::move(loops));
  }
  SMELT_TRY(LoadedObject object, LoadedObject::load(emit_program(program, target, CodeKind::Object, {})));
  ScalarCode code(std::move(object));
  code.arena_bytes_ = arena_bytes;
  return code;
}

void ScalarCode::run(const ScalarFunction& function, const void* a, const void* b, void* results) const {
  const smelt_entry entry = object_.find(fmt::format("scalar_{}", function.name()));
  SMELT_CHECK(entry != nullptr && arena_bytes_ <= sizeof(smelt_arena) + SMELT_ARENA_ALIGNMENT,
              "`{}` was not compiled as one kernel", function.name());
  alignas(SMELT_ARENA_ALIGNMENT) std::array<std::byte, sizeof(smelt_arena) + 2 * SMELT_ARENA_ALIGNMENT> arena{};
  const std::array inputs{a, b};
  void* outputs[] = {results};
  const smelt_call call{arena.data(), inputs.data(), outputs, nullptr};
  SMELT_CHECK(entry(&call) == SMELT_CALL_OK, "`{}` failed", function.name());
}

}  // namespace smelt::fuzz
