// Comparisons, logic, and what chooses or converts, element by element.
#pragma once

#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/ops/elementwise.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"

namespace smelt::ops {

template <Compare predicate>
Scalar compare_body(ScalarBuilder& s, Scalars a, const Attributes&) {
  return s.compare(predicate, a[0], a[1]);
}

inline constexpr OpDef kEq = {
    .name = "eq",
    .doc = "a == b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] == a[1]; },
    .body = compare_body<Compare::Eq>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kNe = {
    .name = "ne",
    .doc = "a != b",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] != a[1]; },
    .body = compare_body<Compare::Ne>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kLt = {
    .name = "lt",
    .doc = "a < b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] < a[1]; },
    .body = compare_body<Compare::Lt>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kLe = {
    .name = "le",
    .doc = "a <= b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] <= a[1]; },
    .body = compare_body<Compare::Le>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kGt = {
    .name = "gt",
    .doc = "a > b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] > a[1]; },
    .body = compare_body<Compare::Gt>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kGe = {
    .name = "ge",
    .doc = "a >= b",
    .operands = {"a", "b"},
    .traits = {.comparison = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] >= a[1]; },
    .body = compare_body<Compare::Ge>,
    .samples = {.differentiable = false},
};

inline constexpr OpDef kAnd = {
    .name = "and",
    .doc = "both are true",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true, .logical = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] != 0 && a[1] != 0; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.logical_and(a[0], a[1]); },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kOr = {
    .name = "or",
    .doc = "one or both are true",
    .operands = {"a", "b"},
    .traits = {.commutative = true, .associative = true, .logical = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] != 0 || a[1] != 0; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.logical_or(a[0], a[1]); },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kNot = {
    .name = "not",
    .doc = "x is false",
    .operands = {"x"},
    .traits = {.logical = true},
    .infer = shape_rules::elementwise,
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) -> double { return a[0] == 0; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.logical_not(a[0]); },
    .samples = {.differentiable = false},
};

inline constexpr OpDef kSelect = {
    .name = "select",
    .doc = "a where the condition is true, else b",
    .operands = {"condition", "a", "b"},
    .infer = shape_rules::select,
    .vjp = vjp_rules::select,
    .reference = [](std::span<const double> a) { return a[0] != 0 ? a[1] : a[2]; },
    .body = [](ScalarBuilder& s, Scalars a, const Attributes&) { return s.select(a[0], a[1], a[2]); },
};

inline constexpr OpDef kCast = {
    .name = "cast",
    .doc = "x in another dtype; float to integer truncates and saturates with NaN as 0, to bool is x != 0",
    .operands = {"x"},
    .attributes = {{"dtype", AttrType::String, "name of the dtype, such as f32"}},
    .infer = shape_rules::cast,
    .vjp = vjp_rules::cast,
    .reference = [](std::span<const double> a) { return a[0]; },
    .body =
        [](ScalarBuilder& s, Scalars a, const Attributes& attrs) {
          const DType dtype = *parse_dtype(attrs.text("dtype"));
          if (dtype == DType::Bool && a[0].dtype != DType::Bool) {
            const Scalar x = is_half(a[0].dtype) ? s.cast(DType::F32, a[0]) : a[0];
            return s.compare(Compare::Ne, x, literal(s, x, 0));
          }
          return s.cast(dtype, a[0]);
        },
};

inline constexpr OpDef kStop = {
    .name = "stop",
    .doc = "x, through which no gradient flows",
    .operands = {"x"},
    .infer = [](const InferArgs& args) -> Result<TensorType> { return args.operands[0]; },
    .vjp = vjp_rules::none,
    .reference = [](std::span<const double> a) { return a[0]; },
    .body = [](ScalarBuilder&, Scalars a, const Attributes&) { return a[0]; },
    .samples = {.differentiable = false},
};

}  // namespace smelt::ops
